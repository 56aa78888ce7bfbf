//! The fence on writes: what a credential may be used to write.

use super::file::GrantEntry;
use crate::model::{Kind, ProjectName, glob_matches};

/// A write that somebody wants to make with a credential.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// The repository's URL (without user and password) or path.
    pub repository: &'a str,
    /// The project.
    pub project: &'a ProjectName,
    /// The kind.
    pub kind: &'a Kind,
    /// Names and normalised texts of the key fields; for a delete those of the recorded key.
    pub key: &'a [(&'a str, &'a str)],
}

impl GrantEntry {
    /// True if this grant lets `writing` through. A field that the key does not have matches nothing.
    pub(super) fn permits(&self, writing: &Writing<'_>) -> bool {
        let fits = |glob: &Option<String>, text: &str| glob.as_ref().is_none_or(|glob| glob_matches(glob, text));
        fits(&self.repository, writing.repository)
            && fits(&self.project, writing.project.as_str())
            && self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|k| glob_matches(k, writing.kind.as_str())))
            && self
                .fields
                .iter()
                .all(|(field, glob)| writing.key.iter().any(|(name, text)| name == field && glob_matches(glob, text)))
    }
}
