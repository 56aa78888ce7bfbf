//! The checksums that consent binds to: of a plan, and of its deletes.

use super::change::{Action, Change, Operation, Plan};
use crate::model::{Canonical, Digest, Value, on_all_cores, write_string};

/// How many lines are held at a time.
const AT_ONCE: usize = 4096;

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
        (&a.resource.target, &a.endpoint)
            .cmp(&(&b.resource.target, &b.endpoint))
            .then_with(|| a.resource.kind.cmp(&b.resource.kind))
            .then_with(|| a.resource.key.cmp(&b.resource.key))
            .then_with(|| a.change.action().as_str().cmp(b.change.action().as_str()))
    });
    // Some at a time: all of their lines together would be as large as the plan.
    Digest::of_parts(sorted.chunks(AT_ONCE).flat_map(|some| {
        on_all_cores(some, |op| {
            let mut text = Vec::with_capacity(512);
            line(op, &mut text);
            text.push(b'\n');
            text
        })
    }))
}

/// One canonical JSON object, members sorted. It is put together from canonical parts: a plan may hold 100,000 of them.
fn line(op: &Operation, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"action\":");
    write_string(op.change.action().as_str(), out);
    out.extend_from_slice(b",\"endpoint\":");
    write_string(op.endpoint.as_str(), out);
    let deleted = match &op.change {
        Change::Delete { entry, .. } => Some(entry),
        _ => None,
    };
    if deleted.is_none() {
        out.extend_from_slice(b",\"fields\":[");
        for (i, field) in op.fields.iter().enumerate() {
            out.extend_from_slice(if i > 0 { b"," } else { b"" });
            out.extend_from_slice(b"{\"after\":");
            side(field.after.as_ref(), field.secret, out);
            out.extend_from_slice(b",\"before\":");
            side(field.before.as_ref(), field.secret, out);
            out.extend_from_slice(b",\"path\":");
            write_string(&field.path.to_string(), out);
            out.push(b'}');
        }
        out.push(b']');
    }
    out.extend_from_slice(b",\"key\":");
    out.extend_from_slice(op.resource.key.canonical().as_bytes());
    out.extend_from_slice(b",\"kind\":");
    write_string(op.resource.kind.as_str(), out);
    if let Some(entry) = deleted {
        out.extend_from_slice(b",\"recorded\":");
        match entry {
            Some(entry) => write_string(&entry.digest.to_string(), out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b",\"target\":");
    write_string(op.resource.target.as_str(), out);
    out.push(b'}');
}

/// A list of one value, or of none.
fn side(value: Option<&Canonical>, secret: bool, out: &mut Vec<u8>) {
    out.push(b'[');
    match value {
        None => {}
        // Of a secret only its name and version may be hashed: a short one could be guessed from more.
        Some(value) if secret => out.extend_from_slice(only_references(value.value()).canonical().as_bytes()),
        Some(value) => out.extend_from_slice(value.as_bytes()),
    }
    out.push(b']');
}

fn only_references(value: Value) -> Value {
    match value {
        Value::Secret(_) => value,
        Value::Array(items) => Value::Array(items.into_iter().map(only_references).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, only_references(v))).collect()),
        // Nobody can guess anything from these. Others stand in no manifest: they are refused when it is read.
        Value::Null | Value::Bool(_) => value,
        Value::Number(_) | Value::String(_) => Value::Null,
    }
}
