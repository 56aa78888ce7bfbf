//! Refs through the `git` program: compare-and-swap here, fetch and push there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use git2::Oid;

use super::StoreError;
use crate::net::{Git, GitCall, GitError, words};
use crate::world::Clock;

/// A ref's lock file of this age was left by a process that died.
const STALE: i64 = 60;

/// What became of a push.
#[derive(Debug)]
pub(super) enum Answer {
    /// It stands.
    Done,
    /// It was sent and no answer came; the cause.
    Lost(String),
}

/// Moves a ref of this repository from `from` (none: it must not exist) to `to`, durably.
pub(super) fn update(
    git: &Git,
    git_dir: &Path,
    name: &str,
    to: Oid,
    from: Option<Oid>,
    clock: &Clock,
    deadline: Duration,
) -> Result<(), StoreError> {
    let from = from.map_or_else(|| "0".repeat(40), |id| id.to_string());
    let args = words(["-c", "core.fsync=reference", "update-ref", "--no-deref", "--stdin"]);
    let mut call = GitCall::of(git_dir, args, deadline);
    call.stdin = format!("update {name} {to} {from}\n").into_bytes();
    let mut error = match git.run(&call) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if error.complaint().contains(".lock': File exists") && remove_stale_lock(git_dir, name, clock) {
        error = match git.run(&call) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
    }
    let complaint = error.complaint();
    let has = |words: &[&str]| words.iter().any(|w| complaint.contains(w));
    if has(&["but expected", "reference already exists", "unable to resolve reference", ".lock': File exists"]) {
        return Err(StoreError::Moved);
    }
    if has(&["Permission denied", "Read-only file system"]) {
        let help =
            "give the repository to the user that runs ctl, or keep the record in a folder: `record: {file: DIR}`";
        return Err(StoreError::Denied { why: error.to_string(), help: help.to_owned() });
    }
    match error {
        GitError::Deadline { .. } => Err(StoreError::Unanswered { why: error.to_string() }),
        _ => Err(unreachable(&error)),
    }
}

/// Removes the lock file of one ref of ours if it is old. For a record's own ref only under the machine's own lock.
fn remove_stale_lock(git_dir: &Path, name: &str, clock: &Clock) -> bool {
    if !name.starts_with("refs/") || name.contains("..") {
        return false;
    }
    let path = git_dir.join(format!("{name}.lock"));
    let now = clock.wall();
    let age = fs::symlink_metadata(&path)
        .and_then(|m| m.modified())
        .ok()
        .and_then(|modified| jiff::Timestamp::try_from(modified).ok())
        .map(|modified| now.as_second() - modified.as_second());
    age.is_some_and(|age| age > STALE) && fs::remove_file(&path).is_ok()
}

/// Fetches one ref to where it is tracked; a ref that the remote does not have is not here afterwards either.
pub(super) fn fetch(
    git: &Git,
    git_dir: &Path,
    remote: &str,
    name: &str,
    tracking: &str,
    clock: &Clock,
    deadline: Duration,
) -> Result<(), StoreError> {
    let spec = format!("+{name}:{tracking}");
    let args = words([
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--end-of-options",
        remote,
        &spec,
    ]);
    // Nobody writes this ref but such a fetch, which ends long before its lock counts as old.
    let unlock = || {
        remove_stale_lock(git_dir, tracking, clock);
    };
    let error = match git.run_contended(&GitCall::of(git_dir, args, deadline), unlock) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if !error.complaint().contains("couldn't find remote ref") {
        return Err(unreachable(&error));
    }
    let args = words(["update-ref", "-d", "--end-of-options", tracking]);
    match git.run(&GitCall::of(git_dir, args, deadline)) {
        Ok(_) => Ok(()),
        Err(error) => Err(unreachable(&error)),
    }
}

