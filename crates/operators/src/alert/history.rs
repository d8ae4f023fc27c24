//! `AlertHistory`: what has happened to the instances of an alert: each change of state as a row of its own, the last so
//! many of them. It must not know who is told.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{cast, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};
use thalweg_plan::{ALERT_CLEARED, ALERT_FIRING, ALERT_PENDING, ALERT_RESOLVED};

use crate::operator::{Operator, Output, StateTable};
use crate::store::{SavedRows, consolidate, group_rows};

/// The changes of an [`super::Alert`]'s output as rows: its input's columns, what has happened, and when.
#[derive(Debug)]
pub struct AlertHistory {
    schema: SchemaRef,
    /// Columns of the alert's query.
    width: usize,
    key: Vec<usize>,
    /// Rows that are kept.
    keep: usize,
    /// What stands, oldest first: the rows, and each one's number of arrival behind them.
    kept: VecDeque<RecordBatch>,
    rows: usize,
    arrived: i64,
    layout: SchemaRef,
    saved: SavedRows,
    held: Vec<DeltaBatch>,
}

impl AlertHistory {
    /// `schema` is that of the alert's query and two columns for what has happened and when; `key` tells its rows apart.
    pub fn new(schema: SchemaRef, key: Vec<usize>, keep: usize) -> Self {
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("arrival", DataType::Int64, false)));
        let layout: SchemaRef = Arc::new(Schema::new(fields));
        Self {
            width: schema.fields().len() - 2,
            saved: SavedRows::new("alert_history", &layout),
            kept: VecDeque::new(),
            rows: 0,
            arrived: 0,
            held: Vec::new(),
            layout,
            schema,
            key,
            keep,
        }
    }

    /// Which rows of an epoch's net change tell of a transition, and what it is.
    fn transitions(&self, delta: &DeltaBatch) -> Result<(Vec<u32>, Vec<&'static str>)> {
        let keys: Vec<ArrayRef> = self.key.iter().map(|c| Arc::clone(delta.column(*c))).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, delta.num_rows(), &mut hashes)?;
        let (groups, firsts) = group_rows(&keys, &hashes)?;
        let states = delta.column(self.width).as_string_view_opt();
        let states = states.ok_or_else(|| Error::Internal("an alert's state is not a text".to_owned()))?;
        let (mut left, mut came): (Vec<Option<u32>>, Vec<Option<u32>>) =
            (vec![None; firsts.len()], vec![None; firsts.len()]);
        for (row, group) in (0u32..).zip(&groups) {
            let side = if delta.weight(row as usize) > 0 { &mut came } else { &mut left };
            side[*group as usize] = Some(row);
        }
        let fires = |row: u32| states.value(row as usize) == ALERT_FIRING;
        let (mut rows, mut what) = (Vec::new(), Vec::new());
        for (left, came) in left.into_iter().zip(came) {
            let told = match (left.map(|row| (row, fires(row))), came.map(|row| (row, fires(row)))) {
                (Some((_, before)), Some((_, after))) if before == after => None,
                (_, Some((row, true))) => Some((row, ALERT_FIRING)),
                (_, Some((row, false))) => Some((row, ALERT_PENDING)),
                (Some((row, true)), None) => Some((row, ALERT_RESOLVED)),
                (Some((row, false)), None) => Some((row, ALERT_CLEARED)),
                (None, None) => None,
            };
            if let Some((row, word)) = told {
                rows.push(row);
                what.push(word);
            }
        }
        Ok((rows, what))
    }

    /// Rows with what has happened to them, when, and their numbers of arrival.
    fn told(&mut self, delta: &DeltaBatch, rows: Vec<u32>, what: Vec<&str>, now: i64) -> Result<RecordBatch> {
        let count = rows.len();
        let taken = take_record_batch(&delta.rows, &UInt32Array::from(rows))?;
        let mut columns = taken.columns()[..self.width].to_vec();
        columns.push(Arc::new(StringViewArray::from_iter_values(what)));
        let at = TimestampMicrosecondArray::from(vec![now; count]).with_timezone("+00:00");
        columns.push(cast(&at, self.schema.field(self.width + 1).data_type())?);
        columns.push(Arc::new(Int64Array::from_iter_values(self.arrived..self.arrived + count as i64)));
        self.arrived += count as i64;
        Ok(RecordBatch::try_new(Arc::clone(&self.layout), columns)?)
    }

    fn keep(&mut self, rows: RecordBatch) {
        self.rows += rows.num_rows();
        self.kept.push_back(rows);
    }

    /// The oldest rows beyond those that are kept.
    fn forget(&mut self) -> Vec<RecordBatch> {
        let mut gone = Vec::new();
        while self.rows > self.keep {
            let Some(first) = self.kept.pop_front() else { break };
            let excess = (self.rows - self.keep).min(first.num_rows());
            if excess < first.num_rows() {
                self.kept.push_front(first.slice(excess, first.num_rows() - excess));
            }
            gone.push(first.slice(0, excess));
            self.rows -= excess;
        }
        gone
    }

    /// Without the numbers of arrival.
    fn shown(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), rows.columns()[..self.width + 2].to_vec())?)
    }
}

impl Operator for AlertHistory {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        self.held.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let input = held[0].rows.schema();
        let delta = consolidate(&DeltaBatch::concat(&input, &held)?)?;
        let (rows, what) = self.transitions(&delta)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut told = self.told(&delta, rows, what, header.wall_clock)?;
        // More at once than are kept: the first of them are never seen.
        if told.num_rows() > self.keep {
            told = told.slice(told.num_rows() - self.keep, self.keep);
        }
        let weights = Int64Array::from(vec![1; told.num_rows()]);
        let coming = DeltaBatch::new(self.shown(&told)?, Some(weights));
        self.saved.note(told.clone(), 1)?;
        self.keep(told);
        for gone in self.forget() {
            out.push(DeltaBatch::insert(self.shown(&gone)?).negated());
            self.saved.note(gone, -1)?;
        }
        out.push(coming);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.saved.take()
    }

    fn save_all(&mut self) {
        drop(self.saved.take());
        // What stands is of the layout that it is saved in.
        self.kept.iter().for_each(|rows| drop(self.saved.note(rows.clone(), 1)));
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        // It is kept in one place, in the order in which it happened.
        let columns = self.saved.restore(deltas, &[], keep)?;
        let rows = RecordBatch::try_new(Arc::clone(&self.layout), columns)?;
        let arrivals = rows.column(self.width + 2);
        let order = sort_to_indices(arrivals, None, None)?;
        let last = arrivals.as_primitive::<Int64Type>().values().iter().max().copied();
        self.arrived = last.map_or(0, |last| last + 1);
        if rows.num_rows() > 0 {
            self.keep(take_record_batch(&rows, &order)?);
        }
        Ok(())
    }

    fn standing(&self, out: &mut Output) -> Result<()> {
        for rows in &self.kept {
            out.push(DeltaBatch::insert(self.shown(rows)?));
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let batches = self.kept.iter().chain(self.held.iter().map(|d| &d.rows));
        batches.map(RecordBatch::get_array_memory_size).sum::<usize>() + self.saved.bytes()
    }
}
