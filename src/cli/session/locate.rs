//! Where in the manifests the operations of a plan are declared.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::Session;
use crate::manifest;
use crate::model::{Desired, FieldPath};
use crate::plan::{OpId, Plan};

/// Path and blob.
pub(super) type File = (String, String);

impl Session {
    /// Fills in where the wanted values of the first `limit` operations are written.
    pub(in crate::cli) fn locate(&self, plan: &mut Plan, limit: usize) {
        let first: BTreeSet<OpId> = plan.operations.iter().take(limit).map(|op| op.id).collect();
        self.locate_those(plan, &first);
    }

    /// The same for these operations.
    pub(in crate::cli) fn locate_those(&self, plan: &mut Plan, which: &BTreeSet<OpId>) {
        for op in plan.operations.iter_mut().filter(|op| which.contains(&op.id)) {
            let Some(desired) = op.change.desired().cloned() else { continue };
            for field in &mut op.fields {
                field.source = self.span(&desired, &field.path).map(Box::new);
            }
        }
    }

    fn span(&self, desired: &Desired, path: &FieldPath) -> Option<crate::model::Span> {
        let origin = &desired.origin;
        let key = (origin.path.to_string(), origin.blob.to_string());
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let documents = places.entry(key).or_insert_with(|| {
            let Some(source) = self.loaded.text(&origin.path, &origin.blob) else { return Vec::new() };
            let (documents, _) = manifest::read_documents(&source);
            documents.into_iter().map(|d| (d.index, d.places.values)).collect()
        });
        let spans = &documents.iter().find(|(index, _)| *index == origin.document)?.1;
        let in_spec: FieldPath = std::iter::once("spec".to_owned()).chain(path.segments().iter().cloned()).collect();
        // A key field that `spec` leaves out is what `metadata.name` says.
        let by_name = || {
            let rules = self.loaded.apis.get(&desired.id.target)?.description.table().get(&desired.id.kind)?;
            let is_key =
                path.segments().first().is_some_and(|first| rules.key.last().is_some_and(|k| &k.name == first));
            is_key.then(|| spans.get(&FieldPath::parse("/metadata/name"))).flatten()
        };
        spans.get(&in_spec).or_else(by_name).or_else(|| spans.nearest(&in_spec)).cloned()
    }
}
