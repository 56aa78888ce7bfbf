//! Records as commits on refs of a Git repository, here or pushed.

mod files;
mod orders;
mod patch;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository, Signature, Time};

use self::files::{read_files, unreadable, whole_files, write_tree};
use self::patch::Patch;
use self::written::Written;
use super::codec::{self, HEAD, damaged};
use super::lock::{io_error, private_folder};
use super::refs::{self, Answer};
use super::{RecordName, Salvage, Store, StoreError, Tip};
use crate::model::{Digest, Limits, ProjectName, Record, RecordHead};
use crate::net::{Git, RemoteRule, check_remote_url, without_credentials};
use crate::world::Clock;

/// Where records are kept below `refs/`, unless the project says otherwise.
pub const RECORD_REFS: &str = "refs/ctl/records/";

/// What a [`GitStore`] needs to know.
#[derive(Clone, Debug)]
pub struct GitPlace {
    /// The common git dir of the repository, as a real path.
    pub git_dir: PathBuf,
    /// A configured remote's name, or an address. That the operator allows this address is the caller's to check; here
    /// only what would make `git` start a program is refused. None keeps the record on this machine.
    pub push: Option<String>,
    /// What comes before `<project>/<target>`: [`RECORD_REFS`], or another that ends with a slash.
    pub prefix: String,
    /// Where a repository is made in place of one that cannot be written.
    pub state_dir: PathBuf,
}

/// Records as commits on refs of a Git repository, on this machine or pushed.
#[derive(Clone, Debug)]
pub struct GitStore {
    git: Git,
    git_dir: PathBuf,
    remote: Option<String>,
    prefix: String,
    clock: Clock,
    local: Duration,
    pushing: Duration,
    /// Why nothing can be written here; reading goes on.
    refused: Option<StoreError>,
    /// What the last commit of each record says that was read or made here: it is not read again, and the next one is
    /// made of what changed.
    last: Arc<Mutex<BTreeMap<RecordName, (Oid, Record)>>>,
    /// Held open to see where a ref stands: a watcher asks each second, and opening reads a handful of files. Refs are
    /// read anew each time.
    open: Arc<Mutex<Option<Held>>>,
}

/// An open repository.
struct Held(Repository);

/// A remote's address as it can be asked for from another repository: a relative path counts from where git would stand in
/// this one.
pub(super) fn from_anywhere(url: &str, git_dir: &Path) -> String {
    let named = url.contains("://") || url.find(':').is_some_and(|at| !url[..at].contains('/'));
    if named || Path::new(url).is_absolute() {
        return url.to_owned();
    }
    let top = if git_dir.ends_with(".git") { git_dir.parent().unwrap_or(git_dir) } else { git_dir };
    top.join(url).display().to_string()
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.path().display())
    }
}

impl GitStore {
    /// Looks at the place; nothing is written to the user's repository yet. One that cannot be written can still be
    /// read without `push`, and refuses each write; with `push`, a bare repository below the state folder takes its
    /// part.
    pub fn open(git: Git, place: GitPlace, clock: Clock, limits: &Limits) -> Result<Self, StoreError> {
        if !place.prefix.ends_with('/') || !git2::Reference::is_valid_name(&format!("{}a/b", place.prefix)) {
            let why = format!("`{}` is not the beginning of a ref's name", place.prefix);
            return Err(StoreError::Denied { why, help: format!("use `{RECORD_REFS}`, or leave it out") });
        }
        let mut store = Self {
            git,
            git_dir: place.git_dir.clone(),
            remote: place.push.clone(),
            prefix: place.prefix,
            clock,
            local: limits.git_local,
            pushing: limits.git_push,
            refused: None,
            last: Arc::default(),
            open: Arc::default(),
        };
        if let Some(push) = &place.push {
            store.check_remote(push)?;
        }
        let write = rustix::fs::Access::WRITE_OK;
        let refused = [place.git_dir.clone(), place.git_dir.join("objects")]
            .iter()
            .find_map(|path| rustix::fs::access(path, write).err().map(|e| io_error(path, &e.into())));
        match (refused, place.push) {
            (None, _) => {}
            (Some(error), None) => store.refused = Some(error),
            (Some(_), Some(push)) => {
                // A remote's name means something in the user's repository only.
                let url = store.child(["config", "--get", &format!("remote.{push}.url")], store.local).unwrap_or(push);
                let url = from_anywhere(&url, &place.git_dir);
                let name = Digest::of(place.git_dir.as_os_str().as_encoded_bytes()).short(32);
                let dir = place.state_dir.join("records").join(name);
                private_folder(&dir).map_err(|e| io_error(&dir, &e))?;
                Repository::init_bare(&dir).map_err(|e| unreadable(&e))?;
                store.git_dir = dir;
                store.remote = Some(url);
            }
        }
        Ok(store)
    }

