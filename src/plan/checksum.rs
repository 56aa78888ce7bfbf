use super::change::{Action, Change, Operation, Plan};
use crate::model::{Canonical, Digest, Value};

impl Plan {
    /// The SHA-256 of canonical JSON lines, one per operation, sorted by target, endpoint, kind, key and action. It has
    /// no times, ids, server counters or preconditions in it: it is stable until something real moves.
    pub fn checksum(&self) -> Digest {
        sum(self.operations.iter())
    }

    /// The same over the deletes alone, and over what they take along though no operation names it, so that consent
    /// covers what was shown and nothing that came since; `--allow-deletes` binds to it.
    pub fn deletes_checksum(&self) -> Digest {
        let deletes = || self.operations.iter().filter(|op| op.change.action() == Action::Delete);
        let mut lost: Vec<String> = deletes().flat_map(lost_along).collect();
        if lost.is_empty() {
            return sum(deletes());
        }
        lost.sort();
        Digest::of(format!("{}\n{}\n", sum(deletes()), lost.join("\n")).as_bytes())
    }
}

/// What a delete takes along for good, as canonical JSON lines.
fn lost_along(op: &Operation) -> impl Iterator<Item = String> + '_ {
    op.cascades.iter().filter(|cascade| !cascade.recreated).map(|cascade| {
        let line: Value = [
            ("target", Value::from(op.resource.target.as_str())),
            ("endpoint", Value::from(op.endpoint.as_str())),
            ("kind", Value::from(cascade.kind.as_str())),
            ("key", Value::Array(cascade.key.values().collect())),
        ]
        .into_iter()
        .collect();
        line.canonical().as_str().to_owned()
    })
}

fn sum<'a>(operations: impl Iterator<Item = &'a Operation>) -> Digest {
    let mut sorted: Vec<&Operation> = operations.collect();
    // Halves of a split are alike in all five, and stay in the order in which they run.
    sorted.sort_by_key(|op| op.id);
    sorted.sort_by(|a, b| {
        let key = |op: &Operation| (op.resource.target.clone(), op.endpoint.clone());
        key(a)
            .cmp(&key(b))
            .then_with(|| a.resource.kind.cmp(&b.resource.kind))
            .then_with(|| a.resource.key.cmp(&b.resource.key))
            .then_with(|| a.change.action().as_str().cmp(b.change.action().as_str()))
    });
    let mut text = Vec::new();
    for op in sorted {
        text.extend_from_slice(line(op).as_bytes());
        text.push(b'\n');
    }
    Digest::of(&text)
}

fn line(op: &Operation) -> Canonical {
    let mut line: std::collections::BTreeMap<String, Value> = [
        ("target", Value::from(op.resource.target.as_str())),
        ("endpoint", Value::from(op.endpoint.as_str())),
        ("kind", Value::from(op.resource.kind.as_str())),
        ("key", Value::Array(op.resource.key.values().collect())),
        ("action", Value::from(op.change.action().as_str())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    match &op.change {
        Change::Delete { entry, .. } => {
            let digest = entry.as_ref().map_or(Value::Null, |e| Value::from(e.digest.to_string()));
            line.insert("recorded".to_owned(), digest);
        }
        _ => {
            line.insert("fields".to_owned(), Value::Array(op.fields.iter().map(field).collect()));
        }
    }
    Value::Object(line).canonical()
}

fn field(field: &super::change::FieldDiff) -> Value {
    let side = |value: &Option<Canonical>| match value.as_ref().map(Canonical::value) {
        None => Value::Array(Vec::new()),
        // Of a secret only its name and version may be hashed: a short one could be guessed from more.
        Some(value) if field.secret => Value::Array(vec![only_references(value)]),
        Some(value) => Value::Array(vec![value]),
    };
    [("path", Value::from(field.path.to_string())), ("before", side(&field.before)), ("after", side(&field.after))]
        .into_iter()
        .collect()
}

fn only_references(value: Value) -> Value {
    match value {
        Value::Secret(_) => value,
        Value::Array(items) => Value::Array(items.into_iter().map(only_references).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, only_references(v))).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}
