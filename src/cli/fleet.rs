//! The endpoints of a run, each with its driver, after the operator's file agreed to each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::args::LimitArgs;
use super::load::Loaded;
use super::stores::embedded_dir;
use super::{Context, Exit, Stop};
use crate::credentials::{Access, Auth, NoSecrets, Operator, SecretSource, UNREADABLE};
use crate::model::{Diagnostic, EndpointName, Mark, Own, TargetConfig, TargetName, Value};
use crate::net::{Exchange, HttpTransport, Paced, Tap, Tapped, Tls};
use crate::plan::Refusal;
use crate::reconcile::{Peer, Peers, Place};
use crate::server::{self, Embedded, Schema};
use crate::target::http::{HttpConfig, HttpTarget};
use crate::world::Rate;

/// A driver as this program builds it.
pub(super) type Driver = HttpTarget<Paced<Tapped<HttpTransport>>>;

/// Who is told of each request to an endpoint, once it is over.
pub(super) type Listener = Arc<dyn Fn(&TargetName, &EndpointName, &Exchange) + Send + Sync>;

/// Everybody that a run speaks to.
pub(super) struct Fleet {
    /// The endpoints.
    pub peers: Peers<Driver>,
    /// Targets (or endpoints of them) that are not contacted, and why.
    pub refusals: Vec<Refusal>,
    /// The code that a credential which cannot be read asks for.
    pub exit: Exit,
    /// How many requests each endpoint was sent so far.
    pub requests: BTreeMap<Place, Arc<AtomicU64>>,
    embedded: Vec<Embedded>,
}

/// Requests in flight per endpoint, unless somebody says otherwise.
const CONCURRENCY: u32 = 8;

impl Fleet {
    /// Asks the operator's file about every endpoint of `targets`, starts embedded servers, and makes the drivers.
    /// Nothing else is contacted. `listener` hears of every request, without the secrets that are known by then.
    pub(super) async fn muster(
        ctx: &Context,
        loaded: &Loaded,
        operator: &Arc<Operator>,
        targets: &[TargetName],
        limits: &LimitArgs,
        listener: Option<&Listener>,
    ) -> Result<Self, Stop> {
        let mut fleet = Self {
            peers: Peers::new(),
            refusals: Vec::new(),
            exit: Exit::Done,
            requests: BTreeMap::new(),
            embedded: Vec::new(),
        };
        let mark = Mark::of(&loaded.project.name);
        for name in targets {
            let (Some(target), Some(api)) = (loaded.project.targets.get(name), loaded.apis.get(name)) else { continue };
            for (endpoint, config) in &target.endpoints {
                let credential = config.credentials.as_deref();
                if target.own == Own::Exclusive
                    && let Err(diagnostic) = operator.grants_exclusive(credential, name)
                {
                    fleet.refuse(name, Some(endpoint.clone()), diagnostic);
                    continue;
                }
                let asked = {
                    let (operator, target) = (Arc::clone(operator), name.clone());
                    let (endpoint, url) = (endpoint.clone(), config.url.clone());
                    let (credential, origin) = (config.credentials.clone(), api.origin);
                    // A value may come from a command, which blocks.
                    tokio::task::spawn_blocking(move || {
                        operator.access(&target, &endpoint, &url, credential.as_deref(), &origin)
                    })
                    .await
                };
                let access = match asked {
                    Ok(Ok(access)) => access,
                    Ok(Err(diagnostic)) => {
                        fleet.refuse(name, Some(endpoint.clone()), diagnostic);
                        continue;
                    }
                    Err(panic) => {
                        let diagnostic = Diagnostic::error("credential-unreadable", panic.to_string());
                        fleet.refuse(name, Some(endpoint.clone()), diagnostic);
                        continue;
                    }
                };
                let (url, access) = match config.url.as_str() {
                    "embedded" => fleet.embed(ctx, loaded, name).await?,
                    url => (url.to_owned(), access),
                };
                let secrets: Arc<dyn SecretSource> = match operator.trusts(credential, &api.origin) {
                    true => Arc::clone(operator) as Arc<dyn SecretSource>,
                    false => Arc::new(NoSecrets),
                };
                let params = target.values.iter().filter_map(|(k, v)| Some((k.clone(), text(v)?))).collect();
                let tls = Tls { ca: access.ca.as_deref(), identity: access.identity.as_ref() };
                let transport = match HttpTransport::new(&url, tls) {
                    Ok(transport) => transport,
                    Err(error) => {
                        let help =
                            "`ca` and `client-certificate` of the credential hold PEM texts: see docs/reference.md";
                        let diagnostic = Diagnostic::error("credential-unreadable", error.to_string()).help(help);
                        fleet.refuse(name, Some(endpoint.clone()), diagnostic);
                        continue;
                    }
                };
                let transport = transport.with_headers_of(operator.limits().header);
                let (concurrency, rate) = speed(target, limits, api.description.rps());
                let tap = listener.map(|listener| tap(listener, operator, name, endpoint));
                let transport = Tapped::new(transport, tap, ctx.clock.clone());
                // Paced below the driver: one call of it may be several requests (pages, a login).
                let transport = Paced::new(transport, rate, ctx.clock.clone());
                fleet.requests.insert((name.clone(), endpoint.clone()), transport.counter());
                let config = HttpConfig {
                    description: Arc::clone(&api.description),
                    target: name.clone(),
                    endpoint: endpoint.clone(),
                    url,
                    access,
                    secrets,
                    params,
                    clock: ctx.clock.clone(),
                };
                let driver = HttpTarget::new(config, transport).map_err(|d| Stop::with(Exit::Invalid, *d))?;
                let driver = driver.with_limits(operator.limits().clone());
                let place = (name.clone(), endpoint.clone());
                let mark = target.marks.then(|| mark.clone());
                let peer = Peer::new(place.clone(), driver, mark, concurrency, None, &ctx.clock);
                let retry = api.description.retry;
                let peer = peer.with_retries(retry.max).with_writers(retry.writes);
                let peer = peer.with_credential(credential.map(str::to_owned));
                fleet.peers.insert(place, peer);
            }
        }
        Ok(fleet)
    }

