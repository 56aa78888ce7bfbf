//! Where desired state goes: one trait, one driver per sort of API.
//!
//! A driver translates and nothing more: no retry, no rate limit, no printing. Those belong to `reconcile`, once.

mod error;
pub mod http;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use crate::model::{
    AfterCall, Canonical, Cursor, Desired, Diagnostic, FieldPath, Kind, KindTable, Mark, Observation, Observed, Opaque,
    Owned, ResourceId, Scope,
};

pub use error::TargetError;
pub use memory::{Fault, Manners, Memory, Request};

/// One endpoint of a target.
pub trait Target: Send + Sync {
    /// What diff and plan must know of its kinds.
    fn kinds(&self) -> &KindTable;

    /// What this target cannot hold, found before anything is planned. Pure.
    fn audit(&self, wanted: &[&Desired]) -> Vec<Diagnostic>;

    /// Asks whether the endpoint is well and who it is; at most two requests (health, login). The identity is what the
    /// record remembers: another one later means another server.
    fn greet(&self) -> impl Future<Output = Result<Greeting, TargetError>> + Send;

    /// Lists one scope to its end.
    fn observe(
        &self,
        scope: &Scope,
        since: Option<&Cursor>,
    ) -> impl Future<Output = Result<Observation, TargetError>> + Send;

    /// Reads one resource afresh. `known` is what was last seen of it (it may be needed to address it).
    fn read(
        &self,
        id: &ResourceId,
        known: Option<&Observed>,
    ) -> impl Future<Output = Result<Option<Observed>, TargetError>> + Send;

    /// Asks the target what a write would do, where it can tell.
    fn rehearse(&self, write: &Write<'_>) -> impl Future<Output = Result<Rehearsal, TargetError>> + Send;

    /// Writes, under the write's precondition.
    fn write(
        &self,
        write: &Write<'_>,
        fence: Option<Fence>,
    ) -> impl Future<Output = Result<Outcome, TargetError>> + Send;

    /// The calls that it wants once after writes of these kinds. Pure.
    fn calls_after(&self, written: &BTreeSet<Kind>) -> Vec<AfterCall> {
        let _ = written;
        Vec::new()
    }

    /// Makes one of [`Target::calls_after`]. It may be made twice without harm.
    fn call_after(
        &self,
        call: &AfterCall,
        fence: Option<Fence>,
    ) -> impl Future<Output = Result<(), TargetError>> + Send {
        let why = format!("{}: the target has no such call", call.call);
        let _ = fence;
        std::future::ready(Err(TargetError::refused(why)))
    }

    /// How this target guards a write of this kind, decided by its description.
    fn guarding(&self, write: &Write<'_>) -> Guarding;
}

/// Who answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Greeting {
    /// The description's `identity`, else the endpoint's origin and base.
    pub identity: String,
}

/// How a write is kept from overwriting what was not seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guarding {
    /// A fresh read must come right before it: the body is merged, or the API has no conditional write.
    pub fresh_read: bool,
    /// It may be sent twice without harm (PUT of a whole object by a key that we chose, DELETE).
    pub may_repeat: bool,
    /// After a lost answer the result can be looked up by key.
    pub can_look_up: bool,
}

/// The tenure number of a leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fence(pub u64);

/// One write. A delete can only be built from [`Owned`].
#[derive(Clone, Debug)]
pub enum Write<'a> {
    /// Make it; it must not be there.
    Create {
        /// What is wanted.
        desired: &'a Desired,
        /// The mark to put on it.
        mark: Option<&'a Mark>,
    },
    /// Change it.
    Update {
        /// What is wanted.
        desired: &'a Desired,
        /// What is there: the plan's observation, or the fresh read that [`Guarding::fresh_read`] asks for. Its token
        /// is the precondition.
        base: &'a Observed,
        /// Stated fields that differ, with what is to be there.
        changes: &'a BTreeMap<FieldPath, Canonical>,
        /// Fields that were sent once and are no longer stated.
        remove: &'a [FieldPath],
        /// The mark to put on it.
        mark: Option<&'a Mark>,
    },
    /// Take it away.
    Delete {
        /// Which resource.
        id: &'a ResourceId,
        /// The proof, with what is there.
        owned: &'a Owned,
    },
    /// Take only the mark off it.
    Unmark {
        /// Which resource.
        id: &'a ResourceId,
        /// The proof, with what is there.
        owned: &'a Owned,
    },
}

impl Write<'_> {
    /// Which resource is written.
    pub fn id(&self) -> &ResourceId {
        match self {
            Self::Create { desired, .. } | Self::Update { desired, .. } => &desired.id,
            Self::Delete { id, .. } | Self::Unmark { id, .. } => id,
        }
    }

    /// The token that must still hold, if there is one.
    pub fn token(&self) -> Option<&Opaque> {
        match self {
            Self::Create { .. } => None,
            Self::Update { base, .. } => base.token.as_ref(),
            Self::Delete { owned, .. } | Self::Unmark { owned, .. } => owned.observed().token.as_ref(),
        }
    }
}

/// What a target says a write would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rehearsal {
    /// It cannot tell.
    NotOffered,
    /// Not before this resource exists.
    NotYet(ResourceId),
    /// It would go through.
    Accepted,
    /// It would be refused.
    Rejected(Box<Diagnostic>),
}

/// What became of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done, and the answer shows the object as it is now.
    Done(Box<Observed>),
    /// Done; the answer does not show the object, so it has to be read back.
    DoneUnseen,
    /// A delete that the target says is done. Nobody has seen yet that the object is not there any more.
    SaidGone,
    /// It is gone (or was already), and that was seen.
    Gone,
}
