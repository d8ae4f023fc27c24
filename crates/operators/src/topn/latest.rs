//! `Latest`: the one best row of each partition of an input that never retracts. The rows themselves are the index:
//! no key is stored twice. It must not know the runtime.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};

use super::{OUT_ROWS, Spec};
use crate::operator::{Operator, Output, StateTable};
use crate::store::{
    Chain, FRESH, KeyEncoder, NONE, Picked, Retention, RowStore, SAVED, SavedRows, SortKey, group_rows,
};

/// One row per partition.
#[derive(Debug)]
pub(super) struct Latest<K> {
    spec: Spec,
    encoder: KeyEncoder,
    store: RowStore,
    chain: Chain,
    retention: Option<Retention>,
    saved: SavedRows,
    /// Rows that came in the epoch that is open.
    fresh: Vec<u32>,
    /// Rows from before the epoch that were replaced in it.
    replaced: Vec<u32>,
    keys: PhantomData<K>,
}

impl<K: SortKey> Latest<K> {
    pub(super) fn new(spec: Spec) -> Result<Self> {
        let retention = spec.close.as_ref().map(|close| Retention::new(spec.partition[close.key]));
        Ok(Self {
            encoder: KeyEncoder::new(&spec.schema, &spec.order)?,
            store: RowStore::new(&spec.schema),
            chain: Chain::new(spec.partition.clone()),
            retention,
            saved: SavedRows::new("latest", &spec.schema),
            fresh: Vec::new(),
            replaced: Vec::new(),
            spec,
            keys: PhantomData,
        })
    }

    /// The best row of each partition within a batch.
    fn best(&self, keys: &[ArrayRef], hashes: &[u64], order: &[K]) -> Result<Vec<u32>> {
        let (groups, mut best) = group_rows(keys, hashes)?;
        if best.len() < groups.len() {
            for (row, group) in groups.iter().enumerate() {
                let best = &mut best[*group as usize];
                if order[row] < order[*best as usize] {
                    *best = row as u32;
                }
            }
        }
        Ok(best)
    }

    fn add(&mut self, columns: &[ArrayRef], rows: &[u32], hashes: &[u64]) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(rows.len());
        self.store.append(columns, Picked::Rows(rows), &mut ids)?;
        self.chain.link(&ids, rows.iter().map(|row| hashes[*row as usize]));
        if let Some(retention) = &mut self.retention {
            retention.note(&self.store, &ids)?;
        }
        Ok(ids)
    }

    /// Emits rows in batches, all with the same weight.
    fn emit(&self, ids: &[u32], weight: i64, out: &mut Output) -> Result<()> {
        for ids in ids.chunks(OUT_ROWS) {
            let mut columns = self.store.gather_all(ids)?;
            if self.spec.rank {
                columns.push(self.spec.ranks(std::iter::repeat_n(1, ids.len()))?);
            }
            let rows = RecordBatch::try_new(Arc::clone(&self.spec.output), columns)?;
            let weights = (weight != 1).then(|| Int64Array::from(vec![weight; ids.len()]));
            out.push(DeltaBatch::new(rows, weights));
        }
        Ok(())
    }

    fn forget(&mut self, segment: usize) -> Result<()> {
        self.chain.unlink(&self.store, segment)?;
        if let Some(retention) = &mut self.retention {
            retention.clear(segment);
        }
        self.store.drop_segment(segment);
        Ok(())
    }

    fn close(&mut self, header: &EpochHeader) -> Result<()> {
        let (Some(retention), Some((_, floor))) = (&mut self.retention, self.spec.floor(header)) else { return Ok(()) };
        let (gone, old) = retention.raise(&self.store, floor)?;
        self.saved.died(&self.store, &old)?;
        old.iter().for_each(|id| self.store.kill(*id));
        for segment in gone {
            self.saved.died(&self.store, &self.store.live_ids(segment))?;
            self.forget(segment)?;
        }
        Ok(())
    }

    /// Moves the standing rows of a segment to the head and drops it.
    fn rewrite(&mut self, segment: usize) -> Result<()> {
        let old = self.store.live_ids(segment);
        let columns = self.store.gather_all(&old)?;
        let saved: Vec<bool> = old.iter().map(|id| self.store.has(*id, SAVED)).collect();
        self.forget(segment)?;
        let mut ids = Vec::with_capacity(old.len());
        self.store.append(&columns, Picked::Range(0, old.len()), &mut ids)?;
        for (id, saved) in ids.iter().zip(saved) {
            self.store.mark(*id, SAVED, saved);
            self.store.mark(*id, FRESH, false);
        }
        self.chain.link_stored(&self.store, &ids)?;
        match &mut self.retention {
            Some(retention) => retention.note(&self.store, &ids),
            None => Ok(()),
        }
    }
}

