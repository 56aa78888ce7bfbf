//! Speaks to a running watcher: finds it, proves who asks, and says plainly what is in the way.

use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::args::RemoteArgs;
use super::load::located;
use super::{Context, Exit, Stop};
use crate::credentials::Redactor;
use crate::model::{Answer, Diagnostic, Digest, Order, Secret, Status};
use crate::net::{Flow, HttpTransport, NetError, Tls, Transport, is_loopback, without_credentials};
use crate::source::locate;
use crate::store::current_process;

/// How long the watcher may take to answer. It answers from memory.
const DEADLINE: Duration = Duration::from_secs(10);
/// The same for an order that it tells the other watchers before it answers: several calls to the record's remote.
const TELLING: Duration = Duration::from_secs(45);
/// The largest answer that is read: 200 pending operations for each of some hundred targets.
const LIMIT: usize = 64 << 20;
/// The largest address or token file that is read.
const SMALL: u64 = 64 << 10;

/// Where the watcher of a project keeps what concerns only this machine: its `address`, and the `token` that its orders
/// want. `folder` is the project's, from the repository's root.
pub(super) fn watch_dir(state: &Path, common_dir: &Path, folder: &str) -> PathBuf {
    let name = format!("{}\n{folder}", common_dir.display());
    state.join("watch").join(Digest::of(name.as_bytes()).short(16))
}

/// What a watcher writes into its folder once it listens.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Address {
    /// Where it listens: `http://127.0.0.1:9090`.
    pub url: String,
    /// Its process.
    pub pid: u32,
}

/// A watcher that can be asked.
pub(super) struct Watcher {
    base: String,
    token: Option<Secret>,
    /// Who gives orders, as they call themselves.
    who: String,
    transport: HttpTransport,
    /// The process that wrote the address down; none where a person named it.
    pid: Option<u32>,
    /// Hides the token in whatever is printed.
    pub redactor: Redactor,
}

/// Finds the watcher: the one that was named, else the one that wrote its address into the state folder. `None` if there
/// is none of this project here.
pub(super) fn find(ctx: &Context, args: &RemoteArgs) -> Result<Option<Watcher>, Stop> {
    let named = args.server.as_deref().map(str::trim).filter(|url| !url.is_empty());
    let (url, pid, own) = match named {
        Some(url) => (url.to_owned(), None, None),
        None => match written_down(ctx, &args.source)? {
            Some((address, dir)) => (address.url, Some(address.pid), Some(dir.join("token"))),
            None => return Ok(None),
        },
    };
    let base = base(&url)?;
    let from_env = || ctx.env.get("CTL_TOKEN").filter(|token| !token.trim().is_empty());
    let token = match (&args.token_file, from_env(), own) {
        (Some(file), _, _) => Some(token(&ctx.path(file))?),
        (None, Some(token), _) => Some(Secret::new(token.trim())),
        // The token of the watcher here goes to the watcher here, and to no server that somebody names.
        (None, None, Some(file)) if file.exists() => Some(token(&file)?),
        (None, None, _) => None,
    };
    if token.is_some() && base.starts_with("http://") && !is_loopback(&base) {
        let message = format!("the token would go to {base} in the clear");
        let help = "use https://, or a tunnel to the watcher's machine: `ssh -L 9090:127.0.0.1:9090 HOST`";
        return Err(Stop::with(Exit::Usage, Diagnostic::error("plain-http", message).help(help)));
    }
    let transport = HttpTransport::new(&base, Tls::default())
        .map_err(|e| Stop::with(Exit::Failed, Diagnostic::error("bad-server", e.to_string())))?;
    let redactor = Redactor::default();
    if let Some(token) = &token {
        redactor.learn("token", token);
    }
    let who = current_process(&ctx.user()).who;
    Ok(Some(Watcher { base, token, who, transport, pid, redactor }))
}

/// As [`find`], where nothing can be done without one.
pub(super) fn need(ctx: &Context, args: &RemoteArgs) -> Result<Watcher, Stop> {
    find(ctx, args)?.ok_or_else(|| {
        let message = "no watcher of this project runs on this machine, as far as its state folder says";
        let help = "start one with `ctl watch --listen 127.0.0.1:9090`, or name one with --server URL or CTL_SERVER";
        Stop::with(Exit::Unreachable, Diagnostic::error("no-watcher", message).help(help))
    })
}

