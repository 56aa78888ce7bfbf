//! Data in, text out. Knows no target.
//!
//! Everything here returns text; nothing prints. Whatever came from a repository or a server passes the sanitiser of
//! the medium it goes to ([`sanitize`]), and secrets are shown as their names.

mod apply_json;
mod apply_text;
mod cause_text;
mod diagnostics;
mod entry_text;
mod explain;
mod markdown;
mod plan_json;
mod plan_text;
mod progress;
pub mod sanitize;
mod snippet;
mod status_json;
mod status_text;
mod style;
mod value_text;

#[cfg(test)]
mod tests;

pub use apply_json::{CallResult, Counts, Results, apply_json};
pub use apply_text::apply_text;
pub use cause_text::cause_text;
pub use diagnostics::{diagnostics_json, diagnostics_text};
pub use entry_text::entry_text;
pub use explain::{codes, explain};
pub use markdown::{apply_markdown, plan_markdown};
pub use plan_json::{KeyNames, plan_json};
pub use plan_text::{PlanView, plan_text, shown, spot, summary_line};
pub use progress::Progress;
pub use status_json::{answer_json, entry_json, status_json, status_json_line};
pub use status_text::{resource_text, span, status_text};
pub use style::{Role, Style};
