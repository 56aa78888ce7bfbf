//! How much the files of one project may hold together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Diagnostic, Limits};

/// From this size on, files are read one after another: what a file is on its way to its documents is many times what
/// it is before and after, and as many of them at once as there are cores would not fit into bounded memory.
const BIG: usize = 256 << 10;

/// What was read of a project so far, on several cores at once.
pub(super) struct Budget<'l> {
    limits: &'l Limits,
    nodes: AtomicUsize,
    bytes: AtomicUsize,
    big: Mutex<()>,
}

impl<'l> Budget<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self { limits, nodes: AtomicUsize::new(0), bytes: AtomicUsize::new(0), big: Mutex::new(()) }
    }

    /// To be held while a file of this size is read.
    pub(super) fn turn(&self, size: usize) -> Option<MutexGuard<'_, ()>> {
        (size >= BIG).then(|| self.big.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, nodes: usize, bytes: usize) {
        self.nodes.fetch_add(nodes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Why no more may be read, if so. It stands at no place: no single file is at fault.
    pub(super) fn problem(&self) -> Option<Diagnostic> {
        too_large(self.limits, 0, self.nodes.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// The limit that a project with this many documents, values and bytes is over, in words.
pub(super) fn too_large(limits: &Limits, documents: usize, nodes: usize, bytes: usize) -> Option<Diagnostic> {
    let over = |word, what, found: usize, most: usize| {
        (found > most).then(|| {
            let message = format!("the project has more than {most} {what}");
            Diagnostic::error("too-large", message).help(Limits::help(word, "split the project"))
        })
    };
    over("project", "bytes of manifests", bytes, limits.project)
        .or_else(|| over("documents", "documents", documents, limits.documents))
        .or_else(|| over("nodes", "values", nodes, limits.nodes))
}
