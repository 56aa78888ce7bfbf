//! The blocks of a status: what a person stopped, endpoints that are not well, refusals, what waits.

use super::page::{Page, plural, short, span, spot};
use crate::model::{EndpointStatus, LastRequest, PendingStatus, RefusalStatus, State, TargetStatus};
use crate::report::sanitize::{line, lines};
use crate::report::style::Role;

/// Lines of an answer that are shown.
const ANSWER_LINES: usize = 12;
/// Bytes of an answer that are shown, whatever the watcher sends.
const ANSWER_BYTES: usize = 500;

/// How much is said of an operation.
#[derive(Clone, Copy)]
pub(super) enum Detail<'a> {
    /// In a list below this one: what was said of it is not said again.
    Listed(Option<&'a PendingStatus>),
    /// All that is known.
    Full,
}

impl Page<'_> {
    /// That a person stopped a target, or sent it back.
    pub(super) fn halted(&self, target: &TargetStatus, out: &mut String) {
        let name = line(&target.target);
        if let Some(suspended) = &target.suspended {
            let word = self.state(State::Suspended, "suspended");
            let reason = suspended.reason.as_ref().map(|r| format!(": {}", line(r))).unwrap_or_default();
            let left = match suspended.left {
                Some(left) => format!("{} left", span(left)),
                None => "until it is resumed".to_owned(),
            };
            let since = span(suspended.since.age);
            out.push_str(&format!("{name} {word} for {since} by {}, {left}{reason}\n", line(&suspended.who)));
            if suspended.only_here {
                out.push_str("  only this watcher knows of it so far: others may write there\n");
            }
        }
        if let Some(commit) = &target.held_at {
            let word = self.state(State::Suspended, "held");
            let by = target.held.as_ref().map(|held| {
                let why = held.reason.as_ref().map(|r| format!(" ({})", line(r))).unwrap_or_default();
                format!(" to version {} by {} {} ago{why}", held.version, line(&held.who), span(held.since.age))
            });
            out.push_str(&format!("{name} {word} at {} after a rollback{}\n", short(commit), by.unwrap_or_default()));
        }
        if target.suspended.is_some() || target.held_at.is_some() {
            self.help(Some(&format!("`ctl resume -t {}` goes on with the newest commit", target.target)), 2, out);
        }
    }

    /// An endpoint that is not well; nothing for one that is.
    pub(super) fn endpoint(&self, target: &TargetStatus, endpoint: &EndpointStatus, out: &mut String) {
        let state = endpoint.state;
        // Who stopped it and how to go on is said once for the whole target.
        if state == State::Ok || (state == State::Suspended && target.suspended.is_some()) {
            return;
        }
        let code = endpoint.code.as_ref().map(|code| format!("[{}]", line(code))).unwrap_or_default();
        let head = self.state(state, &format!("{state}{code}"));
        let place = spot(&target.target, &endpoint.endpoint);
        let since = if endpoint.since.time == 0 { String::new() } else { format!(" for {}", span(endpoint.since.age)) };
        out.push_str(&format!("{} {head}{since}", line(&place)));
        match (&endpoint.why, state) {
            (Some(why), _) => out.push_str(&format!(": {}\n", line(why))),
            (None, State::NotLeader) => out.push_str(": another watcher leads here\n"),
            (None, _) => out.push('\n'),
        }
        if let Some(request) = &endpoint.last_request {
            self.request(request, endpoint.why.as_deref(), out);
        }
        if endpoint.attempts > 0 {
            let next = endpoint.next.map(|next| format!(", next in {}", span(self.status.until(next))));
            out.push_str(&format!("  attempts      {} in a row{}\n", endpoint.attempts, next.unwrap_or_default()));
        } else if let Some(next) = endpoint.next {
            out.push_str(&format!("  next try      in {}\n", span(self.status.until(next))));
        }
        self.help(endpoint.help.as_deref(), 2, out);
    }

    fn request(&self, request: &LastRequest, said: Option<&str>, out: &mut String) {
        let ended = match (request.status, &request.error) {
            (Some(status), _) => format!("{status} after {} ms", request.took_ms),
            // What the line above says need not be said again.
            (None, Some(error)) if said.is_none_or(|said| !said.contains(error.as_str())) => {
                format!("no answer after {} ms: {}", request.took_ms, line(error))
            }
            (None, _) => format!("no answer after {} ms", request.took_ms),
        };
        let (method, path) = (line(&request.method), line(&request.path));
        out.push_str(&format!("  last request  {method} {path}, {} ago: {ended}\n", span(request.sent.age)));
        let Some(answer) = request.answer.as_ref().filter(|a| !a.trim().is_empty()) else { return };
        let cut = &answer[..answer.floor_char_boundary(ANSWER_BYTES)];
        let safe = lines(cut);
        let rule = if self.style.unicode { "│" } else { "|" };
        for text in safe.lines().take(ANSWER_LINES) {
            out.push_str(format!("    {rule} {}", text.replace('\t', "    ")).trim_end());
            out.push('\n');
        }
        if safe.lines().count() > ANSWER_LINES {
            out.push_str(&format!("    {rule} {}\n", self.style.dots()));
        }
    }

    pub(super) fn refusal(&self, target: &TargetStatus, refusal: &RefusalStatus, out: &mut String) {
        let place = match &refusal.endpoint {
            Some(endpoint) => spot(&target.target, endpoint),
            None => target.target.clone(),
        };
        let head = self.style.paint(Role::Error, &format!("refused[{}]", line(&refusal.gate)));
        out.push_str(&format!("{head}: {}: {}\n", line(&place), line(&refusal.message)));
        self.help(Some(&refusal.help), 2, out);
        let told = refusal.help.contains("ctl approve");
        if let Some(sum) =
            target.checksum.as_ref().filter(|_| refusal.approvable && !told && self.status.mode != "once")
        {
            self.help(Some(&format!("`ctl approve {sum}` lets this very plan through")), 2, out);
        }
    }

    /// One operation that waits or does not come through.
    pub(super) fn operation(
        &self,
        target: &TargetStatus,
        pending: &PendingStatus,
        detail: Detail<'_>,
        out: &mut String,
    ) {
        let (sign, role) = match pending.action.as_str() {
            "delete" => ("-", Role::Delete),
            "create" => ("+", Role::Create),
            "adopt" => ("=", Role::Adopt),
            "forget" => (".", Role::Dim),
            _ => ("~", Role::Update),
        };
        let action = self.style.paint(role, &format!("{sign} {:6}", line(&pending.action)));
        let state = match pending.state.as_str() {
            "waiting" => line(&pending.state).into_owned(),
            "held" | "contested" => self.style.paint(Role::Warning, &line(&pending.state)),
            _ => self.style.paint(Role::Error, &line(&pending.state)),
        };
        let at = match target.endpoints.len() {
            0 | 1 => String::new(),
            _ => format!(" at {}", line(&pending.endpoint)),
        };
        let place = pending.source.as_ref().map(|at| format!(", {}", self.style.paint(Role::Place, &line(at))));
        let address = self.strong(&line(&pending.address));
        out.push_str(&format!("  {action} {address}{at}  {state}{}\n", place.unwrap_or_default()));
        let label = |name: &str, text: &str| format!("      {name:9} {}\n", line(text));
        if !pending.cause.is_empty() {
            out.push_str(&label("differs", &pending.cause));
        }
        let (above, full) = match detail {
            Detail::Listed(above) => (above, false),
            Detail::Full => (None, true),
        };
        let said = |p: &PendingStatus| p.why == pending.why && p.help == pending.help && p.state == pending.state;
        let said_above = said_of_all(target, pending) || above.is_some_and(said);
        if !pending.why.is_empty() && !said_above {
            out.push_str(&label("not done", &pending.why));
        }
        if full {
            out.push_str(&label("commit", &self.commit()));
        }
        if pending.attempts > 0 || pending.next.is_some() {
            let mut tries = vec![plural(usize::try_from(pending.attempts).unwrap_or(usize::MAX), "attempt")];
            tries.extend(pending.next.map(|next| format!("next in {}", span(self.status.until(next)))));
            out.push_str(&label("tried", &tries.join(", ")));
        }
        if !said_above {
            self.help(pending.help.as_deref(), 6, out);
        }
    }
}

/// True if why an operation is not done is said of its whole target: it is refused, or stopped by a person.
fn said_of_all(target: &TargetStatus, pending: &PendingStatus) -> bool {
    let refused = pending.state == "refused" && target.refusals.iter().any(|r| r.message == pending.why);
    let halted = target.suspended.is_some() && pending.state == "waiting";
    refused || halted
}
