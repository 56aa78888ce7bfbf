//! The main road: plan, apply, change, remove.

use crate::sandbox::Sandbox;

const PROJECT: &str = "\
apiVersion: ctl/v1
kind: Project
metadata: {name: shop}
manifests: [manifests/]
targets:
  edge: {api: ctl, url: embedded}
";

fn service(name: &str, more: &str) -> String {
    format!("apiVersion: ctl\nkind: service\nmetadata: {{name: {name}}}\nspec:\n  host: {name}.internal\n{more}")
}

fn shop(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ctl.yaml", PROJECT);
    for name in names {
        sandbox.write(&format!("manifests/{name}.yaml"), &service(name, ""));
    }
    sandbox.commit("the shop");
    sandbox
}

#[test]
fn the_example_is_created_and_then_nothing_changes() {
    let sandbox = Sandbox::new();
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/manifests");
    for entry in walk(&example) {
        let path = entry.strip_prefix(&example).unwrap().display().to_string();
        sandbox.write(&format!("examples/manifests/{path}"), &std::fs::read_to_string(&entry).unwrap());
    }
    sandbox.commit("the example");
    sandbox.run(["validate", "examples/manifests"]).exits(0).says("is valid: 9 resources, 1 target");
    sandbox
        .run(["apply", "examples/manifests", "--yes"])
        .exits(0)
        .says("Plan: 0 to delete, 9 to create, 0 to update, 0 unchanged.")
        .says("9 created");
    sandbox.run(["apply", "examples/manifests", "--yes"]).exits(0).says("Nothing to do: 9 resources are as declared.");
    assert_eq!(sandbox.git(["status", "--porcelain"]), "", "nothing is written into the clone");
    assert_eq!(sandbox.git(["for-each-ref", "refs/ctl"]), "", "an embedded target leaves no ref");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn without_a_terminal_and_without_yes_it_refuses_and_writes_nothing() {
    let sandbox = shop(&["a"]);
    sandbox.run(["apply"]).exits(7).warns("no-consent").warns("--yes --expect");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(2).says("1 to create");
}

#[test]
fn a_change_is_shown_before_and_after_with_its_line() {
    let sandbox = shop(&["a"]);
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/a.yaml", &service("a", "  port: 81\n")).commit("a port");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/a.yaml", &service("a", "  port: 82\n")).commit("another port");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    assert_eq!(plan["summary"]["update"], 1);
    let field = &plan["operations"][0]["fields"][0];
    assert_eq!((&field["path"], &field["before"], &field["after"]), (&"/port".into(), &81.into(), &82.into()));
    assert_eq!((&field["source"]["file"], &field["source"]["line"]), (&"manifests/a.yaml".into(), &6.into()));
    assert_eq!(plan["operations"][0]["cause"], "intended");
}

