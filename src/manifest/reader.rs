//! The parser's events into trees, document by document, going on after what is refused.

mod leaf;
mod reference;
mod text;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StrInput, StructureStyle};

use super::scalar::{self, Meaning};
use crate::model::{Diagnostic, FieldPath, Limits, MAX_DEPTH, Span, Spans, Value};

use reference::take_references;
use text::text_of;

/// Most values that aliases may add to one file: with the byte budget, what keeps memory bounded.
const MAX_ALIAS_NODES: usize = 1_000_000;
/// Most problems that are told of one file.
const MAX_PROBLEMS: usize = 200;

/// Where the values and the keys of one document stand.
#[derive(Clone, Default, Debug)]
pub struct Places {
    /// Of each value.
    pub values: Spans,
    /// Of each key, under the path of its value.
    pub keys: Spans,
}

/// One document that was read.
pub(super) struct Built {
    pub(super) index: usize,
    pub(super) value: Value,
    pub(super) references: Vec<(FieldPath, String)>,
    pub(super) faulty: bool,
    pub(super) places: Places,
}

/// How much one file may hold.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pub(super) bytes: usize,
    pub(super) nodes: usize,
}

impl Most {
    /// A fifth of a project's values is many for one file: as trees they are many times what is written, and only one
    /// file's is there at a time.
    pub(super) fn of(limits: &Limits) -> Self {
        Self { bytes: usize::try_from(limits.file).unwrap_or(usize::MAX), nodes: limits.nodes.div_ceil(5) }
    }

    /// For a text that was read before, or whose size was looked at where it came from.
    pub(super) fn any() -> Self {
        Self { bytes: usize::MAX, nodes: usize::MAX }
    }
}

/// What is known when a file is at its end.
#[derive(Default)]
pub(super) struct End {
    /// How many values it has, those of aliases counted where they are used.
    pub(super) nodes: usize,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) broken: bool,
}

/// Reads a file and hands each document to `each`. `wanted`: places of no document, of all, or of one.
pub(super) fn read(
    path: &str,
    bytes: &[u8],
    most: Most,
    wanted: Option<Option<usize>>,
    each: &mut dyn FnMut(Built),
) -> End {
    let file: Arc<str> = path.into();
    let text = match text_of(&file, bytes, most.bytes) {
        Ok(text) => text,
        Err(problem) => return End { diagnostics: vec![*problem], broken: true, ..End::default() },
    };
    let options = granit_parser::options! { emit_comments: false, emit_unresolved_aliases: true };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        file,
        anchors: HashMap::new(),
        most: most.nodes,
        nodes: 0,
        alias_bytes: 0,
        alias_nodes: 0,
        values_seen: false,
        faulty: false,
        places: None,
        end: End::default(),
    };
    let mut index = 0;
    loop {
        let stop = match reader.parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Err(error)) => {
                reader.scan_error(&error);
                true
            }
            Some(Ok((Event::DocumentStart(..), _))) => {
                reader.anchors.clear();
                reader.values_seen = false;
                reader.faulty = false;
                let recorded = wanted.is_some_and(|w| w.is_none_or(|one| one == index));
                reader.places = recorded.then(Places::default);
                let built = reader.document();
                index += 1;
                match built {
                    Ok(Some(mut value)) => {
                        let mut references = Vec::new();
                        if reader.values_seen {
                            take_references(&mut value, &mut FieldPath::root(), &mut references);
                        }
                        let places = reader.places.take().unwrap_or_default();
                        each(Built { index: index - 1, value, references, faulty: reader.faulty, places });
                        false
                    }
                    Ok(None) => false,
                    Err(Stop) => true,
                }
            }
            Some(Ok(_)) => false,
        };
        if stop {
            reader.end.broken = true;
            if !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                break;
            }
        }
    }
    reader.end.nodes = reader.nodes;
    reader.end
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The document cannot be read further.
struct Stop;

/// The way from the root to a value, on the stack: it is spelled out only where somebody asks.
enum At<'a> {
    Root,
    Key(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn path(&self) -> FieldPath {
        let mut steps = Vec::new();
        let mut here = self;
        loop {
            here = match here {
                At::Root => break,
                At::Key(parent, key) => {
                    steps.push((*key).to_owned());
                    parent
                }
                At::Item(parent, index) => {
                    steps.push(index.to_string());
                    parent
                }
            };
        }
        steps.into_iter().rev().collect()
    }
}

