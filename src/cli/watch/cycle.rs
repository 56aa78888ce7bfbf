//! One cycle of one target in a process that stays: look whether anything moved, plan, write, record.
//!
//! ```text
//! nothing of ours moved? ── ask the endpoints whether anything moved there ── no ──> quiet
//!        │ no                          │ yes
//!        └──> greet, lists that changed ──> (settle) ──> plan ──> hold ──> lock, intents, writes, record
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::cycled::{CycleReport, EndpointReport, OpReport, Outcome, VersionInfo};
use super::waiting::{Waiting, waiting};
use crate::cli::args::LimitArgs;
use crate::cli::carry::{self, Carry};
use crate::cli::fleet::{Fleet, Listener};
use crate::cli::load::Loaded;
use crate::cli::session::{Parts, Planned, Session, refusal_exit};
use crate::cli::settling::settle_open;
use crate::cli::stores::{self, Stores};
use crate::cli::{Context, Exit, Stop};
use crate::credentials::{Operator, Redactor};
use crate::event::{Ending, Event};
use crate::model::{
    Complete, Diagnostic, Digest, EndpointName, Process, Record, Revision, ScopeState, Secret, Snapshot, TargetConfig,
    TargetName,
};
use crate::plan::{Action, OpId, Operation, Plan, Summary};
use crate::reconcile::{
    self, Applied, Before, Fresh, Gate, Here, Locked, OnError, Place, Sighting, Silence, Trouble, free, held,
};
use crate::store::{LocalLock, LockError, RecordName, Store, Tip, is_gone};
use crate::target::{Fence, Target};

/// How long an endpoint may take to say who it is. One that takes longer is away, and the others do not wait for it.
const GREETING: Duration = Duration::from_secs(5);
/// How often a cycle plans again because another run wrote the record meanwhile.
const AGAIN: usize = 2;
/// For how many operations the lines are looked up where they are declared.
const LOCATED: usize = 100;

/// How many milliseconds a cycle of this process may take to let go of the lock.
const GIVING_BACK: usize = 50;

/// What stays between the cycles of one target: connections, rates, retry budgets, the last lists, the record.
pub(in crate::cli) struct Warm {
    target: TargetName,
    fleet: Option<Fleet>,
    /// What the fleet was made of.
    made_of: Option<MadeOf>,
    /// Endpoints that did not let us in: their credentials are read again.
    denied: BTreeSet<EndpointName>,
    sightings: BTreeMap<Place, Sighting>,
    record: Option<(Option<Tip>, Record)>,
    record_key: Option<Result<Option<Secret>, Diagnostic>>,
    still: Option<Still>,
    /// What waited where the last cycle that planned could not look.
    waiting: Arc<Waiting>,
}

/// What decides how a target's endpoints are spoken to.
struct MadeOf {
    config: TargetConfig,
    description: Digest,
    /// Held, so that no other operator can come to stand where it stood.
    operator: Arc<Operator>,
}

impl PartialEq for MadeOf {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
            && self.description == other.description
            && Arc::ptr_eq(&self.operator, &other.operator)
    }
}

/// Under which circumstances nothing was left to do.
struct Still {
    at: Circumstances,
    checksum: Digest,
    deletes_checksum: Digest,
    summary: Summary,
}

#[derive(PartialEq, Eq)]
struct Circumstances {
    generation: u64,
    revision: Revision,
    snapshot: Digest,
    tip: Option<Tip>,
    away: BTreeSet<EndpointName>,
    dry_run: bool,
}

/// What is to be: shared by the cycles of all targets until the source moves.
#[derive(Clone)]
pub(in crate::cli) struct Basis {
    /// Project, commit, descriptions; the operator's limits hold in it (`session::agree`).
    pub loaded: Arc<Loaded>,
    /// The desired state.
    pub snapshot: Arc<Complete<Snapshot>>,
    /// What the operator allows.
    pub operator: Arc<Operator>,
    /// Where the records are.
    pub stores: Arc<Stores>,
    /// The lock of the repository on this machine: one for all generations.
    pub locks: Arc<Locks>,
    /// Why nothing may be deleted or replaced, if so: the source is an old one, or a part of it could not be read.
    pub deletes_held: Option<String>,
    /// Hears of every request.
    pub listener: Option<Listener>,
    /// How fast, as the command line says.
    pub limits: LimitArgs,
    /// Another number for other content.
    pub generation: u64,
}