    /// True if the repository could not be written when it was opened, and so each write is refused.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// The repository whose refs hold the records.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// A configured remote is the user's own doing; an address is looked at.
    fn check_remote(&self, push: &str) -> Result<(), StoreError> {
        if self.child(["config", "--get", &format!("remote.{push}.url")], self.local).is_some() {
            return Ok(());
        }
        if !push.contains(['/', ':']) {
            return Err(StoreError::Denied {
                why: format!("the repository has no remote `{push}`"),
                help: format!("`git remote add {push} URL`, or leave `record: {{push: …}}` out of ctl.yaml"),
            });
        }
        let rule = RemoteRule { local: true, plain_http: false };
        check_remote_url(push, rule).map_err(|bad| StoreError::Denied {
            why: format!("{}: {bad}", without_credentials(push)),
            help: bad.help().to_owned(),
        })
    }

    fn child<const N: usize>(&self, args: [&str; N], deadline: Duration) -> Option<String> {
        let call = crate::net::GitCall::of(&self.git_dir, args, deadline);
        self.git.run(&call).ok().map(|o| o.text())
    }

    fn repository(&self) -> Result<Repository, StoreError> {
        Repository::open_bare(&self.git_dir).map_err(|e| unreadable(&e))
    }

    fn ref_name(&self, name: &RecordName) -> String {
        format!("{}{}/{}", self.prefix, name.project, name.target)
    }

    /// Where the remote's ref is fetched to: apart from our own, so that neither overwrites the other.
    fn tracking(&self, remote: &str, name: &RecordName) -> String {
        format!("refs/ctl/remotes/{}/{}/{}", Digest::of(remote.as_bytes()).short(12), name.project, name.target)
    }

    /// Where the record stands: at the remote if there is one, else here. What only this machine has is ahead of the
    /// remote's, or it does not count.
    fn tip(&self, repo: &Repository, name: &RecordName) -> Result<Option<Oid>, StoreError> {
        if let Some(remote) = &self.remote {
            let tracking = self.tracking(remote, name);
            refs::fetch(&self.git, &self.git_dir, remote, &self.ref_name(name), &tracking, &self.clock, self.pushing)?;
        }
        self.known_tip(repo, name)
    }

    /// The same, as far as this machine knows.
    fn known_tip(&self, repo: &Repository, name: &RecordName) -> Result<Option<Oid>, StoreError> {
        let here = resolve(repo, &self.ref_name(name))?;
        let Some(remote) = &self.remote else { return Ok(here) };
        let there = resolve(repo, &self.tracking(remote, name))?;
        match (here, there) {
            (Some(here), Some(there)) if here != there => {
                let ahead = repo.graph_descendant_of(here, there).unwrap_or(false);
                Ok(Some(if ahead { here } else { there }))
            }
            (here, there) => Ok(there.or(here)),
        }
    }

