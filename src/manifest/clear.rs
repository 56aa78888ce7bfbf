//! Which lines of a manifest hold a secret in clear: no message shows them, whatever it is about.
//!
//! Looked for in the text itself, as an error may be that it is no YAML, or that its kind is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hint;
use crate::model::{KindTable, SourceFile, TargetName};

/// A manifest as messages may show it: lines with something in clear in a field that any of `kinds` calls secret, or in
/// one that looks like it, are hidden.
pub fn shown(path: String, text: String, kinds: &BTreeMap<TargetName, Arc<KindTable>>) -> SourceFile {
    let hidden = hidden(&text, &names(kinds));
    SourceFile { hidden, ..SourceFile::new(path, text) }
}

/// The names of secret fields.
fn names(kinds: &BTreeMap<TargetName, Arc<KindTable>>) -> BTreeSet<&str> {
    let rules = kinds.values().flat_map(|table| table.kinds.values()).flat_map(|rules| &rules.fields);
    let secret = rules.filter(|(_, rule)| rule.secret.is_some());
    secret.filter_map(|(path, _)| path.segments().iter().rfind(|step| *step != "*")).map(String::as_str).collect()
}

/// The lines (from 1) that hold what such a field says, with all that is indented below it.
fn hidden(text: &str, names: &BTreeSet<&str>) -> BTreeSet<u32> {
    if names.is_empty() {
        return BTreeSet::new();
    }
    let mut out: BTreeSet<usize> = BTreeSet::new();
    let lines: Vec<&str> = text.lines().collect();
    let mut anchors = BTreeSet::new();
    for (i, line) in lines.iter().enumerate() {
        for said in said_by(line, names) {
            let below = below(&lines, i, said.is_empty());
            let next = || lines[i + 1..below].iter().map(|line| line.trim()).find(|line| !line.is_empty());
            if is_harmless(if said.is_empty() { next().unwrap_or_default() } else { said }) {
                continue;
            }
            anchors.extend(said.strip_prefix('*').map(|name| format!("&{}", word(name))));
            out.extend(i..below);
        }
    }
    for (i, line) in lines.iter().enumerate() {
        if anchors.iter().any(|anchor| line.split_whitespace().any(|part| part.trim_matches(['{', '[']) == anchor)) {
            out.extend(i..below(&lines, i, false));
        }
    }
    out.into_iter().filter_map(|i| u32::try_from(i + 1).ok()).collect()
}

/// What stands behind each key of `line` that is one of `names`, or is so near to one that it is meant.
fn said_by<'l>(line: &'l str, names: &BTreeSet<&str>) -> Vec<&'l str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let colons = line.match_indices(':').filter_map(|(at, _)| {
        let before = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let key = &before[before
            .rfind(|c| !is_word(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8))..];
        let is_secret = names.contains(key) || (!key.is_empty() && hint::nearest(key, names.iter().copied()).is_some());
        is_secret.then(|| line[at + 1..].trim())
    });
    colons.collect()
}

/// True for what stands in a secret field and is no secret: a reference, nothing, or a flag.
fn is_harmless(said: &str) -> bool {
    let said = said.trim_start_matches(['{', ' ', '"', '\'']);
    let plain = word(said);
    said.starts_with("$secret")
        || said.starts_with("$value")
        || said.is_empty()
        || said.starts_with([',', '}', ']', '#', '~'])
        || matches!(plain, "null" | "true" | "false")
}

/// The letters that `text` begins with.
fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(text.len())]
}

/// The first line behind line `i` that does not belong to what stands there. `open`: its value begins below it.
fn below(lines: &[&str], i: usize, open: bool) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(lines[i]);
    let mut first = open;
    let belongs = |line: &&str| {
        let text = line.trim_start();
        let inside = text.is_empty()
            || indent(line) > own
            || (open && text.starts_with("- "))
            || (first && text.starts_with(['"', '\'', '[', '{']));
        first = first && text.is_empty();
        inside
    };
    i + 1 + lines[i + 1..].iter().copied().take_while(belongs).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<u32> {
        hidden(text, &["password", "token"].into()).into_iter().collect()
    }

    #[test]
    fn a_line_with_a_secret_in_clear_is_hidden_however_it_is_written() {
        for (text, expected) in [
            ("spec:\n  password: hunter2\n  size: 1\n", &[2][..]),
            ("spec:\n  \"password\" : 'hunter2'\n", &[2]),
            ("spec: {size: 1, token: hunter2}\nx: 1\n", &[1]),
            ("spec: {token: {$secret: a}, password: hunter2}\n", &[1]),
            ("spec:\n  password: |\n    a\n\n    b\n  size: 1\n", &[2, 3, 4, 5]),
            ("spec:\n  password:\n    deep: [hunter2]\n  size: 1\n", &[2, 3]),
            ("spec:\n  password:\n  - hunter2\n  - b\n  size: 1\n", &[2, 3, 4]),
            ("{\n\"password\":\n\"hunter2\",\n\"size\": 1\n}\n", &[2, 3]),
            ("x: &pw hunter2\nspec:\n  password: *pw\n", &[1, 3]),
            ("spec:\n  pasword: hunter2\n", &[2]),
            ("# password: hunter2\n", &[1]),
            ("password: !vault hunter2\n", &[1]),
            ("password: \"{{ hunter2 }}\"\n", &[1]),
        ] {
            assert_eq!(lines(text), expected, "{text}");
        }
    }

    #[test]
    fn a_line_without_one_is_shown() {
        for text in [
            "spec:\n  password: {$secret: pw}\n",
            "spec:\n  password: {\"$secret\": pw}\n",
            "spec:\n  password:\n    $secret: pw\n  size: 1\n",
            "spec:\n  password:\n  size: 1\n",
            "spec: {password: \"\", token: null}\n",
            "spec: {password, token: true}\n",
            "spec: {size: 1}\nname: password\n",
        ] {
            assert_eq!(lines(text), [0; 0], "{text}");
        }
    }
}
