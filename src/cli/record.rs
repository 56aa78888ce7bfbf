//! `ctl record show|verify|rebuild`: what `ctl` owns.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::apply::{acquire, local_lock};
use super::args::{LeaveArgs, LimitArgs, Plain, RebuildArgs, RecordArgs, SelectionArgs};
use super::carry::{head, message};
use super::facts::FactsOf;
use super::history::{as_json, table, when};
use super::load::{self, Loaded};
use super::session::{Session, Wishes, choose};
use super::stores::{self, Stores};
use super::{Context, Exit, Stop};
use crate::model::{
    Canonical, Diagnostic, EndpointName, EndpointRecord, Intent, Kind, KindRules, Mark, Observed, Process, Record,
    RecordEntry, ScopeState, TargetName, Value,
};
use crate::reconcile::{Facts, Here, Hold, Place, Sighting, standing};
use crate::report::sanitize::line;
use crate::store::{RecordName, Store, StoreError, Tip, current_process, is_gone};

type Records = BTreeMap<TargetName, (Option<Tip>, Record)>;

/// Lists what is owned.
pub(super) fn show(ctx: &Context, args: &RecordArgs) -> Result<Exit, Stop> {
    let (loaded, records) = read(ctx, args)?;
    match args.output {
        Plain::Json => {
            let targets: Vec<serde_json::Value> =
                records.iter().map(|(target, (tip, record))| record_json(target, tip.as_ref(), record)).collect();
            let document = serde_json::json!({
                "format_version": "1.0", "project": loaded.project.name.as_str(), "targets": targets,
            });
            ctx.print_json(&document);
        }
        Plain::Text => {
            let mut out = String::new();
            for (target, (_, record)) in &records {
                match &record.head {
                    None => out.push_str(&format!("{target}: nothing was applied yet\n")),
                    Some(head) => out.push_str(&format!(
                        "{target}@{}: {} at {} by {}, commit {}\n",
                        head.number,
                        head.result,
                        when(head),
                        line(&head.who),
                        head.commit.short()
                    )),
                }
                for intent in &record.intents {
                    out.push_str(&format!(
                        "  open intent of run {}: {} operations, {} (process {} on {})\n",
                        line(&intent.run),
                        intent.operations.len(),
                        line(&intent.holder.who),
                        intent.holder.pid,
                        line(&intent.holder.host)
                    ));
                }
                let mut rows = Vec::new();
                for (endpoint, known) in &record.endpoints {
                    if !known.owed.is_empty() {
                        let kinds: Vec<&str> = known.owed.iter().map(Kind::as_str).collect();
                        let kinds = kinds.join(", ");
                        out.push_str(&format!("  {endpoint} is owed the call after writes of {}\n", line(&kinds)));
                    }
                    for entry in known.entries.values() {
                        let marks = [(entry.marked, "marked"), (entry.protect, "protected")];
                        let words: Vec<&str> = marks.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
                        rows.push([
                            format!("  {endpoint}"),
                            format!("{}/{}", entry.kind, entry.key),
                            entry.digest.short(12),
                            words.join(", "),
                        ]);
                    }
                }
                out.push_str(&table(&rows));
            }
            ctx.print(&out);
        }
    }
    Ok(Exit::Done)
}

fn read(ctx: &Context, args: &RecordArgs) -> Result<(Loaded, Records), Stop> {
    let loaded = load::load(ctx, &args.source, false)?;
    let operator = ctx.operator()?;
    let stores = Arc::new(Stores::open(ctx, &loaded, &operator)?);
    let targets = choose(&loaded.project, &args.targets)?;
    let records = stores::read_all(&stores, &loaded.project.name, &targets)?;
    Ok((loaded, records))
}

