//! Columns that an operator needs and the query does not show: computed below it, dropped above it. It must not know
//! operators.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr as Logical, SortExpr};
use datafusion::physical_expr::expressions::Literal;
use datafusion::scalar::ScalarValue;
use thalweg_plan::{Expr, OrderKey};

use super::{Lowerer, Rel, expr, picks};
use crate::window_table::position;

impl Lowerer<'_> {
    /// `rel` with a column for each of `exprs` over `schema`, and where each stands; `rel` may have more columns than
    /// `schema`.
    pub(super) fn with_columns(&mut self, rel: Rel, exprs: &[Logical], schema: &DFSchema) -> Result<(Rel, Vec<usize>)> {
        let have = Arc::clone(&self.properties(rel.node).schema);
        let width = have.fields().len();
        let mut items = picks(&(0..width).collect::<Vec<_>>(), &have);
        let mut places = Vec::with_capacity(exprs.len());
        for e in exprs {
            if let Ok(place) = position(schema, e) {
                places.push(place);
                continue;
            }
            let compiled = expr::compile(e, schema)?;
            let field = Field::new(format!("computed {}", items.len()), compiled.data_type(schema.as_arrow())?, true);
            places.push(items.len());
            items.push((compiled, Arc::new(field)));
        }
        let rel = if items.len() == width { rel } else { self.calc(rel, None, Some(items))? };
        Ok((rel, places))
    }

    /// As [`Self::with_columns`], for what rows are sorted by.
    pub(super) fn with_sort_columns(
        &mut self,
        rel: Rel,
        order: &[SortExpr],
        schema: &DFSchema,
    ) -> Result<(Rel, Vec<OrderKey>)> {
        let exprs: Vec<Logical> = order.iter().map(|by| by.expr.clone()).collect();
        let (rel, places) = self.with_columns(rel, &exprs, schema)?;
        let key =
            |(by, column): (&SortExpr, usize)| OrderKey { column, descending: !by.asc, nulls_first: by.nulls_first };
        Ok((rel, order.iter().zip(places).map(key).collect()))
    }

    /// `rel` with at least one column: rows without any cannot be stored.
    pub(super) fn with_some_column(&mut self, rel: Rel) -> Result<Rel> {
        if !rel.lineage.is_empty() {
            return Ok(rel);
        }
        let one = Arc::new(Literal::new(ScalarValue::Boolean(Some(true)))) as Expr;
        let field: FieldRef = Arc::new(Field::new("row", DataType::Boolean, false));
        self.calc(rel, None, Some(vec![(one, field)]))
    }

    /// The first `width` columns and the `last` ones: without what was computed for the operator below.
    pub(super) fn without_computed(&mut self, rel: Rel, width: usize, last: usize) -> Result<Rel> {
        let have = Arc::clone(&self.properties(rel.node).schema);
        let total = have.fields().len();
        if total == width + last {
            return Ok(rel);
        }
        let places: Vec<usize> = (0..width).chain(total - last..total).collect();
        self.calc(rel, None, Some(picks(&places, &have)))
    }
}
