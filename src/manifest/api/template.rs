//! Texts and bodies with holes, and what may be done to a value on its way into one.

use std::collections::BTreeMap;

use crate::model::{FieldPath, Value};

/// A text with holes: `/queues/{vhost}/{name}`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Template {
    /// `//path`: counted from the endpoint's URL, not from the description's `base`.
    pub rooted: bool,
    /// Texts and holes, in order.
    pub parts: Vec<Part>,
}

/// One piece of a [`Template`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Sent as it stands.
    Text(String),
    /// Filled in.
    Hole(Hole),
}

/// A place where a value goes: `{name}`, `{prefix|after|b64}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hole {
    /// As written.
    pub name: String,
    /// Codecs, applied from left to right.
    pub codecs: Vec<Codec>,
}

/// What may be done to a value on its way into a hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// Base64 of the text.
    B64,
    /// A list as comma-separated text.
    Csv,
    /// A number as text.
    Int,
    /// JSON as text.
    Json,
    /// The first text after all that begin with this one (the end of a key range).
    After,
    /// The next text there can be: this one with a NUL behind it.
    Next,
    /// The last segment of an address: the id in it.
    Last,
    /// A text in single quotes, those inside of it doubled: a key as some APIs write it into a path.
    Quoted,
}

impl Codec {
    /// All of them, by the words of a description.
    const WORDS: [(&str, Self); 8] = [
        ("b64", Self::B64),
        ("csv", Self::Csv),
        ("int", Self::Int),
        ("json", Self::Json),
        ("after", Self::After),
        ("next", Self::Next),
        ("last", Self::Last),
        ("quoted", Self::Quoted),
    ];

    fn parse(word: &str) -> Result<Self, String> {
        let known = Self::WORDS.iter().find(|(known, _)| *known == word);
        known.map(|(_, codec)| *codec).ok_or_else(|| {
            let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
            format!("`{word}` is not a codec: {}", words.join(", "))
        })
    }

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, codec)| *codec == self).map_or("", |(word, _)| word)
    }
}

/// A body with holes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BodyTemplate {
    /// Sent as it stands.
    Literal(Value),
    /// `"{key}"`: the value itself, type kept.
    Hole(Hole),
    /// A text with holes inside.
    Text(Template),
    /// A list.
    List(Vec<BodyTemplate>),
    /// A mapping, and what else goes into it.
    Map(Vec<(String, BodyTemplate)>, Option<Splat>),
}

/// What `"*"` pours into a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Splat {
    /// Every field that is written.
    All,
    /// Every field that is written and has no hole of its own in the template.
    Rest,
    /// What is there, overlaid with what is written; for a create every field.
    Merged,
    /// Only what differs; for a create every field.
    Changes,
    /// The top fields in which something differs, each whole; for a create every field.
    Fields,
}

impl Template {
    /// Reads a text with holes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rooted, mut rest) = match text.strip_prefix("//") {
            Some(_) => (true, &text[1..]),
            None => (false, text),
        };
        let mut parts = Vec::new();
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (inside, tail) = after.split_once('}').ok_or_else(|| format!("`{text}` has a `{{` without a `}}`"))?;
            parts.push(Part::Hole(Hole::parse(inside)?));
            rest = tail;
        }
        if rest.contains('}') {
            return Err(format!("`{text}` has a `}}` without a `{{`"));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { rooted, parts })
    }

    /// The holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Text(_) => None,
        })
    }

    /// The path of the list that the item path stands in: this one less its last segment, a trailing slash kept.
    /// `None` unless the last segment is a single hole.
    pub fn collection(&self) -> Option<Self> {
        let mut parts = self.parts.clone();
        let slash = match parts.last() {
            Some(Part::Text(text)) if text == "/" => {
                parts.pop();
                true
            }
            _ => false,
        };
        match parts.pop() {
            Some(Part::Hole(_)) => {}
            _ => return None,
        }
        match parts.last_mut() {
            Some(Part::Text(text)) if text.ends_with('/') => {
                if !slash {
                    text.pop();
                }
                if text.is_empty() {
                    parts.pop();
                }
            }
            _ => return None,
        }
        Some(Self { rooted: self.rooted, parts })
    }
}

/// As it was written.
impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.rooted {
            f.write_str("/")?;
        }
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Hole(hole) => write!(f, "{hole}"),
        })
    }
}

/// As it was written.
impl std::fmt::Display for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}", self.name)?;
        self.codecs.iter().try_for_each(|codec| write!(f, "|{}", codec.word()))?;
        f.write_str("}")
    }
}

