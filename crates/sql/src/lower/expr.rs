//! Logical expressions to compiled ones, with PostgreSQL's arithmetic and our clock. It must not know nodes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr as Logical, Operator, SortExpr};
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr};
use datafusion::physical_expr::{ScalarFunctionExpr, create_physical_expr};
use thalweg_plan::{Expr, Now, OrderKey};

use super::unsupported;
use crate::functions::{NOW, SPAN};
use crate::window_table::position;

/// Compiles `expr` over the columns of `schema`.
pub(crate) fn compile(expr: &Logical, schema: &DFSchema) -> Result<Expr> {
    let compiled = create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    compiled.transform_up(|e| Ok(ours(e))).data()
}

/// `column` of `schema` as a value of type `to`; the difference of two timestamps is an interval of days and a time.
pub(crate) fn cast_column(column: Expr, schema: &Schema, to: &DataType) -> Result<Expr> {
    if matches!(column.data_type(schema)?, DataType::Duration(_)) && matches!(to, DataType::Interval(_)) {
        let options = Arc::new(ConfigOptions::default());
        return Ok(Arc::new(ScalarFunctionExpr::try_new(Arc::clone(&SPAN), vec![column], schema, options)?));
    }
    Ok(Arc::new(CastExpr::new(column, to.clone(), None)))
}

/// Compiles `expr` for a `place` that has no clock of its own: there `now()` would not be the epoch's time.
///
/// # Errors
/// The expression reads `now()`.
pub(crate) fn compile_timeless(expr: &Logical, schema: &DFSchema, place: &str) -> Result<Expr> {
    let compiled = compile(expr, schema)?;
    if reads_now(&compiled) {
        return Err(unsupported(format!("now() in {place}; compute it in a subquery's SELECT list")));
    }
    Ok(compiled)
}

/// The expression reads the clock somewhere.
pub(crate) fn reads_now(expr: &Expr) -> bool {
    expr.downcast_ref::<Now>().is_some() || expr.children().into_iter().any(reads_now)
}

/// `now()` reads the epoch's clock.
fn ours(expr: Expr) -> Transformed<Expr> {
    if expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|f| f.name() == NOW) {
        return Transformed::yes(Arc::new(Now::default()) as Expr);
    }
    checked_arithmetic(expr)
}

/// Integer arithmetic that overflows is an error, not a wrong number.
pub(crate) fn checked_arithmetic(expr: Expr) -> Transformed<Expr> {
    match expr.downcast_ref::<BinaryExpr>() {
        Some(binary) if matches!(binary.op(), Operator::Plus | Operator::Minus | Operator::Multiply) => {
            let checked = BinaryExpr::new(Arc::clone(binary.left()), *binary.op(), Arc::clone(binary.right()))
                .with_fail_on_overflow(true);
            Transformed::yes(Arc::new(checked) as Expr)
        }
        _ => Transformed::no(expr),
    }
}

/// ORDER BY over plain columns.
///
/// # Errors
/// An expression that is no column of `schema`.
pub(crate) fn order_keys(order: &[SortExpr], schema: &DFSchema) -> Result<Vec<OrderKey>> {
    let key = |s: &SortExpr| {
        let column = position(schema, &s.expr).map_err(|_| unsupported(format!("ORDER BY {}", s.expr)))?;
        Ok(OrderKey { column, descending: !s.asc, nulls_first: s.nulls_first })
    };
    order.iter().map(key).collect()
}
