//! What arrives at the loop, as inputs of the machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Turn;
use crate::cli::Exit;
use crate::cli::watch::board::{Ask, Versions};
use crate::cli::watch::cycle::{Basis, Warm};
use crate::cli::watch::cycled::CycleReport;
use crate::cli::watch::desired::Read;
use crate::cli::watch::leading::not_shared;
use crate::cli::watch::telling;
use crate::event::{Level, News};
use crate::model::{Revision, TargetName};
use crate::reconcile::{Blocked, ElectionEvent, Ended, Input, Place, Silence};
use crate::store::{RecordName, Store as _};

/// When an older commit that could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// So many versions are kept.
const VERSIONS: usize = 100;

/// What arrives at the loop.
pub(in crate::cli::watch) enum Come {
    /// A look at the source ended.
    Read(Box<Read>),
    /// A cycle ended; without a report it broke.
    Cycled(TargetName, Option<(Box<Warm>, Box<CycleReport>)>),
    /// A probe ended.
    Probed(Place, Option<Box<Warm>>, Result<(), Silence>),
    /// Something happened in the election.
    Election(ElectionEvent),
    /// An older commit was read, or not.
    Pinned(TargetName, Revision, Result<Arc<Basis>, String>),
}

impl Turn {
    pub(super) fn arrived(&mut self, come: Come) -> Result<Vec<Input>, crate::cli::Stop> {
        Ok(match come {
            Come::Read(read) => {
                let moved = match &*read {
                    Read::Moved(moved) => Some(moved),
                    Read::Away { recalled, .. } => recalled.as_ref().map(|(moved, _)| moved),
                    Read::Same { .. } => None,
                };
                let before: BTreeSet<TargetName> =
                    self.board.machine().targets().map(|(name, _)| name.clone()).collect();
                if let Some(moved) = moved {
                    self.board.hide_as(moved.basis.operator.redactor());
                    self.board.find_versions(versions(&moved.basis));
                    self.basis = Some(Arc::clone(&moved.basis));
                    if self.stand.is_some() {
                        self.board.share_at(&moved.basis);
                    }
                    let targets: BTreeSet<TargetName> = moved.places.iter().map(|(target, _)| target.clone()).collect();
                    match (&self.leading, &self.stand) {
                        (Some(leading), _) => leading.set_targets(self.shared(&moved.basis, targets)),
                        (None, Some(stand)) => {
                            let leading = stand(&moved.basis, &targets)?;
                            self.board.leading.get_or_init(|| leading.clone());
                            self.leading = Some(leading);
                        }
                        (None, None) => {}
                    }
                }
                self.changes.renew();
                let looked = telling::looked(&self.board, *read);
                let now: BTreeSet<TargetName> = self.board.machine().targets().map(|(name, _)| name.clone()).collect();
                self.leave(&now);
                // What people asked of an earlier watcher still holds, and what they asked of a target that went away
                // and came back.
                let held = self.board.orders().names();
                let new: Vec<TargetName> =
                    now.difference(&before).filter(|name| held.contains(name.as_str())).cloned().collect();
                let mut inputs = self.reordered(&new);
                inputs.push(looked);
                self.manager.ready(&self.summary());
                inputs
            }
            Come::Cycled(target, ended) => {
                self.over.insert(target.clone());
                self.running.remove(&target);
                let outdated = self.outdated.remove(&target);
                let Some((mut warm, report)) = ended else {
                    let why = "a cycle broke off; this is a defect of ctl: it is tried again, and what the log says before this is \
                               what to report"
                        .to_owned();
                    self.board.say(&News::Note { level: Level::Error, message: format!("{target}: {why}") });
                    let ended = Ended { blocked: Some(Blocked::Trouble(why)), ..Ended::default() };
                    self.exit = self.exit.and(Exit::Failed);
                    return Ok(vec![Input::Cycled(target, Box::new(ended))]);
                };
                if let Some(basis) = self.basis_of(&target) {
                    telling::cycled(&self.board, &basis, &report);
                }
                self.exit = self.exit.and(report.exit);
                if outdated {
                    warm.forget();
                }
                self.warm.insert(target.clone(), warm);
                self.manager.status(&self.summary());
                vec![Input::Cycled(target, Box::new(report.ended()))]
            }
            Come::Probed(place, warm, answer) => {
                if let (Some(warm), Err(_)) = (warm, &answer) {
                    self.probes.entry(place.0.clone()).or_insert(warm);
                }
                vec![Input::Probed(place, answer)]
            }
            Come::Election(event) => self.elected(event),
            // Another order came meanwhile, and what it asks for is under way.
            Come::Pinned(target, revision, _) if self.board.orders().pinned_at(&target).as_ref() != Some(&revision) => {
                Vec::new()
            }
            Come::Pinned(target, revision, Ok(basis)) => {
                self.pinned.insert(target.clone(), (revision, basis));
                self.reordered(&[target])
            }
            Come::Pinned(target, _, Err(why)) => {
                let message = format!(
                    "nothing is written at {target}, because the commit that it is held at cannot be read: {why}"
                );
                self.board.note_once(Level::Error, &message);
                let (clock, asks) = (self.ctx.clock.clone(), self.board.asks.clone());
                let again = target.clone();
                tokio::spawn(async move {
                    clock.sleep(AGAIN).await;
                    drop(asks.send(Ask::Reordered(vec![again])).await);
                });
                vec![Input::Suspend(target, None)]
            }
        })
    }

    /// Those of the targets whose record all watchers see. A commit may not take a target out of what they share and
    /// have it written all the same.
    fn shared(&self, basis: &Basis, targets: BTreeSet<TargetName>) -> BTreeSet<TargetName> {
        let (shared, alone): (BTreeSet<_>, BTreeSet<_>) =
            targets.into_iter().partition(|target| not_shared(basis, target).is_none());
        for target in alone {
            let message = format!(
                "nothing is written at {target}: with an election its record must be shared; write `record: {{push: REMOTE}}` \
                 into ctl.yaml"
            );
            self.board.note_once(Level::Error, &message);
        }
        shared
    }

    /// Lets go of what was kept for targets that the project does not have any more.
    fn leave(&mut self, targets: &BTreeSet<TargetName>) {
        self.pinned.retain(|target, _| targets.contains(target));
        for kept in [&mut self.warm, &mut self.probes] {
            let gone: Vec<TargetName> = kept.keys().filter(|target| !targets.contains(*target)).cloned().collect();
            for mut warm in gone.into_iter().filter_map(|target| kept.remove(&target)) {
                tokio::spawn(async move { warm.close().await });
            }
        }
    }
}

/// Finds the commits of versions in the record.
fn versions(basis: &Arc<Basis>) -> Versions {
    let (stores, project) = (Arc::clone(&basis.stores), basis.loaded.project.name.clone());
    Arc::new(move |target, number| {
        let name = RecordName { project: project.clone(), target: target.clone() };
        let history = stores.history(&name, VERSIONS).map_err(|error| error.to_string())?;
        let heads = || history.iter().filter_map(|(_, record)| record.head.as_ref());
        let found = heads().find(|head| head.number == number).map(|head| head.commit.clone());
        found.ok_or_else(|| match (heads().map(|h| h.number).min(), heads().map(|h| h.number).max()) {
            (Some(oldest), Some(newest)) => format!("{target} has no version {number}: {oldest} to {newest} are kept"),
            _ => format!("nothing was applied at {target} yet"),
        })
    })
}
