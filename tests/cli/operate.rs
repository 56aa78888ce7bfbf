//! A watcher seen from outside: what is asked of it, what is said when it is away, lies or hangs, and what is known
//! without one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::Digest as _;

use crate::fake::{Answer, Asked, Fake, plain, raw};
use crate::hostile::{project, thing};
use crate::sandbox::{Ran, Sandbox};

const TOKEN: &str = "tok-CANARY-77ab31";
const NOW: i64 = 1_795_000_000;

/// A watcher's status with one target; `change` makes of it what the test wants.
fn status(change: impl FnOnce(&mut Value)) -> String {
    let mut status = json!({
        "format_version": "1.0", "ctl": "0.1.0", "project": "shop", "mode": "watch",
        "started": {"time": NOW - 600, "age": 600}, "ready": true, "not_ready": [],
        "source": {
            "source": ".", "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "fresh": {"time": NOW - 3, "age": 3},
            "stale": false, "quarantined": [],
        },
        "targets": [{
            "target": "shop", "leader": true, "last_cycle": {"time": NOW - 3, "age": 3}, "unchanged": 2,
            "endpoints": [{"endpoint": "default", "state": "ok", "since": {"time": NOW - 600, "age": 600}}],
            "pending": [], "pending_total": 0,
        }],
    });
    change(&mut status);
    status.to_string()
}

fn well() -> String {
    status(|_| {})
}

