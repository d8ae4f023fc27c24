//! Protobuf against messages that another implementation wrote, hostile bytes, and rows written and read back.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};

use super::*;
use crate::Unit;
use crate::record::{DecodedRecords, Encoding, Envelope, Record, RecordDecoder, RecordLayout};

const SHOP: &[u8] = include_bytes!("../../tests/data/shop.pb");

// Written by the classes that protoc makes: see tests/data/README.md.
const GOLDEN: &str = "08fbffffffffffffffff011000199a9999999999b93f250000c03f280132045a6fc3ab3a0200ff40ffffffffffffffffff\
    014a0b0880829ad70610c0a9d33a50025a02020562050a0161100162050a016210026a0a0a017810021a030a017972040a026869";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

fn order() -> MessageDescriptor {
    protobuf_message(SHOP, "shop.Order").expect("it is there")
}

fn decoder(declared: SchemaRef, framed: bool) -> RecordDecoder {
    let layout = RecordLayout {
        envelope: Envelope::Plain,
        encoding: Encoding::Protobuf(ProtobufReader { message: order(), framed }),
        metadata: Vec::new(),
        key: Vec::new(),
        key_avro: None,
        unit: Unit::Millis,
    };
    RecordDecoder::new(declared, layout).expect("valid")
}

fn decode(decoder: &mut RecordDecoder, values: &[Vec<u8>]) -> DecodedRecords {
    let records: Vec<Record<'_>> = values.iter().map(|v| Record { value: Some(v), ..Record::default() }).collect();
    decoder.decode(&records, &"t/0".into()).expect("never because of a record")
}

fn text(rows: &RecordBatch, column: &str) -> String {
    rows.column_by_name(column).expect("a column").as_string_view().value(0).to_owned()
}

#[test]
fn a_golden_message_fills_the_columns_that_its_type_infers() {
    let declared = Arc::new(Schema::new(protobuf_fields(&order())));
    let decoded = decode(&mut decoder(declared, false), &[bytes(GOLDEN), Vec::new()]);
    assert!(decoded.dead.is_empty(), "{:?}", decoded.dead);
    let rows = decoded.rows;
    let at = |name: &str| rows.column_by_name(name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(at("id").as_primitive::<Int64Type>().values().as_ref(), &[-5, 0]);
    let small: Vec<_> = at("small").as_primitive::<Int32Type>().iter().collect();
    assert_eq!(small, [Some(0), None], "a field with presence is NULL when it is absent");
    assert_eq!(text(&rows, "who"), "Zoë");
    assert_eq!(at("raw").as_binary::<i32>().value(0), [0, 255]);
    assert_eq!(at("big").as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    assert_eq!(at("at").as_primitive::<TimestampMicrosecondType>().value(0), 1_793_491_200_123_000);
    assert!(at("at").is_null(1));
    assert_eq!(text(&rows, "state"), "SENT");
    let marks = at("marks").as_list::<i32>().value(0);
    assert_eq!(marks.as_primitive::<Int32Type>().values().as_ref(), &[1, -3]);
    assert_eq!(text(&rows, "attrs"), "{\"a\":1,\"b\":2}");
    assert_eq!(text(&rows, "item"), "{\"sku\":\"x\",\"n\":2,\"parts\":[{\"sku\":\"y\",\"n\":0,\"parts\":[]}]}");
    assert_eq!(text(&rows, "note"), "hi");
}

#[test]
fn hostile_bytes_are_dead_letters() {
    let declared: SchemaRef = Arc::new(Schema::new(protobuf_fields(&order())));
    // Each is an item with one part, and so on.
    let mut deep = Vec::new();
    for _ in 0..10_000 {
        if deep.len() > 1_000 {
            break;
        }
        let mut outer = vec![0x1a];
        prost_reflect::prost::encoding::encode_varint(deep.len() as u64, &mut outer);
        outer.extend_from_slice(&deep);
        deep = outer;
    }
    let mut whole = vec![0x6a];
    prost_reflect::prost::encoding::encode_varint(deep.len() as u64, &mut whole);
    whole.extend_from_slice(&deep);
    let long = [vec![0x32], vec![0xff; 9], vec![1, b'x']].concat();
    let not_utf8 = vec![0x32, 1, 0xff];
    let values = [whole, long, not_utf8, vec![0xff], bytes(GOLDEN)];
    let decoded = decode(&mut decoder(declared, false), &values);
    assert_eq!((decoded.dead.len(), decoded.rows.num_rows()), (4, 1));
    assert!(decoded.dead.iter().all(|d| d.reason.starts_with("not a Protobuf message of type shop.Order")));
}

#[test]
fn the_frame_of_a_registry_names_the_message() {
    let declared: SchemaRef = Arc::new(Schema::new(protobuf_fields(&order())));
    let mut decoder = decoder(declared, true);
    // shop.Order is the second message of its file; a message of index 0 has the short form.
    assert_eq!(protobuf_frame(5, &order()), [0, 0, 0, 0, 5, 2, 2]);
    let ping = protobuf_message(SHOP, "shop.Ping").expect("it is there");
    assert_eq!(protobuf_frame(5, &ping), [0, 0, 0, 0, 5, 0]);
    let item = protobuf_message(SHOP, "shop.Order.Item").expect("it is there");
    assert_eq!(protobuf_frame(5, &item), [0, 0, 0, 0, 5, 4, 2, 0]);
    let good = [protobuf_frame(5, &order()), bytes(GOLDEN)].concat();
    let other = [protobuf_frame(5, &ping), vec![8, 1]].concat();
    let endless = [&[0, 0, 0, 0, 5][..], &[0xff; 12]].concat();
    let decoded = decode(&mut decoder, &[good, other, endless, vec![0, 0, 0, 0, 5], bytes(GOLDEN)]);
    assert_eq!(decoded.rows.num_rows(), 1);
    let reasons: Vec<&str> = decoded.dead.iter().map(|d| d.reason.as_str()).collect();
    assert_eq!(reasons[0], "a message of another type than shop.Order");
    assert!(reasons[1..].iter().all(|r| r.starts_with("not framed")), "{reasons:?}");
}

#[test]
fn rows_are_written_and_read_back() {
    let kept = ["id", "small", "ratio", "half", "paid", "who", "raw", "big", "at", "state", "marks"];
    let fields = protobuf_fields(&order()).into_iter().filter(|f| kept.contains(&f.name().as_str()));
    let declared: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = decode(&mut decoder(Arc::clone(&declared), false), &[bytes(GOLDEN), Vec::new()]).rows;
    let encoder = ProtobufEncoder::new(&declared, order()).expect("the fields are there");
    let mut values = Vec::new();
    encoder
        .encode(&rows, &[], |_, message| {
            values.push(message.to_vec());
            Ok(())
        })
        .expect("encodes");
    assert!(values[1].is_empty(), "defaults are not written");
    assert_eq!(decode(&mut decoder(declared, false), &values).rows, rows);
    let other =
        Arc::new(Schema::new(vec![arrow::datatypes::Field::new("idd", arrow::datatypes::DataType::Int64, true)]));
    let message = ProtobufEncoder::new(&other, order()).expect_err("no such field").to_string();
    assert!(message.contains("has no field idd"), "{message}");
}

#[test]
fn what_is_no_descriptor_set_is_refused() {
    let message = protobuf_message(b"nonsense", "a").expect_err("no descriptors").to_string();
    assert!(message.contains("protoc --include_imports"), "{message}");
    let message = protobuf_message(SHOP, "shop.Ordr").expect_err("no such message").to_string();
    assert!(message.contains("shop.Order"), "{message}");
}
