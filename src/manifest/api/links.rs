//! Ids that the server makes, in addresses and in references: which kinds have to be read before which.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AncestorRule, FieldPath, Kind, KindRules, RefRule};

use super::reader::Reader;
use super::{ApiOperation, ApiType, Body, BodyTemplate, Hole, Template, nearest};

/// A hole that an ancestor's id fills, `project.id`, taken apart: a kind and one of its fields. None for a plain field.
pub(super) fn split<'h, 'k>(hole: &'h str, kinds: impl Iterator<Item = &'k str>) -> Option<(&'h str, &'h str)> {
    // A kind may have a dot in its name: the longest that fits is meant.
    let fits = |kind: &'k str| hole.strip_prefix(kind)?.strip_prefix('.').filter(|field| !field.is_empty());
    let (kind, field) = kinds.filter_map(|kind| Some((kind, fits(kind)?))).max_by_key(|(kind, _)| kind.len())?;
    Some((&hole[..kind.len()], field))
}

/// Finds out whose ids the addresses of each kind hold.
pub(super) fn ancestors(
    reader: &mut Reader<'_>,
    types: &BTreeMap<Kind, ApiType>,
    tables: &mut BTreeMap<Kind, KindRules>,
    params: &[String],
) {
    let mut found: BTreeMap<Kind, Vec<AncestorRule>> = BTreeMap::new();
    for (kind, ty) in types {
        let mut seen = BTreeSet::new();
        let rules = found.entry(kind.clone()).or_default();
        for Dotted { place, hole, is_field } in dotted(ty) {
            if params.contains(&hole.name) || !seen.insert(&hole.name) {
                continue;
            }
            match ancestor(kind, &hole.name, types, tables) {
                Ok(Some(rule)) => rules.push(rule),
                Ok(None) if is_field => {}
                Ok(None) => {
                    let above = lineage(kind, tables);
                    let field = hole.name.split_once('.').map_or("id", |(_, field)| field);
                    let names: Vec<String> = above.iter().map(|(above, _)| format!("{above}.{field}")).collect();
                    let hint = nearest(&hole.name, names.iter().map(String::as_str));
                    let hint = hint.map(|word| format!("; did you mean `{{{word}}}`?")).unwrap_or_default();
                    let message = format!("`{{{}}}` is no field, and no kind has a name like that{hint}", hole.name);
                    reader.error(&format!("types/{kind}/{place}"), message);
                }
                Err(why) => reader.error(&format!("types/{kind}/{place}"), format!("`{{{}}}`: {why}", hole.name)),
            }
        }
    }
    for (kind, ancestors) in found {
        if let Some(rules) = tables.get_mut(&kind) {
            rules.ancestors = ancestors;
        }
    }
}

/// A hole with a dot in it.
struct Dotted<'t> {
    /// The word of the type under which it stands.
    place: &'static str,
    hole: &'t Hole,
    /// It may be a field of the object whose name has a dot.
    is_field: bool,
}

fn dotted(ty: &ApiType) -> Vec<Dotted<'_>> {
    fn of(pairs: &[(String, Template)]) -> impl Iterator<Item = &Hole> {
        pairs.iter().flat_map(|(_, template)| template.holes())
    }
    let mut holes: Vec<(&'static str, &Hole, bool)> = Vec::new();
    holes.extend(ty.path.iter().flat_map(Template::holes).map(|hole| ("path", hole, false)));
    let listed = ty.list.path.holes().chain(of(&ty.list.query));
    holes.extend(listed.chain(ty.list.body.iter().flat_map(BodyTemplate::holes)).map(|hole| ("list", hole, false)));
    if let Some(get) = &ty.get {
        holes.extend(get.path.holes().chain(of(&get.query)).map(|hole| ("get", hole, false)));
    }
    let operations =
        [("create", &ty.create), ("update", &ty.update), ("delete", &ty.delete), ("validate", &ty.validate)];
    for (place, operation) in operations {
        let Some(ApiOperation { path, query, headers, body, .. }) = operation else { continue };
        holes.extend(path.holes().chain(of(query)).chain(of(headers)).map(|hole| (place, hole, false)));
        if let Body::Template(template) = body {
            holes.extend(template.holes().into_iter().map(|hole| (place, hole, true)));
        }
    }
    holes.extend(of(&ty.headers).map(|hole| ("headers", hole, false)));
    holes.extend(of(&ty.query).map(|hole| ("query", hole, false)));
    let dotted = holes.into_iter().filter(|(_, hole, _)| hole.name.contains('.'));
    dotted.map(|(place, hole, is_field)| Dotted { place, hole, is_field }).collect()
}

/// The kinds that `kind` is in, the nearest first, each with the indexes of the parent's key fields that hold its key.
fn lineage(kind: &Kind, tables: &BTreeMap<Kind, KindRules>) -> Vec<(Kind, Vec<usize>)> {
    let mut out: Vec<(Kind, Vec<usize>)> = Vec::new();
    let mut here = tables.get(kind).and_then(|rules| rules.parent.as_ref());
    // A kind that is inside of itself is told elsewhere.
    while let Some(parent) = here.filter(|parent| out.iter().all(|(seen, _)| seen != &parent.kind)) {
        let fields = match out.last() {
            None => (0..parent.fields.len()).collect(),
            Some((_, below)) => parent.fields.iter().filter_map(|index| below.get(*index).copied()).collect(),
        };
        out.push((parent.kind.clone(), fields));
        here = tables.get(&parent.kind).and_then(|rules| rules.parent.as_ref());
    }
    out
}

