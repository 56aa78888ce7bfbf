//! The last good state: kept, read back, and refused when a bit of it flipped.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::model::Digest;
use crate::world::Clock;

impl Repo {
    fn shelf(&self) -> PathBuf {
        self.dir.path().join("shelf")
    }

    fn keep(&self, before: Option<&Good>) -> Good {
        Good::write(&self.shelf(), &self.open(), note(&[]), before).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.shelf().join("good")
    }

    fn read_good(&self) -> Result<Good, GoodError> {
        Good::read(&self.shelf(), "shop")
    }

    fn recalled(&self) -> Source {
        self.read_good().unwrap().source(None, self.options()).unwrap()
    }
}

fn note(kept: &[(&str, Option<&str>)]) -> GoodNote {
    let kept = kept.iter().map(|(path, blob)| ((*path).to_owned(), blob.map(str::to_owned))).collect();
    GoodNote { name: "shop".into(), written: 1_767_323_045, resources: 1, kept }
}

fn refused(result: Result<Good, GoodError>) -> String {
    match result.unwrap_err() {
        GoodError::Refused { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_kept_reads_as_the_repository_did() {
    let repo = Repo::new();
    repo.write("apis/x.yaml", b"api: x\n");
    repo.write("deploy/apis/y.yaml", b"api: y\n");
    repo.write("deploy/deep/er/z.yml", b"z: 1\n");
    repo.write("deploy/picture.png", &[0; 5000]);
    let head = repo.commit("more");
    let before = repo.open();
    let tree = before.tree("deploy").unwrap();
    let files = ["apis/x.yaml", "deploy/apis/y.yaml", "deploy/ctl.yaml"];
    let files = files.map(|path| (path, before.file_at(&head, path).unwrap().unwrap()));
    let written = repo.keep(None);
    fs::rename(repo.path(), repo.dir.path().join("away")).unwrap();

    let good = repo.read_good().unwrap();
    assert_eq!((good.revision(), good.written(), good.kept().len()), (&head, 1_767_323_045, 0));
    assert_eq!(good.revision(), written.revision());
    let source = repo.recalled();
    assert_eq!((source.revision(), source.folder(), source.is_recalled()), (&head, "deploy", true));
    assert_eq!(source.common_dir(), before.common_dir());
    assert_eq!(*source.tree("deploy").unwrap(), *tree);
    for (path, bytes) in files {
        assert_eq!(source.file_at(&head, path).unwrap(), Some(bytes), "{path}");
    }
    let manifests: Vec<_> = tree.entries.iter().filter(|e| !e.path.ends_with("png")).collect();
    assert_eq!(source.read_entries(&manifests).unwrap().len(), 4);
    // What is no text is not kept, and asking for it is an error and not nothing.
    assert!(matches!(source.file_at(&head, "deploy/picture.png"), Err(SourceError::Object { .. })));
    assert_eq!(source.commit_info(&head).unwrap().subject, "more");
    assert_eq!(source.ancestry(&head, &head), Ancestry::Same);
    let other = Revision::parse(&"1".repeat(40)).unwrap();
    assert_eq!(source.ancestry(&other, &head), Ancestry::Missing);
    assert_eq!(source.ancestry(&head, &other), Ancestry::Missing);
}

#[test]
fn a_keeper_whose_source_is_away_gives_the_last_good_state() {
    let repo = Repo::new();
    for text in [repo.path().join("deploy").display().to_string(), format!("file://{}//deploy", repo.path().display())]
    {
        let new = || Keeper::new(&text, None, repo.options(), Clock::System).unwrap();
        let mut keeper = new();
        keeper.look().unwrap();
        let (source, name) = (keeper.source().unwrap(), keeper.name());
        Good::write(&repo.shelf(), &source, GoodNote { name: name.clone(), ..note(&[]) }, None).unwrap();
        fs::rename(repo.path(), repo.dir.path().join("away")).unwrap();
        let mut keeper = new();
        assert!(keeper.look().is_err());
        let good = Good::read(&repo.shelf(), &keeper.name()).unwrap();
        let recalled = keeper.recall(&good).unwrap();
        assert_eq!((recalled.url(), recalled.common_dir()), (source.url(), source.common_dir()));
        assert_eq!(*recalled.tree("deploy").unwrap(), *source.tree("deploy").unwrap());
        assert_eq!(refused(Good::read(&repo.shelf(), "another")), "it is of another source");
        fs::rename(repo.dir.path().join("away"), repo.path()).unwrap();
    }
}

#[test]
fn the_next_state_takes_the_place_of_the_last_and_reads_only_what_is_new() {
    let repo = Repo::new();
    let first = repo.keep(None);
    repo.write("deploy/manifests/b.yaml", b"b: 1\n");
    let head = repo.commit("b");
    // The old blob is no longer in the repository's hands: it comes from the state before.
    let blob = sh(&repo.path(), &["rev-parse", "HEAD:deploy/manifests/a.yaml"]);
    let source = repo.open();
    fs::remove_file(repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let second = Good::write(&repo.shelf(), &source, note(&[]), Some(&first)).unwrap();
    assert_eq!((second.revision(), repo.read_good().unwrap().revision()), (&head, &head));
    assert_eq!(repo.recalled().tree("deploy").unwrap().entries.len(), 3);
    let error = Good::write(&repo.shelf(), &source, note(&[]), None).unwrap_err();
    assert!(matches!(error, GoodError::Source(SourceError::Object { .. })), "{error:?}");
    // What failed left the last one as it was.
    assert_eq!(repo.read_good().unwrap().revision(), &head);
}

#[test]
fn versions_in_force_that_are_not_the_commits_are_kept_too() {
    let repo = Repo::new();
    let old = sh(&repo.path(), &["rev-parse", "HEAD:deploy/manifests/a.yaml"]);
    repo.write("deploy/manifests/a.yaml", b"poison: [\n");
    repo.commit("poison");
    let kept = [("deploy/manifests/a.yaml", Some(old.as_str())), ("deploy/manifests/z.yaml", None)];
    Good::write(&repo.shelf(), &repo.open(), note(&kept), None).unwrap();
    let good = repo.read_good().unwrap();
    assert_eq!(good.kept(), &note(&kept).kept);
    assert_eq!(good.blob(&old), Some(&b"a: 1\n"[..]));
    assert_eq!(good.in_force("deploy/manifests/a.yaml").as_deref(), Some(&*old));
    assert_eq!(good.in_force("deploy/manifests/z.yaml"), None);
    let own = sh(&repo.path(), &["rev-parse", "HEAD:deploy/ctl.yaml"]);
    assert_eq!(good.in_force("deploy/ctl.yaml"), Some(own));
    for path in ["deploy/none.yaml", "deploy/manifests", "deploy/ctl.yaml/x", ""] {
        assert_eq!(good.in_force(path), None, "{path}");
    }
    // A version that nobody has any more is left out.
    let gone = "1".repeat(40);
    let written = Good::write(&repo.shelf(), &repo.open(), note(&[("a", Some(&gone))]), None).unwrap();
    assert_eq!(written.kept(), &BTreeMap::from([("a".to_owned(), None)]));
    assert_eq!(repo.read_good().unwrap().kept(), written.kept());
}

#[test]
fn a_bit_that_flipped_anywhere_and_a_byte_cut_off_anywhere_refuse_the_whole() {
    let repo = Repo::new();
    repo.keep(None);
    let whole = fs::read(repo.file()).unwrap();
    assert!(repo.read_good().is_ok());
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(repo.file(), &bytes).unwrap();
        refused(repo.read_good());
    }
    for cut in 0..whole.len() {
        fs::write(repo.file(), &whole[..cut]).unwrap();
        refused(repo.read_good());
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(repo.file(), &longer).unwrap();
    refused(repo.read_good());
    fs::write(repo.file(), &whole).unwrap();
    assert!(repo.read_good().is_ok());
}

/// Writes a state whose checksum holds.
fn forge(path: &Path, body: &[u8]) {
    let whole = fs::read(path).unwrap();
    let magic = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    fs::write(path, [&whole[..magic], Digest::of(body).as_bytes(), body].concat()).unwrap();
}

#[test]
fn a_state_whose_checksum_holds_must_still_be_what_its_commit_says() {
    let repo = Repo::new();
    repo.keep(None);
    let whole = fs::read(repo.file()).unwrap();
    let body = &whole[whole.iter().position(|b| *b == b'\n').unwrap() + 33..];
    let replaced = |old: &str, new: &str| {
        let text = old.as_bytes();
        let at = body.windows(text.len()).position(|w| w == text).unwrap();
        [&body[..at], new.as_bytes(), &body[at + text.len()..]].concat()
    };
    let first = repo.head();
    let other = repo.commit("other");
    // Another commit than the one that is in it.
    forge(&repo.file(), &replaced(first.as_str(), other.as_str()));
    assert!(refused(repo.read_good()).contains("cannot be read"));
    // Another content of a manifest.
    forge(&repo.file(), &replaced("a: 1\n", "a: 2\n"));
    assert!(refused(repo.read_good()).contains("it is not in the state"));
    // Another name in a folder.
    forge(&repo.file(), &replaced("a.yaml", "b.yaml"));
    assert!(refused(repo.read_good()).contains("cannot be read"));
    // Another folder.
    forge(&repo.file(), &replaced("\"folder\":\"deploy\"", "\"folder\":\"elsewhere\""));
    refused(repo.read_good());
    forge(&repo.file(), &replaced("\"kept\":{}", &format!("\"kept\":{{\"a\":\"{}\"}}", "1".repeat(40))));
    assert!(refused(repo.read_good()).contains("it is not in the state"));
    forge(&repo.file(), body);
    assert!(repo.read_good().is_ok());
}

#[test]
fn only_a_plain_file_of_our_own_is_believed() {
    let repo = Repo::new();
    assert!(matches!(repo.read_good().unwrap_err(), GoodError::Absent { .. }));
    repo.keep(None);
    assert_eq!(fs::metadata(repo.file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(repo.shelf()).unwrap().permissions().mode() & 0o777, 0o700);
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(repo.file(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(refused(repo.read_good()), "others may read or write it");
    }
    fs::set_permissions(repo.file(), fs::Permissions::from_mode(0o600)).unwrap();
    let real = repo.dir.path().join("real");
    fs::rename(repo.file(), &real).unwrap();
    symlink(&real, repo.file()).unwrap();
    assert_eq!(refused(repo.read_good()), "it is a symbolic link");
    fs::remove_file(repo.file()).unwrap();
    fs::create_dir(repo.file()).unwrap();
    assert!(repo.read_good().is_err());
}

#[test]
fn a_link_at_the_new_files_name_is_not_written_through() {
    let repo = Repo::new();
    let victim = repo.dir.path().join("victim");
    fs::write(&victim, b"precious").unwrap();
    fs::create_dir(repo.shelf()).unwrap();
    symlink(&victim, repo.shelf().join(format!("good.{}.new", std::process::id()))).unwrap();
    repo.keep(None);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(fs::symlink_metadata(repo.file()).unwrap().is_file());
    assert!(repo.read_good().is_ok());
    assert_eq!(fs::read_dir(repo.shelf()).unwrap().count(), 1, "something was left behind");
    // A link in the place of the file itself is replaced and not followed either.
    fs::remove_file(repo.file()).unwrap();
    symlink(&victim, repo.file()).unwrap();
    repo.keep(None);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(repo.read_good().is_ok());
}
