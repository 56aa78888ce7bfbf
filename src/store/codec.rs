//! The record as files, the same for every backend: `head.json`, `intents/<run>.json`, `<endpoint>/identity` and
//! `<endpoint>/00.jsonl … ff.jsonl`. Reading is strict: what is odd is damage, named with its file and line, and never
//! a smaller record, because what the record lacks is no longer known to be ours.

mod entry;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::StoreError;
use super::parallel::in_chunks;
use crate::model::{
    Canonical, Digest, EndpointName, EndpointRecord, Guard, Intent, IntentOp, Key, Kind, Own, Process, Record,
    RecordEntry, RecordHead, Revision,
};
use entry::{EntryWire, write_entry};

/// The format's major version; a larger one is not read.
const MAJOR: u64 = 1;
/// Additions that an older reader may ignore.
const MINOR: u64 = 2;

/// A record's files by path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) const HEAD: &str = "head.json";
pub(super) const INTENTS: &str = "intents/";
pub(super) const IDENTITY: &str = "identity";

/// Turns a record into files. A record that could not be read back is refused.
pub(super) fn encode(record: &Record) -> Result<Files, StoreError> {
    let mut files = intent_files(record)?;
    files.insert(HEAD.to_owned(), head_bytes(record)?);
    for (endpoint, entries) in &record.endpoints {
        files.insert(format!("{endpoint}/{IDENTITY}"), identity_bytes(entries)?);
        for (shard, bytes) in encode_shards(endpoint, entries, None)? {
            files.insert(format!("{endpoint}/{}", shard_file(shard)), bytes);
        }
    }
    Ok(files)
}

/// What `head.json` says of a record.
pub(super) fn head_bytes(record: &Record) -> Result<Vec<u8>, StoreError> {
    let format = format!("{MAJOR}.{MINOR}");
    let names = |kinds: &BTreeSet<Kind>| kinds.iter().map(ToString::to_string).collect();
    let owed = record.endpoints.iter().filter(|(_, known)| !known.owed.is_empty());
    let owed = owed.map(|(endpoint, known)| (endpoint.to_string(), names(&known.owed))).collect();
    line(&HeadFile { fence: record.fence, format, head: record.head.as_ref().map(HeadWire::of), owed })
}

/// The files of a record's intents.
pub(super) fn intent_files(record: &Record) -> Result<Files, StoreError> {
    let mut files = Files::new();
    for intent in &record.intents {
        if !is_run_id(&intent.run) {
            return Err(damaged(INTENTS, None, format!("`{}` is not the id of a run", intent.run)));
        }
        let wire = IntentWire::of(intent)?;
        if files.insert(format!("{INTENTS}{}.json", intent.run), line(&wire)?).is_some() {
            return Err(damaged(INTENTS, None, format!("two intents of the run {}", intent.run)));
        }
    }
    Ok(files)
}

/// What the file of an endpoint's identity says.
pub(super) fn identity_bytes(entries: &EndpointRecord) -> Result<Vec<u8>, StoreError> {
    line(&entries.identity)
}

/// The name of one of the 256 files in its endpoint's folder.
pub(super) fn shard_file(shard: u8) -> String {
    format!("{shard:02x}.jsonl")
}

/// The files of an endpoint's entries: all that have some, or of these as many as have some.
pub(super) fn encode_shards(
    endpoint: &EndpointName,
    entries: &EndpointRecord,
    only: Option<&BTreeSet<u8>>,
) -> Result<BTreeMap<u8, Vec<u8>>, StoreError> {
    if only.is_some_and(BTreeSet::is_empty) {
        return Ok(BTreeMap::new());
    }
    let all: Vec<_> = entries.entries.iter().collect();
    let parts = in_chunks(&all, |chunk| {
        let mut shards: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for ((kind, key), entry) in chunk {
            if kind != &entry.kind || key != &entry.key {
                return Err(damaged(endpoint.as_str(), None, format!("the entry of {kind}/{key} is of another")));
            }
            let key = key.canonical();
            let number = shard(kind, &key);
            if only.is_some_and(|only| !only.contains(&number)) {
                continue;
            }
            let into = shards.entry(number).or_default();
            write_entry(entry, &key, into)?;
            into.push(b'\n');
        }
        Ok(shards.into_iter().collect())
    })?;
    // The chunks follow each other in the order of the entries, and so do the lines of each shard.
    let mut shards: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for (shard, mut bytes) in parts {
        shards.entry(shard).or_default().append(&mut bytes);
    }
    Ok(shards)
}

