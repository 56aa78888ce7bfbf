//! Puts values into the holes of templates, each encoded once for where it stands.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::manifest::api::{BodyTemplate, Codec, Hole, Part, Splat, Template};
use crate::model::{FieldPath, KindRules, Value};

use super::wire;

/// All that is not encoded in a path segment or a query value: the unreserved characters of RFC 3986.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the values for holes come from, first one first: the key, what is stated, what was observed, the parameters.
#[derive(Clone, Default)]
pub(super) struct Scene<'a> {
    pub(super) rules: Option<&'a KindRules>,
    pub(super) key: BTreeMap<FieldPath, Value>,
    pub(super) stated: Option<&'a Value>,
    pub(super) base: Option<&'a Value>,
    pub(super) params: Option<&'a BTreeMap<String, String>>,
    /// What `"*"` pours: every field that is written, as it travels.
    pub(super) all: Option<&'a Value>,
}

impl Scene<'_> {
    fn lookup(&self, name: &str) -> Option<Value> {
        let path = FieldPath::parse(name);
        self.key
            .get(&path)
            .or_else(|| self.stated?.get(&path))
            .or_else(|| self.base?.get(&path))
            .cloned()
            .or_else(|| self.params?.get(name).map(|text| Value::from(text.as_str())))
    }

    /// The value of a hole, as it stands in the manifest.
    fn hole(&self, hole: &Hole) -> Result<Value, String> {
        let found = self.lookup(&hole.name).ok_or_else(|| format!("there is no value for `{{{}}}`", hole.name))?;
        hole.codecs.iter().try_fold(found, |value, codec| encode(*codec, &value))
    }

    /// The same, as it travels in a body.
    fn travelling(&self, hole: &Hole) -> Result<Value, String> {
        let value = self.hole(hole)?;
        let rule = self.rules.and_then(|rules| rules.field(&hole.path()));
        match rule.and_then(|rule| rule.wire) {
            Some(codec) if hole.codecs.is_empty() => wire::encode(codec, value),
            _ => Ok(value),
        }
    }

    /// A path: each value is one opaque segment, encoded exactly once. An empty value, and a segment that a server
    /// would take for "here" or "up", are refused.
    pub(super) fn path(&self, template: &Template) -> Result<String, String> {
        let mut out = String::new();
        for part in &template.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole(hole) => {
                    let text = text_of(&self.hole(hole)?).ok_or_else(|| {
                        format!("`{{{}}}` is null or a secret, and cannot stand in a path", hole.name)
                    })?;
                    if text.is_empty() {
                        return Err(format!("`{{{}}}` is empty: the request would address the whole list", hole.name));
                    }
                    out.extend(utf8_percent_encode(&text, SEGMENT));
                }
            }
        }
        for segment in out.split('/') {
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            if decoded == "." || decoded == ".." {
                return Err(format!("the path segment `{decoded}` would address something else"));
            }
        }
        Ok(out)
    }

    /// A plain text, for headers and query values (which are encoded later).
    pub(super) fn text(&self, template: &Template) -> Result<String, String> {
        let mut out = String::new();
        for part in &template.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole(hole) => {
                    let value = self.hole(hole)?;
                    out.push_str(&text_of(&value).ok_or_else(|| format!("`{{{}}}` is null or a secret", hole.name))?);
                }
            }
        }
        Ok(out)
    }

    /// `name=value&…`, encoded.
    pub(super) fn query<'t>(
        &self,
        pairs: impl IntoIterator<Item = &'t (String, Template)>,
    ) -> Result<Vec<(String, String)>, String> {
        pairs.into_iter().map(|(name, template)| Ok((name.clone(), self.text(template)?))).collect()
    }

    /// A body.
    pub(super) fn body(&self, template: &BodyTemplate) -> Result<Value, String> {
        let mut named = Vec::new();
        for hole in template.holes() {
            named.extend(hole.path().segments().first().cloned());
        }
        self.fill(template, &named)
    }

    fn fill(&self, template: &BodyTemplate, named: &[String]) -> Result<Value, String> {
        Ok(match template {
            BodyTemplate::Literal(value) => value.clone(),
            BodyTemplate::Hole(hole) => self.travelling(hole)?,
            BodyTemplate::Text(template) => Value::String(self.text(template)?),
            BodyTemplate::List(items) => {
                Value::Array(items.iter().map(|item| self.fill(item, named)).collect::<Result<_, _>>()?)
            }
            BodyTemplate::Map(members, splat) => {
                let mut map = BTreeMap::new();
                if let (Some(splat), Some(all)) = (splat, self.all.and_then(Value::as_object)) {
                    let poured = all.iter().filter(|(name, _)| *splat != Splat::Rest || !named.contains(name));
                    map.extend(poured.map(|(name, value)| (name.clone(), value.clone())));
                }
                for (name, member) in members {
                    map.insert(name.clone(), self.fill(member, named)?);
                }
                Value::Object(map)
            }
        })
    }
}

/// A value as text, as it goes into an address.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Secret(_) => None,
        Value::Bool(_) | Value::Number(_) => Some(value.canonical().as_str().to_owned()),
        Value::Array(_) | Value::Object(_) => {
            let mut out = Vec::new();
            wire::write(value, &mut out);
            String::from_utf8(out).ok()
        }
    }
}

