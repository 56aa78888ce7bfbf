//! The machine of `watch`, fed with inputs and asked for commands.

use super::*;
use crate::model::Digest;
use crate::world::{Entropy, seeds};

const SECOND: Duration = Duration::from_secs(1);

fn target(name: &str) -> TargetName {
    name.parse().unwrap()
}

fn place(target_name: &str, endpoint: &str) -> Place {
    (target(target_name), endpoint.parse().unwrap())
}

fn wanted(text: &str, targets: &[&str]) -> Input {
    let digest = Digest::of(text.as_bytes());
    Input::Looked(Looked::Moved { wanted: targets.iter().map(|t| (target(t), digest)).collect() })
}

fn machine(targets: &[&str], elected: bool) -> Machine {
    let pace = Pace::every(30 * SECOND);
    let mut machine = Machine::new(pace, false, elected, 7, Duration::ZERO);
    machine.know(&targets.iter().map(|t| place(t, "default")).collect(), Duration::ZERO);
    machine
}

/// A machine that has loaded and whose targets are all in sync, with the time that it is.
fn settled(targets: &[&str]) -> (Machine, Duration) {
    let mut machine = machine(targets, false);
    let now = 2 * SECOND;
    assert_eq!(machine.step(now, Input::Tick), [Command::Look]);
    let commands = machine.step(now, wanted("first", targets));
    assert_eq!(cycles(&commands).len(), targets.len());
    for name in targets {
        machine.step(now, clean(name));
    }
    (machine, now)
}

fn clean(name: &str) -> Input {
    Input::Cycled(target(name), Box::new(Ended { clean: true, ..reached(Reach::Whole) }))
}

fn reached(reach: Reach) -> Ended {
    Ended { endpoints: [("default".parse().unwrap(), reach)].into(), ..Ended::default() }
}

fn failed(address: &str, text: &str) -> Tried {
    let wanted = Some(Digest::of(text.as_bytes()));
    Tried { address: address.to_owned(), wanted, done: false, why: "422".to_owned(), corrected: Vec::new() }
}

fn silence(why: &str, until: Option<Duration>) -> Silence {
    Silence { why: why.to_owned(), until }
}

fn cycles(commands: &[Command]) -> Vec<(TargetName, Job)> {
    let cycle = |command: &Command| match command {
        Command::Cycle(target, job) => Some((target.clone(), job.clone())),
        _ => None,
    };
    commands.iter().filter_map(cycle).collect()
}

#[test]
fn a_hundred_thousand_hints_are_two_looks_in_five_seconds() {
    let (mut machine, mut now) = settled(&["a"]);
    let mut looks = Vec::new();
    for _ in 0..100_000 {
        now += Duration::from_micros(50);
        for command in machine.step(now, Input::Hint) {
            assert_eq!(command, Command::Look);
            looks.push(now);
            assert_eq!(machine.step(now, Input::Looked(Looked::Same)), []);
        }
    }
    assert!((1..=2).contains(&looks.len()), "{looks:?}");
    assert_eq!(machine.step(now + Duration::from_micros(50), Input::Hint), []);
    assert!(machine.next(now).unwrap() <= now + Duration::from_millis(2501), "and the last hint is not forgotten");
}

#[test]
fn watchers_that_start_together_look_apart_and_soon() {
    for (interval, longest) in [(30, 3), (86_400, 30)] {
        let first = |chance| {
            let mut machine = Machine::new(Pace::every(interval * SECOND), false, false, chance, SECOND);
            (0..40).map(|at| SECOND * at).find(|now| machine.step(*now, Input::Tick).contains(&Command::Look))
        };
        let firsts: std::collections::BTreeSet<_> = (0..50).map(|chance| first(chance).unwrap()).collect();
        assert!(firsts.len() > 2 && firsts.iter().all(|at| *at <= SECOND * (longest + 2)), "{interval}: {firsts:?}");
    }
}

