//! A source driven as an engine would: splits are listed, opened and polled, offsets kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_connectors::{SourceRequest, source};
use thalweg_core::{DeadLetter, Offset, Polled, Source, SplitReader};

pub use super::drive::{PATIENCE, options};

/// One column, `id`.
pub fn id_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]))
}

/// A source over a topic.
pub fn kafka(
    bootstrap: &str,
    topic: &str,
    declared: SchemaRef,
    pairs: &[(&str, &str)],
) -> thalweg_core::Result<Arc<dyn Source>> {
    let mut all = vec![("topic", topic), ("properties.bootstrap.server", bootstrap)];
    all.extend_from_slice(pairs);
    let projection = (0..declared.fields().len()).collect();
    source(SourceRequest {
        name: format!("from_{topic}"),
        connector: "kafka".to_owned(),
        options: options(&all),
        declared,
        projection,
        event_time: None,
        workers: 1,
    })
}

/// Reads every split of a source.
pub struct Reading {
    pub source: Arc<dyn Source>,
    readers: BTreeMap<Arc<str>, Box<dyn SplitReader>>,
    ended: usize,
    /// Offsets of splits that are not open.
    stored: BTreeMap<Arc<str>, Offset>,
    pub rows: Vec<RecordBatch>,
    pub dead: Vec<DeadLetter>,
}

impl Reading {
    pub fn new(source: Arc<dyn Source>, stored: BTreeMap<Arc<str>, Offset>) -> Self {
        Self { source, readers: BTreeMap::new(), ended: 0, stored, rows: Vec::new(), dead: Vec::new() }
    }

    /// Opens what has appeared, polls every reader once. Returns whether anything came.
    pub fn step(&mut self, max_rows: usize) -> bool {
        for split in self.source.splits().expect("lists") {
            if !self.readers.contains_key(&split.id) {
                let from = self.stored.get(&split.id).copied().unwrap_or_default();
                let reader = self.source.open(&split, from).expect("opens");
                self.readers.insert(split.id, reader);
            }
        }
        let mut some = false;
        self.ended = 0;
        for reader in self.readers.values_mut() {
            match reader.poll(max_rows).expect("polls") {
                Polled::Rows { rows, dead, .. } => {
                    some = true;
                    self.rows.push(rows);
                    self.dead.extend(dead);
                }
                Polled::Idle => {}
                Polled::End => self.ended += 1,
            }
        }
        some
    }

    /// Reads until `done`.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            if !self.step(1000) {
                std::thread::park_timeout(Duration::from_millis(2));
            }
            assert!(Instant::now() < deadline, "{what} never came; {} rows, {} dead", self.count(), self.dead.len());
        }
    }

    /// Reads until every split has ended.
    pub fn read_to_end(&mut self) {
        self.until("the end", |r| r.ended > 0 && r.ended == r.readers.len());
    }

    /// How many rows have come.
    pub fn count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }

    /// The first column, in the order in which it came.
    pub fn ids(&self) -> Vec<u64> {
        let of = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        self.rows.iter().flat_map(of).map(|id| u64::try_from(id).expect("not negative")).collect()
    }

    /// The first column, sorted.
    pub fn sorted(&self) -> Vec<u64> {
        let mut ids = self.ids();
        ids.sort_unstable();
        ids
    }

    /// Where every split stands.
    pub fn offsets(&self) -> BTreeMap<Arc<str>, Offset> {
        let mut offsets = self.stored.clone();
        offsets.extend(self.readers.iter().map(|(id, r)| (Arc::clone(id), r.offset())));
        offsets
    }
}