#[test]
fn a_removed_field_is_removed_at_the_target() {
    let sandbox = shop(&["a"]);
    sandbox.write("manifests/a.yaml", &service("a", "  port: 81\n")).commit("a port");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/a.yaml", &service("a", "")).commit("no port");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    let shown = sandbox.run(["show", "edge:service/a", "-o", "json"]).exits(0).json();
    assert_eq!(shown["endpoints"][0]["live"].get("port"), None);
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_removed_manifest_is_deleted_and_a_renamed_file_is_no_change() {
    let sandbox = shop(&["a", "b"]);
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.git(["mv", "manifests/a.yaml", "manifests/renamed.yaml"]);
    sandbox.commit("moved");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    sandbox.remove("manifests/b.yaml").commit("without b");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    sandbox.run(["show", "edge:service/b"]).exits(1).warns("no-resource");
}

#[test]
fn expect_lets_only_the_reviewed_plan_through() {
    let sandbox = shop(&["a"]);
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    let sum = plan["checksum"].as_str().unwrap().to_owned();
    sandbox.write("manifests/b.yaml", &service("b", "")).commit("one more");
    sandbox.run(["apply", "--yes", "--expect", &sum]).exits(5).warns("other-plan");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    let sum = plan["checksum"].as_str().unwrap().to_owned();
    sandbox.run(["apply", "--yes", "--expect", &sum]).exits(0).says("2 created");
}

#[test]
fn a_large_delete_is_refused_until_this_very_set_is_allowed() {
    let names: Vec<String> = (0..12).map(|i| format!("s{i}")).collect();
    let sandbox = shop(&names.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.run(["apply", "--yes"]).exits(0).says("12 created");
    for name in &names[..6] {
        sandbox.remove(&format!("manifests/{name}.yaml"));
    }
    sandbox.commit("half of it");
    let refused = sandbox.run(["apply", "--yes"]).exits(7).says("--allow-deletes");
    let refused = refused.warns("Nothing was written: the plan is refused.");
    let sum = refused.stdout.split("--allow-deletes ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    sandbox.run(["apply", "--yes", "--allow-deletes", &"0".repeat(64)]).exits(7);
    sandbox.run(["apply", "--yes", "--allow-deletes", &sum]).exits(0).says("6 deleted");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("6 resources are as declared");
}

#[test]
fn an_empty_desired_set_is_refused() {
    let sandbox = shop(&["a", "b"]);
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").remove("manifests/b.yaml").write("manifests/.keep", "").commit("nothing");
    sandbox.run(["apply", "--yes"]).exits(7).says("--allow-deletes");
    sandbox.run(["record", "verify"]).exits(0).says("2 lines of the record checked: all is well.");
}

#[test]
fn a_selected_run_leaves_the_rest_alone() {
    let sandbox = shop(&["a"]);
    sandbox.write(
        "manifests/b.yaml",
        "apiVersion: ctl\nkind: service\nmetadata: {name: b, labels: {team: pay}}\nspec: {host: b}\n",
    );
    sandbox.commit("b");
    sandbox.run(["apply", "--yes", "-l", "team=pay"]).exits(0).says("1 created");
    sandbox.run(["plan", "-t", "nobody"]).exits(64).warns("it has: edge");
    sandbox.run(["plan", "-o", "json"]).exits(0).says("edge:service/a");
}

#[test]
fn an_immutable_change_wants_leave_to_replace() {
    let sandbox = shop(&["a"]);
    let policy = |kind: &str| {
        format!("apiVersion: ctl\nkind: policy\nmetadata: {{name: p}}\nspec: {{type: {kind}, service: a}}\n")
    };
    sandbox.write("manifests/p.yaml", &policy("x")).commit("a policy");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/p.yaml", &policy("y")).commit("another type");
    sandbox.run(["apply", "--yes"]).exits(7).says("--allow-replace");
    sandbox.run(["apply", "--yes", "--allow-replace"]).exits(0).says("1 to replace");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_was_released_stays_and_is_adopted_again() {
    let sandbox = shop(&["a"]);
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.run(["release", "edge:service/a", "--yes"]).exits(0).says("Released: 1 of 1").warns("still declared");
    sandbox.run(["apply", "--yes", "--adopt-only"]).exits(0).says("1 adopted");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_lost_record_is_made_anew_from_our_marks() {
    let sandbox = shop(&["a", "b"]);
    sandbox.run(["apply", "--yes"]).exits(0);
    let record = walk(&sandbox.root().join("home")).into_iter().find(|p| p.display().to_string().contains("/record/"));
    let folder = record.unwrap().ancestors().find(|p| p.ends_with("record")).unwrap().to_owned();
    std::fs::remove_dir_all(folder).unwrap();
    sandbox.run(["plan", "-o", "json"]).exits(0).says("\"adopt\": 2");
    sandbox.run(["record", "rebuild", "--yes"]).exits(0).says("made anew it names 2");
    sandbox.remove("manifests/b.yaml").commit("without b");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
}

#[test]
fn json_on_stdout_is_one_document_and_nothing_else() {
    let sandbox = shop(&["a"]);
    let applied = sandbox.run(["apply", "--yes", "-o", "json"]).exits(0).json();
    assert_eq!(applied["summary"]["done"], 1);
    assert_eq!(applied["results"][0]["outcome"], "done");
    sandbox.run(["apply", "--yes", "-o", "json"]).exits(0).json();
    sandbox.run(["history", "-o", "json"]).exits(0).json();
    sandbox.run(["record", "show", "-o", "json"]).exits(0).json();
    sandbox.run(["target", "list", "-o", "json"]).exits(0).json();
    sandbox.run(["validate", "-o", "json"]).exits(0).json();
    sandbox.run(["version", "-o", "json"]).exits(0).json();
}

#[test]
fn init_writes_a_project_that_applies() {
    let sandbox = Sandbox::new();
    sandbox.run(["init"]).exits(0).says("ctl.yaml");
    sandbox.run(["init"]).exits(0).warns("stays as it is");
    sandbox.commit("a start");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
}

#[test]
fn a_misspelt_field_of_the_reference_server_is_found_before_anything_is_contacted() {
    let sandbox = shop(&["a"]);
    sandbox.write("manifests/a.yaml", &service("a", "  prot: 81\n")).commit("a slip");
    sandbox.run(["validate"]).exits(6).warns("`prot` is not a field of `service`").warns("did you mean `port`");
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_an_error_and_a_reader_that_left_is_none() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "ctl.yaml",
        "apiVersion: ctl/v1\nkind: Project\nmetadata: {name: shop}\ntargets: {api: {api: ctl, url: embedded}}\n",
    );
    sandbox.write("a.yaml", "apiVersion: ctl\nkind: service\nmetadata: {name: a}\nspec: {host: a.example}\n");
    sandbox.commit("one");
    for args in [&["plan"][..], &["plan", "-o", "json"], &["apply", "--yes", "-o", "json"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = sandbox.command(args).stdout(full).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {told}");
        assert!(told.contains("the output could not be written"), "{args:?}: {told}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(sandbox.command(&["plan", "-o", "json"]).stdout(writer).output().unwrap().status.code(), Some(0));
}
