use std::collections::BTreeSet;

use super::diagnostics::diagnostics_text;
use super::sanitize::line;
use super::style::{Role, Style};
use super::value_text::{Shown, cut, show};
use crate::model::{Digest, EndpointName, TargetName};
use crate::plan::{Action, Change, EdgeReason, FieldDiff, Operation, Plan, Precondition, Summary};

/// More creates or updates of one kind in a row than this are cut.
const MANY: usize = 50;
/// What is left of them.
const SHOWN: usize = 10;
/// Longest column of addresses.
const ADDRESS: usize = 56;
/// Lines of one field that are shown.
const BLOCK: usize = 40;

/// How a plan is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct PlanView {
    /// The look.
    pub style: Style,
    /// Nothing is cut.
    pub show_all: bool,
    /// The plan's checksum.
    pub checksum: Digest,
    /// That of its deletes.
    pub deletes_checksum: Digest,
}

/// What an operation is called and how it looks.
pub(super) fn face(op: &Operation) -> (&'static str, &'static str, Role) {
    match (op.change.action(), op.replaces) {
        (Action::Delete | Action::Create, Some(_)) => ("-/+", "replace", Role::Replace),
        (Action::Delete, None) => ("-", "delete", Role::Delete),
        (Action::Create, None) => ("+", "create", Role::Create),
        (Action::Update, _) => ("~", "update", Role::Update),
        (Action::Rename, _) => ("~", "rename", Role::Update),
        (Action::Adopt, _) => ("=", "adopt", Role::Adopt),
        (Action::Forget, _) => (".", "forget", Role::Dim),
    }
}

/// The plan for a terminal: what happens, in the order in which it happens.
pub fn plan_text(plan: &Plan, view: &PlanView) -> String {
    let style = &view.style;
    let mut out = String::new();
    write_operations(plan, view, &mut out);
    if !plan.unknown_scopes.is_empty() {
        out.push_str(&style.paint(Role::Strong, "Not read, so nothing happens there:"));
        out.push('\n');
        for scope in &plan.unknown_scopes {
            let parent = scope.scope.parent.as_ref().map(|p| format!(" in {p}")).unwrap_or_default();
            let what = format!("{}/{} {}{parent}", scope.target, scope.scope.endpoint, scope.scope.kind);
            out.push_str(&format!("  ?   {}: {}\n", line(&what), line(&scope.why)));
        }
        out.push('\n');
    }
    if !plan.diagnostics.is_empty() {
        out.push_str(&diagnostics_text(&plan.diagnostics, style));
        out.push('\n');
    }
    for refusal in &plan.refusals {
        let mut place = refusal.target.to_string();
        if let Some(endpoint) = &refusal.endpoint {
            place.push_str(&format!("/{endpoint}"));
        }
        if let Some(kind) = &refusal.kind {
            place.push_str(&format!(" {kind}"));
        }
        let head = style.paint(Role::Error, &format!("refused[{}]", line(refusal.gate)));
        out.push_str(&format!("{head}: {}: {}\n", line(&place), line(&refusal.message)));
        if !refusal.help.is_empty() {
            out.push_str(&format!("  {}: {}\n", style.paint(Role::Help, "help"), line(&refusal.help)));
        }
    }
    if !plan.refusals.is_empty() {
        out.push('\n');
    }
    if !plan.is_empty() {
        if plan.operations.iter().any(|op| op.change.writes() && !op.rehearsed) {
            out.push_str(&style.paint(Role::Dim, "Not rehearsed: the targets are asked before the first write."));
            out.push('\n');
        }
        out.push_str(&style.paint(Role::Dim, &format!("Checksum: {}", view.checksum)));
        out.push('\n');
        if plan.operations.iter().any(|op| op.change.action() == Action::Delete) {
            out.push_str(&style.paint(Role::Dim, &format!("Deletes:  {}", view.deletes_checksum)));
            out.push('\n');
        }
    }
    out.push_str(&summary_line(plan));
    out.push('\n');
    out
}

