//! `RowBag`: rows of groups with how often each is there, for what must be computed anew.
//! It must not know what that is.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use thalweg_core::Result;

use super::values::{Marks, Member, Values};
use crate::KeyTable;
use crate::operator::StateTable;

/// A value table that one reader follows.
pub(crate) struct RowBag {
    values: Values,
}

impl RowBag {
    /// Rows of the `columns` of an input, which have `types`.
    pub(crate) fn new(columns: Vec<usize>, types: &[DataType]) -> Result<Self> {
        let mut values = Values::new(columns, types, false, true, "rows")?;
        values.members.push(Member { filter: None, slot: None });
        Ok(Self { values })
    }

    /// Adds rows to their groups.
    pub(crate) fn update(&mut self, groups: &[u32], rows: &RecordBatch, weights: Option<&[i64]>) -> Result<()> {
        self.values.update(groups, rows, weights, &mut Vec::new())
    }

    /// The entries of `groups`, the group of each, and how often it is there (at least once).
    pub(crate) fn entries(&self, groups: &[u32]) -> (Vec<u32>, Vec<u32>, Vec<i64>) {
        let (mut entries, mut owners, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            for entry in self.values.entries_of(*group) {
                let count = self.count(entry);
                if count > 0 {
                    entries.push(entry);
                    owners.push(*group);
                    counts.push(count);
                }
            }
        }
        (entries, owners, counts)
    }

    fn count(&self, entry: u32) -> i64 {
        match &self.values.marks {
            Marks::Counts(counts) => counts[entry as usize],
            Marks::Bits(bits) => i64::from(bits[entry as usize]),
        }
    }

    /// The rows of `entries`.
    pub(crate) fn columns(&self, entries: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(self.values.table.keys(entries)?.split_off(1))
    }

    /// Takes all of an entry out.
    pub(crate) fn empty(&mut self, entry: u32) {
        self.values.empty(entry);
    }

    /// The group has no rows.
    pub(crate) fn is_idle(&self, group: u32) -> bool {
        self.values.entries_of(group).next().is_none()
    }

    /// At the end of an epoch: forgets entries that are not there any more.
    pub(crate) fn settle(&mut self, keys: &KeyTable) -> Result<()> {
        self.values.settle(keys)
    }

    /// What changed since the last call.
    pub(crate) fn snapshot(&mut self, keys: &KeyTable) -> Result<Option<StateTable>> {
        self.values.snapshot(keys)
    }

    /// The next snapshot holds every row.
    pub(crate) fn save_all(&mut self) {
        self.values.save_all();
    }

    /// Applies a saved change, for the groups that `keys` knows.
    pub(crate) fn restore(&mut self, keys: &KeyTable, state: &StateTable) -> Result<()> {
        self.values.restore(keys, state, &[false], &mut |_, _| Ok(()))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.values.bytes()
    }
}
