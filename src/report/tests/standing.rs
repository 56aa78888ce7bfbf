//! How a status reads.

use super::{transcript, valid};
use crate::event::{Entry, Level};
use crate::model::{
    ElectionStatus, EndpointStatus, Holding, LastRequest, PendingStatus, Quarantined, RefusalStatus, ResourceStatus,
    SourceStatus, Stamp, State, Status, Suspension, TargetStatus, VersionStatus,
};
use crate::report::{
    Style, answer_json, entry_json, entry_text, resource_text, status_json, status_json_line, status_text,
};

/// The wall clock of every status here.
const NOW: i64 = 1_795_000_000;

fn ago(age: u64) -> Stamp {
    Stamp { time: NOW - i64::try_from(age).unwrap(), age }
}

fn ahead(seconds: i64) -> Option<Stamp> {
    Some(Stamp { time: NOW + seconds, age: 0 })
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn version(number: u64) -> Option<VersionStatus> {
    Some(VersionStatus {
        number,
        applied: ago(7200),
        commit: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned(),
        snapshot: "ab".repeat(32),
        result: "done".to_owned(),
        took_ms: Some(41),
        who: "ctl@edge-1".to_owned(),
    })
}

fn endpoint(state: State) -> EndpointStatus {
    EndpointStatus {
        endpoint: "default".to_owned(),
        state,
        since: ago(7300),
        last_success: Some(ago(12)),
        ..EndpointStatus::default()
    }
}

fn target(name: &str, endpoints: Vec<EndpointStatus>) -> TargetStatus {
    TargetStatus {
        target: name.to_owned(),
        leader: true,
        version: version(12),
        last_cycle: Some(ago(12)),
        last_success: Some(ago(12)),
        took_ms: 38,
        next: ahead(18),
        unchanged: 40,
        endpoints,
        ..TargetStatus::default()
    }
}

fn status(targets: Vec<TargetStatus>) -> Status {
    Status {
        format_version: "1.0".to_owned(),
        ctl: "0.1.0".to_owned(),
        project: "shop".to_owned(),
        mode: "watch".to_owned(),
        started: ago(90_000),
        ready: true,
        not_ready: Vec::new(),
        source: SourceStatus {
            source: "https://forge.example/shop.git".to_owned(),
            commit: text("1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"),
            fresh: Some(ago(12)),
            next: ahead(18),
            ..SourceStatus::default()
        },
        election: None,
        targets,
        resources: None,
    }
}

fn pending(name: &str, state: &str, why: &str) -> PendingStatus {
    PendingStatus {
        address: format!("mq:queue/shop/{name}"),
        endpoint: "default".to_owned(),
        action: "update".to_owned(),
        cause: "/arguments/x-max-length 500 → 1000 (it was changed at the target)".to_owned(),
        source: text("mq/queues.yaml:14:21"),
        state: state.to_owned(),
        why: why.to_owned(),
        help: text("find out who else writes it"),
        attempts: 3,
        next: ahead(64),
    }
}

/// One target for each state, and whatever else can be wrong.
fn everything() -> Status {
    let failing = EndpointStatus {
        endpoint: "eu".to_owned(),
        code: text("unreachable"),
        why: text("no answer within 10 s"),
        help: text("see whether it is up; it is probed every 10 s and caught up when it answers"),
        since: ago(250),
        last_success: Some(ago(260)),
        last_request: Some(LastRequest {
            sent: ago(4),
            method: "GET".to_owned(),
            path: "/zones?page=2".to_owned(),
            status: Some(503),
            took_ms: 1204,
            error: None,
            answer: text("<html>\n\t<h1>Service unavailable</h1>\n</html>\n"),
        }),
        attempts: 7,
        next: ahead(6),
        ..endpoint(State::Failing)
    };
    let mut dns = target("dns", vec![failing, EndpointStatus { endpoint: "us".to_owned(), ..endpoint(State::Ok) }]);
    dns.unknown = 12;
    let mut mq = target("mq", vec![EndpointStatus { pending: 13, ..endpoint(State::InDoubt) }]);
    mq.endpoints[0].why = text("mq:queue/shop/orders: nobody knows whether it arrived");
    mq.pending = vec![
        pending("orders", "in-doubt", "sent, and the connection broke before an answer"),
        pending("mails", "contested", "changed back three times in ten minutes"),
    ];
    mq.pending.extend((0..11).map(|i| PendingStatus {
        action: "create".to_owned(),
        cause: "declared, and not there".to_owned(),
        help: None,
        attempts: 0,
        next: None,
        ..pending(&format!("q{i:02}"), "waiting", "it comes after mq:queue/shop/orders")
    }));
    mq.pending_total = 13;
    let mut web = target("web", vec![endpoint(State::Refused)]);
    web.checksum = Some("4f".repeat(32));
    web.refusals = vec![RefusalStatus {
        gate: "deletes".to_owned(),
        endpoint: None,
        message: "4 of 10 would be deleted (40 %), and 30 % may be".to_owned(),
        help: "look at the plan first: `ctl plan -t web`".to_owned(),
        approvable: true,
    }];
    let mut db = target("db", vec![endpoint(State::Suspended)]);
    db.suspended = Some(Suspension {
        since: ago(3600),
        left: Some(5400),
        who: "ann@laptop".to_owned(),
        reason: text("upgrade of the cluster"),
        only_here: true,
    });
    let mut edge = target("edge", vec![endpoint(State::NotLeader)]);
    edge.leader = false;
    let mut cdn = target("cdn", vec![endpoint(State::StaleSource)]);
    cdn.held_at = text("9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c");
    cdn.held = Some(Holding {
        version: 3,
        since: ago(7300),
        who: "bob@desk".to_owned(),
        reason: Some("the new one is slow".to_owned()),
    });
    cdn.version = None;
    let mut status = status(vec![dns, mq, web, db, edge, cdn, target("lb", vec![endpoint(State::Ok)])]);
    status.ready = false;
    status.not_ready = vec!["dns: no cycle succeeded for 94 s".to_owned()];
    status.source.stale = true;
    status.source.fresh = Some(ago(400));
    status.source.why = text("git fetch: Could not resolve host: forge.example");
    status.source.help = text("see whether the forge is up; it is asked again by itself");
    status.source.deletes_held = text("the source is away");
    status.source.quarantined = vec![Quarantined {
        place: "mq/bad.yaml:3:1".to_owned(),
        code: "yaml-syntax".to_owned(),
        message: "did not find the expected ':'".to_owned(),
        help: text("mend the file and commit it"),
        kept: true,
    }];
    status.resources =
        Some(vec![ResourceStatus { address: "mq:queue/shop/orders".to_owned(), source: text("mq/queues.yaml") }]);
    status.election = Some(ElectionStatus {
        reachable: false,
        last_ack_age: Some(17),
        why: text("connection refused"),
        orders: Some(ago(40)),
        orders_why: text("the record cannot be reached"),
    });
    status
}

#[test]
fn a_status_reads_like_this() {
    let well = status(vec![target("dns", vec![endpoint(State::Ok)]), target("mq", vec![endpoint(State::Ok)])]);
    transcript("status/well.txt", &status_text(&well, &Style::plain()));
    transcript("status/everything.txt", &status_text(&everything(), &Style::plain()));
    let colour = Style { colour: true, ..Style::plain() };
    transcript("status/everything-in-colour.txt", &status_text(&everything(), &colour));
    let ascii = Style { unicode: false, ..Style::plain() };
    transcript("status/well-in-ascii.txt", &status_text(&well, &ascii));
    let once = Status { mode: "once".to_owned(), ..well };
    assert!(status_text(&once, &Style::plain()).lines().next().unwrap().ends_with("computed, nobody watches"));
    assert!(status_text(&Status::default(), &Style::plain()).starts_with(": 0 targets"));
}

#[test]
fn why_a_resource_is_not_in_sync_reads_like_this() {
    let style = Style::plain();
    transcript("status/resource-in-doubt.txt", &resource_text(&everything(), "mq:queue/shop/orders", &style));
    transcript("status/resource-out-of-reach.txt", &{
        let mut status = everything();
        status.targets.retain(|t| t.target == "dns");
        resource_text(&status, "dns:rrset/shop.example./www/A", &style)
    });
    let well = |there: &[&str]| {
        let mut well = status(vec![target("dns", vec![endpoint(State::Ok)])]);
        let one = |address: &&str| ResourceStatus { address: (*address).to_owned(), source: text("dns/a.yaml:4:7") };
        well.resources = Some(there.iter().map(one).collect());
        well
    };
    assert_eq!(
        resource_text(&well(&["dns:rrset/a"]), "dns:rrset/a", &style),
        "dns:rrset/a: in sync, as dns/a.yaml:4:7 says (commit 1a2b3c4d5e, looked at 12 s ago)\n"
    );
    assert_eq!(
        resource_text(&well(&["dns:rrset/a", "dns:rrset/b"]), "dns:rrset/*", &style),
        "dns:rrset/*: all 2 are in sync (commit 1a2b3c4d5e, looked at 12 s ago)\n"
    );
    let silent = Status { resources: None, ..well(&[]) };
    assert!(!resource_text(&silent, "dns:rrset/a", &style).contains("in sync"), "nobody said that it is there");
}

#[test]
fn in_sync_is_not_said_of_what_nobody_looked_at() {
    let hidden = |change: fn(&mut TargetStatus)| {
        let mut one = target("dns", vec![endpoint(State::Ok)]);
        change(&mut one);
        resource_text(&status(vec![one]), "dns:rrset/a", &Style::plain())
    };
    for text in [
        hidden(|t| t.endpoints[0].state = State::Failing),
        hidden(|t| t.endpoints[0].state = State::InDoubt),
        hidden(|t| t.endpoints[0].state = State::Refused),
        hidden(|t| t.leader = false),
        hidden(|t| t.pending_total = 201),
        hidden(|t| t.unknown = 1),
        hidden(|t| t.last_cycle = None),
    ] {
        assert!(!text.contains("in sync"), "{text}");
    }
}

#[test]
fn the_documents_fit_their_schema() {
    for status in [everything(), status(Vec::new())] {
        valid("status.schema.json", &status_json(&status));
        let line = status_json_line(&status);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<Status>(&line).unwrap(), status, "nothing is lost on the way");
    }
}

