//! Avro against data that another implementation wrote, hostile data, and rows written and read back.

use std::sync::Arc;

use apache_avro::types::Value;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, Schema, SchemaRef,
    TimeUnit, TimestampMicrosecondType,
};

use super::*;
use crate::Unit;
use crate::record::{DecodedRecords, Encoding, Envelope, Record, RecordDecoder, RecordLayout};

const ORDER: &str = include_str!("../../tests/data/order.avsc");
const ENVELOPE: &str = include_str!("../../tests/data/envelope.avsc");

// Written by fastavro: see tests/data/README.md.
const GOLDEN: &str = "8180808080808020020e9a9999999999b93f0000c03f0102085a6fc3ab0400ff08f8a432eb00000000000026adacc4\
    0280a3c087e302f6a1bfc6b268018a9889e0adcbaf064831323334353637382d313233342d353637382d313233342d353637383132333435363738\
    0406020200020500020261066222630002027804020279060000";
const GOLDEN_EMPTY: &str = "8180808080808020009a9999999999b93f0000c03f01000400ff020000000000000026adacc40280a3c087e302f6\
    a1bfc6b268018a9889e0adcbaf064831323334353637382d313233342d353637382d313233342d35363738313233343536373804000000";
const CREATED: &str = "000202020261020a0a66616c736502630202";
const UPDATED: &str = "0202020261020200000a66616c7365027500";
const DELETED: &str = "02020000020c0a66616c736502640206";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

fn decoder(declared: SchemaRef, envelope: Envelope, reader: AvroReader) -> RecordDecoder {
    let layout = RecordLayout {
        envelope,
        encoding: Encoding::Avro(reader),
        metadata: Vec::new(),
        key: Vec::new(),
        key_avro: None,
        unit: Unit::Millis,
    };
    RecordDecoder::new(declared, layout).expect("valid")
}

fn decode(decoder: &mut RecordDecoder, values: &[Vec<u8>]) -> DecodedRecords {
    let records: Vec<Record<'_>> =
        (0u64..).zip(values).map(|(offset, v)| Record { value: Some(v), offset, ..Record::default() }).collect();
    decoder.decode(&records, &"t/0".into()).expect("never because of a record")
}

fn order() -> AvroReader {
    AvroReader { framed: false, schema: Some(ORDER.to_owned()) }
}

fn text(rows: &RecordBatch, column: &str, row: usize) -> String {
    rows.column_by_name(column).expect("a column").as_string_view().value(row).to_owned()
}

#[test]
fn golden_data_fill_the_columns_that_their_schema_infers() {
    let declared = schema(avro_fields(ORDER, false).expect("a record"));
    let decoded =
        decode(&mut decoder(Arc::clone(&declared), Envelope::Plain, order()), &[bytes(GOLDEN), bytes(GOLDEN_EMPTY)]);
    assert!(decoded.dead.is_empty(), "{:?}", decoded.dead);
    let rows = decoded.rows;
    let at = |name: &str| rows.column_by_name(name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(at("id").as_primitive::<Int64Type>().values().as_ref(), &[-9_007_199_254_740_993; 2]);
    assert_eq!(at("small").as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None]);
    assert_eq!(at("ratio").as_primitive::<Float64Type>().value(0).to_bits(), 0.1f64.to_bits());
    assert_eq!(at("half").as_primitive::<Float32Type>().value(0).to_bits(), 1.5f32.to_bits());
    assert!(at("paid").as_boolean().value(0));
    assert_eq!(text(&rows, "who", 0), "Zoë");
    assert!(at("who").is_null(1));
    assert_eq!(at("raw").as_binary::<i32>().value(0), [0, 255]);
    assert_eq!(at("price").data_type(), &DataType::Decimal128(20, 4));
    assert_eq!(at("price").as_primitive::<Decimal128Type>().values().as_ref(), &[-123_456_789, 0]);
    assert_eq!(at("tax").as_primitive::<Decimal128Type>().value(0), 9901);
    assert_eq!(at("day").as_primitive::<Date32Type>().value(0), 20_758);
    assert_eq!(text(&rows, "clock", 0), "13:14:15.16");
    let micros = |name: &str| at(name).as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!((micros("ms"), micros("us")), (1_793_491_200_123_000, -1));
    assert_eq!(micros("local"), 1_793_491_200_000_000 + 7_384_000_005);
    assert_eq!(at("ms").data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())));
    assert_eq!(at("local").data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None));
    assert_eq!(text(&rows, "ref", 0), "12345678-1234-5678-1234-567812345678");
    assert_eq!(text(&rows, "state", 0), "SENT");
    let marks = at("marks").as_list::<i32>();
    assert_eq!(marks.value(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, Some(-3)]);
    assert_eq!(marks.value(1).len(), 0);
    assert_eq!(text(&rows, "attrs", 0), "{\"a\":\"b\\\"c\"}");
    assert_eq!(text(&rows, "items", 0), "[{\"sku\":\"x\",\"n\":2,\"next\":{\"sku\":\"y\",\"n\":3,\"next\":null}}]");
    assert_eq!(text(&rows, "items", 1), "[]");
}

