//! The page that somebody reads who was just woken up: what is wrong first, what to do beside it, and how old each word is.
//!
//! It has no script, loads nothing, and asks for itself again every ten seconds. Only constants of this program become
//! markup; whatever else is shown goes through [`Html::text`].

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::event::{Entry, Level};
use crate::model::{
    EndpointStatus, PendingStatus, RefusalStatus, SourceStatus, Stamp, State, Status, TargetStatus, misleads,
};

/// How many of the newest entries it shows.
pub(super) const ENTRIES: u64 = 30;
/// How many pending operations of a target it shows; `ctl status` shows more.
const MAX_PENDING: usize = 20;
/// How many endpoints of a target it shows; those that are not well come first.
const MAX_ENDPOINTS: usize = 30;

const STYLE: &str = include_str!("page.css");

/// The policy that goes with the page: its own style sheet, and nothing else from anywhere.
pub(super) fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
}

/// The page, as of `now`.
pub(super) fn page(status: &Status, alive: bool, entries: &[Entry], now: Timestamp) -> String {
    let verdict = Verdict::of(status, alive);
    let mut html = Html(String::with_capacity(16 * 1024));
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"10\">");
    html.raw("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    html.text(verdict.sign).raw(" ").text(&status.project).raw(" · ").text(&verdict.words);
    html.raw("</title><style>").raw(STYLE).raw("</style></head><body><header><b>").text(&status.project);
    html.raw("</b><span>ctl ").text(&status.ctl).raw("</span>");
    if status.mode != "watch" {
        html.raw("<span class=\"badge warn-bg\">").text(&status.mode).raw("</span>");
    }
    html.raw("<span>started ").ago(&status.started).raw("</span><span>as of ");
    html.text(&now.strftime("%F %T UTC").to_string()).raw("</span></header><h1 class=\"").raw(verdict.class).raw("\">");
    html.text(verdict.sign).raw(" ").text(&verdict.words).raw("</h1>");
    if !status.not_ready.is_empty() {
        html.raw("<section class=\"bad\"><h3>Not ready</h3><ul>");
        for reason in &status.not_ready {
            html.raw("<li>").text(reason).raw("</li>");
        }
        html.raw("</ul></section>");
    }
    html.source(&status.source);
    if let Some(election) = &status.election {
        let class = if election.reachable { "" } else { "bad" };
        html.raw("<section class=\"").raw(class).raw("\"><div class=\"head\"><h3>Election</h3>");
        match election.reachable {
            true => html.badge("good", "● the coordinator answers"),
            false => html.badge("bad-bg", "▲ the coordinator does not answer"),
        };
        if let Some(age) = election.last_ack_age {
            html.raw("<span class=\"dim\">last renewal sent ").text(&human(age)).raw(" ago</span>");
        }
        html.raw("</div>").why(election.why.as_deref()).raw("</section>");
    }
    let mut targets: Vec<(Mood, &TargetStatus)> = status.targets.iter().map(|t| (Mood::of_target(t), t)).collect();
    targets.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.target.cmp(&y.target)));
    let (wanting, fine): (Vec<_>, Vec<_>) = targets.into_iter().partition(|(mood, _)| *mood >= Mood::Warn);
    if !wanting.is_empty() {
        html.raw("<h2>Needs a look</h2>");
        wanting.iter().for_each(|(mood, target)| html.target(*mood, target));
    }
    if !fine.is_empty() {
        html.raw("<h2>Fine</h2><section><table><thead><tr><th>target</th><th>state</th><th>version</th>");
        html.raw("<th>last success</th><th>next cycle</th><th>endpoints</th><th>resources</th></tr></thead><tbody>");
        fine.iter().for_each(|(_, target)| html.fine(target));
        html.raw("</tbody></table></section>");
    }
    html.entries(entries);
    html.raw("</body></html>");
    html.0
}

/// How loud something is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Mood {
    Good,
    Calm,
    Warn,
    Bad,
}

