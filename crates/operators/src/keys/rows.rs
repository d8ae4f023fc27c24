//! `RowTable`: keys of any type as encoded rows in an arena. It must not know what the columns mean.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, RowParser, SortField};
use thalweg_core::{Error, Result};

use super::slots::Slots;
use super::{KeyTable, next_group, normalised};

/// Dead bytes below this are not worth a compaction.
const SMALL: usize = 64 * 1024;

/// A key table over Arrow's row encoding.
#[derive(Debug)]
pub(super) struct RowTable {
    converter: RowConverter,
    parser: RowParser,
    slots: Slots,
    arena: Vec<u8>,
    /// By group: where its row starts in the arena and how long it is; stale for freed groups.
    spans: Vec<(usize, u32)>,
    free: Vec<u32>,
    dead: usize,
}

impl RowTable {
    pub(super) fn new(types: &[DataType]) -> Result<Self> {
        let fields: Vec<SortField> = types.iter().map(|t| SortField::new(t.clone())).collect();
        if !RowConverter::supports_fields(&fields) {
            return Err(Error::Unsupported(format!("grouping or joining by columns of types {types:?}")));
        }
        let converter = RowConverter::new(fields)?;
        let parser = converter.parser();
        Ok(Self {
            converter,
            parser,
            slots: Slots::new(),
            arena: Vec::new(),
            spans: Vec::new(),
            free: Vec::new(),
            dead: 0,
        })
    }

    fn encode(&self, columns: &[ArrayRef]) -> Result<arrow::row::Rows> {
        let columns: Vec<ArrayRef> = columns.iter().map(normalised).collect();
        Ok(self.converter.convert_columns(&columns)?)
    }

    #[inline]
    fn bytes_of(&self, group: u32) -> &[u8] {
        let (start, len) = self.spans[group as usize];
        &self.arena[start..start + len as usize]
    }

    pub(super) fn intern(&mut self, columns: &[ArrayRef], hashes: &[u64], out: &mut Vec<u32>) -> Result<()> {
        let rows = self.encode(columns)?;
        for (i, hash) in hashes.iter().enumerate() {
            let row = rows.row(i);
            let key = row.data();
            let mut group = self.slots.find(*hash, |group| self.bytes_of(group) == key);
            if group == KeyTable::ABSENT {
                group = self.add(key)?;
                self.slots.insert(*hash, group);
            }
            out.push(group);
        }
        Ok(())
    }

    pub(super) fn lookup(&self, columns: &[ArrayRef], hashes: &[u64], out: &mut Vec<u32>) -> Result<()> {
        let rows = self.encode(columns)?;
        for (i, hash) in hashes.iter().enumerate() {
            let row = rows.row(i);
            out.push(self.slots.find(*hash, |group| self.bytes_of(group) == row.data()));
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8]) -> Result<u32> {
        let len = u32::try_from(key.len()).map_err(|_| Error::Data("a key is longer than 4 GiB".into()))?;
        let span = (self.arena.len(), len);
        let group = next_group(&mut self.free, self.spans.len())?;
        self.arena.extend_from_slice(key);
        if group as usize == self.spans.len() {
            self.spans.push(span);
        } else {
            self.spans[group as usize] = span;
        }
        Ok(group)
    }

    pub(super) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(self.converter.convert_rows(groups.iter().map(|g| self.parser.parse(self.bytes_of(*g))))?)
    }

    pub(super) fn remove(&mut self, groups: &[u32], hashes: &[u64]) {
        for (group, hash) in groups.iter().zip(hashes) {
            self.slots.remove(*hash, *group);
            self.dead += self.spans[*group as usize].1 as usize;
            self.free.push(*group);
        }
        if self.dead > SMALL && self.dead * 2 > self.arena.len() {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.dead);
        for group in self.slots.groups() {
            let (start, len) = self.spans[group as usize];
            self.spans[group as usize].0 = arena.len();
            arena.extend_from_slice(&self.arena[start..start + len as usize]);
        }
        self.arena = arena;
        self.dead = 0;
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.arena.clear();
        self.spans.clear();
        self.free.clear();
        self.dead = 0;
    }

    pub(super) fn groups(&self) -> Vec<u32> {
        self.slots.groups().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes()
            + self.arena.capacity()
            + self.spans.capacity() * size_of::<(usize, u32)>()
            + self.free.capacity() * 4
    }
}
