//! References by ids that the server makes. Manifests, plans and records name an object by its key; ids are put in
//! right before a request leaves and taken out of every answer, so that nothing else ever sees one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{FieldPath, Form, Key, Kind, Listing, Observed, RefRule, ResourceId, Scope, Value};
use crate::net::Transport;
use crate::target::TargetError;

use super::driver::HttpTarget;
use super::fill::text_of;
use super::observe::Found;
use super::shape::Shape;

/// What an id is called that belongs to no object that was listed: it stays visible, and equals no key.
const STRANGE: &str = "id";

/// The ids of the objects of each kind that others refer to by id, by kind and by where the id stands.
pub(super) type Ids = Mutex<BTreeMap<(Kind, FieldPath), Arc<Known>>>;

/// The ids of one kind.
#[derive(Default)]
pub(super) struct Known {
    maps: Mutex<Maps>,
}

#[derive(Default)]
struct Maps {
    /// By the id's text; none where two objects claim one id.
    key_of: BTreeMap<String, Option<Value>>,
    id_of: BTreeMap<Key, Value>,
}

impl Known {
    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id_of(&self, key: &Key) -> Option<Value> {
        self.maps().id_of.get(key).cloned()
    }

    fn forget(&self, key: &Key) {
        let mut maps = self.maps();
        if let Some(text) = maps.id_of.remove(key).as_ref().and_then(text_of) {
            maps.key_of.remove(&text);
        }
    }

    fn learn(&self, at: &FieldPath, observed: &Observed) {
        let id = observed.value().ok().and_then(|value| value.get(at).cloned());
        let (Some(id), Some(name)) = (id, observed.key.values().next()) else { return };
        let Some(text) = text_of(&id) else { return };
        self.forget(&observed.key);
        let mut maps = self.maps();
        let whose = maps.key_of.entry(text).or_insert_with(|| Some(name.clone()));
        if whose.as_ref() != Some(&name) {
            *whose = None;
        }
        maps.id_of.insert(observed.key.clone(), id);
    }
}

/// One field of a kind that travels as an id.
pub(super) struct Link {
    field: FieldPath,
    kind: Kind,
    /// The key field's form, by which names are compared.
    form: Option<Form>,
    /// Where inside the field the id travels.
    within: FieldPath,
    known: Arc<Known>,
}

impl Link {
    fn key(&self, name: &Value) -> Key {
        Key::new(&[self.form.map_or_else(|| name.clone(), |form| form.normal(name))])
    }

    /// A name becomes an id; `Err` with the key where nobody knows it.
    fn to_id(&self, value: &Value) -> Result<Value, Key> {
        let id = match value {
            Value::Null => return Ok(Value::Null),
            Value::Object(map) if map.len() == 1 && map.contains_key(STRANGE) => map[STRANGE].clone(),
            name => {
                let key = self.key(name);
                self.known.id_of(&key).ok_or(key)?
            }
        };
        if self.within.is_root() {
            return Ok(id);
        }
        let mut out = Value::object();
        out.set(&self.within, id);
        Ok(out)
    }

    /// An id becomes a name.
    fn to_name(&self, value: &Value) -> Value {
        let Some(id) = value.get(&self.within).filter(|id| **id != Value::Null) else { return Value::Null };
        let known = text_of(id).and_then(|text| self.known.maps().key_of.get(&text).cloned().flatten());
        known.unwrap_or_else(|| Value::Object([(STRANGE.to_owned(), id.clone())].into()))
    }
}

/// `value` with the names of all links turned into ids. The error says of which object no id is known.
pub(super) fn with_ids(links: &[Link], value: &Value) -> Result<Value, String> {
    let mut out = value.clone();
    for link in links {
        for path in places(value, &link.field) {
            let Some(name) = value.get(&path) else { continue };
            let id = link.to_id(name).map_err(|key| {
                format!("`{path}` refers to {}/{key}, which is not there, so that it has no id", link.kind)
            })?;
            out.set(&path, id);
        }
    }
    Ok(out)
}

/// `value` with the ids of all links turned into names.
pub(super) fn with_names(links: &[Link], value: &mut Value) {
    for link in links {
        for path in places(value, &link.field) {
            if let Some(found) = value.get(&path).map(|found| link.to_name(found)) {
                value.set(&path, found);
            }
        }
    }
}

/// Key fields with ids in place of names, as an address wants them. What is not known stays a name.
pub(super) fn key_with_ids(links: &[Link], mut key: BTreeMap<FieldPath, Value>) -> BTreeMap<FieldPath, Value> {
    for link in links {
        if let Some(value) = key.get_mut(&link.field)
            && let Some(id) = link.known.id_of(&link.key(value))
        {
            *value = id;
        }
    }
    key
}

