//! What a damaged record still says.

use super::codec::{self, Files, HEAD};
use super::{StoreError, Tip};
use crate::model::Record;

/// What a damaged record still says, for whoever makes it anew by looking at the target. It is no record: what it lacks
/// may be ours all the same, so that no run plans with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Salvage {
    /// Where the damaged record stands; what is made anew goes on top of it.
    pub tip: Option<Tip>,
    /// Head, intents, identities and the lines of every file that is whole. The head may be an older version's, so that
    /// the lineage is kept; none where none can be read.
    pub record: Record,
    /// What cannot be read, file by file.
    pub damage: Vec<String>,
}

impl Salvage {
    /// Takes from `files` what is whole. Fails where a newer program wrote them: that is no damage.
    pub(super) fn of(tip: Tip, files: &Files, mut damage: Vec<String>) -> Result<Self, StoreError> {
        let mut record = Record::default();
        match files.get(HEAD).map(|head| codec::decode_head(head)) {
            Some(Ok(head)) => {
                record.head = head;
                // What is owed stands in the same file, and is as whole as that.
                let alone = Files::from([(HEAD.to_owned(), files.get(HEAD).cloned().unwrap_or_default())]);
                record.endpoints = codec::decode(&alone).map(|owed| owed.endpoints).unwrap_or_default();
            }
            Some(Err(error)) if codec::is_newer(files.get(HEAD).map(Vec::as_slice).unwrap_or_default()) => {
                return Err(error);
            }
            Some(Err(error)) => damage.push(error.to_string()),
            None => damage.push(codec::damaged(HEAD, None, "it is missing".to_owned()).to_string()),
        }
        for (path, bytes) in files.iter().filter(|(path, _)| *path != HEAD) {
            // Each file with its endpoint's identity, as a record of its own: it is whole, or nothing of it counts.
            let mut alone = Files::from([(HEAD.to_owned(), codec::NO_HEAD.to_vec()), (path.clone(), bytes.clone())]);
            let folder = path.split('/').next().unwrap_or_default();
            let identity = format!("{folder}/identity");
            alone.extend(files.get(&identity).map(|bytes| (identity, bytes.clone())));
            match codec::decode(&alone) {
                Ok(part) => {
                    record.intents.extend(part.intents);
                    for (endpoint, known) in part.endpoints {
                        let into: &mut _ = record.endpoints.entry(endpoint).or_default();
                        into.identity = known.identity.or(into.identity.take());
                        into.entries.extend([known.entries]);
                    }
                }
                Err(error) => damage.push(error.to_string()),
            }
        }
        damage.sort();
        damage.dedup();
        Ok(Self { tip: Some(tip), record, damage })
    }

    /// How many lines could be read.
    pub fn lines(&self) -> usize {
        self.record.endpoints.values().map(|known| known.entries.len()).sum()
    }
}
