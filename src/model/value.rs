//! The tree of what a document or a server said.

use std::collections::BTreeMap;

use super::{Canonical, FieldPath, Number, SecretRef, json};

/// An ordered tree of what a document or a server said.
///
/// A secret is its own variant and holds a *reference*, never the value: each match must say what it does with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An exact decimal.
    Number(Number),
    /// UTF-8 text.
    String(String),
    /// A list; whether its order means something is the description's to say.
    Array(Vec<Value>),
    /// A mapping, sorted by key.
    Object(BTreeMap<String, Value>),
    /// `{$secret: NAME}`: the name of a value that the operator holds.
    Secret(SecretRef),
}

impl Value {
    /// An empty object.
    pub fn object() -> Self {
        Self::Object(BTreeMap::new())
    }

    /// The value at `path`, if every step exists.
    pub fn get(&self, path: &FieldPath) -> Option<&Value> {
        path.segments().iter().try_fold(self, |value, step| value.child(step))
    }

    /// The member or element called `step`.
    pub fn child(&self, step: &str) -> Option<&Value> {
        match self {
            Self::Object(map) => map.get(step),
            Self::Array(items) => items.get(step.parse::<usize>().ok()?),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Secret(_) => None,
        }
    }

    /// Puts `value` at `path`, making objects on the way; gives up (and returns `false`) where a scalar is in the way.
    pub fn set(&mut self, path: &FieldPath, value: Value) -> bool {
        let mut here = self;
        for step in path.segments() {
            here = match here {
                Self::Object(map) => map.entry(step.clone()).or_insert_with(Value::object),
                Self::Array(items) => match step.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                    Some(item) => item,
                    None => return false,
                },
                Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Secret(_) => return false,
            };
        }
        *here = value;
        true
    }

    /// Takes out and returns what is at `path`.
    pub fn remove(&mut self, path: &FieldPath) -> Option<Value> {
        let (last, parents) = path.segments().split_last()?;
        let mut here = self;
        for step in parents {
            here = match here {
                Self::Object(map) => map.get_mut(step)?,
                Self::Array(items) => items.get_mut(step.parse::<usize>().ok()?)?,
                Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Secret(_) => return None,
            };
        }
        match here {
            Self::Object(map) => map.remove(last),
            Self::Array(items) => {
                let index = last.parse::<usize>().ok().filter(|i| *i < items.len())?;
                Some(items.remove(index))
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Secret(_) => None,
        }
    }

    /// The members, when this is an object.
    pub fn as_object(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Self::Object(map) => Some(map),
            _ => None,
        }
    }

    /// The elements, when this is a list.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The text, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of thing this is, for messages: `a list`, `a string`.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "a mapping",
            Self::Secret(_) => "a secret",
        }
    }

    /// True if a secret reference is anywhere inside.
    pub fn holds_secret(&self) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::Array(items) => items.iter().any(Value::holds_secret),
            Self::Object(map) => map.values().any(Value::holds_secret),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => false,
        }
    }

    /// Sorted, UTF-8, without white space; secrets as `{"$secret":…}`, data that looks like a reference as `$$`.
    pub fn canonical(&self) -> Canonical {
        let mut out = Vec::with_capacity(256);
        json::write_json(self, &json::Canonically, &mut out);
        Canonical::from_written(out)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(value.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(items)
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        Self::Object(items.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}
