//! Creates, updates and deletes as requests, and what their answers mean.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::manifest::api::{ApiOperation, Body, Choice, EtagRule, Method, Shape as ListShape, WaitRule};
use crate::model::{Canonical, Diagnostic, FieldPath, Kind, Mark, Observed, ResourceId, SecretMode, Value, members};
use crate::net::Transport;
use crate::target::{Fence, Outcome, Rehearsal, TargetError, Write};

use super::body::{self, Update};
use super::driver::{Call, HttpTarget};
use super::fill::Scene;
use super::hide::Hider;
use super::ids::{key_with_ids, with_ids};
use super::observe::key_fields;
use super::response::Answer;
use super::shape::{Item, Shape, mark_value};
use super::wire::{self, Resolved};

/// How long is waited for what was accepted to be done, so that the run does not call the write unanswered meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for a leader, whose tenure must not run out over it.
const FENCED_PATIENCE: Duration = Duration::from_secs(2);
/// How long after the first look comes the second; from there on twice as long each time.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(200);
/// The longest time between two looks.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A write that is ready to be sent.
struct Ready {
    call: Call,
    /// The stated fields that the answer must show, if it is to be taken for the object.
    stated: Option<Vec<String>>,
}

fn refused(id: &ResourceId, why: impl std::fmt::Display) -> TargetError {
    TargetError::refused(format!("{id}: {why}"))
}

impl<X: Transport> HttpTarget<X> {
    pub(super) async fn carry_out(&self, write: &Write<'_>, fence: Option<Fence>) -> Result<Outcome, TargetError> {
        let id = write.id();
        let shape = self.shape(&id.kind).await?;
        if let Write::Create { desired, .. } | Write::Update { desired, .. } = write
            && !shape.links.is_empty()
        {
            self.find_ids(&shape, &desired.body.value()).await?;
        }
        let parent = shape.rules.parent_key(&id.key);
        let holes = match (self.holes(&shape, parent.as_ref()).await?, write) {
            (Ok(holes), _) => holes,
            // What it was in is gone, and it with it.
            (Err(_), Write::Delete { .. }) => return Ok(Outcome::Gone),
            (Err(why), Write::Create { .. } | Write::Update { .. } | Write::Unmark { .. }) => {
                return Err(refused(id, why));
            }
        };
        let operation = match write {
            Write::Create { .. } => shape.ty.create.as_ref(),
            Write::Update { .. } | Write::Unmark { .. } => shape.ty.update.as_ref(),
            Write::Delete { .. } => shape.ty.delete.as_ref(),
        };
        if let Write::Unmark { owned, .. } = write
            && (owned.observed().mark.is_none() || shape.rules.owner.is_none())
        {
            return Ok(Outcome::DoneUnseen);
        }
        let operation = operation.ok_or_else(|| refused(id, "the API has no such operation"))?;
        let mut ready = self.prepare(&shape, operation, write, holes)?;
        if let (Some(header), Some(fence)) = (&self.api.fence, fence) {
            ready.call.headers.push((header.clone(), fence.0.to_string()));
        }
        let attempt = match (write, &shape.ty.idempotency_key) {
            (Write::Create { desired, .. }, Some(header)) => {
                let wall = self.clock.wall();
                ready.call.headers.push((header.clone(), self.attempts.key(id, desired.digest, wall)));
                true
            }
            _ => false,
        };
        let answer = self.send(&ready.call).await?;
        let outcome = self.judge(&shape, operation, write, &answer, ready.stated.as_deref());
        // One that may be sent again is still the same attempt.
        if attempt && !matches!(outcome, Err(TargetError::Throttled { .. } | TargetError::Failed { .. })) {
            self.attempts.end(id);
        }
        match (operation.wait.as_ref(), outcome) {
            (Some(rule), Ok(outcome)) => {
                let patience = if fence.is_some() { FENCED_PATIENCE } else { PATIENCE };
                if let WaitRule::Task(rule) = rule {
                    // Whatever the answer showed, the task came after it.
                    let went_on = self.task(&shape, write, rule, &answer, patience).await?;
                    return Ok(if went_on { Outcome::DoneUnseen } else { outcome });
                }
                Ok(self.settled(&shape, write, rule, patience).await.unwrap_or(outcome))
            }
            (_, Ok(Outcome::Done(mut observed))) => {
                // It is written, whatever became of the list that tells what it refers to.
                let named = self.name_own(&shape, parent.as_ref(), &mut observed).await;
                Ok(named.map_or(Outcome::DoneUnseen, |()| Outcome::Done(observed)))
            }
            (_, outcome) => outcome,
        }
    }

