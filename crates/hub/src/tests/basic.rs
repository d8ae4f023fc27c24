//! What a hub does while nothing fails.

use std::sync::{Arc, Mutex};

use thalweg_disk::{Disk, LocalDisk, SimDisk};

use super::{all, append, open, record, values};
use crate::*;

fn small() -> TopicOptions {
    TopicOptions { segment_bytes: 300, ..TopicOptions::default() }
}

fn files(disk: &SimDisk, folder: &str) -> Vec<String> {
    disk.list(folder).expect("a folder").into_iter().map(|e| e.name).collect()
}

#[test]
fn records_come_back_as_they_went_in_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Hub::open(Arc::new(LocalDisk::open(folder.path()).expect("a disk"))).expect("it opens");
    let names = ["orders", "ä/b c", ".."];
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd];
    let (hub, _) = open();
    for (name, compression) in names.into_iter().zip(codecs) {
        hub.create_topic(name, TopicOptions { compression, ..small() }).expect("new");
    }
    let records = |n: i64| -> Vec<Record> {
        let header = Header { name: "h".into(), value: None };
        let full = Record { key: Some("k".into()), headers: vec![header], ..record(n, vec![b'v'; 200]) };
        vec![full, Record { timestamp_ms: n + 1, key: Some("gone".into()), ..Record::default() }]
    };
    for n in 0..20 {
        for topic in names {
            let appended = hub.append(&[Append { topic, records: &records(n) }]).expect("taken");
            assert_eq!(appended.base_offsets, [2 * n as u64]);
            hub.wait(appended.ticket).expect("durable");
        }
    }
    let check = |hub: &Hub| {
        for (topic, compression) in names.into_iter().zip(codecs) {
            assert_eq!((hub.start_offset(topic).expect("there"), hub.end_offset(topic).expect("there")), (0, 40));
            let mut found = Vec::new();
            while let Some(batch) = hub.read(topic, found.len() as u64, 1, Visibility::Durable).expect("there").pop() {
                assert_eq!(batch.header().attributes & 7, compression.code());
                found.extend(batch.records().expect("readable"));
            }
            let expected: Vec<_> = (0..20).flat_map(records).collect();
            assert_eq!(found, (0..).zip(expected).collect::<Vec<_>>());
        }
    };
    check(&hub);
    hub.close().expect("closed");
    let (hub, recovered) = open();
    assert_eq!(recovered, Recovered { topics: 3, cut: Vec::new() });
    check(&hub);
    let mut listed: Vec<_> = names.into_iter().zip(codecs).map(|(n, c)| (n.to_owned(), c)).collect();
    listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(hub.topics().into_iter().map(|(n, o)| (n, o.compression)).collect::<Vec<_>>(), listed);
}

#[test]
fn only_what_is_durable_is_read_unless_asked() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", small()).expect("new");
    append(&hub, "t", &["one"]);
    let records = [record(0, "two")];
    let appended = hub.append(&[Append { topic: "t", records: &records }]).expect("taken");
    assert_eq!(values(&hub, "t"), ["one"]);
    assert_eq!(hub.end_offset("t").expect("there"), 1);
    assert_eq!(all(&hub, "t", Visibility::Appended).len(), 2);
    assert!(hub.durable() < appended.ticket);
    let told = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let told = Arc::clone(&told);
        hub.on_durable(appended.ticket, Box::new(move |outcome| told.lock().expect("free").push(outcome.is_ok())));
    }
    assert!(told.lock().expect("free").is_empty());
    hub.wait(appended.ticket).expect("durable");
    assert_eq!(hub.durable(), appended.ticket);
    assert_eq!(*told.lock().expect("free"), [true, true]);
    assert_eq!(values(&hub, "t"), ["one", "two"]);
    // Long durable: told at once.
    hub.on_durable(appended.ticket, Box::new(move |outcome| outcome.expect("durable")));
}

#[test]
fn one_fsync_serves_all_that_wait() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("a", TopicOptions::default()).expect("new");
    hub.create_topic("b", TopicOptions::default()).expect("new");
    let records = [record(0, "x")];
    let mut last = None;
    for _ in 0..50 {
        last = Some(hub.append(&[Append { topic: "a", records: &records }]).expect("taken").ticket);
        hub.append(&[Append { topic: "b", records: &records }]).expect("taken");
    }
    hub.wait(last.expect("some")).expect("durable");
    let statistics = hub.statistics();
    assert_eq!((statistics.fsyncs, statistics.appends, statistics.durable_records), (2, 100, 100));
    assert_eq!((statistics.topics, statistics.pending_bytes), (2, 0));
    assert_eq!(statistics.bytes, statistics.appended_bytes);
    assert!((statistics.records_per_fsync() - 50.0).abs() < f64::EPSILON);
}

