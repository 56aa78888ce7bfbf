//! Carries out a plan, phase by phase.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};

use super::lookup::LostCreates;
use super::observe::{Trouble, is_by_key};
use super::peer::{Context, Peer, Peers};
use super::perform::{Gate, Judge, Performed, Performer, SharedRead, still_there};
use super::read_back::{Job, ReadBack, read_back};
use super::schedule::{Schedule, bad_word};
use super::unheeded::{forget_dropped, unheeded, unheeded_unshown};
use crate::event::{Ending, Event};
use crate::model::{Canonical, EndpointName, FieldPath, Key, Observed, ResourceId, Scope};
use crate::plan::{Action, OpId, Operation, Plan};
use crate::target::{Fence, Target};

/// What a failure means for the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnError {
    /// All that does not depend on it goes on.
    #[default]
    Continue,
    /// Nothing new starts.
    Stop,
}

/// A plan and all that is needed to carry it out.
pub struct Apply<'a, T, J> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// Where.
    pub endpoints: &'a Peers<T>,
    /// Judges fresh reads.
    pub judge: &'a J,
    /// Asked before every attempt to write.
    pub gate: &'a dyn Gate,
    /// The tenure number of a leader.
    pub fence: Option<Fence>,
    /// What a failure means for the rest.
    pub on_error: OnError,
    /// Operations that do not start, and why; what depends on them does not start either.
    pub held: &'a BTreeMap<OpId, String>,
}

/// What became of one operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpResult {
    /// Which.
    pub id: OpId,
    /// How it ended.
    pub ending: Ending,
    /// The resource afterwards, where it was seen.
    pub observed: Option<Observed>,
    /// Stated fields that the server made something else of.
    pub rewritten: BTreeMap<FieldPath, Option<Canonical>>,
    /// True if our mark was sent along.
    pub marked: bool,
    /// True for a delete that the target says is done, and of which nobody has seen that the resource is gone: until
    /// somebody has, it stays ours.
    pub unseen: bool,
    /// True if something was written, or may have been, whatever came of it.
    pub landed: bool,
    /// When the last request was sent (time since boot); `None` if none was.
    pub sent_at: Option<Duration>,
    /// How often it was sent.
    pub attempts: u32,
    /// What went wrong, for the exit code.
    pub trouble: Option<Trouble>,
}

/// What became of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// One for each operation, in the plan's order.
    pub results: Vec<OpResult>,
    /// Why writing stopped early, if the gate shut or the run was interrupted or stopped.
    pub stopped: Option<String>,
}

/// How many operations ended how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// As wanted.
    pub done: usize,
    /// Refused, or gave up.
    pub failed: usize,
    /// Not started.
    pub skipped: usize,
    /// Changed by others meanwhile.
    pub conflict: usize,
    /// Nobody knows.
    pub in_doubt: usize,
}

impl Applied {
    /// How many operations ended how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for result in &self.results {
            match result.ending {
                Ending::Done => counts.done += 1,
                Ending::Failed { .. } => counts.failed += 1,
                Ending::Skipped { .. } => counts.skipped += 1,
                Ending::Conflict { .. } => counts.conflict += 1,
                Ending::InDoubt { .. } => counts.in_doubt += 1,
            }
        }
        counts
    }

    /// True if something may have been written: a request was sent, and it was not one attempt that was refused for who
    /// sent it.
    pub fn may_have_written(&self) -> bool {
        let let_in = |r: &OpResult| {
            let refused = matches!(r.ending, Ending::Failed { .. }) && r.trouble == Some(Trouble::Authentication);
            !refused || r.attempts > 1
        };
        self.results.iter().any(|result| result.sent_at.is_some() && let_in(result))
    }

    /// True if at least one request to write was sent.
    pub fn wrote(&self) -> bool {
        self.results.iter().any(|result| result.sent_at.is_some())
    }
}

/// One thing under way.
enum Arrived {
    Op(usize, Box<Performed>),
    ReadBack(Vec<(usize, ReadBack)>),
}

