//! RabbitMQ: a vhost and a user for each test; all seven kinds.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Auth, Http};
use crate::proxy::{Fault, Reply, Seen};
use crate::scene::{Holds, Scene, State, Subject, server, suffix};

struct RabbitMq {
    http: Http,
    upstream: String,
    user: String,
    password: String,
    /// The name of this test's vhost and of its user.
    name: String,
}

const PASSWORD: &str = "correct horse";

pub(crate) fn subject() -> Option<Arc<dyn Subject>> {
    let [upstream, user, password] = server("RABBITMQ", &["USER", "PASSWORD"])?.try_into().expect("three values");
    let http = Http { base: format!("{upstream}/api"), auth: Auth::Basic(user.clone(), password.clone()) };
    Some(Arc::new(RabbitMq { http, upstream, user, password, name: format!("conf-{}", suffix()) }))
}

/// Routing keys that have to be encoded, once or twice, or that are not there.
const KEYS: [&str; 5] = ["a/b +%23#", "", "orders.*", "~", "ü"];

impl RabbitMq {
    /// Kind, a name for the test, and the spec.
    fn all(&self, state: State) -> Vec<(&'static str, String, Value)> {
        let v = &self.name;
        let changed = state == State::Changed;
        let length = if state == State::Replaced { 2000 } else { 1000 };
        let mut all = vec![
            ("vhost", v.clone(), json!({"name": v, "description": "a test"})),
            ("user", v.clone(), json!({"name": v, "tags": [if changed { "monitoring" } else { "management" }]})),
            (
                "permission",
                v.clone(),
                json!({
                    "vhost": v, "user": v, "configure": if changed { "^q" } else { "" }, "write": ".*", "read": ".*",
                }),
            ),
            ("exchange", "e/1".to_owned(), json!({"vhost": v, "name": "e/1", "type": "topic", "durable": true})),
            (
                "queue",
                "q 1".to_owned(),
                json!({
                    "vhost": v, "name": "q 1", "durable": true, "arguments": {"x-max-length": length},
                }),
            ),
            (
                "policy",
                "limit".to_owned(),
                json!({
                    "vhost": v, "name": "limit", "pattern": "^q", "apply-to": "queues",
                    "definition": {"max-length": 10}, "priority": if changed { 2 } else { 1 },
                }),
            ),
        ];
        for key in KEYS {
            let spec = json!({"vhost": v, "source": "e/1", "destination": "q 1", "routing_key": key});
            all.push(("binding", key.to_owned(), spec));
        }
        if state != State::Fewer {
            let spec =
                json!({"vhost": v, "source": "e/1", "destination": "q 1", "routing_key": "old", "arguments": {"x": 1}});
            all.push(("binding", "old".to_owned(), spec));
        }
        all
    }
}

/// The members of an object that a test looks at.
fn only(value: &Value, names: &[&str]) -> Value {
    Value::Object(names.iter().map(|name| ((*name).to_owned(), value[*name].clone())).collect())
}

/// Tags without our mark.
fn tags(value: &Value) -> Value {
    let tags = value["tags"].as_array().expect("tags");
    tags.iter().filter(|tag| !tag.as_str().unwrap_or_default().starts_with("ctl/")).cloned().collect()
}

