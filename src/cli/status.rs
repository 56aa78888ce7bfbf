//! `ctl status`: how things stand, from the watcher, or computed without one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{Plain, StatusArgs};
use super::remote::{self, Watcher};
use super::{Context, Exit, Stop, computed};
use crate::credentials::Redactor;
use crate::model::{Diagnostic, EndpointStatus, State, Status, TargetStatus, glob_matches};
use crate::report::{resource_text, status_json, status_json_line, status_text};

/// How often `--watch` asks a watcher, which answers from memory.
const AGAIN: Duration = Duration::from_secs(2);
/// How often `--watch` computes, which asks the targets.
const COMPUTE_AGAIN: Duration = Duration::from_secs(10);

/// One look.
struct Seen {
    status: Status,
    redactor: Redactor,
}

/// Shows it once, or again and again.
pub(super) async fn run(ctx: &Context, args: &StatusArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let pick = Pick::read(args);
    let watcher = remote::find(ctx, &args.remote)?;
    let first = look(ctx, args, &pick, watcher.as_ref(), cancel, true).await?;
    if args.watch {
        return again(ctx, args, &pick, watcher.as_ref(), first, cancel).await;
    }
    let (text, exit) = rendered(ctx, args, &pick, first)?;
    ctx.print(&text);
    Ok(if cancel.is_cancelled() { exit.and(Exit::Interrupted) } else { exit })
}

/// Asks the watcher, or computes. A watcher that was found here and has died is no reason to know nothing.
async fn look(
    ctx: &Context,
    args: &StatusArgs,
    pick: &Pick,
    watcher: Option<&Watcher>,
    cancel: &CancellationToken,
    first: bool,
) -> Result<Seen, Stop> {
    if let Some(watcher) = watcher {
        match watcher.status(pick.address.as_deref()).await {
            Ok(status) => return Ok(Seen { status, redactor: watcher.redactor.clone() }),
            Err(stop) if watcher.is_named() || stop.exit != Exit::Unreachable => return Err(stop),
            Err(stop) if first => ctx.tell(&stop.diagnostics),
            Err(_) => {}
        }
    }
    if first && !ctx.quiet {
        ctx.say("No watcher answers here: this was computed from the repository, the record and the targets.\n");
    }
    let address = pick.address.as_deref();
    let found = computed::compute(ctx, &args.remote.source, &pick.targets(), address, cancel).await?;
    if first {
        ctx.tell(&found.diagnostics);
    }
    Ok(Seen { status: found.status, redactor: found.redactor })
}

/// What to print, and what it means for the exit code.
fn rendered(ctx: &Context, args: &StatusArgs, pick: &Pick, seen: Seen) -> Result<(String, Exit), Stop> {
    let Seen { mut status, redactor } = seen;
    pick.apply(&mut status)?;
    let exit = exit_of(&status);
    let there = status.resources.as_ref().is_none_or(|known| !known.is_empty());
    // What is pending and not listed may be what was asked for.
    let pending = status.targets.iter().any(|target| target.pending_total > 0);
    if let Some(address) = pick.address.as_ref().filter(|_| !there && !pending) {
        let message = format!("`{address}` is neither declared nor recorded");
        let help = match status.source.quarantined.first() {
            Some(one) => format!("unless {} says so, which cannot be read: see `ctl status`", one.place),
            None => "`ctl record show` lists addresses; each field is percent-encoded".to_owned(),
        };
        return Err(Stop::with(Exit::Failed, Diagnostic::error("no-resource", message).help(help)));
    }
    let text = match (args.output, &pick.address) {
        (Plain::Json, _) if args.watch => status_json_line(&status),
        (Plain::Json, _) => status_json(&status),
        (Plain::Text, Some(address)) => resource_text(&status, address, &ctx.out),
        (Plain::Text, None) => status_text(&status, &ctx.out),
    };
    Ok((redactor.hide(&text), exit))
}