#[derive(Clone, Copy)]
struct Mark {
    line: u32,
    column: u32,
    offset: usize,
    len: usize,
}

impl Mark {
    fn of(span: &granit_parser::Span) -> Self {
        let len = match (span.start.byte_offset(), span.end.byte_offset()) {
            (Some(from), Some(to)) => to.saturating_sub(from),
            _ => 0,
        };
        Self { len, ..Self::start(&span.start) }
    }

    fn start(marker: &Marker) -> Self {
        let offset = marker.byte_offset().unwrap_or_default();
        Self { line: count(marker.line()), column: count(marker.col() + 1), offset, len: 0 }
    }
}

struct Anchor {
    value: Value,
    bytes: usize,
    nodes: usize,
    depth: usize,
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
    file: Arc<str>,
    anchors: HashMap<usize, Anchor>,
    most: usize,
    nodes: usize,
    alias_bytes: usize,
    alias_nodes: usize,
    values_seen: bool,
    faulty: bool,
    places: Option<Places>,
    end: End,
}

struct Entry {
    key: String,
    mark: Mark,
    value: Value,
}

impl<'t> Reader<'t> {
    fn span(&self, mark: Mark) -> Span {
        Span { file: Arc::clone(&self.file), line: mark.line, column: mark.column, offset: mark.offset, len: mark.len }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.faulty |= diagnostic.is_error();
        if self.end.diagnostics.len() < MAX_PROBLEMS {
            self.end.diagnostics.push(diagnostic);
        } else if diagnostic.is_error() {
            // The last place is kept for an error: a flood of warnings must not hide that the file is refused.
            if let Some(last) = self.end.diagnostics.last_mut().filter(|d| !d.is_error()) {
                *last = diagnostic;
            }
        }
    }

    fn error(&mut self, code: &'static str, mark: Mark, message: impl Into<String>, help: impl Into<String>) {
        let diagnostic = Diagnostic::error(code, message).at(self.span(mark), "").help(help);
        self.report(diagnostic);
    }

    fn note_place(&mut self, at: &At<'_>, mark: Mark) {
        if self.places.is_some() {
            let span = self.span(mark);
            if let Some(places) = &mut self.places {
                places.values.insert(at.path(), span);
            }
        }
    }

    fn note_key(&mut self, at: &At<'_>, mark: Mark) {
        if self.places.is_some() {
            let span = self.span(mark);
            if let Some(places) = &mut self.places {
                let path = at.path();
                if places.keys.get(&path).is_none() {
                    places.keys.insert(path, span);
                }
            }
        }
    }

