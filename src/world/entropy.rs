//! Where chance comes from.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where chance comes from.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The kernel.
    System,
    /// A test's seed (splitmix64, public domain by Sebastiano Vigna).
    Seeded(Arc<Mutex<u64>>),
}

impl Entropy {
    /// Chance that is the same each time.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(seed)))
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        match self {
            Self::System => {
                let mut bytes = [0; 8];
                let flags = rustix::rand::GetRandomFlags::empty();
                rustix::rand::getrandom(&mut bytes, flags)
                    .unwrap_or_else(|e| unreachable!("the kernel gives 8 random bytes once it is up: {e}"));
                u64::from_ne_bytes(bytes)
            }
            Self::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
        }
    }

    /// Between half of `time` and the whole of it, so that many who wait do not come back together.
    pub fn jitter(&self, time: Duration) -> Duration {
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        time.mul_f64(0.5 + fraction / 2.0)
    }
}
