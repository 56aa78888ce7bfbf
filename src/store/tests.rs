//! One suite of claims for every backend, and what only Git can do.

mod orders;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::model::{
    Digest, EndpointName, EndpointRecord, FieldPath, Guard, Intent, IntentOp, Key, Kind, Limits, OnRemove, Own,
    RecordEntry, RecordHead, Revision, Value, parse_json,
};
use crate::net::Git;
use crate::world::{Clock, ScriptedClock};

fn sh(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("TZ", "UTC");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn git() -> Git {
    Git::new().with_env("GIT_CONFIG_NOSYSTEM", "1").with_env("GIT_CONFIG_GLOBAL", "/dev/null")
}

fn clock() -> Clock {
    Clock::Scripted(ScriptedClock::starting_at("2026-01-02T03:04:05Z".parse().unwrap()))
}

fn name() -> RecordName {
    RecordName { project: "shop".parse().unwrap(), target: "dns".parse().unwrap() }
}

fn entry(kind: &str, key: &[&str], body: &str) -> RecordEntry {
    let sent = parse_json(body.as_bytes()).unwrap().canonical();
    RecordEntry {
        kind: Kind::new(kind),
        key: Key::of_texts(key),
        server_id: Some("17".to_owned()),
        uid: None,
        digest: sent.digest(),
        sent,
        marked: true,
        labels: BTreeMap::from([("team".to_owned(), "shöp\n\u{1b}".to_owned())]),
        refs: vec!["zone/a".to_owned()],
        protect: true,
        on_remove: OnRemove::Keep,
        rewritten: BTreeMap::from([
            (FieldPath::parse("/a~1b/c"), None),
            (FieldPath::parse("/n"), Some(Value::Null.canonical())),
        ]),
        secrets: BTreeMap::from([("pw".to_owned(), Some(2)), ("other".to_owned(), None)]),
        secret_hashes: BTreeMap::new(),
        hmac: Some("00ff".to_owned()),
    }
}

fn record(number: u64, entries: usize) -> Record {
    let owed = [Kind::new("rrset"), Kind::new("zone")].into();
    let mut of = EndpointRecord { identity: Some("pdns \"4\"".to_owned()), owed, ..EndpointRecord::default() };
    for n in 0..entries {
        let body = format!(r#"{{"name":"n{n}","ttl":{number},"nested":{{"$ref":"x"}}}}"#);
        let entry = entry("rrset", &["shop.example.", &format!("n{n}")], &body);
        of.entries.insert((entry.kind.clone(), entry.key.clone()), entry);
    }
    let head = RecordHead {
        number,
        time: 1_767_323_045,
        commit: Revision::parse(&"a".repeat(40)).unwrap(),
        snapshot: Digest::of(b"s"),
        checksum: Digest::of(b"c"),
        folder: "deploy".to_owned(),
        who: "ann@laptop".to_owned(),
        result: "done".to_owned(),
        done: 3,
        undone: 0,
        duration_ms: Some(7),
        token: None,
        guard: Guard { deletes: 20, updates: Some(50) },
        own: if number.is_multiple_of(2) { Own::Exclusive } else { Own::Recorded },
    };
    let endpoints = BTreeMap::from([(EndpointName::only(), of), ("b".parse().unwrap(), EndpointRecord::default())]);
    Record { head: Some(head), endpoints, intents: Vec::new(), fence: Some(number + 2) }
}

fn with_intent(mut record: Record, run: &str) -> Record {
    let op = |action: &str, entry: Option<RecordEntry>| IntentOp {
        endpoint: EndpointName::only(),
        action: action.to_owned(),
        kind: Kind::new("rrset"),
        key: Key::of_texts(&["a/b", "\"q\""]),
        body: entry.is_none().then(|| parse_json(br#"{"x":[1,2.50]}"#).unwrap().canonical()),
        entry: entry.map(Box::new),
    };
    record.intents.push(Intent {
        run: run.to_owned(),
        holder: current_process("ann"),
        until: Some(1_767_323_945),
        token: None,
        commit: "a".repeat(40),
        checksum: "c".repeat(64),
        operations: vec![op("create", None), op("delete", Some(entry("rrset", &["a/b", "\"q\""], r#"{"y":null}"#)))],
    });
    record
}

/// A backend in a folder of its own; the second value opens it once more, as another process would.
type Reopen = Box<dyn Fn() -> Arc<dyn Store>>;

fn local_repo(dir: &Path) -> PathBuf {
    sh(dir, &["init", "-q", "-b", "main", "repo"]);
    fs::canonicalize(dir.join("repo/.git")).unwrap()
}

fn git_store(git_dir: &Path, push: Option<&str>, state: &Path, clock: Clock) -> GitStore {
    let place = GitPlace {
        git_dir: git_dir.to_owned(),
        push: push.map(str::to_owned),
        prefix: RECORD_REFS.to_owned(),
        state_dir: state.to_owned(),
    };
    GitStore::open(git(), place, clock, &Limits::default()).unwrap()
}

fn clone(dir: &Path, name: &str, depth: bool) -> PathBuf {
    let url = format!("file://{}", dir.join("remote.git").display());
    let depth: &[&str] = if depth { &["--depth", "1"] } else { &[] };
    sh(dir, &[&["clone", "-q"], depth, &[&url, name]].concat());
    fs::canonicalize(dir.join(name).join(".git")).unwrap()
}

fn remote(dir: &Path) -> PathBuf {
    sh(dir, &["init", "-q", "--bare", "-b", "main", "remote.git"]);
    let seed = dir.join("seed");
    sh(dir, &["clone", "-q", "remote.git", "seed"]);
    for n in ["one", "two"] {
        sh(&seed, &["commit", "-q", "--allow-empty", "-m", n]);
    }
    sh(&seed, &["push", "-q", "origin", "HEAD:refs/heads/main"]);
    dir.join("remote.git")
}

fn backends() -> Vec<(&'static str, TempDir, Reopen)> {
    let mut all: Vec<(&'static str, TempDir, Reopen)> = Vec::new();
    let dir = TempDir::new().unwrap();
    let memory = Arc::new(MemoryStore::new());
    all.push(("memory", dir, Box::new(move || Arc::clone(&memory) as Arc<dyn Store>)));

    let dir = TempDir::new().unwrap();
    let path = dir.path().join("records");
    all.push(("file", dir, Box::new(move || Arc::new(FileStore::new(&path)))));

    let dir = TempDir::new().unwrap();
    let (repo, state) = (local_repo(dir.path()), dir.path().join("state"));
    all.push(("git", dir, Box::new(move || Arc::new(git_store(&repo, None, &state, clock())))));

    let dir = TempDir::new().unwrap();
    remote(dir.path());
    let (repo, state) = (clone(dir.path(), "a", false), dir.path().join("state"));
    all.push(("pushed", dir, Box::new(move || Arc::new(git_store(&repo, Some("origin"), &state, clock())))));
    all
}

#[test]
fn what_was_written_is_read_back_by_another_process() {
    for (backend, _dir, open) in backends() {
        assert_eq!(open().read(&name()).unwrap(), (None, Record::default()), "{backend}");
        let written = with_intent(record(1, 40), "run-1");
        let tip = open().swap(&name(), None, &written, "first").unwrap();
        let (found, read) = open().read(&name()).unwrap();
        assert_eq!((found.as_ref(), &read), (Some(&tip), &written), "{backend}");
        let empty = Record::default();
        let tip = open().swap(&name(), Some(&tip), &empty, "empty").unwrap();
        assert_eq!(open().read(&name()).unwrap(), (Some(tip), empty), "{backend}");
        assert_eq!(open().names(&name().project).unwrap(), [name()], "{backend}");
    }
}

#[test]
fn a_record_that_moved_is_not_overwritten() {
    for (backend, _dir, open) in backends() {
        let first = open().swap(&name(), None, &record(1, 2), "1").unwrap();
        assert_eq!(open().swap(&name(), None, &record(9, 1), "x"), Err(StoreError::Moved), "{backend}: creation");
        let second = open().swap(&name(), Some(&first), &record(2, 2), "2").unwrap();
        assert_eq!(open().swap(&name(), Some(&first), &record(9, 1), "x"), Err(StoreError::Moved), "{backend}");
        assert_eq!(open().read(&name()).unwrap(), (Some(second), record(2, 2)), "{backend}");
    }
}

#[test]
fn of_many_writers_at_once_exactly_one_wins() {
    for (backend, _dir, open) in backends() {
        let first = open().swap(&name(), None, &record(1, 2), "1").unwrap();
        let writers: Vec<_> = (2..8)
            .map(|n| {
                let (store, first) = (open(), first.clone());
                std::thread::spawn(move || store.swap(&name(), Some(&first), &record(n, 2), "race"))
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        let won: Vec<_> = results.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{backend}: {results:?}");
        assert_eq!(open().read(&name()).unwrap().0.as_ref(), Some(won[0]), "{backend}");
        assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(StoreError::Moved))), "{backend}: {results:?}");
    }
}

#[test]
fn history_tells_outcomes_and_not_intents() {
    for (backend, _dir, open) in backends() {
        let store = open();
        let mut tip = store.swap(&name(), None, &with_intent(Record::default(), "r1"), "intent").unwrap();
        for n in 1..4 {
            tip = store.swap(&name(), Some(&tip), &record(n, 2), "outcome").unwrap();
            tip = store.swap(&name(), Some(&tip), &with_intent(record(n, 2), "r2"), "intent").unwrap();
        }
        let numbers = |limit| -> Vec<u64> {
            let history = store.history(&name(), limit).unwrap();
            assert!(history.iter().all(|(_, r)| r.intents.is_empty()), "{backend}");
            let versions = store.versions(&name(), limit).unwrap();
            assert!(versions.iter().zip(&history).all(|(v, h)| v.0 == h.0 && Some(&v.1) == h.1.head.as_ref()));
            history.into_iter().map(|(_, r)| r.head.unwrap().number).collect()
        };
        assert_eq!((numbers(10), numbers(2)), (vec![3, 2, 1], vec![3, 2]), "{backend}");
    }
}

#[test]
fn damage_is_named_with_its_place_and_never_a_smaller_record() {
    let good = codec::encode(&with_intent(record(1, 300), "r")).unwrap();
    let shard = good.keys().find(|k| k.ends_with(".jsonl")).unwrap().clone();
    let tell = |change: &dyn Fn(&mut codec::Files)| {
        let mut files = good.clone();
        change(&mut files);
        match codec::decode(&files) {
            Err(StoreError::Damaged { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    };
    let cut = tell(&|f| f.get_mut(&shard).map(|b| b.truncate(b.len() - 5)).unwrap());
    assert_eq!(cut, format!("{shard}: its last line is cut off"));
    let flipped = tell(&|f| {
        let text = String::from_utf8(f[&shard].clone()).unwrap().replacen("\"ttl\":1", "\"ttl\":2", 1);
        f.insert(shard.clone(), text.into_bytes());
    });
    assert_eq!(flipped, format!("{shard}:1: `sent` is not what its digest says"));
    let twice = tell(&|f| {
        let line = f[&shard].split_inclusive(|b| *b == b'\n').next().unwrap().to_vec();
        f.insert(shard.clone(), [line.clone(), line].concat());
    });
    assert!(twice.starts_with(&format!("{shard}:2: ")) && twice.ends_with("there twice"), "{twice}");
    let moved = tell(&|f| {
        let bytes = f.remove(&shard).unwrap();
        f.insert("b/00.jsonl".to_owned(), bytes.clone());
        f.insert("b/01.jsonl".to_owned(), bytes);
    });
    assert!(moved.contains("belongs to another file"), "{moved}");
    assert_eq!(tell(&|f| drop(f.remove("head.json"))), "head.json: it is missing");
    assert_eq!(tell(&|f| drop(f.remove("default/identity"))), format!("{shard}: default/identity is missing"));
    assert_eq!(tell(&|f| drop(f.insert("README".into(), vec![]))), "README: no record has such a file");
    let newer = tell(&|f| drop(f.insert("head.json".into(), b"{\"format\":\"2.0\"}".to_vec())));
    assert_eq!(newer, "head.json: it is in format 2.0, and this ctl reads 1.x");
}

#[test]
fn a_newer_minor_version_with_more_fields_is_read() {
    let mut files = codec::encode(&record(1, 1)).unwrap();
    for bytes in files.values_mut() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let text = text.replace("\"1.0\"", "\"1.7\"").replace("{\"digest\"", "{\"aaa\":[1],\"digest\"");
        *bytes = text.into_bytes();
    }
    assert_eq!(codec::decode(&files).unwrap(), record(1, 1));
}

#[test]
fn an_older_record_owes_nothing_and_an_older_reader_finds_all_else() {
    let mut record = record(1, 1);
    let files = codec::encode(&record).unwrap();
    let head = String::from_utf8(files["head.json"].clone()).unwrap();
    assert!(head.contains(r#""owed":{"default":["rrset","zone"]}"#), "{head}");
    // What an earlier version wrote: the same files, and a head that says nothing of it.
    record.endpoints.values_mut().for_each(|known| known.owed.clear());
    let mut old = codec::encode(&record).unwrap();
    let bytes = String::from_utf8(old["head.json"].clone()).unwrap().replace("\"1.2\"", "\"1.1\"");
    assert!(!bytes.contains("owed"), "{bytes}");
    old.insert("head.json".to_owned(), bytes.into_bytes());
    assert_eq!(codec::decode(&old).unwrap(), record);
    assert!(files.keys().eq(old.keys()), "no file that an earlier version would call damage");
}

#[test]
fn a_changed_file_generation_is_damage() {
    let dir = TempDir::new().unwrap();
    let store = FileStore::new(dir.path());
    store.swap(&name(), None, &record(1, 3), "1").unwrap();
    let folder = dir.path().join("shop/dns");
    let file = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some()).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert!(matches!(store.read(&name()), Err(StoreError::Damaged { .. })));
    fs::remove_file(&file).unwrap();
    assert!(matches!(store.read(&name()), Err(StoreError::Damaged { .. })));
}

#[test]
fn the_folder_keeps_the_last_hundred_versions() {
    let dir = TempDir::new().unwrap();
    let store = FileStore::new(dir.path());
    let mut tip = None;
    for n in 1..=150 {
        let begun = with_intent(tip.as_ref().map_or_else(Record::default, |_| record(n - 1, 1)), "r");
        let intent = store.swap(&name(), tip.as_ref(), &begun, "intent").unwrap();
        tip = Some(store.swap(&name(), Some(&intent), &record(n, 1), "n").unwrap());
    }
    let kept = store.versions(&name(), 100).unwrap();
    assert_eq!(kept.iter().map(|(_, head)| head.number).collect::<Vec<_>>(), (51..=150).rev().collect::<Vec<_>>());
    assert_eq!(store.at(&name(), &kept[99].0).unwrap(), record(51, 1));
    let files = fs::read_dir(dir.path().join("shop/dns")).unwrap().count();
    assert!(files < 260, "{files} files");
}

#[test]
fn the_audit_trail_is_git_log_on_a_ref_and_fsck_is_content() {
    let dir = TempDir::new().unwrap();
    let repo = local_repo(dir.path());
    let store = git_store(&repo, None, dir.path(), clock());
    let tip = store.swap(&name(), None, &record(1, 3), "apply shop to dns").unwrap();
    let log = sh(
        &repo,
        &["log", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%an %ad%n%B", "refs/ctl/records/shop/dns"],
    );
    assert!(log.starts_with("ctl 2026-01-02T03:04:05Z\napply shop to dns\n\nNumber: 1\nCommit: aaaa"), "{log}");
    assert!(log.contains("\nWho: ann@laptop\nResult: done (3 done, 0 not)"), "{log}");
    sh(&repo, &["fsck", "--strict"]);
    // Only what changed is written again.
    let shards = |rev: &str| sh(&repo, &["ls-tree", "-r", rev]);
    let mut next = record(1, 3);
    next.head.as_mut().unwrap().number = 2;
    let second = store.swap(&name(), Some(&tip), &next, "again").unwrap();
    let (before, after) = (shards(&tip.0), shards(&second.0));
    let changed: Vec<_> = after.lines().filter(|l| !before.contains(l)).collect();
    assert!(changed.len() == 1 && changed[0].ends_with("head.json"), "{changed:?}");
}

#[test]
fn an_old_lock_file_is_removed_and_a_young_one_is_respected() {
    let dir = TempDir::new().unwrap();
    let repo = local_repo(dir.path());
    let scripted = ScriptedClock::starting_at(Clock::System.wall());
    let store = git_store(&repo, None, dir.path(), Clock::Scripted(Arc::clone(&scripted)));
    let first = store.swap(&name(), None, &record(1, 1), "1").unwrap();
    let lock = repo.join("refs/ctl/records/shop/dns.lock");
    fs::write(&lock, "").unwrap();
    assert_eq!(store.swap(&name(), Some(&first), &record(2, 1), "2"), Err(StoreError::Moved));
    scripted.advance(std::time::Duration::from_secs(70));
    store.swap(&name(), Some(&first), &record(2, 1), "2").unwrap();
    assert!(!lock.exists());
}

#[test]
fn two_clones_share_a_pushed_record_even_shallow_ones() {
    let dir = TempDir::new().unwrap();
    remote(dir.path());
    let open = |n: &str, depth| git_store(&clone(dir.path(), n, depth), Some("origin"), dir.path(), clock());
    let (a, b) = (open("a", false), open("b", true));
    let first = a.swap(&name(), None, &record(1, 2), "1").unwrap();
    assert_eq!(b.read(&name()).unwrap(), (Some(first.clone()), record(1, 2)));
    let second = b.swap(&name(), Some(&first), &record(2, 2), "2").unwrap();
    assert_eq!(a.swap(&name(), Some(&first), &record(3, 2), "3"), Err(StoreError::Moved));
    assert_eq!(a.read(&name()).unwrap(), (Some(second.clone()), record(2, 2)));
    a.swap(&name(), Some(&second), &record(3, 2), "3").unwrap();
    assert_eq!(b.history(&name(), 9).unwrap().len(), 3);
    assert_eq!(b.names(&name().project).unwrap(), [name()]);
    assert!(dir.path().join("b/.git/shallow").exists());
}

#[test]
fn a_remote_that_refuses_the_ref_is_a_denial_with_a_way_out() {
    let dir = TempDir::new().unwrap();
    let remote = remote(dir.path());
    let hook = remote.join("hooks/pre-receive");
    fs::create_dir_all(remote.join("hooks")).unwrap();
    fs::write(&hook, "#!/bin/sh\necho only the pipeline may write refs/ctl >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let store = git_store(&clone(dir.path(), "a", false), Some("origin"), dir.path(), clock());
    let Err(StoreError::Denied { why, help }) = store.swap(&name(), None, &record(1, 1), "1") else { panic!() };
    assert_eq!(why, "remote rejected (pre-receive hook declined): only the pipeline may write refs/ctl");
    assert!(help.contains("record: {file: DIR}"), "{help}");
    assert_eq!(store.read(&name()).unwrap(), (None, Record::default()), "nothing was written");
}

fn slow_hook(remote: &Path, hook: &str) {
    let hook = remote.join("hooks").join(hook);
    fs::create_dir_all(remote.join("hooks")).unwrap();
    fs::write(&hook, "#!/bin/sh\nsleep 60\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

fn hasty_store(git_dir: &Path, state: &Path) -> GitStore {
    let limits = Limits { git_push: std::time::Duration::from_secs(6), ..Limits::default() };
    let place = GitPlace {
        git_dir: git_dir.to_owned(),
        push: Some("origin".to_owned()),
        prefix: RECORD_REFS.to_owned(),
        state_dir: state.to_owned(),
    };
    GitStore::open(git(), place, clock(), &limits).unwrap()
}

#[test]
fn a_push_whose_answer_is_lost_counts_if_the_remote_has_it() {
    let dir = TempDir::new().unwrap();
    slow_hook(&remote(dir.path()), "post-receive");
    let store = hasty_store(&clone(dir.path(), "a", false), dir.path());
    let tip = store.swap(&name(), None, &record(1, 1), "1").unwrap();
    assert_eq!(store.read(&name()).unwrap(), (Some(tip), record(1, 1)));
}

#[test]
fn a_push_whose_answer_is_lost_is_unanswered_if_the_remote_has_it_not() {
    let dir = TempDir::new().unwrap();
    slow_hook(&remote(dir.path()), "pre-receive");
    let store = hasty_store(&clone(dir.path(), "a", false), dir.path());
    assert!(matches!(store.swap(&name(), None, &record(1, 1), "1"), Err(StoreError::Unanswered { .. })));
}

#[test]
fn many_may_read_a_pushed_record_at_once() {
    let dir = TempDir::new().unwrap();
    remote(dir.path());
    let (a, b) = (clone(dir.path(), "a", false), clone(dir.path(), "b", false));
    let tip = git_store(&a, Some("origin"), dir.path(), clock()).swap(&name(), None, &record(1, 1), "1").unwrap();
    let reader = |b: PathBuf, state: PathBuf| git_store(&b, Some("origin"), &state, clock()).read(&name());
    let readers: Vec<_> = (0..6)
        .map(|_| (b.clone(), dir.path().to_owned()))
        .map(|(b, state)| std::thread::spawn(move || reader(b, state)))
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap().unwrap(), (Some(tip.clone()), record(1, 1)));
    }
}

#[test]
fn a_remote_that_is_gone_is_unreachable_and_not_an_empty_record() {
    let dir = TempDir::new().unwrap();
    let remote = remote(dir.path());
    let store = git_store(&clone(dir.path(), "a", false), Some("origin"), dir.path(), clock());
    let tip = store.swap(&name(), None, &record(1, 1), "1").unwrap();
    fs::rename(&remote, dir.path().join("away")).unwrap();
    assert!(matches!(store.read(&name()), Err(StoreError::Unreachable { .. })));
    assert!(matches!(store.swap(&name(), Some(&tip), &record(2, 1), "2"), Err(StoreError::Unreachable { .. })));
    // The target was written all the same: what came of it is kept here, and shared by the next run.
    let kept = store.keep(&name(), Some(&tip), &record(2, 1), "2").unwrap();
    fs::rename(dir.path().join("away"), &remote).unwrap();
    assert_eq!(store.read(&name()).unwrap(), (Some(kept.clone()), record(2, 1)));
    let other = git_store(&clone(dir.path(), "b", false), Some("origin"), dir.path(), clock());
    assert_eq!(other.read(&name()).unwrap(), (Some(tip), record(1, 1)));
    // By a run that has nothing else to write, or under the next swap.
    store.share(&name(), &kept).unwrap();
    assert_eq!(other.read(&name()).unwrap(), (Some(kept.clone()), record(2, 1)));
    store.share(&name(), &kept).unwrap();
    store.swap(&name(), Some(&kept), &record(3, 1), "3").unwrap();
    let numbers: Vec<_> = other.history(&name(), 9).unwrap().into_iter().map(|(_, r)| r.head.unwrap().number).collect();
    assert_eq!(numbers, [3, 2, 1]);
}

#[test]
fn what_was_kept_here_does_not_count_once_others_went_on() {
    let dir = TempDir::new().unwrap();
    remote(dir.path());
    let store = git_store(&clone(dir.path(), "a", false), Some("origin"), dir.path(), clock());
    let tip = store.swap(&name(), None, &record(1, 1), "1").unwrap();
    let kept = store.keep(&name(), Some(&tip), &record(2, 1), "2").unwrap();
    let other = git_store(&clone(dir.path(), "b", false), Some("origin"), dir.path(), clock());
    assert_eq!(other.read(&name()).unwrap().0, Some(tip.clone()));
    let theirs = other.swap(&name(), Some(&tip), &record(2, 3), "theirs").unwrap();
    assert_eq!(store.share(&name(), &kept), Err(StoreError::Moved));
    assert_eq!(store.read(&name()).unwrap(), (Some(theirs), record(2, 3)));
}

#[test]
fn a_lock_that_stays_at_the_remote_is_named_and_is_no_other_run() {
    let dir = TempDir::new().unwrap();
    let remote = remote(dir.path());
    let store = git_store(&clone(dir.path(), "a", false), Some("origin"), dir.path(), clock());
    let tip = store.swap(&name(), None, &record(1, 1), "1").unwrap();
    fs::write(remote.join("refs/ctl/records/shop/dns.lock"), "").unwrap();
    let error = store.swap(&name(), Some(&tip), &record(2, 1), "2").unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("dns.lock"), "{error}");
}

#[test]
fn a_relative_remote_counts_from_the_repository_that_has_it() {
    let asked = |url| super::git::from_anywhere(url, Path::new("/home/ann/shop/.git"));
    assert_eq!(asked("../shop.git"), "/home/ann/shop/../shop.git");
    assert_eq!(asked("records"), "/home/ann/shop/records");
    assert_eq!(super::git::from_anywhere("x:y/z", Path::new("/srv/shop.git")), "x:y/z");
    for absolute in ["/srv/shop.git", "https://forge.example/shop", "git@forge.example:shop", "file:///srv/x"] {
        assert_eq!(asked(absolute), absolute);
    }
    assert_eq!(super::git::from_anywhere("./a:b", Path::new("/srv/shop.git")), "/srv/shop.git/./a:b");
}

#[test]
fn a_remote_that_would_start_a_program_or_does_not_exist_is_refused() {
    let dir = TempDir::new().unwrap();
    let repo = local_repo(dir.path());
    let refused = |push: &str| {
        let place = GitPlace {
            git_dir: repo.clone(),
            push: Some(push.to_owned()),
            prefix: RECORD_REFS.to_owned(),
            state_dir: dir.path().to_owned(),
        };
        GitStore::open(git(), place, clock(), &Limits::default()).unwrap_err().to_string()
    };
    assert!(refused("upstream").ends_with("the repository has no remote `upstream`"));
    assert!(refused("ext::sh -c x").ends_with("`ext:` is not a scheme for a repository"));
    assert!(refused("ssh://-oProxyCommand=x/p").ends_with("would be read as an option"));
}

#[test]
fn another_folder_is_locked_by_one_run_only_and_says_who() {
    let dir = TempDir::new().unwrap();
    let me = current_process("ann");
    let held = LocalLock::take(dir.path(), Path::new("/srv/shop/.git"), &me).unwrap();
    let Err(LockError::Held { holder }) = LocalLock::take(dir.path(), Path::new("/srv/shop/.git"), &me) else {
        panic!()
    };
    assert_eq!(holder, Some(me.clone()));
    LocalLock::take(dir.path(), Path::new("/srv/other/.git"), &me).unwrap();
    drop(held);
    LocalLock::take(dir.path(), Path::new("/srv/shop/.git"), &me).unwrap();
}

#[test]
fn a_tree_made_of_what_changed_is_the_tree_that_writing_all_of_it_makes() {
    let dir = TempDir::new().unwrap();
    let repo = local_repo(dir.path());
    let store = git_store(&repo, None, dir.path(), clock());
    let edit = |number: u64, change: &dyn Fn(&mut EndpointRecord)| {
        let mut next = record(number, 300);
        change(next.endpoints.get_mut(&EndpointName::only()).unwrap());
        next
    };
    let first = |of: &EndpointRecord| of.entries.keys().next().unwrap().clone();
    let mut steps = vec![record(1, 300), with_intent(record(1, 300), "run-1")];
    steps.push(edit(1, &|of| of.identity = None));
    steps.push(edit(1, &|of| {
        let first = first(of);
        of.entries.remove(&first);
    }));
    let unprotected = edit(1, &|of| {
        let first = first(of);
        of.entries.get_mut(&first).unwrap().protect = false;
    });
    steps.push(with_intent(unprotected, "run-2"));
    steps.push(edit(1, &|of| {
        let more = entry("zone", &["é/x"], r#"{"a":1}"#);
        of.entries.insert((more.kind.clone(), more.key.clone()), more);
    }));
    steps.push(record(2, 300));
    steps.push(record(2, 0));
    steps.push(Record { endpoints: BTreeMap::new(), ..record(3, 0) });
    steps.push(record(4, 1));
    let mut tip = None;
    for (i, step) in steps.iter().enumerate() {
        let next = store.swap(&name(), tip.as_ref(), step, "step").unwrap();
        let apart = RecordName { project: "shop".parse().unwrap(), target: format!("apart-{i}").parse().unwrap() };
        let whole = git_store(&repo, None, dir.path(), clock()).swap(&apart, None, step, "whole").unwrap();
        let tree = |tip: &Tip| sh(&repo, &["rev-parse", &format!("{}^{{tree}}", tip.0)]);
        assert_eq!(tree(&next), tree(&whole), "step {i}");
        assert_eq!(&store.read(&name()).unwrap().1, step, "step {i}");
        tip = Some(next);
    }
    sh(&repo, &["fsck", "--strict"]);
}
