//! How a watcher paces itself.

use std::time::Duration;

/// How a watcher paces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Between two looks at the source, and between two cycles of a target.
    pub interval: Duration,
    /// Between the starts of two looks that hints ask for: 10^5 webhooks are two fetches in five seconds.
    pub look_gap: Duration,
    /// Between two probes of an endpoint that is away.
    pub probe: Duration,
    /// An older snapshot than this is called stale aloud.
    pub stale: Duration,
}

impl Pace {
    /// The usual pace around an interval.
    pub fn every(interval: Duration) -> Self {
        Self {
            interval,
            look_gap: Duration::from_millis(2500),
            probe: Duration::from_secs(10),
            stale: Duration::from_secs(5 * 60),
        }
    }
}
