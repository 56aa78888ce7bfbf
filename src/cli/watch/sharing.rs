//! What is ordered at one watcher holds at all of them: the orders lie where every watcher of the project sees them,
//! beside its records.
//!
//! ```text
//!  suspend ──> held here at once ──┐
//!  resume, rollback, approve ──────┴──> read what holds, change it, compare-and-swap ──> answered
//!  every look, and before every write ──> read what holds ──> what is another now goes to the loop
//! ```
//!
//! A watcher that shares nothing (without an election) keeps its orders in its own folder, and nothing of this happens.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::board::{Ask, Board};
use super::cycle::Basis;
use super::shared::{Change, Heard, logged};
use crate::cli::{Exit, Stop, stores};
use crate::event::{Level, News};
use crate::model::{Diagnostic, Orders, ProjectName, Revision, TargetName};
use crate::store::{OrderBook, StoreError, Tip};

/// How often a change is tried while others change the orders too.
const SWAPS: usize = 5;
/// A leader hears of an order after this at the latest, however seldom it looks at its source.
const LONGEST: Duration = Duration::from_secs(30);

impl Board {
    /// Orders are shared there from now on.
    pub(super) fn share_at(&self, basis: &Basis) {
        let stores: Arc<dyn OrderBook> = Arc::<stores::Stores>::clone(&basis.stores);
        self.share_in(stores, basis.loaded.project.name.clone());
    }

    fn share_in(&self, book: Arc<dyn OrderBook>, project: ProjectName) {
        *self.sharing.place.lock().unwrap_or_else(PoisonError::into_inner) = Some((book, project));
        self.sharing.wanted.notify_one();
    }

    /// True if other watchers hear what this one is told.
    pub(super) fn shares(&self) -> bool {
        self.place().is_some()
    }

