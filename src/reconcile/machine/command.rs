//! What the machine wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Digest, EndpointName, TargetName};
use crate::reconcile::contest::Contests;
use crate::reconcile::peer::Place;

/// What the machine wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Look at the source; answer with [`Input::Looked`](super::Input::Looked).
    Look,
    /// Reconcile a target; answer with [`Input::Cycled`](super::Input::Cycled).
    Cycle(TargetName, Job),
    /// Ask whether an endpoint answers; answer with [`Input::Probed`](super::Input::Probed).
    Probe(Place),
    /// The snapshot in force is older than it should be: say so.
    Stale(Duration),
    /// A rival changes a field back again and again: it is left alone from now on; say so.
    Contested {
        /// The target.
        target: TargetName,
        /// The resource's address.
        address: String,
        /// The field.
        field: String,
    },
    /// Give the leases back: others take over at once.
    Resign,
    /// Nothing is in flight any more: leave.
    Done,
}

/// One cycle.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Job {
    /// Plan and report, write nothing.
    pub dry: bool,
    /// The fencing token, under election.
    pub token: Option<u64>,
    /// Nothing is deleted, because the desired state is an old one: the source is away, or was not heard of for long.
    pub stale: bool,
    /// Endpoints that are not contacted.
    pub away: BTreeSet<EndpointName>,
    /// Endpoints that were late the last time, and answered a probe since: they are waited for.
    pub patient: BTreeSet<EndpointName>,
    /// Resources that are left alone for now, unless their manifest is another one, and why.
    pub waiting: BTreeMap<String, (Option<Digest>, String)>,
    /// Fields that a rival keeps changing back.
    pub contests: Contests,
}
