//! What a cycle or a probe that ended means for its target.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Machine;
use super::command::Command;
use super::input::{Blocked, Ended, Reach, Silence};
use super::watched::{Trouble, Waiting};
use crate::model::{EndpointName, TargetName};
use crate::reconcile::backoff::Backoff;

impl Machine {
    pub(super) fn cycled(&mut self, now: Duration, target: &TargetName, ended: Ended, commands: &mut Vec<Command>) {
        let chances: Vec<f64> = (0..=ended.operations.len() + ended.endpoints.len()).map(|_| self.chance()).collect();
        let mut chances = chances.into_iter();
        let mut chance = || chances.next().unwrap_or(0.5);
        let (probe, dry) = (self.pace.probe, self.dry);
        if self.targets.get(target).is_some_and(|watched| watched.gone) {
            self.targets.remove(target);
        }
        let Some(watched) = self.targets.get_mut(target) else { return };
        watched.running = false;
        watched.ended = Some(now);
        if ended.clean {
            watched.clean = Some(now);
        }
        if ended.blocked.is_none() && (ended.clean || ended.endpoints.values().any(|reach| *reach == Reach::Whole)) {
            watched.worked = Some(now);
        }
        let whole = !ended.endpoints.is_empty() && ended.endpoints.values().all(|reach| *reach == Reach::Whole);
        let saw_all = dry && whole && ended.blocked.is_none() && ended.endpoints.len() == watched.endpoints.len();
        if ended.clean || saw_all {
            watched.succeeded = Some(now);
        }
        watched.well.extend(ended.well.into_iter().map(|endpoint| (endpoint, now)));
        let tries = watched.blocked.as_ref().map(|(backoff, _)| *backoff).unwrap_or_default();
        watched.blocked = ended.blocked.map(|blocked| match blocked {
            // A lock is held for seconds, and nobody is asked by looking at it.
            Blocked::Locked(_) => (tries.every(now, Duration::from_secs(1)), blocked),
            Blocked::Trouble(_) => (tries.after(now, chance()), blocked),
        });
        for (endpoint, reach) in ended.endpoints {
            let before = watched.troubled.get(&endpoint);
            let (since, backoff) = before.map_or((now, Backoff::default()), |t| (t.since, t.backoff));
            match reach {
                Reach::Late(_) => watched.patient.insert(endpoint.clone()),
                Reach::Whole | Reach::Away(_) | Reach::Troubled(_) | Reach::AsksToWait { .. } => {
                    watched.patient.remove(&endpoint)
                }
            };
            let trouble = match reach {
                Reach::Whole => None,
                Reach::Away(why) => {
                    let backoff = backoff.every(now, probe);
                    Some(Trouble { since, backoff, away: true, late: false, asked: false, why })
                }
                Reach::Late(why) => {
                    let backoff = backoff.every(now, Duration::ZERO);
                    Some(Trouble { since, backoff, away: true, late: true, asked: false, why })
                }
                Reach::Troubled(why) => {
                    let backoff = backoff.after(now, chance());
                    Some(Trouble { since, backoff, away: false, late: false, asked: false, why })
                }
                Reach::AsksToWait { until, why } => {
                    let backoff = backoff.not_before(until);
                    Some(Trouble { since, backoff, away: false, late: false, asked: true, why })
                }
            };
            match trouble {
                Some(trouble) => drop(watched.troubled.insert(endpoint, trouble)),
                None => drop(watched.troubled.remove(&endpoint)),
            }
        }
        // What took part, and was not spoken of, is not in trouble any more.
        watched.troubled.retain(|_, trouble| trouble.away || trouble.backoff.holds(now));
        let mut tried = BTreeSet::new();
        for operation in ended.operations {
            tried.insert(operation.address.clone());
            if operation.done {
                watched.waiting.remove(&operation.address);
                for field in operation.corrected {
                    if watched.contests.corrected(&operation.address, operation.wanted, &field, now) {
                        let (target, address) = (target.clone(), operation.address.clone());
                        commands.push(Command::Contested { target, address, field });
                    }
                }
                continue;
            }
            let before = watched.waiting.get(&operation.address).filter(|w| w.wanted == operation.wanted);
            let backoff = before.map(|w| w.backoff).unwrap_or_default().after(now, chance());
            let waiting = Waiting { wanted: operation.wanted, backoff, why: operation.why };
            watched.waiting.insert(operation.address, waiting);
        }
        // What was free to be tried, and was not: it is not in the plan any more.
        if ended.clean {
            watched.waiting.clear();
        } else {
            watched.waiting.retain(|address, waiting| waiting.backoff.holds(now) || tried.contains(address));
        }
        watched.contests.tidy(now);
    }

    pub(super) fn probed(
        &mut self,
        now: Duration,
        target: &TargetName,
        endpoint: &EndpointName,
        answer: Result<(), Silence>,
    ) {
        let probe = self.pace.probe;
        let Some(watched) = self.targets.get_mut(target) else { return };
        watched.probing.remove(endpoint);
        let Some(trouble) = watched.troubled.get_mut(endpoint) else { return };
        match answer {
            Ok(()) => {
                trouble.backoff.until = now;
                trouble.away = false;
                watched.wanted = true;
            }
            Err(Silence { why, until: None }) => {
                trouble.backoff = trouble.backoff.every(now, probe);
                (trouble.late, trouble.why) = (false, why);
            }
            Err(Silence { why, until: Some(until) }) => {
                // It is there after all, and says when it may be spoken to.
                (trouble.away, trouble.late, trouble.asked, trouble.why) = (false, false, true, why);
                trouble.backoff = trouble.backoff.not_before(until);
            }
        }
    }
}
