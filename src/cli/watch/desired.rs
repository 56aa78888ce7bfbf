//! The desired state of a watcher: read when it moves, and the last good one while its source is away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cycle::{Basis, Locks};
use crate::cli::args::LimitArgs;
use crate::cli::fleet::Listener;
use crate::cli::reader::{Lenient, Reader};
use crate::cli::session::{agree, choose};
use crate::cli::stores::{Stores, StoresOf};
use crate::cli::{Context, Stop, load};
use crate::credentials::Operator;
use crate::model::{Digest, Limits, Quarantined, Revision, TargetName};
use crate::reconcile::Place;
use crate::source::{Good, GoodError, GoodNote, Keeper, Look, Source, SourceOptions, Tidy};

/// A fetch that takes longer is away: shorter than for a command, because the next one is never far.
const FETCH: Duration = Duration::from_secs(60);

/// How long a state is in force before it is written down: the cycles that bring it about come first, and of commits that
/// follow each other closely the last one does.
const SETTLED: Duration = Duration::from_secs(1);

/// Keeps the desired state.
pub(super) struct Desired {
    keeper: Keeper,
    typed: String,
    dir: PathBuf,
    globs: Vec<String>,
    limits: LimitArgs,
    listener: Listener,
    locks: Arc<Locks>,
    good: Option<Arc<Good>>,
    /// The state in force, if it is not written down yet.
    owed: Option<Owed>,
    /// Somebody waits to write it down.
    keeping: bool,
    /// Somebody writes one down just now.
    in_hand: bool,
    /// One writes at a time.
    writing: Arc<Mutex<()>>,
    basis: Option<Arc<Basis>>,
    operator: Option<Arc<Operator>>,
    stores: Option<(StoresOf, Arc<Stores>)>,
    reader: Reader,
    generation: u64,
    /// Counts how often the operator's file was read again because somebody asked for it.
    epoch: u64,
    /// Read it again though its commit is the same: the operator's file may have changed.
    again: bool,
    recalled: bool,
}

/// What is to be written down as the last good state.
struct Owed {
    source: Arc<Source>,
    note: GoodNote,
}

/// What is asked for besides the source.
pub(super) struct Asked {
    /// Only targets that fit one of these; all without.
    pub globs: Vec<String>,
    /// How fast.
    pub limits: LimitArgs,
    /// Hears of every request.
    pub listener: Listener,
    /// The lock of the repository on this machine.
    pub locks: Arc<Locks>,
}

/// How a look at the source ended.
pub(super) enum Read {
    /// Nothing moved.
    Same {
        /// How long `git fetch` took, for a URL.
        fetched: Option<Duration>,
    },
    /// Another state is in force.
    Moved(Box<Moved>),
    /// The source is away, or what it has cannot be read: the state before stays in force.
    Away {
        /// What went wrong.
        why: String,
        /// What to do.
        help: Option<String>,
        /// The last known good one of an earlier watcher, if nothing was in force yet, and how old it is.
        recalled: Option<(Box<Moved>, Duration)>,
    },
}

/// A state that is in force now.
pub(super) struct Moved {
    /// The state.
    pub basis: Arc<Basis>,
    /// Every endpoint of every target.
    pub places: BTreeSet<Place>,
    /// What each target is to be, as a digest.
    pub wanted: BTreeMap<TargetName, Digest>,
    /// Manifests that cannot be read.
    pub quarantined: Vec<Quarantined>,
    /// Which version of them is in force, by path.
    pub kept: BTreeMap<String, Option<String>>,
    /// True if it does not follow the one before.
    pub rewritten: bool,
    /// Blobs that had to be read.
    pub blobs: usize,
    /// How long reading took.
    pub took: Duration,
    /// How long `git fetch` took, for a URL.
    pub fetched: Option<Duration>,
}

