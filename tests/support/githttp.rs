//! A Git remote over HTTP, made of the real `git http-backend`, that serves as badly as a test wants.
//!
//! ```text
//! git fetch ──HTTP──> GitHttp ──CGI──> git http-backend ──> a bare repository
//!                        └─ Mood: what is done to the answers from now on
//! ```
//!
//! `Remote` is that server with one repository behind it, and with the things that people do to repositories.

#![allow(dead_code, unreachable_pub, reason = "each test program that includes this file uses another part of it")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, sync::oneshot};

/// What the server does to requests, from the next one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers as `git http-backend` does.
    Honest,
    /// Answers this status with an HTML page, as a proxy or a login page does.
    Status(u16),
    /// Closes every connection without an answer.
    Close,
    /// Takes requests and never answers.
    Hang,
    /// Closes the connection after this many bytes of an answer's body.
    Cut(usize),
    /// Sends this many bytes of an answer's body, and then nothing more, for ever.
    Stall(usize),
}

struct Shared {
    root: PathBuf,
    mood: Mutex<Mood>,
    login: Mutex<Option<(String, String)>>,
    seen: Mutex<Vec<String>>,
}

/// A server for all bare repositories of one folder, on a thread and a port of its own; it ends when dropped.
pub struct GitHttp {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl GitHttp {
    /// Serves the repositories below `root`, to everybody, for reading and writing.
    pub fn start(root: &Path) -> Self {
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            mood: Mutex::new(Mood::Honest),
            login: Mutex::default(),
            seen: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free loopback port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("the port that was given");
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, serving) => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The URL of the repository `name`, without credentials.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Behaves like this from the next request on.
    pub fn set(&self, mood: Mood) {
        *held(&self.shared.mood) = mood;
    }

    /// Asks for this user and password from now on; `None` asks nobody.
    pub fn require(&self, login: Option<(&str, &str)>) {
        *held(&self.shared.login) = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
    }

    /// Every request so far as `METHOD path?query`, in order.
    pub fn seen(&self) -> Vec<String> {
        held(&self.shared.seen).clone()
    }

