//! What diff and plan must know of each kind, out of a description.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Each, FieldPath, FieldRule, Form, Inits, KeyField, Kind, KindRules, Match, OnDelete, OwnerRule, ParentRule,
    RefRule, SecretMode, Unordered, UpdateMode, Value, Wire,
};

use super::reader::{Map, Reader, key_is_empty};
use super::{Template, links, nearest};

const FIELD: &[&str] = &[
    "default",
    "initial",
    "secret",
    "exact",
    "immutable",
    "unordered",
    "each",
    "form",
    "wire",
    "read",
    "values",
    "server",
    "loose",
    "absent",
];

/// The key fields of every kind, by name: `key:`, else the holes of `path:` that are no parameters.
pub(super) fn keys(reader: &mut Reader<'_>, types: &Map, params: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::new();
    for (name, value) in types {
        let Value::Object(map) = value else { continue };
        let key = match (map.get("key"), map.get("path").and_then(Value::as_str)) {
            (Some(key), _) => reader.texts(&format!("types/{name}/key"), Some(key)),
            (None, Some(path)) => Template::parse(path)
                .map(|t| t.holes().map(|h| key_field(&h.name, types)).filter(|h| !params.contains(h)).collect())
                .unwrap_or_default(),
            (None, None) => Vec::new(),
        };
        if key.is_empty() && !key_is_empty(map) {
            let message = "no key: neither `key:` nor a hole in `path:` (a kind with one object says `key: []`)";
            reader.error(&format!("types/{name}"), message);
        }
        out.insert(name.clone(), key);
    }
    out
}

/// What a hole of an address says of the key: the id of an ancestor stands for the ancestor's name.
fn key_field(hole: &str, types: &Map) -> String {
    links::split(hole, types.keys().map(String::as_str)).map_or(hole, |(kind, _)| kind).to_owned()
}

/// What is sent for fields that are no longer stated.
pub(super) fn cleared(map: &Map) -> BTreeMap<FieldPath, Value> {
    let fields = map.get("fields").and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .filter_map(|(name, rule)| Some((FieldPath::parse(name), rule.as_object()?.get("absent")?.clone())))
        .collect()
}

/// Tells what is neither one name nor a pointer: taken for one name, a rule such as `secret` would silently hold for
/// nothing.
fn is_one_field(reader: &mut Reader<'_>, place: &str, name: &str) -> bool {
    let good = !name.contains('/') || name.starts_with('/');
    if !good {
        let one = name.replace('~', "~0").replace('/', "~1");
        let message = format!("a field inside of a field is written `/{name}`; one name with a slash, `/{one}`");
        reader.error(place, message);
    }
    good
}

/// Of references that travel as an object: where in it the id stands.
pub(super) fn link_within(map: &Map) -> BTreeMap<FieldPath, FieldPath> {
    let refs = map.get("refs").and_then(Value::as_object).into_iter().flatten();
    refs.filter_map(|(field, rule)| {
        Some((FieldPath::parse(field), FieldPath::parse(rule.as_object()?.get("as")?.as_str()?)))
    })
    .collect()
}

