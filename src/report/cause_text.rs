//! What differs and why, in one line.

use super::style::Style;
use super::value_text::{Shown, cut, show};
use crate::plan::{Action, Cause, FieldDiff, Operation};

/// Fields of an operation that a cause names.
const FIELDS: usize = 5;
/// Columns of one field.
const ROOM: usize = 60;

/// What differs and why, in one line: the `cause` of a pending operation. Secrets are shown as their names.
pub fn cause_text(op: &Operation) -> String {
    let why = match op.cause {
        Cause::Intended => "the manifest changed",
        Cause::Drift => "it was changed at the target",
        Cause::Both => "the manifest changed, and so did the target",
        Cause::Normalised => "the server rewrites what is written",
        Cause::Unknown => "no record tells since when",
    };
    match op.change.action() {
        Action::Create if op.cause == Cause::Drift => "declared and applied, and no longer there".to_owned(),
        Action::Create => "declared, and not there".to_owned(),
        Action::Delete => "no longer declared, and still there".to_owned(),
        Action::Adopt => "declared and there, and not in the record yet".to_owned(),
        Action::Forget => "in the record, and neither declared nor there".to_owned(),
        Action::Rename => format!("declared under another name; {}", fields(op)),
        Action::Update => format!("{} ({why})", fields(op)),
    }
}

fn fields(op: &Operation) -> String {
    let style = Style { colour: false, width: usize::MAX, unicode: true };
    let one = |field: &FieldDiff| {
        let value = match show(field, &style, Some(ROOM)) {
            Shown::Line(value) if field.before.is_none() => format!("is not there, wanted {value}"),
            Shown::Line(value) if field.after.is_none() => format!("is {value}, not wanted"),
            Shown::Line(value) => value,
            Shown::Block(_) => "differs".to_owned(),
        };
        format!("{} {}", cut(&field.path.to_string(), ROOM, &style), value)
    };
    let mut out: Vec<String> = op.fields.iter().take(FIELDS).map(one).collect();
    if op.fields.len() > FIELDS {
        out.push(format!("{} more", op.fields.len() - FIELDS));
    }
    out.join(", ")
}
