//! The operator's file: who may go where with what.
//!
//! What a repository says is untrusted; this file alone decides where a credential goes, which secret reaches which
//! target, and what a repository may write. Each refusal has a code of its own ([`REFUSALS`]), and happens before
//! anything is contacted.

mod access;
mod credential;
mod file;
mod grant;
mod hmac;
mod operator;
mod origin;
mod redactor;
mod source;
mod spelling;

pub use access::{Access, Auth, SecretSource};
pub use credential::ApiOrigin;
pub use grant::Writing;
pub use hmac::hmac;
pub use operator::{NoSecrets, Operator};
pub use origin::{BadOrigin, Origin};
pub use redactor::Redactor;
pub use spelling::{hidden, spellings};

/// Codes of diagnostics that mean: the operator's file does not allow it (exit 7).
pub const REFUSALS: &[&str] = &[
    "operator-file",
    "origin-refused",
    "credential-unknown",
    "api-not-pinned",
    "secret-refused",
    "grant-refused",
    "grant-exclusive",
    "record-place-refused",
];

/// Codes of diagnostics that mean: a value that the operator's file points at cannot be had (exit 4).
pub const UNREADABLE: &[&str] = &["secret-unreadable", "credential-unreadable"];