/// What one cycle may do.
pub(in crate::cli) struct Order<'a> {
    /// This process, with its fencing token under election.
    pub here: Here,
    /// The leader's gate: asked before every attempt to write, and before the record is written.
    pub gate: Option<Arc<dyn Gate + Send + Sync>>,
    /// The tenure number for servers that honour one.
    pub fence: Option<Fence>,
    /// Plan and report; write nothing, not even the record.
    pub dry_run: bool,
    /// An operator chose this commit: that it is older, or on another branch, is no reason to refuse it.
    pub pinned: bool,
    /// Asked before anything is written: whether people want it still. Blocks.
    pub obeys: &'a (dyn Fn() -> Result<(), Stop> + Sync),
    /// Endpoints that are not contacted: what is to be done there is held.
    pub away: BTreeSet<EndpointName>,
    /// Endpoints that are waited for though all others are looked at.
    pub patient: BTreeSet<EndpointName>,
    /// Operations that are left for later, and why.
    pub hold: &'a dyn Fn(&Operation) -> Option<String>,
    /// Checksums of plans, or of their deletes, that an operator lets through the guards that ask for consent.
    pub approved: Vec<Digest>,
    /// Hears what happens; secrets are hidden.
    pub tell: &'a (dyn Fn(Event) + Sync),
    /// Once cancelled nothing new starts; what is in flight comes to its end and into the record.
    pub cancel: CancellationToken,
    /// How long a server may ask to wait, all together, before a request gives up.
    pub patience: Duration,
}

/// The lock of a repository on this machine, shared by the cycles of this process that run side by side: taken with the
/// first of them that writes, given back with the last.
#[derive(Debug, Default)]
pub(in crate::cli) struct Locks(Mutex<Weak<LocalLock>>);

impl Locks {
    fn take(&self, ctx: &Context, basis: &Basis, me: &Process) -> Result<Arc<LocalLock>, Stop> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = shared.upgrade() {
            return Ok(lock);
        }
        let mut taken = LocalLock::take(&ctx.state, basis.loaded.source.common_dir(), me);
        for _ in 0..GIVING_BACK {
            match &taken {
                // Another cycle of this process is just giving it back.
                Err(LockError::Held { holder: Some(holder) }) if holder == me => {}
                _ => break,
            }
            std::thread::sleep(Duration::from_millis(1));
            taken = LocalLock::take(&ctx.state, basis.loaded.source.common_dir(), me);
        }
        match taken {
            Ok(lock) => {
                let lock = Arc::new(lock);
                *shared = Arc::downgrade(&lock);
                Ok(lock)
            }
            Err(error @ LockError::Held { .. }) => {
                let help = "it is tried again soon; nothing has to be unlocked by hand";
                Err(Stop::with(Exit::Locked, Diagnostic::error("locked", error.to_string()).help(help)))
            }
            Err(error @ LockError::Io(_)) => {
                let help = "choose a folder that can be written with --state DIR";
                Err(Stop::with(Exit::Failed, Diagnostic::error("state-folder", error.to_string()).help(help)))
            }
        }
    }
}

impl Warm {
    /// Nothing is known yet.
    pub(in crate::cli) fn new(target: TargetName) -> Self {
        Self {
            target,
            fleet: None,
            made_of: None,
            denied: BTreeSet::new(),
            sightings: BTreeMap::new(),
            record: None,
            record_key: None,
            still: None,
            waiting: Arc::default(),
        }
    }

    /// Forgets what was read, so that the next cycle reads all of it.
    pub(in crate::cli) fn forget(&mut self) {
        self.sightings.clear();
        (self.record, self.record_key, self.still) = (None, None, None);
    }

