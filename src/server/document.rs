//! What a client may write: `{name, labels, spec}`, checked against the schema; and how a refusal looks.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{Digest, FieldPath, JsonSpelling, SecretRef, Value, write_object, write_string};

use super::schema::{FieldType, KindSchema};

/// What the server says instead of doing it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and where it helps, what to do.
    pub error: String,
    /// The pointer of the bad field.
    pub field: Option<String>,
    /// The objects that are in the way, as `kind/name`.
    pub others: Vec<String>,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal with a status and a sentence.
    pub fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), field: None, others: Vec::new(), retry_after: None }
    }

    /// 422 with the pointer of the bad field.
    pub fn invalid(field: &FieldPath, error: impl Into<String>) -> Self {
        Self { field: Some(field.to_string()), ..Self::new(422, error) }
    }

    /// The body: `{"error":…}` with `field` and `others` where there are any.
    pub fn body(&self) -> Bytes {
        let mut map = BTreeMap::from([("error".to_owned(), Value::from(self.error.as_str()))]);
        if let Some(field) = &self.field {
            map.insert("field".to_owned(), Value::from(field.as_str()));
        }
        if !self.others.is_empty() {
            map.insert(
                "others".to_owned(),
                self.others.iter().map(|o| Value::from(o.as_str())).collect::<Vec<_>>().into(),
            );
        }
        let mut out = Vec::new();
        write_object(&map, &Plainly, &mut out);
        out.into()
    }
}

/// What a client wants an object to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Free text by name.
    pub labels: BTreeMap<String, String>,
    /// The fields that the schema knows.
    pub spec: BTreeMap<String, Value>,
}

impl Document {
    /// Checks a body. `name` and `uid` come back where the body says them; `revision` and `etag` are the server's own
    /// and are passed over, so that what was read can be sent back.
    pub fn read(body: Value, kind: &KindSchema) -> Result<(Self, Option<String>, Option<String>), Refusal> {
        let root = FieldPath::root();
        let Value::Object(mut map) = body else {
            return Err(Refusal::invalid(&root, format!("expected a mapping, not {}", body.noun())));
        };
        let name = text(map.remove("name"), &root.join("name"))?;
        let uid = text(map.remove("uid"), &root.join("uid"))?;
        map.remove("revision");
        map.remove("etag");
        let at = root.join("labels");
        let mut labels = BTreeMap::new();
        for (key, value) in mapping(map.remove("labels"), &at)? {
            match value {
                Value::String(text) => labels.insert(key, text),
                other => {
                    return Err(Refusal::invalid(&at.join(key), format!("a label is a string, not {}", other.noun())));
                }
            };
        }
        let spec = mapping(map.remove("spec"), &root.join("spec"))?;
        if let Some(key) = map.keys().next() {
            return Err(Refusal::invalid(&root.join(key), "no such field: an object has name, labels and spec"));
        }
        let document = Self { labels, spec };
        document.check(kind)?;
        Ok((document, name, uid))
    }

    /// Checks the fields of `spec` against the schema.
    fn check(&self, kind: &KindSchema) -> Result<(), Refusal> {
        let at = FieldPath::root().join("spec");
        for (name, value) in &self.spec {
            let Some(field) = kind.fields.get(name) else {
                return Err(Refusal::invalid(&at.join(name), "no such field"));
            };
            let (good, wanted) = match field.holds {
                FieldType::String => (matches!(value, Value::String(_)), "a string"),
                FieldType::Boolean => (matches!(value, Value::Bool(_)), "a boolean"),
                FieldType::List => (matches!(value, Value::Array(_)), "a list"),
                FieldType::Map => (matches!(value, Value::Object(_)), "a mapping"),
                FieldType::Integer => {
                    let whole = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                    (matches!(value, Value::Number(n) if whole(n.as_str())), "a whole number")
                }
            };
            if !good {
                return Err(Refusal::invalid(&at.join(name), format!("expected {wanted}, not {}", value.noun())));
            }
        }
        match kind.fields.iter().find(|(name, field)| field.required && !self.spec.contains_key(*name)) {
            Some((name, _)) => Err(Refusal::invalid(&at.join(name), "required")),
            None => Ok(()),
        }
    }

    /// This document after a JSON merge patch (RFC 7396) of `labels` and `spec`.
    pub fn merged(&self, patch: &Value, kind: &KindSchema) -> Result<(Self, Option<String>, Option<String>), Refusal> {
        let labels: Value = self.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut whole: Value = [("labels", labels), ("spec", Value::Object(self.spec.clone()))].into_iter().collect();
        merge(&mut whole, patch);
        Self::read(whole, kind)
    }

    /// The canonical bytes of the whole object, and its ETag without quotes: the first 16 hexadecimal digits of the
    /// SHA-256 of those bytes. They hold the uid and a revision of the whole store, so that none ever repeats.
    pub fn seal(&self, name: &str, uid: &str, revision: u64) -> (Bytes, String) {
        let mut out = b"{\"labels\":{".to_vec();
        for (i, (key, text)) in self.labels.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_string(key, &mut out);
            out.push(b':');
            write_string(text, &mut out);
        }
        out.extend_from_slice(b"},\"name\":");
        write_string(name, &mut out);
        out.extend_from_slice(format!(",\"revision\":{revision},\"spec\":").as_bytes());
        write_object(&self.spec, &Plainly, &mut out);
        out.extend_from_slice(b",\"uid\":");
        write_string(uid, &mut out);
        out.push(b'}');
        let etag = Digest::of(&out).short(16);
        // `etag` sorts before `labels`, so what is sent is in canonical order too.
        let mut sent = Vec::with_capacity(out.len() + 26);
        sent.extend_from_slice(b"{\"etag\":\"");
        sent.extend_from_slice(etag.as_bytes());
        sent.extend_from_slice(b"\",");
        sent.extend_from_slice(&out[1..]);
        (sent.into(), etag)
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !matches!(target, Value::Object(_)) {
        *target = Value::object();
    }
    let Value::Object(map) = target else { return };
    for (key, value) in patch {
        if *value == Value::Null {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn text(value: Option<Value>, at: &FieldPath) -> Result<Option<String>, Refusal> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Refusal::invalid(at, format!("expected a string, not {}", other.noun()))),
    }
}

fn mapping(value: Option<Value>, at: &FieldPath) -> Result<BTreeMap<String, Value>, Refusal> {
    match value {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(other) => Err(Refusal::invalid(at, format!("expected a mapping, not {}", other.noun()))),
    }
}

/// Plain JSON. `Value::canonical` would escape names that begin with `$`, which are data here.
pub(super) struct Plainly;

impl JsonSpelling for Plainly {
    /// Reading a body never makes a reference; the name is what stands for one.
    fn secret(&self, reference: &SecretRef, out: &mut Vec<u8>) {
        write_string(&reference.name, out);
    }
}
