//! Why a watcher cannot listen.

use std::net::SocketAddr;

/// Why nothing listens.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DaemonError {
    /// The socket is of no use.
    #[error("cannot listen: {why}")]
    Listen {
        /// Why.
        why: String,
    },
    /// Anybody could look and give orders.
    #[error(
        "{addr} can be reached from other machines: give a --token-file or --read-token-file, or listen on 127.0.0.1"
    )]
    NoToken {
        /// Where.
        addr: SocketAddr,
    },
    /// A token of nothing but white space protects nothing.
    #[error("a token is empty: put a long random text into its file")]
    EmptyToken,
    /// As with a token.
    #[error("the webhook's secret is empty: put a long random text into its file")]
    EmptyHookSecret,
}
