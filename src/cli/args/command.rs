//! The commands, the flags that all of them take, and the first help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    ApplyArgs, ApproveArgs, CompletionsArgs, EventsArgs, ExplainArgs, HistoryArgs, InitArgs, ManArgs, PlanArgs,
    RecordCommand, ReleaseArgs, ResumeArgs, RetryArgs, RollbackArgs, ServeArgs, ShowArgs, StatusArgs, SuspendArgs,
    TargetCommand, ValidateArgs, VersionArgs, WatchArgs,
};

/// The first thing that a newcomer reads: the commands by what one wants. A test holds it to the commands themselves.
const HELP: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}

Start:
  init         Write a starter project: ctl.yaml and a first manifest
  validate     Check manifests and descriptions without contacting anything
  explain      Explain an error code, or the fields of a kind

Reconcile:
  plan         Show what would change, and change nothing
  apply        Make the targets what the commit says: delete, then create, then update
  watch        Keep the targets as the commit says: on every commit, on an interval, through outages

Look:
  status       Show how things stand: what is in sync, what is not, why, and what to do
  history      List what was applied: version, time, commit, who, result
  show         Show one applied version, or one resource as it is declared, recorded and live
  events       Show what a watcher did and what happened to it
  target       List targets, or describe one

Steer a watcher:
  retry        Tell a watcher to try again now, whatever waits
  suspend      Tell a watcher to write nothing until it is told to go on
  resume       Tell a watcher to go on, with the newest commit
  rollback     Tell a watcher to apply the commit of an older version, and to stay there
  approve      Let a refused plan through, once

The record of what ctl owns:
  record       Look at the record of what ctl owns, or rebuild it
  release      Forget resources without deleting them

Tools:
  serve        Run the reference server
  completions  Print a completion script for a shell
  man          Print the manual page, or write all of them
  version      Print the version
  help         Print this message or the help of the given subcommand(s)

Options:
{options}{after-help}";

/// Keeps anything that has an HTTP API in the state that a Git repository says.
///
/// `ctl plan` shows what a commit would change at your servers, field by field, with the line of the manifest that says
/// so. `ctl apply` carries it out: delete, then create, then update, each write under a precondition.
#[derive(Parser, Debug)]
#[command(
    name = "ctl",
    version,
    propagate_version = true,
    max_term_width = 100,
    help_template = HELP,
    after_help = "Start with `ctl init`, or see `ctl help apply`. `ctl explain CODE` tells more about an error."
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Flags that every command takes
    #[command(flatten)]
    pub global: Global,
}

/// Flags that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', long, value_name = "DIR", global = true, help_heading = "Global options")]
    pub chdir: Option<PathBuf>,
    /// Folder for mirrors, locks and the embedded server's data [default: $XDG_STATE_HOME/ctl]
    #[arg(long, value_name = "DIR", global = true, env = "CTL_STATE", help_heading = "Global options")]
    pub state: Option<PathBuf>,
    /// When to use colour
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        env = "CTL_COLOR",
        help_heading = "Global options"
    )]
    pub color: When,
    /// Say less: no progress, no warnings
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Say more on stderr: requests, retries (-vv: also what was read from where)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
}

/// When to use colour.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write a starter project: ctl.yaml and a first manifest
    Init(InitArgs),
    /// Check manifests and descriptions without contacting anything
    Validate(ValidateArgs),
    /// Show what would change, and change nothing
    Plan(PlanArgs),
    /// Make the targets what the commit says: delete, then create, then update
    Apply(ApplyArgs),
    /// Keep the targets as the commit says: on every commit, on an interval, through outages
    Watch(WatchArgs),
    /// Show how things stand: what is in sync, what is not, why, and what to do
    Status(StatusArgs),
    /// Show what a watcher did and what happened to it
    Events(EventsArgs),
    /// Tell a watcher to try again now, whatever waits
    Retry(RetryArgs),
    /// Tell a watcher to write nothing until it is told to go on
    Suspend(SuspendArgs),
    /// Tell a watcher to go on, with the newest commit
    Resume(ResumeArgs),
    /// Tell a watcher to apply the commit of an older version, and to stay there
    Rollback(RollbackArgs),
    /// Let a refused plan through, once
    Approve(ApproveArgs),
    /// List what was applied: version, time, commit, who, result
    History(HistoryArgs),
    /// Show one applied version, or one resource as it is declared, recorded and live
    Show(ShowArgs),
    /// Look at the record of what ctl owns, or rebuild it
    #[command(subcommand)]
    Record(RecordCommand),
    /// Forget resources without deleting them
    Release(ReleaseArgs),
    /// List targets, or describe one
    #[command(subcommand)]
    Target(TargetCommand),
    /// Run the reference server
    Serve(ServeArgs),
    /// Explain an error code, or the fields of a kind
    Explain(ExplainArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them
    Man(ManArgs),
    /// Print the version
    Version(VersionArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_each_command_with_its_own_words() {
        use clap::CommandFactory as _;
        let mut command = Cli::command();
        command.build();
        for sub in command.get_subcommands() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let line = format!("\n  {:<13}{about}\n", sub.get_name());
            assert!(HELP.contains(&line), "no {line:?}");
        }
        let listed = HELP.lines().filter(|line| line.starts_with("  ")).count();
        assert_eq!(listed, command.get_subcommands().count(), "a command that there is no more");
    }
}
