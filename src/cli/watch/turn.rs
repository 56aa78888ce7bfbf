//! The loop: feeds the machine and does what it says. It decides nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::board::{Ask, Board, SourceFacts};
use super::cycle::{self, Basis, Warm};
use super::desired::{Desired, Read};
use super::leading::Leading;
use super::telling;
use crate::cli::{Context, Exit};
use crate::event::{ErrorType, Level, News};
use crate::model::{Revision, TargetName};
use crate::reconcile::{Blocked, Command, Ended, Here, Input, Job, Looked};

/// The loop looks up at least so often, so that whoever watches it sees that it turns.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Everything that the loop works with.
pub(super) struct Turn {
    /// The context.
    pub ctx: Arc<Context>,
    /// What is known.
    pub board: Arc<Board>,
    /// The desired state.
    pub desired: Arc<Mutex<Desired>>,
    /// The election, if there is one.
    pub leading: Option<Leading>,
    /// This process.
    pub here: Here,
    /// One cycle of each target, then leave.
    pub once: bool,
    /// Never write.
    pub dry: bool,
    /// Requests per second and in flight, as the command line says.
    pub limits: crate::cli::args::LimitArgs,
    /// Only targets that fit one of these.
    pub globs: Vec<String>,
    /// Answers of what was begun.
    pub inputs: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    /// What people ask for.
    pub asks: mpsc::Receiver<Ask>,
    /// Says when to stop.
    pub cancel: CancellationToken,
    /// Tells the service manager how it stands.
    pub tell_manager: Box<dyn Fn(super::run::Manager<'_>) + Send>,
}

/// What the hands share.
struct Hands {
    ctx: Arc<Context>,
    board: Arc<Board>,
    desired: Arc<Mutex<Desired>>,
    leading: Option<Leading>,
    here: Here,
    limits: crate::cli::args::LimitArgs,
    globs: Vec<String>,
    inputs: mpsc::Sender<Input>,
    /// Cancelled once nothing new may start, also within a cycle.
    cancel: CancellationToken,
    basis: Option<Arc<Basis>>,
    pinned: BTreeMap<TargetName, Arc<Basis>>,
    warm: Arc<Mutex<BTreeMap<TargetName, Warm>>>,
    /// With `--once`: targets whose cycle is over, and what came of them.
    over: BTreeSet<TargetName>,
}

impl Turn {
    /// Turns until it is told to stop, and what is in flight came to its end.
    pub(super) async fn run(mut self) -> Exit {
        let clock = self.ctx.clock.clone();
        let mut hands = Hands {
            ctx: Arc::clone(&self.ctx),
            board: Arc::clone(&self.board),
            desired: Arc::clone(&self.desired),
            leading: self.leading.clone(),
            here: self.here.clone(),
            limits: self.limits.clone(),
            globs: self.globs.clone(),
            inputs: self.inputs.0.clone(),
            cancel: CancellationToken::new(),
            basis: None,
            pinned: BTreeMap::new(),
            warm: Arc::default(),
            over: BTreeSet::new(),
        };
        let mut told = false;
        let mut exit = Exit::Done;
        loop {
            self.board.beat();
            (self.tell_manager)(super::run::Manager::Alive);
            let now = clock.boot();
            let next = self.board.machine().next(now).map_or(HEARTBEAT, |at| at.saturating_sub(now).min(HEARTBEAT));
            let input = tokio::select! {
                biased;
                () = self.cancel.cancelled(), if !told => {
                    told = true;
                    Input::Stop
                }
                Some(input) = self.inputs.1.recv() => input,
                Some(ask) = self.asks.recv() => {
                    for input in hands.asked(ask).await {
                        self.step(&mut hands, input, &mut exit).await;
                    }
                    continue;
                }
                () = self.board.hinted.notified() => Input::Hint,
                () = tokio::time::sleep(next) => Input::Tick,
            };
            if input == Input::Stop {
                self.board.say(&News::Stopping { why: "it was told to stop".to_owned() });
                (self.tell_manager)(super::run::Manager::Stopping);
                hands.cancel.cancel();
            }
            if self.step(&mut hands, input, &mut exit).await {
                break;
            }
        }
        let warm = std::mem::take(&mut *hands.warm.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, warm) in warm {
            warm.dismiss().await;
        }
        if let Some(leading) = &self.leading {
            leading.resign().await;
        }
        exit
    }

    /// One step; `true` once it is time to leave.
    async fn step(&mut self, hands: &mut Hands, input: Input, exit: &mut Exit) -> bool {
        let about = match &input {
            Input::Cycled(target, _) | Input::Won(target, _) | Input::Lost(target) => Some(target.clone()),
            Input::Probed((target, _), _) => Some(target.clone()),
            _ => None,
        };
        let quiet = matches!(input, Input::Tick);
        if let Input::Cycled(target, _) = &input {
            hands.over.insert(target.clone());
            *exit = exit.and(hands.exit_of(target));
        }
        let looked = matches!(input, Input::Looked(_));
        let commands = self.board.machine().step(self.ctx.clock.boot(), input);
        if !quiet {
            self.board.restate(about.as_ref());
        }
        let mut done = false;
        for command in commands {
            done |= hands.obey(command);
        }
        if looked {
            (self.tell_manager)(super::run::Manager::Ready);
        }
        if self.once && !self.cancel.is_cancelled() {
            let machine = self.board.machine().clone();
            let failed = looked && hands.basis.is_none();
            let all = hands.basis.is_some() && machine.targets().all(|(name, _)| hands.over.contains(name));
            if failed {
                *exit = exit.and(Exit::Unreachable);
            }
            if failed || all {
                self.cancel.cancel();
            }
        }
        done
    }
}

impl Hands {
    /// Begins what the machine wants; `true` once nothing is left to do.
    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Look => self.look(),
            Command::Cycle(target, job) => self.cycle(target, job),
            Command::Probe((target, endpoint)) => {
                let driver = {
                    let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
                    warm.get(&target).and_then(|warm| warm.fleet())
                };
                let (ctx, inputs, cancel) = (Arc::clone(&self.ctx), self.inputs.clone(), self.cancel.clone());
                let basis = self.basis_of(&target);
                tokio::spawn(async move {
                    let answer = match (driver, basis) {
                        (Some(fleet), _) => cycle::probe(&ctx, &fleet, &target, &endpoint, &cancel).await,
                        // Nothing was spoken to it yet: the next cycle is the probe.
                        (None, _) => Ok(()),
                    };
                    drop(inputs.send(Input::Probed((target, endpoint), answer)).await);
                });
            }
            Command::Stale(age) => self.board.say(&News::SourceStale { age }),
            Command::Contested { target, address, field } => {
                self.board.say(&News::Contested { target, address, field });
            }
            Command::Resign => {
                // Nothing new is sent from now on; the leases go back when the last request has its answer, because
                // until then it may still arrive.
                if let Some(leading) = &self.leading {
                    leading.close();
                }
            }
            Command::Done => return true,
        }
        false
    }

    fn look(&mut self) {
        let (ctx, board, desired) = (Arc::clone(&self.ctx), Arc::clone(&self.board), Arc::clone(&self.desired));
        let inputs = self.inputs.clone();
        tokio::task::spawn_blocking(move || {
            let read = desired.lock().unwrap_or_else(PoisonError::into_inner).look(&ctx);
            let input = telling::looked(&board, read);
            drop(inputs.blocking_send(input));
        });
    }

    fn basis_of(&self, target: &TargetName) -> Option<Arc<Basis>> {
        self.pinned.get(target).or(self.basis.as_ref()).cloned()
    }
}
