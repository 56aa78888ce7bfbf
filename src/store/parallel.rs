//! Work in chunks on all cores, where that is worth it.

use std::num::NonZeroUsize;
use std::thread;

/// Fewer items than this are not worth a thread.
const WORTH: usize = 64;
/// More threads than this wait for the disk and for each other.
const MOST: usize = 8;

/// Works on `items` in chunks, on all cores. The results are in the order of the items; the first error counts.
pub(super) fn in_chunks<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<Vec<R>, E> + Sync,
) -> Result<Vec<R>, E> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST);
    if items.len() < WORTH || cores == 1 {
        return work(items);
    }
    thread::scope(|scope| {
        let chunks = items.chunks(items.len().div_ceil(cores));
        let threads: Vec<_> = chunks.map(|chunk| scope.spawn(|| work(chunk))).collect();
        let mut results = Vec::with_capacity(items.len());
        for thread in threads {
            results.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(results)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_and_the_first_error_counts() {
        let items: Vec<u32> = (0..1000).collect();
        let double = |chunk: &[u32]| Ok::<_, u32>(chunk.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(in_chunks(&items, double), Ok((0..1000).map(|n| n * 2).collect()));
        let refuse = |chunk: &[u32]| match chunk.iter().find(|n| **n % 300 == 299) {
            Some(bad) => Err(*bad),
            None => Ok(chunk.to_vec()),
        };
        assert_eq!(in_chunks(&items, refuse), Err(299));
    }
}
