//! The real binary in a real repository.

#![expect(clippy::disallowed_methods, reason = "tests read their own environment")]

mod record;
mod sandbox;
