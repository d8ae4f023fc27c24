//! `Keyed`: the groups that live on between epochs. It must not know how accumulators work or what a message is.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};

use super::closing::Closing;
use crate::KeyTable;
use crate::accumulators::{Calls, int64_state};
use crate::operator::Output;

/// The group is there.
pub(super) const LIVE: u8 = 1;
/// It changed in this epoch.
pub(super) const TOUCHED: u8 = 2;
/// It changed since the last snapshot.
pub(super) const DIRTY: u8 = 4;
/// A snapshot has it.
pub(super) const SAVED: u8 = 8;

pub(super) struct Keyed {
    /// Group columns of the input.
    pub(super) group: Vec<usize>,
    pub(super) table: KeyTable,
    pub(super) calls: Calls,
    /// In phase `Final`: where the state columns start.
    states: Option<usize>,
    /// By group: how many rows it has; only where rows may be taken back (else: at least one).
    pub(super) rows: Option<Vec<i64>>,
    pub(super) flags: Vec<u8>,
    pub(super) closing: Option<Closing>,
    /// Without group columns: emit the row of no rows.
    pub(super) initial_row: bool,
    pub(super) output: SchemaRef,
    /// Groups first touched in this epoch that had not been emitted.
    pub(super) fresh: Vec<u32>,
    /// Groups first touched in this epoch that had been emitted, with what was emitted.
    pub(super) old: Vec<Old>,
    /// The columns of the key that say on which worker a group is.
    pub(super) placement: Vec<usize>,
    /// Keys of saved groups that are gone since the last snapshot.
    pub(super) gone: Vec<Vec<ArrayRef>>,
    hashes: Vec<u64>,
    ids: Vec<u32>,
}

/// Results as they stood before the epoch.
pub(super) struct Old {
    pub(super) groups: Vec<u32>,
    pub(super) columns: Vec<ArrayRef>,
}

impl Keyed {
    /// Groups are where these columns of their keys say.
    pub(super) fn placed_by(self, placement: Vec<usize>) -> Self {
        Self { placement, ..self }
    }

    pub(super) fn new(
        group: Vec<usize>,
        types: &[DataType],
        calls: Calls,
        states: Option<usize>,
        counted: bool,
        closing: Option<Closing>,
        output: SchemaRef,
    ) -> Result<Self> {
        Ok(Self {
            group,
            table: KeyTable::new(types)?,
            calls,
            states,
            rows: counted.then(Vec::new),
            flags: Vec::new(),
            closing,
            initial_row: false,
            output,
            fresh: Vec::new(),
            old: Vec::new(),
            placement: (0..types.len()).collect(),
            gone: Vec::new(),
            hashes: Vec::new(),
            ids: Vec::new(),
        })
    }

    pub(super) fn set_initial_row(&mut self, initial: bool) {
        self.initial_row = initial && self.group.is_empty();
    }

