//! What goes wrong with a target, classified by what may be done next.

use std::time::Duration;

use crate::model::FieldPath;

/// What went wrong, classified by what may be done next.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// No byte left: may be sent again.
    #[error("{request}: {why}")]
    Unsent {
        /// `GET http://…`, without secrets.
        request: String,
        /// The cause.
        why: String,
    },
    /// No byte left, as one side does not take the other's certificate: it takes somebody to mend that.
    #[error("{request}: {why}")]
    Distrusted {
        /// Method and URL.
        request: String,
        /// Whose certificate, and why.
        why: String,
    },
    /// Sent and not answered: may have happened.
    #[error("{request}: {why}")]
    Unanswered {
        /// Method and URL.
        request: String,
        /// The cause.
        why: String,
    },
    /// Something else was there than expected (409, 412, a failed compare).
    #[error("{request}: answered {status}: what is there is not what was expected{}", said(excerpt))]
    Conflict {
        /// Method and URL.
        request: String,
        /// HTTP status.
        status: u16,
        /// First bytes of the answer, secrets hidden.
        excerpt: String,
    },
    /// The server asks to wait (429, 503).
    #[error("{request}: answered {status}: asks to wait")]
    Throttled {
        /// Method and URL.
        request: String,
        /// HTTP status.
        status: u16,
        /// How long, if it said.
        after: Option<Duration>,
    },
    /// The server failed (5xx): it may have happened.
    #[error("{request}: answered {status}{}", said(excerpt))]
    Failed {
        /// Method and URL.
        request: String,
        /// HTTP status.
        status: u16,
        /// First bytes of the answer, secrets hidden.
        excerpt: String,
    },
    /// Not logged in, or not allowed (401, 403).
    #[error("{request}: answered {status}: not allowed{}", said(excerpt))]
    Denied {
        /// Method and URL.
        request: String,
        /// HTTP status.
        status: u16,
        /// First bytes of the answer, secrets hidden.
        excerpt: String,
    },
    /// The server refuses what was sent (other 4xx, or its success check failed).
    #[error("{request}: answered {status}: refused{}{}", named(pointer.as_ref()), said(excerpt))]
    Invalid {
        /// Method and URL.
        request: String,
        /// HTTP status.
        status: u16,
        /// The field that the answer names, if it does.
        pointer: Option<FieldPath>,
        /// First bytes of the answer, secrets hidden.
        excerpt: String,
    },
    /// The answer is not what the description says, so nothing may be concluded from it.
    #[error("{request}: {why}{}", said(excerpt))]
    Unreadable {
        /// Method and URL.
        request: String,
        /// What was expected and what came.
        why: String,
        /// First bytes of the answer, secrets hidden.
        excerpt: String,
    },
    /// The answer is larger than is taken.
    #[error("{request}: {why}{}", said(excerpt))]
    TooLarge {
        /// Method and URL.
        request: String,
        /// What is too large, and which limit says so.
        why: String,
        /// First bytes of the answer, secrets hidden.
        excerpt: String,
    },
    /// The server points elsewhere (3xx). Nobody goes there.
    #[error("{request}: answered {status} and points to {to}; redirects are not followed")]
    Redirected {
        /// Method and URL.
        request: String,
        /// HTTP status.
        status: u16,
        /// Where to, no more than the origin.
        to: String,
    },
    /// Refused before anything was sent: a rule of safety or of the description.
    #[error("{why}")]
    Refused {
        /// Which rule, and why.
        why: String,
        /// What to do, where that is known.
        help: Option<&'static str>,
    },
}

impl TargetError {
    /// The field that the answer names, if it does.
    pub fn field(&self) -> Option<&FieldPath> {
        match self {
            Self::Invalid { pointer, .. } => pointer.as_ref(),
            _ => None,
        }
    }

    /// True if the server may have done what it was asked, all the same.
    pub fn may_have_landed(&self) -> bool {
        match self {
            Self::Unanswered { .. } | Self::Failed { .. } | Self::Unreadable { .. } | Self::TooLarge { .. } => true,
            Self::Unsent { .. }
            | Self::Distrusted { .. }
            | Self::Denied { .. }
            | Self::Throttled { .. }
            | Self::Invalid { .. }
            | Self::Conflict { .. }
            | Self::Redirected { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// A refusal that says all there is to say.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), help: None }
    }
}

/// The field that the server names, if it does.
fn named(pointer: Option<&FieldPath>) -> String {
    pointer.map(|path| format!(": `{path}`")).unwrap_or_default()
}

/// The server's own words, if it had some.
fn said(excerpt: &str) -> String {
    // One line, whatever the server's page looked like.
    let text = excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_field_and_says_why_on_one_line() {
        let refused = TargetError::Invalid {
            request: "PUT http://h/things/a".to_owned(),
            status: 422,
            pointer: Some(FieldPath::parse("/spec/port")),
            excerpt: "too\n\n  large ".to_owned(),
        };
        assert_eq!(refused.to_string(), "PUT http://h/things/a: answered 422: refused: `/spec/port`: too large");
    }
}
