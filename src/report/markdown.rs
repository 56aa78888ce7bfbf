//! Plans and runs as comments of a pull request.

use std::collections::BTreeMap;

use super::apply_json::{Results, spelled, spelled_call};
use super::apply_text::{done_line, time};
use super::diagnostics::diagnostics_text;
use super::plan_text::{PlanView, calls, cause_word, face, notes, number, path_of, spot, summary_line, unread};
use super::sanitize::{fenced, line, markdown};
use super::style::Style;
use super::value_text::{Shown, fitted, show};
use crate::event::Ending;
use crate::model::{Digest, TargetName};
use crate::plan::{Action, Operation, Plan};

/// Hosts refuse longer comments.
const LIMIT: usize = 60_000;
/// Deletes and replaces that are named above the fold.
const GONE: usize = 30;
/// What stays free for the end of it.
const RESERVE: usize = 1_500;

/// `plan -o markdown`: a comment for a pull request. Nothing in it mentions, links or embeds.
pub fn plan_markdown(plan: &Plan, view: &PlanView<'_>) -> String {
    let checksum = view.checksum;
    let mut out = format!(
        "### Plan for {} at {}\n\n{}\n\n",
        markdown(plan.project.as_str()),
        markdown(plan.commit.short()),
        summary_line(plan)
    );
    let targets = by_target(plan);
    if !targets.is_empty() {
        out.push_str("| target | delete | create | update | replace | other |\n|---|--:|--:|--:|--:|--:|\n");
        for ops in &targets {
            out.push_str(&table_line(ops));
        }
        out.push('\n');
    }
    let style = Style { unicode: true, ..Style::plain() };
    append(&mut out, &refused(plan));
    let gone: Vec<String> = plan
        .operations
        .iter()
        .filter(|op| matches!((op.change.action(), op.replaces), (Action::Delete, _)))
        .map(|op| {
            let (_, word, _) = face(op);
            let endpoint = spot(&op.resource.target, &op.endpoint);
            let mut text = line(&format!("- {word:<7} {endpoint}:{}", op.resource.local())).into_owned();
            for note in notes(plan, op).iter().filter(|note| note.starts_with("takes along")) {
                text.push_str(&format!("\n      # {}", line(note)));
            }
            text
        })
        .collect();
    if !gone.is_empty() {
        let mut text = gone.iter().take(GONE).map(|line| format!("{line}\n")).collect::<String>();
        if gone.len() > GONE {
            text.push_str(&format!("… and {} more, below\n", number(gone.len() - GONE)));
        }
        append(&mut out, &format!("**What goes away**\n\n{}\n", fenced("diff", &text)));
    }
    if !plan.unknown_scopes.is_empty() {
        let text: Vec<String> = unread(plan).iter().map(|told| line(told).into_owned()).collect();
        let block = format!("Not read, so nothing happens there:\n\n{}\n", fenced("text", &text.join("\n")));
        append(&mut out, &block);
    }
    if !plan.calls.is_empty() {
        let text: Vec<String> = calls(plan).iter().map(|told| line(told).into_owned()).collect();
        append(&mut out, &format!("After the writes, once:\n\n{}\n", fenced("text", &text.join("\n"))));
    }
    if !plan.diagnostics.is_empty() {
        append(&mut out, &fenced("text", &diagnostics_text(&plan.diagnostics, &style)));
        out.push('\n');
    }
    let mut left = plan.operations.len();
    for ops in &targets {
        let Some(first) = ops.first() else { continue };
        let title =
            format!("<details><summary>{}: {}</summary>\n\n", markdown(first.resource.target.as_str()), counted(ops));
        if !append(&mut out, &title) {
            break;
        }
        let mut room = LIMIT.saturating_sub(RESERVE).saturating_sub(out.len());
        let mut text = String::new();
        for op in ops {
            let block = operation(plan, op, &style, view);
            let needed = super::sanitize::lines(&block).len() + 16;
            if needed > room {
                break;
            }
            room -= needed;
            text.push_str(&block);
            left -= 1;
        }
        out.push_str(&fenced("diff", &text));
        out.push_str("\n</details>\n\n");
    }
    if left > 0 {
        out.push_str(&format!(
            "{} operations are not shown here: a comment has its limits. `ctl plan` shows all.\n\n",
            number(left)
        ));
    }
    if !plan.is_empty() {
        out.push_str(&format!("Checksum `{checksum}`\n"));
    }
    out
}

/// What is refused, and what allows it; nothing where nothing is.
fn refused(plan: &Plan) -> String {
    if plan.refusals.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    for refusal in &plan.refusals {
        let head = format!("refused: {} ({}): {}", refusal.target, refusal.gate, refusal.message);
        text.push_str(&format!("{}\nhelp: {}\n", line(&head), line(&refusal.help)));
    }
    let head = "> [!CAUTION]\n> A guard refuses this plan: what it concerns is not written.";
    format!("{head}\n\n{}\n", fenced("text", &text))
}

