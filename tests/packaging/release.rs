//! The workflow that makes a release. It runs elsewhere; what can be seen of it from here is looked at.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{documents, read};

const WORKFLOW: &str = ".github/workflows/release.yml";

fn steps() -> Vec<Value> {
    let jobs = documents(WORKFLOW)[0]["jobs"].as_object().unwrap().clone();
    jobs.values().flat_map(|job| job["steps"].as_array().unwrap().clone()).collect()
}

#[test]
fn actions_are_pinned_by_commit_with_the_version_beside_it() {
    let text = read(WORKFLOW);
    let uses: Vec<&str> = text.lines().filter_map(|line| line.split_once("uses: ").map(|(_, rest)| rest)).collect();
    assert_eq!(uses.len(), steps().iter().filter(|step| step["uses"].is_string()).count());
    for action in uses {
        let (commit, version) = action.split_once('@').unwrap().1.split_once(" # v").expect(action);
        assert!(commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{action}");
        assert!(version.split('.').count() == 3, "{action}");
    }
}

#[test]
fn no_job_may_do_more_than_it_must() {
    let workflow = &documents(WORKFLOW)[0];
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    let jobs = workflow["jobs"].as_object().unwrap();
    for (name, job) in jobs {
        let writes = job["permissions"].as_object().unwrap().values().any(|right| right == "write");
        assert_eq!(writes, name == "release", "{name}");
        assert!(job["timeout-minutes"].is_u64(), "{name}");
        for needed in job["needs"].as_array().into_iter().flatten() {
            assert!(jobs.contains_key(needed.as_str().unwrap()), "{name} needs {needed}");
        }
    }
    assert_eq!(jobs["release"]["needs"], serde_json::json!(["check", "build"]));
    // What outsiders can write (a branch's or a tag's name) reaches a shell through the environment only.
    for script in steps().iter().filter_map(|step| step["run"].as_str()) {
        assert!(!script.contains("${{"), "{script}");
    }
}

#[test]
fn scripts_are_shell_and_the_parts_of_a_release_are_made() {
    let scripts: Vec<String> = steps().iter().filter_map(|step| step["run"].as_str().map(str::to_owned)).collect();
    for script in &scripts {
        let mut shell = Command::new("bash").args(["-n"]).stdin(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success(), "{script}");
    }
    let all = scripts.join("\n");
    for needed in [".ci/run", "--locked --release", "+crt-static", "SHA256SUMS", "cyclonedx", "gh release create"] {
        assert!(all.contains(needed), "{needed}");
    }
    let workflow = &documents(WORKFLOW)[0];
    assert_eq!(workflow["env"]["RUST_TOOLCHAIN"], env!("CARGO_PKG_RUST_VERSION"));
    let targets: Vec<&str> = workflow["jobs"]["build"]["strategy"]["matrix"]["include"]
        .as_array()
        .unwrap()
        .iter()
        .map(|built| built["target"].as_str().unwrap())
        .collect();
    assert_eq!(targets, ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]);
    let attests =
        steps().iter().any(|step| step["uses"].as_str().is_some_and(|uses| uses.contains("attest-build-provenance")));
    assert!(attests);
}
