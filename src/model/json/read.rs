//! Reads JSON text, and says where it is none.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::model::plain::plain_run;
use crate::model::{Number, SecretRef, Value};

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

pub(super) fn parse_with(bytes: &[u8], references: bool) -> Result<Value, JsonError> {
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

    pub(super) fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
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
