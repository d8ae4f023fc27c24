//! Where the planner's meaning of an expression is not PostgreSQL's: the expression that means it. What changes an
//! expression's type happens while names are bound ([`Operators`]), the rest before types are coerced ([`Meaning`]).
//! It must not know plans.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator, ScalarUDF, cast, lit, when};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::{casts, datetime, intervals, math};

/// Operators and special syntax whose type is not the planner's.
#[derive(Debug)]
pub(crate) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        let planned = match raw.op {
            // A date has no time of day to add to: it becomes a timestamp.
            BinaryOperator::Plus | BinaryOperator::Minus if is_date(&left) && is_interval(&right) => {
                return Ok(PlannerResult::Original(RawBinaryExpr { left: as_timestamp(raw.left), ..raw }));
            }
            BinaryOperator::Plus if is_interval(&left) && is_date(&right) => {
                return Ok(PlannerResult::Original(RawBinaryExpr { right: as_timestamp(raw.right), ..raw }));
            }
            BinaryOperator::Multiply if is_span(&left) && right.is_numeric() => {
                intervals::TIMES.call(vec![as_interval(raw.left, &left), raw.right])
            }
            BinaryOperator::Multiply if left.is_numeric() && is_span(&right) => {
                intervals::TIMES.call(vec![as_interval(raw.right, &right), raw.left])
            }
            BinaryOperator::Divide if is_span(&left) && right.is_numeric() => {
                intervals::PARTS.call(vec![as_interval(raw.left, &left), raw.right])
            }
            // A text that is written there is the boolean that it tells.
            BinaryOperator::Eq | BinaryOperator::NotEq if left == DataType::Boolean && is_text(&raw.right, &right) => {
                return Ok(PlannerResult::Original(RawBinaryExpr { right: cast(raw.right, left), ..raw }));
            }
            BinaryOperator::Eq | BinaryOperator::NotEq if right == DataType::Boolean && is_text(&raw.left, &left) => {
                return Ok(PlannerResult::Original(RawBinaryExpr { left: cast(raw.left, right), ..raw }));
            }
            // Parts of a date are no integers to PostgreSQL, so half an hour is not lost.
            BinaryOperator::Divide if is_date_part(&raw.left) || is_date_part(&raw.right) => {
                let left = cast(raw.left, DataType::Float64);
                return Ok(PlannerResult::Original(RawBinaryExpr { left, ..raw }));
            }
            _ => return Ok(PlannerResult::Original(raw)),
        };
        Ok(PlannerResult::Planned(planned))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(datetime::DATE_PART.call(args)))
    }

    /// `substring(s FROM 'regex')`: the first group, or all that matched.
    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        if args.len() != 2 || !args[1].as_literal().is_some_and(|s| casts::is_text(&s.data_type())) {
            return Ok(PlannerResult::Original(args));
        }
        let groups = datafusion::functions::regex::regexp_match().call(args);
        let first = datafusion::functions_nested::extract::array_element_udf().call(vec![groups, lit(1_i64)]);
        Ok(PlannerResult::Planned(first))
    }
}

/// A text as it is written, not a column of texts.
fn is_text(expr: &Expr, of: &DataType) -> bool {
    matches!(expr, Expr::Literal(_, _)) && casts::is_text(of)
}

fn is_date(of: &DataType) -> bool {
    matches!(of, DataType::Date32 | DataType::Date64)
}

fn is_interval(of: &DataType) -> bool {
    matches!(of, DataType::Interval(_))
}

/// An interval, or the difference of two timestamps.
fn is_span(of: &DataType) -> bool {
    is_interval(of) || matches!(of, DataType::Duration(_))
}

fn is_date_part(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if f.name() == datetime::DATE_PART.name())
}

fn as_timestamp(date: Expr) -> Expr {
    cast(date, DataType::Timestamp(TimeUnit::Microsecond, None))
}

fn as_interval(expr: Expr, of: &DataType) -> Expr {
    if is_interval(of) { expr } else { intervals::SPAN.call(vec![expr]) }
}

/// Casts, divisions and functions whose value is not the planner's.
#[derive(Debug)]
pub(crate) struct Meaning;

