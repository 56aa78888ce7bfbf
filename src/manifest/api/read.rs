//! A description's tree, word by word, collecting everything that is wrong with it.

mod approach;
mod lists;
mod pages;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_yaml::Value as Yaml;

use super::reader::{Map, Reader, to_u32};
use super::{
    AbsentRule, AfterRule, ApiDescription, ApiOperation, ApiType, AuthRule, Body, Choice, Content, EtagRule, Method,
    PageRule, Place, Shape, Template, links, reach, rules,
};
use crate::model::{Diagnostic, Digest, FieldPath, Kind, KindTable, Span, Value};

use writes::plain;

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
    "ok",
    "envelope",
    "page",
    "etag",
    "absent",
    "retry",
    "fence",
    "idempotency-key",
    "content",
    "after-apply",
    "types",
];
const API_LATER: &[&str] = &["batch", "validate", "document", "requires"];
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
    "after-apply",
];
const TYPE_LATER: &[&str] = &["batch", "document", "rename", "requires"];

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

/// What a type inherits from its API.
struct Defaults {
    ok: Vec<(FieldPath, Value)>,
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

impl Defaults {
    /// The operation, whose success is what the API says where it says nothing of its own.
    fn judging(&self, op: ApiOperation) -> ApiOperation {
        match op.ok.is_empty() {
            true => ApiOperation { ok: self.ok.clone(), ..op },
            false => op,
        }
    }
}

impl Reader<'_> {
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
            ok: map.get("ok").map(|v| self.ok("ok", v)).unwrap_or_default(),
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
            let Some(mut rules) = rules::read(self, &place, &kind, map, &keys) else { continue };
            let Some(ty) = self.kind(&place, &kind, map, &rules, &defaults) else { continue };
            rules.listed_apart =
                ty.get.is_some() && ty.list.shape != Shape::One && !ty.list.summary && !rules.listed_by_key;
            tables.insert(kind.clone(), rules);
            kinds.insert(kind, ty);
        }
        rules::check(self, &tables);
        links::ancestors(self, &kinds, &mut tables, &defaults.params);
        links::check(self, &tables);
        reach::check(self, &kinds, &tables, &defaults.params);
        let after_apply = map
            .get("after-apply")
            .and_then(|v| self.after_apply("after-apply", v, &defaults.content, &defaults.params))
            .map(|call| defaults.judging(call));
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
            ok: defaults.ok,
            retry: map.get("retry").map(|v| self.retry(v)).unwrap_or_default(),
            after_apply,
            fence: map.get("fence").and_then(|v| self.header_name("fence", v)),
            params: defaults.params,
            types: kinds,
            digest: Digest::of(self.text.as_bytes()),
            table: Arc::new(KindTable { kinds: tables }),
        };
        let free = api.base.holes().chain(api.health.iter().flat_map(Template::holes));
        // What goes with every request goes also with those that concern no object.
        let shared = api.headers.iter().chain(&api.query).flat_map(|(_, template)| template.holes());
        let calls =
            api.after_apply.is_some() || api.types.values().any(|ty| matches!(ty.after_apply, AfterRule::Call(_)));
        let free = free.chain(shared.filter(|hole| calls || hole.name.contains('.')));
        let loose: Vec<String> = free.filter(|h| !api.params.contains(&h.name)).map(|h| h.name.clone()).collect();
        for hole in loose {
            self.error("base", format!("`{{{hole}}}` is not among `params`"));
        }
        Some(api)
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
        let (spec, spec_sent) =
            map.get("spec").and_then(|v| self.envelope(&format!("{place}/spec"), v)).unwrap_or_default();
        let list = self.list(&format!("{place}/list"), map, path.as_ref(), &envelope, defaults)?;
        let get = match map.get("get") {
            // One object is asked for where its list is said to be, whatever its `path` is good for.
            None if list.shape == Shape::One && !list.summary && map.contains_key("list") => list.as_get(),
            said => self.get(&format!("{place}/get"), said, path.as_ref(), &envelope)?,
        };
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
        let create = match map.get("create").or(write).or(single) {
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
        let [create, update, delete, validate] =
            [create, update, delete, validate].map(|op| op.map(|op| defaults.judging(op)));
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
            spec,
            spec_sent,
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
            after_apply: match map.get("after-apply") {
                None => AfterRule::AsAll,
                Some(Value::String(none)) if none == "none" => AfterRule::Nothing,
                Some(value) => self
                    .after_apply(&format!("{place}/after-apply"), value, &defaults.content, &defaults.params)
                    .map_or(AfterRule::AsAll, |call| AfterRule::Call(Box::new(defaults.judging(call)))),
            },
        };
        self.create_holes(place, &ty, rules, &defaults.params);
        Some(ty)
    }
}

fn standard_absent() -> AbsentRule {
    AbsentRule { statuses: vec![404], null: false, values: Vec::new() }
}
