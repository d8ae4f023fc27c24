//! A scalar function given by a few plain functions over arrays. It must not know what any of them computes.

use std::hash::{Hash, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

/// The result's type by the arguments' types.
pub(super) type Returns = fn(&[DataType]) -> Result<DataType>;
/// The result, of the type given, for arguments of equal length.
pub(super) type Run = fn(&[ArrayRef], &DataType) -> Result<ArrayRef>;

/// An immutable function of its arguments. Its name tells which one it is.
#[derive(Debug)]
struct Simple {
    name: &'static str,
    signature: Signature,
    returns: Returns,
    run: Run,
}

/// A function that takes whatever `returns` accepts.
pub(super) fn any(name: &'static str, args: usize, returns: Returns, run: Run) -> ScalarUDF {
    let signature = Signature::any(args, Volatility::Immutable);
    ScalarUDF::from(Simple { name, signature, returns, run })
}

/// A function whose arguments are cast to `types`.
pub(super) fn exact(name: &'static str, types: Vec<DataType>, returns: Returns, run: Run) -> ScalarUDF {
    let signature = Signature::exact(types, Volatility::Immutable);
    ScalarUDF::from(Simple { name, signature, returns, run })
}

impl PartialEq for Simple {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Simple {}

impl Hash for Simple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Simple {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        (self.returns)(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args.args, |arrays| (self.run)(arrays, args.return_field.data_type()))
    }
}

/// Runs `f` on the arguments as arrays; a constant of constants stays one.
pub(super) fn over_arrays(
    args: &[ColumnarValue],
    f: impl FnOnce(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let scalar = args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let out = f(&ColumnarValue::values_to_arrays(args)?)?;
    if scalar {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&out, 0)?));
    }
    Ok(ColumnarValue::Array(out))
}
