//! JSON in and out, with exact numbers, a depth limit and no silent duplicate key.
//!
//! serde_json keeps numbers beyond 64 bits only behind a feature that changes every other user of it in the build
//! (`arbitrary_precision`); this reader exists for that, and for errors that say where.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::plain::plain_run;
use super::version::sha256;
use super::{Digest, Number, SecretRef, Value};

/// How deep a value may nest before it is refused.
pub const MAX_DEPTH: usize = 64;

/// Why a text is not JSON that we take, and the byte at which that showed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} at byte {offset}")]
pub struct JsonError {
    /// A lowercase fragment.
    pub message: &'static str,
    /// Where, in bytes from the start.
    pub offset: usize,
}

/// Reads one JSON text. Every `{"$secret": …}` in it is plain data: only manifests and records hold references.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_with(bytes, false)
}

fn parse_with(bytes: &[u8], references: bool) -> Result<Value, JsonError> {
    let mut reader = Reader { bytes, at: 0, references };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < bytes.len() {
        return Err(reader.fault("more text after the value"));
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    references: bool,
}

impl Reader<'_> {
    fn fault(&self, message: &'static str) -> JsonError {
        JsonError { message, offset: self.at }
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Result<u8, JsonError> {
        self.space();
        self.bytes.get(self.at).copied().ok_or_else(|| self.fault("the text ends early"))
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.fault("not a JSON value"))
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.fault("nested more than 64 deep"));
        }
        match self.peek()? {
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => Ok(Value::String(self.string()?)),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.fault("not a JSON value")),
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let rest = &self.bytes[self.at..];
        let len = rest
            .iter()
            .position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let number = std::str::from_utf8(&rest[..len]).ok().and_then(Number::parse);
        let number = number.ok_or_else(|| self.fault("not a JSON number"))?;
        self.at += len;
        Ok(Value::Number(number))
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.fault("expected ',' or ']'")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut map = BTreeMap::new();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            if self.peek()? != b'"' {
                return Err(self.fault("expected a key in quotes"));
            }
            let key_at = self.at;
            let key = self.string()?;
            if self.peek()? != b':' {
                return Err(self.fault("expected ':'"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            match map.entry(key) {
                Entry::Vacant(slot) => slot.insert(value),
                Entry::Occupied(_) => return Err(JsonError { message: "a key stands twice", offset: key_at }),
            };
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(if self.references { dereference(map) } else { Value::Object(map) });
                }
                _ => return Err(self.fault("expected ',' or '}'")),
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let start = self.at;
        let rest = &self.bytes[start..];
        let plain = plain_run(rest);
        let mut text = self.utf8(start, start + plain)?.to_owned();
        self.at = start + plain;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(0..=0x1f) => return Err(self.fault("a control character inside a string")),
                Some(_) => {
                    let start = self.at;
                    let run = plain_run(&self.bytes[start..]);
                    text.push_str(self.utf8(start, start + run)?);
                    self.at += run;
                }
                None => return Err(self.fault("the text ends inside a string")),
            }
        }
    }

    fn utf8(&self, from: usize, to: usize) -> Result<&str, JsonError> {
        std::str::from_utf8(&self.bytes[from..to])
            .map_err(|e| JsonError { message: "not UTF-8", offset: from + e.valid_up_to() })
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.bytes.get(self.at).copied().ok_or_else(|| self.fault("the text ends inside a string"))?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4()?;
                let code = if (0xd800..0xdc00).contains(&high) {
                    if !self.bytes[self.at..].starts_with(b"\\u") {
                        return Err(self.fault("half of a surrogate pair"));
                    }
                    self.at += 2;
                    let low = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(self.fault("half of a surrogate pair"));
                    }
                    0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    high
                };
                char::from_u32(code).ok_or_else(|| self.fault("half of a surrogate pair"))?
            }
            _ => return Err(self.fault("not an escape")),
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.bytes.get(self.at..self.at + 4).and_then(|d| std::str::from_utf8(d).ok());
        let code = digits
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .ok_or_else(|| self.fault("not four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

/// Turns a `{"$secret": …}` of a canonical text back into a reference, and `$$…` into data.
fn dereference(map: BTreeMap<String, Value>) -> Value {
    if let Some(Value::String(name)) = map.get("$secret") {
        let version = map.get("version").and_then(|v| match v {
            Value::Number(n) => n.as_u64(),
            _ => None,
        });
        if map.len() == 1 || (map.len() == 2 && version.is_some()) {
            return Value::Secret(SecretRef { name: name.clone(), version });
        }
    }
    if !map.keys().any(|key| key.starts_with("$$")) {
        return Value::Object(map);
    }
    let plain = |key: String| if key.starts_with("$$") { key[1..].to_owned() } else { key };
    Value::Object(map.into_iter().map(|(key, value)| (plain(key), value)).collect())
}

pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) => out.extend_from_slice(n.as_str().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            out.push(b'{');
            // Every key that begins with `$` gains one, so that no data can be read back as a reference.
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                if key.starts_with('$') {
                    write_string(&format!("${key}"), out);
                } else {
                    write_string(key, out);
                }
                out.push(b':');
                write(item, out);
            }
            out.push(b'}');
        }
        Value::Secret(reference) => {
            out.extend_from_slice(b"{\"$secret\":");
            write_string(&reference.name, out);
            if let Some(version) = reference.version {
                out.extend_from_slice(format!(",\"version\":{version}").as_bytes());
            }
            out.push(b'}');
        }
    }
}

