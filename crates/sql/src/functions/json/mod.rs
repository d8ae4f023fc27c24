//! PostgreSQL's operators and functions for JSON, which is kept as text. It must not know plans.

mod args;
mod contain;
mod facts;
mod get;
mod path;
mod scan;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use args::is_text;
use facts::{Question, fact};
use get::{Get, Way, get};

/// Adds the functions and the operators to `state`.
pub(crate) fn register(state: &mut SessionState) {
    let questions = [
        Question::TypeOf,
        Question::ArrayLength,
        Question::HasKey,
        Question::HasAny,
        Question::HasAll,
        Question::Contains,
        Question::ContainedIn,
    ];
    let mut functions: Vec<Arc<ScalarUDF>> = questions.map(fact).into();
    functions.push(get("jsonb_extract_path", Some("json_extract_path"), Way::Elements, false));
    functions.push(get("jsonb_extract_path_text", Some("json_extract_path_text"), Way::Elements, true));
    for function in functions {
        // Registering cannot fail: it returns what was there before.
        let _ = state.register_udf(function);
    }
    let _ = state.register_expr_planner(Arc::new(JsonOperators));
}

/// Makes calls of the operators.
#[derive(Debug)]
struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match expr.op {
            BinaryOperator::Arrow => get("->", None, Way::Steps, false),
            BinaryOperator::LongArrow => get("->>", None, Way::Steps, true),
            BinaryOperator::HashArrow => get("#>", None, Way::Path, false),
            BinaryOperator::HashLongArrow => get("#>>", None, Way::Path, true),
            BinaryOperator::Question => fact(Question::HasKey),
            BinaryOperator::QuestionPipe => fact(Question::HasAny),
            BinaryOperator::QuestionAnd => fact(Question::HasAll),
            BinaryOperator::AtArrow if is_text(&expr.left.get_type(schema)?) => fact(Question::Contains),
            BinaryOperator::ArrowAt if is_text(&expr.left.get_type(schema)?) => fact(Question::ContainedIn),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(call(function, expr.left, expr.right)))
    }
}

/// `doc -> 'a' ->> 'b'` becomes one call, so that what is at `a` is not copied.
fn call(function: Arc<ScalarUDF>, left: Expr, right: Expr) -> Expr {
    let steps = function.inner().downcast_ref::<Get>().is_some_and(Get::takes_steps);
    let args = match left {
        Expr::ScalarFunction(inner) if steps && inner.func.inner().downcast_ref::<Get>().is_some_and(Get::is_arrow) => {
            inner.args.into_iter().chain([right]).collect()
        }
        left => vec![left, right],
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}
