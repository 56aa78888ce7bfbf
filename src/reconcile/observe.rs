use std::collections::BTreeMap;

use futures::stream::{FuturesUnordered, StreamExt};

use super::peer::{Context, Peer, Peers, Place};
use super::retry::{Call, Tries, Verdict, verdict};
use crate::event::Event;
use crate::model::{Complete, Key, Kind, Listing, Observation, ResourceId, Scope, ScopeState, Tally};
use crate::target::{Greeting, Target, TargetError};

/// What is known of one endpoint, by kind and parent.
pub type Scopes = BTreeMap<(Kind, Option<Key>), ScopeState>;

/// What was seen of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    /// Who answered; `None` if nobody did.
    pub greeting: Option<Greeting>,
    /// Every scope that was asked for.
    pub scopes: Scopes,
    /// What went wrong, for the exit code.
    pub trouble: Vec<Trouble>,
}

/// Why something could not be had, as far as the exit code goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Trouble {
    /// Not logged in or not allowed (4).
    Authentication,
    /// Timed out, unreachable or overloaded (8).
    Unreachable,
    /// Somebody else's change is in the way (5).
    Conflict,
    /// Anything else (1).
    Other,
}

impl Trouble {
    /// The class of `error`.
    pub fn of(error: &TargetError) -> Self {
        match error {
            TargetError::Denied { .. } => Self::Authentication,
            TargetError::Unsent { .. }
            | TargetError::Unanswered { .. }
            | TargetError::Throttled { .. }
            | TargetError::Failed { .. } => Self::Unreachable,
            TargetError::Conflict { .. } => Self::Conflict,
            TargetError::Invalid { .. } | TargetError::Unreadable { .. } | TargetError::Refused { .. } => Self::Other,
        }
    }
}