/// Reads what diff and plan must know of one kind.
pub(super) fn read(
    reader: &mut Reader<'_>,
    place: &str,
    kind: &Kind,
    map: &Map,
    keys: &BTreeMap<String, Vec<String>>,
) -> Option<KindRules> {
    let names = keys.get(kind.as_str()).filter(|k| !k.is_empty() || key_is_empty(map))?;
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rules = KindRules::conventional(kind.clone(), &texts);
    if let Some(value) = map.get("fields") {
        let Value::Object(fields) = value else {
            reader.error(&format!("{place}/fields"), "expected a mapping of fields");
            return None;
        };
        for (name, value) in fields {
            if !is_one_field(reader, &format!("{place}/fields"), name) {
                continue;
            }
            let (path, rule) = (FieldPath::parse(name), field(reader, &format!("{place}/fields/{name}"), value));
            if rule.initial.is_some() && path.segments().iter().any(|step| step == "*") {
                let message = "`initial` is sent at a place of its own: it takes no `*`";
                reader.error(&format!("{place}/fields/{name}"), message);
            }
            rules.fields.insert(path, rule);
        }
    }
    for KeyField { path, form, default, .. } in &mut rules.key {
        if let Some(rule) = rules.fields.get(path) {
            *form = rule.form;
            *default = rule.default.clone();
        }
    }
    if let Some(value) = map.get("in") {
        let parent = reader.text(&format!("{place}/in"), value)?;
        rules.parent = Some(parent_rule(reader, place, &parent, &rules.key, keys)?);
    }
    rules.refs = refs(reader, place, map.get("refs"), keys);
    if let Some(value) = map.get("unique") {
        let here = format!("{place}/unique");
        match value {
            Value::Array(sets) => {
                for set in sets {
                    let paths = reader.paths(&here, Some(set));
                    rules.unique.push(paths);
                }
            }
            _ => reader.error(&here, "expected a list of lists of fields"),
        }
    }
    rules.container = map.get("container").is_some_and(|v| reader.flag(&format!("{place}/container"), v));
    rules.eventual = map.get("eventual").is_some_and(|v| reader.flag(&format!("{place}/eventual"), v));
    rules.update = match map.get("update").and_then(Value::as_str) {
        Some("replace") => UpdateMode::Replace,
        Some("none") => UpdateMode::None,
        _ => UpdateMode::InPlace,
    };
    // The one object of a kind (or of a parent) is always there: it can be changed, not made or deleted.
    let of_list = map.get("list").and_then(Value::as_object).and_then(|list| list.get("shape"));
    let single = key_is_empty(map) || of_list.and_then(Value::as_str) == Some("one");
    let can = |word: &str| match map.get(word).map(Value::as_str) {
        Some(said) => said != Some("none"),
        None => !single,
    };
    rules.can_create = can("create") || (map.contains_key("write") && !map.contains_key("create"));
    rules.can_delete = can("delete");
    rules.listed_by_key = map.get("list").and_then(Value::as_str) == Some("keys");
    rules.ignore = matches(reader, &format!("{place}/ignore"), map.get("ignore"));
    rules.keep = matches(reader, &format!("{place}/keep"), map.get("keep"));
    rules.server = reader.paths(&format!("{place}/server"), map.get("server"));
    rules.exact = match map.get("exact") {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(Inits::default()),
        Some(value) => {
            let here = format!("{place}/exact");
            let except = reader.members(&here, value, &["except"], &[])?.get("except").cloned();
            Some(Inits { except: reader.paths(&here, except.as_ref()) })
        }
    };
    if map.contains_key("known") {
        let mut known: BTreeSet<String> =
            reader.texts(&format!("{place}/known"), map.get("known")).into_iter().collect();
        let tops = rules.fields.keys().chain(rules.key.iter().map(|k| &k.path));
        known.extend(tops.filter_map(|path| path.segments().first().cloned()));
        rules.known = Some(known.into_iter().collect());
    }
    rules.owner = map.get("owner").and_then(|v| owner(reader, &format!("{place}/owner"), v));
    Some(rules)
}

fn parent_rule(
    reader: &mut Reader<'_>,
    place: &str,
    parent: &str,
    key: &[KeyField],
    keys: &BTreeMap<String, Vec<String>>,
) -> Option<ParentRule> {
    let here = format!("{place}/in");
    let Some(above) = keys.get(parent) else {
        let hint = nearest(parent, keys.keys().map(String::as_str)).map(|w| format!("; did you mean `{w}`?"));
        reader.error(&here, format!("there is no kind `{parent}`{}", hint.unwrap_or_default()));
        return None;
    };
    let mut fields = Vec::with_capacity(above.len());
    for (i, name) in above.iter().enumerate() {
        let wanted = if i + 1 == above.len() { parent } else { name.as_str() };
        let wanted = wanted.trim_start_matches('/');
        match key.iter().position(|k| k.name == wanted) {
            Some(index) => fields.push(index),
            None => {
                reader
                    .error(&here, format!("the key needs the field `{wanted}`, which says in which `{parent}` it is"));
                return None;
            }
        }
    }
    Some(ParentRule { kind: Kind::new(parent), fields })
}

