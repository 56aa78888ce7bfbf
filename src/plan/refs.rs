//! The references of an object, found in its value.

use crate::model::{FieldPath, Key, Kind, KindRules, KindTable, OnDelete, RefRule, Value};

/// One reference of one object, found in its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ref {
    /// The referring field, with the indexes of the elements it is in.
    pub(super) field: FieldPath,
    /// What is referred to.
    pub(super) kind: Kind,
    pub(super) key: Key,
    pub(super) on_delete: OnDelete,
    pub(super) optional: bool,
}

/// The objects of the same endpoint that `value` refers to, its parent not among them.
pub fn refers_to(value: &Value, rules: &KindRules, table: &KindTable) -> Vec<(Kind, Key)> {
    refs_of(value, rules, table).into_iter().map(|found| (found.kind, found.key)).collect()
}

/// All references of `value`, the parent not among them.
pub(super) fn refs_of(value: &Value, rules: &KindRules, table: &KindTable) -> Vec<Ref> {
    rules.refs.iter().flat_map(|rule| refs_by(value, rule, table)).collect()
}

pub(super) fn refs_by(value: &Value, rule: &RefRule, table: &KindTable) -> Vec<Ref> {
    let mut fields = Vec::new();
    expand(value, rule.field.segments(), FieldPath::root(), &mut Vec::new(), &mut fields);
    let mut out = Vec::new();
    for (field, stars) in fields {
        let parts: Option<Vec<Value>> = if rule.through.is_empty() {
            value.get(&field).cloned().map(|v| vec![v])
        } else {
            rule.through.iter().map(|path| value.get(&bind(path, &stars)).cloned()).collect()
        };
        let Some(parts) = parts else { continue };
        if parts.iter().any(|p| matches!(p, Value::Null | Value::Secret(_))) {
            continue;
        }
        let forms = table.get(&rule.kind).map(|k| k.key.as_slice()).unwrap_or_default();
        let parts: Vec<Value> = parts
            .iter()
            .enumerate()
            .map(|(i, part)| forms.get(i).and_then(|f| f.form).map_or_else(|| part.clone(), |form| form.normal(part)))
            .collect();
        out.push(Ref {
            field,
            kind: rule.kind.clone(),
            key: Key::new(&parts),
            on_delete: rule.on_delete,
            optional: rule.optional,
        });
    }
    out
}

/// `value` without the fields at `paths`.
pub(super) fn without(mut value: Value, paths: &[FieldPath]) -> Value {
    for path in paths.iter().rev() {
        value.remove(path);
    }
    value
}

/// The concrete paths that `steps` stand for, each with what its stars were bound to.
fn expand(
    here: &Value,
    steps: &[String],
    path: FieldPath,
    stars: &mut Vec<String>,
    out: &mut Vec<(FieldPath, Vec<String>)>,
) {
    let Some((step, rest)) = steps.split_first() else {
        out.push((path, stars.clone()));
        return;
    };
    if step != "*" {
        if let Some(child) = here.child(step) {
            expand(child, rest, path.join(step), stars, out);
        }
        return;
    }
    let names: Vec<String> = match here {
        Value::Array(items) => (0..items.len()).map(|i| i.to_string()).collect(),
        Value::Object(map) => map.keys().cloned().collect(),
        _ => return,
    };
    for name in names {
        if let Some(child) = here.child(&name) {
            stars.push(name.clone());
            expand(child, rest, path.join(name), stars, out);
            stars.pop();
        }
    }
}

fn bind(path: &FieldPath, stars: &[String]) -> FieldPath {
    let mut stars = stars.iter();
    path.segments()
        .iter()
        .map(|step| if step == "*" { stars.next().cloned().unwrap_or_default() } else { step.clone() })
        .collect()
}
