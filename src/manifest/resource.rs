//! One document into what it wants at each of its targets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::ParsedDocument;
use super::hint;
use super::project::shown;
use crate::model::{
    Canonical, DependsOn, Digest, FieldPath, Form, Key, Kind, KindRules, KindTable, Meta, OnRemove, Project,
    ReplaceRule, ResourceId, TargetConfig, TargetName, Value, glob_matches, members, parse_json,
};

/// Longest value of a key field, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// Something wrong with one document, not yet looked up in its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Trouble {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// In the document.
    pub(super) path: FieldPath,
    /// True to point at the key rather than at the value.
    pub(super) key: bool,
}

/// A reference that a resource makes.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// The field, in the document.
    pub(super) path: FieldPath,
    pub(super) to: ResourceId,
    /// The object referred to is one that the description ignores: it may be there without being declared.
    pub(super) ignored: bool,
    /// The field may be left out, so a cycle through it can be broken.
    pub(super) optional: bool,
    /// The object around this one rather than one that a field names.
    pub(super) parent: bool,
}

/// What one document wants at one target.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: ResourceId,
    pub(super) body: Canonical,
    pub(super) digest: Digest,
    pub(super) meta: Arc<Meta>,
    pub(super) values: Arc<[FieldPath]>,
    pub(super) references: Vec<Reference>,
}

/// Everything that a document is read against.
pub(super) struct Context<'a> {
    pub(super) project: &'a Project,
    pub(super) kinds: &'a BTreeMap<TargetName, Arc<KindTable>>,
}

/// What came of one document.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) drafts: Vec<Draft>,
    pub(super) troubles: Vec<Trouble>,
}

impl Outcome {
    fn tell(&mut self, code: &'static str, path: FieldPath, message: impl Into<String>, help: Option<String>) {
        self.push(Trouble { code, message: message.into(), help, path, key: false });
    }

    fn tell_key(&mut self, code: &'static str, path: FieldPath, message: impl Into<String>, help: Option<String>) {
        self.push(Trouble { code, message: message.into(), help, path, key: true });
    }

    /// One problem that shows at several targets is told once.
    fn push(&mut self, trouble: Trouble) {
        if !self.troubles.contains(&trouble) {
            self.troubles.push(trouble);
        }
    }
}

struct Envelope<'h> {
    kind: Kind,
    name: Option<&'h str>,
    meta: Arc<Meta>,
    targets: Vec<(&'h TargetName, &'h TargetConfig)>,
}

fn root(field: &str) -> FieldPath {
    FieldPath::root().join(field)
}

/// The path of a body's field in its document.
pub(super) fn in_spec(path: &FieldPath) -> FieldPath {
    std::iter::once("spec".to_owned()).chain(path.segments().iter().cloned()).collect()
}

fn some(help: impl Into<String>) -> Option<String> {
    Some(help.into())
}

/// Reads one document.
pub(super) fn build(context: &Context<'_>, document: &ParsedDocument) -> Outcome {
    let mut out = Outcome::default();
    let head = document.head.value();
    let Some(map) = head.as_object() else { return out };
    for (path, name) in document.references.iter().filter(|(p, _)| p.segments().first().is_none_or(|s| s != "spec")) {
        let message = format!("`$value: {}` stands outside `spec`", shown(name));
        out.tell("bad-reference", path.clone(), message, some("only fields of `spec` can be references"));
    }
    if head.holds_secret() {
        out.tell(
            "bad-reference",
            FieldPath::root(),
            "`$secret` stands outside `spec`",
            some("only fields of `spec` can be references"),
        );
    }
    if !out.troubles.is_empty() {
        return out;
    }
    let Some(envelope) = envelope(context, map, document, &mut out) else { return out };
    let mut spec = match &document.spec {
        Some(spec) => match envelope.targets.as_slice() {
            [(target, _)] => looked_at(context, target, &envelope.kind, document, spec),
            _ => None,
        }
        .unwrap_or_else(|| spec.value()),
        None => Value::object(),
    };
    if spec.as_object().is_none() {
        out.tell("wrong-type", root("spec"), format!("`spec` is {}, not a mapping", spec.noun()), None);
        return out;
    }
    let mut last: Option<(&Arc<KindTable>, Draft)> = None;
    for (target, config) in &envelope.targets {
        let Some(table) = context.kinds.get(*target) else {
            let message = format!("the API description of the target `{target}` is not at hand");
            out.tell("no-description", root("apiVersion"), message, None);
            continue;
        };
        if let Some((known, draft)) = &last
            && Arc::ptr_eq(known, table)
            && document.references.is_empty()
        {
            let draft = draft.at(target);
            out.drafts.push(draft);
            continue;
        }
        let Some(rules) = table.get(&envelope.kind) else {
            let help =
                hint::did_you_mean(envelope.kind.as_str(), "kinds of this API", table.kinds.keys().map(Kind::as_str));
            let message = format!("`{}` is not a kind of `{}`", shown(envelope.kind.as_str()), config.api);
            out.tell("unknown-kind", root("kind"), message, help);
            continue;
        };
        let one = One { context, document, envelope: &envelope, table, rules, target, config };
        let value = if envelope.targets.len() == 1 { std::mem::replace(&mut spec, Value::Null) } else { spec.clone() };
        if let Some(draft) = one.draft(value, &mut out) {
            last = Some((table, draft.clone()));
            out.drafts.push(draft);
        }
    }
    out
}

