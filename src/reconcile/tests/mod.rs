//! A small world for the tests of this room: three kinds, a judge that compares bodies, a planner of forty lines.

mod applying;
mod observing;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::event::{Ending, Event};
use crate::model::*;
use crate::plan::*;
use crate::target::{Fence, Manners, Memory};
use crate::world::{Clock, Entropy, Rate, ScriptedClock};

/// `box`, `item` in a box, `link` to a box.
fn kinds() -> KindTable {
    let boxes = KindRules { container: true, ..KindRules::conventional(Kind::new("box"), &["name"]) };
    let items = KindRules {
        parent: Some(ParentRule { kind: Kind::new("box"), fields: vec![0] }),
        ..KindRules::conventional(Kind::new("item"), &["box", "name"])
    };
    let to_box = RefRule {
        field: FieldPath::parse("to"),
        kind: Kind::new("box"),
        through: Vec::new(),
        on_delete: OnDelete::Restrict,
        optional: false,
        at: None,
    };
    let links = KindRules { refs: vec![to_box], ..KindRules::conventional(Kind::new("link"), &["name"]) };
    KindTable { kinds: [boxes, items, links].map(|rules| (rules.kind.clone(), rules)).into() }
}

fn target() -> TargetName {
    "t".parse().unwrap()
}

fn mark() -> Mark {
    Mark::of(&"p".parse().unwrap())
}

fn scripted() -> Clock {
    Clock::Scripted(ScriptedClock::starting_at(Timestamp::UNIX_EPOCH))
}

fn id_of(kind: &str, key: &[&str]) -> ResourceId {
    ResourceId { target: target(), kind: Kind::new(kind), key: Key::of_texts(key) }
}

fn value_of(kind: &str, key: &[&str], v: u64) -> Value {
    let mut value = Value::object();
    let names: &[&str] = if kind == "item" { &["box", "name"] } else { &["name"] };
    for (name, text) in names.iter().zip(key) {
        value.set(&FieldPath::parse(name), Value::from(*text));
    }
    if kind == "link" {
        value.set(&FieldPath::parse("to"), Value::from("a"));
    }
    value.set(&FieldPath::parse("v"), Value::from(v));
    value
}

fn desired(kind: &str, key: &[&str], v: u64) -> Arc<Desired> {
    let body = value_of(kind, key, v).canonical();
    let origin = Origin { path: "f.yaml".into(), blob: "b".into(), document: 0, values: Arc::new([]) };
    Arc::new(Desired { id: id_of(kind, key), digest: body.digest(), body, meta: Arc::default(), origin })
}

fn operation(number: u32, resource: ResourceId, change: Change, after: &[u32]) -> Operation {
    let phase = change.stage();
    let after = after.iter().map(|op| After { op: OpId(*op), reason: EdgeReason::DependsOn }).collect();
    let fields = match &change {
        Change::Update { desired, base, .. } => fields_between(desired, base),
        _ => Vec::new(),
    };
    Operation {
        id: OpId(number),
        endpoint: EndpointName::only(),
        resource,
        change,
        replaces: None,
        cause: Cause::Intended,
        precondition: Precondition::Absent,
        after,
        moved: false,
        phase,
        cascades: Vec::new(),
        rehearsed: false,
        fields,
    }
}

fn create(number: u32, kind: &str, key: &[&str], after: &[u32]) -> Operation {
    operation(number, id_of(kind, key), Change::Create { desired: desired(kind, key, 1) }, after)
}

/// An update of what is at the target now to `v`.
fn update(number: u32, memory: &Memory, kind: &str, key: &[&str], v: u64) -> Operation {
    let base = seen(memory, kind, key);
    let change = Change::Update { desired: desired(kind, key, v), base: Box::new(base), remove: Vec::new() };
    operation(number, id_of(kind, key), change, &[])
}

/// A delete of what is at the target now.
fn delete(number: u32, memory: &Memory, kind: &str, key: &[&str], after: &[u32]) -> Operation {
    let owned = Owned::claim(seen(memory, kind, key), None, OwnRule::Exclusive).unwrap();
    operation(number, id_of(kind, key), Change::Delete { owned: Box::new(owned), entry: None }, after)
}

fn seen(memory: &Memory, kind: &str, key: &[&str]) -> Observed {
    let (kind, key) = (Kind::new(kind), Key::of_texts(key));
    memory.contents().into_iter().find(|(k, o)| *k == kind && o.key == key).unwrap().1
}

fn fields_between(desired: &Desired, base: &Observed) -> Vec<FieldDiff> {
    let base = base.value().unwrap();
    let wanted = desired.body.value();
    let differing = wanted.as_object().unwrap().iter().filter(|(name, value)| base.child(name) != Some(value));
    differing
        .map(|(name, value)| FieldDiff {
            path: FieldPath::parse(name),
            before: base.child(name).map(Value::canonical),
            after: Some(value.canonical()),
            secret: false,
            forces_replace: false,
            cause: Cause::Intended,
            source: None,
        })
        .collect()
}

fn plan_of(operations: Vec<Operation>) -> Plan {
    Plan {
        project: "p".parse().unwrap(),
        commit: Revision::parse(&"a".repeat(40)).unwrap(),
        snapshot: Digest::of(b"s"),
        operations,
        unchanged: 0,
        unknown: 0,
        unknown_scopes: Vec::new(),
        diagnostics: Vec::new(),
        refusals: Vec::new(),
        calls: Vec::new(),
    }
}

/// Compares whole bodies.
struct Bodies;

