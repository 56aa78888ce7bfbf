//! How a list goes on from page to page, and when it turns in a circle.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use http::HeaderMap;

use crate::manifest::api::{PageEnd, PageRule, Place};
use crate::model::{FieldPath, Limits, Value};

use super::fill::text_of;
use super::scan;

/// What is asked for next.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ask {
    /// Added to the list's own query.
    pub(super) query: Vec<(String, String)>,
    /// Replaces path and query.
    pub(super) url: Option<String>,
    /// True if nobody said that there is such a page: that there is none (404) is an answer, too, and the end.
    pub(super) proof: bool,
    number: u64,
    offset: u64,
}

/// What one answer held.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Got {
    /// Its items.
    pub(super) count: usize,
    /// The items of all pages so far, this one among them.
    pub(super) seen: usize,
    /// How many there are, if it says so.
    pub(super) total: Option<usize>,
    /// What its last item says of where to go on, for [`PageRule::After`] only.
    pub(super) last: Option<String>,
}

/// Follows one list from page to page, and notices when it turns in a circle.
pub(super) struct Pages<'a> {
    rule: &'a PageRule,
    origin: &'a str,
    seen: BTreeSet<String>,
    /// What the page before held, where pages are counted.
    held: Option<u64>,
    /// True once a page held as many items as were asked for: from then on a shorter one may be believed to be the last.
    full: bool,
    /// How many there may be.
    most: usize,
}

impl<'a> Pages<'a> {
    pub(super) fn new(rule: &'a PageRule, origin: &'a str, most: usize) -> Self {
        Self { rule, origin, seen: BTreeSet::new(), held: None, full: false, most }
    }

    /// The first page.
    pub(super) fn first(&self) -> Ask {
        let sized = |size: &Option<(String, u64)>| size.iter().map(|(n, c)| (n.clone(), c.to_string())).collect();
        match self.rule {
            PageRule::Unsaid | PageRule::Whole => Ask::default(),
            PageRule::Link { size }
            | PageRule::Header { size, .. }
            | PageRule::Next { size, .. }
            | PageRule::Token { size, .. }
            | PageRule::After { size, .. } => Ask { query: sized(size), ..Ask::default() },
            PageRule::Number { name, start, size, .. } => {
                let mut query: Vec<_> = sized(size);
                query.push((name.clone(), start.to_string()));
                Ask { query, number: 1, ..Ask::default() }
            }
            PageRule::Offset { name, start, size, .. } => Ask {
                query: vec![(size.0.clone(), size.1.to_string()), (name.clone(), start.to_string())],
                ..Ask::default()
            },
        }
    }

    /// What is sent under `name` is a number.
    pub(super) fn counts(&self, name: &str) -> bool {
        let sized = |size: &Option<(String, u64)>| size.as_ref().is_some_and(|(n, _)| n == name);
        match self.rule {
            PageRule::Unsaid | PageRule::Whole => false,
            PageRule::Link { size }
            | PageRule::Header { size, .. }
            | PageRule::Next { size, .. }
            | PageRule::Token { size, .. }
            | PageRule::After { size, .. } => sized(size),
            PageRule::Number { name: own, size, .. } => own == name || sized(size),
            PageRule::Offset { name: own, size, .. } => own == name || size.0 == name,
        }
    }

    /// True if a page holds what the one before did: a server that does not know the number or the offset that it is sent
    /// would be asked for ever.
    pub(super) fn repeats(&mut self, items: impl Iterator<Item = impl Hash>) -> bool {
        match self.rule {
            PageRule::Number { .. } | PageRule::Offset { .. } => {}
            PageRule::Unsaid
            | PageRule::Whole
            | PageRule::Link { .. }
            | PageRule::Header { .. }
            | PageRule::Next { .. }
            | PageRule::Token { .. }
            | PageRule::After { .. } => return false,
        }
        let mut hasher = DefaultHasher::new();
        let mut count = 0usize;
        items.for_each(|item| {
            item.hash(&mut hasher);
            count += 1;
        });
        let held = Some(hasher.finish()).filter(|_| count > 0);
        std::mem::replace(&mut self.held, held).is_some_and(|before| Some(before) == held)
    }

