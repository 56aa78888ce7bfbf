//! The simplest true target: an endpoint in memory, as strict as a good server, with faults on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Fence, Greeting, Guarding, Outcome, Rehearsal, Target, TargetError, Write};
use crate::model::{
    Canonical, Complete, Cursor, Desired, Diagnostic, FieldPath, Key, Kind, KindRules, KindTable, Listing, Mark,
    Observation, Observed, OnDelete, Opaque, RefRule, ResourceId, Scope, Tally, Value,
};
use crate::world::Clock;

/// The simplest true target: one endpoint in memory, as strict as a good server.
///
/// A parent and everything referred to must be there, unique fields are unique, every write gives a new token, every new
/// object a new uid, and a write whose token is not the current one is a conflict. It is the example for a new driver, and
/// with a script of [`Fault`]s the adversary of the tests.
#[derive(Clone)]
pub struct Memory {
    kinds: Arc<KindTable>,
    manners: Manners,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

/// What sort of server it plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manners {
    /// Writes carry a token and fail when it is old; otherwise a fresh read is asked for.
    pub conditional: bool,
    /// Two objects of one key cannot be; otherwise each create makes another one.
    pub unique_keys: bool,
    /// An object can be read by its key after a create.
    pub look_up: bool,
    /// The answer to a write shows the object.
    pub echoes: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { conditional: true, unique_keys: true, look_up: true, echoes: true }
    }
}

/// What goes wrong with one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It never leaves.
    Unsent,
    /// It leaves, never arrives, and no answer comes.
    LoseRequest,
    /// It is carried out, and the answer is lost.
    DropAnswer,
    /// 500, without effect.
    Fail,
    /// 400.
    Refuse,
    /// 401.
    Deny,
    /// 429 with this `Retry-After`.
    Throttle(Duration),
    /// It takes this long.
    Slow(Duration),
    /// The list breaks off before its last page.
    CutShort,
    /// Somebody changes the object right before the request arrives.
    Touch,
}

/// One request as the server saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Time since boot.
    pub at: Duration,
    /// `list`, `read`, `create`, `update`, `delete`, `unmark`, `greet`.
    pub verb: &'static str,
    /// `kind/field/field`, or `kind` for a list.
    pub what: String,
}

type Script = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<(Kind, Key), Vec<Object>>,
    counter: u64,
    requests: Vec<Request>,
    script: Option<Script>,
}

#[derive(Clone)]
struct Object {
    value: Value,
    uid: u64,
    token: u64,
    mark: Option<Mark>,
}

impl Memory {
    /// An empty endpoint.
    pub fn new(kinds: KindTable, manners: Manners, clock: Clock) -> Self {
        Self { kinds: Arc::new(kinds), manners, clock, state: Arc::default() }
    }

    /// Asks `script` before each request what is to go wrong with it.
    pub fn on_request(&self, script: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.state().script = Some(Box::new(script));
    }

