//! Observed values cut down to what a manifest speaks of, and their digest.

use std::collections::BTreeMap;

use super::compare::scalar_normal;
use super::effective;
use crate::model::{Digest, FieldPath, KindRules, RecordEntry, Unordered, Value};

/// Cuts `observed` down to what `template` speaks of, in one spelling and order: server counters fall out, and so do
/// secrets, of which not even a hash may be kept.
pub fn project(observed: &Value, template: &Value, rules: &KindRules) -> Value {
    let (live, template) = (effective(observed, rules), effective(template, rules));
    cut(&FieldPath::root(), &live, Some(&template), rules, true)
}

/// The observed values of the fields that `template` states, as the server spells them; the secrets are the template's
/// references. This is what would have to be sent to leave everything as it is.
pub fn stated(observed: &Value, template: &Value, rules: &KindRules) -> Value {
    let mut value = cut(&FieldPath::root(), observed, Some(template), rules, false);
    for field in &rules.key {
        if let Some(found) = template.get(&field.path).or_else(|| observed.get(&field.path)) {
            value.set(&field.path, found.clone());
        }
    }
    if let Value::Object(members) = template {
        for (name, member) in members {
            let path = FieldPath::root().join(name);
            if member.holds_secret() || rules.is_secret(&path) || rules.is_passed_over(&path) {
                value.set(&path, member.clone());
            }
        }
    }
    value
}

/// The digest of the compared fields of what was observed: it changes when something moves that a manifest or the record
/// speaks of, and with nothing else.
pub fn digest_of(
    observed: &Value,
    desired: Option<&Value>,
    recorded: Option<&RecordEntry>,
    rules: &KindRules,
) -> Digest {
    let mut template = recorded.map_or_else(Value::object, |entry| entry.sent.value());
    if let Some(desired) = desired {
        merge(&mut template, desired);
    }
    project(observed, &template, rules).canonical().digest()
}

/// Lays `over` over `under`, mapping by mapping; lists are put one behind the other, for they only name members here.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                match under.get_mut(name) {
                    Some(there) => merge(there, value),
                    None => {
                        under.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(under), Value::Array(over)) => under.extend(over.iter().cloned()),
        (under, over) => *under = over.clone(),
    }
}

/// `template: None` keeps everything.
fn cut(path: &FieldPath, live: &Value, template: Option<&Value>, rules: &KindRules, normal: bool) -> Value {
    let rule = rules.field(path);
    match live {
        Value::Object(members) => {
            let exact = rule.is_some_and(|r| r.exact) || (path.is_root() && rules.exact.is_some());
            let names = template.and_then(Value::as_object);
            if names.is_none() && template.is_some() {
                return live.clone();
            }
            let mut out = BTreeMap::new();
            for (name, member) in members {
                let (at, inner) = (path.join(name), names.and_then(|n| n.get(name)));
                let excepted = rules.exact.as_ref().is_some_and(|e| e.except.iter().any(|x| x.matches(&at)));
                let wanted = inner.is_some() || names.is_none() || (exact && !excepted);
                if !wanted || rules.is_secret(&at) || rules.is_passed_over(&at) {
                    continue;
                }
                if inner.is_some_and(|t| matches!(t, Value::Secret(_))) {
                    continue;
                }
                out.insert(name.clone(), cut(&at, member, inner, rules, normal));
            }
            Value::Object(out)
        }
        Value::Array(items) => {
            let inner = template.and_then(Value::as_array).and_then(|elements| {
                let mut union = Value::object();
                elements.iter().for_each(|e| merge(&mut union, e));
                union.as_object().is_some_and(|m| !m.is_empty()).then_some(union)
            });
            let mut out: Vec<Value> = items
                .iter()
                .enumerate()
                .map(|(i, item)| cut(&path.join(i.to_string()), item, inner.as_ref(), rules, normal))
                .collect();
            if normal
                && matches!(rule.and_then(|r| r.unordered.as_ref()), Some(Unordered::ByValue | Unordered::ByKey(_)))
            {
                out.sort_by_cached_key(Value::canonical);
            }
            Value::Array(out)
        }
        scalar if normal => scalar_normal(rule, scalar),
        scalar => scalar.clone(),
    }
}
