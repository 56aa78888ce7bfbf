//! PowerDNS: a zone for each test.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Auth, Http};
use crate::proxy::{Fault, Reply, Seen};
use crate::scene::{Holds, Scene, State, Subject, server, suffix};

struct PowerDns {
    http: Http,
    upstream: String,
    key: String,
    /// With the dot at its end.
    zone: String,
}

pub(crate) fn subject() -> Option<Arc<dyn Subject>> {
    let [upstream, key] = server("POWERDNS", &["KEY"])?.try_into().expect("two values");
    let http =
        Http { base: format!("{upstream}/api/v1/servers/localhost"), auth: Auth::Header("X-API-Key", key.clone()) };
    Some(Arc::new(PowerDns { http, upstream, key, zone: format!("conf-{}.example.", suffix()) }))
}

impl PowerDns {
    /// Record sets, as they are declared: name (below the zone), type, ttl, contents.
    fn sets(&self, state: State) -> Vec<(String, &'static str, u32, Vec<String>)> {
        let zone = &self.zone;
        let changed = state == State::Changed;
        let mut sets = vec![
            (zone.clone(), "NS", 3600, vec![format!("ns1.{zone}"), format!("ns2.{zone}")]),
            // Not in the order in which the server lists them.
            (
                format!("www.{zone}"),
                "A",
                if changed { 600 } else { 300 },
                vec![
                    "192.0.2.9".to_owned(),
                    if changed { "192.0.2.3" } else { "192.0.2.2" }.to_owned(),
                    "192.0.2.1".to_owned(),
                ],
            ),
            (
                zone.clone(),
                "TXT",
                300,
                vec![
                    format!("\"v=spf1 {}all\"", if changed { "~" } else { "-" }),
                    r#""two words" "and; a \"quoted\" part""#.to_owned(),
                ],
            ),
            (zone.clone(), "MX", 300, vec![format!("20 b.{zone}"), format!("10 a.{zone}")]),
            (format!("*.{zone}"), "CNAME", 300, vec![format!("www.{zone}")]),
        ];
        if state != State::Fewer {
            sets.push((format!("old.{zone}"), "AAAA", 300, vec!["2001:db8::1".to_owned()]));
        }
        sets
    }

    fn patch(&self, set: Value) {
        self.http.write("PATCH", &format!("/zones/{}", self.zone), json!({"rrsets": [set]}));
    }

    fn set(name: &str, kind: &str, ttl: u32, contents: &[String]) -> Value {
        let records: Vec<Value> = contents.iter().map(|c| json!({"content": c, "disabled": false})).collect();
        json!({"name": name, "type": kind, "ttl": ttl, "changetype": "REPLACE", "records": records})
    }

    fn found(&self, name: &str, kind: &str) -> Value {
        let zone = self.http.get(&format!("/zones/{}", self.zone));
        let mut sets = zone["rrsets"].as_array().cloned().unwrap_or_default().into_iter();
        sets.find(|set| set["name"] == name && set["type"] == kind).unwrap_or_default()
    }
}

