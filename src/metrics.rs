//! What a watcher counts, as Prometheus reads it. Every name and label is explained in `docs/metrics.md`.
//!
//! Labels come from bounded sets: targets and endpoints of the project, kinds (two hundred of them, then `other`), and
//! words of this program. Names of resources are in none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::event::{ErrorType, News};
use crate::model::{EndpointName, State, Status, TargetName, misleads};

/// What [`Metrics::text`] is, for the `Content-Type` of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Kinds that have a label of their own.
const MAX_KINDS: usize = 200;
/// How a resource may stand: the values of `state` in `control_plane_resource_count`.
const RESOURCE_STATES: [&str; 4] = ["in_sync", "pending", "failing", "unknown"];
/// The values of `cause` in `ctl_drift_total`.
const DRIFT_CAUSES: [&str; 3] = ["changed", "missing", "unmanaged"];
/// The values of `outcome` in `ctl_writes_total`.
const OUTCOMES: [&str; 6] = ["done", "failed", "conflict", "in_doubt", "skipped", "held"];

/// Seconds; a request ends after 60 at the latest.
const REQUEST_BUCKETS: [f64; 12] = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Seconds; from a cycle in which nothing moved to one that writes ten thousand resources.
const CYCLE_BUCKETS: [f64; 14] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Seconds.
const FETCH_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Gauges<const N: usize> = Family<Labels<N>, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// All that is counted. Shared among tasks; nothing in it waits for long.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Name, type and help of each metric, in the order in which they are shown.
    shown: Vec<Shown>,
    elected: bool,
    sums: Mutex<Sums>,
    requests: Counters<2>,
    latency: Histograms,
    config_version: Gauge,
    resources: Gauges<2>,
    cycles: Histogram,
    errors: Counters<1>,
    is_leader: Gauge,
    state: Gauges<3>,
    last_success: Gauges<2>,
    snapshot_age: Gauges<0>,
    queue: Gauges<1>,
    retries: Counters<1>,
    retry_budget: Gauges<1>,
    conflicts: Counters<1>,
    drift: Counters<2>,
    writes: Counters<2>,
    fetches: Histogram,
    last_ack: Gauges<0>,
}

