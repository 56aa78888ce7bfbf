//! One endpoint of a described API: how a request is sent, logged in and answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::credentials::{Access, Auth, SecretSource};
use crate::manifest::api::{
    ApiDescription, ApiOperation, AuthRule, Body, Choice, Content, EtagRule, LoginRule, Method, Template, TokenPlace,
};
use crate::model::{
    AfterCall, Cursor, Desired, Diagnostic, EndpointName, FieldPath, Kind, KindTable, Limits, Observation, Observed,
    ResourceId, Scope, Secret, TargetName, Value,
};
use crate::net::{Discretion, NetError, Transport};
use crate::target::{Fence, Greeting, Guarding, Outcome, Rehearsal, Target, TargetError, Write};
use crate::world::Clock;

use super::attempts::Attempts;
use super::fill::{Scene, query_string};
use super::hide::Hider;
use super::ids::Ids;
use super::observe::Found;
use super::response::Answer;
use super::shape::{Outline, outlines};
use super::{body, wire};

/// How long a list's page may take.
pub(super) const PAGE_TIME: Duration = Duration::from_secs(60);
/// How long any other request may take.
pub(super) const TIME: Duration = Duration::from_secs(10);

/// How long before its end a token is given up, at most.
const EARLY: Duration = Duration::from_secs(5);

/// What an [`HttpTarget`] is made of.
pub struct HttpConfig {
    /// What the API is like.
    pub description: Arc<ApiDescription>,
    /// The target's name.
    pub target: TargetName,
    /// Which of its endpoints.
    pub endpoint: EndpointName,
    /// Where it is: `http://host:port`, perhaps with a path.
    pub url: String,
    /// What it is approached with.
    pub access: Access,
    /// Resolves secrets of manifests.
    pub secrets: Arc<dyn SecretSource>,
    /// The values of the description's `params`.
    pub params: BTreeMap<String, String>,
    /// Tells the time.
    pub clock: Clock,
}

/// One endpoint of an HTTP API, driven by a description.
pub struct HttpTarget<X> {
    pub(super) api: Arc<ApiDescription>,
    pub(super) outlines: BTreeMap<Kind, Arc<Outline>>,
    pub(super) target: TargetName,
    pub(super) endpoint: EndpointName,
    pub(super) origin: String,
    root: String,
    base: String,
    access: Access,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) params: BTreeMap<String, String>,
    transport: X,
    pub(super) clock: Clock,
    hider: Hider,
    token: Mutex<Option<Token>>,
    /// Held by the one who logs in, so that many requests need one login.
    login: tokio::sync::Mutex<()>,
    pub(super) ids: Ids,
    pub(super) attempts: Attempts,
    pub(super) limits: Limits,
}

/// What a login answered with.
#[derive(Clone)]
struct Token {
    secret: Secret,
    /// From then on it is taken for dead.
    until: Option<Duration>,
    /// Which login it came from.
    number: u64,
}

/// One request, before it is turned into bytes.
#[derive(Default)]
pub(super) struct Call {
    pub(super) method: &'static str,
    /// From the origin on.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Bytes>,
    /// The secrets in it.
    pub(super) hider: Hider,
    pub(super) big: bool,
    pub(super) content: Content,
    /// The answer holds a secret if all is well: nobody keeps it.
    pub(super) login: bool,
}

