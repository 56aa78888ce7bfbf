//! `ctl show`: one applied version, or one resource as it is declared, recorded and live.

use tokio_util::sync::CancellationToken;

use super::args::{LeaveArgs, LimitArgs, Plain, SelectionArgs, ShowArgs, SourceArgs};
use super::history::{as_json, when};
use super::load;
use super::record::entry_json;
use super::session::{Session, Wishes};
use super::stores::{self, Stores};
use super::{Context, Exit, Stop};
use crate::model::{Diagnostic, FieldPath, KindRules, ScopeState, TargetName, Value};
use crate::report::sanitize::lines;
use crate::store::{RecordName, Store};

/// A version (`dns@12`) or a resource (`dns:rrset/…`).
pub(super) async fn run(ctx: &Context, args: &ShowArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    if let Some((target, number)) = args.what.split_once('@').filter(|(_, n)| n.parse::<u64>().is_ok()) {
        return version(ctx, args, target, number.parse().unwrap_or_default());
    }
    if args.what.contains(':') {
        return resource(ctx, args, cancel).await;
    }
    let message = format!("`{}` is neither an address nor a version", args.what);
    let help = "write target:kind/field/field, or target@number as `ctl history` lists it";
    Err(Stop::with(Exit::Usage, Diagnostic::error("bad-address", message).help(help)))
}

fn version(ctx: &Context, args: &ShowArgs, target: &str, number: u64) -> Result<Exit, Stop> {
    let source = SourceArgs { source: args.source.clone(), rev: None, trust: None };
    let loaded = load::load(ctx, &source, false)?;
    let operator = ctx.operator()?;
    let stores = Stores::open(ctx, &loaded, &operator)?;
    let missing = || {
        let message = format!("there is no version {target}@{number}");
        Stop::with(Exit::Failed, Diagnostic::error("no-version", message).help("`ctl history` lists the versions"))
    };
    let target: TargetName = target.parse().map_err(|_| missing())?;
    let name = RecordName { project: loaded.project.name.clone(), target: target.clone() };
    let versions = stores.versions(&name, usize::MAX).map_err(|e| stores::stop(&e))?;
    let (tip, head) = versions.iter().find(|(_, head)| head.number == number).ok_or_else(missing)?;
    let record = stores.at(&name, tip).map_err(|e| stores::stop(&e))?;
    let resources = record.endpoints.iter().flat_map(|(e, known)| known.entries.values().map(move |entry| (e, entry)));
    match args.output {
        Plain::Json => {
            let resources: Vec<serde_json::Value> =
                resources.map(|(endpoint, entry)| entry_json(&target, endpoint, entry)).collect();
            let document = serde_json::json!({
                "format_version": "1.0", "version": as_json(&target, tip, head), "resources": resources,
            });
            ctx.print(&format!("{document:#}\n"));
        }
        Plain::Text => {
            let mut out = format!(
                "{target}@{number}\n  time      {}\n  commit    {}\n  result    {}\n  done      {}, not done {}\n  who       {}\n  checksum  {}\n  record    {tip}\n\n",
                when(head),
                head.commit,
                head.result,
                head.done,
                head.undone,
                lines(&head.who),
                head.checksum
            );
            resources.for_each(|(endpoint, e)| out.push_str(&format!("  {endpoint}  {}/{}\n", e.kind, e.key)));
            ctx.print(&out);
        }
    }
    Ok(Exit::Done)
}

