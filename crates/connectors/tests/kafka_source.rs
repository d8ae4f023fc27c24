//! The Kafka source against a real broker: where it begins, where it goes on, what it finds, what it refuses.
#![cfg(feature = "kafka")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use rdkafka::producer::Producer;
use support::broker::Broker;
use support::source::{PATIENCE, Reading, id_schema, kafka};
use support::topic::{Put, numbers, producer, send};
use thalweg_core::{Offset, Polled};

static BROKER: LazyLock<Broker> = LazyLock::new(|| Broker::start(None));

fn reading(topic: &str, pairs: &[(&str, &str)]) -> Reading {
    let source = kafka(BROKER.bootstrap(), topic, id_schema(), pairs).expect("valid");
    Reading::new(source, BTreeMap::new())
}

#[test]
fn every_start_mode_begins_where_it_says() {
    BROKER.create("starts", 2);
    let stamped = |partition, n: u64| Put { timestamp: Some(1_000 * n as i64), ..numbers(partition, [n]).remove(0) };
    let records: Vec<Put> = (1..=10).map(|n| stamped((n % 2) as i32, n)).collect();
    BROKER.put("starts", &records);
    let bounded = ("scan.bounded.mode", "latest");
    let read = |pairs: &[(&str, &str)]| {
        let mut reading = reading("starts", &[pairs, &[bounded]].concat());
        assert!(reading.source.bounded());
        reading.read_to_end();
        reading.sorted()
    };
    assert_eq!(read(&[("scan.startup.mode", "earliest")]), (1..=10).collect::<Vec<_>>());
    let from = [("scan.startup.mode", "timestamp"), ("scan.startup.timestamp.millis", "7000")];
    assert_eq!(read(&from), [7, 8, 9, 10]);
    let beyond = [("scan.startup.mode", "timestamp"), ("scan.startup.timestamp.millis", "99000")];
    assert_eq!(read(&beyond), Vec::<u64>::new());
    // Partition 0 has 2, 4, … 10; partition 1 has 1, 3, … 9.
    let offsets = [("scan.startup.mode", "offset"), ("scan.startup.offsets", "0:3,1:4")];
    assert_eq!(read(&offsets), [8, 9, 10]);
    assert_eq!(read(&[("scan.startup.mode", "latest")]), Vec::<u64>::new());

    let mut latest = reading("starts", &[("scan.startup.mode", "latest")]);
    latest.step(10);
    BROKER.put("starts", &numbers(0, [11]));
    BROKER.put("starts", &numbers(1, [12]));
    latest.until("what came after the start", |r| r.count() == 2);
    assert_eq!(latest.sorted(), [11, 12]);
}

#[test]
fn a_restart_goes_on_at_the_stored_offsets_without_loss_or_duplicate() {
    BROKER.create("restarts", 3);
    for partition in 0..3 {
        BROKER.put("restarts", &numbers(partition, (0..400).map(|n| n * 3 + partition as u64)));
    }
    let (mut stored, mut seen) = (BTreeMap::new(), Vec::new());
    for _ in 0..200 {
        let source = kafka(BROKER.bootstrap(), "restarts", id_schema(), &[]).expect("valid");
        let mut reading = Reading::new(source, stored);
        // A poll or two of a few rows each, then it is gone.
        reading.until("a row", |r| r.count() > 0);
        reading.step(17);
        seen.extend(reading.ids());
        stored = reading.offsets();
        if seen.len() >= 1200 {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..1200).collect::<Vec<_>>());
    assert_eq!(stored.values().collect::<Vec<_>>(), [&Offset(401); 3], "one more than the next record");
}

#[test]
fn a_position_at_the_first_record_is_not_taken_for_none() {
    BROKER.create("empty", 1);
    let latest = [("scan.startup.mode", "latest")];
    let mut first = reading("empty", &latest);
    first.step(10);
    let stored = first.offsets();
    assert_eq!(stored.values().collect::<Vec<_>>(), [&Offset(1)]);
    drop(first);
    // Written while nobody reads.
    BROKER.put("empty", &numbers(0, 0..5));
    let source = kafka(BROKER.bootstrap(), "empty", id_schema(), &latest).expect("valid");
    let mut second = Reading::new(source, stored);
    second.until("what was written in between", |r| r.count() == 5);
    assert_eq!(second.ids(), (0..5).collect::<Vec<_>>());
}

#[test]
fn a_new_partition_is_found_and_read_from_its_start() {
    BROKER.create("grows", 1);
    let mut reading = reading("grows", &[("scan.startup.mode", "latest")]);
    reading.step(10);
    BROKER.alter("grows", 3);
    BROKER.put("grows", &numbers(2, 0..10));
    BROKER.put("grows", &numbers(0, 10..20));
    reading.until("the new partition", |r| r.count() == 20);
    assert_eq!(reading.sorted(), (0..20).collect::<Vec<_>>());
    assert_eq!(reading.offsets().len(), 3);
}

#[test]
fn only_what_is_committed_is_read_unless_the_options_say_otherwise() {
    BROKER.create("transactions", 1);
    let writer = producer(BROKER.bootstrap(), &[("transactional.id", "writer")]);
    writer.init_transactions(PATIENCE).expect("initialised");
    for (numbers_of, commit) in [(0..5, true), (5..10, false), (10..15, true)] {
        writer.begin_transaction().expect("begun");
        send(&writer, "transactions", &numbers(0, numbers_of));
        writer.flush(PATIENCE).expect("taken");
        if commit {
            writer.commit_transaction(PATIENCE).expect("committed");
        } else {
            writer.abort_transaction(PATIENCE).expect("aborted");
        }
    }
    let read = |pairs: &[(&str, &str)]| {
        let mut reading = reading("transactions", &[pairs, &[("scan.bounded.mode", "latest")]].concat());
        reading.read_to_end();
        reading.ids()
    };
    assert_eq!(read(&[]), (0..5).chain(10..15).collect::<Vec<_>>());
    assert_eq!(read(&[("isolation.level", "read_uncommitted")]), (0..15).collect::<Vec<_>>());
}