/// The last line of a plan.
pub fn summary_line(plan: &Plan) -> String {
    let sum = plan.summary();
    let Summary { delete, create, update, replace, adopt, unchanged, unknown } = sum;
    if plan.is_empty() && unknown == 0 && plan.unknown_scopes.is_empty() {
        return match unchanged {
            1 => "Nothing to do: 1 resource is as declared.".to_owned(),
            n => format!("Nothing to do: {} resources are as declared.", number(n)),
        };
    }
    let mut parts = vec![
        format!("{} to delete", number(delete)),
        format!("{} to create", number(create)),
        format!("{} to update", number(update)),
    ];
    let forget = plan.operations.iter().filter(|op| op.change.action() == Action::Forget).count();
    for (count, words) in [(replace, "to replace"), (adopt, "to adopt"), (forget, "to forget")] {
        if count > 0 {
            parts.push(format!("{} {words}", number(count)));
        }
    }
    parts.push(format!("{} unchanged", number(unchanged)));
    if unknown > 0 {
        parts.push(format!("{} unknown", number(unknown)));
    }
    format!("Plan: {}.", parts.join(", "))
}

/// `9990` as `9,990`.
pub(super) fn number(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

type Place<'a> = (&'a TargetName, &'a EndpointName);

fn place(op: &Operation) -> Place<'_> {
    (&op.resource.target, &op.endpoint)
}

fn write_operations(plan: &Plan, view: &PlanView, out: &mut String) {
    let groups: Vec<&[Operation]> = plan.operations.chunk_by(|a, b| place(a) == place(b)).collect();
    let places: BTreeSet<Place<'_>> = plan.operations.iter().map(place).collect();
    // Where edges weave several targets into each other, headings would be most of the text.
    let headings = groups.len() <= 2 * places.len();
    let one = plan.operations.as_slice();
    let groups = if headings { groups } else { vec![one] };
    for group in groups {
        let Some(first) = group.first() else { continue };
        if headings {
            out.push_str(&view.style.paint(Role::Strong, &name_of(first)));
            out.push('\n');
        }
        let address = |op: &Operation| if headings { op.resource.local() } else { full(op) };
        let width = group.iter().map(|op| line(&address(op)).chars().count()).max().unwrap_or(0).min(ADDRESS);
        let alike = |a: &Operation, b: &Operation| {
            (a.change.action(), &a.resource.kind, place(a), a.replaces.is_some())
                == (b.change.action(), &b.resource.kind, place(b), b.replaces.is_some())
        };
        for run in group.chunk_by(alike) {
            // What goes away is always shown whole.
            let may_cut = !view.show_all && !matches!(run[0].change, Change::Delete { .. });
            let shown = if may_cut && run.len() > MANY { SHOWN } else { run.len() };
            for op in &run[..shown] {
                write_operation(plan, op, &address(op), width, view, out);
            }
            if shown < run.len() {
                let (_, word, _) = face(&run[0]);
                let rest = number(run.len() - shown);
                let kind = line(run[0].resource.kind.as_str());
                let text = format!("{} and {rest} more {word}s of kind {kind}", view.style.dots());
                out.push_str(&format!("      {}\n", view.style.paint(Role::Dim, &text)));
            }
        }
        out.push('\n');
    }
}

fn name_of(op: &Operation) -> String {
    let (target, endpoint) = place(op);
    if *endpoint == EndpointName::only() { target.to_string() } else { format!("{target}/{endpoint}") }
}

fn full(op: &Operation) -> String {
    format!("{}:{}", name_of(op), op.resource.local())
}

fn write_operation(plan: &Plan, op: &Operation, address: &str, width: usize, view: &PlanView, out: &mut String) {
    let style = &view.style;
    let (symbol, word, role) = face(op);
    let address = line(address);
    let mut tail = vec![op.cause.as_str().to_owned()];
    match (op.change.action(), op.replaces) {
        (Action::Delete, Some(_)) => tail.insert(0, "takes it away".to_owned()),
        (Action::Create, Some(_)) => tail.insert(0, "makes it again".to_owned()),
        _ => {}
    }
    if let Some(source) = source_of(op) {
        tail.push(source);
    }
    let head = style.paint(role, &format!("{symbol:<3} {word:<7}"));
    let gap = " ".repeat(width.saturating_sub(address.chars().count()));
    let tail = style.paint(Role::Dim, &format!("({})", line(&tail.join(", "))));
    out.push_str(&format!("  {head} {address}{gap}  {tail}\n"));
    for note in notes(plan, op) {
        out.push_str(&format!("        {}\n", style.paint(Role::Dim, &line(&note))));
    }
    let name_width = op.fields.iter().map(|f| line(&path_of(f)).chars().count()).max().unwrap_or(0).min(32);
    for field in &op.fields {
        write_field(field, op, name_width, view, out);
    }
}

