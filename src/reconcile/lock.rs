//! Open intents as locks: what they mean to others, and how long is waited for them.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Intent, Process, Record};
use crate::store::{RecordName, Store, StoreError, Tip, same_machine};
use crate::world::Clock;

/// How long an intent stands.
pub(super) const TERM: Duration = Duration::from_secs(15 * 60);
/// How long after `until` others still wait: clocks differ.
const GRACE: i64 = 60;
/// How often a waiting run looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Who looks at an intent.
#[derive(Clone, Debug)]
pub struct Here {
    /// This process.
    pub process: Process,
    /// The fencing token, under election.
    pub token: Option<u64>,
}

/// What an open intent means to somebody else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hold {
    /// Its run may still write.
    Held,
    /// Its run writes no more, and this is how that is known: whoever writes next settles it.
    Expired(&'static str),
}

/// Says whether an open intent still is a lock, to somebody who has no run of their own there now. `alive` tells whether
/// a process of this very boot and PID namespace still runs (with that start time); `wall` is the Unix second.
pub fn standing(intent: &Intent, here: &Here, wall: i64, alive: &dyn Fn(&Process) -> bool) -> Hold {
    let (holder, me) = (&intent.holder, &here.process);
    if let (Some(theirs), Some(ours)) = (intent.token, here.token)
        && ours > theirs
    {
        return Hold::Expired("a newer leader was elected");
    }
    if is_same(holder, me) {
        return Hold::Expired("it is of this process, and that run is over");
    }
    let booted = !holder.boot_id.is_empty() && !me.boot_id.is_empty() && holder.boot_id != me.boot_id;
    if same_machine(holder, me) && booted {
        return Hold::Expired("its machine was started again since");
    }
    if holder.host == me.host
        && holder.boot_id == me.boot_id
        && holder.pid_namespace == me.pid_namespace
        && !alive(holder)
    {
        return Hold::Expired("its process is gone");
    }
    match intent.until {
        Some(until) if wall > until.saturating_add(GRACE) => Hold::Expired("its time ran out"),
        Some(_) | None => Hold::Held,
    }
}

/// True if both certainly are one process.
fn is_same(a: &Process, b: &Process) -> bool {
    let known = !a.boot_id.is_empty() && a.pid_namespace != 0 && a.started != 0;
    let same = |p: &Process| (p.host.clone(), p.boot_id.clone(), p.pid_namespace, p.pid, p.started);
    known && same(a) == same(b)
}

/// A record that nobody else is writing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Free {
    /// Where it stands.
    pub tip: Option<Tip>,
    /// The record. Intents in it have expired and are to be settled first.
    pub record: Record,
}

/// Why a record cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Locked {
    /// Another run holds it (exit 9).
    #[error("{} holds it: process {} on {}, run {}", .0.holder.who, .0.holder.pid, .0.holder.host, .0.run)]
    Held(Box<Intent>),
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// True if the intent's term is further away than any run may say: a clock is wrong, theirs or ours.
pub fn is_beyond_any_term(intent: &Intent, wall: i64) -> bool {
    intent.until.is_some_and(|until| until.saturating_sub(wall) > TERM.as_secs().cast_signed() + GRACE)
}

/// Reads a record, and waits at most `wait` for others to be done with it.
///
/// A run renews its intent well within its term, or it writes no more, whatever its clock says the time is. So who sees a
/// record unmoved for longer than a term knows that its runs are over, also where a clock was wrong by years.
pub async fn free<S: Store + 'static>(
    store: &Arc<S>,
    name: &RecordName,
    here: &Here,
    alive: &(dyn Fn(&Process) -> bool + Sync),
    wait: Duration,
    clock: &Clock,
) -> Result<Free, Locked> {
    let end = clock.boot().saturating_add(wait);
    let mut unmoved: Option<(Option<Tip>, Duration)> = None;
    loop {
        let (reader, asked) = (Arc::clone(store), name.clone());
        let (tip, mut record) = off_the_loop(move || reader.read(&asked)).await?;
        let (wall, now) = (clock.wall().as_second(), clock.boot());
        match &unmoved {
            Some((before, since)) if *before == tip => {
                if now.saturating_sub(*since) > TERM + Duration::from_secs(GRACE.unsigned_abs()) {
                    let alone = record.intents.iter_mut().filter(|intent| intent.token.is_none());
                    alone.for_each(|intent| intent.until = Some(i64::MIN));
                }
            }
            Some(_) | None => unmoved = Some((tip.clone(), now)),
        }
        let held = record.intents.iter().find(|intent| standing(intent, here, wall, alive) == Hold::Held);
        let Some(held) = held else { return Ok(Free { tip, record }) };
        let left = end.saturating_sub(clock.boot());
        if left.is_zero() {
            return Err(Locked::Held(Box::new(held.clone())));
        }
        clock.sleep(left.min(LOOK_AGAIN)).await;
    }
}

/// Runs what blocks beside the async loop.
pub(super) async fn off_the_loop<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(StoreError::Unanswered { why: e.to_string() }))
}
