//! Asks endpoints what there is, all at once, and what could not be had from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};

use super::peer::{Context, Peer, Peers, Place, Question};
use super::retry::{Call, Tries, Verdict, verdict};
use super::stragglers::Stragglers;
use crate::event::Event;
use crate::model::{
    Changes, Complete, Key, Kind, KindRules, Listing, Observation, ResourceId, Scope, ScopeState, Tally,
};
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
    /// It had not said who it is when the others were done, and was not waited for.
    pub late: bool,
}

/// Why something could not be had, as far as the exit code and the advice go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Trouble {
    /// Not logged in or not allowed (4).
    Authentication,
    /// Nobody is there (8).
    Unreachable,
    /// One side does not take the other's certificate (8).
    Distrusted,
    /// No whole answer came (8).
    Unanswered,
    /// It says that it failed (8).
    Failing,
    /// It asks to wait (8).
    Busy,
    /// Somebody else's change is in the way (5).
    Conflict,
    /// It points elsewhere (1).
    Redirected,
    /// It says more than is taken (1).
    TooLarge,
    /// What was to be asked for cannot be put into a request (1).
    Unfit,
    /// Anything else (1).
    Other,
}

impl Trouble {
    /// True if it may be over by itself, or with the endpoint: nothing that was said is wrong.
    pub fn is_away(self) -> bool {
        match self {
            Self::Unreachable | Self::Distrusted | Self::Unanswered | Self::Failing | Self::Busy => true,
            Self::Authentication | Self::Conflict | Self::Redirected | Self::TooLarge | Self::Unfit | Self::Other => {
                false
            }
        }
    }

