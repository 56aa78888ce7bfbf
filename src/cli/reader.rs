//! One commit after another into the desired state, for a process that goes on for months.
//!
//! What did not change is not read, parsed or looked at again. And one bad file does not stop the others: it is put
//! aside, named, and what it said last stays in force until a commit mends it. Whatever is more than one bad file (the
//! project file, a description, no manifest left) leaves the whole state as it was.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::load::{self, Loaded, Opened, invalid};
use super::{Exit, Stop};
use crate::manifest::{self, Incremental, NextSet, PROJECT_FILE, ParsedFile};
use crate::model::{Complete, Desired, Diagnostic, FileMode, Quarantined, Snapshot, SourceFile, Span, Tree, TreeEntry};
use crate::source::{Good, Source, SourceError};

/// How many times a set is assembled before it counts as unreadable: each time at least one more file is put aside.
const ROUNDS: usize = 32;

/// Reads the commits of one source, one after another.
#[derive(Default)]
pub(super) struct Reader {
    known: Incremental,
    opened: Option<(Texts, Opened)>,
    tree: Option<Arc<Complete<Tree>>>,
    /// What was found to fit its API, sorted by id.
    fit: Vec<Arc<Desired>>,
}

/// Paths and blobs of the project file and of the descriptions; no blob where there is no file.
#[derive(PartialEq)]
struct Texts(BTreeMap<String, Option<String>>);

/// What a commit wants, as far as it can be told.
pub(super) struct Lenient {
    /// The desired state, without the files that were put aside, or with what they said last.
    pub snapshot: Complete<Snapshot>,
    /// The files that were put aside.
    pub quarantined: Vec<Quarantined>,
    /// The version (a blob) that is in force instead of the commit's, for each of these files (by path); none for one
    /// that is left out. To be written down with the last good state.
    pub kept: BTreeMap<String, Option<String>>,
    /// Why nothing may be deleted in this project, if so: what a file says that cannot be read is not known.
    pub deletes_held: Option<String>,
    /// How many blobs had to be read.
    pub blobs: usize,
}

/// A file that was put aside.
struct Aside {
    /// What is wrong with it.
    why: Diagnostic,
    /// What it said last.
    kept: Option<TreeEntry>,
}

impl Reader {
    /// Reads the project file and the descriptions of a commit.
    pub(super) fn open(&mut self, source: Arc<Source>) -> Result<Loaded, Stop> {
        let tree = source.tree_after(self.tree.as_ref().map(|tree| &***tree)).map_err(|e| load::stop(&e))?;
        if let Some(last) = self.tree.as_ref().filter(|last| last.folder != tree.folder) {
            // The folder above has a project too, and that is another one.
            let (commit, folder) = (source.revision().short().to_owned(), last.folder.clone());
            return Err(load::stop(&SourceError::NoProject { commit, folder, uncommitted: false }));
        }
        let tree = Arc::new(tree);
        let texts = self.texts(&source, &tree)?;
        let loaded = match &self.opened {
            Some((known, opened)) if Some(known) == texts.as_ref() => load::read_as(source, Arc::clone(&tree), opened),
            _ => {
                let loaded = load::read_at(Arc::clone(&source), Arc::clone(&tree))?;
                self.opened = texts_of(&source, &tree, &loaded)?.map(|texts| (texts, loaded.opened()));
                loaded
            }
        };
        self.tree = Some(tree);
        Ok(loaded)
    }

