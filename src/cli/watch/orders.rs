//! What people asked of a watcher, kept over its restarts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::model::{Digest, Revision, TargetName};

const FILE: &str = "orders.json";

/// All that holds until somebody takes it back, or its time is over. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Orders {
    /// Targets where nothing is written.
    pub suspended: BTreeMap<String, Suspended>,
    /// Targets that are held at an older commit.
    pub pinned: BTreeMap<String, Pinned>,
    /// Plans that are let through.
    pub approved: Vec<Approved>,
}

/// One target where nothing is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Suspended {
    /// Since when.
    pub since: i64,
    /// Until when; for ever without.
    pub until: Option<i64>,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
}

/// One target that is held at an older commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Pinned {
    /// The version that was asked for.
    pub version: u64,
    /// Its commit.
    pub commit: String,
    /// Who.
    pub who: String,
    /// Since when.
    pub since: i64,
}

/// One plan that is let through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Approved {
    /// Its checksum, or that of its deletes.
    pub checksum: String,
    /// Until when.
    pub until: i64,
    /// Who.
    pub who: String,
}

impl Orders {
    /// Reads them. What cannot be read is an error: an order that is forgotten may let something happen that a person
    /// forbade.
    pub(super) fn read(folder: &Folder) -> std::io::Result<Self> {
        match folder.read(FILE)? {
            None => Ok(Self::default()),
            Some(bytes) => {
                let orders: Self = serde_json::from_slice(&bytes).map_err(std::io::Error::from)?;
                match orders.pinned.values().find(|pin| Revision::parse(&pin.commit).is_none()) {
                    Some(pin) => Err(std::io::Error::other(format!("`{}` is no commit", pin.commit))),
                    None => Ok(orders),
                }
            }
        }
    }

    /// Writes them.
    pub(super) fn write(&self, folder: &Folder) -> std::io::Result<()> {
        folder.write(FILE, &serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?)
    }

    /// The targets that there is something to say about, approvals aside.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.suspended.keys().chain(self.pinned.keys()).cloned().collect()
    }

    /// Drops what is over. True if something was. `stands` says where nothing is written in fact: a wall clock that was
    /// set ahead ends no suspension.
    pub(super) fn tidy(&mut self, now: i64, stands: &dyn Fn(&str) -> bool) -> bool {
        let before = (self.suspended.len(), self.approved.len());
        self.suspended.retain(|name, order| order.until.is_none_or(|until| now < until) || stands(name));
        self.approved.retain(|order| now < order.until);
        before != (self.suspended.len(), self.approved.len())
    }

    /// The checksums that are let through now.
    pub(super) fn approvals(&self, now: i64) -> Vec<Digest> {
        let standing = self.approved.iter().filter(|order| now < order.until);
        standing.filter_map(|order| Digest::parse(&order.checksum)).collect()
    }

    /// The commit that a target is held at.
    pub(super) fn pin(&self, target: &TargetName) -> Option<Revision> {
        Revision::parse(&self.pinned.get(target.as_str())?.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_outlive_the_watcher_and_end_when_they_should() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::take(state.path().join("repo")).unwrap().unwrap();
        assert_eq!(Orders::read(&folder).unwrap(), Orders::default());
        let mut orders = Orders::default();
        let suspended = |until| Suspended { since: 10, until, who: "ann".to_owned(), reason: None };
        orders.suspended.insert("a".to_owned(), suspended(Some(100)));
        orders.suspended.insert("b".to_owned(), suspended(None));
        let checksum = Digest::of(b"plan");
        orders.approved.push(Approved { checksum: checksum.to_string(), until: 50, who: "ann".to_owned() });
        orders.write(&folder).unwrap();
        let mut read = Orders::read(&folder).unwrap();
        assert_eq!(read, orders);
        assert_eq!((read.approvals(49), read.approvals(50)), (vec![checksum], vec![]));
        assert!(!read.clone().tidy(49, &|_| false), "nothing of it is over yet");
        assert!(read.tidy(100, &|name| name == "a"));
        assert_eq!(read.suspended.len(), 2, "it stands as long as nothing is written there in fact");
        assert!(read.tidy(100, &|_| false));
        assert_eq!(read.suspended.keys().collect::<Vec<_>>(), ["b"]);
        assert!(!read.tidy(i64::MAX, &|_| false));
    }

    #[test]
    fn orders_that_cannot_be_read_are_not_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::take(state.path().join("repo")).unwrap().unwrap();
        let pin = r#"{"pinned": {"a": {"version": 1, "commit": "?", "who": "ann", "since": 1}}}"#;
        for text in [r#"{"suspended": 1}"#, pin] {
            folder.write(FILE, text.as_bytes()).unwrap();
            assert!(Orders::read(&folder).is_err(), "{text}");
        }
    }
}
