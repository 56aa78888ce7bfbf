//! One project on real parts: servers of `ctl serve`, a repository here or behind HTTP, and one `ctl watch`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::githttp::{Remote, git};
use crate::http;
use crate::process::{Process, free_addresses};
use crate::watchers::Metrics;
use crate::within;

/// How long anything may take that happens by itself at the next look.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// One `ctl serve` with a folder of its own.
pub(crate) struct Served {
    process: Process,
    address: SocketAddr,
    folder: TempDir,
}

impl Served {
    /// Serves honestly.
    pub(crate) fn honest() -> Self {
        Self::with(&[])
    }

    /// Serves with these flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let address = free_addresses(1)[0];
        let process = serve(folder.path(), address, flags);
        let served = Self { process, address, folder };
        served.wait();
        served
    }

    /// Ends it and serves the same things at the same address with other flags.
    pub(crate) fn again(&mut self, flags: &[&str]) {
        self.process.kill();
        self.process = serve(self.folder.path(), self.address, flags);
        self.wait();
    }

    fn wait(&self) {
        within(SOON, "the server answers", || http::get(self.address, "/livez").filter(|(status, _)| *status == 200));
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGKILL: it is away.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP: it hangs.
    pub(crate) fn stop(&self) {
        self.process.stop();
    }

    /// SIGCONT: it goes on.
    pub(crate) fn cont(&self) {
        self.process.cont();
    }

    /// What the services are, by name.
    pub(crate) fn services(&self) -> BTreeMap<String, Value> {
        let (status, text) = http::get(self.address, "/v1/service").expect("a list");
        assert_eq!(status, 200, "{text}");
        let list: Value = serde_json::from_str(&text).unwrap();
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| (item["name"].as_str().unwrap().to_owned(), item["spec"].clone())).collect()
    }

    /// The names of the services.
    pub(crate) fn names(&self) -> Vec<String> {
        self.services().into_keys().collect()
    }

    /// One field of one service.
    pub(crate) fn field(&self, name: &str, field: &str) -> Option<Value> {
        self.services().get(name).and_then(|spec| spec.get(field).cloned())
    }

    /// Somebody else changes the port of a service, and leaves the rest as it is.
    pub(crate) fn meddle(&self, name: &str, port: u16) {
        let (_, text) = http::get(self.address, &format!("/v1/service/{name}")).unwrap();
        let mut thing: Value = serde_json::from_str(&text).unwrap();
        thing["spec"]["port"] = port.into();
        let body = json!({"labels": thing["labels"], "spec": thing["spec"]});
        let status = http::put(self.address, &format!("/v1/service/{name}"), &body.to_string()).unwrap();
        assert!(status < 300, "{status}");
    }

    /// Requests so far by method and template, if it counts them.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let (_, text) = http::get(self.address, "/debug/requests").unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn serve(folder: &Path, address: SocketAddr, flags: &[&str]) -> Process {
    let data = folder.join("data").display().to_string();
    let listen = address.to_string();
    let args = ["serve", "--data", &data, "--listen", &listen].into_iter().chain(flags.iter().copied());
    Process::start(env!("CARGO_BIN_EXE_ctl"), args.map(str::to_owned).collect(), &[], folder.join("log"))
}

enum Place {
    Here(PathBuf),
    There(Box<Remote>),
}

/// What one command printed and how it ended.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that one of the outputs holds `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "no {text:?} in:\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// The project, its repository and its watcher.
pub(crate) struct Shop {
    watcher: Option<Process>,
    listen: SocketAddr,
    place: Place,
    files: BTreeMap<String, String>,
    folder: TempDir,
}

/// A service on a port.
pub(crate) fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: ctl\nkind: service\nmetadata: {{name: {name}}}\nspec: {{host: {name}.internal, port: {port}}}\n"
    )
}

impl Shop {
    /// A repository on this machine.
    pub(crate) fn here(targets: &[(&str, &Served)]) -> Self {
        let folder = TempDir::new().unwrap();
        let repository = folder.path().join("repo");
        std::fs::create_dir(&repository).unwrap();
        assert!(git(&repository, &["init", "--quiet", "--initial-branch=main"]).status.success());
        Self::at(folder, Place::Here(repository), targets)
    }

