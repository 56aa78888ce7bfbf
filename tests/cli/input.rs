//! Repositories and addresses that are meant to do harm, and those that are only unusual.

use crate::fake::Fake;
use crate::hostile::{API, project, project_at, thing};
use crate::sandbox::{Ran, Sandbox};
use crate::told::told;

/// Runs plan and apply; both must end with `code` and say the same, all of `texts` in it, and nothing may be asked or
/// recorded.
#[track_caller]
pub(crate) fn refused(sandbox: &Sandbox, fake: &Fake, code: i32, texts: &[&str]) -> Ran {
    let before = fake.asked().len();
    let applied = sandbox.watched(&["apply", "--yes"]).stays_small();
    let planned = sandbox.watched(&["plan"]).stays_small();
    for ran in [&applied, &planned] {
        assert_eq!(ran.code, Some(code), "stdout:\n{}\nstderr:\n{}", ran.stdout, ran.stderr);
        let flat = ran.stderr.split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(flat.contains(text), "no {text:?} in:\n{}", ran.stderr);
        }
    }
    assert_eq!(applied.stderr, planned.stderr, "apply says something else than plan");
    assert_eq!(fake.asked().len(), before, "something was contacted: {:?}", fake.asked());
    assert_eq!(sandbox.records(), "");
    planned
}

/// A project whose commit's root tree is rewritten with further entries of `manifests/`: `mode`, name, content.
fn with_entry(mode: &str, name: &[u8], content: &str) -> (Fake, Sandbox) {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let blob = hash(&sandbox, "blob", content.as_bytes());
    let entry = [(mode.to_owned(), name.to_vec(), blob)];
    replace_manifests(&sandbox, &entry);
    (fake, sandbox)
}

/// Commits the project with `entries` added to `manifests/`, without asking git whether they are decent.
fn replace_manifests(sandbox: &Sandbox, entries: &[(String, Vec<u8>, String)]) {
    let mut all: Vec<(String, Vec<u8>, String)> = sandbox
        .git(["ls-tree", "HEAD:manifests"])
        .lines()
        .map(|line| {
            let (what, name) = line.split_once('\t').unwrap();
            let words: Vec<&str> = what.split(' ').collect();
            (words[0].to_owned(), name.as_bytes().to_vec(), words[2].to_owned())
        })
        .collect();
    all.extend(entries.iter().cloned());
    all.sort_by(|a, b| a.1.cmp(&b.1));
    let manifests = tree(sandbox, &all);
    let mut root: Vec<(String, Vec<u8>, String)> = vec![("40000".into(), b"manifests".to_vec(), manifests)];
    for name in ["apis", "ctl.yaml"] {
        let id = sandbox.git(["rev-parse", &format!("HEAD:{name}")]).trim().to_owned();
        root.push((if name == "apis" { "40000" } else { "100644" }.into(), name.as_bytes().to_vec(), id));
    }
    root.sort_by(|a, b| a.1.cmp(&b.1));
    let root = tree(sandbox, &root);
    let commit = sandbox.git(["commit-tree", "-m", "odd", &root]);
    sandbox.git(["update-ref", "HEAD", commit.trim()]);
}

fn tree(sandbox: &Sandbox, entries: &[(String, Vec<u8>, String)]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend_from_slice(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend((0..40).step_by(2).map(|i| u8::from_str_radix(&id[i..i + 2], 16).unwrap()));
    }
    hash(sandbox, "tree", &bytes)
}

fn hash(sandbox: &Sandbox, kind: &str, bytes: &[u8]) -> String {
    let file = sandbox.root().join("object");
    std::fs::write(&file, bytes).unwrap();
    sandbox.git(["hash-object", "-t", kind, "--literally", "-w", file.to_str().unwrap()]).trim().to_owned()
}

#[test]
fn git_01_a_link_to_an_absolute_path_is_named_and_never_followed() {
    let (fake, sandbox) = with_entry("120000", b"evil.yaml", "/etc/passwd");
    let ran =
        refused(&sandbox, &fake, 6, &["symlink", "`manifests/evil.yaml` is a symbolic link", "links are not followed"]);
    assert!(!ran.stderr.contains("root:"));
    told(&sandbox, "GIT-01", &["plan"], &ran);
}

