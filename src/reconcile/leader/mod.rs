//! Who may write which target: one election for each, held by leases.
//!
//! ```text
//! every 5 s   keep_alive ──> acknowledged: the time at which it was *sent* counts
//! every 1 s   look ──> our keys still stand; what is free is claimed, as far as it is our share
//!
//! sent ├──────────── 15 s: the gate is open ────────────┤── 10 s: requests under way end ──┤─ 5 s margin ─┤ 30 s: the lease ends
//! ```
//!
//! So every request of ours has ended before anybody else can be elected, as long as clocks run at rates that differ by
//! less than a sixth. A paused process finds its gate closed, because the gate is a comparison of times and not a
//! message. What a paused process had already handed to its network is stopped by the fencing token alone, where the
//! server knows it.

mod candidate;
mod elected;
mod elections;
mod term;
#[cfg(test)]
mod tests;

pub use candidate::{ElectionEvent, LEASE, REQUEST, Tenure};
pub use elected::Elected;
pub use elections::{Candidacy, Elections};
