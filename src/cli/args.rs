use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// How to print.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// A pull-request comment
    Markdown,
}

/// How to print, where there is no Markdown.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Plain {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// Where the desired state comes from.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// A path inside a repository (its HEAD), or a URL with an optional folder and revision
    #[arg(
        value_name = "SOURCE",
        default_value = ".",
        help = "A path inside a repository (its HEAD), or a URL: URL[//folder][?ref=main]"
    )]
    pub source: String,
    /// Read this commit, branch or tag instead of HEAD
    #[arg(long, value_name = "REV", help_heading = "Source")]
    pub rev: Option<String>,
    /// Take ctl.yaml and apis/ from another revision, such as a pull request's base
    #[arg(long, value_name = "REV", help_heading = "Source")]
    pub trust: Option<String>,
}

/// Which part of the project.
#[derive(Args, Clone, Debug, Default)]
pub struct SelectionArgs {
    /// Only this target (repeatable, globs allowed)
    #[arg(short, long = "target", value_name = "TARGET", help_heading = "Selection")]
    pub targets: Vec<String>,
    /// Only resources with these labels: team=shop,tier!=test (repeatable; all must hold)
    #[arg(short = 'l', long = "selector", value_name = "SELECTOR", help_heading = "Selection")]
    pub selectors: Vec<String>,
}

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

/// What a run may do beyond the ordinary.
#[derive(Args, Clone, Debug, Default)]
pub struct LeaveArgs {
    /// Let this very set of deletes through the guards (the plan names the sum)
    #[arg(long, value_name = "SUM", help_heading = "Safety")]
    pub allow_deletes: Option<String>,
    /// Let the updates of this very plan through the guards (the plan names the sum)
    #[arg(long, value_name = "SUM", help_heading = "Safety")]
    pub allow_updates: Option<String>,
    /// Let immutable changes delete and create again
    #[arg(long, help_heading = "Safety")]
    pub allow_replace: bool,
    /// Go on from COMMIT although it does not descend from what was applied (a force-push)
    #[arg(long, value_name = "COMMIT", help_heading = "Safety")]
    pub accept_rewrite: Option<String>,
}

/// How fast.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitArgs {
    /// Requests in flight per endpoint, at most [default: 8, or the target's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Limits")]
    pub concurrency: Option<u32>,
    /// Requests per second and endpoint, at most: 50/s
    #[arg(long, value_name = "R/s", value_parser = rate, help_heading = "Limits")]
    pub rate: Option<u32>,
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
  ctl watch                                    the project around the current folder, every 30 seconds
  ctl watch --listen 127.0.0.1:9090            with status, metrics, webhook and orders
  ctl watch --once                             one cycle, then exit as `ctl apply` does
  ctl watch --dry-run                          report drift, never write
  ctl watch 'https://forge.example/shop.git//prod?ref=main' --interval 1m
  ctl watch --election etcd --etcd https://etcd-1.example:2379 --etcd https://etcd-2.example:2379

SIGTERM: begin nothing new, finish what is in flight, give the leases back, exit 0. SIGHUP: look again now.")]
pub struct WatchArgs {
    /// Paths inside of repositories (their HEAD), or URLs with an optional folder and revision
    #[arg(
        value_name = "SOURCE",
        default_value = ".",
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

/// Which watcher is spoken to, and with which token.
#[derive(Args, Clone, Debug)]
pub struct RemoteArgs {
    /// The watcher's address [default: the one that the watcher of this project wrote down]
    #[arg(long, value_name = "URL", env = "CTL_SERVER", help_heading = "Watcher")]
    pub server: Option<String>,
    /// File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]
    #[arg(long, value_name = "FILE", help_heading = "Watcher")]
    pub token_file: Option<PathBuf>,
    /// The project whose watcher is meant: a path, or URL[//folder]
    #[arg(long, value_name = "SOURCE", default_value = ".", help_heading = "Watcher")]
    pub source: String,
}

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

It asks the watcher of this project. Without one it reads the targets itself, as `ctl plan` does, and writes nothing.

Exit codes: 0 if all is well and nothing waits; 3 if something is failing, waits, is in doubt, suspended, held or left out,
the source is away, or the watcher is not ready; 4 or 8 if every endpoint is failing because it does not let us in or does
not answer; 5, 7 or 9 if something is refused, as `ctl plan` says it. A target where another watcher leads counts as
well.")]
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

/// Where to begin in a watcher's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// After this number.
    Seq(u64),
    /// So long ago.
    Ago(Duration),
}

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

/// `ctl retry`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl retry                   everything that waits for its next try
  ctl retry -t dns            one target")]