#[test]
fn git_02_a_link_upward_is_named_and_never_followed() {
    let (fake, sandbox) = with_entry("120000", b"evil.yaml", "../../home/secret");
    std::fs::write(sandbox.root().join("home/secret"), "CANARY-7716\n").unwrap();
    let ran = refused(&sandbox, &fake, 6, &["symlink", "manifests/evil.yaml"]);
    assert!(!ran.stderr.contains("CANARY"));
    told(&sandbox, "GIT-02", &["plan"], &ran);
    // The same in the work tree.
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    std::fs::write(sandbox.root().join("home/secret"), "CANARY-7716: {\n").unwrap();
    std::os::unix::fs::symlink("../../home/secret", sandbox.repo().join("manifests/evil.yaml")).unwrap();
    let ran = sandbox.run(["plan", "--dirty"]).exits(6);
    assert!(ran.stderr.contains("symlink") && !ran.stderr.contains("CANARY"), "{}", ran.stderr);
    told(&sandbox, "GIT-02-dirty", &["plan", "--dirty"], &ran);
    assert!(fake.asked().is_empty());
}

#[test]
fn git_04_a_linked_folder_is_named_and_never_followed() {
    let (fake, sandbox) = with_entry("120000", b"more", "../../../etc");
    refused(&sandbox, &fake, 6, &["symlink", "manifests/more"]);
    // `ctl.yaml` and a description that are links are no files of the project.
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    std::fs::write(sandbox.root().join("evil.yaml"), API).unwrap();
    sandbox.remove("apis/fake.yaml");
    std::os::unix::fs::symlink("../../evil.yaml", sandbox.repo().join("apis/fake.yaml")).unwrap();
    sandbox.commit("a linked description");
    let ran = refused(&sandbox, &fake, 6, &["apis/fake.yaml"]);
    assert!(!ran.stderr.contains("/things"), "{}", ran.stderr);
}

#[test]
fn git_06_to_10_a_name_that_is_no_name_is_refused() {
    for (name, shown) in [
        (&b".."[..], ".."),
        (b".", "."),
        (b".git", ".git"),
        (b".GIT", ".GIT"),
        (b"git~1", "git~1"),
        (b"a/b.yaml", "a/b.yaml"),
        (b"a\\b.yaml", "a\\\\b.yaml"),
        (b"a\rb.yaml", "a\\rb.yaml"),
        (b"a\x1b[2J.yaml", "a\\u{1b}[2J.yaml"),
        (b"\xff\xfe.yaml", "\u{fffd}"),
        (b"", ""),
    ] {
        let (fake, sandbox) = with_entry("100644", name, "a: 1\n");
        let ran = sandbox.run(["plan"]);
        assert_eq!(ran.code, Some(6), "{shown}: {}{}", ran.stdout, ran.stderr);
        let named = ran.stderr.contains("source-odd-entry") && ran.stderr.contains(shown);
        // libgit2 itself refuses some of them.
        assert!(named || ran.stderr.contains("source-object-missing"), "{shown}: {}", ran.stderr);
        if shown == ".." {
            told(&sandbox, "GIT-06", &["plan"], &ran);
        }
        sandbox.run(["apply", "--yes"]).exits(6);
        assert!(fake.asked().is_empty());
    }
}

#[test]
fn git_11_a_name_that_stands_twice_is_refused() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let link = hash(&sandbox, "blob", b"/etc");
    let folder = sandbox.git(["rev-parse", "HEAD:manifests"]).trim().to_owned();
    let entries = [("120000".to_owned(), b"x".to_vec(), link), ("40000".to_owned(), b"x".to_vec(), folder)];
    replace_manifests(&sandbox, &entries);
    refused(&sandbox, &fake, 6, &["the name is there twice"]);
}

#[test]
fn git_12_names_that_differ_in_case_only_are_a_warning() {
    let (fake, sandbox) = with_entry("100644", b"A.yaml", &thing("z", "size: 1"));
    sandbox.run(["plan"]).exits(0).warns("case-collision");
    assert_eq!(fake.writes(), 0);
}

