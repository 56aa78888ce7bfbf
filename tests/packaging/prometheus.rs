//! The alert rules.

use std::process::Command;

use serde_json::Value;

use crate::parts::installed;
use crate::{approves, documents, metrics, path, read};

const RULES: &str = "packaging/prometheus/ctl.rules.yaml";
const TESTS: &str = "packaging/prometheus/ctl.rules.test.yaml";

fn rules() -> Vec<Value> {
    let groups = documents(RULES)[0]["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn alerts_name_only_metrics_and_labels_that_exist() {
    let rules = rules();
    assert!(rules.len() > 10);
    for rule in &rules {
        let expression = rule["expr"].as_str().unwrap();
        let metrics = metrics::exist(expression);
        for text in ["summary", "description"] {
            let text = rule["annotations"][text].as_str().unwrap_or_else(|| panic!("{rule}: {text}"));
            for label in text.split("$labels.").skip(1) {
                let label = label.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
                let has = |metric: &String| metrics::labels(metric).is_some_and(|labels| labels.contains(label));
                assert!(metrics.iter().any(has), "{label} in {text}");
            }
        }
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{severity}");
    }
}

#[test]
fn every_alert_is_shown_to_fire() {
    let tests = documents(TESTS)[0]["tests"].as_array().unwrap().clone();
    let fires = |alert: &str| {
        tests.iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap()).any(|expected| {
            expected["alertname"] == alert && expected["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty())
        })
    };
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        assert!(fires(alert), "{TESTS} does not show {alert}");
    }
}

#[test]
fn promtool_approves_of_the_rules_and_their_tests() {
    if installed("promtool") {
        approves(Command::new("promtool").args(["check", "rules"]).arg(path(RULES)));
        approves(Command::new("promtool").args(["test", "rules"]).arg(path(TESTS)));
    }
}

#[test]
fn the_commands_that_alerts_advise_exist() {
    use clap::CommandFactory as _;
    let known = ctl::cli::Cli::command();
    for text in [read(RULES), read("docs/packaging.md")] {
        for said in text.split("`ctl ").skip(1) {
            let words: Vec<&str> = said.split('`').next().unwrap().split_whitespace().collect();
            assert!(known.find_subcommand(words[0]).is_some(), "there is no command `ctl {}`", words.join(" "));
        }
    }
}