/// Turns files back into the record, or says what is wrong with them.
pub(super) fn decode(files: &Files) -> Result<Record, StoreError> {
    let head = files.get(HEAD).ok_or_else(|| damaged(HEAD, None, "it is missing".to_owned()))?;
    let head = head_file(head)?;
    let mut record =
        Record { fence: head.fence, head: head.head.map(HeadWire::into_model).transpose()?, ..Record::default() };
    for (endpoint, kinds) in head.owed {
        let endpoint: EndpointName =
            endpoint.parse().map_err(|_| damaged(HEAD, None, format!("`{endpoint}` is owed")))?;
        record.endpoints.entry(endpoint).or_default().owed = kinds.into_iter().map(Kind::new).collect();
    }
    let mut shards = Vec::new();
    let identities: BTreeSet<&str> = files.keys().filter_map(|path| path.strip_suffix("/identity")).collect();
    for (path, bytes) in files {
        if path == HEAD {
            continue;
        }
        let (folder, name) = path.split_once('/').ok_or_else(|| odd_file(path))?;
        if let Some(run) = name.strip_suffix(".json").filter(|_| folder == "intents") {
            let intent = json::<IntentWire<'_>>(path, None, text(path, bytes)?)?.into_model(path)?;
            if intent.run != run {
                return Err(damaged(path, None, format!("it is the intent of the run {}", intent.run)));
            }
            record.intents.push(intent);
            continue;
        }
        let endpoint: EndpointName = folder.parse().map_err(|_| odd_file(path))?;
        if !identities.contains(folder) {
            return Err(damaged(path, None, format!("{folder}/identity is missing")));
        }
        if name == "identity" {
            record.endpoints.entry(endpoint).or_default().identity = json(path, None, text(path, bytes)?)?;
        } else {
            let number = name.strip_suffix(".jsonl").filter(|n| n.len() == 2).ok_or_else(|| odd_file(path))?;
            let number = u8::from_str_radix(number, 16).map_err(|_| odd_file(path))?;
            shards.push((endpoint, path.as_str(), number, bytes.as_slice()));
        }
    }
    let decoded = in_chunks(&shards, |chunk| {
        chunk.iter().map(|(_, path, number, bytes)| decode_shard(path, *number, bytes)).collect()
    })?;
    let mut entries: BTreeMap<&EndpointName, Lines> = BTreeMap::new();
    for ((endpoint, ..), of) in shards.iter().zip(decoded) {
        entries.entry(endpoint).or_default().extend(of);
    }
    for (endpoint, of) in entries {
        // All at once: one sort is cheaper than an insertion each. No two shards hold the same resource.
        record.endpoints.entry(endpoint.clone()).or_default().entries = sorted(of).collect();
    }
    Ok(record)
}

/// The lines in the order of their resources, each moved once: they are large, and come in the order of a hash.
fn sorted(lines: Lines) -> impl Iterator<Item = ((Kind, Key), RecordEntry)> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_unstable_by(|a, b| lines[*a].0.cmp(&lines[*b].0));
    let mut lines: Vec<Option<_>> = lines.into_iter().map(Some).collect();
    order.into_iter().filter_map(move |at| lines[at].take())
}

/// What `head.json` says.
pub(super) fn decode_head(bytes: &[u8]) -> Result<Option<RecordHead>, StoreError> {
    head_file(bytes)?.head.map(HeadWire::into_model).transpose()
}

fn head_file(bytes: &[u8]) -> Result<HeadFile, StoreError> {
    let text = text(HEAD, bytes)?;
    // The version first: a newer major may have changed everything else.
    let format = json::<FormatOnly>(HEAD, None, text)?.format;
    let major = format.split('.').next().and_then(|m| m.parse::<u64>().ok());
    match major {
        Some(MAJOR) => {}
        Some(newer) if newer > MAJOR => {
            return Err(StoreError::Damaged {
                why: format!("{HEAD}: it is in format {format}, and this ctl reads {MAJOR}.x"),
                help: "a newer ctl wrote it: use that one or a newer one".to_owned(),
            });
        }
        _ => return Err(damaged(HEAD, None, format!("`{format}` is not a format"))),
    }
    json::<HeadFile>(HEAD, None, text)
}

/// A head that says nothing.
pub(super) const NO_HEAD: &[u8] = b"{\"format\":\"1.0\",\"head\":null}\n";

