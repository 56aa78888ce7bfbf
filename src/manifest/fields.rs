//! Reading a tree that should have a certain shape, collecting every problem instead of stopping at the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::ReadDocument;
use super::hint;
use super::reader::Places;
use crate::model::{Diagnostic, FieldPath, SourceFile, Span, Value};

/// One document and the problems found in it so far.
pub(super) struct Fields<'a> {
    source: &'a Arc<SourceFile>,
    places: &'a Places,
    /// Every problem so far.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Where a word stands that is meant as it is read here, whatever YAML 1.1 makes of it.
    meant: Vec<Span>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(source: &'a Arc<SourceFile>, document: &'a ReadDocument) -> Self {
        Self { source, places: &document.places, diagnostics: Vec::new(), meant: Vec::new() }
    }

    /// Where the value at `path` stands, or the nearest around it.
    pub(super) fn place(&self, path: &FieldPath) -> Span {
        self.places.values.nearest(path).cloned().unwrap_or_else(|| start_of(&self.source.path))
    }

    /// Where the key of the value at `path` stands.
    pub(super) fn key_place(&self, path: &FieldPath) -> Span {
        self.places.keys.get(path).cloned().unwrap_or_else(|| self.place(path))
    }

    pub(super) fn error(&mut self, code: &'static str, path: &FieldPath, message: impl Into<String>, help: &str) {
        let span = self.place(path);
        self.push(Diagnostic::error(code, message), span, help);
    }

    pub(super) fn key_error(&mut self, code: &'static str, path: &FieldPath, message: impl Into<String>, help: &str) {
        let span = self.key_place(path);
        self.push(Diagnostic::error(code, message), span, help);
    }

    /// Notes that the plain word at `path` (`off`) is one of the documentation's own, so that nobody has to quote it.
    pub(super) fn meant(&mut self, path: &FieldPath) {
        self.meant.push(self.place(path));
    }

    /// True if this is the warning about such a word.
    pub(super) fn is_meant(&self, diagnostic: &Diagnostic) -> bool {
        let at = diagnostic.labels.first().map(|label| label.span.offset);
        diagnostic.code == "ambiguous-scalar" && self.meant.iter().any(|span| Some(span.offset) == at)
    }

    fn push(&mut self, diagnostic: Diagnostic, span: Span, help: &str) {
        let diagnostic = diagnostic.in_source(self.source, span, "");
        self.diagnostics.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// The mapping at `path`; told and `None` if it is something else.
    pub(super) fn mapping<'v>(&mut self, value: &'v Value, path: &FieldPath) -> Option<&'v BTreeMap<String, Value>> {
        let map = value.as_object();
        if map.is_none() {
            self.wrong(value, path, "a mapping");
        }
        map
    }

    /// The text at `path`; told and `None` if it is something else.
    pub(super) fn text<'v>(&mut self, value: &'v Value, path: &FieldPath) -> Option<&'v str> {
        let text = value.as_str();
        if text.is_none() {
            self.wrong(value, path, "text");
        }
        text
    }

    /// Says that `wanted` should stand at `path`.
    pub(super) fn wrong(&mut self, value: &Value, path: &FieldPath, wanted: &str) {
        let name = path.segments().last().map_or("the document", String::as_str);
        self.error("wrong-type", path, format!("`{name}` is {}, not {wanted}", value.noun()), "");
    }

    /// Refuses every key of `map` that is not among `known`.
    pub(super) fn only(&mut self, map: &BTreeMap<String, Value>, path: &FieldPath, known: &[&str]) {
        for key in map.keys().filter(|k| !known.contains(&k.as_str())) {
            let operator =
                ["hosts", "grant", "header", "basic", "bearer", "secrets", "allow", "record-key", "token", "password"];
            let help = if operator.contains(&key.as_str()) {
                Some("this is for the operator's file, not for the repository".to_owned())
            } else {
                hint::did_you_mean(key, "fields here", known.iter().copied())
            };
            let message = format!("unknown field `{key}`");
            self.key_error("unknown-field", &path.join(key.clone()), message, help.as_deref().unwrap_or_default());
        }
    }
}

/// The first place of a file, where nothing better is known.
pub(super) fn start_of(path: &str) -> Span {
    Span { file: path.into(), line: 1, column: 1, offset: 0, len: 0 }
}
