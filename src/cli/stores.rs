//! The records of a project: each target's in its place, behind one [`Store`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::load::{Loaded, git};
use super::{Context, Exit, Stop};
use crate::credentials::Operator;
use crate::model::{Diagnostic, Digest, Limits, Orders, ProjectName, Record, RecordHead, RecordPlace, TargetName};
use crate::store::{
    FileStore, GitPlace, GitStore, OrderBook, RECORD_REFS, RecordName, Salvage, Store, StoreError, Tip,
};

/// The stores of a project's targets.
#[derive(Clone, Debug)]
pub(super) struct Stores {
    common: Option<AnyStore>,
    embedded: BTreeMap<TargetName, FileStore>,
}

/// What decides which stores a project has: equal ones have the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StoresOf {
    record: RecordPlace,
    refs: Option<String>,
    common_dir: PathBuf,
    folder: String,
    remote: bool,
    embedded: BTreeSet<TargetName>,
    others: bool,
}

impl StoresOf {
    /// Those of a project, beside the operator's file.
    pub(super) fn project(loaded: &Loaded) -> Self {
        let (project, source) = (&loaded.project, &loaded.source);
        let is_embedded = |name: &&TargetName| {
            project.targets.get(*name).is_some_and(|target| target.endpoints.values().any(|e| e.url == "embedded"))
        };
        let embedded: BTreeSet<TargetName> = project.targets.keys().filter(is_embedded).cloned().collect();
        Self {
            record: project.record.clone(),
            refs: project.record_refs.clone(),
            common_dir: source.common_dir().to_owned(),
            folder: source.folder().to_owned(),
            remote: matches!(&project.record, RecordPlace::Push(remote) if source.has_remote(remote)),
            others: embedded.len() < project.targets.len(),
            embedded,
        }
    }
}

#[derive(Clone, Debug)]
enum AnyStore {
    Git(Box<GitStore>),
    File(FileStore),
}

impl Stores {
    /// The stores that `ctl.yaml` and the operator's file agree on. Nothing is written yet.
    pub(super) fn open(ctx: &Context, loaded: &Loaded, operator: &Operator) -> Result<Self, Stop> {
        let mut embedded = BTreeMap::new();
        let mut others = false;
        for (name, target) in &loaded.project.targets {
            if target.endpoints.values().any(|e| e.url == "embedded") {
                embedded.insert(name.clone(), FileStore::new(embedded_dir(ctx, loaded, name).join("record")));
            } else {
                others = true;
            }
        }
        let common = if others { Some(common(ctx, loaded, operator)?) } else { None };
        Ok(Self { common, embedded })
    }

    /// The store of one target.
    fn of(&self, target: &TargetName) -> Result<&dyn Store, StoreError> {
        if let Some(store) = self.embedded.get(target) {
            return Ok(store);
        }
        match &self.common {
            Some(AnyStore::Git(store)) => Ok(&**store),
            Some(AnyStore::File(store)) => Ok(store),
            None => Err(StoreError::Unreachable {
                why: format!("the target {target} is not of this project"),
                help: "name a target of ctl.yaml".to_owned(),
            }),
        }
    }

    /// True if nothing can be written to the common one as it was found. It may be mended, and is looked at again.
    pub(super) fn is_refused(&self) -> bool {
        matches!(&self.common, Some(AnyStore::Git(store)) if store.is_refused())
    }

    /// True if other machines see the record of this target.
    pub(super) fn shared(&self, target: &TargetName) -> bool {
        match (self.embedded.contains_key(target), &self.common) {
            (true, _) | (_, None) => false,
            (false, Some(AnyStore::Git(store))) => store.is_shared(),
            // Whoever configured a folder says that it is kept.
            (false, Some(AnyStore::File(_))) => true,
        }
    }
}

impl Store for Stores {
    fn read(&self, name: &RecordName) -> Result<(Option<Tip>, Record), StoreError> {
        self.of(&name.target)?.read(name)
    }

    fn stands(&self, name: &RecordName) -> Result<Option<Tip>, StoreError> {
        self.of(&name.target)?.stands(name)
    }

    fn salvage(&self, name: &RecordName) -> Result<Salvage, StoreError> {
        self.of(&name.target)?.salvage(name)
    }