fn refs(
    reader: &mut Reader<'_>,
    place: &str,
    value: Option<&Value>,
    keys: &BTreeMap<String, Vec<String>>,
) -> Vec<RefRule> {
    let here = format!("{place}/refs");
    let Some(value) = value else { return Vec::new() };
    let Value::Object(map) = value else {
        reader.error(&here, "expected a mapping of fields to kinds");
        return Vec::new();
    };
    let mut out = Vec::new();
    for (name, value) in map {
        if !is_one_field(reader, &here, name) {
            continue;
        }
        let here = format!("{here}/{name}");
        let field = FieldPath::parse(name);
        let mut rule = RefRule {
            field: field.clone(),
            kind: Kind::new(""),
            through: Vec::new(),
            on_delete: OnDelete::None,
            optional: false,
            at: None,
        };
        let mut through = None;
        let kind = match value {
            Value::String(kind) => kind.clone(),
            _ => {
                let known = ["kind", "at", "as", "on-delete", "optional", "through"];
                let Some(map) = reader.members(&here, value, &known, &[]) else { continue };
                rule.optional = map.get("optional").is_some_and(|v| reader.flag(&here, v));
                rule.on_delete = match map.get("on-delete").map(|v| v.as_str().unwrap_or("")) {
                    None | Some("none") => OnDelete::None,
                    Some("cascade") => OnDelete::Cascade,
                    Some("restrict") => OnDelete::Restrict,
                    Some(_) => {
                        reader.error(&here, "`on-delete` takes cascade, restrict or none");
                        OnDelete::None
                    }
                };
                rule.at = map.get("at").and_then(|v| reader.text(&here, v)).map(|v| FieldPath::parse(&v));
                if rule.at.is_none() && map.contains_key("as") {
                    reader
                        .error(&here, "`as` says where in the field the id travels, and needs `at`, where it is found");
                }
                through = map.get("through").map(|v| reader.paths(&here, Some(v)));
                match map.get("kind").and_then(Value::as_str) {
                    Some(kind) => kind.to_owned(),
                    None => {
                        reader.error(&here, "needs `kind:`");
                        continue;
                    }
                }
            }
        };
        let Some(target) = keys.get(&kind) else {
            let hint = nearest(&kind, keys.keys().map(String::as_str)).map(|w| format!("; did you mean `{w}`?"));
            reader.error(&here, format!("there is no kind `{kind}`{}", hint.unwrap_or_default()));
            continue;
        };
        rule.kind = Kind::new(kind.as_str());
        rule.through = match through {
            Some(paths) => paths,
            None => match target.split_last() {
                Some((_, before)) if !before.is_empty() => {
                    before.iter().map(|n| FieldPath::parse(n)).chain([field]).collect()
                }
                _ => Vec::new(),
            },
        };
        if !rule.through.is_empty() && rule.through.len() != target.len() {
            let message =
                format!("`through` names {} fields, the key of `{kind}` has {}", rule.through.len(), target.len());
            reader.error(&here, message);
        }
        out.push(rule);
    }
    out
}

/// `[a-z]*`, `[!C]*`: sets of characters elsewhere, and nothing here.
fn is_bracketed(glob: &str) -> bool {
    glob.split_once('[').is_some_and(|(_, rest)| rest.find(']').is_some_and(|end| end > 0))
}

fn matches(reader: &mut Reader<'_>, place: &str, value: Option<&Value>) -> Vec<Match> {
    let mut out = Vec::new();
    match value {
        None => {}
        Some(Value::Array(items)) => {
            for item in items {
                let Value::Object(map) = item else {
                    reader.error(place, format!("expected {{field: glob}}, found {}", item.noun()));
                    continue;
                };
                if map.is_empty() {
                    reader.error(place, "an empty condition fits everything");
                }
                for glob in map.values().filter_map(Value::as_str).filter(|glob| is_bracketed(glob)) {
                    let message =
                        format!("in `{glob}` the brackets stand for themselves: `*` and `?` are all that is special");
                    let help = "name what is meant one by one, or by its beginning: `[{name: \"a*\"}, {name: \"b*\"}]`";
                    reader.warn("literal-brackets", place, &message, help);
                }
                let fields = map.iter().map(|(name, glob)| {
                    let glob = match glob {
                        Value::String(text) if text == "missing" => None,
                        Value::String(text) => Some(text.clone()),
                        other => Some(other.canonical().as_str().to_owned()),
                    };
                    (FieldPath::parse(name), glob)
                });
                out.push(Match { fields: fields.collect() });
            }
        }
        Some(other) => reader.error(place, format!("expected a list of {{field: glob}}, found {}", other.noun())),
    }
    out
}

fn owner(reader: &mut Reader<'_>, place: &str, value: &Value) -> Option<OwnerRule> {
    let map = reader.members(place, value, &["at", "as"], &[])?;
    let Some(at) = map.get("at") else {
        reader.error(place, "needs `at: /pointer`");
        return None;
    };
    let at = reader.pointer(place, at)?;
    if at.is_root() {
        reader.error(place, "the mark cannot stand for the whole object");
        return None;
    }
    let (template, element) = match map.get("as") {
        None => (Value::from("{mark}"), false),
        Some(Value::Array(items)) if items.len() == 1 => (items[0].clone(), true),
        Some(Value::Array(_)) => {
            reader.error(place, "`as` takes a list of one element, or a text");
            return None;
        }
        Some(other) => (other.clone(), false),
    };
    if !template.canonical().as_str().contains("{mark}") {
        reader.error(place, "`as` must hold `{mark}`");
        return None;
    }
    Some(OwnerRule { at, template, element })
}

