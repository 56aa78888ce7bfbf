//! How long to leave alone what did not come through.

use std::time::Duration;

/// The wait after a first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait: what failed always comes back.
pub(super) const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Failures in a row, and when to try again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backoff {
    /// Failures in a row.
    pub attempts: u32,
    /// Not before this time since boot.
    pub until: Duration,
}

impl Backoff {
    /// One more failure at `now`: 1 s, 2 s, 4 s … up to 5 min, each between three quarters and the whole of it as
    /// `chance` (0 to 1) says, so that many do not come back together.
    #[must_use]
    pub fn after(self, now: Duration, chance: f64) -> Self {
        let doubled = FIRST.saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX));
        let wait = doubled.min(LONGEST).mul_f64(0.75 + 0.25 * chance.clamp(0.0, 1.0));
        Self { attempts: self.attempts.saturating_add(1), until: now.saturating_add(wait) }
    }

    /// One more failure, tried again after exactly `wait`.
    #[must_use]
    pub fn every(self, now: Duration, wait: Duration) -> Self {
        Self { attempts: self.attempts.saturating_add(1), until: now.saturating_add(wait) }
    }

    /// One more failure, tried again not before `until`: the server said so.
    #[must_use]
    pub fn not_before(self, until: Duration) -> Self {
        Self { attempts: self.attempts.saturating_add(1), until }
    }

    /// True while it is to be left alone.
    pub fn holds(self, now: Duration) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..70 {
            backoff = backoff.after(now, 1.0);
            waits.push((backoff.until - now).as_secs());
            now = backoff.until;
        }
        assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(waits[10..].iter().all(|wait| *wait == 300), "and it stays there, however often it fails");
    }
}