impl Judge for Bodies {
    fn still_holds(&self, op: &Operation, fresh: Option<&Observed>) -> Standing {
        let planned = match &op.change {
            Change::Update { base, .. } => Some(&**base),
            Change::Delete { owned, .. } => Some(owned.observed()),
            _ => None,
        };
        match (planned, fresh) {
            (Some(planned), Some(fresh)) if planned.body == fresh.body => Standing::Holds,
            (_, None) if matches!(op.change, Change::Delete { .. }) => Standing::Done,
            _ => Standing::Moved { why: "it changed".into() },
        }
    }

    fn replan(&self, op: &Operation, fresh: Option<&Observed>) -> Replanned {
        match (&op.change, fresh) {
            (Change::Delete { .. }, None) => Replanned::Nothing,
            (Change::Delete { owned, .. }, Some(fresh)) if fresh.uid == owned.observed().uid => {
                Replanned::Delete(Box::new(Owned::claim(fresh.clone(), None, OwnRule::Exclusive).unwrap()))
            }
            (Change::Update { desired, .. }, Some(fresh)) if self.is_as_sent(desired, fresh) => Replanned::Nothing,
            (Change::Update { desired, .. }, Some(fresh)) => {
                let fields = fields_between(desired, fresh);
                let changes = fields.into_iter().map(|f| (f.path, f.after.unwrap())).collect();
                Replanned::Update { changes, remove: Vec::new() }
            }
            (Change::Create { desired }, Some(fresh)) if self.is_as_sent(desired, fresh) => Replanned::Nothing,
            (Change::Create { .. }, None) => Replanned::Create,
            _ => Replanned::Refused("something else is there".into()),
        }
    }

    fn is_as_sent(&self, desired: &Desired, found: &Observed) -> bool {
        fields_between(desired, found).is_empty()
    }

    fn unshown(&self, _: &Desired, _: &Observed) -> BTreeMap<FieldPath, Option<Digest>> {
        BTreeMap::new()
    }

    fn rewritten(&self, desired: &Desired, found: &Observed) -> BTreeMap<FieldPath, Option<Canonical>> {
        fields_between(desired, found).into_iter().map(|f| (f.path, f.before)).collect()
    }
}

/// An endpoint in memory and all that is needed to write to it.
struct World {
    memory: Memory,
    clock: Clock,
    entropy: Entropy,
    cancel: CancellationToken,
    events: Mutex<Vec<Event>>,
    endpoints: Peers<Memory>,
    on_error: OnError,
    held: BTreeMap<OpId, String>,
    fence: Option<Fence>,
}

impl World {
    fn new(manners: Manners) -> Self {
        Self::with(manners, scripted(), 8, None)
    }

    fn with(manners: Manners, clock: Clock, concurrency: usize, rate: Option<Rate>) -> Self {
        let memory = Memory::new(kinds(), manners, clock.clone());
        let mut world = Self {
            memory: memory.clone(),
            entropy: Entropy::seeded(7),
            cancel: CancellationToken::new(),
            events: Mutex::default(),
            endpoints: Peers::new(),
            on_error: OnError::Continue,
            held: BTreeMap::new(),
            fence: None,
            clock,
        };
        world.add("t", memory, concurrency, rate);
        world
    }

    fn add(&mut self, name: &str, memory: Memory, concurrency: usize, rate: Option<Rate>) {
        let place = (name.parse::<TargetName>().unwrap(), EndpointName::only());
        let endpoint = Peer::new(place.clone(), memory, Some(mark()), concurrency, rate, &self.clock);
        self.endpoints.insert(place, endpoint);
    }

    fn tell(&self) -> impl Fn(Event) + Sync {
        |event| self.events.lock().unwrap().push(event)
    }

    async fn apply(&self, plan: &Plan) -> Applied {
        self.apply_through(plan, &|_: &TargetName| Ok(())).await
    }

    async fn apply_through(&self, plan: &Plan, gate: &dyn Gate) -> Applied {
        let (judge, tell) = (Bodies, self.tell());
        let context = Context {
            clock: &self.clock,
            entropy: &self.entropy,
            tell: &tell,
            cancel: &self.cancel,
            patience: PATIENCE,
        };
        let apply = Apply {
            plan,
            endpoints: &self.endpoints,
            judge: &judge,
            gate,
            fence: self.fence,
            on_error: self.on_error,
            held: &self.held,
        };
        super::apply(apply, context).await
    }

    /// The verbs and addresses of the requests so far.
    fn requests(&self) -> Vec<String> {
        self.memory.requests().into_iter().map(|r| format!("{} {}", r.verb, r.what)).collect()
    }

    fn started(&self) -> Vec<u32> {
        let events = self.events.lock().unwrap();
        events.iter().filter_map(|e| if let Event::Started { op } = e { Some(op.0) } else { None }).collect()
    }
}

fn endings(applied: &Applied) -> Vec<&'static str> {
    let word = |ending: &Ending| match ending {
        Ending::Done => "done",
        Ending::Failed { .. } => "failed",
        Ending::Conflict { .. } => "conflict",
        Ending::Skipped { .. } => "skipped",
        Ending::InDoubt { .. } => "in doubt",
    };
    applied.results.iter().map(|result| word(&result.ending)).collect()
}

/// No two objects of one key.
fn assert_no_duplicate(memory: &Memory, seed: u64) {
    let mut keys = BTreeSet::new();
    for (kind, observed) in memory.contents() {
        assert!(keys.insert((kind.clone(), observed.key.clone())), "seed {seed}: {kind}/{} twice", observed.key);
    }
}