impl FunctionRewrite for Meaning {
    fn name(&self) -> &str {
        "postgres_meaning"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Cast(cast) => rewrite_cast(cast, schema),
            Expr::ScalarFunction(function) => rewrite_function(function, schema),
            Expr::BinaryExpr(binary) if binary.op == Operator::Divide => rewrite_division(binary, schema),
            Expr::BinaryExpr(binary) if binary.op == Operator::StringConcat => Ok(rewrite_concat(binary, schema)),
            Expr::BinaryExpr(binary) if is_comparison(binary.op) => Ok(rewrite_comparison(binary, schema)),
            other => Ok(Transformed::no(other)),
        }
    }
}

/// `expr`, and all in it, as PostgreSQL means it.
///
/// # Errors
/// A type that cannot be told.
pub(crate) fn meant(expr: Expr, schema: &DFSchema, config: &ConfigOptions) -> Result<Expr> {
    expr.transform_up(|e| Meaning.rewrite(e, schema, config)).data()
}

fn rewrite_cast(mut cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Ok(from) = cast.expr.get_type(schema) else { return Ok(Transformed::no(Expr::Cast(cast))) };
    let to = cast.field.data_type();
    if let Expr::Literal(text, _) = cast.expr.as_ref()
        && casts::is_text(&from)
        && let Some(spelled) = text.try_as_str().flatten().and_then(|t| casts::spelled_for(t, to))
    {
        *cast.expr = lit(ScalarValue::Utf8View(Some(spelled)));
        return Ok(Transformed::yes(Expr::Cast(cast)));
    }
    let first = match (&from, to) {
        (from, to) if to.is_integer() && math::has_fraction(from) => &math::WHOLE,
        (from, DataType::Binary) if casts::is_text(from) => &casts::BYTES,
        (DataType::Duration(_), DataType::Interval(_)) => &intervals::SPAN,
        (from, to) if casts::is_text(to) => match text_of(from) {
            Some(text) => text,
            None => return Ok(Transformed::no(Expr::Cast(cast))),
        },
        _ => return Ok(Transformed::no(Expr::Cast(cast))),
    };
    *cast.expr = first.call(vec![std::mem::take(cast.expr.as_mut())]);
    Ok(Transformed::yes(Expr::Cast(cast)))
}

fn rewrite_function(mut function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let of = |e: &Expr| e.get_type(schema).unwrap_or(DataType::Null);
    let name = function.name().to_owned();
    match (name.as_str(), &mut function.args[..]) {
        (math::MOD, [left, right]) => {
            let (left, right) = (Box::new(std::mem::take(left)), Box::new(std::mem::take(right)));
            return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, Operator::Modulo, right))));
        }
        ("round", [value]) if of(value).is_floating() => function.func = Arc::clone(&math::WHOLE),
        ("concat" | "concat_ws", args) => {
            for arg in args.iter_mut() {
                concatenated(arg, &of(arg))?;
            }
        }
        ("regexp_replace", [_, _, Expr::Literal(with, _), ..]) => {
            // All that matched is group 0 to the regular expressions used here.
            let Some(text) = with.try_as_str().flatten().filter(|t| t.contains("\\&")) else {
                return Ok(Transformed::no(Expr::ScalarFunction(function)));
            };
            *with = ScalarValue::Utf8View(Some(text.replace("\\&", "\\0")));
        }
        _ => return Ok(Transformed::no(Expr::ScalarFunction(function))),
    }
    Ok(Transformed::yes(Expr::ScalarFunction(function)))
}

/// The function that makes text of a type whose text is not Arrow's.
fn text_of(of: &DataType) -> Option<&'static LazyLock<Arc<ScalarUDF>>> {
    match of {
        DataType::Timestamp(_, _) => Some(&datetime::TIME_TEXT),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => Some(&casts::BYTES_TEXT),
        of if of.is_floating() => Some(&casts::FLOAT_TEXT),
        _ => None,
    }
}

