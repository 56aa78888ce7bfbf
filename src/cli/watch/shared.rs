//! The place where orders are shared, how the exchange with the others stands, and what is to be changed there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::{Orders, ProjectName, TargetName};
use crate::store::OrderBook;

/// The place that all watchers see, and what is known of it.
#[derive(Default)]
pub(super) struct Sharing {
    pub(super) place: Mutex<Option<(Arc<dyn OrderBook>, ProjectName)>>,
    /// One exchange at a time: what was read earlier never passes for what holds after what was read later.
    pub(super) exchange: Mutex<()>,
    pub(super) heard: Mutex<Heard>,
    /// Somebody wants to know now.
    pub(super) wanted: Notify,
}

/// How the exchange with the others stands.
#[derive(Clone, Default)]
pub(super) struct Heard {
    /// When the last exchange began that told what holds (time since boot).
    pub at: Option<Duration>,
    /// Why what holds is not known, or others cannot be told.
    pub trouble: Option<String>,
}

/// What is to be changed: in words, and the targets that it is about.
pub(super) struct Change<'a> {
    /// Says it in the log of the place.
    pub message: String,
    /// Their orders change; whoever asks for it tells the event.
    pub targets: &'a [TargetName],
    /// May be asked more than once: others change them too.
    pub make: &'a dyn Fn(&mut Orders),
}

/// What stands in the log of the orders.
pub(super) fn logged(order: &str, who: &str) -> String {
    let one_line = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    format!("{}\n\nWho: {}\n", one_line(order), one_line(who))
}
