//! Which values there were most: counters of one group. It must not know groups, columns or SQL.
//!
//! The summary of Misra and Gries, "Finding repeated elements" (1982), purged in batches as in Anderson, Bevan, Lang,
//! Liberty, Rhodes, Thaler, "A High-Performance Algorithm for Identifying Frequent Items in Data Streams" (2017), merged as
//! in Agarwal, Cormode, Huang, Phillips, Wei, Yi, "Mergeable summaries" (2012). With `kept` counters a purge takes the same
//! weight from more than `kept` of them, so that no count is short by more than `rows / (kept + 1)`: always, not probably.
//! What a purge does depends on the counts alone, never on where they lie: the same counters have the same bytes.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use thalweg_core::hash_bytes;

use super::SketchError;
use super::hash::mix;
use super::limits::{COUNTERS_A_VALUE, LEAST_COUNTERS, MOST_TOP_K, MOST_VALUE_BYTES};
use super::wire::{Kind, Opened, Reader, seal};

/// So many counters lie in a list.
const FEW: usize = 8;

/// What is counted: a word, or bytes.
pub(crate) trait Key: Clone + Ord + Hash + Send + 'static {
    /// Least bytes of a key and its count in a body.
    const LEAST_BYTES: usize;
    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;
    fn write(&self, out: &mut Vec<u8>);
    /// # Errors
    /// The body is cut, or the key longer than allowed.
    fn read(body: &mut Reader<'_>) -> Result<Self, SketchError>;
}

impl Key for i64 {
    const LEAST_BYTES: usize = 16;

    fn heap_bytes(&self) -> usize {
        0
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(body: &mut Reader<'_>) -> Result<Self, SketchError> {
        body.i64()
    }
}

impl Key for Box<[u8]> {
    const LEAST_BYTES: usize = 12;

    fn heap_bytes(&self) -> usize {
        self.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        out.extend_from_slice(self);
    }

    fn read(body: &mut Reader<'_>) -> Result<Self, SketchError> {
        let length = body.count(1)?;
        if length > MOST_VALUE_BYTES {
            return Err(SketchError::Damaged("a value is too long"));
        }
        Ok(body.take(length)?.into())
    }
}

/// A value and between how many and how many rows had it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted<K> {
    pub(crate) key: K,
    pub(crate) lower: u64,
    pub(crate) upper: u64,
}

/// A multiset of keys of which the most frequent are remembered.
#[derive(Clone, Debug)]
pub(crate) struct Frequent<K> {
    /// The type of the values, for whoever shows them.
    tag: u8,
    /// Values asked for.
    k: u16,
    rows: u64,
    /// No count is short by more than this.
    error: u64,
    /// Heap bytes of the keys.
    key_bytes: usize,
    counts: Counts<K>,
}

#[derive(Clone, Debug)]
enum Counts<K> {
    Few(Vec<(K, u64)>),
    Many(HashMap<K, u64, BuildHasherDefault<Fixed>>),
}

impl<K: Key> Frequent<K> {
    /// `k` is within its limits.
    pub(crate) fn new(tag: u8, k: u16) -> Self {
        Self { tag, k, rows: 0, error: 0, key_bytes: 0, counts: Counts::Few(Vec::new()) }
    }

    pub(crate) fn tag(&self) -> u8 {
        self.tag
    }

