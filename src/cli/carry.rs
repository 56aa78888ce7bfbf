//! The writing half of a run: rehearsal, intents, writes, outcomes. It prints nothing: `apply` and `watch` show what came
//! of it, each in its own way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::facts::{FactsOf, refreshed};
use super::session::{Planned, Session, refusal_exit};
use super::{Context, Exit, Stop, stores};
use crate::event::{Ending, Event};
use crate::model::{
    Diagnostic, Digest, EndpointName, Guard, IntentOp, Key, Kind, Mark, Own, Record, RecordHead, Revision, ScopeState,
    TargetName,
};
use crate::plan::{OpId, Plan};
use crate::reconcile::{
    self, Applied, Apply, Called, Differences, Gate, Here, NotFinished, PATIENCE, Place, Run, Share, Trouble,
    intent_ops, record_after,
};
use crate::report::spot;
use crate::source::Ancestry;
use crate::store::{RecordName, Store, StoreError, Tip};
use crate::target::Fence;

/// How a plan is carried out.
pub(super) struct Carry<'a> {
    /// Who does it.
    pub here: &'a Here,
    /// Once cancelled nothing new starts.
    pub cancel: &'a CancellationToken,
    /// Hears what happens.
    pub tell: &'a (dyn Fn(Event) + Sync),
    /// What a failure means for the rest.
    pub on_error: reconcile::OnError,
    /// Only adoptions: where nothing is to be done the record is left as it is.
    pub adopt_only: bool,
    /// Asked before every attempt to write, besides the run's own intent: the leader's gate.
    pub gate: Option<&'a dyn Gate>,
    /// The tenure number of a leader.
    pub fence: Option<Fence>,
    /// Operations that are not to be done now, and why. They are in no intent.
    pub held: BTreeMap<OpId, String>,
    /// When the work began that ends in a version (time since boot).
    pub since: Duration,
}

/// What came of a plan that was carried out.
pub(super) struct Carried {
    /// What became of each operation.
    pub applied: Applied,
    /// What all of it means for the exit code.
    pub exit: Exit,
    /// How long the writes took.
    pub took: Duration,
    /// What became of the calls that endpoints want after writes.
    pub called: Vec<Called>,
    /// What is to be said of it.
    pub diagnostics: Vec<Diagnostic>,
    /// The records that were written, and where they stand.
    pub records: BTreeMap<TargetName, (Tip, Record)>,
}

/// What must be so before anything is written: every secret can be read, and the targets would take the writes. What a
/// target would not take becomes a refusal of the plan; what could not be asked is to be held, and why.
pub(super) async fn prepare(
    ctx: &Context,
    session: &Session,
    planned: &mut Planned,
) -> Result<BTreeMap<OpId, String>, Stop> {
    session.have_secrets(&planned.plan).await?;
    Ok(session.rehearse(ctx, &mut planned.plan).await)
}

