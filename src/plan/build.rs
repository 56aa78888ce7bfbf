//! What is to become of each resource, and the operations that make it so.
//!
//! ```text
//! judge    each declared and each recorded resource, by itself: its fate
//! reach    what each delete takes along, holds back, or makes anew
//! emit     the fates as operations
//! ```

mod emit;
mod judge;
mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::{Cascade, Plan, Refusal, UnknownScope};
use super::draft::Draft;
use super::input::{EndpointInput, PlanInput, TargetInput};
use super::site::{Beside, Site, Which, is_same_object};
use super::{fields, guard, order};
use crate::diff::{self, Comparison};
use crate::model::{
    Desired, Diagnostic, Kind, Mark, Observed, Own, Owned, RecordEntry, ResourceId, Scope, ScopeState, on_all_cores,
};

/// The code of the warning about an object that was listed and is not understood.
pub const UNREADABLE: &str = "unreadable";

/// The code of the note that a delete waits for another list which agrees.
pub const EVENTUAL: &str = "eventual";

/// Why something of a kind is forgotten that the API cannot delete.
const CANNOT: &str = "the API cannot delete one";

/// Makes the plan: the same bytes for the same inputs, whatever order they came in.
pub fn build(input: &PlanInput<'_>) -> Plan {
    let mut plan = Plan {
        project: input.project.name.clone(),
        commit: input.commit.clone(),
        snapshot: input.snapshot,
        operations: Vec::new(),
        unchanged: 0,
        unknown: 0,
        unknown_scopes: Vec::new(),
        diagnostics: Vec::new(),
        refusals: Vec::new(),
        calls: Vec::new(),
    };
    let mark = Mark::of(&input.project.name);
    let mut targets: Vec<&TargetInput<'_>> = input.targets.iter().collect();
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    let mut drafts = Vec::new();
    for target in &targets {
        if target.first_run && target.own == Own::Recorded {
            let message = format!("{}: there is no record yet, so nothing can be deleted in this run", target.name);
            plan.diagnostics.push(Diagnostic::note("first-run", message));
        }
        let mut endpoints: Vec<&EndpointInput<'_>> = target.endpoints.iter().collect();
        endpoints.sort_by(|a, b| a.name.cmp(&b.name));
        for endpoint in endpoints {
            for ((kind, parent), state) in endpoint.scopes {
                if let ScopeState::Unknown { why } = state {
                    let scope = Scope { endpoint: endpoint.name.clone(), kind: kind.clone(), parent: parent.clone() };
                    plan.unknown_scopes.push(UnknownScope { target: target.name.clone(), scope, why: why.clone() });
                }
            }
            Builder::new(input, target, endpoint, &mark, &mut plan).run(&mut drafts);
        }
    }
    let tables = targets.iter().map(|t| (t.name.clone(), t.table)).collect();
    order::order(drafts, &tables, &mut plan);
    guard::guard(input, &mut plan);
    plan.unknown_scopes.sort();
    plan
}

/// What is to become of one declared resource.
enum Fate {
    Unchanged,
    Create,
    Adopt,
    Update {
        found: Comparison,
        adopt: bool,
    },
    Replace {
        found: Comparison,
    },
    /// Gone along with what it hangs on, and made again.
    Recreate,
    /// Lets go of what is replaced and takes hold of it again, with its own changes.
    Reattach {
        found: Comparison,
        to: BTreeSet<Which>,
    },
}

/// A declared resource with what is known of it.
struct Declared<'b> {
    which: Which,
    desired: &'b Arc<Desired>,
    observed: Option<&'b Observed>,
    /// Its line in the record, also where the object was made anew since.
    entry: Option<&'b RecordEntry>,
}

impl<'b> Declared<'b> {
    /// Its line in the record, if that is of the object that is there.
    fn recorded(&self) -> Option<&'b RecordEntry> {
        self.entry.filter(|entry| self.observed.is_none_or(|observed| is_same_object(entry, observed)))
    }
}