pub struct RetryArgs {
    /// Only this target (a glob)
    #[arg(short, long, value_name = "TARGET", help_heading = "Selection")]
    pub target: Option<String>,
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
    /// Only this target (a glob)
    #[arg(short, long, value_name = "TARGET", help_heading = "Selection")]
    pub target: Option<String>,
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
    /// Only this target (a glob)
    #[arg(short, long, value_name = "TARGET", help_heading = "Selection")]
    pub target: Option<String>,
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
    #[arg(long, value_name = "SOURCE", default_value = ".", help_heading = "Source")]
    pub source: String,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}

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
    #[arg(long, value_name = "SOURCE", default_value = ".", help_heading = "Source")]
    pub source: String,
    /// Do not ask
    #[arg(short, long, help_heading = "Safety")]
    pub yes: bool,
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
    #[arg(long, value_name = "SOURCE", default_value = ".", help_heading = "Source")]
    pub source: String,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Plain,
}

/// `ctl serve`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ctl serve --data /var/lib/ctl-demo
  ctl serve --listen 127.0.0.1:8080 --data ./data --rate 200/s
  ctl serve --data ./data --faults slow=50ms,drop-answer=0.02

Faults, with commas between them; a SHARE is a number from 0 to 1, of all requests:
  slow=TIME[:SHARE]    wait before anything is done (200ms, 2s)
  drop-request=SHARE   close the connection, nothing done
  drop-answer=SHARE    do it, then close the connection without an answer
  truncate=SHARE       do it, and send half of the answer's body
  html=SHARE           answer 200 with a login page, nothing done
  throttle=SHARE       answer 429 with Retry-After, nothing done
  status=CODE[:SHARE]  answer CODE, nothing done
  lie=SHARE            acknowledge a write and store nothing
  conflict=SHARE       answer a write 412, nothing done; reads go on
  fail-page=N          answer page N of a list with 500
  gone-page=N          answer page N of a list with 410
  loop-page=N          send the token of page N as that of the next page
  seed=N               draw other chances; the same seed gives the same ones")]
pub struct ServeArgs {
    /// Where to listen; without a token only on loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Folder of the durable data
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Requests per second and client; more is answered 429
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub rate: Option<u32>,
    /// File that holds the bearer token that clients must send
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Schema of further kinds
    #[arg(long, value_name = "FILE")]
    pub kinds: Option<PathBuf>,
    /// Misbehave on purpose, for tests (the list is below): slow=200ms,conflict=0.05,seed=7
    #[arg(long, value_name = "SPEC")]
    pub faults: Option<String>,
    /// Count requests at /debug/requests, for benchmarks
    #[arg(long)]
    pub debug_counters: bool,
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

/// `ctl completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// For which shell
    pub shell: clap_complete::Shell,
}

/// `ctl man`
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write a page for each command into DIR
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `ctl version`
#[derive(Args, Debug)]
pub struct VersionArgs {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Plain,
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("write a whole number of requests per second, such as 50/s".to_owned()),
    }
}

/// `90s`, `5m`, `1h30m`, `1d`; a bare number is seconds. A day is 24 hours.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let help = || "write a duration such as 90s, 5m, 2h or 1d".to_owned();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    if let Some(Ok(days)) = text.strip_suffix('d').map(str::parse::<u64>) {
        return days.checked_mul(86_400).map(Duration::from_secs).ok_or_else(help);
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| help())?;
    Duration::try_from(span).map_err(|_| help())
}

/// The number of an event, or how long ago.
fn since(text: &str) -> Result<Since, String> {
    if let Ok(seq) = text.parse() {
        return Ok(Since::Seq(seq));
    }
    duration(text).map(Since::Ago).map_err(|_| "write how long ago (10m, 2h), or the number of an event".to_owned())
}

/// Below a second a watcher would only ask, and above a day it would not watch.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&interval);
    fits.then_some(interval).ok_or_else(|| "write an interval from 1s to 1d, such as 30s".to_owned())
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
    fn rates_and_durations_are_read_with_their_units() {
        assert_eq!(rate("50/s"), Ok(50));
        assert!(rate("0").is_err());
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for bad in ["-1s", "d", "soon", "99999999999999999999d", "9999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
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

    #[test]
    fn events_begin_at_a_number_or_some_time_ago() {
        assert_eq!(since("17"), Ok(Since::Seq(17)));
        assert_eq!(since("10m"), Ok(Since::Ago(Duration::from_secs(600))));
        assert!(since("yesterday").is_err() && since("-5").is_err());
    }

    #[test]
    fn an_interval_neither_hammers_nor_sleeps_for_ever() {
        assert_eq!(interval("30s"), Ok(Duration::from_secs(30)));
        for bad in ["0", "999ms", "2d", "-1s"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
