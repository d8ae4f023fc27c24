//! `SavedRows`: what a snapshot of a row store says, and what it says again after a restore: net rows with weights.
//! It must not know what the rows are for.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{Error, Result, hash_columns};

use super::rows::SAVED;
use super::{RowStore, group_rows};
use crate::operator::{StateTable, kept_rows};

/// Rows of a saved table that are not put together with others: copying costs more than another table.
const PIECE_ROWS: usize = 8 << 10;

/// `batches` of `layout` in their order, small ones put together.
///
/// # Errors
/// They are not of that layout.
pub fn pieces(layout: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let mut pieces = Vec::new();
    let mut small: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    let put_together = |small: &mut Vec<RecordBatch>, pieces: &mut Vec<RecordBatch>| -> Result<()> {
        match std::mem::take(small).as_slice() {
            [] => {}
            [one] => pieces.push(one.clone()),
            many => pieces.push(concat_batches(layout, many)?),
        }
        Ok(())
    };
    for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
        if rows + batch.num_rows() > PIECE_ROWS {
            put_together(&mut small, &mut pieces)?;
            rows = 0;
        }
        rows += batch.num_rows();
        small.push(batch);
    }
    put_together(&mut small, &mut pieces)?;
    Ok(pieces)
}

/// The changes since the last snapshot of the rows that it holds, and the layout of the snapshots.
#[derive(Debug)]
pub(crate) struct SavedRows {
    name: &'static str,
    width: usize,
    layout: SchemaRef,
    log: Vec<RecordBatch>,
}

impl SavedRows {
    /// For a store of these columns; `name` is the table's.
    pub(crate) fn new(name: &'static str, columns: &SchemaRef) -> Self {
        let mut fields: Vec<_> = columns.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("weight", DataType::Int64, false)));
        Self { name, width: columns.fields().len(), layout: Arc::new(Schema::new(fields)), log: Vec::new() }
    }

    fn push(&mut self, store: &RowStore, ids: &[u32], weight: i64) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut columns = store.gather_all(ids)?;
        columns.push(Arc::new(Int64Array::from(vec![weight; ids.len()])));
        self.log.push(RecordBatch::try_new(Arc::clone(&self.layout), columns)?);
        Ok(())
    }

    /// Rows of the layout without its weights, which come (1) or go (-1).
    pub(crate) fn note(&mut self, rows: RecordBatch, weight: i64) -> Result<()> {
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(Int64Array::from(vec![weight; rows.num_rows()])));
        self.log.push(RecordBatch::try_new(Arc::clone(&self.layout), columns)?);
        Ok(())
    }

    /// What was noted since the last snapshot.
    pub(crate) fn take(&mut self) -> Result<Vec<StateTable>> {
        let pieces = pieces(&self.layout, std::mem::take(&mut self.log))?;
        Ok(pieces.into_iter().map(|upserts| StateTable { name: self.name.into(), upserts, deletes: None }).collect())
    }

    /// Rows that died (each once): a snapshot that holds them will hear of it. Call while their values are there.
    pub(crate) fn died(&mut self, store: &RowStore, ids: &[u32]) -> Result<()> {
        let held: Vec<u32> = ids.iter().copied().filter(|id| store.has(*id, SAVED)).collect();
        self.push(store, &held, -1)
    }

    /// No snapshot holds any row any more: the next is of all.
    pub(crate) fn forget(&mut self, store: &mut RowStore) {
        self.log.clear();
        store.mark_all(SAVED, false);
    }

    /// What changed since the last snapshot.
    pub(crate) fn snapshot(&mut self, store: &mut RowStore) -> Result<Vec<StateTable>> {
        let segments: Vec<usize> = store.segments().collect();
        for segment in segments {
            let fresh = store.take_unsaved(segment);
            self.push(store, &fresh, 1)?;
        }
        self.take()
    }

    /// The rows that stood when the last of `deltas` was taken, of the vnodes that `keep` accepts by `placement`.
    pub(crate) fn restore(
        &self,
        deltas: &[Vec<StateTable>],
        placement: &[usize],
        keep: &dyn Fn(u8) -> bool,
    ) -> Result<Vec<ArrayRef>> {
        let mut kept = Vec::new();
        for table in deltas.iter().flatten().filter(|t| t.name == self.name) {
            let columns: Vec<ArrayRef> = placement.iter().map(|c| Arc::clone(table.upserts.column(*c))).collect();
            let mut hashes = Vec::new();
            hash_columns(&columns, table.upserts.num_rows(), &mut hashes)?;
            kept.push(filter_record_batch(&table.upserts, &kept_rows(&hashes, keep))?);
        }
        let misfit = |e| Error::Internal(format!("the state of {} does not fit: {e}", self.name));
        let rows = concat_batches(&self.layout, &kept).map_err(misfit)?;
        let columns = &rows.columns()[..self.width];
        let changes = rows.column(self.width).as_primitive::<Int64Type>();
        let mut hashes = Vec::new();
        hash_columns(columns, rows.num_rows(), &mut hashes)?;
        let (groups, firsts) = group_rows(columns, &hashes)?;
        let mut weights = vec![0i64; firsts.len()];
        groups.iter().enumerate().for_each(|(row, group)| weights[*group as usize] += changes.value(row));
        let copies = firsts.iter().zip(weights).flat_map(|(row, n)| std::iter::repeat_n(*row, n.max(0) as usize));
        let rows = take_record_batch(&rows, &UInt32Array::from_iter_values(copies))?;
        Ok(rows.columns()[..self.width].to_vec())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.log.iter().map(RecordBatch::get_array_memory_size).sum()
    }
}
