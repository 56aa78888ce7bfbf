//! A plan for a terminal.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostics::diagnostics_text;
use super::plan_json::KeyNames;
use super::sanitize::line;
use super::style::{Role, Style};
use super::value_text::{DiffSign, Shown, fitted, show};
use crate::model::{Digest, EndpointName, Kind, Span, TargetName};
use crate::plan::{
    Action, Cause, Change, EdgeReason, FieldDiff, OpId, Operation, Plan, Precondition, Summary, UnknownScope,
};

/// More creates or updates of one kind in a row than this are cut.
const MANY: usize = 50;
/// What is left of them.
const SHOWN: usize = 10;
/// Longest column of addresses.
const ADDRESS: usize = 56;
/// Lines of one field that are shown.
const BLOCK: usize = 40;
/// Longest column of field names.
const NAME: usize = 32;
/// Longest column of values: what is longer moves no other line's end.
const VALUE: usize = 48;

/// On a narrower terminal, what does not fit behind an address stands below it.
const NARROW: usize = 80;

/// How a plan is to be shown.
#[derive(Clone, Copy)]
pub struct PlanView<'a> {
    /// The look.
    pub style: Style,
    /// Nothing is cut.
    pub show_all: bool,
    /// The plan's checksum.
    pub checksum: Digest,
    /// That of its deletes.
    pub deletes_checksum: Digest,
    /// The project's folder from the repository's root: places inside of it are named from there.
    pub folder: &'a str,
    /// The key fields of a kind: the address says them already.
    pub key_names: KeyNames<'a>,
}

impl PlanView<'_> {
    /// A file as it is shown.
    pub(super) fn file<'f>(&self, file: &'f str) -> &'f str {
        let inside = file.strip_prefix(self.folder).and_then(|rest| rest.strip_prefix('/'));
        inside.filter(|_| !self.folder.is_empty()).unwrap_or(file)
    }

    /// The fields of `op` that its address does not say.
    pub(super) fn fields<'o>(&self, op: &'o Operation) -> Vec<&'o FieldDiff> {
        let whole = op.replaces.is_none() && matches!(op.change.action(), Action::Create | Action::Delete);
        let keys = if whole { (self.key_names)(&op.resource.target, &op.resource.kind) } else { Vec::new() };
        let is_key = |field: &&FieldDiff| matches!(field.path.segments(), [name] if keys.contains(name));
        op.fields.iter().filter(|field| !is_key(field)).collect()
    }

    /// Where the resource is declared: the first line that is known.
    pub(super) fn place(&self, op: &Operation) -> Option<String> {
        let first = op.fields.iter().filter_map(|f| f.source.as_deref()).min();
        match (op.change.desired(), first) {
            (_, Some(span)) => Some(format!("{}:{}", self.file(&span.file), span.line)),
            (Some(desired), None) => Some(self.file(&desired.origin.path).to_owned()),
            (None, None) => None,
        }
    }
}

/// The cause of an operation where a reader cannot guess it.
pub(super) fn cause_word(op: &Operation) -> Option<&'static str> {
    let guessed = op.cause == Cause::Intended && !matches!(op.change.action(), Action::Update | Action::Rename);
    (!guessed).then(|| op.cause.as_str())
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
pub fn plan_text(plan: &Plan, view: &PlanView<'_>) -> String {
    let style = &view.style;
    let mut out = String::new();
    write_operations(plan, view, &mut out);
    write_calls(plan, style, &mut out);
    if !plan.unknown_scopes.is_empty() {
        out.push_str(&style.paint(Role::Strong, "Not read, so nothing happens there:"));
        out.push('\n');
        for told in unread(plan) {
            out.push_str(&format!("  ?   {}\n", line(&told)));
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
            out.push_str(
                &style.paint(Role::Dim, "Not rehearsed: targets that can tell are asked before the first write."),
            );
            out.push('\n');
        }
        out.push_str(&style.paint(Role::Dim, &format!("Checksum: {}", view.checksum)));
        out.push('\n');
        // The sum of the deletes alone is for whoever has to let them through.
        if !plan.refusals.is_empty() && plan.operations.iter().any(|op| op.change.action() == Action::Delete) {
            out.push_str(&style.paint(Role::Dim, &format!("Deletes:  {}", view.deletes_checksum)));
            out.push('\n');
        }
    }
    out.push_str(&summary_line(plan));
    out.push('\n');
    out
}

