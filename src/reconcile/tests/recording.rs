//! Intents, outcomes and settling, with answers that get lost.

use std::pin::pin;

use super::*;
use crate::store::{RecordName, Store, StoreError, Tip};
use crate::target::Fault;
use crate::world::seeds;

/// Records in memory, with answers that get lost on demand.
#[derive(Default)]
struct Records {
    all: Mutex<BTreeMap<RecordName, (u64, Record)>>,
    lose_next: Mutex<bool>,
    /// After an answer was lost nothing can be read either.
    away: Mutex<bool>,
    kept: Mutex<Vec<Record>>,
}

impl Store for Records {
    fn read(&self, name: &RecordName) -> Result<(Option<Tip>, Record), StoreError> {
        if *self.away.lock().unwrap() {
            return Err(StoreError::Unreachable { why: "away".into(), help: String::new() });
        }
        let all = self.all.lock().unwrap();
        Ok(all.get(name).map_or((None, Record::default()), |(n, record)| (Some(Tip(n.to_string())), record.clone())))
    }

    fn swap(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        _message: &str,
    ) -> Result<Tip, StoreError> {
        let mut all = self.all.lock().unwrap();
        let now = all.get(name).map(|(n, _)| Tip(n.to_string()));
        if now.as_ref() != expected {
            return Err(StoreError::Moved);
        }
        let next = all.get(name).map_or(1, |(n, _)| n + 1);
        all.insert(name.clone(), (next, record.clone()));
        if std::mem::take(&mut *self.lose_next.lock().unwrap()) {
            return Err(StoreError::Unanswered { why: "lost".into() });
        }
        Ok(Tip(next.to_string()))
    }

    fn keep(&self, _: &RecordName, _: Option<&Tip>, record: &Record, _: &str) -> Result<Tip, StoreError> {
        self.kept.lock().unwrap().push(record.clone());
        Ok(Tip("kept".into()))
    }

    fn names(&self, _project: &ProjectName) -> Result<Vec<RecordName>, StoreError> {
        Ok(self.all.lock().unwrap().keys().cloned().collect())
    }

    fn history(&self, _name: &RecordName, _limit: usize) -> Result<Vec<(Tip, Record)>, StoreError> {
        Ok(Vec::new())
    }

    fn is_shared(&self) -> bool {
        false
    }
}

struct Plain;

impl Facts for Plain {
    fn server_id(&self, _kind: &Kind, _observed: &Observed) -> Option<String> {
        None
    }

    fn refs(&self, _desired: &Desired) -> Vec<String> {
        Vec::new()
    }

    fn takes_mark(&self, _kind: &Kind) -> bool {
        true
    }
}

fn name() -> RecordName {
    RecordName { project: "p".parse().unwrap(), target: target() }
}

fn here(pid: u32) -> Here {
    Here { process: process("h", "boot", 1, pid), token: None }
}

fn process(host: &str, boot: &str, pid_namespace: u64, pid: u32) -> Process {
    let machine = format!("machine {host}");
    Process {
        host: host.into(),
        machine,
        boot_id: boot.into(),
        pid_namespace,
        pid,
        started: 1,
        who: format!("me@{host}"),
    }
}

fn intent(holder: Process, until: Option<i64>, token: Option<u64>) -> Intent {
    Intent { run: "r".into(), holder, until, token, commit: "c".into(), checksum: "s".into(), operations: Vec::new() }
}

