//! The loop: feeds the machine and does what it says. It decides nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::board::{Ask, Board, Versions};
use super::cycle::{self, Basis, Order, Warm};
use super::cycled::{CONTESTED, CycleReport, FAILED};
use super::desired::{Desired, Read};
use super::leading::Leading;
use super::manager::Manager;
use super::telling;
use crate::cli::{Context, Exit};
use crate::event::{Event, Level, News};
use crate::model::{Revision, TargetName};
use crate::plan::{Action, Operation};
use crate::reconcile::{Blocked, Command, ElectionEvent, Ended, Here, Input, Job, PATIENCE, Place, Silence};
use crate::source::Changes;
use crate::store::{RecordName, Store as _};
use crate::target::Fence;

/// The loop looks up at least so often, so that whoever watches it sees that it turns.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// When an older commit that could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a watcher that stops may take to write the state in force down.
const KEEPING: Duration = Duration::from_secs(3);
/// So many versions are kept.
const VERSIONS: usize = 100;

/// What arrives at the loop.
pub(super) enum Come {
    /// A look at the source ended.
    Read(Box<Read>),
    /// A cycle ended; without a report it broke.
    Cycled(TargetName, Option<(Box<Warm>, Box<CycleReport>)>),
    /// A probe ended.
    Probed(Place, Option<Box<Warm>>, Result<(), Silence>),
    /// Something happened in the election.
    Election(ElectionEvent),
    /// An older commit was read, or not.
    Pinned(TargetName, Revision, Result<Arc<Basis>, String>),
}

/// Everything that the loop works with.
pub(super) struct Turn {
    /// The context.
    pub ctx: Arc<Context>,
    /// What is known.
    pub board: Arc<Board>,
    /// The desired state.
    pub desired: Arc<Mutex<Desired>>,
    /// Hints from a local repository.
    pub changes: Changes,
    /// The election, once there is one.
    pub leading: Option<Leading>,
    /// Begins the election once the project is known.
    pub stand: Option<Stand>,
    /// This process.
    pub here: Here,
    /// One cycle of each target, then leave.
    pub once: bool,
    /// Both ends of what arrives.
    pub come: (mpsc::Sender<Come>, mpsc::Receiver<Come>),
    /// What people ask for.
    pub asks: mpsc::Receiver<Ask>,
    /// Says when to stop.
    pub cancel: CancellationToken,
    /// The service manager.
    pub manager: Manager,
    /// What is in force.
    pub basis: Option<Arc<Basis>>,
    /// Targets that are held at an older commit, which one, and what it wants.
    pub pinned: BTreeMap<TargetName, (Revision, Arc<Basis>)>,
    /// Stops one cycle that is under way, as far as it did not begin to write.
    pub running: BTreeMap<TargetName, CancellationToken>,
    /// What stays between the cycles of each target.
    pub warm: BTreeMap<TargetName, Box<Warm>>,
    /// Targets whose cycle under way knows what is old by now: it is read again after it.
    pub outdated: BTreeSet<TargetName>,
    /// What probes speak through: a cycle may be under way beside them.
    pub probes: BTreeMap<TargetName, Box<Warm>>,
    /// Targets whose first cycle is over.
    pub over: BTreeSet<TargetName>,
    /// What all of it means for the exit code.
    pub exit: Exit,
    /// Cancelled once nothing new may start, also within a cycle.
    pub draining: CancellationToken,
}

/// Begins the election.
pub(super) type Stand = Box<dyn Fn(&Arc<Basis>, &BTreeSet<TargetName>) -> Result<Leading, crate::cli::Stop> + Send>;

