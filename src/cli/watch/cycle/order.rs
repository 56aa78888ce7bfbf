//! What a cycle is given: what is to be, and what it may do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lock::Locks;
use crate::cli::Stop;
use crate::cli::args::LimitArgs;
use crate::cli::fleet::Listener;
use crate::cli::load::Loaded;
use crate::cli::stores::Stores;
use crate::credentials::Operator;
use crate::event::Event;
use crate::model::{Complete, Digest, EndpointName, Snapshot};
use crate::plan::Operation;
use crate::reconcile::{Gate, Here};
use crate::target::Fence;

/// What is to be: shared by the cycles of all targets until the source moves.
#[derive(Clone)]
pub(in crate::cli) struct Basis {
    /// Project, commit, descriptions; the operator's limits hold in it (`session::agree`).
    pub loaded: Arc<Loaded>,
    /// The desired state.
    pub snapshot: Arc<Complete<Snapshot>>,
    /// What the operator allows.
    pub operator: Arc<Operator>,
    /// Where the records are.
    pub stores: Arc<Stores>,
    /// The lock of the repository on this machine: one for all generations.
    pub locks: Arc<Locks>,
    /// Why nothing may be deleted or replaced, if so: the source is an old one, or a part of it could not be read.
    pub deletes_held: Option<String>,
    /// Hears of every request.
    pub listener: Option<Listener>,
    /// How fast, as the command line says.
    pub limits: LimitArgs,
    /// Another number for other content.
    pub generation: u64,
}

/// What one cycle may do.
pub(in crate::cli) struct Order<'a> {
    /// This process, with its fencing token under election.
    pub here: Here,
    /// The leader's gate: asked before every attempt to write, and before the record is written.
    pub gate: Option<Arc<dyn Gate + Send + Sync>>,
    /// The tenure number for servers that honour one.
    pub fence: Option<Fence>,
    /// Plan and report; write nothing, not even the record.
    pub dry_run: bool,
    /// An operator chose this commit: that it is older, or on another branch, is no reason to refuse it.
    pub pinned: bool,
    /// Asked before anything is written: whether people want it still. Blocks.
    pub obeys: &'a (dyn Fn() -> Result<(), Stop> + Sync),
    /// Endpoints that are not contacted: what is to be done there is held.
    pub away: BTreeSet<EndpointName>,
    /// Endpoints that are waited for though all others are looked at.
    pub patient: BTreeSet<EndpointName>,
    /// Operations that are left for later, and why.
    pub hold: &'a dyn Fn(&Operation) -> Option<String>,
    /// Checksums of plans, or of their deletes, that an operator lets through the guards that ask for consent.
    pub approved: Vec<Digest>,
    /// Hears what happens; secrets are hidden.
    pub tell: &'a (dyn Fn(Event) + Sync),
    /// Once cancelled nothing new starts; what is in flight comes to its end and into the record.
    pub cancel: CancellationToken,
    /// How far two lists that lag behind must be apart to agree on a delete.
    pub apart: Duration,
    /// How long a server may ask to wait, all together, before a request gives up.
    pub patience: Duration,
}