impl<X: Transport> HttpTarget<X> {
    /// Checks that URL, description and parameters fit together; contacts nobody.
    pub fn new(config: HttpConfig, transport: X) -> Result<Self, Box<Diagnostic>> {
        let bad = |message: String| Box::new(Diagnostic::error("bad-endpoint", message));
        let HttpConfig { description: api, target, endpoint, url, access, secrets, params, clock } = config;
        let uri: http::Uri = url.parse().map_err(|e| bad(format!("{target}: `{url}` is not a URL: {e}")))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(bad(format!("{target}: `{url}` is not an http or https URL")));
        };
        if authority.as_str().contains('@') {
            return Err(bad(format!("{target}: a URL must not hold a user or a password; use a credential")));
        }
        if uri.query().is_some() {
            return Err(bad(format!("{target}: `{url}` must not hold a query")));
        }
        for name in &api.params {
            if !params.contains_key(name) {
                let bad = bad(format!("{target}: the description `{}` needs the parameter `{name}`", api.name));
                return Err(Box::new(bad.help(format!("add `values: {{{name}: …}}` to the target in ctl.yaml"))));
            }
        }
        let origin = format!("{scheme}://{}", authority.as_str().to_lowercase());
        let root = uri.path().trim_end_matches('/').to_owned();
        let scene = Scene { params: Some(&params), ..Scene::default() };
        let base = scene.path(&api.base).map_err(|why| bad(format!("{target}: base: {why}")))?;
        let base = base.trim_end_matches('/').to_owned();
        let mut hider = Hider::default();
        match &access.auth {
            Auth::None => {}
            Auth::Basic { user, password } => {
                hider.add(password);
                hider.add_text(&basic(user, password));
            }
            Auth::Bearer(secret) | Auth::Header { value: secret, .. } => hider.add(secret),
            Auth::Login(values) => values.values().for_each(|secret| hider.add(secret)),
        }
        Ok(Self {
            outlines: outlines(&api),
            api,
            target,
            endpoint,
            origin,
            root,
            base,
            access,
            secrets,
            params,
            transport,
            clock,
            hider,
            token: Mutex::new(None),
            login: tokio::sync::Mutex::new(()),
            ids: Ids::default(),
            attempts: Attempts::default(),
            limits: Limits::default(),
        })
    }

    /// The same, with answers of the sizes that these limits say.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The path of a request, from the origin on.
    pub(super) fn address(&self, scene: &Scene<'_>, template: &Template) -> Result<String, TargetError> {
        let path = scene.path(template).map_err(|why| TargetError::refused(format!("{template}: {why}")))?;
        let base = if template.rooted { "" } else { self.base.as_str() };
        Ok(format!("{}{base}{path}", self.root))
    }

    /// Sends one request with the endpoint's credential; logs in first where that is needed, and again once on a 401.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, TargetError> {
        let AuthRule::Login(rule) = &self.api.auth else { return self.exchange(call, None).await };
        let known = self.known_token();
        let before = known.as_ref().map_or(0, |token| token.number);
        let alive = known.filter(|token| token.until.is_none_or(|until| self.clock.boot() < until));
        if let Some(token) = alive {
            let answer = self.exchange(call, Some((rule, &token.secret))).await?;
            if answer.status != 401 {
                return Ok(answer);
            }
        }
        let turn = self.login.lock().await;
        let token = match self.known_token() {
            // Somebody else logged in meanwhile.
            Some(token) if token.number > before => token.secret,
            _ => self.login(rule, before + 1).await?,
        };
        drop(turn);
        self.exchange(call, Some((rule, &token))).await
    }

    fn known_token(&self) -> Option<Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn login(&self, rule: &LoginRule, number: u64) -> Result<Secret, TargetError> {
        let mut values = self.params.clone();
        let mut put = |name: &str, secret: &Secret| {
            #[expect(clippy::disallowed_methods, reason = "the bytes leave for the target")]
            values.insert(name.to_owned(), secret.expose().to_owned());
        };
        match &self.access.auth {
            Auth::Login(secrets) => secrets.iter().for_each(|(name, secret)| put(name, secret)),
            Auth::Basic { user, password } => {
                put("user", &Secret::new(user.as_str()));
                put("password", password);
            }
            Auth::None | Auth::Bearer(_) | Auth::Header { .. } => {}
        }
        let scene = Scene { params: Some(&values), ..Scene::default() };
        let filled = scene.body(&rule.body).map_err(|why| TargetError::refused(format!("login: {why}")))?;
        let mut bytes = Vec::new();
        let content = if rule.form { Content::Form } else { Content::Json };
        wire::write_as(&content, &filled, &wire::Resolved::new(), &mut bytes)
            .map_err(|why| TargetError::refused(format!("login: {why}")))?;
        let path = self.address(&scene, &rule.path)?;
        let call = Call { method: "POST", path, body: Some(bytes.into()), content, login: true, ..Call::default() };
        let asked = self.clock.boot();
        let answer = self.exchange(&call, None).await?;
        if !answer.is_success() {
            return Err(answer.no_entry(self.api.errors.as_ref(), self.clock.wall()));
        }
        if answer.not_ok(&self.api.ok).is_some() {
            // Without the server's own words nothing is shown: the answer may hold a token after all.
            let excerpt = answer.message(self.api.errors.as_ref()).unwrap_or_default();
            return Err(TargetError::Denied { request: answer.request, status: answer.status, excerpt });
        }
        let text = answer.text()?;
        let lives = match rule.expires.as_ref().map(|at| super::scan::value_at(text, at)) {
            Some(Ok(Some(Value::Number(seconds)))) => seconds.as_u64().map(Duration::from_secs),
            Some(Ok(Some(Value::String(seconds)))) => seconds.parse().ok().map(Duration::from_secs),
            // Without a number it is used until it is refused.
            Some(_) | None => None,
        };
        let (found, place) = match &rule.token {
            TokenPlace::Body(at) => {
                let found = super::scan::value_at(text, at).ok().flatten();
                (found.and_then(|token| token.as_str().map(str::to_owned)), format!("at `{at}`"))
            }
            TokenPlace::Header(name) => (answer.header(name).map(str::to_owned), format!("in the header `{name}`")),
            TokenPlace::Cookie(name) => {
                let cookie = answer.cookie(name).map(|value| format!("{name}={value}"));
                (cookie, format!("in the cookie `{name}`"))
            }
        };
        match found {
            Some(token) if !token.is_empty() => {
                let secret = Secret::new(token);
                // A token is given up a little early, for the request takes its time.
                let until = lives.map(|lives| asked + lives.saturating_sub((lives / 10).min(EARLY)));
                let token = Token { secret: secret.clone(), until, number };
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
                Ok(secret)
            }
            // The answer may hold a token somewhere else: nothing of it is shown.
            _ => Err(TargetError::Unreadable {
                request: answer.request,
                why: format!("the login's answer has no token {place}"),
                excerpt: String::new(),
            }),
        }
    }

    async fn exchange(&self, call: &Call, token: Option<(&LoginRule, &Secret)>) -> Result<Answer, TargetError> {
        let mut hider = self.hider.clone();
        hider.join(&call.hider);
        let url = format!("{}{}{}", self.origin, call.path, joined(&call.path, &call.query));
        let request_name = hider.clean(&format!("{} {url}", call.method));
        let unfit = |name: &str| TargetError::Refused {
            why: format!("{request_name}: the credential cannot stand in the header `{name}`"),
            help: Some(
                "see whether its value in the operator's file has a line break or another control character in it",
            ),
        };
        let mut builder = http::Request::builder().method(call.method).uri(&url).header("accept", "application/json");
        if call.body.is_some() {
            builder = builder.header("content-type", call.content.media());
        }
        for (name, value) in &call.headers {
            builder = builder.header(name, value);
        }
        for (name, value) in self.credential(token) {
            let mut value = http::HeaderValue::from_str(&value).map_err(|_| unfit(&name))?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        if let Some((_, token)) = token {
            hider.add(token);
        }
        if self.transport.is_heard() {
            let hider = hider.clone();
            let hide = Arc::new(move |text: &str| hider.clean(text));
            builder = builder.extension(Discretion { hide, keep_answer: !call.login });
        }
        let request = builder
            .body(call.body.clone().unwrap_or_default())
            .map_err(|e| TargetError::refused(format!("{request_name}: cannot be sent: {e}")))?;
        let (time, limit) = if call.big {
            (PAGE_TIME, self.limits.page)
        } else {
            // A write may be answered with all that it sent, and more.
            let sent = call.body.as_ref().map_or(0, |body| body.len().saturating_mul(4));
            (TIME, self.limits.object.max(sent.min(self.limits.page)))
        };
        match self.transport.send(request, time, limit).await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let status = parts.status.as_u16();
                Ok(Answer { request: request_name, status, headers: parts.headers, body, hider })
            }
            Err(NetError::Unsent { why }) => Err(TargetError::Unsent { why: hider.clean(&why), request: request_name }),
            Err(NetError::Distrusted { why }) => {
                Err(TargetError::Distrusted { why: hider.clean(&why), request: request_name })
            }
            Err(NetError::Unanswered { why }) => {
                Err(TargetError::Unanswered { why: hider.clean(&why), request: request_name })
            }
            Err(error @ (NetError::TooLarge { .. } | NetError::HeadersTooLarge { .. })) => {
                let word = match (&error, call.big) {
                    (NetError::HeadersTooLarge { .. }, _) => "header",
                    (_, true) => "page",
                    (_, false) => "object",
                };
                let why = Limits::told(word, error);
                Err(TargetError::TooLarge { request: request_name, why, excerpt: String::new() })
            }
        }
    }

    /// The headers that prove who sends.
    fn credential(&self, token: Option<(&LoginRule, &Secret)>) -> Vec<(String, String)> {
        if let Some((rule, token)) = token {
            #[expect(clippy::disallowed_methods, reason = "the bytes leave for the target")]
            return vec![(rule.header.clone(), format!("{}{}", rule.prefix, token.expose()))];
        }
        let authorization = "authorization".to_owned();
        match (&self.access.auth, &self.api.auth) {
            (Auth::None | Auth::Login(_), _) | (Auth::Basic { .. }, AuthRule::Login(_)) => Vec::new(),
            (Auth::Basic { user, password }, _) => vec![(authorization, format!("Basic {}", basic(user, password)))],
            (Auth::Bearer(secret), AuthRule::Header { name, prefix }) => vec![(name.clone(), prefixed(prefix, secret))],
            (Auth::Bearer(secret), _) => vec![(authorization, prefixed("Bearer ", secret))],
            (Auth::Header { name, value }, AuthRule::Header { name: said, prefix })
                if name.eq_ignore_ascii_case(said) =>
            {
                vec![(name.clone(), prefixed(prefix, value))]
            }
            (Auth::Header { name, value }, _) => vec![(name.clone(), prefixed("", value))],
        }
    }

    pub(super) fn refusal(&self, answer: &Answer) -> TargetError {
        answer.refusal(self.api.errors.as_ref(), self.clock.wall())
    }

    async fn hello(&self) -> Result<Greeting, TargetError> {
        let scene = Scene { params: Some(&self.params), ..Scene::default() };
        if let Some(health) = &self.api.health {
            let path = self.address(&scene, health)?;
            let answer = self.send(&Call { method: "GET", path, ..Call::default() }).await?;
            if !answer.is_success() {
                return Err(self.refusal(&answer));
            }
        }
        let Some(rule) = &self.api.identity else {
            return Ok(Greeting { identity: format!("{}{}{}", self.origin, self.root, self.base) });
        };
        let path = self.address(&scene, &rule.get)?;
        let answer = self.send(&Call { method: "GET", path, ..Call::default() }).await?;
        if !answer.is_success() {
            return Err(self.refusal(&answer));
        }
        let text = answer.text()?;
        let found = super::scan::value_at(text, &rule.at).map_err(|why| answer.unreadable(why))?;
        match found.as_ref().and_then(super::fill::text_of) {
            Some(identity) => Ok(Greeting { identity }),
            None => Err(answer.unreadable(format!("nothing at `{}` says who this is", rule.at))),
        }
    }

    fn guards(&self, write: &Write<'_>) -> Option<Guarding> {
        let ty = self.api.types.get(&write.id().kind)?;
        let conditional = ty.version.is_some() || matches!(ty.etag, EtagRule::IfMatch { .. });
        let by_own_path = |op: &ApiOperation| {
            let rules = self.api.table().get(&ty.kind);
            let key: Vec<FieldPath> = rules.iter().flat_map(|r| &r.key).map(|k| k.path.clone()).collect();
            // An ancestor's id is of that very ancestor, and of none that is made in its place.
            let above = |name: &str| rules.iter().flat_map(|r| &r.ancestors).any(|rule| rule.hole == name);
            op.path.holes().all(|h| key.contains(&h.path()) || self.params.contains_key(&h.name) || above(&h.name))
        };
        let can_look_up = true;
        Some(match write {
            Write::Create { .. } => {
                let op = ty.create.as_ref()?;
                let strict = matches!(ty.etag, EtagRule::IfMatch { .. }) && op.method == Method::Put;
                let fresh_read = !strict && op.method != Method::Post;
                let may_repeat =
                    (op.method == Method::Put && by_own_path(op) && !strict) || ty.idempotency_key.is_some();
                Guarding { fresh_read, may_repeat, can_look_up }
            }
            Write::Update { .. } | Write::Unmark { .. } => {
                let op = ty.update.as_ref()?;
                let guarded = conditional && write.token().is_some();
                let whole = op.method == Method::Put && op.body == Body::All && by_own_path(op);
                let fresh_read = !guarded || matches!(op.body.choice(), Choice::Merged | Choice::Fields);
                Guarding { fresh_read, may_repeat: whole && !conditional, can_look_up }
            }
            Write::Delete { .. } => {
                let op = ty.delete.as_ref()?;
                let guarded = conditional && write.token().is_some();
                Guarding { fresh_read: !guarded, may_repeat: op.method == Method::Delete, can_look_up }
            }
        })
    }
}

