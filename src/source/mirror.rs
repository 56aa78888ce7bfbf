//! Repositories at URLs: fetched into a private mirror.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Repository;

use super::SourceError;
use super::discover::{Place, place};
use crate::model::{Digest, Limits};
use crate::net::{Git, GitCall, RemoteRule, check_remote_url, without_credentials, words};

/// `URL[//folder][?ref=main]`, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RemoteSource {
    pub(super) url: String,
    pub(super) folder: String,
    pub(super) rev: Option<String>,
}

/// True if the text is meant as a URL and not as a path.
pub(super) fn is_url(text: &str) -> bool {
    if text.contains("://") || text.contains("::") {
        return true;
    }
    let scp = text.split_once(':').is_some_and(|(host, _)| !host.contains('/') && !host.is_empty());
    (scp || text.starts_with('-')) && !Path::new(text).exists()
}

/// Takes a typed URL apart and checks it.
pub(super) fn parse(text: &str) -> Result<RemoteSource, SourceError> {
    let (rest, rev) = match text.rsplit_once("?ref=") {
        Some((rest, rev)) => (rest, Some(rev.to_owned())),
        None => (text, None),
    };
    let after = rest.find("://").map_or(0, |at| at + 3);
    // `file:///path` and `https:///` begin with a slash that parts nothing.
    let body = after + rest[after..].len() - rest[after..].trim_start_matches('/').len();
    let (url, folder) = match rest[body..].find("//") {
        Some(at) => (&rest[..body + at], rest[body + at + 2..].trim_matches('/')),
        None => (rest, ""),
    };
    let rule = RemoteRule { local: true, plain_http: false };
    check_remote_url(url, rule).map_err(|why| SourceError::BadUrl { url: without_credentials(text), why })?;
    Ok(RemoteSource { url: url.to_owned(), folder: folder.to_owned(), rev })
}

/// Where the mirror of a URL is.
pub(super) fn dir_of(url: &str, state_dir: &Path) -> PathBuf {
    state_dir.join("mirrors").join(Digest::of(url.as_bytes()).short(32))
}

/// Makes the mirror if there is none, or if the process that made it died before it was whole.
pub(super) fn prepare(dir: &Path, url: &str) -> Result<(), SourceError> {
    let whole = || Repository::open_bare(dir).is_ok_and(|repo| repo.find_remote("origin").is_ok());
    if dir.join("HEAD").exists() && whole() { Ok(()) } else { create(dir, url) }
}

/// What to fetch for `rev`, and how the mirror calls it then: a ref of ours, which nothing else moves.
pub(super) fn wanted(rev: Option<&str>) -> (String, String) {
    let rev = rev.unwrap_or("HEAD");
    let hex = rev.len() >= 7 && rev.bytes().all(|b| b.is_ascii_hexdigit());
    let named = rev == "HEAD" || git2::Reference::is_valid_name(&format!("refs/heads/{rev}"));
    if hex || !named {
        return ("+refs/heads/*:refs/remotes/origin/*".to_owned(), rev.to_owned());
    }
    let to = format!("refs/ctl/source/{}", Digest::of(rev.as_bytes()).short(16));
    (format!("+{rev}:{to}"), to)
}

/// What is particular about one fetch.
pub(super) struct Fetching<'a> {
    /// How long it may take.
    pub(super) deadline: Duration,
    /// Brings every object again, for a mirror that has lost some.
    pub(super) afresh: bool,
    /// What to do about a lock in the way, before the next try.
    pub(super) unlock: &'a dyn Fn(&str),
}

/// Brings what `rev` names into the private mirror of the URL and says where to find it: the mirror, and a ref in it.
pub(super) fn fetch(
    git: &Git,
    source: &RemoteSource,
    rev: Option<&str>,
    state_dir: &Path,
    limits: &Limits,
) -> Result<(Place, String), SourceError> {
    let fetching = Fetching { deadline: limits.git_fetch, afresh: false, unlock: &|_| {} };
    fetch_with(git, source, rev, state_dir, &fetching)
}

/// The same, with more to say about it.
pub(super) fn fetch_with(
    git: &Git,
    source: &RemoteSource,
    rev: Option<&str>,
    state_dir: &Path,
    fetching: &Fetching<'_>,
) -> Result<(Place, String), SourceError> {
    let dir = dir_of(&source.url, state_dir);
    prepare(&dir, &source.url)?;
    let (spec, found) = wanted(rev);
    let mut args = words(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]);
    if fetching.afresh {
        args.extend(words(["--refetch"]));
    }
    args.extend(words(["--end-of-options", "origin", &spec]));
    let done = git.run_contended(&GitCall::of(&dir, args, fetching.deadline), || (fetching.unlock)(&found));
    done.map_err(|why| {
        if why.complaint().contains("couldn't find remote ref") {
            return match rev.unwrap_or("HEAD") {
                "HEAD" => SourceError::Unborn { branch: "HEAD".to_owned() },
                rev => SourceError::NoRevision { rev: rev.to_owned(), shallow: false },
            };
        }
        SourceError::Fetch { url: without_credentials(&source.url), why }
    })?;
    Ok((place(&dir, None, source.folder.clone())?, found))
}

/// Makes an empty bare repository whose `origin` is the URL.
pub(super) fn create(dir: &Path, url: &str) -> Result<(), SourceError> {
    let io = |why: String| SourceError::Io { path: dir.display().to_string(), why };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| io(e.to_string()))?;
    let repo = Repository::init_bare(dir).map_err(|e| io(e.message().to_owned()))?;
    let mut config = repo.config().map_err(|e| io(e.message().to_owned()))?;
    config.set_str("remote.origin.url", url).map_err(|e| io(e.message().to_owned()))
}
