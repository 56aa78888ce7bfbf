//! Finds things in JSON bytes without building a tree.

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::{FieldPath, Value, parse_json};

/// What `text` is, as far as its first sign tells.
pub(super) fn noun(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        None => "nothing",
        Some(b'{') => "a mapping",
        Some(b'[') => "a list",
        Some(b'"') => "text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a flag",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => "no JSON",
    }
}

/// Why `text` is not `expected`, for somebody who does not see it.
fn wrong(text: &str, expected: &str, error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        _ if text.trim_start().starts_with('<') => {
            format!("expected {expected}, found a page of HTML or XML: does a login or a proxy stand before the API?")
        }
        Category::Eof if text.trim().is_empty() => format!("expected {expected}, found nothing"),
        Category::Eof => format!("the JSON ends early, after {} bytes", text.len()),
        Category::Data if noun(text) != expected && expected != "JSON" => {
            format!("expected {expected}, found {}", noun(text))
        }
        Category::Data | Category::Syntax | Category::Io => format!("not JSON: {error}"),
    }
}

/// The bytes of the value at `path`; `None` if a step is missing.
pub(super) fn at<'a>(text: &'a str, path: &FieldPath) -> Result<Option<&'a str>, String> {
    let mut here = text;
    // Proves that the whole text is one JSON value, before anything in it is believed.
    if path.is_root() {
        let raw: &RawValue = serde_json::from_str(here).map_err(|e| wrong(here, "JSON", &e))?;
        return Ok(Some(raw.get()));
    }
    for step in path.segments() {
        match here.trim_start().as_bytes().first() {
            Some(b'{') => match pick(here, &[step.as_str()])?.pop() {
                Some((_, found)) => here = found,
                None => return Ok(None),
            },
            Some(b'[') => {
                let items = items(here)?;
                match step.parse::<usize>().ok().and_then(|i| items.get(i).copied()) {
                    Some(found) => here = found,
                    None => return Ok(None),
                }
            }
            _ => {
                serde_json::from_str::<IgnoredAny>(here).map_err(|e| wrong(here, "JSON", &e))?;
                return Ok(None);
            }
        }
    }
    Ok(Some(here))
}

/// The value at `path`.
pub(super) fn value_at(text: &str, path: &FieldPath) -> Result<Option<Value>, String> {
    match at(text, path)? {
        Some(found) => parse_json(found.as_bytes()).map(Some).map_err(|e| e.to_string()),
        None => Ok(None),
    }
}

/// At least how deep `text` nests: how many brackets open in it, quoted or not. Cheap, and enough for almost all.
pub(super) fn opens(text: &str) -> usize {
    text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count()
}

/// How deep lists and mappings are nested in `text`, which is JSON.
pub(super) fn depth(text: &str) -> usize {
    let (mut here, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                here += 1;
                most = most.max(here);
            }
            b']' | b'}' if !quoted => here = here.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// The elements of a list.
pub(super) fn items(text: &str) -> Result<Vec<&str>, String> {
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| wrong(text, "a list", &e))?;
    Ok(raw.into_iter().map(RawValue::get).collect())
}

/// The elements of the list that the mapping `text` holds under `name`, and the mapping without it, in one pass; `None`
/// if that is not what `text` is, and the slower ways have to say why.
pub(super) fn items_and_rest<'a>(text: &'a str, name: &str) -> Option<(Vec<&'a str>, String)> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = reader.deserialize_map(Page(name)).ok()?;
    reader.end().ok()?;
    let (items, rest) = found;
    Some((items?.into_iter().map(RawValue::get).collect(), rest))
}

struct Page<'n>(&'n str);

impl<'de> Visitor<'de> for Page<'_> {
    type Value = (Option<Vec<&'de RawValue>>, String);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut rest) = (None, String::from("{"));
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                if items.replace(map.next_value()?).is_some() {
                    return Err(A::Error::custom("the list stands twice"));
                }
                continue;
            }
            if rest.len() > 1 {
                rest.push(',');
            }
            rest.push_str(&serde_json::to_string(&name).map_err(A::Error::custom)?);
            rest.push(':');
            rest.push_str(map.next_value::<&RawValue>()?.get());
        }
        rest.push('}');
        Ok((items, rest))
    }
}

