//! Tests of the JSON decoder: each type, each kind of reject, random corruption.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Float64Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType,
};

use super::*;
use crate::smoke;

fn decode_with(schema: SchemaRef, text: &[u8]) -> Decoded {
    let origin: Arc<str> = "test".into();
    let mut decoder = JsonDecoder::new(schema).expect("known types");
    let input = Input { bytes: text, origin: &origin, offset: 0, last: true };
    decoder.decode(input, usize::MAX).expect("never fails")
}

fn decode(text: &str) -> Decoded {
    decode_with(smoke::schema(), text.as_bytes())
}

#[test]
fn every_type_is_read() {
    let decoded = decode(concat!(
        r#"{"i64":-9223372036854775808,"i32":7,"i16":-3,"f32":1.5,"f64":"NaN","dec":"12.34567","flag":true,"#,
        r#""text":"caf\u00e9 \"\ud83d\ude00\"","bytes":"\\x00ff","day":"2026-11-01","at":"2026-11-01 00:00:00.123","#,
        r#""atz":"2026-11-01T02:00:00+02:00","list":[1,null,3]}"#,
        "\n",
        r#" { "i64" : 1 , "text" : {"a":[1, 2]}, "at":1000, "unknown":[{"x":"]}"}] , "LIST":[] } "#,
        "\r\n\n",
    ));
    assert!(decoded.dead.is_empty(), "{:?}", decoded.dead);
    let rows = decoded.rows;
    assert_eq!(rows.num_rows(), 2);
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().as_ref(), &[i64::MIN, 1]);
    assert_eq!(rows.column(5).as_primitive::<Decimal128Type>().value(0), 123_457);
    assert!(rows.column(4).as_primitive::<Float64Type>().value(0).is_nan());
    assert_eq!(rows.column(7).as_string_view().value(0), "café \"😀\"");
    assert_eq!(rows.column(7).as_string_view().value(1), "{\"a\":[1, 2]}");
    assert_eq!(rows.column(8).as_binary::<i32>().value(0), [0, 255]);
    assert_eq!(rows.column(10).as_primitive::<TimestampMicrosecondType>().value(0), 1_793_491_200_123_000);
    assert_eq!(rows.column(10).as_primitive::<TimestampMicrosecondType>().value(1), 1_000_000);
    assert_eq!(rows.column(11).as_primitive::<TimestampMicrosecondType>().value(0), 1_793_491_200_000_000);
    let list = rows.column(12).as_list::<i32>();
    assert_eq!(list.value(0).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None, Some(3)]);
    assert_eq!(list.value(1).len(), 0);
    assert!(rows.column(1).is_null(1));
}

