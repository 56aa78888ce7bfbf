//! What readers see: all objects as they were sent, and the answers to reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::model::{Value, parse_json};

use super::call::{Action, Call, Conditions, ListQuery, Token};
use super::document::{Document, Refusal};

/// One object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Unique in its kind.
    pub name: String,
    /// 128 random bits, in hexadecimal: another object under the same name has another one.
    pub uid: String,
    /// The store's revision at the last change of this object.
    pub revision: u64,
    /// Without quotes.
    pub etag: String,
    /// Kept apart for filters.
    pub labels: BTreeMap<String, String>,
    /// What is sent, the ETag in it.
    pub body: Bytes,
}

impl Item {
    /// Makes what is sent.
    pub fn new(name: &str, uid: &str, revision: u64, document: &Document) -> Self {
        let (body, etag) = document.seal(name, uid, revision);
        Self { name: name.to_owned(), uid: uid.to_owned(), revision, etag, labels: document.labels.clone(), body }
    }

    /// Reads what was stored; nothing where it is not what [`Item::new`] made.
    pub fn stored(body: &[u8]) -> Option<Self> {
        let value = parse_json(body).ok()?;
        let name = value.child("name")?.as_str()?;
        let uid = value.child("uid")?.as_str()?;
        let Value::Number(revision) = value.child("revision")? else { return None };
        let item = Self::new(name, uid, revision.as_u64()?, &document(&value)?);
        (*item.body == *body).then_some(item)
    }

    /// What the client wrote.
    pub fn document(&self) -> Document {
        parse_json(&self.body)
            .ok()
            .and_then(|value| document(&value))
            .unwrap_or_else(|| unreachable!("every item was made from a document"))
    }
}

fn document(value: &Value) -> Option<Document> {
    let labels = value.child("labels")?.as_object()?;
    let labels = labels.iter().map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect::<Option<_>>()?;
    Some(Document { labels, spec: value.child("spec")?.as_object()?.clone() })
}

/// One change, as it is stored and published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delta {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The store's revision with this change.
    pub revision: u64,
    /// The object, or nothing when it is gone.
    pub item: Option<Arc<Item>>,
}

/// All objects at one revision of the store.
#[derive(Clone, Default, Debug)]
pub struct View {
    /// Goes into the ETags of lists, so that none of another life is good in this one: a store in memory, or one that was
    /// put back from a backup, counts the same revisions again.
    life: u64,
    revision: u64,
    kinds: BTreeMap<String, Collection>,
}

#[derive(Clone, Default, Debug)]
struct Collection {
    items: BTreeMap<String, Arc<Item>>,
    /// The revision of the last change.
    changed: u64,
    /// The revision of the last create or delete.
    membership: u64,
    /// What was deleted lately: at which revision, and its name. One delete may take others along, at one revision.
    gone: BTreeSet<(u64, String)>,
    /// What was deleted up to here is not known any more, other than by not being there.
    forgotten: u64,
}

/// So many deletes of a kind are remembered, for those who ask what changed.
const GONE: usize = 10_000;

impl View {
    /// A view at `revision`, holding nothing. What came before `revision` counts as changed at it, so that no ETag of a
    /// list and no place in one outlives a restart that it should not.
    pub fn at(revision: u64, kinds: impl IntoIterator<Item = String>) -> Self {
        let empty =
            || Collection { changed: revision, membership: revision, forgotten: revision, ..Collection::default() };
        Self { life: 0, revision, kinds: kinds.into_iter().map(|kind| (kind, empty())).collect() }
    }

    /// Begins a life: any number that no earlier one had.
    pub(super) fn begin(&mut self, life: u64) {
        self.life = life;
    }

    /// The store's revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Puts in what was stored, without counting it as a change.
    pub(super) fn restore(&mut self, kind: &str, item: Arc<Item>) {
        self.kinds.entry(kind.to_owned()).or_default().items.insert(item.name.clone(), item);
    }

    /// Leaves out a revision, so that nobody gets it twice.
    pub(super) fn skip(&mut self) {
        self.revision += 1;
    }

    /// Takes in one change.
    pub fn apply(&mut self, delta: &Delta) {
        self.revision = delta.revision;
        let collection = self.kinds.entry(delta.kind.clone()).or_default();
        collection.changed = delta.revision;
        let before = match &delta.item {
            Some(item) => collection.items.insert(delta.name.clone(), Arc::clone(item)),
            None => {
                collection.gone.insert((delta.revision, delta.name.clone()));
                if collection.gone.len() > GONE
                    && let Some((oldest, _)) = collection.gone.pop_first()
                {
                    collection.forgotten = oldest;
                }
                collection.items.remove(&delta.name)
            }
        };
        if before.is_some() != delta.item.is_some() {
            collection.membership = delta.revision;
        }
    }

    /// One object.
    pub fn get(&self, kind: &str, name: &str) -> Option<&Arc<Item>> {
        self.kinds.get(kind)?.items.get(name)
    }

