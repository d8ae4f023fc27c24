//! An aggregation's state on its way to and from a checkpoint. Table `groups`: key columns, `rows` (where rows may be
//! taken back), the accumulators' states; then the value tables. It must not know files or workers.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, UInt32Array};
use arrow::compute::filter_record_batch;
use thalweg_core::{Error, Result, hash_columns};

use super::keyed::{DIRTY, Keyed, LIVE, SAVED};
use crate::KeyTable;
use crate::accumulators::{concat_all, int64_state};
use crate::operator::{StateTable, kept_rows};
use crate::state_batch::state_batch;

const GROUPS: &str = "groups";

impl Keyed {
    pub(super) fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        let dirty: Vec<u32> =
            (0..self.flags.len() as u32).filter(|g| self.flags[*g as usize] & (LIVE | DIRTY) == LIVE | DIRTY).collect();
        let gone = std::mem::take(&mut self.gone);
        if dirty.is_empty() && gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut columns = self.table.keys(&dirty)?;
        // Always there, so that a table without keys and states still has rows.
        let rows = |g: &u32| self.rows.as_ref().map_or(1, |rows| rows[*g as usize]);
        columns.push(Arc::new(Int64Array::from_iter_values(dirty.iter().map(rows))));
        columns.extend(self.calls.state(&dirty)?);
        let deletes = if gone.is_empty() { None } else { Some(state_batch(concat_all(&gone)?)?) };
        let mut tables = vec![StateTable { name: GROUPS.into(), upserts: state_batch(columns)?, deletes }];
        tables.extend(self.calls.snapshot(&self.table)?);
        for group in dirty {
            self.flags[group as usize] = self.flags[group as usize] & !DIRTY | SAVED;
        }
        Ok(tables)
    }

    pub(super) fn save_all(&mut self) {
        self.gone.clear();
        for flags in self.flags.iter_mut().filter(|f| **f & LIVE != 0) {
            *flags = *flags & !SAVED | DIRTY;
        }
        self.calls.save_all();
    }

    pub(super) fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        for delta in deltas {
            for table in delta {
                if table.name == GROUPS {
                    self.restore_groups(table, keep)?;
                } else {
                    self.calls.restore(&self.table, table)?;
                }
            }
        }
        Ok(())
    }

    fn restore_groups(&mut self, state: &StateTable, keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let width = self.table.types().len();
        let (mut hashes, mut ids) = (Vec::new(), Vec::new());
        if let Some(deletes) = &state.deletes {
            hash_columns(deletes.columns(), deletes.num_rows(), &mut hashes)?;
            self.table.lookup(deletes.columns(), &hashes, &mut ids)?;
            ids.retain(|g| *g != KeyTable::ABSENT);
            if let Some(closing) = &mut self.closing {
                closing.forget(&ids);
            }
            for group in &ids {
                self.flags[*group as usize] &= !SAVED;
            }
            self.forget(&ids)?;
        }
        if state.upserts.num_columns() < width + 1 {
            return Err(Error::Internal(format!("saved groups of {} columns", state.upserts.num_columns())));
        }
        let placed: Vec<ArrayRef> = self.placement.iter().map(|c| Arc::clone(state.upserts.column(*c))).collect();
        hash_columns(&placed, state.upserts.num_rows(), &mut hashes)?;
        let kept = if width == 0 {
            BooleanArray::from(vec![self.initial_row || keep(thalweg_core::vnode(hashes[0])); hashes.len()])
        } else {
            kept_rows(&hashes, keep)
        };
        let upserts = filter_record_batch(&state.upserts, &kept)?;
        let keys = &upserts.columns()[..width];
        hash_columns(keys, upserts.num_rows(), &mut hashes)?;
        self.table.intern(keys, &hashes, &mut ids)?;
        self.grow();
        self.enter_restored(&ids, keys)?;
        self.calls.reset_cells(&ids);
        self.calls.merge(&ids, &upserts.columns()[width + 1..])?;
        if let Some(rows) = &mut self.rows {
            for (group, n) in ids.iter().zip(int64_state(upserts.columns(), width)?) {
                rows[*group as usize] = *n;
            }
        }
        Ok(())
    }

    /// Groups not known before get their place in the index of times.
    fn enter_restored(&mut self, ids: &[u32], keys: &[ArrayRef]) -> Result<()> {
        let born: Vec<u32> =
            (0..ids.len() as u32).filter(|row| self.flags[ids[*row as usize] as usize] & LIVE == 0).collect();
        if let Some(closing) = &mut self.closing
            && !born.is_empty()
        {
            let groups: Vec<u32> = born.iter().map(|row| ids[*row as usize]).collect();
            let times = arrow::compute::take(&keys[closing.key()], &UInt32Array::from(born), None)?;
            closing.enter(&groups, &times)?;
        }
        for group in ids {
            self.flags[*group as usize] = LIVE | SAVED;
        }
        Ok(())
    }
}
