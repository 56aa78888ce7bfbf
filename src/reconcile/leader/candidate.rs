use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::model::{Digest, TargetName};
use crate::store::{CoordinatorError, LeaseId, Seat};
use crate::target::Fence;
use crate::world::Entropy;

/// How long a lease lasts after the coordinator renewed it. Half of it is the gate's, a third is for requests under way,
/// the rest is for clocks that differ, and for a coordinator whose old leader renews what its new one has not heard of.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// How long after the send time of the last acknowledged renewal requests may start.
const GATE: Duration = Duration::from_secs(15);
/// Every request to a target, and every push of a record, ends within this time after the gate was asked.
pub const REQUEST: Duration = Duration::from_secs(10);
/// How long after a failure or a loss it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a candidate looks at who holds what, as long as not all is its own.
const LOOK: Duration = Duration::from_secs(1);
/// At most how long after its registration a new candidate waits before it claims anything: those that start together
/// see each other first.
const SETTLE: Duration = Duration::from_secs(2);
/// At most how long a target must have been free before a candidate takes it beyond its share.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long shares must have been uneven before one is handed over.
const UNEVEN: Duration = Duration::from_secs(10);
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
    grant_at: Duration,
    /// When targets that we lost may be claimed by us again: requests of the lost tenure may still be under way.
    barred: BTreeMap<TargetName, Duration>,
    /// Who holds what is not ours, as last seen.
    holders: BTreeMap<TargetName, String>,
    away: BTreeSet<Lane>,
    closed: Option<&'static str>,
    over: bool,
    events: Vec<ElectionEvent>,
}

/// A lease, and all that ends with it.
#[derive(Debug)]
struct Term {
    lease: LeaseId,
    /// When the last acknowledged renewal was sent.
    acked: Duration,
    renew_at: Duration,
    registered: bool,
    /// No claims before this time.
    claims_from: Duration,
    look_at: Duration,
    seats: BTreeMap<TargetName, Held>,
    free: BTreeMap<TargetName, Free>,
    claims: VecDeque<TargetName>,
    /// Keys of our lease that are not wanted any more.
    strays: Vec<(String, u64)>,
    uneven_since: Option<Duration>,
}

#[derive(Debug)]
struct Held {
    token: Fence,
    /// When the last look that found it in order was sent.
    seen: Duration,
    /// When its gate was shut, so that another may have it.
    leaving: Option<Duration>,
}

impl Term {
    /// Both the lease and the key were found in order by something that was sent less than 15 s ago.
    fn is_open(&self, held: &Held, now: Duration) -> bool {
        let good = self.acked.min(held.seen);
        // A time from the future is none that was measured on this clock.
        held.leaving.is_none() && good <= now && now - good < GATE
    }
}

