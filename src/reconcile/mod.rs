//! The doing: observe, apply, retry, limit, record. Through traits only; nothing here knows an API or a terminal.

mod apply;
mod endpoint;
mod limit;
mod observe;
mod perform;
mod retry;
mod schedule;

pub use apply::{Applied, Apply, Counts, OnError, OpResult, apply};
pub use endpoint::{Context, Endpoint, Endpoints, Place};
pub use limit::{Rate, TokenBucket};
pub use observe::{Scopes, Sighting, Trouble, observe};
pub use perform::{Gate, Judge, Replanned, Standing};
pub use retry::{Call, RetryBudget, Tries, Verdict, verdict};
