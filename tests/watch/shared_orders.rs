//! Under election an order holds at every watcher, whoever was told and whoever takes over.

use std::process::Command;
use std::time::Duration;

use ctl::model::TargetStatus;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::githttp::Mood;
use crate::scene::Scene;
use crate::watchers::Watchers;
use crate::within;

const SOON: Duration = Duration::from_secs(60);
/// A take-over after a death, and what a busy machine takes beside it.
const TAKEN_OVER: Duration = Duration::from_secs(60);
/// Several intervals of two seconds.
const A_WHILE: Duration = Duration::from_secs(8);
const ORDERS: &str = "refs/ctl/records/scene/_orders";

/// Two watchers that share two targets `t0` and `t1`, where two commits were applied; nothing without etcd.
struct Stage {
    watchers: Watchers,
    scene: Scene,
    _cluster: Cluster,
}

impl Stage {
    fn set() -> Option<Self> {
        let cluster = Cluster::of(1)?;
        let scene = Scene::of(2, 2);
        let flags = ["--election", "etcd", "--etcd", &cluster.urls().join(",")].map(str::to_owned).to_vec();
        let watchers = scene.watch(2, &flags);
        watchers.lead_alone(&["t0".to_owned(), "t1".to_owned()], SOON);
        scene.converges(SOON, 2, 1);
        scene.commit(2, 2);
        scene.converges(SOON, 2, 2);
        // The outcome is in the record a moment after the last write.
        let stage = Self { watchers, scene, _cluster: cluster };
        for target in ["t0", "t1"] {
            within(SOON, "the second version in the record", || {
                let version = stage.at(stage.leader(target)?, target)?.version?;
                (version.number >= 2).then_some(())
            });
        }
        Some(stage)
    }

