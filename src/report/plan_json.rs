//! A plan as JSON.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::diagnostics::as_json;
use crate::model::{Canonical, Digest, Key, Kind, Span, TargetName, Value};
use crate::plan::{FieldDiff, Operation, Plan, PlannedCall, Precondition, Refusal, UnknownScope};

/// The version of the documents' shape. It only grows.
pub(super) const FORMAT_VERSION: &str = "1.0";

#[derive(Serialize)]
struct PlanDocument<'a> {
    format_version: &'static str,
    project: &'a str,
    commit: &'a str,
    checksum: String,
    deletes_checksum: String,
    summary: SummaryDocument,
    unknown_scopes: Vec<ScopeDocument<'a>>,
    diagnostics: Vec<serde_json::Value>,
    refusals: Vec<RefusalDocument<'a>>,
    operations: Vec<OperationDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<CallDocument<'a>>,
}

#[derive(Serialize)]
struct CallDocument<'a> {
    target: &'a str,
    endpoint: &'a str,
    call: &'a str,
    owed: bool,
}

#[derive(Serialize)]
struct SummaryDocument {
    delete: usize,
    create: usize,
    update: usize,
    replace: usize,
    adopt: usize,
    unchanged: usize,
    unknown: usize,
}

#[derive(Serialize)]
struct ScopeDocument<'a> {
    target: &'a str,
    endpoint: &'a str,
    kind: &'a str,
    parent: Option<String>,
    why: &'a str,
}

#[derive(Serialize)]
pub(super) struct RefusalDocument<'a> {
    gate: &'static str,
    target: &'a str,
    endpoint: Option<&'a str>,
    kind: Option<&'a str>,
    message: &'a str,
    help: &'a str,
}

#[derive(Serialize)]
struct OperationDocument<'a> {
    id: String,
    target: &'a str,
    endpoint: &'a str,
    kind: &'a str,
    address: String,
    key: KeyDocument,
    action: &'static str,
    replaces: Option<String>,
    cause: &'static str,
    precondition: PreconditionDocument<'a>,
    after: Vec<AfterDocument>,
    cascades: Vec<CascadeDocument<'a>>,
    rehearsed: bool,
    fields: Vec<FieldDocument<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum PreconditionDocument<'a> {
    Absent,
    Token { token: &'a str },
    Digest { digest: String },
    Unconditional { reason: &'a str },
}

#[derive(Serialize)]
struct AfterDocument {
    id: String,
    reason: String,
}

#[derive(Serialize)]
struct CascadeDocument<'a> {
    kind: &'a str,
    address: String,
    owned: bool,
    recreated: bool,
}

#[derive(Serialize)]
struct FieldDocument<'a> {
    path: String,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
    secret: bool,
    forces_replace: bool,
    cause: &'static str,
    source: Option<SourceDocument<'a>>,
}

#[derive(Serialize)]
struct SourceDocument<'a> {
    file: &'a str,
    line: u32,
    column: u32,
}

impl<'a> From<&'a Span> for SourceDocument<'a> {
    fn from(span: &'a Span) -> Self {
        Self { file: &span.file, line: span.line, column: span.column }
    }
}

/// The key's fields by name, in key order.
struct KeyDocument(Vec<(String, Option<Box<RawValue>>)>);

impl Serialize for KeyDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Names of a kind's key fields at a target, in key order.
pub type KeyNames<'a> = &'a dyn Fn(&TargetName, &Kind) -> Vec<String>;

/// `plan -o json`: one document, described by `docs/schemas/plan.schema.json`.
///
/// `key_names` gives the names of the key fields; a field without a name is called by its position.
pub fn plan_json(plan: &Plan, checksum: &Digest, deletes_checksum: &Digest, key_names: KeyNames<'_>) -> String {
    let summary = plan.summary();
    let document = PlanDocument {
        format_version: FORMAT_VERSION,
        project: plan.project.as_str(),
        commit: plan.commit.as_str(),
        checksum: checksum.to_string(),
        deletes_checksum: deletes_checksum.to_string(),
        summary: SummaryDocument {
            delete: summary.delete,
            create: summary.create,
            update: summary.update,
            replace: summary.replace,
            adopt: summary.adopt,
            unchanged: summary.unchanged,
            unknown: summary.unknown,
        },
        unknown_scopes: plan.unknown_scopes.iter().map(scope).collect(),
        diagnostics: plan.diagnostics.iter().map(as_json).collect(),
        refusals: plan.refusals.iter().map(refusal).collect(),
        operations: plan.operations.iter().map(|op| operation(op, key_names)).collect(),
        calls: plan.calls.iter().map(call).collect(),
    };
    written(&document)
}

