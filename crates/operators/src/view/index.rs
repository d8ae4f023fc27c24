//! `RowIndex`: from a hash to the numbers of the rows that have it, for the one writer and any readers.
//! It must not know rows: who asks verifies equality and life.

use std::sync::{PoisonError, RwLock};

use hashbrown::HashTable;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    row: u64,
}

/// Entries of dead rows stay until no version shows the row: readers of old versions find them.
#[derive(Debug, Default)]
pub(super) struct RowIndex(RwLock<HashTable<Entry>>);

fn spread(entry: &Entry) -> u64 {
    entry.hash
}

impl RowIndex {
    pub fn insert(&self, hashes: &[u64], first: u64) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.reserve(hashes.len(), spread);
        for (row, hash) in (first..).zip(hashes) {
            table.insert_unique(*hash, Entry { hash: *hash, row }, spread);
        }
    }

    /// The rows that may be of each hash, newest last in no order, into `found` as `(position in hashes, row)`.
    pub fn find(&self, hashes: &[u64], found: &mut Vec<(u32, u64)>) {
        found.clear();
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (i, hash) in (0u32..).zip(hashes) {
            found.extend(table.iter_hash(*hash).filter(|e| e.hash == *hash).map(|e| (i, e.row)));
        }
    }

    pub fn remove(&self, entries: &[(u64, u64)]) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (hash, row) in entries {
            if let Ok(entry) = table.find_entry(*hash, |e| e.row == *row) {
                entry.remove();
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).allocation_size()
    }
}
