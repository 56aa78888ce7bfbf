//! What a watcher counts, as Prometheus reads it. Every name and label is explained in `docs/metrics.md`.
//!
//! Labels come from bounded sets: targets and endpoints of the project, kinds (two hundred of them, then `other`), and
//! words of this program. Names of resources are in none.

mod labels;
mod registry;
mod sums;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::event::{ErrorType, News};
use crate::model::{EndpointName, State, Status, TargetName};
use labels::{DRIFT_CAUSES, OUTCOMES, place_labels, state_labels, status_label, target_labels};
use registry::{Adding, Counters, Gauges, Histograms, Shown};
use sums::Sums;

pub use text::CONTENT_TYPE;

/// Seconds; a request ends after 60 at the latest.
const REQUEST_BUCKETS: [f64; 12] = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Seconds; from a cycle in which nothing moved to one that writes ten thousand resources.
const CYCLE_BUCKETS: [f64; 14] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Seconds.
const FETCH_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

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

    fn failed(&self, error: ErrorType) {
        self.errors.get_or_create(&[("error_type", error.as_str().to_owned())]).inc();
    }
}

#[cfg(test)]
mod tests;
