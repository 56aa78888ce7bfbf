//! To reconcile: `plan`, `apply`, `watch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{duration, interval, named};
use super::{LeaveArgs, LimitArgs, Output, SelectionArgs, SourceArgs};

/// `ctl plan`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl plan                                the project around the current folder, at HEAD
  ctl plan --rev feature -t dns           another branch, one target
  ctl plan --dirty                        with edits that are not committed yet
  ctl plan -o markdown >comment.md        a pull-request comment
  ctl plan --trust origin/main            an untrusted branch, with the targets of main
  ctl plan --detailed-exitcode            exit 2 when there are changes")]
pub struct PlanArgs {
    /// Source
    #[command(flatten)]
    pub source: SourceArgs,
    /// Selection
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Plan the files of the work tree, committed or not
    #[arg(long, help_heading = "Source")]
    pub dirty: bool,
    /// Exit 2 when there are changes
    #[arg(long, help_heading = "Output")]
    pub detailed_exitcode: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Output,
    /// Show every operation of a long plan
    #[arg(long, help_heading = "Output")]
    pub show_all: bool,
    /// Leave
    #[command(flatten)]
    pub leave: LeaveArgs,
    /// Limits
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// `ctl apply`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl apply                               plan, ask, apply
  ctl apply --yes                         for CI: no question
  ctl apply --yes --expect SUM            only if the plan is still the one that was reviewed
  ctl apply --adopt-only --yes            record what is already there and equal; write nothing
  ctl apply --allow-deletes SUM           let a large delete through, once
  ctl apply https://forge.example/shop.git//prod?ref=main --yes")]
pub struct ApplyArgs {
    /// Source
    #[command(flatten)]
    pub source: SourceArgs,
    /// Selection
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Do not ask
    #[arg(short, long, visible_alias = "auto-approve", help_heading = "Safety")]
    pub yes: bool,
    /// Apply only if the plan has this checksum
    #[arg(long, value_name = "SUM", help_heading = "Safety")]
    pub expect: Option<String>,
    /// Record what is equal, touch no target; any other operation is refused
    #[arg(long, help_heading = "Safety")]
    pub adopt_only: bool,
    /// Leave
    #[command(flatten)]
    pub leave: LeaveArgs,
    /// What to do after a failure
    #[arg(long, value_name = "WHAT", default_value = "continue", help_heading = "Safety")]
    pub on_error: OnError,
    /// Limits
    #[command(flatten)]
    pub limits: LimitArgs,
    /// How long to wait for another run: 90s, 5m
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = duration, help_heading = "Limits")]
    pub wait: Duration,
    /// Exit 2 when something was changed
    #[arg(long, help_heading = "Output")]
    pub detailed_exitcode: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Output,
    /// Show every operation of a long plan
    #[arg(long, help_heading = "Output")]
    pub show_all: bool,
}

/// `ctl watch`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl watch                                    the project around the current folder, every 30 s
  ctl watch --listen 127.0.0.1:9090            with status, metrics, webhook and orders
  ctl watch --once                             one cycle, then exit as `ctl apply` does
  ctl watch --dry-run                          report drift, never write
  ctl watch 'https://forge.example/shop.git//prod?ref=main' --interval 1m
  ctl watch --election etcd --etcd https://etcd-1.example:2379 --etcd https://etcd-2.example:2379

SIGTERM: begin nothing new, finish what is in flight, give the leases back, exit 0.
SIGHUP: look again now.")]
pub struct WatchArgs {
    /// Paths inside of repositories (their HEAD), or URLs with an optional folder and revision
    #[arg(
        value_name = "SOURCE",
        default_value = ".",
        value_parser = named,
        help = "Paths inside of repositories (their HEAD), or URLs: URL[//folder][?ref=main]"
    )]
    pub sources: Vec<String>,
    /// Only this target (repeatable, globs allowed)
    #[arg(short, long = "target", value_name = "TARGET", help_heading = "Selection")]
    pub targets: Vec<String>,
    /// How often to look, whatever else calls for it: 30s, 5m
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = interval, help_heading = "Watching")]
    pub interval: Duration,
    /// One cycle, then exit with its result
    #[arg(long, help_heading = "Watching")]
    pub once: bool,
    /// Plan and report drift, never write
    #[arg(long, help_heading = "Watching")]
    pub dry_run: bool,
    /// How to log [default: text on a terminal, else json]
    #[arg(short, long, value_name = "FORMAT", help_heading = "Watching")]
    pub output: Option<LogFormat>,
    /// Serve status, events, metrics, orders and the webhook here; beyond loopback only with tokens. A second SOURCE has
    /// the next port, and so on
    #[arg(long, value_name = "ADDR", help_heading = "Listening")]
    pub listen: Option<String>,
    /// File with the bearer token that may give orders
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub token_file: Option<PathBuf>,
    /// File with the bearer token that may only look
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub read_token_file: Option<PathBuf>,
    /// File with the secret that signs webhooks; without it there is no webhook
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Who decides which of several watchers writes
    #[arg(long, value_name = "WHO", default_value = "none", help_heading = "Election")]
    pub election: Election,
    /// A member of the etcd cluster (repeatable, commas allowed)
    #[arg(long, value_name = "URL", value_delimiter = ',', help_heading = "Election")]
    pub etcd: Vec<String>,
    /// Limits
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How a watcher logs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Who decides which of several watchers writes.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Election {
    /// This watcher is the only one
    #[default]
    None,
    /// A lease for each target in etcd; the record must be shared
    Etcd,
}

/// What to do after a failure.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    /// Go on with what does not depend on it
    Continue,
    /// Start nothing more
    Stop,
}
