//! Every folder of `fixtures/manifest` is a project: what its manifests are told is in `diagnostics.txt`.
//!
//! `CTL_BLESS=1 cargo test --test manifests` writes the expectations anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctl::manifest::{Incremental, NextSet, SetInput, assemble, parse_all, parse_file, read_project};
use ctl::model::{
    Complete, Diagnostic, FieldPath, FileMode, Form, Kind, KindRules, KindTable, Limits, Match, OnDelete, ParentRule,
    Project, RefRule, Revision, Severity, Snapshot, SourceFile, Tally, TreeEntry, Value, parse_json,
};
use proptest::prelude::*;

/// Kinds that show every rule: `space` holds `item`s, an item refers to an `owner`, a `pair` must refer to a pair.
fn kinds() -> KindTable {
    let mut space = KindRules::conventional(Kind::new("space"), &["name"]);
    space.known = Some(vec!["description".into(), "limit".into(), "options".into()]);
    space.server = vec![FieldPath::parse("/id")];
    space.fields.insert(FieldPath::parse("/created"), ctl::model::FieldRule { server: true, ..Default::default() });
    space.ignore = vec![Match { fields: vec![(FieldPath::parse("name"), Some("/".into()))] }];
    let mut item = KindRules::conventional(Kind::new("item"), &["space", "name"]);
    item.key[0].default = Some(Value::from("/"));
    item.parent = Some(ParentRule { kind: Kind::new("space"), fields: vec![0] });
    item.refs = vec![reference("/owners/*", "owner", true)];
    let mut owner = KindRules::conventional(Kind::new("owner"), &["name"]);
    owner.key[0].form = Some(Form::Lower);
    owner.ignore = vec![Match { fields: vec![(FieldPath::parse("name"), Some("guest".into()))] }];
    let mut pair = KindRules::conventional(Kind::new("pair"), &["name"]);
    pair.refs = vec![reference("/with", "pair", false)];
    let kinds = [space, item, owner, pair].into_iter().map(|k| (k.kind.clone(), k)).collect();
    KindTable { kinds }
}

fn reference(field: &str, kind: &str, optional: bool) -> RefRule {
    RefRule {
        field: FieldPath::parse(field),
        kind: Kind::new(kind),
        through: Vec::new(),
        on_delete: OnDelete::None,
        optional,
        at: None,
    }
}

