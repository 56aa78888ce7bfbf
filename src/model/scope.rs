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
