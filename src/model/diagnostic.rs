//! The one shape of bad news.

use std::sync::Arc;

use super::{SourceFile, Span};

/// The one shape of bad news: what happened, where, and what to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Stable, lowercase, with hyphens: `duplicate-resource`. `ctl explain CODE` tells more.
    pub code: &'static str,
    /// Whether the run can go on.
    pub severity: Severity,
    /// What happened, lowercase, without a full stop.
    pub message: String,
    /// Where, the main place first.
    pub labels: Vec<Label>,
    /// What to do now.
    pub help: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Stops what it concerns.
    Error,
    /// Worth a look; nothing stops.
    Warning,
    /// For information.
    Note,
}

/// A place in a file and what is to be said about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is said there; may be empty.
    pub text: String,
    /// The file, for showing the line; not always at hand.
    pub source: Option<Arc<SourceFile>>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// A note without a place yet.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(code, message) }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), source: None });
        self
    }

    /// Adds a place whose line can be shown.
    #[must_use]
    pub fn in_source(mut self, source: &Arc<SourceFile>, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), source: Some(Arc::clone(source)) });
        self
    }

    /// Says what to do now.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// True for an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
