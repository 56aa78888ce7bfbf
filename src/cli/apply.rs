//! `ctl apply`: plans, asks, and carries the plan out under an intent in the record.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{ApplyArgs, OnError, Output};
use super::carry::{self, Carry, note_unchanged, share_kept, unchanged};
use super::ordered;
use super::plan::rendered;
use super::session::{self, Planned, Session, Wishes, refusal_exit};
use super::settling::settle_open;
use super::{Context, Exit, Stop, context, narrated, stores};
use crate::event::{Ending, Event};
use crate::model::{Diagnostic, Digest, Own, Process};
use crate::plan::{Action, Plan};
use crate::reconcile::{self, Here, Locked, free, is_beyond_any_term};
use crate::report::{CallResult, Progress, Results, apply_json, apply_markdown, apply_text};
use crate::store::{LocalLock, LockError, RecordName, Tip, current_process, is_gone};

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
    let ordered = ordered::ask(ctx, &session);
    let here = Here { process: current_process(&ctx.user()), token: None };

    // One deadline for all that is waited for: other runs on this machine, and those that hold a record.
    let mut wait = args.wait;

    // An interrupted run is settled before anything is planned; that needs the lock already now.
    let mut lock = None;
    if session.records.values().any(|(_, record)| !record.intents.is_empty()) {
        lock = Some(within(ctx, &mut wait, |left| local_lock(ctx, &session, &here.process, left)).await?);
        within(ctx, &mut wait, |left| acquire(ctx, &mut session, &here, left)).await?;
    }
    let mut planned = session.plan(ctx, cancel).await;
    if settled(ctx, &mut session, &planned, &here)? {
        planned = session.plan_again(planned);
    }
    if args.output == Output::Text {
        let text = rendered(ctx, &session, &mut planned, Output::Text, args.show_all);
        ctx.print(&text);
    } else {
        ctx.tell(&session::refusals(&planned.plan));
    }
    ctx.tell(&session::advice(&planned).into_iter().collect::<Vec<_>>());
    ordered.tell(ctx, &session).await;
    let checksum = planned.checksum;
    if let Some(expected) = expect.filter(|expected| *expected != checksum) {
        let message = format!("the plan is not the one expected: {checksum}, and --expect says {expected}");
        let help = "something moved since it was reviewed: look at the new plan";
        return leave(
            ctx,
            args,
            session,
            &planned,
            Stop::with(Exit::Conflict, Diagnostic::error("other-plan", message).help(help)),
        )
        .await;
    }
    if args.adopt_only
        && let Some(op) = planned.plan.operations.iter().find(|op| op.change.action() != Action::Adopt)
    {
        let message = format!("--adopt-only, and the plan would {} {}", op.change.action().as_str(), op.resource);
        let help = "make the manifest say what is there, or apply without --adopt-only";
        return leave(
            ctx,
            args,
            session,
            &planned,
            Stop::with(Exit::Refused, Diagnostic::error("adopt-only", message).help(help)),
        )
        .await;
    }
    if !will_do(&planned.plan, args.adopt_only) || cancel.is_cancelled() {
        let exit = finish_idle(ctx, args, &mut session, &planned, lock, &here, cancel).await?;
        session.close().await;
        return Ok(exit);
    }
    if !args.yes {
        if !ctx.interactive {
            let diagnostic = Diagnostic::error("no-consent", "nobody can be asked, and --yes is not given")
                .help(format!("review the plan, then run `ctl apply --yes --expect {checksum}`"));
            return leave(ctx, args, session, &planned, Stop::with(Exit::Refused, diagnostic)).await;
        }
        if !ctx.ask("Apply this plan?") {
            ctx.say("Nothing was written.\n");
            session.close().await;
            return Ok(Exit::Failed);
        }
    }
    if lock.is_none() {
        lock = Some(within(ctx, &mut wait, |left| local_lock(ctx, &session, &here.process, left)).await?);
    }
    let before: Vec<Option<Tip>> = session.records.values().map(|(tip, _)| tip.clone()).collect();
    within(ctx, &mut wait, |left| acquire(ctx, &mut session, &here, left)).await?;
    let moved = session.records.values().map(|(tip, _)| tip.clone()).collect::<Vec<_>>() != before;
    if moved || !session.locked.is_empty() {
        let reviewed = std::mem::replace(&mut planned, session.plan(ctx, cancel).await);
        if settled(ctx, &mut session, &planned, &here)? {
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
                return leave(ctx, args, session, &planned, Stop::with(Exit::Conflict, diagnostic)).await;
            }
        }
    }
    let exit = show_carried(ctx, args, &session, planned, &here, cancel).await;
    session.close().await;
    drop(lock);
    exit
}

/// Lets something wait for at most what is left of `wait`, and takes off what it took.
async fn within<F: Future>(ctx: &Context, wait: &mut Duration, waiting: impl FnOnce(Duration) -> F) -> F::Output {
    let began = ctx.clock.boot();
    let done = waiting(*wait).await;
    *wait = wait.saturating_sub(ctx.clock.boot().saturating_sub(began));
    done
}

