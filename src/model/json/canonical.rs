//! A value as its canonical text.

use std::sync::Arc;

use super::glance::Glance;
use super::read::{JsonError, parse_with};
use crate::model::version::sha256;
use crate::model::{Digest, Value};

/// A value as canonical JSON bytes: sorted, UTF-8, without white space, numbers in one spelling.
///
/// Two values are equal exactly when their canonical bytes are. A clone shares them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical(Arc<[u8]>);

impl Canonical {
    pub(in crate::model) fn from_written(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// Takes canonical bytes that were stored; anything that is not in canonical form is refused.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, JsonError> {
        if Glance::is_canonical(bytes) {
            return Ok(Self(bytes.into()));
        }
        let canonical = parse_with(bytes, true)?.canonical();
        if canonical.as_bytes() == bytes {
            Ok(canonical)
        } else {
            Err(JsonError { message: "not in canonical form", offset: 0 })
        }
    }

    /// Puts an object together from members that are canonical themselves. Names must be sorted and plain, as
    /// [`crate::model::members()`] gives them; `None` otherwise.
    pub fn of_members<'a>(members: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let mut out = Vec::with_capacity(512);
        let mut before: Option<&str> = None;
        for (name, raw) in members {
            let plain = name.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') && !name.starts_with('$');
            if !plain || before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            out.push(if out.is_empty() { b'{' } else { b',' });
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(raw);
        }
        if out.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        Some(Self::from_written(out))
    }

    /// Takes bytes that this program wrote in canonical form and whose digest was verified, without parsing them.
    pub fn from_verified(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The tree, with secret references restored.
    pub fn value(&self) -> Value {
        parse_with(&self.0, true).unwrap_or_else(|e| unreachable!("canonical bytes parse: {e}"))
    }

    /// False if there is certainly no secret reference inside; cheap.
    pub fn may_hold_secret(&self) -> bool {
        self.0.contains(&b'$') && self.as_str().contains("{\"$secret\":")
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_else(|e| unreachable!("canonical bytes are UTF-8: {e}"))
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        sha256(&self.0)
    }
}

impl std::fmt::Debug for Canonical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
