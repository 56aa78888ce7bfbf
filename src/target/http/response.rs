//! An answer, and what may be concluded from it.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::manifest::api::{AbsentRule, ErrorRule};
use crate::model::{FieldPath, Limits, Value, parse_json};
use crate::target::TargetError;

use super::fill::text_of;
use super::hide::Hider;
use super::scan;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// A whole answer, and what was asked.
pub(super) struct Answer {
    /// `GET http://…`, without secrets.
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) hider: Hider,
}

impl Answer {
    pub(super) fn excerpt(&self) -> String {
        self.hider.excerpt(&self.body)
    }

    pub(super) fn unreadable(&self, why: impl Into<String>) -> TargetError {
        let why = self.hider.clean(&why.into());
        TargetError::Unreadable { request: self.request.clone(), why, excerpt: self.excerpt() }
    }

    /// More than `word` of the limits allows.
    pub(super) fn too_large(&self, word: &str, problem: impl std::fmt::Display) -> TargetError {
        let why = self.hider.clean(&Limits::told(word, problem));
        TargetError::TooLarge { request: self.request.clone(), why, excerpt: self.excerpt() }
    }

    /// The body as text.
    pub(super) fn text(&self) -> Result<&str, TargetError> {
        std::str::from_utf8(&self.body).map_err(|_| self.unreadable("the answer is not UTF-8"))
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn etag(&self) -> Option<&str> {
        self.headers.get(http::header::ETAG)?.to_str().ok()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a cookie that the answer sets.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.get_all(http::header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = set.filter_map(|text| text.split(';').next()?.trim().split_once('='));
        pairs.filter(|(set, _)| *set == name).map(|(_, value)| value).next_back()
    }

    /// Why a login was refused. Whatever a server calls it, it is about who asks, unless it is too busy or broken.
    pub(super) fn no_entry(&self, errors: Option<&ErrorRule>, now: jiff::Timestamp) -> TargetError {
        match self.refusal(errors, now) {
            TargetError::Invalid { request, status, excerpt, .. } if matches!(status, 400 | 422) => {
                TargetError::Denied { request, status, excerpt }
            }
            other => other,
        }
    }

    /// True if it says that the object is not there.
    pub(super) fn absent(&self, rule: &AbsentRule) -> bool {
        rule.statuses.contains(&self.status)
            || (rule.null && self.is_success() && self.body.trim_ascii() == b"null")
            || (!rule.values.is_empty() && self.is_success() && self.has_any(&rule.values))
    }

    fn has_any(&self, values: &[(FieldPath, Value)]) -> bool {
        parse_json(&self.body).is_ok_and(|body| values.iter().any(|(at, value)| body.get(at) == Some(value)))
    }

    /// The first value of `ok` that the answer does not have. A value that is missing is `false`, and `null`.
    pub(super) fn not_ok(&self, ok: &[(FieldPath, Value)]) -> Option<String> {
        if ok.is_empty() {
            return None;
        }
        let body = parse_json(&self.body).unwrap_or(Value::Null);
        let wrong = ok.iter().find(|(at, value)| match body.get(at) {
            Some(found) => found != value,
            None => !matches!(value, Value::Null | Value::Bool(false)),
        });
        wrong.map(|(at, _)| format!("`{at}` is not what success looks like"))
    }

    /// What an answer that is no success means, by what may be done next.
    pub(super) fn refusal(&self, errors: Option<&ErrorRule>, now: jiff::Timestamp) -> TargetError {
        let (request, status, excerpt) = (self.request.clone(), self.status, self.reason(errors));
        match status {
            300..=399 => TargetError::Redirected { request, status, to: self.location() },
            401 | 403 => TargetError::Denied { request, status, excerpt },
            409 | 412 => TargetError::Conflict { request, status, excerpt },
            429 | 503 => TargetError::Throttled { request, status, after: self.retry_after(now) },
            400..=499 => TargetError::Invalid { request, status, pointer: self.field(errors), excerpt },
            500..=599 => TargetError::Failed { request, status, excerpt },
            _ => self.unreadable(format!("answered {status}, which means nothing here")),
        }
    }

    /// Why, in the server's words: where the description says that they are, else the answer's first bytes.
    pub(super) fn reason(&self, errors: Option<&ErrorRule>) -> String {
        self.message(errors).unwrap_or_else(|| self.excerpt())
    }

    /// What the server says where the description says that it does, and nothing else of the answer.
    pub(super) fn message(&self, errors: Option<&ErrorRule>) -> Option<String> {
        let body = parse_json(&self.body).ok()?;
        Some(self.hider.excerpt(first_text(&body, &errors?.message)?.as_bytes()))
    }

    /// An error if an answer to a read is no success by what it says, whatever its status.
    pub(super) fn heard(&self, ok: &[(FieldPath, Value)], errors: Option<&ErrorRule>) -> Result<(), TargetError> {
        let Some(why) = self.not_ok(ok) else { return Ok(()) };
        let why = format!("answered {}, and {why}", self.status);
        Err(TargetError::Unreadable { request: self.request.clone(), why, excerpt: self.reason(errors) })
    }

    /// The field that is meant: a name, a pointer, or the steps to it one by one, behind the part of the request that it is in.
    fn field(&self, errors: Option<&ErrorRule>) -> Option<FieldPath> {
        let body = parse_json(&self.body).ok()?;
        match body.get(errors?.pointer.as_ref()?)? {
            Value::Array(steps) => {
                let steps: Vec<String> = steps.iter().map(text_of).collect::<Option<_>>()?;
                let field = match steps.as_slice() {
                    [part, rest @ ..] if part == "body" && !rest.is_empty() => rest,
                    all => all,
                };
                (!field.is_empty()).then(|| field.iter().cloned().collect())
            }
            name => name.as_str().map(FieldPath::parse),
        }
    }

    /// The origin of a redirect's target, no more: a path may hold a secret.
    fn location(&self) -> String {
        if let Some(how) = self.only_a_slash() {
            return format!("the same path {how} a slash at its end (write it so in the description)");
        }
        let uri = self.headers.get(http::header::LOCATION).and_then(|l| l.to_str().ok()?.parse::<http::Uri>().ok());
        match uri.as_ref().map(|uri| (uri.scheme_str(), uri.host(), uri.port_u16())) {
            Some((Some(scheme), Some(host), Some(port))) => format!("{scheme}://{host}:{port}"),
            Some((Some(scheme), Some(host), None)) => format!("{scheme}://{host}"),
            _ => "elsewhere".to_owned(),
        }
    }

    /// Whether it points to the address that was asked for, but for a slash at its end.
    fn only_a_slash(&self) -> Option<&'static str> {
        let path = |url: &str| url.split(['?', '#']).next().map(str::to_owned);
        let asked = self.request.split_once(' ').and_then(|(_, url)| path(url))?;
        let told = self.headers.get(http::header::LOCATION).and_then(|l| path(l.to_str().ok()?))?;
        let here = match told.starts_with('/') {
            true => asked.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))?,
            false => asked.as_str(),
        };
        match (told.strip_suffix('/'), here.strip_suffix('/')) {
            (Some(told), None) if told == here => Some("with"),
            (None, Some(here)) if told == here => Some("without"),
            _ => None,
        }
    }

    /// Seconds or a date; nonsense counts as nothing, and nobody waits longer than 15 minutes.
    fn retry_after(&self, now: jiff::Timestamp) -> Option<Duration> {
        let text = self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Some(text.parse().map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT));
        }
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        let wait = Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO);
        Some(wait.min(LONGEST_WAIT))
    }

    /// The text of the value at `path`; `None` if it is missing or null.
    pub(super) fn at(&self, path: &FieldPath) -> Result<Option<&str>, TargetError> {
        let found = scan::at(self.text()?, path).map_err(|why| self.unreadable(why))?;
        Ok(found.map(str::trim).filter(|text| *text != "null"))
    }
}

