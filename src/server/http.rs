//! HTTP around the store: who may ask, how often, and what happens to the bytes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::model::{Digest, Secret};
use crate::world::{Clock, Entropy};

use super::call::{Action, Call};
use super::document::Refusal;
use super::faults::{Fate, Faults};
use super::limit::Limiter;
use super::store::Store;
use super::view::{answer, refuse};

/// The largest body that is taken.
pub const MAX_BODY: usize = 1 << 20;
const MAX_CONNECTIONS: usize = 4096;
/// For the head of a request (an idle connection included) and for its body.
const READ_TIME: Duration = Duration::from_secs(30);
/// For those who are still being answered when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// How the server behaves towards its clients.
#[derive(Clone, Debug)]
pub struct Config {
    /// Asked of everybody (`Authorization: Bearer`); without one only loopback is served.
    pub token: Option<Secret>,
    /// Requests a second for each client address.
    pub rate: Option<u32>,
    /// Misbehaviour.
    pub faults: Option<Faults>,
    /// Serve `GET /debug/requests`.
    pub debug_counters: bool,
    /// For the rate limit and for slow answers.
    pub clock: Clock,
    /// For uids.
    pub entropy: Entropy,
}

impl Config {
    /// No token, no rate limit, no faults.
    pub fn open() -> Self {
        Self {
            token: None,
            rate: None,
            faults: None,
            debug_counters: false,
            clock: Clock::System,
            entropy: Entropy::System,
        }
    }
}

/// Why the server does not run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServerError {
    /// The data cannot be used.
    #[error("the data in {} cannot be used: {why}", folder.display())]
    Store {
        /// Where.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// No thread, no file descriptor.
    #[error("the machine gives no thread: {why}")]
    Thread {
        /// Why.
        why: String,
    },
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {why}")]
    Listen {
        /// Where.
        addr: String,
        /// Why.
        why: String,
    },
    /// Anybody could write.
    #[error("{addr} can be reached from other machines: give a --token-file, or listen on 127.0.0.1")]
    NoToken {
        /// Where.
        addr: SocketAddr,
    },
    /// A token of nothing but white space protects nothing.
    #[error("the token is empty")]
    EmptyToken,
}

/// Requests so far, by method and path template.
pub type Counts = BTreeMap<String, u64>;

/// A server, apart from its connections.
#[derive(Debug)]
pub struct Server {
    store: Store,
    config: Config,
    /// SHA-256 of the token: comparing digests tells nothing about the token.
    token: Option<Digest>,
    limiter: Option<Mutex<Limiter>>,
    counts: Mutex<Counts>,
}

impl Server {
    /// Puts HTTP around a store.
    pub fn new(store: Store, config: Config) -> Result<Self, ServerError> {
        #[expect(clippy::disallowed_methods, reason = "the server is the other end: it must know what to ask for")]
        let token = config.token.as_ref().map(|token| token.expose().trim().to_owned());
        if token.as_ref().is_some_and(String::is_empty) {
            return Err(ServerError::EmptyToken);
        }
        let token = token.map(|token| Digest::of(token.as_bytes()));
        let limiter = config.rate.map(|rate| Mutex::new(Limiter::new(rate)));
        Ok(Self { store, config, token, limiter, counts: Mutex::default() })
    }

