//! What the work tree has and the commit has not: for a warning, and for `--dirty`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::{Source, SourceError};
use crate::model::{FileMode, Tree, TreeEntry};

impl Source {
    /// Paths (from the repository's root) of files that are edited, deleted or untracked in the work tree, below the
    /// tree's folder; untracked ones only if they are YAML or JSON and not ignored. Empty without a work tree.
    pub fn edited_files(&self, tree: &Tree) -> Result<Vec<String>, SourceError> {
        let Some(top) = self.work_tree() else { return Ok(Vec::new()) };
        let mut edited = Vec::new();
        let mut staged = Staged::read(&self.place.git_dir, top);
        for entry in tree.entries.iter().filter(|e| e.mode == FileMode::File) {
            if staged.as_mut().is_some_and(|staged| staged.vouches(entry)) {
                continue;
            }
            match read_plain(&top.join(&entry.path), self.options.limits.file) {
                Ok(Some(bytes)) if same(&bytes, &entry.blob) => {}
                Ok(Some(_) | None) | Err(_) => edited.push(entry.path.clone()),
            }
        }
        edited.extend(self.untracked(tree)?);
        edited.sort();
        edited.dedup();
        Ok(edited)
    }

    /// Files that are in the work tree, not in the commit and not ignored.
    fn untracked(&self, tree: &Tree) -> Result<Vec<String>, SourceError> {
        let Some(top) = self.work_tree() else { return Ok(Vec::new()) };
        let work_tree = format!("--work-tree={}", top.display());
        let spec = format!(":(top,literal){}", tree.folder);
        // What is in the index but not in the commit counts as untracked too, so both are listed.
        let args =
            [&work_tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--full-name", "--", &spec];
        let listed = self.git(args).map_err(SourceError::Git)?;
        let known: std::collections::BTreeSet<&str> = tree.entries.iter().map(|e| e.path.as_str()).collect();
        let manifest = |path: &str| [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end));
        let path = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let paths = listed.split(|b| *b == 0).filter(|p| !p.is_empty()).map(path);
        Ok(paths.filter(|p| manifest(p) && !known.contains(p.as_str()) && on_disk(&top.join(p))).collect())
    }

    /// The project's files as the work tree has them, for `--dirty`: a tree whose revision is still `HEAD`, and the
    /// bytes by blob id. Symbolic links are named and never followed.
    pub fn dirty_tree(&self, tree: &Tree) -> Result<(Tree, BTreeMap<String, Vec<u8>>), SourceError> {
        let Some(top) = self.work_tree() else { return Ok((tree.clone(), BTreeMap::new())) };
        let limits = &self.options.limits;
        let mut entries = Vec::new();
        let mut contents = BTreeMap::new();
        let mut all = 0_u64;
        let mut paths: Vec<String> = tree.entries.iter().map(|e| e.path.clone()).collect();
        paths.extend(self.untracked(tree)?);
        paths.sort();
        paths.dedup();
        if paths.len() > limits.files {
            return Err(SourceError::TooManyFiles { limit: limits.files });
        }
        for path in paths {
            let old = tree.entries.iter().find(|e| e.path == path);
            if let Some(old) = old.filter(|e| e.mode == FileMode::Submodule) {
                entries.push(old.clone());
                continue;
            }
            let file = top.join(&path);
            let io = |e: &std::io::Error| SourceError::Io { path: path.clone(), why: e.to_string() };
            if through_link(top, &path) {
                let blob = Oid::hash_object(ObjectType::Blob, path.as_bytes()).map(|id| id.to_string());
                let blob = blob.unwrap_or_default();
                entries.push(TreeEntry { path, blob, mode: FileMode::Symlink, size: None });
                continue;
            }
            let Some(bytes) = read_plain(&file, limits.file).map_err(|e| io(&e))? else { continue };
            let size = bytes.len() as u64;
            if size > limits.file {
                let size = fs::metadata(&file).map_or(size, |m| m.len());
                return Err(SourceError::FileTooLarge { path, size, limit: limits.file });
            }
            let id = Oid::hash_object(ObjectType::Blob, &bytes)
                .map_err(|e| SourceError::Io { path: path.clone(), why: e.message().to_owned() })?;
            let path_is_yaml = path.ends_with(".yaml") || path.ends_with(".yml");
            entries.push(TreeEntry { path, blob: id.to_string(), mode: FileMode::File, size: Some(size) });
            // Nothing else is ever read of it.
            if path_is_yaml {
                all += size;
                if all > limits.project as u64 {
                    return Err(SourceError::TooMuch { limit: limits.project });
                }
                contents.insert(id.to_string(), bytes);
            }
        }
        Ok((Tree { revision: tree.revision.clone(), folder: tree.folder.clone(), entries }, contents))
    }
}

