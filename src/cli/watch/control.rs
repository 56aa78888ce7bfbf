//! What people ask of the watcher, and what it answers.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use super::board::{Ask, Board, Versions};
use super::shared::{Change, logged};
use crate::daemon::Control;
use crate::event::{Entry, News};
use crate::model::{
    Answer, Approved, Desired, Digest, MAX_PENDING, Order, Orders, Pinned, ResourceStatus, Resumed, Revision, Status,
    Suspended, TargetName, glob_matches,
};
use crate::report::span;
use crate::store::StoreError;

/// An approval that was asked for longer than this is cut to it: a plan that old is another one.
const LONGEST_APPROVAL: u64 = 24 * 60 * 60;

/// The longest reason, in bytes: it is in each status.
const REASON: usize = 500;
/// The longest time that a target is suspended for; longer is for ever, which is said by no time.
const LONGEST: u64 = 366 * 24 * 60 * 60;

/// What to do about an order that only this watcher knows.
const ONLY_HERE: &str = "it is carried over by itself as soon as the record can be reached; until then say the same to \
                         each watcher that may write there";

impl Control for Board {
    fn status(&self) -> Status {
        Self::status(self)
    }

    fn resources(&self, glob: &str) -> Option<Vec<ResourceStatus>> {
        let wanted = self.facts().wanted.clone()?;
        let named = wanted.desired.iter().map(|desired| (desired.id.to_string(), desired));
        let fitting = named.filter(|(address, _)| glob_matches(glob, address)).take(MAX_PENDING);
        let told = |(address, desired): (String, &Arc<Desired>)| ResourceStatus {
            address,
            source: Some(desired.origin.path.to_string()),
        };
        Some(fitting.map(told).collect())
    }

    fn alive(&self) -> bool {
        self.is_alive()
    }

    fn not_ready(&self) -> Vec<String> {
        Self::not_ready(self)
    }

    fn metrics(&self) -> String {
        self.metrics.reflect(&Self::status(self));
        self.metrics.text()
    }

    fn events(&self, seq: u64) -> (Vec<Entry>, u64) {
        self.journal.since(seq)
    }

    fn more(&self, seq: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.journal.more(seq))
    }

    fn hint(&self) {
        self.hinted.notify_one();
    }

    fn hook_refused(&self, why: &'static str) {
        self.refuse_hook(why);
    }

    fn order(&self, order: Order, who: &str) -> Answer {
        let words = words(&order);
        let answer = match self.obey(order, who) {
            Ok(Done { message, only_here }) => {
                let help = only_here.then(|| ONLY_HERE.to_owned());
                Answer { accepted: true, message: self.hide(&message), help, only_here }
            }
            Err((message, help)) => {
                Answer { accepted: false, message: self.hide(&message), help: Some(self.hide(&help)), only_here: false }
            }
        };
        let (accepted, said) = (answer.accepted, answer.message.clone());
        self.say(&News::Ordered { order: words, who: who.to_owned(), accepted, answer: said });
        answer
    }
}

type Refused = (String, String);

/// An order that is carried out.
struct Done {
    message: String,
    /// True if others that may write there do not know of it.
    only_here: bool,
}

impl Done {
    fn everywhere(message: String) -> Self {
        Self { message, only_here: false }
    }
}

