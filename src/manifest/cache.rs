//! A parsed file as bytes, so that a blob is parsed once.
//!
//! The cache that keeps these bytes verifies them; here a wrong length or version is merely not taken.

use std::sync::Arc;

use super::document::{CODES, ParsedDocument, ParsedFile};
use crate::model::{Canonical, Diagnostic, Digest, FieldPath, Label, Severity, Span};

/// Changes with the encoding and with whatever parsing says.
const VERSION: &[u8; 8] = b"ctlpf\0\0\x03";

impl ParsedFile {
    /// The bytes to keep under the blob's id. The path is not in them: one blob may stand at several.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(VERSION.to_vec());
        out.number(usize::from(self.broken));
        out.number(self.nodes);
        out.number(self.bytes);
        out.number(self.documents.len());
        for document in &self.documents {
            out.number(document.index);
            out.number(usize::from(document.faulty));
            out.bytes(document.head.as_bytes());
            out.number(usize::from(document.spec.is_some()));
            if let Some(spec) = &document.spec {
                out.bytes(spec.as_bytes());
            }
            out.0.extend_from_slice(document.digest.as_bytes());
            out.number(document.references.len());
            for (path, name) in &document.references {
                out.bytes(path.to_string().as_bytes());
                out.bytes(name.as_bytes());
            }
        }
        out.number(self.diagnostics.len());
        for diagnostic in &self.diagnostics {
            out.number(CODES.iter().position(|c| *c == diagnostic.code).unwrap_or(0));
            out.number(match diagnostic.severity {
                Severity::Error => 0,
                Severity::Warning => 1,
                Severity::Note => 2,
            });
            out.bytes(diagnostic.message.as_bytes());
            out.number(usize::from(diagnostic.help.is_some()));
            out.bytes(diagnostic.help.as_deref().unwrap_or_default().as_bytes());
            out.number(diagnostic.labels.len());
            for Label { span, text, .. } in &diagnostic.labels {
                out.number(span.line as usize);
                out.number(span.column as usize);
                out.number(span.offset);
                out.number(span.len);
                out.bytes(text.as_bytes());
            }
        }
        out.0
    }

    /// Reads what [`ParsedFile::encode`] wrote, for the file at `path`; `None` for anything else.
    ///
    /// Canonical bytes are taken as they are: the caller has verified that these are the bytes that were written.
    pub fn decode(path: &str, bytes: &[u8]) -> Option<Self> {
        let file: Arc<str> = path.into();
        let mut from = Reader(bytes.strip_prefix(VERSION)?);
        let broken = from.flag()?;
        let (nodes, size) = (from.number()?, from.number()?);
        let mut documents = Vec::new();
        for _ in 0..from.number()? {
            let (index, faulty) = (from.number()?, from.flag()?);
            let head = from.canonical()?;
            let spec = if from.flag()? { Some(from.canonical()?) } else { None };
            let digest = from.digest()?;
            let mut references = Vec::new();
            for _ in 0..from.number()? {
                references.push((FieldPath::parse(from.text()?), from.text()?.to_owned()));
            }
            documents.push(ParsedDocument { index, head, spec, digest, references, faulty });
        }
        let mut diagnostics = Vec::new();
        for _ in 0..from.number()? {
            let code = *CODES.get(from.number()?)?;
            let severity = match from.number()? {
                0 => Severity::Error,
                1 => Severity::Warning,
                2 => Severity::Note,
                _ => return None,
            };
            let message = from.text()?.to_owned();
            let has_help = from.flag()?;
            let help = Some(from.text()?.to_owned()).filter(|_| has_help);
            let mut labels = Vec::new();
            for _ in 0..from.number()? {
                let (line, column) = (u32::try_from(from.number()?).ok()?, u32::try_from(from.number()?).ok()?);
                let (offset, len) = (from.number()?, from.number()?);
                let span = Span { file: Arc::clone(&file), line, column, offset, len };
                labels.push(Label { span, text: from.text()?.to_owned(), source: None });
            }
            diagnostics.push(Diagnostic { code, severity, message, labels, help });
        }
        from.0.is_empty().then_some(Self { documents, diagnostics, broken, nodes, bytes: size })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut n: usize) {
        while n >= 0x80 {
            self.0.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn number(&mut self) -> Option<usize> {
        let mut n = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let len = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn digest(&mut self) -> Option<Digest> {
        let (bytes, rest) = self.0.split_first_chunk::<32>()?;
        self.0 = rest;
        Some(Digest::from_bytes(*bytes))
    }

    fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn canonical(&mut self) -> Option<Canonical> {
        self.bytes().map(Canonical::from_verified)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_file;
    use super::*;

    const TEXT: &str =
        "apiVersion: a\nkind: b\nspec: {x: {$value: n}, y: no, '~a/b': {$value: m}}\n---\n---\na: 1\na: 2\n---\n[";

    #[test]
    fn a_parsed_file_reads_back_as_it_was() {
        let file = parse_file("a.yaml", TEXT.as_bytes());
        assert!(file.broken && !file.diagnostics.is_empty() && file.documents.len() == 2);
        assert_eq!(ParsedFile::decode("a.yaml", &file.encode()), Some(file.clone()));
        assert_eq!(ParsedFile::decode("b.yaml", &file.encode()), Some(parse_file("b.yaml", TEXT.as_bytes())));
    }

    #[test]
    fn bytes_that_were_cut_or_changed_never_panic() {
        let bytes = parse_file("a.yaml", TEXT.as_bytes()).encode();
        for cut in 0..bytes.len() {
            assert_eq!(ParsedFile::decode("a.yaml", &bytes[..cut]), None);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            let _either = ParsedFile::decode("a.yaml", &changed);
        }
    }
}
