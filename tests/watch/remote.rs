//! What the Git remote of these tests does when it is told to, seen by the real `git`.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::githttp::{Mood, Remote, git};

/// Clones with everything that stalls given up after two seconds.
fn clone(url: &str, into: &Path) -> Output {
    let give_up = ["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=2", "-c", "credential.helper="];
    let args: Vec<&str> = give_up.into_iter().chain(["clone", "--quiet", "--mirror", url, "mirror.git"]).collect();
    git(into, &args)
}

fn fetch(mirror: &Path) -> bool {
    git(mirror, &["fetch", "--quiet", "--prune", "origin"]).status.success()
}

fn head(mirror: &Path) -> Option<String> {
    let output = git(mirror, &["rev-parse", "--verify", "--quiet", "refs/heads/main"]);
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn a_clone_has_what_was_committed_and_a_push_arrives() {
    let remote = Remote::new();
    let folder = TempDir::new().unwrap();
    let first = remote.commit([("ctl.yaml", "one"), ("dir/a.yaml", "a")]);
    let second = remote.commit([("ctl.yaml", "two")]);
    let output = clone(&remote.url(), folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mirror = folder.path().join("mirror.git");
    assert_eq!(head(&mirror), Some(second.clone()));
    assert_eq!(git(&mirror, &["show", "main:ctl.yaml"]).stdout, b"two");
    assert!(!git(&mirror, &["show", "main:dir/a.yaml"]).status.success());
    assert_eq!(remote.http.fetches(), 1);

    // Records are pushed the same way.
    let push = git(
        &mirror,
        &["-c", "remote.origin.mirror=false", "push", "--quiet", "origin", &format!("{first}:refs/ctl/x")],
    );
    assert!(push.status.success(), "{}", String::from_utf8_lossy(&push.stderr));
    assert_eq!(remote.bare(&["rev-parse", "refs/ctl/x"]).trim(), first);
}

#[test]
fn every_fault_fails_a_fetch_and_the_next_one_is_good() {
    let remote = Remote::new();
    remote.commit([("a", "1")]);
    let folder = TempDir::new().unwrap();
    assert!(clone(&remote.url(), folder.path()).status.success());
    let mirror = folder.path().join("mirror.git");
    git(&mirror, &["config", "http.lowSpeedLimit", "1"]);
    git(&mirror, &["config", "http.lowSpeedTime", "1"]);
    let known = head(&mirror);
    let newest = remote.commit([("a", "2")]);
    for mood in [Mood::Status(401), Mood::Status(404), Mood::Status(500), Mood::Close, Mood::Cut(20), Mood::Stall(20)] {
        remote.http.set(mood);
        assert!(!fetch(&mirror), "{mood:?}");
        assert_eq!(head(&mirror), known, "{mood:?}");
    }
    remote.http.set(Mood::Hang);
    let began = Instant::now();
    assert!(!fetch(&mirror));
    assert!(began.elapsed() >= Duration::from_secs(1), "it hung until git gave up");
    remote.http.set(Mood::Honest);
    assert!(fetch(&mirror));
    assert_eq!(head(&mirror), Some(newest));
}

#[test]
fn rotated_credentials_are_refused_until_the_new_ones_come() {
    let remote = Remote::new();
    remote.commit([("a", "1")]);
    let with = |login: &str| remote.url().replacen("http://", &format!("http://{login}@"), 1);
    remote.http.require(Some(("ctl", "old")));
    let ok = |url: &str| clone(url, TempDir::new().unwrap().path()).status.success();
    assert!(!ok(&remote.url()));
    assert!(ok(&with("ctl:old")));
    remote.http.require(Some(("ctl", "new")));
    assert!(!ok(&with("ctl:old")));
    assert!(ok(&with("ctl:new")));
}

#[test]
fn history_is_rewritten_emptied_deleted_and_repacked() {
    let remote = Remote::new();
    let first = remote.commit([("a", "1"), ("b", "1")]);
    let folder = TempDir::new().unwrap();
    assert!(clone(&remote.url(), folder.path()).status.success());
    let mirror = folder.path().join("mirror.git");

    let empty = remote.empty();
    assert!(fetch(&mirror));
    assert_eq!(head(&mirror), Some(empty));
    assert_eq!(git(&mirror, &["ls-tree", "-r", "main"]).stdout, b"");

    let other = remote.rewrite([("a", "3")]);
    remote.repack();
    assert!(fetch(&mirror));
    assert_eq!(head(&mirror), Some(other.clone()));
    assert!(!git(&mirror, &["merge-base", &first, &other]).status.success(), "nothing in common");

    remote.delete_branch();
    assert!(fetch(&mirror));
    assert_eq!(head(&mirror), None);
    let again = remote.commit([("a", "4")]);
    remote.back_to(&other);
    assert!(fetch(&mirror));
    assert_eq!(head(&mirror), Some(other));
    assert!(!git(&mirror, &["cat-file", "-e", &again]).status.success(), "what was taken back is not fetched");
}
