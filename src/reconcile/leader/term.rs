//! A lease and all that ends with it: the gate, and the shares of those who hold targets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::model::TargetName;
use crate::store::{LeaseId, Seat};
use crate::target::Fence;
use crate::world::Entropy;

/// How long after the send time of the last acknowledged renewal requests may start.
pub(super) const GATE: Duration = Duration::from_secs(15);
/// At most how long a target must have been free before a candidate takes it beyond its share.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long shares must have been uneven before one is handed over.
const UNEVEN: Duration = Duration::from_secs(10);

/// A lease, and all that ends with it.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) lease: LeaseId,
    /// When the last acknowledged renewal was sent.
    pub(super) acked: Duration,
    pub(super) renew_at: Duration,
    pub(super) registered: bool,
    /// No claims before this time.
    pub(super) claims_from: Duration,
    pub(super) look_at: Duration,
    pub(super) seats: BTreeMap<TargetName, Held>,
    pub(super) free: BTreeMap<TargetName, Free>,
    pub(super) claims: VecDeque<TargetName>,
    /// Keys of our lease that are not wanted any more.
    pub(super) strays: Vec<(String, u64)>,
    pub(super) uneven_since: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) token: Fence,
    /// When the last look that found it in order was sent.
    pub(super) seen: Duration,
    /// When its gate was shut, so that another may have it.
    pub(super) leaving: Option<Duration>,
    /// Whoever listens knows that its gate closed by itself.
    pub(super) lapsed: bool,
}

impl Held {
    /// Whoever listens takes it for ours.
    pub(super) fn counts(&self) -> bool {
        self.leaving.is_none() && !self.lapsed
    }
}

/// A target that nobody holds.
#[derive(Debug)]
pub(super) struct Free {
    since: Duration,
    patience: Duration,
}

/// What a look showed, for those who share the targets.
pub(super) struct Shares<'a> {
    pub(super) targets: &'a BTreeSet<TargetName>,
    /// The keys as they stand.
    pub(super) stand: &'a BTreeMap<TargetName, &'a Seat>,
    /// Those who stand for the same targets.
    pub(super) peers: &'a BTreeSet<LeaseId>,
    pub(super) entropy: &'a Entropy,
}

impl Shares<'_> {
    fn held_by(&self, lease: LeaseId) -> usize {
        let of = |target: &&TargetName| self.stand.get(*target).is_some_and(|seat| seat.lease == Some(lease));
        self.targets.iter().filter(of).count()
    }
}

impl Term {
    /// Both the lease and the key were found in order by something that was sent less than 15 s ago.
    pub(super) fn is_open(&self, held: &Held, now: Duration) -> bool {
        let good = self.acked.min(held.seen);
        // A time from the future is none that was measured on this clock.
        held.leaving.is_none() && good <= now && now - good < GATE
    }

    /// When the first of the gates that are open closes unless something is heard, and which closed without a word.
    pub(super) fn lapse(&mut self, now: Duration) -> (Option<Duration>, Vec<(TargetName, Duration)>) {
        let (mut next, mut lapsed) = (None, Vec::new());
        let open: Vec<TargetName> =
            self.seats.iter().filter(|(_, held)| self.is_open(held, now)).map(|(target, _)| target.clone()).collect();
        let acked = self.acked;
        for (target, held) in self.seats.iter_mut().filter(|(_, held)| held.counts()) {
            let good = acked.min(held.seen);
            if open.contains(target) {
                let closes = good.saturating_add(GATE);
                next = Some(next.map_or(closes, |next: Duration| next.min(closes)));
            } else {
                held.lapsed = true;
                lapsed.push((target.clone(), now.saturating_sub(good)));
            }
        }
        (next, lapsed)
    }

    /// Gates that had closed by themselves and are open again: the lease and the key outlived the silence, so that nobody
    /// else can have held them meanwhile.
    pub(super) fn resume(&mut self, now: Duration) -> Vec<(TargetName, Fence)> {
        let open = |(target, held): (&TargetName, &Held)| {
            (held.lapsed && self.is_open(held, now)).then(|| (target.clone(), held.token))
        };
        let resumed: Vec<_> = self.seats.iter().filter_map(open).collect();
        for (target, _) in &resumed {
            if let Some(held) = self.seats.get_mut(target) {
                held.lapsed = false;
            }
        }
        resumed
    }

