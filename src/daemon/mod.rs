//! What a watcher listens on: status, events, metrics, webhooks, and the orders of people. It knows no target and no
//! repository; whoever runs the watcher answers through [`Control`].
//!
//! ```text
//! GET  /livez /readyz /readyz/TARGET    nobody needs a token
//! GET  /metrics              …
//! POST /hook[/PROVIDER]      proves itself with the webhook's secret; its content is never used
//! GET  / /v1/status /v1/events    the read token, or the write token
//! POST /v1/orders            the write token
//! ```
//!
//! Who may do what is in `access.rs`; that what comes in is bounded, in `http.rs`.

mod access;
mod error;
mod events;
mod hook;
mod http;
mod journal;
mod page;
mod patient;
mod reply;

use crate::event::Entry;
use crate::model::{Answer, Order, ResourceStatus, Status};

pub use access::Access;
pub use error::DaemonError;
pub use http::{Config, Daemon, MAX_BODY, MAX_CONNECTIONS};
pub use journal::Journal;

/// The watcher, as seen from outside. Every method returns at once: nothing waits for a cycle.
pub trait Control: Send + Sync + 'static {
    /// How it stands.
    fn status(&self) -> Status;

    /// The declared resources whose addresses fit a glob, a page of them at most; `None` while nothing was read yet.
    fn resources(&self, glob: &str) -> Option<Vec<ResourceStatus>>;

    /// True while its loop turns: nothing else. A dead target never makes it false.
    fn alive(&self) -> bool;

    /// What keeps it from being ready; empty if it is.
    fn not_ready(&self) -> Vec<String>;

    /// The metrics, as Prometheus reads them.
    fn metrics(&self) -> String;

    /// The entries after `seq` (0: all that are kept), oldest first, and the number of the newest.
    fn events(&self, seq: u64) -> (Vec<Entry>, u64);

    /// Waits until there is an entry after `seq`.
    fn more(&self, seq: u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Something may have changed in the repository: look again. Content-free, and coalesced.
    fn hint(&self);

    /// A webhook was refused.
    fn hook_refused(&self, why: &'static str);

    /// Carries out what a person asks for, or says why not.
    fn order(&self, order: Order, who: &str) -> Answer;
}
