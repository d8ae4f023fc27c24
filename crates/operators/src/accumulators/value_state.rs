//! `Values` on the way to and from a checkpoint: one row an entry, its group's key, its value, what it says of each
//! member. It must not know which worker had it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::Int64Type;
use thalweg_core::{Error, Result, hash_columns};

use super::values::{DIRTY, Events, Marks, SAVED, Values};
use crate::KeyTable;
use crate::operator::StateTable;
use crate::state_batch::state_batch;

/// Takes the value columns of a batch and the events that refer to its rows.
pub(super) type Feed<'a> = dyn FnMut(&[ArrayRef], &[Events]) -> Result<()> + 'a;

impl Values {
    /// What changed since the last call. `settle` was called before.
    pub(super) fn snapshot(&mut self, keys: &KeyTable) -> Result<Option<StateTable>> {
        let dirty: Vec<u32> = (0..self.flags.len() as u32)
            .filter(|e| self.flags[*e as usize] & DIRTY != 0 && !self.is_empty_entry(*e as usize))
            .collect();
        let gone = std::mem::take(&mut self.gone);
        if dirty.is_empty() && gone.is_empty() {
            return Ok(None);
        }
        let mut columns = self.full_keys(&dirty, keys)?;
        match &self.marks {
            Marks::Bits(bits) => {
                columns.push(Arc::new(Int64Array::from_iter_values(dirty.iter().map(|e| i64::from(bits[*e as usize])))))
            }
            Marks::Counts(counts) => {
                let width = self.members.len();
                for k in 0..width {
                    let column = dirty.iter().map(|e| counts[*e as usize * width + k]);
                    columns.push(Arc::new(Int64Array::from_iter_values(column)));
                }
            }
        }
        for entry in &dirty {
            self.flags[*entry as usize] = SAVED;
        }
        let deletes = if gone.is_empty() { None } else { Some(state_batch(concat_all(&gone)?)?) };
        Ok(Some(StateTable { name: self.name.into(), upserts: state_batch(columns)?, deletes }))
    }

    /// The next snapshot holds every entry.
    pub(super) fn save_all(&mut self) {
        self.gone.clear();
        for entry in 0..self.flags.len() {
            if !self.is_empty_entry(entry) {
                self.flags[entry] = DIRTY;
            }
        }
    }

    /// Applies a saved change to groups that `keys` knows; rows of other groups belong to other workers.
    /// Members for which `derived` is true get the events that rebuild them; `feed` takes (batch columns of the value,
    /// events).
    pub(super) fn restore(
        &mut self,
        keys: &KeyTable,
        state: &StateTable,
        derived: &[bool],
        feed: &mut Feed<'_>,
    ) -> Result<()> {
        if let Some(deletes) = &state.deletes {
            let (batch, groups) = known_groups(keys, deletes)?;
            let values = &batch.columns()[keys.types().len()..];
            let (columns, hashes) = entry_keys(&groups, values)?;
            let mut entries = Vec::new();
            self.table.lookup(&columns, &hashes, &mut entries)?;
            let mut events = self.no_events();
            let zeros = vec![0; self.members.len()];
            for (row, entry) in entries.iter().enumerate().filter(|(_, e)| **e != KeyTable::ABSENT) {
                self.set(*entry as usize, &zeros, groups[row], row as u32, derived, &mut events);
            }
            feed(values, &events)?;
            entries.retain(|e| *e != KeyTable::ABSENT);
            self.drop_entries(&entries)?;
        }
        let (batch, groups) = known_groups(keys, &state.upserts)?;
        let first = keys.types().len();
        let (values, saved) = batch.columns()[first..].split_at(self.columns.len());
        let marks: Vec<&Int64Array> = saved.iter().filter_map(|c| c.as_primitive_opt::<Int64Type>()).collect();
        let expected = if matches!(self.marks, Marks::Bits(_)) { 1 } else { self.members.len() };
        if marks.len() != expected {
            return Err(Error::Internal(format!("saved values with {} columns of marks, not {expected}", marks.len())));
        }
        let (columns, hashes) = entry_keys(&groups, values)?;
        let mut entries = Vec::new();
        self.table.intern(&columns, &hashes, &mut entries)?;
        self.grow();
        let mut events = self.no_events();
        let mut row_marks = vec![0; expected];
        for (row, entry) in entries.iter().enumerate() {
            if self.is_free(*entry as usize) {
                self.link(*entry as usize, groups[row]);
            }
            for (mark, column) in row_marks.iter_mut().zip(&marks) {
                *mark = column.value(row);
            }
            self.set(*entry as usize, &row_marks, groups[row], row as u32, derived, &mut events);
            self.flags[*entry as usize] = SAVED;
        }
        feed(values, &events)
    }

