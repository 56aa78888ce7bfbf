//! One snapshot after another, each at the price of what changed since the one before.
//!
//! What a file wants depends on the file, `ctl.yaml` and the descriptions alone, so it is kept. What depends on all
//! files together (duplicates, references, cycles) is looked into only around what changed, and only to find that
//! nothing is wrong there. At the least doubt the whole set is assembled as it is the first time: what is told about a
//! set, and what comes of it, does not depend on how it was come by.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::document::{ParsedFile, attach};
use super::made::{Made, MadeDocument, make};
use super::resource::Context;
use super::set::{Assembly, Set, SetFile, Whole, in_order, over, snapshot};
use crate::model::{
    Complete, Diagnostic, Kind, KindTable, Limits, Project, ResourceId, Revision, Snapshot, SourceFile, TargetName,
    TreeEntry, on_all_cores,
};

/// Everything that the next snapshot is made of. Files are named, and were given to [`Incremental::learn`] unless they
/// are [known](Incremental::unknown).
pub struct NextSet<'a> {
    /// The project.
    pub project: &'a Project,
    /// The commit.
    pub revision: Revision,
    /// What the API of each target knows.
    pub kinds: &'a BTreeMap<TargetName, Arc<KindTable>>,
    /// Every manifest file, sorted by path, each path once.
    pub entries: &'a [&'a TreeEntry],
    /// The text of a file, asked for only where a line is to be shown.
    pub texts: &'a dyn Fn(&TreeEntry) -> Option<Arc<SourceFile>>,
    /// Manifest folders that the commit does not have.
    pub missing_folders: Vec<String>,
    /// How much all of it may be.
    pub limits: &'a Limits,
}

/// What is kept from one snapshot to the next.
#[derive(Default)]
pub struct Incremental {
    /// The set that is in force.
    force: State,
    /// The last one that came out well, until it is [committed](Incremental::commit).
    next: Option<State>,
    /// The files of the last attempt, however it came out.
    tried: (Option<Surroundings>, Vec<Arc<Kept>>),
    /// Files that were parsed and are not in force, by path and blob.
    aside: HashMap<(String, String), Arc<ParsedFile>>,
}

/// What a file is read against.
#[derive(Clone, PartialEq, Debug)]
struct Surroundings {
    project: Project,
    kinds: BTreeMap<TargetName, Arc<KindTable>>,
}

/// One version of a file, and what it wants.
struct Kept {
    entry: TreeEntry,
    parsed: Arc<ParsedFile>,
    documents: Vec<MadeDocument>,
    text: OnceLock<Option<Arc<SourceFile>>>,
}

/// A set that came out well.
#[derive(Default)]
struct State {
    surroundings: Option<Surroundings>,
    /// Sorted by path.
    files: Vec<Arc<Kept>>,
    /// Sorted by id, each once.
    made: Vec<Arc<Made>>,
    /// How many resources of each kind there are.
    kinds: BTreeMap<(TargetName, Kind), usize>,
    /// How many say what they depend on.
    dependents: usize,
    /// Some document wants nothing: then references are not looked into.
    partial: bool,
}

impl Kept {
    /// True if nothing is wrong with the file by itself.
    fn is_sound(&self) -> bool {
        let sound = |(document, made): (&super::ParsedDocument, &MadeDocument)| {
            !document.faulty && made.troubles.is_empty() && !made.wants.is_empty()
        };
        !self.parsed.broken
            && !self.parsed.diagnostics.iter().any(Diagnostic::is_error)
            && self.parsed.documents.iter().zip(&self.documents).all(sound)
    }

    fn wants(&self) -> impl Iterator<Item = &Arc<Made>> {
        self.documents.iter().flat_map(|document| &document.wants)
    }

    fn is(&self, entry: &TreeEntry) -> bool {
        self.entry.path == entry.path && self.entry.blob == entry.blob
    }
}

