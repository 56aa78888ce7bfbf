//! One candidate, asked and answered by hand, and the loop over a coordinator in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Answer, Ask, Candidacy, Candidate, Elected, ElectionEvent, Elections, LEASE, Lane, Next};
use crate::model::TargetName;
use crate::reconcile::Gate;
use crate::store::{CoordinatorError, LeaseId, Lost, MemoryCoordinator, Seat};
use crate::target::Fence;
use crate::world::{Clock, Entropy, ScriptedClock};

const ELECTIONS: &str = "/ctl/election/shop/";
const WATCHERS: &str = "/ctl/watchers/shop/";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn target(name: &str) -> TargetName {
    name.parse().unwrap()
}

fn names(names: &[&str]) -> BTreeSet<TargetName> {
    names.iter().map(|name| target(name)).collect()
}

fn seat(name: &str, value: &str, created: u64, lease: i64) -> Seat {
    let key = format!("{ELECTIONS}{name}");
    Seat { key, value: value.to_owned(), created, untouched: true, lease: Some(LeaseId(lease)) }
}

fn candidate(targets: &[&str]) -> Candidate {
    Candidate::new(ELECTIONS.into(), WATCHERS.into(), "me".into(), names(targets), Entropy::seeded(1))
}

/// Asks and answers at one time, as a coordinator that is quick and has nothing but what is ours and `others`.
struct Table {
    candidate: Candidate,
    seats: Vec<Seat>,
    watchers: Vec<Seat>,
    lease: i64,
    revision: u64,
}

impl Table {
    fn new(targets: &[&str]) -> Self {
        Self { candidate: candidate(targets), seats: Vec::new(), watchers: Vec::new(), lease: 0, revision: 10 }
    }

    /// Answers everything on a lane that is asked until `now`; stops when there is nothing to be asked at that time.
    fn serve(&mut self, lane: Lane, now: Duration) {
        while let Next::Ask(ask) = self.candidate.step(lane, now) {
            let answer = self.answer(&ask);
            self.candidate.answered(lane, &ask, now, now, answer);
        }
    }

    fn answer(&mut self, ask: &Ask) -> Result<Answer, CoordinatorError> {
        let claim = |seats: &mut Vec<Seat>, revision: &mut u64, key: &str, lease: LeaseId| {
            let found = seats.iter().find(|seat| seat.key == key).cloned();
            let seat = found.unwrap_or_else(|| {
                *revision += 1;
                let (key, value, created) = (key.to_owned(), "me".to_owned(), *revision);
                let seat = Seat { key, value, created, untouched: true, lease: Some(lease) };
                seats.push(seat.clone());
                seat
            });
            Ok(Answer::Stands(seat))
        };
        match ask {
            Ask::Grant => {
                self.lease += 1;
                Ok(Answer::Granted(LeaseId(self.lease)))
            }
            Ask::KeepAlive(_) => Ok(Answer::Kept(LEASE)),
            Ask::Register(lease, key) => claim(&mut self.watchers, &mut self.revision, key, *lease),
            Ask::Claim(lease, target) => {
                claim(&mut self.seats, &mut self.revision, &format!("{ELECTIONS}{target}"), *lease)
            }
            Ask::Look(_) => Ok(Answer::Seen(self.seats.clone(), self.watchers.clone())),
            Ask::GiveUp(_, key, created) => {
                self.seats.retain(|seat| &seat.key != key || seat.created != *created);
                self.watchers.retain(|seat| &seat.key != key || seat.created != *created);
                Ok(Answer::GivenUp)
            }
        }
    }

    /// Both lanes, at every second from `from` to `to`.
    fn pass(&mut self, from: u64, to: u64) {
        for now in from..=to {
            self.serve(Lane::Lease, seconds(now));
            self.serve(Lane::Seats, seconds(now));
        }
    }

    fn token(&self, name: &str, now: u64) -> Option<Fence> {
        self.candidate.tenure(&target(name), seconds(now)).map(|tenure| tenure.token)
    }