#[test]
fn a_watcher_of_another_version_may_say_less_or_more() {
    let status: Status = serde_json::from_str(
        r#"{"format_version": "1.7", "project": "shop", "targets": [{"target": "a", "mood": 1}]}"#,
    )
    .unwrap();
    assert!(status_text(&status, &Style::plain()).starts_with("shop: 1 target, 1 ok"));
}

/// What a terminal would obey, what would forge a line, and what looks like something else.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]52;c;eA==\u{7}\u{9b}2J\rok\u{8}\u{202e}\u{2066}\u{200b}\nshop: all ok\u{7f}";

/// The same status with something hostile in every text of it.
fn poisoned(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) if text.parse::<f64>().is_ok() || State::ALL.iter().any(|s| s.as_str() == text) => {
            Value::String(text)
        }
        Value::String(_) => Value::String(HOSTILE.to_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(poisoned).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(name, value)| (name, poisoned(value))).collect()),
        other => other,
    }
}

fn harmless(text: &str) {
    let bad = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{2066}' | '\u{200b}'));
    assert!(!text.contains(bad), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("shop: all ok")), "a forged line: {text}");
}

#[test]
fn trm_11_no_text_of_a_watcher_reaches_the_terminal_as_a_command() {
    let status: Status = serde_json::from_value(poisoned(serde_json::to_value(everything()).unwrap())).unwrap();
    harmless(&status_text(&status, &Style::plain()));
    harmless(&resource_text(&status, "*", &Style::plain()));
    harmless(&resource_text(&status, HOSTILE, &Style::plain()));
    harmless(&status_json(&status));
    harmless(&status_json_line(&status));
    let entry = Entry {
        seq: 1,
        time: HOSTILE.to_owned(),
        level: Level::Error,
        event: HOSTILE.to_owned(),
        target: text(HOSTILE),
        endpoint: text(HOSTILE),
        resource: text(HOSTILE),
        message: HOSTILE.to_owned(),
        fields: serde_json::Map::from_iter([(HOSTILE.to_owned(), HOSTILE.into())]),
    };
    harmless(&entry_text(&entry, &Style::plain()));
    assert_eq!(entry_text(&entry, &Style::plain()).lines().count(), 1);
    harmless(&entry_json(&entry));
    assert_eq!(entry_json(&entry).lines().count(), 1);
    let answer =
        crate::model::Answer { accepted: false, message: HOSTILE.to_owned(), help: text(HOSTILE), only_here: false };
    harmless(&answer_json(&answer));
}

