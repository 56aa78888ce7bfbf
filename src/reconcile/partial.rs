//! Lists that show less of an object than its own address does. What such a list leaves out looks absent, and is not: it
//! would be written again by each run, and an object replaced for a field that it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::observe::{Sighting, Trouble, asked};
use super::peer::{Context, Peer, Peers, Place};
use crate::model::{Complete, Key, Kind, Listing, Observed, ResourceId, ScopeState, members};
use crate::plan::{Operation, Plan};
use crate::target::{Target, TargetError};

/// How many operations of a kind are looked at, before its list is believed.
const LOOKED_AT: usize = 20;

/// Asks for one object of each kind of which the plan would write what its list does not show at all. Where the object has
/// it, the list was no knowledge: the kind is unknown from then on. True if there is such a kind, and the plan is void.
pub async fn doubt<T: Target>(
    endpoints: &Peers<T>,
    plan: &Plan,
    sightings: &mut BTreeMap<Place, Sighting>,
    context: Context<'_>,
) -> bool {
    let mut asked_for: BTreeMap<(Place, &Kind), usize> = BTreeMap::new();
    let mut suspects: BTreeMap<(Place, &Kind), (&Operation, &Observed)> = BTreeMap::new();
    for op in &plan.operations {
        let (place, kind) = ((op.resource.target.clone(), op.endpoint.clone()), &op.resource.kind);
        let Some(endpoint) = endpoints.get(&place).filter(|endpoint| is_apart(endpoint, kind)) else { continue };
        let Some(listed) = listed(endpoint, sightings, &op.resource) else { continue };
        let here = (place, kind);
        let looked_at = asked_for.entry(here.clone()).or_default();
        *looked_at += 1;
        if *looked_at <= LOOKED_AT && !suspects.contains_key(&here) && left_out(op, listed).next().is_some() {
            suspects.insert(here, (op, listed));
        }
    }
    let mut found = Vec::new();
    for ((place, kind), (op, listed)) in suspects {
        let Some(endpoint) = endpoints.get(&place) else { continue };
        // An object that cannot be read now says nothing against its list.
        let Ok(Some(alone)) = alone(endpoint, &op.resource, listed, context).await else { continue };
        let there = names(&alone);
        if let Some(field) = left_out(op, listed).find(|field| there.contains(field)) {
            let why = format!(
                "the list leaves out `{field}`, which {}/{} has at its own address: say `list: {{…, summary: true}}` in the \
                 description, so that each one is asked for",
                op.resource.kind, op.resource.key
            );
            found.push((place, kind.clone(), why));
        }
    }
    for (place, kind, why) in &found {
        let Some(sighting) = sightings.get_mut(place) else { continue };
        sighting.trouble.push(Trouble::Other);
        for (_, state) in sighting.scopes.iter_mut().filter(|((of, _), _)| of == kind) {
            *state = ScopeState::Unknown { why: why.clone() };
        }
    }
    !found.is_empty()
}

/// Whether an object that a list shows has members at its own address that the list leaves out, or a token there that
/// would guard a write. An error if nobody could tell.
pub(super) async fn is_less<T: Target>(
    endpoint: &Peer<T>,
    id: &ResourceId,
    listed: &Observed,
    context: Context<'_>,
) -> Result<bool, TargetError> {
    if !is_apart(endpoint, &id.kind) {
        return Ok(false);
    }
    let Some(alone) = alone(endpoint, id, listed, context).await? else { return Ok(false) };
    let shown = names(listed);
    let guarded = alone.token.is_some() && listed.token.is_none();
    Ok(guarded || names(&alone).iter().any(|name| !shown.contains(name)))
}

fn is_apart<T: Target>(endpoint: &Peer<T>, kind: &Kind) -> bool {
    endpoint.driver.kinds().get(kind).is_some_and(|rules| rules.listed_apart)
}

async fn alone<T: Target>(
    endpoint: &Peer<T>,
    id: &ResourceId,
    listed: &Observed,
    context: Context<'_>,
) -> Result<Option<Observed>, TargetError> {
    asked(endpoint, context, || endpoint.driver.read(id, Some(listed))).await
}

/// The object as its list shows it.
fn listed<'s, T: Target>(
    endpoint: &Peer<T>,
    sightings: &'s BTreeMap<Place, Sighting>,
    id: &ResourceId,
) -> Option<&'s Observed> {
    let parent: Option<Key> = endpoint.driver.kinds().get(&id.kind)?.parent_key(&id.key);
    let state = sightings.get(&endpoint.place())?.scopes.get(&(id.kind.clone(), parent))?;
    let ScopeState::Known(listing) = state else { return None };
    let listing: &Arc<Complete<Listing>> = listing;
    let at = listing.items.binary_search_by(|item| item.key.cmp(&id.key)).ok()?;
    listing.items.get(at)
}

/// The members that would be written and that the list does not show at all.
fn left_out<'o>(op: &'o Operation, listed: &Observed) -> impl Iterator<Item = &'o String> {
    let shown = names(listed);
    let written = op.fields.iter().filter(|field| field.after.is_some() && !field.secret);
    written.filter_map(|field| field.path.segments().first()).filter(move |name| !shown.contains(name))
}

fn names(observed: &Observed) -> Vec<String> {
    match members(&observed.body) {
        Some(seen) => seen.iter().map(|(name, _)| name.to_string()).collect(),
        None => observed
            .value()
            .ok()
            .and_then(|value| value.as_object().map(|map| map.keys().cloned().collect()))
            .unwrap_or_default(),
    }
}
