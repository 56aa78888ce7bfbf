//! What watchers keep: a project in a Git remote over HTTP, whose targets are real servers that remember who wrote what.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::githttp::Remote;
use crate::process::{Process, free_addresses};
use crate::proxy::{Fault, Proxy};
use crate::watchers::{TOKEN, Watchers};
use crate::{http, within};

/// One write that a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// `METHOD path`.
    pub(crate) what: String,
    /// The fencing token that came with it.
    pub(crate) token: Option<u64>,
    /// The answer's status.
    pub(crate) status: u16,
    /// When the answer passed.
    pub(crate) at: Instant,
    /// The highest token of a write that had been accepted before this one was sent.
    pub(crate) newest_before: Option<u64>,
}

impl Written {
    /// Whether the server did it.
    pub(crate) fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A write that is kept back.
#[derive(Default)]
pub(crate) struct Held {
    came: AtomicBool,
    free: Arc<AtomicBool>,
    ended: Mutex<Option<(Written, String)>>,
}

impl Held {
    /// Whether there is one.
    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }

    /// Lets it go; what the server said to it.
    #[track_caller]
    pub(crate) fn let_go(&self) -> (Written, String) {
        self.free.store(true, Ordering::SeqCst);
        within(Duration::from_secs(40), "the answer to a write that was kept back", || {
            self.ended.lock().unwrap().clone()
        })
    }
}

/// One target: a process of the reference server, and a proxy before it that keeps the books.
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
    pub(crate) proxy: Proxy,
    books: Arc<Mutex<Vec<Written>>>,
}

impl Server {
    fn start(folder: &std::path::Path, name: &str) -> Self {
        let address = free_addresses(1)[0];
        let data = folder.join(name).display().to_string();
        let args = ["serve", "--data", &data, "--rate", "100000", "--listen", &address.to_string()].map(str::to_owned);
        let log = folder.join(format!("{name}.log"));
        let process = Process::start(env!("CARGO_BIN_EXE_ctl"), args.to_vec(), &[], log);
        within(Duration::from_secs(40), "a server that answers", || http::get(address, "/livez"));
        let proxy = Proxy::start(&format!("http://{address}"));
        let server = Self { process, address, proxy, books: Arc::default() };
        server.mend();
        server
    }

    /// Keeps the books and passes everything.
    pub(crate) fn mend(&self) {
        let books = Arc::clone(&self.books);
        self.proxy.set_rule(move |seen| {
            if !seen.writes() {
                return Fault::None;
            }
            let what = format!("{} {}", seen.method, seen.path);
            let token = seen.headers.get("ctl-fencing-token").and_then(|token| token.to_str().ok()?.parse().ok());
            let newest = |books: &Vec<Written>| books.iter().filter(|w| w.accepted()).filter_map(|w| w.token).max();
            let newest_before = newest(&books.lock().unwrap());
            let books = Arc::clone(&books);
            Fault::Rewrite(Box::new(move |reply| {
                let status = reply.status.as_u16();
                books.lock().unwrap().push(Written { what, token, status, at: Instant::now(), newest_before });
            }))
        });
    }

    /// Keeps the next write back until it is let go, as a network or a queue may; what comes after it passes.
    pub(crate) fn hold_next(&self) -> Arc<Held> {
        let (books, held) = (Arc::clone(&self.books), Arc::<Held>::default());
        let hold = Arc::clone(&held);
        self.proxy.set_rule(move |seen| {
            let first = seen.writes() && !hold.came.swap(true, Ordering::SeqCst);
            let free = if first { Arc::clone(&hold.free) } else { Arc::new(AtomicBool::new(true)) };
            let hold = Arc::clone(&hold);
            let token = seen.headers.get("ctl-fencing-token").and_then(|token| token.to_str().ok()?.parse().ok());
            let (what, writes) = (format!("{} {}", seen.method, seen.path), seen.writes());
            let books = Arc::clone(&books);
            let note = move |reply: &mut crate::proxy::Reply| {
                let mut books = books.lock().unwrap();
                let newest_before = books.iter().filter(|w| w.accepted()).filter_map(|w| w.token).max();
                let written = Written { what, token, status: reply.status.as_u16(), at: Instant::now(), newest_before };
                if first {
                    let said = String::from_utf8_lossy(&reply.body).into_owned();
                    *hold.ended.lock().unwrap() = Some((written.clone(), said));
                }
                books.push(written);
            };
            let pass = if writes { Fault::Rewrite(Box::new(note)) } else { Fault::None };
            Fault::Once(free, Box::new(pass))
        });
        held
    }

