//! Texts that a terminal would obey: from manifests, servers, file names and the command line.

use crate::fake::{Fake, plain};
use crate::hostile::{project, thing};
use crate::told::told;

/// The bytes that must never reach a terminal from outside, and what else must not be taken for the program's own.
#[track_caller]
fn clean(text: &str) {
    for c in text.chars() {
        let bad = (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        assert!(!bad, "{c:?} in {text:?}");
    }
    for line in text.lines() {
        assert!(!line.starts_with("FORGED"), "{text}");
        assert!(!line.starts_with("::error"), "{text}");
    }
}

const TRM: [(&str, &str); 10] = [
    ("TRM-01", "x\u{1b}[2Jy"),
    ("TRM-02", "x\u{1b}]52;c;eA==\u{7}y"),
    ("TRM-03", "x\u{1b}]8;;http://evil\u{1b}\\y"),
    ("TRM-04", "x\u{1b}]0;t\u{7}y"),
    ("TRM-05", "bad\rgood"),
    ("TRM-06", "bad\u{8}\u{8}\u{8}good"),
    ("TRM-07", "x\u{9b}2Jy"),
    ("TRM-08", "x\u{202e}y\u{2066}z\u{200f}"),
    ("TRM-09", "x\nFORGED Plan: 0 to delete\n::error::x"),
    ("TRM-10", "\u{1b}[2J\u{1b}[HFORGED Apply this plan? [y/N] "),
];

/// A text in double quotes, as JSON and YAML read it, in ASCII alone.
fn json_text(text: &str) -> String {
    let escaped = serde_json::Value::from(text).to_string();
    let ascii = |c: char| if c.is_ascii() && c != '\u{7f}' { c.to_string() } else { format!("\\u{:04x}", c as u32) };
    escaped.chars().map(ascii).collect()
}

#[test]
fn trm_01_to_10_in_manifests_reach_no_output_as_commands() {
    for (name, text) in TRM {
        let fake = Fake::honest();
        let sandbox = project(&fake.url(), "");
        let spec = format!("size: 1, note: {0}, {0}: 3, list: [{0}]", json_text(text));
        sandbox.write("manifests/a.yaml", &thing("a", &spec));
        // What stands in an address is refused; what looks like something else only is not.
        sandbox.write("manifests/c.yaml", &thing(&json_text(text), "size: 3")).commit("a name");
        let ran = sandbox.run(["plan"]);
        clean(&ran.stdout);
        told(&sandbox, name, &["plan"], &ran);
        let ran = sandbox.run(["apply", "--yes"]);
        clean(&ran.stdout);
        clean(&ran.stderr);
        if ran.code != Some(0) {
            assert_eq!(ran.code, Some(6), "{name}: {}{}", ran.stdout, ran.stderr);
            assert_eq!(fake.writes(), 0);
            sandbox.remove("manifests/c.yaml");
        }
        sandbox.commit(text);
        for output in ["text", "markdown"] {
            let ran = sandbox.run(["plan", "-v", "-o", output]);
            assert_eq!(ran.code, Some(0), "{name} {output}: {}{}", ran.stdout, ran.stderr);
            clean(&ran.stdout);
            clean(&ran.stderr);
            if output == "text" {
                told(&sandbox, &format!("{name}-values"), &["plan", "-v"], &ran);
            }
        }
        let ran = sandbox.run(["apply", "-v", "--yes"]);
        clean(&ran.stdout);
        clean(&ran.stderr);
        assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.stdout, ran.stderr);
        // JSON keeps the data exactly, escaped as JSON escapes.
        sandbox.write("manifests/a.yaml", &thing("a", "size: 1, note: plain"));
        sandbox.commit("plain");
        let ran = sandbox.run(["plan", "-o", "json"]).exits(0);
        assert!(ran.stdout.chars().all(|c| !c.is_control() || c == '\n'), "{name}: {}", ran.stdout);
        let before = ran.json()["operations"].to_string();
        assert!(before.contains("note"), "{before}");
        let ran = sandbox.run(["plan"]).exits(0);
        clean(&ran.stdout);
    }
}

