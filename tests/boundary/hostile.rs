//! No manifest, no description, nothing else in a repository and no answer of a server makes a command start a program,
//! open a path or call on somebody that it should not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fake::{Fake, plain};
use crate::parts::installed;
use crate::sandbox::Sandbox;
use crate::trace::Traced;

const API: &str = "\
api: fake
base: /v1
page: {link: next}
types:
  thing:
    path: /things/{name}
    list: {get: /things, items: /items}
    write: {put: all}
";

/// Where the machine keeps what every program reads: libraries, locales, time zones, users, names of hosts, authorities.
const SYSTEM: [&str; 23] = [
    "/lib",
    "/usr/lib",
    "/usr/lib64",
    "/lib64",
    "/usr/share/locale",
    "/usr/share/zoneinfo",
    "/usr/share/git-core/templates",
    "/usr/share/ca-certificates",
    "/etc/ssl",
    "/etc/ld.so.cache",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/hostname",
    "/etc/gitconfig",
    "/etc/machine-id",
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/vm",
    "/sys/kernel/mm",
    "/proc/self",
    "/sys/fs/cgroup",
    "/sys/devices/system",
];
const DEVICES: [&str; 3] = ["/dev/null", "/dev/urandom", "/dev/tty"];

fn thing(name: &str, spec: &str) -> String {
    format!("apiVersion: fake\nkind: thing\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

/// A project with one thing at `url`, committed.
fn project(url: &str) -> Sandbox {
    let sandbox = Sandbox::new().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let file = format!(
        "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\ntargets:\n  shop: {{api: fake, url: \"{url}\"}}\n"
    );
    sandbox.write("ctl.yaml", &file).write("apis/fake.yaml", API).write("manifests/a.yaml", &thing("a", "size: 1"));
    sandbox.commit("one thing");
    sandbox
}

/// What lies outside and must stay there.
fn outside(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.root().join("outside");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("secret.yaml"), thing("stolen", "size: 666")).unwrap();
    folder
}

/// A script that leaves a mark wherever it is run.
fn trap(sandbox: &Sandbox, path: &Path) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\ntouch {}\n", sandbox.root().join("sprung").display())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Everything of a repository that could start something: hooks, filters, helpers, and programs with known names.
///
/// Gives a commit that comes next, with one thing less.
fn traps(sandbox: &Sandbox) -> String {
    let text = "* filter=evil diff=evil merge=evil export-subst\n";
    sandbox.write(".gitattributes", text);
    sandbox.write(
        ".gitmodules",
        "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c 'touch /tmp/never'\n\tupdate = !touch /tmp/never\n",
    );
    sandbox.write(
        "manifests/more.yaml",
        &thing("more", "note: \"$(touch /tmp/never) `id` ${HOME} {{ env }} file:///etc/shadow\""),
    );
    let first = sandbox.commit("attributes and modules");
    let less = sandbox.remove("manifests/more.yaml").commit("less");
    sandbox.git(["reset", "--quiet", "--hard", &first]);
    for program in ["git", "ssh", "sh", "less", "cat"] {
        trap(sandbox, &sandbox.repo().join(program));
        trap(sandbox, &sandbox.repo().join("manifests").join(program));
    }
    for hook in [
        "applypatch-msg",
        "post-checkout",
        "post-commit",
        "post-index-change",
        "post-merge",
        "post-rewrite",
        "post-update",
        "pre-auto-gc",
        "pre-commit",
        "pre-push",
        "pre-receive",
        "proc-receive",
        "push-to-checkout",
        "reference-transaction",
        "update",
    ] {
        trap(sandbox, &sandbox.repo().join(".git/hooks").join(hook));
    }
    let script = trap(sandbox, &sandbox.root().join("outside/script"));
    for (name, value) in [
        ("core.fsmonitor", script.as_str()),
        ("core.pager", &script),
        ("core.editor", &script),
        ("core.sshCommand", &script),
        ("core.alternateRefsCommand", &script),
        ("diff.external", &script),
        ("diff.evil.textconv", &script),
        ("filter.evil.clean", &script),
        ("filter.evil.smudge", &script),
        ("filter.evil.process", &script),
        ("gpg.program", &script),
        ("alias.rev-parse", &format!("!{script}")),
        ("core.hooksPath", ".git/hooks"),
        ("uploadpack.packObjectsHook", &script),
    ] {
        sandbox.git(["config", name, value]);
    }
    less
}

/// Where the helpers of git lie.
fn helpers() -> PathBuf {
    let output = Command::new("git").arg("--exec-path").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Fails if the run did anything that it may not; `port` is where it may connect to.
#[track_caller]
fn stayed_inside(sandbox: &Sandbox, traced: &Traced, port: Option<u16>) {
    let said = &traced.said;
    let home = sandbox.root().join("home");
    let (ctl, git) = (Path::new(env!("CARGO_BIN_EXE_ctl")), ["/usr/local/bin/git", "/usr/bin/git", "/bin/git"]);
    let mut wrong: BTreeSet<String> = BTreeSet::new();
    for program in &traced.started {
        let is_git = git.iter().any(|git| program == Path::new(git)) || program.starts_with(helpers());
        if program != ctl && !is_git {
            wrong.insert(format!("{} was started", program.display()));
        }
    }
    let own =
        [".local/state/ctl", ".cache/ctl", ".config/ctl", ".config/git", ".gitconfig"].map(|below| home.join(below));
    for file in &traced.opened {
        let path = &file.path;
        let device = DEVICES.iter().any(|device| path == Path::new(device));
        let inside = path.starts_with(sandbox.repo()) || own.iter().any(|own| path.starts_with(own));
        let system = is_of_a_process(path) || SYSTEM.iter().any(|place| path.starts_with(place));
        if !(inside || system || device) {
            wrong.insert(format!("{} was opened", path.display()));
        }
        // The work tree is the user's: what is written lies in the git dir, or is `ctl`'s own.
        let git_dir = sandbox.repo().join(".git");
        let may = device || path.starts_with(git_dir) || own[..2].iter().any(|own| path.starts_with(own));
        if file.writes && !may {
            wrong.insert(format!("{} was opened for writing", path.display()));
        }
    }
    for address in &traced.connected {
        if !address.ip().is_loopback() || Some(address.port()) != port {
            wrong.insert(format!("{address} was called"));
        }
    }
    // The cache of names that some machines have.
    let others = traced.others.iter().filter(|call| !call.contains("/nscd/socket"));
    wrong.extend(others.map(|call| format!("a connection: {call}")));
    assert!(wrong.is_empty(), "{wrong:#?}\n{said}");
    assert!(!sandbox.root().join("sprung").exists(), "a trap was sprung\n{said}");
    assert!(!said.contains("stolen") && !said.contains("root:"), "{said}");
}

/// `/proc/NUMBER/…`
fn is_of_a_process(path: &Path) -> bool {
    let number = |part: &std::ffi::OsStr| part.to_str().is_some_and(|name| name.bytes().all(|c| c.is_ascii_digit()));
    path.starts_with("/proc") && path.iter().nth(2).is_some_and(number)
}

/// Every command that reads a project, with the exit codes that it may have.
fn every_command(sandbox: &Sandbox, port: u16, codes: &[i32]) {
    for args in [
        &["validate"][..],
        &["plan", "-vv"],
        &["apply", "--yes", "-vv"],
        &["watch", "--once", "--interval", "1s"],
        &["status"],
        &["history"],
    ] {
        let traced = Traced::run(sandbox, args);
        let code = traced.code.unwrap();
        let reads_only = ["validate", "history", "status"].contains(&args[0]);
        assert!(codes.contains(&code) || reads_only, "{args:?} ended with {code}\n{}", traced.said);
        assert_ne!(code, 101, "{args:?}: {}", traced.said);
        stayed_inside(sandbox, &traced, Some(port));
    }
}

#[test]
fn what_is_looked_at_here_is_what_happened() {
    if !installed("strace") {
        return;
    }
    // A run that must be noticed: git starts the hook that the user's repository has.
    let fake = Fake::honest();
    let sandbox = project(&fake.url());
    let hook = trap(&sandbox, &sandbox.repo().join(".git/hooks/post-commit"));
    let log = sandbox.root().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-e", "trace=execve,openat", "-o"]).arg(&log).args([
        "git",
        "commit",
        "--allow-empty",
        "-m",
        "x",
    ]);
    let identity = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
    strace.envs(identity.map(|name| (name, "x@example.invalid"))).current_dir(sandbox.repo());
    assert!(strace.output().unwrap().status.success());
    let text = fs::read_to_string(log).unwrap();
    assert!(text.contains("post-commit") && sandbox.root().join("sprung").exists(), "{hook}");
    // A command that the operator's file names is started, and seen.
    let command = "credentials: {shop: {hosts: [\"URL\"], api: ANY, bearer: {command: [/bin/echo, token]}}}\n"
        .replace("URL", &fake.url());
    let sum = format!("sha256:{}", digest(API));
    let file = fs::read_to_string(sandbox.repo().join("ctl.yaml"))
        .unwrap()
        .replace("api: fake", "credentials: shop, api: fake");
    sandbox.write("ctl.yaml", &file).commit("a credential");
    let sandbox = sandbox.env("CTL_CREDENTIALS_YAML", command.replace("ANY", &sum));
    let traced = Traced::run(&sandbox, &["plan"]);
    assert_eq!(traced.code, Some(0), "{}", traced.said);
    assert!(traced.started.iter().any(|program| program == Path::new("/bin/echo")), "{:?}", traced.started);
    assert!(traced.connected.iter().any(|address| address.port() == fake.port), "{:?}", traced.connected);
}