#[test]
fn an_open_intent_is_a_lock_until_its_run_surely_writes_no_more() {
    const MY_PID: u32 = 7;
    let live = |p: &Process| p.pid == MY_PID;
    let gone = 8;
    let elsewhere = Process { machine: "another".into(), ..process("h", "old", 1, MY_PID) };
    let nowhere = Process { machine: String::new(), ..process("h", "old", 1, MY_PID) };
    let cases = [
        ("same host, alive", process("h", "boot", 1, MY_PID), Some(1_000), None, None, 999, true),
        ("same host, process gone", process("h", "boot", 1, gone), Some(1_000), None, None, 10, false),
        ("same host, other PID namespace", process("h", "boot", 2, gone), Some(1_000), None, None, 999, true),
        ("same host, its boot unknown", process("h", "", 1, MY_PID), Some(1_000), None, None, 10, true),
        ("same host, booted since", process("h", "old", 1, MY_PID), Some(1_000), None, None, 10, false),
        ("same name, other machine", elsewhere, Some(1_000), None, None, 999, true),
        ("same name, machine unknown", nowhere, Some(1_000), None, None, 999, true),
        ("other host", process("g", "b", 1, gone), Some(1_000), None, None, 999, true),
        ("other host, within the grace", process("g", "b", 1, gone), Some(1_000), None, None, 1_060, true),
        ("other host, after the grace", process("g", "b", 1, gone), Some(1_000), None, None, 1_061, false),
        ("elected, we are not", process("g", "b", 1, gone), None, Some(3), None, 1 << 40, true),
        ("elected here, we are not", process("h", "boot", 1, MY_PID), None, Some(3), None, 1 << 40, true),
        ("elected here and gone, we are not", process("h", "boot", 1, gone), None, Some(3), None, 10, false),
        ("elected, ours is the same", process("g", "b", 1, gone), None, Some(3), Some(3), 10, true),
        ("an earlier run of this process", process("h", "boot", 1, 1), None, Some(3), Some(3), 10, false),
        (
            "an earlier run of this process, its time not over",
            process("h", "boot", 1, 1),
            Some(1_000),
            None,
            None,
            10,
            false,
        ),
        ("elected, ours is higher", process("g", "b", 1, gone), None, Some(3), Some(4), 10, false),
        ("elected, ours is lower", process("g", "b", 1, gone), None, Some(3), Some(2), 10, true),
    ];
    for (what, holder, until, token, mine, wall, held) in cases {
        let me = Here { process: process("h", "boot", 1, 1), token: mine };
        let found = standing(&intent(holder, until, token), &me, wall, &live);
        assert_eq!(found == Hold::Held, held, "{what}: {found:?}");
    }
}

#[test]
fn each_operation_of_an_expired_intent_is_settled_by_what_is_there() {
    let op = |action: &str| IntentOp {
        endpoint: EndpointName::only(),
        action: action.into(),
        kind: Kind::new("box"),
        key: Key::of_texts(&["a"]),
        body: (action != "delete").then(|| value_of("box", &["a"], 2).canonical()),
        entry: None,
    };
    let there = |v: u64, mark: Option<Mark>| {
        let world = World::new(Manners::default());
        world.memory.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], v));
        Observed { mark, ..seen(&world.memory, "box", &["a"]) }
    };
    let as_sent = |_: &IntentOp, sent: &Canonical, found: &Observed| found.value().unwrap() == sent.value();
    let (equal, other) = (there(2, Some(mark())), there(3, Some(mark())));
    let foreign = there(2, Mark::parse("ctl/else"));
    let entry = {
        let Settled::Owned(entry) = settle(&op("create"), None, Seen::There(&equal), &mark(), &as_sent) else {
            panic!("an equal create is owned")
        };
        RecordEntry { sent: value_of("box", &["a"], 1).canonical(), ..*entry }
    };
    let word = |settled: Settled| match settled {
        Settled::Stays => "stays",
        Settled::Owned(entry) if entry.sent == value_of("box", &["a"], 2).canonical() && entry.marked => "owned",
        Settled::Owned(_) => "wrong",
        Settled::Gone => "gone",
        Settled::InDoubt(_) => "in doubt",
        Settled::Later(_) => "later",
    };
    for (action, recorded, look, expected) in [
        ("create", false, Seen::Absent, "stays"),
        ("create", false, Seen::There(&equal), "owned"),
        ("create", false, Seen::There(&other), "in doubt"),
        ("create", false, Seen::There(&foreign), "in doubt"),
        ("create", false, Seen::Unknown("away"), "later"),
        ("delete", true, Seen::Absent, "gone"),
        ("delete", true, Seen::There(&equal), "stays"),
        ("delete", true, Seen::Unknown("away"), "later"),
        ("update", true, Seen::There(&equal), "owned"),
        ("update", true, Seen::There(&other), "stays"),
        ("update", true, Seen::Absent, "stays"),
        ("update", false, Seen::There(&equal), "stays"),
        ("rename", false, Seen::There(&equal), "owned"),
        ("adopt", false, Seen::There(&equal), "stays"),
        ("forget", true, Seen::Absent, "stays"),
        ("forget", true, Seen::Unknown("away"), "stays"),
        ("release", true, Seen::There(&equal), "stays"),
        ("release", true, Seen::Unknown("away"), "stays"),
    ] {
        let found = settle(&op(action), recorded.then_some(&entry), look, &mark(), &as_sent);
        assert_eq!(word(found), expected, "{action}, {look:?}");
    }
}