/// A watcher that answers each request with what `answer` makes of it.
fn watcher(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fake {
    Fake::scripted(move |asked| Some(answer(asked)))
}

/// A watcher that says this of itself, and accepts every order.
fn standing(status: String) -> Fake {
    watcher(move |asked| match asked.method.as_str() {
        "GET" => plain(200, "", &status),
        _ => plain(200, "", r#"{"accepted": true, "message": "it is tried again", "help": null}"#),
    })
}

fn ask(server: &Fake, args: &[&str]) -> Ran {
    ran(&Sandbox::without_repository(), server, args)
}

fn ran(sandbox: &Sandbox, server: &Fake, args: &[&str]) -> Ran {
    let url = server.url();
    let mut all = args.to_vec();
    all.extend(["--server", &url]);
    let output = sandbox.command(&all).output().unwrap();
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// Where the watcher of the sandbox's project keeps its address and its token.
fn folder(sandbox: &Sandbox) -> PathBuf {
    let common = fs::canonicalize(sandbox.repo().join(".git")).unwrap();
    let hash = sha2::Sha256::digest(format!("{}\n", common.display()));
    let hash: String = hash.iter().map(|b| format!("{b:02x}")).take(8).collect();
    let dir = sandbox.root().join("home/.local/state/ctl/watch").join(hash);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn write(path: PathBuf, text: &str, mode: u32) {
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn the_exit_code_says_how_things_stand() {
    let endpoint = |state: &'static str, code: &'static str| {
        status(move |s| {
            s["targets"][0]["endpoints"][0]["state"] = state.into();
            s["targets"][0]["endpoints"][0]["code"] = code.into();
        })
    };
    let refusal = |gate: &'static str| {
        status(move |s| {
            s["targets"][0]["endpoints"][0]["state"] = "refused".into();
            s["targets"][0]["refusals"] = json!([{"gate": gate, "message": "no", "help": "", "approvable": true}]);
        })
    };
    for (name, status, code) in [
        ("well", well(), 0),
        ("not the leader", endpoint("not-leader", ""), 0),
        ("failing", endpoint("failing", "failed"), 3),
        ("in doubt", endpoint("in-doubt", "in-doubt"), 3),
        ("suspended", endpoint("suspended", "suspended"), 3),
        ("stale", endpoint("stale-source", "stale-source"), 3),
        ("away", endpoint("failing", "unreachable"), 8),
        ("not let in", endpoint("failing", "not-allowed"), 4),
        ("refused", refusal("deletes"), 7),
        ("refused as older", refusal("older-commit"), 5),
        ("locked", refusal("locked"), 9),
        ("waiting", status(|s| s["targets"][0]["endpoints"][0]["pending"] = 1.into()), 3),
        ("held", status(|s| s["targets"][0]["held_at"] = "1a2b3c4d5e".into()), 3),
        ("not ready", status(|s| s["ready"] = false.into()), 3),
        ("left out", status(|s| s["source"]["quarantined"] = json!([{"place": "a.yaml", "code": "x"}])), 3),
    ] {
        let ran = ask(&standing(status), &["status"]);
        assert_eq!(ran.code, Some(code), "{name}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn status_shows_what_the_watcher_says() {
    let server = standing(well());
    ask(&server, &["status"]).exits(0).says("shop: 1 target, 1 ok · commit 1a2b3c4d5e, fresh 3 s ago · ready\n");
    let document = ask(&server, &["status", "-o", "json"]).exits(0).json();
    assert_eq!(document["targets"][0]["target"], "shop");
    assert!(server.asked().iter().all(|a| a.method == "GET" && a.path == "/v1/status"), "{:?}", server.asked());
    ask(&server, &["status", "nowhere"]).exits(64).warns("there is no target `nowhere`").warns("there is: shop");
    ask(&server, &["status", "-t", "sh*"]).exits(0);
    ask(&server, &["status", "shop/eu"]).exits(64).warns("there is no endpoint `eu`");
    ask(&server, &["status", "shop/def*"]).exits(0);
}

#[test]
fn a_look_at_one_target_is_not_about_the_others() {
    let server = standing(status(|s| {
        let mut second = s["targets"][0].clone();
        second["target"] = "shop-2".into();
        second["endpoints"][0]["state"] = "failing".into();
        s["targets"].as_array_mut().unwrap().push(second);
        s["ready"] = false.into();
        s["not_ready"] = json!(["no cycle of shop-2 came to its end for 94 s"]);
        s["resources"] = json!([{"address": "shop:thing/a", "source": "manifests/a.yaml"}]);
    }));
    ask(&server, &["status"]).exits(3).says("not ready: no cycle of shop-2");
    ask(&server, &["status", "shop"]).exits(0).says("· ready\n");
    ask(&server, &["status", "shop-2"]).exits(3).says("not ready: no cycle of shop-2");
    ask(&server, &["status", "shop:thing/a"]).exits(0).says("in sync, as manifests/a.yaml says");
}

#[test]
fn a_resource_that_nobody_declares_is_not_called_in_sync() {
    let there = |known: serde_json::Value| standing(status(move |s| s["resources"] = known.clone()));
    ask(&there(json!([])), &["status", "shop:thing/tpyo"])
        .exits(1)
        .warns("`shop:thing/tpyo` is neither declared nor recorded");
    // An older watcher does not say whether there is such a resource.
    let silent = ask(&there(json!(null)), &["status", "shop:thing/a"]).exits(0).stdout;
    assert!(!silent.contains("in sync"), "{silent}");
}

#[test]
fn one_command_says_why_a_resource_is_not_in_sync() {
    let server = standing(status(|s| {
        s["targets"][0]["endpoints"][0]["pending"] = 2.into();
        s["targets"][0]["pending_total"] = 2.into();
        let pending = |name: &str, state: &str| {
            json!({
                "address": format!("shop:thing/{name}"), "endpoint": "default", "action": "update",
                "cause": "/size 1 → 2 (the manifest changed)", "source": "manifests/a.yaml:4:14", "state": state,
                "why": "answered 422: size is too large", "help": "mend the manifest", "attempts": 3,
                "next": {"time": NOW + 60, "age": 0},
            })
        };
        s["targets"][0]["pending"] = json!([pending("a", "failed"), pending("b", "waiting")]);
        s["resources"] = json!([{"address": "shop:thing/c", "source": "manifests/c.yaml"}]);
    }));
    let text = ask(&server, &["status", "shop:thing/a"]).exits(3).stdout;
    for word in [
        "~ update shop:thing/a  failed, manifests/a.yaml:4:14",
        "differs   /size 1 → 2 (the manifest changed)",
        "not done  answered 422: size is too large",
        "commit    1a2b3c4d5e",
        "tried     3 attempts, next in 60 s",
        "help: mend the manifest",
    ] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert!(!text.contains("thing/b"), "{text}");
    ask(&server, &["status", "shop:thing/*"]).exits(3).says("thing/a").says("thing/b");
    ask(&server, &["status", "shop:thing/c"])
        .exits(0)
        .says("shop:thing/c: in sync, as manifests/c.yaml says (commit 1a2b3c4d5e, looked at 3 s ago)");
}

#[test]
fn a_watcher_that_is_away_lies_or_hangs_is_told_apart() {
    let moved = Fake::honest();
    let to = format!("Location: {}/v1/status\r\n", moved.url());
    let html =
        || raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>Login</a".to_vec());
    let cut =
        || raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"format".to_vec());
    let cases: Vec<(&str, Fake, i32, &str)> = vec![
        ("a login page", watcher(move |_| html()), 1, "watcher-answer"),
        ("an empty object", watcher(|_| plain(200, "", "{}")), 1, "watcher-answer"),
        ("a later format", watcher(|_| plain(200, "", r#"{"format_version": "2.0"}"#)), 1, "speaks another format"),
        ("half an answer", watcher(move |_| cut()), 8, "watcher-unreachable"),
        ("no answer at all", watcher(|_| raw(Vec::new())), 8, "watcher-unreachable"),
        ("a redirect", watcher(move |_| plain(307, &to, "{}")), 1, "redirect"),
        ("no token", watcher(|_| plain(401, "", "send the token")), 4, "wants a token"),
        ("not allowed", watcher(|_| plain(403, "", "only to look")), 4, "only to look"),
        ("not found", watcher(|_| plain(404, "", "{}")), 1, "answered 404"),
        ("overloaded", watcher(|_| plain(503, "", "{}")), 8, "answered 503"),
    ];
    for (name, server, code, word) in &cases {
        for args in [&["status"][..], &["events"], &["retry"]] {
            // What is no status may be an answer without an event.
            if args[0] == "events" && *code == 1 && !word.contains("redirect") && !word.contains("404") {
                continue;
            }
            let ran = ask(server, args);
            assert_eq!(ran.code, Some(*code), "{name} {args:?}: {}{}", ran.stdout, ran.stderr);
            let said = ran.stderr.contains(word) || (args[0] == "retry" && ran.stderr.contains("watcher-answer"));
            assert!(said && ran.stderr.contains("help: "), "{name} {args:?}: {}", ran.stderr);
            assert_eq!(ran.stdout, "", "{name} {args:?}");
        }
    }
    assert!(moved.asked().is_empty(), "a redirect was followed");
    let sandbox = Sandbox::without_repository();
    sandbox.run(["status", "--server", "http://127.0.0.1:1"]).exits(8).warns("cannot be reached");
    sandbox.run(["events"]).exits(8).warns("no-watcher");
    for bad in ["ctl.example", "ftp://x", "http://ann:secret@127.0.0.1:1"] {
        let ran = sandbox.run(["status", "--server", bad]).exits(64).warns("bad-server");
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}

#[test]
fn a_watcher_that_hangs_is_given_up() {
    let server = watcher(|_| Box::new(|_| std::thread::sleep(Duration::from_secs(120))));
    let started = std::time::Instant::now();
    ask(&server, &["retry"]).exits(8).warns("nobody knows whether the order arrived");
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    assert_eq!(server.writes(), 1, "an order is sent once");
}

#[test]
fn a_token_goes_where_it_belongs_and_is_never_shown() {
    let server = watcher(|asked| match asked.head.contains(&format!("Bearer {TOKEN}\r\n")) {
        true => plain(200, "", &status(|s| s["project"] = TOKEN.into())),
        false => plain(401, "", TOKEN),
    });
    let sandbox = Sandbox::without_repository();
    let file = sandbox.root().join("token");
    let path = file.display().to_string();
    write(file.clone(), &format!("{TOKEN}\n"), 0o600);
    let with_env = Sandbox::without_repository().env("CTL_TOKEN", TOKEN);
    for ran in [
        ran(&sandbox, &server, &["status", "--token-file", &path]).exits(0),
        ran(&with_env, &server, &["status", "-o", "json"]).exits(0),
        ran(&Sandbox::without_repository().env("CTL_TOKEN", "other"), &server, &["status"]).exits(4),
    ] {
        assert!(!ran.stderr.contains(TOKEN) || ran.code == Some(4), "{}", ran.stderr);
        assert!(!ran.stdout.contains(TOKEN), "{}", ran.stdout);
    }
    // Nothing leaves for a name that is not this machine's in the clear; nothing is even looked up.
    for command in ["status", "retry"] {
        with_env.run([command, "--server", "http://ctl.example:9090"]).exits(64).warns("plain-http").warns("https://");
    }
    write(file.clone(), TOKEN, 0o644);
    ran(&sandbox, &server, &["status", "--token-file", &path]).exits(7).warns("token-readable").warns("chmod 600");
    write(file.clone(), " \n", 0o600);
    ran(&sandbox, &server, &["status", "--token-file", &path]).exits(64).warns("holds no token");
    write(file, "to\nken", 0o600);
    ran(&sandbox, &server, &["status", "--token-file", &path]).exits(64).warns("bad-token");
    ran(&sandbox, &server, &["status", "--token-file", "/nowhere"]).exits(1).warns("there is no /nowhere");
}

#[test]
fn the_watcher_of_this_project_is_found_by_what_it_wrote_down() {
    let server = watcher(|asked| match asked.head.contains(&format!("Bearer {TOKEN}\r\n")) {
        true => plain(200, "", &well()),
        false => plain(401, "", "send the token"),
    });
    let sandbox = Sandbox::new();
    let dir = folder(&sandbox);
    let address = json!({"url": server.url(), "pid": 4242}).to_string();
    write(dir.join("address"), &address, 0o600);
    write(dir.join("token"), TOKEN, 0o600);
    sandbox.run(["status"]).exits(0).says("shop: 1 target, 1 ok");
    sandbox.write("deep/in/here.txt", "");
    sandbox.run(["status", "-C", "deep/in"]).exits(0).says("shop: 1 target, 1 ok");
    // Its token is for it alone.
    let other = standing(well());
    ran(&sandbox, &other, &["status"]).exits(0);
    assert!(!other.heard("CANARY"), "{:?}", other.asked());
    write(dir.join("address"), &address, 0o666);
    sandbox.run(["status"]).exits(7).warns("token-readable");
    write(dir.join("address"), "http://", 0o600);
    sandbox.run(["status"]).exits(1).warns("bad-server");
}

#[test]
fn without_its_watcher_the_status_is_computed() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox
        .run(["status"])
        .exits(3)
        .says("shop: 1 target, 1 ok · 2 pending")
        .says("computed, nobody watches")
        .says("+ create shop:thing/a  waiting, manifests/a.yaml:3:")
        .warns("No watcher answers here");
    assert_eq!(fake.writes(), 0, "a status writes nothing");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.run(["status"]).exits(0).says("shop   ok");
    sandbox.run(["status", "shop:thing/a"]).exits(0).says("shop:thing/a: in sync, as manifests/a.yaml:4:");
    sandbox.run(["status", "shop:thing/none"]).exits(1).warns("neither declared nor recorded");
    fake.put("a", json!({"name": "a", "size": 7}));
    sandbox
        .run(["status", "shop:thing/a"])
        .exits(3)
        .says("~ update shop:thing/a  waiting, manifests/a.yaml:4:")
        .says("differs   /size 7 → 1 (it was changed at the target)");
    sandbox.run(["status", "shop:thing/b"]).exits(0).says("in sync");
    let document = sandbox.run(["status", "-o", "json", "-q"]).exits(3).json();
    assert_eq!(document["mode"], "once");
    assert_eq!(document["targets"][0]["update"], 1);
    assert_eq!(document["targets"][0]["unchanged"], 1);
    assert_eq!(document["targets"][0]["version"]["number"], 1);
    // A watcher that wrote its address down and died is named, and no reason to know nothing.
    write(folder(&sandbox).join("address"), r#"{"url": "http://127.0.0.1:1", "pid": 4242}"#, 0o600);
    sandbox.run(["status"]).exits(3).says("1 pending").warns("watcher-unreachable").warns("process 4242");
    sandbox.run(["retry"]).exits(8).warns("watcher-unreachable");
}

#[test]
fn what_is_computed_has_the_plans_exit_codes() {
    // Somebody who is away is asked several times, with pauses: the two wait side by side.
    std::thread::scope(|all| {
        for (args, text) in [
            (&["status"][..], &["shop failing[unreachable]", "2 unknown"][..]),
            (&["status", "shop:thing/a"], &["nothing is known to be pending, but:"]),
        ] {
            all.spawn(move || {
                let ran = project("http://127.0.0.1:1", "").watched(args).stays_small().exits(8);
                let _ = text.iter().fold(ran, |ran, text| ran.says(text));
            });
        }
    });
    let denied = Fake::scripted(|_| Some(plain(403, "", "{}")));
    project(&denied.url(), "").run(["status"]).exits(4).says("failing[not-allowed]");
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    for i in 0..10 {
        sandbox.write(&format!("manifests/x{i}.yaml"), &thing(&format!("x{i}"), "size: 1"));
    }
    sandbox.commit("ten more");
    sandbox.run(["apply", "--yes"]).exits(0);
    for i in 0..10 {
        sandbox.remove(&format!("manifests/x{i}.yaml"));
    }
    sandbox.commit("none of them");
    sandbox
        .run(["status"])
        .exits(7)
        .says("refused[deletes]: shop")
        .says("- delete shop:thing/x0  refused")
        .says("10 pending");
    sandbox.write("manifests/a.yaml", "not: [yaml").commit("broken");
    sandbox.run(["status"]).exits(6);
}

#[test]
fn orders_say_what_was_asked_for_once() {
    let server = standing(well());
    ask(&server, &["retry"]).exits(0).says("it is tried again\n");
    ask(&server, &["retry", "-t", "dns*"]).exits(0);
    ask(&server, &["suspend", "--for", "2h", "--reason", " upgrade "]).exits(0);
    ask(&server, &["suspend", "-t", "dns"]).exits(0);
    ask(&server, &["resume", "-t", "dns"]).exits(0);
    ask(&server, &["rollback", "3", "--yes"]).exits(0).warns("shop: from nothing back to version 3");
    ask(&server, &["rollback", "shop@4", "-y"]).exits(0);
    ask(&server, &["approve", &"Ab".repeat(32)]).exits(0);
    ask(&server, &["approve", &"ab".repeat(32), "--for", "10m"]).exits(0);
    let answer = ask(&server, &["retry", "-o", "json"]).exits(0).json();
    assert_eq!((&answer["format_version"], &answer["accepted"]), (&json!("1.0"), &json!(true)));
    let orders: Vec<Value> = server
        .asked()
        .iter()
        .filter(|a| a.method == "POST")
        .inspect(|a| {
            assert!(a.path == "/v1/orders" && a.head.to_lowercase().contains("content-type: application/json"))
        })
        .map(|a| serde_json::from_slice(&a.body).unwrap())
        .collect();
    let sum = "ab".repeat(32);
    assert_eq!(
        orders,
        [
            json!({"order": "retry", "target": null}),
            json!({"order": "retry", "target": "dns*"}),
            json!({"order": "suspend", "target": null, "seconds": 7200, "reason": "upgrade"}),
            json!({"order": "suspend", "target": "dns", "seconds": null, "reason": null}),
            json!({"order": "resume", "target": "dns"}),
            json!({"order": "rollback", "target": "shop", "version": 3}),
            json!({"order": "rollback", "target": "shop", "version": 4}),
            json!({"order": "approve", "checksum": sum, "seconds": 3600}),
            json!({"order": "approve", "checksum": sum, "seconds": 600}),
            json!({"order": "retry", "target": null}),
        ]
    );
}

#[test]
fn an_order_that_is_not_carried_out_is_a_conflict() {
    let no = r#"{"accepted": false, "message": "another watcher leads at shop", "help": "ask that one"}"#;
    for code in [409, 200] {
        let server = watcher(move |asked| match asked.method.as_str() {
            "GET" => plain(200, "", &well()),
            _ => plain(code, "", no),
        });
        ask(&server, &["retry"]).exits(5).warns("another watcher leads at shop").warns("help: ask that one");
        let answer = ask(&server, &["retry", "-o", "json"]).exits(5).json();
        assert_eq!(answer["accepted"], json!(false));
    }
}

#[test]
fn an_order_that_makes_no_sense_is_not_sent() {
    let server = standing(status(|s| {
        let second = s["targets"][0].clone();
        s["targets"].as_array_mut().unwrap().push(second);
        s["targets"][1]["target"] = "dns".into();
    }));
    let long = "x".repeat(501);
    for (args, code, word) in [
        (&["rollback", "shop"][..], 64, "is not a version"),
        (&["rollback", "shop@0"], 64, "is not a version"),
        (&["rollback", "3", "--yes"], 64, "several targets"),
        (&["rollback", "mq@3", "--yes"], 64, "has no target `mq`"),
        (&["rollback", "shop@3"], 7, "no-consent"),
        (&["approve", "abc"], 64, "bad-checksum"),
        (&["approve", "not-hexadecimal"], 64, "bad-checksum"),
        (&["approve", "abcdef01"], 5, "not-refused"),
        (&["approve", "abcdef01", "--for", "0s"], 64, "at least a second"),
        (&["suspend", "--for", "500ms"], 64, "at least a second"),
        (&["suspend", "--for", "soon"], 64, "write a duration"),
        (&["suspend", "--reason", &long], 64, "bad-order"),
    ] {
        ask(&server, args).exits(code).warns(word);
    }
    assert_eq!(server.writes(), 0, "{:?}", server.asked());
}

#[test]
fn eight_digits_name_the_plan_that_is_refused() {
    let sum = format!("0badcafe{}", "1".repeat(56));
    let shown = sum.clone();
    let server = standing(status(move |s| {
        s["targets"][0]["checksum"] = shown.as_str().into();
        s["targets"][0]["refusals"] =
            json!([{"gate": "deletes", "message": "4 of 10", "help": "", "approvable": true}]);
    }));
    ask(&server, &["status"]).says(&format!("`ctl approve {sum}` lets this very plan through"));
    ask(&server, &["approve", "0badcafe"]).exits(0);
    assert!(server.heard(&format!("\"checksum\":\"{sum}\"")), "{:?}", server.asked());
}

#[test]
fn a_rollback_shows_from_which_commit_to_which() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let first = sandbox.git(["rev-parse", "HEAD"]);
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/a.yaml", &thing("a", "size: 9"));
    let second = sandbox.commit("nine");
    sandbox.run(["apply", "--yes"]).exits(0);
    let commit = second.clone();
    let server = standing(status(move |s| {
        s["targets"][0]["version"] = json!({"number": 2, "commit": commit, "result": "done"});
    }));
    ran(&sandbox, &server, &["rollback", "shop@1", "--yes"]).exits(0).warns(&format!(
        "shop: from {} (version 2) back to {} (version 1, done, ",
        &second[..10],
        &first[..10]
    ));
}

fn entry(seq: u64, target: &str, message: &str) -> String {
    json!({
        "seq": seq, "time": "2026-11-22T03:04:05Z", "level": "info", "event": "wrote", "target": target,
        "message": message, "more": 1,
    })
    .to_string()
        + "\n"
}

#[test]
fn events_are_told_as_they_happened() {
    let server = watcher(|_| {
        let general = json!({"seq": 3, "time": "t", "level": "error", "event": "source-away", "message": "no route"});
        let lines =
            [entry(1, "dns", "one"), entry(2, "mq", "two\u{1b}[2J\nforged"), format!("{general}\n\nnonsense\n")];
        plain(200, "", &lines.concat())
    });
    let all = ask(&server, &["events"]).exits(0).warns("1 lines are not events");
    assert_eq!(
        all.stdout,
        "2026-11-22T03:04:05Z info  wrote dns one\n\
         2026-11-22T03:04:05Z info  wrote mq two\\u{1b}[2J\\u{a}forged\n\
         t error source-away no route\n"
    );
    let some = ask(&server, &["events", "-t", "d*", "--since", "10m", "-q"]).exits(0);
    assert_eq!(some.stdout.lines().count(), 2, "what concerns all of them is shown too: {}", some.stdout);
    let json = ask(&server, &["events", "--since", "17", "-o", "json"]).exits(0).stdout;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["seq"], &first["more"]), (&json!(1), &json!(1)));
    let paths: Vec<String> = server.asked().into_iter().map(|a| a.path).collect();
    assert_eq!(paths, ["/v1/events?since=0", "/v1/events?since=600s", "/v1/events?since=17"]);
    ask(&server, &["events", "--since", "yesterday"]).exits(64);
}

/// Starts a command that does not end by itself, reads so many lines, interrupts it and gives lines and exit code.
fn until(sandbox: &Sandbox, args: &[&str], count: usize) -> (Vec<String>, Option<i32>) {
    let mut child = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let mut seen = Vec::new();
    while seen.len() < count {
        match receive.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => seen.push(line),
            Err(_) => break,
        }
    }
    interrupt(&child);
    let code = child.wait().unwrap().code();
    seen.extend(receive.iter());
    (seen, code)
}

#[test]
fn following_goes_on_after_a_lost_connection_and_after_a_new_start() {
    let streams = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&streams);
    let server = watcher(move |asked| {
        if asked.path == "/v1/status" {
            // The watcher is another one after the second stream.
            let late = count.load(Ordering::SeqCst) >= 2;
            return plain(200, "", &status(|s| s["started"]["time"] = (NOW + i64::from(late) * 900).into()));
        }
        let (text, hold) = match count.fetch_add(1, Ordering::SeqCst) {
            0 => (entry(1, "dns", "one") + &entry(2, "dns", "two"), 0),
            // What was told already comes again; the second line breaks off.
            1 => (entry(2, "dns", "two") + &entry(3, "dns", "three") + "{\"seq\": 4, \"ti", 0),
            _ => (entry(1, "dns", "anew"), 15),
        };
        Box::new(move |stream| {
            use std::io::Write as _;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{head}{text}").as_bytes());
            let _ = stream.flush();
            std::thread::sleep(Duration::from_secs(hold));
        })
    });
    let sandbox = Sandbox::without_repository();
    let url = server.url();
    let (lines, code) = until(&sandbox, &["events", "--follow", "--server", &url], 4);
    let words: Vec<&str> = lines.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(words, ["one", "two", "three", "anew"], "each once, in order");
    assert_eq!(code, Some(130));
    let asked: Vec<String> = server.asked().into_iter().map(|a| a.path).filter(|p| p.contains("events")).collect();
    assert_eq!(asked, ["/v1/events?since=0&follow=1", "/v1/events?since=2&follow=1", "/v1/events?since=0&follow=1"]);
}

#[test]
fn watching_prints_again_only_what_changed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = watcher(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        plain(
            200,
            "",
            &status(|s| {
                s["started"]["age"] = (600 + n).into();
                s["targets"][0]["last_cycle"]["time"] = (NOW + i64::try_from(n).unwrap()).into();
                if n >= 2 {
                    s["targets"][0]["endpoints"][0]["state"] = "failing".into();
                }
            }),
        )
    });
    let url = server.url();
    let sandbox = Sandbox::without_repository();
    let (lines, code) = until(&sandbox, &["status", "--watch", "-o", "json", "--server", &url], 2);
    assert_eq!((lines.len(), code), (2, Some(130)), "{lines:#?}");
    let states: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["targets"][0]["endpoints"][0]["state"].clone())
        .collect();
    assert_eq!(states, ["ok", "failing"]);
    assert!(asked.load(Ordering::SeqCst) >= 3, "what did not change was not printed");
}
