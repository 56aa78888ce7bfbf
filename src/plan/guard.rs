//! The guards: what goes too far for a run that nobody consented to.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Action, Operation, Plan, Refusal};
use super::input::{EndpointInput, PlanInput, TargetInput};
use crate::model::{EndpointName, Key, Kind, Own, ScopeState, TargetName};

/// From this many owned objects on, the share of deletes counts.
const SMALL: usize = 10;
/// No run deletes more than this many of one kind at one endpoint without consent.
const MANY: usize = 100;

/// Adds the refusals of a plan: what would go too far for a run that nobody consented to.
pub(super) fn guard(input: &PlanInput<'_>, plan: &mut Plan) {
    let sum = plan.deletes_checksum();
    let consent = input.allow_deletes == Some(sum);
    let flag = format!("if these deletes are meant, say `--allow-deletes {sum}`");
    let mut whole = None;
    let counts = count(plan);
    let mut refusals = Vec::new();
    for target in &input.targets {
        if !consent {
            empty(target, plan, &flag, &mut refusals);
        }
        if target.own == Own::Exclusive
            && let Some(rules) = target.table.kinds.values().find(|rules| rules.listed_by_key)
        {
            refusals.push(Refusal {
                gate: "unlistable",
                target: target.name.clone(),
                endpoint: None,
                kind: Some(rules.kind.clone()),
                message: format!(
                    "{} is `own: exclusive`, and its API cannot list {}: nobody can say what else is there",
                    target.name, rules.kind
                ),
                help: "take `own: exclusive` out of the target".to_owned(),
            });
        }
        for endpoint in &target.endpoints {
            let place = |gate, kind: Option<&Kind>, message: String, help: &str| Refusal {
                gate,
                target: target.name.clone(),
                endpoint: Some(endpoint.name.clone()),
                kind: kind.cloned(),
                message,
                help: help.to_owned(),
            };
            let mut first_deletes = 0;
            for (kind, base) in bases(target, endpoint, &counts) {
                let none = Counted::default();
                let at = (target.name.clone(), endpoint.name.as_str().to_owned(), kind.clone());
                let counted = counts.get(&at).unwrap_or(&none);
                let (deletes, updates) = (counted.deletes.len(), counted.updates.len());
                first_deletes += deletes;
                let limit = usize::from(target.guard.deletes);
                if !consent && (deletes > MANY || (base >= SMALL && deletes * 100 > limit * base)) {
                    let message = format!(
                        "{deletes} of {base} {kind} would be deleted at {}/{}; the limit is {limit} % and {MANY}",
                        target.name, endpoint.name
                    );
                    refusals.push(place("deletes", Some(&kind), message, &flag));
                }
                if let Some(limit) = target.guard.updates
                    && base >= SMALL
                    && updates * 100 > usize::from(limit) * base
                {
                    let sum = *whole.get_or_insert_with(|| plan.checksum());
                    if input.allow_updates == Some(sum) {
                        continue;
                    }
                    let message = format!(
                        "{updates} of {base} {kind} would be updated at {}/{}; the limit is {limit} %",
                        target.name, endpoint.name
                    );
                    refusals.push(place("updates", Some(&kind), message, &format!("--allow-updates {sum}")));
                }
            }
            // An endpoint that joins later is met for the first time, too.
            let first_run = target.first_run || endpoint.record.identity.is_none();
            if !consent && target.own == Own::Exclusive && first_run && first_deletes > 0 {
                let message = format!(
                    "this is the first run at {}/{} under `own: exclusive`, and it would delete {first_deletes}",
                    target.name, endpoint.name
                );
                refusals.push(place("exclusive-first-run", None, message, &flag));
            }
        }
    }
    if !consent {
        containers(plan, &flag, &mut refusals);
    }
    plan.refusals.extend(refusals);
    plan.refusals.sort_by(|a, b| {
        (&a.target, &a.endpoint, a.gate, &a.kind, &a.message).cmp(&(
            &b.target,
            &b.endpoint,
            b.gate,
            &b.kind,
            &b.message,
        ))
    });
    plan.refusals.dedup();
}

#[derive(Default)]
struct Counted {
    deletes: BTreeSet<Key>,
    updates: BTreeSet<Key>,
}

type Counts = BTreeMap<(TargetName, String, Kind), Counted>;

fn count(plan: &Plan) -> Counts {
    let mut counts = Counts::new();
    for op in &plan.operations {
        let at = |kind: &Kind| (op.resource.target.clone(), op.endpoint.as_str().to_owned(), kind.clone());
        match op.change.action() {
            Action::Delete => {
                counts.entry(at(&op.resource.kind)).or_default().deletes.insert(op.resource.key.clone());
                for cascade in op.cascades.iter().filter(|c| c.owned && !c.recreated) {
                    counts.entry(at(&cascade.kind)).or_default().deletes.insert(cascade.key.clone());
                }
            }
            Action::Update | Action::Rename => {
                counts.entry(at(&op.resource.kind)).or_default().updates.insert(op.resource.key.clone());
            }
            Action::Create | Action::Adopt | Action::Forget => {}
        }
    }
    counts
}

