use super::sanitize::{line, lines};
use super::style::{Role, Style};
use crate::model::{
    EndpointName, EndpointStatus, LastRequest, PendingStatus, Quarantined, RefusalStatus, Stamp, State, Status,
    TargetStatus, VersionStatus,
};

/// Pending operations of a target that an overview shows.
const SHOWN: usize = 10;
/// Lines of an answer that are shown.
const ANSWER_LINES: usize = 12;
/// Bytes of an answer that are shown, whatever the watcher sends.
const ANSWER_BYTES: usize = 500;

/// How things stand, for a terminal: the verdict, a table of all places, and a block for each that is not well.
pub fn status_text(status: &Status, style: &Style) -> String {
    let page = Page { status, style };
    let mut out = page.verdict();
    page.general(&mut out);
    page.table(&mut out);
    for target in &status.targets {
        page.target(target, &mut out);
    }
    out
}

/// Why one resource (or those that fit a glob of addresses) is not in sync; that it is, if it is. `declared` says where
/// it is declared, where that is known.
pub fn resource_text(status: &Status, address: &str, declared: Option<&str>, style: &Style) -> String {
    let page = Page { status, style };
    let mut out = String::new();
    let commit = page.commit();
    let pending = status.targets.iter().flat_map(|t| t.pending.iter().map(move |p| (t, p)));
    let fitting: Vec<_> = pending.filter(|(_, p)| crate::model::glob_matches(address, &p.address)).collect();
    for (target, pending) in &fitting {
        page.operation(pending, true, &mut out);
        if let Some(endpoint) = target.endpoints.iter().find(|e| e.endpoint == pending.endpoint) {
            page.endpoint(target, endpoint, &mut out);
        }
        page.halted(target, &mut out);
        target.refusals.iter().for_each(|r| page.refusal(target, r, &mut out));
    }
    if !fitting.is_empty() {
        return out;
    }
    let unsure: Vec<&TargetStatus> = status.targets.iter().filter(|t| !told(t)).collect();
    let shown = line(address);
    if unsure.is_empty() {
        let at = declared.map(|at| format!(", as {} says", line(at))).unwrap_or_default();
        let seen = page.seen();
        out.push_str(&format!("{shown}: {}{at} (commit {commit}{seen})\n", page.state(State::Ok, "in sync")));
        return out;
    }
    out.push_str(&format!("{shown}: {}\n", style.paint(Role::Warning, "nothing is known to be pending, but:")));
    for target in unsure {
        if target.pending_total > target.pending.len() {
            let (all, listed) = (target.pending_total, target.pending.len());
            let name = line(&target.target);
            out.push_str(&format!("  {name}: {all} operations are pending, and only {listed} of them are listed\n"));
        }
        if !target.leader {
            out.push_str(&format!("  {}: another watcher leads here, ask that one\n", line(&target.target)));
        }
        if target.unknown > 0 {
            out.push_str(&format!("  {}: of {} resources nothing is known\n", line(&target.target), target.unknown));
        }
        if target.last_cycle.is_none() {
            out.push_str(&format!("  {}: nobody has looked at it yet\n", line(&target.target)));
        }
        for endpoint in &target.endpoints {
            page.endpoint(target, endpoint, &mut out);
        }
        page.halted(target, &mut out);
    }
    out
}

/// True if all of a target was looked at and nothing hides a difference.
fn told(target: &TargetStatus) -> bool {
    let seen = |e: &EndpointStatus| matches!(e.state, State::Ok | State::Suspended | State::StaleSource);
    let listed = target.pending_total <= target.pending.len();
    target.leader && listed && target.unknown == 0 && target.last_cycle.is_some() && target.endpoints.iter().all(seen)
}

struct Page<'a> {
    status: &'a Status,
    style: &'a Style,
}

