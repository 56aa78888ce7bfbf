//! The `git` program as a child: with a deadline, without prompts, hooks or helpers of somebody's choice.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::without_credentials;

/// Variables that would point a child at another repository than the one it is told; a hook of the user's has them set.
const FOREIGN: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_EXTERNAL_DIFF",
    "SSH_ASKPASS",
];

/// Settings that hold for every child, whatever the repository says: no hook, no helper program as transport, no
/// redirect, no housekeeping in somebody else's repository.
const SETTINGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "http.followRedirects=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "credential.interactive=false",
    "submodule.recurse=false",
];

/// How much of what a child complains about is kept, from its end.
const STDERR_KEPT: usize = 16 << 10;

/// How long to wait for a pipe that a grandchild still holds after `git` itself has ended.
const PIPE_GRACE: Duration = Duration::from_secs(1);

/// Runs the `git` program: with a deadline, without prompts, without hooks.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    user_ssh: bool,
    environment: Vec<(OsString, OsString)>,
}

/// One call of `git`.
#[derive(Clone, Debug)]
pub struct GitCall<'a> {
    /// The repository's git dir; none for what needs no repository.
    pub git_dir: Option<&'a Path>,
    /// The subcommand and its options. User text only after `--end-of-options`.
    pub args: Vec<OsString>,
    /// What it reads from its standard input.
    pub stdin: Vec<u8>,
    /// How long it may take; then its process group is killed.
    pub deadline: Duration,
    /// How many bytes it may print.
    pub limit: usize,
}

/// What a successful child printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitOutput {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// The end of its standard error, without credentials.
    pub stderr: String,
}

impl GitOutput {
    /// Standard output as text, without the last line's end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }
}

/// Why a `git` child did not do its work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git` program.
    #[error("`git` cannot be started: {why}")]
    NotStarted {
        /// The cause.
        why: String,
    },
    /// It took too long and was killed. What it was doing may or may not have happened.
    #[error("`git {command}` gave no answer within {} s", deadline.as_secs())]
    Deadline {
        /// The subcommand.
        command: String,
        /// What it was given.
        deadline: Duration,
    },
    /// It ended with an error.
    #[error("`git {command}` failed: {}", last_line(stderr))]
    Failed {
        /// The subcommand.
        command: String,
        /// Its exit code; none if a signal ended it.
        code: Option<i32>,
        /// The end of its standard error, without credentials.
        stderr: String,
        /// What it had printed until then.
        stdout: Vec<u8>,
    },
    /// It printed more than it may.
    #[error("`git {command}` printed more than {limit} bytes")]
    TooLarge {
        /// The subcommand.
        command: String,
        /// What was allowed.
        limit: usize,
    },
}

impl GitError {
    /// What the child complained about, or what became of it.
    pub fn complaint(&self) -> String {
        match self {
            Self::Failed { stderr, .. } if !stderr.is_empty() => stderr.clone(),
            _ => self.to_string(),
        }
    }
}

fn is_contention(complaint: &str) -> bool {
    ["cannot lock ref", ".lock': File exists", "unable to update local ref"].iter().any(|w| complaint.contains(w))
}

/// The line that says the most: the last one that begins with `fatal:` or `error:`, else the last one.
fn last_line(stderr: &str) -> &str {
    let telling = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
    let lines = || stderr.lines().map(str::trim).filter(|l| !l.is_empty());
    lines().rfind(telling).or_else(|| lines().next_back()).unwrap_or("it does not say why")
}

impl<'a> GitCall<'a> {
    /// A call inside a repository.
    pub fn of<S: Into<OsString>>(git_dir: &'a Path, args: impl IntoIterator<Item = S>, deadline: Duration) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { git_dir: Some(git_dir), args, stdin: Vec::new(), deadline, limit: 16 << 20 }
    }
}

impl Default for Git {
    fn default() -> Self {
        Self { program: "git".into(), user_ssh: false, environment: Vec::new() }
    }
}

impl Git {
    /// The `git` of the search path. An ssh that would ask fails instead.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves `GIT_SSH_COMMAND` as the environment has it, for a user who has set it.
    #[must_use]
    pub fn with_users_ssh(mut self) -> Self {
        self.user_ssh = true;
        self
    }

    /// Adds a variable to every child's environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs one call to its end.
    pub fn run(&self, call: &GitCall<'_>) -> Result<GitOutput, GitError> {
        let name = subcommand(&call.args);
        let mut child = self.command(call).spawn().map_err(|e| GitError::NotStarted { why: e.to_string() })?;
        let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);

        let (done, ended) = mpsc::channel();
        let (closed, pipes) = mpsc::channel();
        let out = collect(child.stdout.take(), call.limit, Keep::Start, closed.clone());
        let err = collect(child.stderr.take(), STDERR_KEPT, Keep::End, closed);
        if let Some(mut stdin) = child.stdin.take() {
            let bytes = call.stdin.clone();
            // A child that ends without reading is told by its exit code.
            thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        thread::spawn(move || {
            let status = child.wait();
            // The receiver is gone only after the deadline, and then nobody asks.
            drop(done.send(status));
        });

        // One wait, which nothing that the child does on the way makes longer.
        let Ok(status) = ended.recv_timeout(call.deadline) else {
            if let Some(group) = group {
                // It may just have ended by itself.
                rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
            }
            return Err(GitError::Deadline { command: name, deadline: call.deadline });
        };
        for _ in 0..2 {
            if pipes.recv_timeout(PIPE_GRACE).is_err() {
                break;
            }
        }
        let status = status.map_err(|e| GitError::NotStarted { why: e.to_string() })?;
        self.judge(name, status, call.limit, &out, &err)
    }

