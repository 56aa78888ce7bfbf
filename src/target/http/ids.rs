//! Ids that the server makes, in references and in addresses. Manifests, plans and records name an object by its key; ids
//! are put in right before a request leaves and taken out of every answer, so that nothing else ever sees one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{
    AncestorRule, FieldPath, Form, Key, Kind, KindRules, Listing, Observed, RefRule, ResourceId, Value,
};
use crate::net::Transport;
use crate::target::TargetError;

use super::driver::HttpTarget;
use super::fill::text_of;
use super::observe::Found;
use super::shape::Shape;

/// What an id is called that belongs to no object that was listed: it stays visible, and equals no key.
const STRANGE: &str = "id";

/// The ids of the objects that others are addressed by or refer to by id, by kind and by where the id stands.
pub(super) type Ids = Mutex<BTreeMap<(Kind, FieldPath), Arc<Known>>>;

/// The ids of one kind.
#[derive(Default)]
pub(super) struct Known {
    /// The key fields that name the parent, for a kind that has one.
    inside: Option<Vec<usize>>,
    maps: Mutex<Maps>,
}

#[derive(Default)]
struct Maps {
    /// By the id's text. Several claim one id where it is unique only inside of a parent.
    keys_of: BTreeMap<String, BTreeSet<Key>>,
    /// By parent.
    lists: BTreeMap<Option<Key>, Inside>,
}

/// The ids of what is inside of one parent.
#[derive(Default)]
struct Inside {
    /// All of them are known, and not just some that were seen one by one.
    is_whole: bool,
    id_of: BTreeMap<Key, Value>,
}

impl Maps {
    fn forget(&mut self, parent: &Option<Key>, key: &Key) {
        let id = self.lists.get_mut(parent).and_then(|list| list.id_of.remove(key));
        if let Some(text) = id.as_ref().and_then(text_of)
            && let Some(keys) = self.keys_of.get_mut(&text)
        {
            keys.remove(key);
        }
    }

    fn learn(&mut self, parent: &Option<Key>, at: &FieldPath, observed: &Observed) {
        self.forget(parent, &observed.key);
        let id = observed.value().ok().and_then(|value| value.get(at).cloned());
        let Some((text, id)) = id.and_then(|id| Some((text_of(&id)?, id))) else { return };
        self.keys_of.entry(text).or_default().insert(observed.key.clone());
        self.lists.entry(parent.clone()).or_default().id_of.insert(observed.key.clone(), id);
    }
}

impl Known {
    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parent(&self, key: &Key) -> Option<Key> {
        key.project(self.inside.as_ref()?)
    }

    pub(super) fn id_of(&self, key: &Key) -> Option<Value> {
        self.maps().lists.get(&self.parent(key))?.id_of.get(key).cloned()
    }

    /// Who has this id.
    fn keys_of(&self, id: &Value) -> BTreeSet<Key> {
        text_of(id).and_then(|text| self.maps().keys_of.get(&text).cloned()).unwrap_or_default()
    }

    /// True if all of the kind that is inside of `parent` was listed.
    fn is_listed(&self, parent: Option<&Key>) -> bool {
        self.maps().lists.get(&parent.cloned()).is_some_and(|list| list.is_whole)
    }

    fn learn(&self, at: &FieldPath, observed: &Observed) {
        self.maps().learn(&self.parent(&observed.key), at, observed);
    }

    fn forget(&self, key: &Key) {
        self.maps().forget(&self.parent(key), key);
    }

    /// What is inside of `parent` is this, and nothing else.
    fn learn_all(&self, at: &FieldPath, parent: Option<&Key>, listing: &Listing) {
        let parent = parent.cloned();
        let mut maps = self.maps();
        let before = maps.lists.remove(&parent).unwrap_or_default();
        for (key, id) in &before.id_of {
            if let Some(keys) = text_of(id).and_then(|text| maps.keys_of.get_mut(&text)) {
                keys.remove(key);
            }
        }
        maps.lists.insert(parent.clone(), Inside { is_whole: true, ..Inside::default() });
        listing.items.iter().chain(&listing.ignored).for_each(|observed| maps.learn(&parent, at, observed));
        maps.keys_of.retain(|_, keys| !keys.is_empty());
    }
}

/// When an id that is read can be turned into a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// At once.
    Read,
    /// When it is known where the referrer is, for a part of the name stands there.
    Placed,
    /// When its own list is known: it refers to its own kind.
    Listed,
}

/// One field of a kind that travels as an id.
pub(super) struct Link {
    field: FieldPath,
    kind: Kind,
    /// Where the id stands in what is referred to.
    at: FieldPath,
    /// The fields that hold the key of what is referred to, but for the last one, and whether each is the referrer's own.
    before: Vec<(FieldPath, bool)>,
    /// The forms of its key fields, by which names are compared.
    forms: Vec<Option<Form>>,
    /// Where what is referred to is named: key fields of the referrer's parent.
    beside: Option<Vec<usize>>,
    /// Where inside the field the id travels.
    within: FieldPath,
    when: When,
    known: Arc<Known>,
}

