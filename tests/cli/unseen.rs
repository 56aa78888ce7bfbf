//! What a first user of an API of his own comes across.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake::{Asked, Fake, plain};
use crate::hostile::{project_at, thing};
use crate::sandbox::Sandbox;

const PROJECT: &str = "\
apiVersion: ctl/v1
kind: Project
metadata: {name: shop}
manifests: [manifests/]
targets:
  edge: {api: ctl, url: embedded}
";

#[test]
fn the_last_manifest_may_go_with_its_folder() {
    let sandbox = Sandbox::new();
    sandbox.write("ctl.yaml", PROJECT);
    sandbox
        .write("manifests/a.yaml", "apiVersion: ctl\nkind: service\nmetadata: {name: a}\nspec: {host: a.internal}\n")
        .commit("one");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("none");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(7).json();
    let sum = plan["deletes_checksum"].as_str().unwrap();
    sandbox.run(["apply", "--yes", "--allow-deletes", sum]).exits(0).says("1 deleted");
    sandbox.run(["plan"]).exits(0).says("Nothing to do: 0 resources").warns("missing-folder");
}

#[test]
fn a_folder_that_never_was_is_a_slip() {
    let sandbox = Sandbox::new();
    sandbox.write("ctl.yaml", PROJECT).commit("no manifests");
    sandbox.run(["plan"]).exits(6).warns("missing-folder");
}

fn query(asked: &Asked, name: &str) -> Option<usize> {
    let (_, query) = asked.path.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// Seven things, at most three in an answer, however many were asked for. The first item is called `first`.
fn miserly(first: usize, total: bool) -> Fake {
    Fake::scripted(move |asked| {
        if asked.method != "GET" || !asked.path.starts_with("/things?") {
            return None;
        }
        let from = query(asked, "from").unwrap_or(first).saturating_sub(first);
        let page: Vec<Value> = (from..7.min(from + 3)).map(|n| json!({"name": format!("t{n}")})).collect();
        let mut body = json!({"items": page});
        if total {
            body["total"] = json!(7);
        }
        Some(plain(200, "", &body.to_string()))
    })
}

fn paged(fake: &Fake, page: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let list = format!("{{get: /things, items: /items, page: {{{page}, size: {{count: 500}}}}}}");
    let api =
        format!("api: fake\ntypes:\n  thing: {{path: \"/things/{{name}}\", list: {list}, write: {{put: all}}}}\n");
    sandbox.write("apis/fake.yaml", &api);
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("t6", "")).commit("one");
    sandbox
}

#[test]
fn a_server_that_gives_less_than_it_is_asked_for_is_read_to_its_end() {
    for (first, total, page, asked) in [
        (0, true, "offset: from, total: /total", 3),
        (1, true, "offset: from, start: 1, until: short, total: /total", 3),
        (0, false, "offset: from", 4),
    ] {
        let fake = miserly(first, total);
        paged(&fake, page).run(["plan"]).exits(0).says("1 to adopt");
        assert_eq!(fake.asked().iter().filter(|a| a.path.starts_with("/things?")).count(), asked, "{page}");
    }
}

#[test]
fn a_server_that_does_not_go_by_the_offset_is_asked_twice_and_not_for_ever() {
    let fake = miserly(0, false);
    paged(&fake, "offset: skip").run(["plan"]).says("this page holds what the one before did");
    assert_eq!(fake.asked().len(), 2);
}