    /// Reads the manifests of a commit that was [opened](Self::open), with whatever the caller changed in its project
    /// since. `good` is the last good state of an earlier process, for what its files said. `may_be_empty` lets a commit
    /// through that wants nothing where the one before wanted something.
    ///
    /// An error means that the state before stays in force.
    pub(super) fn read(&mut self, loaded: &Loaded, good: Option<&Good>, may_be_empty: bool) -> Result<Lenient, Stop> {
        let mut sorting = Sorting { loaded, good, aside: BTreeMap::new(), first: None, blobs: 0 };
        let read = self.rounds(&mut sorting);
        let tree = loaded.tree();
        let (aside, blobs) = (sorting.aside, sorting.blobs);
        let snapshot = match read {
            Ok(snapshot) => snapshot,
            Err(stop) => {
                self.known.forget(|path, blob| entry(tree, path).is_some_and(|e| e.blob == blob));
                return Err(stop);
            }
        };
        let wanted = !self.fit.is_empty() || good.is_some_and(|good| good.resources() > 0);
        if snapshot.desired.is_empty() && wanted && !may_be_empty {
            self.known.forget(|path, blob| entry(tree, path).is_some_and(|e| e.blob == blob));
            return Err(emptied(loaded));
        }
        self.known.commit();
        self.known.forget(|path, blob| aside.contains_key(path) && entry(tree, path).is_some_and(|e| e.blob == blob));
        self.fit.clone_from(&snapshot.desired);
        let kept = aside.iter().map(|(path, aside)| (path.clone(), aside.kept.as_ref().map(|e| e.blob.clone())));
        let kept: BTreeMap<String, Option<String>> = kept.collect();
        let quarantined = aside.iter().map(|(path, aside)| told(path, aside)).collect();
        Ok(Lenient { snapshot, quarantined, deletes_held: held(&aside), kept, blobs })
    }

    /// Assembles, puts aside what is named as bad, and assembles again, until what is left is good.
    fn rounds(&mut self, sorting: &mut Sorting<'_>) -> Result<Complete<Snapshot>, Stop> {
        for _ in 0..ROUNDS {
            let view = sorting.view();
            match self.round(sorting, &view)? {
                Ok(snapshot) => {
                    if snapshot.desired.is_empty() && !sorting.aside.is_empty() {
                        break;
                    }
                    return Ok(snapshot);
                }
                Err(diagnostics) => {
                    let named = sorting.put_aside(&self.known, &view, &diagnostics);
                    sorting.first.get_or_insert(diagnostics);
                    if !named {
                        break;
                    }
                }
            }
        }
        // The first round is about what was committed, and says it all.
        Err(invalid(sorting.first.take().unwrap_or_default()))
    }

    fn round(
        &mut self,
        sorting: &mut Sorting<'_>,
        view: &Complete<Cow<'_, Tree>>,
    ) -> Result<Result<Complete<Snapshot>, Vec<Diagnostic>>, Stop> {
        let loaded = sorting.loaded;
        let entries = match manifest::manifest_entries(&loaded.project, view, true, loaded.limits()) {
            Ok(entries) => entries,
            Err(diagnostics) => return Ok(Err(diagnostics)),
        };
        let unknown = self.known.unknown(&entries.files);
        match sorting.read(&unknown)? {
            Ok(parsed) => unknown.iter().zip(parsed).for_each(|(entry, parsed)| self.known.learn(entry, parsed)),
            Err(diagnostic) => return Ok(Err(vec![diagnostic])),
        }
        let tables = loaded.tables();
        let texts = |entry: &TreeEntry| sorting.text(entry);
        let input = Complete::as_ref(view).map(|_| NextSet {
            project: &loaded.project,
            revision: loaded.revision.clone(),
            kinds: &tables,
            entries: &entries.files,
            texts: &texts,
            missing_folders: entries.missing_folders.clone(),
            limits: loaded.limits(),
        });
        let snapshot = match self.known.assemble(input) {
            Ok(snapshot) => snapshot,
            Err(diagnostics) => return Ok(Err(diagnostics)),
        };
        let unfit = loaded.unfit(new(&self.fit, &snapshot.desired));
        if !unfit.is_empty() {
            return Ok(Err(unfit));
        }
        Ok(Ok(snapshot.map(|mut snapshot| {
            snapshot.diagnostics.extend(entries.diagnostics.iter().cloned());
            snapshot
        })))
    }

    /// Where the project file and the descriptions stand that the last commit used; none if there was no last one.
    fn texts(&self, source: &Source, tree: &Tree) -> Result<Option<Texts>, Stop> {
        match &self.opened {
            Some((known, _)) => blobs(source, tree, known.0.keys()).map(Some),
            None => Ok(None),
        }
    }
}