#[test]
fn declared_types_may_be_others_than_those_of_the_writer() {
    let declared = schema(vec![
        Field::new("ID", DataType::Utf8View, false),
        Field::new("small", DataType::Float64, true),
        Field::new("price", DataType::Decimal128(10, 2), true),
        Field::new("us", DataType::Date32, true),
        Field::new("state", DataType::Utf8View, true),
        Field::new("absent", DataType::Int32, true),
    ]);
    let decoded = decode(&mut decoder(declared, Envelope::Plain, order()), &[bytes(GOLDEN)]);
    assert!(decoded.dead.is_empty(), "{:?}", decoded.dead);
    assert_eq!(text(&decoded.rows, "ID", 0), "-9007199254740993");
    assert_eq!(decoded.rows.column(1).as_primitive::<Float64Type>().value(0), 7.0);
    assert_eq!(decoded.rows.column(2).as_primitive::<Decimal128Type>().value(0), -1_234_568);
    assert_eq!(decoded.rows.column(3).as_primitive::<Date32Type>().value(0), -1);
    assert!(decoded.rows.column(5).is_null(0));
    let narrow = schema(vec![Field::new("id", DataType::Int32, true)]);
    let decoded = decode(&mut decoder(narrow, Envelope::Plain, order()), &[bytes(GOLDEN)]);
    assert_eq!(decoded.dead[0].reason, "column id: number out of range");
}

#[test]
fn framed_data_follow_their_writers_schema_and_the_readers_defaults() {
    let old = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"int"}]}"#;
    let new = r#"{"type":"record","name":"R","fields":[{"name":"name","type":"string"},{"name":"id","type":"long"}]}"#;
    let reader = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"long"},
        {"name":"name","type":"string","default":"nobody"}]}"#;
    let declared =
        schema(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8View, false)]);
    let mut decoder = decoder(declared, Envelope::Plain, AvroReader { framed: true, schema: Some(reader.to_owned()) });
    let framed = |id, datum: &[u8]| [&frame(id)[..], datum].concat();
    let values =
        [framed(7, &[4]), framed(8, &[2, b'x', 6]), framed(9, &[0]), vec![1, 2, 3], framed(7, &[4, 4]), framed(7, &[])];
    let record = |v| Record { value: Some(v), ..Record::default() };
    assert_eq!(decoder.missing_schema(&record(&values[0])), Some(7));
    assert_eq!(decoder.missing_schema(&record(&values[3])), None);
    decoder.add_schema(7, Ok(old));
    decoder.add_schema(8, Ok(new));
    decoder.add_schema(9, Err("not found".to_owned()));
    assert!(values.iter().all(|v| decoder.missing_schema(&record(v)).is_none()));
    let decoded = decode(&mut decoder, &values);
    assert_eq!(decoded.rows.column(0).as_primitive::<Int64Type>().values().as_ref(), &[2, 3]);
    assert_eq!((text(&decoded.rows, "name", 0), text(&decoded.rows, "name", 1)), ("nobody".into(), "x".into()));
    let dead: Vec<(u64, &str)> = decoded.dead.iter().map(|d| (d.offset, d.reason.as_str())).collect();
    assert_eq!(dead[0], (2, "schema 9: not found"));
    assert_eq!(dead[1], (3, "not framed: a zero byte and a schema's id must come first"));
    assert_eq!(dead[2], (4, "bytes follow the Avro datum: it was written with another schema"));
    assert_eq!(dead[3].0, 5);
    assert!(dead[3].1.contains("column id: the Avro datum ends too soon"), "{}", dead[3].1);
}

