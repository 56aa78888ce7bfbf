//! How many seeds a test draws its cases from.

/// From which seeds a test draws its cases: `usual` many, or as many as `CTL_TEST_SEEDS` says.
#[expect(clippy::disallowed_methods, reason = "a test is asked to try more cases than it does every day")]
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("CTL_TEST_SEEDS").ok();
    0..asked.map_or(usual, |many| many.parse().expect("CTL_TEST_SEEDS is a number"))
}
