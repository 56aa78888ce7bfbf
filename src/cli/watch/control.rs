//! What people ask of the watcher, and what it answers.

use std::pin::Pin;

use super::board::{Ask, Board};
use super::orders::{Approved, Orders, Pinned, Suspended};
use crate::daemon::Control;
use crate::event::{Entry, News};
use crate::model::{Answer, Digest, Order, Revision, Status, TargetName, glob_matches};

/// An approval that was asked for longer than this is cut to it: a plan that old is another one.
const LONGEST_APPROVAL: u64 = 24 * 60 * 60;

impl Control for Board {
    fn status(&self) -> Status {
        Self::status(self)
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
            Ok(message) => Answer { accepted: true, message, help: None },
            Err((message, help)) => Answer { accepted: false, message, help: Some(help.to_owned()) },
        };
        let (accepted, said) = (answer.accepted, answer.message.clone());
        self.say(&News::Ordered { order: words, who: who.to_owned(), accepted, answer: said });
        answer
    }
}

type Refused = (String, &'static str);

impl Board {
    fn obey(&self, order: Order, who: &str) -> Result<String, Refused> {
        let now = self.clock.wall().as_second();
        let until = |seconds: u64| now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
        match order {
            Order::Retry { target } => {
                let targets = self.chosen(target.as_deref())?;
                let message = format!("{} tried again now", named(&targets));
                self.ask(Ask::Retry(targets))?;
                Ok(message)
            }
            Order::Suspend { target, seconds, reason } => {
                let targets = self.chosen(target.as_deref())?;
                let until = seconds.map(until);
                self.reorder(&targets, |orders, name| {
                    let order = Suspended { since: now, until, who: who.to_owned(), reason: reason.clone() };
                    orders.suspended.insert(name, order);
                })?;
                let end = match seconds {
                    Some(seconds) => format!("for {seconds} s"),
                    None => "until `ctl resume`".to_owned(),
                };
                let here = self.of_this_one();
                Ok(format!("nothing is written at {} {end}; drift is still looked at{here}", named(&targets)))
            }
            Order::Resume { target } => {
                let targets = self.chosen(target.as_deref())?;
                let stopped = {
                    let orders = self.orders();
                    let stopped = |name: &&TargetName| {
                        orders.suspended.contains_key(name.as_str()) || orders.pinned.contains_key(name.as_str())
                    };
                    targets.iter().filter(stopped).cloned().collect::<Vec<_>>()
                };
                if stopped.is_empty() {
                    let help = "`ctl status` shows what is; `ctl retry` tries again what waits";
                    return Err((format!("nothing is suspended or held at {}", named(&targets)), help));
                }
                self.reorder(&stopped, |orders, name| {
                    orders.suspended.remove(&name);
                    orders.pinned.remove(&name);
                })?;
                Ok(format!("{} goes on with the newest commit", named(&stopped)))
            }
            Order::Rollback { target, version } => {
                let targets = self.chosen(Some(&target))?;
                let [target] = &targets[..] else {
                    return Err((format!("`{target}` is {} targets", targets.len()), "roll back one at a time"));
                };
                let commit = self.commit_of(target, version)?;
                let pin = Pinned { version, commit: commit.as_str().to_owned(), who: who.to_owned(), since: now };
                self.reorder(&targets, |orders, name| {
                    orders.suspended.remove(&name);
                    orders.pinned.insert(name, pin.clone());
                })?;
                let (commit, here) = (commit.short(), self.of_this_one());
                Ok(format!("{target} goes back to version {version}, commit {commit}, and stays there{here}"))
            }
            Order::Approve { checksum, seconds } => {
                let Some(sum) = Digest::parse(&checksum) else {
                    return Err((
                        "that is not a checksum of 64 hexadecimal digits".to_owned(),
                        "copy it from the plan",
                    ));
                };
                let known = self.facts().seen.iter().any(|(_, seen)| {
                    let sums = [seen.checksum, seen.deletes_checksum];
                    sums.contains(&Some(sum)) && seen.refusals.iter().any(|refusal| refusal.approvable)
                });
                if !known {
                    let help = "`ctl status` shows the checksum of what waits now";
                    return Err(("no plan with this checksum waits for approval".to_owned(), help));
                }
                let seconds = seconds.clamp(1, LONGEST_APPROVAL);
                let approved = Approved { checksum, until: until(seconds), who: who.to_owned() };
                self.keep(Ask::Approved, |orders| {
                    orders.approved.retain(|old| old.checksum != approved.checksum);
                    orders.approved.push(approved);
                })?;
                Ok(format!("the plan {} may go through for {seconds} s, as it is", sum.short(12)))
            }
        }
    }

    /// The targets that a glob means; all of them without one.
    fn chosen(&self, glob: Option<&str>) -> Result<Vec<TargetName>, Refused> {
        let machine = self.machine();
        let fits = |name: &&TargetName| glob.is_none_or(|glob| glob_matches(glob, name.as_str()));
        let found: Vec<TargetName> = machine.targets().map(|(name, _)| name).filter(fits).cloned().collect();
        if found.is_empty() {
            let known: Vec<&str> = machine.targets().map(|(name, _)| name.as_str()).collect();
            let message = format!("no target is called `{}`; there are: {}", glob.unwrap_or("*"), known.join(", "));
            return Err((message, "name one of them, or a glob"));
        }
        Ok(found)
    }

    fn reorder(&self, targets: &[TargetName], change: impl Fn(&mut Orders, String)) -> Result<(), Refused> {
        self.keep(Ask::Reordered(targets.to_vec()), |orders| {
            targets.iter().for_each(|target| change(orders, target.to_string()));
        })
    }

    /// Changes the orders, on disk first: what a person forbade stays forbidden over a restart. What the loop is to be
    /// told has its place before: an order that is refused leaves nothing behind.
    fn keep(&self, ask: Ask, change: impl FnOnce(&mut Orders)) -> Result<(), Refused> {
        let place = self.asks.try_reserve().map_err(|_| busy())?;
        let mut orders = self.orders();
        let mut changed = orders.clone();
        change(&mut changed);
        changed.write(&self.folder).map_err(|error| {
            (format!("the order cannot be kept: {error}"), "see that the state folder can be written")
        })?;
        *orders = changed;
        // While the orders are held, so that they come to the loop in this order.
        place.send(ask);
        Ok(())
    }

    fn ask(&self, ask: Ask) -> Result<(), Refused> {
        self.asks.try_send(ask).map_err(|_| busy())
    }

    /// Orders are those of one watcher; others that may take over do not know of them.
    fn of_this_one(&self) -> &'static str {
        match self.machine().is_elected() {
            true => "; this holds at this watcher: say the same to each that may take over",
            false => "",
        }
    }

    fn commit_of(&self, target: &TargetName, version: u64) -> Result<Revision, Refused> {
        let help = "`ctl history` lists the versions that there are";
        let found = self.versions.get().ok_or_else(|| ("nothing was loaded yet".to_owned(), help))?;
        tokio::task::block_in_place(|| found(target, version)).map_err(|why| (why, help))
    }
}

fn busy() -> Refused {
    ("too many orders wait".to_owned(), "try again in a moment")
}

fn words(order: &Order) -> String {
    let at = |target: &Option<String>| target.as_deref().map(|t| format!(" {t}")).unwrap_or_default();
    match order {
        Order::Retry { target } => format!("retry{}", at(target)),
        Order::Suspend { target, seconds, reason } => {
            let time = seconds.map(|s| format!(" for {s} s")).unwrap_or_default();
            let why = reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            format!("suspend{}{time}{why}", at(target))
        }
        Order::Resume { target } => format!("resume{}", at(target)),
        Order::Rollback { target, version } => format!("rollback {target}@{version}"),
        Order::Approve { checksum, seconds } => format!("approve {checksum} for {seconds} s"),
    }
}

fn named(targets: &[TargetName]) -> String {
    let names: Vec<&str> = targets.iter().map(TargetName::as_str).collect();
    names.join(", ")
}
