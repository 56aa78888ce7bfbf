//! A run that may write: from the intents of all its targets to their outcomes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fence::follow;
use super::lock::{Here, TERM, off_the_loop};
use super::perform::Gate;
use crate::model::{Intent, IntentOp, Record, TargetName};
use crate::store::{RecordName, Store, StoreError, Tip};
use crate::world::Clock;

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(5 * 60);
/// No request starts later than this before the end of the term.
const MARGIN: Duration = Duration::from_secs(60);
/// How often a swap is tried when only our own or unrelated commits are in the way.
const SWAPS: usize = 5;

/// What one target brings to a run.
#[derive(Clone, Debug)]
pub struct Share {
    /// Its record.
    pub name: RecordName,
    /// Where the record stood when the plan was made.
    pub tip: Option<Tip>,
    /// The record at that tip, expired intents settled.
    pub record: Record,
    /// What will be written.
    pub operations: Vec<IntentOp>,
}

/// Why a run did not begin. Intents that were written already were taken back.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record of target {target}: {error}")]
pub struct NotBegun {
    /// Whose record it was.
    pub target: TargetName,
    /// [`StoreError::Moved`] means: plan again.
    pub error: StoreError,
}

/// Why an outcome is not in the record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotFinished {
    /// Somebody settled our intent: their settlement stands (exit 3).
    #[error("another run settled this one meanwhile; its settlement stands")]
    Lost,
    /// It could not be written; the next run settles the intent (exit 3).
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run that may write: its intents are in the records of all its targets.
///
/// ```text
/// begin ──> intents acknowledged ──> writes, as long as the gate is open ──> finish, target by target
///                └── renewed every 5 min ──┘
/// ```
pub struct Run<S> {
    store: Arc<S>,
    clock: Clock,
    id: String,
    /// The fencing token, under election: each of its commits carries it.
    token: Option<u64>,
    /// Held while a record is swapped, which may take seconds. The gate has its own lock.
    held: Mutex<BTreeMap<TargetName, Held>>,
    gates: Mutex<BTreeMap<TargetName, GateState>>,
}

struct Held {
    name: RecordName,
    tip: Tip,
    record: Record,
}

#[derive(Clone)]
enum GateState {
    /// Time since boot from which on nothing is sent.
    OpenUntil(Duration),
    /// The leader's own gate decides.
    Elected,
    Lost(String),
}

