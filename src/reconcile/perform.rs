//! One operation from its first attempt to its ending: retries, fresh reads, conflicts, doubt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::leader::REQUEST;
use super::lookup::{LostCreates, Waiting};
use super::mark::bears;
use super::observe::{Trouble, asked, list, note_wait};
use super::partial::is_less;
use super::peer::{Context, Peer};
use super::retry::{Call, Tries, Verdict, verdict};
use crate::event::{Ending, Event};
use crate::model::{Canonical, Desired, Digest, FieldPath, Key, Observed, Owned, ResourceId, Scope, TargetName};
use crate::plan::{Change, Operation};
use crate::target::{Fence, Outcome, Target, TargetError, Write};

/// After this time a write counts as unanswered, whatever the driver is still doing: so that with the margin of the gate
/// no request of ours can arrive after our intent ran out. Under election there is less time: [`REQUEST`], a login before
/// the write included.
pub(super) const WRITE_BACKSTOP: Duration = Duration::from_secs(30);

/// How long is waited after each look at what the target accepted to delete.
pub(super) const GOING: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::ZERO];

/// Judges one resource in the light of a fresh read. The difference engine stands behind it.
pub trait Judge: Sync {
    /// Whether the operation may still be written as planned.
    fn still_holds(&self, op: &Operation, fresh: Option<&Observed>) -> Standing;

    /// Plans this one resource again, guards included.
    fn replan(&self, op: &Operation, fresh: Option<&Observed>) -> Replanned;

    /// True if `found` has everything that `desired` states: then it is what we sent.
    fn is_as_sent(&self, desired: &Desired, found: &Observed) -> bool;

    /// Stated fields that the server made something else of, with what it made of them.
    fn rewritten(&self, desired: &Desired, found: &Observed) -> BTreeMap<FieldPath, Option<Canonical>>;

    /// Stated fields that differ and whose values are not shown, with the digest of what is there.
    fn unshown(&self, desired: &Desired, found: &Observed) -> BTreeMap<FieldPath, Option<Digest>>;
}

/// What a fresh read says about an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The compared fields are as planned.
    Holds,
    /// Nothing is left to be done.
    Done,
    /// Somebody changed it since the plan was made.
    Moved {
        /// What was found.
        why: String,
    },
}

/// An operation, planned again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Replanned {
    /// Nothing is left to be done.
    Nothing,
    /// Change it.
    Update {
        /// Stated fields that differ, with what is to be there.
        changes: BTreeMap<FieldPath, Canonical>,
        /// Fields that were sent once and are no longer stated.
        remove: Vec<FieldPath>,
    },
    /// Make it.
    Create,
    /// Take it away.
    Delete(Box<Owned>),
    /// It may not be written any more.
    Refused(String),
}

/// Says whether a target may be written now. Asked right before every attempt.
pub trait Gate: Sync {
    /// Why not, otherwise.
    fn check(&self, target: &TargetName) -> Result<(), String>;
}

impl<F: Fn(&TargetName) -> Result<(), String> + Sync> Gate for F {
    fn check(&self, target: &TargetName) -> Result<(), String> {
        self(target)
    }
}

/// How one operation went.
#[derive(Debug)]
pub(super) struct Performed {
    pub(super) ending: Ending,
    pub(super) observed: Option<Observed>,
    pub(super) wants_read_back: bool,
    /// A delete of which only the target says that it is done.
    pub(super) unseen: bool,
    /// Something was written, or may have been.
    pub(super) landed: bool,
    pub(super) marked: bool,
    pub(super) attempts: u32,
    pub(super) sent_at: Option<Duration>,
    pub(super) trouble: Option<Trouble>,
    pub(super) gate_shut: Option<String>,
}

/// The write as it stands after the last look.
enum Step {
    Create,
    Update { base: Observed, changes: BTreeMap<FieldPath, Canonical>, remove: Vec<FieldPath> },
    Delete(Box<Owned>),
}

