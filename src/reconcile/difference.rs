//! Judges fresh reads by the difference engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mark::bears;
use super::perform::{Judge, Replanned, Standing};
use crate::diff;
use crate::model::{
    Canonical, Desired, Digest, EndpointName, EndpointRecord, FieldPath, KindRules, KindTable, Mark, Observed, Own,
    OwnRule, Owned, RecordEntry, TargetName,
};
use crate::plan::{Change, Operation, Plan};

/// Judges fresh reads by the difference engine, with the rules and the record that the plan was made of.
pub struct Differences<'a> {
    /// The plan that is carried out.
    pub plan: &'a Plan,
    /// What the API of each target knows.
    pub tables: &'a BTreeMap<TargetName, Arc<KindTable>>,
    /// What is owned.
    pub records: &'a BTreeMap<(TargetName, EndpointName), EndpointRecord>,
    /// How each target is owned.
    pub own: &'a BTreeMap<TargetName, Own>,
    /// The project's mark.
    pub mark: &'a Mark,
}

impl Differences<'_> {
    fn rules(&self, op: &Operation) -> Option<&KindRules> {
        self.tables.get(&op.resource.target)?.get(&op.resource.kind)
    }

    fn entry(&self, op: &Operation) -> Option<&RecordEntry> {
        let place = (op.resource.target.clone(), op.endpoint.clone());
        self.records
            .get(&place)?
            .entries
            .get(&(op.resource.kind.clone(), op.resource.key.clone()))
            .map(|entry| &**entry)
    }

    /// True if an earlier operation of this plan writes the same resource, so that the plan's observation is older than
    /// our own write.
    fn written_before(&self, op: &Operation) -> bool {
        self.plan.operations.iter().take_while(|earlier| earlier.id != op.id).any(|earlier| {
            earlier.resource == op.resource && earlier.endpoint == op.endpoint && earlier.change.writes()
        })
    }

    fn digest(&self, op: &Operation, observed: &Observed, rules: &KindRules) -> Option<Digest> {
        let value = observed.value().ok()?;
        let desired = op.change.desired().map(|d| d.body.value());
        Some(diff::digest_of(&value, desired.as_ref(), self.entry(op), rules))
    }
}

impl Judge for Differences<'_> {
    fn still_holds(&self, op: &Operation, fresh: Option<&Observed>) -> Standing {
        let moved = |why: &str| Standing::Moved { why: why.to_owned() };
        let Some(rules) = self.rules(op) else { return moved("its kind is not known any more") };
        let planned = match (&op.change, fresh) {
            (Change::Create { .. }, None) => return Standing::Holds,
            (Change::Create { .. }, Some(_)) => return moved("somebody made it meanwhile"),
            (Change::Delete { .. }, None) => return Standing::Done,
            (_, None) => return moved("somebody deleted it meanwhile"),
            (Change::Update { base, .. } | Change::Rename { base, .. }, Some(_)) => base.as_ref(),
            (Change::Delete { owned, .. }, Some(_)) => owned.observed(),
            (Change::Adopt { observed, .. }, Some(_)) => observed.as_ref(),
            (Change::Forget { .. }, Some(_)) => return Standing::Holds,
        };
        let Some(fresh) = fresh else { return moved("somebody deleted it meanwhile") };
        if planned.uid.is_some() && planned.uid != fresh.uid && !self.written_before(op) {
            return moved("somebody deleted it and made another of that name");
        }
        if self.digest(op, planned, rules) == self.digest(op, fresh, rules) || self.written_before(op) {
            return Standing::Holds;
        }
        if let Change::Update { desired, .. } = &op.change
            && let Ok(value) = fresh.value()
            && diff::compare(&desired.body.value(), &value, self.entry(op), rules).is_equal()
        {
            return Standing::Done;
        }
        moved("somebody changed it since the plan was made")
    }

    fn replan(&self, op: &Operation, fresh: Option<&Observed>) -> Replanned {
        let refused = |why: &str| Replanned::Refused(why.to_owned());
        let Some(rules) = self.rules(op) else { return refused("its kind is not known any more") };
        match (&op.change, fresh) {
            (Change::Create { .. }, None) => Replanned::Create,
            (Change::Create { .. }, Some(_)) => refused("somebody made it meanwhile; plan again to adopt it"),
            (Change::Update { desired, .. } | Change::Rename { desired, .. }, Some(fresh)) => {
                if fresh.mark.as_ref().is_some_and(|mark| mark != self.mark) {
                    return refused("it bears another project's mark now");
                }
                let Ok(value) = fresh.value() else { return refused("what is there cannot be read") };
                let found = diff::compare(&desired.body.value(), &value, self.entry(op), rules);
                if found.is_equal() {
                    return Replanned::Nothing;
                }
                if found.fields.iter().any(|field| field.forces_replace) {
                    return refused("a field that cannot be changed in place differs now; plan again");
                }
                let changes = found.fields.iter().filter_map(|f| Some((f.path.clone(), f.after.clone()?))).collect();
                Replanned::Update { changes, remove: found.remove }
            }
            (Change::Update { .. } | Change::Rename { .. }, None) => {
                refused("somebody deleted it meanwhile; plan again")
            }
            (Change::Delete { .. }, None) => Replanned::Nothing,
            (Change::Delete { entry, .. }, Some(fresh)) => {
                let rule = match self.own.get(&op.resource.target) {
                    Some(Own::Exclusive) => OwnRule::Exclusive,
                    Some(Own::Recorded) | None => OwnRule::Recorded { mark: self.mark, verified: true },
                };
                match Owned::claim(fresh.clone(), entry.as_deref(), rule) {
                    Ok(owned) => Replanned::Delete(Box::new(owned)),
                    Err(_) => refused("it is not the one that the record names any more"),
                }
            }
            (Change::Adopt { .. } | Change::Forget { .. }, _) => Replanned::Nothing,
        }
    }

    fn is_as_sent(&self, desired: &Desired, found: &Observed) -> bool {
        let rules = self.tables.get(&desired.id.target).and_then(|table| table.get(&desired.id.kind));
        match (rules, found.value()) {
            (Some(rules), Ok(value)) => diff::compare(&desired.body.value(), &value, None, rules).is_equal(),
            _ => false,
        }
    }

    fn rewritten(&self, desired: &Desired, found: &Observed) -> BTreeMap<FieldPath, Option<Canonical>> {
        let rules = self.tables.get(&desired.id.target).and_then(|table| table.get(&desired.id.kind));
        rules.map(|rules| diff::rewritten_held(&desired.body, found, rules)).unwrap_or_default()
    }

    fn unshown(&self, desired: &Desired, found: &Observed) -> BTreeMap<FieldPath, Option<Digest>> {
        let rules = self.tables.get(&desired.id.target).and_then(|table| table.get(&desired.id.kind));
        match (rules, found.value()) {
            (Some(rules), Ok(value)) => diff::unshown(&desired.body.value(), &value, rules),
            _ => BTreeMap::new(),
        }
    }
}

/// True if `found` is what was sent, as a stored intent tells it: everything that was stated, and our mark where `mark`
/// says that we write one. What lacks it was made by somebody else, however alike.
pub fn is_as_sent(rules: &KindRules, mark: Option<&Mark>, sent: &Canonical, found: &Observed) -> bool {
    bears(rules, mark, found)
        && found.value().is_ok_and(|value| diff::compare(&sent.value(), &value, None, rules).is_equal())
}
