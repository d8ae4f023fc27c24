//! `Index`: from the values of some columns to the numbers of the rows that have them, for the one writer and any
//! readers. `Lookup` is the writer's side of one. It must not know chunks: who asks verifies equality and life.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{ArrayRef, RecordBatch};
use hashbrown::HashTable;
use thalweg_core::{Result, hash_columns};

/// An index with more room than eight times its entries and this is made smaller.
const SPARE_ENTRIES: usize = 1_024;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    row: u64,
}

fn spread(entry: &Entry) -> u64 {
    entry.hash
}

/// Entries of dead rows stay until no version shows the row: readers of old versions find them.
#[derive(Debug)]
pub(super) struct Index {
    pub columns: Box<[usize]>,
    entries: RwLock<HashTable<Entry>>,
    /// Every row that stood when it was begun is in.
    ready: AtomicBool,
}

impl Index {
    /// Of rows that are all to come.
    pub fn new(columns: Box<[usize]>) -> Self {
        Self { columns, entries: RwLock::default(), ready: AtomicBool::new(true) }
    }

    /// Of `rows` that stand already and are put in later: until [`Index::finish`] nobody may trust it.
    pub fn unfinished(columns: Box<[usize]>, rows: usize) -> Self {
        let entries = RwLock::new(HashTable::with_capacity(rows));
        Self { columns, entries, ready: AtomicBool::new(false) }
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub fn finish(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// One hash a row.
    pub fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u64>> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|c| Arc::clone(rows.column(*c))).collect();
        let mut hashes = Vec::new();
        hash_columns(&columns, rows.num_rows(), &mut hashes)?;
        Ok(hashes)
    }

    /// Rows under the numbers that `numbers` gives them.
    pub fn insert(&self, hashes: &[u64], numbers: impl Iterator<Item = u64>) {
        let mut table = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        table.reserve(hashes.len(), spread);
        for (row, hash) in numbers.zip(hashes) {
            table.insert_unique(*hash, Entry { hash: *hash, row }, spread);
        }
    }

    /// The rows that may be of each hash, in no order, into `found` as `(position in hashes, row)`.
    pub fn find(&self, hashes: &[u64], found: &mut Vec<(u32, u64)>) {
        found.clear();
        let table = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        for (i, hash) in (0u32..).zip(hashes) {
            found.extend(table.iter_hash(*hash).filter(|e| e.hash == *hash).map(|e| (i, e.row)));
        }
    }

    fn remove(&self, entries: &[(u64, u64)]) {
        let mut table = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for (hash, row) in entries {
            if let Ok(entry) = table.find_entry(*hash, |e| e.row == *row) {
                entry.remove();
            }
        }
        let kept = table.len();
        if table.capacity() > SPARE_ENTRIES + 8 * kept {
            table.shrink_to(2 * kept, spread);
        }
    }

    fn bytes(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).allocation_size()
    }
}

/// An index and what is to leave it.
#[derive(Debug)]
pub(super) struct Lookup {
    pub index: Arc<Index>,
    /// Entries of rows that died, by the version in which they did.
    buried: VecDeque<(u64, Vec<(u64, u64)>)>,
    dying: Vec<(u64, u64)>,
}

impl Lookup {
    pub fn new(index: Index) -> Self {
        Self { index: Arc::new(index), buried: VecDeque::new(), dying: Vec::new() }
    }

    /// Rows of the epoch, the first under the number `first`.
    pub fn insert(&self, rows: &RecordBatch, first: u64) -> Result<()> {
        self.index.insert(&self.index.hashes(rows)?, first..);
        Ok(())
    }

    /// Rows that die in this epoch, by hash and number.
    pub fn kill(&mut self, entries: impl Iterator<Item = (u64, u64)>) {
        self.dying.extend(entries);
    }

    /// The epoch ends as `version`.
    pub fn commit(&mut self, version: u64) {
        if !self.dying.is_empty() {
            self.buried.push_back((version, std::mem::take(&mut self.dying)));
        }
    }

    /// Nobody will ask for versions before `version`.
    pub fn forget_before(&mut self, version: u64) {
        // What stood may yet be put in: an entry must not be taken out before it is in.
        if !self.index.is_ready() {
            return;
        }
        while self.buried.front().is_some_and(|(died, _)| *died <= version) {
            if let Some((_, entries)) = self.buried.pop_front() {
                self.index.remove(&entries);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        let waiting: usize = self.buried.iter().map(|(_, entries)| entries.capacity()).sum();
        self.index.bytes() + (waiting + self.dying.capacity()) * size_of::<(u64, u64)>()
    }
}