impl Desired {
    /// Takes what the user typed. Looks at nothing yet.
    pub(super) fn new(ctx: &Context, typed: &str, dir: PathBuf, asked: Asked) -> Result<Self, Stop> {
        let Asked { globs, limits, listener, locks } = asked;
        let typed = load::located(ctx, typed);
        let keeper = Keeper::new(&typed, None, options(ctx), ctx.clock.clone()).map_err(|e| load::stop(&e))?;
        Ok(Self {
            keeper,
            typed,
            dir,
            globs,
            limits,
            listener,
            locks,
            good: None,
            owed: None,
            keeping: false,
            in_hand: false,
            writing: Arc::default(),
            basis: None,
            operator: None,
            stores: None,
            reader: Reader::default(),
            generation: 0,
            epoch: 0,
            again: false,
            recalled: false,
        })
    }

    /// Hints that the refs of a local repository may have moved.
    pub(super) fn changes(&mut self) -> crate::source::Changes {
        self.keeper.changes()
    }

    /// Reads everything afresh at the next look.
    pub(super) fn again(&mut self) {
        self.again = true;
        self.epoch += 1;
    }

    /// Looks, and reads what moved. Blocks.
    pub(super) fn look(&mut self, ctx: &Context) -> Read {
        let looked = self.keeper.look();
        let fetched = self.keeper.fetch_time();
        let rewritten = match looked {
            Ok(Look::Same) if self.basis.is_some() && !self.again && !self.recalled => return Read::Same { fetched },
            Ok(Look::Same) => false,
            Ok(Look::Moved { rewritten, .. }) => rewritten,
            Err(error) => {
                let diagnostic = error.diagnostic();
                return self.away(ctx, diagnostic.message, diagnostic.help);
            }
        };
        match self.read(ctx).or_else(|stop| self.read_after_mending(ctx, stop)) {
            Ok(mut moved) => {
                (self.again, self.recalled) = (false, false);
                (moved.rewritten, moved.fetched) = (rewritten, fetched);
                Read::Moved(Box::new(moved))
            }
            Err(stop) => {
                // Whatever is wrong with this commit may be mended where it is (a file of the operator, a full disk).
                self.keeper.forget();
                let count = stop.diagnostics.len();
                let first = stop.diagnostics.into_iter().next();
                let (why, help) = first.map_or((String::new(), None), |d| (placed(&d), d.help));
                let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
                self.away(ctx, format!("{why}{more}"), help)
            }
        }
    }

    /// How to put the private mirror in order, if it is time for that. To be run without holding this.
    pub(super) fn tidy(&mut self) -> Option<Tidy> {
        self.keeper.tidy()
    }

    /// How long to wait until the state in force is to be [written down](Self::keep); none if that is nobody's to do, or
    /// is waited for already.
    pub(super) fn keep_after(&mut self) -> Option<Duration> {
        if self.keeping || self.owed.is_none() {
            return None;
        }
        self.keeping = true;
        // A watcher that has nothing to fall back on does not wait.
        Some(if self.good.is_some() { SETTLED } else { Duration::ZERO })
    }

    /// Writes the state in force down, if it is not yet: what a watcher falls back on that starts while its source is
    /// away. Looks go on meanwhile. Blocks. Returns why it could not be written; then it is tried with the next look.
    pub(super) fn keep(desired: &Mutex<Self>) -> Result<(), String> {
        let writing = Arc::clone(&held(desired).writing);
        let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (owed, before, dir) = {
            let mut desired = held(desired);
            desired.keeping = false;
            desired.in_hand = desired.owed.is_some();
            (desired.owed.take(), desired.good.clone(), desired.dir.clone())
        };
        let Some(Owed { source, note }) = owed else { return Ok(()) };
        let written = Good::write(&dir, &source, note.clone(), before.as_deref());
        let mut desired = held(desired);
        desired.in_hand = false;
        match written {
            Ok(good) => {
                desired.good = Some(Arc::new(good));
                Ok(())
            }
            // The watcher goes on; what it loses is what a restart without a source would fall back on.
            Err(error) => {
                if matches!(error, GoodError::Io { .. }) {
                    desired.owed.get_or_insert(Owed { source, note });
                }
                Err(error.to_string())
            }
        }
    }

