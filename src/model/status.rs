//! What a watcher says of itself: one document, the same over HTTP, as JSON and as text. Every value has an age.

use serde::{Deserialize, Serialize};

/// When something was so, and how long ago that is by the clock of whoever says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stamp {
    /// Unix seconds, wall clock: for people.
    pub time: i64,
    /// Seconds since then, by a clock that is never set.
    pub age: u64,
}

/// How an endpoint stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As the commit says, or on the way there.
    #[default]
    Ok,
    /// Something at it does not come through; it is tried again.
    Failing,
    /// A guard or the operator's file says no; waits for a person or another commit.
    Refused,
    /// A person stopped it.
    Suspended,
    /// The desired state is an old one, because its source is away or cannot be read.
    StaleSource,
    /// Something was sent and nobody knows whether it arrived.
    InDoubt,
    /// Another watcher leads here.
    NotLeader,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl State {
    /// All of them, for metrics that show each.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Failing, Self::Refused, Self::Suspended, Self::StaleSource, Self::InDoubt, Self::NotLeader];

    /// The word, as it stands in JSON, metrics and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Refused => "refused",
            Self::Suspended => "suspended",
            Self::StaleSource => "stale-source",
            Self::InDoubt => "in-doubt",
            Self::NotLeader => "not-leader",
        }
    }
}

/// All that a watcher knows of how it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `1.0`; another first number means another shape.
    pub format_version: String,
    /// The version of `ctl`.
    pub ctl: String,
    /// The project.
    pub project: String,
    /// `watch`, `dry-run`, or `once` where it was computed without a watcher.
    pub mode: String,
    /// When the watcher started.
    pub started: Stamp,
    /// True if the watcher does its work: it knows what is wanted, the coordinator answers, and it gets somewhere at one of
    /// its targets at least. Each target says for itself whether it is kept in order.
    pub ready: bool,
    /// Why it is not ready, a line each.
    pub not_ready: Vec<String>,
    /// Where the desired state comes from.
    pub source: SourceStatus,
    /// The election, if there is one.
    pub election: Option<ElectionStatus>,
    /// The targets, by name.
    pub targets: Vec<TargetStatus>,
    /// The resources that fit the address that was asked for, declared or recorded: at most [`MAX_PENDING`] of them;
    /// null where no address was asked for.
    pub resources: Option<Vec<ResourceStatus>>,
}

/// A resource that there is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceStatus {
    /// Its address: `target:kind/key`.
    pub address: String,
    /// Where it is declared, if it is: `file`, or `file:line:column`.
    pub source: Option<String>,
}

/// Where the desired state comes from and how old it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceStatus {
    /// As it was typed, without credentials.
    pub source: String,
    /// The commit in force.
    pub commit: Option<String>,
    /// When the source was last known to say so.
    pub fresh: Option<Stamp>,
    /// True while the last known good snapshot is used because the source is away or cannot be read.
    pub stale: bool,
    /// What went wrong with the source, the last time it was asked.
    pub why: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// When it is asked again.
    pub next: Option<Stamp>,
    /// Why nothing is deleted at the moment, if so.
    pub deletes_held: Option<String>,
    /// Manifests that are left out, or kept as they last were, because they cannot be read.
    pub quarantined: Vec<Quarantined>,
}

/// A manifest that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quarantined {
    /// `path:line:column`, or the path.
    pub place: String,
    /// The code, for `ctl explain`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// True if what the file said last stays in force; else its resources are left alone.
    pub kept: bool,
}

/// How the election stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ElectionStatus {
    /// True if the coordinator answers.
    pub reachable: bool,
    /// Seconds since a renewal was sent that was acknowledged.
    pub last_ack_age: Option<u64>,
    /// What went wrong the last time.
    pub why: Option<String>,
    /// When what people ordered at any watcher was last heard.
    pub orders: Option<Stamp>,
    /// Why it cannot be heard now, or others cannot be told, if so.
    pub orders_why: Option<String>,
}

/// How one target stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetStatus {
    /// Its name.
    pub target: String,
    /// True if this watcher writes here (always, without an election).
    pub leader: bool,
    /// The fencing token of its tenure.
    pub token: Option<u64>,
    /// The version that was applied last.
    pub version: Option<VersionStatus>,
    /// Who stopped it, until when, and why.
    pub suspended: Option<Suspension>,
    /// The older commit that it is held at, after a rollback.
    pub held_at: Option<String>,
    /// Who holds it there, since when, and which version that is.
    pub held: Option<Holding>,
    /// True while a cycle runs.
    pub running: bool,
    /// When the last cycle ended.
    pub last_cycle: Option<Stamp>,
    /// When the last cycle ended in which everything was read and nothing was left to do.
    pub last_success: Option<Stamp>,
    /// Why it is not known to be kept in order, if so: nothing fully succeeded there for three intervals, or nobody leads.
    pub not_ready: Option<String>,
    /// How long the last cycle took, in milliseconds.
    pub took_ms: u64,
    /// When the next cycle starts, unless something calls for it earlier.
    pub next: Option<Stamp>,
    /// The checksum of the plan of the last cycle, for `ctl approve`.
    pub checksum: Option<String>,
    /// The checksum of its deletes.
    pub deletes_checksum: Option<String>,
    /// Operations by action, of the last plan.
    pub delete: usize,
    /// See `delete`.
    pub create: usize,
    /// See `delete`.
    pub update: usize,
    /// See `delete`.
    pub adopt: usize,
    /// Resources that are as they should be.
    pub unchanged: usize,
    /// Resources of which nothing is known.
    pub unknown: usize,
    /// What a guard or the operator's file says no to.
    pub refusals: Vec<RefusalStatus>,
    /// Its endpoints, by name.
    pub endpoints: Vec<EndpointStatus>,
    /// Operations that wait or do not come through: at most [`MAX_PENDING`] of them.
    pub pending: Vec<PendingStatus>,
    /// How many there are.
    pub pending_total: usize,
}

