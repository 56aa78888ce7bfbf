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
    EndpointStatus, LastRequest, PendingStatus, Quarantined, SourceStatus, Stamp, State, Status, TargetStatus, misleads,
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
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page, as of `now`.
pub(super) fn page(status: &Status, alive: bool, entries: &[Entry], now: Timestamp) -> String {
    let verdict = Verdict::of(status, alive);
    let mut html = Html(String::with_capacity(16 * 1024));
    html.raw(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"10\">",
    );
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
    html.source(status);
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
        wanting.iter().for_each(|(mood, target)| html.target(*mood, target, status));
    }
    if !fine.is_empty() {
        html.raw("<h2>Fine</h2><section><table><thead><tr><th>target</th><th>state</th><th>version</th>");
        html.raw("<th>last success</th><th>next cycle</th><th>endpoints</th><th>resources</th></tr></thead><tbody>");
        fine.iter().for_each(|(_, target)| html.fine(target, status));
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
            let noun = if all == 1 { "target" } else { "targets" };
            let verb = if wanting == 1 { "needs" } else { "need" };
            let class = if bad || !status.ready { "bad-bg" } else { "warn-bg" };
            ("✗", class, format!("{wanting} of {all} {noun} {verb} a look"))
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

    /// The same, with what stands between two backticks as code.
    fn prose(&mut self, text: &str) -> &mut Self {
        let mut rest = text;
        while let Some((before, code, after)) = quoted(rest) {
            self.text(before).raw("<code>").text(code).raw("</code>");
            rest = after;
        }
        self.text(rest)
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

    fn why(&mut self, why: Option<&str>) -> &mut Self {
        if let Some(why) = why {
            self.raw("<p>").prose(why).raw("</p>");
        }
        self
    }

    fn todo(&mut self, help: Option<&str>) -> &mut Self {
        if let Some(help) = help {
            self.raw("<p class=\"todo\">").prose(help).raw("</p>");
        }
        self
    }
}

/// The parts of the page.
impl Html {
    fn source(&mut self, status: &Status) {
        let source: &SourceStatus = &status.source;
        let wants = source.stale || source.why.is_some() || !source.quarantined.is_empty();
        self.raw("<section class=\"")
            .raw(if wants { "warn" } else { "" })
            .raw("\"><div class=\"head\"><h3>Source</h3><code>");
        self.text(&source.source).raw("</code>");
        match &source.commit {
            Some(commit) => self.raw("<span>commit <code>").text(short(commit)).raw("</code></span>"),
            None => self.badge("warn-bg", "no commit yet"),
        };
        if let Some(fresh) = &source.fresh {
            let class = if source.stale { "warn-bg" } else { "dim" };
            self.raw("<span class=\"").raw(class).raw("\">known to be current ").ago(fresh).raw("</span>");
        }
        if source.stale && source.commit.is_some() {
            self.badge("warn-bg", "◔ the last known good commit stays in force");
        }
        if let Some(next) = source.next.filter(|_| wants) {
            self.raw("<span class=\"dim\">asked again ").ahead(status, next).raw("</span>");
        }
        self.raw("</div>").why(source.why.as_deref()).todo(source.help.as_deref());
        if let Some(held) = &source.deletes_held {
            self.raw("<p>Nothing is deleted: ").text(held).raw("</p>");
        }
        if !source.quarantined.is_empty() {
            self.raw("<p><b>Manifests that cannot be read</b></p><ul>");
            source.quarantined.iter().for_each(|one| self.quarantined(one));
            self.raw("</ul>");
        }
        self.raw("</section>");
    }

    fn quarantined(&mut self, one: &Quarantined) {
        self.raw("<li><code>").text(&one.place).raw("</code> <span class=\"dim\">").text(&one.code).raw("</span> ");
        self.prose(&one.message).raw(match one.kept {
            true => " <span class=\"dim\">(what it said last stays in force)</span>",
            false => " <span class=\"dim\">(its resources are left alone)</span>",
        });
        self.todo(one.help.as_deref()).raw("</li>");
    }

    fn target(&mut self, mood: Mood, target: &TargetStatus, status: &Status) {
        self.raw("<section class=\"").raw(if mood == Mood::Bad { "bad" } else { "warn" });
        self.raw("\"><div class=\"head\"><h3>").text(&target.target).raw("</h3>").state(target.state());
        self.version(target);
        if target.running {
            self.badge("calm", "a cycle runs");
        }
        self.raw("<span class=\"dim\">last success ");
        match &target.last_success {
            Some(success) => self.ago(success),
            None => self.raw("never"),
        };
        if let Some(next) = target.next {
            self.raw(", next cycle ").ahead(status, next);
        }
        self.raw("</span></div>");
        if let Some(why) = &target.not_ready {
            self.raw("<p>Not ready: ").text(why).raw("</p>");
        }
        if let Some(suspended) = &target.suspended {
            self.raw("<p>Suspended ").ago(&suspended.since).raw(" by ").text(&suspended.who);
            if let Some(reason) = &suspended.reason {
                self.raw(": ").text(reason);
            }
            match suspended.left {
                Some(left) => self.raw(". It ends in ").text(&human(left)).raw("."),
                None => self.raw(". It does not end by itself."),
            };
            if suspended.only_here {
                self.raw(" Only this watcher knows of it so far: others may write there.");
            }
            self.raw("</p><p class=\"todo\"><code>ctl resume -t ").text(&target.target).raw("</code></p>");
        }
        if let Some(commit) = &target.held_at {
            self.raw("<p>Held at commit <code>").text(short(commit)).raw("</code> after a rollback");
            if let Some(held) = &target.held {
                self.raw(" to version ").text(&held.version.to_string()).raw(" by ").text(&held.who).raw(", ");
                self.ago(&held.since);
                if let Some(reason) = &held.reason {
                    self.raw(": ").text(reason);
                }
            }
            self.raw(".</p>");
            self.raw("<p class=\"todo\"><code>ctl resume -t ")
                .text(&target.target)
                .raw("</code> goes on with the newest commit</p>");
        }
        for refusal in &target.refusals {
            self.raw("<p>").badge("warn-bg", &refusal.gate).raw(" ");
            if let Some(endpoint) = &refusal.endpoint {
                self.text(endpoint).raw(": ");
            }
            self.prose(&refusal.message).raw("</p>").todo(Some(&refusal.help));
            if let Some(checksum) = target.checksum.as_deref().filter(|_| refusal.approvable) {
                self.raw("<p class=\"todo\">if the plan is right: <code>ctl approve ")
                    .text(checksum)
                    .raw("</code></p>");
            }
        }
        self.endpoints(target, status);
        self.pending(target, status);
        self.raw("</section>");
    }

    fn version(&mut self, target: &TargetStatus) -> &mut Self {
        let Some(version) = &target.version else { return self.raw("<span class=\"dim\">nothing applied yet</span>") };
        self.raw("<span>version ").text(&version.number.to_string()).raw(" <code>").text(short(&version.commit));
        self.raw("</code> <span class=\"dim\">").ago(&version.applied).raw("</span></span>")
    }

    fn endpoints(&mut self, target: &TargetStatus, status: &Status) {
        let mut endpoints: Vec<&EndpointStatus> = target.endpoints.iter().collect();
        let says_more = |e: &&EndpointStatus| e.why.is_some() || e.help.is_some() || e.last_request.is_some();
        if endpoints.len() < 2 && !endpoints.iter().any(says_more) {
            return;
        }
        endpoints.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.state.gravity()));
        self.raw("<table><thead><tr><th>endpoint</th><th>state</th><th>what is wrong, and what to do</th>");
        self.raw("<th>last success</th><th>tried again</th></tr></thead><tbody>");
        for endpoint in endpoints.iter().take(MAX_ENDPOINTS) {
            self.raw("<tr><td class=\"n\">")
                .text(&endpoint.endpoint)
                .raw("</td><td class=\"n\">")
                .state(endpoint.state);
            self.raw(" <span class=\"dim\">for ")
                .text(&human(endpoint.since.age))
                .raw("</span></td><td class=\"wide\">");
            self.why(endpoint.why.as_deref());
            if let Some(request) = endpoint.last_request.as_ref().filter(|request| tells(endpoint, request)) {
                self.request(request);
            }
            self.todo(endpoint.help.as_deref());
            if let Some(code) = &endpoint.code {
                self.raw("<p class=\"dim\"><code>ctl explain ").text(code).raw("</code></p>");
            }
            self.raw("</td><td class=\"n\" data-k=\"last success\">");
            match &endpoint.last_success {
                Some(success) => self.ago(success),
                None => self.raw("never"),
            };
            self.raw("</td><td class=\"n\" data-k=\"tried again\">");
            if let Some(next) = endpoint.next {
                self.ahead(status, next)
                    .raw("<br><span class=\"dim\">failed ")
                    .count(endpoint.attempts as usize, "time");
                self.raw("</span>");
            }
            self.raw("</td></tr>");
        }
        self.raw("</tbody></table>");
        if let Some(more) = endpoints.len().checked_sub(MAX_ENDPOINTS).filter(|more| *more > 0) {
            self.raw("<p class=\"dim\">and ").count(more, "endpoint").raw(" more: <code>ctl status -t ");
            self.text(&target.target).raw("</code></p>");
        }
    }

    fn request(&mut self, request: &LastRequest) {
        self.raw("<p class=\"dim\"><code>").text(&request.method).raw(" ").text(&request.path).raw("</code> ");
        match request.status {
            Some(code) => self.raw("→ ").text(&code.to_string()).raw(" after "),
            None => self.raw("no answer after "),
        };
        self.text(&request.took_ms.to_string()).raw(" ms, ").ago(&request.sent).raw("</p>");
        if let Some(said) = request.answer.as_ref().or(request.error.as_ref()).filter(|said| !said.trim().is_empty()) {
            self.raw("<pre>").text(said).raw("</pre>");
        }
    }

    fn pending(&mut self, target: &TargetStatus, status: &Status) {
        if target.pending.is_empty() {
            return;
        }
        self.raw("<table><thead><tr><th>");
        self.count(target.pending_total, "operation").raw(" waiting</th><th>state</th><th>why</th><th>stated at</th>");
        self.raw("<th>tried again</th></tr></thead><tbody>");
        for one in target.pending.iter().take(MAX_PENDING) {
            self.raw("<tr><td>")
                .text(&one.action)
                .raw(" <code>")
                .text(&one.address)
                .raw("</code></td><td class=\"n\">");
            self.badge(loudness(one), &one.state).raw("</td><td>").text(&one.cause);
            self.why(Some(&one.why).filter(|why| !why.is_empty()).map(String::as_str)).todo(one.help.as_deref());
            self.raw("</td><td data-k=\"stated at\">");
            if let Some(source) = &one.source {
                self.raw("<code>").text(source).raw("</code>");
            }
            self.raw("</td><td class=\"n\" data-k=\"tried again\">");
            if let Some(next) = one.next {
                self.ahead(status, next);
            }
            self.raw("</td></tr>");
        }
        self.raw("</tbody></table>");
        let shown = target.pending.len().min(MAX_PENDING);
        if let Some(more) = target.pending_total.checked_sub(shown).filter(|more| *more > 0) {
            self.raw("<p class=\"dim\">and ").text(&more.to_string()).raw(" more: <code>ctl status -t ");
            self.text(&target.target).raw("</code></p>");
        }
    }

    fn fine(&mut self, target: &TargetStatus, status: &Status) {
        self.raw("<tr><td><b>").text(&target.target).raw("</b></td><td class=\"n\">").state(target.state());
        if target.running {
            self.raw(" <span class=\"dim\">a cycle runs</span>");
        }
        self.raw("</td><td>").version(target).raw("</td><td class=\"n\" data-k=\"last success\">");
        match &target.last_success {
            Some(success) => self.ago(success),
            None => self.raw("never"),
        };
        self.raw("</td><td class=\"n\" data-k=\"next cycle\">");
        if let Some(next) = target.next {
            self.ahead(status, next);
        }
        self.raw("</td><td>").count(target.endpoints.len(), "endpoint").raw("</td><td>");
        self.text(&target.unchanged.to_string()).raw(" in sync");
        if target.pending_total > 0 {
            self.raw(", ").text(&target.pending_total.to_string()).raw(" waiting");
        }
        self.raw("</td></tr>");
    }

    fn entries(&mut self, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        self.raw(
            "<h2>What happened</h2><section><table><thead><tr><th>when</th><th></th><th>what</th></tr></thead><tbody>",
        );
        for entry in entries.iter().rev() {
            let class = match entry.level {
                Level::Debug | Level::Info => "calm",
                Level::Warn => "warn-bg",
                Level::Error => "bad-bg",
            };
            // RFC 3339 to the second, and the date only once it is another one.
            let time = entry.time.get(..19).unwrap_or(&entry.time).replace('T', " ");
            self.raw("<tr><td class=\"n dim\">").text(&time).raw("</td><td class=\"n\">");
            self.badge(class, &entry.event).raw("</td><td class=\"wide\">").text(&entry.message).raw("</td></tr>");
        }
        self.raw("</tbody></table><p class=\"dim\">times are UTC; <code>ctl events --since 1h</code> shows more</p></section>");
    }

    /// When something comes.
    fn ahead(&mut self, status: &Status, stamp: Stamp) -> &mut Self {
        match status.until(stamp) {
            0 => self.raw("now"),
            seconds => self.raw("in ").text(&human(seconds)),
        }
    }
}

/// True if the last request says something about what is wrong: it was not answered well, or what it was part of failed.
fn tells(endpoint: &EndpointStatus, request: &LastRequest) -> bool {
    let went_well = request.status.is_some_and(|status| status < 400);
    matches!(endpoint.state, State::Failing | State::InDoubt) || (endpoint.state != State::Ok && !went_well)
}

/// The first pair of backticks: what is before it, in it, and after it.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}

fn loudness(pending: &PendingStatus) -> &'static str {
    match pending.state.as_str() {
        "failed" | "in-doubt" => "bad-bg",
        "conflict" | "refused" | "contested" | "held" => "warn-bg",
        _ => "calm",
    }
}

/// Enough of a commit for people.
fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Seconds in the unit that says enough.
fn human(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
