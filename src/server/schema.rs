//! What kinds the server has, and which rules their fields obey.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Diagnostic;

/// Paths under `/v1/` that are no kinds.
const RESERVED: [&str; 1] = ["configurations"];
const BUILT_IN: &str = include_str!("kinds.yaml");

/// All kinds.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// By name.
    pub kinds: BTreeMap<String, KindSchema>,
}

/// One kind.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindSchema {
    /// What `spec` may hold; anything else is refused.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldSchema>,
    /// Sets of fields that no two objects may share. Counts where all of them are present.
    #[serde(default)]
    pub unique: Vec<Vec<String>>,
    /// Says that others live inside it; for readers of the schema, the references do the work.
    #[serde(default)]
    pub container: bool,
}

/// One field of `spec`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSchema {
    /// What it holds.
    #[serde(rename = "type")]
    pub holds: FieldType,
    /// May not be left out.
    #[serde(default)]
    pub required: bool,
    /// Stays as it was created.
    #[serde(default)]
    pub immutable: bool,
    /// Names another object, which must exist.
    #[serde(default)]
    pub refers: Option<Reference>,
}

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Text.
    String,
    /// A whole number of any size.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list of anything.
    List,
    /// A mapping of anything.
    Map,
}

/// A field that names an object of another kind.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Of which kind.
    pub kind: String,
    /// What happens to the referrer when that object goes.
    #[serde(rename = "on-delete", default)]
    pub on_delete: RefDelete,
}

/// What happens when the object that a reference names is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefDelete {
    /// The delete is refused.
    #[default]
    Restrict,
    /// The referrer goes too.
    Cascade,
}

impl Schema {
    /// The kinds `service`, `route` and `policy`.
    pub fn built_in() -> Self {
        Self::read(BUILT_IN, "kinds.yaml")
            .unwrap_or_else(|e| unreachable!("the built-in kinds are good: {}", e.message))
    }

    /// The built-in kinds and those of `text`, which came from `file`.
    pub fn with(text: &str, file: &str) -> Result<Self, Diagnostic> {
        let mut all: Self = serde_yaml::from_str(BUILT_IN).map_err(|e| bad(file, e.to_string()))?;
        let more: Self = serde_yaml::from_str(text).map_err(|e| bad(file, e.to_string()))?;
        for (name, kind) in more.kinds {
            if all.kinds.contains_key(&name) {
                return Err(bad(file, format!("the kind `{name}` is built in")));
            }
            all.kinds.insert(name, kind);
        }
        all.checked(file)
    }

    fn read(text: &str, file: &str) -> Result<Self, Diagnostic> {
        let schema: Self = serde_yaml::from_str(text).map_err(|e| bad(file, e.to_string()))?;
        schema.checked(file)
    }

    fn checked(self, file: &str) -> Result<Self, Diagnostic> {
        for (name, kind) in &self.kinds {
            let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if name.is_empty() || name.len() > 63 || !name.bytes().all(good) {
                return Err(bad(file, format!("`{name}` is no name for a kind: 1 to 63 of a-z, 0-9 and `-`")));
            }
            if RESERVED.contains(&name.as_str()) {
                return Err(bad(file, format!("no kind may be called `{name}`: the path is taken")));
            }
            if let Some(field) = kind.unique.iter().flatten().find(|f| !kind.fields.contains_key(*f)) {
                return Err(bad(file, format!("`unique` of `{name}` names the unknown field `{field}`")));
            }
            if kind.unique.iter().any(Vec::is_empty) {
                return Err(bad(file, format!("`unique` of `{name}` holds an empty list of fields")));
            }
            for (field, rule) in &kind.fields {
                let Some(refers) = &rule.refers else { continue };
                if !self.kinds.contains_key(&refers.kind) {
                    return Err(bad(file, format!("`{name}.{field}` refers to the unknown kind `{}`", refers.kind)));
                }
                if rule.holds != FieldType::String {
                    return Err(bad(file, format!("`{name}.{field}` is a reference, so its type must be string")));
                }
            }
        }
        Ok(self)
    }
}

fn bad(file: &str, message: String) -> Diagnostic {
    Diagnostic::error("bad-kinds", format!("{file}: {message}")).help(
        "write `kinds: {NAME: {fields: {FIELD: {type: string|integer|boolean|list|map, required, immutable, refers: \
         {kind, on-delete: restrict|cascade}}}, unique: [[FIELD]], container: true}}`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_kinds_are_good_and_more_may_join() {
        assert_eq!(Schema::built_in().kinds.keys().collect::<Vec<_>>(), ["policy", "route", "service"]);
        let text = "kinds: {pool: {fields: {service: {type: string, refers: {kind: service}}}}}";
        let schema = Schema::with(text, "k.yaml").unwrap();
        let refers = schema.kinds["pool"].fields["service"].refers.as_ref().unwrap();
        assert_eq!(refers.on_delete, RefDelete::Restrict);
    }

    #[test]
    fn a_bad_kinds_file_says_what_is_wrong() {
        for (text, expected) in [
            ("kinds: {configurations: {}}", "the path is taken"),
            ("kinds: {route: {}}", "is built in"),
            ("kinds: {A: {}}", "no name for a kind"),
            ("kinds: {a: {unique: [[x]]}}", "unknown field `x`"),
            ("kinds: {a: {unique: [[]]}}", "empty list"),
            ("kinds: {a: {fields: {b: {type: string, refers: {kind: z}}}}}", "unknown kind `z`"),
            ("kinds: {a: {fields: {b: {type: list, refers: {kind: route}}}}}", "must be string"),
            ("kinds: {a: {fields: {b: {type: float}}}}", "float"),
            ("kinds: {a: {feilds: {}}}", "feilds"),
            ("[", "k.yaml"),
        ] {
            let message = Schema::with(text, "k.yaml").unwrap_err().message;
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
