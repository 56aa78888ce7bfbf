//! Secrets go into their fields and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ctl::credentials::{Access, Auth};
use ctl::manifest::api::ApiDescription;
use ctl::model::{EndpointName, FieldPath, Secret, SecretRef, Value};
use ctl::net::{Exchange, Paced, Tap, Tapped};
use ctl::target::http::{HttpConfig, HttpTarget};
use ctl::target::{Target as _, TargetError, Write};
use ctl::world::Clock;

use super::logins::LOGIN;
use super::tape::{Safe, Tape, answer, desired, json, listed, mark, scope, target};

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

#[tokio::test]
async fn a_secret_travels_in_the_form_of_its_field_and_is_hidden_in_it() {
    // base64 of `s3cret-value` is `czNjcmV0LXZhbHVl`.
    const TEXT: &str = "
api: t
types:
  s:
    path: /s/{name}
    write: {put: all}
    fields: {data: {secret: true, wire: b64}, settings: {wire: json}, /settings/password: {secret: true}}
  call:
    path: /c/{name}
    write: {put: '/c/{name}', body: {d: '{data}', e: '{settings}'}}
    fields: {data: {secret: true, wire: b64}, settings: {wire: json}, /settings/password: {secret: true}}
";
    let secret = || Value::Secret(SecretRef { name: "pw".into(), version: None });
    for (kind, sent) in [
        (
            "s",
            r#"PUT /s/a {"data":"czNjcmV0LXZhbHVl","name":"a","settings":"{\"password\":\"s3cret-value\",\"port\":1}"}"#,
        ),
        ("call", r#"PUT /c/a {"d":"czNjcmV0LXZhbHVl","e":"{\"password\":\"s3cret-value\",\"port\":1}"}"#),
    ] {
        let echo = r#"{"error":"czNjcmV0LXZhbHVl and {\"password\":\"s3cret-value\",\"port\":1} are weak"}"#;
        let (target, tape) = target(TEXT, vec![answer(400, &[], echo)]);
        let settings: Value = [("password", secret()), ("port", Value::from(1))].into_iter().collect();
        let body = [("name", Value::from("a")), ("data", secret()), ("settings", settings)].into_iter().collect();
        let wanted = desired(&target, kind, &body);
        let error = target.write(&Write::Create { desired: &wanted, mark: None }, None).await.unwrap_err().to_string();
        assert_eq!(tape.asked.lock().unwrap()[0], sent);
        assert!(error.contains("are weak") && !error.contains("s3cret") && !error.contains("czNj"), "{error}");
    }
    let number = "api: t\ntypes:\n  s: {path: '/s/{name}', fields: {pin: {secret: true, wire: int}}}\n";
    let errors = ApiDescription::parse("t.yaml", number).unwrap_err();
    assert!(errors[0].message.contains("a secret travels as it is"), "{errors:?}");
}