#[test]
fn git_14_folders_a_hundred_thousand_deep_are_refused() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    // Git itself need not walk it: trees are written one by one from the inside.
    let mut id = hash(&sandbox, "blob", b"a: 1\n");
    let mut mode = "100644";
    for _ in 0..100 {
        id = tree(&sandbox, &[(mode.to_owned(), b"d".to_vec(), id)]);
        mode = "40000";
    }
    replace_manifests(&sandbox, &[("40000".to_owned(), b"deep".to_vec(), id)]);
    refused(&sandbox, &fake, 6, &["source-too-deep", "folders deep"]);
}

#[test]
fn git_16_a_huge_file_is_refused_before_it_is_read() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let file = std::fs::File::create(sandbox.repo().join("manifests/big.yaml")).unwrap();
    // More than a run may have of memory: whoever reads it is found out.
    file.set_len(300 << 20).unwrap();
    sandbox.git(["-c", "core.bigFileThreshold=1m", "add", "-A"]);
    sandbox.commit("300 MiB");
    let ran = refused(&sandbox, &fake, 6, &["manifests/big.yaml", "314572800", "4194304"]);
    told(&sandbox, "GIT-16", &["plan"], &ran);
    let ran = sandbox.watched(&["plan", "--dirty"]).stays_small();
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    assert!(ran.stderr.contains("manifests/big.yaml"), "{}", ran.stderr);
    // 5 MiB is a little too much as well.
    let sandbox = project(&fake.url(), "");
    sandbox.write("manifests/big.yaml", &format!("# {}\n", "x".repeat(5 << 20)));
    sandbox.commit("5 MiB");
    let ran = refused(&sandbox, &fake, 6, &["manifests/big.yaml", "split"]);
    told(&sandbox, "GIT-16-5-mib", &["plan"], &ran);
    // So is a description, and `ctl.yaml`.
    for name in ["ctl.yaml", "apis/fake.yaml"] {
        let sandbox = project(&fake.url(), "");
        sandbox.write(name, &format!("# {}\n", "x".repeat(5 << 20)));
        sandbox.commit("5 MiB");
        refused(&sandbox, &fake, 6, &[name]);
    }
}

#[test]
fn git_20_a_submodule_where_manifests_are_is_refused() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let head = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    replace_manifests(&sandbox, &[("160000".to_owned(), b"sub".to_vec(), head)]);
    let ran = refused(&sandbox, &fake, 6, &["`manifests/sub` is a submodule", "commit the files themselves"]);
    told(&sandbox, "GIT-20", &["plan"], &ran);
}

#[test]
fn git_21_attributes_and_modules_of_the_repository_do_nothing() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let touched = sandbox.root().join("touched");
    let program = format!("touch {}", touched.display());
    sandbox.write(".gitattributes", "* filter=evil diff=evil export-subst\n");
    sandbox.write(".gitmodules", "[submodule \"x\"]\n\tpath = manifests/x\n\turl = ext::sh -c touch%20/tmp/x\n");
    for key in ["filter.evil.smudge", "filter.evil.clean", "core.fsmonitor", "diff.evil.textconv", "core.hooksPath"] {
        sandbox.git(["config", key, &program]);
    }
    // The filters above are the test's own configuration; nothing in `plan` may start them all the same.
    sandbox.git(["-c", "filter.evil.clean=cat", "-c", "core.fsmonitor=false", "add", "-A"]);
    sandbox.git([
        "-c",
        "filter.evil.clean=cat",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/nonexistent",
        "commit",
        "-qm",
        "attributes",
    ]);
    let _ = std::fs::remove_file(&touched);
    sandbox.write("manifests/a.yaml", &thing("a", "size: 7"));
    sandbox.run(["plan"]).exits(0);
    sandbox.run(["plan", "--dirty"]).exits(0);
    assert!(!touched.exists(), "a program of the repository was started");
}

