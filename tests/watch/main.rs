//! `ctl watch` on real parts: a real etcd, a real Git remote over HTTP, and the processes of the program itself, killed,
//! stopped and cut off.
//!
//! ```text
//!            Remote (git http-backend)          Cluster (three members of etcd, a Line before each)
//!                      └──────────┐                      ┌─────────┘
//!                                 v                      v
//!   Proxy <────────────────── Watchers (N processes of `ctl watch`, each with a state folder and a port of its own)
//!     └──> server                 └──> /metrics, /livez, /readyz
//! ```
//!
//! A part that is not installed (`tests/servers/install` does it) is a skip that says so, and with `CTL_TEST_ALL=1` a
//! failure. Each part is tested by itself too: a fault that does not happen proves nothing about who survives it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "helpers of a test have nobody else to tell; real programs run in real time"
)]

#[path = "../support/githttp.rs"]
mod githttp;
#[path = "../support/line.rs"]
mod line;
#[path = "../support/parts.rs"]
mod parts;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/proxy.rs"]
mod proxy;

mod cluster;
mod degradation;
mod degraded;
mod election;
mod http;
mod operation;
mod orders;
mod process;
mod prometheus;
mod remote;
mod rounds;
mod scene;
mod shared_orders;
mod shop;
mod truth;
mod watchers;

use std::time::{Duration, Instant};

/// Asks `found` again and again until it has an answer; fails with `what` after `limit`.
#[track_caller]
fn within<T>(limit: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