impl Link {
    /// True for a reference to the referrer's own kind.
    pub(super) fn is_own(&self) -> bool {
        self.when == When::Listed
    }

    /// The key that `name` stands for, where the fields of the referrer tell the rest of it.
    fn key<'v>(&self, name: &Value, field: impl Fn(&FieldPath) -> Option<&'v Value>) -> Option<Key> {
        let before = self.before.iter().map(|(path, _)| field(path).cloned());
        let parts: Vec<Value> = before.chain([Some(name.clone())]).collect::<Option<_>>()?;
        Some(Key::new(&self.normal(parts)))
    }

    fn normal(&self, parts: Vec<Value>) -> Vec<Value> {
        let form = |(part, form): (Value, &Option<Form>)| form.map_or_else(|| part.clone(), |form| form.normal(&part));
        parts.into_iter().zip(&self.forms).map(form).collect()
    }

    /// A name becomes an id; `Err` with the key where nobody knows it.
    fn to_id<'v>(&self, field: impl Fn(&FieldPath) -> Option<&'v Value>, value: &Value) -> Result<Value, Option<Key>> {
        let id = match value {
            Value::Null => return Ok(Value::Null),
            Value::Object(map) if map.len() == 1 && map.contains_key(STRANGE) => map[STRANGE].clone(),
            name => {
                let key = self.key(name, field).ok_or(None)?;
                self.known.id_of(&key).ok_or(Some(key))?
            }
        };
        if self.within.is_root() {
            return Ok(id);
        }
        let mut out = Value::object();
        out.set(&self.within, id);
        Ok(out)
    }

    /// An id becomes a name: what is to stand at which path.
    fn to_name(&self, whole: &Value, place: FieldPath) -> Vec<(FieldPath, Value)> {
        let found = whole.get(&place).and_then(|found| found.get(&self.within)).filter(|id| **id != Value::Null);
        let Some(id) = found else { return vec![(place, Value::Null)] };
        let fits = |key: &Key| {
            let said = self.before.iter().zip(&self.forms).zip(key.values());
            said.filter(|(((_, own), _), _)| *own).all(|(((path, _), form), part)| {
                whole.get(path).is_some_and(|said| form.map_or_else(|| said.clone(), |form| form.normal(said)) == part)
            })
        };
        let mut keys = self.known.keys_of(id).into_iter().filter(fits);
        match (keys.next(), keys.next()) {
            (Some(key), None) => {
                let told = self.before.iter().map(|(path, own)| (path.clone(), *own)).chain([(place, false)]);
                told.zip(key.values()).filter(|((_, own), _)| !own).map(|((path, _), part)| (path, part)).collect()
            }
            _ => vec![(place, Value::Object([(STRANGE.to_owned(), id.clone())].into()))],
        }
    }
}

/// `value` with the names of all links turned into ids. It may be only a part of an object: then `whole` says what else
/// belongs to a name. The error says of which object no id is known.
pub(super) fn with_ids(links: &[Link], value: &Value, whole: &Value) -> Result<Value, String> {
    let mut out = value.clone();
    for link in links {
        let mut found = places(value, &link.field);
        // Another part of the name changed, and with it the id.
        if link.before.iter().any(|(path, own)| !own && value.get(path).is_some()) {
            found.extend(places(whole, &link.field));
        }
        for path in found {
            let Some(name) = value.get(&path).or_else(|| whole.get(&path)) else { continue };
            let told = |path: &FieldPath| value.get(path).or_else(|| whole.get(path));
            let id = link.to_id(told, name).map_err(|key| match key {
                Some(key) => no_id(&format!("`{path}` refers to {}/{key}, which", link.kind)),
                None => format!("`{path}` refers to a {}, and not all of its key is stated", link.kind),
            })?;
            out.set(&path, id);
        }
    }
    Ok(out)
}

fn no_id(what: &str) -> String {
    format!("{what} is not there, so that it has no id")
}

/// `value` with the ids of those links turned into names whose time has come.
pub(super) fn with_names(links: &[Link], when: When, value: &mut Value) {
    for link in links.iter().filter(|link| link.when == when) {
        for place in places(value, &link.field) {
            for (path, name) in link.to_name(value, place) {
                value.set(&path, name);
            }
        }
    }
}

