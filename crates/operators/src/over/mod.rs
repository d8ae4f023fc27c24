//! `Over`: window functions over the ordered rows of each partition. Partitions that changed in an epoch are computed
//! anew when it ends, and the difference is emitted. It must not know what a function computes.

mod partitions;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::WindowExpr;
use thalweg_core::{DeltaBatch, EpochHeader, Result};
use thalweg_plan::{OrderKey, OverCall, Properties};

use crate::operator::{Operator, Output, StateTable, data_error};
use crate::store::{KeyEncoder, KeyWidth, PairKey, RowStore, SingleKey, WideKey};
use partitions::Partitions;

/// Window functions; rows that tie in the order stand in the order in which they came.
pub struct Over {
    inner: Box<dyn Operator>,
}

impl fmt::Debug for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").field("state_bytes", &self.inner.state_bytes()).finish()
    }
}

impl Over {
    /// The arguments are those of `Operation::Over`, `output` the schema of what comes out.
    ///
    /// # Errors
    /// An order column whose type has no order.
    pub fn new(
        input: &Properties,
        partition: &[usize],
        order: &[OrderKey],
        calls: &[OverCall],
        output: SchemaRef,
    ) -> Result<Self> {
        let inner: Box<dyn Operator> = match KeyEncoder::width(&input.schema, order) {
            KeyWidth::Single => Box::new(Partitions::<SingleKey>::new(input, partition, order, calls, output)?),
            KeyWidth::Pair => Box::new(Partitions::<PairKey>::new(input, partition, order, calls, output)?),
            KeyWidth::Wide => Box::new(Partitions::<WideKey>::new(input, partition, order, calls, output)?),
        };
        Ok(Self { inner })
    }
}

impl Operator for Over {
    fn on_delta(&mut self, port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        self.inner.on_delta(port, delta, out)
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        self.inner.on_epoch(header, out)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.inner.snapshot()
    }

    fn save_all(&mut self) {
        self.inner.save_all();
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        self.inner.restore(deltas, keep)
    }

    fn state_bytes(&self) -> usize {
        self.inner.state_bytes()
    }
}

/// The functions, with the columns that they read.
struct Calls {
    functions: Vec<Arc<dyn WindowExpr>>,
    schema: SchemaRef,
    reads: Vec<bool>,
}

impl Calls {
    fn new(calls: &[OverCall], input: &SchemaRef) -> Self {
        let functions: Vec<Arc<dyn WindowExpr>> = calls.iter().map(|c| Arc::clone(&c.function)).collect();
        let mut reads = vec![false; input.fields().len()];
        for function in &functions {
            let order = function.order_by().iter().map(|sort| Arc::clone(&sort.expr));
            let all = function.expressions().into_iter().chain(order).chain(function.partition_by().iter().cloned());
            for column in all.flat_map(|expr| collect_columns(&expr).into_iter().collect::<Vec<Column>>()) {
                if let Some(reads) = reads.get_mut(column.index()) {
                    *reads = true;
                }
            }
        }
        // Columns that no function reads are not gathered: they stand as nulls.
        let nullable = |f: &FieldRef| Arc::new(f.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(input.fields().iter().map(nullable).collect::<Vec<FieldRef>>()));
        Self { functions, schema, reads }
    }

    /// The functions' values for rows in order, partition by partition.
    fn evaluate(&self, store: &RowStore, ids: &[u32], partitions: &[usize]) -> Result<Vec<ArrayRef>> {
        let column = |(c, field): (usize, &FieldRef)| {
            if self.reads[c] { store.gather(c, ids) } else { Ok(new_null_array(field.data_type(), ids.len())) }
        };
        let columns = self.schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(ids.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let mut parts: Vec<Vec<ArrayRef>> = self.functions.iter().map(|_| Vec::new()).collect();
        let mut from = 0;
        for len in partitions {
            let partition = rows.slice(from, *len);
            from += len;
            for (function, parts) in self.functions.iter().zip(&mut parts) {
                parts.push(function.evaluate(&partition).map_err(data_error)?);
            }
        }
        let joined = |parts: &Vec<ArrayRef>| -> Result<ArrayRef> {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            Ok(concat(&parts)?)
        };
        parts.iter().map(joined).collect()
    }
}
