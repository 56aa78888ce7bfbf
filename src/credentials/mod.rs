//! The operator's file: who may go where with what.

mod access;

pub use access::{Access, Auth, SecretSource};
