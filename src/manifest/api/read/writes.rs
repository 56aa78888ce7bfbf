//! How objects are made, changed and deleted.

use crate::manifest::api::reader::Reader;
use crate::manifest::api::{
    ApiOperation, ApiType, Body, Content, Hole, Method, TaskPlace, TaskRule, Template, WaitRule,
};
use crate::model::{FieldPath, Value};

impl Reader<'_> {
    pub(super) fn create_holes(
        &mut self,
        place: &str,
        ty: &ApiType,
        rules: &crate::model::KindRules,
        params: &[String],
    ) {
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

    /// A rehearsal that is the write itself would be one, before anybody noted that it is under way. What tells it from the
    /// write is fixed in the description, so that no manifest can take it away.
    pub(super) fn writes_nothing(&mut self, place: &str, validate: &ApiOperation, writes: [&Option<ApiOperation>; 2]) {
        let same = |write: &&ApiOperation| {
            let headers =
                |op: &ApiOperation| op.headers.iter().filter(|(_, v)| v.holes().next().is_none()).cloned().collect();
            let (ours, theirs): (Vec<_>, Vec<_>) = (headers(validate), headers(write));
            let (told, written) = (validate.body.fixed(), write.body.fixed());
            (write.method, &write.path, &write.query) == (validate.method, &validate.path, &validate.query)
                && ours.iter().all(|header| theirs.contains(header))
                && told.iter().all(|member| written.contains(member))
        };
        if validate.method == Method::Delete {
            self.error(place, "a rehearsal deletes nothing: post, put or patch");
        } else if writes.into_iter().flatten().find(same).is_some() {
            let problem = "this is the write itself; say in `path`, `query`, `headers` or a `body` what makes it a rehearsal \
                           (`body: {\"*\": all, dryRun: true}`)";
            self.error(place, problem);
        }
    }

    /// A call that is about no object: it takes parameters only, and pours nothing.
    pub(super) fn after_apply(
        &mut self,
        place: &str,
        value: &Value,
        content: &Content,
        params: &[String],
    ) -> Option<ApiOperation> {
        if let Value::String(_) = value {
            self.error(place, "say with which method: `after-apply: {post: /path}`");
            return None;
        }
        // As for a delete: nothing is sent where nothing is said.
        let mut call = self.operation(place, value, Method::Delete, None, None)?;
        call.content.get_or_insert_with(|| content.clone());
        let poured = match &call.body {
            Body::All | Body::Merged | Body::Changes | Body::Fields => true,
            Body::Template(template) => template.splat().is_some(),
            Body::None => false,
        };
        if poured {
            self.error(place, "this call is about no object: `body` says all that is sent, or nothing is");
        }
        if call.wait.is_some() {
            self.error(place, "this call is about no object, so that there is nothing to `wait` for");
        }
        let mut holes: Vec<&Hole> = call.path.holes().collect();
        holes.extend(call.query.iter().chain(&call.headers).flat_map(|(_, template)| template.holes()));
        if let Body::Template(template) = &call.body {
            holes.extend(template.holes());
        }
        for hole in holes.into_iter().filter(|hole| !params.contains(&hole.name)) {
            self.error(place, format!("`{{{}}}` is not among `params`, and this call is about no object", hole.name));
        }
        Some(call)
    }

    pub(super) fn operation(
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
            None if matches!(map[word], Value::Object(_)) => mode = Some(Body::Template(self.body(place, &map[word])?)),
            _ => {
                let known = format!("`{word}` takes a path, a body, or one of all, merged, changes, fields, none");
                self.error(place, known);
                return None;
            }
        }
        if mode.is_some() && map.contains_key("body") {
            let message = format!("`{word}` says what is sent, and `body` says it too; write the path at `{word}`");
            self.error(place, message);
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
        let ok = map.get("ok").map(|v| self.ok(place, v)).unwrap_or_default();
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

    /// What an answer must say, besides its status.
    pub(super) fn ok(&mut self, place: &str, value: &Value) -> Vec<(FieldPath, Value)> {
        match value {
            Value::Object(ok) if !ok.is_empty() => ok.iter().map(|(at, v)| (FieldPath::parse(at), v.clone())).collect(),
            _ => {
                self.error(place, "`ok` takes {/pointer: value}");
                Vec::new()
            }
        }
    }

    pub(super) fn content(&mut self, place: &str, value: &Value) -> Option<Content> {
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

    pub(super) fn wait(&mut self, place: &str, value: &Value) -> Option<WaitRule> {
        match value {
            Value::String(word) if word == "gone" => Some(WaitRule::Gone),
            Value::Object(map) if !map.keys().all(|name| name.starts_with('/')) => {
                self.task(place, value).map(WaitRule::Task)
            }
            Value::Object(values) => {
                Some(WaitRule::Until(values.iter().map(|(at, v)| (FieldPath::parse(at), v.clone())).collect()))
            }
            _ => {
                self.error(
                    place,
                    "`wait` takes {/pointer: value}, a task ({get, done, failed}), or `gone` after a delete",
                );
                None
            }
        }
    }
}

impl Reader<'_> {
    /// The task behind a write.
    fn task(&mut self, place: &str, value: &Value) -> Option<TaskRule> {
        let map = self.members(place, value, &["get", "header", "done", "failed", "message"], &[])?;
        let place_of = match (map.get("get"), map.get("header")) {
            (Some(get), None) => TaskPlace::Path(self.path(place, get)?),
            (None, Some(header)) => TaskPlace::Header(self.header_name(place, header)?),
            (Some(_), Some(_)) | (None, None) => {
                self.error(place, "`wait` for a task needs `get: path` or `header: NAME`: where the task is");
                return None;
            }
        };
        let (Some(done), Some(failed)) = (map.get("done"), map.get("failed")) else {
            self.error(
                place,
                "`wait` for a task needs `done:` and `failed:`, each {/pointer: value, or a list of values}",
            );
            return None;
        };
        let message = match map.get("message") {
            Some(Value::Array(several)) => several.iter().filter_map(|v| self.pointer(place, v)).collect(),
            one => one.and_then(|v| self.pointer(place, v)).into_iter().collect(),
        };
        Some(TaskRule {
            place: place_of,
            done: self.endings(place, "done", done)?,
            failed: self.endings(place, "failed", failed)?,
            message,
        })
    }

    fn endings(&mut self, place: &str, word: &str, value: &Value) -> Option<Vec<(FieldPath, Vec<Value>)>> {
        let Some(map) = value.as_object().filter(|map| !map.is_empty()) else {
            self.error(place, format!("`{word}` takes {{/pointer: value, or a list of values}}"));
            return None;
        };
        let one = |value: &Value| value.as_array().map_or_else(|| vec![value.clone()], <[Value]>::to_vec);
        Some(map.iter().map(|(at, value)| (FieldPath::parse(at), one(value))).collect())
    }
}

pub(super) fn plain(method: Method, path: Template, body: Body) -> ApiOperation {
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
