//! Commits of which some are bad, read one after another.

use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Signature, Time};
use tempfile::TempDir;

use super::*;
use crate::manifest::{SetInput, assemble, parse_file};
use crate::model::Limits;
use crate::net::Git;
use crate::source::{GoodNote, Keeper, SourceOptions};
use crate::world::Clock;

const PROJECT: &str = "\
apiVersion: ctl/v1
kind: Project
metadata: {name: shop}
targets: {edge: {api: ctl, url: embedded}}
";

/// A repository whose commits are made of paths and texts.
struct Repo {
    dir: TempDir,
    files: BTreeMap<String, String>,
}

impl Repo {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        Repository::init_bare(dir.path().join("repo")).unwrap();
        let mut repo = Self { dir, files: BTreeMap::from([("ctl.yaml".to_owned(), PROJECT.to_owned())]) };
        repo.commit(files);
        repo
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// Changes files (an empty text takes one away) and commits.
    fn commit(&mut self, changes: &[(&str, &str)]) {
        for (path, text) in changes {
            match *text {
                "" => drop(self.files.remove(*path)),
                text => drop(self.files.insert((*path).to_owned(), text.to_owned())),
            }
        }
        let repo = Repository::open_bare(self.path()).unwrap();
        let files: Vec<(Vec<&str>, &str)> =
            self.files.iter().map(|(path, text)| (path.split('/').collect(), text.as_str())).collect();
        let tree = tree(&repo, &files.iter().map(|(path, text)| (path.as_slice(), *text)).collect::<Vec<_>>());
        let tree = repo.find_tree(tree).unwrap();
        let who = Signature::new("Ann", "ann@example.org", &Time::new(1_767_323_045, 0)).unwrap();
        let parent = repo.refname_to_id("HEAD").ok().map(|id| repo.find_commit(id).unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repo.commit(Some("HEAD"), &who, &who, "x", &tree, &parents).unwrap();
    }

    fn keeper(&self) -> Keeper {
        let options =
            SourceOptions { git: Git::new(), state_dir: self.dir.path().join("state"), limits: Limits::default() };
        Keeper::new(self.path().to_str().unwrap(), None, options, Clock::System).unwrap()
    }

    fn source(&self) -> Arc<Source> {
        let mut keeper = self.keeper();
        keeper.look().unwrap();
        Arc::new(keeper.source().unwrap())
    }

    fn shelf(&self) -> PathBuf {
        self.dir.path().join("shelf")
    }

    fn read(&self, reader: &mut Reader) -> Result<Lenient, Stop> {
        let loaded = reader.open(self.source())?;
        reader.read(&loaded, None, false)
    }

    fn keep(&self, lenient: &Lenient) -> Good {
        let resources = lenient.snapshot.desired.len();
        let note = GoodNote { name: "shop".into(), written: 0, resources, kept: lenient.kept.clone() };
        Good::write(&self.shelf(), &self.source(), note, None).unwrap();
        Good::read(&self.shelf(), "shop").unwrap()
    }
}

fn tree(repo: &Repository, files: &[(&[&str], &str)]) -> Oid {
    let mut builder = repo.treebuilder(None).unwrap();
    let mut folders: BTreeMap<&str, Vec<(&[&str], &str)>> = BTreeMap::new();
    for (path, text) in files {
        match *path {
            [name] => drop(builder.insert(name, repo.blob(text.as_bytes()).unwrap(), 0o100_644).unwrap()),
            [folder, rest @ ..] => folders.entry(folder).or_default().push((rest, text)),
            [] => panic!("a file has a name"),
        }
    }
    for (name, files) in folders {
        builder.insert(name, tree(repo, &files), 0o040_000).unwrap();
    }
    builder.write().unwrap()
}

fn service(name: &str, host: &str) -> String {
    format!("apiVersion: ctl\nkind: service\nspec: {{name: {name}, host: {host}}}\n")
}

fn route(name: &str, service: &str) -> String {
    format!("apiVersion: ctl\nkind: route\nspec: {{name: {name}, service: {service}, path: /{name}}}\n")
}

/// `kind/name` and where it is written, of all that is wanted.
fn wanted(lenient: &Lenient) -> Vec<String> {
    let body = |d: &Arc<Desired>| {
        d.body.value().get(&crate::model::FieldPath::parse("/host")).and_then(|v| v.as_str().map(str::to_owned))
    };
    let shown = |d: &Arc<Desired>| format!("{} {}", d.id.local(), body(d).unwrap_or_default());
    lenient.snapshot.desired.iter().map(|d| shown(d).trim_end().to_owned()).collect()
}

fn aside(lenient: &Lenient) -> Vec<(&str, &str, bool)> {
    lenient.quarantined.iter().map(|q| (q.place.as_str(), q.code.as_str(), q.kept)).collect()
}

fn code(result: Result<Lenient, Stop>) -> &'static str {
    match result {
        Ok(lenient) => panic!("{:?}", wanted(&lenient)),
        Err(stop) => stop.diagnostics[0].code,
    }
}

