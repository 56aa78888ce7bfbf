//! From what the user typed to a complete snapshot: source, project, descriptions, manifests. Nothing is contacted but
//! the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::args::SourceArgs;
use super::cache::ParseCache;
use super::shipped;
use super::{Context, Exit, Stop};
use crate::credentials::ApiOrigin;
use crate::manifest::api::{ApiDescription, ApiType};
use crate::manifest::{self, PROJECT_FILE, ParsedFile, SetInput};
use crate::model::{
    Complete, Desired, Diagnostic, KindTable, Limits, Project, Revision, Snapshot, SourceFile, Span, TargetName, Tree,
    TreeEntry,
};
use crate::net::Git;
use crate::source::{Source, SourceError, SourceOptions};
use crate::target::http::{Finding, audit};

/// An API description and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Api {
    /// The description.
    pub description: Arc<ApiDescription>,
    /// Shipped or not, and its digest.
    pub origin: ApiOrigin,
    /// What is odd about it.
    warnings: Vec<Diagnostic>,
}

/// A project at a commit, before its manifests are read.
pub(super) struct Loaded {
    /// The repository.
    pub source: Arc<Source>,
    /// The commit.
    pub revision: Revision,
    /// `ctl.yaml`.
    pub project: Project,
    /// The description of each target.
    pub apis: BTreeMap<TargetName, Api>,
    /// Warnings so far.
    pub diagnostics: Vec<Diagnostic>,
    tree: Arc<Complete<Tree>>,
    /// Looks at the work tree meanwhile.
    looking: Option<std::thread::JoinHandle<Vec<String>>>,
    /// With `--dirty`: bytes of the work tree, by blob id.
    dirty: BTreeMap<String, Vec<u8>>,
    /// True with `--dirty`.
    pub is_dirty: bool,
    texts: Mutex<BTreeMap<String, Option<Arc<SourceFile>>>>,
}

/// The `git` program as every command uses it.
pub(super) fn git(ctx: &Context) -> Git {
    let _ = ctx;
    Git::new().with_users_ssh()
}

/// Folders of `manifests` that the commit does not have, and which count as empty.
pub(super) fn missing_folders(folders: &[String]) -> impl Iterator<Item = Diagnostic> + '_ {
    folders.iter().map(|folder| {
        let message = format!("the manifest folder {folder} is not there: that is an empty set");
        Diagnostic::warning("missing-folder", message).help("take it out of ctl.yaml")
    })
}

/// Opens the source and reads the project and its descriptions.
pub(super) fn load(ctx: &Context, args: &SourceArgs, dirty: bool) -> Result<Loaded, Stop> {
    let limits = ctx.operator()?.limits().clone();
    let options = SourceOptions { git: git(ctx), state_dir: ctx.state.clone(), limits };
    let text = located(ctx, &args.source);
    let source = Arc::new(Source::open(&text, args.rev.as_deref(), options).map_err(|e| stop(&e))?);
    let tree = source.tree(source.folder()).map_err(|e| stop(&e))?;
    let (tree, contents) = if dirty {
        let (files, contents) = source.dirty_tree(&tree).map_err(|e| stop(&e))?;
        (Arc::new(tree.map(|_| files)), contents)
    } else {
        (Arc::new(tree), BTreeMap::new())
    };
    let looking = (!dirty && (ctx.verbose > 0 || !ctx.quiet)).then(|| {
        let (source, tree) = (Arc::clone(&source), Arc::clone(&tree));
        std::thread::spawn(move || source.edited_files(&tree).unwrap_or_default())
    });
    let trusted = match &args.trust {
        Some(rev) => Some(source.resolve(rev).map_err(|e| stop(&e))?),
        None => None,
    };
    read(source, tree, trusted.as_ref(), Loading { looking, contents, is_dirty: dirty })
}

/// Reads the project and its descriptions of a commit whose tree is known, for a process that looks again and again.
pub(super) fn read_at(source: Arc<Source>, tree: Arc<Complete<Tree>>) -> Result<Loaded, Stop> {
    read(source, tree, None, Loading::default())
}