    /// A repository behind HTTP.
    pub(crate) fn there(targets: &[(&str, &Served)]) -> Self {
        Self::at(TempDir::new().unwrap(), Place::There(Box::new(Remote::new())), targets)
    }

    fn at(folder: TempDir, place: Place, targets: &[(&str, &Served)]) -> Self {
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let mut shop = Self { watcher: None, listen: free_addresses(1)[0], place, files: BTreeMap::new(), folder };
        shop.project(targets, "");
        shop
    }

    /// Writes the project file: these targets, each with what `more` says.
    pub(crate) fn project(&mut self, targets: &[(&str, &Served)], more: &str) -> &mut Self {
        let mut text =
            "apiVersion: ctl/v1\nkind: Project\nmetadata: {name: shop}\nmanifests: [manifests/]\n".to_owned();
        text.push_str("targets:\n");
        for (name, served) in targets {
            let url = format!("http://{}", served.address);
            text.push_str(&format!("  {name}:\n    api: ctl\n    url: {url}\n{more}"));
        }
        self.write("ctl.yaml", &text)
    }

    /// Writes a file of the next commit.
    pub(crate) fn write(&mut self, path: &str, text: &str) -> &mut Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Declares services on a port, a file each.
    pub(crate) fn services(&mut self, names: &[&str], port: u16) -> &mut Self {
        for name in names {
            self.write(&format!("manifests/{name}.yaml"), &service(name, port));
        }
        self
    }

    /// Takes a file out of the next commit.
    pub(crate) fn remove(&mut self, path: &str) -> &mut Self {
        self.files.remove(path).expect("a file that was there");
        self
    }