#[test]
fn the_old_half_of_a_replace_that_never_began_is_still_ours() {
    let world = World::new(Manners::default());
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], 1));
    let there = Observed { mark: Some(mark()), ..seen(&world.memory, "box", &["a"]) };
    let op = |action: &str, body: Option<u64>| IntentOp {
        endpoint: EndpointName::only(),
        action: action.into(),
        kind: Kind::new("box"),
        key: Key::of_texts(&["a"]),
        body: body.map(|v| value_of("box", &["a"], v).canonical()),
        entry: None,
    };
    let as_sent = |_: &IntentOp, sent: &Canonical, found: &Observed| found.value().unwrap() == sent.value();
    let old = op("create", Some(1));
    let Settled::Owned(entry) = settle(&old, None, Seen::There(&there), &mark(), &as_sent) else { panic!() };
    assert!(entry.uid.is_some());
    let found = |entry| settle(&op("create", Some(2)), entry, Seen::There(&there), &mark(), &as_sent);
    assert_eq!(found(Some(&entry)), Settled::Stays);
    let another = RecordEntry { uid: Some("before".into()), ..(*entry).clone() };
    assert!(matches!(found(Some(&another)), Settled::InDoubt(_)), "somebody else made it since");
    assert!(matches!(found(None), Settled::InDoubt(_)));
}

#[test]
fn what_cannot_be_seen_stays_in_the_intent() {
    let op = IntentOp {
        endpoint: EndpointName::only(),
        action: "create".into(),
        kind: Kind::new("box"),
        key: Key::of_texts(&["a"]),
        body: Some(value_of("box", &["a"], 2).canonical()),
        entry: None,
    };
    let open = Intent { operations: vec![op], ..intent(process("h", "b", 1, 2), Some(0), None) };
    let record = Record { intents: vec![open.clone()], ..Record::default() };
    let unseen = settle_intent(&record, &open, &mark(), &|_| Seen::Unknown("away"), &|_, _, _| true);
    assert_eq!((unseen.record.intents.len(), unseen.later.len()), (1, 1));
    let absent = settle_intent(&record, &open, &mark(), &|_| Seen::Absent, &|_, _, _| true);
    assert_eq!((absent.record.intents.len(), absent.later.len()), (0, 0));
}

fn share(store: &Records) -> Share {
    let (tip, record) = store.read(&name()).unwrap();
    Share { name: name(), tip, record, operations: Vec::new() }
}

fn begin(store: &Arc<Records>, share: Share, run: &str, clock: &Clock) -> Result<Run<Records>, NotBegun> {
    Run::begin(Arc::clone(store), vec![share], run, &here(1), "c", "s", clock)
}

#[test]
fn of_two_runs_on_one_tip_exactly_one_begins() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let (one, two) = (share(&store), share(&store));
    let first = begin(&store, one, "one", &clock).unwrap();
    let second = begin(&store, two, "two", &clock).err().unwrap();
    assert_eq!(second.error, StoreError::Moved);
    first.finish(&target(), Record::clone, "done").unwrap();
    assert!(store.read(&name()).unwrap().1.intents.is_empty());
}

