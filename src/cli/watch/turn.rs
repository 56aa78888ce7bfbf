//! The loop: feeds the machine and does what it says. It decides nothing itself.

mod arrived;
mod obey;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::board::{Ask, Board};
use super::cycle::{Basis, Warm};
use super::desired::Desired;
use super::leading::Leading;
use super::manager::Manager;
use crate::cli::{Context, Exit};
use crate::event::{Level, News};
use crate::model::{Revision, TargetName};
use crate::reconcile::{Here, Input};
use crate::source::Changes;

pub(super) use arrived::Come;

/// The loop looks up at least so often, so that whoever watches it sees that it turns.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a watcher that stops may take to write the state in force down.
const KEEPING: Duration = Duration::from_secs(3);

/// Everything that the loop works with.
pub(super) struct Turn {
    /// The context.
    pub ctx: Arc<Context>,
    /// What is known.
    pub board: Arc<Board>,
    /// The desired state.
    pub desired: Arc<Mutex<Desired>>,
    /// Hints from a local repository.
    pub changes: Changes,
    /// The election, once there is one.
    pub leading: Option<Leading>,
    /// Begins the election once the project is known.
    pub stand: Option<Stand>,
    /// This process.
    pub here: Here,
    /// One cycle of each target, then leave.
    pub once: bool,
    /// How often everything is looked at.
    pub interval: Duration,
    /// Both ends of what arrives.
    pub come: (mpsc::Sender<Come>, mpsc::Receiver<Come>),
    /// What people ask for.
    pub asks: mpsc::Receiver<Ask>,
    /// Says when to stop.
    pub cancel: CancellationToken,
    /// The service manager.
    pub manager: Manager,
    /// What is in force.
    pub basis: Option<Arc<Basis>>,
    /// Targets that are held at an older commit, which one, and what it wants.
    pub pinned: BTreeMap<TargetName, (Revision, Arc<Basis>)>,
    /// Stops one cycle that is under way, as far as it did not begin to write.
    pub running: BTreeMap<TargetName, CancellationToken>,
    /// What stays between the cycles of each target.
    pub warm: BTreeMap<TargetName, Box<Warm>>,
    /// Targets whose cycle under way knows what is old by now: it is read again after it.
    pub outdated: BTreeSet<TargetName>,
    /// What probes speak through: a cycle may be under way beside them.
    pub probes: BTreeMap<TargetName, Box<Warm>>,
    /// Targets whose first cycle is over.
    pub over: BTreeSet<TargetName>,
    /// What all of it means for the exit code.
    pub exit: Exit,
    /// Cancelled once nothing new may start, also within a cycle.
    pub draining: CancellationToken,
}

/// Begins the election.
pub(super) type Stand = Box<dyn Fn(&Arc<Basis>, &BTreeSet<TargetName>) -> Result<Leading, crate::cli::Stop> + Send>;

impl Turn {
    /// Turns until it is told to stop, and what is in flight came to its end.
    pub(super) async fn run(mut self) -> Result<Exit, crate::cli::Stop> {
        let clock = self.ctx.clock.clone();
        let mut told = false;
        let heartbeat = self.manager.watchdog().map_or(HEARTBEAT, |every| (every / 2).min(HEARTBEAT));
        let end = loop {
            self.board.beat();
            self.manager.alive();
            self.board.tidy_orders();
            self.board.note_leaders();
            let now = clock.boot();
            let next = self.board.machine().next(now).map_or(heartbeat, |at| at.saturating_sub(now).min(heartbeat));
            let inputs = tokio::select! {
                biased;
                () = self.cancel.cancelled(), if !told => {
                    told = true;
                    self.board.say(&News::Stopping { why: "it was told to stop".to_owned() });
                    self.manager.stopping();
                    self.draining.cancel();
                    vec![Input::Stop]
                }
                Some(come) = self.come.1.recv() => self.arrived(come)?,
                Some(ask) = self.asks.recv() => self.asked(ask),
                () = self.board.hinted.notified() => vec![Input::Hint],
                () = self.changes.next() => vec![Input::Hint],
                () = tokio::time::sleep(next) => vec![Input::Tick],
            };
            if self.step(inputs) {
                break self.exit;
            }
            if self.once && !told && self.is_over() {
                self.cancel.cancel();
            }
        };
        for warm in self.warm.values_mut().chain(self.probes.values_mut()) {
            warm.close().await;
        }
        if let Some(leading) = &self.leading {
            leading.resign().await;
        }
        // A fetch that hangs holds what is needed for this, and is not waited for: the state of before is still there.
        let kept = keep(Arc::clone(&self.desired), Arc::clone(&self.board));
        drop(tokio::time::timeout(KEEPING, kept).await);
        Ok(end)
    }

    fn is_over(&mut self) -> bool {
        if self.basis.is_none() {
            // Nothing was read and nothing could be recalled.
            let failed = self.board.facts().source.trouble.is_some();
            if failed {
                self.exit = self.exit.and(Exit::Unreachable);
            }
            return failed;
        }
        let over = self.board.machine().targets().all(|(name, _)| self.over.contains(name));
        let whole = {
            let facts = self.board.facts();
            facts.source.trouble.is_none() && facts.source.quarantined.is_empty()
        };
        if over && !whole {
            // What an older commit or the other manifests ask for was done; what the source says now was not.
            self.exit = self.exit.and(Exit::Partial);
        }
        over
    }

    /// One step; `true` once it is time to leave.
    fn step(&mut self, inputs: Vec<Input>) -> bool {
        let tick = inputs.iter().all(|input| matches!(input, Input::Tick | Input::Hint));
        let about = match &inputs[..] {
            [Input::Cycled(target, _) | Input::Won(target, _) | Input::Lost(target)] => Some(target.clone()),
            [Input::Probed((target, _), _)] => Some(target.clone()),
            _ => None,
        };
        for input in &inputs {
            // What was begun for another commit, or before somebody said stop, goes no further than it must.
            if let Input::Suspend(target, _) | Input::Pin(target) = input
                && let Some(running) = self.running.get(target)
            {
                running.cancel();
            }
        }
        let commands = self.board.machine().steps(self.ctx.clock.boot(), inputs);
        if !tick {
            self.board.restate(about.as_ref());
        }
        let mut done = false;
        for command in commands {
            done |= self.obey(command);
        }
        done
    }

    /// One line for whoever looks at the process.
    fn summary(&self) -> String {
        let commit = self.basis.as_ref().map(|basis| basis.loaded.revision.short().to_owned()).unwrap_or_default();
        let waits: usize = self.board.facts().seen.values().map(|seen| seen.pending_total).sum();
        format!("commit {commit}, {} targets, {waits} operations wait", self.board.machine().targets().count())
    }
}

/// Writes the state in force down as the last good one, and says so if that cannot be done.
async fn keep(desired: Arc<Mutex<Desired>>, board: Arc<Board>) {
    let kept = tokio::task::spawn_blocking(move || Desired::keep(&desired)).await;
    if let Ok(Err(why)) = kept {
        board.note_once(Level::Warn, &format!("the last good state could not be kept: {why}"));
    }
}
