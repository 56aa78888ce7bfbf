//! Work that is spread over the cores. It computes and does nothing else: the answers are the same on one core.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Most items that are taken at once.
const CHUNK: usize = 64;
/// How often each core takes some, so that none waits long for the one that got the heavy ones.
const TURNS: usize = 8;

/// The answers of `work` in the order of `items`. `work` must depend on its item alone.
pub fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let size = (items.len() / (cores * TURNS)).clamp(1, CHUNK);
    let workers = cores.min(items.len().div_ceil(size));
    if workers <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done: Vec<(usize, Vec<R>)> = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = items.chunks(size).nth(at) else { return done };
            done.push((at, chunk.iter().map(&work).collect()));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let handles: Vec<_> = (1..workers).map(|_| scope.spawn(share)).collect();
        let mut all = share();
        for handle in handles {
            all.extend(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    let mut answers = Vec::with_capacity(items.len());
    all.into_iter().for_each(|(_, chunk)| answers.extend(chunk));
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_items() {
        for len in [0, 1, CHUNK, CHUNK + 1, 1000] {
            let items: Vec<usize> = (0..len).collect();
            let expected: Vec<usize> = items.iter().map(|n| n * 2).collect();
            assert_eq!(on_all_cores(&items, |n| n * 2), expected);
        }
    }
}
