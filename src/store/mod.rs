//! Small durable facts. The record of a target lives behind one trait with two backends: refs of a Git repository
//! (local, or pushed) and a folder. The orders that hold for a project's watchers lie beside them ([`OrderBook`]). Who may write a
//! record at all is agreed on with a [`Coordinator`].

mod codec;
mod coordinator;
mod etcd;
mod file;
mod git;
mod lock;
mod memory;
mod memory_coordinator;
mod orders;
mod parallel;
mod process;
mod refs;
mod salvage;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::model::{ProjectName, Record, RecordHead, TargetName};

pub use coordinator::{Coordinator, CoordinatorError, LeaseId, Seat};
pub use etcd::{BadEtcd, Etcd, EtcdConfig};
pub use file::FileStore;
pub use git::{GitPlace, GitStore, RECORD_REFS};
pub use lock::{LocalLock, LockError};
pub use memory::MemoryStore;
pub use memory_coordinator::{Lost, MemoryCoordinator};
pub use orders::OrderBook;
pub use process::{current_process, is_expired, is_gone, same_machine};
pub use salvage::Salvage;

/// Which record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordName {
    /// The project.
    pub project: ProjectName,
    /// The target.
    pub target: TargetName,
}

/// Where a record stands: a commit id, or a digest. Compared, never interpreted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tip(pub String);

impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A backend of records. Every method blocks; callers on an async runtime move it off the loop.
pub trait Store: Send + Sync {
    /// Reads a record and where it stands; no tip means that there is none yet. What is there and cannot be read is an
    /// error, never an empty record.
    fn read(&self, name: &RecordName) -> Result<(Option<Tip>, Record), StoreError>;

    /// Where the record stands as far as this machine knows: quick, and nobody else is asked. What others wrote since is
    /// noticed by [`Store::read`], and at the latest by [`Store::swap`].
    fn stands(&self, name: &RecordName) -> Result<Option<Tip>, StoreError> {
        self.read(name).map(|(tip, _)| tip)
    }

    /// What a damaged record still says, so that it can be made anew; of one that is whole, all of it. Fails where not even
    /// the place is known that it stands at, or where a newer program wrote it.
    fn salvage(&self, name: &RecordName) -> Result<Salvage, StoreError> {
        let (tip, record) = self.read(name)?;
        Ok(Salvage { tip, record, damage: Vec::new() })
    }

    /// Replaces the record if it still stands at `expected`. Durable when it returns.
    fn swap(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<Tip, StoreError>;

    /// Writes an outcome where only this machine sees it, because sharing it failed after the target was written. The
    /// next [`Store::read`] finds it and the next [`Store::swap`] shares it. The same as a swap where nothing is shared.
    fn keep(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<Tip, StoreError> {
        self.swap(name, expected, record, message)
    }

    /// Shares what [`Store::keep`] left here, if the tip that was read is such. Nothing to do where nothing is shared.
    fn share(&self, name: &RecordName, tip: &Tip) -> Result<(), StoreError> {
        let _ = (name, tip);
        Ok(())
    }

    /// The names of all records of a project, for those whose target is gone from `ctl.yaml`.
    fn names(&self, project: &ProjectName) -> Result<Vec<RecordName>, StoreError>;

    /// The newest `limit` outcomes (heads), newest first.
    fn history(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, Record)>, StoreError>;

    /// The heads of the newest `limit` outcomes, newest first: what a list of versions needs, without their lines.
    fn versions(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, RecordHead)>, StoreError> {
        let history = self.history(name, limit)?;
        Ok(history.into_iter().filter_map(|(tip, record)| Some((tip, record.head?))).collect())
    }

    /// The record as it stood at one of [`Store::versions`].
    fn at(&self, name: &RecordName, tip: &Tip) -> Result<Record, StoreError> {
        let history = self.history(name, usize::MAX)?;
        history.into_iter().find(|(at, _)| at == tip).map(|(_, record)| record).ok_or(StoreError::Moved)
    }

    /// True if other machines see it.
    fn is_shared(&self) -> bool;
}

/// Why a record could not be read or written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// It stands elsewhere now: read it again.
    #[error("the record moved meanwhile")]
    Moved,
    /// Not allowed to write: nothing was written.
    #[error("the record may not be written: {why}")]
    Denied {
        /// The cause.
        why: String,
        /// What to do.
        help: String,
    },
    /// It cannot be read or reached: what is owned is unknown.
    #[error("the record cannot be reached: {why}")]
    Unreachable {
        /// The cause.
        why: String,
        /// What to do.
        help: String,
    },
    /// It is there and not what `ctl` writes.
    #[error("the record is damaged: {why}")]
    Damaged {
        /// Where and what.
        why: String,
        /// What to do.
        help: String,
    },
    /// It was written under a later tenure than ours: somebody else leads now. Nothing was written.
    #[error("the record was written under the tenure {theirs}, and ours is {ours}")]
    Fenced {
        /// The token of our tenure.
        ours: u64,
        /// The highest token in the record.
        theirs: u64,
    },
    /// It was sent and the answer was lost.
    #[error("nobody knows whether the record was written: {why}")]
    Unanswered {
        /// The cause.
        why: String,
    },
}