impl Watcher {
    /// True if a person named it; else it was found in the state folder, and may have died since.
    pub(super) fn is_named(&self) -> bool {
        self.pid.is_none()
    }

    /// How it stands; with the address of a resource (or a glob), also which there are.
    pub(super) async fn status(&self, address: Option<&str>) -> Result<Status, Stop> {
        let path = match address {
            Some(address) => format!("/v1/status?resource={}", utf8_percent_encode(address, NON_ALPHANUMERIC)),
            None => "/v1/status".to_owned(),
        };
        let response = self.send(Method::GET, &path, Bytes::new()).await.map_err(|e| self.away(e, false))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response.status(), response.body()));
        }
        let status: Status = self.parsed(&response)?;
        if !status.format_version.starts_with("1.") {
            let version = &status.format_version;
            let message =
                format!("the watcher at {} speaks another format (`{version}`) than this ctl (1.0)", self.base);
            let help = "use the ctl of the watcher's version";
            return Err(Stop::with(Exit::Failed, Diagnostic::error("watcher-answer", message).help(help)));
        }
        Ok(status)
    }

    /// Gives an order. It is sent once: one that was not answered may have arrived.
    pub(super) async fn order(&self, order: &Order) -> Result<Answer, Stop> {
        let body = serde_json::to_vec(order)
            .map_err(|e| Stop::with(Exit::Failed, Diagnostic::error("bad-order", e.to_string())))?;
        let deadline = match order {
            Order::Retry { .. } => DEADLINE,
            Order::Suspend { .. } | Order::Resume { .. } | Order::Rollback { .. } | Order::Approve { .. } => TELLING,
        };
        let sent = self.send_within(Method::POST, "/v1/orders", Bytes::from(body), deadline).await;
        let response = sent.map_err(|e| self.away(e, true))?;
        match response.status() {
            StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT => {
                let answer: Answer = self.parsed(&response)?;
                let accepted = answer.accepted && response.status() != StatusCode::CONFLICT;
                Ok(Answer { accepted, ..answer })
            }
            status => Err(self.refused(status, response.body())),
        }
    }

    /// The events that it still knows, as they are written: an entry a line.
    pub(super) async fn events(&self, since: &str) -> Result<Bytes, Stop> {
        let path = format!("/v1/events?since={since}");
        let response = self.send(Method::GET, &path, Bytes::new()).await.map_err(|e| self.away(e, false))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response.status(), response.body()));
        }
        Ok(response.into_body())
    }

    /// The same, and all that come later.
    pub(super) async fn follow(&self, since: &str) -> Result<Flow, Stop> {
        let request = self.request(Method::GET, &format!("/v1/events?since={since}&follow=1"), ())?;
        let mut flow = self.transport.open(request, DEADLINE).await.map_err(|e| self.away(Away::Net(e), false))?;
        if flow.status() != StatusCode::OK {
            let body = flow.next(DEADLINE).await.ok().flatten().unwrap_or_default();
            return Err(self.refused(flow.status(), &body));
        }
        Ok(flow)
    }

    fn request<B>(&self, method: Method, path: &str, body: B) -> Result<Request<B>, Stop> {
        let bad = |why: String| Stop::with(Exit::Usage, Diagnostic::error("bad-server", why));
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|e: http::uri::InvalidUri| bad(e.to_string()))?;
        let mut request = Request::new(body);
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            // A name that no header can hold is none that anybody could read.
            if let Ok(who) = HeaderValue::from_str(&self.who) {
                headers.insert("x-ctl-who", who);
            }
        }
        if let Some(token) = &self.token {
            #[expect(clippy::disallowed_methods, reason = "the token proves to the watcher who asks")]
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|_| {
                let message = "the token holds a character that no header may hold";
                let help = "a token is one line of letters, digits and signs";
                Stop::with(Exit::Usage, Diagnostic::error("bad-token", message).help(help))
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        *request.method_mut() = method;
        Ok(request)
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Bytes>, Away> {
        self.send_within(method, path, body, DEADLINE).await
    }

    async fn send_within(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Response<Bytes>, Away> {
        let request = self.request(method, path, body).map_err(Away::Stop)?;
        self.transport.send(request, deadline, LIMIT).await.map_err(Away::Net)
    }

    /// What the answer says, if it is what a watcher says.
    fn parsed<T: serde::de::DeserializeOwned>(&self, response: &Response<Bytes>) -> Result<T, Stop> {
        serde_json::from_slice(response.body()).map_err(|e| {
            let sort =
                response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("of no stated sort");
            let message = format!(
                "{} answered {} with something that no watcher says ({sort}: {e})",
                self.base,
                response.status().as_u16()
            );
            let help = "does the address name the --listen of `ctl watch`, and not a proxy or a login page?";
            Stop::with(Exit::Failed, Diagnostic::error("watcher-answer", message).help(help))
        })
    }

    fn away(&self, away: Away, order: bool) -> Stop {
        let error = match away {
            Away::Stop(stop) => return stop,
            Away::Net(error) => error,
        };
        let base = &self.base;
        let (message, help) = match error {
            NetError::Unsent { why } => (
                format!("the watcher at {base} cannot be reached: {why}"),
                match self.pid {
                    Some(pid) => format!("it ran as process {pid}; see its log, and start `ctl watch` again"),
                    None => "does it run, and does --server name its --listen address?".to_owned(),
                },
            ),
            NetError::Distrusted { why } => (
                format!("the watcher at {base} and this command do not trust each other: {why}"),
                "what answers there for the watcher needs a certificate that this machine trusts".to_owned(),
            ),
            NetError::Unanswered { why } if order => (
                format!("nobody knows whether the order arrived at {base}: {why}"),
                "look at `ctl status`, and give the order again if it is not there".to_owned(),
            ),
            NetError::Unanswered { why } => (
                format!("the watcher at {base} did not answer: {why}"),
                "it may hang or be stopped: see its log; a supervisor restarts it by its watchdog".to_owned(),
            ),
            NetError::TooLarge { .. } | NetError::HeadersTooLarge { .. } => (
                format!("the answer of {base} is too large for a watcher's: {error}"),
                "does the address name the --listen of `ctl watch`?".to_owned(),
            ),
        };
        Stop::with(Exit::Unreachable, Diagnostic::error("watcher-unreachable", message).help(help))
    }

    /// What an answer means that is not the one that was asked for.
    fn refused(&self, status: StatusCode, body: &Bytes) -> Stop {
        let base = &self.base;
        let said = serde_json::from_slice::<Answer>(body).ok();
        let told = said.as_ref().map(|a| a.message.clone()).or_else(|| plain(body));
        let told = told.map(|words| format!(": {words}")).unwrap_or_default();
        let (exit, code, message, help) = match status.as_u16() {
            401 if self.token.is_none() => (
                Exit::Denied,
                "watcher-denied",
                format!("the watcher at {base} wants a token"),
                "give it with --token-file FILE, or in CTL_TOKEN",
            ),
            401 => (
                Exit::Denied,
                "watcher-denied",
                format!("the watcher at {base} does not know this token{told}"),
                "use the token of its --token-file (for orders) or --read-token-file",
            ),
            403 => (
                Exit::Denied,
                "watcher-denied",
                format!("the watcher at {base} does not allow that with this token{told}"),
                "orders want the token of its --token-file",
            ),
            300..=399 => (
                Exit::Failed,
                "watcher-answer",
                format!("{base} answers with a redirect ({}), which is never followed", status.as_u16()),
                "name the address that it leads to, if it is the watcher's",
            ),
            429 | 500..=599 => (
                Exit::Unreachable,
                "watcher-unreachable",
                format!("the watcher at {base} answered {}{told}", status.as_u16()),
                "try again; see its log if it stays so",
            ),
            code => (
                Exit::Failed,
                "watcher-answer",
                format!("{base} answered {code}{told}"),
                "does the address name the --listen of `ctl watch`, of this version?",
            ),
        };
        let help = said.and_then(|a| a.help).unwrap_or_else(|| help.to_owned());
        Stop::with(exit, Diagnostic::error(code, self.redactor.hide(&message)).help(help))
    }
}

/// What a short answer in plain words says; nothing of a page.
fn plain(body: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let short = !text.is_empty() && text.len() <= 300 && !text.starts_with(['<', '{']);
    short.then(|| text.replace('\n', "; "))
}

/// Why there is no answer.
enum Away {
    Net(NetError),
    Stop(Stop),
}

/// The address that the watcher of a project wrote down, and its folder. A folder inside of the project will do.
fn written_down(ctx: &Context, source: &str) -> Result<Option<(Address, PathBuf)>, Stop> {
    let text = located(ctx, source);
    // Somebody may ask from anywhere: no repository here is no watcher here.
    let Ok(Some((common_dir, folder))) = locate(&text, &ctx.state) else { return Ok(None) };
    let mut folder = folder.as_str();
    loop {
        let dir = watch_dir(&ctx.state, &common_dir, folder);
        if let Some(text) = own_file(&dir.join("address"), 0o022)? {
            let address = serde_json::from_str(&text).map_err(|e| {
                let message = format!("{} is not what a watcher writes: {e}", dir.join("address").display());
                Stop::with(Exit::Failed, Diagnostic::error("bad-server", message).help("name it with --server URL"))
            })?;
            return Ok(Some((address, dir)));
        }
        match folder.rsplit_once('/') {
            Some((above, _)) => folder = above,
            None if !folder.is_empty() => folder = "",
            None => return Ok(None),
        }
    }
}

/// A file that only its owner decides about; `None` if there is none. `never` are the mode bits that it may not have.
fn own_file(path: &Path, never: u32) -> Result<Option<String>, Stop> {
    let unreadable = |why: String| {
        let help = "check the path and who may read it";
        Stop::with(Exit::Failed, Diagnostic::error("cannot-read", format!("{}: {why}", path.display())).help(help))
    };
    let mut options = std::fs::OpenOptions::new();
    // A pipe would hold us up.
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e.to_string())),
    };
    let about = file.metadata().map_err(|e| unreadable(e.to_string()))?;
    let me = rustix::process::geteuid();
    if !about.is_file() || !(me.is_root() || about.uid() == me.as_raw()) || about.mode() & never != 0 {
        let message = format!(
            "{} is not a file that only you decide about (owner {}, mode {:04o})",
            path.display(),
            about.uid(),
            about.mode() & 0o7777
        );
        let help = format!("`chmod 600 {}`, or run as its owner", path.display());
        return Err(Stop::with(Exit::Refused, Diagnostic::error("token-readable", message).help(help)));
    }
    let mut text = String::new();
    file.by_ref().take(SMALL).read_to_string(&mut text).map_err(|e| unreadable(e.to_string()))?;
    Ok(Some(text))
}

