//! `Ranked`: the first rows of each partition, several of them, with ranks or under retractions. An input that never
//! retracts keeps only the rows that can still be shown. It must not know the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::compute::{SortOptions, max, sort_to_indices, take};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};

use super::Spec;
use super::window::{Change, Windows};
use crate::operator::{Operator, Output, StateTable};
use crate::store::{
    Chain, Groups, KeyEncoder, Lane, NONE, PENDING, Picked, RowStore, SAVED, SavedRows, SortKey, distinct_rows, micros,
};

/// A partition: its rows in order.
#[derive(Clone, Debug)]
struct Part<K> {
    rows: Vec<(K, u32)>,
    touched: bool,
    /// When the partition closes; `None` until it has a row.
    time: Option<i64>,
}

impl<K> Default for Part<K> {
    fn default() -> Self {
        Self { rows: Vec::new(), touched: false, time: None }
    }
}

/// Several rows per partition.
#[derive(Debug)]
pub(super) struct Ranked<K> {
    spec: Spec,
    encoder: KeyEncoder,
    groups: Groups,
    parts: Lane<Part<K>>,
    /// The input's columns and the row's number of arrival.
    store: RowStore,
    /// Finds the row that a retraction means.
    rows: Option<Chain>,
    arrived: i64,
    /// Changes of the epoch that is open, when the input retracts: applied net.
    held: Vec<DeltaBatch>,
    /// Partitions of the epoch, with what was shown of them before it.
    touched: Vec<(u32, Vec<(K, u32)>)>,
    dead: Vec<u32>,
    closing: BTreeMap<i64, Vec<u32>>,
    saved: SavedRows,
}

