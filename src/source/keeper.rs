//! A source that is looked at again and again, by a process that runs for months.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ObjectType, Oid, Repository};

use super::discover::{Place, discover, open, place};
use super::mirror::{self, Fetching, RemoteSource};
use super::read::resolve;
use super::{Changes, Good, Source, SourceError, SourceOptions};
use crate::model::{Limits, Revision};
use crate::net::{Git, GitCall, without_credentials};
use crate::world::Clock;

/// How often the private mirror is put in order at most.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long putting it in order may take.
const TIDY_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// A lock of this age, in seconds, in the private mirror was left by a process that died: no fetch lives so long while
/// it moves a ref.
const STALE_LOCK: i64 = 60;

/// What a look at the source found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Look {
    /// The commit that was there before.
    Same,
    /// Another commit.
    Moved {
        /// Which.
        revision: Revision,
        /// True if it is no descendant of the one before: history was rewritten, or the way leads back.
        rewritten: bool,
    },
}

/// A mirror that is to be put in order (`git gc --auto`).
#[derive(Clone, Debug)]
pub struct Tidy {
    git: Git,
    dir: PathBuf,
    clock: Clock,
}

impl Tidy {
    /// Does it, and says how long that took: ten minutes at most. Blocks. May go on beside a fetch, as git itself lets
    /// it, so that nobody who looks waits for it.
    pub fn run(&self) -> Result<Duration, SourceError> {
        let started = self.clock.boot();
        // In the foreground, so that the deadline reaches it. Settings given later win.
        let settings = ["gc.auto=2000", "gc.autoPackLimit=20", "gc.autoDetach=false", "gc.pruneExpire=2.weeks.ago"];
        let args = settings.into_iter().flat_map(|setting| ["-c", setting]).chain(["gc", "--auto", "--quiet"]);
        let call = GitCall::of(&self.dir, args, TIDY_DEADLINE);
        self.git.run(&call).map_err(SourceError::Git)?;
        Ok(self.clock.boot().saturating_sub(started))
    }
}

/// Keeps a source open and tells when its commit moves. Whatever goes wrong is an error and changes nothing: the source
/// is away then, and the next look starts afresh. Nothing is ever "no desired state".
pub struct Keeper {
    options: SourceOptions,
    clock: Clock,
    rev: Option<String>,
    origin: Origin,
    last: Option<Revision>,
    /// Whether the move to it was a rewrite, and whether it is to be told once more.
    rewritten: bool,
    again: bool,
    fetched: Option<Duration>,
    tidied: Option<Duration>,
}

enum Origin {
    Local { typed: String, held: Option<Held> },
    Remote { source: RemoteSource, place: Option<Place> },
}

/// An open repository, and what was read of its ref.
struct Held {
    place: Place,
    repo: Repository,
    /// Where the ref stood, before a tag is peeled.
    tip: Option<Oid>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeper({:?})", self.last)
    }
}

impl Keeper {
    /// Takes what the user typed, as [`Source::open`] does, and looks at nothing yet: a source that is away when the
    /// process starts may come back. An error is a URL that is refused.
    pub fn new(text: &str, rev: Option<&str>, options: SourceOptions, clock: Clock) -> Result<Self, SourceError> {
        let (origin, rev) = if mirror::is_url(text) {
            let source = mirror::parse(text)?;
            let rev = rev.map(str::to_owned).or_else(|| source.rev.clone());
            (Origin::Remote { source, place: None }, rev)
        } else {
            (Origin::Local { typed: text.to_owned(), held: None }, rev.map(str::to_owned))
        };
        Ok(Self {
            options,
            clock,
            rev,
            origin,
            last: None,
            rewritten: false,
            again: false,
            fetched: None,
            tidied: None,
        })
    }

    /// Reads by these limits from now on; the time that a fetch has stays as it was. True if they are others.
    pub fn allow(&mut self, limits: &Limits) -> bool {
        let limits = Limits { git_fetch: self.options.limits.git_fetch, ..limits.clone() };
        let other = self.options.limits != limits;
        self.options.limits = limits;
        other
    }

    /// Which source this is, in words that stay the same while it is away. Holds no credentials.
    pub fn name(&self) -> String {
        let (text, folder) = match &self.origin {
            Origin::Local { typed, .. } => (typed.clone(), ""),
            Origin::Remote { source, .. } => (without_credentials(&source.url), source.folder.as_str()),
        };
        format!("{text} {folder} {}", self.rev.as_deref().unwrap_or("HEAD"))
    }

    /// The last good state as a source: for while this one is away.
    pub fn recall(&self, good: &Good) -> Result<Source, SourceError> {
        let url = match &self.origin {
            Origin::Local { .. } => None,
            Origin::Remote { source, .. } => Some(source.url.clone()),
        };
        good.source(url, self.options.clone())
    }

    /// True if looking asks another machine, so that it takes a child and time.
    pub fn is_remote(&self) -> bool {
        matches!(self.origin, Origin::Remote { .. })
    }

