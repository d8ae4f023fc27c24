//! `Values`: which values each group holds, for the calls that must know: DISTINCT, retractable min and max, functions
//! that are recomputed. Calls over the same columns share one table: one probe a row. It must not know results.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::DataType;
use thalweg_core::{Result, hash_columns};

use super::accumulator::valid;
use crate::KeyTable;

/// A call that follows the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// `FILTER` column of the input.
    pub(super) filter: Option<usize>,
    /// Where its comings and goings are sent; `None` for a call that reads the table itself.
    pub(super) slot: Option<usize>,
}

/// Values that came (+1) or went (−1) for one member.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) groups: Vec<u32>,
    /// Rows of the change that hold the values.
    pub(super) rows: Vec<u32>,
    pub(super) weights: Vec<i64>,
}

/// What an entry says of each member.
#[derive(Debug)]
pub(super) enum Marks {
    /// Nothing is ever taken back: a bit a member that has seen the value.
    Bits(Vec<u32>),
    /// How often the value is there, per entry and member.
    Counts(Vec<i64>),
}

/// Bits to an entry in [`Marks::Bits`].
pub(super) const MOST_BITS: usize = 32;

const END: u32 = u32::MAX;
pub(super) const DIRTY: u8 = 1;
pub(super) const SAVED: u8 = 2;

#[derive(Debug)]
pub(super) struct Values {
    /// Columns of the input that make a value.
    pub(super) columns: Vec<usize>,
    /// Rows with a null among them do not count.
    pub(super) skip_nulls: bool,
    pub(super) members: Vec<Member>,
    /// (group, value columns) to entry.
    pub(super) table: KeyTable,
    pub(super) marks: Marks,
    /// By entry: its group and its neighbours in the list of the group's entries.
    pub(super) owner: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    pub(super) flags: Vec<u8>,
    /// By group: its first entry.
    heads: Vec<u32>,
    /// Entries that may hold nothing any more.
    emptied: Vec<u32>,
    /// Group keys and values of saved entries that are gone since the last snapshot.
    pub(super) gone: Vec<Vec<ArrayRef>>,
    /// Name of its table in a snapshot.
    pub(super) name: &'static str,
}

impl Values {
    pub(super) fn new(
        columns: Vec<usize>,
        types: &[DataType],
        skip_nulls: bool,
        counted: bool,
        name: &'static str,
    ) -> Result<Self> {
        let types: Vec<DataType> = std::iter::once(DataType::UInt32).chain(types.iter().cloned()).collect();
        Ok(Self {
            columns,
            skip_nulls,
            members: Vec::new(),
            table: KeyTable::new(&types)?,
            marks: if counted { Marks::Counts(Vec::new()) } else { Marks::Bits(Vec::new()) },
            owner: Vec::new(),
            next: Vec::new(),
            previous: Vec::new(),
            flags: Vec::new(),
            heads: Vec::new(),
            emptied: Vec::new(),
            gone: Vec::new(),
            name,
        })
    }

    /// Entries count how often their value is there.
    pub(super) fn counted(&self) -> bool {
        matches!(self.marks, Marks::Counts(_))
    }