/// Where the resource is declared: the first line that is known.
fn source_of(op: &Operation) -> Option<String> {
    let first = op.fields.iter().filter_map(|f| f.source.as_ref()).min();
    match (op.change.desired(), first) {
        (_, Some(span)) => Some(format!("{}:{}", span.file, span.line)),
        (Some(desired), None) => Some(desired.origin.path.to_string()),
        (None, None) => None,
    }
}

/// What else is to be said about an operation.
pub(super) fn notes(plan: &Plan, op: &Operation) -> Vec<String> {
    let mut out = Vec::new();
    if op.moved {
        // That the halves of a replace follow each other is said by the line itself.
        for after in op.after.iter().filter(|after| after.reason != EdgeReason::Replace) {
            let other = plan
                .operation(after.op)
                .map_or_else(|| after.op.to_string(), |other| format!("{} {}", face(other).1, other.resource));
            out.push(match &after.reason {
                EdgeReason::DependsOn => format!("after {other}, because of dependsOn"),
                reason => format!("after {other}, which {reason}"),
            });
        }
    }
    if let Precondition::Unconditional(why) = &op.precondition {
        out.push(format!("unconditional: {why}"));
    }
    match &op.change {
        Change::Forget { why, .. } => out.push(format!("forgotten: {why}")),
        Change::Rename { base, .. } => out.push(format!("was {}/{}", op.resource.kind, base.key)),
        Change::Update { remove, .. } if !remove.is_empty() => {
            let unshown = remove.iter().filter(|path| !op.fields.iter().any(|field| field.path == **path));
            out.extend(unshown.map(|path| format!("{path}: is no longer stated and is removed")));
        }
        Change::Create { .. } | Change::Update { .. } | Change::Delete { .. } | Change::Adopt { .. } => {}
    }
    for cascade in &op.cascades {
        let fate = match (cascade.owned, cascade.recreated) {
            (_, true) => "made again below",
            (true, false) => "ours",
            (false, false) => "not ours",
        };
        out.push(format!("takes along {}/{} ({fate})", cascade.kind, cascade.key));
    }
    out
}

/// A field's name as people write it: `ttl`, `spec.ports.0`; as a pointer where that would be ambiguous.
pub(super) fn path_of(field: &FieldDiff) -> String {
    let steps = field.path.segments();
    let plain = |s: &String| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match steps {
        [] => "(all)".to_owned(),
        steps if steps.iter().all(plain) => steps.join("."),
        _ => field.path.to_string(),
    }
}

fn write_field(field: &FieldDiff, op: &Operation, name_width: usize, view: &PlanView, out: &mut String) {
    let style = &view.style;
    let name = line(&path_of(field)).into_owned();
    let gap = " ".repeat(name_width.saturating_sub(name.chars().count()));
    let mut tail = Vec::new();
    if let Some(span) = &field.source {
        tail.push(format!("{}:{}", span.file, span.line));
    }
    if field.forces_replace {
        tail.push("forces replace".to_owned());
    }
    if field.cause != op.cause {
        tail.push(field.cause.as_str().to_owned());
    }
    if field.after.is_none() && op.change.desired().is_some() {
        tail.push("removed".to_owned());
    }
    let tail = if tail.is_empty() { String::new() } else { format!("({})", line(&tail.join(", "))) };
    let taken = 8 + name_width + 2 + if tail.is_empty() { 0 } else { tail.chars().count() + 2 };
    let room = (!view.show_all).then(|| style.width.saturating_sub(taken).max(24));
    let tail = if tail.is_empty() { tail } else { format!("  {}", style.paint(Role::Dim, &tail)) };
    match show(field, style, room) {
        Shown::Line(text) => out.push_str(&format!("        {name}: {gap}{text}{tail}\n")),
        Shown::Block(block) => {
            out.push_str(&format!("        {name}:{tail}\n"));
            let limit = if view.show_all { block.len() } else { BLOCK };
            for (sign, text) in block.iter().take(limit) {
                let text =
                    if view.show_all { text.clone() } else { cut(text, style.width.saturating_sub(12).max(24), style) };
                let text = format!("{} {text}", sign.as_str());
                let text = text.trim_end();
                out.push_str("          ");
                out.push_str(&sign.role().map_or_else(|| text.to_owned(), |role| style.paint(role, text)));
                out.push('\n');
            }
            if block.len() > limit {
                let text = format!("{} and {} more lines", style.dots(), number(block.len() - limit));
                out.push_str(&format!("          {}\n", style.paint(Role::Dim, &text)));
            }
        }
    }
}
