//! Hides the secrets that are known by now, wherever their value lands.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::spelling::{hidden, spellings};
use crate::model::Secret;

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
        let found = spellings(value.expose());
        let mut spellings = self.spellings.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in found {
            spellings.entry(spelling).or_insert_with(|| name.to_owned());
        }
    }

    /// `text` with `<secret NAME>` wherever a secret stood.
    pub fn hide(&self, text: &str) -> String {
        hidden(text, &self.spellings.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

    const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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

    #[test]
    fn what_is_left_of_a_secret_where_a_text_was_cut_is_hidden() {
        let redactor = redactor("tok-4711-wörd-0815");
        for (text, shown) in [
            ("xx tok-4711-wö…", "xx <secret canary>…"),
            ("xx tok-4711-w...\n", "xx <secret canary>...\n"),
            ("a …wörd-0815 b", "a …<secret canary> b"),
            ("a …-0815yy… tok-…", "a …<secret canary>yy… <secret canary>…"),
            // Three signs give little away, and stand anywhere by chance.
            ("xx tok… …815", "xx tok… …815"),
        ] {
            assert_eq!(redactor.hide(text), shown);
        }
    }
}
