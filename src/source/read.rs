//! One commit of one repository: its tree and its blobs, read from the object database.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use git2::{ObjectType, Oid, Repository};

use super::discover::{Place, discover, open};
use super::{SourceError, mirror};
use crate::model::{Complete, FileMode, Limits, Revision, Tally, Tree, TreeEntry};
use crate::net::{Git, GitCall, GitError, words};

/// The file that makes a folder a project.
const PROJECT: &str = "ctl.yaml";

/// What [`Source::open`] needs besides the user's words.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The `git` program.
    pub git: Git,
    /// Where mirrors of URLs are kept.
    pub state_dir: PathBuf,
    /// What a repository may hold, and how long fetching may take.
    pub limits: Limits,
}

/// One commit of one repository, and the project's folder in it.
pub struct Source {
    pub(super) options: SourceOptions,
    pub(super) place: Place,
    pub(super) repo: Mutex<Repository>,
    revision: Revision,
    folder: String,
    url: Option<String>,
    recalled: bool,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({} of {}, `{}`)", self.revision.short(), self.place.common_dir.display(), self.folder)
    }
}

impl Source {
    /// Opens what the user typed: a path inside a repository, or `URL[//folder][?ref=main]`, which is fetched first.
    /// Without `rev` the commit is `HEAD` (of this work tree, or the URL's).
    ///
    /// The project is the folder typed, or the nearest one above it that has a `ctl.yaml` in that commit.
    pub fn open(text: &str, rev: Option<&str>, options: SourceOptions) -> Result<Self, SourceError> {
        if mirror::is_url(text) {
            let remote = mirror::parse(text)?;
            let wanted = rev.or(remote.rev.as_deref());
            let (place, found) = mirror::fetch(&options.git, &remote, wanted, &options.state_dir, &options.limits)?;
            return Self::at(place, Some(&found), Some(remote.url), options);
        }
        Self::at(discover(text)?, rev, None, options)
    }

    fn at(place: Place, rev: Option<&str>, url: Option<String>, options: SourceOptions) -> Result<Self, SourceError> {
        let repo = open(&place)?;
        let head = if rev.is_none_or(|rev| rev == "HEAD") { head_of(&repo, &place) } else { None };
        let revision = head.map_or_else(|| resolve(&options, &place, rev), Ok)?;
        Self::known(place, repo, revision, url, options)
    }

    /// A commit whose id is known already.
    pub(super) fn known(
        place: Place,
        repo: Repository,
        revision: Revision,
        url: Option<String>,
        options: SourceOptions,
    ) -> Result<Self, SourceError> {
        let folder = project_folder(&repo, &place, &revision)?;
        Ok(Self { options, place, repo: Mutex::new(repo), revision, folder, url, recalled: false })
    }

    /// A commit of which memory has what there is.
    pub(super) fn recalled(
        place: Place,
        repo: Repository,
        revision: Revision,
        url: Option<String>,
        options: SourceOptions,
    ) -> Result<Self, SourceError> {
        Ok(Self { recalled: true, ..Self::known(place, repo, revision, url, options)? })
    }

    /// The commit.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The project's folder from the repository's root, `""` for the root itself.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The git dir that all work trees of the repository share, as a real path: it names the repository.
    pub fn common_dir(&self) -> &Path {
        &self.place.common_dir
    }

    /// The work tree's root; none for a bare repository or a URL.
    pub fn work_tree(&self) -> Option<&Path> {
        self.place.top.as_deref()
    }

    /// The URL that this is a mirror of, if it was named by one.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// True if history is cut off.
    pub fn is_shallow(&self) -> bool {
        !self.recalled && self.place.common_dir.join("shallow").exists()
    }

    /// True if the repository has a remote of this name.
    pub fn has_remote(&self, name: &str) -> bool {
        self.remote_url(name).is_some()
    }

