//! How objects are listed, one by one or all together.

use super::Defaults;
use crate::manifest::api::reader::{Map, Reader, key_is_empty};
use crate::manifest::api::{BodyTemplate, GetRule, ListRule, Method, PageRule, Revalidate, Shape, SinceRule, Template};
use crate::model::{FieldPath, Value};

impl Reader<'_> {
    /// What is asked for by its key must be addressed by its key.
    pub(super) fn get_holes(
        &mut self,
        place: &str,
        get: Option<&GetRule>,
        rules: &crate::model::KindRules,
        params: &[String],
    ) {
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

    pub(super) fn list_holes(
        &mut self,
        place: &str,
        list: &ListRule,
        rules: &crate::model::KindRules,
        params: &[String],
    ) {
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

    pub(super) fn list(
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
            link: FieldPath::root(),
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
                if let Some(value) = map.get("shape") {
                    (rule.shape, rule.link) = self.shape(place, value);
                }
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

    /// What a list looks like; `{links: FIELD}` says where in an element its address is.
    fn shape(&mut self, place: &str, value: &Value) -> (Shape, FieldPath) {
        let shape = match value.as_str().unwrap_or("") {
            "array" => Shape::Array,
            "map" => Shape::Map,
            "one" => Shape::One,
            "names" => Shape::Names,
            "links" => Shape::Links,
            other => {
                if let Value::Object(_) = value
                    && let Some(map) = self.members(place, value, &["links"], &[])
                    && let Some(field) = map.get("links").and_then(|v| self.text(place, v))
                {
                    return (Shape::Links, FieldPath::parse(&field));
                }
                self.error(
                    place,
                    format!("`shape: {other}` is not known: array, map, names, one, links or {{links: FIELD}}"),
                );
                Shape::Array
            }
        };
        (shape, FieldPath::root())
    }

    pub(super) fn since(&mut self, place: &str, value: &Value, list: &ListRule) -> Option<SinceRule> {
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

    pub(super) fn revalidate(&mut self, place: &str, value: &Value) -> Revalidate {
        match value.as_str() {
            Some("etag") => Revalidate::Page,
            Some("whole") => Revalidate::Whole,
            _ => {
                self.error(place, "`revalidate` takes `etag` (of one page) or `whole` (it stands for the whole list)");
                Revalidate::No
            }
        }
    }

    pub(super) fn get(
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
            missing_is_absent: map.get("empty").is_some_and(|v| self.only_word(place, "empty", "missing", v)),
        }))
    }

    /// True: it is the one word that is known here. Anything else is told, and never taken for nothing.
    pub(super) fn only_word(&mut self, place: &str, name: &str, known: &str, value: &Value) -> bool {
        let good = value.as_str() == Some(known);
        if !good {
            self.error(&format!("{place}/{name}"), format!("`{name}` takes `{known}`, and nothing else"));
        }
        good
    }

    /// `missing`, a status, or a list of them.
    pub(super) fn empty(&mut self, place: &str, value: &Value, rule: &mut ListRule) {
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
}
