//! Several candidates, one coordinator, and all that goes wrong between them: answers lost, requests that arrive long
//! after their deadline, processes that stop for minutes, clocks whose rates differ, a coordinator that is away. Time is
//! in microseconds of a world that no process sees; each reads a clock of its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::{Answer, Ask, Candidate, ElectionEvent, LEASE, Lane, Next};
use crate::model::TargetName;
use crate::store::{Coordinator as _, CoordinatorError, MemoryCoordinator};
use crate::target::Fence;
use crate::world::{Clock, Entropy, ScriptedClock};

const SECOND: u64 = 1_000_000;
/// When faults end.
const CALM: u64 = 300 * SECOND;
/// How long a request may be held back. One that was sent before the calm may renew a dead process's lease in it.
const HELD_BACK: u64 = 60 * SECOND;
/// When the simulation ends: after a lease, the time to take over, and the time to share evenly again.
const END: u64 = CALM + HELD_BACK + 140 * SECOND;
const ELECTIONS: &str = "/ctl/election/shop/";
const WATCHERS: &str = "/ctl/watchers/shop/";

/// Asks the coordinator, which answers at once; what is lost and late between the two is the world's.
fn answer(coordinator: &MemoryCoordinator, candidate: &Candidate, ask: &Ask) -> Result<Answer, CoordinatorError> {
    let within = ask.within();
    match ask {
        Ask::Grant => coordinator.grant(LEASE, within).now_or_never().unwrap().map(Answer::Granted),
        Ask::KeepAlive(lease) => coordinator.keep_alive(*lease, within).now_or_never().unwrap().map(Answer::Kept),
        Ask::Register(lease, key) => {
            coordinator.claim(key, candidate.me(), *lease, within).now_or_never().unwrap().map(Answer::Stands)
        }
        Ask::Claim(lease, target) => {
            let key = candidate.key(target);
            coordinator.claim(&key, candidate.me(), *lease, within).now_or_never().unwrap().map(Answer::Stands)
        }
        Ask::Look(_) => {
            let mut found = coordinator.look(&candidate.prefixes(), within).now_or_never().unwrap()?.into_iter();
            Ok(Answer::Seen(found.next().unwrap(), found.next().unwrap()))
        }
        Ask::GiveUp(_, key, created) => {
            coordinator.give_up(key, *created, within).now_or_never().unwrap().map(|()| Answer::GivenUp)
        }
    }
}

enum What {
    Wake {
        watcher: usize,
        lane: Lane,
        generation: u64,
    },
    Arrive {
        watcher: usize,
        lane: Lane,
        ask: Ask,
        sent: Duration,
        reply_at: Option<u64>,
    },
    Deliver {
        watcher: usize,
        lane: Lane,
        ask: Ask,
        sent: Duration,
        answer: Result<Answer, CoordinatorError>,
    },
    Write {
        watcher: usize,
    },
    /// Something happens to a process or to the coordinator.
    Mischief,
    Restart,
}

struct Watcher {
    candidate: Candidate,
    dead: bool,
    /// Its clock: how fast it goes, and what it showed when the world began.
    rate: f64,
    offset: u64,
    paused_until: u64,
    idle: BTreeMap<Lane, bool>,
    generation: BTreeMap<Lane, u64>,
    /// The last token under which it wrote each target: it is used on until the gate says no.
    tokens: BTreeMap<TargetName, Fence>,
}

impl Watcher {
    fn boot(&self, world: u64) -> Duration {
        Duration::from_micros((world as f64 * self.rate) as u64 + self.offset)
    }

    /// How long something lasts in the world that takes `time` on this clock.
    fn lasts(&self, time: Duration) -> u64 {
        (micros(time) as f64 / self.rate) as u64
    }
}

struct Under {
    watcher: usize,
    token: Fence,
    end: u64,
}

/// How one simulation is to go.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) watchers: usize,
    pub(super) targets: usize,
    pub(super) faults: bool,
    /// How long a request may be under way after the gate was asked.
    pub(super) request: Duration,
}

/// What was seen.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// What must never happen.
    pub(super) faults: Vec<String>,
    pub(super) writes: usize,
    /// Writes that the gate refused though the writer still believed in its tenure.
    pub(super) refused: usize,
    pub(super) tenures: usize,
    /// The longest time in which a target had no open gate after faults had ended.
    pub(super) idle: Duration,
}

