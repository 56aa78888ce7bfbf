//! What a session looks at, at which endpoints, and what they say.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use super::build::Wanted;
use super::{Planned, Session};
use crate::cli::fleet::Driver;
use crate::cli::{Context, Exit, context, narrated};
use crate::event::Event;
use crate::model::{EndpointRecord, IntentOp, Key, Own, Scope, TargetName};
use crate::plan;
use crate::reconcile::{
    self, Before, PATIENCE, Peer, Place, Revisited, Scopes, Sighting, Trouble, doubt, observe_again, revisit,
};
use crate::report::Progress;

impl Session {
    /// Observes what the plan needs and plans.
    pub(in crate::cli) async fn plan(&self, ctx: &Context, cancel: &CancellationToken) -> Planned {
        self.look(ctx, cancel, false).await
    }

    /// Observes every kind at every endpoint, whatever is declared or recorded.
    pub(in crate::cli) async fn plan_everything(&self, ctx: &Context, cancel: &CancellationToken) -> Planned {
        self.look(ctx, cancel, true).await
    }

    async fn look(&self, ctx: &Context, cancel: &CancellationToken, everything: bool) -> Planned {
        let progress = match (ctx.progress, ctx.quiet) {
            (true, _) => Progress::listing(),
            (false, false) => Progress::listing_lines(context::to_stderr),
            (false, true) => Progress::silent(),
        };
        let redactor = self.redactor.clone();
        let hider = self.redactor.clone();
        let progress = progress.hiding(move |text| hider.hide(text));
        let tell = |event: Event| {
            if ctx.verbose > 0
                && let Some(line) = narrated::line(&event)
            {
                ctx.say(&redactor.hide(&line));
            }
            progress.listen(&event);
        };
        let context =
            reconcile::Context { clock: &ctx.clock, entropy: &ctx.entropy, tell: &tell, cancel, patience: PATIENCE };
        let planned = self.look_from(Before::default(), everything, context).await;
        progress.finish();
        planned
    }

    /// Observes what the plan needs, going on from what is known, and plans.
    pub(in crate::cli) async fn look_from(
        &self,
        before: Before,
        everything: bool,
        context: reconcile::Context<'_>,
    ) -> Planned {
        let desired = self.desired();
        let planner = |peer: &Peer<Driver>, known: &Scopes| self.scopes_for(&desired, peer, known, everything);
        let keys = |peer: &Peer<Driver>, scope: &Scope| self.keys_for(&desired, peer, scope);
        let mut sightings = observe_again(&self.fleet.peers, before, planner, keys, context).await;
        let mut plan = self.build(&desired, &sightings);
        if doubt(&self.fleet.peers, &plan, &mut sightings, context).await {
            plan = self.build(&desired, &sightings);
        }
        let not_understood = plan.diagnostics.iter().any(|diagnostic| diagnostic.code == plan::UNREADABLE);
        let exit = reading_exit(&sightings).and(self.fleet.exit);
        let exit = if not_understood { exit.and(Exit::Partial) } else { exit };
        Planned { checksum: plan.checksum(), plan, sightings, exit }
    }

    /// Asks whether anything changed since these sightings, and nothing else.
    pub(in crate::cli) async fn look_again(
        &self,
        sightings: &BTreeMap<Place, Sighting>,
        context: reconcile::Context<'_>,
    ) -> Revisited {
        let desired = std::sync::OnceLock::new();
        let keys =
            |peer: &Peer<Driver>, scope: &Scope| self.keys_for(desired.get_or_init(|| self.desired()), peer, scope);
        revisit(&self.fleet.peers, sightings, keys, context).await
    }

    /// The scopes that a plan still needs to know at an endpoint.
    fn scopes_for(&self, desired: &Wanted, peer: &Peer<Driver>, known: &Scopes, everything: bool) -> Vec<Scope> {
        let (Some(config), Some(api)) = (self.project().targets.get(&peer.target), self.loaded.apis.get(&peer.target))
        else {
            return Vec::new();
        };
        let (empty, nothing) = (Vec::new(), EndpointRecord::default());
        let wanted = desired.get(&peer.target).map_or(&empty, |d| &**d);
        let record = self.endpoint_record(&peer.target, &peer.name).unwrap_or(&nothing);
        let table = api.description.table();
        let own = if everything { Own::Exclusive } else { config.own };
        let mut scopes = plan::missing_scopes(table, own, wanted, record, &peer.name, known);
        // What an interrupted run was doing has to be looked at, whatever is wanted now.
        for op in self.open_operations(&peer.target).filter(|op| op.endpoint == peer.name) {
            if let Some(rules) = table.get(&op.kind) {
                let parent = rules.parent_key(&op.key);
                if !known.contains_key(&(op.kind.clone(), parent.clone())) {
                    scopes.push(Scope { endpoint: peer.name.clone(), kind: op.kind.clone(), parent });
                }
            }
        }
        scopes
    }

    /// The keys that may be in a scope that the API cannot list.
    fn keys_for(&self, desired: &Wanted, peer: &Peer<Driver>, scope: &Scope) -> Vec<Key> {
        let Some(api) = self.loaded.apis.get(&peer.target) else { return Vec::new() };
        let (empty, nothing) = (Vec::new(), EndpointRecord::default());
        let wanted = desired.get(&peer.target).map_or(&empty, |d| &**d);
        let record = self.endpoint_record(&peer.target, &peer.name).unwrap_or(&nothing);
        let table = api.description.table();
        let mut keys = plan::scope_keys(table, wanted, record, scope);
        // What an interrupted run was doing is asked for too: what nobody asked for must not look absent.
        let here = self.open_operations(&peer.target).filter(|op| {
            let parent = table.get(&op.kind).and_then(|rules| rules.parent_key(&op.key));
            op.endpoint == peer.name && op.kind == scope.kind && parent == scope.parent
        });
        keys.extend(here.map(|op| op.key.clone()));
        keys.sort();
        keys.dedup();
        keys
    }

    /// What interrupted runs were doing at a target.
    fn open_operations(&self, target: &TargetName) -> impl Iterator<Item = &IntentOp> {
        self.records.get(target).into_iter().flat_map(|(_, r)| &r.intents).flat_map(|intent| &intent.operations)
    }
}

/// What the reading of the endpoints means for the exit code.
fn reading_exit(sightings: &BTreeMap<Place, Sighting>) -> Exit {
    let scopes = || sightings.values().flat_map(|s| s.scopes.values());
    let known = scopes().any(|s| matches!(s, crate::model::ScopeState::Known(_)));
    let unknown = scopes().any(|s| matches!(s, crate::model::ScopeState::Unknown { .. }));
    let trouble: BTreeSet<Trouble> = sightings.values().flat_map(|s| s.trouble.iter().copied()).collect();
    match (unknown || sightings.values().any(|s| s.greeting.is_none()), known) {
        (false, _) => Exit::Done,
        (true, true) => Exit::Partial,
        (true, false) if trouble.contains(&Trouble::Authentication) => Exit::Denied,
        (true, false) if trouble.iter().any(|t| t.is_away()) => Exit::Unreachable,
        (true, false) => Exit::Partial,
    }
}
