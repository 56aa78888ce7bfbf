//! Servers with habits of their own, as a first user of a description comes across them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, Fake, plain};
use crate::hostile::{project_at, thing};
use crate::sandbox::Sandbox;

type Things = Arc<Mutex<BTreeMap<String, Value>>>;

/// A server that keeps things under `/things`. `take` says what a write makes of what is there.
struct Server {
    fake: Fake,
    things: Things,
}

impl Server {
    fn new(take: impl Fn(&Asked, Option<&Value>, Value) -> Value + Send + Sync + 'static) -> Self {
        let things = Things::default();
        let kept = Arc::clone(&things);
        let fake = Fake::scripted(move |asked| Some(Self::answer(&mut kept.lock().unwrap(), asked, &take)));
        Self { fake, things }
    }

    fn answer(
        things: &mut BTreeMap<String, Value>,
        asked: &Asked,
        take: &impl Fn(&Asked, Option<&Value>, Value) -> Value,
    ) -> Answer {
        let name = asked.path.trim_start_matches("/things").trim_start_matches('/').to_owned();
        let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let (status, body) = match asked.method.as_str() {
            "GET" if name.is_empty() => (200, Value::Array(things.values().cloned().collect())),
            "GET" => match things.get(&name) {
                Some(thing) => (200, thing.clone()),
                None => (404, json!({})),
            },
            "DELETE" => (if things.remove(&name).is_some() { 200 } else { 404 }, json!({})),
            _ => {
                let name = if name.is_empty() { sent["name"].as_str().unwrap_or_default().to_owned() } else { name };
                let mut thing = take(asked, things.get(&name), sent);
                thing["name"] = json!(name);
                things.insert(name, thing);
                (200, json!({"ok": true}))
            }
        };
        plain(status, "", &body.to_string())
    }

    fn sandbox(&self, types: &str) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("apis/fake.yaml", &format!("api: fake\ntypes:\n  thing: {types}\n"));
        project_at(&sandbox, &self.fake.url(), "");
        sandbox
    }

    fn thing(&self, name: &str) -> Value {
        self.things.lock().unwrap()[name].clone()
    }
}

/// As a PATCH often is: the fields that it names are replaced whole, whatever is in them.
fn replaces_what_it_names(_: &Asked, there: Option<&Value>, sent: Value) -> Value {
    let mut thing = there.cloned().unwrap_or(json!({}));
    sent.as_object().unwrap().iter().for_each(|(name, value)| thing[name] = value.clone());
    thing
}

const DEEP: &str = "labels: {team: shop, tier: web}, size: 1";
const DEEPER: &str = "labels: {team: core, tier: web}, size: 1";

#[test]
fn a_member_that_a_write_takes_along_is_told_and_not_taken_for_a_spelling() {
    let server = Server::new(replaces_what_it_names);
    let sandbox = server.sandbox("{path: \"/things/{name}\", update: {patch: changes}}");
    sandbox.write("manifests/a.yaml", &thing("a", DEEP)).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/a.yaml", &thing("a", DEEPER)).commit("two");
    sandbox
        .run(["apply", "--yes"])
        .exits(1)
        .says("`/labels/tier` is no longer as declared since this write")
        .says("say `fields` instead of `changes`");
    sandbox.run(["plan"]).exits(0).says("1 to update");
}

#[test]
fn fields_travel_whole_where_a_write_replaces_them() {
    let server = Server::new(replaces_what_it_names);
    let sandbox = server.sandbox("{path: \"/things/{name}\", update: {patch: fields}}");
    sandbox.write("manifests/a.yaml", &thing("a", DEEP)).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0);
    server.things.lock().unwrap().get_mut("a").unwrap()["labels"]["by-hand"] = json!("kept");
    sandbox.write("manifests/a.yaml", &thing("a", DEEPER)).commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
    assert_eq!(server.thing("a")["labels"], json!({"team": "core", "tier": "web", "by-hand": "kept"}));
    sandbox.write("manifests/a.yaml", &thing("a", "labels: {tier: web}, size: 1")).commit("three");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    assert_eq!(server.thing("a")["labels"], json!({"tier": "web", "by-hand": "kept"}));
    let written = server.fake.asked();
    let last = written.iter().rfind(|asked| asked.method == "PATCH").unwrap();
    assert!(!String::from_utf8_lossy(&last.body).contains("size"), "what does not differ is not sent");
}

