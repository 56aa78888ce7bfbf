//! Which lists a plan needs, and which keys where there is no list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::site::{Beside, Hold, Site, Which};
use crate::diff;
use crate::model::{
    Desired, EndpointName, EndpointRecord, Key, Kind, KindTable, OnDelete, Own, Scope, ScopeState, UpdateMode,
};

/// The lists that are still missing before an endpoint can be planned, sorted; none means that all is there.
///
/// Call it again with what has been read since: children are asked for once their parents are known, and what a delete
/// would take along once it is known that there is something to delete. A scope is asked for once, whatever came back.
pub fn missing_scopes(
    table: &KindTable,
    own: Own,
    desired: &[Arc<Desired>],
    record: &EndpointRecord,
    endpoint: &EndpointName,
    known: &BTreeMap<(Kind, Option<Key>), ScopeState>,
) -> Vec<Scope> {
    let site = Site::new(table, own, record, known, desired);
    let mut wanted: BTreeSet<(Kind, Option<Key>)> = BTreeSet::new();
    if own == Own::Exclusive {
        for rules in table.kinds.values().filter(|rules| !rules.listed_by_key) {
            match &rules.parent {
                None => _ = wanted.insert((rules.kind.clone(), None)),
                Some(parent) => wanted.extend(
                    site.live
                        .keys()
                        .filter(|(k, _)| k == &parent.kind)
                        .map(|(_, p)| (rules.kind.clone(), Some(p.clone()))),
                ),
            }
        }
    }
    let mut before = None;
    for which in site.desired.keys().chain(record.entries.keys()) {
        // Neighbours mostly live in one place, which has to be looked up once.
        let place = (&which.0, site.rules(&which.0).and_then(|rules| rules.parent_key(&which.1)));
        if before.as_ref() != Some(&place) {
            want(&site, place.0, place.1.clone(), &mut wanted);
        }
        before = Some(place);
    }
    what_goes_along(&site, &mut wanted);
    // What tells the ids that the server makes is read first: they stand in addresses, and without them nobody can tell
    // what a reference means.
    let mut queue: Vec<(Kind, Option<Key>)> = wanted.iter().cloned().collect();
    while let Some((kind, parent)) = queue.pop() {
        for list in table.id_lists(&kind, parent.as_ref()) {
            if wanted.insert(list.clone()) {
                queue.push(list);
            }
        }
    }
    wanted
        .into_iter()
        .filter(|scope| !known.contains_key(scope))
        .filter(|(kind, parent)| table.id_lists(kind, parent.as_ref()).iter().all(|list| known.contains_key(list)))
        .map(|(kind, parent)| Scope { endpoint: endpoint.clone(), kind, parent })
        .collect()
}

/// The keys that are asked for one by one in a scope that the API cannot list ([`listed_by_key`]): those that are
/// declared or recorded in it, sorted.
///
/// [`listed_by_key`]: crate::model::KindRules::listed_by_key
pub fn scope_keys(table: &KindTable, desired: &[Arc<Desired>], record: &EndpointRecord, scope: &Scope) -> Vec<Key> {
    let Some(rules) = table.get(&scope.kind) else { return Vec::new() };
    let declared = desired.iter().filter(|d| d.id.kind == scope.kind).map(|d| &d.id.key);
    let recorded = record.entries.keys().filter(|(kind, _)| kind == &scope.kind).map(|(_, key)| key);
    let inside = declared.chain(recorded).filter(|key| rules.parent_key(key) == scope.parent);
    inside.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// Adds the scope of `kind` in the parent with this key, unless it is not there (or not known to be there yet).
fn want(site: &Site<'_>, kind: &Kind, parent: Option<Key>, wanted: &mut BTreeSet<(Kind, Option<Key>)>) {
    let Some(rules) = site.rules(kind) else { return };
    let (Some(rule), Some(key)) = (&rules.parent, parent) else {
        wanted.insert((kind.clone(), None));
        return;
    };
    let parent = (rule.kind.clone(), key);
    let managed = site.desired.contains_key(&parent) || site.record.entries.contains_key(&parent);
    if !managed || site.live.contains_key(&parent) || site.ignored.contains(&parent) {
        wanted.insert((kind.clone(), Some(parent.1)));
    }
}

/// Adds the scopes of what would go along with the objects that go.
fn what_goes_along(site: &Site<'_>, wanted: &mut BTreeSet<(Kind, Option<Key>)>) {
    let (mut declared, mut recorded) = (Beside::new(&site.desired), Beside::new(&site.record.entries));
    let mut seen: BTreeSet<Which> = site
        .live
        .iter()
        .filter(|(which, observed)| match declared.find(which) {
            None => site.own == Own::Exclusive || recorded.find(which).is_some(),
            Some(desired) => site.rules(&which.0).is_some_and(|rules| {
                let may = rules.update != UpdateMode::InPlace || rules.fields.values().any(|f| f.immutable);
                may && site.table.is_container(&which.0) && {
                    let entry = site.entry_for(which, observed);
                    let found = diff::compare_held(&desired.body, observed, entry, rules);
                    found.fields.iter().any(|f| f.forces_replace)
                }
            }),
        })
        .map(|(which, _)| which.clone())
        .collect();
    for desired in site.desired.values().filter(|d| !d.meta.previously.is_empty()) {
        let old = site.live.keys().filter(|w| desired.meta.previously.contains(&format!("{}/{}", w.0, w.1)));
        seen.extend(old.cloned());
    }
    let web = site.web(seen.iter().map(|w| &w.0));
    let mut referring: BTreeSet<Kind> = BTreeSet::new();
    let mut queue: Vec<Which> = seen.iter().cloned().collect();
    while let Some(which) = queue.pop() {
        for child in site.table.children_of(&which.0) {
            wanted.insert((child.kind.clone(), Some(which.1.clone())));
        }
        for (referrer, rule) in site.table.referrers_of(&which.0) {
            if rule.on_delete != OnDelete::Cascade || !referring.insert(referrer.kind.clone()) {
                continue;
            }
            match &referrer.parent {
                None => _ = wanted.insert((referrer.kind.clone(), None)),
                Some(parent) => {
                    let parents = site.live.keys().filter(|w| w.0 == parent.kind);
                    wanted.extend(parents.map(|w| (referrer.kind.clone(), Some(w.1.clone()))));
                }
            }
        }
        for (hanger, hold) in web.on(&which) {
            if !matches!(hold, Hold::Restrict { .. }) && seen.insert(hanger.clone()) {
                queue.push(hanger.clone());
            }
        }
    }
}
