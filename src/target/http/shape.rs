use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::manifest::api::{ApiDescription, ApiOperation, ApiType, EtagRule, Template};
use crate::model::{FieldPath, Key, KindRules, Mark, Observed, Opaque, OwnerRule, Value, parse_json};

use super::fill::text_of;
use super::{scan, wire};

/// The largest object that is taken.
const OBJECT: usize = 1024 * 1024;

/// Turns items of a server into manifest shape and back.
pub(super) struct Shape<'a> {
    pub(super) ty: &'a ApiType,
    pub(super) rules: &'a KindRules,
    /// Top-level names that must be looked at in every item.
    names: Vec<String>,
    /// Names at the item's root by which it is addressed.
    address: BTreeSet<String>,
    /// An item already has the shape of a manifest.
    plain: bool,
}

/// One item of a list.
pub(super) enum Item {
    /// May be managed.
    Managed(Observed),
    /// Never touched; there for those that refer to it.
    Ignored(Observed),
    /// A tombstone, or something without a key that is ignored.
    Nothing,
}

impl<'a> Shape<'a> {
    pub(super) fn new(ty: &'a ApiType, rules: &'a KindRules) -> Self {
        let plain = ty.spec.is_root()
            && rules.fields.values().all(|rule| {
                rule.wire.is_none() && rule.read.is_none() && rule.each.as_ref().is_none_or(|each| each.read.is_none())
            });
        let mut address = BTreeSet::new();
        let operations = [&ty.create, &ty.update, &ty.delete].into_iter().flatten();
        let of = |op: &ApiOperation| -> Vec<String> {
            let queries = op.query.iter().chain(&op.headers).flat_map(|(_, t)| t.holes());
            op.path.holes().chain(queries).map(|h| h.name.clone()).collect()
        };
        let holes = operations.flat_map(of).chain(ty.path.iter().flat_map(Template::holes).map(|h| h.name.clone()));
        address.extend(holes.filter_map(|name| FieldPath::parse(&name).segments().first().cloned()));
        let etag = match &ty.etag {
            EtagRule::IfMatch { field } => field.as_ref(),
            EtagRule::None => None,
        };
        let tops = ty.version.iter().chain(&ty.uid).chain(etag);
        address.extend(tops.filter_map(|path| path.segments().first().cloned()));
        let mut names = address.clone();
        let paths = rules.key.iter().map(|k| &k.path).chain(rules.owner.iter().map(|o| &o.at));
        names.extend(paths.filter_map(|path| path.segments().first().cloned()));
        names.extend(ty.absent.values.iter().filter_map(|(path, _)| path.segments().first().cloned()));
        for (path, glob) in rules.ignore.iter().flat_map(|m| &m.fields) {
            names.extend(path.segments().first().cloned());
            let template = glob.as_deref().and_then(|g| Template::parse(g).ok()).unwrap_or_default();
            names.extend(template.holes().filter_map(|h| h.path().segments().first().cloned()));
        }
        Self { ty, rules, names: names.into_iter().collect(), address, plain }
    }

    /// Reads one item. `page` is the answer that `raw` is a part of; nothing is copied where the item can stay as it
    /// is. `name` is its key in a list of shape `map`.
    pub(super) fn item(
        &self,
        page: &Bytes,
        raw: &str,
        name: Option<&str>,
        parent: Option<&Key>,
        etag: Option<&str>,
    ) -> Result<Item, String> {
        if raw.len() > OBJECT {
            return Err(format!("an object of {} bytes; at most {OBJECT} are taken", raw.len()));
        }
        let mut seen = if self.plain { self.picked(raw)? } else { self.manifest_shape(&tree(raw)?)? };
        let mut added: Vec<(FieldPath, Value)> = Vec::new();
        if let (Some(name), Some(field)) = (name, self.rules.key.last()) {
            added.push((field.path.clone(), Value::from(name)));
        }
        if let (Some(parent), Some(rule)) = (parent, &self.rules.parent) {
            for (value, index) in parent.values().zip(&rule.fields) {
                let Some(field) = self.rules.key.get(*index) else { continue };
                match seen.get(&field.path) {
                    None => added.push((field.path.clone(), value)),
                    Some(found) if found == &value => {}
                    Some(found) if field.form.is_some_and(|form| form.normal(found) == value) => {}
                    Some(_) => {
                        return Err(format!(
                            "an item whose `{}` is not the {} that was asked for",
                            field.name, rule.kind
                        ));
                    }
                }
            }
        }
        for (path, value) in &added {
            seen.set(path, value.clone());
        }
        if self.ty.absent.values.iter().any(|(path, value)| seen.get(path) == Some(value)) {
            return Ok(Item::Nothing);
        }
        let ignored = self.rules.ignores(&seen);
        let key = match self.rules.key_of(&seen) {
            Ok(key) => key,
            Err(_) if ignored => return Ok(Item::Nothing),
            Err(field) => return Err(format!("an item without its key field `{field}`")),
        };
        let uid = self.ty.uid.as_ref().and_then(|path| seen.get(path)).and_then(text_of);
        let token = self.token(&seen, etag);
        let mark = self.rules.owner.as_ref().and_then(|rule| find_mark(rule, &seen));
        let body = if self.plain && mark.is_none() && added.is_empty() {
            page.slice_ref(raw.as_bytes())
        } else if self.plain && mark.is_none() && added.iter().all(|(path, _)| path.segments().len() == 1) {
            splice(raw, &added)
        } else {
            let mut whole = if self.plain { tree(raw)? } else { seen };
            for (path, value) in added {
                whole.set(&path, value);
            }
            if let (Some(rule), Some(_)) = (&self.rules.owner, &mark) {
                strip_mark(rule, &mut whole);
            }
            written(&whole)
        };
        let observed = Observed { key, body, token, uid, mark };
        Ok(if ignored { Item::Ignored(observed) } else { Item::Managed(observed) })
    }

