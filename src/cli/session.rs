//! One run up to its plan: load, agree with the operator's file, read the records, observe, plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::args::{LeaveArgs, LimitArgs, SelectionArgs, SourceArgs};
use super::fleet::{Driver, Fleet};
use super::load::{self, Loaded};
use super::selection::Selection;
use super::signing::{unverified, with_changed_secrets};
use super::stores::{self, Stores};
use super::{Context, Exit, Stop, context};
use crate::credentials::{Operator, REFUSALS, Redactor, UNREADABLE, Writing};
use crate::event::Event;
use crate::manifest;
use crate::model::Own;
use crate::model::{
    Canonical, Complete, Desired, Diagnostic, Digest, EndpointName, EndpointRecord, FieldPath, Guard, IntentOp, Key,
    Kind, Project, Record, RecordPlace, Scope, Secret, Snapshot, Spans, TargetName, Value,
};
use crate::net::without_credentials;
use crate::plan::{self, Change, EdgeReason, EndpointInput, Operation, Plan, PlanInput, Refusal, TargetInput};
use crate::reconcile::{
    self, Before, PATIENCE, Peer, Place, Revisited, Scopes, Sighting, Trouble, observe_again, revisit,
};
use crate::report::Progress;
use crate::source::Ancestry;
use crate::store::Tip;
use crate::target::{Rehearsal, Target, TargetError, Write};

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
        };
        let selection = Selection::read(&wishes.selection.selectors)?;
        let targets = choose(&loaded.project, &wishes.selection.targets)?;
        let operator = operator(ctx)?;
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
            loaded.diagnostics.extend(super::validate::missing_folders(&snapshot.missing_folders));
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
            return Err(load::invalid(super::validate::missing_folders(missing).collect()));
        }
        check_folder(self.project(), &self.records)
    }

    /// Lets a plan of exactly these operations through the guards that ask for consent. Where they refuse what no consent
    /// can allow (`replace: never`, a protected resource), or somebody is not trusted, the plan stays refused.
    pub(super) fn consent(&mut self, plan: &Plan) {
        self.leave = Leave { replace: true, deletes: Some(plan.deletes_checksum()) };
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
        let exit = reading_exit(&sightings).and(self.fleet.exit);
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
                if let Some(copy) = with_changed_secrets(self, target, endpoint, known) {
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
                    unverified: unverified(self, name, endpoint, record),
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
        let input = PlanInput {
            project: self.project(),
            commit: self.loaded.revision.clone(),
            snapshot: self.snapshot.digest,
            targets,
            allow_replace: self.leave.replace,
            allow_deletes: self.leave.deletes,
        };
        let mut plan = plan::build(&input);
        plan.unknown += uncontacted;
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

    /// Another server than the recorded one at the same name is not written.
    fn check_identities(&self, sightings: &BTreeMap<Place, Sighting>, plan: &mut Plan) {
        for ((target, endpoint), sighting) in sightings {
            let recorded = self.endpoint_record(target, endpoint).and_then(|r| r.identity.as_deref());
            let Some(found) = self.identity(target, endpoint, sighting) else { continue };
            if let Some(recorded) = recorded.filter(|recorded| *recorded != found) {
                plan.refusals.push(Refusal {
                    gate: "identity",
                    target: target.clone(),
                    endpoint: Some(endpoint.clone()),
                    kind: None,
                    message: format!("{recorded} was applied here, and now {found} answers"),
                    help: format!(
                        "if it is the same server at another address, say so with `ctl record rebuild -t {target}`"
                    ),
                });
            }
        }
    }

    /// Who an endpoint is. The embedded server's address changes with every run, and it is always the same one.
    pub(super) fn identity(&self, target: &TargetName, endpoint: &EndpointName, sighting: &Sighting) -> Option<String> {
        let config = self.project().targets.get(target)?.endpoints.get(endpoint)?;
        let greeting = sighting.greeting.as_ref()?;
        Some(if config.url == "embedded" { "embedded".to_owned() } else { greeting.identity.clone() })
    }

    /// Never an older commit over a newer one, and never unseen over a rewritten history.
    fn check_lineage(&self, plan: &mut Plan) {
        let revision = &self.loaded.revision;
        for (target, (_, record)) in &self.records {
            let Some(head) = &record.head else { continue };
            if head.snapshot == self.snapshot.digest {
                continue;
            }
            let (gate, message, help) = match self.loaded.source.ancestry(&head.commit, revision) {
                Ancestry::Same | Ancestry::Ancestor => continue,
                Ancestry::Descendant => (
                    "older-commit",
                    format!("{} was applied, and {} is older", head.commit.short(), revision.short()),
                    "to go back, commit a `git revert`".to_owned(),
                ),
                Ancestry::UnknownShallow => (
                    "shallow",
                    format!(
                        "{} was applied, and this shallow clone cannot tell whether {} follows it",
                        head.commit.short(),
                        revision.short()
                    ),
                    "fetch more history: `git fetch --unshallow`, or `fetch-depth: 0` in CI".to_owned(),
                ),
                Ancestry::Unrelated | Ancestry::Missing => (
                    "rewritten-history",
                    format!(
                        "{} was applied, and {} does not descend from it: history was rewritten, or this is another branch",
                        head.commit.short(),
                        revision.short()
                    ),
                    format!("if this commit is to be applied all the same: --accept-rewrite {revision}"),
                ),
            };
            let accepted =
                self.accept_rewrite.as_ref().is_some_and(|c| c.len() >= 7 && revision.as_str().starts_with(c));
            if gate == "rewritten-history" && accepted {
                continue;
            }
            let embedded =
                self.project().targets.get(target).is_some_and(|t| t.endpoints.values().any(|e| e.url == "embedded"));
            if embedded {
                plan.diagnostics.push(Diagnostic::warning("lineage", format!("{target}: {message}")).help(help));
                continue;
            }
            plan.refusals.push(Refusal { gate, target: target.clone(), endpoint: None, kind: None, message, help });
        }
    }

    /// Grants fence writes; secrets go only where a trusted description calls a field secret.
    fn check_trust(&self, plan: &mut Plan) {
        let repository = self.repository();
        let mut refusals: BTreeMap<(TargetName, EndpointName, &'static str), (Diagnostic, usize)> = BTreeMap::new();
        for op in plan.operations.iter().filter(|op| op.change.writes()) {
            let target = &op.resource.target;
            let Some(api) = self.loaded.apis.get(target) else { continue };
            let Some(rules) = api.description.table().get(&op.resource.kind) else { continue };
            let endpoint = self.project().targets.get(target).and_then(|t| t.endpoints.get(&op.endpoint));
            let credential = endpoint.and_then(|e| e.credentials.as_deref());
            let mut refuse = |diagnostic: Diagnostic| {
                let place = (target.clone(), op.endpoint.clone(), diagnostic.code);
                refusals.entry(place).or_insert((diagnostic, 0)).1 += 1;
            };
            // What goes along with a delete is deleted by us as well.
            let along = op.cascades.iter().filter(|c| !c.recreated).map(|c| (&c.kind, &c.key));
            for (kind, key) in std::iter::once((&op.resource.kind, &op.resource.key)).chain(along) {
                if let Err(diagnostic) = self.granted(&repository, target, &op.endpoint, kind, key) {
                    refuse(diagnostic);
                }
            }
            let Some(desired) = op.change.desired().filter(|d| d.body.may_hold_secret()) else { continue };
            let mut secrets = Vec::new();
            secrets_in(&desired.body.value(), &FieldPath::root(), &mut secrets);
            for (path, name) in secrets {
                let trusted = self.operator.trusts(credential, &api.origin);
                if !trusted || !rules.is_secret(&path) {
                    let why = if trusted { "is not a secret field" } else { "has a description that is not trusted" };
                    let message =
                        format!("the secret {} may not go to {path} of {}, which {why}", name.name, op.resource);
                    refuse(
                        Diagnostic::error("secret-refused", message)
                            .help("secrets go only into fields that a shipped or pinned description calls secret"),
                    );
                } else if let Err(diagnostic) = self.operator.may_resolve(&name, target, &op.resource.kind) {
                    refuse(*diagnostic);
                }
            }
        }
        for ((target, endpoint, _), (diagnostic, count)) in refusals {
            let more = if count > 1 { format!(" (and {} more like this)", count - 1) } else { String::new() };
            plan.refusals.push(Refusal {
                gate: diagnostic.code,
                target,
                endpoint: Some(endpoint),
                kind: None,
                message: format!("{}{more}", diagnostic.message),
                help: diagnostic.help.unwrap_or_default(),
            });
        }
    }

    /// The repository as a grant names it.
    pub(super) fn repository(&self) -> String {
        let source = &self.loaded.source;
        match source.url().map(str::to_owned).or_else(|| source.remote_url("origin")) {
            Some(url) => without_credentials(&url),
            None => source.common_dir().display().to_string(),
        }
    }

    /// Asks the operator's file whether a resource may be written.
    pub(super) fn granted(
        &self,
        repository: &str,
        target: &TargetName,
        endpoint: &EndpointName,
        kind: &Kind,
        key: &Key,
    ) -> Result<(), Diagnostic> {
        let endpoint = self.project().targets.get(target).and_then(|t| t.endpoints.get(endpoint));
        let credential = endpoint.and_then(|e| e.credentials.as_deref());
        let rules = self.loaded.apis.get(target).and_then(|api| api.description.table().get(kind));
        let names = rules.map(|r| r.key.as_slice()).unwrap_or_default();
        let texts: Vec<String> = key.texts().collect();
        let key: Vec<(&str, &str)> =
            names.iter().map(|f| f.name.as_str()).zip(texts.iter().map(String::as_str)).collect();
        self.operator.grants_write(credential, &Writing { repository, project: &self.project().name, kind, key: &key })
    }

    /// A folder of `ctl.yaml` that is gone is an empty set, and whoever deletes what it declared has to be asked.
    fn check_gone_folders(&self, plan: &mut Plan) {
        let sum = plan.deletes_checksum();
        if self.snapshot.missing_folders.is_empty() || self.leave.deletes == Some(sum) {
            return;
        }
        let folders = self.snapshot.missing_folders.join(", ");
        // What is made again by the same plan has its own guard.
        let gone = |op: &&Operation| op.change.action() == plan::Action::Delete && op.replaces.is_none();
        let deletes = plan.operations.iter().filter(gone);
        let targets: BTreeSet<TargetName> = deletes.map(|op| op.resource.target.clone()).collect();
        plan.refusals.extend(targets.into_iter().map(|target| Refusal {
            gate: "folder-gone",
            message: format!("{folders} of `manifests` is not in this commit, and what it declared would be deleted"),
            target,
            endpoint: None,
            kind: None,
            help: format!("--allow-deletes {sum}, or put the folder back; then take it out of `manifests` in ctl.yaml"),
        }));
    }

    /// Reads every secret that the plan sends, so that a missing one stops the run before anything is written.
    pub(super) async fn have_secrets(&self, plan: &Plan) -> Result<(), Stop> {
        let mut wanted = BTreeSet::new();
        for op in plan.operations.iter().filter(|op| op.change.writes() && !plan.refuses(op)) {
            let Some(desired) = op.change.desired().filter(|d| d.body.may_hold_secret()) else { continue };
            let mut secrets = Vec::new();
            secrets_in(&desired.body.value(), &FieldPath::root(), &mut secrets);
            wanted.extend(secrets.into_iter().map(|(_, n)| (n, op.resource.target.clone(), op.resource.kind.clone())));
        }
        let operator = Arc::clone(&self.operator);
        let read = tokio::task::spawn_blocking(move || {
            use crate::credentials::SecretSource;
            wanted.iter().try_for_each(|(name, target, kind)| operator.resolve(name, target, kind).map(drop))
        });
        match read.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(diagnostic)) => {
                let exit = if UNREADABLE.contains(&diagnostic.code) { Exit::Denied } else { Exit::Refused };
                Err(Stop::with(exit, *diagnostic))
            }
            Err(error) => Err(Stop::with(Exit::Failed, Diagnostic::error("secret-unreadable", error.to_string()))),
        }
    }

    /// Asks the targets what the writes would do, where they can tell. One rejection refuses the whole target: no
    /// delete before every create and update has been found good. Nothing is sent for what is refused already, and what
    /// waits for another operation cannot be tried before that is done.
    pub(super) async fn rehearse(&self, plan: &mut Plan) {
        let waits = |op: &Operation| op.after.iter().any(|after| after.reason != EdgeReason::Adopts);
        let asked = plan.operations.iter().enumerate().filter(|(_, op)| !waits(op) && !plan.refuses(op));
        let asked = asked.filter_map(|(i, op)| {
            let peer = self.fleet.peers.get(&(op.resource.target.clone(), op.endpoint.clone()))?;
            Some(async move { Some((i, rehearsed(peer, op).await?)) })
        });
        let found: Vec<(usize, Result<Rehearsal, TargetError>)> =
            futures::stream::iter(asked).buffer_unordered(REHEARSALS).filter_map(std::future::ready).collect().await;
        for (i, said) in found {
            let why = match said {
                Ok(Rehearsal::NotOffered | Rehearsal::NotYet(_)) => continue,
                Ok(Rehearsal::Accepted) => {
                    plan.operations[i].rehearsed = true;
                    continue;
                }
                Ok(Rehearsal::Rejected(diagnostic)) => format!("the target would not take it: {}", diagnostic.message),
                Err(error) => format!("the target does not say whether it would take it: {error}"),
            };
            let op = &plan.operations[i];
            plan.refusals.push(Refusal {
                gate: "rehearsal",
                target: op.resource.target.clone(),
                endpoint: Some(op.endpoint.clone()),
                kind: Some(op.resource.kind.clone()),
                message: format!("{}: {why}", op.resource),
                help: "mend the manifest, or the description".to_owned(),
            });
        }
        plan.refusals.sort_by(|a, b| {
            (&a.target, &a.endpoint, a.gate, &a.message).cmp(&(&b.target, &b.endpoint, b.gate, &b.message))
        });
    }

    /// A record whose target is gone from `ctl.yaml` is shown by each plan.
    fn note_orphans(&self, plan: &mut Plan) {
        use crate::store::Store;
        for name in self.stores.names(&self.project().name).unwrap_or_default() {
            if !self.project().targets.contains_key(&name.target) {
                let message = format!("there is a record of the target {}, which ctl.yaml does not have", name.target);
                plan.diagnostics.push(
                    Diagnostic::warning("orphan-record", message)
                        .help("what it owns is left alone; put the target back to manage it, or to release it"),
                );
            }
        }
    }

    /// A run that has not ended is shown by each plan; only a run that writes waits for it or settles it.
    fn note_intents(&self, plan: &mut Plan) {
        for (target, (_, record)) in &self.records {
            if self.locked.contains_key(target) {
                continue;
            }
            for intent in &record.intents {
                let (holder, count) = (&intent.holder, intent.operations.len());
                let until = intent.until.and_then(|t| jiff::Timestamp::from_second(t).ok());
                let message = format!(
                    "{target}: the run {} of {} (process {} on {}) has not ended{}: {count} operations may be half done",
                    intent.run,
                    holder.who,
                    holder.pid,
                    holder.host,
                    until.map(|t| format!(", its term is {t}")).unwrap_or_default()
                );
                plan.diagnostics.push(Diagnostic::note("open-intent", message).help(
                    "`ctl apply` waits for it with `--wait`, or settles what it left; nothing is unlocked by hand",
                ));
            }
        }
    }

    /// Fills in where the wanted values of the first `limit` operations are written.
    pub(super) fn locate(&self, plan: &mut Plan, limit: usize) {
        for op in plan.operations.iter_mut().take(limit) {
            let Some(desired) = op.change.desired().cloned() else { continue };
            for field in &mut op.fields {
                field.source = self.span(&desired, &field.path);
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
        spans.nearest(&in_spec).cloned()
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

/// Rehearsals under way at once.
const REHEARSALS: usize = 8;

/// What an endpoint says of one operation; `None` where nothing would be written.
async fn rehearsed(peer: &Peer<Driver>, op: &Operation) -> Option<Result<Rehearsal, TargetError>> {
    let changes: BTreeMap<FieldPath, Canonical> = match &op.change {
        Change::Update { .. } => op.fields.iter().filter_map(|f| Some((f.path.clone(), f.after.clone()?))).collect(),
        _ => BTreeMap::new(),
    };
    let mark = peer.mark.as_ref();
    let write = match &op.change {
        Change::Create { desired } => Write::Create { desired, mark },
        Change::Update { desired, base, remove } => Write::Update { desired, base, changes: &changes, remove, mark },
        Change::Delete { owned, .. } => Write::Delete { id: &op.resource, owned },
        Change::Adopt { .. } | Change::Forget { .. } | Change::Rename { .. } => return None,
    };
    Some(peer.driver.rehearse(&write).await)
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
        let help = "check the credential in the operator's file, and what it may do at the server";
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

/// Reads the operator's file.
pub(super) fn operator(ctx: &Context) -> Result<Arc<Operator>, Stop> {
    Operator::load(&ctx.env).map(Arc::new).map_err(|d| Stop::with(Exit::Refused, d))
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

fn secrets_in(value: &Value, path: &FieldPath, out: &mut Vec<(FieldPath, crate::model::SecretRef)>) {
    match value {
        Value::Secret(name) => out.push((path.clone(), name.clone())),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| secrets_in(item, &path.join(i.to_string()), out));
        }
        Value::Object(map) => map.iter().for_each(|(name, item)| secrets_in(item, &path.join(name.as_str()), out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
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
