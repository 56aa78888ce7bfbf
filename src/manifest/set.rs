//! All documents of a revision into one snapshot: duplicates, references, cycles.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::budget::too_large;
use super::document::{self, ParsedFile, attach, places};
use super::fields::start_of;
use super::hint;
use super::made::{Made, MadeDocument, make};
use super::reader::Places;
use super::resource::{Context, Trouble};
use crate::model::{
    Complete, Diagnostic, Digest, FieldPath, Kind, KindTable, Limits, Origin, Own, Project, RecordPlace, ResourceId,
    Revision, Snapshot, SourceFile, Span, TargetName, TreeEntry, Value, glob_matches, on_all_cores,
};

/// Most cycles that are told.
const MAX_CYCLES: usize = 10;

/// Everything that a snapshot is made of.
pub struct SetInput<'a> {
    /// The project.
    pub project: &'a Project,
    /// The commit.
    pub revision: Revision,
    /// What the API of each target knows.
    pub kinds: &'a BTreeMap<TargetName, Arc<KindTable>>,
    /// Every manifest file of the commit, parsed.
    pub files: Vec<(TreeEntry, ParsedFile)>,
    /// The text of a file, asked for only where a line is to be shown.
    pub texts: &'a dyn Fn(&TreeEntry) -> Option<Arc<SourceFile>>,
    /// Manifest folders that the commit does not have.
    pub missing_folders: Vec<String>,
    /// How much all of it may be.
    pub limits: &'a Limits,
}

/// Makes the snapshot of a commit, or gives every problem of all its manifests, sorted by file and line.
///
/// A [`Complete`] snapshot comes from a complete set of files only.
pub fn assemble(input: Complete<SetInput<'_>>) -> Result<Complete<Snapshot>, Vec<Diagnostic>> {
    input.try_map(|input| {
        let context = Context { project: input.project, kinds: input.kinds };
        let made = on_all_cores(&input.files, |(entry, parsed)| make(&context, entry, parsed));
        let files = input.files.iter().zip(&made);
        let files = files.map(|((entry, parsed), documents)| SetFile { entry, parsed, documents }).collect();
        let texts = |file: usize| (input.texts)(&input.files[file].0);
        let (missing_folders, limits) = (input.missing_folders, input.limits);
        let set =
            Set { project: input.project, revision: input.revision, files, texts: &texts, missing_folders, limits };
        Assembly::new(&set).run().map(|whole| whole.snapshot)
    })
}

/// A set of files, each with what its documents want.
pub(super) struct Set<'a> {
    pub(super) project: &'a Project,
    pub(super) revision: Revision,
    pub(super) files: Vec<SetFile<'a>>,
    /// The text of a file, by its place among `files`.
    pub(super) texts: &'a dyn Fn(usize) -> Option<Arc<SourceFile>>,
    pub(super) missing_folders: Vec<String>,
    pub(super) limits: &'a Limits,
}

/// The limit that these files are over together, in words.
pub(super) fn over<'f>(limits: &Limits, files: impl Iterator<Item = &'f ParsedFile>) -> Option<Diagnostic> {
    let (documents, nodes, bytes) = files.fold((0, 0, 0), |(documents, nodes, bytes), file| {
        (documents + file.documents.len(), nodes + file.nodes, bytes + file.bytes)
    });
    too_large(limits, documents, nodes, bytes)
}

/// One file of a set.
pub(super) struct SetFile<'a> {
    pub(super) entry: &'a TreeEntry,
    pub(super) parsed: &'a ParsedFile,
    /// One for each parsed document.
    pub(super) documents: &'a [MadeDocument],
}

/// A snapshot, and what it was made of.
pub(super) struct Whole {
    pub(super) snapshot: Snapshot,
    /// One for each of `snapshot.desired`, in that order.
    pub(super) made: Vec<Arc<Made>>,
    /// Some document wants nothing although nothing is said against it.
    pub(super) partial: bool,
}

/// What a document wants, and the file (by its place) and document that it came from.
struct Placed {
    made: Arc<Made>,
    file: usize,
    document: usize,
}

