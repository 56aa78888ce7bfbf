//! What a watcher does next: a pure state machine. Inputs and the time go in, commands come out; no clock, no I/O.
//!
//! ```text
//!  hints ──┐                       ┌──> Look    (one at a time)
//!  looks ──┤                       ├──> Cycle   (one per target at a time, targets side by side)
//!  cycles ─┼──> step(now, input) ──┼──> Probe   (one per endpoint that is away)
//!  orders ─┤                       ├──> Resign, Done
//!  leases ─┘                       └    next(): when to step again though nothing happens
//! ```
//!
//! Level-triggered: a hint carries nothing but "look again", so that any number of them is one look. What failed always
//! comes back, after a time that grows to five minutes at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::backoff::Backoff;
use super::contest::Contests;
use super::peer::Place;
use crate::model::{Digest, EndpointName, TargetName};

/// How a watcher paces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Between two looks at the source, and between two cycles of a target.
    pub interval: Duration,
    /// Between the starts of two looks that hints ask for: 10^5 webhooks are two fetches in five seconds.
    pub look_gap: Duration,
    /// Between two probes of an endpoint that is away.
    pub probe: Duration,
    /// An older snapshot than this is called stale aloud.
    pub stale: Duration,
}

/// A source that was not heard of for two intervals and this is an old one, though nothing says that it is away.
const HEARD_OF: Duration = Duration::from_secs(60);

/// A watcher has looked for the first time after this at the latest, whatever its interval.
const LONGEST_START: Duration = Duration::from_secs(30);

impl Pace {
    /// The usual pace around an interval.
    pub fn every(interval: Duration) -> Self {
        Self {
            interval,
            look_gap: Duration::from_millis(2500),
            probe: Duration::from_secs(10),
            stale: Duration::from_secs(5 * 60),
        }
    }
}

/// What the machine is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The repository may have moved.
    Hint,
    /// A look at the source ended.
    Looked(Looked),
    /// A cycle ended.
    Cycled(TargetName, Box<Ended>),
    /// A probe ended: the endpoint answers, or not.
    Probed(Place, Result<(), Silence>),
    /// This watcher leads at a target.
    Won(TargetName, u64),
    /// It does not lead there any more.
    Lost(TargetName),
    /// Write nothing there until then (for ever without).
    Suspend(TargetName, Option<Duration>),
    /// Go on there, with the newest commit.
    Resume(TargetName),
    /// Another commit than the newest is wanted there: the loop has it at hand.
    Pin(TargetName),
    /// Try everything again there, now.
    Retry(TargetName),
    /// An operator lets a plan through: see at once.
    Approved,
    /// Begin nothing new, finish what is in flight.
    Stop,
}

/// Why a probe came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Silence {
    /// What went wrong.
    pub why: String,
    /// The endpoint asks that nothing is sent before then.
    pub until: Option<Duration>,
}

/// How a look at the source ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Looked {
    /// Nothing moved.
    Same,
    /// Another commit is in force. `wanted` is what each target is to be, as a digest.
    Moved {
        /// By target.
        wanted: BTreeMap<TargetName, Digest>,
    },
    /// The source is away or cannot be read: what was known last stays in force.
    Away {
        /// What went wrong.
        why: String,
    },
}

/// How a cycle ended.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ended {
    /// Everything was read and nothing is left to do.
    pub clean: bool,
    /// Endpoints where everything was read and nothing is left to do, however the others are.
    pub well: BTreeSet<EndpointName>,
    /// How each endpoint that took part answered.
    pub endpoints: BTreeMap<EndpointName, Reach>,
    /// Operations that were tried.
    pub operations: Vec<Tried>,
    /// What kept the whole target from being reconciled, if anything: another run's lock, a record that cannot be read.
    pub blocked: Option<Blocked>,
}

/// How an endpoint answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All that was asked was answered.
    Whole,
    /// It cannot be reached: probed every ten seconds.
    Away(String),
    /// It did not answer as soon as it usually does, and the others did not wait: probed at once, and waited for the next
    /// time that it answers.
    Late(String),
    /// It answers, and not with what was asked for: tried again after a growing time.
    Troubled(String),
    /// It asks that nothing is sent before then.
    AsksToWait {
        /// Time since boot.
        until: Duration,
        /// Its words.
        why: String,
    },
}

