//! What the record wants to know of a resource beyond what a plan says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::session::Session;
use crate::manifest::api::ApiDescription;
use crate::model::{Desired, Kind, Observed, Record, ScopeState, TargetName, Value};
use crate::plan::refers_to;
use crate::reconcile::{Facts, Place, Sighting};

/// The facts of one target.
pub(super) struct FactsOf<'a> {
    api: &'a Arc<ApiDescription>,
    marks: bool,
}

impl<'a> FactsOf<'a> {
    /// None for a target that the project does not have.
    pub(super) fn new(session: &'a Session, target: &TargetName) -> Option<Self> {
        let marks = session.project().targets.get(target)?.marks;
        Some(Self { api: &session.loaded.apis.get(target)?.description, marks })
    }
}

impl Facts for FactsOf<'_> {
    fn server_id(&self, kind: &Kind, observed: &Observed) -> Option<String> {
        let rules = self.api.table().get(kind)?;
        let template = self.api.types.get(kind)?.path.as_ref()?;
        let made = template.holes().find(|hole| rules.key.iter().all(|field| field.name != hole.name))?;
        match observed.value().ok()?.child(&made.name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn refs(&self, desired: &Desired) -> Vec<String> {
        let table = self.api.table();
        let Some(rules) = table.get(&desired.id.kind).filter(|rules| !rules.refs.is_empty()) else { return Vec::new() };
        let found = refers_to(&desired.body.value(), rules, table);
        found.into_iter().map(|(kind, key)| format!("{kind}/{key}")).collect()
    }

    fn takes_mark(&self, kind: &Kind) -> bool {
        self.marks && self.api.table().get(kind).is_some_and(|rules| rules.owner.is_some())
    }
}

/// Brings the lines of unchanged resources up to date (a manifest that states more than was sent, while the target has
/// it already; a changed label). True if something was.
pub(super) fn refreshed(
    session: &Session,
    sightings: &BTreeMap<Place, Sighting>,
    target: &TargetName,
    record: &mut Record,
) -> bool {
    let Some(facts) = FactsOf::new(session, target) else { return false };
    let mut changed = false;
    for ((at, endpoint), sighting) in sightings {
        let unknown = sighting.scopes.values().any(|state| matches!(state, ScopeState::Unknown { .. }));
        let Some(known) = record.endpoints.get_mut(endpoint).filter(|_| at == target && !unknown) else { continue };
        let mut outdated = Vec::new();
        // Both are sorted by kind and key.
        let mut entries = known.entries.iter().peekable();
        for desired in session.snapshot.desired.iter().filter(|d| &d.id.target == target) {
            let place = (&desired.id.kind, &desired.id.key);
            while entries.next_if(|((kind, key), _)| (kind, key) < place).is_some() {}
            let Some((_, entry)) = entries.next_if(|((kind, key), _)| (kind, key) == place) else { continue };
            let same = entry.digest == desired.digest
                && entry.labels == desired.meta.labels
                && entry.protect == desired.meta.protect
                && entry.on_remove == desired.meta.on_remove;
            let is_as_wanted = || {
                let rules = session.loaded.apis.get(target).and_then(|a| a.description.table().get(&desired.id.kind));
                let scope = (desired.id.kind.clone(), rules.and_then(|r| r.parent_key(&desired.id.key)));
                let Some(ScopeState::Known(listing)) = sighting.scopes.get(&scope) else { return false };
                let live = listing.items.binary_search_by(|item| item.key.cmp(&desired.id.key)).ok();
                let value = live.and_then(|i| listing.items[i].value().ok());
                match (rules, value) {
                    (Some(rules), Some(value)) => {
                        crate::diff::compare(&desired.body.value(), &value, Some(&**entry), rules).is_equal()
                    }
                    _ => false,
                }
            };
            if !same && is_as_wanted() {
                outdated.push(desired);
            }
        }
        for desired in outdated {
            let which = (desired.id.kind.clone(), desired.id.key.clone());
            let Some(entry) = known.entries.get_mut(&which) else { continue };
            entry.sent = desired.body.clone();
            entry.digest = desired.digest;
            entry.labels = desired.meta.labels.clone();
            entry.protect = desired.meta.protect;
            entry.on_remove = desired.meta.on_remove;
            entry.refs = facts.refs(desired);
            changed = true;
        }
    }
    changed
}