/// Writes the intents, carries the plan out, and records the outcome. Nothing is written if a record moved since the
/// plan was made ([`Exit::Conflict`], `record-moved`).
pub(super) async fn carry_out(
    ctx: &Context,
    session: &Session,
    planned: &Planned,
    how: &Carry<'_>,
) -> Result<Carried, Stop> {
    let (plan, checksum, here) = (&planned.plan, planned.checksum, how.here);
    let facts: BTreeMap<TargetName, FactsOf<'_>> =
        session.targets.iter().filter_map(|t| Some((t.clone(), FactsOf::new(session, t)?))).collect();
    let id = format!("{}-{:08x}", ctx.clock.wall().as_second(), ctx.entropy.next() >> 32);
    let held = held_writes(plan, &how.held);
    let mut shares = Vec::new();
    let mut signers = BTreeMap::new();
    for target in &session.targets {
        let (Some((tip, record)), Some(facts)) = (session.records.get(target), facts.get(target)) else { continue };
        let mut operations = intent_ops(plan, target, facts);
        operations.retain(|op| !held.contains(&named(target, op)));
        let owed = !how.adopt_only && plan.owed().any(|call| &call.target == target);
        if operations.is_empty() && !owed {
            continue;
        }
        if let Some(signer) = session.signer(target)? {
            signer.sign_intent(&id, &mut operations);
            signers.insert(target.clone(), signer);
        }
        let name = RecordName { project: session.project().name.clone(), target: target.clone() };
        shares.push(Share { name, tip: tip.clone(), record: record.clone(), operations });
    }
    let written: Vec<TargetName> = shares.iter().map(|share| share.name.target.clone()).collect();
    let commit = session.loaded.revision.as_str();
    let begun = tokio::task::block_in_place(|| {
        Run::begin(Arc::clone(&session.stores), shares, &id, here, commit, &checksum.to_string(), &ctx.clock)
    });
    let run = Arc::new(begun.map_err(|error| {
        let stop = stores::stop(&error.error);
        match error.error {
            StoreError::Moved => Stop::with(
                Exit::Conflict,
                Diagnostic::error("record-moved", "another run began at the same time; nothing was written")
                    .help("run again"),
            ),
            _ => stop,
        }
    })?);
    let keeper = tokio::spawn({
        let run = Arc::clone(&run);
        async move { run.keep().await }
    });
    let started = ctx.clock.boot();
    let gates = |target: &TargetName| {
        run.check(target)?;
        how.gate.map_or(Ok(()), |gate| gate.check(target))
    };
    let applied = perform(ctx, session, plan, &gates, how).await;
    let landed = reconcile::landed(plan, &applied.results);
    let called = call_after(ctx, session, planned, (&applied, &landed, &written), &gates, how).await;
    let took = ctx.clock.boot().saturating_sub(started);
    keeper.abort();

    let mut exit = outcome_exit(&applied).and(planned.exit).and(refusal_exit(plan));
    let (mut diagnostics, mut records) = (uncalled(&called), BTreeMap::new());
    if !diagnostics.is_empty() {
        exit = exit.and(Exit::Partial);
    }
    for target in &written {
        let Some(facts) = facts.get(target) else { continue };
        let (done, undone) = counts(plan, &applied, target);
        let uncalled = called.iter().any(|call| &call.place.0 == target && call.ending != Ending::Done);
        let touched = done > 0 || landed.keys().any(|place| &place.0 == target);
        let whole = undone == 0 && !uncalled && is_all_of(session, planned, target);
        let word = if whole { "done" } else { "partial" };
        let identities = planned
            .sightings
            .iter()
            .filter(|((t, _), _)| t == target)
            .filter_map(|((t, e), sighting)| Some((e.clone(), session.identity(t, e, sighting)?)))
            .collect();
        let made = RefCell::new(None);
        let after = |record: &Record| {
            let head = RecordHead {
                result: word.to_owned(),
                guard: guard(session, target, record, whole),
                duration_ms: Some(since(ctx, how)),
                own: owned(session, planned, target, record),
                ..head(ctx, session, checksum, target, record, here, (done, undone))
            };
            let head = match &record.head {
                Some(before) if !touched && is_again(before, &head) => RecordHead { number: before.number, ..head },
                Some(_) | None => head,
            };
            let mut after = record_after(record, target, plan, &applied.results, &identities, head, facts);
            let wants = |kind: &Kind| session.wants_call(target, kind);
            reconcile::note_owed(&mut after, target, &landed, &called, &wants);
            refreshed(session, &planned.sightings, target, &mut after);
            if let Some(signer) = signers.get(target) {
                let sent = plan.operations.iter().zip(&applied.results).filter(|(op, result)| {
                    &op.resource.target == target && op.change.writes() && result.ending == Ending::Done
                });
                let sent: Vec<_> = sent.map(|(op, _)| op).collect();
                signer.note_secrets(&*session.operator, &sent, &mut after);
                signer.sign(record, &mut after, &|_, _, written| written);
            }
            // As the run writes it: its own intent goes with the outcome.
            after.intents.retain(|intent| intent.run != id);
            *made.borrow_mut() = Some(after.clone());
            after
        };
        let finished = tokio::task::block_in_place(|| run.finish(target, after, &message(plan, target, word)));
        match finished {
            Ok(tip) => records.extend(made.into_inner().map(|record| (target.clone(), (tip, record)))),
            Err(error) => {
                exit = exit.and(Exit::Partial);
                let help = match &error {
                    NotFinished::Lost => "run again: the record says what stands".to_owned(),
                    NotFinished::Store(_) => {
                        "once that is mended, run again here: the next run records what was done".to_owned()
                    }
                };
                let message = format!("the outcome at {target} is not in the record: {error}");
                diagnostics.push(Diagnostic::error("outcome-lost", message).help(help));
            }
        }
    }
    for target in session.targets.iter().filter(|target| !written.contains(target)) {
        let idle = is_all_of(session, planned, target) && !how.adopt_only && !how.cancel.is_cancelled();
        // What is held there is still to be done: this commit is not applied yet.
        if !idle || held.iter().any(|(at, ..)| at == target) {
            continue;
        }
        // Nothing was to be done there: this commit is applied there too.
        match note_idle(ctx, session, planned, target, how) {
            Ok(noted) => records.extend(noted.map(|(tip, record)| (target.clone(), (tip, record)))),
            Err(stop) => {
                diagnostics.extend(stop.diagnostics);
                exit = exit.and(Exit::Partial);
            }
        }
    }
    if how.cancel.is_cancelled() {
        exit = exit.and(Exit::Interrupted);
    }
    let exit = exit.after_writing(applied.may_have_written());
    Ok(Carried { applied, exit, took, called, diagnostics, records })
}

