//! One endpoint with all that its requests share: rate, retry budget, pauses.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::retry::{RetryBudget, asked_for};
use crate::event::Event;
use crate::model::{EndpointName, Mark, Scope, TargetName};
use crate::target::TargetError;
use crate::world::{Clock, Entropy, Rate, TokenBucket};

/// Which endpoint of which target.
pub type Place = (TargetName, EndpointName);

/// The endpoints of a run.
pub type Peers<T> = BTreeMap<Place, Peer<T>>;

/// One endpoint with its driver and all that is shared by requests to it: rate, retry budget, pauses.
#[derive(Debug)]
pub struct Peer<T> {
    /// The target.
    pub target: TargetName,
    /// The endpoint.
    pub name: EndpointName,
    /// Speaks to it.
    pub driver: T,
    /// The mark that writes put on resources; none with `marks: off`.
    pub mark: Option<Mark>,
    /// How many requests may be under way at once.
    pub concurrency: usize,
    /// How many of them may be writes, each with the reads that belong to it.
    pub writers: usize,
    /// How often a request to it is sent again, at most; never more often than by default.
    pub retries: Option<u32>,
    /// The name of the credential that goes along, for messages.
    pub credential: Option<String>,
    lane: Mutex<Lane>,
}

#[derive(Debug)]
struct Lane {
    bucket: Option<TokenBucket>,
    paused_until: Duration,
    /// Nothing is sent before then, and nobody waits for it: what the server said, and until when.
    closed: Option<(Duration, TargetError)>,
    budget: RetryBudget,
    pages: BTreeMap<Scope, usize>,
    usual: BTreeMap<Question, Duration>,
}

/// What an endpoint is asked before anything else, and before others go on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Question {
    /// Who are you?
    Greeting,
    /// Did anything change?
    Revisit,
}

/// What answers in less than this is not called late, however quick it was before.
const LATE: Duration = Duration::from_millis(100);
/// What takes so many times as long as usual is late.
const LATER: u32 = 4;

impl<T> Peer<T> {
    /// An endpoint to which nothing was sent yet.
    pub fn new(
        place: Place,
        driver: T,
        mark: Option<Mark>,
        concurrency: usize,
        rate: Option<Rate>,
        clock: &Clock,
    ) -> Self {
        let (target, name) = place;
        let lane = Lane {
            bucket: rate.map(TokenBucket::new),
            paused_until: Duration::ZERO,
            closed: None,
            budget: RetryBudget::new(clock.boot()),
            pages: BTreeMap::new(),
            usual: BTreeMap::new(),
        };
        let concurrency = concurrency.max(1);
        let (retries, credential, lane) = (None, None, Mutex::new(lane));
        Self { target, name, driver, mark, concurrency, writers: concurrency, retries, credential, lane }
    }

    /// The same, with fewer retries.
    pub fn with_retries(self, retries: Option<u32>) -> Self {
        Self { retries, ..self }
    }

    /// The same, with fewer writes at once.
    pub fn with_writers(self, writers: Option<u32>) -> Self {
        let writers = writers.map_or(self.writers, |n| (n as usize).clamp(1, self.concurrency));
        Self { writers, ..self }
    }

    /// The same, with the name of the credential that goes along.
    pub fn with_credential(self, credential: Option<String>) -> Self {
        Self { credential, ..self }
    }

    /// What an error says here. One that is about who we are names the credential; the value shows nowhere.
    pub(super) fn told(&self, error: &TargetError) -> String {
        match (error, &self.credential) {
            (TargetError::Denied { .. }, Some(name)) => format!("{error} (with the credential `{name}`)"),
            (TargetError::Denied { .. }, None) => format!("{error} (without a credential)"),
            _ => error.to_string(),
        }
    }

    /// Target and name.
    pub fn place(&self) -> Place {
        (self.target.clone(), self.name.clone())
    }