pub(super) struct Assembly<'a, 'i> {
    input: &'a Set<'i>,
    drafts: Vec<Placed>,
    diagnostics: Vec<Diagnostic>,
    places: HashMap<(usize, usize), Option<Places>>,
    sources: HashMap<usize, Option<Arc<SourceFile>>>,
    /// Something could not be read, so what looks undeclared may be declared there.
    partial: bool,
}

impl<'a, 'i> Assembly<'a, 'i> {
    pub(super) fn new(input: &'a Set<'i>) -> Self {
        Self {
            input,
            drafts: Vec::new(),
            diagnostics: Vec::new(),
            places: HashMap::new(),
            sources: HashMap::new(),
            partial: false,
        }
    }

    pub(super) fn run(mut self) -> Result<Whole, Vec<Diagnostic>> {
        self.read();
        self.drafts.sort_by(|a, b| a.id().cmp(b.id()).then(a.file.cmp(&b.file)).then(a.document.cmp(&b.document)));
        self.duplicates();
        self.references();
        let dependencies = self.dependencies();
        self.cycles(dependencies);
        in_order(&mut self.diagnostics);
        if self.diagnostics.iter().any(Diagnostic::is_error) {
            return Err(self.diagnostics);
        }
        Ok(self.whole())
    }

    fn read(&mut self) {
        let input = self.input;
        if let Some(problem) = over(input.limits, input.files.iter().map(|file| file.parsed)) {
            let place = start_of(&super::entries::join(&input.project.folder, super::PROJECT_FILE));
            self.diagnostics.push(problem.at(place, ""));
            return;
        }
        for (i, SetFile { entry, parsed, documents }) in input.files.iter().enumerate() {
            self.partial |= parsed.broken;
            if !parsed.diagnostics.is_empty() {
                let found = match self.source(i) {
                    Some(source) => attach(parsed.diagnostics.clone(), &source),
                    None => parsed.diagnostics.clone(),
                };
                self.diagnostics.extend(found);
            }
            // Never a document less without a word: what is missing here would look like something to delete.
            let refused = parsed.broken || parsed.documents.iter().any(|d| d.faulty);
            if refused && !parsed.diagnostics.iter().any(Diagnostic::is_error) {
                let place = start_of(&entry.path);
                let message = "the file could not be read to its end";
                self.diagnostics.push(Diagnostic::error("yaml-syntax", message).at(place, ""));
            }
            for (document, made) in parsed.documents.iter().zip(*documents) {
                self.partial |= made.wants.is_empty();
                // What was refused while reading makes second faults: the first one is enough.
                if !document.faulty {
                    for trouble in &made.troubles {
                        self.tell(i, document.index, trouble.clone());
                    }
                }
                let placed =
                    made.wants.iter().map(|made| Placed { made: Arc::clone(made), file: i, document: document.index });
                self.drafts.extend(placed);
            }
        }
    }

    fn source(&mut self, file: usize) -> Option<Arc<SourceFile>> {
        let input = self.input;
        self.sources.entry(file).or_insert_with(|| (input.texts)(file)).clone()
    }

    fn span(&mut self, file: usize, document: usize, path: &FieldPath, key: bool) -> Span {
        let source = self.source(file);
        let found = self.places.entry((file, document)).or_insert_with(|| source.map(|s| places(&s, document)));
        let span = found.as_ref().and_then(|places| {
            let of_key = if key { places.keys.get(path) } else { None };
            of_key.or_else(|| places.values.nearest(path)).cloned()
        });
        span.unwrap_or_else(|| start_of(&self.input.files[file].entry.path))
    }

    fn label(
        &mut self,
        diagnostic: Diagnostic,
        at: (usize, usize),
        path: &FieldPath,
        key: bool,
        text: &str,
    ) -> Diagnostic {
        let span = self.span(at.0, at.1, path, key);
        match self.source(at.0) {
            Some(source) => diagnostic.in_source(&source, span, text),
            None => diagnostic.at(span, text),
        }
    }

