//! Creates whose answers were lost: one list looks for all of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::observe::list;
use super::peer::{Context, Peer};
use crate::model::{Key, Observed, Scope};
use crate::target::Target;

/// How long after its answer was lost a create may still be under way at the server: a list that began sooner says
/// nothing about it. (A look of its own waits at least as long.)
const UNDER_WAY: Duration = Duration::from_millis(500);

/// The creates of one scope whose answers were lost. Where several are, one list looks for all of them; for a single one,
/// or where a list takes more requests than there are creates, each is asked for by itself.
#[derive(Debug)]
pub(super) struct LostCreates {
    scope: Scope,
    waiting: AtomicUsize,
    failed: AtomicBool,
    latest: Mutex<Option<Seen>>,
}

#[derive(Debug)]
struct Seen {
    began: Duration,
    items: BTreeMap<Key, Observed>,
}

/// One create that waits to be looked up. Counted as long as it lives.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    all: &'a LostCreates,
    lost_at: Duration,
}

impl LostCreates {
    pub(super) fn of(scope: Scope) -> Self {
        Self { scope, waiting: AtomicUsize::new(0), failed: AtomicBool::new(false), latest: Mutex::default() }
    }

    /// Notes that the answer to a create was lost at `lost_at` (time since boot).
    pub(super) fn wait(&self, lost_at: Duration) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { all: self, lost_at }
    }
}

impl Waiting<'_> {
    /// What a list says of `key`; the outer `None` where no list serves it, and it has to be asked for by itself.
    pub(super) async fn listed<T: Target>(
        &self,
        key: &Key,
        endpoint: &Peer<T>,
        context: Context<'_>,
    ) -> Option<Option<Observed>> {
        let good = |seen: &&Seen| seen.began >= self.lost_at.saturating_add(UNDER_WAY);
        // Who comes while it is read waits for it.
        let mut latest = self.all.latest.lock().await;
        if let Some(seen) = latest.as_ref().filter(good) {
            return Some(seen.items.get(key).cloned());
        }
        let began = context.clock.boot();
        let fewer = self.all.waiting.load(Ordering::Relaxed) > endpoint.pages(&self.all.scope);
        if !fewer || began < self.lost_at.saturating_add(UNDER_WAY) || self.all.failed.load(Ordering::Relaxed) {
            return None;
        }
        let Ok(listing) = list(endpoint, &self.all.scope, context).await else {
            // One failure was waited for; the others are asked for by themselves at once.
            self.all.failed.store(true, Ordering::Relaxed);
            return None;
        };
        let listing = listing.into_inner();
        let all = listing.items.into_iter().chain(listing.ignored);
        let seen = Seen { began, items: all.map(|item| (item.key.clone(), item)).collect() };
        let found = seen.items.get(key).cloned();
        *latest = Some(seen);
        Some(found)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