#[derive(Debug)]
struct Shown {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

/// What is summed over the targets before it is shown.
#[derive(Debug, Default)]
struct Sums {
    places: BTreeSet<(TargetName, EndpointName)>,
    resources: BTreeMap<TargetName, BTreeMap<(String, &'static str), usize>>,
    kinds: BTreeSet<String>,
    versions: BTreeMap<TargetName, u64>,
    led: BTreeSet<TargetName>,
}

impl Metrics {
    /// Everything at zero, for the endpoints in `places`. `elected` says whether an election decides who leads: without
    /// one this watcher does.
    pub fn new(places: &[(TargetName, EndpointName)], elected: bool, version: &str) -> Self {
        let mut registry = Registry::default();
        let mut shown = Vec::new();
        let mut add = Adding { registry: &mut registry, shown: &mut shown };
        let build: Gauges<1> = add.gauge("ctl_build_info", "The version of ctl that runs");
        build.get_or_create(&[("version", version.to_owned())]).set(1.0);
        let metrics = Self {
            requests: add.counter("control_plane_api_requests_total", "Requests to endpoints, by the answer's status"),
            latency: add.histograms("control_plane_api_latency_seconds", "How long requests to endpoints take", || {
                Histogram::new(REQUEST_BUCKETS)
            }),
            config_version: add.metric(
                "control_plane_config_version",
                "gauge",
                "The version that was applied last, the highest of all targets",
                Gauge::default(),
            ),
            // A gauge, shown without a type: the name is a promise, and a checker takes `_count` for a histogram's.
            resources: add.metric(
                "control_plane_resource_count",
                "untyped",
                "Declared resources, by kind and how they stand",
                Family::default(),
            ),
            cycles: add.metric(
                "control_plane_reconciliation_seconds",
                "histogram",
                "How long a cycle of a target takes",
                Histogram::new(CYCLE_BUCKETS),
            ),
            errors: add.counter("control_plane_reconciliation_errors_total", "What kept a cycle from its end"),
            is_leader: add.metric(
                "control_plane_is_leader",
                "gauge",
                "1 if this watcher leads at one target at least, or there is no election",
                Gauge::default(),
            ),
            state: add.gauge("ctl_target_state", "1 for the state that an endpoint is in, 0 for the others"),
            last_success: add.gauge(
                "ctl_target_last_success_timestamp_seconds",
                "When everything at an endpoint was as it should be the last time, 0 for never",
            ),
            snapshot_age: add
                .gauge("ctl_snapshot_age_seconds", "How long ago the source was known to say what is in force"),
            queue: add.gauge("ctl_queue_depth", "Operations that wait"),
            retries: add.counter("ctl_retries_total", "Attempts that failed and were followed by another one"),
            retry_budget: add
                .gauge("ctl_retry_budget", "Retries that may start now, the fewest of a target's endpoints"),
            conflicts: add.counter("ctl_conflicts_total", "Writes that met a change of somebody else"),
            drift: add
                .counter("ctl_drift_total", "Resources that moved at a target although nobody changed their manifest"),
            writes: add.counter("ctl_writes_total", "Writes, by how they ended"),
            fetches: add.metric(
                "ctl_git_fetch_seconds",
                "histogram",
                "How long the source takes to answer",
                Histogram::new(FETCH_BUCKETS),
            ),
            last_ack: add.gauge(
                "ctl_election_last_ack_age_seconds",
                "How long ago the renewal was sent that was acknowledged last",
            ),
            shown: Vec::new(),
            registry: Registry::default(),
            elected,
            sums: Mutex::default(),
        };
        let metrics = Self { registry, shown, ..metrics };
        for error in ErrorType::ALL {
            drop(metrics.errors.get_or_create(&[("error_type", error.as_str().to_owned())]));
        }
        metrics.declare(places);
        metrics
    }

    /// Says which endpoints there are from now on. What is known of those that are gone is dropped, except what was
    /// counted: a counter that vanishes looks like one that was reset.
    pub fn declare(&self, places: &[(TargetName, EndpointName)]) {
        let mut sums = self.sums();
        let places: BTreeSet<_> = places.iter().cloned().collect();
        for (target, endpoint) in sums.places.difference(&places) {
            for state in State::ALL {
                self.state.remove(&state_labels(target, endpoint, state));
            }
            self.last_success.remove(&place_labels(target, endpoint));
        }
        let targets: BTreeSet<_> = places.iter().map(|(target, _)| target.clone()).collect();
        let gone = sums.places.iter().map(|(target, _)| target).filter(|target| !targets.contains(*target));
        for target in gone.cloned().collect::<Vec<_>>() {
            self.queue.remove(&target_labels(&target));
            self.retry_budget.remove(&target_labels(&target));
            sums.resources.remove(&target);
            sums.versions.remove(&target);
            sums.led.remove(&target);
        }
        for (target, endpoint) in places.difference(&sums.places) {
            let place = format!("{target}/{endpoint}");
            drop(self.requests.get_or_create(&[("endpoint", place.clone()), ("status", "none".to_owned())]));
            drop(self.latency.get_or_create(&[("endpoint", place)]));
            drop(self.last_success.get_or_create(&place_labels(target, endpoint)));
            self.state_is(target, endpoint, State::Ok);
        }
        for target in &targets {
            let labels = target_labels(target);
            drop(self.queue.get_or_create(&labels));
            drop(self.retries.get_or_create(&labels));
            drop(self.conflicts.get_or_create(&labels));
            for cause in DRIFT_CAUSES {
                drop(self.drift.get_or_create(&[("target", target.to_string()), ("cause", cause.to_owned())]));
            }
            for outcome in OUTCOMES {
                drop(self.writes.get_or_create(&[("target", target.to_string()), ("outcome", outcome.to_owned())]));
            }
        }
        sums.places = places;
    }

