use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_yaml::Value as Yaml;

use crate::model::{Diagnostic, Digest, FieldPath, Kind, KindTable, Number, Span, Value};

use super::{
    AbsentRule, ApiDescription, ApiOperation, ApiType, AuthRule, Body, BodyTemplate, Choice, Content, ErrorRule,
    EtagRule, GetRule, IdentityRule, ListRule, LoginRule, Method, PageRule, Place, RetryRule, Revalidate, Shape,
    SinceRule, Template, TokenPlace, WaitRule, links, nearest, rules,
};

type Map = BTreeMap<String, Value>;

const API: &[&str] = &[
    "api",
    "base",
    "auth",
    "health",
    "identity",
    "params",
    "headers",
    "query",
    "errors",
    "envelope",
    "page",
    "etag",
    "absent",
    "retry",
    "fence",
    "idempotency-key",
    "content",
    "types",
];
const API_LATER: &[&str] = &["batch", "validate", "after-apply", "document", "requires"];
const TYPE: &[&str] = &[
    "path",
    "key",
    "in",
    "list",
    "get",
    "create",
    "update",
    "write",
    "delete",
    "envelope",
    "spec",
    "root",
    "path-only",
    "etag",
    "version",
    "uid",
    "absent",
    "page",
    "refs",
    "unique",
    "container",
    "ignore",
    "keep",
    "server",
    "owner",
    "known",
    "validate",
    "exact",
    "eventual",
    "headers",
    "query",
    "fields",
    "revalidate",
    "idempotency-key",
    "content",
];
const TYPE_LATER: &[&str] = &["batch", "after-apply", "document", "rename", "requires"];

impl ApiDescription {
    /// Reads a description. `file` is its name, for messages. Warnings come with it; errors instead of it.
    ///
    /// ```
    /// let text = "api: widgets\ntypes:\n  service: {path: \"/services/{id}\", key: [name]}\n";
    /// let (api, warnings) = ctl::manifest::api::ApiDescription::parse("widgets.yaml", text).unwrap();
    /// assert_eq!(api.types.len(), 1);
    /// assert_eq!(warnings.len(), 1, "a merged write without an ETag can lose an update");
    /// ```
    pub fn parse(file: &str, text: &str) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let yaml: Yaml = serde_yaml::from_str(text).map_err(|e| {
            let mut bad = Diagnostic::error("bad-description", format!("{file} is not YAML: {e}"));
            if let Some(at) = e.location() {
                let (line, column) = (to_u32(at.line()), to_u32(at.column()));
                bad = bad.at(Span { file: file.into(), line, column, offset: at.index(), len: 0 }, "");
            }
            vec![bad]
        })?;
        let mut reader = Reader { file: file.into(), text, found: Vec::new() };
        let value = reader.value(&yaml, "");
        let api = value.as_ref().and_then(|v| reader.api(v));
        match api {
            Some(api) if !reader.found.iter().any(Diagnostic::is_error) => Ok((api, reader.found)),
            _ => {
                if !reader.found.iter().any(Diagnostic::is_error) {
                    reader.error("", "this is not a description of an API");
                }
                Err(reader.found)
            }
        }
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Reads the tree and collects everything that is wrong with it. Places are paths like `types/queue/list`.
pub(super) struct Reader<'a> {
    file: Arc<str>,
    text: &'a str,
    found: Vec<Diagnostic>,
}

/// What a type inherits from its API.
struct Defaults {
    envelope: FieldPath,
    wrap: FieldPath,
    page: PageRule,
    total: Option<Place>,
    etag: EtagRule,
    absent: AbsentRule,
    idempotency_key: Option<String>,
    content: Content,
    params: Vec<String>,
}

