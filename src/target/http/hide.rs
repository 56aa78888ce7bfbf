//! Takes known secrets out of texts in every spelling in which a server may echo them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::credentials::{hidden, spellings};
use crate::model::Secret;

/// How much of an answer an error shows.
const EXCERPT: usize = 500;

/// Takes known secrets out of texts before anybody sees them, in every spelling in which a server may echo them.
#[derive(Clone, Default)]
pub(super) struct Hider {
    /// To nothing: an answer's excerpt names no secret.
    spellings: Arc<BTreeMap<String, String>>,
}

impl Hider {
    pub(super) fn add(&mut self, secret: &Secret) {
        #[expect(clippy::disallowed_methods, reason = "texts are searched for it in order to hide it")]
        let plain = secret.expose();
        self.add_text(plain);
    }

    pub(super) fn add_text(&mut self, plain: &str) {
        Arc::make_mut(&mut self.spellings)
            .extend(spellings(plain).into_iter().map(|spelling| (spelling, String::new())));
    }

    /// Hides what another hides, too.
    pub(super) fn join(&mut self, other: &Hider) {
        if self.spellings.is_empty() {
            self.spellings = Arc::clone(&other.spellings);
        } else if !other.spellings.is_empty() {
            let more = other.spellings.iter().map(|(spelling, name)| (spelling.clone(), name.clone()));
            Arc::make_mut(&mut self.spellings).extend(more);
        }
    }

    /// `text` without secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        hidden(text, &self.spellings)
    }

    /// The first bytes of an answer, as text and without secrets. Hidden first and cut then, so that no secret is cut
    /// in half and half of it shown.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
        let head = &body[..body.len().min(64 * 1024)];
        let clean = self.clean(&String::from_utf8_lossy(head));
        match clean.char_indices().find(|(at, _)| *at >= EXCERPT) {
            Some((at, _)) => format!("{}…", &clean[..at]),
            None => clean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_secret_is_hidden_in_every_spelling_a_server_may_echo() {
        let mut hider = Hider::default();
        hider.add(&Secret::new("pa\"ss/wörd"));
        for echo in [
            "pa\"ss/wörd".to_owned(),
            STANDARD.encode("pa\"ss/wörd"),
            "pa%22ss%2Fw%C3%B6rd".to_owned(),
            "pa\\\"ss/wörd".to_owned(),
        ] {
            assert_eq!(hider.excerpt(format!("bad: {echo}!").as_bytes()), "bad: <secret>!");
        }
    }

    #[test]
    fn an_excerpt_is_short_and_cuts_no_secret_in_half() {
        let mut hider = Hider::default();
        hider.add(&Secret::new("correct horse battery"));
        let text = format!("{}correct horse battery{}", "x".repeat(490), "y".repeat(2000));
        let excerpt = hider.excerpt(text.as_bytes());
        assert!(excerpt.len() < 520 && !excerpt.contains("correct"), "{excerpt}");
    }
}