#[test]
fn a_hint_during_a_look_is_a_look_after_it() {
    let (mut machine, now) = settled(&["a"]);
    let later = now + 10 * SECOND;
    assert_eq!(machine.step(later, Input::Hint), [Command::Look]);
    assert_eq!(machine.step(later, Input::Hint), []);
    let done = later + 3 * SECOND;
    assert_eq!(machine.step(done, Input::Looked(Looked::Same)), [Command::Look]);
}

#[test]
fn cycles_of_a_target_never_overlap_and_a_commit_meanwhile_is_not_lost() {
    let (mut machine, now) = settled(&["a"]);
    let commands = machine.step(now, wanted("second", &["a"]));
    assert_eq!(cycles(&commands).len(), 1);
    assert_eq!(cycles(&machine.step(now + SECOND, wanted("third", &["a"]))).len(), 0);
    assert_eq!(cycles(&machine.step(now + 2 * SECOND, clean("a"))).len(), 1);
}

#[test]
fn an_endpoint_that_is_away_is_probed_every_ten_seconds_and_comes_back_at_once() {
    let (mut machine, mut now) = settled(&["a", "b"]);
    let commands = machine.step(now, wanted("second", &["a", "b"]));
    assert_eq!(cycles(&commands).len(), 2);
    machine.step(now, clean("b"));
    let away = Input::Cycled(target("a"), Box::new(reached(Reach::Away("connection refused".to_owned()))));
    assert_eq!(machine.step(now, away), []);
    for _ in 0..3 {
        assert!(machine.next(now).unwrap() <= now + 10 * SECOND);
        now += 10 * SECOND;
        let commands = machine.step(now, Input::Tick);
        assert!(commands.contains(&Command::Probe(place("a", "default"))), "{commands:?}");
        assert!(cycles(&commands).iter().all(|(name, _)| *name == target("b")), "nobody else is held up");
        for (name, _) in cycles(&commands) {
            machine.step(now, clean(name.as_str()));
        }
        if commands.contains(&Command::Look) {
            machine.step(now, Input::Looked(Looked::Same));
        }
        machine.step(now, Input::Probed(place("a", "default"), Err(silence("connection refused", None))));
    }
    now += 10 * SECOND;
    machine.step(now, Input::Tick);
    let commands = machine.step(now, Input::Probed(place("a", "default"), Ok(())));
    let (name, job) = cycles(&commands).into_iter().find(|(name, _)| *name == target("a")).unwrap();
    assert!(job.away.is_empty(), "{name} takes part again");
}

#[test]
fn an_endpoint_that_is_late_is_probed_at_once_and_waited_for_the_next_time() {
    let mut machine = Machine::new(Pace::every(30 * SECOND), false, false, 7, Duration::ZERO);
    machine.know(&[place("a", "quick"), place("a", "slow")].into(), Duration::ZERO);
    let now = 2 * SECOND;
    machine.step(now, Input::Tick);
    assert_eq!(cycles(&machine.step(now, wanted("first", &["a"]))).len(), 1);
    let (quick, slow): (EndpointName, EndpointName) = ("quick".parse().unwrap(), "slow".parse().unwrap());
    let late = || {
        let reaches = [(quick.clone(), Reach::Whole), (slow.clone(), Reach::Late("slow".to_owned()))];
        Input::Cycled(target("a"), Box::new(Ended { endpoints: reaches.into(), ..Ended::default() }))
    };
    assert_eq!(machine.step(now, late()), [Command::Probe(place("a", "slow"))]);
    // A commit meanwhile does not wait for it.
    let commands = machine.step(now, wanted("second", &["a"]));
    let (_, job) = cycles(&commands).pop().unwrap();
    assert!(job.away.contains(&slow) && !job.away.contains(&quick));
    let whole = |endpoints: &[&EndpointName]| {
        let endpoints = endpoints.iter().map(|endpoint| ((*endpoint).clone(), Reach::Whole)).collect();
        Input::Cycled(target("a"), Box::new(Ended { endpoints, ..Ended::default() }))
    };
    assert_eq!(machine.step(now, whole(&[&quick])), []);
    // It answers: the next cycle gives it all the time that it needs, and only that one.
    let (_, job) = cycles(&machine.step(now, Input::Probed(place("a", "slow"), Ok(())))).pop().unwrap();
    assert!(job.away.is_empty() && job.patient.contains(&slow));
    machine.step(now, whole(&[&quick, &slow]));
    let (_, job) = cycles(&machine.step(now, wanted("third", &["a"]))).pop().unwrap();
    assert!(job.away.is_empty() && job.patient.is_empty());
    // It does not: it is away like any other.
    machine.step(now, late());
    machine.step(now, Input::Probed(place("a", "slow"), Err(silence("no answer", None))));
    let watched = machine.target(&target("a")).unwrap();
    assert!(watched.troubled[&slow].away && !watched.troubled[&slow].late);
    assert!(!machine.step(now + 9 * SECOND, Input::Tick).contains(&Command::Probe(place("a", "slow"))));
}

