//! The files of a record in a repository, and a record's files as a tree of it.

use std::collections::BTreeMap;

use git2::{Error, FileMode, ObjectType, Oid, Repository};

use super::written::Written;
use crate::store::StoreError;
use crate::store::codec::{Files, damaged};
use crate::store::parallel::in_chunks;

/// Writes the blobs and trees. One that is there already is not written again.
pub(super) fn write_tree(repo: &Repository, files: &Files, written: &mut Written) -> Result<Oid, Error> {
    let bytes: Vec<&[u8]> = files.values().map(Vec::as_slice).collect();
    let blobs = written.blobs(repo, &bytes)?;
    let mut folders: BTreeMap<&str, Vec<(&str, Oid)>> = BTreeMap::new();
    for (path, blob) in files.keys().zip(blobs) {
        let (folder, name) = path.split_once('/').unwrap_or(("", path));
        folders.entry(folder).or_default().push((name, blob));
    }
    let mut root = repo.treebuilder(None)?;
    for (folder, entries) in folders {
        if folder.is_empty() {
            for (name, id) in entries {
                root.insert(name, id, FileMode::Blob.into())?;
            }
            continue;
        }
        let mut tree = repo.treebuilder(None)?;
        for (name, id) in entries {
            tree.insert(name, id, FileMode::Blob.into())?;
        }
        root.insert(folder, written.tree(&tree)?, FileMode::Tree.into())?;
    }
    written.tree(&root)
}

/// What git says of a repository that cannot be read.
pub(super) fn unreadable(error: &git2::Error) -> StoreError {
    StoreError::Unreachable {
        why: error.message().to_owned(),
        help: "see what `git fsck` says about the repository".to_owned(),
    }
}

/// The files of a record that can be read, and what is wrong with the others. Fails where not even the commit is there,
/// for nothing can be put on top of it.
pub(super) fn whole_files(repo: &Repository, commit: Oid) -> Result<(Files, Vec<String>), StoreError> {
    let commit = repo.find_commit(commit).map_err(|e| StoreError::Damaged {
        why: format!("{commit}: {}", e.message()),
        help: "fetch its ref from another clone, or delete the ref and run `ctl record rebuild`".to_owned(),
    })?;
    let (mut files, mut damage) = (Files::new(), Vec::new());
    let mut trees = vec![(String::new(), commit.tree_id())];
    while let Some((folder, id)) = trees.pop() {
        let tree = match repo.find_tree(id) {
            Ok(tree) => tree,
            Err(error) => {
                damage.push(format!("{folder}: {}", error.message()));
                continue;
            }
        };
        for entry in &tree {
            let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
            match (entry.kind(), repo.find_blob(entry.id())) {
                (Some(ObjectType::Tree), _) if folder.is_empty() => trees.push((format!("{path}/"), entry.id())),
                (_, Ok(blob)) => drop(files.insert(path, blob.content().to_vec())),
                (_, Err(error)) => damage.push(format!("{path}: {}", error.message())),
            }
        }
    }
    Ok((files, damage))
}

pub(super) fn read_files(repo: &Repository, commit: Oid) -> Result<Files, StoreError> {
    let missing = |e: &git2::Error| damaged(&commit.to_string(), None, e.message().to_owned());
    let tree = repo.find_commit(commit).and_then(|c| c.tree()).map_err(|e| missing(&e))?;
    let mut files = Vec::new();
    let mut add = |folder: Option<&str>, entry: &git2::TreeEntry<'_>| -> Result<(), StoreError> {
        let name = entry.name().map_err(|_| damaged("record", None, "a file's name is not UTF-8".to_owned()))?;
        let path = folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
        if entry.filemode() != i32::from(FileMode::Blob) {
            return Err(damaged(&path, None, "it is not a plain file".to_owned()));
        }
        files.push((path, entry.id()));
        Ok(())
    };
    for entry in &tree {
        if entry.kind() != Some(ObjectType::Tree) {
            add(None, &entry)?;
            continue;
        }
        let folder = entry.name().map_err(|_| damaged("record", None, "a folder's name is not UTF-8".to_owned()))?;
        let inner = repo.find_tree(entry.id()).map_err(|e| damaged(folder, None, e.message().to_owned()))?;
        for entry in &inner {
            add(Some(folder), &entry)?;
        }
    }
    let dir = repo.path();
    let read = in_chunks(&files, |chunk| {
        let repo = Repository::open_bare(dir).map_err(|e| unreadable(&e))?;
        let read = |(path, id): &(String, Oid)| {
            let blob = repo.find_blob(*id).map_err(|e| damaged(path, None, e.message().to_owned()))?;
            Ok((path.clone(), blob.content().to_vec()))
        };
        chunk.iter().map(read).collect()
    })?;
    Ok(read.into_iter().collect())
}