    /// One item in manifest shape, as a tree.
    pub(super) fn tree(&self, raw: &str) -> Result<Value, String> {
        self.manifest_shape(&tree(raw)?)
    }

    fn picked(&self, raw: &str) -> Result<Value, String> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let mut map = BTreeMap::new();
        for (index, text) in scan::pick(raw, &names)? {
            map.insert(self.names[index].clone(), parse_json(text.as_bytes()).map_err(|e| e.to_string())?);
        }
        Ok(Value::Object(map))
    }

    fn token(&self, item: &Value, etag: Option<&str>) -> Option<Opaque> {
        if let Some(path) = &self.ty.version {
            return item.get(path).and_then(text_of).map(Opaque::new);
        }
        let EtagRule::IfMatch { field } = &self.ty.etag else { return None };
        let in_item = || {
            let text = item.get(field.as_ref()?).and_then(text_of)?;
            Some(if text.starts_with('"') || text.starts_with("W/") { text } else { format!("\"{text}\"") })
        };
        // A weak tag promises nothing that a write could be guarded with.
        let tag = in_item().or_else(|| etag.map(str::to_owned))?;
        (tag.starts_with('"') && tag.len() > 1 && tag.ends_with('"')).then(|| Opaque::new(tag))
    }

    /// An item in manifest shape: stated fields from under `spec`, read pointers followed, wire forms undone.
    fn manifest_shape(&self, item: &Value) -> Result<Value, String> {
        let Value::Object(root) = item else { return Err(format!("expected an object, found {}", item.noun())) };
        let mut out = if self.ty.spec.is_root() {
            item.clone()
        } else {
            let spec = item.get(&self.ty.spec).ok_or_else(|| format!("an item without `{}`", self.ty.spec))?;
            let Value::Object(spec) = spec else { return Err(format!("`{}` is {}", self.ty.spec, spec.noun())) };
            let mut map = spec.clone();
            let key = self.rules.key.iter().filter_map(|k| k.path.segments().first());
            for name in key.chain(&self.ty.root) {
                if let Some(value) = root.get(name) {
                    map.insert(name.clone(), value.clone());
                }
            }
            for name in &self.address {
                if let Some(value) = root.get(name) {
                    map.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
            Value::Object(map)
        };
        for (path, rule) in &self.rules.fields {
            if let Some(found) = rule.read.as_ref().and_then(|at| item.get(at)) {
                out.set(path, found.clone());
            }
            if let Some(codec) = rule.wire
                && let Some(found) = out.get(path)
            {
                let decoded = wire::decode(codec, found.clone()).map_err(|why| format!("`{path}`: {why}"))?;
                out.set(path, decoded);
            }
            if let Some(at) = rule.each.as_ref().and_then(|each| each.read.as_ref())
                && let Some(found) = out.get(path)
            {
                let inner = |element: &Value| element.get(at).cloned().unwrap_or_else(|| element.clone());
                let read = match found {
                    Value::Array(items) => Value::Array(items.iter().map(inner).collect()),
                    Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), inner(v))).collect()),
                    other => other.clone(),
                };
                out.set(path, read);
            }
        }
        Ok(out)
    }

    /// A body in the server's shape, without its envelope: wire forms applied, stated fields put under `spec`.
    pub(super) fn wire_shape(&self, body: &Value) -> Result<Value, String> {
        let mut out = body.clone();
        for (path, rule) in &self.rules.fields {
            if let Some(codec) = rule.wire
                && let Some(found) = out.get(path)
            {
                let encoded = wire::encode(codec, found.clone()).map_err(|why| format!("`{path}`: {why}"))?;
                out.set(path, encoded);
            }
        }
        let Value::Object(mut map) = out else { return Ok(out) };
        map.retain(|name, _| !self.ty.path_only.contains(name));
        if self.ty.spec.is_root() {
            return Ok(Value::Object(map));
        }
        let at_root = |name: &String| {
            self.ty.root.contains(name) || self.rules.key.iter().any(|k| k.path.segments().first() == Some(name))
        };
        let (root, spec): (BTreeMap<_, _>, BTreeMap<_, _>) = map.into_iter().partition(|(name, _)| at_root(name));
        let mut out = Value::Object(root);
        out.set(&self.ty.spec, Value::Object(spec));
        Ok(out)
    }
}

