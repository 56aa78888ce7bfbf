//! Three watchers that share five targets through a real etcd of three members, and lose each other and it.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::line::State;
use crate::scene::Scene;
use crate::watchers::Watchers;
use crate::within;

const TARGETS: usize = 5;
const SERVICES: usize = 4;
/// A take-over: the lease of 30 s, and what finding out takes.
const TAKEN_OVER: Duration = Duration::from_secs(35);
/// What the machine may be slower than it should while everything else runs beside this.
const SLACK: Duration = Duration::from_secs(10);
/// Everything is as it should be, with nobody away.
const SETTLED: Duration = Duration::from_secs(60);

struct Stage {
    cluster: Cluster,
    scene: Scene,
    watchers: Watchers,
    targets: Vec<String>,
}

/// Watchers that lead at all targets between them, with everything applied; nothing without etcd.
fn stage() -> Option<Stage> {
    let cluster = Cluster::of(3)?;
    let scene = Scene::of(TARGETS, SERVICES);
    let flags = ["--election".to_owned(), "etcd".to_owned(), "--etcd".to_owned(), cluster.urls().join(",")];
    let watchers = scene.watch(3, &flags);
    let targets: Vec<String> = (0..TARGETS).map(|at| format!("t{at}")).collect();
    watchers.lead_alone(&targets, SETTLED);
    scene.converges(SETTLED, SERVICES, 1);
    Some(Stage { cluster, scene, watchers, targets })
}

impl Stage {
    /// Where this watcher leads.
    fn led_by(&self, watcher: usize) -> Vec<usize> {
        let leads = |at: &usize| self.watchers.leaders(&self.targets[*at]) == [watcher];
        (0..TARGETS).filter(leads).collect()
    }

    /// The watcher that leads at most targets.
    fn busiest(&self) -> usize {
        (0..3).max_by_key(|watcher| self.led_by(*watcher).len()).unwrap()
    }

    /// Every write bore the token of its leader, none was stale, and nothing was deleted.
    #[track_caller]
    fn all_was_fenced(&self) {
        self.scene.nothing_stale();
        self.scene.nothing_deleted();
        for server in &self.scene.servers {
            let bare: Vec<_> = server.books().into_iter().filter(|written| written.token.is_none()).collect();
            assert!(bare.is_empty(), "writes without a token: {bare:?}");
        }
    }
}

#[test]
fn a_killed_leader_is_followed_within_the_lease() {
    let Some(mut stage) = stage() else { return };
    let victim = stage.busiest();
    assert!(!stage.led_by(victim).is_empty());
    stage.watchers.kill(victim);
    let killed = Instant::now();
    stage.scene.commit(SERVICES, 2);
    let leaders = stage.watchers.lead_alone(&stage.targets, TAKEN_OVER + SLACK);
    let took = killed.elapsed();
    assert!(!leaders.contains(&victim));
    assert!(took <= TAKEN_OVER, "taken over after {took:?}");
    stage.scene.converges(SETTLED, SERVICES, 2);

    // It comes back with the state folder it had, takes nothing away from the others, and is there when they go.
    stage.watchers.restart(victim);
    within(SETTLED, "the one that was killed answers", || stage.watchers.page(victim, "/livez"));
    stage.watchers.lead_alone(&stage.targets, SETTLED);
    stage.all_was_fenced();
}

#[test]
fn a_leader_that_stood_still_writes_nothing_stale() {
    let Some(stage) = stage() else { return };
    for round in 0..2u64 {
        let victim = stage.busiest();
        // It stands still with something to do.
        stage.scene.commit(SERVICES, 10 + round);
        std::thread::sleep(Duration::from_millis(700 * round));
        stage.watchers.stop(victim);
        let leaders = stage.watchers.lead_alone(&stage.targets, TAKEN_OVER + SLACK);
        assert!(!leaders.contains(&victim));
        stage.scene.converges(SETTLED, SERVICES, 10 + round);
        stage.scene.commit(SERVICES, 20 + round);
        stage.watchers.cont(victim);
        stage.watchers.lead_alone(&stage.targets, SETTLED);
        stage.scene.converges(SETTLED, SERVICES, 20 + round);
    }
    stage.all_was_fenced();
}

#[test]
fn a_leader_that_is_told_to_stop_resigns_first() {
    let Some(mut stage) = stage() else { return };
    let victim = stage.busiest();
    let ended = stage.watchers.terminate(victim, Duration::from_secs(60));
    assert_eq!(ended.code(), Some(0), "{}", stage.watchers.said(victim));
    // Nobody waits for a lease to run out.
    stage.watchers.lead_alone(&stage.targets, Duration::from_secs(10) + SLACK);
    stage.scene.commit(SERVICES, 3);
    stage.scene.converges(SETTLED, SERVICES, 3);
    stage.all_was_fenced();
}

#[test]
fn one_member_of_etcd_is_not_missed_and_two_close_the_gate() {
    let Some(mut stage) = stage() else { return };
    let first = stage.cluster.leader();
    stage.cluster.kill(first);
    stage.scene.commit(SERVICES, 2);
    stage.scene.converges(SETTLED, SERVICES, 2);

    let second = stage.cluster.leader();
    stage.cluster.stop(second);
    let lost = Instant::now();
    // The gate closes 15 s after the last renewal that was acknowledged, and a write may be in flight for 10 s.
    let closed = lost + Duration::from_secs(26);
    std::thread::sleep(closed.saturating_duration_since(Instant::now()));
    stage.scene.commit(SERVICES, 3);
    stage.scene.servers[0].drift("s0", 77);
    std::thread::sleep(Duration::from_secs(10));
    for server in &stage.scene.servers {
        let late: Vec<_> = server.books().into_iter().filter(|written| written.at > closed).collect();
        assert!(late.is_empty(), "writes without etcd: {late:?}");
    }
    within(Duration::from_secs(120), "nobody is ready without etcd", || {
        (0..3).all(|watcher| stage.watchers.page(watcher, "/readyz") == Some(503)).then_some(())
    });
    assert!((0..3).all(|watcher| stage.watchers.page(watcher, "/livez") == Some(200)), "and all are alive");

    stage.cluster.cont(second);
    stage.cluster.restart(first);
    stage.watchers.lead_alone(&stage.targets, TAKEN_OVER + SETTLED);
    stage.scene.converges(SETTLED, SERVICES, 3);
    stage.all_was_fenced();
}

#[test]
fn a_revoked_lease_and_a_cut_line_cost_the_leadership_and_no_more() {
    let Some(stage) = stage() else { return };
    let leader = stage.cluster.leader();
    let keys = stage.cluster.keys(leader, "/ctl").unwrap();
    let leases: std::collections::BTreeSet<String> =
        keys.into_iter().map(|(_, lease)| lease).filter(|lease| lease != "0").collect();
    assert!(!leases.is_empty(), "leaders hold leases");
    for lease in &leases {
        stage.cluster.revoke(lease);
    }
    stage.scene.commit(SERVICES, 2);
    stage.watchers.lead_alone(&stage.targets, SETTLED);
    stage.scene.converges(SETTLED, SERVICES, 2);

    for state in [State::Cut, State::Held, State::Deaf] {
        stage.cluster.lines(state);
        std::thread::sleep(Duration::from_secs(20));
        stage.cluster.lines(State::Cut);
        stage.cluster.lines(State::Open);
        stage.watchers.lead_alone(&stage.targets, TAKEN_OVER + SETTLED);
    }
    stage.scene.commit(SERVICES, 3);
    stage.scene.converges(SETTLED, SERVICES, 3);
    stage.all_was_fenced();
}
