//! Mappings that stand for something else: `$value`, `$secret`, and `$$x` for data that looks like them.

use std::collections::BTreeMap;

use super::{Mark, Reader};
use crate::model::{FieldPath, Number, SecretRef, Value};

impl Reader<'_> {
    /// Turns a mapping with the one key `$secret` or `$value` into a reference, and `$$x` into data. `$file` is kept free
    /// for what it will mean.
    pub(super) fn reference(&mut self, mut map: BTreeMap<String, Value>, mark: Mark) -> Value {
        if map.len() > 2 || !map.keys().next().is_some_and(|k| k.starts_with('$')) {
            return Value::Object(map);
        }
        let help = "a reference names one value, in quotes if need be; to write it as data, double the `$`";
        if map.len() == 1
            && let Some(name) = map.get("$value")
        {
            return match name {
                Value::String(name) if is_name(name) => {
                    self.values_seen = true;
                    marker(name)
                }
                _ => {
                    self.error("bad-reference", mark, "`$value` wants the name of a value", help);
                    Value::Null
                }
            };
        }
        if map.len() == 1 && map.contains_key("$file") {
            let help =
                "write the value out, or put it into `values` of ctl.yaml; to write `$file` as data, double the `$`";
            self.error("not-yet", mark, "`$file` is not supported yet", help);
            return Value::Null;
        }
        if let Some(name) = map.get("$secret")
            && (map.len() == 1 || map.contains_key("version"))
        {
            let version = match map.get("version") {
                None => Some(None),
                Some(Value::Number(n)) => Number::as_u64(n).map(Some),
                Some(_) => None,
            };
            return match (name, version) {
                (Value::String(name), Some(version)) if is_name(name) => {
                    Value::Secret(SecretRef { name: name.clone(), version })
                }
                _ => {
                    self.error("bad-reference", mark, "`$secret` wants a name, and `version` a whole number", help);
                    Value::Null
                }
            };
        }
        if map.len() == 1
            && let Some(key) = map.keys().next().filter(|k| k.starts_with("$$")).cloned()
            && let Some(value) = map.remove(&key)
        {
            map.insert(key[1..].to_owned(), value);
        }
        Value::Object(map)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.chars().any(char::is_control)
}

/// A `$value` reference while its document is being built, so that it travels through anchors and merges. The NUL
/// keeps it apart from every secret: names with control characters are refused.
fn marker(name: &str) -> Value {
    Value::Secret(SecretRef { name: format!("\0{name}"), version: None })
}

/// Takes the references out of a finished document, leaving nulls.
pub(super) fn take_references(value: &mut Value, at: &mut FieldPath, out: &mut Vec<(FieldPath, String)>) {
    match value {
        Value::Secret(SecretRef { name, .. }) if name.starts_with('\0') => {
            out.push((at.clone(), name[1..].to_owned()));
            *value = Value::Null;
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                take_references(item, &mut at.join(i.to_string()), out);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                take_references(item, &mut at.join(key.clone()), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Secret(_) => {}
    }
}