#[test]
fn a_failing_resource_waits_longer_each_time_and_always_comes_back() {
    let (mut machine, mut now) = settled(&["a"]);
    let mut commands = machine.step(now, wanted("second", &["a"]));
    let mut waits = Vec::new();
    let mut tried_at = now;
    for _ in 0..200 {
        for (_, job) in cycles(&commands) {
            let operations = match job.waiting.contains_key("a:b/c") {
                true => Vec::new(),
                false => {
                    waits.push((now - tried_at).as_secs());
                    tried_at = now;
                    vec![failed("a:b/c", "second")]
                }
            };
            machine.step(now, Input::Cycled(target("a"), Box::new(Ended { operations, ..reached(Reach::Whole) })));
        }
        if commands.contains(&Command::Look) {
            machine.step(now, Input::Looked(Looked::Same));
        }
        now = machine.next(now).unwrap().max(now + Duration::from_millis(1));
        commands = machine.step(now, Input::Tick);
    }
    assert!(waits.len() > 12, "{waits:?}");
    assert!(waits.windows(2).take(8).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 300), "{waits:?}");
    assert!(*waits.last().unwrap() >= 200, "{waits:?}");
}

#[test]
fn another_manifest_of_a_failing_resource_is_tried_at_once() {
    let (mut machine, now) = settled(&["a"]);
    machine.step(now, wanted("second", &["a"]));
    let ended = Ended { operations: vec![failed("a:b/c", "second")], ..reached(Reach::Whole) };
    machine.step(now, Input::Cycled(target("a"), Box::new(ended)));
    let commands = machine.step(now + Duration::from_millis(10), wanted("third", &["a"]));
    let (_, job) = cycles(&commands).remove(0);
    let (digest, why) = &job.waiting["a:b/c"];
    assert_eq!((*digest, why.as_str()), (Some(Digest::of(b"second")), "422"), "so the cycle can tell them apart");
}

#[test]
fn a_field_that_a_rival_sets_back_three_times_is_left_alone_and_said_once() {
    let (mut machine, mut now) = settled(&["a"]);
    let mut said = 0;
    for round in 0..5 {
        machine.step(now, Input::Retry(target("b")));
        now += 60 * SECOND;
        let commands = machine.step(now, Input::Tick);
        let (_, job) = cycles(&commands).remove(0);
        let digest = Some(Digest::of(b"first"));
        let left = job.contests.left("a:b/c", digest, ["/ttl"].into_iter());
        assert_eq!(left.is_some(), round >= 3, "round {round}");
        let corrected = if left.is_some() { Vec::new() } else { vec!["/ttl".to_owned()] };
        let tried = Tried { done: true, corrected, ..failed("a:b/c", "first") };
        let ended = Ended { operations: vec![tried], ..reached(Reach::Whole) };
        let commands = machine.step(now, Input::Cycled(target("a"), Box::new(ended)));
        said += commands.iter().filter(|c| matches!(c, Command::Contested { .. })).count();
        machine.step(now, Input::Looked(Looked::Same));
    }
    assert_eq!(said, 1);
}

