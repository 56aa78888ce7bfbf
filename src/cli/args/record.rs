//! The record of what `ctl` owns: `record`, `release`.

use clap::{Args, Subcommand};

use super::values::named;
use super::{Plain, SourceArgs};

/// `ctl record …`
#[derive(Subcommand, Debug)]
pub enum RecordCommand {
    /// List what ctl owns
    Show(RecordArgs),
    /// Check the record against itself and against the targets
    Verify(RecordArgs),
    /// Make a lost record anew: adopt again what bears our mark (asks first)
    Rebuild(RebuildArgs),
}

/// `ctl record show` and `verify`
#[derive(Args, Debug)]
pub struct RecordArgs {
    /// Source
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only this target (repeatable, globs allowed)
    #[arg(short, long = "target", value_name = "TARGET", help_heading = "Selection")]
    pub targets: Vec<String>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}

/// `ctl record rebuild`
#[derive(Args, Debug)]
pub struct RebuildArgs {
    /// What record show takes
    #[command(flatten)]
    pub record: RecordArgs,
    /// Do not ask
    #[arg(short, long, help_heading = "Safety")]
    pub yes: bool,
}

/// `ctl release`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl release 'mq:queue/shop/*'     stop managing these queues; they stay as they are")]
pub struct ReleaseArgs {
    /// Addresses (globs allowed): target:kind/field/field
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Source
    #[arg(long, value_name = "SOURCE", default_value = ".", value_parser = named, help_heading = "Source")]
    pub source: String,
    /// Do not ask
    #[arg(short, long, help_heading = "Safety")]
    pub yes: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}