/// What kept a target from being reconciled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// Another run holds it: asked again soon.
    Locked(String),
    /// Something else: asked again after a growing time.
    Trouble(String),
}

/// One operation that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// The resource's address.
    pub address: String,
    /// What it is to be; another manifest is tried at once.
    pub wanted: Option<Digest>,
    /// True if it went through.
    pub done: bool,
    /// Why not.
    pub why: String,
    /// The fields that were set back although nobody changed the manifest.
    pub corrected: Vec<String>,
}

/// What the machine wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Look at the source; answer with [`Input::Looked`].
    Look,
    /// Reconcile a target; answer with [`Input::Cycled`].
    Cycle(TargetName, Job),
    /// Ask whether an endpoint answers; answer with [`Input::Probed`].
    Probe(Place),
    /// The snapshot in force is older than it should be: say so.
    Stale(Duration),
    /// A rival changes a field back again and again: it is left alone from now on; say so.
    Contested {
        /// The target.
        target: TargetName,
        /// The resource's address.
        address: String,
        /// The field.
        field: String,
    },
    /// Give the leases back: others take over at once.
    Resign,
    /// Nothing is in flight any more: leave.
    Done,
}

/// One cycle.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Job {
    /// Plan and report, write nothing.
    pub dry: bool,
    /// The fencing token, under election.
    pub token: Option<u64>,
    /// Nothing is deleted, because the desired state is an old one: the source is away, or was not heard of for long.
    pub stale: bool,
    /// Endpoints that are not contacted.
    pub away: BTreeSet<EndpointName>,
    /// Endpoints that were late the last time, and answered a probe since: they are waited for.
    pub patient: BTreeSet<EndpointName>,
    /// Resources that are left alone for now, unless their manifest is another one, and why.
    pub waiting: BTreeMap<String, (Option<Digest>, String)>,
    /// Fields that a rival keeps changing back.
    pub contests: Contests,
}

/// Why a resource is left alone for now, and until when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// What it is to be.
    pub wanted: Option<Digest>,
    /// Failures, and when it is tried again.
    pub backoff: Backoff,
    /// What went wrong the last time.
    pub why: String,
}

/// An endpoint that does not take part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// Since when.
    pub since: Duration,
    /// Failures, and when it is tried again.
    pub backoff: Backoff,
    /// True if it cannot be reached at all.
    pub away: bool,
    /// True if it was only late: whether something is wrong with it is being found out.
    pub late: bool,
    /// True if it asked to be left alone until then: not even probed.
    pub asked: bool,
    /// What went wrong the last time.
    pub why: String,
}

/// What the machine knows of one target.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// A cycle runs.
    pub running: bool,
    /// Something calls for a cycle: it starts as soon as it may.
    pub wanted: bool,
    /// The next regular cycle.
    pub next: Duration,
    /// When the last cycle ended.
    pub ended: Option<Duration>,
    /// When the last cycle ended in which everything was read and nothing was left to do.
    pub clean: Option<Duration>,
    /// When the last cycle ended that reached somebody and was not kept from its work.
    pub worked: Option<Duration>,
    /// When the last cycle ended that did all that it was to do: of a watcher that only looks, one that saw everything.
    pub succeeded: Option<Duration>,
    /// When everything at an endpoint was read and nothing was left to do there, the last time.
    pub well: BTreeMap<EndpointName, Duration>,
    /// Since when this watcher is responsible for it.
    pub responsible: Option<Duration>,
    /// The fencing token of its tenure.
    pub token: Option<u64>,
    /// Write nothing: until when, or for ever.
    pub suspended: Option<Option<Duration>>,
    /// Held at an older commit.
    pub pinned: bool,
    /// What kept it from being reconciled the last time.
    pub blocked: Option<(Backoff, Blocked)>,
    /// Endpoints that do not take part.
    pub troubled: BTreeMap<EndpointName, Trouble>,
    /// Endpoints that are being probed.
    probing: BTreeSet<EndpointName>,
    /// Endpoints that were late, and are waited for the next time.
    patient: BTreeSet<EndpointName>,
    /// Resources that are left alone for now.
    pub waiting: BTreeMap<String, Waiting>,
    /// Fields that rivals keep changing back.
    pub contests: Contests,
    /// The project has it no more; it is forgotten when its last cycle ends.
    gone: bool,
    /// It is to be something else since its last cycle: how far it is behind is worked out even if nobody can be reached.
    moved: bool,
    digest: Option<Digest>,
    endpoints: BTreeSet<EndpointName>,
}