    /// Counts what a watcher says.
    ///
    /// `control_plane_reconciliation_errors_total` counts the errors of [`News::Cycled`], and besides them only what
    /// belongs to no target's cycle: a source that is away, a manifest that cannot be read, a coordinator that does not
    /// answer, a lost lease.
    pub fn listen(&self, news: &News) {
        match news {
            News::Started { places, .. } => self.declare(places),
            News::Request { target, endpoint, status, took, .. } => {
                let place = format!("{target}/{endpoint}");
                self.latency.get_or_create(&[("endpoint", place.clone())]).observe(took.as_secs_f64());
                self.requests.get_or_create(&[("endpoint", place), ("status", status_label(*status))]).inc();
            }
            News::Fetched { took } => self.fetches.observe(took.as_secs_f64()),
            News::SourceAway { .. } => self.failed(ErrorType::Source),
            News::Quarantined { .. } => self.failed(ErrorType::Manifest),
            News::CoordinatorAway { .. } => self.failed(ErrorType::Election),
            News::Resources { target, counts } => {
                let mut sums = self.sums();
                let mut counted = BTreeMap::new();
                for ((kind, state), count) in counts {
                    let kind = sums.kind_label(kind.as_str());
                    *counted.entry((kind, *state)).or_default() += count;
                }
                sums.resources.insert(target.clone(), counted);
            }
            News::Drift { target, cause, .. } => {
                self.drift.get_or_create(&[("target", target.to_string()), ("cause", (*cause).to_owned())]).inc();
            }
            News::Retrying { target, .. } => self.retried(target, 1),
            News::Wrote { target, outcome, .. } => {
                let labels = [("target", target.to_string()), ("outcome", (*outcome).to_owned())];
                self.writes.get_or_create(&labels).inc();
                if *outcome == "conflict" {
                    self.conflicts.get_or_create(&target_labels(target)).inc();
                }
            }
            News::Cycled { target, took, errors, queue, .. } => {
                self.cycles.observe(took.as_secs_f64());
                errors.iter().for_each(|(error, _)| self.failed(*error));
                self.queue_depth(target, *queue);
            }
            News::Version { target, number, .. } => self.config_version(target, *number),
            News::StateChanged { target, endpoint, to, .. } => self.state_is(target, endpoint, *to),
            News::Won { target, .. } => self.leads(target, true),
            News::Lost { target, .. } => {
                self.failed(ErrorType::Election);
                self.leads(target, false);
            }
            News::Stopping { .. }
            | News::Loaded { .. }
            | News::SourceBack
            | News::SourceStale { .. }
            | News::Unquarantined { .. }
            | News::Contested { .. }
            | News::CoordinatorBack
            | News::Ordered { .. }
            | News::HookRefused { .. }
            | News::Note { .. } => {}
        }
    }

    /// Shows what `status` says, wherever a metric and the status say the same thing: then they never disagree. Called
    /// before each [`Metrics::text`].
    pub fn reflect(&self, status: &Status) {
        if let Some(fresh) = &status.source.fresh {
            self.snapshot_age(Duration::from_secs(fresh.age));
        }
        if let Some(age) = status.election.as_ref().and_then(|election| election.last_ack_age) {
            self.last_ack_age(Duration::from_secs(age));
        }
        for target in &status.targets {
            let Ok(name) = target.target.parse::<TargetName>() else { continue };
            self.queue_depth(&name, target.pending_total);
            self.leads(&name, target.leader);
            if let Some(version) = &target.version {
                self.config_version(&name, version.number);
            }
            for endpoint in &target.endpoints {
                let Ok(place) = endpoint.endpoint.parse::<EndpointName>() else { continue };
                self.state_is(&name, &place, endpoint.state);
                if let Some(success) = &endpoint.last_success {
                    self.succeeded(&name, &place, success.time);
                }
            }
        }
    }