/// True if a newer program wrote this head: then nothing is damaged, and nothing may be made anew.
pub(super) fn is_newer(head: &[u8]) -> bool {
    let format = serde_json::from_slice::<FormatOnly>(head).map(|head| head.format).unwrap_or_default();
    format.split('.').next().and_then(|major| major.parse::<u64>().ok()).is_some_and(|major| major > MAJOR)
}

/// The lines of one shard, in order.
type Lines = Vec<((Kind, Key), RecordEntry)>;

fn decode_shard(path: &str, number: u8, bytes: &[u8]) -> Result<Lines, StoreError> {
    let text = text(path, bytes)?;
    let lines = text.strip_suffix('\n').ok_or_else(|| damaged(path, None, "its last line is cut off".to_owned()))?;
    let mut entries = Lines::new();
    for (at, line) in lines.split('\n').enumerate() {
        let at = Some(at + 1);
        let wire = json::<EntryWire<'_>>(path, at, line)?;
        let key = wire.key.get();
        let mut entry = wire.into_model(path, at)?;
        // Neighbours share the name of their kind, in memory too.
        if let Some(((kind, _), _)) = entries.last().filter(|((kind, _), _)| *kind == entry.kind) {
            entry.kind = kind.clone();
        }
        let id = (entry.kind.clone(), entry.key.clone());
        // A key is read only from the canonical text that it is hashed by.
        if shard(&id.0, key) != number {
            return Err(damaged(path, at, format!("{}/{} belongs to another file", id.0, id.1)));
        }
        if entries.last().is_some_and(|(before, _)| *before >= id) {
            return Err(damaged(path, at, format!("{}/{} is out of order or there twice", id.0, id.1)));
        }
        entries.push((id, entry));
    }
    Ok(entries)
}

/// Which of the 256 files holds this resource, by its key's canonical text.
pub(super) fn shard(kind: &Kind, key: &str) -> u8 {
    let mut text = kind.as_str().to_owned();
    text.push_str(key);
    Digest::of(text.as_bytes()).as_bytes()[0]
}

pub(super) fn damaged(file: &str, line: Option<usize>, what: String) -> StoreError {
    let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    StoreError::Damaged {
        why: format!("{place}: {what}"),
        help:
            "make it anew from what is at the targets: `ctl record rebuild`; in Git the older versions are in the log \
               of its ref"
                .to_owned(),
    }
}

fn odd_file(path: &str) -> StoreError {
    damaged(path, None, "no record has such a file".to_owned())
}

fn is_run_id(run: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=64).contains(&run.len()) && run.bytes().all(good)
}

fn text<'a>(path: &str, bytes: &'a [u8]) -> Result<&'a str, StoreError> {
    std::str::from_utf8(bytes).map_err(|_| damaged(path, None, "it is not UTF-8".to_owned()))
}

