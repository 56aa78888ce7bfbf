//! A plan as data: operations, their causes and preconditions, and the refusals.

use std::fmt;
use std::sync::Arc;

use crate::model::{
    AfterCall, Canonical, Desired, Diagnostic, Digest, EndpointName, FieldPath, Key, Kind, Observed, Opaque, Owned,
    ProjectName, RecordEntry, ResourceId, Revision, Scope, Span, TargetName,
};

/// Operations that turn the observations into the snapshot.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The project.
    pub project: ProjectName,
    /// The desired commit.
    pub commit: Revision,
    /// The snapshot's digest.
    pub snapshot: Digest,
    /// What is to be done, in the order in which it runs.
    pub operations: Vec<Operation>,
    /// How many declared resources are as they should be.
    pub unchanged: usize,
    /// Declared or recorded resources of which nothing is known.
    pub unknown: usize,
    /// Scopes that could not be read.
    pub unknown_scopes: Vec<UnknownScope>,
    /// Warnings and notes (normalised fields, nothing can be deleted yet, …).
    pub diagnostics: Vec<Diagnostic>,
    /// Endpoints and targets that may not be written with this plan, and why.
    pub refusals: Vec<Refusal>,
    /// What endpoints want once after the writes of this plan, and what they are owed since an earlier run. They are no part
    /// of the checksum.
    pub calls: Vec<PlannedCall>,
}

/// A call that an endpoint wants once after writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedCall {
    /// The target.
    pub target: TargetName,
    /// The endpoint.
    pub endpoint: EndpointName,
    /// Which call.
    pub call: AfterCall,
    /// An earlier run wrote, and did not come to make it: it is made even if this plan writes nothing there.
    pub owed: bool,
}

/// A scope that could not be read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UnknownScope {
    /// The target.
    pub target: TargetName,
    /// The scope.
    pub scope: Scope,
    /// Why.
    pub why: String,
}

/// A gate that is shut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The gate: `deletes`, `updates`, `empty`, `protected`, `container`, `replace`, `foreign`, `exclusive-first-run`, …
    pub gate: &'static str,
    /// The target that is not written, or not all of it.
    pub target: TargetName,
    /// At one endpoint (the others go on, unless the gate judges the commit), or at all.
    pub endpoint: Option<EndpointName>,
    /// Of one kind, or all.
    pub kind: Option<Kind>,
    /// What is refused and the figures.
    pub message: String,
    /// The flag (or the edit) that lets this very plan through.
    pub help: String,
}

/// The number of an operation in its plan, from 1, in the order of execution.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpId(pub u32);

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op-{}", self.0)
    }
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its number.
    pub id: OpId,
    /// At which endpoint.
    pub endpoint: EndpointName,
    /// Which resource (target, kind and key).
    pub resource: ResourceId,
    /// What is done.
    pub change: Change,
    /// The other half's number, where this is half of a replace.
    pub replaces: Option<OpId>,
    /// Why.
    pub cause: Cause,
    /// What must still hold when it is written.
    pub precondition: Precondition,
    /// What comes first, and why.
    pub after: Vec<After>,
    /// True if an edge moved it out of the plain order delete, create, update.
    pub moved: bool,
    /// The smallest of its own stage and its successors' phases.
    pub phase: Stage,
    /// What a delete takes along.
    pub cascades: Vec<Cascade>,
    /// The target said that it would go through.
    pub rehearsed: bool,
    /// The stated fields that differ (for a create all of them, for a delete the recorded ones).
    pub fields: Vec<FieldDiff>,
}

/// What an operation does.
#[derive(Clone, Debug)]
pub enum Change {
    /// Makes it.
    Create {
        /// What is wanted.
        desired: Arc<Desired>,
    },
    /// Changes it.
    Update {
        /// What is wanted.
        desired: Arc<Desired>,
        /// What was observed.
        base: Box<Observed>,
        /// Fields that were sent once and are no longer stated.
        remove: Vec<FieldPath>,
    },
    /// Takes it away.
    Delete {
        /// The proof that it is ours, with what was observed.
        owned: Box<Owned>,
        /// The record's line, where there is one (`own: exclusive` does without).
        entry: Option<Box<RecordEntry>>,
    },
    /// Takes what is there under our care; writes nothing to the target.
    Adopt {
        /// What is wanted.
        desired: Arc<Desired>,
        /// What was observed.
        observed: Box<Observed>,
    },
    /// Strikes it from the record; writes nothing to the target.
    Forget {
        /// The record's line.
        entry: Box<RecordEntry>,
        /// Why: it is gone, or its manifest said `on-remove: keep`.
        why: &'static str,
    },
    /// Gives it another name.
    Rename {
        /// What is wanted.
        desired: Arc<Desired>,
        /// What was observed under the old name.
        base: Box<Observed>,
        /// The record's line under the old name.
        entry: Box<RecordEntry>,
    },
}

/// The word for a change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// `delete`
    Delete,
    /// `create`
    Create,
    /// `update`
    Update,
    /// `adopt`
    Adopt,
    /// `forget`
    Forget,
    /// `rename`
    Rename,
}

impl Action {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Create => "create",
            Self::Update => "update",
            Self::Adopt => "adopt",
            Self::Forget => "forget",
            Self::Rename => "rename",
        }
    }
}

