//! Random worlds against a strict simulated server: no operation of a plan is ever refused for an order that a better
//! one would have avoided, phases never run backwards, and the second plan is empty.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ctl::model::*;
use ctl::plan::{Change, EndpointInput, Plan, PlanInput, Stage, TargetInput, build, missing_scopes};

/// splitmix64
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

fn table() -> KindTable {
    let kind = |name: &str, key: &[&str]| KindRules::conventional(Kind::new(name), key);
    let reference = |kind: &str, on_delete, optional| RefRule {
        field: FieldPath::parse("service"),
        kind: Kind::new(kind),
        through: Vec::new(),
        on_delete,
        optional,
        at: None,
    };
    let fixed = || {
        let rule = FieldRule { immutable: true, ..FieldRule::default() };
        BTreeMap::from([(FieldPath::parse("type"), rule)])
    };
    let zone = KindRules { fields: fixed(), ..kind("zone", &["name"]) };
    let parent = Some(ParentRule { kind: Kind::new("zone"), fields: vec![0] });
    let record = KindRules { parent, ..kind("record", &["zone", "name"]) };
    let unique = vec![vec![FieldPath::parse("port")]];
    let service = KindRules { fields: fixed(), unique, ..kind("service", &["name"]) };
    let route = KindRules {
        refs: vec![reference("service", OnDelete::Restrict, true)],
        unique: vec![vec![FieldPath::parse("host")]],
        ..kind("route", &["name"])
    };
    let link = KindRules { refs: vec![reference("service", OnDelete::Cascade, false)], ..kind("link", &["name"]) };
    let hook = KindRules { refs: vec![reference("service", OnDelete::Restrict, false)], ..kind("hook", &["name"]) };
    let note = KindRules { refs: vec![reference("service", OnDelete::None, false)], ..kind("note", &["name"]) };
    let kinds = [zone, record, service, route, link, hook, note];
    KindTable { kinds: kinds.into_iter().map(|k| (k.kind.clone(), k)).collect() }
}

type State = BTreeMap<(Kind, Key), Value>;

fn get(value: &Value, field: &str) -> Option<String> {
    value.get(&FieldPath::parse(field)).map(|v| v.canonical().as_str().to_owned())
}

/// Both worlds hold the rules of the server: unique keys, parents, references.
fn world(dice: &mut Dice, table: &KindTable) -> State {
    let mut state = State::new();
    let mut add = |kind: &str, fields: &[(&str, String)]| {
        let body: Value = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let rules = table.get(&Kind::new(kind)).unwrap();
        state.insert((rules.kind.clone(), rules.key_of(&body).unwrap()), body);
    };
    let mut ports: Vec<u64> = (0..3).collect();
    let mut hosts: Vec<u64> = (0..4).collect();
    dice.shuffle(&mut ports);
    dice.shuffle(&mut hosts);
    for name in 0..2 {
        if dice.below(3) > 0 {
            add("zone", &[("name", format!("z{name}")), ("type", format!("{}", dice.below(3) / 2))]);
            if dice.below(2) > 0 {
                add(
                    "record",
                    &[("zone", format!("z{name}")), ("name", "www".into()), ("v", dice.below(2).to_string())],
                );
            }
        }
    }
    let mut services = Vec::new();
    for (name, port) in ports.iter().enumerate() {
        if dice.below(3) > 0 {
            let kind = (dice.below(4) / 3).to_string();
            let mut fields = vec![("name", format!("s{name}")), ("type", kind)];
            if dice.below(3) > 0 {
                fields.push(("port", port.to_string()));
            }
            add("service", &fields);
            services.push(format!("s{name}"));
        }
    }
    for (name, host) in hosts.iter().take(2).enumerate() {
        if dice.below(3) > 0 {
            let mut fields = vec![("name", format!("r{name}")), ("host", host.to_string())];
            if !services.is_empty() && dice.below(4) > 0 {
                fields.push(("service", services[dice.below(services.len() as u64) as usize].clone()));
            }
            add("route", &fields);
        }
    }
    for kind in ["link", "hook", "note"] {
        if !services.is_empty() && dice.below(2) > 0 {
            let service = services[dice.below(services.len() as u64) as usize].clone();
            add(kind, &[("name", "x".into()), ("service", service), ("v", dice.below(2).to_string())]);
        }
    }
    state
}