    /// Waits until a request may start. An error, and at once, if the server asked to be left alone for longer than
    /// anybody waits here.
    pub(super) async fn turn(&self, clock: &Clock) -> Result<(), TargetError> {
        self.is_open(clock.boot())?;
        let wait = {
            let now = clock.boot();
            self.lane().bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.take(now))
        };
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
        // Somebody else may have been asked to wait meanwhile.
        loop {
            let now = clock.boot();
            self.is_open(now)?;
            let left = self.lane().paused_until.saturating_sub(now);
            if left.is_zero() {
                return Ok(());
            }
            clock.sleep(left).await;
        }
    }

    /// Starts no request before `until`.
    pub(super) fn pause(&self, until: Duration) {
        let mut lane = self.lane();
        lane.paused_until = lane.paused_until.max(until);
    }

    /// Takes in that a request was refused: a server that asks to be left alone for a time is.
    pub fn heard(&self, error: &TargetError, now: Duration, chance: &Entropy) {
        if let Some(wait) = asked_for(error, chance) {
            self.close(error, now + wait);
        }
    }

    /// Sends nothing before `until`, because of what the server said.
    pub(super) fn close(&self, error: &TargetError, until: Duration) {
        let mut lane = self.lane();
        if lane.closed.as_ref().is_none_or(|(before, _)| *before < until) {
            lane.closed = Some((until, error.clone()));
        }
    }

    /// An error as long as the server wants to be left alone: what it said, with the time that is left.
    pub fn is_open(&self, now: Duration) -> Result<(), TargetError> {
        let mut lane = self.lane();
        let Some((until, error)) = &lane.closed else { return Ok(()) };
        if *until <= now {
            lane.closed = None;
            return Ok(());
        }
        let left = until.saturating_sub(now);
        Err(match error.clone() {
            TargetError::Throttled { request, status, .. } => {
                TargetError::Throttled { request, status, after: Some(left) }
            }
            other => other,
        })
    }

    /// Until when nothing is sent, because the server wants it so, and its words.
    pub fn closed(&self, now: Duration) -> Option<(Duration, String)> {
        let lane = self.lane();
        let (until, error) = lane.closed.as_ref().filter(|(until, _)| *until > now)?;
        Some((*until, self.told(error)))
    }

    /// A person says that it may be asked again.
    pub fn reopen(&self) {
        let mut lane = self.lane();
        (lane.closed, lane.paused_until) = (None, Duration::ZERO);
    }

    pub(super) fn first_attempt(&self) {
        self.lane().budget.first();
    }

    pub(super) fn may_retry(&self, now: Duration) -> bool {
        self.lane().budget.take(now)
    }

    /// Retries that may start now.
    pub fn retries_left(&self, now: Duration) -> f64 {
        self.lane().budget.left(now)
    }

    /// Notes how long it took to answer. A slow answer counts for a while, so that one that is slow now and then is not
    /// called late each time.
    pub(super) fn note_time(&self, question: Question, took: Duration) {
        let mut lane = self.lane();
        let usual = lane.usual.entry(question).or_default();
        *usual = took.max(usual.mul_f64(0.9));
    }

    /// After how long an answer is late, as far as can be told: not before it answered once.
    pub(super) fn late_after(&self, question: Question) -> Option<Duration> {
        self.lane().usual.get(&question).map(|usual| LATE.max(*usual * LATER))
    }

    pub(super) fn note_pages(&self, scope: &Scope, pages: usize) {
        self.lane().pages.insert(scope.clone(), pages.max(1));
    }

    /// How many requests a list of `scope` takes, as far as is known.
    pub(super) fn pages(&self, scope: &Scope) -> usize {
        self.lane().pages.get(scope).copied().unwrap_or(1)
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every step of a run needs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Time.
    pub clock: &'a Clock,
    /// Chance.
    pub entropy: &'a Entropy,
    /// Hears what happens.
    pub tell: &'a (dyn Fn(Event) + Sync),
    /// Once cancelled, nothing new starts.
    pub cancel: &'a CancellationToken,
    /// How long a server may ask to wait, all together, before a request gives up.
    pub patience: Duration,
}

impl Context<'_> {
    /// Waits, or returns `false` at once when the run is cancelled.
    pub(super) async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => false,
            () = self.clock.sleep(time) => true,
        }
    }
}