/// Carries a plan out: every operation after what comes before it, as many at once as each endpoint allows.
///
/// A failure skips what depends on it and nothing else. What is refused by a guard is not touched. Once the run is
/// cancelled nothing new starts; what is under way comes to its end and is reported.
pub async fn apply<T: Target, J: Judge>(apply: Apply<'_, T, J>, context: Context<'_>) -> Applied {
    let mut run = Run::new(&apply, context);
    run.skip_refused();
    let mut flying: FuturesUnordered<BoxFuture<'_, (usize, Arrived)>> = FuturesUnordered::new();
    loop {
        run.launch(&mut flying);
        if flying.is_empty() {
            if run.schedule.is_done() {
                break;
            }
            if run.stopping.is_none() && run.schedule.unblock() {
                continue;
            }
            run.drop_rest("the order of the plan cannot be kept");
            continue;
        }
        let arrived = tokio::select! {
            biased;
            () = context.cancel.cancelled(), if run.stopping.is_none() => {
                run.stop("interrupted");
                continue;
            }
            arrived = flying.next() => arrived,
        };
        if let Some((lane, arrived)) = arrived {
            run.lanes[lane].running -= 1;
            run.arrived(arrived);
        }
    }
    run.applied()
}

struct Run<'a, T, J> {
    apply: &'a Apply<'a, T, J>,
    context: Context<'a>,
    schedule: Schedule,
    lanes: Vec<LaneState<'a, T>>,
    /// By endpoint: the scopes of several changes that one request lists, so that sharing it can only save requests.
    shared: BTreeMap<(usize, Scope), Arc<SharedRead>>,
    /// By endpoint: the scopes of several creates, which are looked up together if their answers are lost.
    lost: BTreeMap<(usize, Scope), Arc<LostCreates>>,
    /// What goes and is not made again, by endpoint.
    deletes: BTreeMap<(EndpointName, ResourceId), usize>,
    results: Vec<Option<OpResult>>,
    stopping: Option<String>,
}

struct LaneState<'a, T> {
    endpoint: Option<&'a Peer<T>>,
    running: usize,
    unseen: Vec<usize>,
    jobs: Vec<Job>,
}

impl<'a, T: Target, J: Judge> Run<'a, T, J> {
    fn new(apply: &'a Apply<'a, T, J>, context: Context<'a>) -> Self {
        let operations = &apply.plan.operations;
        let schedule = Schedule::new(operations);
        let lane_of = |op: &Operation| schedule.lane_of(&(op.resource.target.clone(), op.endpoint.clone()));
        let mut lanes: Vec<LaneState<'a, T>> = Vec::new();
        for op in operations {
            let Some(lane) = lane_of(op) else { continue };
            if lane == lanes.len() {
                let endpoint = apply.endpoints.get(&(op.resource.target.clone(), op.endpoint.clone()));
                lanes.push(LaneState { endpoint, running: 0, unseen: Vec::new(), jobs: Vec::new() });
            }
        }
        let mut changes: BTreeMap<(usize, Scope), usize> = BTreeMap::new();
        for op in operations.iter().filter(|op| matches!(op.change.action(), Action::Update | Action::Delete)) {
            if let Some(lane) = lane_of(op)
                && let Some(endpoint) = lanes[lane].endpoint
            {
                *changes.entry((lane, scope_of(endpoint, op))).or_default() += 1;
            }
        }
        let many = |lane: usize, scope: &Scope, n: usize| {
            lanes[lane].endpoint.is_some_and(|e| e.pages(scope) == 1 && n > 1 && !is_by_key(e, scope))
        };
        let shared = changes
            .into_iter()
            .filter(|((lane, scope), n)| many(*lane, scope, *n))
            .map(|((lane, scope), _)| ((lane, scope.clone()), Arc::new(SharedRead::of(scope))))
            .collect();
        let mut creates: BTreeMap<(usize, Scope), usize> = BTreeMap::new();
        for op in operations.iter().filter(|op| op.change.action() == Action::Create) {
            if let Some(lane) = lane_of(op)
                && let Some(endpoint) = lanes[lane].endpoint
            {
                *creates.entry((lane, scope_of(endpoint, op))).or_default() += 1;
            }
        }
        // A list that lags behind would call lost what is only new.
        let listed = |lane: usize, scope: &Scope| {
            lanes[lane].endpoint.is_some_and(|e| {
                !is_by_key(e, scope) && e.driver.kinds().get(&scope.kind).is_some_and(|rules| !rules.eventual)
            })
        };
        let lost = creates
            .into_iter()
            .filter(|((lane, scope), n)| *n > 1 && listed(*lane, scope))
            .map(|((lane, scope), _)| ((lane, scope.clone()), Arc::new(LostCreates::of(scope))))
            .collect();
        let gone = operations
            .iter()
            .enumerate()
            .filter(|(_, op)| op.change.action() == Action::Delete && !is_made_again(apply.plan, op));
        let deletes = gone.map(|(i, op)| ((op.endpoint.clone(), op.resource.clone()), i)).collect();
        let results = vec![None; operations.len()];
        Self { shared, lost, apply, context, schedule, lanes, deletes, results, stopping: None }
    }