impl<K: SortKey> Ranked<K> {
    pub(super) fn new(spec: Spec) -> Result<Self> {
        let mut fields: Vec<_> = spec.schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("arrival", DataType::Int64, false)));
        let columns: SchemaRef = Arc::new(Schema::new(fields));
        let width = spec.schema.fields().len();
        Ok(Self {
            encoder: KeyEncoder::new(&spec.schema, &spec.order)?,
            groups: Groups::new(spec.partition.iter().map(|c| spec.schema.field(*c).data_type())),
            parts: Lane::default(),
            store: RowStore::new(&columns),
            rows: (!spec.append_only).then(|| Chain::new((0..width).collect())),
            arrived: 0,
            held: Vec::new(),
            touched: Vec::new(),
            dead: Vec::new(),
            closing: BTreeMap::new(),
            saved: SavedRows::new("ranked", &columns),
            spec,
        })
    }

    /// Rows that a partition keeps.
    fn keep(&self) -> usize {
        if self.spec.append_only { self.spec.offset.saturating_add(self.spec.limit) } else { usize::MAX }
    }

    fn window(spec: &Spec, rows: &[(K, u32)]) -> Vec<(K, u32)> {
        let from = spec.offset.min(rows.len());
        let to = spec.offset.saturating_add(spec.limit).min(rows.len());
        rows[from..to].to_vec()
    }

    fn partitions(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let keys: Vec<ArrayRef> = self.spec.partition.iter().map(|c| Arc::clone(&columns[*c])).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, rows, &mut hashes)?;
        let groups = self.groups.intern(&keys, &hashes)?;
        let times = self.spec.close.as_ref().map(|close| micros(&keys[close.key]));
        for (row, group) in groups.iter().enumerate() {
            let part = self.parts.entry(*group);
            if part.time.is_none() {
                let time = times.as_ref().map_or(i64::MAX, |t| t[row]);
                part.time = Some(time);
                if times.is_some() {
                    self.closing.entry(time).or_default().push(*group);
                }
            }
        }
        Ok(groups)
    }

    fn order(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<K>> {
        let order: Vec<ArrayRef> = self.encoder.columns().iter().map(|c| Arc::clone(&columns[*c])).collect();
        K::encode(&self.encoder, &order, rows)
    }

    /// Remembers what was shown of a partition before its first change in the epoch.
    fn touch(&mut self, group: u32) {
        let part = self.parts.get_mut(group);
        if !part.touched {
            part.touched = true;
            self.touched.push((group, Self::window(&self.spec, &part.rows)));
        }
    }

    /// Stores rows of a batch, numbering their arrival.
    fn append(&mut self, columns: &[ArrayRef], total: usize, rows: &[u32]) -> Result<Vec<u32>> {
        let mut columns = columns.to_vec();
        let numbers = self.arrived..self.arrived + total as i64;
        self.arrived = numbers.end;
        columns.push(Arc::new(Int64Array::from_iter_values(numbers)));
        let mut ids = Vec::with_capacity(rows.len());
        self.store.append(&columns, Picked::Rows(rows), &mut ids)?;
        Ok(ids)
    }

    /// Takes rows of an input that never retracts.
    fn take_best(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let keep = self.keep();
        let groups = self.partitions(columns, rows)?;
        let order = self.order(columns, rows)?;
        let mut changed = Vec::new();
        for (row, (group, key)) in groups.iter().zip(order).enumerate() {
            let part = self.parts.get_mut(*group);
            let full = part.rows.len() >= keep;
            if full && part.rows.last().is_none_or(|(worst, _)| key >= *worst) {
                continue;
            }
            self.touch(*group);
            let part = self.parts.get_mut(*group);
            let at = part.rows.partition_point(|(k, _)| *k <= key);
            part.rows.insert(at, (key, PENDING | row as u32));
            if full && let Some((_, worst)) = part.rows.pop() {
                // A pending row that falls out was never stored.
                if worst & PENDING == 0 {
                    self.store.kill(worst);
                    self.dead.push(worst);
                }
            }
            changed.push(*group);
        }
        changed.sort_unstable();
        changed.dedup();
        let mut stored = vec![NONE; rows];
        for group in &changed {
            let pending = self.parts.get(*group).rows.iter().filter(|(_, id)| id & PENDING != 0);
            pending.for_each(|(_, id)| stored[(id & !PENDING) as usize] = 0);
        }
        let picked: Vec<u32> = (0..rows as u32).filter(|row| stored[*row as usize] == 0).collect();
        let ids = self.append(columns, rows, &picked)?;
        picked.iter().zip(ids).for_each(|(row, id)| stored[*row as usize] = id);
        for group in &changed {
            let pending = self.parts.get_mut(*group).rows.iter_mut().filter(|(_, id)| *id & PENDING != 0);
            pending.for_each(|(_, id)| *id = stored[(*id & !PENDING) as usize]);
        }
        Ok(())
    }

    /// Applies the net change of an epoch of an input that retracts. Returns the partitions it names.
    fn apply(&mut self, delta: &DeltaBatch) -> Result<Vec<u32>> {
        let columns = delta.rows.columns();
        let n = delta.num_rows();
        let mut hashes = Vec::new();
        hash_columns(columns, n, &mut hashes)?;
        let (rows, weights) = distinct_rows(columns, &hashes, |row| delta.weight(row))?;
        let groups = self.partitions(columns, n)?;
        let order = self.order(columns, n)?;
        let mut gone: Vec<(u32, i64)> =
            rows.iter().zip(&weights).filter(|(_, w)| **w < 0).map(|(row, w)| (*row, -w)).collect();
        while !gone.is_empty() {
            let wanted: Vec<u32> = gone.iter().map(|(row, _)| *row).collect();
            let Some(chain) = &mut self.rows else { break };
            let found = chain.find(&self.store, columns, &hashes, &wanted)?;
            for (row, id) in wanted.iter().zip(&found).filter(|(_, id)| **id != NONE) {
                self.remove(groups[*row as usize], &order[*row as usize], *id);
            }
            // What is not found belongs to a partition that was closed.
            let mut found = found.into_iter();
            gone.retain_mut(|(_, copies)| {
                *copies -= 1;
                found.next().is_some_and(|id| id != NONE) && *copies > 0
            });
        }
        let copies = rows.iter().zip(&weights).flat_map(|(row, n)| std::iter::repeat_n(*row, (*n).max(0) as usize));
        let copies: Vec<u32> = copies.collect();
        let ids = self.append(columns, n, &copies)?;
        if let Some(chain) = &mut self.rows {
            chain.link(&ids, copies.iter().map(|row| hashes[*row as usize]));
        }
        for (row, id) in copies.iter().zip(ids) {
            let group = groups[*row as usize];
            self.touch(group);
            let (part, key) = (self.parts.get_mut(group), &order[*row as usize]);
            let at = part.rows.partition_point(|(k, _)| k <= key);
            part.rows.insert(at, (key.clone(), id));
        }
        Ok(groups)
    }

    /// The place of a row in its partition.
    fn place(part: &Part<K>, key: &K, id: u32) -> Option<usize> {
        let from = part.rows.partition_point(|(k, _)| k < key);
        let same = part.rows[from..].iter().take_while(|(k, _)| k == key);
        same.enumerate().find(|(_, (_, other))| *other == id).map(|(i, _)| from + i)
    }

    fn remove(&mut self, group: u32, key: &K, id: u32) {
        self.touch(group);
        let part = self.parts.get_mut(group);
        if let Some(at) = Self::place(part, key, id) {
            part.rows.remove(at);
        }
        self.store.kill(id);
        self.dead.push(id);
    }

    /// Emits what changed in the partitions that were touched.
    fn emit(&mut self, out: &mut Output) -> Result<()> {
        let mut change = Change::default();
        for (group, old) in std::mem::take(&mut self.touched) {
            let part = self.parts.get_mut(group);
            part.touched = false;
            let from = self.spec.offset.min(part.rows.len());
            let to = self.spec.offset.saturating_add(self.spec.limit).min(part.rows.len());
            let windows = Windows { before: &old, after: &part.rows[from..to], offset: self.spec.offset };
            if self.spec.rank { windows.ranked(&mut change) } else { windows.plain(&mut change) }
        }
        change.emit(&self.store, &self.spec, out)
    }

    fn close(&mut self, header: &EpochHeader) -> Result<()> {
        let Some((_, floor)) = self.spec.floor(header) else { return Ok(()) };
        let mut closed = Vec::new();
        while let Some(entry) = self.closing.first_entry().filter(|entry| *entry.key() < floor) {
            let (time, groups) = entry.remove_entry();
            for group in groups {
                // A number may have come to mean another partition meanwhile.
                if self.parts.get(group).time == Some(time) {
                    let part = std::mem::take(self.parts.get_mut(group));
                    part.rows.iter().for_each(|(_, id)| self.store.kill(*id));
                    self.dead.extend(part.rows.iter().map(|(_, id)| *id));
                    closed.push(group);
                }
            }
        }
        self.groups.remove(&closed)
    }

    /// Moves the standing rows of a segment to the head and drops it.
    fn rewrite(&mut self, segment: usize) -> Result<()> {
        let old = self.store.live_ids(segment);
        let columns = self.store.gather_all(&old)?;
        let saved: Vec<bool> = old.iter().map(|id| self.store.has(*id, SAVED)).collect();
        if let Some(chain) = &mut self.rows {
            chain.unlink(&self.store, segment)?;
        }
        self.store.drop_segment(segment);
        let mut ids = Vec::with_capacity(old.len());
        self.store.append(&columns, Picked::Range(0, old.len()), &mut ids)?;
        ids.iter().zip(saved).for_each(|(id, saved)| self.store.mark(*id, SAVED, saved));
        if let Some(chain) = &mut self.rows {
            chain.link_stored(&self.store, &ids)?;
        }
        let groups = self.partitions(&columns, old.len())?;
        let order = self.order(&columns, old.len())?;
        // Numbers overlap when the head takes the dropped segment's place: find all places first.
        let place = |(i, group): (usize, &u32)| Self::place(self.parts.get(*group), &order[i], old[i]);
        let places: Vec<Option<usize>> = groups.iter().enumerate().map(place).collect();
        for ((group, place), id) in groups.iter().zip(places).zip(ids) {
            let place = place.ok_or_else(|| Error::Internal("a stored row is in no partition".into()))?;
            self.parts.get_mut(*group).rows[place].1 = id;
        }
        Ok(())
    }
}

