//! An API that makes ids and wants them in references: manifests name things, and nobody else ever sees an id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake::{Asked, Fake, plain};
use crate::hostile::{project_at, thing};
use crate::sandbox::Sandbox;

const API: &str = "\
api: fake
base: /api
types:
  vrf:
    path: /vrfs/{id}/
    key: [name]
    list: {get: /vrfs/, items: /results}
    create: {post: /vrfs/}
    update: {patch: changes}
  prefix:
    path: /prefixes/{id}/
    key: [prefix]
    list: {get: /prefixes/, items: /results}
    create: {post: /prefixes/}
    update: {patch: changes}
    refs:
      vrf: {kind: vrf, at: /id, on-delete: restrict, optional: true}
      /tenants/*: {kind: tenant, at: /id, as: /id}
    fields:
      vrf: {read: /vrf/id}
      tenants: {unordered: true}
  tenant:
    path: /tenants/{id}/
    key: [slug]
    list: {get: /tenants/, items: /results}
    create: {post: /tenants/}
    update: {patch: changes}
";

/// What is there, by kind and id.
type Shelf = Arc<Mutex<BTreeMap<(String, u64), Value>>>;

/// A server in the manner of Django: numbers as ids, a nested object where a reference is read. Silent, it answers a
/// create with no body.
struct Ipam {
    fake: Fake,
    shelf: Shelf,
}

impl Ipam {
    fn new(silent: bool) -> Self {
        let shelf = Shelf::default();
        let kept = Arc::clone(&shelf);
        let next = Mutex::new(40);
        let fake = Fake::scripted(move |asked| {
            let (status, body) = answer(&mut kept.lock().unwrap(), &mut next.lock().unwrap(), asked);
            let body = if silent && asked.method == "POST" { String::new() } else { body.to_string() };
            Some(plain(status, "", &body))
        });
        Self { fake, shelf }
    }

    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("apis/fake.yaml", API);
        project_at(&sandbox, &self.fake.url(), "");
        sandbox
    }

    /// The one of this kind whose `field` is `value`.
    fn find(&self, kind: &str, field: &str, value: &str) -> Option<Value> {
        let shelf = self.shelf.lock().unwrap();
        shelf.iter().find(|((k, _), item)| k == kind && item[field] == value).map(|(_, item)| item.clone())
    }

    fn lists(&self) -> usize {
        self.fake.asked().iter().filter(|a| a.method == "GET").count()
    }
}

fn answer(shelf: &mut BTreeMap<(String, u64), Value>, next: &mut u64, asked: &Asked) -> (u16, Value) {
    let mut parts = asked.path.trim_start_matches("/api/").split('/');
    let kind = parts.next().unwrap_or_default().to_owned();
    let id: Option<u64> = parts.next().and_then(|id| id.parse().ok());
    let read = |item: &Value| {
        let mut item = item.clone();
        if let Some(vrf) = item.get("vrf").and_then(Value::as_u64) {
            item["vrf"] = json!({"id": vrf, "url": format!("/api/vrfs/{vrf}/")});
        }
        item
    };
    let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    // A reference that is no id of something that is there is refused, as a foreign key is.
    let vrf = sent.get("vrf").filter(|vrf| !vrf.is_null());
    let tenants = sent.get("tenants").and_then(Value::as_array).into_iter().flatten();
    let there = |kind: &str, id: Option<u64>| id.is_some_and(|id| shelf.contains_key(&(kind.to_owned(), id)));
    if vrf.is_some_and(|vrf| !there("vrfs", vrf.as_u64()))
        || tenants.clone().any(|t| !there("tenants", t["id"].as_u64()))
    {
        return (400, json!({"detail": "Related object not found."}));
    }
    match (asked.method.as_str(), id) {
        ("GET", None) => {
            let items: Vec<Value> = shelf.iter().filter(|((k, _), _)| *k == kind).map(|(_, item)| read(item)).collect();
            (200, json!({"results": items}))
        }
        ("POST", None) => {
            *next += 1;
            let mut item = sent;
            item["id"] = json!(*next);
            shelf.insert((kind, *next), item.clone());
            (201, read(&item))
        }
        (method, Some(id)) => {
            let Some(item) = shelf.get_mut(&(kind.clone(), id)) else { return (404, json!({})) };
            match method {
                "PATCH" => {
                    sent.as_object().unwrap().iter().for_each(|(name, value)| item[name] = value.clone());
                    (200, read(item))
                }
                "DELETE" => {
                    let used = shelf.values().any(|other| kind == "vrfs" && other["vrf"] == json!(id));
                    if used {
                        return (409, json!({"detail": "is used"}));
                    }
                    shelf.remove(&(kind, id));
                    (200, json!({}))
                }
                _ => (200, read(item)),
            }
        }
        _ => (405, json!({})),
    }
}

fn document(kind: &str, spec: &str) -> String {
    format!("---\napiVersion: fake\nkind: {kind}\nspec: {{{spec}}}\n")
}

#[test]
fn a_thing_and_what_refers_to_it_by_id_are_made_in_one_commit() {
    for silent in [false, true] {
        let ipam = Ipam::new(silent);
        let sandbox = ipam.sandbox();
        let manifests = document("prefix", "prefix: 10.0.0.0/8, vrf: blue, tenants: [acme]")
            + &document("vrf", "name: blue")
            + &document("tenant", "slug: acme");
        sandbox.write("manifests/all.yaml", &manifests).commit("all");
        let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
        assert_eq!(ipam.lists(), 3, "a plan reads each list once");
        let prefix = plan["operations"].as_array().unwrap().iter().find(|op| op["kind"] == "prefix").unwrap();
        let fields = prefix["fields"].as_array().unwrap();
        assert!(fields.iter().any(|f| f["path"] == "/vrf" && f["after"] == "blue"), "{fields:?}");
        assert_eq!(prefix["after"].as_array().unwrap().len(), 2, "after both of what it refers to");
        sandbox.run(["apply", "--yes"]).exits(0).says("3 created");
        let vrf = ipam.find("vrfs", "name", "blue").unwrap()["id"].clone();
        let acme = ipam.find("tenants", "slug", "acme").unwrap()["id"].clone();
        let made = ipam.find("prefixes", "prefix", "10.0.0.0/8").unwrap();
        assert_eq!((&made["vrf"], &made["tenants"]), (&vrf, &json!([{"id": acme}])));
        sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do: 3");
        // The record names, and so does every output.
        let record = sandbox.run(["record", "show", "-o", "json"]).exits(0).json();
        let lines = record["targets"][0]["resources"].as_array().unwrap();
        let line = lines.iter().find(|line| line["kind"] == "prefix").unwrap();
        assert_eq!((&line["sent"]["vrf"], &line["sent"]["tenants"]), (&json!("blue"), &json!(["acme"])));
        assert_eq!(line["refs"], json!(["tenant/acme", "vrf/blue"]));
        // What refers goes before what it refers to.
        sandbox.write("manifests/all.yaml", &document("tenant", "slug: acme")).commit("less");
        sandbox.run(["apply", "--yes"]).exits(0).says("2 deleted");
    }
}

#[test]
fn a_reference_moves_with_its_name_and_drift_to_a_stranger_is_seen() {
    let ipam = Ipam::new(false);
    let sandbox = ipam.sandbox();
    let manifests = |vrf: &str| {
        document("vrf", "name: blue")
            + &document("vrf", "name: red")
            + &document("prefix", &format!("prefix: p, vrf: {vrf}"))
    };
    sandbox.write("manifests/all.yaml", &manifests("blue")).commit("blue");
    sandbox.run(["apply", "--yes"]).exits(0).says("3 created");
    sandbox.write("manifests/all.yaml", &manifests("red")).commit("red");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    let field = &plan["operations"][0]["fields"][0];
    assert_eq!((&field["before"], &field["after"], &field["path"]), (&json!("blue"), &json!("red"), &json!("/vrf")));
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    let red = ipam.find("vrfs", "name", "red").unwrap()["id"].clone();
    assert_eq!(ipam.find("prefixes", "prefix", "p").unwrap()["vrf"], red);
    // Somebody points it at what is not there: that is no name of ours, and it is put right.
    for ((kind, _), item) in ipam.shelf.lock().unwrap().iter_mut() {
        if kind == "prefixes" {
            item["vrf"] = json!(99);
        }
    }
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    assert_eq!(plan["operations"][0]["fields"][0]["before"], json!({"id": 99}));
    assert_eq!(plan["operations"][0]["cause"], "drift");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    assert_eq!(ipam.find("prefixes", "prefix", "p").unwrap()["vrf"], red);
    // A name that nobody declares is told before anything is asked.
    sandbox.write("manifests/all.yaml", &manifests("green")).commit("a slip");
    sandbox.run(["plan"]).exits(6).warns("green");
}

#[test]
fn where_the_ids_cannot_be_read_nothing_is_concluded() {
    let ipam = Ipam::new(false);
    let sandbox = ipam.sandbox();
    let manifests = document("vrf", "name: blue") + &document("prefix", "prefix: p, vrf: blue");
    sandbox.write("manifests/all.yaml", &manifests).commit("all");
    sandbox.run(["apply", "--yes"]).exits(0);
    // The list of VRFs has an item that is none: it cannot be read, and so nobody knows what a prefix refers to.
    ipam.shelf.lock().unwrap().insert(("vrfs".into(), 7), json!({"id": 7}));
    let plan = sandbox.run(["plan", "-o", "json"]).exits(3).json();
    assert_eq!(plan["operations"], json!([]));
    assert_eq!(plan["summary"]["unknown"], 2);
    let lists = ipam.lists();
    sandbox.run(["plan"]).exits(3).says("it refers by id to vrf");
    assert_eq!(ipam.lists(), lists + 2, "tenants and VRFs are asked for, and no prefix");
}

/// Two things that the server calls by one id: what is written to the one would reach the other.
fn twins() -> (Fake, Sandbox) {
    let fake = Fake::scripted(|asked| {
        let thing = |name: &str| json!({"id": 1, "name": name, "size": 1});
        let body = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/things") => json!([thing("a"), thing("b")]),
            ("GET", _) => thing("a"),
            _ => json!({}),
        };
        Some(plain(200, "", &body.to_string()))
    });
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", "api: fake\ntypes:\n  thing: {path: \"/things/{id}\", key: [name]}\n");
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).write("manifests/b.yaml", &thing("b", "size: 1"));
    sandbox.commit("both");
    sandbox.run(["apply", "--yes"]).exits(0).says("2 adopted");
    (fake, sandbox)
}

#[test]
fn what_is_at_the_address_of_another_is_neither_deleted_nor_changed() {
    let (fake, sandbox) = twins();
    sandbox.remove("manifests/b.yaml").commit("only a");
    sandbox.run(["apply", "--yes"]).exits(1).says("it is a, and the list says that b is at this address");
    sandbox.write("manifests/b.yaml", &thing("b", "size: 2")).commit("another b");
    sandbox.run(["apply", "--yes"]).exits(1).says("it is a, and the list says that b is at this address");
    assert_eq!(fake.writes(), 0, "{:?}", fake.asked());
}