    /// Runs a call again, at most three times in all, while another `git` holds a ref that it wants to move.
    pub fn run_contended(&self, call: &GitCall<'_>, mut between: impl FnMut()) -> Result<GitOutput, GitError> {
        for _ in 0..2 {
            match self.run(call) {
                Err(error @ GitError::Failed { .. }) if is_contention(&error.complaint()) => between(),
                other => return other,
            }
        }
        self.run(call)
    }

    fn judge(
        &self,
        command: String,
        status: ExitStatus,
        limit: usize,
        out: &Mutex<Collected>,
        err: &Mutex<Collected>,
    ) -> Result<GitOutput, GitError> {
        let out = std::mem::take(&mut *out.lock().unwrap_or_else(PoisonError::into_inner));
        let err = std::mem::take(&mut *err.lock().unwrap_or_else(PoisonError::into_inner));
        let mut stderr = without_credentials(String::from_utf8_lossy(&err.bytes).trim());
        if !status.success() {
            if let Some(signal) = status.signal() {
                stderr.push_str(&format!("\nended by signal {signal}"));
            }
            return Err(GitError::Failed { command, code: status.code(), stderr, stdout: out.bytes });
        }
        if out.cut {
            return Err(GitError::TooLarge { command, limit });
        }
        Ok(GitOutput { stdout: out.bytes, stderr })
    }

    fn command(&self, call: &GitCall<'_>) -> Command {
        let mut command = Command::new(&self.program);
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        if let Some(dir) = call.git_dir {
            for safe in [Some(dir), dir.parent()].into_iter().flatten() {
                let mut setting = OsString::from("safe.directory=");
                setting.push(safe);
                command.arg("-c").arg(setting);
            }
            let mut option = OsString::from("--git-dir=");
            option.push(dir);
            command.arg(option);
            // Where git itself would stand: a remote's relative path counts from there.
            let top = if dir.ends_with(".git") { dir.parent().unwrap_or(dir) } else { dir };
            command.current_dir(top);
        }
        command.args(&call.args);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true");
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_PAGER", "cat").env("SSH_ASKPASS_REQUIRE", "never");
        if !self.user_ssh {
            command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
        }
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        let stdin = if call.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that the deadline ends its transports and helpers too.
        command.process_group(0);
        command
    }
}

#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    cut: bool,
}

#[derive(Clone, Copy)]
enum Keep {
    Start,
    End,
}

/// Reads a pipe to its end on a thread of its own, keeping at most `limit` bytes.
fn collect(
    pipe: Option<impl Read + Send + 'static>,
    limit: usize,
    keep: Keep,
    closed: mpsc::Sender<()>,
) -> Arc<Mutex<Collected>> {
    let collected = Arc::new(Mutex::new(Collected::default()));
    let shared = Arc::clone(&collected);
    thread::spawn(move || {
        let mut buffer = [0; 64 << 10];
        if let Some(mut pipe) = pipe {
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                let mut into = shared.lock().unwrap_or_else(PoisonError::into_inner);
                into.bytes.extend_from_slice(&buffer[..n]);
                let excess = into.bytes.len().saturating_sub(limit);
                if excess > 0 {
                    into.cut = true;
                    match keep {
                        Keep::Start => into.bytes.truncate(limit),
                        Keep::End => drop(into.bytes.drain(..excess)),
                    }
                }
            }
        }
        closed.send(()).ok();
    });
    collected
}

/// What a call is about: its first word that is no setting.
fn subcommand(args: &[OsString]) -> String {
    let mut words = args.iter();
    loop {
        match words.next() {
            Some(word) if word == "-c" => drop(words.next()),
            word => return word.map(|w| w.to_string_lossy().into_owned()).unwrap_or_default(),
        }
    }
}

/// The words of a call from borrowed texts.
pub fn words<const N: usize>(texts: [&str; N]) -> Vec<OsString> {
    texts.iter().map(|t| OsStr::new(t).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let git = Git::new();
        let args = ["-c", "alias.wait=!sleep 30", "wait"].map(OsString::from).to_vec();
        let call = GitCall { git_dir: None, args, stdin: vec![], deadline: Duration::from_millis(200), limit: 10 };
        assert!(matches!(git.run(&call), Err(GitError::Deadline { .. })));
    }

    #[test]
    fn a_child_that_closes_its_output_gets_no_longer_for_it() {
        let args = ["-c", "alias.wait=!exec >/dev/null 2>&1; sleep 30", "wait"].map(OsString::from).to_vec();
        let call = GitCall { git_dir: None, args, stdin: vec![], deadline: Duration::from_millis(300), limit: 10 };
        let error = Git::new().run(&call).unwrap_err();
        assert_eq!(error, GitError::Deadline { command: "wait".into(), deadline: Duration::from_millis(300) });
    }

    #[test]
    fn a_failure_carries_what_git_said_without_credentials() {
        let git = Git::new();
        let args = words(["ls-remote", "--end-of-options", "http://me:hunter2@127.0.0.1:1/x"]);
        let call = GitCall { git_dir: None, args, stdin: vec![], deadline: Duration::from_secs(10), limit: 10 };
        let error = git.run(&call).unwrap_err();
        assert!(matches!(error, GitError::Failed { code: Some(128), .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn a_child_that_prints_too_much_is_an_error_not_a_part() {
        let args = words(["--version"]);
        let call = GitCall { git_dir: None, args, stdin: vec![], deadline: Duration::from_secs(10), limit: 3 };
        assert!(matches!(Git::new().run(&call), Err(GitError::TooLarge { limit: 3, .. })));
    }
}
