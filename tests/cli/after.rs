//! What an API wants once after writes (`after-apply`): sent once, owed until it went through, and made good by the next run.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fake::{Answer, Fake, plain, raw};
use crate::hostile::{API, project_at, thing};
use crate::sandbox::Sandbox;

const SAVE: &str = "after-apply: {post: /save, ok: {/saved: true}}\n";

/// How the call is answered the next times; honestly afterwards.
#[derive(Clone, Copy, PartialEq)]
enum Save {
    Well,
    Refuse,
    SayNo,
    BreakOff,
    Hang,
}

/// A server that keeps things, and wants to be told to save them.
struct Saver {
    fake: Fake,
    next: Arc<AtomicUsize>,
}

const ALL: [Save; 5] = [Save::Well, Save::Refuse, Save::SayNo, Save::BreakOff, Save::Hang];

impl Saver {
    fn new() -> Self {
        let next = Arc::new(AtomicUsize::new(0));
        let how = Arc::clone(&next);
        let fake = Fake::scripted(move |asked| {
            if asked.method != "POST" || !asked.path.starts_with("/v1/") {
                return None;
            }
            let answer: Answer = match ALL[how.load(Ordering::SeqCst)] {
                Save::Well => plain(200, "", "{\"saved\": true}"),
                Save::Refuse => plain(422, "", "{\"error\": \"the disk is full\"}"),
                Save::SayNo => plain(200, "", "{\"saved\": false}"),
                Save::BreakOff => raw(Vec::new()),
                Save::Hang => Box::new(|_| std::thread::sleep(Duration::from_secs(20))),
            };
            Some(answer)
        });
        Self { fake, next }
    }

    fn answers(&self, how: Save) {
        self.next.store(ALL.iter().position(|one| *one == how).unwrap(), Ordering::SeqCst);
    }

    /// A project with one thing, committed.
    fn project(&self, after: &str) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("apis/fake.yaml", &API.replace("types:\n", &format!("{after}types:\n")));
        project_at(&sandbox, &self.fake.url(), "");
        sandbox.write("manifests/a.yaml", &thing("a", "size: 1"));
        sandbox.commit("one thing");
        sandbox
    }

    /// What was written, in order: the call by its path, all else by its method.
    fn written(&self) -> Vec<String> {
        let asked = self.fake.asked();
        let writes = asked.iter().filter(|a| a.method != "GET" && a.method != "HEAD");
        writes.map(|a| if a.method == "POST" { a.path.clone() } else { a.method.clone() }).collect()
    }

    fn saved(&self) -> usize {
        self.written().iter().filter(|one| *one == "/v1/save").count()
    }
}

