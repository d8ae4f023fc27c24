//! The hub as a whole: on the twin that forgets, and on real files.

mod basic;
mod concurrent;
mod crash;
mod damage;
mod faults;
mod history;
mod model;

use std::sync::Arc;

use bytes::Bytes;
use thalweg_disk::SimDisk;

use crate::{Append, Hub, Record, Visibility};

/// A hub without a thread of its own.
fn open(disk: &SimDisk) -> Hub {
    Hub::open_stepped(Arc::new(disk.clone())).expect("it opens").0
}

fn record(timestamp_ms: i64, value: impl Into<Bytes>) -> Record {
    Record { timestamp_ms, value: Some(value.into()), ..Record::default() }
}

/// Appends one record a batch and waits for all.
fn append(hub: &Hub, topic: &str, values: &[&str]) {
    for value in values {
        let records = [record(0, value.to_string())];
        let appended = hub.append(&[Append { topic, records: &records }]).expect("it is taken");
        hub.wait(appended.ticket).expect("it is durable");
    }
}

/// All records of a topic: offset and value.
fn all(hub: &Hub, topic: &str, visibility: Visibility) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut next = hub.start_offset(topic).expect("a topic");
    loop {
        let batches = hub.read(topic, next, 1_000, visibility).expect("readable");
        let Some(last) = batches.last() else { return found };
        next = last.end_offset();
        for (offset, record) in batches.iter().flat_map(|b| b.records().expect("readable")) {
            found.push((offset, String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text")));
        }
    }
}

/// The durable values of a topic.
fn values(hub: &Hub, topic: &str) -> Vec<String> {
    all(hub, topic, Visibility::Durable).into_iter().map(|(_, value)| value).collect()
}