fn record_json(target: &TargetName, tip: Option<&Tip>, record: &Record) -> serde_json::Value {
    let entries: Vec<serde_json::Value> = record
        .endpoints
        .iter()
        .flat_map(|(endpoint, known)| known.entries.values().map(move |entry| (endpoint, entry)))
        .map(|(endpoint, entry)| entry_json(target, endpoint, entry))
        .collect();
    let identities: serde_json::Map<String, serde_json::Value> =
        record.endpoints.iter().map(|(name, known)| (name.to_string(), known.identity.clone().into())).collect();
    let owed: serde_json::Map<String, serde_json::Value> = record
        .endpoints
        .iter()
        .filter(|(_, known)| !known.owed.is_empty())
        .map(|(name, known)| (name.to_string(), known.owed.iter().map(Kind::as_str).collect()))
        .collect();
    let intents: Vec<serde_json::Value> = record
        .intents
        .iter()
        .map(|intent| {
            serde_json::json!({
                "run": intent.run, "who": intent.holder.who, "host": intent.holder.host, "process": intent.holder.pid,
                "until": intent.until, "commit": intent.commit, "operations": intent.operations.len(),
            })
        })
        .collect();
    let version = tip.zip(record.head.as_ref()).map(|(tip, head)| as_json(target, tip, head));
    serde_json::json!({
        "target": target.as_str(), "version": version, "identities": identities, "intents": intents,
        "owed": owed, "resources": entries,
    })
}

/// One line of the record as JSON. What was sent holds secrets as names only.
pub(super) fn entry_json(target: &TargetName, endpoint: &EndpointName, entry: &RecordEntry) -> serde_json::Value {
    let sent: serde_json::Value = serde_json::from_slice(entry.sent.as_bytes()).unwrap_or_default();
    serde_json::json!({
        "address": format!("{target}:{}/{}", entry.kind, entry.key),
        "endpoint": endpoint.as_str(),
        "kind": entry.kind.as_str(),
        "digest": entry.digest.to_string(),
        "sent": sent,
        "uid": entry.uid,
        "server_id": entry.server_id,
        "marked": entry.marked,
        "protect": entry.protect,
        "labels": entry.labels,
        "refs": entry.refs,
    })
}

/// Checks the record against itself (reading does that) and against the targets.
pub(super) async fn verify(ctx: &Context, args: &RecordArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let session = open(ctx, args, false).await?;
    let planned = session.plan(ctx, cancel).await;
    let mark = Mark::of(&session.project().name);
    let mut found = Vec::new();
    let mut checked = 0;
    for (target, (_, record)) in &session.records {
        for (endpoint, known) in &record.endpoints {
            let Some(sighting) = planned.sightings.get(&(target.clone(), endpoint.clone())) else { continue };
            let unsigned = session.unverified(target, endpoint, known);
            for (which, entry) in &*known.entries {
                checked += 1;
                let address = format!("{target}:{}/{}", entry.kind, entry.key);
                if unsigned.contains(which) {
                    found.push((address.clone(), "its line is not signed with the operator's record-key".to_owned()));
                }
                found.extend(fault(&session, target, sighting, entry, &mark).map(|why| (address, why)));
            }
        }
    }
    session.close().await;
    match args.output {
        Plain::Json => {
            let faults: Vec<serde_json::Value> =
                found.iter().map(|(address, why)| serde_json::json!({"address": address, "problem": why})).collect();
            let document = serde_json::json!({"format_version": "1.0", "checked": checked, "problems": faults});
            ctx.print_json(&document);
        }
        Plain::Text => {
            for (address, why) in &found {
                ctx.print(&format!("{}: {}\n", line(address), line(why)));
            }
            let noun = if checked == 1 { "line" } else { "lines" };
            let found = match found.len() {
                0 => "all is well".to_owned(),
                n => format!("{n} with a problem"),
            };
            ctx.print(&format!("{checked} {noun} of the record checked: {found}.\n"));
        }
    }
    Ok(planned.exit.and(if found.is_empty() { Exit::Done } else { Exit::Failed }))
}

fn fault(
    session: &Session,
    target: &TargetName,
    sighting: &Sighting,
    entry: &RecordEntry,
    mark: &Mark,
) -> Option<String> {
    let rules = session.loaded.apis.get(target)?.description.table().get(&entry.kind)?;
    let state = sighting.scopes.get(&(entry.kind.clone(), rules.parent_key(&entry.key)));
    let listing = match state {
        Some(ScopeState::Known(listing)) => listing,
        Some(ScopeState::Unknown { why }) => return Some(format!("it could not be looked at: {why}")),
        None => return Some("its parent is not there".to_owned()),
    };
    let Some(live) = listing.items.iter().find(|item| item.key == entry.key) else {
        return Some("it is not at the target".to_owned());
    };
    if entry.uid.is_some() && entry.uid != live.uid {
        return Some("somebody deleted it and made another of that name".to_owned());
    }
    (entry.marked && live.mark.as_ref() != Some(mark)).then(|| "it does not bear our mark any more".to_owned())
}

