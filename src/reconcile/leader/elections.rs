//! The elections of one process, for all its targets on one lease.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::candidate::{Answer, Ask, Candidate, ElectionEvent, LEASE, Lane, Next, REQUEST, Tenure};
use crate::model::{ProjectName, TargetName};
use crate::store::{Coordinator, CoordinatorError};
use crate::target::Fence;
use crate::world::{Clock, Entropy};

/// Events that wait to be read.
const EVENTS: usize = 1024;

/// Who stands for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidacy {
    /// What all keys begin with: `/ctl` unless the operator says otherwise. Projects of the same name need two.
    pub prefix: String,
    /// The project. Its watchers share its targets.
    pub project: ProjectName,
    /// The targets.
    pub targets: BTreeSet<TargetName>,
    /// What the others read of this process: host, process, address. Everybody at the coordinator can read it, so no
    /// secret belongs here.
    pub me: String,
}

/// The elections of one process: one for each of its targets, on one lease.
///
/// The keys are `<prefix>/election/<project>/<target>`, and `<prefix>/watchers/<project>/…` for those who share them.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Elections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    candidate: Mutex<Candidate>,
    clock: Clock,
    events: mpsc::Sender<ElectionEvent>,
    /// Something changed that a waiting lane may want to see.
    changed: Notify,
}

impl Shared {
    /// Passes events on as far as there is place; what happened to a thousand targets at once comes bit by bit.
    fn tell(&self, candidate: &mut Candidate) {
        while candidate.has_events() {
            match self.events.try_reserve() {
                Ok(place) => {
                    if let Some(event) = candidate.next_event() {
                        place.send(event);
                    }
                }
                Err(TrySendError::Full(())) => return,
                // Nobody listens.
                Err(TrySendError::Closed(())) => drop(candidate.take_events()),
            }
        }
    }
}

impl Elections {
    /// Elections in which nothing is won yet, and what happens in them.
    pub fn new(who: Candidacy, clock: Clock, entropy: Entropy) -> (Self, mpsc::Receiver<ElectionEvent>) {
        let Candidacy { prefix, project, targets, me } = who;
        let prefix = prefix.trim_end_matches('/');
        let (elections, watchers) = (format!("{prefix}/election/{project}/"), format!("{prefix}/watchers/{project}/"));
        let candidate = Mutex::new(Candidate::new(elections, watchers, me, targets, entropy));
        let (sender, receiver) = mpsc::channel(EVENTS);
        let shared = Arc::new(Shared { candidate, clock, events: sender, changed: Notify::new() });
        (Self { shared }, receiver)
    }

