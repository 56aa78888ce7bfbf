//! Updates in two halves, where one has to let go before it can take hold.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::change::{Cause, Change, EdgeReason, FieldDiff, Precondition};
use super::draft::Draft;
use super::edges::{Edge, Facts};
use super::fields;
use super::refs::{Ref, refs_of, without};
use crate::diff;
use crate::model::{Desired, FieldPath, KindRules, KindTable, Observed, TargetName, Value};

/// Splits each update that has to let go of something that is replaced, and to take hold of it again.
pub(super) fn reattach(drafts: &mut Vec<Draft>, tables: &BTreeMap<TargetName, &KindTable>) {
    for i in 0..drafts.len() {
        if drafts[i].reattaches.is_empty() {
            continue;
        }
        let Some(table) = tables.get(&drafts[i].op.resource.target).copied() else { continue };
        let Some(rules) = table.get(&drafts[i].op.resource.kind) else { continue };
        let Some(have) = drafts[i].have() else { continue };
        let held = refs_of(&have, rules, table);
        let paths = paths_of(held.iter().filter(|r| drafts[i].reattaches.contains(&(r.kind.clone(), r.key.clone()))));
        let first = detached(&drafts[i], &paths, rules);
        join(drafts, i, first, &paths, rules);
    }
}

/// Breaks a cycle by splitting one of its operations where a reference is optional; `false` if none can be split.
pub(super) fn untie(
    drafts: &mut Vec<Draft>,
    turn: &[usize],
    members: &HashSet<usize>,
    preds: &[Vec<Edge>],
    facts: &Facts,
    tables: &BTreeMap<TargetName, &KindTable>,
) -> bool {
    for &i in turn.iter().rev() {
        let draft = &drafts[i];
        if draft.detaches || draft.second_of.is_some() {
            continue;
        }
        let Some(table) = tables.get(&draft.op.resource.target).copied() else { continue };
        let Some(rules) = table.get(&draft.op.resource.kind) else { continue };
        let touches = |r: &Ref, deleted: bool| {
            members.iter().any(|m| {
                let op = &drafts[*m].op;
                let fits = match op.change {
                    Change::Delete { .. } => deleted,
                    Change::Create { .. } => !deleted,
                    _ => false,
                };
                fits && op.endpoint == draft.op.endpoint
                    && (&op.resource.target, &op.resource.kind, &op.resource.key)
                        == (&draft.op.resource.target, &r.kind, &r.key)
            })
        };
        let attaching = facts.want[i].iter().filter(|r| r.optional && touches(r, false));
        let detaching = facts.have[i].iter().filter(|r| r.optional && touches(r, true));
        let attached = paths_of(attaching);
        let paths = paths_of(facts.want[i].iter().filter(|r| attached.contains(&r.field)).chain(detaching));
        if paths.is_empty() {
            continue;
        }
        let frees =
            members.iter().any(|m| preds[*m].iter().any(|e| e.from == i && !matches!(e.reason, EdgeReason::Detaches)));
        let first = match &draft.op.change {
            Change::Update { .. } if !frees => detached(draft, &paths, rules),
            Change::Update { .. } | Change::Create { .. } => partly(draft, &paths, rules),
            _ => None,
        };
        if first.is_some() {
            join(drafts, i, first, &paths, rules);
            return true;
        }
    }
    false
}

fn paths_of<'a>(refs: impl Iterator<Item = &'a Ref>) -> Vec<FieldPath> {
    let mut paths: Vec<FieldPath> = refs.map(|r| r.field.clone()).collect();
    // Numbers of elements sort as numbers, so that taking out the last one first disturbs no other.
    paths
        .sort_by_key(|p| p.segments().iter().map(|s| (s.parse::<usize>().unwrap_or(0), s.clone())).collect::<Vec<_>>());
    paths.dedup();
    paths
}

/// All of an operation but the references at `paths`.
fn partly(draft: &Draft, paths: &[FieldPath], rules: &KindRules) -> Option<Draft> {
    let want = without(draft.want()?, paths);
    let below = |f: &FieldDiff| paths.iter().any(|p| p.contains(&f.path) || f.path.contains(p));
    let mut first = draft.clone();
    first.op.fields.retain(|f| !below(f));
    let body = want.canonical();
    match &mut first.op.change {
        Change::Create { desired } => {
            first.op.fields = fields::stated(&want, &mut fields::Paths::default(), rules, draft.op.cause);
            *desired = Arc::new(Desired { digest: body.digest(), body, ..desired.as_ref().clone() });
        }
        Change::Update { desired, remove, .. } => {
            if let Some(have) = draft.have() {
                first
                    .op
                    .fields
                    .extend(fields::of_detach(&have, &want, paths).into_iter().filter(|f| f.before != f.after));
                first.op.fields.sort_by(|a, b| a.path.cmp(&b.path));
                *remove = first.op.fields.iter().filter(|f| f.after.is_none()).map(|f| f.path.clone()).collect();
            }
            *desired = Arc::new(Desired { digest: body.digest(), body, ..desired.as_ref().clone() });
        }
        _ => return None,
    }
    first.detaches = true;
    Some(first)
}

