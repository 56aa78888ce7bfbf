//! One list of a target: where it is asked for, what it showed, and what has changed since.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Complete, EndpointName, Key, Kind, Observed};

/// Where one list is asked for: an endpoint, a kind, and the parent it lives in, if any.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scope {
    /// At which endpoint.
    pub endpoint: EndpointName,
    /// Which kind.
    pub kind: Kind,
    /// Inside which object.
    pub parent: Option<Key>,
}

/// What a target answered when it was asked for a scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Observation {
    /// Nothing moved since the cursor.
    Unchanged,
    /// The API does not know this kind here (or the parent is gone): nothing is there.
    NoSuchKind,
    /// Something moved since the cursor, and this is all of it.
    Changed(Complete<Changes>),
    /// Everything that is there.
    Listed(Complete<Listing>),
}

/// All items of one scope.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// The items, sorted by key, without those that the description ignores.
    pub items: Vec<Observed>,
    /// Items that are there and never touched (`ignore`), so that references to them hold.
    pub ignored: Vec<Observed>,
    /// For the next conditional request.
    pub cursor: Option<Cursor>,
    /// Pages that were read.
    pub pages: usize,
}

/// What moved in one scope since a cursor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// What came or changed, as in [`Listing::items`].
    pub items: Vec<Observed>,
    /// The same of what is never touched.
    pub ignored: Vec<Observed>,
    /// What is not there any more.
    pub gone: Vec<Key>,
    /// For the next question.
    pub cursor: Option<Cursor>,
    /// How many items there are now, if the other side said.
    pub total: Option<usize>,
}

impl Listing {
    /// This list, brought up to date. None if it has another number of items then than there are: one of the two is
    /// wrong, and only the whole list can tell.
    pub fn after(mut self, changes: Changes) -> Option<Self> {
        let Changes { items, ignored, gone, cursor, total } = changes;
        let moved: BTreeSet<&Key> = items.iter().chain(&ignored).map(|item| &item.key).chain(&gone).collect();
        for known in [&mut self.items, &mut self.ignored] {
            known.retain(|item| !moved.contains(&item.key));
        }
        for (known, new) in [(&mut self.items, items), (&mut self.ignored, ignored)] {
            known.extend(new);
            known.sort_by(|a, b| a.key.cmp(&b.key));
        }
        self.cursor = cursor;
        let once = |items: &[Observed]| items.windows(2).all(|pair| pair[0].key != pair[1].key);
        let counts = total.is_none_or(|total| total == self.items.len() + self.ignored.len());
        (counts && once(&self.items) && once(&self.ignored)).then_some(self)
    }
}

/// Where a conditional request goes on from: the server's business.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor(pub String);

/// What is known of one scope when a plan is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScopeState {
    /// Read to its end. Shared, because a list that did not change is carried on from one look to the next.
    Known(Arc<Complete<Listing>>),
    /// Not read: nothing here is created, updated or deleted in this run.
    Unknown {
        /// Why, for people.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, body: &'static str) -> Observed {
        let key = Key::of_texts(&[key]);
        Observed { key, body: body.into(), token: None, uid: None, mark: None }
    }

    fn list(items: &[(&str, &'static str)]) -> Listing {
        let items = items.iter().map(|(key, body)| item(key, body)).collect();
        Listing { items, cursor: Some(Cursor("2".to_owned())), pages: 3, ..Listing::default() }
    }

    #[test]
    fn a_list_is_brought_up_to_date_only_where_the_count_agrees() {
        let before = Listing { cursor: Some(Cursor("1".to_owned())), ..list(&[("a", "1"), ("b", "1"), ("d", "1")]) };
        let changes = |total| Changes {
            items: vec![item("d", "2"), item("c", "1")],
            gone: vec![Key::of_texts(&["a"]), Key::of_texts(&["x"])],
            cursor: Some(Cursor("2".to_owned())),
            total,
            ..Changes::default()
        };
        let after = Some(list(&[("b", "1"), ("c", "1"), ("d", "2")]));
        assert_eq!(before.clone().after(changes(Some(3))), after);
        assert_eq!(before.clone().after(changes(None)), after);
        assert_eq!(before.clone().after(changes(Some(4))), None, "one came or went that nobody told us of");
        let twice = Changes { items: vec![item("c", "1"), item("c", "2")], ..Changes::default() };
        assert_eq!(before.after(twice), None);
    }
}