impl Turn {
    /// Turns until it is told to stop, and what is in flight came to its end.
    pub(super) async fn run(mut self) -> Result<Exit, crate::cli::Stop> {
        let clock = self.ctx.clock.clone();
        let mut told = false;
        let heartbeat = self.manager.watchdog().map_or(HEARTBEAT, |every| (every / 2).min(HEARTBEAT));
        let end = loop {
            self.board.beat();
            self.manager.alive();
            self.board.tidy_orders();
            self.board.note_leaders();
            let now = clock.boot();
            let next = self.board.machine().next(now).map_or(heartbeat, |at| at.saturating_sub(now).min(heartbeat));
            let inputs = tokio::select! {
                biased;
                () = self.cancel.cancelled(), if !told => {
                    told = true;
                    self.board.say(&News::Stopping { why: "it was told to stop".to_owned() });
                    self.manager.stopping();
                    self.draining.cancel();
                    vec![Input::Stop]
                }
                Some(come) = self.come.1.recv() => self.arrived(come)?,
                Some(ask) = self.asks.recv() => self.asked(ask),
                () = self.board.hinted.notified() => vec![Input::Hint],
                () = self.changes.next() => vec![Input::Hint],
                () = tokio::time::sleep(next) => vec![Input::Tick],
            };
            if self.step(inputs) {
                break self.exit;
            }
            if self.once && !told && self.is_over() {
                self.cancel.cancel();
            }
        };
        for warm in self.warm.values_mut().chain(self.probes.values_mut()) {
            warm.close().await;
        }
        if let Some(leading) = &self.leading {
            leading.resign().await;
        }
        // A fetch that hangs holds what is needed for this, and is not waited for: the state of before is still there.
        let kept = keep(Arc::clone(&self.desired), Arc::clone(&self.board));
        drop(tokio::time::timeout(KEEPING, kept).await);
        Ok(end)
    }

    fn is_over(&mut self) -> bool {
        if self.basis.is_none() {
            // Nothing was read and nothing could be recalled.
            let failed = self.board.facts().source.trouble.is_some();
            if failed {
                self.exit = self.exit.and(Exit::Unreachable);
            }
            return failed;
        }
        let over = self.board.machine().targets().all(|(name, _)| self.over.contains(name));
        let whole = {
            let facts = self.board.facts();
            facts.source.trouble.is_none() && facts.source.quarantined.is_empty()
        };
        if over && !whole {
            // What an older commit or the other manifests ask for was done; what the source says now was not.
            self.exit = self.exit.and(Exit::Partial);
        }
        over
    }

    /// One step; `true` once it is time to leave.
    fn step(&mut self, inputs: Vec<Input>) -> bool {
        let tick = inputs.iter().all(|input| matches!(input, Input::Tick | Input::Hint));
        let about = match &inputs[..] {
            [Input::Cycled(target, _) | Input::Won(target, _) | Input::Lost(target)] => Some(target.clone()),
            [Input::Probed((target, _), _)] => Some(target.clone()),
            _ => None,
        };
        for input in &inputs {
            // What was begun for another commit, or before somebody said stop, goes no further than it must.
            if let Input::Suspend(target, _) | Input::Pin(target) = input
                && let Some(running) = self.running.get(target)
            {
                running.cancel();
            }
        }
        let commands = self.board.machine().steps(self.ctx.clock.boot(), inputs);
        if !tick {
            self.board.restate(about.as_ref());
        }
        let mut done = false;
        for command in commands {
            done |= self.obey(command);
        }
        done
    }

