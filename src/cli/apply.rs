//! `ctl apply`: plans, asks, and carries the plan out under an intent in the record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{ApplyArgs, OnError, Output};
use super::facts::{FactsOf, refreshed};
use super::plan::rendered;
use super::session::{self, Planned, Session, Wishes, refusal_exit};
use super::settling::settle_open;
use super::signing::{Signer, sign};
use super::{Context, Exit, Stop, context, stores};
use crate::event::Event;
use crate::model::{Diagnostic, Digest, Mark, Own, Process, Record, RecordHead, Revision, ScopeState, TargetName};
use crate::plan::{Action, Plan};
use crate::reconcile::{
    self, Applied, Apply, Differences, Gate, Here, Locked, NotFinished, PATIENCE, Run, Share, Trouble, free,
    intent_ops, record_after,
};
use crate::report::{Progress, Results, apply_json, apply_markdown, apply_text};
use crate::source::Ancestry;
use crate::store::{LocalLock, LockError, RecordName, Store, StoreError, Tip, current_process, is_gone};

/// Plans, asks, applies, records, reports.
pub(super) async fn run(ctx: &Context, args: &ApplyArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let wishes = Wishes {
        source: &args.source,
        selection: &args.selection,
        leave: &args.leave,
        limits: &args.limits,
        dirty: false,
    };
    let expect = args.expect.as_deref().map(|sum| session::digest("--expect", sum)).transpose()?;
    let mut session = Session::open(ctx, &wishes).await?;
    ctx.tell(&session.loaded.diagnostics);
    ctx.tell(&session.snapshot.diagnostics);
    remembered_alone(ctx, &session)?;
    let here = Here { process: current_process(&user(ctx)), token: None };

    // An interrupted run is settled before anything is planned; that needs the lock already now.
    let mut lock = None;
    if session.records.values().any(|(_, record)| !record.intents.is_empty()) {
        lock = Some(local_lock(ctx, &session, &here.process, args.wait).await?);
        acquire(ctx, &mut session, &here, args.wait).await?;
    }
    let mut planned = session.plan(ctx, cancel).await;
    if settle_open(ctx, &mut session, &planned.sightings, &here)? {
        planned = session.plan_again(planned);
    }
    if args.output == Output::Text {
        let text = rendered(ctx, &session, &mut planned, Output::Text, args.show_all);
        ctx.print(&text);
    }
    ctx.tell(&session::advice(&planned).into_iter().collect::<Vec<_>>());
    let checksum = planned.checksum;
    if let Some(expected) = expect.filter(|expected| *expected != checksum) {
        let message = format!("the plan is not the one expected: {checksum}, and --expect says {expected}");
        let help = "something moved since it was reviewed: look at the new plan";
        return leave(session, Stop::with(Exit::Conflict, Diagnostic::error("other-plan", message).help(help))).await;
    }
    if args.adopt_only
        && let Some(op) = planned.plan.operations.iter().find(|op| op.change.action() != Action::Adopt)
    {
        let message = format!("--adopt-only, and the plan would {} {}", op.change.action().as_str(), op.resource);
        let help = "make the manifest say what is there, or apply without --adopt-only";
        return leave(session, Stop::with(Exit::Refused, Diagnostic::error("adopt-only", message).help(help))).await;
    }
    if !will_do(&planned.plan) || cancel.is_cancelled() {
        let exit = finish_idle(ctx, args, &mut session, &planned, lock, &here, cancel).await?;
        session.close().await;
        return Ok(exit);
    }
    if !args.yes {
        if !ctx.interactive {
            let diagnostic = Diagnostic::error("no-consent", "nobody can be asked, and --yes is not given")
                .help(format!("review the plan, then run `ctl apply --yes --expect {checksum}`"));
            return leave(session, Stop::with(Exit::Refused, diagnostic)).await;
        }
        if !ctx.ask("Apply this plan?") {
            ctx.say("Nothing was written.\n");
            session.close().await;
            return Ok(Exit::Failed);
        }
    }
    if lock.is_none() {
        lock = Some(local_lock(ctx, &session, &here.process, args.wait).await?);
    }
    let before: Vec<Option<Tip>> = session.records.values().map(|(tip, _)| tip.clone()).collect();
    acquire(ctx, &mut session, &here, args.wait).await?;
    let moved = session.records.values().map(|(tip, _)| tip.clone()).collect::<Vec<_>>() != before;
    if moved || !session.locked.is_empty() {
        let reviewed = std::mem::replace(&mut planned, session.plan(ctx, cancel).await);
        if settle_open(ctx, &mut session, &planned.sightings, &here)? {
            planned = session.plan_again(planned);
        }
        if unlocked(&planned, &session) != unlocked(&reviewed, &session) {
            // What was asked for by its checksum, or as adoptions alone, is not what is there now.
            let bound = expect.is_some() || args.adopt_only;
            let again = args.output == Output::Text && ctx.interactive && !args.yes && !bound && {
                let text = rendered(ctx, &session, &mut planned, Output::Text, args.show_all);
                ctx.print(&text);
                ctx.ask("Another run finished meanwhile. Apply this plan instead?")
            };
            if !again {
                let diagnostic = Diagnostic::error(
                    "record-moved",
                    "another run finished meanwhile, and the plan is another one now",
                )
                .help("run again and look at the new plan");
                return leave(session, Stop::with(Exit::Conflict, diagnostic)).await;
            }
        }
    }
    let exit = carry_out(ctx, args, &mut session, planned, &here, cancel).await;
    session.close().await;
    drop(lock);
    exit
}

