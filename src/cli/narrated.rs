//! What `-v` tells: each request with its answer, and what a run does.

use std::sync::Arc;

use super::Context;
use super::fleet::Listener;
use crate::credentials::Redactor;
use crate::event::Event;
use crate::net::Exchange;
use crate::report::sanitize;

/// Tells each request and its answer, for `-v`.
pub(super) fn requests(ctx: &Context, redactor: &Redactor) -> Listener {
    let (ctx, redactor) = (ctx.clone(), redactor.clone());
    Arc::new(move |target, endpoint, exchange| {
        let Exchange { method, path, sent, status, took, error, answer } = exchange;
        let sent = sent.as_ref().map(|names| format!(" {names}")).unwrap_or_default();
        let came = match (status, error) {
            (Some(status), _) => format!("answered {status} in {} ms", took.as_millis()),
            (None, error) => format!("not answered: {}", error.as_deref().unwrap_or("unknown")),
        };
        let answer =
            answer.as_ref().filter(|said| !said.is_empty()).map(|said| format!(": {said}")).unwrap_or_default();
        let line = format!("{target}/{endpoint}: {method} {path}{sent} {came}{answer}");
        ctx.say(&format!("{}\n", redactor.hide(&sanitize::line(&line))));
    })
}

/// One line of what a run does.
pub(super) fn line(event: &Event) -> Option<String> {
    let line = match event {
        Event::Listed { target, scope, pages, items } => {
            let parent = scope.parent.as_ref().map(|p| format!(" in {p}")).unwrap_or_default();
            let s = |n: usize| if n == 1 { "" } else { "s" };
            let (item, page) = (s(*items), s(*pages));
            format!("{target}/{} {}{parent}: {items} item{item} in {pages} page{page}", scope.endpoint, scope.kind)
        }
        Event::ListFailed { target, scope, why } => format!("{target}/{} {}: {why}", scope.endpoint, scope.kind),
        Event::Retrying { target, endpoint, attempt, wait, why, .. } => {
            format!("{target}/{endpoint}: attempt {attempt} failed ({why}), again in {} ms", wait.as_millis())
        }
        Event::Listing { .. } | Event::Started { .. } | Event::Finished { .. } => return None,
    };
    Some(format!("{}\n", sanitize::line(&line)))
}
