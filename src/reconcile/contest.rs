//! Two who correct each other for ever: noticed, and ended by the wiser.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::Digest;

/// So many corrections of one field …
const TIMES: usize = 3;
/// … within this time, and it is left alone.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// Whom a rival changes back, field by field.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contests {
    /// By resource.
    resources: BTreeMap<String, Contest>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Contest {
    /// What we want it to be: another manifest is another matter.
    wanted: Option<Digest>,
    /// When each field was corrected.
    corrected: BTreeMap<String, Vec<Duration>>,
    /// The fields that are left alone.
    left: BTreeSet<String>,
}

impl Contests {
    /// A field that nobody changed in the manifest was set back to what it says. `true` if that was once too often: the
    /// field is left alone from now on.
    pub fn corrected(&mut self, address: &str, wanted: Option<Digest>, field: &str, now: Duration) -> bool {
        let fresh = || Contest { wanted, corrected: BTreeMap::new(), left: BTreeSet::new() };
        let contest = self.resources.entry(address.to_owned()).or_insert_with(fresh);
        if contest.wanted != wanted {
            *contest = fresh();
        }
        let times = contest.corrected.entry(field.to_owned()).or_default();
        times.retain(|time| now.saturating_sub(*time) <= WINDOW);
        times.push(now);
        times.len() >= TIMES && contest.left.insert(field.to_owned())
    }

    /// The field of an operation that is left alone, if there is one.
    pub fn left<'f>(
        &self,
        address: &str,
        wanted: Option<Digest>,
        mut fields: impl Iterator<Item = &'f str>,
    ) -> Option<&'f str> {
        let contest = self.resources.get(address).filter(|contest| contest.wanted == wanted)?;
        fields.find(|field| contest.left.contains(*field))
    }

    /// Forgets what nobody touched for the whole window and is not left alone; keeps memory bounded.
    pub fn tidy(&mut self, now: Duration) {
        self.resources.retain(|_, contest| {
            contest.corrected.retain(|field, times| {
                contest.left.contains(field) || times.iter().any(|time| now.saturating_sub(*time) <= WINDOW)
            });
            !contest.corrected.is_empty()
        });
    }

    /// Starts afresh.
    pub fn clear(&mut self) {
        self.resources.clear();
    }

    /// How many fields are left alone.
    pub fn len(&self) -> usize {
        self.resources.values().map(|contest| contest.left.len()).sum()
    }

    /// True if nothing is left alone.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn the_third_correction_within_ten_minutes_is_the_last() {
        let mut contests = Contests::default();
        assert!(!contests.corrected("a:b/c", None, "/x", at(0)));
        assert!(!contests.corrected("a:b/c", None, "/x", at(4)));
        assert_eq!(contests.left("a:b/c", None, ["/x"].into_iter()), None);
        assert!(contests.corrected("a:b/c", None, "/x", at(9)));
        assert_eq!(contests.left("a:b/c", None, ["/y", "/x"].into_iter()), Some("/x"));
        assert_eq!(contests.left("a:b/c", None, ["/y"].into_iter()), None, "other fields go on");
        assert_eq!(contests.left("a:b/d", None, ["/x"].into_iter()), None, "other resources go on");
    }

    #[test]
    fn rare_corrections_go_on_for_ever() {
        let mut contests = Contests::default();
        for hour in 0..100 {
            assert!(!contests.corrected("a:b/c", None, "/x", at(60 * hour)));
            contests.tidy(at(60 * hour + 30));
            assert!(contests.resources.is_empty(), "and nothing is kept of them");
        }
    }

    #[test]
    fn another_manifest_is_another_matter() {
        let mut contests = Contests::default();
        let (old, new) = (Some(Digest::of(b"old")), Some(Digest::of(b"new")));
        for minute in 0..3 {
            contests.corrected("a:b/c", old, "/x", at(minute));
        }
        assert_eq!(contests.left("a:b/c", old, ["/x"].into_iter()), Some("/x"));
        assert_eq!(contests.left("a:b/c", new, ["/x"].into_iter()), None);
        assert!(!contests.corrected("a:b/c", new, "/x", at(3)));
    }
}
