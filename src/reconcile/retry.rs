//! What to do after a fault, and how many retries a server that is down gets.

use std::time::Duration;

use crate::target::{Guarding, TargetError};
use crate::world::Entropy;

/// How often a request is sent again.
pub(super) const RETRIES: u32 = 3;
/// How often a resource is planned again after a conflict.
const REPLANS: u32 = 5;
/// How long a run waits for a server that asks it to, all together, before a request gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A server that asks for less than this is asked again as if it had named no time.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest pause before asking a server again that says "too many" and not how long to wait.
const LONGEST_UNASKED: Duration = Duration::from_secs(8);
/// The longest time that a server is left alone because it asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// What a call is, as far as repeating it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// It changes nothing: may always be repeated.
    Read,
    /// It makes something new.
    Create(Guarding),
    /// It changes or deletes what is there.
    Change(Guarding),
}

/// What was tried so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tries {
    /// Requests sent again.
    pub retries: u32,
    /// Conflicts planned again.
    pub replans: u32,
    /// Time spent because the server asked for it.
    pub throttled: Duration,
    /// Most requests that may be sent again, if fewer than by default.
    pub most: Option<u32>,
}

impl Tries {
    /// None so far, and `most` retries to come.
    pub fn at_most(most: Option<u32>) -> Self {
        Self { most, ..Self::default() }
    }

    /// Nothing may be sent again any more.
    pub fn spent(&self) -> bool {
        self.retries >= self.most.unwrap_or(RETRIES).min(RETRIES)
    }
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Send the same again after this time.
    Wait(Duration),
    /// Read, plan this resource again, and try that after this time.
    Replan(Duration),
    /// It may have happened: look before anything else, after this time.
    LookFirst(Duration),
    /// It did not happen, and the server wants to be left alone for longer than this run waits: nothing is sent there
    /// before this time is over.
    Later(Duration),
    /// It did not happen, and trying again is no use.
    GiveUp,
    /// It may have happened, and nobody can look.
    InDoubt,
}

/// Says what to do after `fault`. `patience` is how long a run waits for a server that asks for it.
pub fn verdict(fault: &TargetError, call: Call, tries: &Tries, patience: Duration, chance: &Entropy) -> Verdict {
    match fault {
        TargetError::Unsent { .. } => again(tries, chance),
        TargetError::Unanswered { .. } | TargetError::Failed { .. } => match call {
            Call::Read => again(tries, chance),
            Call::Create(guarding) if guarding.can_look_up => Verdict::LookFirst(backoff(tries.retries)),
            Call::Create(_) => Verdict::InDoubt,
            // A change is looked at again too: what was seen before may no longer be what is there.
            Call::Change(guarding) if guarding.can_look_up || guarding.may_repeat => {
                Verdict::LookFirst(backoff(tries.retries))
            }
            Call::Change(_) => Verdict::InDoubt,
        },
        TargetError::Throttled { after, .. } => {
            // "At once" is no answer to "too many": a server that says so would be asked without a pause for ever.
            let asked = after.filter(|wait| *wait >= SHORTEST_WAIT).unwrap_or_else(|| {
                // As long again as was waited already: 1, 1, 2, 4, 8, 8 s.
                tries.throttled.clamp(SHORTEST_WAIT, LONGEST_UNASKED)
            });
            if tries.throttled + asked <= patience {
                return Verdict::Wait(later(asked, chance));
            }
            asked_for(fault, chance).map_or(Verdict::GiveUp, Verdict::Later)
        }
        TargetError::Conflict { .. } => match call {
            Call::Read => Verdict::GiveUp,
            Call::Create(_) | Call::Change(_) if tries.replans < REPLANS => {
                Verdict::Replan(chance.jitter(Duration::from_millis(100) * 2_u32.pow(tries.replans.min(10))))
            }
            Call::Create(_) | Call::Change(_) => Verdict::GiveUp,
        },
        // A write whose answer makes no sense may have happened; a read is not better the second time.
        TargetError::Unreadable { .. } | TargetError::TooLarge { .. } => match call {
            Call::Read => Verdict::GiveUp,
            Call::Create(g) if !g.can_look_up => Verdict::InDoubt,
            Call::Create(_) | Call::Change(_) => Verdict::LookFirst(Duration::ZERO),
        },
        TargetError::Distrusted { .. }
        | TargetError::Denied { .. }
        | TargetError::Invalid { .. }
        | TargetError::Redirected { .. }
        | TargetError::Refused { .. } => Verdict::GiveUp,
    }
}

