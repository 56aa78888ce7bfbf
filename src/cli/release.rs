//! `ctl release`: stops managing resources; they stay as they are.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apply::{acquire, local_lock};
use super::args::{LeaveArgs, LimitArgs, Plain, ReleaseArgs, SelectionArgs, SourceArgs};
use super::carry::{head, message};
use super::session::{Session, Wishes};
use super::stores::Stores;
use super::{Context, Exit, Stop, stores};
use crate::model::{
    Diagnostic, EndpointName, IntentOp, Key, Kind, Mark, OwnRule, Owned, Record, RecordEntry, RecordHead, ResourceId,
    ScopeState, TargetName, glob_matches,
};
use crate::reconcile::{Gate, Here, Run, Share};
use crate::store::{RecordName, current_process};
use crate::target::{Target, Write};

/// Takes the marks off and strikes the resources from the record.
pub(super) async fn run(ctx: &Context, args: &ReleaseArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let wishes = Wishes {
        source: &SourceArgs { source: args.source.clone(), rev: None, trust: None },
        selection: &SelectionArgs::default(),
        leave: &LeaveArgs::default(),
        limits: &LimitArgs::default(),
        dirty: false,
    };
    let mut session = Session::open(ctx, &wishes).await?;
    let here = Here { process: current_process(&ctx.user()), token: None };
    let lock = local_lock(ctx, &session, &here.process, Duration::ZERO).await?;
    acquire(ctx, &mut session, &here, Duration::ZERO).await?;
    let picked = picked(&session, &args.addresses);
    if picked.is_empty() {
        session.close().await;
        let message = format!("the record names nothing that fits {}", args.addresses.join(" "));
        let help = "`ctl record show` lists what it names; globs such as 'mq:queue/shop/*' are allowed";
        return Err(Stop::with(Exit::Failed, Diagnostic::error("nothing-fits", message).help(help)));
    }
    if let Some((target, why)) = session.locked.iter().find(|(t, _)| picked.iter().any(|p| &p.target == *t)) {
        let diagnostic =
            Diagnostic::error("locked", why.clone()).help(format!("wait until the run at {target} is done"));
        session.close().await;
        return Err(Stop::with(Exit::Locked, diagnostic));
    }
    for one in &picked {
        ctx.say(&format!("  . {}\n", one.address()));
    }
    if !args.yes {
        if !ctx.interactive {
            session.close().await;
            let diagnostic = Diagnostic::error("no-consent", "nobody can be asked, and --yes is not given")
                .help("look at the list, then say --yes");
            return Err(Stop::with(Exit::Refused, diagnostic));
        }
        if !ctx.ask("Stop managing these? They stay as they are.") {
            session.close().await;
            return Ok(Exit::Failed);
        }
    }
    if let Some(diagnostic) = not_granted(&session, &picked) {
        session.close().await;
        return Err(Stop::with(Exit::Refused, diagnostic));
    }
    let planned = session.plan(ctx, cancel).await;
    let elsewhere =
        planned.plan.refusals.iter().find(|r| r.gate == "identity" && picked.iter().any(|p| p.target == r.target));
    if let Some(refusal) = elsewhere {
        let diagnostic = Diagnostic::error("identity", refusal.message.clone()).help(refusal.help.clone());
        session.close().await;
        return Err(Stop::with(Exit::Refused, diagnostic));
    }
    let run = begin(ctx, &session, &planned, &picked, &here)?;
    let keeper = tokio::spawn({
        let run = Arc::clone(&run);
        async move { run.keep().await }
    });
    let mut released = Vec::new();
    let mut exit = Exit::Done;
    for one in &picked {
        let done = if cancel.is_cancelled() { Err("interrupted".to_owned()) } else { run.check(&one.target) };
        let done = match done {
            Ok(()) => unmark(&session, &planned, one).await,
            Err(why) => Err(why),
        };
        match done {
            Ok(()) => released.push(one),
            Err(why) => {
                let message = format!("{} keeps its mark and stays managed: {why}", one.address());
                ctx.tell(&[Diagnostic::error("not-released", message).help("mend that and release it again")]);
                exit = exit.and(Exit::Partial);
            }
        }
    }
    keeper.abort();
    for target in session.targets.iter().filter(|target| picked.iter().any(|one| &one.target == *target)) {
        let here_released: Vec<&&Picked> = released.iter().filter(|one| &one.target == target).collect();
        let signer = session.signer(target)?;
        let after = |record: &Record| {
            let mut after = record.clone();
            for one in &here_released {
                if one.entry.marked && session.wants_call(target, &one.which.0) {
                    let owed = &mut after.endpoints.entry(one.endpoint.clone()).or_default().owed;
                    owed.insert(one.which.0.clone());
                }
                if let Some(endpoint) = after.endpoints.get_mut(&one.endpoint) {
                    endpoint.entries.remove(&one.which);
                }
            }
            if let Some(old) = record.head.as_ref().filter(|_| !here_released.is_empty()) {
                let done = (here_released.len() as u64, 0);
                let new = head(ctx, &session, planned.checksum, target, record, &here, done);
                // The desired state did not move.
                let (commit, snapshot) = (old.commit.clone(), old.snapshot);
                after.head = Some(RecordHead { commit, snapshot, result: "released".to_owned(), ..new });
            }
            if let Some(signer) = &signer {
                signer.sign(record, &mut after, &|_, _, written| written);
            }
            after
        };
        let text = message(&planned.plan, target, "released");
        if let Err(error) = tokio::task::block_in_place(|| run.finish(target, after, &text)) {
            let message = format!("what was released at {target} is not in the record: {error}");
            ctx.tell(&[Diagnostic::error("outcome-lost", message).help("run again: the record says what stands")]);
            exit = exit.and(Exit::Partial);
        }
    }
    let still: Vec<String> = released
        .iter()
        .filter(|one| session.snapshot.desired.iter().any(|d| d.id == one.id()))
        .map(|one| one.address())
        .collect();
    if let Some(first) = still.first() {
        let message = format!("{first}{} still declared", if still.len() > 1 { " and others are" } else { " is" });
        let help = "take the manifest out, or the next apply adopts it again";
        ctx.tell(&[Diagnostic::warning("still-declared", message).help(help)]);
    }
    match args.output {
        Plain::Json => {
            let list: Vec<String> = released.iter().map(|one| one.address()).collect();
            let document = serde_json::json!({"format_version": "1.0", "released": list});
            ctx.print_json(&document);
        }
        Plain::Text => ctx.print(&format!("Released: {} of {}.\n", released.len(), picked.len())),
    }
    if cancel.is_cancelled() {
        exit = exit.and(Exit::Interrupted);
    }
    session.close().await;
    drop(lock);
    Ok(exit)
}

