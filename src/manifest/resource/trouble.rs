//! What is wrong with a document, and where in it.

use super::draft::Draft;
use crate::model::FieldPath;

/// Something wrong with one document, not yet looked up in its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::manifest) struct Trouble {
    pub(in crate::manifest) code: &'static str,
    pub(in crate::manifest) message: String,
    pub(in crate::manifest) help: Option<String>,
    /// In the document.
    pub(in crate::manifest) path: FieldPath,
    /// True to point at the key rather than at the value.
    pub(in crate::manifest) key: bool,
}

/// What came of one document.
#[derive(Default)]
pub(in crate::manifest) struct Outcome {
    pub(in crate::manifest) drafts: Vec<Draft>,
    pub(in crate::manifest) troubles: Vec<Trouble>,
}

impl Outcome {
    pub(super) fn tell(
        &mut self,
        code: &'static str,
        path: FieldPath,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.push(Trouble { code, message: message.into(), help, path, key: false });
    }

    pub(super) fn tell_key(
        &mut self,
        code: &'static str,
        path: FieldPath,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.push(Trouble { code, message: message.into(), help, path, key: true });
    }

    /// One problem that shows at several targets is told once.
    pub(super) fn push(&mut self, trouble: Trouble) {
        if !self.troubles.contains(&trouble) {
            self.troubles.push(trouble);
        }
    }
}

pub(super) fn root(field: &str) -> FieldPath {
    FieldPath::root().join(field)
}

/// The path of a body's field in its document.
pub(in crate::manifest) fn in_spec(path: &FieldPath) -> FieldPath {
    std::iter::once("spec".to_owned()).chain(path.segments().iter().cloned()).collect()
}

pub(super) fn some(help: impl Into<String>) -> Option<String> {
    Some(help.into())
}
