//! The reference server: `state` is pure, `http` wraps it.
