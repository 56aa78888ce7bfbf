//! To start: `init`, `validate`, `explain`.

use std::path::PathBuf;

use clap::Args;

use super::{Plain, SourceArgs};

/// `ctl init`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl init                    here, for the embedded reference server
  ctl init infra/dns          in a folder

It never overwrites a file.")]
pub struct InitArgs {
    /// Where
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The project's name [default: the folder's]
    #[arg(long)]
    pub name: Option<String>,
}

/// `ctl validate`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl validate                what HEAD says
  ctl validate --dirty        what the work tree says
  ctl validate --api apis/widgets.yaml")]
pub struct ValidateArgs {
    /// Source
    #[command(flatten)]
    pub source: SourceArgs,
    /// Check the files of the work tree, committed or not
    #[arg(long, help_heading = "Source")]
    pub dirty: bool,
    /// Check this API description and nothing else (repeatable)
    #[arg(long, value_name = "FILE")]
    pub api: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}

/// `ctl explain`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl explain duplicate-key
  ctl explain dns:zone
  ctl explain ctl:service")]
pub struct ExplainArgs {
    /// An error code, or api:kind, or target:kind
    #[arg(value_name = "WHAT")]
    pub what: Option<String>,
}
