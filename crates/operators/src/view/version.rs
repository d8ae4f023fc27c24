//! `Version`: what a view holds after some epoch, read without a lock. It must not know how it came to be.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, interleave, take};
use arrow::datatypes::SchemaRef;
use thalweg_core::{Result, hash_columns};

use super::chunk::Chunk;
use super::index::Index;

/// The rows of one worker's part of a view at one moment.
#[derive(Clone, Debug)]
pub struct Version {
    pub(super) schema: SchemaRef,
    pub(super) chunks: Vec<Arc<Chunk>>,
    pub(super) indexes: Arc<[Arc<Index>]>,
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

    /// The sets of columns by which [`Version::find`] need not look at every row.
    pub fn indexes(&self) -> impl Iterator<Item = &[usize]> {
        self.indexes.iter().filter(|index| index.is_ready()).map(|index| &index.columns[..])
    }

    /// The rows whose `columns` equal a row of `keys`, which are all different; null equals null. `None` when no index is
    /// over just these columns, or when it names more than `limit` rows.
    ///
    /// # Errors
    /// The keys are not of the columns' types.
    pub fn find(&self, columns: &[usize], keys: &[ArrayRef], limit: usize) -> Result<Option<RecordBatch>> {
        let Some(index) = self.indexes.iter().find(|index| index.is_ready() && *index.columns == *columns) else {
            return Ok(None);
        };
        let mut hashes = Vec::new();
        hash_columns(keys, keys.first().map_or(0, |k| k.len()), &mut hashes)?;
        let mut found = Vec::new();
        index.find(&hashes, &mut found);
        let (wanted, places): (Vec<u32>, Vec<(usize, usize)>) =
            found.iter().filter_map(|(i, row)| Some((*i, place(&self.chunks, *row)?))).unzip();
        if places.len() > limit {
            return Ok(None);
        }
        if places.is_empty() {
            return Ok(Some(RecordBatch::new_empty(self.schema())));
        }
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let rows = RecordBatch::try_new(self.schema(), gather(&self.chunks, &all, &places)?)?;
        equal_to(&rows, columns, keys, &UInt32Array::from(wanted)).map(Some)
    }
}

/// Those of `rows` whose `columns` equal the row of `keys` that `wanted` names for each.
fn equal_to(rows: &RecordBatch, columns: &[usize], keys: &[ArrayRef], wanted: &UInt32Array) -> Result<RecordBatch> {
    let mut equal = vec![true; rows.num_rows()];
    for (column, key) in columns.iter().zip(keys) {
        and_equal(rows.column(*column), &take(key, wanted, None)?, &mut equal)?;
    }
    Ok(filter_record_batch(rows, &BooleanArray::from(equal))?)
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