impl Incremental {
    /// Those of `entries` (sorted by path) whose content was never learned: they are to be read and parsed.
    pub fn unknown<'e>(&self, entries: &[&'e TreeEntry]) -> Vec<&'e TreeEntry> {
        let mut force = Cursor::new(&self.force.files);
        let mut tried = Cursor::new(&self.tried.1);
        let mut known = |entry: &TreeEntry| {
            force.find(entry).is_some()
                || tried.find(entry).is_some()
                || (!self.aside.is_empty() && self.aside.contains_key(&(entry.path.clone(), entry.blob.clone())))
        };
        entries.iter().filter(|entry| !known(entry)).copied().collect()
    }

    /// Takes a version of a file that was parsed.
    pub fn learn(&mut self, entry: &TreeEntry, parsed: ParsedFile) {
        self.aside.insert((entry.path.clone(), entry.blob.clone()), Arc::new(parsed));
    }

    /// The version of a file that is in force, if the file is.
    pub fn in_force(&self, path: &str) -> Option<&TreeEntry> {
        let at = self.force.files.binary_search_by(|kept| kept.entry.path.as_str().cmp(path)).ok()?;
        Some(&self.force.files[at].entry)
    }

    /// How many files are in force.
    pub fn len(&self) -> usize {
        self.force.files.len()
    }

    /// How many versions are kept that are not in force.
    pub fn aside(&self) -> usize {
        self.aside.len()
    }

    /// True if nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.force.files.is_empty()
    }

    /// Makes the snapshot of a set, or gives every problem of it: exactly what [`assemble`](super::assemble) would.
    /// What is in force stays in force until [`commit`](Self::commit).
    pub fn assemble(&mut self, input: Complete<NextSet<'_>>) -> Result<Complete<Snapshot>, Vec<Diagnostic>> {
        input.try_map(|input| self.next(input))
    }

    /// Puts the snapshot that was assembled last into force, if it came out well.
    pub fn commit(&mut self) {
        if let Some(next) = self.next.take() {
            self.force = next;
        }
    }

    /// Forgets what is not in force, but for the versions (path and blob) for which `still` holds. To be called after
    /// each load: what is learned is kept until then.
    pub fn forget(&mut self, still: impl Fn(&str, &str) -> bool) {
        self.next = None;
        for kept in self.tried.1.drain(..).filter(|kept| still(&kept.entry.path, &kept.entry.blob)) {
            self.aside.insert((kept.entry.path.clone(), kept.entry.blob.clone()), Arc::clone(&kept.parsed));
        }
        self.tried.0 = None;
        self.aside.retain(|(path, blob), _| still(path, blob));
    }

    fn next(&mut self, input: NextSet<'_>) -> Result<Snapshot, Vec<Diagnostic>> {
        self.next = None;
        let surroundings = Surroundings { project: input.project.clone(), kinds: input.kinds.clone() };
        let files = self.files(&surroundings, input.entries);
        let texts = |i: usize| {
            let kept: &Arc<Kept> = files.get(i)?;
            kept.text.get_or_init(|| (input.texts)(&kept.entry)).clone()
        };
        let set = Set {
            project: input.project,
            revision: input.revision,
            files: files.iter().map(|kept| set_file(kept)).collect(),
            texts: &texts,
            missing_folders: input.missing_folders,
            limits: input.limits,
        };
        let quick = self.force.followed_by(&surroundings, &files, input.limits);
        let done = match quick {
            Some(mut state) => {
                let mut told = Vec::new();
                for (i, kept) in files.iter().enumerate().filter(|(_, kept)| !kept.parsed.diagnostics.is_empty()) {
                    let found = kept.parsed.diagnostics.clone();
                    told.extend(match texts(i) {
                        Some(source) => attach(found, &source),
                        None => found,
                    });
                }
                in_order(&mut told);
                let snapshot = snapshot(&set, &state.made, told);
                state.files = files.clone();
                Ok((snapshot, state))
            }
            None => Assembly::new(&set).run().map(|Whole { snapshot, made, partial }| {
                let mut state = State { files: files.clone(), partial, ..State::default() };
                for one in &made {
                    state.count(one);
                }
                state.made = made;
                (snapshot, state)
            }),
        };
        drop(set);
        self.tried = (Some(surroundings.clone()), files);
        let (snapshot, state) = done?;
        self.next = Some(State { surroundings: Some(surroundings), ..state });
        Ok(snapshot)
    }

    /// What each file wants, from what is kept where that still holds.
    fn files(&self, surroundings: &Surroundings, entries: &[&TreeEntry]) -> Vec<Arc<Kept>> {
        let is_same = |other: &Option<Surroundings>| other.as_ref() == Some(surroundings);
        let (force_holds, tried_holds) = (is_same(&self.force.surroundings), is_same(&self.tried.0));
        let mut force = Cursor::new(&self.force.files);
        let mut tried = Cursor::new(&self.tried.1);
        let mut made: Vec<(usize, Arc<ParsedFile>)> = Vec::new();
        let mut files: Vec<Option<Arc<Kept>>> = Vec::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            let (in_force, was_tried) = (force.find(entry), tried.find(entry));
            let kept = in_force.filter(|_| force_holds).or(was_tried.filter(|_| tried_holds));
            files.push(kept.map(Arc::clone));
            if kept.is_none() {
                let parsed = in_force.or(was_tried).map(|kept| Arc::clone(&kept.parsed));
                let parsed = parsed.or_else(|| self.aside.get(&(entry.path.clone(), entry.blob.clone())).cloned());
                // What was never read is no empty file: it is one that could not be read.
                let unread = || Arc::new(ParsedFile { broken: true, ..ParsedFile::default() });
                made.push((i, parsed.unwrap_or_else(unread)));
            }
        }
        let context = Context { project: &surroundings.project, kinds: &surroundings.kinds };
        let new = on_all_cores(&made, |(i, parsed)| {
            let entry = entries[*i].clone();
            let documents = make(&context, &entry, parsed);
            Arc::new(Kept { entry, parsed: Arc::clone(parsed), documents, text: OnceLock::new() })
        });
        for ((i, _), kept) in made.iter().zip(new) {
            files[*i] = Some(kept);
        }
        files.into_iter().flatten().collect()
    }
}

