//! `ChangeLog`: the latest changes of a relation, kept for subscribers that follow or come back. Bounded.
//! It must not know who subscribes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, Result};

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
    epochs: BTreeMap<Epoch, Changed>,
    bytes: usize,
    /// Changes before this epoch were dropped.
    floor: Epoch,
    /// The wall clock from which on changes are here, microseconds since 1970-01-01 UTC.
    begun: Option<i64>,
}

/// What an epoch changed.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The epoch's wall clock, microseconds since 1970-01-01 UTC.
    pub wall_clock: i64,
    /// Of all workers, in no order.
    pub deltas: Vec<DeltaBatch>,
}

/// Where a follower that begins at a moment has to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// After this epoch.
    After(Epoch),
    /// Changes of the moment are not kept any more; those from this one on are.
    Lost(i64),
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
        let state = State {
            wanted: false,
            since: vec![None; workers],
            epochs: BTreeMap::new(),
            bytes: 0,
            floor: Epoch(0),
            begun: None,
        };
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

    pub(super) fn record(&self, worker: usize, header: &EpochHeader, deltas: &[DeltaBatch]) {
        let epoch = header.epoch;
        let mut state = self.lock();
        if !state.wanted {
            return;
        }
        if state.since[worker].is_none() {
            // Complete from when the last worker begins.
            state.since[worker] = Some(epoch);
            state.begun = state.begun.max(Some(header.wall_clock));
        }
        if deltas.is_empty() {
            return;
        }
        state.bytes += deltas.iter().map(|d| d.rows.get_array_memory_size()).sum::<usize>();
        let changed = state.epochs.entry(epoch).or_default();
        changed.wall_clock = header.wall_clock;
        changed.deltas.extend(deltas.iter().cloned());
        // The newest epoch stays, however large.
        while state.bytes > RETAINED_BYTES && state.epochs.len() > 1 {
            if let Some((epoch, dropped)) = state.epochs.pop_first() {
                state.bytes -= dropped.deltas.iter().map(|d| d.rows.get_array_memory_size()).sum::<usize>();
                state.floor = epoch.next();
                state.begun = state.begun.max(Some(dropped.wall_clock + 1));
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
        Followed::Changes(range.flat_map(|(_, changed)| changed.deltas.iter().cloned()).collect())
    }

    /// The first epoch after `after`, up to `upto`, that changed anything.
    ///
    /// # Errors
    /// Changes are not kept back to there: the wall clock from which on they are.
    pub fn first_between(&self, after: Epoch, upto: Epoch) -> std::result::Result<Option<(Epoch, Changed)>, i64> {
        let state = self.lock();
        let complete = state.since.iter().all(|s| s.is_some_and(|s| s <= after.next()));
        if !complete || state.floor > after.next() {
            return Err(state.begun.unwrap_or(0));
        }
        if upto <= after {
            return Ok(None);
        }
        Ok(state.epochs.range(after.next()..=upto).next().map(|(epoch, changed)| (*epoch, changed.clone())))
    }

    /// Where one begins who wants the changes from the wall clock `micros` on, with `newest` the newest readable epoch.
    pub fn begin_at(&self, micros: i64, newest: Epoch) -> Begin {
        let state = self.lock();
        match state.begun {
            Some(begun) if micros >= begun => {
                let first = state.epochs.iter().find(|(_, changed)| changed.wall_clock >= micros);
                let after = first.map_or(newest, |(epoch, _)| Epoch(epoch.0 - 1));
                Begin::After(after.min(newest))
            }
            begun => Begin::Lost(begun.unwrap_or(micros)),
        }
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
