//! How things stand where no watcher says so: one plan, seen as a status. Reads, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use super::args::{LeaveArgs, LimitArgs, SelectionArgs, SourceArgs};
use super::session::{Advice, Planned, Session, Wishes};
use super::{Context, Stop};
use crate::credentials::Redactor;
use crate::model::{
    Diagnostic, EndpointName, EndpointStatus, FieldPath, Kind, MAX_PENDING, PendingStatus, Record, RefusalStatus,
    ResourceStatus, ScopeState, SourceStatus, Stamp, State, Status, TargetName, TargetStatus, VersionStatus,
};
use crate::net::without_credentials;
use crate::plan::{Action, Operation, Refusal};
use crate::reconcile::{Here, Hold, Sighting, Trouble, standing};
use crate::report::cause_text;
use crate::store::{current_process, is_gone};

/// A status that was computed, with what only the one who computed it knows.
pub(super) struct Computed {
    /// The status.
    pub status: Status,
    /// What was noticed on the way.
    pub diagnostics: Vec<Diagnostic>,
    /// Hides what was sent as a secret.
    pub redactor: Redactor,
}

/// Reads the project, the record and the targets. `address` is one whose resources are wanted.
pub(super) async fn compute(
    ctx: &Context,
    source: &str,
    targets: &[String],
    address: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Computed, Stop> {
    let wishes = Wishes {
        source: &SourceArgs { source: source.to_owned(), rev: None, trust: None },
        selection: &SelectionArgs { targets: targets.to_vec(), selectors: Vec::new() },
        leave: &LeaveArgs::default(),
        limits: &LimitArgs::default(),
        dirty: false,
    };
    let session = Session::open(ctx, &wishes).await?;
    let mut planned = session.plan(ctx, cancel).await;
    session.locate(&mut planned.plan, usize::MAX);
    let wall = ctx.clock.wall().as_second();
    let here = Here { process: current_process(&ctx.user()), token: None };
    let look = Look { session: &session, planned: &planned, now: Stamp { time: wall, age: 0 }, here: &here };
    let mut status = look.status(source);
    status.resources = address.map(|address| look.known(address));
    let mut diagnostics = session.loaded.diagnostics.clone();
    diagnostics.extend(session.snapshot.diagnostics.iter().cloned());
    // A run that has not ended is in the status itself.
    diagnostics.extend(planned.plan.diagnostics.iter().filter(|d| d.code != "open-intent").cloned());
    let redactor = session.redactor.clone();
    session.close().await;
    Ok(Computed { status, diagnostics, redactor })
}

struct Look<'a> {
    session: &'a Session,
    planned: &'a Planned,
    now: Stamp,
    here: &'a Here,
}

