//! What the report of a cycle says of endpoints and operations; values of secrets are hidden in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Cycle;
use super::warm::Warm;
use crate::cli::fleet::Fleet;
use crate::cli::session::Session;
use crate::cli::watch::cycled::{CycleReport, EndpointReport, OpReport, Outcome};
use crate::cli::watch::waiting::waiting;
use crate::credentials::Redactor;
use crate::event::{Ending, Event};
use crate::model::ScopeState;
use crate::plan::{OpId, Operation, Plan};
use crate::reconcile::{Applied, Place, Sighting, Trouble};

impl Cycle<'_> {
    /// What waits where nobody could look; where nothing moved it is what it was.
    pub(super) fn note_waiting(&self, warm: &mut Warm, report: &mut CycleReport) {
        // A cycle that was cut short knows nothing of its endpoints.
        if !report.quiet && !report.endpoints.is_empty() {
            let (Some((_, record)), Some(fleet)) = (&warm.record, &warm.fleet) else { return };
            let places = (&report.endpoints, &report.dark);
            warm.waiting = Arc::new(waiting(&warm.target, &self.basis.snapshot, record, places, &fleet.peers));
        }
        report.waiting = Arc::clone(&warm.waiting);
    }

    pub(super) fn note_endpoints(
        &self,
        session: &Session,
        sightings: &BTreeMap<Place, Sighting>,
        report: &mut CycleReport,
    ) {
        let Some(config) = session.project().targets.get(&report.target) else { return };
        for endpoint in config.endpoints.keys() {
            let refusal = session.fleet.refusals.iter().find(|r| r.endpoint.as_ref().is_none_or(|e| e == endpoint));
            let place = (report.target.clone(), endpoint.clone());
            let away = self.order.away.contains(endpoint);
            let found = match (sightings.get(&place), refusal) {
                _ if away => EndpointReport::default(),
                (Some(sighting), _) => {
                    let unknown = sighting.scopes.values().find_map(|state| match state {
                        ScopeState::Unknown { why } => Some(why.clone()),
                        ScopeState::Known(_) => None,
                    });
                    EndpointReport {
                        reached: sighting.greeting.is_some(),
                        identity: session.identity(&report.target, endpoint, sighting),
                        trouble: sighting.trouble.iter().min().copied(),
                        late: sighting.late,
                        why: unknown,
                        ..EndpointReport::default()
                    }
                }
                (None, Some(refusal)) => EndpointReport {
                    trouble: Some(Trouble::Other),
                    why: Some(refusal.message.clone()),
                    ..EndpointReport::default()
                },
                (None, None) => EndpointReport::default(),
            };
            report.endpoints.insert(endpoint.clone(), found);
        }
    }

    /// The operations of a cycle that writes nothing.
    pub(super) fn not_carried(&self, plan: &Plan, held: &BTreeMap<OpId, String>, why: Option<&str>) -> Vec<OpReport> {
        let outcome = |op: &Operation| match (plan.refusal_at(&op.resource.target, &op.endpoint), held.get(&op.id)) {
            (Some(refusal), _) => Outcome::Refused(refusal.message.clone()),
            (None, Some(why)) => Outcome::Held(why.clone()),
            (None, None) => why.map_or(Outcome::Pending, |why| Outcome::Held(why.to_owned())),
        };
        plan.operations.iter().map(|op| OpReport::of(op, outcome(op), (0, None))).collect()
    }

    /// The operations of a cycle that wrote.
    pub(super) fn carried(&self, plan: &Plan, held: &BTreeMap<OpId, String>, applied: &Applied) -> Vec<OpReport> {
        let hide = |text: &str| self.redactor.hide(text);
        let reports = plan.operations.iter().zip(&applied.results).map(|(op, result)| {
            let refusal = plan.refusal_at(&op.resource.target, &op.endpoint);
            let outcome = match (&result.ending, refusal, held.get(&op.id)) {
                (Ending::Skipped { .. }, Some(refusal), _) => Outcome::Refused(refusal.message.clone()),
                (Ending::Skipped { .. }, None, Some(why)) => Outcome::Held(why.clone()),
                (ending, _, _) => Outcome::of(ending, &hide),
            };
            OpReport::of(op, outcome, (result.attempts, result.trouble))
        });
        reports.collect()
    }
}