/// What was written, what of it landed where, and at which targets this run may write.
type Wrote<'a> = (&'a Applied, &'a BTreeMap<Place, BTreeSet<Kind>>, &'a [TargetName]);

/// Makes the calls that endpoints want once after writes, and those that an earlier run still owes them.
async fn call_after(
    ctx: &Context,
    session: &Session,
    planned: &Planned,
    (applied, landed, targets): Wrote<'_>,
    gate: &dyn Gate,
    how: &Carry<'_>,
) -> Vec<Called> {
    let mut kinds = if how.adopt_only { BTreeMap::new() } else { session.owed() };
    for (place, landed) in landed {
        kinds.entry(place.clone()).or_default().extend(landed.iter().cloned());
    }
    let reached = |place: &Place| planned.sightings.get(place).is_some_and(|sighting| sighting.greeting.is_some());
    kinds.retain(|place, _| {
        targets.contains(&place.0) && planned.plan.refusal_at(&place.0, &place.1).is_none() && reached(place)
    });
    let mut due = Vec::new();
    for (place, kinds) in &kinds {
        let Some(api) = session.loaded.apis.get(&place.0) else { continue };
        due.extend(api.description.calls_after(kinds).into_iter().map(|call| (place.clone(), call)));
    }
    if let Some(why) = &applied.stopped {
        return due.into_iter().map(|(place, call)| Called::skipped(place, call, why)).collect();
    }
    reconcile::call_all(&session.fleet.peers, due, gate, how.fence, context(ctx, how)).await
}

/// What a run's requests share.
fn context<'a>(ctx: &'a Context, how: &Carry<'a>) -> reconcile::Context<'a> {
    reconcile::Context {
        clock: &ctx.clock,
        entropy: &ctx.entropy,
        tell: how.tell,
        cancel: how.cancel,
        patience: PATIENCE,
    }
}

/// What is to be said of calls that did not go through. The writes before them are done.
pub(super) fn uncalled(called: &[Called]) -> Vec<Diagnostic> {
    let told = called.iter().filter_map(|Called { place: (target, endpoint), call, ending, .. }| {
        let (why, help) = match ending {
            Ending::Done => return None,
            Ending::Failed { why, help, .. } => (why, help.as_deref()),
            Ending::Skipped { why } | Ending::Conflict { why } | Ending::InDoubt { why } => (why, None),
        };
        let place = spot(target, endpoint);
        let message = format!("{place} is owed `{}` after its writes, which are done: {why}", call.call);
        let again = "run `ctl apply` again: the record knows that the call is owed, and the next run makes it";
        let help = help.map_or_else(|| again.to_owned(), |help| format!("{help}; {again}"));
        Some(Diagnostic::error("call-owed", message).help(help))
    });
    told.collect()
}

/// Target, endpoint, action and resource of an operation.
type Named = (TargetName, EndpointName, String, Kind, Key);

fn named(target: &TargetName, op: &IntentOp) -> Named {
    (target.clone(), op.endpoint.clone(), op.action.clone(), op.kind.clone(), op.key.clone())
}

/// What is held, as an intent would name it.
fn held_writes(plan: &Plan, held: &BTreeMap<OpId, String>) -> BTreeSet<Named> {
    let operations = held.keys().filter_map(|id| plan.operation(*id));
    let named = operations.map(|op| {
        let (resource, action) = (&op.resource, op.change.action().as_str().to_owned());
        (resource.target.clone(), op.endpoint.clone(), action, resource.kind.clone(), resource.key.clone())
    });
    named.collect()
}

fn since(ctx: &Context, how: &Carry<'_>) -> u64 {
    u64::try_from(ctx.clock.boot().saturating_sub(how.since).as_millis()).unwrap_or(u64::MAX)
}

