//! `Side`: the stored rows of one input of a join, with what stands beside each row: its link, weight and count of
//! matches. It must not know how results are made.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use thalweg_core::{EpochHeader, Result};
use thalweg_plan::{Bound, Distribution, JoinExpiry, Properties};

use super::saved::SavedLog;
use crate::store::{CHANGED, Chain, Lane, NONE, Picked, Retention, RowStore, SAVED};

/// When a counted side's row is part of the result by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// While it has no match: padded (outer) or plain (anti).
    Unmatched,
    /// While it has a match (semi).
    Matched,
}

impl Shown {
    /// The weight with which a row of `weight` and `count` matches is shown.
    #[inline]
    pub(super) fn weight(self, weight: i64, count: i64) -> i64 {
        match self {
            Self::Unmatched if count == 0 => weight,
            Self::Matched if count > 0 => weight,
            _ => 0,
        }
    }
}

/// Beside each row of an outer, semi or anti side.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) shown: Shown,
    /// Weights of the matches, summed.
    pub(super) count: Lane<i64>,
    /// Weight with which the row itself stands in the result.
    pub(super) emitted: Lane<i64>,
    /// Rows to look at when the epoch ends.
    pub(super) touched: Vec<u32>,
    /// Rows that can have no further match: they go when the epoch ends.
    pub(super) settled: Vec<u32>,
}

/// Beside each row of an input that retracts.
#[derive(Debug)]
pub(super) struct Weighted {
    pub(super) chain: Chain,
    pub(super) weight: Lane<i64>,
}

/// One input's state.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) schema: SchemaRef,
    pub(super) keys: Vec<usize>,
    /// Columns that decide the row's vnode.
    pub(super) placement: Vec<usize>,
    pub(super) store: RowStore,
    pub(super) chain: Chain,
    pub(super) weighted: Option<Weighted>,
    pub(super) counted: Option<Counted>,
    pub(super) saved: SavedLog,
    expiry: Option<(Bound, Retention)>,
}

impl Side {
    /// An empty side.
    pub(super) fn new(
        name: &'static str,
        input: &Properties,
        keys: Vec<usize>,
        shown: Option<Shown>,
        expiry: Option<JoinExpiry>,
    ) -> Self {
        let placement = match &input.distribution {
            Distribution::Hash(columns) => columns.clone(),
            Distribution::Any | Distribution::Single => keys.clone(),
        };
        let weighted = (!input.append_only).then(|| Weighted {
            chain: Chain::new((0..input.schema.fields().len()).collect()),
            weight: Lane::default(),
        });
        let counted = shown.map(|shown| Counted {
            shown,
            count: Lane::default(),
            emitted: Lane::default(),
            touched: Vec::new(),
            settled: Vec::new(),
        });
        Self {
            name,
            schema: SchemaRef::clone(&input.schema),
            chain: Chain::new(keys.clone()),
            keys,
            placement,
            store: RowStore::new(&input.schema),
            weighted,
            counted,
            saved: SavedLog::default(),
            expiry: expiry.map(|rule| (rule.bound, Retention::new(rule.column))),
        }
    }

    /// The weight of a stored row.
    #[inline]
    pub(super) fn weight(&self, id: u32) -> i64 {
        self.weighted.as_ref().map_or(1, |w| *w.weight.get(id))
    }

    /// Which rows of a batch no row of the other side can match any more; `None`: there are none.
    pub(super) fn expired(&self, rows: &RecordBatch) -> Option<Vec<bool>> {
        self.expiry.as_ref()?.1.below(rows.columns())
    }

    /// Stores rows that are not stored yet and returns their numbers.
    pub(super) fn insert(&mut self, columns: &[ArrayRef], rows: Picked<'_>, hashes: &[u64]) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(rows.len());
        self.store.append(columns, rows, &mut ids)?;
        match rows {
            Picked::Range(start, len) => self.chain.link(&ids, hashes[start..start + len].iter().copied()),
            Picked::Rows(rows) => self.chain.link(&ids, rows.iter().map(|row| hashes[*row as usize])),
        }
        self.note_times(&ids)?;
        Ok(ids)
    }

    fn note_times(&mut self, ids: &[u32]) -> Result<()> {
        match &mut self.expiry {
            Some((_, retention)) => retention.note(&self.store, ids),
            None => Ok(()),
        }
    }

    /// A row dies. A snapshot that holds it will hear of it.
    pub(super) fn kill(&mut self, ids: &[u32]) -> Result<()> {
        let held: Vec<u32> =
            ids.iter().copied().filter(|id| self.store.is_live(*id) && self.store.has(*id, SAVED)).collect();
        self.log(&held, |side, id| -side.weight(id))?;
        ids.iter().for_each(|id| self.store.kill(*id));
        Ok(())
    }

