//! What the operator of this machine allows: who may go where, with which credential, and what may be written.

mod access;
mod grants;
mod read;
mod secrets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Redactor;
use super::credential::Credential;
use super::file::SecretEntry;
use super::origin::Allowed;
use super::source::Source;
use crate::model::{Digest, Guard, Limits};

pub use secrets::NoSecrets;

/// What the operator of this machine allows. It reads values only when they are needed.
pub struct Operator {
    credentials: BTreeMap<String, Credential>,
    secrets: BTreeMap<String, SecretEntry>,
    allow: Vec<Allowed>,
    record_key: Option<Source>,
    ceiling: Guard,
    limits: Limits,
    push: Vec<String>,
    file: Vec<String>,
    env: BTreeMap<String, String>,
    base: Option<PathBuf>,
    place: String,
    /// Of the file's text.
    text: Digest,
    redactor: Redactor,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Operator {
    /// An operator without a file: targets without credentials on this machine, and the embedded server.
    pub fn empty() -> Self {
        Self {
            credentials: BTreeMap::new(),
            secrets: BTreeMap::new(),
            allow: vec![Allowed::Loopback, Allowed::Embedded],
            record_key: None,
            ceiling: Guard { deletes: 100, updates: None },
            limits: Limits::default(),
            push: Vec::new(),
            file: Vec::new(),
            env: BTreeMap::new(),
            base: None,
            place: "(there is none)".to_owned(),
            text: Digest::of(b""),
            redactor: Redactor::default(),
        }
    }

    /// True if the other one was made of the same file with the same text. The values that it names may be others now:
    /// they are read when they are needed.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.text, &self.place, &self.base, &self.env) == (other.text, &other.place, &other.base, &other.env)
    }

    /// Hides all values that this operator has given out, or has at hand.
    pub fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    /// The file's path, or how its text came.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The strictest that a project must bear: join it with `Guard::stricter`.
    pub fn ceiling(&self) -> Guard {
        self.ceiling
    }

    /// How much may come from outside.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

#[cfg(test)]
mod tests;
