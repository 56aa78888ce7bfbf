//! What several commands take: a source, a selection, limits, a watcher, a way to print.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{named, rate};

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
        value_parser = named,
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
    #[arg(long, value_name = "SOURCE", default_value = ".", value_parser = named, help_heading = "Watcher")]
    pub source: String,
}