#[test]
fn the_call_comes_once_after_the_last_write_and_never_without_one() {
    let saver = Saver::new();
    let sandbox = saver.project(SAVE);
    sandbox.write("manifests/b.yaml", &thing("b", "size: 2")).commit("another");
    sandbox.run(["plan"]).exits(0).says("After the writes, once:\n  >   shop POST /save\n");
    assert_eq!(saver.written(), [""; 0], "a plan sends nothing");
    sandbox.run(["apply", "--yes"]).exits(0).says("done: POST /save at shop");
    assert_eq!(saver.written(), ["PUT", "PUT", "/v1/save"]);
    sandbox.run(["apply", "--yes"]).exits(0).says("Nothing to do");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    sandbox.remove("manifests/b.yaml").commit("one goes");
    let ran = sandbox.run(["apply", "--yes", "-o", "json"]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let call = serde_json::json!([{
        "target": "shop", "endpoint": "default", "call": "POST /save", "outcome": "done", "error": null, "help": null
    }]);
    assert_eq!(document["calls"], call);
    assert_eq!(saver.written()[3..], ["DELETE", "/v1/save"]);
}

#[test]
fn a_call_that_did_not_go_through_is_owed_and_made_by_the_next_run_though_its_plan_is_empty() {
    for how in [Save::Refuse, Save::SayNo, Save::BreakOff] {
        let saver = Saver::new();
        let sandbox = saver.project(SAVE);
        saver.answers(how);
        let failed = sandbox.run(["apply", "--yes"]).exits(3);
        assert!(
            failed.stderr.contains("error[call-owed]: shop is owed `POST /save` after its writes"),
            "{}",
            failed.stderr
        );
        assert!(failed.stderr.contains("run `ctl apply` again"), "{}", failed.stderr);
        assert!(!failed.stderr.contains("correct the manifest"), "no manifest is behind it: {}", failed.stderr);
        assert!(failed.stdout.contains("1 created"), "the write is done: {}", failed.stdout);
        let tried = saver.saved();
        assert!(tried >= 1 && (tried == 1 || how == Save::BreakOff), "what may be over is tried again: {tried}");
        // The plan says it, counts it, and sends nothing.
        let plan = sandbox.run(["plan", "--detailed-exitcode"]).exits(2);
        assert!(plan.stdout.contains("shop POST /save  (owed since an earlier run)"), "{}", plan.stdout);
        assert!(plan.stdout.contains("1 call owed"), "{}", plan.stdout);
        let json = sandbox.run(["plan", "-o", "json"]).exits(0);
        let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(document["calls"][0]["owed"], true);
        assert_eq!(document["operations"], serde_json::json!([]));
        sandbox.run(["record", "show"]).exits(0).says("default is owed the call after writes of thing");
        assert_eq!(saver.saved(), tried);
        // It goes on to be owed as long as it fails.
        sandbox.run(["apply", "--yes"]).exits(3);
        saver.answers(Save::Well);
        let before = saver.written().len();
        sandbox.run(["apply", "--yes"]).exits(0).says("done: POST /save at shop");
        assert_eq!(saver.written()[before..], ["/v1/save"], "nothing but the call");
        sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
        sandbox.run(["apply", "--yes"]).exits(0);
        assert_eq!(saver.written().len(), before + 1);
    }
}

#[test]
fn a_run_that_is_killed_before_the_answer_to_its_call_owes_it() {
    let saver = Saver::new();
    let sandbox = saver.project(SAVE);
    saver.answers(Save::Hang);
    let mut command = sandbox.command(&["apply", "--yes"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..500 {
        if saver.saved() == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(saver.written(), ["PUT", "/v1/save"]);
    saver.answers(Save::Well);
    sandbox.run(["apply", "--yes"]).exits(0).says("done: POST /save at shop");
    assert_eq!(saver.written(), ["PUT", "/v1/save", "/v1/save"], "the write is not repeated");
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn no_call_where_no_write_can_have_been_done() {
    let saver = Saver::new();
    let refusing = Fake::scripted(|asked| (asked.method == "PUT").then(|| plain(422, "", "{\"error\": \"no\"}")));
    let sandbox = saver.project(SAVE);
    project_at(&sandbox, &refusing.url(), "");
    sandbox.commit("elsewhere");
    sandbox.run(["apply", "--yes"]).exits(1);
    assert!(refusing.asked().iter().all(|a| a.method != "POST"), "{:?}", refusing.asked());
    sandbox.run(["record", "show"]).exits(0);
    let plan = sandbox.run(["plan"]).exits(0);
    assert!(!plan.stdout.contains("owed"), "{}", plan.stdout);
}

#[test]
fn a_kind_may_want_another_call_or_none() {
    let saver = Saver::new();
    let sandbox = saver.project(SAVE);
    let api = API.replace("types:\n", &format!("params: [site]\n{SAVE}types:\n"));
    let with = |rule: &str| api.replace("    fields:\n", &format!("    after-apply: {rule}\n    fields:\n"));
    sandbox.write("apis/fake.yaml", &with("none"));
    project_at(&sandbox, &saver.fake.url(), "    values: {site: north}\n");
    sandbox.commit("none");
    sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(saver.written(), ["PUT"]);
    sandbox.write(
        "apis/fake.yaml",
        &with("{post: \"/sites/{site}/reload\", body: {why: \"at {site}\"}, query: {now: 1}}"),
    );
    sandbox.write("manifests/a.yaml", &thing("a", "size: 2")).commit("its own");
    sandbox.run(["explain", "fake:thing"]).exits(0).says("after   POST /v1/sites/{site}/reload, once after the writes");
    sandbox.run(["explain", "fake"]).exits(0).says("once after the writes at an endpoint: POST /v1/save");
    sandbox.run(["apply", "--yes"]).exits(0).says("done: POST /sites/{site}/reload at shop");
    assert_eq!(saver.written(), ["PUT", "PUT", "/v1/sites/north/reload?now=1"]);
    assert!(saver.fake.heard("{\"why\":\"at north\"}"));
}

#[test]
fn adoptions_alone_touch_no_target_whatever_it_is_owed() {
    let saver = Saver::new();
    let sandbox = saver.project(SAVE);
    saver.answers(Save::Refuse);
    sandbox.run(["apply", "--yes"]).exits(3);
    let before = saver.saved();
    sandbox.run(["apply", "--yes", "--adopt-only"]).exits(0);
    assert_eq!(saver.saved(), before);
    saver.answers(Save::Well);
    sandbox.run(["apply", "--yes"]).exits(0);
    assert_eq!(saver.saved(), before + 1);
}
