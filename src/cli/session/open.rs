//! From arguments to a session: load, agree with the operator's file, read the records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Leave, Session, choose};
use crate::cli::args::{LeaveArgs, LimitArgs, SelectionArgs, SourceArgs};
use crate::cli::fleet::Fleet;
use crate::cli::lagging::Lagging;
use crate::cli::load::{self, Loaded};
use crate::cli::selection::Selection;
use crate::cli::stores::{self, Stores};
use crate::cli::{Context, Exit, Stop, narrated};
use crate::credentials::Operator;
use crate::model::{Complete, Diagnostic, Digest, Project, Record, RecordPlace, Secret, Snapshot, TargetName};
use crate::store::Tip;

/// What a session for one target is made of, in a process that stays: most of it is shared, and nothing is loaded.
pub(in crate::cli) struct Parts {
    /// Project, commit, descriptions; the operator's limits hold in it already ([`agree`]).
    pub loaded: Arc<Loaded>,
    /// The desired state.
    pub snapshot: Arc<Complete<Snapshot>>,
    /// What the operator allows.
    pub operator: Arc<Operator>,
    /// Where the records are.
    pub stores: Arc<Stores>,
    /// The target.
    pub target: TargetName,
    /// Its record, and where it stands.
    pub record: (Option<Tip>, Record),
    /// Whom to speak to.
    pub fleet: Fleet,
    /// The operator's `record-key`.
    pub record_key: Result<Option<Secret>, Diagnostic>,
}

/// Lets the operator's limits hold for a project.
pub(in crate::cli) fn agree(loaded: &mut Loaded, operator: &Operator) {
    for target in loaded.project.targets.values_mut() {
        target.guard = target.guard.stricter(operator.ceiling());
    }
}

/// What the user asked for.
pub(in crate::cli) struct Wishes<'a> {
    /// Where from.
    pub source: &'a SourceArgs,
    /// Which part.
    pub selection: &'a SelectionArgs,
    /// What is allowed.
    pub leave: &'a LeaveArgs,
    /// How fast.
    pub limits: &'a LimitArgs,
    /// The work tree instead of the commit.
    pub dirty: bool,
}

impl Session {
    /// Loads everything and agrees with the operator's file. Contacts the record's remote, and no target.
    pub(in crate::cli) async fn open(ctx: &Context, wishes: &Wishes<'_>) -> Result<Self, Stop> {
        Self::open_with(ctx, wishes, false).await
    }

    /// The same where a record may be damaged: then [`Session::damaged`] says what cannot be read of it. Only for making
    /// it anew.
    pub(in crate::cli) async fn open_damaged(ctx: &Context, wishes: &Wishes<'_>) -> Result<Self, Stop> {
        Self::open_with(ctx, wishes, true).await
    }

    async fn open_with(ctx: &Context, wishes: &Wishes<'_>, salvage: bool) -> Result<Self, Stop> {
        let mut loaded = load::load(ctx, wishes.source, wishes.dirty)?;
        let leave = Leave {
            replace: wishes.leave.allow_replace,
            deletes: wishes.leave.allow_deletes.as_deref().map(|sum| digest("--allow-deletes", sum)).transpose()?,
            updates: wishes.leave.allow_updates.as_deref().map(|sum| digest("--allow-updates", sum)).transpose()?,
        };
        let selection = Selection::read(&wishes.selection.selectors)?;
        let targets = choose(&loaded.project, &wishes.selection.targets)?;
        loaded.speak_only_of(&targets);
        let operator = ctx.operator()?;
        agree(&mut loaded, &operator);
        let stores = Stores::open(ctx, &loaded, &operator).map(Arc::new);
        // A remote is not asked before the manifests are known to be good.
        let at_once =
            stores.as_ref().ok().filter(|_| !salvage && !matches!(loaded.project.record, RecordPlace::Push(_)));
        let (snapshot, records) = std::thread::scope(|scope| {
            let project = &loaded.project.name;
            let reading = at_once.map(|stores| scope.spawn(|| stores::read_all(stores, project, &targets)));
            let snapshot = loaded.snapshot(ctx, true);
            (snapshot, reading.and_then(|reading| reading.join().ok()))
        });
        let (snapshot, stores) = (snapshot?, stores?);
        let mut damaged = BTreeMap::new();
        let records = match records {
            Some(records) => records?,
            None if salvage => {
                let (records, damage) = stores::read_or_salvage(&stores, &loaded.project.name, &targets)?;
                damaged = damage;
                records
            }
            None => stores::read_all(&stores, &loaded.project.name, &targets)?,
        };
        let owns = records.values().any(|(_, r)| r.endpoints.values().any(|e| !e.entries.is_empty()));
        let applied_before = records.values().any(|(_, r)| r.head.is_some());
        if !owns && !snapshot.missing_folders.is_empty() {
            if !applied_before {
                loaded.snapshot(ctx, false)?;
            }
            // The last manifest went, and its folder with it: that is an empty set, not a slip of the first run.
            loaded.diagnostics.extend(load::missing_folders(&snapshot.missing_folders));
        }
        check_folder(&loaded.project, &records)?;
        loaded.look_back();
        let record_key = tokio::task::block_in_place(|| operator.record_key());
        let redactor = operator.redactor();
        let heard = (ctx.verbose > 0).then(|| narrated::requests(ctx, &redactor));
        let fleet = Fleet::muster(ctx, &loaded, &operator, &targets, wishes.limits, heard.as_ref()).await?;
        Ok(Self {
            loaded: Arc::new(loaded),
            operator,
            redactor,
            stores,
            snapshot: Arc::new(snapshot),
            targets,
            records,
            fleet,
            lagging: Lagging::default(),
            locked: BTreeMap::new(),
            damaged,
            record_key,
            selection,
            leave,
            accept_rewrite: wishes.leave.accept_rewrite.clone(),
            alone: true,
            places: Mutex::default(),
        })
    }