/// The rules and the type of a kind.
pub(super) fn shape_of<'a>(api: &'a ApiDescription, kind: &crate::model::Kind) -> Option<Shape<'a>> {
    Some(Shape::new(api.types.get(kind)?, api.table().get(kind)?))
}

fn tree(raw: &str) -> Result<Value, String> {
    parse_json(raw.as_bytes()).map_err(|e| e.to_string())
}

pub(super) fn written(value: &Value) -> Bytes {
    let mut out = Vec::with_capacity(256);
    wire::write(value, &mut out);
    Bytes::from(out)
}

/// The object `raw` with more members at its front.
fn splice(raw: &str, added: &[(FieldPath, Value)]) -> Bytes {
    let rest = raw.trim_start().strip_prefix('{').unwrap_or(raw).trim_start();
    let map: Value =
        added.iter().filter_map(|(path, value)| Some((path.segments().first()?.clone(), value.clone()))).collect();
    let mut out = Vec::with_capacity(raw.len() + 64);
    wire::write(&map, &mut out);
    out.pop();
    if !rest.starts_with('}') {
        out.push(b',');
    }
    out.extend_from_slice(rest.as_bytes());
    Bytes::from(out)
}

/// The mark as it goes to the target.
pub(super) fn mark_value(rule: &OwnerRule, mark: &Mark) -> Value {
    fill_mark(&rule.template, mark.as_str())
}

fn fill_mark(template: &Value, mark: &str) -> Value {
    match template {
        Value::String(text) => Value::String(text.replace("{mark}", mark)),
        Value::Array(items) => Value::Array(items.iter().map(|item| fill_mark(item, mark)).collect()),
        Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), fill_mark(v, mark))).collect()),
        other => other.clone(),
    }
}

/// The mark in `found`, if it fits the template (members that the server added do not matter).
fn read_mark(template: &Value, found: &Value) -> Option<Mark> {
    match (template, found) {
        (Value::String(template), Value::String(text)) if template.contains("{mark}") => {
            let (before, after) = template.split_once("{mark}")?;
            Mark::parse(text.strip_prefix(before)?.strip_suffix(after)?)
        }
        (Value::Object(template), Value::Object(found)) => {
            let mut mark = None;
            for (name, member) in template {
                let there = found.get(name)?;
                match read_mark(member, there) {
                    Some(m) => mark = Some(m),
                    None if member == there => {}
                    None => return None,
                }
            }
            mark
        }
        _ => None,
    }
}

pub(super) fn find_mark(rule: &OwnerRule, item: &Value) -> Option<Mark> {
    let found = item.get(&rule.at)?;
    match found {
        Value::Array(items) if rule.element => items.iter().find_map(|element| read_mark(&rule.template, element)),
        other => read_mark(&rule.template, other),
    }
}

/// Takes the mark out, so that what is left is what people stated.
fn strip_mark(rule: &OwnerRule, item: &mut Value) {
    if !rule.element {
        item.remove(&rule.at);
    } else if let Some(Value::Array(items)) = item.get(&rule.at) {
        let rest: Vec<Value> = items.iter().filter(|e| read_mark(&rule.template, e).is_none()).cloned().collect();
        item.set(&rule.at, Value::Array(rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn an_item_is_sliced_out_of_its_page_and_not_copied() {
        let (api, _) =
            ApiDescription::parse("t", "api: t\netag: if-match\ntypes:\n  s: {path: \"/s/{name}\"}\n").unwrap();
        let shape = shape_of(&api, &Kind::new("s")).unwrap();
        let page = Bytes::from_static(br#"[{"name":"a","big":12345678901234567890123}]"#);
        let text = std::str::from_utf8(&page).unwrap();
        let raw = scan::items(text).unwrap()[0];
        let Item::Managed(observed) = shape.item(&page, raw, None, None, None).unwrap() else {
            panic!("nothing ignores it")
        };
        assert_eq!(observed.body.as_ptr(), raw.as_ptr());
    }
}
