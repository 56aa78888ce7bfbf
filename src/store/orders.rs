//! Where the orders of all watchers are kept, and the bytes that they are kept as.

use super::{StoreError, Tip};
use crate::model::{Orders, ProjectName};

/// Where the orders that hold are kept for all watchers of a project: beside its records, where whoever may write them
/// may write these, and apart from them, so that an order neither waits for a run nor follows anybody's token.
///
/// Every method blocks, as those of [`super::Store`] do.
pub trait OrderBook: Send + Sync {
    /// Asks the place that all see what holds, and where it stands; no tip means that nobody ordered anything yet. What
    /// is there and cannot be read is an error, never no orders.
    fn orders(&self, project: &ProjectName) -> Result<(Option<Tip>, Orders), StoreError>;

    /// Replaces them if they still stand at `expected`. Durable, where all see it, when it returns.
    fn set_orders(
        &self,
        project: &ProjectName,
        expected: Option<&Tip>,
        orders: &Orders,
        message: &str,
    ) -> Result<Tip, StoreError>;
}

/// The name of the orders' file.
pub(super) const FILE: &str = "orders.json";

/// Reads what a place holds.
pub(super) fn decode(place: &str, bytes: &[u8]) -> Result<Orders, StoreError> {
    Orders::parse(bytes).map_err(|why| damaged(place, &why))
}

/// What is to be kept there.
pub(super) fn encode(place: &str, orders: &Orders) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(orders).map_err(|e| damaged(place, &e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

pub(super) fn damaged(place: &str, why: &str) -> StoreError {
    StoreError::Damaged {
        why: format!("the orders of its watchers in {place}: {why}"),
        help: format!(
            "until they can be read nobody knows what is suspended, so watchers write nothing: mend {place}, or delete \
             it and give the orders again"
        ),
    }
}