async fn perform(ctx: &Context, session: &Session, plan: &Plan, gate: &dyn Gate, how: &Carry<'_>) -> Applied {
    let tables = session.loaded.tables();
    let mut records = BTreeMap::new();
    for (target, (_, record)) in &session.records {
        for (endpoint, known) in &record.endpoints {
            records.insert((target.clone(), endpoint.clone()), known.clone());
        }
    }
    let own: BTreeMap<TargetName, Own> = session.project().targets.iter().map(|(n, t)| (n.clone(), t.own)).collect();
    let mark = Mark::of(&session.project().name);
    let judge = Differences { plan, tables: &tables, records: &records, own: &own, mark: &mark };
    let apply = Apply {
        plan,
        endpoints: &session.fleet.peers,
        judge: &judge,
        gate,
        fence: how.fence,
        on_error: how.on_error,
        held: &how.held,
    };
    reconcile::apply(apply, context(ctx, how)).await
}

/// Notes that a target where nothing is to be done has this commit's state, if its record does not say so already, and
/// shares what was kept on this machine. Returns the record if it was written.
pub(super) fn note_idle(
    ctx: &Context,
    session: &Session,
    planned: &Planned,
    target: &TargetName,
    how: &Carry<'_>,
) -> Result<Option<(Tip, Record)>, Stop> {
    match unchanged(ctx, session, planned, target, how) {
        None => share_kept(session, target).map(|()| None),
        Some(after) => note_unchanged(session, &planned.plan, target, after),
    }
}

/// What the record of a target where nothing is to be done is to say now; `None` if it says it already.
pub(super) fn unchanged(
    ctx: &Context,
    session: &Session,
    planned: &Planned,
    target: &TargetName,
    how: &Carry<'_>,
) -> Option<Record> {
    let (_, record) = session.records.get(target)?;
    if !is_all_of(session, planned, target) {
        return None;
    }
    let mut after = record.clone();
    let changed = refreshed(session, &planned.sightings, target, &mut after);
    if !changed && !record.head.as_ref().is_some_and(|old| follows(session, old)) {
        return None;
    }
    let head = head(ctx, session, planned.checksum, target, record, how.here, (0, 0));
    let own = owned(session, planned, target, record);
    after.head = Some(RecordHead { duration_ms: Some(since(ctx, how)), own, ..head });
    Some(after)
}

/// Writes such a record. `None` if somebody else wrote it meanwhile.
pub(super) fn note_unchanged(
    session: &Session,
    plan: &Plan,
    target: &TargetName,
    mut after: Record,
) -> Result<Option<(Tip, Record)>, Stop> {
    let Some((tip, before)) = session.records.get(target) else { return Ok(None) };
    session.sign(target, before, &mut after)?;
    let token = after.head.as_ref().and_then(|head| head.token);
    reconcile::follow(before, &mut after, token).map_err(|error| stores::stop(&error))?;
    let tip = tip.as_ref();
    let name = RecordName { project: session.project().name.clone(), target: target.clone() };
    let text = message(plan, target, "unchanged");
    match tokio::task::block_in_place(|| session.stores.swap(&name, tip, &after, &text)) {
        Ok(tip) => Ok(Some((tip, after))),
        // Somebody else wrote it meanwhile; what they know is newer.
        Err(StoreError::Moved) => Ok(None),
        Err(error) => Err(stores::stop(&error)),
    }
}

/// What an earlier run could keep here only goes to the others now.
pub(super) fn share_kept(session: &Session, target: &TargetName) -> Result<(), Stop> {
    let Some((Some(tip), _)) = session.records.get(target) else { return Ok(()) };
    let name = RecordName { project: session.project().name.clone(), target: target.clone() };
    match tokio::task::block_in_place(|| session.stores.share(&name, tip)) {
        Ok(()) | Err(StoreError::Moved) => Ok(()),
        Err(error) => Err(stores::stop(&error)),
    }
}

/// True if everything that the plan wanted to see at a target was seen.
pub(super) fn all_seen(planned: &Planned, target: &TargetName) -> bool {
    let here = || planned.sightings.iter().filter(|((at, _), _)| at == target).map(|(_, sighting)| sighting);
    here().next().is_some()
        && here().all(|sighting| {
            sighting.greeting.is_some()
                && !sighting.scopes.values().any(|state| matches!(state, ScopeState::Unknown { .. }))
        })
}

/// True if the plan is about the whole target: nothing was selected, every endpoint was seen, and none is refused. Only then
/// can a run say that the commit is applied there.
fn is_all_of(session: &Session, planned: &Planned, target: &TargetName) -> bool {
    session.is_whole() && !planned.plan.refused_in_part(target) && all_seen(planned, target)
}

