//! `PointQuery`: a prepared query that asks for the rows of one key of an index and nothing else. It is planned once and
//! then only looks up: no planner stands between a client and a row. It must not know sessions or who keeps rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, TableScan};
use datafusion::physical_expr::PhysicalExpr;
use thalweg_core::SqlError;

use super::asked::covered;
use super::contents::Stored;
use super::database::Database;
use super::errors::sql_error;
use super::index_scan::MAX_FOUND;
use super::integers::cast_exactly;
use super::lookup::ReadTable;
use super::objects::Oid;
use super::parameters::scalars;
use super::query::Query;

/// `SELECT … FROM relation WHERE key = $1 [AND …]`, over all columns of an index.
#[derive(Clone, Debug)]
pub struct PointQuery {
    /// The relation.
    pub object: Oid,
    /// The query's columns.
    pub schema: SchemaRef,
    parameters: Vec<FieldRef>,
    /// The columns of the index.
    columns: Vec<usize>,
    /// For each of them, the number of its parameter and its type.
    key: Vec<(usize, FieldRef)>,
    projection: Vec<usize>,
    items: Vec<Arc<dyn PhysicalExpr>>,
}

impl Database {
    /// `query` as a look-up, if it is one.
    pub fn point(&self, query: &Query) -> Option<PointQuery> {
        if query.parameters.is_empty() || query.by_engine {
            return None;
        }
        let plan = self.planner.optimize(query.plan.clone()).ok()?;
        let (items, below) = match &plan {
            LogicalPlan::Projection(projection) => (Some(&projection.expr), projection.input.as_ref()),
            other => (None, other),
        };
        let (condition, scan) = match below {
            LogicalPlan::Filter(filter) => match filter.input.as_ref() {
                LogicalPlan::TableScan(scan) => (Some(&filter.predicate), scan),
                _ => return None,
            },
            LogicalPlan::TableScan(scan) => (None, scan),
            _ => return None,
        };
        let table = source_as_provider(&scan.source).ok()?;
        let table = table.downcast_ref::<ReadTable>()?;
        let object = table.object()?;
        let mut conditions: Vec<&Expr> =
            condition.iter().flat_map(|c| split_conjunction(c)).chain(&scan.filters).collect();
        conditions.sort_by_cached_key(ToString::to_string);
        conditions.dedup();
        let of_column = |column: usize| {
            let field = Arc::clone(&table.columns().fields()[column]);
            // Of floats two zeros are equal, which no hash tells.
            let asks = |(i, c): (usize, &&Expr)| Some((i, asked(c, field.name())?));
            let (i, number) =
                conditions.iter().enumerate().find_map(asks).filter(|_| !field.data_type().is_floating())?;
            Some((i, (number, field)))
        };
        // Each condition must be one of the key's: the others would have to be looked at as well.
        let (columns, key) = covered(&table.indexes(), conditions.len(), of_column)?;
        if scan.fetch.is_some() {
            return None;
        }
        let projection = scan.projection.clone().unwrap_or_else(|| (0..table.columns().fields().len()).collect());
        let items = self.items(items.map(Vec::as_slice), scan)?;
        let (parameters, schema) = (query.parameters.clone(), Arc::clone(&query.schema));
        Some(PointQuery { object, schema, parameters, columns, key, projection, items })
    }

    fn items(&self, items: Option<&[Expr]>, scan: &TableScan) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
        let schema: &DFSchema = &scan.projected_schema;
        let all: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
        let compiled = |e: &Expr| crate::lower::compile_expr(&e.clone().unalias(), schema).ok();
        let items: Vec<_> = items.unwrap_or(&all).iter().map(compiled).collect::<Option<_>>()?;
        // The clock is each statement's own.
        (!items.iter().any(crate::lower::reads_now)).then_some(items)
    }
}

/// The number (from 0) of the parameter that `condition` says `column` equals.
fn asked(condition: &Expr, column: &str) -> Option<usize> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(c), Expr::Placeholder(p)) | (Expr::Placeholder(p), Expr::Column(c)) if c.name == column => {
            p.id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
        }
        _ => None,
    }
}

impl PointQuery {
    /// The rows, from the parts of the relation; `None` when they are too many to be looked up.
    ///
    /// # Errors
    /// A value does not read as its parameter's type; an expression fails.
    pub fn rows(&self, parts: &[Arc<dyn Stored>], values: &[ArrayRef]) -> Result<Option<RecordBatch>, SqlError> {
        let values = scalars(&self.parameters, values)?;
        let mut found = Vec::new();
        // Null equals nothing.
        if self.key.iter().all(|(number, _)| values.get(*number).is_some_and(|v| !v.is_null())) {
            let cell = |(number, field): &(usize, FieldRef)| {
                let cell = values[*number].to_array().map_err(|e| sql_error(&e))?;
                if cell.data_type() == field.data_type() {
                    return Ok(cell);
                }
                Ok(arrow::compute::cast(&cell, field.data_type()).map_err(thalweg_core::Error::from)?)
            };
            let key = self.key.iter().map(cell).collect::<Result<Vec<_>, SqlError>>()?;
            for part in parts {
                let Some(rows) = part.find(&self.columns, &key, MAX_FOUND)? else { return Ok(None) };
                found.push(rows);
            }
        }
        found.retain(|rows| rows.num_rows() > 0);
        let rows = match &found[..] {
            [] => return Ok(Some(RecordBatch::new_empty(Arc::clone(&self.schema)))),
            [one] => one.clone(),
            many => concat_batches(&many[0].schema(), many).map_err(thalweg_core::Error::from)?,
        };
        let narrow = rows.project(&self.projection).map_err(thalweg_core::Error::from)?;
        let cell = |(e, field): (&Arc<dyn PhysicalExpr>, &FieldRef)| {
            let cell = e.evaluate(&narrow).and_then(|v| v.into_array(narrow.num_rows())).map_err(|e| sql_error(&e))?;
            if cell.data_type() == field.data_type() {
                return Ok(cell);
            }
            cast_exactly(&cell, field.data_type())
        };
        let cells = self.items.iter().zip(self.schema.fields()).map(cell).collect::<Result<Vec<_>, SqlError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), cells, &options);
        Ok(Some(batch.map_err(thalweg_core::Error::from)?))
    }
}
