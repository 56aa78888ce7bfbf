//! Why a source cannot be read, and what to do about it.

use crate::model::{Diagnostic, Limits};
use crate::net::{BadRemote, GitError};

/// Why a source cannot be read. Nothing was read in part.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// The path does not exist.
    #[error("`{path}` does not exist")]
    NoSuchPath {
        /// As the user typed it.
        path: String,
    },
    /// The path is one file, and a project is a folder.
    #[error("`{path}` is one file, and a project is planned as a whole")]
    OneFile {
        /// As the user typed it.
        path: String,
    },
    /// The path is in no Git repository.
    #[error("`{path}` is not in a Git repository")]
    NoRepository {
        /// As the user typed it.
        path: String,
    },
    /// libgit2 cannot open it.
    #[error("the repository at `{path}` cannot be opened: {why}")]
    Unsupported {
        /// Its git dir.
        path: String,
        /// The cause.
        why: String,
        /// What to do.
        help: String,
    },
    /// There is no commit yet.
    #[error("the repository has no commit yet on {branch}")]
    Unborn {
        /// The branch that HEAD names.
        branch: String,
    },
    /// No such revision.
    #[error("the repository has no revision `{rev}`")]
    NoRevision {
        /// As the user typed it.
        rev: String,
        /// True if the clone is shallow, so that it may exist elsewhere.
        shallow: bool,
    },
    /// The folder is not in the commit's tree.
    #[error("commit {commit} has no folder `{folder}`")]
    NoFolder {
        /// The commit, short.
        commit: String,
        /// From the repository's root.
        folder: String,
    },
    /// No `ctl.yaml` from that folder upward.
    #[error("commit {commit} has no ctl.yaml{}", place(folder))]
    NoProject {
        /// The commit, short.
        commit: String,
        /// From the repository's root.
        folder: String,
        /// True if the work tree has one that was not committed.
        uncommitted: bool,
    },
    /// The URL is refused.
    #[error("`{url}`: {why}")]
    BadUrl {
        /// As typed, without credentials.
        url: String,
        /// What is wrong with it.
        why: BadRemote,
    },
    /// It could not be fetched.
    #[error("`{url}` cannot be fetched: {why}")]
    Fetch {
        /// Without credentials.
        url: String,
        /// What git said.
        why: GitError,
    },
    /// A tree has an entry that no honest commit has.
    #[error("`{path}` in commit {commit}: {why}")]
    OddEntry {
        /// The commit, short.
        commit: String,
        /// The path, with what is not printable escaped.
        path: String,
        /// What is odd about it.
        why: &'static str,
    },
    /// A file is larger than allowed.
    #[error("{path} has {size} bytes, and a file may have {limit}")]
    FileTooLarge {
        /// From the repository's root, or the blob's id.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The files of a project that are to be read are more, together, than allowed.
    #[error("the project has more than {limit} bytes of manifests")]
    TooMuch {
        /// The limit, in bytes.
        limit: usize,
    },
    /// There are more files than allowed.
    #[error("the project has more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// Folders are nested deeper than allowed.
    #[error("`{path}` is nested more than {limit} folders deep")]
    TooDeep {
        /// Where.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// An object is missing or broken.
    #[error("object {id} cannot be read: {why}")]
    Object {
        /// Its id.
        id: String,
        /// The cause.
        why: String,
        /// True if the clone is shallow or partial.
        shallow: bool,
    },
    /// A file of the work tree or the state folder cannot be read or written.
    #[error("{path}: {why}")]
    Io {
        /// Which.
        path: String,
        /// The cause.
        why: String,
    },
    /// The `git` child failed.
    #[error("{0}")]
    Git(GitError),
}

impl SourceError {
    /// The same for people, with what to do now.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, help) = match self {
            Self::NoSuchPath { .. } => ("source-not-found", "give a path inside a Git repository, or a URL".to_owned()),
            Self::OneFile { .. } => {
                ("source-one-file", "name the project's folder; `-t` and `-l` pick a part of what it declares".to_owned())
            }
            Self::NoRepository { .. } => {
                ("source-not-a-repository", "ctl reads commits: `git init && git add -A && git commit` makes it one".to_owned())
            }
            Self::Unsupported { help, .. } => ("source-unsupported", help.clone()),
            Self::Unborn { .. } => (
                "source-no-commit",
                "ctl reads commits: `git add -A && git commit`; `ctl init` writes a first project if there is none yet"
                    .to_owned(),
            ),
            Self::NoRevision { shallow: true, .. } => {
                ("source-no-revision", "this clone is shallow: `git fetch --unshallow` brings the rest".to_owned())
            }
            Self::NoRevision { .. } => ("source-no-revision", "see `git branch --all` and `git tag`".to_owned()),
            Self::NoFolder { .. } => {
                ("source-no-folder", "commit the folder, or name one that is committed".to_owned())
            }
            Self::NoProject { uncommitted: true, .. } => {
                ("source-no-project", "ctl.yaml is here and not committed: `git add ctl.yaml` and commit".to_owned())
            }
            Self::NoProject { .. } => ("source-no-project", "write one with `ctl init`, and commit it".to_owned()),
            Self::BadUrl { why, .. } => ("source-bad-url", why.help().to_owned()),
            Self::Fetch { why, .. } if wants_credentials(&why.complaint()) => (
                "source-unreachable",
                "it wants a credential, or another one: give git one that works without asking (a credential helper, an \
                 ssh key); it goes on by itself then"
                    .to_owned(),
            ),
            Self::Fetch { .. } => {
                ("source-unreachable", "see whether `git ls-remote` with this URL works; ctl asks git".to_owned())
            }
            Self::OddEntry { .. } => {
                ("source-odd-entry", "no git of today makes such a tree: find out who pushed it".to_owned())
            }
            Self::FileTooLarge { .. } => {
                ("source-file-too-large", Limits::help("file", "split it into several files"))
            }
            Self::TooMuch { .. } => ("too-large", Limits::help("project", "split the project")),
            Self::TooManyFiles { .. } => (
                "source-too-many-files",
                Limits::help("files", "give the project a folder of its own, split it into several"),
            ),
            Self::TooDeep { .. } => ("source-too-deep", "move the files up".to_owned()),
            Self::Object { shallow: true, .. } => {
                ("source-object-missing", "this clone is shallow: `git fetch --unshallow` brings the rest".to_owned())
            }
            Self::Object { .. } => ("source-object-missing", "see what `git fsck` says".to_owned()),
            Self::Io { .. } => ("source-unreadable", "see who may read it".to_owned()),
            Self::Git(_) => ("source-git", "see whether git itself works in that repository".to_owned()),
        };
        Diagnostic::error(code, self.to_string()).help(help)
    }
}

/// Where a `ctl.yaml` was looked for; at the top there is no other place.
fn place(folder: &str) -> String {
    if folder.is_empty() { " in its top folder".to_owned() } else { format!(" in `{folder}` or above it") }
}

/// True if git says that it was not let in.
fn wants_credentials(complaint: &str) -> bool {
    const WORDS: [&str; 6] = [
        "unable to get password",
        "could not read Username",
        "could not read Password",
        "Authentication failed",
        "Permission denied (",
        "requested URL returned error: 403",
    ];
    WORDS.iter().any(|words| complaint.contains(words))
}