/// Settles what interrupted runs left, and says so. True if a record changed.
fn settled(ctx: &Context, session: &mut Session, planned: &Planned, here: &Here) -> Result<bool, Stop> {
    let settled = settle_open(ctx, session, &planned.sightings, here)?;
    ctx.tell(&settled.diagnostics);
    Ok(settled.changed)
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

/// True if some endpoint has something to be done, or is owed a call, and is not refused.
fn will_do(plan: &Plan, adopt_only: bool) -> bool {
    plan.operations.iter().any(|op| !plan.refuses(op)) || (!adopt_only && plan.owed().next().is_some())
}

/// Ends without a write. A program gets its document all the same: nothing was started.
async fn leave(ctx: &Context, args: &ApplyArgs, session: Session, planned: &Planned, stop: Stop) -> Result<Exit, Stop> {
    print_untouched(ctx, args, &session, planned);
    session.close().await;
    Err(stop)
}

/// What a run prints that wrote nothing.
fn print_untouched(ctx: &Context, args: &ApplyArgs, session: &Session, planned: &Planned) {
    let results = Results::default();
    let text = match args.output {
        Output::Text => return,
        Output::Json => apply_json(&planned.plan, &planned.checksum, &results),
        Output::Markdown => apply_markdown(&planned.plan, &planned.checksum, &results),
    };
    ctx.print(&session.redactor.hide(&text));
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
    let how = how(ctx, args, here, cancel, &|_| ());
    if planned.plan.refusals.is_empty() && planned.exit == Exit::Done && !args.adopt_only && !cancel.is_cancelled() {
        for target in session.targets.clone() {
            match unchanged(ctx, session, planned, &target, &how) {
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
    if args.output == Output::Text && !planned.plan.refusals.is_empty() {
        ctx.say("Nothing was written: the plan is refused.\n");
    } else if args.output == Output::Text && cancel.is_cancelled() {
        ctx.say("Nothing was written: the run was interrupted before it began.\n");
    }
    print_untouched(ctx, args, session, planned);
    Ok(exit)
}

fn how<'a>(
    ctx: &Context,
    args: &ApplyArgs,
    here: &'a Here,
    cancel: &'a CancellationToken,
    tell: &'a (dyn Fn(Event) + Sync),
) -> Carry<'a> {
    let on_error = match args.on_error {
        OnError::Continue => reconcile::OnError::Continue,
        OnError::Stop => reconcile::OnError::Stop,
    };
    let since = ctx.clock.boot();
    let (held, gate, fence) = (BTreeMap::new(), None, None);
    Carry { here, cancel, tell, on_error, adopt_only: args.adopt_only, gate, fence, held, since }
}

/// Carries the plan out before the user's eyes, and prints what came of it.
async fn show_carried(
    ctx: &Context,
    args: &ApplyArgs,
    session: &Session,
    mut planned: Planned,
    here: &Here,
    cancel: &CancellationToken,
) -> Result<Exit, Stop> {
    let held = carry::prepare(ctx, session, &mut planned).await?;
    let plan = &planned.plan;
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
            && let Some(line) = narrated::line(&event)
        {
            ctx.say(&redactor.hide(&line));
        }
        progress.listen(&event);
    };
    let how = Carry { held, ..how(ctx, args, here, cancel, &tell) };
    let carried = carry::carry_out(ctx, session, &planned, &how).await;
    progress.finish();
    let carried = carried?;
    ctx.tell(&carried.diagnostics);
    let results = &carried.applied.results;
    // What went wrong is told with its line, however far down in the plan it is.
    let told = results.iter().filter(|r| !matches!(r.ending, Ending::Done | Ending::Skipped { .. })).map(|r| r.id);
    let told = told.collect();
    let endings = results.iter().map(|result| (result.id, result.ending.clone())).collect();
    let calls = carried.called.iter().map(|called| {
        let ((target, endpoint), call) = (called.place.clone(), called.call.call.clone());
        CallResult { target, endpoint, call, ending: called.ending.clone() }
    });
    let results = Results { endings, took: carried.took, calls: calls.collect() };
    session.locate_those(&mut planned.plan, &told);
    let plan = &planned.plan;
    let text = match args.output {
        Output::Text => apply_text(plan, &results, &ctx.out),
        Output::Json => apply_json(plan, &planned.checksum, &results),
        Output::Markdown => apply_markdown(plan, &planned.checksum, &results),
    };
    ctx.print(&session.redactor.hide(&text));
    let exit = if args.detailed_exitcode { carried.exit.and(Exit::Changes) } else { carried.exit };
    // As when a session is closed: the program ends now.
    std::mem::forget((planned, carried));
    Ok(exit)
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
    // What is damaged cannot be read again; whoever makes it anew writes on top of what was salvaged, or not at all.
    let whole = session.targets.iter().filter(|target| !session.damaged.contains_key(*target)).cloned();
    for target in whole.collect::<Vec<_>>() {
        let name = RecordName { project: session.project().name.clone(), target: target.clone() };
        let left = end.saturating_sub(ctx.clock.boot());
        match free(&session.stores, &name, here, &alive, left, &ctx.clock).await {
            Ok(found) => {
                session.records.insert(target, (found.tip, found.record));
            }
            Err(Locked::Held(intent)) => {
                let holder = &intent.holder;
                let mut message = format!(
                    "another run holds {target}: {} (process {} on {}){}",
                    holder.who,
                    holder.pid,
                    holder.host,
                    intent.until.and_then(until).map(|t| format!(", until {t}")).unwrap_or_default()
                );
                if is_beyond_any_term(&intent, ctx.clock.wall().as_second()) {
                    message +=
                        ", which is beyond any run's term: its clock is ahead of this one. `--wait 20m` outlasts it";
                }
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
