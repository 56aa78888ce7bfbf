//! The proof that something is ours to delete.

use super::{Mark, Observed, RecordEntry};

/// What gives leave to delete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnRule<'a> {
    /// The record names it, its identity is the recorded one, and it carries our mark where the entry has one.
    Recorded {
        /// The project's mark.
        mark: &'a Mark,
        /// True if the entry was verified (always, unless the operator has a `record-key`).
        verified: bool,
    },
    /// `own: exclusive`: everything at the target is ours, as the user spelled out.
    Exclusive,
}

impl OwnRule<'_> {
    /// True if `observed` may be deleted under this rule.
    pub fn permits(&self, observed: &Observed, entry: Option<&RecordEntry>) -> bool {
        match (self, entry) {
            (Self::Exclusive, _) => true,
            (Self::Recorded { mark, verified }, Some(entry)) => {
                *verified
                    && entry.key == observed.key
                    && (entry.uid.is_none() || entry.uid == observed.uid)
                    && (!entry.marked || observed.mark.as_ref() == Some(*mark))
            }
            (Self::Recorded { .. }, None) => false,
        }
    }
}

/// An observed resource that we may delete: the record says that it is ours, and it still is what was recorded.
///
/// ```compile_fail
/// fn forge(observed: ctl::model::Observed) -> ctl::model::Owned { ctl::model::Owned(observed) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owned(Observed);

impl Owned {
    /// Accepts `observed` under `rule`; gives it back otherwise.
    pub fn claim(observed: Observed, entry: Option<&RecordEntry>, rule: OwnRule<'_>) -> Result<Self, Box<Observed>> {
        if rule.permits(&observed, entry) { Ok(Self(observed)) } else { Err(Box::new(observed)) }
    }

    /// The resource.
    pub fn observed(&self) -> &Observed {
        &self.0
    }
}
