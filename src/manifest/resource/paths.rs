//! Paths with a `*` in them, and the fields of a value that they fit.

use crate::model::{FieldPath, Value};

/// The paths of `value` that `pattern` names, `*` being any step.
pub(super) fn expand(value: &Value, pattern: &FieldPath) -> Vec<FieldPath> {
    let mut found = vec![(FieldPath::root(), value)];
    for step in pattern.segments() {
        let mut next = Vec::new();
        for (path, value) in found {
            match value {
                Value::Object(map) if step == "*" => next.extend(map.iter().map(|(k, v)| (path.join(k.clone()), v))),
                Value::Array(items) if step == "*" => {
                    next.extend(items.iter().enumerate().map(|(i, v)| (path.join(i.to_string()), v)));
                }
                _ => next.extend(value.child(step).map(|v| (path.join(step.clone()), v))),
            }
        }
        found = next;
    }
    found.into_iter().map(|(path, _)| path).collect()
}

/// `pattern` with the steps that `found` put in the place of `*` in `rule`, as far as both run together.
pub(super) fn concrete(pattern: &FieldPath, rule: &FieldPath, found: &FieldPath) -> FieldPath {
    let mut together = true;
    pattern
        .segments()
        .iter()
        .enumerate()
        .map(|(i, step)| {
            together &= rule.segments().get(i) == Some(step);
            match found.segments().get(i) {
                Some(real) if together => real.clone(),
                _ => step.clone(),
            }
        })
        .collect()
}
