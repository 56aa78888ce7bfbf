//! What a watcher does while parts of its world are away, lie, or are wrong: goes on with what it knows, deletes nothing
//! that it is not sure of, says so, and catches up by itself.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::githttp::Mood;
use crate::shop::{SOON, Served, Shop, only, place, service};
use crate::within;

const FAST: &[&str] = &["--interval", "1s"];

/// Three services, applied from a repository behind HTTP.
fn watched(served: &Served) -> (Shop, String) {
    let mut shop = Shop::there(&[("edge", served)]);
    let commit = shop.services(&["a", "b", "c"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    (shop, commit)
}

/// The last known good state is in force: drift is corrected, nothing is deleted, and everybody is told.
#[track_caller]
fn carries_on(shop: &Shop, served: &Served, commit: &str, name: &str, why: &str) -> Value {
    let status = shop.until(&format!("it says that its source is away ({why})"), |status| {
        let said = status["source"]["why"].as_str().is_some_and(|said| said.contains(why));
        said && status["source"]["stale"] == true && place(status)["state"] == "stale-source"
    });
    assert_eq!(status["source"]["commit"], commit, "{why}");
    assert!(status["source"]["fresh"]["age"].is_u64(), "{why}: {status}");
    assert!(status["source"]["help"].is_string(), "no help: {status}");
    served.meddle(name, 9999);
    within(SOON, "drift is corrected", || (served.field(name, "port") == Some(80.into())).then_some(()));
    assert_eq!(served.names(), ["a", "b", "c"], "{why}");
    shop.until("ready", |status| {
        status["ready"] == true && status["source"]["stale"] == true && status["source"]["help"].is_string()
    })
}

#[test]
fn a_remote_that_fails_in_any_way_leaves_the_last_good_state_in_force() {
    let served = Served::honest();
    let (mut shop, commit) = watched(&served);
    let errors = |shop: &Shop| {
        shop.metrics().sum("control_plane_reconciliation_errors_total", &[("error_type", "source")]).unwrap()
    };
    assert_eq!(errors(&shop), 0.0);
    // Each time another one is changed: a field that is changed again and again would be left alone.
    for (mood, name, why) in [
        (Mood::Close, "a", "fetch"),
        (Mood::Status(401), "b", "password"),
        (Mood::Status(503), "c", "503"),
        (Mood::Cut(40), "a", "fetch"),
    ] {
        shop.remote().http.set(mood);
        let status = carries_on(&shop, &served, &commit, name, why);
        let help = status["source"]["help"].as_str().unwrap();
        assert_eq!(help.contains("credential"), mood == Mood::Status(401), "{help}");
        shop.measures("control_plane_reconciliation_errors_total", &[("error_type", "source")], |all| all >= 1.0);
        // Its age is told, and grows.
        shop.measures("ctl_snapshot_age_seconds", &[], |age| age >= 1.0);
        let stale = [("target", "edge"), ("state", "stale-source")];
        shop.measures("ctl_target_state", &stale, |is| is == 1.0);
        shop.stands(&["status"], 3, "stale-source");
        let address = format!("http://{}", shop.address());
        shop.ctl(&["status", "--server", &address]).exits(3).says("stale-source");
        shop.remote().http.set(Mood::Honest);
        shop.until("it is back", |status| status["source"]["stale"] == false && place(status)["state"] == "ok");
    }
    // Said once each, not at every look.
    let away = shop.told("source_away", 4).len();
    assert!((4..=8).contains(&away), "{away} lines");
    let next = shop.services(&["d"], 80).commit();
    shop.converged(&next);
    assert_eq!(served.names(), ["a", "b", "c", "d"]);
}

#[test]
fn an_emptied_repository_and_a_deleted_branch_delete_nothing() {
    let served = Served::honest();
    let (mut shop, commit) = watched(&served);
    shop.remote().delete_branch();
    carries_on(&shop, &served, &commit, "a", "no commit");
    shop.remote().repack();
    carries_on(&shop, &served, &commit, "b", "no commit");
    shop.remote().empty();
    carries_on(&shop, &served, &commit, "c", "no ctl.yaml");
    // Only the manifests are gone.
    for name in ["a", "b", "c"] {
        shop.remove(&format!("manifests/{name}.yaml"));
    }
    shop.write("manifests/.keep", "").commit();
    carries_on(&shop, &served, &commit, "a", "wants nothing at all");
    let back = shop.services(&["a", "b", "c"], 81).commit();
    shop.converged(&back);
}

#[test]
fn a_remote_that_hangs_holds_up_nothing_but_the_fetch() {
    let served = Served::honest();
    let (mut shop, commit) = watched(&served);
    shop.remote().http.set(Mood::Hang);
    // A fetch is under way, and does not end; drift is corrected all the same.
    let before = shop.remote().http.fetches();
    within(SOON, "a fetch hangs", || (shop.remote().http.fetches() > before).then_some(()));
    served.meddle("b", 9999);
    let began = Instant::now();
    within(SOON, "drift is corrected", || (served.field("b", "port") == Some(80.into())).then_some(()));
    // Whoever waited for the fetch would wait a minute.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(shop.until("an answer", |_| true)["source"]["commit"], commit);
    // It leaves in good order, too.
    let began = Instant::now();
    assert_eq!(shop.terminate().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_watcher_that_starts_while_its_source_is_away_falls_back_on_the_good_state() {
    let served = Served::honest();
    let (mut shop, commit) = watched(&served);
    shop.kill();
    shop.remote().http.set(Mood::Close);
    served.meddle("c", 9999);
    shop.restart();
    carries_on(&shop, &served, &commit, "a", "fetch");
    within(SOON, "what went on meanwhile, too", || (served.field("c", "port") == Some(80.into())).then_some(()));

    // One byte of what it kept is another: it is not believed, and nothing is touched.
    shop.kill();
    let good = shop.kept().join("good");
    let mut bytes = std::fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&good, bytes).unwrap();
    served.meddle("c", 9999);
    shop.restart();
    let status = shop.until("it says what is wrong", |status| status["source"]["why"].is_string());
    assert_eq!((&status["source"]["commit"], &status["ready"]), (&Value::Null, &false.into()), "{status}");
    let why = status["source"]["why"].as_str().unwrap();
    assert!(why.contains("good"), "{why}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(served.field("c", "port"), Some(9999.into()), "nothing was written");
    assert_eq!(shop.page("/readyz").map(|(status, _)| status), Some(503));
    assert_eq!(shop.page("/livez").map(|(status, _)| status), Some(200));
    shop.remote().http.set(Mood::Honest);
    shop.converged(&commit);
    assert_eq!(served.names(), ["a", "b", "c"]);
    let next = shop.services(&["a"], 82).commit();
    shop.converged(&next);
}

#[test]
fn a_rewritten_history_asks_before_it_is_followed() {
    let served = Served::honest();
    let (mut shop, before) = watched(&served);
    shop.remove("manifests/c.yaml");
    let rewritten = shop.services(&["a"], 81).rewrite();
    shop.remote().repack();
    let status =
        shop.until("refused", |status| status["source"]["commit"] == rewritten && place(status)["state"] == "refused");
    let gate = &only(&status)["refusals"][0];
    assert_eq!((&gate["gate"], &gate["approvable"]), (&"rewritten-history".into(), &true.into()), "{status}");
    assert!(gate["help"].as_str().unwrap().contains("ctl approve"), "{gate}");
    assert_eq!(served.names(), ["a", "b", "c"]);
    assert_eq!(served.field("a", "port"), Some(80.into()));
    within(SOON, "that history was rewritten, in the log", || {
        shop.events("loaded").iter().any(|event| event["rewritten"] == true).then_some(())
    });
    let sum = only(&status)["checksum"].as_str().unwrap().to_owned();
    shop.order(&["approve", &sum]).exits(0);
    let status = shop.converged(&rewritten);
    assert_eq!(served.names(), ["a", "b"]);
    assert_ne!(only(&status)["version"]["commit"], before);
}

#[test]
fn a_bad_manifest_is_put_aside_and_the_rest_goes_on() {
    let served = Served::honest();
    let (mut shop, _) = watched(&served);
    let cases = [
        ("kind: service\nmetadata: {name: b\n", "yaml-syntax"),
        ("apiVersion: ctl\nkind: servant\nmetadata: {name: b}\nspec: {}\n", "unknown-kind"),
        (&service("a", 80) as &str, "duplicate-resource"),
        (
            "apiVersion: ctl\nkind: route\nmetadata: {name: r}\nspec: {service: nobody, host: h, path: /}\n",
            "broken-reference",
        ),
    ];
    let mut port = 100;
    for (text, code) in cases {
        port += 1;
        shop.write("manifests/b.yaml", text).services(&["c"], port);
        let commit = shop.commit();
        let status = shop.until(&format!("put aside ({code})"), |status| {
            let quarantined = status["source"]["quarantined"].as_array().unwrap();
            status["source"]["commit"] == commit && quarantined.iter().any(|q| q["code"] == code)
        });
        let quarantined = status["source"]["quarantined"].as_array().unwrap();
        let places: Vec<&str> = quarantined.iter().map(|q| q["place"].as_str().unwrap()).collect();
        assert!(places.iter().any(|place| place.starts_with("manifests/b.yaml")), "{places:?}");
        assert!(quarantined.iter().all(|q| q["message"].is_string() && q["code"].is_string()), "{quarantined:?}");
        within(SOON, "the rest goes on", || (served.field("c", "port") == Some(port.into())).then_some(()));
        assert_eq!(served.names(), ["a", "b", "c"], "{code}");
        let errors = [("error_type", "manifest")];
        shop.measures("control_plane_reconciliation_errors_total", &errors, |all| all >= 1.0);
        shop.stands(&["status"], 3, "manifests/b.yaml");
    }
    shop.told("quarantined", 4);
    let mended = shop.services(&["b"], 200).commit();
    let status = shop.converged(&mended);
    assert_eq!(status["source"]["quarantined"].as_array().unwrap().len(), 0);
    shop.told("unquarantined", 1);
    assert_eq!(served.field("b", "port"), Some(200.into()));
    // And what is really taken away goes.
    shop.remove("manifests/b.yaml");
    let commit = shop.commit();
    shop.converged(&commit);
    assert_eq!(served.names(), ["a", "c"]);
}

#[test]
fn an_endpoint_that_is_away_holds_up_nobody_and_is_caught_up() {
    let (mut gone, hung, well) = (Served::honest(), Served::honest(), Served::honest());
    let mut shop = Shop::here(&[("gone", &gone), ("hung", &hung), ("well", &well)]);
    let all = |shop: &mut Shop, port: u16| {
        for target in ["gone", "hung", "well"] {
            let text = service("a", port).replace("{name: a}", &format!("{{name: a, targets: [{target}]}}"));
            shop.write(&format!("manifests/{target}.yaml"), &text);
        }
        shop.commit()
    };
    let commit = all(&mut shop, 80);
    shop.watch(&["--interval", "5s"]);
    shop.converged(&commit);
    let until = |port: u16| {
        let began = Instant::now();
        within(SOON, "the one that is well has it", || (well.field("a", "port") == Some(port.into())).then_some(()));
        began.elapsed()
    };
    let commit = all(&mut shop, 81);
    let with_all = until(81);
    shop.converged(&commit);

    gone.kill();
    hung.stop();
    let mut slowest = Duration::ZERO;
    for port in 82..86 {
        all(&mut shop, port);
        slowest = slowest.max(until(port));
    }
    // Whoever waited for the one that hangs would wait the ten seconds that a request may take.
    assert!(slowest < with_all + Duration::from_secs(8), "{with_all:?} with all, {slowest:?} without");
    let status = shop.until("both are said to be failing", |status| {
        let endpoints = || (0..2).map(|at| &status["targets"][at]["endpoints"][0]);
        endpoints().all(|endpoint| endpoint["state"] == "failing" && endpoint["next"].is_object())
    });
    for at in 0..2 {
        let endpoint = &status["targets"][at]["endpoints"][0];
        assert_eq!(endpoint["code"], "unreachable", "{endpoint}");
        assert!(endpoint["why"].as_str().is_some_and(|why| !why.is_empty()), "{endpoint}");
        assert!(endpoint["help"].is_string() && endpoint["next"].is_object(), "{endpoint}");
    }
    // It is said once, however long it takes.
    shop.falls_silent(Duration::from_secs(6));
    shop.measures("ctl_target_state", &[("target", "gone"), ("state", "failing")], |is| is == 1.0);
    gone.again(&[]);
    hung.cont();
    for server in [&gone, &hung] {
        within(SOON, "caught up", || (server.field("a", "port") == Some(85.into())).then_some(()));
    }
    shop.until("all is well", |status| (0..3).all(|at| status["targets"][at]["endpoints"][0]["state"] == "ok"));
}

#[test]
fn an_endpoint_that_never_answered_has_a_reason() {
    let (mut gone, well) = (Served::honest(), Served::honest());
    gone.kill();
    let mut shop = Shop::here(&[("gone", &gone), ("well", &well)]);
    for target in ["gone", "well"] {
        let text = service("a", 80).replace("{name: a}", &format!("{{name: a, targets: [{target}]}}"));
        shop.write(&format!("manifests/{target}.yaml"), &text);
    }
    shop.commit();
    shop.watch(FAST);
    within(SOON, "the other one has it", || well.names().contains(&"a".to_owned()).then_some(()));
    let status = shop.until("failing", |status| place(status)["state"] == "failing");
    let why = place(&status)["why"].as_str().unwrap_or_default();
    assert!(!why.is_empty() && place(&status)["code"] == "unreachable", "{}", place(&status));
    shop.stands(&["status", "gone"], 8, "unreachable");
    gone.again(&[]);
    within(SOON, "caught up", || gone.names().contains(&"a".to_owned()).then_some(()));
}

#[test]
fn a_resource_that_is_refused_waits_and_another_commit_is_tried_at_once() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let bad = service("b", 80).replace("port: 80", "port: eighty");
    shop.services(&["a"], 80).write("manifests/b.yaml", &bad).commit();
    shop.watch(FAST);
    let status = shop.until("it was refused more than once", |status| {
        let attempts = only(status)["pending"][0]["attempts"].as_u64();
        attempts.is_some_and(|attempts| attempts >= 5) && place(status)["state"] == "failing"
    });
    let pending = &only(&status)["pending"][0];
    assert_eq!(pending["address"], "edge:service/b", "{pending}");
    assert!(pending["next"].is_object() && pending["why"].is_string(), "{pending}");
    assert!(pending["source"].as_str().unwrap().starts_with("manifests/b.yaml"), "{pending}");
    assert_eq!(served.names(), ["a"], "the other one is there");
    // It is failing all the while, and not well between two tries.
    let states = shop.events("state_changed");
    assert!(states.iter().all(|event| event["to"] == "failing"), "{states:?}");
    let why = shop.order(&["status", "edge:service/b"]);
    why.says("manifests/b.yaml").says("422");
    let began = Instant::now();
    let commit = shop.services(&["b"], 80).commit();
    shop.converged(&commit);
    // After the fifth failure it is left alone for twelve seconds at least.
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    assert_eq!(served.names(), ["a", "b"]);
}

#[test]
fn a_field_that_a_rival_keeps_changing_back_is_left_alone_and_said() {
    let served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let commit = shop.services(&["a", "b"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    let is = |name: &str, port: u16| (served.field(name, "port") == Some(port.into())).then_some(());
    for _ in 0..3 {
        served.meddle("a", 9999);
        within(SOON, "it is corrected", || is("a", 80));
    }
    served.meddle("a", 9999);
    let status = shop.until("contested", |status| only(status)["pending"][0]["state"] == "contested");
    let pending = &only(&status)["pending"][0];
    assert_eq!(pending["address"], "edge:service/a");
    assert!(pending["why"].as_str().unwrap().contains("/port"), "{pending}");
    assert!(pending["help"].as_str().unwrap().contains("ctl retry"), "{pending}");
    assert_eq!(served.field("a", "port"), Some(9999.into()), "left alone");
    assert_eq!(shop.told("contested", 1).len(), 1);
    shop.stands(&["status", "edge:service/a"], 3, "contested");
    // Other resources go on.
    served.meddle("b", 9999);
    within(SOON, "the other one is corrected", || is("b", 80));
    shop.order(&["retry"]).exits(0);
    within(SOON, "it is tried again", || is("a", 80));
    shop.until("well", |status| only(status)["pending_total"] == 0);
}