/// Key fields with ids in place of names, as an address wants them. What is not known stays a name.
pub(super) fn key_with_ids(links: &[Link], key: BTreeMap<FieldPath, Value>) -> BTreeMap<FieldPath, Value> {
    let mut out = key.clone();
    for link in links {
        if let Some(name) = key.get(&link.field)
            && let Some(id) = link.key(name, |path| key.get(path)).and_then(|key| link.known.id_of(&key))
        {
            out.insert(link.field.clone(), id);
        }
    }
    out
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

/// An ancestor whose id stands in addresses.
pub(super) struct Above<'a> {
    rule: &'a AncestorRule,
    known: Arc<Known>,
}

impl Above<'_> {
    /// True if `shown`, which stands where an object of this kind is named, is the id of the one that `parent` is (in),
    /// or an object that holds it.
    pub(super) fn is_shown(&self, field: &str, parent: &Key, shown: &Value) -> bool {
        let key = parent.project(&self.rule.fields).filter(|_| self.rule.kind.as_str() == field);
        let id = key.and_then(|key| self.known.id_of(&key)).as_ref().and_then(text_of);
        let inside = shown.get(&self.rule.at).unwrap_or(shown);
        id.is_some() && id == text_of(inside)
    }
}

/// The ids that fill the holes of addresses, by hole; or which ancestor is not there to have one.
pub(super) type Holes = Result<BTreeMap<FieldPath, Value>, String>;

