//! What is refused, or taken, when it is read: nothing is contacted yet.

use std::fs::File;

use crate::fake::Fake;
use crate::hostile::{API, project, project_at, thing};
use crate::sandbox::Sandbox;

#[test]
fn a_secret_in_clear_is_refused_with_its_line_and_contacts_nobody() {
    let fake = Fake::honest();
    for (password, refused) in [("hunter2-in-git", true), ("{deep: [hunter2-in-git]}", true), ("4711", true)]
        .into_iter()
        .chain([("\"\"", false), ("null", false), ("true", false)])
    {
        let sandbox = project(&fake.url(), "");
        sandbox.write("manifests/a.yaml", &thing("a", &format!("size: 1, password: {password}"))).commit("a password");
        let ran = sandbox.run(["validate"]);
        assert_eq!(ran.code, Some(if refused { 6 } else { 0 }), "{password}: {}", ran.stderr);
        if refused {
            let ran = ran.warns("secret-in-clear").warns("manifests/a.yaml:4:");
            assert!(!ran.stderr.contains(password), "the line is not shown: {}", ran.stderr);
            sandbox.run(["plan"]).exits(6);
        }
    }
    assert!(fake.asked().is_empty());
}

#[test]
fn a_secret_in_clear_by_way_of_a_value_is_refused_too() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "    values: {pw: hunter2-in-git}\n");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1, password: {$value: pw}")).commit("a password");
    sandbox.run(["plan"]).exits(6).warns("secret-in-clear");
    assert!(fake.asked().is_empty());
}

#[test]
fn a_description_of_any_size_is_not_read() {
    let sandbox = Sandbox::new();
    let file = File::create(sandbox.root().join("huge.yaml")).unwrap();
    file.set_len(3 << 30).unwrap();
    let huge = sandbox.root().join("huge.yaml").display().to_string();
    let ran = sandbox.watched(&["validate", "--api", &huge, "--api", "/dev/zero"]).stays_small();
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("too-large").count(), 2, "{}", ran.stderr);
}

#[test]
fn an_address_in_depends_on_may_escape_what_it_need_not() {
    let fake = Fake::honest();
    let sandbox = Sandbox::new();
    sandbox.write("apis/fake.yaml", API);
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("\"a@b\"", "size: 1"));
    sandbox.write(
        "manifests/0.yaml",
        "apiVersion: fake\nkind: thing\nmetadata: {name: \"0\", dependsOn: [thing/a%40b]}\nspec: {size: 1}\n",
    );
    sandbox.commit("one after the other");
    let plan = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    let order: Vec<_> =
        plan["operations"].as_array().unwrap().iter().map(|op| op["address"].as_str().unwrap()).collect();
    assert_eq!(order, ["shop:thing/a@b", "shop:thing/0"]);
}

#[test]
fn a_rehearsal_may_be_told_by_its_body_alone() {
    let fake = Fake::scripted(|asked| {
        let dry = String::from_utf8_lossy(&asked.body).contains("\"dryRun\":true");
        (dry && asked.method == "PUT").then(|| crate::fake::plain(422, "", r#"{"message":"too small"}"#))
    });
    let sandbox = Sandbox::new();
    let validate = "    validate: {put: \"/things/{name}\", body: {\"*\": all, dryRun: true}}\n";
    sandbox.write("apis/fake.yaml", &API.replace("    fields:\n", &format!("{validate}    fields:\n")));
    project_at(&sandbox, &fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1, dryRun: false")).commit("one thing");
    let ran = sandbox.run(["apply", "--yes"]).exits(7);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("the target would not take it"), "{}", ran.stderr);
    assert!(fake.names().is_empty(), "no manifest takes away what makes it a rehearsal");
}

#[test]
fn no_line_with_a_secret_in_clear_is_shown_for_a_neighbours_sake() {
    let api = API
        .replace("{secret: true}", "{secret: true}\n      token: {secret: true}")
        .replace("    write:", "    known: [size]\n    write:");
    for (spec, code) in [
        ("  password: hunter2-in-git\n  size: 1\n  token: hunter2-too", "secret-in-clear"),
        ("  password: hunter2-in-git\n  sise: 1\n  token: hunter2-too", "unknown-field"),
        ("  password: hunter2-in-git\n  size: !x 1\n  token: hunter2-too", "custom-tag"),
        ("  password: hunter2-in-git\n  size: 1\n    broken: 1\n  token: hunter2-too", "yaml-syntax"),
        ("  pasword: hunter2-in-git\n  token: !vault hunter2-too\n", "custom-tag"),
        ("  password: 0777\n  token: 017\n  sise: 1", "ambiguous-scalar"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("apis/fake.yaml", &api);
        project_at(&sandbox, "http://127.0.0.1:9", "");
        sandbox.write(
            "manifests/a.yaml",
            &format!("apiVersion: fake\nkind: thing\nmetadata: {{name: a}}\nspec:\n{spec}\n"),
        );
        sandbox.commit("secrets");
        for args in [["validate", "."], ["plan", "-v"], ["apply", "--yes"]] {
            let ran = sandbox.run(args).exits(6).warns(code).warns("manifests/a.yaml:");
            for secret in ["hunter2", "0777"] {
                assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(secret), "{spec}: {}", ran.stderr);
            }
        }
    }
}

#[test]
fn only_the_descriptions_of_picked_targets_are_warned_of() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), &format!("  odd: {{api: odd, url: {}}}\n", fake.url()));
    sandbox.write(
        "apis/odd.yaml",
        &API.replace("api: fake", "api: odd").replace("write: {put: all}", "write: {put: merged}"),
    );
    sandbox.commit("another target");
    assert!(!sandbox.run(["plan", "-t", "shop"]).exits(0).stderr.contains("odd"));
    sandbox.run(["plan", "-t", "odd"]).exits(0).warns("merged-without-etag").warns("apis/odd.yaml:");
    sandbox.run(["plan"]).exits(0).warns("merged-without-etag");
    sandbox.run(["validate"]).exits(0).warns("merged-without-etag");
}
