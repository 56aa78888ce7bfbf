//! One run up to its plan: load, agree with the operator's file, read the records, observe, plan.

mod checks;
mod signed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::args::{LeaveArgs, LimitArgs, SelectionArgs, SourceArgs};
use super::fleet::{Driver, Fleet};
use super::load::{self, Loaded};
use super::selection::Selection;
use super::stores::{self, Stores};
use super::{Context, Exit, Stop, context};
use crate::credentials::{Operator, REFUSALS, Redactor, UNREADABLE};
use crate::event::Event;
use crate::manifest;
use crate::model::{
    Complete, Desired, Diagnostic, Digest, EndpointName, EndpointRecord, FieldPath, Guard, IntentOp, Key, Kind, Own,
    Project, Record, RecordPlace, Scope, Secret, Snapshot, Spans, TargetName,
};
use crate::plan::{self, EndpointInput, OpId, Plan, PlanInput, Refusal, TargetInput};
use crate::reconcile::{
    self, Before, PATIENCE, Peer, Place, Revisited, Scopes, Sighting, Trouble, observe_again, revisit,
};
use crate::report::Progress;
use crate::store::Tip;

/// Everything that a run knows before it plans.
pub(super) struct Session {
    /// Project, commit, descriptions.
    pub loaded: Arc<Loaded>,
    /// What the operator allows.
    pub operator: Arc<Operator>,
    /// Hides values from output.
    pub redactor: Redactor,
    /// Where the records are.
    pub stores: Arc<Stores>,
    /// The desired state.
    pub snapshot: Arc<Complete<Snapshot>>,
    /// The targets of this run.
    pub targets: Vec<TargetName>,
    /// The records as they were read, and where they stood.
    pub records: BTreeMap<TargetName, (Option<Tip>, Record)>,
    /// Whom the run speaks to.
    pub fleet: Fleet,
    /// Targets that another run holds, and what to say of it.
    pub locked: BTreeMap<TargetName, String>,
    /// What cannot be read of a record, where it is damaged and was opened to be made anew.
    pub damaged: BTreeMap<TargetName, Vec<String>>,
    /// The operator's `record-key`, read once.
    pub record_key: Result<Option<Secret>, Diagnostic>,
    selection: Selection,
    leave: Leave,
    accept_rewrite: Option<String>,
    /// False in a process that stays: what concerns other targets is looked at once, and not in each cycle.
    alone: bool,
    places: Mutex<BTreeMap<File, Vec<(usize, Spans)>>>,
}

/// What is wanted at each target.
type Wanted = BTreeMap<TargetName, Complete<Vec<Arc<Desired>>>>;

/// Path and blob.
type File = (String, String);

#[derive(Clone, Debug, Default)]
struct Leave {
    replace: bool,
    deletes: Option<Digest>,
    updates: Option<Digest>,
}

/// What a session for one target is made of, in a process that stays: most of it is shared, and nothing is loaded.
pub(super) struct Parts {
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
pub(super) fn agree(loaded: &mut Loaded, operator: &Operator) {
    for target in loaded.project.targets.values_mut() {
        target.guard = target.guard.stricter(operator.ceiling());
    }
}

/// A plan with what was seen on the way.
pub(super) struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Its checksum.
    pub checksum: Digest,
    /// Who answered and what was listed, by endpoint.
    pub sightings: BTreeMap<Place, Sighting>,
    /// What the reading alone means for the exit code.
    pub exit: Exit,
}

