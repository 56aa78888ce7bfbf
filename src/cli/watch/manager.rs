//! The service manager, told only what it needs.

use std::time::Duration;

use crate::cli::Notifier;
use crate::world::Clock;

/// Tells the service manager how the watcher is. What it cannot be told changes nothing: it acts by itself then.
pub(super) struct Manager {
    notifier: Notifier,
    clock: Clock,
    ready: bool,
    last: Option<Duration>,
    said: String,
}

impl Manager {
    /// A manager that was told nothing yet.
    pub(super) fn new(notifier: Notifier, clock: Clock) -> Self {
        Self { notifier, clock, ready: false, last: None, said: String::new() }
    }

    /// How often [`Manager::alive`] has to be called.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.notifier.watchdog()
    }

    /// The loop turned.
    pub(super) fn alive(&mut self) {
        let Some(every) = self.notifier.watchdog() else { return };
        let now = self.clock.boot();
        if self.last.is_none_or(|last| now.saturating_sub(last) >= every / 2) {
            self.last = Some(now);
            drop(self.notifier.alive());
        }
    }

    /// The source was looked at.
    pub(super) fn ready(&mut self, status: &str) {
        if !std::mem::replace(&mut self.ready, true) {
            drop(self.notifier.ready(status));
        }
    }

    /// How it stands, in a line.
    pub(super) fn status(&mut self, status: &str) {
        if self.said != status {
            status.clone_into(&mut self.said);
            drop(self.notifier.status(status));
        }
    }

    /// It stops.
    pub(super) fn stopping(&mut self) {
        drop(self.notifier.stopping("finishing what is in flight"));
    }
}
