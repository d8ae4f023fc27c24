//! `Changing`: sessions over rows that may be taken back, or with calls whose state cannot be merged: the rows of every
//! key are kept, and the sessions of a key computed anew when it has changed. It must not know value tables' inside.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::row::{OwnedRow, RowConverter, SortField};
use thalweg_core::{DeltaBatch, EpochHeader, Result, Watermark, hash_columns};
use thalweg_plan::AggregateCall;

use super::timers::Timers;
use super::{Shape, micros};
use crate::KeyTable;
use crate::accumulators::{Calls, RowBag};
use crate::operator::{Output, StateTable, kept_rows};

pub(super) struct Changing {
    shape: Shape,
    table: KeyTable,
    /// Per key its rows: time, then the columns that the calls read.
    bag: RowBag,
    /// Where the time and the calls' columns are in the bag.
    schema: Arc<Schema>,
    calls: Vec<AggregateCall>,
    timers: Timers,
    passed: Watermark,
    /// By key: touched in this epoch.
    touched: Vec<bool>,
    touched_keys: Vec<u32>,
    /// Sessions of touched keys as they stood.
    old: Vec<RecordBatch>,
    /// By key: the key is there.
    live: Vec<bool>,
    /// By key: the earliest time at which a timer looks at it.
    scheduled: Vec<i64>,
}

/// The sessions of some keys.
struct Computed {
    rows: RecordBatch,
    /// Per session: key, end.
    ends: Vec<(u32, i64)>,
    /// Entries of the bag with the session each is in.
    members: Vec<(u32, u32)>,
}

impl Changing {
    pub(super) fn new(shape: Shape, types: &[DataType], input: &Schema, calls: Vec<AggregateCall>) -> Result<Self> {
        let mut columns = vec![shape.time];
        let read =
            calls.iter().flat_map(|c| c.args.iter().copied().chain(c.filter).chain(c.order_by.iter().map(|o| o.0)));
        for column in read {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let place = |column: usize| columns.iter().position(|c| *c == column).unwrap_or(0);
        let calls = calls
            .into_iter()
            .map(|mut call| {
                call.args.iter_mut().for_each(|a| *a = place(*a));
                call.filter = call.filter.map(place);
                call.order_by.iter_mut().for_each(|o| o.0 = place(o.0));
                call
            })
            .collect();
        let fields: Vec<Field> = columns.iter().map(|c| input.field(*c).clone().with_nullable(true)).collect();
        let bag_types: Vec<DataType> = fields.iter().map(|f| f.data_type().clone()).collect();
        let timers = Timers::new(shape.gap);
        Ok(Self {
            shape,
            table: KeyTable::new(types)?,
            bag: RowBag::new(columns, &bag_types)?,
            schema: Arc::new(Schema::new(fields)),
            calls,
            timers,
            passed: Watermark::START,
            touched: Vec::new(),
            touched_keys: Vec::new(),
            old: Vec::new(),
            live: Vec::new(),
            scheduled: Vec::new(),
        })
    }

    pub(super) fn on_delta(&mut self, delta: DeltaBatch) -> Result<()> {
        let mut delta = self.shape.timed(delta)?;
        if self.passed != Watermark::START {
            // What comes for a session that was closed would open it again.
            let times = micros(delta.column(self.shape.time))?;
            let end = |t: &i64| t.saturating_add(self.shape.gap);
            if times.values().iter().any(|t| end(t) < self.passed.0) {
                delta = delta.filter(&times.values().iter().map(|t| Some(end(t) >= self.passed.0)).collect())?;
            }
        }
        if delta.is_empty() {
            return Ok(());
        }
        let keys = self.shape.key_columns(&delta.rows);
        let (mut hashes, mut ids) = (Vec::new(), Vec::new());
        hash_columns(&keys, delta.num_rows(), &mut hashes)?;
        self.table.intern(&keys, &hashes, &mut ids)?;
        self.grow(&ids);
        let mut first = Vec::new();
        for key in &ids {
            if !std::mem::replace(&mut self.touched[*key as usize], true) {
                first.push(*key);
            }
        }
        if !self.shape.emit_on_close && !first.is_empty() {
            let sessions = self.sessions(&first)?;
            self.old.push(sessions.rows);
        }
        self.touched_keys.extend(first);
        self.bag.update(&ids, &delta.rows, delta.weight_slice())
    }

    fn grow(&mut self, ids: &[u32]) {
        if self.live.len() < self.table.capacity() {
            self.live.resize(self.table.capacity(), false);
            self.touched.resize(self.table.capacity(), false);
            self.scheduled.resize(self.table.capacity(), i64::MAX);
        }
        ids.iter().for_each(|key| self.live[*key as usize] = true);
    }

    fn schedule(&mut self, key: u32, end: i64) {
        if end < self.scheduled[key as usize] {
            self.scheduled[key as usize] = end;
            self.timers.enter(end, key);
        }
    }

    pub(super) fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        if let Some(bound) = &self.shape.bound {
            self.passed = self.passed.max(bound.eval(header));
        }
        self.bag.settle(&self.table)?;
        let touched = std::mem::take(&mut self.touched_keys);
        for key in &touched {
            self.touched[*key as usize] = false;
        }
        let standing = self.sessions(&touched)?;
        if !self.shape.emit_on_close {
            let old = std::mem::take(&mut self.old);
            self.emit_difference(&old, &standing.rows, out)?;
        }
        if self.shape.bound.is_some() {
            for (key, end) in standing.ends {
                self.schedule(key, end);
            }
            self.close_due(out)?;
        }
        self.forget(&touched)
    }

