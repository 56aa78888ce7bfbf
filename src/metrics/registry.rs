//! How a metric comes into the registry, and what is remembered of it to show it.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::labels::Labels;

pub(super) type Counters<const N: usize> = Family<Labels<N>, Counter>;
pub(super) type Gauges<const N: usize> = Family<Labels<N>, Gauge<f64, AtomicU64>>;
pub(super) type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct Shown {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
}

/// Puts metrics into a registry and remembers how they are shown.
pub(super) struct Adding<'a> {
    pub(super) registry: &'a mut Registry,
    pub(super) shown: &'a mut Vec<Shown>,
}

impl Adding<'_> {
    pub(super) fn metric<M: Metric + Clone>(
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

    pub(super) fn counter<const N: usize>(&mut self, name: &'static str, help: &'static str) -> Counters<N> {
        self.metric(name, "counter", help, Family::default())
    }

    pub(super) fn gauge<const N: usize>(&mut self, name: &'static str, help: &'static str) -> Gauges<N> {
        self.metric(name, "gauge", help, Family::default())
    }

    pub(super) fn histograms(&mut self, name: &'static str, help: &'static str, new: fn() -> Histogram) -> Histograms {
        self.metric(name, "histogram", help, Family::new_with_constructor(new))
    }
}

/// The crate's name of a metric: it adds the `_total` of a counter itself, and names its family without.
pub(super) fn family_name(name: &'static str, kind: &str) -> &'static str {
    if kind == "counter" { name.strip_suffix("_total").unwrap_or(name) } else { name }
}
