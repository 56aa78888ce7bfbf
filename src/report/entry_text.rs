//! One entry of a watcher's log for a terminal.

use super::sanitize::line;
use super::style::{Role, Style};
use crate::event::{Entry, Level};

/// One entry of a watcher's log for a terminal: time, level, event, where, and what happened.
pub fn entry_text(entry: &Entry, style: &Style) -> String {
    let (level, role) = match entry.level {
        Level::Debug => ("debug", Role::Dim),
        Level::Info => ("info", Role::Help),
        Level::Warn => ("warn", Role::Warning),
        Level::Error => ("error", Role::Error),
    };
    let mut place = entry.target.clone().unwrap_or_default();
    if let Some(endpoint) = entry.endpoint.as_ref().filter(|e| *e != crate::model::EndpointName::only().as_str()) {
        place.push_str(&format!("/{endpoint}"));
    }
    // Most messages name the place themselves.
    if entry.target.as_ref().is_some_and(|target| entry.message.contains(target.as_str())) {
        place.clear();
    }
    let words: Vec<String> = [
        style.paint(Role::Dim, &line(&entry.time)),
        style.paint(role, &format!("{level:5}")),
        line(&entry.event).into_owned(),
        style.paint(Role::Place, &line(&place)),
        line(&entry.message).into_owned(),
    ]
    .into_iter()
    .filter(|word| !word.is_empty())
    .collect();
    words.join(" ") + "\n"
}