/// How long the server asks to be left alone, if it does and says so: obeyed up to a quarter of an hour.
pub(super) fn asked_for(fault: &TargetError, chance: &Entropy) -> Option<Duration> {
    match fault {
        TargetError::Throttled { after: Some(after), .. } if *after >= SHORTEST_WAIT => {
            Some(later((*after).min(LONGEST_WAIT), chance))
        }
        TargetError::Throttled { .. }
        | TargetError::Unsent { .. }
        | TargetError::Distrusted { .. }
        | TargetError::Unanswered { .. }
        | TargetError::Conflict { .. }
        | TargetError::Failed { .. }
        | TargetError::Denied { .. }
        | TargetError::Invalid { .. }
        | TargetError::Unreadable { .. }
        | TargetError::TooLarge { .. }
        | TargetError::Redirected { .. }
        | TargetError::Refused { .. } => None,
    }
}

/// Never earlier than asked; a little later, so that many who wait do not come back together.
fn later(asked: Duration, chance: &Entropy) -> Duration {
    asked + chance.jitter(asked / 10)
}

fn again(tries: &Tries, chance: &Entropy) -> Verdict {
    if tries.spent() {
        return Verdict::GiveUp;
    }
    let wait = backoff(tries.retries);
    // A quarter more at most, so that many who failed together do not come back together.
    Verdict::Wait(wait + chance.jitter(wait / 4))
}

/// 1, 2, 4 s.
fn backoff(retries: u32) -> Duration {
    Duration::from_secs(1) * 2_u32.pow(retries.min(RETRIES - 1))
}

/// Keeps retries from multiplying the load of a server that is down: over any time from the start they are at most 20 %
/// of the first attempts plus one a second. The first ten seconds' worth is lent at once, so that a short run can retry.
/// What is not used is kept up to a hundred retries: a process that was well for a week may not storm a server for a day.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    since: Duration,
    first_attempts: u64,
    retries: u64,
    /// Allowance that was given and not kept.
    forgone: f64,
}

/// Seconds of allowance that are lent at the start.
const LENT: f64 = 10.0;
/// Retries that are kept for later.
const KEPT: f64 = 100.0;

impl RetryBudget {
    /// Starts to count at `now`.
    pub fn new(now: Duration) -> Self {
        Self { since: now, first_attempts: 0, retries: 0, forgone: 0.0 }
    }

    /// Notes a first attempt.
    pub fn first(&mut self) {
        self.first_attempts += 1;
    }

    /// True, and counted, if one more retry is within the budget.
    pub fn take(&mut self, now: Duration) -> bool {
        if self.left(now) < 1.0 {
            return false;
        }
        self.retries += 1;
        true
    }

