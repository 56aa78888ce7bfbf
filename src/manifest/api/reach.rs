//! Which object a write reaches. One that names none would reach the whole list: a DELETE without a name empties it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{FieldPath, Kind, KindRules};

use super::reader::Reader;
use super::{ApiOperation, ApiType, Body, BodyTemplate, Choice, Hole, Template};

/// Checks that each update and each delete names its object: by its key, or by an id that only the object has.
pub(super) fn check(
    reader: &mut Reader<'_>,
    types: &BTreeMap<Kind, ApiType>,
    tables: &BTreeMap<Kind, KindRules>,
    params: &[String],
) {
    for (kind, ty) in types {
        let Some(rules) = tables.get(kind) else { continue };
        for (word, operation) in [("update", &ty.update), ("delete", &ty.delete)] {
            let Some(operation) = operation else { continue };
            let missing = unnamed(ty, rules, operation, params);
            if missing.is_empty() {
                continue;
            }
            let names: Vec<String> = missing.iter().map(|name| format!("`{{{name}}}`")).collect();
            let message = format!(
                "`{} {}` does not say which `{kind}` is meant, and may reach all of them: {} (or the `{{id}}` that the \
                 server gives it) is missing in its address and its body",
                operation.method.as_str(),
                operation.path,
                names.join(" and "),
            );
            reader.error(&format!("types/{kind}/{word}"), message);
        }
    }
}

/// The key fields by which a write would have to name its object, and does not; nothing if it is named.
fn unnamed<'r>(ty: &ApiType, rules: &'r KindRules, write: &ApiOperation, params: &[String]) -> Vec<&'r str> {
    let above: BTreeSet<usize> = rules.parent.iter().flat_map(|parent| parent.fields.iter().copied()).collect();
    let (shared, own): (Vec<_>, Vec<_>) = rules.key.iter().enumerate().partition(|(at, _)| above.contains(at));
    let pairs = write.query.iter().chain(&write.headers).chain(&ty.query).chain(&ty.headers);
    let sent = pairs.flat_map(|(_, template)| template.holes());
    let within = match &write.body {
        Body::Template(template) => BodyTemplate::holes(template),
        Body::None | Body::All | Body::Merged | Body::Changes | Body::Fields => Vec::new(),
    };
    let holes: Vec<&Hole> = Template::holes(&write.path).chain(sent).chain(within).collect();
    let paths: BTreeSet<FieldPath> = holes.iter().map(|hole| hole.path()).collect();
    // What is neither a key field nor somebody else's is the object's own: an id, which stands for the whole key.
    let of_others = |hole: &Hole| {
        let path = hole.path();
        params.contains(&hole.name)
            || ty.version.as_ref() == Some(&path)
            || shared.iter().any(|(_, key)| key.path == path)
            || rules.ancestors.iter().any(|rule| rule.hole == hole.name)
    };
    let is_id = |hole: &Hole| !of_others(hole) && own.iter().all(|(_, key)| key.path != hole.path());
    // A body that holds the whole object names it, unless the key stands in the address alone.
    let pours = matches!(write.body.choice(), Choice::Stated | Choice::Merged) && !write.body.names_all();
    let named = |name: &str, path: &FieldPath| paths.contains(path) || (pours && !ty.path_only.contains(name));
    if Template::holes(&write.path).any(is_id) || holes.iter().any(|hole| is_id(hole) && !is_stated(rules, hole)) {
        return Vec::new();
    }
    own.into_iter().filter(|(_, key)| !named(&key.name, &key.path)).map(|(_, key)| key.name.as_str()).collect()
}

/// A field that manifests state is no id: `{value}` in a body says nothing of which object is meant.
fn is_stated(rules: &KindRules, hole: &Hole) -> bool {
    let path = hole.path();
    let server = rules.server.contains(&path) || rules.fields.get(&path).is_some_and(|rule| rule.server);
    !server && rules.fields.keys().any(|field| field.contains(&path) || path.contains(field))
}

#[cfg(test)]
mod tests {
    use super::super::ApiDescription;

    fn complaint(types: &str) -> String {
        match ApiDescription::parse("t.yaml", &format!("api: t\netag: if-match\ntypes:\n  {types}\n")) {
            Ok(_) => String::new(),
            Err(errors) => errors.iter().map(|e| e.message.clone()).collect::<Vec<_>>().join("\n"),
        }
    }

    #[test]
    fn a_delete_that_names_no_object_is_an_error() {
        for (types, missing) in [
            ("s: {path: \"/s/{n}\", delete: /s}", "`{n}`"),
            ("s: {path: \"/s/{id}\", key: [n], delete: {delete: /s, query: {force: yes}}}", "`{n}`"),
            ("s: {key: [n], list: /s, update: none, delete: {post: /s/delete, body: {all: true}}}", "`{n}`"),
            ("s: {key: [n], list: /s, version: v, update: none, delete: {post: /d, body: {if: \"{v}\"}}}", "`{n}`"),
            ("s: {key: [a, n], list: /s, update: none, delete: {post: /d, body: {a: \"{a}\"}}}", "`{n}`"),
            ("{p: {path: \"/p/{n}\"}, s: {in: p, path: \"/p/{p}/s/{n}\", delete: \"/p/{p}/s\"}}", "`{n}`"),
            (
                "{p: {path: \"/p/{id}\", key: [n]}, s: {in: p, key: [p, n], list: \"/p/{p.id}/s\", update: none, delete: \"/p/{p.id}\"}}",
                "`{n}`",
            ),
        ] {
            let told = complaint(types);
            assert!(told.contains("does not say which") && told.contains(missing), "{types}: {told}");
        }
    }

    #[test]
    fn an_update_that_names_no_object_is_an_error() {
        for types in [
            "s: {path: \"/s/{n}\", update: {patch: /s, body: changes}}",
            "s: {path: \"/s/{n}\", update: {put: /s, body: {v: \"{v}\"}}, fields: {v: {default: 1}}}",
            "s: {path: \"/s/{n}\", path-only: [n], update: {put: /s, body: all}}",
        ] {
            assert!(complaint(types).contains("does not say which"), "{types}");
        }
    }

    #[test]
    fn an_object_is_named_by_its_key_or_by_an_id_of_its_own() {
        for types in [
            "s: {path: \"/s/{id}\", key: [n]}",
            "s: {path: \"/s/{n}\", update: {put: /s, body: all}}",
            "s: {key: [n], list: /s, update: none, delete: {post: /d, body: {name: \"{n}\"}}}",
            "s: {key: [n], list: /s, update: none, delete: {delete: /d, query: {id: \"{id}\"}}}",
            "s: {path: /s, key: []}",
            "{p: {path: \"/p/{n}\"}, s: {in: p, path: \"/p/{p}/s\", key: [p], list: {get: \"/p/{p}/s\", shape: one}, delete: \"/p/{p}/s\"}}",
            "{p: {path: \"/p/{n}\"}, s: {in: p, path: \"/p/{p}/s/{n}\", delete: {post: \"/p/{p}/out\", body: {n: [\"{n}\"]}}}}",
        ] {
            assert_eq!(complaint(types), "", "{types}");
        }
    }
}
