//! The server inside this process, for `url: embedded`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::model::Secret;
use crate::world::Entropy;

use super::error::ServerError;
use super::http::{Config, Server, run};
use super::schema::Schema;
use super::store::Store;

/// How many writes may wait.
const QUEUE: usize = 4096;

/// A running server. Dropping it stops it without waiting; [`Embedded::stop`] waits.
#[derive(Debug)]
pub struct Embedded {
    /// Where it listens: a loopback address with a port of the kernel's choice.
    pub addr: SocketAddr,
    /// `http://…`, without a slash at its end.
    pub url: String,
    /// What clients send as `Authorization: Bearer`; made anew at each start, so that other users of this machine
    /// cannot write.
    pub token: Secret,
    /// For its counters.
    pub server: Arc<Server>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServerError>>,
}

impl Embedded {
    /// Answers those who wait, closes the data and returns.
    pub async fn stop(mut self) -> Result<(), ServerError> {
        if let Some(shutdown) = self.shutdown.take() {
            // It may have stopped already, which is what is wanted.
            let _ = shutdown.send(());
        }
        let ended = self.task.await.map_err(|e| ServerError::Thread { why: e.to_string() })?;
        drop(self.server);
        ended
    }
}

/// Starts a server with its data in `folder`, or in memory without one.
pub async fn embedded(
    folder: Option<&Path>,
    schema: Schema,
    config: Config,
    entropy: &Entropy,
) -> Result<Embedded, ServerError> {
    let token = Secret::new(format!("{:016x}{:016x}", entropy.next(), entropy.next()));
    let store = match folder {
        Some(folder) => {
            let folder = folder.to_owned();
            let opened = tokio::task::spawn_blocking(move || Store::open(&folder, schema, QUEUE)).await;
            opened.map_err(|e| ServerError::Thread { why: e.to_string() })??
        }
        None => Store::memory(schema, QUEUE)?,
    };
    let server = Arc::new(Server::new(store, Config { token: Some(token.clone()), ..config })?);
    let listen = |e: std::io::Error| ServerError::Listen { addr: "127.0.0.1:0".to_owned(), why: e.to_string() };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    let (shutdown, stop) = oneshot::channel::<()>();
    // A dropped handle counts as a wish to stop.
    let task = tokio::spawn(run(listener, Arc::clone(&server), async move { drop(stop.await) }));
    Ok(Embedded { addr, url: format!("http://{addr}"), token, server, shutdown: Some(shutdown), task })
}