/// What a command that starts afresh makes of the commit.
fn cold(repo: &Repo) -> Snapshot {
    let source = repo.source();
    let tree = source.tree("").unwrap();
    let loaded = load::read_at(Arc::clone(&source), Arc::new(tree.clone())).unwrap();
    let entries = manifest::manifest_entries(&loaded.project, &tree, true, loaded.limits()).unwrap();
    let bytes = source.read_entries(&entries.files).unwrap();
    let parsed = entries.files.iter().zip(bytes).map(|(e, bytes)| ((*e).clone(), parse_file(&e.path, &bytes)));
    let tables = loaded.tables();
    let texts = |entry: &TreeEntry| loaded.text(&entry.path, &entry.blob);
    let input = Complete::as_ref(&tree).map(|_| SetInput {
        project: &loaded.project,
        revision: loaded.revision.clone(),
        kinds: &tables,
        files: parsed.collect(),
        texts: &texts,
        missing_folders: entries.missing_folders.clone(),
        limits: loaded.limits(),
    });
    assemble(input).unwrap().into_inner()
}

#[test]
fn a_commit_that_changes_ten_of_many_files_reads_ten_blobs_and_gives_what_a_first_look_gives() {
    let names: Vec<String> = (0..300).map(|n| format!("m/{}/s{n}.yaml", n % 7)).collect();
    let texts: Vec<String> = (0..300).map(|n| service(&format!("s{n}"), "a")).collect();
    let files: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let mut repo = Repo::new(&files);
    let mut reader = Reader::default();
    assert_eq!(repo.read(&mut reader).unwrap().blobs, 300);
    let same = |repo: &Repo, lenient: &Lenient| {
        assert_eq!(format!("{:#?}", *lenient.snapshot), format!("{:#?}", cold(repo)));
        assert_eq!((lenient.quarantined.len(), &lenient.deletes_held), (0, &None));
    };
    let changed = service("s5", "b");
    for round in 0..3 {
        let new: Vec<String> =
            (0..10).map(|n| service(&format!("s{}", n * 7 + round), &format!("round{round}"))).collect();
        let mut changes: Vec<(&str, &str)> =
            new.iter().enumerate().map(|(n, text)| (names[n * 7 + round].as_str(), text.as_str())).collect();
        changes[9] = (&names[9 * 7 + round], ""); // one goes
        let added = format!("m/new{round}.yaml");
        let text = service(&format!("new{round}"), "n");
        changes.push((&added, &text));
        repo.commit(&changes);
        let lenient = repo.read(&mut reader).unwrap();
        assert_eq!(lenient.blobs, 10, "{round}");
        same(&repo, &lenient);
    }
    // A commit that changes nothing that matters, or the project, reads no manifest again.
    repo.commit(&[("README", "hello")]);
    assert_eq!(repo.read(&mut reader).unwrap().blobs, 0);
    repo.commit(&[("ctl.yaml", &format!("{PROJECT}# no more than that\n"))]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(lenient.blobs, 0);
    same(&repo, &lenient);
    repo.commit(&[("m/5/s5.yaml", &changed)]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(lenient.blobs, 1);
    same(&repo, &lenient);
}

#[test]
fn a_poisoned_file_is_put_aside_and_what_it_said_last_stays_until_it_is_mended() {
    let mut repo = Repo::new(&[("a.yaml", &service("a", "one")), ("b.yaml", &service("b", "one"))]);
    let mut reader = Reader::default();
    repo.read(&mut reader).unwrap();
    let bad = [
        ("kind: [", "yaml-syntax", "a.yaml:1:"),
        ("apiVersion: ctl\nkind: servise\nspec: {}\n", "unknown-kind", "a.yaml:2:7"),
        ("apiVersion: ctl\nkind: service\nspec: {host: x}\n", "missing-key", "a.yaml:3:7"),
        ("apiVersion: ctl\nkind: route\nspec: {name: r, service: none}\n", "broken-reference", "a.yaml:3:26"),
        ("apiVersion: ctl\nkind: route\nmetadata: {dependsOn: [route/r]}\nspec: {name: r}\n", "cycle", "a.yaml:3:24"),
    ];
    for (n, (text, code, place)) in bad.iter().enumerate() {
        let others = format!("n{n}");
        repo.commit(&[("a.yaml", text), ("b.yaml", &service("b", &others))]);
        let lenient = repo.read(&mut reader).unwrap();
        assert_eq!(wanted(&lenient), ["service/a one", &format!("service/b {others}")], "{code}");
        let [(at, told, true)] = aside(&lenient)[..] else { panic!("{:?}", aside(&lenient)) };
        assert!(at.starts_with(place) && told == *code, "{at} {told}");
        assert!(lenient.deletes_held.as_ref().is_some_and(|why| why.starts_with("a.yaml cannot be read")));
        assert_eq!(lenient.kept.len(), 1);
        // The same commit once more says the same, and reads nothing.
        let again = repo.read(&mut reader).unwrap();
        assert_eq!((aside(&again), wanted(&again), again.blobs), (aside(&lenient), wanted(&lenient), 0));
    }
    repo.commit(&[("a.yaml", &service("a", "mended"))]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(wanted(&lenient), ["service/a mended", "service/b n4"]);
    assert_eq!((lenient.quarantined.len(), lenient.deletes_held, lenient.kept.len()), (0, None, 0));
}

#[test]
fn a_file_that_was_never_good_is_left_out_and_the_others_go_on() {
    let poisoned = ["[", &service("x", "one")].join("\n");
    let good = service("good", "one");
    let mut files: Vec<(String, &str)> = (0..50).map(|n| (format!("s{n}.yaml"), "")).collect();
    let texts: Vec<String> = (0..50).map(|n| service(&format!("s{n}"), "x")).collect();
    files.iter_mut().zip(&texts).for_each(|(file, text)| file.1 = text);
    files.push(("bad.yaml".into(), &poisoned));
    files.push(("twin1.yaml".into(), &good));
    files.push(("twin2.yaml".into(), &good));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let repo = Repo::new(&files);
    let lenient = repo.read(&mut Reader::default()).unwrap();
    assert_eq!(lenient.snapshot.desired.len(), 50);
    let told: Vec<_> =
        aside(&lenient).into_iter().map(|(at, code, kept)| (at.split(':').next().unwrap(), code, kept)).collect();
    // Of two that say the same neither is more right.
    let wanted = [
        ("bad.yaml", "yaml-syntax", false),
        ("twin1.yaml", "duplicate-resource", false),
        ("twin2.yaml", "duplicate-resource", false),
    ];
    assert_eq!(told, wanted);
    assert!(lenient.deletes_held.unwrap().starts_with("bad.yaml and 2 more"));
}

#[test]
fn of_two_files_that_clash_the_one_that_changed_is_put_aside() {
    let mut repo = Repo::new(&[("a.yaml", &service("a", "one")), ("b.yaml", &service("b", "one"))]);
    let mut reader = Reader::default();
    repo.read(&mut reader).unwrap();
    repo.commit(&[("a.yaml", &service("b", "stolen"))]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(wanted(&lenient), ["service/a one", "service/b one"]);
    // `b` is told as declared again, and still it is `a` that changed.
    assert_eq!(lenient.kept.keys().collect::<Vec<_>>(), ["a.yaml"]);
    // Where both changed, both stay as they were.
    repo.commit(&[("b.yaml", &service("b", "two"))]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(wanted(&lenient), ["service/a one", "service/b one"]);
    assert_eq!(lenient.kept.keys().collect::<Vec<_>>(), ["a.yaml", "b.yaml"]);
}

#[test]
fn what_leans_on_a_file_that_is_left_out_is_left_out_with_it_and_comes_back_with_it() {
    let mut repo = Repo::new(&[
        ("a.yaml", &service("a", "one")),
        ("r.yaml", &route("r", "a")),
        ("s.yaml", &route("s", "a")),
        ("z.yaml", &service("z", "one")),
    ]);
    let mut reader = Reader::default();
    repo.read(&mut reader).unwrap();
    // The service goes, and two routes still name it. They did not change: what they said last is what they say.
    repo.commit(&[("a.yaml", "")]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(wanted(&lenient), ["service/z one"]);
    assert_eq!(lenient.kept, BTreeMap::from([("r.yaml".to_owned(), None), ("s.yaml".to_owned(), None)]));
    assert!(lenient.deletes_held.is_some());
    repo.commit(&[("a.yaml", &service("a", "two"))]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(wanted(&lenient), ["route/r", "route/s", "service/a two", "service/z one"]);
    assert_eq!(lenient.deletes_held, None);
}

#[test]
fn a_link_and_a_file_too_large_are_put_aside_like_a_file_that_cannot_be_parsed() {
    let mut repo = Repo::new(&[("a.yaml", &service("a", "one")), ("b.yaml", &service("b", "one"))]);
    let mut reader = Reader::default();
    repo.read(&mut reader).unwrap();
    let large = format!("# {}\n{}", "x".repeat(5 << 20), service("a", "two"));
    repo.commit(&[("a.yaml", &large), ("b.yaml", &service("b", "two"))]);
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(wanted(&lenient), ["service/a one", "service/b two"]);
    assert_eq!(aside(&lenient), [("a.yaml:1:1", "source-file-too-large", true)]);

    let git = Repository::open_bare(repo.path()).unwrap();
    let head = git.find_commit(git.refname_to_id("HEAD").unwrap()).unwrap();
    let mut builder = git.treebuilder(Some(&head.tree().unwrap())).unwrap();
    builder.insert("a.yaml", git.blob(b"/etc/passwd").unwrap(), 0o120_000).unwrap();
    let tree = git.find_tree(builder.write().unwrap()).unwrap();
    let who = Signature::new("Ann", "ann@example.org", &Time::new(1_767_323_045, 0)).unwrap();
    git.commit(Some("HEAD"), &who, &who, "link", &tree, &[&head]).unwrap();
    let lenient = repo.read(&mut reader).unwrap();
    assert_eq!(wanted(&lenient), ["service/a one", "service/b two"]);
    assert_eq!(aside(&lenient), [("a.yaml:1:1", "symlink", true)]);
}

#[test]
fn what_is_more_than_one_bad_file_fails_as_a_whole_and_leaves_the_state_as_it_was() {
    let mut repo = Repo::new(&[("a.yaml", &service("a", "one")), ("b.yaml", &service("b", "one"))]);
    let mut reader = Reader::default();
    repo.read(&mut reader).unwrap();
    let (a, b) = (service("a", "two"), service("b", "two"));
    for (changes, expected) in [
        (vec![("ctl.yaml", "targets: [")], "yaml-syntax"),
        (vec![("ctl.yaml", "")], "source-no-project"),
        (vec![("apis/ctl.yaml", "nonsense: 1\n")], "unknown-field"),
        (vec![("a.yaml", ""), ("b.yaml", "")], "emptied"),
        (vec![("a.yaml", "# nothing\n"), ("b.yaml", "# nothing\n")], "emptied"),
    ] {
        let before = repo.files.clone();
        repo.commit(&changes);
        let mut keeper = repo.keeper();
        keeper.look().unwrap();
        let read = keeper.source().map_err(|e| load::stop(&e)).and_then(|source| {
            let loaded = reader.open(Arc::new(source))?;
            reader.read(&loaded, None, false)
        });
        let told = code(read);
        assert!(told == expected || expected == "unknown-field", "{changes:?}: {told}");
        repo.files = before;
        repo.commit(&[]);
        assert_eq!(wanted(&repo.read(&mut reader).unwrap()), ["service/a one", "service/b one"]);
    }
    // Every file bad at once is no state either, where nothing was known before.
    let nothing = Repo::new(&[("a.yaml", "["), ("b.yaml", "[")]);
    assert_eq!(code(nothing.read(&mut Reader::default())), "yaml-syntax");
    // With leave, nothing is a state.
    repo.commit(&[("a.yaml", ""), ("b.yaml", "")]);
    let loaded = reader.open(repo.source()).unwrap();
    assert_eq!(reader.read(&loaded, None, true).unwrap().snapshot.desired.len(), 0);
    repo.commit(&[("a.yaml", &a), ("b.yaml", &b)]);
    assert_eq!(wanted(&repo.read(&mut reader).unwrap()), ["service/a two", "service/b two"]);
}

#[test]
fn the_project_does_not_silently_become_the_one_above_it() {
    let mut repo =
        Repo::new(&[("sub/ctl.yaml", &PROJECT.replace("shop", "sub")), ("sub/a.yaml", &service("a", "one"))]);
    let text = format!("file://{}//sub", repo.path().display());
    let options =
        SourceOptions { git: Git::new(), state_dir: repo.dir.path().join("state"), limits: Limits::default() };
    let mut keeper = Keeper::new(&text, None, options, Clock::System).unwrap();
    let mut reader = Reader::default();
    let mut next = |keeper: &mut Keeper| {
        keeper.look().unwrap();
        reader.open(Arc::new(keeper.source().unwrap())).map(|loaded| loaded.project.name.to_string())
    };
    assert_eq!(next(&mut keeper).unwrap(), "sub");
    repo.commit(&[("sub/ctl.yaml", "")]);
    assert_eq!(next(&mut keeper).unwrap_err().diagnostics[0].code, "source-no-project");
}

#[test]
fn after_a_restart_the_last_good_state_says_what_a_poisoned_file_said() {
    let mut repo = Repo::new(&[("a.yaml", &service("a", "one")), ("b.yaml", &service("b", "one"))]);
    let mut reader = Reader::default();
    repo.read(&mut reader).unwrap();
    repo.commit(&[("a.yaml", "["), ("b.yaml", &service("b", "two"))]);
    let lenient = repo.read(&mut reader).unwrap();
    let good = repo.keep(&lenient);
    let read = |repo: &Repo, source: Arc<Source>| {
        let mut reader = Reader::default();
        let loaded = reader.open(source).unwrap();
        let lenient = reader.read(&loaded, Some(&good), false).unwrap();
        assert_eq!(lenient.kept.len(), 1, "{}", repo.path().display());
        lenient
    };
    // The source is there.
    let again = read(&repo, repo.source());
    assert_eq!((wanted(&again), aside(&again)), (wanted(&lenient), aside(&lenient)));
    assert_eq!(again.kept, lenient.kept);
    // It is away.
    let recalled = repo.keeper().recall(&good).unwrap();
    std::fs::rename(repo.path(), repo.dir.path().join("away")).unwrap();
    let away = read(&repo, Arc::new(recalled));
    assert_eq!((wanted(&away), &away.kept), (wanted(&lenient), &lenient.kept));
    std::fs::rename(repo.dir.path().join("away"), repo.path()).unwrap();
    // A good file is there all the same, and a clash is the fault of what changed since.
    repo.commit(&[("b.yaml", &service("a", "stolen"))]);
    let mut reader = Reader::default();
    let loaded = reader.open(repo.source()).unwrap();
    let lenient = reader.read(&loaded, Some(&good), false).unwrap();
    assert_eq!(wanted(&lenient), ["service/a one", "service/b two"]);
    // Nothing at all is refused even as the first thing that is read.
    repo.commit(&[("a.yaml", ""), ("b.yaml", "")]);
    let mut reader = Reader::default();
    let loaded = reader.open(repo.source()).unwrap();
    assert_eq!(code(reader.read(&loaded, Some(&good), false)), "emptied");
}

#[test]
fn a_thousand_bad_commits_cost_no_memory() {
    let mut repo = Repo::new(&[("a.yaml", &service("a", "one")), ("b.yaml", &service("b", "one"))]);
    let mut reader = Reader::default();
    repo.read(&mut reader).unwrap();
    for n in 0..50 {
        repo.commit(&[("a.yaml", &format!("[ # {n}")), ("b.yaml", &format!("[ # {n}"))]);
        let lenient = repo.read(&mut reader).unwrap();
        assert_eq!(wanted(&lenient), ["service/a one", "service/b one"]);
        assert!(reader.known.aside() <= 2, "{}", reader.known.aside());
        repo.commit(&[("ctl.yaml", &format!("{PROJECT}# {n}\n")), ("a.yaml", ""), ("b.yaml", "")]);
        assert_eq!(code(repo.read(&mut reader)), "emptied");
        assert!(reader.known.aside() <= 2);
        repo.commit(&[("a.yaml", "["), ("b.yaml", "[")]);
    }
}

#[test]
fn the_helper_makes_what_git_would_make() {
    let repo = Repo::new(&[("a/b.yaml", "x: 1\n")]);
    let id = Oid::hash_object(ObjectType::Blob, b"x: 1\n").unwrap().to_string();
    let tree = repo.source().tree("").unwrap();
    assert_eq!(entry(&tree, "a/b.yaml").unwrap().blob, id);
    assert!(Path::new(&repo.path()).join("HEAD").exists());
}
