//! What leaves the machine: one request to one server, and the `git` child. Redirects are never followed.

mod direct;
mod distrust;
mod gathered;
mod git;
mod http;
mod paced;
mod remote;
mod tapped;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

pub use self::http::{Flow, HttpTransport, Tls, is_loopback};
pub use git::{Git, GitCall, GitError, GitOutput, words};
pub use paced::Paced;
pub use remote::{BadRemote, RemoteRule, check_remote_url, without_credentials};
pub use tapped::{Discretion, Exchange, Hide, Tap, Tapped};

/// Sends one request and reads its whole answer.
pub trait Transport: Send + Sync {
    /// Sends `request` (absolute URI). The answer's body is read to its end and decompressed, at most `limit` bytes of
    /// it; all together within `deadline`. A 3xx comes back as it is.
    fn send(
        &self,
        request: ::http::Request<Bytes>,
        deadline: Duration,
        limit: usize,
    ) -> impl Future<Output = Result<::http::Response<Bytes>, NetError>> + Send;

    /// True if somebody listens: then a request says what may be known of it, as a [`Discretion`] among its extensions.
    fn is_heard(&self) -> bool {
        false
    }
}

/// Why there is no answer. What was not sent may be sent again; what was sent and not answered may have happened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetError {
    /// No byte of the request left: no connection, no TLS, no name.
    #[error("{why}")]
    Unsent {
        /// The cause, in words.
        why: String,
    },
    /// No byte of the request left: one side does not take the other's certificate. To try again in some seconds is no use.
    #[error("{why}")]
    Distrusted {
        /// Whose certificate, and why.
        why: String,
    },
    /// The request (or part of it) left and no whole answer came.
    #[error("{why}")]
    Unanswered {
        /// The cause, in words.
        why: String,
    },
    /// The answer is larger than allowed.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The answer's headers are larger than allowed.
    #[error("the headers of the answer are larger than {limit} bytes")]
    HeadersTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}
