//! A request, read and checked as far as that needs no state.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use crate::model::{FieldPath, Value, parse_json};

use super::document::{Document, Refusal};
use super::schema::Schema;

/// The most items of one page, and the default.
pub(super) const MAX_LIMIT: usize = 1000;

/// One request to the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Which kind; the schema has it.
    pub kind: String,
    /// What to do.
    pub action: Action,
    /// Under which conditions.
    pub conditions: Conditions,
}

/// What a request wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// One page.
    List(ListQuery),
    /// One object.
    Get(String),
    /// A new object.
    Create(String, Document),
    /// A new object, or an old one replaced. The uid is the one that the body states.
    Put(String, Document, Option<String>),
    /// A merge patch.
    Patch(String, Value),
    /// The object gone.
    Delete(String),
}

/// Conditional headers, and the fence.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// `If-Match`
    pub if_match: Option<Tags>,
    /// `If-None-Match`
    pub if_none_match: Option<Tags>,
    /// `Ctl-Fencing-Token`: a lower one than the highest seen is refused.
    pub fencing: Option<u64>,
}

/// The value of a conditional header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tags {
    /// `*`
    Any,
    /// Strong tags, without quotes.
    These(Vec<String>),
}

impl Tags {
    /// True if `etag` is among them.
    pub fn names(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|t| t == etag),
        }
    }

    /// Reads a header. A weak tag matches nothing under `If-Match`, and its strong self under `If-None-Match`.
    fn read(headers: &HeaderMap, name: header::HeaderName, weak: bool) -> Result<Option<Self>, Refusal> {
        let mut tags = Vec::new();
        let mut seen = false;
        for value in headers.get_all(&name) {
            seen = true;
            let bad = || Refusal::new(400, format!("{name} is not `*` or a list of quoted tags"));
            let mut rest = value.to_str().map_err(|_| bad())?.trim();
            if rest == "*" {
                return Ok(Some(Self::Any));
            }
            while !rest.is_empty() {
                let (is_weak, after) = rest.strip_prefix("W/").map_or((false, rest), |r| (true, r));
                let after = after.strip_prefix('"').ok_or_else(bad)?;
                let (tag, after) = after.split_once('"').ok_or_else(bad)?;
                if weak || !is_weak {
                    tags.push(tag.to_owned());
                }
                let after = after.trim_start();
                rest = match after.strip_prefix(',') {
                    Some(more) => more.trim_start(),
                    None if after.is_empty() => after,
                    None => return Err(bad()),
                };
            }
        }
        Ok(seen.then_some(Self::These(tags)))
    }
}

/// Which page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListQuery {
    /// At most so many items.
    pub limit: usize,
    /// Only those that carry all of these.
    pub labels: Vec<(String, String)>,
    /// Where to go on.
    pub after: Option<Token>,
    /// Only what changed since the list that had this ETag (without quotes).
    pub since: Option<String>,
}

/// A place in a list: the store's revision when its first page was read, how many pages there were, the last name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    pub(super) revision: u64,
    pub(super) pages: u64,
    pub(super) name: String,
}

impl Token {
    /// As text that needs no escape in a query.
    pub(super) fn write(&self) -> String {
        format!("{}~{}~{}", self.revision, self.pages, self.name)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '~');
        let revision = parts.next()?.parse().ok()?;
        let pages = parts.next()?.parse().ok()?;
        let name = parts.next().filter(|n| good_name(n))?.to_owned();
        Some(Self { revision, pages, name })
    }
}

fn good_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len()) && name.bytes().all(good) && name.bytes().any(|b| b != b'.')
}

