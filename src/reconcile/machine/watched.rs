//! What is known of one target, and when it is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::input::Blocked;
use crate::model::{Digest, EndpointName};
use crate::reconcile::backoff::Backoff;
use crate::reconcile::contest::Contests;

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
    pub(super) probing: BTreeSet<EndpointName>,
    /// Endpoints that were late, and are waited for the next time.
    pub(super) patient: BTreeSet<EndpointName>,
    /// Resources that are left alone for now.
    pub waiting: BTreeMap<String, Waiting>,
    /// Fields that rivals keep changing back.
    pub contests: Contests,
    /// The project has it no more; it is forgotten when its last cycle ends.
    pub(super) gone: bool,
    /// It is to be something else since its last cycle: how far it is behind is worked out even if nobody can be reached.
    pub(super) moved: bool,
    pub(super) digest: Option<Digest>,
    pub(super) endpoints: BTreeSet<EndpointName>,
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
    pub(super) fn probes(&self) -> impl Iterator<Item = (EndpointName, Duration)> + '_ {
        self.troubled
            .iter()
            .filter(|(name, trouble)| trouble.away && !self.probing.contains(*name))
            .map(|(name, trouble)| (name.clone(), trouble.backoff.until))
    }

    pub(super) fn is_away(&self, endpoint: &EndpointName, now: Duration) -> bool {
        self.troubled.get(endpoint).is_some_and(|trouble| trouble.away || trouble.backoff.holds(now))
    }

    /// True if a cycle would speak to nobody: only probes, or the end of a wait, bring it back.
    pub(super) fn is_all_away(&self, now: Duration) -> bool {
        !self.endpoints.is_empty() && self.endpoints.iter().all(|endpoint| self.is_away(endpoint, now))
    }

    /// Forgets every wait of our own: all is tried again now. What a server asked for is not ours to forget.
    pub(super) fn forget(&mut self) {
        self.blocked = None;
        self.waiting.clear();
        self.contests.clear();
        for trouble in self.troubled.values_mut().filter(|trouble| !trouble.asked) {
            (trouble.away, trouble.backoff.until) = (false, Duration::ZERO);
        }
    }
}
