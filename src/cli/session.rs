//! One run up to its plan: load, agree with the operator's file, read the records, observe, plan.

mod build;
mod calls;
mod checks;
mod locate;
mod look;
mod open;
mod signed;
mod verdict;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::fleet::Fleet;
use super::lagging::Lagging;
use super::load::Loaded;
use super::selection::Selection;
use super::stores::Stores;
use super::{Exit, Stop};
use crate::credentials::{Operator, Redactor};
use crate::model::{
    Complete, Diagnostic, Digest, EndpointName, EndpointRecord, Guard, Kind, Project, Record, Secret, Snapshot, Spans,
    TargetName,
};
use crate::plan::Plan;
use crate::reconcile::{Place, Sighting};
use crate::store::Tip;
use locate::File;

pub(super) use open::{Parts, Wishes, agree, check_folder, digest};
pub(super) use verdict::{Advice, advice, refusal_exit, refusals};

/// Everything that a run knows before it plans.
pub(super) struct Session {
    /// Project, commit, descriptions.
    pub loaded: Arc<Loaded>,
    /// What the operator allows.
    pub operator: Arc<Operator>,
    /// Hides values from output.
    pub redactor: Redactor,
    /// Where the records are.
    pub stores: Arc<Stores>,
    /// The desired state.
    pub snapshot: Arc<Complete<Snapshot>>,
    /// The targets of this run.
    pub targets: Vec<TargetName>,
    /// The records as they were read, and where they stood.
    pub records: BTreeMap<TargetName, (Option<Tip>, Record)>,
    /// Whom the run speaks to.
    pub fleet: Fleet,
    /// What lists that lag behind showed before.
    pub lagging: Lagging,
    /// Targets that another run holds, and what to say of it.
    pub locked: BTreeMap<TargetName, String>,
    /// What cannot be read of a record, where it is damaged and was opened to be made anew.
    pub damaged: BTreeMap<TargetName, Vec<String>>,
    /// The operator's `record-key`, read once.
    pub record_key: Result<Option<Secret>, Diagnostic>,
    selection: Selection,
    leave: Leave,
    accept_rewrite: Option<String>,
    /// False in a process that stays: what concerns other targets is looked at once, and not in each cycle.
    alone: bool,
    places: Mutex<BTreeMap<File, Vec<(usize, Spans)>>>,
}

#[derive(Clone, Debug, Default)]
struct Leave {
    replace: bool,
    deletes: Option<Digest>,
    updates: Option<Digest>,
}

/// A plan with what was seen on the way.
pub(super) struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Its checksum.
    pub checksum: Digest,
    /// Who answered and what was listed, by endpoint.
    pub sightings: BTreeMap<Place, Sighting>,
    /// What the reading alone means for the exit code.
    pub exit: Exit,
}

impl Session {
    /// Lets a plan of exactly these operations through the guards that ask for consent. Where they refuse what no consent
    /// can allow (`replace: never`, a protected resource), or somebody is not trusted, the plan stays refused.
    pub(super) fn consent(&mut self, plan: &Plan) {
        self.leave = Leave { replace: true, deletes: Some(plan.deletes_checksum()), updates: Some(plan.checksum()) };
    }

    /// Takes consent back: it was for one plan.
    pub(super) fn withdraw(&mut self) {
        self.leave = Leave::default();
    }

    /// The same for its deletes alone.
    pub(super) fn consent_to_deletes(&mut self, sum: Digest) {
        self.leave.deletes = Some(sum);
    }

    /// The project.
    pub(super) fn project(&self) -> &Project {
        &self.loaded.project
    }

    /// True if nothing was selected: the run is about all of its targets.
    pub(super) fn is_whole(&self) -> bool {
        self.selection.is_all()
    }

    /// The record of one endpoint.
    pub(super) fn endpoint_record(&self, target: &TargetName, endpoint: &EndpointName) -> Option<&EndpointRecord> {
        self.records.get(target)?.1.endpoints.get(endpoint)
    }

    /// The names of a kind's key fields.
    pub(super) fn key_names(&self, target: &TargetName, kind: &Kind) -> Vec<String> {
        let rules = self.loaded.apis.get(target).and_then(|api| api.description.table().get(kind));
        rules.map(|r| r.key.iter().map(|f| f.name.clone()).collect()).unwrap_or_default()
    }

    /// The guard that holds for a target from this run on.
    pub(super) fn guard(&self, target: &TargetName) -> Guard {
        self.project().targets.get(target).map(|t| t.guard).unwrap_or_default()
    }

    /// Stops what was started for this run.
    pub(super) async fn close(self) {
        let Self { fleet, snapshot, records, loaded, .. } = self;
        fleet.dismiss().await;
        // The program ends now: to free what may be a million small pieces one by one would only take time.
        std::mem::forget((snapshot, records, loaded));
    }
}

/// The targets that fit one of the globs; all of them without globs.
pub(super) fn choose(project: &Project, globs: &[String]) -> Result<Vec<TargetName>, Stop> {
    for glob in globs {
        if !project.targets.keys().any(|name| crate::model::glob_matches(glob, name.as_str())) {
            let known: Vec<&str> = project.targets.keys().map(TargetName::as_str).collect();
            let message = format!("the project has no target `{glob}`");
            let help = format!("it has: {}", known.join(", "));
            return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-target", message).help(help)));
        }
    }
    let fits =
        |name: &TargetName| globs.is_empty() || globs.iter().any(|g| crate::model::glob_matches(g, name.as_str()));
    Ok(project.targets.keys().filter(|name| fits(name)).cloned().collect())
}
