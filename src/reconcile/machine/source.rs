//! The looks at the source: what is in force, and how old it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Machine;
use super::input::Looked;
use crate::model::{Digest, TargetName};

/// A source that was not heard of for two intervals and this is an old one, though nothing says that it is away.
const HEARD_OF: Duration = Duration::from_secs(60);

impl Machine {
    pub(super) fn look_may(&self) -> Duration {
        self.look_started.map_or(Duration::ZERO, |started| started + self.pace.look_gap)
    }

    pub(super) fn looked(&mut self, now: Duration, looked: Looked) {
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
    pub(super) fn is_old(&self, now: Duration) -> bool {
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
}
