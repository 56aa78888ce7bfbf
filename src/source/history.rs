//! How two commits are related, and what a commit says of itself.

use git2::{Oid, Repository};

use super::{Source, SourceError, mirror};
use crate::model::{Digest, Revision};
use crate::net::{GitCall, words};

/// How two commits are related.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ancestry {
    /// They are one.
    Same,
    /// The first is an ancestor of the second: things went forward.
    Ancestor,
    /// The first is a descendant of the second: things would go back.
    Descendant,
    /// Neither: history was rewritten, or these are two branches.
    Unrelated,
    /// The clone is shallow and the rest of history could not be had.
    UnknownShallow,
    /// One of them is not in the repository.
    Missing,
}

/// What a commit says of itself. Everything in it was written by whoever made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitInfo {
    /// Its first line.
    pub subject: String,
    /// The whole message.
    pub message: String,
    /// The author: `Name <address>`.
    pub author: String,
    /// When it was committed, Unix seconds.
    pub time: i64,
}

impl Source {
    /// How `older` (what was applied) is related to `newer` (what is to be applied). Where a shallow clone cannot
    /// tell, the history is fetched from `origin` into a private mirror; the clone itself stays as it is.
    pub fn ancestry(&self, older: &Revision, newer: &Revision) -> Ancestry {
        if older == newer {
            return Ancestry::Same;
        }
        let found = related(&self.repo(), older, newer);
        if !self.is_shallow() || matches!(found, Ancestry::Ancestor | Ancestry::Descendant) {
            return found;
        }
        self.deepened(newer).map_or(Ancestry::UnknownShallow, |repo| related(&repo, older, newer))
    }

    /// A bare repository below the state folder with the whole history of `origin` and our own commits.
    fn deepened(&self, newer: &Revision) -> Option<Repository> {
        let url = self.remote_url("origin")?;
        let key = self.place.common_dir.as_os_str().as_encoded_bytes();
        let dir = self.options.state_dir.join("mirrors").join(format!("full-{}", Digest::of(key).short(27)));
        if !dir.join("HEAD").exists() {
            mirror::create(&dir, &url).ok()?;
        }
        let limits = &self.options.limits;
        let flags = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options"];
        let run = |from: &str, spec: &str| {
            let mut args = words(flags);
            args.extend(words([from, spec]));
            self.options.git.run(&GitCall::of(&dir, args, limits.git_fetch)).ok()
        };
        run(&url, "+refs/heads/*:refs/remotes/origin/*")?;
        let repo = Repository::open_bare(&dir).ok()?;
        let newer_id = Oid::from_str(newer.as_str()).ok()?;
        if repo.find_commit(newer_id).is_err() {
            // Not pushed, or on no branch: ask for it by name, which most servers allow.
            run(&url, &format!("+{newer}:refs/ctl/source/newer"))?;
        }
        Some(repo)
    }

    /// What a commit says of itself.
    pub fn commit_info(&self, revision: &Revision) -> Result<CommitInfo, SourceError> {
        let repo = self.repo();
        let commit = Oid::from_str(revision.as_str()).and_then(|id| repo.find_commit(id)).map_err(|e| {
            SourceError::Object { id: revision.to_string(), why: e.message().to_owned(), shallow: self.is_shallow() }
        })?;
        let author = commit.author();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let message = text(commit.message_bytes());
        Ok(CommitInfo {
            subject: message.lines().next().unwrap_or_default().to_owned(),
            author: format!("{} <{}>", text(author.name_bytes()), text(author.email_bytes())),
            time: commit.time().seconds(),
            message,
        })
    }

    /// The message of a commit.
    pub fn log_message(&self, revision: &Revision) -> Result<String, SourceError> {
        self.commit_info(revision).map(|info| info.message)
    }
}

fn related(repo: &Repository, older: &Revision, newer: &Revision) -> Ancestry {
    let find = |revision: &Revision| Oid::from_str(revision.as_str()).ok().filter(|id| repo.find_commit(*id).is_ok());
    let (Some(older), Some(newer)) = (find(older), find(newer)) else { return Ancestry::Missing };
    if repo.graph_descendant_of(newer, older).unwrap_or(false) {
        Ancestry::Ancestor
    } else if repo.graph_descendant_of(older, newer).unwrap_or(false) {
        Ancestry::Descendant
    } else {
        Ancestry::Unrelated
    }
}
