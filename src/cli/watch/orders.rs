//! The orders as one watcher keeps them over its restarts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::model::Orders;

const FILE: &str = "orders.json";

/// What holds as far as this watcher knows, and what of it only this one knows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// What holds.
    #[serde(flatten)]
    pub orders: Orders,
    /// Targets about which something was ordered here that is not where all watchers of the project see it. None in the
    /// file of a watcher that shares nothing: then it is so for all of them.
    pub unshared: Option<BTreeSet<String>>,
}

impl Kept {
    /// Reads them. What cannot be read is an error: an order that is forgotten may let something happen that a person
    /// forbade.
    pub(super) fn read(folder: &Folder) -> std::io::Result<Self> {
        let Some(bytes) = folder.read(FILE)? else { return Ok(Self::default()) };
        let kept: Self = serde_json::from_slice(&bytes).map_err(std::io::Error::from)?;
        kept.orders.check().map_err(std::io::Error::other)?;
        Ok(kept)
    }

    /// Writes them.
    pub(super) fn write(&self, folder: &Folder) -> std::io::Result<()> {
        folder.write(FILE, &serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?)
    }

    /// The targets about which others still have to be told.
    pub(super) fn untold(&self) -> BTreeSet<String> {
        let names = self.orders.names();
        match &self.unshared {
            Some(unshared) => unshared.intersection(&names).cloned().collect(),
            None => names,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Suspended;

    #[test]
    fn orders_outlive_the_watcher_and_those_that_cannot_be_read_are_not_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::take(state.path().join("repo")).unwrap().unwrap();
        assert_eq!(Kept::read(&folder).unwrap(), Kept::default());
        let mut kept = Kept::default();
        let order = Suspended { since: 10, until: None, who: "ann".to_owned(), reason: None };
        kept.orders.suspend("a".to_owned(), order.clone());
        kept.orders.suspend("b".to_owned(), order);
        kept.unshared = Some(["b".to_owned(), "gone".to_owned()].into());
        kept.write(&folder).unwrap();
        assert_eq!(Kept::read(&folder).unwrap(), kept);
        assert_eq!(kept.untold(), ["b".to_owned()].into());
        for text in [r#"{"suspended": 1}"#, r#"{"format": "2.0"}"#] {
            folder.write(FILE, text.as_bytes()).unwrap();
            assert!(Kept::read(&folder).is_err(), "{text}");
        }
    }

    #[test]
    fn the_file_of_an_older_watcher_is_read_and_all_of_it_is_still_to_be_told() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::take(state.path().join("repo")).unwrap().unwrap();
        let older = r#"{"suspended": {"a": {"since": 1, "until": null, "who": "ann", "reason": null}},
            "pinned": {}, "approved": []}"#;
        folder.write(FILE, older.as_bytes()).unwrap();
        let kept = Kept::read(&folder).unwrap();
        assert_eq!((kept.untold(), kept.orders.suspended["a"].since), (["a".to_owned()].into(), 1));
        // And what is written now is one that the older one reads: it does not mind what stands beside.
        kept.write(&folder).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&folder.read(FILE).unwrap().unwrap()).unwrap();
        assert_eq!(written["suspended"]["a"]["who"], "ann");
        assert!(written["pinned"].is_object() && written["approved"].is_array());
    }
}
