//! Open sessions on their way to and from a checkpoint: table `sessions`, one row a session: key columns, start, last
//! row's time, the states of the calls. A key's rows replace all that was saved of the key before.
//! It must not know files or workers.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use thalweg_core::{Result, hash_columns};

use super::open::{NONE, Open};
use crate::KeyTable;
use crate::accumulators::{concat_all, int64_state};
use crate::operator::{StateTable, kept_rows};
use crate::state_batch::state_batch;

const SESSIONS: &str = "sessions";

impl Open {
    pub(super) fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        let (mut sessions, mut keys) = (Vec::new(), Vec::new());
        for (number, key) in self.keys.iter_mut().enumerate().filter(|(_, k)| k.dirty && k.head != NONE) {
            key.dirty = false;
            key.saved = true;
            let mut at = key.head;
            while at != NONE {
                sessions.push(at);
                keys.push(number as u32);
                at = self.spans[at as usize].next;
            }
        }
        let gone = std::mem::take(&mut self.gone);
        if sessions.is_empty() && gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut columns = self.table.keys(&keys)?;
        let spans = || sessions.iter().map(|s| self.spans[*s as usize]);
        columns.push(Arc::new(Int64Array::from_iter_values(spans().map(|s| s.start))));
        columns.push(Arc::new(Int64Array::from_iter_values(spans().map(|s| s.last))));
        columns.extend(self.calls.state(&sessions)?);
        let deletes = if gone.is_empty() { None } else { Some(state_batch(concat_all(&gone)?)?) };
        Ok(vec![StateTable { name: SESSIONS.into(), upserts: state_batch(columns)?, deletes }])
    }

    pub(super) fn save_all(&mut self) {
        self.gone.clear();
        for key in &mut self.keys {
            key.dirty = key.head != NONE;
            key.saved = false;
        }
    }

    pub(super) fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        for table in deltas.iter().flatten() {
            if let Some(deletes) = &table.deletes {
                self.restore_deletes(deletes)?;
            }
            self.restore_sessions(&table.upserts, keep)?;
        }
        Ok(())
    }

    fn restore_deletes(&mut self, deletes: &RecordBatch) -> Result<()> {
        let (mut hashes, mut ids) = (Vec::new(), Vec::new());
        hash_columns(deletes.columns(), deletes.num_rows(), &mut hashes)?;
        self.table.lookup(deletes.columns(), &hashes, &mut ids)?;
        ids.retain(|key| *key != KeyTable::ABSENT);
        for key in &ids {
            self.clear_key(*key)?;
            self.keys[*key as usize].saved = false;
        }
        self.emptied.extend(ids);
        self.forget_keys()
    }

    fn restore_sessions(&mut self, upserts: &RecordBatch, keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let width = self.table.types().len();
        let (mut hashes, mut ids) = (Vec::new(), Vec::new());
        let placed: Vec<ArrayRef> = self.shape.placement.iter().map(|c| Arc::clone(upserts.column(*c))).collect();
        hash_columns(&placed, upserts.num_rows(), &mut hashes)?;
        let upserts = filter_record_batch(upserts, &kept_rows(&hashes, keep))?;
        let keys: &[ArrayRef] = &upserts.columns()[..width];
        hash_columns(keys, upserts.num_rows(), &mut hashes)?;
        self.table.intern(keys, &hashes, &mut ids)?;
        self.grow_keys();
        for key in &ids {
            self.clear_key(*key)?;
            self.keys[*key as usize].saved = true;
        }
        let (starts, lasts) = (int64_state(upserts.columns(), width)?, int64_state(upserts.columns(), width + 1)?);
        let sessions: Vec<u32> =
            ids.iter().zip(starts).zip(lasts).map(|((key, start), last)| self.open(*key, *start, *last)).collect();
        self.calls.grow(self.spans.len());
        self.calls.merge(&sessions, &upserts.columns()[width + 2..])
    }
}
