//! What a watcher keeps on this machine: its lock, where it listens, the orders it was given, the last good snapshot.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::cli::remote::Address;
use rustix::fs::{FlockOperation, flock};

/// The folder of one watcher: one per repository and project folder, in the state folder.
#[derive(Debug)]
pub(in crate::cli) struct Folder {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder and takes its lock; `None` if another watcher has it.
    pub(super) fn take(dir: PathBuf) -> std::io::Result<Option<Self>> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let lock = open(&dir.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { dir, _lock: Some(lock) })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says where the watcher listens, so that `ctl status` and the like find it.
    pub(super) fn announce(&self, address: &Address) -> std::io::Result<()> {
        self.write("address", &serde_json::to_vec(address).map_err(std::io::Error::from)?)
    }

    /// Nobody listens any more.
    pub(super) fn leave(&self) {
        // A file that stays is found out by whoever tries the address in it.
        drop(fs::remove_file(self.dir.join("address")));
    }

    /// Reads what was written under a name; `None` if nothing was.
    pub(super) fn read(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a file: whoever reads it sees the old one or the new one, also after a power cut.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut temp = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
        temp.write_all(bytes)?;
        temp.as_file().sync_all()?;
        temp.persist(self.dir.join(name)).map_err(|e| e.error)?;
        File::open(&self.dir)?.sync_all()
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_watcher_per_project_on_a_machine() {
        let state = tempfile::tempdir().unwrap();
        let first = Folder::take(state.path().join("repo")).unwrap().unwrap();
        assert!(Folder::take(state.path().join("repo")).unwrap().is_none());
        assert!(Folder::take(state.path().join("other")).unwrap().is_some());
        drop(first);
        assert!(Folder::take(state.path().join("repo")).unwrap().is_some());
    }

    #[test]
    fn what_was_written_is_there_and_only_for_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::take(state.path().join("repo")).unwrap().unwrap();
        assert_eq!(folder.read("orders").unwrap(), None);
        folder.write("orders", b"{}").unwrap();
        assert_eq!(folder.read("orders").unwrap().as_deref(), Some(&b"{}"[..]));
        let mode = fs::metadata(folder.dir.join("orders")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
