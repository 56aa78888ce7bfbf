//! How much of anything may come from outside.

use std::time::Duration;

/// How large anything that comes from outside may be, and how long it may take. Those with a word in
/// [`Limits::WORDS`] are the operator's to raise.
///
/// Two are fixed, and no part of this: how deep a value may be nested ([`MAX_DEPTH`](super::MAX_DEPTH), for what
/// follows a value down uses the stack), and how much aliases may add to a file (ten times its size: whoever needs more
/// is not writing manifests).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one file of a repository.
    pub file: u64,
    /// Files of one project.
    pub files: usize,
    /// Bytes of all manifests of one project, as they are written or as they are read: whichever is more.
    pub project: usize,
    /// YAML documents of one project.
    pub documents: usize,
    /// Values of all documents of one project; one file may have a fifth of them.
    pub nodes: usize,
    /// Bytes of the body of one page.
    pub page: usize,
    /// Bytes of one object of an API.
    pub object: usize,
    /// Objects of one list.
    pub objects: usize,
    /// Bytes of all pages of one list.
    pub list: usize,
    /// Pages of one list.
    pub pages: usize,
    /// Bytes of one answer's headers.
    pub header: usize,
    /// How deep folders of a repository may be nested.
    pub folder_depth: usize,
    /// Time for a `git` child that stays on this machine.
    pub git_local: Duration,
    /// Time for a `git fetch` of a source.
    pub git_fetch: Duration,
    /// Time for one exchange with the record's remote.
    pub git_push: Duration,
}

impl Limits {
    /// What a limit is called in the operator's file, under `limits`.
    pub const WORDS: [&str; 11] =
        ["file", "files", "project", "documents", "nodes", "page", "object", "objects", "list", "pages", "header"];

    /// What to do about something that is over the limit of this word: whatever `instead` says, or this.
    pub fn help(word: &str, instead: &str) -> String {
        format!("{instead}, or the operator raises `limits.{word}` in the operator's file")
    }

    /// What is over the limit of this word, and who may raise it, where there is no room for help.
    pub fn told(word: &str, problem: impl std::fmt::Display) -> String {
        format!("{problem} (`limits.{word}` in the operator's file)")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file: 4 << 20,
            files: 50_000,
            project: 32 << 20,
            documents: 100_000,
            nodes: 5_000_000,
            page: 64 << 20,
            object: 1 << 20,
            objects: 400_000,
            list: 128 << 20,
            pages: 10_000,
            header: 64 << 10,
            folder_depth: 32,
            git_local: Duration::from_secs(30),
            git_fetch: Duration::from_secs(120),
            git_push: Duration::from_secs(10),
        }
    }
}
