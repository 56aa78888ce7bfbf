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
use ctl::net::{NetError, Transport};
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
        for name in ["if-match", "if-none-match"] {
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
        params: BTreeMap::new(),
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