/// The same, of a commit that has the project file and the descriptions of one that was read before.
pub(super) fn read_as(source: Arc<Source>, tree: Arc<Complete<Tree>>, before: &Opened) -> Loaded {
    let Opened { project, apis, diagnostics } = before.clone();
    let loading = Loading::default();
    let mut loaded = Loaded::empty(source, tree, loading);
    (loaded.project, loaded.apis, loaded.diagnostics) = (project, apis, diagnostics);
    loaded
}

/// What the project file and the descriptions say.
#[derive(Clone)]
pub(super) struct Opened {
    project: Project,
    apis: BTreeMap<TargetName, Api>,
    diagnostics: Vec<Diagnostic>,
}

/// What only a command at a work tree knows.
#[derive(Default)]
struct Loading {
    looking: Option<std::thread::JoinHandle<Vec<String>>>,
    contents: BTreeMap<String, Vec<u8>>,
    is_dirty: bool,
}

fn read(
    source: Arc<Source>,
    tree: Arc<Complete<Tree>>,
    trusted: Option<&Revision>,
    loading: Loading,
) -> Result<Loaded, Stop> {
    let mut loaded = Loaded::empty(source, tree, loading);
    let path = joined(loaded.source.folder(), PROJECT_FILE);
    let file = loaded.trusted_file(&path, trusted)?.ok_or_else(|| no_project(&path))?;
    let (project, warnings) = manifest::read_project(&file).map_err(invalid)?;
    loaded.diagnostics.extend(warnings);
    loaded.project = project;
    loaded.apis = loaded.read_apis(trusted)?;
    Ok(loaded)
}

impl Loaded {
    fn empty(source: Arc<Source>, tree: Arc<Complete<Tree>>, loading: Loading) -> Self {
        Self {
            project: empty_project(),
            apis: BTreeMap::new(),
            revision: source.revision().clone(),
            source,
            diagnostics: Vec::new(),
            tree,
            looking: loading.looking,
            dirty: loading.contents,
            is_dirty: loading.is_dirty,
            texts: Mutex::default(),
        }
    }

    /// What the project file and the descriptions say, as they were read.
    pub(super) fn opened(&self) -> Opened {
        Opened { project: self.project.clone(), apis: self.apis.clone(), diagnostics: self.diagnostics.clone() }
    }

    /// Nothing is said of descriptions that none of `targets` uses.
    pub(super) fn speak_only_of(&mut self, targets: &[TargetName]) {
        let (of, others): (Vec<_>, Vec<_>) = self.apis.iter().partition(|(name, _)| targets.contains(name));
        let told: Vec<&Diagnostic> = of.iter().flat_map(|(_, api)| &api.warnings).collect();
        let left_out = others.iter().flat_map(|(_, api)| &api.warnings).filter(|warning| !told.contains(warning));
        let left_out: Vec<&Diagnostic> = left_out.collect();
        self.diagnostics.retain(|diagnostic| !left_out.contains(&diagnostic));
    }

    /// The files of the commit.
    pub(super) fn tree(&self) -> &Arc<Complete<Tree>> {
        &self.tree
    }

    /// How much all of it may be.
    pub(super) fn limits(&self) -> &Limits {
        self.source.limits()
    }

    /// A problem of the project as a whole, with a place.
    pub(super) fn at_project(&self, problem: Diagnostic) -> Diagnostic {
        let file = joined(self.source.folder(), PROJECT_FILE).into();
        problem.at(Span { file, line: 1, column: 1, offset: 0, len: 0 }, "")
    }

    /// Waits for the look at the work tree, and warns of what differs there.
    pub(super) fn look_back(&mut self) {
        let edited = self.looking.take().and_then(|look| look.join().ok()).unwrap_or_default();
        if let Some(warning) = edited_warning(&edited) {
            self.diagnostics.insert(0, warning);
        }
    }

    /// A file of the project: from the trusted revision where there is one, else from the commit (or the work tree).
    fn trusted_file(&self, path: &str, trusted: Option<&Revision>) -> Result<Option<Arc<SourceFile>>, Stop> {
        let bytes = match trusted {
            Some(revision) => self.source.file_at(revision, path).map_err(|e| stop(&e))?,
            None => match self.tree.entries.iter().find(|e| e.path == path) {
                Some(entry) => Some(self.bytes(entry).map_err(|e| stop(&e))?),
                None => None,
            },
        };
        bytes.map(|bytes| text_file(path, bytes)).transpose()
    }