impl Board {
    fn obey(&self, order: Order, who: &str) -> Result<Done, Refused> {
        let now = self.clock.wall().as_second();
        let until = |seconds: u64| now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
        match order {
            Order::Retry { target } => {
                let targets = self.chosen(target.as_deref())?;
                let message = format!("{} tried again now", named(&targets));
                self.ask(Ask::Retry(targets))?;
                Ok(Done::everywhere(message))
            }
            Order::Suspend { target, seconds, reason } => {
                let targets = self.chosen(target.as_deref())?;
                check_reason(reason.as_deref())?;
                let seconds = seconds.map(|seconds| seconds.clamp(1, LONGEST));
                let until = seconds.map(until);
                // Here first: it must hold though nobody else can be told.
                let order = Suspended { since: now, until, who: who.to_owned(), reason };
                let make = |orders: &mut Orders| {
                    targets.iter().for_each(|target| orders.suspend(target.to_string(), order.clone()));
                };
                let change = Change { message: String::new(), targets: &targets, make: &make };
                self.keep(&change, Ask::Reordered(targets.clone()))?;
                let end = match seconds {
                    Some(seconds) => format!("for {}", span(seconds)),
                    None => "until `ctl resume`".to_owned(),
                };
                let message = format!("nothing is written at {} {end}; drift is still looked at", named(&targets));
                match self.told(&targets) {
                    Ok(()) => Ok(Done::everywhere(format!("{message}{}", self.led_elsewhere(&targets)))),
                    Err(why) => {
                        let message = format!("{message}; BUT so far this holds at this watcher alone: {why}");
                        Ok(Done { message, only_here: true })
                    }
                }
            }
            Order::Resume { target } => {
                let targets = self.chosen(target.as_deref())?;
                // What somebody ordered elsewhere is taken back too.
                tokio::task::block_in_place(|| self.hear()).map_err(|error| unchanged(&error))?;
                let held = self.orders().names();
                let stopped: Vec<TargetName> =
                    targets.iter().filter(|name| held.contains(name.as_str())).cloned().collect();
                if stopped.is_empty() {
                    let help = "`ctl status` shows what is; `ctl retry` tries again what waits";
                    return Err(refused(format!("nothing is suspended or held at {}", named(&targets)), help));
                }
                let order = Resumed { who: who.to_owned(), since: now };
                let make = |orders: &mut Orders| {
                    stopped.iter().for_each(|target| orders.resume(target.to_string(), order.clone()));
                };
                let message = logged(&format!("resume {}", named(&stopped)), who);
                let change = Change { message, targets: &stopped, make: &make };
                self.change(&change, Ask::Reordered(stopped.clone()))?;
                let elsewhere = self.led_elsewhere(&stopped);
                Ok(Done::everywhere(format!("{} goes on with the newest commit{elsewhere}", named(&stopped))))
            }
            Order::Rollback { target, version, reason } => {
                let targets = self.chosen(Some(&target))?;
                check_reason(reason.as_deref())?;
                let [target] = &targets[..] else {
                    let message = format!("`{target}` is {} targets", targets.len());
                    return Err(refused(message, "roll back one at a time"));
                };
                let commit = self.commit_of(target, version)?;
                let why = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let message = logged(&format!("rollback {target}@{version} to {commit}{why}"), who);
                let pin =
                    Pinned { version, commit: commit.as_str().to_owned(), who: who.to_owned(), since: now, reason };
                let make = |orders: &mut Orders| orders.pin(target.to_string(), pin.clone());
                self.change(&Change { message, targets: &targets, make: &make }, Ask::Reordered(targets.clone()))?;
                let (commit, elsewhere) = (commit.short(), self.led_elsewhere(&targets));
                let message = format!("{target} goes back to version {version}, commit {commit}, and stays there");
                Ok(Done::everywhere(format!("{message}{elsewhere}")))
            }
            Order::Approve { checksum, seconds } => {
                let Some(sum) = Digest::parse(&checksum) else {
                    let message = "that is not a checksum of 64 hexadecimal digits".to_owned();
                    return Err(refused(message, "copy it from the plan"));
                };
                let known = self.facts().seen.iter().any(|(_, seen)| {
                    let sums = [seen.checksum, seen.deletes_checksum];
                    sums.contains(&Some(sum)) && seen.refusals.iter().any(|refusal| refusal.approvable)
                });
                // Who leads elsewhere knows what waits there.
                let elsewhere = self.shares() && {
                    let machine = self.machine();
                    machine.targets().any(|(name, _)| !machine.leads(name))
                };
                if !known && !elsewhere {
                    let help = "`ctl status` shows the checksum of what waits now";
                    return Err(refused("no plan with this checksum waits for approval".to_owned(), help));
                }
                let seconds = seconds.clamp(1, LONGEST_APPROVAL);
                let approved = Approved { checksum, until: until(seconds), who: who.to_owned() };
                let make = |orders: &mut Orders| {
                    orders.approved.retain(|old| old.until > now.saturating_sub(LONGEST_APPROVAL.cast_signed()));
                    orders.approve(approved.clone());
                };
                let message = logged(&format!("approve {sum}"), who);
                self.change(&Change { message, targets: &[], make: &make }, Ask::Approved)?;
                let unseen = if known { "" } else { "; no such plan waits here, and whoever leads may have it" };
                Ok(Done::everywhere(format!(
                    "the plan {} may go through for {}, as it is{unseen}",
                    sum.short(12),
                    span(seconds)
                )))
            }
        }
    }

