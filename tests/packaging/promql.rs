//! Reads of a PromQL expression what it names: metrics, the labels they are matched by, the labels they are grouped by.
//! Whether the expression is right says `promtool`.

use std::collections::BTreeSet;

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Each metric, with label and value of each matcher.
    pub(crate) metrics: Vec<(String, Vec<(String, String)>)>,
    /// Labels after `by`, `on` and their like.
    pub(crate) grouped: BTreeSet<String>,
}

const GROUPING: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];
const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"];

/// Reads an expression; of one that is wrong, what there is.
pub(crate) fn read(expression: &str) -> Used {
    let mut used = Used::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            // `3`, `0.5`, `3e2`, and the duration after `offset`.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if first == '"' {
            rest = string(rest).1;
        } else if let Some(inside) = rest.strip_prefix('{') {
            // A selector without a name has one all the same: none that exists.
            let (matchers, after) = matchers(inside);
            used.metrics.push((String::new(), matchers));
            rest = after;
        } else if first == '[' {
            rest = rest.split_once(']').map_or("", |(_, rest)| rest);
        } else if is_word(first) {
            let (word, after) = split_word(rest);
            let after = after.trim_start();
            rest = after;
            if GROUPING.contains(&word) && after.starts_with('(') {
                let (inside, after) = after[1..].split_once(')').unwrap_or((after, ""));
                used.grouped.extend(inside.split(',').map(|label| label.trim().to_owned()).filter(|l| !l.is_empty()));
                rest = after;
            } else if let Some(inside) = after.strip_prefix('{') {
                let (matchers, after) = matchers(inside);
                used.metrics.push((word.to_owned(), matchers));
                rest = after;
            } else if !after.starts_with('(')
                && !GROUPING.contains(&split_word(after).0)
                && !WORDS.contains(&word.to_lowercase().as_str())
            {
                used.metrics.push((word.to_owned(), Vec::new()));
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    used
}

/// `label="value", …}`: label and value of each, and what follows.
fn matchers(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        let (label, after) = split_word(rest);
        if label.is_empty() {
            return (found, rest.split_once('}').map_or("", |(_, rest)| rest));
        }
        let (value, after) = string(after.trim_start_matches([' ', '=', '!', '~']));
        found.push((label.to_owned(), value));
        rest = after;
    }
}

/// The string literal that `text` starts with, and what follows.
fn string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &text[at + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()))
}

#[test]
fn metrics_and_labels_are_found_wherever_they_stand() {
    let used = read(
        "histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{x=~\"p|\\\"}q\", y!=\"\"}[5m] offset 1m)))
         > bool 3e2 and on (z) b unless ignoring(w) max without (v) (c) / d == Inf or \"e\"",
    );
    let pair = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    let names: Vec<&str> = used.metrics.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a_bucket", "b", "c", "d"]);
    assert_eq!(used.metrics[0].1, [pair("x", "p|\"}q"), pair("y", "")]);
    assert_eq!(used.grouped.iter().map(String::as_str).collect::<Vec<_>>(), ["job", "le", "v", "w", "z"]);
    assert_eq!(read("{x=\"1\"} ) ] \" [").metrics, [(String::new(), vec![pair("x", "1")])]);
}
