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

mod command;
mod ended;
mod input;
mod pace;
mod source;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::peer::Place;
use crate::model::{EndpointName, TargetName};

pub use command::{Command, Job};
pub use input::{Blocked, Ended, Input, Looked, Reach, Silence, Tried};
pub use pace::Pace;
pub use watched::{Trouble, Waiting, Watched};

/// A watcher has looked for the first time after this at the latest, whatever its interval.
const LONGEST_START: Duration = Duration::from_secs(30);

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

#[cfg(test)]
#[path = "tests/watching.rs"]
mod tests;
