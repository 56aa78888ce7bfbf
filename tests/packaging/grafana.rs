//! The dashboard.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::parts::installed;
use crate::{approves, metrics, read};

fn dashboard() -> Value {
    serde_json::from_str(&read("packaging/grafana/ctl.json")).unwrap()
}

/// Every value of `key`, however deep.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|field| all(field, key, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    all(dashboard, "expr", &mut found);
    found.into_iter().map(|expression| expression.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_expression_names_only_what_exists_and_no_metric_is_left_out() {
    let dashboard = dashboard();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 20);
    let used: BTreeSet<String> = expressions.iter().flat_map(|expression| metrics::exist(expression)).collect();
    for name in metrics::names() {
        assert!(used.iter().any(|used| used.starts_with(name)), "{name} is nowhere to be seen");
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (selector, label) = inside.rsplit_once(", ").unwrap();
            let metric = metrics::exist(selector).pop_first().unwrap();
            assert!(metrics::labels(&metric).unwrap().contains(label), "{query}");
        }
    }
}

#[test]
fn variables_that_are_used_are_there() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: BTreeSet<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["datasource", "job", "target"]));
    for expression in expressions(&dashboard) {
        for used in expression.split('$').skip(1) {
            let name = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            assert!(names.contains(name) || name == "__rate_interval", "${name} in {expression}");
        }
    }
    let mut sources = Vec::new();
    all(&dashboard, "datasource", &mut sources);
    assert!(sources.iter().all(|source| source["uid"] == "${datasource}"), "no data source of somebody's own");
}

#[test]
fn panels_have_words_and_places_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let number = |name: &str| panel["gridPos"][name].as_i64().unwrap();
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
        assert!(panel["title"].is_string());
        assert!(panel["type"] == "row" || panel["description"].is_string(), "{}", panel["title"]);
    }
}

#[test]
fn promtool_reads_every_expression() {
    if !installed("promtool") {
        return;
    }
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for (at, expression) in expressions(&dashboard()).iter().enumerate() {
        let expression = Value::String(expression.replace("$__rate_interval", "5m"));
        writeln!(rules, "  - {{record: \"dashboard:{at}\", expr: {expression}}}").unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    approves(Command::new("promtool").args(["check", "rules"]).arg(file.path()));
}