async fn resource(ctx: &Context, args: &ShowArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let target = args.what.split_once(':').map(|(t, _)| t.to_owned()).unwrap_or_default();
    let wishes = Wishes {
        source: &SourceArgs { source: args.source.clone(), rev: None, trust: None },
        selection: &SelectionArgs { targets: vec![target], selectors: Vec::new() },
        leave: &LeaveArgs::default(),
        limits: &LimitArgs::default(),
        dirty: false,
    };
    let session = Session::open(ctx, &wishes).await?;
    let planned = session.plan(ctx, cancel).await;
    let desired = session.snapshot.desired.iter().find(|d| d.id.to_string() == args.what);
    let declared = desired.map(|d| {
        let source = session.loaded.text(&d.origin.path, &d.origin.blob);
        let span = source.and_then(|s| crate::manifest::body_span(&s, &d.origin, &FieldPath::root()));
        (d.body.clone(), span.map(|s| s.to_string()).unwrap_or_else(|| d.origin.path.to_string()))
    });
    let mut places = Vec::new();
    for ((name, endpoint), sighting) in &planned.sightings {
        let entry = session
            .endpoint_record(name, endpoint)
            .and_then(|known| known.entries.values().find(|e| format!("{name}:{}/{}", e.kind, e.key) == args.what));
        let table = session.loaded.apis.get(name).map(|api| api.description.table());
        let mut live = None;
        for ((kind, _), state) in &sighting.scopes {
            let (ScopeState::Known(listing), Some(rules)) = (state, table.and_then(|t| t.get(kind))) else { continue };
            let all = listing.items.iter().chain(&listing.ignored);
            let found = all.into_iter().find(|item| format!("{name}:{kind}/{}", item.key) == args.what);
            live = live.or(found.and_then(|item| Some(hidden(item.value().ok()?, rules))));
        }
        places.push((name.clone(), endpoint.clone(), entry.cloned(), live));
    }
    if declared.is_none() && places.iter().all(|(_, _, entry, live)| entry.is_none() && live.is_none()) {
        session.close().await;
        let message = format!("`{}` is neither declared nor recorded nor there", args.what);
        let help = "`ctl record show` lists addresses; each field is percent-encoded";
        return Err(Stop::with(Exit::Failed, Diagnostic::error("no-resource", message).help(help)));
    }
    let text = match args.output {
        Plain::Json => {
            let json = |value: &Value| serde_json::from_slice::<serde_json::Value>(value.canonical().as_bytes()).ok();
            let list: Vec<serde_json::Value> = places
                .iter()
                .map(|(target, endpoint, entry, live)| {
                    serde_json::json!({
                        "endpoint": endpoint.as_str(),
                        "recorded": entry.as_ref().map(|e| entry_json(target, endpoint, e)),
                        "live": live.as_ref().and_then(json),
                    })
                })
                .collect();
            let declared =
                declared.as_ref().map(|(body, at)| serde_json::json!({"source": at, "spec": json(&body.value())}));
            let document = serde_json::json!({
                "format_version": "1.0", "address": args.what, "declared": declared, "endpoints": list,
            });
            format!("{document:#}\n")
        }
        Plain::Text => {
            let mut out = format!("{}\n", args.what);
            match &declared {
                Some((body, at)) => out.push_str(&format!("\ndeclared at {at}\n{}", pretty(&body.value()))),
                None => out.push_str("\nnot declared\n"),
            }
            for (_, endpoint, entry, live) in &places {
                match entry {
                    Some(entry) => {
                        out.push_str(&format!(
                            "\nrecorded at {endpoint}, as it was sent\n{}",
                            pretty(&entry.sent.value())
                        ));
                    }
                    None => out.push_str(&format!("\nnot recorded at {endpoint}: ctl does not own it\n")),
                }
                match live {
                    Some(live) => out.push_str(&format!("\nlive at {endpoint}\n{}", pretty(live))),
                    None => out.push_str(&format!("\nnot live at {endpoint}\n")),
                }
            }
            lines(&out).into_owned()
        }
    };
    ctx.print(&session.redactor.hide(&text));
    session.close().await;
    Ok(planned.exit)
}

/// Secret fields are not shown, whatever the server answers.
fn hidden(mut value: Value, rules: &KindRules) -> Value {
    for (path, rule) in &rules.fields {
        if rule.secret.is_some() && value.get(path).is_some() {
            value.set(path, Value::from("<secret>"));
        }
    }
    value
}

fn pretty(value: &Value) -> String {
    let parsed: serde_json::Value = serde_json::from_slice(value.canonical().as_bytes()).unwrap_or_default();
    let text = format!("{parsed:#}");
    text.lines().map(|line| format!("  {line}\n")).collect()
}
