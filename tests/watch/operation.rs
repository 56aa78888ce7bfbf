//! A watcher at work and in the hands of people: what it does by itself, what it does when told, and how it ends.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use sha2::Digest as _;

use crate::http;
use crate::shop::{SOON, Served, Shop, only, place, service};
use crate::within;

const FAST: &[&str] = &["--interval", "1s"];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of a body, as GitHub sends it.
fn signed(secret: &str, body: &str) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("X-Hub-Signature-256: sha256={}\r\n", hex(&mac.finalize().into_bytes()))
}

#[test]
fn a_commit_here_is_applied_at_once_and_drift_at_the_next_look() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let commit = shop.services(&["a", "b"], 80).commit();
    shop.watch(&["--interval", "60s"]);
    shop.converged(&commit);
    // Nobody waits for the interval.
    let began = Instant::now();
    let commit = shop.services(&["a"], 81).commit();
    shop.converged(&commit);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(served.field("a", "port"), Some(81.into()));
    // What is done is not counted as if it were still to be done.
    shop.until("all is done, and counted so", |status| {
        let target = only(status);
        let counts = ["delete", "create", "update", "unchanged"].map(|name| target[name].as_u64().unwrap());
        counts == [0, 0, 0, 2] && target["version"]["number"] == 2
    });
    served.meddle("b", 9999);
    shop.order(&["retry"]).exits(0);
    within(SOON, "drift is corrected", || (served.field("b", "port") == Some(80.into())).then_some(()));
    shop.until("no more is to be done", |status| {
        only(status)["running"] == false && only(status)["pending_total"] == 0
    });
    assert_eq!(shop.told("drift", 1).len(), 1);
    shop.stands(&["status"], 0, "");
    assert_eq!(shop.terminate().code(), Some(0));
    shop.ctl(&["history", &shop.repository().display().to_string()]).exits(0).says("2");
}

#[test]
fn a_remote_commit_comes_with_the_interval_and_sooner_with_a_webhook() {
    let served = Served::honest();
    let mut shop = Shop::there(&[("edge", &served)]);
    let secret = shop.folder().join("secret");
    std::fs::write(&secret, "hook-CANARY-4411\n").unwrap();
    let first = shop.services(&["a"], 80).commit();
    shop.watch(&["--interval", "60s", "--webhook-secret-file", secret.to_str().unwrap()]);
    shop.converged(&first);
    let next = shop.services(&["a"], 81).commit();
    let body = r#"{"ref": "refs/heads/nothing", "after": "0000000000000000000000000000000000000000"}"#;
    assert_eq!(http::hook(shop.address(), &signed("wrong", body), body), Some(401));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(shop.until("an answer", |_| true)["source"]["commit"], first, "a forged one calls for nothing");
    let began = Instant::now();
    assert!(http::hook(shop.address(), &signed("hook-CANARY-4411", body), body).is_some_and(|status| status < 300));
    shop.converged(&next);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(!shop.said().contains("CANARY"), "{}", shop.said());
}

#[test]
fn once_does_one_cycle_and_its_exit_code_says_how_it_went() {
    let mut served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    shop.services(&["a"], 80).commit();
    let source = shop.repository().display().to_string();
    shop.ctl(&["watch", &source, "--once", "--dry-run"]).exits(0);
    assert!(served.names().is_empty(), "a dry run writes nothing");
    shop.ctl(&["watch", &source, "--once"]).exits(0);
    assert_eq!(served.names(), ["a"]);
    shop.ctl(&["watch", &source, "--once"]).exits(0);
    for name in ["b", "c"] {
        let bad = service(name, 80).replace("port: 80", "port: eighty");
        shop.write(&format!("manifests/{name}.yaml"), &bad);
    }
    shop.services(&["d"], 80).commit();
    shop.ctl(&["watch", &source, "--once"]).exits(3);
    assert_eq!(served.names(), ["a", "d"], "the others went on");
    for name in ["a", "b", "c", "d"] {
        shop.remove(&format!("manifests/{name}.yaml"));
    }
    shop.write("manifests/.keep", "").commit();
    // A source that wants nothing is a source that cannot be believed.
    shop.ctl(&["watch", &source, "--once"]).exits(3);
    assert_eq!(served.names(), ["a", "d"]);
    shop.services(&["a", "d"], 80).write("manifests/e.yaml", "kind: [").commit();
    shop.ctl(&["watch", &source, "--once"]).exits(3).says("quarantined");
    shop.remove("manifests/e.yaml").commit();
    shop.ctl(&["watch", &source, "--once"]).exits(0);
    served.kill();
    shop.ctl(&["watch", &source, "--once"]).exits(8);
    let nowhere = shop.folder().join("nowhere").display().to_string();
    let code = shop.ctl(&["watch", &nowhere, "--once"]).code;
    assert_ne!(code, Some(0), "a source that is not there is no success");
}