#[test]
fn an_envelope_of_debezium_says_what_a_row_does() {
    let declared = schema(avro_fields(ENVELOPE, true).expect("an envelope"));
    assert_eq!(declared.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["id", "name"]);
    let reader = AvroReader { framed: false, schema: Some(ENVELOPE.to_owned()) };
    let mut decoder = decoder(declared, Envelope::Debezium, reader);
    let decoded = decode(&mut decoder, &[bytes(CREATED), bytes(UPDATED), bytes(DELETED)]);
    assert!(decoded.dead.is_empty(), "{:?}", decoded.dead);
    let writes = decoded.rows.column(2).as_primitive::<arrow::datatypes::Int8Type>();
    assert_eq!(writes.values().as_ref(), &[0, 0, 1]);
    let names: Vec<Option<&str>> = decoded.rows.column(1).as_string_view().iter().collect();
    assert_eq!(names, [Some("a"), None, None]);
}

#[test]
fn a_length_in_hostile_bytes_allocates_nothing() {
    let list = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"null"}},
        {"name":"b","type":"bytes"}]}"#;
    let reader = AvroReader { framed: false, schema: Some(list.to_owned()) };
    let declared = schema(vec![Field::new("a", DataType::Utf8View, true), Field::new("b", DataType::Binary, true)]);
    let mut decoder = decoder(declared, Envelope::Plain, reader);
    let long = |value: u64| {
        let (mut rest, mut out) = (value << 1, Vec::new());
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
        out
    };
    let items = [long(1 << 40), vec![0, 0]].concat();
    let negative = [vec![0xff; 9], vec![1], vec![0, 0, 0]].concat();
    let content = [vec![0], long(1 << 40), vec![1, 2, 3]].concat();
    let endless = vec![0xff; 20];
    let decoded = decode(&mut decoder, &[items, negative, content, endless]);
    let reasons: Vec<&str> = decoded.dead.iter().map(|d| d.reason.as_str()).collect();
    assert_eq!(reasons[0], "column a: an array with more items than the datum can hold");
    assert_eq!(reasons[1], "column a: an array with more items than the datum can hold");
    assert_eq!(reasons[2], "column b: the Avro datum ends too soon, or was written with another schema");
    assert_eq!(reasons[3], "column a: not an Avro datum of the schema");
}

#[test]
fn schemas_that_are_none_are_refused() {
    let deep = format!("{}\"null\"{}", "[".repeat(100_000), "]".repeat(100_000));
    let big = r#"{"type":"bytes","logicalType":"decimal","precision":400,"scale":300}"#;
    for (text, part) in [
        ("{", "not an Avro schema"),
        ("\"strung\"", "not an Avro schema"),
        (&deep, "nested too deeply"),
        (&" ".repeat(MAX_SCHEMA_BYTES + 1), "the limit is"),
        (big, "38 is the most"),
        ("\"string\"", "no record"),
    ] {
        let message = avro_fields(text, false).expect_err("no schema").to_string();
        assert!(message.contains(part), "{message:.200}");
    }
    // A type that contains itself is read as deep as the limit.
    let recursive = r#"{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"]}]}"#;
    let reader = AvroReader { framed: false, schema: Some(recursive.to_owned()) };
    let mut decoder = decoder(schema(vec![Field::new("next", DataType::Utf8View, true)]), Envelope::Plain, reader);
    let decoded = decode(&mut decoder, &[vec![2; 100_000], vec![2, 2, 0]]);
    assert_eq!(decoded.dead[0].reason, "column next: nested too deeply");
    assert_eq!(text(&decoded.rows, "next", 0), "{\"next\":{\"next\":null}}");
}

