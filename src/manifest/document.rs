//! YAML text into canonical values, straight from the parser's events.
//!
//! The policy is YAML 1.2 core, made strict: no duplicate key, no custom tag, no key that is not text, numbers exact,
//! and a warning wherever YAML 1.1 would read something else.

use std::sync::Arc;

use super::budget::Budget;
use super::reader::{Built, Most, Places, read};
use crate::model::{Canonical, Diagnostic, Digest, FieldPath, Limits, SourceFile, Spans, Value, on_all_cores};

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
    /// How many values it holds, those of aliases counted where they are used.
    pub nodes: usize,
    /// How many bytes it has, as it is written or as it was read: whichever is more.
    pub bytes: usize,
}

impl ParsedFile {
    /// True if another limit would have let more of it be read: it says nothing about the file for good.
    pub fn is_cut(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.code == "too-large")
    }
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
    parse(path, bytes, Most::of(&Limits::default()))
}

fn parse(path: &str, bytes: &[u8], most: Most) -> ParsedFile {
    let mut out = ParsedFile::default();
    let mut size = 0;
    let end = read(path, bytes, most, None, &mut |document: Built| {
        let Built { index, mut value, references, faulty, .. } = document;
        let spec = match &mut value {
            Value::Object(map) => map.remove("spec").map(|spec| spec.canonical()),
            _ => None,
        };
        let digest = Digest::of(spec.as_ref().map_or(&[], Canonical::as_bytes));
        let head = value.canonical();
        size += head.as_bytes().len() + spec.as_ref().map_or(0, |spec| spec.as_bytes().len());
        out.documents.push(ParsedDocument { index, head, spec, digest, references, faulty });
    });
    (out.nodes, out.bytes) = (end.nodes, size.max(bytes.len()));
    out.diagnostics = end.diagnostics;
    out.broken = end.broken;
    out
}

/// Reads files on all cores; the answers stand in the order of the files. Fails where they hold more, together, than a
/// project may: that is noticed while it is small, and told without a place.
pub fn parse_all<P: AsRef<str> + Sync, B: AsRef<[u8]> + Sync>(
    files: &[(P, B)],
    limits: &Limits,
) -> Result<Vec<ParsedFile>, Diagnostic> {
    let budget = Budget::new(limits);
    let parsed = on_all_cores(files, |(path, bytes)| {
        let _turn = budget.turn(bytes.as_ref().len());
        if budget.problem().is_some() {
            return ParsedFile { broken: true, ..ParsedFile::default() };
        }
        let file = parse(path.as_ref(), bytes.as_ref(), Most::of(limits));
        budget.add(file.nodes, file.bytes);
        file
    });
    budget.problem().map_or(Ok(parsed), Err)
}

/// Reads all documents of a file as trees with places: for `ctl.yaml`, API descriptions, and messages.
pub fn read_documents(source: &Arc<SourceFile>) -> (Vec<ReadDocument>, Vec<Diagnostic>) {
    let mut out = Vec::new();
    let end = read(&source.path, source.text.as_bytes(), Most::any(), Some(None), &mut |built: Built| {
        let Built { index, value, references, faulty, places } = built;
        out.push(ReadDocument { index, value, references, places, faulty });
    });
    (out, attach(end.diagnostics, source))
}

/// Where everything stands in one document of a file, by parsing that file again.
pub fn places(source: &Arc<SourceFile>, document: usize) -> Places {
    let mut out = Places::default();
    read(&source.path, source.text.as_bytes(), Most::any(), Some(Some(document)), &mut |built: Built| {
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

/// Gives each label the text it points into, so that the line can be shown. Where the line is hidden, what is quoted of it
/// is taken out of the words as well.
pub(super) fn attach(mut diagnostics: Vec<Diagnostic>, source: &Arc<SourceFile>) -> Vec<Diagnostic> {
    for diagnostic in &mut diagnostics {
        for label in diagnostic.labels.iter_mut().filter(|label| *label.span.file == *source.path) {
            label.source = Some(Arc::clone(source));
            let span = &label.span;
            let quoted = source.text.get(span.offset..span.offset + span.len).filter(|quoted| !quoted.is_empty());
            if let Some(quoted) = quoted.filter(|_| source.hidden.contains(&span.line)) {
                diagnostic.message = diagnostic.message.replace(quoted, "<secret>");
                diagnostic.help = diagnostic.help.take().map(|help| help.replace(quoted, "<secret>"));
            }
        }
    }
    diagnostics
}