impl Subject for RabbitMq {
    fn api(&self) -> &'static str {
        "rabbitmq"
    }

    fn upstream(&self) -> String {
        self.upstream.clone()
    }

    fn credential(&self) -> Option<String> {
        Some(format!("basic: {{user: {{text: \"{}\"}}, password: {{text: \"{}\"}}}}", self.user, self.password))
    }

    fn secrets(&self) -> Option<String> {
        Some(format!("{{app-password: {{text: \"{PASSWORD}\"}}}}"))
    }

    fn manifests(&self, state: State) -> String {
        let document = |(kind, _, mut spec): (&str, String, Value)| {
            if kind == "user" {
                spec["password"] = json!({"$secret": "app-password"});
            }
            format!("apiVersion: rabbitmq\nkind: {kind}\nspec: {spec}\n")
        };
        self.all(state).into_iter().map(document).collect::<Vec<_>>().join("---\n")
    }

    fn count(&self, state: State) -> u64 {
        self.all(state).len() as u64
    }

    fn expected(&self, state: State) -> Holds {
        let mut expected = Holds::new();
        for (kind, name, mut spec) in self.all(state) {
            match kind {
                "user" => spec["password"] = json!("right"),
                "exchange" => spec["arguments"] = json!({}),
                "binding" if spec.get("arguments").is_none() => spec["arguments"] = json!({}),
                _ => {}
            }
            expected.insert(format!("{kind} {name}"), spec);
        }
        expected
    }

    fn holds(&self) -> Holds {
        let v = &self.name;
        let mut holds = Holds::new();
        let vhost = self.http.get(&format!("/vhosts/{v}"));
        if !vhost.is_null() {
            holds.insert(format!("vhost {v}"), only(&vhost, &["name", "description"]));
            assert_eq!(tags(&vhost), json!([]));
            let list = |what: &str| self.http.get(&format!("/{what}/{v}")).as_array().cloned().unwrap_or_default();
            let mut take = |kind: &str, name: &Value, value: Value| {
                if name != "foreign" {
                    holds.insert(format!("{kind} {}", name.as_str().expect("a name")), value);
                }
            };
            for item in list("exchanges") {
                let name = item["name"].as_str().expect("a name");
                if !name.is_empty() && !name.starts_with("amq.") {
                    let value = only(&item, &["vhost", "name", "type", "durable", "arguments"]);
                    take("exchange", &item["name"], value);
                }
            }
            for item in list("queues") {
                take("queue", &item["name"], only(&item, &["vhost", "name", "durable", "arguments"]));
            }
            for item in list("bindings").iter().filter(|item| item["source"] != "") {
                let value = only(item, &["vhost", "source", "destination", "routing_key", "arguments"]);
                take("binding", &item["routing_key"], value);
            }
            for item in list("policies") {
                let names = ["vhost", "name", "pattern", "apply-to", "definition", "priority"];
                take("policy", &item["name"], only(&item, &names));
            }
            let permissions = self.http.get(&format!("/vhosts/{v}/permissions"));
            for item in permissions.as_array().expect("permissions").iter().filter(|item| item["user"] != "guest") {
                take("permission", &item["user"], only(item, &["vhost", "user", "configure", "write", "read"]));
            }
        }
        let user = self.http.get(&format!("/users/{v}"));
        if !user.is_null() {
            let auth = Auth::Basic(v.clone(), PASSWORD.to_owned());
            let (status, _) = Http { auth, ..self.http.clone() }.send("GET", "/whoami", None);
            let password = if status == 200 { "right" } else { "wrong" };
            holds.insert(format!("user {v}"), json!({"name": v, "tags": tags(&user), "password": password}));
        }
        holds
    }

    fn writes_to_changed(&self) -> usize {
        3
    }

    fn plan_requests(&self) -> Vec<String> {
        ["bindings", "exchanges", "health/checks/alarms", "permissions", "policies", "queues", "users", "vhosts"]
            .map(|list| format!("GET /api/{list}"))
            .to_vec()
    }

    fn failing(&self, seen: &Seen) -> Fault {
        if seen.path == "/api/bindings" {
            return Fault::Answer(Reply::json(500, r#"{"error":"internal","reason":"out of order"}"#));
        }
        Fault::None
    }

    fn make_by_hand(&self, different: bool) {
        let v = &self.name;
        for (kind, name, mut spec) in self.all(State::All) {
            if different && kind == "policy" {
                spec["priority"] = json!(9);
            }
            let name = match name.as_str() {
                "e/1" => "e%2F1",
                "q 1" => "q%201",
                other => other,
            };
            match kind {
                "vhost" => drop(self.http.write("PUT", &format!("/vhosts/{v}"), spec)),
                "user" => {
                    spec["password"] = json!(PASSWORD);
                    spec["tags"] = json!("management");
                    self.http.write("PUT", &format!("/users/{v}"), spec);
                }
                "permission" => drop(self.http.write("PUT", &format!("/permissions/{v}/{v}"), spec)),
                "exchange" => drop(self.http.write("PUT", &format!("/exchanges/{v}/{name}"), spec)),
                "queue" => drop(self.http.write("PUT", &format!("/queues/{v}/{name}"), spec)),
                "policy" => drop(self.http.write("PUT", &format!("/policies/{v}/{name}"), spec)),
                _ => drop(self.http.write("POST", &format!("/bindings/{v}/e/e%2F1/q/q%201"), spec)),
            }
        }
    }

    fn make_foreign(&self) {
        let path = format!("/queues/{}/foreign", self.name);
        self.http.write("PUT", &path, json!({"durable": true, "arguments": {"x-max-length": 5}}));
    }

    fn foreign_stands(&self) -> bool {
        let queues = self.http.get(&format!("/queues/{}", self.name));
        let mut queues = queues.as_array().expect("queues").iter();
        queues.any(|queue| queue["name"] == "foreign" && queue["arguments"] == json!({"x-max-length": 5}))
    }

    fn drift(&self) {
        let path = format!("/policies/{}/limit", self.name);
        let mut policy = self.http.get(&path);
        policy["priority"] = json!(7);
        self.http.write("PUT", &path, policy);
    }

    fn rival_path(&self, path: &str) -> bool {
        path.contains("/policies")
    }

    fn conditional(&self) -> bool {
        false
    }

    fn refused(&self) -> (String, Vec<&'static str>) {
        let manifest = format!(
            "apiVersion: rabbitmq\nkind: policy\n\
             spec: {{vhost: {}, name: bad, pattern: \".*\", definition: {{max-lenght: 10}}}}\n",
            self.name
        );
        (manifest, vec!["policy/", "Validation failed", "max-lenght"])
    }

    fn clean(&self) {
        self.http.delete(&format!("/vhosts/{}", self.name));
        self.http.delete(&format!("/users/{}", self.name));
    }
}

pub(crate) fn a_password_is_sent_and_never_shown(scene: &Scene) {
    scene.declare(State::All);
    let mut shown = String::new();
    for args in [&["plan", "-vv"][..], &["plan", "-o", "json"], &["apply", "--yes", "-vv"], &["plan", "-o", "markdown"]]
    {
        let ran = scene.run(args).exits(0);
        shown += &ran.stdout;
        shown += &ran.stderr;
    }
    assert!(shown.contains("app-password"), "the name may be shown\n{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(scene.proxy.saw(PASSWORD), "it was never sent");
    // The record knows that it was sent, not what it was.
    let refs = scene.sandbox.git(["for-each-ref", "--format=%(refname)", "refs/ctl/"]);
    for name in refs.lines() {
        let kept = scene.sandbox.git(["grep", "-h", "-e", "", name]);
        assert!(kept.contains("app-password") && !kept.contains(PASSWORD), "{kept}");
    }
    assert!(!refs.is_empty());
    // Another field of the user changes: the password goes along, or the server would clear it.
    scene.apply(State::Changed);
}
