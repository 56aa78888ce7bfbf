//! The walls of the house: who may look into whose room, and what may be written where.
//!
//! In a workspace Cargo would hold these arrows. In one package everything may use everything, so this test does.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot read its files has nothing to say")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// For each room of the house, the rooms that it may look into besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("world", &[]),
    ("diff", &["model"]),
    ("manifest", &["model"]),
    ("plan", &["model", "diff"]),
    ("event", &["model", "plan"]),
    ("net", &["model", "world"]),
    ("credentials", &["model", "world", "net"]),
    ("source", &["model", "world", "net"]),
    ("store", &["model", "world", "net"]),
    ("server", &["model", "world"]),
    ("target", &["model", "world", "manifest", "net", "credentials"]),
    ("reconcile", &["model", "world", "diff", "manifest", "plan", "event", "source", "store", "target"]),
    ("report", &["model", "diff", "plan", "event"]),
    ("metrics", &["model", "event"]),
    ("daemon", &["model", "world", "event", "metrics"]),
];

/// Rooms without a network, a clock, a file or another task: what they may not name.
const PURE: &[&str] = &["model", "diff", "manifest", "plan"];
const IMPURE_WORDS: &[&str] =
    &["tokio", "reqwest", "hyper", "git2", "redb", "TcpStream", "UdpSocket", "std::fs", "std::thread", "async"];

