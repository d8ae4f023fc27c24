//! `DeltaBatch`: the one container between decode and deliver. It must not know where rows come from or go.

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, filter, filter_record_batch, take, take_record_batch};
use arrow::datatypes::SchemaRef;

use crate::Result;

/// A change of a relation: Arrow columns and a signed weight per row (a z-set).
///
/// `weights: None` means that every row has weight +1; a stream that is proven append-only never carries
/// weights. An update is the old row at −1 and the new row at +1. A weight is never null and never 0 in
/// what an operator emits.
#[derive(Clone, Debug)]
pub struct DeltaBatch {
    /// The rows, all columns of the relation.
    pub rows: RecordBatch,
    /// One signed multiplicity per row, or `None` for all +1.
    pub weights: Option<Int64Array>,
}

impl DeltaBatch {
    /// Rows that are all insertions.
    pub fn insert(rows: RecordBatch) -> Self {
        Self { rows, weights: None }
    }

    /// Rows with their weights; both have the same length.
    pub fn new(rows: RecordBatch, weights: Option<Int64Array>) -> Self {
        debug_assert!(weights.as_ref().is_none_or(|w| w.len() == rows.num_rows() && w.null_count() == 0));
        Self { rows, weights }
    }

    /// Number of physical rows (not the sum of weights).
    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.num_rows() == 0
    }

    /// The relation's schema.
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// Column `i`.
    pub fn column(&self, i: usize) -> &ArrayRef {
        self.rows.column(i)
    }

    /// The weight of row `i`.
    #[inline]
    pub fn weight(&self, i: usize) -> i64 {
        self.weights.as_ref().map_or(1, |w| w.value(i))
    }

    /// The weights as a slice, or `None` for all +1.
    pub fn weight_slice(&self) -> Option<&[i64]> {
        self.weights.as_ref().map(|w| w.values().as_ref())
    }

    /// Rows `offset .. offset + len`, zero-copy.
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        Self { rows: self.rows.slice(offset, len), weights: self.weights.as_ref().map(|w| w.slice(offset, len)) }
    }

    /// The rows at `indices`, in that order.
    pub fn take(&self, indices: &UInt32Array) -> Result<Self> {
        let rows = take_record_batch(&self.rows, indices)?;
        let weights = match &self.weights {
            None => None,
            Some(w) => Some(as_int64(take(w, indices, None)?)),
        };
        Ok(Self { rows, weights })
    }

    /// The rows where `mask` is true (null counts as false).
    pub fn filter(&self, mask: &BooleanArray) -> Result<Self> {
        let rows = filter_record_batch(&self.rows, mask)?;
        let weights = match &self.weights {
            None => None,
            Some(w) => Some(as_int64(filter(w, mask)?)),
        };
        Ok(Self { rows, weights })
    }

    /// The same weights over other columns of the same length.
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        Self::new(rows, self.weights.clone())
    }

    /// All batches in one. Batches without weights among weighted ones count +1.
    pub fn concat(schema: &SchemaRef, batches: &[DeltaBatch]) -> Result<Self> {
        if let [one] = batches {
            return Ok(one.clone());
        }
        let rows = concat_batches(schema, batches.iter().map(|b| &b.rows))?;
        if batches.iter().all(|b| b.weights.is_none()) {
            return Ok(Self { rows, weights: None });
        }
        let parts: Vec<ArrayRef> = batches.iter().map(|b| std::sync::Arc::new(b.weights_array()) as ArrayRef).collect();
        let refs: Vec<&dyn Array> = parts.iter().map(|a| a.as_ref()).collect();
        Ok(Self { rows, weights: Some(as_int64(concat(&refs)?)) })
    }

    /// The weights, made explicit.
    pub fn weights_array(&self) -> Int64Array {
        self.weights.clone().unwrap_or_else(|| Int64Array::from(vec![1; self.num_rows()]))
    }

    /// The opposite change: every weight negated.
    pub fn negated(&self) -> Self {
        let weights = match &self.weights {
            None => Int64Array::from(vec![-1; self.num_rows()]),
            Some(w) => w.unary(|x| -x),
        };
        Self { rows: self.rows.clone(), weights: Some(weights) }
    }
}

fn as_int64(array: ArrayRef) -> Int64Array {
    array.as_any().downcast_ref::<Int64Array>().expect("take, filter and concat keep the type").clone()
}
