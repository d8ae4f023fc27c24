//! The anomaly functions, for SQL: `anomaly_zscore(x, 60) OVER (PARTITION BY k ORDER BY ts)`. It must not know how one scores,
//! nor how the engine keeps their state.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Float64Builder};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{ScalarValue, exec_err, plan_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Expr, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;
use thalweg_analysis::detect::{self, Detector};

use super::constant::constant;

/// The parameter that asks for the times of rows: the seconds between two.
const STEP: &str = "step";

/// Adds them to `state`.
pub(super) fn register(state: &mut SessionState) {
    for signature in detect::signatures() {
        // Registering cannot fail: it returns what was there before.
        let _ = state.register_udwf(Arc::new(WindowUDF::from(Anomaly { name: signature.name })));
    }
}

/// Whether a window function is one of them.
pub(crate) fn is_anomaly(name: &str) -> bool {
    detect::signatures().iter().any(|signature| signature.name == name)
}

/// The columns and the parameters of a call, which are the literals at its end.
pub(crate) fn parted(name: &str, args: &[Expr]) -> Result<(Vec<Expr>, Vec<Option<f64>>)> {
    let (columns, parameters) = divided(name, args.iter().map(constant).collect())?;
    Ok((args[..columns].to_vec(), parameters))
}

/// How many arguments are columns, and the values of the parameters behind them.
fn divided(name: &str, literals: Vec<Option<ScalarValue>>) -> Result<(usize, Vec<Option<f64>>)> {
    let columns = literals.iter().rposition(Option::is_none).map_or(0, |last| last + 1);
    let number = |value: &Option<ScalarValue>| match value.as_ref().map(|v| v.cast_to(&DataType::Float64)) {
        Some(Ok(ScalarValue::Float64(number))) => Ok(number),
        _ => plan_err!("a parameter of {name} is not a number"),
    };
    let parameters = literals[columns..].iter().map(number).collect::<Result<Vec<_>>>()?;
    detect::build(name, columns, &parameters).map_err(|e| plan_datafusion_err!("{e}"))?;
    Ok((columns, parameters))
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Anomaly {
    name: &'static str,
}

static ANY: std::sync::LazyLock<Signature> =
    std::sync::LazyLock::new(|| Signature::user_defined(Volatility::Immutable));

impl WindowUDFImpl for Anomaly {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &ANY
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_number = |t: &&DataType| t.is_numeric() || t.is_null();
        match types.iter().find(|t| !is_number(t)) {
            Some(other) => plan_err!("{} takes numbers, not {other}: cast it to double precision", self.name),
            None => Ok(vec![DataType::Float64; types.len()]),
        }
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let literal = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Literal>().map(|l| l.value().clone());
        let (columns, parameters) = divided(self.name, args.input_exprs().iter().map(literal).collect())?;
        let signature = detect::signatures().iter().find(|s| s.name == self.name);
        let step = signature.and_then(|s| s.parameters.iter().position(|p| p.name == STEP));
        if step.and_then(|at| *parameters.get(at)?).is_some_and(|step| step != 0.0) {
            return plan_err!(
                "{} with a {STEP} needs the times of rows\n  hint: Use it in a view over a stream, ORDER BY the column that its \
                 WATERMARK is for.",
                self.name
            );
        }
        Ok(Box::new(Partition { name: self.name, columns, parameters }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Float64, true)))
    }

    fn limit_effect(&self, _args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }
}

/// A partition, all of whose rows are there.
#[derive(Debug)]
struct Partition {
    name: &'static str,
    columns: usize,
    parameters: Vec<Option<f64>>,
}

impl PartitionEvaluator for Partition {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let built = detect::build(self.name, self.columns, &self.parameters);
        let mut detector: Box<dyn Detector> = built.map_err(|e| plan_datafusion_err!("{e}"))?;
        let column = |values: &ArrayRef| values.as_primitive_opt::<Float64Type>().cloned();
        let Some(inputs) = values[..self.columns].iter().map(column).collect::<Option<Vec<Float64Array>>>() else {
            return exec_err!("{} got something that is not double precision", self.name);
        };
        let mut scores = Float64Builder::with_capacity(num_rows);
        let times: Vec<i64> = (0..num_rows as i64).collect();
        detector.score(&vec![0; num_rows], &times, &inputs, &mut scores);
        Ok(Arc::new(scores.finish()))
    }

    fn uses_window_frame(&self) -> bool {
        false
    }

    fn supports_bounded_execution(&self) -> bool {
        false
    }
}
