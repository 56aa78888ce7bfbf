//! All that a plan is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    Complete, Desired, Digest, EndpointName, EndpointRecord, Guard, Key, Kind, KindTable, Own, Project, Revision,
    ScopeState, TargetName,
};

/// All that a plan is made of.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    /// The project.
    pub project: &'a Project,
    /// The desired commit.
    pub commit: Revision,
    /// The snapshot's digest.
    pub snapshot: Digest,
    /// The targets of this run, by name.
    pub targets: Vec<TargetInput<'a>>,
    /// `--allow-replace`.
    pub allow_replace: bool,
    /// `--allow-deletes SUM`: compared with the plan's `deletes_checksum`.
    pub allow_deletes: Option<Digest>,
    /// `--allow-updates SUM`: compared with the plan's checksum.
    pub allow_updates: Option<Digest>,
}

/// One target.
#[derive(Clone, Debug)]
pub struct TargetInput<'a> {
    /// Its name.
    pub name: TargetName,
    /// Its kinds.
    pub table: &'a KindTable,
    /// How it is owned.
    pub own: Own,
    /// False for `marks: off`.
    pub marks: bool,
    /// The guard: the stricter of the recorded and the current one.
    pub guard: Guard,
    /// What the snapshot wants here: all of it, whatever is selected.
    pub desired: Complete<Vec<Arc<Desired>>>,
    /// Addresses (kind, key) that this run may touch; `None` means all. Others get no operation and are not counted.
    pub selected: Option<BTreeSet<(Kind, Key)>>,
    /// The endpoints of this run.
    pub endpoints: Vec<EndpointInput<'a>>,
    /// True if no record exists yet: nothing can be deleted in this run, unless `own` is exclusive.
    pub first_run: bool,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct EndpointInput<'a> {
    /// Its name.
    pub name: EndpointName,
    /// What is owned there.
    pub record: &'a EndpointRecord,
    /// Entries whose HMAC did not verify (with a `record-key`): they permit no delete.
    pub unverified: BTreeSet<(Kind, Key)>,
    /// Of kinds whose lists lag behind (`eventual`): what two complete lists showed alike, far enough apart. Nothing else of
    /// these kinds is deleted.
    pub twice: BTreeSet<(Kind, Key)>,
    /// Of the same kinds: what is recorded, and what two complete lists, far enough apart, did not show. Nothing else of
    /// these kinds counts as gone.
    pub missed: BTreeSet<(Kind, Key)>,
    /// What was read, by kind and parent.
    pub scopes: &'a BTreeMap<(Kind, Option<Key>), ScopeState>,
}