impl Subject for PowerDns {
    fn api(&self) -> &'static str {
        "powerdns"
    }

    fn upstream(&self) -> String {
        self.upstream.clone()
    }

    fn credential(&self) -> Option<String> {
        Some(format!("header: {{name: X-API-Key, value: {{text: \"{}\"}}}}", self.key))
    }

    fn manifests(&self, state: State) -> String {
        // As people write names: capitals, no dot at the end.
        let zone = self.zone.trim_end_matches('.').to_uppercase();
        let mut text =
            format!("apiVersion: powerdns\nkind: zone\nspec: {{name: {zone}, nameservers: [\"ns1.{}\"]}}\n", self.zone);
        for (name, kind, ttl, contents) in self.sets(state) {
            let records: Vec<Value> = contents.iter().map(|c| json!({"content": c})).collect();
            let spec = json!({"zone": zone, "name": name, "type": kind, "ttl": ttl, "records": records});
            text += &format!("---\napiVersion: powerdns\nkind: rrset\nspec: {spec}\n");
        }
        text
    }

    fn count(&self, state: State) -> u64 {
        1 + self.sets(state).len() as u64
    }

    fn expected(&self, state: State) -> Holds {
        let sets = self.sets(state).into_iter().map(|(name, kind, ttl, mut contents)| {
            contents.sort();
            (format!("{name} {kind}"), json!({"ttl": ttl, "records": contents, "comments": []}))
        });
        sets.chain([("zone".to_owned(), json!("Native"))]).collect()
    }

    fn holds(&self) -> Holds {
        let zone = self.http.get(&format!("/zones/{}", self.zone));
        if zone.is_null() {
            return Holds::new();
        }
        let mut holds = Holds::from([("zone".to_owned(), zone["kind"].clone())]);
        for set in zone["rrsets"].as_array().expect("record sets") {
            let (name, kind) = (set["name"].as_str().expect("a name"), set["type"].as_str().expect("a type"));
            if kind == "SOA" || name.starts_with("foreign.") {
                continue;
            }
            let mut records: Vec<&str> = Vec::new();
            for record in set["records"].as_array().expect("records") {
                assert_eq!(record["disabled"], false);
                records.push(record["content"].as_str().expect("a content"));
            }
            records.sort_unstable();
            let comments = set["comments"].as_array().expect("comments");
            let comments: Vec<&Value> = comments.iter().filter(|comment| comment["account"] != "ctl").collect();
            let value = json!({"ttl": set["ttl"], "records": records, "comments": comments});
            holds.insert(format!("{name} {kind}"), value);
        }
        holds
    }

    fn writes_to_changed(&self) -> usize {
        2
    }

    fn plan_requests(&self) -> Vec<String> {
        let base = "GET /api/v1/servers/localhost";
        vec![format!("{base}/statistics"), format!("{base}/zones"), format!("{base}/zones/{}", self.zone)]
    }

    fn failing(&self, seen: &Seen) -> Fault {
        if seen.path.ends_with(&self.zone) && seen.method == "GET" {
            return Fault::Answer(Reply::json(500, r#"{"error":"backend is out of order"}"#));
        }
        Fault::None
    }

    fn make_by_hand(&self, different: bool) {
        let zone = json!({"name": self.zone, "kind": "Native", "nameservers": [format!("ns1.{}", self.zone)]});
        self.http.write("POST", "/zones", zone);
        for (name, kind, ttl, contents) in self.sets(State::All) {
            let ttl = if different && kind == "MX" { 77 } else { ttl };
            self.patch(Self::set(&name, kind, ttl, &contents));
        }
    }

    fn make_foreign(&self) {
        self.patch(Self::set(&format!("foreign.{}", self.zone), "A", 60, &["192.0.2.77".to_owned()]));
    }

    fn foreign_stands(&self) -> bool {
        let set = self.found(&format!("foreign.{}", self.zone), "A");
        set["ttl"] == 60 && set["records"] == json!([{"content": "192.0.2.77", "disabled": false}])
    }

    fn drift(&self) {
        let contents = ["192.0.2.9", "192.0.2.2", "192.0.2.1"].map(str::to_owned);
        self.patch(Self::set(&format!("www.{}", self.zone), "A", 77, &contents));
    }

    fn rival_path(&self, path: &str) -> bool {
        path.ends_with(&self.zone)
    }

    fn conditional(&self) -> bool {
        false
    }

    fn makes_itself(&self, address: &str) -> bool {
        address.ends_with("/NS")
    }

    fn refused(&self) -> (String, Vec<&'static str>) {
        let zone = &self.zone;
        let manifest = format!(
            "apiVersion: powerdns\nkind: rrset\nspec: {{zone: {zone}, name: bad.{zone}, type: MX, ttl: 300, \
             records: [{{content: 10 mail.example}}]}}\n"
        );
        (manifest, vec!["bad.", "Not in expected format"])
    }

    fn clean(&self) {
        self.http.delete(&format!("/zones/{}", self.zone));
    }
}

/// The zone of a scene.
fn zone(scene: &Scene) -> String {
    let manifests = scene.subject.manifests(State::All);
    let name = manifests.split("spec: {name: ").nth(1).and_then(|rest| rest.split(',').next()).expect("a zone");
    format!("{}.", name.to_lowercase())
}

/// A record set of the test's own, as a manifest.
fn extra(zone: &str, ttl: u32, contents: [&str; 3]) -> String {
    let records: Vec<Value> = contents.iter().map(|content| json!({"content": content})).collect();
    let spec = json!({"zone": zone, "name": format!("foreign.{zone}"), "type": "TXT", "ttl": ttl, "records": records});
    format!("---\napiVersion: powerdns\nkind: rrset\nspec: {spec}\n")
}

pub(crate) fn another_order_is_no_difference(scene: &Scene) {
    let (zone, all) = (zone(scene), scene.subject.manifests(State::All));
    scene.declare_text(&(all.clone() + &extra(&zone, 60, ["\"a\"", "\"b\"", "\"c\""])));
    scene.run(&["apply", "--yes"]).exits(0);
    scene.plan_is_empty();
    scene.proxy.forget();
    scene.declare_text(&(all + &extra(&zone, 60, ["\"c\"", "\"a\"", "\"b\""])));
    scene.plan_is_empty();
    scene.run(&["apply", "--yes"]).exits(0);
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
}

pub(crate) fn comments_of_people_survive(scene: &Scene) {
    let (zone, all) = (zone(scene), scene.subject.manifests(State::All));
    let contents = ["\"a\"", "\"b\"", "\"c\""];
    scene.declare_text(&(all.clone() + &extra(&zone, 60, contents)));
    scene.run(&["apply", "--yes"]).exits(0);
    let http = Http {
        base: format!("{}/api/v1/servers/localhost", scene.subject.upstream()),
        auth: Auth::Header("X-API-Key", server("POWERDNS", &["KEY"]).expect("it was there before")[1].clone()),
    };
    let found = || {
        let held = http.get(&format!("/zones/{zone}"));
        let mut sets = held["rrsets"].as_array().expect("record sets").clone().into_iter();
        sets.find(|set| set["name"] == format!("foreign.{zone}")).expect("the record set")
    };
    let mut comments = found()["comments"].as_array().expect("comments").clone();
    comments.push(json!({"content": "ask Anna before you change this", "account": "anna"}));
    let set = json!({"name": format!("foreign.{zone}"), "type": "TXT", "comments": comments, "changetype": "REPLACE"});
    http.write("PATCH", &format!("/zones/{zone}"), json!({"rrsets": [set]}));
    scene.plan_is_empty();

    scene.declare_text(&(all + &extra(&zone, 90, contents)));
    scene.run(&["apply", "--yes"]).exits(0);
    let set = found();
    assert_eq!(set["ttl"], 90);
    let comments = set["comments"].as_array().expect("comments");
    assert!(comments.iter().any(|comment| comment["account"] == "anna"), "{comments:#?}");
    assert!(comments.iter().any(|comment| comment["content"] == "ctl/conf"), "{comments:#?}");
    scene.plan_is_empty();
}

pub(crate) fn keeps_the_name_servers_of_the_apex(scene: &Scene) {
    scene.apply(State::All);
    let all = scene.subject.manifests(State::All);
    let rest: Vec<&str> = all.split("---\n").filter(|document| !document.contains("\"type\":\"NS\"")).collect();
    scene.declare_text(&rest.join("---\n"));
    scene.proxy.forget();
    scene.run(&["apply", "--yes"]).exits(0);
    assert_eq!(scene.proxy.writes(), Vec::<String>::new());
    scene.settled(State::All);
}
