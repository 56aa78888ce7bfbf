//! Which operations of a plan may start now.

use std::collections::{BTreeMap, BTreeSet};

use super::peer::Place;
use crate::event::Ending;
use crate::plan::{EdgeReason, OpId, Operation, Stage};

/// Which operations of a plan may start now. Pure bookkeeping, linear in operations and edges.
///
/// An operation is ready when its phase has begun at its endpoint and all that comes before it has finished well. A phase
/// begins when the one before has finished there, failures included.
///
/// ```text
/// waiting (edges open) ──> parked (phase not begun) ──> ready ──> running ──> finished
///    └── something before it went wrong ──> finished, skipped
/// ```
pub(super) struct Schedule {
    nodes: Vec<Node>,
    lanes: Vec<Lane>,
    places: BTreeMap<Place, usize>,
    unfinished: usize,
}

struct Node {
    id: OpId,
    lane: usize,
    phase: usize,
    missing: usize,
    followers: Vec<(usize, String)>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Parked,
    Ready,
    Running,
    Finished,
}

#[derive(Default)]
struct Lane {
    open: [usize; 3],
    phase: usize,
    parked: [Vec<usize>; 3],
    ready: BTreeSet<usize>,
}

/// What else happened when an operation finished.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    /// Operations that will not start, and why.
    pub(super) skipped: Vec<(usize, String)>,
    /// Endpoints (by index) at which a phase ended.
    pub(super) ended: Vec<usize>,
}

impl Schedule {
    pub(super) fn new(operations: &[Operation]) -> Self {
        let index: BTreeMap<OpId, usize> = operations.iter().enumerate().map(|(i, op)| (op.id, i)).collect();
        let mut places = BTreeMap::new();
        let mut lanes: Vec<Lane> = Vec::new();
        let mut nodes = Vec::with_capacity(operations.len());
        for op in operations {
            let lane = *places.entry((op.resource.target.clone(), op.endpoint.clone())).or_insert_with(|| {
                lanes.push(Lane::default());
                lanes.len() - 1
            });
            let phase = match op.phase {
                Stage::Delete => 0,
                Stage::Create => 1,
                Stage::Update => 2,
            };
            lanes[lane].open[phase] += 1;
            nodes.push(Node { id: op.id, lane, phase, missing: 0, followers: Vec::new(), state: State::Waiting });
        }
        for (i, op) in operations.iter().enumerate() {
            for after in &op.after {
                if let Some(&before) = index.get(&after.op) {
                    nodes[i].missing += 1;
                    let reason = match &after.reason {
                        EdgeReason::DependsOn => "this depends on it".to_owned(),
                        other => format!("it {other}"),
                    };
                    nodes[before].followers.push((i, reason));
                }
            }
        }
        let unfinished = nodes.len();
        let mut schedule = Self { nodes, lanes, places, unfinished };
        for lane in 0..schedule.lanes.len() {
            schedule.advance(lane);
        }
        for i in 0..schedule.nodes.len() {
            schedule.consider(i);
        }
        schedule
    }

    pub(super) fn lane_of(&self, place: &Place) -> Option<usize> {
        self.places.get(place).copied()
    }

    pub(super) fn is_done(&self) -> bool {
        self.unfinished == 0
    }

    /// The next operation at an endpoint, in the plan's order.
    pub(super) fn start(&mut self, lane: usize) -> Option<usize> {
        let next = self.lanes[lane].ready.pop_first()?;
        self.nodes[next].state = State::Running;
        Some(next)
    }

    /// Notes how an operation ended. `bad` is the word for it (`failed`), if it did not end well: those that depend on it
    /// are skipped, and those that depend on them.
    pub(super) fn finish(&mut self, op: usize, id: OpId, bad: Option<&str>) -> Consequences {
        let mut out = Consequences::default();
        let mut work = vec![(op, bad.map(|bad| format!("{id} {bad}")))];
        while let Some((i, why)) = work.pop() {
            let node = &mut self.nodes[i];
            if node.state == State::Finished {
                continue;
            }
            node.state = State::Finished;
            let (lane, phase) = (node.lane, node.phase);
            let followers = std::mem::take(&mut node.followers);
            self.unfinished -= 1;
            self.lanes[lane].ready.remove(&i);
            self.lanes[lane].open[phase] -= 1;
            if self.lanes[lane].open[phase] == 0 {
                out.ended.push(lane);
            }
            self.advance(lane);
            for (follower, reason) in followers {
                let node = &mut self.nodes[follower];
                node.missing = node.missing.saturating_sub(1);
                match &why {
                    // Only what has not started can be skipped; `bad` things start nothing, so that is all of them.
                    Some(why) if matches!(node.state, State::Waiting | State::Parked | State::Ready) => {
                        let text = format!("{why}, and {reason}");
                        out.skipped.push((follower, text));
                        work.push((follower, Some(format!("{} was skipped", node.id))));
                    }
                    Some(_) => {}
                    None => self.consider(follower),
                }
            }
        }
        out
    }

    /// Takes everything that has not started off the list.
    pub(super) fn drop_rest(&mut self) -> Vec<usize> {
        let mut dropped = Vec::new();
        for i in 0..self.nodes.len() {
            if matches!(self.nodes[i].state, State::Waiting | State::Parked | State::Ready) {
                let (lane, phase) = (self.nodes[i].lane, self.nodes[i].phase);
                self.nodes[i].state = State::Finished;
                self.lanes[lane].open[phase] -= 1;
                self.unfinished -= 1;
                dropped.push(i);
            }
        }
        for lane in &mut self.lanes {
            lane.ready.clear();
        }
        dropped
    }

    /// With nothing under way and nothing ready, phases of several endpoints wait for each other through edges. Edges are
    /// law and phases the plain order: the first operation that waits for its phase alone may start.
    pub(super) fn unblock(&mut self) -> bool {
        let Some(i) = self.nodes.iter().position(|node| node.state == State::Parked) else { return false };
        let lane = self.nodes[i].lane;
        self.nodes[i].state = State::Ready;
        self.lanes[lane].ready.insert(i);
        true
    }

    fn consider(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        if node.state != State::Waiting || node.missing > 0 {
            return;
        }
        let lane = &mut self.lanes[node.lane];
        if lane.phase >= node.phase {
            node.state = State::Ready;
            lane.ready.insert(i);
        } else {
            node.state = State::Parked;
            lane.parked[node.phase].push(i);
        }
    }

    fn advance(&mut self, lane: usize) {
        while self.lanes[lane].phase < 2 && self.lanes[lane].open[self.lanes[lane].phase] == 0 {
            self.lanes[lane].phase += 1;
            let phase = self.lanes[lane].phase;
            for i in std::mem::take(&mut self.lanes[lane].parked[phase]) {
                if self.nodes[i].state == State::Parked {
                    self.nodes[i].state = State::Ready;
                    self.lanes[lane].ready.insert(i);
                }
            }
        }
    }
}

/// The word for an ending that blocks what depends on it.
pub(super) fn bad_word(ending: &Ending) -> Option<&'static str> {
    match ending {
        Ending::Done => None,
        Ending::Failed { .. } => Some("failed"),
        Ending::Conflict { .. } => Some("met a conflict"),
        Ending::Skipped { .. } => Some("was skipped"),
        Ending::InDoubt { .. } => Some("is in doubt"),
    }
}