    /// The targets that a glob means; all of them without one.
    fn chosen(&self, glob: Option<&str>) -> Result<Vec<TargetName>, Refused> {
        let machine = self.machine();
        let fits = |name: &&TargetName| glob.is_none_or(|glob| glob_matches(glob, name.as_str()));
        let found: Vec<TargetName> = machine.targets().map(|(name, _)| name).filter(fits).cloned().collect();
        if found.is_empty() {
            if machine.targets().next().is_none() {
                let message = "no target is known yet: the desired state was not read".to_owned();
                return Err(refused(message, "`ctl status` says why; then say it again"));
            }
            let known: Vec<&str> = machine.targets().map(|(name, _)| name.as_str()).collect();
            let message = format!("no target is called `{}`; there are: {}", glob.unwrap_or("*"), known.join(", "));
            return Err(refused(message, "name one of them, or a glob"));
        }
        Ok(found)
    }

    /// Changes what holds: for all watchers that share it, or for this one if nobody does.
    fn change(&self, change: &Change<'_>, ask: Ask) -> Result<(), Refused> {
        match self.shares() {
            true => tokio::task::block_in_place(|| self.agree(change)).map_err(|error| unchanged(&error)),
            false => self.keep(change, ask),
        }
    }

    /// Changes the orders here, on disk first: what a person forbade stays forbidden over a restart. What the loop is to
    /// be told has its place before: an order that is refused leaves nothing behind.
    fn keep(&self, change: &Change<'_>, ask: Ask) -> Result<(), Refused> {
        let place = self.asks.try_reserve().map_err(|_| busy())?;
        let mut kept = self.kept();
        let mut changed = kept.clone();
        (change.make)(&mut changed.orders);
        if let Some(unshared) = &mut changed.unshared {
            unshared.extend(change.targets.iter().map(ToString::to_string));
        }
        changed.write(&self.folder).map_err(|error| {
            refused(format!("the order cannot be kept: {error}"), "see that the state folder can be written")
        })?;
        *kept = changed;
        // While the orders are held, so that they come to the loop in this order.
        place.send(ask);
        Ok(())
    }

    /// Tells the others what was ordered here for these targets, or says why they do not know it.
    fn told(&self, targets: &[TargetName]) -> Result<(), String> {
        if !self.shares() {
            return Ok(());
        }
        let heard = tokio::task::block_in_place(|| self.hear());
        let untold = self.kept().untold();
        match targets.iter().any(|target| untold.contains(target.as_str())) {
            false => Ok(()),
            true => Err(heard.err().map(|e| e.to_string()).or(self.heard().trouble).unwrap_or_default()),
        }
    }

    fn ask(&self, ask: Ask) -> Result<(), Refused> {
        self.asks.try_send(ask).map_err(|_| busy())
    }

    /// Who has yet to hear of it, in words.
    fn led_elsewhere(&self, targets: &[TargetName]) -> String {
        let machine = self.machine();
        let others: Vec<TargetName> = targets.iter().filter(|target| !machine.leads(target)).cloned().collect();
        match others.is_empty() {
            true => String::new(),
            false => format!("; whoever leads at {} hears of it with the next look", named(&others)),
        }
    }

    /// From now on versions are looked up so.
    pub(super) fn find_versions(&self, versions: Versions) {
        *self.versions.lock().unwrap_or_else(PoisonError::into_inner) = Some(versions);
    }

    fn commit_of(&self, target: &TargetName, version: u64) -> Result<Revision, Refused> {
        let help = "`ctl history` lists the versions that there are";
        let found = self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = found.ok_or_else(|| refused("nothing was loaded yet".to_owned(), help))?;
        tokio::task::block_in_place(|| found(target, version)).map_err(|why| refused(why, help))
    }
}

/// The command line asks the same; others may speak to the listener too.
fn check_reason(reason: Option<&str>) -> Result<(), Refused> {
    match reason.is_some_and(|reason| reason.len() > REASON) {
        true => {
            Err(refused(format!("the reason has more than {REASON} bytes"), "say it shorter, and link to the rest"))
        }
        false => Ok(()),
    }
}

fn refused(why: String, help: &str) -> Refused {
    (why, help.to_owned())
}

fn busy() -> Refused {
    refused("too many orders wait".to_owned(), "try again in a moment")
}

/// An order that all watchers must know did not come to where they look.
fn unchanged(error: &StoreError) -> Refused {
    match error {
        StoreError::Unanswered { .. } => refused(
            format!("nobody knows whether the order came to where all watchers see it: {error}"),
            "`ctl status` shows whether it did; it may be given again without harm",
        ),
        StoreError::Denied { help, .. } | StoreError::Damaged { help, .. } => {
            refused(format!("nothing changed, because all watchers must know of it: {error}"), help)
        }
        StoreError::Moved | StoreError::Unreachable { .. } | StoreError::Fenced { .. } => refused(
            format!("nothing changed, because all watchers must know of it: {error}"),
            "say it again when the record can be reached; until then no watcher that cannot reach it writes",
        ),
    }
}

