//! How things stand, for a terminal: all of it (`overview.rs`), or why one resource is not in sync (`resource.rs`). What
//! both say of an endpoint, a refusal, an operation is in `parts.rs`.

mod overview;
mod page;
mod parts;
mod resource;

pub use overview::status_text;
pub use page::span;
pub use resource::resource_text;