    /// Writes the record's objects and a commit on top of `parent`, durably.
    fn commit(
        &self,
        name: &RecordName,
        parent: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<(Repository, Oid), StoreError> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let repo = self.repository()?;
        let parent = parent.map(|tip| self.parent(&repo, tip)).transpose()?;
        let mut written = Written::default();
        let tree = match self.patched(&repo, name, parent.as_ref(), record, &mut written)? {
            Some(tree) => tree,
            None => {
                let files = codec::encode(record)?;
                write_tree(&repo, &files, &mut written).map_err(|e| self.unwritable(&e))?
            }
        };
        let commit = {
            let tree = repo.find_tree(tree).map_err(|e| self.unwritable(&e))?;
            let time = Time::new(self.clock.wall().as_second(), 0);
            let me = Signature::new("ctl", "ctl@localhost", &time).map_err(|e| self.unwritable(&e))?;
            let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
            repo.commit(None, &me, &me, &with_trailers(message, record), &tree, &parents)
                .map_err(|e| self.unwritable(&e))?
        };
        drop(parent);
        written.note(commit);
        self.sync(written)?;
        self.last().insert(name.clone(), (commit, record.clone()));
        Ok((repo, commit))
    }

    /// The tree of a record that follows one that was written here; none if all of it has to be written.
    fn patched(
        &self,
        repo: &Repository,
        name: &RecordName,
        parent: Option<&git2::Commit<'_>>,
        record: &Record,
        written: &mut Written,
    ) -> Result<Option<Oid>, StoreError> {
        let Some(parent) = parent else { return Ok(None) };
        let Some((_, before)) = self.last().remove(name).filter(|(tip, _)| *tip == parent.id()) else {
            return Ok(None);
        };
        let Some(patch) = Patch::between(&before, record) else { return Ok(None) };
        let tree = parent.tree().map_err(|e| unreadable(&e))?;
        patch.tree(repo, &tree, written)?.map(Some).map_err(|e| self.unwritable(&e))
    }

    fn last(&self) -> std::sync::MutexGuard<'_, BTreeMap<RecordName, (Oid, Record)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parent<'r>(&self, repo: &'r Repository, tip: &Tip) -> Result<git2::Commit<'r>, StoreError> {
        // A tip that is not here was read from another store.
        Oid::from_str(&tip.0).and_then(|id| repo.find_commit(id)).map_err(|_| StoreError::Moved)
    }

    fn sync(&self, written: Written) -> Result<(), StoreError> {
        written.sync(&self.git_dir).map_err(|e| io_error(&self.git_dir, &e))
    }

    fn unwritable(&self, error: &git2::Error) -> StoreError {
        let why = format!("{}: {}", self.git_dir.display(), error.message());
        if ["No space left", "quota exceeded"].iter().any(|words| error.message().contains(words)) {
            return StoreError::Unreachable { why, help: "make room on the disk, then run again".to_owned() };
        }
        StoreError::Denied {
            why,
            help:
                "give the repository to the user that runs ctl, or keep the record in a folder: `record: {file: DIR}`"
                    .to_owned(),
        }
    }

    fn move_ref(&self, name: &str, to: Oid, from: Option<Oid>) -> Result<(), StoreError> {
        refs::update(&self.git, &self.git_dir, name, to, from, &self.clock, self.local)
    }

    /// Pushes a commit on top of `expected`; where the answer is lost, asks the remote what stands there.
    fn push(
        &self,
        repo: &Repository,
        remote: &str,
        name: &RecordName,
        expected: Option<&Tip>,
        commit: Oid,
    ) -> Result<Tip, StoreError> {
        let ref_name = self.ref_name(name);
        match refs::push(&self.git, &self.git_dir, remote, commit, &ref_name, self.pushing)? {
            Answer::Done => {}
            Answer::Lost(why) => {
                // The remote knows: what stands there now is ours, another's, or not to be known.
                let there = refs::remote_tip(&self.git, &self.git_dir, remote, &ref_name, self.pushing);
                match there {
                    Ok(Some(there)) if there == commit => {}
                    Ok(Some(there)) if Some(there.to_string()) != expected.map(|t| t.0.clone()) => {
                        return Err(StoreError::Moved);
                    }
                    Ok(_) | Err(_) => return Err(StoreError::Unanswered { why }),
                }
            }
        }
        // The remote has it. Our own refs are a copy; the next fetch mends one that could not be moved.
        for copy in [self.tracking(remote, name), ref_name] {
            let from = resolve(repo, &copy).unwrap_or(None);
            self.move_ref(&copy, commit, from).ok();
        }
        Ok(Tip(commit.to_string()))
    }

    fn load(&self, repo: &Repository, tip: Oid) -> Result<Record, StoreError> {
        codec::decode(&read_files(repo, tip)?)
    }
}

impl Store for GitStore {
    fn read(&self, name: &RecordName) -> Result<(Option<Tip>, Record), StoreError> {
        let repo = self.repository()?;
        match self.tip(&repo, name)? {
            None => Ok((None, Record::default())),
            Some(tip) => {
                let known = self.last().get(name).filter(|(at, _)| *at == tip).map(|(_, record)| record.clone());
                let record = match known {
                    Some(record) => record,
                    None => self.load(&repo, tip)?,
                };
                self.last().insert(name.clone(), (tip, record.clone()));
                Ok((Some(Tip(tip.to_string())), record))
            }
        }
    }

