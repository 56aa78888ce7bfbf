//! Resources as they are wanted and as they are seen: two types, so that nobody mixes them up.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Canonical, Digest, FieldPath, JsonError, Key, Mark, Opaque, ResourceId, TargetName, Value, json};

/// What a manifest wants. Never mixed up with [`Observed`]:
///
/// ```compile_fail
/// fn plan(desired: ctl::model::Desired) {}
/// fn f(observed: ctl::model::Observed) { plan(observed) }
/// ```
#[derive(Clone, Debug)]
pub struct Desired {
    /// Which resource.
    pub id: ResourceId,
    /// The stated fields (key fields included, `$value` replaced, forms applied to the key fields only).
    pub body: Canonical,
    /// SHA-256 of `body`.
    pub digest: Digest,
    /// What the manifest says to `ctl` rather than to the server.
    pub meta: Arc<Meta>,
    /// Where it is written.
    pub origin: Origin,
}

/// Where a resource is declared. It holds no text: lines and columns are made on demand, by parsing that one document
/// of that blob again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Path from the repository's root.
    pub path: Arc<str>,
    /// The blob's object id.
    pub blob: Arc<str>,
    /// Which document of the file, from 0.
    pub document: usize,
    /// Stated fields that came from a `$value` reference.
    pub values: Arc<[FieldPath]>,
}

/// `metadata` of a manifest: ctl's own words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// For selection (`-l`).
    pub labels: BTreeMap<String, String>,
    /// Resources that come first, also at other targets.
    pub depends_on: Vec<DependsOn>,
    /// Never deleted, never replaced.
    pub protect: bool,
    /// Former addresses inside the target (`kind/field/field`), for renames.
    pub previously: Vec<String>,
    /// What happens when the manifest goes.
    pub on_remove: OnRemove,
    /// Whether an immutable change may delete and create.
    pub replace: ReplaceRule,
}

/// An address glob of `dependsOn`: `[target:]kind/field/field`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DependsOn {
    /// The target, or the same one.
    pub target: Option<TargetName>,
    /// `kind/field/field`; globs allowed.
    pub address: String,
}

/// What happens to a resource whose manifest is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnRemove {
    /// It is deleted.
    #[default]
    Delete,
    /// It is forgotten and stays.
    Keep,
}

/// Whether a change of an immutable field may delete and create the resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplaceRule {
    /// Only with `--allow-replace`.
    #[default]
    Ask,
    /// Allowed by the manifest.
    Allow,
    /// Never.
    Never,
}

/// What a target says it has, in the shape of a manifest: read pointers, codecs, envelope and mark already undone.
///
/// Fields that only the server knows stay in; they serve addressing and are never compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// Its normalised key.
    pub key: Key,
    /// One JSON object: the item in manifest shape, as the driver holds it (not necessarily canonical).
    pub body: Bytes,
    /// For a conditional write: a strong ETag or a version field.
    pub token: Option<Opaque>,
    /// Changes when an object of the same key is made anew.
    pub uid: Option<String>,
    /// The ownership mark found on it.
    pub mark: Option<Mark>,
}

impl Observed {
    /// The tree. The driver checked the bytes when it read them.
    pub fn value(&self) -> Result<Value, JsonError> {
        json::parse(&self.body)
    }
}