/// Pushes `commit` to `name`, never by force: it goes only on top of what stands there.
pub(super) fn push(
    git: &Git,
    git_dir: &Path,
    remote: &str,
    commit: Oid,
    name: &str,
    deadline: Duration,
) -> Result<Answer, StoreError> {
    let spec = format!("{commit}:{name}");
    let args = words([
        "push",
        "--porcelain",
        "--no-verify",
        "--no-follow-tags",
        "--no-signed",
        "--recurse-submodules=no",
        "--end-of-options",
        remote,
        &spec,
    ]);
    match git.run_contended(&GitCall::of(git_dir, args, deadline), || {}) {
        Ok(_) => Ok(Answer::Done),
        Err(error @ GitError::Deadline { .. }) => Ok(Answer::Lost(error.to_string())),
        Err(error) => refused(&error),
    }
}

/// What a push that failed means.
fn refused(error: &GitError) -> Result<Answer, StoreError> {
    let said = match error {
        GitError::Failed { stdout, stderr, .. } => format!("{stderr}\n{}", String::from_utf8_lossy(stdout)),
        GitError::NotStarted { .. } | GitError::Deadline { .. } | GitError::TooLarge { .. } => error.to_string(),
    };
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    // Tried several times by now: no push that is under way holds a ref for so long.
    if has(&[".lock': file exists"]) {
        return Err(StoreError::Unreachable {
            why: reason(&said).unwrap_or_else(|| error.to_string()),
            help: "a push that died there left a lock: whoever runs that repository removes the file it names"
                .to_owned(),
        });
    }
    let moved = [
        "(fetch first)",
        "(non-fast-forward)",
        "(needs force)",
        "stale info",
        "already exists",
        "but expected",
        "incorrect old value",
        "failed to update ref",
        "cannot lock ref",
        "failed to lock",
    ];
    let denied = [
        "hook declined",
        "denied",
        "not allowed",
        "protected",
        "permission",
        "returned error: 403",
        "returned error: 401",
        "authentication failed",
        "could not read username",
        "could not read password",
        "hidden ref",
        "read-only",
        "read only",
        "remote rejected",
    ];
    let lost = ["hung up", "early eof", "rpc failed", "unexpected disconnect", "connection reset", "broken pipe"];
    if has(&moved) {
        return Err(StoreError::Moved);
    }
    if has(&denied) {
        return Err(StoreError::Denied {
            why: reason(&said).unwrap_or_else(|| error.to_string()),
            help: "allow this token to write the ref, name another repository with `record: {push: URL}`, or keep the \
                   record in a folder: `record: {file: DIR}`"
                .to_owned(),
        });
    }
    if has(&lost) {
        return Ok(Answer::Lost(error.to_string()));
    }
    Err(unreachable(error))
}

/// The remote's own words about a refused ref: `! a:b [remote rejected] (why)`.
fn reason(said: &str) -> Option<String> {
    let line = said.lines().find(|l| l.starts_with('!'))?;
    let remote = said.lines().find_map(|l| l.strip_prefix("remote: ")).map(str::trim).filter(|l| !l.is_empty());
    let what = line.split_once('[').map_or(line, |(_, what)| what).replace(']', "");
    Some(remote.map_or_else(|| what.clone(), |remote| format!("{what}: {remote}")))
}

/// The remote's refs that match a pattern.
pub(super) fn remote_refs(
    git: &Git,
    git_dir: &Path,
    remote: &str,
    pattern: &str,
    deadline: Duration,
) -> Result<BTreeMap<String, Oid>, StoreError> {
    let args = words(["ls-remote", "--quiet", "--refs", "--end-of-options", remote, pattern]);
    let output = git.run(&GitCall::of(git_dir, args, deadline)).map_err(|e| unreachable(&e))?;
    let line = |line: &str| {
        let (id, name) = line.split_once('\t')?;
        Some((name.to_owned(), Oid::from_str(id).ok()?))
    };
    Ok(output.text().lines().filter_map(line).collect())
}

/// Where a ref of the remote stands.
pub(super) fn remote_tip(
    git: &Git,
    git_dir: &Path,
    remote: &str,
    name: &str,
    deadline: Duration,
) -> Result<Option<Oid>, StoreError> {
    Ok(remote_refs(git, git_dir, remote, name, deadline)?.remove(name))
}

fn unreachable(error: &GitError) -> StoreError {
    StoreError::Unreachable {
        why: error.to_string(),
        help: "try the same with `git fetch` in that repository; ctl asks git, and git asks nobody".to_owned(),
    }
}
