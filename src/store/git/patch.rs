//! The tree of a record made from the one before: only the files that changed are written.
//!
//! Two records of ten thousand entries that differ in ten have 246 files of 256 in common. What is the same is neither
//! put into words nor hashed again; the tree is the one that writing everything would have made.

use std::collections::{BTreeMap, BTreeSet};

use git2::{FileMode, Oid, Repository, Tree, TreeBuilder};

use super::written::Written;
use crate::model::{EndpointName, EndpointRecord, Record};
use crate::store::StoreError;
use crate::store::codec::{self, HEAD, INTENTS};

/// With more changed files than this it is quicker to write all of them, on all cores.
const MOST: usize = 64;

/// What is different in a record.
pub(super) struct Patch<'r> {
    record: &'r Record,
    /// Which files of an endpoint's entries changed; whether its identity did.
    endpoints: BTreeMap<&'r EndpointName, (BTreeSet<u8>, bool)>,
}

impl<'r> Patch<'r> {
    /// What `after` has that `before` has not. None where all of it is better written anew.
    pub(super) fn between(before: &Record, after: &'r Record) -> Option<Self> {
        let folder = INTENTS.trim_end_matches('/');
        if !before.endpoints.keys().eq(after.endpoints.keys()) || after.endpoints.keys().any(|e| e.as_str() == folder) {
            return None;
        }
        let mut endpoints = BTreeMap::new();
        let mut count = 0;
        for ((name, now), old) in after.endpoints.iter().zip(before.endpoints.values()) {
            let (shards, identity) = (changed(old, now), old.identity != now.identity);
            count += shards.len();
            if !shards.is_empty() || identity {
                endpoints.insert(name, (shards, identity));
            }
        }
        (count <= MOST).then_some(Self { record: after, endpoints })
    }

    /// Makes the tree of `before` into that of the record. What had to be written is added to `written`.
    pub(super) fn tree(
        &self,
        repo: &Repository,
        before: &Tree<'_>,
        written: &mut Written,
    ) -> Result<Result<Oid, git2::Error>, StoreError> {
        let intents = codec::intent_files(self.record)?;
        let head = codec::head_bytes(self.record)?;
        let mut endpoints = Vec::new();
        for (name, (shards, identity)) in &self.endpoints {
            let Some(now) = self.record.endpoints.get(*name) else { continue };
            let identity = identity.then(|| codec::identity_bytes(now)).transpose()?;
            endpoints.push((*name, codec::encode_shards(name, now, Some(shards))?, shards, identity));
        }
        let mut make = || {
            let mut files = Files { repo, written };
            let mut root = repo.treebuilder(Some(before))?;
            files.put(&mut root, HEAD, &head)?;
            let folder = INTENTS.trim_end_matches('/');
            if intents.is_empty() {
                if root.get(folder)?.is_some() {
                    root.remove(folder)?;
                }
            } else {
                let mut tree = repo.treebuilder(None)?;
                for (path, bytes) in &intents {
                    files.put(&mut tree, path.strip_prefix(INTENTS).unwrap_or(path), bytes)?;
                }
                files.fold(&mut root, folder, &tree)?;
            }
            for (name, lines, shards, identity) in &endpoints {
                let old = before.get_name(name.as_str()).map(|entry| repo.find_tree(entry.id())).transpose()?;
                let mut tree = repo.treebuilder(old.as_ref())?;
                if let Some(identity) = identity {
                    files.put(&mut tree, codec::IDENTITY, identity)?;
                }
                for shard in *shards {
                    let file = codec::shard_file(*shard);
                    match lines.get(shard) {
                        Some(bytes) => files.put(&mut tree, &file, bytes)?,
                        None if tree.get(&file)?.is_some() => tree.remove(&file)?,
                        None => {}
                    }
                }
                files.fold(&mut root, name.as_str(), &tree)?;
            }
            files.written.tree(&root)
        };
        Ok(make())
    }
}

struct Files<'r, 'w> {
    repo: &'r Repository,
    written: &'w mut Written,
}

impl Files<'_, '_> {
    fn put(&mut self, into: &mut TreeBuilder<'_>, name: &str, bytes: &[u8]) -> Result<(), git2::Error> {
        let id = self.written.blob(self.repo, bytes)?;
        into.insert(name, id, FileMode::Blob.into()).map(drop)
    }

    fn fold(&mut self, into: &mut TreeBuilder<'_>, name: &str, tree: &TreeBuilder<'_>) -> Result<(), git2::Error> {
        let id = self.written.tree(tree)?;
        into.insert(name, id, FileMode::Tree.into()).map(drop)
    }
}

/// The files in which the entries differ.
fn changed(before: &EndpointRecord, after: &EndpointRecord) -> BTreeSet<u8> {
    let mut shards = BTreeSet::new();
    if before.entries.is_same(&after.entries) {
        return shards;
    }
    let (mut old, mut new) = (before.entries.iter().peekable(), after.entries.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return shards,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let (gone, come) =
            (if order.is_le() { old.next() } else { None }, if order.is_ge() { new.next() } else { None });
        let same = matches!((gone, come), (Some((_, a)), Some((_, b))) if a == b);
        if let Some(((kind, key), _)) = gone.or(come).filter(|_| !same) {
            shards.insert(codec::shard(kind, &key.canonical()));
        }
    }
}
