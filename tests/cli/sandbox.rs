//! A repository, a state folder and the real binary, away from everything else on the machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// One user with one repository.
pub(crate) struct Sandbox {
    root: TempDir,
    env: BTreeMap<String, String>,
}

/// What one run printed and how it ended.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Sandbox {
    /// A repository with one empty commit.
    pub(crate) fn new() -> Self {
        let sandbox = Self::without_repository();
        sandbox.git(["init", "--quiet", "--initial-branch=main"]);
        sandbox
    }

    /// A folder that is no repository.
    pub(crate) fn without_repository() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("repo")).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        let mut env = BTreeMap::new();
        for (name, value) in [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", root.path().join("home").display().to_string()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("NO_PROXY", "*".to_owned()),
        ] {
            env.insert(name.to_owned(), value);
        }
        Self { root, env }
    }

    /// Adds a variable to the environment of every run.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// The folder of the repository.
    pub(crate) fn repo(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    /// The folder that holds the repository, the home folder and whatever else a test wants.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file of the work tree.
    pub(crate) fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Takes a file of the work tree away.
    pub(crate) fn remove(&self, path: &str) -> &Self {
        fs::remove_file(self.repo().join(path)).unwrap();
        self
    }

    /// Commits everything; gives the commit's id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["add", "-A"]);
        self.git(["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Runs git in the repository; its standard output.
    pub(crate) fn git<const N: usize>(&self, args: [&str; N]) -> String {
        let output = self.git_try(&self.repo(), &args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs git anywhere.
    pub(crate) fn git_try(&self, dir: &Path, args: &[&str]) -> Output {
        Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(dir)
            .env_clear()
            .envs(&self.env)
            .output()
            .unwrap()
    }

    /// The command, ready to run in the repository, with nothing on standard input.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctl"));
        command.args(args).current_dir(self.repo()).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    /// Runs `ctl`.
    pub(crate) fn run<const N: usize>(&self, args: [&str; N]) -> Ran {
        let output = self.command(&args).output().unwrap();
        Ran {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard output holds `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} on stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error holds `text`.
    #[track_caller]
    pub(crate) fn warns(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} on stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\nstderr:\n{}", self.stdout, self.stderr))
    }
}

/// How a run ended, and how much memory it had at most, in KiB.
pub(crate) struct Watched {
    pub(crate) ran: Ran,
    pub(crate) peak: u64,
}

impl Sandbox {
    /// Runs `ctl` and looks at its memory all the while. A run of more than ten minutes is ended and fails.
    pub(crate) fn watched(&self, args: &[&str]) -> Watched {
        use std::io::Read as _;
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let out = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text).unwrap()
        });
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).map(|_| text).unwrap()
        });
        let status_file = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let started = std::time::Instant::now();
        let status = loop {
            let text = fs::read_to_string(&status_file).unwrap_or_default();
            let now =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
            // For a moment after it was made the child still shows the memory, and the name, of the test that made it.
            let is_itself = text.starts_with("Name:\tctl\n");
            peak = peak.max(now.filter(|_| is_itself).unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed().as_secs() > 600 {
                child.kill().unwrap();
                panic!("ctl {args:?} took more than ten minutes");
            }
            // What is read is the highest so far: a long run need not be asked often.
            let pause = (started.elapsed() / 50).clamp(Duration::from_millis(1), Duration::from_millis(50));
            std::thread::sleep(pause);
        };
        let ran = Ran { stdout: out.join().unwrap(), stderr: err.join().unwrap(), code: status.code() };
        Watched { ran, peak }
    }

    /// The record's refs of the repository.
    pub(crate) fn records(&self) -> String {
        self.git(["for-each-ref", "refs/ctl"])
    }
}

impl Watched {
    /// Asserts that the run never had more memory than hostile input may cost, and did not panic.
    #[track_caller]
    pub(crate) fn stays_small(self) -> Ran {
        assert!(self.peak <= 256 * 1024, "{} KiB", self.peak);
        assert!(!self.ran.stderr.contains("panicked"), "{}", self.ran.stderr);
        self.ran
    }
}
