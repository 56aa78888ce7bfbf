//! What is summed over the targets before it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use super::Metrics;
use super::labels::RESOURCE_STATES;
use crate::model::{EndpointName, TargetName, misleads};

/// Kinds that have a label of their own.
pub(super) const MAX_KINDS: usize = 200;

/// What is summed over the targets before it is shown.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) places: BTreeSet<(TargetName, EndpointName)>,
    pub(super) resources: BTreeMap<TargetName, BTreeMap<(String, &'static str), usize>>,
    pub(super) kinds: BTreeSet<String>,
    pub(super) versions: BTreeMap<TargetName, u64>,
    pub(super) led: BTreeSet<TargetName>,
}

impl Metrics {
    pub(super) fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the sums into their gauges: when somebody asks, for there may be a thousand targets.
    pub(super) fn show(&self, sums: &Sums) {
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
    pub(super) fn kind_label(&mut self, kind: &str) -> String {
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