#[test]
fn exactly_the_poison_records_are_dead_letters_with_their_place() {
    BROKER.create("poison", 1);
    let mut records = numbers(0, 0..1000);
    for (at, bad) in [(3, "{"), (500, "{\"id\":\"x\"}"), (999, "")] {
        records[at].value = Some(bad.as_bytes().to_vec());
    }
    records[700].value = None;
    BROKER.put("poison", &records);
    let mut reading = reading("poison", &[("scan.bounded.mode", "latest")]);
    reading.read_to_end();
    assert_eq!(reading.count(), 996);
    let dead: Vec<(&str, u64, &str)> = reading.dead.iter().map(|d| (&*d.origin, d.offset, d.reason.as_str())).collect();
    assert_eq!(
        dead,
        [
            ("poison/0", 3, "not valid JSON: a field name is missing"),
            ("poison/0", 500, "column id: not an integer"),
            ("poison/0", 700, "a record without a value; format = 'upsert' takes it as a deletion"),
            ("poison/0", 999, "not a JSON object"),
        ]
    );
    assert_eq!(reading.dead[1].raw, b"{\"id\":\"x\"}");
}

#[test]
fn keys_tombstones_and_metadata_are_columns() {
    BROKER.create("meta", 1);
    let key = |k: &str| Some(k.as_bytes().to_vec());
    let one = Put {
        key: key("{\"id\":1}"),
        value: Some(b"{\"n\":5}".to_vec()),
        timestamp: Some(1_700_000_000_123),
        headers: vec![("trace".to_owned(), "abc".to_owned())],
        ..Put::default()
    };
    BROKER.put("meta", &[one, Put { key: key("{\"id\":1}"), ..Put::default() }]);
    let declared = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("n", DataType::Int32, true),
        Field::new("k", DataType::Utf8View, true),
        Field::new("o", DataType::Int64, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true),
        Field::new("trace", DataType::Utf8View, true),
    ]));
    let pairs = [
        ("format", "upsert"),
        ("include", "key as k, offset as o, timestamp as t, header 'trace' as trace"),
        ("scan.bounded.mode", "latest"),
    ];
    let source = kafka(BROKER.bootstrap(), "meta", declared, &pairs).expect("valid");
    let mut reading = Reading::new(source, BTreeMap::new());
    reading.read_to_end();
    let rows = arrow::compute::concat_batches(&reading.source.schema(), &reading.rows).expect("one schema");
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().as_ref(), &[1, 1]);
    assert_eq!(rows.column(1).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(5), None]);
    assert_eq!(rows.column(2).as_string_view().value(1), "{\"id\":1}");
    assert_eq!(rows.column(3).as_primitive::<Int64Type>().values().as_ref(), &[0, 1]);
    assert_eq!(rows.column(4).as_primitive::<TimestampMicrosecondType>().value(0), 1_700_000_000_123_000);
    assert_eq!(rows.column(5).as_string_view().value(0), "abc");
    assert!(rows.column(5).is_null(1));
    assert_eq!(rows.schema().field(6).name(), "$write");
    assert_eq!(rows.column(6).as_primitive::<Int8Type>().values().as_ref(), &[0, 1]);
}

#[test]
fn records_that_are_gone_are_an_error_and_not_a_gap() {
    BROKER.create("gone", 1);
    BROKER.put("gone", &numbers(0, 0..10));
    BROKER.delete_records("gone", 6);
    let source = kafka(BROKER.bootstrap(), "gone", id_schema(), &[]).expect("valid");
    let split = source.splits().expect("lists").remove(0);
    let mut reader = source.open(&split, Offset(4)).expect("opens");
    let deadline = std::time::Instant::now() + PATIENCE;
    let message = loop {
        match reader.poll(10) {
            Err(error) => break error.to_string(),
            Ok(Polled::Idle) => std::thread::park_timeout(std::time::Duration::from_millis(5)),
            Ok(other) => panic!("rows after a gap: {other:?}"),
        }
        assert!(std::time::Instant::now() < deadline, "the gap was never noticed");
    };
    assert!(message.contains("partition gone/0 no longer has offset 3"), "{message}");
    // From its start it is read without them.
    let mut reading = reading("gone", &[("scan.bounded.mode", "latest")]);
    reading.read_to_end();
    assert_eq!(reading.ids(), (6..10).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_is_not_there_is_an_error_and_a_broker_that_is_not_is_waited_for() {
    let source = kafka(BROKER.bootstrap(), "nowhere", id_schema(), &[]).expect("valid");
    let message = source.splits().expect_err("no such topic").to_string();
    assert!(message.contains("topic 'nowhere' does not exist") && message.contains("Create it"), "{message}");
    // Nothing listens on port 1.
    let bounded = kafka("127.0.0.1:1", "t", id_schema(), &[("scan.bounded.mode", "latest")]).expect("valid");
    let message = bounded.splits().expect_err("no broker").to_string();
    assert!(message.contains("no answer from 127.0.0.1:1"), "{message}");
    let waiting = kafka("127.0.0.1:1", "t", id_schema(), &[]).expect("valid");
    assert!(waiting.splits().expect("waits").is_empty());
}