    /// The page after `ask`, whose answer is at hand; `None` at the end.
    pub(super) fn after(
        &mut self,
        ask: &Ask,
        path: &str,
        headers: &HeaderMap,
        body: &str,
        got: Got,
    ) -> Result<Option<Ask>, String> {
        let rule = self.rule;
        let next = match rule {
            PageRule::Unsaid | PageRule::Whole => None,
            PageRule::Link { .. } => link_next(headers)?.map(|url| self.follow(&url, path, false, ask)).transpose()?,
            PageRule::Header { name, .. } => match headers.get(name.as_str()) {
                None => None,
                Some(url) => {
                    let url = url.to_str().map_err(|_| format!("the header `{name}` is not text"))?;
                    (!url.is_empty()).then(|| self.follow(url, path, false, ask)).transpose()?
                }
            },
            PageRule::Next { at, query_only, .. } => match scan::value_at(body, at)? {
                None | Some(Value::Null) => None,
                Some(Value::String(url)) if url.is_empty() => None,
                Some(Value::String(url)) => Some(self.follow(&url, path, *query_only, ask)?),
                Some(other) => return Err(format!("the next page at `{at}` is {}", other.noun())),
            },
            PageRule::Token { at, name, size } => match scan::value_at(body, at)? {
                None | Some(Value::Null) => None,
                Some(Value::String(token)) if token.is_empty() => None,
                Some(token @ (Value::String(_) | Value::Number(_))) => {
                    let mut query: Vec<_> = size.iter().map(|(n, c)| (n.clone(), c.to_string())).collect();
                    query.push((name.clone(), text_of(&token).unwrap_or_default()));
                    Some(Ask { query, ..Ask::default() })
                }
                Some(other) => return Err(format!("the next page's token at `{at}` is {}", other.noun())),
            },
            PageRule::Number { name, start, size, end } => {
                let more = self.goes_on(end, ask.number, body, size.as_ref().map(|(_, size)| *size), &got)?;
                more.then(|| {
                    let mut query: Vec<_> = size.iter().map(|(n, c)| (n.clone(), c.to_string())).collect();
                    query.push((name.clone(), (start + ask.number).to_string()));
                    Ask { query, number: ask.number + 1, proof: unsaid(end, &got), ..Ask::default() }
                })
            }
            PageRule::Offset { name, start, size, end } => {
                let more = self.goes_on(end, ask.number + 1, body, Some(size.1), &got)?;
                more.then(|| {
                    let offset = ask.offset + got.count as u64;
                    let at = (start + offset).to_string();
                    let query = vec![(size.0.clone(), size.1.to_string()), (name.clone(), at)];
                    Ask { query, number: ask.number + 1, offset, proof: unsaid(end, &got), ..Ask::default() }
                })
            }
            PageRule::After { name, size, more, short, .. } => {
                let goes_on = match (more, size) {
                    (Some(at), _) => match scan::value_at(body, at)? {
                        None | Some(Value::Null | Value::Bool(false)) => false,
                        Some(Value::Bool(true)) => true,
                        Some(other) => return Err(format!("`{at}` is {}, not true or false", other.noun())),
                    },
                    (None, Some((_, size))) if *short => self.is_followed(got.count, Some(*size)),
                    (None, _) => got.count > 0,
                };
                match (goes_on, got.last) {
                    (false, _) => None,
                    (true, None) => return Err("there is more, and this page is empty".to_owned()),
                    (true, Some(last)) => {
                        let mut query: Vec<_> = size.iter().map(|(n, c)| (n.clone(), c.to_string())).collect();
                        query.push((name.clone(), last));
                        Some(Ask { query, ..Ask::default() })
                    }
                }
            }
        };
        if let Some(next) = &next {
            let print = format!("{:?} {:?}", next.url, next.query);
            if !self.seen.insert(print) {
                return Err("the pages turn in a circle".to_owned());
            }
            if self.seen.len() >= self.most {
                return Err(Limits::told("pages", format!("there are more than {} pages", self.most)));
            }
        }
        Ok(next)
    }

