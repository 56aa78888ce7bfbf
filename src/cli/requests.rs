//! What `ctl explain API:KIND` says of the requests of a kind, as the description was understood.

use std::fmt::Write as _;

use crate::manifest::api::{ApiDescription, ApiOperation, ApiType, Choice, Shape, Template};
use crate::model::{FieldPath, KindRules};

/// The requests of a kind, a line each.
pub(super) fn requests(api: &ApiDescription, ty: &ApiType, rules: &KindRules) -> String {
    let mut out = "\nrequests:\n".to_owned();
    let list = match rules.listed_by_key {
        true => "each declared or recorded one is asked for".to_owned(),
        false => {
            let many = match ty.list.shape {
                Shape::Array => "a list",
                Shape::Map => "a mapping by name",
                Shape::Names => "a list of names",
                Shape::Links => "a list of addresses",
                Shape::One => "one object",
            };
            let whole = if ty.list.summary { ", each asked for once more" } else { "" };
            let path = asked(api, ty, &ty.list.path, &ty.list.query);
            format!("{} {path}: {many}{}{whole}", ty.list.method.as_str(), place(&ty.list.items))
        }
    };
    let one = match &ty.get {
        Some(get) => format!("GET {}{}", asked(api, ty, &get.path, &get.query), place(&get.item)),
        None => "none: looked up in the list".to_owned(),
    };
    let _ = writeln!(out, "  list    {list}\n  one     {one}");
    for (name, op) in [("create", &ty.create), ("update", &ty.update), ("delete", &ty.delete)] {
        let request = op.as_ref().map_or_else(|| "none".to_owned(), |op| write_of(api, ty, op));
        let _ = writeln!(out, "  {name:<7} {request}");
    }
    if let Some(call) = api.after_apply(&ty.kind) {
        let _ = writeln!(out, "  after   {}, once after the writes at an endpoint", after(api, call));
    }
    out
}

/// The call that is wanted after writes of all kinds that say nothing else.
pub(super) fn after_all(api: &ApiDescription) -> String {
    let call = api.after_apply.as_ref();
    call.map(|call| format!("\nonce after the writes at an endpoint: {}\n", after(api, call))).unwrap_or_default()
}

fn after(api: &ApiDescription, call: &ApiOperation) -> String {
    format!("{} {}", call.method.as_str(), at(api, &call.path))
}

fn at(api: &ApiDescription, path: &Template) -> String {
    let path = path.to_string();
    match path.strip_prefix("//") {
        Some(rest) => format!("/{rest}"),
        None => format!("{}{path}", api.base),
    }
}

/// The address with the query that goes to it.
fn asked(api: &ApiDescription, ty: &ApiType, path: &Template, query: &[(String, Template)]) -> String {
    let mut out = at(api, path);
    for (name, value) in api.query.iter().chain(&ty.query).chain(query) {
        let _ = write!(out, "{}{name}={value}", if out.contains('?') { '&' } else { '?' });
    }
    out
}

fn place(at: &FieldPath) -> String {
    if at.is_root() { String::new() } else { format!(" at {at}") }
}

fn write_of(api: &ApiDescription, ty: &ApiType, op: &ApiOperation) -> String {
    let body = match op.body.choice() {
        Choice::Nothing => "",
        Choice::Stated if op.body.names_all() => ": what the description's body names",
        Choice::Stated => ": what is stated, and the defaults",
        Choice::Merged => ": what is there, overlaid with what is stated",
        Choice::Changes => ": only what differs",
        Choice::Fields => ": the top fields in which something differs, whole",
    };
    format!("{} {}{body}", op.method.as_str(), asked(api, ty, &op.path, &op.query))
}
