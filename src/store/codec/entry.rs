//! One line of a shard: an entry of the record as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::damaged;
use crate::model::{Canonical, Digest, FieldPath, Key, Kind, OnRemove, RecordEntry};
use crate::store::StoreError;

/// Writes one JSON object, member by member.
struct Members<'a>(&'a mut Vec<u8>, bool);

impl Members<'_> {
    fn raw(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.0.push(if self.1 { b',' } else { b'{' });
        self.1 = true;
        put(name, self.0)?;
        self.0.push(b':');
        write(self.0)
    }

    fn json(&mut self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        self.raw(name, |out| put(value, out))
    }
}

fn put(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) -> Result<(), StoreError> {
    serde_json::to_writer(out, value).map_err(|e| damaged("record", None, e.to_string()))
}

/// Writes an entry as one line, members sorted, what is empty left out.
pub(super) fn write_entry(entry: &RecordEntry, key: &str, out: &mut Vec<u8>) -> Result<(), StoreError> {
    if entry.digest != entry.sent.digest() {
        return Err(damaged("record", None, format!("the digest of {}/{} is another's", entry.kind, entry.key)));
    }
    let mut members = Members(out, false);
    members.json("digest", &entry.digest.to_string())?;
    if let Some(hmac) = &entry.hmac {
        members.json("hmac", hmac)?;
    }
    members.raw("key", |out| {
        out.extend_from_slice(key.as_bytes());
        Ok(())
    })?;
    members.json("kind", &entry.kind.as_str())?;
    if !entry.labels.is_empty() {
        members.json("labels", &entry.labels)?;
    }
    if entry.marked {
        members.json("marked", &true)?;
    }
    if entry.on_remove == OnRemove::Keep {
        members.json("on-remove", &"keep")?;
    }
    if entry.protect {
        members.json("protect", &true)?;
    }
    if !entry.refs.is_empty() {
        members.json("refs", &entry.refs)?;
    }
    if !entry.rewritten.is_empty() {
        members.raw("rewritten", |out| {
            let mut fields = Members(out, false);
            for (path, value) in &entry.rewritten {
                fields.raw(&path.to_string(), |out| {
                    out.push(b'[');
                    out.extend_from_slice(value.as_ref().map_or(&b""[..], Canonical::as_bytes));
                    out.push(b']');
                    Ok(())
                })?;
            }
            out.push(b'}');
            Ok(())
        })?;
    }
    if !entry.secrets.is_empty() {
        members.json("secrets", &entry.secrets)?;
    }
    if !entry.secret_hashes.is_empty() {
        members.json("secret-hashes", &entry.secret_hashes)?;
    }
    members.raw("sent", |out| {
        out.extend_from_slice(entry.sent.as_bytes());
        Ok(())
    })?;
    if let Some(id) = &entry.server_id {
        members.json("server-id", id)?;
    }
    if let Some(uid) = &entry.uid {
        members.json("uid", uid)?;
    }
    out.push(b'}');
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct EntryWire<'a> {
    digest: &'a str,
    hmac: Option<String>,
    #[serde(borrow)]
    pub(super) key: &'a RawValue,
    kind: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    marked: bool,
    on_remove: Option<String>,
    #[serde(default)]
    protect: bool,
    #[serde(default)]
    refs: Vec<String>,
    #[serde(borrow, default)]
    rewritten: BTreeMap<String, Vec<&'a RawValue>>,
    #[serde(default)]
    secrets: BTreeMap<String, Option<u64>>,
    #[serde(default)]
    secret_hashes: BTreeMap<String, String>,
    #[serde(borrow)]
    sent: &'a RawValue,
    server_id: Option<String>,
    uid: Option<String>,
}

impl EntryWire<'_> {
    pub(super) fn into_model(self, path: &str, at: Option<usize>) -> Result<RecordEntry, StoreError> {
        let bad = |what: String| damaged(path, at, what);
        let digest = Digest::parse(self.digest).ok_or_else(|| bad("`digest` is not a digest".to_owned()))?;
        if Digest::of(self.sent.get().as_bytes()) != digest {
            return Err(bad("`sent` is not what its digest says".to_owned()));
        }
        let sent = Canonical::from_stored(self.sent.get().as_bytes()).map_err(|e| bad(format!("`sent`: {e}")))?;
        let mut rewritten = BTreeMap::new();
        for (field, value) in self.rewritten {
            let value = match value[..] {
                [] => None,
                [one] => {
                    Some(Canonical::from_stored(one.get().as_bytes()).map_err(|e| bad(format!("`rewritten`: {e}")))?)
                }
                _ => return Err(bad(format!("`rewritten` says two things of {field}"))),
            };
            rewritten.insert(FieldPath::parse(&field), value);
        }
        Ok(RecordEntry {
            kind: Kind::new(self.kind),
            key: Key::from_canonical(self.key.get()).ok_or_else(|| bad("`key` is not a key".to_owned()))?,
            server_id: self.server_id,
            uid: self.uid,
            sent,
            digest,
            marked: self.marked,
            labels: self.labels,
            refs: self.refs,
            protect: self.protect,
            on_remove: match self.on_remove.as_deref() {
                None | Some("delete") => OnRemove::Delete,
                // An answer that this version does not know is never read as "delete".
                Some(_) => OnRemove::Keep,
            },
            rewritten,
            secrets: self.secrets,
            secret_hashes: self.secret_hashes,
            hmac: self.hmac,
        })
    }
}
