//! To steer a watcher: `retry`, `suspend`, `resume`, `rollback`, `approve`.

use std::time::Duration;

use clap::Args;

use super::values::duration;
use super::{Plain, RemoteArgs};

/// What every order takes.
#[derive(Args, Debug)]
pub struct OrderArgs {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
    /// Which watcher
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// What an order to a part of the project takes.
#[derive(Args, Debug)]
pub struct OnlyArgs {
    /// Only this target (a glob)
    #[arg(short, long, value_name = "TARGET", help_heading = "Selection")]
    pub target: Option<String>,
}

/// `ctl retry`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl retry                   everything that waits for its next try
  ctl retry -t dns            one target")]
pub struct RetryArgs {
    /// Which target
    #[command(flatten)]
    pub only: OnlyArgs,
    /// Which watcher
    #[command(flatten)]
    pub order: OrderArgs,
}

/// `ctl suspend`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl suspend --reason 'database upgrade' --for 2h
  ctl suspend -t dns

What is in flight is finished. Drift is still reported. `ctl resume` goes on.")]
pub struct SuspendArgs {
    /// Which target
    #[command(flatten)]
    pub only: OnlyArgs,
    /// It ends by itself after: 90s, 30m, 2h, 1d [default: only with `ctl resume`]
    #[arg(long = "for", value_name = "DUR", value_parser = duration)]
    pub time: Option<Duration>,
    /// Why, for whoever looks at `ctl status`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Which watcher
    #[command(flatten)]
    pub order: OrderArgs,
}

/// `ctl resume`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl resume                  after `ctl suspend` or `ctl rollback`
  ctl resume -t dns           one target")]
pub struct ResumeArgs {
    /// Which target
    #[command(flatten)]
    pub only: OnlyArgs,
    /// Which watcher
    #[command(flatten)]
    pub order: OrderArgs,
}

/// `ctl rollback`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl rollback dns@12         `ctl history` lists the versions
  ctl rollback 12 --yes       in a project of one target; no question

The watcher plans and applies that commit, guards and all, and stays there until `ctl resume`.")]
pub struct RollbackArgs {
    /// target@number, or the number alone in a project of one target
    #[arg(value_name = "VERSION")]
    pub to: String,
    /// Why, for whoever looks at `ctl status`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not ask
    #[arg(short, long, help_heading = "Safety")]
    pub yes: bool,
    /// Which watcher
    #[command(flatten)]
    pub order: OrderArgs,
}

/// `ctl approve`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl approve 4f2c9a01               8 digits or more of a checksum that `ctl status` shows as refused
  ctl approve 4f2c9a01 --for 10m     not longer than that

It holds for this very plan. What else would be done later is refused again.")]
pub struct ApproveArgs {
    /// The plan's checksum, or its first digits
    #[arg(value_name = "CHECKSUM")]
    pub checksum: String,
    /// How long it holds
    #[arg(long = "for", value_name = "DUR", default_value = "1h", value_parser = duration)]
    pub time: Duration,
    /// Which watcher
    #[command(flatten)]
    pub order: OrderArgs,
}
