//! What is read, what is written, and what passes for canonical.

use super::glance::Glance;
use super::read::parse_with;
use super::*;
use crate::model::{SecretRef, Value};

#[test]
fn canonical_form_is_sorted_exact_and_without_white_space() {
    let value =
        parse(br#" { "b" : [1.0, 2e2, 12345678901234567890123], "a": "x\u0001\u00e9\ud83d\ude00\/" } "#).unwrap();
    assert_eq!(value.canonical().as_str(), "{\"a\":\"x\\u0001é😀/\",\"b\":[1,200,12345678901234567890123]}");
}

/// The long way, which every text takes that is not seen to be canonical at a glance.
fn is_canonical_by_its_tree(bytes: &[u8]) -> bool {
    parse_with(bytes, true).is_ok_and(|value| value.canonical().as_bytes() == bytes)
}

#[test]
fn what_is_canonical_at_a_glance_is_canonical() {
    let texts = [
        r#"{"a":1,"b":[-10,0,123456789012345,"x\ny\"",null,true,false,{}],"c":{"d":[],"é":"😀"}}"#,
        r#"{"$$x":1,"a":{"$secret":"pw","version":2}}"#,
        r#"["a\u0001","-0",-1,1234567890123456789012345,0.5,1e400]"#,
        r#""""#,
        "7",
    ];
    let mut seen = 0;
    for text in texts {
        assert!(is_canonical_by_its_tree(text.as_bytes()), "{text}");
        seen += usize::from(Glance::is_canonical(text.as_bytes()));
        // Every single change of a byte, every byte taken out, and some put in.
        for at in 0..text.len() {
            for byte in b"0159-+.eE\"\\{}[],: \n$antf/u\x80\xc3\x01" {
                let mut changed = text.as_bytes().to_vec();
                changed[at] = *byte;
                let mut longer = text.as_bytes().to_vec();
                longer.insert(at, *byte);
                let mut shorter = text.as_bytes().to_vec();
                shorter.remove(at);
                for bytes in [changed, longer, shorter] {
                    if Glance::is_canonical(&bytes) {
                        assert!(is_canonical_by_its_tree(&bytes), "{}", String::from_utf8_lossy(&bytes));
                    }
                }
            }
        }
    }
    assert_eq!(seen, 3, "plain texts are seen at a glance");
    for text in
        [r#"{"b":1,"a":2}"#, r#"{"a":1,"a":2}"#, "-0", "01", "1.0", "[1, 2]", "", "-", "[", "\"a", "[1]]", "\"\\"]
    {
        assert!(!Glance::is_canonical(text.as_bytes()), "{text}");
    }
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 2] {
        let text = nested(depth);
        assert_eq!(Glance::is_canonical(text.as_bytes()), is_canonical_by_its_tree(text.as_bytes()), "{depth}");
    }
}

#[test]
fn only_canonical_bytes_are_taken_from_a_store() {
    let good = [
        "{}",
        "[]",
        "0",
        "12",
        "-1",
        "1.5",
        "\"é\"",
        "\"a\\\"b\"",
        "null",
        "[true,false,null]",
        "1234567890123456789012",
        r#"{"":1,"a":{"b":[{}]},"b":[]}"#,
        r#"{"$$x":1}"#,
        r#"{"$secret":"pw"}"#,
        "1e400",
    ];
    for text in good {
        assert_eq!(Canonical::from_stored(text.as_bytes()).unwrap().as_str(), text);
    }
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    let bad = [
        " 1",
        "1 ",
        "01",
        "1.0",
        "-0",
        "1e2",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"a\": 1}",
        "[1,]",
        "[1",
        "tru",
        "\"\\u0061\"",
        "\"a",
        "",
        "{\"a\"}",
        "{,}",
        "\"\u{1}\"",
        "nulls",
        "1234567890123456789012.0",
        &deep,
    ];
    for text in bad {
        assert!(Canonical::from_stored(text.as_bytes()).is_err(), "{text}");
    }
    assert!(Canonical::from_stored(b"\"\xff\"").is_err());
}

#[test]
fn what_is_not_json_says_where() {
    for (text, offset) in
        [("{\"a\":1,\"a\":2}", 7), ("[1,]", 3), ("{\"a\" 1}", 5), ("\"\\ud800\"", 7), ("[1] x", 4), ("", 0), ("nul", 0)]
    {
        assert_eq!(parse(text.as_bytes()).unwrap_err().offset, offset, "{text}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(parse(deep.as_bytes()).unwrap_err().message, "nested more than 64 deep");
}

#[test]
fn a_reference_survives_and_data_that_looks_like_one_stays_data() {
    let secret = Value::Secret(SecretRef { name: "pw".into(), version: Some(2) });
    assert_eq!(secret.canonical().value(), secret);
    for text in [
        r#"{"$secret":"pw"}"#,
        r#"{"$$x":1}"#,
        r#"{"$ref":"a"}"#,
        r#"{"$a":{"$secret":"q"}}"#,
        r#"{"$secret":"x","version":2}"#,
    ] {
        let data = parse(text.as_bytes()).unwrap();
        assert_eq!(data.canonical().value(), data, "{text}");
        assert!(!data.holds_secret());
    }
}
