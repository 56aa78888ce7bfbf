//! `ctl.yaml`: targets, limits, and where manifests and record are.
//!
//! It comes from the repository, so it names things and grants nothing: hosts, credentials and leave are the operator's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{ReadDocument, read_documents};
use super::fields::{Fields, start_of};
use crate::model::{
    Diagnostic, Endpoint, EndpointName, FieldPath, Guard, Own, Project, ProjectName, RecordPlace, SourceFile,
    TargetConfig, TargetName, Value,
};

/// What a project file is called.
pub const PROJECT_FILE: &str = "ctl.yaml";

const NAME_HELP: &str = "a name has 1 to 63 of a-z, 0-9 and `-`";

/// Reads and checks a project file; its folder is that of `source`. Gives the warnings beside the project, or every
/// problem of the file.
pub fn read_project(source: &Arc<SourceFile>) -> Result<(Project, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (documents, mut diagnostics) = read_documents(source);
    let project = match documents.as_slice() {
        [one] => {
            let mut reader = Reader { fields: Fields::new(source, one) };
            let project = if one.faulty { None } else { reader.project(one, &source.path) };
            diagnostics.retain(|diagnostic| !reader.fields.is_meant(diagnostic));
            diagnostics.append(&mut reader.fields.diagnostics);
            project
        }
        [] if diagnostics.iter().any(Diagnostic::is_error) => None,
        [] => {
            let message = "the project file is empty";
            diagnostics.push(
                Diagnostic::error("no-project", message)
                    .in_source(source, start_of(&source.path), "")
                    .help("`ctl init` writes one"),
            );
            None
        }
        [_, second, ..] => {
            let mut fields = Fields::new(source, second);
            let help = "a project file is one document; manifests go into files of their own";
            fields.error("no-project", &FieldPath::root(), "a second document in the project file", help);
            diagnostics.append(&mut fields.diagnostics);
            None
        }
    };
    diagnostics.sort_by_key(|d| d.labels.first().map(|l| (l.span.line, l.span.column)));
    match project {
        Some(project) if !diagnostics.iter().any(Diagnostic::is_error) => Ok((project, diagnostics)),
        _ => Err(diagnostics),
    }
}

struct Reader<'a> {
    fields: Fields<'a>,
}

