//! The last good state on disk, for when the source is away.
//!
//! One file holds the commit object, every tree and every text file of the project, as git has them. Nothing is
//! believed when it is read back: the SHA-256 of the whole must hold, each object is named by its own hash computed
//! anew, and from the commit's id everything down to the last manifest must be there under the name that its folder
//! gives it. So a state that reads back is what was committed; anything else is refused, and then there is none.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, Repository};
use serde::{Deserialize, Serialize};

use super::discover::Place;
use super::{Source, SourceError, SourceOptions};
use crate::model::{Diagnostic, Digest, FileMode, Revision};

/// The first line. Its number changes with the form.
const MAGIC: &[u8] = b"ctl last good state 1\n";

/// The file's name in its folder.
const NAME: &str = "good";

/// Most bytes of a state: memory holds it once.
const MAX_BYTES: usize = 256 << 20;

/// The last state that was good, verified.
pub struct Good {
    header: Header,
    revision: Revision,
    /// Magic, digest, header and objects, as they are on disk.
    bytes: Vec<u8>,
    objects: HashMap<Oid, Object>,
}

/// Kind, and where its bytes are.
#[derive(Clone, Copy)]
struct Object {
    kind: ObjectType,
    from: usize,
    to: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// Which source it is of.
    name: String,
    revision: String,
    folder: String,
    /// The git dir, which also names the records.
    common_dir: PathBuf,
    /// When it was written, Unix seconds.
    written: i64,
    /// How many resources it wants.
    resources: usize,
    /// Files of which another version than the commit's is in force; none for a file that is left out.
    kept: BTreeMap<String, Option<String>>,
}

/// What is written down beside the commit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GoodNote {
    /// Which source it is of: [`Keeper::name`](super::Keeper::name). A state of another one is refused.
    pub name: String,
    /// The time, Unix seconds.
    pub written: i64,
    /// How many resources it wants.
    pub resources: usize,
    /// Files (by path) of which another version (a blob) than the commit's is in force, and files left out.
    pub kept: BTreeMap<String, Option<String>>,
}

/// Why there is no last good state to be had, or none could be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GoodError {
    /// There is none.
    #[error("no last good state was kept in {path}")]
    Absent {
        /// Where it would be.
        path: String,
    },
    /// What is there is not what was written, or could have been written by somebody else.
    #[error("the last good state in {path} is not used: {why}")]
    Refused {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It cannot be read or written.
    #[error("{path}: {why}")]
    Io {
        /// The file.
        path: String,
        /// The cause.
        why: String,
    },
    /// The project is larger than is kept.
    #[error("the project has more than {limit} bytes: no last good state is kept")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The source could not be read to the end.
    #[error("{0}")]
    Source(SourceError),
}

impl GoodError {
    /// The same for people, with what to do now.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, help) = match self {
            Self::Absent { .. } => {
                ("source-good-absent", "it is written once a commit was read without an error".to_owned())
            }
            Self::Refused { .. } => {
                ("source-good-refused", "remove the file: the next good commit writes it anew".to_owned())
            }
            Self::Io { .. } => {
                ("source-good-unwritable", "see who may write the state folder, and whether it is full".into())
            }
            Self::TooLarge { .. } => ("source-good-too-large", "split the project".to_owned()),
            Self::Source(error) => return error.diagnostic(),
        };
        Diagnostic::error(code, self.to_string()).help(help)
    }
}

impl std::fmt::Debug for Good {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Good({}, {} objects)", self.header.revision, self.objects.len())
    }
}

impl Good {
    /// Writes the state of a commit that was read without an error into `dir`, in the place of the one before, whole
    /// or not at all: after a crash the old one or the new one is there. The file is ours alone (0600).
    ///
    /// `before` saves reading again what has not changed.
    pub fn write(dir: &Path, source: &Source, note: GoodNote, before: Option<&Self>) -> Result<Self, GoodError> {
        let header = Header {
            name: note.name,
            revision: source.revision().to_string(),
            folder: source.folder().to_owned(),
            common_dir: source.common_dir().to_owned(),
            written: note.written,
            resources: note.resources,
            kept: note.kept,
        };
        let good = Gathering { source, before, seen: HashMap::new(), bytes: Vec::new() }.good(header)?;
        good.store(dir)?;
        Ok(good)
    }