struct World {
    rules: Rules,
    now: u64,
    chance: Entropy,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    pending: BTreeMap<u64, What>,
    sequence: u64,
    coordinator: MemoryCoordinator,
    /// The coordinator's clock, which goes as the world does.
    clock: Arc<ScriptedClock>,
    away_until: u64,
    watchers: Vec<Watcher>,
    targets: BTreeSet<TargetName>,
    under_way: BTreeMap<TargetName, Vec<Under>>,
    /// The highest token under which anything was written.
    highest: BTreeMap<TargetName, Fence>,
    open_since: BTreeMap<TargetName, u64>,
    looked_on: u64,
    found: Found,
}

/// Runs one simulation and says what happened.
pub(super) fn simulate(seed: u64, rules: Rules) -> Found {
    let targets = (0..rules.targets).map(|n| format!("t{n}").parse().unwrap()).collect();
    let clock = ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH);
    let mut world = World {
        rules,
        now: 0,
        chance: Entropy::seeded(seed),
        queue: BinaryHeap::new(),
        pending: BTreeMap::new(),
        sequence: 0,
        coordinator: MemoryCoordinator::new(Clock::Scripted(Arc::clone(&clock))),
        clock,
        away_until: 0,
        watchers: Vec::new(),
        targets,
        under_way: BTreeMap::new(),
        highest: BTreeMap::new(),
        open_since: BTreeMap::new(),
        looked_on: if rules.faults { CALM + HELD_BACK } else { 5 * SECOND },
        found: Found::default(),
    };
    for _ in 0..rules.watchers {
        world.start();
    }
    if rules.faults {
        world.at(SECOND, What::Mischief);
    }
    world.run();
    world.found
}

impl World {
    fn below(&self, limit: u64) -> u64 {
        self.chance.next() % limit.max(1)
    }

    fn faulty(&self) -> bool {
        self.rules.faults && self.now < CALM
    }

    fn at(&mut self, time: u64, what: What) {
        self.sequence += 1;
        self.queue.push(Reverse((time, self.sequence)));
        self.pending.insert(self.sequence, what);
    }

    fn start(&mut self) {
        let watcher = self.watchers.len();
        let candidate = Candidate::new(
            ELECTIONS.to_owned(),
            WATCHERS.to_owned(),
            format!("watcher {watcher}"),
            self.targets.clone(),
            Entropy::seeded(self.chance.next()),
        );
        let rate = if self.rules.faults { 0.86 + self.below(290) as f64 / 1_000.0 } else { 1.0 };
        self.watchers.push(Watcher {
            candidate,
            dead: false,
            rate,
            offset: self.below(1_000_000 * SECOND),
            paused_until: 0,
            idle: BTreeMap::new(),
            generation: BTreeMap::new(),
            tokens: BTreeMap::new(),
        });
        let now = self.now;
        for lane in [Lane::Lease, Lane::Seats] {
            self.at(now, What::Wake { watcher, lane, generation: 0 });
        }
        self.at(now, What::Write { watcher });
    }

    fn run(&mut self) {
        while let Some(Reverse((time, sequence))) = self.queue.pop() {
            if time > END {
                break;
            }
            self.clock.advance(Duration::from_micros(time - self.now));
            self.now = time;
            let Some(what) = self.pending.remove(&sequence) else { continue };
            self.happen(what);
            self.look_on();
        }
        self.end();
    }

    fn happen(&mut self, what: What) {
        let concerned = match &what {
            What::Wake { watcher, .. } | What::Deliver { watcher, .. } | What::Write { watcher } => Some(*watcher),
            What::Arrive { .. } | What::Mischief | What::Restart => None,
        };
        if let Some(watcher) = concerned.and_then(|n| self.watchers.get(n)) {
            if watcher.dead {
                return;
            }
            if watcher.paused_until > self.now {
                let until = watcher.paused_until;
                return self.at(until, what);
            }
        }
        match what {
            What::Wake { watcher, lane, generation } => self.wake(watcher, lane, generation),
            What::Arrive { watcher, lane, ask, sent, reply_at } => self.arrive(watcher, lane, ask, sent, reply_at),
            What::Deliver { watcher, lane, ask, sent, answer } => self.deliver(watcher, lane, &ask, sent, answer),
            What::Write { watcher } => self.write(watcher),
            What::Mischief => self.mischief(),
            What::Restart => self.start(),
        }
    }

