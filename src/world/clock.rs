//! Tells the time and waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

/// Tells the time and waits. Passed in wherever time matters, so that tests own it.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// A test's.
    Scripted(Arc<ScriptedClock>),
}

/// A clock that moves when it is told to, and when somebody sleeps on it.
#[derive(Debug)]
pub struct ScriptedClock {
    now: Mutex<(Duration, Timestamp)>,
}

impl ScriptedClock {
    /// Starts at boot time zero and the given wall time.
    pub fn starting_at(wall: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new((Duration::ZERO, wall)) })
    }

    /// Moves both clocks.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        now.0 += by;
        now.1 = now.1.checked_add(jiff::SignedDuration::try_from(by).unwrap_or_default()).unwrap_or(now.1);
    }

    fn read(&self) -> (Duration, Timestamp) {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock {
    /// Time since boot, suspend included (`CLOCK_BOOTTIME`): for deadlines. Never goes back.
    pub fn boot(&self) -> Duration {
        match self {
            Self::System => {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
            }
            Self::Scripted(clock) => clock.read().0,
        }
    }

    /// The wall clock: for people and records, never for a decision about this machine's own deadlines.
    pub fn wall(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
            Self::System => Timestamp::now(),
            Self::Scripted(clock) => clock.read().1,
        }
    }

    /// Waits. A scripted clock moves on at once.
    pub async fn sleep(&self, time: Duration) {
        match self {
            Self::System => tokio::time::sleep(time).await,
            Self::Scripted(clock) => {
                clock.advance(time);
                tokio::task::yield_now().await;
            }
        }
    }
}