/// What is found different; nothing where there is nothing to compare, or where it would not be looked at.
fn compared(one: &Declared<'_>, target: &TargetInput<'_>) -> Comparison {
    let selected = target.selected.as_ref().is_none_or(|picked| picked.contains(&one.which));
    match (target.table.get(&one.which.0), one.observed) {
        (Some(rules), Some(observed)) if selected => {
            diff::compare_held(&one.desired.body, observed, one.recorded(), rules)
        }
        _ => Comparison::default(),
    }
}

struct Builder<'b, 'a> {
    input: &'b PlanInput<'a>,
    target: &'b TargetInput<'a>,
    endpoint: &'b EndpointInput<'a>,
    site: Site<'b>,
    mark: &'b Mark,
    plan: &'b mut Plan,
    fates: BTreeMap<Which, Fate>,
    deletes: BTreeMap<Which, (Owned, Option<RecordEntry>)>,
    forgets: BTreeMap<Which, &'static str>,
    cascades: BTreeMap<Which, Vec<Cascade>>,
    /// New name to old name, where a rename is a delete and a create.
    renames: BTreeMap<Which, Which>,
    paths: fields::Paths,
    /// Which object of a kind has this identity. Made for the first one that is missing.
    by_uid: Option<BTreeMap<(Kind, String), Which>>,
}

impl<'b, 'a> Builder<'b, 'a> {
    fn new(
        input: &'b PlanInput<'a>,
        target: &'b TargetInput<'a>,
        endpoint: &'b EndpointInput<'a>,
        mark: &'b Mark,
        plan: &'b mut Plan,
    ) -> Self {
        let site = Site::new(target.table, target.own, endpoint.record, endpoint.scopes, &target.desired);
        Self {
            input,
            target,
            endpoint,
            site,
            mark,
            plan,
            fates: BTreeMap::new(),
            deletes: BTreeMap::new(),
            forgets: BTreeMap::new(),
            cascades: BTreeMap::new(),
            renames: BTreeMap::new(),
            paths: fields::Paths::default(),
            by_uid: None,
        }
    }

    fn run(mut self, drafts: &mut Vec<Draft>) {
        let (mut live, mut recorded) = (Beside::new(&self.site.live), Beside::new(&self.site.record.entries));
        let all = self.site.desired.iter().map(|(which, desired)| Declared {
            which: which.clone(),
            desired,
            observed: live.find(which).copied(),
            entry: recorded.find(which).map(|entry| &**entry),
        });
        let declared: Vec<Declared<'b>> = all.collect();
        let compared = on_all_cores(&declared, |one| compared(one, self.target));
        let judged = declared.iter().zip(compared).filter_map(|(one, found)| {
            let fate = if self.is_selected(&one.which) { self.judge(one, found) } else { None };
            fate.map(|fate| (one.which.clone(), fate))
        });
        self.fates = judged.collect();
        self.name_anew(&declared);
        self.judge_undeclared();
        // An old name that stays (kept, not ours any more) is not what the new one replaces.
        let deletes = &self.deletes;
        self.renames.retain(|_, old| deletes.contains_key(old));
        self.follow();
        self.emit(drafts);
    }

    fn is_selected(&self, which: &Which) -> bool {
        self.target.selected.as_ref().is_none_or(|s| s.contains(which))
    }

    fn id(&self, which: &Which) -> ResourceId {
        ResourceId { target: self.target.name.clone(), kind: which.0.clone(), key: which.1.clone() }
    }

    fn refuse(&mut self, gate: &'static str, which: &Which, message: String, help: &str) {
        self.plan.refusals.push(Refusal {
            gate,
            target: self.target.name.clone(),
            endpoint: Some(self.endpoint.name.clone()),
            kind: Some(which.0.clone()),
            message,
            help: help.to_owned(),
        });
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        self.plan.diagnostics.push(diagnostic);
    }
}