    fn wake(&mut self, at: usize, lane: Lane, generation: u64) {
        let now = self.now;
        let watcher = &mut self.watchers[at];
        if watcher.generation.get(&lane).copied().unwrap_or(0) != generation {
            return;
        }
        *watcher.generation.entry(lane).or_default() += 1;
        let generation = watcher.generation[&lane];
        let boot = watcher.boot(now);
        match watcher.candidate.step(lane, boot) {
            Next::Wait(until) => {
                watcher.idle.insert(lane, true);
                let wait = watcher.lasts(until.saturating_sub(boot)) + 1;
                self.at(now + wait, What::Wake { watcher: at, lane, generation });
            }
            Next::Ask(ask) => {
                watcher.idle.insert(lane, false);
                let deadline = now + watcher.lasts(ask.within());
                let faulty = self.faulty();
                let delay = |world: &Self| match world.below(100) {
                    // Bytes that somebody held back arrive whenever they like.
                    n if faulty && n < 3 => world.below(HELD_BACK),
                    n if faulty && n < 15 => world.below(6 * SECOND),
                    _ => world.below(SECOND / 50),
                };
                let arrives = now + delay(self);
                let replied = arrives + delay(self);
                let lost = |world: &Self| faulty && world.below(100) < 7;
                let (never_arrives, never_replied) = (lost(self), lost(self));
                let answered = !never_arrives && !never_replied && replied <= deadline;
                if !never_arrives {
                    let reply_at = answered.then_some(replied);
                    self.at(arrives, What::Arrive { watcher: at, lane, ask: ask.clone(), sent: boot, reply_at });
                }
                if !answered {
                    let answer = Err(CoordinatorError::Unreachable { why: "no answer".to_owned() });
                    self.at(deadline, What::Deliver { watcher: at, lane, ask, sent: boot, answer });
                }
            }
        }
    }

    fn arrive(&mut self, at: usize, lane: Lane, ask: Ask, sent: Duration, reply_at: Option<u64>) {
        let answer = if self.now < self.away_until {
            Err(CoordinatorError::NoLeader { why: "two of three are gone".to_owned() })
        } else {
            answer(&self.coordinator, &self.watchers[at].candidate, &ask)
        };
        if let Some(reply_at) = reply_at {
            self.at(reply_at, What::Deliver { watcher: at, lane, ask, sent, answer });
        }
    }

    fn deliver(&mut self, at: usize, lane: Lane, ask: &Ask, sent: Duration, answer: Result<Answer, CoordinatorError>) {
        let now = self.now;
        let watcher = &mut self.watchers[at];
        let boot = watcher.boot(now);
        watcher.candidate.answered(lane, ask, sent, boot, answer);
        let events = watcher.candidate.take_events();
        // As the loop does: whoever waits looks again.
        watcher.idle.insert(lane, true);
        let woken: Vec<_> = watcher.idle.iter().filter(|(_, idle)| **idle).map(|(lane, _)| *lane).collect();
        for lane in woken {
            let generation = self.watchers[at].generation.get(&lane).copied().unwrap_or(0);
            self.at(now, What::Wake { watcher: at, lane, generation });
        }
        for event in events {
            if let ElectionEvent::Won { target, token } = event {
                self.found.tenures += 1;
                let before = self.watchers[at].tokens.insert(target.clone(), token);
                if before.is_some_and(|before| before >= token) {
                    self.found.faults.push(format!("{now}: watcher {at} won {target} with {token:?} after {before:?}"));
                }
            }
        }
    }

