//! etcd as a [`Coordinator`], through the JSON gateway that every member serves beside its own protocol (`/v3/…`, since
//! etcd 3.4). What is particular about it:
//!
//! * 64-bit numbers are strings in answers, and a number that is zero is left out;
//! * the keep-alive of a lease that is gone is HTTP 200, without a `TTL`;
//! * what fails says so in its body (`code`, as gRPC counts them); the HTTP status alone would be ambiguous: 404 is a
//!   lease that is gone, and an address that is no gateway.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::coordinator::{Coordinator, CoordinatorError, LeaseId, Seat};
use crate::model::Secret;
use crate::net::{HttpTransport, NetError, Tls, Transport};
use crate::world::Clock;

/// Bytes of one answer: some ten thousand keys.
const ANSWER: usize = 8 << 20;
/// How often the members are gone through, as long as there is time: a kept connection that a member closed says
/// nothing about the member.
const ROUNDS: usize = 2;

/// Where the members are, and how they are spoken to.
#[derive(Clone, Debug, Default)]
pub struct EtcdConfig {
    /// `http://` or `https://` with host and port, one for each member. Tried in order, the last that answered first.
    pub endpoints: Vec<String>,
    /// Certificates of a private authority, in PEM, besides the system's.
    pub ca: Option<Vec<u8>>,
    /// A client certificate and its key, in PEM: how etcd knows us.
    pub identity: Option<Secret>,
}

/// An address that is none of etcd's, or a certificate that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{endpoint}` cannot be used as etcd: {why}")]
pub struct BadEtcd {
    /// What was given, without what may be a password.
    pub endpoint: String,
    /// What is wrong with it.
    pub why: String,
}

/// A cluster of etcd.
#[derive(Debug)]
pub struct Etcd<T = HttpTransport> {
    members: Vec<Member<T>>,
    /// The member that answered last.
    favourite: AtomicUsize,
    clock: Clock,
}

#[derive(Debug)]
struct Member<T> {
    origin: String,
    transport: T,
}

impl Etcd {
    /// Makes a client. Contacts nobody.
    pub fn new(config: &EtcdConfig, clock: Clock) -> Result<Self, BadEtcd> {
        let mut members = Vec::new();
        for endpoint in &config.endpoints {
            let origin = origin(endpoint)?;
            let tls = Tls { ca: config.ca.as_deref(), identity: config.identity.as_ref() };
            let transport = HttpTransport::new(&origin, tls)
                .map_err(|e| BadEtcd { endpoint: origin.clone(), why: e.to_string() })?;
            members.push((origin, transport));
        }
        Self::over(members, clock)
    }
}

impl<T: Transport> Etcd<T> {
    /// A cluster whose members are reached through the given transports; tests put theirs here.
    pub fn over(members: Vec<(String, T)>, clock: Clock) -> Result<Self, BadEtcd> {
        if members.is_empty() {
            return Err(BadEtcd { endpoint: String::new(), why: "no member is named".to_owned() });
        }
        let members = members.into_iter().map(|(origin, transport)| Member { origin, transport }).collect();
        Ok(Self { members, favourite: AtomicUsize::new(0), clock })
    }