impl Call {
    /// Reads a request whose body has come in whole.
    pub fn read(request: &http::Request<Bytes>, schema: &Schema) -> Result<Self, Refusal> {
        let (kind, name) = place(request.uri().path())?;
        let Some(rules) = schema.kinds.get(&kind) else {
            return Err(Refusal::new(404, format!("there is no kind `{kind}`")));
        };
        let headers = request.headers();
        let conditions = Conditions {
            if_match: Tags::read(headers, header::IF_MATCH, false)?,
            if_none_match: Tags::read(headers, header::IF_NONE_MATCH, true)?,
            fencing: fencing(headers)?,
        };
        let method = request.method();
        let action = match name {
            None if *method == Method::GET || *method == Method::HEAD => Action::List(query(request.uri().query())?),
            None if *method == Method::POST => {
                let (document, name, _) = Document::read(json(request)?, rules)?;
                let at = FieldPath::root().join("name");
                let name = name.ok_or_else(|| Refusal::invalid(&at, "required"))?;
                if !good_name(&name) {
                    return Err(Refusal::invalid(&at, NAME_RULE));
                }
                Action::Create(name, document)
            }
            None => return Err(Refusal::new(405, "a collection takes GET and POST")),
            Some(name) if *method == Method::GET || *method == Method::HEAD => Action::Get(name),
            Some(name) if *method == Method::PUT => {
                let (document, stated, uid) = Document::read(json(request)?, rules)?;
                same_name(&name, stated.as_deref())?;
                Action::Put(name, document, uid)
            }
            Some(name) if *method == Method::PATCH => {
                let patch = json(request)?;
                if patch.as_object().is_none() {
                    return Err(Refusal::invalid(&FieldPath::root(), "a merge patch is a mapping"));
                }
                same_name(&name, patch.child("name").and_then(Value::as_str))?;
                Action::Patch(name, patch)
            }
            Some(name) if *method == Method::DELETE => Action::Delete(name),
            Some(_) => return Err(Refusal::new(405, "an object takes GET, PUT, PATCH and DELETE")),
        };
        Ok(Self { kind, action, conditions })
    }

    /// True if it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(self.action, Action::List(_) | Action::Get(_))
    }
}

const NAME_RULE: &str = "a name is 1 to 253 of a-z, A-Z, 0-9, `-`, `_` and `.`";

fn same_name(name: &str, stated: Option<&str>) -> Result<(), Refusal> {
    match stated {
        Some(stated) if stated != name => {
            let at = FieldPath::root().join("name");
            Err(Refusal::invalid(&at, format!("the path says `{name}`: an object cannot be renamed")))
        }
        _ => Ok(()),
    }
}

/// The kind and the name in `/v1/{kind}[/{name}]`.
fn place(path: &str) -> Result<(String, Option<String>), Refusal> {
    let nowhere = || Refusal::new(404, "there is nothing at this path: try /v1/{kind} or /v1/{kind}/{name}");
    let rest = path.strip_prefix("/v1/").ok_or_else(nowhere)?;
    let decode = |part: &str| percent_decode_str(part).decode_utf8().map(|t| t.into_owned()).map_err(|_| nowhere());
    match rest.split_once('/') {
        None if rest.is_empty() => Err(nowhere()),
        None => Ok((decode(rest)?, None)),
        Some((kind, name)) => {
            let name = decode(name)?;
            if good_name(&name) {
                Ok((decode(kind)?, Some(name)))
            } else {
                Err(Refusal::new(404, format!("there can be no such object: {NAME_RULE}")))
            }
        }
    }
}

fn fencing(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get("ctl-fencing-token") else { return Ok(None) };
    let token = value.to_str().ok().and_then(|t| t.parse().ok());
    token.map(Some).ok_or_else(|| Refusal::new(400, "Ctl-Fencing-Token is not a whole number"))
}

fn json(request: &http::Request<Bytes>) -> Result<Value, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !(kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))) {
        return Err(Refusal::new(415, "the body must be sent as application/json"));
    }
    parse_json(request.body()).map_err(|e| Refusal::new(400, format!("the body is not JSON: {e}")))
}

fn query(text: Option<&str>) -> Result<ListQuery, Refusal> {
    let mut query = ListQuery { limit: MAX_LIMIT, labels: Vec::new(), after: None, since: None };
    for pair in text.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8();
        let value = value.map_err(|_| Refusal::new(400, format!("`{key}` is not UTF-8")))?;
        match key {
            "limit" => {
                let limit = value.parse::<usize>().ok().filter(|n| *n > 0);
                query.limit = limit.ok_or_else(|| Refusal::new(400, "`limit` is 1 to 1000"))?.min(MAX_LIMIT);
            }
            "continue" => {
                let token = Token::read(&value);
                query.after = Some(token.ok_or_else(|| Refusal::new(400, "`continue` is not a token of this list"))?);
            }
            "since" => query.since = Some(value.trim_matches('"').to_owned()),
            "label" => match value.split_once('=') {
                Some((key, value)) => query.labels.push((key.to_owned(), value.to_owned())),
                None => return Err(Refusal::new(400, "`label` is `key=value`, percent-encoded")),
            },
            // A misspelt filter would otherwise show everything.
            _ => return Err(Refusal::new(400, format!("there is no query parameter `{key}`"))),
        }
    }
    if query.since.is_some() && (query.after.is_some() || !query.labels.is_empty()) {
        return Err(Refusal::new(400, "`since` goes with neither `continue` nor `label`"));
    }
    Ok(query)
}
