//! `Arrangement`: takes a view's changes and leaves versions. It must not know epochs or who reads.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Error, Result};

use super::build::IndexBuild;
use super::chunk::{CHUNK_ROWS, Chunk, tight};
use super::index::{Index, Lookup};
use super::version::{Version, and_equal, gather, place};

/// A chunk is rewritten when its dead rows outnumber its live ones by this many.
const SPARE_DEAD: usize = 128;

/// The rows of one worker's part of a view. Equal rows stand as often as their weight says.
#[derive(Debug)]
pub struct Arrangement {
    schema: SchemaRef,
    /// By what rows are found: first, if `identified`, what finds the rows to retract, then what only readers ask.
    lookups: Vec<Lookup>,
    /// Views that never retract and have no key need not find rows.
    identified: bool,
    /// The indexes, as versions show them.
    shown: Arc<[Arc<Index>]>,
    chunks: Vec<Arc<Chunk>>,
    next: u64,
    /// Rows of this epoch, not yet in a chunk.
    fresh: Vec<RecordBatch>,
    fresh_rows: usize,
    versions: u64,
}

impl Arrangement {
    /// Rows of `schema`, found by the columns `key`, or by all of them, or (`append_only` without key) not at all.
    pub fn new(schema: SchemaRef, key: Option<Vec<usize>>, append_only: bool) -> Self {
        let key = key.filter(|k| !k.is_empty());
        let identified = !append_only || key.is_some();
        let columns: Vec<usize> = key.unwrap_or_else(|| (0..schema.fields().len()).collect());
        let lookups: Vec<Lookup> = identified.then(|| Lookup::new(Index::new(columns.into()))).into_iter().collect();
        let mut made = Self {
            schema,
            lookups,
            identified,
            shown: Arc::from([]),
            chunks: Vec::new(),
            next: 0,
            fresh: Vec::new(),
            fresh_rows: 0,
            versions: 0,
        };
        made.show();
        made
    }

    fn show(&mut self) {
        self.shown = self.lookups.iter().map(|l| Arc::clone(&l.index)).collect();
    }

    /// Rows are to be found by `columns` as well, from the next version on. What is returned has to run before any
    /// reader uses it; it may do so beside changes, on any thread. Called between epochs.
    pub fn add_index(&mut self, columns: &[usize]) -> IndexBuild {
        let rows = self.chunks.iter().map(|c| c.live_rows()).sum();
        let lookup = Lookup::new(Index::unfinished(columns.into(), rows));
        let build = IndexBuild::new(Arc::clone(&lookup.index), self.chunks.clone());
        self.lookups.push(lookup);
        self.show();
        build
    }

    /// The index that [`Arrangement::add_index`] made over `columns` goes; versions that have it keep it.
    pub fn drop_index(&mut self, columns: &[usize]) {
        let own = usize::from(self.identified);
        if let Some(at) = self.lookups.iter().skip(own).position(|l| *l.index.columns == *columns) {
            self.lookups.remove(own + at);
            self.show();
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
        let first = self.next + self.fresh_rows as u64;
        self.lookups.iter().try_for_each(|lookup| lookup.insert(&rows, first))?;
        self.fresh_rows += rows.num_rows();
        self.fresh.push(rows);
        Ok(())
    }

    fn delete(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some(identity) = self.lookups.first().filter(|_| self.identified) else {
            return Err(Error::Internal("a row of an append-only view is retracted".to_owned()));
        };
        let hashes = identity.index.hashes(rows)?;
        let mut found = Vec::new();
        identity.index.find(&hashes, &mut found);
        let mut candidates: Vec<(u32, u64, (usize, usize))> =
            found.iter().filter_map(|(i, row)| Some((*i, *row, place(&self.chunks, *row)?))).collect();
        self.keep_equal(rows, &mut candidates)?;
        // Each retraction takes one row; equal rows are as good as each other.
        candidates.sort_unstable_by_key(|(i, row, _)| (*i, *row));
        let mut taken = hashbrown::HashSet::with_capacity(rows.num_rows());
        let mut killed: Vec<(usize, usize)> = Vec::with_capacity(rows.num_rows());
        let mut numbers: Vec<u64> = Vec::with_capacity(rows.num_rows());
        let mut at = 0;
        for i in 0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX) {
            while candidates.get(at).is_some_and(|c| c.0 < i) {
                at += 1;
            }
            let of_row = candidates[at..].iter().take_while(|c| c.0 == i);
            let Some((_, row, place)) = of_row.into_iter().find(|c| taken.insert(c.1)) else {
                return Err(Error::Internal("a row is retracted that the view does not hold".to_owned()));
            };
            killed.push(*place);
            numbers.push(*row);
        }
        self.lookups[0].kill(hashes.into_iter().zip(numbers.iter().copied()));
        for lookup in &mut self.lookups[1..] {
            let hashes = lookup.index.hashes(rows)?;
            lookup.kill(hashes.into_iter().zip(numbers.iter().copied()));
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
        self.lookups.iter_mut().for_each(|lookup| lookup.commit(self.versions));
        Ok((self.versions, Arc::new(self.version())))
    }

    fn version(&self) -> Version {
        Version { schema: Arc::clone(&self.schema), chunks: self.chunks.clone(), indexes: Arc::clone(&self.shown) }
    }

    /// No reader will ask for versions before `version`: rows that were dead in it are forgotten.
    pub fn forget_before(&mut self, version: u64) {
        self.lookups.iter_mut().for_each(|lookup| lookup.forget_before(version));
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
            for lookup in &mut self.lookups {
                let hashes = lookup.index.hashes(&live)?;
                lookup.kill(hashes.into_iter().zip(chunk.live_numbers()));
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

    /// Bytes held by the newest version and the indexes.
    pub fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|c| c.bytes()).sum();
        chunks + self.lookups.iter().map(Lookup::bytes).sum::<usize>()
    }
}

/// Each row whose weight has the sign of `sign`, as often as the weight says.
fn times(weights: &[i64], sign: i64) -> UInt32Array {
    let rows = (0u32..).zip(weights).filter(|(_, weight)| **weight * sign > 0);
    let count = |weight: &i64| usize::try_from(weight.unsigned_abs()).unwrap_or(usize::MAX);
    UInt32Array::from_iter_values(rows.flat_map(|(row, weight)| std::iter::repeat_n(row, count(weight))))
}
