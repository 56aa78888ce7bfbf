//! `-l team=shop,tier!=test,stage`: which resources a run may touch.

use std::collections::BTreeMap;

use super::{Exit, Stop};
use crate::model::Diagnostic;

/// Conditions on labels; all of them must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Is(String, String),
    IsNot(String, String),
    Has(String),
    HasNot(String),
}

impl Selection {
    /// Reads what stands on the command line.
    pub(super) fn read(texts: &[String]) -> Result<Self, Stop> {
        let mut conditions = Vec::new();
        for part in texts.iter().flat_map(|t| t.split(',')).map(str::trim) {
            let condition = if let Some((name, value)) = part.split_once("!=") {
                Condition::IsNot(name.trim().to_owned(), value.trim().to_owned())
            } else if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                Condition::Is(name.trim().to_owned(), value.trim().to_owned())
            } else if let Some(name) = part.strip_prefix('!') {
                Condition::HasNot(name.trim().to_owned())
            } else {
                Condition::Has(part.to_owned())
            };
            let (Condition::Is(name, _) | Condition::IsNot(name, _) | Condition::Has(name) | Condition::HasNot(name)) =
                &condition;
            if name.is_empty() {
                let message = format!("`{part}` is not a selector");
                let help = "write label=value, label!=value, label or !label, with commas between";
                return Err(Stop::with(Exit::Usage, Diagnostic::error("bad-selector", message).help(help)));
            }
            conditions.push(condition);
        }
        Ok(Self(conditions))
    }

    /// True if there is no condition.
    pub(super) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// True if all conditions hold.
    pub(super) fn picks(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::Is(name, value) => labels.get(name) == Some(value),
            Condition::IsNot(name, value) => labels.get(name) != Some(value),
            Condition::Has(name) => labels.contains_key(name),
            Condition::HasNot(name) => !labels.contains_key(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_hold() {
        let labels: BTreeMap<String, String> =
            [("team", "shop"), ("tier", "prod")].map(|(a, b)| (a.into(), b.into())).into();
        for (text, expected) in [
            ("team=shop", true),
            ("team=shop,tier!=test", true),
            ("team==shop,tier=test", false),
            ("tier", true),
            ("!tier", false),
            ("stage!=x", true),
        ] {
            let selection = Selection::read(&[text.to_owned()]).unwrap();
            assert_eq!(selection.picks(&labels), expected, "{text}");
        }
        assert!(Selection::read(&["=x".to_owned()]).is_err());
    }
}
