//! What an interrupted run left behind is looked at and settled, by the next run that writes.

use std::collections::{BTreeMap, BTreeSet};

use super::session::Session;
use super::{Context, Stop, stores};
use crate::model::{
    Canonical, Diagnostic, EndpointName, IntentOp, Mark, Observed, RecordEntry, ScopeState, TargetName,
};
use crate::reconcile::{self, Here, Hold, Place, Seen, Sighting, follow, is_as_sent, settle_intent, standing};
use crate::store::{RecordName, Store, is_gone};

/// What settling came to.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// True if a record changed: what was planned before is to be planned again.
    pub changed: bool,
    /// What is to be said of it.
    pub diagnostics: Vec<Diagnostic>,
}

/// Settles every expired intent of the run's targets from what was just seen.
pub(super) fn settle_open(
    ctx: &Context,
    session: &mut Session,
    sightings: &BTreeMap<Place, Sighting>,
    here: &Here,
) -> Result<Settling, Stop> {
    let mut settled = Settling::default();
    let mark = Mark::of(&session.project().name);
    let alive = |process: &crate::model::Process| !is_gone(process, &here.process);
    for target in session.targets.clone() {
        if session.locked.contains_key(&target) {
            continue;
        }
        let open = session.records.get(&target).filter(|(_, record)| !record.intents.is_empty());
        let Some((tip, record)) = open.cloned() else { continue };
        let marks = session.project().targets.get(&target).is_some_and(|config| config.marks);
        let written_mark = marks.then_some(&mark);
        let mut after = record.clone();
        let wall = ctx.clock.wall().as_second();
        for intent in &record.intents {
            let Hold::Expired(why) = standing(intent, here, wall, &alive) else { continue };
            let look = |op: &IntentOp| seen(session, sightings, &target, op);
            let sent = |op: &IntentOp, sent: &Canonical, found: &Observed| {
                let rules = session.loaded.apis.get(&target).and_then(|api| api.description.table().get(&op.kind));
                rules.is_some_and(|rules| is_as_sent(rules, written_mark, sent, found))
            };
            let settlement = settle_intent(&after, intent, &mark, &look, &sent);
            let message = format!(
                "settled what run {} of {} left at {target} ({why}): {} operations looked at",
                intent.run,
                intent.holder.who,
                intent.operations.len()
            );
            settled.diagnostics.push(Diagnostic::note("settled", message));
            for (op, why) in &settlement.in_doubt {
                let message = format!("{target}:{}/{} is in doubt: {why}", op.kind, op.key);
                let help = "look at it; if it is to be managed, `ctl apply` will offer to adopt it";
                settled.diagnostics.push(Diagnostic::warning("in-doubt", message).help(help));
            }
            for (op, why) in &settlement.later {
                let message = format!("{target}:{}/{} could not be looked at: {why}", op.kind, op.key);
                let help = "the next run looks again";
                settled.diagnostics.push(Diagnostic::warning("not-settled", message).help(help));
            }
            after = settlement.record;
            reconcile::owe(&mut after, intent, &|kind| session.wants_call(&target, kind));
        }
        if after == record {
            continue;
        }
        follow(&record, &mut after, here.token).map_err(|error| stores::stop(&error))?;
        if let Some(signer) = session.signer(&target)? {
            // Whoever can push the record's ref can write an intent, and it must not make a line good.
            let signed: BTreeSet<_> = record
                .intents
                .iter()
                .flat_map(|intent| intent.operations.iter().map(|op| (&intent.run, op)))
                .filter(|(run, op)| signer.vouches_for_intent(run, op))
                .map(|(_, op)| (&op.endpoint, &op.kind, &op.key))
                .collect();
            let rule = |endpoint: &EndpointName, entry: &RecordEntry, written: bool| {
                written && signed.contains(&(endpoint, &entry.kind, &entry.key))
            };
            signer.sign(&record, &mut after, &rule);
        }
        let name = RecordName { project: session.project().name.clone(), target: target.clone() };
        let message = format!("{}: settled at {target}", session.project().name);
        let swapped = tokio::task::block_in_place(|| session.stores.swap(&name, tip.as_ref(), &after, &message));
        let tip = match swapped {
            Ok(tip) => tip,
            Err(error) => return Err(stores::stop(&error)),
        };
        session.records.insert(target, (Some(tip), after));
        settled.changed = true;
    }
    Ok(settled)
}

fn seen<'s>(
    session: &Session,
    sightings: &'s BTreeMap<Place, Sighting>,
    target: &TargetName,
    op: &IntentOp,
) -> Seen<'s> {
    let Some(sighting) = sightings.get(&(target.clone(), op.endpoint.clone())) else {
        return Seen::Unknown("its endpoint is not part of this run");
    };
    let Some(rules) = session.loaded.apis.get(target).and_then(|api| api.description.table().get(&op.kind)) else {
        return Seen::Unknown("its kind is not described any more");
    };
    match sighting.scopes.get(&(op.kind.clone(), rules.parent_key(&op.key))) {
        Some(ScopeState::Known(listing)) => match listing.items.iter().find(|item| item.key == op.key) {
            Some(item) => Seen::There(item),
            None => Seen::Absent,
        },
        Some(ScopeState::Unknown { why }) => Seen::Unknown(why),
        None => Seen::Unknown("it was not listed"),
    }
}
