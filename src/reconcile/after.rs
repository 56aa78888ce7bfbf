//! The calls that APIs want once after writes (commit, save, reload): who is owed one, and how it is made.
//!
//! ```text
//! writes that landed ─┐
//! record: owed kinds ─┴─> Target::calls_after ──> call_all ──> note_owed: what did not go through stays in the record
//! a run that never ended: its intent ──> owe ──> the record; the next plan says it, and its run makes the call
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;

use super::apply::OpResult;
use super::leader::REQUEST;
use super::observe::{Trouble, note_wait};
use super::peer::{Context, Peer, Peers, Place};
use super::perform::{Gate, WRITE_BACKSTOP, help_for};
use super::retry::{Call, Tries, Verdict, verdict};
use crate::event::{Ending, Event};
use crate::model::{AfterCall, Intent, Kind, Record, TargetName};
use crate::plan::Plan;
use crate::target::{Fence, Guarding, Target, TargetError};

/// It may be made twice, and there is nothing to look at.
const GUARDING: Guarding = Guarding { fresh_read: false, may_repeat: true, can_look_up: false };

/// What became of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Called {
    /// At which endpoint.
    pub place: Place,
    /// Which one.
    pub call: AfterCall,
    /// How it ended. What is not done is owed.
    pub ending: Ending,
    /// What went wrong, for the exit code.
    pub trouble: Option<Trouble>,
}

impl Called {
    /// One that was not made, and why.
    pub fn skipped(place: Place, call: AfterCall, why: &str) -> Self {
        Self { place, call, ending: Ending::Skipped { why: why.to_owned() }, trouble: None }
    }
}

/// The kinds of which something was written, or may have been, by endpoint.
pub fn landed(plan: &Plan, results: &[OpResult]) -> BTreeMap<Place, BTreeSet<Kind>> {
    let mut kinds: BTreeMap<Place, BTreeSet<Kind>> = BTreeMap::new();
    let written = plan.operations.iter().zip(results).filter(|(op, result)| op.change.writes() && result.landed);
    for (op, _) in written {
        let place = (op.resource.target.clone(), op.endpoint.clone());
        kinds.entry(place).or_default().insert(op.resource.kind.clone());
    }
    kinds
}

/// Notes in a record what its endpoints are owed after a run: what `landed`, and was not `called` for. A kind for which the
/// API `wants` nothing is owed nothing.
pub fn note_owed(
    record: &mut Record,
    target: &TargetName,
    landed: &BTreeMap<Place, BTreeSet<Kind>>,
    called: &[Called],
    wants: &dyn Fn(&Kind) -> bool,
) {
    for ((_, endpoint), kinds) in landed.iter().filter(|((at, _), _)| at == target) {
        let wanted = kinds.iter().filter(|kind| wants(kind)).cloned().collect::<BTreeSet<_>>();
        if !wanted.is_empty() {
            record.endpoints.entry(endpoint.clone()).or_default().owed.extend(wanted);
        }
    }
    for call in called.iter().filter(|call| &call.place.0 == target && call.ending == Ending::Done) {
        if let Some(known) = record.endpoints.get_mut(&call.place.1) {
            known.owed.retain(|kind| !call.call.kinds.contains(kind));
        }
    }
    record.endpoints.values_mut().for_each(|known| known.owed.retain(wants));
}

/// Notes what a run that never came to its outcome may have written: nobody knows whether it made the call.
pub fn owe(record: &mut Record, intent: &Intent, wants: &dyn Fn(&Kind) -> bool) {
    let writes = |action: &str| !matches!(action, "adopt" | "forget");
    for op in intent.operations.iter().filter(|op| writes(&op.action) && wants(&op.kind)) {
        record.endpoints.entry(op.endpoint.clone()).or_default().owed.insert(op.kind.clone());
    }
}

