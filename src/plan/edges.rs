//! What must come before what, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::{Change, EdgeReason};
use super::draft::{Draft, Places, Slots};
use super::refs::{Ref, refs_of};
use crate::diff;
use crate::model::{
    Canonical, EndpointName, FieldPath, Kind, KindRules, KindTable, OnDelete, ResourceId, TargetName, Value,
    glob_matches,
};

/// `from` comes before the operation that holds this.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) reason: EdgeReason,
    /// Wished for, not needed: it gives way in a cycle.
    pub(super) soft: bool,
}

/// What the drafts refer to, before and after.
pub(super) struct Facts {
    pub(super) want: Vec<Vec<Ref>>,
    pub(super) have: Vec<Vec<Ref>>,
}

impl Facts {
    pub(super) fn of(drafts: &[Draft], tables: &BTreeMap<TargetName, &KindTable>) -> Self {
        let refs = |draft: &Draft, value: fn(&Draft) -> Option<Value>| {
            let found = tables.get(&draft.op.resource.target).and_then(|t| {
                let rules = t.get(&draft.op.resource.kind).filter(|r| !r.refs.is_empty())?;
                Some(refs_of(&value(draft)?, rules, t))
            });
            found.unwrap_or_default()
        };
        Self {
            want: drafts.iter().map(|draft| refs(draft, Draft::want)).collect(),
            have: drafts.iter().map(|draft| refs(draft, Draft::have)).collect(),
        }
    }
}

/// For each draft, what comes before it.
pub(super) fn edges(drafts: &[Draft], facts: &Facts, tables: &BTreeMap<TargetName, &KindTable>) -> Vec<Vec<Edge>> {
    let mut web = Web { drafts, preds: vec![Vec::new(); drafts.len()], places: places(drafts) };
    for (i, draft) in drafts.iter().enumerate() {
        let Some(table) = tables.get(&draft.op.resource.target) else { continue };
        let Some(rules) = table.get(&draft.op.resource.kind) else { continue };
        web.parent(i, table, rules);
        web.references(i, &facts.want[i], &facts.have[i]);
        web.halves(i);
    }
    web.unique(tables);
    web.depends_on();
    web.preds
}

fn places(drafts: &[Draft]) -> Places<'_> {
    let mut places = Places::new();
    for (i, draft) in drafts.iter().enumerate() {
        let slots = places.entry((&draft.op.endpoint, &draft.op.resource)).or_default();
        match &draft.op.change {
            Change::Delete { .. } => slots.delete = Some(i),
            Change::Create { .. } => slots.create = Some(i),
            Change::Update { .. } if draft.detaches => {}
            Change::Update { .. } | Change::Rename { .. } => slots.update = Some(i),
            Change::Adopt { .. } => slots.adopt = Some(i),
            Change::Forget { .. } => {}
        }
    }
    places
}

struct Web<'a> {
    drafts: &'a [Draft],
    preds: Vec<Vec<Edge>>,
    places: Places<'a>,
}

