//! Plans carried out at targets that fail, conflict and forget.

use super::*;
use crate::target::Fault;

fn ids(n: u32) -> Vec<String> {
    (1..=n).map(|i| format!("n{i:05}")).collect()
}

#[tokio::test]
async fn a_phase_starts_when_the_one_before_has_finished_and_edges_hold_inside_it() {
    let world = World::new(Manners::default());
    for name in ["a", "old", "older"] {
        world.memory.put(&Kind::new("box"), &Key::of_texts(&[name]), value_of("box", &[name], 0));
    }
    let plan = plan_of(vec![
        delete(1, &world.memory, "box", &["old"], &[]),
        delete(2, &world.memory, "box", &["older"], &[]),
        create(3, "item", &["new", "x"], &[4]),
        create(4, "box", &["new"], &[]),
        update(5, &world.memory, "box", &["a"], 2),
    ]);
    let applied = world.apply(&plan).await;
    assert_eq!(endings(&applied), ["done"; 5]);
    assert_eq!(world.started(), [1, 2, 4, 3, 5]);
}

#[tokio::test]
async fn a_failure_skips_what_depends_on_it_and_nothing_else() {
    let world = World::new(Manners::default());
    world.memory.on_request(|r| (r.what == "box/a").then_some(Fault::Refuse));
    let plan = plan_of(vec![
        create(1, "box", &["a"], &[]),
        create(2, "box", &["b"], &[]),
        create(3, "item", &["a", "x"], &[1]),
        create(4, "item", &["b", "x"], &[2]),
        create(5, "link", &["l"], &[3]),
    ]);
    let applied = world.apply(&plan).await;
    assert_eq!(endings(&applied), ["failed", "done", "skipped", "done", "skipped"]);
    assert_eq!(applied.results[4].ending, Ending::Skipped { why: "op-3 was skipped, and this depends on it".into() });
    assert_eq!(applied.counts(), Counts { done: 2, failed: 1, skipped: 2, ..Counts::default() });
}

#[tokio::test]
async fn what_is_held_waits_with_all_that_hangs_on_it_and_the_rest_goes_on() {
    let mut world = World::new(Manners::default());
    for name in ["old", "swap"] {
        world.memory.put(&Kind::new("box"), &Key::of_texts(&[name]), value_of("box", &[name], 0));
    }
    let mut plan = plan_of(vec![
        delete(1, &world.memory, "box", &["old"], &[]),
        delete(2, &world.memory, "box", &["swap"], &[]),
        create(3, "box", &["swap"], &[2]),
        create(4, "item", &["swap", "x"], &[3]),
        create(5, "box", &["free"], &[]),
    ]);
    plan.operations[1].replaces = Some(OpId(3));
    plan.operations[2].replaces = Some(OpId(2));
    world.held = held(&plan, &|op| (op.id == OpId(3)).then(|| "it failed a moment ago".to_owned()));
    let applied = world.apply(&plan).await;
    assert_eq!(endings(&applied), ["done", "skipped", "skipped", "skipped", "done"]);
    assert_eq!(applied.results[2].ending, Ending::Skipped { why: "it failed a moment ago".into() });
    let swap = Key::of_texts(&["swap"]);
    assert!(world.memory.contents().iter().any(|(_, there)| there.key == swap), "it is not deleted by halves");
}

#[tokio::test]
async fn a_refused_target_is_not_touched_and_the_other_goes_on() {
    let mut world = World::new(Manners::default());
    let other = Memory::new(kinds(), Manners::default(), world.clock.clone());
    world.add("u", other.clone(), 4, None);
    let mut there = create(2, "box", &["b"], &[]);
    there.resource.target = "u".parse().unwrap();
    let mut plan = plan_of(vec![create(1, "box", &["a"], &[]), there]);
    plan.refusals.push(Refusal {
        gate: "deletes",
        target: target(),
        endpoint: None,
        kind: None,
        message: "too many".into(),
        help: String::new(),
    });
    assert_eq!(endings(&world.apply(&plan).await), ["skipped", "done"]);
    assert_eq!((world.memory.requests().len(), other.contents().len()), (0, 1));
}