    /// All writes that were answered, in the order of their answers.
    pub(crate) fn books(&self) -> Vec<Written> {
        self.books.lock().unwrap().clone()
    }

    /// Writes that the server did although a newer leader had written before they were sent: there must be none.
    pub(crate) fn stale(&self) -> Vec<Written> {
        let stale = |written: &Written| written.accepted() && written.token < written.newest_before;
        self.books().into_iter().filter(stale).collect()
    }

    /// How many deletes were sent.
    pub(crate) fn deletes(&self) -> usize {
        self.books().iter().filter(|written| written.what.starts_with("DELETE ")).count()
    }

    /// What the server itself holds under a name, asked past the proxy; nothing if it holds nothing there.
    pub(crate) fn holds(&self, name: &str) -> Option<Value> {
        let (status, text) = http::get(self.address, &format!("/v1/service/{name}"))?;
        (status == 200).then(|| serde_json::from_str(&text).unwrap())
    }

    /// The port of a service, which is the field that these tests change.
    pub(crate) fn port(&self, name: &str) -> Option<u64> {
        let found = self.holds(name)?;
        found["spec"]["port"].as_u64()
    }

    /// Somebody changes a service past the watchers.
    pub(crate) fn drift(&self, name: &str, port: u64) {
        let body = format!("{{\"spec\":{{\"host\":\"x.internal\",\"port\":{port}}}}}");
        let path = format!("/v1/service/{name}");
        let status = http::put(self.address, &path, &body);
        assert_eq!(status.map(|status| status / 100), Some(2), "{path}: {status:?}");
    }

    /// SIGSTOP to the server: it takes connections and answers none.
    pub(crate) fn stop(&self) {
        self.process.stop();
    }

    /// SIGCONT to the server.
    pub(crate) fn cont(&self) {
        self.process.cont();
    }
}

/// A project with its targets `t0`, `t1`, … of one server each. Every service goes to each of them.
pub(crate) struct Scene {
    pub(crate) remote: Remote,
    pub(crate) servers: Vec<Server>,
    folder: TempDir,
    /// Whether the record is pushed to the remote, or stays with whoever applies.
    shared: bool,
}

impl Scene {
    /// Starts the servers and commits services `s0`, `s1`, … with port 1. The record is pushed to the remote.
    pub(crate) fn of(targets: usize, services: usize) -> Self {
        Self::new(targets, services, true)
    }

    /// The same for one watcher, which keeps the record in its own mirror.
    pub(crate) fn alone(targets: usize, services: usize) -> Self {
        Self::new(targets, services, false)
    }

    fn new(targets: usize, services: usize, shared: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let servers = (0..targets).map(|at| Server::start(folder.path(), &format!("t{at}"))).collect();
        let scene = Self { remote: Remote::new(), servers, folder, shared };
        scene.commit(services, 1);
        scene
    }

    /// Commits this many services, all with this port; gives the commit.
    pub(crate) fn commit(&self, services: usize, port: u64) -> String {
        let project = self.project();
        self.remote.commit([("ctl.yaml", project.as_str()), ("manifests/all.yaml", &manifests(services, port))])
    }

    /// The same as one commit without a parent, by force.
    pub(crate) fn rewrite(&self, services: usize, port: u64) -> String {
        let project = self.project();
        self.remote.rewrite([("ctl.yaml", project.as_str()), ("manifests/all.yaml", &manifests(services, port))])
    }

    /// `ctl.yaml`.
    pub(crate) fn project(&self) -> String {
        let record = if self.shared { "record: {push: origin}\n" } else { "" };
        let head = "apiVersion: ctl/v1\nkind: Project\nmetadata: {name: scene}\nmanifests: [manifests/]\n";
        let mut text = format!("{head}{record}targets:\n");
        for (at, server) in self.servers.iter().enumerate() {
            writeln!(text, "  t{at}: {{api: ctl, url: \"{}\"}}", server.proxy.url()).unwrap();
        }
        text
    }