    /// Retries that may start now.
    pub fn left(&mut self, now: Duration) -> f64 {
        let seconds = now.saturating_sub(self.since).as_secs_f64().max(LENT);
        let given = self.first_attempts as f64 * 0.2 + seconds;
        let left = given - self.retries as f64 - self.forgone;
        self.forgone += (left - KEPT).max(0.0);
        left.min(KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_server_that_names_no_time_or_says_at_once_is_asked_ever_less_often() {
        for after in [None, Some(Duration::ZERO), Some(Duration::from_millis(1))] {
            let fault = TargetError::Throttled { request: request(), status: 429, after };
            let mut tries = Tries::default();
            let mut asked = 0;
            while let Verdict::Wait(wait) = verdict(&fault, Call::Read, &tries, PATIENCE, &Entropy::seeded(1)) {
                assert!(wait >= SHORTEST_WAIT);
                tries.throttled += wait;
                asked += 1;
            }
            assert!((5..15).contains(&asked), "{asked} times in {PATIENCE:?}");
        }
    }

    fn request() -> String {
        "PUT http://h/x".into()
    }

    fn unanswered() -> TargetError {
        TargetError::Unanswered { request: request(), why: "reset".into() }
    }

    fn guarding(can_look_up: bool, may_repeat: bool) -> Guarding {
        Guarding { fresh_read: false, may_repeat, can_look_up }
    }

    fn ask(fault: &TargetError, call: Call, tries: Tries) -> Verdict {
        verdict(fault, call, &tries, PATIENCE, &Entropy::seeded(1))
    }

    #[test]
    fn what_was_not_sent_is_sent_again_after_1_2_and_4_seconds_and_then_no_more() {
        let fault = TargetError::Unsent { request: request(), why: "refused".into() };
        let waits: Vec<Verdict> = (0..4)
            .map(|retries| ask(&fault, Call::Create(guarding(false, false)), Tries { retries, ..Tries::default() }))
            .collect();
        let [one, two, four, last] = &waits[..] else { panic!("{waits:?}") };
        for (wait, seconds) in [(one, 1), (two, 2), (four, 4)] {
            let Verdict::Wait(wait) = wait else { panic!("{waits:?}") };
            let base = Duration::from_secs(seconds);
            assert!((base..=base.mul_f64(1.25)).contains(wait), "{waits:?}");
        }
        assert_eq!(last, &Verdict::GiveUp);
    }

    #[test]
    fn a_lost_create_is_looked_up_or_in_doubt_and_never_just_repeated() {
        for may_repeat in [false, true] {
            let found = ask(&unanswered(), Call::Create(guarding(true, may_repeat)), Tries::default());
            assert!(matches!(found, Verdict::LookFirst(_)), "{found:?}");
            let blind = ask(&unanswered(), Call::Create(guarding(false, may_repeat)), Tries::default());
            assert_eq!(blind, Verdict::InDoubt);
        }
        let failed = TargetError::Failed { request: request(), status: 500, excerpt: String::new() };
        assert_eq!(ask(&failed, Call::Create(guarding(false, false)), Tries::default()), Verdict::InDoubt);
        assert!(matches!(ask(&failed, Call::Read, Tries::default()), Verdict::Wait(_)));
    }

    #[test]
    fn retry_after_is_obeyed_and_has_an_end() {
        let throttled =
            |s| TargetError::Throttled { request: request(), status: 429, after: Some(Duration::from_secs(s)) };
        let Verdict::Wait(wait) = ask(&throttled(7), Call::Read, Tries::default()) else { panic!("no wait") };
        assert!(wait >= Duration::from_secs(7) && wait <= Duration::from_secs(8), "{wait:?}");
        // Longer than a run waits: it gives up, and nothing is sent there before that time.
        let waited = Tries { throttled: Duration::from_secs(55), ..Tries::default() };
        for (asked, tries, least) in [(61, Tries::default(), 61), (7, waited, 7), (86_400, Tries::default(), 900)] {
            let Verdict::Later(wait) = ask(&throttled(asked), Call::Read, tries) else { panic!("{asked} s") };
            let least = Duration::from_secs(least);
            assert!((least..=least.mul_f64(1.1)).contains(&wait), "{asked} s: {wait:?}");
        }
        // Who names no time is not left alone for one.
        let unnamed = TargetError::Throttled { request: request(), status: 429, after: None };
        let waited = Tries { throttled: PATIENCE, ..Tries::default() };
        assert_eq!(ask(&unnamed, Call::Read, waited), Verdict::GiveUp);
    }

    #[test]
    fn a_conflict_is_planned_again_five_times() {
        let fault = TargetError::Conflict { request: request(), status: 412, excerpt: String::new() };
        let again = (0..10).take_while(|replans| {
            let tries = Tries { replans: *replans, ..Tries::default() };
            matches!(ask(&fault, Call::Change(guarding(true, true)), tries), Verdict::Replan(_))
        });
        assert_eq!(again.count(), 5);
    }

    #[test]
    fn a_server_that_is_down_for_ten_minutes_is_not_stormed() {
        let (mut budget, mut with, mut without) = (RetryBudget::new(Duration::ZERO), 0_u64, 0_u64);
        let first = 4_000_u64;
        for i in 0..first {
            let now = Duration::from_millis(i * 150);
            budget.first();
            (with, without) = (with + 1, without + 1);
            for _ in 0..RETRIES {
                without += 1;
                with += u64::from(budget.take(now));
            }
        }
        let limit = first as f64 * 1.2 + 600.0;
        assert!(with as f64 <= limit, "{with}");
        assert!(without as f64 > limit, "the control run must exceed it: {without}");
    }

    #[test]
    fn a_quiet_week_saves_up_no_storm() {
        let mut budget = RetryBudget::new(Duration::ZERO);
        let week = Duration::from_secs(7 * 86_400);
        // A tick of two requests every 30 s, all answered.
        for tick in 0..week.as_secs() / 30 {
            budget.first();
            budget.first();
            assert!(budget.left(Duration::from_secs(tick * 30)) <= KEPT);
        }
        let at_once = (0..100_000).take_while(|_| budget.take(week)).count();
        assert_eq!(at_once as f64, KEPT);
        let later = week + Duration::from_secs(60);
        assert_eq!((0..1000).take_while(|_| budget.take(later)).count(), 60, "and then one a second");
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_budget(steps in proptest::collection::vec((any::<bool>(), 0_u64..500), 1..400)) {
            let mut budget = RetryBudget::new(Duration::ZERO);
            let (mut now, mut first, mut retries) = (Duration::ZERO, 0_u64, 0_u64);
            for (is_first, gap) in steps {
                now += Duration::from_millis(gap);
                if is_first {
                    budget.first();
                    first += 1;
                } else {
                    retries += u64::from(budget.take(now));
                }
                prop_assert!(retries as f64 <= 0.2 * first as f64 + now.as_secs_f64().max(LENT));
            }
        }
    }
}
