//! What of the news is worth a line, and how it reads.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::{State, misleads};

use super::{Entry, Level, News};

/// The longest text in an entry, in bytes; the rest is cut. Two thousand entries are kept, and servers write some.
const LONGEST: usize = 2048;
/// How many errors of one cycle an entry lists.
const MAX_ERRORS: usize = 20;

impl Entry {
    /// The line that `news` is worth, at the wall clock's `now`; none for what only metrics count: requests, fetches,
    /// how many resources stand how, and cycles in which nothing moved. Its number is 0 until a journal gives it one.
    ///
    /// What comes again as long as something is away (an attempt that failed, a cycle that was kept from its end and
    /// moved nothing) is [`Level::Debug`]: that it is away was said once.
    ///
    /// `hide` gives back a text without secrets; it sees every text, before anything is cut. Texts come from servers and
    /// manifests: whoever shows them elsewhere than in [`Entry::line`] makes them harmless for that place.
    pub fn of(news: &News, now: Timestamp, hide: &dyn Fn(&str) -> String) -> Option<Self> {
        let mut entry = words(news)?;
        entry.time = format!("{now:.3}");
        entry.each_text(&mut |text| *text = hide(text));
        entry.cut();
        Some(entry)
    }

    /// The entry as one line of JSON, without the line break at its end. Nothing in it ends the line, moves a
    /// terminal's cursor or turns text round: such signs are written as JSON's own escapes, so that the data stay.
    pub fn line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let bad = |c: char| c == '\n' || c == '\t' || misleads(c);
        if !json.chars().any(bad) {
            return json;
        }
        let mut out = String::with_capacity(json.len() + 16);
        for c in json.chars() {
            if !bad(c) {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    }

    fn cut(&mut self) {
        self.each_text(&mut |text| {
            if text.len() > LONGEST {
                text.truncate(text.floor_char_boundary(LONGEST));
                text.push('…');
            }
        });
    }

    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(&mut self.message);
        self.resource.iter_mut().for_each(&mut *change);
        self.fields.values_mut().for_each(|value| each_text(value, change));
    }

    fn new(level: Level, event: &str, message: String) -> Self {
        Self {
            seq: 0,
            time: String::new(),
            level,
            event: event.to_owned(),
            target: None,
            endpoint: None,
            resource: None,
            message,
            fields: Map::new(),
        }
    }

    fn at(mut self, target: &impl ToString) -> Self {
        self.target = Some(target.to_string());
        self
    }

    fn endpoint(mut self, endpoint: &impl ToString) -> Self {
        self.endpoint = Some(endpoint.to_string());
        self
    }

    fn resource(mut self, address: &str) -> Self {
        self.resource = Some(address.to_owned());
        self
    }

    /// Adds what is there; null is left out.
    fn with(mut self, name: &str, value: Value) -> Self {
        if !value.is_null() {
            self.fields.insert(name.to_owned(), value);
        }
        self
    }
}

