use std::collections::BTreeMap;

use serde_json::json;

use super::sanitize::line;
use super::style::{Role, Style};
use crate::model::{Diagnostic, Label, Severity};

/// Diagnostics for a terminal, the worst first, then by place, with their counts at the end.
///
/// ```text
/// error[duplicate-resource]: route/checkout is declared twice
///   --> shop/routes.yaml:14:9
///    |
/// 14 |   name: checkout
///    |         ^^^^^^^^ here again
///   help: remove one, or give it another name
/// ```
pub fn diagnostics_text(diagnostics: &[Diagnostic], style: &Style) -> String {
    let mut out = String::new();
    for (i, diagnostic) in sorted(diagnostics).into_iter().enumerate() {
        // A line of source needs air around it; one-liners stand together.
        if i > 0 && diagnostic.labels.iter().any(|label| label.source.is_some()) {
            out.push('\n');
        }
        write_one(diagnostic, style, &mut out);
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
    for label in &diagnostic.labels {
        write_label(label, style, out);
    }
    if let Some(help) = &diagnostic.help {
        for (i, text) in help.lines().enumerate() {
            let lead = if i == 0 { format!("{}: ", style.paint(Role::Help, "help")) } else { "      ".to_owned() };
            out.push_str(&format!("  {lead}{}\n", line(text)));
        }
    }
}

fn write_label(label: &Label, style: &Style, out: &mut String) {
    let place = style.paint(Role::Place, &line(&label.span.to_string()));
    let Some(text) = label.source.as_ref().and_then(|source| nth_line(&source.text, label.span.line)) else {
        let said = if label.text.is_empty() { String::new() } else { format!("   {}", line(&label.text)) };
        out.push_str(&format!("  {place}{said}\n"));
        return;
    };
    let number = label.span.line.to_string();
    let gutter = " ".repeat(number.len());
    let bar = style.paint(Role::Dim, "|");
    // Columns count characters of the text as it is; escapes and tabs make it wider.
    let column = (label.span.column.max(1) - 1) as usize;
    let tidy = |text: &str| line(&text.replace('\t', "  ")).into_owned();
    let before: String = text.chars().take(column).collect();
    let marked = marked(text, column, label);
    let dash = style.paint(Role::Dim, "-->");
    out.push_str(&format!("{gutter}{dash} {place}\n"));
    let (from, shown) = window(&tidy(text), tidy(&before).chars().count());
    out.push_str(&format!("{gutter} {bar}\n{} {bar} {}\n", style.paint(Role::Dim, &number), shown.trim_end()));
    let pad = " ".repeat(tidy(&before).chars().count().saturating_sub(from));
    let marks = "^".repeat(tidy(&marked).chars().count().clamp(1, 60));
    let said = if label.text.is_empty() { String::new() } else { format!(" {}", line(&label.text)) };
    out.push_str(&format!("{gutter} {bar} {pad}{}\n", style.paint(Role::Error, &format!("{marks}{said}"))));
}

/// The part of a very long line around `at`, and where it begins.
fn window(text: &str, at: usize) -> (usize, String) {
    let from = if text.chars().count() <= 160 { 0 } else { at.saturating_sub(60) };
    (from, text.chars().skip(from).take(160).collect())
}

fn marked(text: &str, column: usize, label: &Label) -> String {
    let rest: String = text.chars().skip(column).collect();
    let end = rest.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= label.span.len).last();
    rest[..end.unwrap_or(0)].to_owned()
}

fn nth_line(text: &str, number: u32) -> Option<&str> {
    text.lines().nth((number as usize).checked_sub(1)?)
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
