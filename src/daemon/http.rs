//! HTTP around a [`Control`]: routes, and bounds on what comes in. Refusals come before bodies are read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::metrics::CONTENT_TYPE;
use crate::model::{Order, Secret, glob_matches, misleads};
use crate::world::Clock;

use super::access::{Gate, Wish, is_own_origin};
use super::events::{Following, Since, follow, lines};
use super::hook::Hook;
use super::patient::Patient;
use super::reply::{HTML, JSON, JSON_LINES, Reply, closing, denied, dressed, harmless, reply, say};
use super::{Access, Control, DaemonError, page};

/// The largest body that is taken, in bytes: of a webhook and of an order.
pub const MAX_BODY: usize = 256 << 10;
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Connections at a time; who comes when it is full waits in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 256;
/// Requests that are worked on at a time; others wait. Probes do not: whoever asks whether the watcher lives must not
/// wait behind those who keep it busy, or it is killed because it was asked too much.
const MAX_REQUESTS: usize = 64;
/// Readers of events at a time; others are told to come back.
const MAX_READERS: usize = 16;
/// For the head of a request (an idle connection included), and again for its body.
const READ_TIME: Duration = Duration::from_secs(10);
/// For a client to take something of its answer.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// For those who are still being answered when the watcher stops.
const GRACE: Duration = Duration::from_secs(5);
/// How often a reason to refuse webhooks is told. Whoever forges five thousand of them fills no log.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How a watcher listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may look, and who may give orders.
    pub access: Access,
    /// What senders of webhooks know; without it there are none.
    pub webhook: Option<Secret>,
    /// For ages, and for how often something is told.
    pub clock: Clock,
}

/// A listener and who answers there, apart from its connections.
pub struct Daemon {
    listener: TcpListener,
    desk: Arc<Desk>,
}

/// Who answers.
struct Desk {
    control: Arc<dyn Control>,
    gate: Gate,
    hook: Option<Hook>,
    clock: Clock,
    readers: Arc<Semaphore>,
    requests: Semaphore,
    /// Since when each reason to refuse a webhook was told, by the boot clock.
    told: Mutex<BTreeMap<&'static str, Duration>>,
    stop: CancellationToken,
}