    /// Operations at refused endpoints, and at those that nobody can speak to, do not start; nor does what depends on
    /// another target of which an endpoint is refused and nobody knows what is there.
    fn skip_refused(&mut self) {
        let plan = self.apply.plan;
        for (i, op) in plan.operations.iter().enumerate() {
            let place = (op.resource.target.clone(), op.endpoint.clone());
            let why = match plan.refusal_at(&place.0, &place.1) {
                Some(refusal) => format!("refused: {}", refusal.message),
                None if !self.apply.endpoints.contains_key(&place) => format!("there is no endpoint {}", op.endpoint),
                None => match self.apply.held.get(&op.id).cloned().or_else(|| awaits_refused(plan, op)) {
                    Some(why) => why,
                    None => continue,
                },
            };
            self.finish(i, skipped(op.id, why));
        }
    }

    fn launch(&mut self, flying: &mut FuturesUnordered<BoxFuture<'a, (usize, Arrived)>>) {
        for lane in 0..self.lanes.len() {
            let Some(endpoint) = self.lanes[lane].endpoint else { continue };
            while self.lanes[lane].running < endpoint.writers {
                let future = if self.stopping.is_none()
                    && let Some(i) = self.schedule.start(lane)
                {
                    let op = &self.apply.plan.operations[i];
                    (self.context.tell)(Event::Started { op: op.id });
                    let performer = Performer {
                        shared: self.shared.get(&(lane, scope_of(endpoint, op))).cloned(),
                        lost: self.lost.get(&(lane, scope_of(endpoint, op))).cloned(),
                        op,
                        endpoint,
                        judge: self.apply.judge,
                        gate: self.apply.gate,
                        fence: self.apply.fence,
                        context: self.context,
                    };
                    async move { (lane, Arrived::Op(i, Box::new(performer.run().await))) }.boxed()
                } else if let Some(job) = self.lanes[lane].jobs.pop() {
                    let (plan, context) = (self.apply.plan, self.context);
                    async move { (lane, Arrived::ReadBack(read_back(endpoint, plan, job, context).await)) }.boxed()
                } else {
                    break;
                };
                self.lanes[lane].running += 1;
                flying.push(future);
            }
        }
    }

