//! What things are called: projects, targets, endpoints, kinds, keys, and the addresses made of them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Canonical, Value};

/// A name that breaks the rule for names.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a name: 1 to 63 of a-z, 0-9 and `-`")]
pub struct BadName(pub String);

/// Orders by content. Most names that are compared share one text, and then it need not be looked at.
macro_rules! ordered {
    ($name:ident) => {
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub struct $name(Arc<str>);

        ordered! { $name }

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                if (1..=63).contains(&text.len()) && text.bytes().all(good) {
                    Ok(Self(text.into()))
                } else {
                    Err(BadName(text.to_owned()))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a project: `[a-z0-9-]{1,63}`.
    ///
    /// Names of different things cannot be swapped:
    ///
    /// ```compile_fail
    /// use ctl::model::{ProjectName, TargetName};
    /// let target: TargetName = "dns".parse::<ProjectName>().unwrap();
    /// ```
    ProjectName
}
name! {
    /// The name of a target: `[a-z0-9-]{1,63}`.
    TargetName
}
name! {
    /// The name of one endpoint of a target: `[a-z0-9-]{1,63}`. A target with one `url` has the endpoint `default`.
    EndpointName
}

impl EndpointName {
    /// The endpoint of a target that has a `url` and no names.
    pub fn only() -> Self {
        Self("default".into())
    }
}

/// What sort of thing a resource is, as its description calls it: `queue`, `deployments.apps`. Never a version.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kind(Arc<str>);

ordered! { Kind }

impl Kind {
    /// Takes the description's word.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The values of a kind's key fields, in the order of the description, normalised. Shared by all that name the resource.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<[Canonical]>);

ordered! { Key }

impl Key {
    /// Makes a key of its values, in key order.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        Self(values.into_iter().map(Value::canonical).collect())
    }

    /// Makes a key of plain texts, in key order.
    pub fn of_texts(texts: &[&str]) -> Self {
        Self(texts.iter().map(|t| Value::from(*t).canonical()).collect())
    }

    /// Reads what [`Key::canonical`] wrote; anything else is none.
    pub fn from_canonical(text: &str) -> Option<Self> {
        if let Some(key) = Self::of_plain_strings(text) {
            return Some(key);
        }
        let Value::Array(parts) = Canonical::from_stored(text.as_bytes()).ok()?.value() else { return None };
        let key = Self::new(&parts);
        (key.canonical() == text).then_some(key)
    }

    /// The common case: strings without an escape, which are canonical as they stand.
    fn of_plain_strings(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('[')?.strip_suffix(']')?;
        let mut parts = Vec::with_capacity(1);
        loop {
            let end = rest.strip_prefix('"')?.find('"')? + 2;
            let part = &rest[..end];
            if part.bytes().any(|b| b == b'\\' || b < 0x20) {
                return None;
            }
            parts.push(Canonical::from_verified(part.as_bytes()));
            rest = &rest[end..];
            if rest.is_empty() {
                return Some(Self(parts.into()));
            }
            rest = rest.strip_prefix(',')?;
        }
    }

    /// The values, in key order.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        self.0.iter().map(Canonical::value)
    }

    /// Each part as it goes into an address or a path before escaping: a string as it is, all else as canonical JSON.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|part| match part.value() {
            Value::String(text) => text,
            _ => part.as_str().to_owned(),
        })
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for a key without parts (a singleton's).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key made of the parts at `indexes`.
    pub fn project(&self, indexes: &[usize]) -> Option<Self> {
        indexes.iter().map(|i| self.0.get(*i).cloned()).collect::<Option<Arc<[_]>>>().map(Self)
    }

    /// The canonical text of the parts, for sorting, hashing and storing.
    pub fn canonical(&self) -> String {
        let parts: Vec<&str> = self.0.iter().map(Canonical::as_str).collect();
        format!("[{}]", parts.join(","))
    }
}

/// `field/field`, each part percent-encoded.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, text) in self.texts().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            write_encoded(&text, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What stands in an address as it is: letters, digits, `-`, `.`, `_`, `~`, `@` and `*`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~@*".contains(&byte)
}

/// An address as it would be written here: `%40` is `@`, and `%2f` is `%2F`. An escaped star stays one, and is no glob.
pub fn spelled(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    let mut rest = address;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let hex = after.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        rest = match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if is_plain(byte) && byte != b'*' => {
                out.push(char::from(byte));
                &after[2..]
            }
            Some(byte) => {
                out.push_str(&format!("%{byte:02X}"));
                &after[2..]
            }
            None => {
                out.push('%');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

/// Percent-encodes all that is not plain.
fn write_encoded(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in text.bytes() {
        if is_plain(byte) {
            write!(f, "{}", byte as char)?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// What a resource is: target, kind and key, never a version. Written `target:kind/field/field`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResourceId {
    /// Where it lives.
    pub target: TargetName,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Which one.
    pub key: Key,
}

impl ResourceId {
    /// `kind/field/field`: the address inside its target.
    pub fn local(&self) -> String {
        format!("{}/{}", self.kind, self.key)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.target, self.kind, self.key)
    }
}

/// The ownership mark that a resource carries at its target: `ctl/PROJECT`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mark(String);

impl Mark {
    /// The mark of a project.
    pub fn of(project: &ProjectName) -> Self {
        Self(format!("ctl/{project}"))
    }

    /// Reads a mark that was found at a target; `None` if the text is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix("ctl/")?.parse::<ProjectName>().ok().map(|p| Self::of(&p))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// True if `text` fits `glob`, in which `*` stands for any run of characters and `?` for one.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some('?') => (g, t) = (g + 1, t + 1),
            Some(c) if *c == text[t] => (g, t) = (g + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (g, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_encodes_each_field_once() {
        let id = ResourceId {
            target: "mq".parse().unwrap(),
            kind: Kind::new("queue"),
            key: Key::new(&[Value::from("/"), Value::from("a%2F b"), Value::object()]),
        };
        assert_eq!(id.to_string(), "mq:queue/%2F/a%252F%20b/%7B%7D");
    }

    #[test]
    fn an_address_may_escape_more_than_it_has_to() {
        for (written, expected) in [
            ("user/a%40b", "user/a@b"),
            ("queue/%2f/a%2Db", "queue/%2F/a-b"),
            ("queue/%2A*", "queue/%2A*"),
            ("queue/a%+1%zz%4", "queue/a%+1%zz%4"),
            ("queue/a%25 ü%é", "queue/a%25 ü%é"),
        ] {
            assert_eq!(spelled(written), expected);
        }
    }

    #[test]
    fn names_are_lowercase_and_short() {
        assert!("dns-a1".parse::<TargetName>().is_ok());
        for bad in ["", "Dns", "a_b", "a/b", &"x".repeat(64)] {
            assert!(bad.parse::<TargetName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn globs_match_whole_texts() {
        for (glob, text, expected) in [
            ("mq-*", "mq-eu", true),
            ("*", "", true),
            ("a*c", "abd", false),
            ("a?c", "abc", true),
            ("*.b.*", "a.b.c", true),
        ] {
            assert_eq!(glob_matches(glob, text), expected, "{glob} on {text}");
        }
    }
}
