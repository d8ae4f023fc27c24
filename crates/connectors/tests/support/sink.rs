//! A sink driven as an engine would: epochs are kept until the target holds them, and sent again after every doubt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::{DeltaBatch, Epoch, EpochRows, EpochSink, Incarnation, SinkError};

use super::broker::Broker;
use super::source::{PATIENCE, options};
use super::topic::Seen;

/// Rows of every epoch.
pub const ROWS: u64 = 20;

/// Columns `id` and `name`.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)]))
}

/// A change of rows of [`schema`].
pub fn delta(rows: &[(i64, &str, i64)]) -> DeltaBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1)));
    let batch = RecordBatch::try_new(schema(), vec![ids, names]).expect("one schema");
    DeltaBatch::new(batch, Some(rows.iter().map(|r| r.2).collect::<Vec<_>>().into()))
}

/// A request for a sink into a topic.
pub fn request(id: &str, bootstrap: &str, topic: &str, pairs: &[(&str, &str)]) -> EpochSinkRequest {
    let mut all = vec![("topic", topic), ("properties.bootstrap.server", bootstrap)];
    all.extend_from_slice(pairs);
    EpochSinkRequest {
        name: format!("to_{topic}"),
        id: id.to_owned(),
        cluster: "test".to_owned(),
        connector: "kafka".to_owned(),
        options: options(&all),
        schema: schema(),
        key: Some(vec![0]),
        append_only: false,
    }
}

/// A sink into a topic.
pub fn sink(id: &str, bootstrap: &str, topic: &str, pairs: &[(&str, &str)]) -> Box<dyn EpochSink> {
    epoch_sink(request(id, bootstrap, topic, pairs)).expect("valid")
}

/// The rows of epoch `epoch`: the same whenever it is sent. Every fifth is empty.
pub fn epoch(epoch: u64) -> EpochRows {
    let deltas = if epoch.is_multiple_of(5) {
        Vec::new()
    } else {
        let rows: Vec<(i64, &str, i64)> = (0..ROWS).map(|n| ((epoch * ROWS + n) as i64, "row", 1)).collect();
        vec![delta(&rows)]
    };
    EpochRows { epoch: Epoch(epoch), deltas }
}

/// Opens `sink`, again and again while it says so.
pub fn open(sink: &mut dyn EpochSink, incarnation: u64) -> Option<Epoch> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match sink.open(Incarnation(incarnation)) {
            Ok(epoch) => return epoch,
            Err(SinkError::Again(error)) => {
                assert!(Instant::now() < deadline, "it never opened: {error}");
                std::thread::park_timeout(Duration::from_millis(100));
            }
            Err(SinkError::Fatal(error)) => panic!("{error}"),
        }
    }
}

/// Delivers every epoch after what the target holds up to `last`.
pub fn deliver_all(sink: &mut dyn EpochSink, incarnation: u64, last: u64) {
    deliver_while(sink, incarnation, |next| next <= last, |_| ());
}

/// Delivers epoch after epoch, after what the target holds, while there is `more`. Calls `told` with the last epoch of
/// every delivery, and with 0 when the sink is open. Returns the last epoch and how many deliveries were in doubt.
pub fn deliver_while(
    sink: &mut dyn EpochSink,
    incarnation: u64,
    mut more: impl FnMut(u64) -> bool,
    mut told: impl FnMut(u64),
) -> (u64, usize) {
    let (mut doubts, mut confirmed) = (0, 0);
    'open: loop {
        let mut next = open(sink, incarnation).map_or(1, |e| e.0 + 1);
        // An engine forgets what was confirmed: the target must have it.
        assert!(next > confirmed, "epoch {confirmed} was confirmed, and the target holds {}", next - 1);
        let deadline = Instant::now() + PATIENCE;
        told(0);
        while more(next) {
            match sink.deliver(&[epoch(next), epoch(next + 1)], Epoch(next + 1)) {
                Ok(()) => {
                    next += 2;
                    confirmed = next - 1;
                    told(next - 1);
                }
                Err(SinkError::Again(error)) => {
                    assert!(Instant::now() < deadline, "it is never delivered: {error}");
                    doubts += 1;
                    continue 'open;
                }
                Err(SinkError::Fatal(error)) => panic!("{error}"),
            }
        }
        return (next - 1, doubts);
    }
}

/// Asserts that a read-committed consumer sees every record of the epochs up to `last` once, and in order.
pub fn assert_once(broker: &Broker, topic: &str, last: u64) {
    let seen = broker.read_committed(topic);
    let mut by_place: BTreeMap<(u64, u64), &Seen> = BTreeMap::new();
    let mut before: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
    for record in &seen {
        let place = place(record);
        assert!(by_place.insert(place, record).is_none(), "twice: {record:?}");
        if let Some(before) = before.insert(record.partition, place) {
            assert!(before < place, "{place:?} after {before:?} in partition {}", record.partition);
        }
    }
    let expected = (1..=last).filter(|e| !e.is_multiple_of(5)).flat_map(|e| (0..ROWS).map(move |n| (e, n)));
    assert!(by_place.keys().copied().eq(expected), "{} records, from {:?}", seen.len(), by_place.keys().next());
    // In the order of keys, which here are text: within an epoch the numbers are what they are as text.
    for e in 1..=last {
        let keys: Vec<&str> = by_place.range((e, 0)..(e + 1, 0)).map(|(_, r)| r.key.as_str()).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        let mut ids: Vec<u64> = keys.iter().map(|k| number(k)).collect();
        ids.sort_unstable();
        assert!(ids.is_empty() || ids.iter().copied().eq((0..ROWS).map(|n| e * ROWS + n)), "{ids:?}");
    }
}

/// Epoch and number in the headers.
pub fn place(record: &Seen) -> (u64, u64) {
    let header = |name: &str| {
        let value = record.headers.split(',').find_map(|h| h.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name} in {record:?}")).parse().expect("a number")
    };
    (header("tw-epoch"), header("tw-seq"))
}

fn number(text: &str) -> u64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}
