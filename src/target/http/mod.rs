//! The driver for HTTP APIs: a description says how, this translates. Requests are built and answers are read by pure
//! functions; only `driver.rs` waits for anything.

mod after;
mod attempts;
mod body;
mod driver;
mod fill;
mod hide;
mod ids;
mod more;
mod observe;
mod pages;
mod response;
mod scan;
mod shape;
mod shipped;
mod tasks;
mod wire;
mod write;

pub use body::{Finding, audit};
pub use driver::{HttpConfig, HttpTarget};
pub use shipped::{shipped, shipped_text};
