//! The lines of a record, shared between its copies until one of them changes.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::{Key, Kind, RecordEntry};

/// Kind and key.
type Which = (Kind, Key);

/// The lines of a record, by kind and key.
///
/// A run holds several versions of one record (as it was read, with the intent, with the outcome), and a watcher makes new
/// ones all day. Copies share what they have in common: a copy costs nothing until one of the two is changed, and then only
/// the lines that changed are two.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entries(Arc<BTreeMap<Which, Arc<RecordEntry>>>);

impl Entries {
    /// Puts a line in, in place of the one that was there.
    pub fn insert(&mut self, which: Which, entry: RecordEntry) -> Option<Arc<RecordEntry>> {
        Arc::make_mut(&mut self.0).insert(which, Arc::new(entry))
    }

    /// Takes a line out.
    pub fn remove(&mut self, which: &Which) -> Option<Arc<RecordEntry>> {
        // Looked for first: what is not there is no reason to copy.
        self.0.contains_key(which).then(|| Arc::make_mut(&mut self.0).remove(which))?
    }

    /// A line, to change it.
    pub fn get_mut(&mut self, which: &Which) -> Option<&mut RecordEntry> {
        if !self.0.contains_key(which) {
            return None;
        }
        Arc::make_mut(&mut self.0).get_mut(which).map(Arc::make_mut)
    }

    /// True if both are one and the same copy: then nothing differs, and nothing has to be compared.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Entries {
    type Target = BTreeMap<Which, Arc<RecordEntry>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Extend<Self> for Entries {
    fn extend<I: IntoIterator<Item = Self>>(&mut self, others: I) {
        for other in others {
            Arc::make_mut(&mut self.0).extend(Arc::unwrap_or_clone(other.0));
        }
    }
}

impl Extend<(Which, RecordEntry)> for Entries {
    fn extend<I: IntoIterator<Item = (Which, RecordEntry)>>(&mut self, lines: I) {
        Arc::make_mut(&mut self.0).extend(lines.into_iter().map(|(which, entry)| (which, Arc::new(entry))));
    }
}

impl FromIterator<(Which, RecordEntry)> for Entries {
    fn from_iter<I: IntoIterator<Item = (Which, RecordEntry)>>(lines: I) -> Self {
        Self(Arc::new(lines.into_iter().map(|(which, entry)| (which, Arc::new(entry))).collect()))
    }
}

impl<'e> IntoIterator for &'e Entries {
    type Item = (&'e Which, &'e Arc<RecordEntry>);
    type IntoIter = std::collections::btree_map::Iter<'e, Which, Arc<RecordEntry>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str) -> (Which, RecordEntry) {
        let (kind, key) = (Kind::new("box"), Key::of_texts(&[key]));
        let entry = RecordEntry::of(kind.clone(), key.clone(), crate::model::Value::object().canonical());
        ((kind, key), entry)
    }

    #[test]
    fn a_copy_is_changed_alone_and_shares_every_other_line() {
        let before: Entries = ["a", "b", "c"].map(entry).into_iter().collect();
        let mut after = before.clone();
        assert!(after.is_same(&before));
        assert_eq!(after.remove(&entry("x").0), None);
        assert!(after.get_mut(&entry("x").0).is_none() && after.is_same(&before), "nothing changed");
        after.get_mut(&entry("b").0).unwrap().protect = true;
        after.insert(entry("d").0, entry("d").1);
        assert!(after.remove(&entry("c").0).is_some() && !after.is_same(&before));
        assert!(!before[&entry("b").0].protect && before.len() == 3 && after.len() == 3);
        assert!(Arc::ptr_eq(&before[&entry("a").0], &after[&entry("a").0]));
        assert_eq!(before, ["a", "b", "c"].map(entry).into_iter().collect());
    }
}