/// The checksum of what is to be done at the targets that no other run holds.
fn unlocked(planned: &Planned, session: &Session) -> Digest {
    if session.locked.is_empty() {
        return planned.checksum;
    }
    let mut free = planned.plan.clone();
    free.operations.retain(|op| !session.locked.contains_key(&op.resource.target));
    free.checksum()
}

/// True if some endpoint has something to be done and is not refused.
fn will_do(plan: &Plan) -> bool {
    plan.operations.iter().any(|op| !plan.refuses(op))
}

async fn leave(session: Session, stop: Stop) -> Result<Exit, Stop> {
    session.close().await;
    Err(stop)
}

/// Nothing is to be done: at most the record learns of a newer commit.
async fn finish_idle(
    ctx: &Context,
    args: &ApplyArgs,
    session: &mut Session,
    planned: &Planned,
    mut lock: Option<LocalLock>,
    here: &Here,
    cancel: &CancellationToken,
) -> Result<Exit, Stop> {
    let mut exit = planned.exit.and(refusal_exit(&planned.plan));
    if cancel.is_cancelled() {
        exit = exit.and(Exit::Interrupted);
    }
    if planned.plan.refusals.is_empty() && planned.exit == Exit::Done && !args.adopt_only && !cancel.is_cancelled() {
        for target in session.targets.clone() {
            match unchanged(ctx, session, planned, &target, here) {
                None => share_kept(session, &target)?,
                Some(after) => {
                    if lock.is_none() {
                        lock = Some(local_lock(ctx, session, &here.process, args.wait).await?);
                    }
                    note_unchanged(session, &planned.plan, &target, after)?;
                }
            }
        }
    }
    let plan = &planned.plan;
    let results = Results { endings: BTreeMap::new(), took: Duration::ZERO };
    match args.output {
        Output::Text => {}
        Output::Json => ctx.print(&session.redactor.hide(&apply_json(plan, &planned.checksum, &results))),
        Output::Markdown => ctx.print(&session.redactor.hide(&apply_markdown(plan, &planned.checksum, &results))),
    }
    Ok(exit)
}

/// What the record of a target where nothing is to be done is to say now; `None` if it says it already.
fn unchanged(ctx: &Context, session: &Session, planned: &Planned, target: &TargetName, here: &Here) -> Option<Record> {
    let (_, record) = session.records.get(target)?;
    let mut after = record.clone();
    let changed = refreshed(session, &planned.sightings, target, &mut after);
    if !changed && !record.head.as_ref().is_some_and(|old| follows(session, old)) {
        return None;
    }
    after.head = Some(head(ctx, session, planned.checksum, target, record, here, (0, 0)));
    Some(after)
}

