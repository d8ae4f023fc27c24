//! `Partial`: the first of two phases: what this worker's rows of an epoch say, one row a group. It keeps nothing
//! between epochs and must not know who merges.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{Schema, SchemaRef};
use thalweg_core::{DeltaBatch, Result, hash_columns};

use super::emit::batch;
use crate::KeyTable;
use crate::accumulators::Calls;
use crate::operator::Output;

/// Groups held before they are sent on: about what the cache holds.
const MOST_GROUPS: usize = 64 * 1024;
/// Rows after which the reduction is judged.
const SAMPLE: usize = 64 * 1024;
/// Rows that pass through unreduced before it is judged again.
const PAUSE: usize = 1024 * 1024;

pub(super) struct Partial {
    group: Vec<usize>,
    table: KeyTable,
    calls: Calls,
    /// By group, where rows may be taken back: its net rows.
    rows: Option<Vec<i64>>,
    output: SchemaRef,
    /// Rows and groups of the sample that is being taken.
    sampled_rows: usize,
    sampled_groups: usize,
    /// Rows still to pass through.
    passing: usize,
    hashes: Vec<u64>,
    ids: Vec<u32>,
}

impl Partial {
    pub(super) fn new(
        input: &Schema,
        group: Vec<usize>,
        calls: Calls,
        append_only: bool,
        output: SchemaRef,
    ) -> Result<Self> {
        let types: Vec<_> = group.iter().map(|c| input.field(*c).data_type().clone()).collect();
        Ok(Self {
            group,
            table: KeyTable::new(&types)?,
            calls,
            rows: (!append_only).then(Vec::new),
            output,
            sampled_rows: 0,
            sampled_groups: 0,
            passing: 0,
            hashes: Vec::new(),
            ids: Vec::new(),
        })
    }

    pub(super) fn on_delta(&mut self, delta: &DeltaBatch, out: &mut Output) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let keys: Vec<ArrayRef> = self.group.iter().map(|c| delta.column(*c).clone()).collect();
        if self.passing > 0 {
            self.passing = self.passing.saturating_sub(delta.num_rows());
            return self.pass(keys, delta, out);
        }
        hash_columns(&keys, delta.num_rows(), &mut self.hashes)?;
        let before = self.table.len();
        self.table.intern(&keys, &self.hashes, &mut self.ids)?;
        self.calls.grow(self.table.capacity());
        if let Some(rows) = &mut self.rows {
            rows.resize(self.table.capacity(), 0);
            for (row, group) in self.ids.iter().enumerate() {
                rows[*group as usize] += delta.weight(row);
            }
        }
        self.calls.update(&self.ids, &delta.rows, delta.weight_slice())?;
        self.sampled_rows += delta.num_rows();
        self.sampled_groups += self.table.len() - before;
        if self.sampled_rows >= SAMPLE {
            if self.sampled_groups * 10 > self.sampled_rows * 7 {
                self.passing = PAUSE;
            }
            self.sampled_rows = 0;
            self.sampled_groups = 0;
        }
        if self.table.len() > MOST_GROUPS || self.passing > 0 { self.flush(out) } else { Ok(()) }
    }

    /// Each row as the state of a group of its own.
    fn pass(&mut self, mut columns: Vec<ArrayRef>, delta: &DeltaBatch, out: &mut Output) -> Result<()> {
        if self.rows.is_some() {
            columns.push(Arc::new(delta.weights_array()));
        }
        columns.extend(self.calls.singles(&delta.rows, delta.weight_slice())?);
        out.push(DeltaBatch::insert(batch(&self.output, columns, delta.num_rows())?));
        Ok(())
    }

    /// Sends what is held.
    pub(super) fn flush(&mut self, out: &mut Output) -> Result<()> {
        if self.table.is_empty() {
            return Ok(());
        }
        // The table is emptied as a whole each time, so its groups are 0, 1, 2, …
        let groups: Vec<u32> = (0..self.table.len() as u32).collect();
        let mut columns = self.table.keys(&groups)?;
        if let Some(rows) = &mut self.rows {
            columns.push(Arc::new(Int64Array::from(std::mem::take(rows))));
        }
        columns.extend(self.calls.state(&groups)?);
        out.push(DeltaBatch::insert(batch(&self.output, columns, groups.len())?));
        self.calls.reset(&groups)?;
        self.table.clear();
        Ok(())
    }

    pub(super) fn state_bytes(&self) -> usize {
        self.table.bytes() + self.calls.bytes()
    }
}