    /// Waits until every server holds these services with this port, and nothing else of that name.
    #[track_caller]
    pub(crate) fn converges(&self, limit: Duration, services: usize, port: u64) {
        let what = format!("{services} services with port {port} at every target");
        within(limit, &what, || self.holds(services, port).then_some(()));
    }

    /// Whether every server holds exactly these services.
    pub(crate) fn holds(&self, services: usize, port: u64) -> bool {
        self.servers.iter().all(|server| {
            (0..services).all(|at| server.port(&format!("s{at}")) == Some(port))
                && server.holds(&format!("s{services}")).is_none()
        })
    }

    /// Starts this many watchers of the project, with an interval of two seconds and these flags besides.
    pub(crate) fn watch(&self, count: usize, flags: &[String]) -> Watchers {
        self.watch_every("2s", count, flags)
    }

    /// The same with another interval.
    pub(crate) fn watch_every(&self, interval: &str, count: usize, flags: &[String]) -> Watchers {
        self.watch_each(interval, &vec![flags.to_vec(); count])
    }

    /// One watcher for each of these lists of flags.
    pub(crate) fn watch_each(&self, interval: &str, flags: &[Vec<String>]) -> Watchers {
        self.watch_from(&self.remote.url(), interval, flags)
    }

    /// The same, with the source given: the remote's own folder makes it the one repository of all.
    pub(crate) fn watch_from(&self, source: &str, interval: &str, flags: &[Vec<String>]) -> Watchers {
        let next = AtomicUsize::new(0);
        let token = self.folder.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let token = token.display().to_string();
        // A commit of the record needs a name; the machine's own settings stay out of it.
        let env = [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Test"),
            ("GIT_AUTHOR_EMAIL", "test@example.invalid"),
            ("GIT_COMMITTER_NAME", "Test"),
            ("GIT_COMMITTER_EMAIL", "test@example.invalid"),
        ];
        Watchers::of(flags.len(), &env, |state, listen| {
            let listen = listen.to_string();
            // They are started in their order.
            let flags = &flags[next.fetch_add(1, Ordering::SeqCst)];
            let args = [
                "watch",
                source,
                "--state",
                state,
                "--listen",
                &listen,
                "--interval",
                interval,
                "--output",
                "json",
                "--token-file",
                &token,
            ];
            args.into_iter().map(str::to_owned).chain(flags.iter().cloned()).collect()
        })
    }

    /// Fails if any server did what an older leader asked for after a newer one.
    #[track_caller]
    pub(crate) fn nothing_stale(&self) {
        for (at, server) in self.servers.iter().enumerate() {
            assert!(server.stale().is_empty(), "t{at}: {:?}", server.stale());
        }
    }

    /// Fails if any server was asked to delete anything.
    #[track_caller]
    pub(crate) fn nothing_deleted(&self) {
        for (at, server) in self.servers.iter().enumerate() {
            assert_eq!(server.deletes(), 0, "t{at}: {:?}", server.books());
        }
    }
}

fn manifests(services: usize, port: u64) -> String {
    let one = |at| {
        format!("apiVersion: ctl\nkind: service\nmetadata: {{name: s{at}}}\nspec: {{host: x.internal, port: {port}}}\n")
    };
    (0..services).map(one).collect::<Vec<_>>().join("---\n")
}

#[test]
fn the_scene_is_one_that_apply_can_bring_about() {
    let scene = Scene::of(2, 3);
    let home = scene.folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let apply = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ctl"));
        command.args(["apply", &scene.remote.url(), "--yes"]).current_dir(&home).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &home).env("NO_PROXY", "*");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    apply();
    assert!(scene.holds(3, 1) && !scene.holds(3, 2) && !scene.holds(2, 1));
    scene.servers[0].drift("s1", 9);
    assert!(!scene.holds(3, 1));
    apply();
    assert!(scene.holds(3, 1));
    scene.commit(2, 2);
    apply();
    assert!(scene.holds(2, 2));
    assert_eq!(scene.servers.iter().map(Server::deletes).collect::<Vec<_>>(), [1, 1]);
    scene.nothing_stale();
    assert!(scene.remote.bare(&["for-each-ref", "refs/ctl/"]).contains("t1"), "the record is shared");
    assert!(scene.servers[0].books().iter().all(|written| written.token.is_none()));
}
