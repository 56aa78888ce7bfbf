//! What a person asks of a watcher: `ctl retry`, `suspend`, `resume`, `rollback`, `approve`. Each is sent once.

use std::time::Duration;

use super::args::{ApproveArgs, OrderArgs, Plain, ResumeArgs, RetryArgs, RollbackArgs, SourceArgs, SuspendArgs};
use super::history::when;
use super::remote::{self, Watcher};
use super::stores::Stores;
use super::{Context, Exit, Stop, load};
use crate::model::{Diagnostic, Digest, Order, RecordHead, Status, TargetName, TargetStatus};
use crate::report::answer_json;
use crate::report::sanitize::line;
use crate::store::{RecordName, Store as _};

/// Digits of a checksum that are enough to name one.
const PREFIX: usize = 8;
/// The longest reason, in bytes: it is shown with each status.
const REASON: usize = 500;
/// The longest time that an order may ask for: ten years are a mistake.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Try again now.
pub(super) async fn retry(ctx: &Context, args: &RetryArgs) -> Result<Exit, Stop> {
    let watcher = remote::need(ctx, &args.order.remote)?;
    give(ctx, &watcher, &args.order, &Order::Retry { target: args.only.target.clone() }).await
}

/// Write nothing there.
pub(super) async fn suspend(ctx: &Context, args: &SuspendArgs) -> Result<Exit, Stop> {
    let reason = reason(args.reason.as_deref())?;
    let seconds = args.time.map(|time| seconds("--for", time)).transpose()?;
    let watcher = remote::need(ctx, &args.order.remote)?;
    let order = Order::Suspend { target: args.only.target.clone(), seconds, reason };
    give(ctx, &watcher, &args.order, &order).await
}

/// Go on.
pub(super) async fn resume(ctx: &Context, args: &ResumeArgs) -> Result<Exit, Stop> {
    let watcher = remote::need(ctx, &args.order.remote)?;
    give(ctx, &watcher, &args.order, &Order::Resume { target: args.only.target.clone() }).await
}

/// Apply an older version and stay there.
pub(super) async fn rollback(ctx: &Context, args: &RollbackArgs) -> Result<Exit, Stop> {
    let (name, version) = wanted(&args.to)?;
    let reason = reason(args.reason.as_deref())?;
    let watcher = remote::need(ctx, &args.order.remote)?;
    let status = watcher.status(None).await?;
    let target = the_target(&status, name)?;
    let now = target.version.as_ref();
    let to = recorded(ctx, &args.order.remote.source, &status.project, &target.target, version);
    let from = match now {
        Some(now) => format!("{} (version {})", short(&now.commit), now.number),
        None => "nothing".to_owned(),
    };
    let to = match to {
        Some(head) => format!("{} (version {version}, {}, {})", head.commit.short(), head.result, when(&head)),
        None => format!("version {version}"),
    };
    let plan = format!("{}: from {from} back to {to}\n", target.target);
    ctx.say(&watcher.redactor.hide(&crate::report::sanitize::lines(&plan)));
    if !args.yes {
        if !ctx.interactive {
            let diagnostic = Diagnostic::error("no-consent", "nobody can be asked, and --yes is not given")
                .help("look at the line above, then say --yes");
            return Err(Stop::with(Exit::Refused, diagnostic));
        }
        if !ctx.ask("Apply that commit, and stay there until `ctl resume`?") {
            ctx.say("Nothing was ordered.\n");
            return Ok(Exit::Failed);
        }
    }
    let order = Order::Rollback { target: target.target.clone(), version, reason };
    give(ctx, &watcher, &args.order, &order).await
}

/// Let a refused plan through.
pub(super) async fn approve(ctx: &Context, args: &ApproveArgs) -> Result<Exit, Stop> {
    let typed = args.checksum.to_ascii_lowercase();
    if typed.len() < PREFIX || typed.len() > 64 || !typed.bytes().all(|b| b.is_ascii_hexdigit()) {
        let message = format!("`{}` is no checksum", line(&args.checksum));
        let help = format!("give its 64 hexadecimal digits, or the first {PREFIX} or more: `ctl status` shows it");
        return Err(Stop::with(Exit::Usage, Diagnostic::error("bad-checksum", message).help(help)));
    }
    let seconds = seconds("--for", args.time)?;
    let watcher = remote::need(ctx, &args.order.remote)?;
    let checksum = match Digest::parse(&typed) {
        Some(whole) => whole.to_string(),
        None => whole(&watcher.status(None).await?, &typed)?,
    };
    give(ctx, &watcher, &args.order, &Order::Approve { checksum, seconds }).await
}