impl Hole {
    fn parse(inside: &str) -> Result<Self, String> {
        let mut words = inside.split('|');
        let name = words.next().unwrap_or_default().trim();
        if name.is_empty() {
            return Err("a hole without a name".to_owned());
        }
        let codecs = words.map(|word| Codec::parse(word.trim())).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), codecs })
    }

    /// The name as a path into an object.
    pub fn path(&self) -> FieldPath {
        FieldPath::parse(&self.name)
    }
}

impl BodyTemplate {
    /// The members that are sent as they stand here, and where. They win over what is poured.
    pub fn fixed(&self) -> Vec<(FieldPath, Value)> {
        fn walk(template: &BodyTemplate, at: &FieldPath, out: &mut Vec<(FieldPath, Value)>) {
            match template {
                BodyTemplate::Map(members, _) => {
                    members.iter().for_each(|(name, member)| walk(member, &at.join(name.as_str()), out));
                }
                BodyTemplate::Literal(Value::Object(map)) => {
                    let members = map.iter().map(|(name, value)| (at.join(name.as_str()), value.clone()));
                    members.for_each(|(at, value)| walk(&BodyTemplate::Literal(value), &at, out));
                }
                BodyTemplate::Literal(Value::Null) => {}
                BodyTemplate::Literal(value) => out.push((at.clone(), value.clone())),
                BodyTemplate::Hole(_) | BodyTemplate::Text(_) | BodyTemplate::List(_) => {}
            }
        }
        let mut out = Vec::new();
        walk(self, &FieldPath::root(), &mut out);
        out
    }

    /// Reads a template that a description holds.
    pub fn parse(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) if text.contains('{') => {
                let template = Template { rooted: false, ..Template::parse(text)? };
                match template.parts.as_slice() {
                    [Part::Hole(hole)] => Self::Hole(hole.clone()),
                    _ => Self::Text(template),
                }
            }
            Value::Array(items) => Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(map) => Self::parse_map(map)?,
            other => Self::Literal(other.clone()),
        })
    }

    fn parse_map(map: &BTreeMap<String, Value>) -> Result<Self, String> {
        let mut members = Vec::new();
        let mut splat = None;
        for (key, value) in map {
            if key == "*" {
                splat = match value.as_str() {
                    Some("all") => Some(Splat::All),
                    Some("rest") => Some(Splat::Rest),
                    Some("merged") => Some(Splat::Merged),
                    Some("changes") => Some(Splat::Changes),
                    Some("fields") => Some(Splat::Fields),
                    _ => return Err("`\"*\"` takes all, rest, merged, changes or fields".to_owned()),
                };
            } else {
                members.push((key.clone(), Self::parse(value)?));
            }
        }
        Ok(Self::Map(members, splat))
    }

    /// What is poured, if anything is.
    pub fn splat(&self) -> Option<Splat> {
        match self {
            Self::Literal(_) | Self::Hole(_) | Self::Text(_) => None,
            Self::List(items) => items.iter().find_map(Self::splat),
            Self::Map(members, splat) => splat.or_else(|| members.iter().find_map(|(_, member)| member.splat())),
        }
    }

    /// The holes, in order.
    pub fn holes(&self) -> Vec<&Hole> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Hole(hole) => vec![hole],
            Self::Text(text) => text.holes().collect(),
            Self::List(items) => items.iter().flat_map(Self::holes).collect(),
            Self::Map(members, _) => members.iter().flat_map(|(_, member)| member.holes()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_path_keeps_a_trailing_slash() {
        for (item, list) in [
            ("/services/{id}", Some("/services")),
            ("/vrfs/{id}/", Some("/vrfs/")),
            ("/a/{b}/c/{d}", Some("/a/{b}/c")),
            ("/profile", None),
            ("/x-{id}", None),
        ] {
            let collection = Template::parse(item).unwrap().collection().map(|t| t.to_string());
            assert_eq!(collection.as_deref(), list, "{item}");
        }
    }

    #[test]
    fn a_hole_may_name_codecs_and_nothing_else() {
        let template = Template::parse("{prefix|after|b64}").unwrap();
        assert_eq!(template.holes().next().unwrap().codecs, [Codec::After, Codec::B64]);
        assert_eq!(template.to_string(), "{prefix|after|b64}");
        assert!(Template::parse("{prefix|upper}").unwrap_err().contains("is not a codec"));
        assert!(Template::parse("/a/{b").is_err() && Template::parse("/a/b}").is_err());
        assert!(Template::parse("//id/{@id}").unwrap().rooted);
    }
}
