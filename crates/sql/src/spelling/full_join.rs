//! `l FULL JOIN r USING (k)`: its `k` is the one of the side that has a row, which the planner takes from the left
//! alone. Said instead as ON with `coalesce(l.k, r.k)`. It must not know what the tables are.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::ParserError;

use super::binary;

/// Puts the full joins of one SELECT in other words.
///
/// # Errors
/// A full join with USING whose columns cannot be named: of several joins, of a table without a name, under `*`.
pub(super) fn coalesce_keys(select: &mut Select) -> Result<(), ParserError> {
    let mut keys = Vec::new();
    for from in &mut select.from {
        let alone = from.joins.len() == 1;
        for join in &mut from.joins {
            let JoinOperator::FullOuter(constraint @ JoinConstraint::Using(_)) = &mut join.join_operator else {
                continue;
            };
            let (true, Some(left), Some(right)) = (alone, name(&from.relation), name(&join.relation)) else {
                return Err(refused("beside other joins or over a table without a name"));
            };
            let JoinConstraint::Using(columns) = std::mem::replace(constraint, JoinConstraint::None) else {
                unreachable!("matched above")
            };
            let shared: Vec<Key> = columns.iter().filter_map(|column| Key::of(column, &left, &right)).collect();
            let equal = shared.iter().map(Key::equality).reduce(|a, b| binary(a, BinaryOperator::And, b));
            *constraint = equal.map_or(JoinConstraint::None, JoinConstraint::On);
            keys.extend(shared);
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    replace(select, &keys)
}

fn refused(place: &str) -> ParserError {
    ParserError::ParserError(format!(
        "FULL JOIN … USING {place} is not supported; join ON the columns and select coalesce() of both"
    ))
}

/// A shared column, as either side names it.
struct Key {
    column: Ident,
    left: Expr,
    right: Expr,
}

impl Key {
    fn of(column: &ObjectName, left: &Ident, right: &Ident) -> Option<Self> {
        let column = column.0.last()?.as_ident()?.clone();
        let side = |table: &Ident| Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
        Some(Self { left: side(left), right: side(right), column })
    }

    fn equality(&self) -> Expr {
        binary(self.left.clone(), BinaryOperator::Eq, self.right.clone())
    }

    fn coalesced(&self) -> Expr {
        let arg = |e: &Expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(e.clone()));
        Expr::Function(Function {
            name: ObjectName::from(vec![Ident::new("coalesce")]),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::List(FunctionArgumentList {
                duplicate_treatment: None,
                args: vec![arg(&self.left), arg(&self.right)],
                clauses: Vec::new(),
            }),
            filter: None,
            null_treatment: None,
            over: None,
            within_group: Vec::new(),
        })
    }
}

/// The name under which a query calls a relation.
fn name(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.clone())
        }
        TableFactor::Table { name, .. } => name.0.last()?.as_ident().cloned(),
        _ => None,
    }
}

fn replace(select: &mut Select, keys: &[Key]) -> Result<(), ParserError> {
    for item in &mut select.projection {
        match item {
            SelectItem::Wildcard(_) => return Err(refused("under SELECT *")),
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => {
                if let Some(key) = keys.iter().find(|key| key.column == *ident) {
                    *item = SelectItem::ExprWithAlias { expr: key.coalesced(), alias: ident.clone() };
                }
            }
            _ => {}
        }
    }
    let mut coalesce = Coalesce { keys, depth: 0 };
    let _ = select.projection.visit(&mut coalesce);
    let _ = select.selection.visit(&mut coalesce);
    let _ = select.group_by.visit(&mut coalesce);
    let _ = select.having.visit(&mut coalesce);
    Ok(())
}

/// Replaces a shared column's bare name; not in subqueries, whose names are their own.
struct Coalesce<'a> {
    keys: &'a [Key],
    depth: usize,
}

impl VisitorMut for Coalesce<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && self.depth == 0
            && let Some(key) = self.keys.iter().find(|key| key.column == *ident)
        {
            *expr = key.coalesced();
        }
        ControlFlow::Continue(())
    }
}