    /// A session for one target, of what is at hand. Contacts nobody, and asks for no consent: whatever wants some is
    /// refused.
    pub(in crate::cli) fn of(parts: Parts) -> Self {
        let Parts { loaded, snapshot, operator, stores, target, record, fleet, record_key } = parts;
        Self {
            redactor: operator.redactor(),
            loaded,
            operator,
            stores,
            snapshot,
            records: [(target.clone(), record)].into(),
            targets: vec![target],
            fleet,
            lagging: Lagging::default(),
            locked: BTreeMap::new(),
            damaged: BTreeMap::new(),
            record_key,
            selection: Selection::default(),
            leave: Leave::default(),
            accept_rewrite: None,
            alone: false,
            places: Mutex::default(),
        }
    }

    /// Gives back what outlives a session.
    pub(in crate::cli) fn into_parts(mut self) -> Option<Parts> {
        let target = self.targets.pop()?;
        let record = self.records.remove(&target)?;
        let Self { loaded, snapshot, operator, stores, fleet, record_key, .. } = self;
        Some(Parts { loaded, snapshot, operator, stores, target, record, fleet, record_key })
    }

    /// What has to be so of the records whenever they were read: they belong to this project, and a folder of manifests
    /// that is not there is no slip of the first run.
    pub(in crate::cli) fn check_records(&self) -> Result<(), Stop> {
        let owns = self.records.values().any(|(_, r)| r.endpoints.values().any(|e| !e.entries.is_empty()));
        let missing = &self.snapshot.missing_folders;
        if !owns && !missing.is_empty() && self.records.values().all(|(_, r)| r.head.is_none()) {
            return Err(load::invalid(load::missing_folders(missing).collect()));
        }
        check_folder(self.project(), &self.records)
    }
}

/// Two projects of one name would share a record: the second folder is refused, also where the first is none any more.
/// Asked whenever records are read, because another run may just have begun one.
pub(in crate::cli) fn check_folder(
    project: &Project,
    records: &BTreeMap<TargetName, (Option<Tip>, Record)>,
) -> Result<(), Stop> {
    for (target, (_, record)) in records {
        let folder = record.head.as_ref().map(|head| head.folder.as_str());
        let (here, place) = (&project.folder, |folder: &str| match folder {
            "" => "the repository's top".to_owned(),
            folder => format!("`{folder}`"),
        });
        if let Some(folder) = folder.filter(|folder| folder != here) {
            let message = format!(
                "the record of {target} belongs to the project in {}, and this one is in {}",
                place(folder),
                place(here)
            );
            let help = "two projects of one name would share a record: rename one of them (`metadata.name` in ctl.yaml); one \
                        that was moved goes back to its folder";
            return Err(Stop::with(Exit::Refused, Diagnostic::error("other-folder", message).help(help)));
        }
    }
    Ok(())
}

/// Reads a checksum of the command line.
pub(in crate::cli) fn digest(flag: &str, text: &str) -> Result<Digest, Stop> {
    Digest::parse(text).ok_or_else(|| {
        let message = format!("{flag} wants the whole checksum, 64 hexadecimal digits");
        Stop::with(Exit::Usage, Diagnostic::error("bad-checksum", message).help("copy it from the plan"))
    })
}
