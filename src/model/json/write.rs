//! Writes values as JSON.

use std::collections::BTreeMap;

use crate::model::plain::plain_run;
use crate::model::{SecretRef, Value};

/// In what the writers of JSON differ: the two things that JSON has no word for.
pub trait JsonSpelling {
    /// Writes the name of a member.
    fn name(&self, name: &str, out: &mut Vec<u8>) {
        write_string(name, out);
    }

    /// Writes what stands for a secret.
    fn secret(&self, reference: &SecretRef, out: &mut Vec<u8>);
}

/// Canonical JSON: secrets stay references, and no data can be read back as one.
pub(in crate::model) struct Canonically;

impl JsonSpelling for Canonically {
    /// A name that begins with `$` gains one.
    fn name(&self, name: &str, out: &mut Vec<u8>) {
        if name.starts_with('$') {
            write_string(&format!("${name}"), out);
        } else {
            write_string(name, out);
        }
    }

    fn secret(&self, reference: &SecretRef, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"$secret\":");
        write_string(&reference.name, out);
        if let Some(version) = reference.version {
            out.extend_from_slice(format!(",\"version\":{version}").as_bytes());
        }
        out.push(b'}');
    }
}

/// Writes a value, without white space and with its members in order.
pub fn write_json(value: &Value, spelling: &impl JsonSpelling, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) => out.extend_from_slice(n.as_str().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_json(item, spelling, out);
            }
            out.push(b']');
        }
        Value::Object(map) => write_object(map, spelling, out),
        Value::Secret(reference) => spelling.secret(reference, out),
    }
}

/// The same for the members of an object.
pub fn write_object(map: &BTreeMap<String, Value>, spelling: &impl JsonSpelling, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, item)) in map.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        spelling.name(name, out);
        out.push(b':');
        write_json(item, spelling, out);
    }
    out.push(b'}');
}

/// Writes `text` in quotes, escaping only what JSON demands.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut from = 0;
    let plain = plain_run(text.as_bytes());
    for (i, byte) in text.bytes().enumerate().skip(plain) {
        let escape: Option<&[u8]> = match byte {
            b'"' => Some(b"\\\""),
            b'\\' => Some(b"\\\\"),
            b'\n' => Some(b"\\n"),
            b'\r' => Some(b"\\r"),
            b'\t' => Some(b"\\t"),
            0x8 => Some(b"\\b"),
            0xc => Some(b"\\f"),
            0..=0x1f => None,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..i]);
        match escape {
            Some(bytes) => out.extend_from_slice(bytes),
            None => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        from = i + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}
