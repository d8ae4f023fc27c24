//! Tests of the JSON scanner against the grammar.

use super::*;

fn valid(text: &str) -> bool {
    let mut cursor = Cursor::new(text.as_bytes());
    cursor.value().is_ok() && cursor.ended()
}

#[test]
fn values_are_checked_while_they_are_skipped() {
    for text in [
        "1",
        "-0",
        "0",
        "0.5",
        "-1.5e+10",
        "true",
        "null",
        "\"\"",
        "\"a\\u00e9\\n\"",
        "[]",
        "{}",
        "[1,[2,{}],{\"a\":[]}]",
        "{\"a\" : 1 , \"b\" : [ ] }",
        "\"\\ud83d\\ude00\"",
    ] {
        assert!(valid(text), "{text}");
    }
    for text in [
        "",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "tru",
        "truex",
        "nul",
        "\"",
        "\"a\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "[",
        "[1",
        "[1,]",
        "[,]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "]",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "NaN",
        "\"\\ud83d\"",
        "\"\\udc00\\ud800\"",
        "-01",
        "00",
        "\"\u{1}\"",
    ] {
        assert!(!valid(text), "{text}");
    }
}

#[test]
fn the_scanner_agrees_with_serde_json_on_short_texts() {
    // Every text of up to five symbols of a small alphabet.
    const SYMBOLS: &[u8] = b"01-.e\"\\u{}[]:, tn";
    let mut texts = vec![Vec::new()];
    for _ in 0..4 {
        let longer: Vec<Vec<u8>> = texts
            .iter()
            .flat_map(|t: &Vec<u8>| SYMBOLS.iter().map(move |s| t.iter().copied().chain([*s]).collect()))
            .collect();
        for text in &longer {
            let text = std::str::from_utf8(text).expect("ASCII");
            let expected = serde_json::from_str::<serde_json::Value>(text).is_ok();
            // A double beyond its range is valid JSON; serde_json refuses it.
            assert_eq!(valid(text), expected, "{text}");
        }
        texts = longer;
    }
}

#[test]
fn nesting_is_bounded_and_does_not_recurse() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(valid(&deep(MAX_DEPTH - 1)));
    assert!(!valid(&deep(MAX_DEPTH)));
    assert!(!valid(&deep(100_000)));
}

#[test]
fn plain_prefixes_at_every_length() {
    for special in [b'"', b'\\', 0x1f, 0] {
        for at in 0..40 {
            let mut bytes = vec![0xc3; 40];
            bytes[at] = special;
            assert_eq!(plain_prefix(&bytes), at);
        }
    }
    assert_eq!(plain_prefix(&[b' '; 21]), 21);
}

#[test]
fn integers_to_the_last_one() {
    let integer = |text: &str| Cursor::new(text.as_bytes()).integer();
    assert_eq!(integer("9223372036854775807,"), Ok(i64::MAX));
    assert_eq!(integer("-9223372036854775808}"), Ok(i64::MIN));
    for text in ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999999"] {
        assert_eq!(integer(text), Err(crate::value::OUT_OF_RANGE), "{text}");
    }
    for text in ["1.0", "1e3", "-", "x", "01"] {
        assert_eq!(integer(text), Err(Fault("not an integer")), "{text}");
    }
}