impl<S: Store + 'static> Run<S> {
    /// Writes the intent of every target, in the order of their names. Nothing may be sent to any target before this
    /// returns. Blocks.
    pub fn begin(
        store: Arc<S>,
        mut shares: Vec<Share>,
        id: &str,
        here: &Here,
        commit: &str,
        checksum: &str,
        clock: &Clock,
    ) -> Result<Self, NotBegun> {
        shares.sort_by(|a, b| a.name.cmp(&b.name));
        let (held, gates) = (Mutex::default(), Mutex::default());
        let (clock, id) = (clock.clone(), id.to_owned());
        let run = Self { store, clock, id, token: here.token, held, gates };
        for share in shares {
            let target = share.name.target.clone();
            let intent = Intent {
                run: run.id.clone(),
                holder: here.process.clone(),
                until: here.token.is_none().then(|| run.term_end()),
                token: here.token,
                commit: commit.to_owned(),
                checksum: checksum.to_owned(),
                operations: share.operations,
            };
            let mut record = share.record.clone();
            record.intents.push(intent);
            let sent = run.clock.boot();
            let message = format!("intent of run {}", run.id);
            let fits = follow(&share.record, &mut record, run.token);
            match fits.and_then(|()| run.swap_or_see(&share.name, share.tip.as_ref(), &record, &message)) {
                Ok(tip) => {
                    run.held().insert(target.clone(), Held { name: share.name, tip, record });
                    let gate = match here.token {
                        Some(_) => GateState::Elected,
                        None => GateState::OpenUntil(sent + TERM - MARGIN),
                    };
                    run.gates().insert(target, gate);
                }
                Err(error) => {
                    run.take_back();
                    return Err(NotBegun { target, error });
                }
            }
        }
        Ok(run)
    }

    /// Renews the intents every five minutes, until dropped. Runs beside the writes.
    pub async fn keep(self: &Arc<Self>) {
        loop {
            self.clock.sleep(RENEW).await;
            let run = Arc::clone(self);
            let renewed = off_the_loop(move || {
                run.renew();
                Ok(())
            });
            // A renewal that fails needs no word here: the gate shuts by itself, and says why.
            drop(renewed.await);
        }
    }

    /// Renews every intent by a child commit. Blocks.
    pub fn renew(&self) {
        for (target, held) in self.held().iter_mut() {
            if !matches!(self.gates().get(target), Some(GateState::OpenUntil(_))) {
                continue;
            }
            for _ in 0..SWAPS {
                let mut record = held.record.clone();
                let until = self.term_end();
                for intent in record.intents.iter_mut().filter(|intent| intent.run == self.id) {
                    intent.until = Some(until);
                }
                let sent = self.clock.boot();
                let message = format!("renew the intent of run {}", self.id);
                match self.swap_or_see(&held.name, Some(&held.tip), &record, &message) {
                    Ok(tip) => {
                        (held.tip, held.record) = (tip, record);
                        self.gates().insert(target.clone(), GateState::OpenUntil(sent + TERM - MARGIN));
                        break;
                    }
                    Err(StoreError::Moved) => match self.store.read(&held.name) {
                        Ok((Some(tip), record)) if self.is_in(&record) => (held.tip, held.record) = (tip, record),
                        Ok(_) => {
                            let why = "another run settled this one".to_owned();
                            self.gates().insert(target.clone(), GateState::Lost(why));
                            break;
                        }
                        Err(_) => break,
                    },
                    // The old term still stands; the next renewal may come through.
                    Err(_) => break,
                }
            }
        }
    }

    /// Commits the outcome of one target: `after` makes the new record of the one that stands. Accepted only while the
    /// record still holds our intent, which goes with this commit. Blocks.
    pub fn finish(
        &self,
        target: &TargetName,
        after: impl Fn(&Record) -> Record,
        message: &str,
    ) -> Result<Tip, NotFinished> {
        let mut all = self.held();
        let Some(held) = all.get_mut(target) else { return Err(NotFinished::Lost) };
        let mut unanswered = false;
        for _ in 0..SWAPS {
            if !self.is_in(&held.record) {
                self.gates().insert(target.clone(), GateState::Lost("another run settled this one".to_owned()));
                return Err(NotFinished::Lost);
            }
            let mut record = after(&held.record);
            record.intents = held.record.intents.iter().filter(|intent| intent.run != self.id).cloned().collect();
            // A later leader that could not see all of what we did has let our intent stand beside its own.
            follow(&held.record, &mut record, self.token)?;
            match self.store.swap(&held.name, Some(&held.tip), &record, message) {
                Ok(tip) => {
                    all.remove(target);
                    self.gates().insert(target.clone(), GateState::Lost("this run is over".to_owned()));
                    return Ok(tip);
                }
                Err(error @ (StoreError::Moved | StoreError::Unanswered { .. })) => {
                    unanswered |= error != StoreError::Moved;
                    let (tip, now) = match self.store.read(&held.name) {
                        Ok(found) => found,
                        // Nobody can say what stands there; as long as it is our intent, this outcome follows it.
                        Err(away) => {
                            drop(self.store.keep(&held.name, Some(&held.tip), &record, message));
                            return Err(away.into());
                        }
                    };
                    let Some(tip) = tip else { return Err(NotFinished::Lost) };
                    // Only a swap whose answer was lost can have been ours; a settlement may look the same.
                    if unanswered && now == record {
                        all.remove(target);
                        return Ok(tip);
                    }
                    (held.tip, held.record) = (tip, now);
                }
                Err(error) => {
                    // The target was written, so the outcome is kept at least here; the next run shares it.
                    drop(self.store.keep(&held.name, Some(&held.tip), &record, message));
                    return Err(error.into());
                }
            }
        }
        Err(StoreError::Moved.into())
    }

    /// The record of a target as this run last knew it.
    pub fn record(&self, target: &TargetName) -> Option<Record> {
        self.held().get(target).map(|held| held.record.clone())
    }

    /// Swaps; where the answer was lost, reads whether it arrived.
    fn swap_or_see(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<Tip, StoreError> {
        match self.store.swap(name, expected, record, message) {
            Err(StoreError::Unanswered { why }) => match self.store.read(name)? {
                (Some(tip), now) if &now == record => Ok(tip),
                (tip, _) if tip.as_ref() == expected => Err(StoreError::Unanswered { why }),
                _ => Err(StoreError::Moved),
            },
            other => other,
        }
    }

    /// Takes back the intents of a run that does not begin. What cannot be taken back is settled by the next run.
    fn take_back(&self) {
        for held in std::mem::take(&mut *self.held()).into_values() {
            let mut record = held.record;
            record.intents.retain(|intent| intent.run != self.id);
            let message = format!("run {} does not begin", self.id);
            drop(self.store.swap(&held.name, Some(&held.tip), &record, &message));
        }
    }

    fn is_in(&self, record: &Record) -> bool {
        record.intents.iter().any(|intent| intent.run == self.id)
    }

    fn term_end(&self) -> i64 {
        self.clock.wall().as_second().saturating_add(TERM.as_secs().cast_signed())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<TargetName, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<TargetName, GateState>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store + 'static> Gate for Run<S> {
    fn check(&self, target: &TargetName) -> Result<(), String> {
        match self.gates().get(target) {
            Some(GateState::Elected) => Ok(()),
            Some(GateState::OpenUntil(end)) if self.clock.boot() < *end => Ok(()),
            Some(GateState::OpenUntil(_)) => {
                Err("the intent in the record could not be renewed in time, so nothing more is sent".to_owned())
            }
            Some(GateState::Lost(why)) => Err(why.clone()),
            None => Err("no intent of this run is in the record of this target".to_owned()),
        }
    }
}
