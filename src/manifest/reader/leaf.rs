//! What a plain word, a tag or an alias means.

use granit_parser::{ScalarStyle, Tag};

use super::{MAX_ALIAS_NODES, Mark, Reader, Stop};
use crate::manifest::scalar::{self, Meaning};
use crate::model::{Diagnostic, MAX_DEPTH, Value};

impl Reader<'_> {
    pub(super) fn ambiguous(&mut self, text: &str, reading: &str, mark: Mark) {
        let message = format!("`{text}` is text here, and {reading} to readers of YAML 1.1");
        let diagnostic = Diagnostic::warning("ambiguous-scalar", message)
            .at(self.span(mark), "")
            .help(format!("quote it: \"{text}\""));
        self.report(diagnostic);
    }

    pub(super) fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Value {
        let Some(tag) = tag else {
            if style != ScalarStyle::Plain {
                return Value::from(text);
            }
            return match scalar::plain(text) {
                Meaning::Clear(value) => value,
                Meaning::Ambiguous(reading) => {
                    self.ambiguous(text, reading, mark);
                    Value::from(text)
                }
                Meaning::Refused(why) => {
                    let help = "write it out, or quote it if it is text";
                    self.error("bad-number", mark, format!("`{text}` is {why}"), help);
                    Value::Null
                }
            };
        };
        if tag.original() == "!" {
            return Value::from(text);
        }
        let read = scalar::plain(text);
        let fits = match (tag.core_suffix(), &read) {
            (Some("str"), _) => return Value::from(text),
            (Some("null"), Meaning::Clear(Value::Null)) | (Some("bool"), Meaning::Clear(Value::Bool(_))) => true,
            (Some("int"), Meaning::Clear(Value::Number(n))) => !n.as_str().contains(['.', 'e']),
            (Some("float"), Meaning::Clear(Value::Number(_))) => true,
            (Some(_), _) => false,
            (None, _) => {
                self.custom_tag(tag, mark);
                return Value::Null;
            }
        };
        match read {
            Meaning::Clear(value) if fits => value,
            _ => {
                self.error(
                    "bad-tag",
                    mark,
                    format!("`{text}` is not what its tag `{}` says", tag.original()),
                    "drop the tag",
                );
                Value::Null
            }
        }
    }

    pub(super) fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, mark: Mark) {
        let Some(tag) = tag.filter(|t| t.original() != "!") else { return };
        match tag.core_suffix() {
            Some(found) if found == expected => {}
            Some(_) => {
                self.error(
                    "bad-tag",
                    mark,
                    format!("the tag `{}` does not fit this value", tag.original()),
                    "drop the tag",
                );
            }
            None => self.custom_tag(tag, mark),
        }
    }

    fn custom_tag(&mut self, tag: &Tag, mark: Mark) {
        let message = format!("the tag `{}` is not one of YAML's own", tag.original());
        self.error("custom-tag", mark, message, "write plain data: a manifest includes nothing and runs nothing");
    }

    pub(super) fn alias(&mut self, id: usize, mark: Mark, depth: usize) -> Result<Value, Stop> {
        let Some(anchor) = self.anchors.get(&id) else {
            self.error("bad-alias", mark, "an alias inside its own anchor", "a value cannot contain itself");
            return Ok(Value::Null);
        };
        if depth + anchor.depth > MAX_DEPTH {
            self.error("too-deep", mark, format!("nested more than {MAX_DEPTH} deep"), "flatten it");
            return Err(Stop);
        }
        self.alias_bytes += anchor.bytes;
        self.alias_nodes += anchor.nodes;
        self.nodes += anchor.nodes;
        if self.alias_bytes > 10 * self.text.len() || self.alias_nodes > MAX_ALIAS_NODES {
            let message = "aliases make the file more than ten times as large as it is written";
            self.error("alias-bomb", mark, message, "write the values out where they are needed");
            return Err(Stop);
        }
        Ok(anchor.value.clone())
    }
}