/// What the shares are taken of, for each kind: what is owned.
fn bases(target: &TargetInput<'_>, endpoint: &EndpointInput<'_>, counts: &Counts) -> BTreeMap<Kind, usize> {
    let mut bases: BTreeMap<Kind, usize> = BTreeMap::new();
    for (name, at, kind) in counts.keys() {
        if name == &target.name && at == endpoint.name.as_str() {
            bases.insert(kind.clone(), 0);
        }
    }
    match target.own {
        Own::Recorded => {
            for (kind, _) in endpoint.record.entries.keys() {
                *bases.entry(kind.clone()).or_default() += 1;
            }
        }
        Own::Exclusive => {
            for ((kind, _), state) in endpoint.scopes {
                if let ScopeState::Known(listing) = state {
                    *bases.entry(kind.clone()).or_default() += listing.items.len();
                }
            }
        }
    }
    bases
}

/// An empty desired set of a target that owns something. What the run may not touch does not count.
fn empty(target: &TargetInput<'_>, plan: &Plan, flag: &str, refusals: &mut Vec<Refusal>) {
    if !target.desired.is_empty() {
        return;
    }
    let owned: usize = match &target.selected {
        None => target.endpoints.iter().map(|e| bases(target, e, &Counts::new()).values().sum::<usize>()).sum(),
        Some(selected) => {
            let entries = target.endpoints.iter().flat_map(|endpoint| endpoint.record.entries.keys());
            entries.filter(|which| selected.contains(*which)).count()
        }
    };
    // The checksum of no deletes would be consent to whatever comes.
    let acts = plan.operations.iter().any(|op| op.resource.target == target.name);
    let flag = if acts { flag } else { "put its manifests back; nothing of it can be deleted in this run anyway" };
    if owned > 0 {
        refusals.push(Refusal {
            gate: "empty",
            target: target.name.clone(),
            endpoint: None,
            kind: None,
            message: format!(
                "no manifest declares anything for {} any more, and all that it owns ({owned}) would be deleted",
                target.name
            ),
            help: flag.to_owned(),
        });
    }
}

/// A container that holds what the plan does not itself delete.
fn containers(plan: &Plan, flag: &str, refusals: &mut Vec<Refusal>) {
    for op in &plan.operations {
        let lost: Vec<String> =
            op.cascades.iter().filter(|c| !c.recreated).map(|c| format!("{}/{}", c.kind, c.key)).collect();
        if lost.is_empty() {
            continue;
        }
        let shown = lost.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = if lost.len() > 5 { format!(" and {} more", lost.len() - 5) } else { String::new() };
        refusals.push(Refusal {
            gate: "container",
            target: op.resource.target.clone(),
            endpoint: Some(op.endpoint.clone()),
            kind: Some(op.resource.kind.clone()),
            message: format!("{} holds what this plan does not itself delete: {shown}{more}", op.resource),
            help: flag.to_owned(),
        });
    }
}

/// Gates that judge the commit, seen at one endpoint, rather than that endpoint: half of the manifests are gone, or a
/// manifest is one that the API rejects. Elsewhere the same commit would do the same, so they shut the whole target.
const OF_THE_COMMIT: [&str; 2] = ["deletes", "rehearsal"];

impl Refusal {
    /// True if this gate shuts `endpoint` of `target`. One that names an endpoint leaves the others alone, because each
    /// endpoint of a target succeeds or fails on its own; those that judge the commit shut all of them.
    pub fn covers(&self, target: &TargetName, endpoint: &EndpointName) -> bool {
        let here = self.endpoint.as_ref().is_none_or(|named| named == endpoint);
        &self.target == target && (here || OF_THE_COMMIT.contains(&self.gate))
    }
}

impl Plan {
    /// The first refusal that keeps this plan from writing at an endpoint. Its operations stay in the plan, for people
    /// to see.
    pub fn refusal_at(&self, target: &TargetName, endpoint: &EndpointName) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.covers(target, endpoint))
    }

    /// True if the operation stands in the plan only to be seen: its endpoint may not be written with this plan.
    pub fn refuses(&self, op: &Operation) -> bool {
        self.refusal_at(&op.resource.target, &op.endpoint).is_some()
    }

    /// True if some endpoint of the target may not be written with this plan, so that the target is not as declared.
    pub fn refused_in_part(&self, target: &TargetName) -> bool {
        self.refusals.iter().any(|refusal| &refusal.target == target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shuts_its_endpoint_and_one_that_judges_the_commit_shuts_the_target() {
        let (target, other): (TargetName, TargetName) = ("dns".parse().unwrap(), "mq".parse().unwrap());
        let (a, b): (EndpointName, EndpointName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let refusal = |gate, endpoint: Option<&EndpointName>| Refusal {
            gate,
            target: target.clone(),
            endpoint: endpoint.cloned(),
            kind: None,
            message: String::new(),
            help: String::new(),
        };
        let shut = |refusal: &Refusal| [refusal.covers(&target, &a), refusal.covers(&target, &b)];
        assert_eq!(shut(&refusal("origin-refused", Some(&a))), [true, false]);
        assert_eq!(shut(&refusal("container", Some(&a))), [true, false]);
        assert_eq!(shut(&refusal("deletes", Some(&a))), [true, true]);
        assert_eq!(shut(&refusal("rehearsal", Some(&a))), [true, true]);
        assert_eq!(shut(&refusal("empty", None)), [true, true]);
        assert!(!refusal("empty", None).covers(&other, &a));
    }
}
