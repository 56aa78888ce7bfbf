//! From a plan and what became of it to the next record.

use std::collections::BTreeMap;

use super::apply::OpResult;
use crate::event::Ending;
use crate::model::{
    Desired, EndpointName, IntentOp, Kind, Mark, Observed, OnRemove, Record, RecordEntry, RecordHead, SecretRef,
    TargetName, Value,
};
use crate::plan::{Change, Operation, Plan};

/// What the record wants to know of a resource and only its description can tell.
pub trait Facts: Sync {
    /// The id that the server made, where the API addresses by one.
    fn server_id(&self, kind: &Kind, observed: &Observed) -> Option<String>;

    /// Addresses inside the target that it refers to.
    fn refs(&self, desired: &Desired) -> Vec<String>;

    /// True if resources of this kind carry a mark.
    fn takes_mark(&self, kind: &Kind) -> bool;
}

/// What a run is about to write at `target`: the operations of its intent, those at refused endpoints left out.
pub fn intent_ops(plan: &Plan, target: &TargetName, facts: &dyn Facts) -> Vec<IntentOp> {
    let here = plan.operations.iter().filter(|op| &op.resource.target == target && !plan.refuses(op));
    here.map(|op| {
        let (body, entry) = match &op.change {
            Change::Delete { entry, .. } => (None, entry.clone()),
            Change::Forget { entry, .. } => (None, Some(entry.clone())),
            Change::Create { desired }
            | Change::Update { desired, .. }
            | Change::Adopt { desired, .. }
            | Change::Rename { desired, .. } => {
                let entry = entry_of(op, desired, None, None, facts);
                let bare = entry.labels.is_empty()
                    && entry.refs.is_empty()
                    && !entry.protect
                    && entry.on_remove == OnRemove::Delete
                    && entry.secrets.is_empty();
                // Only where the body does not tell all that settling needs; it would double the intent otherwise.
                (Some(desired.body.clone()), (!bare).then(|| Box::new(entry)))
            }
        };
        IntentOp {
            endpoint: op.endpoint.clone(),
            action: op.change.action().as_str().to_owned(),
            kind: op.resource.kind.clone(),
            key: op.resource.key.clone(),
            body,
            entry,
        }
    })
    .collect()
}

/// The record of `target` after a run: what was done is in it, what was not done is as it was, and so is what is in
/// doubt. Intents are left as they are; [`super::Run::finish`] takes its own one out.
pub fn record_after(
    before: &Record,
    target: &TargetName,
    plan: &Plan,
    results: &[OpResult],
    identities: &BTreeMap<EndpointName, String>,
    head: RecordHead,
    facts: &dyn Facts,
) -> Record {
    let mut record = before.clone();
    let mark = Mark::of(&plan.project);
    for (name, identity) in identities {
        record.endpoints.entry(name.clone()).or_default().identity = Some(identity.clone());
    }
    for (op, result) in plan.operations.iter().zip(results) {
        if &op.resource.target != target || result.ending != Ending::Done {
            continue;
        }
        let entries = &mut record.endpoints.entry(op.endpoint.clone()).or_default().entries;
        let place = (op.resource.kind.clone(), op.resource.key.clone());
        match &op.change {
            // Ours until somebody has seen that it is gone; what was made again in its place has its own line.
            Change::Delete { .. } if result.unseen => {}
            Change::Delete { .. } | Change::Forget { .. } => drop(entries.remove(&place)),
            Change::Create { desired }
            | Change::Update { desired, .. }
            | Change::Adopt { desired, .. }
            | Change::Rename { desired, .. } => {
                let old = match &op.change {
                    Change::Rename { entry, .. } => entries.remove(&(entry.kind.clone(), entry.key.clone())),
                    _ => entries.get(&place).cloned(),
                };
                let mut entry = entry_of(op, desired, result.observed.as_ref(), old.as_deref(), facts);
                let bears_mark = result.observed.as_ref().map(|observed| observed.mark.as_ref() == Some(&mark));
                // An adoption writes nothing: it leaves what an earlier write of ours brought about, and adds no mark.
                let known = old.filter(|old| old.uid.is_none() || old.uid == entry.uid);
                let (marked, rewritten) = match (&op.change, known) {
                    (Change::Adopt { .. }, Some(old)) => {
                        (bears_mark.unwrap_or(true) && old.marked, old.rewritten.clone())
                    }
                    (Change::Adopt { .. }, None) => (false, BTreeMap::new()),
                    (_, old) => {
                        let marked = bears_mark.unwrap_or(result.marked || old.is_some_and(|old| old.marked));
                        (marked, result.rewritten.clone())
                    }
                };
                entry.marked = marked && facts.takes_mark(&entry.kind);
                entry.rewritten = rewritten;
                entries.insert(place, entry);
            }
        }
    }
    record.head = Some(head);
    record
}

fn entry_of(
    op: &Operation,
    desired: &Desired,
    observed: Option<&Observed>,
    old: Option<&RecordEntry>,
    facts: &dyn Facts,
) -> RecordEntry {
    // A create makes a new object, so nothing of an older one's identity may linger.
    let old = old.filter(|_| !matches!(op.change, Change::Create { .. }));
    RecordEntry {
        kind: op.resource.kind.clone(),
        key: op.resource.key.clone(),
        server_id: match observed {
            Some(observed) => facts.server_id(&op.resource.kind, observed),
            None => old.and_then(|old| old.server_id.clone()),
        },
        uid: match observed {
            Some(observed) => observed.uid.clone(),
            None => old.and_then(|old| old.uid.clone()),
        },
        sent: desired.body.clone(),
        digest: desired.digest,
        marked: false,
        labels: desired.meta.labels.clone(),
        refs: facts.refs(desired),
        protect: desired.meta.protect,
        on_remove: desired.meta.on_remove,
        rewritten: BTreeMap::new(),
        secrets: secrets_of(desired),
        secret_hashes: old.map(|old| old.secret_hashes.clone()).unwrap_or_default(),
        hmac: None,
    }
}

fn secrets_of(desired: &Desired) -> BTreeMap<String, Option<u64>> {
    let mut found = BTreeMap::new();
    // Most bodies hold none, and parsing all of them would be felt.
    if desired.body.as_str().contains("\"$secret\"") {
        collect_secrets(&desired.body.value(), &mut found);
    }
    found
}

fn collect_secrets(value: &Value, found: &mut BTreeMap<String, Option<u64>>) {
    match value {
        Value::Secret(SecretRef { name, version }) => drop(found.insert(name.clone(), *version)),
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, found)),
        Value::Object(map) => map.values().for_each(|member| collect_secrets(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