impl<X: Transport> HttpTarget<X> {
    /// A kind's shape, with the ids that it needs. Lists what it refers to where that was not listed yet.
    pub(super) async fn shape(&self, kind: &Kind) -> Result<Shape<'_>, TargetError> {
        let known = || Some((self.api.types.get(kind)?, self.api.table().get(kind)?, self.outlines.get(kind)?));
        let mut shape = known()
            .map(|(ty, rules, outline)| Shape::new(ty, rules, Arc::clone(outline), self.limits.object))
            .ok_or_else(|| TargetError::refused(format!("the API `{}` has no kind `{kind}`", self.api.name)))?;
        for (rule, at) in by_id(&shape.rules.refs) {
            let Some(to) = self.api.table().get(&rule.kind) else { continue };
            let link = self.link(&shape, rule, at, to);
            // What has a parent is listed once it is known in which.
            if link.when != When::Listed && to.parent.is_none() && !link.known.is_listed(None) {
                self.list_ids(&rule.kind, None).await?;
            }
            shape.links.push(link);
        }
        let above = shape.rules.ancestors.iter();
        shape.above = above.map(|rule| Above { rule, known: self.known(&rule.kind, &rule.at) }).collect();
        Ok(shape)
    }

    fn link(&self, shape: &Shape<'_>, rule: &RefRule, at: &FieldPath, to: &KindRules) -> Link {
        let before = rule.through.split_last().map(|(_, before)| before).unwrap_or_default();
        let own = |path: &FieldPath| shape.rules.key.iter().any(|field| &field.path == path);
        let when = match () {
            () if rule.kind == shape.ty.kind => When::Listed,
            () if before.is_empty() => When::Read,
            () => When::Placed,
        };
        Link {
            field: rule.field.clone(),
            kind: rule.kind.clone(),
            at: at.clone(),
            before: before.iter().map(|path| (path.clone(), own(path))).collect(),
            forms: to.key.iter().map(|field| field.form).collect(),
            beside: shape.rules.parent_of_referred(rule, to),
            within: shape.ty.link_within.get(&rule.field).cloned().unwrap_or_else(FieldPath::root),
            when,
            known: self.known(&rule.kind, at),
        }
    }

    /// What is known of the ids of a kind that stand at `at`.
    fn known(&self, kind: &Kind, at: &FieldPath) -> Arc<Known> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            let parent = self.api.table().get(kind).and_then(|rules| rules.parent.as_ref());
            Arc::new(Known { inside: parent.map(|parent| parent.fields.clone()), ..Known::default() })
        };
        Arc::clone(ids.entry((kind.clone(), at.clone())).or_insert_with(fresh))
    }

    /// Lists a kind for its ids.
    async fn list_ids(&self, kind: &Kind, parent: Option<&Key>) -> Result<Found, TargetError> {
        let shape = Box::pin(self.shape(kind)).await?;
        let found = Box::pin(self.list(&shape, parent, None)).await?;
        match (&found, parent) {
            (Found::Listed(_), _) | (Found::Nowhere, Some(_)) => Ok(found),
            (Found::Nowhere, None) | (Found::Unchanged | Found::Changed(_), _) => {
                Err(TargetError::refused(format!("nobody can tell the ids of `{kind}`")))
            }
        }
    }

    /// Where the ids of a kind stand by which others are addressed, or refer to it.
    pub(super) fn ids_of(&self, kind: &Kind) -> BTreeSet<&FieldPath> {
        let kinds = || self.api.table().kinds.values();
        let referred = kinds().flat_map(|rules| by_id(&rules.refs)).filter(|(rule, _)| &rule.kind == kind);
        let above = kinds().flat_map(|rules| &rules.ancestors).filter(|rule| &rule.kind == kind);
        referred.map(|(_, at)| at).chain(above.map(|rule| &rule.at)).collect()
    }

    /// Learns the ids of what is in one list; what was known of it before is forgotten.
    pub(super) fn learn_all(&self, kind: &Kind, parent: Option<&Key>, listing: &Listing) {
        for at in self.ids_of(kind) {
            self.known(kind, at).learn_all(at, parent, listing);
        }
    }

    /// Learns what was seen of one object, or that it has no id that is known.
    pub(super) fn learn(&self, id: &ResourceId, observed: Option<&Observed>) {
        for at in self.ids_of(&id.kind) {
            let known = self.known(&id.kind, at);
            match observed {
                Some(observed) => known.learn(at, observed),
                None => known.forget(&id.key),
            }
        }
    }

    /// The id of one object, asked for where it is not known: it was made a moment ago, by an answer that did not show
    /// it. None if the object is not there.
    async fn find_id(&self, kind: &Kind, at: &FieldPath, key: &Key) -> Result<Option<Value>, TargetError> {
        let known = self.known(kind, at);
        if let Some(id) = known.id_of(key) {
            return Ok(Some(id));
        }
        let rules = self.api.table().get(kind);
        let parent = rules.and_then(|rules| rules.parent_key(key));
        let is_there = if rules.is_some_and(|rules| !rules.listed_by_key) && !known.is_listed(parent.as_ref()) {
            match self.list_ids(kind, parent.as_ref()).await? {
                Found::Listed(listing) => listing.items.iter().chain(&listing.ignored).any(|item| &item.key == key),
                Found::Nowhere | Found::Unchanged | Found::Changed(_) => false,
            }
        } else {
            let id = ResourceId { target: self.target.clone(), kind: kind.clone(), key: key.clone() };
            let found = Box::pin(self.read_one(&id, None)).await?;
            self.learn(&id, found.as_ref());
            found.is_some()
        };
        match known.id_of(key) {
            None if is_there => {
                Err(TargetError::refused(format!("{kind}/{key} shows no `{at}`, and has to be addressed by it")))
            }
            found => Ok(found),
        }
    }

    /// Makes sure that the ids of everything that `value` refers to are known.
    pub(super) async fn find_ids(&self, shape: &Shape<'_>, value: &Value) -> Result<(), TargetError> {
        for link in &shape.links {
            for path in places(value, &link.field) {
                let Some(Err(Some(key))) = value.get(&path).map(|name| link.to_id(|path| value.get(path), name)) else {
                    continue;
                };
                self.find_id(&link.kind, &link.at, &key).await?;
            }
        }
        Ok(())
    }

    /// What the addresses of a kind need of the ancestors that `parent` names, and the lists beside it that tell what its
    /// references mean.
    pub(super) async fn holes(&self, shape: &Shape<'_>, parent: Option<&Key>) -> Result<Holes, TargetError> {
        let mut out = BTreeMap::new();
        let Some(parent) = parent else { return Ok(Ok(out)) };
        for Above { rule, known } in &shape.above {
            let Some(key) = parent.project(&rule.fields) else { continue };
            let Some(id) = self.find_id(&rule.kind, &rule.at, &key).await? else {
                return Ok(Err(no_id(&format!("{}/{key}", rule.kind))));
            };
            let twins = known.keys_of(&id).into_iter().filter(|other| known.parent(other) == known.parent(&key));
            if let [one, other, ..] = twins.collect::<Vec<_>>().as_slice() {
                let why = format!("{0}/{one} and {0}/{other} show the same `{1}`: it is no id", rule.kind, rule.at);
                return Err(TargetError::refused(why));
            }
            out.insert(FieldPath::parse(&rule.hole), id);
        }
        for link in shape.links.iter().filter(|link| link.when == When::Placed) {
            let Some(beside) = link.beside.as_ref().and_then(|fields| parent.project(fields)) else { continue };
            if !link.known.is_listed(Some(&beside)) {
                self.list_ids(&link.kind, Some(&beside)).await?;
            }
        }
        Ok(Ok(out))
    }

    /// Turns the references of objects to their own kind into names, whose list has been read or is read now.
    pub(super) async fn name_own(
        &self,
        shape: &Shape<'_>,
        parent: Option<&Key>,
        observed: &mut Observed,
    ) -> Result<(), TargetError> {
        let Some(link) = shape.links.iter().find(|link| link.when == When::Listed) else { return Ok(()) };
        if !link.known.is_listed(parent) {
            self.list_ids(&shape.ty.kind, parent).await?;
        }
        shape.name_own(observed);
        Ok(())
    }
}
