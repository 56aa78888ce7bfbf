use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::Secret;

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

/// Hides secrets that are known by now, wherever their value lands. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Spelling of a secret -> its name.
    spellings: Arc<RwLock<BTreeMap<String, String>>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Hides `value` from now on, in each spelling that it may take on its way: as it is, line by line, base64 at any
    /// alignment, URL-encoded, JSON-escaped, as a Rust literal, hexadecimal.
    #[expect(clippy::disallowed_methods, reason = "output is searched for the value in order to hide it")]
    pub fn learn(&self, name: &str, value: &Secret) {
        let value = value.expose();
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
        let mut spellings = self.spellings.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in found {
            spellings.entry(spelling).or_insert_with(|| name.to_owned());
        }
    }

    /// `text` with `<secret NAME>` wherever a secret stood.
    pub fn hide(&self, text: &str) -> String {
        let spellings = self.spellings.read().unwrap_or_else(PoisonError::into_inner);
        let mut hits: Vec<(usize, usize, &str)> = Vec::new();
        for (spelling, name) in spellings.iter() {
            hits.extend(text.match_indices(spelling.as_str()).map(|(at, _)| (at, at + spelling.len(), name.as_str())));
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
                out.push_str(&text[shown..from]);
                out.push_str("<secret ");
                out.push_str(name);
                out.push('>');
            }
            shown = shown.max(to);
        }
        out.push_str(&text[shown..]);
        out
    }
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
    use base64::engine::general_purpose::STANDARD;

    proptest::proptest! {
        #[test]
        fn no_spelling_of_a_secret_survives(value in "[ -~ü\n]{12,40}", before in "[a-z]{0,5}", after in "[a-z]{0,5}") {
            let redactor = redactor(&value);
            let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
            let spellings = [
                value.clone(),
                serde_json::Value::from(value.as_str()).to_string(),
                utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string(),
                hex,
            ];
            for spelling in spellings.iter().filter(|s| s.len() >= 12) {
                let hidden = redactor.hide(&format!("{before}{spelling}{after}"));
                proptest::prop_assert!(!hidden.contains(spelling.as_str()), "{} in {}", spelling, hidden);
            }
            let text = STANDARD.encode(format!("{before}{value}{after}"));
            proptest::prop_assert!(redactor.hide(&text).contains("<secret canary>"), "{}", text);
        }
    }

    const CANARY: &str = "canary/\"q\" ü+9f\\3";

    fn redactor(value: &str) -> Redactor {
        let redactor = Redactor::default();
        redactor.learn("canary", &Secret::new(value));
        redactor
    }

    #[test]
    fn a_secret_is_hidden_in_every_spelling() {
        let redactor = redactor(CANARY);
        let hex: String = CANARY.bytes().map(|b| format!("{b:02x}")).collect();
        for text in [
            CANARY.to_owned(),
            serde_json::Value::from(CANARY).to_string(),
            format!("{CANARY:?}"),
            utf8_percent_encode(CANARY, URL).to_string(),
            utf8_percent_encode(CANARY, URL).to_string().replace("%20", "+"),
            hex.to_uppercase(),
            hex,
        ] {
            let hidden = redactor.hide(&format!("before {text} after"));
            assert!(hidden.starts_with("before ") && hidden.ends_with(" after"), "{hidden}");
            assert!(hidden.contains("<secret canary>"), "{text} -> {hidden}");
            assert!(!hidden.contains("9f"), "{text} -> {hidden}");
        }
    }

    #[test]
    fn base64_is_hidden_at_any_alignment() {
        let redactor = redactor("swordfish-0815");
        for user in ["", "a", "ab", "abc", "admin:"] {
            let text = STANDARD.encode(format!("{user}swordfish-0815"));
            let hidden = redactor.hide(&text);
            assert!(hidden.contains("<secret canary>"), "{text} -> {hidden}");
            assert!(hidden.len() < "<secret canary>".len() + 14, "{text} -> {hidden}");
        }
    }

    #[test]
    fn each_long_line_of_a_key_is_hidden() {
        let redactor = redactor("-----BEGIN KEY-----\nMIIBVgIBADANBgkq\nhkiG9w0BAQEF\n-----END KEY-----\n");
        let hidden = redactor.hide("@@ -1 +1 @@\n-  MIIBVgIBADANBgkq\n+  hkiG9w0BAQEF\n");
        assert_eq!(hidden, "@@ -1 +1 @@\n-  <secret canary>\n+  <secret canary>\n");
    }

    #[test]
    fn a_token_is_hidden_without_its_scheme_too() {
        assert_eq!(redactor("Bearer canary-0815-0816-0817").hide("t=canary-0815-0816-0817."), "t=<secret canary>.");
    }

    #[test]
    fn a_secret_called_secret_is_hidden_once() {
        assert_eq!(redactor("secret").hide("a secret b"), "a <secret canary> b");
    }

    #[test]
    fn what_is_too_short_to_search_for_stays() {
        assert_eq!(redactor("abc").hide("abcabc"), "abcabc");
    }
}
