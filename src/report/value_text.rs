//! What becomes of one field: a line, or a block of a diff.

use similar::TextDiff;

use super::sanitize::line;
use super::style::{Role, Style};
use crate::model::{Canonical, SecretRef, Value};
use crate::plan::FieldDiff;

/// A field's values, ready to be shown.
pub(super) enum Shown {
    /// On one line: `before → after`, or the one of them that there is.
    Line(String),
    /// Too long for one line: the lines of a unified diff, or of the one value that there is.
    Block(Vec<(DiffSign, String)>),
}

/// What a line of a block is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DiffSign {
    Gone,
    New,
    Same,
    Hunk,
}

impl DiffSign {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "-",
            Self::New => "+",
            Self::Same => " ",
            Self::Hunk => "@",
        }
    }

    pub(super) fn role(self) -> Option<Role> {
        match self {
            Self::Gone => Some(Role::Delete),
            Self::New => Some(Role::Create),
            Self::Hunk => Some(Role::Dim),
            Self::Same => None,
        }
    }
}

/// Shows what becomes of a field. `room` is how many columns a line may take; `None` for no limit.
pub(super) fn show(field: &FieldDiff, style: &Style, room: Option<usize>) -> Shown {
    let before = field.before.as_ref().map(Canonical::value);
    let after = field.after.as_ref().map(Canonical::value);
    if field.secret {
        let (before, after) = (before.as_ref().map(hidden), after.as_ref().map(hidden));
        // What no server shows is there all the same: a delete takes it along.
        let nothing = before.is_none() && after.is_none();
        return Shown::Line(if nothing { "<secret>".to_owned() } else { pair(before, after, style) });
    }
    let block = match (&before, &after) {
        (Some(Value::String(a)), Some(Value::String(b))) if a.contains('\n') || b.contains('\n') => Some(diff(a, b)),
        (None, Some(Value::String(text))) if text.contains('\n') => Some(all(DiffSign::New, text)),
        (Some(Value::String(text)), None) if text.contains('\n') => Some(all(DiffSign::Gone, text)),
        _ => None,
    };
    if let Some(block) = block {
        return Shown::Block(block);
    }
    let (one, two) = (before.as_ref().map(inline), after.as_ref().map(inline));
    let text = pair(one, two, style);
    match (room, &before, &after) {
        (Some(room), Some(a), Some(b)) if text.chars().count() > room && (is_tree(a) || is_tree(b)) => {
            Shown::Block(diff(&pretty(a), &pretty(b)))
        }
        // Cut at its end, a long text would look the same before and after.
        (Some(room), Some(Value::String(a)), Some(Value::String(b))) if text.chars().count() > room => {
            Shown::Block(vec![(DiffSign::Gone, quoted(a)), (DiffSign::New, quoted(b))])
        }
        (Some(room), ..) => Shown::Line(cut(&text, room, style)),
        (None, ..) => Shown::Line(text),
    }
}

fn is_tree(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

fn pair(before: Option<String>, after: Option<String>, style: &Style) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{before} {} {after}", style.arrow()),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => String::new(),
    }
}

/// Cuts `text` to `room` columns.
pub(super) fn cut(text: &str, room: usize, style: &Style) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(style.dots().chars().count())).collect();
    format!("{kept}{}", style.dots())
}

