//! What is written where, and what is not.

use std::collections::BTreeMap;

use ctl::model::{FieldPath, Key, Kind, OwnRule, Owned, ResourceId, Value};
use ctl::target::{Outcome, Target as _, TargetError, Write};

use super::tape::{CONVENTIONAL, answer, desired, json, listed, mark, scope, target};

const ZONE: &str = r#"{"account":"","id":"example.org.","name":"example.org.","rrsets":[{"comments":[{"account":"ctl","content":"ctl/shop","modified_at":1795340216}],"name":"www.example.org.","records":[{"content":"192.0.2.1","disabled":false}],"ttl":300,"type":"A"},{"comments":[],"name":"example.org.","records":[{"content":"x","disabled":false}],"ttl":3600,"type":"SOA"},{"comments":[],"name":"example.org.","records":[{"content":"ns1.example.org.","disabled":false}],"ttl":3600,"type":"NS"}],"serial":1}"#;

#[tokio::test]
async fn children_are_listed_inside_their_parent_and_written_through_it() {
    let (target, tape) = target("powerdns", vec![answer(200, &[], ZONE), answer(204, &[], "")]);
    let items = listed(&target, &scope("rrset", Some(Key::of_texts(&["example.org."])))).await;
    assert_eq!(
        items.iter().map(|i| i.key.to_string()).collect::<Vec<_>>(),
        ["example.org./example.org./NS", "example.org./www.example.org./A"]
    );
    assert_eq!(items[1].mark, Some(mark()));
    assert_eq!(items[1].value().unwrap().get(&FieldPath::parse("/comments")), Some(&Value::Array(vec![])));
    let wanted = desired(
        &target,
        "rrset",
        &json(
            r#"{"zone":"example.org","name":"www.example.org","type":"A","ttl":60,"records":[{"content":"192.0.2.9"}]}"#,
        ),
    );
    let changes = BTreeMap::from([(FieldPath::parse("ttl"), Value::from(60).canonical())]);
    let write =
        Write::Update { desired: &wanted, base: &items[1], changes: &changes, remove: &[], mark: Some(&mark()) };
    assert!(target.guarding(&write).fresh_read);
    assert_eq!(target.write(&write, None).await.unwrap(), Outcome::DoneUnseen);
    let asked = tape.asked.lock().unwrap();
    assert_eq!(asked[0], "GET /api/v1/servers/localhost/zones/example.org.");
    assert!(asked[1].starts_with("PATCH /api/v1/servers/localhost/zones/example.org. {\"rrsets\":[{\"changetype\":\"REPLACE\",\"comments\":[{\"account\":\"ctl\",\"content\":\"ctl/shop\"}]"), "{}", asked[1]);
    assert!(!asked[1].contains("\"zone\""), "{}", asked[1]);
}

#[tokio::test]
async fn a_name_with_a_slash_and_a_key_that_looks_encoded_are_escaped_once() {
    let bindings = r#"[{"source":"","vhost":"a/b","destination":"q","destination_type":"queue","routing_key":"q","arguments":{},"properties_key":"q"},{"source":"x","vhost":"a/b","destination":"q/1","destination_type":"queue","routing_key":"a/b #%23","arguments":{},"properties_key":"a%2Fb+%2523%23"}]"#;
    let (target, tape) = target("rabbitmq", vec![answer(200, &[], bindings), answer(204, &[], "")]);
    let items = listed(&target, &scope("binding", None)).await;
    assert_eq!(items.len(), 1, "the implicit binding is ignored");
    let id = ResourceId { target: "t".parse().unwrap(), kind: Kind::new("binding"), key: items[0].key.clone() };
    let owned = Owned::claim(items[0].clone(), None, OwnRule::Exclusive).unwrap();
    assert_eq!(target.write(&Write::Delete { id: &id, owned: &owned }, None).await.unwrap(), Outcome::SaidGone);
    assert_eq!(tape.asked.lock().unwrap()[1], "DELETE /api/bindings/a%2Fb/e/x/q/q%2F1/a%252Fb%2B%252523%2523");
}

#[tokio::test]
async fn stated_fields_may_live_under_a_pointer() {
    let item = r#"{"name":"a","uid":"u1","revision":7,"etag":"\"e1\"","labels":{"managed-by":"ctl/shop"},"spec":{"path":"/x"}}"#;
    let (target, tape) = target(
        CONVENTIONAL,
        vec![answer(200, &[], &format!(r#"{{"items":[{item}],"next":"","total":1}}"#)), answer(412, &[], "{}")],
    );
    let items = listed(&target, &scope("route", None)).await;
    let seen = items[0].value().unwrap();
    assert_eq!(seen.get(&FieldPath::parse("path")), Some(&Value::from("/x")));
    assert_eq!((items[0].uid.as_deref(), items[0].mark.as_ref()), (Some("u1"), Some(&mark())));
    let wanted = desired(&target, "route", &json(r#"{"name":"a","path":"/y"}"#));
    let changes = BTreeMap::from([(FieldPath::parse("path"), Value::from("/y").canonical())]);
    let write =
        Write::Update { desired: &wanted, base: &items[0], changes: &changes, remove: &[], mark: Some(&mark()) };
    assert!(matches!(target.write(&write, None).await, Err(TargetError::Conflict { status: 412, .. })));
    let asked = tape.asked.lock().unwrap();
    assert_eq!(asked[0], "GET /v1/route?limit=2");
    assert_eq!(
        asked[1],
        r#"PUT /v1/route/a if-match: "e1" {"labels":{"managed-by":"ctl/shop"},"name":"a","spec":{"path":"/y"}}"#
    );
}

#[tokio::test]
async fn a_kind_with_one_object_is_read_and_changed_and_never_made() {
    let text = "api: t\netag: if-match\ntypes:\n  settings: {path: /settings, key: []}\n";
    let (target, tape) =
        target(text, vec![answer(200, &[("etag", "\"1\"")], r#"{"mode":"a","uptime":9}"#), answer(204, &[], "")]);
    let rules = target.kinds().get(&Kind::new("settings")).unwrap().clone();
    assert!(!rules.can_create && !rules.can_delete && rules.key.is_empty());
    let items = listed(&target, &scope("settings", None)).await;
    assert_eq!((items.len(), items[0].key.is_empty()), (1, true));
    let wanted = desired(&target, "settings", &json(r#"{"mode":"b"}"#));
    let changes = BTreeMap::from([(FieldPath::parse("mode"), Value::from("b").canonical())]);
    let write = Write::Update { desired: &wanted, base: &items[0], changes: &changes, remove: &[], mark: None };
    target.write(&write, None).await.unwrap();
    assert_eq!(tape.asked.lock().unwrap()[1], r#"PUT /settings if-match: "1" {"mode":"b","uptime":9}"#);
}

#[tokio::test]
async fn a_leader_says_its_tenure_where_the_api_wants_to_know() {
    let text = "api: t\nfence: Ctl-Fencing-Token\ntypes:\n  s: {path: \"/s/{name}\", write: {put: all}}\n";
    let (target, tape) = target(text, vec![answer(204, &[], ""), answer(204, &[], "")]);
    let wanted = desired(&target, "s", &json(r#"{"name":"a"}"#));
    let write = Write::Create { desired: &wanted, mark: None };
    target.write(&write, Some(ctl::target::Fence(7))).await.unwrap();
    target.write(&write, None).await.unwrap();
    assert_eq!(
        *tape.asked.lock().unwrap(),
        [r#"PUT /s/a ctl-fencing-token: 7 {"name":"a"}"#, r#"PUT /s/a {"name":"a"}"#]
    );
}