    /// The address of a configured remote.
    pub fn remote_url(&self, name: &str) -> Option<String> {
        let url = |repo: &Repository| repo.find_remote(name).ok().and_then(|r| r.url().ok().map(str::to_owned));
        if self.recalled {
            // The objects are in memory; what is configured still stands where the repository is, if it does.
            return open(&self.place).ok().and_then(|repo| url(&repo));
        }
        url(&self.repo())
    }

    pub(super) fn repo(&self) -> MutexGuard<'_, Repository> {
        self.repo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` with the repository; where an object is not found, once more with the repository opened afresh: it
    /// may have been repacked under us.
    fn patient<T>(&self, work: impl Fn(&Repository) -> Result<T, SourceError>) -> Result<T, SourceError> {
        let mut repo = self.repo();
        match work(&repo) {
            // What is kept in memory has no other place to be read from.
            Err(SourceError::Object { .. }) if !self.is_recalled() => {
                *repo = open(&self.place)?;
                work(&repo)
            }
            done => done,
        }
    }

    /// True if this is the last good state, read back from disk, and no repository.
    pub fn is_recalled(&self) -> bool {
        self.recalled
    }

    pub(super) fn git<const N: usize>(&self, args: [&str; N]) -> Result<Vec<u8>, GitError> {
        let call = GitCall::of(&self.place.git_dir, words(args), self.options.limits.git_local);
        self.options.git.run(&call).map(|o| o.stdout)
    }

    /// The commit that `rev` names in this repository: for `--trust REV`.
    pub fn resolve(&self, rev: &str) -> Result<Revision, SourceError> {
        resolve(&self.options, &self.place, Some(rev))
    }

    /// Every file below `folder` (from the repository's root) in the commit.
    pub fn tree(&self, folder: &str) -> Result<Complete<Tree>, SourceError> {
        self.tree_at(&self.revision, folder)
    }

    /// The same, at the price of what changed since `before`, which was read from this repository: a folder that is
    /// still the same object is not looked into again.
    pub fn tree_after(&self, before: Option<&Tree>) -> Result<Complete<Tree>, SourceError> {
        let before = before.filter(|before| before.folder == self.folder);
        self.patient(|repo| self.walk(repo, &self.revision, &self.folder, before))
    }

    /// The same in another commit.
    pub fn tree_at(&self, revision: &Revision, folder: &str) -> Result<Complete<Tree>, SourceError> {
        self.patient(|repo| self.walk(repo, revision, folder, None))
    }

    fn walk(
        &self,
        repo: &Repository,
        revision: &Revision,
        folder: &str,
        before: Option<&Tree>,
    ) -> Result<Complete<Tree>, SourceError> {
        let short = revision.short();
        let shallow = self.is_shallow();
        let missing = || SourceError::NoFolder { commit: short.to_owned(), folder: folder.to_owned() };
        let id = folder_of(repo, revision, folder, shallow)?.ok_or_else(missing)?;
        // An old commit that is gone by now saves nothing, and that is all.
        let before = before.and_then(|tree| {
            let id = folder_of(repo, &tree.revision, folder, shallow).ok()??;
            Some((id, tree.entries.as_slice()))
        });
        let (known, before) = before.map_or((&[][..], None), |(id, entries)| (entries, Some(id)));
        let mut walk = Walk {
            repo,
            short,
            limits: &self.options.limits,
            shallow,
            entries: Vec::with_capacity(known.len() + 64),
            known,
        };
        walk.folder(id, before, folder, 0)?;
        let mut entries = walk.entries;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let tally = Tally { parts: 1, items: entries.len(), announced: None, ended: true };
        let tree = Tree { revision: revision.clone(), folder: folder.to_owned(), entries };
        Complete::finish(tree, &tally).map_err(|e| SourceError::Io { path: folder.to_owned(), why: e.to_string() })
    }

    /// The bytes of blobs, in the order asked for. The size is looked at before anything is read.
    pub fn read<S: AsRef<str>>(&self, blobs: &[S]) -> Result<Vec<Vec<u8>>, SourceError> {
        self.patient(|repo| self.blobs(repo, blobs))
    }

    fn blobs<S: AsRef<str>>(&self, repo: &Repository, blobs: &[S]) -> Result<Vec<Vec<u8>>, SourceError> {
        let odb = repo.odb().map_err(|e| self.broken("objects", &e))?;
        let (limit, most) = (self.options.limits.file, self.options.limits.project);
        let mut all = 0_u64;
        let mut out = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let blob = blob.as_ref();
            let id = Oid::from_str(blob).map_err(|e| self.broken(blob, &e))?;
            let (size, kind) = odb.read_header(id).map_err(|e| self.broken(blob, &e))?;
            if kind != ObjectType::Blob {
                return Err(self.broken(blob, &git2::Error::from_str("it is not a file")));
            }
            if size as u64 > limit {
                return Err(SourceError::FileTooLarge { path: blob.to_owned(), size: size as u64, limit });
            }
            all += size as u64;
            if all > most as u64 {
                return Err(SourceError::TooMuch { limit: most });
            }
            out.push(odb.read(id).map_err(|e| self.broken(blob, &e))?.data().to_vec());
        }
        Ok(out)
    }

    /// What is read of it may be this large.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The bytes of entries of a tree, in their order; an error names the file by its path.
    pub fn read_entries(&self, entries: &[&TreeEntry]) -> Result<Vec<Vec<u8>>, SourceError> {
        let blobs: Vec<&str> = entries.iter().map(|e| e.blob.as_str()).collect();
        self.read(&blobs).map_err(|error| match error {
            SourceError::FileTooLarge { path, size, limit } => {
                let named = entries.iter().find(|e| e.blob == path).map_or(path, |e| e.path.clone());
                SourceError::FileTooLarge { path: named, size, limit }
            }
            other => other,
        })
    }

    /// One file (path from the repository's root) of a commit; none if it is not there or not a plain file.
    pub fn file_at(&self, revision: &Revision, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(blob) = self.blob_at(revision, path)? else { return Ok(None) };
        let mut bytes = self.read(&[blob]).map_err(|error| match error {
            SourceError::FileTooLarge { size, limit, .. } => {
                SourceError::FileTooLarge { path: path.to_owned(), size, limit }
            }
            other => other,
        })?;
        Ok(bytes.pop())
    }

    /// The blob of one file (path from the repository's root) of a commit; none if it is not there or not a plain file.
    pub fn blob_at(&self, revision: &Revision, path: &str) -> Result<Option<String>, SourceError> {
        self.patient(|repo| {
            let shallow = self.is_shallow();
            let tree = find_tree(repo, tree_of(repo, revision, shallow)?, shallow)?;
            let entry = entry_at(&tree, path, shallow)?;
            Ok(entry.filter(|e| is_file(e.filemode_raw())).map(|e| e.id().to_string()))
        })
    }

    fn broken(&self, id: &str, error: &git2::Error) -> SourceError {
        SourceError::Object { id: id.to_owned(), why: error.message().to_owned(), shallow: self.is_shallow() }
    }
}

/// The commit of a plain repository's `HEAD`: to start `git` for it would take longer than all else that is read of a
/// small project. None where only git can tell, or tell what is wrong.
fn head_of(repo: &Repository, place: &Place) -> Option<Revision> {
    // The `HEAD` of a linked work tree is its own.
    let plain = place.git_dir == place.common_dir;
    let commit = plain.then(|| repo.head().ok()?.peel_to_commit().ok()).flatten()?;
    Revision::parse(&commit.id().to_string())
}

/// Asks git what a revision is: it knows work trees, packed refs and `@{upstream}`.
pub(super) fn resolve(options: &SourceOptions, place: &Place, rev: Option<&str>) -> Result<Revision, SourceError> {
    let run = |args| options.git.run(&GitCall::of(&place.git_dir, args, options.limits.git_local));
    let spec = format!("{}^{{commit}}", rev.unwrap_or("HEAD"));
    match run(words(["rev-parse", "--verify", "--quiet", "--end-of-options", &spec])) {
        Ok(output) => Revision::parse(&output.text()).ok_or(SourceError::NoRevision { rev: spec, shallow: false }),
        Err(GitError::Failed { .. }) => match rev {
            Some(rev) if rev != "HEAD" => {
                let shallow = place.common_dir.join("shallow").exists();
                Err(SourceError::NoRevision { rev: rev.to_owned(), shallow })
            }
            _ => {
                let branch = run(words(["symbolic-ref", "--short", "HEAD"])).map(|o| o.text());
                Err(SourceError::Unborn { branch: branch.unwrap_or_else(|_| "HEAD".to_owned()) })
            }
        },
        Err(error) => Err(SourceError::Git(error)),
    }
}

fn tree_of(repo: &Repository, revision: &Revision, shallow: bool) -> Result<Oid, SourceError> {
    Oid::from_str(revision.as_str())
        .and_then(|id| repo.find_commit(id))
        .map(|commit| commit.tree_id())
        .map_err(|e| SourceError::Object { id: revision.to_string(), why: e.message().to_owned(), shallow })
}

fn find_tree(repo: &Repository, id: Oid, shallow: bool) -> Result<git2::Tree<'_>, SourceError> {
    repo.find_tree(id).map_err(|e| SourceError::Object { id: id.to_string(), why: e.message().to_owned(), shallow })
}

/// The tree of a folder of a commit; none if the commit has no such folder.
fn folder_of(repo: &Repository, revision: &Revision, folder: &str, shallow: bool) -> Result<Option<Oid>, SourceError> {
    let id = tree_of(repo, revision, shallow)?;
    if folder.is_empty() {
        return Ok(Some(id));
    }
    let entry = entry_at(&find_tree(repo, id, shallow)?, folder, shallow)?;
    Ok(entry.filter(|e| e.kind() == Some(ObjectType::Tree)).map(|e| e.id()))
}

/// What stands at a path of a tree; none if nothing does. A folder on the way that cannot be read is an error: what is
/// in it is not known.
fn entry_at(tree: &git2::Tree<'_>, path: &str, shallow: bool) -> Result<Option<git2::TreeEntry<'static>>, SourceError> {
    match tree.get_path(Path::new(path)) {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(SourceError::Object { id: tree.id().to_string(), why: error.message().to_owned(), shallow }),
    }
}

fn is_file(mode: i32) -> bool {
    mode & 0o170_000 == 0o100_000
}

/// The folder typed, or the nearest above it that holds `ctl.yaml` in the commit.
fn project_folder(repo: &Repository, place: &Place, revision: &Revision) -> Result<String, SourceError> {
    let shallow = place.common_dir.join("shallow").exists();
    let root = find_tree(repo, tree_of(repo, revision, shallow)?, shallow)?;
    let mut folder = place.folder.as_str();
    loop {
        let path = if folder.is_empty() { PROJECT.to_owned() } else { format!("{folder}/{PROJECT}") };
        if entry_at(&root, &path, shallow)?.is_some_and(|e| is_file(e.filemode_raw())) {
            return Ok(folder.to_owned());
        }
        if folder.is_empty() {
            break;
        }
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
    }
    let commit = revision.short().to_owned();
    let typed = place.folder.clone();
    let uncommitted = place.top.as_ref().is_some_and(|top| top.join(&typed).join(PROJECT).is_file());
    let at = if typed.is_empty() { None } else { Some(entry_at(&root, &typed, shallow)?) };
    let is_tree = at.is_none_or(|entry| entry.is_some_and(|e| e.kind() == Some(ObjectType::Tree)));
    if !is_tree && !uncommitted {
        return Err(SourceError::NoFolder { commit, folder: typed });
    }
    Err(SourceError::NoProject { commit, folder: typed, uncommitted })
}

/// A walk over one commit's folders.
struct Walk<'a> {
    repo: &'a Repository,
    short: &'a str,
    limits: &'a Limits,
    shallow: bool,
    entries: Vec<TreeEntry>,
    /// What an earlier walk found, sorted by path.
    known: &'a [TreeEntry],
}

impl Walk<'_> {
    /// Takes over what an earlier walk found below a folder, if it found anything.
    fn take_over(&mut self, path: &str) -> bool {
        let known = self.known;
        let start = if path.is_empty() { String::new() } else { format!("{path}/") };
        let from = known.partition_point(|e| e.path.as_str() < start.as_str());
        let len = known[from..].partition_point(|e| e.path.starts_with(&start));
        // One that holds folders alone is no more work than looking.
        if len == 0 || self.entries.len() + len > self.limits.files {
            return false;
        }
        self.entries.extend_from_slice(&known[from..from + len]);
        true
    }

    /// `before` is what stood there when the earlier walk went by.
    fn folder(&mut self, id: Oid, before: Option<Oid>, path: &str, depth: usize) -> Result<(), SourceError> {
        if depth > self.limits.folder_depth {
            return Err(SourceError::TooDeep { path: shown(path.as_bytes()), limit: self.limits.folder_depth });
        }
        if before == Some(id) && self.take_over(path) {
            return Ok(());
        }
        let tree = find_tree(self.repo, id, self.shallow)?;
        let before = before.and_then(|id| self.repo.find_tree(id).ok());
        let mut names: Vec<Vec<u8>> = tree.iter().map(|entry| entry.name_bytes().to_vec()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &*pair[0]);
        for entry in &tree {
            let bytes = entry.name_bytes();
            let odd = |why| {
                let path = if path.is_empty() { shown(bytes) } else { format!("{}/{}", path, shown(bytes)) };
                SourceError::OddEntry { commit: self.short.to_owned(), path, why }
            };
            let name = strict_name(bytes).map_err(odd)?;
            if twice == Some(bytes) {
                return Err(odd("the name is there twice"));
            }
            let full = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let mode = match entry.filemode_raw() & 0o170_000 {
                0o040_000 => {
                    let old = before.as_ref().and_then(|tree| tree.get_name_bytes(bytes)).map(|old| old.id());
                    self.folder(entry.id(), old, &full, depth + 1)?;
                    continue;
                }
                0o100_000 => FileMode::File,
                0o120_000 => FileMode::Symlink,
                0o160_000 => FileMode::Submodule,
                _ => return Err(odd("it is neither file, folder, link nor submodule")),
            };
            if self.entries.len() >= self.limits.files {
                return Err(SourceError::TooManyFiles { limit: self.limits.files });
            }
            self.entries.push(TreeEntry { path: full, blob: hex(entry.id()), mode, size: None });
        }
        Ok(())
    }
}

/// As `to_string`, which goes through the formatter for every byte of what may be ten thousand ids.
fn hex(id: Oid) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = id.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// A name as a file system of any kind would accept it as one name.
fn strict_name(bytes: &[u8]) -> Result<&str, &'static str> {
    let name = std::str::from_utf8(bytes).map_err(|_| "the name is not UTF-8")?;
    match name {
        "" => return Err("the name is empty"),
        "." | ".." => return Err("the name leaves its folder"),
        _ if [".git", "git~1"].iter().any(|own| name.eq_ignore_ascii_case(own)) => return Err("the name is git's own"),
        _ => {}
    }
    if bytes.iter().any(|byte| matches!(byte, b'/' | b'\\')) {
        return Err("the name holds a slash or backslash");
    }
    if name.chars().any(char::is_control) {
        return Err("the name holds a control character");
    }
    Ok(name)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