#[test]
fn segments_follow_one_another_without_a_gap() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", small()).expect("new");
    let sent: Vec<String> = (0..40).map(|n| format!("{n}").repeat(20)).collect();
    append(&hub, "t", &sent.iter().map(String::as_str).collect::<Vec<_>>());
    let segments = files(&disk, "topics/t-1/0");
    assert!(segments.len() > 10, "{segments:?}");
    let check = |hub: &Hub| {
        assert_eq!(values(hub, "t"), sent);
        for from in 0..40 {
            let batches = hub.read("t", from, 1_000_000, Visibility::Durable).expect("there");
            assert_eq!((batches[0].base_offset(), batches.len() as u64), (from, 40 - from));
        }
        assert!(hub.read("t", 40, 100, Visibility::Durable).expect("the end").is_empty());
    };
    check(&hub);
    check(&open(&disk.restart()));
    for outside in [41, u64::MAX] {
        let error = hub.read("t", outside, 100, Visibility::Durable).expect_err("outside");
        assert!(error.to_string().contains("has the offsets 0 to 40"), "{error}");
    }
}

#[test]
fn topics_come_and_go_for_good() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", small()).expect("new");
    append(&hub, "t", &["first life"]);
    assert!(matches!(hub.create_topic("t", small()), Err(HubError::TopicExists(_))));
    hub.delete_topic("t").expect("there");
    assert!(matches!(hub.delete_topic("t"), Err(HubError::NoTopic(_))));
    assert!(matches!(hub.start_offset("t"), Err(HubError::NoTopic(_))));
    let records = [record(0, "x")];
    assert!(matches!(hub.append(&[Append { topic: "t", records: &records }]), Err(HubError::NoTopic(_))));
    assert_eq!(files(&disk, "topics"), [""; 0]);
    hub.create_topic("t", TopicOptions { compression: Compression::Zstd, ..small() }).expect("free again");
    append(&hub, "t", &["second life"]);
    hub.configure_topic("t", TopicOptions { retention_ms: Some(5), ..small() }).expect("there");
    let hub = open(&disk.crash(1));
    assert_eq!(values(&hub, "t"), ["second life"]);
    assert_eq!(hub.topics(), [("t".to_owned(), TopicOptions { retention_ms: Some(5), ..small() })]);
}

#[test]
fn wrong_calls_change_nothing_and_say_what_is_wrong() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    let message = |result: Result<()>| result.expect_err("wrong").to_string();
    assert!(message(hub.create_topic("", small())).contains("1 to 249 bytes"));
    assert!(message(hub.create_topic("t", TopicOptions { segment_bytes: 0, ..small() })).contains("a segment of 0"));
    let endless = TopicOptions { retention_ms: Some(u64::MAX), ..small() };
    assert!(message(hub.create_topic("t", endless)).contains("retention"));
    hub.create_topic("t", small()).expect("new");
    let records = [record(0, "x")];
    let append = |appends: &[Append<'_>]| hub.append(appends).map(|_| ());
    assert!(message(append(&[])).contains("0 batches"));
    assert!(message(append(&[Append { topic: "t", records: &[] }])).contains("number of records"));
    let (good, bad) = (Append { topic: "t", records: &records }, Append { topic: "u", records: &records });
    assert!(message(append(&[good, bad])).contains("there is no topic \"u\""));
    let large = [record(0, vec![0; MAX_BATCH_BYTES])];
    assert!(message(append(&[good, Append { topic: "t", records: &large }])).contains("larger than"));
    assert!(message(hub.wait(Ticket(77))).contains("77"));
    assert_eq!(hub.end_offset("t").expect("there"), 0);
    assert!(all(&hub, "t", Visibility::Appended).is_empty());
}

#[test]
fn several_topics_and_one_topic_twice_in_one_append() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("a", small()).expect("new");
    hub.create_topic("b", small()).expect("new");
    append(&hub, "a", &["0"]);
    let (one, two) = ([record(0, "1"), record(0, "2")], [record(0, "3")]);
    let appends = [("a", &one[..]), ("b", &two[..]), ("a", &two[..])];
    let appended = hub.append(&appends.map(|(topic, records)| Append { topic, records })).expect("taken");
    assert_eq!(appended.base_offsets, [1, 0, 3]);
    hub.wait(appended.ticket).expect("durable");
    for hub in [&hub, &open(&disk.crash(3))] {
        assert_eq!(values(hub, "a"), ["0", "1", "2", "3"]);
        assert_eq!(values(hub, "b"), ["3"]);
    }
}

