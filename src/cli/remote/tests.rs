//! The client and the server of a watcher's API, put together.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use super::*;
use crate::daemon::{Access, Config, Control, Daemon, Journal};
use crate::event::{Entry, Level, News};
use crate::model::{ResourceStatus, TargetStatus};
use crate::world::Clock;

/// A watcher that stands as its status says, and accepts all but rollbacks.
#[derive(Default)]
struct Board {
    status: Status,
    journal: Journal,
    orders: Mutex<Vec<(Order, String)>>,
}

impl Control for Board {
    fn status(&self) -> Status {
        self.status.clone()
    }

    fn resources(&self, _: &str) -> Option<Vec<ResourceStatus>> {
        None
    }

    fn alive(&self) -> bool {
        true
    }

    fn not_ready(&self) -> Vec<String> {
        Vec::new()
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn events(&self, seq: u64) -> (Vec<Entry>, u64) {
        self.journal.since(seq)
    }

    fn more(&self, seq: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.journal.more(seq))
    }

    fn hint(&self) {}

    fn hook_refused(&self, _why: &'static str) {}

    fn order(&self, order: Order, who: &str) -> Answer {
        let accepted = !matches!(order, Order::Rollback { .. });
        self.orders.lock().unwrap().push((order, who.to_owned()));
        Answer { accepted, message: "heard".to_owned(), help: Some("look again".to_owned()), only_here: false }
    }
}

impl Board {
    fn note(&self, message: &str) {
        let news = News::Note { level: Level::Info, message: message.to_owned() };
        self.journal.push(Entry::of(&news, Clock::System.wall(), &str::to_owned).unwrap());
    }
}

async fn start(access: Access) -> (Arc<Board>, String) {
    let target = TargetStatus { target: "dns".to_owned(), ..TargetStatus::default() };
    let status = Status { format_version: "1.0".to_owned(), targets: vec![target], ..Status::default() };
    let board = Arc::new(Board { status, ..Board::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { access, webhook: None, clock: Clock::System };
    let daemon = Daemon::new(listener, Arc::clone(&board) as Arc<dyn Control>, &config).unwrap();
    let url = format!("http://{}", daemon.addr().unwrap());
    tokio::spawn(daemon.serve(std::future::pending()));
    (board, url)
}

fn client(url: &str, token: Option<&str>) -> Watcher {
    Watcher {
        base: base(url).unwrap(),
        token: token.map(Secret::new),
        who: "ann@laptop".to_owned(),
        transport: HttpTransport::new(url, Tls::default()).unwrap(),
        pid: None,
        redactor: Redactor::default(),
    }
}

fn tokens() -> Access {
    Access { read: Some(Secret::new("look")), write: Some(Secret::new("change")) }
}

#[tokio::test]
async fn what_asks_and_what_listens_understand_each_other() {
    let (board, url) = start(Access::default()).await;
    let watcher = client(&url, None);
    assert_eq!(watcher.status(None).await.unwrap(), board.status);
    let orders = [
        Order::Retry { target: None },
        Order::Suspend { target: Some("d*".to_owned()), seconds: Some(60), reason: Some("because".to_owned()) },
        Order::Resume { target: None },
        Order::Rollback { target: "dns".to_owned(), version: 3, reason: None },
        Order::Approve { checksum: "ab".repeat(32), seconds: 3600 },
    ];
    for order in &orders {
        let answer = watcher.order(order).await.unwrap();
        assert_eq!(answer.accepted, !matches!(order, Order::Rollback { .. }), "{order:?}");
        assert_eq!((answer.message.as_str(), answer.help.as_deref()), ("heard", Some("look again")));
    }
    let who = "ann@laptop at 127.0.0.1";
    assert_eq!(*board.orders.lock().unwrap(), orders.map(|order| (order, who.to_owned())));
}

#[tokio::test]
async fn each_token_opens_what_it_is_for() {
    let (board, url) = start(tokens()).await;
    let retry = Order::Retry { target: None };
    for (token, looks, orders) in
        [(None, false, false), (Some("wrong"), false, false), (Some("look"), true, false), (Some("change"), true, true)]
    {
        let watcher = client(&url, token);
        let looked = watcher.status(None).await.map(drop).map_err(|stop| stop.exit);
        let ordered = watcher.order(&retry).await.map(drop).map_err(|stop| stop.exit);
        let events = watcher.events("0").await.map(drop).map_err(|stop| stop.exit);
        let expected = |may: bool| if may { Ok(()) } else { Err(Exit::Denied) };
        assert_eq!((looked, ordered, events), (expected(looks), expected(orders), expected(looks)), "{token:?}");
    }
    assert_eq!(board.orders.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn events_come_as_they_happen() {
    let (board, url) = start(Access::default()).await;
    let watcher = client(&url, None);
    board.note("one");
    let known = watcher.events("600s").await.unwrap();
    assert!(String::from_utf8_lossy(&known).contains("\"message\":\"one\""), "{known:?}");
    let mut flow = watcher.follow("0").await.unwrap();
    let mut seen = String::new();
    while !seen.contains("two") {
        seen.push_str(&String::from_utf8_lossy(&flow.next(Duration::from_secs(20)).await.unwrap().unwrap()));
        if !seen.contains("two") {
            board.note("two");
        }
    }
    let entries: Vec<Entry> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.iter().map(|e| e.message.as_str()).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn an_address_is_one_or_is_refused() {
    assert_eq!(base("http://127.0.0.1:9090/").unwrap(), "http://127.0.0.1:9090");
    assert_eq!(base("https://ctl.example/a/b").unwrap(), "https://ctl.example/a/b");
    assert_eq!(base("http://[::1]:9090").unwrap(), "http://[::1]:9090");
    for bad in [
        "127.0.0.1:9090",
        "ftp://x",
        "http://ann:pw-CANARY@x/",
        "https://",
        "http://x/?a=b",
        "http://x/#a",
        "http://x y",
        "file:///etc",
        "",
    ] {
        let stop = base(bad).unwrap_err();
        assert_eq!(stop.exit, Exit::Usage, "{bad}");
        assert!(!stop.diagnostics[0].message.contains("CANARY"), "{:?}", stop.diagnostics[0]);
    }
}
