//! The state machine: no clock, no network, no disk. A call is decided on, and what was decided is taken in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::model::{FieldPath, Value, write_json};

use super::call::{Action, Call};
use super::document::{Document, Plainly, Refusal};
use super::schema::{KindSchema, RefDelete, Schema};
use super::view::{Delta, Item, View, answer, missing, refuse};

/// Kind, name, and the field that refers.
type Referrer = (String, String, String);

/// All objects, and what keeps them consistent.
#[derive(Clone, Debug)]
pub struct State {
    schema: Arc<Schema>,
    view: View,
    /// The highest fencing token seen.
    fence: u64,
    /// Who holds the values of a unique set: kind, index of the set, values -> name.
    unique: BTreeMap<(String, usize, Vec<u8>), String>,
    /// Who refers to an object.
    referrers: BTreeMap<(String, String), BTreeSet<Referrer>>,
}

/// What a call leads to.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The answer, to be given once the changes are durable.
    pub response: Response<Bytes>,
    /// The changes, all or none.
    pub deltas: Vec<Delta>,
    /// The highest fencing token from now on.
    pub fence: u64,
}

impl State {
    /// Holds nothing.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self::load(schema, 0, 0, [])
    }

    /// Holds what was stored.
    pub fn load(
        schema: Arc<Schema>,
        revision: u64,
        fence: u64,
        items: impl IntoIterator<Item = (String, Item)>,
    ) -> Self {
        let view = View::at(revision, schema.kinds.keys().cloned());
        let mut state = Self { schema, view, fence, unique: BTreeMap::new(), referrers: BTreeMap::new() };
        for (kind, item) in items {
            let item = Arc::new(item);
            state.index(&kind, &item, true);
            state.view.restore(&kind, item);
        }
        state
    }

    /// What readers see.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The highest fencing token seen.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Decides and takes in at once. `uid` is for the object that the call may create: 128 random bits in hexadecimal.
    pub fn handle(&mut self, call: &Call, uid: &str) -> Response<Bytes> {
        let decision = self.decide(call, uid);
        self.apply(&decision);
        decision.response
    }

    /// Takes in what was decided on this very state.
    pub fn apply(&mut self, decision: &Decision) {
        self.fence = decision.fence;
        for delta in &decision.deltas {
            if let Some(old) = self.view.get(&delta.kind, &delta.name).cloned() {
                self.index(&delta.kind, &old, false);
            }
            if let Some(item) = &delta.item {
                self.index(&delta.kind, item, true);
            }
            self.view.apply(delta);
        }
    }

    /// Leaves out one revision: somebody was told an ETag of it that does not exist.
    pub(super) fn skip(&mut self) {
        self.view.skip();
    }

    /// Says what a call leads to, changing nothing.
    pub fn decide(&self, call: &Call, uid: &str) -> Decision {
        if call.is_read() {
            return Decision { response: self.view.read(call), deltas: Vec::new(), fence: self.fence };
        }
        let token = call.conditions.fencing.unwrap_or(self.fence);
        if token < self.fence {
            let mut refusal = Refusal::new(412, "stale fencing token");
            refusal.others = vec![self.fence.to_string()];
            return Decision { response: refuse(&refusal), deltas: Vec::new(), fence: self.fence };
        }
        let (response, deltas) = self.write(call, uid).unwrap_or_else(|refusal| (refuse(&refusal), Vec::new()));
        Decision { response, deltas, fence: token }
    }

    fn write(&self, call: &Call, uid: &str) -> Result<(Response<Bytes>, Vec<Delta>), Refusal> {
        let kind = call.kind.as_str();
        let Some(rules) = self.schema.kinds.get(kind) else {
            return Err(Refusal::new(404, format!("there is no kind `{kind}`")));
        };
        let (Action::Create(name, _) | Action::Put(name, ..) | Action::Patch(name, _) | Action::Delete(name)) =
            &call.action
        else {
            return Err(Refusal::new(500, "a read came to the writer"));
        };
        let old = self.view.get(kind, name);
        if let (Action::Patch(..) | Action::Delete(_), None) = (&call.action, old) {
            return Err(missing(kind, name));
        }
        self.condition(call, name, old)?;
        match (&call.action, old) {
            (Action::Create(..), Some(_)) => {
                let mut refusal = Refusal::new(409, format!("there is a {kind} `{name}` already"));
                refusal.field = Some("/name".to_owned());
                refusal.others = vec![format!("{kind}/{name}")];
                Err(refusal)
            }
            (Action::Create(_, document), None) => self.create(kind, rules, name, uid, document),
            (Action::Put(_, document, stated), None) => match stated {
                Some(_) => Err(Refusal::new(409, format!("the {kind} `{name}` with this uid is gone"))),
                None => self.create(kind, rules, name, uid, document),
            },
            (Action::Put(_, document, stated), Some(old)) => {
                self.replace(kind, rules, old, document.clone(), stated.as_deref())
            }
            (Action::Patch(_, patch), Some(old)) => {
                let (document, _, stated) = old.document().merged(patch, rules)?;
                self.replace(kind, rules, old, document, stated.as_deref())
            }
            (Action::Delete(_), Some(_)) => self.delete(kind, name),
            (Action::Patch(..) | Action::Delete(_), None) | (Action::List(_) | Action::Get(_), _) => {
                Err(missing(kind, name))
            }
        }
    }

    fn condition(&self, call: &Call, name: &str, old: Option<&Arc<Item>>) -> Result<(), Refusal> {
        let kind = &call.kind;
        if let Some(tags) = &call.conditions.if_match {
            match old {
                None => return Err(Refusal::new(412, format!("there is no {kind} `{name}`, so no version matches"))),
                Some(old) if !tags.names(&old.etag) => {
                    let what = format!("{kind} `{name}` is at \"{}\" now: read it again", old.etag);
                    return Err(Refusal::new(412, what));
                }
                Some(_) => {}
            }
        }
        if let (Some(tags), Some(old)) = (&call.conditions.if_none_match, old)
            && tags.names(&old.etag)
        {
            return Err(Refusal::new(412, format!("there is a {kind} `{name}` already")));
        }
        Ok(())
    }

    fn create(
        &self,
        kind: &str,
        rules: &KindSchema,
        name: &str,
        uid: &str,
        document: &Document,
    ) -> Result<(Response<Bytes>, Vec<Delta>), Refusal> {
        self.consistent(kind, rules, name, document)?;
        let (mut response, delta) = self.sealed(StatusCode::CREATED, kind, name, uid, document);
        if let Ok(place) = HeaderValue::try_from(format!("/v1/{kind}/{name}")) {
            response.headers_mut().insert(header::LOCATION, place);
        }
        Ok((response, vec![delta]))
    }

    fn replace(
        &self,
        kind: &str,
        rules: &KindSchema,
        old: &Item,
        document: Document,
        stated: Option<&str>,
    ) -> Result<(Response<Bytes>, Vec<Delta>), Refusal> {
        if stated.is_some_and(|uid| uid != old.uid) {
            return Err(Refusal::new(409, format!("another {kind} is called `{}` now: the uid differs", old.name)));
        }
        let before = old.document();
        if before == document {
            // Nothing changes, so the version stays: a repeated write is no write.
            return Ok((answer(StatusCode::OK, Some(&old.etag), old.body.clone()), Vec::new()));
        }
        let frozen = |(field, rule): &(&String, &super::schema::FieldSchema)| {
            rule.immutable && before.spec.get(*field) != document.spec.get(*field)
        };
        if let Some((field, _)) = rules.fields.iter().find(frozen) {
            let at = FieldPath::root().join("spec").join(field);
            return Err(Refusal::invalid(&at, "cannot be changed: delete the object and create it again"));
        }
        self.consistent(kind, rules, &old.name, &document)?;
        let (response, delta) = self.sealed(StatusCode::OK, kind, &old.name, &old.uid, &document);
        Ok((response, vec![delta]))
    }

    fn sealed(
        &self,
        status: StatusCode,
        kind: &str,
        name: &str,
        uid: &str,
        document: &Document,
    ) -> (Response<Bytes>, Delta) {
        let revision = self.view.revision() + 1;
        let item = Item::new(name, uid, revision, document);
        let response = answer(status, Some(&item.etag), item.body.clone());
        let item = Some(Arc::new(item));
        (response, Delta { kind: kind.to_owned(), name: name.to_owned(), revision, item })
    }

    /// Deletes an object and what cascades from it, or nothing.
    fn delete(&self, kind: &str, name: &str) -> Result<(Response<Bytes>, Vec<Delta>), Refusal> {
        let first = (kind.to_owned(), name.to_owned());
        let mut gone = BTreeSet::from([first.clone()]);
        let mut look = vec![first];
        let mut holding = BTreeSet::new();
        while let Some(here) = look.pop() {
            for (kind, name, field) in self.referrers.get(&here).into_iter().flatten() {
                let rule =
                    self.schema.kinds.get(kind).and_then(|k| k.fields.get(field)).and_then(|f| f.refers.as_ref());
                let referrer = (kind.clone(), name.clone());
                match rule.map_or(RefDelete::Restrict, |r| r.on_delete) {
                    RefDelete::Restrict => {
                        holding.insert(referrer);
                    }
                    RefDelete::Cascade => {
                        if gone.insert(referrer.clone()) {
                            look.push(referrer);
                        }
                    }
                }
            }
        }
        let others: Vec<String> = holding.difference(&gone).map(|(kind, name)| format!("{kind}/{name}")).collect();
        if !others.is_empty() {
            let shown = others.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
            let mut refusal = Refusal::new(409, format!("{kind} `{name}` is in use by {shown}"));
            refusal.others = others;
            return Err(refusal);
        }
        let revision = self.view.revision() + 1;
        let deltas = gone.into_iter().map(|(kind, name)| Delta { kind, name, revision, item: None }).collect();
        Ok((answer(StatusCode::NO_CONTENT, None, Bytes::new()), deltas))
    }

    /// Checks what other objects have to say: references and unique sets.
    fn consistent(&self, kind: &str, rules: &KindSchema, name: &str, document: &Document) -> Result<(), Refusal> {
        let at = FieldPath::root().join("spec");
        for (field, rule) in &rules.fields {
            let (Some(refers), Some(Value::String(to))) = (&rule.refers, document.spec.get(field)) else { continue };
            // An object may name itself.
            if self.view.get(&refers.kind, to).is_none() && (refers.kind != kind || to != name) {
                return Err(Refusal::invalid(&at.join(field), format!("there is no {} `{to}`", refers.kind)));
            }
        }
        for (index, set) in rules.unique.iter().enumerate() {
            let Some(values) = held(set, document) else { continue };
            if let Some(other) = self.unique.get(&(kind.to_owned(), index, values)).filter(|other| *other != name) {
                let what = format!("{kind} `{other}` has the same {} already", set.join(" and "));
                let mut refusal = Refusal::new(409, what);
                refusal.field = set.first().map(|field| at.join(field).to_string());
                refusal.others = vec![format!("{kind}/{other}")];
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Puts an object into the indexes, or takes it out.
    fn index(&mut self, kind: &str, item: &Item, present: bool) {
        let schema = Arc::clone(&self.schema);
        let Some(rules) = schema.kinds.get(kind) else { return };
        if rules.unique.is_empty() && rules.fields.values().all(|f| f.refers.is_none()) {
            return;
        }
        let document = item.document();
        for (index, set) in rules.unique.iter().enumerate() {
            let Some(values) = held(set, &document) else { continue };
            let key = (kind.to_owned(), index, values);
            if present {
                self.unique.insert(key, item.name.clone());
            } else {
                self.unique.remove(&key);
            }
        }
        for (field, rule) in &rules.fields {
            let (Some(refers), Some(Value::String(to))) = (&rule.refers, document.spec.get(field)) else { continue };
            let target = (refers.kind.clone(), to.clone());
            let referrer = (kind.to_owned(), item.name.clone(), field.clone());
            if present {
                self.referrers.entry(target).or_default().insert(referrer);
            } else if let Some(all) = self.referrers.get_mut(&target) {
                all.remove(&referrer);
                if all.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
    }
}

/// The values of a unique set, where all of them are present.
fn held(set: &[String], document: &Document) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for field in set {
        write_json(document.spec.get(field)?, &Plainly, &mut out);
        out.push(b'\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests;
