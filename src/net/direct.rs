//! Connections to a plain HTTP server that are driven by who waits for the answer.
//!
//! A client that shares its connections among tasks wakes two of them for each answer, and where many answers come at
//! once that costs more than the answers do. Here a request has its connection to itself until the answer has come, and
//! both are polled as one.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service as _;

use super::NetError;
use super::gathered::{Gathered, broke_off};
use super::http::{AGENT, CONNECT, IDLE, POOL, told_by};

/// A server that is spoken to without TLS and without a proxy.
#[derive(Debug)]
pub(super) struct Direct {
    authority: Authority,
    host: HeaderValue,
    connector: HttpConnector,
    /// Those that wait for a request; the last one was used last.
    idle: Mutex<Vec<Connection>>,
}

impl Direct {
    /// A server at the origin of `url`, if it can be spoken to like this. `is_own` says that it is on this machine, to which
    /// no proxy leads.
    pub(super) fn new(url: &reqwest::Url, is_own: bool) -> Option<Self> {
        let uri: Uri = url.as_str().parse().ok()?;
        let authority = uri.authority()?.clone();
        let is_plain = uri.scheme() == Some(&Scheme::HTTP) && !authority.as_str().contains('@');
        if !is_plain || !(is_own || Matcher::from_system().intercept(&uri).is_none()) {
            return None;
        }
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        Some(Self { authority, host, connector, idle: Mutex::default() })
    }

    /// True if the request goes to this server, by an address that needs no rewriting on the way.
    pub(super) fn takes<B>(&self, request: &Request<B>) -> bool {
        let uri = request.uri();
        uri.scheme() == Some(&Scheme::HTTP)
            && uri.authority() == Some(&self.authority)
            && uri.path_and_query().is_some_and(|path| is_as_sent(path.as_str()))
    }

    /// Sends one request and reads its answer to the end, at most `limit` bytes of it. `check` is asked about the headers.
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
        check: impl Fn(&HeaderMap) -> Result<(), NetError>,
    ) -> Result<Response<Bytes>, NetError> {
        let mut request = self.ready(request);
        let (mut connection, answer) = loop {
            let mut connection = self.connection().await?;
            let sent = connection.sender.try_send_request(request);
            match connection.driving(sent).await {
                Ok(answer) => break (connection, answer),
                Err(mut failed) => match failed.take_message() {
                    // It was closed before a byte of the request was written: another one will do.
                    Some(unsent) => request = unsent,
                    None => return Err(NetError::Unanswered { why: told_by(failed.error()) }),
                },
            }
        };
        check(answer.headers())?;
        let (mut parts, mut body) = answer.into_parts();
        let bytes = connection.whole(&mut body, Gathered::new(&mut parts.headers, limit)).await?;
        self.keep(connection);
        Ok(Response::from_parts(parts, bytes))
    }

    /// The request as it goes over the wire.
    fn ready(&self, request: Request<Bytes>) -> Request<Full<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
        let headers = &mut parts.headers;
        headers.insert(HOST, self.host.clone());
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        Request::from_parts(parts, Full::new(body))
    }

    /// A connection that waits and is still open, or a new one.
    async fn connection(&self) -> Result<Connection, NetError> {
        loop {
            let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut connection) = waiting else { break };
            if connection.since.elapsed() < IDLE && connection.is_open().await {
                return Ok(connection);
            }
        }
        let unsent = |why: String| NetError::Unsent { why };
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone()).path_and_query("/").build();
        let uri = uri.map_err(|e| unsent(format!("not a URL: {e}")))?;
        let stream = self.connector.clone().call(uri).await.map_err(|e| unsent(told_by(&e)))?;
        let (sender, driver) = http1::handshake(stream).await.map_err(|e| unsent(told_by(&e)))?;
        Ok(Connection { sender, driver, is_over: false, since: Instant::now() })
    }

    /// Keeps a connection for the next request, and none that waited too long.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.first().is_some_and(|oldest| oldest.since.elapsed() >= IDLE) {
            idle.retain(|waiting| waiting.since.elapsed() < IDLE);
        }
        if !connection.is_over && idle.len() < POOL {
            idle.push(Connection { since: Instant::now(), ..connection });
        }
    }
}

/// One connection, for one request at a time.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
    /// Nothing more will come of it.
    is_over: bool,
    /// Since when it waits for a request.
    since: Instant,
}

