//! DataFusion's float functions, where no number as a result is an error as in PostgreSQL. It must not know the planner.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};

use super::inner::as_inner;

/// The functions that have results which are no numbers.
pub(super) const NAMES: [&str; 7] = ["ln", "log", "log10", "log2", "sqrt", "exp", "power"];

/// `inner`, its results looked at.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    inner: Arc<ScalarUDF>,
}

pub(super) fn checked(inner: Arc<ScalarUDF>) -> ScalarUDF {
    ScalarUDF::from(Checked { inner })
}

impl ScalarUDFImpl for Checked {
    as_inner!();

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given = args.args.clone();
        let out = self.inner.invoke_with_args(args)?;
        if out.data_type().is_floating() {
            let rows = match &out {
                ColumnarValue::Array(array) => array.len(),
                ColumnarValue::Scalar(_) => 1,
            };
            check(self.name(), &given, &out.to_array(rows)?)?;
        }
        Ok(out)
    }
}

/// Finds results that are no numbers though all arguments are.
fn check(name: &str, args: &[ColumnarValue], out: &ArrayRef) -> Result<()> {
    let out = cast(out, &DataType::Float64)?;
    let out = out.as_primitive::<Float64Type>();
    if out.values().iter().fold(true, |all, v| all & v.is_finite()) {
        return Ok(());
    }
    let args = args
        .iter()
        .map(|a| Ok(cast(&a.to_array(out.len())?, &DataType::Float64)?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    for row in (0..out.len()).filter(|row| out.is_valid(*row) && !out.value(*row).is_finite()) {
        let arg = |a: &ArrayRef| a.as_primitive::<Float64Type>().value(row);
        if args.iter().all(|a| a.is_valid(row) && arg(a).is_finite()) {
            let first = args.first().map_or(0.0, arg);
            return Err(DataFusionError::Execution(reason(name, first, out.value(row)).to_owned()));
        }
    }
    Ok(())
}

fn reason(name: &str, first: f64, out: f64) -> &'static str {
    match name {
        "sqrt" => "cannot take square root of a negative number",
        "ln" | "log" | "log10" | "log2" if out.is_nan() => "cannot take logarithm of a negative number",
        "ln" | "log" | "log10" | "log2" => "cannot take logarithm of zero",
        "power" if out.is_nan() => "a negative number raised to a non-integer power yields a complex result",
        "power" if first == 0.0 => "zero raised to a negative power is undefined",
        _ => "value out of range: overflow",
    }
}

#[cfg(test)]
mod tests {
    use datafusion::scalar::ScalarValue;

    use super::*;

    #[test]
    fn only_what_numbers_make_is_checked() {
        let run = |name: &str, arg: f64, out: f64| {
            let out: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![out]));
            check(name, &[ColumnarValue::Scalar(ScalarValue::Float64(Some(arg)))], &out).map_err(|e| e.to_string())
        };
        assert!(run("ln", 0.0, f64::NEG_INFINITY).expect_err("no number").contains("logarithm of zero"));
        assert!(run("ln", -1.0, f64::NAN).expect_err("no number").contains("negative number"));
        assert!(run("exp", 1000.0, f64::INFINITY).expect_err("no number").contains("overflow"));
        assert_eq!(run("ln", f64::INFINITY, f64::INFINITY), Ok(()));
    }
}
