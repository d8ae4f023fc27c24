//! A query as PostgreSQL's clients write it, said in words that the planner knows: casts to `regclass`, operators and
//! functions with their schema, arrays of queries, sets of rows in FROM. It must not know the picture.

mod ast;
mod casts;
mod columns;
mod expressions;
mod items;
mod names;
mod sets;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Select, SetExpr, TableFactor, Value, VisitMut, VisitorMut};

pub(crate) use casts::parse as array_literal;
pub(super) use names::shown;

/// Puts `query` into words that the planner knows. The names of its columns are those that PostgreSQL would give; see
/// [`shown`] for those that are not unique.
pub(super) fn rewrite(query: &mut Query) {
    let _ = query.visit(&mut Rewrite);
    items::show_names(&mut query.body);
}

/// Gives the columns of a query PostgreSQL's names; see [`shown`] for those that are not unique.
pub(crate) fn name_columns(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => names::name_items(select),
        SetExpr::SetOperation { left, right, .. } => {
            name_columns(left);
            name_columns(right);
        }
        SetExpr::Query(query) => name_columns(&mut query.body),
        _ => {}
    }
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Before anything changes: names follow from what was written.
        names::name_items(select);
        columns::replace(select);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        sets::first_is_not_lateral(select);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        sets::as_query(factor);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let taken = std::mem::replace(expr, Expr::value(Value::Null));
        *expr = expressions::rewritten(taken);
        ControlFlow::Continue(())
    }
}
