//! Which files of a tree are manifests, and which names no tree of ours may hold.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::fields::start_of;
use super::project::{PROJECT_FILE, shown};
use crate::model::{Diagnostic, FileMode, Limits, Project, Tree, TreeEntry};

/// The manifests of a tree.
#[derive(Clone, Debug, Default)]
pub struct ManifestEntries<'t> {
    /// The files to parse, in the order of the tree.
    pub files: Vec<&'t TreeEntry>,
    /// Folders that the project lists and the tree does not have.
    pub missing_folders: Vec<String>,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Picks the `*.yaml` and `*.yml` below the project's manifest folders.
///
/// Symbolic links, submodules and hostile names there are errors, never skipped: what is left out silently would look
/// like something to delete. A listed folder that is gone is an error unless `has_record`.
pub fn manifest_entries<'t>(
    project: &Project,
    tree: &'t Tree,
    has_record: bool,
    limits: &Limits,
) -> Result<ManifestEntries<'t>, Vec<Diagnostic>> {
    let whole = project.manifests.is_empty();
    let folders: Vec<String> = if whole {
        vec![project.folder.clone()]
    } else {
        project.manifests.iter().map(|f| f.trim_matches('/').to_owned()).collect()
    };
    let own_file = join(&project.folder, PROJECT_FILE);
    let nested: BTreeSet<&str> = tree
        .entries
        .iter()
        .filter(|e| e.path != own_file)
        .filter_map(|e| e.path.strip_suffix(PROJECT_FILE)?.strip_suffix('/'))
        .filter(|folder| *folder != project.folder && below(folder, &project.folder))
        .collect();
    let apis = join(&project.folder, "apis");
    let mut out = ManifestEntries::default();
    let mut errors = Vec::new();
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut unread: Vec<&TreeEntry> = Vec::new();
    for entry in &tree.entries {
        let Some(folder) = folders.iter().find(|f| below(&entry.path, f)) else { continue };
        found.insert(folder);
        let is_nested = || !nested.is_empty() && ancestors(&entry.path).any(|a| nested.contains(a));
        if is_nested() || (whole && below(&entry.path, &apis)) {
            continue;
        }
        if let Some(why) = bad_name(&entry.path) {
            let message = format!("the path `{}` {why}", shown(&entry.path));
            errors.push(at(Diagnostic::error("bad-entry", message), entry).help("rename it"));
            continue;
        }
        match entry.mode {
            FileMode::Symlink => {
                let message = format!("`{}` is a symbolic link", entry.path);
                errors.push(
                    at(Diagnostic::error("symlink", message), entry)
                        .help("commit the file itself: links are not followed"),
                );
                continue;
            }
            FileMode::Submodule => {
                let message = format!("`{}` is a submodule", entry.path);
                errors.push(
                    at(Diagnostic::error("submodule", message), entry)
                        .help("commit the files themselves, or move the submodule out of the manifest folders"),
                );
                continue;
            }
            FileMode::File => {}
        }
        if !(entry.path.ends_with(".yaml") || entry.path.ends_with(".yml")) || entry.path == own_file {
            if !whole && could_be_meant(&entry.path) {
                unread.push(entry);
            }
            continue;
        }
        if let Some(size) = entry.size.filter(|s| *s > limits.file) {
            let message = format!("`{}` has {size} bytes; at most {} are read", entry.path, limits.file);
            errors.push(at(Diagnostic::error("too-large", message), entry).help(Limits::help("file", "split it")));
            continue;
        }
        out.files.push(entry);
    }
    out.diagnostics.extend(collisions(&out.files));
    if let Some(first) = unread.first() {
        let more = match unread.len() {
            1 => " is".to_owned(),
            n => format!(" and {} more are", n - 1),
        };
        let message = format!("`{}`{more} not read: a manifest is a file named `*.yaml` or `*.yml`", first.path);
        out.diagnostics.push(
            at(Diagnostic::warning("not-a-manifest", message), first)
                .help("rename it if it is one, JSON is YAML too; else move it out of the folders of `manifests`"),
        );
    }
    if out.files.len() > limits.files {
        let message = format!("{} manifest files; at most {} are read", out.files.len(), limits.files);
        errors.push(
            Diagnostic::error("too-large", message)
                .at(start_of(&own_file), "")
                .help(Limits::help("files", "put several documents into one file")),
        );
    }
    for folder in folders.iter().filter(|f| !whole && !found.contains(f.as_str())) {
        if has_record {
            out.missing_folders.push(folder.clone());
        } else {
            let message = format!("the folder `{folder}` of `manifests` is not in the commit");
            errors.push(
                Diagnostic::error("missing-folder", message)
                    .at(start_of(&own_file), "")
                    .help("git keeps no empty folder: commit a manifest in it, or take it out of `manifests`"),
            );
        }
    }
    if errors.is_empty() { Ok(out) } else { Err(errors) }
}