#[test]
fn a_dry_run_reports_drift_and_writes_nothing() {
    let served = Served::with(&["--debug-counters"]);
    let mut shop = Shop::here(&[("edge", &served)]);
    shop.services(&["a", "b"], 80).commit();
    let source = shop.repository().display().to_string();
    shop.ctl(&["apply", &source, "--yes"]).exits(0);
    let writes = |served: &Served| {
        served.counts().into_iter().filter(|(what, _)| !what.starts_with("GET")).map(|(_, n)| n).sum::<u64>()
    };
    served.meddle("a", 9999);
    let before = writes(&served);
    shop.watch(&["--interval", "1s", "--dry-run"]);
    let status =
        shop.until("drift is reported", |status| only(status)["pending_total"] == 1 && only(status)["update"] == 1);
    assert_eq!(status["mode"], "dry-run");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(writes(&served), before);
    assert_eq!(served.field("a", "port"), Some(9999.into()));
    shop.measures("ctl_drift_total", &[], |all| all >= 1.0);
    for event in ["drift", "cycled"] {
        assert_eq!(shop.told(event, 1).len(), 1, "said once, not at every look: {}", shop.said());
    }
}

#[test]
fn people_suspend_and_resume_and_their_orders_outlive_the_process() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let commit = shop.services(&["a"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    shop.order(&["suspend", "--reason", "the freeze"]).exits(0);
    shop.until("suspended", |status| place(status)["state"] == "suspended");
    let commit = shop.services(&["a"], 81).commit();
    shop.until("it sees the commit", |status| status["source"]["commit"] == commit);
    shop.kill();
    shop.restart();
    let status = shop
        .until("still suspended", |status| place(status)["state"] == "suspended" && only(status)["pending_total"] == 1);
    assert_eq!(only(&status)["suspended"]["reason"], "the freeze", "{status}");
    assert_eq!(served.field("a", "port"), Some(80.into()));
    shop.stands(&["status"], 3, "the freeze");
    shop.order(&["resume"]).exits(0);
    shop.converged(&commit);
    assert_eq!(served.field("a", "port"), Some(81.into()));
    // And for a while only.
    let began = Instant::now();
    shop.order(&["suspend", "--for", "3s"]).exits(0);
    let commit = shop.services(&["a"], 82).commit();
    shop.converged(&commit);
    assert!(began.elapsed() >= Duration::from_secs(2), "nothing is written before the time is over");
    assert_eq!(served.field("a", "port"), Some(82.into()));
    shop.told("ordered", 2);
}

#[test]
fn a_rollback_holds_until_it_is_resumed_over_a_restart_too() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let first = shop.services(&["a"], 80).commit();
    shop.watch(FAST);
    shop.converged(&first);
    let second = shop.services(&["a", "b"], 81).commit();
    shop.converged(&second);
    shop.order(&["rollback", "edge@1", "--yes", "--reason", "b is slow"]).exits(0);
    within(SOON, "it is back at the first", || {
        (served.names() == ["a"] && served.field("a", "port") == Some(80.into())).then_some(())
    });
    let held = |status: &Value| only(status)["held_at"] == first.as_str() && only(status)["pending_total"] == 0;
    shop.until("held", |status| held(status) && only(status)["version"]["commit"] == first.as_str());
    let third = shop.services(&["a"], 82).commit();
    shop.until("it sees the new commit", |status| status["source"]["commit"] == third);
    shop.kill();
    shop.restart();
    let status = shop.until("still held", |status| held(status) && status["source"]["commit"] == third.as_str());
    assert_eq!(only(&status)["held"]["reason"], "b is slow");
    assert!(shop.order(&["status"]).stdout.contains("(b is slow)"));
    served.meddle("a", 9999);
    within(SOON, "drift is corrected to the old one", || (served.field("a", "port") == Some(80.into())).then_some(()));
    shop.order(&["resume"]).exits(0);
    shop.converged(&third);
    assert_eq!((served.names(), served.field("a", "port")), (vec!["a".to_owned(), "b".to_owned()], Some(82.into())));
}

#[test]
fn a_rollback_finds_its_version_where_the_record_is_now() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let first = shop.services(&["a"], 80).commit();
    shop.watch(FAST);
    shop.converged(&first);
    let project = std::fs::read_to_string(shop.repository().join("ctl.yaml")).unwrap();
    shop.write("ctl.yaml", &format!("{project}record: {{refs: refs/heads/ctl/}}\n"));
    let second = shop.services(&["a"], 81).commit();
    let status = shop.converged(&second);
    assert_eq!(only(&status)["version"]["number"], 1, "its record begins anew");
    shop.order(&["rollback", "edge@1", "--yes"]).exits(0);
    shop.until("held", |status| only(status)["held_at"] == second.as_str());
    assert_eq!(served.field("a", "port"), Some(81.into()));
}

