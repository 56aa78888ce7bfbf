//! A token bucket: how often requests may start.

use std::time::Duration;

/// How often requests may start: `per_second` on average, `burst` at once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// Requests per second.
    pub per_second: f64,
    /// Requests that may start together after a quiet time.
    pub burst: u32,
}

/// A token bucket: in any window of `W` seconds at most `burst + per_second × W` requests start.
///
/// An own one, because the simulation owns the clock and wants to be told *when* rather than *whether*; `governor` knows
/// only its own clocks for the waiting half. It keeps one number, the time at which the bucket would be full again.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    interval: Duration,
    slack: Duration,
    full_at: Duration,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / rate.per_second.max(1e-6)).unwrap_or(Duration::MAX / 4);
        // One nanosecond more than the quotient, so that rounding never lets the rate be exceeded.
        let interval = interval.saturating_add(Duration::from_nanos(1));
        Self { interval, slack: interval.saturating_mul(rate.burst.max(1) - 1), full_at: Duration::ZERO }
    }

    /// Takes the next token and returns how long to wait before it may be used.
    pub fn take(&mut self, now: Duration) -> Duration {
        let start = now.max(self.full_at.saturating_sub(self.slack));
        self.full_at = self.full_at.max(start).saturating_add(self.interval);
        start - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_window_holds_more_than_burst_and_rate(
            per_second in 0.5_f64..500.0,
            burst in 1_u32..50,
            gaps in proptest::collection::vec(0_u64..200, 1..200),
        ) {
            let mut bucket = TokenBucket::new(Rate { per_second, burst });
            let mut now = Duration::ZERO;
            let mut starts = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                starts.push(now + bucket.take(now));
            }
            for (i, from) in starts.iter().enumerate() {
                for (n, to) in starts[i..].iter().enumerate() {
                    let window = (*to - *from).as_secs_f64();
                    prop_assert!((n + 1) as f64 <= f64::from(burst) + per_second * window + 1e-6);
                }
            }
        }

        #[test]
        fn a_busy_caller_gets_nearly_all_of_the_rate(per_second in 1.0_f64..500.0, burst in 1_u32..50) {
            let mut bucket = TokenBucket::new(Rate { per_second, burst });
            let (mut now, mut count) = (Duration::ZERO, 0_u32);
            while now < Duration::from_secs(60) {
                now += bucket.take(now);
                count += 1;
            }
            prop_assert!(f64::from(count) >= 0.95 * per_second * 60.0, "{} requests", count);
        }
    }
}