/// Files whose paths differ in case only. No two paths of a tree are the same, so that there are none where all are
/// lowercase, as they are in most projects.
fn collisions(files: &[&TreeEntry]) -> Vec<Diagnostic> {
    if files.iter().all(|entry| is_lowercase(&entry.path)) {
        return Vec::new();
    }
    // Its order never shows.
    let mut lower: HashMap<Cow<'_, str>, &str> = HashMap::with_capacity(files.len());
    let mut found = Vec::new();
    for entry in files {
        if let Some(other) = lower.insert(lowercase(&entry.path), &entry.path) {
            let message = format!("`{}` and `{other}` differ in case only", entry.path);
            found.push(
                at(Diagnostic::warning("case-collision", message), entry)
                    .help("on some file systems they are one file: rename one"),
            );
        }
    }
    found
}

fn is_lowercase(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
}

fn lowercase(path: &str) -> Cow<'_, str> {
    if is_lowercase(path) { Cow::Borrowed(path) } else { Cow::Owned(path.to_lowercase()) }
}

fn at(diagnostic: Diagnostic, entry: &TreeEntry) -> Diagnostic {
    diagnostic.at(start_of(&shown(&entry.path)), "")
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// `a/b/c` is in `a` and `a/b`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(i, _)| &path[..i])
}

/// True where nothing needs a closer look: printable, and each step longer than the names that are refused, or it begins
/// as none of them does.
fn is_plain(path: &str) -> bool {
    let begins = |byte: &u8| byte.is_ascii_alphanumeric() && !byte.eq_ignore_ascii_case(&b'g');
    path.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'\\')
        && path
            .as_bytes()
            .split(|b| *b == b'/')
            .all(|step| step.len() > "git~1".len() || step.first().is_some_and(begins))
}

fn bad_name(path: &str) -> Option<&'static str> {
    if is_plain(path) {
        return None;
    }
    if path.chars().any(char::is_control) {
        return Some("holds a control character");
    }
    path.split('/').find_map(|step| match step {
        "" => Some("has an empty step"),
        "." | ".." => Some("leaves its folder"),
        _ if step.contains('\\') => Some("holds a backslash"),
        _ if step.eq_ignore_ascii_case(".git") || step.eq_ignore_ascii_case("git~1") => {
            Some("reaches into a git directory")
        }
        _ => None,
    })
}

