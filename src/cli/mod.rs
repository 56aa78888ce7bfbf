//! The commands: one file each. They wire the other rooms together and hold no logic of their own.

mod apply;
mod args;
mod cache;
mod carry;
mod computed;
mod context;
mod events;
mod exit;
mod facts;
mod fleet;
mod generate;
mod history;
mod init;
mod load;
mod notify;
mod order;
mod plan;
#[cfg_attr(not(test), expect(dead_code, reason = "the watcher takes it up next"))]
mod reader;
mod record;
mod release;
mod remote;
mod run;
mod selection;
mod serve;
mod session;
mod settling;
mod shipped;
mod show;
mod signing;
mod status;
mod stores;
mod target;
mod validate;
mod watch;

pub use args::Cli;
pub use context::{Context, Stop};
pub use exit::Exit;
pub use generate::{SHELLS, pages, script};
pub use notify::Notifier;
pub use run::run;