    fn place(&self) -> Option<(Arc<dyn OrderBook>, ProjectName)> {
        self.sharing.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the exchange stands.
    pub(super) fn heard(&self) -> Heard {
        self.heard_now().clone()
    }

    fn heard_now(&self) -> MutexGuard<'_, Heard> {
        self.sharing.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what holds now, tells the others what only this watcher knows, and lets the loop know what changed. Fails
    /// if it cannot be read; what is known holds on. Blocks.
    pub(super) fn hear(&self) -> Result<(), StoreError> {
        let Some(place) = self.place() else { return Ok(()) };
        let asked = self.clock.boot();
        let _one = self.sharing.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.heard().at.is_some_and(|at| at >= asked);
        if known && self.kept().untold().is_empty() {
            // Somebody asked while we waited, and that is as good.
            return Ok(());
        }
        self.exchange(&place, None)
    }

    /// Changes what holds for all watchers, or nothing at all. Blocks.
    pub(super) fn agree(&self, change: &Change<'_>) -> Result<(), StoreError> {
        let Some(place) = self.place() else { return Ok(()) };
        let _one = self.sharing.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        self.exchange(&place, Some(change))
    }

    fn exchange(
        &self,
        place: &(Arc<dyn OrderBook>, ProjectName),
        change: Option<&Change<'_>>,
    ) -> Result<(), StoreError> {
        let mut last = StoreError::Moved;
        for _ in 0..SWAPS {
            match self.once(place, change) {
                // What stands there now is read again: perhaps it is what was sent.
                Err(error @ (StoreError::Moved | StoreError::Unanswered { .. })) => last = error,
                Ok(()) => return Ok(()),
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        self.troubled(Some(last.to_string()));
        Err(last)
    }

    fn once(
        &self,
        (book, project): &(Arc<dyn OrderBook>, ProjectName),
        change: Option<&Change<'_>>,
    ) -> Result<(), StoreError> {
        let began = self.clock.boot();
        let (tip, shared) = book.orders(project)?;
        let own = self.kept().clone();
        let untold = own.untold();
        let mut after = shared.clone();
        let overtaken = after.take_over(&own.orders, &untold);
        if own.unshared.is_none() {
            // Those of an older watcher, or of one that shared nothing, are told once.
            own.orders.approved.iter().for_each(|order| after.approve(order.clone()));
        }
        if let Some(change) = change {
            (change.make)(&mut after);
        }
        let told = match after == shared {
            true => Ok(()),
            false => {
                let message = change.map_or_else(|| carried(&own.orders, &untold), |change| change.message.clone());
                let tip: Option<&Tip> = tip.as_ref();
                book.set_orders(project, tip, &after, &message).map(drop)
            }
        };
        let mine = change.map(|change| change.targets).unwrap_or_default();
        match (told, change) {
            (Err(error @ (StoreError::Moved | StoreError::Unanswered { .. })), _) | (Err(error), Some(_)) => {
                return Err(error);
            }
            (Err(error), None) => {
                // What holds is known all the same, and what only this watcher knows goes on holding here.
                self.take_up(after, &own.orders, &BTreeSet::new(), mine);
                self.heard_now().at = Some(began);
                self.troubled(Some(error.to_string()));
            }
            (Ok(()), _) => {
                self.take_up(after, &own.orders, &untold, mine);
                self.heard_now().at = Some(began);
                self.troubled(None);
                for name in &overtaken {
                    let message = format!("what was ordered here for {name} holds no more: somebody ordered later");
                    self.say(&News::Note { level: Level::Warn, message });
                }
                let told: Vec<&str> = untold.difference(&overtaken).map(String::as_str).collect();
                if !told.is_empty() && change.is_none() {
                    let message = format!("all watchers can see now what was ordered here for {}", told.join(", "));
                    self.say(&News::Note { level: Level::Info, message });
                }
            }
        }
        Ok(())
    }

    /// Remembers how it stands, and says so when that is another thing than before.
    fn troubled(&self, trouble: Option<String>) {
        let before = std::mem::replace(&mut self.heard_now().trouble, trouble.clone());
        let (level, message) = match (before, trouble) {
            (None, Some(why)) => (
                Level::Warn,
                format!("what other watchers are ordered cannot be told or heard, what is known holds: {why}"),
            ),
            (Some(_), None) => (Level::Info, "what other watchers are ordered is heard again".to_owned()),
            (Some(_), Some(_)) | (None, None) => return,
        };
        self.say(&News::Note { level, message });
    }

    /// Holds what is ordered from now on. `told` are the targets about which `own` is told to the others by now.
    fn take_up(&self, after: Orders, own: &Orders, told: &BTreeSet<String>, mine: &[TargetName]) {
        let now = self.clock.wall().as_second();
        let (before, orders) = {
            let mut kept = self.kept();
            let before = kept.clone();
            let same = |name: &String| {
                before.orders.suspended.get(name) == own.suspended.get(name)
                    && before.orders.pinned.get(name) == own.pinned.get(name)
            };
            // What was ordered here while the others were asked is told the next time.
            let untold: BTreeSet<String> =
                before.untold().into_iter().filter(|name| !(told.contains(name) && same(name))).collect();
            let mut orders = after;
            orders.take_over(&before.orders, &untold);
            let stands = |name: &str| before.orders.suspended.contains_key(name) && self.stands_still(name);
            orders.tidy(now, &stands);
            (kept.orders, kept.unshared) = (orders.clone(), Some(untold));
            if *kept != before
                && let Err(error) = kept.write(&self.folder)
            {
                // The others know it, and so does this process; only a restart without the record would not.
                self.note_once(Level::Warn, &format!("the orders cannot be kept on this machine: {error}"));
            }
            (before.orders, orders)
        };
        let changed: Vec<TargetName> = {
            let (names, machine) = (before.differing(&orders), self.machine());
            names.iter().filter_map(|name| name.parse().ok()).filter(|name| machine.target(name).is_some()).collect()
        };
        for name in changed.iter().filter(|name| !mine.contains(name)) {
            self.tell_of(name, &before, &orders, now);
        }
        // Not while the orders are held: the loop reads them.
        if !changed.is_empty() {
            drop(self.asks.blocking_send(Ask::Reordered(changed)));
        }
        if orders.approved.iter().any(|order| !before.approved.contains(order)) {
            drop(self.asks.blocking_send(Ask::Approved));
        }
    }

    /// Says what somebody ordered elsewhere.
    fn tell_of(&self, name: &TargetName, before: &Orders, now: &Orders, wall: i64) {
        let key = name.as_str();
        let (suspended, pinned) = (now.suspended.get(key), now.pinned.get(key));
        let (order, who) = match (suspended, pinned, now.resumed.get(key)) {
            (Some(order), _, _) if before.suspended.get(key) != Some(order) => {
                let time =
                    order.until.map(|until| format!(" for {} s", until.saturating_sub(wall))).unwrap_or_default();
                (format!("suspend {name}{time}{}", why(order.reason.as_deref())), &order.who)
            }
            (_, Some(order), _) if before.pinned.get(key) != Some(order) => {
                (format!("rollback {name}@{}{}", order.version, why(order.reason.as_deref())), &order.who)
            }
            (None, None, Some(order)) if before.resumed.get(key) != Some(order) => {
                (format!("resume {name}"), &order.who)
            }
            // A suspension whose time is over.
            _ => return,
        };
        let answer = "ordered at another watcher, and holds here too".to_owned();
        self.say(&News::Ordered { order, who: who.clone(), accepted: true, answer });
    }

    /// Asked before anything is written under election: whether what this cycle was begun with is what people want now.
    /// Blocks.
    pub(super) fn obeys(&self, target: &TargetName, pinned: Option<&Revision>) -> Result<(), Stop> {
        self.hear().map_err(|error| stores::stop(&error))?;
        let orders = self.orders();
        let why = match orders.suspended.get(target.as_str()) {
            Some(order) => format!("{} suspended {target} meanwhile, so nothing was written", order.who),
            None if orders.pinned_at(target).as_ref() != pinned => {
                format!("which commit {target} is held at was ordered meanwhile, so nothing was written")
            }
            None => return Ok(()),
        };
        Err(Stop::with(Exit::Locked, Diagnostic::error("ordered", why).help("`ctl status` shows what holds now")))
    }
}

/// A reason as it follows an order.
fn why(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// What stands in the log where orders are carried over that only one watcher knew.
fn carried(own: &Orders, names: &BTreeSet<String>) -> String {
    let suspended = names.iter().filter_map(|name| Some((name, own.suspended.get(name)?)));
    let said =
        suspended.map(|(name, order)| (format!("suspend {name}{}", why(order.reason.as_deref())), order.who.as_str()));
    let pinned = names.iter().filter_map(|name| Some((name, own.pinned.get(name)?)));
    let said: Vec<(String, &str)> = said
        .chain(pinned.map(|(name, order)| {
            let order_text = format!("rollback {name}@{}{}", order.version, why(order.reason.as_deref()));
            (order_text, order.who.as_str())
        }))
        .collect();
    match &said[..] {
        [] => logged("approve", "an earlier watcher"),
        [(order, who)] => logged(order, who),
        [(_, who), ..] => logged(&said.iter().map(|(order, _)| order.as_str()).collect::<Vec<_>>().join(", "), who),
    }
}

/// Hears what is ordered elsewhere, until dropped.
pub(super) async fn keep_hearing(board: Arc<Board>, interval: Duration) {
    loop {
        tokio::select! {
            () = board.clock.sleep(interval.min(LONGEST)) => {}
            () = board.sharing.wanted.notified() => {}
        }
        let hearing = Arc::clone(&board);
        // What is in the way is remembered, and said when it begins.
        drop(tokio::task::spawn_blocking(move || drop(hearing.hear())).await);
    }
}

#[cfg(test)]
mod tests;