fn note_unchanged(session: &Session, plan: &Plan, target: &TargetName, mut after: Record) -> Result<(), Stop> {
    let Some((tip, before)) = session.records.get(target) else { return Ok(()) };
    sign(session, target, before, &mut after)?;
    let tip = tip.as_ref();
    let name = RecordName { project: session.project().name.clone(), target: target.clone() };
    let text = message(plan, target, "unchanged");
    match tokio::task::block_in_place(|| session.stores.swap(&name, tip, &after, &text)) {
        // Somebody else wrote it meanwhile; what they know is newer.
        Ok(_) | Err(StoreError::Moved) => Ok(()),
        Err(error) => Err(stores::stop(&error)),
    }
}

/// What an earlier run could keep here only goes to the others now.
fn share_kept(session: &Session, target: &TargetName) -> Result<(), Stop> {
    let Some((Some(tip), _)) = session.records.get(target) else { return Ok(()) };
    let name = RecordName { project: session.project().name.clone(), target: target.clone() };
    match tokio::task::block_in_place(|| session.stores.share(&name, tip)) {
        Ok(()) | Err(StoreError::Moved) => Ok(()),
        Err(error) => Err(stores::stop(&error)),
    }
}

/// True if everything that the plan wanted to see at a target was seen.
fn all_seen(planned: &Planned, target: &TargetName) -> bool {
    let here = || planned.sightings.iter().filter(|((at, _), _)| at == target).map(|(_, sighting)| sighting);
    here().next().is_some()
        && here().all(|sighting| {
            sighting.greeting.is_some()
                && !sighting.scopes.values().any(|state| matches!(state, ScopeState::Unknown { .. }))
        })
}

/// True if the record is to name this commit although nothing was written: its state is another one, or it is the same
/// (a squash merge) on a line that the recorded commit is not on, so that what follows it is known to be newer.
fn follows(session: &Session, old: &RecordHead) -> bool {
    old.snapshot != session.snapshot.digest
        || matches!(
            session.loaded.source.ancestry(&old.commit, &session.loaded.revision),
            Ancestry::Unrelated | Ancestry::Missing
        )
}

