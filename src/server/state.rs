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
mod tests {
    use std::collections::BTreeSet;

    use http::Request;
    use proptest::prelude::*;

    use super::*;
    use crate::model::parse_json;

    /// Sends `METHOD /path` with headers `Name: value` and a body.
    fn send(state: &mut State, line: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let uid = format!("{:032x}", state.view().revision());
        match Call::read(&request, &state.schema().clone()) {
            Ok(call) => state.handle(&call, &uid),
            Err(refusal) => refuse(&refusal),
        }
    }

    fn json(response: &Response<Bytes>) -> Value {
        parse_json(response.body()).unwrap()
    }

    fn etag(response: &Response<Bytes>) -> String {
        response.headers()["etag"].to_str().unwrap().to_owned()
    }

    fn shop() -> State {
        let mut state = State::new(Arc::new(Schema::built_in()));
        for (line, body) in [
            ("PUT /v1/service/shop", r#"{"labels":{"team":"a"},"spec":{"port":80}}"#),
            ("PUT /v1/service/other", "{}"),
            ("PUT /v1/route/cart", r#"{"spec":{"service":"shop","host":"h","path":"/cart"}}"#),
            ("PUT /v1/policy/limit", r#"{"spec":{"type":"rate","service":"other"}}"#),
        ] {
            assert_eq!(send(&mut state, line, &[], body).status(), 201, "{line}");
        }
        state
    }

    #[test]
    fn each_bad_call_gets_its_status_and_the_pointer_of_the_bad_field() {
        for (line, headers, body, status, field) in [
            ("GET /v1/service/none", "", "", 404, ""),
            ("GET /v1/nothing", "", "", 404, ""),
            ("GET /v1/configurations", "", "", 404, ""),
            ("GET /v2/x", "", "", 404, ""),
            ("GET /v1/service/a%2Fb", "", "", 404, ""),
            ("DELETE /v1/service/none", "", "", 404, ""),
            ("PATCH /v1/service/none", "", "{}", 404, ""),
            ("DELETE /v1/service", "", "", 405, ""),
            ("POST /v1/service/x", "", "{}", 405, ""),
            ("PUT /v1/service/x", "", "{", 400, ""),
            ("GET /v1/service?limit=0", "", "", 400, ""),
            ("GET /v1/service?labl=a", "", "", 400, ""),
            ("GET /v1/service?continue=zz", "", "", 400, ""),
            ("GET /v1/service?continue=999~1~a", "", "", 400, ""),
            ("PUT /v1/service/shop", "if-match: shop", "{}", 400, ""),
            ("PUT /v1/service/shop", "ctl-fencing-token: x", "{}", 400, ""),
            ("PUT /v1/service/shop", "content-type: text/plain", "{}", 415, ""),
            ("POST /v1/service", "", r#"{"name":"shop"}"#, 409, "/name"),
            ("POST /v1/service", "", "{}", 422, "/name"),
            ("POST /v1/service", "", r#"{"name":"a/b"}"#, 422, "/name"),
            ("PUT /v1/service/shop", "", r#"{"name":"b"}"#, 422, "/name"),
            ("PUT /v1/service/shop", "", r#"{"uid":"b"}"#, 409, ""),
            ("PUT /v1/service/shop", "", r#"{"speck":{}}"#, 422, "/speck"),
            ("PUT /v1/service/shop", "", "[]", 422, ""),
            ("PUT /v1/service/shop", "", r#"{"labels":{"a":1}}"#, 422, "/labels/a"),
            ("PUT /v1/service/shop", "", r#"{"spec":{"a/b":1}}"#, 422, "/spec/a~1b"),
            ("PUT /v1/service/shop", "", r#"{"spec":{"port":"x"}}"#, 422, "/spec/port"),
            ("PUT /v1/service/shop", "", r#"{"spec":{"port":1.5}}"#, 422, "/spec/port"),
            ("PUT /v1/service/shop", "", r#"{"spec":{"tags":null}}"#, 422, "/spec/tags"),
            ("PUT /v1/route/new", "", r#"{"spec":{"service":"shop","path":"/"}}"#, 422, "/spec/host"),
            ("PUT /v1/route/new", "", r#"{"spec":{"service":"no","host":"h","path":"/"}}"#, 422, "/spec/service"),
            ("PUT /v1/route/new", "", r#"{"spec":{"service":"shop","host":"h","path":"/cart"}}"#, 409, "/spec/host"),
            ("PUT /v1/policy/limit", "", r#"{"spec":{"type":"auth"}}"#, 422, "/spec/type"),
            ("PATCH /v1/policy/limit", "", r#"{"spec":{"type":null}}"#, 422, "/spec/type"),
            ("PATCH /v1/service/shop", "", "[]", 422, ""),
            ("PUT /v1/service/shop", "if-none-match: *", "{}", 412, ""),
            ("PUT /v1/service/shop", "if-match: \"0000000000000000\"", "{}", 412, ""),
            ("DELETE /v1/service/shop", "if-match: \"0000000000000000\"", "", 412, ""),
            ("PUT /v1/service/new", "if-match: *", "{}", 412, ""),
            ("DELETE /v1/service/other", "", "", 409, ""),
        ] {
            let mut state = shop();
            let before = state.view().revision();
            let headers: Vec<_> = headers.split_once(": ").into_iter().collect();
            // The table's content type comes instead of the usual one.
            let mut request = Request::builder().method(line.split(' ').next().unwrap());
            request = request.uri(line.split(' ').nth(1).unwrap());
            if headers.first().is_none_or(|(name, _)| *name != "content-type") {
                request = request.header("content-type", "application/json");
            }
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
            let response = match Call::read(&request, &Schema::built_in()) {
                Ok(call) => state.handle(&call, "u"),
                Err(refusal) => refuse(&refusal),
            };
            assert_eq!(response.status(), status, "{line} {body}: {:?}", response.body());
            let told = json(&response);
            assert!(told.child("error").is_some(), "{line} {body}");
            assert_eq!(told.child("field").and_then(Value::as_str).unwrap_or(""), field, "{line} {body}");
            assert_eq!(state.view().revision(), before, "{line} {body} changes nothing");
        }
    }

    #[test]
    fn a_service_takes_its_routes_with_it_and_a_policy_holds_it() {
        let mut state = shop();
        let refused = send(&mut state, "DELETE /v1/service/other", &[], "");
        assert_eq!(json(&refused).child("others").unwrap().as_array().unwrap(), [Value::from("policy/limit")]);
        assert_eq!(send(&mut state, "DELETE /v1/service/shop", &[], "").status(), 204);
        assert_eq!(send(&mut state, "GET /v1/route/cart", &[], "").status(), 404);
        let again = r#"{"spec":{"service":"other","host":"h","path":"/cart"}}"#;
        assert_eq!(send(&mut state, "PUT /v1/route/new", &[], again).status(), 201, "host and path are free again");
    }

    #[test]
    fn what_was_read_can_be_written_back_and_that_is_no_change() {
        let mut state = shop();
        let read = send(&mut state, "GET /v1/service/shop", &[], "");
        let body = String::from_utf8(read.body().to_vec()).unwrap();
        let written = send(&mut state, "PUT /v1/service/shop", &[("if-match", &etag(&read))], &body);
        assert_eq!((written.status().as_u16(), etag(&written)), (200, etag(&read)));
        assert_eq!(format!("\"{}\"", json(&read).child("etag").unwrap().as_str().unwrap()), etag(&read));
        let same = send(&mut state, "GET /v1/service/shop", &[("if-none-match", &etag(&read))], "");
        assert_eq!(same.status(), 304);
    }

    #[test]
    fn numbers_and_dollar_keys_come_back_as_they_were_sent() {
        let mut state = shop();
        let body = r#"{"spec":{"options":{"$secret":"x"},"port":9007199254740993}}"#;
        let response = send(&mut state, "PUT /v1/service/exact", &[], body);
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(text.contains(r#""spec":{"options":{"$secret":"x"},"port":9007199254740993}"#), "{text}");
    }

    #[test]
    fn a_lower_fencing_token_is_refused() {
        let mut state = shop();
        assert_eq!(send(&mut state, "PUT /v1/service/x", &[("ctl-fencing-token", "5")], "{}").status(), 201);
        let late = send(&mut state, "DELETE /v1/service/x", &[("ctl-fencing-token", "4")], "");
        assert_eq!(late.status(), 412);
        assert_eq!(json(&late).child("error").unwrap().as_str(), Some("stale fencing token"));
        assert_eq!(send(&mut state, "DELETE /v1/service/x", &[("ctl-fencing-token", "5")], "").status(), 204);
    }

    #[test]
    fn a_list_goes_on_over_updates_and_starts_again_after_a_create() {
        let mut state = shop();
        let first = send(&mut state, "GET /v1/service?limit=1", &[], "");
        let next = json(&first).child("next").unwrap().as_str().unwrap().to_owned();
        let go_on = format!("GET /v1/service?limit=1&continue={next}");
        assert_eq!(send(&mut state, "PUT /v1/service/shop", &[], "{}").status(), 200);
        let second = json(&send(&mut state, &go_on, &[], ""));
        assert_eq!(second.get(&FieldPath::parse("/items/0/name")).unwrap().as_str(), Some("shop"));
        assert_eq!(second.child("next"), None);
        send(&mut state, "PUT /v1/service/a", &[], "{}");
        assert_eq!(send(&mut state, &go_on, &[], "").status(), 410);
    }

    #[test]
    fn a_list_is_filtered_by_label_and_unchanged_until_its_kind_changes() {
        let mut state = shop();
        let all = send(&mut state, "GET /v1/service", &[], "");
        let some = json(&send(&mut state, "GET /v1/service?label=team%3Da", &[], ""));
        assert_eq!(some.child("total"), Some(&Value::from(1)));
        send(&mut state, "DELETE /v1/policy/limit", &[], "");
        assert_eq!(send(&mut state, "GET /v1/service", &[("if-none-match", &etag(&all))], "").status(), 304);
        send(&mut state, "DELETE /v1/service/other", &[], "");
        assert_eq!(send(&mut state, "GET /v1/service", &[("if-none-match", &etag(&all))], "").status(), 200);
    }

    #[test]
    fn what_changed_since_a_list_is_told_with_what_is_gone_or_the_whole_is_to_be_read() {
        let mut state = shop();
        let known = etag(&send(&mut state, "GET /v1/service", &[], ""));
        let since = |tag: &str, more: &str| format!("GET /v1/service?since={}{more}", tag.replace('"', "%22"));
        let nothing = send(&mut state, &since(&known, ""), &[("if-none-match", &known)], "");
        assert_eq!(nothing.status(), 304);
        send(&mut state, "DELETE /v1/policy/limit", &[], "");
        for (name, body) in [("a", "{}"), ("b", "{}"), ("other", r#"{"labels":{"team":"z"}}"#)] {
            assert!(send(&mut state, &format!("PUT /v1/service/{name}"), &[], body).status().is_success());
        }
        for name in ["a", "b"] {
            assert_eq!(send(&mut state, &format!("DELETE /v1/service/{name}"), &[], "").status(), 204);
        }
        assert_eq!(send(&mut state, "PUT /v1/service/b", &[], "{}").status(), 201);
        let answer = send(&mut state, &since(&known, ""), &[("if-none-match", &known)], "");
        let found = json(&answer);
        let items = found.child("items").unwrap().as_array().unwrap();
        let name = |item: &Value| item.child("name").unwrap().as_str().unwrap().to_owned();
        assert_eq!(items.iter().map(name).collect::<Vec<_>>(), ["b", "other", "a"]);
        assert_eq!(items[2].child("gone"), Some(&Value::Bool(true)), "made anew, `b` is there");
        let total = json(&send(&mut state, "GET /v1/service", &[], "")).child("total").cloned();
        assert_eq!(found.child("total").cloned(), total);
        assert_eq!(send(&mut state, &since(&etag(&answer), ""), &[], "").status(), 200);
        // Too much for a page, another life of the store, no tag of a list, a question that means something else.
        assert_eq!(send(&mut state, &since(&known, "&limit=2"), &[], "").status(), 410);
        for odd in ["service.1.1", "service.0.999", "route.0.1", "x"] {
            assert_eq!(send(&mut state, &since(odd, ""), &[], "").status(), 410, "{odd}");
        }
        assert_eq!(send(&mut state, &since(&known, "&label=a%3Db"), &[], "").status(), 400);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Random writers, each with the ETag that it saw last: nobody overwrites what it has not seen, no ETag stands
        /// for two contents, and pages put together are the whole list.
        #[test]
        fn no_update_is_lost_no_etag_repeats_and_pages_cover_the_list(
            steps in prop::collection::vec((0_u8..4, 0_usize..6, 0_u8..3, any::<bool>()), 1..80),
            limit in 1_usize..5,
        ) {
            let mut state = State::new(Arc::new(Schema::built_in()));
            let mut expected: BTreeMap<String, (String, u8)> = BTreeMap::new();
            let mut seen: BTreeMap<String, String> = BTreeMap::new();
            let mut contents: BTreeMap<String, Bytes> = BTreeMap::new();
            for (what, name, port, fresh) in steps {
                let name = format!("s{name}");
                if fresh && let Some((etag, _)) = expected.get(&name) {
                    seen.insert(name.clone(), etag.clone());
                }
                let tag = seen.get(&name).cloned().unwrap_or_else(|| "\"none\"".to_owned());
                let is_current = expected.get(&name).is_some_and(|(etag, _)| *etag == tag);
                let body = format!(r#"{{"name":"{name}","spec":{{"port":{port}}}}}"#);
                let item = format!("/v1/service/{name}");
                let exists = expected.contains_key(&name);
                let (response, status) = match what {
                    0 => (send(&mut state, "POST /v1/service", &[], &body), if exists { 409 } else { 201 }),
                    1 => (send(&mut state, &format!("PUT {item}"), &[("if-none-match", "*")], &body),
                        if exists { 412 } else { 201 }),
                    2 => (send(&mut state, &format!("PUT {item}"), &[("if-match", &tag)], &body),
                        if is_current { 200 } else { 412 }),
                    _ => (send(&mut state, &format!("DELETE {item}"), &[("if-match", &tag)], ""),
                        if is_current { 204 } else if exists { 412 } else { 404 }),
                };
                prop_assert_eq!(response.status().as_u16(), status);
                match status {
                    200 | 201 => {
                        let etag = etag(&response);
                        let old = contents.insert(etag.clone(), response.body().clone());
                        prop_assert!(old.is_none_or(|old| old == response.body()));
                        expected.insert(name, (etag, port));
                    }
                    204 => drop(expected.remove(&name)),
                    _ => {}
                }
            }
            let mut found = Vec::new();
            let mut line = format!("GET /v1/service?limit={limit}");
            loop {
                let page = json(&send(&mut state, &line, &[], ""));
                prop_assert_eq!(page.child("total"), Some(&Value::from(expected.len() as u64)));
                for item in page.child("items").and_then(Value::as_array).unwrap_or_default() {
                    let etag = format!("\"{}\"", item.child("etag").and_then(Value::as_str).unwrap_or_default());
                    found.push((item.child("name").and_then(Value::as_str).unwrap_or_default().to_owned(), etag));
                }
                match page.child("next").and_then(Value::as_str) {
                    Some(next) => line = format!("GET /v1/service?limit={limit}&continue={next}"),
                    None => break,
                }
            }
            let wanted: Vec<_> = expected.into_iter().map(|(name, (etag, _))| (name, etag)).collect();
            prop_assert_eq!(&found, &wanted);
            prop_assert_eq!(found.iter().map(|(_, etag)| etag).collect::<BTreeSet<_>>().len(), found.len());
        }
    }
}
