//! The words of the domain: data only, no network, no clock, no terminal.
//!
//! Every other room speaks in these types. What a user writes becomes [`Desired`], what a server says becomes
//! [`Observed`], and the two cannot be swapped. A [`Complete`] read is a type of its own, as is the proof that a
//! resource is ours to delete ([`Owned`]).

mod after;
mod complete;
mod diagnostic;
mod entries;
mod host;
mod id;
mod json;
mod limits;
mod members;
mod misleads;
mod number;
mod orders;
mod owner;
mod parallel;
mod path;
mod plain;
mod project;
mod record;
mod resource;
mod schema;
mod scope;
mod secret;
mod span;
mod standing;
mod status;
mod tree;
mod value;
mod version;

pub use after::AfterCall;
pub use complete::{Complete, Incomplete, Tally};
pub use diagnostic::{Diagnostic, Label, Severity};
pub use entries::Entries;
pub use host::names_this_machine;
pub use id::{BadName, EndpointName, Key, Kind, Mark, ProjectName, ResourceId, TargetName, glob_matches, spelled};
pub use json::{
    Canonical, JsonError, JsonSpelling, MAX_DEPTH, parse as parse_json, write_json, write_object, write_string,
};
pub use limits::Limits;
pub use members::members;
pub use misleads::misleads;
pub use number::Number;
pub use orders::{Approved, Orders, Pinned, Resumed, Suspended};
pub use owner::{OwnRule, Owned};
pub use parallel::on_all_cores;
pub use path::FieldPath;
pub use project::{Endpoint, Own, Project, RecordPlace, Snapshot, TargetConfig};
pub use record::{EndpointRecord, Guard, Intent, IntentOp, Process, Record, RecordEntry, RecordHead};
pub use resource::{DependsOn, Desired, Meta, Observed, OnRemove, Origin, ReplaceRule};
pub use schema::{
    AncestorRule, Each, FieldRule, Form, Inits, KeyField, KindRules, KindTable, Match, OnDelete, OwnerRule, ParentRule,
    RefRule, SecretMode, Unordered, UpdateMode, Wire,
};
pub use scope::{Changes, Cursor, Listing, Observation, Scope, ScopeState};
pub use secret::{Secret, SecretRef};
pub use span::{SourceFile, Span, Spans};
pub use status::{
    Answer, ElectionStatus, EndpointStatus, Holding, LastRequest, MAX_PENDING, Order, PendingStatus, Quarantined,
    RefusalStatus, ResourceStatus, SourceStatus, Stamp, State, Status, Suspension, TargetStatus, VersionStatus,
};
pub use tree::{FileMode, Tree, TreeEntry};
pub use value::Value;
pub use version::{Digest, Opaque, Revision};