#[tokio::test]
async fn phases_of_two_targets_that_wait_for_each_other_do_not_stall() {
    let mut world = World::new(Manners::default());
    let other = Memory::new(kinds(), Manners::default(), world.clock.clone());
    other.put(&Kind::new("box"), &Key::of_texts(&["y"]), value_of("box", &["y"], 0));
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["w"]), value_of("box", &["w"], 0));
    let mut y = update(1, &other, "box", &["y"], 2);
    let mut z = create(3, "box", &["z"], &[2]);
    (y.resource.target, z.resource.target) = ("u".parse().unwrap(), "u".parse().unwrap());
    world.add("u", other, 4, None);
    let w = update(2, &world.memory, "box", &["w"], 2);
    let x = create(4, "box", &["x"], &[1]);
    assert_eq!(endings(&world.apply(&plan_of(vec![y, w, z, x])).await), ["done"; 4]);
}

#[tokio::test]
async fn a_conflict_is_tried_exactly_six_times_and_always_with_the_precondition() {
    let world = World::new(Manners::default());
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], 0));
    let plan = plan_of(vec![update(1, &world.memory, "box", &["a"], 2)]);
    world.memory.on_request(|r| (r.verb == "update").then_some(Fault::Touch));
    let applied = world.apply(&plan).await;
    assert_eq!(endings(&applied), ["conflict"]);
    assert_eq!(world.requests().iter().filter(|r| r.starts_with("update")).count(), 6);
    assert_eq!(seen(&world.memory, "box", &["a"]).value().unwrap(), value_of("box", &["a"], 0));
}

#[tokio::test]
async fn a_conflict_that_passes_is_planned_again_and_done() {
    let world = World::new(Manners::default());
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], 0));
    let plan = plan_of(vec![update(1, &world.memory, "box", &["a"], 2)]);
    let mut left = 3;
    world.memory.on_request(move |r| {
        left -= i32::from(r.verb == "update");
        (r.verb == "update" && left > 0).then_some(Fault::Touch)
    });
    assert_eq!(endings(&world.apply(&plan).await), ["done"]);
    assert_eq!(world.requests(), ["update box/a", "read box/a", "update box/a", "read box/a", "update box/a"]);
}

#[tokio::test]
async fn without_conditional_writes_a_fresh_read_comes_first_and_a_change_stops_the_write() {
    let manners = Manners { conditional: false, ..Manners::default() };
    let world = World::new(manners);
    for name in ["a", "b"] {
        world.memory.put(&Kind::new("box"), &Key::of_texts(&[name]), value_of("box", &[name], 0));
    }
    let plan = plan_of(vec![update(1, &world.memory, "box", &["a"], 2), delete(2, &world.memory, "box", &["b"], &[])]);
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["b"]), value_of("box", &["b"], 9));
    assert_eq!(endings(&world.apply(&plan).await), ["done", "conflict"]);
    let mut requests = world.requests();
    requests.sort();
    assert_eq!(requests, ["list box", "update box/a"], "one list serves both");
}

#[tokio::test]
async fn a_single_change_is_read_afresh_by_itself() {
    let world = World::new(Manners { conditional: false, ..Manners::default() });
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], 0));
    let plan = plan_of(vec![update(1, &world.memory, "box", &["a"], 2)]);
    assert_eq!(endings(&world.apply(&plan).await), ["done"]);
    assert_eq!(world.requests(), ["read box/a", "update box/a"]);
}

#[tokio::test]
async fn lost_answers_make_no_duplicate() {
    let names = ids(10);
    let mut in_doubt = 0;
    for seed in 0..1_000 {
        let look_up = seed % 4 != 0;
        let world = World::new(Manners { unique_keys: seed % 2 == 0, look_up, ..Manners::default() });
        let chance = Entropy::seeded(seed);
        world.memory.on_request(move |r| match (r.verb, chance.next() % 20) {
            ("create", 0..4) => Some(Fault::DropAnswer),
            ("create", 4) => Some(Fault::LoseRequest),
            (_, 5) => Some(Fault::Unsent),
            _ => None,
        });
        let creates = names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[]));
        let plan = plan_of(creates.collect());
        let applied = world.apply(&plan).await;
        assert_no_duplicate(&world.memory, seed);
        let there: BTreeSet<Key> = world.memory.contents().into_iter().map(|(_, o)| o.key).collect();
        for (op, result) in plan.operations.iter().zip(&applied.results) {
            let is_there = there.contains(&op.resource.key);
            match result.ending {
                Ending::Done => assert!(is_there, "seed {seed}: {} is not there", op.id),
                Ending::InDoubt { .. } => in_doubt += 1,
                _ => assert!(!is_there, "seed {seed}: {} is there: {:?}", op.id, result.ending),
            }
            assert!(!look_up || !matches!(result.ending, Ending::InDoubt { .. }), "seed {seed}: {result:?}");
        }
    }
    assert!(in_doubt > 100, "where nobody can look, it is in doubt: {in_doubt}");
}

