//! Status, entries and answers as JSON.

use super::plan_json::written;
use super::sanitize;
use crate::event::Entry;
use crate::model::{Answer, Status};

/// `status -o json`: one document, described by `docs/schemas/status.schema.json`.
pub fn status_json(status: &Status) -> String {
    written(status)
}

/// The same on one line, for a stream of them.
pub fn status_json_line(status: &Status) -> String {
    one_line(status)
}

/// One entry on one line.
pub fn entry_json(entry: &Entry) -> String {
    one_line(entry)
}

/// `-o json` of the commands that give an order.
pub fn answer_json(answer: &Answer) -> String {
    written(&serde_json::json!({
        "format_version": super::plan_json::FORMAT_VERSION,
        "accepted": answer.accepted,
        "message": answer.message,
        "help": answer.help,
        "only_here": answer.only_here,
    }))
}

fn one_line(document: &impl serde::Serialize) -> String {
    let text =
        serde_json::to_string(document).unwrap_or_else(|e| serde_json::json!({"error": e.to_string()}).to_string());
    sanitize::json(&text).into_owned() + "\n"
}
