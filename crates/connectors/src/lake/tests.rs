//! The lake on a disk that forgets, and on a real one: each epoch once by the commit log, after a crash at any step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use thalweg_core::{DeltaBatch, Epoch, EpochRows, EpochSink, Incarnation, Options, SinkError, hash_bytes};
use thalweg_disk::{Disk, DiskError, Fault, LocalDisk, Operation, SimDisk};

use super::commits::{Commit, numbers, read};
use super::epoch_sink;
use super::options::LakeOptions;
use super::sink::LakeSink;
use crate::registry::EpochSinkRequest;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("kind", DataType::Utf8, true)]))
}

fn request(path: &str, pairs: &[(&str, &str)]) -> EpochSinkRequest {
    let all = [("path", path)];
    EpochSinkRequest {
        name: "to_lake".to_owned(),
        id: "1".to_owned(),
        cluster: "test".to_owned(),
        connector: "lake".to_owned(),
        options: Options::new(all.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))),
        schema: schema(),
        key: None,
        append_only: true,
        disk: None,
    }
}

/// A lake on `disk`.
fn lake(disk: &SimDisk, pairs: &[(&str, &str)]) -> LakeSink {
    let options = LakeOptions::parse(&request("/lake", pairs)).expect("valid");
    let disk = disk.clone();
    let make = move |_: &Path| -> Result<Arc<dyn Disk>, DiskError> { Ok(Arc::new(disk.clone())) };
    LakeSink::over("to_lake".to_owned(), ("test".to_owned(), "1".to_owned()), options, Box::new(make))
}

/// Epoch `number`: three rows, none in every fourth.
fn epoch(number: u64) -> EpochRows {
    let ids = if number.is_multiple_of(4) { 0..0 } else { number * 10..number * 10 + 3 };
    let ids: Vec<i64> = ids.map(|id| id as i64).collect();
    let kinds: ArrayRef = Arc::new(StringArray::from_iter(ids.iter().map(|id| match id % 3 {
        0 => None,
        1 => Some("a"),
        _ => Some("b/ü"),
    })));
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(ids)), kinds]).expect("one schema");
    EpochRows { epoch: Epoch(number), deltas: vec![DeltaBatch::insert(batch)] }
}

/// The ids that the commit log says are there, and the last epoch. Every file that it names must be whole.
fn contents(disk: &dyn Disk) -> (Vec<i64>, Option<Epoch>) {
    let all = numbers(disk).expect("listed");
    assert!(all.iter().copied().eq(0..all.len() as u64), "{all:?}");
    let commits: Vec<Commit> = all.iter().map(|number| read(disk, *number).expect("whole")).collect();
    let mut ids = Vec::new();
    for part in commits.iter().flat_map(|c| &c.parts) {
        let bytes = disk.read(&part.path).expect("a commit names it");
        assert_eq!((bytes.len() as u64, hash_bytes(&bytes)), (part.bytes, part.hash), "{}", part.path);
        let before = ids.len();
        if part.path.ends_with(".ndjson") {
            for line in String::from_utf8(bytes).expect("text").lines() {
                let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
                ids.push(row["id"].as_i64().expect("a number"));
            }
        } else {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("Parquet");
            for batch in reader.build().expect("Parquet") {
                ids.extend(batch.expect("rows").column(0).as_primitive::<Int64Type>().values());
            }
        }
        assert_eq!((ids.len() - before) as u64, part.rows);
    }
    (ids, commits.last().and_then(|c| c.epoch))
}

