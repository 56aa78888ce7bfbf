//! From the arguments to the exit code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use clap::error::ErrorKind;
use tokio_util::sync::CancellationToken;

use super::args::{Cli, Command, TargetCommand};
use super::{Context, Exit, Stop, apply, generate, history, init, plan, serve, target, validate};
use crate::model::Diagnostic;

/// Runs `ctl` with these arguments, environment and folder; gives the exit code.
pub fn run(args: Vec<OsString>, env: BTreeMap<String, String>, cwd: PathBuf) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.code(),
                _ => Exit::Usage.code(),
            };
        }
    };
    let ctx = Context::new(&cli.global, env, cwd);
    let exit = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(dispatch(&ctx, &cli.command));
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            let message = format!("the machine gives no threads: {error}");
            Err(Stop::with(Exit::Failed, Diagnostic::error("no-runtime", message)))
        }
    };
    match exit {
        Ok(exit) => exit.code(),
        Err(stop) => {
            ctx.tell(&stop.diagnostics);
            stop.exit.code()
        }
    }
}

async fn dispatch(ctx: &Context, command: &Command) -> Result<Exit, Stop> {
    let cancel = CancellationToken::new();
    let work = async {
        match command {
            Command::Apply(args) => apply::run(ctx, args, &cancel).await,
            Command::Init(args) => init::run(ctx, args),
            Command::Plan(args) => plan::run(ctx, args, &cancel).await,
            Command::Completions(args) => generate::completions(ctx, args),
            Command::Man(args) => generate::man(ctx, args),
            Command::Validate(args) => validate::run(ctx, args),
            Command::History(args) => history::run(ctx, args),
            Command::Target(TargetCommand::List(args)) => target::list(ctx, args),
            Command::Target(TargetCommand::Describe(args)) => target::describe(ctx, args),
            Command::Explain(args) => target::explain(ctx, args),
            Command::Serve(args) => serve::run(ctx, args, &cancel).await,
            Command::Version(args) => generate::version(ctx, args),
            _ => Err(Stop::with(Exit::Failed, Diagnostic::error("not-yet", "this command is not there yet"))),
        }
    };
    tokio::select! {
        exit = work => exit,
        () = second_signal(ctx, &cancel) => Ok(Exit::Interrupted),
    }
}

/// The first SIGINT or SIGTERM lets what is in flight finish; returns at the second.
async fn second_signal(ctx: &Context, cancel: &CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    for left in [1, 0] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if left > 0 {
            cancel.cancel();
            ctx.say("Finishing what is in flight; interrupt again to leave at once.\n");
        }
    }
}
