//! What a document wants at one target, before all documents are known.

use std::sync::Arc;

use crate::model::{Canonical, Digest, FieldPath, Meta, ResourceId, TargetName};

/// A reference that a resource makes.
#[derive(Clone, Debug)]
pub(in crate::manifest) struct Reference {
    /// The field, in the document.
    pub(in crate::manifest) path: FieldPath,
    pub(in crate::manifest) to: ResourceId,
    /// The object referred to is one that the description ignores: it may be there without being declared.
    pub(in crate::manifest) ignored: bool,
    /// The field may be left out, so a cycle through it can be broken.
    pub(in crate::manifest) optional: bool,
    /// The object around this one rather than one that a field names.
    pub(in crate::manifest) parent: bool,
}

/// What one document wants at one target.
#[derive(Clone, Debug)]
pub(in crate::manifest) struct Draft {
    pub(in crate::manifest) id: ResourceId,
    pub(in crate::manifest) body: Canonical,
    pub(in crate::manifest) digest: Digest,
    pub(in crate::manifest) meta: Arc<Meta>,
    pub(in crate::manifest) values: Arc<[FieldPath]>,
    pub(in crate::manifest) references: Vec<Reference>,
}

impl Draft {
    /// The same at another target of the same API.
    pub(super) fn at(&self, target: &TargetName) -> Self {
        let mut draft = self.clone();
        draft.id.target = target.clone();
        for reference in &mut draft.references {
            reference.to.target = target.clone();
        }
        draft
    }
}
