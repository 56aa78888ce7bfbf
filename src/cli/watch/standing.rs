//! How everything stands, put together from what the machine and the last cycles know.

use std::collections::BTreeMap;
use std::time::Duration;

use super::board::{Applied, Board, Facts, Seen, Wrong};
use super::orders::Kept;
use crate::event::News;
use crate::model::{
    ElectionStatus, EndpointName, EndpointStatus, Holding, LastRequest, MAX_PENDING, PendingStatus, SourceStatus,
    Stamp, State, Status, Suspension, TargetName, TargetStatus, VersionStatus,
};
use crate::reconcile::{Blocked, Machine, Place, Watched};

/// Turns times since boot into stamps, all by one look at the clocks.
#[derive(Clone, Copy)]
struct Now {
    boot: Duration,
    wall: i64,
}

impl Now {
    fn stamp(self, at: Duration) -> Stamp {
        let age = self.boot.saturating_sub(at).as_secs();
        Stamp { time: self.wall.saturating_sub(age.cast_signed()), age }
    }

    /// A time to come: its age is 0.
    fn ahead(self, at: Duration) -> Stamp {
        let left = at.saturating_sub(self.boot).as_secs();
        Stamp { time: self.wall.saturating_add(left.cast_signed()), age: 0 }
    }

    fn wall(self, time: i64) -> Stamp {
        Stamp { time, age: u64::try_from(self.wall.saturating_sub(time)).unwrap_or(0) }
    }
}

impl Board {
    /// All that there is to know.
    pub(super) fn status(&self) -> Status {
        self.note_leaders();
        let machine = self.machine().clone();
        let orders = self.kept().clone();
        let heard = self.heard();
        let now = Now { boot: self.clock.boot(), wall: self.clock.wall().as_second() };
        let facts = self.facts();
        let not_ready = not_ready(&machine, &facts, now.boot);
        let (fresh, away) = machine.source();
        let source = &facts.source;
        let places: Vec<Place> = machine.places().collect();
        Status {
            format_version: "1.0".to_owned(),
            ctl: env!("CARGO_PKG_VERSION").to_owned(),
            project: facts.project.clone().unwrap_or_default(),
            mode: self.mode.to_owned(),
            started: now.stamp(self.started.0),
            ready: not_ready.is_empty(),
            not_ready,
            source: SourceStatus {
                source: source.text.clone(),
                commit: source.commit.as_ref().map(|commit| commit.as_str().to_owned()),
                fresh: fresh.map(|at| now.stamp(at)),
                stale: away.is_some(),
                why: source.trouble.as_ref().map(|(why, _)| why.clone()),
                help: source.trouble.as_ref().and_then(|(_, help)| help.clone()),
                next: Some(now.ahead(machine.next_look())),
                deletes_held: source.deletes_held.clone(),
                quarantined: source.quarantined.clone(),
            },
            election: self.leading.get().map(|leading| {
                let why = facts.coordinator.as_ref().and_then(|answer| answer.as_ref().err().cloned());
                let last_ack_age = leading.last_ack_age().map(|age| age.as_secs());
                ElectionStatus {
                    reachable: why.is_none(),
                    last_ack_age,
                    why,
                    orders: heard.at.map(|at| now.stamp(at)),
                    orders_why: heard.trouble.as_deref().map(|why| self.hide(why)),
                }
            }),
            targets: machine
                .targets()
                .map(|(name, watched)| {
                    self.who_leads(target(name, watched, &machine, &facts, &orders, &places, now), &facts)
                })
                .collect(),
            resources: None,
        }
    }