#[tokio::test]
async fn a_lost_create_that_turns_out_different_is_in_doubt() {
    let world = World::new(Manners::default());
    let other = world.memory.clone();
    world.memory.on_request(move |r| (r.verb == "create").then_some(Fault::LoseRequest));
    other.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], 9));
    assert_eq!(endings(&world.apply(&plan_of(vec![create(1, "box", &["a"], &[])])).await), ["in doubt"]);
    assert_eq!(world.requests(), ["create box/a", "read box/a"]);
}

#[tokio::test]
async fn a_lost_create_is_ours_only_if_what_is_there_bears_our_mark() {
    let mut world = World::new(Manners::default());
    let mut table = kinds();
    let owner = OwnerRule { at: FieldPath::parse("owner"), template: Value::from("{mark}"), element: false };
    table.kinds.get_mut(&Kind::new("box")).unwrap().owner = Some(owner);
    world.memory = Memory::new(table, Manners::default(), world.clock.clone());
    world.add("t", world.memory.clone(), 8, None);
    let lost = |r: &crate::target::Request| (r.verb == "create").then_some(Fault::LoseRequest);
    world.memory.on_request(lost);
    // Somebody else makes the very same thing while our request is on its way to nowhere.
    world.memory.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], 1));
    let applied = world.apply(&plan_of(vec![create(1, "box", &["a"], &[])])).await;
    assert_eq!(endings(&applied), ["in doubt"], "an equal object of somebody else's is not ours");
}

#[tokio::test]
async fn a_lost_update_or_delete_is_looked_at_and_not_blindly_repeated() {
    let world = World::new(Manners::default());
    for name in ["a", "b"] {
        world.memory.put(&Kind::new("box"), &Key::of_texts(&[name]), value_of("box", &[name], 0));
    }
    let plan = plan_of(vec![delete(1, &world.memory, "box", &["b"], &[]), update(2, &world.memory, "box", &["a"], 2)]);
    world.memory.on_request(|r| (r.verb != "read").then_some(Fault::DropAnswer));
    assert_eq!(endings(&world.apply(&plan).await), ["done", "done"]);
    assert_eq!(world.requests(), ["delete box/b", "read box/b", "update box/a", "read box/a"]);
}

#[tokio::test]
async fn retry_after_holds_for_the_whole_endpoint() {
    let world = World::with(Manners::default(), scripted(), 1, None);
    let mut first = true;
    world.memory.on_request(move |_| std::mem::take(&mut first).then_some(Fault::Throttle(Duration::from_secs(30))));
    let plan = plan_of(vec![create(1, "box", &["a"], &[]), create(2, "box", &["b"], &[])]);
    assert_eq!(endings(&world.apply(&plan).await), ["done", "done"]);
    let at: Vec<u64> = world.memory.requests().iter().map(|r| r.at.as_secs()).collect();
    assert_eq!(at[0], 0);
    assert!(at[1..].iter().all(|at| (30..=35).contains(at)), "{at:?}");
}

#[tokio::test]
async fn a_server_that_is_down_sees_no_storm() {
    let world = World::new(Manners::default());
    world.memory.on_request(|_| Some(Fault::Unsent));
    let names = ids(500);
    let plan = plan_of(names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[])).collect());
    let applied = world.apply(&plan).await;
    assert_eq!(applied.counts().failed, 500);
    let seconds = world.clock.boot().as_secs_f64().max(10.0);
    let requests = world.memory.requests().len() as f64;
    assert!(requests <= 500.0 * 1.2 + seconds, "{requests} requests in {seconds} s");
}

#[tokio::test]
async fn the_rate_is_never_exceeded() {
    let rate = Rate { per_second: 20.0, burst: 5 };
    let world = World::with(Manners::default(), scripted(), 1, Some(rate));
    let names = ids(200);
    let plan = plan_of(names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[])).collect());
    assert_eq!(world.apply(&plan).await.counts().done, 200);
    let at: Vec<f64> = world.memory.requests().iter().map(|r| r.at.as_secs_f64()).collect();
    for (i, from) in at.iter().enumerate() {
        for (n, to) in at[i..].iter().enumerate() {
            assert!((n + 1) as f64 <= 5.0 + 20.0 * (to - from) + 1e-6);
        }
    }
}

