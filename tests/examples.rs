//! Everything in examples/ validates and plans as the README says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctl::manifest::api::ApiDescription;
use ctl::manifest::{SetInput, assemble, parse_file, read_project};
use ctl::model::{Complete, FileMode, KindTable, Limits, Revision, SourceFile, Tally, TargetName, TreeEntry};

#[expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn the_example_project_is_a_valid_snapshot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/manifests");
    let text = std::fs::read_to_string(root.join("ctl.yaml")).unwrap();
    let (project, warnings) = read_project(&Arc::new(SourceFile::new("ctl.yaml", text))).unwrap();
    assert_eq!(warnings, Vec::new());
    let (api, warnings) = ApiDescription::parse("ctl", ctl::server::API).unwrap();
    assert_eq!(warnings, Vec::new());
    let kinds: BTreeMap<TargetName, Arc<KindTable>> =
        project.targets.keys().map(|name| (name.clone(), api.shared_table())).collect();
    let parsed: Vec<_> = files(&root)
        .into_iter()
        .filter(|path| !path.ends_with("ctl.yaml"))
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let parsed = parse_file(&name, &std::fs::read(&path).unwrap());
            (TreeEntry { path: name, blob: "0".repeat(40), mode: FileMode::File, size: None }, parsed)
        })
        .collect();
    let tally = Tally { parts: 1, items: parsed.len(), announced: None, ended: true };
    let texts = |_: &TreeEntry| None;
    let input = SetInput {
        project: &project,
        revision: Revision::parse(&"0".repeat(40)).unwrap(),
        kinds: &kinds,
        files: parsed,
        texts: &texts,
        missing_folders: Vec::new(),
        limits: &Limits::default(),
    };
    let snapshot = assemble(Complete::finish(input, &tally).unwrap()).unwrap();
    assert_eq!(snapshot.desired.len(), 9);
    assert_eq!(snapshot.diagnostics, Vec::new());
}

/// Each description in examples/apis/ was tried against a real server; this keeps them readable, without a warning, and
/// named on the page that they illustrate.
#[test]
fn every_example_of_a_description_parses_and_is_named_in_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/api-descriptions.md")).unwrap();
    let found = files(&root.join("examples/apis"));
    assert!(found.len() >= 5, "{found:?}");
    for path in found {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let (api, warnings) = ApiDescription::parse(stem, &text).unwrap();
        assert_eq!(warnings, Vec::new(), "{stem}");
        assert_eq!(api.name, stem);
        assert!(page.contains(&format!("(../examples/apis/{stem}.yaml)")), "{stem} is not named in the documentation");
    }
}
