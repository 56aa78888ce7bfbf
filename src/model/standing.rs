//! What follows from a status: which state counts, and when it was said.

use super::{EndpointStatus, Stamp, State, Status, TargetStatus};

/// The states from the one that can wait to the one that cannot.
const BY_GRAVITY: [State; 7] =
    [State::Ok, State::NotLeader, State::Suspended, State::StaleSource, State::Refused, State::Failing, State::InDoubt];

impl State {
    /// How grave it is: the larger, the sooner somebody should look.
    pub fn gravity(self) -> usize {
        BY_GRAVITY.iter().position(|state| *state == self).unwrap_or_default()
    }
}

impl TargetStatus {
    /// The gravest state of its endpoints; `ok` without any.
    pub fn state(&self) -> State {
        self.endpoints.iter().map(|e| e.state).max_by_key(|state| state.gravity()).unwrap_or_default()
    }
}

impl EndpointStatus {
    /// True if nothing is wrong there and nothing waits.
    pub fn is_quiet(&self) -> bool {
        matches!(self.state, State::Ok | State::NotLeader) && self.pending == 0
    }
}

impl Status {
    /// When this was said: Unix seconds by the clock of whoever said it. Stamps that lie ahead are measured from here.
    pub fn said(&self) -> i64 {
        self.started.time.saturating_add(i64::try_from(self.started.age).unwrap_or(i64::MAX))
    }

    /// Seconds from when this was said until `stamp`; 0 if that is over.
    pub fn until(&self, stamp: Stamp) -> u64 {
        u64::try_from(stamp.time.saturating_sub(self.said())).unwrap_or(0)
    }

    /// The same without anything that only time changes: two of them differ if something happened.
    #[must_use]
    pub fn without_ages(&self) -> Self {
        let still = |stamp: &mut Stamp| stamp.age = 0;
        let mut out = self.clone();
        still(&mut out.started);
        (out.source.fresh, out.source.next) = (None, None);
        // The seconds in it go on.
        out.not_ready.iter_mut().for_each(String::clear);
        if let Some(election) = &mut out.election {
            election.last_ack_age = None;
        }
        for target in &mut out.targets {
            (target.last_cycle, target.last_success, target.next) = (None, None, None);
            (target.took_ms, target.running) = (0, false);
            target.not_ready = target.not_ready.take().map(|_| String::new());
            if let Some(version) = &mut target.version {
                still(&mut version.applied);
            }
            if let Some(suspended) = &mut target.suspended {
                still(&mut suspended.since);
                suspended.left = None;
            }
            for endpoint in &mut target.endpoints {
                still(&mut endpoint.since);
                (endpoint.last_success, endpoint.next, endpoint.attempts) = (None, None, 0);
                if let Some(request) = &mut endpoint.last_request {
                    (request.sent, request.took_ms) = (Stamp::default(), 0);
                    // Which of many good requests came last is of no interest.
                    if endpoint.state == State::Ok {
                        endpoint.last_request = None;
                    }
                }
            }
            for pending in &mut target.pending {
                (pending.next, pending.attempts) = (None, 0);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_endpoint_speaks_for_its_target() {
        let at = |state| EndpointStatus { state, ..EndpointStatus::default() };
        let target = |states: &[State]| TargetStatus {
            endpoints: states.iter().map(|s| at(*s)).collect(),
            ..TargetStatus::default()
        };
        assert_eq!(target(&[]).state(), State::Ok);
        assert_eq!(target(&[State::Ok, State::Failing, State::NotLeader]).state(), State::Failing);
        assert_eq!(target(&[State::InDoubt, State::Failing]).state(), State::InDoubt);
        let mut ranks: Vec<usize> = State::ALL.iter().map(|s| s.gravity()).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2, 3, 4, 5, 6], "each state has a place of its own");
    }

    #[test]
    fn only_time_went_by() {
        let status = |age: u64, state| Status {
            started: Stamp { time: 100, age },
            targets: vec![TargetStatus {
                last_cycle: Some(Stamp { time: 90 + i64::try_from(age).unwrap(), age: 0 }),
                endpoints: vec![EndpointStatus { state, since: Stamp { time: 100, age }, ..EndpointStatus::default() }],
                ..TargetStatus::default()
            }],
            ..Status::default()
        };
        assert_eq!(status(1, State::Ok).without_ages(), status(31, State::Ok).without_ages());
        assert_ne!(status(1, State::Ok).without_ages(), status(1, State::Failing).without_ages());
    }

    #[test]
    fn what_lies_ahead_is_measured_from_when_it_was_said() {
        let status = Status { started: Stamp { time: 100, age: 50 }, ..Status::default() };
        assert_eq!(status.said(), 150);
        assert_eq!(status.until(Stamp { time: 158, age: 0 }), 8);
        assert_eq!(status.until(Stamp { time: 100, age: 50 }), 0);
        let odd = Status { started: Stamp { time: i64::MAX, age: u64::MAX }, ..Status::default() };
        assert_eq!(odd.until(Stamp { time: i64::MIN, age: 0 }), 0);
    }
}