    fn tell(&mut self, file: usize, document: usize, trouble: Trouble) {
        let Trouble { code, message, help, path, key } = trouble;
        let mut diagnostic = Diagnostic::error(code, message);
        diagnostic.help = help;
        let diagnostic = self.label(diagnostic, (file, document), &path, key, "");
        self.diagnostics.push(diagnostic);
    }

    /// Where a resource is named: its kind's line is as good as any, and every document has one.
    fn named(&self, index: usize) -> (usize, usize) {
        (self.drafts[index].file, self.drafts[index].document)
    }

    fn duplicates(&mut self) {
        let mut told: BTreeSet<((usize, usize), (usize, usize))> = BTreeSet::new();
        for i in 1..self.drafts.len() {
            if self.drafts[i].id() != self.drafts[i - 1].id() {
                continue;
            }
            let id = self.drafts[i].id().clone();
            let first = (0..i).rev().take_while(|j| *self.drafts[*j].id() == id).last().unwrap_or(i - 1);
            let (here, there) = (self.named(i), self.named(first));
            // One pair of documents is told once, at however many targets it collides.
            if !told.insert((here, there)) {
                continue;
            }
            let mut diagnostic = Diagnostic::error("duplicate-resource", format!("{id} is declared twice"));
            diagnostic = self.label(diagnostic, here, &FieldPath::parse("/kind"), false, "declared again");
            diagnostic = self.label(diagnostic, there, &FieldPath::parse("/kind"), false, "first declared here");
            let help = "remove one, or give it another name (names are compared in their normal form)";
            self.diagnostics.push(diagnostic.help(help));
        }
        self.drafts.dedup_by(|b, a| a.id() == b.id());
    }

    fn find(&self, id: &ResourceId) -> Option<usize> {
        self.drafts.binary_search_by(|d| d.id().cmp(id)).ok()
    }

    fn references(&mut self) {
        if self.partial {
            return;
        }
        let kinds: BTreeSet<(TargetName, Kind)> =
            self.drafts.iter().map(|d| (d.id().target.clone(), d.id().kind.clone())).collect();
        let mut broken = Vec::new();
        for (i, placed) in self.drafts.iter().enumerate() {
            for reference in placed.made.references.iter().filter(|r| !r.ignored && self.find(&r.to).is_none()) {
                // A parent of a kind that the project does not manage is somebody else's, and may well be there.
                let managed = kinds.contains(&(reference.to.target.clone(), reference.to.kind.clone()));
                if !reference.parent || managed {
                    broken.push((i, reference.clone()));
                }
            }
        }
        let mut told: BTreeSet<((usize, usize), FieldPath)> = BTreeSet::new();
        for (i, reference) in broken {
            let at = self.named(i);
            if !told.insert((at, reference.path.clone())) {
                continue;
            }
            let of_kind = |d: &&Placed| d.id().target == reference.to.target && d.id().kind == reference.to.kind;
            let names: Vec<String> = self.drafts.iter().filter(of_kind).map(|d| d.id().local()).collect();
            let local = reference.to.local();
            let help = hint::nearest(&local, names.iter().map(String::as_str)).map_or_else(
                || format!("declare it, or name one that is declared at the target `{}`", reference.to.target),
                |near| format!("did you mean `{near}`?"),
            );
            let what = if reference.parent { "lives in" } else { "refers to" };
            let message = format!("{} {what} {local}, which is not declared", self.drafts[i].id());
            let diagnostic = self.label(Diagnostic::error("broken-reference", message), at, &reference.path, false, "");
            self.diagnostics.push(diagnostic.help(help));
        }
    }

