//! Items of a server into the shape of manifests, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::manifest::api::{ApiDescription, ApiOperation, ApiType, EtagRule, Template};
use crate::model::{
    FieldPath, Key, Kind, KindRules, Limits, MAX_DEPTH, Mark, Observed, Opaque, OwnerRule, Value, parse_json,
};

use super::fill::text_of;
use super::ids::{Above, Link, When, with_names};
use super::{scan, wire};

/// Turns items of a server into manifest shape and back.
pub(super) struct Shape<'a> {
    pub(super) ty: &'a ApiType,
    pub(super) rules: &'a KindRules,
    outline: Arc<Outline>,
    /// Fields that travel as ids.
    pub(super) links: Vec<Link>,
    /// Ancestors whose ids stand in addresses.
    pub(super) above: Vec<Above<'a>>,
    /// Most bytes of one object.
    largest: usize,
}

/// What is looked at in each item of a kind; made once, and asked about every item.
#[derive(Debug)]
pub(super) struct Outline {
    /// Top-level names that must be looked at in every item.
    names: Vec<String>,
    /// Names at the item's root by which it is addressed.
    address: BTreeSet<String>,
    /// An item already has the shape of a manifest.
    plain: bool,
    /// Where an item's stated fields lie under one name, and nothing else of it has to be turned over, its parts can be
    /// put together as they are: that name, then those at the root that are looked at or belong to the stated fields.
    parted: Option<Vec<String>>,
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

impl Outline {
    /// `ids` are the places of ids by which others refer to objects of this kind.
    pub(super) fn new(ty: &ApiType, rules: &KindRules, ids: &[FieldPath]) -> Self {
        let straight = rules.refs.iter().all(|rule| rule.at.is_none());
        let straight = straight
            && rules.fields.values().all(|rule| {
                rule.wire.is_none() && rule.read.is_none() && rule.each.as_ref().is_none_or(|each| each.read.is_none())
            });
        let plain = ty.spec.is_root() && straight;
        let mut address = BTreeSet::new();
        let operations = [&ty.create, &ty.update, &ty.delete].into_iter().flatten();
        let of = |op: &ApiOperation| -> Vec<String> {
            let queries = op.query.iter().chain(&op.headers).flat_map(|(_, t)| t.holes());
            op.path.holes().chain(queries).map(|h| h.name.clone()).collect()
        };
        let holes = operations.flat_map(of).chain(ty.path.iter().flat_map(Template::holes).map(|h| h.name.clone()));
        address.extend(holes.filter_map(|name| FieldPath::parse(&name).segments().first().cloned()));
        let etag = match &ty.etag {
            EtagRule::IfMatch { field, .. } => field.as_ref(),
            EtagRule::None => None,
        };
        let tops = ty.version.iter().chain(&ty.uid).chain(etag);
        address.extend(tops.chain(ids).filter_map(|path| path.segments().first().cloned()));
        let mut names = address.clone();
        let paths = rules.key.iter().map(|k| &k.path).chain(rules.owner.iter().map(|o| &o.at));
        names.extend(paths.filter_map(|path| path.segments().first().cloned()));
        names.extend(ty.absent.values.iter().filter_map(|(path, _)| path.segments().first().cloned()));
        for (path, glob) in rules.ignore.iter().flat_map(|m| &m.fields) {
            names.extend(path.segments().first().cloned());
            let template = glob.as_deref().and_then(|g| Template::parse(g).ok()).unwrap_or_default();
            names.extend(template.holes().filter_map(|h| h.path().segments().first().cloned()));
        }
        let parted = match ty.spec.segments() {
            [spec] if straight => {
                let keys = rules.key.iter().filter_map(|k| k.path.segments().first().cloned());
                let rest: BTreeSet<String> =
                    keys.chain(ty.root.iter().cloned()).chain(address.iter().cloned()).collect();
                Some(std::iter::once(spec.clone()).chain(rest.into_iter().filter(|name| name != spec)).collect())
            }
            _ => None,
        };
        Self { names: names.into_iter().collect(), address, plain, parted }
    }
}

impl<'a> Shape<'a> {
    /// A shape without the ids that its references may need.
    pub(super) fn new(ty: &'a ApiType, rules: &'a KindRules, outline: Arc<Outline>, largest: usize) -> Self {
        Self { ty, rules, outline, links: Vec::new(), above: Vec::new(), largest }
    }

