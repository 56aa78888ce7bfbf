//! The gate of a run under election.

use super::Elections;
use crate::model::TargetName;
use crate::reconcile::Gate;
use crate::target::Fence;

/// The gate of a run under election: open only if the run's own is, and that of its tenure.
#[derive(Clone, Copy)]
pub struct Elected<'a> {
    /// The run's own: its intent still stands in the record.
    pub run: &'a dyn Gate,
    /// The elections.
    pub elections: &'a Elections,
    /// The tenure under which the run began. A later one is another run's.
    pub token: Fence,
}

impl Gate for Elected<'_> {
    fn check(&self, target: &TargetName) -> Result<(), String> {
        self.run.check(target)?;
        self.elections.gate(target, self.token)
    }
}