    fn bytes(&self, entry: &TreeEntry) -> Result<Vec<u8>, SourceError> {
        match self.dirty.get(&entry.blob) {
            Some(bytes) => Ok(bytes.clone()),
            None => self.source.read_entries(&[entry]).map(|mut all| all.pop().unwrap_or_default()),
        }
    }

    /// A manifest as messages may show it: without lines that hold a secret in clear.
    pub(super) fn shown(&self, file: &SourceFile) -> Arc<SourceFile> {
        Arc::new(manifest::shown(file.path.clone(), file.text.clone(), &self.tables()))
    }

    /// The text of a blob, for finding a place in it.
    pub(super) fn text(&self, path: &str, blob: &str) -> Option<Arc<SourceFile>> {
        let key = format!("{blob} {path}");
        if let Some(known) = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let bytes = match self.dirty.get(blob) {
            Some(bytes) => Some(bytes.clone()),
            None => self.source.read(&[blob]).ok().and_then(|mut all| all.pop()),
        };
        let file = bytes.and_then(|b| String::from_utf8(b).ok()).map(|text| Arc::new(SourceFile::new(path, text)));
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, file.clone());
        file
    }

    /// `apis/NAME.yaml` of the repository, else the description that ships under that name.
    fn read_apis(&mut self, trusted: Option<&Revision>) -> Result<BTreeMap<TargetName, Api>, Stop> {
        let mut by_name: BTreeMap<String, Api> = BTreeMap::new();
        let mut apis = BTreeMap::new();
        let mut errors = Vec::new();
        let targets: Vec<(TargetName, String)> =
            self.project.targets.iter().map(|(name, target)| (name.clone(), target.api.clone())).collect();
        for (target, name) in targets {
            if let Some(api) = by_name.get(&name) {
                apis.insert(target, api.clone());
                continue;
            }
            let path = joined(self.source.folder(), &format!("apis/{name}.yaml"));
            let own = self.trusted_file(&path, trusted)?;
            let own = match own {
                None if !self.source.folder().is_empty() => self.root_api(&name, trusted)?,
                found => found,
            };
            let (file, text, shipped_here) = match (&own, shipped::description(&name)) {
                (Some(file), _) => (file.path.clone(), file.text.clone(), false),
                (None, Some(text)) => (format!("{name} (shipped)"), text.to_owned(), true),
                (None, None) => {
                    errors.push(unknown_api(&self.project, &target, &name, &path));
                    continue;
                }
            };
            match ApiDescription::parse(&file, &text) {
                Ok((description, warnings)) => {
                    let warnings = if shipped_here { Vec::new() } else { warnings };
                    self.diagnostics.extend(warnings.iter().cloned());
                    let origin = ApiOrigin { shipped: shipped_here, digest: description.digest() };
                    let api = Api { description: Arc::new(description), origin, warnings };
                    by_name.insert(name, api.clone());
                    apis.insert(target, api);
                }
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() { Ok(apis) } else { Err(invalid(errors)) }
    }

    /// `apis/NAME.yaml` at the repository's root, which projects in subfolders share.
    fn root_api(&self, name: &str, trusted: Option<&Revision>) -> Result<Option<Arc<SourceFile>>, Stop> {
        let path = format!("apis/{name}.yaml");
        let revision = trusted.unwrap_or(&self.revision);
        let bytes = self.source.file_at(revision, &path).map_err(|e| stop(&e))?;
        bytes.map(|bytes| text_file(&path, bytes)).transpose()
    }

    /// What decides how a target is reconciled, beside its manifests: another text, another matter.
    pub(super) fn deciding(&self, target: &TargetName) -> String {
        let path = joined(self.source.folder(), PROJECT_FILE);
        let project = self.tree.entries.iter().find(|e| e.path == path).map(|e| e.blob.as_str());
        let api = self.apis.get(target).map(|api| api.origin.digest);
        format!("{project:?} {api:?}")
    }

    /// The kinds of each target.
    pub(super) fn tables(&self) -> BTreeMap<TargetName, Arc<KindTable>> {
        self.apis.iter().map(|(name, api)| (name.clone(), api.description.shared_table())).collect()
    }

    /// Reads all manifests; every problem of all of them in one go.
    pub(super) fn snapshot(&self, ctx: &Context, has_record: bool) -> Result<Complete<Snapshot>, Stop> {
        let entries =
            manifest::manifest_entries(&self.project, &self.tree, has_record, self.limits()).map_err(invalid)?;
        let tables = self.tables();
        let name = format!("{}\n{}", self.source.common_dir().display(), self.source.folder());
        let cache = (!self.is_dirty).then(|| ParseCache::open(&ctx.cache, &name));
        let mut parsed: Vec<Option<ParsedFile>> =
            entries.files.iter().map(|e| cache.as_ref().and_then(|c| c.get(&e.path, &e.blob))).collect();
        let missing: Vec<usize> = (0..parsed.len()).filter(|i| parsed[*i].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<&TreeEntry> = missing.iter().map(|i| entries.files[*i]).collect();
            let bytes = self.read_all(&wanted)?;
            let files: Vec<(&str, Vec<u8>)> = wanted.iter().map(|e| e.path.as_str()).zip(bytes).collect();
            let new = manifest::parse_all(&files, self.limits()).map_err(|d| invalid(vec![self.at_project(d)]))?;
            for (i, file) in missing.iter().zip(new) {
                parsed[*i] = Some(file);
            }
        }
        let files: Vec<(TreeEntry, ParsedFile)> =
            entries.files.iter().map(|e| (*e).clone()).zip(parsed.into_iter().flatten()).collect();
        if let Some(cache) = cache.filter(|_| !missing.is_empty()) {
            cache.replace(
                files.iter().filter(|(_, file)| !file.is_cut()).map(|(entry, file)| (entry.blob.as_str(), file)),
            );
        }
        let texts = |entry: &TreeEntry| self.text(&entry.path, &entry.blob).map(|file| self.shown(&file));
        // The tree is complete, every manifest of it was read and parsed: so is the set.
        let input = Complete::as_ref(&self.tree).map(|_| SetInput {
            project: &self.project,
            revision: self.revision.clone(),
            kinds: &tables,
            files,
            texts: &texts,
            missing_folders: entries.missing_folders.clone(),
            limits: self.limits(),
        });
        let snapshot = manifest::assemble(input).map_err(invalid)?;
        let unfit = self.unfit(&snapshot.desired);
        if !unfit.is_empty() {
            return Err(invalid(unfit));
        }
        Ok(snapshot.map(|mut snapshot| {
            snapshot.diagnostics.extend(entries.diagnostics.iter().cloned());
            snapshot
        }))
    }

    /// What the APIs cannot hold although it is a good manifest: a stated mark, an object that is never touched.
    pub(super) fn unfit<'d>(&self, desired: impl IntoIterator<Item = &'d Arc<Desired>>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for desired in desired {
            let (Some(api), Some(target)) =
                (self.apis.get(&desired.id.target), self.project.targets.get(&desired.id.target))
            else {
                continue;
            };
            let Some(rules) = api.description.table().get(&desired.id.kind) else { continue };
            let states_mark = target.marks
                && rules.owner.as_ref().is_some_and(|owner| {
                    let field = owner.at.segments().last().map(String::as_str).unwrap_or_default();
                    !owner.element && desired.body.as_str().contains(field)
                });
            let ty = api.description.types.get(&desired.id.kind);
            let names = ty.is_some_and(ApiType::names_what_it_sends);
            // Most bodies state no secret field, and parsing all of them would be felt.
            let may_be_clear = rules.fields.iter().filter(|(_, rule)| rule.secret.is_some()).any(|(path, _)| {
                path.segments().last().is_some_and(|name| name == "*" || desired.body.as_str().contains(name.as_str()))
            });
            if rules.ignore.is_empty() && !states_mark && !names && !may_be_clear {
                continue;
            }
            for Finding { diagnostic, at } in audit(&api.description, desired) {
                // Secrets in the wrong place are refused, not invalid: that is the plan's to say.
                if diagnostic.code == "secret-in-plain-field" || (diagnostic.code == "mark-field" && !target.marks) {
                    continue;
                }
                let source = self.text(&desired.origin.path, &desired.origin.blob).map(|file| self.shown(&file));
                let span = source.as_ref().and_then(|s| manifest::body_span(s, &desired.origin, &at));
                found.push(match (source, span) {
                    (Some(source), Some(span)) => diagnostic.in_source(&source, span, ""),
                    _ => diagnostic,
                });
            }
        }
        found
    }

    fn read_all(&self, entries: &[&TreeEntry]) -> Result<Vec<Vec<u8>>, Stop> {
        if self.is_dirty {
            return entries.iter().map(|e| self.bytes(e).map_err(|e| stop(&e))).collect();
        }
        self.source.read_entries(entries).map_err(|e| stop(&e))
    }
}

