//! The commands: one file each. They wire the other rooms together and hold no logic of their own.

mod args;
mod exit;

pub use args::Cli;
pub use exit::Exit;
