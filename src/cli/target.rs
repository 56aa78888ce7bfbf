//! `ctl target list|describe` and `ctl explain`: what a project and its descriptions say.

use super::args::{DescribeArgs, ExplainArgs, Plain, SourceArgs, TargetArgs};
use super::history::table;
use super::load::{self, Api};
use super::requests::{after_all, requests};
use super::{Context, Exit, Stop, shipped};
use crate::manifest::api::{ApiDescription, nearest};
use crate::model::{Diagnostic, Kind, KindRules, Own, TargetConfig, TargetName, UpdateMode};
use crate::report;

/// Lists the targets.
pub(super) fn list(ctx: &Context, args: &TargetArgs) -> Result<Exit, Stop> {
    let loaded = load::load(ctx, &args.source, false)?;
    let targets = &loaded.project.targets;
    match args.output {
        Plain::Json => {
            let list: Vec<serde_json::Value> =
                targets.iter().map(|(name, target)| as_json(name, target, loaded.apis.get(name))).collect();
            let document = serde_json::json!({"format_version": "1.0", "targets": list});
            ctx.print_json(&document);
        }
        Plain::Text => {
            let mut rows = vec![["TARGET", "API", "ENDPOINT", "URL", "CREDENTIALS", "OWN"].map(str::to_owned)];
            for (name, target) in targets {
                for (endpoint, config) in &target.endpoints {
                    rows.push([
                        name.to_string(),
                        target.api.clone(),
                        endpoint.to_string(),
                        config.url.clone(),
                        config.credentials.clone().unwrap_or_else(|| "-".to_owned()),
                        own(target).to_owned(),
                    ]);
                }
            }
            ctx.print(&table(&rows));
        }
    }
    Ok(Exit::Done)
}

/// Describes one target: its endpoints, its guard, its kinds and how they are written.
pub(super) fn describe(ctx: &Context, args: &DescribeArgs) -> Result<Exit, Stop> {
    let source = SourceArgs { source: args.source.clone(), rev: None, trust: None };
    let loaded = load::load(ctx, &source, false)?;
    let found = loaded.project.targets.iter().find(|(name, _)| name.as_str() == args.name);
    let Some((name, target)) = found else {
        let known: Vec<&str> = loaded.project.targets.keys().map(TargetName::as_str).collect();
        let message = format!("the project has no target `{}`", args.name);
        let help = match nearest(&args.name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has: {}", known.join(", ")),
        };
        return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-target", message).help(help)));
    };
    let Some(api) = loaded.apis.get(name) else { return Ok(Exit::Failed) };
    if args.output == Plain::Json {
        ctx.print_json(&as_json(name, target, Some(api)));
        return Ok(Exit::Done);
    }
    let from = if api.origin.shipped { "ships with ctl" } else { "from this repository" };
    let mut out = format!("{name}: the API {} ({from}, sha256:{})\n\n", target.api, api.origin.digest);
    for (endpoint, config) in &target.endpoints {
        let with = config.credentials.as_ref().map_or_else(String::new, |c| format!(", credentials {c}"));
        out.push_str(&format!("  endpoint {endpoint}: {}{with}\n", config.url));
    }
    let guard = target.guard;
    let updates = guard.updates.map_or_else(|| "any share of updates".to_owned(), |u| format!("{u} % updates"));
    out.push_str(&format!("  own {}; at most {} % deletes and 100, {updates}\n", own(target), guard.deletes));
    out.push_str(&format!("  marks {}\n\n", if target.marks { "on" } else { "off" }));
    let mut rows = vec![["KIND", "KEY", "INSIDE", "REFERS TO", "CHANGE", "MARK"].map(str::to_owned)];
    for rules in api.description.table().kinds.values() {
        rows.push(row(rules));
    }
    out.push_str(&table(&rows));
    ctx.print(&out);
    Ok(Exit::Done)
}

fn own(target: &TargetConfig) -> &'static str {
    match target.own {
        Own::Recorded => "recorded",
        Own::Exclusive => "exclusive",
    }
}

fn row(rules: &KindRules) -> [String; 6] {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let keys: Vec<&str> = rules.key.iter().map(|f| f.name.as_str()).collect();
    let refs: Vec<&str> = rules.refs.iter().map(|r| r.kind.as_str()).collect();
    [
        rules.kind.to_string(),
        keys.join(", "),
        rules.parent.as_ref().map_or_else(|| "-".to_owned(), |p| p.kind.to_string()),
        or_dash(refs.join(", ")),
        match rules.update {
            UpdateMode::InPlace => "in place",
            UpdateMode::Replace => "by replace",
            UpdateMode::None => "never",
        }
        .to_owned(),
        rules.owner.as_ref().map_or_else(|| "-".to_owned(), |o| o.at.to_string()),
    ]
}

fn as_json(name: &TargetName, target: &TargetConfig, api: Option<&Api>) -> serde_json::Value {
    let endpoints: serde_json::Map<String, serde_json::Value> = target
        .endpoints
        .iter()
        .map(|(n, e)| (n.to_string(), serde_json::json!({"url": e.url, "credentials": e.credentials})))
        .collect();
    let kinds: Vec<&str> = api.iter().flat_map(|a| a.description.table().kinds.keys()).map(Kind::as_str).collect();
    serde_json::json!({
        "name": name.as_str(),
        "api": target.api,
        "api_digest": api.map(|a| a.origin.digest.to_string()),
        "api_shipped": api.map(|a| a.origin.shipped),
        "own": own(target),
        "marks": target.marks,
        "guard": {"deletes": target.guard.deletes, "updates": target.guard.updates},
        "endpoints": endpoints,
        "kinds": kinds,
    })
}