fn words(order: &Order) -> String {
    let at = |target: &Option<String>| target.as_deref().map(|t| format!(" {t}")).unwrap_or_default();
    match order {
        Order::Retry { target } => format!("retry{}", at(target)),
        Order::Suspend { target, seconds, reason } => {
            let time = seconds.map(|s| format!(" for {}", span(s))).unwrap_or_default();
            let why = reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            format!("suspend{}{time}{why}", at(target))
        }
        Order::Resume { target } => format!("resume{}", at(target)),
        Order::Rollback { target, version, reason } => {
            let why = reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            format!("rollback {target}@{version}{why}")
        }
        Order::Approve { checksum, seconds } => format!("approve {checksum} for {}", span(*seconds)),
    }
}

fn named(targets: &[TargetName]) -> String {
    let names: Vec<&str> = targets.iter().map(TargetName::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::super::board::Beginning;
    use super::super::folder::Folder;
    use super::super::log::{Form, Log};
    use super::super::orders::Kept;
    use super::*;
    use crate::metrics::Metrics;
    use crate::reconcile::{Machine, Pace, Place};
    use crate::world::Clock;

    pub(in crate::cli::watch) fn board(
        folder: &std::path::Path,
        elected: bool,
        room: usize,
    ) -> (Board, mpsc::Receiver<Ask>) {
        let place: Place = ("dns".parse().unwrap(), "default".parse().unwrap());
        let mut machine = Machine::new(Pace::every(Duration::from_secs(30)), false, elected, 1, Duration::ZERO);
        machine.know(&[place].into(), Duration::ZERO);
        let (asks, heard) = mpsc::channel(room);
        let board = Board::new(Beginning {
            clock: Clock::System,
            mode: "watch",
            source: ".".to_owned(),
            folder: Folder::take(folder.join("watch")).unwrap().unwrap(),
            orders: Kept::default(),
            machine,
            metrics: Metrics::new(&[], elected, "0"),
            log: Log { form: Form::Json, loud: false },
            asks,
        });
        (board, heard)
    }

    fn suspend(seconds: Option<u64>, reason: &str) -> Order {
        Order::Suspend { target: Some("dns".to_owned()), seconds, reason: Some(reason.to_owned()) }
    }

    #[test]
    fn an_order_that_the_loop_cannot_be_told_leaves_nothing_behind() {
        let state = tempfile::tempdir().unwrap();
        let (board, mut heard) = board(state.path(), false, 1);
        assert!(board.order(Order::Retry { target: None }, "ann").accepted);
        let answer = board.order(suspend(None, "upgrade"), "ann");
        assert!(!answer.accepted, "{answer:?}");
        assert_eq!((board.kept().clone(), Kept::read(&board.folder).unwrap()), Default::default());
        heard.try_recv().unwrap();
        assert!(board.order(suspend(None, "upgrade"), "ann").accepted);
        assert_eq!(Kept::read(&board.folder).unwrap(), *board.kept(), "on disk before it is answered");
        assert!(board.orders().suspended.contains_key("dns"));
    }

    #[test]
    fn an_order_is_bounded_names_what_there_is_and_says_whom_it_concerns() {
        let state = tempfile::tempdir().unwrap();
        let (board, _heard) = board(state.path(), false, 9);
        assert!(!board.order(suspend(None, &"x".repeat(501)), "ann").accepted);
        let strange = board.order(Order::Resume { target: Some("mq".to_owned()) }, "ann");
        assert!(!strange.accepted && strange.message.contains("dns"), "{strange:?}");
        let answer = board.order(suspend(Some(u64::MAX), "for ever"), "ann");
        assert!(answer.accepted && !answer.only_here, "{answer:?}");
        let until = board.orders().suspended["dns"].until.unwrap();
        assert!(until < board.clock.wall().as_second() + 2 * 366 * 86_400);
        let sum = Digest::of(b"a plan that nobody made").to_string();
        assert!(!board.order(Order::Approve { checksum: sum, seconds: 60 }, "ann").accepted);
        assert!(!board.order(Order::Rollback { target: "dns".to_owned(), version: 1, reason: None }, "ann").accepted);
    }
}
