//! The lock of the repository on this machine, shared by the cycles of all targets.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::{Cycle, moved};
use crate::cli::session::Session;
use crate::cli::stores;
use crate::cli::{Context, Exit, Stop};
use crate::model::{Diagnostic, Process, TargetName};
use crate::reconcile::{Locked, free};
use crate::store::{LocalLock, LockError, Store, is_gone};

/// How many milliseconds a cycle of this process may take to let go of the lock.
const GIVING_BACK: usize = 50;

/// The lock of a repository on this machine, shared by the cycles of this process that run side by side: taken with the
/// first of them that writes, given back with the last.
#[derive(Debug, Default)]
pub(in crate::cli) struct Locks(Mutex<Weak<LocalLock>>);

impl Locks {
    pub(super) fn take(&self, ctx: &Context, repository: &Path, me: &Process) -> Result<Arc<LocalLock>, Stop> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = shared.upgrade() {
            return Ok(lock);
        }
        let mut taken = LocalLock::take(&ctx.state, repository, me);
        for _ in 0..GIVING_BACK {
            match &taken {
                // Another cycle of this process is just giving it back.
                Err(LockError::Held { holder: Some(holder) }) if holder == me => {}
                _ => break,
            }
            std::thread::sleep(Duration::from_millis(1));
            taken = LocalLock::take(&ctx.state, repository, me);
        }
        match taken {
            Ok(lock) => {
                let lock = Arc::new(lock);
                *shared = Arc::downgrade(&lock);
                Ok(lock)
            }
            Err(error @ LockError::Held { .. }) => {
                let help = "it is tried again soon; nothing has to be unlocked by hand";
                Err(Stop::with(Exit::Locked, Diagnostic::error("locked", error.to_string()).help(help)))
            }
            Err(error @ LockError::Io(_)) => {
                let help = "choose a folder that can be written with --state DIR";
                Err(Stop::with(Exit::Failed, Diagnostic::error("state-folder", error.to_string()).help(help)))
            }
        }
    }
}

impl Cycle<'_> {
    /// Takes the lock of the repository and sees that the record stands where it stood when the plan was made.
    pub(super) async fn lock(&self, session: &Session, target: &TargetName) -> Result<Arc<LocalLock>, Stop> {
        let me = &self.order.here.process;
        let repository = self.basis.loaded.source.common_dir();
        let lock = tokio::task::block_in_place(|| self.basis.locks.take(self.ctx, repository, me))?;
        let name = self.name(target);
        let Some((tip, record)) = session.records.get(target) else { return Ok(lock) };
        let stands = tokio::task::block_in_place(|| self.basis.stores.stands(&name)).map_err(|e| stores::stop(&e))?;
        if stands == *tip && record.intents.is_empty() {
            return Ok(lock);
        }
        let alive = |process: &Process| !is_gone(process, me);
        match free(&self.basis.stores, &name, &self.order.here, &alive, Duration::ZERO, &self.ctx.clock).await {
            Ok(found) if found.tip == *tip => Ok(lock),
            Ok(_) => Err(moved()),
            Err(Locked::Held(intent)) => {
                let (who, pid, host) = (&intent.holder.who, intent.holder.pid, &intent.holder.host);
                let message = format!("another run holds {target}: {who} (process {pid} on {host})");
                let help = "it is tried again soon; nothing has to be unlocked by hand";
                Err(Stop::with(Exit::Locked, Diagnostic::error("locked", message).help(help)))
            }
            Err(Locked::Store(error)) => Err(stores::stop(&error)),
        }
    }
}
