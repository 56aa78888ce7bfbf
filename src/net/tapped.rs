//! A transport that others may listen to, with every secret taken out of what they hear.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{NetError, Transport};
use crate::model::{Value, parse_json};
use crate::world::Clock;

/// How much of an answer an [`Exchange`] keeps, in bytes.
const EXCERPT: usize = 500;
/// How much of an answer is searched for secrets before it is cut.
const SEARCHED: usize = 64 * 1024;

/// How deep [`Exchange::sent`] goes, and how long it may get.
const OUTLINE: (usize, usize) = (4, 400);

/// Takes the secrets out of a text.
pub type Hide = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// One request and what became of it. No secret is in it that [`Discretion`] or [`Tap`] know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path with the query: never the origin, so never a user or a password.
    pub path: String,
    /// What the body is made of, if it is JSON and may be known: the names in it, and never a value.
    pub sent: Option<String>,
    /// The answer's status; none without an answer.
    pub status: Option<u16>,
    /// From sending to the answer's end, or to giving up.
    pub took: Duration,
    /// Why there was no answer.
    pub error: Option<String>,
    /// The first 500 bytes of an answer of 400 and above, if they may be kept.
    pub answer: Option<String>,
}

/// Who listens to requests.
#[derive(Clone)]
pub struct Tap {
    /// Takes out the secrets that are known to the operator's file.
    pub hide: Hide,
    /// Is told of each exchange once it is over. Must not take long: the answer waits for it.
    pub tell: Arc<dyn Fn(&Exchange) + Send + Sync>,
}

/// What a request allows to be known of it. It travels with the request as an extension; of a request without one, no
/// answer is kept.
#[derive(Clone)]
pub struct Discretion {
    /// Takes out the secrets that are in this request.
    pub hide: Hide,
    /// False if the answer is likely to be a secret itself, as that of a login is.
    pub keep_answer: bool,
}

/// A [`Transport`] that others may listen to. Without a listener it is the one inside.
pub struct Tapped<T> {
    inner: T,
    tap: Option<Tap>,
    clock: Clock,
}

impl<T> Tapped<T> {
    /// Tells `tap`, if there is one, of whatever goes through `inner`.
    pub fn new(inner: T, tap: Option<Tap>, clock: Clock) -> Self {
        Self { inner, tap, clock }
    }
}

impl<T: Transport> Transport for Tapped<T> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
        limit: usize,
    ) -> Result<http::Response<Bytes>, NetError> {
        let Some(tap) = &self.tap else { return self.inner.send(request, deadline, limit).await };
        let method = request.method().to_string();
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        let discretion = request.extensions().get::<Discretion>().cloned();
        let hide = |text: &str| match &discretion {
            Some(discretion) => (tap.hide)(&(discretion.hide)(text)),
            None => (tap.hide)(text),
        };
        let told = discretion.as_ref().is_some_and(|discretion| discretion.keep_answer);
        let sent = outline(request.body()).filter(|_| told).map(|names| hide(&names));
        let began = self.clock.boot();
        let result = self.inner.send(request, deadline, limit).await;
        let took = self.clock.boot().saturating_sub(began);
        let (status, error, answer) = match &result {
            Ok(response) => {
                let status = response.status().as_u16();
                (Some(status), None, (told && status >= 400).then(|| excerpt(response.body(), &hide)))
            }
            Err(error) => (None, Some(hide(&error.to_string())), None),
        };
        (tap.tell)(&Exchange { method, path: hide(&path), sent, status, took, error, answer });
        result
    }

    fn is_heard(&self) -> bool {
        self.tap.is_some()
    }
}

/// The names in a body: `{name, ports: [{from, to}]}`.
fn outline(body: &[u8]) -> Option<String> {
    let value = if body.is_empty() || body.len() > SEARCHED { None } else { parse_json(body).ok() }?;
    let mut text = names(&value, OUTLINE.0);
    if text.len() > OUTLINE.1 {
        text.truncate(text.floor_char_boundary(OUTLINE.1));
        text.push('…');
    }
    Some(text)
}