/// What endpoints want once after the writes, and what they are owed.
fn write_calls(plan: &Plan, style: &Style, out: &mut String) {
    if plan.calls.is_empty() {
        return;
    }
    out.push_str(&style.paint(Role::Strong, "After the writes, once:"));
    out.push('\n');
    calls(plan).iter().for_each(|told| out.push_str(&format!("  >   {}\n", line(told))));
    out.push('\n');
}

/// The calls of a plan, a line each.
pub(super) fn calls(plan: &Plan) -> Vec<String> {
    let told = plan.calls.iter().map(|call| {
        let owed = if call.owed { "  (owed since an earlier run)" } else { "" };
        format!("{} {}{owed}", spot(&call.target, &call.endpoint), call.call.call)
    });
    told.collect()
}

/// What was not read and why: one line for an endpoint, a reason and the kinds that share both. Of a kind with many
/// parents the first ones are named, with the reason of the first.
pub(super) fn unread(plan: &Plan) -> Vec<String> {
    const PARENTS: usize = 3;
    let mut by_kind: BTreeMap<(String, &Kind), Vec<&UnknownScope>> = BTreeMap::new();
    for scope in &plan.unknown_scopes {
        by_kind.entry((spot(&scope.target, &scope.scope.endpoint), &scope.scope.kind)).or_default().push(scope);
    }
    let mut lines: Vec<(String, Vec<String>, &str)> = Vec::new();
    for ((place, kind), scopes) in by_kind {
        let parents: Vec<String> = scopes.iter().filter_map(|s| Some(s.scope.parent.as_ref()?.to_string())).collect();
        let named = parents.iter().take(PARENTS).cloned().collect::<Vec<_>>().join(", ");
        let what = match parents.len() {
            0 => kind.to_string(),
            n if n <= PARENTS => format!("{kind} in {named}"),
            n => format!("{kind} in {named} and {} more", number(n - PARENTS)),
        };
        let why = scopes.first().map_or("", |scope| scope.why.as_str());
        match lines.iter_mut().find(|(at, _, because)| *at == place && *because == why) {
            Some((_, kinds, _)) => kinds.push(what),
            None => lines.push((place, vec![what], why)),
        }
    }
    lines.into_iter().map(|(place, kinds, why)| format!("{place} {}: {why}", kinds.join(", "))).collect()
}

