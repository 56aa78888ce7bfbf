//! The bytes of a file as text: its size, its encoding, and what no file may hold.

use std::sync::Arc;

use super::count;
use crate::model::{Diagnostic, Limits, Span};

/// Checks the encoding, the size and that no control character is inside.
pub(super) fn text_of<'b>(file: &Arc<str>, bytes: &'b [u8], most: usize) -> Result<&'b str, Box<Diagnostic>> {
    let place = |at: usize| {
        let before = &bytes[..at];
        let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        Span {
            file: Arc::clone(file),
            line: 1 + count(before.iter().filter(|b| **b == b'\n').count()),
            column: 1 + count(String::from_utf8_lossy(&before[start..]).chars().count()),
            offset: at,
            len: 0,
        }
    };
    if bytes.len() > most {
        let message = format!("the file has {} bytes; at most {most} are read", bytes.len());
        let help = Limits::help("file", "split it");
        return Err(Box::new(Diagnostic::error("too-large", message).at(place(0), "").help(help)));
    }
    let wide = matches!(bytes, [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, _, ..] | [_, 0, ..]);
    if wide && bytes.len() > 1 && std::str::from_utf8(bytes).map_or(true, |t| t.matches('\0').count() > t.len() / 4) {
        return Err(Box::new(
            Diagnostic::error("not-utf8", "the file is UTF-16, not UTF-8").at(place(0), "").help("save it as UTF-8"),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        let message = format!("byte 0x{:02X} is not UTF-8", bytes.get(at).copied().unwrap_or_default());
        Box::new(Diagnostic::error("not-utf8", message).at(place(at), "").help("save the file as UTF-8"))
    })?;
    let control = bytes.iter().position(|b| matches!(b, 0..=8 | 0xb | 0xc | 0xe..=0x1f | 0x7f));
    let c1 = bytes.windows(2).position(|w| w[0] == 0xc2 && matches!(w[1], 0x80..=0x84 | 0x86..=0x9f));
    if let Some(at) = [control, c1].into_iter().flatten().min() {
        let code = text[at..].chars().next().map_or(0, u32::from);
        let message = format!("control character U+{code:04X}");
        let help = format!("take it out, or write it as \"\\u{code:04x}\" in double quotes");
        return Err(Box::new(Diagnostic::error("control-character", message).at(place(at), "").help(help)));
    }
    Ok(text)
}