    /// Asks one member after the other until one answers. Each gets its part of the time that is left, so that one that
    /// hangs leaves some for the others.
    async fn ask(&self, path: &str, body: &Value, within: Duration) -> Result<Bytes, CoordinatorError> {
        let end = self.clock.boot().saturating_add(within);
        let body = Bytes::from(body.to_string());
        let count = self.members.len();
        let first = self.favourite.load(Ordering::Relaxed);
        // The first of each says more than the second.
        let mut failures = BTreeMap::new();
        let mut no_leader = false;
        for attempt in 0..ROUNDS * count {
            let left = end.saturating_sub(self.clock.boot());
            if left.is_zero() {
                break;
            }
            let at = (first + attempt) % count;
            let Some(member) = self.members.get(at) else { continue };
            let others = u32::try_from(count - attempt % count).unwrap_or(1);
            // In tenths of a second, because it is shown.
            let part = Duration::from_millis(u64::try_from((left / others).as_millis()).unwrap_or(0) / 100 * 100);
            if part.is_zero() {
                break;
            }
            let failure = match self.ask_one(member, path, body.clone(), part).await {
                Ok(answer) => {
                    self.favourite.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(CoordinatorError::NoLeader { why }) => {
                    no_leader = true;
                    why
                }
                Err(CoordinatorError::Unreachable { why }) => why,
                // What one member says of leases, rights and its own language, all of them say.
                Err(error) => return Err(error),
            };
            failures.entry(at).or_insert_with(|| format!("{}: {failure}", member.origin));
        }
        let why = failures.into_values().collect::<Vec<_>>().join("; ");
        Err(if no_leader { CoordinatorError::NoLeader { why } } else { CoordinatorError::Unreachable { why } })
    }

    async fn ask_one(
        &self,
        member: &Member<T>,
        path: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, CoordinatorError> {
        let request = http::Request::post(format!("{}{path}", member.origin))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|e| CoordinatorError::Odd { why: e.to_string() })?;
        let answer = match member.transport.send(request, within, ANSWER).await {
            Ok(answer) => answer,
            Err(error @ (NetError::Unsent { .. } | NetError::Distrusted { .. } | NetError::Unanswered { .. })) => {
                return Err(CoordinatorError::Unreachable { why: error.to_string() });
            }
            Err(error @ (NetError::TooLarge { .. } | NetError::HeadersTooLarge { .. })) => {
                return Err(CoordinatorError::Odd { why: error.to_string() });
            }
        };
        let status = answer.status();
        if status == http::StatusCode::OK { Ok(answer.into_body()) } else { Err(refusal(status, answer.body())) }
    }
}

/// `http://host:port`, as a request begins with.
fn origin(endpoint: &str) -> Result<String, BadEtcd> {
    let endpoint = endpoint.trim();
    let shown = endpoint.rsplit_once('@').map_or(endpoint, |(_, host)| host).to_owned();
    let bad = |why: &str| BadEtcd { endpoint: shown.clone(), why: why.to_owned() };
    let uri: http::Uri = endpoint.parse().map_err(|_| bad("it is not a URL"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !["http", "https"].contains(&scheme) {
        return Err(bad("it must begin with http:// or https://"));
    }
    let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(bad("a password has no place in an address"));
    }
    if !["", "/"].contains(&uri.path()) || uri.query().is_some() {
        return Err(bad("it must end with the port"));
    }
    Ok(format!("{scheme}://{authority}"))
}

/// What a member says when it does not do something: newer ones name the text `message` only.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    message: String,
}

impl Refusal {
    fn text(&self) -> String {
        match (&self.error, self.message.is_empty()) {
            (Some(Value::String(text)), true) => text.clone(),
            _ => self.message.clone(),
        }
    }
}

fn refusal(status: http::StatusCode, body: &[u8]) -> CoordinatorError {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
        let why = format!("HTTP {}", status.as_u16());
        return match status.as_u16() {
            500.. | 429 => CoordinatorError::Unreachable { why },
            300..400 => CoordinatorError::Odd { why: format!("{why}: it redirects, and redirects are not followed") },
            _ => CoordinatorError::Odd { why: format!("{why}, as of a server that is no etcd") },
        };
    };
    understood(status.as_u16(), &refusal)
}

/// The codes are gRPC's.
fn understood(status: u16, refusal: &Refusal) -> CoordinatorError {
    let why = refusal.text();
    let denied = |help: &str| CoordinatorError::Denied { why: why.clone(), help: help.to_owned() };
    match refusal.code {
        5 if why.contains("lease not found") => CoordinatorError::LeaseLost,
        3 if why.contains("user name is empty") => {
            denied("etcd wants to know who asks: give ctl a client certificate, or an etcd without authentication")
        }
        16 => denied("etcd does not know who asks: see `etcdctl auth status` and ctl's client certificate"),
        7 => denied("give ctl's role read and write permission for its prefix: `etcdctl role grant-permission`"),
        8 => denied("etcd takes no more writes: see `etcdctl alarm list` and `etcdctl endpoint status`"),
        4 | 14 => CoordinatorError::NoLeader { why },
        code => {
            let why = format!("HTTP {status}, code {code}: {why}");
            if status >= 500 { CoordinatorError::Unreachable { why } } else { CoordinatorError::Odd { why } }
        }
    }
}

