//! What an aggregation says at the end of an epoch. It must not know how groups are found or kept.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{concat, filter, or, take};
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Result};

use super::keyed::{Keyed, TOUCHED};
use crate::accumulators::concat_all;
use crate::operator::Output;

/// Rows to a message: enough to amortise calls, few enough for the cache.
const CHUNK: usize = 16 * 1024;

impl Keyed {
    /// Every group that closes, once.
    pub(super) fn emit_closed(&mut self, due: &[u32], out: &mut Output) -> Result<()> {
        let standing: Vec<u32> = due.iter().copied().filter(|g| self.stands(*g)).collect();
        for groups in standing.chunks(CHUNK) {
            let mut columns = self.table.keys(groups)?;
            columns.extend(self.calls.evaluate(groups)?);
            out.push(DeltaBatch::insert(batch(&self.output, columns, groups.len())?));
        }
        Ok(())
    }

    /// −old +new for every group that changed in the epoch; groups without rows are forgotten.
    pub(super) fn emit_changes(&mut self, out: &mut Output) -> Result<()> {
        let old = std::mem::take(&mut self.old);
        let fresh = std::mem::take(&mut self.fresh);
        let groups: Vec<u32> = old.iter().flat_map(|o| o.groups.iter().copied()).collect();
        if !groups.is_empty() {
            let pieces: Vec<Vec<ArrayRef>> = old.into_iter().map(|o| o.columns).collect();
            let columns = concat_all(&pieces)?;
            for start in (0..groups.len()).step_by(CHUNK) {
                let len = CHUNK.min(groups.len() - start);
                let old: Vec<ArrayRef> = columns.iter().map(|c| c.slice(start, len)).collect();
                self.emit_updates(&groups[start..start + len], &old, out)?;
            }
        }
        let born: Vec<u32> = fresh.iter().copied().filter(|g| self.stands(*g)).collect();
        for groups in born.chunks(CHUNK) {
            let mut columns = self.table.keys(groups)?;
            columns.extend(self.calls.evaluate(groups)?);
            let weights = Int64Array::from(vec![1; groups.len()]);
            out.push(DeltaBatch::new(batch(&self.output, columns, groups.len())?, Some(weights)));
        }
        for group in groups.iter().chain(&fresh) {
            self.flags[*group as usize] &= !TOUCHED;
        }
        // Groups that an index of times refers to stay until their time.
        if let (Some(rows), None, false) = (&self.rows, &self.closing, self.initial_row) {
            let dead: Vec<u32> = groups.into_iter().chain(fresh).filter(|g| rows[*g as usize] == 0).collect();
            self.forget(&dead)?;
        }
        Ok(())
    }

    fn emit_updates(&self, groups: &[u32], old: &[ArrayRef], out: &mut Output) -> Result<()> {
        let new = self.calls.evaluate(groups)?;
        let stands: BooleanArray = groups.iter().map(|g| Some(self.stands(*g))).collect();
        let changed = or(&differing(old, &new, groups.len())?, &arrow::compute::not(&stands)?)?;
        let retracted = changed.true_count();
        if retracted == 0 {
            return Ok(());
        }
        let retracted_rows: Vec<u32> = changed.values().set_indices().map(|i| i as u32).collect();
        let standing_rows: Vec<u32> = retracted_rows.iter().copied().filter(|i| stands.value(*i as usize)).collect();
        let both: UInt32Array = retracted_rows.iter().chain(&standing_rows).copied().collect();
        let standing = UInt32Array::from(standing_rows);
        let mut columns = Vec::with_capacity(self.output.fields().len());
        for key in self.table.keys(groups)? {
            columns.push(take(&key, &both, None)?);
        }
        for (old, new) in old.iter().zip(&new) {
            let minus = filter(old, &changed)?;
            let plus = take(new, &standing, None)?;
            columns.push(concat(&[minus.as_ref(), plus.as_ref()])?);
        }
        let rows = both.len();
        let weights = Int64Array::from_iter_values((0..rows).map(|i| if i < retracted { -1 } else { 1 }));
        out.push(DeltaBatch::new(batch(&self.output, columns, rows)?, Some(weights)));
        Ok(())
    }
}

/// The rows in which any column differs; null is equal to null.
pub(crate) fn differing(old: &[ArrayRef], new: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
    let mut differs = BooleanArray::from(vec![false; rows]);
    for (old, new) in old.iter().zip(new) {
        let column = if old.data_type().is_nested() {
            (0..rows).map(|i| Some(old.slice(i, 1).as_ref() != new.slice(i, 1).as_ref())).collect()
        } else {
            distinct(old, new)?
        };
        differs = or(&differs, &column)?;
    }
    Ok(differs)
}

/// A batch of `schema`; the columns may be none.
pub(super) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
