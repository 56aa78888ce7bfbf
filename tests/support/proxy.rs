//! A reverse proxy that counts what passes and spoils what it is told to spoil.
//!
//! It stands between the program and a server, so that tests count requests where they arrive and not where they are
//! sent, and so that an answer can be lost after the server has acted on the request.
//!
//! ```text
//! ctl ──> Proxy ──rule(&Seen) -> Fault──> server
//!           └─ log: every request, by method and path
//! ```

#![allow(dead_code, unreachable_pub, reason = "each test program that includes this file uses another part of it")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::oneshot};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method, in capitals.
    pub method: String,
    /// The path as it was sent, still percent-encoded.
    pub path: String,
    /// The query as it was sent, without `?`; empty if there was none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// How many requests of this method and path came before this one.
    pub nth: usize,
    /// How many requests of any kind came before this one.
    pub before: usize,
}

impl Seen {
    /// Whether the request may change something.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

/// An answer of the server, whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those that belong to one connection and without `Content-Length`.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Reply {
    /// An answer of this status with a JSON body.
    pub fn json(status: u16, body: &str) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
        Self { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    /// The same answer with one header more, or with another value of it.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().expect("a header value"));
        self
    }
}

/// What the proxy does to one request.
pub enum Fault {
    /// Passes it on and its answer back.
    None,
    /// Closes the connection; the server never hears of the request.
    DropRequest,
    /// Passes it on, waits for the answer, and closes the connection instead of handing it back.
    DropAnswer,
    /// Answers in the server's place; the server never hears of the request.
    Answer(Reply),
    /// Passes it on, and answers this instead of what the server said.
    AnswerAfter(Reply),
    /// Waits before passing it on.
    Delay(Duration),
    /// Passes it on, and closes the connection after this many bytes of the answer's body.
    CutBody(usize),
    /// Passes it on, and hands back what the function made of the answer.
    Rewrite(Box<dyn FnOnce(&mut Reply) + Send>),
    /// Waits until the flag is set, and then does the other thing.
    Once(Arc<AtomicBool>, Box<Fault>),
}

type Rule = dyn Fn(&Seen) -> Fault + Send + Sync;
type Body = BoxBody<Bytes, io::Error>;

struct Shared {
    upstream: String,
    client: reqwest::Client,
    log: Mutex<Vec<Seen>>,
    rule: Mutex<Arc<Rule>>,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.log.lock().expect("no one panics while holding the log")
    }
}

