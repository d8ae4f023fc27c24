//! `TimedRows`: rows that wait for a time, found again when they are retracted. It must not know what the time means.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Result, hash_columns};
use thalweg_plan::{Distribution, Properties};

use super::{Chain, NONE, Picked, RowStore, SAVED, SavedRows, distinct_rows, micros};
use crate::operator::StateTable;

/// Rows, each due at the value of its time column moved by a shift.
#[derive(Debug)]
pub(crate) struct TimedRows {
    schema: SchemaRef,
    column: usize,
    shift: i64,
    /// When a row without a time is due; `None`: such rows are left out.
    null_due: Option<i64>,
    placement: Vec<usize>,
    store: RowStore,
    /// Finds the row that a retraction means; an input that never retracts needs none.
    rows: Option<Chain>,
    /// When each row is due. A number that has come to mean another row is told by that row's time.
    due: BinaryHeap<Reverse<(i64, u32)>>,
    saved: SavedRows,
}

impl TimedRows {
    /// No rows yet.
    pub(crate) fn new(
        name: &'static str,
        input: &Properties,
        column: usize,
        shift: i64,
        null_due: Option<i64>,
    ) -> Self {
        let all: Vec<usize> = (0..input.schema.fields().len()).collect();
        let placement = match &input.distribution {
            Distribution::Hash(columns) => columns.clone(),
            Distribution::Any | Distribution::Single => all.clone(),
        };
        Self {
            store: RowStore::new(&input.schema),
            rows: (!input.append_only).then(|| Chain::new(all)),
            due: BinaryHeap::new(),
            saved: SavedRows::new(name, &input.schema),
            schema: SchemaRef::clone(&input.schema),
            column,
            shift,
            null_due,
            placement,
        }
    }

    fn due(&self, column: &ArrayRef) -> Vec<Option<i64>> {
        let times = micros(column).into_iter().enumerate();
        times
            .map(|(row, t)| if column.is_null(row) { self.null_due } else { Some(t.saturating_add(self.shift)) })
            .collect()
    }

    /// Takes an epoch's changes. Rows due by `passed` do not enter. Returns the rows of the batch that entered
    /// (repeated as they stand) and the stored rows that were retracted.
    pub(crate) fn apply(&mut self, delta: &DeltaBatch, passed: i64) -> Result<(Vec<u32>, Vec<u32>)> {
        let (columns, n) = (delta.rows.columns(), delta.num_rows());
        let due = self.due(&columns[self.column]);
        let mut gone = Vec::new();
        let mut hashes = Vec::new();
        let mut enter: Vec<u32> = (0..n as u32).collect();
        if let Some(chain) = &mut self.rows {
            hash_columns(columns, n, &mut hashes)?;
            let (rows, weights) = distinct_rows(columns, &hashes, |row| delta.weight(row))?;
            let mut wanted: Vec<(u32, i64)> =
                rows.iter().zip(&weights).filter(|(_, w)| **w < 0).map(|(row, w)| (*row, -w)).collect();
            while !wanted.is_empty() {
                let asked: Vec<u32> = wanted.iter().map(|(row, _)| *row).collect();
                let found = chain.find(&self.store, columns, &hashes, &asked)?;
                for id in found.iter().filter(|id| **id != NONE) {
                    self.store.kill(*id);
                    gone.push(*id);
                }
                // What is not found has had its time.
                let mut found = found.into_iter();
                wanted.retain_mut(|(_, copies)| {
                    *copies -= 1;
                    found.next().is_some_and(|id| id != NONE) && *copies > 0
                });
            }
            let repeat = |(row, n): (&u32, &i64)| std::iter::repeat_n(*row, (*n).max(0) as usize);
            enter = rows.iter().zip(&weights).flat_map(repeat).collect();
        }
        enter.retain(|row| due[*row as usize].is_some_and(|due| due > passed));
        let mut ids = Vec::with_capacity(enter.len());
        self.store.append(columns, Picked::Rows(&enter), &mut ids)?;
        if let Some(chain) = &mut self.rows {
            chain.link(&ids, enter.iter().map(|row| hashes[*row as usize]));
        }
        let due = enter.iter().filter_map(|row| due[*row as usize]);
        self.due.extend(ids.iter().zip(due).map(|(id, due)| Reverse((due, *id))));
        Ok((enter, gone))
    }

    /// The rows due by `limit`; they stand no more.
    pub(crate) fn due_by(&mut self, limit: i64) -> Result<Vec<u32>> {
        let (mut ids, mut times) = (Vec::new(), Vec::new());
        while let Some(Reverse((due, id))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= limit) {
            self.due.pop();
            if self.store.is_live(id) {
                ids.push(id);
                times.push(due);
            }
        }
        let stored = self.due(&self.store.gather(self.column, &ids)?);
        let mut out = Vec::with_capacity(ids.len());
        for ((id, time), stored) in ids.into_iter().zip(times).zip(stored) {
            if stored == Some(time) && self.store.is_live(id) {
                self.store.kill(id);
                out.push(id);
            }
        }
        Ok(out)
    }

    /// The values of rows, also of those that stand no more, until [`TimedRows::settle`].
    pub(crate) fn batch(&self, ids: &[u32]) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), self.store.gather_all(ids)?)?)
    }

    /// Forgets the values of rows that stand no more: `gone` are those of this epoch.
    pub(crate) fn settle(&mut self, gone: &[u32]) -> Result<()> {
        self.saved.died(&self.store, gone)?;
        for segment in self.store.wasteful() {
            let old = self.store.live_ids(segment);
            let columns = self.store.gather_all(&old)?;
            let saved: Vec<bool> = old.iter().map(|id| self.store.has(*id, SAVED)).collect();
            if let Some(chain) = &mut self.rows {
                chain.unlink(&self.store, segment)?;
            }
            self.store.drop_segment(segment);
            let ids = self.put(&columns, old.len())?;
            ids.iter().zip(saved).for_each(|(id, saved)| self.store.mark(*id, SAVED, saved));
        }
        Ok(())
    }

    /// Stores rows that stand already.
    fn put(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(rows);
        self.store.append(columns, Picked::Range(0, rows), &mut ids)?;
        if let Some(chain) = &mut self.rows {
            chain.link_stored(&self.store, &ids)?;
        }
        let due = self.due(&columns[self.column]);
        self.due.extend(ids.iter().zip(due).filter_map(|(id, due)| Some(Reverse((due?, *id)))));
        Ok(ids)
    }

    /// What changed since the last snapshot.
    pub(crate) fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.saved.snapshot(&mut self.store)
    }

    /// The next snapshot holds all rows.
    pub(crate) fn save_all(&mut self) {
        self.saved.forget(&mut self.store);
    }

    /// Rebuilds the rows from snapshots.
    pub(crate) fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let columns = self.saved.restore(deltas, &self.placement, keep)?;
        let rows = columns.first().map_or(0, |c| c.len());
        let ids = self.put(&columns, rows)?;
        ids.iter().for_each(|id| self.store.mark(*id, SAVED, true));
        Ok(())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.as_ref().map_or(0, Chain::bytes);
        self.store.bytes() + rows + self.due.capacity() * size_of::<(i64, u32)>() + self.saved.bytes()
    }
}
