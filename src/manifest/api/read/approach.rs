//! How an API is approached: login, headers, retries, who answers, what an answer means.

use crate::manifest::api::reader::Reader;
use crate::manifest::api::{AbsentRule, AuthRule, ErrorRule, EtagRule, IdentityRule, LoginRule, RetryRule, TokenPlace};
use crate::model::{FieldPath, Value};

impl Reader<'_> {
    /// `/ptr`: answers and bodies alike; `{answer: /ptr, body: /ptr}`: each as said, bare where it is not; `none`: both bare.
    pub(super) fn envelope(&mut self, place: &str, value: &Value) -> Option<(FieldPath, FieldPath)> {
        if value.as_str() == Some("none") {
            return Some((FieldPath::root(), FieldPath::root()));
        }
        let Value::Object(_) = value else {
            return self.pointer(place, value).map(|both| (both.clone(), both));
        };
        let map = self.members(place, value, &["answer", "body"], &[])?;
        let mut part = |word: &str| map.get(word).map_or_else(|| Some(FieldPath::root()), |v| self.pointer(place, v));
        Some((part("answer")?, part("body")?))
    }

    pub(super) fn identity(&mut self, value: &Value) -> Option<IdentityRule> {
        let map = self.members("identity", value, &["get", "at"], &[])?;
        let (Some(get), Some(at)) = (map.get("get"), map.get("at")) else {
            self.error("identity", "needs `get: path` and `at: /pointer`");
            return None;
        };
        Some(IdentityRule { get: self.path("identity/get", get)?, at: self.pointer("identity/at", at)? })
    }

    pub(super) fn retry(&mut self, value: &Value) -> RetryRule {
        let Some(map) = self.members("retry", value, &["max", "rps", "writes"], &[]) else {
            return RetryRule::default();
        };
        let mut number = |word: &str, least: u32| {
            let found = match map.get(word)? {
                Value::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n >= least),
                _ => None,
            };
            if found.is_none() {
                self.error(&format!("retry/{word}"), format!("`{word}` takes a number from {least} on"));
            }
            found
        };
        RetryRule { max: number("max", 0), rps: number("rps", 1), writes: number("writes", 1) }
    }

    /// The name of a header that a description may set.
    pub(super) fn header_name(&mut self, place: &str, value: &Value) -> Option<String> {
        let name = self.text(place, value)?;
        let letters = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let taken = ["authorization", "host", "content-length", "content-type", "transfer-encoding", "connection"];
        if !letters || taken.contains(&name.to_ascii_lowercase().as_str()) {
            self.error(place, format!("`{name}` is not the name of a header that may be set"));
            return None;
        }
        Some(name)
    }

    pub(super) fn errors(&mut self, value: &Value) -> Option<ErrorRule> {
        let map = self.members("errors", value, &["pointer", "message"], &[])?;
        Some(ErrorRule {
            pointer: map.get("pointer").and_then(|v| self.pointer("errors/pointer", v)),
            message: match map.get("message") {
                Some(Value::Array(several)) => {
                    several.iter().filter_map(|v| self.pointer("errors/message", v)).collect()
                }
                one => one.and_then(|v| self.pointer("errors/message", v)).into_iter().collect(),
            },
        })
    }

    pub(super) fn auth(&mut self, place: &str, value: &Value) -> Option<AuthRule> {
        match value.as_str() {
            Some("none") => return Some(AuthRule::Unsaid),
            Some("basic") => return Some(AuthRule::Basic),
            Some("bearer") => return Some(AuthRule::Bearer),
            Some(other) => {
                self.error(place, format!("`{other}` is not known: none, basic, bearer, {{header: …}}, {{login: …}}"));
                return None;
            }
            None => {}
        }
        let map = self.members(place, value, &["header", "prefix", "login"], &[])?;
        if let Some(login) = map.get("login") {
            let place = "auth/login";
            let known = ["post", "body", "form", "token", "header", "prefix", "expires"];
            let map = self.members(place, login, &known, &[])?;
            let (Some(post), Some(token)) = (map.get("post"), map.get("token")) else {
                self.error(place, "needs `post: path` and `token: /pointer`, `{header: NAME}` or `{cookie: NAME}`");
                return None;
            };
            let token = self.token_place(place, token)?;
            let content = map.get("form").or(map.get("body")).cloned().unwrap_or_else(Value::object);
            let header = map.get("header").and_then(|v| self.text(place, v));
            let header = header.unwrap_or_else(|| match token {
                TokenPlace::Cookie(_) => "Cookie".to_owned(),
                TokenPlace::Header(_) | TokenPlace::Body(_) => "Authorization".to_owned(),
            });
            return Some(AuthRule::Login(Box::new(LoginRule {
                path: self.path(place, post)?,
                body: self.body(place, &content)?,
                form: map.contains_key("form"),
                prefix: self.prefix(place, &header, map.get("prefix")),
                header,
                token,
                expires: map.get("expires").and_then(|v| self.pointer(place, v)),
            })));
        }
        let Some(header) = map.get("header") else {
            self.error(place, "needs `header: NAME` or `login: {…}`");
            return None;
        };
        let name = self.text(place, header)?;
        Some(AuthRule::Header { prefix: self.prefix(place, &name, map.get("prefix")), name })
    }

    /// What stands before a token. In `Authorization` a word is the name of a scheme, and a space follows it.
    fn prefix(&mut self, place: &str, header: &str, value: Option<&Value>) -> String {
        let mut prefix = value.and_then(|v| self.text(place, v)).unwrap_or_default();
        if header.eq_ignore_ascii_case("authorization") && prefix.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            prefix.push(' ');
        }
        prefix
    }

    pub(super) fn token_place(&mut self, place: &str, value: &Value) -> Option<TokenPlace> {
        let Value::Object(_) = value else { return self.pointer(place, value).map(TokenPlace::Body) };
        let map = self.members(place, value, &["header", "cookie"], &[])?;
        match (map.get("header"), map.get("cookie")) {
            (Some(name), None) => self.text(place, name).map(TokenPlace::Header),
            (None, Some(name)) => self.text(place, name).map(TokenPlace::Cookie),
            _ => {
                self.error(place, "`token` takes `/pointer`, `{header: NAME}` or `{cookie: NAME}`");
                None
            }
        }
    }

    pub(super) fn etag(&mut self, place: &str, value: &Value) -> EtagRule {
        match value {
            Value::String(word) if word == "none" => EtagRule::None,
            Value::String(word) if word == "if-match" => EtagRule::IfMatch { field: None, weak: false },
            Value::Object(_) => {
                let map = self.members(place, value, &["field", "weak"], &[]);
                let said = |word: &str| map.and_then(|map| map.get(word));
                let field = said("field").and_then(|v| self.text(place, v));
                let weak = said("weak").is_some_and(|v| self.flag(place, v));
                EtagRule::IfMatch { field: field.map(|f| FieldPath::parse(&f)), weak }
            }
            _ => {
                self.error(place, "expected `none`, `if-match`, `{field: NAME}` or `{weak: true}`");
                EtagRule::None
            }
        }
    }

    pub(super) fn absent(&mut self, place: &str, value: &Value) -> AbsentRule {
        let mut rule = AbsentRule::default();
        let one = std::slice::from_ref(value);
        for item in value.as_array().unwrap_or(one) {
            match item {
                Value::Null => rule.null = true,
                Value::Number(n) => match n.as_u64().and_then(|n| u16::try_from(n).ok()) {
                    Some(status) if (200..600).contains(&status) => rule.statuses.push(status),
                    _ => self.error(place, format!("`{n}` is not an HTTP status")),
                },
                Value::Object(map) => {
                    rule.values.extend(map.iter().map(|(at, v)| (FieldPath::parse(at), v.clone())));
                }
                other => {
                    self.error(place, format!("expected a status, null or {{/pointer: value}}, found {}", other.noun()))
                }
            }
        }
        rule
    }
}