    /// Commits what was written; gives the commit.
    pub(crate) fn commit(&self) -> String {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        match &self.place {
            Place::There(remote) => remote.commit(files),
            Place::Here(repository) => {
                drop(git(repository, &["rm", "-r", "--quiet", "--force", "--ignore-unmatch", "."]));
                for (path, text) in files {
                    let path = repository.join(path);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, text).unwrap();
                }
                for args in [&["add", "--all"][..], &["commit", "--quiet", "--allow-empty", "-m", "more"]] {
                    let output = git(repository, args);
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                }
                String::from_utf8(git(repository, &["rev-parse", "HEAD"]).stdout).unwrap().trim().to_owned()
            }
        }
    }

    /// Makes the branch one commit of what was written, without a past.
    pub(crate) fn rewrite(&self) -> String {
        self.remote().rewrite(self.files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    /// The repository behind HTTP.
    pub(crate) fn remote(&self) -> &Remote {
        match &self.place {
            Place::There(remote) => remote,
            Place::Here(_) => panic!("it is here"),
        }
    }

    /// The repository on this machine.
    pub(crate) fn repository(&self) -> &Path {
        match &self.place {
            Place::Here(path) => path,
            Place::There(_) => panic!("it is there"),
        }
    }

    /// A folder for whatever a test wants.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that the watcher keeps what it knows in.
    pub(crate) fn kept(&self) -> PathBuf {
        let watch = self.folder.path().join("state/watch");
        let mut found = std::fs::read_dir(watch).unwrap();
        found.next().unwrap().unwrap().path()
    }

    /// Writes the operator's file.
    pub(crate) fn operator(&self, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.folder.path().join("home/.config/ctl/credentials.yaml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn source(&self) -> String {
        match &self.place {
            Place::Here(path) => path.display().to_string(),
            Place::There(remote) => remote.url(),
        }
    }

    fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let own = [("HOME", path("home")), ("CTL_STATE", path("state"))].into_iter();
        let own = own.chain([("GIT_CONFIG_NOSYSTEM", "1".to_owned()), ("NO_PROXY", "*".to_owned())]);
        own.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Starts the watcher; with `flags` beside the source and the address.
    pub(crate) fn watch(&mut self, flags: &[&str]) -> &mut Self {
        let (source, listen) = (self.source(), self.listen.to_string());
        let args = ["watch", &source, "--listen", &listen, "-o", "json"].into_iter().chain(flags.iter().copied());
        let env = self.environment();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let args = args.map(str::to_owned).collect();
        self.watcher = Some(Process::start(env!("CARGO_BIN_EXE_ctl"), args, &env, self.folder.path().join("log")));
        self
    }

    /// SIGKILL to the watcher.
    pub(crate) fn kill(&mut self) {
        self.watcher.as_mut().unwrap().kill();
    }

    /// Starts it again with the arguments that it had.
    pub(crate) fn restart(&mut self) {
        self.watcher.as_mut().unwrap().again();
    }

    /// SIGTERM to the watcher, and how it ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.watcher.as_mut().unwrap().terminate(SOON)
    }

    /// A signal to the watcher.
    pub(crate) fn signal(&self, signal: Signal) {
        self.watcher.as_ref().unwrap().signal(signal);
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Runs `ctl`, as the person who started the watcher.
    pub(crate) fn ctl(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctl"));
        command.args(args).current_dir(self.folder.path()).env_clear().envs(self.environment());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        let output = command.output().unwrap();
        Ran {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// Runs a command that is about the watcher: the same, with the project.
    pub(crate) fn order(&self, args: &[&str]) -> Ran {
        let source = self.source();
        let args: Vec<&str> = args.iter().copied().chain(["--source", source.as_str()]).collect();
        self.ctl(&args)
    }

    /// What the watcher says of itself; nothing if it does not answer.
    pub(crate) fn status(&self) -> Option<Value> {
        let (status, text) = http::get(self.listen, "/v1/status")?;
        (status == 200).then(|| serde_json::from_str(&text).unwrap())
    }

    /// Waits until its status is as wanted; gives it.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        within(SOON, what, || self.status().filter(|status| is(status)))
    }

    /// Waits until this commit is in force and every endpoint is well.
    #[track_caller]
    pub(crate) fn converged(&self, commit: &str) -> Value {
        self.until("converged", |status| {
            let targets = status["targets"].as_array().unwrap();
            let well = |target: &Value| {
                target["running"] == false
                    && target["pending_total"] == 0
                    && target["endpoints"].as_array().unwrap().iter().all(|endpoint| endpoint["state"] == "ok")
                    && target["version"]["commit"] == commit
            };
            status["source"]["commit"] == commit && !targets.is_empty() && targets.iter().all(well)
        })
    }

    /// What it measures now.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::read(&self.page("/metrics").expect("a page of metrics").1)
    }

    /// One of its pages.
    pub(crate) fn page(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.listen, path)
    }

    /// All that it wrote to its outputs.
    pub(crate) fn said(&self) -> String {
        self.watcher.as_ref().unwrap().said()
    }

    /// What it logged, an event a line. A line that is being written is none yet.
    pub(crate) fn log(&self) -> Vec<Value> {
        let said = self.said();
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// The logged events of a name.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        self.log().into_iter().filter(|event| event["event"] == name).collect()
    }

    /// Waits until this many events of a name are logged; gives all there are then.
    #[track_caller]
    pub(crate) fn told(&self, name: &str, count: usize) -> Vec<Value> {
        within(SOON, &format!("{count} times {name} in its log"), || {
            Some(self.events(name)).filter(|events| events.len() >= count)
        })
    }

    /// Waits until it has said all that there is to say: nothing more for so long. Gives how many lines that are.
    #[track_caller]
    pub(crate) fn falls_silent(&self, long: Duration) -> usize {
        within(SOON, &format!("it says nothing for {long:?}"), || {
            let lines = self.log().len();
            std::thread::sleep(long);
            (self.log().len() == lines).then_some(lines)
        })
    }

    /// Waits until a measure is as wanted; gives it.
    #[track_caller]
    pub(crate) fn measures(&self, name: &str, labels: &[(&str, &str)], is: impl Fn(f64) -> bool) -> f64 {
        within(SOON, &format!("{name} of {labels:?} as wanted"), || {
            self.metrics().sum(name, labels).filter(|value| is(*value))
        })
    }

    /// Asks how the watcher stands, as a person does, until the answer has this exit code and says this.
    #[track_caller]
    pub(crate) fn stands(&self, ask: &[&str], code: i32, text: &str) -> Ran {
        let began = Instant::now();
        loop {
            let ran = self.order(ask);
            let so = ran.code == Some(code) && (ran.stdout.contains(text) || ran.stderr.contains(text));
            if so || began.elapsed() >= SOON {
                return ran.exits(code).says(text);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The one target of a status.
pub(crate) fn only(status: &Value) -> &Value {
    &status["targets"][0]
}

/// The one endpoint of the one target of a status.
pub(crate) fn place(status: &Value) -> &Value {
    &status["targets"][0]["endpoints"][0]
}
