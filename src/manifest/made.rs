//! What one file wants, ready to be put beside what the others want.

use std::sync::Arc;

use super::document::ParsedFile;
use super::resource::{Context, Draft, Outcome, Reference, Trouble, build};
use crate::model::{Desired, Meta, OnRemove, Origin, ReplaceRule, TreeEntry, Value};

/// What one document wants at one target.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) desired: Arc<Desired>,
    pub(super) references: Vec<Reference>,
    /// What of it goes into the digest of the snapshot.
    pub(super) hashed: Vec<u8>,
}

/// What came of one document.
#[derive(Debug, Default)]
pub(super) struct MadeDocument {
    pub(super) wants: Vec<Arc<Made>>,
    pub(super) troubles: Vec<Trouble>,
}

/// Makes of each document what it wants: one for each of `parsed.documents`.
pub(super) fn make(context: &Context<'_>, entry: &TreeEntry, parsed: &ParsedFile) -> Vec<MadeDocument> {
    let (path, blob): (Arc<str>, Arc<str>) = (entry.path.as_str().into(), entry.blob.as_str().into());
    let of = |document: &super::ParsedDocument| {
        let Outcome { drafts, troubles } = build(context, document);
        // All targets of a document share its metadata.
        let form = drafts.first().map(|draft| meta_form(&draft.meta).canonical());
        let form = form.as_ref().map_or(&[][..], |form| form.as_bytes());
        let want = |draft: Draft| {
            let Draft { id, body, digest, meta, values, references } = draft;
            let kind = Value::from(id.kind.as_str()).canonical();
            let key = id.key.canonical();
            let parts: [&[u8]; 8] = [
                b"\n",
                id.target.as_str().as_bytes(),
                b"\n",
                kind.as_bytes(),
                b"\n",
                key.as_bytes(),
                b"\n",
                digest.as_bytes(),
            ];
            let mut hashed = parts.concat();
            hashed.extend_from_slice(form);
            let origin = Origin { path: Arc::clone(&path), blob: Arc::clone(&blob), document: document.index, values };
            Arc::new(Made { desired: Arc::new(Desired { id, body, digest, meta, origin }), references, hashed })
        };
        MadeDocument { wants: drafts.into_iter().map(want).collect(), troubles }
    };
    parsed.documents.iter().map(of).collect()
}

fn meta_form(meta: &Meta) -> Value {
    let depends = meta.depends_on.iter().map(|d| match &d.target {
        Some(target) => Value::from(format!("{target}:{}", d.address)),
        None => Value::from(d.address.as_str()),
    });
    let on_remove = match meta.on_remove {
        OnRemove::Delete => "delete",
        OnRemove::Keep => "keep",
    };
    let replace = match meta.replace {
        ReplaceRule::Ask => "ask",
        ReplaceRule::Allow => "allow",
        ReplaceRule::Never => "never",
    };
    Value::from_iter([
        ("labels", meta.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()),
        ("dependsOn", Value::Array(depends.collect())),
        ("protect", Value::Bool(meta.protect)),
        ("previously", Value::Array(meta.previously.iter().map(|p| Value::from(p.as_str())).collect())),
        ("on-remove", Value::from(on_remove)),
        ("replace", Value::from(replace)),
    ])
}
