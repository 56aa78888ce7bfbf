//! `ctl` keeps anything that has an HTTP API in the state that a Git repository says.
//!
//! ```text
//! commit ──read──> files ──parse──> Complete<Snapshot> ─┐
//!                                    record ────────────┼─ plan ──> Plan ──guard──> report
//! endpoints ──list, all pages──> Complete<Listing> ─────┘             └─> intent ─> apply ──> events ──> record
//! ```
//!
//! Rooms, each with a door (`mod.rs`); a room may look only into rooms above it in this list (checked by
//! `tests/architecture.rs`): [`model`] and [`world`] know nobody; [`diff`] and [`manifest`] know the model; [`plan`]
//! knows model and diff; [`event`] is what happened, as data; [`net`] is all that leaves the machine; [`credentials`],
//! [`source`] and [`store`] build on it; [`server`] is the reference server; [`target`] drives APIs; [`reconcile`] does
//! the work through traits; [`report`] turns data into text; [`metrics`] counts; [`daemon`] is what a
//! watcher listens on; [`cli`] knows all.
#![forbid(unsafe_code)]

pub mod cli;
pub mod credentials;
pub mod daemon;
pub mod diff;
pub mod event;
pub mod manifest;
pub mod metrics;
pub mod model;
pub mod net;
pub mod plan;
pub mod reconcile;
pub mod report;
pub mod server;
pub mod source;
pub mod store;
pub mod target;
pub mod world;