/// The lines of a block in `room` columns. Of a line that takes another's place, what is shown is where they differ.
pub(super) fn fitted(block: &[(DiffSign, String)], room: usize, style: &Style) -> Vec<(DiffSign, String)> {
    let mut out: Vec<(DiffSign, String)> = Vec::with_capacity(block.len());
    let mut rest = block;
    while let Some((sign, text)) = rest.first() {
        let gone = rest.iter().take_while(|(sign, _)| *sign == DiffSign::Gone).count();
        let new = rest[gone..].iter().take_while(|(sign, _)| *sign == DiffSign::New).count();
        if gone == 0 || new == 0 {
            out.push((*sign, cut(text, room, style)));
            rest = &rest[1..];
            continue;
        }
        let (before, after) = (&rest[..gone], &rest[gone..gone + new]);
        let alone = |side: &[(DiffSign, String)], other: &[(DiffSign, String)]| {
            let one = |(i, (sign, text)): (usize, &(DiffSign, String))| {
                let from = other.get(i).map_or(0, |(_, other)| first_difference(text, other));
                (*sign, window(text, from, room, style))
            };
            side.iter().enumerate().map(one).collect::<Vec<_>>()
        };
        out.extend(alone(before, after));
        out.extend(alone(after, before));
        rest = &rest[gone + new..];
    }
    out
}

/// The first character in which two texts differ.
fn first_difference(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// `text` in `room` columns, from a little before `place` on if it does not fit otherwise.
fn window(text: &str, place: usize, room: usize, style: &Style) -> String {
    let all = text.chars().count();
    // A difference near the beginning is seen anyway.
    if all <= room || place < room * 2 / 3 {
        return cut(text, room, style);
    }
    let dots = style.dots();
    let room = room.saturating_sub(dots.chars().count());
    let start = place.saturating_sub(room / 2).min(all.saturating_sub(room));
    let seen: String = text.chars().skip(start).collect();
    format!("{dots}{}", cut(&seen, room, style))
}

/// A value that must not be shown: the name, if it has one.
fn hidden(value: &Value) -> String {
    match value {
        Value::Secret(secret) => secret_name(secret),
        Value::Null => "null".to_owned(),
        _ => "<secret>".to_owned(),
    }
}

fn secret_name(secret: &SecretRef) -> String {
    line(&secret.to_string()).into_owned()
}

/// One line, like JSON, secrets as their names.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Secret(secret) => secret_name(secret),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let members: Vec<String> = map.iter().map(|(k, v)| format!("{}: {}", word(k), inline(v))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// Several lines, one value on each.
fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write_pretty(value, 0, &mut out);
    out
}

fn write_pretty(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth + 1);
    let mut list = |open: char, close: char, members: Vec<(String, &Value)>| {
        out.push(open);
        for (name, member) in members {
            out.push('\n');
            out.push_str(&pad);
            out.push_str(&name);
            write_pretty(member, depth + 1, out);
        }
        out.push('\n');
        out.push_str(&pad[2..]);
        out.push(close);
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            list('[', ']', items.iter().map(|item| (String::new(), item)).collect());
        }
        Value::Object(map) if !map.is_empty() => {
            list('{', '}', map.iter().map(|(k, v)| (format!("{}: ", word(k)), v)).collect());
        }
        value => out.push_str(&inline(value)),
    }
}

fn quoted(text: &str) -> String {
    line(&serde_json::Value::from(text).to_string()).into_owned()
}

/// A member's name: bare where nobody can misread it.
fn word(text: &str) -> String {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain { text.to_owned() } else { quoted(text) }
}

fn all(sign: DiffSign, text: &str) -> Vec<(DiffSign, String)> {
    text.lines().map(|text| (sign, line(text).into_owned())).collect()
}

/// The lines of a unified diff with three lines around each change.
fn diff(before: &str, after: &str) -> Vec<(DiffSign, String)> {
    let diff = TextDiff::from_lines(before, after);
    let mut out = Vec::new();
    for (i, group) in diff.grouped_ops(3).iter().enumerate() {
        if i > 0 {
            out.push((DiffSign::Hunk, String::new()));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                similar::ChangeTag::Delete => DiffSign::Gone,
                similar::ChangeTag::Insert => DiffSign::New,
                similar::ChangeTag::Equal => DiffSign::Same,
            };
            let text = change.value();
            out.push((sign, line(text.strip_suffix('\n').unwrap_or(text)).into_owned()));
        }
    }
    out
}
