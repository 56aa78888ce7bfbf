//! Watchers that share their orders through a place that may be away, refuse, or lose its answers.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::mpsc;

use super::*;
use crate::cli::watch::control::tests::board;
use crate::cli::watch::orders::Kept;
use crate::daemon::Control as _;
use crate::event::Entry;
use crate::model::{Answer, Digest, Order, Pinned};
use crate::store::MemoryStore;

const HONEST: u8 = 0;
/// Nothing is answered.
const AWAY: u8 = 1;
/// It can be read and not written.
const CLOSED: u8 = 2;
/// What is written arrives, and nobody is told.
const DEAF: u8 = 3;

/// The place that all see.
#[derive(Default)]
struct Book {
    orders: MemoryStore,
    mood: AtomicU8,
}

impl Book {
    fn set(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    fn mood(&self) -> u8 {
        self.mood.load(Ordering::SeqCst)
    }

    fn holds(&self) -> Orders {
        self.orders.orders(&shop()).unwrap().1
    }
}

impl OrderBook for Book {
    fn orders(&self, project: &ProjectName) -> Result<(Option<Tip>, Orders), StoreError> {
        match self.mood() {
            AWAY => Err(StoreError::Unreachable { why: "no route".to_owned(), help: String::new() }),
            _ => self.orders.orders(project),
        }
    }

    fn set_orders(
        &self,
        project: &ProjectName,
        expected: Option<&Tip>,
        orders: &Orders,
        message: &str,
    ) -> Result<Tip, StoreError> {
        match self.mood() {
            CLOSED => Err(StoreError::Denied { why: "protected".to_owned(), help: "let it".to_owned() }),
            DEAF => {
                self.orders.set_orders(project, expected, orders, message)?;
                self.set(HONEST);
                Err(StoreError::Unanswered { why: "hung up".to_owned() })
            }
            _ => self.orders.set_orders(project, expected, orders, message),
        }
    }
}

fn shop() -> ProjectName {
    "shop".parse().unwrap()
}

fn dns() -> TargetName {
    "dns".parse().unwrap()
}

/// One watcher of a target `dns`, where it does not lead, and what its loop is told.
struct One {
    board: Board,
    asks: mpsc::Receiver<Ask>,
    _state: tempfile::TempDir,
}

impl One {
    fn at(book: &Arc<Book>) -> Self {
        let state = tempfile::tempdir().unwrap();
        let (board, asks) = board(state.path(), true, 99);
        board.share_in(Arc::clone(book) as Arc<dyn OrderBook>, shop());
        Self { board, asks, _state: state }
    }

    fn suspend(&self, who: &str) -> Answer {
        let order = Order::Suspend { target: None, seconds: None, reason: Some("upgrade".to_owned()) };
        self.board.order(order, who)
    }

    fn resume(&self, who: &str) -> Answer {
        self.board.order(Order::Resume { target: None }, who)
    }

    fn is_suspended(&self) -> bool {
        self.board.orders().suspended.contains_key("dns")
    }

    /// True if the loop was told that something is another thing for the target.
    fn was_told(&mut self) -> bool {
        let mut told = false;
        while let Ok(ask) = self.asks.try_recv() {
            told |= matches!(ask, Ask::Reordered(targets) if targets == [dns()]);
        }
        told
    }

