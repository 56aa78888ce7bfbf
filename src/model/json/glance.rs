//! Whether a text is canonical, seen without building anything.

use super::read::MAX_DEPTH;
use crate::model::plain::plain_run;

/// Sees of most canonical texts that they are, without building anything: no escape in a key, no key with a `$`, and
/// numbers that are short integers. Where it says no, only the whole way through a tree can tell.
pub(super) struct Glance<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Glance<'a> {
    pub(super) fn is_canonical(bytes: &'a [u8]) -> bool {
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

    pub(super) fn value(&mut self, depth: usize) -> bool {
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
    pub(super) fn string(&mut self) -> Option<(&'a [u8], bool)> {
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
