//! Secrets: a value that cannot be shown, and the name that a manifest gives it.

use std::fmt;

/// The value of a secret. It cannot be shown, compared or serialised; only [`Secret::expose`] gives it away.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself. A lint refuses every call but those where bytes leave for a target, or where output is
    /// searched for it in order to hide it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// The name under which the operator holds a secret, as a manifest writes it: `{$secret: NAME, version: 2}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SecretRef {
    /// The operator's name for it.
    pub name: String,
    /// Which version the manifest asks for, if it says.
    pub version: Option<u64>,
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "<secret {} version {version}>", self.name),
            None => write!(f, "<secret {}>", self.name),
        }
    }
}
