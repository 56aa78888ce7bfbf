//! The forms in which values travel: codecs of fields, and bodies as JSON, forms and plain text.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::body::collect_secrets;
use super::fill::{query_string, text_of};
use super::hide::Hider;
use crate::manifest::api::Content;
use crate::model::{
    JsonSpelling, KindRules, Number, Secret, SecretRef, Value, Wire, parse_json, write_json, write_string,
};

/// The values of the secrets that one request may hold.
pub(super) type Resolved = BTreeMap<SecretRef, Secret>;

/// Puts a value into the form in which it travels.
pub(super) fn encode(wire: Wire, value: Value) -> Result<Value, String> {
    Ok(match (wire, value) {
        (_, Value::Null) => Value::Null,
        // Its value was put into that form by `disguise`.
        (_, name @ Value::Secret(_)) => name,
        (Wire::B64, Value::String(text)) => Value::String(STANDARD.encode(text)),
        (Wire::Csv, Value::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            match texts {
                Some(texts) if texts.iter().all(|t| !t.contains(',')) => Value::String(texts.join(",")),
                _ => return Err("a list travels as comma-separated text, so it takes texts without commas".to_owned()),
            }
        }
        (Wire::Int, Value::Number(n)) => Value::String(n.as_str().to_owned()),
        (Wire::Json, value) => {
            let mut out = Vec::new();
            write(&value, &mut out);
            Value::String(String::from_utf8(out).map_err(|e| e.to_string())?)
        }
        (_, value) => value,
    })
}

/// Puts the values of secrets into the form in which their field travels, under a name of their own: a tree holds names of
/// secrets alone, and a form such as base64 is made of values. To `hider` come the spellings that arise so.
pub(super) fn disguise(
    rules: &KindRules,
    full: &mut Value,
    secrets: &mut Resolved,
    hider: &mut Hider,
) -> Result<(), String> {
    for (path, rule) in &rules.fields {
        let (Some(wire), Some(found)) = (rule.wire, full.get(path)) else { continue };
        let mut names = Vec::new();
        collect_secrets(found, path, &mut names);
        if names.is_empty() {
            continue;
        }
        let text = match (wire, found) {
            (Wire::B64, Value::Secret(_)) => STANDARD.encode(plain(found, secrets).unwrap_or_default()),
            (Wire::Json, _) => {
                let mut out = Vec::new();
                write_json(found, secrets, &mut out);
                String::from_utf8(out).map_err(|e| e.to_string())?
            }
            (Wire::B64 | Wire::Csv | Wire::Int, _) => {
                return Err(format!("`{path}`: a secret travels as it is, as base64, or inside of JSON"));
            }
        };
        let secret = Secret::new(text.as_str());
        hider.add(&secret);
        for (_, name) in names {
            let mut out = Vec::new();
            secrets.secret(&name, &mut out);
            // As it stands in the text, without the quotes around it.
            let inside = String::from_utf8(out).unwrap_or_default();
            hider.add_text(inside.trim_matches('"'));
        }
        let name = SecretRef { name: format!("{path} as it travels"), version: None };
        full.set(path, Value::Secret(name.clone()));
        secrets.insert(name, secret);
    }
    Ok(())
}

/// Undoes [`encode`]; a value that is already in manifest form stays.
pub(super) fn decode(wire: Wire, value: Value) -> Result<Value, String> {
    let Value::String(text) = value else { return Ok(value) };
    Ok(match wire {
        Wire::B64 => {
            let bytes = STANDARD.decode(&text).map_err(|e| format!("expected base64: {e}"))?;
            Value::String(String::from_utf8(bytes).map_err(|_| "base64 of something that is not text".to_owned())?)
        }
        Wire::Csv => Value::Array(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Value::from).collect()),
        Wire::Int => Value::Number(Number::parse(&text).ok_or_else(|| format!("`{text}` is not a number"))?),
        Wire::Json => parse_json(text.as_bytes()).map_err(|e| format!("expected JSON in a text: {e}"))?,
    })
}

/// Writes plain JSON (a canonical text escapes data that looks like a secret reference; a server must not see that).
/// A secret must have been put in before; here it becomes null.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    write_json(value, &Resolved::new(), out);
}

/// The values of its secrets stand in what is sent; one that is not there becomes null.
impl JsonSpelling for Resolved {
    fn secret(&self, reference: &SecretRef, out: &mut Vec<u8>) {
        match self.get(reference) {
            Some(secret) => {
                #[expect(clippy::disallowed_methods, reason = "the bytes leave for the target")]
                let plain = secret.expose();
                write_string(plain, out);
            }
            None => out.extend_from_slice(b"null"),
        }
    }
}

/// The same in another form than JSON, where the description says so.
pub(super) fn write_as(content: &Content, value: &Value, secrets: &Resolved, out: &mut Vec<u8>) -> Result<(), String> {
    match content {
        Content::Json | Content::JsonAs(_) => write_json(value, secrets, out),
        Content::Text => {
            let text = plain(value, secrets).ok_or("a body of plain text takes one text, number or boolean")?;
            out.extend_from_slice(text.as_bytes());
        }
        Content::Form => {
            let map = value.as_object().ok_or("a form takes a mapping")?;
            let mut pairs = Vec::new();
            map.iter().for_each(|(name, item)| fields(name, item, secrets, &mut pairs));
            out.extend_from_slice(query_string(&pairs).trim_start_matches('?').as_bytes());
        }
    }
    Ok(())
}

fn fields(name: &str, value: &Value, secrets: &Resolved, out: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| fields(name, item, secrets, out)),
        Value::Object(map) => {
            map.iter().for_each(|(member, item)| fields(&format!("{name}[{member}]"), item, secrets, out));
        }
        // An empty value is how a form says that there is none.
        Value::Null => out.push((name.to_owned(), String::new())),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Secret(_) => {
            out.extend(plain(value, secrets).map(|text| (name.to_owned(), text)));
        }
    }
}

fn plain(value: &Value, secrets: &Resolved) -> Option<String> {
    match value {
        Value::Secret(name) => {
            #[expect(clippy::disallowed_methods, reason = "the bytes leave for the target")]
            let plain = secrets.get(name)?.expose().to_owned();
            Some(plain)
        }
        Value::Array(_) | Value::Object(_) => None,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text_of(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_run_in_both_directions() {
        for (wire, manifest, travelling) in [
            (Wire::B64, r#""a/b""#, r#""YS9i""#),
            (Wire::Csv, r#"["a","b"]"#, r#""a,b""#),
            (Wire::Csv, "[]", r#""""#),
            (Wire::Int, "9007199254740993", r#""9007199254740993""#),
            (Wire::Json, r#"{"a":[1]}"#, r#""{\"a\":[1]}""#),
        ] {
            let value = parse_json(manifest.as_bytes()).unwrap();
            let encoded = encode(wire, value.clone()).unwrap();
            assert_eq!(encoded.canonical().as_str(), travelling);
            assert_eq!(decode(wire, encoded).unwrap(), value, "{manifest}");
        }
    }

    #[test]
    fn data_that_looks_like_a_reference_travels_as_it_is() {
        let value = parse_json(br#"{"$secret":"x"}"#).unwrap();
        let mut out = Vec::new();
        write(&value, &mut out);
        assert_eq!(out, br#"{"$secret":"x"}"#);
    }
}