/// Addresses of repositories that would run a program, read a file, or say something else than they seem to.
const REM: [(&str, &str, &str); 9] = [
    ("REM-01", "ssh://-oProxyCommand=touch%20x/path", "would be read as an option"),
    ("REM-02", "ssh://-x@host/path", "would be read as an option"),
    ("REM-03", "ext::sh -c touch% x", "is not a scheme"),
    ("REM-03-helper", "ext::https://host/x", "is not a scheme"),
    ("REM-04-scheme", "ftp://host/x", "is not a scheme"),
    ("REM-05", "https:///host", "names no host"),
    ("REM-06", "https://host/a%0ab", "control character"),
    ("REM-06-newline", "https://host/a\nb", "control character"),
    ("REM-06-tab", "https://host/a\tb", "control character"),
];

#[test]
fn rem_01_to_06_an_address_that_would_run_something_is_refused() {
    for (case, url, why) in REM {
        let sandbox = Sandbox::new();
        for command in ["plan", "apply"] {
            let ran = sandbox.watched(&[command, url]).stays_small();
            assert_eq!(ran.code, Some(7), "{case} {url}: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stderr.contains("source-bad-url"), "{case} {url}: {}", ran.stderr);
            assert!(ran.stderr.contains(why), "{case} {url}: {}", ran.stderr);
            if command == "plan" {
                told(&sandbox, case, &[command, url], &ran);
            }
        }
        assert!(!sandbox.repo().join("x").exists(), "{case}: a program was started");
        assert!(!sandbox.root().join("home/.local").exists(), "{case}: state was written");
    }
}

#[test]
fn rem_01_to_06_a_project_cannot_have_its_record_pushed_to_such_an_address() {
    for (case, url) in REM.map(|(case, url, _)| (case, url)).into_iter().chain([("REM-04", "file:///tmp/none.git")]) {
        let fake = Fake::honest();
        let sandbox = project(&fake.url(), "");
        let text = std::fs::read_to_string(sandbox.repo().join("ctl.yaml")).unwrap();
        let push = serde_json::Value::from(url);
        sandbox.write("ctl.yaml", &format!("{text}record: {{push: {push}}}\n")).commit("a record elsewhere");
        let (code, why) = match url.contains(char::is_control) {
            true => (6, "cannot hold a record"),
            false => (7, "the operator adds the URL to `record.push`"),
        };
        let ran = refused(&sandbox, &fake, code, &[why]);
        if case == "REM-04" {
            told(&sandbox, case, &["plan"], &ran);
        }
        assert!(!sandbox.repo().join("x").exists(), "{case}: a program was started");
        // Also where the operator takes any address, none of these is one.
        if case != "REM-04" {
            let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", "record: {push: [\"*\", \"*:*\", \"*://*\"]}\n");
            for command in [&["plan"][..], &["apply", "--yes"]] {
                let ran = sandbox.watched(command).stays_small();
                assert!(!matches!(ran.code, Some(0 | 2 | 101) | None), "{case}: {}{}", ran.stdout, ran.stderr);
            }
            assert_eq!(fake.writes(), 0, "{case}");
            assert!(!sandbox.repo().join("x").exists(), "{case}: a program was started");
        }
    }
}

#[test]
fn rem_04_a_file_url_is_the_users_own_to_type() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let url = format!("file://{}", sandbox.repo().display());
    sandbox.run(["plan", &url]).exits(0).says("thing");
}

#[test]
fn an_address_with_a_password_is_shown_without_it() {
    let sandbox = Sandbox::new();
    for url in ["https://user:CANARY-pw@127.0.0.1:1/x.git", "https://user:CANARY-pw@127.0.0.1:1/x%0a"] {
        let ran = sandbox.run(["plan", "-vv", url]);
        assert!(matches!(ran.code, Some(7 | 8)), "{}", ran.stderr);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("CANARY-pw"), "{}", ran.stderr);
    }
}

/// Files that are good each by itself, and too much together: refused, with the limit's name, in bounded memory.
#[track_caller]
fn too_much(files: usize, content: impl Fn(usize) -> String, word: &str) {
    let fake = Fake::honest();
    refused_together(&much(&fake, files, content), &fake, word);
}

