//! One function per medium that makes untrusted text harmless there. Each may be applied twice without a change
//! ([`line()`], [`lines`]), or is applied exactly once, where text is put into its place (the others).

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::model::misleads;

/// One line for a terminal: no control, no direction change, nothing invisible, no line break.
pub fn line(text: &str) -> Cow<'_, str> {
    visible(text, |c| c == '\n' || c == '\t')
}

/// Several lines for a terminal: as [`line()`], but line breaks and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    visible(text, |_| false)
}

fn visible(text: &str, also: impl Fn(char) -> bool) -> Cow<'_, str> {
    let bad = |c: char| also(c) || misleads(c);
    if !text.chars().any(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) {
            // Writing into a string does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A JSON document: the same data, with what a terminal would obey written as JSON's own escapes. Encoders escape no
/// sign beyond ASCII.
pub fn json(document: &str) -> Cow<'_, str> {
    let bad = |c: char| !matches!(c, '\n' | '\r' | '\t') && misleads(c);
    if !document.chars().any(bad) {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if bad(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Text for Markdown, inside of `<code>`: no mention, reference, image, link or markup comes out of it.
///
/// Hosts look for mentions in the rendered text, where an entity is a plain sign again, but not inside of code: so data
/// is always shown as code, and the entities keep the Markdown parser itself from seeing anything.
pub fn markdown(text: &str) -> String {
    let text = line(text);
    let mut out = String::with_capacity(text.len() + 16);
    for (i, c) in text.char_indices() {
        match c {
            // The comment ends the word, so that no mail address is made into a link.
            '@' => out.push_str("&#64;<!-- -->"),
            ':' if text[i..].starts_with("://") => out.push_str("&#58;"),
            '.' if text[..i].to_ascii_lowercase().ends_with("www") => out.push_str("&#46;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '#' | '[' | ']' | '(' | ')' | '`' | '*' | '_' | '|' | '!' | '~' | '\\' | '$' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    format!("<code>{out}</code>")
}

/// A fenced block of Markdown, whose fence is longer than any run of backticks inside.
pub fn fenced(language: &str, text: &str) -> String {
    let text = lines(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

/// The message of a CI annotation (`::error …::MESSAGE`): it cannot end the line and begin a command.
pub fn annotation(text: &str) -> String {
    lines(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a CI annotation (`file=…`): neither the list of properties nor the command ends in it.
pub fn annotation_property(text: &str) -> String {
    annotation(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trm_01_to_10_nothing_reaches_the_terminal_as_a_command() {
        for (name, text, expected) in [
            ("TRM-01 clear", "\u{1b}[2J", "\\u{1b}[2J"),
            ("TRM-02 clipboard", "\u{1b}]52;c;eA==\u{7}", "\\u{1b}]52;c;eA==\\u{7}"),
            ("TRM-03 link", "\u{1b}]8;;http://x\u{1b}\\y", "\\u{1b}]8;;http://x\\u{1b}\\y"),
            ("TRM-04 title", "\u{1b}]0;t\u{7}", "\\u{1b}]0;t\\u{7}"),
            ("TRM-05 carriage return", "bad\rgood", "bad\\u{d}good"),
            ("TRM-06 backspace", "bad\u{8}", "bad\\u{8}"),
            ("TRM-07 C1", "\u{9b}2J", "\\u{9b}2J"),
            ("TRM-08 bidi", "a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("TRM-09 forged line", "x\nPlan: nothing", "x\\u{a}Plan: nothing"),
            ("TRM-10 fake prompt", "\u{1b}[2J\u{1b}[HApply? ", "\\u{1b}[2J\\u{1b}[HApply? "),
            ("zero width", "a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
        ] {
            assert_eq!(line(text), expected, "{name}");
        }
        assert_eq!(lines("a\nb\rc"), "a\nb\\u{d}c");
    }

    #[test]
    fn a_json_document_keeps_its_data_and_loses_what_a_terminal_obeys() {
        let data = serde_json::json!({"a\u{9b}2J": ["\u{202e}x", "\u{e0041}", "\u{7f}", "wörd\n"]});
        let text = serde_json::to_string_pretty(&data).unwrap();
        let safe = json(&text);
        assert!(safe.chars().all(|c| c == '\n' || !misleads(c)) && safe.contains("wörd"), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), data);
    }

    #[test]
    fn an_annotation_is_one_line() {
        assert_eq!(annotation("50%\n::error::x\r"), "50%25%0A::error::x\\u{d}");
        assert_eq!(annotation_property("a,b:c"), "a%2Cb%3Ac");
    }

    #[test]
    fn a_fence_outlasts_the_backticks_in_it() {
        assert_eq!(fenced("diff", "````\nx"), "`````diff\n````\nx\n`````\n");
    }

    proptest! {
        #[test]
        fn sanitised_text_is_safe_and_stays_the_same(text in "\\PC*|[\\x00-\\x1f\\x7f-\\u{9f}\\u{200b}-\\u{206f}a]*") {
            let once = line(&text).into_owned();
            prop_assert!(!once.chars().any(|c| c == '\n' || c == '\t' || misleads(c)));
            prop_assert_eq!(line(&once), once.as_str());
            let many = lines(&text).into_owned();
            prop_assert_eq!(lines(&many), many.as_str());
        }

        #[test]
        fn no_markup_comes_out_of_data(text in "[@#!\\[\\]()<>`*_|:/a-c.w&~\\n\\\\\"]{0,40}") {
            let out = markdown(&text);
            let inner = out.strip_prefix("<code>").and_then(|o| o.strip_suffix("</code>")).unwrap().replace("<!-- -->", "");
            for bad in ["@", "![", "](", "<", ">", "`", "*", "_", "|", "[", "://", "www.", "\n", "\\"] {
                prop_assert!(!inner.contains(bad), "{} in {}", bad, out);
            }
            let hash_outside_of_entities = inner.replace("&#", "");
            prop_assert!(!hash_outside_of_entities.contains('#'));
        }
    }
}
