//! `ByKey`: sends each row to the worker that owns its key's vnode. It must not know why rows are exchanged.

use arrow::array::{ArrayRef, UInt32Array};
use thalweg_core::{DeltaBatch, hash_columns, vnode};
use timely::communication::Push;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::progress::Stamp;

use crate::container::Chunk;

/// Splits batches by the hash of key columns; no key columns: everything to worker 0.
pub(crate) struct ByKey {
    keys: Vec<usize>,
    peers: usize,
    hashes: Vec<u64>,
    targets: Vec<Vec<u32>>,
}

impl ByKey {
    pub fn new(keys: Vec<usize>, peers: usize) -> Self {
        Self { keys, peers, hashes: Vec::new(), targets: vec![Vec::new(); peers] }
    }

    /// The parts of `batch`, by worker; together they hold each row once.
    fn split(&mut self, batch: DeltaBatch) -> Vec<(usize, DeltaBatch)> {
        if self.keys.is_empty() {
            return vec![(0, batch)];
        }
        let columns: Vec<ArrayRef> = self.keys.iter().map(|k| batch.column(*k).clone()).collect();
        hash_columns(&columns, batch.num_rows(), &mut self.hashes).expect("the planner only exchanges hashable keys");
        self.targets.iter_mut().for_each(Vec::clear);
        for (row, hash) in (0u32..).zip(&self.hashes) {
            self.targets[usize::from(vnode(*hash)) % self.peers].push(row);
        }
        let whole = batch.num_rows();
        let mut parts = Vec::with_capacity(self.peers);
        for (worker, rows) in self.targets.iter().enumerate() {
            if rows.len() == whole {
                return vec![(worker, batch)];
            }
            if !rows.is_empty() {
                let indices = UInt32Array::from(rows.clone());
                parts.push((worker, batch.take(&indices).expect("indices are within the batch")));
            }
        }
        parts
    }
}

impl Distributor<Chunk> for ByKey {
    fn partition<T: Clone, P: Push<Message<T, Chunk>>>(
        &mut self,
        container: &mut Chunk,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let Some(batch) = container.take() else { return };
        for (worker, part) in self.split(batch) {
            Message::push_at(&mut Chunk::new(part), stamp.clone(), &mut pushers[worker]);
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Chunk>>>(&mut self, _stamp: &Stamp<T>, _pushers: &mut [P]) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn every_row_arrives_once_and_equal_keys_meet() {
        let keys = Arc::new(Int64Array::from_iter_values((0..1000).map(|i| i % 37))) as ArrayRef;
        let rows = RecordBatch::try_from_iter([("k", keys)]).expect("one column");
        let mut by_key = ByKey::new(vec![0], 3);
        let mut home = vec![None; 37];
        let mut total = 0;
        for (worker, part) in by_key.split(DeltaBatch::insert(rows)) {
            total += part.num_rows();
            for key in part.column(0).as_primitive::<Int64Type>().values() {
                let home = &mut home[usize::try_from(*key).expect("small")];
                assert_eq!(*home.get_or_insert(worker), worker);
            }
        }
        assert_eq!(total, 1000);
    }
}
