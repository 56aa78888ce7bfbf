//! The counting proxy of the other tests, itself tested against a tiny server.

#[path = "support/proxy.rs"]
mod proxy;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::any};
use proxy::{Fault, Proxy, Reply};

/// A server that says what it got, and how many requests reached it.
async fn upstream() -> (String, Arc<AtomicUsize>) {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    let echo = move |method: axum::http::Method, uri: axum::http::Uri, headers: HeaderMap, body: Bytes| {
        count.fetch_add(1, Ordering::SeqCst);
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        async move { ([("etag", "\"7\"")], format!("{method} {uri} {host} {}", String::from_utf8_lossy(&body))) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a port"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(echo))).await });
    (url, reached)
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

#[tokio::test]
async fn passes_everything_as_it_is_and_counts_it() {
    let (url, reached) = upstream().await;
    let proxy = Proxy::start(&url);
    let (client, base) = (client(), proxy.url());
    let answer = client.put(format!("{base}/a%2Fb?q=%20x")).body("secret").send().await.unwrap();
    assert_eq!(answer.headers()["etag"], "\"7\"");
    let host = base.trim_start_matches("http://");
    assert_eq!(answer.text().await.unwrap(), format!("PUT /a%2Fb?q=%20x {host} secret"));
    client.get(format!("{base}/list")).send().await.unwrap();
    client.get(format!("{base}/list")).send().await.unwrap();

    assert_eq!(proxy.lines(), ["PUT /a%2Fb?q=%20x", "GET /list", "GET /list"]);
    assert_eq!(proxy.counts()[&("GET".to_owned(), "/list".to_owned())], 2);
    assert_eq!((proxy.count("GET", "/l"), proxy.count("PUT", "/l"), proxy.total()), (2, 0, 3));
    assert_eq!(proxy.writes(), ["PUT /a%2Fb"]);
    assert_eq!(proxy.seen()[2].nth, 1);
    assert!(proxy.saw("secret") && !proxy.saw("secrets"));
    assert_eq!(reached.load(Ordering::SeqCst), 3);
    proxy.forget();
    assert_eq!(proxy.total(), 0);
}

#[tokio::test]
async fn a_dropped_answer_has_reached_the_server_and_a_dropped_request_has_not() {
    let (url, reached) = upstream().await;
    let proxy = Proxy::with_rule(&url, |seen| if seen.writes() { Fault::DropAnswer } else { Fault::DropRequest });
    let (client, base) = (client(), proxy.url());
    assert!(client.post(format!("{base}/x")).body("{}").send().await.is_err());
    assert_eq!(reached.load(Ordering::SeqCst), 1);
    assert!(client.get(format!("{base}/x")).send().await.is_err());
    assert_eq!(reached.load(Ordering::SeqCst), 1);
    proxy.heal();
    assert!(client.get(format!("{base}/x")).send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn one_page_fails_and_the_others_do_not() {
    let (url, reached) = upstream().await;
    let proxy = Proxy::with_rule(&url, |seen| match seen.query.as_str() {
        "page=2" => Fault::Answer(Reply::json(500, "{}").with("retry-after", "1")),
        "page=3" => Fault::AnswerAfter(Reply::json(503, "{}")),
        _ => Fault::None,
    });
    let mut statuses = Vec::new();
    for page in 1..=3 {
        let answer = client().get(format!("{}/list?page={page}", proxy.url())).send().await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [200, 500, 503]);
    assert_eq!(reached.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_cut_body_is_an_error_and_not_a_short_answer() {
    let (url, _) = upstream().await;
    let proxy = Proxy::with_rule(&url, |_| Fault::CutBody(3));
    let answer = client().get(proxy.url()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.content_length().is_some_and(|length| length > 3));
    assert!(answer.bytes().await.is_err());
}

#[tokio::test]
async fn an_answer_can_be_rewritten_or_late() {
    let (url, _) = upstream().await;
    let proxy = Proxy::with_rule(&url, |seen| match seen.before {
        0 => Fault::Rewrite(Box::new(|reply| {
            reply.headers.remove("etag");
            reply.body = Bytes::from_static(b"{\"items\":[]}");
        })),
        _ => Fault::Delay(Duration::from_millis(300)),
    });
    let answer = client().get(proxy.url()).send().await.unwrap();
    assert!(answer.headers().get("etag").is_none());
    assert_eq!(answer.text().await.unwrap(), "{\"items\":[]}");
    let late = client().get(proxy.url()).timeout(Duration::from_millis(50)).send().await;
    assert!(late.unwrap_err().is_timeout());
}
