//! `GET /v1/events`: what happened, a line of JSON each, and what happens from now on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::event::Entry;

use super::Control;

/// How often an idle stream says that it is alive, with an empty line: so that a reader who is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Where to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Since {
    /// After this entry.
    Seq(u64),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// `42`, `30s`, `10m`, `2h`, `1d`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(seq) = text.parse() {
            return Some(Self::Seq(seq));
        }
        let unit = text.chars().last()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Self::Ago(Duration::from_secs(count.checked_mul(seconds)?)))
    }

    /// The entries from there on, and the number after which the next ones come.
    pub(super) fn entries(self, control: &dyn Control, now: Timestamp) -> (Vec<Entry>, u64) {
        match self {
            Self::Seq(seq) => {
                let (entries, newest) = control.events(seq);
                // A number that was never given is one of a watcher before this one: begin anew.
                if seq > newest { control.events(0) } else { (entries, newest) }
            }
            Self::Ago(age) => {
                let (mut entries, newest) = control.events(0);
                let from = SignedDuration::try_from(age).ok().and_then(|age| now.checked_sub(age).ok());
                if let Some(from) = from {
                    entries.retain(|entry| entry.time.parse().is_ok_and(|time: Timestamp| time >= from));
                }
                (entries, newest)
            }
        }
    }
}

/// Entries as lines.
pub(super) fn lines(entries: &[Entry]) -> Bytes {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&entry.line());
        text.push('\n');
    }
    text.into()
}

/// What a reader who stays is to have.
pub(super) struct Following {
    pub(super) control: Arc<dyn Control>,
    /// What is sent first.
    pub(super) first: Vec<Entry>,
    /// The number of the last entry that was sent.
    pub(super) seq: u64,
    /// Ends the stream.
    pub(super) stop: CancellationToken,
    /// One of few: as long as it is held, a reader less can follow.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// The entries as they come, until the reader leaves or `stop` says so. Nothing is put aside for a reader: the next
/// entries are fetched once those before are on their way, and where some of them are gone by then the stream ends. The
/// reader may come back and ask for what is kept after the last number that it saw.
pub(super) fn follow(following: Following) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    futures::stream::unfold(following, |mut here| async move {
        let frame = |bytes: Bytes| Ok(Frame::data(bytes));
        if !here.first.is_empty() {
            let first = lines(&std::mem::take(&mut here.first));
            return Some((frame(first), here));
        }
        loop {
            let (entries, newest) = here.control.events(here.seq);
            if let Some(next) = entries.first() {
                if next.seq > here.seq + 1 {
                    return None;
                }
                here.seq = newest;
                return Some((frame(lines(&entries)), here));
            }
            tokio::select! {
                () = here.control.more(here.seq) => {}
                () = tokio::time::sleep(HEARTBEAT) => return Some((frame(Bytes::from_static(b"\n")), here)),
                () = here.stop.cancelled() => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_begin_is_a_number_or_a_time() {
        for (text, since) in [
            ("0", Some(Since::Seq(0))),
            ("42", Some(Since::Seq(42))),
            ("30s", Some(Since::Ago(Duration::from_secs(30)))),
            ("10m", Some(Since::Ago(Duration::from_secs(600)))),
            ("2h", Some(Since::Ago(Duration::from_secs(7200)))),
            ("1d", Some(Since::Ago(Duration::from_secs(86_400)))),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1.5h", None),
            ("5ü", None),
            ("99999999999999999999", None),
            ("9999999999999999999d", None),
        ] {
            assert_eq!(Since::parse(text), since, "{text}");
        }
    }
}
