//! The lines of source around a diagnostic's places.

use std::borrow::Cow;
use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};

use super::sanitize::{line, lines};
use super::style::Style;
use crate::model::{Diagnostic, Label, Severity};

/// Lines around a marked one.
const AROUND: usize = 1;
/// Marks that are at most this many lines apart share a snippet.
const NEAR: usize = 4;
/// Longest line that is shown whole.
const LONG: usize = 160;

/// The snippets and the help of `diagnostic`, drawn by miette. Its heading is ours: one line that can be searched for.
pub(super) fn snippets(diagnostic: &Diagnostic, style: &Style) -> String {
    let mut theme = match (style.unicode, style.colour) {
        (true, true) => GraphicalTheme::unicode(),
        (true, false) => GraphicalTheme::unicode_nocolor(),
        (false, true) => GraphicalTheme::ascii(),
        (false, false) => GraphicalTheme::none(),
    };
    let main = match diagnostic.severity {
        Severity::Error => theme.styles.error,
        Severity::Warning => theme.styles.warning,
        Severity::Note => theme.styles.advice,
    };
    theme.styles.highlights = vec![main, theme.styles.advice];
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(style.width)
        .with_wrap_lines(false)
        .with_links(false)
        .without_syntax_highlighting();
    let mut out = String::new();
    if handler.render_report(&mut out, &Report::of(diagnostic)).is_err() {
        return String::new();
    }
    // The first line is the icon before an empty message.
    let drawn = out.split_once('\n').map_or("", |(_, drawn)| drawn);
    drawn.lines().map(|text| format!("{}\n", text.trim_end())).collect()
}

/// A diagnostic as miette wants it: everything in it is harmless already, and its source holds only what is shown.
#[derive(Debug)]
struct Report {
    severity: Severity,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
    source: Excerpts,
}

impl Report {
    fn of(diagnostic: &Diagnostic) -> Self {
        let mut report = Self {
            severity: diagnostic.severity,
            help: diagnostic.help.as_deref().map(|help| lines(help.trim_end()).into_owned()),
            labels: Vec::new(),
            source: Excerpts::default(),
        };
        for group in groups(&diagnostic.labels) {
            report.excerpt(&group, diagnostic.labels.first());
        }
        report
    }

    /// Adds the lines of `group`, which are near each other in one file, with their marks.
    fn excerpt(&mut self, group: &[(&Label, &str)], main: Option<&Label>) {
        let (Some((first, text)), Some((last, _))) = (group.first(), group.last()) else { return };
        let from = (first.span.line as usize).saturating_sub(1 + AROUND);
        let start = self.source.end();
        let mut excerpt = Excerpt {
            name: line(&first.span.file).into_owned(),
            first_line: from,
            start,
            text: String::new(),
            marks: Vec::new(),
        };
        let count = (last.span.line as usize + AROUND).saturating_sub(from);
        let hidden = first.source.as_ref().map(|source| &source.hidden);
        for (number, text) in text.lines().enumerate().skip(from).take(count) {
            if hidden.is_some_and(|hidden| u32::try_from(number + 1).is_ok_and(|line| hidden.contains(&line))) {
                excerpt.text.push_str("<a secret in clear>\n");
                continue;
            }
            let here: Vec<&Label> =
                group.iter().map(|(label, _)| *label).filter(|l| l.span.line as usize == number + 1).collect();
            let shown = ShownLine::of(&without_userinfo(text), here.first().map_or(0, |label| column(label)));
            for label in here {
                let (at, len) = shown.mark(text, label);
                let offset = start + excerpt.text.len() + at;
                let said = (!label.text.is_empty()).then(|| line(&label.text).into_owned());
                let span = SourceSpan::new(offset.into(), len);
                self.labels.push(match main {
                    Some(main) if std::ptr::eq(main, label) => LabeledSpan::new_primary_with_span(said, span),
                    _ => LabeledSpan::new_with_span(said, span),
                });
                excerpt.marks.push((offset, number, column(label)));
            }
            excerpt.text.push_str(&shown.text);
            excerpt.text.push('\n');
        }
        self.source.parts.push(excerpt);
    }
}

/// Labels whose line is at hand, by file in the order of their first mention, those together that are near each other.
fn groups(labels: &[Label]) -> Vec<Vec<(&Label, &str)>> {
    let mut files: Vec<Vec<(&Label, &str)>> = Vec::new();
    for label in labels {
        let Some(text) = text_of(label) else { continue };
        match files.iter_mut().find(|file| file[0].0.span.file == label.span.file) {
            Some(file) => file.push((label, text)),
            None => files.push(vec![(label, text)]),
        }
    }
    let mut out = Vec::new();
    for mut file in files {
        file.sort_by_key(|(label, _)| (label.span.line, label.span.column));
        let near = |a: &(&Label, &str), b: &(&Label, &str)| (b.0.span.line - a.0.span.line) as usize <= NEAR;
        let mut groups: Vec<_> = file.chunk_by(near).map(<[_]>::to_vec).collect();
        // The main place leads.
        groups.sort_by_key(|group| !group.iter().any(|(label, _)| std::ptr::eq(*label, &raw const labels[0])));
        out.extend(groups);
    }
    out
}

/// The text in which a label's line can be shown.
pub(super) fn text_of(label: &Label) -> Option<&str> {
    let source = label.source.as_ref()?;
    source.line(label.span.line).map(|_| source.text.as_str())
}