impl Web<'_> {
    fn edge(&mut self, from: usize, to: usize, reason: EdgeReason, soft: bool) {
        if from != to {
            self.preds[to].push(Edge { from, reason, soft });
        }
    }

    fn slots(&self, i: usize, kind: &Kind, key: &crate::model::Key) -> Slots {
        let op = &self.drafts[i].op;
        let id = ResourceId { target: op.resource.target.clone(), kind: kind.clone(), key: key.clone() };
        self.places.get(&(&op.endpoint, &id)).copied().unwrap_or_default()
    }

    /// What it is in comes first, or goes last. Where that is not declared (an environment that comes with its project),
    /// what that in turn is in.
    fn parent(&mut self, i: usize, table: &KindTable, rules: &KindRules) {
        let op = &self.drafts[i].op;
        let (mut rules, mut key) = (rules, op.resource.key.clone());
        while let (Some(parent), Some(above)) = (&rules.parent, rules.parent_key(&key)) {
            let slots = self.slots(i, &parent.kind, &above);
            match &op.change {
                Change::Delete { .. } => {
                    if let Some(parent) = slots.delete {
                        return self.edge(i, parent, EdgeReason::ChildOf, false);
                    }
                }
                Change::Create { .. } | Change::Update { .. } | Change::Rename { .. } => {
                    // A survivor of a parent that is made anew is itself made anew, so that only a detach is no such case.
                    if let Some(parent) = slots.create.filter(|_| !self.drafts[i].detaches) {
                        return self.edge(parent, i, EdgeReason::MakesParent, false);
                    }
                }
                Change::Adopt { .. } | Change::Forget { .. } => return,
            }
            let Some(next) = table.get(&parent.kind) else { return };
            (rules, key) = (next, above);
        }
    }

    fn references(&mut self, i: usize, want: &[Ref], have: &[Ref]) {
        let op = &self.drafts[i].op;
        match &op.change {
            Change::Delete { .. } => {
                for found in have {
                    if let Some(delete) = self.slots(i, &found.kind, &found.key).delete {
                        let soft = found.on_delete != OnDelete::Restrict;
                        self.edge(i, delete, EdgeReason::Detaches, soft);
                    }
                }
            }
            Change::Create { .. } | Change::Update { .. } | Change::Rename { .. } => {
                for found in want {
                    if let Some(create) = self.slots(i, &found.kind, &found.key).create {
                        self.edge(create, i, EdgeReason::MakesReferred, false);
                    }
                }
                if self.drafts[i].second_of.is_some() {
                    return;
                }
                for found in have {
                    let stays = want.iter().any(|w| (&w.kind, &w.key) == (&found.kind, &found.key));
                    if let Some(delete) = self.slots(i, &found.kind, &found.key).delete.filter(|_| !stays) {
                        let soft = found.on_delete == OnDelete::None;
                        self.edge(i, delete, EdgeReason::Detaches, soft);
                    }
                }
            }
            Change::Adopt { .. } | Change::Forget { .. } => {}
        }
    }

    fn halves(&mut self, i: usize) {
        let draft = &self.drafts[i];
        let (change, half, first) = (&draft.op.change, draft.other_half, draft.second_of);
        match change {
            Change::Create { .. } => {
                if let Some(delete) = half {
                    self.edge(delete, i, EdgeReason::Replace, false);
                }
            }
            Change::Update { .. } => {
                let slots = self.slots(i, &draft.op.resource.kind, &draft.op.resource.key);
                if let Some(adopt) = slots.adopt {
                    self.edge(adopt, i, EdgeReason::Adopts, false);
                }
                if let Some(first) = first {
                    self.edge(first, i, EdgeReason::Detaches, false);
                }
            }
            Change::Delete { .. } => {
                // What goes along and is made again can be made only after.
                for cascade in &draft.op.cascades {
                    if let Some(create) = self.slots(i, &cascade.kind, &cascade.key).create {
                        let what = format!("{}/{}", cascade.kind, cascade.key);
                        self.edge(i, create, EdgeReason::Frees(what), false);
                    }
                }
            }
            Change::Adopt { .. } | Change::Forget { .. } | Change::Rename { .. } => {}
        }
    }

    fn unique(&mut self, tables: &BTreeMap<TargetName, &KindTable>) {
        type Place<'a> = (&'a TargetName, &'a EndpointName, Kind, usize, Canonical);
        let drafts = self.drafts;
        let mut frees: HashMap<Place<'_>, Vec<usize>> = HashMap::new();
        let mut takes: Vec<(Place<'_>, usize)> = Vec::new();
        for (i, draft) in drafts.iter().enumerate() {
            let op = &draft.op;
            let (target, endpoint) = (&op.resource.target, &op.endpoint);
            let Some(table) = tables.get(target) else { continue };
            let mut free = |kind: &Kind, n: usize, value: Canonical| {
                frees.entry((target, endpoint, kind.clone(), n, value)).or_default().push(i);
            };
            for (kind, value) in &draft.taken {
                for (n, held) in held(table.get(kind), value) {
                    free(kind, n, held);
                }
            }
            let Some(rules) = table.get(&op.resource.kind).filter(|r| !r.unique.is_empty()) else { continue };
            let have = draft.have().map(|v| held(Some(rules), &v)).unwrap_or_default();
            let want = draft.want().map(|v| held(Some(rules), &v)).unwrap_or_default();
            for (n, value) in have.difference(&want) {
                free(&op.resource.kind, *n, value.clone());
            }
            for (n, value) in want.difference(&have) {
                takes.push(((target, endpoint, op.resource.kind.clone(), *n, value.clone()), i));
            }
        }
        for (place, taker) in takes {
            for freer in frees.get(&place).into_iter().flatten() {
                // The second half of a split frees nothing that the first has not.
                if drafts[*freer].second_of != Some(taker) && drafts[taker].second_of != Some(*freer) {
                    self.edge(*freer, taker, EdgeReason::Frees(place.4.as_str().to_owned()), false);
                }
            }
        }
    }

    fn depends_on(&mut self) {
        let makes =
            |d: &Draft| matches!(d.op.change, Change::Create { .. } | Change::Update { .. } | Change::Adopt { .. });
        if !self.drafts.iter().any(|d| d.op.change.desired().is_some_and(|w| !w.meta.depends_on.is_empty())) {
            return;
        }
        let mut by_address: BTreeMap<(&TargetName, String), Vec<usize>> = BTreeMap::new();
        for (i, draft) in self.drafts.iter().enumerate().filter(|(_, d)| makes(d)) {
            by_address.entry((&draft.op.resource.target, draft.op.resource.local())).or_default().push(i);
        }
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (i, draft) in self.drafts.iter().enumerate().filter(|(_, d)| makes(d) && !d.detaches) {
            let Some(desired) = draft.op.change.desired() else { continue };
            for depends in &desired.meta.depends_on {
                let own = &draft.op.resource.target;
                let target = depends.target.as_ref().unwrap_or(own);
                let is_glob = depends.address.contains(['*', '?']);
                let exact = by_address.get(&(target, depends.address.clone()));
                let fitting: Vec<usize> = if is_glob {
                    let fits = |a: &str| glob_matches(&depends.address, a);
                    by_address
                        .iter()
                        .filter(|((t, a), _)| *t == target && fits(a))
                        .flat_map(|(_, i)| i)
                        .copied()
                        .collect()
                } else {
                    exact.cloned().unwrap_or_default()
                };
                for from in fitting {
                    let other = &self.drafts[from].op;
                    if other.resource != draft.op.resource && (target != own || other.endpoint == draft.op.endpoint) {
                        found.push((from, i));
                    }
                }
            }
        }
        for (from, to) in found {
            self.edge(from, to, EdgeReason::DependsOn, false);
        }
    }
}

/// The unique keys that an object holds, each with the number of its set.
fn held(rules: Option<&KindRules>, value: &Value) -> BTreeSet<(usize, Canonical)> {
    let Some(rules) = rules.filter(|r| !r.unique.is_empty()) else { return BTreeSet::new() };
    let value = diff::effective(value, rules);
    let part = |path: &FieldPath| {
        let form = rules.field(path).and_then(|r| r.form);
        let form = form.or_else(|| rules.key.iter().find(|k| &k.path == path).and_then(|k| k.form));
        value.get(path).filter(|v| **v != Value::Null).map(|v| form.map_or_else(|| v.clone(), |f| f.normal(v)))
    };
    rules
        .unique
        .iter()
        .enumerate()
        .filter_map(|(n, set)| Some((n, Value::Array(set.iter().map(part).collect::<Option<_>>()?).canonical())))
        .collect()
}