    fn arrived(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Op(i, performed) => {
                let op = &self.apply.plan.operations[i];
                let mut result = OpResult {
                    id: op.id,
                    ending: performed.ending,
                    observed: None,
                    rewritten: BTreeMap::new(),
                    marked: performed.marked,
                    unseen: performed.unseen,
                    landed: performed.landed,
                    sent_at: performed.sent_at,
                    attempts: performed.attempts,
                    trouble: performed.trouble,
                };
                if let Some(found) = performed.observed {
                    self.note_seen(op, &mut result, found);
                }
                if performed.wants_read_back
                    && !self.is_seen_otherwise(op)
                    && let Some(lane) = self.schedule.lane_of(&(op.resource.target.clone(), op.endpoint.clone()))
                {
                    self.lanes[lane].unseen.push(i);
                }
                let failed = matches!(result.ending, Ending::Failed { .. } | Ending::InDoubt { .. });
                let failed = failed || matches!(result.ending, Ending::Conflict { .. });
                self.finish(i, result);
                if let Some(why) = performed.gate_shut {
                    self.shut(i, &why);
                }
                if failed && self.apply.on_error == OnError::Stop {
                    self.stop(&format!("{} did not end well (--on-error stop)", op.id));
                }
            }
            Arrived::ReadBack(found) => {
                for (i, found) in found {
                    let op = &self.apply.plan.operations[i];
                    let Some(mut result) = self.results[i].take() else { continue };
                    match found {
                        ReadBack::There(found) => {
                            self.note_seen(op, &mut result, found);
                            if result.ending != Ending::Done {
                                (self.context.tell)(Event::Finished { op: op.id, outcome: result.ending.clone() });
                            }
                        }
                        ReadBack::Gone => result.unseen = false,
                        ReadBack::StillThere => {
                            result.ending = still_there("the target said that it is deleted, and still shows it");
                            result.trouble = Some(Trouble::Other);
                            (self.context.tell)(Event::Finished { op: op.id, outcome: result.ending.clone() });
                        }
                        ReadBack::NotAsWritten(why) => {
                            result.ending = Ending::InDoubt { why };
                            (self.context.tell)(Event::Finished { op: op.id, outcome: result.ending.clone() });
                        }
                    }
                    self.results[i] = Some(result);
                }
            }
        }
    }

    /// True for a delete of which a look would tell nothing, or less than another: what is made again under its name, what
    /// goes with what it is in, and what is in lists that lag behind.
    fn is_seen_otherwise(&self, op: &Operation) -> bool {
        if op.change.action() != Action::Delete {
            return false;
        }
        let place = (op.resource.target.clone(), op.endpoint.clone());
        let rules = self.apply.endpoints.get(&place).and_then(|peer| peer.driver.kinds().get(&op.resource.kind));
        rules.is_some_and(|rules| rules.eventual) || is_made_again(self.apply.plan, op) || self.around(op).is_some()
    }

    /// The delete of what the resource is in, if that goes too: some servers tell nothing of a place that is gone.
    fn around(&self, op: &Operation) -> Option<usize> {
        let place = (op.resource.target.clone(), op.endpoint.clone());
        let rules = self.apply.endpoints.get(&place)?.driver.kinds().get(&op.resource.kind)?;
        let (kind, key) = (rules.parent.as_ref()?.kind.clone(), rules.parent_key(&op.resource.key)?);
        let id = ResourceId { target: op.resource.target.clone(), kind, key };
        self.deletes.get(&(op.endpoint.clone(), id)).copied()
    }

    /// True once somebody has seen that it is gone, or that what it was in is.
    fn is_seen_gone(&self, i: usize) -> bool {
        let Some(result) = self.results[i].as_ref().filter(|result| result.ending == Ending::Done) else {
            return false;
        };
        !result.unseen || self.around(&self.apply.plan.operations[i]).is_some_and(|around| self.is_seen_gone(around))
    }

    fn note_seen(&self, op: &Operation, result: &mut OpResult, found: Observed) {
        if result.sent_at.is_some()
            && let Some(desired) = op.change.desired()
        {
            result.rewritten = self.apply.judge.rewritten(desired, &found);
            if result.ending == Ending::Done
                && let Some(ending) = unheeded(self.apply.judge, op, &result.rewritten)
                    .or_else(|| unheeded_unshown(self.apply.judge, op, &found))
            {
                result.ending = ending;
                result.trouble = Some(Trouble::Other);
            }
            forget_dropped(desired, &mut result.rewritten);
        }
        result.observed = Some(found);
    }

    fn finish(&mut self, i: usize, result: OpResult) {
        if self.results[i].is_some() {
            return;
        }
        let (id, bad) = (result.id, bad_word(&result.ending));
        (self.context.tell)(Event::Finished { op: id, outcome: result.ending.clone() });
        self.results[i] = Some(result);
        let consequences = self.schedule.finish(i, id, bad);
        for (skip, why) in consequences.skipped {
            self.skip(skip, why);
        }
        for lane in consequences.ended {
            self.plan_read_back(lane);
        }
    }

    fn skip(&mut self, i: usize, why: String) {
        if self.results[i].is_none() {
            let id = self.apply.plan.operations[i].id;
            // Its own reason says more than that of another which it waits for.
            let why = self.apply.held.get(&id).cloned().unwrap_or(why);
            let result = skipped(id, why);
            (self.context.tell)(Event::Finished { op: result.id, outcome: result.ending.clone() });
            self.results[i] = Some(result);
        }
    }

    /// The end of a phase: what was written and not shown is read back, by one list where that takes fewer requests.
    fn plan_read_back(&mut self, lane: usize) {
        let Some(endpoint) = self.lanes[lane].endpoint else { return };
        let mut groups: BTreeMap<Scope, Vec<usize>> = BTreeMap::new();
        for i in std::mem::take(&mut self.lanes[lane].unseen) {
            groups.entry(scope_of(endpoint, &self.apply.plan.operations[i])).or_default().push(i);
        }
        for (scope, ops) in groups {
            if endpoint.pages(&scope) < ops.len() && !is_by_key(endpoint, &scope) {
                self.lanes[lane].jobs.push(Job::Many(scope, ops));
            } else {
                self.lanes[lane].jobs.extend(ops.into_iter().map(Job::One));
            }
        }
    }

    /// The gate shut: the intent ran out or is no longer ours. The run ends here, as the design has it.
    fn shut(&mut self, i: usize, why: &str) {
        let target = &self.apply.plan.operations[i].resource.target;
        self.stop(&format!("{target} may not be written any more: {why}"));
    }

    fn stop(&mut self, why: &str) {
        self.stopping.get_or_insert_with(|| why.to_owned());
        self.drop_rest(why);
    }

    fn drop_rest(&mut self, why: &str) {
        for i in self.schedule.drop_rest() {
            self.skip(i, why.to_owned());
        }
        for lane in 0..self.lanes.len() {
            self.plan_read_back(lane);
        }
    }

    fn applied(mut self) -> Applied {
        for i in self.deletes.values().copied().filter(|i| self.is_seen_gone(*i)).collect::<Vec<_>>() {
            self.results[i].iter_mut().for_each(|result| result.unseen = false);
        }
        let ids = self.apply.plan.operations.iter().map(|op| op.id);
        let results = self.results.into_iter().zip(ids);
        let results = results.map(|(r, id)| r.unwrap_or_else(|| skipped(id, "it was never reached".into()))).collect();
        Applied { results, stopped: self.stopping }
    }
}

