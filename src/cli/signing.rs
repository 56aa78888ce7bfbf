//! With an operator's `record-key` each line of the record is signed, and a line that nobody signed permits no delete:
//! whoever may push the record's ref can write lines, and cannot make them good.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::credentials::{SecretSource, hmac};
use crate::model::{
    EndpointName, IntentOp, Key, Kind, OnRemove, ProjectName, Record, RecordEntry, Secret, SecretRef, TargetName, Value,
};
use crate::plan::Operation;

/// True for a line that a run wrote or changed.
type Written = bool;

/// Signs and checks the lines of one target's record.
pub(super) struct Signer<'a> {
    key: &'a Secret,
    project: &'a ProjectName,
    target: &'a TargetName,
}

impl<'a> Signer<'a> {
    /// Signs with the operator's `record-key`.
    pub(super) fn new(key: &'a Secret, project: &'a ProjectName, target: &'a TargetName) -> Self {
        Self { key, project, target }
    }

    /// The signature covers where the line stands and all that it says, so that none can be moved or changed.
    fn seal(&self, place: &str, endpoint: &EndpointName, entry: &RecordEntry) -> String {
        let mut bytes = Vec::new();
        let mut part = |bytes_of: &[u8]| {
            bytes.extend_from_slice(&(bytes_of.len() as u64).to_be_bytes());
            bytes.extend_from_slice(bytes_of);
        };
        for text in [place, self.project.as_str(), self.target.as_str(), endpoint.as_str(), entry.kind.as_str()] {
            part(text.as_bytes());
        }
        part(entry.key.canonical().as_bytes());
        part(entry.sent.as_bytes());
        for id in [&entry.uid, &entry.server_id] {
            part(if id.is_some() { b"some" } else { b"none" });
            part(id.as_deref().unwrap_or_default().as_bytes());
        }
        for flag in [entry.marked, entry.protect, entry.on_remove == OnRemove::Keep] {
            part(if flag { b"yes" } else { b"no" });
        }
        part(&(entry.labels.len() as u64).to_be_bytes());
        entry.labels.iter().flat_map(|(name, value)| [name, value]).for_each(|text| part(text.as_bytes()));
        part(&(entry.refs.len() as u64).to_be_bytes());
        entry.refs.iter().for_each(|text| part(text.as_bytes()));
        for (path, value) in &entry.rewritten {
            part(path.to_string().as_bytes());
            part(value.as_ref().map_or(&b""[..], |value| value.as_bytes()));
        }
        for (name, version) in &entry.secrets {
            part(name.as_bytes());
            part(format!("{version:?}").as_bytes());
        }
        for (name, hash) in &entry.secret_hashes {
            part(name.as_bytes());
            part(hash.as_bytes());
        }
        hmac(self.key, &bytes)
    }

