//! How a candidate registers, renews, claims and gives up: pure, with the time passed in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::term::{GATE, Held, Shares, Term, said_of};
use crate::model::{Digest, TargetName};
use crate::store::{CoordinatorError, LeaseId, Seat};
use crate::target::Fence;
use crate::world::Entropy;

/// How long a lease lasts after the coordinator renewed it. Half of it is the gate's, a third is for requests under way,
/// the rest is for clocks that differ, and for a coordinator whose old leader renews what its new one has not heard of.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// Every request to a target, and every push of a record, ends within this time after the gate was asked.
pub const REQUEST: Duration = Duration::from_secs(10);
/// How long after a failure or a loss it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a candidate looks at who holds what, as long as not all is its own.
const LOOK: Duration = Duration::from_secs(1);
/// At most how long after its registration a new candidate waits before it claims anything: those that start together
/// see each other first.
const SETTLE: Duration = Duration::from_secs(2);
/// The longest time that a step waits; nothing depends on it.
const IDLE: Duration = Duration::from_secs(60);

/// The right to write one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tenure {
    /// Its number: higher than that of every tenure before it.
    pub token: Fence,
}

/// What happens in the elections. For logs and for waking up: what holds is asked of the gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ElectionEvent {
    /// This process may write the target from now on.
    Won {
        /// Which.
        target: TargetName,
        /// The number of this tenure.
        token: Fence,
    },
    /// It may not any more. Never again with that token.
    Lost {
        /// Which.
        target: TargetName,
        /// Why.
        why: String,
    },
    /// Its gate closed by itself, because nothing was heard of the coordinator for too long. Either the tenure is
    /// resumed, or nothing more is said of it.
    Lapsed {
        /// Which.
        target: TargetName,
        /// Why.
        why: String,
    },
    /// Its gate is open again, and the tenure is the same: nobody else can have held it meanwhile.
    Resumed {
        /// Which.
        target: TargetName,
        /// The number of this tenure.
        token: Fence,
    },
    /// The coordinator does not do what it is asked. The gates close by themselves unless it is back in time.
    Unreachable {
        /// What it said, or why it said nothing.
        why: String,
        /// What to do, where more is to be done than to wait.
        help: Option<String>,
    },
    /// It does again.
    Reachable,
}

/// What the coordinator is to be asked. Each names the lease for which it is asked: an answer that comes when that one
/// is lost means nothing any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    Grant,
    KeepAlive(LeaseId),
    /// Tell the others that we are here.
    Register(LeaseId, String),
    Look(LeaseId),
    Claim(LeaseId, TargetName),
    GiveUp(LeaseId, String, u64),
}

impl Ask {
    /// How long it may take. What keeps a gate open must leave time for a second try.
    pub(super) fn within(&self) -> Duration {
        match self {
            Self::Grant | Self::GiveUp(..) => REQUEST,
            Self::KeepAlive(_) | Self::Register(..) | Self::Look(_) | Self::Claim(..) => RENEW,
        }
    }
}

/// What the coordinator answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Granted(LeaseId),
    Kept(Duration),
    /// The key as it stands now.
    Stands(Seat),
    /// The election's keys and the watchers' keys.
    Seen(Vec<Seat>, Vec<Seat>),
    GivenUp,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Ask(Ask),
    /// Nothing before this time (since boot), unless something changes.
    Wait(Duration),
}

/// Which of the two things that go on side by side: a look that hangs must not hold up a renewal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Lane {
    Lease,
    Seats,
}

/// All that one process knows of its elections: times come in, questions go out; no clock, no network.
#[derive(Debug)]
pub(super) struct Candidate {
    elections: String,
    watchers: String,
    me: String,
    targets: BTreeSet<TargetName>,
    /// Names the set of targets: only those who have the same share them.
    roster: String,
    entropy: Entropy,
    term: Option<Term>,
    /// When the last lease or renewal was asked for that was acknowledged, also of a lease that is lost since.
    acked: Option<Duration>,
    grant_at: Duration,
    /// When targets that we lost may be claimed by us again: requests of the lost tenure may still be under way.
    barred: BTreeMap<TargetName, Duration>,
    /// Who holds what is not ours, as last seen.
    holders: BTreeMap<TargetName, String>,
    away: BTreeSet<Lane>,
    closed: Option<&'static str>,
    over: bool,
    events: VecDeque<ElectionEvent>,
}