    fn events(&mut self) -> Vec<String> {
        let word = |event| match event {
            ElectionEvent::Won { target, token } => format!("won {target} {}", token.0),
            ElectionEvent::Lost { target, why } => format!("lost {target}: {why}"),
            ElectionEvent::Lapsed { target, why } => format!("lapsed {target}: {why}"),
            ElectionEvent::Resumed { target, token } => format!("resumed {target} {}", token.0),
            ElectionEvent::Unreachable { .. } => "unreachable".to_owned(),
            ElectionEvent::Reachable => "reachable".to_owned(),
        };
        self.candidate.take_events().into_iter().map(word).collect()
    }
}

#[test]
fn the_gate_closes_fifteen_seconds_after_the_send_of_the_last_acknowledged_renewal() {
    let mut table = Table::new(&["a"]);
    table.pass(100, 110);
    let token = table.token("a", 110).unwrap();
    // Sent at 115, and acknowledged at 119: what counts is 115.
    let Next::Ask(ask) = table.candidate.step(Lane::Lease, seconds(115)) else { panic!() };
    table.candidate.answered(Lane::Lease, &ask, seconds(115), seconds(119), Ok(Answer::Kept(LEASE)));
    let Next::Ask(look) = table.candidate.step(Lane::Seats, seconds(116)) else { panic!() };
    let seen = table.answer(&look);
    table.candidate.answered(Lane::Seats, &look, seconds(116), seconds(116), seen);
    let a = target("a");
    let just_before = seconds(130) - Duration::from_nanos(1);
    assert_eq!(table.candidate.gate(&a, token, just_before), Ok(()));
    let why = table.candidate.gate(&a, token, seconds(130)).unwrap_err();
    assert!(why.contains("15 s ago"), "{why}");
    assert_eq!(table.token("a", 130), None);
    // One that is not acknowledged moves nothing.
    let Next::Ask(ask) = table.candidate.step(Lane::Lease, seconds(120)) else { panic!() };
    let lost = Err(CoordinatorError::Unreachable { why: "lost".into() });
    table.candidate.answered(Lane::Lease, &ask, seconds(120), seconds(125), lost);
    assert!(table.candidate.gate(&a, token, seconds(130)).is_err());
    assert_eq!(table.events(), ["won a 12", "unreachable"]);
    // The lease was there all the time: it goes on under the same token.
    table.pass(131, 131);
    assert_eq!(table.token("a", 131), Some(token));
    let said = table.events();
    assert!(said[0].starts_with("lapsed a: ") && said[1..] == ["reachable", "resumed a 12"], "{said:?}");
}

#[test]
fn a_gate_that_closes_by_itself_is_told_and_so_is_the_same_tenure_when_it_goes_on() {
    let mut table = Table::new(&["a"]);
    table.pass(100, 110);
    let token = table.token("a", 110).unwrap();
    table.events();
    let closes = table.candidate.lapse(seconds(110));
    assert!(closes > seconds(120) && closes <= seconds(125), "{closes:?}");
    assert_eq!(table.candidate.lapse(closes - Duration::from_nanos(1)), closes);
    assert_eq!(table.events(), [""; 0], "it is still open");
    table.candidate.lapse(closes);
    table.candidate.lapse(closes + seconds(1));
    let said = table.events();
    assert_eq!(said.len(), 1, "once: {said:?}");
    assert!(said[0].starts_with("lapsed a: the coordinator last acknowledged it 15 s ago"), "{said:?}");
    // The lease lives another 15 s: nobody else had the key, so that the tenure is the same.
    table.pass(128, 128);
    assert_eq!(table.token("a", 128), Some(token));
    assert_eq!(table.events(), [format!("resumed a {}", token.0)]);

    // After a silence that the lease did not survive it is another tenure, and one word was enough.
    table.candidate.lapse(seconds(200));
    assert_eq!(table.events().len(), 1);
    let Next::Ask(ask) = table.candidate.step(Lane::Lease, seconds(200)) else { panic!() };
    table.candidate.answered(Lane::Lease, &ask, seconds(200), seconds(200), Err(CoordinatorError::LeaseLost));
    assert_eq!(table.events(), [""; 0]);
}

