//! The values of flags: a rate, a time, where to begin in a log.

use std::time::Duration;

/// Where to begin in a watcher's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// After this number.
    Seq(u64),
    /// So long ago.
    Ago(Duration),
}

/// A source that was typed. A variable of a script that is empty is none, and never means the current folder.
pub(super) fn named(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("name a path or a URL; `.` is the current folder".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("write a whole number of requests per second, such as 50/s".to_owned()),
    }
}

/// `90s`, `5m`, `1h30m`, `1d`; a bare number is seconds. A day is 24 hours.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let help = || "write a duration such as 90s, 5m, 2h or 1d".to_owned();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    if let Some(Ok(days)) = text.strip_suffix('d').map(str::parse::<u64>) {
        return days.checked_mul(86_400).map(Duration::from_secs).ok_or_else(help);
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| help())?;
    Duration::try_from(span).map_err(|_| help())
}

/// The number of an event, or how long ago.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(seq) = text.parse() {
        return Ok(Since::Seq(seq));
    }
    duration(text).map(Since::Ago).map_err(|_| "write how long ago (10m, 2h), or the number of an event".to_owned())
}

/// Below a second a watcher would only ask, and above a day it would not watch.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&interval);
    fits.then_some(interval).ok_or_else(|| "write an interval from 1s to 1d, such as 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_durations_are_read_with_their_units() {
        assert_eq!(rate("50/s"), Ok(50));
        assert!(rate("0").is_err());
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for bad in ["-1s", "d", "soon", "99999999999999999999d", "9999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn events_begin_at_a_number_or_some_time_ago() {
        assert_eq!(since("17"), Ok(Since::Seq(17)));
        assert_eq!(since("10m"), Ok(Since::Ago(Duration::from_secs(600))));
        assert!(since("yesterday").is_err() && since("-5").is_err());
    }

    #[test]
    fn an_interval_neither_hammers_nor_sleeps_for_ever() {
        assert_eq!(interval("30s"), Ok(Duration::from_secs(30)));
        for bad in ["0", "999ms", "2d", "-1s"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
