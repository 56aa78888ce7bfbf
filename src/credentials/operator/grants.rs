//! What a credential may write, and where a record may be kept.

use std::path::{Component, Path};

use super::Operator;
use crate::credentials::Writing;
use crate::credentials::credential::ApiOrigin;
use crate::model::{Diagnostic, TargetName, glob_matches};

impl Operator {
    /// True if a description may receive secrets: it is shipped, or the credential pins it.
    pub fn trusts(&self, credential: Option<&str>, api: &ApiOrigin) -> bool {
        api.shipped || credential.and_then(|name| self.credentials.get(name)).is_some_and(|held| held.trusts(api))
    }

    /// Says whether a write is inside the credential's grants. Without grants there is no fence.
    pub fn grants_write(&self, credential: Option<&str>, writing: &Writing<'_>) -> Result<(), Diagnostic> {
        let Some(name) = credential else { return Ok(()) };
        let Some(grants) = &self.credential(name)?.grant else { return Ok(()) };
        if grants.iter().any(|grant| grant.permits(writing)) {
            return Ok(());
        }
        let key: Vec<String> = writing.key.iter().map(|(field, text)| format!("{field}={text}")).collect();
        Err(Diagnostic::error(
            "grant-refused",
            format!(
                "the credential {name} grants project {} of {} no write of {} {}",
                writing.project,
                writing.repository,
                writing.kind,
                key.join(", ")
            ),
        )
        .help(format!("if it should, the operator widens its `grant` in {}", self.place)))
    }

    /// Refuses `own: exclusive` together with grants: it would delete what the grants fence off.
    pub fn grants_exclusive(&self, credential: Option<&str>, target: &TargetName) -> Result<(), Diagnostic> {
        let Some(name) = credential else { return Ok(()) };
        if self.credential(name)?.grant.is_none() {
            return Ok(());
        }
        Err(Diagnostic::error(
            "grant-exclusive",
            format!("{target} is `own: exclusive`, and the credential {name} grants only a part of it"),
        )
        .help("own what is recorded, or use a credential without `grant`"))
    }

    /// Says whether the record may be pushed to this URL.
    pub fn allows_record_push(&self, url: &str) -> Result<(), Diagnostic> {
        if self.push.iter().any(|glob| glob_matches(glob, url)) {
            return Ok(());
        }
        Err(Diagnostic::error("record-place-refused", "the record may not be pushed to the URL that the project names")
            .help(format!("name a configured remote, or the operator adds the URL to `record.push` in {}", self.place)))
    }

    /// Says whether the record may be kept in this folder, or below it.
    pub fn allows_record_file(&self, path: &Path) -> Result<(), Diagnostic> {
        let plain =
            path.is_absolute() && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        let text = path.to_string_lossy();
        if plain && self.file.iter().any(|allowed| path.starts_with(allowed) || glob_matches(allowed, &text)) {
            return Ok(());
        }
        Err(Diagnostic::error("record-place-refused", format!("the record may not be kept in {text}"))
            .help(format!("the operator adds its absolute path to `record.file` in {}", self.place)))
    }
}
