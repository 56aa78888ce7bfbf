//! What a program cannot decide for itself: time and chance; and how often something may start, which time decides.

mod clock;
mod entropy;
mod rate;
#[cfg(test)]
mod seeds;

pub use clock::{Clock, ScriptedClock};
pub use entropy::Entropy;
pub use rate::{Rate, TokenBucket};
#[cfg(test)]
pub(crate) use seeds::seeds;
