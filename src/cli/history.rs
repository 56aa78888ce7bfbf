//! `ctl history` and `ctl show TARGET@NUMBER`: what was applied.

use super::args::{HistoryArgs, Plain};
use super::load;
use super::session::choose;
use super::stores::{self, Stores};
use super::{Context, Exit, Stop};
use crate::model::{RecordHead, TargetName};
use crate::report::sanitize::line;
use crate::store::{RecordName, Store, Tip};

/// Lists the versions of each target, newest first.
pub(super) fn run(ctx: &Context, args: &HistoryArgs) -> Result<Exit, Stop> {
    let loaded = load::load(ctx, &args.source, false)?;
    let operator = ctx.operator()?;
    let stores = Stores::open(ctx, &loaded, &operator)?;
    let mut versions = Vec::new();
    for target in choose(&loaded.project, &args.targets)? {
        let name = RecordName { project: loaded.project.name.clone(), target: target.clone() };
        let found = stores.versions(&name, args.limit).map_err(|e| stores::stop(&e))?;
        versions.extend(found.into_iter().map(|(tip, head)| (target.clone(), tip, head)));
    }
    match args.output {
        Plain::Json => {
            let list: Vec<serde_json::Value> =
                versions.iter().map(|(target, tip, head)| as_json(target, tip, head)).collect();
            let document = serde_json::json!({"format_version": "1.0", "versions": list});
            ctx.print_json(&document);
        }
        Plain::Text if versions.is_empty() => ctx.say("Nothing was applied yet.\n"),
        Plain::Text => {
            let mut rows =
                vec![["VERSION", "TIME", "COMMIT", "RESULT", "OPERATIONS", "TOOK", "WHO"].map(str::to_owned)];
            for (target, _, head) in &versions {
                rows.push([
                    format!("{target}@{}", head.number),
                    when(head),
                    head.commit.short().to_owned(),
                    head.result.clone(),
                    match head.undone {
                        0 => head.done.to_string(),
                        undone => format!("{} ({undone} not done)", head.done),
                    },
                    head.duration_ms.map_or("-".to_owned(), took),
                    head.who.clone(),
                ]);
            }
            ctx.print(&table(&rows));
        }
    }
    Ok(Exit::Done)
}

/// One version as JSON.
pub(super) fn as_json(target: &TargetName, tip: &Tip, head: &RecordHead) -> serde_json::Value {
    serde_json::json!({
        "target": target.as_str(),
        "version": head.number,
        "time": when(head),
        "commit": head.commit.as_str(),
        "snapshot": head.snapshot.to_string(),
        "checksum": head.checksum.to_string(),
        "result": head.result,
        "done": head.done,
        "undone": head.undone,
        "duration_ms": head.duration_ms,
        "who": head.who,
        "record": tip.to_string(),
    })
}

/// When a version was applied.
pub(super) fn when(head: &RecordHead) -> String {
    jiff::Timestamp::from_second(head.time).map(|t| t.to_string()).unwrap_or_else(|_| head.time.to_string())
}

/// A time for people.
fn took(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}

/// Rows in columns, each as wide as its widest cell.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| line(cell).into_owned())).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
