//! A source that is looked at again and again, while its repository is moved, rewritten and away.

use std::time::Duration;

use super::*;
use crate::world::{Clock, ScriptedClock};

impl Repo {
    fn keeper(&self, text: &str, rev: Option<&str>) -> Keeper {
        Keeper::new(text, rev, self.options(), Clock::System).unwrap()
    }

    fn local(&self) -> Keeper {
        self.keeper(self.path().join("deploy").to_str().unwrap(), None)
    }

    fn url(&self) -> String {
        format!("file://{}//deploy", self.path().display())
    }
}

fn forward(revision: &Revision) -> Look {
    Look::Moved { revision: revision.clone(), rewritten: false }
}

fn rewritten(revision: &Revision) -> Look {
    Look::Moved { revision: revision.clone(), rewritten: true }
}

#[test]
fn a_look_tells_each_move_once() {
    let repo = Repo::new();
    for text in [repo.path().join("deploy").display().to_string(), repo.url()] {
        let mut keeper = repo.keeper(&text, None);
        assert_eq!(keeper.look().unwrap(), forward(&repo.head()));
        assert_eq!(keeper.look().unwrap(), Look::Same);
        let next = repo.commit("next");
        assert_eq!(keeper.look().unwrap(), forward(&next));
        assert_eq!(keeper.look().unwrap(), Look::Same);
        assert_eq!(keeper.source().unwrap().revision(), &next);
        assert_eq!(keeper.source().unwrap().folder(), "deploy");
        assert_eq!(keeper.fetch_time().is_some(), keeper.is_remote());
        keeper.forget();
        assert_eq!(keeper.look().unwrap(), forward(&next));
    }
}

#[test]
fn a_force_push_is_a_move_that_says_so() {
    let repo = Repo::new();
    repo.commit("second");
    let (mut local, mut remote) = (repo.local(), repo.keeper(&repo.url(), Some("main")));
    local.look().unwrap();
    remote.look().unwrap();
    sh(&repo.path(), &["commit", "-q", "--amend", "--allow-empty", "-m", "otherwise"]);
    assert_eq!(local.look().unwrap(), rewritten(&repo.head()));
    assert_eq!(remote.look().unwrap(), rewritten(&repo.head()));
    // A rewrite that could not be read stays one, also when commits follow it.
    local.forget();
    assert_eq!(local.look().unwrap(), rewritten(&repo.head()));
    local.forget();
    repo.commit("on top");
    assert_eq!(local.look().unwrap(), rewritten(&repo.head()));
    assert_eq!(local.look().unwrap(), Look::Same);
    assert_eq!(remote.look().unwrap(), forward(&repo.head()));
    // The way back is no way forward either.
    sh(&repo.path(), &["reset", "-q", "--hard", "HEAD~1"]);
    assert_eq!(local.look().unwrap(), rewritten(&repo.head()));
    assert_eq!(remote.look().unwrap(), rewritten(&repo.head()));
}

#[test]
fn a_source_that_is_away_is_an_error_and_comes_back_by_itself() {
    let repo = Repo::new();
    let head = repo.head();
    let (mut local, mut remote) = (repo.local(), repo.keeper(&repo.url(), Some("main")));
    for keeper in [&mut local, &mut remote] {
        assert_eq!(keeper.look().unwrap(), forward(&head));
    }
    // The branch is deleted.
    sh(&repo.path(), &["update-ref", "-d", "refs/heads/main"]);
    assert_eq!(local.look().unwrap_err(), SourceError::Unborn { branch: "main".into() });
    assert_eq!(remote.look().unwrap_err(), SourceError::NoRevision { rev: "main".into(), shallow: false });
    sh(&repo.path(), &["update-ref", "refs/heads/main", head.as_str()]);
    for keeper in [&mut local, &mut remote] {
        assert_eq!(keeper.look().unwrap(), Look::Same);
    }
    // The whole repository is moved away.
    let away = repo.dir.path().join("away");
    fs::rename(repo.path(), &away).unwrap();
    assert!(matches!(local.look().unwrap_err(), SourceError::NoSuchPath { .. }));
    assert!(matches!(remote.look().unwrap_err(), SourceError::Fetch { .. }));
    assert!(remote.fetch_time().is_some());
    fs::rename(&away, repo.path()).unwrap();
    let next = repo.commit("after");
    for keeper in [&mut local, &mut remote] {
        assert_eq!(keeper.look().unwrap(), forward(&next));
    }
}