/// The first of these places at which a text stands that says something.
pub(super) fn first_text<'v>(value: &'v Value, places: &[FieldPath]) -> Option<&'v str> {
    places.iter().filter_map(|at| value.get(at)?.as_str()).map(str::trim).find(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
        let headers = headers
            .iter()
            .map(|(n, v)| (http::HeaderName::from_static(n), http::HeaderValue::from_str(v).unwrap()))
            .collect();
        let body = Bytes::from_static(body.as_bytes());
        Answer { request: "GET http://h/".into(), status, headers, body, hider: Hider::default() }
    }

    fn now() -> jiff::Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_never_absurd() {
        for (text, expected) in [
            ("7", Some(7)),
            ("1000000000000", Some(900)),
            ("99999999999999999999999", Some(900)),
            ("-5", None),
            ("Sun, 22 Nov 2026 10:00:30 GMT", Some(30)),
            ("Sun, 22 Nov 2020 10:00:30 GMT", Some(0)),
            ("soon", None),
        ] {
            let TargetError::Throttled { after, .. } = answer(429, &[("retry-after", text)], "").refusal(None, now())
            else {
                panic!("429 asks to wait")
            };
            assert_eq!(after, expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn the_reason_is_the_servers_message_or_else_what_it_answered() {
        let message = vec![FieldPath::parse("/0/why"), FieldPath::parse("/why")];
        let rule = ErrorRule { pointer: Some(FieldPath::parse("/field")), message };
        for (body, reason) in [
            (r#"{"field":"/spec/port","why":"too large"}"#, "too large"),
            (r#"[{"why":"one of many"}]"#, "one of many"),
            (r#"{"why":""}"#, r#"{"why":""}"#),
            (r#"{"why":{"no":"text"}}"#, r#"{"why":{"no":"text"}}"#),
            ("<h1>Oops</h1>", "<h1>Oops</h1>"),
        ] {
            let TargetError::Invalid { excerpt, .. } = answer(422, &[], body).refusal(Some(&rule), now()) else {
                panic!("422 is a refusal")
            };
            assert_eq!(excerpt, reason);
        }
    }

    #[test]
    fn a_redirect_shows_its_origin_and_nothing_more() {
        let error = answer(307, &[("location", "https://evil:8443/p?token=secret")], "").refusal(None, now());
        let why = error.to_string();
        assert!(why.contains("https://evil:8443") && !why.contains("token"), "{why}");
    }

    #[test]
    fn a_redirect_to_the_path_with_or_without_a_slash_says_so() {
        for to in ["/things/", "/things/?limit=2", "http://h/things/"] {
            let mut here = answer(301, &[("location", to)], "");
            here.request = "GET http://h/things?limit=2".to_owned();
            let why = here.refusal(None, now()).to_string();
            assert!(why.contains("with a slash at its end"), "{to}: {why}");
        }
        for to in ["/things", "http://h/things?limit=2"] {
            let mut here = answer(307, &[("location", to)], "");
            here.request = "POST http://h/things/".to_owned();
            let why = here.refusal(None, now()).to_string();
            assert!(why.contains("without a slash at its end"), "{to}: {why}");
        }
        let mut other = answer(301, &[("location", "http://elsewhere/things/")], "");
        other.request = "GET http://h/things".to_owned();
        let why = other.refusal(None, now()).to_string();
        assert!(why.contains("http://elsewhere") && !why.contains("slash"), "{why}");
    }

    #[test]
    fn a_missing_success_flag_is_false() {
        let ok = [(FieldPath::parse("/succeeded"), Value::Bool(true))];
        assert!(answer(200, &[], "{}").not_ok(&ok).is_some());
        assert!(answer(200, &[], r#"{"succeeded":true}"#).not_ok(&ok).is_none());
    }

    #[test]
    fn an_error_that_must_not_be_there_may_be_null_or_missing() {
        let ok = [(FieldPath::parse("/error"), Value::Null)];
        for (body, good) in [
            (r#"{"result":{"ids":["7"]}}"#, true),
            (r#"{"result":7,"error":null}"#, true),
            (r#"{"error":{"code":-32500}}"#, false),
            (r#"{"error":false}"#, false),
        ] {
            assert_eq!(answer(200, &[], body).not_ok(&ok).is_none(), good, "{body}");
        }
    }

    #[test]
    fn the_field_that_is_meant_is_named_by_a_pointer_or_by_its_steps() {
        let rule = ErrorRule { pointer: Some(FieldPath::parse("/detail/0/loc")), message: Vec::new() };
        for (loc, field) in [
            (r#""port""#, Some("port")),
            (r#"["body","spec","port"]"#, Some("/spec/port")),
            (r#"["body","rules",2,"port"]"#, Some("/rules/2/port")),
            (r#"["body"]"#, Some("body")),
            ("[]", None),
            ("7", None),
        ] {
            let body = Bytes::from(format!(r#"{{"detail":[{{"loc":{loc}}}]}}"#));
            let told = Answer { body, ..answer(422, &[], "") };
            assert_eq!(told.field(Some(&rule)), field.map(FieldPath::parse), "{loc}");
        }
    }

    #[test]
    fn absence_is_only_what_the_description_says() {
        let rule = AbsentRule { statuses: vec![404], null: true, values: Vec::new() };
        assert!(answer(404, &[], "").absent(&rule) && answer(200, &[], "null\n").absent(&rule));
        assert!(!answer(403, &[], "").absent(&rule) && !answer(500, &[], "null").absent(&rule));
    }
}