/// Puts the first half beside the second, which is what remains to be done.
fn join(drafts: &mut Vec<Draft>, i: usize, first: Option<Draft>, paths: &[FieldPath], rules: &KindRules) {
    let Some(mut first) = first else { return };
    let place = drafts.len();
    let Some(base) = first.want() else { return };
    let draft = &mut drafts[i];
    let Some(want) = draft.want() else { return };
    let is_create = matches!(draft.op.change, Change::Create { .. });
    // What the server shows after the first half, as far as it can be known now.
    let shown = match (draft.have(), is_create) {
        (Some(have), false) => overlay(&have, &base, paths),
        _ => base,
    };
    let observed = |token_of: &Observed| Observed {
        body: shown.canonical().as_bytes().to_vec().into(),
        token: None,
        ..token_of.clone()
    };
    let found = diff::compare(&want, &shown, None, rules);
    let mut fields = fields::of_comparison(&found);
    fields.iter_mut().for_each(|f| f.cause = draft.op.cause);
    let digest = diff::digest_of(&shown, Some(&want), draft.entry.as_deref(), rules);
    match &mut draft.op.change {
        Change::Create { desired } => {
            let bare = Observed {
                key: draft.op.resource.key.clone(),
                body: bytes::Bytes::new(),
                token: None,
                uid: None,
                mark: None,
            };
            let change =
                Change::Update { desired: Arc::clone(desired), base: Box::new(observed(&bare)), remove: Vec::new() };
            // The first half stays where the create was, and keeps its tie to the delete of a replace.
            first.other_half = draft.other_half;
            let half = draft.other_half.take();
            draft.op.change = change;
            draft.op.phase = draft.op.change.stage();
            if let Some(delete) = half {
                drafts[delete].other_half = Some(place);
            }
        }
        Change::Update { base, remove, .. } => {
            **base = observed(base);
            *remove = found.remove.clone();
        }
        _ => return,
    }
    let draft = &mut drafts[i];
    draft.op.fields = fields;
    draft.op.precondition = Precondition::Digest(digest);
    draft.shown = Some(shown);
    draft.second_of = Some(place);
    draft.reattaches.clear();
    // A first half that is a create is found where creates are looked for.
    first.detaches = !is_create;
    drafts.push(first);
}

/// `have` as it is once `sent` was written over it and `paths` were taken out.
fn overlay(have: &Value, sent: &Value, paths: &[FieldPath]) -> Value {
    let mut out = without(have.clone(), paths);
    if let (Value::Object(out), Value::Object(sent)) = (&mut out, sent) {
        for (name, value) in sent {
            out.insert(name.clone(), value.clone());
        }
    }
    out
}

/// The update that only takes references away, for an object that has to let go before it can take hold again.
fn detached(draft: &Draft, paths: &[FieldPath], rules: &KindRules) -> Option<Draft> {
    let Change::Update { desired, base, .. } = &draft.op.change else { return None };
    let have = draft.have()?;
    let want = desired.body.value();
    let mut template = want.clone();
    for path in paths {
        if template.get(path).is_none()
            && let Some(value) = have.get(path)
        {
            template.set(path, value.clone());
        }
    }
    let body = without(diff::stated(&have, &template, rules), paths);
    let fields = fields::of_detach(&have, &body, paths);
    let remove = fields.iter().filter(|f| f.after.is_none()).map(|f| f.path.clone()).collect();
    let canonical = body.canonical();
    let wanted = Desired { digest: canonical.digest(), body: canonical, ..desired.as_ref().clone() };
    let change = Change::Update { desired: Arc::new(wanted), base: base.clone(), remove };
    let mut detach = Draft::new(
        draft.op.endpoint.clone(),
        draft.op.resource.clone(),
        change,
        Cause::Intended,
        draft.op.precondition.clone(),
        fields,
    );
    (detach.shown, detach.detaches) = (draft.shown.clone(), true);
    Some(detach)
}
