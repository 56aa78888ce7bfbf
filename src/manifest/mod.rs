//! Text in, Desired out: every value with its file and line. Pure.

pub mod api;
