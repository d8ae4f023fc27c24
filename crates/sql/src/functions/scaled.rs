//! `ceil`, `floor` and `trunc` of decimals with as many digits after the point as are left. It must not know the planner.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};
use datafusion::scalar::ScalarValue;

use super::inner::as_inner;
use super::simple::over_arrays;

/// `inner`, which leaves zeros after the point.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Scaled {
    inner: Arc<ScalarUDF>,
}

pub(super) fn scaled(inner: Arc<ScalarUDF>) -> ScalarUDF {
    ScalarUDF::from(Scaled { inner })
}

impl ScalarUDFImpl for Scaled {
    as_inner!();

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let places = match args.scalar_arguments.get(1) {
            None => Some(0),
            Some(places) => places.and_then(places_of),
        };
        let field = self.inner.return_field_from_args(args)?;
        let to = places.and_then(|places| with_places(field.data_type(), places));
        Ok(to.map_or(field, |to| Arc::new(Field::new(self.name(), to, true))))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let decimal = args.first().map(|a| info.get_data_type(a)).transpose()?.is_some_and(|t| t.is_decimal());
        // What DataFusion makes of it has DataFusion's digits.
        if decimal { Ok(ExprSimplifyResult::Original(args)) } else { self.inner.simplify(args, info) }
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        let decimal = args.first().map(|a| info.get_data_type(a)).transpose()?.is_some_and(|t| t.is_decimal());
        if decimal { Ok(PreimageResult::None) } else { self.inner.preimage(args, literal, info) }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let to = args.return_field.data_type().clone();
        if !to.is_decimal() {
            return self.inner.invoke_with_args(args);
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        if let Ok(whole) = self.inner.return_type(&types) {
            args.return_field = Arc::new(Field::new(self.name(), whole, true));
        }
        let out = self.inner.invoke_with_args(args)?;
        over_arrays(&[out], |values| Ok(cast(&values[0], &to)?))
    }
}

fn places_of(places: &ScalarValue) -> Option<i8> {
    match places.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(Some(places)) => i8::try_from(places.clamp(0, 76)).ok(),
        _ => None,
    }
}

/// A decimal of at most `places` digits after the point, with room for one more before it; none when it is that already.
fn with_places(of: &DataType, places: i8) -> Option<DataType> {
    let digits = |p: u8, s: i8, most: u8| (i16::from(p) - i16::from(s - places) + 1).clamp(1, i16::from(most)) as u8;
    match of {
        DataType::Decimal128(p, s) if *s > places => Some(DataType::Decimal128(digits(*p, *s, 38), places)),
        DataType::Decimal256(p, s) if *s > places => Some(DataType::Decimal256(digits(*p, *s, 76), places)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_after_the_point_go() {
        assert_eq!(with_places(&DataType::Decimal128(10, 2), 0), Some(DataType::Decimal128(9, 0)));
        assert_eq!(with_places(&DataType::Decimal128(10, 2), 1), Some(DataType::Decimal128(10, 1)));
        assert_eq!(with_places(&DataType::Decimal128(10, 2), 3), None);
        assert_eq!(with_places(&DataType::Float64, 0), None);
    }
}
