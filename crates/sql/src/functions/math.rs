//! Numbers as PostgreSQL computes them: rounding, division, and errors where floats would give no number.
//! It must not know when the planner calls for them.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int32Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::compute::kernels::arity::try_binary;
use arrow::compute::kernels::numeric::div;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{Operator, ScalarUDF};

use super::simple;

/// `mod(a, b)`: the planner puts `a % b` in its place.
pub(super) const MOD: &str = "mod";

/// Rounds to a whole number: floats half to even, decimals half away from zero.
pub(super) static WHOLE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(simple::any("to_whole", 1, |args| Ok(whole_type(&args[0])), |args, to| whole(&args[0], to)))
});

/// Division of floats of one type, where zero is an error.
pub(super) static DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(simple::any("float_div", 2, |args| Ok(args[0].clone()), |args, _| divide(&args[0], &args[1])))
});

/// `mod(a, b)`.
pub(super) fn modulo() -> ScalarUDF {
    simple::any(
        MOD,
        2,
        |args| BinaryTypeCoercer::new(&args[0], &Operator::Modulo, &args[1]).get_result_type(),
        |_, _| Err(DataFusionError::Internal("mod() was not planned as %".to_owned())),
    )
}

/// `width_bucket(value, low, high, count)`.
pub(super) fn width_bucket() -> ScalarUDF {
    use DataType::{Float64, Int32, Int64};
    let run: simple::Run = |args, _| {
        let [value, low, high] = [0, 1, 2].map(|i| args[i].as_primitive::<Float64Type>());
        let count = args[3].as_primitive::<Int64Type>();
        let at = |row: usize| {
            if args.iter().any(|a| a.is_null(row)) {
                return Ok(None);
            }
            bucket(value.value(row), low.value(row), high.value(row), count.value(row)).map(Some)
        };
        Ok(Arc::new((0..value.len()).map(at).collect::<Result<Int32Array>>()?))
    };
    simple::exact("width_bucket", vec![Float64, Float64, Float64, Int64], |_| Ok(Int32), run)
}

fn bucket(value: f64, low: f64, high: f64, count: i64) -> Result<i32> {
    let Some(beyond) = i32::try_from(count).ok().filter(|c| *c > 0).and_then(|c| c.checked_add(1)) else {
        return Err(DataFusionError::Execution("count must be greater than zero and fit an integer".to_owned()));
    };
    if value.is_nan() || !low.is_finite() || !high.is_finite() {
        let message = "operand, lower bound, and upper bound cannot be NaN; bounds must be finite";
        return Err(DataFusionError::Execution(message.to_owned()));
    }
    if low == high {
        return Err(DataFusionError::Execution("lower bound cannot equal upper bound".to_owned()));
    }
    let part = (value - low) / (high - low);
    Ok(if part < 0.0 {
        0
    } else if part >= 1.0 {
        beyond
    } else {
        // Below count, as part is below one; rounding may reach it.
        ((part * f64::from(beyond - 1)) as i32 + 1).min(beyond - 1)
    })
}

fn whole_type(from: &DataType) -> DataType {
    let digits = |p: u8, s: i8, most: u8| (i16::from(p) - i16::from(s) + 1).clamp(1, i16::from(most)) as u8;
    match from {
        DataType::Decimal128(p, s) if *s > 0 => DataType::Decimal128(digits(*p, *s, 38), 0),
        DataType::Decimal256(p, s) if *s > 0 => DataType::Decimal256(digits(*p, *s, 76), 0),
        other => other.clone(),
    }
}

/// Rounds `values`; what is whole already stays.
pub(super) fn whole(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        DataType::Float64 => {
            Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even))
        }
        DataType::Float32 => {
            Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even))
        }
        _ => cast(values, to)?,
    })
}

/// `values` rounded when they are fractions and `to` is an integer: what a cast must do first.
pub(super) fn rounded_for(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if to.is_integer() && has_fraction(values.data_type()) {
        return whole(values, &whole_type(values.data_type()));
    }
    Ok(Arc::clone(values))
}

/// The type has digits after the point.
pub(super) fn has_fraction(of: &DataType) -> bool {
    of.is_floating() || matches!(of, DataType::Decimal128(_, s) | DataType::Decimal256(_, s) if *s > 0)
}

fn divide(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    match right.data_type() {
        DataType::Float64 => divide_as::<Float64Type>(left, right, 0.0),
        DataType::Float32 => divide_as::<Float32Type>(left, right, 0.0),
        _ => Ok(div(left, right)?),
    }
}

fn divide_as<T: ArrowPrimitiveType>(left: &ArrayRef, right: &ArrayRef, zero: T::Native) -> Result<ArrayRef>
where
    T::Native: std::ops::Div<Output = T::Native>,
{
    let divisors = right.as_primitive::<T>();
    // Nearly always there is none: one quick look, then the quick kernel. A null may hide any bits.
    if divisors.values().iter().fold(false, |found, d| found | (*d == zero)) {
        let checked: PrimitiveArray<T> = try_binary(left.as_primitive::<T>(), divisors, |a, b| {
            if b == zero { Err(ArrowError::DivideByZero) } else { Ok(a / b) }
        })
        .map_err(|_| DataFusionError::Execution("division by zero".to_owned()))?;
        return Ok(Arc::new(checked));
    }
    Ok(div(left, right)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array};

    use super::*;

    fn floats(values: &[Option<f64>]) -> ArrayRef {
        Arc::new(Float64Array::from(values.to_vec()))
    }

    #[test]
    fn floats_round_half_to_even_decimals_away_from_zero() {
        let values = floats(&[Some(2.5), Some(3.5), Some(-2.5), Some(2.7), None]);
        let rounded = whole(&values, &DataType::Float64).expect("floats round");
        assert_eq!(&rounded, &floats(&[Some(2.0), Some(4.0), Some(-2.0), Some(3.0), None]));
        let decimals = Decimal128Array::from(vec![25, -25, 24, -9999]).with_precision_and_scale(4, 1).expect("fits");
        let decimals: ArrayRef = Arc::new(decimals);
        let rounded = rounded_for(&decimals, &DataType::Int64).expect("decimals round");
        assert_eq!(rounded.data_type(), &DataType::Decimal128(4, 0));
        assert_eq!(rounded.as_primitive::<arrow::datatypes::Decimal128Type>().values(), &[3, -3, 2, -1000]);
    }

    #[test]
    fn division_by_zero_is_an_error_unless_something_is_null() {
        let some = floats(&[Some(1.0), None]);
        assert!(divide(&some, &floats(&[Some(0.0), Some(1.0)])).is_err());
        let quotients = divide(&some, &floats(&[Some(2.0), Some(0.0)])).expect("null divided by zero is null");
        assert_eq!(&quotients, &floats(&[Some(0.5), None]));
    }

    #[test]
    fn buckets_count_from_either_end() {
        assert_eq!(bucket(5.35, 0.024, 10.06, 5).ok(), Some(3));
        assert_eq!(bucket(-1.0, 0.0, 10.0, 5).ok(), Some(0));
        assert_eq!(bucket(10.0, 0.0, 10.0, 5).ok(), Some(6));
        assert_eq!(bucket(9.0, 10.0, 0.0, 5).ok(), Some(1));
        assert!(bucket(1.0, 1.0, 1.0, 5).is_err() && bucket(1.0, 0.0, 2.0, 0).is_err());
    }
}