#[test]
fn intents_already_written_are_taken_back_when_one_cannot_be() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let other = Share { name: RecordName { target: "u".parse().unwrap(), ..name() }, ..share(&store) };
    let stale = Share { tip: Some(Tip("9".into())), ..other };
    let shares = vec![stale, share(&store)];
    let failed = Run::begin(Arc::clone(&store), shares, "r", &here(1), "c", "s", &clock).err().unwrap();
    assert_eq!(failed.target.as_str(), "u");
    assert!(store.read(&name()).unwrap().1.intents.is_empty());
}

fn elected(pid: u32, token: u64) -> Here {
    Here { token: Some(token), ..here(pid) }
}

fn lead(store: &Arc<Records>, share: Share, run: &str, leader: &Here) -> Result<Run<Records>, NotBegun> {
    Run::begin(Arc::clone(store), vec![share], run, leader, "c", "s", &scripted())
}

#[test]
fn under_election_each_commit_carries_the_token_and_an_intent_has_no_end() {
    let store = Arc::new(Records::default());
    let run = lead(&store, share(&store), "one", &elected(1, 5)).unwrap();
    let (_, open) = store.read(&name()).unwrap();
    assert_eq!((open.intents[0].token, open.intents[0].until, open.fence), (Some(5), None, Some(5)));
    assert_eq!(run.check(&target()), Ok(()), "how long is for the leader's gate to say");
    run.finish(&target(), Record::clone, "done").unwrap();
    let (_, done) = store.read(&name()).unwrap();
    assert_eq!((done.intents.len(), done.fence, done.highest_token()), (0, Some(5), Some(5)));
}

#[test]
fn no_commit_follows_one_of_a_higher_token() {
    let store = Arc::new(Records::default());
    let fenced = StoreError::Fenced { ours: 5, theirs: 7 };
    lead(&store, share(&store), "new", &elected(1, 7)).unwrap().finish(&target(), Record::clone, "done").unwrap();
    let before = store.read(&name()).unwrap();
    assert_eq!(lead(&store, share(&store), "old", &elected(2, 5)).err().unwrap().error, fenced);
    assert_eq!(store.read(&name()).unwrap(), before);
    // Whoever is not elected takes part, and does not make it forgotten.
    begin(&store, share(&store), "a person", &scripted()).unwrap().finish(&target(), Record::clone, "done").unwrap();
    assert_eq!(lead(&store, share(&store), "old", &elected(2, 5)).err().unwrap().error, fenced);
    lead(&store, share(&store), "same", &elected(1, 7)).unwrap().finish(&target(), Record::clone, "done").unwrap();
}

#[test]
fn an_outcome_does_not_follow_a_later_leaders_intent() {
    let store = Arc::new(Records::default());
    let old = lead(&store, share(&store), "old", &elected(1, 5)).unwrap();
    // The later one could not see what became of the old one's operations, so both intents stand.
    let new = lead(&store, share(&store), "new", &elected(2, 7)).unwrap();
    let before = store.read(&name()).unwrap();
    assert_eq!(before.1.intents.len(), 2);
    let refused = old.finish(&target(), Record::clone, "done").unwrap_err();
    assert_eq!(refused, NotFinished::Store(StoreError::Fenced { ours: 5, theirs: 7 }));
    assert_eq!(store.read(&name()).unwrap(), before);
    new.finish(&target(), Record::clone, "done").unwrap();
}

#[tokio::test]
async fn a_later_leader_settles_at_once_and_nobody_else_does() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let _stopped = lead(&store, share(&store), "one", &elected(1, 3)).unwrap();
    let alive = |_: &Process| true;
    for other in [here(2), elected(2, 2), elected(2, 3)] {
        let wait = free(&store, &name(), &other, &alive, Duration::from_secs(3_600 * 24), &clock).await;
        assert!(matches!(wait, Err(Locked::Held(intent)) if intent.run == "one"), "{other:?}");
    }
    let before = clock.boot();
    let found = free(&store, &name(), &elected(2, 4), &alive, Duration::from_secs(60), &clock).await.unwrap();
    assert_eq!((found.record.intents.len(), clock.boot()), (1, before), "there to be settled, without waiting");
    let gone = |_: &Process| false;
    assert!(free(&store, &name(), &here(2), &gone, Duration::ZERO, &clock).await.is_ok(), "known to be gone, here");
}

