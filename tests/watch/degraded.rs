//! One watcher without an election, whose source or targets are away, and who is flooded.

use std::time::{Duration, Instant};

use crate::githttp::Mood;
use crate::prometheus::{Prometheus, lint};
use crate::scene::Scene;
use crate::watchers::Watchers;
use crate::{http, within};

const SERVICES: usize = 8;
const SOON: Duration = Duration::from_secs(60);
/// Several intervals of two seconds.
const A_WHILE: Duration = Duration::from_secs(8);

fn watched(targets: usize, flags: &[String]) -> (Scene, Watchers) {
    let scene = Scene::alone(targets, SERVICES);
    let watchers = scene.watch(1, flags);
    scene.converges(SOON, SERVICES, 1);
    (scene, watchers)
}

/// Somebody changes a service past the watcher, and it is put back. Each has its turn: a field that is changed back three
/// times is a rival's, and left alone.
#[track_caller]
fn drift_is_corrected(scene: &Scene, service: usize, port: u64, why: &str) {
    assert!(service < SERVICES);
    for server in &scene.servers {
        server.drift(&format!("s{service}"), 4_000);
    }
    within(SOON, &format!("drift is corrected: {why}"), || scene.holds(SERVICES, port).then_some(()));
}

#[test]
fn while_the_source_is_away_drift_is_corrected_and_nothing_deleted() {
    let (scene, mut watchers) = watched(2, &[]);
    let moods = [Mood::Status(500), Mood::Status(401), Mood::Close, Mood::Cut(30), Mood::Hang, Mood::Stall(30)];
    for (service, mood) in moods.into_iter().enumerate() {
        scene.remote.http.set(mood);
        std::thread::sleep(Duration::from_secs(3));
        drift_is_corrected(&scene, service, 1, &format!("{mood:?}"));
    }
    scene.remote.http.set(Mood::Close);
    within(SOON, "the status says that the source is away", || {
        let source = watchers.status(0)?.source;
        (source.why.is_some() && source.commit.is_some()).then_some(())
    });
    watchers.is_alive(0);

    // One that starts while the source is away goes on from what it kept.
    watchers.kill(0);
    watchers.restart(0);
    drift_is_corrected(&scene, 6, 1, "started while the source was away");
    scene.remote.http.set(Mood::Honest);
    scene.commit(SERVICES, 2);
    scene.converges(SOON, SERVICES, 2);
    scene.nothing_deleted();
}

#[test]
fn while_the_place_of_the_record_is_away_nothing_is_written_and_then_all_is() {
    let scene = Scene::of(2, SERVICES);
    let watchers = scene.watch(1, &[]);
    scene.converges(SOON, SERVICES, 1);
    // No write without an intent where others can see it: the remote holds the record, too.
    // What was applied is recorded before anything else begins.
    within(SOON, "version 1 of both", || {
        let status = watchers.status(0)?;
        let first =
            |target: &ctl::model::TargetStatus| target.version.as_ref().is_some_and(|version| version.number == 1);
        status.targets.iter().all(first).then_some(())
    });
    scene.remote.http.set(Mood::Close);
    let writes = || scene.servers.iter().map(|server| server.proxy.writes().len()).sum::<usize>();
    let before = writes();
    scene.servers[0].drift("s1", 4_000);
    scene.commit(SERVICES, 2);
    within(Duration::from_secs(120), "the status says what is away", || {
        let status = watchers.status(0)?;
        // The other target has nothing to write, and is well.
        let late = status.targets.iter().any(|target| target.not_ready.is_some());
        (status.source.why.is_some() && late).then_some(())
    });
    assert_eq!(writes(), before);
    watchers.is_alive(0);
    scene.remote.http.set(Mood::Honest);
    scene.converges(SOON, SERVICES, 2);
    scene.nothing_deleted();
}

#[test]
fn an_emptied_broken_or_vanished_source_deletes_nothing() {
    let (scene, watchers) = watched(1, &[]);
    let project = scene.project();
    scene.remote.empty();
    std::thread::sleep(A_WHILE);
    drift_is_corrected(&scene, 0, 1, "emptied");
    scene.remote.commit([("ctl.yaml", project.as_str()), ("manifests/all.yaml", "]: not yaml\n")]);
    std::thread::sleep(A_WHILE);
    drift_is_corrected(&scene, 1, 1, "unparsable");
    scene.remote.delete_branch();
    std::thread::sleep(A_WHILE);
    drift_is_corrected(&scene, 2, 1, "deleted branch");
    // A commit that is whole and says that there shall be nothing is no broken source: a guard stops it.
    scene.remote.commit([("ctl.yaml", project.as_str())]);
    std::thread::sleep(A_WHILE);
    scene.nothing_deleted();

    // History that was rewritten needs a person's leave, for that very plan.
    scene.rewrite(SERVICES, 2);
    scene.remote.repack();
    let checksum = within(SOON, "the status says that history was rewritten", || {
        let target = watchers.status(0)?.targets.pop()?;
        let refusal = target.refusals.iter().find(|refusal| refusal.gate == "rewritten-history")?;
        assert!(refusal.approvable, "{refusal:?}");
        target.checksum
    });
    assert!(scene.holds(SERVICES, 1), "nothing of it is written before");
    watchers.order(0, &["approve", &checksum]);
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
        others.iter().all(|server| server.port("s0") == Some(2) && server.port("s7") == Some(2)).then_some(())
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
    // What follows the last write is over: the record is shared, and nobody asks the remote any more.
    within(SOON, "a version, and nothing after it", || {
        watchers.status(0)?.targets.pop()?.version?;
        let seen = scene.remote.http.seen().len();
        std::thread::sleep(Duration::from_secs(3));
        (scene.remote.http.seen().len() == seen).then_some(())
    });
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
    eprintln!("{spent:?} of CPU for 5,000 in {:?}", began.elapsed());
    assert!(spent < Duration::from_secs(20), "{spent:?} of CPU for 5,000 in {:?}", began.elapsed());
    assert!(watchers.memory(0) < memory + (32 << 20), "{memory} bytes, then {}", watchers.memory(0));
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(scene.remote.http.fetches(), fetches, "none of them made it look");
    watchers.is_alive(0);
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
    prometheus.says("sum(control_plane_resource_count{state=\"in_sync\"})", &[16.0]);
    prometheus.says("control_plane_config_version", &[1.0]);
    scene.commit(SERVICES, 2);
    scene.converges(SOON, SERVICES, 2);
    prometheus.says("control_plane_config_version", &[2.0]);
    prometheus.says("sum(ctl_writes_total{outcome=\"done\"})", &[32.0]);
    assert!(prometheus.query("ALERTS{alertstate=\"firing\"}").is_empty(), "a healthy watcher alerts nobody");
    // What was the case for a moment, while it wrote, is not for long.
    prometheus.says("ALERTS", &[]);
}