    pub(crate) fn k(&self) -> u16 {
        self.k
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// No count is short by more than this many rows.
    pub(crate) fn error(&self) -> u64 {
        self.error
    }

    /// Counters that a purge leaves.
    fn kept(&self) -> usize {
        (usize::from(self.k) * COUNTERS_A_VALUE).max(LEAST_COUNTERS)
    }

    /// The counter of a row's key, if it has one.
    #[inline]
    fn known<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut u64>
    where
        K: Borrow<Q>,
    {
        self.rows = self.rows.saturating_add(1);
        match &mut self.counts {
            Counts::Few(list) => list.iter_mut().find(|(k, _)| k.borrow() == key).map(|(_, count)| count),
            Counts::Many(map) => map.get_mut(key),
        }
    }

    fn insert(&mut self, key: K, rows: u64) {
        self.key_bytes += key.heap_bytes();
        match &mut self.counts {
            Counts::Few(list) if list.len() < FEW => {
                // Most groups see one value, and a vector's first allocation is for four.
                if list.is_empty() {
                    list.reserve_exact(1);
                }
                list.push((key, rows));
            }
            Counts::Few(list) => {
                let mut map: HashMap<_, _, _> = list.drain(..).collect();
                map.insert(key, rows);
                self.counts = Counts::Many(map);
            }
            Counts::Many(map) => {
                map.insert(key, rows);
                if map.len() > 2 * self.kept() {
                    self.purge();
                }
            }
        }
    }

    /// Takes the (kept + 1)-th largest count from all counts and forgets those that are used up.
    fn purge(&mut self) {
        let kept = self.kept();
        let Counts::Many(map) = &mut self.counts else { return };
        let mut counts: Vec<u64> = map.values().copied().collect();
        let (_, cut, _) = counts.select_nth_unstable_by(kept, |a, b| b.cmp(a));
        let cut = *cut;
        map.retain(|_, count| {
            *count = count.saturating_sub(cut);
            *count > 0
        });
        self.key_bytes = map.keys().map(Key::heap_bytes).sum();
        self.error = self.error.saturating_add(cut);
    }

    /// Adds the rows of `other`; the smaller `k` wins.
    pub(crate) fn merge(&mut self, other: Self) {
        self.k = self.k.min(other.k);
        let rows = self.rows.saturating_add(other.rows);
        let error = self.error.saturating_add(other.error);
        let mut all: HashMap<K, u64, BuildHasherDefault<Fixed>> =
            match std::mem::replace(&mut self.counts, Counts::Few(Vec::new())) {
                Counts::Few(list) => list.into_iter().collect(),
                Counts::Many(map) => map,
            };
        for (key, count) in other.counts.into_vec() {
            let sum = all.entry(key).or_insert(0);
            *sum = sum.saturating_add(count);
        }
        *self = Self { rows, error, ..Self::holding(self.tag, self.k, all) };
        let over = matches!(&self.counts, Counts::Many(map) if map.len() > 2 * self.kept());
        if over {
            self.purge();
        }
    }

    fn holding(tag: u8, k: u16, all: HashMap<K, u64, BuildHasherDefault<Fixed>>) -> Self {
        let key_bytes = all.keys().map(Key::heap_bytes).sum();
        let counts = if all.len() <= FEW { Counts::Few(all.into_iter().collect()) } else { Counts::Many(all) };
        Self { tag, k, rows: 0, error: 0, key_bytes, counts }
    }

    /// The `k` most frequent values, most frequent first, equal ones in their order.
    pub(crate) fn top(&self) -> Vec<Counted<K>> {
        let mut all = self.counts.clone().into_vec();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(usize::from(self.k));
        let error = self.error;
        all.into_iter().map(|(key, lower)| Counted { key, lower, upper: lower.saturating_add(error) }).collect()
    }

    /// Bytes on the heap.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        let slot = size_of::<(K, u64)>();
        // A hash table has a control byte a slot and an eighth of its slots free.
        let counters = match &self.counts {
            Counts::Few(list) => list.capacity() * slot,
            Counts::Many(map) => map.capacity() * (slot + 1) * 8 / 7,
        };
        counters + self.key_bytes
    }

    /// Body: rows, error, number of counters, then each key and count, in the order of the keys.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut all = self.counts.clone().into_vec();
        all.sort_unstable();
        seal(Kind::Frequent, self.tag, self.k, |out| {
            out.extend_from_slice(&self.rows.to_le_bytes());
            out.extend_from_slice(&self.error.to_le_bytes());
            out.extend_from_slice(&(all.len() as u32).to_le_bytes());
            for (key, count) in &all {
                key.write(out);
                out.extend_from_slice(&count.to_le_bytes());
            }
        })
    }

    pub(crate) fn decode(opened: Opened<'_>) -> Result<Self, SketchError> {
        if !(1..=MOST_TOP_K).contains(&opened.parameter) {
            return Err(SketchError::Damaged("k is out of range"));
        }
        let mut body = opened.body;
        let (rows, error, count) = (body.u64()?, body.u64()?, body.count(K::LEAST_BYTES)?);
        let mut all = HashMap::with_capacity_and_hasher(count, BuildHasherDefault::default());
        let (mut last, mut counted) = (None, 0_u64);
        for _ in 0..count {
            let key = K::read(&mut body)?;
            let rows = body.u64()?;
            counted = counted.saturating_add(rows);
            if rows == 0 || last.as_ref().is_some_and(|last| *last >= key) {
                return Err(SketchError::Damaged("counters are out of order"));
            }
            last = Some(key.clone());
            all.insert(key, rows);
        }
        body.end()?;
        let sketch = Self { rows, error, ..Self::holding(opened.detail, opened.parameter, all) };
        if counted > rows || error > rows || count > 2 * sketch.kept() {
            return Err(SketchError::Damaged("counts make no sense"));
        }
        Ok(sketch)
    }
}

impl Frequent<i64> {
    /// Counts a row with this word.
    #[inline]
    pub(crate) fn add_word(&mut self, word: i64) {
        match self.known(&word) {
            Some(count) => *count = count.saturating_add(1),
            None => self.insert(word, 1),
        }
    }
}

impl Frequent<Box<[u8]>> {
    /// Counts a row with these bytes.
    #[inline]
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        match self.known(bytes) {
            Some(count) => *count = count.saturating_add(1),
            None => self.insert(bytes.into(), 1),
        }
    }
}

impl<K: Key> Counts<K> {
    fn into_vec(self) -> Vec<(K, u64)> {
        match self {
            Self::Few(list) => list,
            Self::Many(map) => map.into_iter().collect(),
        }
    }
}

/// The hash of the counters' table: the same everywhere, though nothing that is stored depends on it.
#[derive(Default)]
pub(crate) struct Fixed(u64);

impl Hasher for Fixed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, hash_bytes(bytes));
    }

    fn write_i64(&mut self, word: i64) {
        self.0 = mix(self.0, word as u64);
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
