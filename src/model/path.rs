//! Where inside a value: the steps of a JSON Pointer.

use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Where inside a value: the steps of a JSON Pointer (RFC 6901). A list element is named by its index.
///
/// Rules of a description may use `*` as a step, which stands for every member or element. A clone shares the steps.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FieldPath(Arc<[String]>);

impl FieldPath {
    /// The whole value.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads `/a/b~1c` as a pointer, and a text without a leading slash as one field name.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('/') {
            Some(rest) => Self(rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()),
            None if text.is_empty() => Self::root(),
            None => Self([text.to_owned()].into()),
        }
    }

    /// This path and one more step.
    pub fn join(&self, step: impl Into<String>) -> Self {
        self.0.iter().cloned().chain([step.into()]).collect()
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// True for the path of the whole value.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `other` is this path or lies below it.
    pub fn contains(&self, other: &FieldPath) -> bool {
        other.0.starts_with(&self.0)
    }

    /// True if this path, in which `*` stands for any step, names `other` exactly.
    pub fn matches(&self, other: &FieldPath) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&*other.0).all(|(rule, step)| rule == "*" || rule == step)
    }
}

impl FromIterator<String> for FieldPath {
    fn from_iter<I: IntoIterator<Item = String>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

/// As a JSON Pointer; the root is the empty text.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &*self.0 {
            f.write_char('/')?;
            if step.contains(['~', '/']) {
                f.write_str(&step.replace('~', "~0").replace('/', "~1"))?;
            } else {
                f.write_str(step)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::FieldPath;

    #[test]
    fn a_pointer_reads_back_as_it_was_written() {
        for text in ["", "/a", "/a/b~1c/0", "/~0x"] {
            assert_eq!(FieldPath::parse(text).to_string(), text);
        }
        assert_eq!(FieldPath::parse("name").to_string(), "/name");
    }

    #[test]
    fn a_star_stands_for_one_step() {
        assert!(FieldPath::parse("/routes/*/path").matches(&FieldPath::parse("/routes/3/path")));
        assert!(!FieldPath::parse("/routes/*").matches(&FieldPath::parse("/routes/3/path")));
    }
}
