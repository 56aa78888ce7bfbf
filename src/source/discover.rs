//! Where a repository is on disk, as git would find it.

use std::fs;
use std::path::{Path, PathBuf};

use git2::Repository;

use super::SourceError;

/// Where a repository is on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The git dir of this work tree: its HEAD is the one that counts.
    pub(super) git_dir: PathBuf,
    /// The git dir that all work trees share: objects and refs. A real path.
    pub(super) common_dir: PathBuf,
    /// The work tree's root; none for a bare repository.
    pub(super) top: Option<PathBuf>,
    /// The path inside the repository that was named, from its root, with forward slashes.
    pub(super) folder: String,
}

/// Finds the repository around `path`, upward, as git does it.
pub(super) fn discover(typed: &str) -> Result<Place, SourceError> {
    let path = fs::canonicalize(typed).map_err(|_| SourceError::NoSuchPath { path: typed.to_owned() })?;
    // Whoever names one manifest means that one, and would get all of them.
    if path.is_file() && path.file_name().is_some_and(|name| name != "ctl.yaml" && name != ".git") {
        return Err(SourceError::OneFile { path: typed.to_owned() });
    }
    let start = if path.is_file() { path.parent().unwrap_or(&path) } else { &path };
    for top in start.ancestors() {
        let dot = top.join(".git");
        let git_dir = if dot.is_dir() && is_git_dir(&dot) {
            Some(dot)
        } else if dot.is_file() {
            linked(top, &dot)
        } else {
            None
        };
        if let Some(git_dir) = git_dir {
            let inside = start.strip_prefix(top).unwrap_or(Path::new(""));
            return place(&git_dir, Some(top.to_owned()), slashes(inside));
        }
        if is_git_dir(top) {
            // A bare repository; or the inside of a `.git`, whose work tree is not meant then.
            return place(top, None, String::new());
        }
    }
    Err(SourceError::NoRepository { path: typed.to_owned() })
}

/// What a bare repository at a known path is.
pub(super) fn place(git_dir: &Path, top: Option<PathBuf>, folder: String) -> Result<Place, SourceError> {
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|e| SourceError::Io { path: path.display().to_string(), why: e.to_string() })
    };
    let git_dir = real(git_dir)?;
    let common_dir = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => real(&git_dir.join(text.trim_end_matches(['\n', '\r'])))?,
        Err(_) => git_dir.clone(),
    };
    Ok(Place { git_dir, common_dir, top, folder })
}

/// The git dir that a `.git` file names: a linked work tree's or a submodule's.
fn linked(top: &Path, dot: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(dot).ok()?;
    let target = text.strip_prefix("gitdir:")?.trim();
    let target = top.join(target);
    target.join("HEAD").exists().then_some(target)
}

fn is_git_dir(dir: &Path) -> bool {
    // HEAD may be a symbolic link to a ref that is not born yet.
    let head = fs::symlink_metadata(dir.join("HEAD")).is_ok();
    head && (dir.join("commondir").exists() || (dir.join("objects").is_dir() && dir.join("refs").exists()))
}

fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// Opens the repository's objects, whoever owns them: the user has named this repository.
pub(super) fn open(place: &Place) -> Result<Repository, SourceError> {
    // Objects are named by their hash already; hashing each again would be the larger half of a cold start.
    git2::opts::strict_hash_verification(false);
    Repository::open_bare(&place.common_dir).map_err(|error| {
        let config = fs::read_to_string(place.common_dir.join("config")).unwrap_or_default().to_ascii_lowercase();
        let says = |word: &str| config.lines().any(|l| l.split_whitespace().collect::<String>().starts_with(word));
        let (why, help) = if says("objectformat=sha256") {
            ("it uses SHA-256 object names", "use a clone in the SHA-1 format, which is git's default")
        } else if says("refstorage=reftable") {
            ("it keeps its refs as reftable", "run `git refs migrate --ref-format=files`, or use a fresh clone")
        } else if says("partialclone=") {
            ("it is a partial clone", "use a full clone, or a shallow one: `git clone --depth 1`")
        } else {
            (error.message(), "see whether `git status` works there; a fresh clone may do")
        };
        SourceError::Unsupported {
            path: place.common_dir.display().to_string(),
            why: why.to_owned(),
            help: help.to_owned(),
        }
    })
}
