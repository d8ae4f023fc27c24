//! Operators whose operands PostgreSQL types otherwise than the planner. It must not know the relations.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::cell::{Cell, array};
use super::rewrite::array_literal;

/// Text literals beside arrays are arrays; beside regular expressions, names are text.
#[derive(Debug)]
pub(super) struct CatalogOperators;

impl ExprPlanner for CatalogOperators {
    fn plan_binary_op(&self, mut raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let compares = matches!(raw.op, BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::StringConcat);
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        if compares && let Some(list) = as_list(&raw.right, &left) {
            raw.right = list;
        } else if compares && let Some(list) = as_list(&raw.left, &right) {
            raw.left = list;
        } else if let Some(number) = as_number(&raw.right, &left) {
            raw.right = number;
        } else if let Some(number) = as_number(&raw.left, &right) {
            raw.left = number;
        }
        Ok(PlannerResult::Original(raw))
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// `'{0}'` beside an array.
fn as_list(expr: &Expr, beside: &DataType) -> Option<Expr> {
    if !matches!(beside, DataType::List(_)) {
        return None;
    }
    let items = array_literal(literal(expr)?)?;
    let list = Cell::List(items.into_iter().map(Cell::from).collect());
    let made = array(beside, &[list]).ok()?;
    Some(lit(ScalarValue::try_from_array(&made, 0).ok()?))
}

/// `'16384'` beside a number.
fn as_number(expr: &Expr, beside: &DataType) -> Option<Expr> {
    (beside.is_integer() && literal(expr)?.trim().parse::<i64>().is_ok()).then(|| cast(expr.clone(), beside.clone()))
}
