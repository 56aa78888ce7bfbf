//! The references that a `spec` makes.

use super::draft::Reference;
use super::paths::{concrete, expand};
use super::spec::One;
use super::trouble::{in_spec, root};
use crate::model::{ResourceId, Value};

impl One<'_> {
    pub(super) fn references(&self, spec: &Value, id: &ResourceId) -> Vec<Reference> {
        let mut out = Vec::new();
        for rule in &self.rules.refs {
            let Some(rules) = self.table.get(&rule.kind) else { continue };
            for path in expand(spec, &rule.field) {
                let Some(value) = spec.get(&path).filter(|v| !matches!(v, Value::Null | Value::Secret(_))) else {
                    continue;
                };
                let mut object = Value::object();
                if rule.through.is_empty() {
                    if let Some(field) = rules.key.last() {
                        object.set(&field.path, value.clone());
                    }
                } else {
                    for (field, through) in rules.key.iter().zip(&rule.through) {
                        let from = concrete(through, &rule.field, &path);
                        if let Some(part) = spec.get(&from) {
                            object.set(&field.path, part.clone());
                        }
                    }
                }
                if let Ok(key) = rules.key_of(&object) {
                    let to = ResourceId { target: id.target.clone(), kind: rule.kind.clone(), key };
                    let ignored = rules.ignores(&object);
                    out.push(Reference { path: in_spec(&path), to, ignored, optional: rule.optional, parent: false });
                }
            }
        }
        if let Some(parent) = &self.rules.parent
            && let Some(rules) = self.table.get(&parent.kind)
            && let Some(key) = self.rules.parent_key(&id.key)
        {
            let mut object = Value::object();
            for (field, value) in rules.key.iter().zip(key.values()) {
                object.set(&field.path, value);
            }
            // The parent's own normal form decides, as it does for the parent's manifest.
            if let Ok(key) = rules.key_of(&object) {
                let field = parent.fields.last().and_then(|i| self.rules.key.get(*i));
                let path = field.map_or_else(|| root("spec"), |f| in_spec(&f.path));
                let to = ResourceId { target: id.target.clone(), kind: parent.kind.clone(), key };
                out.push(Reference { path, to, ignored: rules.ignores(&object), optional: false, parent: true });
            }
        }
        out
    }
}
