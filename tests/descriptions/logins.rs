//! Tokens are fetched, renewed and given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ctl::credentials::{Access, Auth};
use ctl::manifest::api::ApiDescription;
use ctl::model::{EndpointName, Secret};
use ctl::target::http::{HttpConfig, HttpTarget};
use ctl::target::{Target as _, TargetError, Write};
use ctl::world::Clock;

use super::tape::{Safe, answer, desired, json, scope, target_with};

pub(super) const LOGIN: &str = "
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

/// Calls that are all answered with 200, and an error in the body where there is one.
const CALLS: &str = r#"
api: t
ok: {/error: null}
errors: {message: /error/data}
auth: {login: {post: /rpc, body: {method: login, password: "{password}"}, token: /result}}
types:
  s:
    key: [name]
    list: {post: /rpc, body: {method: s.get}, items: /result, empty: missing}
    get: {get: "/rpc/{name}", item: /result, empty: missing}
    create: {post: /rpc, body: {method: s.create, params: {"*": all}}}
    update: none
    delete: {post: /rpc, body: {method: s.delete, params: ["{id}"]}}
"#;

#[tokio::test]
async fn an_error_in_a_200_is_no_empty_list_no_absent_object_no_write_and_no_login() {
    let refused = || answer(200, &[], r#"{"error":{"code":-32602,"data":"Not authorized."}}"#);
    let given = || answer(200, &[], r#"{"result":"abc"}"#);
    let params = BTreeMap::from([("password".to_owned(), "x".to_owned())]);
    let (target, tape) = target_with(CALLS, params, vec![refused(), given(), refused(), refused(), refused(), given()]);
    let denied = target.observe(&scope("s", None), None).await.unwrap_err();
    assert!(matches!(denied, TargetError::Denied { .. }), "{denied:?}");
    assert!(denied.to_string().contains("Not authorized."), "{denied}");
    let list = target.observe(&scope("s", None), None).await.unwrap_err().to_string();
    assert!(list.contains("`/error` is not what success looks like") && list.contains("Not authorized."), "{list}");
    let wanted = desired(&target, "s", &json(r#"{"name":"a"}"#));
    let one = target.read(&wanted.id, None).await.unwrap_err().to_string();
    assert!(one.contains("Not authorized."), "{one}");
    let write = Write::Create { desired: &wanted, mark: None };
    let made = target.write(&write, None).await.unwrap_err();
    assert!(matches!(made, TargetError::Invalid { .. }), "{made:?}");
    assert!(target.write(&write, None).await.is_ok(), "an answer without an error is a success");
    assert_eq!(tape.asked.lock().unwrap().len(), 6);
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