/// The writing half of a run: secrets, rehearsal, intents, writes, outcomes, report.
async fn carry_out(
    ctx: &Context,
    args: &ApplyArgs,
    session: &mut Session,
    mut planned: Planned,
    here: &Here,
    cancel: &CancellationToken,
) -> Result<Exit, Stop> {
    session.have_secrets(&planned.plan).await?;
    session.rehearse(&mut planned.plan).await;
    let plan = &planned.plan;
    let facts: BTreeMap<TargetName, FactsOf<'_>> =
        session.targets.iter().filter_map(|t| Some((t.clone(), FactsOf::new(session, t)?))).collect();
    let id = format!("{}-{:08x}", ctx.clock.wall().as_second(), ctx.entropy.next() >> 32);
    let mut shares = Vec::new();
    let mut signers = BTreeMap::new();
    for target in &session.targets {
        let (Some((tip, record)), Some(facts)) = (session.records.get(target), facts.get(target)) else { continue };
        let mut operations = intent_ops(plan, target, facts);
        if operations.is_empty() {
            continue;
        }
        if let Some(signer) = Signer::of(session, target)? {
            signer.sign_intent(&id, &mut operations);
            signers.insert(target.clone(), signer);
        }
        let name = RecordName { project: session.project().name.clone(), target: target.clone() };
        shares.push(Share { name, tip: tip.clone(), record: record.clone(), operations });
    }
    let written: Vec<TargetName> = shares.iter().map(|share| share.name.target.clone()).collect();
    let checksum = planned.checksum;
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
    let applied = perform(ctx, args, session, plan, &*run, cancel).await;
    let took = ctx.clock.boot().saturating_sub(started);
    keeper.abort();

    let mut exit = outcome_exit(&applied).and(planned.exit).and(refusal_exit(plan));
    for target in &written {
        let Some(facts) = facts.get(target) else { continue };
        let (done, undone) = counts(plan, &applied, target);
        let word = if undone == 0 && !plan.refused_in_part(target) { "done" } else { "partial" };
        let identities = planned
            .sightings
            .iter()
            .filter(|((t, _), _)| t == target)
            .filter_map(|((t, e), sighting)| Some((e.clone(), session.identity(t, e, sighting)?)))
            .collect();
        let after = |record: &Record| {
            let head = RecordHead {
                result: word.to_owned(),
                ..head(ctx, session, checksum, target, record, here, (done, undone))
            };
            let mut after = record_after(record, target, plan, &applied.results, &identities, head, facts);
            refreshed(session, &planned.sightings, target, &mut after);
            if let Some(signer) = signers.get(target) {
                let sent = plan.operations.iter().zip(&applied.results).filter(|(op, result)| {
                    &op.resource.target == target && op.change.writes() && result.ending == crate::event::Ending::Done
                });
                let sent: Vec<_> = sent.map(|(op, _)| op).collect();
                signer.note_secrets(&*session.operator, &sent, &mut after);
                signer.sign(record, &mut after, &|_, _, written| written);
            }
            after
        };
        let finished = tokio::task::block_in_place(|| run.finish(target, after, &message(plan, target, word)));
        if let Err(error) = finished {
            exit = exit.and(Exit::Partial);
            let help = match &error {
                NotFinished::Lost => "run again: the record says what stands".to_owned(),
                NotFinished::Store(_) => "it is kept on this machine; the next run here shares it".to_owned(),
            };
            ctx.tell(&[Diagnostic::error(
                "outcome-lost",
                format!("the outcome at {target} is not in the record: {error}"),
            )
            .help(help)]);
        }
    }
    for target in session.targets.iter().filter(|target| !written.contains(target)) {
        if plan.refused_in_part(target) || args.adopt_only || cancel.is_cancelled() || !all_seen(&planned, target) {
            continue;
        }
        // Nothing was to be done there: this commit is applied there too.
        let noted = match unchanged(ctx, session, &planned, target, here) {
            None => share_kept(session, target),
            Some(after) => note_unchanged(session, plan, target, after),
        };
        if let Err(stop) = noted {
            ctx.tell(&stop.diagnostics);
            exit = exit.and(Exit::Partial);
        }
    }
    if cancel.is_cancelled() {
        exit = exit.and(Exit::Interrupted);
    }
    let endings = applied.results.iter().map(|result| (result.id, result.ending.clone())).collect();
    let results = Results { endings, took };
    let text = match args.output {
        Output::Text => apply_text(plan, &results, &ctx.out),
        Output::Json => apply_json(plan, &checksum, &results),
        Output::Markdown => apply_markdown(plan, &checksum, &results),
    };
    ctx.print(&session.redactor.hide(&text));
    let exit = exit.after_writing(applied.wrote());
    Ok(if args.detailed_exitcode { exit.and(Exit::Changes) } else { exit })
}

async fn perform(
    ctx: &Context,
    args: &ApplyArgs,
    session: &Session,
    plan: &Plan,
    gate: &dyn Gate,
    cancel: &CancellationToken,
) -> Applied {
    let operations = plan.operations.iter().filter(|op| !plan.refuses(op)).count();
    let progress = match (ctx.progress, ctx.quiet) {
        (true, _) => Progress::applying(operations),
        (false, false) => Progress::applying_lines(plan, context::to_stderr),
        (false, true) => Progress::silent(),
    };
    let hider = session.redactor.clone();
    let progress = progress.hiding(move |text| hider.hide(text));
    let redactor = session.redactor.clone();
    let tell = |event: Event| {
        if ctx.verbose > 0
            && let Some(line) = session::narrated(&event)
        {
            ctx.say(&redactor.hide(&line));
        }
        progress.listen(&event);
    };
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
    let context =
        reconcile::Context { clock: &ctx.clock, entropy: &ctx.entropy, tell: &tell, cancel, patience: PATIENCE };
    let on_error = match args.on_error {
        OnError::Continue => reconcile::OnError::Continue,
        OnError::Stop => reconcile::OnError::Stop,
    };
    let apply = Apply { plan, endpoints: &session.fleet.peers, judge: &judge, gate, fence: None, on_error };
    let applied = reconcile::apply(apply, context).await;
    progress.finish();
    applied
}

