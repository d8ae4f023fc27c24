//! `Table`: writes become changes. With a primary key a write finds the row it replaces; without one it adds or takes
//! away a row. It must not know SQL, or who writes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int8Type, SchemaRef};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};
use thalweg_plan::Write;

use crate::operator::{Operator, Output, StateTable};
use crate::store::{Chain, NONE, Picked, RowStore, SavedRows, group_rows};

/// The rows of a table, by primary key (empty: a bag of rows, which keeps nothing here).
#[derive(Debug)]
pub struct Table {
    schema: SchemaRef,
    key: Vec<usize>,
    held: Vec<DeltaBatch>,
    store: RowStore,
    chain: Chain,
    saved: SavedRows,
}

/// Where the row of a key is while the writes of an epoch are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Nowhere,
    Stored(u32),
    Written(u32),
}

impl Table {
    /// `schema` is the table's; the input has [`thalweg_core::WRITE_COLUMN`] beside it.
    pub fn new(schema: SchemaRef, key: Vec<usize>) -> Self {
        Self {
            store: RowStore::new(&schema),
            chain: Chain::new(key.clone()),
            saved: SavedRows::new("table", &schema),
            held: Vec::new(),
            schema,
            key,
        }
    }

    fn bag(&self, delta: &DeltaBatch) -> Result<DeltaBatch> {
        let (rows, writes) = self.parted(delta)?;
        let weights: Int64Array =
            writes.iter().map(|w| if *w == Write::Delete as i8 { -1 } else { 1 }).collect::<Vec<_>>().into();
        let all_added = weights.values().iter().all(|w| *w == 1);
        Ok(DeltaBatch::new(rows, (!all_added).then_some(weights)))
    }

    fn parted(&self, delta: &DeltaBatch) -> Result<(RecordBatch, Vec<i8>)> {
        let width = self.schema.fields().len();
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), delta.rows.columns()[..width].to_vec())?;
        let writes = delta.column(width).as_primitive_opt::<Int8Type>();
        let writes = writes.ok_or_else(|| Error::Internal("writes without their kinds".to_owned()))?;
        Ok((rows, writes.values().to_vec()))
    }

    fn keyed(&mut self, delta: &DeltaBatch, out: &mut Output) -> Result<()> {
        let (rows, writes) = self.parted(delta)?;
        let keys: Vec<ArrayRef> = self.key.iter().map(|c| Arc::clone(rows.column(*c))).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, rows.num_rows(), &mut hashes)?;
        let (groups, firsts) = group_rows(&keys, &hashes)?;
        let before = self.chain.find(&self.store, &keys, &hashes, &firsts)?;
        let mut stands: Vec<Stands> =
            before.iter().map(|id| if *id == NONE { Stands::Nowhere } else { Stands::Stored(*id) }).collect();
        for ((row, group), write) in (0u32..).zip(&groups).zip(&writes) {
            let stands = &mut stands[*group as usize];
            match write {
                w if *w == Write::Delete as i8 => *stands = Stands::Nowhere,
                w if *w == Write::InsertIfAbsent as i8 && *stands != Stands::Nowhere => {}
                _ => *stands = Stands::Written(row),
            }
        }
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for (before, stands) in before.iter().zip(&stands) {
            if *before != NONE && *stands != Stands::Stored(*before) {
                gone.push(*before);
            }
            if let Stands::Written(row) = stands {
                new.push(*row);
            }
        }
        if !gone.is_empty() {
            let old = RecordBatch::try_new(Arc::clone(&self.schema), self.store.gather_all(&gone)?)?;
            self.saved.died(&self.store, &gone)?;
            gone.iter().for_each(|id| self.store.kill(*id));
            out.push(DeltaBatch::insert(old).negated());
        }
        self.insert(rows.columns(), &new, &hashes)?;
        if !new.is_empty() {
            let new = take_record_batch(&rows, &UInt32Array::from(new))?;
            let weights = Int64Array::from(vec![1; new.num_rows()]);
            out.push(DeltaBatch::new(new, Some(weights)));
        }
        for segment in self.store.wasteful() {
            self.compact(segment)?;
        }
        Ok(())
    }

    fn insert(&mut self, columns: &[ArrayRef], rows: &[u32], hashes: &[u64]) -> Result<()> {
        let mut ids = Vec::with_capacity(rows.len());
        self.store.append(columns, Picked::Rows(rows), &mut ids)?;
        self.chain.link(&ids, rows.iter().map(|row| hashes[*row as usize]));
        Ok(())
    }

    /// Moves the live rows of a segment to the end and gives it back.
    fn compact(&mut self, segment: usize) -> Result<()> {
        let live = self.store.live_ids(segment);
        let columns = self.store.gather_all(&live)?;
        self.saved.died(&self.store, &live)?;
        self.chain.unlink(&self.store, segment)?;
        self.store.drop_segment(segment);
        let keys: Vec<ArrayRef> = self.key.iter().map(|c| Arc::clone(&columns[*c])).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, live.len(), &mut hashes)?;
        let all: Vec<u32> = (0..live.len() as u32).collect();
        self.insert(&columns, &all, &hashes)
    }
}