#[tokio::test]
async fn a_run_waits_for_the_other_as_long_as_it_may() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let _holding = begin(&store, share(&store), "one", &clock).unwrap();
    let alive = |_: &Process| true;
    let locked = free(&store, &name(), &here(2), &alive, Duration::from_secs(30), &clock).await;
    assert!(matches!(locked, Err(Locked::Held(intent)) if intent.run == "one"));
    assert_eq!(clock.boot().as_secs(), 30);
    let long = Duration::from_secs(3_600);
    assert_eq!(free(&store, &name(), &here(2), &alive, long, &clock).await.unwrap().record.intents.len(), 1);
    assert!(clock.boot().as_secs() > 15 * 60 + 60, "{:?}", clock.boot());
}

#[tokio::test]
async fn a_term_that_a_wrong_clock_put_years_away_is_outlasted() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let ahead = Clock::Scripted(ScriptedClock::starting_at("2999-01-01T00:00:00Z".parse().unwrap()));
    let _killed = begin(&store, share(&store), "one", &ahead).unwrap();
    let alive = |_: &Process| true;
    let locked = free(&store, &name(), &here(2), &alive, Duration::from_secs(900), &clock).await;
    let Err(Locked::Held(intent)) = locked else { panic!("a run that may still write holds it") };
    assert!(is_beyond_any_term(&intent, clock.wall().as_second()));
    let (wait, wall) = (Duration::from_secs(1_200), clock.wall().as_second());
    let found = free(&store, &name(), &here(2), &alive, wait, &clock).await.unwrap();
    assert_eq!(standing(&found.record.intents[0], &here(2), wall, &alive), Hold::Expired("its time ran out"));
}

#[tokio::test]
async fn a_run_that_renews_is_not_outlasted_whatever_its_clock_says() {
    let script = ScriptedClock::starting_at("2999-01-01T00:00:00Z".parse().unwrap());
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let run = begin(&store, share(&store), "one", &Clock::Scripted(Arc::clone(&script))).unwrap();
    let renewing = |_: &Process| {
        // It lives, and says so each time that somebody looks.
        script.advance(Duration::from_secs(10));
        run.renew();
        true
    };
    let locked = free(&store, &name(), &here(2), &renewing, Duration::from_secs(3_600), &clock).await;
    assert!(matches!(locked, Err(Locked::Held(_))));
}

#[test]
fn the_gate_shuts_a_minute_before_the_last_acknowledged_term_ends() {
    let script = ScriptedClock::starting_at(Timestamp::UNIX_EPOCH);
    let (store, clock) = (Arc::new(Records::default()), Clock::Scripted(Arc::clone(&script)));
    let run = begin(&store, share(&store), "one", &clock).unwrap();
    script.advance(Duration::from_secs(300));
    run.renew();
    let until = store.read(&name()).unwrap().1.intents[0].until;
    assert_eq!(until, Some(1_200));
    script.advance(Duration::from_secs(839));
    assert_eq!(run.check(&target()), Ok(()));
    script.advance(Duration::from_secs(1));
    assert!(run.check(&target()).is_err());
    assert!(run.check(&"u".parse().unwrap()).is_err(), "no intent, no gate");
}

#[tokio::test(start_paused = true)]
async fn intents_are_renewed_every_five_minutes_beside_the_writes() {
    let store = Arc::new(Records::default());
    let run = Arc::new(begin(&store, share(&store), "one", &Clock::System).unwrap());
    let keeper = Arc::clone(&run);
    let keeping = tokio::spawn(async move { keeper.keep().await });
    tokio::time::sleep(Duration::from_secs(901)).await;
    keeping.abort();
    assert_eq!(store.read(&name()).unwrap().0, Some(Tip("4".into())), "the intent and three renewals");
    run.finish(&target(), Record::clone, "done").unwrap();
}

