//! What a watcher says: everything that its log, its event stream and its metrics know comes through here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{EndpointName, Kind, State, TargetName};

/// What kept a cycle from its end: the values of the metric's label `error_type`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ErrorType {
    /// The source is away or cannot be read.
    Source,
    /// A manifest is wrong.
    Manifest,
    /// An endpoint is away, or does not answer in time.
    Unreachable,
    /// An endpoint does not let us in.
    Authentication,
    /// Somebody else changed what was to be changed.
    Conflict,
    /// An endpoint refuses what was sent, or says what nobody understands.
    Invalid,
    /// A guard or the operator's file says no.
    Refused,
    /// Nobody knows what became of a write.
    InDoubt,
    /// The record cannot be read or written.
    Record,
    /// Another run holds the target.
    Locked,
    /// The coordinator is away, or a lease was lost.
    Election,
    /// Anything else.
    Other,
}

impl ErrorType {
    /// All of them: each starts at 0 in the metrics.
    pub const ALL: [Self; 12] = [
        Self::Source,
        Self::Manifest,
        Self::Unreachable,
        Self::Authentication,
        Self::Conflict,
        Self::Invalid,
        Self::Refused,
        Self::InDoubt,
        Self::Record,
        Self::Locked,
        Self::Election,
        Self::Other,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Manifest => "manifest",
            Self::Unreachable => "unreachable",
            Self::Authentication => "authentication",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::InDoubt => "in_doubt",
            Self::Record => "record",
            Self::Locked => "locked",
            Self::Election => "election",
            Self::Other => "other",
        }
    }
}

/// One thing that a watcher says.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// The watcher runs.
    Started {
        /// The project.
        project: String,
        /// The source, without credentials.
        source: String,
        /// Its targets and their endpoints.
        places: Vec<(TargetName, EndpointName)>,
    },
    /// It stops: nothing new begins.
    Stopping {
        /// Because of what.
        why: String,
    },
    /// One request to an endpoint.
    Request {
        /// The target.
        target: TargetName,
        /// The endpoint.
        endpoint: EndpointName,
        /// The method.
        method: String,
        /// The path with the query.
        path: String,
        /// The answer's status; none without an answer.
        status: Option<u16>,
        /// How long it took.
        took: Duration,
        /// Why there was no answer.
        error: Option<String>,
        /// The first 500 bytes of an answer of 400 and above, secrets hidden.
        answer: Option<String>,
    },
    /// The source was asked over the network.
    Fetched {
        /// How long it took.
        took: Duration,
    },
    /// Another commit is in force.
    Loaded {
        /// The commit.
        commit: String,
        /// Resources it declares.
        resources: usize,
        /// Blobs that had to be read.
        blobs: usize,
        /// How long reading took.
        took: Duration,
        /// True if the commit does not follow the one before.
        rewritten: bool,
    },
    /// The source is away or cannot be read: what was known last stays in force.
    SourceAway {
        /// What went wrong.
        why: String,
        /// What to do.
        help: Option<String>,
    },
    /// The source is back.
    SourceBack,
    /// The snapshot in force is older than five minutes.
    SourceStale {
        /// How old it is.
        age: Duration,
    },
    /// A manifest cannot be read; what it said last stays in force, or its resources are left alone.
    Quarantined {
        /// Where.
        place: String,
        /// The code.
        code: String,
        /// What is wrong.
        message: String,
    },
    /// A manifest can be read again.
    Unquarantined {
        /// Its path.
        path: String,
    },
    /// How many resources of a target stand how. `state` is one of `in_sync`, `pending`, `failing`, `unknown`.
    Resources {
        /// The target.
        target: TargetName,
        /// By kind and state.
        counts: BTreeMap<(Kind, &'static str), usize>,
    },
    /// Something at an endpoint is not as it was applied, and nobody changed the manifest.
    Drift {
        /// The target.
        target: TargetName,
        /// The resource's address.
        address: String,
        /// `changed`, `missing` or `unmanaged`.
        cause: &'static str,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// The target.
        target: TargetName,
        /// The endpoint.
        endpoint: EndpointName,
        /// How long until then.
        wait: Duration,
        /// What went wrong.
        why: String,
    },
    /// A write ended. `outcome` is `done`, `failed`, `conflict`, `in_doubt`, `skipped` or `held`.
    Wrote {
        /// The target.
        target: TargetName,
        /// The endpoint.
        endpoint: EndpointName,
        /// The resource's address.
        address: String,
        /// `delete`, `create`, `update`, …
        action: &'static str,
        /// How it ended.
        outcome: &'static str,
        /// Why, if not well.
        why: Option<String>,
        /// `file:line:column` of what states it.
        source: Option<String>,
    },
    /// A cycle of a target is over. One in which nothing moved is not logged.
    Cycled {
        /// The target.
        target: TargetName,
        /// How long it took.
        took: Duration,
        /// True if nothing moved.
        quiet: bool,
        /// What kept it from its end.
        errors: Vec<(ErrorType, String)>,
        /// Operations that wait now.
        queue: usize,
    },
    /// A version was applied and is in the record.
    Version {
        /// The target.
        target: TargetName,
        /// Its number.
        number: u64,
        /// The commit.
        commit: String,
        /// SHA-256 of the canonical desired state.
        snapshot: String,
        /// `done` or `partial`.
        result: String,
        /// How long it took.
        took: Duration,
        /// Who.
        who: String,
    },
    /// An endpoint stands otherwise now.
    StateChanged {
        /// The target.
        target: TargetName,
        /// The endpoint.
        endpoint: EndpointName,
        /// Until now.
        from: State,
        /// From now on.
        to: State,
        /// Why.
        why: Option<String>,
        /// What to do about it.
        help: Option<String>,
    },
    /// A rival keeps changing a field back: it is left alone.
    Contested {
        /// The target.
        target: TargetName,
        /// The resource's address.
        address: String,
        /// The field.
        field: String,
    },
    /// This watcher leads at a target.
    Won {
        /// The target.
        target: TargetName,
        /// The fencing token.
        token: u64,
    },
    /// It does not lead any more.
    Lost {
        /// The target.
        target: TargetName,
        /// Why.
        why: String,
    },
    /// The coordinator does not answer.
    CoordinatorAway {
        /// Why.
        why: String,
    },
    /// The coordinator answers again.
    CoordinatorBack,
    /// A person asked for something.
    Ordered {
        /// What.
        order: String,
        /// Who.
        who: String,
        /// True if it is done.
        accepted: bool,
        /// What was answered.
        answer: String,
    },
    /// A forged or malformed webhook was refused.
    HookRefused {
        /// Why.
        why: &'static str,
    },
    /// Anything else that an operator should know.
    Note {
        /// How grave.
        level: Level,
        /// What.
        message: String,
    },
}

/// How grave a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For those who look closely.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something does not work.
    Error,
}

/// One line of the log and of the event stream.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Counts the entries of this watcher, from 1: where a reader left off.
    pub seq: u64,
    /// RFC 3339, wall clock.
    pub time: String,
    /// How grave.
    pub level: Level,
    /// What sort of event: `loaded`, `cycled`, `wrote`, …
    pub event: String,
    /// The target, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The endpoint, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The resource's address, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// One line for people.
    pub message: String,
    /// The rest, by name.
    #[serde(flatten)]
    pub fields: serde_json::Map<String, serde_json::Value>,
}
