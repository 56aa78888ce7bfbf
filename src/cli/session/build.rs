//! From what was seen to the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Planned, Session};
use crate::cli::lagging;
use crate::model::{Complete, Desired, Diagnostic, EndpointRecord, Key, Kind, Own, Record, TargetName};
use crate::plan::{self, EndpointInput, Plan, PlanInput, Refusal, TargetInput};
use crate::reconcile::{Place, Sighting};

/// What is wanted at each target.
pub(super) type Wanted = BTreeMap<TargetName, Complete<Vec<Arc<Desired>>>>;

impl Session {
    /// Plans from what was seen.
    pub(in crate::cli) fn plan_of(&self, sightings: &BTreeMap<Place, Sighting>) -> Plan {
        self.build(&self.desired(), sightings)
    }

    /// What is wanted at each target, all of it.
    pub(super) fn desired(&self) -> Wanted {
        let mut by_target: BTreeMap<&TargetName, Vec<Arc<Desired>>> = BTreeMap::new();
        for desired in &self.snapshot.desired {
            by_target.entry(&desired.id.target).or_default().push(Arc::clone(desired));
        }
        self.targets
            .iter()
            .map(|name| {
                let wanted = by_target.remove(name).unwrap_or_default();
                // What is taken out of a complete snapshot by target is complete for that target.
                (name.clone(), Complete::as_ref(&self.snapshot).map(|_| wanted))
            })
            .collect()
    }

    /// True if the value of a secret is another one now than was sent, as far as a `record-key` can tell.
    pub(in crate::cli) fn has_changed_secrets(&self) -> bool {
        !self.records_with_changed_secrets().is_empty()
    }

    fn records_with_changed_secrets(&self) -> BTreeMap<Place, EndpointRecord> {
        let mut aged = BTreeMap::new();
        for (target, (_, record)) in &self.records {
            for (endpoint, known) in &record.endpoints {
                if let Some(copy) = self.with_changed_secrets(target, endpoint, known) {
                    aged.insert((target.clone(), endpoint.clone()), copy);
                }
            }
        }
        aged
    }

    pub(super) fn build(&self, desired: &Wanted, sightings: &BTreeMap<Place, Sighting>) -> Plan {
        let nothing = EndpointRecord::default();
        let aged = self.records_with_changed_secrets();
        let mut targets = Vec::new();
        let mut uncontacted = 0;
        for name in &self.targets {
            let (Some(config), Some(api), Some(wanted)) =
                (self.project().targets.get(name), self.loaded.apis.get(name), desired.get(name))
            else {
                continue;
            };
            let record = self.records.get(name).map(|(_, record)| record);
            let mut endpoints = Vec::new();
            for endpoint in config.endpoints.keys() {
                let place = (name.clone(), endpoint.clone());
                let Some(sighting) = sightings.get(&place) else {
                    // Refused before any contact: nothing is known of what is declared or recorded there.
                    uncontacted += unknown_there(wanted, self.endpoint_record(name, endpoint));
                    continue;
                };
                let record = self.endpoint_record(name, endpoint).unwrap_or(&nothing);
                let owned = lagging::Record { entries: record, table: api.description.table() };
                endpoints.push(EndpointInput {
                    name: endpoint.clone(),
                    record: aged.get(&place).unwrap_or(record),
                    unverified: self.unverified(name, endpoint, record),
                    twice: self.lagging.twice(&place, sighting, api.description.table()),
                    missed: self.lagging.missed(&place, sighting, &owned),
                    scopes: &sighting.scopes,
                });
            }
            let head = record.and_then(|r| r.head.as_ref());
            targets.push(TargetInput {
                name: name.clone(),
                table: api.description.table(),
                own: config.own,
                marks: config.marks,
                guard: head.map_or(config.guard, |head| head.guard.stricter(config.guard)),
                desired: wanted.clone(),
                selected: self.selected(name, wanted, record),
                endpoints,
                // The first run under `own: exclusive`, too, for that is what deletes strangers.
                first_run: head.is_none_or(|head| config.own == Own::Exclusive && head.own != Own::Exclusive),
            });
        }
        let fits_nothing =
            !self.is_whole() && targets.iter().all(|t| t.selected.as_ref().is_some_and(BTreeSet::is_empty));
        let input = PlanInput {
            project: self.project(),
            commit: self.loaded.revision.clone(),
            snapshot: self.snapshot.digest,
            targets,
            allow_replace: self.leave.replace,
            allow_deletes: self.leave.deletes,
            allow_updates: self.leave.updates,
        };
        let mut plan = plan::build(&input);
        plan.unknown += uncontacted;
        if fits_nothing {
            let message = "the selector fits nothing that is declared or recorded";
            let help =
                "-l compares with `metadata.labels` of the manifests: label=value, label!=value, label or !label";
            plan.diagnostics.push(Diagnostic::warning("fits-nothing", message).help(help));
        }
        plan.refusals.extend(self.fleet.refusals.iter().cloned());
        self.check_identities(sightings, &mut plan);
        self.check_lineage(&mut plan);
        self.check_trust(&mut plan);
        self.check_gone_folders(&mut plan);
        if self.alone {
            self.note_orphans(&mut plan);
        }
        self.note_intents(&mut plan);
        self.note_uncleared(&mut plan);
        for (target, why) in &self.locked {
            plan.refusals.push(Refusal {
                gate: "locked",
                target: target.clone(),
                endpoint: None,
                kind: None,
                message: why.clone(),
                help: "wait for it with `--wait 5m`, or run again later; nothing has to be unlocked by hand".to_owned(),
            });
        }
        self.note_calls(sightings, &mut plan);
        plan
    }

    /// Plans again from what was seen, after the records changed.
    pub(in crate::cli) fn plan_again(&self, planned: Planned) -> Planned {
        let plan = self.build(&self.desired(), &planned.sightings);
        Planned { checksum: plan.checksum(), plan, ..planned }
    }

    /// Which resources `-l` picks: declared or recorded ones with the labels.
    fn selected(
        &self,
        target: &TargetName,
        desired: &[Arc<Desired>],
        record: Option<&Record>,
    ) -> Option<BTreeSet<(Kind, Key)>> {
        if self.selection.is_all() {
            return None;
        }
        let mut picked: BTreeSet<(Kind, Key)> = desired
            .iter()
            .filter(|d| &d.id.target == target && self.selection.picks(&d.meta.labels))
            .map(|d| (d.id.kind.clone(), d.id.key.clone()))
            .collect();
        for endpoint in record.iter().flat_map(|r| r.endpoints.values()) {
            let entries = endpoint.entries.iter().filter(|(_, entry)| self.selection.picks(&entry.labels));
            picked.extend(entries.map(|(which, _)| which.clone()));
        }
        Some(picked)
    }
}

/// How many resources are declared or recorded at an endpoint.
fn unknown_there(wanted: &[Arc<Desired>], record: Option<&EndpointRecord>) -> usize {
    let declared: BTreeSet<(&Kind, &Key)> = wanted.iter().map(|d| (&d.id.kind, &d.id.key)).collect();
    let entries = record.iter().flat_map(|r| r.entries.keys());
    wanted.len() + entries.filter(|(kind, key)| !declared.contains(&(kind, key))).count()
}
