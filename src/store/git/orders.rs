//! Orders as commits on a ref of their own, `<records>/<project>/_orders`: no target has such a name, and the rules of a
//! forge that let a token write the records let it write this. `git log` on it says who ordered what, and when.

use git2::{FileMode, Oid, Repository, Signature, Time};

use super::written::Written;
use super::{GitStore, resolve};
use crate::model::{Digest, Orders, ProjectName};
use crate::store::orders::{FILE, damaged, decode, encode};
use crate::store::refs::{self, Answer};
use crate::store::{OrderBook, StoreError, Tip};

impl GitStore {
    fn orders_ref(&self, project: &ProjectName) -> String {
        format!("{}{project}/_orders", self.prefix)
    }

    /// Where the remote's ref is fetched to.
    fn orders_copy(remote: &str, project: &ProjectName) -> String {
        format!("refs/ctl/remotes/{}/{project}/_orders", Digest::of(remote.as_bytes()).short(12))
    }

    /// Where the orders stand at the place that all see. Most of the time nothing moved: then one look is enough.
    fn orders_tip(&self, repo: &Repository, project: &ProjectName) -> Result<Option<Oid>, StoreError> {
        let name = self.orders_ref(project);
        let Some(remote) = &self.remote else { return resolve(repo, &name) };
        let there = refs::remote_tip(&self.git, &self.git_dir, remote, &name, self.pushing)?;
        let copy = Self::orders_copy(remote, project);
        if there.is_none() || there == resolve(repo, &copy)? {
            return Ok(there);
        }
        refs::fetch(&self.git, &self.git_dir, remote, &name, &copy, &self.clock, self.pushing)?;
        resolve(repo, &copy)
    }

    fn orders_at(repo: &Repository, name: &str, commit: Oid) -> Result<Orders, StoreError> {
        let missing = |e: git2::Error| damaged(name, e.message());
        let tree = repo.find_commit(commit).and_then(|c| c.tree()).map_err(missing)?;
        let entry = tree.get_name(FILE).ok_or_else(|| damaged(name, &format!("{FILE} is missing")))?;
        decode(name, repo.find_blob(entry.id()).map_err(missing)?.content())
    }

    /// Writes the orders and a commit on top of `parent`, durably.
    fn orders_commit(
        &self,
        repo: &Repository,
        parent: Option<&Tip>,
        bytes: &[u8],
        message: &str,
    ) -> Result<Oid, StoreError> {
        let parent = parent.map(|tip| self.parent(repo, tip)).transpose()?;
        let write = || {
            let mut written = Written::default();
            let blob = written.blob(repo, bytes)?;
            let mut root = repo.treebuilder(None)?;
            root.insert(FILE, blob, FileMode::Blob.into())?;
            let tree = written.tree(&root)?;
            let time = Time::new(self.clock.wall().as_second(), 0);
            let me = Signature::new("ctl", "ctl@localhost", &time)?;
            let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
            let commit = repo.commit(None, &me, &me, message, &repo.find_tree(tree)?, &parents)?;
            written.note(commit);
            Ok((written, commit))
        };
        let (written, commit) = write().map_err(|e: git2::Error| self.unwritable(&e))?;
        self.sync(written)?;
        Ok(commit)
    }
}

impl OrderBook for GitStore {
    fn orders(&self, project: &ProjectName) -> Result<(Option<Tip>, Orders), StoreError> {
        let repo = self.repository()?;
        match self.orders_tip(&repo, project)? {
            None => Ok((None, Orders::default())),
            Some(tip) => Ok((Some(Tip(tip.to_string())), Self::orders_at(&repo, &self.orders_ref(project), tip)?)),
        }
    }

    fn set_orders(
        &self,
        project: &ProjectName,
        expected: Option<&Tip>,
        orders: &Orders,
        message: &str,
    ) -> Result<Tip, StoreError> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let (repo, name) = (self.repository()?, self.orders_ref(project));
        let from = expected.map(|tip| Oid::from_str(&tip.0).map_err(|_| StoreError::Moved)).transpose()?;
        let commit = self.orders_commit(&repo, expected, &encode(&name, orders)?, message)?;
        let tip = Tip(commit.to_string());
        let Some(remote) = &self.remote else {
            return self.move_ref(&name, commit, from).map(|()| tip);
        };
        if let Answer::Lost(why) = refs::push(&self.git, &self.git_dir, remote, commit, &name, self.pushing)? {
            // The remote knows: what stands there now is ours, another's, or not to be known.
            match refs::remote_tip(&self.git, &self.git_dir, remote, &name, self.pushing) {
                Ok(there) if there == Some(commit) => {}
                Ok(there) if there != from => return Err(StoreError::Moved),
                Ok(_) | Err(_) => return Err(StoreError::Unanswered { why }),
            }
        }
        let copy = Self::orders_copy(remote, project);
        let before = resolve(&repo, &copy).unwrap_or(None);
        self.move_ref(&copy, commit, before).ok();
        Ok(tip)
    }
}
