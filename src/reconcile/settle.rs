//! What the operations of a run that never ended come to, by looking at what is there.

use crate::model::{Canonical, Intent, IntentOp, Mark, Observed, Record, RecordEntry};

/// What is seen of a resource whose write nobody reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen<'a> {
    /// Its scope was read to its end, and it is not there.
    Absent,
    /// It is there.
    There(&'a Observed),
    /// Its scope could not be read.
    Unknown(&'a str),
}

/// What an operation of an expired intent comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// It was not done, or there is nothing to note: the record stays as it is.
    Stays,
    /// It was done: this entry goes in.
    Owned(Box<RecordEntry>),
    /// The resource is gone: the entry goes.
    Gone,
    /// Something is there that is not what was sent: it is not owned, and the user decides.
    InDoubt(String),
    /// Nothing can be seen now: the intent keeps this operation.
    Later(String),
}

/// Settles one operation of a run that never came to its outcome, by looking at what is there.
///
/// `entry` is the record's line, `is_as_sent` compares what was sent with what is there.
pub fn settle(
    op: &IntentOp,
    entry: Option<&RecordEntry>,
    seen: Seen<'_>,
    mark: &Mark,
    is_as_sent: &dyn Fn(&IntentOp, &Canonical, &Observed) -> bool,
) -> Settled {
    let body = op.body.as_ref();
    match (op.action.as_str(), seen) {
        // Nothing was going to be written; the next plan says it again. A release takes marks off at most, and what it did
        // not come to strike stays ours.
        ("adopt" | "forget" | "release", _) => Settled::Stays,
        (_, Seen::Unknown(why)) => Settled::Later(why.to_owned()),
        ("delete", Seen::Absent) => Settled::Gone,
        ("delete", Seen::There(_)) => Settled::Stays,
        (_, Seen::Absent) => Settled::Stays,
        ("create" | "rename", Seen::There(found)) => match body {
            _ if found.mark.as_ref().is_some_and(|other| other != mark) => {
                Settled::InDoubt("what is there carries the mark of another project".to_owned())
            }
            Some(body) if is_as_sent(op, body, found) => Settled::Owned(Box::new(entry_from(op, body, found, mark))),
            // The one that was to be replaced is still there, and still ours.
            Some(_) if entry.is_some_and(|old| old.uid.is_some() && old.uid == found.uid) => Settled::Stays,
            Some(_) => Settled::InDoubt("what is there is not what was sent".to_owned()),
            None => Settled::InDoubt("the intent does not say what was sent".to_owned()),
        },
        // An update that is seen to have happened brings the entry up to date; otherwise the entry stays.
        (_, Seen::There(found)) => match (body, entry) {
            (Some(body), Some(old)) if is_as_sent(op, body, found) && (old.uid.is_none() || old.uid == found.uid) => {
                let new = entry_from(op, body, found, mark);
                let server_id = old.server_id.clone();
                Settled::Owned(Box::new(RecordEntry { server_id, marked: new.marked || old.marked, ..new }))
            }
            _ => Settled::Stays,
        },
    }
}

fn entry_from(op: &IntentOp, body: &Canonical, found: &Observed, mark: &Mark) -> RecordEntry {
    let told = op.entry.as_deref();
    RecordEntry {
        kind: op.kind.clone(),
        key: op.key.clone(),
        server_id: told.and_then(|e| e.server_id.clone()),
        uid: found.uid.clone(),
        sent: body.clone(),
        digest: body.digest(),
        marked: found.mark.as_ref() == Some(mark),
        labels: told.map(|e| e.labels.clone()).unwrap_or_default(),
        refs: told.map(|e| e.refs.clone()).unwrap_or_default(),
        protect: told.is_some_and(|e| e.protect),
        on_remove: told.map(|e| e.on_remove).unwrap_or_default(),
        rewritten: told.map(|e| e.rewritten.clone()).unwrap_or_default(),
        secrets: told.map(|e| e.secrets.clone()).unwrap_or_default(),
        secret_hashes: std::collections::BTreeMap::new(),
        hmac: None,
    }
}

/// What settling an intent came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settlement {
    /// The record afterwards. The intent is gone from it, unless some of it could not be seen.
    pub record: Record,
    /// What is in doubt, and why.
    pub in_doubt: Vec<(IntentOp, String)>,
    /// What could not be seen, and why: it stays in the intent.
    pub later: Vec<(IntentOp, String)>,
}

/// Settles a whole intent. `look` tells what is there.
pub fn settle_intent<'s>(
    record: &Record,
    intent: &Intent,
    mark: &Mark,
    look: &dyn Fn(&IntentOp) -> Seen<'s>,
    is_as_sent: &dyn Fn(&IntentOp, &Canonical, &Observed) -> bool,
) -> Settlement {
    let mut out = Settlement { record: record.clone(), ..Settlement::default() };
    for op in &intent.operations {
        let place = (op.kind.clone(), op.key.clone());
        let entries = &mut out.record.endpoints.entry(op.endpoint.clone()).or_default().entries;
        match settle(op, entries.get(&place).map(|entry| &**entry), look(op), mark, is_as_sent) {
            Settled::Stays => {}
            Settled::Owned(entry) => drop(entries.insert(place, *entry)),
            Settled::Gone => drop(entries.remove(&place)),
            Settled::InDoubt(why) => out.in_doubt.push((op.clone(), why)),
            Settled::Later(why) => out.later.push((op.clone(), why)),
        }
    }
    out.record.intents.retain(|open| open.run != intent.run);
    if !out.later.is_empty() {
        let operations = out.later.iter().map(|(op, _)| op.clone()).collect();
        out.record.intents.push(Intent { operations, ..intent.clone() });
    }
    out
}
