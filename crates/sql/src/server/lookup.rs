//! `ReadTable`: readable rows as DataFusion scans them; equalities on the columns of an index find their rows at once.
//! It must not know epochs or who keeps rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures_util::stream;

use super::Oid;
use super::asked::{Keys, keys_in, values_in};
use super::contents::Stored;
use super::index_scan::IndexScan;

/// The rows of a relation at one epoch.
#[derive(Debug)]
pub(crate) struct ReadTable {
    object: Option<Oid>,
    schema: SchemaRef,
    parts: Vec<Arc<dyn Stored>>,
}

impl ReadTable {
    pub fn new(schema: SchemaRef, parts: Vec<Arc<dyn Stored>>) -> Self {
        Self { object: None, schema, parts }
    }

    /// The rows of an object of the catalog.
    pub fn of_object(object: Oid, schema: SchemaRef, parts: Vec<Arc<dyn Stored>>) -> Self {
        Self { object: Some(object), schema, parts }
    }

    /// Which object it is, if it is one of the catalog.
    pub fn object(&self) -> Option<Oid> {
        self.object
    }

    /// The columns.
    pub fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows at hand.
    pub fn of_rows(rows: RecordBatch) -> Self {
        Self { object: None, schema: rows.schema(), parts: vec![Arc::new(Rows(rows))] }
    }

    /// The sets of columns by which every part finds rows at once.
    pub fn indexes(&self) -> Vec<&[usize]> {
        let Some((first, others)) = self.parts.split_first() else { return Vec::new() };
        let everywhere = |index: &&[usize]| others.iter().all(|part| part.indexes().contains(index));
        first.indexes().into_iter().filter(everywhere).collect()
    }

    /// What to look up, when `filters` say what all columns of an index equal.
    fn keys(&self, filters: &[Expr]) -> Option<Keys> {
        if filters.is_empty() {
            return None;
        }
        let found = self.indexes().into_iter().filter_map(|columns| keys_in(filters, &self.schema, columns));
        // More columns find fewer rows.
        found.reduce(|best, other| if other.columns.len() > best.columns.len() { other } else { best })
    }
}

#[async_trait]
impl TableProvider for ReadTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Found rows are filtered again: other conditions stay, and so do all when nothing is looked up.
        let one = |f: &&Expr| {
            let asks = self.schema.fields().iter().any(|field| values_in(f, field.name()).is_some());
            if asks { TableProviderFilterPushDown::Inexact } else { TableProviderFilterPushDown::Unsupported }
        };
        Ok(filters.iter().map(one).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(keys) = self.keys(filters) {
            return Ok(Arc::new(IndexScan::new(&self.schema, self.parts.clone(), projection, keys)?));
        }
        let reading = Reading { schema: Arc::clone(&self.schema), parts: self.parts.clone() };
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(reading)];
        let limit = if filters.is_empty() { limit } else { None };
        let scan = StreamingTableExec::try_new(Arc::clone(&self.schema), parts, projection, Vec::new(), false, limit)?;
        Ok(Arc::new(scan))
    }
}

/// A scan of all parts, one after the other.
#[derive(Debug)]
struct Reading {
    schema: SchemaRef,
    parts: Vec<Arc<dyn Stored>>,
}

impl PartitionStream for Reading {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.parts.clone().into_iter().flat_map(all_of);
        let rows = rows.filter(|r| r.as_ref().map_or(true, |batch| batch.num_rows() > 0));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(rows)))
    }
}

/// The batches of a part, in order.
pub(super) fn all_of(part: Arc<dyn Stored>) -> impl Iterator<Item = Result<RecordBatch>> + Send {
    (0..part.num_batches()).map(move |i| part.batch(i).map_err(failed))
}

/// An error of a part for DataFusion to carry.
pub(super) fn failed(error: thalweg_core::Error) -> DataFusionError {
    DataFusionError::External(Box::new(thalweg_core::SqlError::from(error)))
}

/// One batch as a stored part.
#[derive(Debug)]
struct Rows(RecordBatch);

impl Stored for Rows {
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    fn num_batches(&self) -> usize {
        1
    }

    fn batch(&self, _i: usize) -> thalweg_core::Result<RecordBatch> {
        Ok(self.0.clone())
    }
}
