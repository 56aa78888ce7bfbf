//! What people asked of watchers and what holds until it is taken back, as it is kept beside the records.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Digest, Revision, TargetName};

/// The format's major version; a larger one is not read.
const MAJOR: &str = "1";

/// What people asked of watchers and what holds until somebody takes it back, or its time is over: a project's, by the
/// names of its targets. Times are Unix seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Orders {
    /// `1.0`; another first number means another shape.
    pub format: String,
    /// Targets where nothing is written.
    pub suspended: BTreeMap<String, Suspended>,
    /// Targets that are held at an older commit.
    pub pinned: BTreeMap<String, Pinned>,
    /// Plans that are let through.
    pub approved: Vec<Approved>,
    /// Who took back what held, and when: so that what was asked before that does not come back.
    pub resumed: BTreeMap<String, Resumed>,
    /// What a newer program wrote beside it, kept as it is.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

/// One target where nothing is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Suspended {
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
pub struct Pinned {
    /// The version that was asked for.
    pub version: u64,
    /// Its commit.
    pub commit: String,
    /// Who.
    pub who: String,
    /// Since when.
    pub since: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One plan that is let through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Approved {
    /// Its checksum, or that of its deletes.
    pub checksum: String,
    /// Until when.
    pub until: i64,
    /// Who.
    pub who: String,
}

/// One target where nothing is asked for any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resumed {
    /// Who said so.
    pub who: String,
    /// When.
    pub since: i64,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            format: format!("{MAJOR}.0"),
            suspended: BTreeMap::new(),
            pinned: BTreeMap::new(),
            approved: Vec::new(),
            resumed: BTreeMap::new(),
            rest: BTreeMap::new(),
        }
    }
}

