//! What the page shows of a watcher in which something of each sort is wrong.

use super::*;
use crate::event::News;
use crate::model::{ElectionStatus, RefusalStatus, Suspension, VersionStatus};

const NOW: i64 = 1_790_000_000;

fn ago(age: u64) -> Stamp {
    Stamp { time: NOW - age.cast_signed(), age }
}

fn ahead(seconds: i64) -> Option<Stamp> {
    Some(Stamp { time: NOW + seconds, age: 0 })
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn well(target: &str, number: u64) -> TargetStatus {
    let endpoint = EndpointStatus { endpoint: "default".to_owned(), since: ago(86_400), ..EndpointStatus::default() };
    TargetStatus {
        target: target.to_owned(),
        leader: true,
        version: Some(VersionStatus {
            number,
            applied: ago(7260),
            commit: "4f1c0de5a7b2c3d4e5f60718293a4b5c6d7e8f90".to_owned(),
            result: "done".to_owned(),
            ..VersionStatus::default()
        }),
        last_cycle: Some(ago(11)),
        last_success: Some(ago(11)),
        next: ahead(19),
        unchanged: 214,
        endpoints: vec![EndpointStatus { last_success: Some(ago(11)), ..endpoint }],
        ..TargetStatus::default()
    }
}

/// A watcher in which something of each sort is wrong.
fn night() -> Status {
    let failing = EndpointStatus {
        endpoint: "eu-west".to_owned(),
        state: State::Failing,
        since: ago(754),
        code: text("unreachable"),
        why: text("the endpoint does not answer: connection refused"),
        help: text("see whether the server runs and can be reached from here; its changes wait and are tried again"),
        last_success: Some(ago(760)),
        last_request: Some(LastRequest {
            sent: ago(4),
            method: "GET".to_owned(),
            path: "/api/queues?page=1".to_owned(),
            status: Some(503),
            took_ms: 1204,
            answer: text("upstream connect error or disconnect/reset before headers"),
            ..LastRequest::default()
        }),
        attempts: 75,
        next: ahead(6),
        pending: 2,
    };
    let mut mq = well("mq", 87);
    mq.endpoints.push(failing);
    mq.last_success = Some(ago(760));
    mq.pending = vec![PendingStatus {
        address: "mq:queue/%2F/orders".to_owned(),
        endpoint: "eu-west".to_owned(),
        action: "update".to_owned(),
        cause: "arguments/x-max-length: 1000 -> 5000".to_owned(),
        source: text("messaging/queues.yaml:14:3"),
        state: "waiting".to_owned(),
        why: "its endpoint is away".to_owned(),
        attempts: 75,
        next: ahead(6),
        ..PendingStatus::default()
    }];
    mq.pending_total = 2;
    let mut dns = well("dns", 12);
    dns.checksum = text(&"9b3e".repeat(16));
    dns.endpoints[0].state = State::Refused;
    dns.refusals = vec![RefusalStatus {
        gate: "deletes".to_owned(),
        message: "the plan deletes 41 of 120 owned resources, more than 30 %".to_owned(),
        help: "look at `ctl plan -t dns`; restore the manifests, or let this very plan through".to_owned(),
        approvable: true,
        ..RefusalStatus::default()
    }];
    let mut proxy = well("proxy", 3);
    proxy.endpoints[0].state = State::Suspended;
    proxy.suspended = Some(Suspension {
        since: ago(3000),
        left: Some(600),
        who: "alice at 10.0.0.7".to_owned(),
        reason: text("moving the balancer"),
        only_here: false,
    });
    Status {
        ctl: "0.1.0".to_owned(),
        project: "shop".to_owned(),
        mode: "watch".to_owned(),
        started: ago(400_000),
        ready: false,
        not_ready: vec!["mq: no cycle succeeded for 12 min".to_owned()],
        source: SourceStatus {
            source: "https://forge.example/shop/platform".to_owned(),
            commit: text("4f1c0de5a7b2c3d4e5f60718293a4b5c6d7e8f90"),
            fresh: Some(ago(12)),
            quarantined: vec![Quarantined {
                place: "web/routes.yaml:7:5".to_owned(),
                code: "unknown-field".to_owned(),
                message: "`prot` is no field of route; did you mean `port`?".to_owned(),
                help: text("correct the name"),
                kept: true,
            }],
            ..SourceStatus::default()
        },
        election: Some(ElectionStatus { reachable: true, last_ack_age: Some(3), ..ElectionStatus::default() }),
        targets: vec![well("cdn", 44), dns, well("idp", 5), mq, proxy],
        ..Status::default()
    }
}

fn entries() -> Vec<Entry> {
    let (target, endpoint) = ("mq".parse().unwrap(), "eu-west".parse().unwrap());
    let why = text("connection refused");
    let news = [
        News::Loaded {
            commit: "4f1c0de5a7b2c3d4".to_owned(),
            resources: 642,
            blobs: 3,
            took: std::time::Duration::from_millis(12),
            rewritten: false,
        },
        News::StateChanged { target, endpoint, from: State::Ok, to: State::Failing, why, help: None },
        News::SourceBack,
    ];
    let now = Timestamp::from_second(NOW).unwrap();
    news.iter().filter_map(|news| Entry::of(news, now, &str::to_owned)).collect()
}

fn shown(status: &Status) -> String {
    page(status, true, &entries(), Timestamp::from_second(NOW).unwrap())
}

#[test]
fn what_is_wrong_comes_first_with_what_to_do_beside_it() {
    let html = shown(&night());
    for holds in [
        "✗ 3 of 5 targets need a look</h1>",
        "▲ failing",
        "■ refused",
        "‖ suspended",
        "mq: no cycle succeeded for 12 min",
        "the endpoint does not answer: connection refused",
        "see whether the server runs",
        "upstream connect error",
        "503",
        "failed 75 times",
        "in 6 s",
        "messaging/queues.yaml:14:3",
        "web/routes.yaml:7:5",
        "last renewal sent 3 s ago",
        "It ends in 10 min.",
        "look at <code>ctl plan -t dns</code>; restore",
    ] {
        assert!(html.contains(holds), "{holds}\n{html}");
    }
    assert!(html.contains(&format!("ctl approve {}", "9b3e".repeat(16))));
    let at = |name: &str| html.find(&format!("<h3>{name}</h3>")).unwrap_or_else(|| panic!("{name}"));
    assert!(at("mq") < at("dns") && at("dns") < at("proxy"), "the worst comes first");
    assert!(html.find("<b>cdn</b>").unwrap() > at("proxy"), "what is fine comes last");
}

#[test]
fn a_quiet_night_is_said_in_one_sentence() {
    let status = Status { ready: true, targets: vec![well("dns", 1), well("mq", 2)], ..Status::default() };
    let html = shown(&status);
    assert!(html.contains("<h1 class=\"good\">✓ all 2 targets are as Git says, or on the way there</h1>"), "{html}");
    assert!(!html.contains("Needs a look") && !html.contains("Not ready"), "{html}");
    let stuck = page(&status, false, &[], Timestamp::UNIX_EPOCH);
    assert!(stuck.contains("<h1 class=\"bad-bg\">✗ the loop does not turn"), "{stuck}");
}

/// Puts `text` wherever a status has a text.
fn poisoned(value: &mut serde_json::Value, evil: &str) {
    match value {
        serde_json::Value::String(text) if State::ALL.iter().any(|state| state.as_str() == text) => {}
        serde_json::Value::String(text) => *text = evil.to_owned(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poisoned(item, evil)),
        serde_json::Value::Object(members) => members.values_mut().for_each(|member| poisoned(member, evil)),
        _ => {}
    }
}

#[test]
fn names_cannot_become_markup() {
    let tags = |html: &str| html.matches('<').count();
    let plain = {
        let mut value = serde_json::to_value(night()).unwrap();
        poisoned(&mut value, "x");
        page(&serde_json::from_value(value).unwrap(), true, &[], Timestamp::UNIX_EPOCH)
    };
    assert!(!plain.contains("href") && !plain.contains("src="), "nothing to follow");
    for evil in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "javascript:alert(1)",
        "</style></title><svg onload=alert(1)>",
        "&lt;script&gt;",
        "\u{202e}gpj.exe\u{0}\u{1b}[2J",
        "<!--",
        "{{constructor}}",
    ] {
        let mut value = serde_json::to_value(night()).unwrap();
        poisoned(&mut value, evil);
        let html = page(&serde_json::from_value(value).unwrap(), true, &[], Timestamp::UNIX_EPOCH);
        assert_eq!(tags(&html), tags(&plain), "{evil}: no tag more\n{html}");
        assert_eq!(html.matches('"').count(), plain.matches('"').count(), "{evil}: no attribute more");
        assert_eq!(html.matches('\'').count(), plain.matches('\'').count(), "{evil}");
        assert!(!html.chars().any(misleads), "{evil}: nothing invisible");
        assert!(html.len() > plain.len(), "{evil} is shown");
    }
}

#[test]
fn a_thousand_endpoints_fit_on_a_page() {
    let mut status = night();
    let failing = status.targets[3].endpoints[1].clone();
    status.targets[3].endpoints = vec![failing; 1000];
    let pending = status.targets[3].pending[0].clone();
    status.targets[3].pending = vec![pending; 200];
    status.targets[3].pending_total = 9000;
    let html = shown(&status);
    assert!(html.contains("and 970 endpoints more") && html.contains("and 8980 more"), "{html}");
    assert!(html.len() < 128 * 1024, "{}", html.len());
}

#[test]
fn the_policy_names_the_style_that_is_on_the_page() {
    let html = shown(&night());
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let sum = STANDARD.encode(Sha256::digest(style));
    assert!(policy().contains(&format!("style-src 'sha256-{sum}'")));
    assert!(!html.contains("style=") && !html.contains("<script"), "nothing that the policy forbids");
}