fn field(reader: &mut Reader<'_>, place: &str, value: &Value) -> FieldRule {
    let mut rule = FieldRule::default();
    let Some(map) = reader.members(place, value, FIELD, &["write"]) else { return rule };
    rule.default = map.get("default").cloned();
    rule.initial = map.get("initial").cloned();
    rule.exact = map.get("exact").is_some_and(|v| reader.flag(place, v));
    rule.immutable = map.get("immutable").is_some_and(|v| reader.flag(place, v));
    rule.server = map.get("server").is_some_and(|v| reader.flag(place, v));
    rule.loose = map.get("loose").is_some_and(|v| reader.flag(place, v));
    rule.read = map.get("read").and_then(|v| reader.pointer(place, v));
    rule.secret = map.get("secret").and_then(|v| secret(reader, place, v));
    rule.unordered = match map.get("unordered") {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(Unordered::ByValue),
        Some(Value::String(key)) => Some(Unordered::ByKey(FieldPath::parse(key))),
        Some(_) => {
            reader.error(place, "`unordered` takes true or the element's key field");
            None
        }
    };
    if let Some(value) = map.get("each") {
        match value {
            Value::Object(members) => {
                let mut each = Each::default();
                for (name, value) in members {
                    match value {
                        Value::String(at) if name == "read" && at.starts_with('/') => {
                            each.read = reader.pointer(place, value);
                        }
                        _ => drop(each.defaults.insert(name.clone(), value.clone())),
                    }
                }
                rule.each = Some(each);
            }
            _ => reader.error(place, "`each` takes {field: default} or {read: /pointer}"),
        }
    }
    rule.form = map.get("form").and_then(|v| {
        let forms = [
            ("fqdn", Form::Fqdn),
            ("lower", Form::Lower),
            ("caseless", Form::Caseless),
            ("duration", Form::Duration),
            ("cidr", Form::Cidr),
            ("ip", Form::Ip),
            ("time", Form::Time),
        ];
        word(reader, place, "form", v, &forms)
    });
    rule.wire = map.get("wire").and_then(|v| {
        let wires = [("b64", Wire::B64), ("csv", Wire::Csv), ("int", Wire::Int), ("json", Wire::Json)];
        word(reader, place, "wire", v, &wires)
    });
    if rule.secret.is_some() && matches!(rule.wire, Some(Wire::Csv | Wire::Int)) {
        reader.error(place, "a secret travels as it is, or with `wire: b64` or `json`");
    }
    if let Some(value) = map.get("values") {
        match value {
            Value::Object(words) => {
                for (mine, theirs) in words {
                    if let Some(theirs) = reader.text(place, theirs) {
                        rule.values.insert(mine.clone(), theirs);
                    }
                }
            }
            _ => reader.error(place, "`values` takes {word: what the server calls it}"),
        }
    }
    rule
}

fn word<T: Copy>(reader: &mut Reader<'_>, place: &str, what: &str, value: &Value, known: &[(&str, T)]) -> Option<T> {
    let text = reader.text(place, value)?;
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, t)| *t);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        reader.error(place, format!("`{what}: {text}` is not known: {}", words.join(", ")));
    }
    found
}

fn secret(reader: &mut Reader<'_>, place: &str, value: &Value) -> Option<SecretMode> {
    match value {
        Value::Bool(false) => None,
        Value::Bool(true) => Some(SecretMode::WriteOnly),
        Value::String(word) if word == "write-only" => Some(SecretMode::WriteOnly),
        Value::String(word) if word == "readable" => Some(SecretMode::Readable),
        Value::Object(_) => {
            let map = reader.members(place, value, &["mask", "omitted"], &["set"])?;
            let omitted_clears = match map.get("omitted").map(|v| v.as_str().unwrap_or("")) {
                None | Some("keeps") => false,
                Some("clears") => true,
                Some(_) => {
                    reader.error(place, "`omitted` takes keeps or clears");
                    false
                }
            };
            match map.get("mask").and_then(Value::as_str) {
                Some(mask) => Some(SecretMode::Masked { mask: mask.to_owned(), omitted_clears }),
                None => Some(SecretMode::WriteOnly),
            }
        }
        _ => {
            reader.error(place, "`secret` takes true, write-only, readable or {mask: TEXT}");
            None
        }
    }
}

/// What can only be seen with all kinds at hand: parents in a circle.
pub(super) fn check(reader: &mut Reader<'_>, tables: &BTreeMap<Kind, KindRules>) {
    for start in tables.keys() {
        let mut here = start;
        for _ in 0..=tables.len() {
            match tables.get(here).and_then(|rules| rules.parent.as_ref()) {
                Some(parent) if &parent.kind == start => {
                    reader.error(&format!("types/{start}/in"), format!("`{start}` is inside itself"));
                    break;
                }
                Some(parent) => here = &parent.kind,
                None => break,
            }
        }
    }
}
