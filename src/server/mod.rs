//! The reference server: `state` is pure, `http` wraps it.
//!
//! ```text
//! bytes ──call──> Call ──┬── a read ──> View, published after each commit ──> answer
//!                        └── a write ─> queue ─> one thread: State decides, one commit for all that wait ─> answers
//! ```
//!
//! What a reader sees is durable: a write is published after the commit that holds it, and answered after that.
//!
//! Room is left for versioned configurations: `/v1/configurations` answers 404 and no kind may be called that.

mod call;
mod document;
mod embedded;
mod error;
mod faults;
mod http;
mod limit;
mod schema;
mod state;
mod store;
mod view;

pub use call::{Action, Call, Conditions, ListQuery, Tags};
pub use document::{Document, Refusal};
pub use embedded::{Embedded, embedded};
pub use error::ServerError;
pub use faults::{Fate, Faults};
pub use http::{Config, Counts, MAX_BODY, Server, run};
pub use limit::Limiter;
pub use schema::{FieldSchema, FieldType, KindSchema, RefDelete, Reference, Schema};
pub use state::{Decision, State};
pub use store::{Meta, Store};
pub use view::{Delta, Item, View};

/// The description of this server's API, in the language of every other description.
pub const API: &str = include_str!("api.yaml");
