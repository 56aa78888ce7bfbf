//! What the state machine answers, request by request.

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