/// Draws again on a terminal, or prints what changed. Ends with the second interrupt at the latest, and with the first
/// while nothing is in flight.
async fn again(
    ctx: &Context,
    args: &StatusArgs,
    pick: &Pick,
    watcher: Option<&Watcher>,
    first: Seen,
    cancel: &CancellationToken,
) -> Result<Exit, Stop> {
    use std::io::IsTerminal as _;
    let screen = args.output == Plain::Text && std::io::stdout().is_terminal();
    let mut before: Option<Status> = None;
    let mut trouble: Option<String> = None;
    let mut next = Some(first);
    while !cancel.is_cancelled() {
        let mut pause = AGAIN;
        if let Some(seen) = next.take() {
            if seen.status.mode == "once" {
                pause = COMPUTE_AGAIN;
            }
            let still = seen.status.without_ages();
            let is_new = before.as_ref() != Some(&still) || trouble.take().is_some();
            let (text, _) = rendered(ctx, args, pick, seen)?;
            if screen {
                let when = ctx.clock.wall().strftime("%H:%M:%S").to_string();
                ctx.print(&format!("\u{1b}[H\u{1b}[J{}", fitted(&format!("{when} UTC  {text}"))));
            } else if is_new {
                let gap = if before.is_some() && args.output == Plain::Text { "\n" } else { "" };
                ctx.print(&format!("{gap}{text}"));
            }
            before = Some(still);
        }
        // Nothing is in flight while it waits: the first interrupt may end it.
        ctx.asking.store(true, Ordering::SeqCst);
        tokio::select! {
            () = ctx.clock.sleep(pause) => {}
            () = cancel.cancelled() => break,
        }
        ctx.asking.store(watcher.is_some(), Ordering::SeqCst);
        match look(ctx, args, pick, watcher, cancel, false).await {
            Ok(seen) => next = Some(seen),
            Err(stop) => {
                let words: Vec<&str> = stop.diagnostics.iter().map(|d| d.message.as_str()).collect();
                let words = words.join("; ");
                if trouble.as_ref() != Some(&words) {
                    ctx.tell(&stop.diagnostics);
                    trouble = Some(words);
                }
            }
        }
    }
    Ok(Exit::Interrupted)
}

/// As many lines as the terminal has, so that drawing again begins where it did before.
fn fitted(text: &str) -> String {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let (rows, columns) = match size {
        Some(size) if size.ws_row > 2 && size.ws_col > 0 => (usize::from(size.ws_row), usize::from(size.ws_col)),
        Some(_) | None => return text.to_owned(),
    };
    fit(text, rows, columns)
}

