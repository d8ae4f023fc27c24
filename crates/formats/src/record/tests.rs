//! Envelopes, keys and metadata of records in text encodings.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Field, Int8Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};

use thalweg_core::WRITE_COLUMN;

use super::*;
use crate::Unit;

fn declared() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8View, true),
        Field::new("n", DataType::Int32, false),
    ]))
}

fn layout(envelope: Envelope) -> RecordLayout {
    RecordLayout {
        envelope,
        encoding: Encoding::Json,
        metadata: Vec::new(),
        key: Vec::new(),
        key_avro: None,
        unit: if envelope == Envelope::Debezium { Unit::Guess } else { Unit::Millis },
    }
}

fn record<'a>(offset: u64, key: Option<&'a str>, value: Option<&'a str>) -> Record<'a> {
    Record { key: key.map(str::as_bytes), value: value.map(str::as_bytes), offset, ..Record::default() }
}

fn decode(decoder: &mut RecordDecoder, records: &[Record<'_>]) -> DecodedRecords {
    decoder.decode(records, &"t/0".into()).expect("never because of a record")
}

fn ids(decoded: &DecodedRecords) -> Vec<i64> {
    decoded.rows.column(0).as_primitive::<Int64Type>().values().to_vec()
}

fn writes(decoded: &DecodedRecords) -> Vec<i8> {
    let last = decoded.rows.num_columns() - 1;
    assert_eq!(decoded.rows.schema().field(last).name(), WRITE_COLUMN);
    decoded.rows.column(last).as_primitive::<Int8Type>().values().to_vec()
}

#[test]
fn plain_records_are_rows_and_exactly_the_bad_ones_are_dead() {
    let mut decoder = RecordDecoder::new(declared(), layout(Envelope::Plain)).expect("valid");
    let decoded = decode(
        &mut decoder,
        &[
            record(10, None, Some("{\"id\":1,\"name\":\"a\",\"n\":1}")),
            record(11, None, Some("{\"id\":2}")),
            record(12, None, None),
            record(13, None, Some("{\"id\":3,\n \"n\":3}\n")),
            record(14, Some("k"), Some("nonsense")),
            Record { value: Some(b"{\"id\":4,\"n\":4,\"name\":\"\xff\"}"), offset: 15, ..Record::default() },
        ],
    );
    assert_eq!(ids(&decoded), [1, 3]);
    assert_eq!(decoded.rows.num_columns(), 3);
    let dead: Vec<(u64, &str)> = decoded.dead.iter().map(|d| (d.offset, d.reason.as_str())).collect();
    assert_eq!(
        dead,
        [
            (11, "column n: missing, and NOT NULL"),
            (12, "a record without a value; format = 'upsert' takes it as a deletion"),
            (14, "not a JSON object"),
            (15, "not valid UTF-8"),
        ]
    );
    assert_eq!(&*decoded.dead[2].origin, "t/0");
    assert_eq!(decoded.dead[2].raw, b"nonsense");
}

#[test]
fn a_tombstone_takes_away_the_row_that_its_key_names() {
    let mut decoder = RecordDecoder::new(declared(), layout(Envelope::Upsert)).expect("valid");
    let decoded = decode(
        &mut decoder,
        &[
            record(0, Some("{\"id\":1}"), Some("{\"name\":\"a\",\"n\":1}")),
            record(1, Some("{\"schema\":{},\"payload\":{\"id\":1}}"), None),
            record(2, Some("{\"other\":1}"), None),
            record(3, None, None),
            record(4, Some("{\"id\":\"x\"}"), None),
        ],
    );
    assert_eq!((ids(&decoded), writes(&decoded)), (vec![1, 1], vec![0, 1]));
    assert_eq!(decoded.rows.column(2).as_primitive::<Int32Type>().value(1), 0, "a blank where NULL is not allowed");
    assert!(decoded.rows.column(1).is_null(1));
    let reasons: Vec<&str> = decoded.dead.iter().map(|d| d.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["a deletion whose key fills no column", "a deletion whose key fills no column", "column id: not an integer"]
    );
    // A value that repeats its key's column: the key's counts.
    let repeats = record(5, Some("{\"id\":1}"), Some("{\"id\":2,\"name\":\"b\",\"n\":1}"));
    assert_eq!(ids(&decode(&mut decoder, &[repeats])), [1]);
    // A key that is no object fills the one column that is named.
    let mut decoder = RecordDecoder::new(declared(), RecordLayout { key: vec![0], ..layout(Envelope::Upsert) });
    let decoder = decoder.as_mut().expect("valid");
    let decoded = decode(decoder, &[record(0, Some("7"), Some("{\"n\":1}")), record(1, Some("8"), None)]);
    assert_eq!((ids(&decoded), writes(&decoded)), (vec![7, 8], vec![0, 1]));
}

#[test]
fn changes_of_debezium_with_and_without_their_schema() {
    let mut decoder = RecordDecoder::new(declared(), layout(Envelope::Debezium)).expect("valid");
    let decoded = decode(
        &mut decoder,
        &[
            record(0, None, Some(r#"{"before":null,"after":{"id":1,"name":"a","n":1},"op":"r","ts_ms":1}"#)),
            record(1, None, Some(r#"{"schema":{"x":1},"payload":{"op":"c","before":null,"after":{"id":2,"n":2}}}"#)),
            record(2, None, Some(r#"{"op":"u","before":{"id":1,"n":1},"after":{"id":1,"n":9}}"#)),
            record(3, None, Some(r#"{"op":"d","before":{"id":1},"after":null}"#)),
            record(4, Some("{\"id\":1}"), None),
            record(5, Some(r#"{"schema":{},"payload":{"id":2}}"#), Some(r#"{"op":"d","before":null,"after":null}"#)),
            record(6, None, Some(r#"{"op":"t"}"#)),
            record(7, None, Some(r#"{"op":"u","before":null,"after":null}"#)),
            record(8, None, Some(r#"{"id":1}"#)),
            record(9, None, Some(r#"{"op":"m","message":{}}"#)),
            record(10, None, Some(r#"{"schema":{},"payload":null}"#)),
        ],
    );
    assert_eq!(ids(&decoded), [1, 2, 1, 1, 2]);
    assert_eq!(writes(&decoded), [0, 0, 0, 1, 1]);
    let dead: Vec<(u64, &str)> = decoded.dead.iter().map(|d| (d.offset, d.reason.as_str())).collect();
    assert_eq!(
        dead,
        [
            (6, "TRUNCATE is not applied"),
            (7, "a change without its row in after"),
            (8, "not a change of Debezium: op is none of c, r, u, d"),
        ]
    );
}

#[test]
fn numbers_of_debezium_are_dates_and_times() {
    let declared = Arc::new(Schema::new(vec![
        Field::new("day", DataType::Date32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]));
    let of = |unit, number: &str| {
        let mut decoder =
            RecordDecoder::new(Arc::clone(&declared) as SchemaRef, RecordLayout { unit, ..layout(Envelope::Debezium) })
                .expect("valid");
        let value = format!(r#"{{"op":"c","after":{{"day":20758,"at":{number}}}}}"#);
        let decoded = decode(&mut decoder, &[record(0, None, Some(&value))]);
        assert_eq!(decoded.rows.column(0).as_primitive::<Date32Type>().value(0), 20_758);
        decoded.rows.column(1).as_primitive::<TimestampMicrosecondType>().value(0)
    };
    for number in ["1793491200", "1793491200000", "1793491200000000", "1793491200000000000", "\"2026-11-01T00:00:00\""]
    {
        assert_eq!(of(Unit::Guess, number), 1_793_491_200_000_000, "{number}");
    }
    assert_eq!(of(Unit::Millis, "5"), 5_000);
    assert_eq!(of(Unit::Micros, "5"), 5);
}

#[test]
fn what_a_record_says_beside_its_value_fills_columns() {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let declared = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("k", DataType::Utf8View, true),
        Field::new("p", DataType::Int32, true),
        Field::new("o", DataType::Int64, true),
        Field::new("t", zoned, true),
        Field::new("h", DataType::Utf8View, true),
        Field::new("trace", DataType::Binary, true),
    ]));
    let metadata = vec![
        (1, Metadata::Key),
        (2, Metadata::Partition),
        (3, Metadata::Offset),
        (4, Metadata::Timestamp),
        (5, Metadata::Headers),
        (6, Metadata::Header("trace".to_owned())),
    ];
    let layout = RecordLayout { metadata, ..layout(Envelope::Plain) };
    let mut decoder = RecordDecoder::new(declared, layout).expect("valid");
    assert!(decoder.wants_headers());
    let full = Record {
        key: Some(b"k\xc3\xa9y"),
        value: Some(b"{\"id\":1,\"k\":\"not this\"}"),
        partition: 3,
        offset: 42,
        timestamp: Some(1_000),
        headers: vec![("trace", Some(b"old")), ("trace", Some(b"\xff")), ("x", None)],
    };
    let bare = Record { value: Some(b"{\"id\":2}"), ..Record::default() };
    let bad = Record { key: Some(b"\xff"), value: Some(b"{\"id\":3}"), ..Record::default() };
    let decoded = decode(&mut decoder, &[full, bare, bad]);
    assert_eq!(ids(&decoded), [1, 2]);
    assert_eq!(decoded.dead[0].reason, "column k: not valid UTF-8");
    let text = |c: usize| decoded.rows.column(c).as_string_view().value(0);
    assert_eq!(text(1), "kéy");
    assert_eq!(decoded.rows.column(2).as_primitive::<Int32Type>().value(0), 3);
    assert_eq!(decoded.rows.column(3).as_primitive::<Int64Type>().value(0), 42);
    assert_eq!(decoded.rows.column(4).as_primitive::<TimestampMicrosecondType>().value(0), 1_000_000);
    assert_eq!(text(5), r#"[{"key":"trace","value":"old"},{"key":"trace","value":"\\xff"},{"key":"x","value":null}]"#);
    assert_eq!(decoded.rows.column(6).as_binary::<i32>().value(0), [0xff]);
    assert!((1..=6).filter(|c| decoded.rows.column(*c).is_null(1)).eq([1, 4, 6]));
}

#[test]
fn csv_and_bytes() {
    let style = CsvStyle { delimiter: b';', null: String::new() };
    let layout_csv = RecordLayout { encoding: Encoding::Csv(style), ..layout(Envelope::Plain) };
    let mut decoder = RecordDecoder::new(declared(), layout_csv).expect("valid");
    let decoded = decode(
        &mut decoder,
        &[
            record(0, None, Some("1;\"a\nb\";2")),
            record(1, None, Some("2;;3\r\n")),
            record(2, None, Some("1;a")),
            record(3, None, Some("1;a;1\n2;b;2")),
        ],
    );
    assert_eq!(ids(&decoded), [1, 2]);
    assert_eq!(decoded.rows.column(1).as_string_view().value(0), "a\nb");
    let reasons: Vec<&str> = decoded.dead.iter().map(|d| d.reason.as_str()).collect();
    assert_eq!(reasons, ["too few fields", "more than one record"]);
    let raw = Arc::new(Schema::new(vec![Field::new("v", DataType::Binary, false)]));
    let bytes = RecordLayout { encoding: Encoding::Bytes, ..layout(Envelope::Plain) };
    let mut decoder = RecordDecoder::new(raw, bytes.clone()).expect("valid");
    let decoded = decode(&mut decoder, &[Record { value: Some(b"\0\xff"), ..Record::default() }]);
    assert_eq!(decoded.rows.column(0).as_binary::<i32>().value(0), [0, 255]);
    assert!(RecordDecoder::new(declared(), bytes).expect_err("three columns").to_string().contains("exactly one"));
}
