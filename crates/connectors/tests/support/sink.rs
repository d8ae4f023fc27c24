//! A sink into a topic, and what a reader must find there.

use std::collections::BTreeMap;

use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::EpochSink;

use super::broker::Broker;
use super::drive::{ROWS, options, schema};
use super::topic::Seen;

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
        disk: None,
    }
}

/// A sink into a topic.
pub fn sink(id: &str, bootstrap: &str, topic: &str, pairs: &[(&str, &str)]) -> Box<dyn EpochSink> {
    epoch_sink(request(id, bootstrap, topic, pairs)).expect("valid")
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
