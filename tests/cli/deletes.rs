//! Deletes that a server says are done: what was told to go stays ours until somebody has seen that it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fake::{Fake, plain};
use crate::hostile::{API, project, project_at, thing};
use crate::sandbox::Sandbox;

fn is_list(asked: &crate::fake::Asked) -> bool {
    asked.method == "GET" && asked.path.split('?').next() == Some("/v1/things")
}

#[test]
fn a_delete_answered_with_success_leaves_the_object_ours_as_long_as_it_is_there() {
    for status in [200, 204] {
        let fake = Fake::scripted(move |asked| (asked.method == "DELETE").then(|| plain(status, "", "")));
        let sandbox = project(&fake.url(), "");
        sandbox.run(["apply", "--yes"]).exits(0);
        sandbox.remove("manifests/a.yaml").commit("a goes");
        sandbox.run(["apply", "--yes"]).exits(1).says("said that it is deleted, and still shows it");
        sandbox.run(["plan", "--detailed-exitcode"]).exits(2).says("- delete  thing/a");
        sandbox.run(["record", "show"]).exits(0).says("thing/a");
    }
}

#[test]
fn a_delete_that_takes_a_moment_is_done_once_it_is_seen() {
    let late = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&late);
    let fake = Fake::scripted(move |asked| {
        if asked.method == "DELETE" {
            left.store(1, Ordering::SeqCst);
            return None;
        }
        let shown = asked.path == "/v1/things/a" && left.swap(0, Ordering::SeqCst) > 0;
        shown.then(|| plain(200, "", r#"{"name":"a","size":1}"#))
    });
    let sandbox = project(&fake.url(), "");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("a goes");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    assert_eq!(late.load(Ordering::SeqCst), 0, "it was looked at while it was still shown");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do");
}

#[test]
fn where_nobody_can_look_after_a_delete_the_record_keeps_the_line() {
    let blind = Arc::new(AtomicUsize::new(0));
    let is_blind = Arc::clone(&blind);
    let fake = Fake::scripted(move |asked| {
        if asked.method == "DELETE" {
            is_blind.store(1, Ordering::SeqCst);
            return Some(plain(200, "", "{}"));
        }
        (is_blind.load(Ordering::SeqCst) == 1).then(|| plain(403, "", "{}"))
    });
    let sandbox = project(&fake.url(), "");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("a goes");
    sandbox.run(["apply", "--yes"]);
    blind.store(0, Ordering::SeqCst);
    sandbox.run(["plan", "--detailed-exitcode"]).exits(2).says("- delete  thing/a");
}

#[test]
fn a_selector_that_picks_nothing_of_what_would_all_go_asks_for_no_consent() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let labelled = "apiVersion: fake\nkind: thing\nmetadata: {name: c, labels: {team: x}}\nspec: {size: 1}\n";
    sandbox.write("manifests/c.yaml", labelled).commit("three things");
    sandbox.run(["apply", "--yes"]).exits(0);
    for name in ["a", "b", "c"] {
        sandbox.remove(&format!("manifests/{name}.yaml"));
    }
    // An empty file keeps the folder.
    sandbox.write("manifests/none.yaml", "# nothing\n").commit("nothing");
    let planned = sandbox.run(["plan", "-l", "team=none"]).exits(0).says("fits-nothing");
    assert!(!format!("{}{}", planned.stdout, planned.stderr).contains("allow-deletes"), "{}", planned.stdout);
    // What is picked counts, and no more than that.
    let planned = sandbox.run(["plan", "-l", "team=x", "-o", "json"]).exits(7).json();
    assert!(planned["refusals"].to_string().contains("all that it owns (1)"), "{planned}");
    let sum = planned["deletes_checksum"].as_str().unwrap();
    sandbox.run(["apply", "--yes", "-l", "team=x", "--allow-deletes", sum]).exits(0).says("1 deleted");
    assert_eq!(fake.names(), ["a", "b"]);
}

#[test]
fn several_deletes_are_seen_by_one_list() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    for name in ["c", "d", "e", "f", "g"] {
        sandbox.write(&format!("manifests/{name}.yaml"), &thing(name, "size: 3"));
    }
    sandbox.commit("seven things");
    sandbox.run(["apply", "--yes"]).exits(0).says("7 created");
    for name in ["c", "d", "e", "f", "g"] {
        sandbox.remove(&format!("manifests/{name}.yaml"));
    }
    sandbox.commit("two things");
    sandbox.run(["apply", "--yes"]).exits(0).says("5 deleted");
    let asked = fake.asked();
    let last = asked.iter().rposition(|asked| asked.method == "DELETE").unwrap();
    assert!(is_list(&asked[last + 1]), "{:?}", asked[last + 1].path);
    assert_eq!(asked.len(), last + 2, "one look for all of them");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do: 2 resources");
}

#[test]
fn what_is_marked_as_deleted_and_ignored_is_gone() {
    let deleted = Arc::new(AtomicUsize::new(0));
    let is_deleted = Arc::clone(&deleted);
    let fake = Fake::scripted(move |asked| {
        if asked.method == "DELETE" {
            is_deleted.store(1, Ordering::SeqCst);
            return Some(plain(200, "", "{}"));
        }
        let shown = asked.path == "/v1/things/a" && is_deleted.load(Ordering::SeqCst) == 1;
        shown.then(|| plain(200, "", r#"{"name":"a","size":1,"deleted":true}"#))
    });
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", &format!("{API}    ignore: [{{deleted: \"true\"}}]\n"));
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).write("manifests/b.yaml", &thing("b", "size: 2"));
    sandbox.commit("two things");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("a goes");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    let record = sandbox.run(["record", "show"]).exits(0);
    assert!(!record.stdout.contains("thing/a"), "{}", record.stdout);
}

#[test]
fn a_replace_that_stops_halfway_leaves_the_object_ours() {
    let refuse = Arc::new(AtomicUsize::new(0));
    let refuses = Arc::clone(&refuse);
    let fake = Fake::scripted(move |asked| {
        let refuses = refuses.load(Ordering::SeqCst) == 1;
        match asked.method.as_str() {
            "DELETE" => Some(plain(200, "", "{}")),
            "PUT" if refuses => Some(plain(422, "", r#"{"message":"it is there"}"#)),
            _ => None,
        }
    });
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", &API.replace("password: {secret: true}", "size: {immutable: true}"));
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one thing");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/a.yaml", &thing("a", "size: 2")).commit("another size");
    refuse.store(1, Ordering::SeqCst);
    sandbox.run(["apply", "--yes", "--allow-replace"]).exits(3);
    sandbox.run(["record", "show"]).exits(0).says("thing/a");
    refuse.store(0, Ordering::SeqCst);
    sandbox.run(["apply", "--yes", "--allow-replace"]).exits(0);
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do");
}
