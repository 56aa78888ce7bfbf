//! The listener from outside, over a socket.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::daemon::Journal;
use crate::event::{Entry, Level, News};
use crate::model::{Answer, EndpointStatus, ResourceStatus, State, Status, TargetStatus};

const SECRET: &str = "a secret of webhooks";

/// A watcher that remembers what it was asked.
#[derive(Default)]
struct Fake {
    journal: Journal,
    status: Status,
    not_ready: Vec<String>,
    stuck: bool,
    hints: AtomicUsize,
    refused: Mutex<Vec<&'static str>>,
    orders: Mutex<Vec<(Order, String)>>,
}

impl Control for Fake {
    fn status(&self) -> Status {
        self.status.clone()
    }

    fn resources(&self, glob: &str) -> Option<Vec<ResourceStatus>> {
        let there = ["mq:queue/shop/orders", "mq:queue/shop/mails"];
        let fits = there.iter().filter(|address| crate::model::glob_matches(glob, address));
        Some(fits.map(|address| ResourceStatus { address: (*address).to_owned(), source: None }).collect())
    }

    fn alive(&self) -> bool {
        !self.stuck
    }

    fn not_ready(&self) -> Vec<String> {
        self.not_ready.clone()
    }

    fn metrics(&self) -> String {
        "# TYPE up gauge\nup 1\n".to_owned()
    }

    fn events(&self, seq: u64) -> (Vec<Entry>, u64) {
        self.journal.since(seq)
    }

    fn more(&self, seq: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.journal.more(seq))
    }

    fn hint(&self) {
        self.hints.fetch_add(1, Ordering::Relaxed);
    }

    fn hook_refused(&self, why: &'static str) {
        self.refused.lock().unwrap().push(why);
    }

    fn order(&self, order: Order, who: &str) -> Answer {
        let accepted = !matches!(order, Order::Rollback { .. });
        self.orders.lock().unwrap().push((order, who.to_owned()));
        Answer { accepted, message: "so be it".to_owned(), help: None, only_here: false }
    }
}

impl Fake {
    fn note(&self, message: &str) {
        let news = News::Note { level: Level::Info, message: message.to_owned() };
        self.journal.push(Entry::of(&news, Clock::System.wall(), &str::to_owned).unwrap());
    }
}

struct Running {
    control: Arc<Fake>,
    addr: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn start(control: Fake, access: Access) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = Arc::new(control);
    let config = Config { access, webhook: Some(Secret::new(SECRET)), clock: Clock::System };
    let daemon = Daemon::new(listener, Arc::clone(&control) as Arc<dyn Control>, &config).unwrap();
    let (addr, stop) = (daemon.addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(daemon.serve(stop.clone().cancelled_owned()));
    Running { control, addr, stop, serving }
}

async fn open() -> Running {
    start(Fake::default(), Access::default()).await
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends a request and reads until the connection closes: the status (0 for none) and everything that came.
    async fn ask(&self, line: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.connect().await;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), body].concat();
        // A server that hangs up early resets the connection; what came before is what counts.
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8(answer).unwrap();
        (text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0), text)
    }

    async fn order(&self, headers: &str, body: &str) -> (u16, String) {
        let headers = format!("content-type: application/json\r\n{headers}");
        self.ask("POST /v1/orders", &headers, body.as_bytes()).await
    }
}

fn signed(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x-hub-signature-256: sha256={hex}\r\n")
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}