    /// How long ago the source was known to say what is in force.
    pub fn snapshot_age(&self, age: Duration) {
        self.snapshot_age.get_or_create(&[]).set(age.as_secs_f64());
    }

    /// So many attempts at a target followed others that had failed.
    pub fn retried(&self, target: &TargetName, attempts: u64) {
        self.retries.get_or_create(&target_labels(target)).inc_by(attempts);
    }

    /// How many operations of a target wait.
    pub fn queue_depth(&self, target: &TargetName, depth: usize) {
        self.queue.get_or_create(&target_labels(target)).set(depth as f64);
    }

    /// How many retries may start now at the endpoint of a target that has the fewest left.
    pub fn retry_budget(&self, target: &TargetName, left: f64) {
        self.retry_budget.get_or_create(&target_labels(target)).set(left);
    }

    /// How long ago the renewal was sent that was acknowledged last.
    pub fn last_ack_age(&self, age: Duration) {
        self.last_ack.get_or_create(&[]).set(age.as_secs_f64());
    }

    /// Whether this watcher leads at a target. Without an election it always does.
    pub fn leads(&self, target: &TargetName, leads: bool) {
        let mut sums = self.sums();
        match leads {
            true => sums.led.insert(target.clone()),
            false => sums.led.remove(target),
        };
    }

    /// The version of a target that was applied last.
    pub fn config_version(&self, target: &TargetName, number: u64) {
        self.sums().versions.insert(target.clone(), number);
    }

    /// How an endpoint stands.
    pub fn state_is(&self, target: &TargetName, endpoint: &EndpointName, now: State) {
        for state in State::ALL {
            let value = if state == now { 1.0 } else { 0.0 };
            self.state.get_or_create(&state_labels(target, endpoint, state)).set(value);
        }
    }

    /// When everything at an endpoint was as it should be: Unix seconds, wall clock.
    pub fn succeeded(&self, target: &TargetName, endpoint: &EndpointName, at: i64) {
        self.last_success.get_or_create(&place_labels(target, endpoint)).set(at as f64);
    }

    /// Everything, in Prometheus' text format (see [`CONTENT_TYPE`]), in an order that stays the same. A metric that has
    /// no value yet is named and explained all the same.
    pub fn text(&self) -> String {
        // Held so that no sum is shown half done.
        let sums = self.sums();
        self.show(&sums);
        let mut raw = String::new();
        // Writing into a string does not fail.
        let _ = encode_registry(&mut raw, &self.registry);
        drop(sums);
        let mut samples: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut family = "";
        for line in raw.lines() {
            match line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()) {
                Some(name) => family = name,
                None if line.starts_with('#') => {}
                None => samples.entry(family).or_default().push(line),
            }
        }
        let mut text = String::with_capacity(raw.len() + 512);
        for Shown { name, kind, help } in &self.shown {
            text.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n"));
            let lines = samples.remove(family_name(name, kind)).unwrap_or_default();
            let mut series: Vec<&[&str]> = match *kind {
                // One series is its sum and what follows it; the buckets stay in their order.
                "histogram" => lines.chunk_by(|_, next| !next.starts_with(&format!("{name}_sum"))).collect(),
                _ => lines.chunks(1).collect(),
            };
            series.sort_unstable();
            for line in series.into_iter().flatten() {
                // A family of one series without labels is an empty pair of braces, which is legal and ugly.
                match line.strip_prefix(name).and_then(|rest| rest.strip_prefix("{}")) {
                    Some(value) => text.extend([name, value]),
                    None => text.push_str(line),
                }
                text.push('\n');
            }
        }
        text
    }

