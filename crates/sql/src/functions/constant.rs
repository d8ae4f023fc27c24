//! Arguments that must be written there as they are: the parameters of a function. It must not know any function.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

/// The value of a literal, under a cast as the planner puts one.
pub(super) fn constant(arg: &Expr) -> Option<ScalarValue> {
    match arg {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(cast) => constant(&cast.expr),
        _ => None,
    }
}

/// It as a double; `None`: it is none, or NULL.
pub(super) fn number(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) => number.filter(|n| !n.is_nan()),
        _ => None,
    }
}