impl Operator for Table {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        if self.key.is_empty() {
            out.push(self.bag(&delta)?);
        } else {
            self.held.push(delta);
        }
        Ok(())
    }

    fn on_epoch(&mut self, _header: &EpochHeader, out: &mut Output) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let all = DeltaBatch::concat(&held[0].schema(), &held)?;
        self.keyed(&all, out)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.saved.snapshot(&mut self.store)
    }

    fn save_all(&mut self) {
        self.saved.forget(&mut self.store);
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let columns = self.saved.restore(deltas, &self.key, keep)?;
        let count = columns.first().map_or(0, |c| c.len());
        let keys: Vec<ArrayRef> = self.key.iter().map(|c| Arc::clone(&columns[*c])).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, count, &mut hashes)?;
        let all: Vec<u32> = (0..count as u32).collect();
        let mut ids = Vec::with_capacity(count);
        self.store.append(&columns, Picked::Rows(&all), &mut ids)?;
        self.chain.link(&ids, hashes.into_iter());
        ids.iter().for_each(|id| self.store.mark(*id, crate::store::SAVED, true));
        Ok(())
    }

    fn standing(&self, out: &mut Output) -> Result<()> {
        for segment in self.store.segments() {
            let rows = self.store.gather_all(&self.store.live_ids(segment))?;
            out.push(DeltaBatch::insert(RecordBatch::try_new(Arc::clone(&self.schema), rows)?));
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.store.bytes() + self.chain.bytes() + self.saved.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::Int8Array;

    use super::*;
    use crate::testing::{Cell, Rng, Row, Standing, Step, add, batch, header, held, run, schema};
    use thalweg_core::{Watermark, writes_schema};

    /// Random writes, and what each leaves of a map by key.
    fn writes(rng: &mut Rng, spec: &SchemaRef, model: &mut BTreeMap<Cell, Row>) -> DeltaBatch {
        let (mut rows, mut kinds) = (Vec::new(), Vec::new());
        for _ in 0..1 + rng.below(20) {
            let row = vec![rng.int(12), rng.text(5)];
            let key = row[0].clone();
            let kind = [Write::Upsert, Write::Delete, Write::InsertIfAbsent][rng.below(3) as usize];
            match kind {
                Write::Upsert => drop(model.insert(key, row.clone())),
                Write::Delete => drop(model.remove(&key)),
                Write::InsertIfAbsent => drop(model.entry(key).or_insert(row.clone())),
            }
            rows.push(row);
            kinds.push(kind as i8);
        }
        let mut columns = batch(spec, &rows).columns().to_vec();
        columns.push(Arc::new(Int8Array::from(kinds)));
        DeltaBatch::insert(RecordBatch::try_new(writes_schema(spec), columns).expect("as many kinds as rows"))
    }

    #[test]
    fn the_last_write_of_a_key_stands_also_after_a_restore() {
        for seed in 0..60 {
            let rng = &mut Rng(seed);
            let spec = schema(&[("k", 'i'), ("v", 't')]);
            let mut model = BTreeMap::new();
            let mut table = Table::new(Arc::clone(&spec), vec![0]);
            let (mut standing, mut saved) = (Standing::new(), Vec::new());
            for epoch in 0..40 {
                let deltas = (0..rng.below(4)).map(|_| (0, writes(rng, &spec, &mut model))).collect();
                run(&mut table, &Step { deltas, header: header(epoch, Watermark::START, 0) }, &mut standing);
                let want: Standing = model.values().map(|row| (row.clone(), 1)).collect();
                assert_eq!(standing, want, "seed {seed}, epoch {epoch}");
                if rng.one_in(4) {
                    saved.push(table.snapshot().expect("snapshots"));
                }
                if rng.one_in(9) {
                    saved.push(table.snapshot().expect("snapshots"));
                    table = Table::new(Arc::clone(&spec), vec![0]);
                    table.restore(&saved, &|_| true).expect("restores");
                    let mut held_rows = Standing::new();
                    held(&table)
                        .expect("a table with a key holds its rows")
                        .iter()
                        .for_each(|d| add(&mut held_rows, d));
                    assert_eq!(held_rows, standing, "seed {seed}, epoch {epoch}: held after a restore");
                }
            }
        }
    }

    #[test]
    fn without_a_key_rows_are_added_and_taken_away() {
        let spec = schema(&[("k", 'i')]);
        let mut table = Table::new(Arc::clone(&spec), Vec::new());
        let write = |values: &[i64], kinds: Vec<i8>| {
            let rows: Vec<Row> = values.iter().map(|v| vec![Cell::Int(*v)]).collect();
            let mut columns = batch(&spec, &rows).columns().to_vec();
            columns.push(Arc::new(Int8Array::from(kinds)));
            DeltaBatch::insert(RecordBatch::try_new(writes_schema(&spec), columns).expect("one kind a row"))
        };
        let mut standing = Standing::new();
        let deltas = vec![(0, write(&[1, 1, 2], vec![0, 0, 0])), (0, write(&[1], vec![Write::Delete as i8]))];
        run(&mut table, &Step { deltas, header: header(0, Watermark::START, 0) }, &mut standing);
        assert_eq!(standing, Standing::from([(vec![Cell::Int(1)], 1), (vec![Cell::Int(2)], 1)]));
    }
}
