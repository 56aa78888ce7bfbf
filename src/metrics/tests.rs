//! What is promised of the names, the labels and the numbers.

use super::labels::RESOURCE_STATES;
use super::sums::MAX_KINDS;
use super::*;
use crate::model::{ElectionStatus, EndpointStatus, Kind, SourceStatus, Stamp, TargetStatus, VersionStatus};

fn place(target: &str, endpoint: &str) -> (TargetName, EndpointName) {
    (target.parse().unwrap(), endpoint.parse().unwrap())
}

fn metrics() -> Metrics {
    Metrics::new(&[place("dns", "one"), place("dns", "two"), place("mq", "default")], false, "1.2.3")
}

fn request(status: Option<u16>) -> News {
    let (target, endpoint) = place("dns", "one");
    let took = Duration::from_millis(7);
    let (method, path) = ("GET".to_owned(), "/names/secret-name".to_owned());
    News::Request { target, endpoint, method, path, status, took, error: None, answer: None }
}

#[track_caller]
fn shows(metrics: &Metrics, line: &str) {
    let text = metrics.text();
    assert!(text.lines().any(|l| l == line), "{line}\n{text}");
}

#[test]
fn every_error_type_starts_at_zero() {
    let metrics = metrics();
    for error in ErrorType::ALL {
        shows(&metrics, &format!("control_plane_reconciliation_errors_total{{error_type=\"{}\"}} 0", error.as_str()));
    }
}

#[test]
fn the_names_and_labels_are_those_that_were_promised() {
    let metrics = metrics();
    let (dns, one) = place("dns", "one");
    for news in [
        request(Some(200)),
        request(Some(999)),
        request(None),
        News::Fetched { took: Duration::from_millis(30) },
        News::Resources {
            target: dns.clone(),
            counts: BTreeMap::from([((Kind::new("zone"), "in_sync"), 7), ((Kind::new("zone"), "pending"), 2)]),
        },
        News::Resources { target: place("mq", "x").0, counts: BTreeMap::from([((Kind::new("zone"), "in_sync"), 3)]) },
        News::Drift { target: dns.clone(), address: "dns:zone/a".to_owned(), cause: "missing" },
        News::Retrying {
            target: dns.clone(),
            endpoint: one.clone(),
            wait: Duration::from_secs(1),
            why: "x".to_owned(),
        },
        News::Wrote {
            target: dns.clone(),
            endpoint: one.clone(),
            address: "dns:zone/a".to_owned(),
            action: "update",
            outcome: "conflict",
            why: None,
            source: None,
        },
        News::Cycled {
            target: dns.clone(),
            took: Duration::from_millis(2),
            quiet: false,
            errors: vec![(ErrorType::Unreachable, String::new())],
            queue: 4,
        },
        News::StateChanged {
            target: dns.clone(),
            endpoint: one,
            from: State::Ok,
            to: State::InDoubt,
            why: None,
            help: None,
        },
    ] {
        metrics.listen(&news);
    }
    metrics.config_version(&dns, 12);
    metrics.config_version(&place("mq", "x").0, 3);
    metrics.retry_budget(&dns, 99.5);
    for line in [
        "control_plane_api_requests_total{endpoint=\"dns/one\",status=\"200\"} 1",
        "control_plane_api_requests_total{endpoint=\"dns/one\",status=\"other\"} 1",
        "control_plane_api_requests_total{endpoint=\"dns/one\",status=\"none\"} 1",
        "control_plane_api_requests_total{endpoint=\"mq/default\",status=\"none\"} 0",
        "control_plane_api_latency_seconds_bucket{le=\"0.005\",endpoint=\"dns/one\"} 0",
        "control_plane_api_latency_seconds_bucket{le=\"0.01\",endpoint=\"dns/one\"} 3",
        "control_plane_api_latency_seconds_count{endpoint=\"dns/one\"} 3",
        "control_plane_config_version 12",
        "control_plane_resource_count{type=\"zone\",state=\"in_sync\"} 10.0",
        "control_plane_resource_count{type=\"zone\",state=\"pending\"} 2.0",
        "control_plane_resource_count{type=\"zone\",state=\"failing\"} 0.0",
        "control_plane_reconciliation_seconds_count 1",
        "control_plane_reconciliation_errors_total{error_type=\"unreachable\"} 1",
        "control_plane_is_leader 1",
        "ctl_target_state{target=\"dns\",endpoint=\"one\",state=\"in-doubt\"} 1.0",
        "ctl_target_state{target=\"dns\",endpoint=\"one\",state=\"ok\"} 0.0",
        "ctl_target_state{target=\"dns\",endpoint=\"two\",state=\"ok\"} 1.0",
        "ctl_target_last_success_timestamp_seconds{target=\"dns\",endpoint=\"one\"} 0.0",
        "ctl_queue_depth{target=\"dns\"} 4.0",
        "ctl_retries_total{target=\"dns\"} 1",
        "ctl_retry_budget{target=\"dns\"} 99.5",
        "ctl_conflicts_total{target=\"dns\"} 1",
        "ctl_drift_total{target=\"dns\",cause=\"missing\"} 1",
        "ctl_drift_total{target=\"dns\",cause=\"changed\"} 0",
        "ctl_writes_total{target=\"dns\",outcome=\"conflict\"} 1",
        "ctl_writes_total{target=\"mq\",outcome=\"done\"} 0",
        "ctl_git_fetch_seconds_count 1",
        "ctl_build_info{version=\"1.2.3\"} 1.0",
    ] {
        shows(&metrics, line);
    }
    assert!(!metrics.text().contains("secret-name"), "no resource is named");
}

