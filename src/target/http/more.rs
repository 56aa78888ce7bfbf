//! Signs that a list goes on, in an answer of which the description says nothing about pages. Its first page, taken for all
//! there is, would make the rest look absent: things would be made twice, and what is ours would be forgotten.

use http::HeaderMap;

use crate::model::{FieldPath, Value, parse_json};

use super::pages::link_next;
use super::scan;

/// Names under which APIs say where the next page is, or that there is one; letters and digits alone.
const NEXT: &[&str] = &[
    "next",
    "nextpage",
    "nextpagetoken",
    "nexttoken",
    "nextcursor",
    "nextmarker",
    "nextoffset",
    "nexturl",
    "nexturi",
    "nextpageurl",
    "nextlink",
    "nexthref",
    "odatanextlink",
    "continue",
    "continuetoken",
    "continuationtoken",
    "hasmore",
    "hasnext",
    "hasnextpage",
    "more",
    "moreitems",
    "istruncated",
    "truncated",
];
/// Names under which they say how many items there are in all.
const TOTAL: &[&str] = &[
    "total",
    "totalcount",
    "totalitems",
    "totalresults",
    "totalrecords",
    "totalelements",
    "totalsize",
    "totalhits",
    "recordstotal",
    "numfound",
    "count",
];
/// How deep they are looked for, beside the items.
const DEPTH: usize = 3;
/// What is larger than this is no word about pages.
const SMALL: usize = 8 * 1024;

/// Where an answer says that there is more than its `count` items, if it does.
pub(super) fn sign(headers: &HeaderMap, text: &str, items: &FieldPath, count: usize) -> Option<String> {
    if let Ok(Some(_)) = link_next(headers) {
        return Some("the header `Link: …; rel=\"next\"`".to_owned());
    }
    beside(text, items.segments(), &FieldPath::root(), count).map(|at| format!("`{at}`"))
}

/// Looks through the members beside the items. Where the whole answer is the items, nothing stands beside them.
fn beside(text: &str, items: &[String], at: &FieldPath, count: usize) -> Option<FieldPath> {
    let (first, rest) = items.split_first()?;
    let members = scan::members(text).ok()?;
    members.iter().find_map(|(name, raw)| {
        let here = at.join(name.as_str());
        match (name == first, rest.is_empty()) {
            (true, true) => None,
            (true, false) => beside(raw, rest, &here, count),
            (false, _) if raw.len() > SMALL => None,
            (false, _) => within(&parse_json(raw.as_bytes()).ok()?, name, &here, count, DEPTH),
        }
    })
}

fn within(value: &Value, name: &str, at: &FieldPath, count: usize, depth: usize) -> Option<FieldPath> {
    let word: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let says_so = match value {
        Value::Bool(more) => *more && NEXT.contains(&word.as_str()),
        Value::String(text) => !text.is_empty() && NEXT.contains(&word.as_str()),
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or(0);
            (number > 0 && NEXT.contains(&word.as_str())) || (number > count as u64 && TOTAL.contains(&word.as_str()))
        }
        // `{"next": {"href": …}}`
        Value::Object(map) if NEXT.contains(&word.as_str()) => !map.is_empty(),
        Value::Null | Value::Secret(_) | Value::Array(_) | Value::Object(_) => false,
    };
    if says_so {
        return Some(at.clone());
    }
    let members = value.as_object().filter(|_| depth > 1)?;
    members.iter().find_map(|(name, value)| within(value, name, &at.join(name.as_str()), count, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(items: &str, text: &str, count: usize) -> Option<String> {
        sign(&HeaderMap::new(), text, &FieldPath::parse(items), count)
    }

    #[test]
    fn what_says_that_a_list_goes_on_is_seen() {
        for (text, at) in [
            (r#"{"items": [1], "next": "http://h/v1/things?page=2"}"#, "/next"),
            (r#"{"items": [1], "nextPageToken": "abc"}"#, "/nextPageToken"),
            (r#"{"items": [1], "@odata.nextLink": "/v1/things?$skip=1"}"#, "/@odata.nextLink"),
            (r#"{"items": [1], "has_more": true}"#, "/has_more"),
            (r#"{"items": [1], "total": 2}"#, "/total"),
            (r#"{"items": [1], "meta": {"pagination": {"total": 9}}}"#, "/meta/pagination/total"),
            (r#"{"items": [1], "_links": {"next": {"href": "/x"}}}"#, "/_links/next"),
            (r#"{"items": [1], "metadata": {"continue": "abc"}}"#, "/metadata/continue"),
            (r#"{"items": [1], "result_info": {"count": 1, "total_count": 3}}"#, "/result_info/total_count"),
        ] {
            assert_eq!(told("/items", text, 1), Some(format!("`{at}`")), "{text}");
        }
        assert!(told("/data/items", r#"{"data": {"items": [1], "next": 2}}"#, 1).is_some());
        let link = HeaderMap::from_iter([(http::header::LINK, "</x?page=2>; rel=next".parse().unwrap())]);
        assert!(sign(&link, "[1]", &FieldPath::root(), 1).unwrap().contains("Link"));
    }

    #[test]
    fn a_list_that_is_whole_is_believed() {
        for text in [
            r#"{"items": [1], "next": null, "has_more": false, "total": 1, "count": 1}"#,
            r#"{"items": [1], "next": "", "nextPageToken": "", "links": {"self": "/x", "next": {}}}"#,
            r#"{"items": [{"next": "http://h/", "total": 9}]}"#,
            r#"{"items": [1], "page": 1, "per_page": 100, "cursor": "abc", "more": 0}"#,
        ] {
            assert_eq!(told("/items", text, 1), None, "{text}");
        }
        assert_eq!(told("", r#"{"next": {"a": 1}, "total": {"a": 1}}"#, 2), None, "the items of a mapping are names");
        assert_eq!(told("", "[1]", 1), None);
    }
}
