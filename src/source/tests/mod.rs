//! Sources of every sort, made with the `git` program.

mod good;
mod watching;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::model::{FileMode, Limits, Revision};
use crate::net::Git;

fn run(dir: &Path, program: &str, args: &[&str], stdin: &[u8]) -> String {
    let mut command = Command::new(program);
    command.current_dir(dir).args(args).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        command.env(format!("GIT_{who}_DATE"), "1767323045 +0000");
    }
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn sh(dir: &Path, args: &[&str]) -> String {
    run(dir, "git", args, b"")
}

/// A repository with a project in `deploy/`.
struct Repo {
    dir: TempDir,
}

impl Repo {
    fn empty() -> Self {
        let dir = TempDir::new().unwrap();
        sh(dir.path(), &["init", "-q", "-b", "main", "repo"]);
        Self { dir }
    }

    fn new() -> Self {
        let repo = Self::empty();
        repo.write("deploy/ctl.yaml", b"kind: Project\n");
        repo.write("deploy/manifests/a.yaml", b"a: 1\n");
        repo.write("README", b"hello\n");
        repo.commit("first");
        repo
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn commit(&self, message: &str) -> Revision {
        sh(&self.path(), &["add", "-A"]);
        sh(&self.path(), &["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    fn head(&self) -> Revision {
        Revision::parse(&sh(&self.path(), &["rev-parse", "HEAD"])).unwrap()
    }

    fn options(&self) -> SourceOptions {
        let git = Git::new().with_env("GIT_CONFIG_NOSYSTEM", "1").with_env("GIT_CONFIG_GLOBAL", "/dev/null");
        SourceOptions { git, state_dir: self.dir.path().join("state"), limits: Limits::default() }
    }

    fn open_at(&self, path: impl AsRef<Path>, rev: Option<&str>) -> Result<Source, SourceError> {
        Source::open(path.as_ref().to_str().unwrap(), rev, self.options())
    }

    fn open(&self) -> Source {
        self.open_at(self.path().join("deploy"), None).unwrap()
    }

    /// Commits a tree made by hand, from `git mktree` lines.
    fn commit_tree(&self, lines: &str) {
        let tree = run(&self.path(), "git", &["mktree", "--missing", "-z"], lines.replace('\n', "\0").as_bytes());
        let commit = sh(&self.path(), &["commit-tree", "-m", "odd", &tree]);
        sh(&self.path(), &["update-ref", "HEAD", &commit]);
    }

    fn blob(&self, bytes: &[u8]) -> String {
        run(&self.path(), "git", &["hash-object", "-w", "--stdin"], bytes)
    }
}

fn paths(source: &Source) -> Vec<String> {
    source.tree(source.folder()).unwrap().entries.iter().map(|e| e.path.clone()).collect()
}

fn message(result: Result<Source, SourceError>) -> (String, String) {
    let diagnostic = result.unwrap_err().diagnostic();
    (diagnostic.message, diagnostic.help.unwrap_or_default())
}

#[test]
fn a_commit_is_read_and_not_the_work_tree() {
    let repo = Repo::new();
    repo.write("deploy/manifests/a.yaml", b"edited\n");
    let source = repo.open();
    assert_eq!((source.folder(), source.revision()), ("deploy", &repo.head()));
    let tree = source.tree("deploy").unwrap();
    assert_eq!(paths(&source), ["deploy/ctl.yaml", "deploy/manifests/a.yaml"]);
    assert_eq!(source.read(&[&tree.entries[1].blob]).unwrap(), [b"a: 1\n"]);
    assert_eq!(source.file_at(source.revision(), "README").unwrap().as_deref(), Some(&b"hello\n"[..]));
    assert_eq!(source.file_at(source.revision(), "deploy").unwrap(), None);
    let info = source.commit_info(source.revision()).unwrap();
    assert_eq!((&*info.subject, &*info.author, info.time), ("first", "Ann <ann@example.org>", 1_767_323_045));
}

#[test]
fn every_way_to_name_a_repository_finds_the_project() {
    let repo = Repo::new();
    let base = repo.dir.path();
    sh(base, &["clone", "-q", "--bare", "repo", "bare.git"]);
    sh(&repo.path(), &["worktree", "add", "-q", "-b", "side", "../linked"]);
    repo.write("deploy/sub/x.txt", b"");
    let common = fs::canonicalize(repo.path().join(".git")).unwrap();
    for (path, common) in [
        (repo.path().join("deploy/manifests"), &common),
        (repo.path().join("deploy/ctl.yaml"), &common),
        (base.join("linked/deploy"), &common),
    ] {
        let source = repo.open_at(&path, None).unwrap();
        assert_eq!((source.folder(), source.common_dir()), ("deploy", common.as_path()), "{}", path.display());
        assert_eq!(source.edited_files(&source.tree("deploy").unwrap()).unwrap(), Vec::<String>::new());
    }
    let url = format!("file://{}//deploy?ref=main", base.join("bare.git").display());
    let source = Source::open(&url, None, repo.options()).unwrap();
    assert_eq!((source.folder(), source.revision()), ("deploy", &repo.head()));
    assert!(source.has_remote("origin") && !source.has_remote("upstream"));
}

#[test]
fn a_bare_repository_with_the_project_at_its_root_will_do() {
    let repo = Repo::empty();
    repo.write("ctl.yaml", b"");
    repo.commit("root");
    sh(repo.dir.path(), &["clone", "-q", "--bare", "repo", "bare.git"]);
    let source = repo.open_at(repo.dir.path().join("bare.git"), None).unwrap();
    assert_eq!((source.folder(), source.work_tree()), ("", None));
    assert_eq!(paths(&source), ["ctl.yaml"]);
}

#[test]
fn a_url_is_fetched_again_and_a_rewritten_branch_is_followed() {
    let repo = Repo::new();
    let url = format!("file://{}//deploy", repo.path().display());
    let open = |rev| Source::open(&url, rev, repo.options());
    let first = open(None).unwrap().revision().clone();
    sh(&repo.path(), &["commit", "-q", "--amend", "--allow-empty", "-m", "rewritten"]);
    let source = open(None).unwrap();
    assert_eq!(source.revision(), &repo.head());
    assert_eq!(source.ancestry(&first, source.revision()), Ancestry::Unrelated);
    assert_eq!(message(open(Some("nope"))).0, "the repository has no revision `nope`");
    assert_eq!(open(Some(&repo.head().as_str()[..12])).unwrap().revision(), &repo.head());
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let repo = Repo::empty();
    let (what, help) = message(repo.open_at(repo.path(), None));
    assert_eq!(what, "the repository has no commit yet on main");
    assert!(help.contains("commit"), "{help}");
    repo.write("a/b.txt", b"");
    repo.commit("no project");
    assert_eq!(
        message(repo.open_at(repo.path().join("a"), None)).0,
        format!("commit {} has no ctl.yaml in `a` or above it", repo.head().short())
    );
    repo.write("a/ctl.yaml", b"");
    assert!(message(repo.open_at(repo.path().join("a"), None)).1.contains("not committed"));
    repo.write("new/x", b"");
    assert!(message(repo.open_at(repo.path().join("new"), None)).0.ends_with("has no folder `new`"));
    assert_eq!(message(repo.open_at(repo.path(), Some("--help"))).0, "the repository has no revision `--help`");
    assert_eq!(message(repo.open_at("/nowhere/at/all", None)).0, "`/nowhere/at/all` does not exist");
    assert_eq!(message(repo.open_at("/", None)).0, "`/` is not in a Git repository");
    assert_eq!(
        message(repo.open_at("ext::sh -c x", None)).0,
        "`ext::sh -c x`: `ext:` is not a scheme for a repository"
    );
    assert_eq!(message(repo.open_at("https:///host", None)).0, "`https:///host`: the URL names no host");
    sh(repo.dir.path(), &["init", "-q", "--object-format=sha256", "long"]);
    assert!(message(repo.open_at(repo.dir.path().join("long"), None)).0.ends_with("it uses SHA-256 object names"));
    sh(repo.dir.path(), &["init", "-q", "--ref-format=reftable", "table"]);
    assert!(message(repo.open_at(repo.dir.path().join("table"), None)).0.ends_with("it keeps its refs as reftable"));
}

#[test]
fn git_01_02_and_20_links_and_submodules_are_named_as_what_they_are() {
    let repo = Repo::new();
    let target = repo.blob(b"/etc/passwd");
    let up = repo.blob(b"../../secret");
    let plain = repo.blob(b"x");
    repo.commit_tree(&format!(
        "120000 blob {target}\tabsolute.yaml\n100644 blob {plain}\tctl.yaml\n160000 commit {}\tmodule.yaml\n120000 blob {up}\tup.yaml\n",
        repo.head()
    ));
    let source = repo.open_at(repo.path(), None).unwrap();
    let modes: Vec<_> = source.tree("").unwrap().entries.iter().map(|e| e.mode).collect();
    assert_eq!(modes, [FileMode::Symlink, FileMode::File, FileMode::Submodule, FileMode::Symlink]);
    assert_eq!(source.file_at(source.revision(), "up.yaml").unwrap(), None);
}

#[test]
fn git_06_to_11_names_that_no_honest_commit_has_are_refused() {
    let repo = Repo::new();
    let blob = repo.blob(b"x");
    let object = |name: &[u8]| {
        let id = git2::Oid::from_str(&blob).unwrap();
        [b"100644 ", name, b"\0", id.as_bytes()].concat()
    };
    for (name, why) in [
        (&b".."[..], "the name leaves its folder"),
        (b".GIT", "the name is git's own"),
        (b"git~1", "the name is git's own"),
        (b"a/b", "the name holds a slash or backslash"),
        (b"a\\b", "the name holds a slash or backslash"),
        (b"a\x1b[2J", "the name holds a control character"),
        (b"a\xff", "the name is not UTF-8"),
    ] {
        let bytes = [object(name), object(b"ctl.yaml")].concat();
        let tree = run(&repo.path(), "git", &["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes);
        let commit = sh(&repo.path(), &["commit-tree", "-m", "odd", &tree]);
        let source = repo.open_at(repo.path(), Some(&commit)).unwrap();
        let error = source.tree("").unwrap_err();
        assert!(error.to_string().ends_with(why), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn git_16_a_large_blob_is_refused_by_name_before_it_is_read() {
    let repo = Repo::new();
    repo.write("deploy/big.yaml", &vec![b'#'; 5 << 20]);
    repo.commit("big");
    let source = repo.open();
    let tree = source.tree("deploy").unwrap();
    let entries: Vec<_> = tree.entries.iter().collect();
    let error = source.read_entries(&entries).unwrap_err();
    assert_eq!(error.to_string(), "deploy/big.yaml has 5242880 bytes, and a file may have 4194304");
}

#[test]
fn too_many_files_and_too_deep_folders_are_refused() {
    let repo = Repo::new();
    repo.write(&format!("deploy/{}x", "d/".repeat(40)), b"");
    repo.commit("deep");
    assert!(matches!(repo.open().tree("deploy"), Err(SourceError::TooDeep { limit: 32, .. })));
    let mut options = repo.options();
    options.limits.files = 1;
    options.limits.folder_depth = 100;
    let source = Source::open(repo.path().join("deploy").to_str().unwrap(), None, options).unwrap();
    assert_eq!(source.tree("deploy").unwrap_err(), SourceError::TooManyFiles { limit: 1 });
}

#[test]
fn edited_and_untracked_manifests_are_named_and_ignored_ones_are_not() {
    let repo = Repo::new();
    repo.write("deploy/manifests/gone.yaml", b"x");
    repo.write("deploy/.gitignore", b"ignored.yaml\n");
    repo.commit("more");
    repo.write("deploy/manifests/a.yaml", b"a: 2\n");
    repo.write("deploy/manifests/new.yaml", b"new\n");
    repo.write("deploy/manifests/staged.yaml", b"staged\n");
    sh(&repo.path(), &["add", "deploy/manifests/staged.yaml"]);
    repo.write("deploy/ignored.yaml", b"");
    repo.write("outside.yaml", b"");
    fs::remove_file(repo.path().join("deploy/manifests/gone.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", repo.path().join("deploy/link.yaml")).unwrap();
    let source = repo.open();
    let tree = source.tree("deploy").unwrap();
    let edited = source.edited_files(&tree).unwrap();
    let below = |names: [&str; 5]| names.map(|n| format!("deploy/{n}"));
    let wanted =
        below(["link.yaml", "manifests/a.yaml", "manifests/gone.yaml", "manifests/new.yaml", "manifests/staged.yaml"]);
    assert_eq!(edited, wanted);

    let (dirty, contents) = source.dirty_tree(&tree).unwrap();
    assert_eq!(dirty.revision, repo.head());
    let find = |path: &str| dirty.entries.iter().find(|e| e.path == path);
    assert_eq!(contents[&find("deploy/manifests/a.yaml").unwrap().blob], b"a: 2\n");
    assert_eq!(contents[&find("deploy/manifests/new.yaml").unwrap().blob], b"new\n");
    assert_eq!(find("deploy/manifests/gone.yaml"), None);
    let link = find("deploy/link.yaml").unwrap();
    assert!(link.mode == FileMode::Symlink && !contents.contains_key(&link.blob), "{link:?}");
}

#[test]
fn an_edit_that_leaves_size_and_time_is_seen() {
    let repo = Repo::new();
    let file = repo.path().join("deploy/manifests/a.yaml");
    let time = |path: &Path, seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    // Older than the index, so that the index may vouch for it.
    time(&file, 1_700_000_000);
    sh(&repo.path(), &["update-index", "--refresh"]);
    let source = repo.open();
    let tree = source.tree("deploy").unwrap();
    assert_eq!(source.edited_files(&tree).unwrap(), Vec::<String>::new());
    fs::write(&file, b"a: 2\n").unwrap();
    time(&file, 1_700_000_000);
    assert_eq!(source.edited_files(&tree).unwrap(), ["deploy/manifests/a.yaml"]);
    // Assumed to be unchanged is not unchanged.
    sh(&repo.path(), &["update-index", "--assume-unchanged", "deploy/manifests/a.yaml"]);
    assert_eq!(source.edited_files(&tree).unwrap(), ["deploy/manifests/a.yaml"]);
    // Staged is not committed.
    sh(&repo.path(), &["update-index", "--no-assume-unchanged", "deploy/manifests/a.yaml"]);
    // Another time, or git believes its index as well: it counts in whole seconds.
    time(&file, 1_700_000_001);
    sh(&repo.path(), &["add", "deploy/manifests/a.yaml"]);
    assert!(sh(&repo.path(), &["diff", "--cached", "--name-only"]).ends_with("a.yaml"));
    assert_eq!(source.edited_files(&tree).unwrap(), ["deploy/manifests/a.yaml"]);
}

#[test]
fn lineage_tells_forward_from_back_from_rewritten() {
    let repo = Repo::new();
    let first = repo.head();
    let second = repo.commit("second");
    sh(&repo.path(), &["checkout", "-q", "-b", "topic"]);
    let topic = repo.commit("topic");
    sh(&repo.path(), &["checkout", "-q", "main"]);
    sh(&repo.path(), &["merge", "-q", "--squash", "topic"]);
    let squash = repo.commit("squashed");
    let source = repo.open();
    assert_eq!(source.ancestry(&first, &first), Ancestry::Same);
    assert_eq!(source.ancestry(&first, &second), Ancestry::Ancestor);
    assert_eq!(source.ancestry(&second, &first), Ancestry::Descendant);
    assert_eq!(source.ancestry(&topic, &squash), Ancestry::Unrelated);
    assert_eq!(source.ancestry(&Revision::parse(&"0".repeat(40)).unwrap(), &first), Ancestry::Missing);
}

#[test]
fn a_shallow_clone_learns_its_lineage_and_stays_shallow() {
    let repo = Repo::new();
    let first = repo.head();
    repo.commit("second");
    let third = repo.commit("third");
    let url = format!("file://{}", repo.path().display());
    sh(repo.dir.path(), &["clone", "-q", "--depth", "1", &url, "shallow"]);
    let clone = repo.dir.path().join("shallow");
    let source = repo.open_at(clone.join("deploy"), None).unwrap();
    assert!(source.is_shallow());
    assert_eq!(paths(&source).len(), 2);
    assert_eq!(source.ancestry(&first, &third), Ancestry::Ancestor);
    assert_eq!(sh(&clone, &["rev-list", "--count", "HEAD"]), "1");
    assert!(message(repo.open_at(&clone, Some(first.as_str()))).1.contains("--unshallow"));
    fs::rename(repo.path(), repo.dir.path().join("away")).unwrap();
    fs::remove_dir_all(repo.dir.path().join("state")).unwrap();
    assert_eq!(source.ancestry(&first, &third), Ancestry::UnknownShallow);
}

#[test]
fn a_repository_that_belongs_to_somebody_else_is_read_all_the_same() {
    let repo = Repo::new();
    let theirs = [repo.path(), repo.path().join(".git"), repo.path().join(".git/config")];
    if theirs.iter().any(|path| std::os::unix::fs::chown(path, Some(4321), None).is_err()) {
        return; // only root can give files away
    }
    let source = repo.open();
    assert_eq!(paths(&source).len(), 2);
    assert_eq!(source.edited_files(&source.tree("deploy").unwrap()).unwrap(), Vec::<String>::new());
}

#[test]
fn a_source_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Repo::new().open());
}

#[test]
fn a_url_is_taken_apart() {
    let parse = |text: &str| {
        let remote = mirror::parse(text).unwrap();
        (remote.url, remote.folder, remote.rev.unwrap_or_default())
    };
    let is = |url: &str, folder: &str, rev: &str| (url.to_owned(), folder.to_owned(), rev.to_owned());
    assert_eq!(parse("https://f.example/a.git"), is("https://f.example/a.git", "", ""));
    assert_eq!(parse("https://f.example/a.git//x/y?ref=v1"), is("https://f.example/a.git", "x/y", "v1"));
    assert_eq!(parse("git@f.example:a.git//x/"), is("git@f.example:a.git", "x", ""));
    assert_eq!(parse("file:///srv/a.git//x?ref=main"), is("file:///srv/a.git", "x", "main"));
}
