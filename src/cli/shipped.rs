//! The API descriptions that come with the program: those of `apis/`, and the reference server's own.

/// The names, sorted.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|(name, _)| name)
}

/// The YAML of the description called `name`.
pub(super) fn description(name: &str) -> Option<&'static str> {
    all().find(|(known, _)| *known == name).map(|(_, text)| text)
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::once(("ctl", crate::server::API)).chain(crate::target::http::shipped().iter().copied())
}
