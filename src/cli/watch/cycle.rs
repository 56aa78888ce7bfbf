//! One cycle of one target in a process that stays: look whether anything moved, plan, write, record.
//!
//! ```text
//! nothing of ours moved? ── ask the endpoints whether anything moved there ── no ──> quiet
//!        │ no                          │ yes
//!        └──> greet, lists that changed ──> (settle) ──> plan ──> hold ──> lock, intents, writes, record
//! ```

mod carry;
mod lock;
mod noted;
mod order;
mod probe;
mod warm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cycled::{CycleReport, VersionInfo};
use crate::cli::fleet::Fleet;
use crate::cli::session::{Parts, Planned, Session};
use crate::cli::settling::settle_open;
use crate::cli::stores;
use crate::cli::{Context, Exit, Stop};
use crate::credentials::Redactor;
use crate::event::Event;
use crate::model::{Diagnostic, Record, ScopeState, TargetName};
use crate::plan::EVENTUAL;
use crate::reconcile::{self, Before, Fresh, Place, Sighting, Trouble};
use crate::store::{RecordName, Store as _, Tip};
use noted::{hidden, hide_all, note_silent, note_uncalled, requests};
use warm::{Circumstances, Still};

pub(in crate::cli) use lock::Locks;
pub(in crate::cli) use order::{Basis, Order};
pub(in crate::cli) use probe::probe;
pub(in crate::cli) use warm::Warm;

/// How long an endpoint may take to say who it is. One that takes longer is away, and the others do not wait for it.
const GREETING: Duration = Duration::from_secs(5);
/// How often a cycle plans again because another run wrote the record meanwhile.
const AGAIN: usize = 2;
/// For how many operations the lines are looked up where they are declared.
const LOCATED: usize = 100;

/// Reconciles one target once. Whatever fails is in the report.
pub(in crate::cli) async fn cycle(ctx: &Context, warm: &mut Warm, basis: &Basis, order: &Order<'_>) -> CycleReport {
    let since = ctx.clock.boot();
    let mut report = CycleReport::of(&warm.target);
    let redactor = basis.operator.redactor();
    let run = Cycle { ctx, basis, order, redactor: &redactor, since };
    if let Err(stop) = run.run(warm, &mut report).await {
        warm.still = None;
        report.stop(stop, &|text| redactor.hide(text));
    }
    hide_all(&mut report, &redactor);
    report.took = ctx.clock.boot().saturating_sub(since);
    report
}

struct Cycle<'a> {
    ctx: &'a Context,
    basis: &'a Basis,
    order: &'a Order<'a>,
    redactor: &'a Redactor,
    since: Duration,
}