#[tokio::test]
async fn each_route_answers_and_says_what_it_is() {
    let target = |name: &str| TargetStatus { target: name.to_owned(), ..TargetStatus::default() };
    let status = Status { targets: vec![target("dns-1"), target("mq")], ..Status::default() };
    let server = start(Fake { status, ..Fake::default() }, Access::default()).await;
    server.control.note("one");
    server.control.note("two");
    for (line, status, kind, holds) in [
        ("GET /livez", 200, "text/plain", "ok"),
        ("GET /readyz", 200, "text/plain", "ok"),
        ("GET /metrics", 200, "text/plain; version=0.0.4", "up 1"),
        ("GET /v1/status", 200, "application/json", "\"target\":\"mq\""),
        ("GET /v1/status?target=dns-*", 200, "application/json", "\"target\":\"dns-1\""),
        (
            "GET /v1/status?resource=mq%3Aqueue%2Fshop%2Fo*",
            200,
            "application/json",
            "[{\"address\":\"mq:queue/shop/orders\"",
        ),
        ("GET /v1/events", 200, "application/x-ndjson", "\"message\":\"one\""),
        ("GET /v1/events?since=1", 200, "application/x-ndjson", "\"seq\":2"),
        ("GET /v1/events?since=10m", 200, "application/x-ndjson", "\"seq\":1"),
        ("GET /v1/events?since=99", 200, "application/x-ndjson", "\"seq\":1"),
        ("GET /v1/events?since=soon", 400, "text/plain", "such as 10m"),
        ("HEAD /v1/events?follow=1", 200, "application/x-ndjson", ""),
        ("GET /", 200, "text/html", "<!doctype html>"),
        ("GET /v1/orders", 405, "text/plain", "allow: POST"),
        ("DELETE /v1/status", 405, "text/plain", "allow: GET, HEAD"),
        ("GET /v2", 404, "text/plain", ""),
        ("GET /hookah", 404, "text/plain", ""),
        ("POST /hook/nobody", 404, "text/plain", ""),
    ] {
        let (got, text) = server.ask(line, "", b"").await;
        assert!(got == status && text.contains(holds), "{line}: {status} {holds}\n{text}");
        assert!(text.contains(&format!("content-type: {kind}")), "{line}: {kind}\n{text}");
        assert!(text.contains("x-content-type-options: nosniff\r\n"), "{line}\n{text}");
        assert!(text.contains("cache-control: no-store\r\n"), "{line}\n{text}");
    }
    let (_, text) = server.ask("GET /v1/status?target=dns-*", "", b"").await;
    assert!(!text.contains("\"mq\""), "{text}");
    let (_, text) = server.ask("GET /v1/events?since=1", "", b"").await;
    assert!(!text.contains("\"message\":\"one\""), "{text}");
}

#[tokio::test]
async fn one_target_that_is_not_in_order_is_red_by_itself_and_named() {
    let target = |name: &str, why: Option<&str>| TargetStatus {
        target: name.to_owned(),
        not_ready: why.map(str::to_owned),
        ..TargetStatus::default()
    };
    let status =
        Status { targets: vec![target("dns", None), target("mq", Some("no success of mq"))], ..Status::default() };
    let server = start(Fake { status: status.clone(), ..Fake::default() }, Access::default()).await;
    for (line, code, says) in [
        ("GET /readyz", 200, "ok\nno success of mq"),
        ("HEAD /readyz/dns", 200, ""),
        ("GET /readyz/dns", 200, "ok"),
        ("GET /readyz/mq", 503, "no success of mq"),
        ("GET /readyz/db", 404, "no target"),
        ("GET /readyz/", 404, "no target"),
        ("POST /readyz/mq", 405, "allow: GET, HEAD"),
    ] {
        let (got, text) = server.ask(line, "", b"").await;
        assert!(got == code && text.contains(says), "{line}: {got}\n{text}");
    }
    let not_ready = vec!["etcd is away".to_owned()];
    let server = start(Fake { status, not_ready, ..Fake::default() }, Access::default()).await;
    for line in ["GET /readyz", "GET /readyz/dns", "GET /readyz/mq", "GET /readyz/db"] {
        let (got, text) = server.ask(line, "", b"").await;
        assert!(got == 503 && text.contains("etcd is away"), "{line}: {got}\n{text}");
    }
}

#[tokio::test]
async fn readiness_says_why_not_and_liveness_only_that_the_loop_turns() {
    let not_ready = vec!["dns: no success for 95 s".to_owned(), "mq: nobody\nleads\u{1b}[2J".to_owned()];
    let server = start(Fake { not_ready, ..Fake::default() }, Access::default()).await;
    let (status, text) = server.ask("GET /readyz", "", b"").await;
    assert!(status == 503 && text.ends_with("\r\n\r\ndns: no success for 95 s\nmq: nobody leads [2J\n"), "{text}");
    assert_eq!(server.ask("GET /livez", "", b"").await.0, 200);
    let server = start(Fake { stuck: true, ..Fake::default() }, Access::default()).await;
    assert_eq!(server.ask("GET /livez", "", b"").await.0, 503);
}

