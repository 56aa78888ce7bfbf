//! The workflow that makes a release. It runs elsewhere; what can be seen of it from here is looked at, and the steps that
//! need nothing from outside are run.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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

/// Runs the script of a step as the workflow's machine does.
fn step(name: &str, folder: &Path, env: &[(&str, &str)]) -> Output {
    let step = steps().into_iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step: {name}"));
    let mut shell = Command::new("bash");
    shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().unwrap()]);
    shell.envs(env.iter().copied()).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn a_tag_that_is_not_the_version_makes_no_release() {
    assert_eq!(documents(WORKFLOW)[0]["defaults"]["run"]["shell"], "bash", "without it a pipe hides failures");
    let tag = |name: &str| {
        step("the tag is the version", Path::new(env!("CARGO_MANIFEST_DIR")), &[("GITHUB_REF_NAME", name)])
    };
    assert!(tag(concat!("v", env!("CARGO_PKG_VERSION"))).status.success());
    for other in ["v999.0.0", "main", "", "v0.1"] {
        assert!(!tag(other).status.success(), "{other}");
    }
}

#[test]
fn what_is_not_static_is_not_released_and_packing_twice_gives_the_same_bytes() {
    const TARGET: &str = "x86_64-unknown-linux-musl";
    let folder = tempfile::TempDir::new().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let build = folder.path().join("target").join(TARGET).join("release");
    std::fs::create_dir_all(&build).unwrap();
    // The binary of these tests is one that wants the libraries of this machine.
    std::fs::copy(env!("CARGO_BIN_EXE_ctl"), build.join("ctl")).unwrap();
    let script = format!(
        "cp -R '{root}'/{{Cargo.toml,README.md,CHANGELOG.md,LICENSE-APACHE,LICENSE-MIT,man,completions,packaging}} . &&
         git init -q && git add Cargo.toml && git -c user.name=T -c user.email=t@example.invalid commit -qm one"
    );
    let made = Command::new("bash").args(["-ec", &script]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let env = [("TARGET", TARGET)];
    let checked = step("it is static, it runs, and it says the version", folder.path(), &env);
    assert!(!checked.status.success() && said(&checked).contains("is not static"), "{}", said(&checked));

    let pack = "pack, the same bytes wherever it is packed";
    let name = format!("ctl-{}-{TARGET}.tar.gz", env!("CARGO_PKG_VERSION"));
    let packed = |_| {
        let output = step(pack, folder.path(), &env);
        assert!(output.status.success(), "{}", said(&output));
        std::fs::read(folder.path().join("dist").join(&name)).unwrap()
    };
    // Small is quick: what is packed does not have to run.
    std::fs::write(build.join("ctl"), "not really").unwrap();
    let [first, second] = [1, 2].map(packed);
    assert!(first == second, "the same bytes");
    let dist = folder.path().join("dist");
    let sums = step("checksums", &dist, &[]);
    assert!(sums.status.success(), "{}", said(&sums));
    let agrees = Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&dist).output().unwrap();
    assert!(agrees.status.success() && said(&agrees).contains(&format!("{name}: OK")), "{}", said(&agrees));
    let listed = Command::new("tar").arg("-tzf").arg(dist.join(&name)).output().unwrap();
    for file in ["ctl", "README.md", "LICENSE-MIT", "man/", "completions/", "packaging/systemd/ctl-watch.service"] {
        let path = format!("ctl-{}-{TARGET}/{file}", env!("CARGO_PKG_VERSION"));
        assert!(said(&listed).lines().any(|line| line == path), "{path}: {}", said(&listed));
    }
}