#[test]
fn while_the_source_is_away_cycles_go_on_and_delete_nothing() {
    let (mut machine, now) = settled(&["a"]);
    let away = Looked::Away { why: "no route to host".to_owned() };
    assert_eq!(cycles(&machine.step(now + 31 * SECOND, Input::Looked(away.clone()))).len(), 1);
    machine.step(now + 31 * SECOND, clean("a"));
    let now = now + 70 * SECOND;
    let commands = machine.step(now, Input::Tick);
    assert!(cycles(&commands).iter().all(|(_, job)| job.stale), "{commands:?}");
    assert_eq!(cycles(&commands).len(), 1);
    machine.step(now, clean("a"));
    machine.step(now, Input::Looked(away));
    let late = now + 300 * SECOND;
    let commands = machine.step(late, Input::Tick);
    assert!(commands.iter().any(|c| matches!(c, Command::Stale(age) if *age >= 300 * SECOND)), "{commands:?}");
    machine.step(late, clean("a"));
    let commands = machine.step(late, Input::Looked(Looked::Same));
    assert!(cycles(&commands).iter().all(|(_, job)| !job.stale));
    assert_eq!(cycles(&commands).len(), 1, "what was held may go on now");
}

#[test]
fn nothing_is_written_before_anything_was_loaded() {
    let mut machine = machine(&["a"], false);
    let commands = machine.step(100 * SECOND, Input::Tick);
    assert_eq!(commands, [Command::Look]);
    assert_eq!(machine.step(101 * SECOND, Input::Looked(Looked::Away { why: "gone".to_owned() })), []);
    assert!(!machine.not_ready(101 * SECOND).is_empty());
}

#[test]
fn without_a_tenure_there_is_no_cycle_and_losing_it_ends_them() {
    let mut machine = machine(&["a", "b"], true);
    machine.step(2 * SECOND, Input::Tick);
    assert_eq!(cycles(&machine.step(2 * SECOND, wanted("first", &["a", "b"]))).len(), 0);
    let commands = machine.step(3 * SECOND, Input::Won(target("a"), 17));
    assert_eq!(cycles(&commands).len(), 1);
    assert_eq!(cycles(&commands)[0].1.token, Some(17));
    machine.step(4 * SECOND, clean("a"));
    machine.step(5 * SECOND, Input::Lost(target("a")));
    assert_eq!(cycles(&machine.step(500 * SECOND, Input::Tick)).len(), 0);
}

#[test]
fn a_suspended_target_is_only_looked_at_until_its_time_is_over() {
    let (mut machine, now) = settled(&["a"]);
    let commands = machine.step(now, Input::Suspend(target("a"), Some(now + 100 * SECOND)));
    assert!(cycles(&commands).iter().all(|(_, job)| job.dry) && cycles(&commands).len() == 1);
    machine.step(now, clean("a"));
    assert!(machine.next(now).unwrap() <= now + 100 * SECOND);
    let commands = machine.step(now + 101 * SECOND, Input::Tick);
    assert!(cycles(&commands).iter().all(|(_, job)| !job.dry) && cycles(&commands).len() == 1);
}

#[test]
fn a_target_held_at_an_older_commit_is_not_moved_by_a_newer_one() {
    let (mut machine, now) = settled(&["a"]);
    assert_eq!(cycles(&machine.step(now, Input::Pin(target("a")))).len(), 1);
    machine.step(now, clean("a"));
    assert_eq!(cycles(&machine.step(now + SECOND, wanted("second", &["a"]))).len(), 0);
    assert_eq!(cycles(&machine.step(now + SECOND, Input::Resume(target("a")))).len(), 1);
}

#[test]
fn to_stop_is_to_resign_first_then_to_wait_for_what_is_in_flight() {
    let mut machine = machine(&["a"], true);
    machine.step(2 * SECOND, Input::Tick);
    machine.step(2 * SECOND, Input::Won(target("a"), 1));
    assert_eq!(cycles(&machine.step(2 * SECOND, wanted("first", &["a"]))).len(), 1);
    assert_eq!(machine.step(3 * SECOND, Input::Stop), [Command::Resign]);
    assert_eq!(machine.step(4 * SECOND, Input::Hint), []);
    assert_eq!(machine.step(5 * SECOND, clean("a")), [Command::Done]);
    assert_eq!(machine.step(6 * SECOND, Input::Tick), []);
}

