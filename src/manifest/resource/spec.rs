//! The `spec` at one target: which of it is read as a tree, its fields, its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Context;
use super::draft::Draft;
use super::envelope::Envelope;
use super::paths::expand;
use super::trouble::{Outcome, in_spec, root, some};
use crate::manifest::document::ParsedDocument;
use crate::manifest::hint;
use crate::manifest::project::shown;
use crate::model::{
    Canonical, FieldPath, Form, Key, Kind, KindRules, KindTable, ResourceId, TargetConfig, TargetName, Value, members,
    parse_json,
};

/// Longest value of a key field, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// The members of `spec` that the rules of its kind look at, as a tree; the others are there by name alone, as nulls.
/// None where the whole has to be read.
pub(super) fn looked_at(
    context: &Context<'_>,
    target: &TargetName,
    kind: &Kind,
    document: &ParsedDocument,
    spec: &Canonical,
) -> Option<Value> {
    let rules = context.kinds.get(target)?.get(kind)?;
    // A `$` may be part of a reference, or of data that had to be told from one.
    if !document.references.is_empty() || spec.as_bytes().contains(&b'$') {
        return None;
    }
    let tops = tops(rules)?;
    let read = |(name, raw): (&str, &[u8])| {
        let value = if tops.contains(&name) { parse_json(raw).ok()? } else { Value::Null };
        Some((name.to_owned(), value))
    };
    let members: Option<BTreeMap<String, Value>> = members(spec.as_bytes())?.into_iter().map(read).collect();
    members.map(Value::Object)
}

/// The names at the root of a `spec` that any rule looks at; none where a rule may look at all of them.
fn tops(rules: &KindRules) -> Option<Vec<&str>> {
    let ruled = rules.fields.iter().filter(|(_, rule)| rule.server).map(|(path, _)| path);
    let refs = rules.refs.iter().flat_map(|rule| std::iter::once(&rule.field).chain(&rule.through));
    let all = rules.key.iter().map(|k| &k.path).chain(&rules.server).chain(ruled).chain(refs);
    all.map(|path| path.segments().first().map(String::as_str).filter(|step| *step != "*")).collect()
}

/// `written` with the key fields of `spec` put in; the rest stays as it is spelled. None where the whole has to be read.
fn with_key(written: &Canonical, spec: &Value, rules: &KindRules) -> Option<Canonical> {
    let spec = spec.as_object()?;
    let mut parts: BTreeMap<&str, std::borrow::Cow<'_, [u8]>> =
        members(written.as_bytes())?.into_iter().map(|(name, raw)| (name, raw.into())).collect();
    for field in &rules.key {
        let [name] = field.path.segments() else { return None };
        let value = spec.get(name)?.canonical();
        parts.insert(name, value.as_bytes().to_vec().into());
    }
    Canonical::of_members(parts.iter().map(|(name, raw)| (*name, &**raw)))
}

/// One document at one target.
pub(super) struct One<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) document: &'a ParsedDocument,
    pub(super) envelope: &'a Envelope<'a>,
    pub(super) table: &'a KindTable,
    pub(super) rules: &'a KindRules,
    pub(super) target: &'a TargetName,
    pub(super) config: &'a TargetConfig,
}