/// Stops on what is wrong with the manifests: nothing was contacted.
pub(super) fn invalid(diagnostics: Vec<Diagnostic>) -> Stop {
    Stop { exit: Exit::Invalid, diagnostics }
}

/// Stops on what is wrong with the source.
pub(super) fn stop(error: &SourceError) -> Stop {
    let diagnostic = error.diagnostic();
    let exit = match error {
        SourceError::Git(_) | SourceError::Fetch { .. } => Exit::Unreachable,
        SourceError::BadUrl { .. } => Exit::Refused,
        _ => Exit::Invalid,
    };
    Stop::with(exit, diagnostic)
}

/// A local path is meant from where the command runs; a URL stays as it is.
pub(super) fn located(ctx: &Context, text: &str) -> String {
    let is_path = !text.contains("://") && ctx.cwd.join(text).exists();
    if !is_path {
        return text.to_owned();
    }
    // `/work/shop/.` is `/work/shop` to whoever reads it.
    ctx.cwd.join(text).components().collect::<PathBuf>().display().to_string()
}

fn text_file(path: &str, bytes: Vec<u8>) -> Result<Arc<SourceFile>, Stop> {
    let text = String::from_utf8(bytes).map_err(|_| {
        let message = format!("{path} is not UTF-8 text");
        invalid(vec![Diagnostic::error("not-utf8", message).help("save it as UTF-8")])
    })?;
    Ok(Arc::new(SourceFile::new(path, text)))
}

