//! What came of a cycle, as data. Every text in it has its secrets hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{Exit, Stop};
use crate::event::Ending;
use crate::model::{Diagnostic, Digest, EndpointName, Key, Kind, RecordHead, TargetName};
use crate::plan::{Action, Cause, Operation, Refusal, Summary};
use crate::reconcile::{Blocked, Ended, Reach, Tried, Trouble};
use crate::report::cause_text;

/// How one cycle of one target went. Whatever failed is in it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct CycleReport {
    /// The target.
    pub target: TargetName,
    /// Nothing moved: every list is as it was, and nothing was left to do. Only whether anything changed was asked.
    pub quiet: bool,
    /// Everything was read at every endpoint, and nothing is left to do.
    pub clean: bool,
    /// The plan's checksum; of the last plan in a quiet cycle. `None` if there was no plan.
    pub checksum: Option<Digest>,
    /// The checksum of its deletes.
    pub deletes_checksum: Option<Digest>,
    /// The counts of the plan.
    pub summary: Summary,
    /// Gates that are shut.
    pub refusals: Vec<Refusal>,
    /// How each endpoint answered.
    pub endpoints: BTreeMap<EndpointName, EndpointReport>,
    /// What the plan wanted, and what became of it.
    pub operations: Vec<OpReport>,
    /// What is known to wait where the plan could not look: it is declared there, and not as the record says it was sent.
    pub waiting: Arc<Waiting>,
    /// Lists that could not be read at endpoints that answer.
    pub dark: Dark,
    /// Endpoints whose call after the writes did not go through, and why.
    pub uncalled: BTreeMap<EndpointName, (Trouble, String)>,
    /// The version that this cycle wrote; it is in the record.
    pub version: Option<VersionInfo>,
    /// The version that the record has now, whoever wrote it.
    pub standing: Option<VersionInfo>,
    /// What kept the whole target from being reconciled.
    pub stopped: Option<Stopped>,
    /// Warnings and notes, of the plan and of the writing.
    pub diagnostics: Vec<Diagnostic>,
    /// How long all of it took.
    pub took: Duration,
    /// What it would mean as the exit code of an `apply`.
    pub exit: Exit,
}

/// How one endpoint answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::cli) struct EndpointReport {
    /// It was contacted in this cycle, and said who it is (or, in a quiet cycle, that nothing changed).
    pub reached: bool,
    /// Who it is.
    pub identity: Option<String>,
    /// The sort of trouble.
    pub trouble: Option<Trouble>,
    /// It was not waited for.
    pub late: bool,
    /// What went wrong first.
    pub why: Option<String>,
    /// Nothing is sent to it before this time since boot, because it asked for that, and its words.
    pub not_before: Option<(Duration, String)>,
    /// Requests that it was sent in this cycle.
    pub requests: u64,
    /// Retries that may start there now, where it was let in.
    pub retries_left: Option<u64>,
}

/// What is known of what could not be seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::cli) struct Waiting {
    /// What is to be done there as far as the record tells.
    pub operations: Vec<OpReport>,
    /// Addresses of what is as it was sent the last time: nobody knows whether it still is.
    pub unseen: BTreeSet<String>,
}

/// Lists that could not be read, by endpoint.
pub(super) type Dark = BTreeMap<EndpointName, BTreeSet<(Kind, Option<Key>)>>;

/// One operation of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct OpReport {
    /// `target:kind/field/field`
    pub address: String,
    /// Where.
    pub endpoint: EndpointName,
    /// What sort of thing.
    pub kind: Kind,
    /// What is done.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// What differs and why, in words; empty for what is done.
    pub differs: String,
    /// The digest of what is wanted; `None` for what goes.
    pub wanted: Option<Digest>,
    /// The fields that differ.
    pub fields: Vec<FieldReport>,
    /// `file:line:column` where it is declared, or the file alone.
    pub source: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// How often it was sent.
    pub attempts: u32,
    /// The sort of trouble.
    pub trouble: Option<Trouble>,
}

/// One field that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct FieldReport {
    /// Which.
    pub path: String,
    /// The digest of what was there; `None` for nothing, and for a secret.
    pub before: Option<Digest>,
    /// The digest of what is wanted; `None` for nothing, and for a secret.
    pub after: Option<Digest>,
    /// Why it differs.
    pub cause: Cause,
}

