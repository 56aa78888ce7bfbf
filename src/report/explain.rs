//! The long story of a diagnostic's code.

mod texts;

use texts::TEXTS;

/// What a diagnostic's code means: one paragraph, and what to do. `None` for a code that nobody uses.
pub fn explain(code: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// All codes that can be explained, sorted.
pub fn codes() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_stand_once() {
        let all: Vec<&str> = codes().collect();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    }

    #[test]
    fn an_unknown_code_is_not_explained() {
        assert!(explain("no-such-code").is_none());
        assert!(explain("origin-refused").is_some());
    }
}
