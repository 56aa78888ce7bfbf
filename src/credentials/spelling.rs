//! How a value looks on its way through encoders, and where one stands in a text.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// A value shorter than this is not searched for: it would hide half of every output.
const SHORTEST: usize = 4;
/// A line of a longer value that is searched for on its own.
const SHORTEST_LINE: usize = 8;
/// A word of a longer value that is searched for on its own.
const SHORTEST_WORD: usize = 16;
/// A base64 piece shorter than this is not searched for.
const SHORTEST_PIECE: usize = 5;

/// What URLs leave as it is.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What lazy encoders leave as it is.
const LAZY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'%').add(b'#').add(b'?');

/// What an escape begins with.
const ESCAPES: [char; 3] = ['\\', '%', '&'];

/// What stands where a long text was cut.
const DOTS: [&str; 2] = ["…", "..."];

/// How often a text is decoded: JSON in JSON in a URL is three.
const LEVELS: usize = 3;

/// The spellings that `value` may take on its way: as it is, line by line, base64 at any alignment, URL-encoded,
/// JSON-escaped, as a Rust literal, hexadecimal.
pub fn spellings(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    spell(value, &mut found);
    if value.trim() != value {
        spell(value.trim(), &mut found);
    }
    if value.contains('\n') {
        for line in value.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST_LINE) {
            spell(line, &mut found);
        }
    }
    // `Bearer TOKEN` may come back as the token alone.
    for word in value.split_whitespace().filter(|word| *word != value && word.chars().count() >= SHORTEST_WORD) {
        spell(word, &mut found);
    }
    found
}

/// `text` with `<secret NAME>` (or `<secret>`, where the name is empty) wherever one of `spellings` (to its name) stands.
///
/// Encoders differ in what they leave as it is, so the text is also searched as a reader would decode it: `\"`, `\u00e4`,
/// `%2F`, `&#47;`, in any mixture, and again for what was encoded twice.
pub fn hidden(text: &str, spellings: &BTreeMap<String, String>) -> String {
    if spellings.is_empty() {
        return text.to_owned();
    }
    let mut hits: Vec<(usize, usize, &str)> = Vec::new();
    for (spelling, name) in spellings {
        hits.extend(text.match_indices(spelling.as_str()).map(|(at, _)| (at, at + spelling.len(), name.as_str())));
    }
    // Line by line: an encoder writes the end of a line as a sign of its own, and an output may be large.
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.contains(ESCAPES) {
            decoded_hits(line, start, spellings, &mut hits);
        }
        start += line.len();
    }
    for dots in DOTS {
        for (at, _) in text.match_indices(dots) {
            cut_hits(text, at, at + dots.len(), spellings, &mut hits);
        }
    }
    if hits.is_empty() {
        return text.to_owned();
    }
    // The longest of those that begin at one place goes first; what overlaps becomes one gap.
    hits.sort_by_key(|(from, to, _)| (*from, std::cmp::Reverse(*to)));
    let mut out = String::with_capacity(text.len());
    let mut shown = 0;
    for (from, to, name) in hits {
        if from >= shown {
            out.push_str(text.get(shown..from).unwrap_or_default());
            out.push_str("<secret");
            out.push_str(if name.is_empty() { "" } else { " " });
            out.push_str(name);
            out.push('>');
        }
        shown = shown.max(to);
    }
    out.push_str(text.get(shown..).unwrap_or_default());
    out
}

/// What of a spelling stands right before a cut, from `from` to `to`, or right behind it: whoever shortens a long text may
/// do so in the middle of a secret.
fn cut_hits<'s>(
    text: &str,
    from: usize,
    to: usize,
    spellings: &'s BTreeMap<String, String>,
    hits: &mut Vec<(usize, usize, &'s str)>,
) {
    let (before, after) = (&text[..from], &text[to..]);
    for (spelling, name) in spellings {
        let places = || spelling.char_indices().map(|(at, _)| at);
        let head = places().rev().filter(|at| *at >= SHORTEST).find(|at| before.ends_with(&spelling[..*at]));
        hits.extend(head.map(|len| (from - len, from, name.as_str())));
        let tail = places().skip(1).filter(|at| spelling.len() - at >= SHORTEST);
        let tail = tail.map(|at| &spelling[at..]).find(|tail| after.starts_with(tail));
        hits.extend(tail.map(|tail| (to, to + tail.len(), name.as_str())));
    }
}