    /// The parts of an item that are to be spliced, or `None` if they overlap and it takes a tree to tell them apart.
    fn parts<'r>(&self, raw: &'r str) -> Result<Option<Spliced<'r>>, String> {
        let Some(parts) = &self.outline.parted else { return Ok(None) };
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut outside = scan::pick(raw, &names)?;
        outside.sort_unstable_by_key(|(index, _)| *index);
        let spec = match outside.first() {
            Some((0, spec)) if spec.starts_with('{') => *spec,
            _ => return Ok(None),
        };
        outside.remove(0);
        // Names that must be looked at inside: those that are of interest, and those that might stand there twice.
        let mut wanted: Vec<&str> = self.outline.names.iter().map(String::as_str).collect();
        wanted.extend(names[1..].iter().filter(|name| !self.outline.names.iter().any(|n| n == *name)));
        let inside = scan::pick(spec, &wanted)?;
        if inside.iter().any(|(index, _)| names[1..].contains(&wanted[*index])) {
            return Ok(None);
        }
        let mut seen = BTreeMap::new();
        let inside = inside.into_iter().map(|(index, text)| (wanted[index], text));
        for (name, text) in outside.iter().map(|(index, text)| (names[*index], *text)).chain(inside) {
            seen.insert(name.to_owned(), parse_json(text.as_bytes()).map_err(|e| e.to_string())?);
        }
        let outside = outside.into_iter().map(|(index, text)| (parts[index].clone(), text)).collect();
        Ok(Some(Spliced { spec, outside, seen: Value::Object(seen) }))
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
        if raw.len() > self.largest {
            let problem = format!("an object of {} bytes; at most {} are taken", raw.len(), self.largest);
            return Err(Limits::told("object", problem));
        }
        // What could not be compared later must not count as seen now.
        if scan::opens(raw) > MAX_DEPTH && scan::depth(raw) > MAX_DEPTH {
            return Err(format!("an object nested more than {MAX_DEPTH} deep"));
        }
        let mut parts = self.parts(raw)?;
        let mut seen = match &mut parts {
            Some(parts) => std::mem::replace(&mut parts.seen, Value::Null),
            None if self.outline.plain => self.picked(raw)?,
            None => self.manifest_shape(&tree(raw)?)?,
        };
        let mut added: Vec<(FieldPath, Value)> = Vec::new();
        let mut twice = false;
        if let (Some(name), Some(field)) = (name, self.rules.key.last()) {
            // A mapping whose items repeat their names.
            twice = seen.get(&field.path).is_some();
            added.push((field.path.clone(), Value::from(name)));
        }
        if let (Some(parent), Some(rule)) = (parent, &self.rules.parent) {
            for (value, index) in parent.values().zip(&rule.fields) {
                let Some(field) = self.rules.key.get(*index) else { continue };
                match seen.get(&field.path) {
                    None => added.push((field.path.clone(), value)),
                    Some(found) if found == &value => {}
                    Some(found) if field.form.is_some_and(|form| form.normal(found) == value) => {}
                    // It shows the id of what it is in, where manifests state the name.
                    Some(found) if self.above.iter().any(|above| above.is_shown(&field.name, parent, found)) => {
                        twice = true;
                        added.push((field.path.clone(), value));
                    }
                    Some(_) => {
                        return Err(format!("its `{}` is not the {} that was asked for", field.name, rule.kind));
                    }
                }
            }
        }
        for (path, value) in &added {
            seen.set(path, value.clone());
        }
        with_names(&self.links, When::Placed, &mut seen);
        if self.ty.absent.values.iter().any(|(path, value)| seen.get(path) == Some(value)) {
            return Ok(Item::Nothing);
        }
        let ignored = self.rules.ignores(&seen);
        let key = match self.rules.key_of(&seen) {
            Ok(key) => key,
            Err(_) if ignored => return Ok(Item::Nothing),
            Err(field) => return Err(format!("its key field `{field}` is missing or null")),
        };
        let uid = self.ty.uid.as_ref().and_then(|path| seen.get(path)).and_then(text_of);
        let token = self.token(&seen, etag);
        let mark = self.rules.owner.as_ref().and_then(|rule| find_mark(rule, &seen));
        let marked_outside = |parts: &Spliced<'_>| match (&self.rules.owner, &mark) {
            (Some(rule), Some(_)) => {
                rule.at.segments().first().is_some_and(|name| parts.outside.iter().any(|(out, _)| out == name))
            }
            _ => true,
        };
        let simple = !twice && added.iter().all(|(path, _)| path.segments().len() == 1);
        let parts = parts.as_ref();
        let body = if let Some(parts) = parts.filter(|parts| simple && marked_outside(parts)) {
            let owner = self.rules.owner.as_ref().filter(|_| mark.is_some());
            parts.joined(&seen, &added, owner)
        } else if parts.is_some() {
            let mut whole = self.manifest_shape(&tree(raw)?)?;
            for (path, value) in added {
                whole.set(&path, value);
            }
            if let (Some(rule), Some(_)) = (&self.rules.owner, &mark) {
                strip_mark(rule, &mut whole);
            }
            written(&whole)
        } else if self.outline.plain && mark.is_none() && added.is_empty() {
            page.slice_ref(raw.as_bytes())
        } else if self.outline.plain && mark.is_none() && simple {
            splice(raw, &added)
        } else {
            let mut whole = if self.outline.plain { tree(raw)? } else { seen };
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

    /// The key of an item of which nothing is left but that it is gone.
    pub(super) fn gone(&self, raw: &str, parent: Option<&Key>) -> Result<Key, String> {
        let mut left = tree(raw)?;
        if left.get(&self.ty.spec).is_none() {
            left.set(&self.ty.spec, Value::object());
        }
        let mut seen = self.manifest_shape(&left)?;
        if let (Some(parent), Some(rule)) = (parent, &self.rules.parent) {
            for (value, index) in parent.values().zip(&rule.fields) {
                if let Some(field) = self.rules.key.get(*index) {
                    seen.set(&field.path, value);
                }
            }
        }
        self.rules.key_of(&seen).map_err(|field| format!("an item that is gone, without its key field `{field}`"))
    }

    fn picked(&self, raw: &str) -> Result<Value, String> {
        let names: Vec<&str> = self.outline.names.iter().map(String::as_str).collect();
        let mut map = BTreeMap::new();
        for (index, text) in scan::pick(raw, &names)? {
            map.insert(self.outline.names[index].clone(), parse_json(text.as_bytes()).map_err(|e| e.to_string())?);
        }
        Ok(Value::Object(map))
    }

    fn token(&self, item: &Value, etag: Option<&str>) -> Option<Opaque> {
        if let Some(path) = &self.ty.version {
            return item.get(path).and_then(text_of).map(Opaque::new);
        }
        let EtagRule::IfMatch { field, weak } = &self.ty.etag else { return None };
        let in_item = || {
            let text = item.get(field.as_ref()?).and_then(text_of)?;
            Some(if text.starts_with('"') || text.starts_with("W/") { text } else { format!("\"{text}\"") })
        };
        let tag = in_item().or_else(|| etag.map(str::to_owned))?;
        // A weak tag promises nothing that a write could be guarded with, unless the description says so.
        let quoted = tag.strip_prefix("W/").filter(|_| *weak).unwrap_or(&tag);
        (quoted.starts_with('"') && quoted.len() > 1 && quoted.ends_with('"')).then(|| Opaque::new(tag))
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
            for name in &self.outline.address {
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
        with_names(&self.links, When::Read, &mut out);
        Ok(out)
    }

    /// The object with the ids of its own kind turned into names. Its list must be known.
    pub(super) fn name_own(&self, observed: &mut Observed) {
        if let Ok(mut value) = observed.value()
            && self.links.iter().any(Link::is_own)
        {
            with_names(&self.links, When::Listed, &mut value);
            observed.body = written(&value);
        }
    }

    /// A body in the server's shape, without its envelope: wire forms applied, stated fields put under `spec`.
    pub(super) fn wire_shape(&self, body: Value) -> Result<Value, String> {
        let mut out = body;
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
        if self.ty.spec_sent.is_root() {
            return Ok(Value::Object(map));
        }
        let at_root = |name: &String| {
            self.ty.root.contains(name) || self.rules.key.iter().any(|k| k.path.segments().first() == Some(name))
        };
        let (root, spec): (BTreeMap<_, _>, BTreeMap<_, _>) = map.into_iter().partition(|(name, _)| at_root(name));
        let mut out = Value::Object(root);
        out.set(&self.ty.spec_sent, Value::Object(spec));
        Ok(out)
    }
}

/// An item in two parts: its stated fields, and what stands beside them.
struct Spliced<'r> {
    /// The object of the stated fields.
    spec: &'r str,
    /// Members from beside it.
    outside: Vec<(String, &'r str)>,
    /// What was looked at, in manifest shape.
    seen: Value,
}

impl Spliced<'_> {
    /// Both parts as one object, `added` in front, the mark taken out.
    fn joined(&self, seen: &Value, added: &[(FieldPath, Value)], owner: Option<&OwnerRule>) -> Bytes {
        let marked = owner.and_then(|rule| rule.at.segments().first());
        let mut out = Vec::with_capacity(self.spec.len() + 160);
        out.push(b'{');
        let member = |out: &mut Vec<u8>, name: &str| {
            if out.len() > 1 {
                out.push(b',');
            }
            wire::write(&Value::from(name), out);
            out.push(b':');
        };
        for (path, value) in added {
            member(&mut out, path.segments().first().map_or("", String::as_str));
            wire::write(value, &mut out);
        }
        for (name, text) in &self.outside {
            member(&mut out, name);
            match (owner, seen.child(name)) {
                (Some(rule), Some(value)) if marked == Some(name) => {
                    let mut whole = Value::object();
                    whole.set(&FieldPath::root().join(name.as_str()), value.clone());
                    strip_mark(rule, &mut whole);
                    wire::write(whole.child(name).unwrap_or(&Value::Null), &mut out);
                }
                _ => out.extend_from_slice(text.as_bytes()),
            }
        }
        let inner = self.spec.trim().strip_prefix('{').and_then(|s| s.strip_suffix('}')).unwrap_or_default();
        if out.len() > 1 && !inner.trim().is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(inner.as_bytes());
        out.push(b'}');
        Bytes::from(out)
    }
}

