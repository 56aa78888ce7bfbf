use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sanitize::line;
use crate::event::{Ending, Event};

/// A bar on stderr that listens to events. Made only where there is a terminal; elsewhere [`Progress::silent`].
pub struct Progress {
    bar: Option<ProgressBar>,
    state: Mutex<State>,
    hide: Option<Hide>,
}

/// Hides secrets in a text.
type Hide = Box<dyn Fn(&str) -> String + Send + Sync>;

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("shown", &self.bar.is_some()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    scopes: u64,
    items: u64,
    failed: u64,
}

impl Progress {
    /// Shows nothing.
    pub fn silent() -> Self {
        Self { bar: None, state: Mutex::default(), hide: None }
    }

    /// Shows how the reading goes.
    pub fn listing() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self::shown(bar, "{spinner} {msg}")
    }

    /// Shows how `operations` operations go.
    pub fn applying(operations: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(operations as u64), ProgressDrawTarget::stderr());
        Self::shown(bar, "{bar:30} {pos}/{len} {msg}")
    }

    fn shown(bar: ProgressBar, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Self { bar: Some(bar), state: Mutex::default(), hide: None }
    }

    /// Passes whatever is shown through `hide` first: what a server answered may hold a secret.
    #[must_use]
    pub fn hiding(mut self, hide: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.hide = Some(Box::new(hide));
        self
    }

    fn safe(&self, text: &str) -> String {
        let hidden = self.hide.as_ref().map_or_else(|| text.to_owned(), |hide| hide(text));
        line(&hidden).into_owned()
    }

    /// Takes note of `event`.
    pub fn listen(&self, event: &Event) {
        let Some(bar) = &self.bar else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Listing { target, scope } => {
                bar.set_message(self.safe(&format!("reading {target}/{} {}", scope.endpoint, scope.kind)));
            }
            Event::Listed { items, .. } => {
                state.scopes += 1;
                state.items += *items as u64;
                bar.set_message(format!("read {} items of {} lists", state.items, state.scopes));
                bar.tick();
            }
            Event::ListFailed { target, scope, why } => {
                let text = format!("{target}/{} {} could not be read: {why}", scope.endpoint, scope.kind);
                bar.println(self.safe(&text));
            }
            Event::Started { .. } => {}
            Event::Retrying { target, endpoint, attempt, wait, why, .. } => {
                let seconds = wait.as_secs_f64();
                let text = format!("{target}/{endpoint}: attempt {attempt} failed ({why}), again in {seconds:.1} s");
                bar.set_message(self.safe(&text));
            }
            Event::Finished { outcome, .. } => {
                bar.inc(1);
                if !matches!(outcome, Ending::Done) {
                    state.failed += 1;
                    bar.set_message(format!("{} not done", state.failed));
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bar_shows_is_harmless_and_holds_no_secret() {
        let progress = Progress::silent().hiding(|text| text.replace("canary", "<secret x>"));
        assert_eq!(progress.safe("503 canary \u{1b}[2J"), "503 <secret x> \\u{1b}[2J");
    }
}