impl Look<'_> {
    fn status(&self, source: &str) -> Status {
        let loaded = &self.session.loaded;
        let shown = loaded.source.url().unwrap_or(source);
        Status {
            format_version: "1.0".to_owned(),
            ctl: env!("CARGO_PKG_VERSION").to_owned(),
            project: self.session.project().name.to_string(),
            mode: "once".to_owned(),
            started: self.now,
            ready: true,
            not_ready: Vec::new(),
            source: SourceStatus {
                source: without_credentials(shown),
                commit: Some(loaded.revision.to_string()),
                fresh: Some(self.now),
                ..SourceStatus::default()
            },
            election: None,
            targets: self.session.targets.iter().map(|name| self.target(name)).collect(),
            resources: None,
        }
    }

    fn target(&self, name: &TargetName) -> TargetStatus {
        let plan = &self.planned.plan;
        let record = self.session.records.get(name).map(|(_, record)| record);
        let endpoints: Vec<&EndpointName> =
            self.session.project().targets.get(name).map(|t| t.endpoints.keys().collect()).unwrap_or_default();
        let operations: Vec<&Operation> = plan.operations.iter().filter(|op| &op.resource.target == name).collect();
        let count = |action: Action| operations.iter().filter(|op| op.change.action() == action).count();
        let mut pending: Vec<PendingStatus> = operations.iter().map(|op| self.waiting(op)).collect();
        let (open, running) = record.map(|record| self.open(name, record)).unwrap_or_default();
        // What may be half done comes first: it is what somebody has to look at.
        pending.splice(0..0, open);
        let refusals: Vec<&Refusal> = plan.refusals.iter().filter(|r| &r.target == name).collect();
        let (unchanged, unknown) = self.counts(name, &endpoints, &operations);
        // Of several targets, no sum of one alone is known.
        let alone = self.session.targets.len() == 1 && !plan.is_empty();
        let pending_total = pending.len();
        let endpoints = endpoints.iter().map(|endpoint| self.endpoint(name, endpoint, &refusals, &pending)).collect();
        pending.truncate(MAX_PENDING);
        TargetStatus {
            target: name.to_string(),
            leader: true,
            version: record.and_then(|r| r.head.as_ref()).map(|head| VersionStatus {
                number: head.number,
                applied: Stamp {
                    time: head.time,
                    age: u64::try_from(self.now.time.saturating_sub(head.time)).unwrap_or(0),
                },
                commit: head.commit.to_string(),
                snapshot: head.snapshot.to_string(),
                result: head.result.clone(),
                took_ms: None,
                who: head.who.clone(),
            }),
            running,
            last_cycle: Some(self.now),
            last_success: (pending_total == 0 && unknown == 0 && refusals.is_empty()).then_some(self.now),
            checksum: alone.then(|| self.planned.checksum.to_string()),
            deletes_checksum: (alone && count(Action::Delete) > 0).then(|| plan.deletes_checksum().to_string()),
            delete: count(Action::Delete),
            create: count(Action::Create),
            update: count(Action::Update) + count(Action::Rename),
            adopt: count(Action::Adopt),
            unchanged,
            unknown,
            refusals: refusals.iter().map(|refusal| refused(refusal)).collect(),
            endpoints,
            pending,
            pending_total,
            ..TargetStatus::default()
        }
    }

    fn endpoint(
        &self,
        target: &TargetName,
        endpoint: &EndpointName,
        refusals: &[&Refusal],
        pending: &[PendingStatus],
    ) -> EndpointStatus {
        let sighting = self.planned.sightings.get(&(target.clone(), endpoint.clone()));
        let here = || pending.iter().filter(|p| p.endpoint == endpoint.as_str());
        let refusal = refusals.iter().find(|r| r.covers(target, endpoint));
        let (state, code, why, help) = match (sighting.and_then(unread), refusal) {
            (Some((code, why, help)), _) => (State::Failing, Some(code), Some(why), Some(help.to_owned())),
            (None, Some(r)) => {
                let help = Some(r.help.clone()).filter(|help| !help.is_empty());
                (State::Refused, Some(r.gate), Some(r.message.clone()), help)
            }
            (None, None) if here().any(|p| p.state == "in-doubt") => {
                let why = "a run ended in the middle, and nobody knows what became of its last writes";
                let help = "`ctl apply` looks at each of them, and goes on from what it finds";
                (State::InDoubt, Some("open-intent"), Some(why.to_owned()), Some(help.to_owned()))
            }
            (None, None) => (State::Ok, None, None, None),
        };
        EndpointStatus {
            endpoint: endpoint.to_string(),
            state,
            code: code.map(str::to_owned),
            why,
            help,
            last_success: (state == State::Ok && here().next().is_none()).then_some(self.now),
            pending: here().count(),
            ..EndpointStatus::default()
        }
    }

    /// What is to be done, and why it is not done.
    fn waiting(&self, op: &Operation) -> PendingStatus {
        let refusal = self.planned.plan.refusal_at(&op.resource.target, &op.endpoint);
        let target = &op.resource.target;
        let (state, why, help) = match refusal {
            Some(r) => ("refused", r.message.clone(), r.help.clone()),
            None => {
                let help = format!("`ctl apply -t {target}` does it now, `ctl watch` does it always");
                ("waiting", "nobody has applied this commit since".to_owned(), help)
            }
        };
        let field = op.fields.iter().find_map(|f| f.source.as_ref()).map(ToString::to_string);
        let declared = || op.change.desired().map(|desired| self.place(desired));
        PendingStatus {
            address: op.resource.to_string(),
            endpoint: op.endpoint.to_string(),
            action: op.change.action().as_str().to_owned(),
            cause: cause_text(op),
            source: field.or_else(declared),
            state: state.to_owned(),
            why,
            help: Some(help).filter(|help| !help.is_empty()),
            attempts: 0,
            next: None,
        }
    }

    /// What runs that have not ended were doing, and whether one of them still runs.
    fn open(&self, target: &TargetName, record: &Record) -> (Vec<PendingStatus>, bool) {
        let mut out = Vec::new();
        let mut running = false;
        let alive = |process: &crate::model::Process| !is_gone(process, &self.here.process);
        for intent in &record.intents {
            let hold = standing(intent, self.here, self.now.time, &alive);
            let who = &intent.holder;
            let (state, why, help) = match hold {
                Hold::Held => {
                    running = true;
                    let why =
                        format!("the run {} of {} (process {} on {}) is at it", intent.run, who.who, who.pid, who.host);
                    ("held", why, "wait for it; nothing is unlocked by hand")
                }
                Hold::Expired(because) => {
                    let why = format!("the run {} of {} did not end: {because}", intent.run, who.who);
                    ("in-doubt", why, "`ctl apply` looks whether it arrived, and goes on from there")
                }
            };
            out.extend(intent.operations.iter().map(|op| PendingStatus {
                address: format!("{target}:{}/{}", op.kind, op.key),
                endpoint: op.endpoint.to_string(),
                action: op.action.clone(),
                cause: format!("commit {} was being applied", intent.commit.chars().take(10).collect::<String>()),
                source: None,
                state: state.to_owned(),
                why: why.clone(),
                help: Some(help.to_owned()),
                attempts: 1,
                next: None,
            }));
        }
        (out, running)
    }

    /// How many declared resources of a target are as declared, and of how many nothing is known.
    fn counts(&self, target: &TargetName, endpoints: &[&EndpointName], operations: &[&Operation]) -> (usize, usize) {
        let Some(api) = self.session.loaded.apis.get(target) else { return (0, 0) };
        let busy: BTreeSet<_> =
            operations.iter().map(|op| (&op.endpoint, &op.resource.kind, &op.resource.key)).collect();
        let (mut unchanged, mut unknown) = (0, 0);
        let declared = || self.session.snapshot.desired.iter().filter(|d| &d.id.target == target);
        for endpoint in endpoints {
            let sighting = self.planned.sightings.get(&(target.clone(), (*endpoint).clone()));
            for desired in declared() {
                let (kind, key) = (&desired.id.kind, &desired.id.key);
                let parent = api.description.table().get(kind).and_then(|rules| rules.parent_key(key));
                let scope = sighting.and_then(|s| s.scopes.get(&(kind.clone(), parent)));
                if busy.contains(&(*endpoint, kind, key)) {
                    continue;
                }
                match scope {
                    Some(ScopeState::Known(_)) => unchanged += 1,
                    Some(ScopeState::Unknown { .. }) | None => unknown += 1,
                }
            }
        }
        (unchanged, unknown)
    }

    /// What fits an address, declared or recorded.
    fn known(&self, address: &str) -> Vec<ResourceStatus> {
        let fits = |text: &str| crate::model::glob_matches(address, text);
        let declared =
            self.session.snapshot.desired.iter().map(|d| (d.id.to_string(), d)).filter(|(text, _)| fits(text));
        let mut out: BTreeMap<String, Option<String>> =
            declared.take(MAX_PENDING).map(|(text, desired)| (text, Some(self.place(desired)))).collect();
        for (target, (_, record)) in &self.session.records {
            let entries = record.endpoints.values().flat_map(|known| known.entries.keys());
            let recorded = entries.map(|(kind, key): &(Kind, _)| format!("{target}:{kind}/{key}"));
            for text in recorded.filter(|text| fits(text)) {
                out.entry(text).or_default();
            }
        }
        let told = |(address, source)| ResourceStatus { address, source };
        out.into_iter().take(MAX_PENDING).map(told).collect()
    }

    /// Where a resource is declared.
    fn place(&self, desired: &crate::model::Desired) -> String {
        let origin = &desired.origin;
        let text = self.session.loaded.text(&origin.path, &origin.blob);
        let span = text.and_then(|text| crate::manifest::body_span(&text, origin, &FieldPath::root()));
        span.map(|span| span.to_string()).unwrap_or_else(|| origin.path.to_string())
    }
}

