//! What diff and plan must know of an API's kinds: keys, parents, references, and the rules of fields.

use std::collections::BTreeMap;

use super::{FieldPath, Key, Kind, Value, glob_matches};

/// What difference and plan must know of an API's kinds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KindTable {
    /// The kinds, by name.
    pub kinds: BTreeMap<Kind, KindRules>,
}

impl KindTable {
    /// The rules of `kind`.
    pub fn get(&self, kind: &Kind) -> Option<&KindRules> {
        self.kinds.get(kind)
    }

    /// The kinds whose objects live inside objects of `parent`.
    pub fn children_of<'a>(&'a self, parent: &'a Kind) -> impl Iterator<Item = &'a KindRules> {
        self.kinds.values().filter(move |k| k.parent.as_ref().is_some_and(|p| &p.kind == parent))
    }

    /// The references of all kinds that point at `to`.
    pub fn referrers_of<'a>(&'a self, to: &'a Kind) -> impl Iterator<Item = (&'a KindRules, &'a RefRule)> {
        self.kinds.values().flat_map(move |k| k.refs.iter().filter(move |r| &r.kind == to).map(move |r| (k, r)))
    }

    /// True if objects of `kind` hold others: declared so, or with children, or with referrers that a delete takes along.
    pub fn is_container(&self, kind: &Kind) -> bool {
        self.get(kind).is_some_and(|k| k.container)
            || self.children_of(kind).next().is_some()
            || self.referrers_of(kind).any(|(_, r)| r.on_delete == OnDelete::Cascade)
    }

    /// The lists that tell the ids which this scope's addresses and references hold, itself not among them: without
    /// them nobody can ask for it, or tell what it says.
    pub fn id_lists(&self, kind: &Kind, parent: Option<&Key>) -> Vec<(Kind, Option<Key>)> {
        let Some(rules) = self.get(kind) else { return Vec::new() };
        let ancestors = rules.ancestors.iter().filter_map(|rule| {
            let key = parent?.project(&rule.fields)?;
            Some((rule.kind.clone(), self.get(&rule.kind).and_then(|above| above.parent_key(&key))))
        });
        let referred = rules.refs.iter().filter(|rule| rule.at.is_some()).map(|rule| {
            let beside = self.get(&rule.kind).and_then(|to| rules.parent_of_referred(rule, to));
            (rule.kind.clone(), beside.and_then(|fields| parent?.project(&fields)))
        });
        ancestors.chain(referred).filter(|(k, p)| (k, p.as_ref()) != (kind, parent)).collect()
    }
}

/// The rules of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KindRules {
    /// Its name.
    pub kind: Kind,
    /// The fields that identify an object, in order.
    pub key: Vec<KeyField>,
    /// The kind inside whose objects this one lives.
    pub parent: Option<ParentRule>,
    /// Ancestors whose server-made ids stand in its addresses.
    pub ancestors: Vec<AncestorRule>,
    /// Fields that name other objects, the parent not among them.
    pub refs: Vec<RefRule>,
    /// Sets of fields that no two objects may share, besides the key.
    pub unique: Vec<Vec<FieldPath>>,
    /// Declared to hold other objects.
    pub container: bool,
    /// How a change is carried out.
    pub update: UpdateMode,
    /// False where the API cannot make one.
    pub can_create: bool,
    /// False where the API cannot delete one.
    pub can_delete: bool,
    /// Objects that are never touched, though they may be referred to.
    pub ignore: Vec<Match>,
    /// Objects that may be changed but are never deleted by absence.
    pub keep: Vec<Match>,
    /// Rules of fields, by pointer; `*` stands for any member or element.
    pub fields: BTreeMap<FieldPath, FieldRule>,
    /// If set, a field that nobody stated and is not named here is a difference.
    pub exact: Option<Inits>,
    /// If set, no other field than these may be stated (top-level names).
    pub known: Option<Vec<String>>,
    /// Fields that only the server writes.
    pub server: Vec<FieldPath>,
    /// Where the ownership mark goes.
    pub owner: Option<OwnerRule>,
    /// Only declared or recorded objects are asked for; `own: exclusive` is refused.
    pub listed_by_key: bool,
    /// The list may lag behind writes: nothing is deleted because of it.
    pub eventual: bool,
    /// Each object has an address of its own besides the list, which might show less of it.
    pub listed_apart: bool,
}

/// Names that an exact kind leaves out of the comparison.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inits {
    /// Pointers that are not compared.
    pub except: Vec<FieldPath>,
}

