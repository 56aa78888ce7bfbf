//! `ctl watch`: keeps the targets as the commit says, for months.
//!
//! ```text
//! run ──> turn (the loop) ──> reconcile::Machine decides
//!           ├── desired   looks at the source, keeps the last good state
//!           ├── cycle     reconciles one target, warm
//!           ├── leading   the election
//!           ├── sharing   what people ordered, here and at the others
//!           └── telling ──> board ──> standing (status), control (orders), log, metrics
//! ```

mod board;
mod control;
mod cycle;
mod cycled;
mod desired;
mod folder;
mod leading;
mod log;
mod manager;
mod orders;
mod run;
mod shared;
mod sharing;
mod standing;
mod telling;
mod turn;
mod waiting;

pub(super) use run::run;
