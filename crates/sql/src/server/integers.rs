//! Which columns of a query are `int4` in PostgreSQL: an integer literal is one when it fits, and so is what is computed of
//! such. Here literals are computed with as `bigint`; what a client is told, and given, is narrowed at the end. It must
//! not know how queries run.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator};
use thalweg_core::{SqlError, SqlState};

/// `schema` of the answer of `plan`, with `int4` where PostgreSQL has it.
pub(super) fn narrowed(schema: &SchemaRef, plan: &LogicalPlan) -> SchemaRef {
    let narrow = int4_columns(plan);
    let field = |(i, f): (usize, &FieldRef)| {
        let is_narrow = f.data_type() == &DataType::Int64 && narrow.get(i).copied().unwrap_or(false);
        if is_narrow { Arc::new(f.as_ref().clone().with_data_type(DataType::Int32)) } else { Arc::clone(f) }
    };
    Arc::new(Schema::new(schema.fields().iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// `column` as a `to`; an `int4` that does not fit is an error.
pub(super) fn cast_exactly(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, SqlError> {
    let narrows = column.data_type() == &DataType::Int64 && to == &DataType::Int32;
    let options = CastOptions { safe: !narrows, ..CastOptions::default() };
    cast_with_options(column, to, &options).map_err(|error| match narrows {
        true => SqlError::new(SqlState::NUMERIC_OUT_OF_RANGE, "integer out of range"),
        false => thalweg_core::Error::from(error).into(),
    })
}

/// Of each column of `plan`, whether PostgreSQL computes it as `int4` or narrower.
fn int4_columns(plan: &LogicalPlan) -> Vec<bool> {
    let unknown = || plan.schema().fields().iter().map(|f| is_int4_type(f.data_type())).collect();
    let found: Vec<bool> = match plan {
        LogicalPlan::Projection(projection) => of_all(&projection.expr, &projection.input),
        LogicalPlan::SubqueryAlias(alias) => int4_columns(&alias.input),
        LogicalPlan::Filter(filter) => int4_columns(&filter.input),
        LogicalPlan::Sort(sort) => int4_columns(&sort.input),
        LogicalPlan::Limit(limit) => int4_columns(&limit.input),
        LogicalPlan::Distinct(Distinct::All(input)) => int4_columns(input),
        LogicalPlan::Union(union) => {
            let of_inputs: Vec<Vec<bool>> = union.inputs.iter().map(|input| int4_columns(input)).collect();
            (0..plan.schema().fields().len()).map(|i| of_inputs.iter().all(|of| of.get(i) == Some(&true))).collect()
        }
        LogicalPlan::Values(values) => {
            let empty = DFSchema::empty();
            let of_column = |i: usize| {
                let mut cells = values.values.iter().filter_map(|row| row.get(i)).filter(|e| !is_null(e)).peekable();
                cells.peek().is_some() && cells.all(|e| is_int4(e, &empty, &[]))
            };
            (0..plan.schema().fields().len()).map(of_column).collect()
        }
        _ => return unknown(),
    };
    if found.len() == plan.schema().fields().len() { found } else { unknown() }
}

fn of_all(exprs: &[Expr], input: &LogicalPlan) -> Vec<bool> {
    let columns = int4_columns(input);
    exprs.iter().map(|e| is_int4(e, input.schema(), &columns)).collect()
}

fn is_int4(expr: &Expr, schema: &DFSchema, columns: &[bool]) -> bool {
    let of = |e: &Expr| is_int4(e, schema, columns);
    let or_null = |e: &Expr| is_null(e) || of(e);
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => i32::try_from(*value).is_ok(),
        Expr::Literal(value, _) => is_int4_type(&value.data_type()),
        Expr::Column(column) => schema.index_of_column(column).is_ok_and(|i| columns.get(i) == Some(&true)),
        Expr::Alias(alias) => of(&alias.expr),
        Expr::Negative(inner) => of(inner),
        Expr::Cast(cast) => is_int4_type(cast.field.data_type()),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            use Operator::{BitwiseAnd, BitwiseOr, BitwiseXor, Divide, Minus, Modulo, Multiply, Plus};
            let computes =
                matches!(op, Plus | Minus | Multiply | Divide | Modulo | BitwiseAnd | BitwiseOr | BitwiseXor);
            computes && of(left) && of(right)
        }
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref());
            let mut results = results.filter(|e| !is_null(e)).peekable();
            results.peek().is_some() && results.all(of)
        }
        Expr::ScalarFunction(call) => {
            let keeps = matches!(call.func.name(), "coalesce" | "greatest" | "least" | "nullif" | "abs" | "mod");
            keeps && call.args.iter().any(of) && call.args.iter().all(or_null)
        }
        _ => false,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}

fn is_int4_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int16 | DataType::Int32)
}