/// The files that decide what `loaded` is: also those that are not there, and would count if they were.
fn texts_of(source: &Source, tree: &Tree, loaded: &Loaded) -> Result<Option<Texts>, Stop> {
    let folder = source.folder();
    let mut paths = BTreeSet::from([joined(folder, PROJECT_FILE)]);
    for target in loaded.project.targets.values() {
        let name = format!("apis/{}.yaml", target.api);
        paths.extend([joined(folder, &name), name]);
    }
    blobs(source, tree, paths.iter()).map(Some)
}

fn blobs<'p>(source: &Source, tree: &Tree, paths: impl Iterator<Item = &'p String>) -> Result<Texts, Stop> {
    let folder = source.folder();
    let inside = |path: &str| folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let blob = |path: &String| {
        let blob = if inside(path) {
            entry(tree, path).filter(|e| e.mode == FileMode::File).map(|e| e.blob.clone())
        } else {
            source.blob_at(source.revision(), path).map_err(|e| load::stop(&e))?
        };
        Ok((path.clone(), blob))
    };
    paths.map(blob).collect::<Result<_, Stop>>().map(Texts)
}

/// One attempt to tell good files from bad ones.
struct Sorting<'a> {
    loaded: &'a Loaded,
    good: Option<&'a Good>,
    /// By path.
    aside: BTreeMap<String, Aside>,
    /// What the first round said.
    first: Option<Vec<Diagnostic>>,
    blobs: usize,
}

impl<'a> Sorting<'a> {
    /// The commit's tree, with what was put aside left out, or as it was last.
    fn view(&self) -> Complete<Cow<'a, Tree>> {
        let tree = self.loaded.tree();
        Complete::as_ref(tree).map(|tree| {
            if self.aside.is_empty() {
                return Cow::Borrowed(tree);
            }
            let as_kept = |entry: &TreeEntry| match self.aside.get(&entry.path) {
                Some(aside) => aside.kept.clone(),
                None => Some(entry.clone()),
            };
            let entries = tree.entries.iter().filter_map(as_kept).collect();
            Cow::Owned(Tree { entries, ..tree.clone() })
        })
    }
    /// Reads and parses files of the view. A file that cannot be read by itself is told by a diagnostic that names it.
    fn read(&mut self, entries: &[&TreeEntry]) -> Result<Result<Vec<ParsedFile>, Diagnostic>, Stop> {
        let (last, now): (Vec<_>, Vec<_>) = entries.iter().copied().partition(|e| self.aside.contains_key(&e.path));
        let mut bytes = BTreeMap::new();
        match self.loaded.source.read_entries(&now) {
            Ok(read) => {
                self.blobs += read.len();
                bytes.extend(now.iter().map(|e| e.path.as_str()).zip(read));
            }
            Err(error @ SourceError::FileTooLarge { .. }) => {
                let SourceError::FileTooLarge { path, .. } = &error else { return Err(load::stop(&error)) };
                return Ok(Err(error.diagnostic().at(start_of(path), "")));
            }
            Err(error) => return Err(load::stop(&error)),
        }
        for entry in last {
            let kept = self.good.and_then(|good| good.blob(&entry.blob)).map(<[u8]>::to_vec);
            let kept = kept.or_else(|| self.loaded.source.read(&[&entry.blob]).ok()?.pop());
            match kept {
                Some(kept) => drop(bytes.insert(entry.path.as_str(), kept)),
                None => {
                    let gone = Diagnostic::error("source-object-missing", "what it said last is gone");
                    return Ok(Err(gone.at(start_of(&entry.path), "")));
                }
            }
        }
        let files: Vec<(&str, Vec<u8>)> =
            entries.iter().filter_map(|e| Some((e.path.as_str(), bytes.remove(e.path.as_str())?))).collect();
        Ok(manifest::parse_all(&files, self.loaded.limits()).map_err(|problem| self.loaded.at_project(problem)))
    }

    fn text(&self, entry: &TreeEntry) -> Option<Arc<SourceFile>> {
        let kept = || {
            let bytes = self.good?.blob(&entry.blob)?;
            let text = String::from_utf8(bytes.to_vec()).ok()?;
            Some(Arc::new(SourceFile::new(entry.path.as_str(), text)))
        };
        let file = self.loaded.text(&entry.path, &entry.blob).or_else(kept)?;
        Some(self.loaded.shown(&file))
    }

    /// What a file said when the state was last good.
    fn last(&self, known: &Incremental, entry: &TreeEntry) -> Option<TreeEntry> {
        if !known.is_empty() {
            return known.in_force(&entry.path).cloned();
        }
        let blob = self.good?.in_force(&entry.path)?;
        Some(TreeEntry { path: entry.path.clone(), blob, mode: FileMode::File, size: None })
    }

    /// Puts aside the files that the errors name. Where an error names several, those that changed since the state was
    /// last good: the others were good beside each other. False if an error names none, or there is nothing to be done
    /// about one that it names.
    fn put_aside(&mut self, known: &Incremental, view: &Tree, diagnostics: &[Diagnostic]) -> bool {
        let own = joined(&view.folder, PROJECT_FILE);
        let mut bad: BTreeMap<String, (&Diagnostic, TreeEntry)> = BTreeMap::new();
        for error in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
            let named: BTreeSet<&str> = error.labels.iter().map(|label| &*label.span.file).collect();
            let named = named.into_iter().filter(|path| **path != *own).filter_map(|path| entry(view, path));
            let (changed, same): (Vec<_>, Vec<_>) =
                named.partition(|entry| self.last(known, entry).is_none_or(|last| last.blob != entry.blob));
            let chosen = if changed.is_empty() { same } else { changed };
            if chosen.is_empty() {
                return false;
            }
            for entry in chosen {
                bad.entry(entry.path.clone()).or_insert_with(|| (error, entry.clone()));
            }
        }
        for (path, (error, entry)) in bad {
            let last = self.last(known, &entry).filter(|last| last.blob != entry.blob);
            match self.aside.get_mut(&path) {
                // What it said last does no longer do either.
                Some(aside) => aside.kept = None,
                None => drop(self.aside.insert(path, Aside { why: error.clone(), kept: last })),
            }
        }
        true
    }
}