    /// The drafts that each draft's `dependsOn` names; addresses that name nothing are told.
    fn dependencies(&mut self) -> Vec<Vec<(usize, FieldPath)>> {
        let mut edges: Vec<Vec<(usize, FieldPath)>> = vec![Vec::new(); self.drafts.len()];
        if self.drafts.iter().all(|d| d.made.desired.meta.depends_on.is_empty()) {
            return edges;
        }
        let addresses: Vec<String> = self.drafts.iter().map(|d| d.id().local()).collect();
        let by_address: HashMap<(&TargetName, &str), usize> =
            self.drafts.iter().enumerate().map(|(i, d)| ((&d.id().target, addresses[i].as_str()), i)).collect();
        let mut missing = BTreeMap::new();
        for (i, placed) in self.drafts.iter().enumerate() {
            for (n, wanted) in
                placed.made.desired.meta.depends_on.iter().enumerate().filter(|(_, d)| !d.address.is_empty())
            {
                let target = wanted.target.as_ref().unwrap_or(&placed.id().target);
                let path = FieldPath::parse(&format!("/metadata/dependsOn/{n}"));
                let found: Vec<usize> = if wanted.address.contains(['*', '?']) {
                    let fits = |j: &usize| {
                        *j != i
                            && self.drafts[*j].id().target == *target
                            && glob_matches(&wanted.address, &addresses[*j])
                    };
                    (0..self.drafts.len()).filter(fits).collect()
                } else {
                    by_address.get(&(target, wanted.address.as_str())).copied().into_iter().collect()
                };
                if found.is_empty() {
                    let near = addresses.iter().map(String::as_str).filter(|_| wanted.target.is_none());
                    let help = hint::nearest(&wanted.address, near).map(|near| format!("did you mean `{near}`?"));
                    missing.insert((self.named(i), n), (format!("{target}:{}", wanted.address), help));
                }
                edges[i].extend(found.into_iter().map(|j| (j, path.clone())));
            }
        }
        if !self.partial {
            for ((at, n), (address, help)) in missing {
                let path = FieldPath::parse(&format!("/metadata/dependsOn/{n}"));
                let message = format!("`dependsOn` names {address}, which is not declared");
                let mut diagnostic = Diagnostic::error("broken-dependency", message);
                diagnostic.help = help.or_else(|| Some("declare it, or take the line out".to_owned()));
                let diagnostic = self.label(diagnostic, at, &path, false, "");
                self.diagnostics.push(diagnostic);
            }
        }
        edges
    }

    /// Finds cycles of edges that nothing can break: `dependsOn`, parents, and references that must be there.
    fn cycles(&mut self, mut edges: Vec<Vec<(usize, FieldPath)>>) {
        let has_depends = edges.iter().any(|e| !e.is_empty());
        for (i, placed) in self.drafts.iter().enumerate() {
            for reference in placed.made.references.iter().filter(|r| !r.optional) {
                if let Some(j) = self.find(&reference.to).filter(|j| *j != i) {
                    edges[i].push((j, reference.path.clone()));
                }
            }
        }
        if !has_depends && edges.iter().all(Vec::is_empty) {
            return;
        }
        #[derive(Clone, Copy, PartialEq)]
        enum Color {
            White,
            Grey,
            Black,
        }
        let mut color = vec![Color::White; edges.len()];
        let mut cycles: Vec<Vec<(usize, FieldPath)>> = Vec::new();
        for start in 0..edges.len() {
            if color[start] != Color::White || cycles.len() >= MAX_CYCLES {
                continue;
            }
            // Each step: a node and how many of its edges were followed.
            let mut way: Vec<(usize, usize)> = vec![(start, 0)];
            color[start] = Color::Grey;
            while let Some((node, followed)) = way.last_mut() {
                let node = *node;
                let Some((to, _)) = edges[node].get(*followed) else {
                    color[node] = Color::Black;
                    way.pop();
                    continue;
                };
                *followed += 1;
                match color[*to] {
                    Color::White => {
                        color[*to] = Color::Grey;
                        way.push((*to, 0));
                    }
                    Color::Grey if cycles.len() < MAX_CYCLES => {
                        let from = way.iter().position(|(n, _)| n == to).unwrap_or(0);
                        let edge = |(n, followed): &(usize, usize)| (*n, edges[*n][followed - 1].1.clone());
                        cycles.push(way[from..].iter().map(edge).collect());
                    }
                    Color::Grey | Color::Black => {}
                }
            }
        }
        for cycle in cycles {
            let names: Vec<String> = cycle.iter().map(|(n, _)| self.drafts[*n].id().to_string()).collect();
            let message = match names.as_slice() {
                [one] => format!("{one} depends on itself"),
                [first, ..] if names.len() <= 6 => format!("a cycle: {} -> {first}", names.join(" -> ")),
                _ => format!("a cycle of {} resources", names.len()),
            };
            let mut diagnostic = Diagnostic::error("cycle", message);
            for (n, path) in cycle.iter().take(20) {
                let to = edges[*n].iter().find(|(_, p)| p == path).map(|(to, _)| self.drafts[*to].id().to_string());
                let text = format!("needs {}", to.unwrap_or_default());
                diagnostic = self.label(diagnostic, self.named(*n), path, false, &text);
            }
            self.diagnostics.push(diagnostic.help("take one of these lines out"));
        }
    }