    /// Says of a target where this watcher does not lead who does, as far as it knows.
    fn who_leads(&self, mut status: TargetStatus, facts: &Facts) -> TargetStatus {
        let Some(leading) = self.leading.get().filter(|_| !status.leader) else { return status };
        let Ok(name) = status.target.parse::<TargetName>() else { return status };
        let why = match (facts.lapsed.get(&name), leading.holder(&name)) {
            (_, Some(holder)) => format!("another watcher leads here: {holder}"),
            (Some(why), None) => format!("nothing is written: {why}"),
            (None, None) => "nobody leads here, as far as is known".to_owned(),
        };
        for endpoint in status.endpoints.iter_mut().filter(|endpoint| endpoint.state == State::NotLeader) {
            endpoint.why = Some(why.clone());
        }
        status
    }

    /// Why the watcher is not ready.
    pub(super) fn not_ready(&self) -> Vec<String> {
        let machine = self.machine().clone();
        not_ready(&machine, &self.facts(), self.clock.boot())
    }

    /// Works out how each endpoint of a target stands now, and says what changed.
    pub(super) fn restate(&self, only: Option<&TargetName>) {
        let machine = self.machine().clone();
        let now = self.clock.boot();
        let mut changed = Vec::new();
        {
            let mut facts = self.facts();
            for place in machine.places().filter(|(target, _)| only.is_none_or(|only| only == target)) {
                let Some(watched) = machine.target(&place.0) else { continue };
                let (state, wrong) = stands(&place, watched, &machine, &facts);
                let before = facts.states.get(&place).map_or(State::Ok, |(state, _)| *state);
                let known = facts.states.contains_key(&place);
                if before != state || !known {
                    facts.states.insert(place.clone(), (state, now));
                }
                if before != state {
                    let (why, help) = wrong.map_or((None, None), |wrong| (Some(wrong.why), wrong.help));
                    changed.push(News::StateChanged {
                        target: place.0,
                        endpoint: place.1,
                        from: before,
                        to: state,
                        why,
                        help,
                    });
                }
            }
        }
        for news in &changed {
            self.say(news);
        }
    }
}

fn not_ready(machine: &Machine, facts: &Facts, now: Duration) -> Vec<String> {
    let mut why = machine.not_ready(now);
    if let Some(Err(reason)) = &facts.coordinator {
        why.push(format!("the coordinator does not answer, so nothing is written: {reason}"));
    }
    why
}

/// Why a target is not known to be kept in order, if so: nobody leads there, or nothing fully succeeded for long.
fn late(name: &TargetName, machine: &Machine, facts: &Facts, now: Duration) -> Option<String> {
    if machine.leads(name) {
        let time = machine.late(name, now)?;
        return Some(format!("no cycle of {name} fully succeeded for {} s", time.as_secs()));
    }
    if let Some(Err(_)) = &facts.coordinator {
        return Some(format!("nothing is written at {name}: the coordinator does not answer"));
    }
    let time = now.saturating_sub(*facts.unled.get(name)?);
    (time > machine.patience()).then(|| format!("nobody has led at {name} for {} s", time.as_secs()))
}