#[test]
fn a_kind_says_that_its_list_has_no_pages_where_the_others_have() {
    let fake = Fake::scripted(|asked| {
        let body = match asked.path.as_str() {
            "/groups?count=500&from=0" => json!({"data": [{"name": "g"}], "total": 1}),
            "/groups/g" => json!({"name": "g", "things": ["a", "b"]}),
            _ => return None,
        };
        Some(plain(200, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake
envelope: /data
page: {offset: from, size: {count: 500}, total: /total}
types:
  group: {path: \"/groups/{name}\", write: {put: all}}
  thing:
    in: group
    key: [group, name]
    envelope: none
    page: none
    list: {get: \"/groups/{group}\", items: /things, shape: names}
    create: {post: \"/groups/{group}/things\", body: [\"{name}\"]}
    update: none
    delete: none
",
    );
    project_at(&sandbox, &fake.url(), "");
    let group = "apiVersion: fake\nkind: group\nmetadata: {name: g}\nspec: {}\n";
    sandbox.write("manifests/g.yaml", group).write("manifests/a.yaml", &thing("a", "group: g")).commit("one");
    sandbox.run(["plan"]).exits(0).says("2 to adopt");
}

#[test]
fn an_object_is_asked_for_where_its_list_is_said_to_be() {
    // `PUT /groups/g/limits` writes what `GET /groups/g` shows; there is nothing else to be read.
    let limits = Arc::new(Mutex::new(json!({"cpu": 1})));
    let kept = Arc::clone(&limits);
    let fake = Fake::scripted(move |asked| {
        let mut limits = kept.lock().unwrap();
        let (status, body) = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/group") => (200, json!({"name": "g", "limits": *limits})),
            ("PUT", "/group/limits") => {
                *limits = serde_json::from_slice(&asked.body).unwrap();
                (200, json!({}))
            }
            _ => (405, json!({})),
        };
        Some(plain(status, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\ntypes:\n  thing: {path: /group/limits, key: [], list: {get: /group, items: /limits, shape: one}, update: {put: all}}\n",
    );
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", "apiVersion: fake\nkind: thing\nspec: {cpu: 2}\n").commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    assert_eq!(*limits.lock().unwrap(), json!({"cpu": 2}));
}

#[test]
fn verbose_tells_each_request_with_the_names_of_what_it_sends() {
    let refuses = Arc::new(AtomicBool::new(false));
    let no = Arc::clone(&refuses);
    let fake = Fake::scripted(move |asked| {
        let put = asked.method == "PUT" && no.load(Ordering::SeqCst);
        put.then(|| plain(422, "", "{\"message\": \"too big\"}"))
    });
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\nbase: /v1\ntypes:\n  thing: {path: \"/things/{name}\", list: {get: /things, items: /items}, write: {put: all}}\n",
    );
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 123456, ports: [{from: 1, to: 2}]")).commit("one");
    let told = sandbox.run(["apply", "--yes", "-v"]).exits(0);
    told.warns("shop/default: GET /v1/things answered 200")
        .warns("PUT /v1/things/a {name, ports: [{from, to}], size} answered 200");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 7")).commit("two");
    refuses.store(true, Ordering::SeqCst);
    sandbox.run(["apply", "--yes", "-v"]).warns("answered 422").warns("too big");
    let quiet = sandbox.run(["plan"]);
    assert!(!quiet.stderr.contains("answered"), "{}", quiet.stderr);
}

#[test]
fn a_field_that_no_request_sends_is_an_error_before_anything_is_asked() {
    let fake = Fake::honest();
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\ntypes:\n  thing: {path: \"/v1/things/{name}\", list: {get: /v1/things, items: /items}, write: {put: \"/v1/things/{name}\", body: {size: \"{size}\"}}}\n",
    );
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1, color: red")).commit("one");
    sandbox.run(["validate"]).exits(6).warns("no request of `thing` sends a field `color`");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
}

#[test]
fn a_list_that_holds_a_secret_and_stays_as_it_was_is_told() {
    // The server keeps an element of its own in each list. Where values are shown that is told with them.
    let shelf = Arc::new(Mutex::new(None::<Value>));
    let kept = Arc::clone(&shelf);
    let fake = Fake::scripted(move |asked| {
        let mut shelf = kept.lock().unwrap();
        let (status, body) = match (asked.method.as_str(), asked.path.as_str(), shelf.clone()) {
            ("GET", "/things", there) => (200, Value::Array(there.into_iter().collect())),
            ("GET", _, Some(there)) => (200, there),
            ("PUT", ..) => {
                let mut sent: Value = serde_json::from_slice(&asked.body).unwrap();
                sent["name"] = json!("a");
                sent["peers"].as_array_mut().unwrap().push(json!({"id": "self", "key": ""}));
                *shelf = Some(sent.clone());
                (200, sent)
            }
            _ => (404, json!({})),
        };
        Some(plain(status, "", &body.to_string()))
    });
    let api = "api: fake\ntypes:\n  thing:\n    path: \"/things/{name}\"\n    write: {put: all}\n    fields:\n      peers: {unordered: id}\n      /peers/*/key: {secret: readable}\n";
    let (url, digest) = (fake.url(), ctl::model::Digest::of(api.as_bytes()));
    let operator = format!(
        "credentials:\n  c: {{hosts: [\"{url}\"], api: \"sha256:{digest}\"}}\nsecrets:\n  k: {{text: correct-horse, targets: [shop], kinds: [thing]}}\n"
    );
    let sandbox = Sandbox::new().env("CTL_CREDENTIALS_YAML", operator);
    sandbox.write("apis/fake.yaml", api);
    project_at(&sandbox, &url, "    credentials: c\n");
    sandbox.write("manifests/a.yaml", &thing("a", "peers: [{id: x, key: {$secret: k}}]")).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0);
    let ran =
        sandbox.run(["apply", "--yes"]).exits(1).says("`/peers`, whose values are not shown, is as it was before");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("correct-horse"));
    let own = "peers: [{id: x, key: {$secret: k}}, {id: self}]";
    sandbox.write("manifests/a.yaml", &thing("a", own)).commit("two");
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
}

#[test]
fn explain_tells_the_requests_of_a_kind() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "apis/fake.yaml",
        "api: fake\nbase: /v1\netag: if-match\nquery: {depth: \"1\"}\ntypes:\n  thing: {path: \"/things/{id}\", key: [name], list: {get: //all, query: {all: \"yes\"}, items: /items}, create: {post: /things}, delete: none}\n",
    );
    project_at(&sandbox, "http://127.0.0.1:9", "");
    sandbox.write("manifests/a.yaml", &thing("a", "")).commit("one");
    sandbox
        .run(["explain", "fake:thing"])
        .exits(0)
        .says("list    GET /all?depth=1&all=yes: a list at /items\n")
        .says("one     GET /v1/things/{id}?depth=1\n")
        .says("create  POST /v1/things?depth=1: what is stated, and the defaults\n")
        .says("update  PUT /v1/things/{id}?depth=1: what is there, overlaid with what is stated\n")
        .says("delete  none\n");
}

/// `{type, id, attributes, relationships}` in `{data: …}`, and nothing else in a body.
fn attributes() -> (Fake, Arc<Mutex<Vec<Value>>>) {
    let shelf = Arc::<Mutex<Vec<Value>>>::default();
    let kept = Arc::clone(&shelf);
    let fake = Fake::scripted(move |asked| {
        let mut shelf = kept.lock().unwrap();
        let (kind, id) = asked.path.trim_start_matches('/').split_once('/').unwrap_or((&asked.path[1..], ""));
        let kind = kind.split('?').next().unwrap_or_default();
        let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let (status, body) = match asked.method.as_str() {
            "GET" if id.is_empty() => {
                let all: Vec<&Value> = shelf.iter().filter(|item| item["type"] == kind).collect();
                (200, json!({"data": all}))
            }
            "GET" => (200, json!({"data": shelf.iter().find(|item| item["id"] == id)})),
            "POST" if sent["data"].as_object().unwrap().keys().any(|name| name == "name") => (422, json!({})),
            "POST" => {
                let mut made = sent["data"].clone();
                made["id"] = json!(format!("{}", shelf.len() + 1));
                shelf.push(made.clone());
                (201, json!({"data": made}))
            }
            _ => {
                let there = shelf.iter_mut().find(|item| item["id"] == id).unwrap();
                for part in ["attributes", "relationships"] {
                    for (name, value) in sent["data"][part].as_object().into_iter().flatten() {
                        there[part][name] = value.clone();
                    }
                }
                (200, json!({"data": there}))
            }
        };
        Some(plain(status, "", &body.to_string()))
    });
    (fake, shelf)
}

#[test]
fn fields_that_stand_among_attributes_are_placed_by_the_bodies() {
    let (fake, shelf) = attributes();
    let sandbox = Sandbox::new();
    let api = include_str!("../../examples/apis/attributes.yaml").replace("total: /meta/total", "use: query");
    sandbox.write("apis/fake.yaml", &api.replace("api: attributes", "api: fake"));
    project_at(&sandbox, &fake.url(), "");
    let group = |name: &str| format!("apiVersion: fake\nkind: group\nmetadata: {{name: {name}}}\nspec: {{size: 1}}\n");
    let server = "apiVersion: fake\nkind: server\nmetadata: {name: s}\nspec: {group: b, tags: [x]}\n";
    sandbox.write("manifests/a.yaml", &group("a")).write("manifests/b.yaml", &group("b"));
    sandbox.write("manifests/s.yaml", server).commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("3 created");
    sandbox.run(["plan"]).exits(0).says("Nothing to do");
    let id = |name: &str| {
        let shelf = shelf.lock().unwrap();
        shelf.iter().find(|item| item["attributes"]["name"] == name).unwrap()["id"].clone()
    };
    let made = shelf.lock().unwrap().last().unwrap().clone();
    assert_eq!(made["attributes"], json!({"name": "s", "port": 80, "tags": ["x"]}));
    assert_eq!(made["relationships"]["group"]["data"]["id"], id("b"));
    sandbox.write("manifests/s.yaml", &server.replace("group: b", "group: a, port: 81")).commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    let changed = shelf.lock().unwrap().last().unwrap().clone();
    assert_eq!((&changed["attributes"]["port"], &changed["attributes"]["tags"]), (&json!(81), &json!(["x"])));
    assert_eq!(changed["relationships"]["group"]["data"]["id"], id("a"));
}

#[test]
fn a_list_of_addresses_is_followed_to_each_object() {
    for (list, one, other) in [
        ("links", json!("/v1/boxes/a%20b"), json!("/v1/boxes/c")),
        ("{links: \"@id\"}", json!({"@id": "http://h/v1/boxes/a%20b/"}), json!({"@id": "/v1/boxes/c"})),
    ] {
        let fake = Fake::scripted(move |asked| {
            let (status, body) = match (asked.method.as_str(), asked.path.as_str()) {
                ("GET", "/v1/boxes") => (200, json!({"members": [one, other]})),
                ("GET", "/v1/boxes/a%20b") => (200, json!({"size": 1})),
                ("GET", "/v1/boxes/c") => (200, json!({"size": 2})),
                ("PATCH", "/v1/boxes/a%20b") => (200, json!({"size": 1})),
                _ => (404, json!({})),
            };
            Some(plain(status, "", &body.to_string()))
        });
        let sandbox = Sandbox::new();
        let list = format!("{{get: /boxes, items: /members, shape: {list}, summary: true}}");
        sandbox.write(
            "apis/fake.yaml",
            &format!("api: fake\nbase: /v1\ntypes:\n  thing: {{path: \"/boxes/{{name}}\", list: {list}, update: {{patch: changes}}}}\n"),
        );
        project_at(&sandbox, &fake.url(), "");
        sandbox.write("manifests/a.yaml", &thing("a b", "size: 1")).write("manifests/c.yaml", &thing("c", "size: 3"));
        sandbox.commit("one");
        sandbox.run(["plan"]).exits(0).says("2 to adopt").says("size: 2 → 3");
    }
}

#[test]
fn a_weak_etag_guards_a_write_where_the_description_says_so() {
    let revision = Arc::new(Mutex::new(1));
    let kept = Arc::clone(&revision);
    let fake = Fake::scripted(move |asked| {
        let mut revision = kept.lock().unwrap();
        let there = json!({"name": "a", "size": *revision, "meta": {"version": format!("W/\"{revision}\"")}});
        let (status, body) = match asked.method.as_str() {
            "GET" if asked.path == "/things" => (200, json!([there])),
            "GET" => (200, there),
            _ if asked.head.contains(&format!("if-match: W/\"{revision}\"\r\n")) => {
                *revision += 1;
                (200, json!({}))
            }
            _ => (412, json!({})),
        };
        Some(plain(status, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    let api = |etag: &str| {
        format!(
            "api: fake\netag: {etag}\ntypes:\n  thing: {{path: \"/things/{{name}}\", update: {{patch: changes}}}}\n"
        )
    };
    sandbox.write("apis/fake.yaml", &api("{field: /meta/version}"));
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 2")).commit("one");
    sandbox.run(["apply", "--yes"]).says("say `etag: {weak: true}` in the description if the API compares weak ones");
    sandbox.write("apis/fake.yaml", &api("{field: /meta/version, weak: true}")).commit("two");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    assert_eq!(*revision.lock().unwrap(), 2);
}

#[test]
fn the_name_of_a_scheme_has_a_space_behind_it() {
    let fake = Fake::honest();
    let operator = format!(
        "credentials:\n  c:\n    hosts: [\"{0}\"]\n    bearer: {{text: abcdefgh}}\n    api: \"sha256:SUM\"\n",
        fake.url()
    );
    for (prefix, sent) in
        [("Token", "authorization: Token abcdefgh\r\n"), ("\"token=\"", "authorization: token=abcdefgh\r\n")]
    {
        let sandbox = Sandbox::new();
        sandbox.write(
            "apis/fake.yaml",
            &format!("api: fake\nbase: /v1\nauth: {{header: Authorization, prefix: {prefix}}}\ntypes:\n  thing: {{path: \"/things/{{name}}\", list: {{get: /things, items: /items}}, write: {{put: all}}}}\n"),
        );
        project_at(&sandbox, &fake.url(), "    credentials: c\n");
        sandbox.write("manifests/a.yaml", &thing("a", "")).commit("one");
        let told = sandbox.run(["validate", "--api", "apis/fake.yaml"]).exits(0).stdout;
        let sum: String = told.split("sha256:").nth(1).unwrap().chars().take(64).collect();
        let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", operator.replace("SUM", &sum));
        sandbox.run(["plan"]).exits(0).says("1 to create");
        assert!(fake.heard(sent), "{sent}");
    }
}