    /// How often somebody asked for the list of refs in order to fetch.
    pub fn fetches(&self) -> usize {
        held(&self.shared.seen).iter().filter(|line| line.ends_with("service=git-upload-pack")).count()
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A test that panicked while it held the lock has failed already.
fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a listening socket");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, Arc::clone(&shared)));
            // An error here is a connection that was closed on purpose, or by the client.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = BoxBody<Bytes, io::Error>;

/// Answers one request; an error closes the connection without an answer.
async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    held(&shared.seen).push(format!("{} {target}", head.method));
    let (mood, login) = (*held(&shared.mood), held(&shared.login).clone());
    match mood {
        Mood::Close => return Err(io::Error::other("closed on purpose")),
        Mood::Hang => return std::future::pending().await,
        Mood::Status(status) => return Ok(page(status)),
        Mood::Honest | Mood::Cut(_) | Mood::Stall(_) => {}
    }
    if let Some((user, password)) = login {
        let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        if head.headers.get(header::AUTHORIZATION).is_none_or(|sent| sent.as_bytes() != wanted.as_bytes()) {
            let mut asks = page(401);
            asks.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"git\""));
            return Ok(asks);
        }
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (mut response, body) = backend(&shared.root, &head, body).await?;
    let length = body.len();
    let part = |bytes: usize| Ok(Frame::data(body.slice(..bytes.min(length))));
    // The whole length is announced, so that the client can tell that something is missing.
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = match mood {
        Mood::Cut(bytes) => {
            let end = async {
                // What was written before must be on its way, or the head is lost with it.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                Err(io::Error::other("cut on purpose"))
            };
            BodyExt::boxed(StreamBody::new(futures::stream::iter([part(bytes)]).chain(futures::stream::once(end))))
        }
        Mood::Stall(bytes) => {
            BodyExt::boxed(StreamBody::new(futures::stream::iter([part(bytes)]).chain(futures::stream::pending())))
        }
        Mood::Honest | Mood::Close | Mood::Hang | Mood::Status(_) => full(body),
    };
    Ok(response)
}

fn full(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

/// What somebody in between answers: a page for people.
fn page(status: u16) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from_static(b"<html><body>not here, not now</body></html>\n")));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status between 100 and 999");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// Has the real program answer, as a web server does through CGI (RFC 3875).
async fn backend(root: &Path, head: &http::request::Parts, body: Bytes) -> io::Result<(Response<Body>, Bytes)> {
    let sent = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROTOCOL", sent("git-protocol"))
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", sent("content-type"))
        .env("HTTP_CONTENT_ENCODING", sent("content-encoding"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("REMOTE_USER", "tester")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take();
    let write = async move {
        if let Some(stdin) = &mut stdin {
            // A program that answers before it read everything is no error.
            let _ = stdin.write_all(&body).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = Bytes::from(output?.stdout);
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(|| io::Error::other("git http-backend gave no head: is git's http-backend installed?"))?;
    let mut response = Response::new(full(Bytes::new()));
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let status = value.split(' ').next().unwrap_or_default();
            *response.status_mut() = status.parse().map_err(io::Error::other)?;
        } else {
            let name: HeaderName = name.parse().map_err(io::Error::other)?;
            response.headers_mut().insert(name, value.parse().map_err(io::Error::other)?);
        }
    }
    Ok((response, output.slice(end + 4..)))
}

/// A server with one repository, `project.git`, whose branch is `main`; and somebody who works on it.
pub struct Remote {
    /// The server.
    pub http: GitHttp,
    folder: TempDir,
}

impl Remote {
    /// Makes and serves a repository without a commit.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let served = folder.path().join("served");
        fs::create_dir(&served).expect("a folder");
        let remote = Self { http: GitHttp::start(&served), folder };
        remote.git(remote.folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "served/project.git"]);
        remote.bare(&["config", "http.receivepack", "true"]);
        remote.git(remote.folder.path(), &["init", "--quiet", "--initial-branch=main", "work"]);
        remote
    }

    /// Where it is fetched from.
    pub fn url(&self) -> String {
        self.http.url("project.git")
    }

    /// The bare repository itself, for what goes not over HTTP.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("served/project.git")
    }

    /// Makes the tree of `main` exactly these files, and pushes; gives the commit. What was pushed before is its parent.
    pub fn commit<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        self.tree(files);
        self.git(&self.work(), &["commit", "--quiet", "--allow-empty", "-m", "more"]);
        self.push()
    }

    /// Makes `main` one new commit of these files without a parent, and pushes it by force; gives the commit.
    pub fn rewrite<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        self.tree(files);
        let tree = self.git(&self.work(), &["write-tree"]);
        let commit = self.git(&self.work(), &["commit-tree", "-m", "rewritten", tree.trim()]);
        self.git(&self.work(), &["reset", "--quiet", "--hard", commit.trim()]);
        self.push()
    }

    /// Pushes a commit in which no file is left; gives the commit.
    pub fn empty(&self) -> String {
        self.commit(BTreeMap::new())
    }

    /// Goes back to an earlier commit by force.
    pub fn back_to(&self, commit: &str) {
        self.git(&self.work(), &["reset", "--quiet", "--hard", commit]);
        self.push();
    }

    /// Takes the branch away; the next push brings it back.
    pub fn delete_branch(&self) {
        self.bare(&["update-ref", "-d", "refs/heads/main"]);
    }

    /// Packs everything anew and throws away what no ref reaches.
    pub fn repack(&self) {
        self.bare(&["reflog", "expire", "--expire=now", "--all"]);
        self.bare(&["gc", "--quiet", "--prune=now"]);
    }

    /// Runs git in the bare repository; its standard output.
    pub fn bare(&self, args: &[&str]) -> String {
        self.git(&self.path(), args)
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Makes the work tree and the index exactly these files.
    fn tree<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let work = self.work();
        self.git(&work, &["rm", "-r", "--quiet", "--force", "--ignore-unmatch", "."]);
        for (path, text) in files {
            let path = work.join(path);
            fs::create_dir_all(path.parent().expect("below the work tree")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        self.git(&work, &["add", "--all"]);
    }

    fn push(&self) -> String {
        let path = self.path();
        let path = path.to_str().expect("a plain path");
        self.git(&self.work(), &["push", "--quiet", "--force", path, "HEAD:refs/heads/main"]);
        self.git(&self.work(), &["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn git(&self, dir: &Path, args: &[&str]) -> String {
        let output = git(dir, args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}

/// Runs git in `dir`, away from the configuration of whoever runs the tests, and without a prompt.
pub fn git(dir: &Path, args: &[&str]) -> Output {
    std::process::Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("NO_PROXY", "*")
        .env("HOME", dir)
        .stdin(Stdio::null())
        .output()
        .expect("git is there")
}