    /// Whether there is a page after this one, which is the `number`th and was asked for `size` items.
    fn goes_on(
        &mut self,
        end: &PageEnd,
        number: u64,
        body: &str,
        size: Option<u64>,
        got: &Got,
    ) -> Result<bool, String> {
        match (end, got.total) {
            (PageEnd::At(at), _) => match scan::value_at(body, at)? {
                Some(Value::Number(n)) if n.as_u64().is_some() => Ok(n.as_u64().is_some_and(|last| number < last)),
                _ => Err(format!("`{at}` does not say how many pages there are")),
            },
            (PageEnd::Short | PageEnd::Empty, Some(total)) => Ok(got.count > 0 && got.seen < total),
            (PageEnd::Short, None) => Ok(self.is_followed(got.count, size)),
            (PageEnd::Empty, None) => Ok(got.count > 0),
        }
    }

    /// Whether to go on after a page of `count` items where `size` were asked for, and a short page is said to be the last.
    /// As long as none was full, the other side may give fewer than it is asked for, and a short one proves nothing.
    fn is_followed(&mut self, count: usize, size: Option<u64>) -> bool {
        let full = size.is_some_and(|size| count as u64 >= size);
        self.full |= full;
        full || (count > 0 && !self.full)
    }

    /// A next page by URL: it must be on the same origin.
    fn follow(&self, url: &str, path: &str, query_only: bool, ask: &Ask) -> Result<Ask, String> {
        let foreign = || format!("the next page is on another origin than {}", self.origin);
        let here = path.split('?').next().unwrap_or(path);
        let target = if let Some(query) = url.find('?').map(|i| &url[i..]).filter(|_| query_only) {
            format!("{here}{query}")
        } else if url.starts_with("http://") || url.starts_with("https://") {
            let rest = strip_origin(url, self.origin).ok_or_else(foreign)?;
            rest.to_owned()
        } else if url.starts_with("//") || url.contains("://") || url.contains('\\') {
            return Err(foreign());
        } else if url.starts_with('/') {
            url.to_owned()
        } else if url.starts_with('?') {
            format!("{here}{url}")
        } else {
            let folder = here.rfind('/').map_or("/", |i| &here[..=i]);
            format!("{folder}{url}")
        };
        let target = target.split('#').next().unwrap_or_default().to_owned();
        Ok(Ask { url: Some(target), number: ask.number, ..Ask::default() })
    }
}

/// True if a page that follows is only asked for because nothing says that there is none.
fn unsaid(end: &PageEnd, got: &Got) -> bool {
    got.total.is_none() && matches!(end, PageEnd::Short | PageEnd::Empty)
}

/// The path and query of an address, if it is on `origin`: a whole URL, or a path from the root.
pub(super) fn on_origin(url: &str, origin: &str) -> Option<String> {
    let path = if url.starts_with("http://") || url.starts_with("https://") { strip_origin(url, origin)? } else { url };
    let rooted = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
    rooted.then(|| path.split('#').next().unwrap_or_default().to_owned())
}

/// What follows the origin in `url`, if it is that origin.
fn strip_origin<'u>(url: &'u str, origin: &str) -> Option<&'u str> {
    let (mine, theirs) = (origin.parse::<http::Uri>().ok()?, url.parse::<http::Uri>().ok()?);
    let port =
        |uri: &http::Uri| uri.port_u16().or_else(|| if uri.scheme_str()? == "https" { Some(443) } else { Some(80) });
    let plain = !theirs.authority()?.as_str().contains('@');
    let same = mine.scheme_str() == theirs.scheme_str()
        && mine.host()?.eq_ignore_ascii_case(theirs.host()?)
        && port(&mine) == port(&theirs);
    let after = &url[url.find("://")? + 3..];
    (same && plain).then(|| after.find(['/', '?']).map_or("/", |i| &after[i..]))
}