fn target(
    name: &TargetName,
    watched: &Watched,
    machine: &Machine,
    facts: &Facts,
    kept: &Kept,
    places: &[Place],
    now: Now,
) -> TargetStatus {
    let nothing = Seen::default();
    let seen = facts.seen.get(name).unwrap_or(&nothing);
    let [delete, create, update, adopt, unchanged, unknown] = seen.counts;
    let (orders, only_here) = (&kept.orders, machine.is_elected() && kept.untold().contains(name.as_str()));
    let suspended = orders.suspended.get(name.as_str()).map(|order| Suspension {
        since: now.wall(order.since),
        left: order.until.map(|until| u64::try_from(until.saturating_sub(now.wall)).unwrap_or(0)),
        who: order.who.clone(),
        reason: order.reason.clone(),
        only_here,
    });
    TargetStatus {
        target: name.to_string(),
        leader: machine.leads(name),
        token: watched.token,
        version: seen.version.as_ref().map(|version| applied(version, now)),
        suspended,
        held_at: orders.pinned.get(name.as_str()).map(|pin| pin.commit.clone()),
        held: orders.pinned.get(name.as_str()).map(|pin| Holding {
            version: pin.version,
            since: now.wall(pin.since),
            who: pin.who.clone(),
            reason: pin.reason.clone(),
        }),
        running: watched.running,
        last_cycle: watched.ended.map(|at| now.stamp(at)),
        last_success: watched.clean.map(|at| now.stamp(at)),
        not_ready: late(name, machine, facts, now.boot),
        took_ms: u64::try_from(seen.took.as_millis()).unwrap_or(u64::MAX),
        next: machine.leads(name).then(|| now.ahead(watched.due().max(now.boot))),
        checksum: seen.checksum.map(|sum| sum.to_string()),
        deletes_checksum: seen.deletes_checksum.map(|sum| sum.to_string()),
        delete,
        create,
        update,
        adopt,
        unchanged,
        unknown,
        refusals: seen.refusals.clone(),
        endpoints: places
            .iter()
            .filter(|(target, _)| target == name)
            .map(|place| endpoint(place, watched, machine, facts, seen, now))
            .collect(),
        pending: seen.pending.iter().take(MAX_PENDING).map(|pending| timed(pending, watched, now)).collect(),
        pending_total: seen.pending_total,
    }
}

fn applied(version: &Applied, now: Now) -> VersionStatus {
    VersionStatus {
        number: version.number,
        applied: now.wall(version.time),
        commit: version.commit.clone(),
        snapshot: version.snapshot.clone(),
        result: version.result.clone(),
        took_ms: version.took_ms,
        who: version.who.clone(),
    }
}

/// What waits, with how often it was tried and when it is tried again.
fn timed(pending: &PendingStatus, watched: &Watched, now: Now) -> PendingStatus {
    let mut pending = pending.clone();
    let trouble = watched.troubled.iter().find(|(endpoint, _)| endpoint.as_str() == pending.endpoint);
    if let Some((_, trouble)) = trouble.filter(|_| pending.state == "waiting") {
        pending.next = Some(now.ahead(trouble.backoff.until));
    } else if let Some(waiting) = watched.waiting.get(&pending.address) {
        pending.attempts = waiting.backoff.attempts;
        pending.next = Some(now.ahead(waiting.backoff.until));
    }
    pending
}

fn endpoint(
    place: &Place,
    watched: &Watched,
    machine: &Machine,
    facts: &Facts,
    seen: &Seen,
    now: Now,
) -> EndpointStatus {
    let (state, wrong) = stands(place, watched, machine, facts);
    let trouble = watched.troubled.get(&place.1);
    let since = facts.states.get(place).map_or(now.boot, |(_, since)| *since);
    let wrong = wrong.unwrap_or_default();
    let said = |text: String| (!text.is_empty()).then_some(text);
    EndpointStatus {
        endpoint: place.1.to_string(),
        state,
        since: now.stamp(since),
        code: said(wrong.code),
        why: said(wrong.why),
        help: wrong.help,
        last_success: watched.well.get(&place.1).map(|at| now.stamp(*at)),
        last_request: facts
            .requests
            .get(place)
            .map(|(at, request)| LastRequest { sent: now.stamp(*at), ..request.clone() }),
        attempts: trouble.map_or(0, |trouble| trouble.backoff.attempts),
        next: trouble.map(|trouble| now.ahead(trouble.backoff.until)),
        pending: seen.pending_at.get(&place.1).copied().unwrap_or(0),
    }
}

