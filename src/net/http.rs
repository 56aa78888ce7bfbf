//! The transport over the network, and what went wrong with it in words.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};

use crate::model::{Limits, Secret};

use super::direct::Direct;
use super::gathered::{Gathered, broke_off};
use super::{NetError, Transport, distrust};

/// How long a connection may take to stand.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections that are kept per host.
pub(super) const POOL: usize = 64;
/// How long they wait for a request, at most: much longer, and what lies between may have forgotten them.
pub(super) const IDLE: Duration = Duration::from_secs(90);
/// What the requests say of who sends them.
pub(super) const AGENT: &str = concat!("ctl/", env!("CARGO_PKG_VERSION"));

/// A [`Transport`] over the network: HTTP/1.1, TLS by rustls, no redirects, no cookies, gzip only, and no proxy for
/// this machine itself.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
    /// Takes what needs neither TLS nor a proxy.
    direct: Option<Arc<Direct>>,
    /// Most bytes of an answer's headers.
    header: usize,
}

/// What trusts and proves whom, in PEM.
#[derive(Clone, Copy, Default)]
pub struct Tls<'a> {
    /// Certificates of a private authority, besides the system's.
    pub ca: Option<&'a [u8]>,
    /// A client certificate and its key.
    pub identity: Option<&'a Secret>,
}

impl HttpTransport {
    /// Makes a client for the origin of `url`. Contacts nobody; fails if a certificate cannot be read.
    pub fn new(url: &str, tls: Tls<'_>) -> Result<Self, NetError> {
        let unsent = |why: String| NetError::Unsent { why };
        // Another part of the program may have done it already: then that one stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(POOL)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .http1_only()
            .retry(reqwest::retry::never())
            .user_agent(AGENT);
        if is_loopback(url) {
            builder = builder.no_proxy();
            if url.starts_with("http://") {
                // Nothing is encrypted on the way: to read the system's hundreds of certificates would take longer than
                // the plan of a small project.
                builder = builder.tls_certs_only([]);
            }
        }
        if let Some(pem) = tls.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|e| unsent(format!("the private authority's certificate cannot be read: {e}")))?;
            if certificates.is_empty() {
                return Err(unsent(
                    "the private authority's certificate cannot be read: there is none in it".to_owned(),
                ));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(pem) = tls.identity {
            #[expect(clippy::disallowed_methods, reason = "the key proves who sends what leaves for a target")]
            let pem = pem.expose();
            let identity = reqwest::Identity::from_pem(pem.as_bytes())
                .map_err(|_| unsent("the client certificate or its key cannot be read".to_owned()))?;
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|e| unsent(format!("no HTTP client can be made: {}", chain(&e))))?;
        let direct = reqwest::Url::parse(url).ok().and_then(|parsed| Direct::new(&parsed, is_loopback(url)));
        Ok(Self { client, direct: direct.map(Arc::new), header: Limits::default().header })
    }

    /// The same, with answers whose headers may have this many bytes.
    #[must_use]
    pub fn with_headers_of(self, header: usize) -> Self {
        Self { header, ..self }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), NetError> {
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > self.header { Err(NetError::HeadersTooLarge { limit: self.header }) } else { Ok(()) }
    }
}

/// An answer that is read as it comes, for as long as it comes.
#[derive(Debug)]
pub struct Flow {
    response: reqwest::Response,
}

impl Flow {
    /// The answer's status.
    pub fn status(&self) -> http::StatusCode {
        self.response.status()
    }

    /// The next bytes; `None` at the end. Fails if nothing comes within `idle`, or the connection breaks.
    pub async fn next(&mut self, idle: Duration) -> Result<Option<Bytes>, NetError> {
        match tokio::time::timeout(idle, self.response.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(e)) => Err(NetError::Unanswered { why: format!("the answer broke off: {}", chain(&e)) }),
            Err(_) => Err(NetError::Unanswered { why: format!("nothing came for {} s", idle.as_secs_f32()) }),
        }
    }
}

impl HttpTransport {
    /// Sends a request without a body and gives its answer as a [`Flow`], once its head is there: within `deadline`.
    pub async fn open(&self, request: http::Request<()>, deadline: Duration) -> Result<Flow, NetError> {
        let (parts, ()) = request.into_parts();
        let url = reqwest::Url::parse(&parts.uri.to_string())
            .map_err(|e| NetError::Unsent { why: format!("not a URL: {e}") })?;
        let sent = self.client.request(parts.method, url).headers(parts.headers).send();
        match tokio::time::timeout(deadline, sent).await {
            Ok(response) => {
                let response = response.map_err(|e| classify(&e))?;
                self.check(response.headers())?;
                Ok(Flow { response })
            }
            Err(_) => Err(NetError::Unanswered { why: format!("no answer within {} s", deadline.as_secs_f32()) }),
        }
    }
}