impl<K: SortKey> Operator for Latest<K> {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        if delta.weight_slice().is_some_and(|w| w.iter().any(|w| *w != 1)) {
            return Err(Error::Internal("weights on a Top-N input that is planned as append-only".into()));
        }
        let columns = delta.rows.columns();
        let keys: Vec<ArrayRef> = self.spec.partition.iter().map(|c| Arc::clone(&columns[*c])).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, delta.num_rows(), &mut hashes)?;
        let order_columns = self.encoder.columns();
        let order: Vec<ArrayRef> = order_columns.iter().map(|c| Arc::clone(&columns[*c])).collect();
        let order = K::encode(&self.encoder, &order, delta.num_rows())?;
        let mut rows = self.best(&keys, &hashes, &order)?;
        let found = self.chain.find(&self.store, &keys, &hashes, &rows)?;
        let stored: Vec<u32> = found.iter().copied().filter(|id| *id != NONE).collect();
        if !stored.is_empty() {
            let standing = self.store.gather_some(&order_columns, &stored)?;
            let mut standing = K::encode(&self.encoder, &standing, stored.len())?.into_iter();
            let mut found = found.into_iter();
            rows.retain(|row| {
                let id = found.next().unwrap_or(NONE);
                if id == NONE {
                    return true;
                }
                let better = standing.next().is_some_and(|key| order[*row as usize] < key);
                if better {
                    // A row of this epoch was never shown: it goes without a trace.
                    if !self.store.has(id, FRESH) {
                        self.replaced.push(id);
                    }
                    self.store.kill(id);
                }
                better
            });
        }
        let ids = self.add(columns, &rows, &hashes)?;
        self.fresh.extend(ids);
        Ok(())
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let replaced = std::mem::take(&mut self.replaced);
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|id| self.store.is_live(*id));
        self.emit(&replaced, -1, out)?;
        self.emit(&fresh, 1, out)?;
        fresh.iter().for_each(|id| self.store.mark(*id, FRESH, false));
        self.saved.died(&self.store, &replaced)?;
        self.close(header)?;
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
        let rows = columns.first().map_or(0, |c| c.len());
        let keys: Vec<ArrayRef> = self.spec.partition.iter().map(|c| Arc::clone(&columns[*c])).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, rows, &mut hashes)?;
        let all: Vec<u32> = (0..rows as u32).collect();
        for id in self.add(&columns, &all, &hashes)? {
            self.store.mark(id, FRESH, false);
            self.store.mark(id, SAVED, true);
        }
        Ok(())
    }

    fn standing(&self, out: &mut Output) -> Result<()> {
        if self.retention.is_some() {
            return Err(Error::Internal("a Top-N that forgets is asked for what stands".to_owned()));
        }
        for segment in self.store.segments() {
            self.emit(&self.store.live_ids(segment), 1, out)?;
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let epoch = (self.fresh.capacity() + self.replaced.capacity()) * size_of::<u32>();
        self.store.bytes() + self.chain.bytes() + self.saved.bytes() + epoch
    }
}
