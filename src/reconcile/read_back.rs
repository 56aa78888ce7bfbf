//! The look after a phase: what was written is read, what was deleted is seen gone.

use std::collections::BTreeMap;

use super::observe::{asked, list};
use super::peer::{Context, Peer};
use super::perform::{GOING, is_another};
use crate::model::{Key, Observed, Scope};
use crate::plan::{Action, Change, Operation, Plan};
use crate::target::{Target, TargetError};

/// What is looked at once a phase is over, by the places of its operations in the plan.
pub(super) enum Job {
    /// One resource.
    One(usize),
    /// Several in one scope, by one list.
    Many(Scope, Vec<usize>),
}

/// What a look after a write came to.
pub(super) enum ReadBack {
    /// It is there.
    There(Observed),
    /// What was deleted is not there any more.
    Gone,
    /// What was deleted is there all the same.
    StillThere,
    /// The look came to its end, and what was written is not there, or something else is.
    NotAsWritten(String),
}

/// Looks at what was written, and at what was deleted a few times until it is gone. What cannot be read back now was
/// written all the same: it only stays unseen. What is certainly not there under the name that was written is nothing
/// that we can call done, and neither is a delete of what is there.
pub(super) async fn read_back<T: Target>(
    endpoint: &Peer<T>,
    plan: &Plan,
    job: Job,
    context: Context<'_>,
) -> Vec<(usize, ReadBack)> {
    let mut waits = GOING.into_iter();
    loop {
        let seen = look_once(endpoint, plan, &job, context).await;
        let wait = waits.next().filter(|wait| !wait.is_zero());
        let stays = seen.iter().any(|(_, seen)| matches!(seen, ReadBack::StillThere));
        match wait {
            Some(wait) if stays && context.sleep(wait).await => {}
            _ => return seen,
        }
    }
}

async fn look_once<T: Target>(
    endpoint: &Peer<T>,
    plan: &Plan,
    job: &Job,
    context: Context<'_>,
) -> Vec<(usize, ReadBack)> {
    match job {
        Job::One(i) => {
            let op = &plan.operations[*i];
            let known = match &op.change {
                Change::Delete { owned, .. } => Some(owned.observed()),
                _ => None,
            };
            let seen = match asked(endpoint, context, || endpoint.driver.read(&op.resource, known)).await {
                Ok(found) => told_by(endpoint, op, found.as_ref()),
                Err(error @ TargetError::Unreadable { .. }) if known.is_none() => {
                    Some(ReadBack::NotAsWritten(format!("it was written, and read back: {error}")))
                }
                Err(_) => None,
            };
            seen.map(|seen| (*i, seen)).into_iter().collect()
        }
        Job::Many(scope, ops) => {
            let Ok(listing) = list(endpoint, scope, context).await else { return Vec::new() };
            let all = listing.items.iter().chain(&listing.ignored);
            let by_key: BTreeMap<&Key, &Observed> = all.map(|item| (&item.key, item)).collect();
            let ops = ops.iter().map(|i| (*i, &plan.operations[*i]));
            ops.filter_map(|(i, op)| Some((i, told_by(endpoint, op, by_key.get(&op.resource.key).copied())?))).collect()
        }
    }
}

/// What a look says of an operation; `None` where it says nothing.
fn told_by<T: Target>(endpoint: &Peer<T>, op: &Operation, found: Option<&Observed>) -> Option<ReadBack> {
    let rules = endpoint.driver.kinds().get(&op.resource.kind);
    let deleted = op.change.action() == Action::Delete;
    match found {
        // A description can say that of what a server only marks as deleted.
        Some(found) if deleted && rules.is_some_and(|r| found.value().is_ok_and(|value| r.ignores(&value))) => {
            Some(ReadBack::Gone)
        }
        Some(found) if deleted && !is_another(op, found) => Some(ReadBack::StillThere),
        None | Some(_) if deleted => Some(ReadBack::Gone),
        Some(found) => Some(ReadBack::There(found.clone())),
        None if rules.is_some_and(|rules| rules.eventual) => None,
        None => Some(ReadBack::NotAsWritten("it was written, and is not there when it is read back".to_owned())),
    }
}