    fn said(&self) -> Vec<String> {
        self.board.journal.since(0).0.into_iter().map(|entry: Entry| entry.message).collect()
    }
}

fn two() -> (Arc<Book>, One, One) {
    let book = Arc::<Book>::default();
    let (a, b) = (One::at(&book), One::at(&book));
    (book, a, b)
}

#[test]
fn what_one_is_told_holds_at_the_others_with_who_and_why_until_anybody_takes_it_back() {
    let (book, mut a, mut b) = two();
    let answer = a.suspend("ann");
    assert!(answer.accepted && !answer.only_here, "{answer:?}");
    assert!(answer.message.contains("whoever leads at dns hears of it"), "{answer:?}");
    assert!(a.was_told() && book.holds().suspended.contains_key("dns"), "durable where all see it");
    b.board.hear().unwrap();
    assert!(b.is_suspended() && b.was_told());
    let status = b.board.status();
    let suspended = status.targets[0].suspended.as_ref().unwrap();
    assert_eq!((suspended.who.as_str(), suspended.reason.as_deref()), ("ann", Some("upgrade")));
    assert!(!suspended.only_here && status.targets[0].held.is_none());
    assert!(b.said().iter().any(|line| line.starts_with("suspend dns: upgrade, asked by ann")), "{:?}", b.said());
    b.board.hear().unwrap();
    assert!(!b.was_told(), "and is told once");

    assert!(b.resume("bob").accepted);
    assert!(!b.is_suspended() && b.was_told());
    a.board.hear().unwrap();
    assert!(!a.is_suspended() && a.was_told());
    assert!(a.said().iter().any(|line| line.starts_with("resume dns, asked by bob")), "{:?}", a.said());
    assert!(!a.resume("ann").accepted, "nothing is suspended any more");
}

#[test]
fn a_rollback_is_known_to_whoever_takes_over_after_a_restart_too() {
    let (_, mut a, b) = two();
    let commit = "9".repeat(40);
    let pin = Pinned { version: 3, commit: commit.clone(), who: "ann".to_owned(), since: 5, reason: None };
    let make = |orders: &mut Orders| orders.pin("dns".to_owned(), pin.clone());
    a.board.agree(&Change { message: "rollback".to_owned(), targets: &[dns()], make: &make }).unwrap();
    assert!(a.was_told());
    let other = "1".repeat(40);
    for (pinned, may) in [(None, false), (Some(&other), false), (Some(&commit), true)] {
        let pinned = pinned.map(|commit| Revision::parse(commit).unwrap());
        let obeys = b.board.obeys(&dns(), pinned.as_ref());
        assert_eq!(obeys.is_ok(), may, "{pinned:?}");
    }
    let held = b.board.status().targets[0].held.clone().unwrap();
    assert_eq!((held.version, held.who.as_str()), (3, "ann"));
    assert_eq!(Kept::read(&b.board.folder).unwrap(), *b.board.kept(), "it is on this machine too");
}

#[test]
fn a_suspension_holds_at_once_while_the_place_is_away_and_is_carried_over() {
    let (book, mut a, mut b) = two();
    a.board.hear().unwrap();
    book.set(AWAY);
    let answer = a.suspend("ann");
    assert!(answer.accepted && answer.only_here && answer.message.contains("no route"), "{answer:?}");
    assert!(a.is_suspended() && a.was_told());
    assert!(a.board.status().targets[0].suspended.as_ref().unwrap().only_here);
    let status = a.board.status();
    assert!(status.targets[0].suspended.is_some());
    // Nothing else is promised that others would not keep.
    let refused = a.resume("ann");
    assert!(!refused.accepted && a.is_suspended() && !refused.only_here, "{refused:?}");
    assert!(a.board.hear().is_err() && a.board.heard().trouble.is_some());
    assert!(a.board.obeys(&dns(), None).is_err(), "what is not known is not allowed");
    // A restart forgets neither the suspension nor that it is still to be told.
    assert_eq!(Kept::read(&a.board.folder).unwrap().untold(), ["dns".to_owned()].into());

    book.set(HONEST);
    a.board.hear().unwrap();
    assert!(a.board.heard().trouble.is_none() && !a.board.status().targets[0].suspended.as_ref().unwrap().only_here);
    assert!(a.said().iter().any(|line| line.contains("all watchers can see now")), "{:?}", a.said());
    b.board.hear().unwrap();
    assert!(b.is_suspended() && b.was_told());
    assert!(a.resume("ann").accepted && !a.is_suspended());
}

#[test]
fn what_was_ordered_apart_gives_way_to_a_later_word() {
    let (book, a, b) = two();
    assert!(a.suspend("ann").accepted);
    b.board.hear().unwrap();
    // Behind its back: the time of what is ordered later, by whatever clock, is later.
    book.set(AWAY);
    assert!(b.suspend("bob").only_here);
    book.set(HONEST);
    let late = crate::model::Resumed { who: "eve".to_owned(), since: i64::MAX - 9 };
    let make = |orders: &mut Orders| orders.resume("dns".to_owned(), late.clone());
    a.board.agree(&Change { message: "resume".to_owned(), targets: &[dns()], make: &make }).unwrap();
    b.board.hear().unwrap();
    assert!(!b.is_suspended());
    assert!(b.said().iter().any(|line| line.contains("holds no more: somebody ordered later")), "{:?}", b.said());
}

#[test]
fn a_place_that_refuses_is_still_heard() {
    let (book, a, b) = two();
    assert!(a.suspend("ann").accepted);
    book.set(CLOSED);
    let answer = b.board.order(Order::Suspend { target: None, seconds: Some(60), reason: None }, "bob");
    assert!(answer.only_here && answer.message.contains("protected"), "{answer:?}");
    assert!(b.is_suspended() && b.board.heard().at.is_some());
    assert!(!b.resume("bob").accepted && b.is_suspended());
    assert_eq!(book.holds().suspended["dns"].who, "ann");
}

#[test]
fn an_answer_that_was_lost_is_looked_for() {
    let (book, a, _) = two();
    book.set(DEAF);
    let answer = a.suspend("ann");
    assert!(answer.accepted && !answer.only_here, "{answer:?}");
    assert!(book.holds().suspended.contains_key("dns"));
    book.set(DEAF);
    assert!(a.resume("ann").accepted);
    assert!(book.holds().names().is_empty());
}

#[test]
fn an_approval_reaches_whoever_leads_where_this_one_does_not() {
    let (book, a, mut b) = two();
    let sum = Digest::of(b"a plan").to_string();
    let answer = a.board.order(Order::Approve { checksum: sum.clone(), seconds: 60 }, "ann");
    assert!(answer.accepted && answer.message.contains("whoever leads"), "{answer:?}");
    b.board.hear().unwrap();
    let now = b.board.clock.wall().as_second();
    assert_eq!(b.board.orders().approvals(now), [Digest::parse(&sum).unwrap()]);
    assert!(matches!(b.asks.try_recv(), Ok(Ask::Approved)));
    assert_eq!(book.holds().approved.len(), 1);
}

#[test]
fn a_suspension_that_is_over_does_not_come_back_from_the_place() {
    let (book, a, mut b) = two();
    let order = Order::Suspend { target: None, seconds: Some(2), reason: None };
    assert!(a.board.order(order, "ann").accepted);
    let until = book.holds().suspended["dns"].until.unwrap();
    while b.board.clock.wall().as_second() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    b.board.hear().unwrap();
    assert!(!b.is_suspended() && !b.was_told(), "it ended everywhere at the same time");
    assert!(b.board.obeys(&dns(), None).is_ok());
}
