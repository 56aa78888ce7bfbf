//! The files of a project at one commit, by name and object id.

use super::Revision;

/// The files of a project at one commit: names and object ids, without their bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    /// The commit.
    pub revision: Revision,
    /// The project's folder from the repository's root, `""` for the root itself.
    pub folder: String,
    /// Every entry below that folder that is not a folder itself, sorted by path.
    pub entries: Vec<TreeEntry>,
}

/// One file of a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeEntry {
    /// Path from the repository's root, with forward slashes.
    pub path: String,
    /// The blob's object id in hexadecimal: a name of its content.
    pub blob: String,
    /// What it is.
    pub mode: FileMode,
    /// Size in bytes, where it was cheap to know.
    pub size: Option<u64>,
}

/// What a tree entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileMode {
    /// A file, executable or not.
    File,
    /// A symbolic link: refused as a manifest.
    Symlink,
    /// A submodule: refused.
    Submodule,
}
