//! Operations whose order is not known yet, and where they stand.

use std::collections::{BTreeSet, HashMap};

use super::change::{Cause, Change, FieldDiff, OpId, Operation, Precondition};
use super::site::{Which, value_of};
use crate::model::{EndpointName, Kind, RecordEntry, ResourceId, Value};

/// An operation whose place is not known yet.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) op: Operation,
    /// The place of the other half of a replace, among the drafts.
    pub(super) other_half: Option<usize>,
    /// What the object is once the first half of a split is done, for the second.
    pub(super) shown: Option<Value>,
    /// What a delete takes along.
    pub(super) taken: Vec<(Kind, Value)>,
    /// What it has to let go of before, and takes hold of again.
    pub(super) reattaches: BTreeSet<Which>,
    /// True for the first half of a split.
    pub(super) detaches: bool,
    /// The place of the first half of a split, for the second.
    pub(super) second_of: Option<usize>,
    /// The record's line, for digests.
    pub(super) entry: Option<Box<RecordEntry>>,
}

impl Draft {
    pub(super) fn new(
        endpoint: EndpointName,
        resource: ResourceId,
        change: Change,
        cause: Cause,
        precondition: Precondition,
        fields: Vec<FieldDiff>,
    ) -> Self {
        let phase = change.stage();
        let op = Operation {
            id: OpId(0),
            endpoint,
            resource,
            change,
            replaces: None,
            cause,
            precondition,
            after: Vec::new(),
            moved: false,
            phase,
            cascades: Vec::new(),
            rehearsed: false,
            fields,
        };
        Self {
            op,
            other_half: None,
            shown: None,
            taken: Vec::new(),
            reattaches: BTreeSet::new(),
            detaches: false,
            second_of: None,
            entry: None,
        }
    }

    /// What the object will be. Its tree is made whenever it is asked for: ten thousand trees at once would be most of
    /// what a plan takes of memory, and most kinds need none.
    pub(super) fn want(&self) -> Option<Value> {
        match &self.op.change {
            Change::Create { desired } | Change::Update { desired, .. } | Change::Rename { desired, .. } => {
                Some(desired.body.value())
            }
            Change::Adopt { .. } | Change::Delete { .. } | Change::Forget { .. } => None,
        }
    }

    /// What it was.
    pub(super) fn have(&self) -> Option<Value> {
        match &self.op.change {
            _ if self.shown.is_some() => self.shown.clone(),
            Change::Update { base, .. } | Change::Rename { base, .. } => Some(value_of(base)),
            Change::Delete { owned, .. } => Some(value_of(owned.observed())),
            Change::Create { .. } | Change::Adopt { .. } | Change::Forget { .. } => None,
        }
    }
}

/// Where the operations on one resource stand among the drafts.
pub(super) type Places<'a> = HashMap<(&'a EndpointName, &'a ResourceId), Slots>;

/// The operations on one resource.
#[derive(Clone, Copy, Default)]
pub(super) struct Slots {
    pub(super) delete: Option<usize>,
    pub(super) create: Option<usize>,
    pub(super) update: Option<usize>,
    pub(super) adopt: Option<usize>,
}