/// Takes the lock of the repository on this machine, waiting for others at most `wait`.
pub(super) async fn local_lock(
    ctx: &Context,
    session: &Session,
    me: &Process,
    wait: Duration,
) -> Result<LocalLock, Stop> {
    let end = ctx.clock.boot() + wait;
    loop {
        match LocalLock::take(&ctx.state, session.loaded.source.common_dir(), me) {
            Ok(lock) => return Ok(lock),
            Err(error @ LockError::Held { .. }) => {
                let left = end.saturating_sub(ctx.clock.boot());
                if left.is_zero() {
                    let diagnostic = Diagnostic::error("locked", error.to_string())
                        .help("wait for it with `--wait 5m`, or run again later");
                    return Err(Stop::with(Exit::Locked, diagnostic));
                }
                ctx.clock.sleep(left.min(Duration::from_millis(200))).await;
            }
            Err(error @ LockError::Io(_)) => {
                let diagnostic = Diagnostic::error("state-folder", error.to_string())
                    .help("choose a folder that can be written with --state DIR");
                return Err(Stop::with(Exit::Failed, diagnostic));
            }
        }
    }
}

/// Reads every record again, waiting at most `wait` for the runs that hold them. Who is still held is left out.
pub(super) async fn acquire(ctx: &Context, session: &mut Session, here: &Here, wait: Duration) -> Result<(), Stop> {
    let end = ctx.clock.boot() + wait;
    let alive = |process: &Process| !is_gone(process, &here.process);
    session.locked.clear();
    for target in session.targets.clone() {
        let name = RecordName { project: session.project().name.clone(), target: target.clone() };
        let left = end.saturating_sub(ctx.clock.boot());
        match free(&session.stores, &name, here, &alive, left, &ctx.clock).await {
            Ok(found) => {
                session.records.insert(target, (found.tip, found.record));
            }
            Err(Locked::Held(intent)) => {
                let holder = &intent.holder;
                let message = format!(
                    "another run holds {target}: {} (process {} on {}){}",
                    holder.who,
                    holder.pid,
                    holder.host,
                    intent.until.and_then(until).map(|t| format!(", until {t}")).unwrap_or_default()
                );
                session.locked.insert(target, message);
            }
            Err(Locked::Store(error)) => return Err(stores::stop(&error)),
        }
    }
    session::check_folder(session.project(), &session.records)
}

fn until(second: i64) -> Option<String> {
    jiff::Timestamp::from_second(second).ok().map(|t| t.to_string())
}

/// In CI a record that only this runner sees is worth nothing.
fn remembered_alone(ctx: &Context, session: &Session) -> Result<(), Stop> {
    if !ctx.ci {
        return Ok(());
    }
    let alone = session.targets.iter().find(|name| {
        session.project().targets.get(*name).is_some_and(|target| {
            target.own != Own::Exclusive
                && !session.stores.shared(name)
                && target.endpoints.values().all(|e| e.url != "embedded")
        })
    });
    match alone {
        None => Ok(()),
        Some(target) => {
            let message = format!("in CI the record of {target} would be lost with this runner");
            let help =
                "share it with `record: {push: origin}` in ctl.yaml (or `record: {file: …}`, or `own: exclusive`)";
            Err(Stop::with(Exit::Refused, Diagnostic::error("record-not-shared", message).help(help)))
        }
    }
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
        guard: session.guard(target),
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
    let (done, undone): (Vec<_>, Vec<_>) = here.partition(|(_, r)| r.ending == crate::event::Ending::Done);
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
    } else if troubles().any(|t| t == Trouble::Unreachable) {
        Exit::Unreachable
    } else if counts.failed + counts.in_doubt > 0 {
        Exit::Failed
    } else {
        Exit::Done
    }
}

/// Who runs this, for the record.
pub(super) fn user(ctx: &Context) -> String {
    ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| ctx.env.get(*name).filter(|v| !v.is_empty()).cloned())
        .unwrap_or_else(|| "unknown".to_owned())
}