#[test]
fn another_run_that_holds_the_target_is_asked_again_in_a_second() {
    let (mut machine, now) = settled(&["a"]);
    machine.step(now, wanted("second", &["a"]));
    let ended = Ended { blocked: Some(Blocked::Locked("apply runs".to_owned())), ..Ended::default() };
    machine.step(now, Input::Cycled(target("a"), Box::new(ended)));
    assert_eq!(machine.next(now), Some(now + SECOND));
    assert_eq!(cycles(&machine.step(now + SECOND, Input::Tick)).len(), 1);
}

#[test]
fn a_watcher_is_not_ready_if_it_gets_nowhere_and_a_target_if_nothing_fully_succeeds_there() {
    let (mut machine, now) = settled(&["a", "b"]);
    let late = |machine: &Machine, name, at| machine.late(&target(name), at);
    assert_eq!(machine.not_ready(now + 80 * SECOND), Vec::<String>::new());
    assert_eq!(late(&machine, "a", now + 80 * SECOND), None);
    machine.step(now + 80 * SECOND, Input::Tick);
    machine.step(now + 80 * SECOND, clean("b"));
    let later = now + 100 * SECOND;
    assert_eq!(late(&machine, "a", later), Some(100 * SECOND), "of that target it is said");
    assert_eq!(late(&machine, "b", later), None);
    assert_eq!(machine.not_ready(later), Vec::<String>::new(), "and the watcher does its work");
    let why = machine.not_ready(now + 300 * SECOND);
    assert_eq!(why, ["no cycle of a came to its end for 300 s", "no cycle of b came to its end for 220 s"]);
    // Whoever stopped it knows; and it begins anew afterwards.
    machine.step(now + 300 * SECOND, Input::Suspend(target("a"), None));
    assert_eq!(late(&machine, "a", now + 900 * SECOND), None);
    machine.step(now + 900 * SECOND, Input::Resume(target("a")));
    assert_eq!(late(&machine, "a", now + 901 * SECOND), None);
}

#[test]
fn a_cycle_that_reached_everybody_and_could_not_do_its_work_is_no_success() {
    let (mut machine, mut now) = settled(&["a"]);
    for _ in 0..30 {
        now = machine.next(now).unwrap();
        for command in machine.step(now, Input::Tick) {
            match command {
                Command::Cycle(..) => {
                    let ended = Ended { operations: vec![failed("a:b/c", "first")], ..reached(Reach::Whole) };
                    machine.step(now, Input::Cycled(target("a"), Box::new(ended)));
                }
                _ => drop(machine.step(now, Input::Looked(Looked::Same))),
            }
        }
    }
    assert!(now > 100 * SECOND, "{now:?}");
    assert!(machine.late(&target("a"), now).is_some());
    assert_eq!(machine.not_ready(now), Vec::<String>::new(), "the watcher does its work");
}

/// Two endpoints of one target, settled, of which `b` just asked to be left alone for five minutes.
fn asked_to_wait() -> (Machine, Duration) {
    let mut machine = machine(&["a"], false);
    machine.know(&[place("a", "one"), place("a", "two")].into(), Duration::ZERO);
    let now = 2 * SECOND;
    machine.step(now, Input::Tick);
    assert_eq!(cycles(&machine.step(now, wanted("first", &["a"]))).len(), 1);
    let wait = Reach::AsksToWait { until: now + 300 * SECOND, why: "429".to_owned() };
    let endpoints = [("one".parse().unwrap(), Reach::Whole), ("two".parse().unwrap(), wait)].into();
    let well = ["one".parse().unwrap()].into();
    machine.step(now, Input::Cycled(target("a"), Box::new(Ended { endpoints, well, ..Ended::default() })));
    (machine, now)
}