fn set_file(kept: &Kept) -> SetFile<'_> {
    SetFile { entry: &kept.entry, parsed: &kept.parsed, documents: &kept.documents }
}

/// Goes through a list sorted by path beside another one.
struct Cursor<'a> {
    rest: &'a [Arc<Kept>],
}

impl<'a> Cursor<'a> {
    fn new(files: &'a [Arc<Kept>]) -> Self {
        Self { rest: files }
    }

    /// This very version, if the list has it. To be asked in the order of paths.
    fn find(&mut self, entry: &TreeEntry) -> Option<&'a Arc<Kept>> {
        while let Some((first, rest)) = self.rest.split_first() {
            match first.entry.path.cmp(&entry.path) {
                std::cmp::Ordering::Less => self.rest = rest,
                std::cmp::Ordering::Equal => return Some(first).filter(|kept| kept.is(entry)),
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
    }
}

impl State {
    fn count(&mut self, made: &Made) {
        let id = &made.desired.id;
        *self.kinds.entry((id.target.clone(), id.kind.clone())).or_default() += 1;
        self.dependents += usize::from(!made.desired.meta.depends_on.is_empty());
    }

    fn find(&self, id: &ResourceId) -> Result<usize, usize> {
        self.made.binary_search_by(|made| made.desired.id.cmp(id))
    }

    /// The state after this one, without its files, if a look around what changed shows that nothing is wrong. None
    /// says nothing but that the whole has to be looked at.
    fn followed_by(&self, surroundings: &Surroundings, files: &[Arc<Kept>], limits: &Limits) -> Option<Self> {
        if self.surroundings.as_ref() != Some(surroundings) || self.partial {
            return None;
        }
        if over(limits, files.iter().map(|kept| &*kept.parsed)).is_some() {
            return None;
        }
        let (gone, came) = changes(&self.files, files);
        if !came.iter().all(|kept| kept.is_sound()) {
            return None;
        }
        let mut came: Vec<&Arc<Made>> = came.iter().flat_map(|kept| kept.wants()).collect();
        came.sort_by(|a, b| a.desired.id.cmp(&b.desired.id));
        if came.windows(2).any(|pair| pair[0].desired.id == pair[1].desired.id) {
            return None;
        }
        let mut next =
            Self { kinds: self.kinds.clone(), dependents: self.dependents, made: Vec::new(), ..Self::default() };
        let mut left = BTreeSet::new();
        for made in gone.iter().flat_map(|kept| kept.wants()) {
            let id = &made.desired.id;
            left.insert(self.find(id).ok()?);
            *next.kinds.get_mut(&(id.target.clone(), id.kind.clone()))? -= 1;
            next.dependents -= usize::from(!made.desired.meta.depends_on.is_empty());
        }
        for made in &came {
            next.count(made);
        }
        // Whether a parent is looked for depends on whether its kind is managed at all.
        if !next.kinds.keys().eq(self.kinds.keys()) || next.kinds.values().any(|count| *count == 0) {
            return None;
        }
        let replaced = self.merge(&came, &left, &mut next.made)?;
        let lost: BTreeSet<&ResourceId> =
            left.iter().filter(|i| !replaced.contains_key(i)).map(|i| &self.made[*i].desired.id).collect();
        if next.dependents > 0 {
            // Globs may name whatever came or went.
            let same = |(i, made): (&usize, &&Arc<Made>)| {
                self.made[*i].desired.meta.depends_on == made.desired.meta.depends_on
                    && required(&self.made[*i]).eq(required(made))
            };
            if !lost.is_empty() || replaced.len() != came.len() || !replaced.iter().all(same) {
                return None;
            }
        }
        next.refers_well(&came, &lost).then_some(next)
    }

