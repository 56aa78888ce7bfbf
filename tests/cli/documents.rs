//! Manifests that are meant to do harm, and those that are only written badly.

use crate::fake::Fake;
use crate::hostile::{project, thing};
use crate::input::refused;
use crate::sandbox::Ran;
use crate::told::told;

/// One more manifest with this content; it must be refused with these texts, and to the letter as `case` says.
#[track_caller]
fn bad_manifest(case: &str, content: impl AsRef<[u8]>, texts: &[&str]) -> Ran {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    std::fs::write(sandbox.repo().join("manifests/w.yaml"), content).unwrap();
    sandbox.commit("wrong");
    let mut all = vec!["manifests/w.yaml"];
    all.extend(texts);
    let ran = refused(&sandbox, &fake, 6, &all);
    told(&sandbox, case, &["plan"], &ran);
    sandbox.watched(&["plan", "--dirty"]).stays_small().exits(6);
    ran
}

#[test]
fn yml_01_an_alias_bomb_is_refused_while_it_is_small() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let all = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{all}]\n"));
    }
    bad_manifest(
        "YML-01",
        format!("apiVersion: fake\nkind: thing\nspec:\n  name: x\n{}", indented(&text)),
        &["alias-bomb"],
    );
}

#[test]
fn yml_02_aliases_that_grow_quadratically_are_refused() {
    let long = format!("a: &a {:?}\n", "x".repeat(100_000));
    let many = format!("b: [{}]\n", vec!["*a"; 20_000].join(", "));
    bad_manifest(
        "YML-02",
        format!("apiVersion: fake\nkind: thing\nspec:\n  name: x\n{}", indented(&(long + &many))),
        &["alias-bomb"],
    );
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[test]
fn yml_03_nesting_without_end_is_refused() {
    bad_manifest("YML-03", format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)), &["too-deep"]);
    bad_manifest("YML-03-mappings", format!("a: {}x{}", "{a: ".repeat(100_000), "}".repeat(100_000)), &["too-deep"]);
    let blocks: String = (0..1_000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    bad_manifest("YML-03-blocks", blocks, &["too-deep"]);
    bad_manifest("YML-03-lists", "- ".repeat(50_000), &[]);
    bad_manifest("YML-03-keys", "? ".repeat(50_000), &[]);
    bad_manifest("YML-03-tags", format!("a: {}x", "!t ".repeat(50_000)), &[]);
}

#[test]
fn yml_04_a_million_documents_are_refused() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.write("manifests/w.yaml", &"---\na\n".repeat(200_000)).commit("documents");
    refused(&sandbox, &fake, 6, &["too-large", "the project has more than 100000 documents", "ctl.yaml:1:1"]);
}

#[test]
fn yml_06_a_key_that_stands_twice_is_refused_with_both_places() {
    let ran = bad_manifest(
        "YML-06",
        "apiVersion: fake\nkind: thing\nspec:\n  name: x\n  size: 1\n  size: 2\n",
        &["duplicate-key", "`size` stands twice", "manifests/w.yaml:6:3"],
    );
    assert!(ran.stderr.contains(":5:3") || ran.stderr.contains("first"), "{}", ran.stderr);
}