    /// A person says that servers which asked to be left alone may be asked again.
    pub(in crate::cli) fn reopen(&self) {
        self.fleet.iter().flat_map(|fleet| fleet.peers.values()).for_each(reconcile::Peer::reopen);
    }

    /// Stops what was started for this target.
    pub(in crate::cli) async fn close(&mut self) {
        self.forget();
        self.made_of = None;
        if let Some(fleet) = self.fleet.take() {
            fleet.dismiss().await;
        }
    }

    /// The endpoints: those of before, unless something about them is another now, or one could not be approached.
    async fn muster(&mut self, ctx: &Context, basis: &Basis) -> Result<Fleet, Stop> {
        let project = &basis.loaded.project;
        let (Some(config), Some(api)) = (project.targets.get(&self.target), basis.loaded.apis.get(&self.target)) else {
            let message = format!("the project has no target {}", self.target);
            return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-target", message)));
        };
        let made_of = MadeOf {
            // Neither the guard nor the place where it is written changes how anybody is spoken to.
            config: TargetConfig { guard: crate::model::Guard::default(), span: None, ..config.clone() },
            description: api.origin.digest,
            operator: Arc::clone(&basis.operator),
        };
        let same = self.made_of.as_ref() == Some(&made_of);
        let denied = std::mem::take(&mut self.denied);
        let mut kept = match self.fleet.take() {
            Some(fleet) if same && fleet.refusals.is_empty() && denied.is_empty() => return Ok(fleet),
            // Who was let in before keeps its connections, its rate and its retry budget.
            Some(fleet) if same && !fleet.is_embedded() => Some(fleet),
            Some(fleet) => {
                fleet.dismiss().await;
                None
            }
            None => None,
        };
        if !same {
            self.forget();
        }
        let (targets, listener) = ([self.target.clone()], basis.listener.as_ref());
        let mut fleet = Fleet::muster(ctx, &basis.loaded, &basis.operator, &targets, &basis.limits, listener).await?;
        if let Some(kept) = &mut kept {
            fleet.keep(kept, &denied);
        }
        self.made_of = Some(made_of);
        Ok(fleet)
    }
}

/// Reconciles one target once. Whatever fails is in the report.
pub(in crate::cli) async fn cycle(ctx: &Context, warm: &mut Warm, basis: &Basis, order: &Order<'_>) -> CycleReport {
    let since = ctx.clock.boot();
    let mut report = CycleReport::of(&warm.target);
    let redactor = basis.operator.redactor();
    let run = Cycle { ctx, basis, order, redactor: &redactor, since };
    if let Err(stop) = run.run(warm, &mut report).await {
        warm.still = None;
        report.stop(stop, &|text| redactor.hide(text));
    }
    hide_all(&mut report, &redactor);
    report.took = ctx.clock.boot().saturating_sub(since);
    report
}

/// Asks an endpoint whether it is well and who it is, and nothing else.
pub(in crate::cli) async fn probe(
    ctx: &Context,
    warm: &mut Warm,
    basis: &Basis,
    endpoint: &EndpointName,
) -> Result<(), Silence> {
    let redactor = basis.operator.redactor();
    let words = |stop: Stop| stop.diagnostics.first().map(|d| d.message.clone()).unwrap_or_default();
    let silent = |why: &str| Silence { why: redactor.hide(why), until: None };
    let fleet = warm.muster(ctx, basis).await.map_err(|stop| silent(&words(stop)))?;
    let place = (warm.target.clone(), endpoint.clone());
    let greeted = match fleet.peers.get(&place) {
        Some(peer) => match tokio::time::timeout(GREETING, peer.driver.greet()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                peer.heard(&error, ctx.clock.boot(), &ctx.entropy);
                if Trouble::of(&error) == Trouble::Authentication {
                    warm.denied.insert(endpoint.clone());
                }
                let until = peer.closed(ctx.clock.boot()).map(|(until, _)| until);
                Err(Silence { until, ..silent(&error.to_string()) })
            }
            Err(_) => Err(silent(&format!("no answer within {} s", GREETING.as_secs()))),
        },
        None => {
            let refusal = fleet.refusals.iter().find(|r| r.endpoint.as_ref().is_none_or(|e| e == endpoint));
            Err(silent(refusal.map_or("there is no such endpoint", |r| &r.message)))
        }
    };
    warm.fleet = Some(fleet);
    greeted
}