impl<K: SortKey> Operator for Ranked<K> {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        if !self.spec.append_only {
            self.held.push(delta);
            return Ok(());
        }
        if delta.weight_slice().is_some_and(|w| w.iter().any(|w| *w != 1)) {
            return Err(Error::Internal("weights on a Top-N input that is planned as append-only".into()));
        }
        self.take_best(delta.rows.columns(), delta.num_rows())
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let mut named = Vec::new();
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            named = self.apply(&DeltaBatch::concat(&self.spec.schema, &held)?)?;
        }
        self.emit(out)?;
        named.sort_unstable();
        named.dedup();
        named.retain(|group| self.parts.get(*group).rows.is_empty());
        named.iter().for_each(|group| *self.parts.get_mut(*group) = Part::default());
        self.groups.remove(&named)?;
        self.close(header)?;
        let dead = std::mem::take(&mut self.dead);
        self.saved.died(&self.store, &dead)?;
        for segment in self.store.wasteful() {
            self.rewrite(segment)?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.saved.snapshot(&mut self.store)
    }

    fn save_all(&mut self) {
        self.saved.forget(&mut self.store);
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let columns = self.saved.restore(deltas, &self.spec.placement, keep)?;
        let Some(arrival) = columns.last() else { return Ok(()) };
        let indices: UInt32Array = sort_to_indices(arrival, Some(SortOptions::default()), None)?;
        let columns: Vec<ArrayRef> = columns.iter().map(|c| take(c, &indices, None)).collect::<Result<_, _>>()?;
        let rows = indices.len();
        let last = columns.last().and_then(|arrival| max(arrival.as_primitive::<Int64Type>()));
        self.arrived = last.map_or(0, |last| last + 1);
        let mut ids = Vec::with_capacity(rows);
        self.store.append(&columns, Picked::Range(0, rows), &mut ids)?;
        if let Some(chain) = &mut self.rows {
            chain.link_stored(&self.store, &ids)?;
        }
        let groups = self.partitions(&columns, rows)?;
        let order = self.order(&columns, rows)?;
        for ((id, group), key) in ids.into_iter().zip(groups).zip(order) {
            self.store.mark(id, SAVED, true);
            let part = self.parts.get_mut(group);
            let at = part.rows.partition_point(|(k, _)| *k <= key);
            part.rows.insert(at, (key, id));
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let entries = self.store.len() * (size_of::<(K, u32)>() * 4 / 3);
        let held: usize = self.held.iter().map(|d| d.rows.get_array_memory_size()).sum();
        let rows = self.rows.as_ref().map_or(0, Chain::bytes);
        self.store.bytes() + self.groups.bytes() + self.parts.bytes() + rows + entries + held + self.saved.bytes()
    }
}
