//! The last entries of a watcher, for those who ask and for those who wait.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::event::{Entry, Level};

/// How many entries are kept.
const MAX_ENTRIES: usize = 2000;
/// How many bytes their lines may have together.
const MAX_BYTES: usize = 4 << 20;

/// The last entries of a watcher: at most two thousand, and at most 4 MiB of them.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Each with the length of its line; numbers without a gap.
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
    newest: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal {
    /// An empty one; its first entry is number 1.
    pub fn new() -> Self {
        Self { kept: Mutex::default(), newest: watch::Sender::new(0) }
    }

    /// Gives `entry` its number, keeps it, and wakes those who wait. What is [`Level::Debug`] is not kept and stays
    /// number 0: it comes again and again, and would push out what matters.
    pub fn push(&self, mut entry: Entry) -> Entry {
        if entry.level == Level::Debug {
            return entry;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.newest += 1;
        entry.seq = kept.newest;
        let bytes = entry.line().len();
        kept.bytes += bytes;
        kept.entries.push_back((entry.clone(), bytes));
        while kept.entries.len() > MAX_ENTRIES || (kept.bytes > MAX_BYTES && kept.entries.len() > 1) {
            let oldest = kept.entries.pop_front().map_or(0, |(_, bytes)| bytes);
            kept.bytes -= oldest;
        }
        // Told while the lock is held, so that numbers reach those who wait in order.
        self.newest.send_replace(kept.newest);
        entry
    }

    /// The entries after `seq` that are kept, oldest first, and the number of the newest.
    pub fn since(&self, seq: u64) -> (Vec<Entry>, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = kept.entries.front().map_or(0, |(entry, _)| entry.seq);
        let skip = usize::try_from(seq.saturating_add(1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        (kept.entries.iter().skip(skip).map(|(entry, _)| entry.clone()).collect(), kept.newest)
    }

    /// Waits until there is an entry after `seq`.
    pub async fn more(&self, seq: u64) {
        // It fails only once the journal is gone, and the journal is here.
        let _ = self.newest.subscribe().wait_for(|newest| *newest > seq).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::event::News;

    fn note(level: Level, message: &str) -> Entry {
        let news = News::Note { level, message: message.to_owned() };
        Entry::of(&news, jiff::Timestamp::UNIX_EPOCH, &str::to_owned).unwrap()
    }

    #[test]
    fn the_newest_two_thousand_entries_are_kept_and_numbered() {
        let journal = Journal::new();
        assert_eq!(journal.since(0), (Vec::new(), 0));
        for n in 1..=2500 {
            assert_eq!(journal.push(note(Level::Info, "x")).seq, n);
        }
        let (all, newest) = journal.since(0);
        assert_eq!((all.len(), all[0].seq, newest), (2000, 501, 2500));
        let (some, _) = journal.since(2498);
        assert_eq!(some.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2499, 2500]);
        assert_eq!(journal.since(9999), (Vec::new(), 2500));
        assert_eq!(journal.since(u64::MAX).0, Vec::new());
    }

    #[test]
    fn long_entries_push_out_more() {
        let journal = Journal::new();
        for _ in 0..2000 {
            // Each control takes six bytes in a line.
            journal.push(note(Level::Info, &"\u{1}".repeat(2000)));
        }
        let (all, _) = journal.since(0);
        assert!((300..400).contains(&all.len()), "{}", all.len());
    }

    #[test]
    fn what_comes_again_and_again_pushes_nothing_out() {
        let journal = Journal::new();
        journal.push(note(Level::Error, "the one that matters"));
        for _ in 0..5000 {
            assert_eq!(journal.push(note(Level::Debug, "tried again")).seq, 0);
        }
        assert_eq!(journal.since(0).0.len(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_next_entry() {
        let journal = Arc::new(Journal::new());
        journal.push(note(Level::Info, "a"));
        tokio::time::timeout(Duration::from_secs(30), journal.more(0)).await.unwrap();
        let waiting = tokio::spawn({
            let journal = Arc::clone(&journal);
            async move { journal.more(1).await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!waiting.is_finished());
        journal.push(note(Level::Info, "b"));
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
    }
}
