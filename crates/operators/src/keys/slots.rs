//! `Slots`: the probe table from hashes to group numbers, linear probing with backward-shift removal.
//! It must not know keys: the caller compares them.

use super::KeyTable;

/// Open addressing over 8-byte slots: the low half of the hash (the tag) above the group. The tag is enough to find a
/// group's place again when the table grows, so hashes are not stored elsewhere.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<u64>,
    len: usize,
}

const EMPTY: u64 = u64::MAX;
const SMALLEST: usize = 16;

#[inline]
fn pack(tag: u32, group: u32) -> u64 {
    (u64::from(tag) << 32) | u64::from(group)
}

#[inline]
pub(super) fn group_of(slot: u64) -> u32 {
    slot as u32
}

/// The slot belongs to a key with this hash, as far as the tag can say.
#[inline]
pub(super) fn tag_matches(slot: u64, hash: u64) -> bool {
    (slot >> 32) as u32 == hash as u32
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: vec![EMPTY; SMALLEST], len: 0 }
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// What is at the home of `hash`: usually the answer. An empty slot has group `ABSENT`.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> u64 {
        self.slots[hash as u32 as usize & self.mask()]
    }

    /// The group whose key `same` accepts, or `ABSENT`.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> u32 {
        let mask = self.mask();
        let mut at = hash as u32 as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return KeyTable::ABSENT;
            }
            if tag_matches(slot, hash) && same(group_of(slot)) {
                return group_of(slot);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a group whose key is not in the table.
    pub(super) fn insert(&mut self, hash: u64, group: u32) {
        if (self.len + 1) * 3 > self.slots.len() * 2 {
            self.grow();
        }
        self.place(pack(hash as u32, group));
        self.len += 1;
    }

    fn place(&mut self, slot: u64) {
        let mask = self.mask();
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let doubled = vec![EMPTY; self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, doubled) {
            if slot != EMPTY {
                self.place(slot);
            }
        }
    }

    /// Removes `group`, which is in the table under `hash`, and closes the gap.
    pub(super) fn remove(&mut self, hash: u64, group: u32) {
        let mask = self.mask();
        let mut gap = hash as u32 as usize & mask;
        while group_of(self.slots[gap]) != group {
            if self.slots[gap] == EMPTY {
                debug_assert!(false, "group {group} is not in the table");
                return;
            }
            gap = (gap + 1) & mask;
        }
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            let home = (slot >> 32) as usize & mask;
            // The slot may move back to the gap unless its home lies after the gap on the way to `at`.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
        self.len -= 1;
    }

    pub(super) fn clear(&mut self) {
        // A table that was once large and is emptied each time (windows) keeps its size: clearing is one pass.
        self.slots.fill(EMPTY);
        self.len = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().filter(|slot| **slot != EMPTY).map(|slot| group_of(*slot))
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }
}
