//! What sqlparser reads otherwise than PostgreSQL, and what the planner does not know but can be said in other words:
//! both put right on the syntax tree, before names are bound. It must not know the catalog.

mod full_join;
mod names;

use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    LimitClause, ObjectName, Query, Select, SelectItem, SetExpr, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::ParserError;

use crate::functions;

/// A query or an expression as PostgreSQL reads it.
///
/// # Errors
/// What would be answered wrongly if it went on.
pub(crate) fn as_postgres_reads<T: VisitMut>(parsed: &mut T) -> Result<(), ParserError> {
    match parsed.visit(&mut Spelling) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Spelling;

impl VisitorMut for Spelling {
    type Break = ParserError;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<ParserError> {
        match fetch_as_limit(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<ParserError> {
        if let Err(error) = full_join::coalesce_keys(select) {
            return ControlFlow::Break(error);
        }
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                exists_as_count(expr);
            }
        }
        names::make_unique(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<ParserError> {
        *expr = respelled(mem::replace(expr, Expr::value(Value::Null)));
        ControlFlow::Continue(())
    }
}

/// One expression, its operands already put right.
fn respelled(expr: Expr) -> Expr {
    match expr {
        // `x IS DISTINCT FROM y AND z`: sqlparser takes all of `y AND z` for the right side.
        Expr::IsDistinctFrom(left, right) => hoist(*right, is_logical, |r| Expr::IsDistinctFrom(left, Box::new(r))),
        Expr::IsNotDistinctFrom(left, right) => {
            hoist(*right, is_logical, |r| Expr::IsNotDistinctFrom(left, Box::new(r)))
        }
        // Whatever stood left of it must then be taken along; for any other tree these change nothing.
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            hoist(*expr, is_logical, |e| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(e) })
        }
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            hoist(*right, is_logical, |r| binary(*left, BinaryOperator::And, r))
        }
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            hoist(*right, |op| *op == BinaryOperator::Or, |r| binary(*left, BinaryOperator::Or, r))
        }
        // A sign binds tighter than a power.
        Expr::UnaryOp { op: op @ (UnaryOperator::Minus | UnaryOperator::Plus), expr } => {
            hoist(*expr, |op| *op == BinaryOperator::PGExp, |e| Expr::UnaryOp { op, expr: Box::new(e) })
        }
        Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr } => {
            // All bits but those set: there is no other way to say it to the planner.
            binary(Expr::value(Value::Number("-1".to_owned(), false)), BinaryOperator::Minus, Expr::Nested(expr))
        }
        Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n.contains(['e', 'E'])) => {
            let Value::Number(digits, _) = value.value else { unreachable!("matched above") };
            Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(Expr::value(Value::SingleQuotedString(digits))),
                data_type: DataType::DoublePrecision,
                array: false,
                format: None,
            }
        }
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } if matches!(*right, Expr::Subquery(_)) => {
            in_subquery(left, *right, false)
        }
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } if matches!(*right, Expr::Subquery(_)) => {
            in_subquery(left, *right, true)
        }
        zoned @ Expr::AtTimeZone { .. } => functions::at_time_zone_call(zoned),
        interval @ Expr::Interval(_) => functions::interval_in_words(interval),
        other => other,
    }
}

fn in_subquery(left: Box<Expr>, right: Expr, negated: bool) -> Expr {
    let Expr::Subquery(subquery) = right else { unreachable!("checked by the caller") };
    Expr::InSubquery { expr: left, subquery, negated }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn is_logical(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

/// Puts `make` around the leftmost operand of `right` instead of around all of it, down a chain of `weaker` operators.
/// What stood in parentheses is `Nested` and stays whole.
fn hoist(right: Expr, weaker: impl Fn(&BinaryOperator) -> bool + Copy, make: impl FnOnce(Expr) -> Expr) -> Expr {
    match right {
        Expr::BinaryOp { left, op, right } if weaker(&op) => {
            Expr::BinaryOp { left: Box::new(hoist(*left, weaker, make)), op, right }
        }
        other => make(other),
    }
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
fn fetch_as_limit(query: &mut Query) -> Result<(), ParserError> {
    let Some(Fetch { with_ties, percent, quantity }) = query.fetch.take() else { return Ok(()) };
    if with_ties || percent {
        return Err(ParserError::ParserError(
            "FETCH FIRST … WITH TIES and PERCENT are not supported; use rank() in a subquery".to_owned(),
        ));
    }
    let n = quantity.unwrap_or_else(|| Expr::value(Value::Number("1".to_owned(), false)));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit, .. }) => *limit = Some(n),
        clause => *clause = Some(LimitClause::LimitOffset { limit: Some(n), offset: None, limit_by: Vec::new() }),
    }
    Ok(())
}

