//! What a run did, as JSON and in counts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::plan_json::{FORMAT_VERSION, RefusalDocument, refusal, written};
use crate::event::Ending;
use crate::model::{Digest, EndpointName, TargetName};
use crate::plan::{Action, OpId, Operation, Plan};

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// How each operation ended; one that is not here was not started.
    pub endings: BTreeMap<OpId, Ending>,
    /// How long it took, from the first write.
    pub took: Duration,
    /// What became of the calls that endpoints want once after writes.
    pub calls: Vec<CallResult>,
}

/// What became of a call that an endpoint wants once after writes.
#[derive(Clone, Debug)]
pub struct CallResult {
    /// The target.
    pub target: TargetName,
    /// The endpoint.
    pub endpoint: EndpointName,
    /// Which call: `POST /config/save`.
    pub call: String,
    /// How it ended. What is not done is owed.
    pub ending: Ending,
}

/// The counts of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// As wanted.
    pub done: usize,
    /// Refused, or given up.
    pub failed: usize,
    /// Not started.
    pub skipped: usize,
    /// Changed by somebody else meanwhile.
    pub conflict: usize,
    /// Nobody can tell.
    pub in_doubt: usize,
}

impl Results {
    /// The counts over all operations of `plan`.
    pub fn counts(&self, plan: &Plan) -> Counts {
        let mut counts = Counts::default();
        for op in &plan.operations {
            match self.endings.get(&op.id) {
                Some(Ending::Done) => counts.done += 1,
                Some(Ending::Failed { .. }) => counts.failed += 1,
                Some(Ending::Conflict { .. }) => counts.conflict += 1,
                Some(Ending::InDoubt { .. }) => counts.in_doubt += 1,
                Some(Ending::Skipped { .. }) | None => counts.skipped += 1,
            }
        }
        counts
    }
}

#[derive(Serialize)]
struct ApplyDocument<'a> {
    format_version: &'static str,
    plan_checksum: String,
    commit: &'a str,
    summary: Counts,
    refusals: Vec<RefusalDocument<'a>>,
    results: Vec<ResultDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<CallDocument<'a>>,
}

#[derive(Serialize)]
struct CallDocument<'a> {
    target: &'a str,
    endpoint: &'a str,
    call: &'a str,
    outcome: &'static str,
    error: Option<&'a str>,
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct ResultDocument<'a> {
    id: String,
    address: String,
    action: &'static str,
    outcome: &'static str,
    error: Option<&'a str>,
    help: Option<&'a str>,
}

/// `apply -o json`: one document, described by `docs/schemas/apply.schema.json`.
pub fn apply_json(plan: &Plan, checksum: &Digest, results: &Results) -> String {
    written(&ApplyDocument {
        format_version: FORMAT_VERSION,
        plan_checksum: checksum.to_string(),
        commit: plan.commit.as_str(),
        summary: results.counts(plan),
        refusals: plan.refusals.iter().map(refusal).collect(),
        results: plan.operations.iter().map(|op| result(op, results.endings.get(&op.id))).collect(),
        calls: results.calls.iter().map(call).collect(),
    })
}

fn call(result: &CallResult) -> CallDocument<'_> {
    let (outcome, error, help) = spelled_call(&result.ending);
    CallDocument {
        target: result.target.as_str(),
        endpoint: result.endpoint.as_str(),
        call: &result.call,
        outcome,
        error,
        help,
    }
}

/// The word for how a call ended, why, and what to do now.
pub(super) fn spelled_call(ending: &Ending) -> (&'static str, Option<&str>, Option<&str>) {
    let (outcome, why, help) = spelled(Some(ending), Action::Update);
    let again = "run the same command again: the call is owed, and the next run makes it";
    let help = match ending {
        Ending::Done => None,
        Ending::Failed { .. } => help.or(Some(again)),
        Ending::Conflict { .. } | Ending::Skipped { .. } | Ending::InDoubt { .. } => Some(again),
    };
    (outcome, why, help)
}

fn result<'a>(op: &Operation, ending: Option<&'a Ending>) -> ResultDocument<'a> {
    let (outcome, error, help) = spelled(ending, op.change.action());
    ResultDocument {
        id: op.id.to_string(),
        address: op.resource.to_string(),
        action: op.change.action().as_str(),
        outcome,
        error,
        help,
    }
}

/// The word for an ending, why, and what to do now.
pub(super) fn spelled(ending: Option<&Ending>, action: Action) -> (&'static str, Option<&str>, Option<&str>) {
    match ending {
        Some(Ending::Done) => ("done", None, None),
        Some(Ending::Failed { why, help, .. }) => ("failed", Some(why), help.as_deref()),
        Some(Ending::Conflict { why }) => {
            let help = match action {
                Action::Create => "one like it is there, made meanwhile or where the list does not show it; plan again",
                Action::Delete => {
                    "somebody changed it meanwhile, or the answer says what stands in the way; plan again"
                }
                _ => "what somebody else made of it stands: see with `ctl plan` what is there now, then apply again",
            };
            ("conflict", Some(why), Some(help))
        }
        Some(Ending::Skipped { why }) => ("skipped", Some(why), None),
        Some(Ending::InDoubt { why }) => {
            ("in_doubt", Some(why), Some("run the same command again: it looks first what is there"))
        }
        None => ("skipped", Some("it was not started"), None),
    }
}
