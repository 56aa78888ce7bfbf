//! The program from outside: a real repository, a state folder of its own, the real binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod apply;
mod sandbox;
