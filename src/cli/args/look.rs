//! To look: `status`, `history`, `show`, `events`, `target`.

use clap::{Args, Subcommand};

use super::values::{Since, named, since};
use super::{Plain, RemoteArgs, SourceArgs};

/// `ctl status`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl status                              all targets, and why what is not well is not
  ctl status dns                          one target
  ctl status dns:rrset/shop.example./www.shop.example./A
                                          why this resource is not in sync
  ctl status 'mq:queue/*'                 all queues that something waits for
  ctl status --watch                      again and again, until interrupted
  ctl status --server https://ctl.example:9090 --token-file token

It asks the watcher of this project. Without one it reads the targets itself, as `ctl plan` does,
and writes nothing.

Exit codes: 0 if all is well and nothing waits; 3 if something is failing, waits, is in doubt,
suspended, held or left out, the source is away, or the watcher is not ready; 4 or 8 if every
endpoint is failing because it does not let us in or does not answer; 5, 7 or 9 if something is
refused, as `ctl plan` says it. A target where another watcher leads counts as well.")]
pub struct StatusArgs {
    /// A target, target/endpoint, or an address target:kind/field/field (globs allowed)
    #[arg(value_name = "SELECTOR", conflicts_with = "targets")]
    pub selector: Option<String>,
    /// Only this target (repeatable, globs allowed)
    #[arg(short, long = "target", value_name = "TARGET", help_heading = "Selection")]
    pub targets: Vec<String>,
    /// Show it again whenever it changes: every 2 seconds on a terminal, else a new block for each change
    #[arg(short, long)]
    pub watch: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
    /// Which watcher
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `ctl events`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl events                              all that the watcher still knows
  ctl events --since 10m -t dns           the last ten minutes of one target
  ctl events --follow                     and what comes, until interrupted
  ctl events --follow -o json | jq .      one JSON object a line")]
pub struct EventsArgs {
    /// From so long ago on (10m, 2h), or after the event with this number
    #[arg(long, value_name = "DUR|SEQ", value_parser = since)]
    pub since: Option<Since>,
    /// Go on with what comes; after a lost connection from where it was
    #[arg(short, long)]
    pub follow: bool,
    /// Only this target, and what concerns all of them (repeatable, globs allowed)
    #[arg(short, long = "target", value_name = "TARGET", help_heading = "Selection")]
    pub targets: Vec<String>,
    /// How to print; json is one object a line
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
    /// Which watcher
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `ctl history`
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Source
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only this target (repeatable, globs allowed)
    #[arg(short, long = "target", value_name = "TARGET", help_heading = "Selection")]
    pub targets: Vec<String>,
    /// How many versions of each target
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}

/// `ctl show`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl show dns:rrset/shop.example./www.shop.example./A     a resource: declared, recorded, live
  ctl show dns@12                                           version 12 of a target")]
pub struct ShowArgs {
    /// An address (target:kind/field/field) or a version (target@number)
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Source
    #[arg(long, value_name = "SOURCE", default_value = ".", value_parser = named, help_heading = "Source")]
    pub source: String,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}

/// `ctl target …`
#[derive(Subcommand, Debug)]
pub enum TargetCommand {
    /// List the targets of a project
    List(TargetArgs),
    /// Describe one target: endpoints, kinds, how writes are guarded
    Describe(DescribeArgs),
}

/// `ctl target list`
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// Source
    #[command(flatten)]
    pub source: SourceArgs,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}

/// `ctl target describe`
#[derive(Args, Debug)]
pub struct DescribeArgs {
    /// The target
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Source
    #[arg(long, value_name = "SOURCE", default_value = ".", value_parser = named, help_heading = "Source")]
    pub source: String,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}
