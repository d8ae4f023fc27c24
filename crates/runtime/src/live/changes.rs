//! `ChangeLog`: the latest changes of a relation, kept for subscribers that follow or come back. Bounded.
//! It must not know who subscribes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Epoch, Result};

/// Changes of one relation that are kept at most.
const RETAINED_BYTES: usize = 64 << 20;

/// Changes by epoch, of all workers. Nothing is kept until someone asks for it the first time.
#[derive(Debug)]
pub struct ChangeLog {
    schema: SchemaRef,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wanted: bool,
    /// Per worker, from which epoch on its changes are here.
    since: Vec<Option<Epoch>>,
    epochs: BTreeMap<Epoch, Vec<DeltaBatch>>,
    bytes: usize,
    /// Changes before this epoch were dropped.
    floor: Epoch,
}

/// What a follower gets.
#[derive(Debug)]
pub enum Followed {
    /// All changes after the epoch asked for, up to and with the epoch read.
    Changes(Vec<DeltaBatch>),
    /// They are not kept back to there.
    Lost,
}

impl ChangeLog {
    pub(super) fn new(schema: SchemaRef, workers: usize) -> Self {
        let state =
            State { wanted: false, since: vec![None; workers], epochs: BTreeMap::new(), bytes: 0, floor: Epoch(0) };
        Self { schema, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep changes from now on. Returns the first epoch of which all will be here, once it is known.
    pub fn start(&self) -> Option<Epoch> {
        let mut state = self.lock();
        state.wanted = true;
        let floor = state.floor;
        state.since.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max().map(|e| e.max(floor))
    }

    pub(super) fn record(&self, worker: usize, epoch: Epoch, deltas: &[DeltaBatch]) {
        let mut state = self.lock();
        if !state.wanted {
            return;
        }
        state.since[worker].get_or_insert(epoch);
        if deltas.is_empty() {
            return;
        }
        state.bytes += deltas.iter().map(|d| d.rows.get_array_memory_size()).sum::<usize>();
        state.epochs.entry(epoch).or_default().extend(deltas.iter().cloned());
        // The newest epoch stays, however large.
        while state.bytes > RETAINED_BYTES && state.epochs.len() > 1 {
            if let Some((epoch, dropped)) = state.epochs.pop_first() {
                state.bytes -= dropped.iter().map(|d| d.rows.get_array_memory_size()).sum::<usize>();
                state.floor = epoch.next();
            }
        }
    }

    /// The changes of the epochs after `after` up to `upto`.
    pub fn between(&self, after: Epoch, upto: Epoch) -> Followed {
        let state = self.lock();
        let complete = state.since.iter().all(|s| s.is_some_and(|s| s <= after.next()));
        if !complete || state.floor > after.next() {
            return Followed::Lost;
        }
        if upto <= after {
            return Followed::Changes(Vec::new());
        }
        let range = state.epochs.range(after.next()..=upto);
        Followed::Changes(range.flat_map(|(_, deltas)| deltas.iter().cloned()).collect())
    }

    /// One change with the same effect, each row at most once.
    ///
    /// # Errors
    /// A kernel fails.
    pub fn consolidated(&self, deltas: &[DeltaBatch]) -> Result<Option<DeltaBatch>> {
        if deltas.is_empty() {
            return Ok(None);
        }
        let all = DeltaBatch::concat(&self.schema, deltas)?;
        let all = if all.weights.is_none() { all } else { thalweg_operators::consolidated(&all)? };
        Ok(Some(all).filter(|d| !d.is_empty()))
    }
}