/// The strict server.
struct Server<'a> {
    table: &'a KindTable,
    state: State,
}

impl Server<'_> {
    fn check(&self, which: &(Kind, Key), body: &Value) -> Result<(), String> {
        let rules = self.table.get(&which.0).unwrap();
        if let Some(parent) = &rules.parent {
            let key = rules.parent_key(&which.1).unwrap();
            if !self.state.contains_key(&(parent.kind.clone(), key)) {
                return Err(format!("{which:?}: its parent is not there"));
            }
        }
        for rule in &rules.refs {
            if let Some(to) = body.get(&rule.field) {
                if !self.state.contains_key(&(rule.kind.clone(), Key::new([to]))) {
                    return Err(format!("{which:?}: {to:?} is not there"));
                }
            } else if !rule.optional {
                return Err(format!("{which:?}: needs {}", rule.field));
            }
        }
        for set in &rules.unique {
            let mine = body.get(&set[0]);
            let taken = self.state.iter().any(|(w, v)| w.0 == which.0 && w != which && v.get(&set[0]) == mine);
            if mine.is_some() && taken {
                return Err(format!("{which:?}: {} {mine:?} is taken", set[0]));
            }
        }
        Ok(())
    }

    fn delete(&mut self, which: &(Kind, Key)) -> Result<(), String> {
        if !self.state.contains_key(which) {
            return Err(format!("{which:?} is not there"));
        }
        let mut along = Vec::new();
        for (hanger, value) in &self.state {
            let rules = self.table.get(&hanger.0).unwrap();
            if rules.parent.as_ref().is_some_and(|p| p.kind == which.0)
                && rules.parent_key(&hanger.1).as_ref() == Some(&which.1)
            {
                along.push(hanger.clone());
            }
            for rule in rules.refs.iter().filter(|r| r.kind == which.0) {
                if value.get(&rule.field).is_some_and(|to| Key::new([to]) == which.1) {
                    match rule.on_delete {
                        OnDelete::Restrict => return Err(format!("{which:?} is held by {hanger:?}")),
                        OnDelete::Cascade => along.push(hanger.clone()),
                        OnDelete::None => {}
                    }
                }
            }
        }
        self.state.remove(which);
        along.iter().for_each(|w| _ = self.state.remove(w));
        Ok(())
    }

    fn apply(&mut self, plan: &Plan) -> Result<(), String> {
        for op in &plan.operations {
            let which = (op.resource.kind.clone(), op.resource.key.clone());
            let outcome = match &op.change {
                Change::Delete { .. } => self.delete(&which),
                Change::Create { desired } => {
                    let body = desired.body.value();
                    if self.state.contains_key(&which) {
                        Err(format!("{which:?} is there already"))
                    } else {
                        self.check(&which, &body).map(|()| _ = self.state.insert(which, body))
                    }
                }
                Change::Update { .. } => match self.state.get(&which).cloned() {
                    None => Err(format!("{which:?} is not there")),
                    Some(mut body) => {
                        for field in &op.fields {
                            match &field.after {
                                Some(after) => _ = body.set(&field.path, after.value()),
                                None => _ = body.remove(&field.path),
                            }
                        }
                        self.check(&which, &body).map(|()| _ = self.state.insert(which, body))
                    }
                },
                Change::Adopt { .. } | Change::Forget { .. } | Change::Rename { .. } => Ok(()),
            };
            outcome.map_err(|e| format!("{} {}: {e}", op.id, op.change.action().as_str()))?;
        }
        Ok(())
    }
}

fn ended<T>(value: T) -> Complete<T> {
    Complete::finish(value, &Tally { ended: true, ..Tally::default() }).unwrap()
}

fn desired_of(state: &State) -> Vec<Arc<Desired>> {
    let meta = Arc::new(Meta::default());
    let one = |((kind, key), value): (&(Kind, Key), &Value)| {
        let body = value.canonical();
        let id = ResourceId { target: "t".parse().unwrap(), kind: kind.clone(), key: key.clone() };
        let origin = Origin { path: "m".into(), blob: "".into(), document: 0, values: Arc::from([]) };
        Arc::new(Desired { id, digest: body.digest(), body, meta: Arc::clone(&meta), origin })
    };
    state.iter().map(one).collect()
}