struct Picked {
    target: TargetName,
    endpoint: EndpointName,
    which: (Kind, Key),
    entry: RecordEntry,
}

impl Picked {
    fn id(&self) -> ResourceId {
        ResourceId { target: self.target.clone(), kind: self.which.0.clone(), key: self.which.1.clone() }
    }

    fn address(&self) -> String {
        self.id().to_string()
    }
}

fn picked(session: &Session, globs: &[String]) -> Vec<Picked> {
    let mut out = Vec::new();
    for (target, (_, record)) in &session.records {
        for (endpoint, known) in &record.endpoints {
            for (which, entry) in &*known.entries {
                let one = Picked {
                    target: target.clone(),
                    endpoint: endpoint.clone(),
                    which: which.clone(),
                    entry: (**entry).clone(),
                };
                let address = one.address();
                if globs.iter().any(|glob| glob_matches(glob, &address)) {
                    out.push(one);
                }
            }
        }
    }
    out
}

/// Taking a mark off is a write, and grants fence writes.
fn not_granted(session: &Session, picked: &[Picked]) -> Option<Diagnostic> {
    let repository = session.repository();
    let written = picked.iter().filter(|one| one.entry.marked);
    written
        .filter_map(|one| session.granted(&repository, &one.target, &one.endpoint, &one.which.0, &one.which.1).err())
        .next()
}

/// Writes down what is about to be released, in every record that it is of: an interrupted release is seen, and whoever
/// comes next waits for this one.
fn begin(
    ctx: &Context,
    session: &Session,
    planned: &super::session::Planned,
    picked: &[Picked],
    here: &Here,
) -> Result<Arc<Run<Stores>>, Stop> {
    let id = format!("{}-{:08x}", ctx.clock.wall().as_second(), ctx.entropy.next() >> 32);
    let mut shares = Vec::new();
    for target in &session.targets {
        let mut operations: Vec<IntentOp> = picked
            .iter()
            .filter(|one| &one.target == target)
            .map(|one| IntentOp {
                endpoint: one.endpoint.clone(),
                action: "release".to_owned(),
                kind: one.which.0.clone(),
                key: one.which.1.clone(),
                body: None,
                entry: Some(Box::new(one.entry.clone())),
            })
            .collect();
        let Some((tip, record)) = session.records.get(target).filter(|_| !operations.is_empty()) else { continue };
        if let Some(signer) = session.signer(target)? {
            signer.sign_intent(&id, &mut operations);
        }
        let name = RecordName { project: session.project().name.clone(), target: target.clone() };
        shares.push(Share { name, tip: tip.clone(), record: record.clone(), operations });
    }
    let (commit, checksum) = (session.loaded.revision.as_str(), planned.checksum.to_string());
    let begun = tokio::task::block_in_place(|| {
        Run::begin(Arc::clone(&session.stores), shares, &id, here, commit, &checksum, &ctx.clock)
    });
    begun.map(Arc::new).map_err(|error| stores::stop(&error.error))
}

/// Takes our mark off the live object, if it is still the recorded one and bears it.
async fn unmark(session: &Session, planned: &super::session::Planned, one: &Picked) -> Result<(), String> {
    let place = (one.target.clone(), one.endpoint.clone());
    let mark = Mark::of(&session.project().name);
    if !one.entry.marked {
        return Ok(());
    }
    let (Some(peer), Some(sighting)) = (session.fleet.peers.get(&place), planned.sightings.get(&place)) else {
        return Err("its endpoint is not part of this run".to_owned());
    };
    let rules = peer.driver.kinds().get(&one.which.0);
    let scope = (one.which.0.clone(), rules.and_then(|r| r.parent_key(&one.which.1)));
    let live = match sighting.scopes.get(&scope) {
        Some(ScopeState::Known(listing)) => listing.items.iter().find(|item| item.key == one.which.1),
        Some(ScopeState::Unknown { why }) => return Err(why.clone()),
        None => None,
    };
    let Some(live) = live.filter(|live| live.mark.as_ref() == Some(&mark)) else { return Ok(()) };
    let rule = OwnRule::Recorded { mark: &mark, verified: true };
    let Ok(owned) = Owned::claim(live.clone(), Some(&one.entry), rule) else {
        return Ok(()); // It is another object of that name: not ours to touch.
    };
    let id = one.id();
    let fresh = peer.driver.read(&id, Some(live)).await.map_err(|e| e.to_string())?;
    let Some(fresh) = fresh else { return Ok(()) };
    let owned = Owned::claim(fresh, Some(&one.entry), rule).unwrap_or(owned);
    peer.driver.write(&Write::Unmark { id: &id, owned: &owned }, None).await.map(drop).map_err(|e| e.to_string())
}