/// A running proxy, on a thread and a port of its own; it ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy in front of `upstream` (`http://host:port`) that passes everything.
    pub fn start(upstream: &str) -> Self {
        Self::with_rule(upstream, |_| Fault::None)
    }

    /// Starts a proxy in front of `upstream` that asks `rule` what to do with each request.
    pub fn with_rule(upstream: &str, rule: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> Self {
        // Only plain HTTP goes through here, but the client will not be built without a provider for TLS. A second
        // proxy in the same process finds one installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without settings");
        let upstream = upstream.trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared { upstream, client, log: Mutex::default(), rule: Mutex::new(Arc::new(rule)) });
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

    /// The origin to give to a client, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks another rule from now on.
    pub fn set_rule(&self, rule: impl Fn(&Seen) -> Fault + Send + Sync + 'static) {
        *self.shared.rule.lock().expect("no one panics while holding the rule") = Arc::new(rule);
    }

    /// Passes everything from now on.
    pub fn heal(&self) {
        self.set_rule(|_| Fault::None);
    }

    /// All requests so far, in the order in which they arrived whole.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.log().clone()
    }

    /// All requests so far as `METHOD path?query`, in order.
    pub fn lines(&self) -> Vec<String> {
        self.shared
            .log()
            .iter()
            .map(|seen| match seen.query.as_str() {
                "" => format!("{} {}", seen.method, seen.path),
                query => format!("{} {}?{query}", seen.method, seen.path),
            })
            .collect()
    }

    /// How many requests came, by method and path.
    pub fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for seen in self.shared.log().iter() {
            *counts.entry((seen.method.clone(), seen.path.clone())).or_default() += 1;
        }
        counts
    }

    /// How many requests of `method` came to paths that start with `prefix`.
    pub fn count(&self, method: &str, prefix: &str) -> usize {
        self.shared.log().iter().filter(|seen| seen.method == method && seen.path.starts_with(prefix)).count()
    }

    /// How many requests came.
    pub fn total(&self) -> usize {
        self.shared.log().len()
    }

    /// The requests that may have changed something, as `METHOD path`.
    pub fn writes(&self) -> Vec<String> {
        let log = self.shared.log();
        log.iter().filter(|seen| seen.writes()).map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }

    /// Whether these bytes passed in any path, query, header or body: for canaries.
    pub fn saw(&self, bytes: &str) -> bool {
        let holds = |hay: &[u8]| hay.windows(bytes.len().max(1)).any(|window| window == bytes.as_bytes());
        self.shared.log().iter().any(|seen| {
            holds(seen.path.as_bytes())
                || holds(seen.query.as_bytes())
                || holds(&seen.body)
                || seen.headers.values().any(|value| holds(value.as_bytes()))
        })
    }

    /// Forgets the requests so far, and with them what `nth` and `before` count.
    pub fn forget(&self) {
        self.shared.log().clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a listening socket");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, Arc::clone(&shared)));
            // An error here is a connection that a fault closed, or that the client did.
            let mut http = hyper::server::conn::http1::Builder::new();
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Answers one request; an error closes the connection without an answer.
async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let seen = {
        let mut log = shared.log();
        let (method, path) = (head.method.as_str(), head.uri.path());
        let nth = log.iter().filter(|seen| seen.method == method && seen.path == path).count();
        let seen = Seen {
            method: method.to_owned(),
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
            nth,
            before: log.len(),
        };
        log.push(seen.clone());
        seen
    };
    let rule = Arc::clone(&shared.rule.lock().expect("no one panics while holding the rule"));
    let closed = || Err(io::Error::other("closed by a fault"));
    let mut fault = rule(&seen);
    while let Fault::Once(free, then) = fault {
        while !free.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fault = *then;
    }
    match fault {
        Fault::None => Ok(whole(pass(&seen, &shared).await)),
        Fault::DropRequest => closed(),
        Fault::DropAnswer => {
            pass(&seen, &shared).await;
            closed()
        }
        Fault::Answer(reply) => Ok(whole(reply)),
        Fault::AnswerAfter(reply) => {
            pass(&seen, &shared).await;
            Ok(whole(reply))
        }
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            Ok(whole(pass(&seen, &shared).await))
        }
        Fault::CutBody(bytes) => Ok(cut(pass(&seen, &shared).await, bytes)),
        Fault::Rewrite(change) => {
            let mut reply = pass(&seen, &shared).await;
            change(&mut reply);
            Ok(whole(reply))
        }
        // Undone by the loop above.
        Fault::Once(..) => closed(),
    }
}

/// Sends the request to the server and waits for the whole answer; a server that does not answer is a 502.
async fn pass(seen: &Seen, shared: &Shared) -> Reply {
    let url = match seen.query.as_str() {
        "" => format!("{}{}", shared.upstream, seen.path),
        query => format!("{}{}?{query}", shared.upstream, seen.path),
    };
    // `Host` stays what the client sent: a server that makes links of it then links to the proxy.
    let mut headers = seen.headers.clone();
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    let method = seen.method.parse().expect("a method that was one when it came");
    let sent = shared.client.request::<&str>(method, &url).headers(headers).body(seen.body.clone()).send().await;
    let answer = async {
        let answer = sent?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
            headers.remove(name);
        }
        Ok::<_, reqwest::Error>(Reply { status, headers, body: answer.bytes().await? })
    };
    answer.await.unwrap_or_else(|error| Reply::json(502, &format!("{{\"proxy\":\"{error}\"}}")))
}

fn whole(reply: Reply) -> Response<Body> {
    let mut response =
        Response::new(http_body_util::Full::new(reply.body).map_err(|never: Infallible| match never {}).boxed());
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

/// The answer with its full length announced, and the connection closed after `bytes` of its body.
fn cut(reply: Reply, bytes: usize) -> Response<Body> {
    let length = reply.body.len();
    let start = reply.body.slice(..bytes.min(length));
    let frames = futures::stream::iter([Ok(Frame::data(start))]).chain(futures::stream::once(async {
        // What was written before must be on its way, or the head is lost with it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::other("cut by a fault"))
    }));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}