/// A list that serves the fresh reads of several operations in one scope, as long as it is young.
#[derive(Debug)]
pub(super) struct SharedRead {
    scope: Scope,
    latest: tokio::sync::Mutex<Latest>,
}

/// What is known of the list that is shared.
#[derive(Debug, Default)]
struct Latest {
    read: Option<(Duration, BTreeMap<Key, Observed>)>,
    /// Whether it shows less of an object than its own address does, once that was seen: such a list serves nobody, for what
    /// it leaves out would be taken away by a write that sends back what was read.
    is_less: Option<bool>,
}

/// How long before it was asked for a list may have started, and still count as a read right before a write.
const FRESH: Duration = Duration::from_secs(1);

impl SharedRead {
    pub(super) fn of(scope: Scope) -> Self {
        Self { scope, latest: tokio::sync::Mutex::default() }
    }

    /// What is there under the key of `id`; an error if the list failed or is no use. Those who come while it is read wait
    /// for it.
    async fn get<T: Target>(
        &self,
        id: &ResourceId,
        endpoint: &Peer<T>,
        context: Context<'_>,
    ) -> Result<Option<Observed>, String> {
        let asked = context.clock.boot();
        let mut latest = self.latest.lock().await;
        let is_young = latest.read.as_ref().is_some_and(|(at, _)| asked.saturating_sub(*at) <= FRESH);
        if !is_young && latest.is_less != Some(true) {
            let now = context.clock.boot();
            let listing = list(endpoint, &self.scope, context).await.map_err(|(_, why)| why)?.into_inner();
            let items = listing.items.into_iter().map(|item| (item.key.clone(), item)).collect();
            latest.read = Some((now, items));
        }
        let found = latest.read.as_ref().and_then(|(_, items)| items.get(&id.key)).cloned();
        if let (Some(found), None) = (&found, latest.is_less) {
            latest.is_less = Some(is_less(endpoint, id, found, context).await.map_err(|error| error.to_string())?);
        }
        match latest.is_less {
            Some(true) => Err("the list shows less than each object by itself".to_owned()),
            Some(false) | None => Ok(found),
        }
    }
}

pub(super) struct Performer<'a, T, J> {
    /// Serves the first fresh read, where others in this scope need one too.
    pub(super) shared: Option<Arc<SharedRead>>,
    /// Looks for it together with others, where this is one of several creates in its scope.
    pub(super) lost: Option<Arc<LostCreates>>,
    pub(super) op: &'a Operation,
    pub(super) endpoint: &'a Peer<T>,
    pub(super) judge: &'a J,
    pub(super) gate: &'a dyn Gate,
    pub(super) fence: Option<Fence>,
    pub(super) context: Context<'a>,
}

const NOT_AS_SENT: &str = "what is there is not what was sent";

/// What a look at the target led to.
enum Looked {
    Go(Step),
    End(Performed),
    /// Something else is there than what a create may have sent.
    Other(Box<Observed>),
}

