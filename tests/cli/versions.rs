//! What a run may call applied, and what it tells programs when it may not write.

use crate::fake::Fake;
use crate::hostile::project as project_with_fake;
use crate::sandbox::Sandbox;

fn project(targets: &str) -> String {
    format!("apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\ntargets:\n{targets}")
}

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: ctl\nkind: service\nmetadata: {{name: {name}, labels: {{who: {name}}}}}\nspec:\n  host: {name}.internal\n  port: {port}\n"
    )
}

/// Twelve services, of which each has its own label.
fn shop(target: &str, port: u16) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ctl.yaml", &project(target));
    declare(&sandbox, port);
    sandbox
}

fn declare(sandbox: &Sandbox, port: u16) -> String {
    for n in 0..12 {
        sandbox.write(&format!("manifests/s{n}.yaml"), &service(&format!("s{n}"), port));
    }
    sandbox.commit("all of them")
}

fn versions(sandbox: &Sandbox) -> Vec<String> {
    let history = sandbox.run(["history", "-o", "json"]).exits(0).json();
    let versions = history["versions"].as_array().unwrap_or_else(|| panic!("{history}"));
    versions.iter().map(|version| version["result"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_selector_that_fits_nothing_applies_nothing_and_says_so() {
    let sandbox = shop("  edge: {api: ctl, url: embedded}\n", 80);
    sandbox.run(["apply", "-l", "who=nobody", "--yes"]).exits(0).says("the selector fits nothing");
    assert_eq!(versions(&sandbox), Vec::<String>::new());
    sandbox.run(["plan", "--detailed-exitcode"]).exits(2).says("12 to create");
}

#[test]
fn a_part_of_a_commit_is_a_partial_version_and_the_rest_makes_it_whole() {
    let sandbox = shop("  edge: {api: ctl, url: embedded}\n", 80);
    sandbox.run(["apply", "-l", "who=s1", "--yes"]).exits(0).says("1 created");
    assert_eq!(versions(&sandbox), ["partial"]);
    sandbox.run(["apply", "-l", "who!=s1", "--yes"]).exits(0).says("11 created");
    assert_eq!(versions(&sandbox), ["partial", "partial"]);
    sandbox.run(["apply", "--yes"]).exits(0).says("Nothing to do");
    assert_eq!(versions(&sandbox)[0], "done");
    assert_eq!(versions(&sandbox).len(), 3);
    sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(versions(&sandbox).len(), 3, "nothing moved since");
}

#[test]
fn what_is_refused_again_and_again_is_one_version_and_told_by_the_line_of_its_field() {
    let sandbox = shop("  edge: {api: ctl, url: embedded}\n", 80);
    sandbox.run(["apply", "--yes"]).exits(0).says("12 created");
    sandbox.write("manifests/odd.yaml", &service("odd", 80).replace("port: 80", "port: many")).commit("a slip");
    for _ in 0..3 {
        sandbox.run(["apply", "--yes"]).exits(1).says("failed: create edge:service/odd  manifests/odd.yaml:6");
    }
    assert_eq!(versions(&sandbox), ["partial", "done"]);
    sandbox.write("manifests/odd.yaml", &service("odd", 80)).commit("mended");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    assert_eq!(versions(&sandbox), ["done", "partial", "done"]);
}

#[test]
fn a_guard_that_a_part_of_a_commit_loosens_still_holds() {
    let guarded = |share: u8| format!("  edge: {{api: ctl, url: embedded, guard: {{updates: {share}%}}}}\n");
    let sandbox = shop(&guarded(20), 80);
    sandbox.run(["apply", "--yes"]).exits(0).says("12 created");
    sandbox.write("ctl.yaml", &project(&guarded(100)));
    declare(&sandbox, 81);
    for selector in ["who=nobody", "who=s1"] {
        sandbox.run(["apply", "-l", selector, "--yes"]).exits(0);
    }
    sandbox.run(["apply", "--yes"]).exits(7).says("refused[updates]").says("--allow-updates");
}

#[test]
fn an_endpoint_that_is_away_makes_the_version_partial() {
    let sandbox = shop("  edge: {api: ctl, endpoints: {a: embedded, b: \"http://127.0.0.1:1\"}}\n", 80);
    sandbox.run(["apply", "--yes"]).exits(3).says("12 created");
    assert_eq!(versions(&sandbox), ["partial"]);
}

#[test]
fn a_refused_plan_tells_a_program_the_gate_and_the_flag() {
    let sandbox = shop("  edge: {api: ctl, url: embedded, guard: {updates: 20%}}\n", 80);
    sandbox.run(["apply", "--yes"]).exits(0);
    declare(&sandbox, 81);
    let refused =
        sandbox.run(["apply", "--yes", "-o", "json"]).exits(7).warns("error[updates]").warns("--allow-updates");
    let document = refused.json();
    assert_eq!(document["refusals"][0]["gate"], "updates");
    let help = document["refusals"][0]["help"].as_str().unwrap().to_owned();
    assert_eq!(help, format!("--allow-updates {}", document["plan_checksum"].as_str().unwrap()));
    assert_eq!(document["summary"]["skipped"], 12);
    sandbox.run(["apply", "--yes", "-o", "markdown"]).exits(7).says(&help).warns("--allow-updates");
    // It lets this very plan through, and no other.
    let sum = help.split(' ').next_back().unwrap();
    sandbox.write("manifests/s0.yaml", &service("s0", 82)).commit("another plan");
    sandbox.run(["apply", "--yes", "--allow-updates", sum]).exits(7);
    declare(&sandbox, 81);
    sandbox.run(["apply", "--yes", "--allow-updates", sum]).exits(0).says("12 updated");
}

#[test]
fn a_program_gets_its_document_also_where_nothing_was_written() {
    let sandbox = shop("  edge: {api: ctl, url: embedded}\n", 80);
    let zeros = "0".repeat(64);
    for (args, exit) in [
        (&["apply", "-o", "json"][..], 7),
        (&["apply", "-o", "json", "--yes", "--expect", &zeros], 5),
        (&["apply", "-o", "json", "--yes", "--adopt-only"], 7),
    ] {
        let output = sandbox.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{args:?}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["summary"]["skipped"], 12, "{args:?}");
    }
}

#[test]
fn a_key_that_the_name_gives_is_shown_where_the_name_stands() {
    let sandbox = shop("  edge: {api: ctl, url: embedded}\n", 80);
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    let fields = plan["operations"][0]["fields"].as_array().unwrap();
    let name = fields.iter().find(|field| field["path"] == "/name").unwrap();
    assert_eq!(name["source"]["line"], 3, "{name}");
}

#[test]
fn a_record_made_anew_is_one_document_for_a_program() {
    let sandbox = shop("  edge: {api: ctl, url: embedded}\n", 80);
    sandbox.run(["apply", "--yes"]).exits(0);
    let refused = sandbox.run(["record", "rebuild", "-o", "json"]).exits(7).json();
    assert_eq!(refused["targets"][0]["written"], false);
    let made = sandbox.run(["record", "rebuild", "--yes", "-o", "json"]).exits(0).json();
    assert_eq!((&made["targets"][0]["after"], &made["targets"][0]["written"]), (&12.into(), &true.into()));
    assert_eq!(made["targets"][0]["resources"].as_array().unwrap().len(), 12);
}

#[test]
fn a_server_that_may_not_listen_names_no_address() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(["serve", "--listen", "0.0.0.0:0", "--data", "data"]).exits(7).warns("--token-file");
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_record_on_branches_is_read_and_pushed_there() {
    let fake = Fake::honest();
    let sandbox = project_with_fake(&fake.url(), "record: {push: origin, refs: refs/heads/ctl}\n");
    let bare = sandbox.root().join("remote.git");
    sandbox.git_try(sandbox.root(), &["init", "--quiet", "--bare", "remote.git"]);
    sandbox.git(["remote", "add", "origin", &bare.display().to_string()]);
    sandbox.run(["apply", "--yes"]).exits(0).says("2 created");
    let there = sandbox.git_try(&bare, &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(String::from_utf8(there.stdout).unwrap(), "refs/heads/ctl/shop/shop\n");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("without a");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    assert_eq!(versions(&sandbox), ["done", "done"]);
    assert!(!sandbox.records().contains("refs/ctl/records"), "nothing where it is not looked for");
}
