//! The file sink through the registry: formats, folders, changelogs, and files that appear whole or not at all.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use thalweg_connectors::{SinkLayout, SinkMode, SinkRequest, SourceRequest, infer, sink, sink_layout, source};
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, Offset, Options, Polled};

fn options(pairs: &[(&str, &str)]) -> Options {
    Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn rows(from: i64, count: i64) -> RecordBatch {
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + count));
    let t: ArrayRef =
        Arc::new(StringViewArray::from_iter((from..from + count).map(|i| (i % 3 != 0).then(|| format!("row, {i}")))));
    RecordBatch::try_from_iter_with_nullable([("n", n, false), ("t", t, true)]).expect("two columns")
}

fn request(pairs: &[(&str, &str)], mode: SinkMode, worker: usize, workers: usize) -> SinkRequest {
    SinkRequest {
        name: "out".to_owned(),
        connector: "file".to_owned(),
        options: options(pairs),
        schema: rows(0, 1).schema(),
        worker,
        workers,
        mode,
    }
}

fn header(epoch: u64) -> EpochHeader {
    EpochHeader { epoch: Epoch(epoch), wall_clock: 0, sources: Vec::new(), checkpoint: false }
}

fn read(path: &Path, schema: &SchemaRef) -> RecordBatch {
    let request = SourceRequest {
        name: "back".to_owned(),
        connector: "file".to_owned(),
        options: options(&[("path", &path.display().to_string())]),
        declared: Arc::clone(schema),
        projection: (0..schema.fields().len()).collect(),
        event_time: None,
        workers: 1,
    };
    let source = source(request).expect("readable");
    let mut batches = Vec::new();
    for split in source.splits().expect("listed") {
        let mut reader = source.open(&split, Offset(0)).expect("opens");
        while let Polled::Rows { rows, dead, .. } = reader.poll(1000).expect("readable") {
            assert!(dead.is_empty(), "{dead:?}");
            batches.push(rows);
        }
    }
    arrow::compute::concat_batches(schema, &batches).expect("one schema")
}

#[test]
fn every_format_reads_back() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["a.parquet", "a.ndjson", "a.csv", "a.csv.gz", "deep/er/a.json.zst"] {
        let path = dir.path().join(name);
        let text = path.display().to_string();
        let pairs = [("path", text.as_str()), ("mode", "append")];
        assert_eq!(
            sink_layout("file", &options(&pairs)).expect("valid"),
            SinkLayout { mode: Some(SinkMode::Append), single: true }
        );
        let mut sink = sink(request(&pairs, SinkMode::Append, 0, 1)).expect("made");
        for epoch in 0..3 {
            sink.write(&DeltaBatch::insert(rows(epoch * 100, 100))).expect("written");
            sink.commit(&header(epoch as u64)).expect("committed");
        }
        assert!(!path.exists(), "it appears at the end");
        sink.finish().expect("finished");
        assert_eq!(read(&path, &rows(0, 1).schema()), rows(0, 300), "{name}");
    }
    let found =
        infer("file", &options(&[("path", &dir.path().join("a.csv").display().to_string())])).expect("a header");
    assert_eq!(found.field(0).name(), "n");
}

#[test]
fn a_folder_has_a_part_for_each_worker_and_none_of_an_older_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("out");
    let text = path.display().to_string();
    let pairs = [("path", text.as_str()), ("format", "parquet"), ("compression", "zstd")];
    assert!(!sink_layout("file", &options(&pairs)).expect("valid").single);
    for workers in [3, 2] {
        let mut sinks: Vec<_> =
            (0..workers).map(|w| sink(request(&pairs, SinkMode::Final, w, workers)).expect("made")).collect();
        sinks[1].write(&DeltaBatch::insert(rows(0, 10))).expect("written");
        for sink in &mut sinks {
            sink.finish().expect("finished");
        }
        let mut names: Vec<_> = fs::read_dir(&path)
            .expect("listed")
            .map(|e| e.expect("read").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(names, (0..workers).map(|w| format!("part-{w:05}.parquet")).collect::<Vec<_>>());
        assert_eq!(read(&path, &rows(0, 1).schema()), rows(0, 10));
    }
}

#[test]
fn a_changelog_has_weights_and_epochs() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.parquet");
    let text = path.display().to_string();
    let mut sink = sink(request(&[("path", &text)], SinkMode::Changelog, 0, 1)).expect("made");
    sink.write(&DeltaBatch::new(rows(0, 2), Some(vec![1, -1].into()))).expect("written");
    sink.commit(&header(5)).expect("committed");
    sink.write(&DeltaBatch::insert(rows(2, 1))).expect("written");
    sink.commit(&header(6)).expect("committed");
    sink.finish().expect("finished");
    let back = read(&path, &infer("file", &options(&[("path", &text)])).expect("readable"));
    let numbers = |name: &str| back.column_by_name(name).expect("there").as_primitive::<Int64Type>().values().to_vec();
    assert_eq!((numbers("weight"), numbers("epoch")), (vec![1, -1, 1], vec![5, 5, 6]));
}

#[test]
fn what_fails_leaves_nothing_behind_and_wrong_options_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = dir.path().join("a.csv").display().to_string();
    drop(sink(request(&[("path", &text)], SinkMode::Append, 0, 1)).expect("made"));
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    for (pairs, part) in [
        (&[("path", "out")][..], "format of out is not known"),
        (&[("path", "a.csv"), ("mode", "finale")], "Did you mean 'final'?"),
        (&[("path", "a.csv"), ("compresion", "gzip")], "Did you mean compression?"),
        (&[("path", "a.parquet"), ("compression", "snapy")], "Did you mean 'snappy'?"),
        (&[("format", "csv")], "option path is required"),
    ] {
        let message = sink_layout("file", &options(pairs)).expect_err("wrong").to_string();
        assert!(message.contains(part), "{message}");
    }
}