impl<T: Target, J: Judge> Performer<'_, T, J> {
    /// Carries the operation out.
    pub(super) async fn run(self) -> Performed {
        let mut step = match &self.op.change {
            Change::Create { .. } => Step::Create,
            Change::Update { base, remove, .. } => {
                Step::Update { base: (**base).clone(), changes: self.planned_changes(), remove: remove.clone() }
            }
            Change::Rename { base, .. } => {
                Step::Update { base: (**base).clone(), changes: self.planned_changes(), remove: Vec::new() }
            }
            Change::Delete { owned, .. } => Step::Delete(owned.clone()),
            Change::Adopt { observed, .. } => {
                return Performed { observed: Some((**observed).clone()), ..performed(Ending::Done, 0) };
            }
            Change::Forget { .. } => return performed(Ending::Done, 0),
        };
        let mut tries = Tries::at_most(self.endpoint.retries);
        let (mut attempts, mut fresh, mut lost, mut landed, mut sent_at) = (0, false, false, false, None);
        self.endpoint.first_attempt();
        let mut end = loop {
            let guarding = match self.write(&step) {
                Some(write) => self.endpoint.driver.guarding(&write),
                None => break self.failed("the plan holds no manifest for it", attempts),
            };
            if guarding.fresh_read && !fresh && !matches!(step, Step::Create) {
                match self.check_afresh(&mut step, attempts == 0).await {
                    Ok(None) => {}
                    Ok(Some(end)) => break Performed { attempts, ..end },
                    Err(error) if self.endpoint.is_open(self.context.clock.boot()).is_err() => {
                        break self.not_sent(&error, attempts);
                    }
                    Err(error) => break self.gave_up(&error, attempts),
                }
            }
            tokio::select! {
                biased;
                () = self.context.cancel.cancelled(), if attempts == 0 => {
                    break performed(Ending::Skipped { why: "interrupted".to_owned() }, 0);
                }
                turn = self.endpoint.turn(self.context.clock) => {
                    if let Err(error) = turn {
                        break self.not_sent(&error, attempts);
                    }
                }
            }
            if let Err(why) = self.gate.check(&self.op.resource.target) {
                // Whatever was sent before is known to have had no effect, or this attempt would not be made.
                let ending = match attempts {
                    0 => Ending::Skipped { why: why.clone() },
                    _ => Ending::Failed { why: why.clone(), help: None, field: None },
                };
                break Performed { gate_shut: Some(why), ..performed(ending, attempts) };
            }
            let Some(write) = self.write(&step) else {
                break self.failed("the plan holds no manifest for it", attempts);
            };
            attempts += 1;
            sent_at = Some(self.context.clock.boot());
            let backstop = if self.fence.is_some() { REQUEST } else { WRITE_BACKSTOP };
            let sent = tokio::time::timeout(backstop, self.endpoint.driver.write(&write, self.fence)).await;
            let error = match sent {
                Ok(Ok(outcome)) => {
                    landed = true;
                    break self.succeeded(&step, outcome, attempts).await;
                }
                Ok(Err(error)) => error,
                Err(_) => TargetError::Unanswered {
                    request: format!("write of {}", self.op.resource),
                    why: format!("no answer within {} s", backstop.as_secs()),
                },
            };
            landed |= error.may_have_landed();
            let call = match step {
                Step::Create => Call::Create(guarding),
                Step::Update { .. } | Step::Delete(_) => Call::Change(guarding),
            };
            let next = verdict(&error, call, &tries, self.context.patience, self.context.entropy);
            match next {
                Verdict::GiveUp => break self.gave_up(&error, attempts),
                Verdict::Later(wait) => {
                    self.endpoint.close(&error, self.context.clock.boot() + wait);
                    break self.gave_up(&error, attempts);
                }
                Verdict::InDoubt => break self.in_doubt(error.to_string(), attempts),
                Verdict::Wait(wait) => {
                    if !self.endpoint.may_retry(self.context.clock.boot())
                        || !self.pause(&error, wait, &mut tries, attempts).await
                    {
                        break self.gave_up(&error, attempts);
                    }
                    fresh = false;
                }
                Verdict::Replan(wait) => {
                    tries.replans += 1;
                    self.tell_retry(&error, wait, attempts);
                    if !self.context.sleep(wait).await || !self.credit().await {
                        break self.gave_up(&error, attempts);
                    }
                    match self.look(lost && matches!(step, Step::Create), None).await {
                        Ok(Looked::Go(next)) => step = next,
                        Ok(Looked::End(end)) => break Performed { attempts, ..end },
                        Ok(Looked::Other(_)) => break self.in_doubt(NOT_AS_SENT.to_owned(), attempts),
                        Err(error) => break self.gave_up(&error, attempts),
                    }
                    fresh = true;
                }
                Verdict::LookFirst(wait) => {
                    lost = true;
                    let together = self.lost.as_deref().filter(|_| matches!(step, Step::Create));
                    let together = together.map(|all| all.wait(self.context.clock.boot()));
                    let last = tries.spent();
                    // The look itself is owed, even by a run that is being stopped: without it nobody would know.
                    let go_on = self.pause(&error, wait, &mut tries, attempts).await;
                    match self.look(matches!(step, Step::Create), together.as_ref()).await {
                        Ok(Looked::End(end)) => break Performed { attempts, ..end },
                        // The server said that it failed, and what is there is what it makes by itself.
                        Ok(Looked::Other(found)) if self.is_the_servers(&error, &found) => {
                            break self.gave_up(&error, attempts);
                        }
                        Ok(Looked::Other(_)) => break self.in_doubt(NOT_AS_SENT.to_owned(), attempts),
                        Ok(Looked::Go(next)) => {
                            // It is known now that nothing happened.
                            if last || !go_on || !self.endpoint.may_retry(self.context.clock.boot()) {
                                break self.gave_up(&error, attempts);
                            }
                            (step, landed) = (next, false);
                        }
                        Err(look) => break self.in_doubt(format!("{error}; then {look}"), attempts),
                    }
                    fresh = true;
                }
            }
        };
        end.sent_at = sent_at;
        end.landed = landed || (sent_at.is_some() && matches!(end.ending, Ending::Done | Ending::InDoubt { .. }));
        end.marked = sent_at.is_some() && end.ending == Ending::Done && self.endpoint.mark.is_some();
        end
    }

    fn planned_changes(&self) -> BTreeMap<FieldPath, Canonical> {
        self.op.fields.iter().filter_map(|f| Some((f.path.clone(), f.after.clone()?))).collect()
    }

    fn write<'s>(&'s self, step: &'s Step) -> Option<Write<'s>> {
        let mark = self.endpoint.mark.as_ref();
        Some(match step {
            Step::Create => Write::Create { desired: self.op.change.desired()?, mark },
            Step::Update { base, changes, remove } => {
                Write::Update { desired: self.op.change.desired()?, base, changes, remove, mark }
            }
            Step::Delete(owned) => Write::Delete { id: &self.op.resource, owned },
        })
    }

    /// The read that comes right before a write that is not conditional.
    async fn check_afresh(&self, step: &mut Step, first: bool) -> Result<Option<Performed>, TargetError> {
        let shared = match &self.shared {
            Some(shared) if first => shared.get(&self.op.resource, self.endpoint, self.context).await.ok(),
            _ => None,
        };
        let found = match shared {
            Some(found) => found,
            None => self.read(step).await?,
        };
        Ok(match (self.judge.still_holds(self.op, found.as_ref()), found) {
            (Standing::Holds, Some(found)) => {
                if let Step::Update { base, .. } = step {
                    *base = found;
                }
                None
            }
            (Standing::Holds, None) => None,
            (Standing::Done, found) => Some(Performed { observed: found, ..performed(Ending::Done, 0) }),
            (Standing::Moved { why }, _) => {
                Some(Performed { trouble: Some(Trouble::Conflict), ..performed(Ending::Conflict { why }, 0) })
            }
        })
    }

    async fn read(&self, step: &Step) -> Result<Option<Observed>, TargetError> {
        let known = match step {
            Step::Create => None,
            Step::Update { base, .. } => Some(base),
            Step::Delete(owned) => Some(owned.observed()),
        };
        asked(self.endpoint, self.context, || self.endpoint.driver.read(&self.op.resource, known)).await
    }

    /// Reads and decides how to go on. `ours_if_equal`: an earlier attempt to create it may have arrived. `together`: other
    /// lost creates that one list may look for as well.
    async fn look(&self, ours_if_equal: bool, together: Option<&Waiting<'_>>) -> Result<Looked, TargetError> {
        let known = match &self.op.change {
            Change::Update { base, .. } | Change::Rename { base, .. } => Some(&**base),
            Change::Delete { owned, .. } => Some(owned.observed()),
            Change::Create { .. } | Change::Adopt { .. } | Change::Forget { .. } => None,
        };
        let listed = match together {
            Some(waiting) => waiting.listed(&self.op.resource.key, self.endpoint, self.context).await,
            None => None,
        };
        let found = match listed {
            Some(found) => found,
            None => asked(self.endpoint, self.context, || self.endpoint.driver.read(&self.op.resource, known)).await?,
        };
        if ours_if_equal && let Some(desired) = self.op.change.desired() {
            return Ok(match found {
                None => Looked::Go(Step::Create),
                Some(found) if self.bears_mark(&found) && self.judge.is_as_sent(desired, &found) => {
                    Looked::End(Performed { observed: Some(found), ..performed(Ending::Done, 0) })
                }
                Some(found) => Looked::Other(Box::new(found)),
            });
        }
        Ok(match (self.judge.replan(self.op, found.as_ref()), found) {
            (Replanned::Nothing, found) => Looked::End(Performed { observed: found, ..performed(Ending::Done, 0) }),
            (Replanned::Update { changes, remove }, Some(base)) => Looked::Go(Step::Update { base, changes, remove }),
            (Replanned::Update { .. }, None) | (Replanned::Create, _) => Looked::Go(Step::Create),
            (Replanned::Delete(owned), _) => Looked::Go(Step::Delete(owned)),
            (Replanned::Refused(why), _) => {
                Looked::End(Performed { trouble: Some(Trouble::Conflict), ..performed(Ending::Conflict { why }, 0) })
            }
        })
    }

    /// True if a create failed, and what is there instead is one of those that the server makes by itself (`keep`).
    fn is_the_servers(&self, error: &TargetError, found: &Observed) -> bool {
        let rules = self.endpoint.driver.kinds().get(&self.op.resource.kind);
        matches!(error, TargetError::Failed { .. })
            && rules.is_some_and(|rules| found.value().is_ok_and(|value| rules.keeps(&value)))
    }

    /// True if it bears the mark that we sent along, where we send one: otherwise somebody else made it.
    fn bears_mark(&self, found: &Observed) -> bool {
        let rules = self.endpoint.driver.kinds().get(&self.op.resource.kind);
        rules.is_none_or(|rules| bears(rules, self.endpoint.mark.as_ref(), found))
    }

    async fn succeeded(&self, step: &Step, outcome: Outcome, attempts: u32) -> Performed {
        match (step, outcome) {
            (_, Outcome::Done(found)) => Performed { observed: Some(*found), ..performed(Ending::Done, attempts) },
            // A delete that was only accepted is done when the resource is gone, not before.
            (Step::Delete(_), Outcome::DoneUnseen) => self.see_it_go(step, attempts).await,
            (_, Outcome::DoneUnseen) => Performed { wants_read_back: true, ..performed(Ending::Done, attempts) },
            (_, Outcome::SaidGone) => {
                Performed { wants_read_back: true, unseen: true, ..performed(Ending::Done, attempts) }
            }
            (_, Outcome::Gone) => performed(Ending::Done, attempts),
        }
    }

    /// Looks a few times whether what was told to go is gone. Until it is, it stays ours.
    async fn see_it_go(&self, step: &Step, attempts: u32) -> Performed {
        for wait in GOING {
            match self.read(step).await {
                Ok(None) => return performed(Ending::Done, attempts),
                Ok(Some(found)) if is_another(self.op, &found) => return performed(Ending::Done, attempts),
                Ok(Some(_)) => {}
                Err(error) => return self.in_doubt(format!("the delete was accepted; then {error}"), attempts),
            }
            if !self.context.sleep(wait).await {
                break;
            }
        }
        let ending = still_there("the target accepted the delete and still shows the resource");
        Performed { trouble: Some(Trouble::Other), ..performed(ending, attempts) }
    }

    /// Waits before another attempt; `false` if the run is being stopped.
    async fn pause(&self, error: &TargetError, wait: Duration, tries: &mut Tries, attempt: u32) -> bool {
        note_wait(self.endpoint, error, wait, tries, self.context);
        self.tell_retry(error, wait, attempt);
        self.context.sleep(wait).await
    }

    /// Waits for the budget to allow one more attempt. A conflict is nobody's outage, so it waits rather than gives up.
    async fn credit(&self) -> bool {
        for _ in 0..10 {
            if self.endpoint.may_retry(self.context.clock.boot()) {
                return true;
            }
            if !self.context.sleep(Duration::from_secs(1)).await {
                return false;
            }
        }
        false
    }

    fn tell_retry(&self, error: &TargetError, wait: Duration, attempt: u32) {
        let (target, endpoint) = self.endpoint.place();
        let (op, why) = (Some(self.op.id), error.to_string());
        (self.context.tell)(Event::Retrying { op, target, endpoint, attempt, wait, why });
    }

    fn gave_up(&self, error: &TargetError, attempts: u32) -> Performed {
        let trouble = Some(Trouble::of(error));
        let why = self.endpoint.told(error);
        let ending = match error {
            TargetError::Conflict { .. } => Ending::Conflict { why },
            _ => Ending::Failed { why, help: help_for(error), field: error.field().cloned() },
        };
        Performed { trouble, ..performed(ending, attempts) }
    }

    /// The server wants to be left alone: what was not begun waits, and nothing is known to be wrong with it.
    fn not_sent(&self, error: &TargetError, attempts: u32) -> Performed {
        match attempts {
            0 => {
                let why = self.endpoint.told(error);
                Performed { trouble: Some(Trouble::of(error)), ..performed(Ending::Skipped { why }, 0) }
            }
            _ => self.gave_up(error, attempts),
        }
    }

    fn in_doubt(&self, why: String, attempts: u32) -> Performed {
        Performed { trouble: Some(Trouble::Unanswered), ..performed(Ending::InDoubt { why }, attempts) }
    }

    fn failed(&self, why: &str, attempts: u32) -> Performed {
        let ending = Ending::Failed { why: why.to_owned(), help: None, field: None };
        Performed { trouble: Some(Trouble::Other), ..performed(ending, attempts) }
    }
}