    fn arrived(&mut self, come: Come) -> Result<Vec<Input>, crate::cli::Stop> {
        Ok(match come {
            Come::Read(read) => {
                let moved = match &*read {
                    Read::Moved(moved) => Some(moved),
                    Read::Away { recalled, .. } => recalled.as_ref().map(|(moved, _)| moved),
                    Read::Same { .. } => None,
                };
                let before: BTreeSet<TargetName> =
                    self.board.machine().targets().map(|(name, _)| name.clone()).collect();
                if let Some(moved) = moved {
                    self.board.hide_as(moved.basis.operator.redactor());
                    self.board.versions.get_or_init(|| versions(&moved.basis));
                    self.basis = Some(Arc::clone(&moved.basis));
                    if self.stand.is_some() {
                        self.board.share_at(&moved.basis);
                    }
                    let targets: BTreeSet<TargetName> = moved.places.iter().map(|(target, _)| target.clone()).collect();
                    match (&self.leading, &self.stand) {
                        (Some(leading), _) => leading.set_targets(self.shared(&moved.basis, targets)),
                        (None, Some(stand)) => {
                            let leading = stand(&moved.basis, &targets)?;
                            self.board.leading.get_or_init(|| leading.clone());
                            self.leading = Some(leading);
                        }
                        (None, None) => {}
                    }
                }
                self.changes.renew();
                let looked = telling::looked(&self.board, *read);
                let now: BTreeSet<TargetName> = self.board.machine().targets().map(|(name, _)| name.clone()).collect();
                self.leave(&now);
                // What people asked of an earlier watcher still holds, and what they asked of a target that went away
                // and came back.
                let held = self.board.orders().names();
                let new: Vec<TargetName> =
                    now.difference(&before).filter(|name| held.contains(name.as_str())).cloned().collect();
                let mut inputs = self.reordered(&new);
                inputs.push(looked);
                self.manager.ready(&self.summary());
                inputs
            }
            Come::Cycled(target, ended) => {
                self.over.insert(target.clone());
                self.running.remove(&target);
                let outdated = self.outdated.remove(&target);
                let Some((mut warm, report)) = ended else {
                    let why = "a cycle broke off; this is a defect of ctl".to_owned();
                    self.board.say(&News::Note { level: Level::Error, message: format!("{target}: {why}") });
                    let ended = Ended { blocked: Some(Blocked::Trouble(why)), ..Ended::default() };
                    self.exit = self.exit.and(Exit::Failed);
                    return Ok(vec![Input::Cycled(target, Box::new(ended))]);
                };
                if let Some(basis) = self.basis_of(&target) {
                    telling::cycled(&self.board, &basis, &report);
                }
                self.exit = self.exit.and(report.exit);
                if outdated {
                    warm.forget();
                }
                self.warm.insert(target.clone(), warm);
                self.manager.status(&self.summary());
                vec![Input::Cycled(target, Box::new(report.ended()))]
            }
            Come::Probed(place, warm, answer) => {
                if let (Some(warm), Err(_)) = (warm, &answer) {
                    self.probes.entry(place.0.clone()).or_insert(warm);
                }
                vec![Input::Probed(place, answer)]
            }
            Come::Election(event) => self.elected(event),
            // Another order came meanwhile, and what it asks for is under way.
            Come::Pinned(target, revision, _) if self.board.orders().pinned_at(&target).as_ref() != Some(&revision) => {
                Vec::new()
            }
            Come::Pinned(target, revision, Ok(basis)) => {
                self.pinned.insert(target.clone(), (revision, basis));
                self.reordered(&[target])
            }
            Come::Pinned(target, _, Err(why)) => {
                let message = format!(
                    "nothing is written at {target}, because the commit that it is held at cannot be read: {why}"
                );
                self.board.note_once(Level::Error, &message);
                let (clock, asks) = (self.ctx.clock.clone(), self.board.asks.clone());
                let again = target.clone();
                tokio::spawn(async move {
                    clock.sleep(AGAIN).await;
                    drop(asks.send(Ask::Reordered(vec![again])).await);
                });
                vec![Input::Suspend(target, None)]
            }
        })
    }

    /// Those of the targets whose record all watchers see. A commit may not take a target out of what they share and
    /// have it written all the same.
    fn shared(&self, basis: &Basis, targets: BTreeSet<TargetName>) -> BTreeSet<TargetName> {
        let (shared, alone): (BTreeSet<_>, BTreeSet<_>) =
            targets.into_iter().partition(|target| super::run::not_shared(basis, target).is_none());
        for target in alone {
            let message = format!("nothing is written at {target}: with an election its record must be shared");
            self.board.note_once(Level::Error, &message);
        }
        shared
    }

    /// Lets go of what was kept for targets that the project does not have any more.
    fn leave(&mut self, targets: &BTreeSet<TargetName>) {
        self.pinned.retain(|target, _| targets.contains(target));
        for kept in [&mut self.warm, &mut self.probes] {
            let gone: Vec<TargetName> = kept.keys().filter(|target| !targets.contains(*target)).cloned().collect();
            for mut warm in gone.into_iter().filter_map(|target| kept.remove(&target)) {
                tokio::spawn(async move { warm.close().await });
            }
        }
    }

