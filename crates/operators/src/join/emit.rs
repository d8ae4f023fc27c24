//! How a join's results are made: pairs gathered from both sides, single rows padded with nulls. It must not know how
//! pairs are found or when rows die.

use std::cell::RefCell;
use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{filter, take, take_record_batch};
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Result};
use thalweg_plan::JoinKind;

use super::Join;
use crate::operator::Output;
use crate::store::Pairs;

/// Rows of an output batch that is made when the epoch ends.
const OUT_ROWS: usize = 8192;

/// Columns of pairs that were gathered already, by their number over left, then right.
pub(super) type Gathered = HashMap<usize, ArrayRef>;

/// Weights as a batch carries them: none when all are +1.
fn weights_of(weights: Vec<i64>) -> Option<Int64Array> {
    weights.iter().any(|w| *w != 1).then(|| Int64Array::from(weights))
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)?)
}

impl Join {
    fn left_width(&self) -> usize {
        self.sides[0].schema.fields().len()
    }

    /// Column `column` (over left, then right) of pairs; `rows` of `probe` on `port`, stored rows of the other side.
    fn pair_column(
        &self,
        port: usize,
        probe: &RecordBatch,
        rows: &UInt32Array,
        ids: &[u32],
        column: usize,
    ) -> Result<ArrayRef> {
        let width = self.left_width();
        let (side, column) = if column < width { (0, column) } else { (1, column - width) };
        if side == port {
            Ok(take(probe.column(column), rows, None)?)
        } else {
            self.sides[side].store.gather(column, ids)
        }
    }

    /// Keeps the pairs that pass the further condition; returns the columns that were gathered for it.
    pub(super) fn pass_residual(&self, port: usize, probe: &DeltaBatch, pairs: &mut Pairs) -> Result<Gathered> {
        let Some(residual) = &self.residual else { return Ok(Gathered::new()) };
        let rows = UInt32Array::from(pairs.rows.clone());
        let gathered = RefCell::new(Gathered::new());
        let mask = residual.passes(pairs.len(), |column| {
            let values = self.pair_column(port, &probe.rows, &rows, &pairs.ids, column)?;
            gathered.borrow_mut().insert(column, ArrayRef::clone(&values));
            Ok(values)
        })?;
        let mut gathered = gathered.into_inner();
        if mask.true_count() < pairs.len() {
            let keep: Vec<bool> = (0..mask.len()).map(|i| mask.is_valid(i) && mask.value(i)).collect();
            pairs.retain(&keep);
            for values in gathered.values_mut() {
                *values = filter(values, &mask)?;
            }
        }
        Ok(gathered)
    }

    /// Emits pairs.
    pub(super) fn emit_pairs(
        &self,
        port: usize,
        probe: &DeltaBatch,
        pairs: &Pairs,
        gathered: Gathered,
        out: &mut Output,
    ) -> Result<()> {
        let other = &self.sides[1 - port];
        let weights = if other.weighted.is_none() && probe.weights.is_none() {
            None
        } else {
            let pairs = pairs.rows.iter().zip(&pairs.ids);
            Some(pairs.map(|(row, id)| probe.weight(*row as usize) * other.weight(*id)).collect::<Vec<i64>>())
        };
        let n = probe.num_rows();
        let all = pairs.len() == n && pairs.rows.iter().enumerate().all(|(i, row)| i == *row as usize);
        let rows = UInt32Array::from(pairs.rows.clone());
        let width = self.left_width();
        let mut columns = Vec::with_capacity(self.output.fields().len());
        for column in 0..width + self.sides[1].schema.fields().len() {
            let own = (column < width) == (port == 0);
            columns.push(match gathered.get(&column) {
                Some(values) => ArrayRef::clone(values),
                None if own && all => ArrayRef::clone(probe.column(if port == 0 { column } else { column - width })),
                None => self.pair_column(port, &probe.rows, &rows, &pairs.ids, column)?,
            });
        }
        let rows = batch(&self.output, columns, pairs.len())?;
        let delta = match weights {
            // A stored row whose weight came back to 0 in this epoch makes no pair.
            Some(weights) if weights.contains(&0) => {
                let standing = (0..weights.len() as u32).filter(|i| weights[*i as usize] != 0);
                let standing = UInt32Array::from_iter_values(standing);
                DeltaBatch::new(rows, Some(Int64Array::from(weights))).take(&standing)?
            }
            Some(weights) => DeltaBatch::new(rows, weights_of(weights)),
            None => DeltaBatch::insert(rows),
        };
        out.push(delta);
        Ok(())
    }

    /// Columns of one side as output rows: alone (semi, anti) or padded with nulls.
    fn padded(&self, port: usize, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let alone =
            matches!(self.kind, JoinKind::LeftSemi | JoinKind::LeftAnti | JoinKind::RightSemi | JoinKind::RightAnti);
        if alone {
            return batch(&self.output, columns, rows);
        }
        let other = self.sides[1 - port].schema.fields().iter();
        let nulls = other.map(|field| new_null_array(field.data_type(), rows));
        let columns =
            if port == 0 { columns.into_iter().chain(nulls).collect() } else { nulls.chain(columns).collect() };
        batch(&self.output, columns, rows)
    }

    /// Emits rows of a batch by themselves.
    pub(super) fn emit_rows(
        &self,
        port: usize,
        from: &RecordBatch,
        rows: Vec<u32>,
        weights: Vec<i64>,
        out: &mut Output,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let taken = take_record_batch(from, &UInt32Array::from(rows))?;
        let n = taken.num_rows();
        let rows = self.padded(port, taken.columns().to_vec(), n)?;
        out.push(DeltaBatch::new(rows, weights_of(weights)));
        Ok(())
    }

    /// Emits what changed in the rows shown by themselves on a counted side, and lets settled rows go.
    pub(super) fn show_touched(&mut self, port: usize, out: &mut Output) -> Result<()> {
        let side = &mut self.sides[port];
        let Some(counted) = &mut side.counted else { return Ok(()) };
        let touched = std::mem::take(&mut counted.touched);
        let mut dead = std::mem::take(&mut counted.settled);
        let (mut ids, mut weights) = (Vec::new(), Vec::new());
        for id in touched {
            let weight = side.weighted.as_ref().map_or(1, |w| *w.weight.get(id));
            let shown = counted.shown.weight(weight, *counted.count.get(id));
            let change = shown - std::mem::replace(counted.emitted.get_mut(id), shown);
            if change != 0 {
                ids.push(id);
                weights.push(change);
            }
            if weight == 0 {
                dead.push(id);
            }
        }
        for (ids, weights) in ids.chunks(OUT_ROWS).zip(weights.chunks(OUT_ROWS)) {
            let columns = self.sides[port].store.gather_all(ids)?;
            let rows = self.padded(port, columns, ids.len())?;
            out.push(DeltaBatch::new(rows, weights_of(weights.to_vec())));
        }
        dead.sort_unstable();
        dead.dedup();
        self.sides[port].kill(&dead)
    }
}