    fn no_events(&self) -> Vec<Events> {
        self.members.iter().map(|_| Events::default()).collect()
    }

    fn is_free(&self, entry: usize) -> bool {
        self.owner[entry] == u32::MAX
    }

    fn set(&mut self, entry: usize, marks: &[i64], group: u32, row: u32, derived: &[bool], events: &mut [Events]) {
        match &mut self.marks {
            // Only counts have derived members: nothing is ever taken back from bits.
            Marks::Bits(bits) => bits[entry] = marks[0] as u32,
            Marks::Counts(counts) => {
                let width = derived.len();
                for (k, count) in counts[entry * width..(entry + 1) * width].iter_mut().enumerate() {
                    let before = *count > 0;
                    *count = marks[k];
                    if derived[k] && before != (*count > 0) {
                        events[k].groups.push(group);
                        events[k].rows.push(row);
                        events[k].weights.push(if before { -1 } else { 1 });
                    }
                }
            }
        }
    }
}

/// The rows of a saved batch whose group `keys` knows, and those groups.
fn known_groups(keys: &KeyTable, batch: &RecordBatch) -> Result<(RecordBatch, Vec<u32>)> {
    let columns = &batch.columns()[..keys.types().len()];
    let (mut hashes, mut groups) = (Vec::new(), Vec::new());
    hash_columns(columns, batch.num_rows(), &mut hashes)?;
    keys.lookup(columns, &hashes, &mut groups)?;
    if !groups.contains(&KeyTable::ABSENT) {
        return Ok((batch.clone(), groups));
    }
    let known: Vec<u32> = (0..groups.len() as u32).filter(|row| groups[*row as usize] != KeyTable::ABSENT).collect();
    let batch = arrow::compute::take_record_batch(batch, &UInt32Array::from(known))?;
    groups.retain(|g| *g != KeyTable::ABSENT);
    Ok((batch, groups))
}

fn entry_keys(groups: &[u32], values: &[ArrayRef]) -> Result<(Vec<ArrayRef>, Vec<u64>)> {
    let mut columns = vec![Arc::new(UInt32Array::from(groups.to_vec())) as ArrayRef];
    columns.extend(values.iter().cloned());
    let mut hashes = Vec::new();
    hash_columns(&columns, groups.len(), &mut hashes)?;
    Ok((columns, hashes))
}

/// Rows of several pieces, column by column, in one.
pub(crate) fn concat_all(pieces: &[Vec<ArrayRef>]) -> Result<Vec<ArrayRef>> {
    let width = pieces.first().map_or(0, Vec::len);
    let mut columns = Vec::with_capacity(width);
    for i in 0..width {
        let parts: Vec<&dyn Array> = pieces.iter().map(|p| p[i].as_ref()).collect();
        columns.push(concat(&parts)?);
    }
    Ok(columns)
}

/// The rows of `columns` that events name.
pub(super) fn take_rows(columns: &[ArrayRef], rows: &[u32]) -> Result<Vec<ArrayRef>> {
    let indices = UInt32Array::from(rows.to_vec());
    Ok(columns.iter().map(|c| take(c, &indices, None)).collect::<std::result::Result<_, _>>()?)
}
