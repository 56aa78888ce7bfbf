//! The election, as the watcher uses it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cycle::Basis;
use crate::cli::{Context, Exit, Stop};
use crate::model::{Diagnostic, ProjectName, RecordPlace, TargetName};
use crate::reconcile::{Candidacy, ElectionEvent, Elections, Gate};
use crate::store::{Etcd, EtcdConfig};
use crate::target::Fence;

/// To give the leases back may take so long; after that they end by themselves.
const RESIGN: Duration = Duration::from_secs(10);

/// The elections of this watcher, under way.
#[derive(Clone)]
pub(super) struct Leading {
    elections: Elections,
    cancel: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// A tenure's gate: open only as long as the lease surely holds.
struct Held {
    elections: Elections,
    token: Fence,
}

impl Gate for Held {
    fn check(&self, target: &TargetName) -> Result<(), String> {
        self.elections.gate(target, self.token)
    }
}

impl Leading {
    /// Stands for election at the targets.
    pub(super) fn start(
        ctx: &Context,
        members: &[String],
        project: &ProjectName,
        targets: BTreeSet<TargetName>,
        me: String,
    ) -> Result<(Self, mpsc::Receiver<ElectionEvent>), Stop> {
        let config = EtcdConfig { endpoints: members.to_vec(), ..EtcdConfig::default() };
        let etcd = Etcd::new(&config, ctx.clock.clone()).map_err(|error| {
            let help = "give each member as http://HOST:PORT or https://HOST:PORT with --etcd";
            Stop::with(Exit::Usage, Diagnostic::error("bad-etcd", error.to_string()).help(help))
        })?;
        let who = Candidacy { prefix: "/ctl".to_owned(), project: project.clone(), targets, me };
        let (elections, events) = Elections::new(who, ctx.clock.clone(), ctx.entropy.clone());
        let cancel = CancellationToken::new();
        let task = tokio::spawn({
            let (elections, cancel) = (elections.clone(), cancel.clone());
            async move { elections.run(&etcd, cancel).await }
        });
        Ok((Self { elections, cancel, task: Arc::new(Mutex::new(Some(task))) }, events))
    }

    /// The gate of a tenure.
    pub(super) fn gate(&self, token: u64) -> Arc<dyn Gate + Send + Sync> {
        Arc::new(Held { elections: self.elections.clone(), token: Fence(token) })
    }

    /// Stands for these targets from now on.
    pub(super) fn set_targets(&self, targets: BTreeSet<TargetName>) {
        self.elections.set_targets(targets);
    }

    /// How long ago the last renewal was sent that was acknowledged.
    pub(super) fn last_ack_age(&self) -> Option<Duration> {
        self.elections.last_ack_age()
    }

    /// Who else holds a target, as last seen.
    pub(super) fn holder(&self, target: &TargetName) -> Option<String> {
        self.elections.holder(target)
    }

    /// Shuts every gate: nothing new is sent.
    pub(super) fn close(&self) {
        self.elections.close();
    }

    /// Gives the leases back, so that others take over at once. Nothing of ours may be under way any more.
    pub(super) async fn resign(&self) {
        self.cancel.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            drop(tokio::time::timeout(RESIGN, task).await);
        }
    }
}

/// Why the record of a target is not one that all watchers see, if so.
pub(super) fn not_shared(basis: &Basis, target: &TargetName) -> Option<Stop> {
    let project = &basis.loaded.project;
    let embedded = project.targets.get(target).is_some_and(|t| t.endpoints.values().any(|e| e.url == "embedded"));
    // A private mirror is seen by nobody else; a repository on this machine is the one that all watchers read.
    let alone = matches!(project.record, RecordPlace::Local) && basis.loaded.source.url().is_some();
    if !embedded && !alone {
        return None;
    }
    let message = format!("with an election the record of {target} must be shared, and it is not");
    let help = match embedded {
        true => "an embedded target lives on this machine alone: watch it without --election",
        false => "write `record: {push: origin}` into ctl.yaml",
    };
    Some(Stop::with(Exit::Usage, Diagnostic::error("record-not-shared", message).help(help)))
}
