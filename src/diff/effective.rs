//! What is meant where a field is left out: the declared defaults.

use crate::model::{Each, KindRules, Value};

/// `value` with the declared defaults where it leaves a field out, inside the elements of its lists too.
///
/// A default below a mapping that is not there is not filled in: nobody speaks of that mapping.
pub fn effective(value: &Value, rules: &KindRules) -> Value {
    let mut filled = value.clone();
    for (path, rule) in &rules.fields {
        if let Some(default) = &rule.default {
            fill(&mut filled, path.segments(), default);
        }
    }
    for (path, rule) in &rules.fields {
        if let Some(each) = &rule.each {
            fill_each(&mut filled, path.segments(), each);
        }
    }
    filled
}

fn fill(here: &mut Value, steps: &[String], default: &Value) {
    let Some((step, rest)) = steps.split_first() else { return };
    match here {
        Value::Object(map) if step == "*" => map.values_mut().for_each(|member| fill(member, rest, default)),
        Value::Object(map) => {
            if rest.is_empty() {
                map.entry(step.clone()).or_insert_with(|| default.clone());
            } else if let Some(member) = map.get_mut(step) {
                fill(member, rest, default);
            }
        }
        Value::Array(items) if step == "*" => items.iter_mut().for_each(|item| fill(item, rest, default)),
        _ => {}
    }
}

fn fill_each(here: &mut Value, steps: &[String], each: &Each) {
    let Some((step, rest)) = steps.split_first() else {
        let elements: Vec<&mut Value> = match here {
            Value::Array(items) => items.iter_mut().collect(),
            Value::Object(map) => map.values_mut().collect(),
            _ => return,
        };
        for element in elements {
            if let Value::Object(map) = element {
                for (name, default) in &each.defaults {
                    map.entry(name.clone()).or_insert_with(|| default.clone());
                }
            }
        }
        return;
    };
    match here {
        Value::Object(map) if step == "*" => map.values_mut().for_each(|member| fill_each(member, rest, each)),
        Value::Array(items) if step == "*" => items.iter_mut().for_each(|item| fill_each(item, rest, each)),
        Value::Object(map) => {
            if let Some(member) = map.get_mut(step) {
                fill_each(member, rest, each);
            }
        }
        _ => {}
    }
}