fn much(fake: &Fake, files: usize, content: impl Fn(usize) -> String) -> Sandbox {
    let sandbox = project(&fake.url(), "");
    for n in 0..files {
        sandbox.write(&format!("manifests/w{n}.yaml"), &thing(&format!("w{n}"), &content(n)));
    }
    sandbox.commit("much");
    sandbox
}

#[track_caller]
fn refused_together(sandbox: &Sandbox, fake: &Fake, word: &str) {
    // Two runs: what was kept of the first one must not let the second one through, nor cost more.
    refused(sandbox, fake, 6, &["too-large", word, "the operator raises"]);
    let ran = sandbox.watched(&["plan", "--dirty"]).stays_small().exits(6);
    assert!(ran.stderr.contains(word), "{}", ran.stderr);
}

#[test]
fn many_large_files_are_refused_before_all_of_them_are_read() {
    too_much(9, |_| format!("size: {}", "x".repeat(4_000_000)), "limits.project");
}

#[test]
fn many_files_that_aliases_make_large_are_refused_while_they_are_small() {
    let text = "y".repeat(400_000);
    too_much(12, |_| format!("a: &a {text}, b: [*a, *a, *a, *a, *a, *a, *a, *a, *a]"), "limits.project");
}

#[test]
fn many_files_full_of_values_are_refused_together() {
    // As they are read, keys without a value are many bytes too: which limit is reached first is one to the reader.
    let values = |many: usize| format!("size: [{}1]", "1,".repeat(many));
    let keys = |many: usize| format!("size: {{{}z: 1}}", (0..many).map(|n| format!("k{n:x},")).collect::<String>());
    let fake = Fake::honest();
    let too_many = |files: usize, content: &dyn Fn(usize) -> String, many: usize, word: &str| {
        // As much as there may be, and more: once, for the memory.
        let text = content(many);
        let ran = much(&fake, files, |_| text.clone()).watched(&["plan"]).stays_small().exits(6);
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
        // A tenth of it, where a tenth may be: each way to read it.
        let text = content(many / 10);
        let sandbox = much(&fake, files, |_| text.clone());
        let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", "limits: {nodes: 500000, project: 6MiB}\n");
        refused_together(&sandbox, &fake, word);
    };
    too_many(1, &values, 1_500_000, "limits.nodes");
    too_many(6, &values, 900_000, "limits.nodes");
    too_many(9, &keys, 400_000, "`limits.");
}

#[test]
fn the_operator_raises_what_a_repository_may_hold() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.write("manifests/big.yaml", &format!("# {}\n", "x".repeat(5 << 20))).commit("5 MiB");
    let refusal = sandbox.run(["validate"]).exits(6);
    assert!(refusal.stderr.contains("`limits.file` in the operator's file"), "{}", refusal.stderr);
    let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", "limits: {file: 8MiB}\n");
    for command in [&["validate"][..], &["validate", "--dirty"], &["plan"], &["apply", "--yes"]] {
        sandbox.watched(command).stays_small().exits(0);
    }
    for (limits, word) in [
        ("files: 2", "limits.files"),
        ("documents: 1", "limits.documents"),
        ("nodes: 20", "limits.nodes"),
        ("project: 1MiB", "limits.project"),
    ] {
        let sandbox = project(&fake.url(), "");
        sandbox.write("manifests/c.yaml", &thing("c", "size: 3")).commit("a third");
        sandbox.write("manifests/d.yaml", &format!("# {}\n", "x".repeat(1 << 20))).commit("and a long one");
        sandbox.run(["validate"]).exits(0);
        let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", format!("limits: {{{limits}}}\n"));
        for command in [&["validate"][..], &["plan"]] {
            let ran = sandbox.watched(command).stays_small().exits(6);
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
    }
}

/// The answer to a source that is unusual.
#[track_caller]
fn answers(sandbox: &Sandbox, args: &[&str], code: i32, texts: &[&str]) {
    let ran = sandbox.watched(args).stays_small();
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    let flat = ran.stderr.split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ");
    for text in texts {
        assert!(flat.contains(text), "no {text:?} in:\n{}", ran.stderr);
    }
}

