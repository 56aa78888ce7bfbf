//! How the next page of a list is asked for.

use crate::manifest::api::reader::{Map, Reader};
use crate::manifest::api::{PageEnd, PageRule, Place};
use crate::model::Value;

/// Whether a word of `page` says anything where pages are asked for in this style.
fn belongs(style: &str, word: &str) -> bool {
    let own: &[&str] = match style {
        "next" => &["use"],
        "token" => &["as"],
        "number" | "offset" => &["start", "until", "last"],
        "after" => &["as", "more", "until"],
        _ => &[],
    };
    word == style || word == "size" || word == "total" || own.contains(&word)
}

impl Reader<'_> {
    pub(super) fn size(&mut self, place: &str, value: Option<&Value>) -> Option<(String, u64)> {
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

    pub(super) fn page(&mut self, place: &str, value: Option<&Value>) -> (PageRule, Option<Place>) {
        let Some(value) = value else { return (PageRule::Unsaid, None) };
        if value.as_str() == Some("none") {
            return (PageRule::Whole, None);
        }
        let known = [
            "link", "header", "next", "use", "token", "as", "number", "size", "last", "until", "offset", "after",
            "more", "total", "start",
        ];
        let Some(map) = self.members(place, value, &known, &[]) else { return (PageRule::Whole, None) };
        let total = match map.get("total") {
            None => None,
            Some(Value::Object(at)) if at.len() == 1 && at.contains_key("header") => {
                self.text(place, &at["header"]).map(Place::Header)
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
        for word in map.keys().filter(|word| !belongs(style, word)) {
            self.error(place, format!("`{word}` means nothing beside `{style}`"));
        }
        let rule = match style {
            "link" => match value.as_str() {
                Some("next") => Some(PageRule::Link { size }),
                _ => {
                    self.error(place, "`link` takes `next`");
                    None
                }
            },
            "header" => self.text(place, value).map(|name| PageRule::Header { name, size }),
            "next" => self.pointer(place, value).map(|at| PageRule::Next {
                at,
                query_only: map.get("use").is_some_and(|v| self.only_word(place, "use", "query", v)),
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
                let (start, end) = (self.page_start(place, map, 1), self.page_end(place, map, size.is_some()));
                self.text(place, value).map(|name| PageRule::Number { name, start, size, end })
            }
            "after" => self.page_after(place, value, map, size),
            _ => match size {
                Some(size) => {
                    let (start, end) = (self.page_start(place, map, 0), self.page_end(place, map, true));
                    self.text(place, value).map(|name| PageRule::Offset { name, start, size, end })
                }
                None => {
                    self.error(place, "an offset needs `size: {NAME: COUNT}`");
                    None
                }
            },
        };
        (rule.unwrap_or(PageRule::Whole), total)
    }

    /// `start: 0` or `1`: what the first page, or the first item, is called.
    fn page_start(&mut self, place: &str, map: &Map, usual: u64) -> u64 {
        match map.get("start") {
            None => usual,
            Some(Value::Number(n)) if n.as_u64().is_some_and(|n| n < 2) => n.as_u64().unwrap_or(usual),
            Some(_) => {
                self.error(place, "`start` takes 0 or 1, what the first page (or the first item) is called");
                usual
            }
        }
    }

    /// `last: /ptr`, `until: short` or `until: empty`, which is meant where nothing is said.
    fn page_end(&mut self, place: &str, map: &Map, sized: bool) -> PageEnd {
        let until = map.get("until").map(|v| v.as_str().unwrap_or(""));
        match (map.get("last"), until) {
            (Some(_), Some(_)) => self.error(place, "says both `last` and `until`"),
            (Some(at), None) => return self.pointer(place, at).map_or(PageEnd::Empty, PageEnd::At),
            (None, Some("short")) if sized => return PageEnd::Short,
            (None, Some("short")) => self.error(place, "`until: short` needs `size: {NAME: COUNT}`"),
            (None, Some("empty") | None) => {}
            (None, Some(_)) => self.error(place, "`until` takes `short` or `empty`"),
        }
        PageEnd::Empty
    }

    /// `{after: FIELD, as: NAME or {NAME: "{FIELD|codecs}"}, more: /ptr or until: short}`.
    pub(super) fn page_after(
        &mut self,
        place: &str,
        value: &Value,
        map: &Map,
        size: Option<(String, u64)>,
    ) -> Option<PageRule> {
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
            Some("empty") => false,
            Some("short") if size.is_some() => true,
            Some("short") => {
                self.error(place, "`until: short` needs `size: {NAME: COUNT}`");
                false
            }
            Some(_) => {
                self.error(place, "`until` takes `short` or `empty`");
                false
            }
        };
        Some(PageRule::After { name, value, size, more, short })
    }
}