/// The members of `spec` that the rules of its kind look at, as a tree; the others are there by name alone, as nulls.
/// None where the whole has to be read.
fn looked_at(
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

impl Draft {
    /// The same at another target of the same API.
    fn at(&self, target: &TargetName) -> Self {
        let mut draft = self.clone();
        draft.id.target = target.clone();
        for reference in &mut draft.references {
            reference.to.target = target.clone();
        }
        draft
    }
}

fn envelope<'h>(
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
            out.tell("wrong-type", root("metadata"), format!("`metadata` is {}, not a mapping", other.noun()), None);
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
fn targets<'h>(
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

fn meta(context: &Context<'_>, map: &BTreeMap<String, Value>, out: &mut Outcome) -> Meta {
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
                        meta.previously.push(text.to_owned());
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
    Ok(DependsOn { target, address: address.to_owned() })
}

/// One document at one target.
struct One<'a> {
    context: &'a Context<'a>,
    document: &'a ParsedDocument,
    envelope: &'a Envelope<'a>,
    table: &'a KindTable,
    rules: &'a KindRules,
    target: &'a TargetName,
    config: &'a TargetConfig,
}

impl One<'_> {
    fn draft(&self, mut spec: Value, out: &mut Outcome) -> Option<Draft> {
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
    fn key(&self, spec: &mut Value, changed: &mut bool, out: &mut Outcome) -> Option<Key> {
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

    fn references(&self, spec: &Value, id: &ResourceId) -> Vec<Reference> {
        let mut out = Vec::new();
        for rule in &self.rules.refs {
            let Some(rules) = self.table.get(&rule.kind) else { continue };
            for path in expand(spec, &rule.field) {
                let Some(value) = spec.get(&path).filter(|v| !matches!(v, Value::Null | Value::Secret(_))) else {
                    continue;
                };
                let mut object = Value::object();
                if rule.through.is_empty() {
                    if let Some(field) = rules.key.last() {
                        object.set(&field.path, value.clone());
                    }
                } else {
                    for (field, through) in rules.key.iter().zip(&rule.through) {
                        let from = concrete(through, &rule.field, &path);
                        if let Some(part) = spec.get(&from) {
                            object.set(&field.path, part.clone());
                        }
                    }
                }
                if let Ok(key) = rules.key_of(&object) {
                    let to = ResourceId { target: id.target.clone(), kind: rule.kind.clone(), key };
                    let ignored = rules.ignores(&object);
                    out.push(Reference { path: in_spec(&path), to, ignored, optional: rule.optional, parent: false });
                }
            }
        }
        if let Some(parent) = &self.rules.parent
            && let Some(rules) = self.table.get(&parent.kind)
            && let Some(key) = self.rules.parent_key(&id.key)
        {
            let mut object = Value::object();
            for (field, value) in rules.key.iter().zip(key.values()) {
                object.set(&field.path, value);
            }
            // The parent's own normal form decides, as it does for the parent's manifest.
            if let Ok(key) = rules.key_of(&object) {
                let field = parent.fields.last().and_then(|i| self.rules.key.get(*i));
                let path = field.map_or_else(|| root("spec"), |f| in_spec(&f.path));
                let to = ResourceId { target: id.target.clone(), kind: parent.kind.clone(), key };
                out.push(Reference { path, to, ignored: rules.ignores(&object), optional: false, parent: true });
            }
        }
        out
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
            "no server can be asked for such a name",
        )),
        _ if text.len() > MAX_KEY_BYTES => Some(("bad-key-value", "is longer than 1024 bytes", "shorten it")),
        _ if text.chars().any(char::is_control) => {
            Some(("bad-key-value", "holds a line break or another control character", "take it out"))
        }
        _ => None,
    }
}

/// The paths of `value` that `pattern` names, `*` being any step.
fn expand(value: &Value, pattern: &FieldPath) -> Vec<FieldPath> {
    let mut found = vec![(FieldPath::root(), value)];
    for step in pattern.segments() {
        let mut next = Vec::new();
        for (path, value) in found {
            match value {
                Value::Object(map) if step == "*" => next.extend(map.iter().map(|(k, v)| (path.join(k.clone()), v))),
                Value::Array(items) if step == "*" => {
                    next.extend(items.iter().enumerate().map(|(i, v)| (path.join(i.to_string()), v)));
                }
                _ => next.extend(value.child(step).map(|v| (path.join(step.clone()), v))),
            }
        }
        found = next;
    }
    found.into_iter().map(|(path, _)| path).collect()
}

/// `pattern` with the steps that `found` put in the place of `*` in `rule`, as far as both run together.
fn concrete(pattern: &FieldPath, rule: &FieldPath, found: &FieldPath) -> FieldPath {
    let mut together = true;
    pattern
        .segments()
        .iter()
        .enumerate()
        .map(|(i, step)| {
            together &= rule.segments().get(i) == Some(step);
            match found.segments().get(i) {
                Some(real) if together => real.clone(),
                _ => step.clone(),
            }
        })
        .collect()
}
