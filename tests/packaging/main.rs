//! What ships in `packaging/` fits the program: flags, paths, ports and metrics that are named there exist, and what can be
//! tried on this machine is tried.
//!
//! Real checkers (`promtool`, `systemd-analyze`) are used where they are installed, and must be with `CTL_TEST_ALL=1`.

#![expect(clippy::unwrap_used, reason = "helpers of a test have nobody else to tell")]

#[path = "../support/parts.rs"]
mod parts;

mod docker;
mod grafana;
mod kubernetes;
mod metrics;
mod prometheus;
mod promql;
mod release;
mod systemd;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;

/// A path of this repository.
fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// A file of this repository.
fn read(below: &str) -> String {
    std::fs::read_to_string(path(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
}

/// The documents of a YAML file.
fn documents(below: &str) -> Vec<serde_json::Value> {
    use serde::Deserialize as _;
    let text = read(below);
    let read = |document| serde_json::Value::deserialize(document).unwrap_or_else(|error| panic!("{below}: {error}"));
    serde_yaml::Deserializer::from_str(&text).map(read).collect()
}

/// Fails unless the program takes these arguments (the program's name is not among them).
#[track_caller]
fn is_taken<S: AsRef<str>>(args: &[S]) {
    let args = ["ctl"].into_iter().chain(args.iter().map(AsRef::as_ref));
    if let Err(error) = ctl::cli::Cli::try_parse_from(args) {
        panic!("ctl does not take these arguments: {error}");
    }
}

/// Runs a checker; fails with its words if it finds anything.
#[track_caller]
fn approves(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {said}");
}