const PROJECT: &str = "\
apiVersion: ctl/v1
kind: Project
metadata: {name: shop}
values: {size: 3, region: north}
targets:
  a: {api: things, url: http://127.0.0.1:1, values: {region: south}}
  b: {api: things, url: http://127.0.0.1:2}
  other: {api: different, url: embedded}
";

fn project(text: &str) -> Result<(Project, Vec<Diagnostic>), Vec<Diagnostic>> {
    read_project(&Arc::new(SourceFile::new("ctl.yaml", text)))
}

fn snapshot(project: &Project, files: &[(String, Vec<u8>)]) -> Result<Snapshot, Vec<Diagnostic>> {
    snapshot_of(kinds(), project, files)
}

fn snapshot_of(kinds: KindTable, project: &Project, files: &[(String, Vec<u8>)]) -> Result<Snapshot, Vec<Diagnostic>> {
    let table = Arc::new(kinds);
    let tables = project.targets.keys().map(|name| (name.clone(), Arc::clone(&table))).collect();
    let parsed = parse_all(files, &Limits::default()).map_err(|problem| vec![problem])?;
    let entry = |(path, bytes): &(String, Vec<u8>)| TreeEntry {
        path: path.clone(),
        blob: path.clone(),
        mode: FileMode::File,
        size: Some(bytes.len() as u64),
    };
    let texts = |entry: &TreeEntry| {
        let (path, bytes) = files.iter().find(|(path, _)| *path == entry.path)?;
        Some(Arc::new(SourceFile::new(path.clone(), String::from_utf8(bytes.clone()).ok()?)))
    };
    let input = SetInput {
        project,
        revision: Revision::parse(&"a".repeat(40)).unwrap(),
        kinds: &tables,
        files: files.iter().map(entry).zip(parsed).collect(),
        texts: &texts,
        missing_folders: Vec::new(),
        limits: &Limits::default(),
    };
    let tally = Tally { parts: files.len(), items: files.len(), announced: Some(files.len()), ended: true };
    assemble(Complete::finish(input, &tally).unwrap()).map(Complete::into_inner)
}

fn render(diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for d in diagnostics {
        let word = match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        writeln!(out, "{word}[{}]: {}", d.code, d.message).unwrap();
        for label in &d.labels {
            writeln!(out, "  {} {}", label.span, label.text).unwrap();
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        if let Some(help) = &d.help {
            writeln!(out, "  help: {help}").unwrap();
        }
    }
    out
}

fn told(folder: &Path) -> String {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    let own = files.iter().position(|(name, _)| name == "ctl.yaml").map(|i| files.remove(i));
    let text = own.map_or_else(|| PROJECT.to_owned(), |(_, bytes)| String::from_utf8(bytes).unwrap());
    let project = match project(&text) {
        Ok((project, _)) => project,
        Err(diagnostics) => return render(&diagnostics),
    };
    match snapshot(&project, &files) {
        Err(diagnostics) => render(&diagnostics),
        Ok(snapshot) => {
            let mut out = render(&snapshot.diagnostics);
            for d in &snapshot.desired {
                writeln!(out, "{} {}", d.id, d.body.as_str()).unwrap();
            }
            out
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test is told by the environment to write its expectations")]
fn every_folder_is_told_what_its_expectation_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifest");
    let bless = std::env::var("CTL_BLESS").is_ok();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 25, "the fixtures are there");
    let mut wrong = Vec::new();
    for folder in folders {
        let found = told(&folder);
        let expected = folder.join("diagnostics.txt");
        if bless {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{}:\n{found}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_digest_knows_neither_file_names_nor_order() {
    let (project, _) = project(PROJECT).unwrap();
    let one = "{apiVersion: things, kind: owner, spec: {name: x}}\n";
    let two = "{apiVersion: things, kind: owner, spec: {name: y, n: 1.0}}\n";
    let digest = |files: &[(&str, String)]| {
        let files: Vec<_> = files.iter().map(|(p, t)| ((*p).to_owned(), t.clone().into_bytes())).collect();
        snapshot(&project, &files).unwrap().digest
    };
    let base = digest(&[("a.yaml", one.into()), ("b.yaml", two.into())]);
    assert_eq!(base, digest(&[("z.yaml", format!("{two}---\n{one}"))]));
    assert_ne!(base, digest(&[("z.yaml", format!("{two}---\n{}", one.replace('x', "z")))]));
    assert_ne!(
        base,
        digest(&[("z.yaml", format!("{two}---\n{}", one.replace("spec", "metadata: {protect: true}, spec")))])
    );
}

/// The routing key of a fanout is empty, stated or not; a name is not.
#[test]
fn a_key_field_may_be_empty_where_its_default_is() {
    let (project, _) = project(PROJECT).unwrap();
    let mut kinds = kinds();
    kinds.kinds.get_mut(&Kind::new("pair")).unwrap().key[0].default = Some(Value::from(""));
    let read = |text: &str| snapshot_of(kinds.clone(), &project, &[("a.yaml".to_owned(), text.as_bytes().to_vec())]);
    let stated = read("{apiVersion: things, kind: pair, spec: {name: ''}}\n").unwrap();
    let left_out = read("{apiVersion: things, kind: pair, spec: {}}\n").unwrap();
    assert_eq!(stated.digest, left_out.digest);
    assert!(stated.desired.iter().all(|desired| desired.id.key.texts().eq([""])));
    let told = render(&read("{apiVersion: things, kind: owner, spec: {name: ''}}\n").unwrap_err());
    assert!(told.contains("the key field `name` of `owner` is empty"), "{told}");
}

#[test]
fn bytes_that_are_not_utf_8_have_a_named_error() {
    for (bytes, message) in [
        (&b"a: \xff\n"[..], "byte 0xFF is not UTF-8"),
        (b"\xff\xfea\0:\0", "the file is UTF-16, not UTF-8"),
        (b"a\0:\0 \0b\0", "the file is UTF-16, not UTF-8"),
        (b"a: x\0y\n", "control character U+0000"),
        (b"a: x\x07y\n", "control character U+0007"),
        (b"a: \xc2\x9bm\n", "control character U+009B"),
    ] {
        let file = parse_file("a.yaml", bytes);
        assert_eq!(file.diagnostics.iter().map(|d| d.message.as_str()).collect::<Vec<_>>(), [message]);
        assert!(file.broken && file.documents.is_empty());
    }
}

#[test]
fn a_byte_order_mark_at_the_start_changes_nothing() {
    let file = parse_file("a.yaml", "\u{feff}kind: x\n".as_bytes());
    assert_eq!(file.diagnostics, []);
    assert_eq!(file.documents[0].head.as_str(), r#"{"kind":"x"}"#);
}

#[test]
fn hostile_sizes_are_refused_and_cost_little() {
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..10 {
            let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
            writeln!(text, "a{i}: &a{i} [{aliases}]").unwrap();
        }
        text
    };
    let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 2000].join(", "));
    for (text, code) in [
        (bomb, "alias-bomb"),
        (wide, "alias-bomb"),
        ("[".repeat(100_000), "too-deep"),
        ("- ".repeat(100_000), "too-deep"),
        ("a: ".repeat(100_000), "yaml-syntax"),
        (format!("{}1", "? ".repeat(100_000)), "bad-key"),
        ("x".repeat(5 << 20), "too-large"),
        ("a: &a [*a]".to_owned(), "bad-alias"),
    ] {
        let file = parse_file("a.yaml", text.as_bytes());
        assert_eq!(file.diagnostics.first().map(|d| d.code), Some(code), "{}", &text[..40.min(text.len())]);
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let text = "[a-zA-Z0-9 _:#'\"\\\\/{}\\[\\],&*!|>%@`~.\\n\u{e9}\u{1F600}-]{0,12}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        (-1e9..1e9_f64).prop_map(serde_json::Value::from),
        text.prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z][a-z0-9 -]{3,8}", inner, 0..6)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_another_writer_of_yaml_writes_is_read_as_it_was_meant(spec in json()) {
        let document = BTreeMap::from([("spec", &spec)]);
        let text = serde_yaml::to_string(&document).unwrap();
        let file = parse_file("a.yaml", text.as_bytes());
        prop_assert!(file.diagnostics.iter().all(|d| !d.is_error()), "{text}\n{:?}", file.diagnostics);
        let expected = parse_json(serde_json::to_string(&spec).unwrap().as_bytes()).unwrap();
        prop_assert_eq!(file.documents[0].spec.as_ref().unwrap().value(), expected, "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ \\n\\t:{}\\[\\],&*!|>%@`~.\"'#?$<abc0-9-]{0,80}") {
        let file = parse_file("a.yaml", text.as_bytes());
        for document in &file.documents {
            let _tree = document.head.value();
        }
    }
}

/// One file of a project that is edited again and again.
fn content(which: u8, n: u8) -> String {
    let api = "apiVersion: things\n";
    match which % 12 {
        0 => format!("{api}kind: space\nspec: {{name: s{}}}\n", 3 + n % 5),
        1 => format!("{api}kind: space\nspec: {{name: s{}, limit: {n}}}\n", 3 + n % 5),
        2 => format!("{api}kind: item\nspec: {{space: s{}, name: i{n}}}\n", n % 3),
        3 => format!("{api}kind: item\nspec: {{name: i{n}, owners: [o{}]}}\n", n % 4),
        4 => format!("{api}kind: owner\nspec: {{name: O{}, note: {n}}}\n", 3 + n % 6),
        5 => format!(
            "{api}kind: pair\nspec: {{name: p{}, with: {}}}\n",
            n % 4,
            ["base1", "p0", "p1", "p2"][usize::from(n / 4 % 4)]
        ),
        6 => format!("{api}kind: pair\nmetadata: {{dependsOn: [owner/o{}]}}\nspec: {{name: p{}}}\n", n % 4, n / 4 % 4),
        7 => format!(
            "{api}kind: owner\nmetadata: {{targets: [a]}}\nspec: {{name: o{}, region: {{$value: region}}}}\n",
            n % 4
        ),
        8 => format!("{api}kind: owner\nspec: {{name: o{}, warn: no}}\n", 3 + n % 6),
        9 => format!("{api}kind: space\nspec: {{name: t0}}\n---\n{api}kind: space\nspec: {{name: t1}}\n---\n# {n}\n"),
        10 => format!("{api}kind: pair\nmetadata: {{dependsOn: ['owner/*']}}\nspec: {{name: p{}}}\n", n % 4),
        _ => format!(
            "{api}kind: {}\n",
            ["nothing", "space\nspec: {}", "[", "pair\nspec: {name: p1, id: 1}"][usize::from(n % 4)]
        ),
    }
}

fn shape(result: &Result<Snapshot, Vec<Diagnostic>>) -> String {
    match result {
        Ok(snapshot) => format!("{snapshot:#?}"),
        Err(diagnostics) => format!("{diagnostics:#?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn one_edit_after_another_gives_what_a_first_look_would_give(
        edits in prop::collection::vec((0..7_u8, 0..16_u8, any::<u8>(), 0..10_u8), 1..30),
    ) {
        let table = Arc::new(kinds());
        let mut known = Incremental::default();
        // Most edits begin from a set without an error: there the short way is open.
        let things = "apiVersion: things\n";
        let base = (0..4).map(|n| {
            let documents = ["owner\nspec: {name: o", "space\nspec: {name: s", "pair\nspec: {name: base"];
            let text = documents.map(|text| format!("{things}kind: {text}{n}}}\n")).join("---\n");
            (format!("m/base{n}.yaml"), (format!("base{n}"), text))
        });
        let mut contents: BTreeMap<String, (String, String)> = base.collect();
        let mut region = "south";
        for (step, (file, which, n, luck)) in edits.iter().enumerate() {
            let path = match file {
                0 => format!("m/base{}.yaml", n % 4),
                _ => format!("m/{file}.yaml"),
            };
            match which {
                0..12 => drop(contents.insert(path, (format!("{step}"), content(*which, *n)))),
                12..15 => drop(contents.remove(&path)),
                _ => region = if region == "south" { "west" } else { "south" },
            }
            let (project, _) = project(&PROJECT.replace("south", region)).unwrap();
            let tables = project.targets.keys().map(|name| (name.clone(), Arc::clone(&table))).collect();
            let entry = |(path, (blob, _)): (&String, &(String, String))| TreeEntry {
                path: path.clone(), blob: blob.clone(), mode: FileMode::File, size: None,
            };
            let tree: Vec<TreeEntry> = contents.iter().map(entry).collect();
            let texts = |entry: &TreeEntry| {
                let (_, text) = contents.get(&entry.path)?;
                Some(Arc::new(SourceFile::new(entry.path.clone(), text.clone())))
            };
            let revision = Revision::parse(&format!("{step:040x}")).unwrap();
            let tally = Tally { parts: 1, items: 1, announced: None, ended: true };
            let parsed = |entry: &TreeEntry| parse_file(&entry.path, contents[&entry.path].1.as_bytes());
            let cold = assemble(Complete::finish(SetInput {
                project: &project,
                revision: revision.clone(),
                kinds: &tables,
                files: tree.iter().map(|entry| (entry.clone(), parsed(entry))).collect(),
                texts: &texts,
                missing_folders: Vec::new(),
                limits: &Limits::default(),
            }, &tally).unwrap());
            let entries: Vec<&TreeEntry> = tree.iter().collect();
            let unknown: Vec<TreeEntry> = known.unknown(&entries).into_iter().cloned().collect();
            // One edit at a time: one file at most is new, whatever came of the sets before.
            prop_assert!(unknown.len() <= 1 || step == 0, "{unknown:?}");
            for entry in &unknown {
                known.learn(entry, parsed(entry));
            }
            let next = known.assemble(Complete::finish(NextSet {
                project: &project,
                revision,
                kinds: &tables,
                entries: &entries,
                texts: &texts,
                missing_folders: Vec::new(),
                limits: &Limits::default(),
            }, &tally).unwrap());
            let (next, cold) = (next.map(Complete::into_inner), cold.map(Complete::into_inner));
            prop_assert_eq!(shape(&next), shape(&cold));
            if *luck > 0 {
                known.commit();
            }
            known.forget(|path, blob| contents.get(path).is_some_and(|(known, _)| known == blob));
        }
    }
}