/// The last line of a plan.
pub fn summary_line(plan: &Plan) -> String {
    let sum = plan.summary();
    let Summary { delete, create, update, replace, adopt, unchanged, unknown } = sum;
    if plan.is_empty() && unchanged == 0 && unknown == 0 && !plan.refusals.is_empty() {
        return "Nothing was planned: see what was refused.".to_owned();
    }
    if plan.is_empty() && unknown == 0 && plan.unknown_scopes.is_empty() && plan.refusals.is_empty() {
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
    match plan.calls.iter().filter(|call| call.owed).count() {
        0 => {}
        1 => parts.push("1 call owed".to_owned()),
        n => parts.push(format!("{} calls owed", number(n))),
    }
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

/// The columns of a list of operations.
#[derive(Clone, Copy)]
struct Look {
    symbol: usize,
    address: usize,
}

impl Look {
    fn indent(self) -> usize {
        self.symbol + 5
    }
}

type Place<'a> = (&'a TargetName, &'a EndpointName);

fn place(op: &Operation) -> Place<'_> {
    (&op.resource.target, &op.endpoint)
}

/// How the operations are laid out: under a heading for each place, or all in one where headings would be most of the
/// text because edges weave several targets into each other.
fn groups(plan: &Plan) -> (bool, Vec<&[Operation]>) {
    let groups: Vec<&[Operation]> = plan.operations.chunk_by(|a, b| place(a) == place(b)).collect();
    let places: BTreeSet<Place<'_>> = plan.operations.iter().map(place).collect();
    if groups.len() <= 2 * places.len() { (true, groups) } else { (false, vec![plan.operations.as_slice()]) }
}

/// Runs of operations that look alike, each with how many of them are shown.
fn runs(group: &[Operation], show_all: bool) -> impl Iterator<Item = (&[Operation], usize)> {
    let alike = |a: &Operation, b: &Operation| {
        (a.change.action(), &a.resource.kind, place(a), a.replaces.is_some())
            == (b.change.action(), &b.resource.kind, place(b), b.replaces.is_some())
    };
    group.chunk_by(alike).map(move |run| {
        // What goes away is always shown whole.
        let may_cut = !show_all && !matches!(run[0].change, Change::Delete { .. });
        (run, if may_cut && run.len() > MANY { SHOWN } else { run.len() })
    })
}

/// The operations that [`plan_text`] shows one by one: those whose lines in the manifests are worth finding.
pub fn shown(plan: &Plan, show_all: bool) -> BTreeSet<OpId> {
    let (_, groups) = groups(plan);
    let runs = groups.into_iter().flat_map(|group| runs(group, show_all));
    runs.flat_map(|(run, shown)| run[..shown].iter().map(|op| op.id)).collect()
}

fn write_operations(plan: &Plan, view: &PlanView<'_>, out: &mut String) {
    let (headings, groups) = groups(plan);
    let symbol = plan.operations.iter().map(|op| face(op).0.len()).max().unwrap_or(1);
    for group in groups {
        let Some(first) = group.first() else { continue };
        if headings {
            out.push_str(&view.style.paint(Role::Strong, &name_of(first)));
            out.push('\n');
        }
        let address = |op: &Operation| if headings { op.resource.local() } else { full(op) };
        let width = group.iter().map(|op| line(&address(op)).chars().count()).max().unwrap_or(0).min(ADDRESS);
        let look = Look { symbol, address: width };
        for (run, shown) in runs(group, view.show_all) {
            for op in &run[..shown] {
                write_operation(plan, op, &address(op), look, view, out);
            }
            if shown < run.len() {
                let (_, word, _) = face(&run[0]);
                let rest = number(run.len() - shown);
                let kind = line(run[0].resource.kind.as_str());
                let text = format!("{} and {rest} more {word}s of kind {kind} (--show-all)", view.style.dots());
                let pad = " ".repeat(symbol + 3);
                out.push_str(&format!("{pad}{}\n", view.style.paint(Role::Dim, &text)));
            }
        }
        out.push('\n');
    }
}

fn name_of(op: &Operation) -> String {
    let (target, endpoint) = place(op);
    spot(target, endpoint)
}

/// A target and its endpoint, where it has several.
pub fn spot(target: &TargetName, endpoint: &EndpointName) -> String {
    if *endpoint == EndpointName::only() { target.to_string() } else { format!("{target}/{endpoint}") }
}

fn full(op: &Operation) -> String {
    format!("{}:{}", name_of(op), op.resource.local())
}

fn write_operation(plan: &Plan, op: &Operation, address: &str, look: Look, view: &PlanView<'_>, out: &mut String) {
    let style = &view.style;
    let (symbol, word, role) = face(op);
    let address = line(address);
    let mut tail = Vec::new();
    match (op.change.action(), op.replaces) {
        (Action::Delete, Some(_)) => tail.push("takes it away".to_owned()),
        (Action::Create, Some(_)) => tail.push("makes it again".to_owned()),
        _ => {}
    }
    tail.extend(cause_word(op).map(str::to_owned));
    tail.extend(view.place(op));
    let head = style.paint(role, &format!("{symbol:<width$} {word:<7}", width = look.symbol));
    let gap = " ".repeat(look.address.saturating_sub(address.chars().count()));
    let indent = " ".repeat(look.indent());
    let tail = line(&tail.join(", ")).into_owned();
    let taken = 2 + look.symbol + 1 + word.len().max(7) + 1 + address.chars().count().max(look.address) + 2;
    let tail = match (tail.is_empty(), style.width < NARROW && taken + tail.chars().count() > style.width) {
        (true, _) => String::new(),
        (false, false) => format!("{gap}  {}", style.paint(Role::Dim, &tail)),
        (false, true) => format!("\n{indent}{}", style.paint(Role::Dim, &tail)),
    };
    out.push_str(&format!("  {head} {address}{tail}\n"));
    for note in notes(plan, op) {
        out.push_str(&format!("{indent}{}\n", style.paint(Role::Dim, &line(&note))));
    }
    write_fields(op, look.indent(), view, out);
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

/// What is said at the end of a field's line.
fn tail_of(field: &FieldDiff, op: &Operation, view: &PlanView<'_>) -> String {
    let first = op.fields.iter().filter_map(|f| f.source.as_deref()).min();
    let same_line = |span: &Span| first.is_some_and(|f| f.file == span.file && f.line == span.line);
    let one_line = op.fields.iter().filter_map(|f| f.source.as_deref()).all(same_line);
    let mut tail = Vec::new();
    match &field.source {
        // The operation's own line says it.
        Some(_) if one_line => {}
        Some(span) if first.is_some_and(|f| f.file == span.file) => tail.push(format!(":{}", span.line)),
        Some(span) => tail.push(format!("{}:{}", view.file(&span.file), span.line)),
        None => {}
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
    line(&tail.join(", ")).into_owned()
}

fn write_fields(op: &Operation, indent: usize, view: &PlanView<'_>, out: &mut String) {
    let style = &view.style;
    let count = |text: &str| text.chars().count();
    let fields: Vec<(String, Shown, String)> = {
        let named: Vec<(&FieldDiff, String)> =
            view.fields(op).into_iter().map(|f| (f, line(&path_of(f)).into_owned())).collect();
        let names = named.iter().map(|(_, name)| count(name)).max().unwrap_or(0).min(NAME);
        let shown = |(field, name): (&FieldDiff, String)| {
            let tail = tail_of(field, op, view);
            let taken = indent + names.max(count(&name)) + 2 + if tail.is_empty() { 0 } else { count(&tail) + 2 };
            let room = (!view.show_all).then(|| style.width.saturating_sub(taken).max(24));
            (format!("{name}:{}", " ".repeat(names.saturating_sub(count(&name)))), show(field, style, room), tail)
        };
        named.into_iter().map(shown).collect()
    };
    let width = |(_, shown, _): &(String, Shown, String)| match shown {
        Shown::Line(text) if count(text) <= VALUE => count(text),
        Shown::Line(_) | Shown::Block(_) => 0,
    };
    let values = fields.iter().map(width).max().unwrap_or(0);
    let pad = " ".repeat(indent);
    for (name, shown, tail) in fields {
        let after = |text: &str| match tail.is_empty() {
            true => String::new(),
            false => {
                let gap = " ".repeat(values.saturating_sub(count(text)));
                format!("{gap}  {}", style.paint(Role::Dim, &tail))
            }
        };
        match shown {
            Shown::Line(text) => out.push_str(&format!("{pad}{name} {text}{}\n", after(&text))),
            Shown::Block(block) => {
                out.push_str(&format!("{}\n", format!("{pad}{name} {}", after("")).trim_end()));
                write_block(&block, indent, view, out);
            }
        }
    }
}

fn write_block(block: &[(DiffSign, String)], indent: usize, view: &PlanView<'_>, out: &mut String) {
    let style = &view.style;
    let pad = " ".repeat(indent + 2);
    let limit = if view.show_all { block.len() } else { BLOCK };
    let room = if view.show_all { usize::MAX } else { style.width.saturating_sub(indent + 4).max(24) };
    for (sign, text) in fitted(block, room, style).iter().take(limit) {
        let text = format!("{} {text}", sign.as_str());
        let text = text.trim_end();
        let text = sign.role().map_or_else(|| text.to_owned(), |role| style.paint(role, text));
        out.push_str(&format!("{pad}{text}\n"));
    }
    if block.len() > limit {
        let text = format!("{} and {} more lines", style.dots(), number(block.len() - limit));
        out.push_str(&format!("{pad}{}\n", style.paint(Role::Dim, &text)));
    }
}
