//! The calls that endpoints want once after writes: what a plan says of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Session;
use crate::model::{Diagnostic, Kind, TargetName};
use crate::plan::{Plan, PlannedCall};
use crate::reconcile::{Place, Sighting};

/// What a place has been written, and is to be.
#[derive(Default)]
struct Written<'a> {
    before: BTreeSet<&'a Kind>,
    planned: BTreeSet<&'a Kind>,
}

impl Session {
    /// True if the API of a target wants a call after writes of this kind.
    pub(in crate::cli) fn wants_call(&self, target: &TargetName, kind: &Kind) -> bool {
        self.loaded.apis.get(target).is_some_and(|api| api.description.after_apply(kind).is_some())
    }

    /// Kinds that were written in earlier runs, and not called for since, by endpoint.
    pub(in crate::cli) fn owed(&self) -> BTreeMap<Place, BTreeSet<Kind>> {
        let endpoints = self.records.iter().flat_map(|(target, (_, record))| {
            record.endpoints.iter().map(move |(name, known)| ((target.clone(), name.clone()), &known.owed))
        });
        endpoints.filter(|(_, owed)| !owed.is_empty()).map(|(place, owed)| (place, owed.clone())).collect()
    }

    /// Says which calls follow the writes of the plan, and which are owed since an earlier run.
    pub(super) fn note_calls(&self, sightings: &BTreeMap<Place, Sighting>, plan: &mut Plan) {
        let owed = self.owed();
        let operations = std::mem::take(&mut plan.operations);
        let mut written: BTreeMap<Place, Written<'_>> = BTreeMap::new();
        for (place, kinds) in &owed {
            written.entry(place.clone()).or_default().before.extend(kinds);
        }
        for op in operations.iter().filter(|op| op.change.writes()) {
            let place = (op.resource.target.clone(), op.endpoint.clone());
            written.entry(place).or_default().planned.insert(&op.resource.kind);
        }
        for ((target, endpoint), Written { before, planned }) in written {
            let Some(api) = self.loaded.apis.get(&target) else { continue };
            let all = before.iter().chain(&planned).map(|kind| (*kind).clone()).collect();
            let place = (target.clone(), endpoint.clone());
            let reached = sightings.get(&place).is_some_and(|sighting| sighting.greeting.is_some());
            for call in api.description.calls_after(&all) {
                let owed = before.iter().any(|kind| call.kinds.contains(*kind));
                if owed && !reached {
                    let message = format!("{target}/{endpoint} is owed `{}` since an earlier run", call.call);
                    let help = "it is made by the next `ctl apply` that reaches the endpoint";
                    plan.diagnostics.push(Diagnostic::warning("call-owed", message).help(help));
                } else {
                    plan.calls.push(PlannedCall { target: target.clone(), endpoint: endpoint.clone(), call, owed });
                }
            }
        }
        plan.operations = operations;
    }
}