#[test]
fn retention_takes_whole_segments_and_stops_at_the_floor() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", TopicOptions { segment_bytes: 1, retention_ms: Some(100), ..small() }).expect("new");
    for n in 0..10 {
        let records = [record(n * 10, "x")];
        hub.append(&[Append { topic: "t", records: &records }]).expect("taken");
    }
    hub.wait(Ticket(10)).expect("durable");
    let start = || hub.start_offset("t").expect("there");
    assert_eq!(hub.enforce_retention(100).expect("well"), Removed::default());
    hub.set_floor("t", 3).expect("there");
    let removed = hub.enforce_retention(150).expect("well");
    assert_eq!((removed.segments, start()), (3, 3), "five are older, two of them are needed");
    hub.set_floor("t", 4).expect("there");
    assert_eq!((hub.delete_before("t", 9).expect("well").segments, start()), (1, 4));
    hub.set_floor("t", 100).expect("there");
    assert_eq!((hub.enforce_retention(150).expect("well").segments, start()), (1, 5));
    assert_eq!(files(&disk, "topics/t-1/0").len(), 5);
    let restarted = open(&disk.restart());
    assert_eq!(restarted.start_offset("t").expect("there"), 5);
    assert_eq!(values(&restarted, "t").len(), 5);
    let error = restarted.read("t", 4, 1, Visibility::Durable).expect_err("gone");
    assert!(matches!(error, HubError::OutOfRange { offset: 4, start: 5, end: 10, .. }), "{error}");
}

#[test]
fn retention_by_size_leaves_as_much_as_it_may() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", TopicOptions { segment_bytes: 1, ..small() }).expect("new");
    append(&hub, "t", &["x"; 10]);
    let batch = hub.statistics().bytes / 10;
    let options = TopicOptions { segment_bytes: 1, retention_bytes: Some(batch * 4), ..small() };
    hub.configure_topic("t", options).expect("there");
    assert_eq!(hub.enforce_retention(0).expect("well"), Removed { segments: 6, bytes: batch * 6 });
    assert_eq!(hub.statistics().bytes, batch * 4);
}

#[test]
fn all_of_a_topic_can_go_and_its_offsets_go_on() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", TopicOptions { retention_ms: Some(100), ..small() }).expect("new");
    append(&hub, "t", &["a", "b"]);
    hub.enforce_retention(1_000).expect("well");
    assert_eq!((hub.start_offset("t").expect("there"), hub.end_offset("t").expect("there")), (2, 2));
    append(&hub, "t", &["c"]);
    hub.delete_before("t", 3).expect("well");
    let hub = open(&disk.crash(0));
    assert_eq!((hub.start_offset("t").expect("there"), hub.end_offset("t").expect("there")), (3, 3));
    append(&hub, "t", &["d"]);
    assert_eq!(all(&hub, "t", Visibility::Durable), [(3, "d".to_owned())]);
}

#[test]
fn offsets_are_found_by_time_also_where_time_goes_back() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", small()).expect("new");
    let times: Vec<i64> = (0..200).map(|n| if n % 17 == 3 { n * 10 - 300 } else { n * 10 }).collect();
    for pair in times.chunks(2) {
        let records = [record(pair[0], "x"), record(pair[1], "y")];
        hub.append(&[Append { topic: "t", records: &records }]).expect("taken");
    }
    hub.wait(Ticket(100)).expect("durable");
    let not_durable = [record(50_000, "z")];
    hub.append(&[Append { topic: "t", records: &not_durable }]).expect("taken");
    let check = |hub: &Hub, sought: i64| {
        let expected = times.iter().position(|t| *t >= sought).map(|n| n as u64);
        assert_eq!(hub.offset_at("t", sought).expect("there"), expected, "at {sought}");
    };
    (-400..2_100).step_by(7).for_each(|sought| check(&hub, sought));
    assert_eq!(hub.offset_at("t", 40_000).expect("there"), None);
    let restarted = open(&disk.restart());
    (-400..1_900).step_by(70).for_each(|sought| check(&restarted, sought));
}

#[test]
fn marks_make_room_for_a_new_manifest_now_and_then() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", TopicOptions::default()).expect("new");
    append(&hub, "t", &["x"; 100]);
    let names = files(&disk, "");
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(*names[0] > *"manifest-00000000000000000004", "{names:?}");
}

#[test]
fn a_closed_log_knows_its_end() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", small()).expect("new");
    append(&hub, "t", &["one", "two"]);
    hub.close().expect("closed");
    disk.open("topics/t-1/0/00000000000000000000.log").expect("there").truncate(100).expect("well");
    let error = Hub::open(Arc::new(disk)).expect_err("damaged").to_string();
    assert!(error.contains("0.log: damaged at byte 71: the batch ends after 29 of 71 bytes"), "{error}");
    assert!(error.contains("where offset 1 was durable"), "{error}");
}
