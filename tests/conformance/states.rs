//! The states, for any server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::proxy::{Fault, Reply, Seen};
use crate::scene::{Holds, Scene, State, ran};

pub(crate) fn creates_all(scene: &Scene) {
    scene.declare(State::All);
    let plan = scene.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(2).json();
    let count = scene.subject.count(State::All);
    assert_eq!(Scene::number(&plan, "create"), count);
    assert_eq!(plan["operations"].as_array().map(Vec::len), usize::try_from(count).ok());
    assert_eq!(scene.proxy.writes(), Vec::<String>::new(), "a plan wrote");

    let applied = scene.apply(State::All);
    assert_eq!(Scene::number(&applied, "done"), count);
    assert_eq!(scene.proxy.writes().len() as u64, count, "{:#?}", scene.proxy.writes());
    if scene.subject.conditional() {
        let blind = |seen: &Seen| seen.writes() && seen.headers.get("if-none-match").is_none_or(|value| value != "*");
        assert!(!scene.proxy.seen().iter().any(blind), "a create that may overwrite something");
    }
}

pub(crate) fn writes_nothing_when_nothing_changed(scene: &Scene) {
    scene.apply(State::All);
    scene.proxy.forget();
    let applied = scene.run(&["apply", "--yes", "-o", "json"]).exits(0).json();
    assert_eq!(Scene::number(&applied, "done"), 0);
    assert!(scene.proxy.total() > 0);
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    scene.settled(State::All);
}

pub(crate) fn reads_pages_and_nothing_else(scene: &Scene) {
    scene.apply(State::All);
    for _ in 0..20 {
        // A list that all tests share may grow in between; then this round tells nothing.
        let before = scene.subject.plan_requests();
        scene.proxy.forget();
        scene.plan_is_empty();
        if before != scene.subject.plan_requests() {
            continue;
        }
        let mut asked: Vec<String> = scene.proxy.lines().iter().map(|line| scene.subject.normal(line)).collect();
        asked.sort();
        assert_eq!(asked, before);
        return;
    }
    panic!("the list of all tests never held still");
}

pub(crate) fn changes_only_what_changed(scene: &Scene) {
    scene.apply(State::All);
    scene.proxy.forget();
    scene.apply(State::Changed);
    let writes = scene.proxy.writes();
    assert_eq!(writes.len(), scene.subject.writes_to_changed(), "{writes:#?}");
    if scene.subject.conditional() {
        let blind = |seen: &Seen| seen.writes() && !seen.headers.contains_key("if-match");
        assert!(!scene.proxy.seen().iter().any(blind), "an update that may overwrite something");
    }
}

pub(crate) fn replaces_what_cannot_be_changed(scene: &Scene) {
    scene.apply(State::All);
    scene.declare(State::Replaced);
    scene.proxy.forget();
    let plan = scene.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(7).json();
    assert_eq!(Scene::number(&plan, "replace"), 1);
    scene.run(&["apply", "--yes"]).exits(7).says("--allow-replace");
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    scene.holds(&scene.subject.expected(State::All));

    scene.run(&["apply", "--yes", "--allow-replace"]).exits(0);
    scene.settled(State::Replaced);
}

pub(crate) fn deletes_what_is_gone_from_git(scene: &Scene) {
    scene.apply(State::All);
    scene.declare(State::Fewer);
    let plan = scene.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(2).json();
    let gone = scene.subject.count(State::All) - scene.subject.count(State::Fewer);
    assert_eq!(Scene::number(&plan, "delete"), gone);
    scene.apply(State::Fewer);
}

pub(crate) fn deletes_all_only_when_told_so(scene: &Scene) {
    scene.apply(State::All);
    scene.declare_text("# nothing\n");
    scene.proxy.forget();
    let plan = scene.run(&["plan", "-o", "json"]).exits(7).json();
    scene.run(&["apply", "--yes"]).exits(7);
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    scene.holds(&scene.subject.expected(State::All));

    let sum = plan["deletes_checksum"].as_str().expect("a checksum").to_owned();
    scene.run(&["apply", "--yes", "--allow-deletes", &sum]).exits(0);
    scene.holds(&Holds::new());
    scene.plan_is_empty();
}

pub(crate) fn adopts_what_is_there_and_equal(scene: &Scene) {
    scene.subject.make_by_hand(false);
    scene.declare(State::All);
    let plan = scene.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(2).json();
    assert_eq!(Scene::number(&plan, "adopt"), scene.subject.count(State::All));
    assert_eq!(plan["operations"].as_array().map(|all| all.len() as u64), Some(scene.subject.count(State::All)));
    scene.run(&["apply", "--adopt-only", "--yes"]).exits(0);
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    scene.settled(State::All);
    // What is adopted is owned: it goes when Git lets it go.
    scene.apply(State::Fewer);
}

pub(crate) fn adopts_what_is_there_and_different(scene: &Scene) {
    scene.subject.make_by_hand(true);
    scene.declare(State::All);
    let plan = scene.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(2).json();
    assert_eq!(Scene::number(&plan, "adopt"), scene.subject.count(State::All));
    assert_eq!(Scene::number(&plan, "update"), 1);
    scene.run(&["apply", "--adopt-only", "--yes"]).exits(7).warns("adopt-only");
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    scene.apply(State::All);
    assert_eq!(scene.proxy.writes().len(), 1, "{:#?}", scene.proxy.writes());
}