fn digest(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_repository_full_of_traps_springs_none() {
    if !installed("strace") {
        return;
    }
    let fake = Fake::honest();
    let sandbox = project(&fake.url());
    outside(&sandbox);
    let less = traps(&sandbox);
    every_command(&sandbox, fake.port, &[0]);
    assert_eq!(fake.names(), ["a", "more"]);
    // What is deleted, and what is edited and not committed.
    sandbox.git(["-c", "core.hooksPath=/dev/null", "update-ref", "HEAD", &less]);
    every_command(&sandbox, fake.port, &[0]);
    assert_eq!(fake.names(), ["a"]);
    stayed_inside(&sandbox, &Traced::run(&sandbox, &["plan", "--dirty"]), Some(fake.port));
}

#[test]
fn a_repository_that_points_elsewhere_reaches_nothing_there() {
    if !installed("strace") {
        return;
    }
    let (fake, abroad) = (Fake::honest(), Fake::honest());
    let cases: [(&str, &str, String); 8] = [
        ("manifests/x.yaml", "file", thing("x", "size: {$file: ../../outside/secret.yaml}")),
        ("manifests/x.yaml", "include", "!include ../../outside/secret.yaml\n".to_owned()),
        ("manifests/x.yaml", "name", thing("\"../../../outside/secret\"", "size: 1")),
        ("manifests/x.yaml", "secret", thing("x", "size: {$secret: \"../../outside/secret.yaml\"}")),
        (
            "apis/fake.yaml",
            "path",
            API.replace("/things/{name}", "//127.0.0.1:PORT/{name}").replace("PORT", &abroad.port.to_string()),
        ),
        ("apis/fake.yaml", "list", API.replace("get: /things", &format!("get: \"{}/x\"", abroad.url()))),
        (
            "ctl.yaml",
            "url",
            format!(
                "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [../outside]\ntargets:\n  shop: {{api: ../../outside/secret, url: \"{}\"}}\n",
                fake.url()
            ),
        ),
        (
            "ctl.yaml",
            "record",
            format!(
                "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\nrecord: {{file: ../outside}}\ntargets:\n  shop: {{api: fake, url: \"{}\"}}\n",
                fake.url()
            ),
        ),
    ];
    for (path, what, text) in cases {
        let sandbox = project(&fake.url());
        outside(&sandbox);
        sandbox.write(path, &text).commit(what);
        for args in [&["validate"][..], &["plan"], &["apply", "--yes"], &["watch", "--once"]] {
            let traced = Traced::run(&sandbox, args);
            stayed_inside(&sandbox, &traced, Some(fake.port));
            assert!(!sandbox.root().join("outside/shop").exists(), "{what}: {}", traced.said);
        }
        assert!(abroad.asked().is_empty(), "{what}: {:?}", abroad.asked());
    }
    // Links, as entries of the tree and in the work tree.
    for link in ["../../outside/secret.yaml", "/etc/passwd", "../.git/config"] {
        let sandbox = project(&fake.url());
        outside(&sandbox);
        std::os::unix::fs::symlink(link, sandbox.repo().join("manifests/link.yaml")).unwrap();
        for args in [&["plan", "--dirty"][..], &["validate"]] {
            stayed_inside(&sandbox, &Traced::run(&sandbox, args), Some(fake.port));
        }
        sandbox.commit("a link");
        for args in [&["validate"][..], &["plan"], &["apply", "--yes"], &["watch", "--once"]] {
            let traced = Traced::run(&sandbox, args);
            stayed_inside(&sandbox, &traced, Some(fake.port));
            let followed = traced.opened.iter().any(|file| file.path.ends_with("secret.yaml"));
            assert!(!followed, "{link}: {:?}", traced.opened);
        }
    }
}

#[test]
fn a_server_that_points_elsewhere_is_not_followed() {
    if !installed("strace") {
        return;
    }
    let abroad = Fake::honest();
    let to = abroad.url();
    let answers: [(u16, String, &str); 6] = [
        (302, format!("Location: {to}/v1/things\r\n"), "{}"),
        (307, "Location: file:///etc/passwd\r\n".to_owned(), "{}"),
        (200, format!("Link: <{to}/v1/things>; rel=\"next\"\r\n"), r#"{"items":[]}"#),
        (
            200,
            format!("Alt-Svc: h2=\"127.0.0.1:{}\"\r\nRefresh: 0; url={to}\r\nContent-Location: {to}\r\n", abroad.port),
            r#"{"items":[{"name":"../../outside/secret.yaml","$file":"/etc/passwd"}]}"#,
        ),
        (
            401,
            format!("WWW-Authenticate: Bearer realm=\"{to}\", Negotiate\r\n"),
            r#"{"error":"see file:///etc/passwd"}"#,
        ),
        (407, "Proxy-Authenticate: Basic realm=\"x\"\r\n".to_owned(), "{}"),
    ];
    for (status, headers, body) in answers {
        let what = format!("{status} {headers}");
        let fake = Fake::scripted(move |asked| (asked.method == "GET").then(|| plain(status, &headers, body)));
        let sandbox = project(&fake.url());
        outside(&sandbox);
        for args in [&["plan"][..], &["apply", "--yes"], &["watch", "--once"]] {
            let traced = Traced::run(&sandbox, args);
            stayed_inside(&sandbox, &traced, Some(fake.port));
            assert!(traced.connected.iter().any(|address| address.port() == fake.port), "{what}: {}", traced.said);
        }
        assert!(abroad.asked().is_empty(), "{what}: {:?}", abroad.asked());
    }
}
