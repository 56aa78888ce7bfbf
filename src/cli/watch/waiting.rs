//! What waits where nobody could look: what is declared there is compared with what the record says was sent. Nothing is
//! written because of it; it is what the queue, the status and the counts say of an endpoint that is away.

use std::collections::{BTreeMap, BTreeSet};

use super::cycled::{Dark, EndpointReport, OpReport, Outcome, Waiting};
use crate::cli::fleet::Driver;
use crate::model::{EndpointName, Key, Kind, KindTable, Record, ResourceId, Snapshot, TargetName};
use crate::plan::{Action, Cause};
use crate::reconcile::{Peers, Place};
use crate::target::Target as _;

/// Works out what waits at a target's endpoints that were not reached, and in lists that were not read.
pub(super) fn waiting(
    target: &TargetName,
    snapshot: &Snapshot,
    record: &Record,
    (endpoints, dark): (&BTreeMap<EndpointName, EndpointReport>, &Dark),
    peers: &Peers<Driver>,
) -> Waiting {
    let mut out = Waiting::default();
    let nothing = BTreeSet::new();
    for (name, endpoint) in endpoints {
        let lists = dark.get(name).unwrap_or(&nothing);
        if endpoint.reached && lists.is_empty() {
            continue;
        }
        let place: Place = (target.clone(), name.clone());
        let kinds = peers.get(&place).map(|peer| peer.driver.kinds());
        let hidden =
            |kind: &Kind, key: &Key| !endpoint.reached || kinds.is_none_or(|kinds| is_in(lists, kinds, kind, key));
        let entries = record.endpoints.get(name).map(|endpoint| &endpoint.entries);
        let mut declared = BTreeSet::new();
        for desired in snapshot.desired.iter().filter(|desired| &desired.id.target == target) {
            let which = (desired.id.kind.clone(), desired.id.key.clone());
            if !hidden(&which.0, &which.1) {
                continue;
            }
            let (action, differs) = match entries.and_then(|entries| entries.get(&which)) {
                Some(entry) if entry.digest == desired.digest => {
                    out.unseen.insert(desired.id.to_string());
                    declared.insert(which);
                    continue;
                }
                Some(_) => (Action::Update, "declared otherwise than it was sent"),
                None => (Action::Create, "declared, and never sent there"),
            };
            declared.insert(which);
            let source = Some(desired.origin.path.to_string());
            out.operations.push(OpReport {
                wanted: Some(desired.digest),
                source,
                ..waits(&desired.id, name, action, differs)
            });
        }
        for (kind, key) in entries.into_iter().flat_map(|entries| entries.keys()) {
            if hidden(kind, key) && !declared.contains(&(kind.clone(), key.clone())) {
                let id = ResourceId { target: target.clone(), kind: kind.clone(), key: key.clone() };
                out.operations.push(waits(&id, name, Action::Delete, "not declared any more"));
            }
        }
    }
    out
}

/// True if the list that a resource would be in is one of those that could not be read, or lies within one.
fn is_in(lists: &BTreeSet<(Kind, Option<Key>)>, kinds: &KindTable, kind: &Kind, key: &Key) -> bool {
    let (mut kind, mut key) = (kind.clone(), key.clone());
    // Parents nest no deeper than there are kinds.
    for _ in 0..=kinds.kinds.len() {
        let rules = kinds.get(&kind);
        let parent = rules.and_then(|rules| rules.parent_key(&key));
        if lists.contains(&(kind.clone(), None)) || lists.contains(&(kind.clone(), parent.clone())) {
            return true;
        }
        let (Some(rule), Some(above)) = (rules.and_then(|rules| rules.parent.as_ref()), parent) else { return false };
        (kind, key) = (rule.kind.clone(), above);
    }
    false
}

fn waits(id: &ResourceId, endpoint: &EndpointName, action: Action, differs: &str) -> OpReport {
    OpReport {
        address: id.to_string(),
        endpoint: endpoint.clone(),
        kind: id.kind.clone(),
        action,
        cause: Cause::Intended,
        differs: differs.to_owned(),
        wanted: None,
        fields: Vec::new(),
        source: None,
        outcome: Outcome::Skipped("it could not be looked at; it is done when the endpoint answers".to_owned()),
        attempts: 0,
        trouble: None,
    }
}
