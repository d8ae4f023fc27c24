//! `Collect`: the final rows of a query, emitted once when every source has ended. Changes are kept as they came;
//! retractions are set off against insertions now and then, and at the end. It must not know where rows go.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{
    SortColumn, SortOptions, concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, EpochHeader, Result, hash_columns};
use thalweg_plan::OrderKey;

use crate::operator::{Operator, Output, StateTable, kept_rows};
use crate::store::{Chain, Lane, NONE, Picked, RowStore, distinct_rows};

/// Rows of an output batch, and of a batch that small ones are joined into.
const OUT_ROWS: usize = 8192;
/// Changes that pile up before retractions are set off against insertions.
const SETTLE_ROWS: usize = 1 << 20;

/// The rows that stand at the end. The rows of one worker stay apart from those of others: for a total order, or when
/// equal rows may come to different workers, bring everything to one.
#[derive(Debug)]
pub struct Collect {
    schema: SchemaRef,
    order: Vec<OrderKey>,
    /// Changes in the order in which they came.
    log: Vec<DeltaBatch>,
    /// Small batches that will be one.
    small: Vec<DeltaBatch>,
    small_rows: usize,
    rows: usize,
    retracts: bool,
    settle_at: usize,
    /// Changes since the last snapshot; `None` until the first.
    unsaved: Option<Vec<DeltaBatch>>,
}

impl Collect {
    /// Rows of `schema`, sorted by `order` (empty: as they came).
    pub fn new(schema: SchemaRef, order: Vec<OrderKey>) -> Self {
        Self {
            schema,
            order,
            log: Vec::new(),
            small: Vec::new(),
            small_rows: 0,
            rows: 0,
            retracts: false,
            settle_at: SETTLE_ROWS,
            unsaved: None,
        }
    }

    pub(crate) fn push(&mut self, delta: DeltaBatch) -> Result<()> {
        let delta = tightened(delta)?;
        self.rows += delta.num_rows();
        self.retracts |= delta.weight_slice().is_some_and(|w| w.iter().any(|w| *w < 0));
        if delta.num_rows() >= OUT_ROWS / 2 {
            self.flush_small()?;
            self.log.push(delta);
        } else {
            self.small_rows += delta.num_rows();
            self.small.push(delta);
            if self.small_rows >= OUT_ROWS {
                self.flush_small()?;
            }
        }
        if self.rows >= self.settle_at && self.retracts {
            self.settle()?;
            self.settle_at = self.rows * 2 + SETTLE_ROWS;
        }
        Ok(())
    }

    fn flush_small(&mut self) -> Result<()> {
        if !self.small.is_empty() {
            self.small_rows = 0;
            let small = std::mem::take(&mut self.small);
            self.log.push(tightened(DeltaBatch::concat(&self.schema, &small)?)?);
        }
        Ok(())
    }