/// How many pending operations of a target a status lists.
pub const MAX_PENDING: usize = 200;

/// One refusal.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusalStatus {
    /// Which guard.
    pub gate: String,
    /// At which endpoint, if at one.
    pub endpoint: Option<String>,
    /// What it says.
    pub message: String,
    /// What to do.
    pub help: String,
    /// True if `ctl approve` lets it through.
    pub approvable: bool,
}

/// One applied version.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionStatus {
    /// Counts the outcomes of a target, from 1.
    pub number: u64,
    /// When it was applied.
    pub applied: Stamp,
    /// The commit.
    pub commit: String,
    /// SHA-256 of the canonical desired state.
    pub snapshot: String,
    /// `done`, `partial`, …
    pub result: String,
    /// How long it took, in milliseconds, where that is known.
    pub took_ms: Option<u64>,
    /// Who applied it.
    pub who: String,
}

/// Somebody stopped a target.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Suspension {
    /// Since when.
    pub since: Stamp,
    /// Seconds until it ends by itself; for ever without.
    pub left: Option<u64>,
    /// Who.
    pub who: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// True while only this watcher knows of it, and others may write there.
    pub only_here: bool,
}

/// Somebody holds a target at an older commit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Holding {
    /// The version that was asked for.
    pub version: u64,
    /// Since when.
    pub since: Stamp,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
}

/// How one endpoint stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointStatus {
    /// Its name.
    pub endpoint: String,
    /// How it stands.
    pub state: State,
    /// Since when.
    pub since: Stamp,
    /// What is wrong, for `ctl explain`.
    pub code: Option<String>,
    /// What is wrong, in words.
    pub why: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// When everything there was as it should be the last time.
    pub last_success: Option<Stamp>,
    /// The last request.
    pub last_request: Option<LastRequest>,
    /// How often in a row it failed.
    pub attempts: u32,
    /// When it is tried again, if it is failing.
    pub next: Option<Stamp>,
    /// Operations that wait there.
    pub pending: usize,
}

/// The last request to an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastRequest {
    /// When.
    pub sent: Stamp,
    /// The method.
    pub method: String,
    /// The path, with the query, without credentials.
    pub path: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why there was no answer.
    pub error: Option<String>,
    /// The first 500 bytes of an answer that says no (400 and above), secrets hidden.
    pub answer: Option<String>,
}

/// An operation that waits or does not come through: why this resource is not in sync.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingStatus {
    /// The resource's address: `target:kind/key`.
    pub address: String,
    /// Where.
    pub endpoint: String,
    /// `delete`, `create`, `update`, `adopt`, `forget`, `rename`.
    pub action: String,
    /// Why it is to be done: what differs, in words.
    pub cause: String,
    /// `file:line:column` of what states it.
    pub source: Option<String>,
    /// `waiting`, `failed`, `conflict`, `in-doubt`, `held`, `refused`, `contested`.
    pub state: String,
    /// Why it is not done.
    pub why: String,
    /// What to do.
    pub help: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again.
    pub next: Option<Stamp>,
}

/// What a person asks of a watcher. A member that it does not have is an error: a misspelt `target` would be all targets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Try again now, whatever waits.
    Retry {
        /// A glob of target names; all without.
        target: Option<String>,
    },
    /// Write nothing there.
    Suspend {
        /// A glob of target names; all without.
        target: Option<String>,
        /// For so many seconds; until `resume` without.
        seconds: Option<u64>,
        /// Why.
        reason: Option<String>,
    },
    /// Go on, with the newest commit.
    Resume {
        /// A glob of target names; all without.
        target: Option<String>,
    },
    /// Apply the commit of an older version, and stay there until `resume`.
    Rollback {
        /// The target.
        target: String,
        /// Its version.
        version: u64,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Let a refused plan through.
    Approve {
        /// The plan's checksum, or that of its deletes: 64 hexadecimal digits.
        checksum: String,
        /// For so many seconds.
        seconds: u64,
    },
}

/// What a watcher says to an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// True if it is carried out.
    pub accepted: bool,
    /// What is done, or why not.
    pub message: String,
    /// What to do if not.
    pub help: Option<String>,
    /// True if it holds at this watcher alone so far, though others may write there too.
    #[serde(default)]
    pub only_here: bool,
}