/// `apply -o markdown`: what a run did.
pub fn apply_markdown(plan: &Plan, checksum: &Digest, results: &Results) -> String {
    let counts = results.counts(plan);
    let mut out = format!(
        "### Applied {} at {}\n\n{} in {}.\n\n| done | failed | skipped | conflict | in doubt |\n|--:|--:|--:|--:|--:|\n| {} | {} | {} | {} | {} |\n\n",
        markdown(plan.project.as_str()),
        markdown(plan.commit.short()),
        capital(&done_line(plan, results)),
        time(results.took),
        number(counts.done),
        number(counts.failed),
        number(counts.skipped),
        number(counts.conflict),
        number(counts.in_doubt),
    );
    append(&mut out, &refused(plan));
    let mut text = String::new();
    let mut left = 0;
    for op in &plan.operations {
        let ending = results.endings.get(&op.id);
        if matches!(ending, Some(Ending::Done)) {
            continue;
        }
        let (outcome, why, help) = spelled(ending, op.change.action());
        let mut block = format!("{}: {} {}\n", outcome.replace('_', " "), face(op).1, line(&op.resource.to_string()));
        for (lead, said) in [("  ", why), ("  help: ", help)] {
            if let Some(said) = said {
                block.push_str(&format!("{lead}{}\n", line(said)));
            }
        }
        if out.len() + text.len() + block.len() + RESERVE > LIMIT {
            left += 1;
        } else {
            text.push_str(&block);
        }
    }
    for call in &results.calls {
        let (outcome, why, _) = spelled_call(&call.ending);
        let place = format!("{} at {}", call.call, spot(&call.target, &call.endpoint));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        text.push_str(&format!("{}: {}{}\n", outcome.replace('_', " "), line(&place), line(&why)));
    }
    if !text.is_empty() {
        out.push_str(&fenced("text", &text));
        out.push('\n');
    }
    if left > 0 {
        out.push_str(&format!("{} more are not shown here: a comment has its limits.\n\n", number(left)));
    }
    out.push_str(&format!("Checksum `{checksum}`\n"));
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Adds `block` if there is room for it.
fn append(out: &mut String, block: &str) -> bool {
    let fits = out.len() + block.len() + RESERVE <= LIMIT;
    if fits {
        out.push_str(block);
    }
    fits
}

/// The operations of each target, each target's in the order in which they run.
fn by_target(plan: &Plan) -> Vec<Vec<&Operation>> {
    let mut out: BTreeMap<&TargetName, Vec<&Operation>> = BTreeMap::new();
    for op in &plan.operations {
        out.entry(&op.resource.target).or_default().push(op);
    }
    out.into_values().collect()
}

/// `1 delete, 2 creates`
fn counted(ops: &[&Operation]) -> String {
    let words = ["delete", "create", "update", "rename", "replace", "adopt", "forget"];
    let part = |word: &str| {
        let halves = if word == "replace" { 2 } else { 1 };
        let n = ops.iter().filter(|op| face(op).1 == word).count() / halves;
        (n > 0).then(|| format!("{} {word}{}", number(n), if n == 1 { "" } else { "s" }))
    };
    words.into_iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

fn table_line(ops: &[&Operation]) -> String {
    let count = |word: &str| ops.iter().filter(|op| face(op).1 == word).count();
    let replace = count("replace") / 2;
    let update = count("update") + count("rename");
    let other = count("adopt") + count("forget");
    let target = ops.first().map(|op| markdown(op.resource.target.as_str())).unwrap_or_default();
    let cells = [count("delete"), count("create"), update, replace, other]
        .map(|n| if n == 0 { String::new() } else { number(n) });
    format!("| {target} | {} |\n", cells.join(" | "))
}

/// One operation as lines of a diff.
fn operation(plan: &Plan, op: &Operation, style: &Style, view: &PlanView<'_>) -> String {
    let (symbol, word, _) = face(op);
    let sign = match symbol {
        "+" | "-" => symbol,
        "~" | "-/+" => "!",
        _ => " ",
    };
    let half = match (op.change.action(), op.replaces) {
        (Action::Delete, Some(_)) => Some("takes it away"),
        (Action::Create, Some(_)) => Some("makes it again"),
        _ => None,
    };
    let said = [half, cause_word(op)].into_iter().flatten().map(str::to_owned).chain(view.place(op));
    let said = said.collect::<Vec<_>>().join(", ");
    let tail = if said.is_empty() { said } else { format!("  ({said})") };
    let head = format!("{sign} {word} {}{tail}", op.resource.local());
    let mut out = format!("{}\n", line(&head));
    for note in notes(plan, op) {
        out.push_str(&format!("    # {}\n", line(&note)));
    }
    for field in view.fields(op) {
        let name = line(&path_of(field)).into_owned();
        match show(field, style, Some(200)) {
            Shown::Line(text) => out.push_str(&format!("    {name}: {text}\n")),
            Shown::Block(block) => {
                out.push_str(&format!("    {name}:\n"));
                for (sign, text) in fitted(&block, 200, style).iter().take(40) {
                    out.push_str(&format!("{}     {text}\n", sign.as_str()));
                }
                if block.len() > 40 {
                    out.push_str(&format!("      … and {} more lines\n", number(block.len() - 40)));
                }
            }
        }
    }
    out
}