fn record_of(state: &State) -> EndpointRecord {
    let one = |((kind, key), value): (&(Kind, Key), &Value)| {
        let entry = RecordEntry::of(kind.clone(), key.clone(), value.canonical());
        ((kind.clone(), key.clone()), entry)
    };
    EndpointRecord { entries: state.iter().map(one).collect(), ..EndpointRecord::default() }
}

/// Reads what the planner asks for, in waves, as a run would.
fn observe(
    table: &KindTable,
    state: &State,
    desired: &[Arc<Desired>],
    record: &EndpointRecord,
) -> BTreeMap<(Kind, Option<Key>), ScopeState> {
    let mut known = BTreeMap::new();
    for _ in 0..20 {
        let missing = missing_scopes(table, Own::Recorded, desired, record, &EndpointName::only(), &known);
        if missing.is_empty() {
            return known;
        }
        for scope in missing {
            let rules = table.get(&scope.kind).unwrap();
            let items = state
                .iter()
                .filter(|((kind, key), _)| *kind == scope.kind && rules.parent_key(key) == scope.parent)
                .map(|((_, key), value)| Observed {
                    key: key.clone(),
                    body: value.canonical().as_bytes().to_vec().into(),
                    token: None,
                    uid: None,
                    mark: None,
                })
                .collect();
            let listing = Listing { items, ..Listing::default() };
            known.insert((scope.kind, scope.parent), ScopeState::Known(Arc::new(ended(listing))));
        }
    }
    panic!("the planner never has enough");
}

fn plan(
    table: &KindTable,
    project: &Project,
    state: &State,
    desired: Vec<Arc<Desired>>,
    record: &EndpointRecord,
) -> Plan {
    let scopes = observe(table, state, &desired, record);
    build(&PlanInput {
        project,
        commit: Revision::parse(&"0".repeat(40)).unwrap(),
        snapshot: Digest::of(b""),
        targets: vec![TargetInput {
            name: "t".parse().unwrap(),
            table,
            own: Own::Recorded,
            marks: true,
            guard: Guard::default(),
            desired: ended(desired),
            selected: None,
            endpoints: vec![EndpointInput {
                name: EndpointName::only(),
                record,
                twice: BTreeSet::new(),
                missed: BTreeSet::new(),
                unverified: BTreeSet::new(),
                scopes: &scopes,
            }],
            first_run: false,
        }],
        allow_replace: true,
        allow_deletes: None,
        allow_updates: None,
    })
}

fn project() -> Project {
    Project {
        name: "p".parse().unwrap(),
        folder: String::new(),
        manifests: Vec::new(),
        record: RecordPlace::Local,
        record_refs: None,
        values: BTreeMap::new(),
        targets: BTreeMap::new(),
    }
}

fn stage_order(plan: &Plan) -> Result<(), String> {
    let mut phase = Stage::Delete;
    for op in &plan.operations {
        if op.phase < phase {
            return Err(format!("{} runs in {:?} after {phase:?}", op.id, op.phase));
        }
        phase = op.phase;
        if let Some(after) = op.after.iter().find(|a| a.op >= op.id) {
            return Err(format!("{} comes before {}", op.id, after.op));
        }
    }
    Ok(())
}

