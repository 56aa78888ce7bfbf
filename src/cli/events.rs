//! `ctl events`: what a watcher did and what happened to it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{EventsArgs, Plain, Since};
use super::remote::{self, Watcher};
use super::{Context, Exit, Stop};
use crate::event::Entry;
use crate::model::glob_matches;
use crate::net::Flow;
use crate::report::{entry_json, entry_text};

/// The longest line that is an entry; a longer one is skipped.
const LINE: usize = 1 << 20;
/// A connection on which nothing came for so long is made anew: what came meanwhile is asked for then.
const IDLE: Duration = Duration::from_secs(90);
/// How long to wait before a lost connection is made anew: the first time, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Prints what the watcher still knows, and with `--follow` what comes.
pub(super) async fn run(ctx: &Context, args: &EventsArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    let watcher = remote::need(ctx, &args.remote)?;
    let mut reader = Reader { ctx, args, watcher: &watcher, last: None, skipped: 0 };
    let since = match args.since {
        Some(Since::Seq(seq)) => seq.to_string(),
        Some(Since::Ago(ago)) => format!("{}s", ago.as_secs()),
        None => "0".to_owned(),
    };
    if !args.follow {
        let body = watcher.events(&since).await?;
        let mut lines = Lines::default();
        lines.push(&body, |line| reader.line(line));
        lines.end(|line| reader.line(line));
        reader.note_skipped();
        return Ok(Exit::Done);
    }
    // Nothing is in flight: the first interrupt ends it.
    ctx.asking.store(true, Ordering::SeqCst);
    reader.follow(since, cancel).await
}

struct Reader<'a> {
    ctx: &'a Context,
    args: &'a EventsArgs,
    watcher: &'a Watcher,
    /// The number of the last entry that was read.
    last: Option<u64>,
    /// Lines that are no entry.
    skipped: usize,
}

impl Reader<'_> {
    /// Reads until it is interrupted. A connection that breaks is made anew, from the last entry that was read.
    async fn follow(&mut self, mut since: String, cancel: &CancellationToken) -> Result<Exit, Stop> {
        let mut flow = self.watcher.follow(&since).await?;
        let mut started = self.started().await;
        let mut wait = AGAIN.0;
        loop {
            let why = self.read(&mut flow, cancel, &mut wait).await;
            if cancel.is_cancelled() {
                return Ok(Exit::Interrupted);
            }
            if !self.ctx.quiet {
                let words = format!("The connection was lost ({why}); going on from the last event.\n");
                self.ctx.say(&crate::report::sanitize::lines(&words));
            }
            flow = loop {
                tokio::select! {
                    () = self.ctx.clock.sleep(wait) => {}
                    () = cancel.cancelled() => return Ok(Exit::Interrupted),
                }
                wait = (wait * 2).min(AGAIN.1);
                // A watcher that was started again counts from 1.
                let now = self.started().await;
                if let (Some(before), Some(now)) = (started, now)
                    && now.abs_diff(before) > 1
                {
                    self.ctx.say("The watcher was started again.\n");
                    self.last = Some(0);
                }
                started = now.or(started);
                if let Some(last) = self.last {
                    since = last.to_string();
                }
                match self.watcher.follow(&since).await {
                    Ok(flow) => break flow,
                    Err(stop) if stop.exit == Exit::Unreachable => {}
                    Err(stop) => return Err(stop),
                }
            };
        }
    }

    /// Reads one connection to its end; says why it ended.
    async fn read(&mut self, flow: &mut Flow, cancel: &CancellationToken, wait: &mut Duration) -> String {
        let mut lines = Lines::default();
        loop {
            let next = tokio::select! {
                next = flow.next(IDLE) => next,
                () = cancel.cancelled() => return String::new(),
            };
            match next {
                Ok(Some(bytes)) => {
                    *wait = AGAIN.0;
                    lines.push(&bytes, |line| self.line(line));
                    self.note_skipped();
                }
                Ok(None) => return "the watcher ended it".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// When the watcher was started, by its own clock.
    async fn started(&self) -> Option<i64> {
        self.watcher.status(None).await.ok().map(|status| status.started.time)
    }

    fn line(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else {
            self.skipped += 1;
            return;
        };
        // The same entry twice would be a lie about what happened.
        if self.last.is_some_and(|last| entry.seq <= last) {
            return;
        }
        self.last = Some(entry.seq);
        let targets = &self.args.targets;
        let fits = |name: &String| targets.iter().any(|glob| glob_matches(glob, name));
        if !targets.is_empty() && !entry.target.as_ref().is_none_or(fits) {
            return;
        }
        let text = match self.args.output {
            Plain::Text => entry_text(&entry, &self.ctx.out),
            Plain::Json => entry_json(&entry),
        };
        self.ctx.print(&self.watcher.redactor.hide(&text));
    }

    fn note_skipped(&mut self) {
        if self.skipped > 0 && !self.ctx.quiet {
            self.ctx.say(&format!("{} lines are not events and were left out.\n", self.skipped));
        }
        self.skipped = 0;
    }
}

/// Bytes to lines, however they were cut on the way.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    /// The line is too long: what follows up to its end belongs to it.
    too_long: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if self.rest.len() + text.len() > LINE {
                self.rest.clear();
                self.too_long = true;
            }
            if !self.too_long {
                self.rest.extend_from_slice(text);
            }
            if ended {
                // A line that was too long is told as one that is no entry.
                each(if self.too_long { b"?" } else { &self.rest });
                self.rest.clear();
                self.too_long = false;
            }
        }
    }

    fn end(mut self, each: impl FnMut(&[u8])) {
        if !self.rest.is_empty() || self.too_long {
            self.push(b"\n", each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.push(piece, |line| out.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines.end(|line| out.push(String::from_utf8_lossy(line).into_owned()));
        out
    }

    #[test]
    fn lines_come_out_whole_however_they_were_cut() {
        assert_eq!(cut(&[b"one\ntw", b"", b"o\n\nthr", b"ee"]), ["one", "two", "", "three"]);
        assert_eq!(cut(&[b"one\n"]), ["one"]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn a_line_without_end_costs_no_more_than_its_limit() {
        let piece = vec![b'x'; LINE / 2 + 1];
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for _ in 0..20 {
            lines.push(&piece, |line| seen.push(line.to_vec()));
            assert!(lines.rest.len() <= LINE);
        }
        lines.push(b"\nnext\n", |line| seen.push(line.to_vec()));
        assert_eq!(seen, [b"?".to_vec(), b"next".to_vec()]);
    }
}
