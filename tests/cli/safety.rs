//! What may be deleted and what may be overwritten, against somebody who tries.

use super::record::{World, services};
use super::sandbox::Ran;

/// Runs as a user whose operator has a `record-key`.
fn signed(world: &World, args: &[&str]) -> Ran {
    let output = world
        .sandbox
        .command(args)
        .env("CTL_CREDENTIALS_YAML", "record-key: {text: of-the-operator}\n")
        .output()
        .unwrap();
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

fn resource(world: &World, name: &str) -> serde_json::Value {
    let shown = world.sandbox.run(["record", "show", "-o", "json"]).exits(0).json();
    let resources = shown["targets"][0]["resources"].as_array().unwrap();
    resources.iter().find(|r| r["address"].as_str().unwrap().ends_with(name)).unwrap().clone()
}

#[test]
fn a_line_that_somebody_slipped_into_the_record_is_not_signed_by_the_next_run() {
    let world = World::local("");
    services(&world, 0..2, 80);
    // Somebody without the operator's key wrote these two lines.
    world.sandbox.run(["apply", "--yes"]).exits(0);
    services(&world, 0..3, 80);
    signed(&world, &["apply", "--yes"]).exits(0).says("1 created");
    services(&world, 1..3, 80);
    signed(&world, &["apply", "--yes"]).exits(0).says("its record entry is not verified");
    assert!(world.server.live().contains_key("service/s0"), "an unsigned line permits no delete");
    services(&world, 1..2, 80);
    signed(&world, &["apply", "--yes"]).exits(0).says("1 deleted");
    assert!(!world.server.live().contains_key("service/s2"), "a signed line does");
    // Only whoever looks and consents makes them good.
    signed(&world, &["record", "rebuild", "--yes"]).exits(0);
    signed(&world, &["record", "verify"]).exits(0);
}

#[test]
fn an_older_commit_of_an_equal_state_leaves_the_record_at_the_newer_one() {
    let world = World::local("");
    services(&world, 0..3, 80);
    let first = world.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    services(&world, 0..3, 81);
    let second = world.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    services(&world, 0..3, 80);
    let reverted = world.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    world.sandbox.run(["apply", "--yes"]).exits(0);
    world.sandbox.run(["release", "edge:service/s0", "--yes"]).exits(0);
    // The first commit is the state that stands, so that its run may go on, and has something to do.
    world.sandbox.run(["apply", "--yes", "--rev", &first]).exits(0).says("1 adopted");
    let writes = world.server.writes();
    world.sandbox.run(["apply", "--yes", "--rev", &second]).exits(5).says("git revert");
    assert_eq!(world.server.writes(), writes, "what was reverted is not applied again");
    let history = world.sandbox.run(["history", "-o", "json"]).exits(0).json();
    assert_eq!(history["versions"][0]["commit"], reverted);
}

#[test]
fn a_run_takes_the_record_of_every_target_to_its_commit() {
    let world = World::local("");
    let project = std::fs::read_to_string(world.sandbox.repo().join("ctl.yaml")).unwrap();
    let edge = project.lines().last().unwrap().to_owned();
    world.sandbox.write("ctl.yaml", &format!("{project}{}\n", edge.replace("edge", "spare")));
    let declare = |edge: usize, team: &str| {
        let service = |name: &str, target: &str, port: usize| {
            format!(
                "---\napiVersion: ctl\nkind: service\nmetadata: {{name: {name}, targets: [{target}], labels: {{team: {team}}}}}\n\
                 spec: {{host: h, port: {port}}}\n"
            )
        };
        let text = service("a", "edge", edge) + &service("b", "spare", 80);
        world.sandbox.write("manifests/all.yaml", &text);
        world.sandbox.commit("two targets")
    };
    declare(80, "shop");
    world.sandbox.run(["apply", "--yes"]).exits(0);
    let commit = declare(81, "pay");
    world.sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    let shown = world.sandbox.run(["record", "show", "-o", "json"]).exits(0).json();
    for target in shown["targets"].as_array().unwrap() {
        assert_eq!(target["version"]["commit"], commit, "{}", target["target"]);
        assert_eq!(target["resources"][0]["labels"]["team"], "pay", "{}", target["target"]);
    }
}

#[test]
fn what_is_protected_from_now_on_is_still_known_to_bear_our_mark() {
    let world = World::local("");
    let declare = |more: &str| {
        let text = format!("apiVersion: ctl\nkind: service\nmetadata: {{name: a{more}}}\nspec: {{host: h}}\n");
        world.sandbox.write("manifests/all.yaml", &text);
        world.sandbox.commit("a");
    };
    declare("");
    world.sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(resource(&world, "service/a")["marked"], true);
    declare(", protect: true");
    world.sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(resource(&world, "service/a")["protect"], true);
    assert_eq!(resource(&world, "service/a")["marked"], true, "its mark is still a condition of a delete");
}
