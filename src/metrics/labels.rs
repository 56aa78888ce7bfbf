//! The labels and their values: bounded sets, all of them.

use crate::model::{EndpointName, State, TargetName};

/// How a resource may stand: the values of `state` in `control_plane_resource_count`.
pub(super) const RESOURCE_STATES: [&str; 4] = ["in_sync", "pending", "failing", "unknown"];
/// The values of `cause` in `ctl_drift_total`.
pub(super) const DRIFT_CAUSES: [&str; 3] = ["changed", "missing", "unmanaged"];
/// The values of `outcome` in `ctl_writes_total`.
pub(super) const OUTCOMES: [&str; 6] = ["done", "failed", "conflict", "in_doubt", "skipped", "held"];

pub(super) type Labels<const N: usize> = [(&'static str, String); N];

pub(super) fn target_labels(target: &TargetName) -> Labels<1> {
    [("target", target.to_string())]
}

pub(super) fn place_labels(target: &TargetName, endpoint: &EndpointName) -> Labels<2> {
    [("target", target.to_string()), ("endpoint", endpoint.to_string())]
}

pub(super) fn state_labels(target: &TargetName, endpoint: &EndpointName, state: State) -> Labels<3> {
    [("target", target.to_string()), ("endpoint", endpoint.to_string()), ("state", state.as_str().to_owned())]
}

/// A server may answer with any number: what is no status is `other`.
pub(super) fn status_label(status: Option<u16>) -> String {
    match status {
        None => "none".to_owned(),
        Some(status @ 100..=599) => status.to_string(),
        Some(_) => "other".to_owned(),
    }
}