#[tokio::test]
async fn the_record_holds_what_was_sent_and_an_adopted_resource_has_no_mark() {
    let world = World::new(Manners::default());
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["b"]), value_of("box", &["b"], 1));
    let mut value = value_of("box", &["a"], 1);
    let secret = SecretRef { name: "s".into(), version: Some(2) };
    value.set(&FieldPath::parse("password"), Value::Secret(secret));
    let body = value.canonical();
    let labels: BTreeMap<String, String> = [("team".to_owned(), "x".to_owned())].into();
    let meta = Arc::new(Meta { protect: true, on_remove: OnRemove::Keep, labels: labels.clone(), ..Meta::default() });
    let wanted = Desired { digest: body.digest(), body: body.clone(), meta, ..(*desired("box", &["a"], 1)).clone() };
    let adopt =
        Change::Adopt { desired: desired("box", &["b"], 1), observed: Box::new(seen(&world.memory, "box", &["b"])) };
    let refused = create(3, "link", &["l"], &[]);
    let plan = plan_of(vec![
        operation(1, id_of("box", &["a"]), Change::Create { desired: Arc::new(wanted) }, &[]),
        operation(2, id_of("box", &["b"]), adopt, &[]),
        refused,
    ]);
    world.memory.on_request(|r| (r.what == "link/l").then_some(Fault::Refuse));
    let applied = world.apply(&plan).await;
    let identities = [(EndpointName::only(), "me".to_owned())].into();
    let before = Record::default();
    let after = record_after(&before, &target(), &plan, &applied.results, &identities, head(1), &Plain);
    let endpoint = &after.endpoints[&EndpointName::only()];
    assert_eq!((endpoint.identity.as_deref(), endpoint.entries.len()), (Some("me"), 2));
    let made = &endpoint.entries[&(Kind::new("box"), Key::of_texts(&["a"]))];
    assert_eq!((&made.sent, made.digest, &made.labels), (&body, body.digest(), &labels));
    assert!(made.marked && made.protect && made.on_remove == OnRemove::Keep && made.uid.is_some());
    assert_eq!(made.secrets, [("s".to_owned(), Some(2))].into());
    let adopted = &endpoint.entries[&(Kind::new("box"), Key::of_texts(&["b"]))];
    assert!(!adopted.marked && adopted.uid.is_some());
}

#[test]
fn an_outcome_of_a_run_that_was_settled_is_dropped() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let run = begin(&store, share(&store), "one", &clock).unwrap();
    let (tip, _) = store.read(&name()).unwrap();
    store.swap(&name(), tip.as_ref(), &Record::default(), "settled").unwrap();
    let after = |_: &Record| panic!("nothing may be made of a record that is not ours");
    let lost =
        run.finish(&target(), |record| if record.intents.is_empty() { after(record) } else { record.clone() }, "");
    assert_eq!(lost, Err(NotFinished::Lost));
    assert!(run.check(&target()).is_err());
    run.renew();
    assert_eq!(store.read(&name()).unwrap().1, Record::default());
}

#[test]
fn a_lost_answer_of_the_store_is_looked_up() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    *store.lose_next.lock().unwrap() = true;
    let run = begin(&store, share(&store), "one", &clock).unwrap();
    assert_eq!(run.check(&target()), Ok(()));
    *store.lose_next.lock().unwrap() = true;
    run.renew();
    *store.lose_next.lock().unwrap() = true;
    run.finish(&target(), Record::clone, "done").unwrap();
    assert_eq!(store.read(&name()).unwrap(), (Some(Tip("3".into())), Record::default()));
}

#[test]
fn an_outcome_that_nobody_can_say_was_taken_is_kept_here() {
    let (store, clock) = (Arc::new(Records::default()), scripted());
    let run = begin(&store, share(&store), "one", &clock).unwrap();
    *store.lose_next.lock().unwrap() = true;
    *store.away.lock().unwrap() = true;
    let lost = run.finish(&target(), Record::clone, "done");
    assert!(matches!(lost, Err(NotFinished::Store(StoreError::Unreachable { .. }))), "{lost:?}");
    assert_eq!(*store.kept.lock().unwrap(), [Record::default()], "without the intent");
}