#[test]
fn a_source_may_be_away_from_the_start_and_may_be_empty() {
    let repo = Repo::empty();
    let mut keeper = repo.keeper(repo.path().to_str().unwrap(), None);
    assert_eq!(keeper.look().unwrap_err(), SourceError::Unborn { branch: "main".into() });
    repo.write("ctl.yaml", b"");
    let first = repo.commit("first");
    assert_eq!(keeper.look().unwrap(), forward(&first));
    let mut nowhere = repo.keeper(repo.dir.path().join("later").to_str().unwrap(), None);
    assert!(matches!(nowhere.look().unwrap_err(), SourceError::NoSuchPath { .. }));
    sh(repo.dir.path(), &["clone", "-q", "repo", "later"]);
    assert_eq!(nowhere.look().unwrap(), forward(&first));
}

#[test]
fn a_repository_that_is_made_anew_in_its_place_is_followed() {
    let repo = Repo::new();
    let mut keeper = repo.local();
    keeper.look().unwrap();
    sh(repo.dir.path(), &["clone", "-q", "repo", "copy"]);
    fs::rename(repo.path(), repo.dir.path().join("old")).unwrap();
    fs::rename(repo.dir.path().join("copy"), repo.path()).unwrap();
    sh(&repo.path(), &["repack", "-adq"]);
    let next = repo.commit("in the new one");
    assert_eq!(keeper.look().unwrap(), forward(&next));
    assert_eq!(keeper.source().unwrap().revision(), &next);
}

#[test]
fn branches_tags_worktrees_and_commits_are_all_looked_at() {
    let repo = Repo::new();
    let first = repo.head();
    sh(&repo.path(), &["tag", "-a", "-m", "v1", "v1"]);
    sh(&repo.path(), &["worktree", "add", "-q", "-b", "feature/x", "../linked"]);
    let second = repo.commit("second");
    let path = repo.path().join("deploy");
    let looks = |rev: &str| repo.keeper(path.to_str().unwrap(), Some(rev)).look().unwrap();
    assert_eq!(looks("v1"), forward(&first));
    assert_eq!(looks("feature/x"), forward(&first));
    assert_eq!(looks("refs/heads/main"), forward(&second));
    assert_eq!(looks("main~1"), forward(&first));
    assert_eq!(looks(first.as_str()), forward(&first));
    assert_eq!(looks(first.short()), forward(&first));
    // A linked work tree has a HEAD of its own.
    let mut linked = repo.keeper(repo.dir.path().join("linked/deploy").to_str().unwrap(), None);
    assert_eq!(linked.look().unwrap(), forward(&first));
    let third = repo.commit("third");
    assert_eq!(linked.look().unwrap(), Look::Same);
    sh(&repo.dir.path().join("linked"), &["merge", "-q", "--ff-only", "main"]);
    assert_eq!(linked.look().unwrap(), forward(&third));
}

#[test]
fn a_repository_repacked_under_us_goes_on_being_read() {
    let repo = Repo::new();
    let mut keeper = repo.local();
    keeper.look().unwrap();
    let source = keeper.source().unwrap();
    let tree = source.tree("deploy").unwrap();
    for round in 0..3 {
        repo.write("deploy/manifests/a.yaml", format!("a: {round}\n").as_bytes());
        let next = repo.commit("more");
        sh(&repo.path(), &["repack", "-adfq"]);
        sh(&repo.path(), &["pack-refs", "--all", "--prune"]);
        sh(&repo.path(), &["prune-packed"]);
        assert_eq!(keeper.look().unwrap(), forward(&next));
        assert_eq!(keeper.source().unwrap().tree("deploy").unwrap().entries.len(), 2);
        // Also the one that was opened long before.
        assert_eq!(source.read(&[&tree.entries[1].blob]).unwrap(), [b"a: 1\n"]);
        assert_eq!(source.tree_at(&next, "deploy").unwrap().entries.len(), 2);
    }
}