/// What the reason of an operation begins with that is left alone because a rival sets it back again and again.
pub(super) const CONTESTED: &str = "contested: ";
/// The same for one that failed and is not tried in this cycle: it is failing all the while.
pub(super) const FAILED: &str = "it is tried again later: ";

/// What became of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Outcome {
    /// Left for later, on purpose.
    Held(String),
    /// A gate is shut.
    Refused(String),
    /// It would be done; this cycle writes nothing.
    Pending,
    /// It is as wanted.
    Done,
    /// It was refused or gave up.
    Failed {
        /// What went wrong.
        why: String,
        /// What to do now.
        help: Option<String>,
    },
    /// Somebody else changed it meanwhile.
    Conflict(String),
    /// Nobody knows whether it happened.
    InDoubt(String),
    /// Not started, because of another one.
    Skipped(String),
}

/// A version that was applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct VersionInfo {
    /// Its number.
    pub number: u64,
    /// Unix seconds.
    pub time: i64,
    /// The commit.
    pub commit: String,
    /// SHA-256 of the canonical desired state.
    pub snapshot: Digest,
    /// `done` or `partial`.
    pub result: String,
    /// From the cycle's start to the record.
    pub took: Duration,
    /// Who.
    pub who: String,
}

/// What kept a target from being reconciled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Stopped {
    /// The code of the diagnostic.
    pub code: &'static str,
    /// True if another run, or a newer leader, holds the record.
    pub locked: bool,
    /// What happened.
    pub why: String,
    /// What to do now.
    pub help: Option<String>,
}

impl CycleReport {
    /// A report of nothing yet.
    pub(super) fn of(target: &TargetName) -> Self {
        Self {
            target: target.clone(),
            quiet: false,
            clean: false,
            checksum: None,
            deletes_checksum: None,
            summary: Summary::default(),
            refusals: Vec::new(),
            endpoints: BTreeMap::new(),
            operations: Vec::new(),
            waiting: Arc::default(),
            dark: Dark::new(),
            uncalled: BTreeMap::new(),
            version: None,
            standing: None,
            stopped: None,
            diagnostics: Vec::new(),
            took: Duration::ZERO,
            exit: Exit::Done,
        }
    }

    /// Takes in why the cycle came to nothing.
    pub(super) fn stop(&mut self, stop: Stop, hide: &dyn Fn(&str) -> String) {
        self.exit = self.exit.and(stop.exit);
        self.clean = false;
        if let Some(first) = stop.diagnostics.first() {
            self.stopped = Some(Stopped {
                code: first.code,
                locked: stop.exit == Exit::Locked,
                why: hide(&first.message),
                help: first.help.as_deref().map(hide),
            });
        }
        self.diagnostics.extend(stop.diagnostics);
    }

    /// The same, for the machine that decides what comes next.
    pub(in crate::cli) fn ended(&self) -> Ended {
        let blocked = self.stopped.as_ref().map(|stopped| match stopped.locked {
            true => Blocked::Locked(stopped.why.clone()),
            false => Blocked::Trouble(stopped.why.clone()),
        });
        Ended {
            clean: self.clean,
            well: self.well(),
            endpoints: self.endpoints.iter().filter_map(|(name, e)| Some((name.clone(), e.reach()?))).collect(),
            operations: self.operations.iter().filter_map(OpReport::tried).collect(),
            blocked,
        }
    }
}

impl CycleReport {
    /// Where everything was read and nothing is left to do.
    fn well(&self) -> BTreeSet<EndpointName> {
        if self.stopped.is_some() {
            return BTreeSet::new();
        }
        let whole = |endpoint: &EndpointReport| {
            endpoint.reached && endpoint.trouble.is_none() && endpoint.why.is_none() && endpoint.not_before.is_none()
        };
        let done = |name: &EndpointName| {
            self.operations.iter().all(|op| &op.endpoint != name || op.outcome == Outcome::Done)
                && self.refusals.iter().all(|r| r.endpoint.as_ref().is_some_and(|endpoint| endpoint != name))
        };
        let well = self.endpoints.iter().filter(|(name, endpoint)| whole(endpoint) && done(name));
        well.map(|(name, _)| name.clone()).collect()
    }
}