/// Writes `text` in quotes, escaping only what JSON demands.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut from = 0;
    let plain = plain_run(text.as_bytes());
    for (i, byte) in text.bytes().enumerate().skip(plain) {
        let escape: Option<&[u8]> = match byte {
            b'"' => Some(b"\\\""),
            b'\\' => Some(b"\\\\"),
            b'\n' => Some(b"\\n"),
            b'\r' => Some(b"\\r"),
            b'\t' => Some(b"\\t"),
            0x8 => Some(b"\\b"),
            0xc => Some(b"\\f"),
            0..=0x1f => None,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..i]);
        match escape {
            Some(bytes) => out.extend_from_slice(bytes),
            None => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        from = i + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

/// Sees of most canonical texts that they are, without building anything: no escape in a key, no key with a `$`, and
/// numbers that are short integers. Where it says no, only the whole way through a tree can tell.
struct Glance<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Glance<'a> {
    fn is_canonical(bytes: &'a [u8]) -> bool {
        let mut glance = Self { bytes, at: 0 };
        std::str::from_utf8(bytes).is_ok() && glance.value(0) && glance.at == bytes.len()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let there = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        there
    }

    fn value(&mut self, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        match self.bytes.get(self.at) {
            Some(b'"') => self.string().is_some(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'n') => self.word(b"null"),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(_) => self.integer(),
            None => false,
        }
    }

    fn integer(&mut self) -> bool {
        self.take(b'-');
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let plain = match rest.first() {
            Some(b'0') => digits == 1 && (self.at == 0 || self.bytes[self.at - 1] != b'-'),
            _ => (1..=15).contains(&digits),
        };
        self.at += digits;
        plain && !matches!(rest.get(digits), Some(b'.' | b'e' | b'E' | b'+' | b'-'))
    }

    fn array(&mut self, depth: usize) -> bool {
        self.at += 1;
        if self.take(b']') {
            return true;
        }
        loop {
            if !self.value(depth + 1) {
                return false;
            }
            if !self.take(b',') {
                return self.take(b']');
            }
        }
    }

    fn object(&mut self, depth: usize) -> bool {
        self.at += 1;
        if self.take(b'}') {
            return true;
        }
        let mut before: Option<&[u8]> = None;
        loop {
            let Some((key, false)) = self.string() else { return false };
            if key.starts_with(b"$") || before.is_some_and(|before| before >= key) || !self.take(b':') {
                return false;
            }
            before = Some(key);
            if !self.value(depth + 1) {
                return false;
            }
            if !self.take(b',') {
                return self.take(b'}');
            }
        }
    }

    /// What is between the quotes, and whether there is an escape in it.
    fn string(&mut self) -> Option<(&'a [u8], bool)> {
        if !self.take(b'"') {
            return None;
        }
        let (start, mut escaped) = (self.at, false);
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some((&self.bytes[start..self.at - 1], escaped));
                }
                b'\\' => {
                    escaped = true;
                    if !matches!(self.bytes.get(self.at + 1)?, b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f') {
                        return None;
                    }
                    self.at += 2;
                }
                _ => return None,
            }
        }
    }
}