/// What a hole of an address stands for; none where it names no kind at all.
fn ancestor(
    kind: &Kind,
    hole: &str,
    types: &BTreeMap<Kind, ApiType>,
    tables: &BTreeMap<Kind, KindRules>,
) -> Result<Option<AncestorRule>, String> {
    let Some((above, field)) = split(hole, types.keys().map(Kind::as_str)) else { return Ok(None) };
    let lineage = lineage(kind, tables);
    let Some((of, fields)) = lineage.iter().find(|(seen, _)| seen.as_str() == above) else {
        let names: Vec<String> = lineage.iter().map(|(seen, _)| format!("`{seen}`")).collect();
        return Err(match names.is_empty() {
            true => format!("`{kind}` is not inside of a `{above}`; if it is, say `in: {above}`"),
            false => format!("`{above}` is no ancestor of `{kind}`, which is in {}", names.join(", in ")),
        });
    };
    let (Some(ty), Some(rules)) = (types.get(of), tables.get(of)) else { return Ok(None) };
    let at = FieldPath::parse(field);
    let known = fields_of(ty, rules);
    if !known.contains(&at) {
        let names: Vec<String> = known.iter().map(spelled).collect();
        let hint = match nearest(field, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{{{of}.{near}}}`?"),
            None => format!("if the server shows one, say `server: [{field}]` there"),
        };
        return Err(format!("nothing says that a `{of}` has a field `{field}`; {hint}"));
    }
    Ok(Some(AncestorRule { hole: hole.to_owned(), kind: of.clone(), at, fields: fields.clone() }))
}

/// A field as a hole spells it: a name, or a pointer into what is nested.
fn spelled(path: &FieldPath) -> String {
    match path.segments() {
        [name] => name.clone(),
        _ => path.to_string(),
    }
}

/// The fields of a kind that its description names anywhere.
fn fields_of(ty: &ApiType, rules: &KindRules) -> BTreeSet<FieldPath> {
    let mut out: BTreeSet<FieldPath> = rules.key.iter().map(|field| field.path.clone()).collect();
    out.extend(rules.server.iter().chain(ty.uid.iter()).chain(ty.version.iter()).chain(rules.fields.keys()).cloned());
    out.extend(rules.known.iter().flatten().map(|name| FieldPath::parse(name)));
    let operations = [&ty.create, &ty.update, &ty.delete].into_iter().flatten().map(|operation| &operation.path);
    let paths = ty.path.iter().chain(ty.get.iter().map(|get| &get.path)).chain(operations);
    out.extend(paths.flat_map(Template::holes).filter(|hole| !hole.name.contains('.')).map(Hole::path));
    out
}

/// Ids are read before what they stand in: what tells them must have a list, and must not wait for those who need them.
pub(super) fn check(reader: &mut Reader<'_>, tables: &BTreeMap<Kind, KindRules>) {
    let first = |kind: &Kind| {
        let Some(rules) = tables.get(kind) else { return Vec::new() };
        let referred = rules.refs.iter().filter(|rule| rule.at.is_some() && &rule.kind != kind).map(|rule| &rule.kind);
        referred.chain(rules.ancestors.iter().map(|rule| &rule.kind)).cloned().collect::<Vec<_>>()
    };
    for (kind, rules) in tables {
        let here = format!("types/{kind}/refs");
        for rule in rules.refs.iter().filter(|rule| rule.at.is_some()) {
            if let Some(why) = tables.get(&rule.kind).and_then(|to| untold(rules, rule, to)) {
                reader.error(&here, format!("`at`: {why}"));
            }
        }
        let (mut seen, mut queue) = (BTreeSet::new(), first(kind));
        while let Some(next) = queue.pop() {
            if &next == kind {
                let message = "`at`: the ids of one kind need those of another, and the other way round: this is not \
                               supported yet; leave one of them out of `refs`, and state the id in the manifest";
                reader.error(&here, message);
                break;
            }
            if seen.insert(next.clone()) {
                queue.extend(first(&next));
            }
        }
    }
}

/// Why a reference by id cannot be told, if that is so.
fn untold(rules: &KindRules, rule: &RefRule, to: &KindRules) -> Option<String> {
    if to.listed_by_key {
        return Some(format!("the ids of `{}` are not supported yet: it has no list of its own", to.kind));
    }
    if let Some(parent) = to.parent.as_ref().filter(|_| rules.parent_of_referred(rule, to).is_none()) {
        return Some(format!(
            "a `{}` is inside of a `{}`, and only what is inside of the same one can refer to it by id; `through` names \
             it by the key fields that say where a `{}` is",
            to.kind, parent.kind, rules.kind
        ));
    }
    let before = rule.through.split_last().map(|(_, before)| before).unwrap_or_default();
    if before.iter().any(|path| path.segments().iter().any(|step| step == "*")) {
        return Some("`through` with `*` is not supported yet".to_owned());
    }
    if rule.kind == rules.kind && rules.key.iter().any(|field| field.path == rule.field) {
        return Some(format!("`{}` refers to its own kind, and is a part of the key", spelled(&rule.field)));
    }
    None
}
