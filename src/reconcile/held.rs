//! Operations that are left for later, with all that hangs on them.

use std::collections::BTreeMap;

use crate::model::{EndpointName, Key, Kind, TargetName};
use crate::plan::{Action, OpId, Operation, Plan};

/// Which operations of a plan are left for later, and why: those for which `reason` gives one, what must come after
/// them, and what may not be done by halves.
///
/// A replace whose create has to wait does not delete. A delete that takes along what the same plan makes again waits as
/// long as that has to wait.
pub fn held(plan: &Plan, reason: &dyn Fn(&Operation) -> Option<String>) -> BTreeMap<OpId, String> {
    let mut held: BTreeMap<OpId, String> = plan.operations.iter().filter_map(|op| Some((op.id, reason(op)?))).collect();
    if held.is_empty() {
        return held;
    }
    let makes: BTreeMap<(&TargetName, &EndpointName, &Kind, &Key), OpId> = plan
        .operations
        .iter()
        .filter(|op| op.change.action() == Action::Create)
        .map(|op| ((&op.resource.target, &op.endpoint, &op.resource.kind, &op.resource.key), op.id))
        .collect();
    loop {
        let before = held.len();
        for op in &plan.operations {
            if held.contains_key(&op.id) {
                continue;
            }
            let again = op.cascades.iter().filter(|cascade| cascade.recreated);
            let remade = again.filter_map(|c| makes.get(&(&op.resource.target, &op.endpoint, &c.kind, &c.key)));
            let bound = op.after.iter().map(|after| after.op).chain(op.replaces).chain(remade.copied());
            let waits_for = bound.into_iter().find(|other| held.contains_key(other));
            if let Some(other) = waits_for.and_then(|other| plan.operation(other)) {
                held.insert(
                    op.id,
                    format!("it goes together with {} of {}", other.change.action().as_str(), other.resource),
                );
            }
        }
        if held.len() == before {
            return held;
        }
    }
}
