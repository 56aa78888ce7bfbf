//! "Look again": the refs of a local repository, watched.
//!
//! A hint says nothing but that: what it was about is found out by looking. Records live under `refs/ctl`, in the same
//! repository; that folder is not watched, or each applied commit would call for another look.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{CreateKind, EventKind};
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// After a new folder of refs: a branch may have been put into it before anybody watched it.
const AGAIN: Duration = Duration::from_millis(100);

/// Tells when the refs of a repository may have moved.
///
/// Hints coalesce: any number of them that nobody has waited for are one. Anything odd (an error, a queue that ran
/// over) is a hint too. They may fail to come, so the interval is what counts.
pub struct Changes {
    hints: Arc<Hints>,
    watched: Option<Watched>,
    blind: Option<String>,
}

#[derive(Default)]
struct Hints {
    hint: Notify,
    /// A folder came: look once more a little later.
    again: AtomicBool,
    /// A folder that is watched went away.
    lost: AtomicBool,
}

struct Watched {
    git_dir: PathBuf,
    common_dir: PathBuf,
    /// Ends with it.
    _watcher: notify::RecommendedWatcher,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Changes(watching: {}, blind: {:?})", self.watched.is_some(), self.blind)
    }
}

impl Changes {
    /// Nothing to watch: no hint ever comes.
    pub fn none() -> Self {
        Self { hints: Arc::default(), watched: None, blind: None }
    }

    /// There would be something to watch, and it cannot be.
    pub(super) fn blind(why: String) -> Self {
        Self { blind: Some(why), ..Self::none() }
    }

    /// Watches the refs of a repository: `HEAD` of its work tree, and the branches, tags and remote branches in the
    /// git dir that all work trees share.
    pub(super) fn of(git_dir: &Path, common_dir: &Path) -> Self {
        let hints: Arc<Hints> = Arc::default();
        match watch(&hints, git_dir, common_dir) {
            Ok(watcher) => {
                let (git_dir, common_dir) = (git_dir.to_owned(), common_dir.to_owned());
                Self { hints, watched: Some(Watched { git_dir, common_dir, _watcher: watcher }), blind: None }
            }
            Err(error) => Self { hints, watched: None, blind: Some(reason(&error)) },
        }
    }

    /// Why no hint will come although there would be something to watch: say it once, and go by the interval.
    pub fn is_blind(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// Waits for the next hint, for ever where none can come. May be dropped while it waits: no hint is lost by that.
    pub async fn next(&self) {
        if self.hints.again.load(Ordering::Acquire) {
            let first = tokio::time::timeout(AGAIN, self.hints.hint.notified()).await;
            if first.is_err() {
                self.hints.again.store(false, Ordering::Release);
            }
            return;
        }
        self.hints.hint.notified().await;
    }

    /// Watches again what was taken away and came back: to be called now and then; costs nothing when all is well.
    /// True if it did.
    pub fn renew(&mut self) -> bool {
        if !self.hints.lost.load(Ordering::Acquire) {
            return false;
        }
        let Some(watched) = &self.watched else { return false };
        let Ok(watcher) = watch(&self.hints, &watched.git_dir, &watched.common_dir) else { return false };
        let (git_dir, common_dir) = (watched.git_dir.clone(), watched.common_dir.clone());
        self.watched = Some(Watched { git_dir, common_dir, _watcher: watcher });
        self.hints.lost.store(false, Ordering::Release);
        self.hints.hint.notify_one();
        true
    }
}

fn watch(hints: &Arc<Hints>, git_dir: &Path, common_dir: &Path) -> notify::Result<notify::RecommendedWatcher> {
    let roots = Roots::of(git_dir, common_dir);
    let told = Arc::clone(hints);
    let shared = roots.clone();
    let mut watcher = notify::recommended_watcher(move |event| tell(&told, &shared, &event))?;
    for dir in &roots.flat {
        watcher.watch(dir, RecursiveMode::NonRecursive)?;
    }
    for dir in roots.deep.iter().filter(|dir| dir.is_dir()) {
        watcher.watch(dir, RecursiveMode::Recursive)?;
    }
    Ok(watcher)
}

/// What is watched.
#[derive(Clone)]
struct Roots {
    /// Folders whose own files matter: `HEAD`, `packed-refs`.
    flat: Vec<PathBuf>,
    /// Folders of refs.
    deep: Vec<PathBuf>,
}

impl Roots {
    fn of(git_dir: &Path, common_dir: &Path) -> Self {
        let mut flat = vec![common_dir.to_owned(), common_dir.join("refs")];
        if git_dir != common_dir {
            flat.push(git_dir.to_owned());
        }
        let deep = ["refs/heads", "refs/tags", "refs/remotes", "reftable"].map(|name| common_dir.join(name));
        Self { flat, deep: deep.to_vec() }
    }

    /// True if a change of this path may mean that a ref has moved.
    fn concerns(&self, path: &Path) -> bool {
        if self.deep.iter().any(|dir| path.starts_with(dir)) {
            return true;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        matches!(name, "HEAD" | "HEAD.lock" | "packed-refs" | "refs") || self.flat.iter().any(|dir| dir == path)
    }
}

fn tell(hints: &Hints, roots: &Roots, event: &notify::Result<notify::Event>) {
    let Ok(event) = event else { return hints.hint.notify_one() };
    if event.need_rescan() {
        return hints.hint.notify_one();
    }
    // Reading is no change, and our own looking would call for the next look.
    let counts = match event.kind {
        EventKind::Access(_) => false,
        // A lock is made and written before a ref moves, and gone after it.
        EventKind::Create(_) | EventKind::Modify(notify::event::ModifyKind::Data(_)) => {
            !event.paths.iter().all(|path| path.extension().is_some_and(|end| end == "lock"))
        }
        EventKind::Any | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    };
    if !counts || !event.paths.iter().any(|path| roots.concerns(path)) {
        return;
    }
    let gone = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(notify::event::ModifyKind::Name(_)));
    if gone && event.paths.iter().any(|path| roots.flat.contains(path) || roots.deep.contains(path)) {
        hints.lost.store(true, Ordering::Release);
    }
    let came = matches!(event.kind, EventKind::Create(CreateKind::Folder));
    if came {
        hints.again.store(true, Ordering::Release);
        if event.paths.iter().any(|path| roots.deep.contains(path)) {
            hints.lost.store(true, Ordering::Release);
        }
    }
    hints.hint.notify_one();
}

fn reason(error: &notify::Error) -> String {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the machine allows no more inotify watches (fs.inotify.max_user_watches)".to_owned()
        }
        _ => format!("the refs cannot be watched: {error}"),
    }
}
