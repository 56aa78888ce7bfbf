//! Desired and observed in, plan out: plain data, sorted, the same bytes for the same inputs on any machine.

mod build;
mod change;
mod checksum;
mod draft;
mod edges;
mod fields;
mod guard;
mod input;
mod order;
mod refs;
mod scopes;
mod site;
mod split;

pub use build::{EVENTUAL, UNREADABLE, build};
pub use change::{
    Action, After, Cascade, Cause, Change, EdgeReason, FieldDiff, OpId, Operation, Plan, PlannedCall, Precondition,
    Refusal, Stage, Summary, UnknownScope,
};
pub use input::{EndpointInput, PlanInput, TargetInput};
pub use refs::refers_to;
pub use scopes::{missing_scopes, scope_keys};