    /// Takes rows; the events of each member (in order) are written to `events`.
    pub(super) fn update(
        &mut self,
        groups: &[u32],
        rows: &RecordBatch,
        weights: Option<&[i64]>,
        events: &mut Vec<Events>,
    ) -> Result<()> {
        events.clear();
        events.resize_with(self.members.len(), Events::default);
        // Per member the rows that pass its filter, and the rows that pass any and have a value.
        let passed: Vec<Option<BooleanBuffer>> = self.members.iter().map(|m| filter_of(rows, m.filter)).collect();
        let mut wanted: Option<BooleanBuffer> = None;
        if passed.iter().all(Option::is_some) {
            for buffer in passed.iter().flatten() {
                wanted = Some(wanted.map_or_else(|| buffer.clone(), |w| &w | buffer));
            }
        }
        if self.skip_nulls {
            for column in &self.columns {
                wanted = super::accumulator::both(wanted, valid(rows.column(*column)));
            }
        }
        let wanted = wanted.filter(|w| w.count_set_bits() < w.len());
        let picked: Option<Vec<u32>> = wanted.map(|w| w.set_indices().map(|i| i as u32).collect());
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        match &picked {
            None => {
                columns.push(Arc::new(UInt32Array::from(groups.to_vec())) as ArrayRef);
                columns.extend(self.columns.iter().map(|c| Arc::clone(rows.column(*c))));
            }
            Some(picked) => {
                let indices = UInt32Array::from(picked.clone());
                columns.push(Arc::new(UInt32Array::from_iter_values(picked.iter().map(|i| groups[*i as usize]))));
                for column in &self.columns {
                    columns.push(take(rows.column(*column), &indices, None)?);
                }
            }
        }
        let (mut hashes, mut entries) = (Vec::new(), Vec::new());
        hash_columns(&columns, columns[0].len(), &mut hashes)?;
        self.table.intern(&columns, &hashes, &mut entries)?;
        self.grow();
        let masks = member_masks(&passed, rows.num_rows());
        let everyone = u32::MAX >> (32 - self.members.len().clamp(1, 32));
        for (i, entry) in entries.iter().enumerate() {
            let row = picked.as_ref().map_or(i, |p| p[i] as usize);
            let entry = *entry as usize;
            if self.owner[entry] == END {
                self.link(entry, groups[row]);
            }
            match &mut self.marks {
                Marks::Bits(bits) => {
                    let mut new = masks.as_ref().map_or(everyone, |m| m[row]) & !bits[entry];
                    if new != 0 {
                        bits[entry] |= new;
                        self.flags[entry] |= DIRTY;
                        while new != 0 {
                            let event = &mut events[new.trailing_zeros() as usize];
                            event.groups.push(groups[row]);
                            event.rows.push(row as u32);
                            new &= new - 1;
                        }
                    }
                }
                Marks::Counts(counts) => {
                    let weight = weights.map_or(1, |w| w[row]);
                    let width = self.members.len();
                    let mut emptied = true;
                    for (k, count) in counts[entry * width..(entry + 1) * width].iter_mut().enumerate() {
                        if passed[k].as_ref().is_some_and(|p| !p.value(row)) {
                            emptied &= *count == 0;
                            continue;
                        }
                        let before = *count > 0;
                        *count += weight;
                        emptied &= *count == 0;
                        if before != (*count > 0) && self.members[k].slot.is_some() {
                            events[k].groups.push(groups[row]);
                            events[k].rows.push(row as u32);
                            events[k].weights.push(if before { -1 } else { 1 });
                        }
                    }
                    self.flags[entry] |= DIRTY;
                    if emptied {
                        self.emptied.push(entry as u32);
                    }
                }
            }
        }
        Ok(())
    }

    /// Room for every entry of the table.
    pub(super) fn grow(&mut self) {
        let entries = self.table.capacity();
        if self.owner.len() < entries {
            self.owner.resize(entries, END);
            self.next.resize(entries, END);
            self.previous.resize(entries, END);
            self.flags.resize(entries, 0);
            match &mut self.marks {
                Marks::Bits(bits) => bits.resize(entries, 0),
                Marks::Counts(counts) => counts.resize(entries * self.members.len(), 0),
            }
        }
    }

    /// Puts a new entry at the head of its group's list.
    pub(super) fn link(&mut self, entry: usize, group: u32) {
        if self.heads.len() <= group as usize {
            self.heads.resize(group as usize + 1, END);
        }
        let head = std::mem::replace(&mut self.heads[group as usize], entry as u32);
        self.owner[entry] = group;
        self.next[entry] = head;
        self.previous[entry] = END;
        if head != END {
            self.previous[head as usize] = entry as u32;
        }
    }

    fn unlink(&mut self, entry: usize) {
        let (previous, next) = (self.previous[entry], self.next[entry]);
        if next != END {
            self.previous[next as usize] = previous;
        }
        if previous != END {
            self.next[previous as usize] = next;
        } else {
            self.heads[self.owner[entry] as usize] = next;
        }
    }

    /// An entry that holds nothing, ready to be used again.
    fn blank(&mut self, entry: usize) {
        self.owner[entry] = END;
        self.flags[entry] = 0;
        match &mut self.marks {
            Marks::Bits(bits) => bits[entry] = 0,
            Marks::Counts(counts) => counts[entry * self.members.len()..(entry + 1) * self.members.len()].fill(0),
        }
    }