#[test]
fn a_folder_that_is_no_repository_says_what_to_do() {
    let sandbox = Sandbox::without_repository();
    sandbox.write("ctl.yaml", "x: 1\n");
    answers(&sandbox, &["plan"], 6, &["source-not-a-repository", "git init"]);
    answers(&sandbox, &["plan", "nowhere"], 6, &["source-not-found", "`nowhere` does not exist"]);
}

#[test]
fn an_unborn_branch_says_what_to_do() {
    let sandbox = Sandbox::new();
    sandbox.write("ctl.yaml", "x: 1\n");
    answers(&sandbox, &["plan"], 6, &["source-no-commit", "main", "commit"]);
}

#[test]
fn a_project_that_was_not_committed_says_what_to_do() {
    let sandbox = Sandbox::new();
    sandbox.commit("nothing");
    answers(&sandbox, &["plan"], 6, &["source-no-project", "ctl init"]);
    sandbox.write("ctl.yaml", "x: 1\n");
    answers(&sandbox, &["plan"], 6, &["source-no-project", "git add ctl.yaml"]);
    sandbox.write("sub/x", "");
    answers(&sandbox, &["plan", "sub"], 6, &["source-no"]);
}

#[test]
fn a_revision_that_is_not_there_says_what_to_do() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    answers(&sandbox, &["plan", "--rev", "nope"], 6, &["source-no-revision", "`nope`"]);
    answers(&sandbox, &["plan", "--rev", "--upload-pack=x"], 64, &[]);
    answers(&sandbox, &["plan", "--rev=--upload-pack=x"], 6, &["source-no-revision"]);
    answers(&sandbox, &["plan", "--rev=HEAD:ctl.yaml"], 6, &["source-no-revision"]);
    answers(&sandbox, &["plan", "--trust", "nope"], 6, &["source-no-revision"]);
    assert!(fake.asked().is_empty());
}

#[test]
fn a_shallow_clone_will_do_until_history_is_needed() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.commit("second");
    let url = format!("file://{}", sandbox.repo().display());
    let clone = sandbox.root().join("clone");
    let cloned = sandbox.git_try(sandbox.root(), &["clone", "-q", "--depth=1", &url, clone.to_str().unwrap()]);
    assert!(cloned.status.success());
    let path = clone.to_str().unwrap();
    answers(&sandbox, &["plan", path], 0, &[]);
    answers(&sandbox, &["plan", path, "--rev", "HEAD~1"], 6, &["source-no-revision", "shallow", "--unshallow"]);
    answers(&sandbox, &["apply", "--yes", path], 0, &[]);
    // A commit whose relation to the applied one the clone cannot see.
    sandbox.write("manifests/a.yaml", &thing("a", "size: 4"));
    sandbox.commit("third");
    sandbox.commit("fourth");
    for args in [&["fetch", "-q", "--depth=1", "origin", "main"][..], &["reset", "-q", "--hard", "FETCH_HEAD"]] {
        assert!(sandbox.git_try(&clone, args).status.success());
    }
    // While the origin answers, a mirror of it is asked. Without it nobody can tell.
    answers(&sandbox, &["plan", path], 0, &[]);
    assert!(sandbox.git_try(&clone, &["remote", "remove", "origin"]).status.success());
    let before = fake.writes();
    answers(&sandbox, &["apply", "--yes", path], 5, &[]);
    let ran = sandbox.run(["plan", path]);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("--unshallow"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(fake.writes(), before);
}

#[test]
fn edited_files_are_a_warning_and_dirty_plans_them() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.write("manifests/a.yaml", &thing("a", "size: 100"));
    sandbox.write("manifests/new.yaml", &thing("new", "size: 1"));
    sandbox.write("manifests/.gitignore", "ignored.yaml\n").write("manifests/ignored.yaml", "x: [\n");
    answers(&sandbox, &["plan"], 0, &["uncommitted", "manifests/a.yaml and manifests/new.yaml differ", "--dirty"]);
    let clean = sandbox.run(["plan", "-o", "json"]).exits(0).json();
    assert_eq!(clean["summary"]["create"], 2, "{clean}");
    let dirty = sandbox.run(["plan", "--dirty", "-o", "json"]).exits(0).json();
    assert_eq!(dirty["summary"]["create"], 3, "{dirty}");
    assert!(dirty.to_string().contains("100"), "{dirty}");
    answers(&sandbox, &["apply", "--dirty", "--yes"], 64, &[]);
    assert_eq!(fake.writes(), 0);
}

