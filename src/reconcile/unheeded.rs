//! Updates that were answered with success and changed nothing.

use std::collections::BTreeMap;

use super::perform::Judge;
use crate::event::Ending;
use crate::model::{Canonical, Desired, FieldPath, Observed, Value};
use crate::plan::{Change, Operation};

/// What a server made of fields when it took a write, by path.
type Made = BTreeMap<FieldPath, Option<Canonical>>;

/// Longest value that is shown.
const SHOWN: usize = 60;

/// Why an update that was answered with success is none: a field is as it was before, or one that the update did not
/// name is no longer as declared. A server that *rewrites* what it is sent does neither.
///
/// Without this a body that the server does not understand would look like a server that spells values its own way, and
/// so would a PATCH that drops the members of a mapping which it does not name.
pub(super) fn unheeded(judge: &impl Judge, op: &Operation, after: &Made) -> Option<Ending> {
    let Change::Update { desired, base, .. } = &op.change else { return None };
    if after.is_empty() {
        return None;
    }
    let before: Made = judge.rewritten(desired, base);
    let named = |path: &FieldPath| op.fields.iter().any(|f| f.path.contains(path) || path.contains(&f.path));
    let as_it_was = |path: &FieldPath| before.get(path).is_some_and(|was| after.get(path) == Some(was));
    let stuck = op.fields.iter().filter(|f| !f.secret && f.after.is_some()).find(|f| as_it_was(&f.path));
    if let Some(field) = stuck {
        let why = format!(
            "it was answered with success, and `{}` is as it was before: {}",
            field.path,
            short(field.before.as_ref())
        );
        let help = "see with -v what was sent: the description may wrap it wrongly (`envelope`, `spec`), or the API does \
                    not know this field. If it spells the value so, state it so; if it never shows it, say `initial` or \
                    `secret: true`. Or somebody put it back at once";
        return Some(Ending::Failed { why, help: Some(help.to_owned()), field: Some(field.path.clone()) });
    }
    let (path, left) = after.iter().find(|(path, _)| !before.contains_key(*path) && !named(path))?;
    let why = format!(
        "`{path}` is no longer as declared since this write, which did not name it: it is {} now",
        short(left.as_ref())
    );
    let help = "where a PATCH replaces a whole mapping, say `fields` instead of `changes` in the description; otherwise \
                somebody else changed it meanwhile";
    Some(Ending::Failed { why, help: Some(help.to_owned()), field: Some(path.clone()) })
}

/// Takes out of `made` what was stated and is simply not there afterwards: that is no spelling of it. The next plan wants
/// it again, and the update says what came of it. A server may well leave out what is false, zero or empty.
pub(super) fn forget_dropped(desired: &Desired, made: &mut Made) {
    if made.values().all(is_there) {
        return;
    }
    let stated = desired.body.value();
    made.retain(|path, made| is_there(made) || stated.get(path).is_none_or(is_empty));
}

/// The same of a field that is, or holds, a secret: its values are compared and never shown.
pub(super) fn unheeded_unshown(judge: &impl Judge, op: &Operation, after: &Observed) -> Option<Ending> {
    let Change::Update { desired, base, .. } = &op.change else { return None };
    let named: Vec<&FieldPath> = op.fields.iter().filter(|f| f.secret && f.after.is_some()).map(|f| &f.path).collect();
    if named.is_empty() {
        return None;
    }
    let (before, after) = (judge.unshown(desired, base), judge.unshown(desired, after));
    let path = named.into_iter().find(|path| before.get(*path).is_some_and(|was| after.get(*path) == Some(was)))?;
    let why = format!("it was answered with success, and `{path}`, whose values are not shown, is as it was before");
    let help = "where the server adds elements of its own to a list, state them too; where it shows another text than it \
                was sent, say `secret: true` or `secret: {mask: TEXT}` in the description. Or somebody put it back at once";
    Some(Ending::Failed { why, help: Some(help.to_owned()), field: Some(path.clone()) })
}

fn is_there(made: &Option<Canonical>) -> bool {
    made.as_ref().is_some_and(|made| made.as_str() != "null")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Secret(_) => false,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
    }
}

fn short(value: Option<&Canonical>) -> String {
    let Some(value) = value else { return "not there".to_owned() };
    let text = value.as_str();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