#[test]
fn an_endpoint_that_asks_to_be_left_alone_is_and_the_others_go_on() {
    let (mut machine, start) = asked_to_wait();
    let (mut now, mut others, mut back, mut ordered) = (start, 0, None, false);
    while now < start + 320 * SECOND {
        now = machine.next(now).unwrap().max(now + Duration::from_millis(1));
        // Neither a commit nor an order to go on shortens it.
        let order = now > start + 100 * SECOND && !std::mem::replace(&mut ordered, now > start + 100 * SECOND);
        let commands = match order {
            true => machine.steps(now, [wanted("second", &["a"]), Input::Resume(target("a"))]),
            false => machine.step(now, Input::Tick),
        };
        for command in commands {
            match command {
                Command::Probe(place) => panic!("{place:?} was probed at {now:?}"),
                Command::Look => drop(machine.step(now, Input::Looked(Looked::Same))),
                Command::Cycle(_, job) if job.away.is_empty() => {
                    back.get_or_insert(now);
                    machine.step(now, clean("a"));
                }
                Command::Cycle(_, job) => {
                    assert_eq!(job.away, ["two".parse().unwrap()].into());
                    others += 1;
                    let ended =
                        Ended { endpoints: [("one".parse().unwrap(), Reach::Whole)].into(), ..Ended::default() };
                    machine.step(now, Input::Cycled(target("a"), Box::new(ended)));
                }
                _ => {}
            }
        }
    }
    assert!(others >= 8, "{others}");
    let back = back.expect("it comes back");
    assert!(back >= start + 300 * SECOND && back < start + 305 * SECOND, "{back:?}");
}

#[test]
fn who_is_away_and_answers_a_probe_with_a_wish_to_be_left_alone_is_not_probed_again() {
    let (mut machine, mut now) = settled(&["a"]);
    machine.step(now, wanted("second", &["a"]));
    machine.step(now, Input::Cycled(target("a"), Box::new(reached(Reach::Away("refused".to_owned())))));
    now += 10 * SECOND;
    assert!(machine.step(now, Input::Tick).contains(&Command::Probe(place("a", "default"))));
    machine.step(now, Input::Probed(place("a", "default"), Err(silence("429", Some(now + 300 * SECOND)))));
    let sent = |commands: &[Command]| commands.iter().any(|c| matches!(c, Command::Probe(_) | Command::Cycle(..)));
    for seconds in 1..300 {
        let commands = machine.step(now + seconds * SECOND, Input::Tick);
        assert!(!sent(&commands), "after {seconds} s: {commands:?}");
        if commands.contains(&Command::Look) {
            machine.step(now + seconds * SECOND, Input::Looked(Looked::Same));
        }
    }
    assert!(sent(&machine.step(now + 301 * SECOND, Input::Tick)));
}

#[test]
fn a_person_who_says_retry_is_obeyed_before_the_server() {
    let (mut machine, now) = asked_to_wait();
    let commands = machine.step(now + SECOND, Input::Retry(target("a")));
    let (_, job) = cycles(&commands).remove(0);
    assert!(job.away.is_empty(), "{job:?}");
}

#[test]
fn an_endpoint_is_well_whatever_the_others_of_its_target_are() {
    let (machine, now) = asked_to_wait();
    let watched = machine.target(&target("a")).unwrap();
    assert_eq!(watched.well.get(&"one".parse().unwrap()), Some(&now));
    assert_eq!((watched.well.get(&"two".parse().unwrap()), watched.clean), (None, None));
}

#[test]
fn a_commit_is_taken_in_once_though_nobody_can_be_reached() {
    let (mut machine, now) = settled(&["a"]);
    machine.step(now, wanted("second", &["a"]));
    let away = || Input::Cycled(target("a"), Box::new(reached(Reach::Away("refused".to_owned()))));
    machine.step(now, away());
    let commands = machine.step(now + SECOND, wanted("third", &["a"]));
    let (_, job) = cycles(&commands).remove(0);
    assert_eq!(job.away, ["default".parse().unwrap()].into(), "nobody is contacted");
    machine.step(now + SECOND, Input::Cycled(target("a"), Box::default()));
    for seconds in 2..9 {
        assert_eq!(cycles(&machine.step(now + seconds * SECOND, Input::Tick)), []);
    }
    assert!(machine.step(now + 11 * SECOND, Input::Tick).contains(&Command::Probe(place("a", "default"))));
}

