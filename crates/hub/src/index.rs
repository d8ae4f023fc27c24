//! `Index`: where in a segment which offsets and times are, every so many bytes. It must not read files.

use crate::limits::INDEX_STEP_BYTES;

/// A sparse index of one segment, kept in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    entries: Vec<Entry>,
}

/// The batches from one place to the next entry's.
#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u64,
    at: u64,
    max_timestamp_ms: i64,
}

impl Index {
    /// The batch at byte `at` begins with `offset`. Batches come in order.
    pub fn push(&mut self, offset: u64, at: u64, max_timestamp_ms: i64) {
        match self.entries.last_mut() {
            Some(last) if at - last.at < INDEX_STEP_BYTES => {
                last.max_timestamp_ms = last.max_timestamp_ms.max(max_timestamp_ms);
            }
            _ => self.entries.push(Entry { offset, at, max_timestamp_ms }),
        }
    }

    /// A place at or before the batch that holds `offset`: byte and offset.
    pub fn place_of(&self, offset: u64) -> Option<(u64, u64)> {
        let after = self.entries.partition_point(|e| e.offset <= offset);
        self.entries[..after].last().map(|e| (e.at, e.offset))
    }

    /// A place before the first record at or after a time, and behind none of them.
    pub fn place_at(&self, timestamp_ms: i64) -> Option<(u64, u64)> {
        self.entries.iter().find(|e| e.max_timestamp_ms >= timestamp_ms).map(|e| (e.at, e.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_never_behind_what_is_sought() {
        let mut index = Index::default();
        let size = INDEX_STEP_BYTES / 33;
        for i in 0..1_000_u64 {
            index.push(i * 3, i * size, if i == 500 { 10_000 } else { i as i64 });
        }
        assert!((25..40).contains(&index.entries.len()), "{}", index.entries.len());
        for offset in 0..3_000 {
            let (at, from) = index.place_of(offset).expect("the first entry is at 0");
            let expected = offset / 3 * size;
            assert!(from <= offset && at <= expected && at + INDEX_STEP_BYTES + size > expected);
        }
        let (at, _) = index.place_at(10_000).expect("there is one");
        assert!(at <= 500 * size && at > 400 * size);
        assert_eq!(index.place_at(10_001), None);
        assert_eq!(Index::default().place_of(0), None);
    }
}
