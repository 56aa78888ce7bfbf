//! A coordinator that ends with the process, and loses what it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::coordinator::{Coordinator, CoordinatorError, LeaseId, Seat};
use crate::world::Clock;

/// A [`Coordinator`] that ends with the process: for tests and simulations. Leases end by its own clock, which need not
/// be that of whoever asks; a script says which questions are lost.
pub struct MemoryCoordinator {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: u64,
    granted: i64,
    leases: BTreeMap<LeaseId, Lease>,
    keys: BTreeMap<String, Seat>,
    script: Option<Script>,
}

struct Lease {
    ttl: Duration,
    end: Duration,
}

/// Told the question (`grant`, `keep-alive`, `revoke`, `claim`, `give-up`, `look`), says what becomes of it.
type Script = Box<dyn FnMut(&str) -> Option<Lost> + Send>;

/// What is lost of a question and its answer. Whoever asks waits as long as it may, in vain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// It never arrives.
    Request,
    /// It is done, and nobody hears of it.
    Answer,
    /// It is refused at once: too few members see each other.
    Leader,
}

impl fmt::Debug for MemoryCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryCoordinator").field("revision", &state.revision).field("keys", &state.keys).finish()
    }
}

impl MemoryCoordinator {
    /// One without leases and keys.
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// From now on `script` says what is lost.
    pub fn lose(&self, script: impl FnMut(&str) -> Option<Lost> + Send + 'static) {
        self.state().script = Some(Box::new(script));
    }

    /// Writes a key as a stranger does, who knows of no leases.
    pub fn write(&self, key: &str, value: &str) {
        let mut state = self.now();
        state.revision += 1;
        let created = state.revision;
        let seat = match state.keys.get(key) {
            Some(old) => Seat { value: value.to_owned(), untouched: false, lease: None, ..old.clone() },
            None => Seat { key: key.to_owned(), value: value.to_owned(), created, untouched: true, lease: None },
        };
        state.keys.insert(key.to_owned(), seat);
    }

    /// Deletes a key as a stranger does.
    pub fn delete(&self, key: &str) {
        self.now().keys.remove(key);
    }

    /// Gives every lease its whole time again, as a new leader among its members does.
    pub fn extend(&self) {
        let now = self.clock.boot();
        for lease in self.now().leases.values_mut() {
            lease.end = now.saturating_add(lease.ttl);
        }
    }

    /// The keys as they stand, in order.
    pub fn keys(&self) -> Vec<Seat> {
        self.now().keys.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as it is now: what has ended is gone.
    fn now(&self) -> MutexGuard<'_, State> {
        let now = self.clock.boot();
        let mut guard = self.state();
        let state = &mut *guard;
        state.leases.retain(|_, lease| lease.end > now);
        let leases = &state.leases;
        state.keys.retain(|_, seat| seat.lease.is_none_or(|lease| leases.contains_key(&lease)));
        guard
    }

    async fn asked<R>(
        &self,
        question: &str,
        within: Duration,
        answer: impl FnOnce(&mut State) -> Result<R, CoordinatorError>,
    ) -> Result<R, CoordinatorError> {
        let lost = self.state().script.as_mut().and_then(|script| script(question));
        let why = || "scripted".to_owned();
        let answer = match lost {
            None => return answer(&mut self.now()),
            Some(Lost::Leader) => return Err(CoordinatorError::NoLeader { why: why() }),
            Some(Lost::Request) => None,
            Some(Lost::Answer) => Some(answer(&mut self.now())),
        };
        drop(answer);
        self.clock.sleep(within).await;
        Err(CoordinatorError::Unreachable { why: why() })
    }
}

impl Coordinator for MemoryCoordinator {
    async fn grant(&self, ttl: Duration, within: Duration) -> Result<LeaseId, CoordinatorError> {
        let end = self.clock.boot().saturating_add(ttl);
        let answer = |state: &mut State| {
            state.granted += 1;
            let lease = LeaseId(state.granted);
            state.leases.insert(lease, Lease { ttl, end });
            Ok(lease)
        };
        self.asked("grant", within, answer).await
    }

    async fn keep_alive(&self, lease: LeaseId, within: Duration) -> Result<Duration, CoordinatorError> {
        let now = self.clock.boot();
        let answer = |state: &mut State| {
            let lease = state.leases.get_mut(&lease).ok_or(CoordinatorError::LeaseLost)?;
            lease.end = now.saturating_add(lease.ttl);
            Ok(lease.ttl)
        };
        self.asked("keep-alive", within, answer).await
    }

    async fn revoke(&self, lease: LeaseId, within: Duration) -> Result<(), CoordinatorError> {
        let answer = |state: &mut State| {
            state.leases.remove(&lease);
            state.keys.retain(|_, seat| seat.lease != Some(lease));
            Ok(())
        };
        self.asked("revoke", within, answer).await
    }

    async fn claim(&self, key: &str, value: &str, lease: LeaseId, within: Duration) -> Result<Seat, CoordinatorError> {
        let answer = |state: &mut State| {
            if let Some(seat) = state.keys.get(key) {
                return Ok(seat.clone());
            }
            if !state.leases.contains_key(&lease) {
                return Err(CoordinatorError::LeaseLost);
            }
            state.revision += 1;
            let (key, value, created) = (key.to_owned(), value.to_owned(), state.revision);
            let seat = Seat { key: key.clone(), value, created, untouched: true, lease: Some(lease) };
            state.keys.insert(key, seat.clone());
            Ok(seat)
        };
        self.asked("claim", within, answer).await
    }

    async fn give_up(&self, key: &str, created: u64, within: Duration) -> Result<(), CoordinatorError> {
        let answer = |state: &mut State| {
            if state.keys.get(key).is_some_and(|seat| seat.created == created) {
                state.keys.remove(key);
            }
            Ok(())
        };
        self.asked("give-up", within, answer).await
    }

    async fn look(&self, prefixes: &[String], within: Duration) -> Result<Vec<Vec<Seat>>, CoordinatorError> {
        let answer = |state: &mut State| {
            let below = |prefix: &String| {
                state.keys.values().filter(|seat| seat.key.starts_with(prefix)).cloned().collect::<Vec<_>>()
            };
            Ok(prefixes.iter().map(below).collect())
        };
        self.asked("look", within, answer).await
    }
}
