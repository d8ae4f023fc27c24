//! `(SELECT x …)` as a value, of a query that may have several rows: the planner joins it, and rows would multiply.
//! It becomes any one of the rows beside their count, and more than one is an error, as in PostgreSQL. It must not know
//! our plan.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, LogicalPlanBuilder, Subquery, lit};

use crate::functions::only_row;

/// `plan` with every query that stands for a value reduced to one row.
pub(crate) fn single_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(reduced)?.update_data(|expr| name.restore(expr)))
        })
    })
    .data()
}

fn reduced(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarSubquery(query) if !at_most_one(&query.subquery) => only_one(query).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    }
}

fn only_one(query: Subquery) -> Result<Expr> {
    let value = query
        .subquery
        .head_output_expr()?
        .ok_or_else(|| DataFusionError::Plan("a query that stands for a value must have one column".to_owned()))?;
    let name = value.qualified_name().1;
    let reduced = |aggregate: Expr| {
        let plan = LogicalPlanBuilder::from(query.subquery.as_ref().clone())
            .aggregate(Vec::<Expr>::new(), [aggregate.alias(&name)])?
            .build()?;
        Ok::<_, DataFusionError>(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..query.clone() }))
    };
    Ok(only_row().call(vec![reduced(first_value(value, Vec::new()))?, reduced(count(lit(1_i64)))?]))
}

/// The query cannot have a second row.
fn at_most_one(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => at_most_one(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => at_most_one(&alias.input),
        LogicalPlan::Filter(filter) => at_most_one(&filter.input),
        LogicalPlan::Sort(sort) => at_most_one(&sort.input),
        LogicalPlan::Limit(limit) => {
            matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(0 | 1)))) || at_most_one(&limit.input)
        }
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        _ => false,
    }
}

/// `value` where `rows` is at most one.
pub(crate) fn checked_value(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let rows = args[1].as_primitive::<Int64Type>();
    if rows.iter().flatten().any(|n| n > 1) {
        return Err(DataFusionError::Execution(
            "more than one row returned by a subquery used as an expression".to_owned(),
        ));
    }
    Ok(Arc::clone(&args[0]))
}