/// The outlines of all kinds.
pub(super) fn outlines(api: &ApiDescription) -> BTreeMap<Kind, Arc<Outline>> {
    let outline = |(kind, ty): (&Kind, &ApiType)| {
        let kinds = || api.table().kinds.values();
        let referred = kinds().flat_map(|rules| &rules.refs).filter(|rule| &rule.kind == kind);
        let above = kinds().flat_map(|rules| &rules.ancestors).filter(|rule| &rule.kind == kind);
        let ids: Vec<FieldPath> =
            referred.filter_map(|rule| rule.at.clone()).chain(above.map(|rule| rule.at.clone())).collect();
        Some((kind.clone(), Arc::new(Outline::new(ty, api.table().get(kind)?, &ids))))
    };
    api.types.iter().filter_map(outline).collect()
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

    fn shape_of<'a>(api: &'a ApiDescription, kind: &Kind) -> Option<Shape<'a>> {
        Some(Shape::new(api.types.get(kind)?, api.table().get(kind)?, outlines(api).remove(kind)?, 1 << 20))
    }

    #[test]
    fn splicing_makes_what_a_tree_would_make() {
        let text = "
api: t
etag: {field: etag}
types:
  s:
    path: /s/{name}
    spec: /spec
    root: [labels]
    uid: uid
    owner: {at: /labels/managed-by}
    ignore: [{flag: x}]
";
        let (api, _) = ApiDescription::parse("t", text).unwrap();
        let shape = shape_of(&api, &Kind::new("s")).unwrap();
        for raw in [
            r#"{"name":"a","uid":"u","etag":"e","labels":{"managed-by":"ctl/p","x":"1"},"spec":{"b":[1,{"c":1e400}]}}"#,
            r#"{"spec":{"b":"\"},{"},"name":"a"}"#,
            r#"{"name":"a","spec":{ }}"#,
            r#"{"name":"a","labels":{"managed-by":"ctl/p"},"spec":{"labels":{"inside":true}}}"#,
            r#"{"spec":{"name":"inside","b":1}}"#,
            r#"{"name":"a","spec":{"uid":"inside"},"uid":"outside"}"#,
            r#"{"name":"a","labels":null,"spec":{"b":2}}"#,
        ] {
            let page = Bytes::from(raw.to_owned());
            let raw = std::str::from_utf8(&page).unwrap();
            let Item::Managed(spliced) = shape.item(&page, raw, None, None, None).unwrap() else { panic!("{raw}") };
            let mut expected = shape.tree(raw).unwrap();
            if spliced.mark.is_some() {
                expected.remove(&FieldPath::parse("/labels/managed-by"));
            }
            assert_eq!(spliced.value().unwrap(), expected, "{raw}");
        }
        for raw in [r#"{"name":"a"}"#, r#"{"name":"a","spec":[]}"#, r#"{"name":"a","spec":{"b":1}"#] {
            let page = Bytes::from(raw.to_owned());
            assert!(shape.item(&page, std::str::from_utf8(&page).unwrap(), None, None, None).is_err(), "{raw}");
        }
    }

    #[test]
    fn an_item_of_a_mapping_may_repeat_its_name() {
        let text = "api: t\netag: if-match\ntypes:\n  s: {path: \"/s/{name}\", list: {shape: map}}\n";
        let (api, _) = ApiDescription::parse("t", text).unwrap();
        let shape = shape_of(&api, &Kind::new("s")).unwrap();
        let page = Bytes::from_static(br#"{"name":"a","b":1}"#);
        let raw = std::str::from_utf8(&page).unwrap();
        let Item::Managed(observed) = shape.item(&page, raw, Some("a"), None, None).unwrap() else { panic!("managed") };
        assert_eq!(observed.value().unwrap().canonical().as_str(), r#"{"b":1,"name":"a"}"#);
    }

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