impl Cycle<'_> {
    async fn run(&self, warm: &mut Warm, report: &mut CycleReport) -> Result<(), Stop> {
        let fleet = warm.muster(self.ctx, self.basis).await?;
        let sent = requests(&fleet);
        let outcome = self.with(warm, fleet, report).await;
        self.note_waiting(warm, report);
        if let Some(fleet) = &warm.fleet {
            for ((_, endpoint), count) in requests(fleet) {
                let place = (warm.target.clone(), endpoint);
                let before = sent.get(&place).copied().unwrap_or_default();
                let (now, peer) = (self.ctx.clock.boot(), fleet.peers.get(&place));
                let left = peer.map(|peer| peer.retries_left(now) as u64);
                // Whoever took no part asked for nothing new.
                let closed = peer.filter(|_| !self.order.away.contains(&place.1)).and_then(|peer| peer.closed(now));
                let endpoint = report.endpoints.entry(place.1).or_default();
                (endpoint.requests, endpoint.retries_left) = (count.saturating_sub(before), left);
                endpoint.not_before = closed;
            }
        }
        let head = warm.record.as_ref().and_then(|(_, record)| record.head.as_ref());
        report.standing = head.map(VersionInfo::of);
        // A credential may have been changed meanwhile: it is read again.
        let denied = report.endpoints.iter().filter(|(_, e)| e.trouble == Some(Trouble::Authentication));
        warm.denied = denied.map(|(name, _)| name.clone()).collect();
        outcome
    }

    async fn with(&self, warm: &mut Warm, fleet: Fleet, report: &mut CycleReport) -> Result<(), Stop> {
        let record = match self.record(warm) {
            Ok(record) => record,
            Err(stop) => {
                warm.fleet = Some(fleet);
                return Err(stop);
            }
        };
        let record_key = match warm.record_key.take() {
            Some(Ok(key)) => Ok(key),
            Some(Err(_)) | None => tokio::task::block_in_place(|| self.basis.operator.record_key()),
        };
        let mut session = Session::of(Parts {
            loaded: Arc::clone(&self.basis.loaded),
            snapshot: Arc::clone(&self.basis.snapshot),
            operator: Arc::clone(&self.basis.operator),
            stores: Arc::clone(&self.basis.stores),
            target: warm.target.clone(),
            record,
            fleet,
            record_key,
        });
        session.lagging = std::mem::take(&mut warm.lagging);
        session.lagging.look(self.since, self.order.apart);
        let outcome = self.reconcile(warm, &mut session, report).await;
        warm.lagging = std::mem::take(&mut session.lagging);
        if let Some(parts) = session.into_parts() {
            // Where it is not known what stands, the record is read again.
            let known = outcome.is_ok() && !report.diagnostics.iter().any(|d| d.code == "outcome-lost");
            warm.record = known.then_some(parts.record);
            warm.record_key = Some(parts.record_key);
            warm.fleet = Some(parts.fleet);
        }
        outcome
    }

    fn name(&self, target: &TargetName) -> RecordName {
        RecordName { project: self.basis.loaded.project.name.clone(), target: target.clone() }
    }

    /// The record: the one of before if it stands where it stood, as far as this machine knows.
    fn record(&self, warm: &mut Warm) -> Result<(Option<Tip>, Record), Stop> {
        let name = self.name(&warm.target);
        tokio::task::block_in_place(|| {
            if let Some((tip, record)) = warm.record.take()
                && self.basis.stores.stands(&name).map_err(|e| stores::stop(&e))? == tip
            {
                return Ok((tip, record));
            }
            self.basis.stores.read(&name).map_err(|e| stores::stop(&e))
        })
    }

    async fn reconcile(&self, warm: &mut Warm, session: &mut Session, report: &mut CycleReport) -> Result<(), Stop> {
        let (ctx, order) = (self.ctx, self.order);
        let tell = |event: Event| (order.tell)(hidden(event, self.redactor));
        let context = reconcile::Context {
            clock: &ctx.clock,
            entropy: &ctx.entropy,
            tell: &tell,
            cancel: &order.cancel,
            patience: order.patience,
        };
        let mut fresh = Fresh::new();
        if let Some(still) = warm.still.take_if(|still| still.at == self.circumstances(session)) {
            let (away, near) = self.parted(std::mem::take(&mut warm.sightings), &warm.target);
            // Looking writes nothing, and a server may take its time: whoever is to stop does not wait for it.
            let revisited = tokio::select! {
                biased;
                () = order.cancel.cancelled() => None,
                revisited = session.look_again(&near, context) => Some(revisited),
            };
            warm.sightings = near.into_iter().chain(away).collect();
            let Some(revisited) = revisited else { return Ok(()) };
            // The value of a secret may be another one though no list shows it.
            if revisited.unchanged && !session.has_changed_secrets() {
                (report.quiet, report.clean) = (true, order.away.is_empty());
                (report.checksum, report.deletes_checksum) = (Some(still.checksum), Some(still.deletes_checksum));
                report.summary = still.summary;
                self.note_endpoints(session, &warm.sightings, report);
                warm.still = Some(still);
                return Ok(());
            }
            fresh = revisited.fresh;
        }
        for again in 0.. {
            match self.attempt(warm, session, std::mem::take(&mut fresh), context, report).await {
                Err(stop) if again < AGAIN && stop.diagnostics.iter().any(|d| d.code == "record-moved") => {
                    // Another run wrote it: what it knows is newer.
                    let name = self.name(&warm.target);
                    let read = tokio::task::block_in_place(|| self.basis.stores.read(&name));
                    session.records.insert(warm.target.clone(), read.map_err(|e| stores::stop(&e))?);
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    async fn attempt(
        &self,
        warm: &mut Warm,
        session: &mut Session,
        fresh: Fresh,
        context: reconcile::Context<'_>,
        report: &mut CycleReport,
    ) -> Result<(), Stop> {
        let (ctx, order, target) = (self.ctx, self.order, &warm.target);
        session.check_records()?;
        self.check_leader(session, target)?;
        let mut lock = None;
        let open = session.records.get(target).is_some_and(|(_, record)| !record.intents.is_empty());
        if open && !order.dry_run {
            // An interrupted run is settled before anything is planned.
            lock = Some(self.lock(session, target).await?);
        }
        let away = self.basis.loaded.project.targets.get(target).map(|config| config.endpoints.keys());
        let away = away.into_iter().flatten().filter(|endpoint| order.away.contains(*endpoint));
        let before = Before {
            sightings: std::mem::take(&mut warm.sightings),
            fresh,
            away: away.map(|e| ((target.clone(), e.clone()), "it is away, and was not asked".to_owned())).collect(),
            greeting: Some(GREETING),
            patient: order.patient.iter().map(|e| (target.clone(), e.clone())).collect(),
        };
        let mut planned = tokio::select! {
            biased;
            () = order.cancel.cancelled() => return Ok(()),
            planned = session.look_from(before, false, context) => planned,
        };
        if lock.is_some() && self.may_write(target).is_ok() {
            let settled = settle_open(ctx, session, &planned.sightings, &order.here)?;
            if settled.changed {
                planned = session.plan_again(planned);
            }
            planned.plan.diagnostics.extend(settled.diagnostics);
        }
        if let Some(api) = self.basis.loaded.apis.get(target) {
            let records = &session.records;
            let entries = |place: &Place| records.get(&place.0).and_then(|(_, record)| record.endpoints.get(&place.1));
            session.lagging.note(&planned.sightings, api.description.table(), entries);
        }
        let result = self.carry(session, &mut planned, lock, context, report).await;
        report.refusals.clone_from(&planned.plan.refusals);
        report.dark.clear();
        for unknown in &planned.plan.unknown_scopes {
            let scope = &unknown.scope;
            let lists = report.dark.entry(scope.endpoint.clone()).or_default();
            lists.insert((scope.kind.clone(), scope.parent.clone()));
        }
        self.note_endpoints(session, &planned.sightings, report);
        let waits = planned.plan.diagnostics.iter().any(|diagnostic| diagnostic.code == EVENTUAL);
        let still = result.as_ref().is_ok_and(|rests| *rests) && !waits && !self.is_in_the_dark(&planned);
        warm.still = still.then(|| Still {
            at: self.circumstances(session),
            checksum: planned.checksum,
            deletes_checksum: planned.plan.deletes_checksum(),
            summary: planned.plan.summary(),
        });
        report.clean &= order.away.is_empty() && !self.is_in_the_dark(&planned);
        warm.sightings = planned.sightings;
        note_silent(report);
        note_uncalled(report);
        result.map(drop)
    }

    fn circumstances(&self, session: &Session) -> Circumstances {
        let tip = session.records.values().next().and_then(|(tip, _)| tip.clone());
        Circumstances {
            generation: self.basis.generation,
            revision: self.basis.loaded.revision.clone(),
            snapshot: self.basis.snapshot.digest,
            tip,
            away: self.order.away.clone(),
            dry_run: self.order.dry_run,
        }
    }

    /// The sightings of endpoints that are away, and the others.
    fn parted(&self, sightings: BTreeMap<Place, Sighting>, target: &TargetName) -> Parted {
        sightings.into_iter().partition(|((at, endpoint), _)| at == target && self.order.away.contains(endpoint))
    }

    /// True if somebody who was asked did not answer with everything.
    fn is_in_the_dark(&self, planned: &Planned) -> bool {
        let asked = planned.sightings.iter().filter(|((_, endpoint), _)| !self.order.away.contains(endpoint));
        asked.map(|(_, sighting)| sighting).any(|sighting| {
            sighting.greeting.is_none() || sighting.scopes.values().any(|s| matches!(s, ScopeState::Unknown { .. }))
        })
    }
}

/// Those that are away, and the others.
type Parted = (BTreeMap<Place, Sighting>, BTreeMap<Place, Sighting>);

fn moved() -> Stop {
    let message = "another run wrote the record meanwhile";
    Stop::with(Exit::Conflict, Diagnostic::error("record-moved", message).help("it is planned again"))
}

#[cfg(test)]
mod tests;
