//! What the simulation must never see, and what it must see without faults.

use std::time::Duration;

use super::simulation::{Found, Rules, simulate};
use crate::world::seeds;

const STORM: Rules = Rules { watchers: 3, targets: 5, faults: true, request: Duration::from_secs(10) };

fn all(rules: Rules, seeds: std::ops::Range<u64>) -> Vec<(u64, Found)> {
    let half = seeds.start + (seeds.end - seeds.start) / 2;
    let run = |seeds: std::ops::Range<u64>| seeds.map(|seed| (seed, simulate(seed, rules))).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run(half..seeds.end));
        let mut found = run(seeds.start..half);
        found.extend(other.join().unwrap());
        found
    })
}

fn storms(seeds: std::ops::Range<u64>) {
    let count = seeds.end - seeds.start;
    let found = all(STORM, seeds);
    let bad: Vec<_> = found.iter().filter(|(_, found)| !found.faults.is_empty()).collect();
    assert!(bad.is_empty(), "{} of {count} seeds, the first {}: {:#?}", bad.len(), bad[0].0, bad[0].1.faults);
    let sum = |of: fn(&Found) -> usize| found.iter().map(|(_, found)| of(found)).sum::<usize>() as u64;
    // Otherwise nothing was shown.
    assert!(sum(|f| f.writes) > 1_000 * count && sum(|f| f.refused) > 500 * count && sum(|f| f.tenures) > 10 * count);
    let idle = found.iter().max_by_key(|(_, found)| found.idle).unwrap();
    assert!(idle.1.idle <= Duration::from_secs(35), "seed {}: {:?} without an owner", idle.0, idle.1.idle);
}

#[test]
fn two_watchers_never_have_writes_under_way_for_one_target() {
    storms(seeds(150));
}

#[test]
fn requests_that_take_longer_than_they_may_are_noticed_by_the_simulation() {
    let late = Rules { request: Duration::from_secs(15), ..STORM };
    assert!(all(late, 0..8).iter().any(|(_, found)| !found.faults.is_empty()));
}

#[test]
fn without_faults_each_target_has_an_owner_within_five_seconds_and_keeps_it() {
    for (watchers, targets) in [(1, 3), (2, 2), (3, 5), (5, 3), (4, 20)] {
        for seed in 0..4 {
            let found = simulate(seed, Rules { watchers, targets, faults: false, ..STORM });
            assert!(found.faults.is_empty(), "{watchers} {targets} {seed}: {:?}", found.faults);
            assert!(
                found.idle < Duration::from_secs(1) && found.refused == 0,
                "{watchers} {targets} {seed}: {found:?}"
            );
            assert_eq!(found.tenures, targets, "{watchers} {targets} {seed}: nothing changes hands");
        }
    }
}