    fn elected(&mut self, event: ElectionEvent) -> Vec<Input> {
        match event {
            ElectionEvent::Won { target, token } => {
                self.board.say(&News::Won { target: target.clone(), token: token.0 });
                // What was seen before somebody else led is old.
                self.read_again(&target);
                self.board.facts().lapsed.remove(&target);
                vec![Input::Won(target, token.0)]
            }
            ElectionEvent::Lapsed { target, why } => {
                self.board.facts().lapsed.insert(target.clone(), why.clone());
                self.board.say(&News::Lost { target: target.clone(), why });
                vec![Input::Lost(target)]
            }
            ElectionEvent::Resumed { target, token } => {
                // Nobody else wrote meanwhile; what the endpoints themselves did is seen by the next cycle.
                self.board.facts().lapsed.remove(&target);
                self.board.say(&News::Won { target: target.clone(), token: token.0 });
                vec![Input::Won(target, token.0)]
            }
            ElectionEvent::Lost { target, why } => {
                self.board.facts().lapsed.remove(&target);
                self.board.say(&News::Lost { target: target.clone(), why });
                vec![Input::Lost(target)]
            }
            ElectionEvent::Unreachable { why, .. } => {
                self.board.facts().coordinator = Some(Err(why.clone()));
                self.board.say(&News::CoordinatorAway { why });
                Vec::new()
            }
            ElectionEvent::Reachable => {
                let was_away = matches!(self.board.facts().coordinator.replace(Ok(())), Some(Err(_)));
                if was_away {
                    self.board.say(&News::CoordinatorBack);
                }
                Vec::new()
            }
        }
    }

    fn asked(&mut self, ask: Ask) -> Vec<Input> {
        match ask {
            Ask::Retry(targets) => {
                for target in &targets {
                    self.warm.get(target).iter().for_each(|warm| warm.reopen());
                    self.read_again(target);
                }
                targets.into_iter().map(Input::Retry).collect()
            }
            Ask::Reordered(targets) => self.reordered(&targets),
            Ask::Approved => vec![Input::Approved],
            Ask::Reload => {
                // A look may hold it, for as long as a fetch takes; the next one sees it then.
                let desired = Arc::clone(&self.desired);
                let hinted = Arc::clone(&self.board);
                // What is held at an older commit is spoken to as the file says now, too.
                let held: Vec<TargetName> = std::mem::take(&mut self.pinned).into_keys().collect();
                tokio::task::spawn_blocking(move || {
                    desired.lock().unwrap_or_else(PoisonError::into_inner).again();
                    hinted.hinted.notify_one();
                });
                self.reordered(&held)
            }
        }
    }

    /// The next cycle reads everything.
    fn read_again(&mut self, target: &TargetName) {
        match self.warm.get_mut(target) {
            Some(warm) => warm.forget(),
            None => drop(self.outdated.insert(target.clone())),
        }
    }

    /// Makes of the orders that are kept what the machine is to be told.
    fn reordered(&mut self, targets: &[TargetName]) -> Vec<Input> {
        let orders = self.board.orders();
        let (now, wall) = (self.ctx.clock.boot(), self.ctx.clock.wall().as_second());
        let mut inputs = Vec::new();
        for target in targets {
            let suspended = orders.suspended.get(target.as_str()).map(|order| {
                let left = |until: i64| Duration::from_secs(u64::try_from(until.saturating_sub(wall)).unwrap_or(0));
                Input::Suspend(target.clone(), order.until.map(|until| now + left(until)))
            });
            let Some(revision) = orders.pinned_at(target) else {
                self.pinned.remove(target);
                inputs.push(Input::Resume(target.clone()));
                inputs.extend(suspended);
                continue;
            };
            if self.pinned.get(target).is_some_and(|(at, _)| *at == revision) {
                inputs.push(Input::Pin(target.clone()));
                inputs.extend(suspended);
                continue;
            }
            // Until the older commit is at hand nothing is written there, whatever else was said.
            inputs.push(Input::Suspend(target.clone(), None));
            let (ctx, desired, come) = (Arc::clone(&self.ctx), Arc::clone(&self.desired), self.come.0.clone());
            let target = target.clone();
            tokio::task::spawn_blocking(move || {
                let read = desired.lock().unwrap_or_else(PoisonError::into_inner).at(&ctx, &revision);
                let words = |stop: crate::cli::Stop| stop.diagnostics.first().map(|d| d.message.clone());
                let read = read.map_err(|stop| words(stop).unwrap_or_default());
                drop(come.blocking_send(Come::Pinned(target, revision, read)));
            });
        }
        inputs
    }

