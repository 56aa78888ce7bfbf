//! What a run did, for a terminal: failures first, each with what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::apply_json::{Results, spelled, spelled_call};
use super::plan_text::{face, number, spot};
use super::sanitize::line;
use super::style::{Role, Style};
use crate::event::Ending;
use crate::model::Span;
use crate::plan::{Action, Operation, Plan};

/// Operations that are named of those that were skipped for one reason.
const SKIPPED: usize = 5;

/// What a run did, and for each failure what happened and what to do.
///
/// ```text
/// Applied: 3 deleted, 10 created, 2 updated in 1.2 s. 1 failed:
/// ```
pub fn apply_text(plan: &Plan, results: &Results, style: &Style) -> String {
    let counts = results.counts(plan);
    let mut out = String::new();
    let done = done_line(plan, results);
    let mut bad = Vec::new();
    for (count, word) in [
        (counts.failed, "failed"),
        (counts.conflict, "in conflict"),
        (counts.in_doubt, "in doubt"),
        (counts.skipped, "skipped"),
    ] {
        if count > 0 {
            bad.push(format!("{} {word}", number(count)));
        }
    }
    let head = style.paint(Role::Strong, if bad.is_empty() { "Applied:" } else { "Applied in part:" });
    out.push_str(&format!("{head} {done} in {}.", time(results.took)));
    if bad.is_empty() {
        out.push('\n');
        write_calls(results, style, &mut out);
        return out;
    }
    out.push_str(&format!(" {}:\n\n", style.paint(Role::Error, &bad.join(", "))));
    // What went wrong comes first and is named one by one; what was only not begun is told by its reason.
    let mut skipped: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for op in &plan.operations {
        let ending = results.endings.get(&op.id);
        match ending {
            Some(Ending::Done) => {}
            Some(Ending::Skipped { .. }) | None => {
                let (_, why, _) = spelled(ending, op.change.action());
                skipped.entry(why.unwrap_or_default()).or_default().push(op);
            }
            Some(Ending::Failed { .. } | Ending::Conflict { .. } | Ending::InDoubt { .. }) => {
                write_ending(op, ending, style, &mut out);
            }
        }
    }
    for (why, ops) in skipped {
        write_skipped(why, &ops, style, &mut out);
    }
    write_calls(results, style, &mut out);
    out.push_str("\nWhat was done is in the record. Run the same command again for the rest.\n");
    out
}

/// The calls after the writes: what went wrong with one is told with the diagnostics.
fn write_calls(results: &Results, style: &Style, out: &mut String) {
    for call in &results.calls {
        let (outcome, _, _) = spelled_call(&call.ending);
        let role = if call.ending == Ending::Done { Role::Dim } else { Role::Error };
        let what = style.paint(role, &outcome.replace('_', " "));
        let place = spot(&call.target, &call.endpoint);
        out.push_str(&format!("  {what}: {} at {}\n", line(&call.call), line(&place)));
    }
}

/// ```text
///   skipped: 1,824 operations: interrupted
///     create edge:route/home
///     … and 1,823 more
/// ```
fn write_skipped(why: &str, ops: &[&Operation], style: &Style, out: &mut String) {
    let name = |op: &Operation| format!("{} {}", face(op).1, line(&op.resource.to_string()));
    let head = style.paint(Role::Dim, "skipped");
    if let [op] = ops {
        out.push_str(&format!("  {head}: {}\n    {}\n", name(op), line(why)));
        return;
    }
    out.push_str(&format!("  {head}: {} operations: {}\n", number(ops.len()), line(why)));
    for op in ops.iter().take(SKIPPED) {
        out.push_str(&format!("    {}\n", name(op)));
    }
    if ops.len() > SKIPPED {
        let text = format!("{} and {} more", style.dots(), number(ops.len() - SKIPPED));
        out.push_str(&format!("    {}\n", style.paint(Role::Dim, &text)));
    }
}

fn write_ending(op: &Operation, ending: Option<&Ending>, style: &Style, out: &mut String) {
    let (outcome, why, help) = spelled(ending, op.change.action());
    let role = match ending {
        Some(Ending::Failed { .. } | Ending::Conflict { .. }) => Role::Error,
        Some(Ending::InDoubt { .. }) => Role::Warning,
        Some(Ending::Skipped { .. } | Ending::Done) | None => Role::Dim,
    };
    let (_, word, _) = face(op);
    let what = style.paint(role, &outcome.replace('_', " "));
    let address = line(&op.resource.to_string()).into_owned();
    let place = declared(op, ending).map(|span| format!("  {}:{}", line(&span.file), span.line)).unwrap_or_default();
    out.push_str(&format!("  {what}: {word} {address}{}\n", style.paint(Role::Dim, &place)));
    if let Some(why) = why {
        out.push_str(&format!("    {}\n", line(why)));
    }
    if let Some(help) = help {
        out.push_str(&format!("    {}: {}\n", style.paint(Role::Help, "help"), line(help)));
    }
}

/// Where the field is declared that the target names, else the first of those that are sent.
fn declared<'o>(op: &'o Operation, ending: Option<&Ending>) -> Option<&'o Span> {
    let sources = || op.fields.iter().filter_map(|field| Some((field.path.segments(), field.source.as_deref()?)));
    let named = match ending {
        Some(Ending::Failed { field: Some(field), .. }) => field.segments(),
        _ => &[],
    };
    // What the API wraps around a resource stands before what a manifest states.
    let named = (0..named.len()).map(|outer| &named[outer..]).find_map(|named| {
        sources().find(|(path, _)| !path.is_empty() && (path.starts_with(named) || named.starts_with(path)))
    });
    named.map(|(_, span)| span).or_else(|| sources().map(|(_, span)| span).min())
}

/// `3 deleted, 10 created`
pub(super) fn done_line(plan: &Plan, results: &Results) -> String {
    let done = |op: &&Operation| matches!(results.endings.get(&op.id), Some(Ending::Done));
    let count = |action: Action, half: bool| {
        let fits = |op: &&Operation| op.change.action() == action && op.replaces.is_some() == half;
        plan.operations.iter().filter(done).filter(fits).count()
    };
    let any = |action: Action| count(action, false) + count(action, true);
    let parts: Vec<String> = [
        (count(Action::Delete, false), "deleted"),
        (count(Action::Create, false), "created"),
        (any(Action::Update) + any(Action::Rename), "updated"),
        (count(Action::Create, true), "replaced"),
        (any(Action::Adopt), "adopted"),
        (any(Action::Forget), "forgotten"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{} {word}", number(*count)))
    .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// `340 ms`, `1.2 s`, `3 min 05 s`
pub(super) fn time(took: Duration) -> String {
    match took.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", took.as_secs_f64()),
        _ => format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60),
    }
}
