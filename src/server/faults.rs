//! A server that misbehaves on purpose, the same way each time.

use std::time::Duration;

use crate::model::Diagnostic;
use crate::world::Entropy;

/// What goes wrong, and how often (0 to 1 of all requests).
#[derive(Clone, Debug)]
pub struct Faults {
    slow: (Duration, f64),
    drop_request: f64,
    drop_answer: f64,
    truncate: f64,
    html: f64,
    throttle: f64,
    lie: f64,
    conflict: f64,
    status: Option<(u16, f64)>,
    fail_page: Option<u64>,
    loop_page: Option<u64>,
    gone_page: Option<u64>,
    chance: Entropy,
}

/// What happens to one request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fate {
    /// Wait before anything is done.
    pub slow: Option<Duration>,
    /// Close the connection, nothing done.
    pub drop_request: bool,
    /// Do it, then close the connection without an answer.
    pub drop_answer: bool,
    /// Do it, and send half of the answer's body.
    pub truncate: bool,
    /// Answer 200 with a login page, nothing done.
    pub html: bool,
    /// Answer this, nothing done: 429 comes with Retry-After.
    pub status: Option<u16>,
    /// Acknowledge a write and store nothing.
    pub lie: bool,
    /// Send the token of this page as the one of the next.
    pub loop_page: bool,
    /// Answer a write 412, as if somebody else had been faster; nothing done. Reads go on.
    pub conflict: bool,
}

impl Faults {
    /// Reads `slow=200ms,drop-answer=0.05,fail-page=2,status=503:0.1,seed=7`.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let mut faults = Self {
            slow: (Duration::ZERO, 0.0),
            drop_request: 0.0,
            drop_answer: 0.0,
            truncate: 0.0,
            html: 0.0,
            throttle: 0.0,
            lie: 0.0,
            conflict: 0.0,
            status: None,
            fail_page: None,
            loop_page: None,
            gone_page: None,
            chance: Entropy::seeded(0),
        };
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let bad = |why: &str| bad(part, why);
            let (key, value) = part.split_once('=').ok_or_else(|| bad("it has no value"))?;
            let share = |text: &str| {
                let share = text.parse::<f64>().ok().filter(|p| (0.0..=1.0).contains(p));
                share.ok_or_else(|| bad("a share is a number from 0 to 1"))
            };
            let page = || value.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| bad("pages count from 1"));
            match key {
                "slow" => {
                    let (time, often) = value.split_once(':').unwrap_or((value, "1"));
                    faults.slow = (duration(time).ok_or_else(|| bad("a time is like 200ms or 2s"))?, share(often)?);
                }
                "drop-request" => faults.drop_request = share(value)?,
                "drop-answer" => faults.drop_answer = share(value)?,
                "truncate" => faults.truncate = share(value)?,
                "html" => faults.html = share(value)?,
                "throttle" => faults.throttle = share(value)?,
                "lie" => faults.lie = share(value)?,
                "conflict" => faults.conflict = share(value)?,
                "status" => {
                    let (status, often) = value.split_once(':').unwrap_or((value, "1"));
                    let status = status.parse::<u16>().ok().filter(|s| (200..600).contains(s));
                    faults.status = Some((status.ok_or_else(|| bad("a status is 200 to 599"))?, share(often)?));
                }
                "fail-page" => faults.fail_page = Some(page()?),
                "loop-page" => faults.loop_page = Some(page()?),
                "gone-page" => faults.gone_page = Some(page()?),
                "seed" => faults.chance = Entropy::seeded(value.parse().map_err(|_| bad("a seed is a whole number"))?),
                _ => return Err(bad("there is no such fault")),
            }
        }
        Ok(faults)
    }

    /// Draws for the next request; `page` is the number of the page for a list. Every request draws equally often, so
    /// that the n-th request has the same fate whatever the others were.
    pub fn draw(&self, page: Option<u64>) -> Fate {
        let hit = |share: f64| ((self.chance.next() >> 11) as f64) / ((1_u64 << 53) as f64) < share;
        let slow = hit(self.slow.1).then_some(self.slow.0);
        let mut fate = Fate {
            slow,
            drop_request: hit(self.drop_request),
            drop_answer: hit(self.drop_answer),
            truncate: hit(self.truncate),
            html: hit(self.html),
            status: hit(self.throttle).then_some(429),
            lie: hit(self.lie),
            loop_page: page.is_some() && page == self.loop_page,
            conflict: false,
        };
        let by_chance = hit(self.status.map_or(0.0, |(_, share)| share));
        fate.conflict = hit(self.conflict);
        if let (true, Some((status, _))) = (by_chance, self.status) {
            fate.status = Some(status);
        }
        if page.is_some() && page == self.fail_page {
            fate.status = Some(500);
        }
        if page.is_some() && page == self.gone_page {
            fate.status = Some(410);
        }
        fate
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn bad(part: &str, why: &str) -> Diagnostic {
    Diagnostic::error("bad-faults", format!("`{part}` is no fault: {why}")).help(
        "faults are slow=TIME[:SHARE], drop-request=, drop-answer=, truncate=, html=, throttle=, lie=, \
         conflict=SHARE, status=CODE[:SHARE], fail-page=N, loop-page=N, gone-page=N and seed=N, with commas between them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let spec = "slow=200ms:0.5,drop-answer=0.3,lie=0.1,status=503:0.2,seed=7";
        let fates = |spec: &str| {
            let faults = Faults::parse(spec).unwrap();
            (0..100).map(|_| faults.draw(None)).collect::<Vec<_>>()
        };
        assert_eq!(fates(spec), fates(spec));
        assert_ne!(fates(spec), fates(&spec.replace("seed=7", "seed=8")));
        let dropped = fates(spec).iter().filter(|f| f.drop_answer).count();
        assert!((15..45).contains(&dropped), "{dropped} of 100");
    }

    #[test]
    fn only_the_named_page_fails() {
        let faults = Faults::parse("fail-page=2").unwrap();
        assert_eq!(faults.draw(Some(1)), Fate::default());
        assert_eq!(faults.draw(Some(2)).status, Some(500));
        assert_eq!(faults.draw(None), Fate::default());
    }

    #[test]
    fn what_is_no_fault_is_named() {
        for text in [
            "slow",
            "slow=fast",
            "slow=2",
            "lie=2",
            "lie=x",
            "conflict=1.1",
            "status=99",
            "fail-page=0",
            "seed=x",
            "typo=1",
        ] {
            let problem = Faults::parse(text).unwrap_err();
            assert!(problem.message.contains(text), "{}", problem.message);
        }
    }
}
