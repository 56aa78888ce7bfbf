//! A server of answers written down, and what is asked of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ctl::credentials::{Access, Auth, SecretSource};
use ctl::manifest::api::ApiDescription;
use ctl::model::{
    Desired, Diagnostic, EndpointName, Key, Kind, Mark, Meta, Observation, Observed, Origin, ResourceId, Scope, Secret,
    SecretRef, TargetName, Value, parse_json,
};
use ctl::net::{NetError, Transport};
use ctl::target::Target as _;
use ctl::target::http::{HttpConfig, HttpTarget, shipped};
use ctl::world::Clock;

type Script = Vec<http::Response<Bytes>>;

/// Answers from a list, and remembers what it was asked.
#[derive(Clone, Default)]
pub(super) struct Tape {
    pub(super) answers: Arc<Mutex<Script>>,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Transport for Tape {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Duration,
        _: usize,
    ) -> Result<http::Response<Bytes>, NetError> {
        let mut line = format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
        for name in ["if-match", "if-none-match", "ctl-fencing-token"] {
            if let Some(value) = request.headers().get(name) {
                line += &format!(" {name}: {}", value.to_str().unwrap());
            }
        }
        if !request.body().is_empty() {
            line += &format!(" {}", String::from_utf8_lossy(request.body()));
        }
        self.asked.lock().unwrap().push(line);
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() {
            Err(NetError::Unsent { why: "the tape is at its end".into() })
        } else {
            Ok(answers.remove(0))
        }
    }
}

pub(super) struct Safe;

impl SecretSource for Safe {
    fn resolve(&self, _: &SecretRef, _: &TargetName, _: &Kind) -> Result<Secret, Box<Diagnostic>> {
        Ok(Secret::new("s3cret-value"))
    }
}

pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> http::Response<Bytes> {
    let mut builder = http::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

pub(super) fn target(description: &str, answers: Script) -> (HttpTarget<Tape>, Tape) {
    target_with(description, BTreeMap::new(), answers)
}

pub(super) fn target_with(
    description: &str,
    params: BTreeMap<String, String>,
    answers: Script,
) -> (HttpTarget<Tape>, Tape) {
    let text = shipped().iter().find(|(name, _)| *name == description).map_or(description, |(_, text)| *text);
    let (api, _) = ApiDescription::parse("test.yaml", text).unwrap();
    let tape = Tape { answers: Arc::new(Mutex::new(answers)), ..Tape::default() };
    let config = HttpConfig {
        description: Arc::new(api),
        target: "t".parse().unwrap(),
        endpoint: EndpointName::only(),
        url: "http://127.0.0.1:8081".into(),
        access: Access { auth: Auth::Bearer(Secret::new("the-credential")), ..Access::anonymous() },
        secrets: Arc::new(Safe),
        params,
        clock: Clock::System,
    };
    (HttpTarget::new(config, tape.clone()).unwrap(), tape)
}

pub(super) fn scope(kind: &str, parent: Option<Key>) -> Scope {
    Scope { endpoint: EndpointName::only(), kind: Kind::new(kind), parent }
}

pub(super) fn desired(target: &HttpTarget<Tape>, kind: &str, body: &Value) -> Desired {
    let rules = target.kinds().get(&Kind::new(kind)).unwrap();
    let key = rules.key_of(body).unwrap();
    let canonical = body.canonical();
    Desired {
        id: ResourceId { target: "t".parse().unwrap(), kind: Kind::new(kind), key },
        digest: canonical.digest(),
        body: canonical,
        meta: Arc::new(Meta::default()),
        origin: Origin { path: "m.yaml".into(), blob: "0".into(), document: 0, values: Arc::new([]) },
    }
}

pub(super) fn json(text: &str) -> Value {
    parse_json(text.as_bytes()).unwrap()
}

pub(super) fn mark() -> Mark {
    Mark::of(&"shop".parse().unwrap())
}

pub(super) async fn listed(target: &HttpTarget<Tape>, scope: &Scope) -> Vec<Observed> {
    match target.observe(scope, None).await.unwrap() {
        Observation::Listed(listing) => listing.into_inner().items,
        other => panic!("{other:?}"),
    }
}

pub(super) const CONVENTIONAL: &str = "
api: reference
etag: {field: etag}
page: {token: /next, as: continue, size: {limit: 2}, total: /total}
types:
  route:
    path: /v1/route/{name}
    list: {get: /v1/route, items: /items}
    uid: uid
    spec: /spec
    root: [labels]
    write: {put: all}
    owner: {at: /labels/managed-by}
";
