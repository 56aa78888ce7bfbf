//! Files, places in them, and which of their lines may be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::FieldPath;

/// One file of a snapshot: its path inside the project and its text.
#[derive(PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// Path from the repository's root, with forward slashes.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// Lines (from 1) that nobody is shown.
    pub hidden: BTreeSet<u32>,
}

impl SourceFile {
    /// A file of which every line may be shown.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), hidden: BTreeSet::new() }
    }

    /// The line (from 1), unless nobody is shown it.
    pub fn line(&self, number: u32) -> Option<&str> {
        let line = self.text.lines().nth((number as usize).checked_sub(1)?)?;
        (!self.hidden.contains(&number)).then_some(line)
    }
}

/// A place in a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span {
    /// Path from the repository's root.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Bytes from the start of the file.
    pub offset: usize,
    /// Length in bytes; 0 when unknown.
    pub len: usize,
}

/// `file:line:column`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Where each value of one document stands, made on demand by parsing that document again.
#[derive(Clone, Default, Debug)]
pub struct Spans {
    places: BTreeMap<FieldPath, Span>,
}

impl Spans {
    /// Notes where `path` stands.
    pub fn insert(&mut self, path: FieldPath, span: Span) {
        self.places.insert(path, span);
    }

    /// The place of `path`, else that of the nearest value around it.
    pub fn nearest(&self, path: &FieldPath) -> Option<&Span> {
        let steps = path.segments();
        (0..=steps.len()).rev().find_map(|n| self.places.get(&steps[..n].iter().cloned().collect::<FieldPath>()))
    }

    /// The place of `path` itself.
    pub fn get(&self, path: &FieldPath) -> Option<&Span> {
        self.places.get(path)
    }
}
