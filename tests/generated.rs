//! The committed completions and manual pages are what the program generates.
//!
//! `CTL_BLESS=1 cargo test --test generated` writes them anew.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends here; its wish comes from outside"
)]

use std::fs;
use std::path::Path;

fn same(path: &Path, generated: &str) -> Option<String> {
    if std::env::var_os("CTL_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, generated).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    (committed != generated).then(|| path.display().to_string())
}

#[test]
fn completions_and_manual_pages_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stale = Vec::new();
    for (name, shell) in ctl::cli::SHELLS {
        stale.extend(same(&root.join("completions").join(name), &ctl::cli::script(shell)));
    }
    let pages = ctl::cli::pages().unwrap();
    for (name, text) in &pages {
        stale.extend(same(&root.join("man").join(name), text));
    }
    let written = fs::read_dir(root.join("man")).unwrap().count();
    assert_eq!(written, pages.len(), "man/ holds a page that no command has");
    assert!(stale.is_empty(), "stale, run `CTL_BLESS=1 cargo test --test generated`:\n{}", stale.join("\n"));
}