impl Reader<'_> {
    fn span(&self, place: &str) -> Span {
        let (mut at, mut from) = (0, 0);
        for step in place.split('/').filter(|s| !s.is_empty()) {
            let begins = |offset: &usize| {
                let before = self.text[..*offset].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && !"-_/".contains(c))
            };
            let found = [format!("{step}:"), format!("\"{step}\":")].iter().find_map(|needle| {
                let mut places = self.text[from..].match_indices(needle.as_str()).map(|(i, _)| from + i);
                places.find(begins).map(|offset| (offset, offset + needle.len()))
            });
            match found {
                Some(place) => (at, from) = place,
                None => break,
            }
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Span {
            file: Arc::clone(&self.file),
            line: to_u32(before.matches('\n').count() + 1),
            column: to_u32(before[line_start..].chars().count() + 1),
            offset: at,
            len: 0,
        }
    }

    fn place(place: &str) -> &str {
        if place.is_empty() { "the description" } else { place }
    }

    pub(super) fn error(&mut self, place: &str, message: impl std::fmt::Display) {
        let text = format!("{}: {message}", Self::place(place));
        self.found.push(Diagnostic::error("bad-description", text).at(self.span(place), ""));
    }

    pub(super) fn warn(&mut self, code: &'static str, place: &str, message: impl std::fmt::Display, help: &str) {
        let text = format!("{}: {message}", Self::place(place));
        self.found.push(Diagnostic::warning(code, text).at(self.span(place), "").help(help));
    }

    fn value(&mut self, yaml: &Yaml, place: &str) -> Option<Value> {
        Some(match yaml {
            Yaml::Null => Value::Null,
            Yaml::Bool(b) => Value::Bool(*b),
            Yaml::Number(n) => match Number::parse(&n.to_string()) {
                Some(number) => Value::Number(number),
                None => {
                    self.error(place, format!("`{n}` is not a number that JSON knows"));
                    return None;
                }
            },
            Yaml::String(text) => Value::String(text.clone()),
            Yaml::Sequence(items) => {
                Value::Array(items.iter().map(|item| self.value(item, place)).collect::<Option<_>>()?)
            }
            Yaml::Mapping(map) => {
                let mut out = Map::new();
                for (key, item) in map {
                    let Yaml::String(key) = key else {
                        self.error(place, "a key that is not a text; write it in quotes");
                        return None;
                    };
                    out.insert(key.clone(), self.value(item, &format!("{place}/{key}"))?);
                }
                Value::Object(out)
            }
            Yaml::Tagged(_) => {
                self.error(place, "YAML tags mean nothing here");
                return None;
            }
        })
    }

    /// The members of a mapping, after complaining about those that nobody knows.
    pub(super) fn members<'v>(
        &mut self,
        place: &str,
        value: &'v Value,
        known: &[&str],
        later: &[&str],
    ) -> Option<&'v Map> {
        let Value::Object(map) = value else {
            self.error(place, format!("expected a mapping, found {}", value.noun()));
            return None;
        };
        for key in map.keys().filter(|k| !known.contains(&k.as_str())) {
            let here = format!("{place}/{key}");
            if later.contains(&key.as_str()) {
                self.error(&here, format!("`{key}` is not supported yet"));
            } else {
                let hint = nearest(key, known.iter().copied()).map(|w| format!("; did you mean `{w}`?"));
                let hint = hint.unwrap_or_else(|| format!("; known here: {}", known.join(", ")));
                self.error(&here, format!("unknown field `{key}`{hint}"));
            }
        }
        Some(map)
    }

    pub(super) fn text(&mut self, place: &str, value: &Value) -> Option<String> {
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.error(place, format!("expected a text, found {}", value.noun()));
        }
        text
    }

    pub(super) fn flag(&mut self, place: &str, value: &Value) -> bool {
        match value {
            Value::Bool(b) => *b,
            other => {
                self.error(place, format!("expected true or false, found {}", other.noun()));
                false
            }
        }
    }

    pub(super) fn texts(&mut self, place: &str, value: Option<&Value>) -> Vec<String> {
        match value {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().filter_map(|item| self.text(place, item)).collect(),
            Some(other) => {
                self.error(place, format!("expected a list of texts, found {}", other.noun()));
                Vec::new()
            }
        }
    }

    pub(super) fn paths(&mut self, place: &str, value: Option<&Value>) -> Vec<FieldPath> {
        self.texts(place, value).iter().map(|t| FieldPath::parse(t)).collect()
    }

    /// A JSON Pointer: `""` or a text that begins with a slash.
    pub(super) fn pointer(&mut self, place: &str, value: &Value) -> Option<FieldPath> {
        let text = self.text(place, value)?;
        if text.starts_with("//") {
            self.error(place, "pointers from the answer's root (`//…`) are not supported yet");
            return None;
        }
        if !text.is_empty() && !text.starts_with('/') {
            self.error(place, format!("`{text}` is not a JSON Pointer; did you mean `/{text}`?"));
            return None;
        }
        Some(FieldPath::parse(&text))
    }

    fn template(&mut self, place: &str, value: &Value) -> Option<Template> {
        let text = self.text(place, value)?;
        match Template::parse(&text) {
            Ok(template) => Some(template),
            Err(why) => {
                self.error(place, why);
                None
            }
        }
    }

    fn path(&mut self, place: &str, value: &Value) -> Option<Template> {
        let text = self.text(place, value)?;
        if !text.starts_with('/') {
            self.error(place, format!("`{text}` is not a path; did you mean `/{text}`?"));
            return None;
        }
        if text.contains('?') || text.contains('#') {
            self.error(place, "a path has no `?` and no `#`; use `query:`");
            return None;
        }
        self.template(place, value)
    }

    fn body(&mut self, place: &str, value: &Value) -> Option<BodyTemplate> {
        BodyTemplate::parse(value).map_err(|why| self.error(place, why)).ok()
    }

    fn pairs(&mut self, place: &str, value: Option<&Value>) -> Vec<(String, Template)> {
        let Some(value) = value else { return Vec::new() };
        let Value::Object(map) = value else {
            self.error(place, format!("expected a mapping, found {}", value.noun()));
            return Vec::new();
        };
        let mut out = Vec::new();
        for (name, item) in map {
            let text = match item {
                Value::String(_) => item.clone(),
                other => Value::String(other.canonical().as_str().to_owned()),
            };
            if let Some(template) = self.template(&format!("{place}/{name}"), &text) {
                out.push((name.clone(), template));
            }
        }
        out
    }

    fn api(&mut self, value: &Value) -> Option<ApiDescription> {
        let map = self.members("", value, API, API_LATER)?;
        let name = match map.get("api") {
            Some(name) => self.text("api", name)?,
            None => {
                self.error("", "`api: NAME` is missing");
                return None;
            }
        };
        let base = match map.get("base") {
            Some(Value::String(text)) if text.is_empty() => Template::default(),
            Some(base) => self.path("base", base)?,
            None => Template::default(),
        };
        let (page, total) = self.page("page", map.get("page"));
        let (envelope, wrap) = map.get("envelope").and_then(|v| self.envelope("envelope", v)).unwrap_or_default();
        let defaults = Defaults {
            envelope,
            wrap,
            page,
            total,
            etag: map.get("etag").map_or(EtagRule::None, |v| self.etag("etag", v)),
            absent: map.get("absent").map_or_else(standard_absent, |v| self.absent("absent", v)),
            idempotency_key: map.get("idempotency-key").and_then(|v| self.header_name("idempotency-key", v)),
            content: map.get("content").and_then(|v| self.content("content", v)).unwrap_or_default(),
            params: self.texts("params", map.get("params")),
        };
        let types_value = map.get("types").unwrap_or(&Value::Null);
        let Value::Object(types) = types_value else {
            self.error("types", "`types:` must be a mapping of kinds");
            return None;
        };
        let mut kinds = BTreeMap::new();
        let mut tables = BTreeMap::new();
        let keys = rules::keys(self, types, &defaults.params);
        for (name, value) in types {
            let place = format!("types/{name}");
            let Some(map) = self.members(&place, value, TYPE, TYPE_LATER) else { continue };
            let kind = Kind::new(name.as_str());
            let Some(rules) = rules::read(self, &place, &kind, map, &keys) else { continue };
            let Some(ty) = self.kind(&place, &kind, map, &rules, &defaults) else { continue };
            tables.insert(kind.clone(), rules);
            kinds.insert(kind, ty);
        }
        rules::check(self, &tables);
        links::ancestors(self, &kinds, &mut tables, &defaults.params);
        links::check(self, &tables);
        let auth = map.get("auth").map_or(Some(AuthRule::Unsaid), |v| self.auth("auth", v))?;
        let api = ApiDescription {
            name,
            base,
            auth,
            health: map.get("health").and_then(|v| self.path("health", v)),
            identity: map.get("identity").and_then(|v| self.identity(v)),
            headers: self.pairs("headers", map.get("headers")),
            query: self.pairs("query", map.get("query")),
            errors: map.get("errors").and_then(|v| self.errors(v)),
            retry: map.get("retry").map(|v| self.retry(v)).unwrap_or_default(),
            fence: map.get("fence").and_then(|v| self.header_name("fence", v)),
            params: defaults.params,
            types: kinds,
            digest: Digest::of(self.text.as_bytes()),
            table: Arc::new(KindTable { kinds: tables }),
        };
        let free = api.base.holes().chain(api.health.iter().flat_map(Template::holes));
        // What goes with every request goes also with those that concern no object.
        let shared = api.headers.iter().chain(&api.query).flat_map(|(_, template)| template.holes());
        let free = free.chain(shared.filter(|hole| hole.name.contains('.')));
        let loose: Vec<String> = free.filter(|h| !api.params.contains(&h.name)).map(|h| h.name.clone()).collect();
        for hole in loose {
            self.error("base", format!("`{{{hole}}}` is not among `params`"));
        }
        Some(api)
    }

    /// `/ptr`: answers and bodies alike; `{answer: /ptr, body: /ptr}`: each as said, bare where it is not.
    fn envelope(&mut self, place: &str, value: &Value) -> Option<(FieldPath, FieldPath)> {
        let Value::Object(_) = value else {
            return self.pointer(place, value).map(|both| (both.clone(), both));
        };
        let map = self.members(place, value, &["answer", "body"], &[])?;
        let mut part = |word: &str| map.get(word).map_or_else(|| Some(FieldPath::root()), |v| self.pointer(place, v));
        Some((part("answer")?, part("body")?))
    }

    fn identity(&mut self, value: &Value) -> Option<IdentityRule> {
        let map = self.members("identity", value, &["get", "at"], &[])?;
        let (Some(get), Some(at)) = (map.get("get"), map.get("at")) else {
            self.error("identity", "needs `get: path` and `at: /pointer`");
            return None;
        };
        Some(IdentityRule { get: self.path("identity/get", get)?, at: self.pointer("identity/at", at)? })
    }

    fn retry(&mut self, value: &Value) -> RetryRule {
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
    fn header_name(&mut self, place: &str, value: &Value) -> Option<String> {
        let name = self.text(place, value)?;
        let letters = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let taken = ["authorization", "host", "content-length", "content-type", "transfer-encoding", "connection"];
        if !letters || taken.contains(&name.to_ascii_lowercase().as_str()) {
            self.error(place, format!("`{name}` is not the name of a header that may be set"));
            return None;
        }
        Some(name)
    }

    fn errors(&mut self, value: &Value) -> Option<ErrorRule> {
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

    fn auth(&mut self, place: &str, value: &Value) -> Option<AuthRule> {
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
            return Some(AuthRule::Login(Box::new(LoginRule {
                path: self.path(place, post)?,
                body: self.body(place, &content)?,
                form: map.contains_key("form"),
                header: header.unwrap_or_else(|| match token {
                    TokenPlace::Cookie(_) => "Cookie".to_owned(),
                    TokenPlace::Header(_) | TokenPlace::Body(_) => "Authorization".to_owned(),
                }),
                token,
                prefix: map.get("prefix").and_then(|v| self.text(place, v)).unwrap_or_default(),
                expires: map.get("expires").and_then(|v| self.pointer(place, v)),
            })));
        }
        let Some(header) = map.get("header") else {
            self.error(place, "needs `header: NAME` or `login: {…}`");
            return None;
        };
        Some(AuthRule::Header {
            name: self.text(place, header)?,
            prefix: map.get("prefix").and_then(|v| self.text(place, v)).unwrap_or_default(),
        })
    }

    fn token_place(&mut self, place: &str, value: &Value) -> Option<TokenPlace> {
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

    fn etag(&mut self, place: &str, value: &Value) -> EtagRule {
        match value {
            Value::String(word) if word == "none" => EtagRule::None,
            Value::String(word) if word == "if-match" => EtagRule::IfMatch { field: None },
            Value::Object(_) => {
                let field = self
                    .members(place, value, &["field"], &[])
                    .and_then(|map| map.get("field"))
                    .and_then(|v| self.text(place, v));
                EtagRule::IfMatch { field: field.map(|f| FieldPath::parse(&f)) }
            }
            _ => {
                self.error(place, "expected `none`, `if-match` or `{field: NAME}`");
                EtagRule::None
            }
        }
    }

    fn absent(&mut self, place: &str, value: &Value) -> AbsentRule {
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

    fn size(&mut self, place: &str, value: Option<&Value>) -> Option<(String, u64)> {
        match value? {
            Value::String(name) => Some((name.clone(), 500)),
            Value::Object(map) if map.len() == 1 => {
                let (name, count) = map.iter().next()?;
                match count {
                    Value::Number(n) if n.as_u64().is_some_and(|n| n > 0) => Some((name.clone(), n.as_u64()?)),
                    _ => {
                        self.error(place, "the page size must be a number above 0");
                        None
                    }
                }
            }
            _ => {
                self.error(place, "`size` takes the query's name, or `{NAME: COUNT}`");
                None
            }
        }
    }

    fn page(&mut self, place: &str, value: Option<&Value>) -> (PageRule, Option<Place>) {
        let Some(value) = value else { return (PageRule::Whole, None) };
        let known = [
            "link", "header", "next", "use", "token", "as", "number", "size", "last", "until", "offset", "after",
            "more", "total",
        ];
        let Some(map) = self.members(place, value, &known, &[]) else { return (PageRule::Whole, None) };
        let total = match map.get("total") {
            None => None,
            Some(Value::Object(at)) if at.len() == 1 && at.contains_key("header") => {
                at.get("header").and_then(Value::as_str).map(|h| Place::Header(h.to_owned()))
            }
            Some(at) => self.pointer(place, at).map(Place::Body),
        };
        let size = self.size(place, map.get("size"));
        let styles = ["link", "header", "next", "token", "number", "offset", "after"];
        let mut chosen = styles.into_iter().filter(|style| map.contains_key(*style));
        let (style, extra) = (chosen.next(), chosen.next());
        let (Some(style), None) = (style, extra) else {
            self.error(place, format!("needs exactly one of {}", styles.join(", ")));
            return (PageRule::Whole, total);
        };
        let value = &map[style];
        let rule = match style {
            "link" => match value.as_str() {
                Some("next") => Some(PageRule::Link),
                _ => {
                    self.error(place, "`link` takes `next`");
                    None
                }
            },
            "header" => self.text(place, value).map(PageRule::Header),
            "next" => self.pointer(place, value).map(|at| PageRule::Next {
                at,
                query_only: map.get("use").and_then(Value::as_str) == Some("query"),
                size,
            }),
            "token" => {
                let name = map.get("as").and_then(Value::as_str).map(str::to_owned);
                if name.is_none() {
                    self.error(place, "a token needs `as: NAME`, the query's name for it");
                }
                self.pointer(place, value).zip(name).map(|(at, name)| PageRule::Token { at, name, size })
            }
            "number" => {
                let last = map.get("last").and_then(|v| self.pointer(place, v));
                if last.is_none() && map.get("until").and_then(Value::as_str) != Some("short") {
                    self.error(place, "page numbers need `last: /pointer` or `until: short`");
                }
                if last.is_none() && size.is_none() {
                    self.error(place, "`until: short` needs `size: {NAME: COUNT}`");
                }
                self.text(place, value).map(|name| PageRule::Number { name, size, last })
            }
            "after" => self.page_after(place, value, map, size),
            _ => match size {
                Some(size) => self.text(place, value).map(|name| PageRule::Offset { name, size }),
                None => {
                    self.error(place, "an offset needs `size: {NAME: COUNT}`");
                    None
                }
            },
        };
        (rule.unwrap_or(PageRule::Whole), total)
    }

    /// `{after: FIELD, as: NAME or {NAME: "{FIELD|codecs}"}, more: /ptr or until: short}`.
    fn page_after(&mut self, place: &str, value: &Value, map: &Map, size: Option<(String, u64)>) -> Option<PageRule> {
        let field = self.text(place, value)?;
        let plain = Value::String(format!("{{{field}}}"));
        let (name, template) = match map.get("as") {
            None => (field.trim_start_matches('/').to_owned(), &plain),
            Some(Value::String(name)) => (name.clone(), &plain),
            Some(Value::Object(named)) if named.len() == 1 => {
                let (name, template) = named.iter().next()?;
                (name.clone(), template)
            }
            Some(_) => {
                self.error(place, "`as` takes the name of what is sent, or `{NAME: \"{FIELD|next}\"}`");
                return None;
            }
        };
        let value = self.body(place, template)?;
        if value.holes().is_empty() {
            self.error(place, "`as` must hold a field of the last item, or each page would be the first one");
            return None;
        }
        let more = map.get("more").and_then(|v| self.pointer(place, v));
        let short = match map.get("until").map(|v| v.as_str().unwrap_or("")) {
            None => false,
            Some("short") if size.is_some() => true,
            Some("short") => {
                self.error(place, "`until: short` needs `size: {NAME: COUNT}`");
                false
            }
            Some(_) => {
                self.error(place, "`until` takes `short`");
                false
            }
        };
        Some(PageRule::After { name, value, size, more, short })
    }

    fn kind(
        &mut self,
        place: &str,
        kind: &Kind,
        map: &Map,
        rules: &crate::model::KindRules,
        defaults: &Defaults,
    ) -> Option<ApiType> {
        let path = map.get("path").and_then(|v| self.path(&format!("{place}/path"), v));
        let (envelope, wrap) = match map.get("envelope") {
            Some(value) => self.envelope(&format!("{place}/envelope"), value)?,
            None => (defaults.envelope.clone(), defaults.wrap.clone()),
        };
        let list = self.list(&format!("{place}/list"), map, path.as_ref(), &envelope, defaults)?;
        let get = self.get(&format!("{place}/get"), map.get("get"), path.as_ref(), &envelope)?;
        if rules.listed_by_key {
            self.get_holes(place, get.as_ref(), rules, &defaults.params);
        } else {
            self.list_holes(place, &list, rules, &defaults.params);
        }
        if list.summary && get.is_none() {
            self.error(&format!("{place}/list"), "`summary` needs `path:` or `get:`, where the whole object is");
        }
        let single = list.shape == Shape::One;
        let none = Value::from("none");
        let single = single.then_some(&none);
        let write = map.get("write");
        if write.is_some() && map.contains_key("create") && map.contains_key("update") {
            self.error(&format!("{place}/write"), "`write` means create and update alike, and both stand here too");
        }
        let create = match map.get("create").or(single).or(write) {
            Some(Value::String(word)) if word == "none" => None,
            Some(value) => Some(self.operation(
                &format!("{place}/create"),
                value,
                Method::Post,
                path.as_ref(),
                Some(&list.path),
            )?),
            None if list.path.parts.is_empty() => {
                self.error(place, "a `create:` is needed (`none` is possible): no list says where to POST");
                None
            }
            None => Some(plain(Method::Post, list.path.clone(), Body::All)),
        };
        let update = match map.get("update").or(write) {
            Some(Value::String(word)) if word == "none" || word == "replace" => None,
            Some(value) => Some(self.operation(&format!("{place}/update"), value, Method::Put, path.as_ref(), None)?),
            None => match &path {
                Some(path) => Some(plain(Method::Put, path.clone(), Body::Merged)),
                None => {
                    self.error(place, "without `path:` an `update:` is needed (`none` and `replace` are possible)");
                    return None;
                }
            },
        };
        let delete = match map.get("delete").or(single) {
            Some(Value::String(word)) if word == "none" => None,
            Some(value) => {
                Some(self.operation(&format!("{place}/delete"), value, Method::Delete, path.as_ref(), None)?)
            }
            None => match &path {
                Some(path) => Some(plain(Method::Delete, path.clone(), Body::None)),
                None => {
                    self.error(place, "without `path:` a `delete:` is needed (`none` is possible)");
                    return None;
                }
            },
        };
        let validate = match map.get("validate") {
            Some(value) => {
                let here = format!("{place}/validate");
                let validate = self.operation(&here, value, Method::Post, None, None)?;
                self.writes_nothing(&here, &validate, [&create, &update]);
                Some(validate)
            }
            None => None,
        };
        let etag = map.get("etag").map_or_else(|| defaults.etag.clone(), |v| self.etag(&format!("{place}/etag"), v));
        let version = map.get("version").and_then(|v| self.text(place, v)).map(|v| FieldPath::parse(&v));
        if etag == EtagRule::None
            && version.is_none()
            && update.as_ref().is_some_and(|u| u.body.choice() == Choice::Merged)
        {
            self.warn(
                "merged-without-etag",
                place,
                "updates send what is there overlaid with what is stated, and nothing guards against a write in between",
                "say `etag: if-match` if the API honours it, or `update: {put: all}` if a PUT may replace the object",
            );
        }
        let mut path_only: BTreeSet<String> =
            self.texts(&format!("{place}/path-only"), map.get("path-only")).into_iter().collect();
        if let Some(parent) = &rules.parent {
            path_only.extend(parent.fields.iter().filter_map(|i| rules.key.get(*i)).map(|k| k.name.clone()));
        }
        let ty = ApiType {
            kind: kind.clone(),
            path,
            list,
            get,
            create,
            update,
            delete,
            validate,
            envelope,
            wrap,
            spec: map.get("spec").and_then(|v| self.pointer(&format!("{place}/spec"), v)).unwrap_or_default(),
            root: self.texts(&format!("{place}/root"), map.get("root")).into_iter().collect(),
            path_only,
            etag,
            version,
            uid: map.get("uid").and_then(|v| self.text(place, v)).map(|v| FieldPath::parse(&v)),
            absent: map
                .get("absent")
                .map_or_else(|| defaults.absent.clone(), |v| self.absent(&format!("{place}/absent"), v)),
            cleared: rules::cleared(map),
            headers: self.pairs(&format!("{place}/headers"), map.get("headers")),
            query: self.pairs(&format!("{place}/query"), map.get("query")),
            link_within: rules::link_within(map),
            idempotency_key: match map.get("idempotency-key") {
                Some(Value::String(none)) if none == "none" => None,
                Some(value) => self.header_name(&format!("{place}/idempotency-key"), value),
                None => defaults.idempotency_key.clone(),
            },
            content: map
                .get("content")
                .and_then(|v| self.content(&format!("{place}/content"), v))
                .unwrap_or_else(|| defaults.content.clone()),
        };
        self.create_holes(place, &ty, rules, &defaults.params);
        Some(ty)
    }

    /// What is asked for by its key must be addressed by its key.
    fn get_holes(&mut self, place: &str, get: Option<&GetRule>, rules: &crate::model::KindRules, params: &[String]) {
        let Some(get) = get else {
            return self.error(&format!("{place}/list"), "`list: keys` needs `path:` or `get:` to ask for one object");
        };
        let in_key = |name: &str| rules.key.iter().any(|k| k.path == FieldPath::parse(name));
        // What has a dot is an ancestor's id, and is judged where all kinds are known.
        let known = |name: &str| name.contains('.') || params.iter().any(|p| p == name) || in_key(name);
        let holes = get.path.holes().chain(get.query.iter().flat_map(|(_, t)| t.holes()));
        let bad: Vec<String> = holes.filter(|h| !known(&h.name)).map(|h| h.name.clone()).collect();
        for hole in bad {
            let message = format!("with `list: keys`, `{{{hole}}}` must be a key field or a parameter");
            self.error(&format!("{place}/get"), message);
        }
    }

    fn list_holes(&mut self, place: &str, list: &ListRule, rules: &crate::model::KindRules, params: &[String]) {
        let of_parent: Vec<String> = rules
            .parent
            .iter()
            .flat_map(|p| &p.fields)
            .filter_map(|i| rules.key.get(*i))
            .map(|k| k.name.clone())
            .collect();
        let body = list.body.iter().flat_map(BodyTemplate::holes);
        let query = list.query.iter().flat_map(|(_, t)| t.holes());
        let bad: Vec<String> = list
            .path
            .holes()
            .chain(query)
            .chain(body)
            .filter(|h| !h.name.contains('.') && !params.contains(&h.name) && !of_parent.contains(&h.name))
            .map(|h| h.name.clone())
            .collect();
        for hole in bad {
            let message = format!("the list's `{{{hole}}}` is neither a parameter nor a key field of the parent");
            self.error(&format!("{place}/list"), message);
        }
    }

    fn create_holes(&mut self, place: &str, ty: &ApiType, rules: &crate::model::KindRules, params: &[String]) {
        let Some(create) = &ty.create else { return };
        let known = |name: &str| {
            let path = FieldPath::parse(name);
            name.contains('.')
                || rules.key.iter().any(|k| k.name == name || k.path == path)
                || params.iter().any(|p| p == name)
                || rules.fields.keys().any(|f| f.contains(&path) || path.contains(f))
                || rules.known.iter().flatten().any(|f| path.segments().first() == Some(f))
        };
        let bad: Vec<String> = create.path.holes().filter(|h| !known(&h.name)).map(|h| h.name.clone()).collect();
        for hole in bad {
            let message = format!("`{{{hole}}}` is neither a key field, a parameter, nor one of `fields`");
            self.error(&format!("{place}/create"), message);
        }
    }

    fn list(
        &mut self,
        place: &str,
        map: &Map,
        path: Option<&Template>,
        envelope: &FieldPath,
        defaults: &Defaults,
    ) -> Option<ListRule> {
        let (page, total) = match map.get("page") {
            Some(_) => self.page(place, map.get("page")),
            None => (defaults.page.clone(), defaults.total.clone()),
        };
        let derived = path.and_then(Template::collection);
        let mut rule = ListRule {
            method: Method::Get,
            path: Template::default(),
            body: None,
            query: Vec::new(),
            items: envelope.clone(),
            shape: Shape::Array,
            missing_is_empty: false,
            empty_statuses: Vec::new(),
            page,
            total,
            summary: false,
            revalidate: Revalidate::No,
            since: None,
        };
        if let Some(value) = map.get("revalidate") {
            rule.revalidate = self.revalidate(place, value);
        }
        let mut found = None;
        match map.get("list") {
            None => {}
            Some(Value::String(text)) if text == "keys" => {
                // Nothing is ever listed; the path serves a POST that makes one.
                rule.path = derived.unwrap_or_default();
                return Some(rule);
            }
            Some(value @ Value::String(_)) => found = Some(self.path(place, value)?),
            Some(Value::Array(_)) => {
                self.error(place, "several lists for one kind are not supported yet");
                return None;
            }
            Some(value) => {
                let known = [
                    "get",
                    "post",
                    "body",
                    "items",
                    "shape",
                    "empty",
                    "query",
                    "page",
                    "summary",
                    "revalidate",
                    "since",
                ];
                let map = self.members(place, value, &known, &["set"])?;
                if let Some(get) = map.get("get") {
                    found = Some(self.path(place, get)?);
                }
                if let Some(post) = map.get("post") {
                    rule.method = Method::Post;
                    found = Some(self.path(place, post)?);
                }
                rule.body = map.get("body").and_then(|v| self.body(place, v));
                rule.query = self.pairs(place, map.get("query"));
                if let Some(items) = map.get("items") {
                    rule.items = self.pointer(place, items)?;
                }
                rule.shape = match map.get("shape").map(|v| v.as_str().unwrap_or("")) {
                    None | Some("array") => Shape::Array,
                    Some("map") => Shape::Map,
                    Some("one") => Shape::One,
                    Some("names") => Shape::Names,
                    Some(other) => {
                        self.error(place, format!("`shape: {other}` is not known: array, map, names, one"));
                        Shape::Array
                    }
                };
                if let Some(value) = map.get("empty") {
                    self.empty(place, value, &mut rule);
                }
                rule.summary = map.get("summary").is_some_and(|v| self.flag(place, v));
                if let Some(value) = map.get("revalidate") {
                    rule.revalidate = self.revalidate(place, value);
                }
                if map.contains_key("page") {
                    (rule.page, rule.total) = self.page(place, map.get("page"));
                }
                if let Some(value) = map.get("since") {
                    rule.since = self.since(place, value, &rule);
                }
            }
        }
        // A kind with one object: its address is its list.
        let own = path.filter(|_| key_is_empty(map)).cloned();
        if own.is_some() {
            rule.shape = Shape::One;
        }
        if rule.shape == Shape::One {
            (rule.page, rule.total) = (PageRule::Whole, None);
        }
        match found.or(own).or(derived) {
            Some(path) => rule.path = path,
            None => {
                self.error(place, "`list:` is needed, for it cannot be derived from `path`");
                return None;
            }
        }
        Some(rule)
    }

    fn since(&mut self, place: &str, value: &Value, list: &ListRule) -> Option<SinceRule> {
        let fits = list.revalidate == Revalidate::Whole && list.shape == Shape::Array && list.body.is_none();
        if !fits || list.summary {
            let needs = "`since` needs `revalidate: whole` and a list by GET that holds whole objects";
            self.error(place, needs);
            return None;
        }
        let map = self.members(place, value, &["as", "gone", "total"], &[])?;
        let (name, gone, total) = (map.get("as").and_then(Value::as_str), map.get("gone"), map.get("total"));
        let (Some(name), Some(gone), Some(total)) = (name, gone, total) else {
            self.error(place, "`since` takes all of `{as: NAME, gone: FIELD, total: /pointer}`");
            return None;
        };
        Some(SinceRule {
            name: name.to_owned(),
            gone: FieldPath::parse(&self.text(place, gone)?),
            total: self.pointer(place, total)?,
        })
    }

    fn revalidate(&mut self, place: &str, value: &Value) -> Revalidate {
        match value.as_str() {
            Some("etag") => Revalidate::Page,
            Some("whole") => Revalidate::Whole,
            _ => {
                self.error(place, "`revalidate` takes `etag` (of one page) or `whole` (it stands for the whole list)");
                Revalidate::No
            }
        }
    }

    fn get(
        &mut self,
        place: &str,
        value: Option<&Value>,
        path: Option<&Template>,
        envelope: &FieldPath,
    ) -> Option<Option<GetRule>> {
        let plain =
            |path: Template| GetRule { path, query: Vec::new(), item: envelope.clone(), missing_is_absent: false };
        let Some(value) = value else { return Some(path.cloned().map(plain)) };
        if let Value::String(text) = value {
            if text == "none" {
                return Some(None);
            }
            return Some(Some(plain(self.path(place, value)?)));
        }
        let map = self.members(place, value, &["get", "query", "item", "empty"], &[])?;
        let found = match map.get("get") {
            Some(get) => self.path(place, get)?,
            None => match path {
                Some(path) => path.clone(),
                None => {
                    self.error(place, "needs `get: path`");
                    return None;
                }
            },
        };
        let item = map.get("item").map_or_else(|| Some(envelope.clone()), |v| self.pointer(place, v))?;
        Some(Some(GetRule {
            path: found,
            query: self.pairs(place, map.get("query")),
            item,
            missing_is_absent: map.get("empty").and_then(Value::as_str) == Some("missing"),
        }))
    }

    /// A rehearsal that is the write itself would be one, before anybody noted that it is under way.
    fn writes_nothing(&mut self, place: &str, validate: &ApiOperation, writes: [&Option<ApiOperation>; 2]) {
        let same = |write: &&ApiOperation| {
            (write.method, &write.path, &write.query) == (validate.method, &validate.path, &validate.query)
        };
        if validate.method == Method::Delete {
            self.error(place, "a rehearsal deletes nothing: post, put or patch");
        } else if writes.into_iter().flatten().find(same).is_some() {
            self.error(place, "this is the write itself; say in `path` or `query` what makes it a rehearsal");
        }
    }

    fn operation(
        &mut self,
        place: &str,
        value: &Value,
        default: Method,
        path: Option<&Template>,
        list: Option<&Template>,
    ) -> Option<ApiOperation> {
        if let Value::String(_) = value {
            let path = self.path(place, value)?;
            let body = if default == Method::Delete { Body::None } else { Body::All };
            return Some(plain(default, path, body));
        }
        let known = ["put", "post", "patch", "delete", "path", "body", "ok", "query", "headers", "wait", "content"];
        let map = self.members(place, value, &known, &["batch"])?;
        let methods =
            [("put", Method::Put), ("post", Method::Post), ("patch", Method::Patch), ("delete", Method::Delete)];
        let mut used = methods.into_iter().filter(|(word, _)| map.contains_key(*word));
        let (first, second) = (used.next(), used.next());
        let (Some((word, method)), None) = (first, second) else {
            self.error(place, "needs exactly one of put, post, patch, delete");
            return None;
        };
        let mut mode = None;
        let mut found = map.get("path").and_then(|v| self.path(place, v));
        match map[word].as_str() {
            Some("all") => mode = Some(Body::All),
            Some("merged") => mode = Some(Body::Merged),
            Some("changes") => mode = Some(Body::Changes),
            Some("fields") => mode = Some(Body::Fields),
            Some("none") => mode = Some(Body::None),
            Some(text) if text.starts_with('/') => found = self.path(place, &map[word]),
            _ => {
                self.error(place, format!("`{word}` takes a path, or one of all, merged, changes, fields, none"));
                return None;
            }
        }
        let body = match map.get("body") {
            None => mode,
            Some(Value::String(text)) if text == "none" => Some(Body::None),
            Some(Value::String(text)) if text == "all" => Some(Body::All),
            Some(Value::String(text)) if text == "merged" => Some(Body::Merged),
            Some(Value::String(text)) if text == "changes" => Some(Body::Changes),
            Some(Value::String(text)) if text == "fields" => Some(Body::Fields),
            Some(template) => Some(Body::Template(self.body(place, template)?)),
        };
        let body = body.unwrap_or(match (default, method) {
            (Method::Delete, _) | (_, Method::Delete) => Body::None,
            (Method::Put, Method::Put) => Body::Merged,
            (_, Method::Patch) => Body::Changes,
            _ => Body::All,
        });
        let fallback = if method == Method::Post && list.is_some() { list } else { path };
        let Some(path) = found.or_else(|| fallback.cloned()) else {
            self.error(place, "needs `path:`");
            return None;
        };
        let ok = match map.get("ok") {
            None => Vec::new(),
            Some(Value::Object(ok)) => ok.iter().map(|(at, v)| (FieldPath::parse(at), v.clone())).collect(),
            Some(_) => {
                self.error(place, "`ok` takes {/pointer: value}");
                Vec::new()
            }
        };
        Some(ApiOperation {
            method,
            path,
            body,
            ok,
            query: self.pairs(place, map.get("query")),
            headers: self.pairs(place, map.get("headers")),
            wait: map.get("wait").and_then(|v| self.wait(place, v)),
            content: map.get("content").and_then(|v| self.content(place, v)),
        })
    }

    fn content(&mut self, place: &str, value: &Value) -> Option<Content> {
        let text = self.text(place, value)?;
        let media = |text: &str| text.contains('/') && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        match text.as_str() {
            "json" => Some(Content::Json),
            "form" => Some(Content::Form),
            "text" => Some(Content::Text),
            other if media(other) && other.contains("json") => Some(Content::JsonAs(text)),
            _ => {
                let known =
                    "`content` takes json, form, text, or the name of a kind of JSON: application/merge-patch+json";
                self.error(place, known);
                None
            }
        }
    }

    /// `missing`, a status, or a list of them.
    fn empty(&mut self, place: &str, value: &Value, rule: &mut ListRule) {
        let one = std::slice::from_ref(value);
        for item in value.as_array().unwrap_or(one) {
            match item {
                Value::String(word) if word == "missing" => rule.missing_is_empty = true,
                Value::Number(n) if n.as_u64() == Some(404) || n.as_u64() == Some(204) => {
                    rule.empty_statuses.extend(n.as_u64().and_then(|n| u16::try_from(n).ok()));
                }
                _ => self.error(place, "`empty` takes `missing`, 404 or 204"),
            }
        }
    }

    fn wait(&mut self, place: &str, value: &Value) -> Option<WaitRule> {
        match value {
            Value::String(word) if word == "gone" => Some(WaitRule::Gone),
            Value::Object(values) => {
                Some(WaitRule::Until(values.iter().map(|(at, v)| (FieldPath::parse(at), v.clone())).collect()))
            }
            _ => {
                self.error(place, "`wait` takes {/pointer: value}, or `gone` after a delete");
                None
            }
        }
    }
}

/// `key: []`
pub(super) fn key_is_empty(map: &Map) -> bool {
    matches!(map.get("key"), Some(Value::Array(items)) if items.is_empty())
}

fn standard_absent() -> AbsentRule {
    AbsentRule { statuses: vec![404], null: false, values: Vec::new() }
}

fn plain(method: Method, path: Template, body: Body) -> ApiOperation {
    ApiOperation {
        method,
        path,
        body,
        ok: Vec::new(),
        query: Vec::new(),
        headers: Vec::new(),
        wait: None,
        content: None,
    }
}
