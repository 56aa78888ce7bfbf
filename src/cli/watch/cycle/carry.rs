//! The writing half of a cycle: consent, what is held back, who may write, intents and writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Cycle, LOCATED, moved};
use crate::cli::carry::{self, Carry};
use crate::cli::session::{Planned, Session, refusal_exit};
use crate::cli::watch::cycled::{CycleReport, VersionInfo};
use crate::cli::{Exit, Stop};
use crate::event::Ending;
use crate::model::{Diagnostic, EndpointName, TargetName};
use crate::plan::{Action, OpId, Operation, Plan};
use crate::reconcile::{self, Called, Gate, OnError, Place, Trouble, held};
use crate::store::LocalLock;

/// A call that was sent, or was to be, and did not go through.
fn uncalled(called: &Called) -> Option<(EndpointName, (Trouble, String))> {
    let why = match &called.ending {
        // One that was not sent waits, as operations do.
        Ending::Done | Ending::Skipped { .. } => return None,
        Ending::Failed { why, .. } | Ending::Conflict { why } | Ending::InDoubt { why } => why,
    };
    let why = format!("it is owed `{}` after its writes: {why}", called.call.call);
    Some((called.place.1.clone(), (called.trouble.unwrap_or(Trouble::Other), why)))
}

impl Cycle<'_> {
    /// Consent, what is held, and the writing. True if there was nothing to do at all.
    pub(super) async fn carry(
        &self,
        session: &mut Session,
        planned: &mut Planned,
        mut lock: Option<Arc<LocalLock>>,
        context: reconcile::Context<'_>,
        report: &mut CycleReport,
    ) -> Result<bool, Stop> {
        let (ctx, order, target) = (self.ctx, self.order, report.target.clone());
        self.consent(session, planned);
        session.locate(&mut planned.plan, LOCATED);
        let mut held = self.held(session, &planned.plan, &target);
        let sums = (planned.checksum, planned.plan.deletes_checksum());
        (report.checksum, report.deletes_checksum) = (Some(sums.0), Some(sums.1));
        report.summary = planned.plan.summary();
        report.diagnostics.clone_from(&planned.plan.diagnostics);
        report.exit = planned.exit.and(refusal_exit(&planned.plan));
        report.version = None;
        let may_write = self.may_write(&target);
        let places: BTreeSet<Place> = session.fleet.peers.keys().cloned().collect();
        let will_do = |plan: &Plan, held: &BTreeMap<OpId, String>| {
            let can_start = |op: &Operation| {
                let place = (op.resource.target.clone(), op.endpoint.clone());
                !plan.refuses(op) && !held.contains_key(&op.id) && places.contains(&place)
            };
            plan.owed().next().is_some() || plan.operations.iter().any(can_start)
        };
        let will = will_do(&planned.plan, &held);
        let mut how = Carry {
            here: &order.here,
            cancel: &order.cancel,
            tell: context.tell,
            on_error: OnError::Continue,
            adopt_only: false,
            gate: order.gate.as_deref().map(|gate| gate as &dyn Gate),
            fence: order.fence,
            held: held.clone(),
            since: self.since,
        };
        if order.dry_run || may_write.is_err() || order.cancel.is_cancelled() || !will {
            let rests = planned.plan.is_empty() && planned.plan.refusals.is_empty();
            report.clean = rests;
            let why = may_write.err().filter(|_| !order.dry_run);
            report.operations = self.not_carried(&planned.plan, &held, why.as_deref());
            let idle = rests && !order.dry_run && why.is_none() && !order.cancel.is_cancelled();
            if idle && carry::all_seen(planned, &target) {
                if let Some(after) = carry::unchanged(ctx, session, planned, &target, &how) {
                    if lock.is_none() {
                        lock = Some(self.lock(session, &target).await?);
                    }
                    tokio::task::block_in_place(order.obeys)?;
                    let noted = carry::note_unchanged(session, &planned.plan, &target, after)?;
                    let Some((tip, record)) = noted else { return Err(moved()) };
                    report.version = record.head.as_ref().map(VersionInfo::of);
                    session.records.insert(target, (Some(tip), record));
                } else {
                    carry::share_kept(session, &target)?;
                }
            }
            drop(lock);
            return Ok(rests && why.is_none());
        }
        if lock.is_none() {
            lock = Some(self.lock(session, &target).await?);
        }
        let prepared = tokio::select! {
            biased;
            () = order.cancel.cancelled() => None,
            prepared = carry::prepare(ctx, session, planned) => Some(prepared?),
        };
        let stopped = prepared.is_none();
        held.extend(prepared.into_iter().flatten());
        how.held.clone_from(&held);
        if stopped || !will_do(&planned.plan, &held) {
            report.operations = self.not_carried(&planned.plan, &held, None);
            report.exit = report.exit.and(refusal_exit(&planned.plan));
            return Ok(false);
        }
        tokio::task::block_in_place(order.obeys)?;
        let carried = carry::carry_out(ctx, session, planned, &how).await?;
        drop(lock);
        for (op, result) in planned.plan.operations.iter().zip(&carried.applied.results) {
            if op.change.action() == Action::Delete && result.sent_at.is_some() {
                let (place, which) = ((target.clone(), op.endpoint.clone()), op.resource.clone());
                session.lagging.told_to_go(place, which.kind, which.key);
            }
        }
        let counts = carried.applied.counts();
        let called = carried.called.iter().all(|call| call.ending == Ending::Done);
        report.clean = planned.plan.refusals.is_empty() && counts.done == planned.plan.operations.len() && called;
        report.uncalled = carried.called.iter().filter_map(uncalled).collect();
        report.operations = self.carried(&planned.plan, &held, &carried.applied);
        report.exit = carried.exit;
        report.diagnostics.extend(carried.diagnostics);
        for (written, (tip, record)) in carried.records {
            let stood =
                session.records.get(&written).and_then(|(_, record)| record.head.as_ref()).map(|head| head.number);
            let moved = record.head.as_ref().filter(|head| Some(head.number) != stood);
            report.version = moved.map(VersionInfo::of);
            session.records.insert(written, (Some(tip), record));
        }
        // What was written is looked at once more: the next cycle plans.
        Ok(false)
    }

    /// Lets through what an operator let through. What nobody may allow stays refused.
    fn consent(&self, session: &mut Session, planned: &mut Planned) {
        const LINEAGE: [&str; 3] = ["older-commit", "shallow", "rewritten-history"];
        const DELETES: [&str; 7] =
            ["deletes", "empty", "container", "exclusive-first-run", "folder-gone", "protected", "replace"];
        let plan_approved = self.order.approved.contains(&planned.checksum);
        let deletes = planned.plan.deletes_checksum();
        if plan_approved || self.order.approved.contains(&deletes) {
            match plan_approved {
                true => session.consent(&planned.plan),
                false => session.consent_to_deletes(deletes),
            }
            let approved = session.plan_of(&planned.sightings);
            session.withdraw();
            // Consent was for these operations, and not for others that it might have led to.
            if approved.checksum() == planned.checksum {
                planned.plan = approved;
            }
        }
        let pinned = self.order.pinned || plan_approved;
        planned.plan.refusals.retain(|refusal| match refusal.gate {
            gate if LINEAGE.contains(&gate) => !pinned,
            "updates" => !plan_approved,
            // What would refuse a delete has nothing to refuse while every delete is held.
            gate if DELETES.contains(&gate) => self.basis.deletes_held.is_none(),
            _ => true,
        });
    }

    /// What is left for later, and why.
    fn held(&self, session: &Session, plan: &Plan, target: &TargetName) -> BTreeMap<OpId, String> {
        let now = self.ctx.clock.boot();
        let closed = |at: &EndpointName| {
            session.fleet.peers.get(&(target.clone(), at.clone())).and_then(|peer| peer.closed(now))
        };
        held(plan, &|op| {
            if let Some(why) = &self.basis.deletes_held
                && (matches!(op.change.action(), Action::Delete | Action::Forget) || op.replaces.is_some())
            {
                return Some(why.clone());
            }
            if self.order.away.contains(&op.endpoint) {
                return Some("its endpoint is away".to_owned());
            }
            if let Some((_, why)) = closed(&op.endpoint) {
                return Some(why);
            }
            (self.order.hold)(op)
        })
    }

    /// Why nothing may be written now, if so.
    pub(super) fn may_write(&self, target: &TargetName) -> Result<(), String> {
        self.order.gate.as_ref().map_or(Ok(()), |gate| gate.check(target))
    }

    /// A record that a newer leader wrote is not written any more.
    pub(super) fn check_leader(&self, session: &Session, target: &TargetName) -> Result<(), Stop> {
        let (Some(ours), Some((_, record))) = (self.order.here.token, session.records.get(target)) else {
            return Ok(());
        };
        match record.highest_token().filter(|newest| *newest > ours) {
            None => Ok(()),
            Some(newest) => {
                let message =
                    format!("a newer leader wrote the record of {target}: its token is {newest}, ours {ours}");
                let help = "nothing is written here any more until this watcher is elected again";
                Err(Stop::with(Exit::Locked, Diagnostic::error("newer-leader", message).help(help)))
            }
        }
    }
}
