//! The metrics of a watcher, in one place: what is promised, what the program has, what its page says.

use std::collections::{BTreeMap, BTreeSet};

use ctl::metrics::Metrics;
use ctl::model::State;

use crate::{promql, read};

/// Every metric and its labels, as they were promised. Renaming one breaks somebody's alerts.
const PROMISED: &[(&str, &[&str])] = &[
    ("control_plane_api_latency_seconds", &["endpoint"]),
    ("control_plane_api_requests_total", &["endpoint", "status"]),
    ("control_plane_config_version", &[]),
    ("control_plane_is_leader", &[]),
    ("control_plane_reconciliation_errors_total", &["error_type"]),
    ("control_plane_reconciliation_seconds", &[]),
    ("control_plane_resource_count", &["state", "type"]),
    ("ctl_build_info", &["version"]),
    ("ctl_conflicts_total", &["target"]),
    ("ctl_drift_total", &["cause", "target"]),
    ("ctl_election_last_ack_age_seconds", &[]),
    ("ctl_git_fetch_seconds", &[]),
    ("ctl_queue_depth", &["target"]),
    ("ctl_retries_total", &["target"]),
    ("ctl_retry_budget", &["target"]),
    ("ctl_snapshot_age_seconds", &[]),
    ("ctl_target_last_success_timestamp_seconds", &["endpoint", "target"]),
    ("ctl_target_state", &["endpoint", "state", "target"]),
    ("ctl_writes_total", &["outcome", "target"]),
];

/// Labels that a scrape adds, and the one of a histogram's buckets.
const SCRAPED: &[&str] = &["instance", "job", "namespace"];

/// The labels of a metric; of a histogram also under the names of its parts. Nothing if there is none of that name.
pub(crate) fn labels(name: &str) -> Option<BTreeSet<&'static str>> {
    let of = |name: &str| PROMISED.iter().find(|(known, _)| *known == name).map(|(_, labels)| *labels);
    let histogram = |part: &str| {
        let base = name.strip_suffix(part)?;
        of(base).filter(|_| base.ends_with("_seconds") && base != "ctl_snapshot_age_seconds")
    };
    let mut labels: BTreeSet<&str> = match (of(name), histogram("_bucket")) {
        (Some(labels), _) => labels.iter().copied().collect(),
        (None, Some(labels)) => labels.iter().copied().chain(["le"]).collect(),
        (None, None) => histogram("_sum").or_else(|| histogram("_count"))?.iter().copied().collect(),
    };
    labels.extend(SCRAPED);
    Some(labels)
}

/// Names of all metrics.
pub(crate) fn names() -> BTreeSet<&'static str> {
    PROMISED.iter().map(|(name, _)| *name).collect()
}

/// Fails unless every metric, label and state that an expression names exists; gives the metrics.
#[track_caller]
pub(crate) fn exist(expression: &str) -> BTreeSet<String> {
    let used = promql::read(expression);
    assert!(!used.metrics.is_empty(), "no metric in {expression}");
    let mut known = BTreeSet::new();
    for (metric, matchers) in &used.metrics {
        let labels = labels(metric).unwrap_or_else(|| panic!("there is no metric {metric}: {expression}"));
        for (label, value) in matchers {
            assert!(labels.contains(label.as_str()), "{metric} has no label {label}: {expression}");
            if (metric.as_str(), label.as_str()) == ("ctl_target_state", "state") {
                let states = State::ALL.map(State::as_str);
                assert!(value.split('|').all(|value| states.contains(&value)), "{value} is no state: {expression}");
            }
        }
        known.extend(labels);
    }
    for label in &used.grouped {
        assert!(known.contains(label.as_str()), "nothing has a label {label}: {expression}");
    }
    used.metrics.into_iter().map(|(metric, _)| metric).collect()
}

/// The page of a watcher that has seen one endpoint.
fn page() -> String {
    let place = ("dns".parse().unwrap(), "main".parse().unwrap());
    let metrics = Metrics::new(&[place], true, "0.1.0");
    metrics.retry_budget(&"dns".parse().unwrap(), 100.0);
    metrics.snapshot_age(std::time::Duration::ZERO);
    metrics.last_ack_age(std::time::Duration::ZERO);
    metrics.text()
}

#[test]
fn the_program_has_what_was_promised_and_nothing_else() {
    let page = page();
    let declared = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    assert_eq!(declared.collect::<BTreeSet<_>>(), names());
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let selector = line.rsplit_once(' ').unwrap().0;
        exist(selector);
    }
}

#[test]
fn the_page_of_the_metrics_names_all_of_them_with_their_labels() {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells.first()?.strip_prefix("| `")?.strip_suffix('`')?;
        let labels: BTreeSet<&str> = cells.get(2)?.split('`').skip(1).step_by(2).collect();
        names().contains(name).then_some((name, labels))
    });
    let promised = PROMISED.iter().map(|(name, labels)| (*name, labels.iter().copied().collect()));
    assert_eq!(rows.collect::<BTreeMap<_, BTreeSet<_>>>(), promised.collect());
}

#[test]
fn a_name_that_does_not_exist_is_noticed() {
    for wrong in [
        "ctl_queue",
        "ctl_queue_depth_bucket",
        "ctl_snapshot_age_seconds_sum",
        "ctl_queue_depth{endpoint=\"x\"}",
        "ctl_target_state{state=\"broken\"}",
        "sum by (kind) (ctl_queue_depth)",
        "1 + 1",
    ] {
        assert!(std::panic::catch_unwind(|| exist(wrong)).is_err(), "{wrong}");
    }
    exist("sum by (job, le) (rate(ctl_git_fetch_seconds_bucket{job=~\"$job\"}[$__rate_interval])) > 3e2");
}
