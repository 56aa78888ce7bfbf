//! Lists read to their end, and single objects.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt as _;

use crate::manifest::api::{PageRule, Revalidate, Shape as ListShape, SinceRule};
use crate::model::{
    Changes, Complete, Cursor, FieldPath, Key, KindRules, Limits, Listing, Number, Observed, ResourceId, Tally, Value,
};
use crate::net::Transport;
use crate::target::TargetError;

use super::driver::{Call, HttpTarget};
use super::fill::{Scene, last_segment, text_of};
use super::ids::{key_with_ids, with_ids};
use super::more;
use super::pages::{Ask, Got, Pages, announced};
use super::response::Answer;
use super::scan;
use super::shape::{Item, Shape, written};

/// What came of a list.
pub(super) enum Found {
    /// All of it.
    Listed(Complete<Listing>),
    /// The parent is gone.
    Nowhere,
    /// Nothing changed since the cursor.
    Unchanged,
    /// This changed since the cursor, and nothing else.
    Changed(Complete<Changes>),
}

/// Items of a page, each with its name where the page is a mapping.
type Named<'a> = Vec<(Option<String>, &'a str)>;

/// How many items of a page are taken before the answer to the next question is looked at.
const AT_A_TIME: usize = 64;
/// How many objects of a list of summaries are asked for at once.
const WHOLE_AT_ONCE: usize = 8;

/// A list that must be asked for again from its start, or why it cannot be read.
enum Fault {
    /// What to say if it happens again.
    Restart(TargetError),
    /// What changed since then cannot be told.
    Whole,
    Error(TargetError),
}

impl From<TargetError> for Fault {
    fn from(error: TargetError) -> Self {
        Self::Error(error)
    }
}

/// Where an answer has a list, for those who look for it in the wrong place.
fn elsewhere(text: &str) -> String {
    let members = scan::members(text).unwrap_or_default();
    let mut lists = members.iter().filter(|(_, raw)| raw.starts_with('['));
    match (lists.next(), lists.next()) {
        (Some((name, _)), None) => {
            let at = FieldPath::root().join(name.as_str());
            format!("; there is one at `{at}`: `list: {{items: {at}}}` in the description")
        }
        _ => String::new(),
    }
}

/// The key fields of `key`, by path.
pub(super) fn key_fields(rules: &KindRules, key: &Key) -> BTreeMap<FieldPath, Value> {
    rules.key.iter().map(|field| field.path.clone()).zip(key.values()).collect()
}

impl<X: Transport> HttpTarget<X> {
    /// Lists a kind (inside `parent`) to its end. With a cursor, a server that can tell is asked whether anything
    /// changed.
    pub(super) async fn list(
        &self,
        shape: &Shape<'_>,
        parent: Option<&Key>,
        since: Option<&Cursor>,
    ) -> Result<Found, TargetError> {
        Ok(match self.listed(shape, parent, since).await? {
            Found::Listed(listing) if shape.ty.list.summary => {
                let listing = self.whole(shape, listing).await?;
                self.learn_all(&shape.ty.kind, parent, &listing);
                Found::Listed(listing)
            }
            found => found,
        })
    }

    /// The same, each item as the list shows it.
    async fn listed(
        &self,
        shape: &Shape<'_>,
        parent: Option<&Key>,
        since: Option<&Cursor>,
    ) -> Result<Found, TargetError> {
        if shape.rules.listed_by_key {
            let why = format!("the API has no list of `{}`: each one is asked for by its key", shape.ty.kind);
            return Err(TargetError::refused(why));
        }
        if shape.rules.parent.is_some() != parent.is_some() {
            let why = format!(
                "`{}` is listed {} a parent",
                shape.ty.kind,
                if parent.is_some() { "without" } else { "inside" }
            );
            return Err(TargetError::refused(why));
        }
        let (mut restarted, mut since) = (false, since);
        loop {
            match self.list_once(shape, parent, since).await {
                Ok(found) => return Ok(found),
                Err(Fault::Whole) => since = None,
                Err(Fault::Restart(_)) if !restarted => restarted = true,
                Err(Fault::Restart(error) | Fault::Error(error)) => return Err(error),
            }
        }
    }