    fn failed(&self, error: ErrorType) {
        self.errors.get_or_create(&[("error_type", error.as_str().to_owned())]).inc();
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the sums into their gauges: when somebody asks, for there may be a thousand targets.
    fn show(&self, sums: &Sums) {
        let highest = sums.versions.values().copied().max().unwrap_or(0);
        self.config_version.set(i64::try_from(highest).unwrap_or(i64::MAX));
        self.is_leader.set(i64::from(!self.elected || !sums.led.is_empty()));
        self.resources.clear();
        let mut totals: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for ((kind, state), count) in sums.resources.values().flatten() {
            for other in RESOURCE_STATES {
                totals.entry((kind, other)).or_default();
            }
            *totals.entry((kind, state)).or_default() += count;
        }
        for ((kind, state), count) in totals {
            self.resources.get_or_create(&[("type", kind.to_owned()), ("state", state.to_owned())]).set(count as f64);
        }
    }
}

impl Sums {
    /// The label of a kind: kinds come from descriptions, which anybody may write.
    fn kind_label(&mut self, kind: &str) -> String {
        if self.kinds.contains(kind) {
            return kind.to_owned();
        }
        let plain = kind.len() <= 100 && !kind.chars().any(|c| misleads(c) || matches!(c, '\n' | '\t' | '"' | '\\'));
        if !plain || self.kinds.len() >= MAX_KINDS {
            return "other".to_owned();
        }
        self.kinds.insert(kind.to_owned());
        kind.to_owned()
    }
}

/// Puts metrics into a registry and remembers how they are shown.
struct Adding<'a> {
    registry: &'a mut Registry,
    shown: &'a mut Vec<Shown>,
}

impl Adding<'_> {
    fn metric<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        metric: M,
    ) -> M {
        self.registry.register(family_name(name, kind), help, metric.clone());
        self.shown.push(Shown { name, kind, help });
        metric
    }

    fn counter<const N: usize>(&mut self, name: &'static str, help: &'static str) -> Counters<N> {
        self.metric(name, "counter", help, Family::default())
    }

    fn gauge<const N: usize>(&mut self, name: &'static str, help: &'static str) -> Gauges<N> {
        self.metric(name, "gauge", help, Family::default())
    }

    fn histograms(&mut self, name: &'static str, help: &'static str, new: fn() -> Histogram) -> Histograms {
        self.metric(name, "histogram", help, Family::new_with_constructor(new))
    }
}

/// The crate's name of a metric: it adds the `_total` of a counter itself, and names its family without.
fn family_name(name: &'static str, kind: &str) -> &'static str {
    if kind == "counter" { name.strip_suffix("_total").unwrap_or(name) } else { name }
}

fn target_labels(target: &TargetName) -> Labels<1> {
    [("target", target.to_string())]
}

fn place_labels(target: &TargetName, endpoint: &EndpointName) -> Labels<2> {
    [("target", target.to_string()), ("endpoint", endpoint.to_string())]
}

fn state_labels(target: &TargetName, endpoint: &EndpointName, state: State) -> Labels<3> {
    [("target", target.to_string()), ("endpoint", endpoint.to_string()), ("state", state.as_str().to_owned())]
}

/// A server may answer with any number: what is no status is `other`.
fn status_label(status: Option<u16>) -> String {
    match status {
        None => "none".to_owned(),
        Some(status @ 100..=599) => status.to_string(),
        Some(_) => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
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
            shows(
                &metrics,
                &format!("control_plane_reconciliation_errors_total{{error_type=\"{}\"}} 0", error.as_str()),
            );
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
            News::Resources {
                target: place("mq", "x").0,
                counts: BTreeMap::from([((Kind::new("zone"), "in_sync"), 3)]),
            },
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
            News::StateChanged { target: dns.clone(), endpoint: one, from: State::Ok, to: State::InDoubt, why: None },
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
        let manual = include_str!("../docs/metrics.md");
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
}
