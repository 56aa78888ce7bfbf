//! Every code that a diagnostic or a gate bears can be explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            out.push(path);
        }
    }
}

#[test]
fn every_code_can_be_explained() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut codes = BTreeSet::new();
    for file in files.iter().filter(|f| !f.components().any(|c| c.as_os_str() == "tests")) {
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for opening in ["Diagnostic::error(", "Diagnostic::warning(", "Diagnostic::note(", "gate: "] {
            for rest in text.split(opening).skip(1) {
                if let Some(code) = rest.trim_start().strip_prefix('"').and_then(|r| r.split('"').next()) {
                    codes.insert(code.to_owned());
                }
            }
        }
    }
    assert!(codes.len() > 60, "the search finds codes: {}", codes.len());
    let unknown: Vec<&String> = codes.iter().filter(|code| ctl::report::explain(code).is_none()).collect();
    assert!(unknown.is_empty(), "`ctl explain` does not know {unknown:?}");
}
