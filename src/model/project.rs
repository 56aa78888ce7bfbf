//! A project as `ctl.yaml` says it, and the desired state of one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Desired, Diagnostic, Digest, EndpointName, Guard, ProjectName, Revision, Span, TargetName, Value};

/// `ctl.yaml`, read and checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// Its name.
    pub name: ProjectName,
    /// Its folder from the repository's root, `""` for the root itself.
    pub folder: String,
    /// Folders of manifests, from the repository's root; empty means the project's own folder.
    pub manifests: Vec<String>,
    /// Where the record is.
    pub record: RecordPlace,
    /// What the record's refs begin with, where it is kept on refs and not where `ctl` keeps it by itself.
    pub record_refs: Option<String>,
    /// Values of the root, for `$value`.
    pub values: BTreeMap<String, Value>,
    /// The targets.
    pub targets: BTreeMap<TargetName, TargetConfig>,
}

/// Where the record of a project is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RecordPlace {
    /// On refs of the source repository, local only.
    #[default]
    Local,
    /// On refs, pushed to a remote: a configured remote's name, or a URL that the operator's file allows.
    Push(String),
    /// In a folder of the machine that the operator's file allows.
    File(String),
}

/// One target of a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetConfig {
    /// The API description's name.
    pub api: String,
    /// The endpoints, by name.
    pub endpoints: BTreeMap<EndpointName, Endpoint>,
    /// How it is owned.
    pub own: Own,
    /// Requests in flight per endpoint, at most. 8 by default.
    pub concurrency: Option<u32>,
    /// Requests per second, at most; none by default.
    pub rate: Option<u32>,
    /// How many requests may come at once under `rate`.
    pub burst: Option<u32>,
    /// How much may go or change in one run.
    pub guard: Guard,
    /// False for `marks: off`.
    pub marks: bool,
    /// Values for `$value`, and the description's `params`.
    pub values: BTreeMap<String, Value>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// One instance of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// An absolute `http` or `https` URL without user and password, or `embedded`.
    pub url: String,
    /// The name under which the operator holds a credential.
    pub credentials: Option<String>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// How a target is owned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Own {
    /// Only what the record names is ever deleted.
    #[default]
    Recorded,
    /// What is there and not declared goes.
    Exclusive,
}

/// The desired state of one commit, read completely.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The commit.
    pub revision: Revision,
    /// SHA-256 of the project file and all bodies and metadata in canonical form: two commits with one tree are one.
    pub digest: Digest,
    /// The project.
    pub project: Project,
    /// What is wanted, sorted by id: one for each target that a manifest names.
    pub desired: Vec<Arc<Desired>>,
    /// Warnings and notes.
    pub diagnostics: Vec<Diagnostic>,
    /// Manifest folders of `ctl.yaml` that the tree does not have.
    pub missing_folders: Vec<String>,
}
