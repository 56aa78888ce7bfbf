//! Where desired state comes from: commits of a Git repository, read from the object database, never a checkout.
//!
//! [`Source::open`] takes what the user typed, a path inside a repository or a URL, finds the commit and the project's
//! folder in it, and hands out names and bytes. No filter, hook or symbolic link of the repository ever runs or is
//! followed.
//!
//! A process that goes on for months uses a [`Keeper`]: it looks again and again, and says when the commit has moved;
//! [`Changes`] tells when looking may be worth it.

mod changes;
mod discover;
mod error;
mod good;
mod history;
mod keeper;
mod locate;
mod mirror;
mod read;
#[cfg(test)]
mod tests;
mod worktree;

pub use changes::Changes;
pub use error::SourceError;
pub use good::{Good, GoodError, GoodNote};
pub use history::{Ancestry, CommitInfo};
pub use keeper::{Keeper, Look, Tidy};
pub use locate::locate;
pub use read::{Source, SourceOptions};
