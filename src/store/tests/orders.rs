//! The same claims about orders for every place that holds them.

use super::*;
use crate::model::{Orders, ProjectName, Suspended};
use crate::store::OrderBook;

/// As [`Reopen`].
type Again = Box<dyn Fn() -> Arc<dyn OrderBook>>;

fn places() -> Vec<(&'static str, TempDir, Again)> {
    let mut all: Vec<(&'static str, TempDir, Again)> = Vec::new();
    let memory = Arc::new(MemoryStore::new());
    all.push(("memory", TempDir::new().unwrap(), Box::new(move || Arc::clone(&memory) as Arc<dyn OrderBook>)));

    let dir = TempDir::new().unwrap();
    let path = dir.path().join("records");
    all.push(("file", dir, Box::new(move || Arc::new(FileStore::new(&path)))));

    let dir = TempDir::new().unwrap();
    let (repo, state) = (local_repo(dir.path()), dir.path().join("state"));
    all.push(("git", dir, Box::new(move || Arc::new(git_store(&repo, None, &state, clock())))));

    // Every process has a clone of its own.
    let dir = TempDir::new().unwrap();
    remote(dir.path());
    let (at, next) = (dir.path().to_owned(), std::cell::Cell::new(0));
    let again = move || {
        next.set(next.get() + 1);
        let repo = clone(&at, &format!("clone{}", next.get()), false);
        Arc::new(git_store(&repo, Some("origin"), &at.join("state"), clock())) as Arc<dyn OrderBook>
    };
    all.push(("pushed", dir, Box::new(again)));
    all
}

fn shop() -> ProjectName {
    name().project
}

fn orders(who: &str) -> Orders {
    let mut orders = Orders::default();
    let order = Suspended { since: 7, until: Some(9), who: who.to_owned(), reason: Some("\u{e9}\n".to_owned()) };
    orders.suspend("dns".to_owned(), order);
    orders
}

#[test]
fn what_one_orders_the_others_know_and_nothing_is_overwritten() {
    for (place, _dir, again) in places() {
        assert_eq!(again().orders(&shop()).unwrap(), (None, Orders::default()), "{place}");
        let first = again().set_orders(&shop(), None, &orders("ann"), "suspend dns").unwrap();
        assert_eq!(again().orders(&shop()).unwrap(), (Some(first.clone()), orders("ann")), "{place}");
        let other: ProjectName = "other".parse().unwrap();
        assert_eq!(again().orders(&other).unwrap().0, None, "{place}: each project has its own");

        let (one, two) = (again(), again());
        assert_eq!(one.set_orders(&shop(), None, &orders("bob"), "x"), Err(StoreError::Moved), "{place}");
        let seen: Vec<_> = [&one, &two].map(|at| at.orders(&shop()).unwrap().0).into();
        one.set_orders(&shop(), seen[0].as_ref(), &orders("bob"), "bob").unwrap();
        let late = two.set_orders(&shop(), seen[1].as_ref(), &orders("eve"), "eve");
        assert_eq!(late, Err(StoreError::Moved), "{place}: whoever read what was before says it again");
        assert_eq!(again().orders(&shop()).unwrap().1, orders("bob"), "{place}");
    }
}

#[test]
fn orders_are_no_record_and_a_record_is_no_order() {
    let dir = TempDir::new().unwrap();
    remote(dir.path());
    let (repo, state) = (clone(dir.path(), "a", false), dir.path().join("state"));
    let pushed = git_store(&repo, Some("origin"), &state, clock());
    let files = FileStore::new(dir.path().join("records"));
    for store in [&pushed as &dyn Store, &files] {
        store.swap(&name(), None, &with_intent(record(1, 2), "run-1"), "intent").unwrap();
    }
    let (tip, _) = pushed.read(&name()).unwrap();
    pushed.set_orders(&shop(), None, &orders("ann"), "suspend dns").unwrap();
    files.set_orders(&shop(), None, &orders("ann"), "suspend dns").unwrap();
    // What lists the records of a project finds those alone, and a run that is under way goes on where it stood.
    assert_eq!((pushed.names(&shop()).unwrap(), files.names(&shop()).unwrap()), (vec![name()], vec![name()]));
    assert_eq!(pushed.read(&name()).unwrap().0, tip);
    let log = sh(&dir.path().join("remote.git"), &["log", "--format=%s", "refs/ctl/records/shop/_orders"]);
    assert_eq!(log, "suspend dns");
}

#[test]
fn orders_that_cannot_be_read_or_reached_are_not_none() {
    let dir = TempDir::new().unwrap();
    let bare = remote(dir.path());
    let (repo, state) = (clone(dir.path(), "a", false), dir.path().join("state"));
    let store = git_store(&repo, Some("origin"), &state, clock());
    let tip = store.set_orders(&shop(), None, &orders("ann"), "suspend dns").unwrap();
    let away = dir.path().join("away.git");
    fs::rename(&bare, &away).unwrap();
    assert!(matches!(store.orders(&shop()), Err(StoreError::Unreachable { .. })));
    assert!(store.set_orders(&shop(), Some(&tip), &orders("bob"), "x").is_err());
    fs::rename(&away, &bare).unwrap();
    assert_eq!(store.orders(&shop()).unwrap(), (Some(tip), orders("ann")), "nothing came of it");

    let blob = dir.path().join("blob");
    fs::write(&blob, "{\"format\": \"2.0\"}").unwrap();
    let blob = sh(&bare, &["hash-object", "-w", "--path", "x", &blob.display().to_string()]);
    let index = bare.join("odd-index").display().to_string();
    let with = |args: &[&str]| {
        let mut command = Command::new("git");
        let output = command.current_dir(&bare).args(args).env("GIT_INDEX_FILE", &index).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    with(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},orders.json")]);
    let tree = with(&["write-tree"]);
    let commit = sh(&bare, &["commit-tree", &tree, "-m", "newer"]);
    sh(&bare, &["update-ref", "refs/ctl/records/shop/_orders", &commit]);
    let newer = store.orders(&shop()).unwrap_err();
    assert!(matches!(&newer, StoreError::Damaged { why, .. } if why.contains("2.0")), "{newer:?}");

    let files = FileStore::new(dir.path().join("records"));
    files.set_orders(&shop(), None, &orders("ann"), "suspend dns").unwrap();
    fs::write(dir.path().join("records/shop/orders.json"), "{").unwrap();
    assert!(matches!(files.orders(&shop()), Err(StoreError::Damaged { .. })));
}
