//! An API whose addresses hold the ids of what things are in: organisations, projects in them, hooks in those, and teams
//! that are in an organisation and under another team. Manifests name all of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake::{Asked, Fake, plain, raw};
use crate::hostile::project_at;
use crate::sandbox::Sandbox;

const API: &str = include_str!("../../examples/apis/nested.yaml");

/// A thing on the shelf.
#[derive(Clone)]
struct Thing {
    kind: String,
    /// The id of what it is in; 0 at the top.
    inside: u64,
    value: Value,
}

#[derive(Default)]
struct Manners {
    /// A create is answered without a body.
    silent: bool,
    /// The answer to the first create of this kind is lost.
    loses: Option<&'static str>,
    /// This list is answered with what is none.
    garbles: Option<&'static str>,
}

struct Forge {
    fake: Fake,
    shelf: Arc<Mutex<BTreeMap<u64, Thing>>>,
    manners: Arc<Mutex<Manners>>,
}

impl Forge {
    fn new() -> Self {
        let (shelf, manners) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(Mutex::new(Manners::default())));
        let (kept, behaves, next) = (Arc::clone(&shelf), Arc::clone(&manners), AtomicU64::new(100));
        let fake = Fake::scripted(move |asked| {
            let mut manners = behaves.lock().unwrap();
            let (kind, status, body) = answer(&mut kept.lock().unwrap(), &next, asked);
            if asked.method == "GET" && manners.garbles == Some(kind) {
                return Some(plain(200, "", "[{]"));
            }
            if asked.method == "POST" && manners.loses == Some(kind) {
                manners.loses = None;
                return Some(raw(Vec::new()));
            }
            let body = if manners.silent && asked.method == "POST" { String::new() } else { body.to_string() };
            Some(plain(status, "", &body))
        });
        Self { fake, shelf, manners }
    }

    fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock().unwrap());
    }

    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("apis/fake.yaml", &API.replace("api: nested", "api: fake"));
        project_at(&sandbox, &self.fake.url(), "");
        sandbox
    }

    /// Where each thing is, by names: `acme/shop/ci`.
    fn tree(&self) -> Vec<String> {
        let shelf = self.shelf.lock().unwrap();
        let mut out: Vec<String> = shelf
            .values()
            .map(|thing| {
                let (mut names, mut here) = (vec![thing.value["name"].as_str().unwrap()], thing.inside);
                while here != 0 {
                    // Whatever is in something that is not there would be lost.
                    names.push(shelf[&here].value["name"].as_str().unwrap());
                    here = shelf[&here].inside;
                }
                names.reverse();
                format!("{} {}", thing.kind, names.join("/"))
            })
            .collect();
        out.sort();
        out
    }

    fn id(&self, kind: &str, name: &str) -> u64 {
        let shelf = self.shelf.lock().unwrap();
        *shelf.iter().find(|(_, thing)| thing.kind == kind && thing.value["name"] == name).unwrap().0
    }

    fn value(&self, kind: &str, name: &str) -> Value {
        let id = self.id(kind, name);
        self.shelf.lock().unwrap()[&id].value.clone()
    }

    fn put(&self, id: u64, kind: &str, inside: u64, value: Value) {
        self.shelf.lock().unwrap().insert(id, Thing { kind: kind.to_owned(), inside, value });
    }

    /// What was asked after the first `skip` requests.
    fn asked(&self, skip: usize) -> Vec<String> {
        self.fake.asked().iter().skip(skip).map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

/// `/orgs`, `/orgs/1/projects`, `/projects/2/hooks/3`: the kind, the status and the body.
fn answer(shelf: &mut BTreeMap<u64, Thing>, next: &AtomicU64, asked: &Asked) -> (&'static str, u16, Value) {
    let parts: Vec<&str> = asked.path.trim_start_matches("/api/").split('/').collect();
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let (above, word, id) = match parts.as_slice() {
        [word] => (None, *word, None),
        [word, id] => (None, *word, Some(number(id))),
        [above, of, word] => (Some((*above, number(of))), *word, None),
        [above, of, word, id, ..] => (Some((*above, number(of))), *word, Some(number(id))),
        [] => (None, "", None),
    };
    let Some(kind) = ["org", "project", "hook", "team"].into_iter().find(|kind| format!("{kind}s") == word) else {
        return ("", 404, json!({}));
    };
    let inside = above.map_or(0, |(_, id)| id);
    if above.is_some_and(|(word, id)| shelf.get(&id).is_none_or(|thing| format!("{}s", thing.kind) != word)) {
        return (kind, 404, json!({"message": "there is nothing that this could be in"}));
    }
    let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    for field in ["parent", "team"] {
        let refers = sent.get(field).filter(|id| !id.is_null());
        let there = |id: &Value| id.as_u64().is_some_and(|id| shelf.get(&id).is_some_and(|t| t.kind == "team"));
        if refers.is_some_and(|id| !there(id)) {
            return (kind, 422, json!({"message": format!("{field} is no team")}));
        }
    }
    // Things show in what they are, as an id or as an object.
    let shown = |id: u64, thing: &Thing| {
        let mut value = thing.value.clone();
        value["id"] = json!(id);
        match thing.kind.as_str() {
            "hook" => value["project"] = json!({"id": thing.inside, "url": "somewhere"}),
            "org" => {}
            _ => value["org"] = json!(thing.inside),
        }
        value
    };
    match (asked.method.as_str(), id) {
        ("GET", None) => {
            let items = shelf.iter().filter(|(_, thing)| thing.kind == kind && thing.inside == inside);
            (kind, 200, items.map(|(id, thing)| shown(*id, thing)).collect())
        }
        ("POST", None) => {
            let id = next.fetch_add(1, Ordering::Relaxed);
            let thing = Thing { kind: kind.to_owned(), inside, value: sent };
            let body = shown(id, &thing);
            shelf.insert(id, thing);
            (kind, 201, body)
        }
        (method, Some(id)) => {
            let there = shelf.get(&id).filter(|thing| thing.kind == kind && thing.inside == inside);
            let Some(mut thing) = there.cloned() else { return (kind, 404, json!({})) };
            match method {
                "PATCH" => {
                    sent.as_object().unwrap().iter().for_each(|(name, value)| thing.value[name] = value.clone());
                    let body = shown(id, &thing);
                    shelf.insert(id, thing);
                    (kind, 200, body)
                }
                "DELETE" if shelf.values().any(|other| other.value["parent"] == json!(id)) => {
                    (kind, 409, json!({"message": "there are teams under it"}))
                }
                "DELETE" => {
                    let mut gone = vec![id];
                    while let Some(id) = gone.pop() {
                        shelf.remove(&id);
                        gone.extend(shelf.iter().filter(|(_, thing)| thing.inside == id).map(|(id, _)| *id));
                    }
                    (kind, 204, Value::Null)
                }
                _ => (kind, 200, shown(id, &thing)),
            }
        }
        _ => (kind, 405, json!({})),
    }
}

fn document(kind: &str, spec: &str) -> String {
    format!("---\napiVersion: fake\nkind: {kind}\nspec: {{{spec}}}\n")
}

fn acme(hook: &str) -> String {
    document("hook", hook)
        + &document("project", "org: acme, name: shop")
        + &document("project", "org: acme, name: blog")
        + &document("team", "org: acme, name: night, parent: ops")
        + &document("team", "org: acme, name: ops, parent: all")
        + &document("team", "org: acme, name: all")
        + &document("org", "name: acme, region: eu")
}

const CI: &str = "org: acme, project: shop, name: ci, url: a, team: night";

/// The operations of a plan in their order, by name.
fn steps(plan: &Value) -> Vec<String> {
    let key = |op: &Value| op["address"].as_str().unwrap_or_default().to_owned();
    plan["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|op| format!("{} {}", op["action"].as_str().unwrap(), key(op)))
        .collect()
}

#[test]
fn three_levels_are_made_in_one_apply_and_read_once_each() {
    for silent in [false, true] {
        let forge = Forge::new();
        forge.behave(|manners| manners.silent = silent);
        let sandbox = forge.sandbox();
        sandbox.write("manifests/all.yaml", &acme(CI)).commit("all");
        sandbox.run(["plan"]).exits(0);
        assert_eq!(forge.asked(0), ["GET /api/orgs"], "what is in it is asked for once it is there");
        sandbox.run(["apply", "--yes"]).exits(0).says("7 created");
        let tree = [
            "hook acme/shop/ci",
            "org acme",
            "project acme/blog",
            "project acme/shop",
            "team acme/all",
            "team acme/night",
            "team acme/ops",
        ];
        assert_eq!(forge.tree(), tree);
        assert_eq!(forge.value("hook", "ci")["team"], json!(forge.id("team", "night")));
        assert_eq!(forge.value("team", "night")["parent"], json!(forge.id("team", "ops")));
        assert!(forge.value("project", "shop").get("org").is_none(), "its place stands in the address alone");
        let before = forge.fake.asked().len();
        sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do: 7");
        let mut asked = forge.asked(before);
        asked.sort();
        let id = |kind, name| forge.id(kind, name);
        let mut lists = vec![
            "GET /api/orgs".to_owned(),
            format!("GET /api/orgs/{}/projects", id("org", "acme")),
            format!("GET /api/orgs/{}/teams", id("org", "acme")),
            format!("GET /api/projects/{}/hooks", id("project", "blog")),
            format!("GET /api/projects/{}/hooks", id("project", "shop")),
        ];
        lists.sort();
        // No hook is declared in the blog, and nobody asks for those that may be there.
        lists.retain(|list| !list.contains(&format!("/{}/hooks", id("project", "blog"))));
        assert_eq!(asked, lists, "a plan reads each list once");
        // Names, and no id, in what is kept and shown.
        let record = sandbox.run(["record", "show", "-o", "json"]).exits(0).json();
        let lines = record["targets"][0]["resources"].as_array().unwrap();
        let hook = lines.iter().find(|line| line["kind"] == "hook").unwrap();
        assert_eq!((&hook["sent"]["org"], &hook["sent"]["team"]), (&json!("acme"), &json!("night")));
        assert_eq!(hook["refs"], json!(["team/acme/night"]));
    }
}

#[test]
fn a_child_changes_moves_and_goes_with_what_it_is_in() {
    let forge = Forge::new();
    let sandbox = forge.sandbox();
    sandbox.write("manifests/all.yaml", &acme(CI)).commit("all");
    sandbox.run(["apply", "--yes"]).exits(0);
    let hook = forge.id("hook", "ci");
    sandbox.write("manifests/all.yaml", &acme("org: acme, project: shop, name: ci, url: b, team: ops")).commit("other");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    let fields = plan["operations"][0]["fields"].as_array().unwrap();
    let team = fields.iter().find(|field| field["path"] == "/team").unwrap();
    assert_eq!((&team["before"], &team["after"]), (&json!("night"), &json!("ops")));
    sandbox.run(["apply", "--yes"]).exits(0).says("1 updated");
    assert_eq!(forge.id("hook", "ci"), hook);
    assert_eq!(forge.value("hook", "ci")["team"], json!(forge.id("team", "ops")));
    // Elsewhere it is another one.
    sandbox.write("manifests/all.yaml", &acme("org: acme, project: blog, name: ci, url: b, team: ops")).commit("moved");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    assert!(forge.tree().contains(&"hook acme/blog/ci".to_owned()) && forge.id("hook", "ci") != hook);
    assert!(!forge.tree().contains(&"hook acme/shop/ci".to_owned()));
    let [org, blog, night, ops] = [("org", "acme"), ("project", "blog"), ("team", "night"), ("team", "ops")]
        .map(|(kind, name)| forge.id(kind, name));
    // All of it goes, the innermost first, and a team before the one that it is under.
    sandbox.write("manifests/all.yaml", &document("org", "name: other")).commit("gone");
    let before = forge.fake.asked().len();
    sandbox.run(["apply", "--yes"]).exits(0).says("7 deleted");
    let deleted: Vec<String> = forge.asked(before).into_iter().filter(|line| line.starts_with("DELETE")).collect();
    assert_eq!(deleted.len(), 7, "{deleted:?}");
    let at = |text: &str| deleted.iter().position(|line| line.ends_with(text)).unwrap();
    let hook = deleted.iter().position(|line| line.contains("/hooks/")).unwrap();
    assert!(hook < at(&format!("/projects/{blog}")), "{deleted:?}");
    assert!(at(&format!("/teams/{night}")) < at(&format!("/teams/{ops}")), "{deleted:?}");
    assert!(deleted.last().unwrap().ends_with(&format!("/orgs/{org}")), "{deleted:?}");
    assert_eq!(forge.tree(), ["org other"]);
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_is_in_a_replaced_parent_is_made_again_under_its_new_id() {
    for silent in [false, true] {
        let forge = Forge::new();
        forge.behave(|manners| manners.silent = silent);
        let sandbox = forge.sandbox();
        sandbox.write("manifests/all.yaml", &acme(CI)).commit("all");
        sandbox.run(["apply", "--yes"]).exits(0);
        let (org, tree) = (forge.id("org", "acme"), forge.tree());
        sandbox.write("manifests/all.yaml", &acme(CI).replace("region: eu", "region: us")).commit("another region");
        let plan = sandbox.run(["plan", "--allow-replace", "-o", "json"]).json();
        let sum = plan["deletes_checksum"].as_str().unwrap();
        sandbox.run(["apply", "--yes", "--allow-replace", "--allow-deletes", sum]).exits(0);
        assert_eq!(forge.tree(), tree);
        assert!(forge.id("org", "acme") != org);
        assert_eq!(forge.value("hook", "ci")["team"], json!(forge.id("team", "night")));
        sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do: 7");
    }
}

#[test]
fn a_lost_answer_to_a_parents_create_is_looked_up_and_its_children_follow() {
    for kind in ["org", "project", "team"] {
        let forge = Forge::new();
        forge.behave(|manners| manners.loses = Some(kind));
        let sandbox = forge.sandbox();
        sandbox.write("manifests/all.yaml", &acme(CI)).commit("all");
        sandbox.run(["apply", "--yes"]).exits(0).says("7 created");
        assert_eq!(forge.tree().len(), 7, "{kind} was made once: {:?}", forge.tree());
        sandbox.run(["plan", "--detailed-exitcode"]).exits(0).says("Nothing to do: 7");
    }
}

#[test]
fn where_a_parents_list_cannot_be_read_nothing_in_it_is_known_or_touched() {
    let forge = Forge::new();
    let sandbox = forge.sandbox();
    sandbox.write("manifests/all.yaml", &acme(CI)).commit("all");
    sandbox.run(["apply", "--yes"]).exits(0);
    let writes = forge.fake.writes();
    for (list, unknown) in [("org", 7), ("project", 3), ("team", 4)] {
        forge.behave(|manners| manners.garbles = Some(list));
        let plan = sandbox.run(["plan", "-o", "json"]).exits(3).json();
        assert_eq!((&plan["operations"], &plan["summary"]["unknown"]), (&json!([]), &json!(unknown)), "{list}");
    }
    // Without its manifest it would go, were it known.
    sandbox.write("manifests/all.yaml", &document("org", "name: acme, region: eu")).commit("less");
    forge.behave(|manners| manners.garbles = Some("project"));
    let plan = sandbox.run(["plan", "-o", "json"]).json();
    assert!(steps(&plan).iter().all(|step| step.contains("team")), "{:?}", steps(&plan));
    assert_eq!(forge.fake.writes(), writes);
}

#[test]
fn a_parent_of_somebody_else_is_found_by_its_name() {
    let forge = Forge::new();
    forge.put(7, "org", 0, json!({"name": "theirs"}));
    forge.put(8, "project", 7, json!({"name": "site"}));
    let sandbox = forge.sandbox();
    sandbox
        .write("manifests/all.yaml", &document("hook", "org: theirs, project: site, name: ci, url: a"))
        .commit("one");
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    assert_eq!(forge.tree(), ["hook theirs/site/ci", "org theirs", "project theirs/site"]);
    assert!(forge.fake.asked().iter().any(|asked| asked.method == "POST" && asked.path == "/api/projects/8/hooks"));
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    // It is taken down and put up again by its owner: the name leads to the new one.
    forge.shelf.lock().unwrap().retain(|id, _| *id == 7);
    forge.put(9, "project", 7, json!({"name": "site"}));
    sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
    assert_eq!(forge.shelf.lock().unwrap().values().find(|thing| thing.kind == "hook").unwrap().inside, 9);
    // Where it is not there at all, that is what is said.
    forge.shelf.lock().unwrap().retain(|id, _| *id == 7);
    sandbox.run(["apply", "--yes"]).exits(1).says("project/theirs/site is not there, so that it has no id");
    assert_eq!(forge.tree(), ["org theirs"]);
}

#[test]
fn teams_that_are_under_each_other_are_an_error_with_names_or_made_in_two_steps() {
    let circle = document("org", "name: acme, region: eu")
        + &document("team", "org: acme, name: a, parent: b")
        + &document("team", "org: acme, name: b, parent: a");
    let forge = Forge::new();
    let sandbox = forge.sandbox();
    sandbox.write("manifests/all.yaml", &circle).commit("a circle");
    sandbox.run(["apply", "--yes"]).exits(0).says("3 created");
    assert_eq!(forge.value("team", "a")["parent"], json!(forge.id("team", "b")));
    assert_eq!(forge.value("team", "b")["parent"], json!(forge.id("team", "a")));
    sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
    let forge = Forge::new();
    let sandbox = forge.sandbox();
    let api = API.replace("api: nested", "api: fake");
    sandbox.write("apis/fake.yaml", &api.replace("restrict, optional: true", "restrict"));
    sandbox.write("manifests/all.yaml", &circle).commit("a circle that nothing unties");
    let said = "a cycle: shop:team/acme/a -> shop:team/acme/b -> shop:team/acme/a";
    sandbox.run(["apply", "--yes"]).exits(6).warns(said);
    assert_eq!(forge.fake.writes(), 0);
}