type Wanted = BTreeMap<(Kind, Key), Arc<Desired>>;

/// The shortest planner that can be: what is recorded and not wanted goes, what is wanted comes.
fn small_plan(wanted: &Wanted, memory: &Memory, record: &Record) -> Plan {
    let contents: BTreeMap<(Kind, Key), Observed> =
        memory.contents().into_iter().map(|(kind, o)| ((kind, o.key.clone()), o)).collect();
    let nothing = EndpointRecord::default();
    let entries = &record.endpoints.get(&EndpointName::only()).unwrap_or(&nothing).entries;
    let mut ops: Vec<Operation> = Vec::new();
    let mut push = |place: &(Kind, Key), change: Change, inside: Option<&dyn Fn(&Operation) -> bool>| {
        let number = u32::try_from(ops.len()).unwrap() + 1;
        let before: Vec<u32> = ops.iter().filter(|op| inside.is_some_and(|f| f(op))).map(|op| op.id.0).collect();
        let resource = ResourceId { target: target(), kind: place.0.clone(), key: place.1.clone() };
        ops.push(operation(number, resource, change, &before));
    };
    let parent = |item: &Key| item.project(&[0]);
    // Kinds sort as box, item: deletes run backwards through them, creates forwards.
    for (place, entry) in entries.iter().rev().filter(|(place, _)| !wanted.contains_key(place)) {
        let child = |op: &Operation| parent(&op.resource.key).as_ref() == Some(&place.1);
        match contents.get(place) {
            None => push(place, Change::Forget { entry: Box::new((**entry).clone()), why: "gone" }, None),
            Some(observed) => {
                let rule = OwnRule::Recorded { mark: &mark(), verified: true };
                let owned = Box::new(Owned::claim(observed.clone(), Some(entry), rule).unwrap());
                let change = Change::Delete { owned, entry: Some(Box::new((**entry).clone())) };
                push(place, change, (place.0.as_str() == "box").then_some(&child));
            }
        }
    }
    for (place, desired) in wanted {
        let maker = |op: &Operation| {
            op.change.action() == Action::Create && parent(&place.1).as_ref() == Some(&op.resource.key)
        };
        let inside = (place.0.as_str() == "item").then_some(&maker as &dyn Fn(&Operation) -> bool);
        match contents.get(place) {
            None => push(place, Change::Create { desired: Arc::clone(desired) }, inside),
            Some(base) if !fields_between(desired, base).is_empty() => {
                let (desired, base) = (Arc::clone(desired), Box::new(base.clone()));
                push(place, Change::Update { desired, base, remove: Vec::new() }, None);
            }
            Some(base) if !entries.contains_key(place) => {
                let (desired, observed) = (Arc::clone(desired), Box::new(base.clone()));
                push(place, Change::Adopt { desired, observed }, None);
            }
            Some(_) => {}
        }
    }
    plan_of(ops)
}

fn head(number: u64) -> RecordHead {
    RecordHead {
        number,
        time: 0,
        commit: Revision::parse(&"a".repeat(40)).unwrap(),
        snapshot: Digest::of(b"s"),
        checksum: Digest::of(b"c"),
        folder: String::new(),
        who: String::new(),
        result: "done".into(),
        done: 0,
        undone: 0,
        duration_ms: None,
        token: None,
        guard: Guard::default(),
        own: Own::Recorded,
    }
}

