//! Whether anything changed since the last look, for one conditional request a list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};

use super::observe::{Fresh, Scopes, Sighting, ask_each, brought_up, is_by_key, listed};
use super::peer::{Context, Peer, Peers, Place, Question};
use super::stragglers::Stragglers;
use crate::model::{Complete, Key, Listing, Observation, Scope, ScopeState};
use crate::target::Target;

/// How long a look again may take. Who takes longer is looked at in full, with all the time that this needs.
const WITHIN: Duration = Duration::from_secs(5);

/// What a look again came to.
#[derive(Debug, Default)]
pub struct Revisited {
    /// True if everything that was known is as it was.
    pub unchanged: bool,
    /// What was read, or was said to be as before. What did not answer is not in it.
    pub fresh: Fresh,
}

/// Asks whether anything changed since `before`, and nothing else: one conditional request for each list that the endpoint
/// can be asked so, the whole list of any other. Nobody is greeted. Endpoints that `before` does not know are left out.
///
/// Each request is sent once. What fails here is not known to be unchanged, and that is all that is concluded.
pub async fn revisit<T, K>(
    endpoints: &Peers<T>,
    before: &BTreeMap<Place, Sighting>,
    keys: K,
    context: Context<'_>,
) -> Revisited
where
    T: Target,
    K: Fn(&Peer<T>, &Scope) -> Vec<Key> + Sync,
{
    let (keys, stragglers) = (&keys, &Stragglers::new(context.clock));
    let looks = endpoints.values().filter_map(|endpoint| {
        let place = endpoint.place();
        let known = &before.get(&place)?.scopes;
        Some(async move {
            let late = endpoint.late_after(Question::Revisit);
            let waiting = async {
                match late {
                    Some(late) => stragglers.keep_waiting(late).await,
                    None => std::future::pending().await,
                }
            };
            let asked = context.clock.boot();
            let found = tokio::select! {
                biased;
                found = look(endpoint, known, keys, context) => found,
                // Not known to be unchanged: whoever goes on looks at it in full.
                () = waiting => (false, Scopes::new()),
            };
            endpoint.note_time(Question::Revisit, context.clock.boot().saturating_sub(asked));
            stragglers.answered();
            stragglers.done();
            (place, found)
        })
    });
    let mut looks = looks.collect::<FuturesUnordered<_>>();
    let mut out = Revisited { unchanged: true, fresh: Fresh::new() };
    while let Some((place, (unchanged, scopes))) = looks.next().await {
        out.unchanged &= unchanged;
        out.fresh.insert(place, scopes);
    }
    out
}

async fn look<T, K>(endpoint: &Peer<T>, known: &Scopes, keys: &K, context: Context<'_>) -> (bool, Scopes)
where
    T: Target,
    K: Fn(&Peer<T>, &Scope) -> Vec<Key> + Sync,
{
    let (mut unchanged, mut fresh) = (true, Scopes::new());
    let mut wanted = Vec::new();
    for ((kind, parent), state) in known {
        match state {
            ScopeState::Known(before) => {
                let scope = Scope { endpoint: endpoint.name.clone(), kind: kind.clone(), parent: parent.clone() };
                wanted.push((scope, before));
            }
            ScopeState::Unknown { .. } => unchanged = false,
        }
    }
    let asked = futures::stream::iter(wanted).map(|(scope, before)| async move {
        let found = tokio::time::timeout(WITHIN, ask(endpoint, &scope, before, keys, context)).await;
        (scope, before, found.ok().flatten())
    });
    let mut asked = asked.buffer_unordered(endpoint.concurrency);
    while let Some((scope, before, found)) = asked.next().await {
        unchanged &= found.as_ref().is_some_and(|found| Arc::ptr_eq(found, before));
        if let Some(found) = found {
            fresh.insert((scope.kind, scope.parent), ScopeState::Known(found));
        }
    }
    (unchanged, fresh)
}

/// One scope: the very listing of before if it still holds.
async fn ask<T, K>(
    endpoint: &Peer<T>,
    scope: &Scope,
    before: &Arc<Complete<Listing>>,
    keys: &K,
    context: Context<'_>,
) -> Option<Arc<Complete<Listing>>>
where
    T: Target,
    K: Fn(&Peer<T>, &Scope) -> Vec<Key> + Sync,
{
    let found = if is_by_key(endpoint, scope) {
        ask_each(endpoint, scope, keys(endpoint, scope), context).await.ok()?
    } else {
        endpoint.first_attempt();
        endpoint.turn(context.clock).await.ok()?;
        let seen = endpoint.driver.observe(scope, before.cursor.as_ref()).await;
        let seen = seen.inspect_err(|error| endpoint.heard(error, context.clock.boot(), context.entropy)).ok()?;
        let seen = match seen {
            Observation::Changed(changes) => {
                let known = Complete::clone(before);
                return brought_up(endpoint, scope, known, changes, context).map(Arc::new);
            }
            seen @ (Observation::Listed(_) | Observation::NoSuchKind | Observation::Unchanged) => seen,
        };
        match listed(endpoint, scope, seen, context).ok()? {
            Some(found) => found,
            None if before.cursor.is_some() => return Some(Arc::clone(before)),
            None => return None,
        }
    };
    // The same items under another cursor are a new listing all the same, for the next question.
    let same = found.items == before.items && found.ignored == before.ignored && found.cursor == before.cursor;
    Some(if same { Arc::clone(before) } else { Arc::new(found) })
}