#[test]
fn yml_08_a_word_that_is_a_boolean_elsewhere_is_text_with_a_warning() {
    for word in ["no", "on", "y", "off", "Yes"] {
        let fake = Fake::honest();
        let sandbox = project(&fake.url(), "");
        sandbox.write("manifests/w.yaml", &thing("x", &format!("country: {word}")));
        sandbox.commit("norway");
        if word == "no" {
            told(&sandbox, "YML-08", &["plan"], &sandbox.run(["plan"]));
        }
        let ran = sandbox.run(["apply", "--yes"]).exits(0).warns("ambiguous-scalar");
        assert!(ran.stderr.contains(&format!("\"{word}\"")), "{word}: {}", ran.stderr);
        assert!(fake.heard(&format!(r#""country":"{word}""#)), "{word}");
    }
}

#[test]
fn yml_09_a_number_that_is_octal_elsewhere_is_text_with_a_warning() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.write("manifests/w.yaml", &thing("x", "mode: 017, big: 1_000, octal: 0o17"));
    sandbox.commit("octal");
    told(&sandbox, "YML-09", &["plan"], &sandbox.run(["plan"]));
    sandbox.run(["apply", "--yes"]).exits(0).warns("ambiguous-scalar");
    assert!(fake.heard(r#""mode":"017""#) && fake.heard(r#""big":"1_000""#) && fake.heard(r#""octal":15"#));
}

#[test]
fn yml_10_numbers_that_are_none_are_refused() {
    for (case, number) in [("YML-10", ".nan"), ("YML-10-inf", ".inf"), ("YML-10-minus-inf", "-.inf")] {
        bad_manifest(case, thing("x", &format!("size: {number}")), &["bad-number"]);
    }
    bad_manifest("YML-10-exponent", thing("x", "size: 1e99999999999"), &["bad-number"]);
    // A number is its digits: this one is never written out.
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.write("manifests/w.yaml", &thing("x", "size: 1e999999999"));
    sandbox.commit("large");
    sandbox.watched(&["apply", "--yes"]).stays_small().exits(0);
    assert!(fake.heard(r#""size":1e999999999"#));
}

#[test]
fn yml_11_an_integer_of_any_size_survives() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let big = "123456789012345678901234567890";
    sandbox.write("manifests/w.yaml", &thing("x", &format!("size: {big}")));
    sandbox.commit("big");
    told(&sandbox, "YML-11", &["plan"], &sandbox.run(["plan"]));
    sandbox.run(["apply", "--yes"]).exits(0);
    assert!(fake.heard(&format!(r#""size":{big}"#)));
}

#[test]
fn yml_13_and_14_a_name_that_is_null_or_a_list_is_refused() {
    bad_manifest("YML-13", "apiVersion: fake\nkind: thing\nmetadata: {name: null}\nspec: {}\n", &[]);
    bad_manifest("YML-13-spec", "apiVersion: fake\nkind: thing\nspec: {name: }\n", &[]);
    bad_manifest("YML-14", "apiVersion: fake\nkind: thing\nspec: [name, x]\n", &["not a mapping"]);
    bad_manifest("YML-14-document", "- apiVersion: fake\n", &["not a mapping"]);
}

#[test]
fn yml_15_a_tag_that_would_make_something_is_refused() {
    for (case, tag) in [
        ("YML-15", "!!python/object/apply:os.system [touch x]"),
        ("YML-15-include", "!include /etc/passwd"),
        ("YML-15-function", "!!js/function \"f\""),
        ("YML-15-object", "!ruby/object:X {}"),
    ] {
        let text = format!("apiVersion: fake\nkind: thing\nspec:\n  name: x\n  evil: {tag}\n");
        let ran = bad_manifest(case, text, &["custom-tag", "includes nothing and runs nothing", "manifests/w.yaml:5"]);
        assert!(!ran.stderr.contains("root:"));
    }
}

#[test]
fn yml_16_text_that_is_not_utf_8_is_refused() {
    bad_manifest(
        "YML-16",
        b"apiVersion: fake\nkind: thing\nspec: {name: \xff\xfe}\n",
        &["not-utf8", "save the file as UTF-8"],
    );
    let utf16: Vec<u8> = "\u{feff}a: 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bad_manifest("YML-16-utf-16", utf16, &["not-utf8", "UTF-16"]);
    bad_manifest("YML-16-nul", b"a: \"x\x00y\"\n", &["control-character"]);
    // A byte order mark alone is harmless.
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.write("manifests/w.yaml", &format!("\u{feff}{}", thing("x", "size: 1")));
    sandbox.commit("a mark");
    sandbox.run(["plan"]).exits(0).says("thing");
}

#[test]
fn yml_18_an_anchor_does_not_reach_into_another_document() {
    bad_manifest("YML-18", format!("x: &a 1\n---\n{}", thing("x", "size: *a")), &["anchor"]);
}

#[test]
fn yml_19_comments_alone_are_an_empty_set_and_a_guard_stops_it() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/b.yaml").write("manifests/a.yaml", "# nothing\n");
    sandbox.commit("only comments");
    let (writes, names) = (fake.writes(), fake.names());
    sandbox.run(["plan"]).exits(7);
    sandbox.run(["apply", "--yes"]).exits(7);
    assert_eq!((fake.writes(), fake.names()), (writes, names));
}

#[test]
fn yml_20_two_files_that_declare_one_resource_are_refused_with_both_places() {
    let ran = bad_manifest("YML-20", thing("a", "size: 5"), &["duplicate-resource", "declared twice"]);
    assert!(ran.stderr.contains("manifests/a.yaml:"), "{}", ran.stderr);
}

#[test]
fn yml_21_what_a_template_left_behind_is_refused() {
    bad_manifest("YML-21", "apiVersion: fake\nkind: thing\nspec: {name: {{ .Values.name }}}\n", &["template-leftover"]);
    bad_manifest("YML-21-block", "{{- if .Values.on }}\na: 1\n{{- end }}\n", &["template-leftover"]);
}