    fn scan_error(&mut self, error: &ScanError) {
        let marker = error.marker();
        let mark = Mark::start(marker);
        let line = self.text.lines().nth(marker.line().saturating_sub(1)).unwrap_or_default();
        let (code, message, help) = match error.kind() {
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart => {
                ("tab", "a tab where YAML wants spaces".to_owned(), "indent with spaces")
            }
            ErrorKind::RecursionLimitExceeded => {
                ("too-deep", format!("nested more than {MAX_DEPTH} deep"), "flatten it")
            }
            _ if line.contains("{{") || line.contains("{%") => (
                "template-leftover",
                "this looks like a template that was not rendered".to_owned(),
                "commit the rendered text, or quote the value if the braces are meant",
            ),
            _ => (
                "yaml-syntax",
                format!("this is not YAML: {}", error.info()),
                match error.info().as_str() {
                    "mapping values are not allowed in this context" => {
                        "keys of one mapping begin in one column; a value with `: ` in it wants quotes"
                    }
                    _ => "mend this document first; those after the next `---` were checked",
                },
            ),
        };
        // A template that was seen on this line already is the cause.
        let known = self.end.diagnostics.last().is_some_and(|d| {
            code == "template-leftover" && d.code == code && d.labels.first().is_some_and(|l| l.span.line == mark.line)
        });
        if !known {
            self.error(code, mark, message, help);
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, granit_parser::Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                self.scan_error(&error);
                Err(Stop)
            }
            None => Err(Stop),
        }
    }

    /// One document; `None` for an empty one.
    fn document(&mut self) -> Result<Option<Value>, Stop> {
        let (event, span) = self.next()?;
        if matches!(event, Event::DocumentEnd) {
            return Ok(None);
        }
        let mark = Mark::of(&span);
        let faulty_before = self.end.diagnostics.len();
        let value = self.node(event, &span, &At::Root, 0)?;
        if value == Value::Null && self.end.diagnostics.len() == faulty_before {
            return Ok(None);
        }
        if value.as_object().is_none() && !self.faulty {
            let noun = value.noun();
            let help = "a manifest is a mapping with `apiVersion`, `kind` and `spec`";
            self.error("yaml-syntax", mark, format!("the document is {noun}, not a mapping"), help);
        }
        Ok(Some(value))
    }

    fn node(&mut self, event: Event<'t>, span: &granit_parser::Span, at: &At<'_>, depth: usize) -> Result<Value, Stop> {
        let mark = Mark::of(span);
        self.nodes += 1;
        if depth > MAX_DEPTH {
            self.error("too-deep", mark, format!("nested more than {MAX_DEPTH} deep"), "flatten it");
            return Err(Stop);
        }
        if self.nodes > self.most {
            let message = format!("more than {} values in one file", self.most);
            self.error("too-large", mark, message, Limits::help("nodes", "split the file"));
            return Err(Stop);
        }
        let nodes_before = self.nodes;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.note_place(at, mark);
                (self.scalar(&text, style, tag.as_deref(), mark), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.note_place(at, Mark { len: 1, ..mark });
                self.collection_tag(tag.as_deref(), "seq", mark);
                (self.sequence(at, depth)?, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.note_place(at, Mark { len: 1, ..mark });
                self.collection_tag(tag.as_deref(), "map", mark);
                let rest = self.text.get(mark.offset..).unwrap_or_default();
                if style == StructureStyle::Flow && rest.starts_with("{{") {
                    let message = "this looks like a template that was not rendered";
                    let help = "commit the rendered text, or quote the value if the braces are meant";
                    self.error("template-leftover", mark, message, help);
                    self.skip()?;
                    (Value::Null, anchor)
                } else {
                    (self.mapping(at, mark, depth)?, anchor)
                }
            }
            Event::Alias(id) => {
                self.note_place(at, mark);
                return self.alias(id, mark, depth);
            }
            Event::UnresolvedAlias(name) => {
                self.note_place(at, mark);
                let message = format!("there is no anchor `&{name}` before this in the document");
                self.error("bad-alias", mark, message, "anchors do not reach from one document into another");
                return Ok(Value::Null);
            }
            other => {
                self.error("yaml-syntax", mark, format!("unexpected {other:?}"), "report this as a bug");
                return Err(Stop);
            }
        };
        if anchor != 0 {
            let (bytes, depth) = weigh(&value);
            let nodes = 1 + self.nodes - nodes_before;
            self.anchors.insert(anchor, Anchor { value: value.clone(), bytes, nodes, depth });
        }
        Ok(value)
    }

    fn sequence(&mut self, at: &At<'_>, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            let item = self.node(event, &span, &At::Item(at, items.len()), depth + 1)?;
            items.push(item);
        }
    }

    fn mapping(&mut self, at: &At<'_>, mark: Mark, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merges: Vec<(Value, Mark)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_mark = Mark::of(&span);
            self.nodes += 1;
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, 0, None) if text == "<<");
            let key = self.key(event, key_mark)?;
            let (event, span) = self.next()?;
            let value_mark = Mark::of(&span);
            match key {
                Some(key) if merge => {
                    let value = self.node(event, &span, &At::Key(at, &key), depth + 1)?;
                    merges.push((value, value_mark));
                    entries.push(Entry { key, mark: key_mark, value: Value::Null });
                }
                Some(key) => {
                    self.note_key(&At::Key(at, &key), key_mark);
                    let value = self.node(event, &span, &At::Key(at, &key), depth + 1)?;
                    entries.push(Entry { key, mark: key_mark, value });
                }
                None => {
                    self.node(event, &span, &At::Key(at, ""), depth + 1)?;
                }
            }
        }
        // A stable sort: of two equal keys the first one in the text comes first.
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        for i in 1..entries.len() {
            if entries[i].key == entries[i - 1].key {
                let (first, second) = (entries[i - 1].mark, entries[i].mark);
                let diagnostic =
                    Diagnostic::error("duplicate-key", format!("the key `{}` stands twice", entries[i].key))
                        .at(self.span(second), "here again")
                        .at(self.span(first), "first here")
                        .help("remove one of them: no parser agrees with another on which one counts");
                self.report(diagnostic);
            }
        }
        entries.dedup_by(|b, a| a.key == b.key);
        let mut map: BTreeMap<String, Value> = if merges.is_empty() {
            entries.into_iter().map(|e| (e.key, e.value)).collect()
        } else {
            entries.into_iter().filter(|e| e.key != "<<").map(|e| (e.key, e.value)).collect()
        };
        for (value, mark) in merges {
            self.merge(&mut map, value, at, mark);
        }
        Ok(self.reference(map, mark))
    }

    /// What stands in the mapping itself wins over what is merged in, and an earlier merge over a later one.
    fn merge(&mut self, map: &mut BTreeMap<String, Value>, value: Value, at: &At<'_>, mark: Mark) {
        let sources = match value {
            Value::Object(_) => vec![value],
            Value::Array(items) if items.iter().all(|i| i.as_object().is_some()) => items,
            Value::Null if self.faulty => return,
            other => {
                let message = format!("`<<` merges a mapping or a list of mappings, not {}", other.noun());
                self.error(
                    "bad-merge",
                    mark,
                    message,
                    "name an anchor of a mapping, or quote \"<<\" to use it as a key",
                );
                return;
            }
        };
        for source in sources {
            let Value::Object(source) = source else { continue };
            for (key, value) in source {
                if let Slot::Vacant(slot) = map.entry(key) {
                    self.note_place(&At::Key(at, slot.key()), mark);
                    slot.insert(value);
                }
            }
        }
    }

    fn key(&mut self, event: Event<'t>, mark: Mark) -> Result<Option<String>, Stop> {
        let help = "a key is text: quote it";
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = match (style, tag.as_deref()) {
                    (ScalarStyle::Plain, None) => match scalar::plain(&text) {
                        Meaning::Clear(value) => value,
                        Meaning::Ambiguous(reading) => {
                            self.ambiguous(&text, reading, mark);
                            Value::String(text.into_owned())
                        }
                        Meaning::Refused(why) => {
                            self.error("bad-key", mark, format!("`{text}` is {why}"), help);
                            return Ok(None);
                        }
                    },
                    (_, None) => Value::String(text.into_owned()),
                    (_, Some(_)) => self.scalar(&text, style, tag.as_deref(), mark),
                };
                if anchor != 0 {
                    let (bytes, depth) = weigh(&value);
                    self.anchors.insert(anchor, Anchor { value: value.clone(), bytes, nodes: 1, depth });
                }
                match value {
                    Value::String(key) => Ok(Some(key)),
                    other => {
                        self.error("bad-key", mark, format!("a key that is {}", other.noun()), help);
                        Ok(None)
                    }
                }
            }
            Event::Alias(id) => match self.alias(id, mark, 0)? {
                Value::String(key) => Ok(Some(key)),
                other => {
                    self.error("bad-key", mark, format!("a key that is {}", other.noun()), help);
                    Ok(None)
                }
            },
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let noun = if matches!(event, Event::SequenceStart(..)) { "a list" } else { "a mapping" };
                self.error("bad-key", mark, format!("a key that is {noun}"), help);
                self.skip()?;
                Ok(None)
            }
            _ => {
                self.error("bad-key", mark, "no key stands here", help);
                Ok(None)
            }
        }
    }

    /// Skips the rest of the collection whose start was read.
    fn skip(&mut self) -> Result<(), Stop> {
        let mut open = 1_usize;
        while open > 0 {
            match self.next()?.0 {
                Event::SequenceStart(..) | Event::MappingStart(..) => open += 1,
                Event::SequenceEnd | Event::MappingEnd => open -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// How many bytes a value takes about, and how deep it is.
fn weigh(value: &Value) -> (usize, usize) {
    match value {
        Value::Null | Value::Bool(_) => (4, 0),
        Value::Number(n) => (n.as_str().len(), 0),
        Value::String(text) => (text.len() + 2, 0),
        Value::Secret(reference) => (reference.name.len() + 14, 0),
        Value::Array(items) => {
            items.iter().map(weigh).fold((2, 0), |(b, d), (bytes, depth)| (b + bytes + 1, d.max(depth + 1)))
        }
        Value::Object(map) => map.iter().fold((2, 0), |(b, d), (key, item)| {
            let (bytes, depth) = weigh(item);
            (b + key.len() + 4 + bytes, d.max(depth + 1))
        }),
    }
}
