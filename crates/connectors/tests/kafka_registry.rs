//! Avro and Protobuf with a schema registry, over a real broker. No registry's server can be had from a package
//! registry, so that a small one of the documented routes stands in for it.
#![cfg(feature = "kafka")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use support::broker::Broker;
use support::drive::{delta, open};
use support::registry::Registry;
use support::sink::request;
use support::source::{Reading, kafka, options};
use support::topic::Put;
use thalweg_connectors::{EpochSinkRequest, epoch_sink, infer};
use thalweg_core::{Epoch, EpochRows, SinkError};
use thalweg_formats::{frame, protobuf_frame, protobuf_message};

static BROKER: LazyLock<Broker> = LazyLock::new(|| Broker::start(None));

const OLD: &str = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"int"}]}"#;
const NEW: &str =
    r#"{"type":"record","name":"R","fields":[{"name":"name","type":"string"},{"name":"id","type":"long"}]}"#;

fn two() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8View, true)]))
}

fn framed(id: u32, datum: &[u8]) -> Put {
    Put { value: Some([&frame(id)[..], datum].concat()), ..Put::default() }
}

fn names(reading: &Reading) -> Vec<Option<String>> {
    let of =
        |b: &arrow::array::RecordBatch| b.column(1).as_string_view().iter().map(|n| n.map(str::to_owned)).collect();
    reading.rows.iter().flat_map(|b| -> Vec<Option<String>> { of(b) }).collect()
}

#[test]
fn each_record_is_read_by_the_schema_that_it_names() {
    BROKER.create("evolving", 1);
    // "anna:geheim"
    let registry = Registry::start(Some("Basic YW5uYTpnZWhlaW0="));
    let (old, new) = (registry.add("evolving-value", OLD), registry.add("evolving-value", NEW));
    BROKER.put("evolving", &[framed(old, &[2]), framed(new, &[2, b'x', 4]), framed(77, &[0]), framed(old, &[6])]);
    let login = [
        ("format", "avro"),
        ("schema.registry", registry.address()),
        ("schema.registry.username", "anna"),
        ("schema.registry.password", "geheim"),
    ];
    let mut all = vec![("topic", "evolving"), ("properties.bootstrap.server", BROKER.bootstrap())];
    all.extend_from_slice(&login);
    let inferred = infer("kafka", &options(&all)).expect("the newest schema");
    assert_eq!(inferred.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["name", "id"]);

    let source = kafka(BROKER.bootstrap(), "evolving", two(), &login).expect("valid");
    let mut reading = Reading::new(source, BTreeMap::new());
    reading.until("all records", |r| r.count() == 3 && r.dead.len() == 1);
    assert_eq!(reading.ids(), [1, 2, 3]);
    assert_eq!(names(&reading), [None, Some("x".to_owned()), None]);
    assert_eq!((reading.dead[0].offset, reading.dead[0].reason.as_str()), (2, "schema 77: 404 (not found)"));
    // Each schema was asked for once, beside the newest of the subject.
    assert_eq!(registry.asked(), 4);

    let mut wrong = all;
    wrong.retain(|(name, _)| *name != "schema.registry.password");
    let message = infer("kafka", &options(&wrong)).expect_err("no password").to_string();
    assert!(message.contains("401") && !message.contains("geheim"), "{message}");
}

#[test]
fn a_registry_that_is_away_is_waited_for() {
    BROKER.create("waiting", 1);
    let registry = Registry::start(None);
    let id = registry.add("waiting-value", OLD);
    registry.set_down(true);
    BROKER.put("waiting", &[framed(id, &[2]), framed(id, &[4])]);
    let pairs = [("format", "avro"), ("schema.registry", registry.address())];
    let source = kafka(BROKER.bootstrap(), "waiting", two(), &pairs).expect("valid");
    let mut reading = Reading::new(source, BTreeMap::new());
    reading.until("a question to the registry", |_| registry.asked() >= 3);
    assert_eq!((reading.count(), reading.dead.len()), (0, 0));
    assert!(reading.offsets().values().all(|o| o.0 == 0), "the position stays before what waits");
    registry.set_down(false);
    reading.until("what waited", |r| r.count() == 2);
    assert_eq!(reading.ids(), [1, 2]);
}