pub(crate) fn leaves_foreign_objects_alone(scene: &Scene) {
    scene.apply(State::All);
    scene.subject.make_foreign();
    scene.plan_is_empty();
    for state in [State::Changed, State::All, State::Fewer] {
        scene.apply(state);
        assert!(scene.subject.foreign_stands(), "after {state:?}");
    }
}

pub(crate) fn never_deletes_a_container_with_foreign_objects(scene: &Scene) {
    scene.apply(State::All);
    scene.declare_text("# nothing\n");
    scene.proxy.forget();
    let plan = scene.run(&["plan", "-o", "json"]).exits(7).json();
    let sum = plan["deletes_checksum"].as_str().expect("a checksum").to_owned();
    // It came after somebody agreed to the deletes: that is not agreed to.
    scene.subject.make_foreign();
    scene.run(&["apply", "--yes"]).exits(7).says("foreign").says("not ours");
    scene.run(&["apply", "--yes", "--allow-deletes", &sum]).exits(7).says("foreign");
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    assert!(scene.subject.foreign_stands());
    scene.holds(&scene.subject.expected(State::All));
}

pub(crate) fn puts_back_what_drifted(scene: &Scene) {
    scene.apply(State::All);
    scene.subject.drift();
    let plan = scene.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(2).json();
    assert_eq!(plan["operations"].as_array().map(Vec::len), Some(1));
    assert_eq!(plan["operations"][0]["cause"], "drift");
    scene.apply(State::All);
}

/// Between the last read of the plan and the first request after it, somebody else changes what is to be changed.
pub(crate) fn does_not_overwrite_a_rival(scene: &Scene) {
    scene.apply(State::All);
    scene.declare(State::Changed);
    scene.proxy.forget();
    scene.run(&["plan", "-o", "json"]).exits(0);
    let reads = scene.proxy.total();
    scene.proxy.forget();
    let came = Arc::new(AtomicBool::new(false));
    let (subject, once) = (Arc::clone(&scene.subject), Arc::clone(&came));
    scene.proxy.set_rule(move |seen: &Seen| {
        if seen.before >= reads && subject.rival_path(&seen.path) && !once.swap(true, Ordering::SeqCst) {
            subject.drift();
        }
        Fault::None
    });
    let ran = scene.run(&["apply", "--yes", "-o", "json"]);
    assert!(came.load(Ordering::SeqCst), "{:#?}", scene.proxy.lines());
    scene.proxy.heal();
    if scene.subject.conditional() {
        // Refused by the server, read again, planned again, and written on what the rival left.
        ran.exits(0);
        let seen = scene.proxy.seen();
        let tries: Vec<_> = seen.iter().filter(|s| s.writes() && scene.subject.rival_path(&s.path)).collect();
        assert_eq!(tries.len(), 2, "{:#?}", scene.proxy.lines());
        let token = |seen: &Seen| seen.headers.get("if-match").map(|v| v.to_str().unwrap().to_owned());
        assert!(token(tries[0]).is_some() && token(tries[1]).is_some() && token(tries[0]) != token(tries[1]));
        scene.settled(State::Changed);
        return;
    }
    // Seen by the read right before the write: the rival's change stands, and the rest goes on.
    let applied = ran.exits(3).json();
    assert_eq!(Scene::number(&applied, "conflict"), 1);
    assert_eq!(Scene::number(&applied, "done") + 1, scene.subject.writes_to_changed() as u64);
    let (held, wanted) = (scene.subject.holds(), scene.subject.expected(State::Changed));
    assert_eq!(held.iter().filter(|(name, value)| wanted.get(*name) != Some(value)).count(), 1, "{held:#?}");
    scene.apply(State::Changed);
}

pub(crate) fn a_lost_answer_makes_nothing_twice(scene: &Scene) {
    for state in [State::All, State::Changed, State::Fewer] {
        scene.proxy.forget();
        scene.proxy.set_rule(|seen| if seen.writes() && seen.nth == 0 { Fault::DropAnswer } else { Fault::None });
        scene.declare(state);
        scene.run(&["apply", "--yes", "-o", "json"]).exits(0);
        scene.proxy.heal();
        let mut posts: Vec<(String, Vec<u8>)> = Vec::new();
        for seen in scene.proxy.seen() {
            if seen.method == "POST" {
                let post = (seen.path, seen.body.to_vec());
                assert!(!posts.contains(&post), "sent twice: {}", post.0);
                posts.push(post);
            }
        }
        scene.settled(state);
    }
}

