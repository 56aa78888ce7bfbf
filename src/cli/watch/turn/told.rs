//! What the election and people say, as inputs of the machine.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Turn;
use super::arrived::Come;
use crate::cli::watch::board::Ask;
use crate::event::News;
use crate::model::TargetName;
use crate::reconcile::{ElectionEvent, Input};

impl Turn {
    pub(super) fn elected(&mut self, event: ElectionEvent) -> Vec<Input> {
        match event {
            ElectionEvent::Won { target, token } => {
                self.board.say(&News::Won { target: target.clone(), token: token.0 });
                // What was seen before somebody else led is old.
                self.read_again(&target);
                self.board.facts().lapsed.remove(&target);
                vec![Input::Won(target, token.0)]
            }
            ElectionEvent::Lapsed { target, why } => {
                self.board.facts().lapsed.insert(target.clone(), why.clone());
                self.board.say(&News::Lost { target: target.clone(), why });
                vec![Input::Lost(target)]
            }
            ElectionEvent::Resumed { target, token } => {
                // Nobody else wrote meanwhile; what the endpoints themselves did is seen by the next cycle.
                self.board.facts().lapsed.remove(&target);
                self.board.say(&News::Won { target: target.clone(), token: token.0 });
                vec![Input::Won(target, token.0)]
            }
            ElectionEvent::Lost { target, why } => {
                self.board.facts().lapsed.remove(&target);
                self.board.say(&News::Lost { target: target.clone(), why });
                vec![Input::Lost(target)]
            }
            ElectionEvent::Unreachable { why, .. } => {
                self.board.facts().coordinator = Some(Err(why.clone()));
                self.board.say(&News::CoordinatorAway { why });
                Vec::new()
            }
            ElectionEvent::Reachable => {
                let was_away = matches!(self.board.facts().coordinator.replace(Ok(())), Some(Err(_)));
                if was_away {
                    self.board.say(&News::CoordinatorBack);
                }
                Vec::new()
            }
        }
    }

    pub(super) fn asked(&mut self, ask: Ask) -> Vec<Input> {
        match ask {
            Ask::Retry(targets) => {
                for target in &targets {
                    self.warm.get(target).iter().for_each(|warm| warm.reopen());
                    self.read_again(target);
                }
                targets.into_iter().map(Input::Retry).collect()
            }
            Ask::Reordered(targets) => self.reordered(&targets),
            Ask::Approved => vec![Input::Approved],
            Ask::Reload => {
                // A look may hold it, for as long as a fetch takes; the next one sees it then.
                let desired = Arc::clone(&self.desired);
                let hinted = Arc::clone(&self.board);
                // What is held at an older commit is spoken to as the file says now, too.
                let held: Vec<TargetName> = std::mem::take(&mut self.pinned).into_keys().collect();
                tokio::task::spawn_blocking(move || {
                    desired.lock().unwrap_or_else(PoisonError::into_inner).again();
                    hinted.hinted.notify_one();
                });
                self.reordered(&held)
            }
        }
    }

    /// The next cycle reads everything.
    fn read_again(&mut self, target: &TargetName) {
        match self.warm.get_mut(target) {
            Some(warm) => warm.forget(),
            None => drop(self.outdated.insert(target.clone())),
        }
    }

    /// Makes of the orders that are kept what the machine is to be told.
    pub(super) fn reordered(&mut self, targets: &[TargetName]) -> Vec<Input> {
        let orders = self.board.orders();
        let (now, wall) = (self.ctx.clock.boot(), self.ctx.clock.wall().as_second());
        let mut inputs = Vec::new();
        for target in targets {
            let suspended = orders.suspended.get(target.as_str()).map(|order| {
                let left = |until: i64| Duration::from_secs(u64::try_from(until.saturating_sub(wall)).unwrap_or(0));
                Input::Suspend(target.clone(), order.until.map(|until| now + left(until)))
            });
            let Some(revision) = orders.pinned_at(target) else {
                self.pinned.remove(target);
                inputs.push(Input::Resume(target.clone()));
                inputs.extend(suspended);
                continue;
            };
            if self.pinned.get(target).is_some_and(|(at, _)| *at == revision) {
                inputs.push(Input::Pin(target.clone()));
                inputs.extend(suspended);
                continue;
            }
            // Until the older commit is at hand nothing is written there, whatever else was said.
            inputs.push(Input::Suspend(target.clone(), None));
            let (ctx, desired, come) = (Arc::clone(&self.ctx), Arc::clone(&self.desired), self.come.0.clone());
            let target = target.clone();
            tokio::task::spawn_blocking(move || {
                let read = desired.lock().unwrap_or_else(PoisonError::into_inner).at(&ctx, &revision);
                let words = |stop: crate::cli::Stop| stop.diagnostics.first().map(|d| d.message.clone());
                let read = read.map_err(|stop| words(stop).unwrap_or_default());
                drop(come.blocking_send(Come::Pinned(target, revision, read)));
            });
        }
        inputs
    }
}
