//! Tests on real sockets of this machine: what everybody who is told gets, and how often.

mod email;
mod faults;
mod log;
mod notes;
mod options;
mod receiver;
mod smtp;
mod webhook;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, Epoch, EpochRows, EpochSink, Incarnation, Options, SinkError};
use thalweg_disk::{Disk, SimDisk};

use crate::registry::{EpochSinkRequest, epoch_sink};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]))
}

/// Rows with their weights in one epoch.
fn rows(epoch: u64, rows: &[(i64, Option<&str>, i64)]) -> EpochRows {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)));
    let names: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|r| r.1)));
    let batch = RecordBatch::try_new(schema(), vec![ids, names]).expect("one schema");
    let weights: Vec<i64> = rows.iter().map(|r| r.2).collect();
    EpochRows { epoch: Epoch(epoch), deltas: vec![DeltaBatch::new(batch, Some(weights.into()))] }
}

/// One transition of an alert.
fn transition(epoch: u64, transition: &str, instance: &str, value: f64) -> EpochRows {
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let columns: [(&str, ArrayRef); 4] = [
        ("alert_instance", text(instance)),
        ("transition", text(transition)),
        ("at", text("2026-01-02 03:04:05")),
        ("value", Arc::new(Float64Array::from(vec![value]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
    EpochRows { epoch: Epoch(epoch), deltas: vec![DeltaBatch::insert(batch.expect("one row"))] }
}

fn request(connector: &str, pairs: &[(&str, &str)], disk: &SimDisk) -> EpochSinkRequest {
    EpochSinkRequest {
        name: "told".to_owned(),
        id: "7-told".to_owned(),
        cluster: "c0ffee".to_owned(),
        connector: connector.to_owned(),
        options: Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))),
        schema: schema(),
        key: None,
        append_only: false,
        disk: Some(Arc::new(disk.clone()) as Arc<dyn Disk>),
    }
}

/// An open sink on a new disk.
fn opened(request: EpochSinkRequest) -> Box<dyn EpochSink> {
    let mut sink = epoch_sink(request).expect("valid options");
    assert_eq!(sink.open(Incarnation(1)).expect("a new disk"), None);
    sink
}

fn deliver(sink: &mut dyn EpochSink, epochs: &[EpochRows]) -> Result<(), SinkError> {
    sink.deliver(epochs, epochs.last().expect("an epoch").epoch)
}

fn again(result: Result<impl std::fmt::Debug, SinkError>) -> String {
    match result {
        Err(SinkError::Again(error)) => error.to_string(),
        other => panic!("not to be tried again: {other:?}"),
    }
}

fn fatal(result: Result<impl std::fmt::Debug, SinkError>) -> String {
    match result {
        Err(SinkError::Fatal(error)) => error.to_string(),
        other => panic!("not fatal: {other:?}"),
    }
}
