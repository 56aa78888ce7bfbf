//! Which secret may go to which target and kind.

use super::Operator;
use crate::credentials::SecretSource;
use crate::credentials::file::SecretEntry;
use crate::model::{Diagnostic, Kind, Secret, SecretRef, TargetName, glob_matches};

/// Gives no secret away: for targets whose description is neither shipped nor pinned.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl Operator {
    /// Says whether a secret may go to this target and kind, without reading its value.
    pub fn may_resolve(&self, name: &SecretRef, target: &TargetName, kind: &Kind) -> Result<(), Box<Diagnostic>> {
        self.entry_for(name, target, kind).map(drop)
    }

    fn entry_for(&self, name: &SecretRef, target: &TargetName, kind: &Kind) -> Result<&SecretEntry, Box<Diagnostic>> {
        let Some(entry) = self.secrets.get(&name.name) else {
            return Err(Box::new(
                Diagnostic::error("secret-refused", format!("the operator holds no secret `{}`", name.name)).help(
                    format!(
                        "the operator adds `secrets: {{{}: {{env: VARIABLE}}}}` (or `{{file: PATH}}`) to {}",
                        name.name, self.place
                    ),
                ),
            ));
        };
        let fits = |globs: &Option<Vec<String>>, text: &str| {
            globs.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob_matches(glob, text)))
        };
        if !fits(&entry.targets, target.as_str()) || !fits(&entry.kinds, kind.as_str()) {
            return Err(Box::new(
                Diagnostic::error("secret-refused", format!("the secret {} is not for {target}:{kind}", name.name))
                    .help(format!("if it is, the operator widens its `targets` or `kinds` in {}", self.place)),
            ));
        }
        Ok(entry)
    }
}

impl SecretSource for Operator {
    fn resolve(&self, name: &SecretRef, target: &TargetName, kind: &Kind) -> Result<Secret, Box<Diagnostic>> {
        let entry = self.entry_for(name, target, kind)?;
        self.value(&name.name, &entry.source, "secret-unreadable", "secret").map_err(Box::new)
    }
}

impl SecretSource for NoSecrets {
    fn resolve(&self, name: &SecretRef, target: &TargetName, _: &Kind) -> Result<Secret, Box<Diagnostic>> {
        Err(Box::new(
            Diagnostic::error(
                "secret-refused",
                format!("the secret {} does not go to {target}: its API description is not trusted", name.name),
            )
            .help("secrets go only where a shipped description, or one pinned in the operator's file, calls a field secret"),
        ))
    }
}
