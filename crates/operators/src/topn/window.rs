//! `Change`: the difference between what was shown of partitions and what is to be shown. It must not know how rows
//! are kept in order.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use thalweg_core::{DeltaBatch, Result};

use super::{OUT_ROWS, Spec};
use crate::operator::Output;
use crate::store::{RowStore, SortKey, consolidate};

/// The shown part of a partition before and after an epoch.
pub(super) struct Windows<'a, K> {
    pub(super) before: &'a [(K, u32)],
    pub(super) after: &'a [(K, u32)],
    pub(super) offset: usize,
}

/// Rows that leave and rows that come, with their ranks.
#[derive(Debug, Default)]
pub(super) struct Change {
    leave: Vec<(u32, i64)>,
    come: Vec<(u32, i64)>,
    /// Places in `leave` and `come` that may hold equal rows.
    suspects: Vec<(usize, usize)>,
}

impl<K: SortKey> Windows<'_, K> {
    /// Rows matter, ranks do not.
    pub(super) fn plain(&self, change: &mut Change) {
        let sorted = |rows: &[(K, u32)]| {
            let mut ids: Vec<u32> = rows.iter().map(|(_, id)| *id).collect();
            ids.sort_unstable();
            ids
        };
        let (before, after) = (sorted(self.before), sorted(self.after));
        let gone = self.before.iter().filter(|(_, id)| after.binary_search(id).is_err());
        change.leave.extend(gone.map(|(_, id)| (*id, 0)));
        let new = self.after.iter().filter(|(_, id)| before.binary_search(id).is_err());
        change.come.extend(new.map(|(_, id)| (*id, 0)));
    }

    /// A row with another rank is another row.
    pub(super) fn ranked(&self, change: &mut Change) {
        for i in 0..self.before.len().max(self.after.len()) {
            let rank = (self.offset + i + 1) as i64;
            let (before, after) = (self.before.get(i), self.after.get(i));
            if let (Some((old_key, old)), Some((key, new))) = (before, after) {
                if old == new {
                    continue;
                }
                // Rows that tie may be equal altogether.
                if old_key == key {
                    change.suspects.push((change.leave.len(), change.come.len()));
                }
            }
            change.leave.extend(before.map(|(_, id)| (*id, rank)));
            change.come.extend(after.map(|(_, id)| (*id, rank)));
        }
    }
}

impl Change {
    /// Emits the change, consolidated.
    pub(super) fn emit(mut self, store: &RowStore, spec: &Spec, out: &mut Output) -> Result<()> {
        let columns: Vec<usize> = (0..spec.schema.fields().len()).collect();
        self.drop_equal(store, &columns)?;
        let rows = |part: &[(u32, i64)]| -> Result<RecordBatch> {
            let ids: Vec<u32> = part.iter().map(|(id, _)| *id).collect();
            let mut values: Vec<ArrayRef> = store.gather_some(&columns, &ids)?;
            if spec.rank {
                values.push(spec.ranks(part.iter().map(|(_, rank)| *rank))?);
            }
            Ok(RecordBatch::try_new(Arc::clone(&spec.output), values)?)
        };
        let mut all = Vec::new();
        for part in self.leave.chunks(OUT_ROWS) {
            all.push(DeltaBatch::insert(rows(part)?).negated());
        }
        for part in self.come.chunks(OUT_ROWS) {
            all.push(DeltaBatch::insert(rows(part)?));
        }
        // Only where rows can leave and come equal, ranks or not, is more to be done.
        if !spec.append_only && !self.leave.is_empty() && !self.come.is_empty() {
            all = vec![consolidate(&DeltaBatch::concat(&spec.output, &all)?)?];
        }
        all.into_iter().for_each(|delta| out.push(delta));
        Ok(())
    }

    fn drop_equal(&mut self, store: &RowStore, columns: &[usize]) -> Result<()> {
        if self.suspects.is_empty() {
            return Ok(());
        }
        let old: Vec<u32> = self.suspects.iter().map(|(leave, _)| self.leave[*leave].0).collect();
        let new: Vec<u32> = self.suspects.iter().map(|(_, come)| self.come[*come].0).collect();
        let values = store.gather_some(columns, &old)?;
        let rows: Vec<u32> = (0..old.len() as u32).collect();
        let mut equal = vec![true; old.len()];
        store.compare(columns, &values, &rows, &new, &mut equal)?;
        let (mut leave, mut come) = (vec![true; self.leave.len()], vec![true; self.come.len()]);
        for ((l, c), _) in self.suspects.iter().zip(&equal).filter(|(_, equal)| **equal) {
            leave[*l] = false;
            come[*c] = false;
        }
        let (mut leave, mut come) = (leave.into_iter(), come.into_iter());
        self.leave.retain(|_| leave.next().unwrap_or(true));
        self.come.retain(|_| come.next().unwrap_or(true));
        Ok(())
    }
}