impl Change {
    /// The word for it.
    pub fn action(&self) -> Action {
        match self {
            Self::Create { .. } => Action::Create,
            Self::Update { .. } => Action::Update,
            Self::Delete { .. } => Action::Delete,
            Self::Adopt { .. } => Action::Adopt,
            Self::Forget { .. } => Action::Forget,
            Self::Rename { .. } => Action::Rename,
        }
    }

    /// What is wanted, if something is.
    pub fn desired(&self) -> Option<&Arc<Desired>> {
        match self {
            Self::Create { desired }
            | Self::Update { desired, .. }
            | Self::Adopt { desired, .. }
            | Self::Rename { desired, .. } => Some(desired),
            Self::Delete { .. } | Self::Forget { .. } => None,
        }
    }

    /// True if the target is written.
    pub fn writes(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Update { .. } | Self::Delete { .. } | Self::Rename { .. } => true,
            Self::Adopt { .. } | Self::Forget { .. } => false,
        }
    }

    /// Where it stands in the plain order. Deletes come first, so that what they free can be taken.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Delete { .. } | Self::Forget { .. } => Stage::Delete,
            Self::Create { .. } | Self::Adopt { .. } => Stage::Create,
            Self::Update { .. } | Self::Rename { .. } => Stage::Update,
        }
    }
}

/// The plain order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// First.
    Delete,
    /// Then.
    Create,
    /// Last.
    Update,
}

/// Why something differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// Git moved.
    Intended,
    /// The target moved.
    Drift,
    /// Both moved.
    Both,
    /// The server rewrote what we wrote; never fought over.
    Normalised,
    /// No record can tell.
    Unknown,
}

impl Cause {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Drift => "drift",
            Self::Both => "both",
            Self::Normalised => "normalised",
            Self::Unknown => "unknown",
        }
    }
}

/// What must still hold when an operation is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Precondition {
    /// Nothing is there.
    Absent,
    /// The server's own token (an ETag, a version field).
    Token(Opaque),
    /// The compared fields still have this digest in a read made right before.
    Digest(Digest),
    /// Nothing can be asked.
    Unconditional(&'static str),
}

/// An operation that comes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct After {
    /// Which.
    pub op: OpId,
    /// Why.
    pub reason: EdgeReason,
}

/// Why one operation comes before another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EdgeReason {
    /// It makes what the other refers to.
    MakesReferred,
    /// It makes the parent.
    MakesParent,
    /// A child goes before its parent.
    ChildOf,
    /// A referrer goes (or is detached) before what it refers to.
    Detaches,
    /// It frees a unique key (or an identity) that the other takes.
    Frees(String),
    /// The second half of a replace.
    Replace,
    /// `dependsOn`.
    DependsOn,
    /// Adopt before update.
    Adopts,
}

impl fmt::Display for EdgeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakesReferred => f.write_str("makes what this refers to"),
            Self::MakesParent => f.write_str("makes the parent"),
            Self::ChildOf => f.write_str("is inside this"),
            Self::Detaches => f.write_str("lets go of this"),
            Self::Frees(what) => write!(f, "frees {what}"),
            Self::Replace => f.write_str("is replaced by this"),
            Self::DependsOn => f.write_str("dependsOn"),
            Self::Adopts => f.write_str("adopts this"),
        }
    }
}

/// Something that a delete takes along.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cascade {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub key: Key,
    /// The record names it.
    pub owned: bool,
    /// The same plan makes it again.
    pub recreated: bool,
}

/// One field that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldDiff {
    /// Which.
    pub path: FieldPath,
    /// What is there; `None` if nothing is, or it cannot be read.
    pub before: Option<Canonical>,
    /// What is wanted; `None` for a removal.
    pub after: Option<Canonical>,
    /// True if the values must not be shown.
    pub secret: bool,
    /// True if it changes only by delete and create.
    pub forces_replace: bool,
    /// Why it differs.
    pub cause: Cause,
    /// Where the wanted value is written. Filled in on demand, for what is shown.
    pub source: Option<Box<Span>>,
}

/// The counts of a plan. A replace counts once, and neither as delete nor as create; cascades are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Deletes.
    pub delete: usize,
    /// Creates.
    pub create: usize,
    /// Updates, renames among them.
    pub update: usize,
    /// Replaces.
    pub replace: usize,
    /// Adoptions.
    pub adopt: usize,
    /// As they should be.
    pub unchanged: usize,
    /// Of which nothing is known.
    pub unknown: usize,
}

impl Plan {
    /// The counts.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { unchanged: self.unchanged, unknown: self.unknown, ..Summary::default() };
        for op in &self.operations {
            match (op.change.action(), op.replaces) {
                (Action::Delete, Some(_)) | (Action::Forget, _) => {}
                (Action::Create, Some(_)) => summary.replace += 1,
                (Action::Delete, None) => summary.delete += 1,
                (Action::Create, None) => summary.create += 1,
                (Action::Update | Action::Rename, _) => summary.update += 1,
                (Action::Adopt, _) => summary.adopt += 1,
            }
        }
        summary
    }

    /// The operation with this number.
    pub fn operation(&self, id: OpId) -> Option<&Operation> {
        self.operations.get((id.0 as usize).checked_sub(1)?)
    }

    /// True if nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && !self.calls.iter().any(|call| call.owed)
    }

    /// The calls that are owed since an earlier run, where nothing is refused.
    pub fn owed(&self) -> impl Iterator<Item = &PlannedCall> {
        self.calls.iter().filter(|call| call.owed && self.refusal_at(&call.target, &call.endpoint).is_none())
    }
}
