//! `Arrangement`: takes a view's changes and leaves versions. It must not know epochs or who reads.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Error, Result, hash_columns};

use super::chunk::{CHUNK_ROWS, Chunk, tight};
use super::index::RowIndex;
use super::version::{Version, and_equal, gather, place};

/// A chunk is rewritten when its dead rows outnumber its live ones by this many.
const SPARE_DEAD: usize = 128;

/// The rows of one worker's part of a view. Equal rows stand as often as their weight says.
#[derive(Debug)]
pub struct Arrangement {
    schema: SchemaRef,
    /// By what rows are found; `None` for views that never retract and have no key.
    index: Option<(Arc<[usize]>, Arc<RowIndex>)>,
    chunks: Vec<Arc<Chunk>>,
    next: u64,
    /// Rows of this epoch, not yet in a chunk.
    fresh: Vec<RecordBatch>,
    fresh_rows: usize,
    /// Index entries of rows that died, by the version in which they did.
    buried: VecDeque<(u64, Vec<(u64, u64)>)>,
    dying: Vec<(u64, u64)>,
    versions: u64,
}

impl Arrangement {
    /// Rows of `schema`, found by the columns `key`, or by all of them, or (`append_only` without key) not at all.
    pub fn new(schema: SchemaRef, key: Option<Vec<usize>>, append_only: bool) -> Self {
        let key = key.filter(|k| !k.is_empty());
        let indexed = !append_only || key.is_some();
        let columns = key.unwrap_or_else(|| (0..schema.fields().len()).collect());
        let index = indexed.then(|| (Arc::from(columns), Arc::default()));
        Self {
            schema,
            index,
            chunks: Vec::new(),
            next: 0,
            fresh: Vec::new(),
            fresh_rows: 0,
            buried: VecDeque::new(),
            dying: Vec::new(),
            versions: 0,
        }
    }

    /// Takes all changes of an epoch, in any order: what is inserted is appended, then what is retracted is found and
    /// marked dead.
    ///
    /// # Errors
    /// A row is retracted that is not there: a defect of whoever sends changes.
    pub fn apply(&mut self, deltas: &[DeltaBatch]) -> Result<()> {
        let mut retracted = Vec::new();
        for delta in deltas {
            let Some(weights) = delta.weight_slice() else {
                self.insert(delta.rows.clone())?;
                continue;
            };
            let (plus, minus) = (times(weights, 1), times(weights, -1));
            if !plus.is_empty() {
                self.insert(take_record_batch(&delta.rows, &plus)?)?;
            }
            if !minus.is_empty() {
                retracted.push(take_record_batch(&delta.rows, &minus)?);
            }
        }
        if retracted.is_empty() {
            return Ok(());
        }
        self.settle()?;
        retracted.iter().try_for_each(|rows| self.delete(rows))
    }

