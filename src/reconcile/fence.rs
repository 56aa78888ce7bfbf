//! The fencing token of a record only rises.

use crate::model::Record;
use crate::store::StoreError;

/// Makes `after` fit to follow `before`: it carries the token of whoever writes it, or the highest one so far where
/// nobody was elected. What carries a lower token than what stands there is refused, because its writer leads no more.
///
/// The swap that comes after this must expect the tip at which `before` was read.
pub fn follow(before: &Record, after: &mut Record, token: Option<u64>) -> Result<(), StoreError> {
    let highest = before.highest_token();
    if let (Some(ours), Some(theirs)) = (token, highest)
        && ours < theirs
    {
        return Err(StoreError::Fenced { ours, theirs });
    }
    after.fence = highest.max(token);
    Ok(())
}
