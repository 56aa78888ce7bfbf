//! What an API wants once after writes, kind by kind.

use std::collections::BTreeSet;

use super::{ApiDescription, ApiOperation};
use crate::model::{AfterCall, Kind};

/// What an API wants once after writes of a kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AfterRule {
    /// What holds for all kinds.
    #[default]
    AsAll,
    /// Nothing.
    Nothing,
    /// A call of its own, in place of that.
    Call(Box<ApiOperation>),
}

impl ApiDescription {
    /// What the API wants once after writes of this kind: what the kind says, else what holds for all.
    pub fn after_apply(&self, kind: &Kind) -> Option<&ApiOperation> {
        match self.types.get(kind).map_or(&AfterRule::AsAll, |ty| &ty.after_apply) {
            AfterRule::AsAll => self.after_apply.as_ref(),
            AfterRule::Nothing => None,
            AfterRule::Call(operation) => Some(operation),
        }
    }

    /// What it wants after writes of these kinds: each call once, whatever kinds it is for.
    pub fn calls_after(&self, written: &BTreeSet<Kind>) -> Vec<AfterCall> {
        let mut found: Vec<(&ApiOperation, AfterCall)> = Vec::new();
        for kind in written {
            let Some(operation) = self.after_apply(kind) else { continue };
            match found.iter_mut().find(|(known, _)| *known == operation) {
                Some((_, call)) => drop(call.kinds.insert(kind.clone())),
                None => {
                    let call = format!("{} {}", operation.method.as_str(), operation.path);
                    found.push((operation, AfterCall { call, kinds: BTreeSet::from([kind.clone()]) }));
                }
            }
        }
        found.into_iter().map(|(_, call)| call).collect()
    }
}
