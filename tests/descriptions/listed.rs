//! Lists are read to their end, or they are none.

use std::collections::BTreeMap;
use std::time::Duration;

use ctl::model::{FieldPath, Key, Observation, Value};
use ctl::target::{Outcome, Target as _, TargetError, Write};

use super::tape::{CONVENTIONAL, answer, desired, json, listed, scope, target};

#[tokio::test]
async fn pages_are_followed_and_an_item_carries_its_own_tag() {
    let next = "http://127.0.0.1:8081/v1/buckets/conf/collections/rules/records?_limit=2&_token=abc%3D";
    let parent = Key::of_texts(&["conf", "rules"]);
    let (target, tape) = target(
        "kinto",
        vec![
            answer(200, &[("next-page", next)], r#"{"data":[{"n":4,"id":"r4","last_modified":4}]}"#),
            answer(200, &[("etag", "\"9\"")], r#"{"data":[{"n":3,"id":"r3","last_modified":3}]}"#),
            answer(200, &[("etag", "\"5\"")], r#"{"data":{"n":5,"id":"r3","last_modified":5},"permissions":{}}"#),
        ],
    );
    let items = listed(&target, &scope("record", Some(parent))).await;
    assert_eq!(items[0].token.as_ref().unwrap().as_str(), "\"3\"");
    assert_eq!(items[0].body.as_ref(), br#"{"bucket":"conf","collection":"rules","n":3,"id":"r3","last_modified":3}"#);
    let wanted = desired(&target, "record", &json(r#"{"bucket":"conf","collection":"rules","id":"r3","n":5}"#));
    let changes = BTreeMap::from([(FieldPath::parse("n"), Value::from(5).canonical())]);
    let write = Write::Update { desired: &wanted, base: &items[0], changes: &changes, remove: &[], mark: None };
    let Outcome::Done(seen) = target.write(&write, None).await.unwrap() else { panic!("the answer shows it") };
    assert_eq!(seen.token.unwrap().as_str(), "\"5\"");
    let asked = tape.asked.lock().unwrap();
    assert_eq!(asked[1], "GET /v1/buckets/conf/collections/rules/records?_limit=2&_token=abc%3D");
    assert_eq!(
        asked[2],
        r#"PUT /v1/buckets/conf/collections/rules/records/r3 if-match: "3" {"data":{"id":"r3","n":5}}"#
    );
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_never_a_listing() {
    let page = |body: &str| vec![answer(200, &[], body)];
    let item = r#"{"name":"a","spec":{}}"#;
    for (case, answers) in [
        ("html", page("<html>login</html>")),
        ("an error object", page(r#"{"error":"no"}"#)),
        ("null", page(r#"{"items":null,"total":0}"#)),
        ("cut off", page(&format!(r#"{{"items":[{item},"#))),
        ("no content", vec![answer(204, &[], "")]),
        ("not found", vec![answer(404, &[], "")]),
        ("miscounted", page(&format!(r#"{{"items":[{item}],"total":100}}"#))),
        ("no total", page(&format!(r#"{{"items":[{item}]}}"#))),
        ("a key twice", page(&format!(r#"{{"items":[{item},{item}],"total":2}}"#))),
        ("no key", page(r#"{"items":[{"spec":{}}],"total":1}"#)),
        ("a circle", (0..3).map(|_| answer(200, &[], r#"{"items":[],"next":"t","total":0}"#)).collect()),
    ] {
        let (target, _) = target(CONVENTIONAL, answers);
        let result = target.observe(&scope("route", None), None).await;
        assert!(matches!(result, Err(TargetError::Unreadable { .. })), "{case}: {result:?}");
    }
    let (broken, _) = target(
        CONVENTIONAL,
        vec![answer(200, &[], &format!(r#"{{"items":[{item}],"next":"t","total":2}}"#)), answer(500, &[], "")],
    );
    assert!(matches!(broken.observe(&scope("route", None), None).await, Err(TargetError::Failed { .. })));
    let (stale, tape) = target(
        CONVENTIONAL,
        vec![
            answer(200, &[], &format!(r#"{{"items":[{item}],"next":"t","total":2}}"#)),
            answer(410, &[], ""),
            answer(200, &[], &format!(r#"{{"items":[{item}],"total":1}}"#)),
        ],
    );
    assert_eq!(listed(&stale, &scope("route", None)).await.len(), 1);
    assert_eq!(tape.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_item_of_another_parent_is_not_believed() {
    let body = r#"{"data":[{"id":"r","bucket":"other","last_modified":1}]}"#;
    let (target, _) = target("kinto", vec![answer(200, &[], body)]);
    let result = target.observe(&scope("collection", Some(Key::of_texts(&["conf"]))), None).await;
    assert!(matches!(result, Err(TargetError::Unreadable { .. })), "{result:?}");
}

#[tokio::test]
async fn an_unchanged_list_is_not_read_again() {
    let text = "api: t\netag: if-match\ntypes:\n  s: {path: \"/s/{name}\", revalidate: etag}\n";
    let page = || answer(200, &[("etag", "W/\"7\"")], r#"[{"name":"a"}]"#);
    let (target, tape) = target(text, vec![page(), answer(304, &[], ""), page(), answer(304, &[], "")]);
    let Observation::Listed(listing) = target.observe(&scope("s", None), None).await.unwrap() else { panic!("listed") };
    let cursor = listing.cursor.clone().unwrap();
    assert_eq!(target.observe(&scope("s", None), Some(&cursor)).await.unwrap(), Observation::Unchanged);
    assert!(matches!(target.observe(&scope("s", None), Some(&cursor)).await.unwrap(), Observation::Listed(_)));
    let unasked = target.observe(&scope("s", None), None).await;
    assert!(unasked.is_err(), "a 304 that nobody asked for says nothing: {unasked:?}");
    assert_eq!(
        *tape.asked.lock().unwrap(),
        ["GET /s", "GET /s if-none-match: W/\"7\"", "GET /s if-none-match: W/\"7\"", "GET /s"]
    );
}

#[tokio::test]
async fn what_changed_since_a_list_is_asked_for_instead_of_the_whole() {
    let text = "
api: t
page: {token: /next, as: from}
types:
  s:
    path: /s/{name}
    list: {get: /s, items: /items, revalidate: whole, since: {as: since, gone: gone, total: /total}}
";
    let tag = |tag: &'static str| [("etag", tag)];
    let whole = || answer(200, &[("etag", "\"9\"")], r#"{"items":[{"name":"a"}],"total":1}"#);
    let changed = r#"{"items":[{"name":"c","v":1},{"gone":true,"name":"a"}],"total":2}"#;
    let more = r#"{"items":[{"name":"c","v":1}],"total":2,"next":"x"}"#;
    let answers = vec![
        answer(200, &tag("\"1\""), r#"{"items":[{"name":"a"},{"name":"b"}],"total":2}"#),
        answer(304, &[], ""),
        answer(200, &tag("\"2\""), changed),
        answer(410, &[], ""),
        whole(),
        answer(400, &[], ""),
        whole(),
        answer(200, &tag("\"3\""), more),
        whole(),
        answer(200, &[], changed),
        whole(),
    ];
    let (target, tape) = target(text, answers);
    let Observation::Listed(listing) = target.observe(&scope("s", None), None).await.unwrap() else { panic!("listed") };
    let cursor = listing.cursor.clone().unwrap();
    assert_eq!(target.observe(&scope("s", None), Some(&cursor)).await.unwrap(), Observation::Unchanged);
    let seen = target.observe(&scope("s", None), Some(&cursor)).await.unwrap();
    let Observation::Changed(changes) = seen else { panic!("{seen:?}") };
    let after = listing.into_inner().after(changes.into_inner()).unwrap();
    assert_eq!(after.cursor.unwrap().0, "\"2\"");
    assert_eq!(after.items.iter().map(|item| item.key.to_string()).collect::<Vec<_>>(), ["b", "c"]);
    // Not known any more, not known at all, more than one page, and without a tag to go on from.
    for _ in 0..4 {
        let seen = target.observe(&scope("s", None), Some(&cursor)).await.unwrap();
        assert!(matches!(seen, Observation::Listed(_)), "{seen:?}");
    }
    let asked = tape.asked.lock().unwrap();
    let since = "GET /s?since=%221%22 if-none-match: \"1\"";
    assert_eq!(asked[..5], ["GET /s", since, since, since, "GET /s"]);
    assert_eq!(asked.len(), 11);
}

#[tokio::test]
async fn a_list_of_summaries_is_completed_object_by_object() {
    let text = "
api: t
types:
  d:
    path: /d/{uid}
    key: [title]
    list: {get: /d, summary: true}
    get: {get: \"/d/{uid}\", item: /board}
    update: {put: all}
";
    let (target, tape) = target(
        text,
        vec![
            answer(200, &[], r#"[{"uid":"u1","title":"a"},{"uid":"u2","title":"b"}]"#),
            answer(200, &[], r#"{"meta":{},"board":{"uid":"u1","title":"a","panels":[1]}}"#),
            answer(404, &[], ""),
        ],
    );
    let items = listed(&target, &scope("d", None)).await;
    assert_eq!(items.len(), 1, "one that went in between is not there");
    assert_eq!(items[0].value().unwrap().get(&FieldPath::parse("panels")), Some(&json("[1]")));
    assert_eq!(*tape.asked.lock().unwrap(), ["GET /d", "GET /d/u1", "GET /d/u2"]);
}

/// Prints what it takes; in an optimised build: `cargo test --release --test descriptions ten_thousand -- --nocapture`.
#[tokio::test]
async fn ten_thousand_items_of_ten_pages_are_listed_whole() {
    let text = std::fs::read_to_string("src/server/api.yaml").unwrap();
    let page = |n: usize| {
        let item = |i: usize| {
            format!(
                r#"{{"name":"service-{i:05}","uid":"{i:032x}","revision":{i},"etag":"{i:016x}","labels":{{"managed-by":"ctl/shop","team":"a"}},"spec":{{"owner":"team-{i}","tags":["a","b","c"],"port":8080,"text":"{}"}}}}"#,
                "x".repeat(200)
            )
        };
        let items: Vec<String> = (n * 1000..(n + 1) * 1000).map(item).collect();
        let next = if n < 9 { format!(r#","next":"t{n}""#) } else { String::new() };
        answer(200, &[], &format!(r#"{{"items":[{}]{next}}}"#, items.join(",")))
    };
    let size = page(0).body().len() / 1000;
    for _ in 0..2 {
        let (target, _) = target(&text, (0..10).map(page).collect());
        let clock = || {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
        };
        let began = clock();
        let items = listed(&target, &scope("service", None)).await;
        let took = clock() - began;
        assert_eq!((items.len(), items[0].mark.is_some()), (10_000, true));
        println!("10,000 items of {size} bytes: {:.1} ms of this thread", took.as_secs_f64() * 1e3);
    }
}