    /// Requests so far; empty unless the counters are on.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers one request, or closes the connection where a fault says so.
    async fn serve(&self, request: Request<Incoming>, client: IpAddr) -> Result<Response<Sent>, Dropped> {
        let is_head = request.method() == Method::HEAD;
        let (response, truncate) = match self.admit(&request, client) {
            Some(response) => (response, false),
            None => match whole(request).await {
                Err(refusal) => (closing(refuse(&refusal)), false),
                Ok(request) => self.answer(&request).await?,
            },
        };
        let (mut parts, mut body) = response.into_parts();
        if is_head || truncate {
            parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        if is_head {
            body = Bytes::new();
        }
        let cut = truncate && body.len() > 1;
        if cut {
            body.truncate(body.len() / 2);
        }
        Ok(Response::from_parts(parts, Sent { bytes: Some(body), cut }))
    }

    /// Answers what needs no body, and those who may not ask.
    fn admit(&self, request: &Request<Incoming>, client: IpAddr) -> Option<Response<Bytes>> {
        let ok = || answer(StatusCode::OK, None, Bytes::from_static(b"{\"status\":\"ok\"}"));
        match request.uri().path() {
            "/livez" => return Some(ok()),
            "/readyz" if self.store.is_ready() => return Some(ok()),
            "/readyz" => return Some(refuse(&Refusal::new(503, "the store takes no writes: restart the server"))),
            _ => {}
        }
        if self.token.is_some_and(|token| bearer(request) != Some(token)) {
            let mut response = refuse(&Refusal::new(401, "send the token as `Authorization: Bearer …`"));
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return Some(closing(response));
        }
        if self.config.debug_counters {
            if request.uri().path() == "/debug/requests" {
                let body = serde_json::to_vec(&self.counts()).unwrap_or_default();
                return Some(answer(StatusCode::OK, None, body.into()));
            }
            let what = format!("{} {}", request.method(), self.template(request.uri().path()));
            *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
        }
        let limiter = self.limiter.as_ref()?;
        let now = self.config.clock.boot();
        let wait = limiter.lock().unwrap_or_else(PoisonError::into_inner).take(client, now).err()?;
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        Some(closing(refuse(&Refusal { retry_after: Some(seconds), ..Refusal::new(429, "too many requests") })))
    }

    async fn answer(&self, request: &Request<Bytes>) -> Result<(Response<Bytes>, bool), Dropped> {
        let call = Call::read(request, self.store.schema());
        let fate = match &self.config.faults {
            Some(faults) => faults.draw(call.as_ref().ok().and_then(page)),
            None => Fate::default(),
        };
        if let Some(time) = fate.slow {
            self.config.clock.sleep(time).await;
        }
        if fate.drop_request {
            return Err(Dropped);
        }
        if fate.html {
            let mut page = answer(StatusCode::OK, None, Bytes::from_static(b"<!doctype html><title>Sign in</title>"));
            page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
            return Ok((page, false));
        }
        if let Some(status) = fate.status {
            let retry_after = matches!(status, 429 | 503).then_some(1);
            return Ok((refuse(&Refusal { retry_after, ..Refusal::new(status, "a fault, on purpose") }), false));
        }
        let response = match call {
            Err(refusal) => refuse(&refusal),
            Ok(call) if call.is_read() => {
                let response = self.store.read(&call);
                if fate.loop_page { looped(response, &call) } else { response }
            }
            Ok(call) => {
                let uid = format!("{:016x}{:016x}", self.config.entropy.next(), self.config.entropy.next());
                self.store.write(call, uid, fate.lie).await
            }
        };
        if fate.drop_answer { Err(Dropped) } else { Ok((response, fate.truncate)) }
    }

    /// The path without names, so that the number of counters stays small.
    fn template(&self, path: &str) -> String {
        let mut parts = path.strip_prefix("/v1/").unwrap_or_default().splitn(2, '/');
        match (parts.next(), parts.next()) {
            (Some(kind), name) if self.store.schema().kinds.contains_key(kind) => match name {
                Some(_) => format!("/v1/{kind}/{{name}}"),
                None => format!("/v1/{kind}"),
            },
            _ => "other".to_owned(),
        }
    }
}

/// Which page a call asks for, if it asks for one.
fn page(call: &Call) -> Option<u64> {
    match &call.action {
        Action::List(query) => Some(query.after.as_ref().map_or(1, |token| token.pages + 1)),
        Action::Get(_) | Action::Create(..) | Action::Put(..) | Action::Patch(..) | Action::Delete(_) => None,
    }
}

/// The same page with the token that asked for it as the next one.
fn looped(response: Response<Bytes>, call: &Call) -> Response<Bytes> {
    let Action::List(query) = &call.action else { return response };
    let Some(token) = &query.after else { return response };
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::ETAG);
    let text = String::from_utf8_lossy(&body);
    // The array ends with the last `]`: no string follows it but a token, and that holds none.
    let items = text.rfind(']').map_or("{\"items\":[]", |end| &text[..=end]);
    let text = format!("{items},\"next\":\"{}\",\"total\":1000000}}", token.write());
    Response::from_parts(parts, text.into())
}

fn bearer(request: &Request<Incoming>) -> Option<Digest> {
    let text = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Digest::of(token.trim().as_bytes()))
}

/// The body of the request may be unread, so the connection cannot go on.
fn closing(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn whole(request: Request<Incoming>) -> Result<Request<Bytes>, Refusal> {
    let (parts, body) = request.into_parts();
    let too_large = || Refusal::new(413, format!("a body has at most {MAX_BODY} bytes"));
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(READ_TIME, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, body.to_bytes())),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(e)) => Err(Refusal::new(400, format!("the body cannot be read: {e}"))),
        Err(_) => Err(Refusal::new(408, "the body did not come in time")),
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped on purpose")]
struct Dropped;

/// A body in one piece, or the first half of one.
struct Sent {
    bytes: Option<Bytes>,
    cut: bool,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        Poll::Ready(match self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None => self.cut.then_some(Err(Dropped)),
        })
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self.cut {
            true => SizeHint::default(),
            false => SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// Serves until `shutdown`, then lets those who are being answered finish.
pub async fn run(
    listener: TcpListener,
    server: Arc<Server>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let addr = listener
        .local_addr()
        .map_err(|e| ServerError::Listen { addr: "the given socket".to_owned(), why: e.to_string() })?;
    if server.token.is_none() && !addr.ip().is_loopback() {
        return Err(ServerError::NoToken { addr });
    }
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Those who come when it is full wait in the kernel's queue.
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of descriptors, or the client left already: neither ends the server, and neither may spin.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        // Answers are written whole, so waiting for more bytes only costs time; a refusal of it changes no answer.
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { server.serve(request, client.ip()).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(READ_TIME)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks concerns its client only.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    // Who has not finished by then is cut off; what was acknowledged is durable.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}
