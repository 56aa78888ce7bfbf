//! Where desired state comes from: commits of a Git repository, read from the object database, never a checkout.
//!
//! [`Source::open`] takes what the user typed, a path inside a repository or a URL, finds the commit and the project's
//! folder in it, and hands out names and bytes. No filter, hook or symbolic link of the repository ever runs or is
//! followed.

mod discover;
mod error;
mod history;
mod locate;
mod mirror;
mod read;
#[cfg(test)]
mod tests;
mod worktree;

pub use error::SourceError;
pub use history::{Ancestry, CommitInfo};
pub use locate::locate;
pub use read::{Source, SourceOptions};