impl Orders {
    /// Reads them. What cannot be read is an error: an order that is forgotten may let something happen that a person
    /// forbade.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let orders: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        orders.check().map(|()| orders)
    }

    /// As [`Orders::parse`], for what was read as a part of something else.
    pub fn check(&self) -> Result<(), String> {
        if self.format.split('.').next() != Some(MAJOR) {
            return Err(format!("they are in format {}, and this ctl reads {MAJOR}.x: use a newer one", self.format));
        }
        match self.pinned.values().find(|pin| Revision::parse(&pin.commit).is_none()) {
            Some(pin) => Err(format!("`{}` is no commit", pin.commit)),
            None => Ok(()),
        }
    }

    /// The targets that there is something to say about, approvals aside.
    pub fn names(&self) -> BTreeSet<String> {
        self.suspended.keys().chain(self.pinned.keys()).cloned().collect()
    }

    /// When the last word about a target was said.
    fn said(&self, name: &str) -> Option<i64> {
        let suspended = self.suspended.get(name).map(|order| order.since);
        let pinned = self.pinned.get(name).map(|order| order.since);
        suspended.max(pinned).max(self.resumed.get(name).map(|order| order.since))
    }

    /// `now`, or a moment after the last word about the target, where another clock than ours wrote that down: whoever
    /// speaks knowing the last word speaks after it.
    fn after(&self, name: &str, now: i64) -> i64 {
        self.said(name).map_or(now, |said| now.max(said.saturating_add(1)))
    }

    /// Nothing is written there from now on.
    pub fn suspend(&mut self, name: String, order: Suspended) {
        let since = self.after(&name, order.since);
        self.suspended.insert(name, Suspended { since, ..order });
    }

    /// It is held at an older commit from now on, and that is brought about.
    pub fn pin(&mut self, name: String, order: Pinned) {
        let since = self.after(&name, order.since);
        self.suspended.remove(&name);
        self.pinned.insert(name, Pinned { since, ..order });
    }

    /// Nothing holds there any more. Who says so is remembered.
    pub fn resume(&mut self, name: String, order: Resumed) {
        let since = self.after(&name, order.since);
        self.suspended.remove(&name);
        self.pinned.remove(&name);
        self.resumed.insert(name, Resumed { since, ..order });
    }

    /// A plan is let through.
    pub fn approve(&mut self, order: Approved) {
        self.approved.retain(|old| old.checksum != order.checksum);
        self.approved.push(order);
    }

    /// Drops what is over. True if something was. `stands` says where nothing is written in fact: a wall clock that was
    /// set ahead ends no suspension.
    pub fn tidy(&mut self, now: i64, stands: &dyn Fn(&str) -> bool) -> bool {
        let before = (self.suspended.len(), self.approved.len());
        self.suspended.retain(|name, order| order.until.is_none_or(|until| now < until) || stands(name));
        self.approved.retain(|order| now < order.until);
        before != (self.suspended.len(), self.approved.len())
    }

    /// The checksums that are let through now.
    pub fn approvals(&self, now: i64) -> Vec<Digest> {
        let standing = self.approved.iter().filter(|order| now < order.until);
        standing.filter_map(|order| Digest::parse(&order.checksum)).collect()
    }

    /// The commit that a target is held at.
    pub fn pinned_at(&self, target: &TargetName) -> Option<Revision> {
        Revision::parse(&self.pinned.get(target.as_str())?.commit)
    }

    /// The targets for which the two say something different.
    pub fn differing(&self, other: &Self) -> BTreeSet<String> {
        let all = self.names().into_iter().chain(other.names());
        let differs = |name: &String| {
            self.suspended.get(name) != other.suspended.get(name) || self.pinned.get(name) != other.pinned.get(name)
        };
        all.filter(differs).collect()
    }

    /// Takes over what `own` says about these targets, where nobody said anything about them later. Gives those where
    /// somebody did: their word stands.
    ///
    /// Only words that were said without knowledge of each other are compared by their clocks; see [`Orders::suspend`].
    pub fn take_over(&mut self, own: &Self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut overtaken = BTreeSet::new();
        for name in names {
            let Some(said) = own.said(name) else { continue };
            if self.said(name).is_some_and(|theirs| theirs > said) {
                overtaken.insert(name.clone());
                continue;
            }
            if let Some(order) = own.suspended.get(name) {
                self.suspended.insert(name.clone(), order.clone());
            }
            let newer = |pin: &&Pinned| self.pinned.get(name).is_none_or(|theirs| theirs.since <= pin.since);
            if let Some(order) = own.pinned.get(name).filter(newer) {
                self.pinned.insert(name.clone(), order.clone());
            }
        }
        overtaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspended(since: i64, until: Option<i64>) -> Suspended {
        Suspended { since, until, who: "ann".to_owned(), reason: None }
    }

    fn pinned(since: i64, commit: char) -> Pinned {
        Pinned { version: 1, commit: commit.to_string().repeat(40), who: "ann".to_owned(), since, reason: None }
    }

    fn resumed(since: i64) -> Resumed {
        Resumed { who: "bob".to_owned(), since }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn orders_end_when_they_should() {
        let mut orders = Orders::default();
        orders.suspend("a".to_owned(), suspended(10, Some(100)));
        orders.suspend("b".to_owned(), suspended(10, None));
        let checksum = Digest::of(b"plan");
        orders.approve(Approved { checksum: checksum.to_string(), until: 50, who: "ann".to_owned() });
        assert_eq!((orders.approvals(49), orders.approvals(50)), (vec![checksum], vec![]));
        assert!(!orders.clone().tidy(49, &|_| false), "nothing of it is over yet");
        assert!(orders.tidy(100, &|name| name == "a"));
        assert_eq!(orders.suspended.len(), 2, "it stands as long as nothing is written there in fact");
        assert!(orders.tidy(100, &|_| false));
        assert_eq!(orders.suspended.keys().collect::<Vec<_>>(), ["b"]);
        assert!(!orders.tidy(i64::MAX, &|_| false));
    }

    #[test]
    fn orders_that_cannot_be_read_are_an_error_and_what_is_newer_is_kept() {
        let pin = r#"{"pinned": {"a": {"version": 1, "commit": "?", "who": "ann", "since": 1}}}"#;
        for text in [r#"{"suspended": 1}"#, pin, r#"{"format": "2.0"}"#, "", "[]"] {
            assert!(Orders::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(Orders::parse(b"{}").unwrap(), Orders::default(), "an older program wrote no format");
        let newer = br#"{"format": "1.7", "frozen": {"a": 1}}"#;
        let written = serde_json::to_vec(&Orders::parse(newer).unwrap()).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!((&read["format"], &read["frozen"]["a"]), (&"1.7".into(), &1.into()));
    }

    #[test]
    fn whoever_knows_the_last_word_speaks_after_it_whatever_the_clocks_say() {
        let mut orders = Orders::default();
        orders.resume("a".to_owned(), resumed(1_000));
        // This clock is behind the one that wrote the word before.
        orders.suspend("a".to_owned(), suspended(400, None));
        let mut all = Orders::default();
        all.resume("a".to_owned(), resumed(1_000));
        assert_eq!(all.take_over(&orders, &names(&["a"])), names(&[]));
        assert!(all.suspended.contains_key("a"));
    }

    #[test]
    fn what_was_asked_apart_is_taken_over_unless_somebody_spoke_later() {
        let mut all = Orders::default();
        all.pin("a".to_owned(), pinned(5, 'a'));
        all.resume("b".to_owned(), resumed(30));
        let mut own = Orders::default();
        for name in ["a", "b", "c", "d"] {
            own.suspend(name.to_owned(), suspended(20, None));
        }
        assert_eq!(all.take_over(&own, &names(&["a", "b", "c"])), names(&["b"]));
        assert_eq!(all.suspended.keys().collect::<Vec<_>>(), ["a", "c"], "d is not asked about");
        assert!(all.pinned.contains_key("a"), "suspended and held: both hold");
        // Once more changes nothing: an answer that was lost is no second order.
        let before = all.clone();
        all.take_over(&own, &names(&["a", "b", "c"]));
        assert_eq!(all, before);
        own.pin("a".to_owned(), pinned(3, 'b'));
        own.pinned.insert("a".to_owned(), pinned(3, 'b'));
        all.take_over(&own, &names(&["a"]));
        assert_eq!(all.pinned["a"].commit, "a".repeat(40), "the later of two commits");
    }

    #[test]
    fn a_rollback_ends_a_suspension_and_resume_ends_both() {
        let (mut orders, none) = (Orders::default(), Orders::default());
        orders.suspend("a".to_owned(), suspended(1, None));
        orders.pin("a".to_owned(), pinned(2, 'a'));
        assert_eq!((orders.suspended.len(), orders.differing(&none)), (0, names(&["a"])));
        assert_eq!(orders.pinned_at(&"a".parse().unwrap()), Revision::parse(&"a".repeat(40)));
        orders.resume("a".to_owned(), resumed(3));
        assert_eq!((orders.names(), orders.differing(&none)), (names(&[]), names(&[])));
        assert_eq!(orders.resumed["a"].who, "bob");
    }
}
