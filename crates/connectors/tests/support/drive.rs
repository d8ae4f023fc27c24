//! A sink driven as an engine would: epochs are kept until the target holds them, and sent again after every doubt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, Epoch, EpochRows, EpochSink, Incarnation, Options, SinkError};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Options from pairs.
pub fn options(pairs: &[(&str, &str)]) -> Options {
    Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

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
    more: impl FnMut(u64) -> bool,
    told: impl FnMut(u64),
) -> (u64, usize) {
    deliver_made(sink, incarnation, epoch, more, told)
}

/// As [`deliver_while`], with epochs that `make` makes: the same whenever it is asked.
pub fn deliver_made(
    sink: &mut dyn EpochSink,
    incarnation: u64,
    make: impl Fn(u64) -> EpochRows,
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
            match sink.deliver(&[make(next), make(next + 1)], Epoch(next + 1)) {
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
