//! `Relation`: a view's rows of all workers, by epoch, for readers on any thread. It must not know what writes it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use thalweg_core::Epoch;
use thalweg_operators::Version;

use super::changes::ChangeLog;
use super::indexes::Indexes;

/// Names a relation for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationId(pub u64);

/// The readable contents of a table or view.
#[derive(Debug)]
pub struct Relation {
    /// Its number.
    pub id: RelationId,
    /// Its columns.
    pub schema: SchemaRef,
    /// By what rows are found, if not by all columns.
    pub key: Option<Vec<usize>>,
    /// Never retracts.
    pub append_only: bool,
    /// Its rows are kept; otherwise they only pass.
    pub kept: bool,
    /// What changed of late, for subscribers.
    pub changes: ChangeLog,
    /// By what else rows are found.
    pub(super) indexes: Indexes,
    shards: Vec<Shard>,
}

/// One worker's versions, oldest first.
#[derive(Debug, Default)]
struct Shard(Mutex<VecDeque<Held>>);

#[derive(Debug)]
struct Held {
    epoch: Epoch,
    number: u64,
    version: Arc<Version>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relation {
    pub(super) fn new(
        id: RelationId,
        schema: SchemaRef,
        key: Option<Vec<usize>>,
        append_only: bool,
        workers: usize,
    ) -> Self {
        let shards = (0..workers).map(|_| Shard::default()).collect();
        let changes = ChangeLog::new(Arc::clone(&schema), workers);
        Self { id, changes, indexes: Indexes::default(), schema, key, append_only, kept: true, shards }
    }

    /// Keeps nothing.
    pub(super) fn passing(self) -> Self {
        Self { kept: false, ..self }
    }

    /// The rows at `epoch`, by worker; a worker that has not completed any epoch up to it has none.
    pub fn at(&self, epoch: Epoch) -> Vec<Arc<Version>> {
        let newest = |shard: &Shard| {
            let held = lock(&shard.0);
            held.iter().rev().find(|h| h.epoch <= epoch).map(|h| Arc::clone(&h.version))
        };
        self.shards.iter().filter_map(newest).collect()
    }

    /// `version` is what `worker` holds from `epoch` on. Versions that nobody can ask for any more are dropped; returns
    /// the number of the oldest that is left.
    pub(super) fn publish(
        &self,
        worker: usize,
        epoch: Epoch,
        number: u64,
        version: Arc<Version>,
        readable: &Readable,
    ) -> u64 {
        let oldest = readable.oldest();
        let mut held = lock(&self.shards[worker].0);
        held.push_back(Held { epoch, number, version });
        while held.get(1).is_some_and(|second| second.epoch <= oldest) {
            held.pop_front();
        }
        held.front().map_or(number, |h| h.number)
    }
}

/// The newest epoch that every view has completed, and the epochs at which someone reads.
#[derive(Debug, Default)]
pub(super) struct Readable(Mutex<Reading>);

#[derive(Debug, Default)]
struct Reading {
    epoch: Epoch,
    pins: BTreeMap<Epoch, usize>,
}

impl Readable {
    pub fn epoch(&self) -> Epoch {
        lock(&self.0).epoch
    }

    /// Moves on; true if it did.
    pub fn advance(&self, epoch: Epoch) -> bool {
        let mut reading = lock(&self.0);
        let moves = epoch > reading.epoch;
        reading.epoch = reading.epoch.max(epoch);
        moves
    }

    fn oldest(&self) -> Epoch {
        let reading = lock(&self.0);
        reading.pins.first_key_value().map_or(reading.epoch, |(e, _)| (*e).min(reading.epoch))
    }
}

/// Keeps the contents of one epoch readable until it is dropped.
#[derive(Debug)]
pub struct Pin {
    readable: Arc<Readable>,
    epoch: Epoch,
}

impl Pin {
    pub(super) fn new(readable: &Arc<Readable>) -> Self {
        let mut reading = lock(&readable.0);
        let epoch = reading.epoch;
        *reading.pins.entry(epoch).or_default() += 1;
        drop(reading);
        Self { readable: Arc::clone(readable), epoch }
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut reading = lock(&self.readable.0);
        if let Some(count) = reading.pins.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                reading.pins.remove(&self.epoch);
            }
        }
    }
}