/// Why an operation cannot have what it depends on at another target: an endpoint there is refused and has no operation
/// in the plan, so that what this waits for may be missing there. (An operation that is there is waited for by its edge.)
fn awaits_refused(plan: &Plan, op: &Operation) -> Option<String> {
    let depends = op.change.desired().map(|desired| desired.meta.depends_on.as_slice()).unwrap_or_default();
    let others = depends.iter().filter_map(|d| d.target.as_ref()).filter(|t| **t != op.resource.target);
    others.into_iter().find_map(|target| {
        let refusals = plan.refusals.iter().filter(|r| &r.target == target);
        refusals.filter_map(|r| r.endpoint.as_ref()).find_map(|endpoint| {
            let planned = plan.operations.iter().any(|o| &o.resource.target == target && &o.endpoint == endpoint);
            (!planned).then(|| format!("it depends on {target}, and {target}/{endpoint} is refused"))
        })
    })
}

fn skipped(id: OpId, why: String) -> OpResult {
    OpResult {
        id,
        ending: Ending::Skipped { why },
        observed: None,
        rewritten: BTreeMap::new(),
        marked: false,
        unseen: false,
        landed: false,
        sent_at: None,
        attempts: 0,
        trouble: None,
    }
}

/// True for the first half of a replace, whose second half makes another under the same name.
fn is_made_again(plan: &Plan, op: &Operation) -> bool {
    op.replaces.and_then(|id| plan.operation(id)).is_some_and(|again| again.resource == op.resource)
}

/// The scope in which a resource is listed.
fn scope_of<T: Target>(endpoint: &Peer<T>, op: &Operation) -> Scope {
    let parent: Option<Key> =
        endpoint.driver.kinds().get(&op.resource.kind).and_then(|rules| rules.parent_key(&op.resource.key));
    Scope { endpoint: op.endpoint.clone(), kind: op.resource.kind.clone(), parent }
}