/// One field of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyField {
    /// Where it is in a manifest's `spec`.
    pub path: FieldPath,
    /// Its name in addresses and in the `key` object of JSON output.
    pub name: String,
    /// Its normal form.
    pub form: Option<Form>,
    /// What a missing one means.
    pub default: Option<Value>,
}

/// Where a child's parent is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParentRule {
    /// The kind of the parent.
    pub kind: Kind,
    /// For each key field of the parent, the index of the child's key field that holds it.
    pub fields: Vec<usize>,
}

/// An ancestor that the API knows by an id of its own making, and manifests by its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AncestorRule {
    /// The hole that the id fills, as templates spell it: `project.id`.
    pub hole: String,
    /// The ancestor's kind.
    pub kind: Kind,
    /// Where its id stands in what is observed of it.
    pub at: FieldPath,
    /// For each key field of the ancestor, the index of the parent's key field that holds it.
    pub fields: Vec<usize>,
}

/// A field that names another object of the same endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefRule {
    /// The referring field; `*` for each element.
    pub field: FieldPath,
    /// The kind referred to.
    pub kind: Kind,
    /// Key fields of the kind referred to, in its key order, each found at this path of the referrer; the last one is
    /// `field` itself. An empty list means that `field` alone is the key.
    pub through: Vec<FieldPath>,
    /// What the server does to the referrer when the object goes.
    pub on_delete: OnDelete,
    /// The field may be left out, so a cycle can be broken by detaching.
    pub optional: bool,
    /// Where a server-made id stands in the object referred to, if the API wants that instead of the key.
    pub at: Option<FieldPath>,
}

/// What a delete does to those who refer to the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnDelete {
    /// The server refuses the delete while referrers stand.
    Restrict,
    /// The server deletes the referrers too.
    Cascade,
    /// Nothing: the reference dangles.
    #[default]
    None,
}

/// How a change of an existing object is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UpdateMode {
    /// By writing it.
    #[default]
    InPlace,
    /// By delete and create: everything is immutable.
    Replace,
    /// Not at all: the key says everything.
    None,
}

/// What is to be known of one field.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FieldRule {
    /// Compared with this where the manifest leaves it out.
    pub default: Option<Value>,
    /// Sent at create only (this value where the manifest leaves it out, unless null); never compared.
    pub initial: Option<Value>,
    /// Hidden, and perhaps write-only.
    pub secret: Option<SecretMode>,
    /// A mapping compared whole: a member that nobody stated is a difference.
    pub exact: bool,
    /// A change needs a replace.
    pub immutable: bool,
    /// The order of the list means nothing.
    pub unordered: Option<Unordered>,
    /// Defaults inside each element.
    pub each: Option<Each>,
    /// Spellings that mean the same.
    pub form: Option<Form>,
    /// How the value travels.
    pub wire: Option<Wire>,
    /// Where it is read, if not where it is written: a pointer into the item.
    pub read: Option<FieldPath>,
    /// Words of the manifest and what the server calls them when it answers.
    pub values: BTreeMap<String, String>,
    /// May not be stated: the server's own.
    pub server: bool,
    /// A number and its text are the same (`"5"` and `5`).
    pub loose: bool,
}

/// What `secret` means for a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretMode {
    /// Sent, never comes back, never compared.
    WriteOnly,
    /// Comes back in clear; compared, hidden.
    Readable,
    /// Comes back as this mask.
    Masked {
        /// The mask.
        mask: String,
        /// True if leaving it out of a write clears it.
        omitted_clears: bool,
    },
}

/// How elements of an unordered list are paired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unordered {
    /// By their whole value.
    ByValue,
    /// By one of their fields.
    ByKey(FieldPath),
}

/// Defaults and read pointers inside each element of a list or member of a map.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Each {
    /// Compared with these where the element leaves them out.
    pub defaults: BTreeMap<String, Value>,
    /// The element is read as the value at this pointer inside it.
    pub read: Option<FieldPath>,
}

/// A normal form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Lower case with a final dot.
    Fqdn,
    /// Lower case.
    Lower,
    /// Case is kept and means nothing.
    Caseless,
    /// `5m0s` is `300s`.
    Duration,
    /// An address with its prefix length, host bits cleared.
    Cidr,
    /// An IP address in its shortest spelling.
    Ip,
    /// A moment: `2026-12-01T01:00:00+01:00` is `2026-12-01T00:00:00.000Z`.
    Time,
}

/// How a value travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// Base64 of the text.
    B64,
    /// A list as comma-separated text.
    Csv,
    /// An integer as text.
    Int,
    /// JSON in a string.
    Json,
}

