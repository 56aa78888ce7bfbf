//! What a watcher says of itself while one of two endpoints does not take part: each endpoint is spoken of by itself, what
//! waits is counted, and a server that asks to be left alone is.

use std::time::Duration;

use serde_json::Value;

use crate::proxy::{Fault, Proxy, Reply};
use crate::shop::{SOON, Served, Shop, only};
use crate::within;

const FAST: &[&str] = &["--interval", "1s"];

/// One target with the endpoints `a` and `b`.
fn two(a: &str, b: &str) -> Shop {
    let mut shop = Shop::here(&[]);
    shop.write(
        "ctl.yaml",
        &format!(
            "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\ntargets:\n  edge:\n    \
             api: ctl\n    endpoints: {{a: \"{a}\", b: \"{b}\"}}\n"
        ),
    );
    shop
}

fn url(served: &Served) -> String {
    format!("http://{}", served.address())
}

/// How the endpoint `name` of the target stands.
fn at<'s>(status: &'s Value, name: &str) -> &'s Value {
    let endpoints = only(status)["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
    endpoints.iter().find(|endpoint| endpoint["endpoint"] == name).unwrap_or(&Value::Null)
}

/// Waits until nothing is under way through the door any more; how much came through it until then.
#[track_caller]
fn at_rest(door: &Proxy) -> usize {
    within(SOON, "three seconds without a request", || {
        let seen = door.total();
        std::thread::sleep(Duration::from_secs(3));
        (door.total() == seen).then_some(seen)
    })
}

fn asks_to_wait() -> Fault {
    Fault::Answer(Reply::json(429, "{}").with("retry-after", "300"))
}

#[test]
fn a_server_that_asks_to_be_left_alone_gets_no_request_and_others_go_on() {
    let (a, b) = (Served::honest(), Served::honest());
    let door = Proxy::with_rule(&url(&b), |_| asks_to_wait());
    let mut shop = two(&url(&a), &door.url());
    shop.services(&["one"], 80).commit();
    shop.watch(FAST);
    let waits = shop.until("b waits", |status| at(status, "b")["code"] == "asks-to-wait");
    let first = at_rest(&door);
    let next = &at(&waits, "b")["next"]["time"];
    let left = next.as_i64().unwrap() - waits["started"]["time"].as_i64().unwrap();
    assert!((299..=400).contains(&left), "until when: {waits}");
    assert_eq!(at(&waits, "b")["state"], "failing");
    assert!(at(&waits, "b")["why"].as_str().unwrap().contains("429"), "{waits}");

    // Commits come and cycles pass; nothing is sent there, neither a read nor a probe nor a write.
    shop.services(&["two", "three"], 80).commit();
    within(SOON, "a is written", || (a.names() == ["one", "three", "two"]).then_some(()));
    let cycles = |status: &Value| only(status)["last_cycle"]["time"].as_i64().unwrap_or_default();
    let before = cycles(&shop.status().unwrap());
    shop.until("ten seconds of cycles", |status| cycles(status) >= before + 12);
    assert_eq!(door.total(), first, "{:?}", door.lines());
    assert!(first <= 4, "requests under way together are few: {:?}", door.lines());
    shop.until("a is well, and three wait at b", |status| {
        at(status, "a")["state"] == "ok" && at(status, "b")["pending"] == 3
    });

    // A person who knows better is obeyed at once.
    door.heal();
    shop.order(&["retry", "-t", "edge"]).exits(0);
    within(SOON, "b is caught up", || (b.names() == ["one", "three", "two"]).then_some(()));
}

#[test]
fn a_write_that_is_told_to_wait_stops_all_writes_there_and_no_other() {
    let (a, b) = (Served::honest(), Served::honest());
    let door = Proxy::with_rule(&url(&b), |seen| if seen.writes() { asks_to_wait() } else { Fault::None });
    let mut shop = two(&url(&a), &door.url());
    let names = ["s1", "s2", "s3", "s4", "s5", "s6"];
    shop.services(&names, 80).commit();
    shop.watch(FAST);
    shop.until("b waits", |status| at(status, "b")["code"] == "asks-to-wait");
    within(SOON, "a is written", || (a.names() == names).then_some(()));
    let seen = at_rest(&door);
    let cycles = |status: &Value| only(status)["last_cycle"]["time"].as_i64().unwrap_or_default();
    let cycle = cycles(&shop.status().unwrap());
    shop.until("cycles pass", |status| cycles(status) >= cycle + 6);
    assert_eq!(door.total(), seen, "{:?}", door.lines());
    shop.until("all of them wait at b", |status| at(status, "b")["pending"] == 6);
    shop.measures("ctl_queue_depth", &[], |depth| depth == 6.0);
}

