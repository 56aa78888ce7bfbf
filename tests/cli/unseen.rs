//! What a first user of an API of his own comes across.

use crate::sandbox::Sandbox;

const PROJECT: &str = "\
apiVersion: ctl/v1
kind: Project
metadata: {name: shop}
manifests: [manifests/]
targets:
  edge: {api: ctl, url: embedded}
";

#[test]
fn the_last_manifest_may_go_with_its_folder() {
    let sandbox = Sandbox::new();
    sandbox.write("ctl.yaml", PROJECT);
    sandbox
        .write("manifests/a.yaml", "apiVersion: ctl\nkind: service\nmetadata: {name: a}\nspec: {host: a.internal}\n")
        .commit("one");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("none");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(7).json();
    let sum = plan["deletes_checksum"].as_str().unwrap();
    sandbox.run(["apply", "--yes", "--allow-deletes", sum]).exits(0).says("1 deleted");
    sandbox.run(["plan"]).exits(0).says("Nothing to do: 0 resources").warns("missing-folder");
}

#[test]
fn a_folder_that_never_was_is_a_slip() {
    let sandbox = Sandbox::new();
    sandbox.write("ctl.yaml", PROJECT).commit("no manifests");
    sandbox.run(["plan"]).exits(6).warns("missing-folder");
}
