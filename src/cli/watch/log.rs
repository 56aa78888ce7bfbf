//! The watcher's log: one event a line, on standard error.

use crate::cli::context::to_stderr;
use crate::event::{Entry, Level};
use crate::report::sanitize::line;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Log {
    /// How lines look.
    pub(super) form: Form,
    /// What comes again and again while something is away is written too: `-v`.
    pub(super) loud: bool,
}

impl Log {
    /// Writes an entry.
    pub(super) fn write(self, entry: &Entry) {
        if entry.level == Level::Debug && !self.loud {
            return;
        }
        let text = match self.form {
            Form::Json => entry.line(),
            Form::Text => {
                let level = match entry.level {
                    Level::Debug => "debug",
                    Level::Info => "info ",
                    Level::Warn => "warn ",
                    Level::Error => "error",
                };
                // Messages name the place that they are about.
                format!("{} {level} {}", entry.time, line(&entry.message))
            }
        };
        to_stderr(&format!("{text}\n"));
    }
}