    /// Reads the state in `dir` back, of the source `name`, and verifies all of it.
    pub fn read(dir: &Path, name: &str) -> Result<Self, GoodError> {
        let path = dir.join(NAME);
        let refuse = |why: &str| GoodError::Refused { path: path.display().to_string(), why: why.to_owned() };
        let bytes = read_own(&path)?;
        let good = Self::parse(bytes).map_err(|why| refuse(&why))?;
        if good.header.name != name {
            return Err(refuse("it is of another source"));
        }
        let options = SourceOptions { git: crate::net::Git::new(), state_dir: dir.to_owned(), limits: wide() };
        let whole = good.source(None, options).and_then(|source| good.verify(&source));
        whole.map_err(|error| refuse(&error.to_string()))?;
        Ok(good)
    }

    /// The commit.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// When it was written, Unix seconds.
    pub fn written(&self) -> i64 {
        self.header.written
    }

    /// How many resources it wants.
    pub fn resources(&self) -> usize {
        self.header.resources
    }

    /// Files of which another version than the commit's is in force, and files left out.
    pub fn kept(&self) -> &BTreeMap<String, Option<String>> {
        &self.header.kept
    }

    /// The bytes of a blob, if the state has it.
    pub fn blob(&self, id: &str) -> Option<&[u8]> {
        let object = self.objects.get(&Oid::from_str(id).ok()?).filter(|o| o.kind == ObjectType::Blob)?;
        self.bytes.get(object.from..object.to)
    }

    /// The version (a blob) of a file that was in force; none if the file was not there, or left out.
    pub fn in_force(&self, path: &str) -> Option<String> {
        if let Some(kept) = self.header.kept.get(path) {
            return kept.clone();
        }
        let data = |id: Oid, kind| {
            let object = self.objects.get(&id).filter(|object| object.kind == kind)?;
            self.bytes.get(object.from..object.to)
        };
        let mut here = tree_line(data(Oid::from_str(self.revision.as_str()).ok()?, ObjectType::Commit)?)?;
        let mut steps = path.split('/').peekable();
        while let Some(step) = steps.next() {
            let found = entries(data(here, ObjectType::Tree)?)?.into_iter().find(|e| e.name == step.as_bytes())?;
            match steps.peek() {
                Some(_) if found.is_tree() => here = found.id,
                None if found.is_file() => return Some(found.id.to_string()),
                _ => return None,
            }
        }
        None
    }

    /// The commit as a source that is read like any other: trees and files come from the state, and nothing else is
    /// there. `url` is what the source was named by, if it was a URL.
    pub fn source(&self, url: Option<String>, options: SourceOptions) -> Result<Source, SourceError> {
        let broken = |error: git2::Error| SourceError::Object {
            id: self.header.revision.clone(),
            why: error.message().to_owned(),
            shallow: false,
        };
        let odb = Odb::new().map_err(broken)?;
        odb.add_new_mempack_backend(1).map_err(broken)?;
        for object in self.objects.values() {
            odb.write(object.kind, &self.bytes[object.from..object.to]).map_err(broken)?;
        }
        let repo = Repository::from_odb(odb).map_err(broken)?;
        let common_dir = self.header.common_dir.clone();
        let place = Place { git_dir: common_dir.clone(), common_dir, top: None, folder: self.header.folder.clone() };
        let source = Source::recalled(place, repo, self.revision.clone(), url, options)?;
        if source.folder() != self.header.folder {
            let (commit, folder) = (self.revision.short().to_owned(), self.header.folder.clone());
            return Err(SourceError::NoProject { commit, folder, uncommitted: false });
        }
        Ok(source)
    }

    /// Everything that reading the project may ask for is there.
    fn verify(&self, source: &Source) -> Result<(), SourceError> {
        let missing = |path: &str| SourceError::Object {
            id: path.to_owned(),
            why: "it is not in the state".to_owned(),
            shallow: false,
        };
        let tree = source.tree(source.folder())?;
        for entry in tree.entries.iter().filter(|e| e.mode == FileMode::File && is_text(&e.path)) {
            self.blob(&entry.blob).ok_or_else(|| missing(&entry.path))?;
        }
        for (path, blob) in self.header.kept.iter().filter_map(|(path, blob)| Some((path, blob.as_ref()?))) {
            self.blob(blob).ok_or_else(|| missing(path))?;
        }
        Ok(())
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as one of this version")?;
        let (digest, body) = rest.split_at_checked(32).ok_or("it is cut off")?;
        if Digest::of(body).as_bytes() != digest {
            return Err("its checksum is wrong".to_owned());
        }
        let end = body.iter().position(|b| *b == b'\n').ok_or("it has no header")?;
        let header: Header = serde_json::from_slice(&body[..end]).map_err(|e| format!("its header: {e}"))?;
        let revision = Revision::parse(&header.revision).ok_or("its commit is no object id")?;
        let mut objects = HashMap::new();
        let mut at = bytes.len() - body.len() + end + 1;
        while at < bytes.len() {
            let (kind, len) = head(&bytes[at..]).ok_or("an object has no head")?;
            let (from, to) = (at + HEAD, at.saturating_add(HEAD).saturating_add(len));
            let data = bytes.get(from..to).ok_or("an object is cut off")?;
            let id = Oid::hash_object(kind, data).map_err(|e| e.message().to_owned())?;
            objects.insert(id, Object { kind, from, to });
            at = to;
        }
        Ok(Self { header, revision, bytes, objects })
    }

