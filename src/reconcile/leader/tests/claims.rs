use std::time::Duration;

use super::simulation::{Rules, simulate};

const STORM: Rules = Rules { watchers: 3, targets: 5, faults: true, request: Duration::from_secs(10) };

#[test]
fn two_watchers_never_have_writes_under_way_for_one_target() {
    let bad: Vec<_> = (0..50).map(|seed| (seed, simulate(seed, STORM))).filter(|(_, found)| !found.faults.is_empty()).collect();
    for (seed, found) in bad.iter().take(3) {
        eprintln!("seed {seed}: {:#?}", &found.faults[..found.faults.len().min(5)]);
    }
    let f = simulate(1, STORM);
    eprintln!("{} {} {} {:?}", f.writes, f.refused, f.tenures, f.idle);
    assert!(bad.is_empty(), "{}", bad.len());
}