/// The URL of `rel="next"` in the `Link` headers. A header that is no list of links is an error: it may have named one.
pub(super) fn link_next(headers: &HeaderMap) -> Result<Option<String>, String> {
    for value in headers.get_all(http::header::LINK) {
        let text = value.to_str().map_err(|_| "the Link header is not text".to_owned())?;
        let mut rest = text;
        if !rest.contains('<') && !rest.trim_matches([',', ' ', '\t']).is_empty() {
            return Err("the Link header names no address between `<` and `>`".to_owned());
        }
        while let Some((_, after)) = rest.split_once('<') {
            let (url, tail) = after.split_once('>').ok_or("the Link header has a `<` without a `>`")?;
            let params = &tail[..unquoted(tail, '<').unwrap_or(tail.len())];
            let mut left = params;
            while let Some(at) = unquoted(left, ';') {
                left = &left[at + 1..];
                let param = left[..unquoted(left, ';').unwrap_or(left.len())].trim_end_matches([',', ' ']);
                let Some((name, rel)) = param.split_once('=') else { continue };
                let mut rels = rel.trim().trim_matches(['"', '\'']).split([' ', '\t']);
                if name.trim().eq_ignore_ascii_case("rel") && rels.any(|r| r.eq_ignore_ascii_case("next")) {
                    return Ok(Some(url.to_owned()));
                }
            }
            rest = &tail[params.len()..];
        }
    }
    Ok(None)
}

/// Where `sign` stands first outside of quotes.
fn unquoted(text: &str, sign: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.find(|c| {
        let found = c == sign && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        found
    })
}