    /// Takes out all that an entry holds; `settle` forgets it.
    pub(super) fn empty(&mut self, entry: u32) {
        let width = self.members.len();
        match &mut self.marks {
            Marks::Bits(bits) => bits[entry as usize] = 0,
            Marks::Counts(counts) => counts[entry as usize * width..(entry as usize + 1) * width].fill(0),
        }
        self.emptied.push(entry);
    }

    pub(super) fn is_empty_entry(&self, entry: usize) -> bool {
        match &self.marks {
            Marks::Bits(bits) => bits[entry] == 0,
            Marks::Counts(counts) => {
                counts[entry * self.members.len()..(entry + 1) * self.members.len()].iter().all(|n| *n == 0)
            }
        }
    }

    /// The entries of `group`.
    pub(super) fn entries_of(&self, group: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.heads.get(group as usize).copied().unwrap_or(END);
        std::iter::successors((first != END).then_some(first), |entry| {
            Some(self.next[*entry as usize]).filter(|next| *next != END)
        })
    }

    /// Forgets entries that hold nothing; `keys` are the keys of the groups. At the end of an epoch.
    pub(super) fn settle(&mut self, keys: &KeyTable) -> Result<()> {
        let mut emptied = std::mem::take(&mut self.emptied);
        emptied.sort_unstable();
        emptied.dedup();
        emptied.retain(|e| self.owner[*e as usize] != END && self.is_empty_entry(*e as usize));
        self.bury(&emptied, keys)?;
        self.drop_entries(&emptied)
    }

    /// Remembers for the next snapshot that saved `entries` are gone.
    fn bury(&mut self, entries: &[u32], keys: &KeyTable) -> Result<()> {
        let saved: Vec<u32> = entries.iter().copied().filter(|e| self.flags[*e as usize] & SAVED != 0).collect();
        if !saved.is_empty() {
            self.gone.push(self.full_keys(&saved, keys)?);
        }
        Ok(())
    }

    /// Group key columns, then value columns, of `entries`.
    pub(super) fn full_keys(&self, entries: &[u32], keys: &KeyTable) -> Result<Vec<ArrayRef>> {
        let owners: Vec<u32> = entries.iter().map(|e| self.owner[*e as usize]).collect();
        let mut columns = keys.keys(&owners)?;
        columns.extend(self.table.keys(entries)?.into_iter().skip(1));
        Ok(columns)
    }

    pub(super) fn drop_entries(&mut self, entries: &[u32]) -> Result<()> {
        self.table.remove(entries)?;
        for entry in entries {
            self.unlink(*entry as usize);
            self.blank(*entry as usize);
        }
        Ok(())
    }

    /// Forgets all entries of `groups`, which are forgotten themselves.
    pub(super) fn reset(&mut self, groups: &[u32]) -> Result<()> {
        let entries: Vec<u32> = groups.iter().flat_map(|g| self.entries_of(*g)).collect();
        self.table.remove(&entries)?;
        for entry in entries {
            self.blank(entry as usize);
        }
        for group in groups {
            if let Some(head) = self.heads.get_mut(*group as usize) {
                *head = END;
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        let marks = match &self.marks {
            Marks::Bits(bits) => bits.capacity() * 4,
            Marks::Counts(counts) => counts.capacity() * 8,
        };
        self.table.bytes() + marks + self.owner.capacity() * 13 + self.heads.capacity() * 4
    }
}

/// The rows that pass a filter column (null is false), or `None` without a filter.
pub(super) fn filter_of(rows: &RecordBatch, filter: Option<usize>) -> Option<BooleanBuffer> {
    let column = rows.column(filter?).as_boolean();
    Some(match column.nulls().filter(|n| n.null_count() > 0) {
        None => column.values().clone(),
        Some(nulls) => column.values() & nulls.inner(),
    })
}

/// Per row a bit for each member whose filter it passes; `None` when no member has a filter.
fn member_masks(passed: &[Option<BooleanBuffer>], rows: usize) -> Option<Vec<u32>> {
    if passed.iter().all(Option::is_none) || passed.len() > MOST_BITS {
        return None;
    }
    let open = passed.iter().enumerate().filter(|(_, p)| p.is_none()).fold(0u32, |m, (k, _)| m | 1 << k);
    let mut masks = vec![open; rows];
    for (k, buffer) in passed.iter().enumerate() {
        for row in buffer.iter().flat_map(BooleanBuffer::set_indices) {
            masks[row] |= 1 << k;
        }
    }
    Some(masks)
}
