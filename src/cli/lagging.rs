//! What lists that lag behind showed before, and what they did not: one alone is no reason to delete or to forget, two that
//! agree are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{EndpointRecord, Key, Kind, KindRules, KindTable, Mark, Observed, ScopeState};
use crate::reconcile::{Place, Sighting};

/// The objects of kinds whose lists lag behind (`eventual`) that every complete list showed alike, and since when. Only a
/// process that stays has any.
#[derive(Debug, Default)]
pub(super) struct Lagging {
    shown: BTreeMap<(Place, Kind, Key), Shown>,
    /// What is recorded and no list has shown, since when.
    missed: BTreeMap<(Place, Kind, Key), Duration>,
    /// When the look began that is under way (time since boot).
    now: Duration,
    /// What was first shown until then may go.
    until: Duration,
}

/// What must be as it was for two lists to agree.
#[derive(Debug)]
struct Shown {
    uid: Option<String>,
    mark: Option<Mark>,
    since: Duration,
}

impl Shown {
    fn is_like(&self, now: &Observed) -> bool {
        self.uid == now.uid && self.mark == now.mark
    }
}

/// Everything of such kinds in the lists that were read to their end.
fn listed<'s>(
    sighting: &'s Sighting,
    table: &'s KindTable,
) -> impl Iterator<Item = (&'s Kind, &'s Observed)> + use<'s> {
    let lags = |kind: &Kind| table.get(kind).is_some_and(|rules| rules.eventual);
    sighting.scopes.iter().filter(move |((kind, _), _)| lags(kind)).flat_map(|((kind, _), state)| {
        let items = match state {
            ScopeState::Known(listing) => listing.items.as_slice(),
            ScopeState::Unknown { .. } => &[],
        };
        items.iter().map(move |item| (kind, item))
    })
}

/// What is owned at one endpoint.
pub(super) struct Record<'r> {
    /// Its lines in the record.
    pub entries: &'r EndpointRecord,
    /// The kinds of its API.
    pub table: &'r KindTable,
}

/// What is recorded of such kinds and stands in no list, where none that it may be in is unknown.
fn unlisted<'r>(sighting: &Sighting, record: &Record<'r>) -> impl Iterator<Item = &'r (Kind, Key)> {
    let shown: BTreeSet<(&Kind, &Key)> = listed(sighting, record.table).map(|(kind, item)| (kind, &item.key)).collect();
    let known = |rules: &KindRules, key: &Key| {
        let here = |parent| sighting.scopes.get(&(rules.kind.clone(), parent));
        let state = here(rules.parent_key(key)).or_else(|| here(None));
        !matches!(state, Some(ScopeState::Unknown { .. }))
    };
    let missed = |(kind, key): &&(Kind, Key)| {
        let rules = record.table.get(kind).filter(|rules| rules.eventual);
        rules.is_some_and(|rules| !shown.contains(&(kind, key)) && known(rules, key))
    };
    record.entries.entries.keys().filter(missed).collect::<Vec<_>>().into_iter()
}

impl Lagging {
    /// A new look begins: what was first shown `apart` before `now` (time since boot), or earlier, and is shown again may go.
    pub(super) fn look(&mut self, now: Duration, apart: Duration) {
        (self.now, self.until) = (now, now.saturating_sub(apart));
    }

    /// What the list of before and this one agree on.
    pub(super) fn twice(&self, place: &Place, sighting: &Sighting, table: &KindTable) -> BTreeSet<(Kind, Key)> {
        if self.shown.is_empty() {
            return BTreeSet::new();
        }
        let agreed = |kind: &Kind, item: &Observed| {
            let before = self.shown.get(&(place.clone(), kind.clone(), item.key.clone()));
            before.is_some_and(|before| before.since <= self.until && before.is_like(item))
        };
        let items = listed(sighting, table).filter(|(kind, item)| agreed(kind, item));
        items.map(|(kind, item)| (kind.clone(), item.key.clone())).collect()
    }

    /// What is recorded, and neither the list of before nor this one has.
    pub(super) fn missed(&self, place: &Place, sighting: &Sighting, record: &Record<'_>) -> BTreeSet<(Kind, Key)> {
        if self.missed.is_empty() {
            return BTreeSet::new();
        }
        let agreed = |which: &&(Kind, Key)| {
            let before = self.missed.get(&(place.clone(), which.0.clone(), which.1.clone()));
            before.is_some_and(|since| *since <= self.until)
        };
        unlisted(sighting, record).filter(agreed).cloned().collect()
    }

    /// The look is over: what it did not show is forgotten, and so is what could not be read.
    pub(super) fn note<'r>(
        &mut self,
        sightings: &BTreeMap<Place, Sighting>,
        table: &'r KindTable,
        entries: impl Fn(&Place) -> Option<&'r EndpointRecord>,
    ) {
        let mut before = std::mem::take(&mut self.shown);
        let missed = std::mem::take(&mut self.missed);
        for (place, sighting) in sightings {
            if let Some(entries) = entries(place) {
                for (kind, key) in unlisted(sighting, &Record { entries, table }) {
                    let which = (place.clone(), kind.clone(), key.clone());
                    let since = missed.get(&which).copied().unwrap_or(self.now);
                    self.missed.insert(which, since);
                }
            }
            for (kind, item) in listed(sighting, table) {
                let which = (place.clone(), kind.clone(), item.key.clone());
                let as_before = before.remove(&which).filter(|shown| shown.is_like(item));
                let since = as_before.map_or(self.now, |shown| shown.since);
                self.shown.insert(which, Shown { uid: item.uid.clone(), mark: item.mark.clone(), since });
            }
        }
    }

    /// It was told to go: a list that shows it still proves nothing until two agree again.
    pub(super) fn told_to_go(&mut self, place: Place, kind: Kind, key: Key) {
        self.shown.remove(&(place, kind, key));
    }
}