/// How many items the other side says there are.
pub(super) fn announced(place: Option<&Place>, headers: &HeaderMap, body: &str) -> Result<Option<usize>, String> {
    let value = match place {
        None => return Ok(None),
        Some(Place::Header(name)) => headers.get(name.as_str()).and_then(|v| v.to_str().ok()).map(str::to_owned),
        Some(Place::Body(at)) => scan::value_at(body, at)?.as_ref().and_then(text_of),
    };
    let at = |place: &Place| match place {
        Place::Header(name) => name.clone(),
        Place::Body(at) => FieldPath::to_string(at),
    };
    match value.as_deref().map(str::trim).map(str::parse) {
        Some(Ok(n)) => Ok(Some(n)),
        _ => Err(format!("`{}` does not say how many items there are", place.map(at).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())])
    }

    fn got(count: usize, last: Option<&str>) -> Got {
        Got { count, last: last.map(str::to_owned), ..Got::default() }
    }

    #[test]
    fn a_next_link_stays_on_the_origin() {
        let rule = PageRule::Header { name: "next-page".into(), size: None };
        for (url, expected) in [
            ("http://api.example:80/v1/r?_token=a", Some("/v1/r?_token=a")),
            ("http://API.example/v1/r?x#f", Some("/v1/r?x")),
            ("/v1/r?p=2", Some("/v1/r?p=2")),
            ("?p=2", Some("/v1/r?p=2")),
            ("r2", Some("/v1/r2")),
            ("https://api.example/v1/r", None),
            ("http://api.example@evil/v1/r", None),
            ("http://api.example:81/v1/r", None),
            ("//evil/v1", None),
            ("ftp://api.example/", None),
        ] {
            let mut pages = Pages::new(&rule, "http://api.example", 10);
            let next = pages.after(&pages.first(), "/v1/r?p=1", &headers("next-page", url), "[]", Got::default());
            assert_eq!(next.ok().flatten().and_then(|a| a.url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn the_next_page_is_found_in_any_spelling_of_a_link() {
        for (link, expected) in [
            (r#"</a>; rel="next""#, Some("/a")),
            ("</a>; rel=next", Some("/a")),
            (r#"</a>; Rel = "prev NEXT""#, Some("/a")),
            (r#"</p>; rel="prev", </a>; title="<b>; c"; rel="next""#, Some("/a")),
            (r#"</p>; rel="prev"; title="</a>; rel=next", </z>; rel=last"#, None),
            (r#"</p>; rel="prev next-archive""#, None),
            ("</a>; rel='next'", Some("/a")),
            ("</a>; rel=\"prev\tnext\"", Some("/a")),
            ("", None),
            (" , ", None),
        ] {
            assert_eq!(link_next(&headers("link", link)).unwrap().as_deref(), expected, "{link}");
        }
        for link in ["/a; rel=next", "<a; rel=next", "rel=next"] {
            assert!(link_next(&headers("link", link)).is_err(), "{link}");
        }
    }

    #[test]
    fn a_token_that_comes_twice_is_a_circle() {
        let rule = PageRule::Token { at: FieldPath::parse("/next"), name: "continue".into(), size: None };
        let mut pages = Pages::new(&rule, "http://h", 10);
        let first = pages.first();
        let body = r#"{"items":[],"next":"t"}"#;
        let second = pages.after(&first, "/", &HeaderMap::new(), body, Got::default()).unwrap().unwrap();
        assert_eq!(second.query, [("continue".to_owned(), "t".to_owned())]);
        assert!(pages.after(&second, "/", &HeaderMap::new(), body, Got::default()).is_err());
        assert_eq!(pages.after(&second, "/", &HeaderMap::new(), r#"{"items":[]}"#, Got::default()), Ok(None));
    }

    #[test]
    fn there_may_be_as_many_pages_as_the_limit_says_and_not_one_more() {
        let rule = PageRule::Token { at: FieldPath::parse("/next"), name: "continue".into(), size: None };
        let mut pages = Pages::new(&rule, "http://h", 3);
        let mut next = |n: usize| {
            let (ask, body) = (pages.first(), format!(r#"{{"next":"{n}"}}"#));
            pages.after(&ask, "/", &HeaderMap::new(), &body, Got::default())
        };
        assert!(next(2).is_ok() && next(3).is_ok());
        assert!(next(4).unwrap_err().contains("more than 3 pages (`limits.pages`"));
    }

    #[test]
    fn numbers_end_where_the_server_says() {
        let size = Some(("page_size".to_owned(), 2));
        let rule =
            PageRule::Number { name: "page".into(), size, start: 1, end: PageEnd::At(FieldPath::parse("/page_count")) };
        let mut pages = Pages::new(&rule, "http://h", 10);
        let body = r#"{"page_count":2}"#;
        let second = pages.after(&pages.first(), "/", &HeaderMap::new(), body, Got::default()).unwrap().unwrap();
        assert!(second.query.contains(&("page".to_owned(), "2".to_owned())));
        assert_eq!(pages.after(&second, "/", &HeaderMap::new(), body, Got::default()), Ok(None));
        for odd in ["{}", r#"{"page_count":-1}"#, r#"{"page_count":2.5}"#, r#"{"page_count":"2"}"#] {
            assert!(pages.after(&second, "/", &HeaderMap::new(), odd, Got::default()).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_short_page_is_no_end_where_the_server_says_how_many_there_are() {
        let next = |end: PageEnd, start, page: &[(usize, usize, Option<usize>)]| {
            let rule = PageRule::Offset { name: "from".into(), start, size: ("count".into(), 100), end };
            let mut pages = Pages::new(&rule, "http://h", 10);
            let mut asked = vec![];
            let mut ask = Some(pages.first());
            for (count, seen, total) in page {
                let Some(now) = ask else { break };
                asked.push(now.query[1].1.clone());
                let got = Got { count: *count, seen: *seen, total: *total, last: None };
                ask = pages.after(&now, "/", &HeaderMap::new(), "{}", got).unwrap();
            }
            (asked.join(" "), ask.is_none())
        };
        let capped = [(50, 50, Some(120)), (50, 100, Some(120)), (20, 120, Some(120)), (0, 0, None)];
        assert_eq!(next(PageEnd::Empty, 0, &capped), ("0 50 100".to_owned(), true));
        assert_eq!(next(PageEnd::Short, 1, &capped), ("1 51 101".to_owned(), true), "the total decides");
        let unsaid = [(50, 50, None), (20, 70, None), (0, 70, None), (0, 70, None)];
        assert_eq!(next(PageEnd::Empty, 0, &unsaid), ("0 50 70".to_owned(), true), "an empty page is the end");
        assert_eq!(next(PageEnd::Short, 0, &unsaid), ("0 50 70".to_owned(), true), "no page was full");
        let once = [(100, 100, None), (20, 120, None), (0, 120, None)];
        assert_eq!(next(PageEnd::Short, 0, &once), ("0 100".to_owned(), true), "one was");
        let gone = [(50, 50, Some(120)), (0, 50, Some(120)), (0, 0, None)];
        assert_eq!(next(PageEnd::Empty, 0, &gone), ("0 50".to_owned(), true), "and the count does not agree then");
    }

    #[test]
    fn a_page_that_comes_again_is_noticed() {
        let rule = PageRule::Offset { name: "skip".into(), start: 0, size: ("limit".into(), 2), end: PageEnd::Empty };
        let mut pages = Pages::new(&rule, "http://h", 10);
        assert!(!pages.repeats(["a", "b"].into_iter()) && !pages.repeats(["ab"].into_iter()));
        assert!(pages.repeats(["ab"].into_iter()));
        assert!(!pages.repeats([""; 0].into_iter()) && !pages.repeats([""; 0].into_iter()), "an empty page is the end");
    }

    #[test]
    fn pages_may_be_counted_from_zero() {
        let size = Some(("size".to_owned(), 2));
        let rule =
            PageRule::Number { name: "page".into(), start: 0, size, end: PageEnd::At(FieldPath::parse("/pages")) };
        let mut pages = Pages::new(&rule, "http://h", 10);
        let first = pages.first();
        assert!(first.query.contains(&("page".to_owned(), "0".to_owned())));
        let body = r#"{"pages":2}"#;
        let second = pages.after(&first, "/", &HeaderMap::new(), body, Got::default()).unwrap().unwrap();
        assert!(second.query.contains(&("page".to_owned(), "1".to_owned())));
        assert_eq!(pages.after(&second, "/", &HeaderMap::new(), body, Got::default()), Ok(None));
    }

    #[test]
    fn a_page_may_begin_after_the_last_item() {
        let rule = |more: Option<&str>, short| PageRule::After {
            name: "since".into(),
            value: crate::manifest::api::BodyTemplate::parse(&Value::from("{id}")).unwrap(),
            size: Some(("limit".to_owned(), 2)),
            more: more.map(FieldPath::parse),
            short,
        };
        let next = |rule: &PageRule, body: &str, count, last: Option<&str>| {
            let mut pages = Pages::new(rule, "http://h", 10);
            let found = pages.after(&pages.first(), "/", &HeaderMap::new(), body, got(count, last));
            found.map(|ask| ask.map(|ask| ask.query.last().unwrap().1.clone()))
        };
        let said = rule(Some("/more"), false);
        assert_eq!(next(&said, r#"{"more":true}"#, 1, Some("b")), Ok(Some("b".to_owned())));
        assert_eq!(next(&said, "{}", 2, Some("b")), Ok(None), "a missing flag is false");
        assert!(next(&said, r#"{"more":"yes"}"#, 2, Some("b")).is_err());
        assert!(next(&said, r#"{"more":true}"#, 0, None).is_err(), "an empty page that is not the last");
        assert_eq!(next(&rule(None, true), "{}", 1, Some("b")), Ok(Some("b".to_owned())), "no page was full yet");
        assert_eq!(next(&rule(None, false), "{}", 1, Some("b")), Ok(Some("b".to_owned())), "only an empty one is");
        assert_eq!(next(&rule(None, false), "{}", 0, None), Ok(None));
        let mut pages = Pages::new(&said, "http://h", 10);
        let (first, body) = (pages.first(), r#"{"more":true}"#);
        let second = pages.after(&first, "/", &HeaderMap::new(), body, got(2, Some("b"))).unwrap().unwrap();
        let again = pages.after(&second, "/", &HeaderMap::new(), body, got(2, Some("b")));
        assert!(again.is_err(), "a server that does not go on turns in a circle");
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        let header =
            headers("link", r#"<http://h/?p=1>; rel="prev", <http://h/?p=3>; rel="next", <http://h/?p=9>; rel=last"#);
        assert_eq!(link_next(&header).unwrap().as_deref(), Some("http://h/?p=3"));
        assert_eq!(link_next(&headers("link", r#"<http://h/?p=1>; rel="first""#)).unwrap(), None);
    }
}