impl One<'_> {
    pub(super) fn draft(&self, mut spec: Value, out: &mut Outcome) -> Option<Draft> {
        let mut changed = false;
        let mut values = Vec::new();
        for (path, name) in &self.document.references {
            let Some(("spec", steps)) = path.segments().split_first().map(|(a, b)| (a.as_str(), b)) else { continue };
            let body_path: FieldPath = steps.iter().cloned().collect();
            let found = self.config.values.get(name).or_else(|| self.context.project.values.get(name));
            match found {
                Some(value) => {
                    changed = true;
                    spec.set(&body_path, value.clone());
                    values.push(body_path);
                }
                None => {
                    let known = self.config.values.keys().chain(self.context.project.values.keys()).map(String::as_str);
                    let help = hint::did_you_mean(name, "values", known.collect::<Vec<_>>()).or_else(|| {
                        some(format!("add it to `values` in ctl.yaml, at the root or at the target `{}`", self.target))
                    });
                    let message = format!("no value is called `{}` for the target `{}`", shown(name), self.target);
                    out.tell("missing-value", path.clone(), message, help);
                }
            }
        }
        self.check_fields(&spec, out);
        if values.len() < self.document.references.len() {
            return None;
        }
        let key = self.key(&mut spec, &mut changed, out)?;
        let id = ResourceId { target: self.target.clone(), kind: self.rules.kind.clone(), key };
        let references = self.references(&spec, &id);
        let (body, digest) = match &self.document.spec {
            Some(written) if !changed => (written.clone(), self.document.digest),
            written => {
                // Some of `spec` may be there by name alone; without references only the key can have changed.
                let kept = written.as_ref().filter(|_| self.document.references.is_empty());
                let body = kept.and_then(|written| with_key(written, &spec, self.rules));
                let body = match (body, written) {
                    (Some(body), _) => body,
                    (None, Some(written)) if self.document.references.is_empty() => {
                        let mut whole = written.value();
                        for field in &self.rules.key {
                            if let Some(value) = spec.get(&field.path) {
                                whole.set(&field.path, value.clone());
                            }
                        }
                        whole.canonical()
                    }
                    _ => spec.canonical(),
                };
                let digest = body.digest();
                (body, digest)
            }
        };
        Some(Draft { id, body, digest, meta: Arc::clone(&self.envelope.meta), values: values.into(), references })
    }

    fn check_fields(&self, spec: &Value, out: &mut Outcome) {
        let Some(map) = spec.as_object() else { return };
        let ruled = self.rules.fields.iter().filter(|(_, rule)| rule.server).map(|(path, _)| path);
        let servers: Vec<FieldPath> =
            self.rules.server.iter().chain(ruled).flat_map(|pattern| expand(spec, pattern)).collect();
        if let Some(known) = &self.rules.known {
            let keys = self.rules.key.iter().filter_map(|k| k.path.segments().first().map(String::as_str));
            let known: Vec<&str> = known.iter().map(String::as_str).chain(keys).collect();
            let foreign = |k: &&String| !known.contains(&k.as_str()) && !servers.contains(&root(k));
            for key in map.keys().filter(foreign) {
                let known = known.iter().copied().collect::<std::collections::BTreeSet<_>>();
                let help = hint::did_you_mean(key, "its fields", known);
                let message = format!("`{}` is not a field of `{}`", shown(key), self.rules.kind);
                out.tell_key("unknown-field", in_spec(&root(key)), message, help);
            }
        }
        for path in servers {
            let name = path.segments().last().map(String::as_str).unwrap_or_default();
            let message = format!("`{}` is written by the server alone", shown(name));
            out.tell_key("server-field", in_spec(&path), message, some("take it out of the manifest"));
        }
    }

    /// Fills in and checks the key fields, puts them into their normal form, and gives the key.
    pub(super) fn key(&self, spec: &mut Value, changed: &mut bool, out: &mut Outcome) -> Option<Key> {
        let name_path = root("metadata").join("name");
        let mut good = true;
        for (i, field) in self.rules.key.iter().enumerate() {
            let named = self.envelope.name.filter(|_| i + 1 == self.rules.key.len());
            let form = |value: &Value| field.form.map_or_else(|| value.clone(), |f| f.normal(value));
            let mut place = in_spec(&field.path);
            let stated = spec.get(&field.path).filter(|v| **v != Value::Null);
            if let (Some(stated), Some(named)) = (stated, named)
                && form(stated) != form(&Value::from(named))
            {
                let message =
                    format!("`metadata.name` says `{}`, and `{}` in `spec` says otherwise", shown(named), field.name);
                out.tell("name-contradiction", name_path.clone(), message, some("state it once"));
                good = false;
                continue;
            }
            let value = match (stated, named, &field.default) {
                (Some(stated), _, _) => stated.clone(),
                (None, Some(named), _) => {
                    place = name_path.clone();
                    Value::from(named)
                }
                (None, None, Some(default)) => default.clone(),
                (None, None, None) => {
                    let message = format!("the key field `{}` of `{}` is missing", field.name, self.rules.kind);
                    let help = if i + 1 == self.rules.key.len() {
                        format!("state `{}` in `spec`, or `metadata.name`", field.name)
                    } else {
                        format!("state `{}` in `spec`", field.name)
                    };
                    out.tell("missing-key", root("spec"), message, some(help));
                    good = false;
                    continue;
                }
            };
            // What a description declares is a value of its API, the empty routing key of a fanout for one.
            if field.default.as_ref() != Some(&value)
                && let Some((code, why, help)) = bad_key(&value)
            {
                let message = format!("the key field `{}` of `{}` {why}", field.name, self.rules.kind);
                out.tell(code, place, message, some(help));
                good = false;
                continue;
            }
            // A caseless field keeps the case in which it is written; only its identity has none.
            let written = if field.form == Some(Form::Caseless) { value } else { form(&value) };
            if spec.get(&field.path) != Some(&written) {
                *changed = true;
                spec.set(&field.path, written);
            }
        }
        if !good {
            return None;
        }
        self.rules.key_of(spec).ok()
    }
}

/// Why a value cannot be part of a key: code, reason, what to do.
fn bad_key(value: &Value) -> Option<(&'static str, &'static str, &'static str)> {
    if value.holds_secret() {
        return Some(("bad-key-value", "is a secret", "a key is shown in every plan: it cannot be secret"));
    }
    let text = match value {
        Value::String(text) => text.as_str(),
        other => {
            let long = other.canonical().as_bytes().len() > MAX_KEY_BYTES;
            return long.then_some(("bad-key-value", "is longer than 1024 bytes", "shorten it"));
        }
    };
    match text {
        "" => Some(("bad-key-value", "is empty", "give it a name")),
        "." | ".." => Some((
            "bad-key-value",
            "is `.` or `..`, which a path resolves away",
            "give it another name: no server can be asked for this one",
        )),
        _ if text.len() > MAX_KEY_BYTES => Some(("bad-key-value", "is longer than 1024 bytes", "shorten it")),
        _ if text.chars().any(char::is_control) => {
            Some(("bad-key-value", "holds a line break or another control character", "take it out"))
        }
        _ => None,
    }
}