async fn open(ctx: &Context, args: &RecordArgs, damaged: bool) -> Result<Session, Stop> {
    let wishes = Wishes {
        source: &args.source,
        selection: &SelectionArgs { targets: args.targets.clone(), selectors: Vec::new() },
        leave: &LeaveArgs::default(),
        limits: &LimitArgs::default(),
        dirty: false,
    };
    if damaged { Session::open_damaged(ctx, &wishes).await } else { Session::open(ctx, &wishes).await }
}

/// Makes a record anew of what bears our mark, and of what the old record names and still is the same object.
pub(super) async fn rebuild(ctx: &Context, args: &RebuildArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let mut session = open(ctx, &args.record, true).await?;
    let here = Here { process: current_process(&ctx.user()), token: None };
    let lock = local_lock(ctx, &session, &here.process, std::time::Duration::ZERO).await?;
    acquire(ctx, &mut session, &here, std::time::Duration::ZERO).await?;
    let planned = session.plan_everything(ctx, cancel).await;
    if !planned.plan.unknown_scopes.is_empty() || !session.fleet.refusals.is_empty() {
        let message = "some of the targets could not be read, so the record cannot be made anew";
        session.close().await;
        return Err(Stop::with(Exit::Partial, Diagnostic::error("not-read", message).help("`ctl plan` says why")));
    }
    let json = args.record.output == Plain::Json;
    // A program gets one document at the end; what a person is asked about goes before their eyes all the same.
    let show = |text: &str| if json { ctx.say(text) } else { ctx.print(text) };
    let mut told = Vec::new();
    let mut exit = Exit::Done;
    for target in session.targets.clone() {
        let Some((tip, record)) = session.records.get(&target).cloned() else { continue };
        let damage = session.damaged.get(&target);
        let open = match damage {
            None => !record.intents.is_empty(),
            // No run can settle what a damaged record says of one; what it did is seen at the target.
            Some(_) => record.intents.iter().any(|intent| may_write(ctx, intent, &here)),
        };
        if session.locked.contains_key(&target) || open {
            let message = format!("a run of {target} is not finished");
            ctx.tell(&[Diagnostic::error("locked", message).help("run `ctl apply` first: it settles what is open")]);
            exit = exit.and(Exit::Locked);
            continue;
        }
        if let Some(damage) = damage {
            tell_damage(ctx, &target, damage, &record);
        }
        let after = rebuilt(&session, &target, &record, &planned.sightings);
        let count = |record: &Record| record.endpoints.values().map(|e| e.entries.len()).sum::<usize>();
        let (old, new) = (count(&record), count(&after));
        let named: Vec<String> = after
            .endpoints
            .values()
            .flat_map(|known| known.entries.values())
            .map(|entry| format!("{}/{}", entry.kind, entry.key))
            .collect();
        show(&format!("{target}: the record names {old} resources; made anew it names {new}.\n"));
        named.iter().for_each(|name| show(&format!("  = {}\n", line(name))));
        let refused = match (args.yes, ctx.interactive) {
            (true, _) => None,
            (false, false) => {
                let message = "nobody can be asked, and --yes is not given";
                ctx.tell(&[Diagnostic::error("no-consent", message).help("look at the list, then say --yes")]);
                Some(Exit::Refused)
            }
            (false, true) => (!ctx.ask("Write this record?")).then_some(Exit::Failed),
        };
        told.push(serde_json::json!({
            "target": target.as_str(), "before": old, "after": new, "written": refused.is_none(), "resources": named,
        }));
        if let Some(refused) = refused {
            exit = exit.and(refused);
            continue;
        }
        let mut head = head(ctx, &session, planned.checksum, &target, &record, &here, (new as u64, 0));
        head.result = "rebuilt".to_owned();
        if let Some(old) = &record.head {
            // The desired state did not move.
            (head.commit, head.snapshot) = (old.commit.clone(), old.snapshot);
        }
        let mut after = Record { head: Some(head), ..after };
        if let Some(signer) = session.signer(&target)? {
            // What bears our mark was looked at, and consented to.
            signer.sign(&record, &mut after, &|_, entry, _| entry.marked);
        }
        let name = RecordName { project: session.project().name.clone(), target: target.clone() };
        let text = message(&planned.plan, &target, "rebuilt");
        tokio::task::block_in_place(|| session.stores.swap(&name, tip.as_ref(), &after, &text))
            .map_err(|e: StoreError| stores::stop(&e))?;
    }
    if json {
        ctx.print_json(&serde_json::json!({"format_version": "1.0", "targets": told}));
    }
    session.close().await;
    drop(lock);
    Ok(exit)
}