/// Where the ownership mark goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnerRule {
    /// The field, or the list that gets one more element.
    pub at: FieldPath,
    /// What is put there: a text or an element in which `{mark}` stands for the mark. Default: the mark itself.
    pub template: Value,
    /// True if `at` is a list that gets an element.
    pub element: bool,
}

/// A condition on an object: all of its globs must fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Match {
    /// For each field a glob over its text. `None` fits a missing field. A glob may hold `{key field}`.
    pub fields: Vec<(FieldPath, Option<String>)>,
}

impl Match {
    /// True if `value` (an object in manifest shape, key fields included) fits.
    pub fn fits(&self, value: &Value) -> bool {
        self.fields.iter().all(|(path, glob)| match (value.get(path), glob) {
            (None, None) => true,
            (Some(found), Some(glob)) => glob_matches(&fill(glob, value), &text_of(found)),
            (None, Some(_)) | (Some(_), None) => false,
        })
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.canonical().as_str().to_owned(),
    }
}

/// Replaces `{field}` by that field's text.
fn fill(glob: &str, value: &Value) -> String {
    let mut out = String::new();
    let mut rest = glob;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) => {
                out.push_str(&value.get(&FieldPath::parse(name)).map(text_of).unwrap_or_default());
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

impl KindRules {
    /// Rules for a kind about which nothing special was said: key fields by name, updated in place.
    pub fn conventional(kind: Kind, key: &[&str]) -> Self {
        Self {
            kind,
            key: key
                .iter()
                .map(|name| KeyField {
                    path: FieldPath::parse(name),
                    name: name.trim_start_matches('/').replace('/', "."),
                    form: None,
                    default: None,
                })
                .collect(),
            parent: None,
            ancestors: Vec::new(),
            refs: Vec::new(),
            unique: Vec::new(),
            container: false,
            update: UpdateMode::InPlace,
            can_create: true,
            can_delete: true,
            ignore: Vec::new(),
            keep: Vec::new(),
            fields: BTreeMap::new(),
            exact: None,
            known: None,
            server: Vec::new(),
            owner: None,
            listed_by_key: false,
            eventual: false,
            listed_apart: false,
        }
    }

    /// The rule of the field at `path`, wildcards included.
    pub fn field(&self, path: &FieldPath) -> Option<&FieldRule> {
        self.fields.get(path).or_else(|| self.fields.iter().find(|(rule, _)| rule.matches(path)).map(|(_, r)| r))
    }

    /// The key of `value`, defaults filled in and forms applied; the name of the first missing field otherwise. Null is
    /// nobody's name: it counts as missing.
    pub fn key_of(&self, value: &Value) -> Result<Key, &str> {
        let mut parts = Vec::with_capacity(self.key.len());
        for field in &self.key {
            let found = value.get(&field.path).filter(|found| **found != Value::Null);
            let found = found.or(field.default.as_ref()).ok_or(field.name.as_str())?;
            parts.push(match field.form {
                Some(form) => form.normal(found),
                None => found.clone(),
            });
        }
        Ok(Key::new(&parts))
    }

    /// True for a field that is never compared: it identifies the object, is sent at create only, or is the server's own.
    pub fn is_passed_over(&self, path: &FieldPath) -> bool {
        self.key.iter().any(|k| &k.path == path)
            || self.server.iter().any(|s| s.matches(path))
            || self.field(path).is_some_and(|r| r.initial.is_some() || r.server)
    }

    /// True for a field that the description calls secret.
    pub fn is_secret(&self, path: &FieldPath) -> bool {
        self.field(path).is_some_and(|r| r.secret.is_some())
    }

    /// True if the value at `path` must not be shown: it is secret, is inside a secret, or has one inside.
    pub fn hides(&self, path: &FieldPath) -> bool {
        self.fields.iter().filter(|(_, rule)| rule.secret.is_some()).any(|(secret, _)| {
            secret.segments().iter().zip(path.segments()).all(|(rule, step)| rule == "*" || rule == step)
        })
    }

    /// True if the field, or one that it is inside of, changes only by delete and create.
    pub fn is_immutable(&self, path: &FieldPath) -> bool {
        self.fields.iter().filter(|(_, rule)| rule.immutable).any(|(fixed, _)| {
            fixed.segments().len() <= path.segments().len()
                && fixed.segments().iter().zip(path.segments()).all(|(rule, step)| rule == "*" || rule == step)
        })
    }

    /// The key of the parent of the object with `key`.
    pub fn parent_key(&self, key: &Key) -> Option<Key> {
        key.project(&self.parent.as_ref()?.fields)
    }

    /// True if its addresses or references hold ids that other lists tell.
    pub fn needs_ids(&self) -> bool {
        !self.ancestors.is_empty() || self.refs.iter().any(|rule| rule.at.is_some())
    }

    /// Where the parent of what `rule` refers to is named: indexes of key fields of this kind's own parent. None if what is
    /// referred to has no parent, or another one may be meant than can be told from where the referrer is.
    pub fn parent_of_referred(&self, rule: &RefRule, to: &KindRules) -> Option<Vec<usize>> {
        let (above, own) = (to.parent.as_ref()?, self.parent.as_ref()?);
        let place = |field: &usize| {
            let key = self.key.iter().position(|k| Some(&k.path) == rule.through.get(*field))?;
            own.fields.iter().position(|index| *index == key)
        };
        above.fields.iter().map(place).collect()
    }

    /// True if the object is one that is never touched.
    pub fn ignores(&self, value: &Value) -> bool {
        self.ignore.iter().any(|m| m.fits(value))
    }

    /// True if the object is never deleted by absence.
    pub fn keeps(&self, value: &Value) -> bool {
        self.keep.iter().any(|m| m.fits(value))
    }
}

impl Form {
    /// The normal form of `value`; what does not fit the form stays as it is.
    pub fn normal(self, value: &Value) -> Value {
        let Value::String(text) = value else { return value.clone() };
        let normal = match self {
            Self::Fqdn => {
                let lower = text.to_lowercase();
                if lower.ends_with('.') { lower } else { format!("{lower}.") }
            }
            Self::Lower | Self::Caseless => text.to_lowercase(),
            Self::Ip => text.parse::<std::net::IpAddr>().map_or_else(|_| text.clone(), |ip| ip.to_string()),
            Self::Cidr => normal_cidr(text).unwrap_or_else(|| text.clone()),
            Self::Duration => normal_duration(text).unwrap_or_else(|| text.clone()),
            Self::Time => text.parse::<jiff::Timestamp>().map_or_else(|_| text.clone(), |at| at.to_string()),
        };
        Value::String(normal)
    }
}

fn normal_cidr(text: &str) -> Option<String> {
    let (address, prefix) = text.split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    match address.parse::<std::net::IpAddr>().ok()? {
        std::net::IpAddr::V4(ip) if prefix <= 32 => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            Some(format!("{}/{prefix}", std::net::Ipv4Addr::from(u32::from(ip) & mask)))
        }
        std::net::IpAddr::V6(ip) if prefix <= 128 => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            Some(format!("{}/{prefix}", std::net::Ipv6Addr::from(u128::from(ip) & mask)))
        }
        _ => None,
    }
}