/// The query of a URL, with its question mark; empty without pairs.
pub(super) fn query_string(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.extend(utf8_percent_encode(name, SEGMENT));
        out.push('=');
        out.extend(utf8_percent_encode(value, SEGMENT));
    }
    out
}

fn encode(codec: Codec, value: &Value) -> Result<Value, String> {
    let text = || text_of(value).ok_or_else(|| format!("{} has no text", value.noun()));
    Ok(Value::String(match codec {
        Codec::B64 => STANDARD.encode(text()?),
        Codec::Int | Codec::Json => match value {
            Value::String(_) if codec == Codec::Json => {
                let mut out = Vec::new();
                wire::write(value, &mut out);
                String::from_utf8(out).map_err(|e| e.to_string())?
            }
            _ => text()?,
        },
        Codec::Csv => match value {
            Value::Array(items) => items.iter().filter_map(text_of).collect::<Vec<_>>().join(","),
            _ => text()?,
        },
        Codec::After => after(&text()?),
        Codec::Next => format!("{}\0", text()?),
        Codec::Quoted => format!("'{}'", text()?.replace('\'', "''")),
        Codec::Last => last_segment(&text()?).ok_or("what `last` is taken of is no address with an id at its end")?,
    }))
}

/// The first text that is greater than every text beginning with `prefix`.
fn after(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return chars.into_iter().collect();
        }
    }
    "\0".to_owned()
}

/// The last segment of an address's path, decoded: what a list of addresses tells of each.
pub(super) fn last_segment(address: &str) -> Option<String> {
    let path = address.split(['?', '#']).next()?;
    let segment = path.strip_suffix('/').unwrap_or(path).rsplit('/').next()?;
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_last_segment() {
        for (address, told) in [
            ("/1.0/profiles/default", Some("default")),
            ("/v1/Systems/a%2Fb/", Some("a/b")),
            ("https://h/v1/things/x?project=p#f", Some("x")),
            ("plain", Some("plain")),
            ("", None),
            ("/", None),
            ("/a/%ff", None),
        ] {
            assert_eq!(last_segment(address).as_deref(), told, "{address}");
        }
    }

    fn scene(name: &str) -> Scene<'static> {
        Scene { key: BTreeMap::from([(FieldPath::parse("name"), Value::from(name))]), ..Scene::default() }
    }

    fn path(name: &str) -> Result<String, String> {
        scene(name).path(&Template::parse("/things/{name}").unwrap())
    }

    #[test]
    fn a_value_is_one_opaque_segment_encoded_once() {
        for (name, expected) in [
            ("/", "/things/%2F"),
            ("a%2Fb+%2523", "/things/a%252Fb%2B%252523"),
            ("a?x=1#f;b\\", "/things/a%3Fx%3D1%23f%3Bb%5C"),
            ("a\r\nX: y", "/things/a%0D%0AX%3A%20y"),
            ("%2e%2e", "/things/%252e%252e"),
            ("~", "/things/~"),
            ("ü∕", "/things/%C3%BC%E2%88%95"),
        ] {
            assert_eq!(path(name).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_name_that_would_address_something_else_is_refused() {
        for name in ["", ".", ".."] {
            assert!(path(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_id_may_be_known_by_its_address_alone() {
        let template = Template::parse("/things/{name|last}/").unwrap();
        assert_eq!(scene("http://h/v1/things/a%2Fb/").path(&template).unwrap(), "/things/a%2Fb/");
        assert!(scene("/").path(&template).unwrap_err().contains("no address"));
        assert!(scene("/things/..").path(&template).is_err());
    }

    #[test]
    fn a_quoted_key_cannot_end_its_quotes() {
        let template = Template::parse("/Things({name|quoted})").unwrap();
        assert_eq!(scene("o'neill").path(&template).unwrap(), "/Things(%27o%27%27neill%27)");
        assert_eq!(scene("a/b").path(&template).unwrap(), "/Things(%27a%2Fb%27)");
    }

    #[test]
    fn a_key_range_ends_after_its_prefix() {
        assert_eq!(after("cfg/"), "cfg0");
        let params = BTreeMap::from([("prefix".to_owned(), "cfg/".to_owned())]);
        let scene = Scene { params: Some(&params), ..Scene::default() };
        let template = BodyTemplate::parse(&Value::from("{prefix|after|b64}")).unwrap();
        assert_eq!(scene.body(&template).unwrap(), Value::from("Y2ZnMA=="));
    }

    #[test]
    fn a_template_keeps_types_and_pours_the_rest() {
        let all: Value = [("name", Value::from("a")), ("ttl", Value::from(60))].into_iter().collect();
        let scene = Scene { all: Some(&all), stated: Some(&all), ..Scene::default() };
        let given =
            crate::model::parse_json(br#"{"r":[{"*":"rest","n":"{name}","t":"{ttl}","op":"x-{ttl}"}]}"#).unwrap();
        let body = scene.body(&BodyTemplate::parse(&given).unwrap()).unwrap();
        assert_eq!(body.canonical().as_str(), r#"{"r":[{"n":"a","op":"x-60","t":60}]}"#);
    }
}
