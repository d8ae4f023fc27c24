//! `HashIndex`: from a hash to the head of a chain of rows. It must not know keys: who asks verifies equality.

use super::NONE;

const VACANT: u32 = u32::MAX;
const EMPTIED: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Slot {
    short: u32,
    head: u32,
}

/// An open-addressing table of (32-bit hash, first row). It grows without asking for the hashes again, because a
/// slot's place is the top bits of the hash that it stores. Different keys may share a chain.
#[derive(Debug)]
pub(crate) struct HashIndex {
    slots: Vec<Slot>,
    shift: u32,
    used: usize,
    emptied: usize,
}

/// The 32 bits that the index keeps of a hash: neither half alone, since a worker sees few values of the vnode bits.
#[inline]
pub(crate) fn short(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

impl Default for HashIndex {
    fn default() -> Self {
        Self { slots: Vec::new(), shift: 31, used: 0, emptied: 0 }
    }
}

impl HashIndex {
    #[inline]
    fn home(&self, short: u32) -> usize {
        (short >> self.shift) as usize
    }

    /// The first row of each hash's chain, or `NONE`.
    pub(crate) fn heads(&self, hashes: &[u64], out: &mut Vec<u32>) {
        out.clear();
        if self.slots.is_empty() {
            out.resize(hashes.len(), NONE);
            return;
        }
        out.reserve(hashes.len());
        // Touch the slots of a block first: independent loads overlap, so the second pass runs in cache.
        for block in hashes.chunks(256) {
            let mut touched = 0u32;
            for hash in block {
                touched ^= self.slots[self.home(short(*hash))].short;
            }
            std::hint::black_box(touched);
            for hash in block {
                out.push(self.find(short(*hash)).map_or(NONE, |slot| self.head(slot)));
            }
        }
    }

    /// The slot of a hash.
    #[inline]
    pub(crate) fn find(&self, short: u32) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = self.home(short);
        loop {
            let slot = self.slots[at];
            if slot.head == VACANT {
                return None;
            }
            if slot.short == short {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// The slot of a hash, made if there is none. Call [`HashIndex::reserve`] before.
    #[inline]
    pub(crate) fn entry(&mut self, short: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.home(short);
        loop {
            let slot = self.slots[at];
            if slot.head == VACANT {
                self.slots[at] = Slot { short, head: EMPTIED };
                self.used += 1;
                self.emptied += 1;
                return at;
            }
            if slot.short == short {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// The first row at a slot.
    #[inline]
    pub(crate) fn head(&self, slot: usize) -> u32 {
        let head = self.slots[slot].head;
        if head >= EMPTIED { NONE } else { head }
    }

    /// Sets the first row at a slot; `NONE` empties it.
    #[inline]
    pub(crate) fn set_head(&mut self, slot: usize, head: u32) {
        let before = self.slots[slot].head;
        let after = if head == NONE { EMPTIED } else { head };
        match (before == EMPTIED, after == EMPTIED) {
            (true, false) => self.emptied -= 1,
            (false, true) => self.emptied += 1,
            _ => {}
        }
        self.slots[slot].head = after;
    }

    /// Makes room for `more` new hashes.
    pub(crate) fn reserve(&mut self, more: usize) {
        let capacity = self.slots.len();
        if (self.used + more) * 8 <= capacity * 7 {
            return;
        }
        // Emptied slots do not move: a table whose keys come and go keeps its size.
        let need = (self.used - self.emptied + more).max(16);
        let mut size = 32usize;
        while need * 8 > size * 7 || (need * 8 > size * 5 && size < capacity) {
            size *= 2;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot { short: 0, head: VACANT }; size]);
        self.shift = 32 - size.trailing_zeros();
        self.used = 0;
        self.emptied = 0;
        let mask = size - 1;
        for slot in old.into_iter().filter(|s| s.head < EMPTIED) {
            let mut at = self.home(slot.short);
            while self.slots[at].head != VACANT {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
            self.used += 1;
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_growth_and_emptied_slots_are_reused() {
        let mut index = HashIndex::default();
        let hash = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 40);
        for round in 0..4u64 {
            for i in 0..5_000u64 {
                index.reserve(1);
                let slot = index.entry(short(hash(i + round * 5_000)));
                index.set_head(slot, i as u32);
            }
            let hashes: Vec<u64> = (0..5_000u64).map(|i| hash(i + round * 5_000)).collect();
            let mut heads = Vec::new();
            index.heads(&hashes, &mut heads);
            let wrong = heads.iter().enumerate().filter(|(i, h)| **h != *i as u32).count();
            assert!(wrong < 20, "only hashes that collide in 32 bits may differ: {wrong}");
            for h in &hashes {
                let slot = index.find(short(*h)).expect("was put");
                index.set_head(slot, NONE);
            }
        }
        assert!(index.slots.len() <= 32_768, "emptied slots pile up: {}", index.slots.len());
    }
}
