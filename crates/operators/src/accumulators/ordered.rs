//! `Ordered`: min and max of values that may be taken back: the distinct values of each group in order.
//! It must not know how often a value is there; `Values` counts and tells when one comes or goes.

use std::collections::BTreeSet;

use arrow::array::ArrayRef;
use thalweg_core::Result;

use super::accumulator::{Accumulator, Change};
use super::order::SetKey;

/// Between columns and the keys of the set.
pub(crate) trait Codec<K> {
    /// The keys of the rows of `column`; anything at null rows.
    fn encode(&self, column: &ArrayRef) -> Result<Vec<K>>;
    /// The column of `keys`.
    fn decode(&self, keys: Vec<Option<K>>) -> Result<ArrayRef>;
}

/// Has no state columns: `Values` persists the values and feeds them again at restore.
pub(crate) struct Ordered<K, C> {
    set: BTreeSet<(u32, K)>,
    codec: C,
    heap: usize,
    max: bool,
}

impl<K: SetKey, C: Codec<K>> Ordered<K, C> {
    pub(crate) fn new(codec: C, max: bool) -> Self {
        Self { set: BTreeSet::new(), codec, heap: 0, max }
    }

    fn best(&self, group: u32) -> Option<K> {
        let mut range = self.set.range((group, K::lowest())..(group + 1, K::lowest()));
        let found = if self.max { range.next_back() } else { range.next() };
        found.map(|(_, key)| key.clone())
    }
}

impl<K: SetKey, C: Codec<K>> Accumulator for Ordered<K, C> {
    fn grow(&mut self, _capacity: usize) {}

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        let keys = self.codec.encode(&change.args[0])?;
        let mut keys: Vec<Option<K>> = keys.into_iter().map(Some).collect();
        change.each(|row, group, weight| {
            let Some(key) = keys[row].take() else { return };
            let heap = key.heap();
            if weight > 0 {
                if self.set.insert((group as u32, key)) {
                    self.heap += heap;
                }
            } else if self.set.remove(&(group as u32, key)) {
                self.heap -= heap;
            }
        });
        Ok(())
    }

    fn state(&self, _groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(Vec::new())
    }

    fn width(&self) -> usize {
        0
    }

    fn merge(&mut self, _groups: &[u32], _state: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        self.codec.decode(groups.iter().map(|g| self.best(*g)).collect())
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            while let Some(key) = self.best(*group) {
                self.heap -= key.heap();
                self.set.remove(&(*group, key));
            }
        }
    }

    fn bytes(&self) -> usize {
        // Nodes of a B-tree are about three quarters full.
        self.set.len() * size_of::<(u32, K)>() * 4 / 3 + self.heap
    }
}