/// One whole run; `polls` says after how many steps it is killed. Returns true if it came to its end.
async fn run_once(world: &World, store: &Arc<Records>, wanted: &Wanted, pid: u32, polls: Option<u64>) -> bool {
    let alive = |p: &Process| p.pid == pid;
    let Free { tip, mut record } =
        free(store, &name(), &here(pid), &alive, Duration::ZERO, &world.clock).await.unwrap();
    let contents = world.memory.contents();
    for open in record.intents.clone() {
        let found = |op: &IntentOp| contents.iter().find(|(kind, o)| *kind == op.kind && o.key == op.key);
        let look = |op: &IntentOp| found(op).map_or(Seen::Absent, |(_, observed)| Seen::There(observed));
        let as_sent = |_: &IntentOp, sent: &Canonical, found: &Observed| found.value().unwrap() == sent.value();
        let settled = settle_intent(&record, &open, &mark(), &look, &as_sent);
        assert_eq!(settled.in_doubt, []);
        record = settled.record;
    }
    let plan = small_plan(wanted, &world.memory, &record);
    let operations = intent_ops(&plan, &target(), &Plain);
    let share = Share { name: name(), tip, record, operations };
    let (id, me) = (format!("run-{pid}"), here(pid));
    let run = Run::begin(Arc::clone(store), vec![share], &id, &me, "c", "s", &world.clock).unwrap();
    let applied = {
        let mut applying = pin!(world.apply_through(&plan, &run));
        let mut polled = 0;
        loop {
            if polls.is_some_and(|polls| polled >= polls) {
                return false;
            }
            polled += 1;
            if let std::task::Poll::Ready(applied) = futures::poll!(applying.as_mut()) {
                break applied;
            }
            tokio::task::yield_now().await;
        }
    };
    let after =
        |before: &Record| record_after(before, &target(), &plan, &applied.results, &BTreeMap::new(), head(1), &Plain);
    run.finish(&target(), after, "outcome").unwrap();
    true
}

#[tokio::test]
async fn a_run_that_is_killed_anywhere_is_settled_and_the_next_converges() {
    let (mut killed, mut in_time) = (0, 0);
    for seed in seeds(500) {
        let world = World::with(Manners::default(), scripted(), 3, None);
        let store = Arc::new(Records::default());
        let chance = Entropy::seeded(seed);
        let mut pid = 0;
        // Four generations of what is wanted, each killed some times on the way; answers get lost as well.
        let mut wanted = Wanted::new();
        for generation in 0..4 {
            wanted = Wanted::new();
            for b in ["a", "b", "c", "d"].iter().filter(|_| !chance.next().is_multiple_of(3)) {
                let v = chance.next() % 2;
                wanted.insert((Kind::new("box"), Key::of_texts(&[b])), desired("box", &[b], v));
                for i in ["x", "y"].iter().filter(|_| !chance.next().is_multiple_of(3)) {
                    let item = desired("item", &[b, i], generation);
                    wanted.insert((Kind::new("item"), Key::of_texts(&[b, i])), item);
                }
            }
            let faults = Entropy::seeded(seed * 31 + generation);
            world.memory.on_request(move |_| match faults.next() % 10 {
                0 => Some(Fault::DropAnswer),
                1 => Some(Fault::Unsent),
                _ => None,
            });
            for _ in 0..chance.next() % 3 {
                pid += 1;
                let ended = run_once(&world, &store, &wanted, pid, Some(chance.next() % 25)).await;
                (killed, in_time) = if ended { (killed, in_time + 1) } else { (killed + 1, in_time) };
                assert_no_duplicate(&world.memory, seed);
            }
        }
        world.memory.calm();
        pid += 1;
        assert!(run_once(&world, &store, &wanted, pid, None).await);
        let there: BTreeMap<_, _> =
            world.memory.contents().into_iter().map(|(kind, o)| ((kind, o.key.clone()), o)).collect();
        let record = store.read(&name()).unwrap().1;
        let owned: Vec<_> = record.endpoints.values().flat_map(|e| e.entries.keys()).collect();
        assert_eq!(there.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "seed {seed}: no orphan");
        assert_eq!(owned, wanted.keys().collect::<Vec<_>>(), "seed {seed}: all of it is owned");
        assert!(there.iter().all(|(place, o)| fields_between(&wanted[place], o).is_empty()), "seed {seed}");
        assert!(record.intents.is_empty());
        assert!(small_plan(&wanted, &world.memory, &record).is_empty(), "seed {seed}: a second plan is empty");
    }
    assert!(killed > 300 && in_time > 50, "{killed} killed, {in_time} not");
}