    /// The sessions of `keys` as their rows stand.
    fn sessions(&mut self, keys: &[u32]) -> Result<Computed> {
        let (entries, owners, counts) = self.bag.entries(keys);
        let columns = self.bag.columns(&entries)?;
        let times = micros(&columns[0])?;
        let mut order: Vec<u32> = (0..entries.len() as u32).collect();
        order.sort_unstable_by_key(|i| (owners[*i as usize], times.value(*i as usize)));
        let mut sessions: Vec<(u32, i64, i64)> = Vec::new();
        let (mut groups, mut members) = (Vec::with_capacity(order.len()), Vec::with_capacity(order.len()));
        for i in &order {
            let (key, time) = (owners[*i as usize], times.value(*i as usize));
            match sessions.last_mut() {
                Some((k, _, last)) if *k == key && time <= last.saturating_add(self.shape.gap) => *last = time,
                _ => sessions.push((key, time, time)),
            }
            let session = (sessions.len() - 1) as u32;
            groups.push(session);
            members.push((entries[*i as usize], session));
        }
        let order = UInt32Array::from(order);
        let mut sorted = Vec::with_capacity(columns.len());
        for column in &columns {
            sorted.push(take(column, &order, None)?);
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), sorted)?;
        let weights: Vec<i64> = order.values().iter().map(|i| counts[*i as usize]).collect();
        let mut calls = Calls::new(&self.schema, false, &self.calls)?;
        calls.grow(sessions.len());
        calls.update(&groups, &rows, Some(&weights))?;
        let numbers: Vec<u32> = (0..sessions.len() as u32).collect();
        let gap = self.shape.gap;
        let spans: Vec<(i64, i64)> =
            sessions.iter().map(|(_, start, last)| (*start, last.saturating_add(gap))).collect();
        let owners: Vec<u32> = sessions.iter().map(|s| s.0).collect();
        let rows = self.shape.batch(self.table.keys(&owners)?, &spans, calls.evaluate(&numbers)?)?;
        let ends = owners.into_iter().zip(spans).map(|(key, (_, end))| (key, end)).collect();
        Ok(Computed { rows, ends, members })
    }

    /// Emits what stands now and did not, and takes back what stood and does not.
    fn emit_difference(&self, old: &[RecordBatch], new: &RecordBatch, out: &mut Output) -> Result<()> {
        let fields = new.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let mut stood: HashMap<OwnedRow, (usize, u32)> = HashMap::new();
        for (piece, batch) in old.iter().enumerate() {
            for (row, key) in converter.convert_columns(batch.columns())?.iter().enumerate() {
                stood.insert(key.owned(), (piece, row as u32));
            }
        }
        let mut born = Vec::new();
        for (row, key) in converter.convert_columns(new.columns())?.iter().enumerate() {
            if stood.remove(&key.owned()).is_none() {
                born.push(row as u32);
            }
        }
        let mut gone: Vec<Vec<u32>> = vec![Vec::new(); old.len()];
        for (piece, row) in stood.into_values() {
            gone[piece].push(row);
        }
        for (batch, mut rows) in old.iter().zip(gone) {
            rows.sort_unstable();
            let weights = Int64Array::from(vec![-1; rows.len()]);
            let rows = arrow::compute::take_record_batch(batch, &UInt32Array::from(rows))?;
            out.push(DeltaBatch::new(rows, Some(weights)));
        }
        let weights = Int64Array::from(vec![1; born.len()]);
        out.push(DeltaBatch::new(arrow::compute::take_record_batch(new, &UInt32Array::from(born))?, Some(weights)));
        Ok(())
    }

    /// Forgets the rows of sessions that have closed, after emitting the sessions if nothing was emitted before.
    fn close_due(&mut self, out: &mut Output) -> Result<()> {
        if self.passed == Watermark::START {
            return Ok(());
        }
        let mut keys = self.timers.take(self.passed.0);
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| self.live[*key as usize]);
        keys.iter().for_each(|key| self.scheduled[*key as usize] = i64::MAX);
        if keys.is_empty() {
            return Ok(());
        }
        let computed = self.sessions(&keys)?;
        let passed = self.passed;
        let closed = |end: i64| end < passed.0 || passed == Watermark::END;
        let mut rows = Vec::new();
        for (session, (key, end)) in computed.ends.iter().enumerate() {
            if closed(*end) {
                rows.push(session as u32);
            } else {
                self.schedule(*key, *end);
            }
        }
        if self.shape.emit_on_close {
            out.push(DeltaBatch::insert(arrow::compute::take_record_batch(&computed.rows, &UInt32Array::from(rows))?));
        }
        for (entry, session) in computed.members {
            if closed(computed.ends[session as usize].1) {
                self.bag.empty(entry);
            }
        }
        self.bag.settle(&self.table)?;
        self.forget(&keys)
    }

    /// Forgets those of `keys` that have no rows.
    fn forget(&mut self, keys: &[u32]) -> Result<()> {
        let mut idle = Vec::new();
        for key in keys {
            if self.live[*key as usize] && self.bag.is_idle(*key) {
                self.live[*key as usize] = false;
                self.scheduled[*key as usize] = i64::MAX;
                idle.push(*key);
            }
        }
        self.table.remove(&idle)
    }

    pub(super) fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        Ok(self.bag.snapshot(&self.table)?.into_iter().collect())
    }

    pub(super) fn save_all(&mut self) {
        self.bag.save_all();
    }

    pub(super) fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let width = self.table.types().len();
        for table in deltas.iter().flatten() {
            let placed = self.shape.placement.iter().map(|c| Arc::clone(table.upserts.column(*c)));
            let (mut hashes, mut ids) = (Vec::new(), Vec::new());
            hash_columns(&placed.collect::<Vec<_>>(), table.upserts.num_rows(), &mut hashes)?;
            let kept = kept_rows(&hashes, keep);
            let keys = arrow::compute::filter_record_batch(&table.upserts, &kept)?.columns()[..width].to_vec();
            hash_columns(&keys, kept.true_count(), &mut hashes)?;
            self.table.intern(&keys, &hashes, &mut ids)?;
            self.grow(&ids);
            self.bag.restore(&self.table, table)?;
        }
        self.forget(&self.table.groups())?;
        let standing = self.sessions(&self.table.groups())?;
        if self.shape.bound.is_some() {
            for (key, end) in standing.ends {
                self.schedule(key, end);
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.bytes() + self.bag.bytes() + self.timers.bytes() + self.touched.capacity()
    }
}