fn token(path: &Path) -> Result<Secret, Stop> {
    let text = own_file(path, 0o077)?.ok_or_else(|| {
        let message = format!("there is no {}", path.display());
        let help = "check the path and who may read it";
        Stop::with(Exit::Failed, Diagnostic::error("cannot-read", message).help(help))
    })?;
    if text.trim().is_empty() {
        let message = format!("{} holds no token", path.display());
        let help = "put the text of the watcher's --token-file there";
        return Err(Stop::with(Exit::Usage, Diagnostic::error("bad-token", message).help(help)));
    }
    Ok(Secret::new(text.trim()))
}

/// The address without a slash at its end, if it is one.
fn base(url: &str) -> Result<String, Stop> {
    let bad = |why: &str| {
        let message = format!("`{}` is not the address of a watcher: {why}", without_credentials(url));
        let help = "write it as http://127.0.0.1:9090 or https://ctl.example";
        Err(Stop::with(Exit::Usage, Diagnostic::error("bad-server", message).help(help)))
    };
    let Ok(uri) = url.parse::<Uri>() else { return bad("it is no URL") };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return bad("it begins neither with http:// nor with https://");
    };
    if authority.as_str().contains('@') {
        return bad("it holds a user or a password; a token comes in a file");
    }
    if authority.host().is_empty() {
        return bad("it names no host");
    }
    if uri.query().is_some() || url.contains('#') {
        return bad("it ends in a query or a fragment");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