/// The concrete places that a field with `*` stands for.
fn places(value: &Value, field: &FieldPath) -> Vec<FieldPath> {
    let mut found = vec![FieldPath::root()];
    for step in field.segments() {
        found = found
            .into_iter()
            .flat_map(|at| match (step.as_str(), value.get(&at)) {
                ("*", Some(Value::Array(items))) => (0..items.len()).map(|i| at.join(i.to_string())).collect(),
                ("*", Some(Value::Object(map))) => map.keys().map(|name| at.join(name.as_str())).collect(),
                ("*", _) => Vec::new(),
                (name, _) => vec![at.join(name)],
            })
            .collect();
    }
    found.retain(|path| value.get(path).is_some());
    found
}

/// The references of a kind that travel as ids.
fn by_id(rules: &[RefRule]) -> impl Iterator<Item = (&RefRule, &FieldPath)> {
    rules.iter().filter_map(|rule| Some((rule, rule.at.as_ref()?)))
}

impl<X: Transport> HttpTarget<X> {
    /// A kind's shape, with the ids that its references need. Lists what they refer to where that was not listed yet.
    pub(super) async fn shape(&self, kind: &Kind) -> Result<Shape<'_>, TargetError> {
        let known = || Some((self.api.types.get(kind)?, self.api.table().get(kind)?, self.outlines.get(kind)?));
        let mut shape = known()
            .map(|(ty, rules, outline)| Shape::new(ty, rules, Arc::clone(outline)))
            .ok_or_else(|| TargetError::Refused { why: format!("the API `{}` has no kind `{kind}`", self.api.name) })?;
        for (rule, at) in by_id(&shape.rules.refs) {
            let place = (rule.kind.clone(), at.clone());
            let known = self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
            let known = match known {
                Some(known) => known,
                None => {
                    let referred = Box::pin(self.shape(&rule.kind)).await?;
                    let Found::Listed(listing) = Box::pin(self.list(&referred, None, None)).await? else {
                        let why = format!("nobody can tell the ids of `{}`", rule.kind);
                        return Err(TargetError::Refused { why });
                    };
                    self.learn_all(&rule.kind, &listing);
                    self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned().unwrap_or_default()
                }
            };
            let form = self.api.table().get(&rule.kind).and_then(|r| r.key.first()).and_then(|field| field.form);
            let within = shape.ty.link_within.get(&rule.field).cloned().unwrap_or_else(FieldPath::root);
            shape.links.push(Link { field: rule.field.clone(), kind: rule.kind.clone(), form, within, known });
        }
        Ok(shape)
    }

    /// Where the ids of a kind stand that others refer to by id.
    fn ids_of(&self, kind: &Kind) -> Vec<FieldPath> {
        let rules = self.api.table().kinds.values().flat_map(|rules| by_id(&rules.refs));
        let mut found: Vec<FieldPath> =
            rules.filter(|(rule, _)| &rule.kind == kind).map(|(_, at)| at.clone()).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Learns the ids of a kind from its whole list; what was known before is forgotten.
    pub(super) fn learn_all(&self, kind: &Kind, listing: &Listing) {
        for at in self.ids_of(kind) {
            let known = Known::default();
            listing.items.iter().chain(&listing.ignored).for_each(|observed| known.learn(&at, observed));
            self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert((kind.clone(), at), Arc::new(known));
        }
    }

    /// Learns what was seen of one object, or that it is gone.
    pub(super) fn learn(&self, id: &ResourceId, observed: Option<&Observed>) {
        for at in self.ids_of(&id.kind) {
            let known =
                self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(&(id.kind.clone(), at.clone())).cloned();
            match (known, observed) {
                (Some(known), Some(observed)) => known.learn(&at, observed),
                (Some(known), None) => known.forget(&id.key),
                // What was never listed is listed whole once it is needed.
                (None, _) => {}
            }
        }
    }

    /// Makes sure that the ids of everything that `value` refers to are known, by asking for those that are not: they
    /// were made a moment ago, by an answer that did not show them.
    pub(super) async fn find_ids(&self, shape: &Shape<'_>, value: &Value) -> Result<(), TargetError> {
        for link in &shape.links {
            for path in places(value, &link.field) {
                let Some(Err(key)) = value.get(&path).map(|name| link.to_id(name)) else { continue };
                let id = ResourceId { target: self.target.clone(), kind: link.kind.clone(), key };
                let found = Box::pin(self.read_one(&id, None)).await?;
                self.learn(&id, found.as_ref());
            }
        }
        Ok(())
    }

    /// True if a list of this scope is one that ids are learnt from.
    pub(super) fn tells_ids(&self, scope: &Scope) -> bool {
        scope.parent.is_none() && !self.ids_of(&scope.kind).is_empty()
    }
}
