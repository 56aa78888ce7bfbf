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

/// What to do where the endpoints themselves are in the way: about the worst of it.
pub(in crate::cli) fn advice(planned: &Planned) -> Option<Diagnostic> {
    let worst = planned.sightings.values().flat_map(|s| s.trouble.iter()).min()?;
    let Advice { code, what, help } = Advice::on(*worst);
    let again = if worst.is_away() { "; then run again" } else { "" };
    Some(Diagnostic::error(code, what).help(format!("{help}{again}")))
}

/// What is to be said of a trouble.
pub(in crate::cli) struct Advice {
    pub(in crate::cli) code: &'static str,
    what: &'static str,
    pub(in crate::cli) help: &'static str,
}

impl Advice {
    /// The same words wherever it is told.
    pub(in crate::cli) fn on(trouble: Trouble) -> Self {
        let (code, what, help) = match trouble {
            Trouble::Authentication => (
                "not-allowed",
                "a server did not let us in",
                "give the target `credentials: NAME` if it has none; else check that one in the operator's file, and what it \
                 may do at the server",
            ),
            Trouble::Unreachable => (
                "unreachable",
                "a server cannot be reached",
                "check that it runs and that the URL in ctl.yaml is right",
            ),
            Trouble::Distrusted => (
                "unreachable",
                "a certificate is not accepted",
                "have it mended, or name its authority with `ca` in the operator's file",
            ),
            Trouble::Unanswered => (
                "unreachable",
                "a server gave no whole answer",
                "see its log, and that of a proxy before it: it is slow, broke off, or does not speak HTTP",
            ),
            Trouble::Failing => ("unreachable", "a server says that it failed", "see its log for the request above"),
            Trouble::Busy => (
                "unreachable",
                "a server asks to wait",
                "leave it alone for a while; `--rate`, or `rate` at the target, asks it less often",
            ),
            Trouble::Conflict | Trouble::Other => (
                "not-understood",
                "a server's answer is not what its description says",
                "compare the answer with the API description: see docs/api-descriptions.md, and -v for the requests",
            ),
            Trouble::Redirected => (
                "not-understood",
                "a server points elsewhere, and nobody goes there by himself",
                "if that is where the API is now, write it as the target's `url`, and among the `hosts` of its credential",
            ),
            Trouble::TooLarge => (
                "not-understood",
                "a server's answer is larger than is taken",
                "raise the limit that is named above in the operator's file if such answers are meant",
            ),
            Trouble::Unfit => (
                "not-understood",
                "a request cannot be made, so that nothing was sent",
                "mend what the line above names: the description, or the credential in the operator's file",
            ),
        };
        Self { code, what, help }
    }
}
