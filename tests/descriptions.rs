//! The shipped descriptions and the HTTP driver, over answers as real servers gave them.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use ctl::credentials::{Access, Auth, SecretSource};
use ctl::manifest::api::ApiDescription;
use ctl::model::{
    Desired, Diagnostic, EndpointName, FieldPath, Key, Kind, Mark, Meta, Observation, Observed, Origin, OwnRule, Owned,
    ResourceId, Scope, Secret, SecretRef, TargetName, Value, parse_json,
};
use ctl::net::{Exchange, NetError, Paced, Tap, Tapped, Transport};
use ctl::target::{Outcome, Target, TargetError, Write};
use ctl::world::Clock;

use ctl::target::http::{HttpConfig, HttpTarget, shipped};

type Script = Vec<http::Response<Bytes>>;

/// Answers from a list, and remembers what it was asked.
#[derive(Clone, Default)]
struct Tape {
    answers: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Transport for Tape {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Duration,
        _: usize,
    ) -> Result<http::Response<Bytes>, NetError> {
        let mut line = format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
        for name in ["if-match", "if-none-match", "ctl-fencing-token"] {
            if let Some(value) = request.headers().get(name) {
                line += &format!(" {name}: {}", value.to_str().unwrap());
            }
        }
        if !request.body().is_empty() {
            line += &format!(" {}", String::from_utf8_lossy(request.body()));
        }
        self.asked.lock().unwrap().push(line);
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() {
            Err(NetError::Unsent { why: "the tape is at its end".into() })
        } else {
            Ok(answers.remove(0))
        }
    }
}

struct Safe;

