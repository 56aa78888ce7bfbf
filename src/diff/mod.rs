//! Two values in, field changes out. Pure.
//!
//! What is compared is what the manifest states, plus the defaults that the description declares, and nothing else:
//! a field that nobody mentioned is the server's business.

mod bytes;
mod compare;
mod effective;
mod project;

pub use bytes::{compare_held, rewritten_held};
pub use compare::{Cause, Comparison, FieldChange, Normalised, compare, rewritten, unshown};
pub use effective::effective;
pub use project::{digest_of, project, stated};