#[test]
fn an_object_that_is_lost_is_an_error_and_a_mirror_gets_it_again() {
    let repo = Repo::new();
    let mut keeper = repo.keeper(&repo.url(), None);
    keeper.look().unwrap();
    let mirror = keeper.source().unwrap().common_dir().to_owned();
    let blob = sh(&repo.path(), &["rev-parse", "HEAD:deploy/manifests"]);
    let loose = |git_dir: &Path| git_dir.join("objects").join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(loose(&mirror)).unwrap();
    let source = keeper.source().unwrap();
    assert!(matches!(source.tree("deploy").unwrap_err(), SourceError::Object { .. }));
    // Not known is not absent.
    let lost = source.file_at(source.revision(), "deploy/manifests/a.yaml").unwrap_err();
    assert!(matches!(lost, SourceError::Object { .. }), "{lost:?}");
    keeper.mend().unwrap();
    assert_eq!(source.tree("deploy").unwrap().entries.len(), 2);
    assert_eq!(keeper.look().unwrap(), Look::Same);
}

#[test]
fn a_fetch_that_hangs_is_killed_at_its_deadline_with_all_its_children() {
    let repo = Repo::new();
    let mark = repo.dir.path().join("still-running");
    let ssh = format!("sh -c 'sleep 8; touch {}'", mark.display());
    let mut options = repo.options();
    options.git = options.git.with_env("GIT_SSH_COMMAND", ssh).with_users_ssh();
    options.limits.git_fetch = Duration::from_millis(300);
    let mut keeper = Keeper::new("ssh://git@127.0.0.1/x.git", None, options, Clock::System).unwrap();
    let error = keeper.look().unwrap_err();
    assert!(error.to_string().ends_with("gave no answer within 0 s"), "{error}");
    let took = keeper.fetch_time().unwrap();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(7), "{took:?}");
    std::thread::sleep(Duration::from_millis(8_500));
    assert!(!mark.exists());
}

#[test]
fn what_a_killed_fetch_or_a_half_made_mirror_left_behind_is_no_obstacle() {
    let repo = Repo::new();
    let mut keeper = repo.keeper(&repo.url(), Some("main"));
    keeper.look().unwrap();
    let mirror = keeper.source().unwrap().common_dir().to_owned();
    let name = fs::read_dir(mirror.join("refs/ctl/source")).unwrap().next().unwrap().unwrap().path();
    let lock = PathBuf::from(format!("{}.lock", name.display()));
    fs::write(&lock, b"").unwrap();
    let next = repo.commit("next");
    // A young lock may be somebody's.
    assert!(matches!(keeper.look().unwrap_err(), SourceError::Fetch { .. }));
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(&lock).unwrap().set_modified(old).unwrap();
    assert_eq!(keeper.look().unwrap(), forward(&next));
    fs::remove_dir_all(&mirror).unwrap();
    git2::Repository::init_bare(&mirror).unwrap();
    assert_eq!(keeper.look().unwrap(), Look::Same);
    assert_eq!(keeper.source().unwrap().tree("deploy").unwrap().entries.len(), 2);
}

#[test]
fn the_private_mirror_is_put_in_order_once_an_hour_and_keeps_what_refs_name() {
    let repo = Repo::new();
    let clock = ScriptedClock::starting_at("2026-01-02T03:04:05Z".parse().unwrap());
    let new = |text: &str| Keeper::new(text, None, repo.options(), Clock::Scripted(clock.clone())).unwrap();
    let mut keeper = new(&repo.url());
    assert!(keeper.tidy().is_none(), "nothing was fetched yet");
    keeper.look().unwrap();
    let mirror = keeper.source().unwrap().common_dir().to_owned();
    for i in 0..10_000_u32 {
        let id = git2::Oid::hash_object(git2::ObjectType::Blob, format!("{i:08}").as_bytes()).unwrap().to_string();
        if id.starts_with("17") {
            // Enough of these in one folder make git believe that there are many.
            fs::create_dir_all(mirror.join("objects/17")).unwrap();
            assert_eq!(run(&mirror, "git", &["hash-object", "-w", "--stdin"], format!("{i:08}").as_bytes()), id);
        }
    }
    let record = run(&mirror, "git", &["commit-tree", "-m", "record", &format!("{}^{{tree}}", repo.head())], b"");
    sh(&mirror, &["update-ref", "refs/ctl/records/x", &record]);
    keeper.tidy().unwrap().run().unwrap();
    let packs = fs::read_dir(mirror.join("objects/pack")).unwrap().count();
    assert!(packs > 0, "nothing was packed");
    assert_eq!(sh(&mirror, &["rev-parse", "refs/ctl/records/x"]), record);
    assert!(keeper.tidy().is_none());
    clock.advance(Duration::from_secs(3599));
    assert!(keeper.tidy().is_none());
    clock.advance(Duration::from_secs(1));
    keeper.tidy().unwrap().run().unwrap();
    assert_eq!(keeper.look().unwrap(), Look::Same);
    let mut local = new(repo.path().to_str().unwrap());
    local.forget();
    assert!(local.tidy().is_none(), "somebody else's repository is theirs");
}