    /// Compares what we hold with what stands there. Returns what is not ours any more, or is about to be given up, and
    /// why, where that is news.
    pub(super) fn check(
        &mut self,
        stand: &BTreeMap<TargetName, &Seat>,
        me: &str,
        sent: Duration,
        now: Duration,
    ) -> Vec<(TargetName, Option<String>)> {
        let mut found = Vec::new();
        for (target, held) in &mut self.seats {
            let Some(seat) = stand.get(target) else {
                found.push((target.clone(), held.counts().then(|| "its key is gone".to_owned()), true));
                continue;
            };
            let made_by_us = seat.created == held.token.0;
            let on_our_lease = seat.lease == Some(self.lease);
            if made_by_us && on_our_lease && seat.value == me && seat.untouched {
                held.seen = held.seen.max(sent);
                continue;
            }
            let why = held.counts().then(|| match made_by_us {
                true => format!("somebody wrote to our key: {}", said_of(seat)),
                false => format!("another holds its key: {}", said_of(seat)),
            });
            // On our lease it stands as long as we do: nobody can have it, us included, unless we give it up.
            let stays = made_by_us && on_our_lease;
            if stays {
                held.leaving.get_or_insert(now);
            }
            found.push((target.clone(), why, !stays));
        }
        for (target, ..) in found.iter().filter(|(.., gone)| *gone) {
            self.seats.remove(target);
        }
        found.into_iter().map(|(target, why, _)| (target, why)).collect()
    }

    /// Remembers since when which targets are free.
    pub(super) fn note_free(&mut self, shares: &Shares<'_>, sent: Duration) {
        let is_free = |target: &TargetName| !shares.stand.contains_key(target) && shares.targets.contains(target);
        self.free.retain(|target, _| is_free(target));
        for target in shares.targets {
            if is_free(target) && !self.seats.contains_key(target) {
                let free = || Free { since: sent, patience: shares.entropy.jitter(PATIENCE) };
                self.free.entry(target.clone()).or_insert_with(free);
            }
        }
    }

    /// Free targets up to our share at once; more only when nobody took them for a while.
    pub(super) fn choose_claims(
        &mut self,
        shares: &Shares<'_>,
        barred: &BTreeMap<TargetName, Duration>,
        now: Duration,
    ) {
        if now < self.claims_from {
            return;
        }
        let others = shares.peers.iter().filter(|lease| **lease != self.lease).count();
        let share = shares.targets.len().div_ceil(others + 1);
        let mut mine = self.seats.values().filter(|held| held.leaving.is_none()).count();
        // In another order for each, so that not all try for the same one.
        let free = self.free.iter().filter(|(target, _)| !barred.contains_key(*target));
        let mut free: Vec<_> = free.map(|(target, free)| (shares.entropy.next(), target, free)).collect();
        free.sort_by_key(|(chance, ..)| *chance);
        for (_, target, free) in free {
            if mine < share || now >= free.since.saturating_add(free.patience) {
                mine += 1;
                self.claims.push_back(target.clone());
            }
        }
    }

    /// Gives one target to a watcher that has two fewer, if nothing is free and it has been so for a while: shuts its
    /// gate and returns it. Of all watchers only the richest does so, or they would all give at once.
    pub(super) fn hand_over(&mut self, shares: &Shares<'_>, now: Duration) -> Option<TargetName> {
        let me = self.lease;
        let busy = !self.free.is_empty() || self.seats.values().any(|held| held.leaving.is_some());
        let mine = shares.held_by(me);
        let counts: Vec<_> = shares.peers.iter().map(|lease| (shares.held_by(*lease), *lease)).collect();
        let poorest = counts.iter().map(|(count, _)| *count).min().unwrap_or(mine);
        let richest = counts.iter().all(|(count, lease)| *lease == me || (*count, *lease) < (mine, me));
        if busy || !shares.peers.contains(&me) || !richest || mine < poorest + 2 {
            self.uneven_since = None;
            return None;
        }
        let since = *self.uneven_since.get_or_insert(now);
        if now < since.saturating_add(UNEVEN) {
            return None;
        }
        self.uneven_since = None;
        let (target, held) = self.seats.iter_mut().next_back()?;
        held.leaving = Some(now);
        Some(target.clone())
    }
}

/// Who holds a key, for people.
pub(super) fn said_of(seat: &Seat) -> String {
    match seat.lease {
        Some(_) => seat.value.clone(),
        None => format!("{}; it goes with no lease, so it stays until `etcdctl del {}`", seat.value, seat.key),
    }
}