/// What the index knows of the files that it has, so that most of them need not be read.
struct Staged<'a> {
    /// Sorted by path, as the index is.
    entries: Vec<git2::IndexEntry>,
    /// Where the file is probably found that is asked for next.
    next: usize,
    /// When the index was written, in seconds and nanoseconds.
    written: (i64, i64),
    /// The work tree's root.
    top: &'a Path,
    /// The folder that was looked into last: most files have the same one as the file before, and the way to it is long.
    folder: Option<(String, OwnedFd)>,
}

impl<'a> Staged<'a> {
    /// None if there is no index, or one that cannot be read: then every file is looked into.
    fn read(git_dir: &Path, top: &'a Path) -> Option<Self> {
        let path = git_dir.join("index");
        let meta = fs::metadata(&path).ok()?;
        let entries = git2::Index::open(&path).ok()?.iter().collect();
        Some(Self { entries, next: 0, written: (meta.mtime(), meta.mtime_nsec()), top, folder: None })
    }

    /// Where in the index this path is.
    fn find(&mut self, path: &[u8]) -> Option<usize> {
        let at = match self.entries.get(self.next) {
            Some(entry) if entry.path == path => self.next,
            _ => self.entries.binary_search_by(|e| e.path.as_slice().cmp(path)).ok()?,
        };
        self.next = at + 1;
        Some(at)
    }

    /// What is known of the file itself, also where it is a link.
    fn stat(&mut self, path: &str) -> Option<Stat> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if self.folder.as_ref().is_none_or(|(known, _)| known != folder) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let open = rustix::fs::open(self.top.join(folder), flags, Mode::empty()).ok()?;
            self.folder = Some((folder.to_owned(), open));
        }
        let (_, open) = self.folder.as_ref()?;
        rustix::fs::statat(open, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// True if git itself would say, without reading the file, that it still is this blob: same times, size and inode as
    /// when it was added. A file as young as the index may have been changed since within one tick, and is read.
    fn vouches(&mut self, file: &TreeEntry) -> bool {
        let Some(at) = self.find(file.path.as_bytes()) else { return false };
        let now = self.stat(&file.path);
        let known = &self.entries[at];
        // Neither in conflict, nor assumed to be unchanged, nor left out of the work tree.
        let plain = known.flags & 0xb000 == 0 && known.flags_extended == 0;
        if !plain || Oid::from_str(&file.blob).ok() != Some(known.id) {
            return false;
        }
        let Some(now) = now else { return false };
        let (modified, changed) = ((now.st_mtime, now.st_mtime_nsec as i64), (now.st_ctime, now.st_ctime_nsec as i64));
        let is = |known: git2::IndexTime, (seconds, nanoseconds): (i64, i64)| {
            i64::from(known.seconds()) == seconds && i64::from(known.nanoseconds()) == nanoseconds
        };
        FileType::from_raw_mode(now.st_mode) == FileType::RegularFile
            && is(known.mtime, modified)
            && is(known.ctime, changed)
            && i64::from(known.file_size) == now.st_size
            && known.ino == now.st_ino as u32
            && modified < self.written
    }
}

/// True for a file or a link; where a link leads is not looked at.
fn on_disk(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| !m.is_dir())
}

/// True if the path or a folder on its way is a symbolic link.
fn through_link(top: &Path, path: &str) -> bool {
    let mut here = PathBuf::from(top);
    path.split('/').any(|part| {
        here.push(part);
        fs::symlink_metadata(&here).is_ok_and(|m| m.file_type().is_symlink())
    })
}

/// A plain file's bytes, at most one more than `limit`; none if it is not there or not a plain file.
fn read_plain(path: &Path, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// True if these bytes are that blob, or become it when git stores them with line ends made plain.
fn same(bytes: &[u8], blob: &str) -> bool {
    let is = |bytes: &[u8]| Oid::hash_object(ObjectType::Blob, bytes).is_ok_and(|id| id.to_string() == blob);
    is(bytes)
        || (bytes.contains(&b'\r')
            && String::from_utf8(bytes.to_vec()).is_ok_and(|t| is(t.replace("\r\n", "\n").as_bytes())))
}