    /// An older commit, to be held at: from this machine if it is here, else from where the source is. Blocks.
    ///
    /// What is in force elsewhere has no part in it, and it has none in that: a file of it that cannot be read is left
    /// out, and nothing is deleted.
    pub(super) fn at(&mut self, ctx: &Context, revision: &Revision) -> Result<Arc<Basis>, Stop> {
        let others = (std::mem::take(&mut self.reader), self.good.take());
        let here = self.keeper.at(revision.clone()).map_err(|e| load::stop(&e));
        let read = here.and_then(|source| self.assemble(ctx, Arc::new(source))).or_else(|_| {
            self.reader = Reader::default();
            let source = Source::open(&self.typed, Some(revision.as_str()), options(ctx));
            self.assemble(ctx, Arc::new(source.map_err(|e| load::stop(&e))?))
        });
        (self.reader, self.good) = others;
        read.map(|(basis, _)| basis)
    }

    fn read(&mut self, ctx: &Context) -> Result<Moved, Stop> {
        let started = ctx.clock.boot();
        if self.basis.is_none() && self.good.is_none() {
            // What an earlier watcher knew of files that are bad now. What does not verify is not used, and replaced.
            self.good = Good::read(&self.dir, &self.keeper.name()).ok().map(Arc::new);
        }
        let limits = self.operator(ctx)?.limits().clone();
        if self.keeper.allow(&limits) {
            // What was read by other limits may be more, or less, than these let through.
            self.reader = Reader::default();
        }
        let source = Arc::new(self.keeper.source().map_err(|e| load::stop(&e))?);
        let (basis, moved) = self.assemble(ctx, Arc::clone(&source))?;
        let note = GoodNote {
            name: self.keeper.name(),
            written: ctx.clock.wall().as_second(),
            resources: basis.snapshot.desired.len(),
            kept: moved.kept.clone(),
        };
        let is_kept = |good: &Arc<Good>| good.revision() == source.revision() && *good.kept() == note.kept;
        let kept = self.owed.is_none() && !self.in_hand && self.good.as_ref().is_some_and(is_kept);
        if !kept {
            self.owed = Some(Owed { source, note });
        }
        self.basis = Some(basis);
        Ok(Moved { took: ctx.clock.boot().saturating_sub(started), ..moved })
    }

    /// An object that is missing is asked for once more before the commit counts as unreadable.
    fn read_after_mending(&mut self, ctx: &Context, stop: Stop) -> Result<Moved, Stop> {
        if !stop.diagnostics.iter().any(|d| d.code == "source-object-missing") {
            return Err(stop);
        }
        match self.keeper.mend() {
            Ok(()) => self.read(ctx),
            Err(_) => Err(stop),
        }
    }

    fn assemble(&mut self, ctx: &Context, source: Arc<Source>) -> Result<(Arc<Basis>, Moved), Stop> {
        let mut loaded = self.reader.open(source)?;
        let operator = self.operator(ctx)?;
        agree(&mut loaded, &operator);
        let stores = self.stores(ctx, &loaded, &operator)?;
        let Lenient { snapshot, quarantined, kept, deletes_held, blobs } =
            self.reader.read(&loaded, self.good.as_deref(), false)?;
        let targets = choose(&loaded.project, &self.globs)?;
        let mut places = BTreeSet::new();
        for target in &targets {
            let endpoints = loaded.project.targets.get(target).into_iter().flat_map(|t| t.endpoints.keys());
            places.extend(endpoints.map(|endpoint| (target.clone(), endpoint.clone())));
        }
        self.generation += 1;
        let wanted = wanted(&loaded, &snapshot, &targets, self.epoch);
        let basis = Arc::new(Basis {
            loaded: Arc::new(loaded),
            snapshot: Arc::new(snapshot),
            operator,
            stores,
            locks: Arc::clone(&self.locks),
            listener: Some(Arc::clone(&self.listener)),
            limits: self.limits.clone(),
            deletes_held,
            generation: self.generation,
        });
        let moved = Moved {
            basis: Arc::clone(&basis),
            places,
            wanted,
            quarantined,
            kept,
            rewritten: false,
            blobs,
            took: Duration::ZERO,
            fetched: None,
        };
        Ok((basis, moved))
    }

    /// The operator's file: the one of before if it says the same, for connections, rates and lists are kept with it.
    /// Whoever asks for it to be read again gets a new one: the values that it names may be others.
    fn operator(&mut self, ctx: &Context) -> Result<Arc<Operator>, Stop> {
        let read = ctx.operator()?;
        match &self.operator {
            Some(known) if !self.again && known.says_the_same(&read) => return Ok(Arc::clone(known)),
            _ => self.stores = None,
        }
        self.operator = Some(Arc::clone(&read));
        Ok(read)
    }

