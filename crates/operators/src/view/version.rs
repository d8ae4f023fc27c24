//! `Version`: what a view holds after some epoch, read without a lock. It must not know how it came to be.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave};
use arrow::datatypes::SchemaRef;
use thalweg_core::{Result, hash_columns};

use super::chunk::Chunk;
use super::index::RowIndex;

/// The rows of one worker's part of a view at one moment.
#[derive(Clone, Debug)]
pub struct Version {
    pub(super) schema: SchemaRef,
    pub(super) chunks: Vec<Arc<Chunk>>,
    pub(super) index: Option<(Arc<[usize]>, Arc<RowIndex>)>,
}

impl Version {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// How many rows stand.
    pub fn num_rows(&self) -> usize {
        self.chunks.iter().map(|c| c.live_rows()).sum()
    }

    /// How many batches [`Version::batch`] can give.
    pub fn num_batches(&self) -> usize {
        self.chunks.len()
    }

    /// The rows of batch `i` that stand (maybe none).
    ///
    /// # Errors
    /// A kernel fails.
    pub fn batch(&self, i: usize) -> Result<RecordBatch> {
        self.chunks[i].live()
    }

    /// The columns by which [`Version::find`] finds rows, if there are any.
    pub fn key(&self) -> Option<&[usize]> {
        self.index.as_ref().map(|(key, _)| &key[..])
    }

    /// The rows whose key columns equal the only row of `key`, in the order of [`Version::key`]. Null equals null.
    ///
    /// # Errors
    /// The columns are not of the key's types.
    pub fn find(&self, key: &[ArrayRef]) -> Result<RecordBatch> {
        let Some((columns, index)) = &self.index else { return Ok(RecordBatch::new_empty(self.schema())) };
        let mut hashes = Vec::new();
        hash_columns(key, 1, &mut hashes)?;
        let mut found = Vec::new();
        index.find(&hashes, &mut found);
        let places: Vec<(usize, usize)> = found.iter().filter_map(|(_, row)| place(&self.chunks, *row)).collect();
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(self.schema()));
        }
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let rows = RecordBatch::try_new(self.schema(), gather(&self.chunks, &all, &places)?)?;
        let mut equal = vec![true; rows.num_rows()];
        for (column, wanted) in columns.iter().zip(key) {
            let wanted =
                arrow::compute::take(wanted, &arrow::array::UInt32Array::from(vec![0; rows.num_rows()]), None)?;
            and_equal(rows.column(*column), &wanted, &mut equal)?;
        }
        Ok(filter_record_batch(&rows, &BooleanArray::from(equal))?)
    }
}

/// Where the live row `number` stands: chunk and place.
pub(super) fn place(chunks: &[Arc<Chunk>], number: u64) -> Option<(usize, usize)> {
    let chunk = chunks.partition_point(|c| c.first <= number).checked_sub(1)?;
    let place = usize::try_from(number - chunks[chunk].first).ok()?;
    chunks[chunk].is_live(place).then_some((chunk, place))
}

/// The cells of `columns` at `places`.
pub(super) fn gather(chunks: &[Arc<Chunk>], columns: &[usize], places: &[(usize, usize)]) -> Result<Vec<ArrayRef>> {
    // Only the chunks that are asked for, numbered anew.
    let mut used: Vec<usize> = places.iter().map(|p| p.0).collect();
    used.sort_unstable();
    used.dedup();
    let places: Vec<(usize, usize)> =
        places.iter().map(|(c, i)| (used.binary_search(c).expect("it is one of them"), *i)).collect();
    let gathered = columns.iter().map(|column| {
        let parts: Vec<&dyn arrow::array::Array> =
            used.iter().map(|c| chunks[*c].rows.column(*column).as_ref()).collect();
        Ok(interleave(&parts, &places)?)
    });
    gathered.collect()
}

/// Clears `equal` where the two differ; null equals null.
pub(super) fn and_equal(left: &ArrayRef, right: &ArrayRef, equal: &mut [bool]) -> Result<()> {
    use arrow::datatypes::DataType;
    if left.data_type().is_nested() || matches!(left.data_type(), DataType::Interval(_)) {
        let field = arrow::row::SortField::new(left.data_type().clone());
        let converter = arrow::row::RowConverter::new(vec![field])?;
        let left = converter.convert_columns(std::slice::from_ref(left))?;
        let right = converter.convert_columns(std::slice::from_ref(right))?;
        equal.iter_mut().enumerate().for_each(|(i, equal)| *equal &= left.row(i) == right.row(i));
        return Ok(());
    }
    let same = arrow::compute::kernels::cmp::not_distinct(left, right)?;
    equal.iter_mut().zip(same.values()).for_each(|(equal, same)| *equal &= same);
    Ok(())
}