impl HttpTransport {
    /// Sends a request over TLS, through a proxy, or to where its address has to be rewritten first.
    async fn exchange(&self, request: http::Request<Bytes>, limit: usize) -> Result<http::Response<Bytes>, NetError> {
        let (parts, body) = request.into_parts();
        let url = reqwest::Url::parse(&parts.uri.to_string())
            .map_err(|e| NetError::Unsent { why: format!("not a URL: {e}") })?;
        let mut builder = self.client.request(parts.method, url).headers(parts.headers);
        builder = builder.header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if !body.is_empty() {
            builder = builder.body(body);
        }
        let mut response = builder.send().await.map_err(|e| classify(&e))?;
        self.check(response.headers())?;
        let mut headers = std::mem::take(response.headers_mut());
        let mut body = Gathered::new(&mut headers, limit);
        body.announced(response.content_length().and_then(|n| usize::try_from(n).ok()).unwrap_or(0))?;
        while let Some(bytes) = response.chunk().await.map_err(|e| broke_off(chain(&e)))? {
            body.push(&bytes)?;
        }
        let mut whole = http::Response::new(body.finish()?);
        *whole.status_mut() = response.status();
        *whole.headers_mut() = headers;
        Ok(whole)
    }
}

impl Transport for HttpTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
        limit: usize,
    ) -> Result<http::Response<Bytes>, NetError> {
        let exchange = async {
            match &self.direct {
                Some(direct) if direct.takes(&request) => {
                    direct.send(request, limit, |headers| self.check(headers)).await
                }
                Some(_) | None => self.exchange(request, limit).await,
            }
        };
        match tokio::time::timeout(deadline, exchange).await {
            Ok(done) => done,
            Err(_) => Err(NetError::Unanswered { why: format!("no whole answer within {} s", deadline.as_secs_f32()) }),
        }
    }
}

/// A connection that never stood sent nothing. Everything later may have arrived, also where a kept connection was
/// closed before the first byte of an answer.
fn classify(error: &reqwest::Error) -> NetError {
    let distrust = error.is_connect().then(|| causes(error).find_map(distrust::told)).flatten();
    if let Some(why) = distrust {
        return NetError::Distrusted { why };
    }
    let why = chain(error);
    if error.is_connect() || error.is_builder() { NetError::Unsent { why } } else { NetError::Unanswered { why } }
}

/// Layers that only say that something below them failed.
const WRAPPERS: [&str; 5] = [
    "client error (Connect)",
    "client error (SendRequest)",
    "tcp connect error",
    "connection error",
    "error reading a body from connection",
];

/// What the layers below say, and what it means.
const PLAIN: [(&str, &str); 5] = [
    ("invalid content-length parsed", "no good HTTP: its Content-Length is no number, or stands there twice"),
    ("message head is too large", "the head of the answer is too large, or has too many lines"),
    ("end of file before message length reached", "it ended before the length that it announced"),
    ("unexpected EOF during chunk size line", "it ended between two chunks"),
    ("connection closed before message completed", "the connection was closed before an answer came"),
];

/// The innermost causes, which say more than the outer ones; the URL is left to the caller.
fn chain(error: &reqwest::Error) -> String {
    causes(error).find_map(distrust::told).unwrap_or_else(|| told(causes(error).map(ToString::to_string).collect()))
}

/// What an error of a layer below says, the layers below that included.
pub(super) fn told_by(error: &(dyn std::error::Error + 'static)) -> String {
    told(std::iter::once(error.to_string()).chain(causes(error).map(ToString::to_string)).collect())
}

/// What is behind `error`, the outermost cause first.
fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause: &'e (dyn std::error::Error + 'static) = next?;
        next = cause.source();
        Some(cause)
    })
}

