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

/// Runs with an operator's file whose credential grants writes of these kinds only.
fn granted<const N: usize>(world: &World, kinds: &str, args: [&str; N]) -> Ran {
    let project = std::fs::read_to_string(world.sandbox.repo().join("ctl.yaml")).unwrap();
    let url = project.split('"').nth(1).unwrap().to_owned();
    if !project.contains("credentials") {
        world.sandbox.write("ctl.yaml", &project.replace("api: ctl,", "api: ctl, credentials: edge,"));
        world.sandbox.commit("a credential");
    }
    let operator = format!(
        "credentials: {{edge: {{hosts: [\"{url}\"], bearer: {{text: x}}, grant: [{{project: shop, kinds: [{kinds}]}}]}}}}\n"
    );
    let output = world.sandbox.command(&args).env("CTL_CREDENTIALS_YAML", operator).output().unwrap();
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

const ROUTE: &str = "apiVersion: ctl\nkind: route\nmetadata: {name: r}\nspec: {service: s0, host: h, path: /}\n";

#[test]
fn what_a_delete_takes_along_must_be_granted_as_well() {
    let world = World::local("");
    world.sandbox.write("manifests/route.yaml", ROUTE);
    services(&world, 0..2, 80);
    world.sandbox.run(["apply", "--yes"]).exits(0).says("3 created");
    // Nobody's any more, so that no operation of the plan names it.
    world.sandbox.run(["release", "edge:route/r", "--yes"]).exits(0);
    world.sandbox.remove("manifests/route.yaml");
    services(&world, 1..2, 80);
    let plan = granted(&world, "service", ["plan", "-o", "json"]).exits(7).json();
    let sum = plan["deletes_checksum"].as_str().unwrap();
    granted(&world, "service", ["apply", "--yes", "--allow-deletes", sum]).exits(7).says("no write of route name=r");
    assert!(world.server.live().contains_key("service/s0"));
    granted(&world, "service, route", ["apply", "--yes", "--allow-deletes", sum]).exits(0).says("1 deleted");
    assert!(!world.server.live().contains_key("route/r"));
}

#[test]
fn a_release_writes_only_what_is_granted_and_says_so_in_the_record_first() {
    let world = World::local("");
    services(&world, 0..2, 80);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    let (writes, live) = (world.server.writes(), world.server.live());
    granted(&world, "route", ["release", "edge:service/s0", "--yes"]).exits(7).warns("grant-refused");
    assert_eq!((world.server.writes(), world.server.live()), (writes, live));
    let intents = || {
        let log = world.sandbox.git(["log", "--format=%s", "refs/ctl/records/shop/edge"]);
        log.lines().filter(|line| line.starts_with("intent of run")).count()
    };
    let before = intents();
    granted(&world, "service", ["release", "edge:service/s0", "--yes"]).exits(0).says("Released: 1 of 1");
    assert_eq!(intents(), before + 1);
    let shown = world.sandbox.run(["record", "show", "-o", "json"]).exits(0).json();
    assert_eq!(shown["targets"][0]["intents"].as_array().unwrap().len(), 0);
    assert_eq!(shown["targets"][0]["version"]["result"], "released");
    assert_eq!(shown["targets"][0]["resources"].as_array().unwrap().len(), 1);
}

#[test]
fn a_target_that_becomes_exclusive_asks_before_the_first_stranger_goes() {
    let world = World::local("");
    services(&world, 0..3, 80);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    let stranger = |name: &str| {
        world.sandbox.run(["release", name, "--yes"]).exits(0);
    };
    stranger("edge:service/s2");
    let project = std::fs::read_to_string(world.sandbox.repo().join("ctl.yaml")).unwrap();
    world.sandbox.write("ctl.yaml", &project.replace("api: ctl,", "api: ctl, own: exclusive,"));
    services(&world, 0..2, 80);
    let plan = world.sandbox.run(["plan", "-o", "json"]).exits(7).json();
    assert_eq!(plan["refusals"][0]["gate"], "exclusive-first-run");
    world.sandbox.run(["apply", "--yes"]).exits(7);
    assert!(world.server.live().contains_key("service/s2"));
    let sum = plan["deletes_checksum"].as_str().unwrap();
    world.sandbox.run(["apply", "--yes", "--allow-deletes", sum]).exits(0).says("1 deleted");
    // It was agreed to once; from now on strangers go.
    stranger("edge:service/s1");
    services(&world, 0..1, 80);
    world.sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    assert_eq!(world.server.live().len(), 1);
}

#[test]
fn a_folder_of_manifests_that_is_gone_beside_others_deletes_nothing_unasked() {
    let world = World::local("");
    let project = std::fs::read_to_string(world.sandbox.repo().join("ctl.yaml")).unwrap();
    world.sandbox.write("ctl.yaml", &project.replace("[manifests/]", "[manifests/, routes/]"));
    world.sandbox.write("routes/route.yaml", ROUTE);
    services(&world, 0..9, 80);
    world.sandbox.run(["apply", "--yes"]).exits(0).says("10 created");
    world.sandbox.remove("routes/route.yaml").commit("a slip");
    let plan = world.sandbox.run(["plan", "-o", "json"]).exits(7).json();
    assert_eq!(plan["refusals"][0]["gate"], "folder-gone", "{}", plan["refusals"]);
    world
        .sandbox
        .run(["apply", "--yes"])
        .exits(7)
        .says("the folder `routes`, which ctl.yaml lists, is not in this commit")
        .says("put it back");
    assert_eq!(world.server.live().len(), 10);
    let sum = plan["deletes_checksum"].as_str().unwrap();
    world.sandbox.run(["apply", "--yes", "--allow-deletes", sum]).exits(0).says("1 deleted");
}

/// Puts a commit on the record's ref whose files were changed by a script (`$f` is the first file with lines).
fn damage(world: &World, script: &str) {
    let all = format!(
        "set -e; export GIT_INDEX_FILE=$PWD/.git/damage GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
         GIT_COMMITTER_EMAIL=a@b; r=refs/ctl/records/shop/edge; git read-tree $r; mkdir ../damage; \
         git --work-tree=../damage checkout-index -a; cd ../damage; f=$(ls */*.jsonl | head -1); {script}; \
         cd ../repo; git --work-tree=../damage add -A; \
         git update-ref $r $(git commit-tree -p $r -m damaged $(git write-tree))"
    );
    let path = std::env::var("PATH").unwrap();
    let mut shell = std::process::Command::new("sh");
    let ran =
        shell.args(["-c", &all]).current_dir(world.sandbox.repo()).env_clear().env("PATH", path).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_damaged_record_is_made_anew_of_what_is_provably_ours() {
    for (script, lost) in [("printf x >>$f", "its last line is cut off"), ("printf x >head.json", "head.json")] {
        let world = World::local("");
        services(&world, 0..4, 80);
        world.sandbox.run(["apply", "--yes"]).exits(0);
        // One that is there and nobody's: released, so that it bears no mark.
        services(&world, 0..5, 80);
        world.sandbox.run(["apply", "--yes"]).exits(0);
        world.sandbox.run(["release", "edge:service/s4", "--yes"]).exits(0);
        services(&world, 0..4, 80);
        damage(&world, script);
        for args in [["apply", "--yes"].as_slice(), &["plan"], &["record", "verify"]] {
            let output = world.sandbox.command(args).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(8), "{said}");
            assert!(said.contains(lost) && said.contains("ctl record rebuild"), "{said}");
        }
        world.sandbox.run(["record", "rebuild"]).exits(7);
        world.sandbox.run(["record", "rebuild", "--yes"]).exits(0).says("made anew it names 4").warns(lost);
        world.sandbox.run(["record", "verify"]).exits(0).says("4 lines");
        world.sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do");
        // What is not ours stays when its like goes; what is ours goes.
        services(&world, 0..3, 80);
        world.sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
        assert!(world.server.live().contains_key("service/s4") && !world.server.live().contains_key("service/s3"));
        // The lineage outlived the damage.
        let first = world.sandbox.git(["rev-list", "--max-parents=0", "HEAD"]);
        world.sandbox.run(["apply", "--yes", "--rev", first.trim()]).exits(5);
    }
}

#[test]
fn a_record_of_a_newer_program_is_not_made_anew_by_an_older_one() {
    let world = World::local("");
    services(&world, 0..1, 80);
    world.sandbox.run(["apply", "--yes"]).exits(0);
    damage(&world, r#"printf '{"format":"2.0"}' >head.json"#);
    world.sandbox.run(["record", "rebuild", "--yes"]).exits(8).warns("a newer ctl wrote it");
}