#[test]
fn rows_are_written_as_another_implementation_reads_them() {
    let fields = crate::smoke::schema();
    let decoded = {
        use crate::{Decoder, Input, JsonDecoder};
        let lines = concat!(
            r#"{"i64":-1,"i32":7,"i16":-3,"f32":1.5,"f64":0.1,"dec":"-12345.6789","flag":true,"text":"Zoë","#,
            r#""bytes":"\\x00ff","day":"2026-11-01","at":"2026-11-01 00:00:00.000001","atz":1,"list":[1,null]}"#,
            "\n{\"i64\":9223372036854775807,\"dec\":\"-0.0128\",\"list\":[]}\n",
        );
        let origin = Arc::from("t");
        let input = Input { bytes: lines.as_bytes(), origin: &origin, offset: 0, last: true };
        JsonDecoder::new(Arc::clone(&fields)).expect("known").decode(input, 10).expect("decodes").rows
    };
    let encoder = AvroEncoder::new(&fields, "1 row.of-a/topic").expect("Avro types");
    let parsed = apache_avro::Schema::parse_str(encoder.schema()).expect("a schema");
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&parsed).build().expect("a reader");
    let mut seen = Vec::new();
    encoder
        .encode(&decoded, &[], |_, mut datum| {
            seen.push(reader.read_value(&mut datum).expect("a datum"));
            assert!(datum.is_empty());
            Ok(())
        })
        .expect("encodes");
    let Value::Record(first) = &seen[0] else { panic!("a record") };
    let value = |name: &str| match &first.iter().find(|(n, _)| n == name).expect("a field").1 {
        Value::Union(1, inner) => inner.as_ref().clone(),
        other => other.clone(),
    };
    assert_eq!(value("i64"), Value::Long(-1));
    assert_eq!(value("i16"), Value::Int(-3));
    assert_eq!(value("text"), Value::String("Zoë".to_owned()));
    assert_eq!(value("bytes"), Value::Bytes(vec![0, 255]));
    assert_eq!(value("day"), Value::Date(20_758));
    assert_eq!(value("at"), Value::LocalTimestampMicros(1_793_491_200_000_001));
    assert_eq!(value("atz"), Value::TimestampMicros(1_000));
    let Value::Decimal(decimal) = value("dec") else { panic!("a decimal") };
    assert_eq!(<Vec<u8>>::try_from(&decimal).expect("bytes"), (-123_456_789i32).to_be_bytes());
    let none = Value::Union(0, Box::new(Value::Null));
    assert!(matches!(&seen[1], Value::Record(fields) if fields[1].1 == none));
    // And as we read them ourselves.
    let reader = AvroReader { framed: true, schema: None };
    let mut decoder = decoder(Arc::clone(&fields), Envelope::Plain, reader);
    decoder.add_schema(3, Ok(encoder.schema()));
    let mut values = Vec::new();
    encoder
        .encode(&decoded, &frame(3), |_, datum| {
            values.push(datum.to_vec());
            Ok(())
        })
        .expect("encodes");
    let again = decode(&mut decoder, &values);
    assert!(again.dead.is_empty(), "{:?}", again.dead);
    assert_eq!(again.rows, decoded);
    assert!(again.rows.column(1).as_primitive::<Int32Type>().is_null(1));
    let bad = schema(vec![Field::new("a b", DataType::Int64, true)]);
    let message = AvroEncoder::new(&bad, "r").expect_err("a bad name").to_string();
    assert!(message.contains("cannot be the name of a field in Avro"), "{message}");
}

#[test]
fn keys_may_be_avro_with_fields_or_without() {
    let declared = schema(vec![Field::new("id", DataType::Int64, false), Field::new("n", DataType::Int64, true)]);
    let reader = || AvroReader { framed: true, schema: None };
    let layout = RecordLayout {
        envelope: Envelope::Upsert,
        encoding: Encoding::Avro(reader()),
        metadata: Vec::new(),
        key: vec![0],
        key_avro: Some(reader()),
        unit: Unit::Millis,
    };
    let mut decoder = RecordDecoder::new(declared, layout).expect("valid");
    let with_fields = r#"{"type":"record","name":"K","fields":[{"name":"id","type":"int"}]}"#;
    let value = r#"{"type":"record","name":"V","fields":[{"name":"n","type":"long"}]}"#;
    let (bare, whole, row) =
        ([&frame(1)[..], &[8]].concat(), [&frame(2)[..], &[10]].concat(), [&frame(3)[..], &[2]].concat());
    let record = |key, value| Record { key: Some(key), value, ..Record::default() };
    let records = [record(&bare, None), record(&whole, Some(&row[..])), record(&row[..3], None)];
    for (id, text) in [(1, "\"long\""), (3, value), (2, with_fields)] {
        assert!(records.iter().any(|r| decoder.missing_schema(r) == Some(id)), "{id}");
        decoder.add_schema(id, Ok(text));
    }
    let decoded = decoder.decode(&records, &"t/0".into()).expect("never because of a record");
    assert_eq!(decoded.rows.column(0).as_primitive::<Int64Type>().values().as_ref(), &[4, 5]);
    assert_eq!(decoded.rows.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [None, Some(1)]);
    assert_eq!(decoded.dead.len(), 1);
}
