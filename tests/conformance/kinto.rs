//! Kinto: a bucket for each test, pages of two.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Auth, Http};
use crate::proxy::{Fault, Reply, Seen};
use crate::scene::{Holds, State, Subject, server, suffix};

struct Kinto {
    http: Http,
    upstream: String,
    user: String,
    password: String,
    bucket: String,
}

pub(crate) fn subject() -> Option<Arc<dyn Subject>> {
    let [upstream, user, password] = server("KINTO", &["USER", "PASSWORD"])?.try_into().expect("three values");
    let http = Http { base: format!("{upstream}/v1"), auth: Auth::Basic(user.clone(), password.clone()) };
    Some(Arc::new(Kinto { http, upstream, user, password, bucket: format!("conf-{}", suffix()) }))
}

impl Kinto {
    /// Kind, path below the bucket, and what is stated beside the key.
    fn all(&self, state: State) -> Vec<(&'static str, String, Value)> {
        let changed = state == State::Changed;
        let mut all = vec![
            ("bucket", String::new(), json!({"title": "Shop"})),
            ("collection", "/collections/items".to_owned(), json!({"title": if changed { "Goods" } else { "Items" }})),
            ("collection", "/collections/empty".to_owned(), json!({})),
        ];
        let records = if state == State::Fewer { 3 } else { 5 };
        for n in 0..records {
            let price = if changed && n == 1 { json!(99.5) } else { json!(n) };
            let data = json!({"price": price, "big": 12_345_678_901_234_567_u64, "nested": {"b": [2, 1], "a": null}});
            all.push(("record", format!("/collections/items/records/r-{n}"), data));
        }
        all
    }

    fn path(&self, below: &str) -> String {
        format!("/buckets/{}{below}", self.bucket)
    }
}

impl Subject for Kinto {
    fn api(&self) -> &'static str {
        "kinto"
    }

    fn upstream(&self) -> String {
        self.upstream.clone()
    }

    fn credential(&self) -> Option<String> {
        Some(format!("basic: {{user: {{text: \"{}\"}}, password: {{text: \"{}\"}}}}", self.user, self.password))
    }

    fn manifests(&self, state: State) -> String {
        let document = |(kind, path, data): (&str, String, Value)| {
            let mut spec = data;
            let id = path.rsplit('/').next().filter(|id| !id.is_empty()).unwrap_or(&self.bucket);
            spec["id"] = json!(id);
            if kind != "bucket" {
                spec["bucket"] = json!(self.bucket);
            }
            if kind == "record" {
                spec["collection"] = json!("items");
            }
            format!("apiVersion: kinto\nkind: {kind}\nspec: {spec}\n")
        };
        self.all(state).into_iter().map(document).collect::<Vec<_>>().join("---\n")
    }

    fn count(&self, state: State) -> u64 {
        self.all(state).len() as u64
    }

    fn expected(&self, state: State) -> Holds {
        self.all(state).into_iter().map(|(_, path, data)| (path, data)).collect()
    }

    fn holds(&self) -> Holds {
        let mut holds = Holds::new();
        let mut take = |path: String, object: &Value| {
            let Some(mut data) = object.as_object().cloned() else { return };
            for own in ["id", "last_modified", "managed_by"] {
                data.remove(own);
            }
            if !path.ends_with("/foreign") {
                holds.insert(path, Value::Object(data));
            }
        };
        take(String::new(), &self.http.get(&self.path(""))["data"]);
        for (_, path, _) in self.all(State::All) {
            if path.matches('/').count() == 2 {
                take(path.clone(), &self.http.get(&self.path(&path))["data"]);
            }
        }
        for record in self.http.items(&self.path("/collections/items/records")) {
            take(format!("/collections/items/records/{}", record["id"].as_str().expect("an id")), &record);
        }
        holds
    }

    fn writes_to_changed(&self) -> usize {
        2
    }

    fn plan_requests(&self) -> Vec<String> {
        let bucket = format!("/buckets/{}", self.bucket);
        // What nothing is declared in is not asked for.
        let lists =
            ["/buckets".to_owned(), format!("{bucket}/collections"), format!("{bucket}/collections/items/records")];
        let mut requests = vec!["GET /v1/__heartbeat__".to_owned()];
        for list in lists {
            requests.push(format!("GET /v1{list}"));
            let more = self.http.pages(&list) - 1;
            requests.extend(std::iter::repeat_n(format!("GET /v1{list}?_token"), more));
        }
        requests.sort();
        requests
    }

    fn normal(&self, line: &str) -> String {
        match line.split_once('?') {
            Some((path, query)) if query.contains("_token=") => format!("{path}?_token"),
            _ => line.to_owned(),
        }
    }

    fn failing(&self, seen: &Seen) -> Fault {
        if seen.path.ends_with("/items/records") && seen.query.contains("_token=") {
            return Fault::Answer(Reply::json(500, r#"{"message":"out of order"}"#));
        }
        Fault::None
    }

    fn make_by_hand(&self, different: bool) {
        for (kind, path, mut data) in self.all(State::All) {
            if different && kind == "collection" && path.ends_with("items") {
                data["title"] = json!("By hand");
            }
            self.http.write("PUT", &self.path(&path), json!({"data": data}));
        }
    }

    fn make_foreign(&self) {
        let path = self.path("/collections/empty/records/foreign");
        self.http.write("PUT", &path, json!({"data": {"owner": "somebody"}}));
    }

    fn foreign_stands(&self) -> bool {
        let found = self.http.get(&self.path("/collections/empty/records/foreign"));
        found["data"]["owner"] == "somebody" && found["data"]["managed_by"].is_null()
    }

    fn drift(&self) {
        let path = self.path("/collections/items/records/r-1");
        self.http.write("PATCH", &path, json!({"data": {"price": 7}}));
    }

    fn rival_path(&self, path: &str) -> bool {
        path.ends_with("/records/r-1")
    }

    fn conditional(&self) -> bool {
        true
    }

    fn refused(&self) -> (String, Vec<&'static str>) {
        let manifest = format!(
            "apiVersion: kinto\nkind: record\nspec: {{bucket: {}, collection: items, id: not.valid}}\n",
            self.bucket
        );
        (manifest, vec!["not.valid", "Invalid object id"])
    }

    fn clean(&self) {
        self.http.delete(&self.path(""));
    }
}
