//! What the fuzz targets and the smoke test call: decode hostile bytes in several ways and hold them to the decoder's
//! promises. It must not know any fuzzer.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::record::{Encoding, Envelope, Record, RecordDecoder, RecordLayout};
use crate::{
    AvroReader, CsvDecoder, CsvEncoder, CsvLayout, CsvStyle, Decoder, Input, JsonDecoder, JsonEncoder, ProtobufReader,
    Unit,
};

/// A column of every type.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
        Arc::new(Schema::new(vec![
            Field::new("i64", DataType::Int64, false),
            Field::new("i32", DataType::Int32, true),
            Field::new("i16", DataType::Int16, true),
            Field::new("f32", DataType::Float32, true),
            Field::new("f64", DataType::Float64, true),
            Field::new("dec", DataType::Decimal128(20, 4), true),
            Field::new("flag", DataType::Boolean, true),
            Field::new("text", DataType::Utf8View, true),
            Field::new("bytes", DataType::Binary, true),
            Field::new("day", DataType::Date32, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("atz", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true),
            Field::new("list", list, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// Every column of [`schema`] that CSV can fill.
pub fn flat_schema() -> SchemaRef {
    let fields: Vec<Field> =
        schema().fields().iter().filter(|f| !f.data_type().is_nested()).map(|f| f.as_ref().clone()).collect();
    Arc::new(Schema::new(fields))
}

/// Decodes `bytes` as JSON lines.
///
/// # Panics
/// A promise is broken.
pub fn json(bytes: &[u8]) {
    check(bytes, || JsonDecoder::new(schema()).expect("every type is known"));
    let whole = all(&mut JsonDecoder::new(schema()).expect("every type is known"), bytes, usize::MAX);
    let mut text = Vec::new();
    JsonEncoder::new(&schema()).encode(&whole.0, &mut text).expect("every type is known");
    let again = all(&mut JsonDecoder::new(schema()).expect("every type is known"), &text, usize::MAX);
    assert_eq!(again.1, Vec::<u64>::new(), "what was decoded encodes to what decodes");
    assert_eq!(again.0, whole.0);
}

/// Decodes `bytes` as CSV, with and without line ends in quotes.
///
/// # Panics
/// A promise is broken.
pub fn csv(bytes: &[u8]) {
    for multiline in [false, true] {
        let fields = flat_schema().fields().len();
        let layout = CsvLayout { style: CsvStyle::default(), fields, positions: (0..fields).collect(), multiline };
        let make = || CsvDecoder::new(flat_schema(), layout.clone()).expect("every type is known");
        check(bytes, make);
        let whole = all(&mut make(), bytes, usize::MAX);
        if multiline {
            let mut text = Vec::new();
            CsvEncoder::new(CsvStyle::default()).encode(&whole.0, &mut text).expect("every type is known");
            let again = all(&mut make(), &text, usize::MAX);
            assert_eq!(again.1, Vec::<u64>::new(), "what was decoded encodes to what decodes");
            assert_eq!(again.0, whole.0);
        }
    }
}

/// Few records at a time give what all at once give.
fn check<D: Decoder>(bytes: &[u8], make: impl Fn() -> D) {
    let whole = all(&mut make(), bytes, usize::MAX);
    let pieces = all(&mut make(), bytes, 3);
    assert_eq!(whole.1, pieces.1, "dead letters do not depend on the batch");
    assert_eq!(whole.0, pieces.0, "rows do not depend on the batch");
}

/// Everything in `bytes`: the rows, and where the dead letters begin.
fn all<D: Decoder>(decoder: &mut D, bytes: &[u8], at_once: usize) -> (RecordBatch, Vec<u64>) {
    let origin: Arc<str> = "smoke".into();
    let (mut batches, mut dead, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        let input = Input { bytes: &bytes[at..], origin: &origin, offset: at as u64, last: true };
        let decoded = decoder.decode(input, at_once).expect("input never fails as a whole");
        assert!(decoded.consumed > 0, "the last piece is always consumed");
        assert!(decoded.dead.iter().all(|d| bytes[d.offset as usize..].starts_with(&d.raw)), "raw bytes as they came");
        for column in decoded.rows.columns() {
            column.to_data().validate_full().expect("columns are made without Arrow's checks, and pass them");
        }
        at += decoded.consumed;
        dead.extend(decoded.dead.iter().map(|d| d.offset));
        batches.push(decoded.rows);
    }
    let rows = arrow::compute::concat_batches(&decoder.schema(), &batches).expect("one schema");
    (rows, dead)
}

/// Reads `bytes` as an Avro datum of a schema that has everything, and as the schema itself.
///
/// # Panics
/// A promise is broken.
pub fn avro(bytes: &[u8]) {
    const SCHEMA: &str = include_str!("../tests/data/order.avsc");
    let fields = crate::avro_fields(SCHEMA, false).expect("a record");
    let reader = AvroReader { framed: false, schema: Some(SCHEMA.to_owned()) };
    records(Arc::new(Schema::new(fields)), Encoding::Avro(reader), Envelope::Plain, bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let inferred = crate::avro_fields(text, false);
        drop(inferred);
    }
}

/// Reads `bytes` as a Protobuf message that has everything, and as the descriptors themselves.
///
/// # Panics
/// A promise is broken.
pub fn protobuf(bytes: &[u8]) {
    static MESSAGE: LazyLock<crate::MessageDescriptor> = LazyLock::new(|| {
        let set = include_bytes!("../tests/data/shop.pb");
        crate::protobuf_message(set, "shop.Order").expect("it is there")
    });
    let declared = Arc::new(Schema::new(crate::protobuf_fields(&MESSAGE)));
    for framed in [false, true] {
        let reader = ProtobufReader { message: MESSAGE.clone(), framed };
        records(Arc::clone(&declared), Encoding::Protobuf(reader), Envelope::Plain, bytes);
    }
    let found = crate::protobuf_message(bytes, "shop.Order");
    drop(found);
}

/// Reads `bytes` as key and value of JSON records in every envelope.
///
/// # Panics
/// A promise is broken.
pub fn envelopes(bytes: &[u8]) {
    for envelope in [Envelope::Plain, Envelope::Upsert, Envelope::Debezium] {
        records(schema(), Encoding::Json, envelope, bytes);
    }
}

/// One record and its tombstone give together as many rows and dead letters as they may, and sound columns.
fn records(declared: SchemaRef, encoding: Encoding, envelope: Envelope, bytes: &[u8]) {
    let layout =
        RecordLayout { envelope, encoding, metadata: Vec::new(), key: Vec::new(), key_avro: None, unit: Unit::Guess };
    let mut decoder = RecordDecoder::new(declared, layout).expect("every type is known");
    let record = Record { key: Some(bytes), value: Some(bytes), offset: 7, ..Record::default() };
    let tombstone = Record { value: None, offset: 8, ..record.clone() };
    let origin: Arc<str> = "smoke".into();
    // A good record first and last would show what a bad one leaves behind.
    let decoded = decoder.decode(&[record.clone(), tombstone, record], &origin).expect("records never fail as a whole");
    assert!(decoded.rows.num_rows() + decoded.dead.len() <= 3);
    for column in decoded.rows.columns() {
        column.to_data().validate_full().expect("columns are made without Arrow's checks, and pass them");
    }
    let firsts = decoded.dead.iter().filter(|d| d.offset == 7).count();
    assert!(firsts == 0 || firsts == 2, "the same record is decoded alike");
}
