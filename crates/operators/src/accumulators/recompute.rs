//! `Recompute`: any aggregate of the function library, computed anew from a group's rows when the group has changed.
//! It must not know when that is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::scalar::ScalarValue;
use thalweg_core::{Error, Result};
use thalweg_plan::{AggregateCall, AggregateFunction, Expr};

use super::values::{Marks, Values};
use crate::operator::data_error;

/// One call over a value table whose columns are its arguments, then its ORDER BY columns.
#[derive(Debug)]
pub(super) struct Recompute {
    udf: Arc<AggregateUDF>,
    /// Number of arguments.
    arity: usize,
    order: Vec<SortOptions>,
    distinct: bool,
    output: FieldRef,
    schema: SchemaRef,
    /// Which count of an entry is this call's.
    member: usize,
}

impl Recompute {
    pub(super) fn new(call: &AggregateCall, input: &Schema, member: usize) -> Result<Self> {
        let AggregateFunction::Other(udf) = &call.function else {
            return Err(Error::Internal(format!("{call} is not recomputed")));
        };
        let columns = call.args.iter().copied().chain(call.order_by.iter().map(|(column, _, _)| *column));
        let fields: Vec<Field> = columns
            .enumerate()
            .map(|(i, c)| input.field(c).clone().with_name(format!("c{i}")).with_nullable(true))
            .collect();
        Ok(Self {
            udf: Arc::clone(udf),
            arity: call.args.len(),
            order: call
                .order_by
                .iter()
                .map(|(_, descending, nulls_first)| SortOptions { descending: *descending, nulls_first: *nulls_first })
                .collect(),
            distinct: call.distinct,
            output: Arc::clone(&call.output),
            schema: Arc::new(Schema::new(fields)),
            member,
        })
    }

    /// The results of `groups`.
    pub(super) fn evaluate(&self, values: &Values, groups: &[u32]) -> Result<ArrayRef> {
        let mut entries = Vec::new();
        let mut repeats = Vec::new();
        let mut ends = Vec::with_capacity(groups.len());
        for group in groups {
            for entry in values.entries_of(*group) {
                let count = self.count(values, entry as usize);
                if count > 0 {
                    entries.push(entry);
                    repeats.push(if self.distinct { 1 } else { count });
                }
            }
            ends.push(entries.len());
        }
        let columns = values.table.keys(&entries)?.split_off(1);
        let ranks = self.ranks(&columns)?;
        let mut results = Vec::with_capacity(groups.len());
        let mut built: Option<(Vec<Option<ScalarValue>>, AggregateFunctionExpr)> = None;
        let mut start = 0;
        for end in ends {
            let mut order: Vec<usize> = (start..end).collect();
            order.sort_unstable_by(|a, b| ranks.row(*a).cmp(&ranks.row(*b)));
            let mut rows = Vec::new();
            for entry in order {
                rows.extend(std::iter::repeat_n(entry as u32, usize::try_from(repeats[entry]).unwrap_or(0)));
            }
            start = end;
            results.push(self.one(&columns, &UInt32Array::from(rows), &mut built)?);
        }
        if results.is_empty() {
            return Ok(new_empty_array(self.output.data_type()));
        }
        ScalarValue::iter_to_array(results).map_err(data_error)
    }

    fn count(&self, values: &Values, entry: usize) -> i64 {
        match &values.marks {
            Marks::Bits(bits) => i64::from(bits[entry] >> self.member & 1),
            Marks::Counts(counts) => counts[entry * values.members.len() + self.member],
        }
    }

    /// Entries in the order in which they are given to the function: its ORDER BY, then by value, so that the same rows
    /// give the same result whatever order they came in.
    fn ranks(&self, columns: &[ArrayRef]) -> Result<arrow::row::Rows> {
        let (args, order) = columns.split_at(self.arity);
        let mut fields: Vec<SortField> = order
            .iter()
            .zip(&self.order)
            .map(|(c, options)| SortField::new_with_options(c.data_type().clone(), *options))
            .collect();
        fields.extend(args.iter().map(|c| SortField::new(c.data_type().clone())));
        let columns: Vec<ArrayRef> = order.iter().chain(args).cloned().collect();
        Ok(RowConverter::new(fields)?.convert_columns(&columns)?)
    }

    fn one(
        &self,
        columns: &[ArrayRef],
        rows: &UInt32Array,
        built: &mut Option<(Vec<Option<ScalarValue>>, AggregateFunctionExpr)>,
    ) -> Result<ScalarValue> {
        if rows.is_empty() {
            let nothing = self.udf.default_value(self.output.data_type()).map_err(data_error)?;
            return nothing.cast_to(self.output.data_type()).map_err(data_error);
        }
        let within_group = self.udf.supports_within_group_clause();
        let used = if within_group { columns.len() } else { self.arity };
        let mut taken = Vec::with_capacity(used);
        for column in &columns[..used] {
            taken.push(take(column, rows, None)?);
        }
        // Some functions want an argument to be a literal (a separator, a fraction): a constant one is given so.
        let mut literals = vec![None];
        for column in taken.iter().take(self.arity).skip(1) {
            let first = column.slice(0, 1);
            let constant = (1..column.len()).all(|i| column.slice(i, 1).as_ref() == first.as_ref());
            let literal =
                if constant { Some(ScalarValue::try_from_array(&first, 0).map_err(data_error)?) } else { None };
            literals.push(literal);
        }
        if built.as_ref().is_none_or(|(known, _)| *known != literals) {
            let expr = self.build(&literals, within_group)?;
            *built = Some((literals, expr));
        }
        let Some((_, expr)) = built else { return Err(Error::Internal("an aggregate was not built".into())) };
        let mut accumulator = expr.create_accumulator().map_err(data_error)?;
        accumulator.update_batch(&taken).map_err(data_error)?;
        let result = accumulator.evaluate().map_err(data_error)?;
        // The function may prefer another string type than the plan.
        if result.data_type() == *self.output.data_type() {
            return Ok(result);
        }
        result.cast_to(self.output.data_type()).map_err(data_error)
    }

    fn build(&self, literals: &[Option<ScalarValue>], within_group: bool) -> Result<AggregateFunctionExpr> {
        let column = |i: usize| Arc::new(Column::new(self.schema.field(i).name(), i)) as Expr;
        let args: Vec<Expr> = literals
            .iter()
            .enumerate()
            .map(|(i, literal)| match literal {
                Some(value) => Arc::new(Literal::new(value.clone())) as Expr,
                None => column(i),
            })
            .collect();
        let mut builder = AggregateExprBuilder::new(Arc::clone(&self.udf), args)
            .schema(Arc::clone(&self.schema))
            .alias(self.output.name());
        if within_group {
            let order = self.order.iter().enumerate();
            builder = builder
                .order_by(order.map(|(i, o)| PhysicalSortExpr { expr: column(self.arity + i), options: *o }).collect());
        }
        builder.build().map_err(data_error)
    }
}