impl Daemon {
    /// Puts `control` behind `listener`. Nothing is accepted before [`Daemon::serve`]. Fails if a token is empty, or if
    /// there is none and the listener can be reached from other machines.
    pub fn new(listener: TcpListener, control: Arc<dyn Control>, config: &Config) -> Result<Self, DaemonError> {
        let addr = listener.local_addr().map_err(|e| DaemonError::Listen { why: e.to_string() })?;
        let desk = Desk {
            control,
            gate: Gate::new(&config.access, addr)?,
            hook: config.webhook.as_ref().map(Hook::new).transpose()?,
            clock: config.clock.clone(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            requests: Semaphore::new(MAX_REQUESTS),
            told: Mutex::default(),
            stop: CancellationToken::new(),
        };
        Ok(Self { listener, desk: Arc::new(desk) })
    }

    /// Where it listens.
    pub fn addr(&self) -> Result<SocketAddr, DaemonError> {
        self.listener.local_addr().map_err(|e| DaemonError::Listen { why: e.to_string() })
    }

    /// Answers until `shutdown`, then ends the streams of events and lets others who are being answered finish, for five
    /// seconds at most.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, desk } = self;
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let next = async {
                let permit = Arc::clone(&room).acquire_owned().await;
                (listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                next = next => next,
                () = &mut shutdown => break,
            };
            let Ok((stream, client)) = accepted else {
                // Out of descriptors, or the client left already: neither ends the watcher, and neither may spin.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            // Answers are written whole, so waiting for more bytes only costs time; a refusal of it changes no answer.
            let _ = stream.set_nodelay(true);
            let desk = Arc::clone(&desk);
            let service = service_fn(move |request| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(desk.answer(request, client.ip()).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(READ_TIME)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(Patient::new(stream, WRITE_TIME)), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // A connection that breaks concerns its client only.
                let _ = connection.await;
                drop(permit);
            });
        }
        drop(listener);
        desk.stop.cancel();
        let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>, client: IpAddr) -> Reply {
        let path = request.uri().path().to_owned();
        let hook = path.strip_prefix("/hook").filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let allowed: &[Method] = match path.as_str() {
            "/livez" | "/readyz" | "/metrics" | "/" | "/v1/status" | "/v1/events" => &[Method::GET, Method::HEAD],
            "/v1/orders" => &[Method::POST],
            _ if path.starts_with("/readyz/") => &[Method::GET, Method::HEAD],
            _ if hook.is_some() => &[Method::POST],
            _ => return closing(say(StatusCode::NOT_FOUND, "there is nothing here: see GET /")),
        };
        if !allowed.contains(request.method()) {
            let words: Vec<&str> = allowed.iter().map(Method::as_str).collect();
            let mut reply = closing(say(StatusCode::METHOD_NOT_ALLOWED, "not like this"));
            if let Ok(value) = HeaderValue::from_str(&words.join(", ")) {
                reply.headers_mut().insert(header::ALLOW, value);
            }
            return reply;
        }
        let _busy = match path.as_str() {
            "/livez" | "/readyz" => None,
            _ => self.requests.acquire().await.ok(),
        };
        if let Some(name) = hook {
            return self.hook(request, name.trim_start_matches('/')).await;
        }
        match path.as_str() {
            "/livez" => self.alive(),
            "/readyz" => self.ready(),
            other if other.starts_with("/readyz/") => self.ready_at(other.trim_start_matches("/readyz/")),
            "/metrics" => reply(StatusCode::OK, CONTENT_TYPE, self.control.metrics().into()),
            "/v1/orders" => self.order(request, client).await,
            _ => match self.gate.admits(Wish::Look, request.headers()) {
                Err(denial) => closing(denied(denial, Wish::Look)),
                Ok(()) => match path.as_str() {
                    "/v1/status" => self.status(request.uri().query()),
                    "/v1/events" => self.events(&request),
                    _ => self.page(),
                },
            },
        }
    }

    fn alive(&self) -> Reply {
        match self.control.alive() {
            true => say(StatusCode::OK, "ok"),
            false => say(StatusCode::SERVICE_UNAVAILABLE, "the loop does not turn: restart the watcher"),
        }
    }

    fn ready(&self) -> Reply {
        let reasons = self.control.not_ready();
        if reasons.is_empty() {
            // The process does its work. Which targets are behind is told all the same.
            let late = self.control.status().targets.into_iter().filter_map(|target| target.not_ready);
            let lines: Vec<String> = std::iter::once("ok".to_owned()).chain(late.map(|why| harmless(&why))).collect();
            return say(StatusCode::OK, &lines.join("\n"));
        }
        let lines: Vec<String> = reasons.iter().map(|reason| harmless(reason)).collect();
        say(StatusCode::SERVICE_UNAVAILABLE, &lines.join("\n"))
    }

    /// The same of one target: red if it is not known to be kept in order.
    fn ready_at(&self, name: &str) -> Reply {
        let reasons = self.control.not_ready();
        match self.control.status().targets.into_iter().find(|target| target.target == name) {
            None if reasons.is_empty() => say(StatusCode::NOT_FOUND, "there is no target of this name"),
            Some(target) if target.not_ready.is_none() && reasons.is_empty() => say(StatusCode::OK, "ok"),
            found => {
                let why = found.and_then(|target| target.not_ready).into_iter().chain(reasons);
                let lines: Vec<String> = why.map(|why| harmless(&why)).collect();
                say(StatusCode::SERVICE_UNAVAILABLE, &lines.join("\n"))
            }
        }
    }

    fn status(&self, query: Option<&str>) -> Reply {
        let mut status = self.control.status();
        if let Some(glob) = parameter(query, "target") {
            status.targets.retain(|target| glob_matches(&glob, &target.target));
        }
        if let Some(glob) = parameter(query, "resource") {
            status.resources = self.control.resources(&glob);
        }
        match serde_json::to_vec(&status) {
            Ok(body) => reply(StatusCode::OK, JSON, body.into()),
            Err(e) => say(StatusCode::INTERNAL_SERVER_ERROR, &format!("the status cannot be written: {e}")),
        }
    }

    fn events(&self, request: &Request<Incoming>) -> Reply {
        let query = request.uri().query();
        let since = match parameter(query, "since") {
            None => Since::Seq(0),
            Some(text) => match Since::parse(&text) {
                Some(since) => since,
                None => return say(StatusCode::BAD_REQUEST, "since is a number of an entry, or a time such as 10m"),
            },
        };
        let Ok(permit) = Arc::clone(&self.readers).try_acquire_owned() else {
            let mut reply = say(StatusCode::SERVICE_UNAVAILABLE, "too many read events: try again in a while");
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            return reply;
        };
        let (first, seq) = since.entries(&*self.control, self.clock.wall());
        let stays = parameter(query, "follow").is_some_and(|text| text != "0" && text != "false");
        if !stays || request.method() == Method::HEAD {
            return reply(StatusCode::OK, JSON_LINES, lines(&first));
        }
        let (control, stop) = (Arc::clone(&self.control), self.stop.clone());
        let stream = follow(Following { control, first, seq, stop, _permit: permit });
        dressed(StatusCode::OK, JSON_LINES, UnsyncBoxBody::new(StreamBody::new(stream)))
    }

    fn page(&self) -> Reply {
        let (_, newest) = self.control.events(u64::MAX);
        let (entries, _) = self.control.events(newest.saturating_sub(page::ENTRIES));
        let text = page::page(&self.control.status(), self.control.alive(), &entries, self.clock.wall());
        let mut reply = reply(StatusCode::OK, HTML, text.into());
        let policy = HeaderValue::from_str(&page::policy());
        reply.headers_mut().extend(policy.map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
        reply
    }

    async fn order(&self, request: Request<Incoming>, client: IpAddr) -> Reply {
        if let Err(denial) = self.gate.admits(Wish::Order, request.headers()) {
            return closing(denied(denial, Wish::Order));
        }
        if !is_own_origin(request.headers()) {
            return closing(say(StatusCode::FORBIDDEN, "a page of another origin gives no orders"));
        }
        // A form of a page somewhere can send other types without being asked, and never this one.
        if !is_json(request.headers()) {
            return closing(say(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "an order is JSON: Content-Type: application/json",
            ));
        }
        let who = who(request.headers(), client);
        let mut text = Vec::new();
        if let Err(refusal) = read(request, |bytes| text.extend_from_slice(bytes)).await {
            return refusal;
        }
        let order: Order = match serde_json::from_slice(&text) {
            Ok(order) => order,
            Err(e) => return say(StatusCode::BAD_REQUEST, &harmless(&format!("this is no order: {e}"))),
        };
        let answer = self.control.order(order, &who);
        let status = if answer.accepted { StatusCode::OK } else { StatusCode::CONFLICT };
        match serde_json::to_vec(&answer) {
            Ok(body) => reply(status, JSON, body.into()),
            Err(e) => say(StatusCode::INTERNAL_SERVER_ERROR, &format!("the answer cannot be written: {e}")),
        }
    }

    async fn hook(&self, request: Request<Incoming>, name: &str) -> Reply {
        let Some(hook) = &self.hook else {
            return closing(say(StatusCode::NOT_FOUND, "no webhook is set up: start with --webhook-secret-file"));
        };
        let mut claim = match hook.claim(name, request.headers()) {
            None => return closing(say(StatusCode::NOT_FOUND, "no such hook: POST to /hook")),
            Some(Err(why)) => return closing(self.refuse_hook(why)),
            Some(Ok(claim)) => claim,
        };
        if let Err(refusal) = read(request, |bytes| claim.update(bytes)).await {
            return refusal;
        }
        if !claim.holds() {
            return self.refuse_hook("the signature is not that of the body");
        }
        self.control.hint();
        say(StatusCode::ACCEPTED, "the repository will be looked at")
    }

    fn refuse_hook(&self, why: &'static str) -> Reply {
        let now = self.clock.boot();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = told.get(why).is_none_or(|then| now.saturating_sub(*then) >= TELL_EVERY);
        if is_new {
            told.insert(why, now);
        }
        drop(told);
        if is_new {
            self.control.hook_refused(why);
        }
        say(StatusCode::UNAUTHORIZED, why)
    }
}

/// Gives the body of a request to `take`, piece by piece: at most [`MAX_BODY`] of it, and within [`READ_TIME`]. What is
/// announced as larger is refused before a byte is read.
async fn read(request: Request<Incoming>, mut take: impl FnMut(&[u8])) -> Result<(), Reply> {
    let too_large = || closing(say(StatusCode::PAYLOAD_TOO_LARGE, &format!("a body has at most {MAX_BODY} bytes")));
    let mut body = request.into_body();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let mut left = MAX_BODY;
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| closing(say(StatusCode::BAD_REQUEST, "the body breaks off")))?;
            let Some(bytes) = frame.data_ref() else { continue };
            left = left.checked_sub(bytes.len()).ok_or_else(too_large)?;
            take(bytes);
        }
        Ok(())
    };
    match tokio::time::timeout(READ_TIME, reading).await {
        Ok(done) => done,
        Err(_) => Err(closing(say(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))),
    }
}

/// Who gives an order, as far as that is known: what they call themselves, and where they are.
fn who(headers: &HeaderMap, client: IpAddr) -> String {
    let name = headers.get("x-ctl-who").and_then(|name| name.to_str().ok()).unwrap_or_default();
    let name: String = name.chars().filter(|c| !misleads(*c)).take(64).collect();
    let name = if name.trim().is_empty() { "somebody" } else { name.trim() };
    format!("{name} at {}", client.to_canonical())
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}

/// The first value of a parameter of a query, decoded.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
