//! What is sent, made of what is stated; and what must not be, found before anything is planned.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::api::{ApiDescription, ApiOperation, ApiType, Body, Choice, Hole, Method, nearest};
use crate::model::{
    Canonical, Desired, Diagnostic, FieldPath, KindRules, Mark, Observed, SecretMode, SecretRef, Unordered, Value,
};

use super::shape::{Shape, find_mark, mark_value};

/// One thing that the API cannot hold, or that must not be sent to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What, without its place in a file.
    pub diagnostic: Diagnostic,
    /// The field of the body that it is about; the root where it is the object as a whole.
    pub at: FieldPath,
}

/// What cannot be held by the API, or must not be sent to it.
pub fn audit(api: &ApiDescription, desired: &Desired) -> Vec<Finding> {
    let mut found = Vec::new();
    let bad = |code: &'static str, at: &FieldPath, message: String, help: Option<String>| Finding {
        diagnostic: Diagnostic { help, ..Diagnostic::error(code, format!("{}: {message}", desired.id)) },
        at: at.clone(),
    };
    let whole = FieldPath::root();
    let near = |word: &str, known: &mut dyn Iterator<Item = &str>| {
        let known: Vec<&str> = known.collect();
        Some(match nearest(word, known.iter().copied()) {
            Some(hint) => format!("did you mean `{hint}`?"),
            None => format!("it has {}", list(known.into_iter())),
        })
    };
    let Some(rules) = api.table().get(&desired.id.kind) else {
        let help = near(desired.id.kind.as_str(), &mut api.types.keys().map(|k| k.as_str()));
        return vec![bad("unknown-kind", &whole, format!("the API `{}` has no such kind", api.name), help)];
    };
    let stated = desired.body.value();
    if let Some(known) = &rules.known {
        for name in stated.as_object().into_iter().flat_map(BTreeMap::keys).filter(|name| !known.contains(*name)) {
            let help = near(name, &mut known.iter().map(String::as_str));
            let message = format!("`{name}` is not a field of `{}`", rules.kind);
            found.push(bad("unknown-field", &whole.join(name.as_str()), message, help));
        }
    }
    for name in api.types.get(&desired.id.kind).map(|ty| unsent(ty, rules, &stated)).unwrap_or_default() {
        let help = "take it out of the manifest, or put it into the description's bodies (`\"*\": rest`)".to_owned();
        let message = format!("no request of `{}` sends a field `{name}`", rules.kind);
        found.push(bad("unknown-field", &whole.join(name.as_str()), message, Some(help)));
    }
    let server = rules.fields.iter().filter(|(_, rule)| rule.server).map(|(path, _)| path);
    for path in rules.server.iter().chain(server).filter(|path| stated.get(path).is_some()) {
        let help = Some("take it out of the manifest".to_owned());
        found.push(bad("server-field", path, format!("`{path}` is written by the server alone"), help));
    }
    if let Some(owner) = &rules.owner
        && !owner.element
        && stated.get(&owner.at).is_some()
    {
        let help = "take it out of the manifest, or say `marks: off` for this target".to_owned();
        found.push(bad("mark-field", &owner.at, format!("`{}` holds the ownership mark", owner.at), Some(help)));
    }
    let mut secrets = Vec::new();
    if desired.body.may_hold_secret() {
        collect_secrets(&stated, &FieldPath::root(), &mut secrets);
    }
    for (path, name) in secrets {
        if rules.field(&path).and_then(|rule| rule.secret.as_ref()).is_none() {
            let help = "only a field that the description calls `secret` takes one".to_owned();
            let message = format!("{name} stands at `{path}`, which is not a secret field");
            found.push(bad("secret-in-plain-field", &path, message, Some(help)));
        }
    }
    for path in clear_secrets(rules, &stated) {
        let help = "write {$secret: NAME} and give the operator's file its value; what was committed is known to \
                    everybody who can read the repository: change it";
        let message = format!("`{path}` is a secret, and stands here in clear");
        found.push(bad("secret-in-clear", &path, message, Some(help.to_owned())));
    }
    if rules.ignores(&stated) {
        found.push(bad("ignored-object", &whole, format!("the description never touches this {}", rules.kind), None));
    }
    found
}