    fn swap(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<Tip, StoreError> {
        self.of(&name.target)?.swap(name, expected, record, message)
    }

    fn keep(
        &self,
        name: &RecordName,
        expected: Option<&Tip>,
        record: &Record,
        message: &str,
    ) -> Result<Tip, StoreError> {
        self.of(&name.target)?.keep(name, expected, record, message)
    }

    fn share(&self, name: &RecordName, tip: &Tip) -> Result<(), StoreError> {
        self.of(&name.target)?.share(name, tip)
    }

    fn names(&self, project: &ProjectName) -> Result<Vec<RecordName>, StoreError> {
        let mut names = Vec::new();
        match &self.common {
            Some(AnyStore::Git(store)) => names.extend(store.names(project)?),
            Some(AnyStore::File(store)) => names.extend(store.names(project)?),
            None => {}
        }
        for store in self.embedded.values() {
            names.extend(store.names(project)?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn history(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, Record)>, StoreError> {
        self.of(&name.target)?.history(name, limit)
    }

    fn versions(&self, name: &RecordName, limit: usize) -> Result<Vec<(Tip, RecordHead)>, StoreError> {
        self.of(&name.target)?.versions(name, limit)
    }

    fn at(&self, name: &RecordName, tip: &Tip) -> Result<Record, StoreError> {
        self.of(&name.target)?.at(name, tip)
    }

    fn is_shared(&self) -> bool {
        self.common.is_some() && self.embedded.is_empty()
    }
}

/// Those of the record that the targets have in common; a project of nothing but embedded targets shares nothing.
impl OrderBook for Stores {
    fn orders(&self, project: &ProjectName) -> Result<(Option<Tip>, Orders), StoreError> {
        match &self.common {
            Some(AnyStore::Git(store)) => store.orders(project),
            Some(AnyStore::File(store)) => store.orders(project),
            None => Ok((None, Orders::default())),
        }
    }

    fn set_orders(
        &self,
        project: &ProjectName,
        expected: Option<&Tip>,
        orders: &Orders,
        message: &str,
    ) -> Result<Tip, StoreError> {
        match &self.common {
            Some(AnyStore::Git(store)) => store.set_orders(project, expected, orders, message),
            Some(AnyStore::File(store)) => store.set_orders(project, expected, orders, message),
            None => Err(StoreError::Denied {
                why: "embedded targets have no record that others see".to_owned(),
                help: "watch them without --election".to_owned(),
            }),
        }
    }
}

fn common(ctx: &Context, loaded: &Loaded, operator: &Operator) -> Result<AnyStore, Stop> {
    let refused = |diagnostic: Diagnostic| Stop::with(Exit::Refused, diagnostic);
    let push = match &loaded.project.record {
        RecordPlace::File(path) => {
            let path = PathBuf::from(path);
            operator.allows_record_file(&path).map_err(refused)?;
            return Ok(AnyStore::File(FileStore::new(path)));
        }
        RecordPlace::Local => None,
        RecordPlace::Push(remote) => {
            // A remote that the user's repository has is the user's own doing; anything else is the operator's to allow.
            if !loaded.source.has_remote(remote) {
                operator.allows_record_push(remote).map_err(refused)?;
            }
            Some(remote.clone())
        }
    };
    let place = GitPlace {
        git_dir: loaded.source.common_dir().to_owned(),
        push,
        prefix: loaded.project.record_refs.clone().unwrap_or_else(|| RECORD_REFS.to_owned()),
        state_dir: ctx.state.clone(),
    };
    GitStore::open(git(ctx), place, ctx.clock.clone(), &Limits::default())
        .map(|store| AnyStore::Git(Box::new(store)))
        .map_err(|e| stop(&e))
}

/// Where everything of an embedded target lives.
pub(super) fn embedded_dir(ctx: &Context, loaded: &Loaded, target: &TargetName) -> PathBuf {
    let name = format!("{}\n{}", loaded.source.common_dir().display(), loaded.source.folder());
    ctx.state.join("embedded").join(Digest::of(name.as_bytes()).short(12)).join(target.as_str())
}

/// What a failing record means for the run.
pub(super) fn stop(error: &StoreError) -> Stop {
    let (exit, code, help) = match error {
        StoreError::Moved => (Exit::Conflict, "record-moved", "another run finished meanwhile: plan again".to_owned()),
        StoreError::Denied { help, .. } => (Exit::Denied, "record-denied", help.clone()),
        StoreError::Unreachable { help, .. } => (Exit::Unreachable, "record-unreachable", help.clone()),
        StoreError::Damaged { help, .. } => (Exit::Unreachable, "record-damaged", help.clone()),
        StoreError::Fenced { .. } => {
            let help = "the leader goes on; if there is none because etcd was made anew, its numbers began again: `ctl \
                        record rebuild` forgets the old ones";
            (Exit::Locked, "record-fenced", help.to_owned())
        }
        StoreError::Unanswered { .. } => {
            (Exit::Unreachable, "record-unanswered", "run again: the record is read first".to_owned())
        }
    };
    Stop::with(exit, Diagnostic::error(code, error.to_string()).help(help))
}

/// Reads the record of every target.
pub(super) fn read_all(
    stores: &Arc<Stores>,
    project: &ProjectName,
    targets: &[TargetName],
) -> Result<BTreeMap<TargetName, (Option<Tip>, Record)>, Stop> {
    let read = |target: &TargetName| {
        let name = RecordName { project: project.clone(), target: target.clone() };
        stores.read(&name).map(|found| (target.clone(), found)).map_err(|e| stop(&e))
    };
    targets.iter().map(read).collect()
}

/// What [`read_or_salvage`] found: the records, and of the damaged ones what cannot be read.
pub(super) type Salvaged = (BTreeMap<TargetName, (Option<Tip>, Record)>, BTreeMap<TargetName, Vec<String>>);

/// Reads the record of every target; of a damaged one as much as is whole. Only for making it anew.
pub(super) fn read_or_salvage(
    stores: &Arc<Stores>,
    project: &ProjectName,
    targets: &[TargetName],
) -> Result<Salvaged, Stop> {
    let (mut records, mut damage) = Salvaged::default();
    for target in targets {
        let name = RecordName { project: project.clone(), target: target.clone() };
        let found = match stores.read(&name) {
            Ok(found) => found,
            Err(StoreError::Damaged { .. }) => {
                let salvage = stores.salvage(&name).map_err(|e| stop(&e))?;
                damage.insert(target.clone(), salvage.damage);
                (salvage.tip, salvage.record)
            }
            Err(error) => return Err(stop(&error)),
        };
        records.insert(target.clone(), found);
    }
    Ok((records, damage))
}