    /// Sets retractions off against insertions. Only rows that are retracted are indexed.
    fn settle(&mut self) -> Result<()> {
        self.flush_small()?;
        if !self.retracts {
            return Ok(());
        }
        let mut retracted = Vec::new();
        for delta in &self.log {
            if let Some(weights) = delta.weight_slice().filter(|w| w.iter().any(|w| *w < 0)) {
                retracted.push(delta.filter(&weights.iter().map(|w| Some(*w < 0)).collect())?);
            }
        }
        let retracted = DeltaBatch::concat(&self.schema, &retracted)?;
        let columns = retracted.rows.columns();
        let mut hashes = Vec::new();
        hash_columns(columns, retracted.num_rows(), &mut hashes)?;
        let (rows, weights) = distinct_rows(columns, &hashes, |row| retracted.weight(row))?;
        let mut store = RowStore::new(&self.schema);
        let mut chain = Chain::new((0..self.schema.fields().len()).collect());
        let mut ids = Vec::with_capacity(rows.len());
        store.append(columns, Picked::Rows(&rows), &mut ids)?;
        chain.link(&ids, rows.iter().map(|row| hashes[*row as usize]));
        let mut owed: Lane<i64> = Lane::default();
        ids.iter().zip(weights).for_each(|(id, weight)| owed.put(*id, -weight));
        let mut standing = Vec::with_capacity(self.log.len());
        for delta in std::mem::take(&mut self.log) {
            standing.extend(paid(&delta, &store, &mut chain, &mut owed)?);
        }
        // What is owed still was retracted before it came.
        let early: Vec<u32> = ids.into_iter().filter(|id| *owed.get(*id) > 0).collect();
        self.retracts = !early.is_empty();
        if self.retracts {
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), store.gather_all(&early)?)?;
            let weights: Vec<i64> = early.iter().map(|id| -owed.get(*id)).collect();
            standing.push(DeltaBatch::new(rows, Some(Int64Array::from(weights))));
        }
        self.rows = standing.iter().map(DeltaBatch::num_rows).sum();
        self.log = standing;
        Ok(())
    }

    pub(crate) fn finish(&mut self, out: &mut Output) -> Result<()> {
        self.settle()?;
        let mut batches = Vec::with_capacity(self.log.len());
        for delta in std::mem::take(&mut self.log) {
            batches.push(match delta.weight_slice() {
                None => delta.rows,
                Some(weights) => {
                    let copies = weights.iter().enumerate();
                    let copies = copies.flat_map(|(row, n)| std::iter::repeat_n(row as u32, (*n).max(0) as usize));
                    take_record_batch(&delta.rows, &UInt32Array::from_iter_values(copies))?
                }
            });
        }
        self.rows = 0;
        if !self.order.is_empty() {
            let all = concat_batches(&self.schema, &batches)?;
            batches = vec![take_record_batch(&all, &self.sorted(&all)?)?];
        }
        for rows in batches {
            let mut from = 0;
            while from < rows.num_rows() {
                let len = OUT_ROWS.min(rows.num_rows() - from);
                out.push(DeltaBatch::insert(rows.slice(from, len)));
                from += len;
            }
        }
        Ok(())
    }

    fn sorted(&self, rows: &RecordBatch) -> Result<UInt32Array> {
        let column = |key: &OrderKey| SortColumn {
            values: ArrayRef::clone(rows.column(key.column)),
            options: Some(SortOptions { descending: key.descending, nulls_first: key.nulls_first }),
        };
        let columns: Vec<SortColumn> = self.order.iter().map(column).collect();
        Ok(lexsort_to_indices(&columns, None)?)
    }

    fn layout(&self) -> SchemaRef {
        let mut fields: Vec<_> = self.schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("weight", DataType::Int64, false)));
        Arc::new(Schema::new(fields))
    }
}

/// What stands of a batch after what is owed was paid from its insertions; its retractions are in `owed`.
fn paid(delta: &DeltaBatch, store: &RowStore, chain: &mut Chain, owed: &mut Lane<i64>) -> Result<Option<DeltaBatch>> {
    let mut hashes = Vec::new();
    hash_columns(delta.rows.columns(), delta.num_rows(), &mut hashes)?;
    let rows: Vec<u32> = (0..delta.num_rows() as u32).filter(|row| delta.weight(*row as usize) > 0).collect();
    let found = chain.find(store, delta.rows.columns(), &hashes, &rows)?;
    let mut weights = vec![0i64; delta.num_rows()];
    for (row, id) in rows.iter().zip(found) {
        let mut weight = delta.weight(*row as usize);
        if id != NONE {
            let owed = owed.get_mut(id);
            let pay = weight.min(*owed);
            *owed -= pay;
            weight -= pay;
        }
        weights[*row as usize] = weight;
    }
    let all_one = weights.iter().all(|w| *w == 1);
    if all_one {
        return Ok(Some(DeltaBatch::insert(delta.rows.clone())));
    }
    let mask: BooleanArray = weights.iter().map(|w| Some(*w != 0)).collect();
    if mask.true_count() == 0 {
        return Ok(None);
    }
    let rows = filter_record_batch(&delta.rows, &mask)?;
    weights.retain(|w| *w != 0);
    let weights = weights.iter().any(|w| *w != 1).then(|| Int64Array::from(weights));
    Ok(Some(tightened(DeltaBatch::new(rows, weights))?))
}