/// What the user asked for.
pub(super) struct Wishes<'a> {
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
    pub(super) async fn open(ctx: &Context, wishes: &Wishes<'_>) -> Result<Self, Stop> {
        Self::open_with(ctx, wishes, false).await
    }

    /// The same where a record may be damaged: then [`Session::damaged`] says what cannot be read of it. Only for making
    /// it anew.
    pub(super) async fn open_damaged(ctx: &Context, wishes: &Wishes<'_>) -> Result<Self, Stop> {
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
        let fleet = Fleet::muster(ctx, &loaded, &operator, &targets, wishes.limits, None).await?;
        Ok(Self {
            loaded: Arc::new(loaded),
            operator,
            redactor,
            stores,
            snapshot: Arc::new(snapshot),
            targets,
            records,
            fleet,
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
    pub(super) fn of(parts: Parts) -> Self {
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
    pub(super) fn into_parts(mut self) -> Option<Parts> {
        let target = self.targets.pop()?;
        let record = self.records.remove(&target)?;
        let Self { loaded, snapshot, operator, stores, fleet, record_key, .. } = self;
        Some(Parts { loaded, snapshot, operator, stores, target, record, fleet, record_key })
    }

    /// What has to be so of the records whenever they were read: they belong to this project, and a folder of manifests
    /// that is not there is no slip of the first run.
    pub(super) fn check_records(&self) -> Result<(), Stop> {
        let owns = self.records.values().any(|(_, r)| r.endpoints.values().any(|e| !e.entries.is_empty()));
        let missing = &self.snapshot.missing_folders;
        if !owns && !missing.is_empty() && self.records.values().all(|(_, r)| r.head.is_none()) {
            return Err(load::invalid(load::missing_folders(missing).collect()));
        }
        check_folder(self.project(), &self.records)
    }

    /// Lets a plan of exactly these operations through the guards that ask for consent. Where they refuse what no consent
    /// can allow (`replace: never`, a protected resource), or somebody is not trusted, the plan stays refused.
    pub(super) fn consent(&mut self, plan: &Plan) {
        self.leave = Leave { replace: true, deletes: Some(plan.deletes_checksum()), updates: Some(plan.checksum()) };
    }

    /// Takes consent back: it was for one plan.
    pub(super) fn withdraw(&mut self) {
        self.leave = Leave::default();
    }

    /// Plans from what was seen.
    pub(super) fn plan_of(&self, sightings: &BTreeMap<Place, Sighting>) -> Plan {
        self.build(&self.desired(), sightings)
    }

    /// The same for its deletes alone.
    pub(super) fn consent_to_deletes(&mut self, sum: Digest) {
        self.leave.deletes = Some(sum);
    }

    /// The project.
    pub(super) fn project(&self) -> &Project {
        &self.loaded.project
    }

    /// True if nothing was selected: the run is about all of its targets.
    pub(super) fn is_whole(&self) -> bool {
        self.selection.is_all()
    }

    /// Observes what the plan needs and plans.
    pub(super) async fn plan(&self, ctx: &Context, cancel: &CancellationToken) -> Planned {
        self.look(ctx, cancel, false).await
    }

    /// Observes every kind at every endpoint, whatever is declared or recorded.
    pub(super) async fn plan_everything(&self, ctx: &Context, cancel: &CancellationToken) -> Planned {
        self.look(ctx, cancel, true).await
    }

    async fn look(&self, ctx: &Context, cancel: &CancellationToken, everything: bool) -> Planned {
        let progress = match (ctx.progress, ctx.quiet) {
            (true, _) => Progress::listing(),
            (false, false) => Progress::listing_lines(context::to_stderr),
            (false, true) => Progress::silent(),
        };
        let redactor = self.redactor.clone();
        let hider = self.redactor.clone();
        let progress = progress.hiding(move |text| hider.hide(text));
        let tell = |event: Event| {
            if ctx.verbose > 0
                && let Some(line) = narrated(&event)
            {
                ctx.say(&redactor.hide(&line));
            }
            progress.listen(&event);
        };
        let context =
            reconcile::Context { clock: &ctx.clock, entropy: &ctx.entropy, tell: &tell, cancel, patience: PATIENCE };
        let planned = self.look_from(Before::default(), everything, context).await;
        progress.finish();
        planned
    }

    /// Observes what the plan needs, going on from what is known, and plans.
    pub(super) async fn look_from(&self, before: Before, everything: bool, context: reconcile::Context<'_>) -> Planned {
        let desired = self.desired();
        let planner = |peer: &Peer<Driver>, known: &Scopes| self.scopes_for(&desired, peer, known, everything);
        let keys = |peer: &Peer<Driver>, scope: &Scope| self.keys_for(&desired, peer, scope);
        let sightings = observe_again(&self.fleet.peers, before, planner, keys, context).await;
        let plan = self.build(&desired, &sightings);
        let not_understood = plan.diagnostics.iter().any(|diagnostic| diagnostic.code == plan::UNREADABLE);
        let exit = reading_exit(&sightings).and(self.fleet.exit);
        let exit = if not_understood { exit.and(Exit::Partial) } else { exit };
        Planned { checksum: plan.checksum(), plan, sightings, exit }
    }

    /// Asks whether anything changed since these sightings, and nothing else.
    pub(super) async fn look_again(
        &self,
        sightings: &BTreeMap<Place, Sighting>,
        context: reconcile::Context<'_>,
    ) -> Revisited {
        let desired = std::sync::OnceLock::new();
        let keys =
            |peer: &Peer<Driver>, scope: &Scope| self.keys_for(desired.get_or_init(|| self.desired()), peer, scope);
        revisit(&self.fleet.peers, sightings, keys, context).await
    }

    /// The scopes that a plan still needs to know at an endpoint.
    fn scopes_for(&self, desired: &Wanted, peer: &Peer<Driver>, known: &Scopes, everything: bool) -> Vec<Scope> {
        let (Some(config), Some(api)) = (self.project().targets.get(&peer.target), self.loaded.apis.get(&peer.target))
        else {
            return Vec::new();
        };
        let (empty, nothing) = (Vec::new(), EndpointRecord::default());
        let wanted = desired.get(&peer.target).map_or(&empty, |d| &**d);
        let record = self.endpoint_record(&peer.target, &peer.name).unwrap_or(&nothing);
        let table = api.description.table();
        let own = if everything { Own::Exclusive } else { config.own };
        let mut scopes = plan::missing_scopes(table, own, wanted, record, &peer.name, known);
        // What an interrupted run was doing has to be looked at, whatever is wanted now.
        for op in self.open_operations(&peer.target).filter(|op| op.endpoint == peer.name) {
            if let Some(rules) = table.get(&op.kind) {
                let parent = rules.parent_key(&op.key);
                if !known.contains_key(&(op.kind.clone(), parent.clone())) {
                    scopes.push(Scope { endpoint: peer.name.clone(), kind: op.kind.clone(), parent });
                }
            }
        }
        scopes
    }

    /// The keys that may be in a scope that the API cannot list.
    fn keys_for(&self, desired: &Wanted, peer: &Peer<Driver>, scope: &Scope) -> Vec<Key> {
        let Some(api) = self.loaded.apis.get(&peer.target) else { return Vec::new() };
        let (empty, nothing) = (Vec::new(), EndpointRecord::default());
        let wanted = desired.get(&peer.target).map_or(&empty, |d| &**d);
        let record = self.endpoint_record(&peer.target, &peer.name).unwrap_or(&nothing);
        let table = api.description.table();
        let mut keys = plan::scope_keys(table, wanted, record, scope);
        // What an interrupted run was doing is asked for too: what nobody asked for must not look absent.
        let here = self.open_operations(&peer.target).filter(|op| {
            let parent = table.get(&op.kind).and_then(|rules| rules.parent_key(&op.key));
            op.endpoint == peer.name && op.kind == scope.kind && parent == scope.parent
        });
        keys.extend(here.map(|op| op.key.clone()));
        keys.sort();
        keys.dedup();
        keys
    }

    /// What interrupted runs were doing at a target.
    fn open_operations(&self, target: &TargetName) -> impl Iterator<Item = &IntentOp> {
        self.records.get(target).into_iter().flat_map(|(_, r)| &r.intents).flat_map(|intent| &intent.operations)
    }

    /// What is wanted at each target, all of it.
    fn desired(&self) -> Wanted {
        let mut by_target: BTreeMap<&TargetName, Vec<Arc<Desired>>> = BTreeMap::new();
        for desired in &self.snapshot.desired {
            by_target.entry(&desired.id.target).or_default().push(Arc::clone(desired));
        }
        self.targets
            .iter()
            .map(|name| {
                let wanted = by_target.remove(name).unwrap_or_default();
                // What is taken out of a complete snapshot by target is complete for that target.
                (name.clone(), Complete::as_ref(&self.snapshot).map(|_| wanted))
            })
            .collect()
    }

    /// The record of one endpoint.
    pub(super) fn endpoint_record(&self, target: &TargetName, endpoint: &EndpointName) -> Option<&EndpointRecord> {
        self.records.get(target)?.1.endpoints.get(endpoint)
    }

    /// True if the value of a secret is another one now than was sent, as far as a `record-key` can tell.
    pub(super) fn has_changed_secrets(&self) -> bool {
        !self.records_with_changed_secrets().is_empty()
    }

    fn records_with_changed_secrets(&self) -> BTreeMap<Place, EndpointRecord> {
        let mut aged = BTreeMap::new();
        for (target, (_, record)) in &self.records {
            for (endpoint, known) in &record.endpoints {
                if let Some(copy) = self.with_changed_secrets(target, endpoint, known) {
                    aged.insert((target.clone(), endpoint.clone()), copy);
                }
            }
        }
        aged
    }

    fn build(&self, desired: &Wanted, sightings: &BTreeMap<Place, Sighting>) -> Plan {
        let nothing = EndpointRecord::default();
        let aged = self.records_with_changed_secrets();
        let mut targets = Vec::new();
        let mut uncontacted = 0;
        for name in &self.targets {
            let (Some(config), Some(api), Some(wanted)) =
                (self.project().targets.get(name), self.loaded.apis.get(name), desired.get(name))
            else {
                continue;
            };
            let record = self.records.get(name).map(|(_, record)| record);
            let mut endpoints = Vec::new();
            for endpoint in config.endpoints.keys() {
                let place = (name.clone(), endpoint.clone());
                let Some(sighting) = sightings.get(&place) else {
                    // Refused before any contact: nothing is known of what is declared or recorded there.
                    uncontacted += unknown_there(wanted, self.endpoint_record(name, endpoint));
                    continue;
                };
                let record = self.endpoint_record(name, endpoint).unwrap_or(&nothing);
                endpoints.push(EndpointInput {
                    name: endpoint.clone(),
                    record: aged.get(&place).unwrap_or(record),
                    unverified: self.unverified(name, endpoint, record),
                    scopes: &sighting.scopes,
                });
            }
            let head = record.and_then(|r| r.head.as_ref());
            targets.push(TargetInput {
                name: name.clone(),
                table: api.description.table(),
                own: config.own,
                marks: config.marks,
                guard: head.map_or(config.guard, |head| head.guard.stricter(config.guard)),
                desired: wanted.clone(),
                selected: self.selected(name, wanted, record),
                endpoints,
                // The first run under `own: exclusive`, too, for that is what deletes strangers.
                first_run: head.is_none_or(|head| config.own == Own::Exclusive && head.own != Own::Exclusive),
            });
        }
        let fits_nothing =
            !self.is_whole() && targets.iter().all(|t| t.selected.as_ref().is_some_and(BTreeSet::is_empty));
        let input = PlanInput {
            project: self.project(),
            commit: self.loaded.revision.clone(),
            snapshot: self.snapshot.digest,
            targets,
            allow_replace: self.leave.replace,
            allow_deletes: self.leave.deletes,
            allow_updates: self.leave.updates,
        };
        let mut plan = plan::build(&input);
        plan.unknown += uncontacted;
        if fits_nothing {
            let message = "the selector fits nothing that is declared or recorded";
            let help =
                "-l compares with `metadata.labels` of the manifests: label=value, label!=value, label or !label";
            plan.diagnostics.push(Diagnostic::warning("fits-nothing", message).help(help));
        }
        plan.refusals.extend(self.fleet.refusals.iter().cloned());
        self.check_identities(sightings, &mut plan);
        self.check_lineage(&mut plan);
        self.check_trust(&mut plan);
        self.check_gone_folders(&mut plan);
        if self.alone {
            self.note_orphans(&mut plan);
        }
        self.note_intents(&mut plan);
        for (target, why) in &self.locked {
            plan.refusals.push(Refusal {
                gate: "locked",
                target: target.clone(),
                endpoint: None,
                kind: None,
                message: why.clone(),
                help: "wait for it with `--wait 5m`, or run again later; nothing has to be unlocked by hand".to_owned(),
            });
        }
        plan
    }

    /// Plans again from what was seen, after the records changed.
    pub(super) fn plan_again(&self, planned: Planned) -> Planned {
        let plan = self.build(&self.desired(), &planned.sightings);
        Planned { checksum: plan.checksum(), plan, ..planned }
    }

    /// Which resources `-l` picks: declared or recorded ones with the labels.
    fn selected(
        &self,
        target: &TargetName,
        desired: &[Arc<Desired>],
        record: Option<&Record>,
    ) -> Option<BTreeSet<(Kind, Key)>> {
        if self.selection.is_all() {
            return None;
        }
        let mut picked: BTreeSet<(Kind, Key)> = desired
            .iter()
            .filter(|d| &d.id.target == target && self.selection.picks(&d.meta.labels))
            .map(|d| (d.id.kind.clone(), d.id.key.clone()))
            .collect();
        for endpoint in record.iter().flat_map(|r| r.endpoints.values()) {
            let entries = endpoint.entries.iter().filter(|(_, entry)| self.selection.picks(&entry.labels));
            picked.extend(entries.map(|(which, _)| which.clone()));
        }
        Some(picked)
    }

    /// Fills in where the wanted values of the first `limit` operations are written.
    pub(super) fn locate(&self, plan: &mut Plan, limit: usize) {
        let first: BTreeSet<OpId> = plan.operations.iter().take(limit).map(|op| op.id).collect();
        self.locate_those(plan, &first);
    }

    /// The same for these operations.
    pub(super) fn locate_those(&self, plan: &mut Plan, which: &BTreeSet<OpId>) {
        for op in plan.operations.iter_mut().filter(|op| which.contains(&op.id)) {
            let Some(desired) = op.change.desired().cloned() else { continue };
            for field in &mut op.fields {
                field.source = self.span(&desired, &field.path).map(Box::new);
            }
        }
    }

    fn span(&self, desired: &Desired, path: &FieldPath) -> Option<crate::model::Span> {
        let origin = &desired.origin;
        let key = (origin.path.to_string(), origin.blob.to_string());
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let documents = places.entry(key).or_insert_with(|| {
            let Some(source) = self.loaded.text(&origin.path, &origin.blob) else { return Vec::new() };
            let (documents, _) = manifest::read_documents(&source);
            documents.into_iter().map(|d| (d.index, d.places.values)).collect()
        });
        let spans = &documents.iter().find(|(index, _)| *index == origin.document)?.1;
        let in_spec: FieldPath = std::iter::once("spec".to_owned()).chain(path.segments().iter().cloned()).collect();
        // A key field that `spec` leaves out is what `metadata.name` says.
        let by_name = || {
            let rules = self.loaded.apis.get(&desired.id.target)?.description.table().get(&desired.id.kind)?;
            let is_key =
                path.segments().first().is_some_and(|first| rules.key.last().is_some_and(|k| &k.name == first));
            is_key.then(|| spans.get(&FieldPath::parse("/metadata/name"))).flatten()
        };
        spans.get(&in_spec).or_else(by_name).or_else(|| spans.nearest(&in_spec)).cloned()
    }

    /// The names of a kind's key fields.
    pub(super) fn key_names(&self, target: &TargetName, kind: &Kind) -> Vec<String> {
        let rules = self.loaded.apis.get(target).and_then(|api| api.description.table().get(kind));
        rules.map(|r| r.key.iter().map(|f| f.name.clone()).collect()).unwrap_or_default()
    }

    /// The guard that holds for a target from this run on.
    pub(super) fn guard(&self, target: &TargetName) -> Guard {
        self.project().targets.get(target).map(|t| t.guard).unwrap_or_default()
    }

    /// Stops what was started for this run.
    pub(super) async fn close(self) {
        let Self { fleet, snapshot, records, loaded, .. } = self;
        fleet.dismiss().await;
        // The program ends now: to free what may be a million small pieces one by one would only take time.
        std::mem::forget((snapshot, records, loaded));
    }
}

/// How many resources are declared or recorded at an endpoint.
fn unknown_there(wanted: &[Arc<Desired>], record: Option<&EndpointRecord>) -> usize {
    let declared: BTreeSet<(&Kind, &Key)> = wanted.iter().map(|d| (&d.id.kind, &d.id.key)).collect();
    let entries = record.iter().flat_map(|r| r.entries.keys());
    wanted.len() + entries.filter(|(kind, key)| !declared.contains(&(kind, key))).count()
}

/// Two projects of one name would share a record: the second folder is refused. Asked whenever records are read, because
/// another run may just have begun one.
pub(super) fn check_folder(
    project: &Project,
    records: &BTreeMap<TargetName, (Option<Tip>, Record)>,
) -> Result<(), Stop> {
    for (target, (_, record)) in records {
        let folder = record.head.as_ref().map(|head| head.folder.as_str());
        if let Some(folder) = folder.filter(|folder| *folder != project.folder) {
            let message = format!(
                "the record of {target} belongs to the project in `{folder}`, and this one is in `{}`",
                project.folder
            );
            let help = "two projects of one name share a record: rename one of them";
            return Err(Stop::with(Exit::Refused, Diagnostic::error("other-folder", message).help(help)));
        }
    }
    Ok(())
}

/// The refusals of a plan, for standard error where the plan itself goes to a program.
pub(super) fn refusals(plan: &Plan) -> Vec<Diagnostic> {
    let told = plan.refusals.iter().map(|refusal| {
        let endpoint = refusal.endpoint.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let kind = refusal.kind.as_ref().map(|kind| format!(" {kind}")).unwrap_or_default();
        let message = format!("{}{endpoint}{kind} is not written: {}", refusal.target, refusal.message);
        Diagnostic::error(refusal.gate, message).help(refusal.help.clone())
    });
    told.collect()
}

/// What the refusals of a plan mean for the exit code.
pub(super) fn refusal_exit(plan: &Plan) -> Exit {
    plan.refusals.iter().fold(Exit::Done, |exit, refusal| {
        exit.and(match refusal.gate {
            "older-commit" | "shallow" => Exit::Conflict,
            "locked" => Exit::Locked,
            gate if UNREADABLE.contains(&gate) => Exit::Denied,
            gate if REFUSALS.contains(&gate) => Exit::Refused,
            _ => Exit::Refused,
        })
    })
}

/// What the reading of the endpoints means for the exit code.
fn reading_exit(sightings: &BTreeMap<Place, Sighting>) -> Exit {
    let scopes = || sightings.values().flat_map(|s| s.scopes.values());
    let known = scopes().any(|s| matches!(s, crate::model::ScopeState::Known(_)));
    let unknown = scopes().any(|s| matches!(s, crate::model::ScopeState::Unknown { .. }));
    let trouble: BTreeSet<Trouble> = sightings.values().flat_map(|s| s.trouble.iter().copied()).collect();
    match (unknown || sightings.values().any(|s| s.greeting.is_none()), known) {
        (false, _) => Exit::Done,
        (true, true) => Exit::Partial,
        (true, false) if trouble.contains(&Trouble::Authentication) => Exit::Denied,
        (true, false) if trouble.contains(&Trouble::Unreachable) => Exit::Unreachable,
        (true, false) => Exit::Partial,
    }
}

/// What to do where the endpoints themselves are in the way.
pub(super) fn advice(planned: &Planned) -> Option<Diagnostic> {
    let troubles = || planned.sightings.values().flat_map(|s| s.trouble.iter());
    if troubles().any(|t| *t == Trouble::Authentication) {
        let help = "give the target `credentials: NAME` if it has none; else check that one in the operator's file, and \
                    what it may do at the server";
        return Some(Diagnostic::error("not-allowed", "a server did not let us in").help(help));
    }
    if troubles().any(|t| *t == Trouble::Unreachable) {
        let help = "check that it runs and that the URL in ctl.yaml is right; then run again";
        return Some(Diagnostic::error("unreachable", "a server did not answer").help(help));
    }
    troubles().next().map(|_| {
        let help = "compare the answer with the API description: see docs/api-descriptions.md, and -v for the requests";
        Diagnostic::error("not-understood", "a server's answer is not what its description says").help(help)
    })
}

/// The targets that fit one of the globs; all of them without globs.
pub(super) fn choose(project: &Project, globs: &[String]) -> Result<Vec<TargetName>, Stop> {
    for glob in globs {
        if !project.targets.keys().any(|name| crate::model::glob_matches(glob, name.as_str())) {
            let known: Vec<&str> = project.targets.keys().map(TargetName::as_str).collect();
            let message = format!("the project has no target `{glob}`");
            let help = format!("it has: {}", known.join(", "));
            return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-target", message).help(help)));
        }
    }
    let fits =
        |name: &TargetName| globs.is_empty() || globs.iter().any(|g| crate::model::glob_matches(g, name.as_str()));
    Ok(project.targets.keys().filter(|name| fits(name)).cloned().collect())
}

/// Reads a checksum of the command line.
pub(super) fn digest(flag: &str, text: &str) -> Result<Digest, Stop> {
    Digest::parse(text).ok_or_else(|| {
        let message = format!("{flag} wants the whole checksum, 64 hexadecimal digits");
        Stop::with(Exit::Usage, Diagnostic::error("bad-checksum", message).help("copy it from the plan"))
    })
}

/// One line for `-v`.
pub(super) fn narrated(event: &Event) -> Option<String> {
    let line = match event {
        Event::Listed { target, scope, pages, items } => {
            let parent = scope.parent.as_ref().map(|p| format!(" in {p}")).unwrap_or_default();
            format!("{target}/{} {}{parent}: {items} items in {pages} pages", scope.endpoint, scope.kind)
        }
        Event::ListFailed { target, scope, why } => format!("{target}/{} {}: {why}", scope.endpoint, scope.kind),
        Event::Retrying { target, endpoint, attempt, wait, why, .. } => {
            format!("{target}/{endpoint}: attempt {attempt} failed ({why}), again in {} ms", wait.as_millis())
        }
        Event::Listing { .. } | Event::Started { .. } | Event::Finished { .. } => return None,
    };
    Some(format!("{}\n", crate::report::sanitize::line(&line)))
}