#[test]
fn exactly_the_bad_lines_are_dead() {
    let deep = format!("{{\"i64\":1,\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_text = format!("{{\"i64\":1,\"text\":{}", "{\"a\":".repeat(100_000));
    for (bad, reason) in [
        ("{\"i64\":\"1\"}", "column i64: not an integer"),
        ("{\"i64\":1.5}", "column i64: not an integer"),
        ("{\"i64\":9223372036854775808}", "column i64: number out of range"),
        ("{\"i64\":1,\"i32\":2147483648}", "column i32: number out of range"),
        ("{\"i64\":1,\"i16\":-32769}", "column i16: number out of range"),
        ("{\"i64\":1,\"dec\":1e30}", "column dec: number out of range"),
        ("{\"i64\":1,\"f64\":1e999}", "column f64: number out of range"),
        ("{\"i64\":1,\"f64\":NaN}", "column f64: not a number"),
        ("{\"i64\":1,\"dec\":\"NaN\"}", "column dec: not a number"),
        ("{\"i64\":1,\"flag\":1}", "column flag: not a boolean"),
        ("{\"i64\":1,\"at\":\"294276-12-31 00:00:00\"}", "column at: timestamp out of range"),
        ("{\"i64\":1,\"at\":9223372036854775807}", "column at: timestamp out of range"),
        ("{\"i64\":1,\"at\":true}", "column at: not a timestamp"),
        ("{\"i64\":1,\"day\":20}", "column day: not a date"),
        ("{\"i64\":1,\"bytes\":\"00\"}", "column bytes: not bytes in the form \\x00ff"),
        ("{\"i64\":1,\"list\":[1,\"x\"]}", "column list: not an integer"),
        ("{\"i64\":1,\"list\":[1", "column list: not valid JSON: an array is not closed"),
        ("{\"i64\":1,\"text\":\"a\\u0000b\"}", "column text: the character \\u0000 cannot be in text"),
        ("{\"i64\":null}", "column i64: null in a NOT NULL column"),
        ("{\"i32\":1}", "column i64: missing, and NOT NULL"),
        ("{\"i64\":1", "not valid JSON: a comma or a closing brace is missing"),
        ("{\"i64\":1} x", "not valid JSON: something follows the object"),
        ("{\"i64\":1,}", "not valid JSON: a field name is missing"),
        ("[1]", "not a JSON object"),
        ("nonsense", "not a JSON object"),
        (&deep, "nested too deeply"),
        (&deep_text, "column text: nested too deeply"),
    ] {
        let text =
            format!("{{\"i64\":1,\"text\":\"before\"}}\n{bad}\n{{\"i64\":2,\"text\":\"after it, and long enough\"}}\n");
        let decoded = decode(&text);
        assert_eq!(decoded.rows.num_rows(), 2, "{bad:.60}");
        assert_eq!(decoded.rows.column(7).as_string_view().value(1), "after it, and long enough");
        assert_eq!(decoded.dead.len(), 1, "{bad:.60}");
        assert_eq!(decoded.dead[0].reason, reason);
        assert_eq!(decoded.dead[0].offset, 26);
        assert!(bad.as_bytes().starts_with(&decoded.dead[0].raw) && !decoded.dead[0].raw.is_empty());
    }
}

#[test]
fn invalid_utf8_stays_in_its_line() {
    let decoded = decode_with(
        smoke::schema(),
        b"{\"i64\":1}\n{\"i64\":2,\"text\":\"\xc3\x28\"}\n{\"i64\":3,\"x\":\"\xff\"}\n{\"i64\":4}",
    );
    assert_eq!(decoded.rows.column(0).as_primitive::<Int64Type>().values().as_ref(), &[1, 4]);
    assert_eq!(decoded.dead.iter().map(|d| d.reason.as_str()).collect::<Vec<_>>(), ["not valid UTF-8"; 2]);
}

#[test]
fn fields_in_any_order_repeated_or_in_another_case() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("userid", DataType::Utf8View, true),
    ]));
    let text = b"{\"a\":1,\"userId\":\"x\"}\n{\"userId\":\"y\",\"a\":2}\n{\"a\":3,\"a\":4,\"userid\":null}\n{\"\\u0061\":5}\n{}\n";
    let decoded = decode_with(schema, text);
    assert!(decoded.dead.is_empty());
    let numbers: Vec<_> = decoded.rows.column(0).as_primitive::<Int64Type>().iter().collect();
    let texts: Vec<_> = decoded.rows.column(1).as_string_view().iter().collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(4), Some(5), None]);
    assert_eq!(texts, [Some("x"), Some("y"), None, None, None]);
}

#[test]
fn a_partial_line_waits_and_a_byte_order_mark_is_skipped() {
    let origin: Arc<str> = "test".into();
    let mut decoder = JsonDecoder::new(smoke::schema()).expect("known types");
    let bytes = b"\xef\xbb\xbf{\"i64\":1}\n{\"i64\":2}";
    let first = decoder.decode(Input { bytes, origin: &origin, offset: 0, last: false }, 10).expect("never fails");
    assert_eq!((first.rows.num_rows(), first.consumed, first.dead.len()), (1, 13, 0));
    let rest = Input { bytes: &bytes[13..], origin: &origin, offset: 13, last: true };
    assert_eq!(decoder.decode(rest, 10).expect("never fails").rows.num_rows(), 1);
}
