//! `Residual`: the join condition beyond the equal keys, evaluated on the columns that it reads and no others.
//! It must not know how pairs are found.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use thalweg_core::{Error, Result};
use thalweg_plan::Expr;

use crate::operator::{data_error, evaluate};

/// A compiled condition over pairs.
#[derive(Debug)]
pub(super) struct Residual {
    expr: Expr,
    schema: SchemaRef,
    /// Columns read, numbered over left columns, then right columns.
    columns: Vec<usize>,
}

impl Residual {
    /// From a condition over left columns, then right columns.
    pub(super) fn new(expr: &Expr, left: &SchemaRef, right: &SchemaRef) -> Result<Self> {
        let mut columns: Vec<usize> = collect_columns(expr).iter().map(Column::index).collect();
        columns.sort_unstable();
        columns.dedup();
        let mut fields = Vec::with_capacity(columns.len());
        for column in &columns {
            let all = left.fields().iter().chain(right.fields());
            let field = all.clone().nth(*column);
            let field = field.ok_or_else(|| Error::Internal(format!("join condition reads column {column}")))?;
            fields.push(Field::new(format!("c{column}"), field.data_type().clone(), true));
        }
        let rewritten = Arc::clone(expr)
            .transform(|e: Arc<dyn PhysicalExpr>| {
                let Some(column) = e.downcast_ref::<Column>() else { return Ok(Transformed::no(e)) };
                let place = columns.binary_search(&column.index()).expect("every column was collected");
                let moved: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&format!("c{}", column.index()), place));
                Ok(Transformed::yes(moved))
            })
            .map_err(data_error)?;
        Ok(Self { expr: rewritten.data, schema: Arc::new(Schema::new(fields)), columns })
    }

    /// Which pairs pass; `column` yields a column of the pairs by its number over left, then right.
    pub(super) fn passes(&self, pairs: usize, column: impl Fn(usize) -> Result<ArrayRef>) -> Result<BooleanArray> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|c| column(*c)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(pairs));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let mask = evaluate(&self.expr, &rows)?;
        mask.as_boolean_opt().cloned().ok_or_else(|| Error::Internal("a join condition that is not boolean".into()))
    }
}