fn performed(ending: Ending, attempts: u32) -> Performed {
    Performed {
        ending,
        observed: None,
        wants_read_back: false,
        unseen: false,
        landed: false,
        marked: false,
        attempts,
        sent_at: None,
        trouble: None,
        gate_shut: None,
    }
}

/// The ending of a delete that took nothing away.
pub(super) fn still_there(why: &str) -> Ending {
    let help = Some("apply again later: it stays in the record until it is gone".to_owned());
    Ending::Failed { why: why.to_owned(), help, field: None }
}

/// True if `found` was made after what the operation deletes was gone.
pub(super) fn is_another(op: &Operation, found: &Observed) -> bool {
    let Change::Delete { owned, .. } = &op.change else { return false };
    let uid = &owned.observed().uid;
    uid.is_some() && uid != &found.uid
}

pub(super) fn help_for(error: &TargetError) -> Option<String> {
    let help = match error {
        TargetError::Unsent { .. } => "see whether the endpoint is up, then apply again",
        TargetError::Distrusted { .. } => {
            "have the certificate mended, or name its authority with `ca` in the operator's file; then apply again"
        }
        TargetError::Denied { .. } => {
            "see in the operator's file which credential goes there, and at the server what it may do"
        }
        TargetError::Throttled { .. } => "apply again later, or with a lower --rate",
        TargetError::Invalid { .. } => "correct the manifest as the answer says",
        TargetError::Failed { .. } => {
            "if the answer says what is wrong with a value, correct the manifest; else see the server's own log, then apply again"
        }
        TargetError::Redirected { .. } => {
            "if that is where the API is now, write it as the target's `url`; then apply again"
        }
        TargetError::TooLarge { .. } => "raise that limit in the operator's file if such answers are meant",
        TargetError::Refused { help, .. } => (*help)?,
        TargetError::Unanswered { .. } | TargetError::Conflict { .. } | TargetError::Unreadable { .. } => return None,
    };
    Some(help.to_owned())
}