/// A value as canonical JSON bytes: sorted, UTF-8, without white space, numbers in one spelling.
///
/// Two values are equal exactly when their canonical bytes are. A clone shares them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical(Arc<[u8]>);

impl Canonical {
    pub(super) fn from_written(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// Takes canonical bytes that were stored; anything that is not in canonical form is refused.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, JsonError> {
        if Glance::is_canonical(bytes) {
            return Ok(Self(bytes.into()));
        }
        let canonical = parse_with(bytes, true)?.canonical();
        if canonical.as_bytes() == bytes {
            Ok(canonical)
        } else {
            Err(JsonError { message: "not in canonical form", offset: 0 })
        }
    }

    /// Puts an object together from members that are canonical themselves. Names must be sorted and plain, as
    /// [`super::members()`] gives them; `None` otherwise.
    pub fn of_members<'a>(members: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let mut out = Vec::with_capacity(512);
        let mut before: Option<&str> = None;
        for (name, raw) in members {
            let plain = name.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') && !name.starts_with('$');
            if !plain || before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            out.push(if out.is_empty() { b'{' } else { b',' });
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(raw);
        }
        if out.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        Some(Self::from_written(out))
    }

    /// Takes bytes that this program wrote in canonical form and whose digest was verified, without parsing them.
    pub fn from_verified(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The tree, with secret references restored.
    pub fn value(&self) -> Value {
        parse_with(&self.0, true).unwrap_or_else(|e| unreachable!("canonical bytes parse: {e}"))
    }

    /// False if there is certainly no secret reference inside; cheap.
    pub fn may_hold_secret(&self) -> bool {
        self.0.contains(&b'$') && self.as_str().contains("{\"$secret\":")
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_else(|e| unreachable!("canonical bytes are UTF-8: {e}"))
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        sha256(&self.0)
    }
}

impl std::fmt::Debug for Canonical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_is_sorted_exact_and_without_white_space() {
        let value =
            parse(br#" { "b" : [1.0, 2e2, 12345678901234567890123], "a": "x\u0001\u00e9\ud83d\ude00\/" } "#).unwrap();
        assert_eq!(value.canonical().as_str(), "{\"a\":\"x\\u0001é😀/\",\"b\":[1,200,12345678901234567890123]}");
    }

    /// The long way, which every text takes that is not seen to be canonical at a glance.
    fn is_canonical_by_its_tree(bytes: &[u8]) -> bool {
        parse_with(bytes, true).is_ok_and(|value| value.canonical().as_bytes() == bytes)
    }