/// Sends an order and shows the answer. One that is not carried out is a conflict with how things stand.
async fn give(ctx: &Context, watcher: &Watcher, args: &OrderArgs, order: &Order) -> Result<Exit, Stop> {
    let answer = watcher.order(order).await?;
    if args.output == Plain::Json {
        ctx.print(&watcher.redactor.hide(&answer_json(&answer)));
    }
    if !answer.accepted {
        let mut diagnostic = Diagnostic::error("not-accepted", watcher.redactor.hide(&answer.message));
        diagnostic.help = answer.help.map(|help| watcher.redactor.hide(&help));
        return Err(Stop::with(Exit::Conflict, diagnostic));
    }
    if answer.only_here {
        let mut diagnostic = Diagnostic::warning("only-here", watcher.redactor.hide(&answer.message));
        diagnostic.help = answer.help.map(|help| watcher.redactor.hide(&help));
        ctx.tell(&[diagnostic]);
        return Ok(Exit::Partial);
    }
    if args.output == Plain::Text {
        ctx.print(&watcher.redactor.hide(&format!("{}\n", line(&answer.message))));
        if let Some(help) = answer.help.filter(|_| !ctx.quiet) {
            ctx.say(&watcher.redactor.hide(&format!("{}\n", line(&help))));
        }
    }
    Ok(Exit::Done)
}

/// A reason as it is sent; none where nothing is said.
fn reason(text: Option<&str>) -> Result<Option<String>, Stop> {
    let reason = text.map(str::trim).filter(|reason| !reason.is_empty());
    if let Some(reason) = reason.filter(|reason| reason.len() > REASON) {
        let message = format!("the reason has {} bytes, and at most {REASON} are shown", reason.len());
        let help = "say it shorter, and link to the rest";
        return Err(Stop::with(Exit::Usage, Diagnostic::error("bad-order", message).help(help)));
    }
    Ok(reason.map(str::to_owned))
}

/// `dns@12`, or `12`.
fn wanted(text: &str) -> Result<(Option<&str>, u64), Stop> {
    let (target, number) = match text.rsplit_once('@') {
        Some((target, number)) => (Some(target), number),
        None => (None, text),
    };
    match number.parse() {
        Ok(number) if number > 0 && target.is_none_or(|name| name.parse::<TargetName>().is_ok()) => {
            Ok((target, number))
        }
        _ => {
            let message = format!("`{}` is not a version", line(text));
            let help = "write target@number, as `ctl history` lists it";
            Err(Stop::with(Exit::Usage, Diagnostic::error("bad-address", message).help(help)))
        }
    }
}

/// The target that is meant: by its name, or the only one.
fn the_target<'s>(status: &'s Status, name: Option<&str>) -> Result<&'s TargetStatus, Stop> {
    let known = || status.targets.iter().map(|t| t.target.as_str()).collect::<Vec<_>>().join(", ");
    match (name, status.targets.as_slice()) {
        (Some(name), targets) => targets.iter().find(|t| t.target == name).ok_or_else(|| {
            let diagnostic = Diagnostic::error("unknown-target", format!("the watcher has no target `{name}`"));
            Stop::with(Exit::Usage, diagnostic.help(format!("it has: {}", known())))
        }),
        (None, [only]) => Ok(only),
        (None, _) => {
            let diagnostic = Diagnostic::error("unknown-target", "the watcher has several targets: which one?");
            Err(Stop::with(Exit::Usage, diagnostic.help(format!("write target@number; it has: {}", known()))))
        }
    }
}