/// A whole number, as a string or as itself.
fn number<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    let wrong = |found: &Value| serde::de::Error::custom(format!("{found} is not a whole number"));
    match Value::deserialize(input)? {
        Value::String(text) => text.parse().map_err(|_| wrong(&Value::String(text))),
        Value::Number(number) => number.as_i64().ok_or_else(|| wrong(&Value::Number(number))),
        other => Err(wrong(&other)),
    }
}

#[derive(Deserialize)]
struct Lease {
    #[serde(rename = "ID", default, deserialize_with = "number")]
    id: i64,
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    ttl: i64,
}

/// The keep-alive is a stream of answers; the first one is ours.
#[derive(Deserialize)]
struct Streamed {
    result: Option<Lease>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Txn {
    #[serde(default)]
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Response {
    response_range: Option<Range>,
}

#[derive(Deserialize, Default)]
struct Range {
    #[serde(default)]
    kvs: Vec<Kv>,
    #[serde(default)]
    more: bool,
}

#[derive(Deserialize)]
struct Kv {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default, deserialize_with = "number")]
    create_revision: i64,
    #[serde(default, deserialize_with = "number")]
    version: i64,
    #[serde(default, deserialize_with = "number")]
    lease: i64,
}

impl Kv {
    fn into_seat(self) -> Result<Seat, CoordinatorError> {
        let text = |encoded: &str| BASE64.decode(encoded).map_err(|_| odd(&"a key or a value is not base64"));
        Ok(Seat {
            // Somebody else's may be anything; ours is always text.
            key: String::from_utf8_lossy(&text(&self.key)?).into_owned(),
            value: String::from_utf8_lossy(&text(&self.value)?).into_owned(),
            created: u64::try_from(self.create_revision)
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| odd(&"a key without the revision that made it"))?,
            untouched: self.version == 1,
            lease: (self.lease != 0).then_some(LeaseId(self.lease)),
        })
    }
}

fn odd(why: &dyn std::fmt::Display) -> CoordinatorError {
    CoordinatorError::Odd { why: why.to_string() }
}

fn read<'a, R: Deserialize<'a>>(answer: &'a [u8]) -> Result<R, CoordinatorError> {
    serde_json::from_slice(answer).map_err(|e| odd(&e))
}

/// The ranges of a transaction's answer, in the order in which they were asked for.
fn ranges(answer: &[u8]) -> Result<Vec<Vec<Seat>>, CoordinatorError> {
    let ranges = read::<Txn>(answer)?.responses.into_iter().filter_map(|r| r.response_range);
    ranges
        .map(|range| {
            if range.more {
                return Err(odd(&"a list of keys is cut off"));
            }
            range.kvs.into_iter().map(Kv::into_seat).collect()
        })
        .collect()
}

/// The first key after all that begin with `prefix`.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

fn encoded(text: impl AsRef<[u8]>) -> String {
    BASE64.encode(text)
}

fn made_in(key: &str, revision: u64) -> Value {
    json!({"key": encoded(key), "target": "CREATE", "result": "EQUAL", "create_revision": revision.to_string()})
}

impl<T: Transport> Coordinator for Etcd<T> {
    async fn grant(&self, ttl: Duration, within: Duration) -> Result<LeaseId, CoordinatorError> {
        let wanted = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let answer = self.ask("/v3/lease/grant", &json!({"TTL": wanted.to_string()}), within).await?;
        let lease: Lease = read(&answer)?;
        if lease.id == 0 || u64::try_from(lease.ttl).is_ok_and(|ttl| ttl < wanted) || lease.ttl <= 0 {
            return Err(odd(&format!("a lease of {} s where {wanted} s were asked for", lease.ttl)));
        }
        Ok(LeaseId(lease.id))
    }

