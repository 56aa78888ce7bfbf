//! Diagnostics as text and as JSON.

use std::collections::BTreeMap;

use serde_json::json;

use super::sanitize::line;
use super::snippet::{snippets, text_of};
use super::style::{Role, Style};
use crate::model::{Diagnostic, Label, Severity};

/// Diagnostics for a terminal, the worst first, then by place, with their counts at the end.
///
/// ```text
/// error[duplicate-resource]: route/checkout is declared twice
///     ╭─[shop/routes.yaml:14:9]
///  13 │ metadata:
///  14 │   name: checkout
///     ·         ────┬───
///     ·             ╰── here again
///     ╰────
///   help: remove one, or give it another name
/// ```
pub fn diagnostics_text(diagnostics: &[Diagnostic], style: &Style) -> String {
    let mut out = String::new();
    let mut before = false;
    for (i, diagnostic) in sorted(diagnostics).into_iter().enumerate() {
        // A line of source needs air around it; one-liners stand together.
        let drawn = diagnostic.labels.iter().any(|label| label.source.is_some());
        if i > 0 && (drawn || before) {
            out.push('\n');
        }
        write_one(diagnostic, style, &mut out);
        before = drawn;
    }
    if diagnostics.len() > 1 {
        let count = counts(diagnostics);
        out.push('\n');
        out.push_str(&count);
        out.push('\n');
    }
    out
}

/// `3 errors, 1 warning`
fn counts(diagnostics: &[Diagnostic]) -> String {
    let mut by_severity: BTreeMap<Severity, usize> = BTreeMap::new();
    for diagnostic in diagnostics {
        *by_severity.entry(diagnostic.severity).or_default() += 1;
    }
    let part =
        |(severity, n): (&Severity, &usize)| format!("{n} {}{}", word(*severity), if *n == 1 { "" } else { "s" });
    by_severity.iter().map(part).collect::<Vec<_>>().join(", ")
}

pub(super) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

pub(super) fn sorted(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut out: Vec<&Diagnostic> = diagnostics.iter().collect();
    out.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.severity, d.labels.first().map(|label| label.span.clone()), d.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    out
}

fn write_one(diagnostic: &Diagnostic, style: &Style, out: &mut String) {
    let role = match diagnostic.severity {
        Severity::Error => Role::Error,
        Severity::Warning => Role::Warning,
        Severity::Note => Role::Help,
    };
    let head = style.paint(role, &format!("{}[{}]", word(diagnostic.severity), line(diagnostic.code)));
    let message = style.paint(Role::Strong, &line(&diagnostic.message));
    out.push_str(&format!("{head}: {message}\n"));
    for label in diagnostic.labels.iter().filter(|label| text_of(label).is_none()) {
        let place = style.paint(Role::Place, &line(&label.span.to_string()));
        let said = if label.text.is_empty() { String::new() } else { format!("   {}", line(&label.text)) };
        out.push_str(&format!("  {place}{said}\n"));
    }
    out.push_str(&snippets(diagnostic, style));
}

/// Diagnostics as JSON: one array, in the order of the text.
pub fn diagnostics_json(diagnostics: &[Diagnostic]) -> serde_json::Value {
    sorted(diagnostics).into_iter().map(as_json).collect()
}

pub(super) fn as_json(diagnostic: &Diagnostic) -> serde_json::Value {
    let label = |label: &Label| {
        json!({
            "file": &*label.span.file,
            "line": label.span.line,
            "column": label.span.column,
            "text": label.text,
        })
    };
    json!({
        "code": diagnostic.code,
        "severity": word(diagnostic.severity),
        "message": diagnostic.message,
        "labels": diagnostic.labels.iter().map(label).collect::<Vec<_>>(),
        "help": diagnostic.help,
    })
}
