//! What each case of bad input is told, to the letter: `tests/fixtures/cases/ID.txt`.
//!
//! `CTL_BLESS=1 cargo test --test cli` writes them anew.

use std::path::Path;

use crate::sandbox::{Ran, Sandbox};

/// Compares what one command said with the transcript of `case` (an id of the corpus, and a word where it has several).
#[track_caller]
pub(crate) fn told(sandbox: &Sandbox, case: &str, args: &[&str], ran: &Ran) {
    let said = transcript(sandbox, args, ran);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(format!("{case}.txt"));
    if std::env::var_os("CTL_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &said).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(expected == said, "{case}: expected\n{expected}\nand it said\n{said}");
}

/// A run as a reader sees it, without what is another one each time: folders, ports, commits and checksums.
fn transcript(sandbox: &Sandbox, args: &[&str], ran: &Ran) -> String {
    let args: Vec<String> = args.iter().map(|arg| arg.escape_debug().to_string()).collect();
    let code = ran.code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    let text = format!("$ ctl {}\n{}{}exit {code}\n", args.join(" "), ran.stdout, ran.stderr);
    let text = text.replace(&sandbox.root().display().to_string(), "ROOT");
    let text = masked(&text, "127.0.0.1:", |c| c.is_ascii_digit(), "PORT");
    hashes(&times(&text))
}

/// `text` where what follows `after` and consists of `of` reads `name`.
fn masked(text: &str, after: &str, of: impl Fn(char) -> bool, name: &str) -> String {
    let mut parts = text.split(after);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(&of);
        out.push_str(after);
        out.push_str(if rest.len() < part.len() { name } else { "" });
        out.push_str(rest);
    }
    out
}

/// `text` where `in 0.3 s` reads `in TIME`.
fn times(text: &str) -> String {
    let mut parts = text.split(" in ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let after = [" ms", " s"].iter().find_map(|unit| rest.strip_prefix(unit)).filter(|_| rest.len() < part.len());
        out.push_str(" in ");
        out.push_str(if after.is_some() { "TIME" } else { "" });
        out.push_str(after.unwrap_or(part));
    }
    out
}

/// `text` where the id of a commit, whole or short, and a checksum read `HASH`.
fn hashes(text: &str) -> String {
    let is_hash = |word: &str| {
        matches!(word.len(), 10 | 40 | 64)
            && word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
            && word.contains(|c: char| c.is_ascii_digit())
            && word.contains(|c: char| c.is_ascii_lowercase())
    };
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let mut before = "";
    words
        .map(|piece| {
            let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            // One in a hundred short ids of commits is all digits.
            let is_short_id = before == "commit" && word.len() == 10 && word.chars().all(|c| c.is_ascii_hexdigit());
            before = word;
            if is_hash(word) || is_short_id { piece.replacen(word, "HASH", 1) } else { piece.to_owned() }
        })
        .collect()
}