    async fn keep_alive(&self, lease: LeaseId, within: Duration) -> Result<Duration, CoordinatorError> {
        let answer = self.ask("/v3/lease/keepalive", &json!({"ID": lease.0.to_string()}), within).await?;
        let first = serde_json::Deserializer::from_slice(&answer).into_iter::<Streamed>().next();
        let streamed = first.ok_or_else(|| odd(&"an empty answer to a keep-alive"))?.map_err(|e| odd(&e))?;
        match streamed {
            Streamed { error: Some(refusal), .. } => Err(understood(200, &refusal)),
            Streamed { result: Some(found), .. } if found.id == lease.0 && found.ttl > 0 => {
                Ok(Duration::from_secs(found.ttl.unsigned_abs()))
            }
            Streamed { result: Some(found), .. } if found.id == lease.0 => Err(CoordinatorError::LeaseLost),
            Streamed { .. } => Err(odd(&"an answer about another lease")),
        }
    }

    async fn revoke(&self, lease: LeaseId, within: Duration) -> Result<(), CoordinatorError> {
        match self.ask("/v3/lease/revoke", &json!({"ID": lease.0.to_string()}), within).await {
            Ok(_) | Err(CoordinatorError::LeaseLost) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn claim(&self, key: &str, value: &str, lease: LeaseId, within: Duration) -> Result<Seat, CoordinatorError> {
        let put = json!({"key": encoded(key), "value": encoded(value), "lease": lease.0.to_string()});
        let look = json!({"request_range": {"key": encoded(key)}});
        let body = json!({
            "compare": [made_in(key, 0)],
            "success": [{"request_put": put}, look],
            "failure": [look],
        });
        let answer = self.ask("/v3/kv/txn", &body, within).await?;
        let seat = ranges(&answer)?.into_iter().flatten().next();
        seat.filter(|seat| seat.key == key).ok_or_else(|| odd(&"a claim after which there is no key"))
    }

    async fn give_up(&self, key: &str, created: u64, within: Duration) -> Result<(), CoordinatorError> {
        let delete = json!({"request_delete_range": {"key": encoded(key)}});
        let body = json!({"compare": [made_in(key, created)], "success": [delete]});
        self.ask("/v3/kv/txn", &body, within).await.map(drop)
    }

    fn look(
        &self,
        prefixes: &[String],
        within: Duration,
    ) -> impl Future<Output = Result<Vec<Vec<Seat>>, CoordinatorError>> + Send {
        let range =
            |prefix: &String| json!({"request_range": {"key": encoded(prefix), "range_end": encoded(end_of(prefix))}});
        // One transaction, so that all of it stood there at the same moment.
        let body = json!({"success": prefixes.iter().map(range).collect::<Vec<_>>()});
        let wanted = prefixes.len();
        async move {
            let found = ranges(&self.ask("/v3/kv/txn", &body, within).await?)?;
            if found.len() == wanted { Ok(found) } else { Err(odd(&"a list of keys is missing")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;

    const WITHIN: Duration = Duration::from_secs(9);

    /// What a member does with each request in turn.
    #[derive(Clone)]
    enum Does {
        Answers(u16, &'static str),
        Refuses,
        Hangs,
    }

    struct Script {
        todo: Mutex<VecDeque<Does>>,
        seen: Mutex<Vec<(String, Value)>>,
        clock: Clock,
    }

    #[derive(Clone)]
    struct Scripted(Arc<Script>);

    impl Transport for Scripted {
        async fn send(
            &self,
            request: http::Request<Bytes>,
            deadline: Duration,
            _limit: usize,
        ) -> Result<http::Response<Bytes>, NetError> {
            let body = serde_json::from_slice(request.body()).unwrap();
            self.0.seen.lock().unwrap().push((request.uri().to_string(), body));
            let next = self.0.todo.lock().unwrap().pop_front().unwrap_or(Does::Refuses);
            match next {
                Does::Answers(status, body) => {
                    Ok(http::Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap())
                }
                Does::Refuses => Err(NetError::Unsent { why: "connection refused".to_owned() }),
                Does::Hangs => {
                    self.0.clock.sleep(deadline).await;
                    Err(NetError::Unanswered { why: "no whole answer".to_owned() })
                }
            }
        }
    }

    fn cluster(members: &[&[Does]]) -> (Etcd<Scripted>, Vec<Scripted>, Clock) {
        let clock = Clock::Scripted(crate::world::ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let scripts: Vec<_> = members
            .iter()
            .map(|todo| {
                let todo = Mutex::new(todo.iter().cloned().collect());
                Scripted(Arc::new(Script { todo, seen: Mutex::default(), clock: clock.clone() }))
            })
            .collect();
        let named = scripts.iter().enumerate().map(|(n, script)| (format!("http://m{n}:2379"), script.clone()));
        (Etcd::over(named.collect(), clock.clone()).unwrap(), scripts, clock)
    }

    fn one(status: u16, body: &'static str) -> Etcd<Scripted> {
        cluster(&[&[Does::Answers(status, body)]]).0
    }

    fn asked(script: &Scripted) -> usize {
        script.0.seen.lock().unwrap().len()
    }

    #[tokio::test]
    async fn a_keep_alive_without_ttl_is_a_lost_lease() {
        let header = r#""header":{"cluster_id":"1","member_id":"2","revision":"4","raft_term":"2"}"#;
        let answer = |rest: &str| -> &'static str { format!(r#"{{"result":{{{header},"ID":"77"{rest}}}}}"#).leak() };
        let keep = async |etcd: Etcd<Scripted>| etcd.keep_alive(LeaseId(77), WITHIN).await;
        assert_eq!(keep(one(200, answer(r#","TTL":"30""#))).await, Ok(Duration::from_secs(30)));
        assert_eq!(keep(one(200, answer(""))).await, Err(CoordinatorError::LeaseLost));
        assert_eq!(keep(one(200, answer(r#","TTL":"0""#))).await, Err(CoordinatorError::LeaseLost));
        assert_eq!(keep(one(200, answer(r#","TTL":"-1""#))).await, Err(CoordinatorError::LeaseLost));
        let not_found = r#"{"error":"etcdserver: requested lease not found","message":"etcdserver: requested lease not found","code":5}"#;
        assert_eq!(keep(one(404, not_found)).await, Err(CoordinatorError::LeaseLost));
        // What is not understood is no proof of anything.
        for odd in ["", "{}", r#"{"result":{"ID":"78","TTL":"30"}}"#, "<html>", r#"{"result":{"ID":"77","TTL":"x"}}"#] {
            assert!(matches!(keep(one(200, odd)).await, Err(CoordinatorError::Odd { .. })), "{odd}");
        }
        assert!(matches!(keep(one(404, "Not Found\n")).await, Err(CoordinatorError::Odd { .. })), "no gateway");
    }

    #[tokio::test]
    async fn what_fails_is_named() {
        let refused = |code: u64, text: &str| -> &'static str {
            format!(r#"{{"error":"{text}","message":"{text}","code":{code}}}"#).leak()
        };
        let grant = async |status, body| one(status, body).grant(Duration::from_secs(30), WITHIN).await.unwrap_err();
        let denied = |error: CoordinatorError| matches!(error, CoordinatorError::Denied { .. });
        assert!(denied(grant(401, refused(16, "etcdserver: invalid auth token")).await));
        assert!(denied(grant(400, refused(3, "etcdserver: user name is empty")).await));
        assert!(denied(grant(403, refused(7, "etcdserver: permission denied")).await));
        assert!(denied(grant(429, refused(8, "etcdserver: mvcc: database space exceeded")).await));
        // Newer members leave `error` out and may add `details`.
        let newer = r#"{"code":7,"message":"etcdserver: permission denied","details":[]}"#;
        assert!(denied(grant(403, newer).await));
        let no_leader = grant(503, refused(14, "etcdserver: no leader")).await;
        assert!(
            matches!(&no_leader, CoordinatorError::NoLeader { why } if why.contains("http://m0:2379: ")),
            "{no_leader}"
        );
        assert!(matches!(grant(502, "<html>").await, CoordinatorError::Unreachable { .. }));
        assert!(matches!(grant(302, "").await, CoordinatorError::Odd { .. }));
        let short = grant(200, r#"{"ID":"5","TTL":"29"}"#).await;
        assert!(matches!(short, CoordinatorError::Odd { .. }), "less than was asked for: {short}");
    }

    #[tokio::test]
    async fn one_member_that_hangs_or_is_gone_leaves_time_for_the_others() {
        let granted = Does::Answers(200, r#"{"ID":"5","TTL":"30"}"#);
        let twice = [granted.clone(), granted.clone()];
        let (etcd, members, clock) = cluster(&[&[Does::Hangs], &[], &twice]);
        assert_eq!(etcd.grant(Duration::from_secs(30), WITHIN).await, Ok(LeaseId(5)));
        assert!(clock.boot() <= WITHIN / 3, "{:?}", clock.boot());
        etcd.grant(Duration::from_secs(30), WITHIN).await.unwrap();
        assert_eq!(members.iter().map(asked).collect::<Vec<_>>(), [1, 1, 2], "the one that answered is asked first");
    }

    #[tokio::test]
    async fn all_members_together_have_no_more_time_than_was_given() {
        let hangs = vec![Does::Hangs; 9];
        let (etcd, members, clock) = cluster(&[&hangs, &hangs, &hangs]);
        let error = etcd.revoke(LeaseId(1), WITHIN).await.unwrap_err();
        assert!(
            matches!(&error, CoordinatorError::Unreachable { why } if why.contains("m0") && why.contains("m2")),
            "{error}"
        );
        assert_eq!((clock.boot(), members.iter().map(asked).sum::<usize>()), (WITHIN, 3));
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_is_tried_once_more() {
        let (etcd, ..) = cluster(&[&[Does::Refuses, Does::Answers(200, r#"{"ID":"5","TTL":"30"}"#)]]);
        assert_eq!(etcd.grant(Duration::from_secs(30), WITHIN).await, Ok(LeaseId(5)));
    }

    #[tokio::test]
    async fn a_claim_makes_the_key_only_if_there_is_none_and_never_steals_it() {
        let stands = r#"{"responses":[{"response_range":{"kvs":[{"key":"L2s=","create_revision":"9","mod_revision":"9","version":"1","value":"bWU=","lease":"7"}],"count":"1"}}]}"#;
        let (etcd, members, _) = cluster(&[&[Does::Answers(200, stands)]]);
        let seat = etcd.claim("/k", "me", LeaseId(6), WITHIN).await.unwrap();
        let lease = Some(LeaseId(7));
        assert_eq!(seat, Seat { key: "/k".into(), value: "me".into(), created: 9, untouched: true, lease });
        let (url, body) = members[0].0.seen.lock().unwrap()[0].clone();
        assert_eq!(url, "http://m0:2379/v3/kv/txn");
        let compare = json!([{"key": "L2s=", "target": "CREATE", "result": "EQUAL", "create_revision": "0"}]);
        assert_eq!(body["compare"], compare);
        assert_eq!(body["success"][0]["request_put"], json!({"key": "L2s=", "value": "bWU=", "lease": "6"}));
        assert_eq!(body["failure"], json!([{"request_range": {"key": "L2s="}}]), "nothing else is written");
    }

    #[tokio::test]
    async fn a_list_that_is_cut_off_or_missing_is_none() {
        let two = ["/a/".to_owned(), "/b/".to_owned()];
        let both = r#"{"responses":[{"response_range":{"count":"0"}},{"response_range":{}}]}"#;
        assert_eq!(one(200, both).look(&two, WITHIN).await, Ok(vec![vec![], vec![]]));
        let cut = r#"{"responses":[{"response_range":{"more":true}},{"response_range":{}}]}"#;
        for odd in [cut, r#"{"responses":[{"response_range":{}}]}"#, "{}", "[]"] {
            assert!(matches!(one(200, odd).look(&two, WITHIN).await, Err(CoordinatorError::Odd { .. })), "{odd}");
        }
    }

    #[test]
    fn an_address_is_an_origin_without_a_password() {
        assert_eq!(origin("http://127.0.0.1:2379/").unwrap(), "http://127.0.0.1:2379");
        assert_eq!(origin(" https://etcd.example:2379").unwrap(), "https://etcd.example:2379");
        for bad in ["127.0.0.1:2379", "ftp://x:1", "http://x:1/v3", "http://x:1?a=b", "", "http://me:pw@x:1"] {
            let error = origin(bad).unwrap_err();
            assert!(!error.to_string().contains("pw"), "{error}");
        }
        assert!(Etcd::new(&EtcdConfig::default(), Clock::System).is_err(), "no member at all");
    }

    #[test]
    fn a_prefix_ends_before_the_next_name() {
        assert_eq!(end_of("/a/"), b"/a0");
        assert_eq!(end_of(""), [0], "everything");
    }
}
