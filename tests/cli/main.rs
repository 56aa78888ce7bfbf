//! The command from outside: the real binary in a sandbox of its own.

#[path = "../support/fake.rs"]
mod fake;
mod sandbox;

mod hostile;
mod input;
mod trust;
