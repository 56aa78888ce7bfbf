//! `ctl serve`: the reference server.

use std::path::Path;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::args::ServeArgs;
use super::{Context, Exit, Stop};
use crate::model::{Diagnostic, Secret};
use crate::server::{Config, Faults, Schema, Server, ServerError, Store, run as serve};

/// Writes that may wait for the disk before others are told to come back later.
const QUEUE: usize = 4096;

/// Serves until interrupted. One line on standard output says where, once it listens.
pub(super) async fn run(ctx: &Context, args: &ServeArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let schema = match &args.kinds {
        None => Schema::built_in(),
        Some(path) => {
            let path = ctx.path(path);
            Schema::with(&read(&path)?, &path.display().to_string()).map_err(|d| Stop::with(Exit::Usage, d))?
        }
    };
    let token = match &args.token_file {
        None => None,
        Some(path) => Some(Secret::new(read(&ctx.path(path))?.trim())),
    };
    let faults = args.faults.as_deref().map(Faults::parse).transpose().map_err(|d| Stop::with(Exit::Usage, d))?;
    let config = Config {
        token,
        rate: args.rate,
        faults,
        debug_counters: args.debug_counters,
        clock: ctx.clock.clone(),
        entropy: ctx.entropy.clone(),
    };
    let data = ctx.path(&args.data);
    let opened = tokio::task::spawn_blocking(move || Store::open(&data, schema, QUEUE)).await;
    let store = opened.map_err(|e| failed(&ServerError::Thread { why: e.to_string() }))?.map_err(|e| failed(&e))?;
    let server = Server::new(store, config).map_err(|e| failed(&e))?;
    let listener = TcpListener::bind(&args.listen).await.map_err(|e| {
        let message = format!("cannot listen on {}: {e}", args.listen);
        Stop::with(Exit::Failed, Diagnostic::error("cannot-listen", message).help("choose another --listen ADDR"))
    })?;
    let place = server.may_listen(&listener).map_err(|e| failed(&e))?;
    let serving = serve(listener, std::sync::Arc::new(server), cancel.clone().cancelled_owned());
    ctx.print(&format!("http://{place}\n"));
    if args.faults.is_some() {
        ctx.say("Misbehaving on purpose, as --faults says.\n");
    }
    serving.await.map_err(|e| failed(&e))?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path).map_err(|e| {
        let message = format!("{} cannot be read: {e}", path.display());
        Stop::with(Exit::Failed, Diagnostic::error("cannot-read", message).help("check the path and who may read it"))
    })
}

fn failed(error: &ServerError) -> Stop {
    let help = match error {
        ServerError::Store { .. } => "is another server using the folder? Choose another --data DIR",
        ServerError::NoToken { .. } | ServerError::EmptyToken => "put a long random text into a file only you can read",
        ServerError::Listen { .. } | ServerError::Thread { .. } => "choose another --listen ADDR",
    };
    let exit = match error {
        ServerError::NoToken { .. } | ServerError::EmptyToken => Exit::Refused,
        ServerError::Store { .. } | ServerError::Listen { .. } | ServerError::Thread { .. } => Exit::Failed,
    };
    Stop::with(exit, Diagnostic::error("server", error.to_string()).help(help))
}
