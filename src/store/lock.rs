//! The lock of one repository on this machine, and files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::StoreError;
use super::codec::ProcessWire;
use crate::model::{Digest, Process};

/// The lock of one repository on this machine: no two runs write its records at once. It goes with the process.
#[derive(Debug)]
pub struct LocalLock {
    _file: File,
}

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run has it.
    #[error("another run on this machine holds the lock: {}", holder.as_ref().map_or("it has not said who it is".to_owned(), |h| format!("{}, process {}", h.who, h.pid)))]
    Held {
        /// Who, if it has said so yet.
        holder: Option<Process>,
    },
    /// The state folder cannot be written.
    #[error("the lock cannot be taken: {0}")]
    Io(std::io::Error),
}

impl From<std::io::Error> for LockError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl LocalLock {
    /// Takes the lock of the repository (its common git dir's real path), or says who has it. Never waits.
    pub fn take(state_dir: &Path, repository: &Path, me: &Process) -> Result<Self, LockError> {
        let folder = state_dir.join("locks");
        private_folder(&folder)?;
        let name = Digest::of(repository.as_os_str().as_encoded_bytes()).short(32);
        let mut file = open_private(&folder.join(format!("{name}.lock")))?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(LockError::Io(error.into()));
            }
            let mut text = String::new();
            file.take(64 << 10).read_to_string(&mut text)?;
            let holder = serde_json::from_str::<ProcessWire>(&text).ok().map(ProcessWire::into_model);
            return Err(LockError::Held { holder });
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(&ProcessWire::of(me)).map_err(std::io::Error::from)?)?;
        Ok(Self { _file: file })
    }
}

/// Makes a folder (and those above it) that only its owner may enter.
pub(super) fn private_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens a file for reading and writing that only its owner may read; never through a symbolic link.
pub(super) fn open_private(path: &Path) -> std::io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

/// What an error of the file system means for a record.
pub(super) fn io_error(what: &Path, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let why = format!("{}: {error}", what.display());
    if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) {
        let help =
            "give it to the user that runs ctl, or keep the record in a folder: `record: {file: DIR}`".to_owned();
        return StoreError::Denied { why, help };
    }
    StoreError::Unreachable { why, help: "see that the disk is there and has room".to_owned() }
}