    /// Begins what the machine wants; `true` once nothing is left to do.
    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Look => {
                let (ctx, desired, come) = (Arc::clone(&self.ctx), Arc::clone(&self.desired), self.come.0.clone());
                let board = Arc::clone(&self.board);
                tokio::spawn(async move {
                    let (source, told) = (Arc::clone(&desired), come.clone());
                    let clock = ctx.clock.clone();
                    let after = tokio::task::spawn_blocking(move || {
                        let read = source.lock().unwrap_or_else(PoisonError::into_inner).look(&ctx);
                        drop(come.blocking_send(Come::Read(Box::new(read))));
                        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
                        (source.keep_after(), source.tidy())
                    });
                    let Ok((wait, tidy)) = after.await else {
                        // Whoever waits for the answer would not look again.
                        let why = "a look at the source broke off; this is a defect of ctl".to_owned();
                        let read = Read::Away { why, help: None, recalled: None };
                        drop(told.send(Come::Read(Box::new(read))).await);
                        return;
                    };
                    if let Some(wait) = wait {
                        clock.sleep(wait).await;
                        keep(desired, board).await;
                    }
                    if let Some(tidy) = tidy {
                        // It may take minutes: nobody waits for it, and the next look goes on beside it. A mirror that
                        // is not in order is slower, and that is all.
                        drop(tokio::task::spawn_blocking(move || drop(tidy.run())).await);
                    }
                });
            }
            Command::Cycle(target, job) => self.cycle(target, job),
            Command::Probe((target, endpoint)) => {
                let Some(basis) = self.basis_of(&target) else {
                    // Without a state there are no endpoints.
                    return false;
                };
                // Whoever is probed did not answer before.
                self.board.metrics.retried(&target, 1);
                let warm = self.probes.remove(&target).unwrap_or_else(|| Box::new(Warm::new(target.clone())));
                let (ctx, come) = (Arc::clone(&self.ctx), self.come.0.clone());
                let (mut warm, place) = (warm, (target, endpoint));
                tokio::spawn(async move {
                    let asked = place.1.clone();
                    let probing = tokio::task::spawn_blocking(move || {
                        let answer = Handle::current().block_on(cycle::probe(&ctx, &mut warm, &basis, &asked));
                        (warm, answer)
                    });
                    let (warm, answer) = match probing.await {
                        Ok((warm, answer)) => (Some(warm), answer),
                        Err(_) => (
                            None,
                            Err(Silence { why: "a probe broke off; this is a defect of ctl".to_owned(), until: None }),
                        ),
                    };
                    drop(come.send(Come::Probed(place, warm, answer)).await);
                });
            }
            Command::Stale(age) => self.board.say(&News::SourceStale { age }),
            Command::Contested { target, address, field } => {
                self.board.say(&News::Contested { target, address, field });
            }
            Command::Resign => {
                // Nothing new is sent from now on; the leases go back when the last request has its answer, because
                // until then it may still arrive.
                if let Some(leading) = &self.leading {
                    leading.close();
                }
            }
            Command::Done => return true,
        }
        false
    }

    fn cycle(&mut self, target: TargetName, job: Job) {
        let Some(basis) = self.basis_of(&target) else {
            let come = self.come.0.clone();
            tokio::spawn(async move { drop(come.send(Come::Cycled(target, None)).await) });
            return;
        };
        let basis = match job.stale {
            false => basis,
            true => {
                let why = "the source is away, or was not heard of for long, so nothing is deleted".to_owned();
                Arc::new(Basis { deletes_held: basis.deletes_held.clone().or(Some(why)), ..(*basis).clone() })
            }
        };
        let warm = self.warm.remove(&target).unwrap_or_else(|| Box::new(Warm::new(target.clone())));
        self.outdated.remove(&target);
        let approved = self.board.orders().approvals(self.ctx.clock.wall().as_second());
        let gate = job.token.and_then(|token| Some(self.leading.as_ref()?.gate(token)));
        let cancel = self.draining.child_token();
        self.running.insert(target.clone(), cancel.clone());
        let cycling = Cycling {
            here: Here { token: job.token, ..self.here.clone() },
            pinned: self.pinned.get(&target).map(|(revision, _)| revision.clone()),
            cancel: cancel.clone(),
            board: Arc::clone(&self.board),
            ctx: Arc::clone(&self.ctx),
            target: target.clone(),
            basis,
            gate,
            job,
            approved,
        };
        let come = self.come.0.clone();
        tokio::spawn(async move {
            let ended = tokio::task::spawn_blocking(move || cycling.run(warm)).await;
            drop(come.send(Come::Cycled(target, ended.ok())).await);
        });
    }

    fn basis_of(&self, target: &TargetName) -> Option<Arc<Basis>> {
        self.pinned.get(target).map(|(_, basis)| basis).or(self.basis.as_ref()).cloned()
    }

    /// One line for whoever looks at the process.
    fn summary(&self) -> String {
        let commit = self.basis.as_ref().map(|basis| basis.loaded.revision.short().to_owned()).unwrap_or_default();
        let waits: usize = self.board.facts().seen.values().map(|seen| seen.pending_total).sum();
        format!("commit {commit}, {} targets, {waits} operations wait", self.board.machine().targets().count())
    }
}