    /// A keyed hash of a secret's value in this place: equal values elsewhere have other hashes.
    fn hash_of(&self, endpoint: &EndpointName, (kind, key): (&Kind, &Key), name: &str, value: &Secret) -> String {
        #[expect(clippy::disallowed_methods, reason = "the value goes into a keyed hash that does not give it back")]
        let value = value.expose();
        let place = ["secret", self.project.as_str(), self.target.as_str(), endpoint.as_str(), kind.as_str()];
        let mut bytes = Vec::new();
        for text in place.into_iter().chain([key.canonical().as_str(), name, value]) {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        hmac(self.key, &bytes)
    }

    /// Notes what was sent for the secrets of every resource that was just written.
    pub(super) fn note_secrets(&self, secrets: &dyn SecretSource, written: &[&Operation], after: &mut Record) {
        for op in written {
            let which = (op.resource.kind.clone(), op.resource.key.clone());
            let known = after.endpoints.get_mut(&op.endpoint).and_then(|known| known.entries.get_mut(&which));
            let Some(entry) = known else { continue };
            let hashes = entry.secrets.iter().filter_map(|(name, version)| {
                let reference = SecretRef { name: name.clone(), version: *version };
                let value = secrets.resolve(&reference, self.target, &entry.kind).ok()?;
                Some((name.clone(), self.hash_of(&op.endpoint, (&entry.kind, &entry.key), name, &value)))
            });
            entry.secret_hashes = hashes.collect();
        }
    }

    /// The names of an entry's secrets whose value is another one now than was sent.
    pub(super) fn changed_secrets(
        &self,
        secrets: &dyn SecretSource,
        endpoint: &EndpointName,
        entry: &RecordEntry,
    ) -> BTreeSet<String> {
        let is_changed = |(name, hash): &(&String, &String)| {
            let version = entry.secrets.get(*name).copied().flatten();
            let reference = SecretRef { name: (*name).clone(), version };
            secrets
                .resolve(&reference, self.target, &entry.kind)
                .is_ok_and(|value| self.hash_of(endpoint, (&entry.kind, &entry.key), name, &value) != **hash)
        };
        entry.secret_hashes.iter().filter(is_changed).map(|(name, _)| name.clone()).collect()
    }

    /// True if the operator's key signed this line, for this place.
    pub(super) fn vouches(&self, endpoint: &EndpointName, entry: &RecordEntry) -> bool {
        entry.hmac.as_ref().is_some_and(|signature| *signature == self.seal("record", endpoint, entry))
    }

    /// Signs the lines for which `rule` says so, told whether the line is new or says something else than in `before`.
    /// A line that is merely carried on keeps the signature that it had, or none.
    pub(super) fn sign(
        &self,
        before: &Record,
        after: &mut Record,
        rule: &dyn Fn(&EndpointName, &RecordEntry, Written) -> bool,
    ) {
        for (endpoint, known) in &mut after.endpoints {
            let old = before.endpoints.get(endpoint);
            let mut signed = Vec::new();
            for (which, entry) in &known.entries {
                let carried = old.and_then(|old| old.entries.get(which)).filter(|old| is_same_line(old, entry));
                let hmac = match carried {
                    carried if rule(endpoint, entry, carried.is_none()) => Some(self.seal("record", endpoint, entry)),
                    carried => carried.and_then(|old| old.hmac.clone()),
                };
                if entry.hmac != hmac {
                    signed.push((which.clone(), hmac));
                }
            }
            for (which, hmac) in signed {
                if let Some(entry) = known.entries.get_mut(&which) {
                    entry.hmac = hmac;
                }
            }
        }
    }

    /// Signs what an intent says, so that settling it can tell its lines from those that somebody slipped in.
    pub(super) fn sign_intent(&self, run: &str, operations: &mut [IntentOp]) {
        for op in operations {
            let Some(body) = &op.body else { continue };
            let mut entry = op
                .entry
                .take()
                .unwrap_or_else(|| Box::new(RecordEntry::of(op.kind.clone(), op.key.clone(), body.clone())));
            entry.hmac = Some(self.seal(&intent(run), &op.endpoint, &entry));
            op.entry = Some(entry);
        }
    }

    /// True if the operator's key signed this operation of that run.
    pub(super) fn vouches_for_intent(&self, run: &str, op: &IntentOp) -> bool {
        op.entry.as_deref().is_some_and(|entry| {
            (&entry.kind, &entry.key, Some(&entry.sent)) == (&op.kind, &op.key, op.body.as_ref())
                && entry.hmac.as_ref().is_some_and(|s| *s == self.seal(&intent(run), &op.endpoint, entry))
        })
    }
}

fn intent(run: &str) -> String {
    format!("intent {run}")
}

fn is_same_line(a: &Arc<RecordEntry>, b: &Arc<RecordEntry>) -> bool {
    // What was carried on is shared: of ten thousand lines all but a few are told by sight.
    if Arc::ptr_eq(a, b) {
        return true;
    }
    let (a, b) = (&**a, &**b);
    RecordEntry { hmac: None, ..a.clone() } == RecordEntry { hmac: None, ..b.clone() }
}

/// Turns references to these secrets into references to a version that nobody asks for.
pub(super) fn age(value: &mut Value, names: &BTreeSet<String>) {
    match value {
        Value::Secret(reference) if names.contains(&reference.name) => {
            reference.version = match reference.version {
                Some(0) => None,
                Some(_) | None => Some(0),
            };
        }
        Value::Array(items) => items.iter_mut().for_each(|item| age(item, names)),
        Value::Object(map) => map.values_mut().for_each(|item| age(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Secret(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FieldPath, Value};

    fn line() -> RecordEntry {
        let sent = Value::from("x").canonical();
        RecordEntry {
            uid: Some("7".to_owned()),
            marked: true,
            labels: [("team".to_owned(), "shop".to_owned())].into(),
            refs: vec!["zone/a".to_owned()],
            protect: true,
            on_remove: OnRemove::Keep,
            ..RecordEntry::of(Kind::new("rrset"), Key::of_texts(&["a", "b"]), sent)
        }
    }

    #[test]
    fn no_signed_line_can_be_moved_or_changed() {
        let key = Secret::new("k");
        let (shop, other): (ProjectName, ProjectName) = ("shop".parse().unwrap(), "other".parse().unwrap());
        let (dns, mq): (TargetName, TargetName) = ("dns".parse().unwrap(), "mq".parse().unwrap());
        let (a, b): (EndpointName, EndpointName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let signer = Signer { key: &key, project: &shop, target: &dns };
        let good = RecordEntry { hmac: Some(signer.seal("record", &a, &line())), ..line() };
        assert!(signer.vouches(&a, &good));
        assert!(!signer.vouches(&b, &good), "another endpoint");
        assert!(!Signer { target: &mq, ..signer }.vouches(&a, &good), "another target");
        let signer = Signer { key: &key, project: &shop, target: &dns };
        assert!(!Signer { project: &other, ..signer }.vouches(&a, &good), "another project");
        let signer = Signer { key: &key, project: &shop, target: &dns };
        let changes: [fn(&mut RecordEntry); 11] = [
            |e| e.kind = Kind::new("zone"),
            |e| e.key = Key::of_texts(&["ab", ""]),
            |e| e.server_id = Some("9".to_owned()),
            |e| e.uid = None,
            |e| e.sent = Value::from("y").canonical(),
            |e| e.marked = false,
            |e| e.labels.clear(),
            |e| e.refs.clear(),
            |e| e.protect = false,
            |e| e.on_remove = OnRemove::Delete,
            |e| drop(e.rewritten.insert(FieldPath::parse("f"), None)),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(!signer.vouches(&a, &changed), "change {i}");
        }
        let in_intent = IntentOp {
            endpoint: a.clone(),
            action: "create".to_owned(),
            kind: good.kind.clone(),
            key: good.key.clone(),
            body: Some(good.sent.clone()),
            entry: Some(Box::new(good)),
        };
        assert!(!signer.vouches_for_intent("r1", &in_intent), "a line of the record is no intent");
        let mut operations = [in_intent];
        signer.sign_intent("r1", &mut operations);
        assert!(signer.vouches_for_intent("r1", &operations[0]) && !signer.vouches_for_intent("r2", &operations[0]));
    }
}