#[test]
fn every_metric_is_explained_before_it_has_a_value_and_in_the_manual() {
    let text = metrics().text();
    let manual = include_str!("../../docs/metrics.md");
    let mut names = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        names.push(line.split(' ').next().unwrap());
    }
    assert_eq!(names.len(), 19, "{names:?}");
    for name in names {
        assert!(manual.contains(&format!("| `{name}")), "docs/metrics.md does not explain {name}");
    }
}

#[test]
fn a_project_of_many_kinds_does_not_fill_the_server_that_scrapes() {
    let metrics = metrics();
    let (target, _) = place("dns", "one");
    let mut counts: BTreeMap<_, _> = (0..500).map(|n| ((Kind::new(format!("k{n:03}")), "in_sync"), 1)).collect();
    counts.insert((Kind::new("a\"} 1\nforged 1"), "in_sync"), 1);
    metrics.listen(&News::Resources { target, counts });
    let text = metrics.text();
    let series = text.lines().filter(|line| line.starts_with("control_plane_resource_count{")).count();
    assert_eq!(series, (MAX_KINDS + 1) * RESOURCE_STATES.len());
    shows(&metrics, "control_plane_resource_count{type=\"other\",state=\"in_sync\"} 301.0");
    assert!(!text.contains("forged"), "{text}");
}

#[test]
fn under_an_election_a_watcher_leads_where_it_won() {
    let metrics = Metrics::new(&[place("dns", "one")], true, "1");
    shows(&metrics, "control_plane_is_leader 0");
    let (target, _) = place("dns", "one");
    metrics.listen(&News::Won { target: target.clone(), token: 7 });
    shows(&metrics, "control_plane_is_leader 1");
    metrics.listen(&News::Lost { target, why: String::new() });
    shows(&metrics, "control_plane_is_leader 0");
    shows(&metrics, "control_plane_reconciliation_errors_total{error_type=\"election\"} 1");
}

#[test]
fn the_gauges_say_what_the_status_says() {
    let metrics = Metrics::new(&[place("dns", "one")], true, "1");
    let endpoint = EndpointStatus {
        endpoint: "one".to_owned(),
        state: State::StaleSource,
        last_success: Some(Stamp { time: 1_700_000_000, age: 5 }),
        ..EndpointStatus::default()
    };
    let target = TargetStatus {
        target: "dns".to_owned(),
        leader: true,
        version: Some(VersionStatus { number: 41, ..VersionStatus::default() }),
        pending_total: 9,
        endpoints: vec![endpoint],
        ..TargetStatus::default()
    };
    metrics.reflect(&Status {
        source: SourceStatus { fresh: Some(Stamp { time: 0, age: 301 }), ..SourceStatus::default() },
        election: Some(ElectionStatus { last_ack_age: Some(4), ..ElectionStatus::default() }),
        targets: vec![target],
        ..Status::default()
    });
    for line in [
        "control_plane_is_leader 1",
        "control_plane_config_version 41",
        "ctl_target_state{target=\"dns\",endpoint=\"one\",state=\"stale-source\"} 1.0",
        "ctl_target_last_success_timestamp_seconds{target=\"dns\",endpoint=\"one\"} 1700000000.0",
        "ctl_snapshot_age_seconds 301.0",
        "ctl_election_last_ack_age_seconds 4.0",
        "ctl_queue_depth{target=\"dns\"} 9.0",
    ] {
        shows(&metrics, line);
    }
}

#[test]
fn an_endpoint_that_is_gone_is_not_shown_as_it_was() {
    let metrics = metrics();
    metrics.declare(&[place("dns", "one")]);
    let text = metrics.text();
    assert!(text.contains("ctl_target_state{target=\"dns\",endpoint=\"one\""), "{text}");
    assert!(!text.contains("endpoint=\"two\"") && !text.contains("ctl_queue_depth{target=\"mq\"}"), "{text}");
}

#[test]
fn the_same_counts_are_the_same_bytes() {
    let (a, b) = (metrics(), metrics());
    for metrics in [&a, &b] {
        metrics.listen(&request(Some(204)));
    }
    assert_eq!(a.text(), b.text());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whether a missing program is a failure is said by the caller of the tests"
)]
fn metrics_please_promtool() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let fresh = metrics();
    let used = metrics();
    let (target, _) = place("dns", "one");
    used.listen(&request(Some(200)));
    used.snapshot_age(Duration::from_millis(1));
    used.listen(&News::Resources { target, counts: BTreeMap::from([((Kind::new("zone.v1/x"), "in_sync"), 7)]) });
    for metrics in [fresh, used] {
        let child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(e) if std::env::var_os("CTL_TEST_ALL").is_none() => {
                println!("skipped: promtool (Debian: prometheus) cannot be started: {e}");
                return;
            }
            Err(e) => panic!("promtool (Debian: prometheus) cannot be started: {e}"),
        };
        child.stdin.take().unwrap().write_all(metrics.text().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.trim().is_empty(), "{said}\n{}", metrics.text());
    }
}
