//! What an API does behind its answer, as a task that says how it ended.

use std::collections::BTreeMap;

use ctl::manifest::api::ApiDescription;
use ctl::model::{OwnRule, Owned};
use ctl::target::{Outcome, Target as _, TargetError, Write};

use super::tape::{answer, desired, json, listed, scope, target};

const BY_ID: &str = "
api: t
base: /v1
errors: {message: /error}
types:
  s:
    path: /s/{name}
    update: {put: all}
    create: {post: /s, wait: {get: '/tasks/{task|last}', done: {/status: ok}, failed: {/status: [failed, cancelled]}, message: /why}}
    delete: {delete: '/s/{name}', wait: {header: Location, done: {/status: ok}, failed: {/status: failed}}}
";
const TASK: &str = r#"{"name":"a","task":"/v1/tasks/7"}"#;

#[tokio::test]
async fn a_task_is_looked_at_until_it_is_done_and_then_the_object() {
    let script = vec![
        answer(202, &[], TASK),
        answer(200, &[], r#"{"status":"running"}"#),
        answer(200, &[], r#"{"status":"ok"}"#),
    ];
    let (target, tape) = target(BY_ID, script);
    let wanted = desired(&target, "s", &json(r#"{"name":"a"}"#));
    let outcome = target.write(&Write::Create { desired: &wanted, mark: None }, None).await.unwrap();
    assert_eq!(outcome, Outcome::DoneUnseen, "what the answer showed was there before the task");
    let asked = tape.asked.lock().unwrap();
    assert_eq!(asked[0], r#"POST /v1/s {"name":"a"}"#);
    assert_eq!(asked[1..], ["GET /v1/tasks/7", "GET /v1/tasks/7"]);
}

#[tokio::test]
async fn a_task_that_failed_says_why() {
    for (task, why) in [
        (r#"{"status":"failed","why":" no such image "}"#, "the task behind it failed: no such image"),
        (r#"{"status":"cancelled","error":"by an operator"}"#, "the task behind it failed: by an operator"),
    ] {
        let (target, _) = target(BY_ID, vec![answer(202, &[], TASK), answer(200, &[], task)]);
        let wanted = desired(&target, "s", &json(r#"{"name":"a"}"#));
        let error = target.write(&Write::Create { desired: &wanted, mark: None }, None).await.unwrap_err();
        assert!(matches!(&error, TargetError::Invalid { excerpt, .. } if excerpt == why), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_202_and_names_no_task_is_all_there_is() {
    for body in [r#"{"name":"a"}"#, r#"{"name":"a","task":""}"#] {
        let (target, tape) = target(BY_ID, vec![answer(201, &[], body)]);
        let wanted = desired(&target, "s", &json(r#"{"name":"a"}"#));
        let outcome = target.write(&Write::Create { desired: &wanted, mark: None }, None).await.unwrap();
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        assert_eq!(tape.asked.lock().unwrap().len(), 1);
    }
    let (target, _) = target(BY_ID, vec![answer(202, &[], r#"{"job":3}"#)]);
    let wanted = desired(&target, "s", &json(r#"{"name":"a"}"#));
    let error = target.write(&Write::Create { desired: &wanted, mark: None }, None).await.unwrap_err();
    assert!(error.to_string().contains("nothing at `task` names the task behind it"), "{error}");
}

#[tokio::test]
async fn the_address_of_a_task_is_never_elsewhere() {
    let there = answer(200, &[], r#"[{"name":"a"}]"#);
    for (location, asked) in [
        ("http://127.0.0.1:8081/v1/tasks/9?x=1", Some("GET /v1/tasks/9?x=1")),
        ("/v1/tasks/9", Some("GET /v1/tasks/9")),
        ("http://127.0.0.2:8081/v1/tasks/9", None),
        ("//h/v1/tasks/9", None),
    ] {
        let accepted = answer(202, &[("location", location)], "{}");
        let (target, tape) = target(BY_ID, vec![there.clone(), accepted, answer(200, &[], r#"{"status":"failed"}"#)]);
        let items = listed(&target, &scope("s", None)).await;
        let id = desired(&target, "s", &json(r#"{"name":"a"}"#)).id;
        let owned = Owned::claim(items[0].clone(), None, OwnRule::Exclusive).unwrap();
        let error = target.write(&Write::Delete { id: &id, owned: &owned }, None).await.unwrap_err();
        assert_eq!(matches!(error, TargetError::Invalid { .. }), asked.is_some(), "{location}: {error:?}");
        assert_eq!(tape.asked.lock().unwrap().get(2).map(String::as_str), asked, "{location}");
    }
}

#[test]
fn a_task_that_cannot_be_understood_is_an_error_of_the_description() {
    for (wait, why) in [
        ("{get: /tasks, done: {/s: ok}}", "`done:` and `failed:`"),
        ("{done: {/s: ok}, failed: {/s: no}}", "`get: path` or `header: NAME`"),
        ("{get: /t, header: L, done: {/s: ok}, failed: {/s: no}}", "`get: path` or `header: NAME`"),
        ("{get: /t, done: {}, failed: {/s: no}}", "`done` takes"),
        ("{get: /t, done: {/s: ok}, failed: {/s: no}, status: x}", "unknown field `status`"),
    ] {
        let text = format!(
            "api: t\ntypes:\n  s: {{path: '/s/{{n}}', update: {{put: all}}, create: {{post: /s, wait: {wait}}}}}\n"
        );
        let errors = ApiDescription::parse("t.yaml", &text).unwrap_err();
        let told: BTreeMap<_, _> = errors.iter().map(|e| (&e.message, ())).collect();
        assert!(told.keys().any(|message| message.contains(why)), "{wait}: {told:?}");
    }
}