/// Everything at random, a year of it: whatever happens, the promises of the module hold.
#[test]
fn whatever_happens_cycles_do_not_overlap_and_what_failed_comes_back() {
    for seed in seeds(300) {
        let chance = Entropy::seeded(seed);
        let names = ["a", "b", "c"];
        let elected = seed % 3 == 0;
        let mut machine = machine(&names, elected);
        let mut now = Duration::ZERO;
        let (mut looking, mut stopped, mut done) = (false, false, 0);
        let mut running: BTreeSet<TargetName> = BTreeSet::new();
        let mut probing: BTreeSet<Place> = BTreeSet::new();
        let mut last_cycle: BTreeMap<TargetName, Duration> = BTreeMap::new();
        let mut led: BTreeSet<TargetName> = if elected { BTreeSet::new() } else { names.map(target).into() };
        for step in 0..600 {
            let quiet = step > 450;
            let name = target(names[(chance.next() % 3) as usize]);
            let input = match chance.next() % if quiet { 4 } else { 12 } {
                0 if looking => {
                    looking = false;
                    match chance.next() % 3 {
                        _ if quiet => Input::Looked(Looked::Same),
                        0 => Input::Looked(Looked::Same),
                        1 => wanted(&step.to_string(), &names),
                        _ => Input::Looked(Looked::Away { why: String::new() }),
                    }
                }
                1 | 2 if running.remove(&name) => {
                    last_cycle.insert(name.clone(), now);
                    let mut ended = match chance.next() % 5 {
                        _ if quiet => Ended { clean: true, ..reached(Reach::Whole) },
                        0 => reached(Reach::Away(String::new())),
                        1 => reached(Reach::Troubled(String::new())),
                        2 => reached(Reach::AsksToWait { until: now + 200 * SECOND, why: String::new() }),
                        3 => Ended { blocked: Some(Blocked::Trouble(String::new())), ..Ended::default() },
                        _ => Ended { clean: true, ..reached(Reach::Whole) },
                    };
                    if !ended.clean && chance.next().is_multiple_of(2) {
                        ended.operations.push(failed("x:y/z", "w"));
                    }
                    Input::Cycled(name, Box::new(ended))
                }
                3 if !probing.is_empty() => match probing.pop_first() {
                    Some(place) if quiet || chance.next().is_multiple_of(2) => Input::Probed(place, Ok(())),
                    Some(place) => Input::Probed(
                        place,
                        Err(silence("", chance.next().is_multiple_of(3).then_some(now + 900 * SECOND))),
                    ),
                    None => Input::Tick,
                },
                4 => Input::Hint,
                5 if elected => {
                    led.insert(name.clone());
                    Input::Won(name, step)
                }
                6 if elected => {
                    led.remove(&name);
                    Input::Lost(name)
                }
                7 => Input::Suspend(name, Some(now + 20 * SECOND)),
                8 => Input::Resume(name),
                9 if seed % 50 == 0 && step > 300 => {
                    stopped = true;
                    Input::Stop
                }
                _ => {
                    now = machine.next(now).unwrap_or(now).max(now + Duration::from_millis(chance.next() % 3000));
                    Input::Tick
                }
            };
            for command in machine.step(now, input) {
                assert!(done == 0, "seed {seed}: {command:?} after the end");
                match command {
                    Command::Look => {
                        assert!(!looking && !stopped, "seed {seed}: two looks at once");
                        looking = true;
                    }
                    Command::Cycle(name, _) => {
                        assert!(!stopped, "seed {seed}: a cycle after the stop");
                        assert!(led.contains(&name), "seed {seed}: a cycle without a tenure");
                        assert!(running.insert(name), "seed {seed}: two cycles at once");
                    }
                    Command::Probe(place) => assert!(probing.insert(place), "seed {seed}: two probes at once"),
                    Command::Done => done += 1,
                    Command::Resign | Command::Stale(_) | Command::Contested { .. } => {}
                }
            }
        }
        if stopped {
            continue;
        }
        // After the trouble everybody who is led was reconciled lately.
        let mut cycled: BTreeSet<TargetName> = BTreeSet::new();
        let end = now + 1_000 * SECOND;
        while now < end {
            let mut todo = Vec::new();
            if std::mem::take(&mut looking) {
                todo.push(Input::Looked(Looked::Same));
            }
            todo.extend(std::mem::take(&mut running).iter().map(|name| clean(name.as_str())));
            todo.extend(std::mem::take(&mut probing).into_iter().map(|place| Input::Probed(place, Ok(()))));
            todo.push(Input::Tick);
            for input in todo {
                for command in machine.step(now, input) {
                    match command {
                        Command::Look => looking = true,
                        Command::Cycle(name, _) => {
                            cycled.insert(name.clone());
                            running.insert(name);
                        }
                        Command::Probe(place) => drop(probing.insert(place)),
                        _ => {}
                    }
                }
            }
            let busy = looking || !running.is_empty() || !probing.is_empty();
            now = machine.next(now).unwrap_or(end).max(now + Duration::from_millis(if busy { 0 } else { 1 }));
        }
        assert_eq!(cycled, led, "seed {seed}: everybody comes back");
    }
}