#[derive(Debug)]
struct Free {
    since: Duration,
    patience: Duration,
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
            grant_at: Duration::ZERO,
            barred: BTreeMap::new(),
            holders: BTreeMap::new(),
            away: BTreeSet::new(),
            closed: None,
            over: false,
            events: Vec::new(),
        }
    }

    /// What happened since this was last asked.
    pub(super) fn take_events(&mut self) -> Vec<ElectionEvent> {
        std::mem::take(&mut self.events)
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
        self.term.as_ref().map(|term| now.saturating_sub(term.acked))
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
                held.leaving = Some(now);
                self.events.push(lost(target, "it is not among our targets any more"));
            }
        }
    }

    /// Shuts all gates for good; the lease stays until it is resigned.
    pub(super) fn close(&mut self, why: &'static str) {
        if self.closed.replace(why).is_none() {
            let term = self.term.iter();
            let held = term.flat_map(|term| term.seats.iter().filter(|(_, held)| held.leaving.is_none()));
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
    }

    fn take(&mut self, ask: &Ask, answer: Answer, sent: Duration, now: Duration) {
        match (ask, answer) {
            (Ask::Grant, Answer::Granted(lease)) if self.term.is_none() => {
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
            (Ask::Claim(lease, target), Answer::Stands(seat)) => {
                if self.lease() == Some(*lease) {
                    self.claimed(target, &seat, sent);
                }
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
            (Ask::Look(lease), Answer::Seen(seats, watchers)) => {
                if self.lease() == Some(*lease) {
                    self.seen(&seats, &watchers, sent, now);
                }
            }
            // An answer to another question: whoever asks pairs them.
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
            term.seats.insert(target.clone(), Held { token, seen: sent, leaving: None });
            self.events.push(ElectionEvent::Won { target: target.clone(), token });
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
        let roster = &self.roster;
        let registration = self.lease().map(|lease| format!("{}{roster}{lease}", self.watchers));
        let prefix = format!("{}{roster}", self.watchers);
        let Some(term) = &mut self.term else { return };
        for target in &self.targets {
            match by_target.get(target) {
                None if !term.seats.contains_key(target) => {
                    self.holders.remove(target);
                    let patience = self.entropy.jitter(PATIENCE);
                    term.free.entry(target.clone()).or_insert(Free { since: sent, patience });
                }
                Some(seat) if !term.seats.contains_key(target) => {
                    term.free.remove(target);
                    self.holders.insert(target.clone(), said_of(seat));
                }
                _ => {
                    term.free.remove(target);
                }
            }
        }
        // Those with the same targets share them; one key each, or for a moment two.
        let peers: BTreeSet<LeaseId> =
            watchers.iter().filter(|seat| seat.key.starts_with(&prefix)).filter_map(|seat| seat.lease).collect();
        let me = term.lease;
        let mine = watchers.iter().filter(|seat| seat.lease == Some(me));
        term.registered &= mine.clone().any(|seat| Some(&seat.key) == registration.as_ref());
        term.strays.extend(
            mine.filter(|seat| Some(&seat.key) != registration.as_ref()).map(|seat| (seat.key.clone(), seat.created)),
        );
        let others = peers.iter().filter(|lease| **lease != me).count();
        self.choose_claims(others + 1, now);
        self.hand_over(&by_target, &peers, now);
        let Some(term) = &mut self.term else { return };
        let all_ours = self.targets.iter().all(|t| term.seats.get(t).is_some_and(|held| held.leaving.is_none()));
        let calm = all_ours && term.seats.len() == self.targets.len() && peers.len() < 2;
        term.look_at = now.saturating_add(if calm { RENEW } else { LOOK });
    }

    /// What is not as we made it is lost: a foreign writer's, a vanished one's, one that was made anew.
    fn check_held(&mut self, by_target: &BTreeMap<TargetName, &Seat>, sent: Duration, now: Duration) {
        let Some(term) = &mut self.term else { return };
        let (lease, me) = (term.lease, &self.me);
        let (mut gone, mut touched) = (Vec::new(), Vec::new());
        for (target, held) in &mut term.seats {
            let why = match by_target.get(target) {
                Some(seat)
                    if seat.created == held.token.0
                        && seat.lease == Some(lease)
                        && &seat.value == me
                        && seat.untouched =>
                {
                    held.seen = held.seen.max(sent);
                    continue;
                }
                Some(seat) if seat.created == held.token.0 && seat.lease == Some(lease) => {
                    // It stands as long as our lease: nobody else can have it unless we give it up.
                    if held.leaving.is_none() {
                        held.leaving = Some(now);
                        touched.push((target.clone(), format!("somebody wrote to our key: {}", said_of(seat))));
                    }
                    continue;
                }
                Some(seat) if seat.created == held.token.0 => format!("somebody wrote to our key: {}", said_of(seat)),
                Some(seat) => format!("another holds its key: {}", said_of(seat)),
                None => "its key is gone".to_owned(),
            };
            gone.push((target.clone(), held.leaving.is_some(), why));
        }
        if self.closed.is_none() {
            self.events.extend(touched.iter().map(|(target, why)| lost(target, why)));
        }
        for (target, leaving, why) in gone {
            term.seats.remove(&target);
            self.barred.insert(target.clone(), now.saturating_add(REQUEST));
            if !leaving && self.closed.is_none() {
                self.events.push(lost(&target, &why));
            }
        }
    }

    /// Free targets up to our share at once; more only when nobody took them for a while.
    fn choose_claims(&mut self, watchers: usize, now: Duration) {
        let Some(term) = &mut self.term else { return };
        term.claims.clear();
        if self.closed.is_some() || now < term.claims_from {
            return;
        }
        let share = self.targets.len().div_ceil(watchers.max(1));
        let mut mine = term.seats.values().filter(|held| held.leaving.is_none()).count();
        // In another order for each, so that not all try for the same one.
        let mut free: Vec<_> = term
            .free
            .iter()
            .filter(|(target, _)| !self.barred.contains_key(*target))
            .map(|(target, free)| (self.entropy.next(), target, free))
            .collect();
        free.sort_by_key(|(chance, ..)| *chance);
        for (_, target, free) in free {
            if mine < share || now >= free.since.saturating_add(free.patience) {
                mine += 1;
                term.claims.push_back(target.clone());
            }
        }
    }

    /// Gives one target to a watcher that has two fewer, if nothing is free and it has been so for a while. Of all
    /// watchers only the richest does it, so that they do not all give at once.
    fn hand_over(&mut self, by_target: &BTreeMap<TargetName, &Seat>, peers: &BTreeSet<LeaseId>, now: Duration) {
        let Some(term) = &mut self.term else { return };
        let me = term.lease;
        let held_by = |lease: LeaseId| {
            let of = |target: &&TargetName| by_target.get(*target).is_some_and(|seat| seat.lease == Some(lease));
            self.targets.iter().filter(of).count()
        };
        let busy = !term.free.is_empty() || term.seats.values().any(|held| held.leaving.is_some());
        let mine = held_by(me);
        let counts: Vec<(usize, LeaseId)> = peers.iter().map(|lease| (held_by(*lease), *lease)).collect();
        let poorest = counts.iter().map(|(count, _)| *count).min().unwrap_or(mine);
        let richest = counts.iter().all(|(count, lease)| *lease == me || (*count, *lease) < (mine, me));
        if busy || !peers.contains(&me) || self.closed.is_some() || !richest || mine < poorest + 2 {
            term.uneven_since = None;
            return;
        }
        let since = *term.uneven_since.get_or_insert(now);
        if now < since.saturating_add(UNEVEN) {
            return;
        }
        term.uneven_since = None;
        if let Some((target, held)) = term.seats.iter_mut().next_back() {
            held.leaving = Some(now);
            self.events.push(lost(target, "it is handed over to a watcher that has fewer targets"));
        }
    }

    fn lose(&mut self, why: &str, now: Duration) {
        let Some(term) = self.term.take() else { return };
        for (target, held) in term.seats {
            if held.leaving.is_none() && self.closed.is_none() {
                self.events.push(lost(&target, why));
            }
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
            self.events.push(ElectionEvent::Unreachable { why: error.to_string(), help });
        }
    }

    fn is_back(&mut self, lane: Lane) {
        if self.away.remove(&lane) && self.away.is_empty() {
            self.events.push(ElectionEvent::Reachable);
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

/// Who holds a key, for people.
fn said_of(seat: &Seat) -> String {
    match seat.lease {
        Some(_) => seat.value.clone(),
        None => format!("{}; it goes with no lease, so it stays until `etcdctl del {}`", seat.value, seat.key),
    }
}