#[test]
fn a_paused_process_finds_its_gate_closed() {
    let mut table = Table::new(&["a", "b"]);
    table.pass(0, 10);
    let token = table.token("a", 10).unwrap();
    // Stopped with an answer already on its way: it is an answer to what was sent before.
    let Next::Ask(ask) = table.candidate.step(Lane::Lease, seconds(15)) else { panic!() };
    assert!(table.candidate.gate(&target("a"), token, seconds(315)).is_err());
    table.candidate.answered(Lane::Lease, &ask, seconds(15), seconds(315), Ok(Answer::Kept(LEASE)));
    assert!(table.candidate.gate(&target("a"), token, seconds(315)).is_err());
    assert_eq!(table.token("b", 315), None);
    // And a clock that shows a time before the last acknowledgement opens nothing.
    assert!(table.candidate.gate(&target("a"), token, seconds(3)).is_err());
}

#[test]
fn after_a_loss_the_next_tenure_has_a_higher_token_and_a_new_lease() {
    let mut table = Table::new(&["a"]);
    table.pass(0, 14);
    let (old, lease) = (table.token("a", 14).unwrap(), table.candidate.lease());
    let Next::Ask(ask) = table.candidate.step(Lane::Lease, seconds(15)) else { panic!() };
    table.candidate.answered(Lane::Lease, &ask, seconds(15), seconds(15), Err(CoordinatorError::LeaseLost));
    table.seats.clear();
    table.watchers.clear();
    assert_eq!(table.candidate.lease(), None);
    assert_eq!(table.events(), [format!("won a {}", old.0), "lost a: the lease is gone".to_owned()]);
    assert_eq!(table.candidate.step(Lane::Lease, seconds(15)), Next::Wait(seconds(16)), "again after a second");
    table.pass(16, 30);
    let new = table.token("a", 30).unwrap();
    assert!(new > old && table.candidate.lease() > lease);
    let why = table.candidate.gate(&target("a"), old, seconds(30)).unwrap_err();
    assert!(why.contains("is over"), "{why}");
    // What comes now for the old lease is about nothing.
    table.candidate.answered(Lane::Lease, &ask, seconds(15), seconds(30), Err(CoordinatorError::LeaseLost));
    assert_eq!(table.token("a", 30), Some(new));
}

#[test]
fn a_foreign_writer_at_our_key_a_vanished_one_and_one_made_anew_are_a_lost_tenure() {
    type Change = fn(&mut Vec<Seat>);
    let cases: [(&str, Change, bool); 4] = [
        ("its key is gone", |seats| seats.clear(), true),
        ("another holds its key: they", |seats| seats[0] = seat("a", "they", 99, 77), false),
        (
            "somebody wrote to our key: they; it goes with no lease",
            |seats| seats[0] = Seat { value: "they".into(), untouched: false, lease: None, ..seats[0].clone() },
            false,
        ),
        (
            "somebody wrote to our key: they",
            |seats| seats[0] = Seat { value: "they".into(), untouched: false, ..seats[0].clone() },
            true,
        ),
    ];
    for (expected, change, comes_back) in cases {
        let mut table = Table::new(&["a"]);
        table.pass(0, 10);
        let old = table.token("a", 10).unwrap();
        table.events();
        change(&mut table.seats);
        table.pass(15, 15);
        let events = table.events();
        assert!(events.len() == 1 && events[0].starts_with(&format!("lost a: {expected}")), "{expected}: {events:?}");
        assert!(table.candidate.gate(&target("a"), old, seconds(15)).is_err());
        // Requests of the lost tenure may be under way for ten seconds.
        table.pass(16, 24);
        assert_eq!(table.token("a", 24), None, "{expected}");
        table.pass(25, 60);
        assert_eq!(
            table.token("a", 60).is_some_and(|new| new > old),
            comes_back,
            "{expected}: held keys are not stolen"
        );
    }
}

#[test]
fn what_another_holds_is_left_alone_and_named() {
    let mut table = Table::new(&["a", "b"]);
    table.seats = vec![seat("a", "watcher on h, process 7", 3, 99)];
    table.pass(0, 60);
    assert_eq!((table.token("a", 60), table.token("b", 60).is_some()), (None, true));
    assert_eq!(table.candidate.holder(&target("a")), Some("watcher on h, process 7"));
    assert_eq!((table.candidate.holder(&target("b")), table.seats[0].created), (None, 3));
}