    /// The class of `error`.
    pub fn of(error: &TargetError) -> Self {
        match error {
            TargetError::Denied { .. } => Self::Authentication,
            TargetError::Unsent { .. } => Self::Unreachable,
            TargetError::Distrusted { .. } => Self::Distrusted,
            TargetError::Unanswered { .. } => Self::Unanswered,
            TargetError::Throttled { .. } => Self::Busy,
            TargetError::Failed { .. } => Self::Failing,
            TargetError::Conflict { .. } => Self::Conflict,
            TargetError::Redirected { .. } => Self::Redirected,
            TargetError::TooLarge { .. } => Self::TooLarge,
            TargetError::Refused { .. } => Self::Unfit,
            TargetError::Invalid { .. } | TargetError::Unreadable { .. } => Self::Other,
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
    observe_again(endpoints, Before::default(), planner, keys, context).await
}

/// What is known before a look.
#[derive(Default)]
pub struct Before {
    /// What was seen last time: a scope whose list has a cursor is asked whether anything changed, and kept if not.
    pub sightings: BTreeMap<Place, Sighting>,
    /// What [`revisit`](super::revisit()) just found: it is not asked for again.
    pub fresh: Fresh,
    /// Endpoints that are not contacted, and why: nothing is known of them.
    pub away: BTreeMap<Place, String>,
    /// How long an endpoint may take to say who it is, without a second attempt: for those who come back anyway, and
    /// would not let the others wait for it. None asks as often as any other request.
    pub greeting: Option<Duration>,
    /// Endpoints that have all of that time. Of the others one that usually answers at once is not waited for once all the
    /// rest are looked at.
    pub patient: BTreeSet<Place>,
}

/// Scopes that were just read, by endpoint.
pub type Fresh = BTreeMap<Place, Scopes>;

/// The same, going on from what is known: what did not change is neither sent nor copied.
pub async fn observe_again<T, P, K>(
    endpoints: &Peers<T>,
    mut before: Before,
    planner: P,
    keys: K,
    context: Context<'_>,
) -> BTreeMap<Place, Sighting>
where
    T: Target,
    P: Fn(&Peer<T>, &Scopes) -> Vec<Scope> + Sync,
    K: Fn(&Peer<T>, &Scope) -> Vec<Key> + Sync,
{
    let (planner, keys, greeting) = (&planner, &keys, before.greeting);
    let stragglers = &Stragglers::new(context.clock);
    endpoints
        .values()
        .map(|endpoint| {
            let place = endpoint.place();
            let known = Known {
                before: before.sightings.remove(&place).map(|sighting| sighting.scopes).unwrap_or_default(),
                fresh: before.fresh.remove(&place).unwrap_or_default(),
                away: before.away.remove(&place),
                greeting,
                patient: before.patient.contains(&place),
            };
            async move {
                let sighting = sight(endpoint, known, stragglers, planner, keys, context).await;
                if sighting.greeting.is_some() {
                    stragglers.done();
                }
                (place, sighting)
            }
        })
        .collect::<FuturesUnordered<_>>()
        .collect()
        .await
}

/// What is known of one endpoint before a look.
struct Known {
    before: Scopes,
    fresh: Scopes,
    away: Option<String>,
    greeting: Option<Duration>,
    patient: bool,
}

async fn sight<T, P, K>(
    endpoint: &Peer<T>,
    mut known: Known,
    stragglers: &Stragglers<'_>,
    planner: &P,
    keys: &K,
    context: Context<'_>,
) -> Sighting
where
    T: Target,
    P: Fn(&Peer<T>, &Scopes) -> Vec<Scope> + Sync,
    K: Fn(&Peer<T>, &Scope) -> Vec<Key> + Sync,
{
    let mut sighting = Sighting::default();
    let mut away = known.away.take();
    if away.is_none() {
        let late = endpoint.late_after(Question::Greeting).filter(|_| known.greeting.is_some() && !known.patient);
        let waiting = async {
            match late {
                Some(late) => stragglers.keep_waiting(late).await,
                None => std::future::pending().await,
            }
        };
        let asked = context.clock.boot();
        let greeted = tokio::select! {
            biased;
            greeted = greet(endpoint, known.greeting, context) => Some(greeted),
            () = waiting => None,
        };
        match greeted {
            Some(Ok(greeting)) => {
                endpoint.note_time(Question::Greeting, context.clock.boot().saturating_sub(asked));
                stragglers.answered();
                sighting.greeting = Some(greeting);
            }
            Some(Err((trouble, why))) => {
                sighting.trouble.extend(trouble);
                away = Some(why);
            }
            None => {
                sighting.late = true;
                away = Some("it is slow to say who it is, and the others do not wait for it".to_owned());
            }
        }
    }
    if away.is_some() {
        // Nobody said who this is now: what was read a moment ago is no knowledge of the endpoint that is meant.
        known.fresh.clear();
    }
    loop {
        let mut wave = planner(endpoint, &sighting.scopes);
        wave.sort();
        wave.dedup();
        wave.retain(|scope| !sighting.scopes.contains_key(&(scope.kind.clone(), scope.parent.clone())));
        if wave.is_empty() {
            return sighting;
        }
        let mut asked = Vec::new();
        for scope in wave {
            let untold = untold(endpoint, &scope, &sighting.scopes);
            // What an id stands for may be another thing now, though the list that it stands in did not change.
            let by_id = endpoint.driver.kinds().get(&scope.kind).is_some_and(KindRules::needs_ids);
            let place = (scope.kind, scope.parent);
            match known.fresh.remove(&place).filter(|_| untold.is_none() && !by_id) {
                Some(state) => drop(sighting.scopes.insert(place, state)),
                None => {
                    let before = known.before.remove(&place).filter(|_| !by_id);
                    let scope = Scope { endpoint: scope.endpoint, kind: place.0, parent: place.1 };
                    asked.push((scope, before, away.clone().or(untold)));
                }
            }
        }
        let listed = futures::stream::iter(asked).map(|(scope, before, away)| async move {
            let state = match (away.as_deref(), before) {
                (Some(why), _) => Err((None, why.to_owned())),
                (None, _) if is_by_key(endpoint, &scope) => {
                    ask_each(endpoint, &scope, keys(endpoint, &scope), context).await.map(Arc::new)
                }
                (None, Some(ScopeState::Known(before))) => list_since(endpoint, &scope, before, context).await,
                (None, _) => list(endpoint, &scope, context).await.map(Arc::new),
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

/// Asks who is there.
async fn greet<T: Target>(
    endpoint: &Peer<T>,
    within: Option<Duration>,
    context: Context<'_>,
) -> Result<Greeting, (Option<Trouble>, String)> {
    let failed = |error: TargetError| (Some(Trouble::of(&error)), endpoint.told(&error));
    let Some(within) = within else {
        return asked(endpoint, context, || endpoint.driver.greet()).await.map_err(failed);
    };
    let late = || (Some(Trouble::Unanswered), format!("it did not say who it is within {} s", within.as_secs_f32()));
    let once = async {
        endpoint.first_attempt();
        endpoint.turn(context.clock).await?;
        let greeted = endpoint.driver.greet().await;
        if let Err(error) = &greeted {
            endpoint.heard(error, context.clock.boot(), context.entropy);
        }
        greeted
    };
    tokio::time::timeout(within, once).await.map_err(|_| late())?.map_err(failed)
}

/// Why a scope need not be asked for: it needs ids of a kind that could not be read, so that nobody could address it, or
/// tell what it says.
fn untold<T: Target>(endpoint: &Peer<T>, scope: &Scope, seen: &Scopes) -> Option<String> {
    let table = endpoint.driver.kinds();
    let rules = table.get(&scope.kind)?;
    table.id_lists(&scope.kind, scope.parent.as_ref()).into_iter().find_map(|list| match seen.get(&list) {
        Some(ScopeState::Unknown { why }) => {
            let is_above = rules.ancestors.iter().any(|above| above.kind == list.0);
            let how = if is_above { "it is addressed by an id of" } else { "it refers by id to" };
            Some(format!("{how} {}: {why}", list.0))
        }
        Some(ScopeState::Known(_)) | None => None,
    })
}

/// True for a scope that the API cannot list.
pub(super) fn is_by_key<T: Target>(endpoint: &Peer<T>, scope: &Scope) -> bool {
    endpoint.driver.kinds().get(&scope.kind).is_some_and(|rules| rules.listed_by_key)
}

/// One scope by its keys. If one of them cannot be read, nothing is known of the scope.
pub(super) async fn ask_each<T: Target>(
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
    let seen = asked(endpoint, context, || endpoint.driver.observe(scope, None)).await;
    match seen {
        Ok(seen) => match listed(endpoint, scope, seen, context)? {
            Some(listing) => Ok(listing),
            None => {
                let why = "the endpoint says that nothing changed, and was not asked since when".to_owned();
                Err((Some(Trouble::Other), why))
            }
        },
        Err(error) => Err((Some(Trouble::of(&error)), endpoint.told(&error))),
    }
}

/// The same, where `before` is what was there last time: where it has a cursor, the endpoint is asked what changed since.
async fn list_since<T: Target>(
    endpoint: &Peer<T>,
    scope: &Scope,
    before: Arc<Complete<Listing>>,
    context: Context<'_>,
) -> Result<Arc<Complete<Listing>>, (Option<Trouble>, String)> {
    let Some(cursor) = before.cursor.clone() else { return list(endpoint, scope, context).await.map(Arc::new) };
    match asked(endpoint, context, || endpoint.driver.observe(scope, Some(&cursor))).await {
        Ok(Observation::Changed(changes)) => {
            match brought_up(endpoint, scope, Arc::unwrap_or_clone(before), changes, context) {
                Some(listing) => Ok(Arc::new(listing)),
                None => list(endpoint, scope, context).await.map(Arc::new),
            }
        }
        Ok(seen) => Ok(listed(endpoint, scope, seen, context)?.map_or(before, Arc::new)),
        Err(error) => Err((Some(Trouble::of(&error)), endpoint.told(&error))),
    }
}

/// The list of before with what changed since; `None` where the two do not fit, and the whole list has to tell.
pub(super) fn brought_up<T: Target>(
    endpoint: &Peer<T>,
    scope: &Scope,
    before: Complete<Listing>,
    changes: Complete<Changes>,
    context: Context<'_>,
) -> Option<Complete<Listing>> {
    // A complete list and all that changed in it are a complete list.
    let listing = changes.try_map(|changes| before.into_inner().after(changes).ok_or(())).ok()?;
    let (target, items) = (endpoint.target.clone(), listing.items.len());
    (context.tell)(Event::Listed { target, scope: scope.clone(), pages: 1, items });
    Some(listing)
}

/// What an observation says is there; `None` if nothing changed.
pub(super) fn listed<T: Target>(
    endpoint: &Peer<T>,
    scope: &Scope,
    seen: Observation,
    context: Context<'_>,
) -> Result<Option<Complete<Listing>>, (Option<Trouble>, String)> {
    let listing = match seen {
        Observation::Listed(listing) => listing,
        Observation::NoSuchKind => {
            let tally = Tally { parts: 1, items: 0, announced: None, ended: true };
            Complete::finish(Listing::default(), &tally).map_err(|e| (Some(Trouble::Other), e.to_string()))?
        }
        Observation::Unchanged => return Ok(None),
        Observation::Changed(_) => {
            let why = "the endpoint says what changed, and was not asked since when".to_owned();
            return Err((Some(Trouble::Other), why));
        }
    };
    endpoint.note_pages(scope, listing.pages);
    let (target, pages, items) = (endpoint.target.clone(), listing.pages, listing.items.len());
    (context.tell)(Event::Listed { target, scope: scope.clone(), pages, items });
    Ok(Some(listing))
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
        endpoint.turn(context.clock).await?;
        let error = match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let wait = match verdict(&error, Call::Read, &tries, context.patience, context.entropy) {
            Verdict::Wait(wait) => wait,
            Verdict::Later(wait) => {
                endpoint.close(&error, context.clock.boot() + wait);
                return Err(error);
            }
            Verdict::Replan(_) | Verdict::LookFirst(_) | Verdict::GiveUp | Verdict::InDoubt => return Err(error),
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
