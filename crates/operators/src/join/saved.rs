//! `SavedLog`: what changed in rows that a snapshot holds, and the layout of a side's snapshot: the row, the change
//! of its weight, its count of matches. It must not know how rows are stored.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{Error, Result, hash_columns};

use super::side::Side;
use crate::operator::{StateTable, kept_rows};
use crate::store::{CHANGED, Picked, SAVED, group_rows};

/// Changes since the last snapshot of rows that it holds.
#[derive(Debug, Default)]
pub(super) struct SavedLog {
    batches: Vec<RecordBatch>,
}

/// The side's columns, then the change of weight and the count.
fn layout(schema: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("weight", DataType::Int64, false)));
    fields.push(Arc::new(Field::new("count", DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

impl SavedLog {
    /// Notes changes.
    pub(super) fn push(
        &mut self,
        schema: &SchemaRef,
        mut columns: Vec<ArrayRef>,
        weights: Vec<i64>,
        counts: Vec<i64>,
    ) -> Result<()> {
        columns.push(Arc::new(Int64Array::from(weights)));
        columns.push(Arc::new(Int64Array::from(counts)));
        self.batches.push(RecordBatch::try_new(layout(schema), columns)?);
        Ok(())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(RecordBatch::get_array_memory_size).sum()
    }
}

impl Side {
    /// What changed since the last snapshot.
    pub(super) fn snapshot(&mut self) -> Result<Option<StateTable>> {
        let segments: Vec<usize> = self.store.segments().collect();
        for segment in segments {
            let changed = self.store.flagged(segment, SAVED | CHANGED);
            changed.iter().for_each(|id| self.store.mark(*id, CHANGED, false));
            self.log(&changed, |_, _| 0)?;
            let fresh = self.store.take_unsaved(segment);
            self.log(&fresh, Self::weight)?;
        }
        let batches = std::mem::take(&mut self.saved.batches);
        if batches.is_empty() {
            return Ok(None);
        }
        let upserts = concat_batches(&layout(&self.schema), &batches)?;
        Ok(Some(StateTable { name: self.name.into(), upserts, deletes: None }))
    }

    /// The next snapshot holds every row.
    pub(super) fn save_all(&mut self) {
        self.saved.batches.clear();
        self.store.mark_all(SAVED | CHANGED, false);
    }

    /// Rebuilds the side from the snapshots of its table.
    pub(super) fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let tables = deltas.iter().flatten().filter(|t| t.name == self.name);
        let mut kept = Vec::new();
        for table in tables {
            let columns: Vec<ArrayRef> = self.placement.iter().map(|c| Arc::clone(table.upserts.column(*c))).collect();
            let mut hashes = Vec::new();
            hash_columns(&columns, table.upserts.num_rows(), &mut hashes)?;
            kept.push(filter_record_batch(&table.upserts, &kept_rows(&hashes, keep))?);
        }
        let layout = layout(&self.schema);
        let rows = concat_batches(&layout, &kept).map_err(|e| Error::Internal(format!("join state: {e}")))?;
        let width = self.schema.fields().len();
        let columns = &rows.columns()[..width];
        let changes = rows.column(width).as_primitive::<Int64Type>();
        let last_counts = rows.column(width + 1).as_primitive::<Int64Type>();
        let (mut row_hashes, mut hashes) = (Vec::new(), Vec::new());
        hash_columns(columns, rows.num_rows(), &mut row_hashes)?;
        let (groups, firsts) = group_rows(columns, &row_hashes)?;
        let (mut weights, mut counts) = (vec![0i64; firsts.len()], vec![0i64; firsts.len()]);
        for (row, group) in groups.iter().enumerate() {
            weights[*group as usize] += changes.value(row);
            counts[*group as usize] = last_counts.value(row);
        }
        let keys: Vec<ArrayRef> = self.keys.iter().map(|k| Arc::clone(&columns[*k])).collect();
        hash_columns(&keys, rows.num_rows(), &mut hashes)?;
        let (mut picked, mut of_group) = (Vec::new(), Vec::new());
        for (group, (first, weight)) in firsts.iter().zip(&weights).enumerate() {
            let copies = if self.weighted.is_some() { i64::from(*weight != 0) } else { (*weight).max(0) };
            for _ in 0..copies {
                picked.push(*first);
                of_group.push(group);
            }
        }
        let ids = self.insert(columns, Picked::Rows(&picked), &hashes)?;
        for (id, group) in ids.iter().zip(&of_group) {
            let weight = if self.weighted.is_some() { weights[*group] } else { 1 };
            let shown = self.counted.as_ref().map_or(0, |c| c.shown.weight(weight, counts[*group]));
            self.put_beside(*id, weight, counts[*group], shown);
            self.store.mark(*id, SAVED, true);
        }
        if let Some(weighted) = &mut self.weighted {
            weighted.chain.link(&ids, picked.iter().map(|row| row_hashes[*row as usize]));
        }
        Ok(())
    }
}