    fn store(&self, dir: &Path) -> Result<(), GoodError> {
        let path = dir.join(NAME);
        let new = dir.join(format!("{NAME}.{}.new", std::process::id()));
        let io = |e: std::io::Error| GoodError::Io { path: path.display().to_string(), why: e.to_string() };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        // A leftover goes; whatever else stands there is not written through.
        fs::remove_file(&new).ok();
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(&self.bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|error| {
            fs::remove_file(&new).ok();
            io(error)
        })
    }
}

/// Bytes before each object's own: its kind and its length.
const HEAD: usize = 5;

fn head(bytes: &[u8]) -> Option<(ObjectType, usize)> {
    let (kind, rest) = bytes.split_first()?;
    let kind = match kind {
        b'c' => ObjectType::Commit,
        b't' => ObjectType::Tree,
        b'b' => ObjectType::Blob,
        _ => return None,
    };
    let (len, _) = rest.split_first_chunk::<4>()?;
    Some((kind, u32::from_le_bytes(*len) as usize))
}

fn is_text(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end))
}

/// A state was within its limits when it was written.
fn wide() -> crate::model::Limits {
    crate::model::Limits { files: usize::MAX, project: usize::MAX, folder_depth: 1024, ..Default::default() }
}

/// Takes together what belongs to a state.
struct Gathering<'a> {
    source: &'a Source,
    before: Option<&'a Good>,
    seen: HashMap<Oid, Object>,
    bytes: Vec<u8>,
}

impl Gathering<'_> {
    fn good(mut self, mut header: Header) -> Result<Good, GoodError> {
        let repo = self.source.repo();
        let odb = repo.odb().map_err(|e| broken(&header.revision, &e))?;
        let parse = |id: &str| Oid::from_str(id).map_err(|e| broken(id, &e));
        let commit = parse(&header.revision)?;
        let commit_bytes = self.take(&odb, commit, ObjectType::Commit)?;
        let root = tree_line(&self.bytes[commit_bytes.from..commit_bytes.to])
            .ok_or_else(|| broken(&header.revision, &git2::Error::from_str("it names no tree")))?;
        let mut here = root;
        for step in header.folder.split('/').filter(|step| !step.is_empty()) {
            let entries = self.tree(&odb, here)?;
            let found = entries.into_iter().find(|e| e.name == step.as_bytes() && e.is_tree());
            here = found.ok_or_else(|| broken(step, &git2::Error::from_str("the folder is gone")))?.id;
        }
        self.folder(&odb, here, 0)?;
        if !header.folder.is_empty() {
            // What projects in subfolders share.
            let entries = self.tree(&odb, root)?;
            if let Some(apis) = entries.into_iter().find(|e| e.name == b"apis" && e.is_tree()) {
                self.folder(&odb, apis.id, 0)?;
            }
        }
        for blob in header.kept.values_mut() {
            let Some(id) = blob.as_deref().and_then(|id| Oid::from_str(id).ok()) else { continue };
            // An old version may be pruned by now. Then the file is left out.
            if self.take(&odb, id, ObjectType::Blob).is_err() {
                *blob = None;
            }
        }
        let revision = Revision::parse(&header.revision)
            .ok_or_else(|| broken(&header.revision, &git2::Error::from_str("it is no object id")))?;
        let mut body =
            serde_json::to_vec(&header).map_err(|e| GoodError::Io { path: NAME.to_owned(), why: e.to_string() })?;
        body.push(b'\n');
        let shift = MAGIC.len() + 32 + body.len();
        body.append(&mut self.bytes);
        let bytes = [MAGIC, Digest::of(&body).as_bytes(), &body].concat();
        let objects = self
            .seen
            .into_iter()
            .map(|(id, Object { kind, from, to })| (id, Object { kind, from: from + shift, to: to + shift }));
        Ok(Good { header, revision, bytes, objects: objects.collect() })
    }

    /// Every folder and every text file below.
    fn folder(&mut self, odb: &Odb<'_>, id: Oid, depth: usize) -> Result<(), GoodError> {
        let limit = self.source.options.limits.folder_depth;
        if depth > limit {
            return Err(GoodError::Source(SourceError::TooDeep { path: id.to_string(), limit }));
        }
        for entry in self.tree(odb, id)? {
            if entry.is_tree() {
                self.folder(odb, entry.id, depth + 1)?;
            } else if entry.is_file() && std::str::from_utf8(&entry.name).is_ok_and(is_text) {
                self.take(odb, entry.id, ObjectType::Blob)?;
            }
        }
        Ok(())
    }

    fn tree(&mut self, odb: &Odb<'_>, id: Oid) -> Result<Vec<Entry>, GoodError> {
        let object = self.take(odb, id, ObjectType::Tree)?;
        entries(&self.bytes[object.from..object.to])
            .ok_or_else(|| broken(&id.to_string(), &git2::Error::from_str("it is no tree")))
    }

    /// Adds one object, from the state before or from the repository.
    fn take(&mut self, odb: &Odb<'_>, id: Oid, kind: ObjectType) -> Result<Object, GoodError> {
        if let Some(known) = self.seen.get(&id) {
            return Ok(*known);
        }
        let known = self.before.and_then(|good| {
            let object = good.objects.get(&id).filter(|o| o.kind == kind)?;
            good.bytes.get(object.from..object.to)
        });
        let read;
        let data = match known {
            Some(data) => data,
            None => {
                read = odb.read(id).map_err(|e| broken(&id.to_string(), &e))?;
                if read.kind() != kind {
                    return Err(broken(&id.to_string(), &git2::Error::from_str("it is of another kind")));
                }
                read.data()
            }
        };
        let too_large = || GoodError::TooLarge { limit: MAX_BYTES };
        let len = u32::try_from(data.len()).map_err(|_| too_large())?;
        if self.bytes.len() + data.len() > MAX_BYTES {
            return Err(too_large());
        }
        self.bytes.push(match kind {
            ObjectType::Commit => b'c',
            ObjectType::Tree => b't',
            ObjectType::Blob | ObjectType::Any | ObjectType::Tag => b'b',
        });
        self.bytes.extend_from_slice(&len.to_le_bytes());
        let from = self.bytes.len();
        self.bytes.extend_from_slice(data);
        let object = Object { kind, from, to: self.bytes.len() };
        self.seen.insert(id, object);
        Ok(object)
    }
}

