//! One document into what it wants at each of its targets.

mod draft;
mod envelope;
mod paths;
mod references;
mod spec;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::ParsedDocument;
use super::hint;
use super::project::shown;
use crate::model::{FieldPath, Kind, KindTable, Project, TargetName, Value};
use envelope::envelope;
use spec::{One, looked_at};
use trouble::{root, some};

pub(super) use draft::{Draft, Reference};
pub(super) use trouble::{Outcome, Trouble, in_spec};

/// Everything that a document is read against.
pub(super) struct Context<'a> {
    pub(super) project: &'a Project,
    pub(super) kinds: &'a BTreeMap<TargetName, Arc<KindTable>>,
}

/// Reads one document.
pub(super) fn build(context: &Context<'_>, document: &ParsedDocument) -> Outcome {
    let mut out = Outcome::default();
    let head = document.head.value();
    let Some(map) = head.as_object() else { return out };
    for (path, name) in document.references.iter().filter(|(p, _)| p.segments().first().is_none_or(|s| s != "spec")) {
        let message = format!("`$value: {}` stands outside `spec`", shown(name));
        out.tell("bad-reference", path.clone(), message, some("only fields of `spec` can be references"));
    }
    if head.holds_secret() {
        out.tell(
            "bad-reference",
            FieldPath::root(),
            "`$secret` stands outside `spec`",
            some("only fields of `spec` can be references"),
        );
    }
    if !out.troubles.is_empty() {
        return out;
    }
    let Some(envelope) = envelope(context, map, document, &mut out) else { return out };
    let mut spec = match &document.spec {
        Some(spec) => match envelope.targets.as_slice() {
            [(target, _)] => looked_at(context, target, &envelope.kind, document, spec),
            _ => None,
        }
        .unwrap_or_else(|| spec.value()),
        None => Value::object(),
    };
    if spec.as_object().is_none() {
        out.tell(
            "wrong-type",
            root("spec"),
            format!("`spec` is {}, not a mapping", spec.noun()),
            some("write its fields below it, indented: `spec: {name: x}`"),
        );
        return out;
    }
    let mut last: Option<(&Arc<KindTable>, Draft)> = None;
    for (target, config) in &envelope.targets {
        let Some(table) = context.kinds.get(*target) else {
            let message = format!("the API description of the target `{target}` is not at hand");
            out.tell("no-description", root("apiVersion"), message, None);
            continue;
        };
        if let Some((known, draft)) = &last
            && Arc::ptr_eq(known, table)
            && document.references.is_empty()
        {
            let draft = draft.at(target);
            out.drafts.push(draft);
            continue;
        }
        let Some(rules) = table.get(&envelope.kind) else {
            let help =
                hint::did_you_mean(envelope.kind.as_str(), "kinds of this API", table.kinds.keys().map(Kind::as_str));
            let message = format!("`{}` is not a kind of `{}`", shown(envelope.kind.as_str()), config.api);
            out.tell("unknown-kind", root("kind"), message, help);
            continue;
        };
        let one = One { context, document, envelope: &envelope, table, rules, target, config };
        let value = if envelope.targets.len() == 1 { std::mem::replace(&mut spec, Value::Null) } else { spec.clone() };
        if let Some(draft) = one.draft(value, &mut out) {
            last = Some((table, draft.clone()));
            out.drafts.push(draft);
        }
    }
    out
}