/// Where a spelling stands in what a reader makes of `line`, which begins at `start`.
fn decoded_hits<'s>(
    line: &str,
    start: usize,
    spellings: &'s BTreeMap<String, String>,
    hits: &mut Vec<(usize, usize, &'s str)>,
) {
    let byte = |(at, byte)| Byte { byte, from: start + at, to: start + at + 1 };
    let mut here: Vec<Byte> = line.bytes().enumerate().map(byte).collect();
    for _ in 0..LEVELS {
        let Some(next) = decoded(&here) else { break };
        let bytes: Vec<u8> = next.iter().map(|b| b.byte).collect();
        for (spelling, name) in spellings {
            let wanted = spelling.as_bytes();
            let starts = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
            hits.extend(starts.map(|(at, _)| (next[at].from, next[at + wanted.len() - 1].to, name.as_str())));
        }
        here = next;
    }
}

/// A byte, and where what it was read from stands in the text.
#[derive(Clone, Copy)]
struct Byte {
    byte: u8,
    from: usize,
    to: usize,
}

/// What a reader makes of `text`; `None` if there is nothing to decode in it.
fn decoded(text: &[Byte]) -> Option<Vec<Byte>> {
    if !text.iter().any(|b| ESCAPES.contains(&char::from(b.byte))) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut found) = (0, false);
    while let Some(here) = text.get(at) {
        let escape = match here.byte {
            b'\\' => backslash(&text[at..]),
            b'%' => hex(&text[at + 1..], 2).map(|n| (vec![n.to_le_bytes()[0]], 3)),
            b'&' => entity(&text[at..]),
            _ => None,
        };
        match escape {
            Some((bytes, taken)) => {
                let to = text.get(at + taken - 1).map_or(here.to, |last| last.to);
                out.extend(bytes.into_iter().map(|byte| Byte { byte, from: here.from, to }));
                (at, found) = (at + taken, true);
            }
            None => {
                out.push(*here);
                at += 1;
            }
        }
    }
    found.then_some(out)
}

/// The number that the first `digits` signs are.
fn hex(text: &[Byte], digits: usize) -> Option<u32> {
    let text = text.get(..digits)?;
    text.iter().try_fold(0_u32, |n, b| Some(n.checked_mul(16)? + char::from(b.byte).to_digit(16)?))
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    char::from_u32(code).map(|c| c.to_string().into_bytes())
}

/// `\"`, `\n`, `\x41`, `\u00e4`, `\ud83d\ude00`, `\u{e4}`: its bytes, and how many signs it takes.
fn backslash(text: &[Byte]) -> Option<(Vec<u8>, usize)> {
    let plain = |byte: u8| Some((vec![byte], 2));
    match text.get(1)?.byte {
        byte @ (b'"' | b'\\' | b'/' | b'\'') => plain(byte),
        b'n' => plain(b'\n'),
        b'r' => plain(b'\r'),
        b't' => plain(b'\t'),
        b'x' => Some((utf8(hex(&text[2..], 2)?)?, 4)),
        b'u' if text.get(2)?.byte == b'{' => {
            let digits = text[3..].iter().take(7).position(|b| b.byte == b'}')?;
            Some((utf8(hex(&text[3..], digits)?)?, digits + 4))
        }
        b'u' => {
            let first = hex(&text[2..], 4)?;
            if !(0xd800..0xdc00).contains(&first) {
                return Some((utf8(first)?, 6));
            }
            let next = text.get(6..8)?;
            let low = hex(text.get(8..)?, 4).filter(|low| (0xdc00..0xe000).contains(low))?;
            let pair = next[0].byte == b'\\' && next[1].byte == b'u';
            let code = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            if pair { Some((utf8(code)?, 12)) } else { None }
        }
        _ => None,
    }
}