fn each_text(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(members) => members.values_mut().for_each(|member| each_text(member, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn words(news: &News) -> Option<Entry> {
    Some(match news {
        News::Request { .. } | News::Fetched { .. } | News::Resources { .. } => return None,
        News::Started { project, source, places } => {
            let targets: std::collections::BTreeSet<_> = places.iter().map(|(target, _)| target).collect();
            let message = format!("watching {project} from {source}: {} at {}", count(targets.len(), "target"), {
                count(places.len(), "endpoint")
            });
            let places: Vec<String> = places.iter().map(|(target, endpoint)| format!("{target}/{endpoint}")).collect();
            Entry::new(Level::Info, "started", message)
                .with("project", json!(project))
                .with("source", json!(source))
                .with("endpoints", json!(places))
        }
        News::Stopping { why } => {
            Entry::new(Level::Info, "stopping", format!("stopping: {why}")).with("why", json!(why))
        }
        News::Loaded { commit, resources, blobs, took, rewritten } => {
            let (level, how) = match rewritten {
                true => (Level::Warn, ", which does not follow the commit before"),
                false => (Level::Info, ""),
            };
            let message = format!("commit {} is in force{how}: {}", short(commit), count(*resources, "resource"));
            Entry::new(level, "loaded", message)
                .with("commit", json!(commit))
                .with("resources", json!(resources))
                .with("blobs_read", json!(blobs))
                .with("took_ms", millis(*took))
                .with("rewritten", json!(rewritten))
        }
        News::SourceAway { why, help } => {
            let remedy = then(help.as_ref());
            let message =
                format!("the source cannot be read: {why}{remedy}; what it said last stays in force, if anything");
            Entry::new(Level::Warn, "source_away", message).with("why", json!(why)).with("help", json!(help))
        }
        News::SourceBack => Entry::new(Level::Info, "source_back", "the source can be read again".to_owned()),
        News::SourceStale { age } => {
            let message = format!(
                "the desired state is {} old, for the source cannot be read: drift is corrected and nothing deleted until it \
                 can; `ctl status` says what is wrong with it",
                human(*age)
            );
            Entry::new(Level::Warn, "source_stale", message).with("age_seconds", json!(age.as_secs()))
        }
        News::Quarantined { place, code, message } => {
            let line = format!(
                "{place} is left out until it can be read: {message}; mend it in Git (`ctl explain {code}`): nothing is \
                 deleted in the project until then"
            );
            Entry::new(Level::Error, "quarantined", line)
                .with("place", json!(place))
                .with("code", json!(code))
                .with("why", json!(message))
        }
        News::Unquarantined { path } => {
            Entry::new(Level::Info, "unquarantined", format!("{path} can be read again")).with("place", json!(path))
        }
        News::Drift { target, address, cause } => {
            let what = match *cause {
                "missing" => "is missing and nobody removed it from Git",
                "unmanaged" => "is there and not in Git",
                _ => "was changed at the target",
            };
            Entry::new(Level::Warn, "drift", format!("{address} {what}"))
                .at(target)
                .resource(address)
                .with("cause", json!(cause))
        }
        News::Retrying { target, endpoint, wait, why } => {
            let message = format!("{target}/{endpoint}: {why}; tried again in {}", human(*wait));
            Entry::new(Level::Debug, "retrying", message)
                .at(target)
                .endpoint(endpoint)
                .with("wait_ms", millis(*wait))
                .with("why", json!(why))
        }
        News::Wrote { target, endpoint, address, action, outcome, why, source } => {
            let level = match *outcome {
                "done" | "skipped" => Level::Info,
                "conflict" | "held" => Level::Warn,
                _ => Level::Error,
            };
            let because = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            Entry::new(level, "wrote", format!("{action} {address}: {}{because}", outcome.replace('_', " ")))
                .at(target)
                .endpoint(endpoint)
                .resource(address)
                .with("action", json!(action))
                .with("outcome", json!(outcome))
                .with("why", json!(why))
                .with("source", json!(source))
        }
        News::Cycled { target, took, quiet, errors, queue } => {
            let level = match (quiet, errors.is_empty()) {
                (true, true) => return None,
                (true, false) => Level::Debug,
                (false, true) => Level::Info,
                (false, false) => Level::Warn,
            };
            let mut message = format!("cycle of {target} over in {}", human(*took));
            if *queue > 0 {
                // Writing into a string does not fail.
                let _ = write!(message, ", {} waiting", count(*queue, "operation"));
            }
            if let Some((_, why)) = errors.first() {
                let _ = write!(message, ", {}: {why}", count(errors.len(), "error"));
            }
            let listed: Vec<Value> = errors
                .iter()
                .take(MAX_ERRORS)
                .map(|(error, why)| json!({"error_type": error.as_str(), "why": why}))
                .collect();
            let listed = if listed.is_empty() { Value::Null } else { Value::Array(listed) };
            Entry::new(level, "cycled", message)
                .at(target)
                .with("took_ms", millis(*took))
                .with("queue", json!(queue))
                .with("errors", listed)
        }
        News::Version { target, number, commit, snapshot, result, took, who } => {
            let message = format!("version {number} of {target}: commit {}, {result}", short(commit));
            Entry::new(Level::Info, "version", message)
                .at(target)
                .with("number", json!(number))
                .with("commit", json!(commit))
                .with("snapshot", json!(snapshot))
                .with("result", json!(result))
                .with("took_ms", millis(*took))
                .with("who", json!(who))
        }
        News::StateChanged { target, endpoint, from, to, why, help } => {
            let level = match to {
                State::Ok | State::Suspended | State::NotLeader => Level::Info,
                State::Refused | State::StaleSource => Level::Warn,
                State::Failing | State::InDoubt => Level::Error,
            };
            let because = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            let remedy = then(help.as_ref());
            let message = format!("{target}/{endpoint} is {}, was {}{because}{remedy}", to.as_str(), from.as_str());
            Entry::new(level, "state_changed", message)
                .at(target)
                .endpoint(endpoint)
                .with("from", json!(from.as_str()))
                .with("to", json!(to.as_str()))
                .with("why", json!(why))
                .with("help", json!(help))
        }
        News::Contested { target, address, field } => {
            let message = format!(
                "somebody keeps changing {field} of {address} back: it is left alone; find out who it is and end it, then \
                 `ctl retry`, or change the manifest"
            );
            Entry::new(Level::Warn, "contested", message).at(target).resource(address).with("field", json!(field))
        }
        News::Won { target, token } => {
            Entry::new(Level::Info, "won", format!("leads {target} now, with token {token}"))
                .at(target)
                .with("token", json!(token))
        }
        News::Lost { target, why } => {
            Entry::new(Level::Warn, "lost", format!("does not lead {target} any more: {why}"))
                .at(target)
                .with("why", json!(why))
        }
        News::CoordinatorAway { why } => {
            let message = format!(
                "the coordinator does not answer: {why}; nothing is written until it does: see whether etcd is up and reached \
                 from here"
            );
            Entry::new(Level::Error, "coordinator_away", message).with("why", json!(why))
        }
        News::CoordinatorBack => {
            Entry::new(Level::Info, "coordinator_back", "the coordinator answers again".to_owned())
        }
        News::Ordered { order, who, accepted, answer } => {
            let level = if *accepted { Level::Info } else { Level::Warn };
            Entry::new(level, "ordered", format!("{order}, asked by {who}: {answer}"))
                .with("order", json!(order))
                .with("who", json!(who))
                .with("accepted", json!(accepted))
                .with("answer", json!(answer))
        }
        News::HookRefused { why } => {
            Entry::new(Level::Warn, "hook_refused", format!("a webhook was refused: {why}")).with("why", json!(why))
        }
        News::Note { level, message } => Entry::new(*level, "note", message.clone()),
    })
}

/// What to do, behind what is wrong.
fn then(help: Option<&String>) -> String {
    help.map_or(String::new(), |help| format!("; {help}"))
}

fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// Enough of a commit for people.
fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

fn millis(time: Duration) -> Value {
    json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A duration in its largest unit that says enough: `12 ms`, `3.4 s`, `7 min`, `5 h`, `3 d`.
fn human(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        s @ 60..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::ErrorType;
    use crate::model::{EndpointName, TargetName};

    fn target() -> TargetName {
        "dns".parse().unwrap()
    }

    fn endpoint() -> EndpointName {
        "one".parse().unwrap()
    }

    fn entry(news: &News) -> Option<Entry> {
        Entry::of(news, Timestamp::UNIX_EPOCH, &str::to_owned)
    }

    fn cycled(quiet: bool, errors: Vec<(ErrorType, String)>) -> News {
        News::Cycled { target: target(), took: Duration::from_millis(12), quiet, errors, queue: 3 }
    }

    #[test]
    fn a_watcher_with_nothing_to_do_says_nothing() {
        let request = News::Request {
            target: target(),
            endpoint: endpoint(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            status: Some(200),
            took: Duration::ZERO,
            error: None,
            answer: None,
        };
        for news in [
            request,
            News::Fetched { took: Duration::ZERO },
            News::Resources { target: target(), counts: BTreeMap::new() },
            cycled(true, Vec::new()),
        ] {
            assert_eq!(entry(&news), None, "{news:?}");
        }
        let again = entry(&cycled(true, vec![(ErrorType::Unreachable, "no route".to_owned())])).unwrap();
        assert_eq!(again.level, Level::Debug, "that it is away was said when it went");
    }

    #[test]
    fn a_line_says_what_where_and_why() {
        let moved = entry(&cycled(false, vec![(ErrorType::Unreachable, "no route".to_owned())])).unwrap();
        assert_eq!(
            moved.line(),
            "{\"seq\":0,\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"event\":\"cycled\",\"target\":\"dns\",\
             \"message\":\"cycle of dns over in 12 ms, 3 operations waiting, 1 error: no route\",\
             \"errors\":[{\"error_type\":\"unreachable\",\"why\":\"no route\"}],\"queue\":3,\"took_ms\":12}"
        );
        let back: Entry = serde_json::from_str(&moved.line()).unwrap();
        assert_eq!(back, moved, "what is written can be read");
    }

    #[test]
    fn a_line_about_what_is_wrong_says_what_to_do() {
        let text = |text: &str| text.to_owned();
        let (target, endpoint) = (target(), endpoint());
        let (from, to) = (State::Ok, State::Refused);
        let (why, help) = (Some(text("it deletes 40 of 50")), Some(text("look at it with `ctl plan`")));
        let age = Duration::from_secs(300);
        let (place, code, message) = (text("a.yaml:3"), text("yaml"), text("a tab"));
        let (address, field) = (text("box/a"), text("port"));
        let all = [
            (
                News::StateChanged { target: target.clone(), endpoint, from, to, why, help },
                "look at it with `ctl plan`",
            ),
            (News::SourceAway { why: text("no route"), help: Some(text("see the network")) }, "see the network"),
            (News::SourceStale { age }, "`ctl status`"),
            (News::Quarantined { place, code, message }, "`ctl explain yaml`"),
            (News::Contested { target, address, field }, "`ctl retry`"),
            (News::CoordinatorAway { why: text("refused") }, "etcd"),
        ];
        for (news, remedy) in all {
            let entry = entry(&news).unwrap();
            assert!(entry.message.contains(remedy), "{}", entry.message);
        }
    }

    #[test]
    fn no_text_forges_a_line_or_moves_a_terminal() {
        let evil = "a\nb\r\u{1b}[2J\u{9b}31m\u{202e}gnp\u{2028}\u{7f}\"}\t";
        let news = News::StateChanged {
            target: target(),
            endpoint: endpoint(),
            from: State::Ok,
            to: State::Failing,
            why: Some(evil.to_owned()),
            help: None,
        };
        let line = entry(&news).unwrap().line();
        assert!(!line.chars().any(|c| c == '\n' || c == '\t' || misleads(c)), "{line:?}");
        let back: Entry = serde_json::from_str(&line).unwrap();
        assert_eq!(back.fields["why"], evil, "and the data are what they were");
    }

    #[test]
    fn an_answer_without_end_does_not_fill_the_memory() {
        let why = "ü".repeat(1 << 20);
        let entry = entry(&News::CoordinatorAway { why }).unwrap();
        assert!(entry.line().len() < 3 * LONGEST, "{}", entry.line().len());
    }

    #[test]
    fn a_secret_is_hidden_wherever_it_landed_and_before_anything_is_cut() {
        let long = format!("{}hunter2", "x".repeat(LONGEST - 3));
        for why in ["400: hunter2", &long] {
            let news = cycled(false, vec![(ErrorType::Invalid, why.to_owned())]);
            let hide = |text: &str| text.replace("hunter2", "<secret mq>");
            let line = Entry::of(&news, Timestamp::UNIX_EPOCH, &hide).unwrap().line();
            assert!(!line.contains("hun") && line.contains("<se"), "{line}");
        }
    }

    #[test]
    fn every_word_of_an_event_is_in_the_manual() {
        let manual = include_str!("../../docs/reference.md");
        let text = include_str!("entry.rs").split("#[cfg(test)]").next().unwrap();
        let mut words = 0;
        for rest in text.split("Entry::new(").skip(1) {
            let word = rest.split('"').nth(1).unwrap();
            assert!(manual.contains(&format!("`{word}`")), "docs/reference.md does not know {word}");
            words += 1;
        }
        assert_eq!(words, 22);
    }

    #[test]
    fn no_field_has_the_name_of_a_member() {
        let members = ["seq", "time", "level", "event", "target", "endpoint", "resource", "message"];
        let text = include_str!("entry.rs");
        for name in text.split(".with(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(!members.contains(&name), "{name} would stand twice in a line");
        }
    }
}
