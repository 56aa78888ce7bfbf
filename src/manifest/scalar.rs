//! What a plain scalar means: YAML 1.2 core, and never a surprise for whoever knows YAML 1.1.

use std::borrow::Cow;

use crate::model::{Number, Value};

/// What a plain scalar (or a core tag over a scalar) says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// This value, without doubt.
    Clear(Value),
    /// Text, though YAML 1.1 reads it as what is named here.
    Ambiguous(&'static str),
    /// Not a value that we take: a lowercase fragment.
    Refused(&'static str),
}

/// Reads a plain scalar.
pub(super) fn plain(text: &str) -> Meaning {
    let Some(first) = text.bytes().next() else { return Meaning::Clear(Value::Null) };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text),
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => word(text),
        _ => string(text),
    }
}

fn string(text: &str) -> Meaning {
    Meaning::Clear(Value::from(text))
}

fn word(text: &str) -> Meaning {
    match text {
        "~" | "null" | "Null" | "NULL" => Meaning::Clear(Value::Null),
        "true" | "True" | "TRUE" => Meaning::Clear(Value::Bool(true)),
        "false" | "False" | "FALSE" => Meaning::Clear(Value::Bool(false)),
        _ if text.len() <= 3 && ["y", "n", "yes", "no", "on", "off"].iter().any(|w| w.eq_ignore_ascii_case(text)) => {
            Meaning::Ambiguous("a boolean")
        }
        _ => string(text),
    }
}

fn number(text: &str) -> Meaning {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Meaning::Refused("not a finite number");
    }
    let bytes = digits.as_bytes();
    if !matches!(bytes.first(), Some(b'0'..=b'9' | b'.')) {
        return string(text);
    }
    let decimal = |b: &u8| b.is_ascii_digit();
    if bytes.iter().all(decimal) {
        if bytes.len() > 1 && bytes[0] == b'0' {
            return Meaning::Ambiguous("an octal number");
        }
        return exact(negative, digits);
    }
    if let Some(radix) = match bytes {
        [b'0', b'o', ..] => Some(8),
        [b'0', b'x', ..] => Some(16),
        _ => None,
    } {
        // Core knows these without a sign, and with at least one digit.
        let rest = &digits[2..];
        if digits.len() == text.len() && !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)) {
            return based(rest, radix);
        }
        if radix == 16 && !rest.is_empty() && rest.chars().all(|c| c.is_ascii_hexdigit() || c == '_') {
            return Meaning::Ambiguous("a hexadecimal number");
        }
        return string(text);
    }
    if let [b'0', b'b', rest @ ..] = bytes
        && !rest.is_empty()
        && rest.iter().all(|b| matches!(b, b'0' | b'1' | b'_'))
    {
        return Meaning::Ambiguous("a binary number");
    }
    if is_float(bytes) {
        return exact(negative, &json_spelling(digits));
    }
    if bytes.contains(&b'_') && bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'_' | b'.')) {
        return Meaning::Ambiguous("a number");
    }
    if is_base_60(digits) {
        return Meaning::Ambiguous("a base-60 number");
    }
    string(text)
}

fn exact(negative: bool, digits: &str) -> Meaning {
    let signed: Cow<'_, str> = if negative { format!("-{digits}").into() } else { digits.into() };
    match Number::parse(&signed) {
        Some(number) => Meaning::Clear(Value::Number(number)),
        None => Meaning::Refused("a number whose exponent is out of reach"),
    }
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(bytes: &[u8]) -> bool {
    let run = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = run(0);
    let mut at = whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = run(at + 1);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return false;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'-' | b'+')) {
            at += 1;
        }
        let exponent = run(at);
        if exponent == 0 {
            return false;
        }
        at += exponent;
    }
    at == bytes.len()
}

/// `.5` and `1.` and `007.5` as JSON writes them.
fn json_spelling(digits: &str) -> String {
    let split = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(split);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    format!("{whole}.{fraction}{exponent}")
}

/// Longest number in another base than ten: conversion is quadratic.
const MAX_BASED_DIGITS: usize = 512;

fn based(digits: &str, radix: u32) -> Meaning {
    if digits.len() > MAX_BASED_DIGITS {
        return Meaning::Refused("a number with too many digits");
    }
    // Decimal digits, lowest first.
    let mut decimal: Vec<u32> = vec![0];
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        let mut carry = digit;
        for place in &mut decimal {
            let sum = *place * radix + carry;
            *place = sum % 10;
            carry = sum / 10;
        }
        while carry > 0 {
            decimal.push(carry % 10);
            carry /= 10;
        }
    }
    let text: String = decimal.iter().rev().filter_map(|d| char::from_digit(*d, 10)).collect();
    let text = text.trim_start_matches('0');
    exact(false, if text.is_empty() { "0" } else { text })
}

/// `190:20:30`, `12:30`, `1:30.5`
fn is_base_60(digits: &str) -> bool {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut parts = whole.split(':');
    let head = parts.next().is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let mut rest = parts.peekable();
    head && rest.peek().is_some()
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && rest.all(|p| matches!(p.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match plain(text) {
            Meaning::Clear(value) => value.canonical().as_str().to_owned(),
            Meaning::Ambiguous(reading) => format!("? {reading}"),
            Meaning::Refused(why) => format!("! {why}"),
        }
    }

    #[test]
    fn plain_scalars_mean_what_yaml_1_2_says() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("NULL", "null"),
            ("nULL", "\"nULL\""),
            ("True", "true"),
            ("0", "0"),
            ("-0", "0"),
            ("+1", "1"),
            ("1.", "1"),
            (".5", "0.5"),
            ("-.5e1", "-5"),
            ("1e3", "1000"),
            ("01.50", "1.5"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("0xffffffffffffffffffff", "1208925819614629174706175"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e400", "1e400"),
            ("-", "\"-\""),
            (".", "\".\""),
            ("1.2.3", "\"1.2.3\""),
            ("2026-11-22", "\"2026-11-22\""),
            ("8080:80", "\"8080:80\""),
            ("0o8", "\"0o8\""),
            ("-0x1", "? a hexadecimal number"),
            ("e3", "\"e3\""),
            ("1e", "\"1e\""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_yaml_1_1_reads_otherwise_is_text_and_said_so() {
        for text in [
            "y",
            "N",
            "yes",
            "No",
            "on",
            "OFF",
            "017",
            "08",
            "-017",
            "0b101",
            "1_000",
            "1_0.5",
            "12:30:45",
            "1:30",
            "190:20:30.15",
            "0x_1f",
        ] {
            assert!(matches!(plain(text), Meaning::Ambiguous(_)), "{text}");
        }
    }

    #[test]
    fn what_is_no_exact_number_is_refused() {
        for text in [".inf", "-.INF", ".nan", "1e99999999999", &format!("0x{}", "f".repeat(5000))] {
            assert!(matches!(plain(text), Meaning::Refused(_)), "{text}");
        }
    }
}
