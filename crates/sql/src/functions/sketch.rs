//! The sketch functions, for SQL: `approx_count_distinct(x)`, `sketch_merge(s)`, `sketch_estimate(s)` and their kin. It must
//! not know how a sketch works, nor how the engine keeps the sketches of groups.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err, plan_datafusion_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use thalweg_analysis::sketch::{Accepts, GroupSketches, Role, SketchError, build, call, signatures};
use thalweg_plan::SketchCall;

use super::constant::{constant, number};
use super::simple::over_arrays;

static ANY: LazyLock<Signature> = LazyLock::new(|| Signature::user_defined(Volatility::Immutable));

/// Adds them to `state`.
pub(super) fn register(state: &mut SessionState) {
    for signature in signatures() {
        // Registering cannot fail: it returns what was there before.
        match signature.role {
            Role::Aggregate => {
                let _ = state.register_udaf(Arc::new(AggregateUDF::from(Function(signature))));
            }
            Role::Scalar => {
                let _ = state.register_udf(Arc::new(ScalarUDF::from(Function(signature))));
            }
        }
    }
}

/// The call of a sketch aggregate as the engine knows it; `None`: `function` is another one.
pub(crate) fn sketch_call(function: &str, argument: &DataType, args: &[Expr]) -> Result<Option<SketchCall>> {
    let Some(of) = signatures().iter().find(|s| s.name == function && s.role == Role::Aggregate) else {
        return Ok(None);
    };
    let parameters = Function(of).parameters(args.iter().skip(1).map(constant))?;
    build(of.name, argument, &parameters).map_err(planned)?;
    Ok(Some(SketchCall { function: of.name, argument: argument.clone(), parameters }))
}

fn planned(error: SketchError) -> DataFusionError {
    plan_datafusion_err!("{error}")
}

fn executed(error: SketchError) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Function(&'static thalweg_analysis::sketch::Signature);

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl Function {
    /// The constants after the columns, as numbers.
    fn parameters(&self, constants: impl Iterator<Item = Option<ScalarValue>>) -> Result<Vec<f64>> {
        let given = constants.zip(self.0.parameters).map(|(given, parameter)| match given.map(|v| number(&v)) {
            Some(Some(number)) => Ok(number),
            _ => plan_err!("{}(): {} must be a number that is written there", self.0.name, parameter.name),
        });
        given.collect()
    }

    /// Types as the columns and parameters want them.
    fn coerced(&self, found: &[DataType]) -> Result<Vec<DataType>> {
        let columns = self.0.arguments.len();
        if !(columns..=columns + self.0.parameters.len()).contains(&found.len()) {
            let optional = self.0.parameters.iter().filter(|p| p.default.is_some());
            let optional: Vec<&str> = optional.map(|p| p.name).collect();
            let required = self.0.parameters.iter().filter(|p| p.default.is_none()).map(|p| p.name);
            let mut all: Vec<&str> = self.0.arguments.iter().map(|a| a.words()).chain(required).collect();
            all.extend(&optional);
            return plan_err!("{} takes {}", self.0.name, all.join(", then "));
        }
        let column = |(accepts, found): (&Accepts, &DataType)| match (accepts, found) {
            (Accepts::Fraction, t) if t.is_numeric() => Ok(DataType::Float64),
            (Accepts::Sketch, DataType::Null) => Ok(DataType::Binary),
            (accepts, found) if accepts.takes(found) => Ok(found.clone()),
            (accepts, found) => {
                plan_err!("{} does not take {found}: give it {}, or cast", self.0.name, accepts.words())
            }
        };
        let mut types = self.0.arguments.iter().zip(found).map(column).collect::<Result<Vec<_>>>()?;
        types.resize(found.len(), DataType::Float64);
        Ok(types)
    }

    fn returns(&self) -> DataType {
        match &self.0.result {
            DataType::Utf8 => DataType::Utf8View,
            other => other.clone(),
        }
    }
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        self.0.name
    }

    fn signature(&self) -> &Signature {
        &ANY
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.coerced(types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.returns())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let constants = args.exprs.iter().skip(1).map(|e| e.downcast_ref::<Literal>().map(|l| l.value().clone()));
        let parameters = self.parameters(constants)?;
        let sketches = build(self.0.name, args.expr_fields[0].data_type(), &parameters).map_err(planned)?;
        Ok(Box::new(Whole { sketches, returns: self.returns() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[sketch]", args.name), DataType::Binary, true))])
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        match self.0.result {
            DataType::Int64 => Ok(ScalarValue::Int64(Some(0))),
            _ => ScalarValue::try_from(data_type),
        }
    }
}

/// The sketch of all rows of a group.
struct Whole {
    sketches: Box<dyn GroupSketches>,
    returns: DataType,
}

impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whole").finish_non_exhaustive()
    }
}

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sketches.update(&vec![0; values[0].len()], &values[0]).map_err(executed)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.sketches.result(&[0]).map_err(executed)?;
        ScalarValue::try_from_array(&cast(&result, &self.returns)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sketches.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state: ArrayRef = Arc::new(self.sketches.save(&[0]).map_err(executed)?);
        Ok(vec![ScalarValue::try_from_array(&state, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states: &BinaryArray = match states[0].as_binary_opt() {
            Some(states) => states,
            None => return exec_err!("the state of a sketch is not bytes"),
        };
        self.sketches.merge(&vec![0; states.len()], states).map_err(executed)
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.0.name
    }

    fn signature(&self) -> &Signature {
        &ANY
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.coerced(types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.returns())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = self.0.arguments.len();
        let constants = args.args[columns..].iter().map(|value| match value {
            ColumnarValue::Scalar(value) => Some(value.clone()),
            ColumnarValue::Array(_) => None,
        });
        let parameters = self.parameters(constants)?;
        let returns = self.returns();
        over_arrays(&args.args[..columns], |arrays| {
            Ok(cast(&call(self.0.name, arrays, &parameters).map_err(executed)?, &returns)?)
        })
    }
}