impl Reader<'_> {
    fn project(&mut self, document: &ReadDocument, path: &str) -> Option<Project> {
        let root = FieldPath::root();
        let map = self.fields.mapping(&document.value, &root)?;
        for (at, name) in &document.references {
            self.fields.error(
                "bad-reference",
                at,
                format!("`$value: {name}` in the project file"),
                "values are defined here, not used",
            );
        }
        self.fields.only(map, &root, &["apiVersion", "kind", "metadata", "manifests", "record", "targets", "values"]);
        self.word(map, "apiVersion", "ctl/v1");
        self.word(map, "kind", "Project");
        let name = self.name(map);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let manifests = map.get("manifests").map(|v| self.manifests(v, &folder)).unwrap_or_default();
        let record = map.get("record").map(|v| self.record(v)).unwrap_or_default();
        let record_refs = self.record_refs(map.get("record"));
        let values = map.get("values").map(|v| self.values(v, &root.join("values"))).unwrap_or_default();
        let targets = match map.get("targets") {
            Some(value) => self.targets(value),
            None => {
                let help = "targets:\n    NAME: {api: API, url: URL}";
                self.fields.error("missing-field", &root, "the project has no `targets`", help);
                BTreeMap::new()
            }
        };
        Some(Project { name: name?, folder, manifests, record, record_refs, values, targets })
    }

    fn word(&mut self, map: &BTreeMap<String, Value>, field: &str, expected: &str) {
        let path = FieldPath::root().join(field);
        let help = format!("write `{field}: {expected}`");
        match map.get(field) {
            Some(Value::String(text)) if text == expected => {}
            Some(_) => self.fields.error("wrong-value", &path, format!("`{field}` is not `{expected}`"), &help),
            None => self.fields.error("missing-field", &path, format!("`{field}` is missing"), &help),
        }
    }

    fn name(&mut self, map: &BTreeMap<String, Value>) -> Option<ProjectName> {
        let path = FieldPath::root().join("metadata");
        let help = "write `metadata: {name: NAME}`";
        let Some(value) = map.get("metadata") else {
            self.fields.error("missing-field", &path, "`metadata` is missing", help);
            return None;
        };
        let metadata = self.fields.mapping(value, &path)?;
        self.fields.only(metadata, &path, &["name"]);
        let Some(value) = metadata.get("name") else {
            self.fields.error("missing-field", &path, "`metadata.name` is missing", help);
            return None;
        };
        let path = path.join("name");
        let text = self.fields.text(value, &path)?;
        match text.parse() {
            Ok(name) => Some(name),
            Err(_) => {
                self.fields.error("bad-name", &path, format!("`{}` is not a name", shown(text)), NAME_HELP);
                None
            }
        }
    }

    fn manifests(&mut self, value: &Value, folder: &str) -> Vec<String> {
        let path = FieldPath::root().join("manifests");
        let Value::Array(items) = value else {
            self.fields.wrong(value, &path, "a list of folders");
            return Vec::new();
        };
        if items.is_empty() {
            self.fields.error(
                "wrong-value",
                &path,
                "`manifests` is an empty list",
                "leave it out to read the project's own folder",
            );
        }
        let mut out = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let path = path.join(i.to_string());
            let Some(text) = self.fields.text(item, &path) else { continue };
            let steps: Vec<&str> = text.split('/').filter(|s| !s.is_empty() && *s != ".").collect();
            if text.is_empty() || text.starts_with('/') || steps.contains(&"..") || text.chars().any(char::is_control) {
                let help = "a folder below the project's own, such as `manifests/`";
                self.fields.error(
                    "bad-path",
                    &path,
                    format!("`{}` is not a folder of this project", shown(text)),
                    help,
                );
                continue;
            }
            let full = [folder].into_iter().filter(|f| !f.is_empty()).chain(steps).collect::<Vec<_>>().join("/");
            if !out.contains(&full) {
                out.push(full);
            }
        }
        out
    }

    fn record(&mut self, value: &Value) -> RecordPlace {
        let path = FieldPath::root().join("record");
        let Some(map) = self.fields.mapping(value, &path) else { return RecordPlace::Local };
        self.fields.only(map, &path, &["push", "refs", "file"]);
        let mut place = |field: &str| {
            let path = path.join(field);
            let text = self.fields.text(map.get(field)?, &path)?;
            if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
                let help = "`push` takes a remote's name or a URL, `file` a folder";
                self.fields.error("wrong-value", &path, format!("`{}` cannot hold a record", shown(text)), help);
                return None;
            }
            Some(text.to_owned())
        };
        match (place("push"), place("file")) {
            (Some(_), Some(_)) => {
                self.fields.error("wrong-value", &path, "both `push` and `file` are given", "keep one of them");
                RecordPlace::Local
            }
            (Some(remote), None) => RecordPlace::Push(remote),
            (None, Some(folder)) => RecordPlace::File(folder),
            (None, None) => {
                if map.is_empty() {
                    self.fields.error(
                        "missing-field",
                        &path,
                        "`record` is empty",
                        "write `record: {push: origin}`, or leave it out",
                    );
                }
                RecordPlace::Local
            }
        }
    }

    /// `record: {refs: refs/heads/ctl/}`, for forges that keep nothing but branches and tags.
    fn record_refs(&mut self, record: Option<&Value>) -> Option<String> {
        let path = FieldPath::root().join("record").join("refs");
        let map = record?.as_object()?;
        let text = self.fields.text(map.get("refs")?, &path)?;
        let steps: Vec<&str> = text.trim_end_matches('/').split('/').collect();
        let plain =
            |step: &&str| !step.is_empty() && step.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if map.contains_key("file") {
            self.fields.error(
                "wrong-value",
                &path,
                "a record in a folder has no `refs`",
                "keep one of `refs` and `file`",
            );
            return None;
        }
        // At least two steps of its own, so that no branch or tag of somebody else's is ever its name.
        if steps.first() != Some(&"refs") || steps.len() < 3 || !steps.iter().all(plain) {
            let help =
                "write where the record's refs begin, such as `refs/heads/ctl/`; the project and the target follow";
            self.fields.error("wrong-value", &path, format!("`{}` is no such place", shown(text)), help);
            return None;
        }
        Some(format!("{}/", steps.join("/")))
    }

    fn values(&mut self, value: &Value, path: &FieldPath) -> BTreeMap<String, Value> {
        self.fields.mapping(value, path).cloned().unwrap_or_default()
    }

    fn targets(&mut self, value: &Value) -> BTreeMap<TargetName, TargetConfig> {
        let path = FieldPath::root().join("targets");
        let mut out = BTreeMap::new();
        if matches!(value, Value::Array(_)) {
            let help = "write each target here as `NAME: {api: …, url: …}`";
            self.fields.error("not-yet", &path, "picking targets from a `targets.yaml` is not supported yet", help);
            return out;
        }
        let Some(map) = self.fields.mapping(value, &path) else { return out };
        if map.is_empty() {
            self.fields.error("missing-field", &path, "`targets` is empty", "write `NAME: {api: API, url: URL}`");
        }
        for (name, value) in map {
            let path = path.join(name.clone());
            let target = self.target(value, &path);
            match (name.parse::<TargetName>(), target) {
                (Ok(name), Some(target)) => {
                    out.insert(name, target);
                }
                (Ok(_), None) => {}
                (Err(_), _) => {
                    self.fields.key_error("bad-name", &path, format!("`{}` is not a name", shown(name)), NAME_HELP);
                }
            }
        }
        out
    }

    fn target(&mut self, value: &Value, path: &FieldPath) -> Option<TargetConfig> {
        const KNOWN: [&str; 11] = [
            "api",
            "url",
            "endpoints",
            "credentials",
            "own",
            "concurrency",
            "rate",
            "burst",
            "guard",
            "marks",
            "values",
        ];
        let map = self.fields.mapping(value, path)?;
        self.fields.only(map, path, &KNOWN);
        let api = match map.get("api") {
            Some(value) => self.fields.text(value, &path.join("api")).map(str::to_owned),
            None => {
                let help = "`api` names a description: one of the repository's `apis/`, or one that ships with ctl";
                self.fields.key_error("missing-field", path, "the target has no `api`", help);
                None
            }
        };
        if let Some(api) = api.as_deref().filter(|a| !is_file_name(a)) {
            let message = format!("`{}` is not the name of an API description", shown(api));
            self.fields.error("bad-name", &path.join("api"), message, "letters, digits, `-`, `_` and `.`");
        }
        let credentials = map.get("credentials").and_then(|v| self.credentials(v, &path.join("credentials")));
        let endpoints = self.endpoints(map, path, credentials.as_deref());
        let own = match map.get("own") {
            None => Own::Recorded,
            Some(value) => match value.as_str() {
                Some("recorded") => Own::Recorded,
                Some("exclusive") => Own::Exclusive,
                _ => {
                    let help = "write `recorded` (only what ctl applied is ever deleted) or `exclusive`";
                    self.fields.error(
                        "wrong-value",
                        &path.join("own"),
                        "`own` is neither `recorded` nor `exclusive`",
                        help,
                    );
                    Own::Recorded
                }
            },
        };
        let marks = match map.get("marks") {
            None | Some(Value::Bool(true)) => true,
            Some(Value::Bool(false)) => false,
            // YAML 1.2 reads `off` as text; here it is the word that the documentation uses.
            Some(value) => match value.as_str() {
                Some("on") => true,
                Some("off") => {
                    self.fields.meant(&path.join("marks"));
                    false
                }
                _ => {
                    self.fields.error("wrong-value", &path.join("marks"), "`marks` is neither `on` nor `off`", "");
                    true
                }
            },
        };
        let guard = map.get("guard").map(|v| self.guard(v, &path.join("guard"))).unwrap_or_default();
        let values = map.get("values").map(|v| self.values(v, &path.join("values"))).unwrap_or_default();
        let concurrency = self.count(map, path, "concurrency", 1024);
        let burst = self.count(map, path, "burst", 1_000_000);
        let rate = map.get("rate").and_then(|v| self.rate(v, &path.join("rate")));
        let span = Some(self.fields.key_place(path));
        Some(TargetConfig { api: api?, endpoints, own, concurrency, rate, burst, guard, marks, values, span })
    }

    fn credentials(&mut self, value: &Value, path: &FieldPath) -> Option<String> {
        let help = "`credentials` is a name; the operator's file holds what it stands for";
        match value {
            Value::String(name) if !name.is_empty() && !name.chars().any(char::is_control) => Some(name.clone()),
            _ => {
                self.fields.error("wrong-type", path, "`credentials` is not a name", help);
                None
            }
        }
    }

    fn endpoints(
        &mut self,
        map: &BTreeMap<String, Value>,
        path: &FieldPath,
        credentials: Option<&str>,
    ) -> BTreeMap<EndpointName, Endpoint> {
        let mut out = BTreeMap::new();
        match (map.get("url"), map.get("endpoints")) {
            (Some(_), Some(_)) => {
                self.fields.key_error(
                    "wrong-value",
                    &path.join("endpoints"),
                    "both `url` and `endpoints` are given",
                    "keep one of them",
                );
            }
            (None, None) => {
                let help = "write `url: http://…`, or `endpoints: {NAME: http://…}`";
                self.fields.key_error("missing-field", path, "the target has neither `url` nor `endpoints`", help);
            }
            (Some(url), None) => {
                let path = path.join("url");
                if let Some(url) = self.url(url, &path) {
                    let span = Some(self.fields.place(&path));
                    out.insert(
                        EndpointName::only(),
                        Endpoint { url, credentials: credentials.map(str::to_owned), span },
                    );
                }
            }
            (None, Some(value)) => {
                let path = path.join("endpoints");
                let Some(map) = self.fields.mapping(value, &path) else { return out };
                if map.is_empty() {
                    self.fields.error("missing-field", &path, "`endpoints` is empty", "write `NAME: http://…`");
                }
                for (name, value) in map {
                    let path = path.join(name.clone());
                    let endpoint = self.endpoint(value, &path, credentials);
                    match (name.parse::<EndpointName>(), endpoint) {
                        (Ok(name), Some(endpoint)) => {
                            out.insert(name, endpoint);
                        }
                        (Ok(_), None) => {}
                        (Err(_), _) => {
                            self.fields.key_error(
                                "bad-name",
                                &path,
                                format!("`{}` is not a name", shown(name)),
                                NAME_HELP,
                            );
                        }
                    }
                }
            }
        }
        out
    }

    fn endpoint(&mut self, value: &Value, path: &FieldPath, credentials: Option<&str>) -> Option<Endpoint> {
        let mut credentials = credentials.map(str::to_owned);
        let (url, path) = match value {
            Value::Object(map) => {
                self.fields.only(map, path, &["url", "credentials"]);
                if let Some(own) = map.get("credentials") {
                    credentials = self.credentials(own, &path.join("credentials"));
                }
                let Some(url) = map.get("url") else {
                    self.fields.key_error("missing-field", path, "the endpoint has no `url`", "write `url: http://…`");
                    return None;
                };
                (url, path.join("url"))
            }
            _ => (value, path.clone()),
        };
        let url = self.url(url, &path)?;
        Some(Endpoint { url, credentials, span: Some(self.fields.place(&path)) })
    }

    fn url(&mut self, value: &Value, path: &FieldPath) -> Option<String> {
        let text = self.fields.text(value, path)?;
        match check_url(text) {
            Ok(()) => Some(text.to_owned()),
            Err((why, help)) => {
                // The text may hold a password: it is not repeated.
                self.fields.error("bad-url", path, format!("the URL {why}"), help);
                None
            }
        }
    }

    fn count(&mut self, map: &BTreeMap<String, Value>, path: &FieldPath, field: &str, most: u32) -> Option<u32> {
        let path = path.join(field);
        let value = map.get(field)?;
        let found = match value {
            Value::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=most).contains(n)),
            _ => None,
        };
        if found.is_none() {
            self.fields.error("wrong-value", &path, format!("`{field}` is not a whole number from 1 to {most}"), "");
        }
        found
    }

    fn rate(&mut self, value: &Value, path: &FieldPath) -> Option<u32> {
        let rate =
            value.as_str().and_then(|t| t.strip_suffix("/s")).and_then(|t| t.parse::<u32>().ok()).filter(|n| *n > 0);
        if rate.is_none() {
            self.fields.error(
                "wrong-value",
                path,
                "`rate` is not a number of requests per second",
                "write it as `50/s`",
            );
        }
        rate
    }

    fn guard(&mut self, value: &Value, path: &FieldPath) -> Guard {
        let mut guard = Guard::default();
        let Some(map) = self.fields.mapping(value, path) else { return guard };
        self.fields.only(map, path, &["deletes", "updates"]);
        let mut percent = |field: &str| {
            let value = map.get(field)?;
            let percent = value
                .as_str()
                .and_then(|t| t.strip_suffix('%'))
                .and_then(|t| t.parse::<u8>().ok())
                .filter(|p| *p <= 100);
            if percent.is_none() {
                self.fields.error(
                    "wrong-value",
                    &path.join(field),
                    format!("`{field}` is not a share from 0% to 100%"),
                    "write it as `30%`",
                );
            }
            percent
        };
        if let Some(deletes) = percent("deletes") {
            guard.deletes = deletes;
        }
        guard.updates = percent("updates");
        guard
    }
}

/// A text from the repository, fit for a message: short and without control characters.
pub(super) fn shown(text: &str) -> String {
    let clean: String = text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(80).is_some() { format!("{clean}…") } else { clean }
}

fn is_file_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=63).contains(&text.len()) && text.bytes().all(good) && !text.starts_with('.')
}

fn check_url(text: &str) -> Result<(), (&'static str, &'static str)> {
    if text == "embedded" {
        return Ok(());
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(("holds white space, a control character or a backslash", "percent-encode it"));
    }
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://"));
    let rest = rest.ok_or(("is neither http nor https", "write it whole: `http://HOST:PORT`, or `embedded`"))?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err(("holds a user name", "name `credentials` instead; the operator's file holds the password"));
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(("names no host", "write it whole: `http://HOST:PORT`"));
    }
    if rest.contains(['?', '#']) {
        return Err(("holds a query or a fragment", "leave it out: the description says what is asked for"));
    }
    match text.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_some_and(|h| !h.is_empty()) => Ok(()),
        _ => Err(("cannot be read", "write it whole: `http://HOST:PORT`")),
    }
}

#[cfg(test)]
mod tests;
