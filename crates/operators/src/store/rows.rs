//! `RowStore`: rows in segments of columns, appended, gathered, marked dead, and dropped by segment. It must not know
//! keys or why a row dies.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use thalweg_core::{Error, Result};

use super::column::Column;
use super::{Picked, SEGMENT_BITS, SEGMENT_ROWS, place_of, segment_of};

/// The row does not stand any more; its values stay until its segment goes.
const DEAD: u8 = 1;
/// A snapshot holds the row.
pub(crate) const SAVED: u8 = 2;
/// The row came, or changed, in the epoch that is open.
pub(crate) const FRESH: u8 = 4;
/// What stands beside the row changed since a snapshot took it.
pub(crate) const CHANGED: u8 = 8;

#[derive(Debug, Default)]
struct Segment {
    used: bool,
    live: usize,
    flags: Vec<u8>,
}

/// Rows under 32-bit numbers; a number is used again only after its segment was dropped.
#[derive(Debug)]
pub(crate) struct RowStore {
    columns: Vec<Column>,
    segments: Vec<Segment>,
    free: Vec<usize>,
    head: Option<usize>,
    live: usize,
    dead: usize,
}

impl RowStore {
    /// An empty store for rows of a schema.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        Self::of_types(schema.fields().iter().map(|f| f.data_type()))
    }

    /// An empty store for columns of these types.
    pub(crate) fn of_types<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Self {
        let columns = types.into_iter().map(Column::new).collect();
        Self { columns, segments: Vec::new(), free: Vec::new(), head: None, live: 0, dead: 0 }
    }

    /// Rows that stand.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// No row that is held is dead.
    pub(crate) fn all_live(&self) -> bool {
        self.dead == 0
    }

    /// The segments in use.
    pub(crate) fn segments(&self) -> impl Iterator<Item = usize> + '_ {
        self.segments.iter().enumerate().filter(|(_, s)| s.used).map(|(i, _)| i)
    }

    /// Standing rows of a segment.
    pub(crate) fn segment_live(&self, segment: usize) -> usize {
        self.segments[segment].live
    }

    /// The numbers of all rows of a segment.
    pub(crate) fn ids(&self, segment: usize) -> Vec<u32> {
        let base = (segment as u32) << SEGMENT_BITS;
        (0..self.segments[segment].flags.len() as u32).map(|place| base | place).collect()
    }

    /// The numbers of the standing rows of a segment.
    pub(crate) fn live_ids(&self, segment: usize) -> Vec<u32> {
        let base = (segment as u32) << SEGMENT_BITS;
        let flags = self.segments[segment].flags.iter().enumerate();
        flags.filter(|(_, f)| **f & DEAD == 0).map(|(place, _)| base | place as u32).collect()
    }

    /// Appends rows of a batch's columns and adds their numbers to `ids`.
    ///
    /// # Errors
    /// More than two billion rows.
    pub(crate) fn append(&mut self, columns: &[ArrayRef], rows: Picked<'_>, ids: &mut Vec<u32>) -> Result<()> {
        let mut done = 0;
        while done < rows.len() {
            let segment = self.open_segment()?;
            let used = self.segments[segment].flags.len();
            let len = (rows.len() - done).min(SEGMENT_ROWS - used);
            let part = rows.part(done, len);
            for (column, array) in self.columns.iter_mut().zip(columns) {
                column.append(segment, array, part)?;
            }
            let info = &mut self.segments[segment];
            info.flags.resize(used + len, FRESH);
            info.live += len;
            self.live += len;
            let base = (segment as u32) << SEGMENT_BITS;
            ids.extend((used..used + len).map(|place| base | place as u32));
            done += len;
        }
        Ok(())
    }

    fn open_segment(&mut self) -> Result<usize> {
        if let Some(head) = self.head
            && self.segments[head].flags.len() < SEGMENT_ROWS
        {
            return Ok(head);
        }
        let segment = match self.free.pop() {
            Some(segment) => segment,
            // The upper half of the numbers is left out: users mark rows that are not stored yet by the top bit.
            None if self.segments.len() >= 1 << (31 - SEGMENT_BITS) => {
                return Err(Error::Unsupported("more than two billion rows of state in one worker".into()));
            }
            None => {
                self.segments.push(Segment::default());
                self.segments.len() - 1
            }
        };
        self.segments[segment].used = true;
        self.head = Some(segment);
        Ok(segment)
    }

    /// Column `column` of rows.
    pub(crate) fn gather(&self, column: usize, ids: &[u32]) -> Result<ArrayRef> {
        self.columns[column].gather(ids)
    }

    /// All columns of rows.
    pub(crate) fn gather_all(&self, ids: &[u32]) -> Result<Vec<ArrayRef>> {
        self.columns.iter().map(|column| column.gather(ids)).collect()
    }

    /// Some columns of rows.
    pub(crate) fn gather_some(&self, columns: &[usize], ids: &[u32]) -> Result<Vec<ArrayRef>> {
        columns.iter().map(|column| self.columns[*column].gather(ids)).collect()
    }

    /// Clears `equal` where row `rows[i]` of `probe` and stored row `ids[i]` differ in `columns`.
    pub(crate) fn compare(
        &self,
        columns: &[usize],
        probe: &[ArrayRef],
        rows: &[u32],
        ids: &[u32],
        equal: &mut [bool],
    ) -> Result<()> {
        for (column, probe) in columns.iter().zip(probe) {
            self.columns[*column].compare(probe, rows, ids, equal)?;
        }
        Ok(())
    }

    /// The row stands; a number whose segment was dropped does not.
    #[inline]
    pub(crate) fn is_live(&self, id: u32) -> bool {
        self.segments[segment_of(id)].flags.get(place_of(id)).is_some_and(|flags| flags & DEAD == 0)
    }

    /// A flag of a row.
    #[inline]
    pub(crate) fn has(&self, id: u32, flag: u8) -> bool {
        self.segments[segment_of(id)].flags[place_of(id)] & flag != 0
    }

    /// Sets or clears a flag of a row.
    #[inline]
    pub(crate) fn mark(&mut self, id: u32, flag: u8, on: bool) {
        let flags = &mut self.segments[segment_of(id)].flags[place_of(id)];
        *flags = if on { *flags | flag } else { *flags & !flag };
    }

    /// As [`RowStore::mark`], for every row.
    pub(crate) fn mark_all(&mut self, flag: u8, on: bool) {
        for flags in self.segments.iter_mut().flat_map(|s| &mut s.flags) {
            *flags = if on { *flags | flag } else { *flags & !flag };
        }
    }

    /// The row dies; its values can be gathered until its segment is dropped.
    pub(crate) fn kill(&mut self, id: u32) {
        let segment = &mut self.segments[segment_of(id)];
        let flags = &mut segment.flags[place_of(id)];
        if *flags & DEAD == 0 {
            *flags |= DEAD;
            segment.live -= 1;
            self.live -= 1;
            self.dead += 1;
        }
    }

    /// The standing rows of a segment that no snapshot holds, which from now on it does.
    pub(crate) fn take_unsaved(&mut self, segment: usize) -> Vec<u32> {
        let base = (segment as u32) << SEGMENT_BITS;
        let mut ids = Vec::new();
        for (place, flags) in self.segments[segment].flags.iter_mut().enumerate() {
            if *flags & (DEAD | SAVED) == 0 {
                *flags |= SAVED;
                ids.push(base | place as u32);
            }
        }
        ids
    }

    /// The standing rows of a segment with a flag.
    pub(crate) fn flagged(&self, segment: usize, flag: u8) -> Vec<u32> {
        let base = (segment as u32) << SEGMENT_BITS;
        let flags = self.segments[segment].flags.iter().enumerate();
        flags.filter(|(_, f)| **f & (DEAD | flag) == flag).map(|(place, _)| base | place as u32).collect()
    }

    /// Segments worth rewriting: more than half of their rows are dead.
    pub(crate) fn wasteful(&self) -> Vec<usize> {
        let wasteful = |i: &usize| {
            let (len, live) = (self.segments[*i].flags.len(), self.segments[*i].live);
            (len >= SEGMENT_ROWS || (live == 0 && len > 0)) && live * 2 < len
        };
        self.segments().filter(wasteful).collect()
    }

    /// Forgets a segment; its row numbers may be used again.
    pub(crate) fn drop_segment(&mut self, segment: usize) {
        for column in &mut self.columns {
            column.clear(segment);
        }
        let Segment { live, flags, .. } = &self.segments[segment];
        self.live -= live;
        self.dead -= flags.len() - live;
        self.segments[segment] = Segment::default();
        self.free.push(segment);
        if self.head == Some(segment) {
            self.head = None;
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum::<usize>()
            + self.segments.iter().map(|s| s.flags.capacity() + size_of::<Segment>()).sum::<usize>()
    }
}