/// True if any list or mapping in `text` may have more than `most` members. Looks at the signs alone, so that it costs
/// no memory: to be asked before anything is taken apart.
pub(super) fn is_crowded(text: &str, most: usize) -> bool {
    if text.len() / 2 <= most || text.bytes().filter(|byte| *byte == b',').count() < most {
        return false;
    }
    let mut counts: Vec<usize> = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            // Whatever is nested deeper than anything may be is refused where it is read.
            b'[' | b'{' if counts.len() < 1024 => counts.push(1),
            b']' | b'}' => drop(counts.pop()),
            b',' => {
                let Some(count) = counts.last_mut() else { continue };
                *count += 1;
                if *count > most {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// The members of a mapping.
pub(super) fn members(text: &str) -> Result<Vec<(String, &str)>, String> {
    let raw: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|e| wrong(text, "a mapping", &e))?;
    Ok(raw.into_iter().map(|(key, value)| (key, value.get())).collect())
}

/// Those members of a mapping that are called one of `names`, as indexes into `names`. One that stands twice is an
/// error.
pub(super) fn pick<'a>(text: &'a str, names: &[&str]) -> Result<Vec<(usize, &'a str)>, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Pick(names).deserialize(&mut reader).map_err(|e| wrong(text, "a mapping", &e))?;
    reader.end().map_err(|e| wrong(text, "JSON", &e))?;
    Ok(found)
}

struct Pick<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Vec<(usize, &'de str)>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Vec<(usize, &'de str)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Vec<(usize, &'de str)> = Vec::with_capacity(self.0.len());
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            match name {
                Some(index) if found.iter().any(|(i, _)| *i == index) => {
                    return Err(A::Error::custom(format!("the key `{}` stands twice", self.0[index])));
                }
                Some(index) => found.push((index, map.next_value::<&RawValue>()?.get())),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

struct Name<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_followed_without_building_a_tree() {
        let text = r#"{"a":{"b/c":[10,{"d":true}]},"x":1}"#;
        assert_eq!(at(text, &FieldPath::parse("/a/b~1c/1/d")).unwrap(), Some("true"));
        assert_eq!(at(text, &FieldPath::parse("/a/none")).unwrap(), None);
        assert_eq!(at(text, &FieldPath::parse("/x/y")).unwrap(), None);
    }

    #[test]
    fn a_page_falls_into_its_items_and_the_rest_in_one_pass() {
        let page = items_and_rest(r#"{"a":1,"items":[{"x":[1,2]},3],"next":"t\"u"}"#, "items");
        assert_eq!(page, Some((vec![r#"{"x":[1,2]}"#, "3"], r#"{"a":1,"next":"t\"u"}"#.to_owned())));
        for text in [r#"{"items":{}}"#, r#"{"items":null}"#, "{}", "[]", r#"{"items":[1"#, r#"{"items":[],"items":[]}"#]
        {
            assert_eq!(items_and_rest(text, "items"), None, "{text}");
        }
    }

    #[test]
    fn a_list_may_have_as_many_members_as_the_limit_says_and_not_one_more() {
        for (text, members) in [
            ("[1,2,3]", 3),
            (r#"{"items":[{},{},{},{}],"next":"a"}"#, 4),
            (r#"{"a":"x,y,\",z,u","b":",,,,,,"}"#, 2),
            (r#"[[1,2,3,4,5],[1,2,3,4,5,6,7,8,9]]"#, 9),
            ("[[],[],[]]", 3),
        ] {
            assert!(!is_crowded(text, members), "{text}");
            assert!(is_crowded(text, members - 1), "{text}");
        }
        for text in ["]}],".repeat(9), "[".repeat(5000) + &",".repeat(9), r#""\"#.repeat(9)] {
            let _either = is_crowded(&text, 0);
        }
    }

    #[test]
    fn depth_counts_what_is_nested_and_not_what_is_quoted() {
        for (text, expected) in [("7", 0), (r#""[[\"[""#, 0), (r#"{"a":[[],{}]}"#, 3), (r#"["\\",[]]"#, 2)] {
            assert_eq!(depth(text), expected, "{text}");
            assert!(opens(text) >= expected, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_or_said_twice_is_an_error() {
        for text in [r#"{"a":[1,2"#, r#"{"a":1,"a":2}"#, "<html>", "", r#"{"a":1} x"#] {
            assert!(at(text, &FieldPath::parse("/a")).is_err(), "{text}");
        }
    }
}
