//! From wherever `ctl` is run, and however its source is named, it finds the project or says what it looked for.

use std::path::Path;

use crate::fake::Fake;
use crate::hostile::{API, thing};
use crate::sandbox::{Ran, Sandbox};

/// A repository with a project in `team/shop`, of two things.
fn nested(url: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let file = format!(
        "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\ntargets:\n  shop: {{api: fake, url: \"{url}\"}}\n"
    );
    sandbox.write("team/shop/ctl.yaml", &file).write("team/shop/apis/fake.yaml", API);
    sandbox.write("team/shop/manifests/a.yaml", &thing("a", "size: 1"));
    sandbox.write("team/shop/manifests/b.yaml", &thing("b", "size: 2"));
    sandbox.write("README.md", "nothing of ours\n").commit("two things, deep down");
    sandbox
}

fn from(sandbox: &Sandbox, folder: &Path, args: &[&str]) -> Ran {
    let output = sandbox.command(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

#[test]
fn a_project_is_found_from_any_folder() {
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    let repo = sandbox.repo();
    let elsewhere = sandbox.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::create_dir(repo.join("team/shop/empty")).unwrap();
    let absolute = repo.join("team/shop").display().to_string();
    for (folder, source) in [
        (repo.join("team/shop"), None),
        (repo.join("team/shop"), Some(".")),
        (repo.join("team/shop/manifests"), None),
        (repo.join("team/shop/manifests"), Some("..")),
        // A folder that no commit knows.
        (repo.join("team/shop"), Some("../shop/manifests")),
        (repo.clone(), Some("team/shop")),
        (repo.clone(), Some("./team/shop/")),
        (elsewhere.clone(), Some("../repo/team/shop")),
        (elsewhere.clone(), Some(absolute.as_str())),
        ("/".into(), Some(absolute.as_str())),
    ] {
        let args: Vec<&str> = ["plan"].into_iter().chain(source).collect();
        from(&sandbox, &folder, &args).exits(0).says("2 to create").says("manifests/a.yaml");
    }
    // The record is one, from wherever it is written.
    from(&sandbox, &elsewhere, &["apply", "../repo/team/shop", "--yes"]).exits(0).says("2 created");
    from(&sandbox, &repo.join("team/shop"), &["apply", "--yes"]).exits(0).says("Nothing to do");
    from(&sandbox, &repo, &["record", "show", "team/shop"]).exits(0).says("thing");
}

#[test]
fn work_trees_and_bare_repositories_have_the_project_too() {
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    sandbox.git(["worktree", "add", "--quiet", "-b", "side", "../side"]);
    sandbox.git(["clone", "--quiet", "--bare", ".", "../bare.git"]);
    let (side, bare) = (sandbox.root().join("side"), sandbox.root().join("bare.git"));
    // A linked work tree has a branch of its own, and the record of all of them.
    std::fs::write(side.join("team/shop/manifests/c.yaml"), thing("c", "size: 3")).unwrap();
    assert!(sandbox.git_try(&side, &["add", "--all"]).status.success());
    assert!(sandbox.git_try(&side, &["commit", "--quiet", "-m", "a third"]).status.success());
    from(&sandbox, &side.join("team/shop"), &["plan"]).exits(0).says("3 to create");
    from(&sandbox, &sandbox.repo(), &["plan", "../side/team/shop"]).exits(0).says("3 to create");
    from(&sandbox, &sandbox.repo(), &["plan", "team/shop"]).exits(0).says("2 to create");
    from(&sandbox, &side, &["apply", "team/shop", "--yes"]).exits(0).says("3 created");
    // What `side` applied is newer than what is here.
    from(&sandbox, &sandbox.repo(), &["plan", "team/shop"]).exits(5);
    assert_eq!(sandbox.git_try(&side, &["rev-parse", "refs/ctl/records/shop/shop"]).status.code(), Some(0));
    // A bare repository has no folders but those of its commit.
    let ran = from(&sandbox, &bare, &["plan"]).exits(6);
    assert!(ran.stderr.contains("ctl.yaml"), "{}", ran.stderr);
}

#[test]
fn where_no_project_is_the_answer_says_where_it_looked() {
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    let repo = sandbox.repo();
    let elsewhere = sandbox.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for (folder, source, code, words) in [
        (&repo, None, 6, &["has no ctl.yaml"][..]),
        (&repo, Some("team"), 6, &["has no ctl.yaml", "team"]),
        (&elsewhere, None, 6, &["is not in a Git repository"]),
        (&elsewhere, Some("nowhere"), 6, &["`nowhere` does not exist"]),
        (&elsewhere, Some("../repo/team/none"), 6, &["`../repo/team/none` does not exist"]),
        (&repo.join(".git"), None, 6, &["ctl.yaml"]),
        (&repo.join(".git/refs"), None, 6, &["ctl.yaml"]),
    ] {
        let args: Vec<&str> = ["plan"].into_iter().chain(source).collect();
        let ran = from(&sandbox, folder, &args);
        assert_eq!(ran.code, Some(code), "{}: {}{}", folder.display(), ran.stdout, ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{}: no {word:?} in {}", folder.display(), ran.stderr);
        }
        assert!(ran.stderr.contains("help:"), "{}: what to do is not said: {}", folder.display(), ran.stderr);
    }
    assert!(fake.asked().is_empty());
}

#[test]
fn two_projects_of_one_name_share_no_record_and_one_that_moved_is_told_so() {
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    sandbox.run(["apply", "team/shop", "--yes"]).exits(0).says("2 created");
    // A copy beside it is another project.
    sandbox.git(["checkout", "-q", "-b", "copy"]);
    for file in ["ctl.yaml", "apis/fake.yaml", "manifests/a.yaml"] {
        let text = std::fs::read_to_string(sandbox.repo().join("team/shop").join(file)).unwrap();
        sandbox.write(file, &text);
    }
    sandbox.commit("a copy");
    let refused =
        sandbox.run(["plan", "."]).exits(7).warns("other-folder").warns("`team/shop`").warns("repository's top");
    assert!(refused.stderr.contains("rename one of them"), "{}", refused.stderr);
    // Nor is it known to be the same one once the first is gone.
    sandbox.remove("team/shop/ctl.yaml").commit("moved");
    sandbox.run(["apply", ".", "--yes"]).exits(7).warns("one that was moved goes back to its folder");
    assert_eq!(fake.names().len(), 2);
}

#[test]
fn one_manifest_is_no_project() {
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    for command in ["plan", "apply"] {
        sandbox.run([command, "team/shop/manifests/a.yaml"]).exits(6).warns("source-one-file").warns("-t");
    }
    sandbox.run(["plan", "team/shop/ctl.yaml"]).exits(0);
    assert!(fake.asked().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn a_folder_that_is_not_there_never_means_the_project_above_it() {
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    let shop = sandbox.repo().join("team/shop");
    for dir in ["nope", "/nonexistent", "ctl.yaml", "manifests/nope"] {
        for command in ["plan", "apply", "status", "validate", "init"] {
            from(&sandbox, &shop, &["-C", dir, command])
                .exits(64)
                .warns(&format!("error[no-folder]: -C {dir}: there is no such folder"));
        }
    }
    from(&sandbox, &sandbox.repo(), &["-C", "team/shop", "plan"]).exits(0).says("2 to create");
    assert_eq!(fake.writes(), 0);
}

#[test]
fn a_source_without_a_name_is_no_source() {
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    let shop = sandbox.repo().join("team/shop");
    for command in [&["plan", ""][..], &["apply", "--yes", ""], &["validate", ""], &["watch", "--once", ""]] {
        from(&sandbox, &shop, command).exits(64).warns("SOURCE");
    }
    assert_eq!(fake.writes(), 0);
}

#[test]
fn a_folder_that_was_deleted_is_not_taken_for_the_root() {
    let sandbox = Sandbox::new();
    let gone = sandbox.root().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let ctl = env!("CARGO_BIN_EXE_ctl");
    let script = format!("cd {0} && rmdir {0} && exec {ctl} init", gone.display());
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("error[no-folder]: the current folder is gone"), "{told}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_variable_of_ours_that_is_no_text_is_refused_and_not_left_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let fake = Fake::honest();
    let sandbox = nested(&fake.url());
    for name in ["CTL_CREDENTIALS", "CTL_CREDENTIALS_YAML", "CTL_TOKEN", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"] {
        let mut command = sandbox.command(&["-C", "team/shop", "plan"]);
        let output = command.env(name, std::ffi::OsStr::from_bytes(b"/canary-\xff")).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{name}: {told}");
        assert!(
            told.contains(&format!("error[bad-environment]: the environment variable {name} is not UTF-8")),
            "{told}"
        );
        assert!(!told.contains("canary"), "{told}");
    }
    let mut command = sandbox.command(&["-C", "team/shop", "plan"]);
    let output = command.env("SOMEBODY_ELSES", std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}
