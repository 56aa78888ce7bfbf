//! The arguments of the commands, by what one wants of them, as the first help lists them.

mod command;
mod common;
mod look;
mod reconcile;
mod record;
mod start;
mod steer;
mod tools;
mod values;

pub(super) use command::{Command, Global, When};

pub use command::Cli;
pub(super) use common::{LeaveArgs, LimitArgs, Output, Plain, RemoteArgs, SelectionArgs, SourceArgs};
pub(super) use look::{DescribeArgs, EventsArgs, HistoryArgs, ShowArgs, StatusArgs, TargetArgs, TargetCommand};
pub(super) use reconcile::{ApplyArgs, Election, LogFormat, OnError, PlanArgs, WatchArgs};
pub(super) use record::{RebuildArgs, RecordArgs, RecordCommand, ReleaseArgs};
pub(super) use start::{ExplainArgs, InitArgs, ValidateArgs};
pub(super) use steer::{ApproveArgs, OrderArgs, ResumeArgs, RetryArgs, RollbackArgs, SuspendArgs};
pub(super) use tools::{CompletionsArgs, ManArgs, ServeArgs, VersionArgs};
pub(super) use values::Since;