/// Stated fields that can never be sent: every body says what is in it, and none says them.
fn unsent<'s>(ty: &ApiType, rules: &KindRules, stated: &'s Value) -> Vec<&'s String> {
    if !ty.names_what_it_sends() {
        return Vec::new();
    }
    let writes = || [&ty.create, &ty.update].into_iter().flatten();
    let bodies = writes().flat_map(|op| match &op.body {
        Body::Template(template) => template.holes(),
        Body::None | Body::All | Body::Merged | Body::Changes | Body::Fields => Vec::new(),
    });
    let others = writes().flat_map(|op| {
        let pairs = op.query.iter().chain(&op.headers).flat_map(|(_, template)| template.holes());
        op.path.holes().chain(pairs).map(Hole::path)
    });
    let paths = bodies.map(Hole::path).chain(others);
    let paths = paths
        .chain(rules.key.iter().map(|key| key.path.clone()))
        .chain(rules.refs.iter().flat_map(|r| r.through.iter().cloned()));
    let sent: BTreeSet<String> = paths.filter_map(|path| path.segments().first().cloned()).collect();
    let names = stated.as_object().into_iter().flat_map(BTreeMap::keys);
    names.filter(|name| !sent.contains(*name)).collect()
}

/// Where texts and numbers stand in fields that the description calls secret. They would get into the record, and no
/// checksum could tell one from another without giving it away.
fn clear_secrets(rules: &KindRules, stated: &Value) -> Vec<FieldPath> {
    fn walk(rules: &KindRules, value: &Value, at: &FieldPath, inside: bool, out: &mut Vec<FieldPath>) {
        let inside = inside || rules.field(at).is_some_and(|rule| rule.secret.is_some());
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(name, member)| walk(rules, member, &at.join(name.as_str()), inside, out));
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(i, item)| walk(rules, item, &at.join(i.to_string()), inside, out));
            }
            Value::String(text) if inside && !text.is_empty() => out.push(at.clone()),
            Value::Number(_) if inside => out.push(at.clone()),
            Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) | Value::Secret(_) => {}
        }
    }
    let mut out = Vec::new();
    if rules.fields.values().any(|rule| rule.secret.is_some()) {
        walk(rules, stated, &FieldPath::root(), false, &mut out);
    }
    out
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// Every secret in `value` and where it stands.
pub(super) fn collect_secrets(value: &Value, at: &FieldPath, out: &mut Vec<(FieldPath, SecretRef)>) {
    match value {
        Value::Secret(name) => out.push((at.clone(), name.clone())),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| collect_secrets(item, &at.join(i.to_string()), out));
        }
        Value::Object(map) => map.iter().for_each(|(key, item)| collect_secrets(item, &at.join(key.as_str()), out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a new object is sent with: what is stated, the defaults, and what is only said at the start.
pub(super) fn for_create(rules: &KindRules, stated: Value) -> Value {
    let mut out = with_defaults(rules, stated);
    for (path, rule) in &rules.fields {
        if let Some(initial) = rule.initial.as_ref().filter(|v| **v != Value::Null)
            && out.get(path).is_none()
        {
            out.set(path, initial.clone());
        }
    }
    out
}

fn with_defaults(rules: &KindRules, stated: Value) -> Value {
    let mut out = stated;
    for (path, rule) in &rules.fields {
        let literal = path.segments().iter().all(|step| step != "*");
        if let Some(default) = rule.default.as_ref().filter(|v| **v != Value::Null && literal)
            && out.get(path).is_none()
        {
            out.set(path, default.clone());
        }
    }
    out
}

/// What is to be written over an object that is there.
pub(super) struct Update<'a> {
    pub(super) stated: &'a Value,
    pub(super) base: &'a Value,
    pub(super) changes: &'a BTreeMap<FieldPath, Canonical>,
    pub(super) remove: &'a [FieldPath],
}

/// The whole object as it is wanted (for `all` and for templates).
pub(super) fn whole(shape: &Shape<'_>, update: &Update<'_>) -> Value {
    let mut out = with_defaults(shape.rules, update.stated.clone());
    for (path, _) in shape.rules.fields.iter().filter(|(_, rule)| rule.initial.is_some()) {
        out.remove(path);
    }
    for path in update.remove {
        if let Some(cleared) = shape.ty.clears(path) {
            out.set(path, cleared.clone());
        }
    }
    out
}

/// What is there, overlaid with what is wanted; fields that only the server writes are left out.
pub(super) fn merged(shape: &Shape<'_>, update: &Update<'_>) -> Value {
    let mut out = update.base.clone();
    merge(shape.rules, &FieldPath::root(), &mut out, &whole(shape, update));
    for path in update.remove {
        match shape.ty.clears(path) {
            Some(cleared) => drop(out.set(path, cleared.clone())),
            None => drop(out.remove(path)),
        }
    }
    strip_server(shape.rules, &mut out);
    out
}

fn strip_server(rules: &KindRules, out: &mut Value) {
    let server = rules.fields.iter().filter(|(_, rule)| rule.server).map(|(path, _)| path);
    for path in rules.server.iter().chain(server) {
        out.remove(path);
    }
    // A mask is no secret: sent back, it would become one.
    for (path, rule) in &rules.fields {
        if let Some(SecretMode::Masked { mask, omitted_clears: false }) = &rule.secret
            && out.get(path).and_then(Value::as_str) == Some(mask)
        {
            out.remove(path);
        }
    }
}

fn merge(rules: &KindRules, at: &FieldPath, base: &mut Value, wanted: &Value) {
    let rule = rules.field(at);
    match (base, wanted) {
        (Value::Object(base), Value::Object(wanted)) if rule.is_none_or(|rule| !rule.exact) => {
            for (name, value) in wanted {
                match base.get_mut(name) {
                    Some(there) => merge(rules, &at.join(name.as_str()), there, value),
                    None => drop(base.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(base), Value::Array(wanted)) => {
            // Elements that are paired by a key keep what only the server knows of them.
            let key = match rule.and_then(|rule| rule.unordered.as_ref()) {
                Some(Unordered::ByKey(key)) => Some(key.clone()),
                Some(Unordered::ByValue) | None => None,
            };
            let joined = wanted.iter().enumerate().map(|(i, element)| {
                let twin = key.as_ref().and_then(|key| {
                    let name = element.get(key)?;
                    base.iter().find(|there| there.get(key) == Some(name))
                });
                match twin {
                    Some(twin) => {
                        let mut twin = twin.clone();
                        merge(rules, &at.join(i.to_string()), &mut twin, element);
                        twin
                    }
                    None => element.clone(),
                }
            });
            *base = joined.collect::<Vec<_>>();
        }
        (base, wanted) => *base = wanted.clone(),
    }
}

/// Only what differs. A change inside a list sends the whole list.
pub(super) fn changes(shape: &Shape<'_>, update: &Update<'_>, method: Method) -> Result<Value, String> {
    let wanted = with_defaults(shape.rules, update.stated.clone());
    let mut out = Value::object();
    for (path, value) in update.changes {
        let list = (1..path.segments().len())
            .map(|n| path.segments()[..n].iter().cloned().collect::<FieldPath>())
            .find(|prefix| matches!(wanted.get(prefix), Some(Value::Array(_))));
        match list {
            Some(prefix) => {
                if let Some(value) = wanted.get(&prefix) {
                    out.set(&prefix, value.clone());
                }
            }
            None => drop(out.set(path, value.value())),
        }
    }
    for path in update.remove {
        let default = shape.rules.field(path).and_then(|rule| rule.default.clone());
        match shape.ty.clears(path).cloned().or(default) {
            Some(value) => drop(out.set(path, value)),
            None if method == Method::Patch => drop(out.set(path, Value::Null)),
            None => {
                return Err(format!(
                    "`{path}` is no longer stated, and the description does not say what clears it (`absent:` or `default:`)"
                ));
            }
        }
    }
    Ok(out)
}

/// The top fields in which something differs, each as it is wanted as a whole: for a write that replaces the fields that
/// it names and keeps the others.
pub(super) fn fields(shape: &Shape<'_>, update: &Update<'_>, method: Method) -> Result<Value, String> {
    let top = |path: &FieldPath| path.segments().iter().take(1).cloned().collect::<FieldPath>();
    let whole = merged(shape, update);
    let mut out = Value::object();
    let mut gone = Vec::new();
    for path in update.changes.keys().chain(update.remove).map(top) {
        match whole.get(&path) {
            Some(value) => drop(out.set(&path, value.clone())),
            None => gone.push(path),
        }
    }
    let cleared = changes(shape, &Update { changes: &BTreeMap::new(), remove: &gone, ..*update }, method)?;
    for (name, value) in cleared.as_object().into_iter().flatten() {
        out.set(&FieldPath::root().join(name.as_str()), value.clone());
    }
    Ok(out)
}

/// Puts the mark on what is sent, beside what is stated or already there.
pub(super) fn put_mark(
    shape: &Shape<'_>,
    out: &mut Value,
    base: Option<&Observed>,
    base_value: Option<&Value>,
    mark: Option<&Mark>,
    operation: &ApiOperation,
) {
    let (Some(rule), Some(mark)) = (&shape.rules.owner, mark) else { return };
    let there = base.is_some_and(|base| base.mark.as_ref() == Some(mark));
    if matches!(operation.body.choice(), Choice::Changes | Choice::Fields) && there && out.get(&rule.at).is_none() {
        return;
    }
    if !rule.element {
        if out.get(&rule.at).is_none() || find_mark(rule, out).is_some() {
            out.set(&rule.at, mark_value(rule, mark));
        }
        return;
    }
    let stated = out.get(&rule.at).and_then(Value::as_array).map(<[Value]>::to_vec);
    let before = || base_value.and_then(|base| base.get(&rule.at)).and_then(Value::as_array).map(<[Value]>::to_vec);
    let mut items = stated.or_else(before).unwrap_or_default();
    items.push(mark_value(rule, mark));
    out.set(&rule.at, Value::Array(items));
}