#[test]
fn rows_go_out_as_avro_and_come_back() {
    BROKER.create("avro-out", 1);
    let registry = Registry::start(None);
    let pairs = [("format", "upsert"), ("encode", "avro"), ("schema.registry", registry.address())];
    let mut to = epoch_sink(request("avro-out", BROKER.bootstrap(), "avro-out", &pairs)).expect("valid");
    registry.set_down(true);
    let away = to.open(thalweg_core::Incarnation(1));
    assert!(matches!(away, Err(SinkError::Again(_))), "{away:?}");
    registry.set_down(false);
    open(to.as_mut(), 1);
    let rows = |epoch, changes: &[(i64, &str, i64)]| EpochRows { epoch: Epoch(epoch), deltas: vec![delta(changes)] };
    to.deliver(&[rows(1, &[(1, "a", 1), (2, "b", 1)]), rows(2, &[(1, "a", -1)])], Epoch(2)).expect("delivered");
    let subjects = registry.subjects();
    assert_eq!(subjects.keys().collect::<Vec<_>>(), ["avro-out-key", "avro-out-value"]);

    let source = kafka(BROKER.bootstrap(), "avro-out", two(), &pairs).expect("valid");
    let mut reading = Reading::new(source, BTreeMap::new());
    reading.until("all records", |r| r.count() == 3);
    assert_eq!(reading.ids(), [1, 2, 1]);
    assert!(reading.dead.is_empty(), "{:?}", reading.dead);
    let writes: Vec<i8> = reading
        .rows
        .iter()
        .flat_map(|b| b.column(2).as_primitive::<arrow::datatypes::Int8Type>().values().to_vec())
        .collect();
    assert_eq!(writes, [0, 0, 1]);
}

#[test]
fn rows_go_out_as_protobuf_and_come_back() {
    BROKER.create("proto-out", 1);
    let location = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/data/shop.pb");
    let location = location.to_str().expect("a plain path");
    let registry = Registry::start(None);
    let id = registry.add("proto-out-value", "syntax = \"proto3\"; …");
    let pairs = [
        ("format", "protobuf"),
        ("message", "shop.Order"),
        ("schema.location", location),
        ("schema.registry", registry.address()),
    ];
    let orders: SchemaRef =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("who", DataType::Utf8, true)]));
    let asked = EpochSinkRequest {
        schema: Arc::clone(&orders),
        append_only: true,
        ..request("proto-out", BROKER.bootstrap(), "proto-out", &pairs)
    };
    let mut to = epoch_sink(asked).expect("valid");
    open(to.as_mut(), 1);
    let rows = delta(&[(7, "Zoë", 1)]);
    let rows = rows.with_rows(rows.rows.clone().with_schema(orders).unwrap_or_else(|_| {
        arrow::array::RecordBatch::try_new(
            Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, false),
                Field::new("who", DataType::Utf8, true),
            ])),
            rows.rows.columns().to_vec(),
        )
        .expect("the same types")
    }));
    to.deliver(&[EpochRows { epoch: Epoch(1), deltas: vec![rows] }], Epoch(1)).expect("delivered");
    // A message of another type in the same topic is a dead letter.
    let ping = protobuf_message(&std::fs::read(location).expect("there"), "shop.Ping").expect("there");
    BROKER.put("proto-out", &[Put { value: Some([protobuf_frame(id, &ping), vec![8, 1]].concat()), ..Put::default() }]);
    let declared = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("who", DataType::Utf8View, true),
    ]));
    let source = kafka(BROKER.bootstrap(), "proto-out", declared, &pairs).expect("valid");
    let mut reading = Reading::new(source, BTreeMap::new());
    reading.until("both records", |r| r.count() == 1 && r.dead.len() == 1);
    assert_eq!(reading.rows[0].column(0).as_primitive::<Int64Type>().value(0), 7);
    assert_eq!(names(&reading), [Some("Zoë".to_owned())]);
    assert_eq!(reading.dead[0].reason, "a message of another type than shop.Order");
}
