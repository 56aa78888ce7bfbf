//! What people ask of a watcher holds: over restarts, without a source, and against what was asked before.

use std::time::Duration;

use ctl::model::State;

use crate::githttp::Mood;
use crate::scene::Scene;
use crate::watchers::Watchers;
use crate::within;

const SOON: Duration = Duration::from_secs(60);
/// Several intervals of two seconds.
const A_WHILE: Duration = Duration::from_secs(8);

/// Waits until a watcher answers and every endpoint of the target stands so.
#[track_caller]
fn stands(watchers: &Watchers, target: &str, state: State) {
    within(SOON, &format!("{target} is {}", state.as_str()), || {
        let status = watchers.status(0)?;
        let found = status.targets.iter().find(|at| at.target == target)?;
        let so = found.last_cycle.is_some() && found.endpoints.iter().all(|endpoint| endpoint.state == state);
        (so && !found.endpoints.is_empty()).then_some(())
    });
}

#[test]
fn orders_hold_over_a_restart_while_the_source_is_away() {
    let scene = Scene::alone(3, 2);
    let mut watchers = scene.watch(1, &[]);
    scene.converges(SOON, 2, 1);
    scene.commit(2, 2);
    scene.converges(SOON, 2, 2);
    watchers.order(0, &["suspend", "-t", "t0"]);
    watchers.order(0, &["suspend", "-t", "t1"]);
    watchers.order(0, &["rollback", "t2@1", "--yes"]);
    within(SOON, "t2 is back at the first version", || (scene.servers[2].port("s0") == Some(1)).then_some(()));

    scene.remote.http.set(Mood::Close);
    assert!(watchers.terminate(0, SOON).success());
    for server in &scene.servers {
        server.drift("s1", 4_000);
    }
    watchers.restart(0);
    within(SOON, "drift at the target that is held at the first version is corrected to it", || {
        (scene.servers[2].port("s1") == Some(1)).then_some(())
    });
    for target in ["t0", "t1"] {
        stands(&watchers, target, State::Suspended);
    }
    std::thread::sleep(A_WHILE);
    for server in &scene.servers[..2] {
        assert_eq!(server.port("s1"), Some(4_000), "nothing is written at a suspended target");
    }
    assert!(scene.servers[2].books().iter().filter(|write| write.accepted()).count() > 0);

    scene.remote.http.set(Mood::Honest);
    watchers.order(0, &["resume"]);
    scene.converges(SOON, 2, 2);
    scene.nothing_deleted();
}

#[test]
fn told_to_stop_while_a_fetch_hangs_it_ends_soon() {
    let scene = Scene::alone(1, 1);
    let mut watchers = scene.watch(1, &[]);
    scene.converges(SOON, 1, 1);
    scene.remote.http.set(Mood::Hang);
    let before = scene.remote.http.fetches();
    within(SOON, "a fetch hangs", || (scene.remote.http.fetches() > before).then_some(()));
    // A fetch may take a minute.
    assert!(watchers.terminate(0, Duration::from_secs(40)).success());
}

#[test]
fn what_is_held_at_an_older_commit_changes_nothing_elsewhere() {
    let scene = Scene::alone(2, 2);
    let watchers = scene.watch(1, &[]);
    scene.converges(SOON, 2, 1);
    scene.commit(2, 2);
    scene.converges(SOON, 2, 2);
    watchers.order(0, &["rollback", "t0@1", "--yes"]);
    within(SOON, "t0 is back at the first version", || (scene.servers[0].port("s1") == Some(1)).then_some(()));

    // The file is put aside; what it said last is what the newest good commit said, and not the one that t0 is held at.
    let more = "apiVersion: ctl\nkind: service\nmetadata: {name: s9}\nspec: {host: x.internal, port: 9}\n";
    scene.remote.commit([
        ("ctl.yaml", scene.project().as_str()),
        ("manifests/all.yaml", "kind: [\n"),
        ("manifests/more.yaml", more),
    ]);
    within(SOON, "what can be read goes on", || (scene.servers[1].port("s9") == Some(9)).then_some(()));
    std::thread::sleep(A_WHILE);
    assert_eq!((scene.servers[1].port("s0"), scene.servers[1].port("s1")), (Some(2), Some(2)));
    assert_eq!(scene.servers[0].port("s9"), None, "t0 stays where it is held");

    // Whoever is suspended while held stays both, and the last word counts.
    watchers.order(0, &["suspend", "-t", "t0"]);
    scene.servers[0].drift("s0", 4_000);
    stands(&watchers, "t0", State::Suspended);
    std::thread::sleep(A_WHILE);
    assert_eq!(scene.servers[0].port("s0"), Some(4_000));
    scene.nothing_deleted();
}