/// The ids of the epochs up to `last`, in order.
fn expected(last: Option<Epoch>) -> Vec<i64> {
    let epochs = 1..=last.map_or(0, |e| e.0);
    epochs.flat_map(|n| epoch(n).deltas[0].column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

/// Opens and delivers up to `last`, two epochs at once, and again after every doubt, up to an error that lasts.
fn deliver(
    to: &mut dyn EpochSink,
    incarnation: u64,
    last: u64,
    mut told: impl FnMut(u64),
) -> Result<(), thalweg_core::Error> {
    'open: loop {
        let mut next = match to.open(Incarnation(incarnation)) {
            Ok(held) => held.map_or(1, |e| e.0 + 1),
            Err(SinkError::Again(_)) => continue,
            Err(SinkError::Fatal(error)) => return Err(error),
        };
        while next <= last {
            match to.deliver(&[epoch(next), epoch(next + 1)], Epoch(next + 1)) {
                Ok(()) => told(next + 1),
                Err(SinkError::Again(_)) => continue 'open,
                Err(SinkError::Fatal(error)) => return Err(error),
            }
            next += 2;
        }
        return Ok(());
    }
}

const STYLES: [&[(&str, &str)]; 2] =
    [&[("format", "parquet"), ("partition_by", "kind")], &[("format", "ndjson"), ("file.bytes", "1")]];

#[test]
fn a_power_loss_at_any_step_loses_and_doubles_nothing() {
    const EPOCHS: u64 = 48;
    let mut states = 0;
    for pairs in STYLES {
        let disk = SimDisk::new();
        disk.record();
        let mut acknowledged = vec![(0, 0)];
        let mut to = lake(&disk, pairs);
        deliver(&mut to, 1, EPOCHS, |epoch| acknowledged.push((disk.steps(), epoch))).expect("delivered");
        for state in disk.crash_states(64, 20_261_125) {
            let sure = acknowledged.iter().rev().find(|(steps, _)| *steps <= state.steps).map_or(0, |a| a.1);
            let mut after = lake(&state.disk, pairs);
            let held = after.open(Incarnation(2)).unwrap_or_else(|e| panic!("{state}: {e}"));
            assert!(held.map_or(0, |e| e.0) >= sure, "{state}: {held:?}, and {sure} was acknowledged");
            assert_eq!(sorted(contents(&state.disk).0), expected(held), "{state}");
            deliver(&mut after, 2, EPOCHS + 2, |_| ()).expect("delivered");
            assert_eq!(sorted(contents(&state.disk).0), expected(Some(Epoch(EPOCHS + 2))), "{state}");
            // And what it answered is there after another loss.
            let again = state.disk.crash(state.steps);
            assert_eq!(contents(&again).1, Some(Epoch(EPOCHS + 2)), "{state}");
            states += 1;
        }
    }
    println!("{states} states");
    assert!(states >= 2_000, "{states}");
}

#[test]
fn a_commit_that_is_not_made_durable_is_found_out() {
    let disk = SimDisk::new();
    disk.forget_syncs(|operation, path| operation == Operation::SyncFolder && path == "_commits");
    disk.record();
    let mut acknowledged = Vec::new();
    deliver(&mut lake(&disk, &[]), 1, 8, |epoch| acknowledged.push((disk.steps(), epoch))).expect("delivered");
    let lost = disk.crash_states(64, 7).filter(|state| {
        let sure = acknowledged.iter().rev().find(|(steps, _)| *steps <= state.steps).map_or(0, |a| a.1);
        numbers(&state.disk).expect("listed").last().map_or(0, |n| n * 2) < sure
    });
    assert!(lost.count() > 0, "the states above would hold no matter what is made durable");
}

#[test]
fn a_kill_before_the_last_fsync_is_answered_for_only_once_it_is_durable() {
    let disk = SimDisk::new();
    let mut to = lake(&disk, &[]);
    deliver(&mut to, 1, 2, |_| ()).expect("delivered");
    // The process is gone between the publishing of the commit and the fsync of its folder.
    disk.forget_syncs(|_, path| path == "_commits");
    to.deliver(&[epoch(3)], Epoch(3)).expect("it was told so");
    let after = disk.restart();
    after.forget_syncs(|_, _| false);
    let mut to = lake(&after, &[]);
    assert_eq!(to.open(Incarnation(1)).expect("opens"), Some(Epoch(3)));
    for seed in 0..50 {
        assert_eq!(contents(&after.crash(seed)), (expected(Some(Epoch(3))), Some(Epoch(3))), "seed {seed}");
    }
}

#[test]
fn a_full_disk_and_failed_writes_are_tried_again() {
    let (mut lived, mut poisoned) = (0, 0);
    for pairs in STYLES {
        for call in 0..90 {
            let disk = SimDisk::new();
            disk.fail(call, Fault::NoSpace);
            let mut to = lake(&disk, pairs);
            // An fsync that fails poisons the disk until the process starts anew.
            let mut acknowledged = 0;
            match deliver(&mut to, 1, 4, |epoch| acknowledged = epoch) {
                Ok(()) => lived += 1,
                Err(error) => {
                    assert!(error.to_string().contains("fsync"), "{error}");
                    poisoned += 1;
                }
            }
            let disk = disk.restart();
            assert!(contents(&disk).1 >= Some(Epoch(acknowledged)).filter(|e| e.0 > 0));
            deliver(&mut lake(&disk, pairs), 2, 6, |_| ()).expect("delivered");
            assert_eq!(sorted(contents(&disk).0), expected(Some(Epoch(6))), "call {call}");
        }
    }
    println!("{lived} went on, {poisoned} had to start anew");
    assert!(lived > 20 && poisoned > 20);
}

#[test]
fn the_newer_of_two_incarnations_wins_and_the_older_cannot_commit() {
    let disk = SimDisk::new();
    let (mut old, mut new) = (lake(&disk, &[]), lake(&disk, &[]));
    deliver(&mut old, 1, 2, |_| ()).expect("delivered");
    assert_eq!(new.open(Incarnation(2)).expect("opens"), Some(Epoch(2)));
    // The number that it would take is taken.
    assert!(matches!(old.deliver(&[epoch(3)], Epoch(3)), Err(SinkError::Again(_))));
    match old.open(Incarnation(1)) {
        Err(SinkError::Fatal(error)) => assert!(error.to_string().contains("incarnation 2"), "{error}"),
        other => panic!("{other:?}"),
    }
    new.deliver(&[epoch(3), epoch(4)], Epoch(4)).expect("delivered");
    assert_eq!(contents(&disk), (expected(Some(Epoch(4))), Some(Epoch(4))));
    // Another sink is not let in, and a lake that was emptied is noticed.
    let options = LakeOptions::parse(&request("/lake", &[])).expect("valid");
    let shared = disk.clone();
    let make = move |_: &Path| -> Result<Arc<dyn Disk>, DiskError> { Ok(Arc::new(shared.clone())) };
    let mut other = LakeSink::over("other".to_owned(), ("test".to_owned(), "2".to_owned()), options, Box::new(make));
    assert!(matches!(other.open(Incarnation(3)), Err(SinkError::Fatal(_))));
    for number in numbers(&disk).expect("listed") {
        disk.remove(&format!("_commits/{number:020}.json")).expect("removed");
    }
    match new.open(Incarnation(2)) {
        Err(SinkError::Fatal(error)) => assert!(error.to_string().contains("SINK_REWOUND"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_epochs_are_the_same_bytes_and_folders_are_named_by_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut seen: Vec<BTreeMap<String, Vec<u8>>> = Vec::new();
    for name in ["one/a", "two/b"] {
        let path = folder.path().join(name);
        let path = path.to_str().expect("UTF-8");
        let mut to = epoch_sink(request(path, &[("partition_by", "kind"), ("compression", "zstd")])).expect("valid");
        deliver(to.as_mut(), 1, 4, |_| ()).expect("delivered");
        let disk = LocalDisk::open(path).expect("opens");
        assert_eq!(sorted(contents(&disk).0), expected(Some(Epoch(4))));
        let all = numbers(&disk).expect("listed");
        let parts = all.iter().flat_map(|n| read(&disk, *n).expect("whole").parts);
        seen.push(parts.map(|p| (p.path.clone(), disk.read(&p.path).expect("there"))).collect());
    }
    assert_eq!(seen[0], seen[1]);
    let folders: Vec<&str> = seen[0].keys().filter_map(|path| Some(path.split_once('/')?.0)).collect();
    for folder in ["kind=a", "kind=b%2F%C3%BC", "kind=__HIVE_DEFAULT_PARTITION__"] {
        assert!(folders.contains(&folder), "{folders:?}");
    }
}

#[test]
fn files_are_followed_by_others_when_they_are_large() {
    let disk = SimDisk::new();
    let mut to = lake(&disk, &[("file.bytes", "100000")]);
    to.open(Incarnation(1)).expect("opens");
    let ids: Vec<i64> = (0..100_000).map(|n: i64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)).collect();
    let kinds: ArrayRef = arrow::array::new_null_array(&DataType::Utf8, ids.len());
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(ids.clone())), kinds]).expect("fits");
    let rows = EpochRows { epoch: Epoch(1), deltas: vec![DeltaBatch::insert(batch)] };
    to.deliver(&[rows], Epoch(1)).expect("delivered");
    assert_eq!(contents(&disk).0, ids);
    let parts = read(&disk, 1).expect("whole").parts;
    assert!(parts.len() > 3 && parts.iter().all(|p| p.bytes < 400_000), "{parts:?}");
}

#[test]
fn what_a_lake_cannot_hold_is_refused_before_anything_runs() {
    let refused = |request: EpochSinkRequest| epoch_sink(request).err().expect("refused").to_string();
    let changes = EpochSinkRequest { append_only: false, ..request("/lake", &[]) };
    assert!(refused(changes).contains("append-only"));
    assert!(refused(request("/lake", &[("partition_by", "knd")])).contains("Did you mean kind?"));
    assert!(refused(request("/lake", &[("partition_by", "kind,id")])).contains("nothing is left"));
    assert!(refused(request("s3://bucket/x", &[])).contains("local folder"));
    assert!(refused(request("/lake", &[("fmt", "x")])).contains("format"));
    let interval =
        Schema::new(vec![Field::new("d", DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano), true)]);
    assert!(refused(EpochSinkRequest { schema: Arc::new(interval), ..request("/lake", &[]) }).contains("Parquet"));
}