    /// The records' places: those of before, unless something about them is another now.
    fn stores(&mut self, ctx: &Context, loaded: &load::Loaded, operator: &Operator) -> Result<Arc<Stores>, Stop> {
        let of = StoresOf::project(loaded);
        if let Some((_, stores)) = self.stores.as_ref().filter(|(known, stores)| *known == of && !stores.is_refused()) {
            return Ok(Arc::clone(stores));
        }
        let stores = Arc::new(Stores::open(ctx, loaded, operator)?);
        self.stores = Some((of, Arc::clone(&stores)));
        Ok(stores)
    }

    fn away(&mut self, ctx: &Context, why: String, help: Option<String>) -> Read {
        let recalled = if self.basis.is_none() { self.recall(ctx) } else { None };
        match recalled {
            Some(Ok((moved, age))) => Read::Away { why, help, recalled: Some((Box::new(moved), age)) },
            Some(Err(also)) => Read::Away { why: format!("{why}; {also}"), help, recalled: None },
            None => Read::Away { why, help, recalled: None },
        }
    }

    /// The last known good state of an earlier watcher: only if every byte of it is what was written.
    fn recall(&mut self, ctx: &Context) -> Option<Result<(Moved, Duration), String>> {
        let good = match Good::read(&self.dir, &self.keeper.name()) {
            Ok(good) => good,
            Err(GoodError::Absent { .. }) => return None,
            Err(error) => return Some(Err(error.to_string())),
        };
        let age = u64::try_from(ctx.clock.wall().as_second().saturating_sub(good.written())).unwrap_or(0);
        let source = match self.keeper.recall(&good) {
            Ok(source) => source,
            Err(error) => return Some(Err(error.to_string())),
        };
        // What its files said last is in it too.
        self.good = Some(Arc::new(good));
        match self.assemble(ctx, Arc::new(source)) {
            Ok((basis, moved)) => {
                (self.basis, self.recalled) = (Some(basis), true);
                Some(Ok((moved, Duration::from_secs(age))))
            }
            Err(stop) => {
                let why = stop.diagnostics.first().map(placed).unwrap_or_default();
                Some(Err(format!("the last good state cannot be used either: {why}")))
            }
        }
    }
}

fn held(desired: &Mutex<Desired>) -> MutexGuard<'_, Desired> {
    desired.lock().unwrap_or_else(PoisonError::into_inner)
}

fn options(ctx: &Context) -> SourceOptions {
    let limits = Limits { git_fetch: FETCH, ..Limits::default() };
    SourceOptions { git: load::git(ctx), state_dir: ctx.state.clone(), limits }
}

/// What each target is to be. A commit that changes nothing of it, nor of what decides about it, changes no digest.
fn wanted(
    loaded: &load::Loaded,
    snapshot: &crate::model::Snapshot,
    targets: &[TargetName],
    epoch: u64,
) -> BTreeMap<TargetName, Digest> {
    // A digest and a blob's name for each, at one target in most projects.
    let each = snapshot.desired.len() / targets.len().max(1) * 80;
    let begin = |name| {
        let mut text = format!("{epoch}\n{}\n", loaded.deciding(name)).into_bytes();
        text.reserve(each);
        (name, text)
    };
    let mut texts: BTreeMap<&TargetName, Vec<u8>> = targets.iter().map(begin).collect();
    for desired in &snapshot.desired {
        if let Some(text) = texts.get_mut(&desired.id.target) {
            // The blob stands for what the manifest says to `ctl`; the digest for values that come from elsewhere.
            text.extend_from_slice(desired.digest.as_bytes());
            text.extend_from_slice(desired.origin.blob.as_bytes());
        }
    }
    texts.into_iter().map(|(name, text)| (name.clone(), Digest::of(&text))).collect()
}

/// What is wrong, with its place.
pub(super) fn placed(diagnostic: &crate::model::Diagnostic) -> String {
    match diagnostic.labels.first() {
        Some(label) => format!("{}: {}", label.span, diagnostic.message),
        None => diagnostic.message.clone(),
    }
}