#[test]
fn what_holds_several_targets_back_is_taken_in_before_any_of_them_is_written() {
    let mut machine = machine(&["a", "b"], false);
    machine.step(2 * SECOND, Input::Tick);
    machine.fall_back(3 * SECOND, &BTreeMap::new(), SECOND);
    let away = Input::Looked(Looked::Away { why: "no route to host".to_owned() });
    let inputs = [Input::Suspend(target("a"), None), Input::Suspend(target("b"), None), away];
    let begun = cycles(&machine.steps(3 * SECOND, inputs));
    assert_eq!(begun.len(), 2);
    assert!(begun.iter().all(|(_, job)| job.dry && job.stale), "{begun:?}");
}

#[test]
fn a_source_that_was_not_heard_of_for_long_deletes_nothing_though_it_never_said_that_it_is_away() {
    let (mut machine, now) = settled(&["a"]);
    let hangs = now + 40 * SECOND;
    let commands = machine.step(hangs, Input::Tick);
    assert!(commands.contains(&Command::Look), "a fetch that hangs from here on: {commands:?}");
    assert!(cycles(&commands).iter().all(|(_, job)| !job.stale));
    machine.step(hangs, clean("a"));
    let slept = now + 3600 * SECOND;
    let begun = cycles(&machine.step(slept, Input::Tick));
    assert!(begun.len() == 1 && begun[0].1.stale, "{begun:?}");
    machine.step(slept, clean("a"));
    let begun = cycles(&machine.step(slept, Input::Looked(Looked::Same)));
    assert!(begun.len() == 1 && !begun[0].1.stale, "what was held goes on as soon as it is heard of: {begun:?}");
}

#[test]
fn a_target_that_left_the_project_during_its_cycle_is_waited_for_and_never_reconciled_again() {
    let (mut machine, now) = settled(&["a", "b"]);
    assert_eq!(cycles(&machine.step(now, wanted("second", &["a", "b"]))).len(), 2);
    machine.know(&[place("b", "default")].into(), now);
    machine.step(now, clean("b"));
    assert!(machine.target(&target("a")).is_some(), "its cycle is under way");
    machine.step(now, clean("a"));
    let later = now + 200 * SECOND;
    assert!(cycles(&machine.step(later, Input::Tick)).iter().all(|(name, _)| *name == target("b")));
    assert!(!machine.not_ready(later).iter().any(|why| why.contains("cycle of a")), "and nobody waits for it");
}
