//! A token bucket for each client.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// More clients than this are not remembered at once: full buckets go first.
const MAX_CLIENTS: usize = 10_000;

/// So many requests a second for each client, and a second's worth at once.
#[derive(Debug)]
pub struct Limiter {
    per_second: f64,
    /// Tokens left, and when that was so.
    buckets: BTreeMap<IpAddr, (f64, Duration)>,
}

impl Limiter {
    /// At least one request a second.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), buckets: BTreeMap::new() }
    }

    /// Takes one token, or says how long until there is one.
    pub fn take(&mut self, client: IpAddr, now: Duration) -> Result<(), Duration> {
        let full = self.per_second;
        let refill = |(tokens, at): (f64, Duration)| (tokens + now.saturating_sub(at).as_secs_f64() * full).min(full);
        if self.buckets.len() >= MAX_CLIENTS && !self.buckets.contains_key(&client) {
            self.buckets.retain(|_, bucket| refill(*bucket) < full);
            if self.buckets.len() >= MAX_CLIENTS {
                return Err(Duration::from_secs(1));
            }
        }
        let bucket = self.buckets.entry(client).or_insert((full, now));
        let tokens = refill(*bucket);
        if tokens < 1.0 {
            *bucket = (tokens, now);
            return Err(Duration::from_secs_f64((1.0 - tokens) / full));
        }
        *bucket = (tokens - 1.0, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_a_second_passes_and_then_the_rate_holds() {
        let mut limiter = Limiter::new(2);
        let (one, two) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        assert_eq!(limiter.take(one, Duration::ZERO), Ok(()));
        assert_eq!(limiter.take(one, Duration::ZERO), Ok(()));
        assert_eq!(limiter.take(one, Duration::ZERO), Err(Duration::from_millis(500)));
        assert_eq!(limiter.take(two, Duration::ZERO), Ok(()), "another client has its own bucket");
        assert_eq!(limiter.take(one, Duration::from_millis(500)), Ok(()));
        assert!(limiter.take(one, Duration::from_millis(500)).is_err());
    }
}