async fn hinted(changes: &Changes) -> bool {
    tokio::time::timeout(Duration::from_secs(15), changes.next()).await.is_ok()
}

async fn quiet(changes: &Changes) -> bool {
    tokio::time::timeout(Duration::from_millis(400), changes.next()).await.is_err()
}

#[tokio::test]
async fn every_way_to_move_a_ref_gives_a_hint_and_a_record_gives_none() {
    let repo = Repo::new();
    let mut keeper = repo.local();
    let changes = keeper.changes();
    assert_eq!(changes.is_blind(), None);
    assert!(quiet(&changes).await);
    let drain = async || while !quiet(&changes).await {};
    let moves: [(&str, &[&str]); 6] = [
        ("commit", &["commit", "-q", "--allow-empty", "-m", "x"]),
        ("a branch in a new folder", &["branch", "a/b/c"]),
        ("packing", &["pack-refs", "--all", "--prune"]),
        ("another branch", &["checkout", "-q", "a/b/c"]),
        ("a deleted branch", &["branch", "-D", "-q", "main"]),
        ("a tag", &["tag", "v1"]),
    ];
    for (what, args) in moves {
        sh(&repo.path(), args);
        assert!(hinted(&changes).await, "{what}");
        drain().await;
    }
    // Records, objects and looking are no moves.
    sh(&repo.path(), &["update-ref", "refs/ctl/records/shop", "HEAD"]);
    sh(&repo.path(), &["update-ref", "refs/ctl/records/shop", "v1"]);
    repo.blob(b"an object");
    keeper.look().unwrap();
    assert!(quiet(&changes).await);
}

#[tokio::test]
async fn a_burst_of_moves_is_one_hint_and_the_last_one_is_seen() {
    let repo = Repo::new();
    let mut keeper = repo.local();
    let changes = keeper.changes();
    keeper.look().unwrap();
    for i in 0..20 {
        repo.commit(&format!("{i}"));
    }
    let mut looks = 0;
    while hinted(&changes).await {
        looks += 1;
        keeper.look().unwrap();
        if keeper.revision() == Some(&repo.head()) && quiet(&changes).await {
            break;
        }
    }
    assert!(looks <= 2, "{looks}");
    assert_eq!(keeper.look().unwrap(), Look::Same);
}

#[tokio::test]
async fn a_linked_work_tree_hears_of_its_own_head_and_of_the_common_branches() {
    let repo = Repo::new();
    sh(&repo.path(), &["worktree", "add", "-q", "-b", "side", "../linked"]);
    let linked = repo.dir.path().join("linked");
    let mut keeper = repo.keeper(linked.join("deploy").to_str().unwrap(), None);
    let changes = keeper.changes();
    sh(&linked, &["checkout", "-q", "--detach"]);
    assert!(hinted(&changes).await);
    while !quiet(&changes).await {}
    repo.commit("in the other work tree");
    assert!(hinted(&changes).await);
}

#[tokio::test]
async fn refs_that_went_away_and_came_back_are_watched_again() {
    let repo = Repo::new();
    let mut keeper = repo.local();
    let mut changes = keeper.changes();
    let heads = repo.path().join(".git/refs/heads");
    sh(&repo.path(), &["pack-refs", "--all", "--prune"]);
    fs::remove_dir_all(&heads).unwrap();
    fs::create_dir(&heads).unwrap();
    assert!(hinted(&changes).await);
    while !quiet(&changes).await {}
    assert!(changes.renew());
    while !quiet(&changes).await {}
    assert!(!changes.renew());
    sh(&repo.path(), &["branch", "new"]);
    assert!(hinted(&changes).await);
}

#[tokio::test]
async fn where_nothing_can_be_watched_it_is_said_and_no_hint_comes() {
    let repo = Repo::new();
    let nowhere = repo.dir.path().join("nowhere");
    let changes = repo.keeper(nowhere.to_str().unwrap(), None).changes();
    assert!(changes.is_blind().is_some_and(|why| why.contains("does not exist")), "{changes:?}");
    assert!(quiet(&changes).await);
    // A URL has nothing to watch here, and that is no trouble.
    let remote = repo.keeper(&repo.url(), None).changes();
    assert_eq!(remote.is_blind(), None);
    assert!(quiet(&remote).await);
}
