//! The doing: observe, apply, retry, limit, record. Through traits only; nothing here knows an API or a terminal.
//!
//! ```text
//! free ──> observe ──> settle_intent ──> (plan, consent) ──> Run::begin ──> apply ──> record_after ──> Run::finish
//!  └ waits for other runs                                       └── Run::keep renews ──┘ gate: Run::check
//! ```
//!
//! What it needs to know of differences and descriptions comes in through [`Judge`] and [`Facts`].

mod after;
mod apply;
mod backoff;
mod contest;
mod difference;
mod fence;
mod held;
mod leader;
mod lock;
mod lookup;
mod machine;
mod mark;
mod observe;
mod outcome;
mod partial;
mod peer;
mod perform;
mod read_back;
mod retry;
mod revisit;
mod run;
mod schedule;
mod settle;
mod stragglers;
#[cfg(test)]
mod tests;
mod unheeded;

pub use after::{Called, call_all, landed, note_owed, owe};
pub use apply::{Applied, Apply, Counts, OnError, OpResult, apply};
pub use backoff::Backoff;
pub use contest::Contests;
pub use difference::{Differences, is_as_sent};
pub use fence::follow;
pub use held::held;
pub use leader::{Candidacy, Elected, ElectionEvent, Elections, LEASE, REQUEST, Tenure};
pub use lock::{Free, Here, Hold, Locked, free, is_beyond_any_term, standing};
pub use machine::{
    Blocked, Command, Ended, Input, Job, Looked, Machine, Pace, Reach, Silence, Tried, Trouble as EndpointTrouble,
    Waiting, Watched,
};
pub use observe::{Before, Fresh, Scopes, Sighting, Trouble, observe, observe_again, observe_with_keys};
pub use outcome::{Facts, intent_ops, record_after};
pub use partial::doubt;
pub use peer::{Context, Peer, Peers, Place};
pub use perform::{Gate, Judge, Replanned, Standing};
pub use retry::{Call, PATIENCE, RetryBudget, Tries, Verdict, verdict};
pub use revisit::{Revisited, revisit};
pub use run::{NotBegun, NotFinished, Run, Share};
pub use settle::{Seen, Settled, Settlement, settle, settle_intent};
