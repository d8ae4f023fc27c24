//! `Chain`: a hash index over some columns of a row store, with the rows of a hash linked from newest to oldest.
//! It must not know what the columns mean.

use arrow::array::ArrayRef;
use thalweg_core::{Result, hash_columns};

use super::index::{HashIndex, short};
use super::{Lane, NONE, RowStore, segment_of};

/// Pairs of (row of a probing batch, stored row).
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// Rows of the batch, ascending.
    pub rows: Vec<u32>,
    /// Stored rows.
    pub ids: Vec<u32>,
}

impl Pairs {
    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keeps the pairs where `keep` is true.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        let mut to = 0;
        for (from, keep) in keep.iter().enumerate() {
            self.rows[to] = self.rows[from];
            self.ids[to] = self.ids[from];
            to += usize::from(*keep);
        }
        self.rows.truncate(to);
        self.ids.truncate(to);
    }
}

/// Where a probe of a batch stands, so that its pairs can be taken in pieces.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    heads: Vec<u32>,
    row: usize,
    /// The next stored row for `row` and the standing one before it, when a piece ended within its chain.
    within: Option<(u32, u32)>,
}

/// A hash index with chains.
#[derive(Debug)]
pub(crate) struct Chain {
    columns: Vec<usize>,
    index: HashIndex,
    next: Lane<u32>,
}

impl Chain {
    /// An index over `columns` of the store that it will be used with.
    pub(crate) fn new(columns: Vec<usize>) -> Self {
        Self { columns, index: HashIndex::default(), next: Lane::default() }
    }

    /// Links new rows with their hashes.
    pub(crate) fn link(&mut self, ids: &[u32], hashes: impl Iterator<Item = u64>) {
        self.index.reserve(ids.len());
        for (id, hash) in ids.iter().zip(hashes) {
            let slot = self.index.entry(short(hash));
            self.next.put(*id, self.index.head(slot));
            self.index.set_head(slot, *id);
        }
    }

    /// Links rows, hashing their stored columns.
    pub(crate) fn link_stored(&mut self, store: &RowStore, ids: &[u32]) -> Result<()> {
        let columns = store.gather_some(&self.columns, ids)?;
        let mut hashes = Vec::new();
        hash_columns(&columns, ids.len(), &mut hashes)?;
        self.link(ids, hashes.into_iter());
        Ok(())
    }

    /// Starts a probe: looks up all hashes. `skip` rows find nothing.
    pub(crate) fn probe(&self, hashes: &[u64], skip: impl Fn(usize) -> bool, any_skip: bool) -> Cursor {
        let mut heads = Vec::new();
        self.index.heads(hashes, &mut heads);
        if any_skip {
            heads.iter_mut().enumerate().filter(|(row, _)| skip(*row)).for_each(|(_, head)| *head = NONE);
        }
        Cursor { heads, row: 0, within: None }
    }

    /// The next piece of the standing pairs whose columns are equal; at most about `limit`. False when there are no
    /// more. Dead rows met on the way leave their chains.
    pub(crate) fn next_pairs(
        &mut self,
        store: &RowStore,
        probe: &[ArrayRef],
        hashes: &[u64],
        cursor: &mut Cursor,
        limit: usize,
        pairs: &mut Pairs,
    ) -> Result<bool> {
        pairs.rows.clear();
        pairs.ids.clear();
        if cursor.row >= cursor.heads.len() {
            return Ok(false);
        }
        let all_live = store.all_live();
        let expected = limit.min(cursor.heads.len() - cursor.row);
        pairs.rows.reserve(expected);
        pairs.ids.reserve(expected);
        while cursor.row < cursor.heads.len() && pairs.len() < limit {
            let row = cursor.row;
            let (mut id, mut last) = match cursor.within.take() {
                Some((id, last)) => (id, last),
                None if cursor.heads[row] == NONE => (NONE, NONE),
                None if all_live || store.is_live(cursor.heads[row]) => (cursor.heads[row], NONE),
                None => (self.live_head(store, hashes[row]), NONE),
            };
            while id != NONE {
                if pairs.len() >= limit {
                    cursor.within = Some((id, last));
                    break;
                }
                let next = *self.next.get(id);
                if all_live || store.is_live(id) {
                    pairs.rows.push(row as u32);
                    pairs.ids.push(id);
                    last = id;
                } else if last != NONE {
                    *self.next.get_mut(last) = next;
                }
                id = next;
            }
            if cursor.within.is_none() {
                cursor.row += 1;
            }
        }
        if !self.columns.is_empty() && pairs.len() > 0 {
            let mut equal = vec![true; pairs.len()];
            store.compare(&self.columns, probe, &pairs.rows, &pairs.ids, &mut equal)?;
            if equal.contains(&false) {
                pairs.retain(&equal);
            }
        }
        Ok(true)
    }