/// `1h5m0s`, `300s`, `1.5h`, `250ms` as nanoseconds.
fn normal_duration(text: &str) -> Option<String> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|n| *n > 0)?;
        let amount: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        total += amount * UNITS.iter().find(|(name, _)| *name == &after[..unit])?.1;
        rest = &after[unit..];
    }
    (!text.is_empty()).then(|| format!("{total}ns"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_make_spellings_of_one_thing_equal() {
        for (form, a, b) in [
            (Form::Fqdn, "WWW.example.org", "www.example.org."),
            (Form::Caseless, "Admin", "admin"),
            (Form::Ip, "2001:0DB8:0:0::1", "2001:db8::1"),
            (Form::Cidr, "10.1.2.3/8", "10.0.0.0/8"),
            (Form::Duration, "5m0s", "300s"),
            (Form::Time, "2026-12-01T01:00:00+01:00", "2026-12-01T00:00:00.000Z"),
            (Form::Time, "2026-12-01 00:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            assert_eq!(form.normal(&a.into()), form.normal(&b.into()), "{a} and {b}");
        }
    }

    #[test]
    fn a_match_wants_all_of_its_globs_and_may_name_a_field() {
        let rule = Match {
            fields: vec![
                (FieldPath::parse("type"), Some("NS".into())),
                (FieldPath::parse("name"), Some("{zone}".into())),
            ],
        };
        let object: Value = [("type", "NS"), ("zone", "a."), ("name", "a.")].into_iter().collect();
        assert!(rule.fits(&object));
        let other: Value = [("type", "NS"), ("zone", "a."), ("name", "b.a.")].into_iter().collect();
        assert!(!rule.fits(&other));
    }
}
