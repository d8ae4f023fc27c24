//! `Log`: the segments of one topic as they are known in memory. It must not know topics' names or who waits.

use std::sync::{Arc, Mutex, PoisonError};

use thalweg_disk::{Disk, DiskFile};

use crate::batch::Batch;
use crate::index::Index;
use crate::limits::READ_BYTES;
use crate::manifest::ClosedEntry;
use crate::scan::{Broken, Found, Scan};
use crate::topic::segment;
use crate::{HubError, Result};

/// The log of a topic: closed segments, and the one that grows.
#[derive(Debug)]
pub(crate) struct Log {
    /// Where its files are.
    pub partition: String,
    /// Oldest first, without a gap.
    pub closed: Vec<Arc<Closed>>,
    pub active: Active,
    /// All before this offset is durable and complete.
    pub durable: u64,
}

/// A segment that takes no more: all of it is durable.
#[derive(Debug)]
pub(crate) struct Closed {
    pub path: String,
    pub entry: ClosedEntry,
    index: Mutex<Option<Arc<Index>>>,
}

/// The segment that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub path: Arc<str>,
    pub file: Arc<dyn DiskFile>,
    /// Its first offset.
    pub base: u64,
    /// One past its last offset.
    pub end: u64,
    pub bytes: u64,
    pub max_timestamp_ms: i64,
    pub index: Index,
}

impl Log {
    pub fn start(&self) -> u64 {
        self.closed.first().map_or(self.active.base, |c| c.entry.base)
    }

    pub fn end(&self) -> u64 {
        self.active.end
    }

    pub fn bytes(&self) -> u64 {
        self.closed.iter().map(|c| c.entry.bytes).sum::<u64>() + self.active.bytes
    }

    /// The active segment takes no more, and `next` goes on.
    pub fn roll(&mut self, next: Active) -> ClosedEntry {
        let full = std::mem::replace(&mut self.active, next);
        let entry = full.entry();
        let index = Mutex::new(Some(Arc::new(full.index)));
        self.closed.push(Arc::new(Closed { path: full.path.to_string(), entry, index }));
        entry
    }
}

impl Active {
    /// A segment that begins at offset `base` with an empty file.
    pub fn new(partition: &str, base: u64, file: Arc<dyn DiskFile>) -> Self {
        let path = segment(partition, base).into();
        Self { path, file, base, end: base, bytes: 0, max_timestamp_ms: i64::MIN, index: Index::default() }
    }

    /// Takes note of a batch at its end.
    pub fn push(&mut self, bytes: u64, end: u64, max_timestamp_ms: i64) {
        self.index.push(self.end, self.bytes, max_timestamp_ms);
        self.max_timestamp_ms = self.max_timestamp_ms.max(max_timestamp_ms);
        self.bytes += bytes;
        self.end = end;
    }

    fn entry(&self) -> ClosedEntry {
        let Self { base, end, bytes, max_timestamp_ms, .. } = *self;
        ClosedEntry { base, end, bytes, max_timestamp_ms }
    }
}

impl Closed {
    /// A segment whose index is built when it is asked for.
    pub fn new(partition: &str, entry: ClosedEntry) -> Self {
        Self { path: segment(partition, entry.base), entry, index: Mutex::new(None) }
    }

    /// Its index, and whether it had to be built: then the whole segment has been checked.
    ///
    /// # Errors
    /// The segment cannot be read or is damaged.
    pub fn index(&self, disk: &dyn Disk) -> Result<(Arc<Index>, bool)> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*index {
            return Ok((Arc::clone(index), false));
        }
        let (entry, built) = check_closed(disk, &self.path, self.entry.base, self.entry.end, |_| {})?;
        if entry != self.entry {
            let what = format!("expected {:?}, found {entry:?}", self.entry);
            return Err(HubError::Damaged { file: disk.locate(&self.path), at: entry.bytes, what });
        }
        let built = Arc::new(built);
        *index = Some(Arc::clone(&built));
        Ok((built, true))
    }

    /// Forgets the index.
    pub fn forget_index(&self) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Reads a segment that must be whole and end with offset `end`, exclusive. `seen` gets each batch.
pub(crate) fn check_closed(
    disk: &dyn Disk,
    path: &str,
    base: u64,
    end: u64,
    mut seen: impl FnMut(&Batch),
) -> Result<(ClosedEntry, Index)> {
    let damaged = |at, what| HubError::Damaged { file: disk.locate(path), at, what };
    let mut index = Index::default();
    let mut entry = ClosedEntry { base, end: base, bytes: 0, max_timestamp_ms: i64::MIN };
    let mut scan = Scan::new(disk, path, (0, base), disk.size(path)?, READ_BYTES);
    loop {
        match scan.step()? {
            Found::Batch(at, batch) => {
                let max = batch.header().max_timestamp_ms;
                index.push(batch.base_offset(), at, max);
                entry.max_timestamp_ms = entry.max_timestamp_ms.max(max);
                entry.bytes = at + batch.bytes().len() as u64;
                entry.end = batch.end_offset();
                seen(&batch);
            }
            Found::Broken(Broken { at, what }) => return Err(damaged(at, what)),
            Found::End if entry.end == end => return Ok((entry, index)),
            Found::End => {
                return Err(damaged(
                    entry.bytes,
                    format!("expected offsets up to {end}, found them up to {}", entry.end),
                ));
            }
        }
    }
}