fn names(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(_) | Value::Array(_) if depth == 0 => "…".to_owned(),
        Value::Object(map) => {
            let member = |(name, value): (&str, &Value)| match value {
                Value::Object(_) | Value::Array(_) => format!("{name}: {}", names(value, depth - 1)),
                _ => name.to_owned(),
            };
            let members: Vec<String> = map.iter().map(|(name, value)| member((name.as_ref(), value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(list) => match list.first() {
            Some(first) => format!("[{}]", names(first, depth - 1)),
            None => "[]".to_owned(),
        },
        _ => "…".to_owned(),
    }
}

/// The first bytes of an answer. Hidden first and cut then, so that no secret is cut in half and half of it shown.
fn excerpt(body: &[u8], hide: &dyn Fn(&str) -> String) -> String {
    let mut text = hide(&String::from_utf8_lossy(&body[..body.len().min(SEARCHED)]));
    text.truncate(text.floor_char_boundary(EXCERPT));
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::world::ScriptedClock;

    struct Answers(Result<(u16, Vec<u8>), NetError>, Clock);

    impl Transport for Answers {
        async fn send(
            &self,
            _: http::Request<Bytes>,
            _: Duration,
            _: usize,
        ) -> Result<http::Response<Bytes>, NetError> {
            self.1.sleep(Duration::from_millis(30)).await;
            let (status, body) = self.0.clone()?;
            Ok(http::Response::builder().status(status).body(body.into()).unwrap())
        }
    }

    async fn hear(answer: Result<(u16, Vec<u8>), NetError>, discretion: Option<Discretion>) -> Exchange {
        let clock = Clock::Scripted(ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let tap = Tap {
            hide: Arc::new(|text| text.replace("hunter2", "<secret mq>")),
            tell: Arc::new(move |exchange| sink.lock().unwrap().push(exchange.clone())),
        };
        let tapped = Tapped::new(Answers(answer.clone(), clock.clone()), Some(tap), clock);
        assert!(tapped.is_heard());
        let mut request =
            http::Request::post("http://user:pass@host:1/a?key=hunter2&token=tok").body(Bytes::new()).unwrap();
        if let Some(discretion) = discretion {
            request.extensions_mut().insert(discretion);
        }
        let got = tapped.send(request, Duration::ZERO, 0).await;
        assert_eq!(got.map(|response| response.status().as_u16()).ok(), answer.map(|(status, _)| status).ok());
        let mut heard = heard.lock().unwrap();
        assert_eq!(heard.len(), 1);
        heard.pop().unwrap()
    }

    fn discretion(keep_answer: bool) -> Option<Discretion> {
        Some(Discretion { hide: Arc::new(|text| text.replace("tok", "<secret>")), keep_answer })
    }

    #[tokio::test]
    async fn an_exchange_is_told_without_its_secrets() {
        let body = format!("{}hunter2 tok {}", "x".repeat(490), "y".repeat(600)).into_bytes();
        let exchange = hear(Ok((422, body)), discretion(true)).await;
        assert_eq!(exchange.method, "POST");
        assert_eq!(exchange.path, "/a?key=<secret mq>&<secret>en=<secret>");
        assert_eq!((exchange.status, exchange.took), (Some(422), Duration::from_millis(30)));
        let answer = exchange.answer.unwrap();
        assert!(answer.len() <= 500 && !answer.contains("hun") && answer.ends_with("<secret mq"), "{answer}");
    }

    #[test]
    fn of_a_body_the_names_are_told_and_no_value() {
        let body = br#"{"name":"hunter2","ports":[{"from":1,"to":2},{"x":3}],"tags":["a"],"on":true,"none":[],"a":{"b":{"c":{"d":{"e":1}}}}}"#;
        let told = outline(body).unwrap();
        for part in ["name,", "ports: [{from, to}]", "tags: […]", "on", "none: []", "a: {b: {c: {d: …}}}"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("hunter2"));
        assert_eq!(outline(b""), None);
        assert_eq!(outline(b"a=b"), None);
        assert!(outline(format!("{{\"{}\":1}}", "x".repeat(900)).as_bytes()).unwrap().len() < 410);
    }

    #[tokio::test]
    async fn only_an_answer_that_says_no_is_kept() {
        assert_eq!(hear(Ok((200, b"fine".to_vec())), discretion(true)).await.answer, None);
        assert_eq!(hear(Ok((404, b"none".to_vec())), discretion(true)).await.answer.as_deref(), Some("none"));
    }

    #[tokio::test]
    async fn the_answer_of_a_login_is_never_kept() {
        assert_eq!(hear(Ok((401, b"no".to_vec())), discretion(false)).await.answer, None);
        assert_eq!(hear(Ok((401, b"no".to_vec())), None).await.answer, None, "nor where nobody says what it is");
    }

    #[tokio::test]
    async fn what_was_not_answered_says_why() {
        let exchange = hear(Err(NetError::Unsent { why: "no route for tok".to_owned() }), discretion(true)).await;
        assert_eq!((exchange.status, exchange.error.as_deref()), (None, Some("no route for <secret>")));
    }
}
