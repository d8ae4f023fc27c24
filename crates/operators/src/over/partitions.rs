//! `Partitions`: the rows of an OVER, ordered within each partition, and the difference that an epoch makes.
//! It must not know what a function computes.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, max, sort_to_indices, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};
use thalweg_plan::{Distribution, OrderKey, OverCall, Properties};

use super::Calls;
use crate::operator::{Operator, Output, StateTable};
use crate::store::{
    Chain, Groups, KeyEncoder, Lane, NONE, Picked, RowStore, SAVED, SavedRows, SortKey, consolidate, distinct_rows,
};

/// Rows of an output batch.
const OUT_ROWS: usize = 8192;

/// Rows of a partition, in order.
#[derive(Clone, Debug)]
struct Part<K> {
    rows: Vec<(K, u32)>,
    touched: bool,
}

impl<K> Default for Part<K> {
    fn default() -> Self {
        Self { rows: Vec::new(), touched: false }
    }
}

/// The partitions of a relation, each row with what the functions last said of it.
pub(super) struct Partitions<K> {
    input: SchemaRef,
    output: SchemaRef,
    append_only: bool,
    partition: Vec<usize>,
    placement: Vec<usize>,
    encoder: KeyEncoder,
    calls: Calls,
    groups: Groups,
    parts: Lane<Part<K>>,
    /// The input's columns and the row's number of arrival.
    store: RowStore,
    rows: Option<Chain>,
    /// What the functions said, and for which row; per row, where.
    results: RowStore,
    owner: Lane<u32>,
    result: Lane<u32>,
    arrived: i64,
    held: Vec<DeltaBatch>,
    saved: SavedRows,
    keys: PhantomData<K>,
}