/// A label's column, from 0.
fn column(label: &Label) -> usize {
    (label.span.column.max(1) - 1) as usize
}

/// A line as it is shown: made harmless, and cut where it is very long.
struct ShownLine {
    text: String,
    /// Characters cut away at its start.
    from: usize,
}

impl ShownLine {
    /// Shows `text`, the part around its character number `at` if it is long.
    fn of(text: &str, at: usize) -> Self {
        // Escapes may make it longer, never shorter; so nothing beyond is needed.
        let harmless = tidy(&text.chars().take(at + LONG).collect::<String>());
        let at = tidy(&text.chars().take(at).collect::<String>()).chars().count();
        let from = if harmless.chars().count() <= LONG { 0 } else { at.saturating_sub(60) };
        let shown: String = harmless.chars().skip(from).take(LONG).collect();
        Self { text: shown.trim_end().to_owned(), from }
    }

    /// Where `label` stands in the shown line, and how long it is, in bytes.
    fn mark(&self, text: &str, label: &Label) -> (usize, usize) {
        let before: String = text.chars().take(column(label)).collect();
        let marked = marked(text, label);
        let begin = tidy(&before).chars().count().saturating_sub(self.from);
        let count = tidy(&marked).chars().count().max(1);
        let byte = |n: usize| self.text.char_indices().nth(n).map_or(self.text.len(), |(at, _)| at);
        (byte(begin), byte(begin + count) - byte(begin))
    }
}

/// `text` where a `*` stands for each character of a user name or a password in a URL: excerpts end up in CI's logs.
fn without_userinfo(text: &str) -> Cow<'_, str> {
    const SLASHES: &str = "://";
    if !(text.contains(SLASHES) && text.contains('@')) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(SLASHES);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let word = part.split(|c: char| matches!(c, '"' | '\'') || c.is_whitespace()).next().unwrap_or_default();
        let authority = word.split(['/', '?', '#']).next().unwrap_or_default();
        // What is no port may be the begin of a password that holds a slash.
        let odd = !authority.contains('@')
            && authority.rsplit_once(':').is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()));
        let hidden = if odd { word } else { authority }.rfind('@').unwrap_or(0);
        out.push_str(SLASHES);
        out.extend(part[..hidden].chars().map(|_| '*'));
        out.push_str(&part[hidden..]);
    }
    Cow::Owned(out)
}

/// One line, made harmless; tabs take two columns.
fn tidy(text: &str) -> String {
    line(&text.replace('\t', "  ")).into_owned()
}

/// What `label` marks of its line.
fn marked(text: &str, label: &Label) -> String {
    let mut left = label.span.len;
    let fits = |c: &char| match left.checked_sub(c.len_utf8()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    text.chars().skip(column(label)).take(LONG).take_while(fits).collect()
}

/// The shown lines of one or more files, one behind the other as far as offsets go.
#[derive(Debug, Default)]
struct Excerpts {
    parts: Vec<Excerpt>,
}

#[derive(Debug)]
struct Excerpt {
    name: String,
    /// From 0.
    first_line: usize,
    /// The offset of its first byte.
    start: usize,
    text: String,
    /// Offset, line and column (both from 0, in the file as it is) of each mark.
    marks: Vec<(usize, usize, usize)>,
}

impl Excerpts {
    fn end(&self) -> usize {
        // Excerpts do not touch, so that no span lies in two.
        self.parts.last().map_or(0, |part| part.start + part.text.len() + 1)
    }
}

impl SourceCode for Excerpts {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let end = span.offset() + span.len();
        let holds = |part: &&Excerpt| part.start <= span.offset() && end <= part.start + part.text.len();
        let part = self.parts.iter().find(holds).ok_or(MietteError::OutOfBounds)?;
        let mark = part.marks.iter().find(|(offset, ..)| *offset == span.offset());
        let contents = match mark {
            // miette asks so for the place that it names.
            Some((_, line, column)) if before == 0 && after == 0 => {
                let data = part.text.as_bytes().get(span.offset() - part.start..end - part.start).unwrap_or_default();
                MietteSpanContents::new_named(part.name.clone(), data, *span, *line, *column, 1)
            }
            _ => {
                let whole = SourceSpan::new(part.start.into(), part.text.len());
                let count = part.text.lines().count();
                MietteSpanContents::new_named(part.name.clone(), part.text.as_bytes(), whole, part.first_line, 0, count)
            }
        };
        Ok(Box::new(contents))
    }
}

/// Nothing: the heading is written without miette.
impl fmt::Display for Report {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_password_in_a_url_are_not_shown_and_every_column_stays() {
        for (text, shown) in [
            ("url: http://me:pä/x@host/", "url: http://*******@host/"),
            ("url: http://host:80/@x", "url: http://host:80/@x"),
            ("url: http://me:päss@host/@x", "url: http://*******@host/@x"),
            ("a: [\"https://tok@h\", 'ssh://u:p@w@h']", "a: [\"https://***@h\", 'ssh://*****@h']"),
            ("url: http://host/a b@c", "url: http://host/a b@c"),
            ("mail: a@b, http://x", "mail: a@b, http://x"),
            ("://@://", "://@://"),
        ] {
            assert_eq!(without_userinfo(text), shown);
            assert_eq!(text.chars().count(), shown.chars().count());
        }
    }
}
