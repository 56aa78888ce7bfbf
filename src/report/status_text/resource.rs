//! Why one resource is not in sync.

use super::page::{Page, span};
use super::parts::Detail;
use crate::model::{EndpointStatus, State, Status, TargetStatus, glob_matches};
use crate::report::sanitize::line;
use crate::report::style::{Role, Style};

/// Why one resource (or those that fit a glob of addresses) is not in sync; that it is, if it is.
pub fn resource_text(status: &Status, address: &str, style: &Style) -> String {
    let page = Page { status, style };
    let mut out = String::new();
    for target in &status.targets {
        page.not_in_sync(target, address, &mut out);
    }
    if !out.is_empty() {
        return out;
    }
    let unsure: Vec<&TargetStatus> = status.targets.iter().filter(|t| !told(t)).collect();
    if unsure.is_empty() {
        return page.in_sync(address);
    }
    let nothing = style.paint(Role::Warning, "nothing is known to be pending, but:");
    out.push_str(&format!("{}: {nothing}\n", line(address)));
    for target in unsure {
        page.unsure(target, &mut out);
    }
    out
}

/// True if all of a target was looked at and nothing hides a difference.
fn told(target: &TargetStatus) -> bool {
    let seen = |e: &EndpointStatus| matches!(e.state, State::Ok | State::Suspended | State::StaleSource);
    let listed = target.pending_total <= target.pending.len();
    target.leader && listed && target.unknown == 0 && target.last_cycle.is_some() && target.endpoints.iter().all(seen)
}

impl Page<'_> {
    /// What of a target waits or does not come through, and what keeps it.
    fn not_in_sync(&self, target: &TargetStatus, address: &str, out: &mut String) {
        let fitting: Vec<_> = target.pending.iter().filter(|p| glob_matches(address, &p.address)).collect();
        if fitting.is_empty() {
            return;
        }
        for pending in &fitting {
            self.operation(target, pending, Detail::Full, out);
        }
        for endpoint in &target.endpoints {
            let refused = endpoint.state == State::Refused && !target.refusals.is_empty();
            if !refused && fitting.iter().any(|pending| pending.endpoint == endpoint.endpoint) {
                self.endpoint(target, endpoint, out);
            }
        }
        self.halted(target, out);
        target.refusals.iter().for_each(|refusal| self.refusal(target, refusal, out));
    }

    fn in_sync(&self, address: &str) -> String {
        let shown = line(address);
        let (commit, seen) = (self.commit(), self.seen());
        let word = self.state(State::Ok, "in sync");
        match self.status.resources.as_deref() {
            Some([one]) => {
                let at = one.source.as_ref().map(|at| format!(", as {} says", line(at))).unwrap_or_default();
                format!("{}: {word}{at} (commit {commit}{seen})\n", line(&one.address))
            }
            Some(all @ [_, ..]) => format!("{shown}: all {} are {word} (commit {commit}{seen})\n", all.len()),
            // Nobody said that there is such a resource.
            Some([]) | None => format!("{shown}: nothing is to be done there (commit {commit}{seen})\n"),
        }
    }

    /// What hides whether something waits.
    fn unsure(&self, target: &TargetStatus, out: &mut String) {
        let name = line(&target.target);
        if target.pending_total > target.pending.len() {
            let (all, listed) = (target.pending_total, target.pending.len());
            out.push_str(&format!("  {name}: {all} operations are pending, and only {listed} of them are listed\n"));
        }
        if !target.leader {
            out.push_str(&format!("  {name}: another watcher leads here, ask that one\n"));
        }
        if target.unknown > 0 {
            out.push_str(&format!("  {name}: of {} resources nothing is known\n", target.unknown));
        }
        match target.last_cycle {
            None => out.push_str(&format!("  {name}: nobody has looked at it yet\n")),
            Some(last) => out.push_str(&format!("  {name}: looked at {} ago\n", span(last.age))),
        }
        for endpoint in &target.endpoints {
            self.endpoint(target, endpoint, out);
        }
        self.halted(target, out);
    }
}