    pub(super) fn on_delta(&mut self, delta: DeltaBatch) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let late = match &self.closing {
            Some(closing) => closing.open_rows(delta.column(self.group[closing.key()]))?,
            None => None,
        };
        let delta = match late {
            Some(open) => delta.filter(&open)?,
            None => delta,
        };
        let keys: Vec<ArrayRef> = self.group.iter().map(|c| delta.column(*c).clone()).collect();
        hash_columns(&keys, delta.num_rows(), &mut self.hashes)?;
        let mut ids = std::mem::take(&mut self.ids);
        self.table.intern(&keys, &self.hashes, &mut ids)?;
        self.grow();
        self.touch(&ids, &keys)?;
        let weights = delta.weight_slice();
        match self.states {
            None => {
                self.count(&ids, weights);
                self.calls.update(&ids, &delta.rows, weights)?;
            }
            Some(first) => self.merge(&ids, &delta.rows, weights, first)?,
        }
        self.ids = ids;
        Ok(())
    }

    /// Room for every group of the table.
    pub(super) fn grow(&mut self) {
        let capacity = self.table.capacity();
        if self.flags.len() < capacity {
            self.flags.resize(capacity, 0);
            if let Some(rows) = &mut self.rows {
                rows.resize(capacity, 0);
            }
        }
        self.calls.grow(self.flags.len());
    }

    fn count(&mut self, ids: &[u32], weights: Option<&[i64]>) {
        let Some(rows) = &mut self.rows else { return };
        match weights {
            None => ids.iter().for_each(|g| rows[*g as usize] += 1),
            Some(weights) => ids.iter().zip(weights).for_each(|(g, w)| rows[*g as usize] += w),
        }
    }

    fn merge(&mut self, ids: &[u32], batch: &RecordBatch, weights: Option<&[i64]>, first: usize) -> Result<()> {
        if weights.is_some() {
            return Err(Error::Internal("partial states are never taken back".into()));
        }
        if let Some(rows) = &mut self.rows {
            let counts = int64_state(batch.columns(), first - 1)?;
            ids.iter().zip(counts).for_each(|(g, n)| rows[*g as usize] += n);
        }
        self.calls.merge(ids, &batch.columns()[first..])
    }

    /// Notes which groups are new and which change for the first time in this epoch, before they do.
    fn touch(&mut self, ids: &[u32], keys: &[ArrayRef]) -> Result<()> {
        let emits_updates = self.closing.as_ref().is_none_or(|c| !c.emits);
        let ready = if emits_updates { LIVE | TOUCHED | DIRTY } else { LIVE | DIRTY };
        let (mut born, mut born_rows, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for (row, group) in ids.iter().enumerate() {
            let flags = self.flags[*group as usize];
            if flags & ready == ready {
                continue;
            }
            self.flags[*group as usize] = flags | ready;
            if flags & LIVE == 0 {
                born.push(*group);
                born_rows.push(row as u32);
            } else if flags & TOUCHED == 0 && emits_updates {
                changed.push(*group);
            }
        }
        if let Some(closing) = &mut self.closing
            && !born.is_empty()
        {
            let times = take(&keys[closing.key()], &UInt32Array::from(born_rows), None)?;
            closing.enter(&born, &times)?;
        }
        if !emits_updates {
            return Ok(());
        }
        self.fresh.append(&mut born);
        let (stood, not): (Vec<u32>, Vec<u32>) = changed.into_iter().partition(|g| self.stands(*g));
        self.fresh.extend(not);
        if !stood.is_empty() {
            let columns = self.calls.evaluate(&stood)?;
            self.old.push(Old { groups: stood, columns });
        }
        Ok(())
    }

    /// The group has rows, so it has a result.
    pub(super) fn stands(&self, group: u32) -> bool {
        match &self.rows {
            Some(rows) => rows[group as usize] > 0 || self.initial_row,
            None => true,
        }
    }

    pub(super) fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        if self.initial_row && self.table.is_empty() {
            self.add_initial_row()?;
        }
        self.calls.settle(&self.table)?;
        let due = match &mut self.closing {
            Some(closing) => closing.due(header),
            None => Vec::new(),
        };
        if self.closing.as_ref().is_some_and(|c| c.emits) {
            self.emit_closed(&due, out)?;
        } else {
            self.emit_changes(out)?;
        }
        self.forget(&due)
    }

    fn add_initial_row(&mut self) -> Result<()> {
        hash_columns(&[], 1, &mut self.hashes)?;
        let mut ids = Vec::new();
        self.table.intern(&[], &self.hashes, &mut ids)?;
        self.grow();
        self.touch(&ids, &[])
    }

    /// Drops `groups` from every part of the state.
    pub(super) fn forget(&mut self, groups: &[u32]) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        let saved: Vec<u32> = groups.iter().copied().filter(|g| self.flags[*g as usize] & SAVED != 0).collect();
        if !saved.is_empty() {
            self.gone.push(self.table.keys(&saved)?);
        }
        self.calls.reset(groups)?;
        for group in groups {
            self.flags[*group as usize] = 0;
            if let Some(rows) = &mut self.rows {
                rows[*group as usize] = 0;
            }
        }
        self.table.remove(groups)
    }

    pub(super) fn state_bytes(&self) -> usize {
        self.table.bytes()
            + self.calls.bytes()
            + self.flags.capacity()
            + self.rows.as_ref().map_or(0, |r| r.capacity() * 8)
            + self.closing.as_ref().map_or(0, Closing::bytes)
    }
}