impl Candidate {
    pub(super) fn new(
        elections: String,
        watchers: String,
        me: String,
        targets: BTreeSet<TargetName>,
        entropy: Entropy,
    ) -> Self {
        Self {
            elections,
            watchers,
            me,
            roster: roster(&targets),
            targets,
            entropy,
            term: None,
            acked: None,
            grant_at: Duration::ZERO,
            barred: BTreeMap::new(),
            holders: BTreeMap::new(),
            away: BTreeSet::new(),
            closed: None,
            over: false,
            events: VecDeque::new(),
        }
    }

    /// What happened and was not taken yet, oldest first.
    pub(super) fn take_events(&mut self) -> VecDeque<ElectionEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn next_event(&mut self) -> Option<ElectionEvent> {
        self.events.pop_front()
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn me(&self) -> &str {
        &self.me
    }

    pub(super) fn prefixes(&self) -> [String; 2] {
        [self.elections.clone(), self.watchers.clone()]
    }

    pub(super) fn key(&self, target: &TargetName) -> String {
        format!("{}{target}", self.elections)
    }

    pub(super) fn lease(&self) -> Option<LeaseId> {
        self.term.as_ref().map(|term| term.lease)
    }

    /// How long ago the last acknowledged renewal was sent.
    pub(super) fn last_ack_age(&self, now: Duration) -> Option<Duration> {
        self.acked.map(|acked| now.saturating_sub(acked))
    }

    /// Who else holds the target, as last seen.
    pub(super) fn holder(&self, target: &TargetName) -> Option<&str> {
        self.holders.get(target).map(String::as_str)
    }

    /// The tenure, while its gate is open.
    pub(super) fn tenure(&self, target: &TargetName, now: Duration) -> Option<Tenure> {
        let term = self.term.as_ref().filter(|_| self.closed.is_none())?;
        let held = term.seats.get(target).filter(|held| term.is_open(held, now))?;
        Some(Tenure { token: held.token })
    }

    /// Whether a request may start now, under that token. Otherwise why not.
    pub(super) fn gate(&self, target: &TargetName, token: Fence, now: Duration) -> Result<(), String> {
        if let Some(why) = self.closed {
            return Err(why.to_owned());
        }
        let Some((term, held)) = self.term.as_ref().and_then(|term| Some((term, term.seats.get(target)?))) else {
            return Err(format!("{target} is not ours to write: another was elected, or nobody is"));
        };
        if held.token != token {
            return Err(format!("the tenure {} of {target} is over; this is {}", token.0, held.token.0));
        }
        if held.leaving.is_some() {
            return Err(format!("{target} is being handed over"));
        }
        if term.is_open(held, now) {
            return Ok(());
        }
        let age = now.saturating_sub(term.acked.min(held.seen)).as_secs();
        Err(format!("the coordinator last acknowledged our tenure of {target} {age} s ago, so nothing more is sent"))
    }

    /// Other targets than before: those that are gone are handed over.
    pub(super) fn set_targets(&mut self, targets: BTreeSet<TargetName>, now: Duration) {
        if self.targets == targets {
            return;
        }
        self.targets = targets;
        self.roster = roster(&self.targets);
        self.holders.retain(|target, _| self.targets.contains(target));
        let Some(term) = &mut self.term else { return };
        // The roster is part of the registration's key.
        term.registered = false;
        term.look_at = now;
        term.claims.clear();
        term.free.retain(|target, _| self.targets.contains(target));
        for (target, held) in &mut term.seats {
            if !self.targets.contains(target) && held.leaving.is_none() {
                if held.counts() {
                    self.events.push_back(lost(target, "it is not among our targets any more"));
                }
                held.leaving = Some(now);
            }
        }
    }

    /// Shuts all gates for good; the lease stays until it is resigned.
    pub(super) fn close(&mut self, why: &'static str) {
        if self.closed.replace(why).is_none() {
            let term = self.term.iter();
            let held = term.flat_map(|term| term.seats.iter().filter(|(_, held)| held.counts()));
            self.events.extend(held.map(|(target, _)| lost(target, why)));
        }
    }

    /// No more questions. Returns the lease that is to be revoked.
    pub(super) fn end(&mut self) -> Option<LeaseId> {
        self.close("this process resigned");
        self.over = true;
        self.term.take().map(|term| term.lease)
    }

    /// What comes next on one of the lanes.
    pub(super) fn step(&mut self, lane: Lane, now: Duration) -> Next {
        if self.over {
            return Next::Wait(now.saturating_add(IDLE));
        }
        match lane {
            Lane::Lease => self.lease_step(now),
            Lane::Seats => self.seat_step(now),
        }
    }

    fn lease_step(&self, now: Duration) -> Next {
        let (at, ask) = match &self.term {
            Some(term) => (term.renew_at, Ask::KeepAlive(term.lease)),
            None => (self.grant_at, Ask::Grant),
        };
        if now >= at { Next::Ask(ask) } else { Next::Wait(at) }
    }

    fn seat_step(&mut self, now: Duration) -> Next {
        let (roster, closed) = (&self.roster, self.closed.is_some());
        let Some(term) = &mut self.term else { return Next::Wait(now.saturating_add(IDLE)) };
        let lease = term.lease;
        if !closed && !term.registered {
            if now >= term.look_at {
                return Next::Ask(Ask::Register(lease, format!("{}{roster}{lease}", self.watchers)));
            }
            return Next::Wait(term.look_at);
        }
        if now >= term.look_at {
            return Next::Ask(Ask::Look(lease));
        }
        let drained = |held: &Held| held.leaving.is_some_and(|shut| now >= shut.saturating_add(REQUEST));
        if let Some((target, held)) = term.seats.iter().find(|(_, held)| drained(held)) {
            return Next::Ask(Ask::GiveUp(lease, format!("{}{target}", self.elections), held.token.0));
        }
        if let Some((key, created)) = term.strays.pop() {
            return Next::Ask(Ask::GiveUp(lease, key, created));
        }
        while let Some(target) = term.claims.pop_front() {
            if !closed && self.targets.contains(&target) && !term.seats.contains_key(&target) {
                return Next::Ask(Ask::Claim(lease, target));
            }
        }
        Next::Wait(term.look_at)
    }

    /// What came of a question that was asked at `sent`.
    pub(super) fn answered(
        &mut self,
        lane: Lane,
        ask: &Ask,
        sent: Duration,
        now: Duration,
        answer: Result<Answer, CoordinatorError>,
    ) {
        if self.over {
            return;
        }
        // What was silent for too long before this answer came is said first.
        self.lapse(now);
        match answer {
            Ok(answer) => {
                self.is_back(lane);
                self.take(ask, answer, sent, now);
            }
            Err(CoordinatorError::LeaseLost) => {
                self.is_back(lane);
                let of = match ask {
                    Ask::Grant => None,
                    Ask::KeepAlive(lease)
                    | Ask::Register(lease, _)
                    | Ask::Look(lease)
                    | Ask::Claim(lease, _)
                    | Ask::GiveUp(lease, ..) => Some(*lease),
                };
                if of.is_some() && of == self.lease() {
                    self.lose("the lease is gone", now);
                }
            }
            Err(error) => self.failed(lane, &error, now),
        }
        if self.closed.is_none()
            && let Some(term) = &mut self.term
        {
            let resumed = term.resume(now).into_iter();
            self.events.extend(resumed.map(|(target, token)| ElectionEvent::Resumed { target, token }));
        }
    }

    /// Says which gates closed by themselves. Returns when the next one does unless something is heard.
    pub(super) fn lapse(&mut self, now: Duration) -> Duration {
        let idle = now.saturating_add(IDLE);
        let Some(term) = self.term.as_mut().filter(|_| self.closed.is_none()) else { return idle };
        let (next, lapsed) = term.lapse(now);
        self.events.extend(lapsed.into_iter().map(|(target, age)| {
            let why = format!("the coordinator last acknowledged it {} s ago, so nothing more is sent", age.as_secs());
            ElectionEvent::Lapsed { target, why }
        }));
        next.unwrap_or(idle)
    }

    fn take(&mut self, ask: &Ask, answer: Answer, sent: Duration, now: Duration) {
        match (ask, answer) {
            (Ask::Grant, Answer::Granted(lease)) if self.term.is_none() => {
                self.acked = self.acked.max(Some(sent));
                self.term = Some(Term {
                    lease,
                    acked: sent,
                    renew_at: sent.saturating_add(RENEW),
                    registered: false,
                    claims_from: Duration::MAX,
                    look_at: now,
                    seats: BTreeMap::new(),
                    free: BTreeMap::new(),
                    claims: VecDeque::new(),
                    strays: Vec::new(),
                    uneven_since: None,
                });
            }
            (Ask::KeepAlive(lease), Answer::Kept(ttl)) => {
                if ttl < LEASE {
                    // The whole arithmetic is about the time that we asked for.
                    let why = format!("a lease of {} s in place of {} s", ttl.as_secs(), LEASE.as_secs());
                    return self.failed(Lane::Lease, &CoordinatorError::Odd { why }, now);
                }
                if let Some(term) = self.term_of(*lease) {
                    term.acked = term.acked.max(sent);
                    term.renew_at = sent.saturating_add(RENEW);
                    self.acked = self.acked.max(Some(sent));
                }
            }
            (Ask::Register(lease, key), Answer::Stands(seat)) => {
                let settle = self.entropy.jitter(SETTLE);
                if let Some(term) = self.term_of(*lease)
                    && seat.key == *key
                {
                    term.registered = true;
                    // Those who start together are to see each other first.
                    term.claims_from = term.claims_from.min(now.saturating_add(settle));
                    term.look_at = now;
                }
            }
            (Ask::Claim(lease, target), Answer::Stands(seat)) if self.lease() == Some(*lease) => {
                self.claimed(target, &seat, sent);
            }
            (Ask::GiveUp(lease, key, created), Answer::GivenUp) => {
                let barred = now.saturating_add(REQUEST);
                let target = self.target_of(key);
                if let Some(term) = self.term_of(*lease)
                    && let Some(target) = target
                    && term.seats.get(&target).is_some_and(|held| held.token.0 == *created)
                {
                    term.seats.remove(&target);
                    // Whoever it was given up for comes first.
                    self.barred.insert(target, barred);
                }
            }
            (Ask::Look(lease), Answer::Seen(seats, watchers)) if self.lease() == Some(*lease) => {
                self.seen(&seats, &watchers, sent, now);
            }
            // An answer about a lease that is lost, or to another question.
            _ => {}
        }
    }

    fn claimed(&mut self, target: &TargetName, seat: &Seat, sent: Duration) {
        let ours = self.is_ours(seat);
        let Some(term) = &mut self.term else { return };
        term.free.remove(target);
        if !ours {
            self.holders.insert(target.clone(), said_of(seat));
            return;
        }
        self.holders.remove(target);
        let token = Fence(seat.created);
        let wanted = self.targets.contains(target) && self.closed.is_none();
        if wanted {
            term.seats.insert(target.clone(), Held { token, seen: sent, leaving: None, lapsed: false });
            self.events.push_back(ElectionEvent::Won { target: target.clone(), token });
        } else {
            // Nobody was told that it is ours, so nothing is under way there.
            term.strays.push((seat.key.clone(), seat.created));
        }
    }

    /// Compares what stands there with what we hold, and decides what to claim and what to hand over.
    fn seen(&mut self, seats: &[Seat], watchers: &[Seat], sent: Duration, now: Duration) {
        self.barred.retain(|_, until| *until > now);
        if let Some(term) = &mut self.term {
            term.strays.clear();
        }
        let by_target: BTreeMap<TargetName, &Seat> =
            seats.iter().filter_map(|seat| Some((self.target_of(&seat.key)?, seat))).collect();
        self.check_held(&by_target, sent, now);
        for (target, seat) in &by_target {
            let held = self.term.as_ref().is_some_and(|term| term.seats.contains_key(target));
            if !held && self.is_ours(seat) && !self.barred.contains_key(target) {
                // A claim whose answer was lost.
                self.claimed(target, seat, sent);
            }
        }
        let prefix = format!("{}{}", self.watchers, self.roster);
        let Some(term) = &mut self.term else { return };
        let registration = format!("{prefix}{}", term.lease);
        for target in self.targets.iter().filter(|target| !term.seats.contains_key(*target)) {
            match by_target.get(target) {
                None => drop(self.holders.remove(target)),
                Some(seat) => drop(self.holders.insert(target.clone(), said_of(seat))),
            }
        }
        // Those with the same targets share them; one key each, or for a moment two.
        let peers: BTreeSet<LeaseId> =
            watchers.iter().filter(|seat| seat.key.starts_with(&prefix)).filter_map(|seat| seat.lease).collect();
        let mine = watchers.iter().filter(|seat| seat.lease == Some(term.lease));
        let (registered, strays): (Vec<_>, Vec<_>) = mine.partition(|seat| seat.key == registration);
        term.registered &= !registered.is_empty();
        term.strays.extend(strays.into_iter().map(|seat| (seat.key.clone(), seat.created)));
        let shares = Shares { targets: &self.targets, stand: &by_target, peers: &peers, entropy: &self.entropy };
        term.note_free(&shares, sent);
        term.claims.clear();
        if self.closed.is_none() {
            term.choose_claims(&shares, &self.barred, now);
            let given = term.hand_over(&shares, now);
            let why = "it is handed over to a watcher that has fewer targets";
            self.events.extend(given.map(|target| lost(&target, why)));
        }
        let all_ours = self.targets.iter().all(|t| term.seats.get(t).is_some_and(|held| held.leaving.is_none()));
        let calm = all_ours && term.seats.len() == self.targets.len() && peers.len() < 2;
        term.look_at = now.saturating_add(if calm { RENEW } else { LOOK });
    }

    /// What is not as we made it is lost: a foreign writer's, a vanished one's, one that was made anew.
    fn check_held(&mut self, by_target: &BTreeMap<TargetName, &Seat>, sent: Duration, now: Duration) {
        let Some(term) = &mut self.term else { return };
        for (target, why) in term.check(by_target, &self.me, sent, now) {
            if !term.seats.contains_key(&target) {
                self.barred.insert(target.clone(), now.saturating_add(REQUEST));
            }
            if let Some(why) = why
                && self.closed.is_none()
            {
                self.events.push_back(lost(&target, &why));
            }
        }
    }

    fn lose(&mut self, why: &str, now: Duration) {
        let Some(term) = self.term.take() else { return };
        for (target, held) in term.seats {
            if held.counts() && self.closed.is_none() {
                self.events.push_back(lost(&target, why));
            }
            // A lease that ended by itself was useless long before; one that somebody revoked was not.
            let shut = held.leaving.unwrap_or(now).min(term.acked.min(held.seen).saturating_add(GATE));
            self.barred.insert(target, shut.saturating_add(REQUEST));
        }
        // Never the old lease again, and not at once.
        self.grant_at = now.saturating_add(RETRY);
    }

    fn failed(&mut self, lane: Lane, error: &CoordinatorError, now: Duration) {
        let again = now.saturating_add(RETRY);
        match (lane, &mut self.term) {
            (Lane::Lease, Some(term)) => term.renew_at = again,
            (Lane::Lease, None) => self.grant_at = again,
            (Lane::Seats, Some(term)) => {
                term.look_at = again;
                // The look says what is still to be claimed, and to be given up.
                term.claims.clear();
            }
            (Lane::Seats, None) => {}
        }
        let was_there = self.away.is_empty();
        if self.away.insert(lane) && was_there {
            let help = match error {
                CoordinatorError::Denied { help, .. } => Some(help.clone()),
                CoordinatorError::Odd { .. } => {
                    Some("see that the address is that of an etcd of 3.4 or newer".to_owned())
                }
                CoordinatorError::LeaseLost
                | CoordinatorError::NoLeader { .. }
                | CoordinatorError::Unreachable { .. } => None,
            };
            self.events.push_back(ElectionEvent::Unreachable { why: error.to_string(), help });
        }
    }

    fn is_back(&mut self, lane: Lane) {
        if self.away.remove(&lane) && self.away.is_empty() {
            self.events.push_back(ElectionEvent::Reachable);
        }
    }

    fn term_of(&mut self, lease: LeaseId) -> Option<&mut Term> {
        self.term.as_mut().filter(|term| term.lease == lease)
    }

    fn is_ours(&self, seat: &Seat) -> bool {
        seat.lease.is_some() && seat.lease == self.lease() && seat.value == self.me && seat.untouched
    }

    fn target_of(&self, key: &str) -> Option<TargetName> {
        key.strip_prefix(&self.elections)?.parse().ok()
    }
}

fn roster(targets: &BTreeSet<TargetName>) -> String {
    let names: Vec<&str> = targets.iter().map(TargetName::as_str).collect();
    format!("{}/", Digest::of(names.join("\n").as_bytes()).short(12))
}

fn lost(target: &TargetName, why: &str) -> ElectionEvent {
    ElectionEvent::Lost { target: target.clone(), why: why.to_owned() }
}