fn fit(text: &str, rows: usize, columns: usize) -> String {
    let height = |line: &str| visible(line).div_ceil(columns).max(1);
    let lines: Vec<&str> = text.lines().collect();
    if lines.iter().map(|line| height(line)).sum::<usize>() < rows {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 2;
    for (i, line) in lines.iter().enumerate() {
        used += height(line);
        if used > rows {
            out.push_str(&format!("{} more lines: `ctl status`", lines.len() - i));
            break;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Columns of a line, without what only colours it.
fn visible(line: &str) -> usize {
    let mut count = 0;
    let mut coloured = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => coloured = true,
            'm' if coloured => coloured = false,
            _ if coloured => {}
            _ => count += 1,
        }
    }
    count
}

/// What of a status is asked for.
struct Pick {
    globs: Vec<String>,
    target: Option<String>,
    endpoint: Option<String>,
    address: Option<String>,
}

impl Pick {
    fn read(args: &StatusArgs) -> Self {
        let mut pick = Self { globs: args.targets.clone(), target: None, endpoint: None, address: None };
        if let Some(selector) = &args.selector {
            if let Some((target, _)) = selector.split_once(':') {
                pick.target = Some(target.to_owned());
                pick.address = Some(selector.clone());
            } else if let Some((target, endpoint)) = selector.split_once('/') {
                pick.target = Some(target.to_owned());
                pick.endpoint = Some(endpoint.to_owned());
            } else {
                pick.target = Some(selector.clone());
            }
        }
        pick
    }

    /// Globs of targets, as other commands take them.
    fn targets(&self) -> Vec<String> {
        match &self.target {
            Some(target) => vec![target.clone()],
            None => self.globs.clone(),
        }
    }

    /// Leaves what was asked for. A glob that fits nothing is a slip.
    fn apply(&self, status: &mut Status) -> Result<(), Stop> {
        let known: Vec<String> = status.targets.iter().map(|t| t.target.clone()).collect();
        for glob in self.globs.iter().chain(&self.target) {
            if !known.iter().any(|name| glob_matches(glob, name)) {
                let message = format!("there is no target `{glob}`");
                let help = format!("there is: {}", known.join(", "));
                return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-target", message).help(help)));
            }
        }
        let fits = |t: &TargetStatus| {
            self.target.as_ref().is_none_or(|glob| glob_matches(glob, &t.target))
                && (self.globs.is_empty() || self.globs.iter().any(|glob| glob_matches(glob, &t.target)))
        };
        status.targets.retain(fits);
        // What keeps only others from being ready is not what was asked about.
        let (mine, others): (Vec<&String>, Vec<&String>) =
            known.iter().partition(|name| status.targets.iter().any(|t| &t.target == *name));
        let names = |line: &str, name: &String| {
            line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == name)
        };
        let about_me =
            |line: &String| !others.iter().any(|name| names(line, name)) || mine.iter().any(|name| names(line, name));
        let before = status.not_ready.len();
        status.not_ready.retain(about_me);
        status.ready |= before > 0 && status.not_ready.is_empty();
        if let Some(glob) = &self.endpoint {
            let names = || status.targets.iter().flat_map(|t| &t.endpoints).map(|e| e.endpoint.as_str());
            if !names().any(|name| glob_matches(glob, name)) {
                let message = format!("there is no endpoint `{glob}`");
                let known: Vec<&str> = names().collect();
                let help = format!("there is: {}", known.join(", "));
                return Err(Stop::with(Exit::Usage, Diagnostic::error("unknown-target", message).help(help)));
            }
            for target in &mut status.targets {
                target.endpoints.retain(|e| glob_matches(glob, &e.endpoint));
                target.pending.retain(|p| glob_matches(glob, &p.endpoint));
                target.refusals.retain(|r| r.endpoint.as_ref().is_none_or(|e| glob_matches(glob, e)));
                target.pending_total = target.endpoints.iter().map(|e| e.pending).sum();
            }
            status.targets.retain(|t| !t.endpoints.is_empty());
        }
        if let Some(address) = &self.address {
            for target in &mut status.targets {
                // What is not listed may still be pending: then the total says so.
                let hidden = target.pending_total.saturating_sub(target.pending.len());
                target.pending.retain(|p| glob_matches(address, &p.address));
                target.pending_total = target.pending.len() + hidden;
                let places: Vec<&str> = target.pending.iter().map(|p| p.endpoint.as_str()).collect();
                for endpoint in &mut target.endpoints {
                    endpoint.pending = places.iter().filter(|place| **place == endpoint.endpoint).count();
                }
            }
        }
        Ok(())
    }
}

/// What a status means for the exit code.
fn exit_of(status: &Status) -> Exit {
    let mine: Vec<&TargetStatus> = status.targets.iter().filter(|t| t.state() != State::NotLeader).collect();
    let endpoints: Vec<&EndpointStatus> = mine.iter().flat_map(|t| &t.endpoints).collect();
    let all = |codes: &[&str]| {
        let fits = |e: &&EndpointStatus| {
            e.state == State::Failing && e.code.as_deref().is_some_and(|code| codes.contains(&code))
        };
        !endpoints.is_empty() && endpoints.iter().all(fits)
    };
    let mut exit = Exit::Done;
    for refusal in mine.iter().flat_map(|t| &t.refusals) {
        exit = exit.and(match refusal.gate.as_str() {
            "locked" => Exit::Locked,
            "older-commit" | "shallow" => Exit::Conflict,
            _ => Exit::Refused,
        });
    }
    let quiet = endpoints.iter().all(|e| e.is_quiet());
    let halted = mine.iter().any(|t| t.suspended.is_some() || t.held_at.is_some() || t.pending_total > 0);
    let source = status.source.stale || !status.source.quarantined.is_empty();
    // Also of a target where nobody leads, though another watcher should.
    let late = status.targets.iter().any(|t| t.not_ready.is_some());
    if !quiet || halted || source || late || !status.ready {
        exit = exit.and(match () {
            () if all(&["not-allowed"]) => Exit::Denied,
            () if all(&["unreachable"]) => Exit::Unreachable,
            () if mine.iter().any(|t| t.state() == State::Refused && t.refusals.is_empty()) => Exit::Refused,
            () => Exit::Partial,
        });
    }
    exit
}