/// `&amp;`, `&#47;`, `&#x2f;`.
fn entity(text: &[Byte]) -> Option<(Vec<u8>, usize)> {
    let end = text.iter().take(10).position(|b| b.byte == b';')?;
    let name: Vec<u8> = text.get(1..end)?.iter().map(|b| b.byte).collect();
    let name = std::str::from_utf8(&name).ok()?;
    let bytes = match (name, name.strip_prefix('#')) {
        ("amp", _) => b"&".to_vec(),
        ("lt", _) => b"<".to_vec(),
        ("gt", _) => b">".to_vec(),
        ("quot", _) => b"\"".to_vec(),
        ("apos", _) => b"'".to_vec(),
        (_, Some(number)) => utf8(match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        })?,
        _ => return None,
    };
    Some((bytes, end + 1))
}

/// All spellings of `value` that are long enough to be searched for.
fn spell(value: &str, out: &mut Vec<String>) {
    if value.chars().count() < SHORTEST {
        return;
    }
    out.push(value.to_owned());
    let json = serde_json::Value::from(value).to_string();
    let json = &json[1..json.len() - 1];
    out.push(json.to_owned());
    out.push(json.replace('/', "\\/"));
    out.push(json.escape_default().to_string());
    out.push(value.escape_debug().to_string());
    out.push(value.escape_default().to_string());
    out.push(ascii_json(value));
    for set in [URL, NON_ALPHANUMERIC, LAZY] {
        let encoded = utf8_percent_encode(value, set).to_string();
        out.push(lower_escapes(&encoded));
        out.push(encoded.replace("%20", "+"));
        out.push(encoded);
    }
    let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
    out.push(hex.to_ascii_uppercase());
    out.push(hex);
    // By itself it is known to its last sign.
    out.push(STANDARD.encode(value));
    out.push(URL_SAFE.encode(value));
    for skip in 0..3 {
        let mut bytes = vec![0_u8; skip];
        bytes.extend_from_slice(value.as_bytes());
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            // The first and the last sign depend on what stands before and behind.
            let first = [0, 2, 3][skip];
            let last = text.len() - usize::from(bytes.len() % 3 != 0);
            if let Some(piece) = text.get(first..last).filter(|piece| piece.len() >= SHORTEST_PIECE) {
                out.push(piece.to_owned());
            }
        }
    }
}

/// JSON as encoders write it that keep to ASCII.
fn ascii_json(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            ' '..='~' if !matches!(c, '"' | '\\' | '<' | '>' | '&' | '\'') => out.push(c),
            _ => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = 0_u8;
    for c in text.chars() {
        if c == '%' {
            rest = 3;
        }
        out.push(if rest > 0 { c.to_ascii_lowercase() } else { c });
        rest = rest.saturating_sub(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_however_encoders_mix_their_escapes() {
        let secret = "pä$\"w\\o<r>d+😀Canary/7 &x";
        let known = spellings(secret).into_iter().map(|spelling| (spelling, String::new())).collect();
        let python = r#"p\u00e4$\"w\\o<r>d+\ud83d\ude00Canary/7 &x"#;
        let numbers: String = secret.chars().map(|c| format!("&#{};", u32::from(c))).collect();
        for echo in [
            python.to_owned(),
            serde_json::to_string(python).unwrap().trim_matches('"').to_owned(),
            "p%C3%A4%24%22w%5Co%3Cr%3Ed%2B%F0%9F%98%80Canary/7%20%26x".to_owned(),
            "pä$&quot;w\\o&lt;r&gt;d+😀Canary/7 &amp;x".to_owned(),
            numbers,
            r#"p\u{e4}$\"w\\o<r>d+\u{1f600}Canary/7 &x"#.to_owned(),
        ] {
            assert_eq!(hidden(&format!("ä {echo} \\u end"), &known), "ä <secret> \\u end", "{echo}");
        }
    }

    #[test]
    fn what_only_looks_like_an_escape_is_left_as_it_is() {
        let known = [("swordfish".to_owned(), String::new())].into();
        for text in [
            "\\",
            "%",
            "&",
            "\\u12",
            "\\ud83d",
            "\\ud83d\\n",
            "\\u{",
            "\\u{}",
            "%z9",
            "&#;",
            "&#x110000;",
            "a\\q",
            "ü%c",
        ] {
            assert_eq!(hidden(text, &known), text);
        }
    }
}