    fn insert(&mut self, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), rows.columns().to_vec(), &options)?;
        if let Some((columns, index)) = &self.index {
            index.insert(&hashes(&rows, columns)?, self.next + self.fresh_rows as u64);
        }
        self.fresh_rows += rows.num_rows();
        self.fresh.push(rows);
        Ok(())
    }

    fn delete(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some((columns, index)) = self.index.clone() else {
            return Err(Error::Internal("a row of an append-only view is retracted".to_owned()));
        };
        let hashes = hashes(rows, &columns)?;
        let mut found = Vec::new();
        index.find(&hashes, &mut found);
        let mut candidates: Vec<(u32, u64, (usize, usize))> =
            found.iter().filter_map(|(i, row)| Some((*i, *row, place(&self.chunks, *row)?))).collect();
        self.keep_equal(rows, &mut candidates)?;
        // Each retraction takes one row; equal rows are as good as each other.
        candidates.sort_unstable_by_key(|(i, row, _)| (*i, *row));
        let mut taken = hashbrown::HashSet::with_capacity(rows.num_rows());
        let mut killed: Vec<(usize, usize)> = Vec::with_capacity(rows.num_rows());
        let mut at = 0;
        for (i, hash) in (0u32..).zip(&hashes) {
            while candidates.get(at).is_some_and(|c| c.0 < i) {
                at += 1;
            }
            let of_row = candidates[at..].iter().take_while(|c| c.0 == i);
            let Some((_, row, place)) = of_row.into_iter().find(|c| taken.insert(c.1)) else {
                return Err(Error::Internal("a row is retracted that the view does not hold".to_owned()));
            };
            killed.push(*place);
            self.dying.push((*hash, *row));
        }
        killed.sort_unstable();
        for of_chunk in killed.chunk_by(|a, b| a.0 == b.0) {
            Arc::make_mut(&mut self.chunks[of_chunk[0].0]).kill(of_chunk.iter().map(|(_, place)| *place));
        }
        Ok(())
    }

    /// Drops candidates that have the hash but not the cells.
    fn keep_equal(&self, rows: &RecordBatch, candidates: &mut Vec<(u32, u64, (usize, usize))>) -> Result<()> {
        if candidates.is_empty() {
            return Ok(());
        }
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let places: Vec<(usize, usize)> = candidates.iter().map(|c| c.2).collect();
        let stored = gather(&self.chunks, &all, &places)?;
        let wanted = take_record_batch(rows, &candidates.iter().map(|c| Some(c.0)).collect::<UInt32Array>())?;
        let mut equal = vec![true; candidates.len()];
        for (stored, wanted) in stored.iter().zip(wanted.columns()) {
            and_equal(stored, wanted, &mut equal)?;
        }
        let mut keep = equal.into_iter();
        candidates.retain(|_| keep.next().expect("one answer a candidate"));
        Ok(())
    }

    /// Puts fresh rows into chunks.
    fn settle(&mut self) -> Result<()> {
        if self.fresh_rows == 0 {
            return Ok(());
        }
        let fresh = std::mem::take(&mut self.fresh);
        let rows = match &fresh[..] {
            [one] => one.clone(),
            many => concat_batches(&self.schema, many)?,
        };
        let mut from = 0;
        while from < rows.num_rows() {
            let len = CHUNK_ROWS.min(rows.num_rows() - from);
            let part = tight(rows.slice(from, len))?;
            self.chunks.push(Arc::new(Chunk::new(self.next, part)));
            self.next += len as u64;
            from += len;
        }
        self.fresh_rows = 0;
        Ok(())
    }

    /// Ends an epoch: what was taken is in the version that this returns. Its number counts from 1.
    ///
    /// # Errors
    /// A kernel fails.
    pub fn commit(&mut self) -> Result<(u64, Arc<Version>)> {
        self.settle()?;
        self.rewrite()?;
        self.join_small()?;
        self.versions += 1;
        if !self.dying.is_empty() {
            self.buried.push_back((self.versions, std::mem::take(&mut self.dying)));
        }
        Ok((self.versions, Arc::new(self.version())))
    }

    fn version(&self) -> Version {
        Version { schema: Arc::clone(&self.schema), chunks: self.chunks.clone(), index: self.index.clone() }
    }

    /// No reader will ask for versions before `version`: rows that were dead in it are forgotten.
    pub fn forget_before(&mut self, version: u64) {
        while self.buried.front().is_some_and(|(died, _)| *died <= version) {
            if let (Some((_, entries)), Some((_, index))) = (self.buried.pop_front(), &self.index) {
                index.remove(&entries);
            }
        }
    }

    /// The live rows of chunks that are mostly dead move to the end under new numbers.
    fn rewrite(&mut self) -> Result<()> {
        let wasteful = |c: &Arc<Chunk>| c.dead_rows > c.live_rows() + SPARE_DEAD || c.live_rows() == 0;
        if !self.chunks.iter().any(wasteful) {
            return Ok(());
        }
        let (gone, kept) = std::mem::take(&mut self.chunks).into_iter().partition(wasteful);
        self.chunks = kept;
        let gone: Vec<Arc<Chunk>> = gone;
        for chunk in gone.iter().filter(|c| c.live_rows() > 0) {
            let live = chunk.live()?;
            if let Some((columns, _)) = &self.index {
                let numbers = (chunk.first..chunk.end()).enumerate().filter(|(i, _)| chunk.is_live(*i)).map(|(_, n)| n);
                self.dying.extend(hashes(&live, columns)?.into_iter().zip(numbers));
            }
            self.insert(live)?;
        }
        self.settle()
    }

    /// Chunks at the end grow like a binary counter, so each row is copied a logarithmic number of times.
    fn join_small(&mut self) -> Result<()> {
        while let [.., before, last] = &self.chunks[..] {
            let adjacent = before.end() == last.first;
            let together = before.len() + last.len();
            if !adjacent || together > CHUNK_ROWS || before.len() > 2 * last.len() {
                return Ok(());
            }
            let joined = before.join(last)?;
            self.chunks.truncate(self.chunks.len() - 2);
            self.chunks.push(Arc::new(joined));
        }
        Ok(())
    }

    /// Bytes held by the newest version and the index.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(|c| c.bytes()).sum::<usize>() + self.index.as_ref().map_or(0, |(_, i)| i.bytes())
    }
}

fn hashes(rows: &RecordBatch, columns: &[usize]) -> Result<Vec<u64>> {
    let columns: Vec<ArrayRef> = columns.iter().map(|c| Arc::clone(rows.column(*c))).collect();
    let mut hashes = Vec::new();
    hash_columns(&columns, rows.num_rows(), &mut hashes)?;
    Ok(hashes)
}

/// Each row whose weight has the sign of `sign`, as often as the weight says.
fn times(weights: &[i64], sign: i64) -> UInt32Array {
    let rows = (0u32..).zip(weights).filter(|(_, weight)| **weight * sign > 0);
    let count = |weight: &i64| usize::try_from(weight.unsigned_abs()).unwrap_or(usize::MAX);
    UInt32Array::from_iter_values(rows.flat_map(|(row, weight)| std::iter::repeat_n(row, count(weight))))
}