#[test]
fn a_claim_whose_answer_was_lost_is_found_by_the_next_look() {
    let mut table = Table::new(&["a"]);
    let mut now = 0;
    let (claim, at) = loop {
        table.serve(Lane::Lease, seconds(now));
        match table.candidate.step(Lane::Seats, seconds(now)) {
            Next::Ask(ask @ Ask::Claim(..)) => break (ask, seconds(now)),
            Next::Ask(ask) => {
                let answer = table.answer(&ask);
                table.candidate.answered(Lane::Seats, &ask, seconds(now), seconds(now), answer);
            }
            Next::Wait(_) => now += 1,
        }
    };
    table.answer(&claim).unwrap();
    let lost = Err(CoordinatorError::Unreachable { why: "lost".into() });
    table.candidate.answered(Lane::Seats, &claim, at, at + seconds(5), lost);
    assert_eq!(table.token("a", now + 5), None);
    table.pass(now + 6, now + 7);
    assert!(table.token("a", now + 7).is_some());
}

#[test]
fn a_target_that_is_not_ours_any_more_is_given_up_once_nothing_can_be_under_way() {
    let mut table = Table::new(&["a", "b"]);
    table.pass(0, 10);
    let b = table.token("b", 10);
    table.candidate.set_targets(names(&["b", "c"]), seconds(10));
    assert_eq!((table.token("a", 10), table.token("b", 10)), (None, b));
    table.pass(11, 19);
    assert!(table.seats.iter().any(|seat| seat.key.ends_with("/a")), "ten seconds for what is under way");
    table.pass(20, 25);
    assert!(!table.seats.iter().any(|seat| seat.key.ends_with("/a")));
    assert!(table.token("b", 25) == b && table.token("c", 25).is_some());
    assert_eq!(table.watchers.len(), 1, "registered once, for the new targets");
}

#[test]
fn a_watcher_with_two_more_hands_one_over_and_one_with_other_targets_gets_none() {
    let mut table = Table::new(&["a", "b", "c", "d"]);
    table.pass(0, 20);
    assert_eq!(table.events().len(), 4);
    let ours = table.watchers[0].key.clone();
    let roster = ours.trim_start_matches(WATCHERS).split('/').next().unwrap();
    let other =
        |roster: &str| Seat { key: format!("{WATCHERS}{roster}/63"), lease: Some(LeaseId(99)), ..seat("", "x", 5, 99) };
    table.watchers.push(other("another"));
    table.pass(21, 80);
    assert_eq!(table.events(), Vec::<String>::new(), "it would not take it");
    table.watchers[1] = other(roster);
    table.pass(81, 100);
    assert_eq!(table.events(), ["lost d: it is handed over to a watcher that has fewer targets"]);
    table.pass(101, 104);
    assert_eq!(table.seats.len(), 3);
    table.seats.push(seat("d", "x", 50, 99));
    table.pass(105, 112);
    assert_eq!(table.candidate.holder(&target("d")), Some("x"));
}

#[test]
fn a_lease_that_is_shorter_than_the_arithmetic_needs_opens_nothing() {
    let mut table = Table::new(&["a"]);
    table.pass(0, 4);
    let token = table.token("a", 4).unwrap();
    let Next::Ask(ask) = table.candidate.step(Lane::Lease, seconds(5)) else { panic!() };
    table.candidate.answered(Lane::Lease, &ask, seconds(5), seconds(5), Ok(Answer::Kept(seconds(29))));
    assert!(table.candidate.gate(&target("a"), token, seconds(15)).is_err());
}

fn elections(name: &str, targets: &[&str], clock: &Clock) -> (Elections, tokio::sync::mpsc::Receiver<ElectionEvent>) {
    let (prefix, project) = ("/ctl/".to_owned(), "shop".parse().unwrap());
    let who = Candidacy { prefix, project, targets: names(targets), me: name.to_owned() };
    Elections::new(who, clock.clone(), Entropy::seeded(3))
}

