//! What is known of one endpoint, and who hangs on whom there.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::iter::Peekable;

use super::refs::{Ref, refs_of};
use crate::model::{
    Desired, EndpointRecord, Key, Kind, KindRules, KindTable, Observed, OnDelete, Own, RecordEntry, ScopeState, Value,
};

/// A kind and a key: which resource, inside one endpoint.
pub(super) type Which = (Kind, Key);

/// What is known of one endpoint.
pub(super) struct Site<'a> {
    pub(super) table: &'a KindTable,
    pub(super) own: Own,
    pub(super) record: &'a EndpointRecord,
    scopes: &'a BTreeMap<(Kind, Option<Key>), ScopeState>,
    pub(super) live: BTreeMap<Which, &'a Observed>,
    pub(super) ignored: BTreeSet<Which>,
    pub(super) desired: BTreeMap<Which, &'a std::sync::Arc<Desired>>,
}

/// How an object hangs on another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// It lives inside.
    Inside,
    /// It refers, and goes along.
    Cascade,
    /// It refers, and forbids the delete.
    Restrict { optional: bool },
}

/// Who hangs on whom, among the live objects.
#[derive(Default)]
pub(super) struct Web {
    hangers: BTreeMap<Which, Vec<(Which, Hold)>>,
    /// Objects of which nobody can tell what they refer to.
    unreadable: BTreeSet<Which>,
}

impl Web {
    /// The objects that hang on `which`, sorted.
    pub(super) fn on(&self, which: &Which) -> &[(Which, Hold)] {
        self.hangers.get(which).map(Vec::as_slice).unwrap_or_default()
    }
}

impl<'a> Site<'a> {
    pub(super) fn new(
        table: &'a KindTable,
        own: Own,
        record: &'a EndpointRecord,
        scopes: &'a BTreeMap<(Kind, Option<Key>), ScopeState>,
        desired: &'a [std::sync::Arc<Desired>],
    ) -> Self {
        let (mut live, mut ignored) = (Vec::new(), BTreeSet::new());
        for ((kind, _), state) in scopes {
            let ScopeState::Known(listing) = state else { continue };
            let rules = table.get(kind).filter(|r| !r.ignore.is_empty());
            live.reserve(listing.items.len());
            for item in &listing.items {
                let which = (kind.clone(), item.key.clone());
                if rules.is_some_and(|r| r.ignores(&value_of(item))) {
                    ignored.insert(which);
                } else {
                    live.push((which, item));
                }
            }
            ignored.extend(listing.ignored.iter().map(|item| (kind.clone(), item.key.clone())));
        }
        // Lists are sorted already, and a map that is made of a sorted list at once costs no search.
        let live = live.into_iter().collect();
        let desired = desired.iter().map(|d| ((d.id.kind.clone(), d.id.key.clone()), d)).collect();
        Self { table, own, record, scopes, live, ignored, desired }
    }

