//! What the watcher knows of itself, for whoever asks: the one place that status, metrics and log are fed from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::folder::Folder;
use super::leading::Leading;
use super::log::Log;
use super::orders::Kept;
use super::shared::Sharing;
use crate::credentials::Redactor;
use crate::daemon::Journal;
use crate::event::{Entry, Level, News};
use crate::metrics::Metrics;
use crate::model::{
    Complete, Digest, EndpointName, LastRequest, Orders, PendingStatus, Quarantined, RefusalStatus, Revision, Snapshot,
    State, TargetName,
};
use crate::reconcile::{Machine, Place};
use crate::world::Clock;

/// The loop turned within this time, or it hangs.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// So many different notes are remembered as said.
const SAID: usize = 1000;

/// What people ask for goes to the loop like everything else.
#[derive(Debug)]
pub(super) enum Ask {
    /// Try everything again there.
    Retry(Vec<TargetName>),
    /// The orders that are kept changed for these targets.
    Reordered(Vec<TargetName>),
    /// A plan is let through.
    Approved,
    /// The operator's file may be another one.
    Reload,
}

/// What is known of the source.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceFacts {
    /// As it was typed, without credentials.
    pub text: String,
    /// The commit in force.
    pub commit: Option<Revision>,
    /// What went wrong, and what to do.
    pub trouble: Option<(String, Option<String>)>,
    /// Why nothing is deleted.
    pub deletes_held: Option<String>,
    /// Manifests that cannot be read.
    pub quarantined: Vec<Quarantined>,
}

/// What the last cycle of a target saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// How long it took.
    pub took: Duration,
    /// The plan's checksum.
    pub checksum: Option<Digest>,
    /// That of its deletes.
    pub deletes_checksum: Option<Digest>,
    /// Deletes, creates, updates, adoptions, unchanged, unknown.
    pub counts: [usize; 6],
    /// What is refused.
    pub refusals: Vec<RefusalStatus>,
    /// Operations that are not done, with what there is to know; times are filled in when somebody asks.
    pub pending: Vec<PendingStatus>,
    /// How many there are.
    pub pending_total: usize,
    /// How many of them at each endpoint.
    pub pending_at: BTreeMap<EndpointName, usize>,
    /// Endpoints where a write is in doubt.
    pub in_doubt: BTreeSet<EndpointName>,
    /// What is wrong at an endpoint: code, words, what to do.
    pub wrong: BTreeMap<EndpointName, Wrong>,
    /// The version in the record.
    pub version: Option<Applied>,
}

/// What is wrong somewhere.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wrong {
    /// For `ctl explain`.
    pub code: String,
    /// In words.
    pub why: String,
    /// What to do.
    pub help: Option<String>,
}

/// A version as the record has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Applied {
    /// Its number.
    pub number: u64,
    /// Unix seconds.
    pub time: i64,
    /// The commit.
    pub commit: String,
    /// SHA-256 of the canonical desired state.
    pub snapshot: String,
    /// `done`, `partial`, …
    pub result: String,
    /// Milliseconds.
    pub took_ms: Option<u64>,
    /// Who.
    pub who: String,
}

/// What changes while the watcher runs, beside the machine.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The project, once it was read.
    pub project: Option<String>,
    /// The source.
    pub source: SourceFacts,
    /// What is wanted, once it was read.
    pub wanted: Option<Arc<Complete<Snapshot>>>,
    /// The last cycle of each target.
    pub seen: BTreeMap<TargetName, Seen>,
    /// The last request to each endpoint, and when (time since boot).
    pub requests: BTreeMap<Place, (Duration, LastRequest)>,
    /// How each endpoint stands, and since when.
    pub states: BTreeMap<Place, (State, Duration)>,
    /// Targets at which nobody leads, as far as is known, and since when.
    pub unled: BTreeMap<TargetName, Duration>,
    /// Whether the coordinator answers, and why not.
    pub coordinator: Option<Result<(), String>>,
    /// Targets whose gate closed by itself, and why.
    pub lapsed: BTreeMap<TargetName, String>,
}

/// The board.
pub(super) struct Board {
    /// Time.
    pub clock: Clock,
    /// When the watcher started, since boot and by the wall.
    pub started: (Duration, i64),
    /// `watch`, `dry-run` or `once`.
    pub mode: &'static str,
    /// What it keeps on this machine.
    pub folder: Folder,
    /// Hides secrets from whatever is said.
    redactor: Mutex<Redactor>,
    /// The machine.
    machine: Mutex<Machine>,
    facts: Mutex<Facts>,
    orders: Mutex<Kept>,
    /// How they are shared with other watchers.
    pub sharing: Sharing,
    /// The last entries.
    pub journal: Journal,
    /// The counters.
    pub metrics: Metrics,
    log: Log,
    /// Somebody says that the repository may have moved.
    pub hinted: Notify,
    /// What people ask for.
    pub asks: mpsc::Sender<Ask>,
    /// Finds the commit of a target's version, in the record as the project in force names it. Blocks.
    pub versions: Mutex<Option<Versions>>,
    /// The election, once it began.
    pub leading: OnceLock<Leading>,
    beat: AtomicU64,
    hooks_refused: Mutex<VecDeque<Duration>>,
    said: Mutex<BTreeSet<String>>,
}

/// Finds the commit of a target's version, or says why it cannot.
pub(super) type Versions = Arc<dyn Fn(&TargetName, u64) -> Result<Revision, String> + Send + Sync>;

