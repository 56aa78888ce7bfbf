//! Text in, Desired out: every value with its file and line. Pure.
//!
//! ```text
//! bytes ── document ──> ParsedFile (cached by blob id) ──┐
//! ctl.yaml ── project ──> Project ───────────────────────┼─ set ──> Complete<Snapshot>
//! API description ──> KindTable ─────────────────────────┘
//! ```
//!
//! Files parse independently, on all cores. Lines and columns are made again, for one document, when a problem is shown.

pub mod api;
mod budget;
mod cache;
mod clear;
mod document;
mod entries;
mod fields;
mod hint;
mod incremental;
mod made;
mod project;
mod reader;
mod resource;
mod scalar;
mod set;

pub use clear::shown;
pub use document::{ParsedDocument, ParsedFile, ReadDocument, parse_all, parse_file, places, read_documents, spans};
pub use entries::{ManifestEntries, manifest_entries};
pub use incremental::{Incremental, NextSet};
pub use project::{PROJECT_FILE, read_project};
pub use reader::Places;
pub use set::{SetInput, assemble, body_span};