impl Mood {
    fn of(state: State) -> Self {
        match state {
            State::Ok => Self::Good,
            State::NotLeader => Self::Calm,
            State::Suspended | State::StaleSource | State::Refused => Self::Warn,
            State::Failing | State::InDoubt => Self::Bad,
        }
    }

    fn of_target(target: &TargetStatus) -> Self {
        let worst = target.endpoints.iter().map(|endpoint| Self::of(endpoint.state)).max().unwrap_or(Self::Good);
        let held = target.suspended.is_some() || target.held_at.is_some() || !target.refusals.is_empty();
        if held { worst.max(Self::Warn) } else { worst }
    }

    fn badge(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Calm => "calm",
            Self::Warn => "warn-bg",
            Self::Bad => "bad-bg",
        }
    }
}

/// The state's word behind a sign, so that nobody needs to tell colours apart.
fn word(state: State) -> &'static str {
    match state {
        State::Ok => "● ok",
        State::Failing => "▲ failing",
        State::Refused => "■ refused",
        State::Suspended => "‖ suspended",
        State::StaleSource => "◔ stale-source",
        State::InDoubt => "? in-doubt",
        State::NotLeader => "○ not-leader",
    }
}

/// The one sentence on top.
struct Verdict {
    sign: &'static str,
    class: &'static str,
    words: String,
}

impl Verdict {
    fn of(status: &Status, alive: bool) -> Self {
        let all = status.targets.len();
        let wanting = status.targets.iter().filter(|target| Mood::of_target(target) >= Mood::Warn).count();
        let bad = status.targets.iter().any(|target| Mood::of_target(target) == Mood::Bad);
        let (sign, class, words) = if !alive {
            ("✗", "bad-bg", "the loop does not turn: restart the watcher".to_owned())
        } else if wanting > 0 {
            let verb = if wanting == 1 { "needs" } else { "need" };
            let class = if bad || !status.ready { "bad-bg" } else { "warn-bg" };
            ("✗", class, format!("{wanting} of {all} targets {verb} a look"))
        } else if !status.ready {
            ("✗", "bad-bg", "not ready".to_owned())
        } else if status.source.stale || !status.source.quarantined.is_empty() {
            ("!", "warn-bg", "the source needs a look; all targets are as it said last".to_owned())
        } else {
            let targets = if all == 1 { "the target is".to_owned() } else { format!("all {all} targets are") };
            ("✓", "good", format!("{targets} as Git says, or on the way there"))
        };
        Self { sign, class, words }
    }
}

/// HTML in the making. Markup is constant by its type; text is escaped.
struct Html(String);

impl Html {
    fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Shows a text as it is, whatever is in it: what misleads the eye is shown as an escape.
    fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if misleads(c) => {
                    // Writing into a string does not fail.
                    let _ = write!(self.0, "\\u{{{:x}}}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
        self
    }

    fn count(&mut self, n: usize, word: &str) -> &mut Self {
        self.text(&n.to_string()).raw(" ").text(word).raw(if n == 1 { "" } else { "s" })
    }

    fn badge(&mut self, class: &'static str, text: &str) -> &mut Self {
        self.raw("<span class=\"badge ").raw(class).raw("\">").text(text).raw("</span>")
    }

    fn state(&mut self, state: State) -> &mut Self {
        self.badge(Mood::of(state).badge(), word(state))
    }

    fn ago(&mut self, stamp: &Stamp) -> &mut Self {
        self.text(&human(stamp.age)).raw(" ago")
    }

    /// When something comes: a stamp of the future has a time later than its age says.
    fn why(&mut self, why: Option<&str>) -> &mut Self {
        if let Some(why) = why {
            self.raw("<p>").text(why).raw("</p>");
        }
        self
    }

    fn todo(&mut self, help: Option<&str>) -> &mut Self {
        if let Some(help) = help {
            self.raw("<p class=\"todo\">").text(help).raw("</p>");
        }
        self
    }
}
