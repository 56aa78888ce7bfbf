//! What reads a description, and its leaves: texts, flags, pointers, templates, each with its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value as Yaml;

use super::{BodyTemplate, Template, nearest};
use crate::model::{Diagnostic, FieldPath, Number, Span, Value};

pub(super) type Map = BTreeMap<String, Value>;

/// Reads the tree and collects everything that is wrong with it. Places are paths like `types/queue/list`.
pub(super) struct Reader<'a> {
    pub(super) file: Arc<str>,
    pub(super) text: &'a str,
    pub(super) found: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(super) fn span(&self, place: &str) -> Span {
        let (mut at, mut from) = (0, 0);
        for step in place.split('/').filter(|s| !s.is_empty()) {
            let begins = |offset: &usize| {
                let before = self.text[..*offset].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && !"-_/".contains(c))
            };
            let found = [format!("{step}:"), format!("\"{step}\":")].iter().find_map(|needle| {
                let mut places = self.text[from..].match_indices(needle.as_str()).map(|(i, _)| from + i);
                places.find(begins).map(|offset| (offset, offset + needle.len()))
            });
            match found {
                Some(place) => (at, from) = place,
                None => break,
            }
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Span {
            file: Arc::clone(&self.file),
            line: to_u32(before.matches('\n').count() + 1),
            column: to_u32(before[line_start..].chars().count() + 1),
            offset: at,
            len: 0,
        }
    }

    pub(super) fn place(place: &str) -> &str {
        if place.is_empty() { "the description" } else { place }
    }

    pub(super) fn error(&mut self, place: &str, message: impl std::fmt::Display) {
        let text = format!("{}: {message}", Self::place(place));
        self.found.push(Diagnostic::error("bad-description", text).at(self.span(place), ""));
    }

    pub(super) fn warn(&mut self, code: &'static str, place: &str, message: impl std::fmt::Display, help: &str) {
        let text = format!("{}: {message}", Self::place(place));
        self.found.push(Diagnostic::warning(code, text).at(self.span(place), "").help(help));
    }

    pub(super) fn value(&mut self, yaml: &Yaml, place: &str) -> Option<Value> {
        Some(match yaml {
            Yaml::Null => Value::Null,
            Yaml::Bool(b) => Value::Bool(*b),
            Yaml::Number(n) => match Number::parse(&n.to_string()) {
                Some(number) => Value::Number(number),
                None => {
                    self.error(place, format!("`{n}` is not a number that JSON knows"));
                    return None;
                }
            },
            Yaml::String(text) => Value::String(text.clone()),
            Yaml::Sequence(items) => {
                Value::Array(items.iter().map(|item| self.value(item, place)).collect::<Option<_>>()?)
            }
            Yaml::Mapping(map) => {
                let mut out = Map::new();
                for (key, item) in map {
                    let Yaml::String(key) = key else {
                        self.error(place, "a key that is not a text; write it in quotes");
                        return None;
                    };
                    out.insert(key.clone(), self.value(item, &format!("{place}/{key}"))?);
                }
                Value::Object(out)
            }
            Yaml::Tagged(_) => {
                self.error(place, "YAML tags mean nothing here");
                return None;
            }
        })
    }

    /// The members of a mapping, after complaining about those that nobody knows.
    pub(super) fn members<'v>(
        &mut self,
        place: &str,
        value: &'v Value,
        known: &[&str],
        later: &[&str],
    ) -> Option<&'v Map> {
        let Value::Object(map) = value else {
            self.error(place, format!("expected a mapping, found {}", value.noun()));
            return None;
        };
        for key in map.keys().filter(|k| !known.contains(&k.as_str())) {
            let here = format!("{place}/{key}");
            if later.contains(&key.as_str()) {
                self.error(&here, format!("`{key}` is not supported yet"));
            } else {
                let hint = nearest(key, known.iter().copied()).map(|w| format!("; did you mean `{w}`?"));
                let hint = hint.unwrap_or_else(|| format!("; known here: {}", known.join(", ")));
                self.error(&here, format!("unknown field `{key}`{hint}"));
            }
        }
        Some(map)
    }

    pub(super) fn text(&mut self, place: &str, value: &Value) -> Option<String> {
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.error(place, format!("expected a text, found {}", value.noun()));
        }
        text
    }

    pub(super) fn flag(&mut self, place: &str, value: &Value) -> bool {
        match value {
            Value::Bool(b) => *b,
            other => {
                self.error(place, format!("expected true or false, found {}", other.noun()));
                false
            }
        }
    }

    pub(super) fn texts(&mut self, place: &str, value: Option<&Value>) -> Vec<String> {
        match value {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().filter_map(|item| self.text(place, item)).collect(),
            Some(other) => {
                self.error(place, format!("expected a list of texts, found {}", other.noun()));
                Vec::new()
            }
        }
    }

    pub(super) fn paths(&mut self, place: &str, value: Option<&Value>) -> Vec<FieldPath> {
        self.texts(place, value).iter().map(|t| FieldPath::parse(t)).collect()
    }

    /// A JSON Pointer: `""` or a text that begins with a slash.
    pub(super) fn pointer(&mut self, place: &str, value: &Value) -> Option<FieldPath> {
        let text = self.text(place, value)?;
        if text.starts_with("//") {
            self.error(place, "pointers from the answer's root (`//…`) are not supported yet");
            return None;
        }
        if !text.is_empty() && !text.starts_with('/') {
            self.error(place, format!("`{text}` is not a JSON Pointer; did you mean `/{text}`?"));
            return None;
        }
        Some(FieldPath::parse(&text))
    }

    pub(super) fn template(&mut self, place: &str, value: &Value) -> Option<Template> {
        let text = self.text(place, value)?;
        match Template::parse(&text) {
            Ok(template) => Some(template),
            Err(why) => {
                self.error(place, why);
                None
            }
        }
    }

    pub(super) fn path(&mut self, place: &str, value: &Value) -> Option<Template> {
        let text = self.text(place, value)?;
        if !text.starts_with('/') {
            self.error(place, format!("`{text}` is not a path; did you mean `/{text}`?"));
            return None;
        }
        if text.contains('?') || text.contains('#') {
            self.error(place, "a path has no `?` and no `#`; use `query:`");
            return None;
        }
        self.template(place, value)
    }

    pub(super) fn body(&mut self, place: &str, value: &Value) -> Option<BodyTemplate> {
        BodyTemplate::parse(value).map_err(|why| self.error(place, why)).ok()
    }

    pub(super) fn pairs(&mut self, place: &str, value: Option<&Value>) -> Vec<(String, Template)> {
        let Some(value) = value else { return Vec::new() };
        let Value::Object(map) = value else {
            self.error(place, format!("expected a mapping, found {}", value.noun()));
            return Vec::new();
        };
        let mut out = Vec::new();
        for (name, item) in map {
            let text = match item {
                Value::String(_) => item.clone(),
                other => Value::String(other.canonical().as_str().to_owned()),
            };
            if let Some(template) = self.template(&format!("{place}/{name}"), &text) {
                out.push((name.clone(), template));
            }
        }
        out
    }
}

pub(super) fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// `key: []`
pub(super) fn key_is_empty(map: &Map) -> bool {
    matches!(map.get("key"), Some(Value::Array(items)) if items.is_empty())
}
