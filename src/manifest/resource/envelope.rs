//! All of a document but its `spec`: kind, name, metadata, and which targets it is for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Context;
use super::trouble::{Outcome, root, some};
use crate::manifest::document::ParsedDocument;
use crate::manifest::hint;
use crate::manifest::project::shown;
use crate::model::{
    DependsOn, FieldPath, Kind, Meta, OnRemove, ReplaceRule, TargetConfig, TargetName, Value, glob_matches, spelled,
};

pub(super) struct Envelope<'h> {
    pub(super) kind: Kind,
    pub(super) name: Option<&'h str>,
    pub(super) meta: Arc<Meta>,
    pub(super) targets: Vec<(&'h TargetName, &'h TargetConfig)>,
}

pub(super) fn envelope<'h>(
    context: &Context<'h>,
    map: &'h BTreeMap<String, Value>,
    document: &ParsedDocument,
    out: &mut Outcome,
) -> Option<Envelope<'h>> {
    const KNOWN: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
    for key in map.keys().filter(|k| !KNOWN.contains(&k.as_str())) {
        let help = match key.as_str() {
            "items" => some("`items` is not supported yet: write one document for each, with `---` between them"),
            _ => hint::did_you_mean(key, "fields here", KNOWN),
        };
        out.tell_key("unknown-field", root(key), format!("unknown field `{}`", shown(key)), help);
    }
    let mut text = |field: &'static str, help: &str| match map.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.as_str()),
        Some(other) => {
            out.tell("wrong-type", root(field), format!("`{field}` is {}, not a name", other.noun()), some(help));
            None
        }
        None => {
            out.tell("missing-field", FieldPath::root(), format!("`{field}` is missing"), some(help));
            None
        }
    };
    let api = text("apiVersion", "`apiVersion` names the API: the `api` of a target");
    let kind = text("kind", "`kind` names a kind of the API").map(Kind::new);
    if document.spec.is_none() {
        out.tell(
            "missing-field",
            FieldPath::root(),
            "`spec` is missing",
            some("write `spec: {}` if there is nothing to say"),
        );
    }
    let empty = &EMPTY;
    let metadata = match map.get("metadata") {
        None | Some(Value::Null) => empty,
        Some(Value::Object(metadata)) => metadata,
        Some(other) => {
            out.tell(
                "wrong-type",
                root("metadata"),
                format!("`metadata` is {}, not a mapping", other.noun()),
                some("write its fields below it: `metadata: {name: x}`"),
            );
            empty
        }
    };
    let meta = Arc::new(meta(context, metadata, out));
    let name = match metadata.get("name") {
        None => None,
        Some(Value::String(name)) => Some(name.as_str()),
        Some(other) => {
            let help = "quote it if it is meant as text";
            out.tell(
                "wrong-type",
                root("metadata").join("name"),
                format!("`name` is {}, not text", other.noun()),
                some(help),
            );
            None
        }
    };
    let targets = targets(context, api?, metadata.get("targets"), out)?;
    Some(Envelope { kind: kind?, name, meta, targets })
}

static EMPTY: BTreeMap<String, Value> = BTreeMap::new();

/// The targets that a document is for.
pub(super) fn targets<'h>(
    context: &Context<'h>,
    api: &str,
    globs: Option<&Value>,
    out: &mut Outcome,
) -> Option<Vec<(&'h TargetName, &'h TargetConfig)>> {
    let api = api.strip_suffix("/v1").unwrap_or(api);
    let all: Vec<_> = context.project.targets.iter().filter(|(_, c)| c.api == api).collect();
    if all.is_empty() {
        let apis: std::collections::BTreeSet<&str> = context.project.targets.values().map(|c| c.api.as_str()).collect();
        let help = hint::did_you_mean(api, "APIs of the targets", apis);
        out.tell(
            "unknown-api",
            root("apiVersion"),
            format!("no target of this project has the API `{}`", shown(api)),
            help,
        );
        return None;
    }
    let path = root("metadata").join("targets");
    let globs = match globs {
        None => return Some(all),
        Some(Value::Array(items)) => items,
        Some(other) => {
            out.tell(
                "wrong-type",
                path,
                format!("`targets` is {}, not a list", other.noun()),
                some("write `targets: [NAME]`"),
            );
            return None;
        }
    };
    let mut chosen: BTreeMap<&TargetName, &TargetConfig> = BTreeMap::new();
    for (i, glob) in globs.iter().enumerate() {
        let path = path.join(i.to_string());
        let Some(glob) = glob.as_str() else {
            out.tell("wrong-type", path, format!("a target is named by text, not by {}", glob.noun()), None);
            continue;
        };
        let before = chosen.len();
        let mut hit = false;
        for (name, config) in all.iter().filter(|(n, _)| glob_matches(glob, n.as_str())) {
            hit = true;
            chosen.insert(name, config);
        }
        if !hit && chosen.len() == before {
            let help = hint::did_you_mean(glob, "targets with this API", all.iter().map(|(n, _)| n.as_str()));
            out.tell(
                "unknown-target",
                path,
                format!("no target with the API `{api}` is called `{}`", shown(glob)),
                help,
            );
        }
    }
    if globs.is_empty() {
        out.tell(
            "wrong-value",
            path,
            "`targets` is an empty list",
            some("leave it out for all targets of the API, or delete the manifest"),
        );
    }
    (!chosen.is_empty()).then(|| chosen.into_iter().collect())
}