    /// The commit of the last look that succeeded.
    pub fn revision(&self) -> Option<&Revision> {
        self.last.as_ref()
    }

    /// How long the `git fetch` of the last look took, whatever came of it; none for a local repository.
    pub fn fetch_time(&self) -> Option<Duration> {
        self.fetched
    }

    /// Makes the next look say once more that the source has moved, and whether history was rewritten since the last
    /// commit that was not forgotten: for one whose content could not be read.
    pub fn forget(&mut self) {
        self.again = true;
    }

    /// Where the source stands now. A local repository costs reading one ref; a URL is fetched by a child, whose whole
    /// process group is killed at `limits.git_fetch`. Blocks.
    pub fn look(&mut self) -> Result<Look, SourceError> {
        self.fetched = None;
        let revision = if self.is_remote() { self.fetch(false)? } else { self.read_ref()? };
        let (Some(revision), last) = (revision.or_else(|| self.last.clone()), self.last.take()) else {
            return Ok(Look::Same);
        };
        let again = std::mem::take(&mut self.again);
        let same = last.as_ref() == Some(&revision);
        if !same {
            let rewritten = last.as_ref().is_some_and(|last| !self.leads_to(last, &revision));
            // What was not read yet was not gone along either.
            self.rewritten = rewritten || (again && self.rewritten);
            self.reopen();
        }
        self.last = Some(revision.clone());
        Ok(if same && !again { Look::Same } else { Look::Moved { revision, rewritten: self.rewritten } })
    }

    /// Brings every object of a URL again, for a commit of which one is missing; opens a local repository afresh. To be
    /// tried once: what is missing after that stays missing.
    pub fn mend(&mut self) -> Result<(), SourceError> {
        match &mut self.origin {
            Origin::Local { held, .. } => *held = None,
            Origin::Remote { .. } => drop(self.fetch(true)?),
        }
        Ok(())
    }

    /// The commit of the last look, to read it.
    pub fn source(&mut self) -> Result<Source, SourceError> {
        match self.last.clone() {
            Some(revision) => self.at(revision),
            None => Err(SourceError::NoRevision { rev: self.rev.clone().unwrap_or("HEAD".into()), shallow: false }),
        }
    }

    /// Any commit that this machine has, to read it; nothing is fetched. That it is not here is told by reading it.
    pub fn at(&mut self, revision: Revision) -> Result<Source, SourceError> {
        let (place, url) = match &mut self.origin {
            Origin::Local { typed, held } => (hold(typed, held)?.place.clone(), None),
            Origin::Remote { source, place: known } => {
                let dir = mirror::dir_of(&source.url, &self.options.state_dir);
                let place = match known {
                    Some(known) => known.clone(),
                    None => place(&dir, None, source.folder.clone())?,
                };
                (place, Some(source.url.clone()))
            }
        };
        // Opened afresh for each commit: what another process packed or pruned meanwhile is seen as it is now.
        Source::known(place.clone(), open(&place)?, revision, url, self.options.clone())
    }

    /// Tells when the refs of a local repository may have moved; for a URL, and where there is no repository yet, only
    /// the interval tells.
    pub fn changes(&mut self) -> Changes {
        match &mut self.origin {
            Origin::Remote { .. } => Changes::none(),
            Origin::Local { typed, held } => match hold(typed, held) {
                Ok(held) => Changes::of(&held.place.git_dir, &held.place.common_dir),
                Err(error) => Changes::blind(error.to_string()),
            },
        }
    }

    /// How to put the private mirror in order, which is to be done at most once an hour. None if it is not due, or if
    /// this is not a URL: somebody else's repository is theirs.
    pub fn tidy(&mut self) -> Option<Tidy> {
        let Origin::Remote { place: Some(place), .. } = &self.origin else { return None };
        let now = self.clock.boot();
        if self.tidied.is_some_and(|last| now.saturating_sub(last) < TIDY_EVERY) {
            return None;
        }
        self.tidied = Some(now);
        Some(Tidy { git: self.options.git.clone(), dir: place.common_dir.clone(), clock: self.clock.clone() })
    }

    fn fetch(&mut self, afresh: bool) -> Result<Option<Revision>, SourceError> {
        let Origin::Remote { source, place: known } = &mut self.origin else { return Ok(None) };
        let started = self.clock.boot();
        let dir = mirror::dir_of(&source.url, &self.options.state_dir);
        let clock = &self.clock;
        let unlock = |name: &str| {
            for lock in [format!("{name}.lock"), "packed-refs.lock".to_owned(), "shallow.lock".to_owned()] {
                remove_stale(&dir.join(lock), clock);
            }
        };
        let fetching = Fetching { deadline: self.options.limits.git_fetch, afresh, unlock: &unlock };
        let state_dir = &self.options.state_dir;
        let done = mirror::fetch_with(&self.options.git, source, self.rev.as_deref(), state_dir, &fetching);
        self.fetched = Some(clock.boot().saturating_sub(started));
        let (place, found) = done?;
        let revision = resolve(&self.options, &place, Some(&found))?;
        *known = Some(place);
        Ok(Some(revision))
    }