/// What the record here says of a version. It is shown, and decides nothing: the watcher's record does.
fn recorded(ctx: &Context, source: &str, project: &str, target: &str, version: u64) -> Option<RecordHead> {
    let source = SourceArgs { source: source.to_owned(), rev: None, trust: None };
    let loaded = load::load(ctx, &source, false).ok()?;
    if loaded.project.name.as_str() != project {
        return None;
    }
    let operator = ctx.operator().ok()?;
    let stores = Stores::open(ctx, &loaded, &operator).ok()?;
    let name = RecordName { project: loaded.project.name.clone(), target: target.parse().ok()? };
    let versions = stores.versions(&name, 1000).ok()?;
    versions.into_iter().map(|(_, head)| head).find(|head| head.number == version)
}

/// The refused plan that a prefix names.
fn whole(status: &Status, prefix: &str) -> Result<String, Stop> {
    let stop =
        |exit, code, message: String, help: &str| Err(Stop::with(exit, Diagnostic::error(code, message).help(help)));
    let refused = status.targets.iter().filter(|t| t.refusals.iter().any(|r| r.approvable));
    let sums = refused.flat_map(|t| t.checksum.iter().chain(&t.deletes_checksum));
    let mut fitting: Vec<&String> =
        sums.filter(|sum| sum.starts_with(prefix) && Digest::parse(sum).is_some()).collect();
    fitting.sort();
    fitting.dedup();
    match fitting.as_slice() {
        [one] => Ok((*one).clone()),
        [] => stop(
            Exit::Conflict,
            "not-refused",
            format!("no plan whose checksum begins with {prefix} is refused now"),
            "look at `ctl status`: the plan may be another one by now",
        ),
        several => stop(
            Exit::Usage,
            "bad-checksum",
            format!("{} refused plans have a checksum that begins with {prefix}", several.len()),
            "give more digits",
        ),
    }
}

/// Whole seconds, at least one.
fn seconds(flag: &str, time: Duration) -> Result<u64, Stop> {
    if time < Duration::from_secs(1) || time > LONGEST {
        let message = format!("{flag} wants at least a second and at most a year");
        let help = "write a duration such as 90s, 30m, 2h or 1d";
        return Err(Stop::with(Exit::Usage, Diagnostic::error("bad-order", message).help(help)));
    }
    Ok(time.as_secs())
}

fn short(commit: &str) -> String {
    commit.chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RefusalStatus;

    #[test]
    fn a_version_has_a_number_and_perhaps_a_target() {
        assert_eq!(wanted("dns@12").unwrap(), (Some("dns"), 12));
        assert_eq!(wanted("12").unwrap(), (None, 12));
        for bad in ["", "dns", "dns@", "@12", "dns@0", "0", "-1", "dns@1@2", "DNS@1", "dns@1e3", "../x@1"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_names_only_what_is_refused_and_only_one() {
        let (a, b) = ("ab".repeat(32), format!("abababab{}", "0".repeat(56)));
        let target = |sum: &str, approvable| TargetStatus {
            checksum: Some(sum.to_owned()),
            refusals: vec![RefusalStatus { approvable, ..RefusalStatus::default() }],
            ..TargetStatus::default()
        };
        let status = |targets: Vec<TargetStatus>| Status { targets, ..Status::default() };
        let one = status(vec![target(&a, true), target(&b, false)]);
        assert_eq!(whole(&one, "abababab").unwrap(), a);
        let both = status(vec![target(&a, true), target(&b, true)]);
        assert_eq!(whole(&both, "abababab").unwrap_err().exit, Exit::Usage);
        assert_eq!(whole(&both, "abababab0").unwrap(), b);
        let none = status(vec![target(&a, false)]);
        assert_eq!(whole(&none, "abababab").unwrap_err().exit, Exit::Conflict);
        let odd = status(vec![target("abababab\u{1b}[2J", true)]);
        assert!(whole(&odd, "abababab").is_err(), "what is sent is a checksum, whatever the watcher says");
    }

    #[test]
    fn an_order_lasts_at_least_a_second_and_not_for_ever() {
        assert_eq!(seconds("--for", Duration::from_secs(3600)).unwrap(), 3600);
        for bad in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(u64::MAX)] {
            assert!(seconds("--for", bad).is_err());
        }
    }
}