pub(crate) fn a_failed_page_deletes_nothing(scene: &Scene) {
    scene.apply(State::All);
    scene.declare(State::Fewer);
    scene.proxy.forget();
    let (subject, failed) = (Arc::clone(&scene.subject), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&failed);
    scene.proxy.set_rule(move |seen| {
        let fault = subject.failing(seen);
        if matches!(fault, Fault::Answer(_)) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        fault
    });
    let plan = scene.run(&["plan", "-o", "json"]).exits(3).json();
    assert!(failed.load(Ordering::SeqCst) > 0, "{:#?}", scene.proxy.lines());
    assert_eq!(Scene::number(&plan, "delete"), 0);
    assert_eq!(plan["unknown_scopes"].as_array().map(Vec::len), Some(1), "{}", plan["unknown_scopes"]);
    scene.run(&["apply", "--yes"]).exits(3);
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    scene.holds(&scene.subject.expected(State::All));
    scene.proxy.heal();
    scene.apply(State::Fewer);
}

pub(crate) fn a_failed_write_is_told_with_the_reason(scene: &Scene) {
    let (manifest, words) = scene.subject.refused();
    scene.declare_text(&format!("{}---\n{manifest}", scene.subject.manifests(State::All)));
    let ran = scene.run(&["apply", "--yes"]).exits(3);
    for word in words {
        assert!(ran.stdout.contains(word), "no {word:?} in\n{}\n{}", ran.stdout, ran.stderr);
    }
    // The others are done all the same, and the next run has only this one to do.
    scene.holds(&scene.subject.expected(State::All));
    let plan = scene.run(&["plan", "--detailed-exitcode", "-o", "json"]).exits(2).json();
    assert_eq!(plan["operations"].as_array().map(Vec::len), Some(1));
}

/// Which write of a run the program is hit at: after the server has acted, and before it hears of it.
fn hits(writes: usize) -> Vec<(usize, bool)> {
    let mut hits = vec![(0, true), (writes / 2, false), (writes / 2, true), (writes - 1, true)];
    hits.dedup();
    hits
}

pub(crate) fn killed_in_the_middle_and_again(scene: &Scene) {
    let all = usize::try_from(scene.subject.count(State::All)).expect("a small number");
    for (at, acted) in hits(all) {
        hit(scene, State::All, at, acted, Signal::KILL);
        let applied = scene.apply(State::All);
        no_adoption(scene, &applied);
        hit(scene, State::Changed, 0, acted, Signal::KILL);
        no_adoption(scene, &scene.apply(State::Changed));
        hit(scene, State::Fewer, 0, acted, Signal::KILL);
        no_adoption(scene, &scene.apply(State::Fewer));
        scene.subject.clean();
        // Cleaning up behind its back: what the record owned is gone, and is made again by the next round.
    }
}

pub(crate) fn interrupted_in_the_middle_and_again(scene: &Scene) {
    let all = usize::try_from(scene.subject.count(State::All)).expect("a small number");
    let output = hit(scene, State::All, all / 2, true, Signal::INT);
    let told = ran(output).exits(130);
    let document = told.json();
    let done = Scene::number(&document, "done");
    assert!(done > 0 && done < scene.subject.count(State::All), "{}", told.stdout);
    assert_eq!(done as usize, scene.proxy.writes().len(), "what was sent was not waited for\n{}", told.stdout);
    scene.proxy.forget();
    let plan = scene.run(&["plan", "-o", "json"]).exits(0).json();
    assert_eq!(Scene::number(&plan, "create"), scene.subject.count(State::All) - done);
    assert_eq!(Scene::number(&plan, "adopt"), 0, "what was done was not recorded");
    scene.apply(State::All);
}

/// What an interrupted run made is ours: settled, not adopted.
fn no_adoption(scene: &Scene, applied: &Value) {
    let results = applied["results"].as_array().expect("results");
    let adopted = |result: &Value| {
        let address = result["address"].as_str().expect("an address");
        result["action"] == "adopt" && !scene.subject.makes_itself(address)
    };
    assert!(!results.iter().any(adopted), "{applied:#}");
}

/// Applies `state` and sends the signal at write number `at`, after the server has acted on it or before it hears of it.
fn hit(scene: &Scene, state: State, at: usize, acted: bool, signal: Signal) -> std::process::Output {
    scene.declare(state);
    scene.proxy.forget();
    let pid = Arc::new(AtomicU32::new(0));
    let (victim, count) = (Arc::clone(&pid), AtomicUsize::new(0));
    scene.proxy.set_rule(move |seen| {
        if !seen.writes() || count.fetch_add(1, Ordering::SeqCst) != at {
            return Fault::None;
        }
        let pid = i32::try_from(victim.load(Ordering::SeqCst)).ok().and_then(Pid::from_raw).expect("a process");
        if acted {
            Fault::Rewrite(Box::new(move |_: &mut Reply| {
                kill_process(pid, signal).expect("a process that still runs");
                // The signal is seen before the answer is.
                std::thread::sleep(Duration::from_millis(100));
            }))
        } else {
            kill_process(pid, signal).expect("a process that still runs");
            Fault::DropRequest
        }
    });
    let child = scene.start(&["apply", "--yes", "-o", "json", "--concurrency", "2"], &pid);
    let output = child.wait_with_output().unwrap();
    scene.proxy.heal();
    if signal == Signal::KILL {
        assert_eq!(output.status.code(), None, "it was not killed: {}", String::from_utf8_lossy(&output.stdout));
    }
    output
}