fn joined(path: &str, query: &[(String, String)]) -> String {
    let text = query_string(query);
    if path.contains('?') { text.replacen('?', "&", 1) } else { text }
}

fn prefixed(prefix: &str, secret: &Secret) -> String {
    #[expect(clippy::disallowed_methods, reason = "the bytes leave for the target")]
    let plain = secret.expose();
    if plain.starts_with(prefix) { plain.to_owned() } else { format!("{prefix}{plain}") }
}

fn basic(user: &str, password: &Secret) -> String {
    #[expect(clippy::disallowed_methods, reason = "the bytes leave for the target")]
    let plain = password.expose();
    STANDARD.encode(format!("{user}:{plain}"))
}

impl<X: Transport> Target for HttpTarget<X> {
    fn kinds(&self) -> &KindTable {
        self.api.table()
    }

    fn audit(&self, wanted: &[&Desired]) -> Vec<Diagnostic> {
        wanted.iter().flat_map(|desired| body::audit(&self.api, desired)).map(|finding| finding.diagnostic).collect()
    }

    async fn greet(&self) -> Result<Greeting, TargetError> {
        self.hello().await
    }

    async fn observe(&self, scope: &Scope, since: Option<&Cursor>) -> Result<Observation, TargetError> {
        if scope.endpoint != self.endpoint {
            let why = format!("the scope belongs to the endpoint `{}`, this is `{}`", scope.endpoint, self.endpoint);
            return Err(TargetError::refused(why));
        }
        let shape = self.shape(&scope.kind).await?;
        // What an id stands for may have another name by now, and the list's tag does not tell.
        let since = since.filter(|_| !shape.rules.needs_ids());
        Ok(match self.list(&shape, scope.parent.as_ref(), since).await? {
            Found::Listed(listing) => Observation::Listed(listing),
            Found::Nowhere => Observation::NoSuchKind,
            Found::Unchanged => Observation::Unchanged,
            // Only kinds without ids of others are asked so, and nobody learns ids from a part of a list.
            Found::Changed(changes) => Observation::Changed(changes),
        })
    }

