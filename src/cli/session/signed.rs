//! A session's side of signing: whose key it is, which lines it vouches for, and which secrets have another value now.

use std::collections::BTreeSet;

use super::Session;
use crate::cli::signing::{Signer, age};
use crate::cli::{Exit, Stop};
use crate::credentials::REFUSALS;
use crate::model::{EndpointName, EndpointRecord, Key, Kind, Record, RecordEntry, TargetName};

impl Session {
    /// None where the operator has no `record-key`; an error where there is one and it cannot be read.
    pub(in crate::cli) fn signer<'a>(&'a self, target: &'a TargetName) -> Result<Option<Signer<'a>>, Stop> {
        match &self.record_key {
            Ok(key) => Ok(key.as_ref().map(|key| Signer::new(key, &self.project().name, target))),
            Err(diagnostic) => {
                let exit = if REFUSALS.contains(&diagnostic.code) { Exit::Refused } else { Exit::Denied };
                Err(Stop::with(exit, diagnostic.clone()))
            }
        }
    }

    /// The record of an endpoint as the difference sees it: where the value of a secret is another one than was sent, the
    /// line speaks of an older version of it, so that the field differs. `None` where nothing is so.
    pub(in crate::cli) fn with_changed_secrets(
        &self,
        target: &TargetName,
        endpoint: &EndpointName,
        record: &EndpointRecord,
    ) -> Option<EndpointRecord> {
        let signer = self.signer(target).ok().flatten()?;
        let mut seen = None;
        for (which, entry) in record.entries.iter().filter(|(_, entry)| !entry.secret_hashes.is_empty()) {
            let changed = tokio::task::block_in_place(|| signer.changed_secrets(&*self.operator, endpoint, entry));
            if changed.is_empty() {
                continue;
            }
            let mut sent = entry.sent.value();
            age(&mut sent, &changed);
            let copy: &mut EndpointRecord = seen.get_or_insert_with(|| record.clone());
            let sent = sent.canonical();
            copy.entries.insert(which.clone(), RecordEntry { digest: sent.digest(), sent, ..(**entry).clone() });
        }
        seen
    }

    /// The lines that permit no delete: with a `record-key`, those that it did not sign (all, if it cannot be read).
    pub(in crate::cli) fn unverified(
        &self,
        target: &TargetName,
        endpoint: &EndpointName,
        record: &EndpointRecord,
    ) -> BTreeSet<(Kind, Key)> {
        let signer = match self.signer(target) {
            Ok(None) => return BTreeSet::new(),
            Ok(Some(signer)) => Some(signer),
            Err(_) => None,
        };
        let good = |entry: &RecordEntry| signer.as_ref().is_some_and(|signer| signer.vouches(endpoint, entry));
        record.entries.iter().filter(|(_, entry)| !good(entry)).map(|(which, _)| which.clone()).collect()
    }

    /// Signs what this run wrote, if the operator has a `record-key`.
    pub(in crate::cli) fn sign(&self, target: &TargetName, before: &Record, after: &mut Record) -> Result<(), Stop> {
        if let Some(signer) = self.signer(target)? {
            signer.sign(before, after, &|_, _, written| written);
        }
        Ok(())
    }
}