    fn refuse(&mut self, target: &TargetName, endpoint: Option<EndpointName>, diagnostic: Diagnostic) {
        if UNREADABLE.contains(&diagnostic.code) {
            self.exit = self.exit.and(Exit::Denied);
        }
        self.refusals.push(Refusal {
            gate: diagnostic.code,
            target: target.clone(),
            endpoint,
            kind: None,
            message: diagnostic.message,
            help: diagnostic.help.unwrap_or_else(|| "see the operator's file".to_owned()),
        });
    }

    async fn embed(&mut self, ctx: &Context, loaded: &Loaded, name: &TargetName) -> Result<(String, Access), Stop> {
        let dir = embedded_dir(ctx, loaded, name).join("data");
        let config = server::Config { clock: ctx.clock.clone(), ..server::Config::open() };
        let embedded = server::embedded(Some(&dir), Schema::built_in(), config, &ctx.entropy).await.map_err(|e| {
            let diagnostic = Diagnostic::error("embedded-server", format!("{name}: the embedded server: {e}"))
                .help("another run may be using it: try again when it is done");
            Stop::with(Exit::Locked, diagnostic)
        })?;
        let access = Access { auth: Auth::Bearer(embedded.token.clone()), ca: None, identity: None };
        let url = embedded.url.clone();
        self.embedded.push(embedded);
        Ok((url, access))
    }

    /// True if a server of it lives in this process.
    pub(super) fn is_embedded(&self) -> bool {
        !self.embedded.is_empty()
    }

    /// Takes over the endpoints of an older fleet of the same targets, with their connections, rates and retry budgets,
    /// but for those that are refused now and those that are named.
    pub(super) fn keep(&mut self, older: &mut Self, but: &BTreeSet<EndpointName>) {
        let known: Vec<Place> = self.peers.keys().filter(|(_, endpoint)| !but.contains(endpoint)).cloned().collect();
        for place in known {
            if let Some(peer) = older.peers.remove(&place) {
                self.requests.extend(older.requests.remove(&place).map(|count| (place.clone(), count)));
                self.peers.insert(place, peer);
            }
        }
    }

    /// Stops the embedded servers, so that everything they hold is on disk.
    pub(super) async fn dismiss(self) {
        for embedded in self.embedded {
            drop(embedded.stop().await);
        }
    }
}

fn tap(listener: &Listener, operator: &Operator, target: &TargetName, endpoint: &EndpointName) -> Tap {
    let (listener, redactor) = (Arc::clone(listener), operator.redactor());
    let (target, endpoint) = (target.clone(), endpoint.clone());
    Tap {
        hide: Arc::new(move |text| redactor.hide(text)),
        tell: Arc::new(move |exchange| listener(&target, &endpoint, exchange)),
    }
}

/// The lowest of what the command line, the target and the API's description say.
fn speed(target: &TargetConfig, limits: &LimitArgs, rps: Option<u32>) -> (usize, Option<Rate>) {
    let concurrency = match (limits.concurrency, target.concurrency) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a.or(b).unwrap_or(CONCURRENCY),
    };
    let per_second = [limits.rate, target.rate, rps].into_iter().flatten().min();
    let rate = per_second.map(|n| Rate { per_second: f64::from(n), burst: target.burst.unwrap_or(n).max(1) });
    (concurrency as usize, rate)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) | Value::Secret(_) => None,
    }
}