/// Explains a code, a shipped kind, or a kind of one of the project's targets.
pub(super) fn explain(ctx: &Context, args: &ExplainArgs) -> Result<Exit, Stop> {
    let Some(what) = &args.what else {
        let mut out = "Codes:\n".to_owned();
        report::codes().for_each(|code| out.push_str(&format!("  {code}\n")));
        out.push_str("\nAPIs that ship with ctl:\n");
        shipped::names().for_each(|name| out.push_str(&format!("  {name}\n")));
        ctx.print(&out);
        return Ok(Exit::Done);
    };
    if let Some(text) = report::explain(what) {
        ctx.print(&format!("{what}\n\n{text}\n"));
        return Ok(Exit::Done);
    }
    let (api, kind) = what.split_once(':').map_or((what.as_str(), None), |(api, kind)| (api, Some(kind)));
    if let Some(description) = described(ctx, api) {
        match kind {
            None => {
                let mut rows = vec![["KIND", "KEY", "INSIDE", "REFERS TO", "CHANGE", "MARK"].map(str::to_owned)];
                description.table().kinds.values().for_each(|rules| rows.push(row(rules)));
                ctx.print(&format!("{}{}", table(&rows), after_all(&description)));
                return Ok(Exit::Done);
            }
            Some(kind) => {
                if let Some(rules) = description.table().get(&Kind::new(kind)) {
                    let requests = description.types.get(&rules.kind).map(|ty| requests(&description, ty, rules));
                    ctx.print(&format!("{}{}", fields(&description.name, rules), requests.unwrap_or_default()));
                    return Ok(Exit::Done);
                }
                let known: Vec<&str> = description.table().kinds.keys().map(Kind::as_str).collect();
                let message = format!("the API {} has no kind `{kind}`", description.name);
                let help = format!("it has: {}", known.join(", "));
                return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-kind", message).help(help)));
            }
        }
    }
    let message = format!("`{what}` is neither a code nor an API or a target");
    let help = match nearest(what, report::codes()) {
        Some(near) => format!("did you mean `{near}`? `ctl explain` lists what there is"),
        None => "`ctl explain` lists what there is".to_owned(),
    };
    Err(Stop::with(Exit::Usage, Diagnostic::error("nothing-to-explain", message).help(help)))
}

/// The description of a target of the project around here, else the one that ships under that name.
fn described(ctx: &Context, name: &str) -> Option<ApiDescription> {
    let source = SourceArgs { source: ".".to_owned(), rev: None, trust: None };
    if let Ok(loaded) = load::load(ctx, &source, false) {
        let of_target = loaded.apis.iter().find(|(target, _)| target.as_str() == name);
        let of_api = || {
            let target = loaded.project.targets.iter().find(|(_, target)| target.api == name)?.0;
            loaded.apis.get_key_value(target)
        };
        if let Some((_, api)) = of_target.or_else(of_api) {
            return Some((*api.description).clone());
        }
    }
    ApiDescription::parse(name, shipped::description(name)?).ok().map(|(api, _)| api)
}

fn fields(api: &str, rules: &KindRules) -> String {
    let keys: Vec<&str> = rules.key.iter().map(|f| f.name.as_str()).collect();
    let mut out = format!("{api}:{}\n\nkey: {}\n", rules.kind, keys.join(", "));
    if let Some(parent) = &rules.parent {
        out.push_str(&format!("lives in: {}\n", parent.kind));
    }
    for above in &rules.ancestors {
        out.push_str(&format!("addressed by: {} of its {}\n", above.at, above.kind));
    }
    for reference in &rules.refs {
        out.push_str(&format!("{} refers to {}\n", reference.field, reference.kind));
    }
    for unique in &rules.unique {
        let fields: Vec<String> = unique.iter().map(ToString::to_string).collect();
        out.push_str(&format!("unique: {}\n", fields.join(", ")));
    }
    if let Some(known) = &rules.known {
        out.push_str(&format!("fields: {}\n", known.join(", ")));
    }
    if !rules.fields.is_empty() {
        out.push_str("\nfields with rules (any other field is sent and compared as it stands):\n");
    }
    for (path, rule) in &rules.fields {
        let mut words = Vec::new();
        if let Some(default) = &rule.default {
            words.push(format!("default {}", default.canonical().as_str()));
        }
        if rule.initial.is_some() {
            words.push("sent at creation only".to_owned());
        }
        for (says, word) in [
            (rule.secret.is_some(), "secret"),
            (rule.exact, "compared whole"),
            (rule.immutable, "a change needs a replace"),
            (rule.unordered.is_some(), "order means nothing"),
            (rule.server, "written by the server alone"),
            (rule.form.is_some(), "compared in its normal form"),
            (rule.loose, "a number and its text are the same"),
        ] {
            if says {
                words.push(word.to_owned());
            }
        }
        out.push_str(&format!("  {path}: {}\n", words.join(", ")));
    }
    if let Some(owner) = &rules.owner {
        out.push_str(&format!("\nthe ownership mark stands at {}\n", owner.at));
    }
    out
}