/// The watch.
#[derive(Clone, Debug)]
pub struct Machine {
    pace: Pace,
    dry: bool,
    elected: bool,
    chance: u64,
    targets: BTreeMap<TargetName, Watched>,
    looking: bool,
    look_wanted: bool,
    look_started: Option<Duration>,
    look_next: Duration,
    loaded: bool,
    /// When the source last said what is in force.
    fresh: Option<Duration>,
    /// Since when it does not.
    away: Option<Duration>,
    warned: bool,
    stopping: bool,
    done: bool,
}

impl Machine {
    /// A machine that has seen nothing. `dry`: never write. `elected`: write only where [`Input::Won`] says so. `chance`
    /// seeds the jitter.
    pub fn new(pace: Pace, dry: bool, elected: bool, chance: u64, now: Duration) -> Self {
        let mut machine = Self {
            pace,
            dry,
            elected,
            chance,
            targets: BTreeMap::new(),
            looking: false,
            look_wanted: false,
            look_started: None,
            look_next: now,
            loaded: false,
            fresh: None,
            away: None,
            warned: false,
            stopping: false,
            done: false,
        };
        // Many watchers that start together (a rollout, a power cut) do not ask together; but whoever starts one with an
        // interval of a day does not wait an hour for it.
        machine.look_next = now + (pace.interval / 10).min(LONGEST_START).mul_f64(machine.chance());
        machine
    }

    /// Says which targets there are, and their endpoints. What is known of those that stay is kept.
    pub fn know(&mut self, places: &BTreeSet<Place>, now: Duration) {
        let mut targets: BTreeMap<TargetName, BTreeSet<EndpointName>> = BTreeMap::new();
        for (target, endpoint) in places {
            targets.entry(target.clone()).or_default().insert(endpoint.clone());
        }
        // A cycle that runs is waited for, though its target is gone from the project; another one does not begin.
        self.targets.retain(|name, watched| {
            watched.gone = !targets.contains_key(name);
            watched.running || !watched.gone
        });
        let elected = self.elected;
        for (name, endpoints) in targets {
            let watched = self.targets.entry(name).or_insert_with(|| Watched {
                wanted: true,
                responsible: (!elected).then_some(now),
                ..Watched::default()
            });
            watched.troubled.retain(|endpoint, _| endpoints.contains(endpoint));
            watched.well.retain(|endpoint, _| endpoints.contains(endpoint));
            watched.endpoints = endpoints;
        }
    }

    /// What is known of a target.
    pub fn target(&self, name: &TargetName) -> Option<&Watched> {
        self.targets.get(name)
    }