fn broken(id: &str, error: &git2::Error) -> GoodError {
    GoodError::Source(SourceError::Object { id: id.to_owned(), why: error.message().to_owned(), shallow: false })
}

/// The tree that a commit object names in its first line.
fn tree_line(commit: &[u8]) -> Option<Oid> {
    let id = commit.strip_prefix(b"tree ")?.get(..40)?;
    Oid::from_str(std::str::from_utf8(id).ok()?).ok()
}

struct Entry {
    mode: u32,
    name: Vec<u8>,
    id: Oid,
}

impl Entry {
    fn is_tree(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// The entries of a tree object: mode in octal, a space, the name, a zero, twenty bytes of id.
fn entries(mut tree: &[u8]) -> Option<Vec<Entry>> {
    let mut out = Vec::new();
    while !tree.is_empty() {
        let space = tree.iter().position(|b| *b == b' ')?;
        let mode = u32::from_str_radix(std::str::from_utf8(&tree[..space]).ok()?, 8).ok()?;
        let zero = space + tree[space..].iter().position(|b| *b == 0)?;
        let id = tree.get(zero + 1..zero + 21)?;
        out.push(Entry { mode, name: tree[space + 1..zero].to_vec(), id: Oid::from_bytes(id).ok()? });
        tree = &tree[zero + 21..];
    }
    Some(out)
}

/// Reads a plain file that only we can have written or read.
fn read_own(path: &Path) -> Result<Vec<u8>, GoodError> {
    let shown = || path.display().to_string();
    let io = |e: std::io::Error| GoodError::Io { path: shown(), why: e.to_string() };
    let refuse = |why: &str| GoodError::Refused { path: shown(), why: why.to_owned() };
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(GoodError::Absent { path: shown() }),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(refuse("it is a symbolic link"));
        }
        Err(error) => return Err(io(error)),
    };
    let about = file.metadata().map_err(io)?;
    if !about.is_file() {
        return Err(refuse("it is no plain file"));
    }
    if about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o077 != 0 {
        return Err(refuse("others may read or write it"));
    }
    let mut bytes = Vec::new();
    // The header's share is small beside what objects may have.
    file.take(2 * MAX_BYTES as u64).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