impl SecretSource for Safe {
    fn resolve(&self, _: &SecretRef, _: &TargetName, _: &Kind) -> Result<Secret, Box<Diagnostic>> {
        Ok(Secret::new("s3cret-value"))
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> http::Response<Bytes> {
    let mut builder = http::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn target(description: &str, answers: Script) -> (HttpTarget<Tape>, Tape) {
    target_with(description, BTreeMap::new(), answers)
}

fn target_with(description: &str, params: BTreeMap<String, String>, answers: Script) -> (HttpTarget<Tape>, Tape) {
    let text = shipped().iter().find(|(name, _)| *name == description).map_or(description, |(_, text)| *text);
    let (api, _) = ApiDescription::parse("test.yaml", text).unwrap();
    let tape = Tape { answers: Arc::new(Mutex::new(answers)), ..Tape::default() };
    let config = HttpConfig {
        description: Arc::new(api),
        target: "t".parse().unwrap(),
        endpoint: EndpointName::only(),
        url: "http://127.0.0.1:8081".into(),
        access: Access { auth: Auth::Bearer(Secret::new("the-credential")), ..Access::anonymous() },
        secrets: Arc::new(Safe),
        params,
        clock: Clock::System,
    };
    (HttpTarget::new(config, tape.clone()).unwrap(), tape)
}

fn scope(kind: &str, parent: Option<Key>) -> Scope {
    Scope { endpoint: EndpointName::only(), kind: Kind::new(kind), parent }
}

fn desired(target: &HttpTarget<Tape>, kind: &str, body: &Value) -> Desired {
    let rules = target.kinds().get(&Kind::new(kind)).unwrap();
    let key = rules.key_of(body).unwrap();
    let canonical = body.canonical();
    Desired {
        id: ResourceId { target: "t".parse().unwrap(), kind: Kind::new(kind), key },
        digest: canonical.digest(),
        body: canonical,
        meta: Arc::new(Meta::default()),
        origin: Origin { path: "m.yaml".into(), blob: "0".into(), document: 0, values: Arc::new([]) },
    }
}

fn json(text: &str) -> Value {
    parse_json(text.as_bytes()).unwrap()
}

fn mark() -> Mark {
    Mark::of(&"shop".parse().unwrap())
}

async fn listed(target: &HttpTarget<Tape>, scope: &Scope) -> Vec<Observed> {
    match target.observe(scope, None).await.unwrap() {
        Observation::Listed(listing) => listing.into_inner().items,
        other => panic!("{other:?}"),
    }
}

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
    assert_eq!(target.write(&Write::Delete { id: &id, owned: &owned }, None).await.unwrap(), Outcome::Gone);
    assert_eq!(tape.asked.lock().unwrap()[1], "DELETE /api/bindings/a%2Fb/e/x/q/q%2F1/a%252Fb%2B%252523%2523");
}

#[tokio::test]
async fn a_secret_goes_into_its_field_only_and_never_into_an_error() {
    let echo = r#"{"error":"bad_request","reason":"s3cret-value is weak"}"#;
    let (target, tape) = target("rabbitmq", vec![answer(400, &[], echo)]);
    let secret = Value::Secret(SecretRef { name: "pw".into(), version: None });
    let body: Value = [("name", Value::from("alice")), ("password", secret.clone())].into_iter().collect();
    let wanted = desired(&target, "user", &body);
    let error = target.write(&Write::Create { desired: &wanted, mark: Some(&mark()) }, None).await.unwrap_err();
    assert!(
        matches!(&error, TargetError::Invalid { excerpt, .. } if excerpt.contains("<secret> is weak")),
        "{error:?}"
    );
    assert_eq!(
        tape.asked.lock().unwrap()[0],
        r#"PUT /api/users/alice {"name":"alice","password":"s3cret-value","tags":"ctl/shop"}"#
    );
    let body: Value = [("name", Value::from("alice")), ("tags", Value::Array(vec![secret]))].into_iter().collect();
    let wanted = desired(&target, "user", &body);
    let error = target.write(&Write::Create { desired: &wanted, mark: None }, None).await.unwrap_err();
    assert!(matches!(error, TargetError::Refused { .. }));
}

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

const CONVENTIONAL: &str = "
api: reference
etag: {field: etag}
page: {token: /next, as: continue, size: {limit: 2}, total: /total}
types:
  route:
    path: /v1/route/{name}
    list: {get: /v1/route, items: /items}
    uid: uid
    spec: /spec
    root: [labels]
    write: {put: all}
    owner: {at: /labels/managed-by}
";

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

const KEY_VALUE: &str = include_str!("fixtures/api/key-value-store.yaml");
const TREE: &str = include_str!("fixtures/api/config-tree.yaml");

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
    assert_eq!(target.write(&Write::Delete { id: &id, owned: &owned }, None).await.unwrap(), Outcome::Gone);
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

const LOGIN: &str = "
api: t
auth: {login: {form: {user: \"{user}\", password: \"{password}\"}, post: /login, token: /token, prefix: \"Token \", expires: /lives}}
types:
  s: {path: \"/s/{name}\", write: {put: all}}
";

/// A server that gives out tokens `t1`, `t2`, … and takes only the latest, until it forgets it.
struct Door {
    given: u32,
    forgotten: bool,
    lives: u32,
    seen: Vec<String>,
}

async fn door(lives: u32) -> (String, Arc<Mutex<Door>>) {
    use axum::routing::{get, post};
    let state = Arc::new(Mutex::new(Door { given: 0, forgotten: false, lives, seen: Vec::new() }));
    let (at_login, at_list) = (Arc::clone(&state), Arc::clone(&state));
    let app = axum::Router::new()
        .route(
            "/login",
            post(async move |headers: http::HeaderMap, body: String| {
                let mut door = at_login.lock().unwrap();
                let kind = headers["content-type"].to_str().unwrap().to_owned();
                door.seen.push(format!("login {kind} {body} {}", headers.contains_key("authorization")));
                (door.given, door.forgotten) = (door.given + 1, false);
                format!(r#"{{"token":"t{}","lives":{}}}"#, door.given, door.lives)
            }),
        )
        .route(
            "/s",
            get(async move |headers: http::HeaderMap| {
                let mut door = at_list.lock().unwrap();
                let sent = headers.get("authorization").map_or("", |v| v.to_str().unwrap()).to_owned();
                let good = !door.forgotten && sent == format!("Token t{}", door.given);
                door.seen.push(format!("list {sent}"));
                let status = if good { http::StatusCode::OK } else { http::StatusCode::UNAUTHORIZED };
                (status, if good { "[]" } else { "" })
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, state)
}

fn visitor(url: &str, clock: Clock) -> HttpTarget<ctl::net::HttpTransport> {
    let (api, _) = ApiDescription::parse("test.yaml", LOGIN).unwrap();
    let auth = Auth::Basic { user: "alice".into(), password: Secret::new("p&w 1") };
    let config = HttpConfig {
        description: Arc::new(api),
        target: "t".parse().unwrap(),
        endpoint: EndpointName::only(),
        url: url.into(),
        access: Access { auth, ..Access::anonymous() },
        secrets: Arc::new(Safe),
        params: BTreeMap::new(),
        clock,
    };
    let transport = ctl::net::HttpTransport::new(url, ctl::net::Tls::default()).unwrap();
    HttpTarget::new(config, transport).unwrap()
}

#[tokio::test]
async fn a_token_that_is_refused_leads_to_one_login_more() {
    let (url, state) = door(3600).await;
    let target = visitor(&url, Clock::System);
    let scope = scope("s", None);
    let many = futures::future::join_all((0..8).map(|_| target.observe(&scope, None))).await;
    assert!(many.iter().all(Result::is_ok));
    let logins = || state.lock().unwrap().seen.iter().filter(|line| line.starts_with("login")).count();
    assert_eq!(logins(), 1, "many requests need one login");
    assert_eq!(
        state.lock().unwrap().seen[0],
        "login application/x-www-form-urlencoded password=p%26w%201&user=alice false"
    );
    state.lock().unwrap().forgotten = true;
    target.observe(&scope, None).await.unwrap();
    let seen = state.lock().unwrap().seen.split_off(9);
    assert_eq!((seen[0].as_str(), seen[2].as_str(), seen.len()), ("list Token t1", "list Token t2", 3));
}

#[tokio::test]
async fn a_token_is_given_up_before_it_dies() {
    let (url, state) = door(60).await;
    let scripted = ctl::world::ScriptedClock::starting_at(Default::default());
    let target = visitor(&url, Clock::Scripted(Arc::clone(&scripted)));
    let scope = scope("s", None);
    for seconds in [0, 50, 6] {
        scripted.advance(Duration::from_secs(seconds));
        target.observe(&scope, None).await.unwrap();
    }
    let seen = state.lock().unwrap().seen.clone();
    let lists: Vec<&str> = seen.iter().filter_map(|line| line.strip_prefix("list ")).collect();
    assert_eq!(lists, ["Token t1", "Token t1", "Token t2"], "no request goes out with a dead token");
}

#[tokio::test]
async fn a_login_that_is_refused_is_an_answer_and_not_a_circle() {
    let text = "api: t\nauth: {login: {post: /login, body: {p: \"{password}\"}, token: /t}}\ntypes:\n  s: {path: \"/s/{name}\", write: {put: all}}\n";
    let refused = || answer(401, &[], "");
    let params = BTreeMap::from([("password".to_owned(), "x".to_owned())]);
    let given = answer(200, &[], r#"{"t":"abc"}"#);
    let (target, tape) = target_with(text, params, vec![given, refused(), refused()]);
    let result = target.observe(&scope("s", None), None).await;
    assert!(matches!(result, Err(TargetError::Denied { status: 401, .. })), "{result:?}");
    let result = target.observe(&scope("s", None), None).await;
    assert!(result.is_err());
    assert_eq!(tape.asked.lock().unwrap().len(), 4, "a login, a list that is refused, a list, a login that fails");
}

const NESTED: &str = include_str!("../examples/apis/nested.yaml");

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

#[test]
fn the_examples_of_the_documentation_are_descriptions() {
    let text = include_str!("../docs/api-descriptions.md");
    let blocks: Vec<&str> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        if let Err(errors) = ApiDescription::parse("docs/api-descriptions.md", block) {
            panic!("{block}\n{errors:?}");
        }
    }
}

#[tokio::test]
async fn whoever_listens_to_requests_hears_no_secret() {
    let (api, _) = ApiDescription::parse("test.yaml", LOGIN).unwrap();
    let echo = "no: p&w 1, p%26w%201, Token token-0815 and token-0815";
    let given = answer(200, &[], r#"{"token":"token-0815","lives":60}"#);
    let script = vec![answer(401, &[], echo), given, answer(422, &[], echo)];
    let tape = Tape { answers: Arc::new(Mutex::new(script)), ..Tape::default() };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let tap = Tap {
        hide: Arc::new(str::to_owned),
        tell: Arc::new(move |exchange: &Exchange| sink.lock().unwrap().push(exchange.clone())),
    };
    // As the program stacks them.
    let transport = Paced::new(Tapped::new(tape, Some(tap), Clock::System), None, Clock::System);
    let auth = Auth::Basic { user: "alice".into(), password: Secret::new("p&w 1") };
    let config = HttpConfig {
        description: Arc::new(api),
        target: "t".parse().unwrap(),
        endpoint: EndpointName::only(),
        url: "http://127.0.0.1:8081".into(),
        access: Access { auth, ..Access::anonymous() },
        secrets: Arc::new(Safe),
        params: BTreeMap::new(),
        clock: Clock::System,
    };
    let target = HttpTarget::new(config, transport).unwrap();
    for _ in 0..2 {
        assert!(target.observe(&scope("s", None), None).await.is_err());
    }
    let heard = heard.lock().unwrap();
    let told = |i: usize| {
        let Exchange { method, path, status, answer, .. } = &heard[i];
        (method.as_str(), path.as_str(), status.unwrap(), answer.as_deref())
    };
    assert_eq!(told(0), ("POST", "/login", 401, None), "of a login no answer is kept");
    assert_eq!(told(1), ("POST", "/login", 200, None));
    let hidden = "no: <secret>, <secret>, Token <secret> and <secret>";
    assert_eq!(told(2), ("GET", "/s", 422, Some(hidden)));
    assert_eq!(heard.len(), 3);
}

#[tokio::test]
async fn a_mask_is_sent_back_only_where_leaving_it_out_would_clear_the_secret() {
    for (omitted, sent) in [
        ("keeps", r#"PUT /s/a {"name":"a","settings":{"port":2}}"#),
        ("clears", r#"PUT /s/a {"name":"a","settings":{"password":"***","port":2}}"#),
    ] {
        let text = format!(
            "api: t\ntypes:\n  s:\n    path: /s/{{name}}\n    update: {{put: merged}}\n    fields: {{/settings/password: {{secret: {{mask: \"***\", omitted: {omitted}}}}}}}\n"
        );
        let there = r#"[{"name":"a","settings":{"password":"***","port":1}}]"#;
        let (target, tape) = target(&text, vec![answer(200, &[], there), answer(200, &[], "")]);
        let items = listed(&target, &scope("s", None)).await;
        let wanted = desired(&target, "s", &json(r#"{"name":"a","settings":{"port":2}}"#));
        let changes = BTreeMap::from([(FieldPath::parse("/settings/port"), Value::from(2).canonical())]);
        let write = Write::Update { desired: &wanted, base: &items[0], changes: &changes, remove: &[], mark: None };
        target.write(&write, None).await.unwrap();
        assert_eq!(tape.asked.lock().unwrap()[1], sent);
    }
}
