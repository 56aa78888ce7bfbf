//! The same fault again and again. `CTL_TEST_ROUNDS=200 cargo test --test watch round` does it longer than every day.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::election::{SERVICES, SETTLED, SLACK, TAKEN_OVER, stage};
use crate::shop::{SOON, Served, Shop};
use crate::within;

fn rounds(usual: u64) -> u64 {
    let asked = std::env::var("CTL_TEST_ROUNDS").ok();
    asked.map_or(usual, |many| many.parse().expect("CTL_TEST_ROUNDS is a number"))
}

/// A leader stands still with a write under way and the next commit before it. Its lease is taken away meanwhile, so that
/// it wakes with a gate that it may still think open: what stops it then is the fence alone. Every twentieth time the
/// lease runs out by itself, which takes half a minute.
#[test]
fn round_after_round_a_leader_that_wakes_up_late_is_refused_by_the_fence() {
    let Some(mut stage) = stage() else { return };
    let (mut slowest, mut slowest_alone) = (Duration::ZERO, Duration::ZERO);
    let (rounds, mut refused, mut port) = (rounds(2), 0, 1);
    for round in 1..=rounds {
        let alone = round % 20 == 0;
        let victim = stage.busiest();
        let before = stage.tokens(victim);
        let led = stage.led_by(victim);
        let at = led[0];
        let name = &stage.targets[at];
        let held = stage.scene.servers[at].hold_next();
        port += 1;
        stage.scene.commit(SERVICES, port);
        within(SETTLED, "a write that is kept back", || held.came().then_some(()));
        stage.watchers.stop(victim);
        let stopped = Instant::now();
        if !alone {
            let member = stage.cluster.leader();
            let keys = stage.cluster.keys(member, "/ctl/election/").unwrap();
            let (_, lease) = keys.iter().find(|(key, _)| key.ends_with(&format!("/{name}"))).expect("its key");
            stage.cluster.revoke(lease);
        }
        stage.taken_over(victim, &led, port, TAKEN_OVER + SLACK);
        let took = stopped.elapsed();
        if alone {
            slowest_alone = slowest_alone.max(took);
        } else {
            slowest = slowest.max(took);
        }
        let (late, said) = held.let_go();
        assert_eq!((late.token, late.status), (before.get(name).copied(), 412), "round {round}: {said}");
        refused += 1;
        stage.scene.servers[at].mend();
        port += 1;
        stage.scene.commit(SERVICES, port);
        stage.watchers.cont(victim);
        stage.scene.converges(SETTLED, SERVICES, port);
        stage.scene.nothing_stale();
        stage.scene.nothing_deleted();
        eprintln!("round {round}: taken over in {took:.1?}, the late write was refused");
    }
    let writes: Vec<_> = stage.scene.servers.iter().flat_map(|server| server.books()).collect();
    let (accepted, stale) = (
        writes.iter().filter(|written| written.accepted()).count(),
        stage.scene.servers.iter().map(|server| server.stale().len()).sum::<usize>(),
    );
    eprintln!(
        "{rounds} rounds: {accepted} writes accepted, {stale} of them stale, {refused} late ones refused; taken over \
         within {slowest:.1?}, where the lease ran out by itself within {slowest_alone:.1?}"
    );
    assert_eq!(stale, 0);
    assert!(writes.iter().all(|written| written.token.is_some()), "a write without a token");
    drop(stage.eyes.close());
}

/// The kernel remembers so many changes of files (fs.inotify.max_queued_events) for whoever does not fetch them, and
/// forgets the rest; the commit is among the rest.
#[test]
fn round_after_round_a_commit_is_seen_though_the_kernel_forgot_to_tell() {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    // Each file is at least three changes.
    let files = limit.max(20_000);
    if files > 200_000 {
        eprintln!("skipped: this machine remembers {limit} changes of files");
        return;
    }
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let mut commit = shop.services(&["a", "b"], 80).commit();
    // Nobody looks by itself while this runs.
    shop.watch(&["--interval", "1h"]);
    shop.converged(&commit);
    for round in 1..=rounds(1) {
        shop.signal(Signal::STOP);
        // In a folder that is watched, under names that are no hint: what was remembered before it was too much calls
        // for nothing.
        let git_dir = shop.repository().join(".git");
        let name = |at: usize| git_dir.join(format!("flood-{at}"));
        for at in 0..files {
            drop(std::fs::File::create(name(at)).unwrap());
        }
        for at in 0..files {
            std::fs::remove_file(name(at)).unwrap();
        }
        let port = 80 + u16::try_from(round).unwrap();
        commit = shop.services(&["a"], port).commit();
        let woken = Instant::now();
        shop.signal(Signal::CONT);
        within(SOON, "the commit that nobody told of", || {
            (served.field("a", "port") == Some(port.into())).then_some(())
        });
        eprintln!("round {round}: {files} files came and went, and the commit was seen in {:.1?}", woken.elapsed());
        shop.converged(&commit);
    }
}
