//! Objects below objects whose ids the server makes.

use std::collections::BTreeMap;

use ctl::model::{FieldPath, Key, Kind, Observation, ResourceId, Value};
use ctl::target::{Outcome, Target as _, TargetError, Write};

use super::tape::{answer, desired, json, listed, scope, target};

const NESTED: &str = include_str!("../../examples/apis/nested.yaml");

#[tokio::test]
async fn names_lead_to_the_ids_in_an_address_one_list_for_each_step() {
    let orgs = r#"[{"id":1,"name":"acme"},{"id":2,"name":"other"}]"#;
    let hooks = r#"[{"id":30,"name":"ci","project":{"id":20},"team":41}]"#;
    let answers = vec![
        answer(200, &[], orgs),
        answer(200, &[], r#"[{"id":20,"name":"shop","org":1}]"#),
        answer(
            200,
            &[],
            r#"[{"id":40,"name":"all","org":1,"parent":null},{"id":41,"name":"ops","org":1,"parent":40}]"#,
        ),
        answer(200, &[], hooks),
        answer(200, &[], hooks),
        answer(200, &[], &hooks.replace("{\"id\":20}", "{\"id\":21}")),
        answer(201, &[], r#"{"id":31,"name":"cd","team":40,"project":{"id":20}}"#),
        answer(200, &[], r#"[{"id":20,"name":"shop","org":1}]"#),
    ];
    let (target, tape) = target(NESTED, answers);
    let shop = scope("hook", Some(Key::of_texts(&["acme", "shop"])));
    let items = listed(&target, &shop).await;
    assert_eq!(items[0].key, Key::of_texts(&["acme", "shop", "ci"]));
    let expected = r#"{"id":30,"name":"ci","org":"acme","project":"shop","team":"ops"}"#;
    assert_eq!(items[0].value().unwrap().canonical().as_str(), expected);
    // The second time every id is known; and what says that it is elsewhere is not believed.
    assert_eq!(listed(&target, &shop).await, items);
    let result = target.observe(&shop, None).await;
    assert!(matches!(result, Err(TargetError::Unreadable { .. })), "{result:?}");
    let hook = desired(&target, "hook", &json(r#"{"org":"acme","project":"shop","name":"cd","team":"all"}"#));
    let Ok(Outcome::Done(made)) = target.write(&Write::Create { desired: &hook, mark: None }, None).await else {
        panic!("done")
    };
    assert_eq!(made.value().unwrap().get(&FieldPath::parse("team")), Some(&Value::from("all")));
    // What is in something that is not there is not there: one more look at the projects says so.
    let gone = target.observe(&scope("hook", Some(Key::of_texts(&["acme", "none"]))), None).await;
    assert_eq!(gone.unwrap(), Observation::NoSuchKind);
    assert_eq!(
        *tape.asked.lock().unwrap(),
        [
            "GET /api/orgs",
            "GET /api/orgs/1/projects",
            "GET /api/orgs/1/teams",
            "GET /api/projects/20/hooks",
            "GET /api/projects/20/hooks",
            "GET /api/projects/20/hooks",
            "POST /api/projects/20/hooks {\"name\":\"cd\",\"team\":40}",
            "GET /api/orgs/1/projects",
        ]
    );
}

#[tokio::test]
async fn a_parent_that_is_asked_for_by_its_key_shows_the_id_that_its_children_are_addressed_by() {
    let text = "
api: t
etag: if-match
types:
  realm: {path: \"/realms/{name}\", list: keys, server: [/meta/uid]}
  role: {in: realm, path: \"/by-id/{realm./meta/uid}/roles/{name}\"}
";
    let realm = |uid: &str| answer(200, &[], &format!(r#"{{"name":"a","meta":{{"uid":"{uid}"}}}}"#));
    let (target, tape) =
        target(text, vec![realm("x/y"), answer(200, &[], "[]"), realm("x/y"), answer(200, &[], r#"{"name":"a"}"#)]);
    let id = |key: &[&str], kind: &str| ResourceId {
        target: "t".parse().unwrap(),
        kind: Kind::new(kind),
        key: Key::of_texts(key),
    };
    assert_eq!(listed(&target, &scope("role", Some(Key::of_texts(&["a"])))).await, []);
    // A realm that shows none has no address for what is in it.
    target.read(&id(&["a"], "realm"), None).await.unwrap();
    target.read(&id(&["a"], "realm"), None).await.unwrap();
    assert_eq!(
        *tape.asked.lock().unwrap(),
        ["GET /realms/a", "GET /by-id/x%2Fy/roles", "GET /realms/a", "GET /realms/a"]
    );
    tape.answers.lock().unwrap().push(answer(200, &[], r#"{"name":"a"}"#));
    let why = target.observe(&scope("role", Some(Key::of_texts(&["a"]))), None).await.unwrap_err().to_string();
    assert!(why.contains("realm/a shows no `/meta/uid`"), "{why}");
}

#[tokio::test]
async fn a_name_of_two_parts_becomes_one_id_whichever_part_changes() {
    let text = "
api: t
types:
  site: {path: \"/sites/{id}\", key: [region, name], update: {put: all}}
  rack:
    path: /racks/{id}
    key: [name]
    path-only: [region]
    update: {patch: changes}
    refs: {site: {kind: site, at: /id, through: [region, site]}}
";
    let sites = r#"[{"id":7,"region":"eu","name":"a"},{"id":8,"region":"us","name":"a"}]"#;
    let answers = vec![
        answer(200, &[], sites),
        answer(200, &[], r#"[{"id":1,"name":"r","site":7}]"#),
        answer(200, &[], r#"{"id":1,"name":"r","site":8}"#),
    ];
    let (target, tape) = target(text, answers);
    let items = listed(&target, &scope("rack", None)).await;
    let expected = r#"{"id":1,"name":"r","region":"eu","site":"a"}"#;
    assert_eq!(items[0].value().unwrap().canonical().as_str(), expected);
    let rack = desired(&target, "rack", &json(r#"{"name":"r","region":"us","site":"a"}"#));
    let changes = BTreeMap::from([(FieldPath::parse("region"), Value::from("us").canonical())]);
    let update = Write::Update { desired: &rack, base: &items[0], changes: &changes, remove: &[], mark: None };
    let Ok(Outcome::Done(made)) = target.write(&update, None).await else { panic!("done") };
    assert_eq!(made.value().unwrap().get(&FieldPath::parse("region")), Some(&Value::from("us")));
    assert_eq!(*tape.asked.lock().unwrap(), ["GET /sites", "GET /racks", "PATCH /racks/1 {\"site\":8}"]);
}