/// What kept an endpoint from being read: code, words, what to do. `None` if all of it was read.
fn unread(sighting: &Sighting) -> Option<(&'static str, String, &'static str)> {
    let whys: BTreeSet<&str> = sighting
        .scopes
        .values()
        .filter_map(|scope| match scope {
            ScopeState::Unknown { why } => Some(why.as_str()),
            ScopeState::Known(_) => None,
        })
        .collect();
    if whys.is_empty() && sighting.greeting.is_some() {
        return None;
    }
    let Advice { code, help, .. } = Advice::on(sighting.trouble.iter().min().copied().unwrap_or(Trouble::Other));
    let mut why = whys.iter().next().map_or_else(|| "it does not answer".to_owned(), |why| (*why).to_owned());
    if whys.len() > 1 {
        why.push_str(&format!(" (and {} more like this)", whys.len() - 1));
    }
    Some((code, why, help))
}

fn refused(refusal: &Refusal) -> RefusalStatus {
    RefusalStatus {
        gate: refusal.gate.to_owned(),
        endpoint: refusal.endpoint.as_ref().map(ToString::to_string),
        message: refusal.message.clone(),
        help: refusal.help.clone(),
        // Without a watcher nobody could be told; the help names the flag of `ctl apply`.
        approvable: false,
    }
}