    /// The first standing row of a hash's chain, which becomes its head.
    fn live_head(&mut self, store: &RowStore, hash: u64) -> u32 {
        let Some(slot) = self.index.find(short(hash)) else { return NONE };
        let mut id = self.index.head(slot);
        while id != NONE && !store.is_live(id) {
            id = *self.next.get(id);
        }
        self.index.set_head(slot, id);
        id
    }

    /// For each of `rows` of a batch, a standing stored row that is equal, or `NONE`.
    pub(crate) fn find(
        &mut self,
        store: &RowStore,
        probe: &[ArrayRef],
        hashes: &[u64],
        rows: &[u32],
    ) -> Result<Vec<u32>> {
        let wanted: Vec<u64> = rows.iter().map(|row| hashes[*row as usize]).collect();
        let mut heads = Vec::new();
        self.index.heads(&wanted, &mut heads);
        let all_live = store.all_live();
        for (head, hash) in heads.iter_mut().zip(&wanted).filter(|_| !all_live) {
            if *head != NONE && !store.is_live(*head) {
                *head = self.live_head(store, *hash);
            }
        }
        let mut found = vec![NONE; rows.len()];
        let mut open: Vec<u32> = (0..rows.len() as u32).collect();
        let (mut batch, mut ids, mut equal) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            open.retain(|i| {
                let head = &mut heads[*i as usize];
                while !all_live && *head != NONE && !store.is_live(*head) {
                    *head = *self.next.get(*head);
                }
                *head != NONE
            });
            if open.is_empty() {
                return Ok(found);
            }
            batch.clear();
            ids.clear();
            equal.clear();
            batch.extend(open.iter().map(|i| rows[*i as usize]));
            ids.extend(open.iter().map(|i| heads[*i as usize]));
            equal.resize(open.len(), true);
            store.compare(&self.columns, probe, &batch, &ids, &mut equal)?;
            let mut at = 0;
            open.retain(|i| {
                let (id, equal) = (ids[at], equal[at]);
                at += 1;
                if equal {
                    found[*i as usize] = id;
                } else {
                    heads[*i as usize] = *self.next.get(id);
                }
                !equal
            });
        }
    }

    /// Takes the rows of a segment, and dead rows met on the way, out of their chains. Call before the segment is
    /// dropped.
    pub(crate) fn unlink(&mut self, store: &RowStore, segment: usize) -> Result<()> {
        let ids = store.ids(segment);
        let columns = store.gather_some(&self.columns, &ids)?;
        let mut hashes = Vec::new();
        hash_columns(&columns, ids.len(), &mut hashes)?;
        let mut shorts: Vec<u32> = hashes.into_iter().map(short).collect();
        // Each chain is walked once, however many of its rows go.
        shorts.sort_unstable();
        shorts.dedup();
        for short in shorts {
            let Some(slot) = self.index.find(short) else { continue };
            let (mut id, mut last) = (self.index.head(slot), NONE);
            while id != NONE {
                let next = *self.next.get(id);
                if segment_of(id) == segment || !store.is_live(id) {
                    match last {
                        NONE => self.index.set_head(slot, next),
                        last => *self.next.get_mut(last) = next,
                    }
                } else {
                    last = id;
                }
                id = next;
            }
        }
        self.next.clear(segment);
        Ok(())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.index.bytes() + self.next.bytes()
    }
}