    async fn list_once(&self, shape: &Shape<'_>, parent: Option<&Key>, since: Option<&Cursor>) -> Result<Found, Fault> {
        let rule = &shape.ty.list;
        let mut key = BTreeMap::new();
        if let (Some(parent), Some(above)) = (parent, &shape.rules.parent) {
            for (value, index) in parent.values().zip(&above.fields) {
                if let Some(field) = shape.rules.key.get(*index) {
                    key.insert(field.path.clone(), value);
                }
            }
        }
        let Ok(holes) = self.holes(shape, parent).await? else { return Ok(Found::Nowhere) };
        let mut key = key_with_ids(&shape.links, key);
        key.extend(holes);
        let scene = Scene { rules: Some(shape.rules), key, params: Some(&self.params), ..Scene::default() };
        let refused = |why: String| TargetError::refused(format!("list of `{}`: {why}", shape.ty.kind));
        let own_query = self.queries(&scene, &[&self.api.query, &shape.ty.query, &rule.query])?;
        let headers = self.queries(&scene, &[&self.api.headers, &shape.ty.headers])?;
        let path = self.address(&scene, &rule.path)?;
        let body = match &rule.body {
            Some(template) => Some(scene.body(template).map_err(refused)?),
            None => None,
        };
        let since = since.filter(|_| rule.revalidate != Revalidate::No);
        let mut pages = Pages::new(&rule.page, &self.origin, self.limits.pages);
        let calling = |now: &Ask, paged: Option<Bytes>| {
            let mut call =
                Call { method: rule.method.as_str(), headers: headers.clone(), big: true, ..Call::default() };
            match &now.url {
                Some(url) => call.path = url.clone(),
                None => {
                    call.path = path.clone();
                    let words = now.query.iter().filter(|_| paged.is_none());
                    call.query = own_query.iter().chain(words).cloned().collect();
                }
            }
            call.body = paged;
            call
        };
        // A list that is asked for with a body takes the page's words there.
        let worded = |pages: &Pages<'_>, now: &Ask| {
            let mut body = body.clone()?;
            for (name, text) in &now.query {
                let number = Number::parse(text).filter(|_| pages.counts(name)).map(Value::Number);
                body.set(&FieldPath::root().join(name.as_str()), number.unwrap_or_else(|| Value::from(text.as_str())));
            }
            Some(written(&body))
        };
        let mut tally = Tally::default();
        let mut size = 0;
        let mut listing = Listing::default();
        let mut now = pages.first();
        let mut call = calling(&now, worded(&pages, &now));
        // Others are addressed by its ids: those are learnt from whole lists.
        let changes = since.and(rule.since.as_ref()).filter(|_| self.ids_of(&shape.ty.kind).is_empty());
        if let Some(since) = since {
            call.headers.push(("if-none-match".to_owned(), since.0.clone()));
            call.query.extend(changes.map(|changes| (changes.name.clone(), since.0.clone())));
        }
        let mut answer = self.send(&call).await?;
        if let Some(changes) = changes.filter(|_| answer.status != 304) {
            return self.changed(shape, parent, &answer, changes).await;
        }
        loop {
            if answer.status == 304 && since.is_some() && tally.parts == 0 {
                return Ok(Found::Unchanged);
            }
            if tally.parts > 0 && answer.status == 410 {
                return Err(Fault::Restart(answer.unreadable("the list's pages went stale twice (410)")));
            }
            if now.proof && answer.status == 404 {
                break;
            }
            if tally.parts == 0 && rule.empty_statuses.contains(&answer.status) {
                tally.parts = 1;
                break;
            }
            if tally.parts == 0 && answer.absent(&shape.ty.absent) {
                // Without a parent this is a wrong address rather than an empty API: nothing is concluded from it.
                return match parent {
                    Some(_) => Ok(Found::Nowhere),
                    None => Err(answer.unreadable(format!("answered {} to a list", answer.status)).into()),
                };
            }
            if answer.status != 200 {
                return Err(match answer.is_success() {
                    true => answer.unreadable(format!("answered {} to a list, expected 200", answer.status)).into(),
                    false => self.refusal(&answer).into(),
                });
            }
            answer.heard(&self.api.ok, self.api.errors.as_ref())?;
            let text = answer.text()?;
            size += text.len();
            let Limits { objects, list, .. } = self.limits;
            let over = |word, problem| answer.too_large(word, problem);
            if size > list {
                return Err(over("list", format!("the list has more than {list} bytes")).into());
            }
            if scan::is_crowded(text, objects) {
                return Err(over("objects", format!("a list of more than {objects} objects")).into());
            }
            // What pages and totals are read from is small once the items are out of it.
            let parted = match (rule.shape, rule.items.segments()) {
                (ListShape::Array, [name]) => scan::items_and_rest(text, name),
                _ => None,
            };
            let (items, rest) = match parted {
                Some((items, rest)) => (items.into_iter().map(|raw| (None, raw)).collect(), Some(rest)),
                None => (self.items(shape, &answer)?.unwrap_or_default(), None),
            };
            let (count, last_item) = (items.len(), self.last(shape, &answer, &items)?);
            let text = rest.as_deref().unwrap_or(text);
            if rule.page == PageRule::Unsaid
                && let Some(sign) = more::sign(&answer.headers, text, &rule.items, count)
            {
                let why = format!(
                    "{sign} says that there is more than these {count}, and the description says nothing of pages: say how \
                     the next one is asked for (`page:`), or `page: none` if this is all"
                );
                return Err(answer.unreadable(why).into());
            }
            if tally.parts == 0 && rule.revalidate != Revalidate::No {
                listing.cursor = answer.etag().map(|tag| Cursor(tag.to_owned()));
            }
            if pages.repeats(items.iter()) {
                let why = "this page holds what the one before did: the server does not go by the page or offset that it is \
                           sent (another name in `page`, or `page: none`)";
                return Err(answer.unreadable(why).into());
            }
            tally.parts += 1;
            tally.items += count;
            if tally.items > objects {
                return Err(over("objects", format!("a list of more than {objects} objects")).into());
            }
            let total = announced(rule.total.as_ref(), &answer.headers, text).map_err(|why| answer.unreadable(why))?;
            if let (true, Some(before), Some(now)) = (tally.parts > 1, tally.announced, total)
                && before != now
            {
                // What went meanwhile may have pulled something else over the edge of a page that was read already.
                let why = format!("the list changed while it was read, twice: {before} items, then {now}");
                return Err(Fault::Restart(answer.unreadable(why)));
            }
            tally.announced = total;
            let got = Got { count, seen: tally.items, total, last: last_item };
            let next =
                pages.after(&now, &call.path, &answer.headers, text, got).map_err(|why| answer.unreadable(why))?;
            let Some(next) = next else {
                self.take(shape, parent, &answer, items, &mut listing).await?;
                break;
            };
            now = next;
            call = calling(&now, worded(&pages, &now));
            // The other side works on the next page while this one is taken apart.
            let taking = self.take(shape, parent, &answer, items, &mut listing);
            let (asked, taken) = futures::future::join(self.send(&call), taking).await;
            taken?;
            answer = asked?;
        }
        tally.ended = true;
        listing.pages = tally.parts;
        if rule.revalidate == Revalidate::Page && (tally.parts != 1 || now.proof) {
            // The tag of one page says nothing of the others.
            listing.cursor = None;
        }
        for items in [&mut listing.items, &mut listing.ignored] {
            items.sort_by(|a, b| a.key.cmp(&b.key));
        }
        if let Some(pair) = listing.items.windows(2).find(|pair| pair[0].key == pair[1].key) {
            let why = format!("two objects with the same key {}/{}", shape.ty.kind, pair[0].key);
            let error = answer.unreadable(why);
            // Something new may have pushed it over the edge of a page; in one page nothing moves.
            return Err(if tally.parts > 1 { Fault::Restart(error) } else { Fault::Error(error) });
        }
        let listing = Complete::finish(listing, &tally).map_err(|e| answer.unreadable(e.to_string()))?;
        self.learn_all(&shape.ty.kind, parent, &listing);
        Ok(Found::Listed(listing.map(|mut listing| {
            listing.items.iter_mut().chain(&mut listing.ignored).for_each(|observed| shape.name_own(observed));
            listing
        })))
    }

    /// What an answer says that changed. Whatever it does not say in one page, the whole list has to.
    async fn changed(
        &self,
        shape: &Shape<'_>,
        parent: Option<&Key>,
        answer: &Answer,
        rule: &SinceRule,
    ) -> Result<Found, Fault> {
        let list = &shape.ty.list;
        // Too long ago, or a server that does not know the question; what else is wrong the whole list will tell.
        if answer.status != 200 {
            return Err(Fault::Whole);
        }
        let text = answer.text()?;
        if scan::is_crowded(text, self.limits.objects) {
            return Err(Fault::Whole);
        }
        let unreadable = |why: String| Fault::Error(answer.unreadable(why));
        let items = self.items(shape, answer)?.unwrap_or_default();
        let mut pages = Pages::new(&list.page, &self.origin, self.limits.pages);
        let first = pages.first();
        // That the count agrees with the total is seen once the list is brought up to date.
        let got = Got { count: items.len(), seen: items.len(), total: Some(items.len()), last: None };
        let more = pages.after(&first, "", &answer.headers, text, got).map_err(unreadable)?;
        let Some(Value::Number(total)) = scan::value_at(text, &rule.total).map_err(unreadable)? else {
            return Err(Fault::Whole);
        };
        let (Some(tag), None) = (answer.etag(), more) else { return Err(Fault::Whole) };
        let (mut found, mut left, mut gone) = (Listing::default(), Named::new(), Vec::new());
        let count = items.len();
        for (name, raw) in items {
            match scan::value_at(raw, &rule.gone).map_err(unreadable)? {
                Some(Value::Bool(true)) => gone.push(shape.gone(raw, parent).map_err(unreadable)?),
                _ => left.push((name, raw)),
            }
        }
        self.take(shape, parent, answer, left, &mut found).await?;
        let total = total.as_u64().and_then(|total| usize::try_from(total).ok());
        let (cursor, Listing { items, ignored, .. }) = (Some(Cursor(tag.to_owned())), found);
        let tally = Tally { parts: 1, items: count, announced: None, ended: true };
        let changes = Changes { items, ignored, gone, cursor, total };
        Complete::finish(changes, &tally).map(Found::Changed).map_err(|e| unreadable(e.to_string()))
    }

    /// Asks for each object of a list of summaries. One that is gone meanwhile is not there.
    async fn whole(&self, shape: &Shape<'_>, summaries: Complete<Listing>) -> Result<Complete<Listing>, TargetError> {
        let asked = futures::stream::iter(summaries.items.clone()).map(|item| async move {
            let id = ResourceId { target: self.target.clone(), kind: shape.ty.kind.clone(), key: item.key.clone() };
            self.get_one(shape, &id, Some(&item), false).await
        });
        let mut found = asked.buffered(WHOLE_AT_ONCE);
        let mut items = Vec::with_capacity(summaries.items.len());
        while let Some(item) = found.next().await {
            items.extend(item?);
        }
        drop(found);
        // The list's tag says nothing of what only the objects themselves show.
        Ok(summaries.map(|listing| Listing { pages: listing.pages + items.len(), items, cursor: None, ..listing }))
    }

    /// Where the last item of a page says that the next one begins, if that is how this list goes on.
    fn last(&self, shape: &Shape<'_>, answer: &Answer, items: &Named<'_>) -> Result<Option<String>, TargetError> {
        let (PageRule::After { value, .. }, Some((_, raw))) = (&shape.ty.list.page, items.last()) else {
            return Ok(None);
        };
        let item = shape.tree(raw).map_err(|why| answer.unreadable(why))?;
        let scene = Scene { rules: Some(shape.rules), stated: Some(&item), ..Scene::default() };
        let filled = scene.body(value).map_err(|why| answer.unreadable(format!("the last item: {why}")))?;
        let text = text_of(&filled).ok_or_else(|| answer.unreadable("the last item does not say where to go on"))?;
        Ok(Some(text))
    }

    /// Takes the items of one page into the listing. Every now and then it lets those go on that wait beside it.
    async fn take(
        &self,
        shape: &Shape<'_>,
        parent: Option<&Key>,
        answer: &Answer,
        items: Named<'_>,
        listing: &mut Listing,
    ) -> Result<(), TargetError> {
        let etag = answer.etag().filter(|_| shape.ty.list.shape == ListShape::One);
        for (at, (name, raw)) in items.into_iter().enumerate() {
            if at % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
            let item = shape.item(&answer.body, raw, name.as_deref(), parent, etag);
            let place = || match &name {
                Some(name) => format!("the object `{name}` of this list"),
                None => format!("object {} of this list", at + 1),
            };
            match item.map_err(|why| answer.unreadable(format!("{}: {why}", place())))? {
                Item::Managed(observed) => listing.items.push(observed),
                Item::Ignored(observed) => listing.ignored.push(observed),
                Item::Nothing => {}
            }
        }
        Ok(())
    }

    /// The items of one page, with their names in a mapping; `None` where a missing list means an empty one.
    fn items<'a>(&self, shape: &Shape<'_>, answer: &'a Answer) -> Result<Option<Named<'a>>, TargetError> {
        let rule = &shape.ty.list;
        let text = answer.text()?;
        let found = scan::at(text, &rule.items).map_err(|why| answer.unreadable(why))?.map(str::trim);
        let place = || if rule.items.is_root() { "the answer's root".to_owned() } else { format!("`{}`", rule.items) };
        let found = match found {
            None if rule.missing_is_empty => return Ok(None),
            Some("null") if rule.missing_is_empty => return Ok(None),
            None => {
                return Err(answer.unreadable(format!("there is no list at {}{}", place(), elsewhere(text))));
            }
            Some(found) => found,
        };
        let wrong = |expected: &str| {
            let found = scan::noun(found);
            answer.unreadable(format!("expected {expected} at {}, found {found}{}", place(), elsewhere(text)))
        };
        let items = match rule.shape {
            ListShape::Array if found.starts_with('[') => {
                scan::items(found).map_err(|why| answer.unreadable(why))?.into_iter().map(|raw| (None, raw)).collect()
            }
            ListShape::Map if found.starts_with('{') => {
                let members = scan::members(found).map_err(|why| answer.unreadable(why))?;
                members.into_iter().map(|(name, raw)| (Some(name), raw)).collect()
            }
            ListShape::Names if found.starts_with('[') => {
                let mut named = Vec::new();
                for raw in scan::items(found).map_err(|why| answer.unreadable(why))? {
                    match scan::value_at(raw, &FieldPath::root()) {
                        Ok(Some(Value::String(name))) => named.push((Some(name), "{}")),
                        _ => return Err(wrong("a list of names")),
                    }
                }
                named
            }
            ListShape::Links if found.starts_with('[') => {
                let mut named = Vec::new();
                for raw in scan::items(found).map_err(|why| answer.unreadable(why))? {
                    let link = scan::value_at(raw, &rule.link).ok().flatten();
                    match link.as_ref().and_then(Value::as_str).and_then(last_segment) {
                        Some(name) => named.push((Some(name), "{}")),
                        None => return Err(wrong("a list of addresses")),
                    }
                }
                named
            }
            ListShape::One if found.starts_with('{') => vec![(None, found)],
            ListShape::One => return Err(wrong("an object")),
            ListShape::Array => return Err(wrong("a list")),
            ListShape::Names => return Err(wrong("a list of names")),
            ListShape::Links => return Err(wrong("a list of addresses")),
            ListShape::Map => return Err(wrong("a mapping")),
        };
        Ok(Some(items))
    }

    pub(super) fn queries(
        &self,
        scene: &Scene<'_>,
        sets: &[&Vec<(String, crate::manifest::api::Template)>],
    ) -> Result<Vec<(String, String)>, TargetError> {
        scene.query(sets.iter().flat_map(|set| set.iter())).map_err(TargetError::refused)
    }

    /// Reads one object: by its address where it has one, else out of its list.
    pub(super) async fn read_one(
        &self,
        id: &ResourceId,
        known: Option<&Observed>,
    ) -> Result<Option<Observed>, TargetError> {
        let shape = self.shape(&id.kind).await?;
        self.get_one(&shape, id, known, true).await
    }

    /// Asks for one object at its address. Where that is not known or not its own any more, the list has to tell,
    /// if it may be `searched`.
    pub(super) async fn get_one(
        &self,
        shape: &Shape<'_>,
        id: &ResourceId,
        known: Option<&Observed>,
        searched: bool,
    ) -> Result<Option<Observed>, TargetError> {
        let base = known.and_then(|observed| observed.value().ok());
        let base = base.and_then(|base| with_ids(&shape.links, &base, &base).ok());
        let parent = shape.rules.parent_key(&id.key);
        let Ok(holes) = self.holes(shape, parent.as_ref()).await? else { return Ok(None) };
        let mut key = key_with_ids(&shape.links, key_fields(shape.rules, &id.key));
        key.extend(holes);
        let scene = Scene {
            rules: Some(shape.rules),
            key,
            base: base.as_ref(),
            params: Some(&self.params),
            ..Scene::default()
        };
        // An id that only the server knows may be missing; then the list has to tell.
        let get = shape.ty.get.as_ref().filter(|get| scene.path(&get.path).is_ok());
        let Some(get) = get else { return self.find(shape, id, searched).await };
        let by_key = get.path.holes().all(|h| scene.key.contains_key(&h.path()) || self.params.contains_key(&h.name));
        let path = self.address(&scene, &get.path)?;
        let query = self.queries(&scene, &[&self.api.query, &shape.ty.query, &get.query])?;
        let headers = self.queries(&scene, &[&self.api.headers, &shape.ty.headers])?;
        let asked = path.clone();
        let answer = self.send(&Call { method: "GET", path, query, headers, ..Call::default() }).await?;
        if answer.absent(&shape.ty.absent) {
            // A server-made id that is gone says nothing about the key: another object may have it by now.
            return if by_key { Ok(None) } else { self.find(shape, id, searched).await };
        }
        if answer.status != 200 {
            return Err(match answer.is_success() {
                true => answer.unreadable(format!("answered {} to a GET, expected 200", answer.status)),
                false => self.refusal(&answer),
            });
        }
        answer.heard(&self.api.ok, self.api.errors.as_ref())?;
        let Some(raw) = answer.at(&get.item)? else {
            return match get.missing_is_absent {
                true => Ok(None),
                false => Err(answer.unreadable(format!("there is no object at `{}`", get.item))),
            };
        };
        let name = match shape.ty.list.shape {
            ListShape::Map | ListShape::Names | ListShape::Links => id.key.texts().last(),
            ListShape::Array | ListShape::One => None,
        };
        let item = shape.item(&answer.body, raw, name.as_deref(), parent.as_ref(), answer.etag());
        match item.map_err(|why| answer.unreadable(why))? {
            Item::Managed(mut observed) | Item::Ignored(mut observed) if observed.key == id.key => {
                self.name_own(shape, parent.as_ref(), &mut observed).await?;
                Ok(Some(observed))
            }
            Item::Managed(other) | Item::Ignored(other) if !by_key => {
                let found = self.find(shape, id, searched).await?;
                let value = found.as_ref().and_then(|found| found.value().ok());
                let value = value.and_then(|value| with_ids(&shape.links, &value, &value).ok());
                let there = Scene { base: value.as_ref(), ..scene };
                // What is written there would change or delete the other one.
                if value.is_some() && self.address(&there, &get.path).is_ok_and(|path| path == asked) {
                    let why = format!("it is {}, and the list says that {} is at this address", other.key, id.key);
                    return Err(answer.unreadable(why));
                }
                Ok(found)
            }
            Item::Managed(other) | Item::Ignored(other) => {
                Err(answer.unreadable(format!("asked for {}, answered with {}", id.key, other.key)))
            }
            Item::Nothing => Ok(None),
        }
    }

    /// Finds one object in its list.
    async fn find(&self, shape: &Shape<'_>, id: &ResourceId, searched: bool) -> Result<Option<Observed>, TargetError> {
        if !searched {
            return Ok(None);
        }
        let parent = shape.rules.parent_key(&id.key);
        let Found::Listed(listing) = self.listed(shape, parent.as_ref(), None).await? else { return Ok(None) };
        let listing = listing.into_inner();
        match listing.items.into_iter().chain(listing.ignored).find(|observed| observed.key == id.key) {
            Some(found) if shape.ty.list.summary => Box::pin(self.get_one(shape, id, Some(&found), false)).await,
            found => Ok(found),
        }
    }
}
