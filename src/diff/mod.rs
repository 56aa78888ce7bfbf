//! Two values in, field changes out. Pure.
//!
//! What is compared is what the manifest states, plus the defaults that the description declares, and nothing else:
//! a field that nobody mentioned is the server's business.

mod compare;
mod effective;
mod project;

pub use compare::{Cause, Comparison, FieldChange, Normalised, compare, rewritten};
pub use effective::effective;
pub use project::{digest_of, project, stated};
