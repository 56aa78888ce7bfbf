//! What a plan and what was seen mean for the exit code, and what to do about it.

use super::Planned;
use crate::cli::Exit;
use crate::credentials::{REFUSALS, UNREADABLE};
use crate::model::Diagnostic;
use crate::plan::Plan;
use crate::reconcile::Trouble;

/// The refusals of a plan, for standard error where the plan itself goes to a program.
pub(in crate::cli) fn refusals(plan: &Plan) -> Vec<Diagnostic> {
    let told = plan.refusals.iter().map(|refusal| {
        let endpoint = refusal.endpoint.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let kind = refusal.kind.as_ref().map(|kind| format!(" {kind}")).unwrap_or_default();
        let message = format!("{}{endpoint}{kind} is not written: {}", refusal.target, refusal.message);
        Diagnostic::error(refusal.gate, message).help(refusal.help.clone())
    });
    told.collect()
}

/// What the refusals of a plan mean for the exit code.
pub(in crate::cli) fn refusal_exit(plan: &Plan) -> Exit {
    plan.refusals.iter().fold(Exit::Done, |exit, refusal| {
        exit.and(match refusal.gate {
            "older-commit" | "shallow" => Exit::Conflict,
            "locked" => Exit::Locked,
            gate if UNREADABLE.contains(&gate) => Exit::Denied,
            gate if REFUSALS.contains(&gate) => Exit::Refused,
            _ => Exit::Refused,
        })
    })
}

/// What to do where the endpoints themselves are in the way.
pub(in crate::cli) fn advice(planned: &Planned) -> Option<Diagnostic> {
    let troubles = || planned.sightings.values().flat_map(|s| s.trouble.iter());
    if troubles().any(|t| *t == Trouble::Authentication) {
        let help = "give the target `credentials: NAME` if it has none; else check that one in the operator's file, and \
                    what it may do at the server";
        return Some(Diagnostic::error("not-allowed", "a server did not let us in").help(help));
    }
    if troubles().any(|t| *t == Trouble::Unreachable) {
        let help = "check that it runs and that the URL in ctl.yaml is right; then run again";
        return Some(Diagnostic::error("unreachable", "a server did not answer").help(help));
    }
    troubles().next().map(|_| {
        let help = "compare the answer with the API description: see docs/api-descriptions.md, and -v for the requests";
        Diagnostic::error("not-understood", "a server's answer is not what its description says").help(help)
    })
}