    fn leader(&self, target: &str) -> Option<usize> {
        match self.watchers.leaders(target)[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The watcher that leads at a target.
    #[track_caller]
    fn led_by(&self, target: &str) -> usize {
        within(SOON, "a leader", || self.leader(target))
    }

    /// How a target stands, as one of them says.
    fn at(&self, watcher: usize, target: &str) -> Option<TargetStatus> {
        self.watchers.status(watcher)?.targets.into_iter().find(|at| at.target == target)
    }

    /// Waits until one of them says that the target is suspended, and that everybody knows; gives the reason.
    #[track_caller]
    fn suspended(&self, watcher: usize, target: &str) -> Option<String> {
        within(SOON, &format!("watcher {watcher} knows that {target} is suspended"), || {
            self.at(watcher, target)?.suspended.filter(|order| !order.only_here).map(|order| order.reason)
        })
    }

    fn log(&self) -> Vec<String> {
        self.scene.remote.bare(&["log", "--format=%s", ORDERS]).lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_takeover_keeps_a_suspension_and_a_rollback_that_a_follower_was_told() {
    let Some(mut stage) = Stage::set() else { return };
    let follower = 1 - stage.led_by("t0");
    stage.watchers.order(follower, &["suspend", "-t", "t0", "--reason", "upgrade"]);
    let follower = 1 - stage.led_by("t1");
    stage.watchers.order(follower, &["rollback", "t1@1", "--yes"]);
    within(SOON, "the leader of t1 goes back to the first version", || {
        (stage.scene.servers[1].port("s0") == Some(1) && stage.scene.servers[1].port("s1") == Some(1)).then_some(())
    });
    for watcher in [0, 1] {
        assert_eq!(stage.suspended(watcher, "t0").as_deref(), Some("upgrade"));
    }
    assert_eq!(stage.log()[..2], ["rollback t1@1 to ".to_owned() + &held_at(&stage), "suspend t0: upgrade".to_owned()]);
    stage.scene.commit(2, 3);

    // Whoever leads at t0 dies, and with it perhaps the one that leads at t1.
    let dead = stage.led_by("t0");
    let heir = 1 - dead;
    stage.watchers.kill(dead);
    within(TAKEN_OVER, "the other leads everywhere", || {
        ["t0", "t1"].iter().all(|target| stage.watchers.leaders(target) == [heir]).then_some(())
    });
    stage.scene.servers[0].drift("s1", 4_000);
    stage.scene.servers[1].drift("s1", 4_000);
    within(SOON, "t1 is corrected to the version that it is held at", || {
        (stage.scene.servers[1].port("s1") == Some(1)).then_some(())
    });
    std::thread::sleep(A_WHILE);
    assert_eq!(stage.scene.servers[0].port("s1"), Some(4_000), "nothing is written at a suspended target");
    assert_eq!(stage.scene.servers[0].port("s0"), Some(2));
    let held = within(SOON, "why t1 is held", || stage.at(heir, "t1")?.held);
    assert_eq!((held.version, held.who.is_empty()), (1, false));

    // One that comes back knows it too, and what it is told goes for both.
    stage.watchers.restart(dead);
    assert_eq!(stage.suspended(dead, "t0").as_deref(), Some("upgrade"));
    stage.watchers.order(dead, &["resume"]);
    stage.scene.converges(SOON, 2, 3);
    within(SOON, "nothing holds anywhere", || {
        let free = |at: TargetStatus| at.suspended.is_none() && at.held_at.is_none();
        [0, 1].iter().all(|watcher| ["t0", "t1"].iter().all(|t| stage.at(*watcher, t).is_some_and(free))).then_some(())
    });
    assert_eq!(stage.log()[0], "resume t0, t1");
    stage.scene.nothing_stale();
    stage.scene.nothing_deleted();
}

/// The commit that t1 is held at.
fn held_at(stage: &Stage) -> String {
    within(SOON, "the commit that t1 is held at", || stage.at(0, "t1")?.held_at)
}

#[test]
fn ordered_while_the_remote_is_away_it_holds_at_once_and_is_carried_over() {
    let Some(mut stage) = Stage::set() else { return };
    let leader = stage.led_by("t0");
    let follower = 1 - leader;
    stage.scene.remote.http.set(Mood::Close);
    let (code, said) = stage.watchers.ask(follower, &["suspend", "-t", "t0", "--reason", "upgrade"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("only-here") && said.contains("carried over by itself"), "{said}");
    let here = within(SOON, "who was told knows it", || stage.at(follower, "t0")?.suspended);
    assert!(here.only_here && here.reason.as_deref() == Some("upgrade"));
    let there = within(SOON, "the leader", || stage.at(leader, "t0"));
    assert!(there.suspended.is_none(), "nobody could tell it");
    let (code, said) = stage.watchers.ask(follower, &["resume", "-t", "t0"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("nothing changed"), "{said}");

    // The leader of t1 is told itself, and dies before it can tell anybody: it comes back knowing it.
    let other = stage.led_by("t1");
    let (code, said) = stage.watchers.ask(other, &["suspend", "-t", "t1", "--for", "1h"]);
    assert_eq!(code, Some(3), "{said}");
    stage.watchers.kill(other);
    stage.watchers.restart(other);
    stage.scene.remote.http.set(Mood::Honest);
    for watcher in [0, 1] {
        assert_eq!(stage.suspended(watcher, "t0").as_deref(), Some("upgrade"));
        assert_eq!(stage.suspended(watcher, "t1"), None, "and why was not said");
    }
    stage.scene.servers[0].drift("s0", 4_000);
    stage.scene.servers[1].drift("s0", 4_000);
    stage.scene.commit(2, 3);
    std::thread::sleep(A_WHILE);
    for server in &stage.scene.servers {
        assert_eq!((server.port("s0"), server.port("s1")), (Some(4_000), Some(2)));
    }
    stage.watchers.order(follower, &["resume"]);
    stage.scene.converges(TAKEN_OVER + SOON, 2, 3);
    stage.scene.nothing_stale();
    stage.scene.nothing_deleted();
}

#[test]
fn whoever_applies_beside_elected_watchers_is_told_and_passes_their_token_on() {
    let Some(stage) = Stage::set() else { return };
    let head = || stage.scene.remote.bare(&["show", "refs/ctl/records/scene/t0:head.json"]);
    let fence = || serde_json::from_str::<serde_json::Value>(&head()).unwrap()["fence"].as_u64().unwrap();
    let before = fence();
    stage.watchers.order(0, &["suspend", "-t", "t0", "--reason", "upgrade"]);
    stage.suspended(stage.led_by("t0"), "t0");
    stage.scene.commit(2, 3);
    let home = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctl"));
    command.args(["apply", &stage.scene.remote.url(), "--yes", "-t", "t0"]).current_dir(home.path()).env_clear();
    command.env("HOME", home.path()).env("NO_PROXY", "*").env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning[suspended]: watchers write nothing at t0: ") && said.contains(": upgrade"),
        "{said}"
    );
    assert!(said.contains("warning[watched]: elected watchers keep t0 (token "), "{said}");
    assert_eq!((stage.scene.servers[0].port("s0"), fence()), (Some(3), before), "no older leader comes back by it");

    // The leader goes on from there, under the token that it has.
    stage.watchers.order(1, &["resume", "-t", "t0"]);
    stage.scene.commit(2, 4);
    stage.scene.converges(SOON, 2, 4);
    within(SOON, "the leader's outcome", || (fence() >= before && head().contains("\"number\":4")).then_some(()));
    stage.scene.nothing_deleted();
}
