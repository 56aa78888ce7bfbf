//! Descriptions that say too little, or not what is meant: what is told of them, and what is not done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, Fake, plain};
use crate::hostile::{project_at, thing};
use crate::sandbox::Sandbox;

type Things = Arc<Mutex<BTreeMap<String, Value>>>;

/// Things under `/things`, of which the list shows these members only.
fn store(shown: &'static [&'static str]) -> (Fake, Things) {
    let things = Things::default();
    let kept = Arc::clone(&things);
    let fake = Fake::scripted(move |asked| Some(kept_in(&mut kept.lock().unwrap(), asked, shown)));
    (fake, things)
}

fn kept_in(things: &mut BTreeMap<String, Value>, asked: &Asked, shown: &[&str]) -> Answer {
    let path = asked.path.split('?').next().unwrap_or_default();
    let name = path.strip_prefix("/things/").unwrap_or_default().to_owned();
    let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let part = |thing: &Value| -> Value {
        let members = thing.as_object().unwrap().iter().filter(|(name, _)| shown.contains(&name.as_str()));
        members.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let (status, body) = match (asked.method.as_str(), name.as_str()) {
        ("GET", "") => (200, json!(things.values().map(part).collect::<Vec<_>>())),
        ("POST", "") => {
            things.insert(sent["name"].as_str().unwrap().to_owned(), sent.clone());
            (201, sent)
        }
        ("GET", name) if things.contains_key(name) => (200, things[name].clone()),
        ("PUT", name) if things.contains_key(name) => {
            things.insert(name.to_owned(), sent.clone());
            (200, sent)
        }
        ("PATCH", name) if things.contains_key(name) => {
            let thing = things.get_mut(name).unwrap();
            for (name, value) in sent.as_object().unwrap() {
                thing[name] = value.clone();
            }
            thing.as_object_mut().unwrap().retain(|_, value| value != &json!("gone"));
            (200, thing.clone())
        }
        _ => (404, json!({})),
    };
    plain(status, "", &body.to_string())
}

fn described(fake: &Fake, kind: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", &format!("api: fake\ntypes:\n  thing: {{path: \"/things/{{name}}\", {kind}}}\n"));
    project_at(&sandbox, &fake.url(), "");
    sandbox
}

#[test]
fn a_list_that_leaves_out_what_an_object_has_is_no_knowledge_of_it() {
    let (fake, things) = store(&["name"]);
    let sandbox = described(&fake, "update: {patch: changes}");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    sandbox.run(["plan"]).exits(3).says("the list leaves out `size`").says("summary: true");
    let writes = fake.writes();
    sandbox.run(["apply", "--yes"]).exits(3);
    assert_eq!(fake.writes(), writes, "nothing is written");
    let summary =
        "api: fake\ntypes:\n  thing: {path: \"/things/{name}\", list: {summary: true}, update: {patch: changes}}\n";
    sandbox.write("apis/fake.yaml", summary).commit("two");
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
    things.lock().unwrap().get_mut("a").unwrap()["size"] = json!(2);
    sandbox.run(["plan"]).exits(0).says("size: 2 → 1");
}

/// What the list leaves out would be taken away by a write that sends back what was read.
#[test]
fn what_a_list_leaves_out_survives_updates_that_send_back_what_was_read() {
    let (fake, things) = store(&["name", "size"]);
    let sandbox = described(&fake, "update: {put: merged}");
    for name in ["a", "b", "c"] {
        things.lock().unwrap().insert(name.to_owned(), json!({"name": name, "size": 1, "note": "by hand"}));
        sandbox.write(&format!("manifests/{name}.yaml"), &thing(name, "size: 2"));
    }
    sandbox.commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("3 updated");
    let expected = |name: &str| json!({"name": name, "size": 2, "note": "by hand"});
    for name in ["a", "b", "c"] {
        assert_eq!(things.lock().unwrap()[name], expected(name));
    }
}

#[test]
fn a_field_that_nothing_clears_is_told_with_the_plan() {
    for (update, more, told) in [
        ("put: changes", "", true),
        ("put: {size: \"{size}\", name: \"{name}\"}", "", true),
        ("patch: changes", "", false),
        ("patch: changes", "fields: {\"/*\": {absent: gone}}", false),
        ("put: all", "", false),
    ] {
        let (fake, things) = store(&["name", "size"]);
        let sandbox = described(&fake, &format!("update: {{{update}}}, {more}"));
        sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("one");
        sandbox.run(["apply", "--yes"]).exits(0);
        sandbox.write("manifests/a.yaml", &thing("a", "")).commit("two");
        let plan = sandbox.run(["plan"]).exits(0).says("removed");
        assert_eq!(plan.stdout.contains("not-cleared"), told, "{update}: {}", plan.stdout);
        if told {
            sandbox.run(["apply", "--yes"]).exits(1).says("`/size` is no longer stated");
            assert_eq!(things.lock().unwrap()["a"]["size"], json!(1));
        }
        if more.contains("gone") {
            sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
            assert_eq!(things.lock().unwrap()["a"], json!({"name": "a"}));
        }
    }
}

#[test]
fn pages_by_links_are_asked_for_in_the_size_that_is_said() {
    let fake = Fake::scripted(|asked| {
        let (link, body) = match asked.path.as_str() {
            "/things?per_page=2" => {
                ("link: </things?per_page=2&page=2>; rel=\"next\"\r\n", json!([{"name": "a"}, {"name": "b"}]))
            }
            "/things?per_page=2&page=2" => ("", json!([{"name": "c"}])),
            _ => return Some(plain(400, "", "{}")),
        };
        Some(plain(200, link, &body.to_string()))
    });
    let sandbox = described(&fake, "page: {link: next, size: {per_page: 2}}, write: {put: all}");
    sandbox.write("manifests/a.yaml", &thing("c", "")).commit("one");
    sandbox.run(["plan"]).exits(0).says("1 to adopt");
}

#[test]
fn an_object_that_is_known_by_its_address_alone_is_changed_and_deleted_there() {
    let things: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&things);
    let fake = Fake::scripted(move |asked| {
        let mut things = kept.lock().unwrap();
        let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let at = things.iter().position(|thing| thing["href"] == json!(asked.path));
        let (status, body) = match (asked.method.as_str(), asked.path.as_str(), at) {
            ("GET", "/v1/things/", _) => (200, json!(*things)),
            ("POST", "/v1/things/", _) => {
                let mut made = sent.clone();
                made["href"] = json!(format!("/v1/things/id-{}/", sent["name"].as_str().unwrap()));
                things.push(made.clone());
                (201, made)
            }
            ("GET", _, Some(at)) => (200, things[at].clone()),
            ("PATCH", _, Some(at)) => {
                things[at]["size"] = sent["size"].clone();
                (200, things[at].clone())
            }
            ("DELETE", _, Some(at)) => (200, things.remove(at)),
            _ => (404, json!({})),
        };
        Some(plain(status, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    let api = "api: fake\nbase: /v1\ntypes:\n  thing: {path: \"/things/{href|last}/\", key: [name], uid: href, update: {patch: changes}}\n";
    sandbox.write("apis/fake.yaml", api);
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).write("manifests/b.yaml", &thing("b", "size: 1"));
    sandbox.commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("2 created");
    sandbox.write("manifests/b.yaml", &thing("b", "size: 2")).remove("manifests/a.yaml").commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 deleted, 1 updated");
    assert_eq!(*things.lock().unwrap(), [json!({"name": "b", "size": 2, "href": "/v1/things/id-b/"})]);
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
}

/// A server that makes its ids itself would be given the rest of its list once more by each run.
#[test]
fn a_first_page_is_never_taken_for_all_there_is() {
    for (list, link, page) in [
        ("/things", "link: </things?page=2>; rel=\"next\"\r\n", json!([{"name": "a"}])),
        ("{get: /things, items: /items}", "", json!({"items": [{"name": "a"}], "meta": {"total": 2}})),
    ] {
        let fake = Fake::scripted(move |_| Some(plain(200, link, &page.to_string())));
        let sandbox = described(&fake, &format!("list: {list}, write: {{put: all}}"));
        sandbox.write("manifests/a.yaml", &thing("b", "")).commit("one");
        sandbox.run(["plan"]).exits(3).says("says that there is more than these 1").says("page: none");
        sandbox.run(["apply", "--yes"]).exits(3);
        assert_eq!(fake.writes(), 0);
        let whole = format!(
            "api: fake\ntypes:\n  thing: {{path: \"/things/{{name}}\", list: {list}, page: none, write: {{put: all}}}}\n"
        );
        sandbox.write("apis/fake.yaml", &whole).commit("two");
        sandbox.run(["plan"]).exits(0).says("1 to create");
    }
}

#[test]
fn settings_that_come_with_what_they_are_in_are_written_in_the_same_run() {
    let state = Arc::new(Mutex::new(None::<Value>));
    let kept = Arc::clone(&state);
    let fake = Fake::scripted(move |asked| {
        let mut state = kept.lock().unwrap();
        let (status, body) = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/things") => (200, json!(state.iter().map(|_| json!({"name": "a"})).collect::<Vec<_>>())),
            ("POST", "/things") => {
                *state = Some(json!({"limit": 1}));
                (201, json!({"name": "a"}))
            }
            (method, "/things/a/settings") => match state.as_mut() {
                Some(settings) if method == "PUT" => {
                    *settings = serde_json::from_slice(&asked.body).unwrap();
                    (200, settings.clone())
                }
                Some(settings) => (200, settings.clone()),
                None => (404, json!({})),
            },
            _ => (404, json!({})),
        };
        Some(plain(status, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    let api = "api: fake
types:
  thing: {path: \"/things/{name}\", update: none, get: none}
  settings:
    in: thing
    key: [thing]
    list: {get: \"/things/{thing}/settings\", shape: one}
    write: {put: \"/things/{thing}/settings\"}
";
    sandbox.write("apis/fake.yaml", api);
    project_at(&sandbox, &fake.url(), "");
    let settings = "---\napiVersion: fake\nkind: settings\nspec: {thing: a, limit: 5}\n";
    sandbox.write("manifests/a.yaml", &(thing("a", "") + settings)).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("2 created");
    assert_eq!(*state.lock().unwrap(), Some(json!({"limit": 5})));
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
}

/// A list without ETags serves one update, which asks for its object, and must not fail two that could share a list.
#[test]
fn updates_of_objects_that_bear_their_etags_alone_are_guarded_by_them() {
    let things: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let kept = Arc::clone(&things);
    let fake = Fake::scripted(move |asked| {
        let mut things = kept.lock().unwrap();
        let answer = kept_in(&mut things, asked, &["name", "size"]);
        let one = asked.path.strip_prefix("/things/").and_then(|name| things.get(name));
        match (asked.method.as_str(), one) {
            ("GET", Some(thing)) => {
                let tag = format!("etag: \"{}\"\r\n", thing["size"]);
                Some(plain(200, &tag, &thing.to_string()))
            }
            _ => Some(answer),
        }
    });
    let sandbox = described(&fake, "etag: if-match, update: {put: all}");
    for name in ["a", "b", "c"] {
        things.lock().unwrap().insert(name.to_owned(), json!({"name": name, "size": 1}));
        sandbox.write(&format!("manifests/{name}.yaml"), &thing(name, "size: 2"));
    }
    sandbox.commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("3 updated");
    let puts: Vec<Asked> = fake.asked().into_iter().filter(|asked| asked.method == "PUT").collect();
    assert!(puts.len() == 3 && puts.iter().all(|put| put.head.contains("if-match: \"1\"")), "{puts:?}");
}
