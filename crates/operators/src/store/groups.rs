//! `Groups`: distinct key rows as small numbers. It must not know what is kept for a group.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use thalweg_core::Result;

use super::{Chain, NONE, Picked, RowStore};

/// Key rows under the numbers of a row store. Nulls are equal.
#[derive(Debug)]
pub(crate) struct Groups {
    store: RowStore,
    chain: Chain,
    scratch: Vec<u32>,
}

impl Groups {
    /// No groups yet; keys of these types.
    pub(crate) fn new<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Self {
        let types: Vec<&DataType> = types.into_iter().collect();
        Self { chain: Chain::new((0..types.len()).collect()), store: RowStore::of_types(types), scratch: Vec::new() }
    }

    /// The group of each key row, made if it is new.
    pub(crate) fn intern(&mut self, keys: &[ArrayRef], hashes: &[u64]) -> Result<Vec<u32>> {
        self.scratch.clear();
        self.scratch.extend(0..hashes.len() as u32);
        let mut groups = self.chain.find(&self.store, keys, hashes, &self.scratch)?;
        let mut missing: Vec<u32> = (0..hashes.len() as u32).filter(|row| groups[*row as usize] == NONE).collect();
        while !missing.is_empty() {
            // The first row of each hash is surely new; the others are looked up again after it was added.
            let mut seen = HashSet::with_capacity(missing.len());
            let (fresh, again): (Vec<u32>, Vec<u32>) =
                missing.iter().partition(|row| seen.insert(hashes[**row as usize]));
            let mut ids = Vec::with_capacity(fresh.len());
            self.store.append(keys, Picked::Rows(&fresh), &mut ids)?;
            self.chain.link(&ids, fresh.iter().map(|row| hashes[*row as usize]));
            for (row, id) in fresh.iter().zip(&ids) {
                groups[*row as usize] = *id;
            }
            let found = self.chain.find(&self.store, keys, hashes, &again)?;
            for (row, id) in again.iter().zip(found) {
                groups[*row as usize] = id;
            }
            missing = again.into_iter().filter(|row| groups[*row as usize] == NONE).collect();
        }
        Ok(groups)
    }

    /// The key columns of groups.
    pub(crate) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        self.store.gather_all(groups)
    }

    /// Forgets groups. Their numbers are used again when all of their segment were forgotten.
    pub(crate) fn remove(&mut self, groups: &[u32]) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        for group in groups {
            self.store.kill(*group);
        }
        let spent: Vec<usize> = self.store.segments().filter(|s| self.store.segment_live(*s) == 0).collect();
        for segment in spent {
            self.chain.unlink(&self.store, segment)?;
            self.store.drop_segment(segment);
        }
        Ok(())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.store.bytes() + self.chain.bytes()
    }
}