    /// Every gate is tried, under the last token that was won, however long ago.
    fn write(&mut self, at: usize) {
        let now = self.now;
        let watcher = &self.watchers[at];
        let boot = watcher.boot(now);
        let lasts = watcher.lasts(self.rules.request);
        let tokens = watcher.tokens.clone();
        for (target, token) in tokens {
            if self.watchers[at].candidate.gate(&target, token, boot).is_err() {
                self.found.refused += 1;
                continue;
            }
            self.found.writes += 1;
            let under_way = self.under_way.entry(target.clone()).or_default();
            under_way.retain(|other| other.end > now);
            for other in under_way.iter() {
                if other.watcher != at || other.token != token {
                    self.found.faults.push(format!(
                        "{now}: watcher {at} writes {target} under {token:?} while watcher {} does under {:?}",
                        other.watcher, other.token
                    ));
                }
            }
            let highest = self.highest.entry(target).or_insert(token);
            if token < *highest {
                self.found.faults.push(format!("{now}: watcher {at} writes under {token:?} after {highest:?}"));
            }
            *highest = token.max(*highest);
            // Long ones and short ones; the longest are what the arithmetic is made for.
            let end = now + if self.chance.next().is_multiple_of(2) { lasts } else { lasts / 20 };
            under_way.push(Under { watcher: at, token, end });
        }
        let next = now + SECOND / 5 + self.below(SECOND);
        self.at(next, What::Write { watcher: at });
    }

    fn mischief(&mut self) {
        if !self.faulty() {
            for watcher in &mut self.watchers {
                watcher.paused_until = watcher.paused_until.min(self.now);
            }
            return;
        }
        let now = self.now;
        let at = usize::try_from(self.below(self.watchers.len() as u64)).unwrap_or(0);
        let alive = self.watchers.iter().filter(|watcher| !watcher.dead).count();
        match self.below(10) {
            // Stopped, as by SIGSTOP, a suspended machine, a hypervisor.
            0..=3 => {
                let pause = match self.below(3) {
                    0 => self.below(8 * SECOND),
                    1 => self.below(60 * SECOND),
                    _ => self.below(300 * SECOND),
                };
                let until = (now + pause).min(CALM);
                self.watchers[at].paused_until = until.max(self.watchers[at].paused_until);
            }
            4 | 5 => self.away_until = now + self.below(if self.below(3) == 0 { 80 } else { 12 } * SECOND),
            // A new leader of the coordinator gives every lease its whole time again.
            6 => self.coordinator.extend(),
            7 if !self.watchers[at].dead && alive > 1 => {
                self.watchers[at].dead = true;
                for under_way in self.under_way.values_mut() {
                    // Its sockets were closed with it.
                    under_way.retain(|under| under.watcher != at);
                }
                let back = now + self.below(40 * SECOND);
                self.at(back, What::Restart);
            }
            _ => {}
        }
        let next = now + SECOND + self.below(25 * SECOND);
        self.at(next, What::Mischief);
    }

    /// After the faults: how long each target has been without an open gate.
    fn look_on(&mut self) {
        if self.now < self.looked_on {
            return;
        }
        self.looked_on = self.now + SECOND / 4;
        let (now, targets) = (self.now, self.targets.clone());
        for target in targets {
            let open = self.holders(&target).next().is_some();
            let since = *self.open_since.entry(target.clone()).or_insert(now);
            if open {
                self.open_since.insert(target, now);
            } else {
                self.found.idle = self.found.idle.max(Duration::from_micros(now - since));
            }
        }
    }

    fn holders<'a>(&'a self, target: &'a TargetName) -> impl Iterator<Item = usize> + 'a {
        let now = self.now;
        let open = move |watcher: &Watcher| watcher.candidate.tenure(target, watcher.boot(now)).is_some();
        let alive = self.watchers.iter().enumerate().filter(|(_, watcher)| !watcher.dead);
        alive.filter(move |(_, watcher)| open(watcher)).map(|(at, _)| at)
    }

    /// In the end each target has exactly one owner, and nobody has two more than another.
    fn end(&mut self) {
        let mut shares: BTreeMap<usize, usize> =
            self.watchers.iter().enumerate().filter(|(_, w)| !w.dead).map(|(at, _)| (at, 0)).collect();
        let targets = self.targets.clone();
        for target in &targets {
            let holders: Vec<_> = self.holders(target).collect();
            if holders.len() != 1 {
                self.found.faults.push(format!("in the end {target} is owned by {holders:?}"));
            }
            for holder in holders {
                *shares.entry(holder).or_default() += 1;
            }
        }
        let (most, least) = (shares.values().max().copied(), shares.values().min().copied());
        if most.unwrap_or(0) > least.unwrap_or(0) + 1 {
            self.found.faults.push(format!("in the end the shares are {shares:?}"));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}
