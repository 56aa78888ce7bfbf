//! The reference server, one in this process for each test.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Auth, Http, wait};
use crate::proxy::{Fault, Reply, Seen};
use crate::scene::{Holds, State, Subject};

struct Reference {
    http: Http,
    upstream: String,
}

pub(crate) fn subject() -> Option<Arc<dyn Subject>> {
    let upstream = wait(async {
        let store = ctl::server::Store::memory(ctl::server::Schema::built_in(), 64).expect("a store in memory");
        let server = ctl::server::Server::new(store, ctl::server::Config::open()).expect("a server");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a port");
        // It ends with the process.
        tokio::spawn(ctl::server::run(listener, Arc::new(server), std::future::pending()));
        format!("http://{address}")
    });
    Some(Arc::new(Reference { http: Http { base: format!("{upstream}/v1"), auth: Auth::None }, upstream }))
}

impl Reference {
    /// What `All` holds, by kind and name, as specs.
    fn specs(&self, state: State) -> Vec<(&'static str, &'static str, Value)> {
        let changed = state == State::Changed;
        let mut specs = vec![
            ("service", "cart", json!({"host": "cart.internal", "port": 8080, "tags": ["b", "a"]})),
            ("service", "pay", json!({"host": "pay.internal", "port": if changed { 9443 } else { 8443 }})),
            ("route", "cart", json!({"service": "cart", "host": "shop.example", "path": "/cart", "methods": ["GET"]})),
            ("route", "pay", json!({"service": "pay", "host": "shop.example", "path": "/pay", "strip": changed})),
            (
                "policy",
                "limit",
                json!({"type": "rate-limit", "service": "pay", "limit": if changed { 70 } else { 50 }}),
            ),
            (
                "policy",
                "auth",
                json!({"type": if state == State::Replaced { "key" } else { "token" }, "enabled": true}),
            ),
        ];
        if state != State::Fewer {
            let spec = json!({"service": "cart", "host": "shop.example", "path": "/basket", "priority": 10});
            specs.push(("route", "old-cart", spec));
        }
        specs
    }
}

impl Subject for Reference {
    fn api(&self) -> &'static str {
        "ctl"
    }

    fn upstream(&self) -> String {
        self.upstream.clone()
    }

    fn credential(&self) -> Option<String> {
        None
    }

    fn manifests(&self, state: State) -> String {
        let document = |(kind, name, spec): (&str, &str, Value)| {
            format!("apiVersion: ctl\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
        };
        self.specs(state).into_iter().map(document).collect::<Vec<_>>().join("---\n")
    }

    fn count(&self, state: State) -> u64 {
        self.specs(state).len() as u64
    }

    fn expected(&self, state: State) -> Holds {
        self.specs(state).into_iter().map(|(kind, name, spec)| (format!("{kind}/{name}"), spec)).collect()
    }

    fn holds(&self) -> Holds {
        let mut holds = Holds::new();
        for kind in ["service", "route", "policy"] {
            let list = self.http.get(&format!("/{kind}"));
            assert!(list["next"].is_null(), "more than a page");
            for item in list["items"].as_array().expect("items") {
                let name = item["name"].as_str().expect("a name");
                if name != "foreign" {
                    holds.insert(format!("{kind}/{name}"), item["spec"].clone());
                }
            }
        }
        holds
    }

    fn writes_to_changed(&self) -> usize {
        3
    }

    fn plan_requests(&self) -> Vec<String> {
        ["GET /readyz", "GET /v1/policy?limit=1000", "GET /v1/route?limit=1000", "GET /v1/service?limit=1000"]
            .map(str::to_owned)
            .to_vec()
    }

    fn failing(&self, seen: &Seen) -> Fault {
        if seen.path != "/v1/route" {
            Fault::None
        } else if seen.query.contains("continue=") {
            Fault::Answer(Reply::json(500, r#"{"error":"out of order"}"#))
        } else {
            Fault::Rewrite(Box::new(|reply: &mut Reply| {
                let mut page: Value = serde_json::from_slice(&reply.body).expect("a page");
                page["items"].as_array_mut().expect("items").pop();
                page["next"] = json!("2");
                reply.body = page.to_string().into();
            }))
        }
    }

    fn make_by_hand(&self, different: bool) {
        for (kind, name, mut spec) in self.specs(State::All) {
            if different && name == "limit" {
                spec["limit"] = json!(1);
            }
            self.http.write("PUT", &format!("/{kind}/{name}"), json!({"spec": spec}));
        }
    }

    fn make_foreign(&self) {
        let spec = json!({"service": "cart", "host": "other.example", "path": "/"});
        self.http.write("PUT", "/route/foreign", json!({"labels": {"team": "other"}, "spec": spec}));
    }

    fn foreign_stands(&self) -> bool {
        let found = self.http.get("/route/foreign");
        found["labels"] == json!({"team": "other"}) && found["spec"]["host"] == "other.example"
    }

    fn drift(&self) {
        let mut found = self.http.get("/policy/limit");
        found["spec"]["limit"] = json!(7);
        let body = json!({"labels": found["labels"], "spec": found["spec"]});
        self.http.write("PUT", "/policy/limit", body);
    }

    fn rival_path(&self, path: &str) -> bool {
        path == "/v1/policy/limit"
    }

    fn conditional(&self) -> bool {
        true
    }

    fn refused(&self) -> (String, Vec<&'static str>) {
        let manifest = "apiVersion: ctl\nkind: route\nmetadata: {name: bad}\n\
                        spec: {service: cart, host: shop.example, path: /bad, priority: high}\n";
        (manifest.to_owned(), vec!["route/bad", "refused: `/spec/priority`: expected a whole number"])
    }

    fn clean(&self) {
        for kind in ["route", "policy", "service"] {
            let list = self.http.get(&format!("/{kind}"));
            for item in list["items"].as_array().into_iter().flatten() {
                self.http.delete(&format!("/{kind}/{}", item["name"].as_str().expect("a name")));
            }
        }
    }
}
