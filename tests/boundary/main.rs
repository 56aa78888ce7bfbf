//! What crosses the border of the process: which programs it starts, which paths it opens and whom it connects to, as the
//! kernel saw it (`strace`); and what it believes over TLS, from a server on OpenSSL.
//!
//! A part that is not installed (`tests/servers/install` does it) is a skip that says so, and with `CTL_TEST_ALL=1` a
//! failure.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "helpers of a test have nobody else to tell")]

#[path = "../support/fake.rs"]
#[expect(dead_code, reason = "other test programs use the rest of it")]
mod fake;
#[path = "../support/parts.rs"]
mod parts;
#[path = "../cli/sandbox.rs"]
#[expect(dead_code, reason = "other test programs use the rest of it")]
mod sandbox;

mod hostile;
mod tls;
mod trace;
