//! The program from outside: a real repository, a state folder of its own, the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends here; PATH comes from outside"
)]

#[path = "../support/fake.rs"]
mod fake;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/proxy.rs"]
mod proxy;
mod sandbox;
mod told;

mod after;
mod apply;
mod chaos;
mod deletes;
mod documents;
mod folders;
mod habits;
mod hostile;
mod ids;
mod input;
mod mutations;
mod names;
mod nested;
mod newcomer;
mod operate;
mod paging;
mod record;
mod refusals;
mod safety;
mod secrets;
mod terminal;
mod trust;
mod unseen;
mod versions;
