//! The proof that something was read to its end; deletes are computed from nothing else.

use std::ops::Deref;

/// A value that was read to its end, and whose reading was checked.
///
/// A delete can be computed from nothing else. There is one constructor, and it wants the tally of the read:
///
/// ```compile_fail
/// use ctl::model::Complete;
/// let forged = Complete { value: vec![1] };   // the field is private
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complete<T> {
    value: T,
}

/// What a reader counted on the way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Pages (or files) that were read whole.
    pub parts: usize,
    /// Items found in them.
    pub items: usize,
    /// How many items the other side said there are, if it said.
    pub announced: Option<usize>,
    /// True once the other side said that nothing follows.
    pub ended: bool,
}

/// Why a read cannot be called complete.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Incomplete {
    /// Nothing said that the read was at its end.
    #[error("the read stopped after {parts} parts, before its end")]
    CutShort {
        /// Parts read until then.
        parts: usize,
    },
    /// The other side announced another number of items.
    #[error("{announced} items were announced and {found} delivered")]
    Miscounted {
        /// What was announced.
        announced: usize,
        /// What came.
        found: usize,
    },
}

impl<T> Complete<T> {
    /// Accepts `value` if the tally shows a read that came to its end and counts up.
    pub fn finish(value: T, tally: &Tally) -> Result<Self, Incomplete> {
        if !tally.ended {
            return Err(Incomplete::CutShort { parts: tally.parts });
        }
        match tally.announced {
            Some(announced) if announced != tally.items => {
                Err(Incomplete::Miscounted { announced, found: tally.items })
            }
            _ => Ok(Self { value }),
        }
    }

    /// The same proof for the value in its place.
    pub fn as_ref(&self) -> Complete<&T> {
        Complete { value: &self.value }
    }

    /// The same proof for something computed from the whole value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Complete<U> {
        Complete { value: f(self.value) }
    }

    /// The same, where the computation may fail.
    pub fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Complete<U>, E> {
        f(self.value).map(|value| Complete { value })
    }

    /// Gives the proof up.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Complete<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_did_not_end_is_never_complete() {
        let tally = Tally { parts: 1, items: 2, announced: None, ended: false };
        assert_eq!(Complete::finish((), &tally), Err(Incomplete::CutShort { parts: 1 }));
    }

    #[test]
    fn a_read_that_delivers_less_than_announced_is_never_complete() {
        let tally = Tally { parts: 1, items: 80, announced: Some(100), ended: true };
        assert_eq!(Complete::finish((), &tally), Err(Incomplete::Miscounted { announced: 100, found: 80 }));
    }
}