    /// The record's line, unless the object was made anew by somebody since.
    pub(super) fn entry_for(&self, which: &Which, observed: &Observed) -> Option<&'a RecordEntry> {
        self.record.entries.get(which).map(|entry| &**entry).filter(|entry| is_same_object(entry, observed))
    }

    /// Why nothing is known of what is (or is not) there under this key; `None` if it is known.
    pub(super) fn unknown(&self, which: &Which) -> Option<String> {
        let parent = self.table.get(&which.0).and_then(|r| r.parent_key(&which.1));
        self.unknown_scope(&which.0, parent.as_ref())
    }

    /// Why one scope is not known; `None` if it is.
    pub(super) fn unknown_scope(&self, kind: &Kind, parent: Option<&Key>) -> Option<String> {
        // Parents nest no deeper than kinds do; the bound ends a description whose kinds go round.
        let (mut kind, mut parent) = (kind.clone(), parent.cloned());
        for _ in 0..=self.table.kinds.len() {
            if let Some(state) =
                self.scopes.get(&(kind.clone(), parent.clone())).or_else(|| self.scopes.get(&(kind.clone(), None)))
            {
                return match state {
                    ScopeState::Known(_) => None,
                    ScopeState::Unknown { why } => Some(why.clone()),
                };
            }
            let (Some(rule), Some(key)) = (self.table.get(&kind).and_then(|r| r.parent.as_ref()), parent) else {
                return Some(format!("no list of {kind} was read"));
            };
            let which = (rule.kind.clone(), key);
            if self.live.contains_key(&which) || self.ignored.contains(&which) {
                return Some(format!("no list of {kind} in {}/{} was read", which.0, which.1));
            }
            parent = self.table.get(&which.0).and_then(|r| r.parent_key(&which.1));
            kind = which.0;
        }
        Some(format!("no list of {kind} was read"))
    }

    pub(super) fn rules(&self, kind: &Kind) -> Option<&'a KindRules> {
        self.table.get(kind)
    }

    pub(super) fn refs(&self, kind: &Kind, value: &Value) -> Vec<Ref> {
        self.rules(kind).map(|r| refs_of(value, r, self.table)).unwrap_or_default()
    }

    /// Who hangs on objects of `kinds` and on what hangs on them.
    pub(super) fn web<'k>(&self, kinds: impl IntoIterator<Item = &'k Kind>) -> Web {
        // Closure over kinds first: an object is parsed only if it may hang on one that goes.
        let mut reached: BTreeSet<Kind> = kinds.into_iter().cloned().collect();
        let mut queue: Vec<Kind> = reached.iter().cloned().collect();
        while let Some(kind) = queue.pop() {
            let inside = self.table.children_of(&kind).map(|r| r.kind.clone());
            let referring = self.table.referrers_of(&kind).filter(|(_, r)| r.on_delete != OnDelete::None);
            let next: Vec<Kind> = inside.chain(referring.map(|(k, _)| k.kind.clone())).collect();
            queue.extend(next.into_iter().filter(|k| reached.insert(k.clone())));
        }
        let mut web = Web::default();
        for (which, item) in &self.live {
            let Some(rules) = self.rules(&which.0) else { continue };
            if let Some(parent) = rules.parent.as_ref().filter(|p| reached.contains(&p.kind))
                && let Some(key) = rules.parent_key(&which.1)
            {
                web.hangers.entry((parent.kind.clone(), key)).or_default().push((which.clone(), Hold::Inside));
            }
            if rules.refs.iter().any(|r| r.on_delete != OnDelete::None && reached.contains(&r.kind)) {
                let Ok(value) = item.value() else {
                    web.unreadable.insert(which.clone());
                    continue;
                };
                for found in refs_of(&value, rules, self.table) {
                    let hold = match found.on_delete {
                        OnDelete::Cascade => Hold::Cascade,
                        OnDelete::Restrict => Hold::Restrict { optional: found.optional },
                        OnDelete::None => continue,
                    };
                    web.hangers.entry((found.kind, found.key)).or_default().push((which.clone(), hold));
                }
            }
        }
        web
    }

    /// A scope that is not known and that a delete of `which` could reach into, with the reason.
    pub(super) fn reaches_unknown(&self, which: &Which, web: &Web) -> Option<(Kind, String)> {
        let mut seen = BTreeSet::from([which.clone()]);
        let mut queue = vec![which.clone()];
        while let Some(which) = queue.pop() {
            for child in self.table.children_of(&which.0) {
                if let Some(why) = self.unknown_scope(&child.kind, Some(&which.1)) {
                    return Some((child.kind.clone(), why));
                }
            }
            for (referrer, rule) in self.table.referrers_of(&which.0) {
                if rule.on_delete != OnDelete::Cascade {
                    continue;
                }
                if let Some(why) = self.unknown_kind(&referrer.kind) {
                    return Some((referrer.kind.clone(), why));
                }
                if let Some((kind, key)) = web.unreadable.iter().find(|(kind, _)| kind == &referrer.kind) {
                    return Some((kind.clone(), format!("what the server shows of {kind}/{key} is no value")));
                }
            }
            for (hanger, hold) in web.on(&which) {
                if !matches!(hold, Hold::Restrict { .. }) && seen.insert(hanger.clone()) {
                    queue.push(hanger.clone());
                }
            }
        }
        None
    }

    /// Why some scope of `kind` is not known.
    fn unknown_kind(&self, kind: &Kind) -> Option<String> {
        let read = self.scopes.range((kind.clone(), None)..).take_while(|((k, _), _)| k == kind);
        for (_, state) in read {
            if let ScopeState::Unknown { why } = state {
                return Some(why.clone());
            }
        }
        match self.table.get(kind).and_then(|r| r.parent.as_ref()) {
            None => self.unknown_scope(kind, None),
            Some(parent) => self
                .live
                .keys()
                .filter(|(k, _)| k == &parent.kind)
                .find_map(|(_, key)| self.unknown_scope(kind, Some(key))),
        }
    }
}

/// False if the object was made anew by somebody since it was recorded.
pub(super) fn is_same_object(entry: &RecordEntry, observed: &Observed) -> bool {
    entry.uid.is_none() || entry.uid == observed.uid
}

/// A sorted map that is gone through beside other sorted keys: a step for each, in place of a search from the root.
pub(super) struct Beside<'m, V> {
    rest: Peekable<btree_map::Iter<'m, Which, V>>,
}

impl<'m, V> Beside<'m, V> {
    pub(super) fn new(map: &'m BTreeMap<Which, V>) -> Self {
        Self { rest: map.iter().peekable() }
    }

    /// What the map holds under `which`, which must not come before what was asked for last.
    pub(super) fn find(&mut self, which: &Which) -> Option<&'m V> {
        loop {
            let (here, value) = self.rest.peek()?;
            match (*here).cmp(which) {
                Ordering::Less => _ = self.rest.next(),
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
    }
}

/// The tree of an observed object. The driver checked the bytes; were they broken, nothing would be compared equal.
pub(super) fn value_of(observed: &Observed) -> Value {
    observed.value().unwrap_or(Value::Null)
}