/// `EXISTS (SELECT …)` in a SELECT list as `(SELECT count(*) …) > 0`, which the planner can join. Only right under
/// CASE, AND, OR and NOT, and only over a query that count(*) does not change.
fn exists_as_count(expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => exists_as_count(inner),
        Expr::BinaryOp { left, right, .. } => {
            exists_as_count(left);
            exists_as_count(right);
        }
        Expr::Case { conditions, else_result, .. } => {
            for when in conditions {
                exists_as_count(&mut when.condition);
                exists_as_count(&mut when.result);
            }
            if let Some(other) = else_result {
                exists_as_count(other);
            }
        }
        Expr::Exists { subquery, negated } if counts_alike(subquery) => {
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            let mut query = subquery.clone();
            if let SetExpr::Select(select) = query.body.as_mut() {
                select.projection = vec![SelectItem::UnnamedExpr(count_star())];
            }
            let zero = Expr::value(Value::Number("0".to_owned(), false));
            *expr = Expr::Nested(Box::new(binary(Expr::Subquery(query), op, zero)));
        }
        _ => {}
    }
}

fn counts_alike(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let grouped = format!("{}", select.group_by);
    query.with.is_none()
        && query.limit_clause.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && grouped.trim().trim_start_matches("GROUP BY").trim().is_empty()
        && select.projection.iter().all(|item| !format!("{item}").contains('('))
}

fn count_star() -> Expr {
    let list = datafusion::sql::sqlparser::ast::FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)],
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("count")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::as_postgres_reads;

    fn read(text: &str) -> String {
        let mut expr = Parser::new(&PostgreSqlDialect {})
            .try_with_sql(text)
            .and_then(|mut p| p.parse_expr())
            .expect("the test's own expression");
        as_postgres_reads(&mut expr).expect("nothing to refuse");
        grouped(&expr)
    }

    /// With parentheses around every operation, so that the tree shows.
    fn grouped(expr: &datafusion::sql::sqlparser::ast::Expr) -> String {
        use datafusion::sql::sqlparser::ast::Expr;
        match expr {
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", grouped(left), grouped(right)),
            Expr::IsDistinctFrom(l, r) => format!("({} <> {})", grouped(l), grouped(r)),
            Expr::IsNotDistinctFrom(l, r) => format!("({} == {})", grouped(l), grouped(r)),
            Expr::UnaryOp { op, expr } => format!("({op} {})", grouped(expr)),
            Expr::Nested(inner) => format!("[{}]", grouped(inner)),
            other => other.to_string(),
        }
    }

    #[test]
    fn is_distinct_from_binds_tighter_than_the_logical_operators() {
        assert_eq!(read("x IS DISTINCT FROM y AND z"), "((x <> y) AND z)");
        assert_eq!(read("x IS NOT DISTINCT FROM y OR z AND w"), "((x == y) OR (z AND w))");
        assert_eq!(read("a AND x IS DISTINCT FROM y OR z"), "((a AND (x <> y)) OR z)");
        assert_eq!(read("a OR x IS DISTINCT FROM y AND z"), "(a OR ((x <> y) AND z))");
        assert_eq!(read("NOT x IS DISTINCT FROM y AND z"), "((NOT (x <> y)) AND z)");
        assert_eq!(read("x IS DISTINCT FROM (y AND z)"), "(x <> [(y AND z)])");
        assert_eq!(read("a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e"), "(((a <> b) AND (c <> d)) OR e)");
    }

    #[test]
    fn a_sign_binds_tighter_than_a_power() {
        assert_eq!(read("-2 ^ 2"), "((- 2) ^ 2)");
        assert_eq!(read("-(2 ^ 2)"), "(- [(2 ^ 2)])");
        assert_eq!(read("3 - 2 ^ 2"), "(3 - (2 ^ 2))");
    }

    #[test]
    fn other_trees_stay_as_they_are() {
        assert_eq!(read("a OR b AND NOT c OR d"), "((a OR (b AND (NOT c))) OR d)");
        assert_eq!(read("a = b AND c BETWEEN 1 AND 2 AND d"), "(((a = b) AND c BETWEEN 1 AND 2) AND d)");
    }

    #[test]
    fn a_literal_with_an_exponent_is_a_float() {
        assert_eq!(read("1e300"), "'1e300'::DOUBLE PRECISION");
        assert_eq!(read("1.5"), "1.5");
    }
}
