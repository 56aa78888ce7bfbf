//! Whether an object bears our mark.

use crate::model::{KindRules, Mark, Observed};

/// True if `found` bears `mark`, or resources of its kind bear none.
pub(super) fn bears(rules: &KindRules, mark: Option<&Mark>, found: &Observed) -> bool {
    rules.owner.is_none() || mark.is_none_or(|mark| found.mark.as_ref() == Some(mark))
}
