//! Creates of which nobody knows yet whether they were taken, each with its idempotency key.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::model::{Digest, ResourceId};

/// Creates of which nobody knows yet whether they were taken, each with the key that it is sent with. Sent again, it bears
/// the same key; what is made later, under the same name and with the same words, bears another.
#[derive(Default)]
pub(super) struct Attempts(Mutex<BTreeMap<ResourceId, (Digest, String)>>);

impl Attempts {
    /// The key of the attempt to make `id` with this content; `now` is taken where the attempt begins.
    pub(super) fn key(&self, id: &ResourceId, content: Digest, now: jiff::Timestamp) -> String {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = open.get(id).filter(|(known, _)| *known == content) {
            return key.clone();
        }
        let seed = format!("{id} {content} {}", now.as_nanosecond());
        let key = format!("ctl-{}", Digest::of(seed.as_bytes())).replace(':', "-");
        open.insert(id.clone(), (content, key.clone()));
        key
    }

    /// It is known what became of it.
    pub(super) fn end(&self, id: &ResourceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Key, Kind};

    #[test]
    fn one_attempt_has_one_key_and_the_next_another() {
        let id = ResourceId { target: "t".parse().unwrap(), kind: Kind::new("thing"), key: Key::of_texts(&["a"]) };
        let (attempts, now) = (Attempts::default(), jiff::Timestamp::UNIX_EPOCH);
        let later = "2026-01-01T00:00:00Z".parse().unwrap();
        let (this, that) = (Digest::of(b"this"), Digest::of(b"that"));
        let first = attempts.key(&id, this, now);
        assert_eq!(attempts.key(&id, this, later), first, "sent again");
        let other = attempts.key(&id, that, later);
        assert_ne!(other, first, "another content");
        attempts.end(&id);
        assert_ne!(attempts.key(&id, that, now), other, "made anew");
    }
}
