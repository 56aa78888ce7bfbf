//! Looking at endpoints that deny, fail, and answer late.

use super::*;
use crate::target::Fault;

/// Boxes first, then the items of each box that was found.
fn boxes_then_items(_: &Peer<Memory>, known: &Scopes) -> Vec<Scope> {
    let endpoint = EndpointName::only();
    let mut out = vec![Scope { endpoint: endpoint.clone(), kind: Kind::new("box"), parent: None }];
    if let Some(ScopeState::Known(boxes)) = known.get(&(Kind::new("box"), None)) {
        let kind = Kind::new("item");
        let of = |b: &Observed| Scope { endpoint: endpoint.clone(), kind: kind.clone(), parent: Some(b.key.clone()) };
        out.extend(boxes.items.iter().map(of));
    }
    out
}

async fn look(world: &World) -> BTreeMap<Place, Sighting> {
    let tell = world.tell();
    let context = Context {
        clock: &world.clock,
        entropy: &world.entropy,
        tell: &tell,
        cancel: &world.cancel,
        patience: PATIENCE,
    };
    observe(&world.endpoints, boxes_then_items, context).await
}

fn with_boxes() -> World {
    let world = World::new(Manners::default());
    for name in ["a", "b"] {
        world.memory.put(&Kind::new("box"), &Key::of_texts(&[name]), value_of("box", &[name], 0));
    }
    world.memory.put(&Kind::new("item"), &Key::of_texts(&["b", "x"]), value_of("item", &["b", "x"], 0));
    world
}

#[tokio::test]
async fn children_are_listed_once_their_parents_are_known() {
    let world = with_boxes();
    let seen = look(&world).await.remove(&(target(), EndpointName::only())).unwrap();
    let ScopeState::Known(items) = &seen.scopes[&(Kind::new("item"), Some(Key::of_texts(&["b"])))] else { panic!() };
    assert_eq!((items.items.len(), seen.scopes.len()), (1, 3));
    assert_eq!(world.requests().len(), 4, "one greeting, three lists");
}

#[tokio::test]
async fn a_list_that_fails_is_unknown_and_the_others_stand() {
    let world = with_boxes();
    let mut lists = 0;
    world.memory.on_request(move |r| {
        lists += i32::from(r.what == "item");
        (r.what == "item" && lists == 1).then_some(Fault::CutShort)
    });
    let seen = look(&world).await.remove(&(target(), EndpointName::only())).unwrap();
    let unknown = seen.scopes.values().filter(|s| matches!(s, ScopeState::Unknown { .. })).count();
    assert_eq!((unknown, seen.scopes.len(), seen.trouble), (1, 3, vec![Trouble::Other]));
}

#[tokio::test]
async fn an_endpoint_that_denies_the_greeting_is_asked_nothing_more() {
    let world = with_boxes();
    world.memory.on_request(|r| (r.verb == "greet").then_some(Fault::Deny));
    let seen = look(&world).await.remove(&(target(), EndpointName::only())).unwrap();
    assert!(seen.scopes.values().all(|state| matches!(state, ScopeState::Unknown { .. })));
    assert_eq!((seen.trouble, world.requests().len()), (vec![Trouble::Authentication], 1));
}

#[tokio::test]
async fn a_list_is_repeated_after_a_lost_answer() {
    let world = with_boxes();
    let mut first = true;
    world.memory.on_request(move |r| (r.verb == "list" && std::mem::take(&mut first)).then_some(Fault::DropAnswer));
    let seen = look(&world).await.remove(&(target(), EndpointName::only())).unwrap();
    assert!(seen.scopes.values().all(|state| matches!(state, ScopeState::Known(_))));
    assert_eq!(world.requests().len(), 5);
}

#[tokio::test]
async fn a_kind_that_is_not_there_is_an_empty_list() {
    let world = with_boxes();
    let planner = |_: &Peer<Memory>, _: &Scopes| {
        vec![Scope { endpoint: EndpointName::only(), kind: Kind::new("nothing"), parent: None }]
    };
    let tell = |_| {};
    let context = Context {
        clock: &world.clock,
        entropy: &world.entropy,
        tell: &tell,
        cancel: &world.cancel,
        patience: Duration::ZERO,
    };
    let seen = observe(&world.endpoints, planner, context).await;
    let state = seen[&(target(), EndpointName::only())].scopes.values().next().unwrap();
    assert!(matches!(state, ScopeState::Known(listing) if listing.items.is_empty()));
}

