//! Where CASE leaves its mark on types. Before its casts are put in, the planner takes it to be of its first result's type:
//! `CASE WHEN a THEN 1 ELSE 0.5 END` is a bigint until then. It must not know what is done about it.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// Whether any expression of a plan is a CASE.
pub(crate) fn has_case(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // Nothing in it can fail.
    let _ = plan.apply_with_subqueries(|node| {
        found |= node.expressions().iter().any(is_case);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// Of each column of a plan, whether a CASE has a part in it.
pub(crate) fn of_columns(plan: &LogicalPlan) -> Vec<bool> {
    let width = plan.schema().fields().len();
    let found: Vec<bool> = match plan {
        LogicalPlan::Projection(projection) => of_all(projection.expr.iter(), &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            of_all(aggregate.group_expr.iter().chain(&aggregate.aggr_expr), &aggregate.input)
        }
        LogicalPlan::Window(window) => {
            let mut columns = of_columns(&window.input);
            columns.extend(of_all(window.window_expr.iter(), &window.input));
            columns
        }
        LogicalPlan::SubqueryAlias(alias) => of_columns(&alias.input),
        LogicalPlan::Filter(filter) => of_columns(&filter.input),
        LogicalPlan::Sort(sort) => of_columns(&sort.input),
        LogicalPlan::Limit(limit) => of_columns(&limit.input),
        LogicalPlan::Distinct(Distinct::All(input)) => of_columns(input),
        LogicalPlan::Join(join) => {
            let mut columns = of_columns(&join.left);
            columns.extend(of_columns(&join.right));
            columns
        }
        LogicalPlan::TableScan(_) => vec![false; width],
        other => vec![has_case(other); width],
    };
    // A join that keeps one side, grouping sets: whoever is not sure says yes.
    if found.len() == width { found } else { vec![has_case(plan); width] }
}

fn of_all<'a>(exprs: impl Iterator<Item = &'a Expr>, input: &LogicalPlan) -> Vec<bool> {
    let below = of_columns(input);
    let from_below = |e: &Expr| {
        let index = |column| input.schema().maybe_index_of_column(column);
        e.column_refs().into_iter().filter_map(index).any(|i| below.get(i) == Some(&true))
    };
    exprs.map(|e| is_case(e) || from_below(e)).collect()
}

fn is_case(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::Case(_)))).unwrap_or(true)
}