    /// Notes a change of weight of rows that a snapshot holds.
    pub(super) fn log(&mut self, ids: &[u32], change: impl Fn(&Self, u32) -> i64) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let weights = ids.iter().map(|id| change(self, *id)).collect();
        let counts = self.counts(ids);
        let columns = self.store.gather_all(ids)?;
        self.saved.push(&self.schema, columns, weights, counts)
    }

    /// The counts of rows; zeros when the side is not counted.
    pub(super) fn counts(&self, ids: &[u32]) -> Vec<i64> {
        match &self.counted {
            Some(counted) => ids.iter().map(|id| *counted.count.get(*id)).collect(),
            None => vec![0; ids.len()],
        }
    }

    /// Adds to a row's count of matches.
    #[inline]
    pub(super) fn add_match(&mut self, id: u32, weight: i64) {
        let Some(counted) = &mut self.counted else { return };
        *counted.count.get_mut(id) += weight;
        counted.touched.push(id);
        if self.store.has(id, SAVED) {
            self.store.mark(id, CHANGED, true);
        }
    }

    /// Forgets what the header lets go and rewrites segments that are mostly dead.
    pub(super) fn sweep(&mut self, header: &EpochHeader) -> Result<()> {
        self.expire(header)?;
        for segment in self.store.wasteful() {
            self.rewrite(segment)?;
        }
        Ok(())
    }

    fn expire(&mut self, header: &EpochHeader) -> Result<()> {
        let Some((bound, retention)) = &mut self.expiry else { return Ok(()) };
        let (gone, old) = retention.raise(&self.store, bound.eval(header).0)?;
        for segment in gone {
            let ids = self.store.live_ids(segment);
            self.kill(&ids)?;
            self.forget(segment)?;
        }
        self.kill(&old)
    }

    /// Drops a segment whose rows are not needed.
    fn forget(&mut self, segment: usize) -> Result<()> {
        self.chain.unlink(&self.store, segment)?;
        if let Some(weighted) = &mut self.weighted {
            weighted.chain.unlink(&self.store, segment)?;
            weighted.weight.clear(segment);
        }
        if let Some(counted) = &mut self.counted {
            counted.count.clear(segment);
            counted.emitted.clear(segment);
        }
        if let Some((_, retention)) = &mut self.expiry {
            retention.clear(segment);
        }
        self.store.drop_segment(segment);
        Ok(())
    }

    /// Moves the standing rows of a segment to the head and drops it.
    fn rewrite(&mut self, segment: usize) -> Result<()> {
        let old = self.store.live_ids(segment);
        let columns = self.store.gather_all(&old)?;
        let beside: Vec<(i64, i64, i64, bool, bool)> = old
            .iter()
            .map(|id| {
                let (count, emitted) =
                    self.counted.as_ref().map_or((0, 0), |c| (*c.count.get(*id), *c.emitted.get(*id)));
                (self.weight(*id), count, emitted, self.store.has(*id, SAVED), self.store.has(*id, CHANGED))
            })
            .collect();
        self.forget(segment)?;
        let mut ids = Vec::with_capacity(old.len());
        self.store.append(&columns, Picked::Range(0, old.len()), &mut ids)?;
        for (id, (weight, count, emitted, saved, changed)) in ids.iter().zip(beside) {
            self.put_beside(*id, weight, count, emitted);
            self.store.mark(*id, SAVED, saved);
            self.store.mark(*id, CHANGED, changed);
        }
        self.chain.link_stored(&self.store, &ids)?;
        if let Some(weighted) = &mut self.weighted {
            weighted.chain.link_stored(&self.store, &ids)?;
        }
        self.note_times(&ids)
    }

    /// Sets what stands beside a new row.
    pub(super) fn put_beside(&mut self, id: u32, weight: i64, count: i64, emitted: i64) {
        if let Some(weighted) = &mut self.weighted {
            weighted.weight.put(id, weight);
        }
        if let Some(counted) = &mut self.counted {
            counted.count.put(id, count);
            counted.emitted.put(id, emitted);
        }
    }

    /// Applies weights to rows that may be stored already (each row of the batch is distinct). `counts` are the
    /// matches of the rows.
    pub(super) fn apply(
        &mut self,
        columns: &[ArrayRef],
        rows: &[u32],
        hashes: &[u64],
        row_hashes: &[u64],
        weights: &[i64],
        counts: Option<&[i64]>,
    ) -> Result<()> {
        let Some(weighted) = &mut self.weighted else { return Ok(()) };
        let found = weighted.chain.find(&self.store, columns, row_hashes, rows)?;
        let (mut fresh, mut held, mut dead) = (Vec::new(), Vec::new(), Vec::new());
        for (row, id) in rows.iter().zip(&found) {
            let weight = weights[*row as usize];
            if *id == NONE {
                fresh.push(*row);
                continue;
            }
            let stored = weighted.weight.get_mut(*id);
            *stored += weight;
            if self.store.has(*id, SAVED) {
                held.push((*id, weight));
            }
            match &mut self.counted {
                Some(counted) => counted.touched.push(*id),
                None if *stored == 0 => dead.push(*id),
                None => {}
            }
        }
        let held_ids: Vec<u32> = held.iter().map(|(id, _)| *id).collect();
        let mut changes = held.iter().map(|(_, weight)| *weight);
        let next = std::cell::RefCell::new(&mut changes);
        self.log(&held_ids, |_, _| next.borrow_mut().next().unwrap_or(0))?;
        dead.iter().for_each(|id| self.store.kill(*id));
        let ids = self.insert(columns, Picked::Rows(&fresh), hashes)?;
        for (row, id) in fresh.iter().zip(&ids) {
            self.put_beside(*id, weights[*row as usize], counts.map_or(0, |c| c[*row as usize]), 0);
        }
        if let Some(weighted) = &mut self.weighted {
            weighted.chain.link(&ids, fresh.iter().map(|row| row_hashes[*row as usize]));
        }
        if let Some(counted) = &mut self.counted {
            counted.touched.extend_from_slice(&ids);
        }
        Ok(())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let weighted = self.weighted.as_ref().map_or(0, |w| w.chain.bytes() + w.weight.bytes());
        let counted = self.counted.as_ref().map_or(0, |c| c.count.bytes() + c.emitted.bytes());
        self.store.bytes() + self.chain.bytes() + weighted + counted + self.saved.bytes()
    }
}