fn json<'a, T: Deserialize<'a>>(path: &str, line: Option<usize>, text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| damaged(path, line, e.to_string()))
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec(value).map_err(|e| damaged("record", None, e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[derive(Deserialize)]
struct FormatOnly {
    format: String,
}

#[derive(Serialize, Deserialize)]
struct HeadFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    format: String,
    head: Option<HeadWire>,
    /// By endpoint: kinds that were written since the call that the API wants after writes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    owed: BTreeMap<String, BTreeSet<String>>,
}

/// How a head says `own: exclusive`.
const EXCLUSIVE: &str = "exclusive";

#[derive(Serialize, Deserialize)]
struct HeadWire {
    checksum: String,
    commit: String,
    done: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    folder: String,
    guard: GuardWire,
    number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<String>,
    result: String,
    snapshot: String,
    time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
    undone: u64,
    who: String,
}

#[derive(Serialize, Deserialize)]
struct GuardWire {
    deletes: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    updates: Option<u8>,
}

impl HeadWire {
    fn of(head: &RecordHead) -> Self {
        Self {
            checksum: head.checksum.to_string(),
            commit: head.commit.to_string(),
            done: head.done,
            duration_ms: head.duration_ms,
            folder: head.folder.clone(),
            guard: GuardWire { deletes: head.guard.deletes, updates: head.guard.updates },
            number: head.number,
            own: (head.own == Own::Exclusive).then(|| EXCLUSIVE.to_owned()),
            result: head.result.clone(),
            snapshot: head.snapshot.to_string(),
            time: head.time,
            token: head.token,
            undone: head.undone,
            who: head.who.clone(),
        }
    }

    fn into_model(self) -> Result<RecordHead, StoreError> {
        let bad = |field: &str| damaged(HEAD, None, format!("`{field}` is not what it must be"));
        Ok(RecordHead {
            number: self.number,
            time: self.time,
            commit: Revision::parse(&self.commit).ok_or_else(|| bad("commit"))?,
            snapshot: Digest::parse(&self.snapshot).ok_or_else(|| bad("snapshot"))?,
            checksum: Digest::parse(&self.checksum).ok_or_else(|| bad("checksum"))?,
            folder: self.folder,
            who: self.who,
            result: self.result,
            done: self.done,
            undone: self.undone,
            token: self.token,
            duration_ms: self.duration_ms,
            guard: Guard { deletes: self.guard.deletes, updates: self.guard.updates },
            // Any other word is none that allows more.
            own: if self.own.as_deref() == Some(EXCLUSIVE) { Own::Exclusive } else { Own::Recorded },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct IntentWire<'a> {
    checksum: String,
    commit: String,
    holder: ProcessWire,
    #[serde(borrow)]
    operations: Vec<OpWire<'a>>,
    run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// Also what a lock file says of its holder.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ProcessWire {
    boot_id: String,
    host: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    machine: String,
    pid: u32,
    pid_namespace: u64,
    started: u64,
    who: String,
}

#[derive(Serialize, Deserialize)]
struct OpWire<'a> {
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Box<RawValue>>,
    key: Box<RawValue>,
    kind: std::borrow::Cow<'a, str>,
}

impl ProcessWire {
    pub(super) fn of(process: &Process) -> Self {
        Self {
            boot_id: process.boot_id.clone(),
            host: process.host.clone(),
            machine: process.machine.clone(),
            pid: process.pid,
            pid_namespace: process.pid_namespace,
            started: process.started,
            who: process.who.clone(),
        }
    }

    pub(super) fn into_model(self) -> Process {
        Process {
            host: self.host,
            machine: self.machine,
            boot_id: self.boot_id,
            pid_namespace: self.pid_namespace,
            pid: self.pid,
            started: self.started,
            who: self.who,
        }
    }
}

fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, StoreError> {
    String::from_utf8(bytes)
        .map_err(|e| e.to_string())
        .and_then(|text| RawValue::from_string(text).map_err(|e| e.to_string()))
        .map_err(|e| damaged("record", None, e))
}

impl<'a> IntentWire<'a> {
    fn of(intent: &'a Intent) -> Result<Self, StoreError> {
        let op = |op: &'a IntentOp| -> Result<OpWire<'a>, StoreError> {
            let entry = op.entry.as_ref().map(|entry| {
                let mut bytes = Vec::new();
                write_entry(entry, &entry.key.canonical(), &mut bytes)?;
                raw(bytes)
            });
            Ok(OpWire {
                action: op.action.clone(),
                body: op.body.as_ref().map(|b| raw(b.as_bytes().to_vec())).transpose()?,
                endpoint: op.endpoint.to_string(),
                entry: entry.transpose()?,
                key: raw(op.key.canonical().into_bytes())?,
                kind: op.kind.as_str().into(),
            })
        };
        Ok(Self {
            checksum: intent.checksum.clone(),
            commit: intent.commit.clone(),
            holder: ProcessWire::of(&intent.holder),
            operations: intent.operations.iter().map(op).collect::<Result<_, _>>()?,
            run: intent.run.clone(),
            token: intent.token,
            until: intent.until,
        })
    }

    fn into_model(self, path: &str) -> Result<Intent, StoreError> {
        let bad = |field: &str| damaged(path, None, format!("`{field}` is not what it must be"));
        let mut operations = Vec::with_capacity(self.operations.len());
        for op in self.operations {
            let body = op.body.map(|b| Canonical::from_stored(b.get().as_bytes()).map_err(|_| bad("body")));
            let entry = op.entry.map(|entry| json::<EntryWire<'_>>(path, None, entry.get())?.into_model(path, None));
            operations.push(IntentOp {
                endpoint: op.endpoint.parse().map_err(|_| bad("endpoint"))?,
                action: op.action,
                kind: Kind::new(op.kind.into_owned()),
                key: Key::from_canonical(op.key.get()).ok_or_else(|| bad("key"))?,
                body: body.transpose()?,
                entry: entry.transpose()?.map(Box::new),
            });
        }
        Ok(Intent {
            run: self.run,
            holder: self.holder.into_model(),
            until: self.until,
            token: self.token,
            commit: self.commit,
            checksum: self.checksum,
            operations,
        })
    }
}