/// Makes the calls, one after the other at each endpoint, under the same gate, rate, budget and patience as writes.
pub async fn call_all<T: Target>(
    endpoints: &Peers<T>,
    due: Vec<(Place, AfterCall)>,
    gate: &dyn Gate,
    fence: Option<Fence>,
    context: Context<'_>,
) -> Vec<Called> {
    let mut by_place: BTreeMap<Place, Vec<AfterCall>> = BTreeMap::new();
    for (place, call) in due {
        by_place.entry(place).or_default().push(call);
    }
    let at = by_place.into_iter().map(|(place, calls)| async move {
        let mut called = Vec::new();
        for call in calls {
            let (ending, trouble) = match endpoints.get(&place) {
                Some(peer) => make(peer, &call, gate, fence, context).await,
                None => (Ending::Skipped { why: "its endpoint is not part of this run".to_owned() }, None),
            };
            called.push(Called { place: place.clone(), call, ending, trouble });
        }
        called
    });
    join_all(at).await.into_iter().flatten().collect()
}

async fn make<T: Target>(
    peer: &Peer<T>,
    call: &AfterCall,
    gate: &dyn Gate,
    fence: Option<Fence>,
    context: Context<'_>,
) -> (Ending, Option<Trouble>) {
    let mut tries = Tries::at_most(peer.retries);
    let mut last: Option<TargetError> = None;
    peer.first_attempt();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let turn = tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(None),
            turn = peer.turn(context.clock) => turn.map_err(Some),
        };
        let shut = match turn {
            Ok(()) => gate.check(&peer.target).err(),
            Err(Some(error)) => return gave_up(peer, &error),
            Err(None) => Some("interrupted".to_owned()),
        };
        match (shut, &last) {
            (None, _) => {}
            (Some(_), Some(error)) => return gave_up(peer, error),
            (Some(why), None) => return (Ending::Skipped { why }, None),
        }
        let backstop = if fence.is_some() { REQUEST } else { WRITE_BACKSTOP };
        let error = match tokio::time::timeout(backstop, peer.driver.call_after(call, fence)).await {
            Ok(Ok(())) => return (Ending::Done, None),
            Ok(Err(error)) => error,
            Err(_) => TargetError::Unanswered {
                request: call.call.clone(),
                why: format!("no answer within {} s", backstop.as_secs()),
            },
        };
        let wait = match verdict(&error, Call::Change(GUARDING), &tries, context.patience, context.entropy) {
            Verdict::Wait(wait) => wait,
            // It may have arrived, or something is in its way for a moment: it is made again.
            Verdict::LookFirst(wait) if !tries.spent() => wait.max(Duration::from_secs(1)),
            Verdict::Replan(wait) => {
                tries.replans += 1;
                wait
            }
            Verdict::Later(wait) => {
                peer.close(&error, context.clock.boot() + wait);
                return gave_up(peer, &error);
            }
            Verdict::LookFirst(_) | Verdict::GiveUp | Verdict::InDoubt => return gave_up(peer, &error),
        };
        if !peer.may_retry(context.clock.boot()) {
            return gave_up(peer, &error);
        }
        note_wait(peer, &error, wait, &mut tries, context);
        let ((target, endpoint), why) = (peer.place(), error.to_string());
        (context.tell)(Event::Retrying { op: None, target, endpoint, attempt, wait, why });
        if !context.sleep(wait).await {
            return gave_up(peer, &error);
        }
        last = Some(error);
    }
}

/// What to do now: no manifest is behind what is sent.
fn help_with(error: &TargetError) -> Option<String> {
    match error {
        TargetError::Invalid { .. } => {
            Some("see in the answer what `after-apply` of the description has to say".to_owned())
        }
        _ => help_for(error),
    }
}

fn gave_up<T>(peer: &Peer<T>, error: &TargetError) -> (Ending, Option<Trouble>) {
    let why = peer.told(error);
    let ending = match error.may_have_landed() {
        true => Ending::InDoubt { why },
        false => Ending::Failed { why, help: help_with(error), field: None },
    };
    (ending, Some(Trouble::of(error)))
}
