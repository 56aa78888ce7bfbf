//! The service.

use std::collections::BTreeMap;
use std::process::Command;

use crate::parts::installed;
use crate::{approves, is_taken, path, read};

const UNIT: &str = "packaging/systemd/ctl-watch.service";

/// `NAME=VALUE` of each line that is no comment, by name; a section's header is none.
fn settings(below: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in read(below).lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once('=') {
            found.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    found
}

#[test]
fn the_service_starts_the_watcher_with_flags_that_exist() {
    let (unit, env) = (settings(UNIT), settings("packaging/systemd/watch.env"));
    let words = unit["ExecStart"][0].split(' ').skip(1).flat_map(|word| match word.strip_prefix('$') {
        Some(variable) => env[variable][0].split(' ').map(str::to_owned).collect(),
        None => vec![word.to_owned()],
    });
    is_taken(&words.collect::<Vec<_>>());
    // The example of a drop-in says in a comment which flags it goes with.
    let comments = read("packaging/systemd/listen.conf");
    let flags = comments.lines().filter_map(|line| line.strip_prefix("#   ")).flat_map(|line| line.split(' '));
    let flags: Vec<&str> = ["watch"].into_iter().chain(flags).collect();
    assert!(flags.len() > 4);
    is_taken(&flags);
    for name in settings("packaging/systemd/listen.conf")["LoadCredential"].iter().map(|v| v.split(':').next().unwrap())
    {
        assert!(flags.contains(&format!("/run/credentials/ctl-watch.service/{name}").as_str()), "{name}");
    }
}

#[test]
fn the_service_says_when_it_is_ready_and_is_watched() {
    let unit = settings(UNIT);
    let is = |name: &str, value: &str| assert_eq!(unit[name], [value], "{name}");
    is("Type", "notify");
    is("DynamicUser", "yes");
    is("StateDirectory", "ctl");
    is("NoNewPrivileges", "yes");
    is("ProtectSystem", "strict");
    is("CapabilityBoundingSet", "");
    let watchdog: u64 = unit["WatchdogSec"][0].parse().unwrap();
    assert!((30..=120).contains(&watchdog), "longer than any pause of the loop, shorter than anybody's patience");
    assert!(unit["TimeoutStopSec"][0].parse::<u64>().unwrap() >= 30, "a request and a push may be in flight");
    // The credential that is loaded is the one that the program is told to read.
    let loaded = unit["LoadCredential"][0].split(':').next().unwrap();
    assert!(unit["Environment"].iter().any(|set| *set == format!("CTL_CREDENTIALS=%d/{loaded}")));
    // Usage does not get better by itself; `ctl` says so with 64.
    is("RestartPreventExitStatus", "64");
}

#[test]
fn systemd_approves_of_the_service() {
    if !installed("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("ctl-watch.service");
    let text = read(UNIT).replace("/usr/bin/ctl ", &format!("{} ", env!("CARGO_BIN_EXE_ctl")));
    std::fs::write(&unit, text).unwrap();
    approves(Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(&unit));
    // Of 100; a daemon that needs the network cannot be much below.
    let security = ["security", "--offline=yes", "--no-pager", "--threshold=15"];
    approves(Command::new("systemd-analyze").args(security).arg(path(UNIT)));
}
