//! How long endpoints that answered wait for those that have not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::world::Clock;

/// Endpoints that are looked at side by side, and whether those that have not answered yet keep the others waiting.
///
/// Nobody waits for an endpoint that was quick before, is silent now, and is the last one: what it is to get comes with a
/// later look. As long as another one is still being looked at, waiting costs nothing.
pub(super) struct Stragglers<'c> {
    clock: &'c Clock,
    started: Duration,
    state: Mutex<State>,
    moved: Notify,
}

struct State {
    /// Endpoints that answered and are being looked at.
    busy: usize,
    /// Endpoints of which everything is known.
    done: usize,
    /// When somebody answered last, or was done.
    at: Duration,
}

impl<'c> Stragglers<'c> {
    pub(super) fn new(clock: &'c Clock) -> Self {
        let started = clock.boot();
        let state = Mutex::new(State { busy: 0, done: 0, at: started });
        Self { clock, started, state, moved: Notify::new() }
    }

    /// An endpoint answered.
    pub(super) fn answered(&self) {
        let now = self.clock.boot();
        let mut state = self.state();
        (state.busy, state.at) = (state.busy + 1, now);
        drop(state);
        self.moved.notify_waiters();
    }

    /// An endpoint that answered was looked at.
    pub(super) fn done(&self) {
        let now = self.clock.boot();
        let mut state = self.state();
        (state.busy, state.done, state.at) = (state.busy.saturating_sub(1), state.done + 1, now);
        drop(state);
        self.moved.notify_waiters();
    }

    /// Comes back once only those are left that have not answered, and no answer is late: nothing moved for `late`, or for
    /// as long as all the rest took.
    pub(super) async fn keep_waiting(&self, late: Duration) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // From now on: whoever moves while the state is looked at is not missed.
            moved.as_mut().enable();
            let until = {
                let state = self.state();
                let waits = state.busy == 0 && state.done > 0;
                waits.then(|| state.at + late.max(state.at.saturating_sub(self.started)))
            };
            let Some(until) = until else {
                moved.await;
                continue;
            };
            let left = until.saturating_sub(self.clock.boot());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = moved => {}
                () = self.clock.sleep(left) => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
