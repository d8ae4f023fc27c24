//! `ORDER BY` something that asks a query: the planner joins queries to what is selected, not to what is sorted by. It
//! becomes a column to sort by that is left out afterwards. It must not know what is asked.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Sort, ident};

/// `plan` without queries in what it sorts by.
pub(super) fn lifted(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(sort) if sort.expr.iter().any(|by| asks(&by.expr)) => lift(sort).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn asks(expr: &Expr) -> bool {
    let mut asks = false;
    let _ = expr.apply(|e| {
        asks |= matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_));
        Ok(if asks { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    asks
}

fn lift(sort: Sort) -> Result<LogicalPlan> {
    let shown: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut computed = shown.clone();
    let mut order = Vec::with_capacity(sort.expr.len());
    for (at, mut by) in sort.expr.into_iter().enumerate() {
        if asks(&by.expr) {
            let name = format!("__order_{at}");
            computed.push(std::mem::take(&mut by.expr).alias(&name));
            by.expr = ident(name);
        }
        order.push(by);
    }
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(sort.input)).project(computed)?;
    input.sort_with_limit(order, sort.fetch)?.project(shown)?.build()
}