/// `Connection refused` rather than `client error (Connect): tcp connect error: Connection refused (os error 111)`.
fn told(mut causes: Vec<String>) -> String {
    for cause in &mut causes {
        if let Some((text, _)) = cause.rsplit_once(" (os error ").filter(|(_, number)| number.ends_with(')')) {
            *cause = text.to_owned();
        }
    }
    for cause in &mut causes {
        if let Some((_, plain)) = PLAIN.iter().find(|(odd, _)| cause == odd) {
            *cause = (*plain).to_owned();
        }
    }
    causes.dedup();
    let last = causes.last().cloned();
    causes.retain(|cause| !WRAPPERS.contains(&cause.as_str()));
    match last {
        None => "the request failed".to_owned(),
        Some(last) if causes.is_empty() => last,
        Some(_) => causes.join(": "),
    }
}

/// True if the URL names this machine itself.
pub fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some(host) if host == "localhost" || host.ends_with(".localhost") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// Shares one client among tasks.
impl Transport for Arc<HttpTransport> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
        limit: usize,
    ) -> Result<http::Response<Bytes>, NetError> {
        (**self).send(request, deadline, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn serve(answer: &'static [u8]) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                stream.write_all(answer).await.unwrap();
            }
        });
        url
    }

    async fn ask(url: &str, limit: usize) -> Result<http::Response<Bytes>, NetError> {
        let transport = HttpTransport::new(url, Tls::default()).unwrap();
        let request = http::Request::get(url).body(Bytes::new()).unwrap();
        transport.send(request, Duration::from_millis(800), limit).await
    }

    #[tokio::test]
    async fn an_answer_comes_back_whole_and_a_redirect_as_it_is() {
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]").await;
        assert_eq!(ask(&url, 100).await.unwrap().body().as_ref(), b"[]");
        let url = serve(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(ask(&url, 100).await.unwrap().status(), 302);
    }

    #[tokio::test]
    async fn what_was_not_sent_and_what_was_not_answered_are_two_things() {
        assert!(matches!(ask("http://127.0.0.1:1/", 100).await, Err(NetError::Unsent { .. })));
        let url = serve(b"").await;
        assert!(matches!(ask(&url, 100).await, Err(NetError::Unanswered { .. })));
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n[1").await;
        assert!(matches!(ask(&url, 100).await, Err(NetError::Unanswered { .. })));
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1").await;
        assert!(matches!(ask(&url, 100).await, Err(NetError::Unanswered { .. })), "the deadline holds");
    }

    #[tokio::test]
    async fn a_flow_is_read_as_it_comes_and_says_when_nothing_does() {
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}\n").await;
        let transport = HttpTransport::new(&url, Tls::default()).unwrap();
        let request = || http::Request::get(&url).body(()).unwrap();
        let wait = Duration::from_millis(300);
        let mut flow = transport.open(request(), wait).await.unwrap();
        assert_eq!(flow.status(), 200);
        assert_eq!(flow.next(wait).await.unwrap().unwrap().as_ref(), b"{}\n");
        assert!(matches!(flow.next(wait).await, Err(NetError::Unanswered { .. })), "the peer went silent");
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]").await;
        let request = http::Request::get(&url).body(()).unwrap();
        let mut flow = HttpTransport::new(&url, Tls::default()).unwrap().open(request, wait).await.unwrap();
        assert_eq!(flow.next(wait).await.unwrap().unwrap().as_ref(), b"[]");
        assert_eq!(flow.next(wait).await, Ok(None));
    }

    #[tokio::test]
    async fn headers_may_have_what_the_limit_says_and_no_byte_more() {
        let url = serve(b"HTTP/1.1 200 OK\r\nX-Ab: 123\r\nContent-Length: 2\r\n\r\n[]").await;
        for (most, fits) in [(22, true), (21, false)] {
            let transport = HttpTransport::new(&url, Tls::default()).unwrap().with_headers_of(most);
            let request = http::Request::get(&url).body(Bytes::new()).unwrap();
            let found = transport.send(request, Duration::from_millis(800), 100).await;
            assert_eq!(found.is_ok(), fits, "{found:?}");
            let wait = Duration::from_millis(800);
            let opened = transport.open(http::Request::get(&url).body(()).unwrap(), wait).await;
            assert_eq!(opened.is_ok(), fits, "{opened:?}");
            if !fits {
                assert_eq!(found.unwrap_err(), NetError::HeadersTooLarge { limit: 21 });
            }
        }
    }

    #[tokio::test]
    async fn a_large_answer_is_refused() {
        let url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[1,2]\n").await;
        assert_eq!(ask(&url, 5).await.unwrap_err(), NetError::TooLarge { limit: 5 });
    }
}
