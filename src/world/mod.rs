//! What a program cannot decide for itself: time and chance.

mod clock;
mod entropy;

pub use clock::{Clock, ScriptedClock};
pub use entropy::Entropy;