/// Those of a list that are not in the list before, by what they are and not by what they say; both are sorted by id.
fn new<'d>(before: &'d [Arc<Desired>], now: &'d [Arc<Desired>]) -> impl Iterator<Item = &'d Arc<Desired>> {
    let mut before = before.iter().peekable();
    now.iter().filter(move |desired| {
        while before.next_if(|old| !Arc::ptr_eq(old, desired) && old.id < desired.id).is_some() {}
        before.next_if(|old| Arc::ptr_eq(old, desired)).is_none()
    })
}

fn entry<'t>(tree: &'t Tree, path: &str) -> Option<&'t TreeEntry> {
    let at = tree.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
    tree.entries.get(at)
}

fn start_of(path: &str) -> Span {
    Span { file: path.into(), line: 1, column: 1, offset: 0, len: 0 }
}

fn told(path: &str, aside: &Aside) -> Quarantined {
    let Diagnostic { code, message, help, labels, .. } = &aside.why;
    let place = labels.iter().find(|label| *label.span.file == *path);
    Quarantined {
        place: place.map_or_else(|| path.to_owned(), |label| label.span.to_string()),
        code: (*code).to_owned(),
        message: message.clone(),
        help: help.clone(),
        kept: aside.kept.is_some(),
    }
}

fn held(aside: &BTreeMap<String, Aside>) -> Option<String> {
    let first = aside.keys().next()?;
    let named = match aside.len() {
        1 => first.clone(),
        n => format!("{first} and {} more", n - 1),
    };
    Some(format!("{named} cannot be read: what it wants is not known, so nothing is deleted until that is mended"))
}

fn emptied(loaded: &Loaded) -> Stop {
    let message = format!("commit {} wants nothing at all, and the one before it did", loaded.revision.short());
    let help = "if that is meant, stop watching and run `ctl apply`, which asks; else put the manifests back";
    Stop::with(Exit::Invalid, Diagnostic::error("emptied", message).help(help))
}

fn joined(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

#[cfg(test)]
mod tests;