/// True of what somebody may take for a manifest: what it declares would look like something to delete.
fn could_be_meant(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| ["yaml", "yml", "json"].iter().any(|e| end.eq_ignore_ascii_case(e)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{RecordPlace, Revision};

    fn project(manifests: &[&str]) -> Project {
        Project {
            name: "shop".parse().unwrap(),
            folder: "shop".into(),
            manifests: manifests.iter().map(|m| (*m).to_owned()).collect(),
            record: RecordPlace::Local,
            record_refs: None,
            values: BTreeMap::new(),
            targets: BTreeMap::new(),
        }
    }

    fn tree(entries: &[(&str, FileMode)]) -> Tree {
        let entry = |(path, mode): &(&str, FileMode)| TreeEntry {
            path: (*path).to_owned(),
            blob: "0".repeat(40),
            mode: *mode,
            size: Some(10),
        };
        Tree {
            revision: Revision::parse(&"a".repeat(40)).unwrap(),
            folder: "shop".into(),
            entries: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn the_default_is_the_own_folder_without_project_file_apis_and_other_projects() {
        use FileMode::File;
        let tree = tree(&[
            ("shop/apis/x.yaml", File),
            ("shop/a.yaml", File),
            ("shop/b/c.yml", File),
            ("shop/b/README.md", File),
            ("shop/ctl.yaml", File),
            ("shop/other/ctl.yaml", File),
            ("shop/other/d.yaml", File),
        ]);
        let found = manifest_entries(&project(&[]), &tree, false, &Limits::default()).unwrap();
        let paths: Vec<_> = found.files.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["shop/a.yaml", "shop/b/c.yml"]);
    }

    #[test]
    fn what_looks_like_a_manifest_and_is_not_read_is_told() {
        use FileMode::File;
        let tree = tree(&[
            ("shop/m/a.yaml", File),
            ("shop/m/b.json", File),
            ("shop/m/c.YAML", File),
            ("shop/m/README.md", File),
            ("shop/package.json", File),
        ]);
        let found = manifest_entries(&project(&["shop/m"]), &tree, false, &Limits::default()).unwrap();
        assert_eq!(found.files.len(), 1);
        let told: Vec<_> = found.diagnostics.iter().map(|d| (d.code, d.message.as_str())).collect();
        let words = "`shop/m/b.json` and 1 more are not read: a manifest is a file named `*.yaml` or `*.yml`";
        assert_eq!(told, [("not-a-manifest", words)]);
        // Nobody meant all that lies in the project's own folder.
        let found = manifest_entries(&project(&[]), &tree, false, &Limits::default()).unwrap();
        assert_eq!(found.diagnostics, []);
    }

    #[test]
    fn links_submodules_and_hostile_names_are_refused_by_name() {
        use FileMode::{File, Submodule, Symlink};
        for (path, mode, code) in [
            ("shop/m/a.yaml", Symlink, "symlink"),
            ("shop/m/dir", Symlink, "symlink"),
            ("shop/m/sub", Submodule, "submodule"),
            ("shop/m/../x.yaml", File, "bad-entry"),
            ("shop/m/.GIT/x.yaml", File, "bad-entry"),
            ("shop/m/a\u{1b}[2J.yaml", File, "bad-entry"),
            ("shop/m/a\\b.yaml", File, "bad-entry"),
        ] {
            let errors =
                manifest_entries(&project(&["shop/m"]), &tree(&[(path, mode)]), true, &Limits::default()).unwrap_err();
            assert_eq!(errors.iter().map(|e| e.code).collect::<Vec<_>>(), [code], "{path}");
            assert!(!errors[0].message.contains('\u{1b}'));
        }
    }

    #[test]
    fn a_listed_folder_that_is_gone_is_empty_only_where_a_record_guards_it() {
        let tree = tree(&[("shop/ctl.yaml", FileMode::File)]);
        let errors = manifest_entries(&project(&["shop/m"]), &tree, false, &Limits::default()).unwrap_err();
        assert_eq!(errors[0].code, "missing-folder");
        let found = manifest_entries(&project(&["shop/m"]), &tree, true, &Limits::default()).unwrap();
        assert_eq!(found.missing_folders, ["shop/m"]);
        assert!(found.files.is_empty());
    }

    #[test]
    fn names_that_differ_in_case_only_are_warned_about() {
        let tree = tree(&[("shop/m/A.yaml", FileMode::File), ("shop/m/a.yaml", FileMode::File)]);
        let found = manifest_entries(&project(&["shop/m"]), &tree, false, &Limits::default()).unwrap();
        assert_eq!((found.files.len(), found.diagnostics[0].code), (2, "case-collision"));
    }

    #[test]
    fn no_name_that_is_refused_looks_plain() {
        for step in
            ["", ".", "..", ".git", ".GIT", "git~1", "GIT~1", "a\\b", "long-enough\\b", "a\u{1}b", "\u{7f}", "a\u{9b}b"]
        {
            for path in [format!("shop/{step}/a.yaml"), format!("{step}/a.yaml"), format!("shop/{step}")] {
                assert!(bad_name(&path).is_some() && !is_plain(&path), "{path:?}");
            }
        }
        for path in
            ["shop/manifests/group-01/svc-00001.yaml", "m/a.yaml", "7/.gitlab.yaml", "git/github.yaml", "ü/a.yaml"]
        {
            assert_eq!(bad_name(path), None, "{path:?}");
        }
        assert!(is_plain("shop/manifests/group-01/svc-00001.yaml") && is_plain("m/a.yaml"));
    }
}
