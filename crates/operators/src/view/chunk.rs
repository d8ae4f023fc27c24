//! `Chunk`: rows that never change and which of them are dead. It must not know indexes or other chunks.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer};
use arrow::compute::{concat_batches, filter_record_batch};
use thalweg_core::Result;

/// Rows of a chunk at most; small chunks are joined up to it.
pub(super) const CHUNK_ROWS: usize = if cfg!(test) { 16 } else { 16_384 };

/// Some rows; row `i` has the number `first + i` as long as the arrangement lives.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub first: u64,
    pub rows: RecordBatch,
    /// A bit a row: dead. `None`: all live.
    dead: Option<Arc<Vec<u64>>>,
    pub dead_rows: usize,
}

impl Chunk {
    pub fn new(first: u64, rows: RecordBatch) -> Self {
        Self { first, rows, dead: None, dead_rows: 0 }
    }

    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// The number after that of the last row.
    pub fn end(&self) -> u64 {
        self.first + self.len() as u64
    }

    pub fn live_rows(&self) -> usize {
        self.len() - self.dead_rows
    }

    pub fn is_live(&self, place: usize) -> bool {
        place < self.len() && self.dead.as_ref().is_none_or(|dead| dead[place / 64] & (1 << (place % 64)) == 0)
    }

    /// The numbers of the live rows, in order.
    pub fn live_numbers(&self) -> impl Iterator<Item = u64> + '_ {
        (self.first..self.end()).enumerate().filter(|(i, _)| self.is_live(*i)).map(|(_, number)| number)
    }

    /// Marks rows dead; none of them is yet. Versions that share this chunk's bitmap keep theirs.
    pub fn kill(&mut self, places: impl Iterator<Item = usize>) {
        let words = self.len().div_ceil(64);
        let dead = Arc::make_mut(self.dead.get_or_insert_with(|| Arc::new(vec![0; words])));
        for place in places {
            dead[place / 64] |= 1 << (place % 64);
            self.dead_rows += 1;
        }
    }

    /// A mask of the live rows, or `None` when all are.
    pub fn mask(&self) -> Option<BooleanArray> {
        let dead = self.dead.as_ref().filter(|_| self.dead_rows > 0)?;
        let mut bits = MutableBuffer::with_capacity(dead.len() * 8);
        dead.iter().for_each(|word| bits.push(!word));
        Some(BooleanArray::new(BooleanBuffer::new(Buffer::from(bits), 0, self.len()), None))
    }

    /// The live rows.
    pub fn live(&self) -> Result<RecordBatch> {
        Ok(match self.mask() {
            None => self.rows.clone(),
            Some(mask) => filter_record_batch(&self.rows, &mask)?,
        })
    }

    /// This chunk and the one after it as one.
    pub fn join(&self, next: &Self) -> Result<Self> {
        let rows = tight(concat_batches(&self.rows.schema(), [&self.rows, &next.rows])?)?;
        let mut joined = Self::new(self.first, rows);
        if self.dead_rows + next.dead_rows > 0 {
            let dead = (0..self.len()).filter(|i| !self.is_live(*i));
            let of_next = (0..next.len()).filter(|i| !next.is_live(*i)).map(|i| self.len() + i);
            joined.kill(dead.chain(of_next));
        }
        Ok(joined)
    }

    pub fn bytes(&self) -> usize {
        self.rows.get_array_memory_size() + self.dead.as_ref().map_or(0, |d| d.len() * 8)
    }
}

/// Strings that hold on to far more than they use get buffers of their own.
pub(super) fn tight(rows: RecordBatch) -> Result<RecordBatch> {
    let column = |column: &ArrayRef| -> ArrayRef {
        let Some(text) = column.as_string_view_opt() else { return ArrayRef::clone(column) };
        let held: usize = text.data_buffers().iter().map(|b| b.len()).sum();
        if held > 4096 && held > 2 * text.total_buffer_bytes_used() || text.data_buffers().len() > 8 {
            Arc::new(text.gc())
        } else {
            ArrayRef::clone(column)
        }
    };
    let columns: Vec<ArrayRef> = rows.columns().iter().map(column).collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(rows.schema(), columns, &options)?)
}
