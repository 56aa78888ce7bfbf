//! `ctl watch`: keeps the targets as the commit says.

mod cycle;
mod cycled;

use tokio_util::sync::CancellationToken;

use super::args::WatchArgs;
use super::{Context, Exit, Stop};
use crate::model::Diagnostic;

/// Watches until it is told to stop.
#[expect(clippy::unused_async, reason = "the loop that waits is not there yet")]
pub(super) async fn run(_ctx: &Context, _args: &WatchArgs, _cancel: &CancellationToken) -> Result<Exit, Stop> {
    let message = "this build does not watch yet";
    let help = "run `ctl apply --yes` from a timer instead";
    Err(Stop::with(Exit::Usage, Diagnostic::error("no-watch", message).help(help)))
}