    /// Everything that is here and has not `left`, and what `came`, sorted. Gives what took the place of what; none if
    /// something came that is here already.
    fn merge<'m>(
        &self,
        came: &[&'m Arc<Made>],
        left: &BTreeSet<usize>,
        into: &mut Vec<Arc<Made>>,
    ) -> Option<BTreeMap<usize, &'m Arc<Made>>> {
        // Where something ends or begins: what comes there, and how many of the old ones are skipped.
        let mut replaced = BTreeMap::new();
        let mut cuts: BTreeMap<usize, (Vec<&Arc<Made>>, bool)> = BTreeMap::new();
        for i in left {
            cuts.entry(*i).or_default().1 = true;
        }
        for made in came {
            let at = match self.find(&made.desired.id) {
                Ok(at) if left.contains(&at) => {
                    replaced.insert(at, *made);
                    at
                }
                Ok(_) => return None,
                Err(at) => at,
            };
            cuts.entry(at).or_default().0.push(made);
        }
        into.reserve(self.made.len() + came.len());
        let mut from = 0;
        for (at, (new, skipped)) in cuts {
            into.extend_from_slice(&self.made[from..at]);
            into.extend(new.into_iter().map(Arc::clone));
            from = at + usize::from(skipped);
        }
        into.extend_from_slice(&self.made[from..]);
        Some(replaced)
    }

    /// True if what came refers to what is there, nothing refers to what is lost, and nothing that came is part of a
    /// cycle: there was none before, so each new one leads through it.
    fn refers_well(&self, came: &[&Arc<Made>], lost: &BTreeSet<&ResourceId>) -> bool {
        let declared = |made: &Made| {
            made.references.iter().filter(|r| !r.ignored).all(|r| {
                let managed = || self.kinds.contains_key(&(r.to.target.clone(), r.to.kind.clone()));
                self.find(&r.to).is_ok() || (r.parent && !managed())
            })
        };
        if !came.iter().all(|made| declared(made)) {
            return false;
        }
        let needs_lost = |made: &Arc<Made>| made.references.iter().any(|r| !r.ignored && lost.contains(&r.to));
        if !lost.is_empty() && self.made.iter().any(needs_lost) {
            return false;
        }
        // With dependencies around, what came requires what it required before: no cycle can be new.
        self.dependents > 0 || !self.leads_back(came)
    }

    /// True if a way along required references leads from one of these back to itself.
    fn leads_back(&self, came: &[&Arc<Made>]) -> bool {
        let targets = |i: usize| -> Vec<usize> {
            let found = self.made.get(i).into_iter().flat_map(|made| required(made));
            found.filter_map(|id| self.find(id).ok()).filter(|j| *j != i).collect()
        };
        let mut done: HashSet<usize> = HashSet::new();
        for start in came.iter().filter_map(|made| self.find(&made.desired.id).ok()) {
            let mut on_way: HashSet<usize> = HashSet::new();
            // Each step: a resource, and where it leads that was not gone yet.
            let mut way: Vec<(usize, Vec<usize>)> = Vec::new();
            if done.insert(start) {
                on_way.insert(start);
                way.push((start, targets(start)));
            }
            while let Some((here, ahead)) = way.last_mut() {
                match ahead.pop() {
                    Some(to) if on_way.contains(&to) => return true,
                    Some(to) if done.insert(to) => {
                        on_way.insert(to);
                        way.push((to, targets(to)));
                    }
                    Some(_) => {}
                    None => {
                        on_way.remove(here);
                        way.pop();
                    }
                }
            }
        }
        false
    }
}

/// What must be there for a resource to be, other than by `dependsOn`.
fn required(made: &Made) -> impl Iterator<Item = &ResourceId> {
    made.references.iter().filter(|reference| !reference.optional).map(|reference| &reference.to)
}

/// The files of the first list that the second has not, and the other way round; both are sorted by path.
fn changes<'f>(old: &'f [Arc<Kept>], new: &'f [Arc<Kept>]) -> (Vec<&'f Arc<Kept>>, Vec<&'f Arc<Kept>>) {
    let (mut gone, mut came) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if Arc::ptr_eq(a, b) {
            (i, j) = (i + 1, j + 1);
        } else if a.entry.path <= b.entry.path {
            gone.push(a);
            i += 1;
        } else {
            came.push(b);
            j += 1;
        }
    }
    gone.extend(&old[i..]);
    came.extend(&new[j..]);
    (gone, came)
}
