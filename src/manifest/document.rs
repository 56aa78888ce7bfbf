//! YAML text into canonical values, straight from the parser's events.
//!
//! The policy is YAML 1.2 core, made strict: no duplicate key, no custom tag, no key that is not text, numbers exact,
//! and a warning wherever YAML 1.1 would read something else.

use std::sync::Arc;

use super::reader::{Built, Places, read};
use crate::model::{Canonical, Diagnostic, Digest, FieldPath, SourceFile, Spans, Value, on_all_cores};

/// Codes that parsing can give. The cache stores their position, so new ones go to the end.
pub(super) const CODES: [&str; 17] = [
    "yaml-syntax",
    "not-utf8",
    "control-character",
    "tab",
    "duplicate-key",
    "bad-key",
    "ambiguous-scalar",
    "bad-number",
    "custom-tag",
    "bad-tag",
    "too-deep",
    "too-large",
    "alias-bomb",
    "bad-alias",
    "bad-merge",
    "template-leftover",
    "bad-reference",
];

/// What one file holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ParsedFile {
    /// Its documents, without the empty ones.
    pub documents: Vec<ParsedDocument>,
    /// Every problem of its text.
    pub diagnostics: Vec<Diagnostic>,
    /// True if a part could not be read at all, so that resources may be missing here.
    pub broken: bool,
}

/// One document, ready to be made a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParsedDocument {
    /// Which one of the file, from 0, empty ones counted.
    pub index: usize,
    /// All of it but `spec`.
    pub head: Canonical,
    /// Its `spec`, if it has one.
    pub spec: Option<Canonical>,
    /// SHA-256 of `spec` (of nothing, where it has none).
    pub digest: Digest,
    /// `$value` references: where they stand in the whole document (where a null holds their place), and their names.
    /// They are kept beside the data, so that no data can look like one.
    pub references: Vec<(FieldPath, String)>,
    /// True if something in it was refused; a null stands in its place.
    pub faulty: bool,
}

/// A document as a tree, with the places of all it says.
#[derive(Clone, Debug)]
pub struct ReadDocument {
    /// Which one of the file, from 0, empty ones counted.
    pub index: usize,
    /// The whole document.
    pub value: Value,
    /// `$value` references: where they stand, and their names.
    pub references: Vec<(FieldPath, String)>,
    /// Where everything stands.
    pub places: Places,
    /// True if something in it was refused.
    pub faulty: bool,
}

/// Reads a file of manifests. Never fails: what cannot be read is told in the diagnostics.
pub fn parse_file(path: &str, bytes: &[u8]) -> ParsedFile {
    let mut out = ParsedFile::default();
    let end = read(path, bytes, None, &mut |document: Built| {
        let Built { index, mut value, references, faulty, .. } = document;
        let spec = match &mut value {
            Value::Object(map) => map.remove("spec").map(|spec| spec.canonical()),
            _ => None,
        };
        let digest = Digest::of(spec.as_ref().map_or(&[], Canonical::as_bytes));
        out.documents.push(ParsedDocument { index, head: value.canonical(), spec, digest, references, faulty });
    });
    out.diagnostics = end.diagnostics;
    out.broken = end.broken;
    out
}

/// Reads files on all cores; the answers stand in the order of the files.
pub fn parse_all<P: AsRef<str> + Sync, B: AsRef<[u8]> + Sync>(files: &[(P, B)]) -> Vec<ParsedFile> {
    on_all_cores(files, |(path, bytes)| parse_file(path.as_ref(), bytes.as_ref()))
}

/// Reads all documents of a file as trees with places: for `ctl.yaml`, API descriptions, and messages.
pub fn read_documents(source: &Arc<SourceFile>) -> (Vec<ReadDocument>, Vec<Diagnostic>) {
    let mut out = Vec::new();
    let end = read(&source.path, source.text.as_bytes(), Some(None), &mut |built: Built| {
        let Built { index, value, references, faulty, places } = built;
        out.push(ReadDocument { index, value, references, places, faulty });
    });
    (out, attach(end.diagnostics, source))
}

/// Where everything stands in one document of a file, by parsing that file again.
pub fn places(source: &Arc<SourceFile>, document: usize) -> Places {
    let mut out = Places::default();
    read(&source.path, source.text.as_bytes(), Some(Some(document)), &mut |built: Built| {
        if built.index == document {
            out = built.places;
        }
    });
    out
}

/// Where each value of one document stands. Paths start at the document: a field of a resource is below `/spec`.
pub fn spans(source: &Arc<SourceFile>, document: usize) -> Spans {
    places(source, document).values
}

/// Gives each label the text it points into, so that the line can be shown.
pub(super) fn attach(mut diagnostics: Vec<Diagnostic>, source: &Arc<SourceFile>) -> Vec<Diagnostic> {
    for label in diagnostics.iter_mut().flat_map(|d| &mut d.labels) {
        if *label.span.file == *source.path {
            label.source = Some(Arc::clone(source));
        }
    }
    diagnostics
}
