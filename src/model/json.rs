//! JSON in and out, with exact numbers, a depth limit and no silent duplicate key.
//!
//! serde_json keeps numbers beyond 64 bits only behind a feature that changes every other user of it in the build
//! (`arbitrary_precision`); this reader exists for that, and for errors that say where.

mod canonical;
mod glance;
mod read;
mod write;

pub use canonical::Canonical;
pub use read::{JsonError, MAX_DEPTH, parse};
pub(super) use write::Canonically;
pub use write::{JsonSpelling, write_json, write_object, write_string};

#[cfg(test)]
mod tests;
