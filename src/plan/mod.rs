//! Desired and observed in, plan out: plain data, sorted, the same bytes for the same inputs on any machine.

mod change;
mod input;

pub use change::{
    Action, After, Cascade, Cause, Change, EdgeReason, FieldDiff, OpId, Operation, Plan, Precondition, Refusal, Stage,
    Summary, UnknownScope,
};
pub use input::{EndpointInput, PlanInput, TargetInput};
