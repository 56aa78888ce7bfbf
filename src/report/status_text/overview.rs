//! A whole status for a terminal: the verdict, a table of places, what is not well.

use super::page::{Page, plural, span, spot, version};
use super::parts::Detail;
use crate::model::{PendingStatus, Quarantined, Stamp, State, Status, TargetStatus};
use crate::report::sanitize::line;
use crate::report::style::{Role, Style};

/// Pending operations of a target that an overview shows.
const SHOWN: usize = 10;

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
                    dash(age(endpoint.last_success)),
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
        if let Some(why) = &target.not_ready {
            out.push_str(&format!("{}: {}\n", self.style.paint(Role::Error, "not ready"), line(why)));
        }
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
            let mut above: Option<&PendingStatus> = None;
            for pending in target.pending.iter().take(SHOWN) {
                self.operation(target, pending, Detail::Listed(above), out);
                above = Some(pending);
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
}