fn call(planned: &PlannedCall) -> CallDocument<'_> {
    CallDocument {
        target: planned.target.as_str(),
        endpoint: planned.endpoint.as_str(),
        call: &planned.call.call,
        owed: planned.owed,
    }
}

/// The document with a line break at its end. All keys are texts, so that writing does not fail.
pub(super) fn written(document: &impl Serialize) -> String {
    match serde_json::to_string_pretty(document) {
        Ok(text) => super::sanitize::json(&text).into_owned() + "\n",
        Err(error) => format!("{{\"error\": {}}}\n", serde_json::Value::from(error.to_string())),
    }
}

fn scope(unknown: &UnknownScope) -> ScopeDocument<'_> {
    ScopeDocument {
        target: unknown.target.as_str(),
        endpoint: unknown.scope.endpoint.as_str(),
        kind: unknown.scope.kind.as_str(),
        parent: unknown.scope.parent.as_ref().map(Key::to_string),
        why: &unknown.why,
    }
}

pub(super) fn refusal(refusal: &Refusal) -> RefusalDocument<'_> {
    RefusalDocument {
        gate: refusal.gate,
        target: refusal.target.as_str(),
        endpoint: refusal.endpoint.as_ref().map(|e| e.as_str()),
        kind: refusal.kind.as_ref().map(|k| k.as_str()),
        message: &refusal.message,
        help: &refusal.help,
    }
}

fn operation<'a>(op: &'a Operation, key_names: KeyNames<'_>) -> OperationDocument<'a> {
    let names = key_names(&op.resource.target, &op.resource.kind);
    let name = |i: usize| names.get(i).cloned().unwrap_or_else(|| i.to_string());
    let key = op.resource.key.values().enumerate().map(|(i, value)| (name(i), raw(&value.canonical()))).collect();
    OperationDocument {
        id: op.id.to_string(),
        target: op.resource.target.as_str(),
        endpoint: op.endpoint.as_str(),
        kind: op.resource.kind.as_str(),
        address: op.resource.to_string(),
        key: KeyDocument(key),
        action: op.change.action().as_str(),
        replaces: op.replaces.map(|id| id.to_string()),
        cause: op.cause.as_str(),
        precondition: match &op.precondition {
            Precondition::Absent => PreconditionDocument::Absent,
            Precondition::Token(token) => PreconditionDocument::Token { token: token.as_str() },
            Precondition::Digest(digest) => PreconditionDocument::Digest { digest: digest.to_string() },
            Precondition::Unconditional(reason) => PreconditionDocument::Unconditional { reason },
        },
        after: op
            .after
            .iter()
            .map(|after| AfterDocument { id: after.op.to_string(), reason: after.reason.to_string() })
            .collect(),
        cascades: op
            .cascades
            .iter()
            .map(|cascade| CascadeDocument {
                kind: cascade.kind.as_str(),
                address: format!("{}:{}/{}", op.resource.target, cascade.kind, cascade.key),
                owned: cascade.owned,
                recreated: cascade.recreated,
            })
            .collect(),
        rehearsed: op.rehearsed,
        fields: op.fields.iter().map(field).collect(),
    }
}

fn field(field: &FieldDiff) -> FieldDocument<'_> {
    let shown = |value: &Option<Canonical>| {
        let value = value.as_ref()?;
        // A reference may be shown, a value may not.
        let open = !field.secret || matches!(value.value(), Value::Secret(_));
        if open { raw(value) } else { None }
    };
    FieldDocument {
        path: field.path.to_string(),
        before: shown(&field.before),
        after: shown(&field.after),
        secret: field.secret,
        forces_replace: field.forces_replace,
        cause: field.cause.as_str(),
        source: field.source.as_deref().map(SourceDocument::from),
    }
}

/// The very digits: a number of any size and exactness goes through.
fn raw(value: &Canonical) -> Option<Box<RawValue>> {
    RawValue::from_string(value.as_str().to_owned()).ok()
}