impl Page<'_> {
    /// The first line: what to know if nothing else is read.
    fn verdict(&self) -> String {
        let status = self.status;
        let mut parts = vec![plural(status.targets.len(), "target")];
        for state in State::ALL {
            let count = status.targets.iter().filter(|t| t.state() == state).count();
            if count > 0 {
                parts.push(format!("{count} {}", self.state(state, state.as_str())));
            }
        }
        let mut out = vec![format!("{}: {}", self.strong(&line(&status.project)), parts.join(", "))];
        let pending: usize = status.targets.iter().map(|t| t.pending_total).sum();
        if pending > 0 {
            out.push(format!("{pending} pending"));
        }
        let unknown: usize = status.targets.iter().map(|t| t.unknown).sum();
        if unknown > 0 {
            out.push(format!("{unknown} unknown"));
        }
        let mut commit = match &status.source.commit {
            Some(_) => format!("commit {}", self.commit()),
            None => "no commit yet".to_owned(),
        };
        match (status.source.fresh, status.source.stale) {
            (Some(fresh), true) => commit.push_str(&format!(", {} old", span(fresh.age))),
            (Some(fresh), false) if status.mode != "once" => {
                commit.push_str(&format!(", fresh {} ago", span(fresh.age)));
            }
            _ => {}
        }
        out.push(commit);
        if !status.source.quarantined.is_empty() {
            out.push(format!("{} quarantined", plural(status.source.quarantined.len(), "manifest")));
        }
        out.push(match (status.mode.as_str(), status.ready) {
            ("once", _) => "computed, nobody watches".to_owned(),
            ("dry-run", true) => "dry run, ready".to_owned(),
            (_, true) => "ready".to_owned(),
            (_, false) => self.style.paint(Role::Error, "not ready"),
        });
        format!("{}\n", out.join(if self.style.unicode { " · " } else { ", " }))
    }

    /// What is wrong with the watcher itself, its source and its coordinator.
    fn general(&self, out: &mut String) {
        let (status, source) = (self.status, &self.status.source);
        for why in &status.not_ready {
            out.push_str(&format!("  {}: {}\n", self.style.paint(Role::Error, "not ready"), line(why)));
        }
        if source.stale || source.why.is_some() {
            let word = self.state(State::StaleSource, State::StaleSource.as_str());
            let why = source.why.as_deref().unwrap_or("the source is away");
            out.push_str(&format!("\n{word}: {}: {}\n", line(&source.source), line(why)));
            if let Some(fresh) = source.fresh {
                out.push_str(&format!("  last known good {} ago\n", span(fresh.age)));
            }
            if let Some(next) = source.next {
                out.push_str(&format!("  asked again in {}\n", span(status.until(next))));
            }
            self.help(source.help.as_deref(), 2, out);
        }
        if let Some(why) = &source.deletes_held {
            out.push_str(&format!("  nothing is deleted: {}\n", line(why)));
        }
        if let Some(election) = status.election.as_ref().filter(|e| !e.reachable) {
            let head = self.style.paint(Role::Error, "coordinator");
            let why = election.why.as_deref().unwrap_or("it does not answer");
            let ack = election.last_ack_age.map(|age| format!(", last acknowledged {} ago", span(age)));
            out.push_str(&format!("\n{head}: {}{}\n", line(why), ack.unwrap_or_default()));
            out.push_str("  nothing is written until it answers again\n");
        }
        if let Some(why) = status.election.as_ref().and_then(|election| election.orders_why.as_ref()) {
            let head = self.style.paint(Role::Error, "orders");
            out.push_str(&format!("\n{head}: what others are ordered is not known: {}\n", line(why)));
        }
        for one in &source.quarantined {
            self.quarantined(one, out);
        }
    }

    fn quarantined(&self, one: &Quarantined, out: &mut String) {
        let head = self.style.paint(Role::Error, &format!("quarantined[{}]", line(&one.code)));
        let place = self.style.paint(Role::Place, &line(&one.place));
        let fate = if one.kept { "what it said last stays in force" } else { "its resources are left alone" };
        out.push_str(&format!("\n{head}: {place}: {}\n  {fate}\n", line(&one.message)));
        self.help(one.help.as_deref(), 2, out);
    }

    /// One row for each place.
    fn table(&self, out: &mut String) {
        const HEAD: [&str; 7] = ["WHERE", "STATE", "FOR", "LAST OK", "VERSION", "PENDING", "NEXT"];
        let mut rows: Vec<([String; 7], Option<State>)> = vec![(HEAD.map(str::to_owned), None)];
        let age = |stamp: Option<Stamp>| stamp.filter(|s| s.time != 0).map(|s| span(s.age));
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        for target in &self.status.targets {
            let version = dash(target.version.as_ref().map(version));
            for endpoint in &target.endpoints {
                let next = endpoint.next.or(target.next).map(|next| span(self.status.until(next)));
                let row = [
                    spot(&target.target, &endpoint.endpoint),
                    endpoint.state.to_string(),
                    dash(age(Some(endpoint.since))),
                    dash(age(endpoint.last_success.or(target.last_success))),
                    version.clone(),
                    // What could not be read may hide anything.
                    match (endpoint.pending, endpoint.state) {
                        (0, State::Failing) => "?".to_owned(),
                        (pending, _) => pending.to_string(),
                    },
                    dash(next),
                ];
                rows.push((row, Some(endpoint.state)));
            }
            if target.endpoints.is_empty() {
                let none = || "-".to_owned();
                let row =
                    [target.target.clone(), none(), none(), none(), version, target.pending_total.to_string(), none()];
                rows.push((row, None));
            }
        }
        if rows.len() == 1 {
            return;
        }
        let mut widths = [0; 7];
        for (row, _) in &mut rows {
            for (cell, width) in row.iter_mut().zip(&mut widths) {
                *cell = line(cell).into_owned();
                *width = (*width).max(cell.chars().count());
            }
        }
        out.push('\n');
        for (row, state) in rows {
            let mut text = String::new();
            for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
                let padded = format!("{cell:width$}  ");
                match (i, state) {
                    (1, Some(state)) => text.push_str(&self.state(state, &padded)),
                    (_, None) if row[0] == HEAD[0] => text.push_str(&self.style.paint(Role::Dim, &padded)),
                    _ => text.push_str(&padded),
                }
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
    }

    /// What is not well at a target.
    fn target(&self, target: &TargetStatus, out: &mut String) {
        let before = out.len();
        self.halted(target, out);
        for endpoint in &target.endpoints {
            // What is said elsewhere, once for all of them, would only be in the way here.
            let said = match endpoint.state {
                State::StaleSource => self.status.source.stale,
                State::Refused => !target.refusals.is_empty(),
                State::NotLeader => true,
                State::Ok | State::Failing | State::Suspended | State::InDoubt => false,
            };
            if !said {
                self.endpoint(target, endpoint, out);
            }
        }
        target.refusals.iter().for_each(|r| self.refusal(target, r, out));
        if target.pending_total > 0 {
            out.push_str(&format!("{} at {}\n", plural(target.pending_total, "operation"), line(&target.target)));
            for pending in target.pending.iter().take(SHOWN) {
                self.operation(pending, false, out);
            }
            let more = target.pending_total.saturating_sub(target.pending.len().min(SHOWN));
            if more > 0 {
                let name = line(&target.target);
                out.push_str(&format!(
                    "  {} more: `ctl status '{name}:*'`\n",
                    self.style.dots().to_owned() + " and " + &more.to_string()
                ));
            }
        }
        if out.len() > before {
            out.insert(before, '\n');
        }
    }

    /// That a person stopped a target, or sent it back.
    fn halted(&self, target: &TargetStatus, out: &mut String) {
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
                format!(" to version {} by {} {} ago", held.version, line(&held.who), span(held.since.age))
            });
            out.push_str(&format!("{name} {word} at {} after a rollback{}\n", short(commit), by.unwrap_or_default()));
        }
        if target.suspended.is_some() || target.held_at.is_some() {
            self.help(Some(&format!("`ctl resume -t {}` goes on with the newest commit", target.target)), 2, out);
        }
    }

    /// An endpoint that is not well; nothing for one that is.
    fn endpoint(&self, target: &TargetStatus, endpoint: &EndpointStatus, out: &mut String) {
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
            self.request(request, out);
        }
        if endpoint.attempts > 0 {
            let next = endpoint.next.map(|next| format!(", next in {}", span(self.status.until(next))));
            out.push_str(&format!("  attempts      {} in a row{}\n", endpoint.attempts, next.unwrap_or_default()));
        } else if let Some(next) = endpoint.next {
            out.push_str(&format!("  next try      in {}\n", span(self.status.until(next))));
        }
        self.help(endpoint.help.as_deref(), 2, out);
    }

    fn request(&self, request: &LastRequest, out: &mut String) {
        let ended = match (request.status, &request.error) {
            (Some(status), _) => format!("{status} after {} ms", request.took_ms),
            (None, Some(error)) => format!("no answer after {} ms: {}", request.took_ms, line(error)),
            (None, None) => format!("no answer after {} ms", request.took_ms),
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

    fn refusal(&self, target: &TargetStatus, refusal: &RefusalStatus, out: &mut String) {
        let place = match &refusal.endpoint {
            Some(endpoint) => spot(&target.target, endpoint),
            None => target.target.clone(),
        };
        let head = self.style.paint(Role::Error, &format!("refused[{}]", line(&refusal.gate)));
        out.push_str(&format!("{head}: {}: {}\n", line(&place), line(&refusal.message)));
        self.help(Some(&refusal.help).filter(|h| !h.is_empty()).map(String::as_str), 2, out);
        if let Some(checksum) = target.checksum.as_ref().filter(|_| refusal.approvable) {
            self.help(Some(&format!("`ctl approve {checksum}` lets this very plan through")), 2, out);
        }
    }

    /// One pending operation. In full, it says all that is known.
    fn operation(&self, pending: &PendingStatus, full: bool, out: &mut String) {
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
        let place = pending.source.as_ref().map(|at| format!(", {}", self.style.paint(Role::Place, &line(at))));
        let address = self.strong(&line(&pending.address));
        out.push_str(&format!("  {action} {address}  {state}{}\n", place.unwrap_or_default()));
        let label = |name: &str, text: &str| format!("      {name:9} {}\n", line(text));
        if !pending.cause.is_empty() {
            out.push_str(&label("differs", &pending.cause));
        }
        if !pending.why.is_empty() {
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
        self.help(pending.help.as_deref(), 6, out);
    }

    fn help(&self, help: Option<&str>, indent: usize, out: &mut String) {
        if let Some(help) = help {
            let word = self.style.paint(Role::Help, "help");
            out.push_str(&format!("{:indent$}{word}: {}\n", "", line(help)));
        }
    }

    /// The words in the look of the state.
    fn state(&self, state: State, text: &str) -> String {
        let role = match state {
            State::Ok => Role::Create,
            State::Failing | State::InDoubt | State::Refused => Role::Error,
            State::Suspended | State::StaleSource => Role::Warning,
            State::NotLeader => Role::Dim,
        };
        let word = text.trim_end();
        self.style.paint(role, word) + &text[word.len()..]
    }

    fn strong(&self, text: &str) -> String {
        self.style.paint(Role::Strong, text)
    }

    fn commit(&self) -> String {
        self.status.source.commit.as_deref().map(short).unwrap_or_else(|| "unknown".to_owned())
    }

    /// How long ago the targets were looked at, where a watcher does that.
    fn seen(&self) -> String {
        let oldest = self.status.targets.iter().filter_map(|t| t.last_cycle).map(|s| s.age).max();
        oldest.map(|age| format!(", looked at {} ago", span(age))).unwrap_or_default()
    }
}

fn version(version: &VersionStatus) -> String {
    format!("{}@{}", version.number, short(&version.commit))
}

fn short(commit: &str) -> String {
    line(commit).chars().take(10).collect()
}

/// A place as people call it: the only endpoint of a target needs no name.
fn spot(target: &str, endpoint: &str) -> String {
    if endpoint == EndpointName::only().as_str() || endpoint.is_empty() {
        target.to_owned()
    } else {
        format!("{target}/{endpoint}")
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A length of time as people say it, in the largest unit of which there are two.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