pub(super) fn meta(context: &Context<'_>, map: &BTreeMap<String, Value>, out: &mut Outcome) -> Meta {
    const KNOWN: [&str; 8] =
        ["name", "targets", "labels", "dependsOn", "protect", "previously", "on-remove", "replace"];
    let at = |field: &str| root("metadata").join(field);
    let mut meta = Meta::default();
    for (key, value) in map {
        let path = at(key);
        match key.as_str() {
            "name" | "targets" => {}
            "labels" => match value {
                Value::Object(labels) => {
                    for (label, value) in labels {
                        match value {
                            Value::String(text) => {
                                meta.labels.insert(label.clone(), text.clone());
                            }
                            other => {
                                let message = format!("the label `{}` is {}, not text", shown(label), other.noun());
                                out.tell("wrong-type", path.join(label.clone()), message, some("quote it"));
                            }
                        }
                    }
                }
                other => out.tell("wrong-type", path, format!("`labels` is {}, not a mapping", other.noun()), None),
            },
            "dependsOn" => {
                for (path, text) in texts(value, &path, out) {
                    match depends_on(context, text) {
                        Ok(address) => meta.depends_on.push(address),
                        Err(help) => {
                            let message = format!("`{}` is not an address", shown(text));
                            out.tell("bad-address", path, message, help);
                            // Its place in the list is kept, so that later problems find their line.
                            meta.depends_on.push(DependsOn { target: None, address: String::new() });
                        }
                    }
                }
            }
            "previously" => {
                for (path, text) in texts(value, &path, out) {
                    if is_address(text) {
                        meta.previously.push(spelled(text));
                    } else {
                        let message = format!("`{}` is not an address", shown(text));
                        out.tell("bad-address", path, message, some("write it as `kind/field/field`"));
                    }
                }
            }
            "protect" => match value {
                Value::Bool(protect) => meta.protect = *protect,
                other => {
                    out.tell("wrong-type", path, format!("`protect` is {}, not true or false", other.noun()), None)
                }
            },
            "on-remove" => match value.as_str() {
                Some("delete") => meta.on_remove = OnRemove::Delete,
                Some("keep") => meta.on_remove = OnRemove::Keep,
                _ => out.tell("wrong-value", path, "`on-remove` is neither `delete` nor `keep`", None),
            },
            "replace" => match value.as_str() {
                Some("ask") => meta.replace = ReplaceRule::Ask,
                Some("allow") => meta.replace = ReplaceRule::Allow,
                Some("never") => meta.replace = ReplaceRule::Never,
                _ => out.tell("wrong-value", path, "`replace` is none of `ask`, `allow`, `never`", None),
            },
            _ => {
                let help = hint::did_you_mean(key, "fields of `metadata`", KNOWN);
                out.tell_key("unknown-field", path, format!("unknown field `{}`", shown(key)), help);
            }
        }
    }
    meta
}

fn texts<'v>(value: &'v Value, path: &FieldPath, out: &mut Outcome) -> Vec<(FieldPath, &'v str)> {
    let Value::Array(items) = value else {
        out.tell("wrong-type", path.clone(), format!("this is {}, not a list of addresses", value.noun()), None);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = path.join(i.to_string());
        match item.as_str() {
            Some(text) => found.push((path, text)),
            None => out.tell("wrong-type", path, format!("an address is text, not {}", item.noun()), None),
        }
    }
    found
}

fn is_address(text: &str) -> bool {
    text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty())
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn depends_on(context: &Context<'_>, text: &str) -> Result<DependsOn, Option<String>> {
    let kind_end = text.find('/').unwrap_or(text.len());
    let (target, address) = match text[..kind_end].split_once(':') {
        Some((target, _)) => (Some(target), &text[target.len() + 1..]),
        None => (None, text),
    };
    if !is_address(address) {
        return Err(some("write it as `kind/field/field` or `target:kind/field/field`, each field percent-encoded"));
    }
    let target = match target {
        None => None,
        Some(name) => match name.parse::<TargetName>() {
            Ok(name) if context.project.targets.contains_key(&name) => Some(name),
            _ => {
                return Err(hint::did_you_mean(
                    name,
                    "targets",
                    context.project.targets.keys().map(TargetName::as_str),
                ));
            }
        },
    };
    Ok(DependsOn { target, address: spelled(address) })
}
