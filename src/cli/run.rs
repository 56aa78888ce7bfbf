//! From the arguments to the exit code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use clap::error::ErrorKind;
use tokio_util::sync::CancellationToken;

use super::args::{Cli, Command, RecordCommand, TargetCommand};
use super::{
    Context, Exit, Stop, apply, events, generate, history, init, order, plan, record, release, serve, show, status,
    target, validate, watch,
};
use crate::model::Diagnostic;

/// Runs `ctl` with these arguments, environment and folder; gives the exit code. An empty `cwd` is a folder that is gone.
pub fn run(args: Vec<OsString>, env: Vec<(OsString, OsString)>, cwd: PathBuf) -> u8 {
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
    let (env, unreadable) = texts(env);
    let ctx = Context::new(&cli.global, env, cwd);
    if let Err(stop) = footing(&ctx, &cli, unreadable) {
        ctx.tell(&stop.diagnostics);
        return stop.exit.code();
    }
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
    let exit = match exit {
        Ok(exit) => exit,
        Err(stop) => {
            ctx.tell(&stop.diagnostics);
            stop.exit
        }
    };
    match ctx.unprinted() {
        None => exit.code(),
        Some(diagnostic) => {
            ctx.tell(&[diagnostic]);
            exit.and(Exit::Failed).code()
        }
    }
}

/// The variables that are text, and the name of one that is ours and is not.
fn texts(env: Vec<(OsString, OsString)>) -> (BTreeMap<String, String>, Option<String>) {
    let (mut texts, mut unreadable) = (BTreeMap::new(), None);
    for (name, value) in env {
        let Ok(name) = name.into_string() else { continue };
        // CTL_STATE is a path that is taken as it is, with the arguments.
        let ours = name == "HOME" || name.starts_with("XDG_") || (name.starts_with("CTL_") && name != "CTL_STATE");
        match value.into_string() {
            Ok(value) => drop(texts.insert(name, value)),
            Err(_) if ours => unreadable = Some(name),
            Err(_) => {}
        }
    }
    (texts, unreadable)
}

/// Refuses to run from a folder that is not there, which would find the project of a folder above, and without a variable
/// that was set and cannot be read.
fn footing(ctx: &Context, cli: &Cli, unreadable: Option<String>) -> Result<(), Stop> {
    let usage =
        |code, message: String, help: &str| Err(Stop::with(Exit::Usage, Diagnostic::error(code, message).help(help)));
    if let Some(name) = unreadable {
        let message = format!("the environment variable {name} is not UTF-8");
        return usage("bad-environment", message, "set it to text, or unset it");
    }
    match &cli.global.chdir {
        Some(dir) if !ctx.cwd.is_dir() => {
            let message = format!("-C {}: there is no such folder", dir.display());
            usage("no-folder", message, "check the path: it counts from the current folder")
        }
        None if !ctx.cwd.is_dir() => usage(
            "no-folder",
            "the current folder is gone".to_owned(),
            "change to another one, or say which with -C DIR",
        ),
        _ => Ok(()),
    }
}

async fn dispatch(ctx: &Context, command: &Command) -> Result<Exit, Stop> {
    let cancel = CancellationToken::new();
    let quiet = matches!(command, Command::Watch(_));
    let signals = tokio::spawn(signals(Arc::clone(&ctx.asking), cancel.clone(), quiet));
    let exit = async {
        match command {
            Command::Apply(args) => apply::run(ctx, args, &cancel).await,
            Command::Watch(args) => watch::run(ctx, args, &cancel).await,
            Command::Status(args) => status::run(ctx, args, &cancel).await,
            Command::Events(args) => events::run(ctx, args, &cancel).await,
            Command::Retry(args) => order::retry(ctx, args).await,
            Command::Suspend(args) => order::suspend(ctx, args).await,
            Command::Resume(args) => order::resume(ctx, args).await,
            Command::Rollback(args) => order::rollback(ctx, args).await,
            Command::Approve(args) => order::approve(ctx, args).await,
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
            Command::Show(args) => show::run(ctx, args, &cancel).await,
            Command::Record(RecordCommand::Show(args)) => record::show(ctx, args),
            Command::Record(RecordCommand::Verify(args)) => record::verify(ctx, args, &cancel).await,
            Command::Record(RecordCommand::Rebuild(args)) => record::rebuild(ctx, args, &cancel).await,
            Command::Release(args) => release::run(ctx, args, &cancel).await,
        }
    }
    .await;
    signals.abort();
    exit
}

/// The first SIGINT or SIGTERM lets what is in flight finish; the second leaves at once, and so does one at a question,
/// where nothing is in flight. A task of its own, because the work blocks its thread while git or a person is asked.
async fn signals(asking: Arc<AtomicBool>, cancel: CancellationToken, quiet: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if cancel.is_cancelled() || asking.load(Ordering::SeqCst) {
            use std::io::IsTerminal as _;
            let mut err = std::io::stderr();
            if !cancel.is_cancelled() && err.is_terminal() {
                // The shell's prompt goes below the question, not behind it.
                let _ = err.write_all(b"\n");
            }
            // Nothing may hold this up; what is lost by it, the next run finds in the record's intent.
            std::process::exit(Exit::Interrupted.code().into());
        }
        cancel.cancel();
        if quiet {
            // Whoever logs says it in a line of its own.
            continue;
        }
        let words = b"Finishing what is in flight; interrupt again to leave at once.\n";
        let _ = std::io::stderr().lock().write_all(words);
    }
}