#[test]
fn an_update_that_changes_nothing_is_no_success() {
    let server = Server::new(|_, there, sent| there.cloned().unwrap_or(sent));
    let sandbox = server.sandbox("{path: \"/things/{name}\", update: {put: all}}");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.write("manifests/a.yaml", &thing("a", "size: 2")).commit("two");
    for _ in 0..2 {
        sandbox
            .run(["apply", "--yes"])
            .exits(1)
            .says("answered with success, and `/size` is as it was before: 1")
            .says("`envelope`, `spec`");
    }
    sandbox.run(["plan"]).exits(0).says("1 to update");
}

#[test]
fn a_field_that_was_dropped_is_wanted_again() {
    let server = Server::new(|_, _, mut sent| {
        sent.as_object_mut().unwrap().remove("colour");
        sent.as_object_mut().unwrap().retain(|_, value| *value != json!(""));
        sent
    });
    let sandbox = server.sandbox("{path: \"/things/{name}\", write: {put: all}}");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1, note: \"\", colour: red")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.run(["plan"]).exits(0).says("colour").says("1 to update");
    sandbox.run(["apply", "--yes"]).exits(1).says("`/colour` is as it was before: not there").says("say `initial`");
}

#[test]
fn a_list_of_bare_names_is_a_list() {
    let names = Arc::new(Mutex::new(vec!["theirs".to_owned()]));
    let kept = Arc::clone(&names);
    let fake = Fake::scripted(move |asked| {
        let mut names = kept.lock().unwrap();
        let name = asked.path.trim_start_matches('/').to_owned();
        let body = match asked.method.as_str() {
            "GET" => json!(*names),
            "PUT" => {
                names.push(name);
                json!({"ok": true})
            }
            _ => {
                names.retain(|there| *there != name);
                json!({"ok": true})
            }
        };
        Some(plain(200, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\ntypes:\n  thing: {path: \"/{name}\", list: {get: /_all, shape: names}, get: none, create: {put: none}, update: none}\n",
    );
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "")).write("manifests/b.yaml", &thing("b", "")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("2 created");
    sandbox.run(["plan"]).exits(0).says("Nothing to do: 2 resources");
    sandbox.remove("manifests/b.yaml").commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    assert_eq!(*names.lock().unwrap(), ["theirs", "a"]);
}

#[test]
fn a_revision_goes_into_the_body_of_a_write_and_the_query_of_a_delete() {
    let things = Things::default();
    let kept = Arc::clone(&things);
    let fake = Fake::scripted(move |asked| {
        let mut things = kept.lock().unwrap();
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let name = path.trim_start_matches("/shop/").to_owned();
        let mut sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let revision = things.get(&name).map(|thing| thing["_rev"].clone());
        let given = if query.is_empty() { sent["_rev"].clone() } else { json!(query.trim_start_matches("rev=")) };
        let (status, body) = match asked.method.as_str() {
            "GET" if path == "/_all_dbs" => (200, json!(["_users", "shop"])),
            "POST" => {
                let skip = usize::try_from(sent["skip"].as_u64().unwrap_or(0)).unwrap();
                (200, json!({"docs": things.values().skip(skip).collect::<Vec<_>>()}))
            }
            "GET" => things.get(&name).map_or((404, json!({})), |thing| (200, thing.clone())),
            _ if revision.clone().unwrap_or_default() != given => (409, json!({"reason": "Document update conflict."})),
            "DELETE" => (200, json!({"ok": things.remove(&name).is_some()})),
            _ => {
                let count = revision.and_then(|r| r.as_str()?.parse::<u32>().ok()).unwrap_or(0) + 1;
                (sent["_rev"], sent["_id"]) = (json!(count.to_string()), json!(name));
                things.insert(name, sent);
                (201, json!({"ok": true}))
            }
        };
        Some(plain(status, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", include_str!("../../examples/apis/documents.yaml"));
    project_at(&sandbox, &fake.url(), "    values: {db: shop}\n");
    let document = |spec: &str| format!("apiVersion: fake\nkind: document\nmetadata: {{name: a}}\nspec: {{{spec}}}\n");
    sandbox.write("manifests/db.yaml", "apiVersion: fake\nkind: database\nmetadata: {name: shop}\nspec: {}\n");
    sandbox.write("manifests/a.yaml", &document("size: 1")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created").says("1 adopted");
    sandbox.write("manifests/a.yaml", &document("size: 2")).commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    assert_eq!(things.lock().unwrap()["a"], json!({"_id": "a", "_rev": "2", "size": 2}));
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
    sandbox.remove("manifests/a.yaml").commit("three");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    assert!(things.lock().unwrap().is_empty());
}

#[test]
fn answers_may_be_wrapped_where_bodies_are_not() {
    let server = Server::new(|_, _, sent| sent);
    let things = Arc::clone(&server.things);
    let fake = Fake::scripted(move |asked| {
        let mut things = things.lock().unwrap();
        let name = asked.path.trim_start_matches("/things").trim_start_matches('/').to_owned();
        let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let body = match asked.method.as_str() {
            "GET" if name.is_empty() => json!(things.values().collect::<Vec<_>>()),
            "GET" => json!(things.get(&name)),
            _ => {
                let name = if name.is_empty() { sent["name"].as_str().unwrap().to_owned() } else { name };
                things.insert(name, sent.clone());
                sent
            }
        };
        Some(plain(200, "", &json!({"result": body, "success": true}).to_string()))
    });
    let sandbox = server.sandbox("{path: \"/things/{name}\", envelope: {answer: /result}, update: {put: all}}");
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 2")).commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
    assert_eq!(server.thing("a"), json!({"name": "a", "size": 2}));
}

/// A door that answers with a token where `place` says, and lets in who brings it back so.
fn door(place: &'static str, brings: &'static str) -> Fake {
    Fake::scripted(move |asked| {
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        Some(match asked.path.as_str() {
            "/login" if body.contains("right") => plain(201, place, "{}"),
            "/login" => plain(400, "", r#"{"message":"no such pair"}"#),
            _ if asked.head.to_lowercase().contains(brings) => plain(200, "", "[]"),
            _ => plain(401, "", "{}"),
        })
    })
}

fn visitor(url: &str, token: &str, password: &str) -> Sandbox {
    let api = format!(
        "api: fake\nauth: {{login: {{post: /login, body: {{u: \"{{user}}\", p: \"{{password}}\"}}, {token}}}}}\nerrors: {{message: /message}}\ntypes:\n  thing: {{path: \"/things/{{name}}\", write: {{put: all}}}}\n"
    );
    let digest = ctl::model::Digest::of(api.as_bytes());
    let operator = format!(
        "credentials:\n  it: {{hosts: [\"{url}\"], basic: {{user: me, password: {password}}}, api: \"sha256:{digest}\"}}\n"
    );
    let sandbox = Sandbox::new().env("CTL_CREDENTIALS_YAML", operator);
    sandbox.write("apis/fake.yaml", &api);
    project_at(&sandbox, url, "    credentials: it\n");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one");
    sandbox
}

#[test]
fn a_login_may_answer_with_a_header_or_a_cookie() {
    for (place, token, brings) in [
        (
            "X-Subject-Token: t-0815\r\n",
            "token: {header: X-Subject-Token}, header: X-Auth-Token",
            "x-auth-token: t-0815",
        ),
        ("Set-Cookie: sid=abc; Path=/; HttpOnly\r\n", "token: {cookie: sid}", "cookie: sid=abc"),
    ] {
        let fake = door(place, brings);
        visitor(&fake.url(), token, "right").run(["plan"]).exits(0).says("1 to create");
        let ran = visitor(&fake.url(), "token: /token", "right").run(["plan"]).exits(3);
        ran.says("the login's answer has no token at `/token`");
    }
}

#[test]
fn a_login_that_is_called_a_bad_request_is_about_the_credential() {
    let fake = door("", "never");
    let ran = visitor(&fake.url(), "token: {cookie: sid}", "wrong").run(["plan"]).exits(4);
    ran.says("no such pair").says("credential `it`");
}

#[test]
fn a_missing_parameter_is_told_with_the_word_that_gives_it() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\nparams: [db]\ntypes:\n  thing: {path: \"/{db}/{name}\", write: {put: all}}\n",
    );
    project_at(&sandbox, "http://127.0.0.1:9", "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one");
    sandbox.run(["plan"]).warns("values: {db: …}");
}

#[test]
fn a_create_whose_answer_is_lost_is_sent_again_under_the_same_key() {
    // What was made, each under its key, and all keys that came.
    type Made = (BTreeMap<String, Value>, Vec<String>);
    let made: Arc<Mutex<Made>> = Arc::default();
    let kept = Arc::clone(&made);
    let fake = Fake::scripted(move |asked| {
        let mut state = kept.lock().unwrap();
        let (made, keys) = &mut *state;
        if asked.method == "GET" {
            // The list lags: looking first does not help.
            let shown: Vec<&Value> = made.values().filter(|_| keys.len() != 1).collect();
            return Some(plain(200, "", &json!(shown).to_string()));
        }
        let line = asked.head.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
        let key = line.unwrap_or_default().to_owned();
        keys.push(key.clone());
        if made.contains_key(&key) {
            return Some(plain(201, "", "{}"));
        }
        made.insert(key, serde_json::from_slice(&asked.body).unwrap());
        // Made, and the answer is lost.
        Some(Box::new(|_| {}))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\nidempotency-key: Idempotency-Key\ntypes:\n  thing: {path: \"/things/{id}\", key: [name], update: {put: all}}\n",
    );
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    let state = made.lock().unwrap();
    let (made, keys) = &*state;
    assert_eq!((made.len(), keys.len()), (1, 2), "{keys:?}");
    assert!(keys[0].starts_with("ctl-") && keys[0] == keys[1], "{keys:?}");
}

#[test]
fn a_template_pours_what_differs_or_what_is_there() {
    let document = Arc::new(Mutex::new(json!({"data": []})));
    let kept = Arc::clone(&document);
    let fake = Fake::scripted(move |asked| {
        let mut document = kept.lock().unwrap();
        let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        match asked.method.as_str() {
            "GET" => {}
            "POST" => {
                let mut thing = sent["data"].clone();
                thing["id"] = json!("7");
                document["data"] = json!([thing]);
            }
            _ => {
                let data = &sent["data"];
                assert_eq!((&data["id"], &data["type"]), (&json!("7"), &json!("things")));
                let there = &mut document["data"][0]["attributes"];
                data["attributes"].as_object().unwrap().iter().for_each(|(name, value)| there[name] = value.clone());
            }
        }
        let body = if asked.path == "/things" { document.clone() } else { json!({"data": document["data"][0]}) };
        Some(plain(200, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "
api: fake
types:
  thing:
    path: /things/{id}
    key: [/attributes/title]
    list: {get: /things, items: /data}
    get: {get: \"/things/{id}\", item: /data}
    create: {post: /things, body: {data: {type: things, \"*\": all}}}
    update: {patch: \"/things/{id}\", body: {data: {type: things, id: \"{id}\", \"*\": changes}}}
",
    );
    project_at(&sandbox, &fake.url(), "");
    let manifest = |size: u32| {
        format!("apiVersion: fake\nkind: thing\nspec: {{attributes: {{title: a, size: {size}, note: x}}}}\n")
    };
    sandbox.write("manifests/a.yaml", &manifest(1)).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    document.lock().unwrap()["data"][0]["attributes"]["theirs"] = json!(true);
    sandbox.write("manifests/a.yaml", &manifest(2)).commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
    let attributes = document.lock().unwrap()["data"][0]["attributes"].clone();
    assert_eq!(attributes, json!({"title": "a", "size": 2, "note": "x", "theirs": true}));
    let asked = fake.asked();
    let last = asked.iter().rfind(|asked| asked.method == "PATCH").unwrap();
    assert!(!String::from_utf8_lossy(&last.body).contains("note"), "what does not differ is not sent");
}

#[test]
fn what_goes_on_behind_a_202_is_waited_for() {
    let things: Arc<Mutex<BTreeMap<String, (Value, u32)>>> = Arc::default();
    let kept = Arc::clone(&things);
    let fake = Fake::scripted(move |asked| {
        let mut things = kept.lock().unwrap();
        let name = asked.path.trim_start_matches("/things").trim_start_matches('/').to_owned();
        let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        // Each look brings the work further by one step.
        let looked = |thing: &mut (Value, u32)| {
            thing.1 = thing.1.saturating_sub(1);
            if thing.1 == 0 && thing.0["status"] != json!("DELETING") {
                thing.0["status"] = json!("ACTIVE");
            }
            thing.0.clone()
        };
        let (status, body) = match asked.method.as_str() {
            "GET" if name.is_empty() => (200, json!(things.values().map(|(thing, _)| thing).collect::<Vec<_>>())),
            "GET" => match things.get_mut(&name) {
                Some((thing, left)) if *left <= 1 && thing["status"] == json!("DELETING") => {
                    things.remove(&name);
                    (404, json!({}))
                }
                Some(thing) => (200, looked(thing)),
                None => (404, json!({})),
            },
            "DELETE" => {
                let thing = things.get_mut(&name).unwrap();
                (thing.0["status"], thing.1) = (json!("DELETING"), 3);
                (202, json!({}))
            }
            _ => {
                let mut thing = sent;
                thing["status"] = json!("PENDING");
                things.insert(name, (thing, 3));
                (202, json!({}))
            }
        };
        Some(plain(status, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "
api: fake
types:
  thing:
    path: /things/{name}
    server: [status]
    write: {put: all, wait: {/status: ACTIVE}}
    delete: {delete: \"/things/{name}\", wait: gone}
",
    );
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).write("manifests/b.yaml", &thing("b", "")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("2 created");
    assert!(things.lock().unwrap().values().all(|(thing, _)| thing["status"] == json!("ACTIVE")));
    sandbox.remove("manifests/a.yaml").commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted");
    assert_eq!(things.lock().unwrap().keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn bodies_may_be_forms_or_texts_and_an_empty_list_a_404() {
    let values: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let kept = Arc::clone(&values);
    let fake = Fake::scripted(move |asked| {
        let mut values = kept.lock().unwrap();
        let name = asked.path.trim_start_matches("/kv").trim_start_matches('/').to_owned();
        let (status, body) = match asked.method.as_str() {
            "GET" if name.is_empty() && values.is_empty() => (404, Value::Null),
            "GET" if name.is_empty() => {
                (200, values.iter().map(|(name, value)| json!({"name": name, "value": value})).collect())
            }
            "GET" => values.get(&name).map_or((404, Value::Null), |value| (200, json!({"name": name, "value": value}))),
            "DELETE" => (200, json!(values.remove(&name).is_some())),
            _ => {
                values.insert(name, String::from_utf8(asked.body.clone()).unwrap());
                (200, json!(true))
            }
        };
        Some(plain(status, "", &body.to_string()))
    });
    let api = |write: &str| {
        format!(
            "api: fake\ntypes:\n  thing: {{path: \"/kv/{{name}}\", list: {{get: /kv, empty: 404}}, write: {{put: \"/kv/{{name}}\", {write}}}}}\n"
        )
    };
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", &api("content: text, body: \"{value}\", ok: {\"\": true}"));
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "value: \"a \\\"word\\\"\"")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    assert_eq!(values.lock().unwrap()["a"], "a \"word\"");
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
    sandbox.write("apis/fake.yaml", &api("content: form, body: {v: \"{value}\", list: [1, 2], map: {x: y}}"));
    sandbox.write("manifests/a.yaml", &thing("b", "value: a&b")).commit("two");
    sandbox.run(["apply", "--yes"]);
    assert_eq!(values.lock().unwrap()["b"], "list=1&list=2&map%5Bx%5D=y&v=a%26b");
    let asked = fake.asked();
    let kinds: Vec<&str> =
        asked.iter().filter_map(|a| a.head.lines().find(|l| l.starts_with("content-type"))).collect();
    assert_eq!(kinds, ["content-type: text/plain; charset=utf-8", "content-type: application/x-www-form-urlencoded"]);
}
