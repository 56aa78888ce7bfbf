//! What `ctl` has applied and therefore owns, the intents of runs that are under way, and the guards in force.

use std::collections::{BTreeMap, BTreeSet};

use super::{Canonical, Digest, EndpointName, Entries, FieldPath, Key, Kind, OnRemove, Own, Revision};

/// The record of one target: what `ctl` has applied and therefore owns, per endpoint, and where it came from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// What the newest outcome says; `None` before the first one.
    pub head: Option<RecordHead>,
    /// What is owned, by endpoint.
    pub endpoints: BTreeMap<EndpointName, EndpointRecord>,
    /// Intents of runs that have not finished.
    pub intents: Vec<Intent>,
    /// The highest fencing token under which it was ever written; `None` if it never was under election.
    pub fence: Option<u64>,
}

impl Record {
    /// The highest fencing token that is anywhere in it: nothing that carries a lower one may follow.
    pub fn highest_token(&self) -> Option<u64> {
        let head = self.head.as_ref().and_then(|head| head.token);
        self.intents.iter().filter_map(|intent| intent.token).chain(head).chain(self.fence).max()
    }
}

/// One applied version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordHead {
    /// Counts the outcomes, from 1.
    pub number: u64,
    /// Unix seconds, wall clock.
    pub time: i64,
    /// The desired commit.
    pub commit: Revision,
    /// The snapshot's digest.
    pub snapshot: Digest,
    /// The plan's checksum.
    pub checksum: Digest,
    /// The project's folder in its repository (`""` for the root).
    pub folder: String,
    /// Who applied it, for people.
    pub who: String,
    /// `done`, `partial`, `settled`, `adopted`, `released`, `rebuilt`.
    pub result: String,
    /// How many operations were done and how many were not.
    pub done: u64,
    /// Operations that failed, conflicted, were skipped or are in doubt.
    pub undone: u64,
    /// The fencing token under election.
    pub token: Option<u64>,
    /// How long it took to apply, in milliseconds; `None` where nobody measured it.
    pub duration_ms: Option<u64>,
    /// The guard that held: the stricter of this and the current one holds next time.
    pub guard: Guard,
    /// How the target was owned, once all of it was seen and nothing of it refused: `Exclusive` says that somebody agreed
    /// to what that deletes. Older records do not say; then it counts as `Recorded`.
    pub own: Own,
}

/// How much one run may remove or change, per target, endpoint and kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// Percent of the base that may be deleted, once the base is 10 or more. 30 by default.
    pub deletes: u8,
    /// Percent of the base that may be updated; no limit by default.
    pub updates: Option<u8>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { deletes: 30, updates: None }
    }
}

impl Guard {
    /// The stricter of both, limit by limit.
    pub fn stricter(self, other: Self) -> Self {
        let updates = match (self.updates, other.updates) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { deletes: self.deletes.min(other.deletes), updates }
    }
}

/// What is owned at one endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EndpointRecord {
    /// Who answered there: the description's `identity`, else the URL. Another one later is refused.
    pub identity: Option<String>,
    /// What is owned.
    pub entries: Entries,
    /// Kinds of which something was written, or may have been, since the API had the call that it wants after writes.
    pub owed: BTreeSet<Kind>,
}

/// One line of the record: a resource that `ctl` has applied and therefore owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordEntry {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub key: Key,
    /// The id that the server made, where the API addresses by one.
    pub server_id: Option<String>,
    /// Its identity at the server: changes when an object of the same key is made anew.
    pub uid: Option<String>,
    /// The document as sent, every secret left as its reference.
    pub sent: Canonical,
    /// SHA-256 of `sent`.
    pub digest: Digest,
    /// True if our mark was written on it.
    pub marked: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Addresses inside the target (`kind/field/field`) that it refers to.
    pub refs: Vec<String>,
    /// Protected when it was applied.
    pub protect: bool,
    /// What happens when its manifest goes.
    pub on_remove: OnRemove,
    /// What the server made of stated fields when they were read back, where it differs from what was sent.
    pub rewritten: BTreeMap<FieldPath, Option<Canonical>>,
    /// Versions of secrets that were sent, by name.
    pub secrets: BTreeMap<String, Option<u64>>,
    /// With the operator's `record-key`: a keyed hash of each secret's value as it was sent, by name, so that a changed
    /// value is noticed though the server never shows it.
    pub secret_hashes: BTreeMap<String, String>,
    /// HMAC with the operator's `record-key`, in hexadecimal.
    pub hmac: Option<String>,
}

impl RecordEntry {
    /// The line of a document as it was sent, of which nothing else is known.
    pub fn of(kind: Kind, key: Key, sent: Canonical) -> Self {
        Self {
            kind,
            key,
            server_id: None,
            uid: None,
            digest: sent.digest(),
            sent,
            marked: false,
            labels: BTreeMap::new(),
            refs: Vec::new(),
            protect: false,
            on_remove: OnRemove::Delete,
            rewritten: BTreeMap::new(),
            secrets: BTreeMap::new(),
            secret_hashes: BTreeMap::new(),
            hmac: None,
        }
    }
}

/// What a run is about to write: it stands in the record from before the first write until the outcome, and is a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// The run's id.
    pub run: String,
    /// Who holds it.
    pub holder: Process,
    /// Wall-clock second (Unix) until which it stands unless it is renewed; `None` under election.
    pub until: Option<i64>,
    /// The fencing token under election.
    pub token: Option<u64>,
    /// The commit that is being applied.
    pub commit: String,
    /// The plan's checksum.
    pub checksum: String,
    /// What will be written.
    pub operations: Vec<IntentOp>,
}

/// A process, so exactly that "it is gone" can be known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Host name.
    pub host: String,
    /// Which machine it is, whatever it is called: a digest of the id that the system keeps. Empty where it has none, and
    /// in older records; then nothing is concluded from it.
    pub machine: String,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The PID namespace's inode.
    pub pid_namespace: u64,
    /// The process id in that namespace.
    pub pid: u32,
    /// Its start time, in clock ticks since boot.
    pub started: u64,
    /// Who runs it, for people: `user@host`.
    pub who: String,
}

/// One operation of an intent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntentOp {
    /// Where.
    pub endpoint: EndpointName,
    /// `create`, `update`, `delete`, `adopt`, `forget`, `rename`, `release`.
    pub action: String,
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub key: Key,
    /// For a create or update: what will be sent, secrets as references.
    pub body: Option<Canonical>,
    /// For a delete: the entry as it stood, so that `restore` can write it back.
    pub entry: Option<Box<RecordEntry>>,
}