/// An endpoint that took no write at all, because it could not be reached, is away.
pub(super) fn note_silent(report: &mut CycleReport) {
    for (name, endpoint) in &mut report.endpoints {
        let sent = || report.operations.iter().filter(|op| &op.endpoint == name && op.attempts > 0);
        let silent = sent().next().is_some() && sent().all(|op| op.trouble.is_some_and(Trouble::is_away));
        if let Some(first) = sent().next().filter(|_| silent && endpoint.trouble.is_none()) {
            endpoint.reached = false;
            endpoint.trouble = first.trouble;
            endpoint.why = first.outcome.why().map(str::to_owned);
        }
    }
}

/// An endpoint whose call after the writes did not go through is failing, and tried again as such.
pub(super) fn note_uncalled(report: &mut CycleReport) {
    for (name, (trouble, why)) in std::mem::take(&mut report.uncalled) {
        let endpoint = report.endpoints.entry(name).or_default();
        if endpoint.trouble.is_none() {
            (endpoint.trouble, endpoint.why) = (Some(trouble), Some(why));
        }
    }
}

pub(super) fn requests(fleet: &Fleet) -> BTreeMap<Place, u64> {
    fleet.requests.iter().map(|(place, count)| (place.clone(), count.load(Ordering::Relaxed))).collect()
}

/// An event without secrets.
pub(super) fn hidden(event: Event, redactor: &Redactor) -> Event {
    let hide = |text: String| redactor.hide(&text);
    match event {
        Event::ListFailed { target, scope, why } => Event::ListFailed { target, scope, why: hide(why) },
        Event::Retrying { op, target, endpoint, attempt, wait, why } => {
            Event::Retrying { op, target, endpoint, attempt, wait, why: hide(why) }
        }
        Event::Finished { op, outcome } => {
            let outcome = match outcome {
                Ending::Failed { why, help, field } => Ending::Failed { why: hide(why), help: help.map(hide), field },
                Ending::Conflict { why } => Ending::Conflict { why: hide(why) },
                Ending::Skipped { why } => Ending::Skipped { why: hide(why) },
                Ending::InDoubt { why } => Ending::InDoubt { why: hide(why) },
                Ending::Done => Ending::Done,
            };
            Event::Finished { op, outcome }
        }
        event @ (Event::Listing { .. } | Event::Listed { .. } | Event::Started { .. }) => event,
    }
}

/// Hides secrets in everything that is said.
pub(super) fn hide_all(report: &mut CycleReport, redactor: &Redactor) {
    let hide = |text: &mut String| *text = redactor.hide(text);
    for refusal in &mut report.refusals {
        hide(&mut refusal.message);
        hide(&mut refusal.help);
    }
    for diagnostic in &mut report.diagnostics {
        hide(&mut diagnostic.message);
        diagnostic.help.iter_mut().for_each(hide);
    }
    for endpoint in report.endpoints.values_mut() {
        endpoint.why.iter_mut().for_each(hide);
        endpoint.not_before.iter_mut().for_each(|(_, why)| hide(why));
    }
    for op in &mut report.operations {
        hide(&mut op.differs);
        match &mut op.outcome {
            Outcome::Held(why) | Outcome::Refused(why) => hide(why),
            // Hidden when they were made.
            Outcome::Failed { .. } | Outcome::Conflict(_) | Outcome::InDoubt(_) | Outcome::Skipped(_) => {}
            Outcome::Pending | Outcome::Done => {}
        }
    }
}
