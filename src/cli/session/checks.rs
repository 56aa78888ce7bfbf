//! What a plan is held against besides its own guards: who answers, where the commit comes from, what the operator allows, what
//! the target would take, and what else there is to be said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;

use super::Session;
use crate::cli::fleet::Driver;
use crate::cli::{Context, Exit, Stop};
use crate::credentials::{UNREADABLE, Writing};
use crate::model::{Canonical, Diagnostic, EndpointName, FieldPath, Key, Kind, TargetName, Value};
use crate::net::without_credentials;
use crate::plan::{self, Action, Change, EdgeReason, OpId, Operation, Plan, Refusal};
use crate::reconcile::{Peer, Place, Sighting};
use crate::source::Ancestry;
use crate::target::{Rehearsal, Target, TargetError, Write};

impl Session {
    /// Another server than the recorded one at the same name is not written.
    pub(super) fn check_identities(&self, sightings: &BTreeMap<Place, Sighting>, plan: &mut Plan) {
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
    pub(in crate::cli) fn identity(
        &self,
        target: &TargetName,
        endpoint: &EndpointName,
        sighting: &Sighting,
    ) -> Option<String> {
        let config = self.project().targets.get(target)?.endpoints.get(endpoint)?;
        let greeting = sighting.greeting.as_ref()?;
        Some(if config.url == "embedded" { "embedded".to_owned() } else { greeting.identity.clone() })
    }

    /// Never an older commit over a newer one, and never unseen over a rewritten history.
    pub(super) fn check_lineage(&self, plan: &mut Plan) {
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
    pub(super) fn check_trust(&self, plan: &mut Plan) {
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
                    refuse(Diagnostic::error("secret-refused", message).help(if trusted {
                        "secrets go only into fields that a shipped or pinned description calls secret"
                    } else {
                        "a description of the repository is trusted by a credential that pins it (`api: sha256:…`): give \
                         the target one, which needs no more than `hosts` and `api` where the API asks for none"
                    }));
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
    pub(in crate::cli) fn repository(&self) -> String {
        let source = &self.loaded.source;
        match source.url().map(str::to_owned).or_else(|| source.remote_url("origin")) {
            Some(url) => without_credentials(&url),
            None => source.common_dir().display().to_string(),
        }
    }

    /// Asks the operator's file whether a resource may be written.
    pub(in crate::cli) fn granted(
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
    pub(super) fn check_gone_folders(&self, plan: &mut Plan) {
        let sum = plan.deletes_checksum();
        if self.snapshot.missing_folders.is_empty() || self.leave.deletes == Some(sum) {
            return;
        }
        let missing: Vec<String> = self.snapshot.missing_folders.iter().map(|folder| format!("`{folder}`")).collect();
        let (folders, are, they) = match missing.as_slice() {
            [one] => (format!("the folder {one}"), "is", "it"),
            all => (format!("the folders {}", all.join(", ")), "are", "they"),
        };
        // What is made again by the same plan has its own guard.
        let gone = |op: &&Operation| op.change.action() == plan::Action::Delete && op.replaces.is_none();
        let deletes = plan.operations.iter().filter(gone);
        let targets: BTreeSet<TargetName> = deletes.map(|op| op.resource.target.clone()).collect();
        plan.refusals.extend(targets.into_iter().map(|target| Refusal {
            gate: "folder-gone",
            message: format!(
                "{folders}, which ctl.yaml lists, {are} not in this commit, and what {they} declared would be deleted"
            ),
            target,
            endpoint: None,
            kind: None,
            help: format!(
                "put it back; or, if these deletes are meant, take it out of `manifests` in ctl.yaml, or say \
                 `--allow-deletes {sum}`"
            ),
        }));
    }

    /// Reads every secret that the plan sends, so that a missing one stops the run before anything is written.
    pub(in crate::cli) async fn have_secrets(&self, plan: &Plan) -> Result<(), Stop> {
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
    /// waits for another operation cannot be tried before that is done. Gives what must be left for later, and why: all
    /// at an endpoint that wants to be left alone meanwhile.
    pub(in crate::cli) async fn rehearse(&self, ctx: &Context, plan: &mut Plan) -> BTreeMap<OpId, String> {
        let mut left = BTreeMap::new();
        let waits = |op: &Operation| op.after.iter().any(|after| after.reason != EdgeReason::Adopts);
        let asked = plan.operations.iter().enumerate().filter(|(_, op)| !waits(op) && !plan.refuses(op));
        let asked = asked.filter_map(|(i, op)| {
            let peer = self.fleet.peers.get(&(op.resource.target.clone(), op.endpoint.clone()))?;
            Some(async move { Some((i, rehearsed(ctx, peer, op).await?)) })
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
                // It wants to be left alone: that says nothing against the operation, nor against other endpoints.
                Err(error @ TargetError::Throttled { after: Some(_), .. }) => {
                    left.insert(plan.operations[i].id, error.to_string());
                    continue;
                }
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
        // All of an endpoint or nothing: no delete before every create and update there has been found good.
        let place = |op: &Operation| (op.resource.target.clone(), op.endpoint.clone());
        let shut: BTreeMap<Place, String> =
            left.iter().filter_map(|(id, why)| Some((place(plan.operation(*id)?), why.clone()))).collect();
        plan.operations.iter().filter_map(|op| Some((op.id, shut.get(&place(op))?.clone()))).collect()
    }

    /// Updates that would take a field away, and cannot say so: told with the plan, for they fail when it is carried out.
    pub(super) fn note_uncleared(&self, plan: &mut Plan) {
        let mut found = Vec::new();
        for op in plan.operations.iter().filter(|op| op.change.action() == Action::Update) {
            let Some(api) = self.loaded.apis.get(&op.resource.target) else { continue };
            let kind = &op.resource.kind;
            let (Some(ty), Some(rules)) = (api.description.types.get(kind), api.description.table().get(kind)) else {
                continue;
            };
            let gone = op.fields.iter().filter(|field| field.after.is_none()).map(|field| &field.path);
            let stays = gone.filter(|path| ty.cannot_clear(rules, path));
            found.extend(stays.map(|path| {
                let message = format!(
                    "{}: `{path}` is no longer stated, and the description does not say what clears it: this update fails",
                    op.resource
                );
                let help = format!("say it there: `fields: {{\"{path}\": {{absent: null}}}}`, or what else stands for nothing");
                Diagnostic::warning("not-cleared", message).help(help)
            }));
        }
        plan.diagnostics.extend(found);
    }

    /// A record whose target is gone from `ctl.yaml` is shown by each plan.
    pub(super) fn note_orphans(&self, plan: &mut Plan) {
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
    pub(super) fn note_intents(&self, plan: &mut Plan) {
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
}

/// Rehearsals under way at once.
const REHEARSALS: usize = 8;

/// What an endpoint says of one operation; `None` where nothing would be written.
async fn rehearsed(ctx: &Context, peer: &Peer<Driver>, op: &Operation) -> Option<Result<Rehearsal, TargetError>> {
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
    // A server that wants to be left alone is not asked this either.
    if let Err(error) = peer.is_open(ctx.clock.boot()) {
        return Some(Err(error));
    }
    let said = peer.driver.rehearse(&write).await;
    if let Err(error) = &said {
        peer.heard(error, ctx.clock.boot(), &ctx.entropy);
    }
    Some(said)
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