/// Strings that hold on to far more than they use get buffers of their own.
fn tightened(delta: DeltaBatch) -> Result<DeltaBatch> {
    let tight = |column: &ArrayRef| -> ArrayRef {
        let Some(text) = column.as_string_view_opt() else { return ArrayRef::clone(column) };
        let held: usize = text.data_buffers().iter().map(|b| b.len()).sum();
        if held > 4096 && held > 4 * text.total_buffer_bytes_used() {
            Arc::new(text.gc())
        } else {
            ArrayRef::clone(column)
        }
    };
    let columns: Vec<ArrayRef> = delta.rows.columns().iter().map(tight).collect();
    let rows = RecordBatch::try_new(delta.rows.schema(), columns)?;
    Ok(delta.with_rows(rows))
}

impl Operator for Collect {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.push(delta.clone());
        }
        self.push(delta)
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        if header.sources.iter().all(|source| source.ended) {
            self.finish(out)?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.flush_small()?;
        let layout = self.layout();
        let changes = self.unsaved.replace(Vec::new()).unwrap_or_else(|| self.log.clone());
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let all = DeltaBatch::concat(&self.schema, &changes)?;
        let mut columns = all.rows.columns().to_vec();
        columns.push(Arc::new(all.weights_array()));
        let upserts = RecordBatch::try_new(layout, columns)?;
        Ok(vec![StateTable { name: "rows".into(), upserts, deletes: None }])
    }

    fn save_all(&mut self) {
        self.unsaved = None;
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let width = self.schema.fields().len();
        for table in deltas.iter().flatten() {
            // Sorted rows are all in one place, like those without a key.
            let placement = if self.order.is_empty() { &table.upserts.columns()[..width] } else { &[] };
            let mut hashes = Vec::new();
            hash_columns(placement, table.upserts.num_rows(), &mut hashes)?;
            let kept = filter_record_batch(&table.upserts, &kept_rows(&hashes, keep))?;
            let weights = kept.column(width).as_primitive::<Int64Type>().clone();
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), kept.columns()[..width].to_vec())?;
            let weights = weights.values().iter().any(|w| *w != 1).then_some(weights);
            self.push(DeltaBatch::new(rows, weights))?;
        }
        self.unsaved = Some(Vec::new());
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.log.iter().chain(&self.small).map(|d| d.rows.get_array_memory_size()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Check, PortSpec, Rng, Standing, history, rows, schema};

    #[test]
    fn the_rows_that_stand_come_once_at_the_end() {
        for seed in 0..60 {
            let rng = &mut Rng(seed);
            let spec = schema(&[("k", 'i'), ("s", 't')]);
            let mut ports = [PortSpec {
                schema: Arc::clone(&spec),
                retracts: seed % 3 != 0,
                row: Box::new(|rng, _| Some(vec![rng.maybe_int(3), rng.text(4)])),
            }];
            let steps = history(rng, &mut ports, 10, 30);
            Check {
                make: &|| {
                    let mut collect = Collect::new(Arc::clone(&spec), Vec::new());
                    collect.settle_at = 40;
                    Box::new(collect)
                },
                keys: vec![vec![0, 1]],
                oracle: &|inputs, header| {
                    if header.sources[0].ended { inputs[0].clone() } else { Standing::new() }
                },
                every_epoch: true,
            }
            .run(rng, &steps);
        }
    }

    #[test]
    fn the_end_is_sorted_when_asked() {
        let rng = &mut Rng(7);
        let spec = schema(&[("k", 'i'), ("s", 't')]);
        let mut ports = [PortSpec {
            schema: Arc::clone(&spec),
            retracts: true,
            row: Box::new(|rng, _| Some(vec![rng.maybe_int(30), rng.text(4)])),
        }];
        let steps = history(rng, &mut ports, 6, 40);
        let mut collect =
            Collect::new(Arc::clone(&spec), vec![OrderKey { column: 0, descending: true, nulls_first: false }]);
        let mut out = Output::default();
        for step in steps {
            for (port, delta) in step.deltas {
                collect.on_delta(port, delta, &mut out).expect("takes");
            }
            collect.on_epoch(&step.header, &mut out).expect("completes");
        }
        let keys: Vec<_> = out.drain().flat_map(|d| rows(&d.rows)).map(|r| r[0].clone()).collect();
        let mut sorted = keys.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        assert!(!keys.is_empty());
        assert_eq!(keys, sorted, "null is the least cell, so descending puts it last");
    }
}
