//! The machine's commands, carried out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::arrived::Come;
use super::{Turn, keep};
use crate::cli::Context;
use crate::cli::watch::board::Board;
use crate::cli::watch::cycle::{self, Basis, Order, Warm};
use crate::cli::watch::cycled::{CONTESTED, CycleReport, FAILED};
use crate::cli::watch::desired::{Desired, Read};
use crate::event::{Event, News};
use crate::model::{Revision, TargetName};
use crate::plan::{Action, Operation};
use crate::reconcile::{Command, Here, Job, PATIENCE, Silence};
use crate::source::Tidy;
use crate::target::Fence;
use crate::world::Clock;

impl Turn {
    /// Begins what the machine wants; `true` once nothing is left to do.
    pub(super) fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Look => {
                let (ctx, desired, come) = (Arc::clone(&self.ctx), Arc::clone(&self.desired), self.come.0.clone());
                let board = Arc::clone(&self.board);
                tokio::task::spawn_blocking(move || {
                    let read = unbroken(|| desired.lock().unwrap_or_else(PoisonError::into_inner).look(&ctx));
                    let read = read.unwrap_or_else(|| {
                        // Whoever waits for the answer would not look again.
                        let why = "a look at the source broke off; this is a defect of ctl".to_owned();
                        Read::Away { why, help: None, recalled: None }
                    });
                    drop(come.blocking_send(Come::Read(Box::new(read))));
                    let (wait, tidy) = {
                        let mut source = desired.lock().unwrap_or_else(PoisonError::into_inner);
                        (source.keep_after(), source.tidy())
                    };
                    if wait.is_some() || tidy.is_some() {
                        let clock = ctx.clock.clone();
                        tokio::spawn(afterwards(desired, board, clock, (wait, tidy)));
                    }
                });
            }
            Command::Cycle(target, job) => self.cycle(target, job),
            Command::Probe((target, endpoint)) => {
                let Some(basis) = self.basis_of(&target) else {
                    // Without a state there are no endpoints.
                    return false;
                };
                // Whoever is probed did not answer before.
                self.board.metrics.retried(&target, 1);
                let warm = self.probes.remove(&target).unwrap_or_else(|| Box::new(Warm::new(target.clone())));
                let (ctx, come) = (Arc::clone(&self.ctx), self.come.0.clone());
                let (mut warm, place) = (warm, (target, endpoint));
                tokio::spawn(async move {
                    let asked = place.1.clone();
                    let probing = tokio::task::spawn_blocking(move || {
                        let answer = Handle::current().block_on(cycle::probe(&ctx, &mut warm, &basis, &asked));
                        (warm, answer)
                    });
                    let (warm, answer) = match probing.await {
                        Ok((warm, answer)) => (Some(warm), answer),
                        Err(_) => (
                            None,
                            Err(Silence { why: "a probe broke off; this is a defect of ctl".to_owned(), until: None }),
                        ),
                    };
                    drop(come.send(Come::Probed(place, warm, answer)).await);
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

    fn cycle(&mut self, target: TargetName, job: Job) {
        let Some(basis) = self.basis_of(&target) else {
            let come = self.come.0.clone();
            tokio::spawn(async move { drop(come.send(Come::Cycled(target, None)).await) });
            return;
        };
        let basis = match job.stale {
            false => basis,
            true => {
                let why = "the source is away, or was not heard of for long, so nothing is deleted".to_owned();
                Arc::new(Basis { deletes_held: basis.deletes_held.clone().or(Some(why)), ..(*basis).clone() })
            }
        };
        let warm = self.warm.remove(&target).unwrap_or_else(|| Box::new(Warm::new(target.clone())));
        self.outdated.remove(&target);
        let approved = self.board.orders().approvals(self.ctx.clock.wall().as_second());
        let gate = job.token.and_then(|token| Some(self.leading.as_ref()?.gate(token)));
        let cancel = self.draining.child_token();
        self.running.insert(target.clone(), cancel.clone());
        let cycling = Cycling {
            here: Here { token: job.token, ..self.here.clone() },
            pinned: self.pinned.get(&target).map(|(revision, _)| revision.clone()),
            cancel: cancel.clone(),
            board: Arc::clone(&self.board),
            ctx: Arc::clone(&self.ctx),
            target: target.clone(),
            basis,
            gate,
            job,
            approved,
            apart: self.interval,
        };
        let come = self.come.0.clone();
        // Straight to a thread that may block and straight back to the loop: most cycles find that nothing moved, and
        // then waking threads is most of what they cost.
        tokio::task::spawn_blocking(move || {
            let ended = unbroken(|| cycling.run(warm));
            drop(come.blocking_send(Come::Cycled(target, ended)));
        });
    }

    pub(super) fn basis_of(&self, target: &TargetName) -> Option<Arc<Basis>> {
        self.pinned.get(target).map(|(_, basis)| basis).or(self.basis.as_ref()).cloned()
    }
}

/// What comes of `work`; none if it broke off, which the process outlives. What it worked on is not looked at again.
fn unbroken<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

/// What is left to do after a look: to write the state in force down, and to put a mirror in order.
async fn afterwards(
    desired: Arc<Mutex<Desired>>,
    board: Arc<Board>,
    clock: Clock,
    (wait, tidy): (Option<Duration>, Option<Tidy>),
) {
    if let Some(wait) = wait {
        clock.sleep(wait).await;
        keep(desired, board).await;
    }
    if let Some(tidy) = tidy {
        // It may take minutes: nobody waits for it, and the next look goes on beside it. A mirror that is not in order is
        // slower, and that is all.
        drop(tokio::task::spawn_blocking(move || drop(tidy.run())).await);
    }
}

/// One cycle, on a thread of its own.
struct Cycling {
    ctx: Arc<Context>,
    board: Arc<Board>,
    target: TargetName,
    basis: Arc<Basis>,
    here: Here,
    pinned: Option<Revision>,
    cancel: CancellationToken,
    gate: Option<Arc<dyn crate::reconcile::Gate + Send + Sync>>,
    job: Job,
    approved: Vec<crate::model::Digest>,
    apart: Duration,
}

impl Cycling {
    pub(super) fn run(self, mut warm: Box<Warm>) -> (Box<Warm>, Box<CycleReport>) {
        let Self { ctx, board, target, basis, here, pinned, cancel, gate, job, approved, apart } = self;
        let hold = |op: &Operation| left_alone(&job, op);
        let tell = |event: Event| {
            if let Event::Retrying { endpoint, wait, why, .. } = event {
                board.say(&News::Retrying { target: target.clone(), endpoint, wait, why });
            }
        };
        let shared = here.token.is_some();
        let obeys = || if shared { board.obeys(&target, pinned.as_ref()) } else { Ok(()) };
        let order = Order {
            fence: here.token.map(Fence),
            here,
            gate,
            dry_run: job.dry,
            pinned: pinned.is_some(),
            obeys: &obeys,
            away: job.away.clone(),
            patient: job.patient.clone(),
            hold: &hold,
            approved,
            tell: &tell,
            cancel,
            apart,
            patience: PATIENCE,
        };
        let report = Handle::current().block_on(cycle::cycle(&ctx, &mut warm, &basis, &order));
        (warm, Box::new(report))
    }
}

/// Why an operation is left for later: it failed lately, or a rival sets it back again and again. Another manifest is
/// another matter.
fn left_alone(job: &Job, op: &Operation) -> Option<String> {
    let address = op.resource.to_string();
    let wanted = op.change.desired().map(|desired| desired.digest);
    if let Some((digest, why)) = job.waiting.get(&address)
        && *digest == wanted
    {
        return Some(format!("{FAILED}{why}"));
    }
    if op.change.action() != Action::Update {
        return None;
    }
    let fields: Vec<String> = op.fields.iter().map(|field| field.path.to_string()).collect();
    let field = job.contests.left(&address, wanted, fields.iter().map(String::as_str))?;
    Some(format!(
        "{CONTESTED}somebody changes {field} back again and again, so nothing is updated at this resource: neither that \
         field nor another"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_breaks_off_is_told_and_takes_nobody_along() {
        assert_eq!(unbroken(|| 7), Some(7));
        let broke: Option<u8> = std::thread::spawn(|| unbroken(|| panic!("it breaks off"))).join().unwrap();
        assert_eq!(broke, None);
    }
}
