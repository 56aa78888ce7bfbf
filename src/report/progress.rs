//! Long work on standard error: a bar on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::plan_text::number;
use super::sanitize::line;
use super::status_text::span;
use crate::event::{Ending, Event};
use crate::plan::{OpId, Plan, Stage};

/// Fewer operations than this pass without a word where there is no bar.
const LONG_APPLY: usize = 100;
/// Fewer items than this are read without a word where there is no bar.
const LONG_LISTING: u64 = 1_000;

/// Listens to events: a bar on stderr where there is a terminal, else a line for each finished phase of long work.
pub struct Progress {
    bar: Option<ProgressBar>,
    say: Option<Say>,
    state: Mutex<State>,
    hide: Option<Hide>,
}

/// Writes one line to standard error.
type Say = Box<dyn Fn(&str) + Send + Sync>;

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
    /// The stage of each operation that is not over yet, for lines only.
    waiting: BTreeMap<OpId, Stage>,
    /// What became of each stage.
    stages: BTreeMap<Stage, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    all: usize,
    left: usize,
    done: usize,
}

impl Progress {
    /// Shows nothing.
    pub fn silent() -> Self {
        Self { bar: None, say: None, state: Mutex::default(), hide: None }
    }

    /// Without a terminal: one line when a long reading is over ([`Progress::finish`]).
    pub fn listing_lines(say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { bar: None, say: Some(Box::new(say)), state: Mutex::default(), hide: None }
    }

    /// Without a terminal: one line for each finished stage of a long `plan`.
    pub fn applying_lines(plan: &Plan, say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let progress = Self::listing_lines(say);
        if plan.operations.len() >= LONG_APPLY {
            let mut state = progress.state.lock().unwrap_or_else(PoisonError::into_inner);
            for op in &plan.operations {
                state.waiting.insert(op.id, op.change.stage());
                let tally = state.stages.entry(op.change.stage()).or_default();
                tally.all += 1;
                tally.left += 1;
            }
        }
        progress
    }

    /// Shows how the reading goes.
    pub fn listing() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self::shown(bar, "{spinner} {wide_msg}")
    }

    /// Shows how `operations` operations go.
    pub fn applying(operations: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(operations as u64), ProgressDrawTarget::stderr());
        Self::shown(bar, "{bar:20} {human_pos}/{human_len}  {pace}{wide_msg}")
    }

    fn shown(bar: ProgressBar, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            let pace = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // Writing into a string does not fail.
                let _ = out.write_str(&pace(state.per_sec(), state.eta()));
            };
            bar.set_style(style.progress_chars("━╸ ").with_key("pace", pace));
        }
        Self { bar: Some(bar), say: None, state: Mutex::default(), hide: None }
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
        if let Some(say) = &self.say {
            self.count(event, say);
        }
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

    fn count(&self, event: &Event, say: &Say) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Listed { items, .. } => {
                state.scopes += 1;
                state.items += *items as u64;
            }
            Event::Finished { op, outcome } => {
                let Some(stage) = state.waiting.remove(op) else { return };
                let Some(tally) = state.stages.get_mut(&stage) else { return };
                tally.left -= 1;
                tally.done += usize::from(matches!(outcome, Ending::Done));
                let word = match stage {
                    Stage::Delete => "Deletes",
                    Stage::Create => "Creates",
                    Stage::Update => "Updates",
                };
                if tally.left == 0 {
                    say(&format!("{word}: {} of {} done.\n", number(tally.done), number(tally.all)));
                }
            }
            Event::Listing { .. } | Event::ListFailed { .. } | Event::Started { .. } | Event::Retrying { .. } => {}
        }
    }

    /// Takes the bar away, or says that the reading is over.
    pub fn finish(&self) {
        if let Some(say) = &self.say {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.items >= LONG_LISTING {
                let items = usize::try_from(state.items).unwrap_or(usize::MAX);
                say(&format!(
                    "Read {} items in {} list{}.\n",
                    number(items),
                    state.scopes,
                    if state.scopes == 1 { "" } else { "s" }
                ));
            }
            state.items = 0;
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `52/s, 35 s left  `, or nothing before anything can be said.
fn pace(per_second: f64, left: Duration) -> String {
    if !per_second.is_normal() || per_second < 0.1 {
        return String::new();
    }
    let rate = if per_second < 10.0 { format!("{per_second:.1}/s") } else { format!("{per_second:.0}/s") };
    match left.as_secs() {
        0 => format!("{rate}  "),
        // Nobody plans by a guess of hours.
        3_600.. => format!("{rate}, over an hour left  "),
        seconds => format!("{rate}, {} left  ", span(seconds)),
    }
}

/// A bar goes with its owner, however that ends.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{EndpointName, Kind, Scope};

    #[test]
    fn without_a_terminal_long_readings_end_in_one_line() {
        for (items, expected) in [(12, ""), (9_000, "Read 9,000 items in 1 list.\n")] {
            let said = Arc::new(Mutex::new(String::new()));
            let sink = Arc::clone(&said);
            let progress = Progress::listing_lines(move |text| sink.lock().unwrap().push_str(text));
            let scope = Scope { endpoint: EndpointName::only(), kind: Kind::new("x"), parent: None };
            progress.listen(&Event::Listed { target: "a".parse().unwrap(), scope, pages: 1, items });
            progress.finish();
            progress.finish();
            assert_eq!(*said.lock().unwrap(), expected);
        }
    }

    #[test]
    fn a_pace_is_said_in_whole_words_and_only_when_there_is_one() {
        assert_eq!(pace(46.1745, Duration::from_secs(40)), "46/s, 40 s left  ");
        assert_eq!(pace(2.55, Duration::from_secs(400)), "2.5/s, 6 min left  ");
        assert_eq!(pace(0.0, Duration::MAX), "");
        assert_eq!(pace(f64::NAN, Duration::ZERO), "");
    }

    #[test]
    fn what_a_bar_shows_is_harmless_and_holds_no_secret() {
        let progress = Progress::silent().hiding(|text| text.replace("canary", "<secret x>"));
        assert_eq!(progress.safe("503 canary \u{1b}[2J"), "503 <secret x> \\u{1b}[2J");
    }
}
