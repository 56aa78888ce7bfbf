//! The watcher's log: one event a line, on standard error.

use crate::cli::context::to_stderr;
use crate::event::{Entry, Level};
use crate::report::sanitize::line;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Log {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Log {
    /// Writes an entry.
    pub(super) fn write(self, entry: &Entry) {
        let text = match self {
            Self::Json => entry.line(),
            Self::Text => {
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