/// Lists what `planner` asks for at every endpoint.
///
/// All endpoints run at once, so a slow one holds up no other. At each, `planner` is asked for scopes, these are listed
/// (at most `concurrency` at a time), and it is asked again with what is known then (the children of parents that were
/// just found), until it names nothing new. What cannot be read is unknown, never empty.
pub async fn observe<T, P>(endpoints: &Peers<T>, planner: P, context: Context<'_>) -> BTreeMap<Place, Sighting>
where
    T: Target,
    P: Fn(&Peer<T>, &Scopes) -> Vec<Scope> + Sync,
{
    observe_with_keys(endpoints, planner, |_: &Peer<T>, _: &Scope| Vec::new(), context).await
}

/// The same, where `keys` says which objects may be in a scope that the API cannot list: each of them is asked for, and
/// what else is there stays out of sight.
pub async fn observe_with_keys<T, P, K>(
    endpoints: &Peers<T>,
    planner: P,
    keys: K,
    context: Context<'_>,
) -> BTreeMap<Place, Sighting>
where
    T: Target,
    P: Fn(&Peer<T>, &Scopes) -> Vec<Scope> + Sync,
    K: Fn(&Peer<T>, &Scope) -> Vec<Key> + Sync,
{
    let (planner, keys) = (&planner, &keys);
    endpoints
        .values()
        .map(|endpoint| async move { (endpoint.place(), sight(endpoint, planner, keys, context).await) })
        .collect::<FuturesUnordered<_>>()
        .collect()
        .await
}

async fn sight<T, P, K>(endpoint: &Peer<T>, planner: &P, keys: &K, context: Context<'_>) -> Sighting
where
    T: Target,
    P: Fn(&Peer<T>, &Scopes) -> Vec<Scope> + Sync,
    K: Fn(&Peer<T>, &Scope) -> Vec<Key> + Sync,
{
    let mut sighting = Sighting::default();
    let away = match asked(endpoint, context, || endpoint.driver.greet()).await {
        Ok(greeting) => {
            sighting.greeting = Some(greeting);
            None
        }
        Err(error) => {
            sighting.trouble.push(Trouble::of(&error));
            Some(endpoint.told(&error))
        }
    };
    loop {
        let mut wave = planner(endpoint, &sighting.scopes);
        wave.sort();
        wave.dedup();
        wave.retain(|scope| !sighting.scopes.contains_key(&(scope.kind.clone(), scope.parent.clone())));
        if wave.is_empty() {
            return sighting;
        }
        let wave: Vec<(Scope, Option<String>)> = wave
            .into_iter()
            .map(|scope| {
                let untold = untold(endpoint, &scope, &sighting.scopes);
                (scope, away.clone().or(untold))
            })
            .collect();
        let listed = futures::stream::iter(wave).map(|(scope, away)| async move {
            let state = match away.as_deref() {
                Some(why) => Err((None, why.to_owned())),
                None if is_by_key(endpoint, &scope) => {
                    ask_each(endpoint, &scope, keys(endpoint, &scope), context).await
                }
                None => list(endpoint, &scope, context).await,
            };
            (scope, state)
        });
        let mut listed = listed.buffer_unordered(endpoint.concurrency);
        while let Some((scope, state)) = listed.next().await {
            let state = match state {
                Ok(listing) => ScopeState::Known(listing),
                Err((trouble, why)) => {
                    sighting.trouble.extend(trouble);
                    let target = endpoint.target.clone();
                    (context.tell)(Event::ListFailed { target, scope: scope.clone(), why: why.clone() });
                    ScopeState::Unknown { why }
                }
            };
            sighting.scopes.insert((scope.kind, scope.parent), state);
        }
    }
}

/// Why a scope need not be asked for: it refers by id to a kind that could not be read, so that nobody could tell what it
/// says.
fn untold<T: Target>(endpoint: &Peer<T>, scope: &Scope, seen: &Scopes) -> Option<String> {
    let rules = endpoint.driver.kinds().get(&scope.kind)?;
    rules.refs.iter().filter(|rule| rule.at.is_some()).find_map(|rule| match seen.get(&(rule.kind.clone(), None)) {
        Some(ScopeState::Unknown { why }) => Some(format!("it refers to {} by id: {why}", rule.kind)),
        Some(ScopeState::Known(_)) | None => None,
    })
}

/// True for a scope that the API cannot list.
pub(super) fn is_by_key<T: Target>(endpoint: &Peer<T>, scope: &Scope) -> bool {
    endpoint.driver.kinds().get(&scope.kind).is_some_and(|rules| rules.listed_by_key)
}

/// One scope by its keys. If one of them cannot be read, nothing is known of the scope.
async fn ask_each<T: Target>(
    endpoint: &Peer<T>,
    scope: &Scope,
    keys: Vec<Key>,
    context: Context<'_>,
) -> Result<Complete<Listing>, (Option<Trouble>, String)> {
    let target = &endpoint.target;
    (context.tell)(Event::Listing { target: target.clone(), scope: scope.clone() });
    let (asked_for, mut answered) = (keys.len(), 0);
    let reads = futures::stream::iter(keys).map(|key| async move {
        let id = ResourceId { target: target.clone(), kind: scope.kind.clone(), key };
        asked(endpoint, context, || endpoint.driver.read(&id, None)).await
    });
    let mut reads = reads.buffered(endpoint.concurrency);
    let mut listing = Listing { pages: asked_for, ..Listing::default() };
    while let Some(found) = reads.next().await {
        let found = found.map_err(|error| (Some(Trouble::of(&error)), endpoint.told(&error)))?;
        answered += 1;
        let Some(found) = found else { continue };
        let rules = endpoint.driver.kinds().get(&scope.kind);
        let ignored = found.value().is_ok_and(|value| rules.is_some_and(|rules| rules.ignores(&value)));
        if ignored { listing.ignored.push(found) } else { listing.items.push(found) }
    }
    drop(reads);
    // Each key is a part: all of them were asked for, and each got its answer.
    let tally = Tally { parts: answered, items: answered, announced: Some(asked_for), ended: true };
    let items = listing.items.len();
    let listing = Complete::finish(listing, &tally).map_err(|e| (Some(Trouble::Other), e.to_string()))?;
    let event = Event::Listed { target: target.clone(), scope: scope.clone(), pages: asked_for, items };
    (context.tell)(event);
    Ok(listing)
}

/// One scope, to its end. A kind that is not there is an empty list; an answer that says neither is no answer.
pub(super) async fn list<T: Target>(
    endpoint: &Peer<T>,
    scope: &Scope,
    context: Context<'_>,
) -> Result<Complete<Listing>, (Option<Trouble>, String)> {
    (context.tell)(Event::Listing { target: endpoint.target.clone(), scope: scope.clone() });
    let listing = match asked(endpoint, context, || endpoint.driver.observe(scope, None)).await {
        Ok(Observation::Listed(listing)) => listing,
        Ok(Observation::NoSuchKind) => {
            let tally = Tally { parts: 1, items: 0, announced: None, ended: true };
            Complete::finish(Listing::default(), &tally).map_err(|e| (Some(Trouble::Other), e.to_string()))?
        }
        Ok(Observation::Unchanged) => {
            let why = "the endpoint says that nothing changed, and was not asked since when".to_owned();
            return Err((Some(Trouble::Other), why));
        }
        Err(error) => return Err((Some(Trouble::of(&error)), endpoint.told(&error))),
    };
    endpoint.note_pages(scope, listing.pages);
    let (target, pages, items) = (endpoint.target.clone(), listing.pages, listing.items.len());
    (context.tell)(Event::Listed { target, scope: scope.clone(), pages, items });
    Ok(listing)
}

/// A request that changes nothing, repeated as far as rules and budget go.
pub(super) async fn asked<T, R, F>(
    endpoint: &Peer<T>,
    context: Context<'_>,
    mut request: impl FnMut() -> F,
) -> Result<R, TargetError>
where
    F: Future<Output = Result<R, TargetError>>,
{
    let mut tries = Tries::at_most(endpoint.retries);
    endpoint.first_attempt();
    for attempt in 1.. {
        endpoint.turn(context.clock).await;
        let error = match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Verdict::Wait(wait) = verdict(&error, Call::Read, &tries, context.patience, context.entropy) else {
            return Err(error);
        };
        if !endpoint.may_retry(context.clock.boot()) {
            return Err(error);
        }
        note_wait(endpoint, &error, wait, &mut tries, context);
        let (target, name) = endpoint.place();
        let why = error.to_string();
        (context.tell)(Event::Retrying { op: None, target, endpoint: name, attempt, wait, why });
        if !context.sleep(wait).await {
            return Err(error);
        }
    }
    unreachable!("the loop above has no end but its returns")
}

/// Counts a wait; one that the server asked for holds for the whole endpoint.
pub(super) fn note_wait<T>(
    endpoint: &Peer<T>,
    error: &TargetError,
    wait: std::time::Duration,
    tries: &mut Tries,
    context: Context<'_>,
) {
    if matches!(error, TargetError::Throttled { .. }) {
        tries.throttled += wait;
        endpoint.pause(context.clock.boot() + wait);
    } else {
        tries.retries += 1;
    }
}