#[tokio::test]
async fn no_more_writes_are_under_way_than_the_api_bears() {
    for (writers, most) in [(None, 8), (Some(3), 3), (Some(1), 1), (Some(0), 1), (Some(99), 8)] {
        let mut world = World::new(Manners::default());
        let peers = std::mem::take(&mut world.endpoints);
        world.endpoints = peers.into_iter().map(|(place, peer)| (place, peer.with_writers(writers))).collect();
        assert!(world.endpoints.values().all(|peer| (peer.writers, peer.concurrency) == (most, 8)));
        let names = ids(20);
        let plan = plan_of(names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[])).collect());
        assert_eq!(world.apply(&plan).await.counts().done, 20);
        let (mut running, mut peak) = (0_usize, 0);
        for event in world.events.lock().unwrap().iter() {
            match event {
                Event::Started { .. } => running += 1,
                Event::Finished { .. } => running -= 1,
                _ => {}
            }
            peak = peak.max(running);
        }
        assert_eq!(peak, most, "{writers:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_once_the_gate_is_shut() {
    let world = World::with(Manners::default(), scripted(), 1, None);
    let asked = Mutex::new(0);
    let gate = |_: &TargetName| -> Result<(), String> {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked > 3 { Err("late".into()) } else { Ok(()) }
    };
    let names = ids(10);
    let plan = plan_of(names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[])).collect());
    let applied = world.apply_through(&plan, &gate).await;
    assert_eq!(world.memory.requests().len(), 3);
    assert_eq!(applied.counts(), Counts { done: 3, skipped: 7, ..Counts::default() });
    assert!(applied.stopped.is_some_and(|why| why.contains("late")));
}

#[tokio::test]
async fn the_gate_is_asked_before_every_attempt() {
    let world = World::new(Manners::default());
    world.memory.on_request(|_| Some(Fault::Unsent));
    let asked = Mutex::new(0);
    let gate = |_: &TargetName| -> Result<(), String> {
        *asked.lock().unwrap() += 1;
        Ok(())
    };
    world.apply_through(&plan_of(vec![create(1, "box", &["a"], &[])]), &gate).await;
    assert_eq!((*asked.lock().unwrap(), world.memory.requests().len()), (4, 4));
}

#[tokio::test]
async fn on_error_stop_starts_nothing_new() {
    let mut world = World::with(Manners::default(), scripted(), 1, None);
    world.on_error = OnError::Stop;
    world.memory.on_request(|r| (r.what == "box/b").then_some(Fault::Refuse));
    let plan = plan_of(["a", "b", "c"].iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[])).collect());
    assert_eq!(endings(&world.apply(&plan).await), ["done", "failed", "skipped"]);
}

#[tokio::test]
async fn a_cancelled_run_finishes_what_is_under_way_and_starts_nothing_new() {
    let world = World::with(Manners::default(), scripted(), 2, None);
    let (cancel, names) = (world.cancel.clone(), ids(10));
    let mut count = 0;
    world.memory.on_request(move |_| {
        count += 1;
        if count == 4 {
            cancel.cancel();
        }
        None
    });
    let plan = plan_of(names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[])).collect());
    let applied = world.apply(&plan).await;
    let counts = applied.counts();
    assert!(counts.done >= 3 && counts.done <= 5, "{counts:?}");
    assert_eq!((counts.done, counts.done + counts.skipped), (world.memory.contents().len(), 10));
    assert_eq!(applied.stopped.as_deref(), Some("interrupted"));
}

#[tokio::test]
async fn what_answers_do_not_show_is_read_back_by_one_list() {
    let world = World::new(Manners { echoes: false, ..Manners::default() });
    let names = ids(20);
    let plan = plan_of(names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[])).collect());
    let applied = world.apply(&plan).await;
    assert!(applied.results.iter().all(|result| result.observed.is_some()));
    assert_eq!(world.memory.requests().len(), 21);
    assert_eq!(world.requests().last().map(String::as_str), Some("list box"));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_is_unanswered_and_looked_up() {
    let world = World::with(Manners::default(), Clock::System, 4, None);
    let mut first = true;
    world.memory.on_request(move |_| std::mem::take(&mut first).then_some(Fault::Slow(Duration::from_secs(3_600))));
    assert_eq!(endings(&world.apply(&plan_of(vec![create(1, "box", &["a"], &[])])).await), ["done"]);
    assert_eq!(world.requests(), ["create box/a", "read box/a", "create box/a"]);
}