    /// The targets.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetName, &Watched)> {
        self.targets.iter()
    }

    /// Every endpoint of every target.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let here = |(name, watched): (&TargetName, &Watched)| {
            watched.endpoints.iter().map(|endpoint| (name.clone(), endpoint.clone())).collect::<Vec<_>>()
        };
        self.targets.iter().flat_map(here)
    }

    /// When the source last said what is in force, and since when it does not.
    pub fn source(&self) -> (Option<Duration>, Option<Duration>) {
        (self.fresh, self.away)
    }

    /// When the source is looked at next, unless something calls for it earlier.
    pub fn next_look(&self) -> Duration {
        self.look_next
    }

    /// True once nothing new begins.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// True if others may write at its targets when this watcher does not.
    pub fn is_elected(&self) -> bool {
        self.elected
    }

    /// True if this watcher may write at a target.
    pub fn leads(&self, name: &TargetName) -> bool {
        !self.elected || self.targets.get(name).is_some_and(|watched| watched.token.is_some())
    }

    /// Why this watcher is not ready: no clean look, or it gets nowhere at all. One bad target of many is no reason: the
    /// watcher does its work, and whoever asks about that target is told by [`Self::late`].
    pub fn not_ready(&self, now: Duration) -> Vec<String> {
        if !self.loaded {
            return vec!["the desired state was not read yet".to_owned()];
        }
        let mut why = Vec::new();
        for (name, watched) in self.targets.iter().filter(|(name, w)| self.leads(name) && w.suspended.is_none()) {
            let since = watched.worked.max(watched.responsible).unwrap_or(now);
            let time = now.saturating_sub(since);
            if time <= self.patience() {
                return Vec::new();
            }
            why.push(format!("no cycle of {name} came to its end for {} s", time.as_secs()));
        }
        why
    }

    /// For how long no cycle of a target of its own fully succeeded, if that is longer than three intervals.
    pub fn late(&self, name: &TargetName, now: Duration) -> Option<Duration> {
        let watched = self.targets.get(name).filter(|w| self.leads(name) && w.suspended.is_none())?;
        let time = now.saturating_sub(watched.succeeded.max(watched.responsible)?);
        (time > self.patience()).then_some(time)
    }

    /// Nothing came of a target for longer than this: somebody should look.
    pub fn patience(&self) -> Duration {
        self.pace.interval * 3
    }

    /// Takes one input and says what is to be done now.
    pub fn step(&mut self, now: Duration, input: Input) -> Vec<Command> {
        self.steps(now, [input])
    }

    /// Takes inputs that belong together and says what is to be done after the last of them: of two targets that are
    /// both suspended by them, the second is not written after the first was taken in.
    pub fn steps(&mut self, now: Duration, inputs: impl IntoIterator<Item = Input>) -> Vec<Command> {
        let mut commands = Vec::new();
        for input in inputs {
            self.take_in(now, input, &mut commands);
        }
        self.go(now, &mut commands);
        commands
    }

    fn take_in(&mut self, now: Duration, input: Input, commands: &mut Vec<Command>) {
        match input {
            Input::Tick => {}
            Input::Hint => self.look_wanted = true,
            Input::Looked(looked) => self.looked(now, looked),
            Input::Cycled(target, ended) => self.cycled(now, &target, *ended, commands),
            Input::Probed((target, endpoint), answer) => self.probed(now, &target, &endpoint, answer),
            Input::Won(target, token) => {
                if let Some(watched) = self.targets.get_mut(&target) {
                    watched.token = Some(token);
                    watched.responsible = Some(now);
                    watched.wanted = true;
                    // What a predecessor met is not known; what we met ourselves as its predecessor is long ago.
                    watched.forget();
                }
            }
            Input::Lost(target) => {
                if let Some(watched) = self.targets.get_mut(&target) {
                    (watched.token, watched.responsible) = (None, None);
                }
            }
            Input::Suspend(target, until) => {
                if let Some(watched) = self.targets.get_mut(&target) {
                    watched.suspended = Some(until);
                    watched.wanted = true;
                }
            }
            Input::Resume(target) => {
                if let Some(watched) = self.targets.get_mut(&target) {
                    (watched.suspended, watched.pinned, watched.wanted) = (None, false, true);
                    watched.moved = true;
                    watched.responsible = watched.responsible.map(|_| now);
                    watched.forget();
                }
            }
            Input::Pin(target) => {
                if let Some(watched) = self.targets.get_mut(&target) {
                    (watched.suspended, watched.pinned, watched.wanted) = (None, true, true);
                    watched.moved = true;
                    watched.forget();
                }
            }
            Input::Retry(target) => {
                self.look_wanted = true;
                if let Some(watched) = self.targets.get_mut(&target) {
                    watched.wanted = true;
                    // A person knows better than what the server said some time ago.
                    watched.troubled.values_mut().for_each(|trouble| trouble.asked = false);
                    watched.forget();
                }
            }
            Input::Approved => self.targets.values_mut().for_each(|watched| watched.wanted = true),
            Input::Stop => {
                if !self.stopping {
                    self.stopping = true;
                    // First of all, so that others take over while we finish.
                    if self.elected {
                        commands.push(Command::Resign);
                    }
                }
            }
        }
    }

    /// When to step again though nothing happens. `None`: not by itself.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        if self.stopping {
            return None;
        }
        let mut times = Vec::new();
        if !self.looking {
            times.push(if self.look_wanted { self.look_may() } else { self.look_next });
        }
        if let Some(fresh) = self.fresh.filter(|_| self.away.is_some() && !self.warned) {
            times.push(fresh + self.pace.stale);
        }
        for (name, watched) in &self.targets {
            times.extend(watched.suspended.flatten());
            if !self.may_cycle(name) {
                continue;
            }
            times.extend(watched.probes().map(|(_, at)| at));
            match (watched.running, watched.is_all_away(now) && !watched.moved) {
                (true, _) => {}
                (false, false) => times.push(watched.due()),
                (false, true) => times.extend(watched.troubled.values().filter(|t| !t.away).map(|t| t.backoff.until)),
            }
        }
        times.into_iter().map(|time| time.max(now)).min()
    }

    fn look_may(&self) -> Duration {
        self.look_started.map_or(Duration::ZERO, |started| started + self.pace.look_gap)
    }

    fn may_cycle(&self, name: &TargetName) -> bool {
        self.loaded && self.leads(name)
    }

    fn go(&mut self, now: Duration, commands: &mut Vec<Command>) {
        if self.stopping {
            // A look writes nothing, and may take as long as a fetch that hangs: it is not waited for.
            let busy = self.targets.values().any(|w| w.running || !w.probing.is_empty());
            if !busy && !self.done {
                self.done = true;
                commands.push(Command::Done);
            }
            return;
        }
        let stale = self.away.is_some() || self.is_old(now);
        let due = now >= self.look_next || (self.look_wanted && now >= self.look_may());
        if !self.looking && due {
            (self.looking, self.look_wanted, self.look_started) = (true, false, Some(now));
            self.look_next = now + self.jittered(self.pace.interval);
            commands.push(Command::Look);
        }
        if let Some(fresh) = self.fresh
            && self.away.is_some()
            && !self.warned
            && now.saturating_sub(fresh) >= self.pace.stale
        {
            self.warned = true;
            commands.push(Command::Stale(now - fresh));
        }
        let names: Vec<TargetName> = self.targets.keys().cloned().collect();
        for name in names {
            let may = self.may_cycle(&name);
            let (chance, interval, dry) = (self.chance(), self.pace.interval, self.dry);
            let Some(watched) = self.targets.get_mut(&name) else { continue };
            if watched.suspended.flatten().is_some_and(|until| now >= until) {
                (watched.suspended, watched.wanted) = (None, true);
                watched.responsible = watched.responsible.map(|_| now);
            }
            if !may {
                continue;
            }
            // Beside a cycle that runs: what is away has no part in it.
            let probes: Vec<EndpointName> = watched.probes().filter(|(_, at)| now >= *at).map(|(e, _)| e).collect();
            for endpoint in probes {
                watched.probing.insert(endpoint.clone());
                commands.push(Command::Probe((name.clone(), endpoint)));
            }
            if watched.running {
                continue;
            }
            if now < watched.due() || (watched.is_all_away(now) && !watched.moved) {
                continue;
            }
            (watched.running, watched.wanted, watched.moved) = (true, false, false);
            // Between nine and eleven tenths, so that many watchers drift apart.
            watched.next = now + interval.mul_f64(0.9 + 0.2 * chance);
            let job = Job {
                dry: dry || watched.suspended.is_some(),
                token: watched.token,
                stale,
                away: watched.endpoints.iter().filter(|e| watched.is_away(e, now)).cloned().collect(),
                patient: watched.patient.clone(),
                waiting: watched
                    .waiting
                    .iter()
                    .filter(|(_, waiting)| waiting.backoff.holds(now))
                    .map(|(address, waiting)| (address.clone(), (waiting.wanted, waiting.why.clone())))
                    .collect(),
                contests: watched.contests.clone(),
            };
            commands.push(Command::Cycle(name.clone(), job));
        }
    }

    fn looked(&mut self, now: Duration, looked: Looked) {
        self.looking = false;
        match looked {
            Looked::Same => self.is_fresh(now),
            Looked::Moved { wanted } => {
                self.is_fresh(now);
                self.take(&wanted);
            }
            Looked::Away { .. } => {
                self.away.get_or_insert(now);
            }
        }
    }

    /// A snapshot is in force although the source is away: the last known good one. The cycles begin with the next
    /// step, so that what holds them back can be told first.
    pub fn fall_back(&mut self, now: Duration, wanted: &BTreeMap<TargetName, Digest>, known_for: Duration) {
        self.loaded = true;
        self.fresh = Some(now.saturating_sub(known_for));
        self.away.get_or_insert(now);
        self.take(wanted);
    }

    /// True if the source was not heard of for longer than a look takes that goes well: a fetch hangs, or the machine
    /// slept. What it wants now is not known then, whoever is to blame.
    fn is_old(&self, now: Duration) -> bool {
        let limit = (self.pace.interval * 2).saturating_add(HEARD_OF);
        self.fresh.is_some_and(|fresh| now.saturating_sub(fresh) > limit)
    }

    fn is_fresh(&mut self, now: Duration) {
        if self.away.take().is_some() || self.is_old(now) {
            // Deletes that were held may go on now.
            self.targets.values_mut().for_each(|watched| watched.wanted = true);
        }
        (self.loaded, self.fresh, self.warned) = (true, Some(now), false);
    }

    fn take(&mut self, wanted: &BTreeMap<TargetName, Digest>) {
        self.loaded = true;
        for (name, watched) in &mut self.targets {
            let digest = wanted.get(name).copied();
            if watched.digest != digest && !watched.pinned {
                (watched.wanted, watched.moved) = (true, true);
                // A new commit may be the cure, whatever the record or a guard said to the old one.
                watched.blocked = None;
            }
            watched.digest = digest;
        }
    }

    fn cycled(&mut self, now: Duration, target: &TargetName, ended: Ended, commands: &mut Vec<Command>) {
        let chances: Vec<f64> = (0..=ended.operations.len() + ended.endpoints.len()).map(|_| self.chance()).collect();
        let mut chances = chances.into_iter();
        let mut chance = || chances.next().unwrap_or(0.5);
        let (probe, dry) = (self.pace.probe, self.dry);
        if self.targets.get(target).is_some_and(|watched| watched.gone) {
            self.targets.remove(target);
        }
        let Some(watched) = self.targets.get_mut(target) else { return };
        watched.running = false;
        watched.ended = Some(now);
        if ended.clean {
            watched.clean = Some(now);
        }
        if ended.blocked.is_none() && (ended.clean || ended.endpoints.values().any(|reach| *reach == Reach::Whole)) {
            watched.worked = Some(now);
        }
        let whole = !ended.endpoints.is_empty() && ended.endpoints.values().all(|reach| *reach == Reach::Whole);
        let saw_all = dry && whole && ended.blocked.is_none() && ended.endpoints.len() == watched.endpoints.len();
        if ended.clean || saw_all {
            watched.succeeded = Some(now);
        }
        watched.well.extend(ended.well.into_iter().map(|endpoint| (endpoint, now)));
        let tries = watched.blocked.as_ref().map(|(backoff, _)| *backoff).unwrap_or_default();
        watched.blocked = ended.blocked.map(|blocked| match blocked {
            // A lock is held for seconds, and nobody is asked by looking at it.
            Blocked::Locked(_) => (tries.every(now, Duration::from_secs(1)), blocked),
            Blocked::Trouble(_) => (tries.after(now, chance()), blocked),
        });
        for (endpoint, reach) in ended.endpoints {
            let before = watched.troubled.get(&endpoint);
            let (since, backoff) = before.map_or((now, Backoff::default()), |t| (t.since, t.backoff));
            match reach {
                Reach::Late(_) => watched.patient.insert(endpoint.clone()),
                Reach::Whole | Reach::Away(_) | Reach::Troubled(_) | Reach::AsksToWait { .. } => {
                    watched.patient.remove(&endpoint)
                }
            };
            let trouble = match reach {
                Reach::Whole => None,
                Reach::Away(why) => {
                    let backoff = backoff.every(now, probe);
                    Some(Trouble { since, backoff, away: true, late: false, asked: false, why })
                }
                Reach::Late(why) => {
                    let backoff = backoff.every(now, Duration::ZERO);
                    Some(Trouble { since, backoff, away: true, late: true, asked: false, why })
                }
                Reach::Troubled(why) => {
                    let backoff = backoff.after(now, chance());
                    Some(Trouble { since, backoff, away: false, late: false, asked: false, why })
                }
                Reach::AsksToWait { until, why } => {
                    let backoff = backoff.not_before(until);
                    Some(Trouble { since, backoff, away: false, late: false, asked: true, why })
                }
            };
            match trouble {
                Some(trouble) => drop(watched.troubled.insert(endpoint, trouble)),
                None => drop(watched.troubled.remove(&endpoint)),
            }
        }
        // What took part, and was not spoken of, is not in trouble any more.
        watched.troubled.retain(|_, trouble| trouble.away || trouble.backoff.holds(now));
        let mut tried = BTreeSet::new();
        for operation in ended.operations {
            tried.insert(operation.address.clone());
            if operation.done {
                watched.waiting.remove(&operation.address);
                for field in operation.corrected {
                    if watched.contests.corrected(&operation.address, operation.wanted, &field, now) {
                        let (target, address) = (target.clone(), operation.address.clone());
                        commands.push(Command::Contested { target, address, field });
                    }
                }
                continue;
            }
            let before = watched.waiting.get(&operation.address).filter(|w| w.wanted == operation.wanted);
            let backoff = before.map(|w| w.backoff).unwrap_or_default().after(now, chance());
            let waiting = Waiting { wanted: operation.wanted, backoff, why: operation.why };
            watched.waiting.insert(operation.address, waiting);
        }
        // What was free to be tried, and was not: it is not in the plan any more.
        if ended.clean {
            watched.waiting.clear();
        } else {
            watched.waiting.retain(|address, waiting| waiting.backoff.holds(now) || tried.contains(address));
        }
        watched.contests.tidy(now);
    }

    fn probed(&mut self, now: Duration, target: &TargetName, endpoint: &EndpointName, answer: Result<(), Silence>) {
        let probe = self.pace.probe;
        let Some(watched) = self.targets.get_mut(target) else { return };
        watched.probing.remove(endpoint);
        let Some(trouble) = watched.troubled.get_mut(endpoint) else { return };
        match answer {
            Ok(()) => {
                trouble.backoff.until = now;
                trouble.away = false;
                watched.wanted = true;
            }
            Err(Silence { why, until: None }) => {
                trouble.backoff = trouble.backoff.every(now, probe);
                (trouble.late, trouble.why) = (false, why);
            }
            Err(Silence { why, until: Some(until) }) => {
                // It is there after all, and says when it may be spoken to.
                (trouble.away, trouble.late, trouble.asked, trouble.why) = (false, false, true, why);
                trouble.backoff = trouble.backoff.not_before(until);
            }
        }
    }

    /// Between nine and eleven tenths of `time`.
    fn jittered(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.9 + 0.2 * self.chance())
    }

    /// From 0 to 1 (splitmix64, public domain by Sebastiano Vigna).
    fn chance(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Watched {
    /// When the next cycle may start (time since boot).
    pub fn due(&self) -> Duration {
        if let Some((backoff, _)) = &self.blocked {
            return backoff.until;
        }
        if self.wanted {
            return Duration::ZERO;
        }
        let waiting = self.waiting.values().map(|waiting| waiting.backoff.until);
        let troubled = self.troubled.values().filter(|t| !t.away).map(|t| t.backoff.until);
        waiting.chain(troubled).fold(self.next, Duration::min)
    }

    /// Endpoints that are away and not being probed, with the time of their next probe.
    fn probes(&self) -> impl Iterator<Item = (EndpointName, Duration)> + '_ {
        self.troubled
            .iter()
            .filter(|(name, trouble)| trouble.away && !self.probing.contains(*name))
            .map(|(name, trouble)| (name.clone(), trouble.backoff.until))
    }

    fn is_away(&self, endpoint: &EndpointName, now: Duration) -> bool {
        self.troubled.get(endpoint).is_some_and(|trouble| trouble.away || trouble.backoff.holds(now))
    }

    /// True if a cycle would speak to nobody: only probes, or the end of a wait, bring it back.
    fn is_all_away(&self, now: Duration) -> bool {
        !self.endpoints.is_empty() && self.endpoints.iter().all(|endpoint| self.is_away(endpoint, now))
    }

    /// Forgets every wait of our own: all is tried again now. What a server asked for is not ours to forget.
    fn forget(&mut self) {
        self.blocked = None;
        self.waiting.clear();
        self.contests.clear();
        for trouble in self.troubled.values_mut().filter(|trouble| !trouble.asked) {
            (trouble.away, trouble.backoff.until) = (false, Duration::ZERO);
        }
    }
}

#[cfg(test)]
#[path = "tests/watching.rs"]
mod tests;
