//! `ReadTable`: readable rows as DataFusion scans them; an equality on the key finds its rows at once.
//! It must not know epochs or who keeps rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures_util::stream;

use super::Oid;
use super::contents::Stored;

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

    /// The object, and the columns by which its rows are found.
    pub fn keyed(&self) -> Option<(Oid, &[usize])> {
        Some((self.object?, self.parts.first()?.key()?))
    }

    /// The columns.
    pub fn columns(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows at hand.
    pub fn of_rows(rows: RecordBatch) -> Self {
        Self { object: None, schema: rows.schema(), parts: vec![Arc::new(Rows(rows))] }
    }

    /// The key's values, when `filters` say what each column of the key equals.
    fn key_of(&self, filters: &[Expr]) -> Option<Vec<ArrayRef>> {
        let key = self.parts.first()?.key()?;
        let of_column = |column: &usize| {
            let field = self.schema.field(*column);
            let value = filters.iter().find_map(|f| equals(f, field.name()))?;
            exactly(value, field.data_type())
        };
        key.iter().map(of_column).collect()
    }
}

/// The value that `filter` says `column` equals.
fn equals<'a>(filter: &'a Expr, column: &str) -> Option<&'a ScalarValue> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(c), Expr::Literal(v, _)) | (Expr::Literal(v, _), Expr::Column(c)) if c.name == column => {
            (!v.is_null()).then_some(v)
        }
        _ => None,
    }
}

/// `value` as a column of `to`, if it is the same value there.
fn exactly(value: &ScalarValue, to: &DataType) -> Option<ArrayRef> {
    let array = value.to_array().ok()?;
    if array.data_type() == to {
        return Some(array);
    }
    let there = cast(&array, to).ok()?;
    let back = cast(&there, array.data_type()).ok()?;
    (back.as_ref() == array.as_ref()).then_some(there)
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
        // Found rows are filtered again: a hash is no proof, and other conditions stay.
        let one = |f: &&Expr| {
            let keyed = self.schema.fields().iter().any(|field| equals(f, field.name()).is_some());
            if keyed { TableProviderFilterPushDown::Inexact } else { TableProviderFilterPushDown::Unsupported }
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
        let key = self.key_of(filters);
        let parts: Vec<Arc<dyn PartitionStream>> =
            vec![Arc::new(Reading { schema: Arc::clone(&self.schema), parts: self.parts.clone(), key })];
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
    key: Option<Vec<ArrayRef>>,
}

impl PartitionStream for Reading {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let parts = self.parts.clone();
        let failed = |e: thalweg_core::Error| DataFusionError::External(Box::new(thalweg_core::SqlError::from(e)));
        let rows: Box<dyn Iterator<Item = Result<RecordBatch>> + Send> = match self.key.clone() {
            Some(key) => Box::new(parts.into_iter().map(move |part| part.find(&key).map_err(failed))),
            None => Box::new(
                parts
                    .into_iter()
                    .flat_map(move |part| (0..part.num_batches()).map(move |i| part.batch(i).map_err(failed))),
            ),
        };
        let rows = rows.filter(|r| r.as_ref().map_or(true, |batch| batch.num_rows() > 0));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(rows)))
    }
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

    fn key(&self) -> Option<&[usize]> {
        None
    }

    fn find(&self, _key: &[ArrayRef]) -> thalweg_core::Result<RecordBatch> {
        Ok(self.0.clone())
    }
}
