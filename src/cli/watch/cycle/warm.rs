//! What stays between the cycles of one target, and when it is made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::order::Basis;
use crate::cli::fleet::Fleet;
use crate::cli::lagging::Lagging;
use crate::cli::watch::cycled::Waiting;
use crate::cli::{Context, Exit, Stop};
use crate::credentials::Operator;
use crate::model::{Diagnostic, Digest, EndpointName, Record, Revision, Secret, TargetConfig, TargetName};
use crate::plan::Summary;
use crate::reconcile::{self, Place, Sighting};
use crate::store::Tip;

/// What stays between the cycles of one target: connections, rates, retry budgets, the last lists, the record.
pub(in crate::cli) struct Warm {
    pub(super) target: TargetName,
    pub(super) fleet: Option<Fleet>,
    /// What the fleet was made of.
    made_of: Option<MadeOf>,
    /// Endpoints that did not let us in: their credentials are read again.
    pub(super) denied: BTreeSet<EndpointName>,
    pub(super) sightings: BTreeMap<Place, Sighting>,
    /// What lists that lag behind showed.
    pub(super) lagging: Lagging,
    pub(super) record: Option<(Option<Tip>, Record)>,
    pub(super) record_key: Option<Result<Option<Secret>, Diagnostic>>,
    pub(super) still: Option<Still>,
    /// What waited where the last cycle that planned could not look.
    pub(super) waiting: Arc<Waiting>,
}

/// What decides how a target's endpoints are spoken to.
struct MadeOf {
    config: TargetConfig,
    description: Digest,
    /// Held, so that no other operator can come to stand where it stood.
    operator: Arc<Operator>,
}

impl PartialEq for MadeOf {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
            && self.description == other.description
            && Arc::ptr_eq(&self.operator, &other.operator)
    }
}

/// Under which circumstances nothing was left to do.
pub(super) struct Still {
    pub(super) at: Circumstances,
    pub(super) checksum: Digest,
    pub(super) deletes_checksum: Digest,
    pub(super) summary: Summary,
}

#[derive(PartialEq, Eq)]
pub(super) struct Circumstances {
    pub(super) generation: u64,
    pub(super) revision: Revision,
    pub(super) snapshot: Digest,
    pub(super) tip: Option<Tip>,
    pub(super) away: BTreeSet<EndpointName>,
    pub(super) dry_run: bool,
}

impl Warm {
    /// Nothing is known yet.
    pub(in crate::cli) fn new(target: TargetName) -> Self {
        Self {
            target,
            fleet: None,
            made_of: None,
            denied: BTreeSet::new(),
            sightings: BTreeMap::new(),
            lagging: Lagging::default(),
            record: None,
            record_key: None,
            still: None,
            waiting: Arc::default(),
        }
    }

    /// Forgets what was read, so that the next cycle reads all of it.
    pub(in crate::cli) fn forget(&mut self) {
        self.sightings.clear();
        self.lagging = Lagging::default();
        (self.record, self.record_key, self.still) = (None, None, None);
    }

    /// A person says that servers which asked to be left alone may be asked again.
    pub(in crate::cli) fn reopen(&self) {
        self.fleet.iter().flat_map(|fleet| fleet.peers.values()).for_each(reconcile::Peer::reopen);
    }

    /// Stops what was started for this target.
    pub(in crate::cli) async fn close(&mut self) {
        self.forget();
        self.made_of = None;
        if let Some(fleet) = self.fleet.take() {
            fleet.dismiss().await;
        }
    }

    /// The endpoints: those of before, unless something about them is another now, or one could not be approached.
    pub(super) async fn muster(&mut self, ctx: &Context, basis: &Basis) -> Result<Fleet, Stop> {
        let project = &basis.loaded.project;
        let (Some(config), Some(api)) = (project.targets.get(&self.target), basis.loaded.apis.get(&self.target)) else {
            let message = format!("the project has no target {}", self.target);
            return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-target", message)));
        };
        let made_of = MadeOf {
            // Neither the guard nor the place where it is written changes how anybody is spoken to.
            config: TargetConfig { guard: crate::model::Guard::default(), span: None, ..config.clone() },
            description: api.origin.digest,
            operator: Arc::clone(&basis.operator),
        };
        let same = self.made_of.as_ref() == Some(&made_of);
        let denied = std::mem::take(&mut self.denied);
        let mut kept = match self.fleet.take() {
            Some(fleet) if same && fleet.refusals.is_empty() && denied.is_empty() => return Ok(fleet),
            // Who was let in before keeps its connections, its rate and its retry budget.
            Some(fleet) if same && !fleet.is_embedded() => Some(fleet),
            Some(fleet) => {
                fleet.dismiss().await;
                None
            }
            None => None,
        };
        if !same {
            self.forget();
        }
        let (targets, listener) = ([self.target.clone()], basis.listener.as_ref());
        let mut fleet = Fleet::muster(ctx, &basis.loaded, &basis.operator, &targets, &basis.limits, listener).await?;
        if let Some(kept) = &mut kept {
            fleet.keep(kept, &denied);
        }
        self.made_of = Some(made_of);
        Ok(fleet)
    }
}