/// True if the run of this intent may still be writing.
fn may_write(ctx: &Context, intent: &Intent, here: &Here) -> bool {
    let alive = |process: &Process| !is_gone(process, &here.process);
    standing(intent, here, ctx.clock.wall().as_second(), &alive) == Hold::Held
}

fn tell_damage(ctx: &Context, target: &TargetName, damage: &[String], record: &Record) {
    let lines = record.endpoints.values().map(|known| known.entries.len()).sum::<usize>();
    let first = damage.first().map(String::as_str).unwrap_or_default();
    let more = if damage.len() > 1 { format!(" (and {} more files)", damage.len() - 1) } else { String::new() };
    let message = format!("{target}: {first}{more}; {lines} lines of the record can be read");
    let help = "what neither these lines nor our mark show to be ours is not in the new record: it is never deleted, and \
                `ctl apply` adopts what is declared";
    let mut told = vec![Diagnostic::warning("record-damaged", message).help(help)];
    if record.head.is_none() {
        let message = format!("{target}: no version of the record says which commit was applied");
        let help = "the commit of this run is taken for it: run this from the newest one";
        told.push(Diagnostic::warning("record-damaged", message).help(help));
    }
    ctx.tell(&told);
}

fn rebuilt(session: &Session, target: &TargetName, before: &Record, sightings: &BTreeMap<Place, Sighting>) -> Record {
    let mark = Mark::of(&session.project().name);
    let nothing = EndpointRecord::default();
    let mut after = Record::default();
    let Some(facts) = FactsOf::new(session, target) else { return after };
    for ((at, endpoint), sighting) in sightings {
        if at != target {
            continue;
        }
        let old = before.endpoints.get(endpoint).unwrap_or(&nothing);
        let (identity, owed) = (session.identity(target, endpoint, sighting), old.owed.clone());
        let mut new = EndpointRecord { identity, owed, ..Default::default() };
        for ((kind, _), state) in &sighting.scopes {
            let rules = session.loaded.apis.get(target).and_then(|api| api.description.table().get(kind));
            let (ScopeState::Known(listing), Some(rules)) = (state, rules) else { continue };
            for live in &listing.items {
                let which = (kind.clone(), live.key.clone());
                let known = old.entries.get(&which).filter(|entry| entry.uid.is_some() && entry.uid == live.uid);
                let ours = live.mark.as_ref() == Some(&mark);
                if let Some(entry) = known {
                    new.entries.insert(which, RecordEntry { marked: ours, ..(**entry).clone() });
                } else if ours {
                    new.entries.insert(which, adopted(session, target, rules, live, &facts));
                }
            }
        }
        after.endpoints.insert(endpoint.clone(), new);
    }
    after
}

fn adopted(
    session: &Session,
    target: &TargetName,
    rules: &KindRules,
    live: &Observed,
    facts: &FactsOf<'_>,
) -> RecordEntry {
    let desired = session
        .snapshot
        .desired
        .iter()
        .find(|d| &d.id.target == target && d.id.kind == rules.kind && d.id.key == live.key);
    // What is not declared any more was sent in a form that nobody remembers; its key is enough to delete it by.
    let sent: Canonical = match desired {
        Some(desired) => desired.body.clone(),
        None => {
            let mut value = Value::object();
            for (field, part) in rules.key.iter().zip(live.key.values()) {
                value.set(&field.path, part);
            }
            value.canonical()
        }
    };
    RecordEntry {
        kind: rules.kind.clone(),
        key: live.key.clone(),
        server_id: facts.server_id(&rules.kind, live),
        uid: live.uid.clone(),
        digest: sent.digest(),
        sent,
        marked: true,
        labels: desired.map(|d| d.meta.labels.clone()).unwrap_or_default(),
        refs: desired.map(|d| facts.refs(d)).unwrap_or_default(),
        protect: desired.is_some_and(|d| d.meta.protect),
        on_remove: desired.map(|d| d.meta.on_remove).unwrap_or_default(),
        rewritten: BTreeMap::new(),
        secrets: BTreeMap::new(),
        secret_hashes: BTreeMap::new(),
        hmac: None,
    }
}