/// `Ok(false)` for a world that no order of single steps can reach (a swap of unique keys, a reference that may not be
/// left out).
fn holds(seed: u64, table: &KindTable, project: &Project) -> Result<bool, String> {
    let mut dice = Dice(seed);
    let (live, wanted) = (world(&mut dice, table), world(&mut dice, table));
    let record = record_of(&live);
    let first = plan(table, project, &live, desired_of(&wanted), &record);
    if first.refusals.iter().any(|r| r.gate == "cycle") {
        // A sample of these is searched through: the planner must be right that there is no order.
        if seed.is_multiple_of(40) && first.operations.len() <= 9 && some_order(table, &live, &first) {
            return Err("an order was there and not found".to_owned());
        }
        return Ok(false);
    }
    stage_order(&first)?;
    let mut server = Server { table, state: live.clone() };
    server.apply(&first)?;
    if let Some(which) =
        wanted.keys().chain(server.state.keys()).find(|w| get_all(&wanted, w) != get_all(&server.state, w))
    {
        return Err(format!("{which:?} is not as wanted"));
    }
    let second = plan(table, project, &server.state, desired_of(&wanted), &record_of(&wanted));
    if !second.is_empty() {
        return Err(format!("the second plan has {} operations", second.operations.len()));
    }
    if seed.is_multiple_of(50) {
        let mut shuffled = desired_of(&wanted);
        dice.shuffle(&mut shuffled);
        let again = plan(table, project, &live, shuffled, &record);
        if format!("{again:?}") != format!("{first:?}") {
            return Err("another order of the manifests is another plan".to_owned());
        }
    }
    Ok(true)
}

/// True if the server would take the operations in some order: all orders are tried, a set of done ones once.
fn some_order(table: &KindTable, live: &State, plan: &Plan) -> bool {
    let all = (1_u32 << plan.operations.len()) - 1;
    let mut seen = BTreeSet::from([0_u32]);
    let mut queue = vec![(0_u32, live.clone())];
    while let Some((done, state)) = queue.pop() {
        if done == all {
            return true;
        }
        for (n, op) in plan.operations.iter().enumerate().filter(|(n, _)| done & (1 << n) == 0) {
            let mut server = Server { table, state: state.clone() };
            let alone = Plan { operations: vec![op.clone()], ..plan.clone() };
            if server.apply(&alone).is_ok() && seen.insert(done | (1 << n)) {
                queue.push((done | (1 << n), server.state));
            }
        }
    }
    false
}

fn get_all(state: &State, which: &(Kind, Key)) -> Option<String> {
    state.get(which).map(|v| v.canonical().as_str().to_owned())
}

/// 20,000, or as many as `CTL_TEST_SEEDS` says.
#[expect(clippy::disallowed_methods, reason = "a test is asked to try more cases than it does every day")]
fn worlds() -> u64 {
    let asked = std::env::var("CTL_TEST_SEEDS").ok();
    asked.map_or(20_000, |many| many.parse().expect("CTL_TEST_SEEDS is a number"))
}

#[test]
fn no_operation_is_refused_for_its_order() {
    let worlds = worlds();
    let (table, project) = (table(), project());
    let part = |from: u64| {
        let mut stuck = 0_u64;
        for seed in (from..worlds).step_by(2) {
            match holds(seed, &table, &project) {
                Ok(reached) => stuck += u64::from(!reached),
                Err(why) => panic!("seed {seed}: {why}"),
            }
        }
        stuck
    };
    let stuck = std::thread::scope(|scope| {
        let other = scope.spawn(|| part(1));
        part(0) + other.join().unwrap()
    });
    // A swap of unique keys among survivors, or one by way of a reference that may not be left out, has no order at all.
    assert!(stuck < worlds / 5, "{stuck} worlds could not be ordered");
    println!("{stuck} of {worlds} worlds have no order");
}

#[test]
fn a_chain_of_two_thousand_updates_is_ordered_from_its_end() {
    let (table, project) = (table(), project());
    let mut state = State::new();
    for n in 0..2_000 {
        let body: Value = [("name", format!("r{n:05}")), ("host", format!("{n}"))].into_iter().collect();
        state.insert((Kind::new("route"), Key::of_texts(&[&format!("r{n:05}")])), body);
    }
    let shifted: State = state
        .iter()
        .enumerate()
        .map(|(n, (which, body))| {
            let mut body = body.clone();
            body.set(&FieldPath::parse("host"), Value::from(format!("{}", n + 1)));
            (which.clone(), body)
        })
        .collect();
    // Each takes what the next one holds: one chain through all of them.
    let chain = plan(&table, &project, &state, desired_of(&shifted), &record_of(&state));
    let mut server = Server { table: &table, state };
    server.apply(&chain).unwrap();
    assert_eq!(get(&server.state[&(Kind::new("route"), Key::of_texts(&["r00000"]))], "host").as_deref(), Some("\"1\""));
}