    fn whole(self) -> Whole {
        let made: Vec<Arc<Made>> = self.drafts.into_iter().map(|placed| placed.made).collect();
        let snapshot = snapshot(self.input, &made, self.diagnostics);
        Whole { snapshot, made, partial: self.partial }
    }
}

/// The snapshot of what was found to be without an error: `made` is sorted by id.
pub(super) fn snapshot(set: &Set<'_>, made: &[Arc<Made>], diagnostics: Vec<Diagnostic>) -> Snapshot {
    let mut hashed = project_form(set.project).canonical().as_bytes().to_vec();
    hashed.reserve(made.iter().map(|made| made.hashed.len()).sum());
    for made in made {
        hashed.extend_from_slice(&made.hashed);
    }
    Snapshot {
        revision: set.revision.clone(),
        digest: Digest::of(&hashed),
        project: set.project.clone(),
        desired: made.iter().map(|made| Arc::clone(&made.desired)).collect(),
        diagnostics,
        missing_folders: set.missing_folders.clone(),
    }
}

impl Placed {
    fn id(&self) -> &ResourceId {
        &self.made.desired.id
    }
}

/// Puts diagnostics into the order in which they are told.
pub(super) fn in_order(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| first_place(a).cmp(&first_place(b)).then_with(|| a.code.cmp(b.code)));
}

fn first_place(diagnostic: &Diagnostic) -> Option<(&str, u32, u32)> {
    diagnostic.labels.first().map(|l| (&*l.span.file, l.span.line, l.span.column))
}

/// What of a project belongs to its state: not where its files are.
fn project_form(project: &Project) -> Value {
    let text = |t: &str| Value::from(t);
    let number = |n: Option<u32>| n.map_or(Value::Null, |n| Value::from(u64::from(n)));
    let record = match &project.record {
        RecordPlace::Local => Value::Null,
        RecordPlace::Push(remote) => Value::Array(vec![text("push"), text(remote)]),
        RecordPlace::File(folder) => Value::Array(vec![text("file"), text(folder)]),
    };
    let target = |c: &crate::model::TargetConfig| {
        let endpoints = c.endpoints.iter().map(|(name, e)| {
            let credentials = e.credentials.as_deref().map_or(Value::Null, text);
            (name.as_str(), Value::Array(vec![text(&e.url), credentials]))
        });
        let own = match c.own {
            Own::Recorded => "recorded",
            Own::Exclusive => "exclusive",
        };
        Value::from_iter([
            ("api", text(&c.api)),
            ("endpoints", endpoints.collect()),
            ("own", text(own)),
            ("concurrency", number(c.concurrency)),
            ("rate", number(c.rate)),
            ("burst", number(c.burst)),
            ("deletes", Value::from(u64::from(c.guard.deletes))),
            ("updates", number(c.guard.updates.map(u32::from))),
            ("marks", Value::Bool(c.marks)),
            ("values", Value::Object(c.values.clone())),
        ])
    };
    Value::from_iter([
        ("name", text(project.name.as_str())),
        ("record", record),
        ("values", Value::Object(project.values.clone())),
        ("targets", project.targets.iter().map(|(name, c)| (name.as_str(), target(c))).collect()),
    ])
}

/// Where each field of a resource's body stands: the places of its document's `spec`.
pub fn body_span(source: &Arc<SourceFile>, origin: &Origin, field: &FieldPath) -> Option<Span> {
    document::spans(source, origin.document).nearest(&super::resource::in_spec(field)).cloned()
}