#[test]
fn an_answer_is_cut_however_much_the_watcher_sends() {
    let mut one = target("dns", vec![endpoint(State::Failing)]);
    one.endpoints[0].last_request =
        Some(LastRequest { status: Some(500), answer: Some("ö\n".repeat(100_000)), ..LastRequest::default() });
    let shown = status_text(&status(vec![one]), &Style::plain());
    assert!(shown.lines().count() < 30, "{shown}");
}

#[test]
fn an_event_is_one_line() {
    let entry = Entry {
        seq: 9,
        time: "2026-11-22T03:04:05Z".to_owned(),
        level: Level::Warn,
        event: "state-changed".to_owned(),
        target: text("dns"),
        endpoint: text("eu"),
        resource: None,
        message: "ok -> failing: no answer within 10 s".to_owned(),
        fields: serde_json::Map::new(),
    };
    assert_eq!(
        entry_text(&entry, &Style::plain()),
        "2026-11-22T03:04:05Z warn  state-changed dns/eu ok -> failing: no answer within 10 s\n"
    );
    let named = Entry { message: "dns/eu is failing, was ok".to_owned(), ..entry.clone() };
    assert_eq!(
        entry_text(&named, &Style::plain()),
        "2026-11-22T03:04:05Z warn  state-changed dns/eu is failing, was ok\n",
        "the place is said once"
    );
    let quiet = Entry { target: None, endpoint: None, ..entry };
    assert_eq!(
        entry_text(&quiet, &Style::plain()),
        "2026-11-22T03:04:05Z warn  state-changed ok -> failing: no answer within 10 s\n"
    );
}