#[test]
fn a_mass_delete_waits_for_approval_of_this_very_plan() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let names: Vec<String> = (0..12).map(|at| format!("s{at:02}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let commit = shop.services(&all, 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    let refused = |shop: &Shop, deletes: u64| {
        let status =
            shop.until("refused", |status| place(status)["state"] == "refused" && only(status)["delete"] == deletes);
        let gate = &only(&status)["refusals"][0];
        assert_eq!(gate["gate"], "deletes");
        let help = gate["help"].as_str().unwrap().to_owned();
        assert!(!help.contains("--allow"), "{help}");
        help.split("ctl approve ").nth(1).unwrap().split('`').next().unwrap().to_owned()
    };
    for name in &names[..6] {
        shop.remove(&format!("manifests/{name}.yaml"));
    }
    shop.commit();
    let old = refused(&shop, 6);
    shop.stands(&["status"], 7, "ctl approve");
    // What waits for a person is said once.
    shop.falls_silent(Duration::from_secs(3));
    shop.remove("manifests/s06.yaml").commit();
    let new = refused(&shop, 7);
    assert_ne!(old, new);
    // Approval of a plan that is not there any more is none.
    assert_ne!(shop.order(&["approve", &old]).code, Some(0));
    assert_eq!(served.names().len(), 12);
    shop.order(&["approve", &new]).exits(0);
    within(SOON, "they are deleted", || (served.names() == all[7..]).then_some(()));
    shop.until("well", |status| place(status)["state"] == "ok" && only(status)["delete"] == 0);
}