/// All that a board begins with.
pub(super) struct Beginning {
    /// Time.
    pub clock: Clock,
    /// See [`Board::mode`].
    pub mode: &'static str,
    /// The source, without credentials.
    pub source: String,
    /// The folder.
    pub folder: Folder,
    /// The orders that were kept.
    pub orders: Kept,
    /// The machine.
    pub machine: Machine,
    /// The counters.
    pub metrics: Metrics,
    /// Where lines go.
    pub log: Log,
    /// What people ask for goes there.
    pub asks: mpsc::Sender<Ask>,
}

impl Board {
    /// An empty board.
    pub(super) fn new(beginning: Beginning) -> Self {
        let Beginning { clock, mode, source, folder, orders, machine, metrics, log, asks } = beginning;
        let started = (clock.boot(), clock.wall().as_second());
        let source = SourceFacts { text: source, ..SourceFacts::default() };
        Self {
            beat: AtomicU64::new(started.0.as_secs()),
            clock,
            started,
            mode,
            folder,
            redactor: Mutex::default(),
            machine: Mutex::new(machine),
            facts: Mutex::new(Facts { source, ..Facts::default() }),
            orders: Mutex::new(orders),
            sharing: Sharing::default(),
            journal: Journal::new(),
            metrics,
            log,
            hinted: Notify::new(),
            asks,
            versions: Mutex::default(),
            leading: OnceLock::new(),
            hooks_refused: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// The machine. Held for moments only.
    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The facts. Held for moments only, and never while the machine is asked for.
    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The orders as they are kept here. Held for moments only.
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds, as far as this watcher knows.
    pub(super) fn orders(&self) -> Orders {
        self.kept().orders.clone()
    }

    /// True if nothing is written at a target in fact, whatever a clock says.
    pub(super) fn stands_still(&self, name: &str) -> bool {
        name.parse().is_ok_and(|name| self.machine().target(&name).is_some_and(|w| w.suspended.is_some()))
    }

    /// Drops orders whose time is over.
    pub(super) fn tidy_orders(&self) {
        let mut kept = self.kept();
        if kept.orders.tidy(self.clock.wall().as_second(), &|name| self.stands_still(name)) {
            // What stays in the file is over too, by the time in it.
            drop(kept.write(&self.folder));
        }
    }

    /// Sees at which targets nobody leads.
    pub(super) fn note_leaders(&self) {
        let Some(leading) = self.leading.get() else { return };
        let unled: BTreeSet<TargetName> = {
            let machine = self.machine();
            let names = machine.targets().map(|(name, _)| name);
            names.filter(|name| !machine.leads(name) && leading.holder(name).is_none()).cloned().collect()
        };
        let now = self.clock.boot();
        let mut facts = self.facts();
        facts.unled.retain(|name, _| unled.contains(name));
        for name in unled {
            facts.unled.entry(name).or_insert(now);
        }
    }

    /// The loop turned.
    pub(super) fn beat(&self) {
        self.beat.store(self.clock.boot().as_secs(), Ordering::Relaxed);
    }

    /// True while the loop turns.
    pub(super) fn is_alive(&self) -> bool {
        let last = Duration::from_secs(self.beat.load(Ordering::Relaxed));
        self.clock.boot().saturating_sub(last) <= HEARTBEAT
    }

    /// Says something: to the metrics always, to log and event stream if it is worth a line.
    pub(super) fn say(&self, news: &News) {
        self.metrics.listen(news);
        if let News::Request { target, endpoint, method, path, status, took, error, answer } = news {
            let request = LastRequest {
                method: method.clone(),
                path: self.hide(path),
                status: *status,
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                error: error.as_deref().map(|text| self.hide(text)),
                answer: answer.as_deref().map(|text| self.hide(text)),
                ..LastRequest::default()
            };
            let at = self.clock.boot().saturating_sub(*took);
            self.facts().requests.insert((target.clone(), endpoint.clone()), (at, request));
            return;
        }
        if let Some(entry) = Entry::of(news, self.clock.wall(), &|text| self.hide(text)) {
            self.log.write(&self.journal.push(entry));
        }
    }

    /// Says what was not said before.
    pub(super) fn note_once(&self, level: Level, message: &str) {
        let new = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() >= SAID {
                said.clear();
            }
            said.insert(message.to_owned())
        };
        if new {
            self.say(&News::Note { level, message: message.to_owned() });
        }
    }

    /// Hides what this one knows, from now on.
    pub(super) fn hide_as(&self, redactor: Redactor) {
        *self.redactor.lock().unwrap_or_else(PoisonError::into_inner) = redactor;
    }

    /// `text` without secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        self.redactor.lock().unwrap_or_else(PoisonError::into_inner).hide(text)
    }

    /// Says that a webhook was refused, but not five thousand times.
    pub(super) fn refuse_hook(&self, why: &'static str) {
        let now = self.clock.boot();
        let first = {
            let mut lately = self.hooks_refused.lock().unwrap_or_else(PoisonError::into_inner);
            while lately.front().is_some_and(|at| now.saturating_sub(*at) > Duration::from_secs(60)) {
                lately.pop_front();
            }
            let first = lately.len() < 5;
            if first {
                lately.push_back(now);
            }
            first
        };
        if first {
            self.say(&News::HookRefused { why });
        }
    }
}