impl EndpointReport {
    /// `None` if it took no part.
    fn reach(&self) -> Option<Reach> {
        if let Some((until, why)) = self.not_before.clone() {
            return Some(Reach::AsksToWait { until, why });
        }
        let why = || self.why.clone().unwrap_or_default();
        if self.late {
            return Some(Reach::Late(why()));
        }
        match (self.reached, self.trouble) {
            (true, None) => Some(Reach::Whole),
            (false, Some(trouble)) if trouble.is_away() => Some(Reach::Away(why())),
            (_, Some(_)) => Some(Reach::Troubled(why())),
            (false, None) => None,
        }
    }
}

impl OpReport {
    /// `None` for what was not tried.
    fn tried(&self) -> Option<Tried> {
        let (done, why) = match &self.outcome {
            Outcome::Done => (true, String::new()),
            Outcome::Failed { why, .. } | Outcome::Conflict(why) | Outcome::InDoubt(why) => (false, why.clone()),
            Outcome::Held(_) | Outcome::Refused(_) | Outcome::Pending | Outcome::Skipped(_) => return None,
        };
        let drifted = self.fields.iter().filter(|field| done && field.cause == Cause::Drift);
        let corrected = match self.action {
            Action::Update => drifted.map(|field| field.path.clone()).collect(),
            Action::Create | Action::Delete | Action::Adopt | Action::Forget | Action::Rename => Vec::new(),
        };
        Some(Tried { address: self.address.clone(), wanted: self.wanted, done, why, corrected })
    }

    /// An operation and what became of it.
    pub(super) fn of(op: &Operation, outcome: Outcome, (attempts, trouble): (u32, Option<Trouble>)) -> Self {
        let desired = op.change.desired();
        let digest = |value: &Option<crate::model::Canonical>, secret: bool| {
            value.as_ref().filter(|_| !secret).map(crate::model::Canonical::digest)
        };
        let fields = op.fields.iter().map(|field| FieldReport {
            path: field.path.to_string(),
            before: digest(&field.before, field.secret),
            after: digest(&field.after, field.secret),
            cause: field.cause,
        });
        let place = op.fields.iter().find_map(|field| field.source.as_ref()).map(ToString::to_string);
        Self {
            address: op.resource.to_string(),
            endpoint: op.endpoint.clone(),
            kind: op.resource.kind.clone(),
            action: op.change.action(),
            cause: op.cause,
            differs: if outcome == Outcome::Done { String::new() } else { cause_text(op) },
            wanted: desired.map(|desired| desired.digest),
            fields: fields.collect(),
            source: place.or_else(|| desired.map(|desired| desired.origin.path.to_string())),
            outcome,
            attempts,
            trouble,
        }
    }
}

impl Outcome {
    /// Why it is not done; `None` where it is, or will be.
    pub(in crate::cli) fn why(&self) -> Option<&str> {
        match self {
            Self::Held(why)
            | Self::Refused(why)
            | Self::Failed { why, .. }
            | Self::Conflict(why)
            | Self::InDoubt(why)
            | Self::Skipped(why) => Some(why),
            Self::Pending | Self::Done => None,
        }
    }

    /// How an operation ended, secrets hidden.
    pub(super) fn of(ending: &Ending, hide: &dyn Fn(&str) -> String) -> Self {
        match ending {
            Ending::Done => Self::Done,
            Ending::Failed { why, help, .. } => Self::Failed { why: hide(why), help: help.as_deref().map(hide) },
            Ending::Conflict { why } => Self::Conflict(hide(why)),
            Ending::Skipped { why } => Self::Skipped(hide(why)),
            Ending::InDoubt { why } => Self::InDoubt(hide(why)),
        }
    }
}

impl VersionInfo {
    /// What the head of a record says.
    pub(super) fn of(head: &RecordHead) -> Self {
        Self {
            number: head.number,
            time: head.time,
            commit: head.commit.to_string(),
            snapshot: head.snapshot,
            result: head.result.clone(),
            took: Duration::from_millis(head.duration_ms.unwrap_or_default()),
            who: head.who.clone(),
        }
    }
}