    /// Looks until what was accepted is done. `None` if that takes too long or cannot be seen: then it is looked at once
    /// more at the end of the phase, as every write is that nobody saw.
    async fn settled(
        &self,
        shape: &Shape<'_>,
        write: &Write<'_>,
        rule: &WaitRule,
        patience: Duration,
    ) -> Option<Outcome> {
        let known = match write {
            Write::Create { .. } => None,
            Write::Update { base, .. } => Some(*base),
            Write::Delete { owned, .. } | Write::Unmark { owned, .. } => Some(owned.observed()),
        };
        let (begun, mut pause) = (self.clock.boot(), FIRST_LOOK);
        loop {
            let found = self.get_one(shape, write.id(), known, true).await.ok()?;
            match (rule, found) {
                (WaitRule::Gone, None) => return Some(Outcome::Gone),
                (WaitRule::Until(values), Some(found)) => {
                    let seen = found.value().ok()?;
                    if values.iter().all(|(at, value)| seen.get(at) == Some(value)) {
                        return Some(Outcome::Done(Box::new(found)));
                    }
                }
                (WaitRule::Gone, Some(_)) | (WaitRule::Until(_), None) | (WaitRule::Task(_), _) => {}
            }
            if self.clock.boot().saturating_sub(begun) + pause > patience {
                return None;
            }
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends what would be written to where the API says whether it would take it.
    pub(super) async fn try_out(&self, write: &Write<'_>) -> Result<Rehearsal, TargetError> {
        let shape = self.shape(&write.id().kind).await?;
        let (Some(operation), Write::Create { .. } | Write::Update { .. }) = (&shape.ty.validate, write) else {
            return Ok(Rehearsal::NotOffered);
        };
        let parent = shape.rules.parent_key(&write.id().key);
        let holes = self.holes(&shape, parent.as_ref()).await?.map_err(|why| refused(write.id(), why))?;
        let answer = self.send(&self.prepare(&shape, operation, write, holes)?.call).await?;
        Ok(match answer.status {
            _ if answer.is_success() => match answer.not_ok(&operation.ok) {
                None => Rehearsal::Accepted,
                Some(why) => Rehearsal::Rejected(Box::new(Diagnostic::error("rehearsal", why))),
            },
            400 | 409 | 412 | 422 => {
                let why = self.refusal(&answer).to_string();
                Rehearsal::Rejected(Box::new(Diagnostic::error("rehearsal", why)))
            }
            // Anything else says nothing about what was asked.
            _ => return Err(self.refusal(&answer)),
        })
    }

    fn prepare(
        &self,
        shape: &Shape<'_>,
        operation: &ApiOperation,
        write: &Write<'_>,
        holes: BTreeMap<FieldPath, Value>,
    ) -> Result<Ready, TargetError> {
        let id = write.id();
        let base = match write {
            Write::Create { .. } => None,
            Write::Update { base, .. } => Some(*base),
            Write::Delete { owned, .. } | Write::Unmark { owned, .. } => Some(owned.observed()),
        };
        if let Write::Update { remove, .. } = write
            && let Some(path) = remove.iter().find(|path| shape.ty.cannot_clear(shape.rules, path))
        {
            let why = format!(
                "`{path}` is no longer stated, and the description does not say what clears it (`absent:` or `default:`)"
            );
            return Err(refused(id, why));
        }
        let base_value = match base {
            Some(base) => Some(base.value().map_err(|e| refused(id, format!("what was observed is not JSON: {e}")))?),
            None => None,
        };
        let (stated, changes, remove, mark) = match write {
            Write::Create { desired, mark } => (desired.body.value(), BTreeMap::new(), Vec::new(), *mark),
            Write::Update { desired, changes, remove, mark, .. } => {
                (desired.body.value(), (*changes).clone(), remove.to_vec(), *mark)
            }
            Write::Delete { .. } => (Value::object(), BTreeMap::new(), Vec::new(), None),
            Write::Unmark { .. } => {
                let base = base_value.clone().unwrap_or_else(Value::object);
                (unmarkable(shape, operation, id, base)?, unmarked(shape, base_value.as_ref()), Vec::new(), None)
            }
        };
        let names = stated.as_object().map(|members| members.keys().cloned().collect());
        let (mut secrets, mut hider) = self.resolve(shape, write, &stated)?;
        // What belongs to a name, where names have to be turned into ids.
        let named = (!shape.links.is_empty()).then(|| stated.clone());
        // From here on the tree is handed on from step to step: a copy of it costs as much as sending it.
        let full = self.full(shape, operation, write, base, base_value.as_ref(), (stated, &changes, &remove, mark))?;
        let mut full = match (full, &named) {
            (Some(full), Some(whole)) => Some(with_ids(&shape.links, &full, whole).map_err(|why| refused(id, why))?),
            (full, _) => full,
        };
        if let Some(full) = full.as_mut().filter(|_| !secrets.is_empty()) {
            wire::disguise(shape.rules, full, &mut secrets, &mut hider).map_err(|why| refused(id, why))?;
        }
        let wired = |full: Value| shape.wire_shape(full).map_err(|why| refused(id, why));
        let poured = match (&operation.body, &full) {
            (Body::Template(_), Some(full)) => Some(wired(full.clone())?),
            (Body::Template(_) | Body::None | Body::All | Body::Merged | Body::Changes | Body::Fields, _) => None,
        };
        let addressed = match &base_value {
            Some(base) if !shape.links.is_empty() => with_ids(&shape.links, base, base).ok(),
            base => base.clone(),
        };
        let mut key = key_with_ids(&shape.links, key_fields(shape.rules, &id.key));
        key.extend(holes);
        let scene = Scene {
            rules: Some(shape.rules),
            key,
            stated: full.as_ref(),
            base: addressed.as_ref(),
            params: Some(&self.params),
            all: poured.as_ref(),
        };
        let filled = match &operation.body {
            Body::Template(template) => Some(scene.body(template).map_err(|why| refused(id, why))?),
            Body::None | Body::All | Body::Merged | Body::Changes | Body::Fields => None,
        };
        let mut headers = self.queries(&scene, &[&self.api.headers, &shape.ty.headers, &operation.headers])?;
        if let EtagRule::IfMatch { .. } = shape.ty.etag {
            match (write, write.token()) {
                (Write::Create { .. }, _) if operation.method == Method::Put => {
                    headers.push(("if-none-match".to_owned(), "*".to_owned()));
                }
                (Write::Create { .. }, _) => {}
                (_, Some(token)) if shape.ty.version.is_none() => {
                    headers.push(("if-match".to_owned(), token.as_str().to_owned()));
                }
                (_, Some(_)) => {}
                // The list carries no tags: the read that came right before it is all the guard there is.
                (Write::Delete { .. }, None) => {}
                (_, None) => {
                    let why = "the description says `etag: if-match`, and what was read carries no strong ETag";
                    let help = "say `etag: {weak: true}` in the description if the API compares weak ones (`W/\"1\"`), \
                                else `etag: none`";
                    return Err(TargetError::Refused { why: format!("{id}: {why}"), help: Some(help) });
                }
            }
        }
        let path = self.address(&scene, &operation.path)?;
        let query = self.queries(&scene, &[&self.api.query, &shape.ty.query, &operation.query])?;
        let sent = match (&operation.body, full) {
            (Body::Template(_) | Body::None, _) | (_, None) => filled,
            (Body::All | Body::Merged | Body::Changes | Body::Fields, Some(full)) if shape.ty.wrap.is_root() => {
                Some(wired(full)?)
            }
            (Body::All | Body::Merged | Body::Changes | Body::Fields, Some(full)) => {
                let mut out = Value::object();
                out.set(&shape.ty.wrap, wired(full)?);
                Some(out)
            }
        };
        let content = operation.content.as_ref().unwrap_or(&shape.ty.content).clone();
        let body = match sent {
            Some(value) => {
                let mut out = Vec::with_capacity(512);
                wire::write_as(&content, &value, &secrets, &mut out).map_err(|why| refused(id, why))?;
                Some(Bytes::from(out))
            }
            None => None,
        };
        let call =
            Call { method: operation.method.as_str(), path, query, headers, body, hider, content, ..Call::default() };
        let stated = match (&operation.body, write) {
            (Body::Template(_) | Body::None, _) | (_, Write::Delete { .. }) => None,
            _ => names,
        };
        Ok(Ready { call, stated })
    }

    /// What is sent, in manifest shape.
    fn full(
        &self,
        shape: &Shape<'_>,
        operation: &ApiOperation,
        write: &Write<'_>,
        base: Option<&Observed>,
        base_value: Option<&Value>,
        (stated, changes, remove, mark): (Value, &BTreeMap<FieldPath, Canonical>, &[FieldPath], Option<&Mark>),
    ) -> Result<Option<Value>, TargetError> {
        let mut full = match (write, base_value) {
            (Write::Delete { .. }, _) => return Ok(None),
            (Write::Create { .. }, _) | (_, None) => body::for_create(shape.rules, stated),
            (Write::Update { .. } | Write::Unmark { .. }, Some(base)) => {
                let update = Update { stated: &stated, base, changes, remove };
                let said = |body: Result<Value, String>| body.map_err(|why| refused(write.id(), why));
                match operation.body.choice() {
                    Choice::Nothing => return Ok(None),
                    Choice::Stated => body::whole(shape, &update),
                    Choice::Merged => body::merged(shape, &update),
                    Choice::Changes => said(body::changes(shape, &update, operation.method))?,
                    Choice::Fields => said(body::fields(shape, &update, operation.method))?,
                }
            }
        };
        body::put_mark(shape, &mut full, base, base_value, mark, operation);
        Ok(Some(full))
    }

    /// The values of the secrets in `stated`: only for fields that the description calls secret.
    fn resolve(&self, shape: &Shape<'_>, write: &Write<'_>, stated: &Value) -> Result<(Resolved, Hider), TargetError> {
        let id = write.id();
        let may = match write {
            Write::Create { desired, .. } | Write::Update { desired, .. } => desired.body.may_hold_secret(),
            Write::Delete { .. } | Write::Unmark { .. } => true,
        };
        let mut found = Vec::new();
        if may {
            body::collect_secrets(stated, &FieldPath::root(), &mut found);
        }
        let mut secrets = Resolved::new();
        let mut hider = Hider::default();
        for (path, name) in found {
            if shape.rules.field(&path).and_then(|rule| rule.secret.as_ref()).is_none() {
                return Err(refused(id, format!("{name} stands at `{path}`, which is not a secret field")));
            }
            let kind: &Kind = &id.kind;
            let secret = self.secrets.resolve(&name, &self.target, kind).map_err(|bad| refused(id, bad.message))?;
            hider.add(&secret);
            secrets.insert(name, secret);
        }
        Ok((secrets, hider))
    }

    fn judge(
        &self,
        shape: &Shape<'_>,
        operation: &ApiOperation,
        write: &Write<'_>,
        answer: &Answer,
        stated: Option<&[String]>,
    ) -> Result<Outcome, TargetError> {
        let is_delete = matches!(write, Write::Delete { .. });
        if !answer.is_success() {
            let gone = is_delete && (matches!(answer.status, 404 | 410) || answer.absent(&shape.ty.absent));
            return if gone { Ok(Outcome::Gone) } else { Err(self.refusal(answer)) };
        }
        if let Some(why) = answer.not_ok(&operation.ok) {
            let (request, status) = (answer.request.clone(), answer.status);
            let excerpt = format!("{why}: {}", answer.reason(self.api.errors.as_ref()));
            let conditional = shape.ty.version.is_some() || shape.ty.etag != EtagRule::None;
            return Err(match conditional {
                true => TargetError::Conflict { request, status, excerpt },
                false => TargetError::Invalid { request, status, pointer: None, excerpt },
            });
        }
        if is_delete {
            // 202: it was told to go, and may be there for a while, or stay.
            return Ok(if answer.status == 202 { Outcome::DoneUnseen } else { Outcome::SaidGone });
        }
        let shown = stated.and_then(|stated| shown(shape, write.id(), answer, stated));
        Ok(shown.map_or(Outcome::DoneUnseen, |observed| Outcome::Done(Box::new(observed))))
    }
}

/// The object as the answer to a write shows it; `None` unless it is whole.
fn shown(shape: &Shape<'_>, id: &ResourceId, answer: &Answer, stated: &[String]) -> Option<Observed> {
    if matches!(shape.ty.list.shape, ListShape::Map | ListShape::Names | ListShape::Links) || answer.body.is_empty() {
        return None;
    }
    let raw = answer.at(&shape.ty.envelope).ok()??;
    let parent = shape.rules.parent_key(&id.key);
    let item = shape.item(&answer.body, raw, None, parent.as_ref(), answer.etag()).ok()?;
    let Item::Managed(observed) = item else { return None };
    if observed.key != id.key {
        return None;
    }
    let unseen = |name: &String| {
        let rule = shape.rules.field(&FieldPath::parse(&format!("/{}", name.replace('~', "~0").replace('/', "~1"))));
        rule.is_some_and(|rule| rule.initial.is_some() || matches!(rule.secret, Some(SecretMode::WriteOnly)))
    };
    let mut stated = stated.iter();
    // A tree is made only where the members cannot be told by sight.
    let whole = match members(&observed.body) {
        Some(seen) => stated.all(|name| seen.iter().any(|(there, _)| there == name) || unseen(name)),
        None => {
            let seen = observed.value().ok()?;
            stated.all(|name| seen.child(name).is_some() || unseen(name))
        }
    };
    whole.then_some(observed)
}

/// The object as it is, for writing it back without its mark; refused where that would lose a secret.
fn unmarkable(shape: &Shape<'_>, operation: &ApiOperation, id: &ResourceId, base: Value) -> Result<Value, TargetError> {
    let loses = shape.rules.fields.values().any(|rule| match &rule.secret {
        Some(SecretMode::WriteOnly) => true,
        Some(SecretMode::Masked { omitted_clears, .. }) => *omitted_clears,
        Some(SecretMode::Readable) | None => false,
    });
    if loses && operation.body.choice() == Choice::Stated {
        return Err(refused(id, "the mark stays: writing the object without its secret could clear the secret"));
    }
    let mut out = base;
    for path in &shape.rules.server {
        out.remove(path);
    }
    Ok(out)
}

/// The change that takes the mark off.
fn unmarked(shape: &Shape<'_>, base: Option<&Value>) -> BTreeMap<FieldPath, Canonical> {
    let Some(rule) = &shape.rules.owner else { return BTreeMap::new() };
    let rest = base.and_then(|base| base.get(&rule.at)).cloned();
    let empty = match (rule.element, mark_value(rule, &Mark::of(&placeholder()))) {
        (true, _) => Value::Array(Vec::new()),
        (false, Value::String(_)) => Value::from(""),
        (false, _) => Value::Null,
    };
    BTreeMap::from([(rule.at.clone(), rest.unwrap_or(empty).canonical())])
}

fn placeholder() -> crate::model::ProjectName {
    "x".parse().unwrap_or_else(|e| unreachable!("a name by its rule: {e}"))
}