    fn stands(&self, name: &RecordName) -> Result<Option<Tip>, StoreError> {
        if self.remote.is_some() {
            // Which of two commits is ahead is a matter of objects, and those may have been packed since.
            let repo = self.repository()?;
            return Ok(self.known_tip(&repo, name)?.map(|tip| Tip(tip.to_string())));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = match open.take() {
            Some(held) => held,
            None => Held(self.repository()?),
        };
        // Kept only after it could be read: whatever is wrong is looked at afresh.
        let tip = resolve(&held.0, &self.ref_name(name))?;
        *open = Some(held);
        Ok(tip.map(|tip| Tip(tip.to_string())))
    }

    fn salvage(&self, name: &RecordName) -> Result<Salvage, StoreError> {
        let repo = self.repository()?;
        let Some(tip) = self.tip(&repo, name)? else { return Ok(Salvage::default()) };
        let (files, damage) = whole_files(&repo, tip)?;
        let mut salvage = Salvage::of(Tip(tip.to_string()), &files, damage)?;
        // Which commit was applied is known from the versions before, so that no older one passes for newer.
        let mut next = repo.find_commit(tip).ok();
        for _ in 0..HEADS {
            let Some(commit) = next.filter(|_| salvage.record.head.is_none()) else { break };
            let head = commit.tree().ok().and_then(|tree| repo.find_blob(tree.get_name(HEAD)?.id()).ok());
            salvage.record.head = head.and_then(|blob| codec::decode_head(blob.content()).ok()).flatten();
            next = commit.parent(0).ok();
        }
        Ok(salvage)
    }

    fn swap(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<Tip, StoreError> {
        let Some(remote) = &self.remote else { return self.keep(name, expected, record, message) };
        let (repo, commit) = self.commit(name, expected, record, message)?;
        self.push(&repo, remote, name, expected, commit)
    }

    fn share(&self, name: &RecordName, tip: &Tip) -> Result<(), StoreError> {
        let Some(remote) = &self.remote else { return Ok(()) };
        let repo = self.repository()?;
        let there = resolve(&repo, &self.tracking(remote, name))?;
        let commit = Oid::from_str(&tip.0).map_err(|_| StoreError::Moved)?;
        if there == Some(commit) {
            return Ok(());
        }
        let expected = there.map(|id| Tip(id.to_string()));
        self.push(&repo, remote, name, expected.as_ref(), commit).map(drop)
    }

    fn keep(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<Tip, StoreError> {
        let ref_name = self.ref_name(name);
        let from = {
            let repo = self.repository()?;
            let here = resolve(&repo, &ref_name)?;
            let wanted = expected.and_then(|tip| Oid::from_str(&tip.0).ok());
            // With a remote our own ref is a copy that may be behind; alone it is the record itself.
            if self.remote.is_none() && here != wanted {
                return Err(StoreError::Moved);
            }
            here
        };
        let (_, commit) = self.commit(name, expected, record, message)?;
        self.move_ref(&ref_name, commit, from)?;
        Ok(Tip(commit.to_string()))
    }

    fn names(&self, project: &ProjectName) -> Result<Vec<RecordName>, StoreError> {
        let folder = format!("{}{project}/", self.prefix);
        let mut found: Vec<String> = Vec::new();
        let repo = self.repository()?;
        let refs = repo.references_glob(&format!("{folder}*")).map_err(|e| unreadable(&e))?;
        for reference in refs {
            let reference = reference.map_err(|e| unreadable(&e))?;
            found.extend(reference.name().ok().map(str::to_owned));
        }
        if let Some(remote) = &self.remote {
            let pattern = format!("{folder}*");
            found.extend(refs::remote_refs(&self.git, &self.git_dir, remote, &pattern, self.pushing)?.into_keys());
        }
        let target = |name: &String| name.strip_prefix(&folder)?.parse().ok();
        let mut names: Vec<RecordName> =
            found.iter().filter_map(target).map(|target| RecordName { project: project.clone(), target }).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn history(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, Record)>, StoreError> {
        let versions = self.versions(name, limit)?;
        versions.into_iter().map(|(tip, _)| Ok((tip.clone(), self.at(name, &tip)?))).collect()
    }

    fn versions(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, RecordHead)>, StoreError> {
        let repo = self.repository()?;
        let head = |id: Oid| -> Result<Option<RecordHead>, StoreError> {
            let tree = repo.find_commit(id).and_then(|c| c.tree()).map_err(|e| unreadable(&e))?;
            let entry = tree.get_name(HEAD).ok_or_else(|| damaged(HEAD, None, "it is missing".to_owned()))?;
            let blob = repo.find_blob(entry.id()).map_err(|e| unreadable(&e))?;
            codec::decode_head(blob.content())
        };
        let mut next = match self.tip(&repo, name)? {
            Some(id) => Some((id, head(id)?)),
            None => None,
        };
        let mut found = Vec::new();
        while let Some((id, here)) = next.take_if(|_| found.len() < limit) {
            let parent = repo.find_commit(id).map_err(|e| unreadable(&e))?.parent_id(0).ok();
            let before = match parent {
                Some(parent) => Some((parent, head(parent)?)),
                None => None,
            };
            let number = |head: &Option<RecordHead>| head.as_ref().map(|head| head.number);
            // An intent's commit repeats the number of the outcome before it.
            let is_outcome = number(&here) != before.as_ref().and_then(|(_, head)| number(head));
            found.extend(here.filter(|_| is_outcome).map(|head| (Tip(id.to_string()), head)));
            next = before;
        }
        Ok(found)
    }

    fn at(&self, _name: &RecordName, tip: &Tip) -> Result<Record, StoreError> {
        let repo = self.repository()?;
        self.load(&repo, Oid::from_str(&tip.0).map_err(|_| StoreError::Moved)?)
    }

    fn is_shared(&self) -> bool {
        self.remote.is_some()
    }
}

fn resolve(repo: &Repository, name: &str) -> Result<Option<Oid>, StoreError> {
    match repo.refname_to_id(name) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(StoreError::Damaged {
            why: format!("{name}: {}", error.message()),
            help: format!("see what `git show-ref {name}` says"),
        }),
    }
}

/// How many versions back a head is looked for.
const HEADS: usize = 1_000;

/// The commit's message: what the caller says, and the facts as trailers, each on one line.
fn with_trailers(message: &str, record: &Record) -> String {
    let one_line = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let mut out = format!("{}\n\n", message.trim());
    if let Some(intent) = record.intents.last() {
        out.push_str(&format!("Intent: {}\n", one_line(&intent.run)));
        out.push_str(&format!("Commit: {}\n", one_line(&intent.commit)));
        out.push_str(&format!("Plan: {}\n", one_line(&intent.checksum)));
        out.push_str(&format!("Who: {}\n", one_line(&intent.holder.who)));
        out.push_str(&format!("Where: {} process {}\n", one_line(&intent.holder.host), intent.holder.pid));
    } else if let Some(head) = &record.head {
        out.push_str(&format!("Number: {}\n", head.number));
        out.push_str(&format!("Commit: {}\n", head.commit));
        out.push_str(&format!("Folder: {}\n", one_line(&head.folder)));
        out.push_str(&format!("Plan: {}\n", head.checksum));
        out.push_str(&format!("Who: {}\n", one_line(&head.who)));
        out.push_str(&format!("Result: {} ({} done, {} not)\n", one_line(&head.result), head.done, head.undone));
    }
    out
}