    #[test]
    fn what_is_canonical_at_a_glance_is_canonical() {
        let texts = [
            r#"{"a":1,"b":[-10,0,123456789012345,"x\ny\"",null,true,false,{}],"c":{"d":[],"é":"😀"}}"#,
            r#"{"$$x":1,"a":{"$secret":"pw","version":2}}"#,
            r#"["a\u0001","-0",-1,1234567890123456789012345,0.5,1e400]"#,
            r#""""#,
            "7",
        ];
        let mut seen = 0;
        for text in texts {
            assert!(is_canonical_by_its_tree(text.as_bytes()), "{text}");
            seen += usize::from(Glance::is_canonical(text.as_bytes()));
            // Every single change of a byte, every byte taken out, and some put in.
            for at in 0..text.len() {
                for byte in b"0159-+.eE\"\\{}[],: \n$antf/u\x80\xc3\x01" {
                    let mut changed = text.as_bytes().to_vec();
                    changed[at] = *byte;
                    let mut longer = text.as_bytes().to_vec();
                    longer.insert(at, *byte);
                    let mut shorter = text.as_bytes().to_vec();
                    shorter.remove(at);
                    for bytes in [changed, longer, shorter] {
                        if Glance::is_canonical(&bytes) {
                            assert!(is_canonical_by_its_tree(&bytes), "{}", String::from_utf8_lossy(&bytes));
                        }
                    }
                }
            }
        }
        assert_eq!(seen, 3, "plain texts are seen at a glance");
        for text in
            [r#"{"b":1,"a":2}"#, r#"{"a":1,"a":2}"#, "-0", "01", "1.0", "[1, 2]", "", "-", "[", "\"a", "[1]]", "\"\\"]
        {
            assert!(!Glance::is_canonical(text.as_bytes()), "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for depth in [MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 2] {
            let text = nested(depth);
            assert_eq!(Glance::is_canonical(text.as_bytes()), is_canonical_by_its_tree(text.as_bytes()), "{depth}");
        }
    }

    #[test]
    fn only_canonical_bytes_are_taken_from_a_store() {
        let good = [
            "{}",
            "[]",
            "0",
            "12",
            "-1",
            "1.5",
            "\"é\"",
            "\"a\\\"b\"",
            "null",
            "[true,false,null]",
            "1234567890123456789012",
            r#"{"":1,"a":{"b":[{}]},"b":[]}"#,
            r#"{"$$x":1}"#,
            r#"{"$secret":"pw"}"#,
            "1e400",
        ];
        for text in good {
            assert_eq!(Canonical::from_stored(text.as_bytes()).unwrap().as_str(), text);
        }
        let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
        let bad = [
            " 1",
            "1 ",
            "01",
            "1.0",
            "-0",
            "1e2",
            "{\"b\":1,\"a\":1}",
            "{\"a\":1,\"a\":1}",
            "{\"a\": 1}",
            "[1,]",
            "[1",
            "tru",
            "\"\\u0061\"",
            "\"a",
            "",
            "{\"a\"}",
            "{,}",
            "\"\u{1}\"",
            "nulls",
            "1234567890123456789012.0",
            &deep,
        ];
        for text in bad {
            assert!(Canonical::from_stored(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Canonical::from_stored(b"\"\xff\"").is_err());
    }

    #[test]
    fn what_is_not_json_says_where() {
        for (text, offset) in [
            ("{\"a\":1,\"a\":2}", 7),
            ("[1,]", 3),
            ("{\"a\" 1}", 5),
            ("\"\\ud800\"", 7),
            ("[1] x", 4),
            ("", 0),
            ("nul", 0),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().offset, offset, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(deep.as_bytes()).unwrap_err().message, "nested more than 64 deep");
    }

    #[test]
    fn a_reference_survives_and_data_that_looks_like_one_stays_data() {
        let secret = Value::Secret(SecretRef { name: "pw".into(), version: Some(2) });
        assert_eq!(secret.canonical().value(), secret);
        for text in [
            r#"{"$secret":"pw"}"#,
            r#"{"$$x":1}"#,
            r#"{"$ref":"a"}"#,
            r#"{"$a":{"$secret":"q"}}"#,
            r#"{"$secret":"x","version":2}"#,
        ] {
            let data = parse(text.as_bytes()).unwrap();
            assert_eq!(data.canonical().value(), data, "{text}");
            assert!(!data.holds_secret());
        }
    }
}