/// Products whose names have no place in `src/`, beside those that `apis/` describes: a description is data.
const PRODUCTS: &[&str] = &["caddy", "grafana", "keycloak", "kinto", "netbox", "powerdns", "rabbitmq"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder`, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The room that a file below `src/` is in: its folder's name, or its own.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    let first = below.components().next().unwrap();
    Path::new(first.as_os_str()).file_stem().unwrap().to_string_lossy().into_owned()
}

/// The source without comments and without what is written inside string literals; lines stay where they are.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !previous.is_alphanumeric() && previous != '_') {
            length
        } else if next == '"' {
            string(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            out.push(next);
            previous = next;
            rest = &rest[next.len_utf8()..];
            continue;
        };
        out.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        out.push(' ');
        previous = ' ';
        rest = &rest[skipped..];
    }
    out
}

/// The length of the raw string that `text` starts with, if it does.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let inner = body.find(&end).unwrap_or(body.len().saturating_sub(end.len()));
    Some(text.len() - body.len() + inner + end.len())
}

/// The length of the string literal that `text` starts with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Every `x` of `crate::x` and of `crate::{x, y::{z}}`, with the line it stands on.
fn rooms_used(code: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = code[at + "crate::".len()..].trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut expected = true;
            for (start, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => expected = true,
                    c if depth == 0 && expected && (c.is_alphabetic() || c == '_') => {
                        used.push((line, word(&group[start..])));
                        expected = false;
                    }
                    _ => {}
                }
            }
        } else {
            used.push((line, word(rest)));
        }
    }
    used
}

/// The identifier that `text` starts with.
fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether `text` has `word` with no letter, digit or `_` on either side.
fn names(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside))
}

/// Whether a line only declares or opens the module `name`.
fn text_declares(line: &str, name: &str) -> bool {
    names(line, &format!("mod {name}")) || line.contains(&format!("{name}::"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn rooms_look_only_at_the_rooms_above_them() {
    let mut strays = Vec::new();
    for path in rust_files(&root().join("src")) {
        let room = room(&path);
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else { continue };
        for (line, used) in rooms_used(&code(&fs::read_to_string(&path).unwrap())) {
            // What starts with a capital, or is no room, is an item of the crate's root.
            if used != room && !allowed.contains(&used.as_str()) {
                strays.push(format!("{}:{line}: {room} -> {used}", shown(&path)));
            }
        }
    }
    assert!(strays.is_empty(), "arrows that point the wrong way:\n{}", strays.join("\n"));
}

#[test]
fn no_way_round_the_arrows() {
    let mut strays = Vec::new();
    for path in rust_files(&root().join("src")) {
        let code = code(&fs::read_to_string(&path).unwrap());
        for (at, line) in code.lines().enumerate() {
            let re_export = line.trim_start().starts_with("pub use crate::");
            // Own tests may look up twice: their folder is the room's own.
            let two_up = line.contains("super::super") && !code.contains("mod tests");
            if re_export || two_up {
                strays.push(format!("{}:{}: {}", shown(&path), at + 1, line.trim()));
            }
        }
    }
    assert!(strays.is_empty(), "use the room's own door, by its own name:\n{}", strays.join("\n"));
}

#[test]
fn every_room_has_its_arrows_written_down() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).chain(["cli"]).collect();
    for line in code(&text).lines() {
        if let Some(room) = line.trim().strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            assert!(known.contains(room), "src/{room} is a new room: say in this file what it may look into");
        }
    }
    for path in fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path()) {
        let room = room(&path);
        let named = names(&code(&text), &room);
        assert!(named || room == "lib" || room == "main", "src/{room} is forgotten in lib.rs: nothing compiles it");
    }
}

#[test]
fn the_core_knows_no_outside_world() {
    let mut strays = Vec::new();
    for room in PURE {
        // Threads that only compute are no outside world; they have one file.
        let computing = |path: &PathBuf| path.ends_with("model/parallel.rs");
        for path in rust_files(&root().join("src").join(room)).into_iter().filter(|path| !computing(path)) {
            let code = code(&fs::read_to_string(&path).unwrap());
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            for (at, line) in code.lines().enumerate() {
                for impure in IMPURE_WORDS.iter().filter(|impure| names(line, impure)) {
                    strays.push(format!("{}:{}: {impure}", shown(&path), at + 1));
                }
            }
        }
    }
    assert!(strays.is_empty(), "the pure rooms take what they need as arguments:\n{}", strays.join("\n"));
}

#[test]
fn each_file_says_first_what_lives_in_it() {
    let files = rust_files(&root().join("src"));
    let silent = files.iter().filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "));
    let silent: Vec<String> = silent.map(|path| shown(path).to_string()).collect();
    assert!(silent.is_empty(), "the first line of a file is a sentence about it:\n{}", silent.join("\n"));
}

#[test]
fn a_door_file_has_no_function_of_its_own() {
    let mut strays = Vec::new();
    for path in rust_files(&root().join("src"))
        .into_iter()
        .filter(|path| path.ends_with("mod.rs") && !path.ends_with("tests/mod.rs"))
    {
        let code = code(&fs::read_to_string(&path).unwrap());
        for (at, line) in code.lines().enumerate() {
            if line.starts_with("fn ") || line.starts_with("pub(crate) fn ") || line.starts_with("pub(super) fn ") {
                strays.push(format!("{}:{}: {}", shown(&path), at + 1, line.trim()));
            }
        }
    }
    assert!(strays.is_empty(), "logic lives in a file named after its concept:\n{}", strays.join("\n"));
}

#[test]
fn no_product_is_named_in_the_program() {
    let mut products: BTreeSet<String> = PRODUCTS.iter().map(|name| (*name).to_owned()).collect();
    if root().join("apis").is_dir() {
        for path in files(&root().join("apis")) {
            // `reference.yaml` describes our own server, and is a word besides.
            let stem = path.file_stem().unwrap().to_string_lossy().to_lowercase();
            if !["reference", "readme"].contains(&stem.as_str()) {
                products.insert(stem);
            }
        }
    }
    let mut strays = Vec::new();
    for path in rust_files(&root().join("src")) {
        // Comments and strings too: a rule made for one product is a rule that the next one breaks.
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        for (at, line) in text.lines().enumerate() {
            for product in products.iter().filter(|product| names(line, product)) {
                // A backend for records is made for what it is named after.
                if path.ends_with(format!("store/{product}.rs")) || text_declares(line, product) {
                    continue;
                }
                strays.push(format!("{}:{}: {product}", shown(&path), at + 1));
            }
        }
    }
    assert!(strays.is_empty(), "what a product needs is said in apis/:\n{}", strays.join("\n"));
}

#[test]
fn no_test_is_forgotten_or_switched_off() {
    let mut strays = Vec::new();
    for path in rust_files(&root().join("tests")).into_iter().chain(rust_files(&root().join("src"))) {
        let text = fs::read_to_string(&path).unwrap();
        if code(&text).contains("#[ignore") {
            strays.push(format!("{}: a test is switched off", shown(&path)));
        }
    }
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() || folder.ends_with("support") || rust_files(&folder).is_empty() {
            continue;
        }
        // `tests/NAME/main.rs` is a test program of its own; a folder without one is compiled only if a file names it.
        if !folder.join("main.rs").exists() {
            strays.push(format!("{}: has Rust files and no main.rs", shown(&folder)));
            continue;
        }
        let all: String = rust_files(&folder).iter().map(|path| code(&fs::read_to_string(path).unwrap())).collect();
        for path in rust_files(&folder) {
            let stem = match path.file_name().is_some_and(|name| name == "mod.rs") {
                true => path.parent().and_then(Path::file_name),
                false => path.file_stem(),
            };
            let stem = stem.unwrap().to_string_lossy().into_owned();
            if stem != "main" && !all.contains(&format!("mod {stem};")) {
                strays.push(format!("{}: no `mod {stem};` names it", shown(&path)));
            }
        }
    }
    assert!(strays.is_empty(), "tests that never run:\n{}", strays.join("\n"));
}

#[test]
fn these_walls_see_what_they_should() {
    let text = "use crate::{a, b::{c, d}, E};\n// crate::no\nlet s = \"crate::no // \\\" \"; crate::f::g();\n\
                r#\"crate::no\"#; '\"'; my_crate::no; /* crate::no */ crate::h";
    let used: Vec<String> = rooms_used(&code(text)).into_iter().map(|(_, room)| room).collect();
    assert_eq!(used, ["a", "b", "E", "f", "h"]);
    assert_eq!(rooms_used(&code("\n\ncrate::x"))[0].0, 3);
    assert!(names("use tokio::net", "tokio") && !names("tokio_util", "tokio"));
}