#[test]
fn sigterm_lets_what_is_in_flight_end_and_sigkill_is_settled() {
    let mut served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let commit = shop.services(&["a"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    let names: Vec<String> = (0..80).map(|at| format!("n{at:02}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    served.again(&["--faults", "slow=1s"]);
    shop.services(&all, 80).commit();
    within(SOON, "it writes", || (served.names().len() > 1).then_some(()));
    let began = Instant::now();
    assert_eq!(shop.terminate().code(), Some(0), "{}", shop.said());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // What was sent is in the record: nothing is created twice, nothing in doubt.
    let there = served.names();
    served.again(&[]);
    let source = shop.repository().display().to_string();
    let plan = shop.ctl(&["plan", &source, "-o", "json"]).exits(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["summary"]["create"].as_u64().unwrap() as usize, names.len() + 1 - there.len());
    assert_eq!(plan["summary"]["adopt"], 0, "what was created is known as ours");
    shop.ctl(&["record", "verify", &source]).exits(0);

    served.again(&["--faults", "slow=500ms"]);
    shop.restart();
    within(SOON, "it writes", || (served.names().len() > there.len()).then_some(()));
    shop.kill();
    served.again(&[]);
    let commit = shop.services(&["a"], 81).commit();
    shop.restart();
    shop.converged(&commit);
    assert_eq!(served.names().len(), names.len() + 1);
    shop.ctl(&["plan", &source, "--detailed-exitcode"]).exits(0);
    shop.ctl(&["record", "verify", &source]).exits(0);
}

fn digest(path: &Path) -> String {
    hex(&sha2::Sha256::digest(std::fs::read(path).unwrap()))
}

#[test]
fn a_rotated_credential_is_taken_up_with_sighup_and_no_secret_shows() {
    let folder = tempfile::TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "tok-CANARY-old-1\n").unwrap();
    let flag = token.display().to_string();
    let mut served = Served::with(&["--token-file", &flag]);
    let mut shop = Shop::here(&[("edge", &served)]);
    shop.project(&[("edge", &served)], "    credentials: edge\n");
    let mine = shop.folder().join("mine");
    std::fs::write(&mine, "tok-CANARY-old-1\n").unwrap();
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/api.yaml");
    let address = served.address();
    let operator = |file: &Path, label: &str| {
        format!(
            "# {label}\ncredentials:\n  edge:\n    hosts: [\"http://{}\"]\n    bearer: {{file: {}}}\n    api: sha256:{}\n    \
             grant: [{{project: shop, kinds: [service]}}]\n",
            address,
            file.display(),
            digest(&api)
        )
    };
    shop.operator(&operator(&mine, "old"));
    let commit = shop.services(&["a"], 80).commit();
    shop.watch(&["--interval", "2s"]);
    shop.converged(&commit);

    // The server takes another token from now on.
    std::fs::write(&token, "tok-CANARY-new-2\n").unwrap();
    served.again(&["--token-file", &flag]);
    // While it starts again there may be nobody to refuse.
    let status = shop.until("it is not let in", |status| {
        place(status)["state"] == "failing" && place(status)["code"] == "not-allowed"
    });
    assert!(place(&status)["why"].as_str().is_some_and(|why| !why.is_empty()), "{status}");
    let next = shop.folder().join("next");
    std::fs::write(&next, "tok-CANARY-new-2\n").unwrap();
    shop.operator(&operator(&next, "new"));
    shop.signal(Signal::HUP);
    let status = shop.until("it is let in again", |status| place(status)["state"] == "ok");
    let commit = shop.services(&["a"], 81).commit();
    shop.converged(&commit);
    let page = shop.page("/metrics").unwrap().1;
    for text in [shop.said(), status.to_string(), page, shop.order(&["events"]).exits(0).stdout] {
        assert!(!text.contains("CANARY"), "{text}");
    }
}

#[test]
fn an_idle_watcher_says_nothing_and_asks_with_a_condition_only() {
    let served = Served::with(&["--debug-counters"]);
    let mut shop = Shop::here(&[("edge", &served)]);
    let commit = shop.services(&["a", "b"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    // One look after the writing, then it rests.
    shop.until("it asks with a condition", |status| {
        let request = &place(status)["last_request"];
        request["method"] == "GET" && request["status"] == 304
    });
    let lines = shop.falls_silent(Duration::from_secs(3));
    let cycles = |shop: &Shop| shop.metrics().sum("control_plane_reconciliation_seconds_count", &[]).unwrap();
    // What is counted lies within the cycles that are counted, but for one that is under way at the end.
    let begun = cycles(&shop);
    let before = served.counts();
    within(SOON * 2, "ten cycles", || (cycles(&shop) >= begun + 10.0).then_some(()));
    let after = served.counts();
    let rounds = cycles(&shop) - begun;
    assert_eq!(shop.log().len(), lines, "{}", shop.said());
    let more: u64 = after.iter().map(|(what, count)| count - before.get(what).unwrap_or(&0)).sum();
    assert!(after.keys().all(|what| what.starts_with("GET") || before.contains_key(what)), "{after:?}");
    assert!(more as f64 <= rounds + 1.0, "{more} requests in {rounds} cycles: {before:?} {after:?}");
    // All lines are events, numbered one after the other.
    let log = shop.log();
    assert!(log.iter().all(|event| event["event"].is_string() && event["level"].is_string()));
    crate::prometheus::lint(&shop.page("/metrics").unwrap().1);
}

#[test]
fn whoever_keeps_a_watcher_busy_does_not_make_it_look_dead() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let commit = shop.services(&["a"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    // A hundred who begin a request and say no more.
    let idle: Vec<_> = (0..100)
        .map(|_| {
            use std::io::Write as _;
            let mut stream = std::net::TcpStream::connect(shop.address()).unwrap();
            stream.write_all(b"POST /hook HTTP/1.1\r\nHost: x\r\n").unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    for path in ["/livez", "/readyz", "/metrics", "/v1/status"] {
        assert_eq!(shop.page(path).map(|(status, _)| status), Some(200), "{path}");
    }
    // Whoever waited for one of them would wait ten seconds.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop(idle);
}

/// A server that answers everything with no, and with all that it was sent.
fn echo() -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&request[..length]));
        }
    });
    address
}

#[test]
fn a_secret_that_a_server_sends_back_is_shown_nowhere() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let address = echo();
    let text = format!(
        "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\n\
         targets:\n  edge: {{api: ctl, url: \"http://{address}\", credentials: edge}}\n"
    );
    shop.write("ctl.yaml", &text);
    let token = shop.folder().join("token");
    std::fs::write(&token, "tok-CANARY-echo-7\n").unwrap();
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/api.yaml");
    shop.operator(&format!(
        "credentials:\n  edge:\n    hosts: [\"http://{address}\"]\n    bearer: {{file: {}}}\n    api: sha256:{}\n    \
         grant: [{{project: shop, kinds: [service]}}]\n",
        token.display(),
        digest(&api)
    ));
    shop.services(&["a"], 80).commit();
    shop.watch(FAST);
    let status = shop.until("it is not let in", |status| place(status)["last_request"]["answer"].is_string());
    let answer = place(&status)["last_request"]["answer"].as_str().unwrap();
    assert!(answer.to_lowercase().contains("authorization: bearer"), "the answer is shown: {answer}");
    std::thread::sleep(Duration::from_secs(3));
    let kept: String = std::fs::read_dir(shop.kept())
        .unwrap()
        // One that is written anew is away for a moment under its draft's name.
        .filter_map(|entry| Some(String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).ok()?).into_owned()))
        .collect();
    let pages = ["/metrics", "/v1/status", "/v1/events", "/readyz", "/"].map(|path| shop.page(path).unwrap().1);
    for text in
        pages.into_iter().chain([shop.said(), kept, shop.order(&["status"]).stdout, shop.order(&["events"]).stdout])
    {
        assert!(!text.contains("CANARY"), "{text}");
    }
}