/// An argument of `concat` in PostgreSQL's words.
fn concatenated(arg: &mut Expr, of: &DataType) -> Result<()> {
    if *of == DataType::Boolean {
        let truth = std::mem::take(arg);
        *arg = when(truth.clone(), lit("t")).when(truth.is_false(), lit("f")).end()?;
    } else if let Some(text) = text_of(of) {
        *arg = text.call(vec![std::mem::take(arg)]);
    }
    Ok(())
}

/// `text || value`: the value's text.
fn rewrite_concat(mut binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    let of = |e: &Expr| e.get_type(schema).unwrap_or(DataType::Null);
    let (left, right) = (of(&binary.left), of(&binary.right));
    let (side, text) = match (text_of(&left), text_of(&right)) {
        (Some(text), None) if casts::is_text(&right) => (&mut binary.left, text),
        (None, Some(text)) if casts::is_text(&left) => (&mut binary.right, text),
        _ => return Transformed::no(Expr::BinaryExpr(binary)),
    };
    **side = text.call(vec![std::mem::take(side.as_mut())]);
    Transformed::yes(Expr::BinaryExpr(binary))
}

/// Bytes compared with a text are compared with the bytes that it tells; dates with a date some days off stay dates.
fn rewrite_comparison(mut binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    let of = |e: &Expr| e.get_type(schema).unwrap_or(DataType::Null);
    let (left, right) = (of(&binary.left), of(&binary.right));
    if let Some(with) = compared(&left, &binary.right, &right) {
        *binary.right = with;
    } else if let Some(with) = compared(&right, &binary.left, &left) {
        *binary.left = with;
    } else {
        return Transformed::no(Expr::BinaryExpr(binary));
    }
    Transformed::yes(Expr::BinaryExpr(binary))
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// What to compare a value of type `of` with instead of `other`, if not with itself.
fn compared(of: &DataType, other: &Expr, other_type: &DataType) -> Option<Expr> {
    match (of, other) {
        (DataType::Binary, Expr::Literal(_, _)) if casts::is_text(other_type) => {
            Some(casts::BYTES.call(vec![other.clone()]))
        }
        // Midnights compare as their days do, and a column of days need not become one of timestamps.
        (DataType::Date32, Expr::BinaryExpr(shifted)) if matches!(shifted.op, Operator::Plus | Operator::Minus) => {
            let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(by)), _) = shifted.right.as_ref() else {
                return None;
            };
            let Expr::Cast(day) = shifted.left.as_ref() else { return None };
            let is_day = matches!(day.expr.as_ref(), Expr::Literal(ScalarValue::Date32(_), _) | Expr::Cast(_));
            let to_day = |e: &Expr| match e {
                Expr::Cast(c) => *c.field.data_type() == DataType::Date32,
                _ => true,
            };
            (by.nanoseconds == 0 && is_day && to_day(&day.expr))
                .then(|| Expr::BinaryExpr(BinaryExpr::new(day.expr.clone(), shifted.op, shifted.right.clone())))
        }
        _ => None,
    }
}

/// Division of floats by what may be zero.
fn rewrite_division(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let same = |binary| Ok(Transformed::no(Expr::BinaryExpr(binary)));
    let (Ok(left), Ok(right)) = (binary.left.get_type(schema), binary.right.get_type(schema)) else {
        return same(binary);
    };
    let Ok(to) = BinaryTypeCoercer::new(&left, &Operator::Divide, &right).get_result_type() else {
        return same(binary);
    };
    if !to.is_floating() || is_not_zero(&binary.right) {
        return same(binary);
    }
    let operand = |e: Expr, of: &DataType| if *of == to { e } else { cast(e, to.clone()) };
    let operands = vec![operand(*binary.left, &left), operand(*binary.right, &right)];
    Ok(Transformed::yes(math::DIVIDE.call(operands)))
}

/// A constant other than zero.
fn is_not_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.cast_to(&DataType::Float64).is_ok_and(|v| match v {
            ScalarValue::Float64(Some(v)) => v != 0.0,
            _ => false,
        }),
        Expr::Cast(cast) => cast.field.data_type().is_numeric() && is_not_zero(&cast.expr),
        _ => false,
    }
}