/// Runs until `done`, on a clock that moves on whenever somebody waits.
async fn run_until(elections: &Elections, coordinator: &MemoryCoordinator, done: impl Fn() -> bool) {
    let watch = async {
        for _ in 0..100_000 {
            if done() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it does not come to that");
    };
    tokio::select! {
        () = elections.run(coordinator, CancellationToken::new()) => {}
        () = watch => {}
    }
}

#[tokio::test]
async fn the_loop_wins_renews_and_lets_others_take_over_at_once_when_it_resigns() {
    let clock = Clock::Scripted(ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
    let coordinator = MemoryCoordinator::new(clock.clone());
    let (one, mut events) = elections("one", &["a", "b"], &clock);
    let all = |elections: &Elections| names(&["a", "b"]).iter().all(|t| elections.tenure(t).is_some());
    run_until(&one, &coordinator, || all(&one) && clock.boot() > seconds(120)).await;
    let token = one.tenure(&target("a")).unwrap().token;
    assert!(matches!(events.try_recv(), Ok(ElectionEvent::Won { .. })) && events.try_recv().is_ok());
    assert!(events.try_recv().is_err(), "nothing else in two minutes");
    assert!(
        coordinator
            .keys()
            .iter()
            .all(|seat| seat.key.starts_with("/ctl/election/shop/") || seat.key.starts_with("/ctl/watchers/shop/"))
    );

    // The run's own gate and the leader's, both.
    let run = |_: &TargetName| Ok(());
    assert_eq!(Elected { run: &run, elections: &one, token }.check(&target("a")), Ok(()));
    let ended = |_: &TargetName| Err("this run is over".to_owned());
    assert!(Elected { run: &ended, elections: &one, token }.check(&target("a")).is_err());
    one.close();
    assert!(Elected { run: &run, elections: &one, token }.check(&target("a")).is_err());
    assert_eq!((one.tenure(&target("a")), coordinator.keys().len()), (None, 3), "shut, and still held");
    one.resign(&coordinator).await;
    assert!(coordinator.keys().is_empty());

    let (two, _events) = elections("two", &["a", "b"], &clock);
    run_until(&two, &coordinator, || all(&two)).await;
    assert!(two.tenure(&target("a")).unwrap().token > token);
}

#[tokio::test]
async fn what_happens_to_a_thousand_targets_at_once_is_all_heard() {
    let clock = Clock::Scripted(ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
    let coordinator = MemoryCoordinator::new(clock.clone());
    let all: Vec<String> = (0..1_100).map(|n| format!("t{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let (one, mut events) = elections("one", &all, &clock);
    let last = || names(&all).iter().all(|target| one.tenure(target).is_some());
    run_until(&one, &coordinator, || coordinator.keys().len() == 1_101 && last()).await;
    let mut won = BTreeSet::new();
    while won.len() < all.len() {
        // The reader comes late, and the rest follows as soon as anything is said.
        match events.try_recv() {
            Ok(ElectionEvent::Won { target, .. }) => drop(won.insert(target)),
            Ok(_) => {}
            Err(_) => one.set_targets(names(&all)),
        }
    }
}

#[tokio::test]
async fn a_coordinator_that_is_away_closes_the_gates_and_all_goes_on_when_it_is_back() {
    let clock = Clock::Scripted(ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
    let coordinator = Arc::new(MemoryCoordinator::new(clock.clone()));
    let (one, mut events) = elections("one", &["a"], &clock);
    let a = target("a");
    run_until(&one, &coordinator, || one.tenure(&a).is_some()).await;
    let token = one.tenure(&a).unwrap().token;
    coordinator.lose(|_| Some(Lost::Request));
    let away = clock.boot();
    run_until(&one, &coordinator, || one.tenure(&a).is_none()).await;
    assert!(one.gate(&a, token).is_err());
    assert!(one.last_ack_age().is_some_and(|age| age >= seconds(10)), "{:?}", one.last_ack_age());
    run_until(&one, &coordinator, || clock.boot() > away + seconds(600)).await;
    coordinator.lose(|_| None);
    run_until(&one, &coordinator, || one.tenure(&a).is_some()).await;
    assert!(one.tenure(&a).unwrap().token > token, "the lease was over");
    let mut words = Vec::new();
    while let Ok(event) = events.try_recv() {
        words.push(match event {
            ElectionEvent::Won { .. } => "won",
            ElectionEvent::Lost { .. } => "lost",
            ElectionEvent::Lapsed { .. } => "lapsed",
            ElectionEvent::Resumed { .. } => "resumed",
            ElectionEvent::Unreachable { .. } => "unreachable",
            ElectionEvent::Reachable => "reachable",
        });
    }
    // On this clock whoever waits moves time on, so that the gate closes while the question is still under way.
    assert_eq!(words, ["won", "lapsed", "unreachable", "reachable", "won"]);
}
