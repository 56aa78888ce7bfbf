//! HTTP around the store: who may ask, how often, and what happens to the bytes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
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

use crate::model::{Digest, Secret, names_this_machine};
use crate::world::{Clock, Entropy};

use super::call::{Action, Call};
use super::document::Refusal;
use super::error::ServerError;
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
        store.begin(config.entropy.next());
        Ok(Self { store, config, token, limiter, counts: Mutex::default() })
    }

    /// Whether it may be reached there: from other machines only with a token.
    pub fn may_listen(&self, listener: &TcpListener) -> Result<SocketAddr, ServerError> {
        let addr = listener
            .local_addr()
            .map_err(|e| ServerError::Listen { addr: "the given socket".to_owned(), why: e.to_string() })?;
        if self.token.is_none() && !addr.ip().is_loopback() {
            return Err(ServerError::NoToken { addr });
        }
        Ok(addr)
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
        Ok(Response::from_parts(parts, Sent { bytes: Some(body), cut: cut.then_some(false) }))
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
        if self.token.is_none() && !by_this_machine(request) {
            let why = "ask by 127.0.0.1 or localhost; another name needs a token: start with --token-file";
            return Some(closing(refuse(&Refusal::new(421, why))));
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
            Ok(_) if fate.conflict => refuse(&Refusal::new(412, "a conflict, on purpose")),
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

/// True if the one `Host` header names this machine. A page of another site that points its name here has that one.
fn by_this_machine<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    hosts.next().is_none() && host.is_some_and(names_this_machine)
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
    /// Set where the connection breaks after these bytes; true once they had the time to leave.
    cut: Option<bool>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(bytes) = self.bytes.take_if(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.cut {
            None => Poll::Ready(None),
            // What was written is sent while this waits; an error at once would take it back.
            Some(false) => {
                self.cut = Some(true);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(true) => Poll::Ready(Some(Err(Dropped))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self.cut {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// Serves until `shutdown`, then lets those who are being answered finish.
pub async fn run(
    listener: TcpListener,
    server: Arc<Server>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    server.may_listen(&listener)?;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::server::{Embedded, Schema, embedded};

    async fn start(config: Config) -> Embedded {
        embedded(None, Schema::built_in(), config, &Entropy::seeded(1)).await.unwrap()
    }

    /// Sends one request and reads until the connection closes: the status (0 for none) and everything after it.
    async fn ask(server: &Embedded, line: &str, headers: &str, body: &str) -> (u16, String) {
        let chance = Entropy::seeded(1);
        let token = format!("{:016x}{:016x}", chance.next(), chance.next());
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: \
             application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        // A server that hangs up early resets the connection; what came before is what counts.
        let _ = stream.read_to_end(&mut text).await;
        let text = String::from_utf8(text).unwrap();
        (text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0), text)
    }

    #[tokio::test]
    async fn each_status_comes_over_the_wire() {
        let server = start(Config { debug_counters: true, ..Config::open() }).await;
        let huge = format!("{{\"labels\":{{\"a\":\"{}\"}}}}", "x".repeat(MAX_BODY));
        for (line, headers, body, status, holds) in [
            ("PUT /v1/service/a", "", "{}", 201, "location: /v1/service/a"),
            ("PUT /v1/service/a", "", r#"{"spec":{"port":1}}"#, 200, "\"port\":1"),
            ("GET /v1/service/a", "", "", 200, "etag: \""),
            ("HEAD /v1/service/a", "", "", 200, "content-length: 1"),
            ("GET /v1/service", "", "", 200, "\"total\":1}"),
            ("GET /v1/service", "if-none-match: *\r\n", "", 304, ""),
            ("POST /v1/service", "", "{", 400, "not JSON"),
            ("GET /v1/none", "", "", 404, ""),
            ("DELETE /v1/service", "", "", 405, "allow: "),
            ("POST /v1/service", "", r#"{"name":"a"}"#, 409, "service/a"),
            ("PUT /v1/service/a", "if-none-match: *\r\n", "{}", 412, ""),
            ("PUT /v1/service/a", "", huge.as_str(), 413, ""),
            ("PUT /v1/service/a", "", r#"{"spec":{"x":1}}"#, 422, "\"field\":\"/spec/x\""),
            ("PATCH /v1/service/a", "", r#"{"spec":{"port":null}}"#, 200, "\"spec\":{}"),
            ("DELETE /v1/service/a", "", "", 204, ""),
            ("GET /livez", "", "", 200, "ok"),
            ("GET /readyz", "", "", 200, "ok"),
            ("GET /debug/requests", "", "", 200, "\"PUT /v1/service/{name}\":5"),
        ] {
            let (got, text) = ask(&server, line, headers, body).await;
            assert!(got == status && text.contains(holds), "{line}: {status} {holds}\n{text}");
        }
        let mut config = Config::open();
        config.entropy = Entropy::seeded(2);
        let stranger = embedded(None, Schema::built_in(), config, &Entropy::seeded(2)).await.unwrap();
        assert_eq!(ask(&stranger, "GET /v1/service", "", "").await.0, 401, "another server's token");
        assert_eq!(ask(&stranger, "GET /livez", "", "").await.0, 200);
        stranger.stop().await.unwrap();
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_client_over_its_rate_is_told_when_to_come_back() {
        let clock = Clock::Scripted(crate::world::ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let server = start(Config { rate: Some(1), clock, ..Config::open() }).await;
        assert_eq!(ask(&server, "GET /v1/service", "", "").await.0, 200);
        let (status, text) = ask(&server, "GET /v1/service", "", "").await;
        assert!(status == 429 && text.contains("retry-after: 1\r\n"), "{text}");
        assert_eq!(ask(&server, "GET /livez", "", "").await.0, 200, "health is not limited");
    }

    #[tokio::test]
    async fn faults_do_what_they_say() {
        let put = "PUT /v1/service/a";
        for (spec, line, status, holds, stored) in [
            ("drop-request=1", put, 0, "", false),
            ("drop-answer=1", put, 0, "", true),
            ("lie=1", put, 201, "\"name\":\"a\"", false),
            ("html=1", put, 200, "<title>", false),
            ("throttle=1", put, 429, "retry-after: 1", false),
            ("status=503", put, 503, "on purpose", false),
            ("conflict=1", put, 412, "on purpose", false),
            ("conflict=1", "GET /v1/service", 200, "\"total\":0}", false),
            ("truncate=1", put, 201, "\"etag\"", true),
            ("fail-page=1", "GET /v1/service", 500, "", false),
            ("gone-page=1", "GET /v1/service", 410, "", false),
        ] {
            let faults = Some(Faults::parse(spec).unwrap());
            let server = start(Config { faults, ..Config::open() }).await;
            let (got, text) = ask(&server, line, "", "{}").await;
            assert!(got == status && text.contains(holds), "{spec}: {status} {holds}\n{text}");
            if spec == "truncate=1" {
                assert!(!text.ends_with('}'), "{text}");
            }
            let request = Request::get("/v1/service/a").body(Bytes::new()).unwrap();
            let call = Call::read(&request, server.server.store.schema()).unwrap();
            assert_eq!(server.server.store.read(&call).status() == 200, stored, "{spec}");
        }
    }

    #[tokio::test]
    async fn a_looping_page_offers_its_own_token_again() {
        let server = start(Config { faults: Some(Faults::parse("loop-page=2").unwrap()), ..Config::open() }).await;
        for name in ["a", "b", "c"] {
            assert_eq!(ask(&server, &format!("PUT /v1/service/{name}"), "", "{}").await.0, 201);
        }
        let (_, first) = ask(&server, "GET /v1/service?limit=1", "", "").await;
        assert!(first.contains("\"next\":\"3~1~a\""), "{first}");
        let (_, second) = ask(&server, "GET /v1/service?limit=1&continue=3~1~a", "", "").await;
        assert!(second.contains("\"name\":\"b\"") && second.contains("\"next\":\"3~1~a\""), "{second}");
    }

    #[tokio::test]
    async fn a_full_queue_answers_503_and_says_when() {
        let store = Store::memory(Schema::built_in(), 1).unwrap();
        let request = Request::put("/v1/service/a").header("content-type", "application/json");
        let call = Call::read(&request.body(Bytes::from_static(b"{}")).unwrap(), store.schema()).unwrap();
        let writes = (0..2000).map(|_| store.write(call.clone(), "u".to_owned(), false));
        let answers = futures::future::join_all(writes).await;
        let refused: Vec<_> = answers.iter().filter(|r| r.status() == 503).collect();
        assert!(refused.iter().all(|r| r.headers()["retry-after"] == "1"));
        assert!(!refused.is_empty() && refused.len() < answers.len(), "{} refused", refused.len());
    }

    #[test]
    fn a_request_by_any_other_name_than_this_machines_own_is_not_from_here() {
        let request = |hosts: &[&str]| {
            let request = Request::builder().uri("/v1/service");
            hosts.iter().fold(request, |request, host| request.header(header::HOST, *host)).body(()).unwrap()
        };
        assert!(by_this_machine(&request(&["localhost:8080"])) && by_this_machine(&request(&["[::1]:8080"])));
        for hosts in [&[][..], &["evil.example"], &["127.0.0.1.evil.example"], &["localhost", "evil.example"]] {
            assert!(!by_this_machine(&request(hosts)), "{hosts:?}");
        }
    }

    #[tokio::test]
    async fn only_loopback_is_served_without_a_token() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let store = Store::memory(Schema::built_in(), 1).unwrap();
        let server = Arc::new(Server::new(store, Config::open()).unwrap());
        let refused = run(listener, server, std::future::pending()).await.unwrap_err();
        assert!(refused.to_string().contains("give a --token-file"), "{refused}");
        let store = Store::memory(Schema::built_in(), 1).unwrap();
        let empty = Config { token: Some(Secret::new(" \n")), ..Config::open() };
        assert_eq!(Server::new(store, empty).unwrap_err(), ServerError::EmptyToken);
    }
}