struct Cycle<'a> {
    ctx: &'a Context,
    basis: &'a Basis,
    order: &'a Order<'a>,
    redactor: &'a Redactor,
    since: Duration,
}

impl Cycle<'_> {
    async fn run(&self, warm: &mut Warm, report: &mut CycleReport) -> Result<(), Stop> {
        let fleet = warm.muster(self.ctx, self.basis).await?;
        let sent = requests(&fleet);
        let outcome = self.with(warm, fleet, report).await;
        self.note_waiting(warm, report);
        if let Some(fleet) = &warm.fleet {
            for ((_, endpoint), count) in requests(fleet) {
                let place = (warm.target.clone(), endpoint);
                let before = sent.get(&place).copied().unwrap_or_default();
                let (now, peer) = (self.ctx.clock.boot(), fleet.peers.get(&place));
                let left = peer.map(|peer| peer.retries_left(now) as u64);
                // Whoever took no part asked for nothing new.
                let closed = peer.filter(|_| !self.order.away.contains(&place.1)).and_then(|peer| peer.closed(now));
                let endpoint = report.endpoints.entry(place.1).or_default();
                (endpoint.requests, endpoint.retries_left) = (count.saturating_sub(before), left);
                endpoint.not_before = closed;
            }
        }
        let head = warm.record.as_ref().and_then(|(_, record)| record.head.as_ref());
        report.standing = head.map(VersionInfo::of);
        // A credential may have been changed meanwhile: it is read again.
        let denied = report.endpoints.iter().filter(|(_, e)| e.trouble == Some(Trouble::Authentication));
        warm.denied = denied.map(|(name, _)| name.clone()).collect();
        outcome
    }

    /// What waits where nobody could look; where nothing moved it is what it was.
    fn note_waiting(&self, warm: &mut Warm, report: &mut CycleReport) {
        // A cycle that was cut short knows nothing of its endpoints.
        if !report.quiet && !report.endpoints.is_empty() {
            let (Some((_, record)), Some(fleet)) = (&warm.record, &warm.fleet) else { return };
            let places = (&report.endpoints, &report.dark);
            warm.waiting = Arc::new(waiting(&warm.target, &self.basis.snapshot, record, places, &fleet.peers));
        }
        report.waiting = Arc::clone(&warm.waiting);
    }

    async fn with(&self, warm: &mut Warm, fleet: Fleet, report: &mut CycleReport) -> Result<(), Stop> {
        let record = match self.record(warm) {
            Ok(record) => record,
            Err(stop) => {
                warm.fleet = Some(fleet);
                return Err(stop);
            }
        };
        let record_key = match warm.record_key.take() {
            Some(Ok(key)) => Ok(key),
            Some(Err(_)) | None => tokio::task::block_in_place(|| self.basis.operator.record_key()),
        };
        let mut session = Session::of(Parts {
            loaded: Arc::clone(&self.basis.loaded),
            snapshot: Arc::clone(&self.basis.snapshot),
            operator: Arc::clone(&self.basis.operator),
            stores: Arc::clone(&self.basis.stores),
            target: warm.target.clone(),
            record,
            fleet,
            record_key,
        });
        let outcome = self.reconcile(warm, &mut session, report).await;
        if let Some(parts) = session.into_parts() {
            // Where it is not known what stands, the record is read again.
            let known = outcome.is_ok() && !report.diagnostics.iter().any(|d| d.code == "outcome-lost");
            warm.record = known.then_some(parts.record);
            warm.record_key = Some(parts.record_key);
            warm.fleet = Some(parts.fleet);
        }
        outcome
    }

    fn name(&self, target: &TargetName) -> RecordName {
        RecordName { project: self.basis.loaded.project.name.clone(), target: target.clone() }
    }

    /// The record: the one of before if it stands where it stood, as far as this machine knows.
    fn record(&self, warm: &mut Warm) -> Result<(Option<Tip>, Record), Stop> {
        let name = self.name(&warm.target);
        tokio::task::block_in_place(|| {
            if let Some((tip, record)) = warm.record.take()
                && self.basis.stores.stands(&name).map_err(|e| stores::stop(&e))? == tip
            {
                return Ok((tip, record));
            }
            self.basis.stores.read(&name).map_err(|e| stores::stop(&e))
        })
    }

    async fn reconcile(&self, warm: &mut Warm, session: &mut Session, report: &mut CycleReport) -> Result<(), Stop> {
        let (ctx, order) = (self.ctx, self.order);
        let tell = |event: Event| (order.tell)(hidden(event, self.redactor));
        let context = reconcile::Context {
            clock: &ctx.clock,
            entropy: &ctx.entropy,
            tell: &tell,
            cancel: &order.cancel,
            patience: order.patience,
        };
        let mut fresh = Fresh::new();
        if let Some(still) = warm.still.take_if(|still| still.at == self.circumstances(session)) {
            let (away, near) = self.parted(std::mem::take(&mut warm.sightings), &warm.target);
            // Looking writes nothing, and a server may take its time: whoever is to stop does not wait for it.
            let revisited = tokio::select! {
                biased;
                () = order.cancel.cancelled() => None,
                revisited = session.look_again(&near, context) => Some(revisited),
            };
            warm.sightings = near.into_iter().chain(away).collect();
            let Some(revisited) = revisited else { return Ok(()) };
            // The value of a secret may be another one though no list shows it.
            if revisited.unchanged && !session.has_changed_secrets() {
                (report.quiet, report.clean) = (true, order.away.is_empty());
                (report.checksum, report.deletes_checksum) = (Some(still.checksum), Some(still.deletes_checksum));
                report.summary = still.summary;
                self.note_endpoints(session, &warm.sightings, report);
                warm.still = Some(still);
                return Ok(());
            }
            fresh = revisited.fresh;
        }
        for again in 0.. {
            match self.attempt(warm, session, std::mem::take(&mut fresh), context, report).await {
                Err(stop) if again < AGAIN && stop.diagnostics.iter().any(|d| d.code == "record-moved") => {
                    // Another run wrote it: what it knows is newer.
                    let name = self.name(&warm.target);
                    let read = tokio::task::block_in_place(|| self.basis.stores.read(&name));
                    session.records.insert(warm.target.clone(), read.map_err(|e| stores::stop(&e))?);
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    async fn attempt(
        &self,
        warm: &mut Warm,
        session: &mut Session,
        fresh: Fresh,
        context: reconcile::Context<'_>,
        report: &mut CycleReport,
    ) -> Result<(), Stop> {
        let (ctx, order, target) = (self.ctx, self.order, &warm.target);
        session.check_records()?;
        self.check_leader(session, target)?;
        let mut lock = None;
        let open = session.records.get(target).is_some_and(|(_, record)| !record.intents.is_empty());
        if open && !order.dry_run {
            // An interrupted run is settled before anything is planned.
            lock = Some(self.lock(session, target).await?);
        }
        let away = self.basis.loaded.project.targets.get(target).map(|config| config.endpoints.keys());
        let away = away.into_iter().flatten().filter(|endpoint| order.away.contains(*endpoint));
        let before = Before {
            sightings: std::mem::take(&mut warm.sightings),
            fresh,
            away: away.map(|e| ((target.clone(), e.clone()), "it is away, and was not asked".to_owned())).collect(),
            greeting: Some(GREETING),
            patient: order.patient.iter().map(|e| (target.clone(), e.clone())).collect(),
        };
        let mut planned = tokio::select! {
            biased;
            () = order.cancel.cancelled() => return Ok(()),
            planned = session.look_from(before, false, context) => planned,
        };
        if lock.is_some() && self.may_write(target).is_ok() {
            let settled = settle_open(ctx, session, &planned.sightings, &order.here)?;
            if settled.changed {
                planned = session.plan_again(planned);
            }
            planned.plan.diagnostics.extend(settled.diagnostics);
        }
        let result = self.carry(session, &mut planned, lock, context, report).await;
        report.refusals.clone_from(&planned.plan.refusals);
        report.dark.clear();
        for unknown in &planned.plan.unknown_scopes {
            let scope = &unknown.scope;
            let lists = report.dark.entry(scope.endpoint.clone()).or_default();
            lists.insert((scope.kind.clone(), scope.parent.clone()));
        }
        self.note_endpoints(session, &planned.sightings, report);
        let still = result.as_ref().is_ok_and(|rests| *rests) && !self.is_in_the_dark(&planned);
        warm.still = still.then(|| Still {
            at: self.circumstances(session),
            checksum: planned.checksum,
            deletes_checksum: planned.plan.deletes_checksum(),
            summary: planned.plan.summary(),
        });
        report.clean &= order.away.is_empty() && !self.is_in_the_dark(&planned);
        warm.sightings = planned.sightings;
        note_silent(report);
        result.map(drop)
    }

    /// Consent, what is held, and the writing. True if there was nothing to do at all.
    async fn carry(
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
        let can_start = |held: &BTreeMap<OpId, String>, op: &Operation| {
            let place = (op.resource.target.clone(), op.endpoint.clone());
            !held.contains_key(&op.id) && places.contains(&place)
        };
        let will = planned.plan.operations.iter().any(|op| !planned.plan.refuses(op) && can_start(&held, op));
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
            let rests = planned.plan.operations.is_empty() && planned.plan.refusals.is_empty();
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
        let will = planned.plan.operations.iter().any(|op| !planned.plan.refuses(op) && can_start(&held, op));
        if stopped || !will {
            report.operations = self.not_carried(&planned.plan, &held, None);
            report.exit = report.exit.and(refusal_exit(&planned.plan));
            return Ok(false);
        }
        tokio::task::block_in_place(order.obeys)?;
        let carried = carry::carry_out(ctx, session, planned, &how).await?;
        drop(lock);
        let counts = carried.applied.counts();
        report.clean = planned.plan.refusals.is_empty() && counts.done == planned.plan.operations.len();
        report.operations = self.carried(&planned.plan, &held, &carried.applied);
        report.exit = carried.exit;
        report.diagnostics.extend(carried.diagnostics);
        for (written, (tip, record)) in carried.records {
            report.version = record.head.as_ref().map(VersionInfo::of);
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

    /// Takes the lock of the repository and sees that the record stands where it stood when the plan was made.
    async fn lock(&self, session: &Session, target: &TargetName) -> Result<Arc<LocalLock>, Stop> {
        let me = &self.order.here.process;
        let lock = tokio::task::block_in_place(|| self.basis.locks.take(self.ctx, self.basis, me))?;
        let name = self.name(target);
        let Some((tip, record)) = session.records.get(target) else { return Ok(lock) };
        let stands = tokio::task::block_in_place(|| self.basis.stores.stands(&name)).map_err(|e| stores::stop(&e))?;
        if stands == *tip && record.intents.is_empty() {
            return Ok(lock);
        }
        let alive = |process: &Process| !is_gone(process, me);
        match free(&self.basis.stores, &name, &self.order.here, &alive, Duration::ZERO, &self.ctx.clock).await {
            Ok(found) if found.tip == *tip => Ok(lock),
            Ok(_) => Err(moved()),
            Err(Locked::Held(intent)) => {
                let (who, pid, host) = (&intent.holder.who, intent.holder.pid, &intent.holder.host);
                let message = format!("another run holds {target}: {who} (process {pid} on {host})");
                let help = "it is tried again soon; nothing has to be unlocked by hand";
                Err(Stop::with(Exit::Locked, Diagnostic::error("locked", message).help(help)))
            }
            Err(Locked::Store(error)) => Err(stores::stop(&error)),
        }
    }

    /// Why nothing may be written now, if so.
    fn may_write(&self, target: &TargetName) -> Result<(), String> {
        self.order.gate.as_ref().map_or(Ok(()), |gate| gate.check(target))
    }

    /// A record that a newer leader wrote is not written any more.
    fn check_leader(&self, session: &Session, target: &TargetName) -> Result<(), Stop> {
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

    fn circumstances(&self, session: &Session) -> Circumstances {
        let tip = session.records.values().next().and_then(|(tip, _)| tip.clone());
        Circumstances {
            generation: self.basis.generation,
            revision: self.basis.loaded.revision.clone(),
            snapshot: self.basis.snapshot.digest,
            tip,
            away: self.order.away.clone(),
            dry_run: self.order.dry_run,
        }
    }

    /// The sightings of endpoints that are away, and the others.
    fn parted(&self, sightings: BTreeMap<Place, Sighting>, target: &TargetName) -> Parted {
        sightings.into_iter().partition(|((at, endpoint), _)| at == target && self.order.away.contains(endpoint))
    }

    /// True if somebody who was asked did not answer with everything.
    fn is_in_the_dark(&self, planned: &Planned) -> bool {
        let asked = planned.sightings.iter().filter(|((_, endpoint), _)| !self.order.away.contains(endpoint));
        asked.map(|(_, sighting)| sighting).any(|sighting| {
            sighting.greeting.is_none() || sighting.scopes.values().any(|s| matches!(s, ScopeState::Unknown { .. }))
        })
    }

    fn note_endpoints(&self, session: &Session, sightings: &BTreeMap<Place, Sighting>, report: &mut CycleReport) {
        let Some(config) = session.project().targets.get(&report.target) else { return };
        for endpoint in config.endpoints.keys() {
            let refusal = session.fleet.refusals.iter().find(|r| r.endpoint.as_ref().is_none_or(|e| e == endpoint));
            let place = (report.target.clone(), endpoint.clone());
            let away = self.order.away.contains(endpoint);
            let found = match (sightings.get(&place), refusal) {
                _ if away => EndpointReport::default(),
                (Some(sighting), _) => {
                    let unknown = sighting.scopes.values().find_map(|state| match state {
                        ScopeState::Unknown { why } => Some(why.clone()),
                        ScopeState::Known(_) => None,
                    });
                    EndpointReport {
                        reached: sighting.greeting.is_some(),
                        identity: session.identity(&report.target, endpoint, sighting),
                        trouble: sighting.trouble.iter().min().copied(),
                        late: sighting.late,
                        why: unknown,
                        ..EndpointReport::default()
                    }
                }
                (None, Some(refusal)) => EndpointReport {
                    trouble: Some(Trouble::Other),
                    why: Some(refusal.message.clone()),
                    ..EndpointReport::default()
                },
                (None, None) => EndpointReport::default(),
            };
            report.endpoints.insert(endpoint.clone(), found);
        }
    }

    /// The operations of a cycle that writes nothing.
    fn not_carried(&self, plan: &Plan, held: &BTreeMap<OpId, String>, why: Option<&str>) -> Vec<OpReport> {
        let outcome = |op: &Operation| match (plan.refusal_at(&op.resource.target, &op.endpoint), held.get(&op.id)) {
            (Some(refusal), _) => Outcome::Refused(refusal.message.clone()),
            (None, Some(why)) => Outcome::Held(why.clone()),
            (None, None) => why.map_or(Outcome::Pending, |why| Outcome::Held(why.to_owned())),
        };
        plan.operations.iter().map(|op| OpReport::of(op, outcome(op), (0, None))).collect()
    }

    /// The operations of a cycle that wrote.
    fn carried(&self, plan: &Plan, held: &BTreeMap<OpId, String>, applied: &Applied) -> Vec<OpReport> {
        let hide = |text: &str| self.redactor.hide(text);
        let reports = plan.operations.iter().zip(&applied.results).map(|(op, result)| {
            let refusal = plan.refusal_at(&op.resource.target, &op.endpoint);
            let outcome = match (&result.ending, refusal, held.get(&op.id)) {
                (Ending::Skipped { .. }, Some(refusal), _) => Outcome::Refused(refusal.message.clone()),
                (Ending::Skipped { .. }, None, Some(why)) => Outcome::Held(why.clone()),
                (ending, _, _) => Outcome::of(ending, &hide),
            };
            OpReport::of(op, outcome, (result.attempts, result.trouble))
        });
        reports.collect()
    }
}

/// An endpoint that took no write at all, because it could not be reached, is away.
fn note_silent(report: &mut CycleReport) {
    for (name, endpoint) in &mut report.endpoints {
        let sent = || report.operations.iter().filter(|op| &op.endpoint == name && op.attempts > 0);
        let silent = sent().next().is_some() && sent().all(|op| op.trouble == Some(Trouble::Unreachable));
        if let Some(first) = sent().next().filter(|_| silent && endpoint.trouble.is_none()) {
            endpoint.reached = false;
            endpoint.trouble = Some(Trouble::Unreachable);
            endpoint.why = first.outcome.why().map(str::to_owned);
        }
    }
}

/// Those that are away, and the others.
type Parted = (BTreeMap<Place, Sighting>, BTreeMap<Place, Sighting>);

fn moved() -> Stop {
    let message = "another run wrote the record meanwhile";
    Stop::with(Exit::Conflict, Diagnostic::error("record-moved", message).help("it is planned again"))
}

fn requests(fleet: &Fleet) -> BTreeMap<Place, u64> {
    fleet.requests.iter().map(|(place, count)| (place.clone(), count.load(Ordering::Relaxed))).collect()
}

/// An event without secrets.
fn hidden(event: Event, redactor: &Redactor) -> Event {
    let hide = |text: String| redactor.hide(&text);
    match event {
        Event::ListFailed { target, scope, why } => Event::ListFailed { target, scope, why: hide(why) },
        Event::Retrying { op, target, endpoint, attempt, wait, why } => {
            Event::Retrying { op, target, endpoint, attempt, wait, why: hide(why) }
        }
        Event::Finished { op, outcome } => {
            let outcome = match outcome {
                Ending::Failed { why, help } => Ending::Failed { why: hide(why), help: help.map(hide) },
                Ending::Conflict { why } => Ending::Conflict { why: hide(why) },
                Ending::Skipped { why } => Ending::Skipped { why: hide(why) },
                Ending::InDoubt { why } => Ending::InDoubt { why: hide(why) },
                Ending::Done => Ending::Done,
            };
            Event::Finished { op, outcome }
        }
        event @ (Event::Listing { .. } | Event::Listed { .. } | Event::Started { .. }) => event,
    }
}

/// Hides secrets in everything that is said.
fn hide_all(report: &mut CycleReport, redactor: &Redactor) {
    let hide = |text: &mut String| *text = redactor.hide(text);
    for refusal in &mut report.refusals {
        hide(&mut refusal.message);
        hide(&mut refusal.help);
    }
    for diagnostic in &mut report.diagnostics {
        hide(&mut diagnostic.message);
        diagnostic.help.iter_mut().for_each(hide);
    }
    for endpoint in report.endpoints.values_mut() {
        endpoint.why.iter_mut().for_each(hide);
        endpoint.not_before.iter_mut().for_each(|(_, why)| hide(why));
    }
    for op in &mut report.operations {
        hide(&mut op.differs);
        match &mut op.outcome {
            Outcome::Held(why) | Outcome::Refused(why) => hide(why),
            // Hidden when they were made.
            Outcome::Failed { .. } | Outcome::Conflict(_) | Outcome::InDoubt(_) | Outcome::Skipped(_) => {}
            Outcome::Pending | Outcome::Done => {}
        }
    }
}

#[cfg(test)]
mod tests;