#[test]
fn bare_repositories_work_trees_and_subfolders_will_do() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    let run = |args: &[&str]| assert!(sandbox.git_try(&sandbox.repo(), args).status.success(), "git {args:?}");
    run(&["clone", "-q", "--bare", ".", "../bare.git"]);
    run(&["worktree", "add", "-q", "-b", "side", "../side"]);
    let bare = sandbox.root().join("bare.git");
    answers(&sandbox, &["plan", bare.to_str().unwrap()], 0, &[]);
    answers(&sandbox, &["plan", sandbox.root().join("side").to_str().unwrap()], 0, &[]);
    answers(&sandbox, &["plan", "manifests"], 0, &[]);
    // A project in a subfolder, whose description is shared at the root.
    let text = std::fs::read_to_string(sandbox.repo().join("ctl.yaml")).unwrap();
    sandbox.write("teams/x/ctl.yaml", &text.replace("shop}", "team-x}"));
    sandbox.write("teams/x/manifests/t.yaml", &thing("t", "size: 1"));
    sandbox.commit("a team");
    let planned = sandbox.run(["plan", "teams/x", "-o", "json"]).exits(0).json();
    assert_eq!((planned["project"].as_str(), &planned["summary"]["create"]), (Some("team-x"), &1.into()));
    let planned = sandbox.run(["plan", "teams/x/manifests", "-o", "json"]).exits(0).json();
    assert_eq!(planned["project"], "team-x");
}

#[test]
fn a_sha_256_repository_is_named_with_a_hint() {
    let fake = Fake::honest();
    let sandbox = Sandbox::without_repository();
    sandbox.git(["init", "-q", "--object-format=sha256", "--initial-branch=main"]);
    sandbox.write("apis/fake.yaml", API);
    project_at(&sandbox, &fake.url(), "");
    sandbox.commit("sha256");
    answers(&sandbox, &["plan"], 6, &["source-unsupported", "SHA-256"]);
    assert!(fake.asked().is_empty());
}

#[test]
fn a_missing_manifest_folder_is_an_error_until_something_is_owned() {
    let fake = Fake::honest();
    let sandbox = project(&fake.url(), "");
    sandbox.remove("manifests/a.yaml").remove("manifests/b.yaml").commit("gone");
    refused(&sandbox, &fake, 6, &["missing-folder", "`manifests`"]);
    sandbox.write("manifests/a.yaml", &thing("a", "size: 1")).commit("back");
    sandbox.run(["apply", "--yes"]).exits(0);
    sandbox.remove("manifests/a.yaml").commit("gone again");
    let names = fake.names();
    sandbox.run(["apply", "--yes"]).exits(7);
    assert_eq!(fake.names(), names);
}

#[test]
fn a_manifest_folder_never_leaves_the_repository() {
    let fake = Fake::honest();
    for folder in ["../", "/etc", "manifests/../../x", "..", "a\\\\b", ".git"] {
        let sandbox = project(&fake.url(), "");
        let text = std::fs::read_to_string(sandbox.repo().join("ctl.yaml")).unwrap();
        sandbox.write("ctl.yaml", &text.replace("[manifests/]", &format!("[\"{folder}\"]")));
        sandbox.commit("outside");
        refused(&sandbox, &fake, 6, &["ctl.yaml"]);
    }
}

#[test]
fn an_api_name_never_leaves_the_folder_of_descriptions() {
    let fake = Fake::honest();
    for name in ["../ctl", "/etc/passwd", "..", ".", "a/b", "fake.yaml/../fake"] {
        let sandbox = project(&fake.url(), "");
        let text = std::fs::read_to_string(sandbox.repo().join("ctl.yaml")).unwrap();
        sandbox.write("ctl.yaml", &text.replace("api: fake", &format!("api: {name:?}")));
        sandbox.commit("outside");
        refused(&sandbox, &fake, 6, &["is not the name of an API description"]);
    }
}
