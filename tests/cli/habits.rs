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