#[tokio::test(start_paused = true)]
async fn under_election_a_write_ends_before_anybody_else_can_be_elected() {
    for (fence, requests) in [(None, 1), (Some(Fence(3)), 3)] {
        let world = World { fence, ..World::with(Manners::default(), Clock::System, 4, None) };
        let mut first = true;
        world.memory.on_request(move |_| std::mem::take(&mut first).then_some(Fault::Slow(Duration::from_secs(12))));
        assert_eq!(endings(&world.apply(&plan_of(vec![create(1, "box", &["a"], &[])])).await), ["done"]);
        assert_eq!(world.requests().len(), requests, "{fence:?}: given up after 10 s, looked up, sent again");
    }
}

#[tokio::test]
async fn ten_thousand_operations_are_cheap_to_schedule() {
    let world = World::with(Manners::default(), scripted(), 64, None);
    let names = ids(10_000);
    let creates = names.iter().zip(2..).map(|(name, i)| create(i, "item", &["a", name], &[1]));
    let plan = plan_of(std::iter::once(create(1, "box", &["a"], &[])).chain(creates).collect());
    assert_eq!(world.apply(&plan).await.counts().done, 10_001);
}

#[tokio::test]
async fn many_lost_creates_of_one_scope_are_looked_up_by_one_list() {
    let names = ids(6);
    let world = World::new(Manners::default());
    let mut seen = BTreeSet::new();
    // The first answer to each create is lost: to the even ones after it arrived, to the odd ones before.
    world.memory.on_request(move |r| match r.verb {
        "create" if seen.insert(r.what.clone()) => {
            Some(if seen.len() % 2 == 0 { Fault::DropAnswer } else { Fault::LoseRequest })
        }
        _ => None,
    });
    let creates = names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[]));
    let applied = world.apply(&plan_of(creates.collect())).await;
    assert_eq!(applied.counts().done, 6, "{applied:?}");
    assert_no_duplicate(&world.memory, 0);
    let requests = world.requests();
    let count = |verb: &str| requests.iter().filter(|r| r.starts_with(verb)).count();
    assert_eq!((count("create"), count("read")), (9, 0), "{requests:?}");
    assert!(count("list") < 3, "{requests:?}");
}

#[tokio::test]
async fn where_the_list_fails_each_lost_create_is_looked_up_by_itself() {
    let names = ids(3);
    let world = World::new(Manners::default());
    world.memory.on_request(move |r| match r.verb {
        "create" => Some(Fault::DropAnswer),
        "list" => Some(Fault::Deny),
        _ => None,
    });
    let creates = names.iter().zip(1..).map(|(name, i)| create(i, "box", &[name], &[]));
    let applied = world.apply(&plan_of(creates.collect())).await;
    assert_eq!(applied.counts().done, 3, "{applied:?}");
    assert_eq!(world.requests().iter().filter(|r| r.starts_with("read")).count(), 3);
}

#[tokio::test]
async fn a_create_that_failed_over_what_the_server_makes_by_itself_failed_and_is_not_in_doubt() {
    for (fault, ending) in [(Fault::Fail, "failed"), (Fault::LoseRequest, "in doubt")] {
        let mut world = World::new(Manners::default());
        let mut table = kinds();
        let of_the_server = Match { fields: vec![(FieldPath::parse("name"), Some("a".into()))] };
        table.kinds.get_mut(&Kind::new("box")).unwrap().keep = vec![of_the_server];
        world.memory = Memory::new(table, Manners::default(), world.clock.clone());
        world.add("t", world.memory.clone(), 8, None);
        world.memory.on_request(move |r| (r.verb == "create").then_some(fault.clone()));
        world.memory.put(&Kind::new("box"), &Key::of_texts(&["a"]), value_of("box", &["a"], 9));
        let applied = world.apply(&plan_of(vec![create(1, "box", &["a"], &[])])).await;
        assert_eq!(endings(&applied), [ending]);
    }
}

#[tokio::test]
async fn a_write_at_which_the_server_failed_is_told_with_what_to_do() {
    let world = World::new(Manners::default());
    world.memory.on_request(|r| (r.verb == "create").then_some(Fault::Fail));
    let applied = world.apply(&plan_of(vec![create(1, "box", &["a"], &[])])).await;
    let told = applied.results.iter().any(|result| {
        matches!(&result.ending, Ending::Failed { help: Some(help), .. } if help.contains("the server's own log"))
    });
    assert!(told, "{applied:?}");
}