#[test]
fn an_endpoint_that_is_away_hides_nothing_of_the_other_and_its_changes_are_counted() {
    let (a, mut b) = (Served::honest(), Served::honest());
    let mut shop = two(&url(&a), &url(&b));
    let commit = shop.services(&["one"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    let retries = shop.metrics().sum("ctl_retries_total", &[]).unwrap();
    b.kill();
    shop.until("b alone is away", |status| at(status, "b")["state"] == "failing" && at(status, "a")["state"] == "ok");
    within(SOON, "what b has is not known, and nothing else is counted", || {
        let page = shop.metrics();
        let kinds =
            ["unknown", "in_sync", "pending"].map(|is| page.sum("control_plane_resource_count", &[("state", is)]));
        (kinds == [Some(1.0), Some(0.0), Some(0.0)]).then_some(())
    });

    // A success of one is told while the other is away, and goes on being told.
    let success = |name: &str| {
        let labels = [("target", "edge"), ("endpoint", name)];
        shop.metrics().sum("ctl_target_last_success_timestamp_seconds", &labels).unwrap()
    };
    let (before_a, before_b) = (success("a"), success("b"));
    within(SOON, "a succeeds again", || (success("a") >= before_a + 3.0).then_some(()));
    assert!((success("b") - before_b).abs() <= 1.0, "but for the rounding of a second");

    shop.services(&["one"], 81).services(&["two", "three"], 80).commit();
    within(SOON, "a is written", || (a.names() == ["one", "three", "two"]).then_some(()));
    shop.until("what waits at b is known, and nothing waits elsewhere", |status| {
        let waits = only(status)["pending"].as_array().unwrap();
        let at_b = waits.iter().all(|op| op["endpoint"] == "b" && op["state"] == "waiting");
        at_b && at(status, "b")["pending"] == 3
    });
    shop.measures("ctl_queue_depth", &[("target", "edge")], |depth| depth == 3.0);
    shop.measures("control_plane_resource_count", &[("state", "pending")], |count| count == 3.0);

    // The target is red, and says so; the watcher does its work, and is not.
    within(SOON, "the target is not ready", || shop.page("/readyz/edge").filter(|(status, _)| *status == 503));
    within(SOON, "the watcher is ready, and says what is not", || {
        shop.page("/readyz").filter(|(code, said)| *code == 200 && said.contains("no cycle of edge fully succeeded"))
    });
    assert_eq!(shop.page("/livez").map(|(status, _)| status), Some(200));
    assert_eq!(shop.page("/readyz/nobody").map(|(status, _)| status), Some(404));
    shop.stands(&["status"], 3, "not ready: no cycle of edge fully succeeded");
    within(SOON, "probes are attempts that follow a failed one", || {
        (shop.metrics().sum("ctl_retries_total", &[]).unwrap() > retries).then_some(())
    });

    b.again(&[]);
    within(SOON, "b is caught up", || (b.names() == ["one", "three", "two"]).then_some(()));
    within(SOON, "the target is ready", || shop.page("/readyz/edge").filter(|(status, _)| *status == 200));
    within(SOON, "nothing waits", || (shop.metrics().sum("ctl_queue_depth", &[]) == Some(0.0)).then_some(()));
}

#[test]
fn with_nobody_to_reach_a_new_commit_waits_in_the_queue_and_the_watcher_is_not_ready() {
    let mut served = Served::honest();
    let mut shop = Shop::here(&[("edge", &served)]);
    let commit = shop.services(&["one"], 80).commit();
    shop.watch(FAST);
    shop.converged(&commit);
    served.kill();
    shop.until("it is away", |status| at(status, "default")["state"] == "failing");
    shop.remove("manifests/one.yaml").services(&["two", "three"], 80).commit();
    within(SOON, "two creates and a delete wait", || {
        (shop.metrics().sum("ctl_queue_depth", &[]) == Some(3.0)).then_some(())
    });
    within(SOON, "the watcher gets nowhere", || shop.page("/readyz").filter(|(status, _)| *status == 503));
    assert_eq!(shop.page("/livez").map(|(status, _)| status), Some(200));
}
