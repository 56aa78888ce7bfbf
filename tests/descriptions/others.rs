//! Descriptions of other sorts of API: a key-value store, a tree, those of the documentation.

use std::collections::BTreeMap;

use ctl::manifest::api::ApiDescription;
use ctl::model::{FieldPath, Kind, OwnRule, Owned, ResourceId, Value};
use ctl::target::{Outcome, Target as _, TargetError, Write};

use super::tape::{answer, desired, json, listed, scope, target, target_with};

const KEY_VALUE: &str = include_str!("../fixtures/api/key-value-store.yaml");
const TREE: &str = include_str!("../fixtures/api/config-tree.yaml");

#[tokio::test]
async fn pages_go_on_after_the_last_key_and_writes_compare_and_swap() {
    let first = r#"{"header":{"revision":"5"},"kvs":[{"key":"Y2ZnL2E=","create_revision":"2","mod_revision":"3","version":"2","value":"Mg=="},{"key":"Y2ZnL2I=","create_revision":"5","mod_revision":"5","version":"1","value":"eCB5"}],"more":true,"count":"3"}"#;
    let second = r#"{"header":{"revision":"5"},"kvs":[{"key":"Y2ZnL2U=","create_revision":"4","mod_revision":"4","version":"1"}],"count":"1"}"#;
    let done =
        r#"{"header":{"revision":"7"},"succeeded":true,"responses":[{"response_put":{"header":{"revision":"7"}}}]}"#;
    let stale = r#"{"header":{"revision":"8"}}"#;
    let answers = [first, second, done, done, stale].map(|body| answer(200, &[], body)).into();
    let (target, tape) = target_with(KEY_VALUE, BTreeMap::from([("prefix".into(), "cfg/".into())]), answers);
    let items = listed(&target, &scope("kv", None)).await;
    let keys: Vec<String> = items.iter().map(|i| i.key.texts().collect()).collect();
    assert_eq!(keys, ["cfg/a", "cfg/b", "cfg/e"]);
    assert_eq!(items[1].value().unwrap().get(&FieldPath::parse("value")), Some(&Value::from("x y")));
    assert_eq!(items[0].token.as_ref().unwrap().as_str(), "3");
    let wanted = desired(&target, "kv", &json(r#"{"key":"cfg/c","value":"1"}"#));
    assert_eq!(target.write(&Write::Create { desired: &wanted, mark: None }, None).await.unwrap(), Outcome::DoneUnseen);
    let wanted = desired(&target, "kv", &json(r#"{"key":"cfg/a","value":"9"}"#));
    let changes = BTreeMap::from([(FieldPath::parse("value"), Value::from("9").canonical())]);
    let write = Write::Update { desired: &wanted, base: &items[0], changes: &changes, remove: &[], mark: None };
    assert!(!target.guarding(&write).fresh_read, "the version guards it");
    target.write(&write, None).await.unwrap();
    let id = ResourceId { target: "t".parse().unwrap(), kind: Kind::new("kv"), key: items[1].key.clone() };
    let owned = Owned::claim(items[1].clone(), None, OwnRule::Exclusive).unwrap();
    let error = target.write(&Write::Delete { id: &id, owned: &owned }, None).await.unwrap_err();
    assert!(matches!(error, TargetError::Conflict { status: 200, .. }), "a compare that fails is a 200: {error:?}");
    assert_eq!(
        *tape.asked.lock().unwrap(),
        [
            r#"POST /v3/kv/range {"key":"Y2ZnLw==","limit":2,"range_end":"Y2ZnMA=="}"#,
            r#"POST /v3/kv/range {"key":"Y2ZnL2IA","limit":2,"range_end":"Y2ZnMA=="}"#,
            r#"POST /v3/kv/txn {"compare":[{"key":"Y2ZnL2M=","result":"EQUAL","target":"VERSION","version":"0"}],"success":[{"request_put":{"key":"Y2ZnL2M=","value":"MQ=="}}]}"#,
            r#"POST /v3/kv/txn {"compare":[{"key":"Y2ZnL2E=","mod_revision":"3","result":"EQUAL","target":"MOD"}],"success":[{"request_put":{"key":"Y2ZnL2E=","value":"OQ=="}}]}"#,
            r#"POST /v3/kv/txn {"compare":[{"key":"Y2ZnL2I=","mod_revision":"5","result":"EQUAL","target":"MOD"}],"success":[{"request_delete_range":{"key":"Y2ZnL2I="}}]}"#,
        ]
    );
}

#[tokio::test]
async fn a_tree_of_servers_and_routes_is_read_merged_and_guarded_by_its_own_tags() {
    let servers = r#"{"srv0":{"listen":["127.0.0.1:20191"],"routes":[{"@id":"r-a"}]}}"#;
    let routes = r#"[{"@id":"r-a","handle":[]},{"handle":[{"handler":"static_response"}]}]"#;
    let server = r#"{"listen":["127.0.0.1:20191"],"routes":[{"@id":"r-a"}]}"#;
    let tag = "\"/config/apps/http/servers/srv0 d0dc46e67eecfbc4\"";
    let (target, tape) = target(
        TREE,
        vec![
            answer(200, &[("etag", "\"/config/apps/http/servers 1\"")], servers),
            answer(200, &[], routes),
            answer(200, &[("etag", tag)], server),
            answer(200, &[], ""),
            answer(200, &[], ""),
            answer(200, &[], "null\n"),
        ],
    );
    let items = listed(&target, &scope("server", None)).await;
    assert_eq!((items.len(), items[0].token.as_ref()), (1, None), "the list's tag is not the item's");
    let known = listed(&target, &scope("route", Some(items[0].key.clone()))).await;
    assert_eq!(known.len(), 1, "what cannot be addressed is ignored");
    let wanted = desired(&target, "server", &json(r#"{"name":"srv0","listen":["127.0.0.1:20199"]}"#));
    let listen = json(r#"["127.0.0.1:20199"]"#);
    let changes = BTreeMap::from([(FieldPath::parse("listen"), listen.canonical())]);
    let write = Write::Update { desired: &wanted, base: &items[0], changes: &changes, remove: &[], mark: None };
    assert!(target.guarding(&write).fresh_read);
    let fresh = target.read(&wanted.id, Some(&items[0])).await.unwrap().unwrap();
    let write = Write::Update { desired: &wanted, base: &fresh, changes: &changes, remove: &[], mark: None };
    target.write(&write, None).await.unwrap();
    let id = ResourceId { target: "t".parse().unwrap(), kind: Kind::new("route"), key: known[0].key.clone() };
    let owned = Owned::claim(known[0].clone(), None, OwnRule::Exclusive).unwrap();
    assert_eq!(target.write(&Write::Delete { id: &id, owned: &owned }, None).await.unwrap(), Outcome::SaidGone);
    assert_eq!(target.read(&wanted.id, None).await.unwrap(), None, "a null is nothing");
    let patch = format!(
        r#"PATCH /config/apps/http/servers/srv0 if-match: {tag} {{"listen":["127.0.0.1:20199"],"routes":[{{"@id":"r-a"}}]}}"#
    );
    assert_eq!(
        *tape.asked.lock().unwrap(),
        [
            "GET /config/apps/http/servers",
            "GET /config/apps/http/servers/srv0/routes",
            "GET /config/apps/http/servers/srv0",
            patch.as_str(),
            "DELETE /id/r-a",
            "GET /config/apps/http/servers/srv0",
        ]
    );
}

/// What the server's schema takes is what its description knows, so that `validate` finds a misspelt field.
#[test]
fn the_reference_server_s_description_knows_the_fields_of_its_kinds() {
    let (api, _) = ApiDescription::parse("api.yaml", ctl::server::API).unwrap();
    for (name, schema) in ctl::server::Schema::built_in().kinds {
        let rules = api.table().get(&Kind::new(name.as_str())).unwrap();
        let known: std::collections::BTreeSet<&str> = rules.known.iter().flatten().map(String::as_str).collect();
        let mut fields: std::collections::BTreeSet<&str> = schema.fields.keys().map(String::as_str).collect();
        fields.insert("labels");
        assert!(fields.is_subset(&known) && known.len() <= fields.len() + 1, "{name}: {known:?}, {fields:?}");
    }
}

#[test]
fn the_examples_of_the_documentation_are_descriptions() {
    let text = include_str!("../../docs/api-descriptions.md");
    let blocks: Vec<&str> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        if let Err(errors) = ApiDescription::parse("docs/api-descriptions.md", block) {
            panic!("{block}\n{errors:?}");
        }
    }
}
