//! The fields of an operation, as a plan shows them.

use std::collections::BTreeMap;

use super::change::{Cause, FieldDiff};
use crate::diff::{self, Comparison};
use crate::model::{FieldPath, KindRules, Value};

impl From<diff::Cause> for Cause {
    fn from(cause: diff::Cause) -> Self {
        match cause {
            diff::Cause::Intended => Self::Intended,
            diff::Cause::Drift => Self::Drift,
            diff::Cause::Both => Self::Both,
            diff::Cause::Unknown => Self::Unknown,
        }
    }
}

/// One word for all fields: theirs if they agree, else both.
pub(super) fn cause_of(found: &Comparison) -> Cause {
    let mut causes = found.fields.iter().map(|f| Cause::from(f.cause));
    let Some(first) = causes.next() else { return Cause::Intended };
    if causes.all(|c| c == first) { first } else { Cause::Both }
}

pub(super) fn of_comparison(found: &Comparison) -> Vec<FieldDiff> {
    let diff = |f: &diff::FieldChange| FieldDiff {
        path: f.path.clone(),
        before: f.before.clone(),
        after: f.after.clone(),
        secret: f.secret,
        forces_replace: f.forces_replace,
        cause: f.cause.into(),
        source: None,
    };
    found.fields.iter().map(diff).collect()
}

/// The paths of fields, each made once and shared: manifests of one kind state much the same fields.
#[derive(Default)]
pub(super) struct Paths {
    here: FieldPath,
    below: BTreeMap<String, Paths>,
}

impl Paths {
    fn step(&mut self, name: &str) -> &mut Self {
        // Looked for first: an entry would want a name of its own, though it is there nearly always.
        if !self.below.contains_key(name) {
            let below = Self { here: self.here.join(name), below: BTreeMap::new() };
            self.below.insert(name.to_owned(), below);
        }
        self.below.get_mut(name).unwrap_or_else(|| unreachable!("{name} was put there"))
    }
}

/// All that a manifest states, leaf by leaf; lists stay whole.
pub(super) fn stated(want: &Value, paths: &mut Paths, rules: &KindRules, cause: Cause) -> Vec<FieldDiff> {
    leaves(want, paths)
        .into_iter()
        .map(|(path, value)| FieldDiff {
            secret: rules.hides(&path) || value.holds_secret(),
            after: Some(value.canonical()),
            before: None,
            forces_replace: false,
            cause,
            source: None,
            path,
        })
        .collect()
}

/// All that was sent, as what goes.
pub(super) fn recorded(sent: &Value, paths: &mut Paths, rules: &KindRules) -> Vec<FieldDiff> {
    let turn = |f: FieldDiff| FieldDiff { before: if f.secret { None } else { f.after }, after: None, ..f };
    stated(sent, paths, rules, Cause::Intended).into_iter().map(turn).collect()
}

/// What an update that only lets go changes: the field goes, or the list that loses an element is written anew.
pub(super) fn of_detach(have: &Value, body: &Value, paths: &[FieldPath]) -> Vec<FieldDiff> {
    let mut out: Vec<FieldDiff> = Vec::new();
    for path in paths {
        let steps = path.segments();
        let list = (1..=steps.len())
            .map(|n| steps[..n].iter().cloned().collect::<FieldPath>())
            .find(|p| matches!(have.get(p), Some(Value::Array(_))));
        let path = list.unwrap_or_else(|| path.clone());
        if out.iter().any(|f| f.path == path) {
            continue;
        }
        out.push(FieldDiff {
            before: have.get(&path).map(Value::canonical),
            after: body.get(&path).map(Value::canonical),
            secret: false,
            forces_replace: false,
            cause: Cause::Intended,
            source: None,
            path,
        });
    }
    out
}

fn leaves<'a>(value: &'a Value, paths: &mut Paths) -> Vec<(FieldPath, &'a Value)> {
    fn walk<'a>(at: &mut Paths, value: &'a Value, out: &mut Vec<(FieldPath, &'a Value)>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(name, member)| walk(at.step(name), member, out));
            }
            _ if at.here.is_root() => {}
            leaf => out.push((at.here.clone(), leaf)),
        }
    }
    let mut out = Vec::new();
    walk(paths, value, &mut out);
    out
}