/// Writes the state in force down as the last good one, and says so if that cannot be done.
async fn keep(desired: Arc<Mutex<Desired>>, board: Arc<Board>) {
    let kept = tokio::task::spawn_blocking(move || Desired::keep(&desired)).await;
    if let Ok(Err(why)) = kept {
        board.note_once(Level::Warn, &format!("the last good state could not be kept: {why}"));
    }
}

/// Finds the commits of versions in the record.
fn versions(basis: &Arc<Basis>) -> Versions {
    let (stores, project) = (Arc::clone(&basis.stores), basis.loaded.project.name.clone());
    Box::new(move |target, number| {
        let name = RecordName { project: project.clone(), target: target.clone() };
        let history = stores.history(&name, VERSIONS).map_err(|error| error.to_string())?;
        let heads = || history.iter().filter_map(|(_, record)| record.head.as_ref());
        let found = heads().find(|head| head.number == number).map(|head| head.commit.clone());
        found.ok_or_else(|| match (heads().map(|h| h.number).min(), heads().map(|h| h.number).max()) {
            (Some(oldest), Some(newest)) => format!("{target} has no version {number}: {oldest} to {newest} are kept"),
            _ => format!("nothing was applied at {target} yet"),
        })
    })
}

/// One cycle, on a thread of its own.
struct Cycling {
    ctx: Arc<Context>,
    board: Arc<Board>,
    target: TargetName,
    basis: Arc<Basis>,
    here: Here,
    pinned: Option<Revision>,
    cancel: CancellationToken,
    gate: Option<Arc<dyn crate::reconcile::Gate + Send + Sync>>,
    job: Job,
    approved: Vec<crate::model::Digest>,
}

impl Cycling {
    fn run(self, mut warm: Box<Warm>) -> (Box<Warm>, Box<CycleReport>) {
        let Self { ctx, board, target, basis, here, pinned, cancel, gate, job, approved } = self;
        let hold = |op: &Operation| left_alone(&job, op);
        let tell = |event: Event| {
            if let Event::Retrying { endpoint, wait, why, .. } = event {
                board.say(&News::Retrying { target: target.clone(), endpoint, wait, why });
            }
        };
        let shared = here.token.is_some();
        let obeys = || if shared { board.obeys(&target, pinned.as_ref()) } else { Ok(()) };
        let order = Order {
            fence: here.token.map(Fence),
            here,
            gate,
            dry_run: job.dry,
            pinned: pinned.is_some(),
            obeys: &obeys,
            away: job.away.clone(),
            patient: job.patient.clone(),
            hold: &hold,
            approved,
            tell: &tell,
            cancel,
            patience: PATIENCE,
        };
        let report = Handle::current().block_on(cycle::cycle(&ctx, &mut warm, &basis, &order));
        (warm, Box::new(report))
    }
}

/// Why an operation is left for later: it failed lately, or a rival sets it back again and again. Another manifest is
/// another matter.
fn left_alone(job: &Job, op: &Operation) -> Option<String> {
    let address = op.resource.to_string();
    let wanted = op.change.desired().map(|desired| desired.digest);
    if let Some((digest, why)) = job.waiting.get(&address)
        && *digest == wanted
    {
        return Some(format!("{FAILED}{why}"));
    }
    if op.change.action() != Action::Update {
        return None;
    }
    let fields: Vec<String> = op.fields.iter().map(|field| field.path.to_string()).collect();
    let field = job.contests.left(&address, wanted, fields.iter().map(String::as_str))?;
    Some(format!(
        "{CONTESTED}somebody changes {field} back again and again, so nothing is updated at this resource: neither that \
         field nor another"
    ))
}
