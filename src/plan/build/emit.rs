//! Fates as operations, whose order is not known yet.

use std::sync::Arc;

use super::{Builder, CANNOT, Fate};
use crate::diff::{self, Comparison};
use crate::model::{Desired, Diagnostic, KindRules, Observed, Owned, RecordEntry, Value};
use crate::plan::change::{Cause, Change, FieldDiff, Precondition};
use crate::plan::draft::Draft;
use crate::plan::fields;
use crate::plan::site::{Which, value_of};

impl Builder<'_, '_> {
    pub(super) fn emit(&mut self, drafts: &mut Vec<Draft>) {
        let fates = std::mem::take(&mut self.fates);
        let mut deletes = std::mem::take(&mut self.deletes);
        let renames = std::mem::take(&mut self.renames);
        for (which, fate) in fates {
            if matches!(fate, Fate::Unchanged) {
                self.plan.unchanged += 1;
                continue;
            }
            let Some(desired) = self.site.desired.get(&which).map(|d| Arc::clone(d)) else { continue };
            let observed = self.site.live.get(&which).copied();
            let Some(rules) = self.site.rules(&which.0) else { continue };
            match fate {
                Fate::Unchanged => {}
                Fate::Create => {
                    let old = renames.get(&which).and_then(|old| deletes.remove_entry(old));
                    let create = self.create(&which, &desired, rules);
                    let first = old.map(|(old, proof)| {
                        self.may_be_replaced(&old, &desired);
                        self.delete(&old, proof)
                    });
                    push_pair(drafts, first, create);
                }
                Fate::Recreate => drafts.push(self.create(&which, &desired, rules)),
                Fate::Adopt => drafts.extend(observed.map(|o| self.adopt(&which, &desired, o, rules))),
                Fate::Update { found, adopt } => {
                    let Some(observed) = observed else { continue };
                    if adopt {
                        drafts.push(self.adopt(&which, &desired, observed, rules));
                    }
                    drafts.push(self.update(&which, &desired, observed, found, rules));
                }
                Fate::Reattach { found, to } => {
                    let Some(observed) = observed else { continue };
                    if self.site.entry_for(&which, observed).is_none() {
                        drafts.push(self.adopt(&which, &desired, observed, rules));
                    }
                    let mut attach = self.update(&which, &desired, observed, found, rules);
                    attach.reattaches = to;
                    drafts.push(attach);
                }
                Fate::Replace { found } => {
                    let Some(proof) = deletes.remove(&which) else { continue };
                    self.may_be_replaced(&which, &desired);
                    let first = self.delete(&which, proof);
                    let mut create = self.create(&which, &desired, rules);
                    if !found.fields.is_empty() {
                        create.op.cause = fields::cause_of(&found);
                        create.op.fields = fields::of_comparison(&found);
                    }
                    push_pair(drafts, Some(first), create);
                }
            }
        }
        for (which, proof) in deletes {
            let draft = self.delete(&which, proof);
            drafts.push(draft);
        }
        for (which, why) in std::mem::take(&mut self.forgets) {
            let Some(entry) = self.site.record.entries.get(&which) else { continue };
            if why == CANNOT {
                let message = format!("{} is forgotten and stays: {why}", self.id(&which));
                self.tell(Diagnostic::warning("cannot-delete", message));
            }
            let entry = Box::new((**entry).clone());
            let cause = if why == "it is gone" { Cause::Drift } else { Cause::Intended };
            let precondition = Precondition::Unconditional("nothing is written to the target");
            drafts.push(self.draft(&which, Change::Forget { entry, why }, cause, precondition, Vec::new()));
        }
    }

    fn draft(
        &self,
        which: &Which,
        change: Change,
        cause: Cause,
        precondition: Precondition,
        fields: Vec<FieldDiff>,
    ) -> Draft {
        Draft::new(self.endpoint.name.clone(), self.id(which), change, cause, precondition, fields)
    }

    fn create(&mut self, which: &Which, desired: &Arc<Desired>, rules: &KindRules) -> Draft {
        let known = self.site.record.entries.contains_key(which) && !self.site.live.contains_key(which);
        let cause = if known { Cause::Drift } else { Cause::Intended };
        let want = desired.body.value();
        let fields = fields::stated(&want, &mut self.paths, rules, cause);
        let change = Change::Create { desired: Arc::clone(desired) };
        self.draft(which, change, cause, Precondition::Absent, fields)
    }

    fn precondition(
        &self,
        observed: &Observed,
        have: &Value,
        want: Option<&Value>,
        entry: Option<&RecordEntry>,
        rules: &KindRules,
    ) -> Precondition {
        match &observed.token {
            Some(token) => Precondition::Token(token.clone()),
            None => Precondition::Digest(diff::digest_of(have, want, entry, rules)),
        }
    }

    fn adopt(&self, which: &Which, desired: &Arc<Desired>, observed: &Observed, rules: &KindRules) -> Draft {
        let (want, have) = (desired.body.value(), value_of(observed));
        let precondition = self.precondition(observed, &have, Some(&want), None, rules);
        let change = Change::Adopt { desired: Arc::clone(desired), observed: Box::new(observed.clone()) };
        self.draft(which, change, Cause::Intended, precondition, Vec::new())
    }

    fn update(
        &self,
        which: &Which,
        desired: &Arc<Desired>,
        observed: &Observed,
        found: Comparison,
        rules: &KindRules,
    ) -> Draft {
        let (want, have) = (desired.body.value(), value_of(observed));
        let entry = self.site.entry_for(which, observed);
        let precondition = self.precondition(observed, &have, Some(&want), entry, rules);
        let fields = fields::of_comparison(&found);
        let cause = fields::cause_of(&found);
        let base = Box::new(observed.clone());
        let change = Change::Update { desired: Arc::clone(desired), base, remove: found.remove };
        let mut draft = self.draft(which, change, cause, precondition, fields);
        draft.entry = entry.map(|e| Box::new(e.clone()));
        draft
    }

    fn delete(&mut self, which: &Which, (owned, entry): (Owned, Option<RecordEntry>)) -> Draft {
        let have = value_of(owned.observed());
        let rules = self.site.rules(&which.0);
        let (precondition, fields) = match rules {
            Some(rules) => (
                self.precondition(owned.observed(), &have, None, entry.as_ref(), rules),
                entry.as_ref().map(|e| fields::recorded(&e.sent.value(), &mut self.paths, rules)).unwrap_or_default(),
            ),
            None => (Precondition::Unconditional("its kind is not described"), Vec::new()),
        };
        let cascades = self.cascades.remove(which).unwrap_or_default();
        let taken = cascades
            .iter()
            .filter_map(|c| {
                let which = (c.kind.clone(), c.key.clone());
                Some((c.kind.clone(), value_of(self.site.live.get(&which)?)))
            })
            .collect();
        let change = Change::Delete { owned: Box::new(owned), entry: entry.map(Box::new) };
        let mut draft = self.draft(which, change, Cause::Intended, precondition, fields);
        (draft.op.cascades, draft.taken) = (cascades, taken);
        draft
    }
}

/// Two halves of a replace name each other; their places are turned into numbers once the plan is ordered.
fn push_pair(drafts: &mut Vec<Draft>, first: Option<Draft>, mut create: Draft) {
    if let Some(mut first) = first {
        first.other_half = Some(drafts.len() + 1);
        create.other_half = Some(drafts.len());
        drafts.push(first);
    }
    drafts.push(create);
}