    async fn read(&self, id: &ResourceId, known: Option<&Observed>) -> Result<Option<Observed>, TargetError> {
        let found = self.read_one(id, known).await?;
        self.learn(id, found.as_ref());
        Ok(found)
    }

    async fn rehearse(&self, write: &Write<'_>) -> Result<Rehearsal, TargetError> {
        self.try_out(write).await
    }

    async fn write(&self, write: &Write<'_>, fence: Option<Fence>) -> Result<Outcome, TargetError> {
        let outcome = self.carry_out(write, fence).await?;
        match (&outcome, write) {
            (Outcome::Done(observed), _) => self.learn(write.id(), Some(&**observed)),
            // What is made anew has another id than what was there before, shown or not.
            (Outcome::Gone | Outcome::SaidGone, _) | (Outcome::DoneUnseen, Write::Create { .. }) => {
                self.learn(write.id(), None);
            }
            (Outcome::DoneUnseen, Write::Update { .. } | Write::Delete { .. } | Write::Unmark { .. }) => {}
        }
        Ok(outcome)
    }

    fn calls_after(&self, written: &BTreeSet<Kind>) -> Vec<AfterCall> {
        self.api.calls_after(written)
    }

    async fn call_after(&self, call: &AfterCall, fence: Option<Fence>) -> Result<(), TargetError> {
        self.call(call, fence).await
    }

    fn guarding(&self, write: &Write<'_>) -> Guarding {
        self.guards(write).unwrap_or(Guarding { fresh_read: true, may_repeat: false, can_look_up: true })
    }
}
