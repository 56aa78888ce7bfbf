//! What happened, as data. Events are the only thing the doing side says; lines, bars, logs and metrics listen.

mod entry;
mod news;

use std::time::Duration;

use crate::model::{EndpointName, FieldPath, Scope, TargetName};
use crate::plan::OpId;

pub use news::{Entry, ErrorType, Level, News};

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A scope is about to be listed.
    Listing {
        /// The target.
        target: TargetName,
        /// The scope.
        scope: Scope,
    },
    /// A scope was listed to its end.
    Listed {
        /// The target.
        target: TargetName,
        /// The scope.
        scope: Scope,
        /// Pages read.
        pages: usize,
        /// Items found.
        items: usize,
    },
    /// A scope could not be read: it is unknown.
    ListFailed {
        /// The target.
        target: TargetName,
        /// The scope.
        scope: Scope,
        /// Why.
        why: String,
    },
    /// An operation starts.
    Started {
        /// Which.
        op: OpId,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// Which operation, or none for a list.
        op: Option<OpId>,
        /// At which target.
        target: TargetName,
        /// At which endpoint.
        endpoint: EndpointName,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// How long until the next.
        wait: Duration,
        /// What went wrong.
        why: String,
    },
    /// An operation is over.
    Finished {
        /// Which.
        op: OpId,
        /// How it ended.
        outcome: Ending,
    },
}

/// How an operation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It is as wanted.
    Done,
    /// It was refused or gave up; nothing (more) was changed by it.
    Failed {
        /// What went wrong.
        why: String,
        /// What to do now.
        help: Option<String>,
        /// The field that it is about, as the target calls it.
        field: Option<FieldPath>,
    },
    /// Somebody else changed the object meanwhile; their change stands.
    Conflict {
        /// What was found.
        why: String,
    },
    /// Not started.
    Skipped {
        /// Because of what.
        why: String,
    },
    /// Sent, and nobody can tell whether it happened.
    InDoubt {
        /// What is known.
        why: String,
    },
}