#[tokio::test]
async fn what_cannot_be_listed_is_asked_for_by_its_keys() {
    let mut table = kinds();
    table.kinds.get_mut(&Kind::new("box")).unwrap().listed_by_key = true;
    let mut world = World::new(Manners::default());
    let memory = Memory::new(table.clone(), Manners::default(), world.clock.clone());
    world.endpoints.clear();
    world.memory = memory.clone();
    world.add("t", memory, 4, None);
    for name in ["a", "b", "stranger"] {
        world.memory.put(&Kind::new("box"), &Key::of_texts(&[name]), value_of("box", &[name], 0));
    }
    let (wanted, mut record) = ([desired("box", &["a"], 1)], EndpointRecord::default());
    let scope = Scope { endpoint: EndpointName::only(), kind: Kind::new("box"), parent: None };
    let planner = |_: &Peer<Memory>, _: &Scopes| vec![scope.clone()];
    let tell = world.tell();
    let context = Context {
        clock: &world.clock,
        entropy: &world.entropy,
        tell: &tell,
        cancel: &world.cancel,
        patience: Duration::ZERO,
    };
    for gone in ["b", "gone"] {
        let (body, kind, key) = (value_of("box", &[gone], 0).canonical(), Kind::new("box"), Key::of_texts(&[gone]));
        let entry = RecordEntry {
            kind: kind.clone(),
            key: key.clone(),
            server_id: None,
            uid: None,
            digest: body.digest(),
            sent: body,
            marked: false,
            labels: BTreeMap::new(),
            refs: Vec::new(),
            protect: false,
            on_remove: OnRemove::default(),
            rewritten: BTreeMap::new(),
            secrets: BTreeMap::new(),
            secret_hashes: BTreeMap::new(),
            hmac: None,
        };
        record.entries.insert((kind, key), entry);
    }
    let keys = |_: &Peer<Memory>, scope: &Scope| scope_keys(&table, &wanted, &record, scope);
    let seen = observe_with_keys(&world.endpoints, planner, keys, context).await;
    let ScopeState::Known(listing) = &seen[&(target(), EndpointName::only())].scopes[&(Kind::new("box"), None)] else {
        panic!("all keys were read")
    };
    let found: Vec<String> = listing.items.iter().map(|item| item.key.to_string()).collect();
    assert_eq!(found, ["a", "b"], "absent is not there, and a stranger is never seen");
    assert_eq!(world.requests(), ["greet ", "read box/a", "read box/b", "read box/gone"]);
    let mut calls = 0;
    world.memory.on_request(move |r| {
        calls += i32::from(r.verb == "read");
        (r.verb == "read" && calls == 2).then_some(Fault::Deny)
    });
    let seen = observe_with_keys(&world.endpoints, planner, keys, context).await;
    let state = seen[&(target(), EndpointName::only())].scopes.values().next().unwrap();
    assert!(matches!(state, ScopeState::Unknown { .. }), "one that cannot be read makes the scope unknown");
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_holds_up_no_other() {
    let mut world = World::with(Manners::default(), Clock::System, 4, None);
    let slow = Memory::new(kinds(), Manners::default(), Clock::System);
    slow.on_request(|_| Some(Fault::Slow(Duration::from_secs(100))));
    world.add("slow", slow, 4, None);
    let listed = Mutex::new(Vec::new());
    let started = tokio::time::Instant::now();
    let tell = |event| {
        if let Event::Listed { target, .. } = event {
            listed.lock().unwrap().push((target.to_string(), started.elapsed().as_secs()));
        }
    };
    let context = Context {
        clock: &world.clock,
        entropy: &world.entropy,
        tell: &tell,
        cancel: &world.cancel,
        patience: Duration::ZERO,
    };
    observe(&world.endpoints, boxes_then_items, context).await;
    assert_eq!(*listed.lock().unwrap(), [("t".to_owned(), 0), ("slow".to_owned(), 200)]);
}

#[tokio::test]
async fn the_last_that_is_silent_though_it_usually_is_quick_is_not_waited_for() {
    // In real time: a scripted clock jumps to the end of whatever is waited for first.
    let mut world = World::with(Manners::default(), Clock::System, 8, None);
    let silent = Memory::new(kinds(), Manners::default(), world.clock.clone());
    world.add("u", silent.clone(), 8, None);
    let place = ("u".parse::<TargetName>().unwrap(), EndpointName::only());
    let tell = world.tell();
    let context = Context {
        clock: &world.clock,
        entropy: &world.entropy,
        tell: &tell,
        cancel: &world.cancel,
        patience: PATIENCE,
    };
    let keys = |_: &Peer<Memory>, _: &Scope| Vec::new();
    let look = |patient: &[Place]| {
        let patient = patient.iter().cloned().collect();
        let before = Before { greeting: Some(Duration::from_secs(30)), patient, ..Before::default() };
        observe_again(&world.endpoints, before, boxes_then_items, keys, context)
    };
    assert!(look(&[]).await[&place].greeting.is_some());
    silent.on_request(|r| (r.verb == "greet").then_some(Fault::Slow(Duration::from_secs(4))));
    let seen = look(&[]).await;
    assert!(seen[&place].late && seen[&place].greeting.is_none() && seen[&place].trouble.is_empty());
    assert!(
        seen[&place].scopes.values().all(|state| matches!(state, ScopeState::Unknown { .. })),
        "unknown, not absent"
    );
    assert!(seen.iter().filter(|(at, _)| **at != place).all(|(_, sighting)| sighting.greeting.is_some()));
    // Whoever is patient waits; and it counts as slow from then on.
    for patient in [std::slice::from_ref(&place), &[]] {
        let seen = look(patient).await;
        assert!(seen[&place].greeting.is_some() && !seen[&place].late);
    }
}
