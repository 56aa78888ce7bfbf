//! What lists that lag behind showed before: one alone is no reason to delete, two that agree are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Key, Kind, KindTable, Mark, Observed, ScopeState};
use crate::reconcile::{Place, Sighting};

/// The objects of kinds whose lists lag behind (`eventual`) that every complete list showed alike, and since when. Only a
/// process that stays has any.
#[derive(Debug, Default)]
pub(super) struct Lagging {
    shown: BTreeMap<(Place, Kind, Key), Shown>,
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

    /// The look is over: what it did not show is forgotten, and so is what could not be read.
    pub(super) fn note(&mut self, sightings: &BTreeMap<Place, Sighting>, table: &KindTable) {
        let mut before = std::mem::take(&mut self.shown);
        for (place, sighting) in sightings {
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
