//! One watcher without an election, whose source or targets are away, and who is flooded.

use std::time::{Duration, Instant};

use crate::githttp::Mood;
use crate::prometheus::{Prometheus, lint};
use crate::scene::Scene;
use crate::watchers::Watchers;
use crate::{http, within};

const SERVICES: usize = 4;
const SOON: Duration = Duration::from_secs(60);
/// Several intervals of two seconds.
const A_WHILE: Duration = Duration::from_secs(8);

fn watched(targets: usize, flags: &[String]) -> (Scene, Watchers) {
    let scene = Scene::of(targets, SERVICES);
    let watchers = scene.watch(1, flags);
    scene.converges(SOON, SERVICES, 1);
    (scene, watchers)
}

/// Somebody changes something past the watcher, and it is put back.
#[track_caller]
fn drift_is_corrected(scene: &Scene, port: u64, why: &str) {
    for server in &scene.servers {
        server.drift("s1", 4_000);
    }
    within(SOON, &format!("drift is corrected: {why}"), || scene.holds(SERVICES, port).then_some(()));
}

#[test]
fn while_the_source_is_away_drift_is_corrected_and_nothing_deleted() {
    let (scene, mut watchers) = watched(2, &[]);
    for mood in [Mood::Status(500), Mood::Status(401), Mood::Close, Mood::Cut(30), Mood::Hang, Mood::Stall(30)] {
        scene.remote.http.set(mood);
        std::thread::sleep(Duration::from_secs(3));
        drift_is_corrected(&scene, 1, &format!("{mood:?}"));
    }
    scene.remote.http.set(Mood::Close);
    within(SOON, "the status says that the source is away", || {
        let source = watchers.status(0)?.source;
        (source.why.is_some() && source.commit.is_some()).then_some(())
    });
    assert_eq!(watchers.page(0, "/livez"), Some(200));

    // One that starts while the source is away goes on from what it kept.
    watchers.kill(0);
    watchers.restart(0);
    drift_is_corrected(&scene, 1, "started while the source was away");
    scene.remote.http.set(Mood::Honest);
    scene.commit(SERVICES, 2);
    scene.converges(SOON, SERVICES, 2);
    scene.nothing_deleted();
}

#[test]
fn an_emptied_broken_or_vanished_source_deletes_nothing() {
    let (scene, _watchers) = watched(1, &[]);
    let project = scene.project();
    scene.remote.empty();
    std::thread::sleep(A_WHILE);
    drift_is_corrected(&scene, 1, "emptied");
    scene.remote.commit([("ctl.yaml", project.as_str()), ("manifests/all.yaml", "]: not yaml\n")]);
    std::thread::sleep(A_WHILE);
    drift_is_corrected(&scene, 1, "unparsable");
    scene.remote.commit([("ctl.yaml", project.as_str())]);
    std::thread::sleep(A_WHILE);
    drift_is_corrected(&scene, 1, "nothing declared");
    scene.remote.delete_branch();
    std::thread::sleep(A_WHILE);
    drift_is_corrected(&scene, 1, "deleted branch");

    scene.rewrite(SERVICES, 2);
    scene.remote.repack();
    scene.converges(SOON, SERVICES, 2);
    scene.nothing_deleted();
}

#[test]
fn a_target_that_hangs_holds_up_no_other() {
    let (scene, watchers) = watched(3, &[]);
    scene.servers[0].stop();
    scene.commit(SERVICES, 2);
    within(SOON, "the others follow", || {
        let others = &scene.servers[1..];
        others.iter().all(|server| server.port("s0") == Some(2) && server.port("s3") == Some(2)).then_some(())
    });
    within(Duration::from_secs(120), "the status names the one that does not answer", || {
        let status = watchers.status(0)?;
        let states = status.targets.iter().flat_map(|target| &target.endpoints).map(|at| at.state.as_str());
        (states.collect::<Vec<_>>() == ["failing", "ok", "ok"]).then_some(())
    });
    scene.servers[0].cont();
    scene.converges(SOON, SERVICES, 2);
    scene.nothing_deleted();
}

#[test]
fn five_thousand_forged_webhooks_call_for_nothing() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "right").unwrap();
    let flags = ["--webhook-secret-file".to_owned(), secret.path().display().to_string()];
    let scene = Scene::of(1, SERVICES);
    let watchers = scene.watch_every("1h", 1, &flags);
    scene.converges(SOON, SERVICES, 1);
    let fetches = scene.remote.http.fetches();
    let (cpu, memory) = (watchers.cpu(0), watchers.memory(0));
    let began = Instant::now();
    let forgers: Vec<_> = (0..4)
        .map(|_| {
            let address = watchers.address(0);
            std::thread::spawn(move || {
                (0..1_250)
                    .filter(|at| {
                        let signature = format!("X-Hub-Signature-256: sha256={at:064x}\r\n");
                        let body =
                            format!("{{\"ref\":\"refs/heads/main\",\"n\":{at},\"pad\":\"{}\"}}", "x".repeat(2_000));
                        http::hook(address, &signature, &body).is_none_or(|status| status < 400)
                    })
                    .count()
            })
        })
        .collect();
    let let_in: usize = forgers.into_iter().map(|forger| forger.join().unwrap()).sum();
    assert_eq!(let_in, 0, "each is answered, and refused");
    let spent = watchers.cpu(0) - cpu;
    assert!(spent < Duration::from_secs(5), "{spent:?} of CPU for 5,000 in {:?}", began.elapsed());
    assert!(watchers.memory(0) < memory + (32 << 20), "{memory} bytes, then {}", watchers.memory(0));
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(scene.remote.http.fetches(), fetches, "none of them made it look");
    assert_eq!(watchers.page(0, "/livez"), Some(200));
}

#[test]
fn a_real_prometheus_scrapes_a_real_watcher() {
    let (scene, watchers) = watched(2, &[]);
    let (_, page) = http::get(watchers.address(0), "/metrics").unwrap();
    lint(&page);
    let Some(prometheus) = Prometheus::start() else { return };
    prometheus.scrape(&[watchers.address(0)]);
    prometheus.says("up", &[1.0]);
    prometheus.says("sum(ctl_target_state{state=\"ok\"})", &[2.0]);
    prometheus.says("control_plane_is_leader", &[1.0]);
    prometheus.says("sum(control_plane_resource_count{state=\"in_sync\"})", &[8.0]);
    prometheus.says("control_plane_config_version", &[1.0]);
    scene.commit(SERVICES, 2);
    scene.converges(SOON, SERVICES, 2);
    prometheus.says("control_plane_config_version", &[2.0]);
    prometheus.says("sum(ctl_writes_total{outcome=\"done\"})", &[16.0]);
    assert!(prometheus.query("ALERTS").is_empty(), "a healthy watcher alerts nobody");
}