#[test]
fn trm_01_to_10_in_a_servers_answers_reach_no_output_as_commands() {
    let all = TRM.map(|(_, text)| text).join(" ");
    let answered = |status: u16| {
        let body = format!(r#"{{"items":[{{"name":{0},"size":{0}}}],"message":{0}}} {all}"#, json_text(&all));
        let fake = Fake::scripted(move |asked| match asked.method.as_str() {
            "GET" if status == 200 => Some(plain(200, "", &body)),
            "GET" => None,
            _ => Some(plain(status, "", &body)),
        });
        let sandbox = project(&fake.url(), "");
        for args in [&["plan", "-v"][..], &["apply", "-v", "--yes"], &["apply", "--yes", "-o", "markdown"]] {
            let ran = sandbox.watched(args).stays_small();
            assert!(ran.code != Some(0) || args[0] == "plan", "{status}");
            clean(&ran.stdout);
            clean(&ran.stderr);
        }
    };
    // Some of them are asked again, after a pause each time: they wait side by side.
    std::thread::scope(|side_by_side| {
        for status in [200, 400, 403, 409, 422, 500] {
            side_by_side.spawn(move || answered(status));
        }
    });
}

#[test]
fn trm_01_to_10_in_wrong_manifests_and_names_reach_no_output_as_commands() {
    for (name, text) in TRM {
        let fake = Fake::honest();
        let sandbox = project(&fake.url(), "");
        let quoted = json_text(text);
        for (file, wrong) in [
            ("kind", format!("apiVersion: fake\nkind: {quoted}\nspec: {{name: x}}\n")),
            ("api", format!("apiVersion: {quoted}\nkind: thing\nspec: {{name: x}}\n")),
            ("field", format!("apiVersion: fake\nkind: thing\n{quoted}: 1\nspec: {{name: x}}\n")),
            (
                "target",
                format!("apiVersion: fake\nkind: thing\nmetadata: {{targets: [{quoted}]}}\nspec: {{name: x}}\n"),
            ),
            ("value", format!("apiVersion: fake\nkind: thing\nspec: {{name: x, y: {{$value: {quoted}}}}}\n")),
            ("twice", format!("apiVersion: fake\nkind: thing\nspec: {{name: x, {quoted}: 1, {quoted}: 2}}\n")),
            ("raw", format!("apiVersion: fake\nkind: thing\nspec: {{name: x}}\n# {text}\n: : {text}\n")),
        ] {
            sandbox.write("manifests/w.yaml", &wrong);
            sandbox.commit("wrong");
            for args in [&["plan"][..], &["plan", "--dirty"], &["apply", "--yes", "-o", "json"]] {
                let ran = sandbox.watched(args).stays_small();
                assert_eq!(ran.code, Some(6), "{name} {file}: {}{}", ran.stdout, ran.stderr);
                clean(&ran.stdout);
                clean(&ran.stderr);
            }
        }
        assert!(fake.asked().is_empty(), "something was contacted");
        // What the user typed may come from a script.
        for args in [&["plan", "--rev", text][..], &["plan", "-t", text], &["plan", text], &["plan", "-l", text]] {
            let ran = sandbox.watched(args).stays_small();
            assert!(!matches!(ran.code, Some(0 | 101) | None), "{name} {args:?}: {:?}", ran.code);
            clean(&ran.stdout);
            clean(&ran.stderr);
        }
    }
}

#[test]
fn a_file_name_that_holds_commands_reaches_no_output_as_commands() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    std::fs::write(sandbox.repo().join("manifests/\u{1b}[2Jx.yaml"), "a: 1\n").unwrap();
    let ran = sandbox.run(["plan"]);
    clean(&ran.stdout);
    clean(&ran.stderr);
    sandbox.commit("odd name");
    let ran = sandbox.run(["plan"]).exits(6);
    clean(&ran.stderr);
    assert!(ran.stderr.contains("source-odd-entry"), "{}", ran.stderr);
    assert_eq!(fake.writes(), 0);
}