impl Connection {
    /// Waits for `wanted`, and reads and writes meanwhile.
    async fn driving<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|context| {
            // What ended it is told to those who wait.
            self.is_over = self.is_over || Pin::new(&mut self.driver).poll(context).is_ready();
            wanted.as_mut().poll(context)
        })
        .await
    }

    /// False once the server has closed it, or said what nobody asked for.
    async fn is_open(&mut self) -> bool {
        poll_fn(|context| {
            self.is_over = self.is_over || Pin::new(&mut self.driver).poll(context).is_ready();
            Poll::Ready(())
        })
        .await;
        !self.is_over && self.sender.is_ready()
    }

    /// The next bytes of a body; `None` at its end.
    async fn chunk(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, NetError> {
        loop {
            match self.driving(body.frame()).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // What else there is are trailers.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(e)) => return Err(broke_off(told_by(&e))),
            }
        }
    }

    /// The body to its end.
    async fn whole(&mut self, body: &mut Incoming, mut into: Gathered) -> Result<Bytes, NetError> {
        into.announced(usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX))?;
        while let Some(bytes) = self.chunk(body).await? {
            into.push(&bytes)?;
        }
        into.finish()
    }
}

/// True if no client would write this path and query in another way: nothing to be encoded, no step up.
fn is_as_sent(path: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/?%".contains(&byte);
    let is_step = |segment: &str| matches!(segment.replace("%2e", ".").replace("%2E", ".").as_str(), "." | "..");
    path.bytes().all(known) && !path.split(['/', '?']).any(is_step)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Answers each request with `answer`, and with `late` some time after it; counts the connections.
    async fn serve(answer: Vec<u8>, late: &'static [u8]) -> (Direct, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = reqwest::Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        stream.write_all(&answer).await.unwrap();
                        if late == b"close" {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        stream.write_all(late).await.unwrap();
                    }
                });
            }
        });
        (Direct::new(&url, true).unwrap(), connections)
    }

    fn get(direct: &Direct, path: &str) -> Request<Bytes> {
        Request::get(format!("http://{}{path}", direct.authority)).body(Bytes::new()).unwrap()
    }

    async fn ask(direct: &Direct, limit: usize) -> Result<Bytes, NetError> {
        direct.send(get(direct, "/x"), limit, |_| Ok(())).await.map(Response::into_body)
    }

    fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn one_connection_serves_one_request_after_the_other() {
        let (direct, connections) = serve(answer("", b"[]"), b"").await;
        for _ in 0..5 {
            assert_eq!(ask(&direct, 9).await.unwrap().as_ref(), b"[]");
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
        let both = futures::future::join(ask(&direct, 9), ask(&direct, 9)).await;
        assert!(both.0.is_ok() && both.1.is_ok());
        assert_eq!(connections.load(Ordering::Relaxed), 2, "two at once need two");
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_says_what_nobody_asked_is_not_used_again() {
        for late in [&b"close"[..], b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"] {
            let (direct, connections) = serve(answer("", b"[]"), late).await;
            for n in 1..4 {
                assert_eq!(ask(&direct, 9).await.unwrap().as_ref(), b"[]");
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert_eq!(connections.load(Ordering::Relaxed), n);
            }
        }
    }

    #[tokio::test]
    async fn one_that_is_given_up_is_not_used_again() {
        let (direct, connections) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1".to_vec(), b"").await;
        for n in 1..3 {
            let given_up = tokio::time::timeout(Duration::from_millis(50), ask(&direct, 9)).await;
            assert!(given_up.is_err());
            assert_eq!(connections.load(Ordering::Relaxed), n);
        }
    }

    #[tokio::test]
    async fn one_that_waited_too_long_is_not_used_again() {
        let (direct, connections) = serve(answer("", b"[]"), b"").await;
        for (waited, expected) in [(0, 1), (80, 1), (100, 2)] {
            for waiting in direct.idle.lock().unwrap().iter_mut() {
                waiting.since = waiting.since.checked_sub(Duration::from_secs(waited)).unwrap();
            }
            assert_eq!(ask(&direct, 9).await.unwrap().as_ref(), b"[]");
            assert_eq!(connections.load(Ordering::Relaxed), expected);
        }
        assert_eq!(direct.idle.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_has_to_be_rewritten_or_goes_elsewhere_is_left_to_others() {
        let (direct, _) = serve(Vec::new(), b"").await;
        for path in ["/", "/a/b.c?x=1&y=%20", "/a//b", "/a/.../b", "/v1/a:b@c"] {
            assert!(direct.takes(&get(&direct, path)), "{path}");
        }
        for path in ["/a/../b", "/a/%2e%2E", "/."] {
            assert!(!direct.takes(&get(&direct, path)), "{path}");
        }
        let elsewhere = Request::get("http://127.0.0.2/").body(Bytes::new()).unwrap();
        assert!(!direct.takes(&elsewhere));
        let url = |text: &str| reqwest::Url::parse(text).unwrap();
        assert!(Direct::new(&url("https://127.0.0.1/"), true).is_none());
        assert!(Direct::new(&url("http://a:b@127.0.0.1/"), true).is_none());
    }
}