    /// Stands for election, renews, loses and stands again, until cancelled; then resigns.
    pub async fn run<C: Coordinator>(&self, coordinator: &C, cancel: CancellationToken) {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.go(coordinator, Lane::Lease) => {}
            () = self.go(coordinator, Lane::Seats) => {}
        }
        self.resign(coordinator).await;
    }

    /// The tenure of a target, while its gate is open.
    pub fn tenure(&self, target: &TargetName) -> Option<Tenure> {
        let candidate = self.candidate();
        candidate.tenure(target, self.shared.clock.boot())
    }

    /// Whether a request to the target may start now, under that token; otherwise why not. To be asked right before
    /// every attempt; the request then has to end within [`REQUEST`].
    pub fn gate(&self, target: &TargetName, token: Fence) -> Result<(), String> {
        let candidate = self.candidate();
        // The time is read after the lock was waited for.
        candidate.gate(target, token, self.shared.clock.boot())
    }

    /// Who else holds a target, as last seen and in their own words.
    pub fn holder(&self, target: &TargetName) -> Option<String> {
        self.candidate().holder(target).map(str::to_owned)
    }

    /// Shuts every gate for good, and keeps the lease: for the time in which requests under way come to their end.
    pub fn close(&self) {
        self.change(|candidate, _| candidate.close("this process is stopping"));
    }

    /// Shuts every gate for good and ends the lease, so that others take over at once. Requests of ours must not be
    /// under way any more: see [`Elections::close`]. If the coordinator cannot be told, the lease ends by itself.
    pub async fn resign<C: Coordinator>(&self, coordinator: &C) {
        let lease = self.change(|candidate, _| candidate.end());
        if let Some(lease) = lease {
            // Whether it was heard or not, nothing of ours is written any more.
            drop(coordinator.revoke(lease, REQUEST).await);
        }
    }

    /// From now on these targets. One that is gone is given up ten seconds after its gate was shut.
    pub fn set_targets(&self, targets: BTreeSet<TargetName>) {
        self.change(|candidate, now| candidate.set_targets(targets, now));
    }

    /// How long ago the last acknowledged renewal was sent, also of a lease that is lost since; `None` before the first.
    pub fn last_ack_age(&self) -> Option<Duration> {
        let candidate = self.candidate();
        candidate.last_ack_age(self.shared.clock.boot())
    }

    async fn go<C: Coordinator>(&self, coordinator: &C, lane: Lane) {
        loop {
            // Before the step, so that no change goes unheard between the two.
            let changed = self.shared.changed.notified();
            let now = self.shared.clock.boot();
            let next = self.candidate().step(lane, now);
            match next {
                Next::Ask(ask) => {
                    // From here on, and not from the answer, time counts.
                    let sent = self.shared.clock.boot();
                    let answer = match lane {
                        Lane::Lease => self.ask_watching(coordinator, &ask).await,
                        Lane::Seats => self.ask(coordinator, &ask).await,
                    };
                    self.change(|candidate, now| candidate.answered(lane, &ask, sent, now, answer));
                }
                Next::Wait(until) => {
                    tokio::select! {
                        () = changed => {}
                        () = self.shared.clock.sleep(until.saturating_sub(now)) => {}
                    }
                }
            }
        }
    }

    /// Asks, and says of every gate that closes by itself meanwhile that it did: an answer may be long in coming, and what
    /// is done between two questions is over before a gate closes.
    async fn ask_watching<C: Coordinator>(&self, coordinator: &C, ask: &Ask) -> Result<Answer, CoordinatorError> {
        let mut asking = std::pin::pin!(self.ask(coordinator, ask));
        loop {
            let closes = self.lapse();
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                () = self.shared.clock.sleep(closes) => {}
            }
        }
    }

    /// Says which gates closed by themselves. Returns how long it takes until the next one does.
    fn lapse(&self) -> Duration {
        let mut candidate = self.candidate();
        let now = self.shared.clock.boot();
        let next = candidate.lapse(now);
        self.shared.tell(&mut candidate);
        next.saturating_sub(now)
    }

    async fn ask<C: Coordinator>(&self, coordinator: &C, ask: &Ask) -> Result<Answer, CoordinatorError> {
        let within = ask.within();
        match ask {
            Ask::Grant => coordinator.grant(LEASE, within).await.map(Answer::Granted),
            Ask::KeepAlive(lease) => coordinator.keep_alive(*lease, within).await.map(Answer::Kept),
            Ask::Register(lease, key) => {
                let me = self.candidate().me().to_owned();
                coordinator.claim(key, &me, *lease, within).await.map(Answer::Stands)
            }
            Ask::Claim(lease, target) => {
                let (key, me) = {
                    let candidate = self.candidate();
                    (candidate.key(target), candidate.me().to_owned())
                };
                coordinator.claim(&key, &me, *lease, within).await.map(Answer::Stands)
            }
            Ask::Look(_) => {
                let prefixes = self.candidate().prefixes();
                let mut found = coordinator.look(&prefixes, within).await?.into_iter();
                match (found.next(), found.next()) {
                    (Some(seats), Some(watchers)) => Ok(Answer::Seen(seats, watchers)),
                    _ => Err(CoordinatorError::Odd { why: "a list of keys is missing".to_owned() }),
                }
            }
            Ask::GiveUp(_, key, created) => coordinator.give_up(key, *created, within).await.map(|()| Answer::GivenUp),
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Candidate, Duration) -> R) -> R {
        let mut candidate = self.candidate();
        let out = change(&mut candidate, self.shared.clock.boot());
        // Under the lock, so that they come in the order in which they happened. What finds no place waits.
        self.shared.tell(&mut candidate);
        drop(candidate);
        self.shared.changed.notify_waiters();
        out
    }

    fn candidate(&self) -> MutexGuard<'_, Candidate> {
        self.shared.candidate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