#[tokio::test]
async fn a_good_hook_is_a_hint_whatever_it_says() {
    let server = open().await;
    for body in [&b"{\"zen\":\"ping\"}"[..], b"", b"{", b"\xff\xfe", b"{\"repository\":{\"url\":\"(a+)+$\"}}"] {
        let (status, text) = server.ask("POST /hook/github", &signed(SECRET, body), body).await;
        assert_eq!(status, 202, "{text}");
    }
    assert_eq!(server.control.hints.load(Ordering::Relaxed), 5);
    let largest = vec![b'x'; MAX_BODY];
    assert_eq!(server.ask("POST /hook", &signed(SECRET, &largest), &largest).await.0, 202);
    assert!(server.control.refused.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_forged_hook_is_refused_before_its_body_is_read() {
    let server = open().await;
    for proof in ["", "x-hub-signature: sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59\r\n", "x-gitlab-token: guess\r\n"]
    {
        let mut stream = server.connect().await;
        // A gigabyte is announced and never sent: whoever waited for it would answer later, or not at all.
        let head = format!("POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 1073741824\r\n{proof}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        let reading = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut text));
        reading.await.expect("answered at once").unwrap();
        assert!(text.starts_with("HTTP/1.1 401 ") && text.contains("connection: close"), "{proof}: {text}");
    }
    let (status, _) = server.ask("POST /hook", &signed(SECRET, b"a"), b"b").await;
    assert_eq!(status, 401, "signed, but something else");
    assert_eq!(server.ask("POST /hook", &signed("another", b"a"), b"a").await.0, 401);
    assert_eq!(server.control.hints.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let server = open().await;
    let body = vec![b'x'; MAX_BODY + 1];
    assert_eq!(server.ask("POST /hook", &signed(SECRET, &body), &body).await.0, 413, "announced");
    let order = "content-type: application/json\r\n";
    assert_eq!(server.ask("POST /v1/orders", order, &body).await.0, 413);
    // In pieces, without saying how many.
    let mut stream = server.connect().await;
    let head = format!("POST /hook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{}\r\n", signed(SECRET, &body));
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = [format!("{:x}\r\n", 16 << 10).as_bytes(), &body[..16 << 10], b"\r\n"].concat();
    for _ in 0..17 {
        let _ = stream.write_all(&piece).await;
    }
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    assert_eq!(server.control.hints.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    // In real time: a clock that jumps whenever nobody has anything to do is ahead of what is still on its way.
    let server = open().await;
    let given_up = async |line: &str| {
        let mut stream = server.connect().await;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n{}\r\n1",
            signed(SECRET, b"123456789")
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 408 "), "{line}: {text}");
    };
    tokio::join!(given_up("POST /hook"), given_up("POST /v1/orders"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_forged_hooks_cost_little_and_are_told_once() {
    let server = Arc::new(open().await);
    let body = vec![b'x'; 4 << 10];
    let started = tokio::time::Instant::now();
    let began = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let floods: Vec<_> = (0..50)
        .map(|n| {
            let (server, body) = (Arc::clone(&server), body.clone());
            tokio::spawn(async move {
                let proof = if n % 2 == 0 { signed("another", b"x") } else { String::new() };
                for _ in 0..100 {
                    let (status, _) = server.ask("POST /hook", &proof, &body).await;
                    // A client that is reset while it still sends sees no answer.
                    assert!(status == 401 || status == 0, "{status}");
                }
            })
        })
        .collect();
    for flood in floods {
        flood.await.unwrap();
    }
    let ended = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let spent = Duration::new((ended.tv_sec - began.tv_sec).unsigned_abs(), 0)
        + Duration::from_nanos(u64::try_from(ended.tv_nsec).unwrap())
        - Duration::from_nanos(u64::try_from(began.tv_nsec).unwrap());
    println!("5,000 forged hooks: {spent:?} CPU, the clients' included, in a build without optimisation");
    // What other tests of this program take meanwhile is counted too.
    assert!(spent < Duration::from_secs(90), "{spent:?}");
    let minutes = usize::try_from(started.elapsed().as_secs() / 60).unwrap();
    let told = server.control.refused.lock().unwrap().len();
    assert!((2..=2 * (minutes + 1)).contains(&told), "each reason once a minute: {told} in {minutes} minutes");
    assert_eq!(server.ask("GET /livez", "", b"").await.0, 200);
    let (status, _) = server.ask("POST /hook", &signed(SECRET, b"true"), b"true").await;
    assert_eq!(status, 202, "and a good one comes through");
}

#[tokio::test]
async fn without_a_secret_there_are_no_hooks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = Arc::new(Fake::default());
    let config = Config { access: Access::default(), webhook: None, clock: Clock::System };
    let daemon = Daemon::new(listener, Arc::clone(&control) as Arc<dyn Control>, &config).unwrap();
    let (addr, stop) = (daemon.addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(daemon.serve(stop.clone().cancelled_owned()));
    let server = Running { control, addr, stop, serving };
    let (status, text) = server.ask("POST /hook", &signed("", b""), b"").await;
    assert!(status == 404 && text.contains("--webhook-secret-file"), "{text}");
}

#[tokio::test]
async fn orders_need_the_write_token() {
    let access = Access { read: secret("r-token"), write: secret("w-token") };
    let server = start(Fake::default(), access).await;
    let retry = r#"{"order":"retry","target":"mq-*"}"#;
    for (headers, status) in [
        ("", 401),
        ("authorization: Bearer r-token\r\n", 403),
        ("authorization: Bearer w-toke\r\n", 401),
        ("authorization: Basic YW55OnctdG9rZW4=\r\n", 401),
        ("authorization: Bearer w-token\r\nx-ctl-who: alice\r\n", 200),
        ("authorization: bearer w-token\r\n", 200),
    ] {
        let (got, text) = server.order(headers, retry).await;
        assert_eq!(got, status, "{headers}\n{text}");
        assert!(!text.contains("w-token") && !text.contains("r-token"), "{text}");
    }
    let orders = server.control.orders.lock().unwrap().clone();
    let wanted = Order::Retry { target: Some("mq-*".to_owned()) };
    assert_eq!(
        orders,
        [(wanted.clone(), "alice at 127.0.0.1".to_owned()), (wanted, "somebody at 127.0.0.1".to_owned())]
    );
    for (line, headers, status) in [
        ("GET /v1/status", "", 401),
        ("GET /v1/events", "", 401),
        ("GET /", "", 401),
        ("GET /", "authorization: Basic YW55OnItdG9rZW4=\r\n", 200),
        ("GET /v1/status", "authorization: Bearer r-token\r\n", 200),
        ("GET /v1/status", "authorization: Bearer w-token\r\n", 200),
        ("GET /livez", "", 200),
        ("GET /readyz", "", 200),
        ("GET /metrics", "", 200),
    ] {
        assert_eq!(server.ask(line, headers, b"").await.0, status, "{line} {headers}");
    }
}

#[tokio::test]
async fn an_order_that_is_none_is_refused_with_a_reason() {
    let server = open().await;
    for (body, status, holds) in [
        (r#"{"order":"suspend","target":null,"seconds":60,"reason":"maintenance"}"#, 200, "\"accepted\":true"),
        (r#"{"order":"rollback","target":"mq","version":3}"#, 409, "\"accepted\":false"),
        (r#"{"order":"destroy"}"#, 400, "unknown variant"),
        ("{", 400, "EOF"),
        ("", 400, "EOF"),
        (r#"{"order":"approve","checksum":"x","seconds":-1}"#, 400, "this is no order"),
        (r#"{"order":"suspend","targt":"dns"}"#, 400, "unknown field `targt`"),
        (r#"{"order":"retry","seconds":1}"#, 400, "unknown field `seconds`"),
    ] {
        let (got, text) = server.order("", body).await;
        assert!(got == status && text.contains(holds), "{body}: {status} {holds}\n{text}");
    }
    assert_eq!(server.control.orders.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_page_of_a_stranger_can_give_no_order() {
    let server = open().await;
    let retry = br#"{"order":"retry","target":null}"#;
    let json = "content-type: application/json\r\n";
    for (headers, status) in [
        ("content-type: text/plain\r\n".to_owned(), 415),
        ("content-type: application/x-www-form-urlencoded\r\n".to_owned(), 415),
        (String::new(), 415),
        (format!("{json}origin: http://evil.example\r\n"), 403),
        (format!("{json}origin: null\r\n"), 403),
        (format!("{json}sec-fetch-site: cross-site\r\n"), 403),
        (format!("{json}origin: http://localhost\r\n"), 200),
    ] {
        assert_eq!(server.ask("POST /v1/orders", &headers, retry).await.0, status, "{headers}");
    }
    // The name of a stranger's page that points here.
    let mut stream = server.connect().await;
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 421 "), "{text}");
}

#[tokio::test]
async fn events_are_followed_as_they_come_and_end_with_the_watcher() {
    let server = open().await;
    server.control.note("before");
    let mut stream = server.connect().await;
    stream.write_all(b"GET /v1/events?since=0&follow=1 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut seen = String::new();
    for (seq, message) in [(1, "before"), (2, "after"), (3, "later")] {
        if seq > 1 {
            server.control.note(message);
        }
        while !seen.contains(&format!("\"message\":\"{message}\"}}\n")) {
            let mut piece = [0; 1024];
            let n = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut piece)).await.unwrap().unwrap();
            assert!(n > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&piece[..n]).unwrap());
        }
        assert!(seen.contains(&format!("{{\"seq\":{seq},")), "{seen}");
    }
    server.stop.cancel();
    let mut rest = String::new();
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "ended, not broken off: {rest:?}");
    tokio::time::timeout(Duration::from_secs(5), server.serving).await.expect("nobody is waited for").unwrap();
}

#[tokio::test]
async fn an_idle_stream_says_that_it_is_alive() {
    let server = open().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /v1/events?follow=1 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    // Not before it answers: time that goes by as soon as nobody has anything to do is over before a request arrives.
    tokio::time::pause();
    let mut seen = String::new();
    while !seen.ends_with("1\r\n\n\r\n") {
        let mut piece = [0; 1024];
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
}

#[tokio::test]
async fn a_slow_reader_of_events_is_dropped() {
    const NOTES: u64 = 10_000;
    let server = open().await;
    let mut stream = server.connect().await;
    let head = "GET /v1/events?follow=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    // More than the kernel's buffers take, while the reader reads nothing: it is left behind. How long that takes here
    // does not count: whoever takes nothing for ten seconds is dropped, which is another matter.
    let long = "x".repeat(2000);
    tokio::time::pause();
    for n in 0..NOTES {
        server.control.note(&long);
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    tokio::time::resume();
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the stream is over").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with("0\r\n\r\n"), "ended, not broken off");
    let numbers = text.split("{\"seq\":").skip(1).map(|rest| rest.split(',').next().unwrap().parse::<u64>().unwrap());
    let seen = numbers.inspect(|n| assert!(*n <= NOTES)).enumerate().map(|(i, n)| (i as u64 + 1, n));
    let last = seen.map(|(wanted, n)| (assert_eq!(wanted, n, "no gap is hidden"), n).1).last().unwrap();
    assert!(last < NOTES, "nothing was put aside for it: {last}");
}

#[tokio::test]
async fn only_so_many_follow_and_a_place_becomes_free_again() {
    let server = open().await;
    let mut streams = Vec::new();
    for _ in 0..MAX_READERS {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /v1/events?follow=1 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        streams.push(stream);
    }
    let (status, text) = server.ask("GET /v1/events?follow=1", "", b"").await;
    assert!(status == 503 && text.contains("retry-after: 5"), "{text}");
    assert_eq!(server.ask("GET /livez", "", b"").await.0, 200, "others are answered all the same");
    streams.clear();
    for n in 0..100 {
        server.control.note("wakes those who are gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
        if server.ask("GET /v1/events", "", b"").await.0 == 200 {
            return;
        }
        assert!(n < 99, "no place became free");
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = open().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-long: ").await.unwrap();
    for _ in 0..100 {
        if stream.write_all(&[b'a'; 1024]).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 12];
    match stream.read_exact(&mut answer).await {
        Ok(_) => assert_eq!(answer, b"HTTP/1.1 431"),
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
async fn what_is_not_safe_is_not_listened_on() {
    let control = Arc::new(Fake::default());
    let config = Config { access: Access::default(), webhook: None, clock: Clock::System };
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = Daemon::new(listener, Arc::clone(&control) as Arc<dyn Control>, &config).err().unwrap();
    assert!(refused.to_string().contains("--token-file"), "{refused}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { webhook: secret(" "), ..config };
    let refused = Daemon::new(listener, control as Arc<dyn Control>, &config).err().unwrap();
    assert_eq!(refused, DaemonError::EmptyHookSecret);
}

#[tokio::test]
async fn the_page_may_load_nothing_and_be_framed_by_nobody() {
    let why = Some("<script>".to_owned());
    let endpoint = EndpointStatus { state: State::Failing, why, ..EndpointStatus::default() };
    let target = TargetStatus { target: "a".to_owned(), endpoints: vec![endpoint], ..TargetStatus::default() };
    let status = Status { targets: vec![target], ..Status::default() };
    let server = start(Fake { status, ..Fake::default() }, Access::default()).await;
    let (status, text) = server.ask("GET /", "", b"").await;
    assert_eq!(status, 200);
    assert!(text.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{text}");
    assert!(text.contains("x-frame-options: DENY") && text.contains("frame-ancestors 'none'"), "{text}");
    assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
}