impl<K: SortKey> Partitions<K> {
    pub(super) fn new(
        input: &Properties,
        partition: &[usize],
        order: &[OrderKey],
        calls: &[OverCall],
        output: SchemaRef,
    ) -> Result<Self> {
        let width = input.schema.fields().len();
        let mut fields: Vec<FieldRef> = input.schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("arrival", DataType::Int64, false)));
        let columns: SchemaRef = Arc::new(Schema::new(fields));
        let placement = match &input.distribution {
            Distribution::Hash(columns) => columns.clone(),
            Distribution::Any | Distribution::Single => partition.to_vec(),
        };
        Ok(Self {
            append_only: input.append_only,
            encoder: KeyEncoder::new(&input.schema, order)?,
            calls: Calls::new(calls, &input.schema),
            groups: Groups::new(partition.iter().map(|c| input.schema.field(*c).data_type())),
            parts: Lane::default(),
            store: RowStore::new(&columns),
            rows: (!input.append_only).then(|| Chain::new((0..width).collect())),
            results: RowStore::of_types(output.fields()[width..].iter().map(|f| f.data_type())),
            owner: Lane::default(),
            result: Lane::default(),
            arrived: 0,
            held: Vec::new(),
            saved: SavedRows::new("over", &columns),
            input: Arc::clone(&input.schema),
            output,
            partition: partition.to_vec(),
            placement,
            keys: PhantomData,
        })
    }

    fn partitions(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let keys: Vec<ArrayRef> = self.partition.iter().map(|c| Arc::clone(&columns[*c])).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, rows, &mut hashes)?;
        let groups = self.groups.intern(&keys, &hashes)?;
        groups.iter().for_each(|group| {
            self.parts.entry(*group);
        });
        Ok(groups)
    }

    fn order(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<K>> {
        let order: Vec<ArrayRef> = self.encoder.columns().iter().map(|c| Arc::clone(&columns[*c])).collect();
        K::encode(&self.encoder, &order, rows)
    }

    fn touch(&mut self, group: u32, touched: &mut Vec<u32>) {
        let part = self.parts.get_mut(group);
        if !std::mem::replace(&mut part.touched, true) {
            touched.push(group);
        }
    }

    fn place(part: &Part<K>, key: &K, id: u32) -> Option<usize> {
        let from = part.rows.partition_point(|(k, _)| k < key);
        let same = part.rows[from..].iter().take_while(|(k, _)| k == key);
        same.enumerate().find(|(_, (_, other))| *other == id).map(|(i, _)| from + i)
    }

    /// Puts stored rows into their partitions.
    fn place_rows(&mut self, ids: &[u32], groups: &[u32], order: Vec<K>, touched: &mut Vec<u32>) {
        for ((id, group), key) in ids.iter().zip(groups).zip(order) {
            self.touch(*group, touched);
            let part = self.parts.get_mut(*group);
            let at = part.rows.partition_point(|(k, _)| *k <= key);
            part.rows.insert(at, (key, *id));
            *self.result.entry(*id) = NONE;
        }
    }

    /// Applies the epoch's net change; returns the partitions touched and the rows that died.
    fn apply(&mut self, delta: &DeltaBatch) -> Result<(Vec<u32>, Vec<u32>)> {
        let (columns, n) = (delta.rows.columns(), delta.num_rows());
        let (mut touched, mut dead) = (Vec::new(), Vec::new());
        let groups = self.partitions(columns, n)?;
        let order = self.order(columns, n)?;
        let mut copies: Vec<u32> = (0..n as u32).collect();
        let mut hashes = Vec::new();
        if let Some(chain) = &mut self.rows {
            hash_columns(columns, n, &mut hashes)?;
            let (rows, weights) = distinct_rows(columns, &hashes, |row| delta.weight(row))?;
            let mut gone: Vec<(u32, i64)> =
                rows.iter().zip(&weights).filter(|(_, w)| **w < 0).map(|(row, w)| (*row, -w)).collect();
            let mut removed = Vec::new();
            while !gone.is_empty() {
                let wanted: Vec<u32> = gone.iter().map(|(row, _)| *row).collect();
                let found = chain.find(&self.store, columns, &hashes, &wanted)?;
                for (row, id) in wanted.iter().zip(&found) {
                    if *id == NONE {
                        return Err(Error::Internal("OVER was told to retract a row that does not stand".into()));
                    }
                    self.store.kill(*id);
                    removed.push((*row, *id));
                }
                gone.retain_mut(|(_, copies)| {
                    *copies -= 1;
                    *copies > 0
                });
            }
            for (row, id) in removed {
                let group = groups[row as usize];
                self.touch(group, &mut touched);
                let part = self.parts.get_mut(group);
                if let Some(at) = Self::place(part, &order[row as usize], id) {
                    part.rows.remove(at);
                }
                dead.push(id);
            }
            let repeat = |(row, n): (&u32, &i64)| std::iter::repeat_n(*row, (*n).max(0) as usize);
            copies = rows.iter().zip(&weights).flat_map(repeat).collect();
        }
        let mut stored = columns.to_vec();
        stored.push(Arc::new(Int64Array::from_iter_values(self.arrived..self.arrived + n as i64)));
        self.arrived += n as i64;
        let mut ids = Vec::with_capacity(copies.len());
        self.store.append(&stored, Picked::Rows(&copies), &mut ids)?;
        if let Some(chain) = &mut self.rows {
            chain.link(&ids, copies.iter().map(|row| hashes[*row as usize]));
        }
        let of = |rows: &[u32]| rows.iter().map(|row| (groups[*row as usize], order[*row as usize].clone())).unzip();
        let (groups, order): (Vec<u32>, Vec<K>) = of(&copies);
        self.place_rows(&ids, &groups, order, &mut touched);
        Ok((touched, dead))
    }

    /// Computes partitions anew. Returns (row, old result) and (row, new result) where they differ.
    #[allow(clippy::type_complexity)]
    fn compute(&mut self, touched: &[u32]) -> Result<(Vec<(u32, u32)>, Vec<(u32, u32)>)> {
        let (mut ids, mut lens) = (Vec::new(), Vec::new());
        for group in touched {
            let part = self.parts.get_mut(*group);
            part.touched = false;
            if !part.rows.is_empty() {
                ids.extend(part.rows.iter().map(|(_, id)| *id));
                lens.push(part.rows.len());
            }
        }
        if ids.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let values = self.calls.evaluate(&self.store, &ids, &lens)?;
        let known: Vec<u32> = (0..ids.len() as u32).filter(|i| *self.result.get(ids[*i as usize]) != NONE).collect();
        let before: Vec<u32> = known.iter().map(|i| *self.result.get(ids[*i as usize])).collect();
        let mut equal = vec![true; known.len()];
        let columns: Vec<usize> = (0..values.len()).collect();
        self.results.compare(&columns, &values, &known, &before, &mut equal)?;
        let mut same = vec![false; ids.len()];
        known.iter().zip(&equal).for_each(|(i, equal)| same[*i as usize] = *equal);
        let changed: Vec<u32> = (0..ids.len() as u32).filter(|i| !same[*i as usize]).collect();
        let mut new = Vec::with_capacity(changed.len());
        self.results.append(&values, Picked::Rows(&changed), &mut new)?;
        let (mut leave, mut come) = (Vec::new(), Vec::new());
        for (i, result) in changed.iter().zip(new) {
            let id = ids[*i as usize];
            let old = std::mem::replace(self.result.entry(id), result);
            *self.owner.entry(result) = id;
            if old != NONE {
                leave.push((id, old));
            }
            come.push((id, result));
        }
        Ok((leave, come))
    }

    fn batch(&self, rows: &[(u32, u32)]) -> Result<RecordBatch> {
        let (ids, results): (Vec<u32>, Vec<u32>) = rows.iter().copied().unzip();
        let inputs: Vec<usize> = (0..self.input.fields().len()).collect();
        let mut columns = self.store.gather_some(&inputs, &ids)?;
        columns.extend(self.results.gather_all(&results)?);
        Ok(RecordBatch::try_new(Arc::clone(&self.output), columns)?)
    }

    fn emit(&self, leave: &[(u32, u32)], come: &[(u32, u32)], out: &mut Output) -> Result<()> {
        let mut all = Vec::new();
        for rows in leave.chunks(OUT_ROWS) {
            all.push(DeltaBatch::insert(self.batch(rows)?).negated());
        }
        for rows in come.chunks(OUT_ROWS) {
            all.push(DeltaBatch::insert(self.batch(rows)?));
        }
        // Equal rows of a partition may have changed places.
        if !leave.is_empty() && !come.is_empty() {
            all = vec![consolidate(&DeltaBatch::concat(&self.output, &all)?)?];
        }
        all.into_iter().for_each(|delta| out.push(delta));
        Ok(())
    }

    fn rewrite_rows(&mut self, segment: usize) -> Result<()> {
        let old = self.store.live_ids(segment);
        let columns = self.store.gather_all(&old)?;
        let beside: Vec<(bool, u32)> =
            old.iter().map(|id| (self.store.has(*id, SAVED), *self.result.get(*id))).collect();
        if let Some(chain) = &mut self.rows {
            chain.unlink(&self.store, segment)?;
        }
        self.store.drop_segment(segment);
        let mut ids = Vec::with_capacity(old.len());
        self.store.append(&columns, Picked::Range(0, old.len()), &mut ids)?;
        if let Some(chain) = &mut self.rows {
            chain.link_stored(&self.store, &ids)?;
        }
        let groups = self.partitions(&columns, old.len())?;
        let order = self.order(&columns, old.len())?;
        let place = |(i, group): (usize, &u32)| Self::place(self.parts.get(*group), &order[i], old[i]);
        let places: Vec<Option<usize>> = groups.iter().enumerate().map(place).collect();
        for (((group, place), id), (saved, result)) in groups.iter().zip(places).zip(ids).zip(beside) {
            let place = place.ok_or_else(|| Error::Internal("a stored row is in no partition".into()))?;
            self.parts.get_mut(*group).rows[place].1 = id;
            self.store.mark(id, SAVED, saved);
            *self.result.entry(id) = result;
            *self.owner.entry(result) = id;
        }
        Ok(())
    }

    fn rewrite_results(&mut self, segment: usize) -> Result<()> {
        let old = self.results.live_ids(segment);
        let columns = self.results.gather_all(&old)?;
        let owners: Vec<u32> = old.iter().map(|id| *self.owner.get(*id)).collect();
        self.results.drop_segment(segment);
        let mut ids = Vec::with_capacity(old.len());
        self.results.append(&columns, Picked::Range(0, old.len()), &mut ids)?;
        for (id, owner) in ids.into_iter().zip(owners) {
            *self.owner.entry(id) = owner;
            *self.result.entry(owner) = id;
        }
        Ok(())
    }
}

