//! What is agreed on between machines: leases, and keys that go with them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A lease, as the coordinator names it. A lost one never comes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// In hexadecimal, as the coordinator's own tools show it.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One key at the coordinator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The key.
    pub key: String,
    /// Who says it is theirs, in their own words.
    pub value: String,
    /// The revision in which the key was made: grows strictly from one holder to the next, over all keys.
    pub created: u64,
    /// True if nobody wrote it again since it was made. We never do.
    pub untouched: bool,
    /// The lease that it goes with; `None` if it stays until somebody deletes it.
    pub lease: Option<LeaseId>,
}

/// What is agreed on between machines: leases, and keys that go with them.
///
/// ```text
/// grant ──> claim (made only if absent, goes with the lease) ──> keep_alive … ──> revoke: every key of it goes at once
///                                                                     └── none for its whole time: the same
/// ```
///
/// Every request may be sent twice without harm, so an implementation asks another member when one does not answer. All
/// of it ends within `within`. Who asks takes the time *before* it asks: the lease was renewed at that time or later.
pub trait Coordinator: Send + Sync {
    /// Makes a lease that lasts at least `ttl` without being renewed.
    fn grant(&self, ttl: Duration, within: Duration) -> impl Future<Output = Result<LeaseId, CoordinatorError>> + Send;

    /// Renews a lease and returns how long it lasts from now on. [`CoordinatorError::LeaseLost`] if there is none.
    fn keep_alive(
        &self,
        lease: LeaseId,
        within: Duration,
    ) -> impl Future<Output = Result<Duration, CoordinatorError>> + Send;

    /// Ends a lease, and every key of it. One that is gone already is no error.
    fn revoke(&self, lease: LeaseId, within: Duration) -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// Makes the key, bound to the lease, if there is none; returns the one that stands there then, ours or another's.
    fn claim(
        &self,
        key: &str,
        value: &str,
        lease: LeaseId,
        within: Duration,
    ) -> impl Future<Output = Result<Seat, CoordinatorError>> + Send;

    /// Deletes the key if it is still the one made in revision `created`. Another one, or none, is no error.
    fn give_up(
        &self,
        key: &str,
        created: u64,
        within: Duration,
    ) -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// All keys that begin with each of `prefixes`, as they stood at one moment after this was asked.
    fn look(
        &self,
        prefixes: &[String],
        within: Duration,
    ) -> impl Future<Output = Result<Vec<Vec<Seat>>, CoordinatorError>> + Send;
}

/// Why the coordinator did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The lease is gone, for good.
    #[error("the lease is gone")]
    LeaseLost,
    /// Too few of its members see each other: nothing can be agreed on.
    #[error("the coordinator has no leader: {why}")]
    NoLeader {
        /// Its own words.
        why: String,
    },
    /// It does not let us.
    #[error("the coordinator does not let us: {why}")]
    Denied {
        /// Its own words.
        why: String,
        /// What to do.
        help: String,
    },
    /// No member can be reached, or none answered in time. What was asked may have been done.
    #[error("the coordinator cannot be reached: {why}")]
    Unreachable {
        /// The cause, member by member.
        why: String,
    },
    /// It answered what nobody understands.
    #[error("the coordinator's answer is not understood: {why}")]
    Odd {
        /// What was odd.
        why: String,
    },
}

/// Shared among tasks.
impl<C: Coordinator> Coordinator for Arc<C> {
    async fn grant(&self, ttl: Duration, within: Duration) -> Result<LeaseId, CoordinatorError> {
        (**self).grant(ttl, within).await
    }

    async fn keep_alive(&self, lease: LeaseId, within: Duration) -> Result<Duration, CoordinatorError> {
        (**self).keep_alive(lease, within).await
    }

    async fn revoke(&self, lease: LeaseId, within: Duration) -> Result<(), CoordinatorError> {
        (**self).revoke(lease, within).await
    }

    async fn claim(&self, key: &str, value: &str, lease: LeaseId, within: Duration) -> Result<Seat, CoordinatorError> {
        (**self).claim(key, value, lease, within).await
    }

    async fn give_up(&self, key: &str, created: u64, within: Duration) -> Result<(), CoordinatorError> {
        (**self).give_up(key, created, within).await
    }

    async fn look(&self, prefixes: &[String], within: Duration) -> Result<Vec<Vec<Seat>>, CoordinatorError> {
        (**self).look(prefixes, within).await
    }
}