    /// The commit of a local repository; none if its ref did not move.
    fn read_ref(&mut self) -> Result<Option<Revision>, SourceError> {
        let Origin::Local { typed, held: kept } = &mut self.origin else { return Ok(None) };
        let held = hold(typed, kept)?;
        let tip = tip(held, self.rev.as_deref());
        if tip.is_some() && tip == held.tip {
            return Ok(None);
        }
        let commit = tip.and_then(|id| {
            let object = held.repo.find_object(id, None).ok()?;
            object.peel(ObjectType::Commit).ok().and_then(|commit| Revision::parse(&commit.id().to_string()))
        });
        if commit.is_some() {
            held.tip = tip;
            return Ok(commit);
        }
        // Git itself knows what we do not: expressions, unborn branches, whether there still is a repository.
        let place = held.place.clone();
        *kept = None;
        let held = hold(typed, kept)?;
        match resolve(&self.options, &place, self.rev.as_deref()) {
            Ok(revision) => {
                let id = Oid::from_str(revision.as_str());
                id.and_then(|id| held.repo.find_commit(id)).map_err(|e| SourceError::Object {
                    id: revision.to_string(),
                    why: e.message().to_owned(),
                    shallow: place.common_dir.join("shallow").exists(),
                })?;
                Ok(Some(revision))
            }
            Err(error) => {
                *kept = None;
                Err(error)
            }
        }
    }

    /// Opens a local repository afresh: an open one keeps a little of every commit that was looked up in it, for as long as
    /// it is open.
    fn reopen(&mut self) {
        if let Origin::Local { held: Some(held), .. } = &mut self.origin
            && let Ok(repo) = open(&held.place)
        {
            held.repo = repo;
        }
    }

    /// True if `newer` descends from `older`. Where that cannot be told it is false, which asks for more care.
    fn leads_to(&self, older: &Revision, newer: &Revision) -> bool {
        let ids = Oid::from_str(older.as_str()).and_then(|older| Ok((older, Oid::from_str(newer.as_str())?)));
        let related = |repo: &Repository| ids.and_then(|(older, newer)| repo.graph_descendant_of(newer, older));
        match &self.origin {
            Origin::Local { held: Some(held), .. } => related(&held.repo).unwrap_or(false),
            Origin::Remote { place: Some(place), .. } => open(place).is_ok_and(|repo| related(&repo).unwrap_or(false)),
            Origin::Local { .. } | Origin::Remote { .. } => false,
        }
    }
}

/// The repository, found and opened if it is not.
fn hold<'h>(typed: &str, held: &'h mut Option<Held>) -> Result<&'h mut Held, SourceError> {
    // A repository that went away, or made place for another one, is looked for again.
    let gone = held.as_ref().is_some_and(|held| fs::symlink_metadata(held.place.git_dir.join("HEAD")).is_err());
    let found = match held.take().filter(|_| !gone) {
        Some(found) => found,
        None => {
            let place = discover(typed)?;
            let repo = open(&place)?;
            Held { place, repo, tip: None }
        }
    };
    Ok(held.insert(found))
}

/// Where the ref stands, by reading it and nothing else. None for whatever needs a closer look.
fn tip(held: &Held, rev: Option<&str>) -> Option<Oid> {
    let find = |name: &str| held.repo.refname_to_id(name).ok();
    match rev {
        None | Some("HEAD") => {
            // The HEAD of this work tree; the branch that it names is common to all.
            let head = fs::read_to_string(held.place.git_dir.join("HEAD")).ok()?;
            match head.strip_prefix("ref:") {
                Some(name) => find(name.trim()),
                None => Oid::from_str(head.trim()).ok(),
            }
        }
        Some(rev) if rev.len() == 40 && rev.bytes().all(|b| b.is_ascii_hexdigit()) => Oid::from_str(rev).ok(),
        Some(rev) if !git2::Reference::is_valid_name(&format!("refs/heads/{rev}")) => None,
        // In git's own order.
        Some(rev) if rev.starts_with("refs/") => find(rev),
        Some(rev) => ["refs/tags", "refs/heads", "refs/remotes"].iter().find_map(|dir| find(&format!("{dir}/{rev}"))),
    }
}

/// Removes a lock file that a process left which died.
fn remove_stale(path: &Path, clock: &Clock) {
    let modified = fs::symlink_metadata(path).and_then(|m| m.modified()).ok();
    let modified = modified.and_then(|time| jiff::Timestamp::try_from(time).ok());
    if modified.is_some_and(|time| clock.wall().as_second() - time.as_second() > STALE_LOCK) {
        // Another process may have removed it; what stays is told by the next try.
        fs::remove_file(path).ok();
    }
}