/// How an endpoint stands, and what is wrong if something is: the gravest counts.
fn stands(place: &Place, watched: &Watched, machine: &Machine, facts: &Facts) -> (State, Option<Wrong>) {
    let (target, name) = place;
    let nothing = Seen::default();
    let seen = facts.seen.get(target).unwrap_or(&nothing);
    let wrong =
        |code: &str, why: String, help: &str| Some(Wrong { code: code.to_owned(), why, help: Some(help.to_owned()) });
    if !machine.leads(target) {
        return (State::NotLeader, None);
    }
    if watched.suspended.is_some() {
        return (State::Suspended, wrong("suspended", "a person stopped it".to_owned(), "`ctl resume` lets it go on"));
    }
    if let Some(trouble) = watched.troubled.get(name).filter(|trouble| trouble.asked) {
        let help = "nothing is sent there before the next try; `ctl retry` asks at once";
        return (State::Failing, wrong("asks-to-wait", trouble.why.clone(), help));
    }
    if seen.in_doubt.contains(name) {
        return (State::InDoubt, seen.wrong.get(name).cloned());
    }
    let refusal = seen.refusals.iter().find(|r| r.endpoint.as_deref().is_none_or(|e| e == name.as_str()));
    if let Some(refusal) = refusal {
        return (State::Refused, wrong(&refusal.gate, refusal.message.clone(), &refusal.help));
    }
    if let Some(trouble) = watched.troubled.get(name).filter(|trouble| !trouble.late) {
        let (code, help) = match trouble.away {
            true => ("unreachable", "see whether it is up; it is probed every 10 s and caught up when it answers"),
            false => ("not-understood", "see the last request; it is tried again by itself"),
        };
        return (State::Failing, seen.wrong.get(name).cloned().or_else(|| wrong(code, trouble.why.clone(), help)));
    }
    match &watched.blocked {
        Some((_, Blocked::Locked(why))) => {
            return (State::Failing, wrong("locked", why.clone(), "it goes on when the other run is done"));
        }
        Some((_, Blocked::Trouble(why))) => {
            let help = "it is tried again by itself; see `ctl events`";
            return (State::Failing, seen.wrong.get(name).cloned().or_else(|| wrong("blocked", why.clone(), help)));
        }
        None => {}
    }
    if seen.pending_at.get(name).is_some_and(|n| *n > 0)
        && let Some(pending) = seen.pending.iter().find(|p| p.endpoint == name.as_str() && p.state != "held")
    {
        let why = format!("{}: {}", pending.address, pending.why);
        let help = pending.help.clone().or_else(|| Some("it is tried again by itself".to_owned()));
        return (State::Failing, Some(Wrong { code: pending.state.clone(), why, help }));
    }
    if machine.source().1.is_some() {
        let why = facts.source.trouble.as_ref().map_or("the source is away", |(why, _)| why).to_owned();
        return (
            State::StaleSource,
            wrong("stale-source", why, "drift is corrected and nothing deleted until it is back"),
        );
    }
    (State::Ok, None)
}

/// What waits at each endpoint.
pub(super) fn by_endpoint(pending: &[PendingStatus]) -> BTreeMap<EndpointName, usize> {
    let mut counts = BTreeMap::new();
    for pending in pending {
        if let Ok(name) = pending.endpoint.parse::<EndpointName>() {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Pace;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_target_that_nobody_leads_is_not_ready_although_the_coordinator_answers() {
        let name: TargetName = "dns".parse().unwrap();
        let mut machine = Machine::new(Pace::every(30 * SECOND), false, true, 1, Duration::ZERO);
        machine.know(&[(name.clone(), "default".parse().unwrap())].into(), Duration::ZERO);
        let mut facts = Facts { coordinator: Some(Ok(())), ..Facts::default() };
        let at = |facts: &Facts, seconds: u32| late(&name, &machine, facts, SECOND * seconds);
        assert_eq!(at(&facts, 500), None, "another watcher leads there");
        facts.unled.insert(name.clone(), 10 * SECOND);
        assert_eq!(at(&facts, 100), None, "a take-over takes its time");
        assert_eq!(at(&facts, 105).as_deref(), Some("nobody has led at dns for 95 s"));
        facts.coordinator = Some(Err("refused".to_owned()));
        assert!(at(&facts, 11).is_some_and(|why| why.contains("coordinator")));
    }
}
