//! `FixedTable`: keys of a fixed width, one machine word each. It must not know Arrow types; the layout does.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use thalweg_core::Result;

use super::layout::{Layout, Word};
use super::slots::{Slots, group_of, tag_matches};
use super::{KeyTable, next_group};

/// Rows probed together, so that their cache misses overlap.
const BLOCK: usize = 64;

/// A key table over words. Keys with a null in them are rare and live in a map at the side.
#[derive(Debug)]
pub(super) struct FixedTable<K> {
    layout: Layout,
    slots: Slots,
    /// By group; stale for freed groups.
    words: Vec<K>,
    free: Vec<u32>,
    /// Null mask and word to group.
    with_nulls: HashMap<(u32, K), u32>,
    /// Group to null mask, for the groups in `with_nulls`.
    masks: HashMap<u32, u32>,
    packed: Vec<K>,
    packed_masks: Vec<u32>,
}

impl<K: Word> FixedTable<K> {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            slots: Slots::new(),
            words: Vec::new(),
            free: Vec::new(),
            with_nulls: HashMap::new(),
            masks: HashMap::new(),
            packed: Vec::new(),
            packed_masks: Vec::new(),
        }
    }

    pub(super) fn intern(&mut self, columns: &[ArrayRef], hashes: &[u64], out: &mut Vec<u32>) -> Result<()> {
        let mut packed = std::mem::take(&mut self.packed);
        let mut masks = std::mem::take(&mut self.packed_masks);
        self.layout.pack(columns, hashes.len(), &mut packed, &mut masks)?;
        if masks.is_empty() {
            self.probe(&packed, hashes, out);
            for (i, group) in out.iter_mut().enumerate() {
                if *group == KeyTable::ABSENT {
                    *group = self.find_or_add(packed[i], hashes[i])?;
                }
            }
        } else {
            for (i, hash) in hashes.iter().enumerate() {
                out.push(match masks[i] {
                    0 => self.find_or_add(packed[i], *hash)?,
                    mask => self.find_or_add_null(mask, packed[i])?,
                });
            }
        }
        self.packed = packed;
        self.packed_masks = masks;
        Ok(())
    }

    pub(super) fn lookup(&self, columns: &[ArrayRef], hashes: &[u64], out: &mut Vec<u32>) -> Result<()> {
        let (mut packed, mut masks) = (Vec::new(), Vec::new());
        self.layout.pack(columns, hashes.len(), &mut packed, &mut masks)?;
        self.probe(&packed, hashes, out);
        for (i, group) in out.iter_mut().enumerate() {
            match masks.get(i) {
                Some(mask) if *mask != 0 => {
                    *group = self.with_nulls.get(&(*mask, packed[i])).copied().unwrap_or(KeyTable::ABSENT);
                }
                _ if *group == KeyTable::ABSENT => *group = self.find(packed[i], hashes[i]),
                _ => {}
            }
        }
        Ok(())
    }

    /// Looks at the home slots only: what it does not find may still be in the table.
    fn probe(&self, packed: &[K], hashes: &[u64], out: &mut Vec<u32>) {
        let mut homes = [0u64; BLOCK];
        for (keys, hashes) in packed.chunks(BLOCK).zip(hashes.chunks(BLOCK)) {
            for (home, hash) in homes.iter_mut().zip(hashes) {
                *home = self.slots.home(*hash);
            }
            for ((key, hash), home) in keys.iter().zip(hashes).zip(&homes) {
                let group = group_of(*home);
                let found = tag_matches(*home, *hash) && self.words.get(group as usize) == Some(key);
                out.push(if found { group } else { KeyTable::ABSENT });
            }
        }
    }

    #[inline]
    fn find(&self, key: K, hash: u64) -> u32 {
        self.slots.find(hash, |group| self.words[group as usize] == key)
    }

    fn find_or_add(&mut self, key: K, hash: u64) -> Result<u32> {
        let group = self.find(key, hash);
        if group != KeyTable::ABSENT {
            return Ok(group);
        }
        let group = self.add(key)?;
        self.slots.insert(hash, group);
        Ok(group)
    }

    fn find_or_add_null(&mut self, mask: u32, key: K) -> Result<u32> {
        if let Some(group) = self.with_nulls.get(&(mask, key)) {
            return Ok(*group);
        }
        let group = self.add(key)?;
        self.with_nulls.insert((mask, key), group);
        self.masks.insert(group, mask);
        Ok(group)
    }

    fn add(&mut self, key: K) -> Result<u32> {
        let group = next_group(&mut self.free, self.words.len())?;
        if group as usize == self.words.len() {
            self.words.push(key);
        } else {
            self.words[group as usize] = key;
        }
        Ok(group)
    }

    pub(super) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let words: Vec<K> = groups.iter().map(|g| self.words[*g as usize]).collect();
        let masks: Vec<u32> = if self.masks.is_empty() {
            Vec::new()
        } else {
            groups.iter().map(|g| self.masks.get(g).copied().unwrap_or(0)).collect()
        };
        self.layout.unpack(&words, &masks)
    }

    pub(super) fn remove(&mut self, groups: &[u32], hashes: &[u64]) {
        for (group, hash) in groups.iter().zip(hashes) {
            match self.masks.remove(group) {
                Some(mask) => {
                    self.with_nulls.remove(&(mask, self.words[*group as usize]));
                }
                None => self.slots.remove(*hash, *group),
            }
            self.free.push(*group);
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.words.clear();
        self.free.clear();
        self.with_nulls.clear();
        self.masks.clear();
    }

    pub(super) fn groups(&self) -> Vec<u32> {
        self.slots.groups().chain(self.masks.keys().copied()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.masks.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.words.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let nulls = self.masks.capacity() * (size_of::<(u32, K, u32)>() + size_of::<(u32, u32)>());
        self.slots.bytes()
            + (self.words.capacity() + self.packed.capacity()) * size_of::<K>()
            + self.free.capacity() * 4
            + nulls
    }
}