    /// Everything behaves from here on.
    pub fn calm(&self) {
        self.state().script = None;
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// What is there, duplicates included, sorted by kind and key.
    pub fn contents(&self) -> Vec<(Kind, Observed)> {
        let state = self.state();
        let all = state.objects.iter().flat_map(|((kind, key), objects)| objects.iter().map(move |o| (kind, key, o)));
        all.map(|(kind, key, object)| (kind.clone(), observed(key, object))).collect()
    }

    /// Puts an object there behind everybody's back.
    pub fn put(&self, kind: &Kind, key: &Key, value: Value) {
        let mut state = self.state();
        let (uid, token) = (state.next(), state.next());
        state.objects.insert((kind.clone(), key.clone()), vec![Object { value, uid, token, mark: None }]);
    }

    /// Takes an object away behind everybody's back.
    pub fn take(&self, kind: &Kind, key: &Key) {
        self.state().objects.remove(&(kind.clone(), key.clone()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the request and lets come what the script says; `true` if the answer is to be lost.
    async fn arrive(&self, verb: &'static str, what: String, id: Option<&ResourceId>) -> Result<bool, TargetError> {
        let name = format!("{verb} {what}");
        let request = Request { at: self.clock.boot(), verb, what };
        let fault = {
            let mut state = self.state();
            state.requests.push(request.clone());
            state.script.as_mut().and_then(|script| script(&request))
        };
        // A place at which a run can be killed: before anything happened.
        tokio::task::yield_now().await;
        let why = || "scripted".to_owned();
        match fault {
            None => Ok(false),
            Some(Fault::DropAnswer) => Ok(true),
            Some(Fault::Slow(time)) => {
                self.clock.sleep(time).await;
                Ok(false)
            }
            Some(Fault::Touch) => {
                if let Some(id) = id {
                    self.touch(id);
                }
                Ok(false)
            }
            Some(Fault::Unsent) => Err(TargetError::Unsent { request: name, why: why() }),
            Some(Fault::LoseRequest) => Err(TargetError::Unanswered { request: name, why: why() }),
            Some(Fault::Fail) => Err(TargetError::Failed { request: name, status: 500, excerpt: why() }),
            Some(Fault::Refuse) => Err(invalid(name, &why())),
            Some(Fault::Deny) => Err(TargetError::Denied { request: name, status: 401, excerpt: why() }),
            Some(Fault::Throttle(after)) => {
                Err(TargetError::Throttled { request: name, status: 429, after: Some(after) })
            }
            Some(Fault::CutShort) => {
                Err(TargetError::Unreadable { request: name, why: "a page is missing".into(), excerpt: String::new() })
            }
        }
    }

    fn touch(&self, id: &ResourceId) {
        let mut state = self.state();
        let token = state.next();
        if let Some(object) = state.objects.get_mut(&(id.kind.clone(), id.key.clone())).and_then(|o| o.first_mut()) {
            object.token = token;
        }
    }

    fn carry_out(&self, write: &Write<'_>) -> Result<Outcome, TargetError> {
        let mut state = self.state();
        let id = write.id();
        let place = (id.kind.clone(), id.key.clone());
        let request = format!("{} {}", verb(write), id.local());
        let rules = self.kinds.get(&id.kind).ok_or_else(|| invalid(request.clone(), "no such kind"))?;
        match write {
            Write::Create { desired, mark } => {
                if self.manners.unique_keys && state.objects.contains_key(&place) {
                    return Err(conflict(request, 409));
                }
                let value = desired.body.value();
                state.check(&self.kinds, rules, &id.key, &value).map_err(|why| invalid(request, &why))?;
                let (uid, token) = (state.next(), state.next());
                let object = Object { value, uid, token, mark: mark.cloned() };
                let seen = observed(&id.key, &object);
                state.objects.entry(place).or_default().push(object);
                Ok(self.answer(seen))
            }
            Write::Update { changes, remove, mark, .. } => {
                let mut object = self.current(&state, write, &request)?;
                for (path, wanted) in *changes {
                    object.value.set(path, wanted.value());
                }
                for path in *remove {
                    object.value.remove(path);
                }
                object.mark = mark.cloned().or(object.mark);
                state.check(&self.kinds, rules, &id.key, &object.value).map_err(|why| invalid(request, &why))?;
                object.token = state.next();
                let seen = observed(&id.key, &object);
                state.objects.insert(place, vec![object]);
                Ok(self.answer(seen))
            }
            Write::Delete { .. } => {
                if !state.objects.contains_key(&place) {
                    return Ok(Outcome::Gone);
                }
                self.current(&state, write, &request)?;
                state.remove(&self.kinds, &place).map_err(|why| invalid(request, &why))?;
                Ok(Outcome::Gone)
            }
            Write::Unmark { .. } => {
                let mut object = self.current(&state, write, &request)?;
                object.mark = None;
                object.token = state.next();
                let seen = observed(&id.key, &object);
                state.objects.insert(place, vec![object]);
                Ok(self.answer(seen))
            }
        }
    }

    /// The object to be written, if the token still is the current one.
    fn current(&self, state: &State, write: &Write<'_>, request: &str) -> Result<Object, TargetError> {
        let place = (write.id().kind.clone(), write.id().key.clone());
        let object = state.objects.get(&place).and_then(|objects| objects.first());
        let object = object.cloned().ok_or_else(|| conflict(request.to_owned(), 404))?;
        let stale = write.token().is_some_and(|token| token.as_str() != object.token.to_string());
        if self.manners.conditional && stale { Err(conflict(request.to_owned(), 412)) } else { Ok(object) }
    }

    fn answer(&self, seen: Observed) -> Outcome {
        if self.manners.echoes { Outcome::Done(Box::new(seen)) } else { Outcome::DoneUnseen }
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// What a strict server checks before it stores an object.
    fn check(&self, kinds: &KindTable, rules: &KindRules, key: &Key, value: &Value) -> Result<(), String> {
        if let (Some(parent), Some(parent_key)) = (&rules.parent, rules.parent_key(key))
            && !self.objects.contains_key(&(parent.kind.clone(), parent_key.clone()))
        {
            return Err(format!("there is no {}/{parent_key}", parent.kind));
        }
        for rule in &rules.refs {
            for to in referred(rule, value) {
                if kinds.get(&rule.kind).is_some() && !self.objects.contains_key(&(rule.kind.clone(), to.clone())) {
                    return Err(format!("there is no {}/{to}", rule.kind));
                }
            }
        }
        for unique in &rules.unique {
            let of = |value: &Value| -> Option<Vec<Canonical>> {
                unique.iter().map(|path| value.get(path).map(Value::canonical)).collect()
            };
            let taken = |((kind, other), objects): (&(Kind, Key), &Vec<Object>)| {
                kind == &rules.kind && other != key && objects.iter().any(|object| of(&object.value) == of(value))
            };
            if of(value).is_some() && self.objects.iter().any(taken) {
                return Err("another object has the same unique fields".to_owned());
            }
        }
        Ok(())
    }

    /// Takes an object away with its children and those who refer to it by cascade, unless somebody restricts it.
    fn remove(&mut self, kinds: &KindTable, place: &(Kind, Key)) -> Result<(), String> {
        let (kind, key) = place;
        let mut along = Vec::new();
        for (other, objects) in &self.objects {
            let Some(rules) = kinds.get(&other.0) else { continue };
            let inside = rules.parent.as_ref().is_some_and(|parent| &parent.kind == kind);
            if inside && rules.parent_key(&other.1).as_ref() == Some(key) {
                along.push(other.clone());
            }
            for rule in rules.refs.iter().filter(|rule| &rule.kind == kind && other != place) {
                if objects.iter().any(|object| referred(rule, &object.value).contains(key)) {
                    match rule.on_delete {
                        OnDelete::Restrict => return Err(format!("{}/{} refers to it", other.0, other.1)),
                        OnDelete::Cascade => along.push(other.clone()),
                        OnDelete::None => {}
                    }
                }
            }
        }
        self.objects.remove(place);
        along.iter().try_for_each(|other| self.remove(kinds, other))
    }
}

/// The keys that `value` refers to under `rule`.
fn referred(rule: &RefRule, value: &Value) -> Vec<Key> {
    if rule.through.len() > 1 {
        let parts: Option<Vec<&Value>> = rule.through.iter().map(|path| value.get(path)).collect();
        return parts.map(Key::new).into_iter().collect();
    }
    let mut found = vec![value];
    for step in rule.field.segments() {
        found = found
            .into_iter()
            .flat_map(|value| -> Vec<&Value> {
                match (step.as_str(), value) {
                    ("*", Value::Array(items)) => items.iter().collect(),
                    ("*", Value::Object(map)) => map.values().collect(),
                    (step, value) => value.child(step).into_iter().collect(),
                }
            })
            .collect();
    }
    found.into_iter().filter(|value| **value != Value::Null).map(|value| Key::new([value])).collect()
}

fn observed(key: &Key, object: &Object) -> Observed {
    Observed {
        key: key.clone(),
        body: Bytes::copy_from_slice(object.value.canonical().as_bytes()),
        token: Some(Opaque::new(object.token.to_string())),
        uid: Some(object.uid.to_string()),
        mark: object.mark.clone(),
    }
}

fn invalid(request: String, why: &str) -> TargetError {
    TargetError::Invalid { request, status: 422, pointer: None::<FieldPath>, excerpt: why.to_owned() }
}

fn conflict(request: String, status: u16) -> TargetError {
    TargetError::Conflict { request, status, excerpt: String::new() }
}

fn verb(write: &Write<'_>) -> &'static str {
    match write {
        Write::Create { .. } => "create",
        Write::Update { .. } => "update",
        Write::Delete { .. } => "delete",
        Write::Unmark { .. } => "unmark",
    }
}

fn lost<R>(lost: bool, verb: &str, answer: R) -> Result<R, TargetError> {
    if lost {
        return Err(TargetError::Unanswered { request: verb.to_owned(), why: "the answer was lost".to_owned() });
    }
    Ok(answer)
}

impl Target for Memory {
    fn kinds(&self) -> &KindTable {
        &self.kinds
    }

    fn audit(&self, wanted: &[&Desired]) -> Vec<Diagnostic> {
        let unknown = wanted.iter().filter(|desired| self.kinds.get(&desired.id.kind).is_none());
        unknown.map(|d| Diagnostic::error("unknown-kind", format!("there is no kind `{}`", d.id.kind))).collect()
    }

    async fn greet(&self) -> Result<Greeting, TargetError> {
        let away = self.arrive("greet", String::new(), None).await?;
        lost(away, "greet", Greeting { identity: "memory".to_owned() })
    }

    async fn observe(&self, scope: &Scope, _since: Option<&Cursor>) -> Result<Observation, TargetError> {
        let away = self.arrive("list", scope.kind.to_string(), None).await?;
        let Some(rules) = self.kinds.get(&scope.kind) else { return Ok(Observation::NoSuchKind) };
        let state = self.state();
        let inside = |key: &Key| scope.parent.is_none() || rules.parent_key(key) == scope.parent;
        let here = state.objects.iter().filter(|((kind, key), _)| kind == &scope.kind && inside(key));
        let items: Vec<Observed> =
            here.flat_map(|((_, key), objects)| objects.iter().map(|object| observed(key, object))).collect();
        let tally = Tally { parts: 1, items: items.len(), announced: None, ended: true };
        let listing = Listing { items, ignored: Vec::new(), cursor: None, pages: 1 };
        let listing = Complete::finish(listing, &tally).map_err(|e| TargetError::Unreadable {
            request: "list".into(),
            why: e.to_string(),
            excerpt: String::new(),
        })?;
        lost(away, "list", Observation::Listed(listing))
    }

    async fn read(&self, id: &ResourceId, _known: Option<&Observed>) -> Result<Option<Observed>, TargetError> {
        let away = self.arrive("read", id.local(), Some(id)).await?;
        let state = self.state();
        let objects = state.objects.get(&(id.kind.clone(), id.key.clone()));
        lost(away, "read", objects.and_then(|o| o.first()).map(|object| observed(&id.key, object)))
    }

    async fn rehearse(&self, _write: &Write<'_>) -> Result<Rehearsal, TargetError> {
        Ok(Rehearsal::NotOffered)
    }

    async fn write(&self, write: &Write<'_>, _fence: Option<Fence>) -> Result<Outcome, TargetError> {
        let away = self.arrive(verb(write), write.id().local(), Some(write.id())).await?;
        let outcome = self.carry_out(write)?;
        // A place at which a run can be killed: it has happened, and nobody was told.
        tokio::task::yield_now().await;
        lost(away, verb(write), outcome)
    }

    fn guarding(&self, write: &Write<'_>) -> Guarding {
        let create = matches!(write, Write::Create { .. });
        Guarding {
            fresh_read: !self.manners.conditional && !create,
            may_repeat: self.manners.unique_keys,
            can_look_up: self.manners.look_up,
        }
    }
}
