//! What an API wants once after writes.

use std::collections::BTreeSet;

use super::Kind;

/// A call that an API wants once after writes: commit, save, reload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AfterCall {
    /// How it is shown: `POST /config/save`.
    pub call: String,
    /// The kinds whose writes it is for.
    pub kinds: BTreeSet<Kind>,
}
