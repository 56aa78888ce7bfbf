//! Whoever applies beside watchers is told what they were ordered to do: a run obeys the person who started it, and the
//! watchers may undo what it does.

use std::path::PathBuf;
use std::sync::Arc;

use super::Context;
use super::remote::watch_dir;
use super::session::Session;
use crate::model::{Diagnostic, Orders, TargetName};
use crate::report::span;
use crate::store::{OrderBook as _, StoreError};

/// The question, under way beside the plan.
pub(super) struct Asked(tokio::task::JoinHandle<Result<Orders, StoreError>>);

/// Asks where the record is, and the watcher of this machine.
pub(super) fn ask(ctx: &Context, session: &Session) -> Asked {
    let (stores, project) = (Arc::clone(&session.stores), session.project().name.clone());
    let source = &session.loaded.source;
    let here: PathBuf = watch_dir(&ctx.state, source.common_dir(), source.folder()).join("orders.json");
    Asked(tokio::task::spawn_blocking(move || {
        let mut orders = stores.orders(&project).map(|(_, orders)| orders)?;
        // Of a watcher of somebody else, or of none, there is nothing to read.
        let own = std::fs::read(here).ok().and_then(|bytes| Orders::parse(&bytes).ok());
        if let Some(own) = own {
            orders.take_over(&own, &own.names());
        }
        Ok(orders)
    }))
}

impl Asked {
    /// What there is to say about the targets of this run.
    pub(super) async fn tell(self, ctx: &Context, session: &Session) {
        let now = ctx.clock.wall().as_second();
        let mut said = Vec::new();
        match self.0.await {
            Ok(Ok(orders)) => said.extend(session.targets.iter().flat_map(|target| standing(&orders, target, now))),
            Ok(Err(error)) => {
                let message = format!("what watchers are ordered is not known: {error}");
                let help = "they may undo what this run does; see `ctl status --server URL`";
                said.push(Diagnostic::warning("orders-unknown", message).help(help));
            }
            Err(_) => {}
        }
        said.extend(session.targets.iter().filter_map(|target| led(session, target)));
        ctx.tell(&said);
    }
}

/// What holds at a target.
fn standing(orders: &Orders, target: &TargetName, now: i64) -> Vec<Diagnostic> {
    let ago = |since: i64| span(u64::try_from(now.saturating_sub(since)).unwrap_or(0));
    let mut said = Vec::new();
    let suspended = orders.suspended.get(target.as_str());
    if let Some(order) = suspended.filter(|order| order.until.is_none_or(|until| now < until)) {
        let left = |until: i64| span(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
        let until =
            order.until.map_or_else(|| "until `ctl resume`".to_owned(), |until| format!("for {} more", left(until)));
        let why = order.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let message = format!(
            "watchers write nothing at {target}: {} suspended it {} ago, {until}{why}",
            order.who,
            ago(order.since)
        );
        let help = format!("this run writes all the same; `ctl resume -t {target}` lets the watchers go on");
        said.push(Diagnostic::warning("suspended", message).help(help));
    }
    if let Some(order) = orders.pinned.get(target.as_str()) {
        let commit = order.commit.get(..12).unwrap_or(&order.commit);
        let why = order.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let message = format!(
            "watchers hold {target} at version {} (commit {commit}): {} rolled it back {} ago{why}",
            order.version,
            order.who,
            ago(order.since)
        );
        let help =
            format!("they undo what this run does; `ctl resume -t {target}` first, if that is not what you want");
        said.push(Diagnostic::warning("held", message).help(help));
    }
    said
}

/// Whether somebody was elected there.
fn led(session: &Session, target: &TargetName) -> Option<Diagnostic> {
    let (_, record) = session.records.get(target)?;
    let token = record.highest_token()?;
    let who = record.head.as_ref().map(|head| format!(", the last state by {}", head.who)).unwrap_or_default();
    let message = format!("elected watchers keep {target} (token {token}{who}), and this run was not elected");
    let help = format!(
        "they go back to what the newest commit says with their next cycle; to keep their hands off, `ctl suspend -t \
         {target}`"
    );
    Some(Diagnostic::warning("watched", message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Pinned, Suspended};

    #[test]
    fn whoever_applies_reads_who_stopped_the_watchers_why_and_for_how_long() {
        let mut orders = Orders::default();
        let order =
            |until| Suspended { since: 1_000, until, who: "ann".to_owned(), reason: Some("upgrade".to_owned()) };
        orders.suspend("dns".to_owned(), order(Some(2_800)));
        orders.suspend("mq".to_owned(), order(None));
        let commit = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c".to_owned();
        let reason = Some("too slow".to_owned());
        orders.pin("web".to_owned(), Pinned { version: 3, commit, who: "bob".to_owned(), since: 1_000, reason });
        let said = |target: &str, now| {
            let said = standing(&orders, &target.parse().unwrap(), now);
            said.into_iter().map(|diagnostic| (diagnostic.code, diagnostic.message)).collect::<Vec<_>>()
        };
        let dns = "watchers write nothing at dns: ann suspended it 60 s ago, for 29 min more: upgrade";
        assert_eq!(said("dns", 1_060), [("suspended", dns.to_owned())]);
        assert_eq!(said("dns", 2_800), [], "its time is over");
        let mq = "watchers write nothing at mq: ann suspended it 30 min ago, until `ctl resume`: upgrade";
        assert_eq!(said("mq", 2_800), [("suspended", mq.to_owned())]);
        let web = "watchers hold web at version 3 (commit 9f8e7d6c5b4a): bob rolled it back 30 min ago: too slow";
        assert_eq!(said("web", 2_800), [("held", web.to_owned())]);
        assert_eq!(said("other", 2_800), []);
    }
}