    /// Every object, with its kind.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Item>)> {
        self.kinds.iter().flat_map(|(kind, c)| c.items.values().map(move |item| (kind.as_str(), item)))
    }

    /// Answers a list or a get.
    pub fn read(&self, call: &Call) -> Response<Bytes> {
        let answer = match &call.action {
            Action::List(query) => self.list(&call.kind, query, &call.conditions),
            Action::Get(name) => match self.get(&call.kind, name) {
                Some(item) => Ok(found(item, &call.conditions)),
                None => Err(missing(&call.kind, name)),
            },
            Action::Create(..) | Action::Put(..) | Action::Patch(..) | Action::Delete(_) => {
                Err(Refusal::new(500, "a write came to the readers"))
            }
        };
        answer.unwrap_or_else(|refusal| refuse(&refusal))
    }

    /// One page, in the order of names. A list goes on over updates, which move nobody; after a create or a delete in
    /// this kind it answers 410 and the client starts again, so that no object is missed and none is seen twice.
    fn list(&self, kind: &str, query: &ListQuery, conditions: &Conditions) -> Result<Response<Bytes>, Refusal> {
        let empty = Collection::default();
        let collection = self.kinds.get(kind).unwrap_or(&empty);
        let (from, start, pages) = match &query.after {
            None => (Bound::Unbounded, self.revision, 1),
            Some(token) if token.revision > self.revision => {
                return Err(Refusal::new(400, "`continue` is not a token of this list"));
            }
            Some(token) if token.revision < collection.membership => {
                return Err(Refusal::new(
                    410,
                    "objects came or went since the first page: start again without `continue`",
                ));
            }
            Some(token) => (Bound::Excluded(token.name.as_str()), token.revision, token.pages + 1),
        };
        let etag = format!("{kind}.{:x}.{}", self.life, collection.changed);
        if conditions.if_none_match.as_ref().is_some_and(|tags| tags.names(&etag)) {
            return Ok(answer(StatusCode::NOT_MODIFIED, Some(&etag), Bytes::new()));
        }
        if let Some(since) = &query.since {
            return self.since(kind, collection, since, query.limit, &etag);
        }
        let wanted = |item: &Item| query.labels.iter().all(|(k, v)| item.labels.get(k) == Some(v));
        let total = match query.labels.is_empty() {
            true => collection.items.len(),
            false => collection.items.values().filter(|item| wanted(item)).count(),
        };
        let mut rest = collection.items.range::<str, _>((from, Bound::Unbounded)).map(|(_, i)| i).filter(|i| wanted(i));
        let page: Vec<&Arc<Item>> = rest.by_ref().take(query.limit).collect();
        let mut out = Vec::with_capacity(page.iter().map(|i| i.body.len() + 1).sum::<usize>() + 128);
        out.extend_from_slice(b"{\"items\":[");
        for (i, item) in page.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&item.body);
        }
        out.push(b']');
        if let (Some(last), Some(_)) = (page.last(), rest.next()) {
            let token = Token { revision: start, pages, name: last.name.clone() };
            out.extend_from_slice(format!(",\"next\":\"{}\"", token.write()).as_bytes());
        }
        out.extend_from_slice(format!(",\"total\":{total}}}").as_bytes());
        Ok(answer(StatusCode::OK, Some(&etag), out.into()))
    }

    /// All that changed since the list that had the ETag `since`: objects as they are now, and the names of those that are
    /// gone. 410 where that is not known any more, or is more than one page holds: then the whole list is to be read.
    fn since(
        &self,
        kind: &str,
        collection: &Collection,
        since: &str,
        limit: usize,
        etag: &str,
    ) -> Result<Response<Bytes>, Refusal> {
        let whole = || Refusal::new(410, "what changed since is not known: read the whole list");
        let life =
            since.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.')).and_then(|rest| rest.split_once('.'));
        let (life, revision) = life.ok_or_else(whole)?;
        let revision: u64 = revision.parse().map_err(|_| whole())?;
        // The oldest delete that is remembered must be younger than the list: no gap between them.
        if life != format!("{:x}", self.life) || revision < collection.forgotten || revision > self.revision {
            return Err(whole());
        }
        let items = collection.items.values().filter(|item| item.revision > revision);
        let mut parts: Vec<Bytes> = items.take(limit + 1).map(|item| item.body.clone()).collect();
        let gone: BTreeSet<&String> =
            collection.gone.range((revision + 1, String::new())..).map(|(_, name)| name).collect();
        let gone = gone.into_iter().filter(|name| !collection.items.contains_key(*name)).take(limit + 1);
        // A name needs no escape.
        parts.extend(gone.map(|name| Bytes::from(format!("{{\"gone\":true,\"name\":\"{name}\"}}"))));
        if parts.len() > limit {
            return Err(whole());
        }
        let mut out = b"{\"items\":[".to_vec();
        out.extend_from_slice(&parts.join(&b','));
        out.extend_from_slice(format!("],\"total\":{}}}", collection.items.len()).as_bytes());
        Ok(answer(StatusCode::OK, Some(etag), out.into()))
    }
}

/// 200 with the object, or 304.
fn found(item: &Item, conditions: &Conditions) -> Response<Bytes> {
    if conditions.if_match.as_ref().is_some_and(|tags| !tags.names(&item.etag)) {
        return refuse(&Refusal::new(412, "the object is another version"));
    }
    if conditions.if_none_match.as_ref().is_some_and(|tags| tags.names(&item.etag)) {
        return answer(StatusCode::NOT_MODIFIED, Some(&item.etag), Bytes::new());
    }
    answer(StatusCode::OK, Some(&item.etag), item.body.clone())
}

/// 404
pub(super) fn missing(kind: &str, name: &str) -> Refusal {
    Refusal::new(404, format!("there is no {kind} `{name}`"))
}

/// An answer with a JSON body, or none.
pub(super) fn answer(status: StatusCode, etag: Option<&str>, body: Bytes) -> Response<Bytes> {
    let has_body = !body.is_empty();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(etag) = etag.and_then(|tag| HeaderValue::try_from(format!("\"{tag}\"")).ok()) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// A refusal as an answer.
pub(super) fn refuse(refusal: &Refusal) -> Response<Bytes> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, None, refusal.body());
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let all = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
        response.headers_mut().insert(header::ALLOW, all);
    }
    response
}
