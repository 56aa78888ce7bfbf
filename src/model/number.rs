//! Exact decimals: numbers of any size, each with one spelling.

use std::fmt;

/// An exact decimal in canonical spelling: `1`, `1.0` and `1e0` are the same number, and integers of any size survive.
///
/// The spelling is plain (`1500`, `-0.25`) while it needs at most [`PLAIN_DIGITS`] digits, and scientific
/// (`1e400`) beyond, so that a short text never becomes a long one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Number(Box<str>);

/// Longest plain spelling, in digits. Enough for every 128-bit integer.
const PLAIN_DIGITS: i64 = 40;

impl Number {
    /// Reads a number in JSON's grammar; `None` when `text` is not one, or its exponent does not fit 32 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, rest) = match bytes.first()? {
            b'-' => (true, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], parse_exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.find('.') {
            Some(at) if at + 1 < mantissa.len() => (&mantissa[..at], &mantissa[at + 1..]),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let digits_only = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || !digits_only(whole)
            || !digits_only(fraction)
            || (whole.len() > 1 && whole.starts_with('0'))
        {
            return None;
        }
        if !negative && exponent == 0 && fraction.is_empty() && whole.len() as i64 <= PLAIN_DIGITS {
            return Some(Self(whole.into()));
        }
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let exponent = exponent - fraction.len() as i64;
        Some(Self(spell(negative, &digits, exponent).into()))
    }

    /// The canonical spelling, valid JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value as an unsigned integer, if it is one that fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The value as a signed integer, if it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: i64 = digits.parse().ok().filter(|e| *e <= i64::from(i32::MAX))?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// Spells `digits × 10^exponent` canonically.
fn spell(negative: bool, digits: &str, exponent: i64) -> String {
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return "0".to_owned();
    }
    let exponent = exponent + (digits.len() - kept.len()) as i64;
    let sign = if negative { "-" } else { "" };
    let count = kept.len() as i64;
    // Position of the decimal point, counted from the first digit.
    let point = count + exponent;
    if exponent >= 0 && point <= PLAIN_DIGITS {
        format!("{sign}{kept}{}", "0".repeat(exponent as usize))
    } else if exponent < 0 && point > 0 && count <= PLAIN_DIGITS {
        let (whole, fraction) = kept.split_at(point as usize);
        format!("{sign}{whole}.{fraction}")
    } else if exponent < 0 && point <= 0 && count - point <= PLAIN_DIGITS {
        format!("{sign}0.{}{kept}", "0".repeat((-point) as usize))
    } else {
        let (first, rest) = kept.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{dot}{rest}e{}", point - 1)
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(value.to_string().into())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn canonical(text: &str) -> String {
        Number::parse(text).map(|n| n.to_string()).unwrap_or_else(|| "refused".to_owned())
    }

    #[test]
    fn one_number_has_one_spelling() {
        for (text, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("1e0", "1"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0.10", "0.1"),
            ("1500", "1500"),
            ("1.5e3", "1500"),
            ("15e-1", "1.5"),
            ("-2.50", "-2.5"),
            ("9007199254740993", "9007199254740993"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e400", "1e400"),
            ("1.25e-400", "1.25e-400"),
            ("100e398", "1e400"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
            assert_eq!(canonical(expected), expected, "canonical form of {text} is stable");
        }
    }

    #[test]
    fn what_json_does_not_call_a_number_is_refused() {
        for text in ["", "-", "+1", "01", "1.", ".5", "1e", "0x10", "NaN", "1e99999999999", "1_000", " 1"] {
            assert_eq!(canonical(text), "refused", "{text}");
        }
    }
}