fn joined(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

fn edited_warning(edited: &[String]) -> Option<Diagnostic> {
    let (first, more) = edited.split_first()?;
    let and = match more.len() {
        0 => String::new(),
        1 => format!(" and {}", more[0]),
        n => format!(", {} and {} more", more[0], n - 1),
    };
    let differ = if more.is_empty() { "differs" } else { "differ" };
    let message = format!("{first}{and} {differ} from the commit: the commit is what counts");
    Some(Diagnostic::warning("uncommitted", message).help("commit them, or look at them with `ctl plan --dirty`"))
}

fn no_project(path: &str) -> Stop {
    let message = format!("there is no {path} in this commit");
    Stop::with(
        Exit::Invalid,
        Diagnostic::error("no-project", message)
            .help("`ctl init` writes one; commit it, or name a folder that has one"),
    )
}

fn unknown_api(project: &Project, target: &TargetName, name: &str, path: &str) -> Diagnostic {
    let known: Vec<&str> = shipped::names().collect();
    let message = format!("the target {target} wants the API {name}, and there is no description of it");
    let near = crate::manifest::api::nearest(name, known.iter().copied());
    let help = match near {
        Some(near) => format!("did you mean `{near}`? Otherwise write {path}: see docs/api-descriptions.md"),
        None => format!("write {path} (see docs/api-descriptions.md); these ship with ctl: {}", known.join(", ")),
    };
    let diagnostic = Diagnostic::error("unknown-api", message).help(help);
    match project.targets.get(target).and_then(|t| t.span.clone()) {
        Some(span) => diagnostic.at(span, ""),
        None => diagnostic,
    }
}

fn empty_project() -> Project {
    Project {
        name: "none".parse().unwrap_or_else(|_| unreachable!("`none` is a name")),
        folder: String::new(),
        manifests: Vec::new(),
        record: crate::model::RecordPlace::Local,
        record_refs: None,
        values: BTreeMap::new(),
        targets: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_project_may_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Loaded>();
    }
}