impl<K: SortKey> Operator for Partitions<K> {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        if self.append_only && delta.weight_slice().is_some_and(|w| w.iter().any(|w| *w != 1)) {
            return Err(Error::Internal("weights on an OVER input that is planned as append-only".into()));
        }
        self.held.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, _header: &EpochHeader, out: &mut Output) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let (touched, dead) = self.apply(&DeltaBatch::concat(&self.input, &held)?)?;
        let mut leave: Vec<(u32, u32)> = dead.iter().map(|id| (*id, *self.result.get(*id))).collect();
        let (changed, come) = self.compute(&touched)?;
        leave.extend(changed);
        self.emit(&leave, &come, out)?;
        leave.iter().for_each(|(_, result)| self.results.kill(*result));
        self.saved.died(&self.store, &dead)?;
        let empty: Vec<u32> = touched.into_iter().filter(|group| self.parts.get(*group).rows.is_empty()).collect();
        empty.iter().for_each(|group| *self.parts.get_mut(*group) = Part::default());
        self.groups.remove(&empty)?;
        for segment in self.store.wasteful() {
            self.rewrite_rows(segment)?;
        }
        for segment in self.results.wasteful() {
            self.rewrite_results(segment)?;
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
        let columns = self.saved.restore(deltas, &self.placement, keep)?;
        let Some(arrival) = columns.last() else { return Ok(()) };
        let indices: UInt32Array = sort_to_indices(arrival, Some(SortOptions::default()), None)?;
        let columns: Vec<ArrayRef> = columns.iter().map(|c| take(c, &indices, None)).collect::<Result<_, _>>()?;
        let last = columns.last().and_then(|arrival| max(arrival.as_primitive::<Int64Type>()));
        self.arrived = last.map_or(0, |last| last + 1);
        let mut ids = Vec::with_capacity(indices.len());
        self.store.append(&columns, Picked::Range(0, indices.len()), &mut ids)?;
        ids.iter().for_each(|id| self.store.mark(*id, SAVED, true));
        if let Some(chain) = &mut self.rows {
            chain.link_stored(&self.store, &ids)?;
        }
        let groups = self.partitions(&columns, indices.len())?;
        let order = self.order(&columns, indices.len())?;
        let mut touched = Vec::new();
        self.place_rows(&ids, &groups, order, &mut touched);
        self.compute(&touched).map(|_| ())
    }

    fn state_bytes(&self) -> usize {
        let entries = self.store.len() * (size_of::<(K, u32)>() * 4 / 3);
        let held: usize = self.held.iter().map(|d| d.rows.get_array_memory_size()).sum();
        let chains = self.rows.as_ref().map_or(0, Chain::bytes) + self.groups.bytes();
        let lanes = self.parts.bytes() + self.owner.bytes() + self.result.bytes();
        self.store.bytes() + self.results.bytes() + chains + lanes + entries + held + self.saved.bytes()
    }
}
