//! Why the server does not run.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server does not run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServerError {
    /// The data cannot be used.
    #[error("the data in {} cannot be used: {why}", folder.display())]
    Store {
        /// Where.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// No thread, no file descriptor.
    #[error("the machine gives no thread: {why}")]
    Thread {
        /// Why.
        why: String,
    },
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {why}")]
    Listen {
        /// Where.
        addr: String,
        /// Why.
        why: String,
    },
    /// Anybody could write.
    #[error("{addr} can be reached from other machines: give a --token-file, or listen on 127.0.0.1")]
    NoToken {
        /// Where.
        addr: SocketAddr,
    },
    /// A token of nothing but white space protects nothing.
    #[error("the token is empty")]
    EmptyToken,
}