/// True if the record is to name this commit although nothing was written: its state is another one, or only a part of it
/// was applied so far, or it is the same (a squash merge) on a line that the recorded commit is not on, so that what
/// follows it is known to be newer.
fn follows(session: &Session, old: &RecordHead) -> bool {
    old.snapshot != session.snapshot.digest
        || old.result == "partial"
        || matches!(
            session.loaded.source.ancestry(&old.commit, &session.loaded.revision),
            Ancestry::Unrelated | Ancestry::Missing
        )
}

/// The head of the next version of a target's record.
pub(super) fn head(
    ctx: &Context,
    session: &Session,
    checksum: Digest,
    target: &TargetName,
    before: &Record,
    here: &Here,
    (done, undone): (u64, u64),
) -> RecordHead {
    RecordHead {
        number: before.head.as_ref().map_or(0, |head| head.number) + 1,
        time: ctx.clock.wall().as_second(),
        commit: newest(session, before.head.as_ref()),
        snapshot: session.snapshot.digest,
        checksum,
        folder: session.project().folder.clone(),
        who: here.process.who.clone(),
        result: "done".to_owned(),
        done,
        undone,
        token: here.token,
        duration_ms: None,
        guard: session.guard(target),
        own: before.head.as_ref().map(|head| head.own).unwrap_or_default(),
    }
}

/// True if a run that changed nothing came to the same end as the one before: that makes no version, or what cannot be
/// applied would push all others out of the history, try by try.
fn is_again(before: &RecordHead, now: &RecordHead) -> bool {
    before.commit == now.commit
        && (before.snapshot, before.checksum, before.undone) == (now.snapshot, now.checksum, now.undone)
        && before.result == now.result
}

/// The guard that the next run has to bear as well. One that was loosened counts once the commit that says so is applied
/// as a whole: a part of it, or nothing at all, lets nobody delete more.
fn guard(session: &Session, target: &TargetName, before: &Record, whole: bool) -> Guard {
    let said = session.guard(target);
    match &before.head {
        Some(head) if !whole => said.stricter(head.guard),
        Some(_) | None => said,
    }
}

/// How the record is to say that the target is owned: `exclusive` only after a run that saw all of it and was let through
/// everywhere. Otherwise the next run would take for agreed what nobody was asked.
fn owned(session: &Session, planned: &Planned, target: &TargetName, before: &Record) -> Own {
    let before = before.head.as_ref().map(|head| head.own).unwrap_or_default();
    match session.project().targets.get(target).map(|config| config.own) {
        Some(Own::Exclusive) if is_all_of(session, planned, target) => Own::Exclusive,
        Some(Own::Exclusive) => before,
        Some(Own::Recorded) | None => Own::Recorded,
    }
}

/// The commit that the record is to name. An older one of the same state (before a change and its revert) may be
/// applied, and does not take the record back: what lies between would pass for newer.
fn newest(session: &Session, old: Option<&RecordHead>) -> Revision {
    let revision = &session.loaded.revision;
    let kept = old.filter(|old| {
        old.snapshot == session.snapshot.digest
            && matches!(
                session.loaded.source.ancestry(&old.commit, revision),
                Ancestry::Descendant | Ancestry::UnknownShallow
            )
    });
    kept.map_or(revision, |old| &old.commit).clone()
}

fn counts(plan: &Plan, applied: &Applied, target: &TargetName) -> (u64, u64) {
    let here = plan.operations.iter().zip(&applied.results).filter(|(op, _)| &op.resource.target == target);
    let (done, undone): (Vec<_>, Vec<_>) = here.partition(|(_, r)| r.ending == Ending::Done);
    (done.len() as u64, undone.len() as u64)
}

pub(super) fn message(plan: &Plan, target: &TargetName, result: &str) -> String {
    format!("{}: {result} at {target}, commit {}", plan.project, plan.commit.short())
}

/// What the operations' endings mean for the exit code.
fn outcome_exit(applied: &Applied) -> Exit {
    let counts = applied.counts();
    let bad = counts.failed + counts.skipped + counts.conflict + counts.in_doubt;
    if bad == 0 {
        return Exit::Done;
    }
    if applied.wrote() && counts.done > 0 {
        return Exit::Partial;
    }
    let troubles = || applied.results.iter().filter_map(|r| r.trouble);
    if counts.conflict > 0 || troubles().any(|t| t == Trouble::Conflict) {
        Exit::Conflict
    } else if troubles().any(|t| t == Trouble::Authentication) {
        Exit::Denied
    } else if troubles().any(Trouble::is_away) {
        Exit::Unreachable
    } else if counts.failed + counts.in_doubt > 0 {
        Exit::Failed
    } else if applied.stopped.is_some() {
        // The time to write was over before anything was written: what is left is for the next run.
        Exit::Partial
    } else {
        Exit::Done
    }
}
